"""Shapes of what stands and lies outdoors: ground, roads, buildings, vehicles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.declaration import Scene
from twin.scene.motion import vehicle_place
from twin.scene.outdoors import Building, Road, Vehicle
from twin.scene.surfaces import Faces, Surface, Vertices, curtain, joined, level, triangulated

_TOUCH_M = 1e-3
# Sharper bends of a road are cut off, else they would grow spikes.
_MITRE = 1.5
# Under a vehicle [m].
_CLEARANCE_M = 0.25
# Side view of a car: shares of its length from the middle, and of its height above the clearance.
_CAR = (
    (-0.5, 0.0),
    (0.5, 0.0),
    (0.5, 0.4),
    (0.25, 0.5),
    (0.1, 1.0),
    (-0.3, 1.0),
    (-0.48, 0.5),
)


def outdoors(scene: Scene) -> list[Surface]:
    """Ground, roads, buildings and vehicles that are present, vehicles at the scene's time."""
    surfaces = _ground(scene)
    for building in scene.buildings:
        if building.present:
            surfaces += _building(building)
    roads = {road.name: road for road in scene.roads}
    surfaces += [
        vehicle_surface(vehicle, roads[vehicle.road], scene.time_s)
        for vehicle in scene.vehicles
        if vehicle.present
    ]
    return surfaces


def footprint(building: Building) -> shapely.Polygon:
    """A building in plan [m]."""
    return shapely.Polygon(building.footprint_m)


def carriageway(road: Road) -> shapely.Geometry:
    """A road in plan [m]."""
    return shapely.LineString(road.path_m).buffer(
        road.width_m / 2.0, cap_style="flat", join_style="mitre", mitre_limit=_MITRE
    )


def _ground(scene: Scene) -> list[Surface]:
    """Level sheets at zero, each cut out of the next: houses, then roads in order, then ground."""
    taken = [
        footprint(item)
        for item in scene.buildings
        if item.present and abs(item.bottom_m) <= _TOUCH_M
    ]
    taken += [
        shapely.Polygon(shell.shifted_outline())
        for shell in scene.shells
        if abs(shell.bottom_m) <= _TOUCH_M
    ]
    covered = shapely.union_all(taken)
    within = shapely.Polygon(scene.ground.area_m) if scene.ground is not None else None
    surfaces = []
    for road in scene.roads:
        lane = carriageway(road)
        if within is not None:
            lane = lane.intersection(within)
        sheets = level(lane.difference(covered), 0.0, up=True)
        if sheets:
            surfaces.append(joined(f"road {road.name}", road.material, sheets))
        covered = covered.union(lane)
    if within is not None and scene.ground is not None:
        sheets = level(within.difference(covered), 0.0, up=True)
        if sheets:
            surfaces.insert(0, joined("ground", scene.ground.material, sheets))
    return surfaces


def _building(building: Building) -> list[Surface]:
    ring = shapely.get_coordinates(shapely.orient_polygons(footprint(building)))[:-1]
    eaves = building.bottom_m + building.height_m
    closed = np.vstack([ring, ring[:1]])[::-1]
    walls = [curtain(closed, building.bottom_m, eaves)]
    peak = eaves + building.roof_height_m
    if building.roof == "flat":
        roof = level(shapely.Polygon(ring), eaves, up=True)
    elif building.roof == "pyramidal":
        roof = [_pyramid(ring, eaves, peak)]
    else:
        roof, gables = _gabled(ring, eaves, peak)
        walls.append(gables)
    return [
        joined(f"building {building.name} walls", building.wall_material, walls),
        joined(f"building {building.name} roof", building.roof_material, roof),
    ]


def _pyramid(ring: npt.NDArray[np.float64], eaves: float, peak: float) -> tuple[Vertices, Faces]:
    centre = shapely.get_coordinates(shapely.Polygon(ring).centroid)[0]
    count = len(ring)
    vertices = np.vstack(
        [np.column_stack([ring, np.full(count, eaves)]), np.append(centre, peak)[None]]
    )
    faces = [[i, (i + 1) % count, count] for i in range(count)]
    return vertices, np.array(faces, dtype=np.int32)


def _gabled(
    ring: npt.NDArray[np.float64], eaves: float, peak: float
) -> tuple[list[tuple[Vertices, Faces]], tuple[Vertices, Faces]]:
    """Two slopes and two gables over four corners; the ridge runs along the longer sides."""
    lengths = np.hypot(*(np.roll(ring, -1, axis=0) - ring).T)
    if lengths[0] + lengths[2] < lengths[1] + lengths[3]:
        ring = np.roll(ring, -1, axis=0)
    # Sides 0-1 and 2-3 are the long ones; the ridge ends over the middle of the others.
    ends = np.stack([ring[[1, 2]].mean(axis=0), ring[[3, 0]].mean(axis=0)])
    vertices = np.vstack(
        [np.column_stack([ring, np.full(4, eaves)]), np.column_stack([ends, np.full(2, peak)])]
    )
    slopes = np.array([[0, 1, 4], [0, 4, 5], [2, 3, 5], [2, 5, 4]], dtype=np.int32)
    gables = np.array([[1, 2, 4], [3, 0, 5]], dtype=np.int32)
    return [(vertices, slopes)], (vertices, gables)


def vehicle_surface(vehicle: Vehicle, road: Road, time_s: float) -> Surface:
    """Closed body where a vehicle is at a time [s]: its side view drawn out over its width."""
    length, width, height = vehicle.extent_m
    profile = _CAR if vehicle.kind == "car" else ((-0.5, 0.0), (0.5, 0.0), (0.5, 1.0), (-0.5, 1.0))
    clearance = min(_CLEARANCE_M, 0.5 * height)
    side = np.array(profile) * [length, height - clearance] + [0.0, clearance]
    corners, faces = triangulated(shapely.Polygon(side))
    count = len(corners)
    # Along, across, up: the right side first, whose outside is that of the profile.
    right = np.column_stack([corners[:, 0], np.full(count, -width / 2.0), corners[:, 1]])
    left = right * [1.0, -1.0, 1.0]
    following = (np.arange(count) + 1) % count
    here = np.arange(count)
    band = [
        face
        for i, j in zip(here, following, strict=True)
        for face in ([i, j + count, j], [i, i + count, j + count])
    ]
    body = np.concatenate([right, left])
    centre, heading = vehicle_place(vehicle, road, time_s)
    turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
    body[:, :2] = body[:, :2] @ turn.T + centre
    return Surface(
        f"vehicle {vehicle.name}",
        vehicle.material,
        body,
        np.concatenate([faces, faces[:, ::-1] + count, np.array(band)]).astype(np.int32),
    )
