"""Constants of materials against the formula and values published with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from twin.config import validate
from twin.errors import InputError
from twin.scene.declaration import Material
from twin.scene.materials import ITU_P2040, complex_permittivity, slab
from twin.units import VACUUM_PERMITTIVITY_F_PER_M


def material(**content: Any) -> Material:
    return validate({"thickness_m": 0.1} | content, Material, "material")


def test_concrete_at_wifi_frequency() -> None:
    made = slab(material(itu="concrete"), 5.25e9)
    assert made.relative_permittivity == pytest.approx(5.24)
    assert made.conductivity_s_per_m == pytest.approx(0.0462 * 5.25**0.7822)
    assert made.thickness_m == 0.1


def test_loss_is_negative_imaginary_part() -> None:
    # 17.98 sigma / f[GHz], the constant of P.2040 (equation 9b).
    made = complex_permittivity(material(itu="glass"), 28e9)
    assert made.real == pytest.approx(6.31)
    assert made.imag == pytest.approx(-17.98 * 0.0036 * 28**1.3394 / 28.0, rel=1e-3)


def test_scales_multiply_both_kinds() -> None:
    scaled = {"permittivity_scale": 1.5, "conductivity_scale": 0.5}
    named = slab(material(itu="brick", **scaled), 2e9)
    assert named.relative_permittivity == pytest.approx(1.5 * 3.91)
    assert named.conductivity_s_per_m == pytest.approx(0.5 * 0.0238 * 2**0.16)
    explicit = material(relative_permittivity=4, conductivity_s_per_m=0.2, **scaled)
    value = complex_permittivity(explicit, 2e9)
    assert value.real == pytest.approx(6.0)
    assert value.imag == pytest.approx(-0.1 / (2 * np.pi * 2e9 * VACUUM_PERMITTIVITY_F_PER_M))


def test_band_is_chosen_by_frequency() -> None:
    assert slab(material(itu="glass"), 300e9).relative_permittivity == pytest.approx(5.79)
    with pytest.raises(InputError, match=r"0\.1 to 100 GHz or 220 to 450 GHz.*found 150 GHz"):
        slab(material(itu="glass"), 150e9)


def test_frequency_dependent_permittivity() -> None:
    made = slab(material(itu="wet_ground"), 4e9)
    assert made.relative_permittivity == pytest.approx(30 * 4**-0.4)


@pytest.mark.parametrize("name", sorted(ITU_P2040))
def test_every_row_is_physical_over_its_band(name: str) -> None:
    for row in ITU_P2040[name]:
        for ghz in (row.low_ghz, row.high_ghz):
            made = slab(material(itu=name), ghz * 1e9)
            assert made.relative_permittivity >= 1.0
            assert made.conductivity_s_per_m >= 0.0
