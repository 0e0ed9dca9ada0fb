"""Where people and vehicles are at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from twin.scene.contents import Furniture, Person
from twin.scene.outdoors import Road, Vehicle

Place = npt.NDArray[np.float64]


def along_path(path: npt.ArrayLike, distance_m: float) -> tuple[Place, float]:
    """Place (2,) [m] and heading [rad] at a distance along a polyline (n, 2), its ends at most."""
    corners = np.asarray(path, dtype=np.float64)
    steps = np.diff(corners, axis=0)
    lengths = np.hypot(*steps.T)
    ends = np.cumsum(lengths)
    place = min(max(distance_m, 0.0), float(ends[-1]))
    index = min(int(np.searchsorted(ends, place, side="left")), len(steps) - 1)
    # A step without a length has no heading of its own.
    while lengths[index] == 0.0 and index > 0:
        index -= 1
    start = ends[index] - lengths[index]
    along = steps[index] / lengths[index] if lengths[index] > 0.0 else np.array([1.0, 0.0])
    return corners[index] + (place - start) * along, float(np.arctan2(along[1], along[0]))


def path_length_m(path: npt.ArrayLike) -> float:
    """Length [m] of a polyline (n, 2)."""
    return float(np.hypot(*np.diff(np.asarray(path, dtype=np.float64), axis=0).T).sum())


def person_as_furniture(person: Person, time_s: float) -> Furniture:
    """A person where the walk to and fro has led at a time [s], facing along the path."""
    length = path_length_m(person.path_m)
    way = person.start_m + person.speed_m_per_s * time_s
    folded = way % (2.0 * length) if length > 0.0 else 0.0
    place, heading = along_path(person.path_m, min(folded, 2.0 * length - folded))
    # Shoulders lie across the way.
    yaw = np.rad2deg(heading) - 90.0
    return Furniture(
        name=person.name,
        kind="person",
        centre_m=(float(place[0]), float(place[1])),
        size_m=person.size_m,
        yaw_deg=float(yaw),
        material=person.material,
        present=person.present,
        storey=person.storey,
    )


def vehicle_place(vehicle: Vehicle, road: Road, time_s: float) -> tuple[Place, float]:
    """Centre (2,) [m] and heading [rad] of a vehicle at a time [s].

    It keeps whole on its road: it comes in at one end when it has reached the other. One that
    stands is where it was put.
    """
    length = path_length_m(road.path_m)
    half = vehicle.extent_m[0] / 2.0
    free = max(length - 2.0 * half, 1e-9)
    way = vehicle.at_m
    if vehicle.speed_m_per_s != 0.0:
        way = half + (way - half + vehicle.speed_m_per_s * time_s) % free
    place, heading = along_path(road.path_m, way)
    across = road.width_m * (0.5 - (vehicle.lane + 0.5) / road.lanes)
    left = np.array([-np.sin(heading), np.cos(heading)])
    if vehicle.speed_m_per_s < 0.0:
        return place + across * left, heading + np.pi
    return place + across * left, heading
