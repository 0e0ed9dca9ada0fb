"""Settings of MetaLoc and of the baselines that adapt by gradient steps, compared on twins alone.

    python -m benchmarks.learner_settings out/demo/store.zarr [--quick]

The last three realisations of each twin stand in for real places; learners are fitted on the
others. The real rooms have no part in it, so that what is chosen here has not seen the points it is
later judged on. Every method is tried with the same inner rates. Writes
``benchmarks/results/learner_settings.json`` (records with ``room``, ``feature``, ``method``,
``setting``, ``k``, ``mean_error_m``) and a table beside it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from twin.evaluate.protocols import SimToReal, sim_to_real
from twin.learn.baselines.gradient import PlainPretraining, RandomStart
from twin.learn.features import Feature
from twin.learn.gradient_learner import GradientLearner
from twin.learn.metaloc import MetaLoc
from twin.learn.presets import SMALL, GradientSettings
from twin.seeds import stream
from twin.store.reader import Environment, environments

RESULTS = Path(__file__).parent / "results"
HELD_OUT = 3
SEED = 1
RATES = (0.1, 0.05, 0.025, 0.0125, 0.005, 0.0025, 0.001)
PROTOCOL = SimToReal(labels=(1, 3, 5, 10, 20), draws=6, seed=SEED)
CELLS: tuple[tuple[str, Feature], ...] = (
    ("lecture_theatre", "rss"),
    ("lecture_theatre", "rtt"),
    ("office_wing", "rss"),
    ("office_wing", "rtt"),
)


@dataclass(frozen=True)
class Cell:
    """Environments to learn from and places to be located in."""

    room: str
    feature: Feature
    training: tuple[Environment, ...]
    places: tuple[Environment, ...]


def as_place(environment: Environment) -> Environment:
    """A twin's environment with reference and test points drawn at random, three to one."""
    points = environment.points
    order = stream(SEED, "held out", environment.site, environment.realisation).permutation(points)
    split = np.full(points, "reference", dtype="<U9")
    split[order[: points // 4]] = "test"
    return replace(environment, split=split)


def cells(store: Path) -> Iterator[Cell]:
    """The four cells of room and feature."""
    for room, feature in CELLS:
        twin = environments(store, room)
        first = max(e.realisation for e in twin) + 1 - HELD_OUT
        yield Cell(
            room,
            feature,
            tuple(e for e in twin if e.realisation < first),
            tuple(as_place(e) for e in twin if e.realisation >= first and e.visit == 0),
        )


def fitted(
    kind: type[GradientLearner], cell: Cell, steps: int, **changes: object
) -> GradientLearner:
    """A learner of the cell with changed settings."""
    values = {**SMALL.model_dump(), "outer_steps": steps, **changes}
    learner = kind(GradientSettings(**values), cell.feature, len(cell.training[0].ap), SEED)
    learner.fit(cell.training)
    return learner


def candidates(cell: Cell, steps: int) -> Iterator[tuple[str, str, GradientLearner]]:
    """Method, setting, learner. Only MetaLoc's training depends on the inner rate."""
    for rate in RATES:
        yield "metaloc", f"inner rate {rate}", fitted(MetaLoc, cell, steps, inner_rate=rate)
    yield "metaloc", "second order", fitted(MetaLoc, cell, steps, first_order=False)
    yield "metaloc", "ten inner steps", fitted(MetaLoc, cell, steps, inner_steps=10)
    for method, kind in (("pretraining", PlainPretraining), ("random_start", RandomStart)):
        learner = fitted(kind, cell, steps)
        for rate in RATES:
            yield method, f"inner rate {rate}", learner.adapting_with(inner_rate=rate)
        yield method, "not adapted", learner.adapting_with(inner_steps=0)


def table(records: list[dict[str, object]]) -> str:
    """Mean over k of each method and setting, a column a cell, as Markdown."""
    columns = list(dict.fromkeys((r["room"], r["feature"]) for r in records))
    rows = list(dict.fromkeys((r["method"], r["setting"]) for r in records))
    lines = [
        "Mean error [m] over k = 1, 3, 5, 10, 20 on held-out realisations of the twins; made by",
        "`python -m benchmarks.learner_settings out/demo/store.zarr` on the demo's store. Settings",
        f"that are not named are those of the preset (inner rate {SMALL.inner_rate}, first order).",
        "",
        "| method | setting | "
        + " | ".join(f"{room}, {feature}" for room, feature in columns)
        + " | mean |",
        "|---|---|" + "---|" * (len(columns) + 1),
    ]
    for method, setting in rows:
        means = [
            np.mean(
                [
                    r["mean_error_m"]
                    for r in records
                    if (r["method"], r["setting"], r["room"], r["feature"])
                    == (method, setting, *column)
                ]
            )
            for column in columns
        ]
        figures = " | ".join(f"{mean:.2f}" for mean in [*means, np.mean(means)])
        lines.append(f"| {method} | {setting} | {figures} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the comparison and write the records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--quick", action="store_true", help="few steps; writes nothing")
    arguments = parser.parse_args()
    steps = 50 if arguments.quick else SMALL.outer_steps
    records: list[dict[str, object]] = []
    for cell in cells(arguments.store):
        for method, setting, learner in candidates(cell, steps):
            errors = [
                error
                for place in cell.places
                for error in sim_to_real(
                    {method: [learner]}, place, cell.feature, cell.room, PROTOCOL
                )
            ]
            for k in PROTOCOL.labels:
                mean = float(np.mean([e.errors_m.mean() for e in errors if e.k == k]))
                records.append(
                    {
                        "room": cell.room,
                        "feature": cell.feature,
                        "method": method,
                        "setting": setting,
                        "k": k,
                        "mean_error_m": round(mean, 3),
                    }
                )
            print(cell.room, cell.feature, method, setting, flush=True)
    if not arguments.quick:
        lines = ",\n".join(json.dumps(record) for record in records)
        RESULTS.joinpath("learner_settings.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        RESULTS.joinpath("learner_settings.md").write_text(table(records), encoding="utf-8")


if __name__ == "__main__":
    main()
