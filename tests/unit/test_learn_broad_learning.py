from __future__ import annotations

import numpy as np
import pytest

from twin.errors import InputError, NotFittedError
from twin.learn.baselines.broad_learning import BroadLearning, BroadSettings

SETTINGS = BroadSettings(feature_nodes=6, enhancement_nodes=5, step_nodes=3, steps=4)
CLASSES = 3


def samples(count=60, seed=0, spread=1.0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(CLASSES, size=count)
    centre = np.random.default_rng(9).normal(size=(CLASSES, 4, 5))
    return centre[labels] + spread * generator.normal(size=(count, 4, 5)), labels


def fitted(settings=SETTINGS, **changes):
    system = BroadLearning(CLASSES, settings, seed=1)
    system.fit(*samples(**changes))
    return system


def one_shot(nodes, labels, ridge):
    gram = nodes.T @ nodes + ridge * np.eye(nodes.shape[1])
    return np.linalg.solve(gram, nodes.T @ np.eye(CLASSES)[labels])


@pytest.mark.parametrize("ridge", [1e-8, 1e-2, 10.0])
def test_widening_step_by_step_equals_one_solution(ridge):
    system = fitted(SETTINGS.model_copy(update={"ridge": ridge}))
    inputs, labels = samples()
    nodes = system.nodes(inputs)
    assert nodes.shape == (60, 6 + 5 + 4 * 3)
    expected = nodes @ one_shot(nodes, labels, ridge * 60)
    assert np.allclose(system.scores(inputs), expected, rtol=0, atol=1e-6)


def test_scores_tend_to_those_of_moore_and_penrose_as_the_ridge_vanishes():
    system = fitted(SETTINGS.model_copy(update={"ridge": 1e-13}))
    inputs, labels = samples()
    nodes = system.nodes(inputs)
    assert np.linalg.matrix_rank(nodes) == nodes.shape[1]
    asked = samples(seed=5)[0]
    expected = system.nodes(asked) @ np.linalg.pinv(nodes) @ np.eye(CLASSES)[labels]
    assert np.allclose(system.scores(asked), expected, rtol=0, atol=1e-4)


def test_more_nodes_than_samples_are_no_obstacle():
    system = BroadLearning(CLASSES, SETTINGS, seed=1)
    inputs, labels = samples(count=8)
    system.fit(inputs, labels)
    nodes = system.nodes(inputs)
    expected = nodes @ one_shot(nodes, labels, SETTINGS.ridge * 8)
    assert np.allclose(system.scores(inputs), expected, rtol=0, atol=1e-8)


def test_new_samples_enter_as_if_they_had_been_there():
    system = fitted()
    before = system.scores(samples(seed=5)[0])
    more, their_labels = samples(count=7, seed=2)
    wider = system.with_samples(more, their_labels)
    inputs, labels = samples()
    both = np.concatenate([inputs, more])
    nodes = system.nodes(both)
    weights = one_shot(nodes, np.concatenate([labels, their_labels]), SETTINGS.ridge * 60)
    asked = samples(seed=5)[0]
    assert np.allclose(wider.scores(asked), system.nodes(asked) @ weights, rtol=0, atol=1e-8)
    assert np.array_equal(system.scores(asked), before)
    assert not np.allclose(wider.scores(asked), before, atol=1e-4)


def test_it_tells_classes_apart():
    inputs, labels = samples(count=200, seed=3, spread=0.3)
    assert (fitted(spread=0.3).scores(inputs).argmax(axis=1) == labels).mean() > 0.95


def test_seed_decides_the_nodes():
    inputs, _ = samples()
    one, same = fitted().scores(inputs), fitted().scores(inputs)
    other = BroadLearning(CLASSES, SETTINGS, seed=2)
    other.fit(*samples())
    assert np.array_equal(one, same)
    assert not np.allclose(one, other.scores(inputs))


def test_refusals():
    system = BroadLearning(CLASSES, SETTINGS, seed=1)
    inputs, labels = samples()
    with pytest.raises(NotFittedError, match="call fit first"):
        system.scores(inputs)
    with pytest.raises(InputError, match="labels: expected 0 to 2, found 0 to 3"):
        system.fit(inputs, np.where(labels == 2, 3, labels))
    with pytest.raises(InputError, match="samples: expected 1 or more"):
        system.fit(inputs[:0], labels[:0])
