from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from flows.metaloc.days import QUICK, DaysSettings, read_days, run_seed, split_days
from flows.metaloc.image_methods import Asked
from twin.errors import InputError
from twin.learn.baselines.broad_learning import BroadSettings
from twin.learn.image_tasks import TaskShape
from twin.learn.presets import CSI_SMALL
from twin.learn.tasks import TaskBatch
from twin.store.spec import SiteSpec
from twin.store.writer import write_site

DAYS, VISITS, BURSTS, PACKETS, POINTS, ACCESS_POINTS = 3, 2, 2, 4, 9, 2
SETTINGS = DaysSettings(
    meta=CSI_SMALL.model_copy(
        update={"outer_steps": 1, "inner_steps": 1, "tasks": 1, "adaptation_steps": 1}
    ),
    paradigms=(),
    shape=TaskShape(ways=3, supports=1, queries=1),
    filters=2,
    nearest=1,
    top=2,
    packets=PACKETS,
    survey=2,
    broad_survey=1,
    historical=2,
    broad=BroadSettings(feature_nodes=6, enhancement_nodes=6, step_nodes=2, steps=2),
    steps=(0, 1),
    every=1,
    curve_every=1,
    levels_m=(0.1, 100.0),
)


def written(store, *, noise=0.05, site="hall", **changes):
    """A place where every point has a level and a shape of its own, a little off every day."""
    realisations = DAYS * VISITS
    settings = {
        "title": "days",
        "origin": "simulated",
        "realisations": tuple(f"visit {index}" for index in range(realisations)),
        "points": POINTS,
        "access_points": ("A", "B")[:ACCESS_POINTS],
        "variables": ("rss", "reported_csi"),
        "snapshots": BURSTS * PACKETS,
        "subcarriers": 52,
        "subcarrier_spacing_hz": 312.5e3,
        "shard_points": POINTS,
        "config": {},
        "attributes": {"day": [index // VISITS for index in range(realisations)]},
    }
    spec = SiteSpec(**(settings | changes))
    shape = np.random.default_rng(0).uniform(0.5, 1.5, size=(POINTS, 1, ACCESS_POINTS, 52))
    level = -40.0 - 5.0 * np.arange(POINTS)[:, None, None] * np.ones(ACCESS_POINTS)

    def block(job):
        generator = np.random.default_rng(job.realisation)
        size = (POINTS, BURSTS * PACKETS, ACCESS_POINTS, 52)
        csi = 100.0 * shape * (1.0 + noise * generator.normal(size=size))
        number = np.arange(POINTS)
        # Each visit stands a little elsewhere.
        position = np.stack([number, number % 2, np.ones(POINTS)], axis=1) + 0.01 * job.realisation
        return xr.Dataset(
            {
                "position": (("point", "xyz"), position),
                "status": ("point", np.ones(POINTS, np.int8)),
                "rss": (("point", "snapshot", "ap"), np.broadcast_to(level, size[:3])),
                "reported_csi": (("point", "snapshot", "ap", "subcarrier"), csi),
            }
        )

    write_site(store, site, spec, block)
    return str(store)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return written(tmp_path_factory.mktemp("days") / "days.zarr")


def value(records, **keys):
    found = [r["value"] for r in records if all(r.get(k) == v for k, v in keys.items())]
    assert len(found) == 1, keys
    return found[0]


def test_days_are_read_by_visits(store):
    days = read_days(store, "hall", SETTINGS)
    assert len(days) == DAYS
    assert [v.shape for v in days[2].amplitude] == [(9, 2, 52, 4, 2)] * VISITS
    assert days[2].position[1][3].tolist() == pytest.approx([3.05, 1.05])
    power = 10.0 * np.log10((days[0].amplitude[0] ** 2).mean(axis=(1, 2, 3)))
    assert np.allclose(power, (-40.0 - 5.0 * np.arange(9))[:, None], atol=0.1)
    reported = read_days(store, "hall", SETTINGS.model_copy(update={"level": "reported"}))
    assert np.median(reported[0].amplitude[0]) == pytest.approx(100.0, rel=0.2)


def test_the_day_held_out_takes_no_part_in_history_or_full_scale(store):
    days = read_days(store, "hall", SETTINGS)
    split = split_days(days, 1, seed=0)
    assert len(split.historical) == DAYS - 1
    assert split.historical[0].shape == (9, VISITS * BURSTS, 52, 4, 2)
    assert split.support.shape == (9, (VISITS - 1) * BURSTS, 52, 4, 2)
    assert split.asked.shape == (9, 52, 4, 2)
    assert split.truth[2].tolist() == pytest.approx([2.03, 0.03])
    # Visits 0, 1, 4 and 5 are historical.
    assert split.position[2].tolist() == pytest.approx([2.025, 0.025])
    louder = [*days]
    louder[1] = type(days[1])(tuple(8.0 * v for v in days[1].amplitude), days[1].position)
    other = split_days(louder, 1, seed=0)
    assert all(
        np.array_equal(a, b) for a, b in zip(split.historical, other.historical, strict=True)
    )
    assert other.asked.mean() > 1.5 * split.asked.mean()


def test_the_asked_image_is_of_the_last_visit(store):
    days = read_days(store, "hall", SETTINGS)
    split = split_days(days, 0, seed=3)
    for point in range(POINTS):
        supports = split.support[point].reshape(-1, split.asked[point].size)
        assert not (supports == split.asked[point].ravel()).all(axis=1).any()
    *_, last = days[0].amplitude
    gap = np.abs(last[:, :, :, :, 0] - last[:, :1, :, :, 0]).max(axis=(2, 3))
    assert (gap[:, 1] > 0.0).all()
    assert not np.array_equal(split.asked, split_days(days, 0, seed=4).asked)


def test_methods_without_training_find_points_that_differ_clearly(store):
    records = run_seed(SETTINGS, 0, store, "hall")
    # The truth is a hundredth off the mean of the historical positions.
    for method in ("knn", "wknn"):
        assert value(records, method=method, metric="mean_error_m") < 0.1
        assert value(records, method=method, metric="equal_budget_error_m") < 0.1
        assert value(records, method=method, metric="share_within", level_m=0.1) == 1.0
        assert value(records, method=method, metric="labelled_images") == 18
    # Levels of 5 dB between points show in one histogram of the whole image, too.
    for histogram in ("image", "access point"):
        assert value(records, metric="nearest_distance_m", histogram=histogram) < 0.1
    assert value(records, method="ilcl", metric="mean_error_m") < 1.5
    assert value(records, metric="centre_error_m") == pytest.approx(20.0 / 9.0, rel=0.05)
    assert {(r["study"], r["site"], r["seed"]) for r in records} == {("table3", "hall", 0)}
    assert records == run_seed(SETTINGS, 0, store, "hall")
    assert records != run_seed(SETTINGS, 1, store, "hall")


def test_paradigms_are_trained_and_followed(store):
    records = run_seed(
        SETTINGS.model_copy(update={"paradigms": ("maml_ts", "tl"), "rates": {}}), 0, store, "hall"
    )
    for method in ("maml_ts", "tl"):
        curve = [
            r["meta_steps"]
            for r in records
            if r["method"] == method and r["metric"] == "training_error_m"
        ]
        assert curve == [0, 1]
    # MAML-TS makes its steps in each of two days.
    assert value(records, method="maml_ts", metric="training_steps") == 2
    assert value(records, method="tl", metric="training_steps") == 1
    for method in ("maml_ts", "tl"):
        assert value(records, method=method, metric="labelled_images") == 1
        adapted = value(records, method=method, metric="adaptation_error_m", steps=1)
        assert value(records, method=method, metric="mean_error_m") == adapted
    assert value(records, method="confi", metric="labelled_images") == 0
    unadapted = value(records, method="tl", metric="adaptation_error_m", steps=0)
    assert value(records, method="confi", metric="mean_error_m") == unadapted
    starts = {
        value(records, method=m, metric="training_error_m", meta_steps=0) for m in ("maml_ts", "tl")
    }
    assert len(starts) == 1


def test_sites_without_days_are_refused(tmp_path):
    store = written(tmp_path / "days.zarr", attributes={})
    with pytest.raises(InputError, match="attribute day: expected a day for each of 6"):
        read_days(store, "hall", SETTINGS)


def test_splits_and_surveys_that_cannot_be_are_refused(store):
    days = read_days(store, "hall", SETTINGS)
    with pytest.raises(InputError, match="days: expected two or more, found 1"):
        split_days(days[:1], 0, seed=0)
    short = type(days[0])(days[0].amplitude[:1], days[0].position[:1])
    with pytest.raises(InputError, match="day 0: expected two or more visits"):
        split_days([short, *days[1:]], 0, seed=0)
    with pytest.raises(InputError, match="survey: expected at most 2 images of a point, found 3"):
        run_seed(SETTINGS.model_copy(update={"survey": 3}), 0, store, "hall")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": (0, 5, 5, 10)}, "steps: expected rising numbers"),
        ({"steps": (0, 5)}, r"expected meta.adaptation_steps \(10\) among them"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        DaysSettings(**changes)
    assert QUICK.meta.adaptation_steps in QUICK.steps


def test_some_of_the_asked_keep_their_own_classes():
    batch = TaskBatch(*(np.arange(6).reshape(6, 1) for _ in range(5)))
    own = np.arange(36.0).reshape(6, 3, 2)
    asked = Asked(batch, np.arange(12.0).reshape(6, 2), own, 2).some(2)
    assert asked.batch.query_inputs.ravel().tolist() == [0, 2, 4]
    assert np.array_equal(asked.classes, own[::2])
    assert asked.truth[:, 0].tolist() == [0.0, 4.0, 8.0]
    shared = Asked(batch, np.zeros((6, 2)), own[0], 2).some(2)
    assert np.array_equal(shared.classes, own[0])


def test_an_adaptation_that_diverged_has_no_error():
    truth = np.zeros((2, 2))
    logits = np.array([[[0.0, 9.0], [np.nan, 0.0]]])
    batch = TaskBatch(*(np.zeros((2, 1, 1), np.float32) for _ in range(5)))
    found = Asked(batch, truth, np.array([[3.0, 4.0], [6.0, 8.0]]), 1).errors(logits)
    assert np.array_equal(found, [[10.0, np.nan]], equal_nan=True)
