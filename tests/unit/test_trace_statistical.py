"""Statistical environments: published laws, what is drawn, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from twin.config import validate
from twin.errors import InputError
from twin.sense.receiver import SenseModel, sense
from twin.store.reader import open_site
from twin.store.spec import SiteSpec
from twin.store.writer import write_site
from twin.trace.path_loss import (
    MIXED_OFFICE,
    MODELS,
    OPEN_OFFICE,
    AlphaBetaGamma,
    CloseIn,
    Condition,
    DualSlope,
    Exponent,
    Greatest,
    MixedConditions,
    OneCondition,
    mall_mixed,
    mall_nlos,
    office_frequency_dependent,
    office_single_slope,
    vanilla,
    with_shadowing,
)
from twin.trace.statistical import (
    METALOC_ACCESS_POINTS,
    METALOC_FREQUENCY_HZ,
    StatisticalEnvironment,
    random_sites,
    trace_statistical,
)

CARRIER_HZ = METALOC_FREQUENCY_HZ
AREA_M = (0.0, 0.0, 30.0, 20.0)
SITES = random_sites(METALOC_ACCESS_POINTS, AREA_M, 2.5, 7, "hall")
POINTS = np.random.default_rng(0).uniform((0.0, 0.0, 1.0), (30.0, 20.0, 1.0), (2000, 3))


def environment(model=None, **changes):
    whole = StatisticalEnvironment(
        name="hall",
        model=vanilla() if model is None else model,
        access_points=SITES,
        frequency_hz=CARRIER_HZ,
        power_dbm=20.0,
        seed=7,
    )
    return replace(whole, **changes)


def nlos_of(model):
    return model.nlos.loss if isinstance(model, MixedConditions) else model.condition.loss


# 3GPP TR 38.901, table 7.4.1-1, at 5.2 GHz and 5, 10, 20, 40 m, from independent public codes.
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (office_single_slope().los.loss, [58.8, 64.0, 69.2, 74.4]),
        (office_single_slope().nlos.loss, [61.9, 73.4, 85.0, 96.5]),
        (AlphaBetaGamma(alpha=2.15, beta_db=31.84, gamma=1.9), [60.5, 66.9, 73.4, 79.9]),
    ],
)
def test_losses_of_3gpp(loss, expected):
    assert loss.loss_db([5.0, 10.0, 20.0, 40.0], 5.2e9) == pytest.approx(expected, abs=0.06)


def test_single_slopes_have_their_closed_form():
    # Free space at 1 m and 2,440 MHz is 20 lg(4 pi f / c) = 40.19 dB.
    assert CloseIn(exponent=Exponent(value=2.0)).loss_db(1.0, CARRIER_HZ) == pytest.approx(
        40.195, abs=0.005
    )
    assert CloseIn(exponent=Exponent(value=2.0)).loss_db(100.0, CARRIER_HZ) == pytest.approx(
        80.195, abs=0.005
    )
    abg = AlphaBetaGamma(alpha=3.0, beta_db=20.0, gamma=2.5)
    assert abg.loss_db(10.0, 10e9) == pytest.approx(75.0)


def test_an_exponent_is_its_value_at_its_centre_and_changes_by_its_weight():
    exponent = office_frequency_dependent().nlos.loss.exponent
    assert exponent.at(24.2e9) == pytest.approx(3.19)
    assert exponent.at(48.4e9) == pytest.approx(3.19 * 1.06)
    # 3.19 x (1 + 0.06 x (2.44 - 24.2) / 24.2), by hand.
    assert exponent.at(CARRIER_HZ) == pytest.approx(3.0179, abs=1e-4)
    assert Exponent(value=1.73).at(1e9) == Exponent(value=1.73).at(60e9) == 1.73


# Slopes in dB a decade, by hand from the published parameters at 2.44 GHz.
@pytest.mark.parametrize(
    ("model", "at_m", "slope"),
    [
        (vanilla(exponent=2.7), 10.0, 27.0),
        (mall_nlos(), 10.0, 29.0),
        (mall_nlos(), 147.0, 114.7),
        (office_single_slope(), 10.0, 38.3),
        (office_single_slope(), 1.0, 17.3),
        (office_frequency_dependent(), 10.0, 30.179),
        (mall_mixed(), 10.0, 24.528),
        (mall_mixed(), 110.0, 53.009),
    ],
)
def test_slopes(model, at_m, slope):
    near, far = nlos_of(model).loss_db([at_m, at_m * 1.2], CARRIER_HZ)
    assert (far - near) / np.log10(1.2) == pytest.approx(slope, abs=2e-3)


@pytest.mark.parametrize(("model", "at_m"), [(mall_nlos(), 147.0), (mall_mixed(), 110.0)])
def test_dual_slopes_bend_at_the_breakpoint_and_do_not_jump(model, at_m):
    loss = nlos_of(model)
    around = at_m * np.array([1.0 - 1e-9, 1.0, 1.0 + 1e-9])
    below, at, above = loss.loss_db(around, CARRIER_HZ)
    assert below == pytest.approx(at, abs=1e-6)
    assert above == pytest.approx(at, abs=1e-6)
    assert at == pytest.approx(loss.near.loss_db(at_m, CARRIER_HZ))
    assert loss.loss_db(2.0 * at_m, CARRIER_HZ) > loss.near.loss_db(2.0 * at_m, CARRIER_HZ)


def test_the_mall_is_what_its_parameters_say():
    # 22.17 + 22.4 lg 2.44 + 29 lg 10 = 59.848 dB.
    assert nlos_of(mall_nlos()).loss_db(10.0, CARRIER_HZ) == pytest.approx(59.848, abs=1e-3)
    deviations = [c.shadowing_std_db for c in (mall_mixed().los, mall_mixed().nlos)]
    assert deviations == [2.01, 6.26]


def test_the_greatest_of_losses_is_never_below_any():
    los, nlos = office_single_slope().los.loss, office_single_slope().nlos.loss
    assert isinstance(nlos, Greatest)
    distance = np.geomspace(1.0, 100.0, 50)
    assert (nlos.loss_db(distance, CARRIER_HZ) >= los.loss_db(distance, CARRIER_HZ)).all()
    # At 1 m the formula out of sight alone is 6 dB less.
    assert nlos.loss_db(1.0, CARRIER_HZ) == los.loss_db(1.0, CARRIER_HZ)
    assert nlos.of[1].loss_db(1.0, CARRIER_HZ) < los.loss_db(1.0, CARRIER_HZ) - 5.0


def test_probabilities_of_line_of_sight():
    distance = [0.0, 1.2, 5.0, 10.0, 20.0, 30.0, 50.0]
    expected = [1.0, 1.0, 0.446, 0.287, 0.211, 0.156, 0.084]
    assert MIXED_OFFICE.at(distance) == pytest.approx(expected, abs=6e-4)
    # exp(-(20 - 5) / 70.8) and 0.54 exp(-(100 - 49) / 211.7).
    assert OPEN_OFFICE.at([5.0, 20.0, 100.0]) == pytest.approx([1.0, 0.809, 0.424], abs=6e-4)


def test_levels_without_fading_are_power_and_gain_less_loss():
    heard = environment(
        with_shadowing(vanilla(exponent=2.0), nlos_db=0.0),
        access_points={"A": (0.0, 0.0, 3.0), "B": (4.0, 3.0, 0.0)},
        gain_db=5.0,
    ).rss_dbm([[0.0, 0.0, 0.0]])
    expected = 25.0 - 40.195 - 20.0 * np.log10([3.0, 5.0])
    assert heard[0] == pytest.approx(expected, abs=0.005)


def test_nearer_than_the_reference_distance_is_at_it():
    still = environment(with_shadowing(vanilla(), nlos_db=0.0), access_points={"A": (0, 0, 0)})
    at, near, there = still.rss_dbm([[1.0, 0.0, 0.0], [0.2, 0.0, 0.0], [0.0, 0.0, 0.0]])[:, 0]
    assert at == near == there == pytest.approx(20.0 - 40.195, abs=0.005)


def fading_db(place, points):
    """What is added to the median of a model of one condition."""
    still = replace(place, model=with_shadowing(place.model, nlos_db=0.0))
    return place.rss_dbm(points) - still.rss_dbm(points)


@pytest.mark.parametrize("std_db", [5.0, 15.0])
def test_independent_fading_is_normal_with_the_deviation_asked_for(std_db):
    scaled = fading_db(environment(with_shadowing(mall_nlos(), nlos_db=std_db)), POINTS) / std_db
    # 48,000 numbers: four standard errors.
    assert scaled.mean() == pytest.approx(0.0, abs=4 / np.sqrt(scaled.size))
    assert scaled.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * scaled.size))
    assert (scaled**3).mean() == pytest.approx(0.0, abs=4 * np.sqrt(15 / scaled.size))
    assert (scaled**4).mean() == pytest.approx(3.0, abs=4 * np.sqrt(96 / scaled.size))
    between = np.corrcoef(scaled.T)[~np.eye(scaled.shape[1], dtype=bool)]
    assert np.abs(between).max() < 5.5 / np.sqrt(len(POINTS))


def test_independent_fading_is_so_between_the_nearest_points_of_a_grid():
    row = np.stack([np.arange(20_000) * 0.01, np.zeros(20_000), np.ones(20_000)], axis=1)
    numbers = fading_db(environment(access_points={"A": (0.0, 0.0, 2.0)}), row)[:, 0]
    for lag in (1, 2, 256):
        found = np.corrcoef(numbers[:-lag], numbers[lag:])[0, 1]
        assert found == pytest.approx(0.0, abs=4 / np.sqrt(20_000))


def test_correlated_fading_falls_off_exponentially():
    many = {f"A{number}": (0.0, 0.0, 2.0) for number in range(600)}
    place = environment(
        vanilla(shadowing_std_db=4.0), access_points=many, shadowing_decorrelation_m=2.0
    )
    line = np.array([[5.0 + away, 3.0, 1.0] for away in (0.0, 0.5, 2.0, 4.0, 20.0)])
    scaled = fading_db(place, line) / 4.0
    assert scaled.std(axis=1) == pytest.approx(1.0, abs=4 / np.sqrt(2 * 600))
    found = (scaled * scaled[0]).mean(axis=1)[1:]
    expected = np.exp(-np.array([0.5, 2.0, 4.0, 20.0]) / 2.0)
    assert found == pytest.approx(expected, abs=4 * np.sqrt(2 / 600))


def test_shares_of_line_of_sight_are_those_of_the_law():
    ring = np.linspace(0.0, 2.0 * np.pi, 8000, endpoint=False)
    place = environment(mall_mixed(), access_points={"A": (0.0, 0.0, 9.0)})
    for away in (5.0, 10.0, 30.0):
        # Distance counts in plan: the 8 m of height do not.
        points = np.stack([away * np.cos(ring), away * np.sin(ring), np.ones(8000)], axis=1)
        share = float(MIXED_OFFICE.at(away))
        error = np.sqrt(share * (1.0 - share) / 8000)
        assert place.los(points).mean() == pytest.approx(share, abs=4 * error)


def test_each_link_follows_the_law_of_its_condition():
    place = environment(with_shadowing(mall_mixed(), los_db=0.0, nlos_db=0.0))
    rss, los = place.rss_dbm(POINTS), place.los(POINTS)
    assert 0.0 < los.mean() < 1.0
    away = np.linalg.norm(POINTS[:, None] - place.positions_m, axis=-1)
    for condition, chosen in ((place.model.los, los), (place.model.nlos, ~los)):
        expected = 20.0 - condition.loss.loss_db(away[chosen], CARRIER_HZ)
        assert rss[chosen] == pytest.approx(expected)
    faded = environment(mall_mixed()).rss_dbm(POINTS) - rss
    assert faded[los].std() == pytest.approx(2.01, rel=0.05)
    assert faded[~los].std() == pytest.approx(6.26, rel=0.02)


@pytest.mark.parametrize("decorrelation_m", [None, 3.0])
def test_draws_depend_on_no_other_point_or_access_point(decorrelation_m):
    whole = environment(mall_mixed(), shadowing_decorrelation_m=decorrelation_m)
    points = POINTS[:300]
    rss, los = whole.rss_dbm(points), whole.los(points)
    assert (whole.rss_dbm(points) == rss).all()
    order = np.random.default_rng(1).permutation(300)
    assert (whole.rss_dbm(points[order]) == rss[order]).all()
    assert (whole.rss_dbm(points[17:18]) == rss[17:18]).all()
    few = replace(whole, access_points={name: SITES[name] for name in ("AP9", "AP3")})
    assert (few.rss_dbm(points) == rss[:, [8, 2]]).all()
    assert (few.los(points) == los[:, [8, 2]]).all()


@pytest.mark.parametrize("change", [{"seed": 8}, {"name": "lab"}])
def test_seed_and_name_tell_environments_apart(change):
    place, other = environment(mall_mixed()), environment(mall_mixed(), **change)
    assert not np.isclose(place.rss_dbm(POINTS), other.rss_dbm(POINTS)).all(axis=0).any()
    assert (place.los(POINTS) != other.los(POINTS)).any()
    assert np.corrcoef(
        fading_db(environment(mall_nlos()), POINTS).ravel(),
        fading_db(environment(mall_nlos(), **change), POINTS).ravel(),
    )[0, 1] == pytest.approx(0.0, abs=4 / np.sqrt(48_000))


def test_rounding_of_a_coordinate_does_not_make_another_point():
    place = environment()
    same = place.rss_dbm([[0.1 + 0.2, 1.0, 1.0], [0.3, 1.0, 1.0], [0.3001, 1.0, 1.0]])
    assert same[0] == pytest.approx(same[1], abs=1e-9)
    assert not np.isclose(same[1], same[2], atol=1e-3).any()


def test_other_deviations_scale_the_same_draws():
    place = environment(mall_nlos())
    wider = replace(place, model=with_shadowing(place.model, nlos_db=12.72))
    assert fading_db(wider, POINTS[:50]) == pytest.approx(2.0 * fading_db(place, POINTS[:50]))
    assert environment().model == vanilla()


def test_sites_lie_in_the_area_and_do_not_move_when_there_are_more():
    assert list(SITES) == [f"AP{number}" for number in range(1, 25)]
    where = np.array(list(SITES.values()))
    assert ((where[:, :2] >= 0.0) & (where[:, :2] <= (30.0, 20.0))).all()
    assert (where[:, 2] == 2.5).all()
    assert len(np.unique(where, axis=0)) == 24
    many = random_sites(400, AREA_M, 2.5, 7, "hall")
    assert {name: many[name] for name in SITES} == SITES
    spread = np.array(list(many.values()))[:, :2] / (30.0, 20.0)
    assert spread.mean(axis=0) == pytest.approx(0.5, abs=4 / np.sqrt(12 * 400))
    assert spread.std(axis=0) == pytest.approx(1 / np.sqrt(12), abs=0.04)
    assert random_sites(24, AREA_M, 2.5, 8, "hall") != SITES
    assert random_sites(24, AREA_M, 2.5, 7, "lab") != SITES


def test_a_data_set_holds_what_is_known_and_nothing_else():
    place = environment(mall_mixed(), shadowing_decorrelation_m=2.0)
    data = trace_statistical(place, POINTS[:40])
    assert dict(data.sizes) == {"point": 40, "xyz": 3, "ap": 24}
    assert list(data["ap"].values) == list(SITES)
    assert set(data.data_vars) == {
        "position", "ap_position", "ap_frequency", "ap_active", "rss", "los", "status",
    }  # fmt: skip
    assert data["rss"].values == pytest.approx(place.rss_dbm(POINTS[:40]), abs=1e-4)
    assert (data["los"].values == place.los(POINTS[:40])).all()
    assert (data["position"].values == POINTS[:40]).all()
    assert (data["ap_position"].values == np.array(list(SITES.values()))).all()
    assert data["rss"].dtype == np.float32
    assert data["los"].dtype == np.bool_
    assert all("units" in data[name].attrs for name in data.data_vars)
    assert data.attrs["frequency_hz"] == CARRIER_HZ
    assert "bandwidth_hz" not in data.attrs
    # A store keeps attributes as JSON, and the law can be read back from them.
    assert json.loads(json.dumps(data.attrs)) == data.attrs
    law = json.loads(data.attrs["trace_model"])
    assert validate(law, MixedConditions, where="attributes") == mall_mixed()


@pytest.mark.parametrize("name", list(MODELS))
def test_line_of_sight_is_told_by_the_laws_that_know_it(name):
    data = trace_statistical(environment(MODELS[name]), POINTS[:200])
    assert np.isfinite(data["rss"].values).all()
    if name == "vanilla":
        assert "los" not in data
    elif name == "mall_nlos":
        assert not data["los"].values.any()
    else:
        assert 0 < data["los"].values.sum() < data["los"].size


def test_a_store_takes_it(tmp_path):
    data = trace_statistical(environment(mall_mixed()), POINTS[:10])
    block = data.drop_vars(["ap_frequency", "ap_active"]).rename(rss="received_power")
    spec = SiteSpec(
        title="a hall without geometry",
        origin="simulated",
        realisations=("0",),
        points=10,
        access_points=tuple(SITES),
        variables=("received_power", "los"),
        ap_position_m=(tuple(SITES.values()),),
        ap_frequency_hz=(CARRIER_HZ,) * 24,
        config={"seed": 7},
    )
    write_site(tmp_path, "hall", spec, lambda _: block, provenance=data.attrs)
    kept = open_site(tmp_path, "hall", lazy=False)
    assert (kept["received_power"].values[0] == data["rss"].values).all()
    assert (kept["los"].values[0] == data["los"].values).all()
    assert (kept["position"].values[0] == data["position"].values).all()


def test_all_faults_of_an_environment_are_in_one_message():
    with pytest.raises(InputError) as caught:
        StatisticalEnvironment(
            name="",
            model=vanilla(),
            access_points={"A": (0.0, 0.0), "B": (0.0, float("nan"), 0.0), "C": (0, 0, 0)},
            frequency_hz=2440.0,
            power_dbm=float("inf"),
            seed=-1,
            gain_db=float("nan"),
            shadowing_decorrelation_m=0.0,
        )
    assert {fault.key for fault in caught.value.faults} == {
        "name", "access_points.A", "access_points.B", "frequency_hz", "power_dbm", "seed",
        "gain_db", "shadowing_decorrelation_m",
    }  # fmt: skip


def test_an_environment_without_access_points_is_refused():
    with pytest.raises(InputError, match="access_points: expected at least one"):
        environment(access_points={})


def test_a_loss_that_falls_with_distance_on_the_carrier_is_refused():
    odd = CloseIn(exponent=Exponent(value=3.0, weight=-0.5, centre_ghz=1.0))
    model = OneCondition(condition=Condition(loss=odd, shadowing_std_db=3.0), los=None)
    with pytest.raises(InputError, match="model: expected loss that rises with distance at 5 GHz"):
        environment(model, frequency_hz=5e9)
    environment(model, frequency_hz=2e9)


@pytest.mark.parametrize(
    "points", [np.zeros((0, 3)), np.zeros(3), np.zeros((4, 2)), [[0.0, np.nan, 0.0]], [[2e6, 0, 0]]]
)
def test_points_that_are_none_are_refused(points):
    for ask in (environment().rss_dbm, environment(mall_mixed()).los):
        with pytest.raises(InputError, match="statistical environment hall: points"):
            ask(points)


def test_all_faults_of_random_sites_are_in_one_message():
    with pytest.raises(InputError) as caught:
        random_sites(0, (0.0, 5.0, 10.0, 5.0), float("nan"), -1, "hall")
    assert [fault.key for fault in caught.value.faults] == [
        "count", "area_m", "area_m, height_m", "seed",
    ]  # fmt: skip


def test_deviations_of_conditions_that_are_not_there_are_refused():
    with pytest.raises(InputError) as caught:
        with_shadowing(mall_nlos(), los_db=3.0, nlos_db=-1.0)
    assert [fault.key for fault in caught.value.faults] == ["los_db", "nlos_db"]


def test_a_law_declared_as_plain_content_is_checked_whole():
    content = mall_nlos().model_dump(mode="json")
    assert validate(content, OneCondition, where="study") == mall_nlos()
    assert isinstance(mall_nlos().condition.loss, DualSlope)
    content["condition"]["loss"]["breakpoint_m"] = -1.0
    content["condition"]["loss"]["far"]["value"] = 0.0
    content["condition"]["shadowing_std_db"] = -2.0
    with pytest.raises(InputError) as caught:
        validate(content, OneCondition, where="study")
    assert len(caught.value.faults) == 3


def test_no_ray_tracer_is_loaded():
    code = (
        "import sys, twin.trace.statistical; "
        "sys.exit(any(m.split('.')[0] in ('sionna', 'mitsuba', 'drjit') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_receiver_hears_levels_and_measures_no_range():
    data = trace_statistical(environment(mall_mixed()), POINTS[:10])
    heard = sense(data, SenseModel(), 3, "hall", 0, 1, 2)
    assert heard.rss.sizes == {"point": 10, "snapshot": 2, "ap": METALOC_ACCESS_POINTS}
    assert np.isfinite(heard.rss.values).any()
    assert "rtt" not in heard
