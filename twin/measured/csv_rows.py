"""Rows of a user's CSV file as numbers, by what the mapping says of its columns."""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.errors import Fault
from twin.measured.csv_mapping import LABELS, METRES, CsvMapping, PositionColumns, Readings
from twin.measured.csv_table import (
    CsvTable,
    Floats,
    NumberRule,
    labels,
    mixed_units,
    parse_numbers,
)
from twin.store.schema import SPLITS
from twin.units import SPEED_OF_LIGHT_M_PER_S

LARGEST_M = 1e7
_LOWEST_DBM = -127.0
_SHORTEST_M, _LONGEST_M = -100.0, 10_000.0
_SAME_M = 1e-6
_LARGEST_LABEL = {"building": 2**15 - 1, "floor": 2**15 - 1}
_LARGEST_INT32 = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Rows:
    """The file's rows as numbers.

    Args:
        xyz: (row, 3) [m].
        readings: ``rss`` [dBm] and ``rtt`` [m]: name of the access point -> (row,), NaN not heard.
        split: (row,) index among `SPLITS`.
        time_s: (row,) seconds since 1970.
        labels: by variable: numbers (row,) and the names behind them.
        point: (row,) name of the surveyed point; empty where the file has none.
    """

    xyz: Floats
    readings: dict[str, dict[str, Floats]]
    split: npt.NDArray[np.int8] | None
    time_s: Floats | None
    labels: dict[str, tuple[npt.NDArray[np.int64], tuple[str, ...]]]
    point: tuple[str, ...]


def read_rows(table: CsvTable, says: CsvMapping, where: str, faults: list[Fault]) -> Rows:
    """All rows of a table; what is wrong goes among the faults.

    Args:
        table: cells of the file.
        says: the mapping.
        where: name of the mapping file.
        faults: gets what is wrong.
    """
    xyz = _positions(table, says.position, says.csv.decimal, faults)
    taken = set(says.single_columns.values())
    readings: dict[str, dict[str, Floats]] = {}
    if says.rss is not None:
        zero = says.rss.zero_is_heard
        rule = NumberRule(
            _LOWEST_DBM,
            0.0 if zero else float(np.nextafter(0.0, -1.0)),
            f"dBm from {_LOWEST_DBM:g} to {'0' if zero else 'below 0'}",
            says.rss.not_heard,
            "rss.not_heard",
            in_dbm=True,
        )
        columns = _columns(table, says.rss, "rss", taken, where, faults)
        readings["rss"] = {
            name: parse_numbers(table, column, says.csv.decimal, rule, faults)
            for name, column in columns.items()
        }
    if says.rtt is not None:
        unit = says.rtt.unit
        # There and back.
        metres = METRES[unit] if unit != "ns" else SPEED_OF_LIGHT_M_PER_S * 1e-9 / 2.0
        low, high = _SHORTEST_M / metres, _LONGEST_M / metres
        rule = NumberRule(
            low, high, f"{unit} from {low:g} to {high:g}", says.rtt.not_heard, "rtt.not_heard"
        )
        columns = _columns(table, says.rtt, "rtt", taken, where, faults)
        readings["rtt"] = {
            name: parse_numbers(table, column, says.csv.decimal, rule, faults) * metres
            for name, column in columns.items()
        }
    numbered = {}
    for key in (*LABELS, "trajectory"):
        column = getattr(says, key)
        if column is not None:
            _full(table, column, faults)
            numbered[key] = labels(table.columns[column], _LARGEST_LABEL.get(key, _LARGEST_INT32))
    rows = Rows(
        xyz=xyz,
        readings=readings,
        split=_split(table, says, faults),
        time_s=_times(table, says, faults),
        labels=numbered,
        point=table.columns[says.point] if says.point else (),
    )
    if says.point:
        _full(table, says.point, faults)
        _one_position_a_point(table, says.point, xyz, faults)
    return rows


def _positions(
    table: CsvTable, columns: PositionColumns, decimal: str, faults: list[Fault]
) -> Floats:
    metres = METRES[columns.unit]
    largest = LARGEST_M / metres
    rule = NumberRule(
        -largest, largest, f"a number in {columns.unit} from {-largest:g} to {largest:g}"
    )
    before = len(faults)
    xyz = np.zeros((len(table.numbers), 3))
    for axis, name in enumerate((columns.x, columns.y, columns.z)):
        if name is not None:
            said = name.replace(" ", "").lower()
            for unit in METRES:
                if unit != columns.unit and said.endswith((f"({unit})", f"[{unit}]")):
                    expected, found = f"a column in {columns.unit}", f"a name that says {unit}"
                    cure = "Set position.unit, or convert the column."
                    key = f"row 1 (header), column {name!r}"
                    faults.append(Fault(str(table.path), key, expected, found, cure))
            xyz[:, axis] = parse_numbers(table, name, decimal, rule, faults) * metres
    if len(faults) == before and not columns.far_apart:
        mixed_units(table, (columns.x, columns.y), xyz[:, :2], faults)
    return np.asarray(xyz + np.array(columns.offset_m), dtype=np.float64)


