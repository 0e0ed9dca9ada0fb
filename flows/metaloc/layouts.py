"""MetaLoc's Fig. 11: other layouts, with and without path-loss laws learned before.

The paper's scenarios S1 to S6 come from a commercial ray tracer and are not published; here they
are library scenes of six layouts, twenty access points each. The network learns S1, S2, S5 and S6
and adapts to S3 and S4, from random weights or from weights that learned path-loss laws before.
The second kind has taken more training steps in all, so a third has as many steps on the layouts
alone: what it gains, the path-loss laws are not to be thanked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import numpy as np
from pydantic import Field, model_validator

from flows.metaloc.path_loss import PathLossLaw, Survey, survey_domain
from flows.metaloc.rules import broken, distinct, large_enough, own_names, rising
from twin.config import StrictModel
from twin.errors import Fault, refuse
from twin.learn.neighbour_fingerprints import Array, ReferenceMap
from twin.learn.position_tasks import Place, PositionDomain, one_task
from twin.learn.presets import RSS_SMALL, MetaSettings
from twin.learn.tasks import AnyArray, TaskBatch, concatenated
from twin.seeds import stream
from twin.store.location import StoreRef
from twin.store.reader import Environment, environments

if TYPE_CHECKING:
    from twin.learn.paradigms import Paradigm
    from twin.learn.step_sizes import StepSizes

STUDY = "fig11"
ACCESS_POINTS = 20
Record = dict[str, Any]
Count = Annotated[int, Field(ge=1)]
Steps = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0.0)]

#: One law of each of the paper's models (a) to (e), in rooms about as large as the layouts. The
#: paper does not say which its initialisation has learned.
LAWS = (
    PathLossLaw(name="vanilla", model="vanilla", exponent=3.0, nlos_std_db=4.0, room_m=(26, 22)),
    PathLossLaw(name="mall_nlos", model="mall_nlos", room_m=(30, 18)),
    PathLossLaw(name="office_single_slope", model="office_single_slope", room_m=(30, 24)),
    PathLossLaw(
        name="office_frequency_dependent", model="office_frequency_dependent", room_m=(36, 15)
    ),
    PathLossLaw(name="mall_mixed", model="mall_mixed", room_m=(22, 12)),
)


class LayoutsSettings(StrictModel):
    """Settings of the experiment; ``maml`` and ``tl`` of a seed see the same tasks.

    Attributes:
        meta: of every meta-training; `inner_rate` is the step size of meta-trained networks.
        hidden: widths of the network.
        neighbours: K of the fingerprints, and of KNN and WKNN.
        training: sites of the historical environments.
        new: sites of the new ones.
        references: R of every place.
        labels: labelled fingerprints of a task, k_spt.
        queries: of a task in meta-training.
        repeats: realisations of a new site that are adapted to, the first ones.
        laws: path-loss laws, an environment each.
        survey: of their places.
        steps: gradient steps after which errors are taken, rising.
        rates: step sizes to choose from, for TL and RI.
        chosen_at: gradient steps after which that choice looks.
    """

    meta: MetaSettings = RSS_SMALL.model_copy(update={"outer_steps": 600})
    hidden: tuple[Count, ...] = (64, 64, 64, 64)
    neighbours: Count = 5
    training: tuple[str, ...] = Field(default=("wi_s1", "wi_s2", "wi_s5", "wi_s6"), min_length=1)
    new: tuple[str, ...] = Field(default=("wi_s3", "wi_s4"), min_length=1)
    references: Count = 54
    labels: Count = 100
    queries: Count = 30
    repeats: Count = 4
    laws: tuple[PathLossLaw, ...] = Field(default=LAWS, min_length=1)
    survey: Survey = Survey(places=2, references=(54,), pool=400, access_points=ACCESS_POINTS)
    steps: tuple[Steps, ...] = Field(default=(0, 1, 2, 5, 10, 20, 50, 100, 200, 500), min_length=1)
    rates: tuple[Rate, ...] = Field(default=(0.0005, 0.002, 0.01, 0.05, 0.2), min_length=1)
    chosen_at: Count = 10

    @model_validator(mode="after")
    def _fitting(self) -> LayoutsSettings:
        faults = [
            *distinct("training", self.training),
            *distinct("new", self.new),
            *own_names("laws", [law.name for law in self.laws]),
            *rising("steps", self.steps),
            *large_enough(self.survey.pool, self.labels, self.queries),
        ]
        learned = [name for name in self.new if name in self.training]
        if learned:
            faults.append(broken("new", "sites that are not among training", learned))
        refuse(faults)
        return self


QUICK = LayoutsSettings(
    meta=RSS_SMALL.model_copy(update={"outer_steps": 40, "inner_steps": 2}),
    repeats=1,
    survey=Survey(places=1, references=(54,), pool=200, access_points=ACCESS_POINTS),
    steps=(0, 10, 50),
    rates=(0.02,),
    chosen_at=10,
)


def run_seed(settings: LayoutsSettings, seed: int, store: StoreRef) -> list[Record]:
    """Train, adapt and measure with the draws of one seed; see `run_on`.

    Raises:
        InputError: no such store or site; see `run_on`.
        StoreError: a site is not whole.
    """
    sites = {name: environments(store, name) for name in (*settings.training, *settings.new)}
    return run_on(settings, seed, sites)


def run_on(
    settings: LayoutsSettings, seed: int, sites: Mapping[str, Sequence[Environment]]
) -> list[Record]:
    """Train, adapt and measure on realisations that were read.

    Args:
        settings: of the experiment.
        seed: of all draws.
        sites: realisations of each site, with levels (``rss``); of a training site the last one is
            held out, for step sizes to be chosen with.

    Returns:
        Records of ``rmse_m`` by new site: of ``maml`` by `start` (see `initialisations`) and steps,
        of ``tl`` and ``ri`` at the common step size ("same") and at their own ("best"), and of
        ``knn`` and ``wknn`` by what they know: ``references``, or ``references+labels`` as the
        networks do.

    Raises:
        InputError: a site that is missing, or too small for its tasks, with every fault found.
    """
    from twin.learn.losses import MeanSquare
    from twin.learn.step_sizes import StepSizes

    refuse(_faults(settings, sites))
    paradigms = initialisations(settings, seed, sites)
    new = {
        name: [place_of(settings, e, seed) for e in sites[name][: settings.repeats]]
        for name in settings.new
    }
    unseen = [place_of(settings, sites[name][-1], seed) for name in settings.training]
    # All of one size, as a batch is.
    asked = min(len(place.position) for place in unseen) - settings.labels
    held_out = [task_of(settings, place, asked) for place in unseen]
    sizes = StepSizes(paradigms["ri"].model, MeanSquare(), settings.meta.largest_gradient)
    records = []
    for start, paradigm in paradigms.items():
        rates = {"same": settings.meta.inner_rate}
        if paradigm.name in {"tl", "ri"}:
            rates["best"] = sizes.best(paradigm, held_out, settings.rates, settings.chosen_at)
        for choice, rate in rates.items():
            for name, places in new.items():
                common = {
                    "study": STUDY,
                    "site": name,
                    "method": paradigm.name,
                    "seed": seed,
                    "start": start,
                    "rate": rate,
                    "rate_choice": choice,
                    "metric": "rmse_m",
                }
                found = _curve(settings, sizes, paradigm, places, rate)
                records += [
                    {**common, "steps": steps, "value": value}
                    for steps, value in zip(settings.steps, found, strict=True)
                ]
    for name, places in new.items():
        records += _neighbours(settings, name, places, seed)
    return records


def initialisations(
    settings: LayoutsSettings, seed: int, sites: Mapping[str, Sequence[Environment]]
) -> dict[str, Paradigm]:
    """What is adapted.

    Returns:
        ``plm``: MAML on the path-loss laws; ``wi``: on the layouts; ``wi_plm``: first the one,
        then the other, with as many steps each; ``wi_long``: on the layouts, with the steps of
        both; ``tl``: pre-training on the layouts; ``ri``: the random weights that all begin with.
    """
    layouts = [domain_of(settings, name, sites[name][:-1], seed) for name in settings.training]
    laws = [
        survey_domain(
            law,
            settings.survey,
            seed,
            settings.neighbours,
            (settings.labels,),
            settings.queries,
        )
        for law in settings.laws
    ]
    longer = settings.meta.model_copy(update={"outer_steps": 2 * settings.meta.outer_steps})
    plm = _fitted(settings, settings.meta, "maml", laws, seed)
    return {
        "plm": plm,
        "wi": _fitted(settings, settings.meta, "maml", layouts, seed),
        "wi_plm": _fitted(settings, settings.meta, "maml", layouts, seed, plm.starts[""]),
        "wi_long": _fitted(settings, longer, "maml", layouts, seed),
        "tl": _fitted(settings, settings.meta, "tl", layouts, seed),
        "ri": _fitted(settings, settings.meta, "ri", layouts, seed),
    }


def place_of(settings: LayoutsSettings, environment: Environment, seed: int) -> Place:
    """A realisation of a site as a surveyed place: random points as reference points, the others.

    Levels of reference points are medians over scans; every other point has one scan, drawn.
    """
    generator = stream(
        seed, "layouts", environment.site, environment.realisation, environment.visit
    )
    order = generator.permutation(environment.points)
    known, others = order[: settings.references], order[settings.references :]
    position = environment.position[:, :2].astype(np.float64)
    area = (*position.min(axis=0).tolist(), *position.max(axis=0).tolist())
    median = environment.point_features("rss").astype(np.float64)
    scans = environment.features["rss"]
    scan = generator.integers(scans.shape[1], size=len(others))
    return Place(
        ReferenceMap(median[known], position[known], area),
        scans[others, scan].astype(np.float64),
        position[others],
    )


def domain_of(
    settings: LayoutsSettings, name: str, known: Sequence[Environment], seed: int
) -> PositionDomain:
    """Realisations of one site as one historical environment."""
    places = [place_of(settings, environment, seed) for environment in known]
    return PositionDomain(name, places, settings.neighbours, (settings.labels,), settings.queries)


def task_of(settings: LayoutsSettings, place: Place, asked: int | None = None) -> TaskBatch:
    """The task of a new place: its first fingerprints are labelled, `asked` others or all asked."""
    inputs, targets = place.inputs(settings.neighbours), place.targets()
    known = slice(settings.labels)
    query = slice(settings.labels, None if asked is None else settings.labels + asked)
    return one_task((inputs[known], targets[known]), (inputs[query], targets[query]))


def _curve(
    settings: LayoutsSettings,
    sizes: StepSizes,
    paradigm: Paradigm,
    places: Sequence[Place],
    rate: float,
) -> list[float]:
    """RMSE [m] over all queries of a site's realisations, which are of one size."""
    batch = concatenated([task_of(settings, place) for place in places])
    outputs = sizes.adaptation(rate).outputs(paradigm.starts[""], batch, settings.steps)
    square = ((outputs - batch.query_targets) ** 2).sum(axis=-1).mean(axis=-1)
    reach = np.array([place.references.reach for place in places])
    found = np.sqrt((square.astype(np.float64) * reach**2).mean(axis=1))
    return [float(value) for value in found]


