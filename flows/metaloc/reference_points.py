"""MetaLoc's Fig. 9: the distribution of errors against the number of reference points R.

The paper compares KNN and WKNN on R labelled fingerprints with networks that adapt on some 124
more. Both sides are also run on equal terms: the neighbours with all the labels that the networks
have, and the networks with the reference points alone as support set, each fingerprint of which is
then compared with the other reference points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
from flows.metaloc.rules import broken, distinct, large_enough, own_names
from twin.config import StrictModel
from twin.errors import refuse
from twin.evaluate.metrics import cumulative, position_error, rmse
from twin.learn.neighbour_fingerprints import Array
from twin.learn.position_tasks import Place, one_task
from twin.learn.presets import RSS_SMALL, MetaSettings, ParadigmName
from twin.learn.tasks import TaskBatch

if TYPE_CHECKING:
    from twin.learn.paradigms import Paradigm
    from twin.learn.step_sizes import StepSizes

STUDY = "fig9"
Record = dict[str, Any]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0)]
#: What a method may learn a new place from: its reference points, or all labels there.
Labels = Literal["references", "all"]
LABELS: tuple[Labels, ...] = ("references", "all")
NETWORKS: tuple[ParadigmName, ...] = ("maml", "maml_ts", "maml_dg", "tl", "ri")

#: MetaLoc, section IV-C: K of KNN; of WKNN, too, with the reciprocal distance as weight.
PAPER_NEIGHBOURS = 5
#: The error that the paper states shares for.
STATED_M = 5.0

META = RSS_SMALL.model_copy(update={"inner_steps": 2, "outer_steps": 800})


class ReferencePointsSettings(StrictModel):
    """Settings of the experiment; ``maml`` and ``tl`` of a seed see the same tasks.

    Attributes:
        meta: of the meta-training; `inner_rate` is the step size that all methods share.
        hidden: widths of the network.
        neighbours: K of the fingerprints.
        training: laws of the historical environments, one each.
        test: law of the new one.
        survey: of the historical places; one network serves all their numbers of reference points.
        references: R of the new place.
        labels: labelled fingerprints a task has in meta-training, k_spt.
        queries: others that it has.
        support: labelled fingerprints of the new place beside its reference points.
        tested: fingerprints of it that are asked.
        levels_m: errors at which the distribution is given [m].
        rates: step sizes to choose from.
        most_neighbours: numbers K to choose from, for KNN and WKNN.
        powers: exponents p to choose from, for WKNN with weights distance^-p.
        held_out: fingerprints asked in the choice.
        more_steps: gradient steps that RI is given in a run of its own.
    """

    meta: MetaSettings = META
    hidden: tuple[Count, ...] = (64, 64, 64, 64)
    neighbours: Count = 5
    training: tuple[PathLossLaw, ...] = Field(default=VANILLA_TRAINING, min_length=2)
    test: PathLossLaw = VANILLA_TEST
    survey: Survey = Survey(places=10, references=(10, 20, 30, 40, 54), pool=400)
    references: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        default=(10, 20, 30, 40, 54), min_length=1
    )
    labels: Count = 100
    queries: Count = 30
    support: Count = 124
    tested: Count = 1000
    levels_m: tuple[Positive, ...] = tuple(0.5 * step for step in range(1, 25))
    rates: tuple[Positive, ...] = Field(default=(0.001, 0.005, 0.02, 0.1, 0.3), min_length=1)
    most_neighbours: tuple[Count, ...] = Field(default=(1, 2, 3, 5, 8, 12, 20), min_length=1)
    powers: tuple[Positive, ...] = Field(default=(1.0, 2.0, 4.0, 8.0, 12.0, 16.0), min_length=1)
    held_out: Count = 200
    more_steps: Count = 300

    @model_validator(mode="after")
    def _telling_apart(self) -> ReferencePointsSettings:
        faults = [
            *distinct("references", self.references),
            *own_names("training", [law.name for law in self.training], [self.test.name]),
            *large_enough(self.survey.pool, self.labels, self.queries),
        ]
        if self.more_steps == self.meta.adaptation_steps:
            expected = f"another number than meta.adaptation_steps ({self.meta.adaptation_steps})"
            faults.append(broken("more_steps", expected, self.more_steps))
        refuse(faults)
        return self


QUICK = ReferencePointsSettings(
    meta=META.model_copy(update={"outer_steps": 40}),
    survey=Survey(places=2, references=(10, 54), pool=200),
    references=(10, 54),
    tested=300,
    rates=(0.005, 0.02),
    most_neighbours=(3, 5),
    powers=(1.0, 8.0),
    held_out=50,
    more_steps=30,
)


def run_seed(settings: ReferencePointsSettings, seed: int) -> list[Record]:
    """Train, adapt and measure with the draws of one seed.

    ``tuning`` of a record: ``fixed`` has the paper's K, or the step size that all methods share;
    ``chosen`` has what gives the smallest squared error in places of the historical environments
    that no training saw, for each R, method and kind of labels.

    Returns:
        Records of ``share_within`` (of errors up to ``level_m``), ``mean_m`` and ``rmse_m`` by
        method, R, labels, tuning and, of networks, gradient steps.
    """
    surveyed = [
        _Surveyed(
            _place(settings, settings.test, references, 0, settings.tested, seed),
            [
                _place(settings, law, references, settings.survey.places, settings.held_out, seed)
                for law in settings.training
            ],
        )
        for references in settings.references
    ]
    records = []
    for each in surveyed:
        for labels in LABELS:
            for method in ("knn", "wknn"):
                records += _neighbours(settings, each, labels, method, seed)
    return records + _networks(settings, surveyed, seed)


@dataclass(frozen=True)
class _Surveyed:
    """Places with one number of reference points: the new one, and one of each historical law."""

    new: Place
    historical: list[Place]

    @property
    def references(self) -> int:
        return len(self.new.references.position)


def _place(
    settings: ReferencePointsSettings,
    law: PathLossLaw,
    references: int,
    index: int,
    asked: int,
    seed: int,
) -> Place:
    """Labelled fingerprints first, then those that are asked; alike for every R."""
    survey = settings.survey.model_copy(
        update={"references": (references,), "pool": settings.support + asked}
    )
    return survey_place(law, survey, seed, index)


def _records(
    settings: ReferencePointsSettings,
    seed: int,
    key: Record,
    errors_m: Array,
) -> list[Record]:
    common = {"study": STUDY, "site": settings.test.name, "seed": seed, **key}
    levels = sorted({*settings.levels_m, STATED_M})
    shares = cumulative(errors_m, levels)
    return [
        {**common, "metric": "mean_m", "value": float(np.mean(errors_m))},
        {**common, "metric": "rmse_m", "value": rmse(errors_m)},
        *(
            {**common, "level_m": level, "metric": "share_within", "value": float(share)}
            for level, share in zip(levels, shares, strict=True)
        ),
    ]


def _neighbours(
    settings: ReferencePointsSettings,
    each: _Surveyed,
    labels: Labels,
    method: Literal["knn", "wknn"],
    seed: int,
) -> list[Record]:
    """KNN (weights of power 0) and WKNN."""
    powers = (0.0,) if method == "knn" else settings.powers
    candidates = [(most, power) for most in settings.most_neighbours for power in powers]
    historical = [_nearest(settings, place, labels) for place in each.historical]
    squares = [np.mean([np.mean(n.errors_m(*c) ** 2) for n in historical]) for c in candidates]
    tunings = {
        "fixed": (PAPER_NEIGHBOURS, 0.0 if method == "knn" else 1.0),
        "chosen": candidates[int(np.argmin(squares))],
    }
    new = _nearest(settings, each.new, labels)
    records = []
    for tuning, (most, power) in tunings.items():
        key = {
            "method": method,
            "references": each.references,
            "labels": labels,
            "tuning": tuning,
            "neighbours": most,
            "power": power,
        }
        records += _records(settings, seed, key, new.errors_m(most, power))
    return records


@dataclass(frozen=True)
class _Nearest:
    """(n, K) distances in signal space and (n, K, 2) positions of the nearest labels; the truth."""

    distance: Array
    position: Array
    truth: Array

    def errors_m(self, most: int, power: float) -> Array:
        """Of the mean of at most K positions, weighted by distance^-power: WKNN, KNN for 0."""
        near = np.maximum(self.distance[:, :most], 1e-9)
        weights = (near[:, :1] / near) ** power
        weights /= weights.sum(axis=1, keepdims=True)
        located = np.einsum("nk,nkx->nx", weights, self.position[:, :most])
        return position_error(located, self.truth)


def _nearest(settings: ReferencePointsSettings, place: Place, labels: Labels) -> _Nearest:
    from sklearn.neighbors import NearestNeighbors

    known, position = place.references.fingerprints, place.references.position
    if labels == "all":
        known = np.concatenate([known, place.fingerprints[: settings.support]])
        position = np.concatenate([position, place.position[: settings.support]])
    most = min(max(PAPER_NEIGHBOURS, *settings.most_neighbours), len(known))
    asked = place.fingerprints[settings.support :]
    distance, index = NearestNeighbors(n_neighbors=most).fit(known).kneighbors(asked)
    return _Nearest(distance, position[index], place.position[settings.support :])


def _networks(
    settings: ReferencePointsSettings, surveyed: list[_Surveyed], seed: int
) -> list[Record]:
    """Train all paradigms and adapt them to all new places, with both kinds of labels."""
    from twin.learn.losses import MeanSquare
    from twin.learn.step_sizes import StepSizes

    sources = [
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
    trained = {
        name: fitted(name, sources, settings.meta, settings.hidden, seed) for name in NETWORKS
    }
    sizes = StepSizes(trained["ri"].model, MeanSquare(), settings.meta.largest_gradient)
    records = []
    for paradigm in trained.values():
        for labels in LABELS:
            records += _network(settings, surveyed, sizes, paradigm, labels, seed)
    return records


def _network(
    settings: ReferencePointsSettings,
    surveyed: list[_Surveyed],
    sizes: StepSizes,
    paradigm: Paradigm,
    labels: Labels,
    seed: int,
) -> list[Record]:
    from twin.learn.step_sizes import least_wrong

    meta = settings.meta
    tasks = [_task(settings, each.new, labels) for each in surveyed]
    historical = [_task(settings, p, labels) for each in surveyed for p in each.historical]
    trials = sizes.trials(paradigm, historical, settings.rates, meta.adaptation_steps)
    squares = trials.reshape(len(settings.rates), len(surveyed), -1).mean(axis=-1)
    best = [least_wrong(settings.rates, of_place) for of_place in squares.T]
    same = [meta.inner_rate] * len(surveyed)
    runs = [("fixed", meta.adaptation_steps, same), ("chosen", meta.adaptation_steps, best)]
    if paradigm.name == "ri":
        runs.append(("fixed", settings.more_steps, same))
    records = []
    for tuning, steps, rates in runs:
        errors = {rate: sizes.errors(paradigm, tasks, rate, (steps,))[0] for rate in set(rates)}
        for index, (each, rate) in enumerate(zip(surveyed, rates, strict=True)):
            key = {
                "method": paradigm.name,
                "references": each.references,
                "labels": labels,
                "tuning": tuning,
                "rate": rate,
                "steps": steps,
            }
            found = errors[rate][index] * each.new.references.reach
            records += _records(settings, seed, key, found)
    return records


def _task(settings: ReferencePointsSettings, place: Place, labels: Labels) -> TaskBatch:
    """The task of a place; `labels` says what its support set is.

    ``all``: the labelled fingerprints beside the reference points, which the fingerprints are made
    from; ``references``: these themselves, each seen with the others alone.
    """
    near, references = settings.neighbours, place.references
    inputs, targets = place.inputs(near), place.targets()
    support = inputs[: settings.support], targets[: settings.support]
    size = settings.support
    if labels == "references":
        own = np.arange(len(references.position))
        seen = references.inputs(references.fingerprints, near, own)
        support = seen, references.to_unit(references.position)
        size = max(settings.references)
    return one_task(support, (inputs[settings.support :], targets[settings.support :]), size)
