"""Where an access point and receivers can stand among the triangles of an imported scene.

An importer knows no access points. It puts one, and a grid of receivers, where nothing is in their
way, so that the scene can be traced at once and be put right by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, InputError
from twin.scene.triangles import Mask, Points, near_triangles, vertical_hits

CLEAR_M = 0.3
_PITCHES_M = (0.25, 0.5, 1.0, 2.0, 5.0)
_MOST_ALONG = 48
_ENOUGH = 4
# Share of what has a floor that has a ceiling too, from which on a scene counts as indoors.
_INDOORS = 0.9
# Above the floor or ground [m], the first that is free.
_RECEIVERS_M = {True: (1.2, 1.0, 0.8, 1.5), False: (1.5, 1.2, 2.0, 3.0)}
_ACCESS_POINT_M = {True: (2.5, 2.2, 2.0, 1.8, 1.5, 1.2, 1.0), False: (6.0, 4.0, 10.0, 3.0, 2.0)}


@dataclass(frozen=True)
class Standing:
    """Places that are free.

    Args:
        indoors: whether they lie between a floor and a ceiling, rather than under the sky.
        access_point: (x, y, z) [m].
        area: west, south, east, north of the receivers' grid points [m].
        pitch_m: of the grid, whose points are multiples of it.
        height_m: of the receivers, from z = 0.
    """

    indoors: bool
    access_point: tuple[float, float, float]
    area: tuple[float, float, float, float]
    pitch_m: float
    height_m: float


def standing(triangles: Points, where: str) -> Standing:
    """Places at least `CLEAR_M` from all triangles (t, 3, 3): for receivers a large rectangle of a
    grid near the middle, for an access point the free place nearest to the rectangle's middle.

    Indoors these lie between a floor and a ceiling; outdoors above a ground where there is one, and
    under nothing. Of a large mesh only the middle is searched.

    Raises:
        InputError: there is no such place.
    """
    low, high = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
    longest = float((high - low)[:2].max())
    fitting = [i for i, pitch in enumerate(_PITCHES_M) if longest <= pitch * _MOST_ALONG]
    coarsest = fitting[0] if fitting else len(_PITCHES_M) - 1
    best: Standing | None = None
    for pitch in _PITCHES_M[coarsest::-1]:
        grid = _Grid.over(triangles, low, high, pitch)
        found, count = grid.standing() if grid is not None else (None, 0)
        best = found or best
        if count >= _ENOUGH:
            break
    if best is None:
        expected = f"room for an access point and receivers, {CLEAR_M:g} m clear of all triangles"
        size = " x ".join(f"{side:.3g}" for side in high - low)
        cure = "Is the mesh in metres, and does z point up?"
        raise InputError([Fault(where, "", expected, f"none in {size} m", cure)])
    return best


@dataclass(frozen=True)
class _Grid:
    """A grid over a mesh, and what lies above and below its points.

    Args:
        triangles: (t, 3, 3) [m].
        x, y: multiples of the pitch.
        plan: (n, 2) of all its points, x slow.
        number, height: point (h,) and height (h,) of each triangle met by its vertical line.
        base: height of the floor or ground at most points.
    """

    triangles: Points
    pitch: float
    x: Points
    y: Points
    plan: Points
    number: npt.NDArray[np.int64]
    height: Points
    base: float
    indoors: bool = field(init=False)

    @classmethod
    def over(cls, triangles: Points, low: Points, high: Points, pitch: float) -> _Grid | None:
        """The grid inside the bounds (3,) of a mesh; None where it has no point."""
        x, y = (_axis(float(low[i]), float(high[i]), pitch) for i in (0, 1))
        if min(len(x), len(y)) == 0:
            return None
        plan = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
        number, height = vertical_hits(triangles, plan)
        floor = np.full(len(plan), np.inf)
        np.minimum.at(floor, number, height)
        floor = floor[np.isfinite(floor)]
        base = float(np.median(floor)) if len(floor) else float(low[2])
        return cls(triangles, pitch, x, y, plan, number, height, base)

    def __post_init__(self) -> None:
        below, above = self._span(self.base + 1.0)
        covered = (below & above).sum() >= _INDOORS * below.sum()
        object.__setattr__(self, "indoors", bool(below.any() and covered))

    def _span(self, z: float) -> tuple[Mask, Mask]:
        """Which points have something below a height, and which above it; (n,) each."""
        below, above = (np.zeros(len(self.plan), dtype=np.bool_) for _ in range(2))
        below[self.number[self.height <= z]] = True
        above[self.number[self.height > z]] = True
        return below, above

    def _free(self, z: float) -> Mask:
        """Points (n,) that are free at a height."""
        below, above = self._span(z)
        grounded = below | (not below.any())
        free = below & above if self.indoors else grounded & ~above
        chosen = np.flatnonzero(free)
        points = np.column_stack([self.plan[chosen], np.full(len(chosen), z)])
        free[chosen[near_triangles(self.triangles, points, CLEAR_M)]] = False
        return np.asarray(free)

    def standing(self) -> tuple[Standing | None, int]:
        """The places found, and how many points the receivers' grid has."""
        best: tuple[Standing | None, int] = (None, 0)
        for over in _RECEIVERS_M[self.indoors]:
            z = round(self.base + over, 3)
            free = self._free(z).reshape(len(self.x), len(self.y))
            west, south, east, north = _heaviest(free, self._weights())
            count = (east - west) * (north - south)
            if count <= best[1]:
                continue
            sides = self.x[[west, east - 1]], self.y[[south, north - 1]]
            point = self._access_point(np.array([side.mean() for side in sides]))
            if point is not None:
                (left, right), (front, back) = (side.tolist() for side in sides)
                area = (left, front, right, back)
                best = Standing(self.indoors, point, area, self.pitch, z), count
            if best[1] >= _ENOUGH:
                break
        return best

    def _weights(self) -> Points:
        """Of the points (x, y): one in the middle of the grid, less outwards."""
        x, y = (np.linspace(-2.0, 2.0, len(axis) + 2)[1:-1] for axis in (self.x, self.y))
        return np.asarray(np.exp(-(x[:, None] ** 2) - y[None, :] ** 2))

    def _access_point(self, middle: Points) -> tuple[float, float, float] | None:
        for over in _ACCESS_POINT_M[self.indoors]:
            z = round(self.base + over, 3)
            free = self.plan[self._free(z)]
            if len(free):
                x, y = free[np.hypot(*(free - middle).T).argmin()].tolist()
                return x, y, z
        return None


