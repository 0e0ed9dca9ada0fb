"""Reading a user's CSV file: text, rows, columns of numbers; every fault has a place and a cure."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twin.errors import Fault
from twin.measured.csv_mapping import CsvFormat
from twin.measured.data_set import content_sha256

Floats = npt.NDArray[np.float64]

DELIMITERS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}
# Rows of two units are told by these ratios; units differ by 100 (cm) or more.
_GAP, _UNITS_APART = 8.0, 40.0
_LARGE_M = 1000.0
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, eq=False)
class CsvTable:
    """Cells of a file as text, without white space at their ends.

    Args:
        path: of the file.
        columns: name -> cell by row, in the order of the file.
        numbers: (row,) number in the file; the header is row 1.
        sha256: of the content.
    """

    path: Path
    columns: Mapping[str, tuple[str, ...]]
    numbers: tuple[int, ...]
    sha256: str

    def place(self, row: int, column: str) -> str:
        """How messages name a cell."""
        return f"row {self.numbers[row]}, column {column!r}"


@dataclass(frozen=True)
class NumberRule:
    """What the cells of a column must hold.

    Args:
        low: smallest value.
        high: largest value.
        expected: the same in words.
        not_heard: numbers or texts that stand for none.
        key: key of the mapping that lists them; empty where it cannot.
        in_dbm: whether the values are powers in dBm.
    """

    low: float
    high: float
    expected: str
    not_heard: tuple[float | str, ...] = ()
    key: str = ""
    in_dbm: bool = False


def read_text(path: Path, encoding: str, faults: list[Fault]) -> tuple[str, str]:
    """Text of a file and its digest; empty, with a fault, where it cannot be read."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        faults.append(Fault(str(path), "", "a readable file", str(error)))
        return "", ""
    try:
        text = raw.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        key = f"row {line}, byte {error.start}"
        found = raw[error.start : error.start + 1].hex()
        cure = (
            "Set csv.encoding to the file's encoding, such as cp1252 or utf-16, or save as UTF-8."
        )
        faults.append(Fault(str(path), key, f"text in {encoding}", f"the byte {found}", cure))
        return "", ""
    except LookupError:
        faults.append(Fault(str(path), "csv.encoding", "a known encoding", repr(encoding)))
        return "", ""
    if "\0" in text:
        cure = "Set csv.encoding to utf-16, or save as UTF-8."
        faults.append(Fault(str(path), "", "text", "zero bytes", cure))
        return "", ""
    return text, content_sha256(raw)


def read_csv(
    path: Path, layout: CsvFormat, columns: Collection[str], faults: list[Fault]
) -> CsvTable | None:
    """The cells of a file; None and its faults where they cannot be told apart.

    Args:
        path: of the file.
        layout: delimiter, decimal mark and encoding.
        columns: names that the header must have.
        faults: gets what is wrong.
    """
    before = len(faults)
    text, digest = read_text(path, layout.encoding, faults)
    rows = _rows(path, text, layout.delimiter, faults) if len(faults) == before else []
    if not rows:
        return None
    header = rows[0]
    faults += _header_faults(path, header, text.partition("\n")[0], layout, columns)
    if len(faults) > before:
        return None
    filled = [(number, row) for number, row in enumerate(rows[1:], 2) if any(row)]
    wrong = [(number, row) for number, row in filled if len(row) != len(header)]
    if wrong:
        number, row = wrong[0]
        expected = f"{len(header)} cells, as the header has"
        many = f" ({len(wrong)} such rows)" if len(wrong) > 1 else ""
        cure = _cells_cure(row, len(header), layout)
        faults.append(Fault(str(path), f"row {number}", expected, f"{len(row)}{many}", cure))
    elif not filled:
        faults.append(Fault(str(path), "rows", "at least one below the header", "none"))
    else:
        cells = zip(*(row for _, row in filled), strict=True)
        numbers = tuple(number for number, _ in filled)
        return CsvTable(path, dict(zip(header, cells, strict=True)), numbers, digest)
    return None


