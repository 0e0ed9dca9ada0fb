"""Records of the store's benchmark: one form, one table, goals beside figures."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Record = dict[str, Any]

COLUMNS = {
    "case": "case",
    "ours": "ours",
    "rival": "rival",
    "rival_name": "rival's name",
    "unit": "unit",
    "ratio": "ours / rival",
    "goal": "goal",
    "holds": "holds",
}


def record(
    case: str,
    ours: float,
    rival: float | None,
    rival_name: str,
    unit: str,
    goal: str = "",
    holds: bool | None = None,
    *,
    ratio: float | None = None,
    **more: object,
) -> Record:
    """One comparison; `ratio` says how many times better ours is, unless it is given."""
    if ratio is None and rival:
        ratio = ours / rival
    return {
        "case": case,
        "ours": rounded(ours),
        "rival": None if rival is None else rounded(rival),
        "rival_name": rival_name,
        "unit": unit,
        "ratio": None if ratio is None else rounded(ratio),
        "goal": goal,
        "holds": holds,
        **more,
    }


def at_least(
    case: str, ours: float, rival: float, rival_name: str, unit: str, goal: float
) -> Record:
    """A comparison of rates that ours should win by a factor of at least `goal`."""
    ratio = ours / rival
    return record(case, ours, rival, rival_name, unit, f"ratio >= {goal:g}", ratio >= goal)


def rounded(value: float) -> float:
    """Three significant digits: more would be noise."""
    return float(f"{value:.3g}")


def in_turn(tasks: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median seconds of several tasks that are run one after the other, round by round.

    A task gives the seconds that count; a slow moment of the machine then hits all alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            seconds[name].append(task())
    return {name: statistics.median(values) for name, values in seconds.items()}


def timed(task: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def table(records: list[Record]) -> str:
    """Markdown table of records."""
    lines = [f"| {' | '.join(COLUMNS.values())} |", "|---" * len(COLUMNS) + "|"]
    for entry in records:
        cells = (_cell(entry[key]) for key in COLUMNS)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,g}" if isinstance(value, float) else str(value)


def as_json(records: list[Record]) -> str:
    """Records as JSON, one a line."""
    lines = ",\n".join(json.dumps(entry, allow_nan=False) for entry in records)
    return f"[\n{lines}\n]\n"
