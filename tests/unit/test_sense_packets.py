import numpy as np
import pytest
import xarray as xr

from twin.config import validate
from twin.errors import InputError
from twin.sense.packets import PacketModel, sense_packets, thermal_noise_dbm
from twin.sense.residual_motion import delay_profile, scattered, tap_responses
from twin.units import db, power_ratio
from twin.waves import subcarrier_offsets_hz

BAND_HZ = 20e6
SUBCARRIERS = 52
OFFSETS_HZ = subcarrier_offsets_hz(BAND_HZ, SUBCARRIERS)
# Nothing moves, and everything is told as it is, but for the gain's aim.
CLEAR = PacketModel(
    noise_figure_db=0.0,
    motion_ratio_db=200.0,
    agc_step_db=0.0,
    agc_jitter_std_db=0.0,
    random_phase=False,
    timing_std_s=0.0,
    csi_bits=None,
    rss_jitter_std_db=0.0,
    rss_step_db=0.0,
    detection_threshold_dbm=-200.0,
)


def change(model, **values):
    return PacketModel(**{**model.model_dump(), **values})


def traced(points=1, aps=("A",), level=-40.0, subcarriers=SUBCARRIERS, flat=True):
    """Channels of one path, or of several where not flat; all at one level."""
    generator = np.random.default_rng(3)
    shape = (points, len(aps), subcarriers)
    response = np.full(shape, 1e-3 + 0j)
    if not flat:
        gain = generator.normal(size=(*shape[:2], 6, 2)) @ [1.0, 1.0j]
        delay = generator.uniform(0, 200e-9, (*shape[:2], 6))
        turns = np.exp(-2j * np.pi * delay[..., None] * OFFSETS_HZ[:subcarriers])
        response = 1e-4 * (gain[..., None] * turns).sum(axis=2)
    return xr.Dataset(
        {
            "position": (("point", "xyz"), generator.uniform(0, 9, (points, 3))),
            "csi": (("point", "ap", "subcarrier"), response.astype(np.complex64)),
            "rss": (("point", "ap"), np.full((points, len(aps)), level, np.float32)),
            "toa": (("point", "ap"), np.full((points, len(aps)), 40e-9)),
            "los": (("point", "ap"), np.ones((points, len(aps)), bool)),
        },
        coords={"ap": list(aps)},
        attrs={"bandwidth_hz": BAND_HZ},
    )


def hear(data, model, *, seed=1, scene="hall", realisation=0, bursts=1, packets=2):
    return sense_packets(data, model, seed, scene, realisation, bursts, packets)


def waves(reported, model):
    """What came in (point, snapshot, ap, k) [sqrt(mW)], the gain undone."""
    level = reported["rss"].values.astype(float)[..., None]
    return reported["reported_csi"].values[..., 0, 0, :] * np.sqrt(
        power_ratio(level - model.agc_target_dbfs)
    )


@pytest.mark.parametrize("level", [-50.0, -85.0, -99.0])
@pytest.mark.parametrize("figure", [0.0, 7.0])
def test_the_noise_is_that_of_k_t_b_and_the_noise_figure(level, figure):
    assert thermal_noise_dbm(1.0, 0.0) == pytest.approx(-173.975, abs=0.001)
    model = change(CLEAR, noise_figure_db=figure)
    wave = waves(hear(traced(level=level), model, packets=600), model)[0, :, 0]
    noise = wave - np.sqrt(power_ratio(level))
    expected = thermal_noise_dbm(BAND_HZ, figure)
    assert db(np.mean(np.abs(noise) ** 2)) == pytest.approx(expected, abs=0.15)
    # White: no subcarrier and no packet knows of another.
    one = np.abs(np.mean(noise[:, 1:] * noise[:, :-1].conj()))
    assert one < 0.03 * power_ratio(expected)


def test_rss_is_the_level_before_the_gain_in_steps():
    data = traced(points=2)
    data["rss"].values[:, 0] = [-40.3, -71.6]
    model = change(CLEAR, rss_step_db=1.0)
    assert hear(data, model)["rss"].values[..., 0].tolist() == [[-40, -40], [-72, -72]]
    assert hear(data, CLEAR)["rss"].values[..., 0] == pytest.approx(
        np.array([[-40.3] * 2, [-71.6] * 2]), abs=0.15
    )
    noisy = hear(data, change(CLEAR, rss_jitter_std_db=2.0), packets=2000)["rss"].values[..., 0]
    assert noisy.std(axis=1) == pytest.approx([2.0, 2.0], rel=0.06)


