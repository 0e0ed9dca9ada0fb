"""Real data sets on the command line: what there is, fetching it, and putting it into a store."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twin.atomic import write_text
from twin.config import DATA_DIR_VARIABLE
from twin.config import data_dir as named_data_dir
from twin.errors import Fault, InputError, refuse

if TYPE_CHECKING:
    from twin.measured.registry import DataSet
    from twin.measured.resuming import Progress

OWN_CSV = "csv"
_SITES_SHOWN = 5

data_app = typer.Typer(no_args_is_help=True, help="Real data sets: list, fetch, import.")

Name = Annotated[str, typer.Argument(help="Name of the data set, as twin data list shows it.")]
DataDir = Annotated[
    Path | None,
    typer.Option(help=f"Folder of real data sets; else {DATA_DIR_VARIABLE}, else the downloads."),
]


@data_app.command("list")
def data_list(data_dir: DataDir = None) -> None:
    """All data sets: name, title, licence, sites, and whether they are here."""
    from twin.measured.importing import IMPORTERS, importer

    for name in IMPORTERS:
        module = importer(name)
        data_set = module.DATA_SET
        folder = _folder(data_set, data_dir)
        typer.echo(name)
        typer.echo(f"  {data_set.title}")
        typer.echo(f"  licence: {data_set.licence}; source: {data_set.url}")
        more = f", … ({len(module.SITES)} in all)" if len(module.SITES) > _SITES_SHOWN else ""
        typer.echo(f"  sites: {', '.join(module.SITES[:_SITES_SHOWN])}{more}")
        typer.echo(f"  here: {folder or 'no'}")


@data_app.command("get")
def data_get(name: Name, data_dir: DataDir = None) -> None:
    """Download a data set from its official address, unless it is here already.

    A download that was cut off goes on where it ended.
    """
    from twin.measured.download import fetch
    from twin.measured.importing import importer

    module = importer(name)
    data_set = module.DATA_SET
    folder = _folder(data_set, data_dir)
    if folder is not None:
        typer.echo(f"{name} is here already: {folder}")
        return

    def check(new: Path) -> None:
        deque(module.read_sites(new), maxlen=0)

    with _progress(f"Fetching {name}") as progress:
        root = fetch(data_set, check=check, progress=progress)
    typer.echo(f"{name} is here now: {root / name}")
    typer.echo(f"Licence: {data_set.licence}. Cite:")
    for item in data_set.citation:
        typer.echo(f"  {item}")


@data_app.command("import")
def data_import(
    name: Annotated[
        str, typer.Argument(help=f"Name of the data set, or '{OWN_CSV}' for a file of your own.")
    ],
    file: Annotated[Path | None, typer.Argument(help=f"Your table; only with '{OWN_CSV}'.")] = None,
    to: Annotated[str, typer.Option(help="Store to write into: a folder or a URL.")] = "",
    mapping: Annotated[
        Path | None,
        typer.Option("--map", help=f"What the columns are (YAML); only with '{OWN_CSV}'."),
    ] = None,
    site: Annotated[
        list[str] | None, typer.Option(help="A site wanted, may be repeated; else all.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Put a data set, or a CSV file of your own, into a store; all is checked before writing."""
    refuse([] if to else [Fault("--to", "", "a store to write into", "nothing")])
    if name == OWN_CSV:
        _import_own(file, mapping, to, site)
        return
    from twin.measured.importing import import_data_set, importer

    data_set = importer(name).DATA_SET
    own = {"FILE": file, "--map": mapping}
    refuse(
        Fault(option, "", f"nothing: only '{OWN_CSV}' has it", str(given))
        for option, given in own.items()
        if given is not None
    )
    folder = _folder(data_set, data_dir) or data_dir
    if folder is None:
        expected = f"the data set in --data-dir, {DATA_DIR_VARIABLE} or the downloads"
        cure = f"Fetch it: twin data get {name}"
        raise InputError([Fault(name, "", expected, "no such folder or files", cure)])
    for made, digest in import_data_set(name, folder, to, site).items():
        typer.echo(f"{made}: {digest}")


def _import_own(
    file: Path | None, mapping: Path | None, store: str, site: list[str] | None
) -> None:
    from twin.measured.own_csv import import_csv

    faults = []
    if file is None:
        faults.append(Fault("FILE", "", "a table (CSV)", "nothing"))
    if mapping is None:
        expected = "a YAML file that says what the columns are"
        cure = _suggested(file) if file is not None else ""
        faults.append(Fault("--map", "", expected, "nothing", cure))
    if site:
        faults.append(Fault("--site", "", "nothing: the map names the site", ", ".join(site)))
    if file is None or mapping is None or faults:
        raise InputError(faults)
    for made, digest in import_csv(file, mapping, store).items():
        typer.echo(f"{made}: {digest}")


def _suggested(file: Path) -> str:
    """Write a first guess of a map beside a table, and say so; one that is there stays."""
    from twin.measured.own_csv import suggest_mapping

    path = file.with_suffix(".map.yaml")
    if path.exists():
        return f"A map lies in {path}: check every line of it and give it with --map."
    write_text(path, suggest_mapping(file))
    return (
        f"A first guess was written to {path}: check every line, put something for each FILL IN, "
        "and give it with --map."
    )


def _folder(data_set: DataSet, given: Path | None) -> Path | None:
    """The first of the named data folder and the downloads that has the data set; or None."""
    from twin.measured.download import cache_folder, is_here

    named = named_data_dir(given)
    candidates = [folder for folder in (named, cache_folder()) if folder is not None]
    return next((folder for folder in candidates if is_here(folder, data_set)), None)


@contextmanager
def _progress(title: str) -> Iterator[Progress]:
    """A bar with rate and estimate, on standard error."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def show(arrived: int, total: int | None) -> None:
            bar.update(task, completed=arrived, total=total)

        yield show
