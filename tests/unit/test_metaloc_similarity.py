from __future__ import annotations

import numpy as np
import pytest

from flows.metaloc.path_loss import PathLossLaw, Survey
from flows.metaloc.similarity import (
    SimilaritySettings,
    comparisons,
    described,
    distances,
    historical_places,
    new_places,
    new_task,
    ranks,
    run_seed,
)
from flows.metaloc.similarity_laws import ENVIRONMENTS, NEW_ENVIRONMENTS, NewEnvironment
from twin.align.discrepancy import median_width, mmd
from twin.learn.presets import MetaSettings

META = MetaSettings(
    inner_rate=0.02,
    inner_steps=1,
    adaptation_steps=2,
    first_order=True,
    outer_rate=5e-3,
    outer_steps=3,
    tasks=2,
)
TINY = SimilaritySettings(
    meta=META,
    hidden=(6,),
    neighbours=2,
    survey=Survey(places=1, references=(9,), pool=20, access_points=4),
    new_references=9,
    supports=6,
    queries=4,
    environments={
        "soft": (PathLossLaw(name="soft", exponent=2.2, nlos_std_db=3.0, room_m=(10, 10)),),
        "hard": (PathLossLaw(name="hard", exponent=4.0, nlos_std_db=12.0, room_m=(10, 10)),),
    },
    new=(
        NewEnvironment(
            law=PathLossLaw(name="new_soft", exponent=2.2, nlos_std_db=3.0, room_m=(10, 10)),
            source="paper",
        ),
        NewEnvironment(
            law=PathLossLaw(name="new_hard", exponent=4.0, nlos_std_db=12.0, room_m=(10, 10)),
            source="ours",
        ),
    ),
    repeats=2,
    new_queries=5,
    steps=(0, 2),
    sample=15,
)


def selected(records, **wanted):
    return [r for r in records if all(r.get(key) == value for key, value in wanted.items())]


@pytest.fixture(scope="module")
def records():
    return run_seed(TINY, 3)


def test_environments_are_those_of_the_paper():
    assert {name: {law.model for law in laws} for name, laws in ENVIRONMENTS.items()} == {
        "one": {"mall_nlos"},
        "two": {"office_single_slope"},
        "three": {"office_frequency_dependent"},
    }
    papers = [task.law for task in NEW_ENVIRONMENTS if task.source == "paper"]
    assert [(law.model, law.los_std_db, law.nlos_std_db) for law in papers] == [
        ("mall_mixed", 3.0, 6.26),
        ("mall_nlos", None, 5.0),
        ("mall_nlos", None, 15.0),
    ]
    for task in NEW_ENVIRONMENTS:
        assert (task.law.room_m, task.law.power_dbm) == ((10.0, 10.0), 10.0)
    names = [task.law.name for task in NEW_ENVIRONMENTS]
    names += [law.name for laws in ENVIRONMENTS.values() for law in laws]
    # Names key the draws: equal ones would be the same places.
    assert len(set(names)) == len(names)


def test_every_test_task_initialisation_and_step_has_its_error(records):
    errors = selected(records, metric="rmse_m")
    found = {(r["site"], r["method"], r["steps"]) for r in errors if "task_source" in r}
    methods = ("theta_1", "theta_2", "theta_total", "ri")
    assert found == {
        (site, method, steps)
        for site in ("new_soft", "new_hard")
        for method in methods
        for steps in (0, 2)
    }
    assert all(0.0 < r["value"] < 20.0 for r in errors)
    assert {r["study"] for r in records} == {"fig10"}
    assert {r["seed"] for r in records} == {3}
    sources = {r["site"]: r["task_source"] for r in errors if "task_source" in r}
    assert sources == {"new_soft": "paper", "new_hard": "ours"}
    assert len(selected(records, metric="squared_mmd")) == 2 * 2 * 2


