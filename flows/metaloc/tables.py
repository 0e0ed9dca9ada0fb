"""Tables of MetaLoc's experiments: mean and 95 % t-interval over seeds, for pages and Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    paper = ("paper: mean [m]", "std [m]", "data", "training steps")
    caption = "Errors by method; labelled images: of the new day, for networks those of a task"
    return Table(caption, ("site", "method", *header, *paper), tuple(rows))


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
