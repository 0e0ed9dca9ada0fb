"""Importer of the WiFi RTT and RSS measurements in a lecture theatre, an office and a corridor.

The data set and its terms: `twin.measured.registry.WIFI_RTT_ROOMS`.
"""

from __future__ import annotations

import csv
import io
import lzma
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from twin.errors import Fault, InputError
from twin.measured.registry import WIFI_RTT_ROOMS, DataFile, DataSet, content_sha256
from twin.store.schema import SPLITS, SiteSpec, ap_positions
from twin.store.writer import create_site, pending_jobs, publish, write_shard

GRID_M = 0.6
SCANS = 60
AP_POSITION_FILE = "lecture_theatre+office+corridor_AP_position.txt"
# In the corridor the first column never hears anything and only four positions are given.
ROOMS: dict[str, tuple[str, ...]] = {
    "lecture_theatre": ("AP1", "AP2", "AP3", "AP4", "AP5"),
    "office": ("AP1", "AP2", "AP3", "AP4", "AP5"),
    "corridor": ("AP2", "AP3", "AP4", "AP5"),
}

_COLUMNS = 5
_NO_RTT_MM = 100_000.0
_NO_RSS_DBM = -200.0
_FAULTS_SHOWN = 20
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
class _Points:
    """Scans by point: xy (p, 2) grid steps, rtt and rss (p, scan, column), los (p, column)."""

    xy: npt.NDArray[np.float64]
    rtt_mm: npt.NDArray[np.float64]
    rss_dbm: npt.NDArray[np.float64]
    los: npt.NDArray[np.bool_]


def import_room(
    data_dir: Path,
    room: str,
    store_path: Path,
    site: str | None = None,
    *,
    data_set: DataSet = WIFI_RTT_ROOMS,
) -> str:
    """Import one room into a store and publish it; nothing is written before all files are checked.

    The site has one realisation, reference points first, both in file order. Positions are metres
    from the origin of the room's grid; heights are not part of the data and stand as zero.

    Args:
        data_dir: folder that holds ``wifi_rtt_rooms`` or its files, plain or xz-compressed.
        room: ``lecture_theatre``, ``office`` or ``corridor``.
        store_path: folder of the store.
        site: name of the site; ``wifi_rtt_<room>`` where not given.
        data_set: record to check the files against.

    Returns:
        The site's content digest.

    Raises:
        InputError: unknown room; a file missing, damaged or not the official one; an output that
            cannot be used. Lists all faults.
        StoreError: the site is in the store, unreadable or damaged.
    """
    spec, dataset = read_room(data_dir, room, data_set=data_set)
    name = site or f"wifi_rtt_{room}"
    digest = create_site(store_path, name, spec)
    for job in pending_jobs(store_path, name):
        write_shard(store_path, name, job.realisation, job.points, dataset, digest)
    return publish(store_path, name)


def read_room(
    data_dir: Path, room: str, *, data_set: DataSet = WIFI_RTT_ROOMS
) -> tuple[SiteSpec, xr.Dataset]:
    """Read and check one room: what `import_room` would write; errors as there."""
    if room not in ROOMS:
        raise InputError([Fault("room", "", f"one of {', '.join(ROOMS)}", repr(room))])
    folder = data_dir / data_set.name
    if not folder.is_dir():
        folder = data_dir
    faults: list[Fault] = []
    files = [data_set.file(f"database_{room}_{part}.csv") for part in ("train", "test")]
    reference, test = (_read_points(folder, file, faults) for file in files)
    ap_xy = _read_ap_positions(folder, data_set.file(AP_POSITION_FILE), room, faults)
    if reference is not None and test is not None:
        faults += _shared_points(reference, test, folder / files[1].name)
        for points, file in zip((reference, test), files, strict=True):
            faults += _heard_where_none_is(points, room, folder / file.name)
    if faults or reference is None or test is None or ap_xy is None:
        raise InputError(faults)
    spec = _spec(room, data_set, ap_xy, len(reference.xy), len(test.xy))
    return spec, _dataset(room, reference, test)


def _spec(
    room: str,
    data_set: DataSet,
    ap_xy: npt.NDArray[np.float64],
    references: int,
    tests: int,
) -> SiteSpec:
    names = [f"database_{room}_train.csv", f"database_{room}_test.csv", AP_POSITION_FILE]
    height = np.zeros((len(ap_xy), 1))
    return SiteSpec(
        title=f"{data_set.title}: {room.replace('_', ' ')}",
        origin="measured",
        realisations=("measured",),
        points=references + tests,
        access_points=ROOMS[room],
        variables=("rss", "rtt", "los"),
        ap_position_m=ap_positions([np.hstack([ap_xy * GRID_M, height])]),
        snapshots=SCANS,
        split=(SPLITS.index("reference"),) * references + (SPLITS.index("test"),) * tests,
        shard_points=references + tests,
        config={
            "data_set": data_set.name,
            "room": room,
            "content_sha256": {name: data_set.file(name).sha256 for name in names},
        },
        attributes={
            "source": data_set.url,
            "licence": data_set.licence,
            "citation": list(data_set.citation),
            "original_units": data_set.units,
            "height": "not measured: z is zero for receivers and access points",
        },
    )


