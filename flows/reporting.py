"""From a run's results to ``metrics.json`` and ``report.html``."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from flows.generation import TwinPlan
from flows.learning import REALIGNED
from flows.preparation import Prepared
from flows.screen import say
from twin.evaluate.metrics import differences_to, summarise
from twin.evaluate.records import Errors, Record, write_metrics
from twin.evaluate.report.content import (
    DataSource,
    Method,
    Pairing,
    Perturbed,
    Plain,
    ReportContent,
    RoomContent,
    SignalMap,
)
from twin.evaluate.report.page import write_report
from twin.measured.registry import WIFI_RTT_ROOMS
from twin.perturb.table import Quantity
from twin.scene.draw import plan as draw_plan
from twin.store.reader import Environment, environments
from twin.store.verify import digest

HERO, REFERENCE, HEADLINE_LABELS = "metaloc", "knn", 3
Array = npt.NDArray[np.float64]

METHODS = (
    Method(
        "metaloc",
        "MetaLoc (adapted twin)",
        "Meta-learned (MAML) on the twin's realisations; aligned on the k labels, then adapted to "
        "them by a few gradient steps.",
    ),
    Method(
        "metaloc_unlabelled",
        "MetaLoc, unlabelled align.",
        "The same learner, aligned by the moments of unlabelled fingerprints of the reference "
        "points in place of the labels; adapted to the labels.",
    ),
    Method(
        "metaloc_unaligned",
        "MetaLoc, not aligned",
        "The same learner with real fingerprints as they are; adapted to the labels.",
    ),
    Method(
        "pretraining",
        "Plain pre-training",
        "The same network on the same tasks in the same order, trained without an inner loop; "
        "aligned and adapted the same way.",
    ),
    Method(
        "random_start",
        "Random start",
        "The same network with random weights; aligned and adapted the same way.",
    ),
    Method("knn", "KNN, real labels only", "Nearest of the k labelled points in signal space."),
    Method("wknn", "WKNN, real labels only", "KNN weighted by distance in signal space."),
)


@dataclass(frozen=True, eq=False)
class RoomResult:
    """What a run found out about one room."""

    plan: TwinPlan
    real_site: str
    errors: tuple[Errors, ...]


def write_outputs(
    prepared: Prepared,
    results: Sequence[RoomResult],
    store: Path,
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
            + " and located every scan at test points that nothing had seen before."
        ),
        rooms=tuple(
            _room(prepared, result, records[result.plan.site], store) for result in results
        ),
        methods=METHODS,
        hero=HERO,
        reference=REFERENCE,
        headline_k=_headline(prepared),
        alignment_methods=(HERO, *REALIGNED),
        provenance=_provenance(prepared, store, seconds),
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
    prepared: Prepared, result: RoomResult, records: Sequence[Record], store: Path
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
        outline_m=plan.scene.room.shifted_outline(),
        plan_png=plan_png,
        plan_caption="The scene as declared; the twin's realisations vary around it.",
        maps=_maps(real, plan, grid, expected["rss"], measured["rss"], nearest),
        pairings=(
            Pairing("rss", real.ap, expected["rss"][nearest], measured["rss"]),
            Pairing("rtt", real.ap, expected["rtt"][nearest], measured["rtt"]),
        ),
        assumptions=plan.scene.assumptions,
        solver=_solver(prepared),
        perturbed=tuple(_perturbed(plan)),
    )


def _mean(twin: Sequence[Environment], name: str) -> Array:
    return np.asarray(np.mean([e.point_features(name) for e in twin], axis=0, dtype=np.float64))


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


def _solver(prepared: Prepared) -> dict[str, Plain]:
    arguments = prepared.study.trace.model_dump()
    sense = {f"receiver: {key}": value for key, value in prepared.study.sense.model_dump().items()}
    return {"backend": prepared.backend.variant, **arguments, **sense}


def _perturbed(plan: TwinPlan) -> list[Perturbed]:
    rows = []
    quantities = {quantity.name: quantity for quantity in plan.table.quantities}
    first = plan.realisations[0]
    for name in first.drawn:
        quantity = quantities[name.partition("[")[0]]
        rows.append(
            Perturbed(
                name=name,
                unit=first.units[name],
                declared=_declared(quantity),
                drawn=tuple(_shown(r.drawn[name]) for r in plan.realisations),
            )
        )
    return rows


def _declared(quantity: Quantity) -> str:
    content = quantity.distribution.model_dump(mode="json", exclude_none=True)
    kind = content.pop("kind")
    details = ", ".join(f"{key} {value}" for key, value in content.items())
    return f"{quantity.apply} {kind} ({details})"


def _shown(value: Plain) -> Plain:
    return round(value, 4) if isinstance(value, float) else value


def _provenance(
    prepared: Prepared, store: Path, seconds: Mapping[str, float]
) -> dict[str, dict[str, Plain]]:
    study, info = prepared.study, prepared.backend
    return {
        "Study": {
            "name": study.name,
            "seed": study.seed,
            "realisations": study.twin.realisations,
            "visits a realisation": study.twin.visits,
            "scans a point and visit": study.twin.snapshots,
            "draws of the labelled points": study.protocol.draws,
            "learner seeds": study.learner_seeds,
        },
        "Ray tracing": {
            "backend": info.variant,
            "why": info.reason,
            "devices": ", ".join(info.devices),
            "libLLVM": f"{info.llvm_version}" if info.llvm_version else "not used",
            **info.versions,
        },
        "Digests": {
            "store": digest(store),
            **{f"scene and settings of {plan.site}": plan.spec.digest for plan in prepared.twins},
        },
        "Seconds": dict(seconds),
    }


def _sources() -> tuple[DataSource, ...]:
    data = WIFI_RTT_ROOMS
    return (DataSource(data.title, data.url, data.licence, "; ".join(data.citation)),)
