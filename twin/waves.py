"""Directions, rotations and the phases of plane waves, in pure NumPy.

What the ray tracer derives from its paths and what a store derives from the paths it keeps is the
same arithmetic, down to the order of every sum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]


def rotation_matrix(orientation_rad: npt.ArrayLike) -> Floats:
    """Rotations (..., 3, 3) from an antenna's frame to the world's, Rz(yaw) Ry(pitch) Rx(roll).

    `orientation_rad` (..., 3) holds yaw, pitch and roll: alpha, beta and gamma of 3GPP TR 38.901,
    equation 7.1-4. A positive pitch turns the x-axis downwards.
    """
    angles = np.asarray(orientation_rad, dtype=np.float64)
    (sa, sb, sc), (ca, cb, cc) = (np.moveaxis(part(angles), -1, 0) for part in (np.sin, np.cos))
    rows = [
        [ca * cb, ca * sb * sc - sa * cc, ca * sb * cc + sa * sc],
        [sa * cb, sa * sb * sc + ca * cc, sa * sb * cc - ca * sc],
        [-sb, cb * sc, cb * cc],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def direction(azimuth: Floats, zenith: Floats) -> Floats:
    """Unit vectors (..., 3) of directions [rad]."""
    across = np.sin(zenith)
    return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), np.cos(zenith)], axis=-1)


def local_direction(rotation: Floats, azimuth: Floats, zenith: Floats) -> Floats:
    """Unit vectors (..., 3) in the frame that `rotation` (..., 3, 3) turns into the world's."""
    return turned(np.swapaxes(rotation, -1, -2), direction(azimuth, zenith))


def turned(matrix: Floats, vector: Floats) -> Floats:
    """Products (..., 3) of matrices (..., 3, 3) and vectors (..., 3), broadcast."""
    return np.stack([dot(matrix[..., i, :], vector) for i in range(3)], axis=-1)


def dot(one: Floats, other: Floats) -> Floats:
    """Scalar products (...) of vectors (..., 3)."""
    return np.asarray(
        one[..., 0] * other[..., 0] + one[..., 1] * other[..., 1] + one[..., 2] * other[..., 2]
    )


def steering(positions: Floats, rotation: Floats, azimuth: Floats, zenith: Floats) -> Complexes:
    """Phase factors (..., m) of an array's elements: exp(+j 2 pi / lambda k . r), k a unit vector.

    A plane wave from far away, or to far away, meets an element ahead of the centre earlier: the
    same factor holds at both ends, with k from the antenna along the path. It is that of the
    carrier, for the whole band.

    Args:
        positions: (m, 3) [wavelengths] of the elements r from the array's centre, in its own
            frame.
        rotation: (..., 3, 3) of the array, see `rotation_matrix`; broadcast against the angles.
        azimuth: (...) of the directions in the world [rad].
        zenith: (...) of the directions in the world [rad].
    """
    x, y, z = np.moveaxis(local_direction(rotation, azimuth, zenith), -1, 0)
    along = (
        x[..., None] * positions[:, 0]
        + y[..., None] * positions[:, 1]
        + z[..., None] * positions[:, 2]
    )
    factor = np.empty(along.shape, dtype=np.complex128)
    factor.real = np.cos(2 * np.pi * along)
    factor.imag = np.sin(2 * np.pi * along)
    return factor


def subcarrier_offsets_hz(bandwidth_hz: float, count: int) -> Floats:
    """Offsets (count,) from the carrier [Hz]: -count/2 .. count/2 - 1 times bandwidth / count."""
    return np.asarray((np.arange(count) - count // 2) * (bandwidth_hz / count))


def delay_factors(delay_s: Floats, bandwidth_hz: float, subcarriers: int) -> Complexes:
    """exp(-j 2 pi f delay) (..., k) of delays (...) [s] at every subcarrier; a NaN counts as 0."""
    turns = -2j * np.pi * np.nan_to_num(delay_s)
    factors = np.empty((*delay_s.shape, subcarriers), dtype=np.complex128)
    factors[..., 0] = np.exp(turns * subcarrier_offsets_hz(bandwidth_hz, subcarriers)[0])
    # The phase advances evenly: what is known so far, turned, gives as much again.
    known = 1
    while known < subcarriers:
        more = min(known, subcarriers - known)
        step = np.exp(turns * (known * bandwidth_hz / subcarriers))
        factors[..., known : known + more] = factors[..., :more] * step[..., None]
        known += more
    return factors
