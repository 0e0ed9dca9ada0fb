"""Plan view of a scene."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from twin.errors import Fault, InputError, refuse
from twin.scene.declaration import Scene
from twin.scene.panels import Panel, panels
from twin.scene.plan_axes import Handles, draw_panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = {".png": "png", ".svg": "svg"}
_DPI = 130
_LEGEND_IN = 3.4


def plan(scene: Scene, path: Path, *, storey: str | None = None) -> None:
    """Write a plan view as PNG or SVG, after the path's suffix.

    Walls by material with their openings, furniture, people, meshes cut at the height of the
    receivers, buildings, roads and vehicles at the scene's time, access points with the way that
    directional ones look, receivers and a scale; one panel a storey.

    Args:
        scene: one that has passed `twin.scene.check`.
        path: of the picture.
        storey: the only one to show.

    Raises:
        InputError: an unknown storey or suffix, the file cannot be written, or that of a mesh
            cannot be read.
    """
    check_suffix(path)
    shown = panels(scene, storey)
    figure, grid = _figure(shown)
    handles: Handles = {}
    for axes, panel in zip(grid, shown, strict=False):
        handles |= draw_panel(axes, scene, panel)
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    figure.suptitle(_title(scene, shown), x=0.01, ha="left", fontsize=11)
    figure.legend(
        list(handles.values()), list(handles), loc="outside right upper", frameon=False, fontsize=9
    )
    save(figure, path)


def check_suffix(path: Path) -> None:
    """Refuse a picture that is neither PNG nor SVG."""
    if path.suffix.lower() not in FORMATS:
        found = path.suffix or path.name
        refuse([Fault(str(path), "", "a name that ends in .png or .svg", found)])


def save(figure: Figure, path: Path, *, tight: bool = True) -> None:
    """Write a figure, cut to what is drawn where `tight`; the same bytes for the same figure.

    Raises:
        InputError: the file cannot be written.
    """
    import matplotlib as mpl

    kind = FORMATS[path.suffix.lower()]
    try:
        with mpl.rc_context({"svg.hashsalt": "fingertwin"}):
            figure.savefig(
                path,
                dpi=_DPI,
                format=kind,
                bbox_inches="tight" if tight else None,
                metadata={"Date": None} if kind == "svg" else None,
            )
    except OSError as error:
        raise InputError(
            [Fault(str(path), "", "a file that can be written", str(error))]
        ) from error


def _figure(shown: tuple[Panel, ...]) -> tuple[Figure, list[Axes]]:
    """An empty figure, and axes for the panels, row by row."""
    # Here, because it is slow to import and only pictures need it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, depth = np.max([panel.high - panel.low for panel in shown], axis=0)
    columns = int(np.ceil(np.sqrt(len(shown)))) if width < 2.5 * depth else 1
    rows = -(-len(shown) // columns)
    # Enough pixels for the long side, and room beside the plan for the legend.
    long = 8.0 if len(shown) == 1 else 6.0
    unit = long / max(width, 1.3 * depth)
    unit = max(unit, min(1.6 / max(depth, 1e-3), 11.0 / max(width, 1e-3)))
    size = (
        max(columns * width * unit, 3.0) + _LEGEND_IN,
        max(rows * (depth * unit + 0.8) + 0.8, 3.6),
    )
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def _title(scene: Scene, shown: tuple[Panel, ...]) -> str:
    facts = [f"{scene.frequency_ghz:g} GHz", f"{scene.bandwidth_mhz:g} MHz"]
    shell = shown[0].shell
    if len(shown) == 1 and shell is not None:
        facts.append(f"{'room' if scene.room is not None else shell.name} height ")
        facts[-1] += f"{shell.height_m:.3g} m"
    if scene.weather.rain_mm_per_h > 0.0:
        facts.append(f"rain {scene.weather.rain_mm_per_h:g} mm/h")
    return f"{scene.title}\n{', '.join(facts)}"
