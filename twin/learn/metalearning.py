"""Inner and outer loop of model-agnostic meta-learning, for any Keras model.

Inner updates are stateless: a task's parameters are tensors that start at the model's variables,
so one compiled step treats all tasks of a batch at once.

State of layers (batch normalisation): a task's moving statistics start at the model's. Each inner
step normalises by the support set it sees and moves the task's statistics; its queries are
normalised by the statistics thus reached, so that an answer never depends on which other queries
are asked with it. An outer step moves the model's statistics to the mean over its tasks. Without
inner steps (ordinary training) the queries take the place of the support set. Padding would enter
the statistics, so padded tasks are refused for such models. Penalties of layers on weights or
activities are not part of the losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from twin.errors import Fault, refuse
from twin.learn.losses import Problem
from twin.learn.tasks import AnyArray, TaskBatch

Tensor = Any
# Tensors in tuples and lists, the task along the first dimension of each.
Nest = Any
Task = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
_SMALLEST = 1e-6
# More tasks than this are not laid out side by side in one graph, which would take minutes to make.
_SIDE_BY_SIDE = 8
_IN_FLIGHT = 8


@dataclass(frozen=True)
class InnerLoop:
    """Gradient steps on a support set.

    Attributes:
        rate: step size alpha.
        steps: number of steps.
        first_order: drop the second derivatives in outer gradients (MetaLoc eqs. 11-13).
        largest_gradient: inner gradients are clipped to this global norm; None: they are not.
    """

    rate: float
    steps: int
    first_order: bool
    largest_gradient: float | None = None


def forward(
    model: keras.Model,
    parameters: list[Tensor],
    state: list[Tensor],
    inputs: Tensor,
    training: bool,
) -> tuple[Tensor, list[Tensor]]:
    """Outputs of the model with these parameters and this state, and its state afterwards."""
    if not inputs.dtype.is_floating:
        inputs = tf.cast(inputs, model.compute_dtype)
    outputs, after = model.stateless_call(parameters, state, inputs, training=training)
    return outputs, after


def adapted(
    model: keras.Model,
    problem: Problem,
    inner: InnerLoop,
    parameters: list[Tensor],
    state: list[Tensor],
    support: tuple[Tensor, Tensor, Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters and state after the gradient steps on one support set (MetaLoc eqs. 6 and 14).

    Args:
        model: gives the forward pass only.
        problem: form of the problem.
        inner: step size, number of steps.
        parameters: to start from, in the order of `model.trainable_variables`.
        state: likewise of `model.non_trainable_variables`.
        support: (K, …) fingerprints, their targets, (K,) weights that sum to one.
    """
    inputs, targets, weight = support
    for _ in range(inner.steps):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            outputs, state = forward(model, parameters, state, inputs, training=True)
            loss = problem.support_loss(outputs, targets, weight)
        # An output may take no part in this loss.
        gradients = tape.gradient(loss, parameters, unconnected_gradients="zero")
        if inner.largest_gradient is not None:
            gradients = _clipped(gradients, inner.largest_gradient)
        if inner.first_order:
            gradients = [tf.stop_gradient(gradient) for gradient in gradients]
        parameters = [p - inner.rate * g for p, g in zip(parameters, gradients, strict=True)]
    return parameters, state


def _clipped(gradients: list[Tensor], largest: float) -> list[Tensor]:
    # tf.clip_by_global_norm uses an operation that tf.vectorized_map runs task by task.
    square = tf.add_n([tf.reduce_sum(gradient * gradient) for gradient in gradients])
    factor = largest / tf.maximum(tf.sqrt(square + _SMALLEST), largest)
    return [gradient * factor for gradient in gradients]


