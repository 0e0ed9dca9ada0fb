"""Tables of MetaLoc's experiments: mean and 95 % t-interval over seeds, for pages and Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flows.metaloc.drawing import LAYOUTS, METHODS, STARTS, look, ordered
from flows.metaloc.paper import TABLE_III
from flows.metaloc.summary import (
    Record,
    Records,
    Summary,
    Value,
    matching,
    selected,
    summarised,
    values_of,
)
from twin.errors import Fault, InputError, refuse

_KEYS = {
    "k": "labels k",
    "meta_steps": "meta-steps",
    "samples": "samples",
    "rate_choice": "step size",
    "references": "R",
    "level_m": "level [m]",
    "task_source": "task of",
    "protocol": "an adaptation for the",
    "knows": "KNN knows",
}


@dataclass(frozen=True)
class Table:
    """Cells as text.

    Attributes:
        caption: what is in the cells, with its unit.
        header: of the columns.
        rows: each as long as the header.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Cut:
    """Which records a table shows, and how they lie in it.

    Attributes:
        caption: of the table.
        study: the experiment.
        metric: the quantity.
        rows: keys whose values tell rows apart.
        columns: key whose values tell columns apart.
        only: keys with the value, or tuple of values, that is wanted.
        digits: after the point.
    """

    caption: str
    study: str
    metric: str
    rows: tuple[str, ...]
    columns: str = "method"
    only: Mapping[str, Value] = field(default_factory=dict)
    digits: int = 2


def tabled(records: Records, cut: Cut) -> Table:
    """The table of a cut; a dash where there is no record, or a mean that is not finite.

    Raises:
        InputError: no record is left, or a row's key is missing; see `selected`.
    """
    found = selected(records, cut.study, cut.metric, **cut.only)
    return laid_out(found, cut.caption, cut.rows, cut.columns, cut.digits)


def laid_out(
    found: Sequence[Summary],
    caption: str,
    rows: Sequence[str],
    columns: str = "method",
    digits: int = 2,
) -> Table:
    """Summaries of one quantity as a table; arguments as of `Cut`.

    Raises:
        InputError: see `cell`.
    """
    across = values_of(found, columns)
    if columns == "method":
        across = ordered(across)
    keys = list(dict.fromkeys(tuple(each.get(key) for key in rows) for each in found))
    lines = []
    for key in sorted(keys, key=lambda values: [_rank(value) for value in values]):
        own = matching(found, **dict(zip(rows, key, strict=True)))
        cells = [cell(matching(own, **{columns: each}), digits) for each in across]
        lines.append((*(_plain(value) for value in key), *cells))
    header = (*(_KEYS.get(key, key.replace("_", " ")) for key in rows), *map(name, across))
    return Table(caption, header, tuple(lines))


def cell(found: Sequence[Summary], digits: int = 2) -> str:
    """Mean and interval, such as ``2.07 (1.98 to 2.16)``.

    Raises:
        InputError: records of more settings than the table has cells for.
    """
    refuse(
        Fault("table", each.metric, "one quantity a cell", f"{each.method} {dict(each.settings)}")
        for each in (found if len(found) > 1 else ())
    )
    if not found or not math.isfinite(found[0].mean):
        return "–"
    each = found[0]
    mean = f"{each.mean:.{digits}f}"
    if each.low is None or each.high is None or each.low == each.high:
        return mean
    return f"{mean} ({each.low:.{digits}f} to {each.high:.{digits}f})"


def table_iii(records: Records) -> Table:
    """Table III: a row a site and method, our columns and then those that the paper printed.

    ``equal budget``: the mean error with the historical images and no more labels of the new day
    than a network's task has, of methods that are else given a survey of the new day.
    """
    found = selected(records, "table3", "mean_error_m")
    own = summarised(record for record in records if record.get("study") == "table3")
    rows = []
    for site in values_of(found, "site"):
        for method in ordered([each.method for each in matching(found, site=site)]):
            here = matching(own, site=site, method=method)
            cells = [
                cell(matching(here, metric=metric), digits)
                for metric, digits in (
                    ("mean_error_m", 2),
                    ("std_error_m", 2),
                    ("labelled_images", 0),
                    ("training_steps", 0),
                    ("equal_budget_error_m", 2),
                )
            ]
            printed = TABLE_III.get(site, {}).get(method)
            theirs = ("–",) * 4
            if printed is not None:
                steps = "–" if printed.steps is None else str(printed.steps)
                theirs = (f"{printed.mean_m:.2f}", f"{printed.std_m:.2f}", printed.data, steps)
            rows.append((site, look(method).label, *cells, *theirs))
    header = ("mean [m]", "std [m]", "labelled images", "training steps", "equal budget [m]")
    paper = tuple(f"paper: {each}" for each in ("mean [m]", "std [m]", "data", "training steps"))
    caption = "Errors by method; labelled images: of the new day, for networks those of a task"
    return Table(caption, ("site", "method", *header, *paper), tuple(rows))


def where_premise_holds(records: Records) -> list[Record]:
    """Records without those of Theorem 1 of seeds in which its premise fails.

    There the theorem says nothing. ``premise_holds`` itself stays, and so do aggregates.
    """

    def place(record: Record) -> tuple[Value, ...]:
        return tuple(record.get(key) for key in ("site", "method", "rate_choice", "seed"))

    failed = {
        place(record)
        for record in records
        if record.get("metric") == "premise_holds" and record.get("value") == 0
    }
    return [
        record
        for record in records
        if record.get("study") != "theory"
        or record.get("metric") == "premise_holds"
        or place(record) not in failed
    ]


