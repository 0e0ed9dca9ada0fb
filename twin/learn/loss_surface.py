"""The loss on one sample as a function of a model's parameters, with exact derivatives.

Parameters are lists of arrays in the order of `model.trainable_variables`. Models have no state of
their own (batch statistics): with one, the loss would be no function of the parameters alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.optimize import minimize

from twin.errors import Fault, refuse
from twin.learn.losses import Problem, Tensor
from twin.learn.metalearning import each_task, forward
from twin.learn.tasks import AnyArray

Array = npt.NDArray[np.float64]
Parameters = Sequence[AnyArray]


class LossSurface:
    """A model's loss in a form of the problem, compiled once for all samples of one shape."""

    def __init__(self, model: keras.Model, problem: Problem) -> None:
        """Prepare the compiled functions.

        Args:
            model: gives the forward pass.
            problem: form of the problem; its support loss is the one meant.

        Raises:
            InputError: a model with state of its own.
        """
        names = ", ".join(v.path for v in model.non_trainable_variables)
        expected = "no state beside its parameters"
        refuse([Fault("loss surface", "model", expected, names)] if names else [])
        self._model = model
        self._problem = problem
        self.value = tf.function(self._loss)
        self.slope = tf.function(self._value_and_gradient)
        self.bend = tf.function(self._hessian_product)
        self.member_norms = tf.function(self._squared_norms)

    def on(self, inputs: AnyArray, targets: AnyArray, weight: AnyArray | None = None) -> SampleLoss:
        """The loss on one sample (MetaLoc's L_T(f; D)).

        Args:
            inputs: (k, …) fingerprints.
            targets: (k, …) positions or classes.
            weight: (k,) weights that sum to one; None: all alike.

        Raises:
            InputError: an empty sample, lengths that differ, weights that are negative or do not
                sum to one.
        """
        count = len(inputs)
        weights = np.full(count, 1.0 / max(count, 1)) if weight is None else np.asarray(weight)
        refuse(_sample_faults(count, len(targets), weights))
        # Positions share the parameters' precision; classes are whole numbers.
        wanted = self._model.trainable_variables[0].dtype
        parts = [tf.convert_to_tensor(part) for part in (inputs, targets, weights)]
        tensors = [tf.cast(p, wanted) if p.dtype.is_floating else p for p in parts]
        return SampleLoss(self, tensors, int(np.count_nonzero(weights)))

    def tensors(self, parameters: Parameters) -> list[Tensor]:
        """Parameters as tensors in the model's precision.

        Raises:
            InputError: other shapes than the model's.
        """
        variables = self._model.trainable_variables
        expected = [tuple(v.shape) for v in variables]
        found = [np.shape(p) for p in parameters]
        refuse([Fault("parameters", "", str(expected), str(found))] if expected != found else [])
        return [
            tf.convert_to_tensor(np.asarray(p), v.dtype)
            for p, v in zip(parameters, variables, strict=True)
        ]

    def _loss(self, parameters: list[Tensor], sample: list[Tensor]) -> Tensor:
        inputs, targets, weight = sample
        outputs, _ = forward(self._model, parameters, [], inputs, training=False)
        return self._problem.support_loss(outputs, targets, weight)

    def _value_and_gradient(
        self, parameters: list[Tensor], sample: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            loss = self._loss(parameters, sample)
        return loss, tape.gradient(loss, parameters, unconnected_gradients="zero")

    def _hessian_product(
        self, parameters: list[Tensor], direction: list[Tensor], sample: list[Tensor]
    ) -> list[Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            _, gradient = self._value_and_gradient(parameters, sample)
            along = tf.add_n(
                [tf.reduce_sum(g * d) for g, d in zip(gradient, direction, strict=True)]
            )
        product = tape.gradient(along, parameters, unconnected_gradients="zero")
        return list(product)

    def _squared_norms(self, parameters: list[Tensor], sample: list[Tensor]) -> Tensor:
        one = tf.ones((1,), sample[2].dtype)

        def of_one(member: tuple[Tensor, Tensor]) -> Tensor:
            inputs, targets = (part[None] for part in member)
            _, gradient = self._value_and_gradient(parameters, [inputs, targets, one])
            return tf.add_n([tf.reduce_sum(part * part) for part in gradient])

        return each_task(self._model, of_one, (sample[0], sample[1]))


class SampleLoss:
    """The loss on one sample; `LossSurface.on` makes it.

    Attributes:
        size: k, members with a weight above zero.
    """

    def __init__(self, surface: LossSurface, sample: list[Tensor], size: int) -> None:
        self.size = size
        self._surface = surface
        self._sample = sample

    def value(self, parameters: Parameters) -> float:
        """The loss."""
        return float(self._surface.value(self._surface.tensors(parameters), self._sample))

    def gradient(self, parameters: Parameters) -> tuple[float, list[AnyArray]]:
        """The loss and its gradient."""
        loss, gradient = self._surface.slope(self._surface.tensors(parameters), self._sample)
        return float(loss), [part.numpy() for part in gradient]

    def largest_member_gradient(self, parameters: Parameters) -> float:
        """Largest gradient norm of the loss of a single member of the sample."""
        square = self._surface.member_norms(self._surface.tensors(parameters), self._sample)
        return float(np.sqrt(square.numpy()[self._sample[2].numpy() > 0.0].max()))

    def hessian_product(self, parameters: Parameters, direction: Parameters) -> list[AnyArray]:
        """Exact product of the Hessian and a direction."""
        surface = self._surface
        place, along = surface.tensors(parameters), surface.tensors(direction)
        return [part.numpy() for part in surface.bend(place, along, self._sample)]


def descend(loss: SampleLoss, start: Parameters, rate: float, steps: int) -> list[list[AnyArray]]:
    """Parameters after 0 to `steps` plain gradient steps (MetaLoc eq. 14), nothing clipped.

    Raises:
        InputError: a step size that is not above zero, a negative number of steps.
    """
    refuse(step_faults("descend", rate, steps))
    reached = [[np.asarray(value) for value in start]]
    for _ in range(steps):
        _, gradient = loss.gradient(reached[-1])
        moved = [
            np.asarray(p - rate * g, p.dtype) for p, g in zip(reached[-1], gradient, strict=True)
        ]
        reached.append(moved)
    return reached


def minimum(loss: SampleLoss, start: Parameters, iterations: int = 500) -> list[AnyArray]:
    """A minimum of the loss reached from `start` by L-BFGS; with a network, one of many."""
    arrays = [np.asarray(value) for value in start]

    def value_and_slope(flat: Array) -> tuple[float, Array]:
        value, gradient = loss.gradient(shaped(flat, arrays))
        return value, flattened(gradient)

    found = minimize(
        value_and_slope,
        flattened(start),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 1e-12},
    )
    return shaped(found.x, arrays)


@dataclass(frozen=True)
class Curvature:
    """Result of a power iteration.

    Attributes:
        value: largest absolute eigenvalue of the Hessian, approached from below.
        iterations: Hessian-vector products taken.
        converged: whether the last of them changed the value by less than the tolerance.
    """

    value: float
    iterations: int
    converged: bool


def largest_curvature(
    loss: SampleLoss,
    parameters: Parameters,
    generator: np.random.Generator,
    iterations: int = 100,
    tolerance: float = 1e-4,
) -> Curvature:
    """Spectral norm of the Hessian at one place, by power iteration.

    The estimate ``|H v|`` for a unit vector v rises with every iteration, and does not mind two
    eigenvalues of opposite signs.

    Args:
        loss: whose Hessian.
        parameters: the place.
        generator: of the first direction.
        iterations: at most.
        tolerance: relative change at which to stop.
    """
    arrays = [np.asarray(value) for value in parameters]
    direction = generator.standard_normal(sum(value.size for value in arrays))
    value = 0.0
    for iteration in range(1, iterations + 1):
        direction /= np.linalg.norm(direction)
        direction = flattened(loss.hessian_product(parameters, shaped(direction, arrays)))
        before, value = value, float(np.linalg.norm(direction))
        if abs(value - before) <= tolerance * value:
            return Curvature(value, iteration, True)
    return Curvature(value, iterations, False)


def flattened(parameters: Parameters) -> Array:
    """All parameters as one vector."""
    return np.concatenate([np.asarray(p, dtype=np.float64).ravel() for p in parameters])


def shaped(flat: Array, like: Sequence[AnyArray]) -> list[AnyArray]:
    """Arrays of the shapes and types of `like` from one vector."""
    ends = np.cumsum([value.size for value in like])[:-1]
    return [
        part.reshape(value.shape).astype(value.dtype)
        for part, value in zip(np.split(flat, ends), like, strict=True)
    ]


def step_faults(where: str, rate: float, steps: int, fewest: int = 0) -> list[Fault]:
    """What is wrong with a step size and a number of steps."""
    faults = []
    if not 0.0 < rate < np.inf:
        faults.append(Fault(where, "rate", "a finite number above 0", str(rate)))
    if steps < fewest:
        faults.append(Fault(where, "steps", f"{fewest} or more", str(steps)))
    return faults


def _sample_faults(inputs: int, targets: int, weight: AnyArray) -> list[Fault]:
    where = "sample"
    if inputs == 0 or targets != inputs or weight.shape != (inputs,):
        found = f"{inputs}, {targets} and {weight.shape}"
        expected = "as many inputs, targets and weights, at least one"
        return [Fault(where, "inputs, targets, weight", expected, found)]
    if not np.isclose(weight.sum(), 1.0, atol=1e-4) or (weight < 0).any():
        expected = "0 or more, with the sum 1"
        return [Fault(where, "weight", expected, f"the sum {weight.sum():g}")]
    return []
