"""Adaptation with any step size, and the choice of one without looking at the new environment.

The step size that suits one start ruins another, so methods compared at a single one say little.
Historical environments can choose: a place that no training saw is adapted to as a new place is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from twin.errors import Fault, refuse
from twin.learn.losses import Problem
from twin.learn.metalearning import Adaptation, InnerLoop
from twin.learn.paradigms import Paradigm
from twin.learn.tasks import AnyArray, Array, TaskBatch, concatenated


class StepSizes:
    """Adaptation of one network from any start, compiled once for all step sizes."""

    def __init__(
        self, model: keras.Model, problem: Problem, largest_gradient: float | None
    ) -> None:
        """A network, the form of the problem, and the norm that inner gradients are clipped to."""
        self._rate: Any = tf.Variable(0.0, trainable=False, dtype=model.compute_dtype)
        inner = InnerLoop(self._rate, 1, True, largest_gradient)
        self._adaptation = Adaptation(model, problem, inner)

    def adaptation(self, rate: float) -> Adaptation:
        """Adapts with this step size until another is asked for."""
        self._rate.assign(rate)
        return self._adaptation

    def errors(
        self, paradigm: Paradigm, tasks: Sequence[TaskBatch], rate: float, at: Sequence[int]
    ) -> Array:
        """Distances between answers and truth while a paradigm adapts to each of some tasks.

        ``maml_ts`` starts where the labelled fingerprints of a task are nearest.

        Args:
            paradigm: gives the starts.
            tasks: batches of one task each, of positions, all of one size.
            rate: step size.
            at: numbers of gradient steps, rising.

        Returns:
            (len(at), T, Q) in the learner's coordinates; not finite where the adaptation diverged.
        """
        batch = concatenated(tasks)
        chosen = [
            paradigm.choose(inputs[weight > 0.0].astype(np.float64))
            for inputs, weight in zip(batch.support_inputs, batch.support_weight, strict=True)
        ]
        found = np.empty((len(at), *batch.query_targets.shape[:2]))
        # Every start sees all tasks, so that all calls have one shape, which is compiled once.
        for start in sorted(set(chosen)):
            own = [start == other for other in chosen]
            outputs = self.adaptation(rate).outputs(paradigm.starts[start], batch, at)
            found[:, own] = distances(outputs[:, own], batch.query_targets[own])
        return found

    def trials(
        self, paradigm: Paradigm, tasks: Sequence[TaskBatch], rates: Sequence[float], steps: int
    ) -> Array:
        """(rates, T) mean squared errors after `steps` gradient steps; infinite where it diverged.

        Arguments as those of `errors`.
        """
        found = [
            np.mean(self.errors(paradigm, tasks, rate, (steps,))[0] ** 2, axis=-1) for rate in rates
        ]
        return np.asarray(np.nan_to_num(np.stack(found), nan=np.inf, posinf=np.inf))

    def best(
        self, paradigm: Paradigm, tasks: Sequence[TaskBatch], rates: Sequence[float], steps: int
    ) -> float:
        """The step size with the smallest mean squared error of some tasks; of equals, the first.

        Arguments as those of `errors`; the tasks are held-out ones of historical environments.

        Raises:
            InputError: no step size, or every one diverges.
        """
        refuse([] if rates else [Fault("choice of a step size", "rates", "at least one", "none")])
        return least_wrong(rates, self.trials(paradigm, tasks, rates, steps).mean(axis=1))


def least_wrong(rates: Sequence[float], errors: npt.ArrayLike) -> float:
    """The step size with the smallest of (rates,) errors; of equals, the first.

    Raises:
        InputError: every step size diverges.
    """
    found = np.asarray(errors, np.float64)
    expected = "one that does not diverge"
    refuse(
        []
        if np.isfinite(found).any()
        else [Fault("choice of a step size", "rates", expected, str(list(rates)))]
    )
    return float(rates[int(np.argmin(np.where(np.isfinite(found), found, np.inf)))])


def distances(outputs: AnyArray, targets: AnyArray) -> Array:
    """(…) Euclidean distance between (…, 2) outputs and targets, one unit for both."""
    gap = np.asarray(outputs, np.float64)[..., :2] - np.asarray(targets, np.float64)
    return np.asarray(np.hypot(gap[..., 0], gap[..., 1]))
