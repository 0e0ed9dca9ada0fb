from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from twin.trace import channel
from twin.trace.antenna import named_ports
from twin.trace.array import MountedArray, linear, planar
from twin.trace.paths import PathTable
from twin.units import SPEED_OF_LIGHT_M_PER_S
from twin.waves import subcarrier_offsets_hz

FREQUENCY_HZ = 5.25e9
BANDWIDTH_HZ = 80e6
UPRIGHT = (0.0, 0.0, 0.0)
SINGLE = MountedArray(linear(1, named_ports("iso", "V")), UPRIGHT)
# Line of sight: zenith's unit vectors of opposite directions are the same, azimuth's opposite.
LINE_OF_SIGHT = np.diag([1.0, -1.0])


def table(transfer, delay, arrival=(0.0, np.pi / 2), departure=(0.0, np.pi / 2)):
    """Paths (n, a, p); arrival and departure are (azimuth, zenith), numbers or (n, a, p)."""
    transfer = np.asarray(transfer, dtype=np.complex64)
    delay = np.asarray(delay, dtype=np.float64)
    there = np.isfinite(delay)

    def angle(value):
        return np.where(there, value, np.nan).astype(np.float32)

    return PathTable(
        gain=transfer[..., 0, 0].copy(),
        transfer=transfer,
        delay_s=delay,
        aoa_azimuth=angle(arrival[0]),
        aoa_zenith=angle(arrival[1]),
        aod_azimuth=angle(departure[0]),
        aod_zenith=angle(departure[1]),
        interactions=np.zeros(delay.shape, dtype=np.int32),
        num_paths=there.sum(axis=-1).astype(np.int16),
        power_left_out=np.zeros(delay.shape[:-1], dtype=np.float32),
        power_undiscovered=np.zeros(delay.shape[:-1], dtype=np.float32),
    )


def scattered(points, aps, paths, seed=0):
    """Paths from everywhere; the last one of the first point is missing."""
    rng = np.random.default_rng(seed)
    shape = (points, aps, paths)
    transfer = rng.normal(size=(*shape, 2, 2)) + 1j * rng.normal(size=(*shape, 2, 2))
    delay = rng.uniform(10e-9, 300e-9, shape)
    transfer[0, :, -1], delay[0, :, -1] = 0.0, np.nan
    ends = [(rng.uniform(-np.pi, np.pi, shape), rng.uniform(0, np.pi, shape)) for _ in range(2)]
    return table(transfer, delay, *ends)


def some(links, points):
    return PathTable(**{f.name: getattr(links, f.name)[points].copy() for f in fields(links)})


def level_db(amplitude):
    return 20 * np.log10(np.abs(amplitude) + 1e-30)


def test_one_upright_isotropic_port_at_both_ends_gives_the_csi_of_the_gains():
    links = scattered(5, 2, 6)
    expected = channel.csi(links, BANDWIDTH_HZ, 12)
    for ap in range(2):
        found = channel.array_csi(links, ap, SINGLE, SINGLE, BANDWIDTH_HZ, 12)
        assert found.shape == (5, 1, 1, 12)
        assert found.dtype == np.complex64
        assert np.abs(found[:, 0, 0] - expected[:, ap]).max() < 1e-5


def test_a_linear_array_against_the_sum_of_plane_waves():
    gains = np.array([0.5, 0.3j, -0.2])
    delays = np.array([20e-9, 50e-9, 90e-9])
    arrival, departure = np.array([0.3, -0.9, 2.0]), np.array([-0.4, 0.1, 1.2])
    links = table(
        gains[None, None, :, None, None] * np.eye(2),
        delays[None, None],
        (arrival, np.pi / 2),
        (departure, np.pi / 2),
    )
    receiver = MountedArray(linear(3, named_ports("iso", "V")), UPRIGHT)
    transmitter = MountedArray(linear(4, named_ports("iso", "V")), UPRIGHT)
    found = channel.array_csi(links, 0, transmitter, receiver, BANDWIDTH_HZ, 5)[0]
    offsets = subcarrier_offsets_hz(BANDWIDTH_HZ, 5)
    expected = np.zeros((3, 4, 5), dtype=np.complex128)
    for gain, delay, at, to in zip(gains, delays, arrival, departure, strict=True):
        receive = np.exp(1j * np.pi * np.sin(at) * (np.arange(3) - 1))
        transmit = np.exp(1j * np.pi * np.sin(to) * (np.arange(4) - 1.5))
        turn = np.exp(-2j * np.pi * offsets * delay)
        expected += gain * receive[:, None, None] * transmit[:, None] * turn
    assert np.abs(found - expected).max() < 1e-6


