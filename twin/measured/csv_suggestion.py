"""A first mapping for a CSV file, guessed from its header and first rows, for its user to check."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from twin.errors import Fault, refuse
from twin.measured.csv_mapping import FILL_IN, METRES
from twin.measured.csv_table import DELIMITERS, read_text

_ROWS = 1000
_ENCODINGS = ("utf-8", "utf-16", "cp1252")
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")
# Names of columns, without units, white space and punctuation.
_NAMES = {
    "x": "x xpos posx xcoord coordx xcoordinate easting longitude lon",
    "y": "y ypos posy ycoord coordy ycoordinate northing latitude lat",
    "z": "z zpos posz zcoord coordz zcoordinate altitude height elevation",
    "point": "point pointid rp rpid referencepoint location locationid",
    "split": "split set subset part",
    "time": "time timestamp date datetime",
    "trajectory": "trajectory trajectoryid trace traceid walk walkid track trackid",
    "building": "building buildingid",
    "floor": "floor floorid level",
    "space": "space spaceid room roomid",
    "device": "device deviceid phone phoneid model",
    "surveyor": "surveyor user userid",
}
_MEANING = {name: key for key, names in _NAMES.items() for name in names.split()}
_READING_WORDS = re.compile(r"(?i)rssi?|rtt|dbm|range|dist(ance)?")


def suggest_mapping(file: Path) -> str:
    """A mapping file for a CSV, as YAML with remarks; `FILL IN` stands where only its user knows.

    Args:
        file: the measurements; a row of names first.

    Raises:
        InputError: the file cannot be read, or has no header.
    """
    encoding, text = _decoded(file)
    rows, delimiter = _split(text)
    if not rows or not any(rows[0]):
        refuse([Fault(str(file), "row 1 (header)", "names of the columns", "nothing")])
    header = [cell.strip() for cell in rows[0]]
    cells = {
        name: [row[index].strip() for row in rows[1:] if index < len(row)]
        for index, name in enumerate(header)
    }
    every = [cell for column in cells.values() for cell in column]
    commas = any(re.fullmatch(r"[+-]?\d+,\d+", cell) for cell in every)
    decimal = "," if delimiter != "," and commas else "."
    meaning: dict[str, str] = {}
    for name in header:
        plain = re.sub(r"[\(\[].*?[\)\]]|[\W_]", "", name).lower()
        key = _MEANING.get(plain)
        if key is not None:
            meaning.setdefault(key, name)
    free = [name for name in header if name and name not in meaning.values()]
    rtt = [name for name in free if re.search("(?i)rtt", name) and _numbers(cells[name])]
    rss = _rss_columns([name for name in free if name not in rtt], cells)
    unused = [name for name in free if name not in rtt and name not in rss]
    lines = [
        f"# Suggested for {file.name} from its header and first rows: check every line and",
        f"# replace each {FILL_IN}.",
        f"site: {FILL_IN}  # name in the store: letters, digits, _ and -",
        f"title: {FILL_IN}",
        f"source: {FILL_IN}  # an address, a paper, or who measured and when",
        f"licence: {FILL_IN}  # if possible an SPDX identifier, such as CC-BY-4.0",
        "csv:",
        f"  delimiter: {json.dumps(delimiter)}",
        f"  decimal: {json.dumps(decimal)}",
        f"  encoding: {encoding}",
        *_position_lines(meaning, cells),
        *_reading_lines("rss", rss, free, cells),
        *_reading_lines("rtt", rtt, free, cells),
        *([] if rss or rtt else _no_reading_lines()),
        *_label_lines(meaning, cells),
        "# access_points:  # where they stand, all or none",
        "#   unit: m",
        "#   positions: {AP1: [0.0, 0.0, 2.5]}  # or file: a CSV with the columns name, x, y, z",
    ]
    if unused:
        names = ", ".join(map(json.dumps, unused[:20])) + (", ..." if len(unused) > 20 else "")
        lines.append(f"# Columns used for nothing: {names}")
    return "\n".join(lines) + "\n"


def _decoded(file: Path) -> tuple[str, str]:
    """The first encoding that fits, and the text."""
    faults: list[Fault] = []
    for encoding in _ENCODINGS:
        own: list[Fault] = []
        text, digest = read_text(file, encoding, own)
        if digest and (encoding != "utf-16" or text.isprintable() or "\n" in text):
            return encoding, text
        faults = faults or own
    refuse(faults)
    raise AssertionError


def _split(text: str) -> tuple[list[list[str]], str]:
    """First rows, parted by the delimiter that gives most columns alike in all of them."""
    lines = text.splitlines()[: _ROWS + 1]
    best: tuple[tuple[float, int], list[list[str]], str] | None = None
    for delimiter in DELIMITERS:
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        if rows:
            alike = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
            rank = (alike if len(rows[0]) > 1 else 0.0, len(rows[0]))
            if best is None or rank > best[0]:
                best = rank, rows, delimiter
    return ([], ",") if best is None else best[1:]


def _value(cell: str) -> float:
    return float(cell.replace(",", "."))


def _numbers(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(_NUMBER.fullmatch(cell) for cell in filled)


def _rss_columns(names: Sequence[str], cells: Mapping[str, Sequence[str]]) -> list[str]:
    """Columns of dBm but for one mark of nothing heard, and those named alike that hear nothing."""
    alike, heard = [], set()
    for name in names:
        numbers = [_value(cell) for cell in cells[name] if _NUMBER.fullmatch(cell)]
        marks = {cell for cell in cells[name] if not _NUMBER.fullmatch(cell)}
        others = {number for number in numbers if not -127 <= number < 0}
        if len(others) + len(marks) <= 1:
            alike.append(name)
            if len(numbers) > sum(number in others for number in numbers):
                heard.add(_stem(name))
    return [name for name in alike if _stem(name) in heard]


def _stem(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _position_lines(meaning: Mapping[str, str], cells: Mapping[str, Sequence[str]]) -> list[str]:
    units = {
        unit
        for axis in "xyz"
        for unit in METRES
        if meaning.get(axis, "").replace(" ", "").lower().endswith((f"({unit})", f"[{unit}]"))
    }
    lines = ["position:"]
    for axis in "xy":
        name = meaning.get(axis)
        lines.append(f"  {axis}: {FILL_IN if name is None else json.dumps(name)}")
        if name and re.match("(?i)l(on|at)", name) and _numbers(cells[name]):
            values = [abs(_value(cell)) for cell in cells[name] if cell]
            if max(values) <= 180:
                lines.append("  # These look like degrees: positions must be lengths.")
    lines += [f"  z: {json.dumps(meaning['z'])}"] if "z" in meaning else []
    unit = units.pop() if len(units) == 1 else "m"
    return [*lines, f"  unit: {unit}  # of x, y and z: m, cm, mm or ft"]


def _reading_lines(
    key: str,
    columns: Sequence[str],
    free: Sequence[str],
    cells: Mapping[str, Sequence[str]],
) -> list[str]:
    if not columns:
        return []
    prefix = suffix = ""
    if len(columns) > 1:
        prefix = _common_start(columns).rstrip("0123456789")
        rest = [name.removeprefix(prefix)[::-1] for name in columns]
        suffix = _common_start(rest)[::-1].lstrip("0123456789")
    pattern = f"{prefix}*{suffix}"
    fits = [name for name in free if name.startswith(prefix) and name.endswith(suffix)]
    lines = [f"{key}:"]
    plain = not set(prefix + suffix) & set("*?[]")
    if fits == list(columns) and pattern != "*" and plain:
        lines.append(f"  pattern: {json.dumps(pattern)}  # {len(columns)} columns")
    else:
        lines.append(f"  columns: {json.dumps(list(columns))}")
    for name, part in (("prefix", prefix), ("suffix", suffix)):
        if _READING_WORDS.search(part):
            lines.append(f"  {name}: {json.dumps(part)}  # not part of an access point's name")
    if key == "rss":
        lines.append("  unit: dBm")
    else:
        said = [unit for unit in (*METRES, "ns") if f"({unit})" in columns[0].replace(" ", "")]
        unit = said[0] if said else "m"
        lines.append(f"  unit: {unit}  # m, cm, mm, ft, or ns there and back")
    none = _not_heard(key, columns, cells)
    return [*lines, f"  not_heard: [{', '.join(none)}]  # what stands for nothing heard"]


def _common_start(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    differ = (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return first[: next(differ, min(len(first), len(last)))]


def _not_heard(key: str, columns: Sequence[str], cells: Mapping[str, Sequence[str]]) -> list[str]:
    """Marks of nothing heard, as YAML."""
    counts = Counter(cell for name in columns for cell in cells[name])
    texts = [cell for cell in counts if not _NUMBER.fullmatch(cell)]
    numbers = {_value(cell) for cell in counts if _NUMBER.fullmatch(cell)}
    if key == "rss":
        outside = sorted(number for number in numbers if not -127 <= number < 0)
    else:
        # A range that many cells share to the digit is none.
        many = sum(counts.values()) / 20
        outside = sorted({_value(c) for c in counts if _NUMBER.fullmatch(c) and counts[c] > many})
        outside = [number for number in outside if number <= 0 or number == max(numbers)]
    return [json.dumps(text) for text in texts[:5]] + [f"{number:.15g}" for number in outside[:5]]


def _no_reading_lines() -> list[str]:
    return [
        "rss:  # no column looks like a power in dBm",
        f"  columns: [{FILL_IN}]",
        "  unit: dBm",
        "  not_heard: []",
    ]


def _label_lines(meaning: Mapping[str, str], cells: Mapping[str, Sequence[str]]) -> list[str]:
    keys = ("point", "trajectory", "building", "floor", "space", "device", "surveyor")
    lines = [f"{key}: {json.dumps(meaning[key])}" for key in keys if key in meaning]
    if "split" in meaning:
        values = dict.fromkeys(cells[meaning["split"]])
        test = [value for value in values if re.search("(?i)test|val", value)]
        rest = [value for value in values if value not in test]
        lines += [
            "split:",
            f"  column: {json.dumps(meaning['split'])}",
            f"  reference: {json.dumps(rest)}",
            f"  test: {json.dumps(test)}",
        ]
    if "time" in meaning:
        lines += [
            "time:  # each row is then a point of its own; leave out if rows repeat a point",
            f"  column: {json.dumps(meaning['time'])}",
            f"  format: {_time_format(cells[meaning['time']])}",
            "  utc_offset_h: 0",
        ]
    return lines


def _time_format(cells: Sequence[str]) -> str:
    filled = [cell for cell in cells if cell]
    if _numbers(filled):
        return "unix_ms" if _value(filled[0]) > 1e11 else "unix_s"
    try:
        for cell in filled:
            dt.datetime.fromisoformat(cell)
    except ValueError:
        return f"{FILL_IN}  # a pattern such as %d.%m.%Y %H:%M:%S"
    return "iso8601"
