"""Receiver points in plan, as an area declares them one by one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.radio import GridArea, ListedPoints, Trajectory

_ON_EDGE_M = 1e-6


def declared_points(area: GridArea | Trajectory | ListedPoints) -> npt.NDArray[np.float64]:
    """Points (n, 2) [m] of an area that leaves none of them to chance."""
    if isinstance(area, GridArea):
        return _grid(area)
    if isinstance(area, Trajectory):
        return _walk(area)
    return np.asarray(area.points_m, dtype=np.float64)


def _grid(area: GridArea) -> npt.NDArray[np.float64]:
    """Those inside the area (its edge counts as inside).

    The grid is anchored at (0, 0), so that points coincide with those of a survey on the same
    pitch. Row-major: x is the slow coordinate.
    """
    polygon = shapely.Polygon(area.area_m)
    west, south, east, north = polygon.bounds
    axes = []
    for low, high in ((west, east), (south, north)):
        first = np.ceil((low - _ON_EDGE_M) / area.pitch_m)
        last = np.floor((high + _ON_EDGE_M) / area.pitch_m)
        axes.append(np.arange(first, last + 1.0) * area.pitch_m)
    x, y = (part.ravel() for part in np.meshgrid(*axes, indexing="ij"))
    within = shapely.distance(polygon, shapely.points(x, y)) <= _ON_EDGE_M
    # The multiple of a negative number of steps and of zero steps must both read +0.
    return np.asarray(np.column_stack([x, y])[within] + 0.0)


def _walk(area: Trajectory) -> npt.NDArray[np.float64]:
    """From the start of the path, one every interval."""
    path = shapely.LineString(area.path_m)
    step = area.speed_m_per_s * area.interval_s
    distances = np.arange(0.0, path.length + 1e-9, step)
    return np.asarray(shapely.get_coordinates(shapely.line_interpolate_point(path, distances)))
