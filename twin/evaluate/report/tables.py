"""Records turned into words and table cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from twin.evaluate.records import Difference, Record
from twin.evaluate.report.content import Perturbed, Plain
from twin.evaluate.report.figures import NAMES
from twin.learn.features import Feature

FEATURES: tuple[Feature, ...] = ("rss", "rtt", "rss+rtt")


@dataclass(frozen=True)
class Cell:
    """One method in one setting."""

    mean: str
    interval: str
    best: bool
    clear: str


@dataclass(frozen=True)
class Table:
    """One feature of one room: a row for each number of labels, a column for each method."""

    feature: str
    methods: tuple[str, ...]
    rows: tuple[tuple[int, tuple[Cell | None, ...]], ...]


@dataclass(frozen=True)
class Verdict:
    """The answer for one feature."""

    feature: str
    sentence: str
    clear: str
    beyond: str


def metres(value: float) -> str:
    """Two digits after the point: what a metre's hundredth is worth here."""
    return f"{value:.2f}"


def number(value: float, digits: int = 1) -> str:
    """A number with a true minus sign, or a dash where there is none."""
    return f"{value:.{digits}f}".replace("-", "\u2212") if math.isfinite(value) else "\u2013"


def interval(low: float, high: float) -> str:
    """Bounds with an en dash."""
    return f"{metres(low)}\u2013{metres(high)}"


def plain(value: Plain) -> str:
    """A fact as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return f"{value:.6g}".replace("-", "\u2212") if isinstance(value, float) else number(value, 0)


def verdicts(
    records: Sequence[Record],
    differences: Sequence[Difference],
    k: int,
    hero: str,
    reference: str,
    reference_label: str,
) -> tuple[Verdict, ...]:
    """A sentence for each feature, one more for other k; the hero is called the adapted twin."""
    found = []
    for feature in FEATURES:
        at_k = {r.method: r for r in records if r.feature == feature and r.k == k}
        own, other = at_k.get(hero), at_k.get(reference)
        if own is None:
            continue
        sentence = (
            f"with {_labels(k)} the adapted twin is wrong by {metres(own.mean_error_m)} m "
            f"on average ({interval(own.ci_low, own.ci_high)} m)"
        )
        clear = ""
        if other is not None:
            sentence += (
                f", {reference_label} on the same labels by {metres(other.mean_error_m)} m "
                f"({interval(other.ci_low, other.ci_high)} m)"
            )
            for gap in differences:
                if (gap.feature, gap.k, gap.method, gap.reference) == (feature, k, hero, reference):
                    clear = gap.clear or "even"
                    sentence += _compared(gap)
        beyond = _beyond(
            [
                gap
                for gap in differences
                if (gap.feature, gap.method, gap.reference) == (feature, hero, reference)
                and gap.k != k
            ],
            reference_label,
        )
        found.append(Verdict(NAMES[feature], sentence + ".", clear, beyond))
    return tuple(found)


def tables(
    records: Sequence[Record], differences: Sequence[Difference], order: Sequence[str]
) -> tuple[Table, ...]:
    """All means of a room, the best of each row told, clear differences to the reference marked."""
    clear = {(d.feature, d.k, d.method): d.clear for d in differences}
    found = []
    for feature in FEATURES:
        own = {(r.k, r.method): r for r in records if r.feature == feature}
        methods = tuple(name for name in order if any(name == method for _, method in own))
        if not methods:
            continue
        rows = []
        for k in sorted({count for count, _ in own}):
            best = min(record.mean_error_m for (count, _), record in own.items() if count == k)
            cells = []
            for name in methods:
                record = own.get((k, name))
                cells.append(
                    None
                    if record is None
                    else Cell(
                        metres(record.mean_error_m),
                        interval(record.ci_low, record.ci_high),
                        record.mean_error_m == best,
                        clear.get((feature, k, name), ""),
                    )
                )
            rows.append((k, tuple(cells)))
        found.append(Table(NAMES[feature], methods, tuple(rows)))
    return tuple(found)


def drawn(quantity: Perturbed) -> str:
    """Range of what was drawn; counts where it is no number."""
    values = quantity.drawn
    if not values:
        return "\u2013"
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        numbers = [float(value) for value in values]
        return f"{number(min(numbers), 3)} to {number(max(numbers), 3)}"
    counts = {value: values.count(value) for value in sorted(set(values), key=str)}
    return ", ".join(f"{plain(value)} {count}\u00d7" for value, count in counts.items())


def _labels(k: int) -> str:
    return "no label" if k == 0 else f"{k} label" + ("" if k == 1 else "s")


def _compared(gap: Difference) -> str:
    size = metres(abs(gap.mean_difference_m))
    if not gap.clear:
        return "; too close to call"
    return f"; {size} m {'less' if gap.clear == 'better' else 'more'}, a clear difference"


def _beyond(gaps: Sequence[Difference], reference_label: str) -> str:
    parts = []
    for clear, words in (
        ("better", f"clearly better than {reference_label}"),
        ("worse", f"clearly worse than {reference_label}"),
        ("", "too close to call"),
    ):
        counts = [str(gap.k) for gap in sorted(gaps, key=lambda gap: gap.k) if gap.clear == clear]
        if counts:
            listed = " and ".join(filter(None, (", ".join(counts[:-1]), counts[-1])))
            parts.append(f"{words} with {listed}")
    if not parts:
        return ""
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]} labels."