def _rows(path: Path, text: str, delimiter: str, faults: list[Fault]) -> list[list[str]]:
    """All rows, empty ones too; none, with a fault, where there is no header."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    # Most cells of a wide table are alike: each text is kept once.
    known: dict[str, str] = {}
    try:
        rows = [[known.setdefault(cell, cell) for cell in map(str.strip, row)] for row in reader]
    except csv.Error as error:
        cure = "Close every quotation mark; write one inside a cell twice."
        key = f"line {reader.line_num}"
        faults.append(Fault(str(path), key, "cells in CSV", str(error), cure))
        return []
    if not rows or not any(rows[0]):
        faults.append(Fault(str(path), "row 1 (header)", "names of the columns", "nothing"))
        return []
    return rows


def _header_faults(
    path: Path, header: Sequence[str], line: str, layout: CsvFormat, columns: Collection[str]
) -> list[Fault]:
    where, key = str(path), "row 1 (header)"
    missing = [name for name in columns if name not in header]
    for mark, words in DELIMITERS.items():
        split = [cell.strip() for cell in next(csv.reader([line], delimiter=mark), [])]
        if missing and mark != layout.delimiter and len(split) > len(header):
            found = f"{len(header)}; parted by {words} it would have {len(split)}"
            expected = f"columns parted by {DELIMITERS[layout.delimiter]}"
            cure = (
                f"Set csv.delimiter to {mark!r}." if mark != "\t" else 'Set csv.delimiter to "\\t".'
            )
            return [Fault(where, key, expected, found, cure)]
    faults = [
        Fault(
            where,
            f"{key}, column {header.index(name) + 1}",
            "one column a name",
            f"{name!r} {header.count(name)} times",
            "Rename or delete one.",
        )
        for name in dict.fromkeys(header)
        if header.count(name) > 1
    ]
    for name in missing:
        near = difflib.get_close_matches(name, header, n=1)
        cure = f"Did you mean {near[0]!r}?" if near else "Name a column of the file in the mapping."
        found = ", ".join(map(repr, header[:12])) + (", ..." if len(header) > 12 else "")
        faults.append(Fault(where, key, f"the column {name!r}", found, cure))
    return faults


def _cells_cure(row: Sequence[str], wanted: int, layout: CsvFormat) -> str:
    if layout.delimiter == "," and len(row) > wanted:
        return (
            "If commas are decimal marks, write points, or part the cells by ';' and set "
            "csv.delimiter and csv.decimal."
        )
    return "Put a cell that holds the delimiter in quotation marks; leave no row cut short."


def parse_numbers(
    table: CsvTable, column: str, decimal: str, rule: NumberRule, faults: list[Fault]
) -> Floats:
    """A column as numbers, NaN for none; one fault for each kind of wrong cell."""
    cells = table.columns[column]
    none = {str(text) for text in rule.not_heard if isinstance(text, str)}
    values = _quickly(cells, decimal, none)
    wrong: dict[str, list[int]] = {}
    if values is None:
        values = np.full(len(cells), np.nan)
        for row, cell in enumerate(cells):
            number = _number(cell, decimal)
            if number is not None:
                values[row] = number
            elif cell not in none:
                wrong.setdefault(_kind(cell, decimal), []).append(row)
    values[np.isin(values, [number for number in rule.not_heard if number not in none])] = np.nan
    outside = np.flatnonzero((values < rule.low) | (values > rule.high))
    zero = rule.in_dbm & (values[outside] == 0)
    for kind, rows in (("range", outside[~zero]), ("zero", outside[zero])):
        if rows.size:
            wrong[kind] = rows.tolist()
    for kind, rows in wrong.items():
        many = f" ({len(rows)} such cells)" if len(rows) > 1 else ""
        found = (repr(cells[rows[0]]) if cells[rows[0]] else "an empty cell") + many
        place = table.place(rows[0], column)
        cure = _cure(kind, rule, values, len(rows))
        faults.append(Fault(str(table.path), place, rule.expected, found, cure))
    return values


def _quickly(cells: Sequence[str], decimal: str, none: set[str]) -> Floats | None:
    """All cells at once, where all are plain numbers or none; None where one is not."""
    if decimal != "." or any("_" in cell for cell in cells):
        return None
    heard = [cell for cell in cells if cell not in none]
    try:
        values = np.array(["nan" if cell in none else cell for cell in cells]).astype(np.float64)
    except ValueError:
        return None
    return values if np.count_nonzero(np.isfinite(values)) == len(heard) else None


def _number(cell: str, decimal: str) -> float | None:
    if decimal == ",":
        cell = cell.replace(".", "?").replace(",", ".")
    return float(cell) if _NUMBER.fullmatch(cell) else None


def _kind(cell: str, decimal: str) -> str:
    """What is wrong with a cell that is no number."""
    if not cell:
        return "empty"
    other = "," if decimal == "." else "."
    if _number(cell, other) is not None:
        return "decimal"
    if _number(cell.replace(other, ""), decimal) is not None:
        return "thousands"
    return "text"


def _cure(kind: str, rule: NumberRule, values: Floats, count: int) -> str:
    if kind == "decimal":
        return "Write all decimal marks alike and set csv.decimal to the one used."
    if kind == "thousands":
        return "Write no marks between thousands."
    if kind == "range" and rule.in_dbm:
        known = values[np.isfinite(values)]
        if count > len(known) / 2 and known.min() >= 0 and known.max() <= 100:
            return "This looks like percent or another unit: convert the column to dBm."
    if not rule.key:
        return "Fill it in or delete the row." if kind == "empty" else ""
    named = '""' if kind == "empty" else "it"
    none = f"If it stands for nothing heard, list {named} under {rule.key}"
    return f"{none}; if it is a reading, set rss.zero_is_heard." if kind == "zero" else f"{none}."


def mixed_units(
    table: CsvTable, columns: Sequence[str], values: Floats, faults: list[Fault]
) -> None:
    """Refuse positions that look as if two units stood in the file.

    Either the rows fall into two groups that are far apart and as wide as they are far apart, or
    one axis is much longer than another and longer than a site.

    Args:
        table: that they come from.
        columns: names of x and y.
        values: (row, 2) [m].
        faults: gets what is wrong.
    """
    cure = (
        "Convert all positions to one unit; if the points really lie like this, set "
        "position.far_apart to true."
    )
    where = str(table.path)
    size = np.abs(values).max(axis=1)
    rising = np.sort(size[size > 0])
    ratio = rising[1:] / rising[:-1]
    cut = int(np.argmax(ratio)) + 1 if len(ratio) else 0
    low, high = rising[:cut], rising[cut:]
    if (
        min(len(low), len(high)) > 1
        and ratio[cut - 1] > _GAP
        and np.median(high) > _UNITS_APART * np.median(low)
        and np.ptp(high) > _UNITS_APART / 2 * np.ptp(low)
    ):
        row = int(np.argmax(size >= high[0]))
        place = table.place(row, columns[int(np.argmax(np.abs(values[row])))])
        expected = f"one unit: {len(low)} rows are up to {low[-1]:g} m from zero"
        found = f"{size[row]:g} m ({len(high)} such rows)"
        faults.append(Fault(where, place, expected, found, cure))
    spans = np.ptp(values, axis=0)
    if spans.max() > _LARGE_M and 0 < spans.min() < spans.max() / _UNITS_APART:
        expected = f"one unit in the columns {columns[0]!r} and {columns[1]!r}"
        found = f"lengths of {spans[0]:g} m and {spans[1]:g} m"
        faults.append(Fault(where, "positions", expected, found, cure))


def labels(cells: Iterable[str], largest: int) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Cells as numbers: as they are where all are whole numbers, else their rank by name.

    Returns:
        The numbers, and the names that they count; no names where the cells are numbers.
    """
    texts = list(cells)
    if all(re.fullmatch(r"-?\d{1,9}", text) and abs(int(text)) <= largest for text in texts):
        return np.array([int(text) for text in texts], dtype=np.int64), ()
    names = sorted(set(texts))
    rank = {name: number for number, name in enumerate(names)}
    return np.array([rank[text] for text in texts], dtype=np.int64), tuple(names)
