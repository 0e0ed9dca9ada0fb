"""One level of a scene drawn on axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.declaration import Scene
from twin.scene.palette import EMPTY, material_colours
from twin.scene.panels import Panel
from twin.scene.plan_shapes import outlines, strokes
from twin.scene.radio import AccessPoint, GridArea, RandomArea, ReceiverArea, Trajectory
from twin.scene.receivers import area_points
from twin.scene.street_shapes import carriageway
from twin.scene.surfaces import polygons

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OUTER_M = 0.25
_INK = "#1a1a1a"
_GREYS = ("#707070", "#9a6fb0", "#3f8f8f", "#a0522d")
# A drawing of vectors would grow too large with more receivers.
_MOST_VECTORS = 5000
# Of a character in bold and of a line on paper, and of a character of small text.
_CHARACTER_PT, _LINE_PT, _SMALL_PT = 5.6, 12.0, 4.2
_GROUND, _ROAD = "#f3f3f1", "#dcdcdc"

Handles = dict[str, Any]


def draw_panel(axes: Axes, scene: Scene, panel: Panel) -> Handles:
    """Draw one level with everything on it; the entries of its legend by their text."""
    frame(axes, panel)
    colours = material_colours(scene)
    handles: Handles = {}
    if panel.outdoors:
        _streets(axes, scene, handles)
    for area in panel.areas:
        _area(axes, scene, panel, area, handles)
    _outlines(axes, scene, panel, colours, handles)
    _strokes(axes, scene, panel, colours, handles)
    if panel.outdoors:
        _names(axes, scene, panel)
    _access_points(axes, panel, handles)
    scale_bar(axes, panel)
    return handles


def limits(panel: Panel) -> tuple[float, float, float, float]:
    """West, south, east and north [m] of a picture of a level, with room for the scale below."""
    margin = 0.04 * max(float(max(panel.high - panel.low)), 0.1)
    (west, south), (east, north) = panel.low, panel.high
    return west - margin, south - 2.6 * margin, east + margin, north + margin


def frame(axes: Axes, panel: Panel) -> None:
    """Limits, labels and title of a level's axes."""
    west, south, east, north = limits(panel)
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    axes.set_aspect("equal")
    axes.set_xlabel("x [m]")
    axes.set_ylabel("y [m]")
    axes.spines[["top", "right"]].set_visible(False)
    if panel.title:
        axes.set_title(panel.title, loc="left", fontsize=10)


def scale_bar(axes: Axes, panel: Panel) -> None:
    """A bar of a round length in the lower left corner."""
    width, margin = panel.high[0] - panel.low[0], 0.04 * float(max(panel.high - panel.low))
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
    length = max((step for step in steps if step <= width / 4), default=width / 4)
    x, y = panel.low[0], panel.low[1] - 1.3 * margin
    axes.plot([x, x + length], [y, y], color="black", linewidth=3, solid_capstyle="butt")
    axes.text(x + length + 0.4 * margin, y, f"{length:g} m", va="center", fontsize=9)


def walls_only(axes: Axes, scene: Scene, panel: Panel) -> None:
    """What stands on a level as thin dark lines, for pictures with a field behind them."""
    from matplotlib.collections import LineCollection

    paths = [stroke.path for stroke in strokes(scene, panel)]
    paths += [np.vstack([shape.corners, shape.corners[:1]]) for shape in outlines(scene, panel)]
    widths = [1.2] * (len(paths)) if len(paths) < 200 else [0.6] * len(paths)
    axes.add_collection(LineCollection(paths, colors=_INK, linewidths=widths, zorder=3))


def points_per_metre(axes: Axes, panel: Panel) -> float:
    """How long a metre is on paper, in points, nearly."""
    grid = axes.get_subplotspec()
    if grid is None:
        raise AssertionError("axes in a grid of a figure")
    rows, columns = grid.get_gridspec().get_geometry()
    size = axes.figure.get_figure(root=True).get_size_inches()
    room = np.array([(size[0] - 3.4) / columns, size[1] / rows])
    return float(72.0 * np.min(room / (1.1 * np.maximum(panel.high - panel.low, 1e-3))))