def _axis(low: float, high: float, pitch: float) -> Points:
    """Multiples of the pitch inside the bounds; those around the middle where there are many."""
    first, last = int(np.ceil(low / pitch)), int(np.floor(high / pitch))
    spare = max(0, last - first + 1 - _MOST_ALONG)
    steps = np.arange(first + spare // 2, last + 1 - (spare + 1) // 2)
    # The multiple of a negative number of steps and of zero steps must both read +0.
    return np.asarray(np.round(steps * pitch, 9) + 0.0)


def _heaviest(free: Mask, weights: Points) -> tuple[int, int, int, int]:
    """West, south, east, north (both exclusive) of the rectangle of free points (x, y) only that
    weighs most; of equals the first.
    """
    best, most = (0, 0, 0, 0), 0.0
    for west in range(len(free)):
        open_rows = np.ones(free.shape[1], dtype=np.bool_)
        row_weights = np.zeros(free.shape[1])
        for east in range(west + 1, len(free) + 1):
            open_rows &= free[east - 1]
            if not open_rows.any():
                break
            row_weights += weights[east - 1]
            south, north, weight = _heaviest_run(open_rows, row_weights)
            if weight > most * (1.0 + 1e-9):
                best, most = (west, south, east, north), weight
    return best


def _heaviest_run(open_rows: Mask, weights: Points) -> tuple[int, int, float]:
    """Start and end (exclusive) of the run of true values that weighs most, and its weight."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], open_rows.astype(np.int8), [0]])))
    total = np.concatenate([[0.0], np.cumsum(weights)])
    starts, ends = edges[::2], edges[1::2]
    heavy = int((total[ends] - total[starts]).argmax())
    return int(starts[heavy]), int(ends[heavy]), float(total[ends[heavy]] - total[starts[heavy]])
