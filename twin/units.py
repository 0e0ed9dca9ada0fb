"""Constants and conversions. Names carry their unit wherever a bare number crosses an interface."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SPEED_OF_LIGHT_M_PER_S = 299_792_458.0
VACUUM_PERMITTIVITY_F_PER_M = 8.854_187_8128e-12


def db(power_ratio: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Power ratio in dB; zero gives -inf without a warning."""
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(np.asarray(power_ratio, dtype=np.float64)))


def power_ratio(level_db: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Inverse of `db`."""
    return np.asarray(10.0 ** (np.asarray(level_db, dtype=np.float64) / 10.0))


def wavelength_m(frequency_hz: float) -> float:
    """Wavelength in vacuum [m]."""
    return SPEED_OF_LIGHT_M_PER_S / frequency_hz


def free_space_path_gain_db(
    distance_m: npt.ArrayLike, frequency_hz: float
) -> npt.NDArray[np.float64]:
    """Free-space path gain (lambda / (4 pi d))^2 between isotropic antennas, in dB (negative)."""
    ratio = wavelength_m(frequency_hz) / (4.0 * np.pi * np.asarray(distance_m, dtype=np.float64))
    return 2.0 * db(ratio)
