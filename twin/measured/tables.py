"""Reading the files of data sets: plain or compressed, checked cell by cell, every fault placed."""

from __future__ import annotations

import contextlib
import csv
import io
import lzma
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twin.errors import Fault
from twin.measured.data_set import DataFile, content_sha256

FAULTS_SHOWN = 20
_ANEW = "The file is cut short or not the official one; fetch it anew."


@dataclass(frozen=True)
class Column:
    """One column of a table of numbers.

    Args:
        name: as the header has it, or as messages shall name it where there is no header.
        low: smallest value.
        high: largest value.
        none: value outside the range that stands for nothing measured; None where there is none.
        whole: whether only whole numbers are right.
    """

    name: str
    low: float
    high: float
    none: float | None = None
    whole: bool = False

    @property
    def expected(self) -> str:
        """What a cell must hold, in words."""
        kind = "a whole number" if self.whole else "a number"
        other = "" if self.none is None else f", or {self.none:g} for none"
        return f"{kind} from {self.low:g} to {self.high:g}{other}"

    def holds(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Where values are right; never where they are NaN."""
        right = (values >= self.low) & (values <= self.high)
        if self.whole:
            right &= values == np.round(values)
        if self.none is not None:
            right |= values == self.none
        return np.asarray(right)


@dataclass(frozen=True, eq=False)
class Content:
    """Bytes of one file.

    Args:
        path: where they come from.
        data: plain content; of a text, with line ends as LF.
        sha256: its digest as `DataFile` has it.
    """

    path: Path
    data: bytes
    sha256: str


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers of one file: (row, column), in file order."""

    path: Path
    values: npt.NDArray[np.float64]
    sha256: str


def read_content(folder: Path, file: DataFile, faults: list[Fault]) -> Content | None:
    """Plain content of a file that lies there plain or as ``.xz``; None and a fault otherwise.

    Spaces in its name may be underscores. The digest is not checked, see `digest_faults`.
    """
    there = {path.name.replace(" ", "_"): path for path in sorted(folder.glob("*"))}
    names = [name for plain in (file.name, *file.other_names) for name in (plain, f"{plain}.xz")]
    path = next((there[name] for name in names if name in there), None)
    if path is None:
        cure = "Set TWIN_DATA_DIR to a folder with the data set, or fetch it: twin data get."
        expected = "the file, plain or with .xz"
        faults.append(Fault(str(folder / file.name), "", expected, "no such file", cure))
        return None
    try:
        data = path.read_bytes()
        if path.suffix == ".xz" and not file.name.endswith(".xz"):
            data = lzma.decompress(data)
        if file.text:
            data = data.replace(b"\r\n", b"\n")
            data.decode("utf-8")
    except (OSError, lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        expected = "a whole, readable file"
        faults.append(Fault(str(path), "", expected, str(error), "Fetch the file anew."))
        return None
    return Content(path, data, content_sha256(data, text=file.text))


def digest_faults(content: Content, file: DataFile) -> list[Fault]:
    """The fault of a content that is not the one known; none where none is known."""
    if file.sha256 in (None, content.sha256):
        return []
    cure = "Fetch the official file."
    return [Fault(str(content.path), "sha256", str(file.sha256), content.sha256, cure)]


def count_fault(where: Path, key: str, expected: int | None, found: int) -> list[Fault]:
    """The fault of a count that is not as published."""
    if expected in (None, found):
        return []
    return [Fault(str(where), key, str(expected), str(found), _ANEW)]


def shown(faults: Sequence[Fault], where: Path) -> list[Fault]:
    """The first faults of a file, and how many more there are."""
    hidden = len(faults) - FAULTS_SHOWN
    if hidden <= 0:
        return list(faults)
    more = Fault(str(where), "", "no further fault", f"{hidden} more")
    return [*faults[:FAULTS_SHOWN], more]


def read_lines(
    folder: Path, file: DataFile, faults: list[Fault]
) -> tuple[Content, list[str]] | None:
    """Lines of a text file, checked for their number and the digest."""
    content = read_content(folder, file, faults)
    if content is None:
        return None
    lines = content.data.decode("utf-8").removesuffix("\n").split("\n")
    own = count_fault(content.path, "rows", file.rows, len(lines)) or digest_faults(content, file)
    faults += own
    return None if own else (content, lines)


def read_table(
    folder: Path,
    file: DataFile,
    columns: Sequence[Column],
    faults: list[Fault],
    *,
    header: bool = True,
    more: bool = False,
) -> Table | None:
    """Numbers of a table of comma-separated values; None and its faults where it has any.

    Cells are checked first, so that a damaged file is refused with the place of the damage; then
    the count of rows, then the digest.

    Args:
        folder: where the file lies.
        file: what is known of it.
        columns: its columns in order.
        faults: gets the faults, at most `FAULTS_SHOWN` and the number of the others.
        header: whether the first row holds the names of the columns.
        more: whether further columns may follow those named, which are not read.
    """
    content = read_content(folder, file, faults)
    if content is None:
        return None
    lines = content.data.decode("utf-8").removesuffix("\n").split("\n")
    width = max(len(columns), _width(lines[0]) if more else 0)
    own = _header_faults(content.path, lines[0], columns, width) if header else []
    values = np.empty((0, len(columns)))
    if not own:
        skipped = 1 if header else 0
        values, own = _numbers(content.path, lines[skipped:], columns, width, skipped + 1)
    if not own:
        own = count_fault(content.path, "rows", file.rows, len(values))
    if not own:
        own = digest_faults(content, file)
    faults += shown(own, content.path)
    return None if own else Table(content.path, values, content.sha256)


def _width(line: str) -> int:
    return len(next(csv.reader([line]), []))


def _header_faults(path: Path, line: str, columns: Sequence[Column], width: int) -> list[Fault]:
    found = [name.strip() for name in next(csv.reader([line]), [])]
    names = [column.name for column in columns]
    if len(found) == width and found[: len(names)] == names:
        return []
    cure = _delimiter_cure(line, width)
    if len(found) != width:
        expected, what = f"{width} names parted by ','", f"{len(found)}"
    else:
        place = next(i for i, name in enumerate(names) if found[i] != name)
        expected, what = f"{names[place]!r} as column {place + 1}", repr(found[place])
        cure = "Fetch the official file."
    return [Fault(str(path), "row 1 (header)", expected, what, cure)]


def _numbers(
    path: Path, rows: Sequence[str], columns: Sequence[Column], width: int, first: int
) -> tuple[npt.NDArray[np.float64], list[Fault]]:
    """All cells as numbers, or the faults of the cells."""
    if rows and all(row.count(",") == width - 1 for row in rows) and all(rows):
        read = range(len(columns))
        # A cell that is no number is found one by one below.
        with contextlib.suppress(ValueError):
            values = np.loadtxt(rows, delimiter=",", comments=None, ndmin=2, usecols=read)
            if all(column.holds(values[:, i]).all() for i, column in enumerate(columns)):
                return values, []
    return _slowly(path, rows, columns, width, first)


def _slowly(
    path: Path, rows: Sequence[str], columns: Sequence[Column], width: int, first: int
) -> tuple[npt.NDArray[np.float64], list[Fault]]:
    """As `_numbers`, one cell after the other, to find the place of each fault."""
    faults: list[Fault] = []
    values = np.full((len(rows), len(columns)), np.nan)
    for line, text in enumerate(rows, start=first):
        cells = next(csv.reader([text]), [])
        if len(cells) != width:
            cure = _delimiter_cure(text, width)
            expected = f"{width} cells parted by ','"
            faults.append(Fault(str(path), f"row {line}", expected, str(len(cells)), cure))
            continue
        row = values[line - first]
        row[:] = [_number(cell) for cell in cells[: len(columns)]]
        for column, cell, value in zip(columns, cells, row, strict=False):
            if not column.holds(value):
                cure = "Write the decimal mark as a point." if _decimal_comma(cell) else ""
                key = f"row {line}, column {column.name!r}"
                faults.append(Fault(str(path), key, column.expected, repr(cell), cure))
    if not rows:
        faults.append(Fault(str(path), "rows", "at least one", "none", _ANEW))
    return values, faults


def _number(cell: str) -> float:
    try:
        # Python alone would take 1_000 for a number.
        return math.nan if "_" in cell else float(cell)
    except ValueError:
        return math.nan


def _decimal_comma(cell: str) -> bool:
    return cell.count(",") == 1 and not math.isnan(_number(cell.replace(",", ".")))


def _delimiter_cure(text: str, wanted: int) -> str:
    """What may be wrong with a row that has another number of cells."""
    for mark, name in ((";", "';'"), ("\t", "a tab")):
        if mark in text:
            return f"This row is parted by {name}: part all cells by ',', decimals by a point."
    if text.count(",") >= wanted:
        return "Write the decimal mark as a point: every ',' parts two cells."
    return _ANEW


def array_faults(
    where: Path, key: str, values: npt.NDArray[np.generic], columns: Sequence[Column]
) -> list[Fault]:
    """Cells of an array (row, column) that are out of range, with their places from 1."""
    place = str(where)
    if values.ndim != 2 or values.shape[1] != len(columns) or values.dtype.kind not in "iuf":
        expected = f"numbers of shape (rows, {len(columns)})"
        found = f"{values.dtype} of shape {values.shape}"
        return [Fault(place, key, expected, found, _ANEW)]
    faults = []
    for i, column in enumerate(columns):
        cells = values[:, i].astype(np.float64)
        faults += [
            Fault(
                place,
                f"{key}, row {row + 1}, column {column.name!r}",
                column.expected,
                f"{cells[row]:g}",
            )
            for row in np.flatnonzero(~column.holds(cells))
        ]
    return shown(faults, where)


def read_arrays(
    folder: Path, file: DataFile, faults: list[Fault]
) -> tuple[Content, dict[str, npt.NDArray[np.generic]]] | None:
    """Arrays of a NumPy archive by name, checked for the digest; pickled objects are refused."""
    content = read_content(folder, file, faults)
    if content is None:
        return None
    own = digest_faults(content, file)
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    try:
        with np.load(io.BytesIO(content.data), allow_pickle=False) as archive:
            arrays = {str(name): archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        own = [Fault(str(content.path), "", "a whole NumPy archive", str(error), _ANEW)]
    faults += own
    return None if own else (content, arrays)
