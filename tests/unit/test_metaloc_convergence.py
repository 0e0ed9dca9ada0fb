from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from flows.metaloc.convergence import QUICK, ConvergenceSettings, run_seed
from flows.metaloc.path_loss import VANILLA_TRAINING, Survey
from flows.metaloc.summary import summarised
from twin.learn.presets import RSS_PAPER, RSS_SMALL

TINY = ConvergenceSettings(
    meta=RSS_SMALL.model_copy(
        update={"outer_steps": 60, "tasks": 4, "inner_steps": 1, "adaptation_steps": 5}
    ),
    paper=RSS_PAPER.model_copy(update={"outer_steps": 2}),
    hidden=(16, 16),
    training=VANILLA_TRAINING[:2],
    survey=Survey(places=2, references=(20,), pool=60),
    references=20,
    labels=30,
    queries=20,
    support=40,
    tested=100,
    more=(60, 90),
    steps=(0, 5),
    more_steps=(0, 30),
    rates=(0.001, 0.05),
    held_out=50,
    optimum_steps=50,
)


@pytest.fixture(scope="module")
def records():
    return run_seed(TINY, 3)


def values(records, **key):
    return [r["value"] for r in records if all(r.get(k) == v for k, v in key.items())]


def test_records_are_plain_and_complete(records):
    for record in records:
        assert record["study"] == "fig8"
        assert record["site"] == "vanilla_test"
        assert record["seed"] == 3
        assert type(record["value"]) is float
        assert math.isfinite(record["value"])
    # Each quantity once; three methods with few labels, RI with more, and the paper's step sizes.
    assert len(summarised(records)) == len(records)
    few = {"metric": "rmse_m", "preset": "small", "samples": 40}
    assert {r["method"] for r in records if few.items() <= r.items()} == {"maml", "tl", "ri"}
    for samples in TINY.more:
        for chosen in ("same", "best"):
            curve = {"method": "ri", "samples": samples, "rate_choice": chosen}
            found = [r["steps"] for r in records if curve.items() <= r.items()]
            assert found == [0, 30]
    assert len(values(records, preset="paper", metric="rmse_m", method="maml")) == 2
    assert {r["rate"] for r in records if r["preset"] == "paper"} == {1e-4}


def test_methods_share_the_start_and_the_asked_fingerprints(records):
    before = {"steps": 0, "metric": "rmse_m", "method": "ri"}
    assert len(set(values(records, **before))) == 1
    assert values(records, steps=0, method="tl")[0] != values(records, **before)[0]


def test_what_was_learned_before_helps(records):
    few = {"metric": "rmse_m", "preset": "small", "samples": 40, "rate_choice": "same", "steps": 5}
    assert values(records, method="maml", **few)[0] < 0.8 * values(records, method="ri", **few)[0]


def test_more_steps_help_a_random_start(records):
    for samples in TINY.more:
        curve = values(records, method="ri", samples=samples, rate_choice="best", metric="rmse_m")
        assert curve[-1] < curve[0]


def test_rates_are_chosen_from_those_given(records):
    chosen = {r["rate"] for r in records if r["rate_choice"] == "best"}
    assert chosen <= set(TINY.rates)
    same = {r["rate"] for r in records if r["rate_choice"] == "same"}
    assert same == {RSS_SMALL.inner_rate, RSS_PAPER.inner_rate}


def test_distances_grow_from_the_start(records):
    for method in ("maml", "ri"):
        for optimum in ("support", "query"):
            key = {"method": method, "optimum": optimum}
            (steps,) = values(records, metric="optimum_steps", **key)
            (moved,) = values(records, metric="parameter_distance", **key)
            assert 0 <= steps <= TINY.optimum_steps
            assert (moved > 0.0) == (steps > 0)
    assert values(records, metric="optimum_steps", method="ri", optimum="support") == [50.0]


def test_a_seed_stands_for_itself(records):
    fewer = TINY.model_copy(update={"paper": None, "more": (60,), "optimum_steps": 1})
    again = run_seed(fewer, 3)
    assert not values(again, preset="paper")
    kept = [r for r in records if r["preset"] == "small" and r["samples"] != 90]
    curves = [r for r in kept if r["metric"] == "rmse_m"]
    assert [r for r in again if r["metric"] == "rmse_m"] == curves


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": (0, 5, 5)},
        {"more_steps": (5, 0)},
        {"more": (124,)},
        {"more": (800, 800)},
        {"steps": ()},
        {"rates": ()},
        {"rate": 0.1},
    ],
)
def test_settings_are_strict(wrong):
    with pytest.raises(ValidationError):
        ConvergenceSettings(**wrong)


def test_quick_settings_are_the_same_experiment():
    full = ConvergenceSettings()
    assert QUICK.training == full.training
    assert QUICK.support == full.support == 124
    assert full.tested == 1000
    assert full.more == (800, 1600, 4000, 8000)
    assert 10 in full.steps
    assert (full.paper.inner_rate, full.paper.outer_rate) == (1e-4, 1e-3)
