"""From records of single seeds to the results of `benchmarks.metaloc`: aggregates, and a page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flows.metaloc.figures_places import by_variant
from flows.metaloc.sections import SECTIONS
from flows.metaloc.summary import SKEWED, Record, Summary, summarised
from flows.metaloc.tables import claims_table, markdown, where_premise_holds, with_step_sizes
from twin.errors import InputError

Results = dict[str, Any]
#: Size of the file of results [bytes].
LARGEST = 1_000_000
#: Keys along which curves are thinned, and their values that always stay.
CURVES: dict[str, tuple[float, ...]] = {
    "level_m": (1.0, 2.0, 5.0, 10.0),
    "steps": (0, 1, 10, 50, 300),
    "meta_steps": (0,),
}
_POINTS = (24, 16, 12, 8, 6)


def results(
    records: Sequence[Record],
    speed: Sequence[Record],
    claims: Sequence[Record],
    environment: Mapping[str, Any],
    commands: Sequence[str],
) -> Results:
    """What the file holds; curves are thinned as far as its size asks for.

    Args:
        records: of single seeds.
        speed: aggregated.
        claims: see `benchmarks.metaloc_claims`.
        environment: versions and the machine.
        commands: that made it.
    """
    everything = aggregated(by_variant(with_step_sizes(where_premise_holds(records))))
    found: Results = {"environment": dict(environment), "commands": list(commands)}
    for points in _POINTS:
        found |= {"records": [*thinned(everything, points), *speed], "claims": list(claims)}
        if len(as_json(found).encode()) < LARGEST:
            break
    return found


def aggregated(records: Iterable[Record]) -> list[Record]:
    """Means and 95 % t-intervals over seeds; of `SKEWED` quantities medians and ranges, too.

    Six significant digits: pages show two or three, and rounding twice shows as a contradiction.
    """
    return [
        {
            "study": each.study,
            "site": each.site,
            "method": each.method,
            **each.settings,
            "metric": each.metric,
            "mean": _rounded(each.mean),
            "low": _rounded(each.low),
            "high": _rounded(each.high),
            "seeds": each.seeds,
            **(_range(each) if each.metric in SKEWED else {}),
        }
        for each in summarised(records)
    ]


def _range(each: Summary) -> dict[str, float | None]:
    values = {"median": each.median, "least": each.least, "most": each.most}
    return {key: _rounded(value) for key, value in values.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def thinned(records: Sequence[Record], points: int) -> list[Record]:
    """The records with about so many points of each curve: first, last and marked ones stay."""
    there: dict[tuple[Any, ...], set[float]] = {}
    for record in records:
        for key in CURVES:
            if record.get(key) is not None:
                there.setdefault(_curve(record, key), set()).add(record[key])
    kept = {
        curve: {*_spread(sorted(values), points), *values.intersection(CURVES[curve[0]])}
        for curve, values in there.items()
    }
    return [
        record
        for record in records
        if all(
            record.get(key) is None or record[key] in kept[_curve(record, key)] for key in CURVES
        )
    ]


def _curve(record: Record, key: str) -> tuple[Any, ...]:
    """Alike for all methods of a figure, so that they keep the same points."""
    return key, record["study"], record["metric"]


def _spread(values: Sequence[float], points: int) -> list[float]:
    count = len(values)
    if count <= points:
        return list(values)
    return [values[round(index * (count - 1) / (points - 1))] for index in range(points)]


def as_json(found: Results) -> str:
    """The file: one record or claim a line."""
    parts = []
    for key, content in found.items():
        if key in {"records", "claims"}:
            compact = (",", ":")  # a tenth of the file
            lines = ",\n".join(
                json.dumps(entry, allow_nan=False, separators=compact) for entry in content
            )
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(content, allow_nan=False, indent=1)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def as_markdown(found: Results, maker: str = "benchmarks.metaloc") -> str:
    """A page with all claims, and the tables of every experiment.

    Args:
        found: the results.
        maker: module that made them.
    """
    said = "; ".join(f"{key} {value}" for key, value in found["environment"].items())
    lines = [
        f"Made by `python -m {maker}`, whose text says how it measures. Means over seeds",
        "with 95 % t-intervals; of speed, medians over rounds with intervals of the median.",
        "",
        *(f"- `{command}`" for command in found["commands"]),
        f"- {said}",
        "",
        markdown(claims_table(found["claims"])),
        "",
    ]
    for section in SECTIONS:
        own = [record for record in found["records"] if record["study"] == section.study]
        if not own:
            continue
        lines += [f"## {section.title}", ""]
        for make in section.tables:
            try:
                lines += [markdown(make(own)), ""]
            except InputError as error:
                lines += [f"No table, for want of records: {error.faults[0]}", ""]
    return "\n".join(lines).rstrip() + "\n"
