"""MetaLoc's RSS fingerprint: the nearest reference points in signal space (its Fig. 3).

A learner that sees distances in signal space and coordinates instead of levels does not know which
access points there are or how large a place is, so one network serves every place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from twin.errors import Fault, refuse

Array = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Index = npt.NDArray[np.intp]

#: One unit of a learner's distance [dB]: about the spread of levels between points of a room.
DECIBELS_A_UNIT = 10.0

Area = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class ReferenceMap:
    """The labelled fingerprints of a place, and the coordinates a learner works in.

    An access point that was not heard counts as the weakest level that the reference points heard
    of any access point; so does one that only the asked fingerprint did not hear.

    Args:
        fingerprints: (r, a) levels [dBm]; NaN = not heard.
        position: (r, 2) of the reference points [m].
        area_m: x from, y from, x to, y to of the place [m]; None: that of the reference points.

    Raises:
        InputError: with every fault found.
    """

    fingerprints: Array
    position: Array
    area_m: Area | None = None

    def __post_init__(self) -> None:
        refuse(self._faults())

    @property
    def origin(self) -> Array:
        """(2,) centre of the area [m], the learner's (0, 0)."""
        x0, y0, x1, y1 = self._area
        return np.array([(x0 + x1) / 2.0, (y0 + y1) / 2.0])

    @property
    def reach(self) -> float:
        """Half of the longer side of the area [m], the learner's 1 along both axes."""
        x0, y0, x1, y1 = self._area
        return max(x1 - x0, y1 - y0) / 2.0

    def to_unit(self, position: npt.ArrayLike) -> Float32:
        """(…, 2) the learner's coordinates of (…, 2) positions [m]."""
        place = np.asarray(position, dtype=np.float64)
        return np.asarray((place - self.origin) / self.reach, dtype=np.float32)

    def to_metres(self, unit: npt.ArrayLike) -> Array:
        """(…, 2) positions [m] of (…, 2) coordinates of the learner."""
        return np.asarray(unit, dtype=np.float64) * self.reach + self.origin

    def nearest(
        self, fingerprints: npt.ArrayLike, neighbours: int, own: npt.ArrayLike | None = None
    ) -> tuple[Array, Index]:
        """The nearest reference points in signal space, the nearest first, equal ones by index.

        Where there are fewer reference points than asked for, the farthest one stands again and
        again for those that are missing.

        Args:
            fingerprints: (n, a) levels [dBm]; NaN = not heard.
            neighbours: K.
            own: (n,) index of a reference point that may not be among a fingerprint's neighbours,
                for fingerprints that are those of the reference points; -1: none.

        Returns:
            (n, K) root mean square difference of the levels over the access points [dB], that is
            the Euclidean distance over the square root of their number, and (n, K) index of the
            reference point.

        Raises:
            InputError: fingerprints of other access points, `own` that does not fit, K below 1, or
                no reference point left.
        """
        asked = np.asarray(fingerprints, dtype=np.float64)
        excluded = None if own is None else np.asarray(own)
        refuse(self._asked_faults(asked, neighbours, excluded))
        known = self._filled(self.fingerprints)
        distance = cdist(self._filled(asked), known) / np.sqrt(known.shape[1])
        there = np.full(len(asked), len(known))
        if excluded is not None:
            rows = np.flatnonzero(excluded >= 0)
            distance[rows, excluded[rows]] = np.inf
            there[rows] -= 1
        order = np.argsort(distance, axis=1, kind="stable")
        taken = np.minimum(np.arange(neighbours), there[:, None] - 1)
        order = np.take_along_axis(order, taken, axis=1)
        return np.take_along_axis(distance, order, axis=1), order

    def inputs(
        self, fingerprints: npt.ArrayLike, neighbours: int, own: npt.ArrayLike | None = None
    ) -> Float32:
        """(n, 3K) what a learner sees: K distances, then x and y of each neighbour in turn.

        Distances are those of `nearest` in units of `DECIBELS_A_UNIT`, coordinates those of
        `to_unit`; arguments and errors are those of `nearest`.
        """
        distance, index = self.nearest(fingerprints, neighbours, own)
        where = self.to_unit(self.position[index]).reshape(len(index), 2 * neighbours)
        return np.hstack([(distance / DECIBELS_A_UNIT).astype(np.float32), where])

    def _filled(self, levels: Array) -> Array:
        weakest = np.nanmin(self.fingerprints)
        return np.where(np.isfinite(levels), levels, weakest)

    @property
    def _area(self) -> Area:
        if self.area_m is not None:
            return self.area_m
        (x0, y0), (x1, y1) = self.position.min(axis=0), self.position.max(axis=0)
        return (float(x0), float(y0), float(x1), float(y1))

    def _faults(self) -> list[Fault]:
        where = "reference map"
        levels, position = np.shape(self.fingerprints), np.shape(self.position)
        faults = []
        if len(levels) != 2 or 0 in levels:
            faults.append(Fault(where, "fingerprints", "(r, a), none of them 0", str(levels)))
        elif np.isinf(self.fingerprints).any() or not np.isfinite(self.fingerprints).any():
            expected = "finite levels, NaN where not heard, one heard at least"
            faults.append(Fault(where, "fingerprints", expected, "others"))
        if position[1:] != (2,) or (len(levels) == 2 and position[0] != levels[0]):
            faults.append(
                Fault(where, "position", "(r, 2), as many as fingerprints", str(position))
            )
        elif not np.isfinite(self.position).all():
            faults.append(Fault(where, "position", "finite coordinates", "others"))
        if not faults:
            x0, y0, x1, y1 = self._area
            sound = np.isfinite(self._area).all() and x0 <= x1 and y0 <= y1
            if not sound or max(x1 - x0, y1 - y0) <= 0.0:
                expected = "an area with x from <= x to, y from <= y to, that is not a point"
                cure = "Give area_m." if self.area_m is None else ""
                faults.append(Fault(where, "area_m", expected, str(self._area), cure))
        return faults

    def _asked_faults(
        self, asked: Array, neighbours: int, own: npt.NDArray[np.generic] | None
    ) -> list[Fault]:
        references, access_points = self.fingerprints.shape
        faults = []
        if asked.ndim != 2 or asked.shape[1] != access_points:
            expected = f"(n, {access_points}), the access points of the reference points"
            faults.append(Fault("fingerprints", "", expected, str(asked.shape)))
        elif np.isinf(asked).any():
            faults.append(Fault("fingerprints", "", "finite levels, NaN where not heard", "others"))
        if neighbours < 1:
            faults.append(Fault("neighbours", "", "1 or more", str(neighbours)))
        if own is not None:
            whole = own.dtype.kind in "iu" and own.shape == asked.shape[:1]
            if not whole or (own.size and (own.min() < -1 or own.max() >= references)):
                expected = f"one whole number from -1 to {references - 1} a fingerprint"
                faults.append(Fault("own reference points", "", expected, f"shape {own.shape}"))
            elif references == 1 and own.size and own.max() == 0:
                faults.append(Fault("reference map", "", "2 or more to leave one out", "1"))
        return faults