def _dataset(room: str, reference: _Points, test: _Points) -> xr.Dataset:
    both = (reference, test)
    columns = [int(name.removeprefix("AP")) - 1 for name in ROOMS[room]]
    xy = np.concatenate([points.xy for points in both]) * GRID_M
    rtt_mm = np.concatenate([points.rtt_mm for points in both])[:, :, columns]
    rss_dbm = np.concatenate([points.rss_dbm for points in both])[:, :, columns]
    rtt_m = np.where(rtt_mm == _NO_RTT_MM, np.nan, rtt_mm / 1000.0)
    rss = np.where(rss_dbm == _NO_RSS_DBM, np.nan, rss_dbm)
    heard = np.isfinite(rss).any(axis=(1, 2)) | np.isfinite(rtt_m).any(axis=(1, 2))
    scan = ("point", "snapshot", "ap")
    los = np.concatenate([points.los for points in both])[:, columns]
    return xr.Dataset(
        {
            "position": (("point", "xyz"), np.pad(xy, ((0, 0), (0, 1)))),
            "rss": (scan, rss.astype(np.float32)),
            "rtt": (scan, rtt_m.astype(np.float32)),
            "los": (("point", "ap"), los),
            "status": ("point", np.where(heard, 1, 2).astype(np.int8)),
        },
        coords={"ap": list(ROOMS[room])},
    )


def _read_plain(folder: Path, file: DataFile, faults: list[Fault]) -> tuple[Path, str] | None:
    """Text of a file, plain or xz; spaces in its name may be underscores."""
    there = {path.name.replace(" ", "_"): path for path in sorted(folder.glob("*"))}
    for name in (file.name, f"{file.name}.xz"):
        if name in there:
            return _decode(there[name], faults)
    expected = "the file, plain or with .xz"
    cure = "Set TWIN_DATA_DIR to a folder with the data set, or let it be downloaded."
    faults.append(Fault(str(folder / file.name), "", expected, "no such file", cure))
    return None


def _decode(path: Path, faults: list[Fault]) -> tuple[Path, str] | None:
    try:
        raw = path.read_bytes()
        plain = lzma.decompress(raw) if path.suffix == ".xz" else raw
        return path, plain.decode("utf-8")
    except (OSError, lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        cure = "Fetch the file anew."
        faults.append(Fault(str(path), "", "a whole, readable file", str(error), cure))
        return None


def _check_digest(path: Path, text: str, file: DataFile) -> list[Fault]:
    found = content_sha256(text.encode())
    if found == file.sha256:
        return []
    return [Fault(str(path), "sha256", file.sha256, found, "Fetch the official file.")]


def _read_points(folder: Path, file: DataFile, faults: list[Fault]) -> _Points | None:
    """Scans of one file grouped by point; None where the file has a fault."""
    content = _read_plain(folder, file, faults)
    if content is None:
        return None
    path, text = content
    own: list[Fault] = []
    table = _parse(path, text, own)
    if not own:
        own += _count_faults(path, table, file)
    if not own:
        own += _check_digest(path, text, file)
    hidden = len(own) - _FAULTS_SHOWN
    if hidden > 0:
        own = own[:_FAULTS_SHOWN]
        own.append(Fault(str(path), "", "no further fault", f"{hidden} more"))
    faults += own
    return None if own else _group(table)


def _parse(path: Path, text: str, faults: list[Fault]) -> _Table:
    rows = list(csv.reader(io.StringIO(text, newline="")))
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
        return -_NO_RTT_MM, _NO_RTT_MM
    if column.endswith("RSS(dBm)"):
        return _NO_RSS_DBM, 0.0
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


def _group(table: _Table) -> _Points:
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
    return _Points(
        xy=scans[:, 0, :2],
        rtt_mm=scans[:, :, 2 : 2 + _COLUMNS],
        rss_dbm=scans[:, :, 2 + _COLUMNS :],
        los=los,
    )


def _shared_points(reference: _Points, test: _Points, path: Path) -> list[Fault]:
    known = set(map(tuple, reference.xy.tolist()))
    return [
        Fault(str(path), f"point X={x:g}, Y={y:g}", "no reference point", "one of the other file")
        for x, y in test.xy.tolist()
        if (x, y) in known
    ]


def _heard_where_none_is(points: _Points, room: str, path: Path) -> list[Fault]:
    """Readings of an AP that the room does not have."""
    return [
        Fault(str(path), f"columns of AP{column + 1}", "no reading at all", "readings")
        for column in range(_COLUMNS)
        if f"AP{column + 1}" not in ROOMS[room]
        and not (
            np.all(points.rss_dbm[:, :, column] == _NO_RSS_DBM)
            and np.all(points.rtt_mm[:, :, column] == _NO_RTT_MM)
        )
    ]


def _read_ap_positions(
    folder: Path, file: DataFile, room: str, faults: list[Fault]
) -> npt.NDArray[np.float64] | None:
    """(ap, 2) grid coordinates of a room's APs: a heading a room, then a line an axis."""
    content = _read_plain(folder, file, faults)
    if content is None:
        return None
    path, text = content
    own: list[Fault] = []
    section = ""
    axes: dict[str, list[float]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
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
        own += _check_digest(path, text, file)
    faults += own
    return None if own else np.array([axes["X"], axes["Y"]]).T
