"""What a plan draws: shapes in plan, each with its material and how dense it is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.declaration import Scene
from twin.scene.furnishing import furnished
from twin.scene.levels import floor_m
from twin.scene.motion import person_as_furniture
from twin.scene.openings import Hole, holes_of_shell, holes_of_wall
from twin.scene.panels import Panel
from twin.scene.street_shapes import vehicle_surface
from twin.scene.wall_paths import wall_path

Line = npt.NDArray[np.float64]

_ARC_STEPS = 13
# Of a mesh: what is nearly level and this far above the floor is a table, not the floor.
_OFF_FLOOR_M = 0.2


@dataclass(frozen=True)
class Outline:
    """A filled shape.

    Args:
        what: in words, for the legend.
        material: key into the scene's materials.
        corners: (n, 2) [m].
        density: of the filling, 0 to 1.
    """

    what: str
    material: str
    corners: Line
    density: float


@dataclass(frozen=True)
class Stroke:
    """A line.

    Args:
        what: in words, for the legend; empty for one that needs no entry.
        material: key into the scene's materials.
        path: (n, 2) [m].
        weight: of the line, 1 for an outer wall.
    """

    what: str
    material: str
    path: Line
    weight: float


def strokes(scene: Scene, panel: Panel) -> Iterator[Stroke]:
    """Walls with gaps for their openings, leaves and swings, and meshes cut at receiver height."""
    if panel.shell is not None:
        outline = panel.shell.shifted_outline()
        holes = holes_of_shell(scene, panel.shell)
        for i, corner in enumerate(outline):
            mine = [hole for hole in holes if hole.opening.edge == i]
            for run in _runs(corner, outline[(i + 1) % len(outline)], mine):
                yield Stroke("outer wall", panel.shell.wall_material, run, 1.0)
        for hole in holes:
            yield from _opening(hole)
    for wall in scene.walls:
        if not wall.present or not panel.shows(scene, wall.storey):
            continue
        path, holes = wall_path(scene, wall), holes_of_wall(scene, wall)
        if not holes:
            yield Stroke("inner wall", wall.material, path, 0.75)
            continue
        for i in range(len(path) - 1):
            mine = [hole for hole in holes if hole.opening.segment == i]
            for run in _runs(path[i], path[i + 1], mine):
                yield Stroke("inner wall", wall.material, run, 0.75)
        for hole in holes:
            yield from _opening(hole)
    yield from _mesh_sections(scene, panel)


def _runs(start: Line, end: Line, holes: Sequence[Hole]) -> Iterator[Line]:
    """What openings leave of a segment, (2, 2) each."""
    length = float(np.hypot(*(end - start)))
    if length == 0.0:
        return
    along = (end - start) / length
    solid = shapely.LineString([[0.0, 0.0], [length, 0.0]])
    for hole in holes:
        gap = shapely.box(hole.first_m, -1.0, hole.last_m, 1.0)
        solid = solid.difference(gap)
    for part in shapely.get_parts(solid):
        yield start + shapely.get_coordinates(part)[:, :1] * along


def _opening(hole: Hole) -> Iterator[Stroke]:
    """A window as two thin lines; a door as its leaf, with the way of an open one."""
    item = hole.opening
    near, far = hole.sides
    if item.kind == "window" and item.state == "closed":
        aside = 0.04 * np.array([-hole.along[1], hole.along[0]])
        for side in (aside, -aside):
            yield Stroke("window", item.material, np.stack([near + side, far + side]), 0.25)
        return
    leaf = hole.leaf
    if leaf is not None:
        yield Stroke(f"{item.state} {item.kind}", item.material, np.stack(leaf), 0.4)
    if item.state == "open" and leaf is not None:
        hinge, free = leaf
        shut = far if item.hinge == "start" else near
        yield Stroke("", item.material, _arc(hinge, shut, free), 0.15)


def _arc(centre: Line, start: Line, end: Line) -> Line:
    """An arc (n, 2) about a centre, the short way."""
    first = np.arctan2(*(start - centre)[::-1])
    turn = np.arctan2(*(end - centre)[::-1]) - first
    turn = (turn + np.pi) % (2.0 * np.pi) - np.pi
    angle = first + np.linspace(0.0, 1.0, _ARC_STEPS) * turn
    radius = np.hypot(*(start - centre))
    return np.asarray(centre + radius * np.column_stack([np.cos(angle), np.sin(angle)]))


def outlines(scene: Scene, panel: Panel) -> Iterator[Outline]:
    """Things that stand on a level: dense where they reach the height of receivers."""
    if panel.shell is not None:
        for void in panel.shell.voids_m:
            corners = np.asarray(void, dtype=np.float64)
            yield Outline("hole in the floor", panel.shell.floor_material, corners, 0.0)
    for item in furnished(scene):
        if panel.shows(scene, item.storey):
            floor = floor_m(scene, item.storey)
            tall = floor + item.bottom_m <= panel.height_m < floor + item.top_m
            what = f"{'tall' if tall else 'low'} {_word(item.kind)}"
            yield Outline(what, item.of_material, item.footprint(), 0.75 if tall else 0.25)
    for person in scene.people:
        if person.present and panel.shows(scene, person.storey):
            item = person_as_furniture(person, scene.time_s)
            yield Outline("person", person.material, _round(item.footprint()), 0.75)
    yield from _mesh_tops(scene, panel)
    if not panel.outdoors:
        return
    for building in scene.buildings:
        if building.present:
            corners = np.asarray(building.footprint_m, dtype=np.float64)
            yield Outline("building", building.wall_material, corners, 0.3)
    roads = {road.name: road for road in scene.roads}
    for vehicle in scene.vehicles:
        if vehicle.present:
            body = vehicle_surface(vehicle, roads[vehicle.road], scene.time_s).vertices
            hull = shapely.MultiPoint(body[:, :2]).convex_hull
            yield Outline(vehicle.kind, vehicle.material, shapely.get_coordinates(hull), 0.9)


def _word(kind: str) -> str:
    return "furniture" if kind == "box" else kind


def _round(corners: Line) -> Line:
    """The ellipse (n, 2) in a rectangle (4, 2)."""
    centre = corners.mean(axis=0)
    angle = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    half = [(corners[1] - corners[0]) / 2.0, (corners[3] - corners[0]) / 2.0]
    return np.asarray(centre + np.outer(np.cos(angle), half[0]) + np.outer(np.sin(angle), half[1]))


def _mesh_groups(scene: Scene) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Material and triangles (t, 3, 3) [m] of each group of the meshes that are present."""
    if not scene.meshes:
        return
    from twin.scene.meshes import mesh_material, placed_groups

    for part in scene.meshes:
        if part.present:
            for group in placed_groups(part, scene.folder):
                yield mesh_material(part, group) or "", group.vertices[group.faces]


