"""Places for what a map does not tell: receivers on a grid, access points spread out evenly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

Numbers = npt.NDArray[np.float64]

PITCHES_M = (0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0)
# More grid points than that are not even counted.
_MOST_TRIED = 1_000_000


def grid(shape: shapely.Geometry, pitch: float) -> Numbers:
    """Points (n, 2) [m] of a square grid, anchored at (0, 0), inside a shape; x is slow."""
    if shape.is_empty:
        return np.empty((0, 2))
    west, south, east, north = shape.bounds
    axes = [
        np.arange(np.ceil(low / pitch), np.floor(high / pitch) + 1.0) * pitch
        for low, high in ((west, east), (south, north))
    ]
    x, y = (part.ravel() for part in np.meshgrid(*axes, indexing="ij"))
    shapely.prepare(shape)
    # Added to, -0.0 reads 0.0.
    return np.asarray(np.column_stack([x, y])[shapely.contains_xy(shape, x, y)] + 0.0)


def fitting_grid(shape: shapely.Geometry, most: int) -> tuple[Numbers, float]:
    """The finest grid of `PITCHES_M` with at most so many points in a shape, and its pitch [m]."""
    west, south, east, north = shape.bounds if not shape.is_empty else (0.0,) * 4
    points = np.empty((0, 2))
    for pitch in PITCHES_M:
        if (east - west) * (north - south) / pitch**2 > _MOST_TRIED:
            continue
        points = grid(shape, pitch)
        if len(points) <= most:
            return points, pitch
    return points[:most], PITCHES_M[-1]


def spread(candidates: Numbers, count: int, clear_of: shapely.Geometry) -> Numbers:
    """Places (k, 2) [m] far from each other: k is `count`, or fewer where candidates run out.

    Farthest-point sampling (Gonzalez, Theoretical Computer Science 38, 1985): the first is the
    candidate farthest from `clear_of`, each further one the farthest from those chosen. Of equals
    the first in the list is taken, so that nothing is left to chance.

    Args:
        candidates: (n, 2) [m].
        count: how many are wanted.
        clear_of: what the first has to be far from, such as walls.
    """
    if not len(candidates):
        return candidates
    clearance = shapely.distance(clear_of, shapely.points(candidates))
    chosen = [int(np.argmax(clearance))]
    away = np.full(len(candidates), np.inf)
    while len(chosen) < min(count, len(candidates)):
        away = np.minimum(away, np.linalg.norm(candidates - candidates[chosen[-1]], axis=1))
        chosen.append(int(np.argmax(away)))
    return candidates[chosen]