def _width(axes: Axes, panel: Panel, weight: float) -> float:
    return float(weight * np.clip(_OUTER_M * points_per_metre(axes, panel), 1.4, 4.0))


def _streets(axes: Axes, scene: Scene, handles: Handles) -> None:
    if scene.ground is not None:
        corners = np.asarray(scene.ground.area_m)
        (patch,) = axes.fill(*corners.T, facecolor=_GROUND, linewidth=0, zorder=0)
        handles[f"ground, {scene.ground.material}"] = patch
    for road in scene.roads:
        for shape in polygons(carriageway(road)):
            corners = shapely.get_coordinates(shape.exterior)
            (patch,) = axes.fill(*corners.T, facecolor=_ROAD, linewidth=0, zorder=0.5)
            handles.setdefault(f"road, {road.material}", patch)
        path = shapely.LineString(road.path_m)
        for lane in range(1, road.lanes):
            offset = road.width_m * (0.5 - lane / road.lanes)
            line = shapely.get_coordinates(path.offset_curve(offset))
            axes.plot(*line.T, color="white", linewidth=0.8, linestyle=(0, (6, 5)), zorder=0.6)


def _area(axes: Axes, scene: Scene, panel: Panel, area: ReceiverArea, handles: Handles) -> None:
    from matplotlib.lines import Line2D

    points = area_points(scene, area)
    colour = _GREYS[panel.areas.index(area) % len(_GREYS)]
    walked = isinstance(area, Trajectory)
    if isinstance(area, Trajectory):
        axes.plot(*np.asarray(area.path_m).T, color=colour, linewidth=0.8, zorder=2.9)
    elif isinstance(area, GridArea | RandomArea):
        axes.fill(*np.asarray(area.area_m).T, color="#808080", alpha=0.1, linewidth=0, zorder=0.7)
    # Dots of a seventh of the space between them.
    room = np.ptp(points[:, :2], axis=0) if len(points) else np.zeros(2)
    apart = points_per_metre(axes, panel) * np.sqrt(np.prod(room) / max(len(points), 1))
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=float(np.clip(0.15 * apart, 1.0, 2.5) ** 2) if apart > 0.0 else 9.0,
        color=colour,
        linewidths=0,
        zorder=3,
        rasterized=len(points) > _MOST_VECTORS,
    )
    many = "1 receiver" if len(points) == 1 else f"{len(points)} receivers"
    style: dict[str, Any] = {
        "color": colour,
        "marker": "o",
        "markersize": 3,
        "linewidth": 0.8 if walked else 0,
    }
    handles[f"{area.name}: {many}, {area.height_m:.3g} m high"] = Line2D([], [], **style)


def _outlines(
    axes: Axes, scene: Scene, panel: Panel, colours: dict[str, str], handles: Handles
) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch

    groups: dict[tuple[str, str, float], list[npt.NDArray[np.float64]]] = {}
    for shape in outlines(scene, panel):
        groups.setdefault((shape.what, shape.material, shape.density), []).append(shape.corners)
    for item in scene.furniture:
        if not item.present and panel.shows(scene, item.storey):
            key = ("absent furniture", item.of_material, 0.0)
            groups.setdefault(key, []).append(item.footprint())
    for (what, material, density), corners in groups.items():
        colour = colours.get(material, EMPTY)
        style: dict[str, Any] = {
            "facecolor": (colour, density),
            "edgecolor": colour,
            "linewidth": 1.0 if len(corners) < 100 else 0.5,
            "linestyle": ":" if density == 0.0 else "-",
        }
        axes.add_collection(PolyCollection(corners, zorder=1, **style))
        handles[f"{what}, {material}"] = Patch(**style)


