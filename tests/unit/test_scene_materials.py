"""Constants of materials against the formula and values published with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from twin.config import validate
from twin.errors import InputError
from twin.scene.declaration import Material
from twin.scene.layers import equivalent_slab
from twin.scene.materials import (
    ITU_P2040,
    complex_permittivity,
    layer_slabs,
    material_faults,
    slab,
)
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


LAYERED = {
    "thickness_m": None,
    "layers": [
        {"itu": "plasterboard", "thickness_m": 0.0125},
        {"itu": "vacuum", "thickness_m": 0.075},
        {"relative_permittivity": 3, "conductivity_s_per_m": 0.1, "thickness_m": 0.02},
    ],
}


def test_layers_have_their_own_constants() -> None:
    made = layer_slabs(material(**LAYERED), 5.25e9)
    assert [layer.thickness_m for layer in made] == [0.0125, 0.075, 0.02]
    assert [layer.relative_permittivity for layer in made] == pytest.approx([2.73, 1.0, 3.0])
    expected = [0.0085 * 5.25**0.9395, 0.0, 0.1]
    assert [layer.conductivity_s_per_m for layer in made] == pytest.approx(expected)


def test_scales_multiply_every_layer() -> None:
    plain, scaled = (
        layer_slabs(material(**LAYERED, **scales), 5.25e9)
        for scales in ({}, {"permittivity_scale": 1.2, "conductivity_scale": 2.0})
    )
    for one, other in zip(plain, scaled, strict=True):
        assert other.relative_permittivity == pytest.approx(1.2 * one.relative_permittivity)
        assert other.conductivity_s_per_m == pytest.approx(2.0 * one.conductivity_s_per_m)
        assert other.thickness_m == one.thickness_m


def test_the_slab_of_layers_is_their_equivalent() -> None:
    made = material(**LAYERED)
    stack = layer_slabs(made, 5.25e9)
    assert slab(made, 5.25e9) == equivalent_slab(stack, 5.25e9).slab


def test_one_layer_is_as_good_as_none() -> None:
    layered = material(thickness_m=None, layers=[{"itu": "brick", "thickness_m": 0.1}])
    assert slab(layered, 5.25e9) == slab(material(itu="brick"), 5.25e9)


def test_every_layer_out_of_its_band_is_named() -> None:
    layers = [
        {"itu": "brick", "thickness_m": 0.1},
        {"itu": "glass", "thickness_m": 0.01},
        {"itu": "plywood", "thickness_m": 0.01},
        {"itu": "cheese", "thickness_m": 0.01},
    ]
    made = material(thickness_m=None, layers=layers)
    faults = material_faults(made, 60e9, "x.yaml", "materials.wall")
    numbers = (0, 2, 3)
    assert [fault.key for fault in faults] == [f"materials.wall.layers.{i}.itu" for i in numbers]
    with pytest.raises(InputError, match=r"layers\.0\.itu(.|\n)*layers\.2\.itu"):
        slab(made, 60e9)
    assert [f.key for f in material_faults(material(itu="brick"), 60e9, "x", "materials.b")] == [
        "materials.b.itu"
    ]


def test_permittivity_scaled_below_that_of_air_is_a_fault() -> None:
    (fault,) = material_faults(
        material(**LAYERED, permittivity_scale=0.5), 5.25e9, "x.yaml", "materials.wall"
    )
    assert (fault.key, fault.found) == ("materials.wall.layers.1", "0.5")
    (fault,) = material_faults(
        material(itu="vacuum", permittivity_scale=0.9), 5.25e9, "x.yaml", "materials.gas"
    )
    assert fault.key == "materials.gas"
    assert material_faults(material(**LAYERED), 5.25e9, "x.yaml", "materials.wall") == []