def _neighbours(
    settings: LayoutsSettings, site: str, places: Sequence[Place], seed: int
) -> list[Record]:
    """KNN and WKNN on the reference points, and on all that the networks are told."""
    labels, records = settings.labels, []
    for known in ("references", "references+labels"):
        squares: dict[str, list[float]] = {"knn": [], "wknn": []}
        for place in places:
            surveyed = place.references
            if known == "references+labels":
                surveyed = ReferenceMap(
                    np.concatenate([surveyed.fingerprints, place.fingerprints[:labels]]),
                    np.concatenate([surveyed.position, place.position[:labels]]),
                )
            distance, index = surveyed.nearest(place.fingerprints[labels:], settings.neighbours)
            weights = {"knn": np.ones_like(distance), "wknn": 1.0 / (distance + 1e-6)}
            for method, weight in weights.items():
                located = _centroid(surveyed.position[index], weight)
                gap = located - place.position[labels:]
                squares[method].append(float((gap**2).sum(axis=-1).mean()))
        records += [
            {
                "study": STUDY,
                "site": site,
                "method": method,
                "seed": seed,
                "knows": known,
                "metric": "rmse_m",
                "value": float(np.sqrt(np.mean(found))),
            }
            for method, found in squares.items()
        ]
    return records


def _centroid(position: Array, weight: Array) -> Array:
    share = weight / weight.sum(axis=1, keepdims=True)
    return np.asarray((position * share[..., None]).sum(axis=1))


