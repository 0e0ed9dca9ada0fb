"""Attenuation by rain after Recommendation ITU-R P.838-3.

The Recommendation gives the specific attenuation gamma = k R^alpha [dB/km] of a rain rate R [mm/h],
with k and alpha as sums of bell curves over the logarithm of the frequency, for waves polarised
horizontally and vertically (equations 2 and 3, tables 1 to 4), and joins both for other
polarisations and elevations (equations 4 and 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, refuse
from twin.scene.rain_band import rain_faults
from twin.units import SPEED_OF_LIGHT_M_PER_S

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Curve:
    """One table: terms (height, place, width) of bell curves, and a straight line below them."""

    terms: tuple[tuple[float, float, float], ...]
    slope: float
    level: float

    def at(self, frequency_hz: float) -> float:
        decades = np.log10(frequency_hz / 1e9)
        height, place, width = np.array(self.terms).T
        bells = height * np.exp(-(((decades - place) / width) ** 2))
        return float(np.sum(bells) + self.slope * decades + self.level)


_LOG_K = {
    "H": _Curve(
        (
            (-5.33980, -0.10008, 1.13098),
            (-0.35351, 1.26970, 0.45400),
            (-0.23789, 0.86036, 0.15354),
            (-0.94158, 0.64552, 0.16817),
        ),
        -0.18961,
        0.71147,
    ),
    "V": _Curve(
        (
            (-3.80595, 0.56934, 0.81061),
            (-3.44965, -0.22911, 0.51059),
            (-0.39902, 0.73042, 0.11899),
            (0.50167, 1.07319, 0.27195),
        ),
        -0.16398,
        0.63297,
    ),
}
_ALPHA = {
    "H": _Curve(
        (
            (-0.14318, 1.82442, -0.55187),
            (0.29591, 0.77564, 0.19822),
            (0.32177, 0.63773, 0.13164),
            (-5.37610, -0.96230, 1.47828),
            (16.1721, -3.29980, 3.43990),
        ),
        0.67849,
        -1.95537,
    ),
    "V": _Curve(
        (
            (-0.07771, 2.33840, -0.76284),
            (0.56727, 0.95545, 0.54039),
            (-0.20238, 1.14520, 0.26809),
            (-48.2991, 0.791669, 0.116226),
            (48.5833, 0.791459, 0.116479),
        ),
        -0.053739,
        0.83433,
    ),
}


def coefficients(frequency_hz: float, polarisation: Literal["V", "H"]) -> tuple[float, float]:
    """Coefficients k [dB/km at 1 mm/h] and alpha [1] of P.838-3.

    Raises:
        InputError: a frequency outside 1 to 1000 GHz.
    """
    refuse(rain_faults(frequency_hz, "rain", "frequency"))
    k = 10.0 ** _LOG_K[polarisation].at(frequency_hz)
    return k, _ALPHA[polarisation].at(frequency_hz)


@dataclass(frozen=True)
class Rain:
    """Rain of one rate, for one carrier.

    Args:
        frequency_hz: of the carrier.
        rain_mm_per_h: rate; zero attenuates nothing.

    Raises:
        InputError: a carrier outside 1 to 1000 GHz, or a rate that is no number from zero on.
    """

    frequency_hz: float
    rain_mm_per_h: float

    def __post_init__(self) -> None:
        faults = rain_faults(self.frequency_hz, "rain", "frequency")
        if not 0.0 <= self.rain_mm_per_h < np.inf:
            faults.append(
                Fault("rain", "rain_mm_per_h", "a rate from zero on", f"{self.rain_mm_per_h:g}")
            )
        refuse(faults)

    def db_per_km(self, elevation_rad: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Attenuation [dB/km] of waves polarised in the vertical plane of their path, and across.

        Equations 4 and 5 for tilts of 90 and 0 degrees from the horizontal: on a level path these
        are the vertical and the horizontal polarisation.

        Args:
            elevation_rad: (...) of the paths.

        Returns:
            Two arrays (...).
        """
        (k_h, alpha_h), (k_v, alpha_v) = (coefficients(self.frequency_hz, p) for p in ("H", "V"))
        level = np.cos(np.asarray(elevation_rad, dtype=np.float64)) ** 2

        def attenuation(upright: float) -> Floats:
            k = (k_h + k_v + upright * (k_h - k_v) * level) / 2.0
            both = k_h * alpha_h + k_v * alpha_v
            alpha = (both + upright * (k_h * alpha_h - k_v * alpha_v) * level) / (2.0 * k)
            return np.asarray(k * self.rain_mm_per_h**alpha)

        return attenuation(-1.0), attenuation(1.0)

    def amplitude(self, zenith_rad: Floats, delay_s: Floats) -> Floats:
        """Factors (m, 2) [1] of the amplitudes of m paths that leave polarised along theta, phi.

        Every path is attenuated over its whole length with the elevation and the polarisation it
        leaves with, whatever reflections make of them on the way.

        Args:
            zenith_rad: (m,) of departure.
            delay_s: (m,) of the paths.
        """
        length_km = delay_s * SPEED_OF_LIGHT_M_PER_S / 1e3
        loss_db = np.stack(self.db_per_km(np.pi / 2.0 - zenith_rad), axis=-1) * length_km[:, None]
        return np.asarray(10.0 ** (-loss_db / 20.0))
