"""MetaLoc's Fig. 10: does the discrepancy of fingerprints rank environments as adapted error does?

Three historical environments, each with meta-parameters of its own (theta 1 to 3), and one with
those of all (theta total), are adapted to new environments. Beside every error stands the squared
maximum mean discrepancy (MMD) between the new environment's labelled fingerprints and those of the
historical one, once of what the network sees and once of the levels themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from flows.metaloc.path_loss import PathLossLaw, Survey, survey_place
from flows.metaloc.rules import large_enough, own_names, rising
from flows.metaloc.similarity_laws import ENVIRONMENTS, NEW_ENVIRONMENTS, NewEnvironment
from twin.align.discrepancy import median_width, mmd
from twin.config import StrictModel
from twin.errors import refuse
from twin.learn.neighbour_fingerprints import Array
from twin.learn.position_tasks import Place, PositionDomain, one_task
from twin.learn.presets import RSS_SMALL, MetaSettings, ParadigmName
from twin.learn.tasks import AnyArray, TaskBatch, concatenated
from twin.seeds import stream

if TYPE_CHECKING:
    from twin.learn.metalearning import Adaptation
    from twin.learn.paradigms import Paradigm

STUDY = "fig10"
Record = dict[str, Any]
Count = Annotated[int, Field(ge=1)]
Steps = Annotated[int, Field(ge=0)]
Laws = Annotated[tuple[PathLossLaw, ...], Field(min_length=1)]
Features = Literal["inputs", "levels"]
FEATURES: tuple[Features, ...] = ("inputs", "levels")


class SimilaritySettings(StrictModel):
    """Settings of the experiment; ``maml`` and ``tl`` of a seed see the same tasks.

    Attributes:
        meta: of all meta-training.
        hidden: widths of the network.
        neighbours: K of the fingerprints.
        survey: of the places of historical environments, `places` of each law.
        new_references: R of a new environment.
        supports: labelled fingerprints of a task k_spt; a discrepancy needs two.
        queries: of a task in meta-training.
        environments: laws of each historical environment.
        new: test tasks.
        repeats: places of each test task.
        new_queries: asked in each.
        steps: gradient steps after which errors are taken, rising.
        sample: fingerprints of an environment that discrepancies are taken with.
    """

    meta: MetaSettings = RSS_SMALL.model_copy(update={"outer_steps": 600})
    hidden: tuple[Count, ...] = (64, 64, 64, 64)
    neighbours: Count = 5
    survey: Survey = Survey(places=2, references=(54,), pool=400)
    new_references: Count = 54
    supports: Annotated[int, Field(ge=2)] = 100
    queries: Count = 30
    environments: dict[str, Laws] = Field(default=ENVIRONMENTS, min_length=2)
    new: tuple[NewEnvironment, ...] = Field(default=NEW_ENVIRONMENTS, min_length=1)
    repeats: Count = 6
    new_queries: Count = 200
    steps: tuple[Steps, ...] = Field(default=(0, 1, 2, 5, 10, 20, 50, 100), min_length=1)
    sample: Annotated[int, Field(ge=2)] = 512

    @model_validator(mode="after")
    def _fitting(self) -> SimilaritySettings:
        historical = [law.name for laws in self.environments.values() for law in laws]
        refuse(
            [
                *own_names("environments", historical),
                *own_names("new", [task.law.name for task in self.new], historical),
                *rising("steps", self.steps),
                *large_enough(self.survey.pool, self.supports, self.queries),
            ]
        )
        return self


QUICK = SimilaritySettings(
    meta=RSS_SMALL.model_copy(update={"outer_steps": 50, "inner_steps": 2}),
    repeats=2,
    new_queries=100,
    steps=(0, 10, 50),
    sample=256,
)


def run_seed(settings: SimilaritySettings, seed: int) -> list[Record]:
    """Train, adapt and compare with the draws of one seed.

    Returns:
        Records of ``rmse_m`` by test task, initialisation and steps; ``squared_mmd`` by test task,
        environment and features; and of the whole, by steps and features, ``rank_correlation``
        (see `ranks`), ``choice_is_best`` and ``regret_m``.
    """
    places = historical_places(settings, seed)
    own, total = trained(settings, domains(settings, places), seed)
    starts = {f"theta_{number}": own.starts[name] for number, name in enumerate(places, start=1)}
    starts["theta_total"] = total.starts[""]
    starts["ri"] = untrained(settings, seed)
    new = {task.law.name: new_places(settings, task.law, seed) for task in settings.new}
    batch = concatenated([new_task(settings, place) for group in new.values() for place in group])
    adaptation = total.adaptation()
    rmse = {
        name: adapted_rmse(adaptation, weights, batch, settings, list(new.values()))
        for name, weights in starts.items()
    }
    near = {features: distances(settings, places, new, features, seed) for features in FEATURES}
    records = []
    for task, of_source in zip(new, [t.source for t in settings.new], strict=True):
        common = {"study": STUDY, "site": task, "seed": seed, "task_source": of_source}
        row = list(new).index(task)
        records += [
            {**common, "method": name, "steps": step, "metric": "rmse_m", "value": float(value)}
            for name, found in rmse.items()
            for step, value in zip(settings.steps, found[:, row].mean(axis=1), strict=True)
        ]
        records += [
            {
                **common,
                "method": "mmd",
                "environment": environment,
                "features": features,
                "metric": "squared_mmd",
                "value": float(near[features][row, :, column].mean()),
            }
            for features in FEATURES
            for column, environment in enumerate(places)
        ]
    wrong = np.stack([rmse[name] for name in list(starts)[: len(places)]], axis=-1)
    for index, steps in enumerate(settings.steps):
        for features in FEATURES:
            common = {"study": STUDY, "seed": seed, "steps": steps, "features": features}
            records += [
                {**common, **record}
                for record in comparisons(
                    settings.new, wrong[index], rmse["theta_total"][index], near[features]
                )
            ]
    return records


def historical_places(settings: SimilaritySettings, seed: int) -> dict[str, list[Place]]:
    """Places of every historical environment."""
    return {
        name: [
            survey_place(law, settings.survey, seed, index)
            for law in laws
            for index in range(settings.survey.places)
        ]
        for name, laws in settings.environments.items()
    }


def domains(
    settings: SimilaritySettings, places: Mapping[str, Sequence[Place]]
) -> list[PositionDomain]:
    """Historical environments as sources of tasks."""
    return [
        PositionDomain(name, known, settings.neighbours, (settings.supports,), settings.queries)
        for name, known in places.items()
    ]


def comparisons(
    tasks: Sequence[NewEnvironment], wrong: Array, total: Array, near: Array
) -> list[Record]:
    """Records of how well the discrepancy ranks and chooses.

    Args:
        tasks: the test tasks; rank correlations are over ``all``, and over those of the ``paper``.
        wrong: (task, repeat, environment) RMSE [m] of the environments' own initialisations.
        total: (task, repeat) that of all environments together.
        near: (task, repeat, environment) squared MMD.
    """
    chosen, least = near.argmin(axis=-1), wrong.min(axis=-1)
    taken = np.take_along_axis(wrong, chosen[..., None], axis=-1)[..., 0]
    values = {
        ("choice_is_best", "maml_ts"): float((chosen == wrong.argmin(axis=-1)).mean()),
        ("regret_m", "maml_ts"): float((taken - least).mean()),
        # What a choice by chance costs.
        ("regret_m", "random_choice"): float((wrong.mean(axis=-1) - least).mean()),
        ("regret_m", "theta_total"): float((total - least).mean()),
    }
    records: list[Record] = [
        {"site": "all", "method": method, "metric": metric, "value": value}
        for (metric, method), value in values.items()
    ]
    records += [
        {"site": task.law.name, "method": "maml_ts", "metric": "rmse_m", "value": float(value)}
        for task, value in zip(tasks, taken.mean(axis=1), strict=True)
    ]
    groups = {
        "all": np.ones(len(tasks), dtype=np.bool_),
        "paper": np.array([task.source == "paper" for task in tasks]),
    }
    return records + [
        {
            "site": site,
            "method": "mmd",
            "scope": scope,
            "metric": "rank_correlation",
            "value": value,
        }
        for site, rows in groups.items()
        if rows.any()
        for scope, value in ranks(near[rows].mean(axis=1), wrong[rows].mean(axis=1)).items()
    ]


def ranks(near: Array, wrong: Array) -> dict[str, float]:
    """Spearman's rank correlations between discrepancy and error, (task, environment) each.

    Returns:
        ``pooled``: over all pairs of a task and an environment, as the paper reads its figure;
        ``within``: over the environments of a task, mean over tasks, which is what a choice rests
        on; ``between``: over tasks, mean over environments. A correlation with what does not vary
        counts as none, 0.
    """
    return {
        "pooled": _spearman(near.ravel(), wrong.ravel()),
        "within": float(np.mean([_spearman(*pair) for pair in zip(near, wrong, strict=True)])),
        "between": float(np.mean([_spearman(*pair) for pair in zip(near.T, wrong.T, strict=True)])),
    }


def _spearman(first: Array, second: Array) -> float:
    from scipy.stats import spearmanr

    if np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return 0.0
    return float(spearmanr(first, second).statistic)


def distances(
    settings: SimilaritySettings,
    historical: Mapping[str, Sequence[Place]],
    new: Mapping[str, Sequence[Place]],
    features: Features,
    seed: int,
) -> Array:
    """Squared MMD (task, repeat, environment), one kernel for all.

    The width is the median distance over all historical environments, so values of different tasks
    may be compared, too.
    """
    samples = {}
    for name, places in historical.items():
        everything = np.concatenate([described(settings, p, features) for p in places])
        count = min(settings.sample, len(everything))
        generator = stream(seed, "similarity", "sample", name)
        samples[name] = everything[generator.choice(len(everything), count, replace=False)]
    width = median_width(*samples.values())
    return np.array(
        [
            [
                [
                    mmd(described(settings, place, features)[: settings.supports], sample, width)
                    for sample in samples.values()
                ]
                for place in places
            ]
            for places in new.values()
        ]
    )


def described(settings: SimilaritySettings, place: Place, features: Features) -> Array:
    """(p, d) fingerprints of a place, as they are compared.

    ``inputs``: what the network sees. ``levels``: received powers [dBm] from the strongest to the
    weakest, since access points of different places have nothing to do with each other.
    """
    if features == "levels":
        return np.asarray(-np.sort(-place.fingerprints, axis=1))
    return place.inputs(settings.neighbours).astype(np.float64)


def new_places(settings: SimilaritySettings, law: PathLossLaw, seed: int) -> list[Place]:
    """Places of a test task: labelled fingerprints first, then those that are asked."""
    survey = settings.survey.model_copy(
        update={
            "references": (settings.new_references,),
            "pool": settings.supports + settings.new_queries,
        }
    )
    # Laws of test tasks have names of their own, and so draws of their own.
    return [survey_place(law, survey, seed, index) for index in range(settings.repeats)]


def new_task(settings: SimilaritySettings, place: Place) -> TaskBatch:
    """The task of a new place."""
    inputs, targets = place.inputs(settings.neighbours), place.targets()
    labels = settings.supports
    return one_task((inputs[:labels], targets[:labels]), (inputs[labels:], targets[labels:]))


def adapted_rmse(
    adaptation: Adaptation,
    start: list[AnyArray],
    batch: TaskBatch,
    settings: SimilaritySettings,
    groups: Sequence[Sequence[Place]],
) -> Array:
    """RMSE (step, task, repeat) [m] on the queries after gradient steps on the labels."""
    outputs = adaptation.outputs(start, batch, settings.steps)
    reach = np.array([place.references.reach for group in groups for place in group])
    square = ((outputs - batch.query_targets) ** 2).sum(axis=-1).mean(axis=-1)
    found = np.sqrt(square.astype(np.float64)) * reach
    return np.asarray(found.reshape(len(settings.steps), len(groups), -1))


def trained(
    settings: SimilaritySettings, sources: Sequence[PositionDomain], seed: int
) -> tuple[Paradigm, Paradigm]:
    """MAML-TS and vanilla MAML, fitted on the same environments."""
    own, total = (paradigm(settings, name, seed) for name in ("maml_ts", "maml"))
    own.fit(sources)
    total.fit(sources)
    return own, total


def untrained(settings: SimilaritySettings, seed: int) -> list[AnyArray]:
    """The weights that all meta-training starts from."""
    return paradigm(settings, "ri", seed).starts[""]


def paradigm(settings: SimilaritySettings, name: ParadigmName, seed: int) -> Paradigm:
    """An untrained paradigm with the experiment's network."""
    from twin.learn.losses import MeanSquare
    from twin.learn.networks import multilayer_perceptron
    from twin.learn.paradigms import Paradigm

    make = partial(multilayer_perceptron, 3 * settings.neighbours, settings.hidden, 2)
    return Paradigm(name, make, MeanSquare(), settings.meta, seed)
