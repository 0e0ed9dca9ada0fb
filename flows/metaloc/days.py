"""MetaLoc's Table III and Figs. 12 to 14: a new day in a hall and in a lab.

Four days of a ray-traced place are historical environments, the fifth is new. All ninety points
are reference points on the historical days and test points on the new one. An image to be located
is of the new day's last visit; what is labelled there is of the visits before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from flows.metaloc.image_methods import (
    Answers,
    Asked,
    ImageTraining,
    Record,
    broad_errors,
    labelled,
    neighbour_errors,
    statistics,
)
from flows.metaloc.rules import broken, distinct, rising
from twin.errors import Fault, refuse
from twin.learn.baselines.broad_learning import BroadLearning, BroadSettings
from twin.learn.baselines.image_neighbours import Weighing
from twin.learn.csi_images import (
    PACKETS,
    Float32,
    Images,
    Indices,
    amplitudes,
    full_scale,
    histograms,
    images,
    levelled,
    nearest_points,
)
from twin.learn.image_tasks import ImageDomain, TaskShape, tasks_of_new_environment
from twin.learn.presets import CSI_SMALL, ParadigmName
from twin.learn.tasks import Array
from twin.seeds import integer_seed, stream
from twin.store.location import StoreRef
from twin.store.reader import open_site

if TYPE_CHECKING:
    from twin.learn.networks import Network
    from twin.learn.paradigms import Paradigm

STUDY = "table3"
Count = Annotated[int, Field(ge=1)]
Steps = Annotated[int, Field(ge=0)]


class DaysSettings(ImageTraining):
    """Settings of the experiment; the paper's where it gives them.

    Step sizes were chosen on three days of the hall, with a fourth held out.

    Attributes:
        paradigms: which are trained; ConFi is ``tl`` that takes no step.
        shape: of the tasks.
        filters: of each convolution.
        nearest: reference points K of a test task, and of KNN.
        top: classes that enter a centroid.
        packets: of an image.
        level: amplitudes as reported, after the receiver's automatic gain, or with the level that
            the RSS gives back to them (`twin.learn.csi_images.levelled`).
        histogram: one for an image, as in the paper, or one for each access point.
        survey: images of every point of the new day that KNN and WKNN are given.
        broad_survey: likewise ILCL.
        historical: images of every point and historical day that baselines are given which know
            of the new day no more than MetaLoc does.
        broad: sizes of ILCL.
        steps: gradient steps after which errors are taken, rising.
        every: meta-steps between two errors of the training curve; 0: no curve.
        curve_every: every so many of the test points are asked for it.
        levels_m: errors at which the distribution is given [m].
    """

    paradigms: tuple[ParadigmName, ...] = ("maml", "maml_ts", "maml_dg", "tl", "ri")
    shape: TaskShape = TaskShape()
    filters: Count = 10
    nearest: Count = 5
    top: Count = 5
    packets: Count = PACKETS
    level: Literal["reported", "rss"] = "rss"
    histogram: Literal["image", "access point"] = "access point"
    survey: Count = 10
    broad_survey: Count = 3
    historical: Count = 16
    broad: BroadSettings = BroadSettings()
    steps: tuple[Steps, ...] = Field(default=(0, 1, 2, 3, 5, 10), min_length=1)
    every: Steps = 40
    curve_every: Count = 5
    levels_m: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)

    @model_validator(mode="after")
    def _fitting(self) -> DaysSettings:
        faults = [
            *distinct("paradigms", self.paradigms),
            *distinct("levels_m", self.levels_m),
            *rising("steps", self.steps),
        ]
        if self.meta.adaptation_steps not in self.steps:
            expected = f"meta.adaptation_steps ({self.meta.adaptation_steps}) among them"
            faults.append(broken("steps", expected, self.steps))
        refuse(faults)
        return self


QUICK = DaysSettings(
    meta=CSI_SMALL.model_copy(
        update={"outer_steps": 4, "inner_steps": 1, "tasks": 2, "adaptation_steps": 2}
    ),
    shape=TaskShape(ways=5, supports=2, queries=2),
    nearest=3,
    historical=1,
    broad=BroadSettings(feature_nodes=40, enhancement_nodes=40, step_nodes=10, steps=2),
    steps=(0, 2),
    every=2,
    curve_every=9,
)


@dataclass(frozen=True, eq=False)
class Day:
    """Amplitudes of one day.

    Args:
        amplitude: of each visit, (p, burst, 52, packet, ap).
        position: of each visit, (p, 2) [m].
    """

    amplitude: tuple[Float32, ...]
    position: tuple[Array, ...]


@dataclass(frozen=True, eq=False)
class Split:
    """One day held out.

    Args:
        historical: images of the others, (p, b, 52, packet, ap) each.
        support: images of the new day's visits but the last, likewise.
        asked: (p, 52, packet, ap), one image of the last visit at each point.
        position: (p, 2) of the reference points [m].
        truth: (p, 2) where the asked images were taken [m].
    """

    historical: tuple[Images, ...]
    support: Images
    asked: Images
    position: Array
    truth: Array


def read_days(store: StoreRef, site: str, settings: DaysSettings) -> list[Day]:
    """The days of a site, which its attribute ``day`` tells, a realisation being a visit.

    Raises:
        InputError: no such site, or one without days or packets.
        StoreError: the site is not whole.
    """
    with open_site(store, site) as dataset:
        where = f"site {site}"
        faults = [
            Fault(where, name, "in the store", "nothing")
            for name in ("reported_csi", "rss")
            if name not in dataset
        ]
        of_day = np.asarray(dataset.attrs.get("day", ()))
        if of_day.shape != (dataset.sizes["realisation"],):
            expected = f"a day for each of {dataset.sizes['realisation']} realisations"
            faults.append(Fault(where, "attribute day", expected, f"{of_day.size}"))
        refuse(faults)
        days = []
        for day in np.unique(of_day):
            visits = np.flatnonzero(of_day == day)
            amplitude = []
            for visit in visits:
                # One realisation at a time: complex packets of all would fill gigabytes.
                here = dataset.isel(realisation=visit)
                found = amplitudes(here["reported_csi"].to_numpy(), settings.packets)
                if settings.level == "rss":
                    found = levelled(found, here["rss"].to_numpy())
                amplitude.append(found)
            position = dataset["position"].to_numpy()[visits, :, :2].astype(np.float64)
            days.append(Day(tuple(amplitude), tuple(position)))
    return days


def split_days(days: Sequence[Day], held_out: int, seed: int) -> Split:
    """Images with one day as the new environment; full scale is that of the other days.

    Raises:
        InputError: fewer than two days, or one visit only on the day held out.
    """
    visits = len(days[held_out].amplitude)
    faults = []
    if len(days) < 2:
        faults.append(Fault("days", "", "two or more", str(len(days))))
    if visits < 2:
        expected = "two or more visits, the last to be located"
        faults.append(Fault("days", f"day {held_out}", expected, str(visits)))
    refuse(faults)
    others = [day for index, day in enumerate(days) if index != held_out]
    access_points = days[0].amplitude[0].shape[-1]
    scale = full_scale(
        np.concatenate([v.reshape(-1, access_points) for day in others for v in day.amplitude])
    )
    new = days[held_out]
    *before, last = [images(visit, scale) for visit in new.amplitude]
    burst = stream(seed, "asked burst").integers(last.shape[1], size=len(last))
    return Split(
        historical=tuple(
            np.concatenate([images(visit, scale) for visit in day.amplitude], axis=1)
            for day in others
        ),
        support=np.concatenate(before, axis=1),
        asked=last[np.arange(len(last)), burst],
        position=np.mean([place for day in others for place in day.position], axis=0),
        truth=new.position[-1],
    )


def run_seed(settings: DaysSettings, seed: int, store: StoreRef, site: str) -> list[Record]:
    """Hold out day `seed` modulo the number of days; train, adapt and measure all methods.

    Returns:
        Records of one site: ``mean_error_m``, ``std_error_m``, ``share_within`` (by ``level_m``),
        ``labelled_images`` (of the new day, those of a test task for methods that have tasks),
        ``training_steps``; ``adaptation_error_m`` by ``steps``; ``training_error_m`` by
        ``meta_steps``; ``equal_budget_error_m`` of KNN, WKNN and ILCL with the historical images
        and a task's support set; ``centre_error_m`` of the answer that is always the middle of the
        place; ``nearest_distance_m``, the mean distance of the K nearest points to the truth, by
        histogram.
    """
    days = read_days(store, site, settings)
    split = split_days(days, seed % len(days), seed)
    del days
    base = {"study": STUDY, "site": site, "seed": seed}
    asked, records = _asked(settings, seed, split, base)
    middle = np.linalg.norm(split.truth - split.position.mean(axis=0), axis=1).mean()
    records.append({**base, "method": "centre", "metric": "centre_error_m", "value": float(middle)})
    for name in settings.paradigms:
        records += _paradigm(settings, name, seed, split, asked, base)
    records += _neighbours(settings, seed, split, asked, base)
    records += _broad(settings, seed, split, asked, base)
    return records


def _asked(
    settings: DaysSettings, seed: int, split: Split, base: Record
) -> tuple[Asked, list[Record]]:
    records: list[Record] = []
    chosen: dict[str, Indices] = {}
    for name in ("image", "access point"):
        count = partial(histograms, per_access_point=name == "access point")
        known = np.concatenate([count(day) for day in split.historical], axis=1)
        near = nearest_points(count(split.asked), known, settings.nearest)
        far = np.linalg.norm(split.position[near] - split.truth[:, None], axis=-1).mean()
        own = {"method": "histogram", "metric": "nearest_distance_m", "histogram": name}
        records.append({**base, **own, "value": float(far)})
        chosen[name] = near
    batch = tasks_of_new_environment(
        split.asked,
        split.support,
        chosen[settings.histogram],
        settings.shape.supports,
        stream(seed, "test tasks", base["site"]),
    )
    return Asked(batch, split.truth, split.position, settings.top), records


def _paradigm(
    settings: DaysSettings, name: ParadigmName, seed: int, split: Split, asked: Asked, base: Record
) -> list[Record]:
    from twin.learn.losses import CrossEntropy
    from twin.learn.networks import csi_cnn
    from twin.learn.paradigms import Paradigm

    shape = split.asked.shape[1:]
    points = len(split.position)

    def network(weights_seed: int) -> Network:
        return csi_cnn(shape, points, settings.filters, weights_seed)

    meta = settings.meta_of(name)
    own_seed = integer_seed(seed, STUDY, base["site"])
    paradigm = Paradigm(name, network, CrossEntropy(), meta, own_seed)
    own = {**base, "method": name}
    records: list[Record] = []
    followed = asked.some(settings.curve_every)
    answers = Answers(paradigm, seed)

    def observe(meta_steps: int, _: Paradigm) -> None:
        error = float(answers.errors(followed, (meta.adaptation_steps,)).mean())
        key = {"metric": "training_error_m", "meta_steps": meta_steps}
        records.append({**own, **key, "value": error})

    sources = [
        ImageDomain(f"day {index}", day, split.position, settings.shape)
        for index, day in enumerate(split.historical)
    ]
    untrained = name == "ri"
    paradigm.fit(sources, None if untrained else observe, settings.every)
    found = answers.errors(asked, settings.steps)
    records += [
        {**own, "metric": "adaptation_error_m", "steps": steps, "value": float(errors.mean())}
        for steps, errors in zip(settings.steps, found, strict=True)
    ]
    labels = asked.batch.support_weight.shape[1]
    trained = 0 if untrained else meta.outer_steps * len(paradigm.starts)
    adapted = found[settings.steps.index(meta.adaptation_steps)]
    records += _measured(own, adapted, labels, trained, settings)
    if name == "tl" and 0 in settings.steps:
        confi = {**base, "method": "confi"}
        records += _measured(confi, found[settings.steps.index(0)], 0, trained, settings)
    return records


def _measured(
    own: Record, errors: Array, labels: int, trained: int | None, settings: DaysSettings
) -> list[Record]:
    records = statistics(own, errors, settings.levels_m)
    records.append({**own, "metric": "labelled_images", "value": float(labels)})
    if trained is not None:
        records.append({**own, "metric": "training_steps", "value": float(trained)})
    return records


def _survey(support: Images, wanted: int, seed: int) -> tuple[Images, Indices]:
    """Images of every point of the new day, drawn at random."""
    points, pictures = support.shape[:2]
    refuse(
        [Fault("days", "survey", f"at most {pictures} images of a point", str(wanted))]
        if wanted > pictures
        else []
    )
    order = stream(seed, "survey").permuted(np.tile(np.arange(pictures), (points, 1)), axis=1)
    return labelled(support[np.arange(points)[:, None], order[:, :wanted]])


def _known(split: Split, wanted: int) -> tuple[Images, Indices]:
    """Images of every point and historical day, evenly over the visits."""
    pictures = split.historical[0].shape[1]
    taken = np.linspace(0, pictures - 1, min(wanted, pictures)).round().astype(np.intp)
    return labelled(np.concatenate([day[:, taken] for day in split.historical], axis=1))


def _neighbours(
    settings: DaysSettings, seed: int, split: Split, asked: Asked, base: Record
) -> list[Record]:
    records: list[Record] = []
    surveyed = _survey(split.support, settings.survey, seed)
    known = _known(split, settings.historical)
    weighings: dict[str, Weighing] = {"knn": "uniform", "wknn": "distance"}
    for method, weighing in weighings.items():
        answer = partial(
            neighbour_errors,
            asked,
            position=split.position,
            nearest=settings.nearest,
            weighing=weighing,
        )
        own = {**base, "method": method}
        records += _measured(own, answer(known=surveyed), len(surveyed[0]), None, settings)
        equal = float(answer(known=known, with_support=True).mean())
        records.append({**own, "metric": "equal_budget_error_m", "value": equal})
    return records


def _broad(
    settings: DaysSettings, seed: int, split: Split, asked: Asked, base: Record
) -> list[Record]:
    own = {**base, "method": "ilcl"}
    points = len(split.position)
    surveyed = _survey(split.support, settings.broad_survey, seed)
    system = BroadLearning(points, settings.broad, seed)
    system.fit(*surveyed)
    errors = broad_errors(asked, system, split.position)
    records = _measured(own, errors, len(surveyed[0]), settings.broad.steps, settings)
    wide = BroadLearning(points, settings.broad, seed)
    wide.fit(*_known(split, settings.historical))
    equal = float(broad_errors(asked, wide, split.position, with_support=True).mean())
    records.append({**own, "metric": "equal_budget_error_m", "value": equal})
    return records
