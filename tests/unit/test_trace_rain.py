"""Rain against the table of ITU-R P.838-3, and what it does to paths."""

from __future__ import annotations

import numpy as np
import pytest

from twin.errors import InputError
from twin.trace.rain import Rain, coefficients
from twin.units import SPEED_OF_LIGHT_M_PER_S

# Table 5 of the Recommendation: GHz, k and alpha of the horizontal and the vertical polarisation.
TABLE = [
    (1.0, 0.0000259, 0.9691, 0.0000308, 0.8592),
    (2.0, 0.0000847, 1.0664, 0.0000998, 0.9490),
    (10.0, 0.01217, 1.2571, 0.01129, 1.2156),
    (20.0, 0.09164, 1.0568, 0.09611, 0.9847),
    (28.0, 0.2051, 0.9679, 0.1964, 0.9277),
    (30.0, 0.2403, 0.9485, 0.2291, 0.9129),
    (60.0, 0.8606, 0.7656, 0.8515, 0.7486),
    (100.0, 1.3671, 0.6815, 1.3680, 0.6765),
]


def db_per_km(frequency_hz, rain_mm_per_h, polarisation, elevation_rad=0.0):
    """Of one polarisation, on one path."""
    upright, across = Rain(frequency_hz, rain_mm_per_h).db_per_km(elevation_rad)
    return float(upright if polarisation == "V" else across)


@pytest.mark.parametrize(("ghz", "k_h", "alpha_h", "k_v", "alpha_v"), TABLE)
def test_coefficients_are_those_of_the_table(ghz, k_h, alpha_h, k_v, alpha_v):
    for polarisation, k, alpha in (("H", k_h, alpha_h), ("V", k_v, alpha_v)):
        found = coefficients(ghz * 1e9, polarisation)
        # The table gives three to five digits.
        assert found[0] == pytest.approx(k, rel=2e-3)
        assert found[1] == pytest.approx(alpha, abs=6e-5)
        level = db_per_km(ghz * 1e9, 25.0, polarisation)
        assert level == pytest.approx(found[0] * 25.0 ** found[1])


def test_no_rain_attenuates_nothing():
    assert db_per_km(60e9, 0.0, "V") == 0.0
    assert (Rain(60e9, 0.0).amplitude(np.array([0.3]), np.array([1e-6])) == 1.0).all()


def test_straight_up_polarisation_does_not_matter():
    flat, upright = (
        [db_per_km(40e9, 30.0, p, elevation) for p in ("H", "V")] for elevation in (0.0, np.pi / 2)
    )
    assert upright[0] == pytest.approx(upright[1])
    assert flat[1] < upright[0] < flat[0]
    # A path that goes down meets the same rain as one that goes up.
    assert db_per_km(40e9, 30.0, "H", -0.4) == pytest.approx(db_per_km(40e9, 30.0, "H", 0.4))


def test_between_the_two_the_recommendation_s_formula_holds():
    elevation, rate = 0.7, 12.0
    (k_h, alpha_h), (k_v, alpha_v) = (coefficients(28e9, p) for p in ("H", "V"))
    for polarisation, tilt in (("H", 0.0), ("V", np.pi / 2)):
        mix = np.cos(elevation) ** 2 * np.cos(2 * tilt)
        k = (k_h + k_v + (k_h - k_v) * mix) / 2
        alpha = (k_h * alpha_h + k_v * alpha_v + (k_h * alpha_h - k_v * alpha_v) * mix) / (2 * k)
        found = db_per_km(28e9, rate, polarisation, elevation)
        assert found == pytest.approx(k * rate**alpha)


def test_amplitudes_fall_with_length():
    zenith = np.full(3, np.pi / 2)
    delay = np.array([100.0, 200.0, 1000.0]) / SPEED_OF_LIGHT_M_PER_S
    factors = Rain(60e9, 25.0).amplitude(zenith, delay)
    assert factors.shape == (3, 2)
    per_km = [db_per_km(60e9, 25.0, p) for p in ("V", "H")]
    assert -20 * np.log10(factors) == pytest.approx(np.outer([0.1, 0.2, 1.0], per_km))


@pytest.mark.parametrize(
    ("ghz", "rate", "found"),
    [(0.9, 5.0, "0.9 GHz"), (1001.0, 5.0, "1001 GHz"), (28.0, -1.0, "-1"), (28.0, np.nan, "nan")],
)
def test_what_the_recommendation_does_not_cover_is_refused(ghz, rate, found):
    with pytest.raises(InputError, match=f"found {found}"):
        db_per_km(ghz * 1e9, rate, "V")
