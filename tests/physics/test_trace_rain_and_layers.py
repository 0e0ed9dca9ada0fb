"""Rain along paths and walls of several layers, against formulas written out here."""

from __future__ import annotations

import numpy as np
import pytest

from tests.physics import rooms
from twin.errors import InputError
from twin.scene.layers import TRANSMISSION_FLOOR, equivalent_slab, stack_response
from twin.scene.materials import layer_slabs
from twin.trace.engine import TraceSettings, trace
from twin.trace.engines import ChainEngine
from twin.trace.rain import Rain
from twin.units import SPEED_OF_LIGHT_M_PER_S, db, free_space_path_gain_db

# One number of rays for all tests: it is compiled into the kernels.
SETTINGS = TraceSettings(rays_per_round=20_000, max_depth=1)
POINTS = np.array([[8.0, 3.0, 2.0], [8.0, 6.5, 0.3], [5.0, 7.0, 1.2]])
RATE = 50.0


def outdoors(rate=RATE, ghz=60.0, **changes):
    return rooms.room(weather={"rain_mm_per_h": rate}, frequency_ghz=ghz, **changes)


def level(dataset):
    return 2 * db(np.abs(dataset["path_gain"].values[:, 0]))


def sight():
    """Lengths and elevations of the lines of sight."""
    offset = POINTS - [2.0, 3.0, 2.0]
    distance = np.linalg.norm(offset, axis=1)
    return distance, np.arcsin(offset[:, 2] / distance)


def loss_db(polarisation):
    """What rain takes from the lines of sight."""
    length, elevation = sight()
    upright, across = Rain(60e9, RATE).db_per_km(elevation)
    return (upright if polarisation == "V" else across) * length / 1e3


def test_rain_attenuates_the_line_of_sight():
    dry, wet = (trace(outdoors(rate), SETTINGS, POINTS) for rate in (0.0, RATE))
    loss = loss_db("V")
    assert loss.min() > 0.05
    expected = free_space_path_gain_db(sight()[0], 60e9) - loss
    assert level(wet)[:, 0] == pytest.approx(expected, abs=2e-4)
    assert wet["rss"].values[:, 0] - dry["rss"].values[:, 0] == pytest.approx(-loss, abs=2e-4)
    assert (wet["delay"].values[:, 0, 0] == dry["delay"].values[:, 0, 0]).all()
    assert wet.attrs["rain_mm_per_h"] == RATE
    assert "P.838-3" in wet.attrs["rain_model"]


def test_polarisations_are_attenuated_each_by_its_own():
    dry, wet = (
        ChainEngine().solve(outdoors(rate), POINTS, SETTINGS).table.transfer[:, 0, 0]
        for rate in (0.0, RATE)
    )
    upright, level_one = loss_db("V"), loss_db("H")
    assert (level_one - upright).min() > 1e-3
    for place, loss in ((0, upright), (1, level_one)):
        ratio = np.abs(wet[:, place, place]) / np.abs(dry[:, place, place])
        assert 2 * db(ratio) == pytest.approx(-loss, abs=2e-5)


def test_every_path_is_attenuated_over_its_own_length():
    sides = {"floor": "metal", "sides": "plasterboard", "ceiling": "metal"}
    dry, wet = (trace(outdoors(rate, **sides), SETTINGS, POINTS) for rate in (0.0, 200.0))
    pairs = 0
    for point in range(len(POINTS)):
        there, here = (
            {float(delay): number for number, delay in enumerate(data["delay"].values[point, 0])}
            for data in (dry, wet)
        )
        for delay, number in there.items():
            if np.isnan(delay):
                continue
            ratio = level(wet)[point, here[delay]] - level(dry)[point, number]
            zenith = float(dry["aod_zenith"].values[point, 0, number])
            gamma, _ = Rain(60e9, 200.0).db_per_km(np.pi / 2 - zenith)
            assert ratio == pytest.approx(-gamma * delay * SPEED_OF_LIGHT_M_PER_S / 1e3, abs=1e-4)
            pairs += 1
    assert pairs > 10


def test_the_strongest_paths_in_the_rain_are_kept():
    sides = {"floor": "metal", "sides": "metal", "ceiling": "metal"}
    scene = outdoors(200.0, **sides)
    all_paths = trace(scene, SETTINGS.model_copy(update={"max_paths": 60}), POINTS)
    few = trace(scene, SETTINGS.model_copy(update={"max_paths": 2}), POINTS)
    assert (few["path_gain"].values == all_paths["path_gain"].values[..., :2]).all()
    power = np.abs(all_paths["path_gain"].values.astype(np.complex128)) ** 2
    assert few["power_left_out"].values == pytest.approx(power[..., 2:].sum(axis=-1), rel=1e-5)


def test_no_rain_changes_no_bit():
    declared = trace(outdoors(0.0), SETTINGS, POINTS)
    plain = trace(rooms.room(frequency_ghz=60.0), SETTINGS, POINTS)
    for name in plain.data_vars:
        assert declared[name].values.tobytes() == plain[name].values.tobytes(), name


def test_rain_at_a_carrier_nobody_measured_is_refused():
    low = rooms.access_point("low", [4.0, 3.0, 2.0], frequency_ghz=0.7)
    lost = rooms.access_point("lost", [5.0, 3.0, 2.0], frequency_ghz=0.5, active=False)
    aps = [rooms.access_point("AP1", [2.0, 3.0, 2.0]), low, lost]
    with pytest.raises(InputError) as error:
        trace(outdoors(access_points=aps), SETTINGS, POINTS)
    assert [fault.key for fault in error.value.faults] == ["access_points.low.frequency_ghz"]
    assert trace(outdoors(0.0, access_points=aps), SETTINGS, POINTS)["los"].values[:, 1].all()


LAYERS = [
    {"itu": "plasterboard", "thickness_m": 0.0125},
    {"relative_permittivity": 1.2, "conductivity_s_per_m": 0.002, "thickness_m": 0.05},
    {"itu": "brick", "thickness_m": 0.1},
]


@pytest.mark.parametrize("ghz", [2.4, 5.25, 28.0])
def test_a_wall_of_layers_lets_through_what_they_do(ghz):
    materials = {**rooms.room().plain()["materials"], "stack": {"layers": LAYERS}}
    wall = rooms.wall("screen", 5.0, "stack")
    scene = rooms.room(frequency_ghz=ghz, materials=materials, walls=[wall])
    # Straight through, and at an angle in the horizontal plane, where the field is TE.
    point = np.array([[8.0, 3.0, 2.0], [8.0, 6.5, 2.0]])
    traced = trace(scene, SETTINGS, point)
    distance = np.hypot(6.0, point[:, 1] - 3.0)
    through = level(traced)[:, 0] - free_space_path_gain_db(distance, ghz * 1e9)
    stack = layer_slabs(scene.materials["stack"], ghz * 1e9)
    _, field = stack_response(stack, ghz * 1e9, np.arccos(6.0 / distance))
    expected = 10 * np.log10(np.abs(field[0]) ** 2 + TRANSMISSION_FLOOR)
    found = equivalent_slab(stack, ghz * 1e9)
    assert traced["interactions"].values[:, 0, 0].tolist() == [4, 4]
    assert f"{found.worst_transmission_db:.1f} dB" in traced.attrs["layers"]
    # The stated residual, and Sionna's single precision.
    assert through == pytest.approx(expected, abs=found.worst_transmission_db + 0.05)
    _, exact = stack_response([found.slab], ghz * 1e9, np.arccos(6.0 / distance))
    assert through == pytest.approx(20 * np.log10(np.abs(exact[0])), abs=0.05)