def test_the_gain_levels_out_power_up_to_its_step():
    data = traced(points=30, flat=False)
    data["rss"].values[:, 0] = np.linspace(-80, -21.3, 30)
    model = change(CLEAR, agc_step_db=3.0)
    reported = hear(data, model)["reported_csi"].values[:, :, 0, 0, 0]
    level = db(np.mean(np.abs(reported) ** 2, axis=-1))
    assert np.abs(level - model.agc_target_dbfs).max() <= 1.5 + 1e-3
    assert level.std() > 0.5
    smooth = hear(data, CLEAR)["reported_csi"].values[:, :, 0, 0, 0]
    assert db(np.mean(np.abs(smooth) ** 2, axis=-1)) == pytest.approx(-12.0, abs=1e-4)
    # Steps: gains differ by multiples of three decibels.
    gain_db = level - hear(data, change(CLEAR, rss_step_db=0.0))["rss"].values[..., 0]
    assert np.abs(gain_db / 3.0 - np.round(gain_db / 3.0)).max() < 1e-3


def test_the_gain_is_off_from_packet_to_packet():
    model = change(CLEAR, agc_jitter_std_db=1.5)
    reported = hear(traced(), model, packets=1500)["reported_csi"].values[0, :, 0, 0, 0]
    level = db(np.mean(np.abs(reported) ** 2, axis=-1))
    assert level.std() == pytest.approx(1.5, rel=0.06)
    assert level.mean() == pytest.approx(model.agc_target_dbfs, abs=0.15)


def test_phases_are_uniform_and_starts_of_symbols_off():
    model = change(CLEAR, random_phase=True, timing_std_s=30e-9)
    wave = waves(hear(traced(level=-20.0), model, packets=1500), model)[0, :, 0]
    centre = int(np.flatnonzero(OFFSETS_HZ == 0.0)[0])
    phase = np.angle(wave[:, centre])
    # Kolmogorov and Smirnov's test at one per cent.
    share = (np.sort(phase) + np.pi) / (2 * np.pi)
    assert np.abs(share - np.linspace(0, 1, len(share))).max() < 1.63 / np.sqrt(len(share))
    slope = np.angle((wave[:, 1:] * wave[:, :-1].conj()).mean(axis=1))
    timing_s = -slope / (2 * np.pi * (OFFSETS_HZ[1] - OFFSETS_HZ[0]))
    assert timing_s.std() == pytest.approx(30e-9, rel=0.06)
    assert abs(timing_s.mean()) < 3e-9
    assert abs(np.corrcoef(phase, timing_s)[0, 1]) < 0.1
    # Amplitudes know nothing of either.
    still = waves(hear(traced(level=-20.0), CLEAR, packets=1500), CLEAR)[0, :, 0]
    assert np.abs(wave) == pytest.approx(np.abs(still), rel=1e-4)


def test_what_moves_has_its_power_and_its_correlations():
    data = traced(points=40, level=-10.0, flat=False)
    model = change(
        CLEAR,
        motion_ratio_db=6.0,
        coherence_time_s=0.05,
        packet_interval_s=0.01,
        motion_delay_spread_s=50e-9,
    )
    bursts, packets = 6, 10
    wave = waves(hear(data, model, bursts=bursts, packets=packets), model)[:, :, 0]
    static = data["csi"].values[:, 0].astype(complex)
    static *= np.sqrt(power_ratio(-10.0) / np.mean(np.abs(static) ** 2, axis=-1, keepdims=True))
    ratio = power_ratio(6.0)
    moving = wave - np.sqrt(ratio / (1 + ratio)) * static[:, None]
    power = np.mean(np.abs(moving) ** 2)
    assert db(power_ratio(-10.0) / power) == pytest.approx(db(1 + ratio), abs=0.3)
    assert db(np.mean(np.abs(wave) ** 2)) == pytest.approx(-10.0, abs=0.3)
    moving = moving.reshape(40, bursts, packets, SUBCARRIERS)

    def correlation(one, other):
        return np.mean(one * other.conj()) / power

    for lag in (1, 4):
        found = correlation(moving[:, :, lag:], moving[:, :, :-lag])
        assert found == pytest.approx(np.exp(-0.01 * lag / 0.05), abs=0.08)
    assert abs(correlation(moving[:, 1:], moving[:, :-1])) < 0.06
    # It begins with the first path: the phase of 40 ns, and of the profile's own delays.
    for lag in (1, 8):
        apart = OFFSETS_HZ[lag] - OFFSETS_HZ[0]
        expected = np.exp(-2j * np.pi * apart * 40e-9) / (1 + 2j * np.pi * apart * 50e-9)
        found = correlation(moving[..., lag:], moving[..., :-lag])
        assert found == pytest.approx(expected, abs=0.08)


