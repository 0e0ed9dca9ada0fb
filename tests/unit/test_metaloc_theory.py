from __future__ import annotations

import numpy as np
import pytest

from flows.metaloc.path_loss import PathLossLaw, Survey
from flows.metaloc.similarity import SimilaritySettings
from flows.metaloc.similarity_laws import NewEnvironment
from flows.metaloc.theory import TheorySettings, run_seed
from twin.learn.presets import MetaSettings

TINY = TheorySettings(
    base=SimilaritySettings(
        meta=MetaSettings(
            inner_rate=0.2,
            inner_steps=1,
            adaptation_steps=2,
            first_order=True,
            outer_rate=5e-3,
            outer_steps=4,
            tasks=2,
        ),
        hidden=(4,),
        neighbours=2,
        survey=Survey(places=1, references=(9,), pool=20, access_points=4),
        new_references=9,
        supports=6,
        queries=4,
        environments={
            "soft": (PathLossLaw(name="soft", exponent=2.2, room_m=(10, 10)),),
            "hard": (PathLossLaw(name="hard", exponent=4.0, room_m=(10, 10)),),
        },
        new=(
            NewEnvironment(
                law=PathLossLaw(name="new", exponent=3.0, room_m=(10, 10)), source="ours"
            ),
        ),
        repeats=2,
        new_queries=5,
        steps=(0, 2),
    ),
    looks=2,
    tasks=2,
    steps=2,
    law=40,
    around=1,
    iterations=20,
)


@pytest.fixture(scope="module")
def records():
    return run_seed(TINY, 3)


def values(records, metric):
    return {
        tuple(r.get(key) for key in ("method", "rate_choice", "meta_steps", "steps")): r["value"]
        for r in records
        if r["metric"] == metric
    }


def test_training_is_looked_at_from_the_same_start_on_the_same_tasks(records):
    cosines = values(records, "gradient_cosine")
    assert set(cosines) == {(m, None, s, None) for m in ("maml", "maml_dg") for s in (0, 2, 4)}
    assert cosines["maml", None, 0, None] == cosines["maml_dg", None, 0, None]
    assert cosines["maml", None, 4, None] != cosines["maml_dg", None, 4, None]
    assert all(-1.0 <= value <= 1.0 for value in cosines.values())
    errors = values(records, "rmse_m")
    assert len(errors) == 2 * 3 * 2
    assert errors["maml", None, 0, 2] == errors["maml_dg", None, 0, 2]


def test_both_sides_of_the_theorem_are_given_for_every_start(records):
    methods, choices = ("ri", "maml", "maml_dg"), ("used", "premise")
    for metric in ("excess_risk", "first_bound", "second_bound", "lipschitz", "smoothness"):
        keys = {key[:2] for key in values(records, metric)}
        assert keys == {(m, c) for m in methods for c in choices}
    holds = values(records, "premise_holds")
    assert all(value == 1.0 for key, value in holds.items() if key[1] == "premise")
    rates = {
        (r["method"], r["rate_choice"]): (r["rate"], r["value"])
        for r in records
        if r["metric"] == "smoothness"
    }
    for method in methods:
        assert rates[method, "used"][0] == 0.2
        assert np.isclose(rates[method, "premise"][0], 0.5 / rates[method, "used"][1])
    distance = values(records, "parameter_distance")
    second, stability = values(records, "second_bound"), values(records, "stability")
    key = ("ri", "used", None, 2)
    assert np.isclose(second[key], stability[key] + distance[key] ** 2 / 0.4)
