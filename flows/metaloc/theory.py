"""MetaLoc's theory on trained networks: Theorem 1 and the alignment of environments' gradients.

On the three historical environments of `flows.metaloc.similarity`, MAML and MAML-DG are trained
while two things are looked at: the cosines between the environments' outer gradients, which the
second term of MAML-DG's loss is to raise (eq. 22), and the error in a new environment. Then both
sides of Theorem 1 are evaluated for MAML's, MAML-DG's and random initial parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from flows.metaloc.similarity import (
    Record,
    SimilaritySettings,
    adapted_rmse,
    domains,
    historical_places,
    new_places,
    new_task,
    paradigm,
)
from twin.config import StrictModel
from twin.learn.position_tasks import Place, PositionDomain
from twin.learn.presets import RSS_SMALL, ParadigmName
from twin.learn.tasks import AnyArray, TaskBatch, concatenated
from twin.seeds import stream

if TYPE_CHECKING:
    from twin.learn.metalearning import Adaptation
    from twin.learn.paradigms import Paradigm
    from twin.learn.theory import DomainGradients

STUDY = "theory"
Count = Annotated[int, Field(ge=1)]


class TheorySettings(StrictModel):
    """Settings of the experiment.

    Attributes:
        base: environments, network and training; of its new environments the first is adapted to.
        looks: times that training is looked at after the first, evenly.
        tasks: of each environment that gradients are taken of.
        steps: Q of Theorem 1.
        law: fingerprints of a task that stand for its law.
        around: places on the sphere around a start at which G and W are taken.
        iterations: of L-BFGS on the way to a task's optimum; few, since a network goes on to fit
            the noise of any sample, ever farther from its start.
        premise: share of the largest step size that the theorem allows, 1 / W, at which it is
            evaluated beside the one in use.
    """

    base: SimilaritySettings = SimilaritySettings(steps=(0, 1, 5, 10))
    looks: Count = 6
    tasks: Count = 8
    steps: Count = 10
    law: Count = 2000
    around: Count = 2
    iterations: Count = 50
    premise: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5


QUICK = TheorySettings(
    base=SimilaritySettings(
        meta=RSS_SMALL.model_copy(update={"outer_steps": 30, "inner_steps": 2}),
        repeats=1,
        new_queries=100,
        steps=(0, 10),
    ),
    looks=1,
    tasks=4,
    steps=3,
    law=200,
    around=1,
    iterations=30,
)


def run_seed(settings: TheorySettings, seed: int) -> list[Record]:
    """Train and measure with the draws of one seed.

    Returns:
        By method and outer `meta_steps`: ``gradient_cosine``, mean over pairs of environments, and
        ``rmse_m`` in the new environment after `steps` of adaptation. By method and `rate_choice`
        ("used", or "premise": small enough for the theorem): ``parameter_distance``
        ||theta* - theta_T*||, ``excess_risk``, ``first_bound``, ``second_bound``, ``stability``,
        ``lipschitz``, ``smoothness`` and ``premise_holds``; losses are squared errors in the
        learner's coordinates.
    """
    base = settings.base
    sources = domains(base, historical_places(base, seed))
    places = new_places(base, base.new[0].law, seed)
    batch = concatenated([new_task(base, place) for place in places])
    untrained = paradigm(base, "ri", seed)
    starts = {"ri": untrained.starts[""]}
    records = []
    names: tuple[ParadigmName, ...] = ("maml", "maml_dg")
    for name in names:
        fitted = paradigm(base, name, seed)
        look = _Look(settings, sources, batch, places, seed)
        fitted.fit(sources, look, max(1, base.meta.outer_steps // settings.looks))
        records += look.records
        starts[name] = fitted.starts[""]
    return records + bounds(settings, untrained, starts, seed)


class _Look:
    """What is measured while a paradigm is trained; compiled at the first look."""

    def __init__(
        self,
        settings: TheorySettings,
        sources: Sequence[PositionDomain],
        batch: TaskBatch,
        places: Sequence[Place],
        seed: int,
    ) -> None:
        self.records: list[Record] = []
        self._settings = settings
        self._batch = batch
        self._places = places
        self._seed = seed
        # The same tasks at every look, and for all methods.
        self._tasks = [
            source.sample(stream(seed, "theory", "gradients", source.name), settings.tasks)
            for source in sources
        ]
        self._made: tuple[DomainGradients, Adaptation] | None = None

    def __call__(self, step: int, fitted: Paradigm) -> None:
        gradients, adaptation = self._compiled(fitted)
        cosines = gradients.alignment()
        pairs = cosines[np.triu_indices(len(cosines), 1)]
        base = self._settings.base
        rmse = adapted_rmse(adaptation, fitted.starts[""], self._batch, base, [self._places])
        common = {
            "study": STUDY,
            "site": base.new[0].law.name,
            "method": fitted.name,
            "seed": self._seed,
            "meta_steps": step,
        }
        self.records.append(
            {**common, "site": "all", "metric": "gradient_cosine", "value": float(pairs.mean())}
        )
        self.records += [
            {**common, "steps": steps, "metric": "rmse_m", "value": float(found.mean())}
            for steps, found in zip(base.steps, rmse, strict=True)
        ]

    def _compiled(self, fitted: Paradigm) -> tuple[DomainGradients, Adaptation]:
        if self._made is None:
            from twin.learn.metalearning import InnerLoop
            from twin.learn.theory import DomainGradients

            meta = fitted.settings
            inner = InnerLoop(
                meta.inner_rate, meta.inner_steps, meta.first_order, meta.largest_gradient
            )
            gradients = DomainGradients(fitted.model, fitted.problem, inner, self._tasks)
            self._made = gradients, fitted.adaptation()
        return self._made


def bounds(
    settings: TheorySettings,
    network: Paradigm,
    starts: Mapping[str, Sequence[AnyArray]],
    seed: int,
) -> list[Record]:
    """Records of Theorem 1 for one task of the first new environment.

    Args:
        settings: of the experiment.
        network: gives the network and the form of the problem.
        starts: parameters to start from by method.
        seed: of the task and the places looked at.
    """
    from twin.learn.loss_surface import LossSurface, minimum
    from twin.learn.theory import theorem_1

    base = settings.base.model_copy(update={"repeats": 1, "new_queries": settings.law})
    task = new_task(base, new_places(base, base.new[0].law, seed)[0])
    inputs, targets, weight, asked, truth = (part[0] for part in task.arrays())
    surface = LossSurface(network.model, network.problem)
    support, law = surface.on(inputs, targets, weight), surface.on(asked, truth)
    used = settings.base.meta.inner_rate
    records = []
    for method, start in starts.items():
        optimum = minimum(law, start, settings.iterations)
        smoothness = 0.0
        for choice in ("used", "premise"):
            rate = used if choice == "used" else settings.premise / smoothness
            found = theorem_1(
                support,
                law,
                start,
                optimum,
                rate,
                settings.steps,
                stream(seed, "theory", "places"),
                settings.around,
            )
            smoothness = found.smoothness
            values = {
                "parameter_distance": found.distance,
                "excess_risk": found.excess_risk,
                "first_bound": found.first_bound,
                "second_bound": found.second_bound,
                "stability": found.stability,
                "lipschitz": found.lipschitz,
                "smoothness": found.smoothness,
                "premise_holds": float(found.premise_holds),
            }
            common: dict[str, Any] = {
                "study": STUDY,
                "site": settings.base.new[0].law.name,
                "method": method,
                "seed": seed,
                "steps": settings.steps,
                "rate": rate,
                "rate_choice": choice,
            }
            records += [{**common, "metric": key, "value": value} for key, value in values.items()]
    return records
