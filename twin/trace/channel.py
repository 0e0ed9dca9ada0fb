"""Observables of a path table, in pure NumPy.

Sums run in a fixed order, so that equal paths give equal bytes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from twin.trace.antenna import port_gain, world_field
from twin.trace.array import MountedArray
from twin.trace.paths import PathTable
from twin.units import db, wavelength_m
from twin.waves import (
    delay_factors,
    direction,
    rotation_matrix,
    steering,
    subcarrier_offsets_hz,
)

_POINTS_AT_ONCE = 64
# Of the amplitudes and phase factors of one batch, which bounds memory.
_BATCH_BYTES = 16_000_000


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


def cir(
    table: PathTable,
    ap: int,
    transmitter: MountedArray,
    receiver: MountedArray,
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.float64]]:
    """Channel impulse response between the arrays of one access point and of the receivers.

    Every path is a plane wave at both arrays: its angles, delay and strength are those between
    their centres.

    Args:
        table: n points, p paths; its `transfer` and angles are used.
        ap: index of the access point in the table.
        transmitter: array of q ports at that access point.
        receiver: array of r ports at every point.

    Returns:
        Amplitudes (n, r, q, p) [1], zero where there is no path, and absolute delays (n, p) [s],
        NaN there.
    """
    points, _, paths = table.delay_s.shape
    gain = np.empty(
        (points, receiver.array.ports, transmitter.array.ports, paths), dtype=np.complex64
    )
    for part in _batches(points, gain[:1].size):
        gain[part] = _port_gains(table, ap, part, transmitter, receiver)
    return gain, table.delay_s[:, ap].copy()


def array_csi(
    table: PathTable,
    ap: int,
    transmitter: MountedArray,
    receiver: MountedArray,
    bandwidth_hz: float,
    subcarriers: int,
) -> npt.NDArray[np.complex64]:
    """Channel frequency response (n, r, q, k) [1] between arrays, absolute delays kept.

    H(f) as in `csi`, of the amplitudes of `cir`, whose arguments these are. The phase between
    elements is that of the carrier. A point's response does not depend on which other points are
    in the table.
    """
    points, _, paths = table.delay_s.shape
    ports = receiver.array.ports * transmitter.array.ports
    response = np.empty((points, ports, subcarriers), dtype=np.complex64)
    for part in _batches(points, paths * (ports + subcarriers) + ports * subcarriers):
        gain = _port_gains(table, ap, part, transmitter, receiver)
        # One matrix product of fixed shape a point: a point's sum is the same in any batch.
        response[part] = np.matmul(
            gain.reshape(len(gain), ports, paths),
            delay_factors(table.delay_s[part, ap], bandwidth_hz, subcarriers),
        )
    return response.reshape(points, receiver.array.ports, transmitter.array.ports, subcarriers)


def _batches(points: int, numbers_per_point: int) -> list[slice]:
    size = max(1, _BATCH_BYTES // (16 * max(1, numbers_per_point)))
    return [slice(start, start + size) for start in range(0, points, size)]


def _port_gains(
    table: PathTable,
    ap: int,
    part: slice,
    transmitter: MountedArray,
    receiver: MountedArray,
) -> npt.NDArray[np.complex128]:
    """Amplitudes (b, r, q, p) of some points."""
    points, _, paths = table.delay_s.shape

    def at_end(
        end: MountedArray, azimuth: npt.NDArray[np.float32], zenith: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.complex128]]:
        """Fields (b, pattern, p, 2) and steering (b, element, p)."""
        orientation = np.broadcast_to(end.orientation_rad, (points, 3))[part]
        rotation = rotation_matrix(orientation)[:, None]
        angles = [np.nan_to_num(angle[part, ap].astype(np.float64)) for angle in (azimuth, zenith)]
        fields = [world_field(pattern, rotation, *angles) for pattern in end.array.patterns]
        factors = np.moveaxis(steering(end.array.positions, rotation, *angles), -1, 1)
        return np.stack(fields, axis=1), np.ascontiguousarray(factors)

    transmit_field, transmit_steering = at_end(transmitter, table.aod_azimuth, table.aod_zenith)
    receive_field, receive_steering = at_end(receiver, table.aoa_azimuth, table.aoa_zenith)
    by_pattern = port_gain(
        table.transfer[part, ap].astype(np.complex128)[:, None, None],
        transmit_field[:, None],
        receive_field[:, :, None],
    )
    # Axes: point, receiver's pattern and element, transmitter's pattern and element, path.
    gain = by_pattern[:, :, None, :, None] * receive_steering[:, None, :, None, None]
    gain = gain * transmit_steering[:, None, None, None]
    return gain.reshape(len(gain), receiver.array.ports, transmitter.array.ports, paths)


def doppler_hz(
    table: PathTable,
    frequency_hz: float,
    receiver_velocity: npt.ArrayLike,
    transmitter_velocity: npt.ArrayLike,
) -> npt.NDArray[np.float64]:
    """Doppler shifts (n, a, p) [Hz] of all paths; NaN where there is no path.

    (v_rx . k_rx + v_tx . k_tx) / lambda, k from the antenna along the path: positive where
    the path shortens. Everything but the two ends stands still.

    Args:
        table: its angles are used.
        frequency_hz: of the carrier.
        receiver_velocity: (3,) or (n, 3) [m/s].
        transmitter_velocity: (3,) or (a, 3) [m/s].
    """
    points, aps, _ = table.delay_s.shape
    receiver = np.broadcast_to(receiver_velocity, (points, 3))[:, None, None]
    transmitter = np.broadcast_to(transmitter_velocity, (aps, 3))[None, :, None]

    def approach(
        velocity: npt.NDArray[np.float64],
        azimuth: npt.NDArray[np.float32],
        zenith: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float64]:
        along = direction(azimuth.astype(np.float64), zenith.astype(np.float64))
        return np.asarray((velocity * along).sum(axis=-1))

    speed = approach(receiver, table.aoa_azimuth, table.aoa_zenith)
    speed += approach(transmitter, table.aod_azimuth, table.aod_zenith)
    return speed / wavelength_m(frequency_hz)


def at_time(table: PathTable, shift_hz: npt.NDArray[np.float64], time_s: float) -> PathTable:
    """The table a little later: every path's amplitude turned by exp(+j 2 pi shift t).

    Any observable of the result is that observable at `time_s`. Delays, angles and strengths stay
    those of time zero, so both ends must have moved by far less than any path is long.

    Args:
        table: at time zero.
        shift_hz: (n, a, p), from `doppler_hz`.
        time_s: may be negative.
    """
    turn = np.exp(2j * np.pi * time_s * np.nan_to_num(shift_hz))
    return replace(
        table,
        gain=(table.gain * turn).astype(np.complex64),
        transfer=(table.transfer * turn[..., None, None]).astype(np.complex64),
    )


def power_sum_dbm(table: PathTable, power_dbm: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Sum of the powers (n, a) [dBm] of the paths kept, for transmit powers (a,).

    Powers are summed, not fields: the mean of the power that `rss_dbm` gives over unknown phases
    of the paths, which does not fade with position. NaN where there is no path.
    """
    total = np.zeros(table.gain.shape[:-1])
    for path in np.moveaxis(table.gain.astype(np.complex128), -1, 0):
        total += path.real**2 + path.imag**2
    level = power_dbm + db(total)
    return np.where(np.isfinite(level), level, np.nan).astype(np.float32)


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
