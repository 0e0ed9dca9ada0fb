from __future__ import annotations

import numpy as np
import pytest

from twin.errors import InputError
from twin.learn.losses import MeanSquare
from twin.learn.metalearning import Adaptation, InnerLoop
from twin.learn.networks import multilayer_perceptron
from twin.learn.paradigms import Paradigm
from twin.learn.position_tasks import one_task
from twin.learn.presets import RSS_SMALL
from twin.learn.step_sizes import StepSizes, distances

SLOPE = np.array([[1.0, 0.0, 0.5], [0.0, -1.0, 0.5]])


class Source:
    """Tasks whose positions are a linear map of inputs around a centre of the source's own."""

    def __init__(self, name, centre):
        self.name = name
        self._centre = centre

    def sample(self, generator, tasks):
        raise NotImplementedError

    def fingerprints(self, generator, count):
        return generator.normal(self._centre, 0.5, (count, 3))

    def task(self, seed, size=None):
        inputs = self.fingerprints(np.random.default_rng(seed), 40).astype(np.float32)
        targets = (inputs @ SLOPE.T).astype(np.float32)
        return one_task((inputs[:20], targets[:20]), (inputs[20:], targets[20:]), size)


SOURCES = (Source("near", 0.0), Source("far", 5.0))


def paradigm(name="ri", seed=1):
    made = Paradigm(
        name,
        lambda of_weights: multilayer_perceptron(3, (16,), seed=of_weights),
        MeanSquare(),
        RSS_SMALL.model_copy(update={"outer_steps": 0}),
        seed,
    )
    made.fit(SOURCES)
    return made


@pytest.fixture(scope="module")
def start():
    return paradigm()


@pytest.fixture(scope="module")
def sizes(start):
    return StepSizes(start.model, MeanSquare(), None)


def test_one_compilation_takes_every_step_size(start, sizes):
    task = SOURCES[0].task(1)
    for rate in (0.01, 0.1):
        alone = Adaptation(start.model, MeanSquare(), InnerLoop(rate, 1, True, None))
        expected = alone.outputs(start.starts[""], task, (0, 3))[:, 0]
        found = sizes.errors(start, [task], rate, (0, 3))
        assert found.shape == (2, 1, 20)
        assert np.allclose(found[:, 0], distances(expected, task.query_targets[0]), atol=1e-5)


def test_errors_fall_and_padding_changes_nothing(start, sizes):
    tasks = [SOURCES[0].task(seed) for seed in (1, 2)]
    plain = sizes.errors(start, tasks, 0.1, (0, 50))
    assert (plain[1].mean(axis=-1) < plain[0].mean(axis=-1)).all()
    padded = sizes.errors(start, [SOURCES[0].task(s, size=25) for s in (1, 2)], 0.1, (0, 50))
    assert np.allclose(padded, plain, atol=1e-4)


def test_every_task_starts_where_its_fingerprints_are():
    chooser = paradigm("maml_ts")
    spoiled = chooser._models["far"]
    spoiled.set_weights([np.zeros_like(w) for w in spoiled.get_weights()])
    tasks = [SOURCES[1].task(1), SOURCES[0].task(1)]
    sizes = StepSizes(chooser.model, MeanSquare(), None)
    # Weights of zero answer (0, 0) always.
    found = sizes.errors(chooser, tasks, 0.1, (0,))[0]
    zero = [np.hypot(*task.query_targets[0].T) for task in tasks]
    assert np.allclose(found[0], zero[0])
    assert not np.allclose(found[1], zero[1])


def test_best_is_the_smallest_error_and_what_diverges_loses(start, sizes):
    tasks = [SOURCES[0].task(seed) for seed in (1, 2)]
    rates = (1e-6, 0.1, 1e9)
    trials = sizes.trials(start, tasks, rates, 20)
    assert trials.shape == (3, 2)
    expected = [np.mean(sizes.errors(start, tasks, r, (20,))[0] ** 2, axis=-1) for r in rates[:2]]
    assert np.allclose(trials[:2], expected)
    assert np.isinf(trials[2]).all()
    assert sizes.best(start, tasks, rates, 20) == 0.1
    assert sizes.best(start, tasks, (1e-6,), 20) == 1e-6


def test_no_choice_is_refused(start, sizes):
    tasks = [SOURCES[0].task(1)]
    with pytest.raises(InputError, match="at least one"):
        sizes.best(start, tasks, (), 5)
    with pytest.raises(InputError, match="does not diverge"):
        sizes.best(start, tasks, (1e9,), 20)
    with pytest.raises(InputError, match="at least one"):
        sizes.errors(start, [], 0.1, (1,))
