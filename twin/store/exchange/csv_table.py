"""The layout of an exported table of signal strengths, and its strict reading."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, InputError, refuse
from twin.store.schema import SPLITS, VARIABLES

#: First columns of every table.
PLACE = ("realisation", "point", "visit", "snapshot", "x [m]", "y [m]", "z [m]", "split")
#: Whole numbers that follow where a site has them.
LABELS = ("trajectory", "building", "floor", "space", "device", "surveyor")
#: What the name of an access point's column ends in.
UNIT = " [dBm]"
TIME = re.compile(r"time \[s since (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\]")

_RSS_RANGE_DBM = (-200.0, 50.0)
_LARGEST = 2**31 - 1
_FAULTS_SHOWN = 20
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_DECIMAL_COMMA = "Write decimal points, and commas between cells only."


@dataclass(frozen=True, eq=False)
class Table:
    """A table as a site needs it; r realisations, n points, s snapshots, a access points.

    Args:
        realisations: their labels in order of first appearance.
        access_points: their names in order of columns.
        visits: number of visits along the snapshots.
        time_origin: what times count from; None without times.
        present: (r, n) whether a realisation has a point.
        position: (r, n, 3) [m]; NaN where a point is absent.
        split: (r, n) index into the schema's splits.
        time: (r, n) [s]; NaN where absent or without times.
        labels: (r, n) whole numbers by name.
        rss: (r, n, s, a) float32 [dBm]; NaN where not heard.
    """

    realisations: tuple[str, ...]
    access_points: tuple[str, ...]
    visits: int
    time_origin: str | None
    present: npt.NDArray[np.bool_]
    position: npt.NDArray[np.float64]
    split: npt.NDArray[np.int8]
    time: npt.NDArray[np.float64]
    labels: dict[str, npt.NDArray[np.int64]]
    rss: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Header:
    time_origin: str | None
    labels: tuple[str, ...]
    access_points: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Row:
    """One scan; `about` is what all scans of a point have in common."""

    line: int
    key: tuple[int, int, int]
    visit: int
    about: tuple[float | None, ...]
    rss: npt.NDArray[np.float32]


def read_table(path: Path) -> Table:
    """Read a table of `twin.store.exchange.csv.export_csv`.

    Raises:
        InputError: no such file; another layout; cells that are no numbers, not finite or out of
            range, decimal commas, units other than dBm; scans given twice or missing; scans of one
            point that disagree on where it is. Lists up to 20 faults with their lines.
    """
    faults: list[Fault] = []
    realisations: dict[str, int] = {}
    rows: list[_Row] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = _header(path, next(reader, []))
            for cells in reader:
                row = _row(path, reader.line_num, cells, header, realisations, faults)
                if row is not None:
                    rows.append(row)
                if len(faults) > _FAULTS_SHOWN:
                    break
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        faults.append(Fault(str(path), "", "a readable CSV file in UTF-8", str(error)))
    if not rows and not faults:
        faults.append(Fault(str(path), "", "a row a scan", "no rows"))
    refuse(_shortened(path, faults))
    faults = _scan_faults(path, rows, list(realisations))
    refuse(_shortened(path, faults))
    return _table(rows, header, tuple(realisations))


def _shortened(path: Path, faults: list[Fault]) -> list[Fault]:
    if len(faults) <= _FAULTS_SHOWN:
        return faults
    return [*faults[:_FAULTS_SHOWN], Fault(str(path), "", "no further fault", "more of them")]


def _header(path: Path, cells: Sequence[str]) -> _Header:
    where = "line 1 (header)"
    if tuple(cells[: len(PLACE)]) != PLACE:
        found = ",".join(cells[: len(PLACE)]) or "an empty line or file"
        cure = _DECIMAL_COMMA if ";" in found else "Other layouts: twin data import csv."
        raise InputError([Fault(str(path), where, ",".join(PLACE), found, cure)])
    rest = list(cells[len(PLACE) :])
    time = TIME.fullmatch(rest[0]) if rest else None
    if time is not None:
        rest = rest[1:]
    labels = [name for name in LABELS if name in rest]
    if rest[: len(labels)] == labels:
        rest = rest[len(labels) :]
    cure = "All signal strengths of a table have one unit."
    faults = [
        Fault(str(path), where, f"an access point's name and{UNIT}", repr(cell), cure)
        for cell in rest
        if not cell.endswith(UNIT) or cell == UNIT
    ]
    if not rest:
        faults.append(Fault(str(path), where, f"a column NAME{UNIT} an access point", "none"))
    faults += [
        Fault(str(path), where, "every access point once", f"{cell!r} twice")
        for cell in sorted({cell for cell in rest if rest.count(cell) > 1})
    ]
    refuse(faults)
    return _Header(
        time_origin=time[1] if time else None,
        labels=tuple(labels),
        access_points=tuple(cell.removesuffix(UNIT) for cell in rest),
    )


def _row(
    path: Path,
    line: int,
    cells: Sequence[str],
    header: _Header,
    realisations: dict[str, int],
    faults: list[Fault],
) -> _Row | None:
    where = f"line {line}"
    about_count = len(PLACE) + (header.time_origin is not None) + len(header.labels)
    width = about_count + len(header.access_points)
    if len(cells) != width:
        expected = f"{width} cells"
        faults.append(Fault(str(path), where, expected, f"{len(cells)}", _DECIMAL_COMMA))
        return None
    before = len(faults)
    columns = _Cells(path, where, faults)
    label, split = cells[0], cells[7]
    if not label:
        faults.append(Fault(str(path), f"{where}, realisation", "a name", "an empty cell"))
    if split not in SPLITS:
        expected = f"one of {', '.join(name or 'an empty cell' for name in SPLITS)}"
        faults.append(Fault(str(path), f"{where}, split", expected, repr(split)))
    point, visit, snapshot = (columns.whole(PLACE[i], cells[i], 0, _LARGEST) for i in (1, 2, 3))
    about: list[float | None] = [columns.number(PLACE[i], cells[i]) for i in (4, 5, 6)]
    about.append(SPLITS.index(split) if split in SPLITS else 0)
    rest = list(cells[len(PLACE) : about_count])
    time = rest.pop(0) if header.time_origin else ""
    about.append(columns.number("time", time) if time else None)
    for name, cell in zip(header.labels, rest, strict=True):
        limits = np.iinfo(VARIABLES[name].dtype)
        about.append(columns.whole(name, cell, limits.min, limits.max))
    rss = columns.strengths(header.access_points, cells[about_count:])
    if len(faults) > before:
        return None
    realisation = realisations.setdefault(label, len(realisations))
    return _Row(line, (realisation, point, snapshot), visit, tuple(about), rss)


@dataclass(frozen=True)
class _Cells:
    """Cells of a line as numbers, with a fault for every one that is none."""

    path: Path
    where: str
    faults: list[Fault]

    def number(self, name: str, cell: str) -> float:
        if _NUMBER.fullmatch(cell) and math.isfinite(float(cell)):
            return float(cell)
        self._fault(name, "a finite number with a decimal point", cell)
        return math.nan

    def whole(self, name: str, cell: str, least: int, most: int) -> int:
        if re.fullmatch(r"-?\d{1,18}", cell) and least <= int(cell) <= most:
            return int(cell)
        self._fault(name, f"a whole number from {least} to {most}", cell)
        return 0

    def strengths(self, names: Sequence[str], cells: Sequence[str]) -> npt.NDArray[np.float32]:
        low, high = _RSS_RANGE_DBM
        values = np.full(len(cells), np.nan, dtype=np.float32)
        for index, cell in enumerate(cells):
            if cell:
                value = float(cell) if _NUMBER.fullmatch(cell) else math.nan
                if not low <= value <= high:
                    expected = f"a number from {low:g} to {high:g} [dBm]"
                    cure = "Leave the cell empty where the access point was not heard."
                    self._fault(names[index], expected, cell, cure)
                values[index] = value
        return values

    def _fault(self, name: str, expected: str, cell: str, cure: str = "") -> None:
        comma = _DECIMAL_COMMA if "," in cell else cure
        self.faults.append(
            Fault(str(self.path), f"{self.where}, {name}", expected, repr(cell), comma)
        )


def _scan_faults(path: Path, rows: Sequence[_Row], realisations: Sequence[str]) -> list[Fault]:
    faults = []
    lines: dict[tuple[int, int, int], int] = {}
    about: dict[tuple[int, int], _Row] = {}
    for row in rows:
        first = about.setdefault(row.key[:2], row)
        if row.key in lines:
            found = f"the scan of line {lines[row.key]} again"
            faults.append(Fault(str(path), f"line {row.line}", "every scan once", found))
        lines.setdefault(row.key, row.line)
        if row.about != first.about:
            expected = f"position, split, time and labels as in line {first.line}"
            faults.append(Fault(str(path), f"line {row.line}", expected, "others"))
    snapshots = 1 + max(row.key[2] for row in rows)
    visits = 1 + max(row.visit for row in rows)
    if snapshots % visits:
        expected = f"as many snapshots in each of {visits} visits"
        faults.append(Fault(str(path), "visit", expected, f"{snapshots} snapshots"))
    else:
        faults += [
            Fault(str(path), f"line {row.line}, visit", f"{visit}", f"{row.visit}",
                  "Visits follow each other along the snapshots.")
            for row in rows
            if row.visit != (visit := row.key[2] // (snapshots // visits))
        ]  # fmt: skip
    missing = (
        Fault(
            str(path),
            f"realisation {realisations[realisation]!r}, point {point}",
            f"a row for each of the snapshots 0 to {snapshots - 1}",
            f"none for snapshot {snapshot}",
        )
        for realisation, point in about
        for snapshot in range(snapshots)
        if (realisation, point, snapshot) not in lines
    )
    # A wrong number in one cell must not make millions of faults.
    faults += islice(missing, _FAULTS_SHOWN + 1)
    points = {point for _, point in about}
    gaps = (point for point in range(max(points)) if point not in points)
    faults += [
        Fault(str(path), "point", "numbers from 0 without a gap", f"no point {point}")
        for point in islice(gaps, _FAULTS_SHOWN + 1)
    ]
    return faults


def _table(rows: Sequence[_Row], header: _Header, realisations: tuple[str, ...]) -> Table:
    keys = np.array([row.key for row in rows])
    shape = (len(realisations), int(keys[:, 1].max()) + 1)
    snapshots = int(keys[:, 2].max()) + 1
    realisation, point, _ = keys.T
    present = np.zeros(shape, dtype=np.bool_)
    present[realisation, point] = True
    # Positions, split, time, labels.
    about = np.full((*shape, 5 + len(header.labels)), np.nan)
    about[realisation, point] = np.array([row.about for row in rows], dtype=np.float64)
    rss = np.full((*shape, snapshots, len(header.access_points)), np.nan, dtype=np.float32)
    for row in rows:
        rss[row.key] = row.rss
    return Table(
        realisations=realisations,
        access_points=header.access_points,
        visits=1 + max(row.visit for row in rows),
        time_origin=header.time_origin,
        present=present,
        position=about[..., :3],
        split=np.where(present, np.nan_to_num(about[..., 3]), 0).astype(np.int8),
        time=about[..., 4],
        labels={
            name: np.where(present, np.nan_to_num(about[..., 5 + index], nan=-1), -1).astype(
                np.int64
            )
            for index, name in enumerate(header.labels)
        },
        rss=rss,
    )
