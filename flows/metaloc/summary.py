"""Records of MetaLoc's experiments, one number a seed, as means with intervals over seeds.

Figures and tables take either kind: a record of one seed has ``seed`` and ``value``; an aggregate,
as ``benchmarks/results/metaloc.json`` holds them, has ``mean``, ``low``, ``high`` and ``seeds``,
and of `SKEWED` quantities ``median``, ``least`` and ``most``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.errors import Fault, refuse

Record = Mapping[str, Any]
Records = Sequence[Record]
#: Of a setting: text, number, nothing, or a tuple of them.
Value = Any

CONFIDENCE = 0.95
_NAMED = ("study", "site", "method", "metric")
_NUMBERS = ("value", "seed", "mean", "low", "high", "seeds", "median", "least", "most")
#: Quantities that differ by orders of magnitude from seed to seed: a mean says little of them.
SKEWED = ("excess_risk", "first_bound", "second_bound", "stability", "lipschitz", "smoothness")
#: Quantities that are 1 or 0 in a seed: the mean is a share of seeds, and has no t-interval.
COUNTED = ("premise_holds", "is_chosen")
#: What a run finds out by itself may differ from seed to seed, so it tells no settings apart.
_FOUND = ("rate", "neighbours", "power")


@dataclass(frozen=True)
class Summary:
    """One quantity over seeds.

    Attributes:
        study: the experiment.
        site: where; empty where the record has none.
        method: by which method.
        metric: what was measured, its unit at the end of the name.
        settings: all other keys of the records.
        mean: over seeds; NaN where a seed has no finite value.
        low, high: bounds of the 95 % t-interval of the mean; None of fewer than two seeds, of
            `COUNTED` quantities, or without a mean.
        seeds: how many.
        median, least, most: of the seeds; None of an aggregate that does not say it.
    """

    study: str
    site: str
    method: str
    metric: str
    settings: Mapping[str, Any]
    mean: float
    low: float | None
    high: float | None
    seeds: int
    median: float | None = None
    least: float | None = None
    most: float | None = None

    def get(self, key: str) -> Value:
        """A setting, or one of the four names; None where there is no such key."""
        return getattr(self, key) if key in _NAMED else self.settings.get(key)


def summarised(records: Iterable[Record]) -> list[Summary]:
    """Means and intervals, in the order in which the records first name them.

    Raises:
        InputError: a record without names or numbers, a seed twice for one quantity.
    """
    faults: list[Fault] = []
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for index, record in enumerate(records):
        found = _faults(record, f"record {index}")
        faults += found
        if not found:
            groups.setdefault(_key(record), []).append(record)
    for group in groups.values():
        seeds = [record.get("seed") for record in group]
        if len(set(seeds)) < len(seeds):
            expected = "one record for each seed and setting"
            faults.append(Fault(_place(group[0]), "seed", expected, f"seeds {seeds}"))
    refuse(faults)
    return [_summary(group) for group in groups.values()]


def selected(
    records: Iterable[Record],
    study: str,
    metric: str,
    needs: Sequence[str] = (),
    **only: Value,
) -> list[Summary]:
    """Summaries of one quantity of one experiment.

    Args:
        records: of any experiments.
        study: the experiment.
        metric: the quantity.
        needs: keys that each must have.
        only: keys with the value, or one of the tuple of values, that is wanted.

    Raises:
        InputError: none is left, a key is missing, or as `summarised`.
    """
    own = [record for record in records if record.get("study") == study]
    found = [
        each
        for each in summarised(own)
        if each.metric == metric and all(_fits(each.get(key), want) for key, want in only.items())
    ]
    where = f"records of {study}"
    wanted = "".join(f", {key} {want}" for key, want in only.items())
    if not found:
        metrics = ", ".join(dict.fromkeys(str(record.get("metric")) for record in own))
        refuse([Fault(where, "", f"{metric}{wanted}", metrics or "none")])
    refuse(
        Fault(where, key, f"in every record of {metric}", f"{len(lacking)} without")
        for key in needs
        if (lacking := [each for each in found if each.get(key) in (None, "")])
    )
    return found


def values_of(summaries: Iterable[Summary], key: str) -> list[Value]:
    """Different values of a key: numbers rising, else in the order of the records."""
    found = list(dict.fromkeys(each.get(key) for each in summaries))
    numbers = all(isinstance(value, int | float) for value in found)
    return sorted(found) if numbers else found


def matching(summaries: Iterable[Summary], **only: Value) -> list[Summary]:
    """Those whose keys have these values, or one of a tuple of values."""
    return [s for s in summaries if all(_fits(s.get(key), want) for key, want in only.items())]


def _fits(value: Value, want: Value) -> bool:
    return value in want if isinstance(want, tuple) else bool(value == want)


def _key(record: Record) -> tuple[Any, ...]:
    kept = {key: value for key, value in record.items() if key not in (*_NUMBERS, *_FOUND)}
    return tuple(sorted((key, _frozen(value)) for key, value in kept.items()))


def _frozen(value: Value) -> Value:
    return tuple(value) if isinstance(value, list) else value


def _faults(record: Record, where: str) -> list[Fault]:
    faults = [
        Fault(where, key, "a name", repr(record.get(key)))
        for key in ("study", "method", "metric")
        if not isinstance(record.get(key), str) or not record[key]
    ]
    kinds = ({"value", "seed"}, {"mean", "low", "high", "seeds"})
    if not any(kind <= record.keys() for kind in kinds):
        expected = "seed and value, or mean, low, high and seeds"
        faults.append(Fault(where, "", expected, ", ".join(map(str, record))))
    return faults


def _place(record: Record) -> str:
    shown = [f"{key} {value}" for key, value in record.items() if key not in _NUMBERS]
    return f"records of {', '.join(shown)}"


def _summary(group: Sequence[Record]) -> Summary:
    first = group[0]
    settings = {
        key: _frozen(value)
        for key, value in first.items()
        if key not in (*_NAMED, *_NUMBERS, *_FOUND)
    }
    if "mean" in first:
        seeds = first["seeds"]
        count = int(seeds) if isinstance(seeds, int) else len(seeds)
        mean = math.nan if first["mean"] is None else float(first["mean"])
        low, high = first["low"], first["high"]
        median, least, most = (first.get(key) for key in ("median", "least", "most"))
    else:
        values = [float(record["value"]) for record in group]
        mean, low, high = interval(values)
        if first["metric"] in COUNTED:
            low = high = None
        median, least, most = float(np.median(values)), min(values), max(values)
        count = len(group)
    return Summary(
        study=first["study"],
        site=first.get("site", ""),
        method=first["method"],
        metric=first["metric"],
        settings=settings,
        mean=mean,
        low=low,
        high=high,
        seeds=count,
        median=median,
        least=least,
        most=most,
    )


def interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean of some seeds and the bounds of its 95 % t-interval; see `Summary`."""
    from scipy.stats import t

    if not np.isfinite(values).all():
        return math.nan, None, None
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return mean, None, None
    half = float(t.ppf(0.5 + CONFIDENCE / 2, count - 1) * np.std(values, ddof=1) / math.sqrt(count))
    return mean, mean - half, mean + half
