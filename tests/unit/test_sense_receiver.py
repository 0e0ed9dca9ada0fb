import numpy as np
import pytest
import xarray as xr

from twin.config import validate
from twin.errors import InputError
from twin.sense.leading_edge import leading_edge_s
from twin.sense.receiver import SenseModel, sense, shadowing
from twin.units import SPEED_OF_LIGHT_M_PER_S

BAND_HZ = 80e6
PERFECT = SenseModel(
    rss_offset_std_db=0.0,
    shadowing_std_db=0.0,
    rss_jitter_std_db=0.0,
    rss_step_db=0.0,
    rtt_bias_std_m=0.0,
    rtt_scale_std=0.0,
    rtt_point_std_m=0.0,
    rtt_noise_std_m=0.0,
    rtt_outlier_probability=0.0,
)


def traced(points=400, aps=("A", "B"), rss=-60.0):
    """Line of sight only, at the distances that the positions say."""
    position = np.random.default_rng(3).uniform(0, 20, (points, 3))
    ap_position = np.array([[0.0, 0.0, 3.0], [20.0, 20.0, 3.0]])[: len(aps)]
    distance = np.linalg.norm(position[:, None] - ap_position, axis=2)
    delay = np.full((points, len(aps), 2), np.nan)
    delay[..., 0] = distance / SPEED_OF_LIGHT_M_PER_S
    gain = np.zeros((points, len(aps), 2), np.complex64)
    gain[..., 0] = 1e-4
    level = np.full((points, len(aps)), rss, np.float32)
    dims = ("point", "ap", "path")
    return xr.Dataset(
        {
            "position": (("point", "xyz"), position),
            "ap_position": (("ap", "xyz"), ap_position),
            "path_gain": (dims, gain),
            "delay": (dims, delay),
            "rss": (("point", "ap"), level),
            "los": (("point", "ap"), np.ones((points, len(aps)), bool)),
        },
        coords={"ap": list(aps)},
        attrs={"bandwidth_hz": BAND_HZ},
    ), distance


def change(model, **values):
    return SenseModel(**{**model.model_dump(), **values})


def test_a_perfect_receiver_reports_the_truth():
    data, distance = traced()
    reported = sense(data, PERFECT, 1, "room", 0, visits=1, snapshots=3)
    assert reported["rss"].dims == reported["rtt"].dims == ("point", "snapshot", "ap")
    assert reported["rss"].dtype == reported["rtt"].dtype == np.float32
    assert (reported["rss"].values == -60.0).all()
    expected = np.broadcast_to(distance[:, None], (400, 3, 2))
    assert reported["rtt"].values == pytest.approx(expected, abs=1e-5)


def test_not_heard_below_the_threshold_or_without_a_path():
    data, _ = traced(points=3)
    data["rss"].values[0] = -95.5
    data["rss"].values[1] = np.nan
    data["delay"].values[1] = np.nan
    data["path_gain"].values[1] = 0
    reported = sense(data, PERFECT, 1, "room", 0, visits=1, snapshots=2)
    for quantity in ("rss", "rtt"):
        assert np.isnan(reported[quantity].values).all(axis=(1, 2)).tolist() == [True, True, False]


def test_rss_comes_in_steps():
    data, _ = traced()
    reported = sense(data, SenseModel(rss_step_db=2.0), 1, "room", 0, visits=1, snapshots=2)
    assert set(np.unique(reported["rss"].values % 2.0)) == {0.0}


def test_spreads_are_those_asked_for():
    data, distance = traced(points=3000)
    model = change(
        PERFECT,
        rss_jitter_std_db=1.5,
        rtt_noise_std_m=0.3,
        rtt_point_std_m=0.8,
        rtt_bias_mean_m=2.0,
    )
    reported = sense(data, model, 5, "room", 0, visits=1, snapshots=20)
    assert reported["rss"].std("snapshot", ddof=1).mean() == pytest.approx(1.5, rel=0.05)
    error = reported["rtt"].values - distance[:, None]
    assert error.std(axis=1, ddof=1).mean() == pytest.approx(0.3, rel=0.05)
    assert error.mean(axis=1).std() == pytest.approx(0.8, rel=0.05)
    assert error.mean() == pytest.approx(2.0, abs=0.05)


def test_outliers_are_late_rare_and_the_same_in_all_snapshots():
    data, distance = traced(points=4000)
    model = change(PERFECT, rtt_outlier_probability=0.1, rtt_outlier_mean_m=2.0)
    excess = (
        sense(data, model, 5, "room", 0, visits=1, snapshots=2)["rtt"].values - distance[:, None]
    )
    late = excess > 1e-3
    assert (excess > -1e-4).all()
    assert late.mean() == pytest.approx(0.1, abs=0.01)
    assert excess[late].mean() == pytest.approx(2.0, rel=0.1)
    assert (late[:, 0] == late[:, 1]).all()


def test_draws_are_named_by_scene_realisation_and_access_point():
    data, _ = traced(points=30)
    first = sense(data, SenseModel(), 7, "room", 0, visits=1, snapshots=2)
    assert sense(data, SenseModel(), 7, "room", 0, visits=1, snapshots=2).identical(first)
    for changed in ((8, "room", 0), (7, "hall", 0), (7, "room", 1)):
        assert not sense(data, SenseModel(), *changed, visits=1, snapshots=2).equals(first)
    # Leaving an access point out changes nothing for the others, nor does a change of one quantity.
    alone = sense(data.isel(ap=slice(1, 2)), SenseModel(), 7, "room", 0, visits=1, snapshots=2)
    assert (alone["rtt"].values[..., 0] == first["rtt"].values[..., 1]).all()
    louder = sense(data, SenseModel(rss_jitter_std_db=2.0), 7, "room", 0, visits=1, snapshots=2)
    assert (louder["rtt"].values == first["rtt"].values).all()
    assert first["rss"].values[..., 0].mean() != first["rss"].values[..., 1].mean()