def _columns(
    table: CsvTable,
    readings: Readings,
    key: str,
    taken: set[str],
    where: str,
    faults: list[Fault],
) -> dict[str, str]:
    """Columns by the name of the access point."""
    columns: Sequence[str] = readings.columns
    if readings.pattern is not None:
        matches = fnmatch.filter(table.columns, readings.pattern)
        columns = [name for name in matches if name not in taken]
    if not columns:
        found = f"none that fits {readings.pattern!r}"
        faults.append(Fault(where, f"{key}.pattern", "columns of the file", found))
    by_name: dict[str, str] = {}
    for column in columns:
        if column in taken:
            expected = "a column that stands for nothing else"
            faults.append(Fault(where, f"{key}.columns", expected, repr(column)))
        name = column.removeprefix(readings.prefix).removesuffix(readings.suffix)
        if not name or name in by_name:
            expected = "a name of its own for each access point"
            found = f"{name!r} for {column!r}"
            cure = f"Change {key}.prefix or {key}.suffix."
            faults.append(Fault(where, key, expected, found, cure))
        by_name[name] = column
    return by_name


def _full(table: CsvTable, column: str, faults: list[Fault]) -> None:
    cells = table.columns[column]
    if "" in cells:
        place = table.place(cells.index(""), column)
        many = f"an empty cell ({cells.count('')} in all)"
        cure = "Fill it in, delete the row, or take the column out of the mapping."
        faults.append(Fault(str(table.path), place, "a value", many, cure))


def _split(table: CsvTable, says: CsvMapping, faults: list[Fault]) -> npt.NDArray[np.int8] | None:
    if says.split is None:
        return None
    meaning = {
        value: SPLITS.index(name)
        for name, values in (
            ("", says.split.none),
            ("reference", says.split.reference),
            ("test", says.split.test),
        )
        for value in values
    }
    cells = table.columns[says.split.column]
    for value in dict.fromkeys(cells):
        if value not in meaning:
            place = table.place(cells.index(value), says.split.column)
            expected = "one of " + ", ".join(map(repr, meaning))
            found = f"{value!r} ({cells.count(value)} such cells)"
            cure = "List it under split.reference, split.test or split.none."
            faults.append(Fault(str(table.path), place, expected, found, cure))
    return np.array([meaning.get(cell, 0) for cell in cells], dtype=np.int8)


def _times(table: CsvTable, says: CsvMapping, faults: list[Fault]) -> Floats | None:
    if says.time is None:
        return None
    zone = dt.timezone(dt.timedelta(hours=says.time.utc_offset_h))
    scale = {"unix_s": 1.0, "unix_ms": 1e-3}.get(says.time.format)
    column = says.time.column
    times = np.full(len(table.numbers), np.nan)
    wrong = []
    for row, cell in enumerate(table.columns[column]):
        try:
            if scale is not None:
                times[row] = float(cell.replace(says.csv.decimal, ".")) * scale
                # Years 1980 to 2100: seconds taken for milliseconds lie far outside.
                if not 3.15e8 < times[row] < 4.2e9:
                    raise ValueError(cell)
                continue
            if says.time.format == "iso8601":
                moment = dt.datetime.fromisoformat(cell)
            else:
                moment = dt.datetime.strptime(cell, says.time.format)  # noqa: DTZ007
            times[row] = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
        except (ValueError, OverflowError):
            wrong.append(row)
    if wrong:
        expected = f"a time as {says.time.format}"
        if scale is not None:
            expected += " between 1980 and 2100"
        found = f"{table.columns[column][wrong[0]]!r} ({len(wrong)} such cells)"
        place = table.place(wrong[0], column)
        faults.append(Fault(str(table.path), place, expected, found, "Set time.format."))
    return times


def _one_position_a_point(table: CsvTable, column: str, xyz: Floats, faults: list[Fault]) -> None:
    first: dict[str, int] = {}
    moved: dict[str, int] = {}
    for row, name in enumerate(table.columns[column]):
        # A cell that is no number has a fault of its own.
        if np.any(np.abs(xyz[row] - xyz[first.setdefault(name, row)]) > _SAME_M):
            moved.setdefault(name, row)
    if moved:
        name, row = next(iter(moved.items()))
        expected = (
            f"the position of row {table.numbers[first[name]]}, {xyz[first[name]].tolist()} m"
        )
        found = f"{xyz[row].tolist()} m ({len(moved)} such points)"
        cure = "Give another place another name; name a walk under trajectory, not point."
        faults.append(Fault(str(table.path), table.place(row, column), expected, found, cure))
