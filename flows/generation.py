"""From a study to the twin's realisations in a store: the plan, and one job of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from flows.study import Room, Study
from flows.tracing import laid_out
from twin.config import validate
from twin.errors import Fault, InputError
from twin.perturb.library import load_table
from twin.perturb.realise import Realisation, realise
from twin.perturb.table import PerturbationTable
from twin.scene.declaration import Scene, scene_digest
from twin.scene.library import load_scene
from twin.scene.receivers import receiver_points
from twin.seeds import stream
from twin.sense.receiver import sense
from twin.store.content import json_digest
from twin.store.schema import CHANNEL_VARIABLES, FINGERPRINT_VARIABLES, SEARCH_VARIABLES, SPLITS
from twin.store.spec import SiteSpec, drawn_quantities, vectors
from twin.store.writer import write_shard
from twin.trace.engine import trace

ENGINE = "chains"
_HELD_OUT_SNAPSHOTS = 20
_REFERENCE_SHARE = 0.73
# What a trace says that the site says for all, or that draws say realisation by realisation.
_NOT_STORED = ("ap_active", "ap_bandwidth", "ap_frequency", "ap_orientation", "ap_ports")
#: Attributes that say something of one realisation only, and so stand in no site.
OF_ONE_REALISATION = frozenset(
    {"scene_digest", "sense_realisation", "rain_mm_per_h", "rain_model", "layers"}
)


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
    scene, table = load_place(room.scene)
    points = receiver_points(scene)
    realisations = tuple(realise(scene, table, study.seed, index) for index in indices)
    site = f"{scene.name}_held_out" if held_out else scene.name
    visits, snapshots = study.twin.visits, study.twin.snapshots
    if held_out:
        visits, snapshots = 1, _HELD_OUT_SNAPSHOTS
    spec = SiteSpec(
        title=scene.title,
        origin="simulated",
        realisations=tuple(f"realisation {index}" for index in indices),
        points=len(points),
        access_points=tuple(ap.name for ap in scene.access_points),
        variables=(*CHANNEL_VARIABLES, *FINGERPRINT_VARIABLES, *SEARCH_VARIABLES, "split"),
        ap_position_m=vectors(
            np.array([[ap.position_m for ap in r.scene.access_points] for r in realisations])
        ),
        ap_orientation_rad=vectors(
            np.deg2rad(
                [
                    [(ap.yaw_deg, ap.pitch_deg, ap.roll_deg) for ap in r.scene.access_points]
                    for r in realisations
                ]
            )
        ),
        ap_frequency_hz=carriers_hz(scene, realisations),
        snapshots=visits * snapshots,
        visits=visits,
        paths=study.trace.max_paths,
        ap_antennas=max(ap.ports for ap in scene.access_points),
        subcarriers=scene.subcarriers,
        subcarrier_spacing_hz=bandwidth_hz(scene, realisations) / scene.subcarriers,
        drawn=drawn_quantities([r.drawn for r in realisations], realisations[0].units),
        # One job a realisation: the receiver's errors are drawn for all its points at once.
        shard_points=len(points),
        config={
            "seed": study.seed,
            "first_realisation": indices.start,
            "engine": ENGINE,
            "backend": dict(backend),
            "trace": study.trace.model_dump(mode="json"),
            "sense": study.sense.model_dump(mode="json"),
            "scene": scene_digest(scene),
            "perturbation": json_digest(table.model_dump(mode="json", by_alias=True)),
        },
        attributes={
            "source": scene.source,
            "assumptions": list(scene.assumptions),
            "scene": scene.model_dump(mode="json", by_alias=True),
            "perturbation": table.model_dump(mode="json", by_alias=True),
        },
    )
    split = np.zeros(len(points), np.int8)
    if held_out:
        split = _split(study, site, len(points))
    return TwinPlan(site, scene, table, points, realisations, split, spec)


def load_place(reference: str) -> tuple[Scene, PerturbationTable]:
    """A scene, by its name in the library or its file, and the table beside it.

    Raises:
        InputError: either has faults.
    """
    scene = load_scene(reference)
    file = reference.endswith((".yaml", ".yml"))
    return scene, load_table(str(Path(reference).parent) if file else reference, scene)


def carriers_hz(scene: Scene, realisations: Sequence[Realisation]) -> tuple[float, ...]:
    """The carrier of each access point, which is one for all realisations of a site.

    Raises:
        InputError: realisations differ.
    """
    found = [tuple(r.scene.carrier_hz(ap) for ap in r.scene.access_points) for r in realisations]
    differing = [carriers for carriers in found if carriers != found[0]]
    if differing:
        expected = "carriers that are the same in all realisations of a site"
        shown = " and ".join(
            ", ".join(f"{value / 1e9:g}" for value in carriers) + " GHz"
            for carriers in (found[0], differing[0])
        )
        cure = "Take the carrier out of the perturbation table; make a scene of each instead"
        raise InputError([Fault(scene.name, "frequency_ghz", expected, shown, cure)])
    return found[0]


def bandwidth_hz(scene: Scene, realisations: Sequence[Realisation]) -> float:
    """The one bandwidth of all access points in all realisations: a site has one spacing.

    Raises:
        InputError: there are several.
    """
    found = {r.scene.band_hz(ap) for r in realisations for ap in r.scene.access_points}
    if len(found) > 1:
        expected = "one bandwidth for all access points of a site"
        shown = ", ".join(f"{value / 1e6:g} MHz" for value in sorted(found))
        cure = "Make a scene, and so a site, of each bandwidth"
        raise InputError([Fault(scene.name, "bandwidth_mhz", expected, shown, cure)])
    return found.pop()


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
    said = {**traced.attrs, **heard.attrs}
    return {key: value for key, value in said.items() if key not in OF_ONE_REALISATION}
