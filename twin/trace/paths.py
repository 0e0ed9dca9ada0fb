"""The table of propagation paths that every engine fills and every observable is derived from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

REFLECTION, DIFFUSE, TRANSMISSION, DIFFRACTION = 1, 2, 4, 8


@dataclass(frozen=True)
class PathList:
    """Paths of many links as an engine finds them, m in any order; directions in the world frame.

    Args:
        point, access_point: (m,) int64, the ends.
        gain: (m,) complex64, amplitude with both antenna patterns and the carrier's phase.
        transfer: (m, 2, 2) complex64, amplitude without antenna patterns, with the carrier's phase:
            receiver's (theta, phi) by transmitter's (theta, phi).
        delay_s: (m,) float64, absolute.
        aoa_azimuth, aoa_zenith, aod_azimuth, aod_zenith: (m,) float32 [rad].
        interactions: (m,) int32, see `PathTable`.
        seen_once: (m,) bool, whether the search came upon the path's surfaces only once, so that
            others like it may have been missed.
    """

    point: npt.NDArray[np.int64]
    access_point: npt.NDArray[np.int64]
    gain: npt.NDArray[np.complex64]
    transfer: npt.NDArray[np.complex64]
    delay_s: npt.NDArray[np.float64]
    aoa_azimuth: npt.NDArray[np.float32]
    aoa_zenith: npt.NDArray[np.float32]
    aod_azimuth: npt.NDArray[np.float32]
    aod_zenith: npt.NDArray[np.float32]
    interactions: npt.NDArray[np.int32]
    seen_once: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.point)

    def where(self, chosen: npt.NDArray[np.bool_]) -> PathList:
        """Those paths for which `chosen` (m,) is set."""
        return PathList(
            **{field.name: getattr(self, field.name)[chosen] for field in fields(PathList)}
        )


def no_paths() -> PathList:
    """An empty list."""
    number, angle = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    return PathList(
        point=number,
        access_point=number,
        gain=np.zeros(0, dtype=np.complex64),
        transfer=np.zeros((0, 2, 2), dtype=np.complex64),
        delay_s=np.zeros(0),
        aoa_azimuth=angle,
        aoa_zenith=angle,
        aod_azimuth=angle,
        aod_zenith=angle,
        interactions=number.astype(np.int32),
        seen_once=np.zeros(0, dtype=np.bool_),
    )


@dataclass(frozen=True)
class PathTable:
    """Paths of every link, strongest first; n points, a access points, p paths.

    Args:
        gain: (n, a, p) complex64, baseband amplitude with both antenna patterns and the carrier's
            phase; zero where there is no path.
        transfer: (n, a, p, 2, 2) complex64, the same without antenna patterns: receiver's (theta,
            phi) by transmitter's (theta, phi), unit vectors of zenith and azimuth of the world
            frame at the directions of arrival and departure.
        delay_s: (n, a, p) float64, absolute; NaN where there is no path. So are the angles.
        aoa_azimuth, aoa_zenith, aod_azimuth, aod_zenith: (n, a, p) float32 [rad], world frame:
            azimuth from +x towards +y in (-pi, pi], zenith from +z; arrival points from the
            receiver back along the path.
        interactions: (n, a, p) int32, bits of all interactions of a path: 1 reflection, 2 diffuse
            reflection, 4 transmission, 8 diffraction; 0 for line of sight and for no path.
        num_paths: (n, a) int16, paths kept.
        power_left_out: (n, a) float32, sum of |gain|^2 of the paths beyond p.
        power_undiscovered: (n, a) float32, estimate of the sum of |gain|^2 of paths that the search
            did not come upon: that of the paths it came upon only once (first-order jackknife;
            Burnham and Overton, Biometrika 65, 1978).
    """

    gain: npt.NDArray[np.complex64]
    transfer: npt.NDArray[np.complex64]
    delay_s: npt.NDArray[np.float64]
    aoa_azimuth: npt.NDArray[np.float32]
    aoa_zenith: npt.NDArray[np.float32]
    aod_azimuth: npt.NDArray[np.float32]
    aod_zenith: npt.NDArray[np.float32]
    interactions: npt.NDArray[np.int32]
    num_paths: npt.NDArray[np.int16]
    power_left_out: npt.NDArray[np.float32]
    power_undiscovered: npt.NDArray[np.float32]


# What stands in a table where there is no path.
_EMPTY: dict[str, Any] = {"gain": 0.0, "transfer": 0.0, "interactions": 0}
_PER_PATH = tuple(
    field.name for field in fields(PathList) if field.name in {f.name for f in fields(PathTable)}
)


def tabulate(paths: PathList, points: int, access_points: int, max_paths: int) -> PathTable:
    """Paths in canonical order, cut or padded to `max_paths` a link.

    Strongest first; paths of equal strength (mirror images of a symmetric room) by delay, then by
    angles and interactions. A search's own order is not repeatable.
    """
    link = paths.point * access_points + paths.access_point
    power = _power(paths.gain)
    order = _canonical_order(paths, link, power)
    link, power = link[order], power[order]
    first = np.searchsorted(link, np.arange(points * access_points + 1))
    rank = np.arange(len(link)) - first[link]
    kept = rank < max_paths
    place = (link[kept], rank[kept])
    shape = (points, access_points)

    def arranged(name: str) -> npt.NDArray[Any]:
        values = getattr(paths, name)
        table = np.full(
            (points * access_points, max_paths, *values.shape[1:]),
            _EMPTY.get(name, np.nan),
            dtype=values.dtype,
        )
        table[place] = values[order[kept]]
        return table.reshape(*shape, max_paths, *values.shape[1:])

    def total(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        # The order of addition is that of the table: equal paths give equal bytes.
        sums = np.bincount(link[chosen], power[chosen], minlength=points * access_points)
        return sums.reshape(shape).astype(np.float32)

    return PathTable(
        **{name: arranged(name) for name in _PER_PATH},
        num_paths=np.minimum(np.diff(first), max_paths).reshape(shape).astype(np.int16),
        power_left_out=total(~kept),
        power_undiscovered=total(paths.seen_once[order]),
    )


def _power(gain: npt.NDArray[np.complex64]) -> npt.NDArray[np.float64]:
    return gain.real.astype(np.float64) ** 2 + gain.imag.astype(np.float64) ** 2


def _canonical_order(
    paths: PathList, link: npt.NDArray[np.int64], power: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    order = np.lexsort((-power, link))
    # Ties are rare, and further keys are dear.
    tied = (np.diff(link[order]) == 0) & (np.diff(power[order]) == 0.0)
    if tied.any():
        rows = np.nonzero(np.isin(link[order], link[order[1:][tied]]))[0]
        some = order[rows]
        ties = np.lexsort(
            (
                paths.interactions[some],
                paths.aod_zenith[some],
                paths.aod_azimuth[some],
                paths.aoa_zenith[some],
                paths.aoa_azimuth[some],
                paths.delay_s[some],
                -power[some],
                link[some],
            )
        )
        order[rows] = some[ties]
    return order


def join(tables: Sequence[PathTable], axis: int) -> PathTable:
    """Tables of further points (axis 0) or further access points (axis 1), one after the other.

    All must be cut to the same number of paths.
    """
    return PathTable(
        **{
            field.name: np.concatenate([getattr(table, field.name) for table in tables], axis=axis)
            for field in fields(PathTable)
        }
    )


def joined(lists: Sequence[PathList]) -> PathList:
    """Several lists, or none, as one."""
    return PathList(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in (no_paths(), *lists)])
            for field in fields(PathList)
        }
    )


def select(
    table: PathTable,
    points: slice = slice(None),
    access_points: slice | list[int] = slice(None),
) -> PathTable:
    """Some points and access points of a table, in the order asked for."""
    return PathTable(
        **{
            field.name: getattr(table, field.name)[points][:, access_points]
            for field in fields(PathTable)
        }
    )
