from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.small_places import AP, place, places
from twin.align import moments
from twin.errors import InputError
from twin.learn.episodes import TwinTasks
from twin.seeds import stream


def sample(source, seed=1, tasks=6, supports=(1, 2, 5), queries=8):
    return source.sample(stream(seed, "tasks"), tasks, supports, queries)


@pytest.mark.parametrize("feature", ["rss", "rtt", "rss+rtt"])
def test_shapes_and_weights(feature):
    batch = sample(TwinTasks(places(), feature, "labels"))
    inputs = 2 * len(AP) * len(feature.split("+"))
    assert [array.shape for array in batch.arrays()] == [
        (6, 5, inputs),
        (6, 5, 2),
        (6, 5),
        (6, 8, inputs),
        (6, 8, 2),
    ]
    assert {array.dtype for array in batch.arrays()} == {np.dtype(np.float32)}
    assert np.allclose(batch.support_weight.sum(axis=1), 1.0)
    sizes = (batch.support_weight > 0).sum(axis=1)
    assert set(sizes.tolist()) <= {1, 2, 5}
    assert len(set(sizes.tolist())) > 1
    for task, size in enumerate(sizes):
        assert np.allclose(batch.support_weight[task, :size], 1.0 / size)
        assert not batch.support_inputs[task, size:].any()
        assert not batch.support_targets[task, size:].any()


def test_support_and_query_points_of_a_task_differ():
    batch = sample(TwinTasks(places(), "rss", "none"), tasks=20, supports=(5,), queries=20)
    for support, query in zip(batch.support_targets, batch.query_targets, strict=True):
        assert len(np.unique(np.concatenate([support, query]), axis=0)) == 25


def test_same_generator_same_tasks():
    one, again, other = (sample(TwinTasks(places(), "rss", "labels"), seed) for seed in (1, 1, 2))
    pairs = list(zip(one.arrays(), again.arrays(), other.arrays(), strict=True))
    assert all(np.array_equal(a, b) for a, b, _ in pairs)
    assert not np.array_equal(pairs[3][0], pairs[3][2])


def tell_apart(count=4):
    """Environments whose values say where they come from: 100 environment + point (+ 0.1 scan)."""
    made = []
    for index, environment in enumerate(places(count)):
        points = np.arange(environment.points)[:, None, None]
        value = 100.0 * index + points + 0.1 * np.arange(-1, 2)[:, None] + np.zeros(len(AP))
        features = {"rss": value.astype(np.float32), "rtt": value.astype(np.float32)}
        made.append(replace(environment, features=features))
    return made


def test_each_access_point_comes_from_an_environment_of_its_own():
    source = TwinTasks(tell_apart(), "rss+rtt", "none")
    batch = sample(source, tasks=40, supports=(3,))
    entries = 2 * len(AP)
    support = batch.support_inputs[..., :entries] * source.scaler.spread + source.scaler.centre
    query = batch.query_inputs[..., :entries] * source.scaler.spread + source.scaler.centre
    point = source.scaler.to_metres(batch.support_targets) / 2.0
    point = np.rint(point[..., 0] * 5 + point[..., 1])
    # Medians at the labelled points: no tenths; one environment an access point and task.
    environment = (support - point[..., None]) / 100.0
    assert np.allclose(environment, np.rint(environment), atol=1e-3)
    environment = np.rint(environment)
    assert (environment == environment[:, :1]).all()
    # RSS and RTT of an access point are of the same environment, those of others need not be.
    assert np.array_equal(environment[..., : len(AP)], environment[..., len(AP) :])
    assert (environment[:, 0, 0] != environment[:, 0, 1]).any()
    # Queries are single scans of the same environments.
    asked = source.scaler.to_metres(batch.query_targets) / 2.0
    asked = np.rint(asked[..., 0] * 5 + asked[..., 1])
    scan = 10.0 * (query - asked[..., None] - 100.0 * environment[:, :1])
    assert np.allclose(scan, np.rint(scan), atol=0.01)
    assert set(np.unique(np.rint(scan)).tolist()) == {-1.0, 0.0, 1.0}
    assert np.allclose(scan, scan[..., :1], atol=0.01)


