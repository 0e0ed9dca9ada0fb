"""Leave one room out: learners that know twins and other real rooms, in a room they do not know.

Each room of the WiFi RTT data set in turn is the new environment. The historical ones are the twins
of all rooms, the new one's among them, and the real measurements of the others. Of the new room a
method is given k labelled reference points; every scan at every official test point is then a fix.
Learning sees reference points only, so the test points of no room have a part in it.

The step size of the adaptation is each method's own, chosen without the new room: networks that
know twins alone adapt to the other real rooms, and the one that errs least there is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from flows.metaloc.room_store import ROOMS, real_site
from flows.metaloc.rules import distinct
from twin.config import StrictModel
from twin.errors import Fault, refuse
from twin.evaluate.protocols import SimToReal, check_reality
from twin.evaluate.records import Errors
from twin.learn.features import Feature
from twin.learn.presets import RSS_SMALL, Count, MetaSettings
from twin.seeds import stream
from twin.store.location import StoreRef
from twin.store.reader import Environment, environments

STUDY = "rooms"
#: Realisations of each twin that stand in for real rooms where settings are compared.
HELD_OUT = 3
BOTH, TWINS, NOTHING = "twins and rooms", "twins", "nothing"
#: What the baselines that look up the aligned twin of the new room, and no other, know.
OWN_TWIN = "twin of the room"
Record = dict[str, Any]
Rate = Annotated[float, Field(gt=0.0)]
RoomName = Literal["lecture_theatre", "office", "corridor"]


class RoomsSettings(StrictModel):
    """Settings of the experiment; all methods of a seed see the same tasks and draws.

    Attributes:
        left_out: rooms that are new, one at a time.
        features: what fingerprints are made of; each is a comparison of its own.
        labels: numbers of labelled points k, of tasks in training as well.
        draws: draws of the labelled points a seed, nested over k.
        reality: the measured rooms, or realisations of the twins that no learner sees.
        neighbours: K of the fingerprint of nearest reference points.
        hidden: widths of the network.
        queries: query fingerprints a task.
        pool: tasks that are made of each environment.
        rates: step sizes of the adaptation to choose from.
        meta: of training and adaptation; `inner_rate` is that of meta-training.
    """

    left_out: tuple[RoomName, ...] = Field(
        default=("lecture_theatre", "office", "corridor"), min_length=1
    )
    features: tuple[Feature, ...] = Field(default=("rss",), min_length=1)
    labels: tuple[Count, ...] = Field(default=(1, 3, 5, 10), min_length=1)
    draws: Count = 6
    reality: Literal["measured", "held_out"] = "measured"
    neighbours: Count = 5
    hidden: tuple[Count, ...] = (64, 64, 64, 64)
    queries: Count = 30
    pool: Annotated[int, Field(ge=1, le=100_000)] = 512
    rates: tuple[Rate, ...] = Field(default=(0.00005, 0.0005, 0.005, 0.05, 0.2), min_length=1)
    meta: MetaSettings = RSS_SMALL.model_copy(update={"inner_rate": 0.005, "outer_steps": 300})

    @model_validator(mode="after")
    def _telling_apart(self) -> RoomsSettings:
        refuse(
            [
                *distinct("left_out", self.left_out),
                *distinct("features", self.features),
                *distinct("labels", self.labels),
            ]
        )
        return self


QUICK = RoomsSettings(
    left_out=("office",),
    labels=(1, 10),
    draws=2,
    pool=64,
    rates=(0.002, 0.02),
    meta=RSS_SMALL.model_copy(update={"inner_rate": 0.005, "inner_steps": 1, "outer_steps": 40}),
)


@dataclass(frozen=True, eq=False)
class Place:
    """A room with the environments that stand for it.

    Attributes:
        name: of the room.
        twin: environments of the twin that learners may see.
        real: the room itself with its split, or what stands in for it.
    """

    name: str
    twin: Sequence[Environment]
    real: Environment


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method did in a room with k labels.

    Attributes:
        method: its name.
        history: what it learned from: `BOTH`, `TWINS`, `OWN_TWIN` or `NOTHING`.
        errors: all of its errors.
        steps: gradient steps of the adaptation; None: a method without.
        rate: their size, likewise.
    """

    method: str
    history: str
    errors: Errors
    steps: int | None = None
    rate: float | None = None


