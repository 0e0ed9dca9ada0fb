"""MetaLoc's Fig. 8: error against gradient steps, and how far the parameters move.

MetaLoc, pre-training (TL) and a random start (RI) learn a new environment; RI with up to 65 times
as many labelled fingerprints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from flows.metaloc.path_loss import (
    VANILLA_TEST,
    VANILLA_TRAINING,
    PathLossLaw,
    Survey,
    fitted,
    survey_domain,
    survey_place,
)
from flows.metaloc.rules import broken, large_enough, own_names, rising
from twin.config import StrictModel
from twin.errors import refuse
from twin.evaluate.metrics import rmse
from twin.learn.position_tasks import Place, PositionDomain, one_task
from twin.learn.presets import RSS_PAPER, RSS_SMALL, MetaSettings
from twin.learn.tasks import TaskBatch

if TYPE_CHECKING:
    from twin.learn.paradigms import Paradigm
    from twin.learn.step_sizes import StepSizes

STUDY = "fig8"
Record = dict[str, Any]
Count = Annotated[int, Field(ge=1)]
Steps = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0.0)]

META = RSS_SMALL.model_copy(update={"outer_steps": 1000})


class ConvergenceSettings(StrictModel):
    """Settings of the experiment; ``maml`` and ``tl`` of a seed see the same tasks.

    Attributes:
        meta: of the meta-training; `inner_rate` is the step size that all methods share.
        paper: the same with the paper's step sizes, which only ``maml`` and ``ri`` are run with;
            nothing: they are not.
        hidden: widths of the network.
        neighbours: K of the fingerprints.
        training: laws of the historical environments, one each.
        test: law of the new one.
        survey: of the historical places.
        references: R of the new place.
        labels: labelled fingerprints a task has in meta-training, k_spt.
        queries: others that it has.
        support: labelled fingerprints of the new place.
        tested: fingerprints of it that are asked.
        more: numbers of labelled fingerprints that RI has.
        steps: gradient steps after which errors are taken, rising.
        more_steps: likewise of RI with more labels.
        rates: step sizes to choose from, for TL and for RI.
        held_out: fingerprints asked in the choice.
        optimum_steps: gradient steps within which theta_T* is looked for.
    """

    meta: MetaSettings = META
    paper: MetaSettings | None = RSS_PAPER.model_copy(update={"outer_steps": 1000})
    hidden: tuple[Count, ...] = (64, 64, 64, 64)
    neighbours: Count = 5
    training: tuple[PathLossLaw, ...] = Field(default=VANILLA_TRAINING, min_length=1)
    test: PathLossLaw = VANILLA_TEST
    survey: Survey = Survey(places=4, references=(54,), pool=400)
    references: Count = 54
    labels: Count = 100
    queries: Count = 30
    support: Count = 124
    tested: Count = 1000
    more: tuple[Count, ...] = Field(default=(800, 1600, 4000, 8000), min_length=1)
    steps: tuple[Steps, ...] = Field(default=(0, 1, 2, 3, 5, 10, 20, 50), min_length=1)
    more_steps: tuple[Steps, ...] = Field(
        default=(0, 1, 2, 5, 10, 20, 50, 100, 200, 300), min_length=1
    )
    rates: tuple[Rate, ...] = Field(default=(0.005, 0.02, 0.05, 0.1, 0.2, 0.5), min_length=1)
    held_out: Count = 200
    optimum_steps: Count = 500

    @model_validator(mode="after")
    def _fitting(self) -> ConvergenceSettings:
        faults = [
            *rising("steps", self.steps),
            *rising("more_steps", self.more_steps),
            *own_names("training", [law.name for law in self.training], [self.test.name]),
            *large_enough(self.survey.pool, self.labels, self.queries),
        ]
        if min(self.more) <= self.support or len(set(self.more)) < len(self.more):
            expected = f"numbers above support ({self.support}), each once"
            faults.append(broken("more", expected, self.more))
        refuse(faults)
        return self


QUICK = ConvergenceSettings(
    meta=META.model_copy(update={"outer_steps": 80}),
    paper=None,
    survey=Survey(places=2, references=(54,), pool=200),
    tested=200,
    more=(800, 1600),
    steps=(0, 1, 10, 20),
    more_steps=(0, 10, 30, 60),
    rates=(0.005, 0.05),
    held_out=100,
    optimum_steps=40,
)


def run_seed(settings: ConvergenceSettings, seed: int) -> list[Record]:
    """Train, adapt and measure with the draws of one seed.

    A step size is ``same`` (that of the meta-training) or ``best``: the one of `rates` with the
    smallest error in a place of each historical environment that no training saw. That choice takes
    as many labels and steps as the method then has, RI's larger sets as many as its smallest.

    Returns:
        Records of ``rmse_m`` by method, labels, step size and steps; of ``parameter_distance``,
        ||theta* - theta_T*||, and ``optimum_steps``, where theta_T* is reached, by method and
        reading of theta_T* (see `_distances`).
    """
    from twin.learn.losses import MeanSquare
    from twin.learn.step_sizes import StepSizes

    meta = settings.meta
    place = _new_place(settings, seed)
    task = _task(place, settings, settings.support)
    sources = _sources(settings, seed)
    maml, tl, ri = (
        fitted(name, sources, meta, settings.hidden, seed) for name in ("maml", "tl", "ri")
    )
    sizes = StepSizes(ri.model, MeanSquare(), meta.largest_gradient)
    held_out = _held_out(settings, settings.support, seed)
    same = meta.inner_rate
    best = {
        paradigm.name: sizes.best(paradigm, held_out, settings.rates, meta.adaptation_steps)
        for paradigm in (tl, ri)
    }
    runs = [
        (maml, same, "same", True),
        (tl, same, "same", True),
        (tl, best["tl"], "best", True),
        (ri, same, "same", True),
        (ri, best["ri"], "best", False),
    ]
    records = []
    for paradigm, rate, chosen, measured in runs:
        common = _common(settings, seed, "small", paradigm, task, rate, chosen)
        reach = place.references.reach
        records += _curve(common, sizes, paradigm, task, reach, settings.steps)
        if measured:
            records += _distances(settings, sizes, paradigm, task, common)
    held_out = _held_out(settings, min(settings.more), seed)
    most = sizes.best(ri, held_out, settings.rates, settings.more_steps[-1])
    for labels in settings.more:
        task = _task(place, settings, labels)
        for rate, chosen in ((same, "same"), (most, "best")):
            common = _common(settings, seed, "small", ri, task, rate, chosen)
            reach = place.references.reach
            records += _curve(common, sizes, ri, task, reach, settings.more_steps)
    if settings.paper is not None:
        records += _with_paper(settings, settings.paper, sources, place, seed)
    return records


def _common(
    settings: ConvergenceSettings,
    seed: int,
    preset: str,
    paradigm: Paradigm,
    task: TaskBatch,
    rate: float,
    chosen: str,
) -> Record:
    return {
        "study": STUDY,
        "site": settings.test.name,
        "method": paradigm.name,
        "seed": seed,
        "preset": preset,
        "samples": task.support_inputs.shape[1],
        "rate": rate,
        "rate_choice": chosen,
    }


def _curve(
    common: Record,
    sizes: StepSizes,
    paradigm: Paradigm,
    task: TaskBatch,
    reach_m: float,
    at: Sequence[int],
) -> list[Record]:
    """RMSE [m] after each of some numbers of gradient steps."""
    errors = sizes.errors(paradigm, [task], common["rate"], at)[:, 0]
    return [
        {**common, "steps": steps, "metric": "rmse_m", "value": rmse(found * reach_m)}
        for steps, found in zip(at, errors, strict=True)
    ]


def _distances(
    settings: ConvergenceSettings,
    sizes: StepSizes,
    paradigm: Paradigm,
    task: TaskBatch,
    common: Record,
) -> list[Record]:
    """How far theta_T* is from the start, ||theta* - theta_T*||, by both readings of eq. 15.

    The equation takes the smallest loss on the support set: that is the end of `optimum_steps`
    steps, where the loss still falls a little, since a network with more parameters than labels has
    no end. The text takes the smallest on the query set: of 50 looks on the way there, the best.
    """
    from twin.learn.theory import parameter_distance

    rate = common["rate"]
    at = np.unique(np.linspace(0, settings.optimum_steps, 51).round().astype(int)).tolist()
    squares = np.mean(sizes.errors(paradigm, [task], rate, at)[:, 0] ** 2, axis=1)
    best = at[int(np.argmin(np.nan_to_num(squares, nan=np.inf)))]
    start = paradigm.starts[""]
    records = []
    for optimum, steps in (("support", at[-1]), ("query", best)):
        reached = sizes.adaptation(rate).parameters(start, task, steps)
        moved = parameter_distance(start, [after[0] for after in reached])
        row = {**common, "optimum": optimum}
        records += [
            {**row, "metric": "parameter_distance", "value": moved},
            {**row, "metric": "optimum_steps", "value": float(steps)},
        ]
    return records


def _with_paper(
    settings: ConvergenceSettings,
    paper: MetaSettings,
    sources: list[PositionDomain],
    place: Place,
    seed: int,
) -> list[Record]:
    """MetaLoc and RI with the paper's step sizes, in the learner's coordinates."""
    from twin.learn.losses import MeanSquare
    from twin.learn.step_sizes import StepSizes

    task = _task(place, settings, settings.support)
    maml, ri = (fitted(name, sources, paper, settings.hidden, seed) for name in ("maml", "ri"))
    sizes = StepSizes(ri.model, MeanSquare(), paper.largest_gradient)
    records = []
    for paradigm in (maml, ri):
        common = _common(settings, seed, "paper", paradigm, task, paper.inner_rate, "same")
        reach = place.references.reach
        records += _curve(common, sizes, paradigm, task, reach, settings.steps)
    return records


def _new_place(settings: ConvergenceSettings, seed: int) -> Place:
    pool = settings.tested + max(settings.support, *settings.more)
    survey = settings.survey.model_copy(update={"references": (settings.references,), "pool": pool})
    return survey_place(settings.test, survey, seed, 0)


def _task(
    place: Place, settings: ConvergenceSettings, labels: int, asked: int | None = None
) -> TaskBatch:
    """The first fingerprints are asked, those after them labelled."""
    inputs, targets = place.inputs(settings.neighbours), place.targets()
    first = settings.tested if asked is None else asked
    known = slice(first, first + labels)
    return one_task((inputs[known], targets[known]), (inputs[:first], targets[:first]))


def _held_out(settings: ConvergenceSettings, labels: int, seed: int) -> list[TaskBatch]:
    """One task of each historical environment, in a place that training does not see."""
    unseen = settings.survey.places
    survey = settings.survey.model_copy(update={"pool": settings.held_out + labels})
    return [
        _task(survey_place(law, survey, seed, unseen), settings, labels, settings.held_out)
        for law in settings.training
    ]


def _sources(settings: ConvergenceSettings, seed: int) -> list[PositionDomain]:
    return [
        survey_domain(
            law,
            settings.survey,
            seed,
            settings.neighbours,
            (settings.labels,),
            settings.queries,
        )
        for law in settings.training
    ]