def _strokes(
    axes: Axes, scene: Scene, panel: Panel, colours: dict[str, str], handles: Handles
) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    groups: dict[tuple[str, str, float], list[npt.NDArray[np.float64]]] = {}
    for stroke in strokes(scene, panel):
        groups.setdefault((stroke.what, stroke.material, stroke.weight), []).append(stroke.path)
    for (what, material, weight), paths in groups.items():
        colour = colours.get(material, EMPTY)
        width = _width(axes, panel, weight)
        axes.add_collection(
            LineCollection(paths, colors=colour, linewidths=width, zorder=4, capstyle="projecting")
        )
        if what:
            handles[f"{what}, {material}"] = Line2D([], [], color=colour, linewidth=width)


def _names(axes: Axes, scene: Scene, panel: Panel) -> None:
    """Names and heights in buildings, as far as there is room for them."""
    scale = points_per_metre(axes, panel)
    for building in scene.buildings:
        shape = shapely.Polygon(building.footprint_m)
        west, south, east, north = (scale * value for value in shape.bounds)
        top = building.bottom_m + building.height_m + building.roof_height_m
        lines = [building.name, f"{top:.3g} m"]
        if _SMALL_PT * len(building.name) > east - west:
            lines = lines[1:]
        fits = east - west > 5 * _SMALL_PT and north - south > 9 * len(lines)
        if not (building.present and fits):
            continue
        spot = shape.representative_point()
        style: dict[str, Any] = {"fontsize": 7, "color": "#333333"}
        axes.text(spot.x, spot.y, "\n".join(lines), ha="center", va="center", **style)


def _access_points(axes: Axes, panel: Panel, handles: Handles) -> None:
    aps = panel.access_points
    if not aps:
        return
    heights = [ap.position_m[2] for ap in aps]
    low, high = f"{min(heights):.2f}", f"{max(heights):.2f}"
    span = low if low == high else f"{low} to {high}"
    size = 75.0 if len(aps) <= 30 else 30.0
    for active, word in ((True, "access point"), (False, "lost access point")):
        some = np.array([ap.position_m for ap in aps if ap.active == active]).reshape(-1, 3)
        if len(some):
            handles[f"{word}, {span} m high"] = axes.scatter(
                some[:, 0],
                some[:, 1],
                marker="^",
                s=size,
                color=_INK if active else "white",
                edgecolors="white" if active else _INK,
                zorder=6,
            )
    _looks(axes, panel, [ap for ap in aps if _looks_somewhere(ap)])
    _labels(axes, panel, aps)


def _looks_somewhere(ap: AccessPoint) -> bool:
    elements = ap.array.rows * ap.array.columns
    return (ap.pattern == "tr38901" or elements > 1) and abs(ap.pitch_deg) < 80.0


def _looks(axes: Axes, panel: Panel, aps: Iterable[AccessPoint]) -> None:
    """Arrows the way that directional access points and arrays look in plan."""
    length = 0.06 * float(max(panel.high - panel.low))
    for ap in aps:
        yaw = np.deg2rad(ap.yaw_deg)
        x, y = ap.position_m[:2]
        axes.annotate(
            "",
            (x + length * float(np.cos(yaw)), y + length * float(np.sin(yaw))),
            (x, y),
            arrowprops={"arrowstyle": "-|>", "color": _INK, "linewidth": 1.4, "shrinkA": 0},
            zorder=6.5,
        )


def _labels(axes: Axes, panel: Panel, aps: Iterable[AccessPoint]) -> None:
    """Names over access points; left out where they would lie on one another."""
    scale = points_per_metre(axes, panel)
    taken: list[shapely.Geometry] = []
    for ap in aps:
        x, y = (scale * value for value in ap.position_m[:2])
        half = _CHARACTER_PT * len(ap.name) / 2.0
        # On the side that an arrow leaves free.
        below = _looks_somewhere(ap) and np.sin(np.deg2rad(ap.yaw_deg)) > 0.3
        base = y - 6.0 - _LINE_PT if below else y + 4.0
        box = shapely.box(x - half, base, x + half, base + _LINE_PT)
        if any(box.intersects(other) for other in taken):
            continue
        taken.append(box)
        axes.annotate(
            ap.name,
            ap.position_m[:2],
            xytext=(0, -17 if below else 8),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            fontweight="bold",
            zorder=7,
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0},
        )
