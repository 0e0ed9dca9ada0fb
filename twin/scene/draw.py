"""Plan view of a scene."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from twin.errors import Fault, InputError
from twin.scene.declaration import Scene
from twin.scene.receivers import receiver_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind readers tell apart; no yellow, too light for lines.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")


def plan(scene: Scene, path: Path) -> None:
    """Write a plan view as PNG: walls by material, furniture, access points, receivers, scale.

    Raises:
        InputError: the file cannot be written.
    """
    # Here, because it is slow to import and only pictures need it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    outline = scene.room.shifted_outline()
    low, high = outline.min(axis=0), outline.max(axis=0)
    width, depth = high - low
    # Enough pixels for the long side, and room beside the plan for the legend.
    unit = 8.0 / max(width, 1.3 * depth)
    figure = Figure(
        figsize=(width * unit + 3.2, max(depth * unit + 1.5, 3.6)), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw(scene, axes)
    margin = 0.04 * max(width, depth)
    axes.set_xlim(low[0] - margin, high[0] + margin)
    axes.set_ylim(low[1] - 2.6 * margin, high[1] + margin)
    _scale_bar(axes, low, margin, width)
    axes.set_aspect("equal")
    axes.set_xlabel("x [m]")
    axes.set_ylabel("y [m]")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(
        f"{scene.title}\n{scene.frequency_ghz:g} GHz, {scene.bandwidth_mhz:g} MHz, "
        f"room height {scene.room.height_m:.3g} m",
        loc="left",
        fontsize=11,
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=9)
    try:
        figure.savefig(path, dpi=130, format="png", bbox_inches="tight")
    except OSError as error:
        raise InputError(
            [Fault(str(path), "", "a file that can be written", str(error))]
        ) from error


def _draw(scene: Scene, axes: Axes) -> None:
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(sorted(scene.materials))}
    area = np.asarray(scene.receivers.area_m)
    axes.fill(area[:, 0], area[:, 1], color="0.95", zorder=0, label="receiver area")
    points = receiver_points(scene)
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=2.5,
        color="0.45",
        linewidths=0,
        zorder=3,
        label=f"{len(points)} receivers, {scene.receivers.height_m:.3g} m high",
    )
    labelled: set[str] = set()

    def label(material: str, what: str) -> str:
        text = f"{what}, {material}"
        if text in labelled:
            return "_hidden"
        labelled.add(text)
        return text

    ring = np.vstack([scene.room.shifted_outline(), scene.room.shifted_outline()[:1]])
    material = scene.room.wall_material
    axes.plot(
        *ring.T,
        color=colours.get(material, "k"),
        linewidth=4,
        solid_joinstyle="miter",
        zorder=2,
        label=label(material, "outer wall"),
    )
    for wall in scene.walls:
        axes.plot(
            *wall.shifted_path().T,
            color=colours.get(wall.material, "k"),
            linewidth=3,
            zorder=4,
            label=label(wall.material, "inner wall"),
        )
    for item in scene.furniture:
        corners = item.footprint()
        colour = colours.get(item.material, "k")
        if not item.present:
            axes.fill(
                *corners.T,
                facecolor="none",
                edgecolor=colour,
                linestyle=":",
                zorder=1,
                label=label(item.material, "absent furniture"),
            )
            continue
        tall = item.bottom_m <= scene.receivers.height_m < item.top_m
        axes.fill(
            *corners.T,
            facecolor=colour,
            alpha=0.75 if tall else 0.25,
            edgecolor=colour,
            linewidth=1,
            zorder=1,
            label=label(item.material, "tall furniture" if tall else "low furniture"),
        )
    _access_points(scene, axes)


def _access_points(scene: Scene, axes: Axes) -> None:
    position = np.array([ap.position_m for ap in scene.access_points])
    low, high = (f"{height:.2f}" for height in (position[:, 2].min(), position[:, 2].max()))
    axes.scatter(
        position[:, 0],
        position[:, 1],
        marker="^",
        s=75,
        color="black",
        edgecolors="white",
        zorder=6,
        label=f"access point, {low if low == high else f'{low} to {high}'} m high",
    )
    for ap in scene.access_points:
        axes.annotate(
            ap.name,
            ap.position_m[:2],
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            fontweight="bold",
            zorder=7,
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0},
        )


def _scale_bar(
    axes: Axes, low: np.ndarray[tuple[int], np.dtype[np.float64]], margin: float, width: float
) -> None:
    length = max(
        (step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200) if step <= width / 4),
        default=width / 4,
    )
    y = low[1] - 1.3 * margin
    axes.plot([low[0], low[0] + length], [y, y], color="black", linewidth=3, solid_capstyle="butt")
    axes.text(low[0] + length + 0.4 * margin, y, f"{length:g} m", va="center", fontsize=9)
