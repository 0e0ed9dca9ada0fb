"""Five real corridors (CSU CSI), one left out: MetaLoc and its rivals where no point is shared.

Corridors share neither points nor access points, so a class is the place of a reference point among
those of its task. Nothing of the corridor left out is known but some labelled points, which all
methods are given alike. Each point hears one access point; images have one channel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
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
from flows.metaloc.rules import broken, distinct
from twin.errors import Fault, refuse
from twin.evaluate.metrics import position_error
from twin.learn.baselines.broad_learning import BroadLearning, BroadSettings
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
from twin.learn.presets import CSI_SMALL, MetaSettings, ParadigmName
from twin.learn.tasks import Array
from twin.measured.csu_csi_rssi import SITES
from twin.measured.importing import import_data_set
from twin.seeds import integer_seed, stream
from twin.store.location import StoreRef
from twin.store.reader import open_site
from twin.store.schema import SPLITS

if TYPE_CHECKING:
    from twin.learn.networks import Network
    from twin.learn.paradigms import Paradigm

STUDY = "corridors"
DATA_SET = "csu_csi_rssi"
Count = Annotated[int, Field(ge=1)]


class CorridorsSettings(ImageTraining):
    """Settings of the experiment.

    Attributes:
        paradigms: which are trained.
        shape: of the tasks; a reference point has four images.
        labels: numbers k of labelled points of the corridor left out; the same `shape.supports`
            images of each are all that any method is given.
        left_out: corridors, one after the other.
        filters: of each convolution.
        neighbours: K of KNN and WKNN; with few labelled points the paper's 5 would be most of them.
        top: classes that enter a centroid.
        level: amplitudes as reported, or with the level that the RSS gives back to them.
        confi_steps: training steps of ConFi, which is trained on the labelled points.
        confi_rate: step size of them.
        broad: sizes of ILCL.
    """

    meta: MetaSettings = CSI_SMALL.model_copy(update={"outer_steps": 60})
    paradigms: tuple[ParadigmName, ...] = ("maml", "maml_ts", "maml_dg", "tl", "ri")
    shape: TaskShape = TaskShape(ways=5, supports=3, queries=1)
    labels: tuple[Count, ...] = Field(default=(5, 10, 20), min_length=1)
    left_out: tuple[str, ...] = SITES
    filters: Count = 10
    neighbours: Count = 3
    top: Count = 5
    level: Literal["reported", "rss"] = "rss"
    confi_steps: Count = 150
    confi_rate: float = Field(default=2e-3, gt=0.0)
    broad: BroadSettings = BroadSettings()

    @model_validator(mode="after")
    def _fitting(self) -> CorridorsSettings:
        faults = [
            *distinct("paradigms", self.paradigms),
            *distinct("labels", self.labels),
            *distinct("left_out", self.left_out),
        ]
        least = max(self.shape.ways, self.neighbours)
        if min(self.labels) < least:
            expected = f"{least} or more each, for shape.ways and neighbours"
            faults.append(broken("labels", expected, self.labels))
        unknown = sorted(set(self.left_out) - set(SITES))
        if unknown or not self.left_out:
            faults.append(broken("left_out", f"some of {', '.join(SITES)}", unknown))
        refuse(faults)
        return self


QUICK = CorridorsSettings(
    meta=CSI_SMALL.model_copy(
        update={"outer_steps": 2, "inner_steps": 1, "tasks": 2, "adaptation_steps": 2}
    ),
    labels=(5, 10),
    left_out=SITES[1:2],
    confi_steps=4,
    broad=BroadSettings(feature_nodes=40, enhancement_nodes=40, step_nodes=10, steps=2),
)


@dataclass(frozen=True, eq=False)
class Corridor:
    """Amplitudes in one corridor.

    Args:
        name: of its site.
        reference: (p, image, 52, packet, 1) at the reference points.
        test: (t, image, 52, packet, 1) at the test points.
        position: (p, 2) of the reference points [m].
        truth: (t, 2) of the test points [m].
    """

    name: str
    reference: Float32
    test: Float32
    position: Array
    truth: Array


def ensure_corridors(store: StoreRef, data_dir: Path) -> list[str]:
    """Import the data set, unless it is there; gives the digests of its sites.

    Raises:
        InputError: files missing, damaged or not as published; other content under these names.
        StoreError: the storage refuses.
    """
    digests = import_data_set(DATA_SET, data_dir, str(store))
    return [digests[site] for site in SITES]


def read_corridors(store: StoreRef, level: Literal["reported", "rss"]) -> list[Corridor]:
    """All five, in the order of their sites.

    Raises:
        InputError: not in the store.
        StoreError: a site is not whole.
    """
    found = []
    for site in SITES:
        with open_site(store, site, lazy=False) as dataset:
            here = dataset.isel(realisation=0)
            split = here["split"].to_numpy()
            position = here["position"].to_numpy()[:, :2].astype(np.float64)
            csi, rss = here["reported_csi"].to_numpy(), here["rss"].to_numpy()
        parts = {}
        for name in ("reference", "test"):
            rows = split == SPLITS.index(name)
            # A part has as many packets as were heard; the store pads the shorter one with NaN.
            heard = int(np.isfinite(rss[rows]).any(axis=(0, 2)).sum())
            amplitude = amplitudes(csi[rows, :heard], PACKETS)
            if level == "rss":
                amplitude = levelled(amplitude, rss[rows, :heard])
            parts[name] = (amplitude.sum(axis=-1, keepdims=True), position[rows])
        (reference, places), (test, truth) = parts["reference"], parts["test"]
        found.append(Corridor(site, reference, test, places, truth))
    return found


def run_seed(settings: CorridorsSettings, seed: int, store: StoreRef) -> list[Record]:
    """Leave corridors out, one after the other; train on the others, adapt and measure.

    Returns:
        Records by site, method and ``k``: ``mean_error_m``, ``std_error_m``; by site and ``k``
        ``centre_error_m`` of the middle of the corridor's reference points, which any method should
        beat.
    """
    corridors = read_corridors(store, settings.level)
    records: list[Record] = []
    for site in settings.left_out:
        new = next(corridor for corridor in corridors if corridor.name == site)
        others = [corridor for corridor in corridors if corridor.name != site]
        records += _left_out(settings, seed, new, others)
    return records


@dataclass(frozen=True, eq=False)
class _Few:
    """What is known of the corridor left out, and what is asked there."""

    k: int
    images: Images
    position: Array
    asked: Asked


def _left_out(
    settings: CorridorsSettings, seed: int, new: Corridor, others: Sequence[Corridor]
) -> list[Record]:
    refuse(
        [Fault(f"site {new.name}", "labels", f"at most {len(new.position)}", str(settings.labels))]
        if max(settings.labels) > len(new.position)
        else []
    )
    scale = full_scale(np.concatenate([c.reference.reshape(-1, 1) for c in others]))
    known = [(c.name, images(c.reference, scale), c.position) for c in others]
    reference, test = images(new.reference, scale), images(new.test, scale)[:, 0]
    few = [_few(settings, seed, k, new, reference, test) for k in settings.labels]
    base = {"study": STUDY, "site": new.name, "seed": seed}
    records: list[Record] = []
    for here in few:
        own = {**base, "k": here.k}
        middle = position_error(np.tile(new.position.mean(axis=0), (len(test), 1)), new.truth)
        centre = {"method": "centre", "metric": "centre_error_m", "value": float(middle.mean())}
        records.append({**own, **centre})
        for method, errors in _baselines(settings, seed, here).items():
            records += statistics({**own, "method": method}, errors)
    for name in settings.paradigms:
        for here, errors in zip(few, _paradigm(settings, name, seed, known, few), strict=True):
            records += statistics({**base, "k": here.k, "method": name}, errors)
    return records


def _few(
    settings: CorridorsSettings,
    seed: int,
    k: int,
    new: Corridor,
    reference: Images,
    test: Images,
) -> _Few:
    # A prefix of one order, so that more labelled points hold the fewer ones.
    chosen = stream(seed, "labelled points", new.name).permutation(len(new.position))[:k]
    own = reference[chosen, : settings.shape.supports]
    position = new.position[chosen]
    near: Indices = nearest_points(histograms(test), histograms(own), settings.shape.ways)
    batch = tasks_of_new_environment(
        test, own, near, settings.shape.supports, stream(seed, "test tasks", new.name, k), "task"
    )
    return _Few(k, own, position, Asked(batch, new.truth, position[near], settings.top))


def _network(
    settings: CorridorsSettings, shape: tuple[int, ...], classes: int, seed: int
) -> Network:
    from twin.learn.networks import csi_cnn

    rows, columns, channels = shape
    return csi_cnn((rows, columns, channels), classes, settings.filters, seed)


def _paradigm(
    settings: CorridorsSettings,
    name: ParadigmName,
    seed: int,
    known: Sequence[tuple[str, Images, Array]],
    few: Sequence[_Few],
) -> list[Array]:
    """(t,) errors [m] for each number of labelled points."""
    from twin.learn.losses import CrossEntropy
    from twin.learn.paradigms import Paradigm

    shape = few[0].images.shape[2:]
    key = integer_seed(seed, STUDY)

    def made(of: ParadigmName, classes: int) -> Paradigm:
        def network(weights_seed: int) -> Network:
            return _network(settings, shape, classes, weights_seed)

        return Paradigm(of, network, CrossEntropy(), settings.meta_of(of), key)

    # TL's new output layer starts at random, so TL adapts with the step size of a random start.
    paradigm = made("ri" if name == "tl" else name, settings.shape.ways)
    start = None
    if name == "tl":
        start = _pretrained(settings, made, known, paradigm)
    else:
        paradigm.fit([ImageDomain(*corridor, settings.shape, "task") for corridor in known])
    answers = Answers(paradigm, seed)
    at = (settings.meta.adaptation_steps,)
    return [answers.errors(here.asked, at, start)[0] for here in few]


def _pretrained(
    settings: CorridorsSettings,
    made: Callable[[ParadigmName, int], Paradigm],
    known: Sequence[tuple[str, Images, Array]],
    new: Paradigm,
) -> list[npt.NDArray[Any]]:
    """Weights learned by telling all points of all other corridors apart, with a new output layer.

    Places of points among those of a task mean nothing to a network that does not adapt.
    """
    first = np.cumsum([0, *(len(position) for _, _, position in known)])
    before = made("tl", int(first[-1]))
    before.fit(
        [
            ImageDomain(*corridor, settings.shape, "points", int(start))
            for corridor, start in zip(known, first[:-1], strict=True)
        ]
    )
    (learned,), (fresh,) = before.starts.values(), new.starts.values()
    return [*learned[:-2], *fresh[-2:]]


def _baselines(settings: CorridorsSettings, seed: int, here: _Few) -> dict[str, Array]:
    from twin.learn.baselines import confi

    surveyed = labelled(here.images)
    asked = here.asked
    found = {
        "knn": neighbour_errors(asked, surveyed, here.position, settings.neighbours, "uniform"),
        "wknn": neighbour_errors(asked, surveyed, here.position, settings.neighbours, "distance"),
    }
    system = BroadLearning(here.k, settings.broad, seed)
    system.fit(*surveyed)
    found["ilcl"] = broad_errors(asked, system, here.position)
    key = integer_seed(seed, STUDY, "confi", here.k)
    network = _network(settings, here.images.shape[2:], here.k, key)
    confi.train(network, *surveyed, settings.confi_steps, settings.confi_rate, key)
    all_points = Asked(asked.batch, asked.truth, here.position, settings.top)
    found["confi"] = all_points.errors(confi.logits(network, asked.batch.query_inputs[:, 0]))
    return found
