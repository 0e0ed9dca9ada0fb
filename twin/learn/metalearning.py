"""Inner and outer loop of model-agnostic meta-learning, for any Keras model.

Inner updates are stateless: a task's parameters are tensors that start at the model's variables,
so one compiled step treats all tasks of a batch at once (`tf.vectorized_map`). Layers that update
a state of their own (batch normalisation) keep the state they have; their statistics do not move
in either loop.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

Tensor = Any
_SMALLEST = 1e-6

#: Inner gradients are clipped to this global norm: fingerprints far off the twin's scale (a place
#: that is not aligned) would otherwise throw the parameters out of any useful range in a few
#: steps.
LARGEST_GRADIENT = 10.0


def distance(predicted: Tensor, position: Tensor) -> Tensor:
    """(…, n) Euclidean distance between (…, n, 2+) predictions (first two columns) and positions.

    The small constant keeps the gradient finite where a prediction is exact.
    """
    return tf.sqrt(tf.reduce_sum((predicted[..., :2] - position) ** 2, axis=-1) + _SMALLEST)


def query_loss(predicted: Tensor, position: Tensor) -> Tensor:
    """Mean distance, plus what teaches the third column the logarithm of the expected distance.

    For a fixed distance d the added term ``d exp(-s) + s`` is smallest at ``s = log d``; d is
    held constant in it, so the positions are fitted to the distance alone.
    """
    wrong = distance(predicted, position)
    log_spread = predicted[..., 2]
    calibration = tf.stop_gradient(wrong) * tf.exp(-log_spread) + log_spread
    return tf.reduce_mean(wrong) + 0.1 * tf.reduce_mean(calibration)


def adapted_parameters(
    model: keras.Model,
    start: list[Tensor],
    inputs: Tensor,
    position: Tensor,
    weight: Tensor,
    rate: float,
    steps: int,
    first_order: bool,
) -> list[Tensor]:
    """Parameters after `steps` gradient steps on one support set (MetaLoc eqs. 6 and 14).

    Args:
        model: gives the forward pass only.
        start: parameters to start from, in the order of `model.trainable_variables`.
        inputs: (K, i) support fingerprints.
        position: (K, 2) their positions.
        weight: (K,) weights that sum to one; zero on padding.
        rate: inner step size alpha.
        steps: number of gradient steps Q.
        first_order: drop the second derivatives (MetaLoc eqs. 11-13).
    """
    parameters = start
    fixed = model.non_trainable_variables
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            predicted, _ = model.stateless_call(parameters, fixed, inputs)
            loss = tf.reduce_sum(distance(predicted, position) * weight)
        # The third output (spread) takes no part in this loss.
        gradients = tape.gradient(loss, parameters, unconnected_gradients="zero")
        gradients = _clipped(gradients)
        if first_order:
            gradients = [tf.stop_gradient(gradient) for gradient in gradients]
        parameters = [p - rate * g for p, g in zip(parameters, gradients, strict=True)]
    return parameters


def _clipped(gradients: list[Tensor]) -> list[Tensor]:
    # tf.clip_by_global_norm uses an operation that tf.vectorized_map runs task by task.
    square = tf.add_n([tf.reduce_sum(gradient * gradient) for gradient in gradients])
    factor = LARGEST_GRADIENT / tf.maximum(tf.sqrt(square + _SMALLEST), LARGEST_GRADIENT)
    return [gradient * factor for gradient in gradients]


class MetaTraining:
    """Vanilla MAML (MetaLoc Algorithm 1): one outer step for a batch of tasks."""

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        inner_rate: float,
        inner_steps: int,
        first_order: bool,
    ) -> None:
        """Prepare the compiled step; `inner_steps` = 0 is ordinary training on the query sets."""
        self._model = model
        self._optimizer = optimizer
        optimizer.build(model.trainable_variables)
        self._inner_rate = inner_rate
        self._inner_steps = inner_steps
        self._first_order = first_order
        self._step = tf.function(self._meta_step)

    def step(self, *batch: npt.NDArray[np.float32]) -> float:
        """One outer update (eq. 8) from the arrays of a `TaskBatch`; gives the mean query loss."""
        return float(self._step(*(tf.convert_to_tensor(array) for array in batch)))

    def _task_loss(self, task: tuple[Tensor, ...]) -> Tensor:
        support_inputs, support_position, support_weight, query_inputs, query_position = task
        start = [tf.convert_to_tensor(v) for v in self._model.trainable_variables]
        parameters = adapted_parameters(
            self._model,
            start,
            support_inputs,
            support_position,
            support_weight,
            self._inner_rate,
            self._inner_steps,
            self._first_order,
        )
        predicted, _ = self._model.stateless_call(
            parameters, self._model.non_trainable_variables, query_inputs
        )
        return query_loss(predicted, query_position)

    def _meta_step(self, *batch: Tensor) -> Tensor:
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.vectorized_map(self._task_loss, batch))
        self._optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss
