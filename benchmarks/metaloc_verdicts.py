"""How claims of `benchmarks.metaloc_claims` are decided: one rule, from numbers of single seeds.

What a claim compares is one number a seed (a difference between two methods that saw the same
tasks, or a quantity itself), and the 95 % t-interval of its mean over seeds decides. The claim
holds where the whole interval is on the claimed side, does not (``false``) where it is on the other
side, and is ``"not separated"`` where the interval contains the limit, or there are fewer than two
seeds. No correction for the number of claims is made. Values that are not finite (adaptations that
diverged) have no interval: a side that has none other loses against one that has none. A claim
whose records are missing is ``"not measured"``.

A theorem is decided otherwise, by counting seeds: it is to hold in each one whose premise holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.metaloc.summary import Record, Value, interval
from flows.metaloc.tables import significant

Claim = dict[str, Any]
Seeds = Mapping[int, float]
Holds = bool | str
Interval = tuple[float, float | None, float | None]
NOT_SEPARATED, NOT_MEASURED = "not separated", "not measured"


@dataclass(frozen=True)
class Side:
    """One side of a comparison: what it is called, and its value in each seed."""

    name: str
    values: Seeds


def decided(low: float | None, high: float | None, limit: float = 0.0) -> Holds:
    """Whether an interval lies above a limit."""
    if low is None or high is None:
        return NOT_SEPARATED
    if low > limit:
        return True
    return False if high < limit else NOT_SEPARATED


def below(study: str, claim: str, paper: str, less: Side, more: Side, unit: str = " m") -> Claim:
    """The claim that one side is smaller than the other, seed by seed."""
    seeds = sorted(set(less.values) & set(more.values))
    if not seeds:
        return stated(study, claim, paper, "", NOT_MEASURED)
    small, large = ([side.values[seed] for seed in seeds] for side in (less, more))
    said = " against ".join(
        f"{side.name} {significant(float(np.mean(values)))}{unit}"
        for side, values in ((less, small), (more, large))
    )
    if not np.isfinite([*small, *large]).all():
        said += "; not finite in some seeds"
        return stated(study, claim, paper, said, _of_diverged(small, large))
    found = interval([b - a for a, b in zip(small, large, strict=True)])
    return stated(study, claim, paper, f"{said}; difference {spread(found)}", decided(*found[1:]))


def _of_diverged(small: Sequence[float], large: Sequence[float]) -> Holds:
    fine, other = np.isfinite(small), np.isfinite(large)
    if len(fine) > 1 and fine.all() and not other.any():
        return True
    return False if len(fine) > 1 and other.all() and not fine.any() else NOT_SEPARATED


def above(study: str, claim: str, paper: str, side: Side, limit: float, unit: str = "") -> Claim:
    """The claim that a quantity is larger than a limit."""
    if not side.values:
        return stated(study, claim, paper, "", NOT_MEASURED)
    found = interval(list(side.values.values()))
    holds = decided(found[1], found[2], limit)
    return stated(study, claim, paper, f"{side.name} {spread(found)}{unit}", holds)


def bounded(study: str, claim: str, paper: str, premise: Seeds, risk: Side, bound: Side) -> Claim:
    """The claim that a bound holds in every seed whose premise does; the other seeds do not count.

    Args:
        study: the experiment.
        claim: in words.
        paper: what the paper says of it.
        premise: by seed, 1 where the premise holds.
        risk: what is bounded.
        bound: of it.
    """
    seeds = sorted(set(premise) & set(risk.values) & set(bound.values))
    if not seeds:
        return stated(study, claim, paper, "", NOT_MEASURED)
    kept = [seed for seed in seeds if premise[seed]]
    said = f"premise holds in {len(kept)} of {len(seeds)} seeds"
    if not kept:
        return stated(study, claim, paper, said, NOT_MEASURED)
    pairs = [(risk.values[seed], bound.values[seed]) for seed in kept]
    within = sum(value <= limit for value, limit in pairs)
    medians = []
    for side in (risk, bound):
        values = [side.values[seed] for seed in kept]
        middle, least, most = map(significant, (np.median(values), min(values), max(values)))
        medians.append(f"{side.name} {middle} ({least} to {most})")
    said += f", the bound in {within} of these; medians and ranges: {', '.join(medians)}"
    # What is not finite neither keeps to the bound nor breaks it.
    holds: Holds = NOT_SEPARATED
    if any(value > limit for value, limit in pairs):
        holds = False
    elif within == len(kept):
        holds = True
    return stated(study, claim, paper, said, holds)


def alike(study: str, claim: str, paper: str, one: Side, other: Side, within: float) -> Claim:
    """The claim that two sides differ by less than `within`: all of the interval has to."""
    seeds = sorted(set(one.values) & set(other.values))
    if not seeds:
        return stated(study, claim, paper, "", NOT_MEASURED)
    found = interval([one.values[seed] - other.values[seed] for seed in seeds])
    _, low, high = found
    holds: Holds = NOT_SEPARATED
    if low is not None and high is not None:
        if -within < low and high < within:
            holds = True
        elif low > within or high < -within:
            holds = False
    return stated(study, claim, paper, f"{one.name} minus {other.name}: {spread(found)}", holds)


def stated(study: str, claim: str, paper: str, ours: str, holds: Holds) -> Claim:
    """A claim as results hold it."""
    return {"study": study, "claim": claim, "paper": paper, "ours": ours, "holds": holds}


def spread(found: Interval) -> str:
    """Mean and interval in words."""
    mean, low, high = found
    if low is None or high is None:
        return significant(mean)
    return f"{significant(mean)} ({significant(low)} to {significant(high)})"


def differences(one: Seeds, other: Seeds) -> dict[int, float]:
    """One minus the other, of the seeds that both have."""
    return {seed: one[seed] - other[seed] for seed in one if seed in other}


def matching(
    records: Iterable[Record], study: str, metric: str, only: Mapping[str, Value]
) -> Iterator[Record]:
    """Records of one quantity whose keys have these values, or one of a tuple of values."""
    for record in records:
        if record.get("study") == study and record.get("metric") == metric:
            pairs = ((record.get(key), want) for key, want in only.items())
            if all(got in want if isinstance(want, tuple) else got == want for got, want in pairs):
                yield record


def series(records: Iterable[Record], study: str, metric: str, **only: Value) -> dict[int, float]:
    """Values by seed of one quantity of one method.

    Raises:
        ValueError: the keys leave two values for a seed.
    """
    found: dict[int, float] = {}
    for record in matching(records, study, metric, only):
        if record["seed"] in found:
            raise ValueError(f"{study}, {metric}, {only}: two values for seed {record['seed']}")
        found[record["seed"]] = number(record)
    return found


def averages(
    records: Iterable[Record], study: str, metric: str, cells: Sequence[str], **only: Value
) -> dict[str, dict[int, float]]:
    """Values by method and seed, means over the cells (values of keys) that all methods have.

    Raises:
        ValueError: two values for a cell.
    """
    found: dict[str, dict[int, dict[tuple[Value, ...], float]]] = {}
    for record in matching(records, study, metric, only):
        cell = tuple(record.get(key) for key in cells)
        own = found.setdefault(record["method"], {}).setdefault(record["seed"], {})
        if cell in own:
            raise ValueError(f"{study}, {metric}, {only}: two values for {cell}")
        own[cell] = number(record)
    means: dict[str, dict[int, float]] = {method: {} for method in found}
    for seed in set.intersection(*(set(seeds) for seeds in found.values())) if found else ():
        shared = set.intersection(*(set(seeds[seed]) for seeds in found.values()))
        for method, seeds in found.items():
            if shared:
                means[method][seed] = float(np.mean([seeds[seed][cell] for cell in shared]))
    return means


def number(record: Record) -> float:
    """The value of a record; NaN where there is none."""
    return math.nan if record["value"] is None else float(record["value"])
