"""The table of propagation paths that every engine fills and every observable is derived from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

REFLECTION, DIFFUSE, TRANSMISSION, DIFFRACTION = 1, 2, 4, 8


@dataclass(frozen=True)
class PathTable:
    """Paths of every link, strongest first; n points, a access points, p paths.

    Args:
        gain: (n, a, p) complex64, baseband amplitude with both antenna patterns and the carrier's
            phase; zero where there is no path.
        delay_s: (n, a, p) float64, absolute; NaN where there is no path. So are the angles.
        aoa_azimuth, aoa_zenith, aod_azimuth, aod_zenith: (n, a, p) float32 [rad], world frame:
            azimuth from +x towards +y in (-pi, pi], zenith from +z; arrival points from the
            receiver back along the path.
        interactions: (n, a, p) int32, bits of all interactions of a path: 1 reflection, 2 diffuse
            reflection, 4 transmission, 8 diffraction; 0 for line of sight and for no path.
        num_paths: (n, a) int16, paths kept.
        power_left_out: (n, a) float32, sum of |gain|^2 of the paths beyond p.
    """

    gain: npt.NDArray[np.complex64]
    delay_s: npt.NDArray[np.float64]
    aoa_azimuth: npt.NDArray[np.float32]
    aoa_zenith: npt.NDArray[np.float32]
    aod_azimuth: npt.NDArray[np.float32]
    aod_zenith: npt.NDArray[np.float32]
    interactions: npt.NDArray[np.int32]
    num_paths: npt.NDArray[np.int16]
    power_left_out: npt.NDArray[np.float32]


def canonical(table: PathTable, max_paths: int) -> PathTable:
    """Paths in canonical order, cut or padded to `max_paths`.

    Strongest first; paths of equal strength (mirror images of a symmetric room) by delay, then by
    angles and interactions. A solver's own order is not repeatable.
    """
    power = table.gain.real.astype(np.float64) ** 2 + table.gain.imag.astype(np.float64) ** 2
    there = power > 0.0
    # The last key counts most; NaN sorts last.
    order = np.lexsort(
        (
            table.interactions,
            table.aod_zenith,
            table.aod_azimuth,
            table.aoa_zenith,
            table.aoa_azimuth,
            table.delay_s,
            -power,
        ),
        axis=-1,
    )
    power = np.take_along_axis(power, order, axis=-1)
    count = np.minimum(there.sum(axis=-1), max_paths)
    valid = np.arange(max_paths) < count[..., None]

    def arrange(values: npt.NDArray[np.generic], empty: float) -> npt.NDArray[np.generic]:
        sorted_values = np.take_along_axis(values, order, axis=-1)[..., :max_paths]
        missing = max_paths - sorted_values.shape[-1]
        padded = np.pad(sorted_values, [(0, 0), (0, 0), (0, missing)])
        return np.where(valid, padded, values.dtype.type(empty))

    empty = {"gain": 0.0, "interactions": 0}
    arranged = {
        field.name: arrange(getattr(table, field.name), empty.get(field.name, np.nan))
        for field in fields(PathTable)
        if field.name not in ("num_paths", "power_left_out")
    }
    return PathTable(
        **arranged,  # type: ignore[arg-type]
        num_paths=count.astype(np.int16),
        power_left_out=power[..., max_paths:].sum(axis=-1).astype(np.float32),
    )


def join(tables: list[PathTable], axis: int) -> PathTable:
    """Tables of further points (axis 0) or further access points (axis 1), one after the other.

    All must be cut to the same number of paths.
    """
    return PathTable(
        **{
            field.name: np.concatenate([getattr(table, field.name) for table in tables], axis=axis)
            for field in fields(PathTable)
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
