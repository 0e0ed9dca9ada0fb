from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.units import (
    SPEED_OF_LIGHT_M_PER_S,
    VACUUM_PERMITTIVITY_F_PER_M,
    db,
    free_space_path_gain_db,
    power_ratio,
    wavelength_m,
)


def test_vacuum_constants_belong_together():
    impedance = 1 / (SPEED_OF_LIGHT_M_PER_S * VACUUM_PERMITTIVITY_F_PER_M)
    assert impedance == pytest.approx(376.730_313, rel=1e-8)


def test_db_of_known_ratios():
    assert db([1.0, 10.0, 100.0, 0.5]) == pytest.approx([0.0, 10.0, 20.0, -3.010_299_957])
    assert db(0.0) == -math.inf


@given(st.floats(-300.0, 300.0))
def test_power_ratio_undoes_db(level):
    assert db(power_ratio(level)) == pytest.approx(level, abs=1e-9)


def test_wavelength_at_5_25_ghz():
    assert wavelength_m(5.25e9) == pytest.approx(0.057_103_325, rel=1e-7)


def test_free_space_path_gain_against_the_textbook_formula():
    # 20 log10(d / m) + 20 log10(f / Hz) - 147.55 dB of loss.
    distance = np.array([1.0, 10.0, 33.0])
    loss = 20 * np.log10(distance) + 20 * math.log10(5.25e9) - 147.552_216_8
    assert free_space_path_gain_db(distance, 5.25e9) == pytest.approx(-loss, abs=1e-6)
