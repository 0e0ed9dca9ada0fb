"""Ray-traced environments of MetaLoc's experiments in a store: library scenes, day by day.

A site of packets holds bursts of channel state information, as MetaLoc's hall and lab were
measured; a site of levels holds received powers only, as its scenarios S1 to S6 have. Both are
realisations of one scene, and a day is a number of them one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field, JsonValue

from flows.simulated_site import ENGINE, draw_place, of_all_realisations, site_spec
from flows.tracing import laid_out, trace_pending
from twin.config import StrictModel, validate
from twin.perturb.realise import Realisation
from twin.perturb.table import PerturbationTable
from twin.scene.declaration import Scene
from twin.sense.packets import PacketModel, sense_packets
from twin.sense.receiver import SenseModel, sense
from twin.store.schema import SEARCH_VARIABLES
from twin.store.spec import SiteSpec
from twin.store.writer import claimed, create_site, write_shard
from twin.trace.engine import TraceSettings, trace

Count = Annotated[int, Field(ge=1, le=10_000)]

_TRACED = ("position", "status", "ap_position", "los", *SEARCH_VARIABLES)
_VARIABLES = {
    "levels": ("received_power", "los", "rss", *SEARCH_VARIABLES),
    "packets": ("received_power", "los", "rss", "reported_csi", *SEARCH_VARIABLES),
}


class Packets(StrictModel):
    """Channel state information, see `twin.sense.packets`.

    Attributes:
        kind: tells it from `Levels`.
        bursts: of a realisation and point.
        packets: of a burst; fifty make an image of MetaLoc's.
        model: the receiver.
    """

    kind: Literal["packets"] = "packets"
    bursts: Count = 4
    packets: Count = 50
    model: PacketModel = PacketModel()

    @property
    def sizes(self) -> tuple[int, int]:
        """Visits, and scans of all of them: one receiver hears all bursts."""
        return 1, self.bursts * self.packets


class Levels(StrictModel):
    """Received powers, see `twin.sense.receiver`.

    Attributes:
        kind: tells it from `Packets`.
        visits: receivers sent through each realisation.
        snapshots: scans a point and visit.
        model: the receiver.
    """

    kind: Literal["levels"] = "levels"
    visits: Count = 1
    snapshots: Count = 4
    model: SenseModel = SenseModel()

    @property
    def sizes(self) -> tuple[int, int]:
        """Visits, and scans of all of them."""
        return self.visits, self.visits * self.snapshots


class SiteRequest(StrictModel):
    """Everything that decides a site, beside its scene.

    Attributes:
        scene: name of a library scene, or path of a scene file.
        realisations: from number 0.
        seed: of draws and receivers.
        trace: how paths are searched.
        report: what the receivers report.
    """

    scene: str = Field(min_length=1)
    realisations: Annotated[int, Field(ge=1, le=100_000)]
    seed: Annotated[int, Field(ge=0)] = 1
    trace: TraceSettings = TraceSettings()
    report: Annotated[Packets | Levels, Field(discriminator="kind")] = Packets()


@dataclass(frozen=True, eq=False)
class SitePlan:
    """A site, before anything is traced.

    Attributes:
        request: what was asked for.
        scene: as declared.
        table: what is uncertain about it.
        realisations: all draws.
        spec: what the store is told.
    """

    request: SiteRequest
    scene: Scene
    table: PerturbationTable
    realisations: tuple[Realisation, ...]
    spec: SiteSpec

    @property
    def site(self) -> str:
        """Name in the store: that of the scene."""
        return self.scene.name


def days_of(table: PerturbationTable, realisations: int) -> npt.NDArray[np.int64]:
    """Day (realisations,) of realisations 0, 1, ...: what varies daily is one draw for all of it.

    A day that is not whole counts as one.
    """
    return np.arange(realisations, dtype=np.int64) // table.realisations_per_day


def plan_site(request: SiteRequest, backend: Mapping[str, str]) -> SitePlan:
    """The site of a request, named as its scene.

    Args:
        request: what is wanted.
        backend: the ray tracer's variant and versions, part of what decides the content.

    Raises:
        InputError: the scene or its table has faults, a draw gives a place that cannot be, or
            carriers or bandwidths that one site cannot hold.
    """
    place = draw_place(request.scene, request.seed, range(request.realisations))
    days = [int(day) for day in days_of(place.table, request.realisations)]
    visits, snapshots = request.report.sizes
    spec = site_spec(
        place,
        backend,
        labels=[f"day {day}, realisation {index}" for index, day in enumerate(days)],
        variables=_VARIABLES[request.report.kind],
        config={"request": request.model_dump(mode="json", exclude={"scene"})},
        attributes={"day": list(days), **_bursts(request.report)},
        snapshots=snapshots,
        visits=visits,
    )
    return SitePlan(request, place.scene, place.table, place.realisations, spec)


def _bursts(report: Packets | Levels) -> dict[str, JsonValue]:
    """How the snapshots are split, where no variable of the store says it."""
    if isinstance(report, Levels):
        return {}
    return {"bursts": report.bursts, "packets_per_burst": report.packets}


@lru_cache(maxsize=8)
def _known_plan(request_json: str, backend: tuple[tuple[str, str], ...]) -> SitePlan:
    request = validate(json.loads(request_json), SiteRequest, where="site")
    return plan_site(request, dict(backend))


def trace_site_job(
    request_json: str,
    backend: tuple[tuple[str, str], ...],
    store: str,
    realisation: int,
    config_digest: str,
) -> dict[str, JsonValue]:
    """Trace one realisation, let the receivers hear it, write it: one idempotent job.

    Takes plain values only, so that it can run in any process that reaches the store.

    Args:
        request_json: a `SiteRequest` as JSON.
        backend: names and values of `plan_site`'s.
        store: path or URL of a store with the site laid out.
        realisation: number of the realisation.
        config_digest: of the site's spec, as `create_site` gave it.

    Returns:
        What tracer and receiver say of the block: arguments as used, versions, conventions.

    Raises:
        TraceError, BackendError: the solver; nothing is written then.
        StoreError: the store refused the block, or the scene is no longer what the site was laid
            out for.
    """
    plan = laid_out(_known_plan, config_digest, request_json, backend)
    return _trace_into(store, plan, realisation)


def ensure_site(store: str, plan: SitePlan, provenance: Mapping[str, JsonValue]) -> str:
    """Have a site in a store, whole and published; what is done already is not done again.

    Args:
        store: path or URL of the store; created where there is none.
        plan: the site.
        provenance: what runs this, see `twin.store.writer.create_site`; in no digest.

    Returns:
        Digest of the site's content.

    Raises:
        InputError: the store cannot be written, or has the site with another spec.
        TraceError, BackendError: the solver; finished realisations stay.
        StoreError: another run has the site, or the store refuses.
    """
    with claimed(store, plan.site):
        create_site(store, plan.site, plan.spec, provenance=provenance)
        return trace_pending(
            store, plan, lambda realisation: partial(_trace_into, store, plan, realisation)
        )


def _trace_into(store: str, plan: SitePlan, realisation: int) -> dict[str, JsonValue]:
    drawn = plan.realisations[realisation]
    traced = trace(drawn.scene, plan.request.trace, drawn.points(), engine=ENGINE)
    heard = _heard(plan, traced, realisation)
    block = traced[[*_TRACED]].assign(received_power=traced["rss"], rss=heard["rss"])
    if "reported_csi" in heard:
        block["reported_csi"] = heard["reported_csi"]
    everything = slice(0, plan.spec.points)
    write_shard(store, plan.site, realisation, everything, block, plan.spec.digest)
    return of_all_realisations({**traced.attrs, **heard.attrs})


def _heard(plan: SitePlan, traced: xr.Dataset, realisation: int) -> xr.Dataset:
    """What the receivers report of a traced realisation."""
    report, seed, scene = plan.request.report, plan.request.seed, plan.scene.name
    if isinstance(report, Packets):
        return sense_packets(
            traced, report.model, seed, scene, realisation, report.bursts, report.packets
        )
    # Without its paths: ranges would cost time, and change no level.
    return sense(
        traced.drop_vars(["path_gain", "delay"]),
        report.model,
        seed,
        scene,
        realisation,
        report.visits,
        report.snapshots,
    )
