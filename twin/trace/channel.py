"""Observables of a path table, in pure NumPy.

Sums run in a fixed order, so that equal paths give equal bytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from twin.trace.paths import PathTable
from twin.units import db

_POINTS_AT_ONCE = 64


def subcarrier_offsets_hz(bandwidth_hz: float, count: int) -> npt.NDArray[np.float64]:
    """Offsets (count,) from the carrier [Hz]: -count/2 .. count/2 - 1 times bandwidth / count."""
    return np.asarray((np.arange(count) - count // 2) * (bandwidth_hz / count))


def csi(table: PathTable, bandwidth_hz: float, subcarriers: int) -> npt.NDArray[np.complex64]:
    """Channel frequency response (n, a, k) [1], absolute delays kept.

    H(f) = sum over paths of gain x exp(-j 2 pi f delay), f the offset from the carrier, whose own
    phase is in the gain.
    """
    offsets = subcarrier_offsets_hz(bandwidth_hz, subcarriers)
    spacing = bandwidth_hz / subcarriers
    points, aps, paths = table.gain.shape
    response = np.empty((points, aps, subcarriers), dtype=np.complex64)
    for start in range(0, points, _POINTS_AT_ONCE):
        part = slice(start, start + _POINTS_AT_ONCE)
        delay = np.nan_to_num(table.delay_s[part])
        # One complex exponential a path, then a product a subcarrier: the phase advances evenly.
        step = np.exp(-2j * np.pi * spacing * delay)
        term = table.gain[part] * np.exp(-2j * np.pi * offsets[0] * delay)
        for k in range(subcarriers):
            total = np.zeros(term.shape[:-1], dtype=np.complex128)
            for p in range(paths):
                total += term[..., p]
            response[part, :, k] = total
            term = term * step
    return response


def rss_dbm(
    response: npt.NDArray[np.complex64], power_dbm: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Received power (n, a) [dBm] of transmit powers (a,): mean of |CSI|^2 over the subcarriers.

    Fields are summed, not powers, so this fades with position. NaN where there is no path.
    """
    wide = response.astype(np.complex128)
    power = wide.real**2 + wide.imag**2
    level = power_dbm + db(power.mean(axis=-1))
    return np.where(np.isfinite(level), level, np.nan).astype(np.float32)


def toa_s(table: PathTable) -> npt.NDArray[np.float64]:
    """Delay (n, a) of the first path [s]; NaN where there is none."""
    first = np.min(np.nan_to_num(table.delay_s, nan=np.inf), axis=-1)
    return np.asarray(np.where(np.isfinite(first), first, np.nan))


def los(table: PathTable) -> npt.NDArray[np.bool_]:
    """Whether (n, a) has a path without any interaction."""
    there = np.isfinite(table.delay_s)
    return np.asarray((there & (table.interactions == 0)).any(axis=-1))
