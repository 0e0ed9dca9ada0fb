"""MetaLoc's theory in numbers: parameter distance, the bounds of Theorem 1, gradient alignment.

Theorem 1 (MetaLoc, IEEE JSAC 41(12), 2023, section III-B) bounds the excess risk of Q gradient
steps on a support set by how fast the loss can change (G), how fast its gradient can (W), and how
far the start is from the task's optimum. G and W are suprema; what is measured here is their
largest values at the places looked at, so both are bounds from below, and a bound evaluated with
them is an estimate of the theorem's. Networks with ReLU have no W at all where a unit switches:
there W is that of the smooth pieces.

Losses and their derivatives: `twin.learn.loss_surface`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from twin.errors import Fault, refuse
from twin.learn.loss_surface import (
    Array,
    Parameters,
    SampleLoss,
    descend,
    flattened,
    largest_curvature,
    shaped,
    step_faults,
)
from twin.learn.losses import Problem
from twin.learn.metalearning import InnerLoop, MetaTraining
from twin.learn.tasks import AnyArray, TaskBatch

#: Of the curvature; looking at more places gains more than another digit at each.
_TOLERANCE = 1e-3


def parameter_distance(first: Parameters, second: Parameters) -> float:
    """Euclidean distance between two lists of arrays, all parameters as one vector.

    Raises:
        InputError: lists of other lengths or arrays of other shapes.
    """
    shapes = [[np.shape(value) for value in values] for values in (first, second)]
    refuse(
        [Fault("parameter distance", "shapes", str(shapes[0]), str(shapes[1]))]
        if shapes[0] != shapes[1]
        else []
    )
    return float(np.linalg.norm(flattened(first) - flattened(second)))


def gradient_alignment(gradients: Sequence[Parameters]) -> Array:
    """Cosines (s, s) between the gradients of s environments' outer losses.

    MAML-DG minimises ``-w beta grad F . grad G`` beside the losses (eq. 22), which is to raise
    these cosines; `MetaTraining.gradient` gives a gradient.

    Args:
        gradients: one list of arrays an environment, all of the same shapes.

    Raises:
        InputError: fewer than two environments, gradients of different sizes, or one that is zero
            or not finite and so has no direction.
    """
    where = "gradient alignment"
    rows = [flattened(gradient) for gradient in gradients]
    faults = []
    if len(rows) < 2:
        faults.append(Fault(where, "environments", "two or more", str(len(rows))))
    if len({len(row) for row in rows}) > 1:
        sizes = str([len(row) for row in rows])
        faults.append(Fault(where, "parameters", "one number for all environments", sizes))
    norms = [float(np.linalg.norm(row)) for row in rows]
    faults += [
        Fault(where, f"environment {i}", "a gradient with a direction", f"norm {norm:g}")
        for i, norm in enumerate(norms)
        if not 0.0 < norm < np.inf
    ]
    refuse(faults)
    unit = np.stack([row / norm for row, norm in zip(rows, norms, strict=True)])
    return np.asarray(np.clip(unit @ unit.T, -1.0, 1.0))


class DomainGradients:
    """Outer gradients of a network on fixed tasks of several environments, compiled once."""

    def __init__(
        self, model: keras.Model, problem: Problem, inner: InnerLoop, tasks: Sequence[TaskBatch]
    ) -> None:
        """Prepare; `tasks` is one batch an environment, all of one size."""
        self._tasks = tasks
        # Gradients only are asked for: the optimiser never takes a step.
        self._training = MetaTraining(model, problem, inner, keras.optimizers.SGD(0.0))

    def alignment(self) -> Array:
        """`gradient_alignment` at the weights that the network has now."""
        return gradient_alignment([self._training.gradient(batch)[1] for batch in self._tasks])


@dataclass(frozen=True)
class Theorem1:
    """Both sides of Theorem 1 for one task and one support set; expectations are the caller's.

    Attributes:
        rate: step size alpha.
        steps: Q.
        support: k_spt, members of the support set.
        lipschitz: G, largest gradient norm of a single member's loss at the places looked at.
        smoothness: W, largest curvature of the support loss there.
        training_gap: L_T(theta_Q; D) - L_T(theta_T*), the first on the support set.
        distance: ||theta* - theta_T*||.
        excess_risk: L_T(theta_Q) - L_T(theta_T*), both on the task's whole law: what is bounded.
    """

    rate: float
    steps: int
    support: int
    lipschitz: float
    smoothness: float
    training_gap: float
    distance: float
    excess_risk: float

    @property
    def premise_holds(self) -> bool:
        """Whether alpha <= 1 / W; where it does not, the theorem says nothing."""
        return self.rate * self.smoothness <= 1.0

    @property
    def stability(self) -> float:
        """2 G^2 (rho^Q - 1) / (k_spt W) with rho = 1 + 2 alpha W: what other labels could change.

        Infinite where that is beyond all numbers; of no curvature, the limit for W to 0.
        """
        growth = 2.0 * self.rate * self.steps
        if self.smoothness > 0.0:
            with np.errstate(over="ignore"):
                exponent = self.steps * np.log1p(2.0 * self.rate * self.smoothness)
                growth = float(np.expm1(exponent)) / self.smoothness
        return 2.0 * self.lipschitz**2 * growth / self.support

    @property
    def first_bound(self) -> float:
        """Stability and the loss left on the support set."""
        return self.stability + self.training_gap

    @property
    def second_bound(self) -> float:
        """Stability and ||theta* - theta_T*||^2 / (2 alpha)."""
        return self.stability + self.distance**2 / (2.0 * self.rate)


def theorem_1(
    support: SampleLoss,
    law: SampleLoss,
    start: Parameters,
    optimum: Parameters,
    rate: float,
    steps: int,
    generator: np.random.Generator,
    around: int = 8,
) -> Theorem1:
    """Evaluate Theorem 1 for one task.

    G and W are taken along the path of the adaptation and at random places on a sphere around its
    start that holds path and optimum (in so many dimensions nearly all of a ball is at its
    surface). G is that of single members of the support set, whose exchange the theorem's first
    term is about; the loss on the whole set changes no faster.

    Args:
        support: loss on the support set.
        law: the same loss on a sample of the task large enough to stand for its law.
        start: theta*, the initialisation.
        optimum: theta_T*, the task's optimum: see `minimum`.
        rate: alpha.
        steps: Q, 1 or more.
        generator: of the places and first directions.
        around: places on the sphere.

    Raises:
        InputError: a step size that is not above zero, fewer than one step.
    """
    refuse(step_faults("theorem 1", rate, steps, fewest=1))
    path = descend(support, start, rate, steps)
    radius = max(parameter_distance(start, place) for place in [*path, optimum])
    places = [*path, optimum, *_sphere(start, radius, around, generator)]
    best = law.value(optimum)
    return Theorem1(
        rate=rate,
        steps=steps,
        support=support.size,
        lipschitz=max(support.largest_member_gradient(place) for place in places),
        smoothness=max(
            largest_curvature(support, place, generator, tolerance=_TOLERANCE).value
            for place in places
        ),
        training_gap=support.value(path[-1]) - best,
        distance=parameter_distance(start, optimum),
        excess_risk=law.value(path[-1]) - best,
    )


def _sphere(
    centre: Parameters, radius: float, count: int, generator: np.random.Generator
) -> list[list[AnyArray]]:
    middle = flattened(centre)
    arrays = [np.asarray(value) for value in centre]
    directions = generator.standard_normal((count, len(middle)))
    directions *= radius / np.linalg.norm(directions, axis=1, keepdims=True)
    return [shaped(middle + direction, arrays) for direction in directions]