def test_line_of_sight_between_dual_polarised_antennas_keeps_the_polarisations_apart():
    links = table(0.01 * LINE_OF_SIGHT[None, None, None], [[[10e-9]]], departure=(np.pi, np.pi / 2))
    dual = planar(1, 1, named_ports("iso", "VH"))
    for roll in (0.0, 0.5):
        # Whoever rolls the transmitter sees it roll the other way from the receiver.
        transmitter = MountedArray(dual, (np.pi, 0.0, roll))
        receiver = MountedArray(dual, (0.0, 0.0, -roll))
        found = channel.array_csi(links, 0, transmitter, receiver, BANDWIDTH_HZ, 4)[0, :, :, 2]
        assert level_db(found[0, 0]) == pytest.approx(-40.0, abs=1e-3)
        assert level_db(found[1, 1]) == pytest.approx(-40.0, abs=1e-3)
        assert level_db(found[0, 1]) < -120.0
        assert level_db(found[1, 0]) < -120.0


@pytest.mark.parametrize("roll", [0.0, 0.4, np.pi / 2])
def test_a_rolled_receiver_loses_the_cosine_and_finds_the_sine(roll):
    links = table(LINE_OF_SIGHT[None, None, None], [[[10e-9]]], departure=(np.pi, np.pi / 2))
    dual = MountedArray(planar(1, 1, named_ports("iso", "VH")), (0.0, 0.0, roll))
    gain, delay = channel.cir(links, 0, SINGLE, dual)
    assert np.abs(gain[0, :, 0, 0]) == pytest.approx([np.cos(roll), np.sin(roll)], abs=1e-6)
    assert delay.tolist() == [[10e-9]]


def test_ports_are_counted_pattern_by_pattern():
    links = scattered(2, 1, 3)
    both = named_ports("tr38901", "cross")
    pair = MountedArray(planar(1, 2, both), UPRIGHT)
    found = channel.array_csi(links, 0, SINGLE, pair, BANDWIDTH_HZ, 4)
    for index, port in enumerate(both):
        one = MountedArray(planar(1, 2, (port,)), UPRIGHT)
        expected = channel.array_csi(links, 0, SINGLE, one, BANDWIDTH_HZ, 4)
        assert np.abs(found[:, 2 * index : 2 * index + 2] - expected).max() < 1e-5


def test_at_the_carrier_the_response_is_the_sum_of_the_impulse_response():
    links = scattered(3, 2, 7)
    transmitter = MountedArray(planar(2, 2, named_ports("dipole", "V")), (0.4, 0.1, 0.0))
    receiver = MountedArray(linear(2, named_ports("dipole", "VH")), (0.0, 0.0, 0.3))
    gain, delay = channel.cir(links, 1, transmitter, receiver)
    assert gain.shape == (3, 4, 4, 7)
    assert not gain[0, ..., -1].any()
    assert np.isnan(delay[0, -1])
    response = channel.array_csi(links, 1, transmitter, receiver, BANDWIDTH_HZ, 6)
    assert np.abs(gain.sum(axis=-1) - response[..., 3]).max() < 1e-4


def test_every_point_may_hold_its_receiver_differently():
    links = scattered(4, 1, 5)
    turns = np.random.default_rng(8).uniform(-3, 3, (4, 3))
    array = linear(2, named_ports("dipole", "VH"))
    found = channel.array_csi(links, 0, SINGLE, MountedArray(array, turns), BANDWIDTH_HZ, 4)
    for point in range(4):
        held = MountedArray(array, turns[point])
        alone = channel.array_csi(links, 0, SINGLE, held, BANDWIDTH_HZ, 4)
        assert found[point].tobytes() == alone[point].tobytes()


@pytest.mark.parametrize("paths", [1, 7, 32])
@pytest.mark.parametrize("subcarriers", [1, 16, 30])
def test_a_point_does_not_depend_on_its_batch(monkeypatch, paths, subcarriers):
    links = scattered(9, 2, paths, seed=paths)
    transmitter = MountedArray(planar(2, 2, named_ports("tr38901", "cross")), (0.3, 0.1, 0.2))
    receiver = MountedArray(linear(3, named_ports("hw_dipole", "V")), (0.1, 0.0, 1.0))

    def response(part):
        return channel.array_csi(part, 1, transmitter, receiver, BANDWIDTH_HZ, subcarriers)

    whole = response(links).tobytes()
    impulse = channel.cir(links, 1, transmitter, receiver)[0].tobytes()
    parts = [slice(0, 1), slice(1, 4), slice(4, 9)]
    assert b"".join(response(some(links, part)).tobytes() for part in parts) == whole
    for limit in (1, 50_000):
        monkeypatch.setattr(channel, "_BATCH_BYTES", limit)
        assert response(links).tobytes() == whole
        assert channel.cir(links, 1, transmitter, receiver)[0].tobytes() == impulse


