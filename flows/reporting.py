"""From a run's results to ``metrics.json`` and ``report.html``."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue
from scipy.spatial import cKDTree

from flows.generation import TwinPlan
from flows.learning import VARIANTS
from flows.methods import HERO, METHODS, REFERENCE
from flows.preparation import Prepared
from flows.screen import say
from flows.statements import (
    declared,
    knowledge,
    procedure,
    rearrangement,
    receiver_facts,
    unit,
)
from twin.evaluate.metrics import differences_to, summarise
from twin.evaluate.records import Errors, Record, write_metrics
from twin.evaluate.report.content import (
    DataSource,
    Pairing,
    Perturbed,
    Plain,
    ReportContent,
    RoomContent,
    SignalMap,
)
from twin.evaluate.report.page import write_report
from twin.learn.presets import small
from twin.measured.registry import WIFI_RTT_ROOMS
from twin.perturb.objects import object_draws
from twin.perturb.table import Move, Placement
from twin.scene.draw import plan as draw_plan
from twin.scene.levels import outline_m
from twin.store.reader import Environment, environments, open_site

HEADLINE_LABELS = 3
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RoomResult:
    """What a run found out about one room."""

    plan: TwinPlan
    real_site: str
    errors: tuple[Errors, ...]


def write_outputs(
    prepared: Prepared,
    results: Sequence[RoomResult],
    store: str,
    seconds: Mapping[str, float],
    command: str,
) -> Path:
    """Write ``metrics.json`` and ``report.html``; gives the report's path."""
    seed = prepared.study.protocol.seed
    records = {r.plan.site: [summarise(e, seed) for e in r.errors] for r in results}
    write_metrics(
        prepared.out / "metrics.json", [record for room in records.values() for record in room]
    )
    for result in results:
        _say_verdict(result.plan.scene.title, records[result.plan.site])
    content = ReportContent(
        banner=prepared.reality.banner,
        real=prepared.reality.measured,
        title="How wrong is a localizer that learned in a digital twin?",
        introduction=(
            "Each room was declared as a scene, perturbed, ray-traced and heard by simulated "
            "receivers. Learners trained on that twin alone were given k labelled points of the "
            + ("real room" if prepared.reality.measured else "stand-in room")
            + " and located every scan at test points that no method had seen."
        ),
        notes={
            "What the twin knew": knowledge(prepared),
            "How the errors were measured": procedure(
                prepared, [record for room in records.values() for record in room]
            ),
        },
        rooms=tuple(
            _room(prepared, result, records[result.plan.site], store) for result in results
        ),
        methods=METHODS,
        hero=HERO,
        reference=REFERENCE,
        headline_k=_headline(prepared),
        alignment_methods=(HERO, *VARIANTS["metaloc"]),
        provenance=_provenance(prepared, store, [r.real_site for r in results], seconds),
        command=command,
        sources=_sources() if prepared.reality.measured else (),
    )
    path = prepared.out / "report.html"
    write_report(path, content)
    return path


def _headline(prepared: Prepared) -> int:
    labels = prepared.study.protocol.labels
    return HEADLINE_LABELS if HEADLINE_LABELS in labels else labels[0]


def _say_verdict(title: str, records: Sequence[Record]) -> None:
    say(f"{title}:")
    for feature in dict.fromkeys(record.feature for record in records):
        for k in sorted({record.k for record in records}):
            cell = {r.method: r for r in records if r.feature == feature and r.k == k}
            mine, theirs = cell[HERO], cell[REFERENCE]
            say(
                f"  {feature:8} k = {k:2}: adapted twin {mine.mean_error_m:.2f} m "
                f"({mine.ci_low:.2f} to {mine.ci_high:.2f}), KNN on the same labels "
                f"{theirs.mean_error_m:.2f} m ({theirs.ci_low:.2f} to {theirs.ci_high:.2f})"
            )


def _room(
    prepared: Prepared, result: RoomResult, records: Sequence[Record], store: str
) -> RoomContent:
    plan = result.plan
    twin = environments(store, plan.site)
    real = environments(store, result.real_site)[0]
    position = np.asarray(real.position[:, :2], dtype=np.float64)
    grid = np.asarray(plan.points[:, :2])
    nearest = np.asarray(cKDTree(grid).query(position)[1])
    expected = {name: _mean(twin, name) for name in ("rss", "rtt")}
    measured = {
        name: np.asarray(real.point_features(name), dtype=np.float64) for name in ("rss", "rtt")
    }
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "plan.png"
        draw_plan(plan.scene, picture)
        plan_png = picture.read_bytes()
    return RoomContent(
        name=plan.site,
        title=plan.scene.title,
        records=tuple(records),
        errors=result.errors,
        differences=differences_to(REFERENCE, result.errors, prepared.study.protocol.seed),
        outline_m=outline_m(plan.scene),
        plan_png=plan_png,
        plan_caption="The scene as declared; the twin's realisations vary around it.",
        maps=_maps(real, plan, grid, expected["rss"], measured["rss"], nearest),
        pairings=(
            Pairing("rss", real.ap, expected["rss"][nearest], measured["rss"]),
            Pairing("rtt", real.ap, expected["rtt"][nearest], measured["rtt"]),
        ),
        maps_note=(
            "The twin's RSS is the mean over its realisations, shifted by the offset of the access "
            "point in the table above, for the eye alone; no learner sees that shift."
        ),
        given=plan.scene.source,
        assumptions=plan.scene.assumptions,
        solver=_solver(plan, twin[0].attrs),
        perturbed=tuple(_perturbed(plan)),
    )