def each_task(model: keras.Model, function: Callable[[Nest], Nest], batch: Nest) -> Nest:
    """`function` of every task, in one graph; nests of tensors whose first dimension is the task.

    Dense layers are vectorised over tasks. Convolutions whose kernels differ from task to task are
    not: TensorFlow would run them and their gradients one after the other in a loop that keeps
    every step, which costs three times as much as tasks laid side by side in the graph, where they
    run in parallel (``benchmarks.metaloc``).
    """
    if all(len(variable.shape) <= 2 for variable in model.trainable_variables):
        return tf.vectorized_map(function, batch)
    tasks = tf.nest.flatten(batch)[0].shape[0]
    if tasks is not None and tasks <= _SIDE_BY_SIDE:
        found = [
            function(tf.nest.map_structure(lambda part, i=i: part[i], batch)) for i in range(tasks)
        ]
        return tf.nest.map_structure(lambda *parts: tf.stack(parts), *found)
    one = tf.nest.map_structure(lambda part: tf.TensorSpec(part.shape[1:], part.dtype), batch)
    signature = tf.nest.map_structure(
        lambda part: tf.TensorSpec(part.shape, part.dtype),
        tf.function(function).get_concrete_function(one).structured_outputs,
    )
    return tf.map_fn(function, batch, fn_output_signature=signature, parallel_iterations=_IN_FLIGHT)


