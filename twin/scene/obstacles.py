"""What stands where: which points a scene's things cover."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.contents import Furniture
from twin.scene.declaration import Scene
from twin.scene.furnishing import furnished
from twin.scene.interiors import Wall
from twin.scene.levels import floor_m, shell_of
from twin.scene.meshes import placed_groups
from twin.scene.motion import person_as_furniture
from twin.scene.openings import Hole, holes_of_wall
from twin.scene.standing_shapes import Standing, leaves, street_things
from twin.scene.triangles import near_triangles
from twin.scene.wall_paths import wall_path, wall_span

# Of receivers and access points from whatever stands there.
CLEARANCE_M = 0.05

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def covered(scene: Scene, points: Points) -> dict[str, Mask]:
    """What covers at least one of the points (n, 3) or stands within 5 cm of it, and which (n,).

    Keys say what it is, as ``furniture 'desk'``. Shells are no obstacles, see `within_shell`.
    """
    return {name: mask for name, mask in _covers(scene, points) if mask.any()}


def settled(scene: Scene) -> Scene:
    """The same scene with its clutter among the furniture, so that it is placed once and for all.

    What stands where does not change; the folder of its meshes is kept.
    """
    if not scene.clutter:
        return scene
    placed = furnished(scene)[sum(item.present for item in scene.furniture) :]
    return scene.model_copy(update={"furniture": scene.furniture + placed, "clutter": ()})


def within_shell(scene: Scene, storey: str | None, points: Points) -> Mask:
    """Which of the points (n, 3) lie inside a storey, 5 cm clear of walls, floor and ceiling.

    The first storey where none is named; all of them where the scene has no shell.
    """
    shell = shell_of(scene, storey)
    if shell is None:
        return np.ones(len(points), dtype=np.bool_)
    outline = shapely.Polygon(shell.shifted_outline())
    plan = shapely.points(points[:, :2])
    clear = shapely.distance(outline.exterior, plan) >= CLEARANCE_M - 1e-9
    low = shell.bottom_m + CLEARANCE_M - 1e-9
    high = shell.bottom_m + shell.height_m - CLEARANCE_M + 1e-9
    level = (points[:, 2] >= low) & (points[:, 2] <= high)
    return np.asarray(shapely.contains(outline, plan) & clear & level)


def outdoors_of(scene: Scene, points: Points) -> Mask:
    """Which of the points (n, 3) lie 5 cm clear of every shell and, where there is one, the ground.

    Buildings are obstacles, see `covered`.
    """
    plan = shapely.points(points[:, :2])
    free = np.ones(len(points), dtype=np.bool_)
    for shell in scene.shells:
        low = shell.bottom_m - CLEARANCE_M
        high = shell.bottom_m + shell.height_m + CLEARANCE_M
        level = (points[:, 2] > low) & (points[:, 2] < high)
        outline = shapely.Polygon(shell.shifted_outline())
        free &= ~(level & (shapely.distance(outline, plan) < CLEARANCE_M))
    if scene.ground is not None:
        free &= points[:, 2] >= CLEARANCE_M - 1e-9
    return np.asarray(free)


def _covers(scene: Scene, points: Points) -> Iterator[tuple[str, Mask]]:
    yield from _indoors(scene, points)
    yield from _outdoors(scene, points)
    for part in scene.meshes:
        if part.present:
            corners = [group.vertices[group.faces] for group in placed_groups(part, scene.folder)]
            yield (
                f"mesh {part.name!r}",
                near_triangles(np.concatenate(corners), points, CLEARANCE_M),
            )


def _indoors(scene: Scene, points: Points) -> Iterator[tuple[str, Mask]]:
    for item in furnished(scene):
        yield f"furniture {item.name!r}", inside_furniture(scene, item, points)
    for person in scene.people:
        if person.present:
            item = person_as_furniture(person, scene.time_s)
            yield f"person {person.name!r}", inside_furniture(scene, item, points)
    for wall in scene.walls:
        if wall.present:
            yield f"wall {wall.name!r}", inside_wall(scene, wall, points)
    for leaf in leaves(scene):
        yield _covered(leaf, points)


def _outdoors(scene: Scene, points: Points) -> Iterator[tuple[str, Mask]]:
    for thing in street_things(scene):
        yield _covered(thing, points)


def _covered(thing: Standing, points: Points) -> tuple[str, Mask]:
    return f"{thing.kind} {thing.name!r}", _near(thing.plan, thing.bottom_m, thing.top_m, points)


def inside_furniture(scene: Scene, item: Furniture, points: Points) -> Mask:
    """Which of the points (n, 3) lie in the box around a thing or within 5 cm of it; (n,) bool."""
    floor = floor_m(scene, item.storey)
    box = shapely.Polygon(item.footprint())
    return _near(box, floor + item.bottom_m, floor + item.top_m, points)


def inside_wall(scene: Scene, wall: Wall, points: Points) -> Mask:
    """Which of the points (n, 3) lie within 5 cm of an inner wall's sheet; (n,) bool."""
    sheet = shapely.LineString(wall_path(scene, wall))
    mask = _near(sheet, *wall_span(scene, wall), points)
    if not mask.any():
        return mask
    for hole in holes_of_wall(scene, wall):
        mask &= ~_in_hole(hole, points)
    return mask


def _in_hole(hole: Hole, points: Points) -> Mask:
    """Which of the points (n, 3) stand clear in a doorway or window."""
    offset = points[:, :2] - hole.start
    along = offset @ hole.along
    aside = np.abs(offset @ np.array([-hole.along[1], hole.along[0]]))
    return np.asarray(
        (along > hole.first_m + CLEARANCE_M)
        & (along < hole.last_m - CLEARANCE_M)
        & (aside < CLEARANCE_M)
        & (points[:, 2] > hole.bottom_m + CLEARANCE_M)
        & (points[:, 2] < hole.top_m - CLEARANCE_M)
    )


def _near(shape: shapely.Geometry, bottom: float, top: float, points: Points) -> Mask:
    """Which of the points (n, 3) lie within 5 cm of a shape in plan between two heights."""
    mask = (points[:, 2] > bottom - CLEARANCE_M) & (points[:, 2] < top + CLEARANCE_M)
    west, south, east, north = shape.bounds
    mask &= (points[:, 0] > west - CLEARANCE_M) & (points[:, 0] < east + CLEARANCE_M)
    mask &= (points[:, 1] > south - CLEARANCE_M) & (points[:, 1] < north + CLEARANCE_M)
    near = np.flatnonzero(mask)
    if len(near):
        plan = shapely.points(points[near, :2])
        mask[near] = shapely.distance(shape, plan) < CLEARANCE_M
    return np.asarray(mask)