@pytest.mark.parametrize("spread", [1e-9, 30e-9, 400e-9])
def test_a_profile_has_its_delay_spread(spread):
    power, delay = delay_profile(spread, BAND_HZ)
    assert power.sum() == pytest.approx(1.0)
    mean = power @ delay
    assert np.sqrt(power @ (delay - mean) ** 2) == pytest.approx(spread, rel=0.05)
    # Taps are close enough not to repeat within the band.
    response = np.exp(-2j * np.pi * BAND_HZ / 2 * delay) @ power
    assert abs(response) == pytest.approx(1 / np.hypot(1, np.pi * BAND_HZ * spread), rel=0.3)


def test_without_a_spread_all_subcarriers_move_alike():
    taps = tap_responses(*delay_profile(0.0, BAND_HZ), OFFSETS_HZ)
    wave = scattered(np.random.default_rng(1), 2, 3, 1, taps, 0.5)
    assert wave.shape == (2, 3, 1, SUBCARRIERS)
    assert np.ptp(wave.real, axis=-1).max() == 0.0


def test_parts_are_whole_numbers_within_the_converter():
    data = traced(points=4, flat=False)
    exact = hear(data, CLEAR)["reported_csi"].values
    for bits in (4, 10):
        greatest = 2 ** (bits - 1) - 1
        found = hear(data, change(CLEAR, csi_bits=bits))["reported_csi"].values
        parts = np.stack([found.real, found.imag])
        assert (parts == np.round(parts)).all()
        assert np.abs(parts).max() <= greatest
        wanted = np.stack([exact.real, exact.imag]) * greatest
        inside = np.abs(wanted) <= greatest
        assert np.abs(parts - wanted)[inside].max() <= 0.5 + 1e-4
    loud = hear(data, change(CLEAR, csi_bits=8, agc_target_dbfs=6.0))["reported_csi"].values
    parts = np.abs(np.stack([loud.real, loud.imag]))
    assert (parts == 127).mean() > 0.2
    assert parts.max() == 127


def test_what_is_too_weak_is_not_heard():
    data = traced(points=4, aps=("A", "B"))
    data["rss"].values[:, 0] = [-40.0, -91.0, -93.0, np.nan]
    data["csi"].values[3, 0] = 0.0
    data["toa"].values[3, 0] = np.nan
    model = change(CLEAR, detection_threshold_dbm=-92.0, csi_bits=10)
    reported = hear(data, model)
    silent = np.isnan(reported["reported_csi"].values).all(axis=(3, 4, 5))
    assert (silent == np.isnan(reported["rss"].values)).all()
    assert (silent == np.isnan(reported["reported_csi"].values).any(axis=(3, 4, 5))).all()
    assert silent[:, :, 0].tolist() == [[False] * 2, [False] * 2, [True] * 2, [True] * 2]
    assert not silent[:, :, 1].any()


def test_near_the_threshold_some_packets_are_heard():
    model = change(CLEAR, detection_threshold_dbm=-80.0, motion_ratio_db=3.0)
    heard = np.isfinite(hear(traced(level=-80.0), model, bursts=40)["rss"].values)
    assert 0.2 < heard.mean() < 0.8