def test_the_choice_by_discrepancy_is_the_error_of_one_of_the_environments(records):
    for site in ("new_soft", "new_hard"):
        for features in ("inputs", "levels"):
            (chosen,) = selected(
                records, site=site, method="maml_ts", steps=2, features=features, metric="rmse_m"
            )
            own = [
                selected(records, site=site, method=m, steps=2, metric="rmse_m")[0]["value"]
                for m in ("theta_1", "theta_2")
            ]
            # Each repeat chooses for itself, so the mean may lie between.
            assert min(own) - 0.5 < chosen["value"] < max(own) + 0.5


def test_ranks_follow_the_pairs_they_say():
    near = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    # Within tasks the order is the same, between them it is the other way round.
    wrong = np.array([[11.0, 12.0, 13.0], [1.0, 2.0, 3.0]])
    found = ranks(near, wrong)
    assert np.isclose(found["within"], 1.0)
    assert np.isclose(found["between"], -1.0)
    assert -1.0 < found["pooled"] < 0.0
    assert ranks(near, -near) == pytest.approx({"pooled": -1, "within": -1, "between": -1})
    assert ranks(near, np.ones((2, 3))) == {"pooled": 0.0, "within": 0.0, "between": 0.0}


def test_regret_and_choice_by_hand():
    wrong = np.array([[[2.0, 1.0, 3.0], [5.0, 4.0, 6.0]]])
    near = np.array([[[0.2, 0.1, 0.3], [0.1, 0.2, 0.3]]])
    found = comparisons(TINY.new[:1], wrong, np.array([[1.5, 3.5]]), near)
    values = {(r["metric"], r["method"]): r["value"] for r in found if r["site"] == "all"}
    assert values["choice_is_best", "maml_ts"] == 0.5
    assert values["regret_m", "maml_ts"] == 0.5
    assert values["regret_m", "random_choice"] == 1.0
    # All environments together may do better than the best of them alone.
    assert values["regret_m", "theta_total"] == 0.0
    (chosen,) = selected(found, site="new_soft")
    assert chosen["value"] == 3.0


def test_ranks_are_taken_of_all_tasks_and_of_the_papers():
    wrong = np.array([[[1.0, 2.0]], [[2.0, 1.0]]])
    near = np.array([[[0.1, 0.2]], [[0.1, 0.2]]])
    found = comparisons(TINY.new, wrong, np.ones((2, 1)), near)
    within = {
        r["site"]: r["value"] for r in selected(found, metric="rank_correlation", scope="within")
    }
    assert within == pytest.approx({"all": 0.0, "paper": 1.0})


def test_discrepancies_are_those_of_the_labelled_fingerprints_with_one_kernel():
    historical = historical_places(TINY, 3)
    new = {task.law.name: new_places(TINY, task.law, 3) for task in TINY.new}
    settings = TINY.model_copy(update={"sample": 100})
    found = distances(settings, historical, new, "levels", 3)
    samples = [-np.sort(-places[0].fingerprints, axis=1) for places in historical.values()]
    width = median_width(*samples)
    labelled = -np.sort(-new["new_hard"][1].fingerprints, axis=1)[:6]
    assert found.shape == (2, 2, 2)
    assert np.isclose(found[1, 1, 1], mmd(labelled, samples[1], width))
    # The law of the environment's own kind is the nearer one.
    near = found.mean(axis=1)
    assert near[0, 0] < near[0, 1]
    assert near[1, 1] < near[1, 0]


def test_fingerprints_are_compared_without_regard_to_names_of_access_points():
    place = historical_places(TINY, 3)["soft"][0]
    levels = described(TINY, place, "levels")
    assert (np.diff(levels, axis=1) <= 0).all()
    assert np.array_equal(np.sort(levels), np.sort(place.fingerprints))
    assert np.array_equal(described(TINY, place, "inputs"), place.inputs(2))


def test_labels_and_queries_of_a_new_place_are_different_fingerprints():
    place = new_places(TINY, TINY.new[0].law, 3)[0]
    task = new_task(TINY, place)
    assert task.support_inputs.shape == (1, 6, 6)
    assert task.query_inputs.shape == (1, 5, 6)
    everything = np.concatenate([task.support_targets[0], task.query_targets[0]])
    assert np.array_equal(everything, place.targets())
