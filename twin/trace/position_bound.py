"""How well ranges to access points can tell a position at best."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from twin.units import SPEED_OF_LIGHT_M_PER_S, power_ratio

BOLTZMANN_J_PER_K = 1.380_649e-23
TEMPERATURE_K = 290.0
# The determinant of the information over the square of its trace below which directions count as
# one: about 1e-4 rad apart.
_SINGULAR = 1e-8

_Floats = npt.NDArray[np.float64]


def noise_dbm(bandwidth_hz: npt.ArrayLike, noise_figure_db: float) -> _Floats:
    """Thermal noise k T B at 290 K in a bandwidth [Hz], raised by a noise figure [dB]; [dBm]."""
    density_dbm = 10.0 * np.log10(BOLTZMANN_J_PER_K * TEMPERATURE_K * 1e3)
    return np.asarray(density_dbm + 10.0 * np.log10(bandwidth_hz) + noise_figure_db)


def range_variance_m2(snr_db: npt.ArrayLike, bandwidth_hz: npt.ArrayLike) -> _Floats:
    """Least variance of a range [m2] from the arrival of one path: c^2 / (8 pi^2 beta^2 SNR).

    beta^2 = B^2 / 12 is the squared effective bandwidth of a flat spectrum of width B [Hz] about
    its middle. The signal-to-noise ratio [dB] is that of one observation of time-bandwidth product
    one; a packet of M such samples has M times the ratio. After Shen and Win, IEEE Trans. Inf.
    Theory 56(10), 2010, theorem 1 without path overlap; Kay, Fundamentals of Statistical Signal
    Processing: Estimation Theory, 1993, section 3.11.
    """
    beta_squared = np.asarray(bandwidth_hz, dtype=np.float64) ** 2 / 12.0
    snr = power_ratio(snr_db)
    return np.asarray(SPEED_OF_LIGHT_M_PER_S**2 / (8.0 * np.pi**2 * beta_squared * snr))


def position_error_bound_m(
    points: _Floats, access_points: _Floats, range_variance: _Floats
) -> _Floats:
    """Cramer-Rao bound (n,) [m] of the error in plan of a position from ranges.

    The root of the trace of the inverse of J = sum of u u^T / variance, u the part in plan of the
    unit vector from an access point to the point: heights are known, and so is the time, as round
    trips have it.

    Args:
        points: (n, 3) [m].
        access_points: (a, 3) [m].
        range_variance: (n, a) [m2]; NaN or infinite for a link that gives no range.

    Returns:
        NaN where fewer than two links give ranges or their directions are one.
    """
    way = points[:, None, :] - access_points[None, :, :]
    unit = way[..., :2] / np.linalg.norm(way, axis=2, keepdims=True)
    weight = 1.0 / np.where(range_variance > 0.0, range_variance, np.inf)
    information = np.einsum("na,nai,naj->nij", weight, unit, unit)
    trace = information[:, 0, 0] + information[:, 1, 1]
    determinant = (
        information[:, 0, 0] * information[:, 1, 1] - information[:, 0, 1] * information[:, 1, 0]
    )
    regular = determinant > _SINGULAR * trace**2
    share = trace / np.where(regular, determinant, np.nan)
    return np.asarray(np.sqrt(share))
