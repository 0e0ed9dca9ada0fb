"""Where the receivers of a scene stand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.declaration import Furniture, Scene, Wall

CLEARANCE_M = 0.05
_ON_EDGE_M = 1e-6

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def receiver_points(scene: Scene) -> Points:
    """Grid points (n, 3) float64 [m] inside the receiver area (its edge counts as inside).

    The grid is anchored at (0, 0), so that points coincide with those of a survey on the same
    pitch. Row-major: x is the slow coordinate. That nothing stands where a point lies is for
    `twin.scene.check` to say.
    """
    receivers = scene.receivers
    area = shapely.Polygon(receivers.area_m)
    west, south, east, north = area.bounds
    axes = []
    for low, high in ((west, east), (south, north)):
        first = np.ceil((low - _ON_EDGE_M) / receivers.pitch_m)
        last = np.floor((high + _ON_EDGE_M) / receivers.pitch_m)
        axes.append(np.arange(first, last + 1.0) * receivers.pitch_m)
    x, y = (part.ravel() for part in np.meshgrid(*axes, indexing="ij"))
    within = shapely.distance(area, shapely.points(x, y)) <= _ON_EDGE_M
    points = np.column_stack([x, y, np.full(len(x), receivers.height_m)])[within]
    # The multiple of a negative number of steps and of zero steps must both read +0.
    return np.asarray(points + 0.0)


def inside_furniture(item: Furniture, points: Points) -> Mask:
    """Which of the points (n, 3) lie in a present box or within 5 cm of it; (n,) bool."""
    if not item.present:
        return np.zeros(len(points), dtype=np.bool_)
    level = (points[:, 2] > item.bottom_m - CLEARANCE_M) & (points[:, 2] < item.top_m + CLEARANCE_M)
    box = shapely.Polygon(item.footprint())
    return np.asarray(level & (_distance(box, points) < CLEARANCE_M))


def inside_wall(wall: Wall, room_height: float, points: Points) -> Mask:
    """Which of the points (n, 3) lie within 5 cm of an inner wall's sheet; (n,) bool."""
    top = room_height if wall.height_m is None else wall.bottom_m + wall.height_m
    level = (points[:, 2] > wall.bottom_m - CLEARANCE_M) & (points[:, 2] < top + CLEARANCE_M)
    sheet = shapely.LineString(wall.shifted_path())
    return np.asarray(level & (_distance(sheet, points) < CLEARANCE_M))


def _distance(shape: shapely.Geometry, points: Points) -> Points:
    return np.asarray(shapely.distance(shape, shapely.points(points[:, :2])), dtype=np.float64)