class _OuterLoop:
    """What the compiled outer steps of `MetaTraining` and `DomainGeneralisation` have in common."""

    def __init__(
        self,
        model: keras.Model,
        problem: Problem,
        inner: InnerLoop,
        optimizer: keras.optimizers.Optimizer,
    ) -> None:
        """Prepare the compiled step; no inner steps: ordinary training on the query sets."""
        self.model = model
        self._problem = problem
        self._inner = inner
        self._optimizer = optimizer
        optimizer.build(model.trainable_variables)
        self._step = tf.function(self._meta_step)
        self._outer = tf.function(self._objective)

    def _meta_step(self, batch: Nest) -> Tensor:
        loss, gradients, state = self._objective(*_values(self.model), batch)
        self._optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        for variable, value in zip(self.model.non_trainable_variables, state, strict=True):
            variable.assign(value)
        return loss

    def _objective(
        self, start: list[Tensor], state: list[Tensor], batch: Nest
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """What an outer step minimises, its gradient by `start`, the state afterwards."""
        raise NotImplementedError

    def _value_and_gradient(
        self, start: list[Tensor], state: list[Tensor], batch: Nest
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Mean query loss of a batch, its gradient by `start`, the state averaged over tasks."""
        with tf.GradientTape() as tape:
            tape.watch(start)
            loss, after = self._mean_query_loss(start, state, batch)
        return loss, tape.gradient(loss, start, unconnected_gradients="zero"), after

    def _mean_query_loss(
        self, start: list[Tensor], state: list[Tensor], batch: Nest
    ) -> tuple[Tensor, list[Tensor]]:
        def of_one(task: Task) -> tuple[Tensor, list[Tensor]]:
            parameters, moved = adapted(
                self.model, self._problem, self._inner, start, state, task[:3]
            )
            outputs, after = forward(
                self.model, parameters, moved, task[3], training=self._inner.steps == 0
            )
            return self._problem.query_loss(outputs, task[4]), after

        losses, states = each_task(self.model, of_one, batch)
        # Seeds of random layers are whole numbers: all tasks move them alike.
        after = [
            tf.reduce_mean(values, axis=0) if values.dtype.is_floating else values[0]
            for values in states
        ]
        return tf.reduce_mean(losses), after


class MetaTraining(_OuterLoop):
    """Vanilla MAML (MetaLoc Algorithm 1): one compiled outer step for a batch of tasks.

    The outer loss is the mean over tasks, where the paper has the sum: the step size beta then does
    not depend on how many tasks a step has.
    """

    def step(self, batch: TaskBatch) -> float:
        """One outer update (eq. 8); gives the mean query loss.

        Raises:
            InputError: padded tasks for a model with statistics of its own.
        """
        return float(self._step(_task_tensors(self.model, batch)))

    def gradient(self, batch: TaskBatch) -> tuple[float, list[AnyArray]]:
        """The outer loss and its gradient (eqs. 9 to 13); the model stays as it is."""
        loss, gradients, _ = self._outer(*_values(self.model), _task_tensors(self.model, batch))
        return float(loss), [gradient.numpy() for gradient in gradients]

    def step_on(
        self, model: keras.Model, optimizer: keras.optimizers.Optimizer, batch: TaskBatch
    ) -> float:
        """`step` for another model of the same architecture, compiled once for all of them.

        Args:
            model: is updated.
            optimizer: of that model alone.
            batch: as for `step`.
        """
        loss, gradients, state = self._outer(*_values(model), _task_tensors(model, batch))
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        for variable, value in zip(model.non_trainable_variables, state, strict=True):
            variable.assign(value)
        return float(loss)

    def _objective(
        self, start: list[Tensor], state: list[Tensor], batch: Nest
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        return self._value_and_gradient(start, state, batch)


class DomainGeneralisation(_OuterLoop):
    """MAML-DG (MetaLoc Algorithm 3): minimises ``F(theta) + w G(theta - beta grad F(theta))``.

    F and G are the outer losses of tasks of two different environments (eqs. 17 to 19). Line 10 of
    Algorithm 3 adapts the second environment's tasks from theta, eq. 18 from theta' = theta - beta
    grad F(theta); eq. 18 is followed, since eqs. 19 to 22 rest on it. F and G are means over tasks
    here: the paper's F is a sum over M tasks, so its beta moves theta' M times as far.

    First order drops the second derivatives here, too: the gradient is grad F(theta) + w grad
    G(theta').
    """

    def __init__(
        self,
        model: keras.Model,
        problem: Problem,
        inner: InnerLoop,
        optimizer: keras.optimizers.Optimizer,
        virtual_rate: float,
        weight: float,
    ) -> None:
        """Prepare the compiled step.

        Args:
            model: any.
            problem: form of the problem.
            inner: inner loop in both environments.
            optimizer: applies the gradient of the sum.
            virtual_rate: beta of theta'.
            weight: w.
        """
        super().__init__(model, problem, inner, optimizer)
        self._virtual_rate = virtual_rate
        self._weight = weight

    def step_pair(self, first: TaskBatch, second: TaskBatch) -> float:
        """One outer update from tasks of two environments; gives F + w G."""
        return float(self._step(self._pair(first, second)))

    def gradient_pair(self, first: TaskBatch, second: TaskBatch) -> tuple[float, list[AnyArray]]:
        """F + w G and its gradient; the model stays as it is."""
        loss, gradients, _ = self._outer(*_values(self.model), self._pair(first, second))
        return float(loss), [gradient.numpy() for gradient in gradients]

    def _pair(self, first: TaskBatch, second: TaskBatch) -> tuple[Nest, Nest]:
        return _task_tensors(self.model, first), _task_tensors(self.model, second)

    def _objective(
        self, start: list[Tensor], state: list[Tensor], batch: Nest
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        if self._inner.first_order:
            first, direction, state = self._value_and_gradient(start, state, batch[0])
            second, slope, state = self._value_and_gradient(
                self._moved(start, direction), state, batch[1]
            )
            gradients = [d + self._weight * s for d, s in zip(direction, slope, strict=True)]
            return first + self._weight * second, gradients, state
        with tf.GradientTape() as tape:
            tape.watch(start)
            first, direction, state = self._value_and_gradient(start, state, batch[0])
            second, state = self._mean_query_loss(self._moved(start, direction), state, batch[1])
            loss = first + self._weight * second
        return loss, tape.gradient(loss, start, unconnected_gradients="zero"), state

    def _moved(self, start: list[Tensor], direction: list[Tensor]) -> list[Tensor]:
        return [p - self._virtual_rate * d for p, d in zip(start, direction, strict=True)]


class Adaptation:
    """Gradient steps on support sets and answers to queries, all tasks of a batch at once."""

    def __init__(self, model: keras.Model, problem: Problem, inner: InnerLoop) -> None:
        """Prepare the compiled steps; `inner.steps` is not looked at."""
        self._model = model
        self._problem = problem
        self._once = InnerLoop(inner.rate, 1, True, inner.largest_gradient)
        self._advance = tf.function(self._advanced, reduce_retracing=False)
        self._answer = tf.function(self._answered, reduce_retracing=False)

    def outputs(self, start: Sequence[AnyArray], batch: TaskBatch, at: Sequence[int]) -> AnyArray:
        """Answers to the queries before, during and after the adaptation.

        Args:
            start: weights of the model (as `model.get_weights` gives them) to start from.
            batch: T tasks; the query targets are not looked at.
            at: numbers of gradient steps after which the queries are asked, rising.

        Returns:
            (len(at), T, Q, o).

        Raises:
            InputError: numbers of steps that do not rise from 0 on; padded tasks for a model with
                statistics of its own.
        """
        rising = list(at) == sorted(set(at)) and len(at) > 0 and min(at) >= 0
        expected = "numbers of gradient steps, rising, 0 or more"
        refuse([] if rising else [Fault("adaptation", "at", expected, str(list(at)))])
        tensors = _task_tensors(self._model, batch)
        reached = self._started(start, batch.tasks)
        answers, taken = [], 0
        for steps in at:
            for _ in range(steps - taken):
                reached = self._advance(*reached, tensors[:3])
            taken = steps
            answers.append(self._answer(*reached, tensors[3]).numpy())
        return np.stack(answers)

    def parameters(self, start: Sequence[AnyArray], batch: TaskBatch, steps: int) -> list[AnyArray]:
        """Trainable parameters (T, …) of every task after `steps` gradient steps."""
        tensors = _task_tensors(self._model, batch)
        reached = self._started(start, batch.tasks)
        for _ in range(steps):
            reached = self._advance(*reached, tensors[:3])
        return [value.numpy() for value in reached[0]]

    def _started(self, start: Sequence[AnyArray], tasks: int) -> tuple[list[Tensor], list[Tensor]]:
        """The weights once for each task."""
        given = {id(v): value for v, value in zip(self._model.weights, start, strict=True)}
        # Seeds of random layers are no weights.

        def repeated(variables: Sequence[Tensor]) -> list[Tensor]:
            values = [tf.convert_to_tensor(given.get(id(v), v), v.dtype) for v in variables]
            return [tf.repeat(value[None], tasks, axis=0) for value in values]

        return (
            repeated(self._model.trainable_variables),
            repeated(self._model.non_trainable_variables),
        )

    def _advanced(
        self, parameters: list[Tensor], state: list[Tensor], support: Nest
    ) -> tuple[list[Tensor], list[Tensor]]:
        def of_one(task: Nest) -> tuple[list[Tensor], list[Tensor]]:
            return adapted(self._model, self._problem, self._once, *task)

        after = each_task(self._model, of_one, (parameters, state, support))
        return after[0], after[1]

    def _answered(self, parameters: list[Tensor], state: list[Tensor], queries: Tensor) -> Tensor:
        def of_one(task: Nest) -> Tensor:
            own, of_layers, inputs = task
            return forward(self._model, own, of_layers, inputs, training=False)[0]

        return each_task(self._model, of_one, (parameters, state, queries))


def _values(model: keras.Model) -> tuple[list[Tensor], list[Tensor]]:
    return (
        [tf.convert_to_tensor(variable) for variable in model.trainable_variables],
        [tf.convert_to_tensor(variable) for variable in model.non_trainable_variables],
    )


def _task_tensors(model: keras.Model, batch: TaskBatch) -> tuple[Tensor, ...]:
    if any(variable.dtype.startswith("float") for variable in model.non_trainable_variables):
        padded = int((batch.support_weight == 0.0).any(axis=1).sum())
        expected = "tasks without padding, for a model with batch statistics"
        refuse([Fault("tasks", "support_weight", expected, f"{padded} padded")] if padded else [])
    return tuple(tf.convert_to_tensor(array) for array in batch.arrays())