def test_tasks_are_aligned_on_their_own_labels():
    # No noise and one shift a realisation and access point: with labels that say so, aligned
    # fingerprints are the field itself, whatever the task's environments.
    source = TwinTasks(places(6, bias_db=6.0, noise_db=0.0), "rss", "labels")
    batch = sample(source, supports=(5,), queries=10)
    asked = source.scaler.to_metres(batch.query_targets)
    expected = source.scaler.encode(source.field.expected(asked.reshape(-1, 2)))
    assert np.allclose(batch.query_inputs.reshape(expected.shape), expected, atol=0.01)
    unaligned = sample(TwinTasks(places(6, bias_db=6.0, noise_db=0.0), "rss", "none"))
    assert np.abs(unaligned.query_inputs - sample(source).query_inputs).max() > 0.3


def test_unlabelled_alignment_sees_the_queries_only(monkeypatch):
    seen = []
    fit = moments.fit

    def watched(kind, field, groups, labelled, unlabelled):
        seen.append((labelled[0].shape, unlabelled.shape))
        return fit(kind, field, groups, labelled, unlabelled)

    monkeypatch.setattr(moments, "fit", watched)
    sample(TwinTasks(places(), "rss", "unlabelled"), tasks=2, supports=(4,), queries=9)
    assert seen == [((4, len(AP)), (9, len(AP)))] * 2


def test_unheard_access_points_stay_out_of_the_way():
    environments = places()
    for environment in environments:
        environment.features["rss"][:, 1, 0] = np.nan
    environments[1].features["rss"][:, :, 2] = np.nan
    for kind in ("none", "labels", "unlabelled"):
        batch = sample(TwinTasks(environments, "rss", kind), tasks=12)
        assert all(np.isfinite(array).all() for array in batch.arrays())
        flags = batch.query_inputs[..., len(AP) :]
        assert set(np.unique(flags).tolist()) == {0.0, 1.0}


def test_one_environment_is_no_twin():
    with pytest.raises(InputError, match="twin environments: expected at least 2, found 1"):
        TwinTasks(places(1), "rss", "none")


def test_all_differences_between_environments_are_named():
    first = place(0)
    no_rtt = replace(place(1), features={"rss": place(1).features["rss"]})
    renamed = replace(place(2), ap=("AP1", "AP3", "AP2"))
    moved = replace(place(3), position=place(3).position + 0.5)
    with pytest.raises(InputError) as caught:
        TwinTasks([first, no_rtt, renamed, moved], "rss+rtt", "none")
    assert [(fault.where, fault.key) for fault in caught.value.faults] == [
        ("site square, realisation 1", "features"),
        ("site square, realisation 2", "ap"),
        ("site square, realisation 3", "position"),
    ]
    assert caught.value.faults[0].found == "no rtt"


def test_scans_that_differ_in_number_and_silent_access_points_are_refused():
    environments = [place(0), place(1, snapshots=2)]
    for environment in environments:
        environment.features["rss"][..., 1] = np.nan
    with pytest.raises(InputError) as caught:
        TwinTasks(environments, "rss", "none")
    assert [str(fault) for fault in caught.value.faults] == [
        "site square, realisation 1: snapshots of rss: expected 3, found 2",
        "site square: rss of AP2: expected heard at least once, found never heard",
    ]


def test_tasks_larger_than_the_place_are_refused():
    source = TwinTasks(places(), "rss", "none")
    assert sample(source, supports=(5,), queries=20).query_inputs.shape[1] == 20
    with pytest.raises(InputError, match=r"points: expected at least 26 .*, found 25"):
        sample(source, supports=(1, 6), queries=20)
