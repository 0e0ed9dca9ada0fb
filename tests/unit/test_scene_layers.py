"""Stacks of layers against the matrix method, and the slabs that stand in for them."""

from __future__ import annotations

import numpy as np
import pytest

from twin.scene import layers
from twin.scene.layers import ANGLES_DEG, Slab, equivalent_slab, stack_response
from twin.units import SPEED_OF_LIGHT_M_PER_S, VACUUM_PERMITTIVITY_F_PER_M

BOARD = Slab(2.73, 0.04, 0.0125)
AIR = Slab(1.0, 0.0, 0.075)
BRICK = Slab(3.91, 0.03, 0.1)
METAL = Slab(1.0, 1e7, 0.001)
ANGLE = np.deg2rad(ANGLES_DEG)


def matrix_method(slabs, frequency_hz, angle_rad):
    """Reflection and transmission (2, n): products of characteristic matrices, written out."""
    number = 2 * np.pi * frequency_hz / SPEED_OF_LIGHT_M_PER_S
    found = []
    for magnetic in (False, True):
        row = []
        for angle in angle_rad:
            product = np.eye(2, dtype=complex)
            for slab in slabs:
                loss = slab.conductivity_s_per_m / (
                    2 * np.pi * frequency_hz * VACUUM_PERMITTIVITY_F_PER_M
                )
                medium = slab.relative_permittivity - 1j * loss
                across = np.sqrt(medium - np.sin(angle) ** 2)
                turn = number * slab.thickness_m * across
                wave = across / medium if magnetic else across
                product = product @ np.array(
                    [
                        [np.cos(turn), 1j * np.sin(turn) / wave],
                        [1j * wave * np.sin(turn), np.cos(turn)],
                    ]
                )
            (a, b), (c, d) = product
            air = np.cos(angle)
            total = (a + b * air) * air + (c + d * air)
            row.append((((a + b * air) * air - (c + d * air)) / total, 2 * air / total))
        found.append(row)
    reflected, through = np.moveaxis(np.array(found), -1, 0)
    return reflected, through


@pytest.mark.parametrize("frequency_hz", [0.7e9, 2.4e9, 28e9])
@pytest.mark.parametrize(
    "slabs",
    [[BOARD], [BRICK, BOARD], [BOARD, AIR, BOARD], [BOARD, AIR, BRICK, Slab(30.0, 0.5, 0.002)]],
    ids=len,
)
def test_recursion_is_the_product_of_matrices(slabs, frequency_hz):
    for found, wanted in zip(
        stack_response(slabs, frequency_hz, ANGLE),
        matrix_method(slabs, frequency_hz, ANGLE),
        strict=True,
    ):
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_metal_does_not_overflow():
    reflected, through = stack_response([BOARD, METAL, AIR], 28e9, ANGLE)
    assert np.isfinite(reflected).all()
    assert np.abs(through).max() < 1e-100


def test_energy_is_kept_without_loss():
    slabs = [Slab(4.0, 0.0, 0.03), Slab(1.0, 0.0, 0.05), Slab(9.0, 0.0, 0.007)]
    for order in (slabs, slabs[::-1]):
        reflected, through = stack_response(order, 5.25e9, ANGLE)
        assert np.abs(reflected) ** 2 + np.abs(through) ** 2 == pytest.approx(1.0)


def test_transmission_is_the_same_both_ways_and_reflection_is_not():
    slabs = [METAL, BOARD, BRICK]
    thin = [Slab(1.0, 100.0, 1e-3), BOARD, BRICK]
    for stack in (slabs, thin):
        there, back = (stack_response(order, 5.25e9, ANGLE) for order in (stack, stack[::-1]))
        assert there[1] == pytest.approx(back[1])
        assert np.abs(np.abs(there[0]) - np.abs(back[0])).max() > 0.05


def test_one_layer_is_itself():
    found = equivalent_slab([BRICK], 5.25e9)
    assert found.slab is BRICK
    assert (found.worst_transmission_db, found.worst_reflection_db) == (0.0, 0.0)


@pytest.mark.parametrize("frequency_hz", [2.4e9, 60e9])
def test_a_slab_in_slices_is_the_slab(frequency_hz):
    whole = Slab(3.91, 0.05, 0.09)
    slices = [Slab(3.91, 0.05, thickness) for thickness in (0.02, 0.04, 0.03)]
    found = equivalent_slab(slices, frequency_hz)
    # Another slab may do as well, to the eye of a receiver.
    assert found.worst_transmission_db < 1e-3
    assert found.worst_reflection_db < 1e-3
    for one, other in zip(
        stack_response([found.slab], frequency_hz, ANGLE),
        stack_response([whole], frequency_hz, ANGLE),
        strict=True,
    ):
        assert np.abs(one) == pytest.approx(np.abs(other), rel=1e-3)


WALLS = {
    "double board": [BOARD, AIR, BOARD],
    "board on brick": [BOARD, BRICK],
    "foil": [BOARD, METAL],
}


def level(field, floor):
    return 10 * np.log10(np.abs(field) ** 2 + floor)


@pytest.mark.parametrize("frequency_hz", [2.4e9, 28e9])
@pytest.mark.parametrize("wall", WALLS)
def test_residuals_are_what_they_say(wall, frequency_hz):
    stack = WALLS[wall]
    found = equivalent_slab(stack, frequency_hz)
    reflected, through = stack_response([found.slab], frequency_hz, ANGLE)
    front, wanted = stack_response(stack, frequency_hz, ANGLE)
    back, _ = stack_response(stack[::-1], frequency_hz, ANGLE)
    floor = layers.REFLECTION_FLOOR
    errors = [level(reflected, floor) - level(side, floor) for side in (front, back)]
    assert found.worst_reflection_db == pytest.approx(np.abs(errors).max())
    floor = layers.TRANSMISSION_FLOOR
    error = np.abs(level(through, floor) - level(wanted, floor)).max()
    assert found.worst_transmission_db == pytest.approx(error, abs=1e-9)
    # Closer than the layers' mean, which is one of the starts.
    total = sum(slab.thickness_m for slab in stack)
    mean = Slab(
        sum(slab.relative_permittivity * slab.thickness_m for slab in stack) / total,
        sum(slab.conductivity_s_per_m * slab.thickness_m for slab in stack) / total,
        total,
    )
    assert found.slab != mean
    assert cost(found.slab, stack, frequency_hz) <= cost(mean, stack, frequency_hz)


def cost(slab, stack, frequency_hz):
    """Squared errors as the fit weighs them."""
    reflected, through = stack_response([slab], frequency_hz, ANGLE)
    front, wanted = stack_response(stack, frequency_hz, ANGLE)
    back, _ = stack_response(stack[::-1], frequency_hz, ANGLE)
    total = np.sum((level(through, 1e-8) - level(wanted, 1e-8)) ** 2)
    for side in (front, back):
        total += 0.5 * np.sum((level(reflected, 1e-2) - level(side, 1e-2)) ** 2)
    return total


def test_the_fit_repeats_and_is_known_afterwards():
    stack = [BOARD, AIR, BRICK]
    first = equivalent_slab(stack, 5.25e9)
    assert equivalent_slab(tuple(stack), 5.25e9) is first
    layers._equivalent.cache_clear()
    assert equivalent_slab(stack, 5.25e9) == first
