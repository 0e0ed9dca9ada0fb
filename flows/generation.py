"""From a study to the twin's realisations in a store: the plan, and one job of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from flows.simulated_site import ENGINE, draw_place, of_all_realisations, site_spec
from flows.study import Room, Study
from flows.tracing import laid_out
from twin.config import validate
from twin.perturb.realise import Realisation
from twin.perturb.table import PerturbationTable
from twin.scene.declaration import Scene
from twin.seeds import stream
from twin.sense.receiver import sense
from twin.store.schema import CHANNEL_VARIABLES, FINGERPRINT_VARIABLES, SEARCH_VARIABLES, SPLITS
from twin.store.spec import SiteSpec
from twin.store.writer import write_shard
from twin.trace.engine import trace

_HELD_OUT_SNAPSHOTS = 20
_REFERENCE_SHARE = 0.73
# What a trace says that the site says for all, or that draws say realisation by realisation.
_NOT_STORED = ("ap_active", "ap_bandwidth", "ap_frequency", "ap_orientation", "ap_ports")


@dataclass(frozen=True, eq=False)
class TwinPlan:
    """One site of simulated fingerprints, before anything is traced.

    Attributes:
        site: name of the site in the store.
        scene: as declared.
        table: its uncertain quantities.
        points: (n, 3) receiver points of the declared scene [m].
        realisations: all draws.
        split: (n,) int8, 1 reference, 2 test; zero where the site is no test of anything.
        spec: what the store is told.
    """

    site: str
    scene: Scene
    table: PerturbationTable
    points: npt.NDArray[np.float64]
    realisations: tuple[Realisation, ...]
    split: npt.NDArray[np.int8]
    spec: SiteSpec


def plan_twin(study: Study, room: Room, backend: Mapping[str, str]) -> TwinPlan:
    """The twin of a room: `study.twin.realisations` draws of its scene.

    Raises:
        InputError: the scene or its table has faults.
    """
    return _plan(study, room, range(study.twin.realisations), backend, held_out=False)


def plan_held_out(study: Study, room: Room, backend: Mapping[str, str]) -> TwinPlan:
    """One more realisation, with a receiver of its own, that stands in for reality.

    Its points are split into reference and test points at random, in the shares of the measured
    rooms.
    """
    last = study.twin.realisations
    return _plan(study, room, range(last, last + 1), backend, held_out=True)


def _plan(
    study: Study, room: Room, indices: range, backend: Mapping[str, str], *, held_out: bool
) -> TwinPlan:
    place = draw_place(room.scene, study.seed, indices)
    scene = place.scene
    site = f"{scene.name}_held_out" if held_out else scene.name
    visits, snapshots = study.twin.visits, study.twin.snapshots
    if held_out:
        visits, snapshots = 1, _HELD_OUT_SNAPSHOTS
    spec = site_spec(
        place,
        backend,
        labels=[f"realisation {index}" for index in indices],
        variables=(*CHANNEL_VARIABLES, *FINGERPRINT_VARIABLES, *SEARCH_VARIABLES, "split"),
        config={
            "seed": study.seed,
            "first_realisation": indices.start,
            "trace": study.trace.model_dump(mode="json"),
            "sense": study.sense.model_dump(mode="json"),
        },
        attributes={},
        snapshots=visits * snapshots,
        visits=visits,
        paths=study.trace.max_paths,
        oriented=True,
    )
    split = np.zeros(len(place.points), np.int8)
    if held_out:
        split = _split(study, site, len(place.points))
    return TwinPlan(site, scene, place.table, place.points, place.realisations, split, spec)


def _split(study: Study, site: str, points: int) -> npt.NDArray[np.int8]:
    order = stream(study.seed, "split", site).permutation(points)
    split = np.full(points, SPLITS.index("test"), np.int8)
    split[order[: round(_REFERENCE_SHARE * points)]] = SPLITS.index("reference")
    return split


@lru_cache(maxsize=8)
def _known_plan(
    study_json: str, room: int, backend: tuple[tuple[str, str], ...], held_out: bool
) -> TwinPlan:
    study = validate_study(study_json)
    make = plan_held_out if held_out else plan_twin
    return make(study, study.rooms[room], dict(backend))


def validate_study(study_json: str) -> Study:
    """A study from its canonical JSON."""
    return validate(json.loads(study_json), Study, where="study")


def trace_job(
    study_json: str,
    room: int,
    held_out: bool,
    backend: tuple[tuple[str, str], ...],
    store: str,
    realisation: int,
    config_digest: str,
) -> dict[str, JsonValue]:
    """Trace one realisation, let the receivers hear it, write it: one idempotent job.

    Takes plain values only, so that it can run in any process that reaches the store.

    Returns:
        What tracer and receiver say of the block: arguments as used, versions, conventions.

    Raises:
        TraceError, BackendError: the solver; nothing is written then.
        StoreError: the store refused the block, or the scene is no longer what the site was laid
            out for.
    """
    plan = laid_out(_known_plan, config_digest, study_json, room, backend, held_out)
    study = validate_study(study_json)
    drawn = plan.realisations[realisation]
    traced = trace(drawn.scene, study.trace, drawn.points(), engine=ENGINE)
    visits = plan.spec.visits
    heard = sense(
        traced,
        study.sense,
        study.seed,
        plan.scene.name,
        drawn.index,
        visits,
        plan.spec.snapshots // visits,
    )
    block = traced.drop_vars(_NOT_STORED, errors="ignore").rename(rss="received_power")
    block["rss"], block["rtt"] = heard["rss"], heard["rtt"]
    block["split"] = (("point",), plan.split)
    everything = slice(0, len(plan.points))
    write_shard(store, plan.site, realisation, everything, block, config_digest)
    return of_all_realisations({**traced.attrs, **heard.attrs})
