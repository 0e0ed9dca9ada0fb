"""Paths as lines in space, as drawings show them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class PathLines:
    """The paths between access points and some points, m of them, with their corners.

    Paths are sorted by point, then by access point, the strongest first.

    Args:
        points: (n, 3) [m], receivers.
        numbers: (n,) int64, what each is called: its place in `receiver_points` of the scene.
        access_points: names of the access points.
        point, access_point: (m,) int64, the ends.
        power_db: (m,) received by transmitted power, antenna patterns included.
        delay_s: (m,) absolute.
        interactions: (m, k) int8, what happens at each corner between the ends, seen from the
            access point: 1 reflection, 4 transmission, 8 diffraction; 0 past the last.
        corners: (m, k + 2, 3) [m], the access point, the corners, the point; NaN past the point.
    """

    points: npt.NDArray[np.float64]
    numbers: npt.NDArray[np.int64]
    access_points: tuple[str, ...]
    point: npt.NDArray[np.int64]
    access_point: npt.NDArray[np.int64]
    power_db: npt.NDArray[np.float64]
    delay_s: npt.NDArray[np.float64]
    interactions: npt.NDArray[np.int8]
    corners: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.point)

    def length_m(self) -> npt.NDArray[np.float64]:
        """Lengths (m,) of the lines [m]."""
        legs = np.linalg.norm(np.diff(self.corners, axis=1), axis=2)
        return np.asarray(np.nansum(legs, axis=1))
