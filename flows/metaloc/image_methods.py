"""How methods on CSI images answer: what days and corridors have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from twin.config import StrictModel
from twin.evaluate.metrics import cumulative, position_error
from twin.learn.baselines.broad_learning import BroadLearning
from twin.learn.baselines.image_neighbours import Weighing, located, point_distances
from twin.learn.csi_images import Images, Indices
from twin.learn.image_tasks import centroid, profiles, weighted_centroid
from twin.learn.presets import CSI_SMALL, MetaSettings, ParadigmName
from twin.learn.tasks import Array, TaskBatch
from twin.seeds import stream

if TYPE_CHECKING:
    from twin.learn.metalearning import Adaptation
    from twin.learn.paradigms import Paradigm

Record = dict[str, Any]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Rate = Annotated[float, Field(gt=0.0)]
_FINGERPRINTS = 256


class ImageTraining(StrictModel):
    """How networks on images are trained, on four historical environments.

    Step sizes were chosen on three days of the hall, with a fourth held out.

    Attributes:
        meta: of the meta-training.
        share: part of `meta.outer_steps` that a paradigm takes, so that all see as many tasks:
            MAML-TS steps in each of four environments, MAML-DG takes tasks of two a step.
        rates: inner step size, of meta-training and adaptation alike, of the paradigms for which it
            is not `meta.inner_rate`.
    """

    meta: MetaSettings = CSI_SMALL
    share: dict[ParadigmName, Share] = Field(default={"maml_ts": 0.25, "maml_dg": 0.5})
    rates: dict[ParadigmName, Rate] = Field(default={"tl": 0.01})

    def meta_of(self, name: ParadigmName) -> MetaSettings:
        """Settings of one paradigm."""
        steps = max(1, round(self.share.get(name, 1.0) * self.meta.outer_steps))
        rate = self.rates.get(name, self.meta.inner_rate)
        return self.meta.model_copy(update={"outer_steps": steps, "inner_rate": rate})


@dataclass(frozen=True, eq=False)
class Asked:
    """Images of a new environment that are to be located, each with its task.

    Args:
        batch: t tasks of one query.
        truth: (t, 2) [m].
        classes: (n, 2) positions of the network's classes, or (t, n, 2) [m].
        top: classes that enter a centroid.
    """

    batch: TaskBatch
    truth: Array
    classes: Array
    top: int

    def some(self, every: int) -> Asked:
        """Every so many of the tasks."""
        batch = TaskBatch(*(array[::every] for array in self.batch.arrays()))
        own = self.classes.ndim == 3
        classes = self.classes[::every] if own else self.classes
        return Asked(batch, self.truth[::every], classes, self.top)

    def fingerprints(self, seed: int) -> Array:
        """Profiles of labelled images of the new environment, by which MAML-TS chooses.

        All tasks of the environment choose together: a few images of five points tell more of where
        they were taken than of the environment.
        """
        images = self.batch.support_inputs
        flat = images.reshape(-1, *images.shape[2:])
        kept = stream(seed, "fingerprints of the new environment").permutation(len(flat))
        return profiles(flat[kept[:_FINGERPRINTS]])

    def errors(self, outputs: npt.ArrayLike) -> Array:
        """(…, t) [m] of (…, t, n) logits; NaN where an adaptation diverged."""
        answers = centroid(outputs, self.classes, self.top)
        diverged = np.asarray(np.isnan(answers).any(axis=-1))
        errors = position_error(np.where(diverged[..., None], 0.0, answers), self.truth)
        return np.asarray(np.where(diverged, np.nan, errors))


class Answers:
    """Errors of a paradigm's adapted networks; compiled once for all tasks of a size."""

    def __init__(self, paradigm: Paradigm, seed: int) -> None:
        """Nothing is compiled before the first answer.

        Args:
            paradigm: may be in training; its present weights count.
            seed: see `Asked.fingerprints`.
        """
        self._paradigm = paradigm
        self._seed = seed
        self._adaptation: Adaptation | None = None

    def errors(
        self, asked: Asked, at: Sequence[int], start: Sequence[npt.NDArray[Any]] | None = None
    ) -> Array:
        """(len(at), t) [m] after these numbers of gradient steps.

        Args:
            asked: what is to be located.
            at: rising.
            start: weights to adapt instead of those that the paradigm chooses.
        """
        if start is None:
            choice = self._paradigm.choose(asked.fingerprints(self._seed))
            start = self._paradigm.starts[choice]
        if self._adaptation is None:
            self._adaptation = self._paradigm.adaptation()
        return asked.errors(self._adaptation.outputs(start, asked.batch, at)[:, :, 0])


def neighbour_errors(
    asked: Asked,
    known: tuple[Images, Indices],
    position: Array,
    nearest: int,
    weighing: Weighing,
    *,
    with_support: bool = False,
) -> Array:
    """(t,) errors of KNN or WKNN [m].

    Args:
        asked: what is to be located; with `with_support`, classes are points.
        known: labelled images, and the point of each.
        position: (p, 2) of the points [m].
        nearest: K.
        weighing: see `twin.learn.baselines.image_neighbours.located`.
        with_support: each task's support set is known to it, too.
    """
    batch, points = asked.batch, len(position)
    queries = batch.query_inputs[:, 0]
    distance = point_distances(queries, *known, points)
    if with_support:
        own = [
            point_distances(queries[t : t + 1], images, classes, points)[0]
            for t, (images, classes) in enumerate(
                zip(batch.support_inputs, batch.support_targets, strict=True)
            )
        ]
        distance = np.minimum(distance, np.stack(own))
    return position_error(located(distance, position, nearest, weighing), asked.truth)


def broad_errors(
    asked: Asked, system: BroadLearning, position: Array, *, with_support: bool = False
) -> Array:
    """(t,) errors of a broad learning system [m]; its outputs below zero count as zero.

    Args:
        asked: what is to be located; with `with_support`, classes are points.
        system: fitted.
        position: (p, 2) of its classes [m].
        with_support: each task's support set is learned before it answers.
    """
    batch = asked.batch
    queries = batch.query_inputs[:, 0]
    if with_support:
        scores = np.concatenate(
            [
                system.with_samples(images, classes).scores(queries[t : t + 1])
                for t, (images, classes) in enumerate(
                    zip(batch.support_inputs, batch.support_targets, strict=True)
                )
            ]
        )
    else:
        scores = system.scores(queries)
    answers = weighted_centroid(np.maximum(scores, 0.0), position, asked.top)
    return position_error(answers, asked.truth)


def labelled(images: Images) -> tuple[Images, Indices]:
    """(p, b, …) images one after the other, and the point of each."""
    return images.reshape(-1, *images.shape[2:]), np.repeat(np.arange(len(images)), images.shape[1])


def statistics(base: Record, errors: Array, levels_m: Sequence[float] = ()) -> list[Record]:
    """Mean, standard deviation and distribution of (t,) errors [m] as records.

    Args:
        base: keys that all records share.
        errors: [m].
        levels_m: levels of the distribution [m].
    """
    found = [
        {**base, "metric": "mean_error_m", "value": float(errors.mean())},
        {**base, "metric": "std_error_m", "value": float(errors.std())},
    ]
    shares = cumulative(errors, levels_m)
    return found + [
        {**base, "metric": "share_within", "level_m": level, "value": float(share)}
        for level, share in zip(levels_m, shares, strict=True)
    ]
