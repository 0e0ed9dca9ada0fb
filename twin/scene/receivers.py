"""Where the receivers of a scene stand.

An area that names a storey lies in it. One that names none lies outdoors if it is outside the
outlines of all shells in plan, as declared, and the scene has an outdoors (ground, buildings or
roads): heights then count from z = 0. Else it lies in the first storey. Areas are outdoors or in a
storey as a whole: a place half in and half out is for two of them to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import shapely

from twin.scene.declaration import Scene
from twin.scene.levels import floor_m
from twin.scene.obstacles import (
    CLEARANCE_M,
    Mask,
    Points,
    covered,
    outdoors_of,
    settled,
    within_shell,
)
from twin.scene.point_plans import declared_points
from twin.scene.radio import GridArea, RandomArea, ReceiverArea, Trajectory
from twin.seeds import stream

__all__ = [
    "CLEARANCE_M",
    "Mask",
    "Points",
    "area_floor_m",
    "area_points",
    "in_place",
    "is_outdoors",
    "paired_areas",
    "paired_points",
    "receiver_points",
    "standing",
]

# By less than this an area does not reach into a shell that it touches.
_TOUCH_M = 1e-3
_BLOCK = 4096
_MAX_BLOCKS = 250


def receiver_points(scene: Scene) -> Points:
    """Points (n, 3) float64 [m] of all receiver areas, in their order.

    Points where something stands are left out of areas that say so; that there are none in the
    others is for `twin.scene.check` to say.
    """
    placed = _settled_for(scene, scene.receivers)
    return np.concatenate([area_points(placed, area) for area in scene.receivers])


def paired_points(nominal: Scene, changed: Scene) -> Points:
    """The nominal scene's points (n, 3) [m] at the receiver heights of a changed one.

    So the realisations of a scene differ in everything but where its receivers stand.
    """
    return np.concatenate([points for _, points in paired_areas(nominal, changed)])


def paired_areas(nominal: Scene, changed: Scene) -> Iterator[tuple[ReceiverArea, Points]]:
    """Every area of a changed scene, and its part (n, 3) [m] of `paired_points`."""
    placed = _settled_for(nominal, nominal.receivers)
    for declared, now in zip(nominal.receivers, changed.receivers, strict=True):
        points = area_points(placed, declared)
        points[:, 2] = area_floor_m(changed, now) + now.height_m
        yield now, points


def area_points(scene: Scene, area: ReceiverArea) -> Points:
    """Points (n, 3) float64 [m] of one receiver area of a scene."""
    scene = _settled_for(scene, (area,))
    height = area_floor_m(scene, area) + area.height_m
    if isinstance(area, RandomArea):
        return _random_points(scene, area, height)
    points = _at(declared_points(area), height)
    return points[standing(scene, area, points)] if area.blocked == "leave_out" else points


def standing(scene: Scene, area: ReceiverArea, points: Points) -> Mask:
    """At which of the points (n, 3) of an area somebody can stand: where it lies, and free."""
    free = in_place(scene, area, points)
    for mask in covered(scene, points).values():
        free &= ~mask
    return free


def in_place(scene: Scene, area: ReceiverArea, points: Points) -> Mask:
    """Which of the points (n, 3) of an area lie in its storey, or outdoors if that is where it is.

    They are 5 cm clear of walls, floors, ceilings and ground.
    """
    if is_outdoors(scene, area):
        return outdoors_of(scene, points)
    return within_shell(scene, area.storey, points)


def area_floor_m(scene: Scene, area: ReceiverArea) -> float:
    """Height [m] that an area's `height_m` counts from: its storey's floor, or the ground at 0."""
    return 0.0 if is_outdoors(scene, area) else floor_m(scene, area.storey)


def is_outdoors(scene: Scene, area: ReceiverArea) -> bool:
    """Whether an area lies outside all shells, in a scene that has an outdoors."""
    shells = scene.shells
    if not shells:
        return True
    if area.storey is not None or not (scene.ground or scene.buildings or scene.roads):
        return False
    plan = _plan(area)
    # Without their offsets: drawn walls put no area elsewhere.
    outlines = (shapely.Polygon(shell.outline_m).buffer(-_TOUCH_M) for shell in shells)
    return not any(outline.intersects(plan) for outline in outlines)


def _plan(area: ReceiverArea) -> shapely.Geometry:
    if isinstance(area, GridArea | RandomArea):
        return shapely.Polygon(area.area_m)
    if isinstance(area, Trajectory):
        return shapely.LineString(area.path_m)
    return shapely.MultiPoint(area.points_m)


def _settled_for(scene: Scene, areas: Iterable[ReceiverArea]) -> Scene:
    """The scene, its clutter placed once where an area is going to ask what stands there."""
    return settled(scene) if any(area.blocked == "leave_out" for area in areas) else scene


def _at(plan: Points, height: float) -> Points:
    return np.column_stack([plan, np.full(len(plan), height)])


def _random_points(scene: Scene, area: RandomArea, height: float) -> Points:
    """The first `count` draws that lie in the area and are free; fewer where it is too full."""
    draws = stream(area.seed, "receivers", scene.name, area.name)
    polygon = shapely.Polygon(area.area_m)
    west, south, east, north = polygon.bounds
    kept: list[Points] = []
    found = 0
    for _ in range(_MAX_BLOCKS):
        plan = draws.uniform((west, south), (east, north), (_BLOCK, 2))
        plan = plan[shapely.contains_xy(polygon, plan)]
        points = _at(plan, height)
        if area.blocked == "leave_out":
            points = points[standing(scene, area, points)]
        kept.append(points)
        found += len(points)
        if found >= area.count:
            break
    return np.concatenate(kept)[: area.count]
