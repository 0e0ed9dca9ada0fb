from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.neighbors import KNeighborsRegressor

from flows.metaloc.path_loss import VANILLA_TEST, VANILLA_TRAINING, Survey, survey_place
from flows.metaloc.reference_points import (
    NETWORKS,
    QUICK,
    ReferencePointsSettings,
    _place,
    _records,
    _task,
    run_seed,
)
from flows.metaloc.summary import summarised
from twin.learn.presets import RSS_SMALL

TINY = ReferencePointsSettings(
    meta=RSS_SMALL.model_copy(
        update={"outer_steps": 30, "tasks": 2, "inner_steps": 1, "adaptation_steps": 3}
    ),
    hidden=(16,),
    training=VANILLA_TRAINING[:2],
    survey=Survey(places=2, references=(10, 30), pool=60),
    references=(10, 30),
    labels=30,
    queries=20,
    support=40,
    tested=150,
    levels_m=(2.0, 5.0, 40.0),
    rates=(0.001, 0.02),
    most_neighbours=(3, 5),
    powers=(1.0, 8.0),
    held_out=40,
    more_steps=20,
)


@pytest.fixture(scope="module")
def records():
    return run_seed(TINY, 3)


def values(records, **key):
    return [r["value"] for r in records if all(r.get(k) == v for k, v in key.items())]


def test_records_are_plain_and_complete(records):
    for record in records:
        assert record["study"] == "fig9"
        assert record["seed"] == 3
        assert type(record["value"]) is float
        assert math.isfinite(record["value"])
    assert len(summarised(records)) == len(records)
    for method in ("knn", "wknn", *NETWORKS):
        for references in TINY.references:
            for labels in ("references", "all"):
                for tuning in ("fixed", "chosen"):
                    key = {
                        "method": method,
                        "references": references,
                        "labels": labels,
                        "tuning": tuning,
                    }
                    runs = 2 if method == "ri" and tuning == "fixed" else 1
                    assert len(values(records, metric="mean_m", **key)) == runs
                    assert len(values(records, metric="rmse_m", **key)) == runs
                    assert len(values(records, metric="share_within", **key)) == 3 * runs


def test_shares_rise_to_one(records):
    for method in ("knn", "maml"):
        key = {"method": method, "references": 30, "labels": "all", "tuning": "fixed"}
        shares = values(records, metric="share_within", **key)
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
        assert shares[0] < 1.0


def test_the_stated_error_is_always_among_the_levels():
    asked = TINY.model_copy(update={"levels_m": (1.0,)})
    found = _records(asked, 3, {"method": "knn"}, np.array([0.5, 4.0, 6.0, 3.0]))
    shares = {r["level_m"]: r["value"] for r in found if r["metric"] == "share_within"}
    assert shares == {1.0: 0.25, 5.0: 0.75}
    assert values(found, metric="mean_m") == [3.375]


@pytest.mark.parametrize(("method", "weights"), [("knn", "uniform"), ("wknn", "distance")])
@pytest.mark.parametrize("labels", ["references", "all"])
def test_fixed_neighbours_are_those_of_scikit_learn(records, method, weights, labels):
    survey = Survey(places=1, references=(30,), pool=190)
    there = survey_place(VANILLA_TEST, survey, 3, 0)
    known, position = there.references.fingerprints, there.references.position
    if labels == "all":
        known = np.vstack([known, there.fingerprints[:40]])
        position = np.vstack([position, there.position[:40]])
    model = KNeighborsRegressor(5, weights=weights).fit(known, position)
    wrong = model.predict(there.fingerprints[40:]) - there.position[40:]
    key = {"method": method, "references": 30, "labels": labels, "tuning": "fixed"}
    (found,) = values(records, metric="mean_m", **key)
    assert found == pytest.approx(np.hypot(*wrong.T).mean())


def test_choices_are_among_those_given(records):
    for record in records:
        if record["tuning"] == "chosen" and "rate" in record:
            assert record["rate"] in TINY.rates
        if record["tuning"] == "chosen" and "power" in record:
            assert record["neighbours"] in TINY.most_neighbours
            assert record["power"] in ({0.0} if record["method"] == "knn" else set(TINY.powers))
        if record["tuning"] == "fixed":
            same = TINY.meta.inner_rate
            assert record.get("rate", same) == same
            assert record.get("neighbours", 5) == 5


def test_more_reference_points_help_the_neighbours(records):
    key = {"method": "knn", "labels": "references", "tuning": "fixed", "metric": "rmse_m"}
    few, many = (values(records, references=r, **key)[0] for r in TINY.references)
    assert many < few


def test_a_random_start_learns_with_more_steps(records):
    key = {"method": "ri", "labels": "all", "tuning": "fixed", "metric": "rmse_m"}
    for references in TINY.references:
        short, long = (
            values(records, references=references, steps=steps, **key)[0] for steps in (3, 20)
        )
        assert long < short


def test_all_numbers_of_reference_points_are_asked_the_same():
    few, many = (_place(TINY, VANILLA_TEST, count, 0, TINY.tested, 3) for count in (10, 30))
    assert np.array_equal(few.fingerprints, many.fingerprints)
    assert np.array_equal(few.position, many.position)
    assert len(few.position) == TINY.support + TINY.tested


def test_support_of_reference_points_sees_the_others_alone():
    there = _place(TINY, VANILLA_TEST, 10, 0, TINY.tested, 3)
    own, other = (_task(TINY, there, labels) for labels in ("references", "all"))
    assert np.array_equal(own.query_inputs, other.query_inputs)
    assert own.support_inputs.shape == (1, 30, 15)
    assert (own.support_weight > 0.0).sum() == 10
    unit = there.references.to_unit(there.references.position)
    assert np.array_equal(own.support_targets[0, :10], unit)
    for inputs, target in zip(own.support_inputs[0, :10], unit, strict=True):
        seen = inputs[5:].reshape(5, 2)
        assert (np.abs(seen - target).max(axis=1) > 0.0).all()
        assert (inputs[:5] > 0.0).all()
    assert np.array_equal(other.support_targets[0], there.targets()[:40])


@pytest.mark.parametrize(
    "wrong",
    [
        {"references": (1,)},
        {"references": (10, 10)},
        {"training": VANILLA_TRAINING[:1]},
        {"powers": (0.0,)},
        {"more_steps": 10},
        {"k": 5},
    ],
)
def test_settings_are_strict(wrong):
    with pytest.raises(ValidationError):
        ReferencePointsSettings(**wrong)


def test_quick_settings_are_the_same_experiment():
    full = ReferencePointsSettings()
    assert full.references == (10, 20, 30, 40, 54)
    assert full.tested == 1000
    assert QUICK.training == full.training
    assert 10 in QUICK.references
