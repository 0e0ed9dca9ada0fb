"""Where the receivers of a scene stand."""

from __future__ import annotations

import numpy as np
import shapely

from twin.scene.declaration import Scene
from twin.scene.levels import floor_m
from twin.scene.obstacles import CLEARANCE_M, Mask, Points, covered, within_shell
from twin.scene.point_plans import declared_points
from twin.scene.radio import RandomArea, ReceiverArea
from twin.seeds import stream

__all__ = [
    "CLEARANCE_M",
    "Mask",
    "Points",
    "area_points",
    "paired_points",
    "receiver_points",
    "standing",
]

_BLOCK = 4096
_MAX_BLOCKS = 250


def receiver_points(scene: Scene) -> Points:
    """Points (n, 3) float64 [m] of all receiver areas, in their order.

    Points where something stands are left out of areas that say so; that there are none in the
    others is for `twin.scene.check` to say.
    """
    return np.concatenate([area_points(scene, area) for area in scene.receivers])


def paired_points(nominal: Scene, changed: Scene) -> Points:
    """The nominal scene's points (n, 3) [m] at the receiver heights of a changed one.

    So the realisations of a scene differ in everything but where its receivers stand.
    """
    parts = []
    for declared, now in zip(nominal.receivers, changed.receivers, strict=True):
        points = area_points(nominal, declared)
        points[:, 2] = floor_m(changed, now.storey) + now.height_m
        parts.append(points)
    return np.concatenate(parts)


def area_points(scene: Scene, area: ReceiverArea) -> Points:
    """Points (n, 3) float64 [m] of one receiver area of a scene."""
    height = floor_m(scene, area.storey) + area.height_m
    if isinstance(area, RandomArea):
        return _random_points(scene, area, height)
    points = _at(declared_points(area), height)
    return points[standing(scene, area, points)] if area.blocked == "leave_out" else points


def standing(scene: Scene, area: ReceiverArea, points: Points) -> Mask:
    """At which of the points (n, 3) of an area somebody can stand: in the shell, and free."""
    free = within_shell(scene, area.storey, points)
    for mask in covered(scene, points).values():
        free &= ~mask
    return free


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
