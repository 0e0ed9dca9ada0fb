"""``twin perturb``: see what a table draws, and which quantity matters."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twin.cli.scene import SceneName

if TYPE_CHECKING:
    from twin.perturb.table import PerturbationTable
    from twin.scene.declaration import Scene

perturb_app = typer.Typer(no_args_is_help=True, help="Draw what is uncertain; find what matters.")

Severity = Annotated[
    float, typer.Option(min=0, help="How far all is turned: 0 as declared, 1 as in the table.")
]


class Design(StrEnum):
    """How a sweep chooses its samples."""

    OAT = "oat"
    MORRIS = "morris"
    SOBOL = "sobol"


def _read(scene: str) -> tuple[Scene, PerturbationTable]:
    from twin.perturb.library import load_table
    from twin.scene.library import load_scene, scene_path

    declared = load_scene(scene)
    return declared, load_table(scene_path(scene).parent, declared)


@perturb_app.command("draw")
def perturb_draw(
    scene: SceneName,
    seed: Annotated[int, typer.Option(min=0, help="Of the study.")] = 1,
    realisation: Annotated[int, typer.Option(min=0, help="Number of the realisation, from 0.")] = 0,
    severity: Severity = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show what one realisation draws, and what becomes of the scene."""
    from twin.perturb.describe import as_text, describe
    from twin.perturb.realise import realise

    declared, table = _read(scene)
    rows = describe(realise(declared, table, seed, realisation, severity), table)
    typer.echo(json.dumps(rows, indent=2) if as_json else as_text(rows))


@perturb_app.command("sweep")
def perturb_sweep(
    scene: SceneName,
    out: Annotated[Path, typer.Option(help="Folder of samples and report; goes on there.")],
    design: Annotated[
        Design, typer.Option(help="One factor at a time, Morris' trajectories, or Sobol indices.")
    ] = Design.OAT,
    samples: Annotated[
        int, typer.Option(help="Draws a factor (oat), trajectories, or base samples (sobol).")
    ] = 8,
    seed: Annotated[int, typer.Option(help="Of design and intervals.")] = 1,
    severity: Severity = 1.0,
    every: Annotated[int, typer.Option(help="Use every so manieth receiver point.")] = 1,
    max_depth: Annotated[int, typer.Option(help="Interactions of a path at most.")] = 3,
    rays: Annotated[int, typer.Option(help="Rays of each access point in a round.")] = 50_000,
) -> None:
    """Which uncertain quantity moves RSS, ranges and position error most, with intervals."""
    from flows.sensitivity import report_sweep
    from flows.sensitivity_plan import Sweep
    from twin.config import validate

    asked = {
        "scene": scene,
        "design": design.value,
        "samples": samples,
        "seed": seed,
        "severity": severity,
        "every": every,
        "trace": {"max_depth": max_depth, "rays_per_round": rays},
    }
    typer.echo(report_sweep(validate(asked, Sweep, "options"), out, _progress(scene)))
    typer.echo(f"Report: {out / 'sensitivity.md'}")


def _progress(scene: str) -> Callable[[int, int], None]:
    """Tells how far a sweep is; one that goes on counts what is left of it."""
    from flows.screen import Progress

    begun: list[Progress] = []

    def advanced(done: int, total: int) -> None:
        if not begun:
            begun.append(Progress(f"sweep over {scene}", total - done + 1))
        begun[0].advance()

    return advanced