def test_a_link_does_not_know_of_other_points_and_access_points():
    data = traced(points=5, aps=("A", "B", "C"), flat=False)
    model = PacketModel()
    everything = hear(data, model, bursts=2, packets=3)
    for part in ({"point": [3], "ap": [1]}, {"point": [4, 0, 3], "ap": [2, 1]}):
        alone = hear(data.isel(part), model, bursts=2, packets=3)
        for name in ("rss", "reported_csi"):
            assert (alone[name].values == everything[name].isel(part).values).all()
    more = hear(data, model, bursts=5, packets=3)
    for name in ("rss", "reported_csi"):
        assert (more[name].values[:, :6] == everything[name].values).all()


def test_draws_are_named_by_seed_scene_realisation_place_and_access_point():
    data = traced(points=2, aps=("A", "B"))
    data["csi"].values[:] = data["csi"].values[:1, :1]
    first = hear(data, PacketModel())
    assert hear(data, PacketModel()).identical(first)
    for changed in ({"seed": 2}, {"scene": "lab"}, {"realisation": 1}):
        assert not hear(data, PacketModel(), **changed)["reported_csi"].equals(
            first["reported_csi"]
        )
    links = first["reported_csi"].values.transpose(0, 2, 1, 3, 4, 5).reshape(4, -1)
    assert len(np.unique(links, axis=0)) == 4
    # One size more or less leaves the draws of the others.
    model = change(CLEAR, timing_std_s=1e-8)
    still = hear(data, model)
    jittered = hear(data, change(model, rss_jitter_std_db=3.0))
    assert jittered["reported_csi"].equals(still["reported_csi"])


def test_arrays_are_reported_port_by_port():
    data = traced(points=2, aps=("A", "B")).drop_vars("csi")
    csi = np.full((2, 2, 3, 2, SUBCARRIERS), 1e-3, np.complex64)
    csi[:, 0, :, 1] = 0.0
    csi[:, 1, :, 1] *= 0.5
    dims = ("point", "ap", "rx_antenna", "ap_antenna", "subcarrier")
    data["csi"] = (dims, csi)
    data["ap_ports"] = (("ap",), np.array([1, 2], np.int32))
    reported = hear(data, CLEAR)
    assert reported["reported_csi"].dims == ("point", "snapshot", *dims[1:])
    assert reported["reported_csi"].sizes["rx_antenna"] == 3
    found = reported["reported_csi"].values
    assert not found[:, :, 0, :, 1].any()
    power = np.mean(np.abs(found) ** 2, axis=(3, 5))
    target = power_ratio(CLEAR.agc_target_dbfs)
    assert power[:, :, 0, 0] == pytest.approx(np.full((2, 2), target), rel=0.02)
    assert power[:, :, 1].mean(axis=-1) == pytest.approx(np.full((2, 2), target), rel=0.02)
    assert power[:, :, 1, 0] / power[:, :, 1, 1] == pytest.approx(np.full((2, 2), 4.0), rel=0.02)
    assert np.abs(reported["rss"].values + 40.0).max() < 0.05


def test_bandwidths_of_access_points_decide_their_noise():
    data = traced(points=1, aps=("A", "B"), level=-85.0)
    data.attrs = {}
    data["ap_bandwidth"] = (("ap",), np.array([20e6, 80e6]))
    wave = waves(hear(data, CLEAR, packets=400), CLEAR)
    noise = np.mean(np.abs(wave - np.sqrt(power_ratio(-85.0))) ** 2, axis=(0, 1, 3))
    assert db(noise[1] / noise[0]) == pytest.approx(db(4.0), abs=0.2)


def test_everything_wrong_is_told_at_once():
    with pytest.raises(InputError) as error:
        validate(
            {"csi_bits": 1, "coherence_time_s": 0.0, "agc_step_db": -1.0, "x": 1},
            PacketModel,
            "study.yaml",
        )
    keys = {fault.key for fault in error.value.faults}
    assert keys == {"csi_bits", "coherence_time_s", "agc_step_db", "x"}
    data = traced().drop_vars(["toa", "rss"]).rename(subcarrier="tone")
    data.attrs = {}
    with pytest.raises(InputError) as error:
        hear(data, PacketModel(), bursts=0, packets=0)
    keys = {fault.key for fault in error.value.faults}
    assert keys == {"bursts", "packets", "toa", "rss", "csi", "bandwidth_hz"}