def test_shadowing_has_its_variance_and_correlation():
    # Many fields at few distances: the average over fields is the covariance.
    distance = np.array([0.0, 0.5, 2.0, 4.0])
    line = np.column_stack([distance, np.zeros((4, 2))])
    fields = np.stack([shadowing(line, 2.0, np.random.default_rng(k)) for k in range(3000)])
    covariance = (fields[:, :1] * fields).mean(axis=0)
    assert covariance == pytest.approx(np.exp(-distance / 2.0), abs=0.08)
    assert fields.mean(axis=0) == pytest.approx(0.0, abs=0.08)


def test_shadowing_belongs_to_the_place():
    points = np.random.default_rng(0).uniform(0, 10, (50, 3))
    whole = shadowing(points, 2.0, np.random.default_rng(1))
    part = shadowing(points[[30, 10]], 2.0, np.random.default_rng(1))
    assert part == pytest.approx(whole[[30, 10]], abs=1e-12)


def test_a_lone_path_is_detected_at_its_delay():
    delay = np.array([[1e-9], [33.3e-9], [250.1e-9]])
    gain = np.array([[1e-3], [-2e-5j], [3 + 4j]])
    for fraction in (0.1, 0.25, 0.7):
        assert leading_edge_s(gain, delay, BAND_HZ, fraction) == pytest.approx(
            delay[:, 0], abs=1e-15
        )


def test_a_first_path_too_weak_for_the_fraction_is_missed():
    delay = np.array([[50e-9, 150e-9]] * 2)
    gain = np.array([[0.5, 1.0], [0.1, 1.0]])
    found = leading_edge_s(gain, delay, BAND_HZ, 0.25)
    # Half the peak: seen, a little late, as the fraction is of the stronger path.
    assert 50e-9 < found[0] < 56e-9
    assert found[1] == pytest.approx(150e-9, abs=3e-9)


def test_an_overlapping_echo_shifts_the_edge():
    delay = np.array([[50e-9, 58e-9]] * 2)
    found = leading_edge_s(np.array([[1.0, 0.9], [1.0, -0.9]]), delay, BAND_HZ, 0.25)
    assert np.abs(found - 50e-9).max() < 8e-9
    assert found[0] > 50e-9 > found[1]


def test_a_link_is_detected_alone_as_among_others():
    drawn = np.random.default_rng(4)
    links, paths = 150, 9
    gain = drawn.normal(size=(links, paths)) + 1j * drawn.normal(size=(links, paths))
    delay = 30e-9 + drawn.exponential(40e-9, (links, paths))
    # Two late paths that together outdo the strongest; the last link's tail is the longest.
    gain[0], delay[0] = 0.0, np.nan
    gain[0, :3], delay[0, :3] = [0.5, 0.49, 0.49], [50e-9, 170e-9, 171e-9]
    delay[-1, -1] = 2e-6
    together = leading_edge_s(gain, delay, BAND_HZ, 0.25)
    alone = [
        leading_edge_s(g[None], d[None], BAND_HZ, 0.25)[0] for g, d in zip(gain, delay, strict=True)
    ]
    assert (together == np.array(alone)).all()
    assert together[0] > 50.5e-9  # the fraction is of the two late paths' sum


def test_links_without_a_path_stay_empty():
    gain = np.zeros((2, 3, 4), complex)
    delay = np.full((2, 3, 4), np.nan)
    gain[1, 2, 1], delay[1, 2, 1] = 1.0, 20e-9
    found = leading_edge_s(gain, delay, BAND_HZ, 0.25)
    assert np.isnan(found).sum() == 5
    assert found[1, 2] == pytest.approx(20e-9)


def test_ranges_are_checked():
    with pytest.raises(InputError) as error:
        validate(
            {"rss_step_db": -1.0, "edge_fraction": 2.0, "detection_threshold_dbm": 20.0, "x": 1},
            SenseModel,
            "study.yaml",
        )
    keys = {fault.key for fault in error.value.faults}
    assert keys == {"rss_step_db", "edge_fraction", "detection_threshold_dbm", "x"}
    data, _ = traced(points=1)
    with pytest.raises(ValueError, match="expected 1 or more, found visits 1, snapshots 0"):
        sense(data, SenseModel(), 1, "room", 0, visits=1, snapshots=0)


def test_a_visit_keeps_its_biases_and_another_visit_has_its_own():
    data, _ = traced()
    model = change(PERFECT, rss_offset_std_db=3.0)
    level = sense(data, model, 5, "room", 0, visits=3, snapshots=2)["rss"].values
    assert level.shape == (400, 6, 2)
    per_visit = level.reshape(400, 3, 2, 2)
    assert (per_visit == per_visit[:1, :, :1]).all()
    assert len(np.unique(per_visit[0, :, 0, 0])) == 3


def test_further_visits_change_no_earlier_one():
    data, _ = traced()
    few = sense(data, SenseModel(), 5, "room", 0, visits=1, snapshots=2)
    many = sense(data, SenseModel(), 5, "room", 0, visits=3, snapshots=2)
    assert np.array_equal(few["rss"], many["rss"][:, :2], equal_nan=True)
    assert np.array_equal(few["rtt"], many["rtt"][:, :2], equal_nan=True)
