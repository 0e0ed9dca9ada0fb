"""The program ``twin``: its commands, and what becomes of errors."""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer

from twin.cli.data import data_app
from twin.cli.perturb import perturb_app
from twin.cli.scene import scene_app
from twin.cli.store import store_app
from twin.errors import Fault, Gathered, InputError, TwinError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Digital twins for fingerprint localization.",
)
app.add_typer(scene_app, name="scene")
app.add_typer(perturb_app, name="perturb")
app.add_typer(store_app, name="store")
app.add_typer(data_app, name="data")

Out = Annotated[Path, typer.Option(help="Folder of the results; a killed run goes on there.")]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of real data sets; else TWIN_DATA_DIR, else a download."),
]
# Schemas of studies without their version.
_ROOMS, _METALOC = "fingertwin/study@", "fingertwin/metaloc@"
Offline = Annotated[
    bool,
    typer.Option(
        "--offline", help="Download nothing; without a data folder, reality is simulated."
    ),
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Where the fingerprints go: a folder, s3://bucket/prefix, icechunk:folder or "
        "icechunk+s3://bucket/prefix; else a folder in --out.",
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fingertwin {installed_version('fingertwin')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Digital twins for fingerprint localization."""


@app.command()
def demo(
    out: Out = Path("out/demo"),
    data_dir: DataDir = None,
    offline: Offline = False,
    store: StoreUrl = None,
) -> None:
    """Two real rooms: twins, learners, and how wrong they are on real test points."""
    from flows.study import demo_file

    _run(demo_file(), out, data_dir, offline, store)


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="Study file (YAML).")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; else out/ and the study's name.")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of real data sets; else TWIN_DATA_DIR, else a download (for a study of "
            "MetaLoc's: what twin data get has downloaded before)."
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="For studies of rooms only: download nothing; without a data folder, reality is "
            "simulated.",
        ),
    ] = False,
    store: StoreUrl = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="For studies of rooms only: sites of another study give way; a versioned store "
            "keeps them in its history.",
        ),
    ] = False,
) -> None:
    """The whole road for a study of your own, or for one of MetaLoc's experiments."""
    if _schema(study).startswith(_METALOC):
        _run_metaloc(study, out, data_dir, store, offline=offline, replace=replace)
    else:
        _run(study, out, data_dir, offline, store, replace=replace)


def _schema(study_file: Path) -> str:
    """The schema of a study, of any version.

    Raises:
        InputError: no YAML file, or one of neither kind of study.
    """
    from twin.config import read_yaml

    content = read_yaml(study_file)
    schema = content.get("schema") if isinstance(content, dict) else None
    if isinstance(schema, str) and schema.startswith((_ROOMS, _METALOC)):
        return schema
    expected = f"{_ROOMS}1, a study of rooms, or {_METALOC}1, one of MetaLoc's"
    found = "nothing" if schema is None else repr(schema)
    raise InputError([Fault(str(study_file), "schema", expected, found)])


def _run_metaloc(
    study_file: Path,
    out: Path | None,
    data_dir: Path | None,
    store: str | None,
    *,
    offline: bool,
    replace: bool,
) -> None:
    from flows.metaloc.flow import read_metaloc_request
    from flows.metaloc.flow import run as run_study

    expected = "a study of rooms, which alone has this option"
    faults = [
        Fault(option, "", expected, f"{study_file}, one of MetaLoc's", "Leave the option out.")
        for option, given in (("--offline", offline), ("--replace", replace))
        if given
    ]
    request = None
    with Gathered(faults):
        request = read_metaloc_request(study_file, data_dir, out, store)
    if request is None or faults:
        raise InputError(faults)
    report = run_study(request, shlex.join(["twin", *sys.argv[1:]]))
    typer.echo(f"Report: {report}")
    typer.echo(f"Records: {report.with_name('records.json')}")


def _run(
    study_file: Path,
    out: Path | None,
    data_dir: Path | None,
    offline: bool,
    store: str | None,
    *,
    replace: bool = False,
) -> None:
    from flows.preparation import read_study_request
    from flows.reality import find_reality
    from flows.sim_to_real import run as run_study

    request = read_study_request(study_file, data_dir, out, store)
    reality = find_reality(request.study, request.folder, offline=offline)
    command = shlex.join(["twin", *sys.argv[1:]])
    report = run_study(request.study, reality, request.out, command, request.store, replace=replace)
    typer.echo(f"Report: {report}")
    typer.echo(f"Metrics: {report.with_name('metrics.json')}")


@app.command()
def doctor(data_dir: DataDir = None) -> None:
    """Is this machine ready? Versions, backend, memory, data, a ray-tracing self-test."""
    from twin.doctor import examine, render

    report = examine(data_dir)
    typer.echo(render(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def schema(
    folder: Annotated[Path, typer.Argument(help="Folder to write into.")] = Path("schemas"),
) -> None:
    """Write the JSON schemas of scenes, perturbation tables and studies, for editors."""
    from pydantic import BaseModel

    from flows.metaloc.study import MetaLocStudy
    from flows.study import Study
    from twin.perturb.table import PerturbationTable
    from twin.scene.declaration import Scene
    from twin.scene.schema import json_schema

    models: dict[str, type[BaseModel]] = {
        "scene": Scene,
        "perturbation": PerturbationTable,
        "study": Study,
        "metaloc-study": MetaLocStudy,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        expected = "a folder that can be written"
        raise InputError([Fault(str(folder), "", expected, str(error))]) from error
    for name, model in models.items():
        path = folder / f"{name}.schema.json"
        json_schema(model, path)
        typer.echo(f"Schema: {path}")


def main() -> None:
    """Entry point; an error of ours is a message and an exit code, not a traceback."""
    try:
        app()
    except TwinError as error:
        typer.echo(f"twin: {error}", err=True)
        sys.exit(error.exit_code)