def run_seed(settings: RoomsSettings, seed: int, store: StoreRef) -> list[Record]:
    """Errors of every method, room, feature and k with the draws of one seed.

    Args:
        settings: of the experiment.
        seed: of networks, tasks and labelled points.
        store: filled by `flows.metaloc.room_store.ensure_rooms`.

    Returns:
        Records of ``mean_error_m`` and ``median_error_m`` by site (the room left out), method,
        ``feature``, ``k`` and ``history``, for networks with ``steps`` and ``rate``.

    Raises:
        InputError: a store without these sites, or rooms that do not fit the settings.
    """
    return [
        record
        for outcome in outcomes(settings, seed, places(settings, seed, store))
        for record in records_of(outcome, settings, seed)
    ]


def records_of(outcome: Outcome, settings: RoomsSettings, seed: int) -> list[Record]:
    """The records of `run_seed` of one outcome."""
    errors = outcome.errors
    network = {} if outcome.rate is None else {"steps": outcome.steps, "rate": outcome.rate}
    return [
        {
            "study": STUDY,
            "site": errors.room,
            "method": outcome.method,
            "seed": seed,
            "reality": settings.reality,
            "feature": errors.feature,
            "k": errors.k,
            "history": outcome.history,
            **network,
            "metric": metric,
            "value": float(of(errors.errors_m)),
        }
        for metric, of in (("mean_error_m", np.mean), ("median_error_m", np.median))
    ]


def places(settings: RoomsSettings, seed: int, store: StoreRef) -> list[Place]:
    """The rooms from a store; errors as `run_seed`."""
    found = []
    for room in ROOMS:
        twin = environments(store, room.scene)
        if settings.reality == "measured":
            real = environments(store, real_site(room))[0]
        else:
            realisations = {each.realisation for each in twin}
            refuse(_too_few(room.scene, len(realisations)))
            first = 1 + max(realisations) - HELD_OUT
            alone = (first + seed % HELD_OUT, 0)
            real = _split(next(e for e in twin if (e.realisation, e.visit) == alone))
            twin = [each for each in twin if each.realisation < first]
        found.append(Place(str(room.measured), twin, real))
    return found


def _too_few(site: str, realisations: int) -> list[Fault]:
    if realisations > HELD_OUT + 1:
        return []
    expected = f"at least {HELD_OUT + 2} realisations, {HELD_OUT} of them to be held out"
    cure = "Trace more, or take measured rooms"
    return [Fault(f"site {site}", "realisations", expected, str(realisations), cure)]


def _split(environment: Environment) -> Environment:
    """Three reference points to a test point, at random, the same for all realisations."""
    order = stream(0, "held out", environment.site).permutation(environment.points)
    split = np.full(environment.points, "reference", dtype="<U9")
    split[order[: environment.points // 4]] = "test"
    return replace(environment, split=split)


def outcomes(settings: RoomsSettings, seed: int, rooms: Sequence[Place]) -> list[Outcome]:
    """What all methods did in every room that is left out, by k.

    Raises:
        InputError: rooms that are missing or of one name, fewer than two, or one that does not fit
            the settings.
    """
    protocol = SimToReal(labels=settings.labels, draws=settings.draws, seed=seed)
    names = [room.name for room in rooms]
    faults = [
        fault
        for room in rooms
        for feature in settings.features
        for fault in check_reality(room.real, feature, protocol)
    ]
    if len(set(names)) < max(len(names), 2):
        faults.append(Fault("rooms", "", "two or more with names of their own", str(names)))
    missing = sorted(set(settings.left_out) - set(names))
    if missing:
        faults.append(Fault("rooms", "left_out", f"some of {names}", f"{missing}, too"))
    refuse(faults)
    from flows.metaloc.room_learning import Experiment

    return [
        outcome
        for feature in settings.features
        for outcome in Experiment(settings, seed, rooms, feature, protocol).outcomes()
    ]