def _mesh_sections(scene: Scene, panel: Panel) -> Iterator[Stroke]:
    for material, corners in _mesh_groups(scene):
        for path in section(corners, panel.height_m):
            yield Stroke("mesh, cut", material, path, 0.6)


def _mesh_tops(scene: Scene, panel: Panel) -> Iterator[Outline]:
    floor = 0.0 if panel.shell is None else panel.shell.bottom_m
    for material, corners in _mesh_groups(scene):
        height = corners[:, :, 2]
        level = np.ptp(height, axis=1) < 0.01
        between = (height[:, 0] > floor + _OFF_FLOOR_M) & (height[:, 0] < panel.height_m)
        shapes = shapely.union_all(shapely.polygons(corners[level & between, :, :2]))
        for shape in shapely.get_parts(shapes):
            if shape.geom_type == "Polygon":
                outer = shapely.get_coordinates(shape.exterior)
                yield Outline("mesh, below", material, outer, 0.2)


def section(corners: npt.NDArray[np.float64], height: float) -> npt.NDArray[np.float64]:
    """Where triangles (t, 3, 3) cut the level plane of a height [m]: segments (s, 2, 2)."""
    # A vertex in the plane counts as above it, so that every cut has two ends.
    above = corners[:, :, 2] >= height
    cut = corners[above.any(axis=1) & ~above.all(axis=1)]
    above = cut[:, :, 2] >= height
    following = np.roll(cut, -1, axis=1)
    crosses = above != np.roll(above, -1, axis=1)
    rise = following[:, :, 2] - cut[:, :, 2]
    share = (height - cut[:, :, 2]) / np.where(crosses, rise, 1.0)
    place = cut[:, :, :2] + share[..., None] * (following[:, :, :2] - cut[:, :, :2])
    return np.asarray(place[crosses].reshape(-1, 2, 2))