def theorem_1(records: Records) -> Table:
    """Theorem 1: a row a step size and start, medians and ranges over seeds.

    Seeds in which the premise fails are left out.

    Raises:
        InputError: no records of the theorem.
    """
    own = where_premise_holds([r for r in records if r.get("study") == "theory"])
    premise = selected(own, "theory", "premise_holds", ("rate_choice",))
    metrics = ("excess_risk", "first_bound", "second_bound")
    found = [each for metric in metrics for each in selected(own, "theory", metric)]
    rows = []
    for choice in values_of(premise, "rate_choice"):
        holds = {each.method: each for each in matching(premise, rate_choice=choice)}
        for method in ordered(list(holds)):
            here = matching(found, rate_choice=choice, method=method)
            cells = (_range(matching(here, metric=metric)) for metric in metrics)
            rows.append((choice, name(method), _count(holds[method]), *cells))
    header = ("step size", "start", "seeds in which its premise holds")
    words = (metric.replace("_", " ") for metric in metrics)
    caption = "Theorem 1: medians over the seeds in which its premise holds, and their range"
    return Table(caption, (*header, *words), tuple(rows))


def with_step_sizes(records: Records) -> list[Record]:
    """Records, and what the real rooms' methods chose as the step size of their adaptation.

    ``is_chosen`` by room, feature, method and ``step_size``: 1 where the seed took it, else 0.
    Aggregates do not say which it was, and stay as they are.
    """
    keys = ("site", "feature", "method", "seed")
    chosen: dict[tuple[Value, ...], float] = {
        tuple(record.get(key) for key in keys): record["rate"]
        for record in records
        if record.get("study") == "rooms"
        and "rate" in record
        and record.get("steps")
        and record.get("history") != "twins"
    }
    rates = sorted(set(chosen.values()))
    return [
        *records,
        *(
            {
                "study": "rooms",
                "site": site,
                "method": method,
                "feature": feature,
                "step_size": rate,
                "seed": seed,
                "metric": "is_chosen",
                "value": float(rate == own),
            }
            for (site, feature, method, seed), own in chosen.items()
            for rate in rates
        ),
    ]


def step_sizes(records: Records) -> Table:
    """How many seeds of the real rooms chose a step size, by room and method.

    Raises:
        InputError: no record says it.
    """
    found = selected(with_step_sizes(records), "rooms", "is_chosen", ("step_size",))
    methods = ordered([each.method for each in found])
    rows = []
    for site, feature, rate in dict.fromkeys(
        (each.site, each.get("feature"), each.get("step_size")) for each in found
    ):
        own = matching(found, site=site, feature=feature, step_size=rate)
        cells = (_count(each) for m in methods for each in matching(own, method=m))
        rows.append((_plain(site), feature, np.format_float_positional(rate, trim="-"), *cells))
    caption = "Seeds that chose a step size of the adaptation, on the rooms that are not new"
    return Table(caption, ("site", "feature", "step size", *map(name, methods)), tuple(rows))


def _count(each: Summary) -> str:
    """Of a quantity that is 1 or 0 in a seed."""
    return f"{round(each.mean * each.seeds)} of {each.seeds}"


def _range(found: Sequence[Summary]) -> str:
    """Median and range of one quantity; a dash where there is none."""
    values = [(each.median, each.least, each.most) for each in found]
    if not values or None in values[0]:
        return "–"
    middle, least, most = (significant(value) for value in values[0] if value is not None)
    return f"{middle} ({least} to {most})"


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits and no exponent, such as ``0.0184``, ``142,000``."""
    rounded = float(f"{value:.{digits}g}")
    if not rounded or not math.isfinite(rounded):
        return f"{rounded:g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}"


def claims_table(claims: Sequence[Record]) -> Table:
    """What the paper claims, what was found, and whether it holds."""
    return Table(
        "Claims of the paper and goals of ours against our numbers",
        ("claim", "paper", "ours", "holds"),
        tuple(
            (
                str(each["claim"]),
                str(each["paper"]),
                str(each["ours"]),
                {True: "yes", False: "no"}.get(each["holds"], str(each["holds"])),
            )
            for each in claims
        ),
    )


def markdown(table: Table) -> str:
    """The table in Markdown, its caption below it."""
    lines = [table.header, ("---",) * len(table.header), *table.rows]
    text = "\n".join(f"| {' | '.join(_escaped(each) for each in line)} |" for line in lines)
    return f"{text}\n\n{table.caption}."


def name(value: Value) -> str:
    """A value of a column as people read it."""
    known = {**METHODS, **STARTS, **LAYOUTS}
    if value in known:
        return known[value].label
    try:
        return look(value).label if isinstance(value, str) else _plain(value)
    except InputError:
        return _plain(value)


def _plain(value: Value) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value).replace("_", " ")


def _rank(value: Value) -> tuple[bool, float, str]:
    """Numbers by size, before names."""
    if isinstance(value, int | float):
        return False, float(value), ""
    return True, 0.0, str(value)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
