"""Indices of a sensitivity study, with intervals, and the ranking that they give."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from flows.sensitivity_plan import LEVELS, Design
from twin.seeds import stream

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
_RESAMPLES = 1000
# Of fewer draws, trajectories or base samples, a bootstrap interval says nothing.
_LEAST_SAMPLES = 5
TOO_FEW = "too few samples for an interval"

OUTPUTS = {
    "range_m": ("first-path distance: mean change [m]", "m"),
    "rss_db": ("RSS (power sum): mean change [dB]", "dB"),
    "position_rtt_m": ("position from ranges: mean error [m]", "m"),
    "position_rss_m": ("position from RSS: mean error [m]", "m"),
}
INDICES = {
    "oat": "mean output when this factor alone is drawn, less that of the declared scene",
    "morris": "mean absolute elementary effect (mu*)",
    "sobol": "total index (ST), the share of variance that would go with this factor",
}


@dataclass(frozen=True, eq=False)
class Outcome:
    """One output of all samples.

    Attributes:
        name: of `OUTPUTS`.
        values: (samples,); NaN where a sample has none.
        nominal: value of the scene as declared.
        silent: samples without a value.
    """

    name: str
    values: Array
    nominal: float
    silent: int


@dataclass(frozen=True)
class Place:
    """One factor in a ranking.

    Attributes:
        factor: its name.
        index: what it is ranked by, see `INDICES`.
        low, high: bounds of the bootstrap interval of that index at `CONFIDENCE`; None of fewer
            than five draws (`oat`), trajectories (`morris`) or base samples (`sobol`).
        least, most: 5th and 95th percentile of the output when it is drawn alone (`oat` only).
    """

    factor: str
    index: float
    low: float | None
    high: float | None
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Ranking:
    """Factors of one output, the one that matters most first.

    Attributes:
        output: of `OUTPUTS`.
        design: of the sweep.
        samples: in all.
        nominal, mean, spread: the output of the declared scene; its mean and standard deviation
            over the samples.
        places: all factors.
    """

    output: str
    design: str
    samples: int
    nominal: float
    mean: float
    spread: float
    places: tuple[Place, ...]


def ranked(
    design: Design,
    outcome: Outcome,
    factors: Sequence[str],
    problem: dict[str, Any],
    unit_sample: Array,
    seed: int,
) -> Ranking:
    """Factors by their index for one output.

    Args:
        design: of the sweep.
        outcome: without a NaN.
        factors: in the order of the design.
        problem: as SALib took it; not used for `oat`.
        unit_sample: as SALib gave it; not used for `oat`.
        seed: of the bootstrap, 1 or greater.
    """
    # Where nothing ever changes, SALib would divide by zero.
    if design == "oat":
        places = _alone(outcome, factors, seed)
    elif np.ptp(outcome.values) == 0.0:
        places = [Place(factor, 0.0, 0.0, 0.0) for factor in factors]
    elif design == "morris":
        places = _effects(outcome, problem, unit_sample, seed)
    else:
        places = _shares(outcome, problem, seed)
    if _repeats(design, len(outcome.values), len(factors)) < _LEAST_SAMPLES:
        places = [replace(place, low=None, high=None) for place in places]
    places.sort(key=lambda place: -place.index)
    return Ranking(
        outcome.name,
        design,
        len(outcome.values),
        outcome.nominal,
        float(outcome.values.mean()),
        float(outcome.values.std()),
        tuple(places),
    )


def _repeats(design: Design, samples: int, factors: int) -> int:
    """Draws of each factor, trajectories, or base samples that all samples of a design come to."""
    return samples // {"oat": factors, "morris": factors + 1, "sobol": factors + 2}[design]


def _alone(outcome: Outcome, factors: Sequence[str], seed: int) -> list[Place]:
    places = []
    tail = 100.0 * (1.0 - CONFIDENCE) / 2.0
    for factor, values in zip(
        factors, outcome.values.reshape(len(factors), -1) - outcome.nominal, strict=True
    ):
        draws = stream(seed, "bootstrap", outcome.name, factor)
        means = values[draws.integers(len(values), size=(_RESAMPLES, len(values)))].mean(axis=1)
        low, high = np.percentile(means, [tail, 100.0 - tail])
        least, most = np.percentile(values, [5.0, 95.0])
        places.append(
            Place(factor, float(values.mean()), float(low), float(high), float(least), float(most))
        )
    return places


def _effects(
    outcome: Outcome, problem: dict[str, Any], unit_sample: Array, seed: int
) -> list[Place]:
    from SALib.analyze import morris

    found = morris.analyze(
        problem,
        unit_sample,
        outcome.values,
        num_resamples=_RESAMPLES,
        conf_level=CONFIDENCE,
        num_levels=LEVELS,
        seed=seed,
    )
    return _places(found["names"], found["mu_star"], found["mu_star_conf"])


def _shares(outcome: Outcome, problem: dict[str, Any], seed: int) -> list[Place]:
    from SALib.analyze import sobol

    found = sobol.analyze(
        problem,
        outcome.values,
        calc_second_order=False,
        num_resamples=_RESAMPLES,
        conf_level=CONFIDENCE,
        seed=seed,
    )
    names = list(dict.fromkeys(problem["groups"]))
    return _places(names, found["ST"], found["ST_conf"])


def _places(names: Sequence[str], index: Array, half: Array) -> list[Place]:
    # No index of either kind is below zero.
    return [
        Place(str(name), float(value), max(float(value - around), 0.0), float(value + around))
        for name, value, around in zip(names, index, half, strict=True)
    ]


def as_records(rankings: Sequence[Ranking]) -> list[dict[str, JsonValue]]:
    """One flat record an output and factor, with its rank from 1."""
    records: list[dict[str, JsonValue]] = []
    for ranking in rankings:
        for number, place in enumerate(ranking.places, start=1):
            records.append(
                {
                    "design": ranking.design,
                    "output": ranking.output,
                    "samples": ranking.samples,
                    "rank": number,
                    **{
                        key: value if isinstance(value, str) else _rounded(value)
                        for key, value in asdict(place).items()
                    },
                }
            )
    return records


def as_json(rankings: Sequence[Ranking]) -> str:
    """The records as JSON, one a line."""
    lines = ",\n".join(json.dumps(record, allow_nan=False) for record in as_records(rankings))
    return f"[\n{lines}\n]\n"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def as_markdown(rankings: Sequence[Ranking], most: int = 10) -> str:
    """The first `most` factors of every output that have an effect, as tables."""
    parts = []
    for ranking in rankings:
        title = OUTPUTS[ranking.output][0]
        bounds = f"{100 * CONFIDENCE:.0f} % interval"
        alone = ranking.design == "oat"
        head = (
            f"**{title}**: declared scene {ranking.nominal:.3g}, samples {ranking.mean:.3g} "
            f"± {ranking.spread:.2g} (standard deviation), {ranking.samples} of them. Index: "
            f"{INDICES[ranking.design]}."
        )
        parts += [
            head,
            "",
            f"| rank | factor | index | {bounds} |" + (" 5 to 95 % of draws |" if alone else ""),
            "|---:|---|---:|---|" + ("---|" if alone else ""),
        ]
        seen = _seen(ranking)
        for number, place in enumerate(seen[:most], start=1):
            row = f"| {number} | {place.factor} | {place.index:.3g} | {_interval(place)} |"
            if alone:
                row += f" {place.least:.3g} to {place.most:.3g} |"
            parts.append(row)
        if len(seen) < len(ranking.places):
            parts += ["", f"{_others(ranking, seen)}."]
        parts.append("")
    return "\n".join(parts)


def as_text(rankings: Sequence[Ranking], most: int = 5) -> str:
    """The first `most` factors of every output that have an effect, as columns of text."""
    lines = []
    for ranking in rankings:
        lines.append(f"{OUTPUTS[ranking.output][0]}; {INDICES[ranking.design]}")
        seen = _seen(ranking)
        first = seen[:most]
        width = max((len(place.factor) for place in first), default=0)
        lines += [
            f"  {number}  {place.factor:{width}}  {place.index:8.3g}  ({_interval(place)})"
            for number, place in enumerate(first, start=1)
        ]
        if len(seen) < len(ranking.places):
            lines.append(f"  {_others(ranking, seen)}")
    return "\n".join(lines)


def _seen(ranking: Ranking) -> list[Place]:
    return [place for place in ranking.places if place.index != 0.0]


def _others(ranking: Ranking, seen: Sequence[Place]) -> str:
    silent = len(ranking.places) - len(seen)
    return f"{'others' if seen else 'all'} ({silent}): no effect seen"


def _interval(place: Place) -> str:
    if place.low is None or place.high is None:
        return TOO_FEW
    return f"{place.low:.3g} to {place.high:.3g}"
