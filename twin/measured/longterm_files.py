"""Files of the long-term library measurements, as published and as one archive.

Official layout: ``db/MM/{trn,tst}NN{rss,crd,tms,ids}.csv`` without headers: month, reference or
test set and its number, then readings (dBm), coordinates (x, y, floor), times (yyyymmddHHMMSSfff)
and numbers of the samples, which repeat month, set and kind.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.errors import Fault
from twin.measured.data_set import DataFile, DataSet
from twin.measured.surveys import NONE_DBM
from twin.measured.tables import Column, array_faults, read_arrays, read_lines, read_table, shown

_KINDS = ("trn", "tst")
_PARTS = ("rss", "crd", "tms", "ids")
_NAME = re.compile(r"(trn|tst)(\d\d)(?:rss|crd|tms|ids)\.csv(?:\.xz)?")
_COORDINATES = (
    Column("x", -100, 1_000),
    Column("y", -100, 1_000),
    Column("floor", 0, 9, whole=True),
)


@dataclass(frozen=True, eq=False)
class Rows:
    """Scans of all months, sorted by month, then reference before test, then set, then file order.

    Args:
        rss: (row, ap) dBm, 100 = not heard.
        xy: (row, 2) metres.
        floor: (row,) label; 0 where it is missing.
        seconds: (row,) since 1970, as if the clock showed UTC.
        month: (row,) from 1.
        is_test: (row,) whether it belongs to a test set.
        set_number: (row,) number of the set within month and kind.
        content_sha256: digest by file; of the many official files one over all.
    """

    rss: npt.NDArray[np.int8]
    xy: npt.NDArray[np.float64]
    floor: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]
    month: npt.NDArray[np.int64]
    is_test: npt.NDArray[np.bool_]
    set_number: npt.NDArray[np.int64]
    content_sha256: Mapping[str, str]

    def take(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Rows:
        """Some of the rows."""
        values: dict[str, Any] = {
            field.name: getattr(self, field.name)[chosen]
            for field in fields(self)
            if field.name != "content_sha256"
        }
        return Rows(**values, content_sha256=self.content_sha256)


def read_official(folder: Path, data_set: DataSet, faults: list[Fault]) -> Rows | None:
    """All sets in the folder ``db``; None where there is a fault."""
    parts = []
    digests: dict[str, str] = {}
    for month in sorted(path for path in (folder / "db").iterdir() if path.is_dir()):
        if not re.fullmatch(r"\d\d", month.name):
            faults.append(Fault(str(month), "", "a month of two digits", month.name))
            continue
        matches = [_NAME.fullmatch(path.name) for path in sorted(month.iterdir())]
        for kind, number in sorted({(match[1], match[2]) for match in matches if match}):
            rows = _read_set(month, kind, number, data_set.counts["access_points"], faults)
            if rows is not None:
                digests |= {f"{month.name}/{n}": d for n, d in rows.content_sha256.items()}
                parts.append(rows)
    if not parts and not faults:
        cure = "Fetch the official archive."
        faults.append(
            Fault(str(folder / "db"), "", "folders 01 to 25 with CSV files", "none", cure)
        )
    if faults:
        return None
    listing = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    joined: dict[str, Any] = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Rows)
        if field.name != "content_sha256"
    }
    return Rows(**joined, content_sha256={"db": hashlib.sha256(listing.encode()).hexdigest()})


def _read_set(
    folder: Path, kind: str, number: str, access_points: int, faults: list[Fault]
) -> Rows | None:
    """One set of one month."""
    names = {part: f"{kind}{number}{part}.csv" for part in _PARTS}
    own: list[Fault] = []
    rss = read_table(folder, DataFile(names["rss"]), _heard(access_points), own, header=False)
    rows = None if rss is None else len(rss.values)
    crd = read_table(folder, DataFile(names["crd"], None, rows), _COORDINATES, own, header=False)
    tms = read_lines(folder, DataFile(names["tms"], None, rows), own)
    ids = read_lines(folder, DataFile(names["ids"], None, rows), own)
    faults += own
    if own or rss is None or crd is None or tms is None or ids is None:
        return None
    stamps = _integers(tms[0].path, tms[1], own)
    numbers = _integers(ids[0].path, ids[1], own)
    month = int(folder.name)
    count = len(rss.values)
    made = Rows(
        rss=rss.values.astype(np.int8),
        xy=crd.values[:, :2],
        floor=crd.values[:, 2].astype(np.int64),
        seconds=_seconds(tms[0].path, stamps, own),
        month=np.full(count, month),
        is_test=np.full(count, kind == "tst"),
        set_number=np.full(count, int(number)),
        content_sha256={
            names["rss"]: rss.sha256,
            names["crd"]: crd.sha256,
            names["tms"]: tms[0].sha256,
            names["ids"]: ids[0].sha256,
        },
    )
    own += _floor_faults(crd.path, made.floor) or _id_faults(ids[0].path, numbers, made)
    faults += own
    return None if own else made


def _heard(access_points: int) -> list[Column]:
    return [
        Column(f"WAP{i:03d}", -127, 0, NONE_DBM, whole=True) for i in range(1, access_points + 1)
    ]


def read_archive(folder: Path, data_set: DataSet, faults: list[Fault]) -> Rows | None:
    """All sets from one NumPy archive; None where there is a fault."""
    (file,) = data_set.files
    read = read_arrays(folder, file, faults)
    if read is None:
        return None
    content, arrays = read
    where = content.path
    names = ("rss", "crd", "tms", "ids", "month", "is_test", "setnum")
    missing = [name for name in names if name not in arrays]
    if missing:
        expected = f"arrays {', '.join(names)}"
        faults.append(Fault(str(where), "", expected, f"no {', '.join(missing)}"))
        return None
    count = len(arrays["rss"])
    own = array_faults(where, "rss", arrays["rss"], _heard(data_set.counts["access_points"]))
    own += array_faults(where, "crd", arrays["crd"], _COORDINATES)
    flat = {}
    for name in names[2:]:
        # One number a row; some of the arrays keep it as a column.
        flat[name] = arrays[name].reshape(-1)
        if len(flat[name]) != count or flat[name].dtype.kind not in "iuf":
            expected, found = f"{count} numbers", f"{arrays[name].shape} {arrays[name].dtype}"
            own.append(Fault(str(where), name, expected, found))
    if own:
        faults += own
        return None
    numbers = {name: values.astype(np.int64) for name, values in flat.items()}
    rows = Rows(
        rss=arrays["rss"].astype(np.int8),
        xy=arrays["crd"][:, :2].astype(np.float64),
        floor=arrays["crd"][:, 2].astype(np.int64),
        seconds=_seconds(where, numbers["tms"], own),
        month=numbers["month"],
        is_test=numbers["is_test"] != 0,
        set_number=numbers["setnum"],
        content_sha256={file.name: content.sha256},
    )
    own += _floor_faults(where, rows.floor) or _id_faults(where, numbers["ids"], rows)
    faults += own
    if own:
        return None
    return rows.take(np.lexsort((rows.set_number, rows.is_test, rows.month)))


def _integers(path: Path, lines: list[str], faults: list[Fault]) -> npt.NDArray[np.int64]:
    """Whole numbers, one a line."""
    bad = [row for row, line in enumerate(lines, start=1) if not re.fullmatch(r"\d{1,18}", line)]
    own = [Fault(str(path), f"row {row}", "a number", repr(lines[row - 1])) for row in bad]
    faults += shown(own, path)
    return np.array([0 if bad else int(line) for line in lines], dtype=np.int64)


def _seconds(
    path: Path, stamps: npt.NDArray[np.int64], faults: list[Fault]
) -> npt.NDArray[np.float64]:
    """Seconds since 1970 of yyyymmddHHMMSSfff.

    Seconds are added as a number: four stamps of the source have a second 60.
    """
    date, clock = np.divmod(stamps, 10**9)
    year, month, day = date // 10_000, date // 100 % 100, date % 100
    hour, minute, milliseconds = clock // 10**7, clock // 10**5 % 100, clock % 10**5
    bad = (year < 2000) | (year > 2099) | (month < 1) | (month > 12) | (day < 1) | (day > 31)
    bad |= (hour > 23) | (minute > 59) | (milliseconds >= 61_000)
    if np.any(bad) and not faults:
        expected = "a time as 20160602155217232"
        own = [
            Fault(str(path), f"time of row {row + 1}", expected, str(stamps[row]))
            for row in np.flatnonzero(bad)
        ]
        faults += shown(own, path)
    months = (year - 1970) * 12 + np.clip(month, 1, 12) - 1
    days = months.astype("M8[M]").astype("M8[D]").astype(np.int64) + day - 1
    return np.asarray(days * 86_400.0 + hour * 3_600.0 + minute * 60.0 + milliseconds / 1_000.0)


def _floor_faults(path: Path, floor: npt.NDArray[np.int64]) -> list[Fault]:
    own = [
        Fault(str(path), f"floor of row {row + 1}", "3 or 5, or 0 where missing", str(floor[row]))
        for row in np.flatnonzero(~np.isin(floor, (0, 3, 5)))
    ]
    return shown(own, path)


def _id_faults(path: Path, numbers: npt.NDArray[np.int64], rows: Rows) -> list[Fault]:
    """Samples whose number is not that of their month, set and kind."""
    wanted = rows.month * 1_000 + rows.set_number * 10 + 1 + rows.is_test
    own = [
        Fault(
            str(path),
            f"number of row {row + 1}",
            f"{wanted[row]} before the last five digits (month, set, kind)",
            str(numbers[row]),
            "The files of several sets are mixed up; fetch them anew.",
        )
        for row in np.flatnonzero(numbers // 10**5 != wanted)
    ]
    return shown(own, path)
