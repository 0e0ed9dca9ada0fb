"""Which uncertain quantity of a scene matters most: one job a sample, then a ranking.

A factor is a quantity of the perturbation table with all its elements, correlated quantities
together, a move or a placement. A sample is the scene at chosen quantiles of the factors
(`twin.perturb.realise.realise_at`), traced and compared with the scene as declared, point by point.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import JsonValue

from flows.request import sole_run
from flows.sensitivity_plan import (
    NOMINAL,
    Plan,
    Sweep,
    check_samples,
    plan_sweep,
    realisation_of,
    seed_for,
)
from flows.sensitivity_report import (
    OUTPUTS,
    Outcome,
    Ranking,
    as_json,
    as_markdown,
    as_text,
    ranked,
)
from twin.atomic import write_text
from twin.config import validate
from twin.errors import Fault, InputError
from twin.learn.baselines.neighbours import Neighbours
from twin.learn.learner import Labelled
from twin.perturb.realise import nominal
from twin.trace.engine import trace
from twin.units import SPEED_OF_LIGHT_M_PER_S, db

__all__ = [
    "Plan",
    "Sweep",
    "outcomes",
    "plan_sweep",
    "rank",
    "report_sweep",
    "run_sweep",
    "sample_job",
]

Array = npt.NDArray[np.float64]

_NEIGHBOURS = 3


@lru_cache(maxsize=4)
def _known_plan(sweep_json: str, _digest: str) -> Plan:
    """The plan; the digest asked for tells a scene from what it was before somebody edited it."""
    return plan_sweep(validate(json.loads(sweep_json), Sweep, where="sweep"))


@dataclass(frozen=True, eq=False)
class _Heard:
    """What arrives at the points: RSS [dBm] and first-path distance [m], both (n, a); NaN: none."""

    rss: Array
    distance: Array


def sample_job(sweep_json: str, index: int, digest: str) -> dict[str, JsonValue]:
    """Trace one sample and compare it with the scene as declared: one idempotent job.

    Takes plain values only, so that it can run in any process; no sample depends on any other.

    Args:
        sweep_json: a `Sweep` as JSON.
        index: of the sample; `NOMINAL` for the scene as declared.
        digest: of the plan, as `plan_sweep` gave it.

    Returns:
        `index`, and

        - `rss_db`: mean |RSS - RSS of the declared scene| over the links heard in both [dB]. RSS is
          the sum of the powers of all paths, the mean over their phases: a coherent sum would
          change by a fade wherever anything moves a centimetre.
        - `range_m`: likewise of the length of the first path [m].
        - `position_rss_m`, `position_rtt_m`: mean error of locating the sample's fingerprints by
          the three nearest ones of the declared scene at the same points [m].
        - `lost`: share of the links heard in the declared scene that are not heard here.

        The first two are null where no link is heard in both.

    Raises:
        InputError: the sample cannot be, or scene, table or sweep are not those of `digest`.
        TraceError, BackendError: the solver.
    """
    plan = _known_plan(sweep_json, digest)
    if plan.digest != digest:
        expected = "scene and table unchanged during a sweep"
        raise InputError([Fault(plan.scene.name, "digest", expected, "others")])
    declared, position = _declared(sweep_json, digest)
    heard = declared if index == NOMINAL else _traced(plan, index)
    both = np.isfinite(declared.rss) & np.isfinite(heard.rss)
    there = int(np.isfinite(declared.rss).sum())
    return {
        "index": index,
        "rss_db": _mean(np.abs(heard.rss - declared.rss)[both]),
        "range_m": _mean(np.abs(heard.distance - declared.distance)[both]),
        "position_rss_m": _position_error("rss", declared.rss, heard.rss, position),
        "position_rtt_m": _position_error("rtt", declared.distance, heard.distance, position),
        "lost": 1.0 - int(both.sum()) / there if there else 0.0,
    }


@lru_cache(maxsize=4)
def _declared(sweep_json: str, digest: str) -> tuple[_Heard, Array]:
    plan = _known_plan(sweep_json, digest)
    return _traced(plan, NOMINAL), nominal(plan.scene).points()[:: plan.sweep.every, :2]


def _traced(plan: Plan, index: int) -> _Heard:
    made = realisation_of(plan, index)
    data = trace(made.scene, plan.sweep.trace, made.points()[:: plan.sweep.every])
    power = np.array([ap.power_dbm for ap in made.scene.access_points])
    rss = power + db(_path_power(data))
    heard = np.isfinite(rss) & (rss >= plan.sweep.threshold_dbm)
    distance = data["toa"].to_numpy() * SPEED_OF_LIGHT_M_PER_S
    return _Heard(np.where(heard, rss, np.nan), np.where(heard, distance, np.nan))


def _path_power(data: xr.Dataset) -> Array:
    """Sum of the powers (n, a) of all paths, those beyond the ones kept included."""
    gain = data["path_gain"].to_numpy().astype(np.complex128)
    kept = (gain.real**2 + gain.imag**2).sum(axis=-1)
    return np.asarray(kept + data["power_left_out"].to_numpy().astype(np.float64))


def _mean(values: Array) -> float | None:
    return float(values.mean()) if values.size else None


def _position_error(
    feature: Literal["rss", "rtt"], declared: Array, heard: Array, position: Array
) -> float:
    learner = Neighbours(feature, declared.shape[1], _NEIGHBOURS, "uniform")
    learner.adapt(Labelled(declared, position, np.empty((0, declared.shape[1]))))
    located = learner.locate(heard).position
    return float(np.linalg.norm(located - position, axis=1).mean())


def outcomes(plan: Plan, records: Sequence[dict[str, JsonValue]]) -> list[Outcome]:
    """Records of all jobs as the outputs (samples,) that are ranked, each with its nominal value.

    Raises:
        ValueError: a job's record is missing.
    """
    by_index = {int(str(record["index"])): record for record in records}
    missing = sorted({NOMINAL, *range(len(plan.numbers))} - set(by_index))
    if missing:
        raise ValueError(f"records of all jobs: expected, found none of {missing[:5]}")
    found = []
    for name in ("range_m", "rss_db", "position_rtt_m", "position_rss_m"):
        values = [by_index[index][name] for index in range(len(plan.numbers))]
        silent = sum(value is None for value in values)
        found.append(
            Outcome(
                name,
                np.array([np.nan if value is None else value for value in values], dtype=float),
                float(str(by_index[NOMINAL][name])) if by_index[NOMINAL][name] is not None else 0.0,
                silent,
            )
        )
    return found


def rank(plan: Plan, records: Sequence[dict[str, JsonValue]]) -> list[Ranking]:
    """Factors by what they matter, for every output that all samples have."""
    seed = seed_for(plan.sweep, plan.scene.name, "intervals")
    return [
        ranked(
            plan.sweep.design, outcome, tuple(plan.factors), plan.problem, plan.unit_sample, seed
        )
        for outcome in outcomes(plan, records)
        if outcome.silent == 0
    ]


def report_sweep(
    sweep: Sweep, out: Path, advanced: Callable[[int, int], None] | None = None
) -> str:
    """Run a sweep and write ``sensitivity.json`` and ``sensitivity.md`` beside its samples.

    Args:
        sweep: what to do.
        out: folder of the results; a sweep that was killed there goes on.
        advanced: see `run_sweep`.

    Returns:
        The ranking as text.

    Raises:
        InputError: see `run_sweep`; another run is using the folder.
    """
    with sole_run(out):
        plan, records = run_sweep(sweep, out / "samples.jsonl", advanced)
        rankings = rank(plan, records)
        write_text(out / "sensitivity.json", as_json(rankings))
        left_out = [outcome for outcome in outcomes(plan, records) if outcome.silent]
        notes = [
            f"{OUTPUTS[outcome.name][0]}: not ranked, {outcome.silent} samples have none.\n"
            for outcome in left_out
        ]
        write_text(out / "sensitivity.md", "\n".join([as_markdown(rankings), *notes]))
        return "\n".join([as_text(rankings), *notes])


def run_sweep(
    sweep: Sweep, samples_file: Path, advanced: Callable[[int, int], None] | None = None
) -> tuple[Plan, list[dict[str, JsonValue]]]:
    """Do all jobs of a sweep here, one after the other; goes on where a killed one stopped.

    Args:
        sweep: what to do.
        samples_file: JSON lines, one a finished job; what is there is not done again.
        advanced: told after each job how many are done, of how many.

    Raises:
        InputError: as `plan_sweep` and `check_samples`, before any job; the file holds samples of
            another sweep.
    """
    plan = plan_sweep(sweep)
    records = _finished(samples_file, plan.digest)
    done = {record["index"] for record in records}
    wanted = [index for index in (NOMINAL, *range(len(plan.numbers))) if index not in done]
    if wanted:
        check_samples(plan)
    sweep_json = sweep.model_dump_json()
    total = len(plan.numbers) + 1
    samples_file.parent.mkdir(parents=True, exist_ok=True)
    with samples_file.open("a", encoding="utf-8") as file:
        for index in wanted:
            record = sample_job(sweep_json, index, plan.digest)
            records.append(record)
            file.write(json.dumps({"digest": plan.digest, **record}, allow_nan=False) + "\n")
            file.flush()
            if advanced is not None:
                advanced(len(records), total)
    return plan, sorted(records, key=lambda record: int(str(record["index"])))


def _finished(samples_file: Path, digest: str) -> list[dict[str, JsonValue]]:
    """Records of a file; a last line that was cut short is taken off it."""
    if not samples_file.exists():
        return []
    text = samples_file.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        with samples_file.open("r+b") as file:
            file.truncate(len(whole))
    records = [json.loads(line) for line in whole.splitlines()]
    if any(record.pop("digest", None) != digest for record in records):
        cure = "Name another file, or remove this one"
        expected = "samples of this sweep, scene and table"
        raise InputError([Fault(str(samples_file), "digest", expected, "others", cure)])
    return records