def test_without_any_path_there_is_nothing():
    links = table(np.zeros((2, 1, 3, 2, 2)), np.full((2, 1, 3), np.nan))
    assert not channel.array_csi(links, 0, SINGLE, SINGLE, BANDWIDTH_HZ, 4).any()
    assert np.isnan(channel.power_sum_dbm(links, np.zeros(1))).all()
    shift = channel.doppler_hz(links, FREQUENCY_HZ, (1.0, 0.0, 0.0), UPRIGHT)
    assert np.isnan(shift).all()
    assert not channel.at_time(links, shift, 1.0).gain.any()


def test_doppler_of_whoever_approaches_is_f_v_over_c():
    # Both points see access point 0 ahead, along +x, and access point 1 straight up.
    zenith = np.array([[[np.pi / 2], [0.0]]] * 2)
    transfer = np.ones((2, 2, 1, 2, 2))
    links = table(transfer, np.full((2, 2, 1), 1e-8), (0.0, zenith), (np.pi, np.pi - zenith))
    speed = 30.0
    full = FREQUENCY_HZ * speed / SPEED_OF_LIGHT_M_PER_S
    still = (0.0, 0.0, 0.0)
    moving = [[speed, 0.0, 0.0], [0.0, 0.0, -speed]]
    received = channel.doppler_hz(links, FREQUENCY_HZ, moving, still)[..., 0]
    assert received == pytest.approx(np.array([[full, 0.0], [0.0, -full]]), abs=1e-3)
    # Access point 0 flees along +x, access point 1 falls upon the points.
    moving = [[speed, 0.0, 0.0], [0.0, 0.0, -speed]]
    sent = channel.doppler_hz(links, FREQUENCY_HZ, still, moving)[..., 0]
    assert sent == pytest.approx(np.array([[-full, full], [-full, full]]), abs=1e-3)
    both = channel.doppler_hz(links, FREQUENCY_HZ, (speed, 0.0, 0.0), (speed, 0.0, 0.0))
    assert both == pytest.approx(np.zeros((2, 2, 1)), abs=1e-3)


def test_a_later_table_is_that_of_a_shorter_path():
    wavelength = SPEED_OF_LIGHT_M_PER_S / FREQUENCY_HZ

    def at(distance):
        wave = np.exp(-2j * np.pi * distance / wavelength)
        return table(
            wave * LINE_OF_SIGHT[None, None, None], [[[distance / SPEED_OF_LIGHT_M_PER_S]]]
        )

    shift = channel.doppler_hz(at(10.0), FREQUENCY_HZ, (2.0, 0.0, 0.0), UPRIGHT)
    later = channel.at_time(at(10.0), shift, 0.003)
    assert later.gain == pytest.approx(at(10.0 - 0.006).gain, abs=1e-4)
    found = channel.array_csi(later, 0, SINGLE, SINGLE, 1e3, 1)
    assert found == pytest.approx(channel.csi(at(10.0 - 0.006), 1e3, 1)[:, :, None], abs=1e-4)
    assert later.transfer[0, 0, 0, 1, 1] == pytest.approx(-later.gain[0, 0, 0])


def test_two_paths_beat_at_the_difference_of_their_shifts():
    # One from ahead, one from behind: the sum fades where their phases differ by half a turn.
    azimuth = np.array([[[0.0, np.pi]]])
    links = table(np.ones((1, 1, 2, 2, 2)), np.full((1, 1, 2), 1e-8), (azimuth, np.pi / 2))
    speed = 1.5
    shift = channel.doppler_hz(links, FREQUENCY_HZ, (speed, 0.0, 0.0), UPRIGHT)
    # Fades lie half a wavelength apart, the first after a quarter.
    quarter_s = SPEED_OF_LIGHT_M_PER_S / FREQUENCY_HZ / 4 / speed
    for quarters, level in ((0, 2.0), (1, 0.0), (2, 2.0), (3, 0.0)):
        later = channel.at_time(links, shift, quarters * quarter_s)
        assert np.abs(channel.csi(later, 1e3, 1)).item() == pytest.approx(level, abs=1e-5)


def test_power_sum_and_coherent_rss_of_two_paths():
    pair = table(np.ones((1, 2, 2, 2, 2)), np.full((1, 2, 2), 1e-8))
    pair = replace(pair, gain=np.array([[[0.01, -0.01], [0.01, 0.01]]], dtype=np.complex64))
    power = np.array([20.0, 10.0])
    coherent = channel.rss_dbm(channel.csi(pair, 1e3, 1), power)
    assert np.isnan(coherent[0, 0])
    assert coherent[0, 1] == pytest.approx(10.0 - 40.0 + 6.0206, abs=1e-3)
    summed = channel.power_sum_dbm(pair, power)
    assert summed == pytest.approx(np.array([[20.0, 10.0]]) - 40.0 + 3.0103, abs=1e-3)
    assert summed.dtype == np.float32
