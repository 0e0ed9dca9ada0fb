from __future__ import annotations

import numpy as np
import pytest

from twin.errors import InputError
from twin.trace.antenna import named_ports
from twin.trace.array import AntennaArray, linear, planar
from twin.waves import rotation_matrix, steering

VERTICAL = named_ports("iso", "V")
HORIZON = np.pi / 2


def test_a_planar_array_counts_down_its_columns_from_the_lowest_y():
    array = planar(2, 3, VERTICAL, vertical_spacing=0.5, horizontal_spacing=1.0)
    expected = [[0, y, z] for y in (-1.0, 0.0, 1.0) for z in (0.25, -0.25)]
    assert array.positions.tolist() == expected
    assert array.ports == 6


def test_two_patterns_make_two_ports_an_element():
    assert linear(4, named_ports("dipole", "cross")).ports == 8


@pytest.mark.parametrize("azimuth", [-1.1, 0.0, 0.4])
def test_a_linear_array_sees_the_sine_of_the_angle_off_broadside(azimuth):
    array = linear(4, VERTICAL)
    factors = steering(array.positions, np.eye(3), np.array([azimuth]), np.array([HORIZON]))[0]
    # Half a wavelength apart: pi sin(angle) from one element to the next.
    expected = np.exp(1j * np.pi * np.sin(azimuth) * (np.arange(4) - 1.5))
    assert factors == pytest.approx(expected)


def test_yaw_turns_broadside():
    array = linear(3, VERTICAL)
    turned = rotation_matrix([0.8, 0.0, 0.0])
    factors = steering(array.positions, turned, np.array([0.8]), np.array([HORIZON]))[0]
    assert factors == pytest.approx(np.ones(3))


def test_a_roll_lays_a_row_upright():
    rolled = rotation_matrix([0.0, 0.0, np.pi / 2])
    zenith = np.array([0.7])
    row = steering(linear(3, VERTICAL).positions, rolled, np.array([0.2]), zenith)[0]
    # The row's +y is now up.
    assert row == pytest.approx(np.exp(1j * np.pi * np.cos(0.7) * np.array([-1, 0, 1])))
    column = steering(planar(3, 1, VERTICAL).positions, np.eye(3), np.array([0.2]), zenith)[0]
    assert row == pytest.approx(column[::-1])


def test_each_direction_may_have_its_own_rotation():
    array = AntennaArray(np.array([[1.0, 2.0, 3.0], [0.3, 0.0, -0.4]]), VERTICAL)
    rotation = rotation_matrix([[0.1, 0.2, 0.3], [-1.0, 0.5, 2.0]])
    azimuth, zenith = np.array([0.4, -2.0]), np.array([1.0, 2.5])
    both = steering(array.positions, rotation, azimuth, zenith)
    assert both.shape == (2, 2)
    for i in range(2):
        alone = steering(array.positions, rotation[i], azimuth[i : i + 1], zenith[i : i + 1])
        assert both[i] == pytest.approx(alone[0])


def test_all_faults_of_an_array_are_named():
    with pytest.raises(InputError) as error:
        AntennaArray(np.array([[0.0, np.nan, 0.0]]), ())
    assert [fault.key for fault in error.value.faults] == ["positions", "patterns"]
    with pytest.raises(InputError) as error:
        planar(0, 0, VERTICAL, vertical_spacing=-1.0, horizontal_spacing=np.inf)
    keys = [fault.key for fault in error.value.faults]
    assert keys == ["rows", "columns", "vertical_spacing", "horizontal_spacing"]


@pytest.mark.parametrize("positions", [np.zeros((0, 3)), np.zeros((2, 2)), np.zeros(3)])
def test_positions_of_another_shape_are_refused(positions):
    with pytest.raises(InputError, match="positions"):
        AntennaArray(positions, VERTICAL)