def _fitted(
    settings: LayoutsSettings,
    meta: MetaSettings,
    name: Literal["maml", "tl", "ri"],
    sources: Sequence[PositionDomain],
    seed: int,
    start: Sequence[AnyArray] | None = None,
) -> Paradigm:
    """A paradigm fitted from random weights, or from those of `start`."""
    from twin.learn.losses import MeanSquare
    from twin.learn.networks import multilayer_perceptron
    from twin.learn.paradigms import Paradigm

    make = partial(multilayer_perceptron, 3 * settings.neighbours, settings.hidden, 2)
    paradigm = Paradigm(
        name,
        make if start is None else lambda of_weights: _started(make(of_weights), start),
        MeanSquare(),
        meta,
        seed,
    )
    paradigm.fit(sources)
    return paradigm


class _Network(Protocol):
    def set_weights(self, weights: Sequence[AnyArray]) -> None: ...


def _started(network: _Network, weights: Sequence[AnyArray]) -> _Network:
    network.set_weights(weights)
    return network


def _faults(settings: LayoutsSettings, sites: Mapping[str, Sequence[Environment]]) -> list[Fault]:
    trained = settings.references + settings.labels + settings.queries
    needed = {
        **dict.fromkeys(settings.new, (1, settings.references + settings.labels + 1)),
        **dict.fromkeys(settings.training, (2, trained)),
    }
    faults = []
    for name, (realisations, points) in needed.items():
        there = sites.get(name, ())
        if len(there) < realisations:
            expected = f"{realisations} or more"
            faults.append(Fault(f"site {name}", "realisations", expected, str(len(there))))
        faults += [
            Fault(f"site {name}, {e.label}", "points", f"{points} or more", str(e.points))
            for e in there
            if e.points < points
        ]
        faults += [
            Fault(f"site {name}, {e.label}", "features", "rss", ", ".join(e.features) or "none")
            for e in there
            if "rss" not in e.features
        ]
    return faults
