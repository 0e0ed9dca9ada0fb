"""Files of the WiFi RTT rooms: tables of scans, and a text with the access points' positions."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twin.errors import Fault
from twin.measured.data_set import DataFile
from twin.measured.tables import Content, digest_faults, read_content, shown

SCANS = 60
AP_POSITION_FILE = "lecture_theatre+office+corridor_AP_position.txt"
# In the corridor the first column never hears anything and only four positions are given.
ROOMS: dict[str, tuple[str, ...]] = {
    "lecture_theatre": ("AP1", "AP2", "AP3", "AP4", "AP5"),
    "office": ("AP1", "AP2", "AP3", "AP4", "AP5"),
    "corridor": ("AP2", "AP3", "AP4", "AP5"),
}
NO_RTT_MM = 100_000.0
NO_RSS_DBM = -200.0

_COLUMNS = 5
_HEADER = [
    "X",
    "Y",
    *(f"AP{number} RTT(mm)" for number in range(1, _COLUMNS + 1)),
    *(f"AP{number} RSS(dBm)" for number in range(1, _COLUMNS + 1)),
    "LOS APs",
]


@dataclass
class _Table:
    """Scans of one file in file order, one entry a row."""

    numbers: list[list[float]] = field(default_factory=list)
    los: list[tuple[int, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class Points:
    """Scans by point: xy (p, 2) grid steps, rtt and rss (p, scan, column), los (p, column)."""

    xy: npt.NDArray[np.float64]
    rtt_mm: npt.NDArray[np.float64]
    rss_dbm: npt.NDArray[np.float64]
    los: npt.NDArray[np.bool_]


def read_points(folder: Path, file: DataFile, faults: list[Fault]) -> Points | None:
    """Scans of one file grouped by point; None where the file has a fault."""
    content = read_content(folder, file, faults)
    if content is None:
        return None
    own: list[Fault] = []
    table = _parse(content, own)
    if not own:
        own += _count_faults(content.path, table, file)
    if not own:
        own += digest_faults(content, file)
    faults += shown(own, content.path)
    return None if own else _group(table)


def _parse(content: Content, faults: list[Fault]) -> _Table:
    path = content.path
    rows = list(csv.reader(io.StringIO(content.data.decode("utf-8"), newline="")))
    table = _Table()
    if not rows or rows[0] != _HEADER:
        found = ",".join(rows[0]) if rows else "an empty file"
        faults.append(Fault(str(path), "row 1 (header)", ",".join(_HEADER), found))
        return table
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(_HEADER):
            found = f"{len(row)}"
            faults.append(Fault(str(path), f"row {line}", f"{len(_HEADER)} cells", found))
            continue
        numbers = [
            _number(path, line, column, cell, faults)
            for column, cell in zip(_HEADER[:-1], row[:-1], strict=True)
        ]
        table.numbers.append(numbers)
        table.los.append(_los(path, line, row[-1], faults))
    return table


def _number(path: Path, line: int, column: str, cell: str, faults: list[Fault]) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    low, high = _range_of(column)
    if not low <= number <= high:
        expected = f"a number from {low:g} to {high:g}"
        faults.append(Fault(str(path), f"row {line}, column {column!r}", expected, repr(cell)))
    return number


def _range_of(column: str) -> tuple[float, float]:
    if column.endswith("RTT(mm)"):
        # A range measured short of its bias may well be below zero.
        return -NO_RTT_MM, NO_RTT_MM
    if column.endswith("RSS(dBm)"):
        return NO_RSS_DBM, 0.0
    return -1000.0, 1000.0


def _los(path: Path, line: int, cell: str, faults: list[Fault]) -> tuple[int, ...]:
    if not re.fullmatch(rf"\s*([1-{_COLUMNS}]\s*)*", cell):
        expected = f"AP numbers from 1 to {_COLUMNS}, or nothing"
        faults.append(Fault(str(path), f"row {line}, column 'LOS APs'", expected, repr(cell)))
        return ()
    return tuple(int(digit) for digit in re.findall(r"\d", cell))


def _count_faults(path: Path, table: _Table, file: DataFile) -> list[Fault]:
    """Rows, points and scans a point that are not as published."""
    where = str(path)
    cure = "The file is cut short or not the official one; fetch it anew."
    faults = []
    if len(table.numbers) != file.rows:
        faults.append(Fault(where, "rows", str(file.rows), str(len(table.numbers)), cure))
    scans: dict[tuple[float, float], int] = {}
    los: dict[tuple[float, float], tuple[int, ...]] = {}
    for line, (numbers, seen) in enumerate(zip(table.numbers, table.los, strict=True), start=2):
        point = (numbers[0], numbers[1])
        scans[point] = scans.get(point, 0) + 1
        if los.setdefault(point, seen) != seen:
            key = f"row {line}, column 'LOS APs'"
            faults.append(Fault(where, key, f"{los[point]}, as before at {point}", f"{seen}"))
    if len(scans) != file.points:
        faults.append(Fault(where, "points", str(file.points), str(len(scans)), cure))
    faults += [
        Fault(where, f"point X={x:g}, Y={y:g}", f"{SCANS} scans", str(count), cure)
        for (x, y), count in scans.items()
        if count != SCANS
    ]
    return faults


def _group(table: _Table) -> Points:
    """Scans by point: points in the order of their first scan, scans in file order."""
    numbers = np.array(table.numbers)
    order: dict[tuple[float, float], list[int]] = {}
    for row, (x, y) in enumerate(numbers[:, :2].tolist()):
        order.setdefault((x, y), []).append(row)
    rows = np.array(list(order.values()))
    los = np.zeros((len(rows), _COLUMNS), dtype=np.bool_)
    for point, first in enumerate(rows[:, 0]):
        los[point, [number - 1 for number in table.los[first]]] = True
    scans = numbers[rows]
    return Points(
        xy=scans[:, 0, :2],
        rtt_mm=scans[:, :, 2 : 2 + _COLUMNS],
        rss_dbm=scans[:, :, 2 + _COLUMNS :],
        los=los,
    )


def shared_points(reference: Points, test: Points, path: Path) -> list[Fault]:
    """Test points that are reference points as well."""
    known = set(map(tuple, reference.xy.tolist()))
    return [
        Fault(str(path), f"point X={x:g}, Y={y:g}", "no reference point", "one of the other file")
        for x, y in test.xy.tolist()
        if (x, y) in known
    ]


def heard_where_none_is(points: Points, room: str, path: Path) -> list[Fault]:
    """Readings of an AP that the room does not have."""
    return [
        Fault(str(path), f"columns of AP{column + 1}", "no reading at all", "readings")
        for column in range(_COLUMNS)
        if f"AP{column + 1}" not in ROOMS[room]
        and not (
            np.all(points.rss_dbm[:, :, column] == NO_RSS_DBM)
            and np.all(points.rtt_mm[:, :, column] == NO_RTT_MM)
        )
    ]


def read_ap_positions(
    folder: Path, file: DataFile, room: str, faults: list[Fault]
) -> npt.NDArray[np.float64] | None:
    """(ap, 2) grid coordinates of a room's APs: a heading a room, then a line an axis."""
    content = read_content(folder, file, faults)
    if content is None:
        return None
    path = content.path
    own: list[Fault] = []
    section = ""
    axes: dict[str, list[float]] = {}
    for number, line in enumerate(content.data.decode("utf-8").splitlines(), start=1):
        axis = re.fullmatch(r"\s*AP\s*([XY])\s*:\s*(.*?)\s*", line)
        if axis is None:
            section = line.strip().lower().replace(" ", "_") or section
        elif section == room:
            try:
                axes[axis[1]] = [float(cell) for cell in axis[2].split(",")]
            except ValueError:
                own.append(Fault(str(path), f"line {number}", "numbers and commas", repr(axis[2])))
    count = len(ROOMS[room])
    if not own:
        own += [
            Fault(str(path), f"{room}, AP {axis}", f"{count} numbers", f"{len(axes.get(axis, []))}")
            for axis in ("X", "Y")
            if len(axes.get(axis, [])) != count
        ]
    if not own:
        own += digest_faults(content, file)
    faults += own
    return None if own else np.array([axes["X"], axes["Y"]]).T
