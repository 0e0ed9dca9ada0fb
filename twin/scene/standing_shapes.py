"""What stands in a scene, as shapes in plan between two heights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import shapely

from twin.scene.declaration import Scene
from twin.scene.openings import present_holes
from twin.scene.street_shapes import footprint, vehicle_surface
from twin.scene.wall_paths import wall_path, wall_span


class Standing(NamedTuple):
    """Something that stands.

    Args:
        kind: of part, as ``wall``.
        name: of the part.
        plan: its shape in plan [m]; a line for a sheet.
        bottom_m: in the world.
        top_m: likewise; infinite for a wall under the open sky that gives no height.
    """

    kind: str
    name: str
    plan: shapely.Geometry
    bottom_m: float
    top_m: float


def inner_walls(scene: Scene) -> Iterator[Standing]:
    """Inner walls that are present, their openings not cut out."""
    for wall in scene.walls:
        if wall.present:
            plan = shapely.LineString(wall_path(scene, wall))
            yield Standing("wall", wall.name, plan, *wall_span(scene, wall))


def leaves(scene: Scene) -> Iterator[Standing]:
    """Leaves of doors and windows where they are, those that slid away left out."""
    for hole in present_holes(scene):
        if hole.leaf is not None:
            plan = shapely.LineString(np.stack(hole.leaf))
            yield Standing("opening", hole.opening.name, plan, hole.bottom_m, hole.top_m)


def street_things(scene: Scene) -> Iterator[Standing]:
    """Buildings and vehicles that are present, vehicles at the scene's time."""
    for building in scene.buildings:
        if building.present:
            top = building.bottom_m + building.height_m + building.roof_height_m
            plan = footprint(building)
            yield Standing("building", building.name, plan, building.bottom_m, top)
    roads = {road.name: road for road in scene.roads}
    for vehicle in scene.vehicles:
        if vehicle.present and vehicle.road in roads:
            body = vehicle_surface(vehicle, roads[vehicle.road], scene.time_s).vertices
            plan = shapely.MultiPoint(body[:, :2]).convex_hull
            low, high = float(body[:, 2].min()), float(body[:, 2].max())
            yield Standing("vehicle", vehicle.name, plan, low, high)