def _mean(twin: Sequence[Environment], name: str) -> Array:
    """Mean over the visits that heard an access point; NaN where none did."""
    values = np.array([e.point_features(name) for e in twin], dtype=np.float64)
    heard = np.isfinite(values)
    count = heard.sum(axis=0)
    total = np.where(heard, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _maps(
    real: Environment,
    plan: TwinPlan,
    grid: Array,
    expected: Array,
    measured: Array,
    nearest: npt.NDArray[np.intp],
) -> tuple[SignalMap, ...]:
    """RSS maps, the twin's shifted by the mean difference over all points, for the eye alone."""
    shift = np.nanmean(measured - expected[nearest], axis=0)
    where = np.array([ap.position_m for ap in plan.scene.access_points])
    return tuple(
        SignalMap(
            access_point=name,
            access_point_m=where[index],
            twin_m=grid,
            twin_dbm=expected[:, index] + shift[index],
            real_m=np.asarray(real.position[:, :2], dtype=np.float64),
            real_dbm=measured[:, index],
            real_test=real.is_test,
        )
        for index, name in enumerate(real.ap)
    )


def _solver(plan: TwinPlan, attributes: Mapping[str, JsonValue]) -> dict[str, Plain]:
    """Arguments as the tracer said it used them, read back from the store."""
    said = attributes["traced"]
    traced = said if isinstance(said, dict) else {}
    return {
        **{
            key.removeprefix("trace_"): value
            for key, value in traced.items()
            if isinstance(value, str | int | float) and not key.startswith("sense_")
        },
        "receiver points": len(plan.points),
        "realisations": len(plan.realisations),
        "carrier [GHz]": plan.scene.frequency_ghz,
        "bandwidth [MHz]": plan.scene.bandwidth_mhz,
        "subcarriers": plan.scene.subcarriers,
    }


def _perturbed(plan: TwinPlan) -> list[Perturbed]:
    """A row a quantity of the table, the draws of all its elements together."""
    drawn: dict[str, list[str]] = {}
    for name in plan.realisations[0].drawn:
        drawn.setdefault(name.partition("[")[0], []).append(name)
    rows = []
    for quantity in plan.table.quantities:
        names = drawn.get(quantity.name, [])
        elements = tuple(name.partition("[")[2].rstrip("]") for name in names)
        rows.append(
            Perturbed(
                name=quantity.name,
                elements=tuple(element for element in elements if element),
                unit=unit(quantity),
                declared=declared(quantity),
                reason=quantity.description,
                drawn=tuple(r.drawn[name] for name in names for r in plan.realisations),
            )
        )
    return rows + _rearranged(plan)


def _rearranged(plan: TwinPlan) -> list[Perturbed]:
    """A row for each part of what is drawn for a move or a placement, of all its things."""
    draws = list(object_draws(plan.table, plan.scene))
    rows = []
    owners: list[Move | Placement] = [*plan.table.moves, *plan.table.placements]
    for owner in owners:
        for part in ("present", "x", "y", "turn"):
            mine = [d for d in draws if d.key.partition("[")[0] == f"{owner.name}_{part}"]
            if mine:
                rows.append(
                    Perturbed(
                        name=f"{owner.name}_{part}",
                        elements=tuple(draw.furniture for draw in mine),
                        unit="" if mine[0].unit == "1" else mine[0].unit,
                        declared=rearrangement(owner),
                        reason=owner.description or "",
                        drawn=tuple(r.drawn[d.key] for d in mine for r in plan.realisations),
                    )
                )
    return rows


def _provenance(
    prepared: Prepared, store: str, real_sites: Sequence[str], seconds: Mapping[str, float]
) -> dict[str, dict[str, Plain]]:
    study, info = prepared.study, prepared.backend
    outer_steps = study.learner.outer_steps if study.learner else None
    return {
        "Study": {
            "name": study.name,
            "seed": study.seed,
            "realisations": study.twin.realisations,
            "visits a realisation": study.twin.visits,
            "scans a point and visit": study.twin.snapshots,
            "draws of the labelled points": study.protocol.draws,
            "trainings of each learner": study.learner_seeds,
            "outer steps of a training": small("metaloc", outer_steps).outer_steps,
        },
        "Ray tracing": {
            "backend": info.variant,
            "why": info.reason,
            "devices": ", ".join(info.devices),
            "libLLVM": f"{info.llvm_version}" if info.llvm_version else "not used",
        },
        "Software": {
            "fingertwin": version("fingertwin"),
            "python": platform.python_version(),
            **info.versions,
            **{name: version(name) for name in ("tensorflow-cpu", "keras", "scikit-learn")},
        },
        "Errors of the simulated receiver": receiver_facts(study.sense),
        "Digests": {
            **{
                site: str(open_site(store, site).attrs["digest"])
                for plan, real_site in zip(prepared.twins, real_sites, strict=True)
                for site in (plan.site, real_site)
            },
            **{f"scene and settings of {plan.site}": plan.spec.digest for plan in prepared.twins},
        },
        "Seconds of this run": {
            **{stage: round(taken, 1) for stage, taken in seconds.items()},
            "together": round(sum(seconds.values()), 1),
        },
    }


def _sources() -> tuple[DataSource, ...]:
    data = WIFI_RTT_ROOMS
    return (DataSource(data.title, data.url, data.licence, "; ".join(data.citation)),)
