"""Import of a user's own CSV file, guided by a mapping file that says what its columns mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from pydantic import JsonValue

from twin.config import load_model
from twin.errors import Fault, InputError, refuse
from twin.measured.csv_mapping import METRES, AccessPointPositions, CsvMapping, unfilled
from twin.measured.csv_rows import LARGEST_M, Rows, read_rows
from twin.measured.csv_suggestion import suggest_mapping
from twin.measured.csv_table import CsvTable, Floats, NumberRule, parse_numbers, read_csv
from twin.measured.importing import MeasuredSite
from twin.measured.tables import shown
from twin.store.layout import Job
from twin.store.spec import SiteSpec, vectors
from twin.store.writer import write_site

__all__ = ["import_csv", "read_csv_site", "suggest_mapping"]

_SHARD_POINTS = 4096
_DONE, _NOTHING_HEARD = 1, 2


def import_csv(
    file: Path, mapping: Path, store: str | Path, *, overwrite: bool = False
) -> dict[str, str]:
    """Import a CSV file into a store as one site; nothing is written before all of it is checked.

    Args:
        file: the measurements.
        mapping: YAML file, see `twin.measured.csv_mapping.CsvMapping` and `suggest_mapping`.
        store: where to write.
        overwrite: replace the site where it is in the store with another content.

    Returns:
        The site's content digest by its name.

    Raises:
        InputError: the mapping, the file or the output cannot be used; lists all faults, each with
            row, column and cure.
        StoreError: the site is in the store, unreadable or damaged.
    """
    site = read_csv_site(file, mapping)
    return {site.name: write_site(store, site.name, site.spec, site.block, overwrite=overwrite)}


def read_csv_site(file: Path, mapping: Path) -> MeasuredSite:
    """Read and check a CSV file: what `import_csv` would write; errors as there."""
    says = load_model(mapping, CsvMapping, check=unfilled)
    faults = _doubly_used(says, str(mapping))
    named = [*says.single_columns.values()]
    for readings in (says.rss, says.rtt):
        named += readings.columns if readings else ()
    table = read_csv(file, says.csv, list(dict.fromkeys(named)), faults)
    if table is None:
        raise InputError(faults)
    rows = read_rows(table, says, str(mapping), faults)
    names = tuple(dict.fromkeys(name for heard in rows.readings.values() for name in heard))
    positions, digests = _access_points(says, mapping, names, faults)
    refuse(shown(faults, file))
    digests[file.name] = table.sha256
    return _site(says, rows, names, positions, digests)


def _doubly_used(says: CsvMapping, where: str) -> list[Fault]:
    used: dict[str, str] = {}
    return [
        Fault(where, key, "a column of its own", f"{name!r}, as {used[name]}")
        for key, name in says.single_columns.items()
        if used.setdefault(name, key) != key
    ]


def _access_points(
    says: CsvMapping, mapping: Path, names: tuple[str, ...], faults: list[Fault]
) -> tuple[Floats | None, dict[str, JsonValue]]:
    """Positions (ap, 3) [m], and the digest of the file that they come from."""
    given = says.access_points
    if given is None:
        return None, {}
    where, positions = str(mapping), given.positions
    digests: dict[str, JsonValue] = {}
    if given.file is not None:
        path = mapping.parent / given.file
        where = str(path)
        table = read_csv(path, says.csv, ("name", "x", "y"), faults)
        if table is None:
            return None, {}
        positions = _read_positions(table, says.csv.decimal, given, faults)
        digests[path.name] = table.sha256
    for name in [name for name in positions if name not in names]:
        known = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        faults.append(Fault(where, name, f"one of {known}", "no column of this name"))
    missing = [name for name in names if name not in positions]
    if missing:
        expected = "a position for each access point or for none"
        found = f"none for {', '.join(missing[:8])} ({len(missing)} in all)"
        cure = "Add them, or leave out access_points."
        faults.append(Fault(where, "access_points", expected, found, cure))
        return None, digests
    xyz = np.array([[*positions[name], 0.0][:3] for name in names])
    return xyz * METRES[given.unit] + np.array(says.position.offset_m), digests


def _read_positions(
    table: CsvTable, decimal: str, given: AccessPointPositions, faults: list[Fault]
) -> dict[str, tuple[float, ...]]:
    largest = LARGEST_M / METRES[given.unit]
    rule = NumberRule(-largest, largest, f"a number in {given.unit}")
    axes = [axis for axis in "xyz" if axis in table.columns]
    values = [parse_numbers(table, axis, decimal, rule, faults) for axis in axes]
    names = table.columns["name"]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            expected, found = "one row an access point", f"{names.count(name)}"
            faults.append(Fault(str(table.path), name, expected, found))
    return {name: tuple(map(float, xyz)) for name, *xyz in zip(names, *values, strict=True)}


def _scans(rows: Rows, *, walks: bool) -> list[list[int]]:
    """Rows of each point, points in the order of the file, or of the walks and their times."""
    count = len(rows.xyz)
    if walks:
        order = np.arange(count)
        if "trajectory" in rows.labels:
            walk = rows.labels["trajectory"][0]
            _, first, number = np.unique(walk, return_index=True, return_inverse=True)
            time = np.zeros(count) if rows.time_s is None else rows.time_s
            order = np.lexsort((time, first[number]))
        return [[int(row)] for row in order]
    points: dict[tuple[object, ...], list[int]] = {}
    for row in range(count):
        place = (rows.point[row],) if rows.point else tuple(rows.xyz[row].tolist())
        same = [numbers[row] for numbers, _ in rows.labels.values()]
        same += [] if rows.split is None else [rows.split[row]]
        points.setdefault((*place, *same), []).append(row)
    return list(points.values())


def _site(
    says: CsvMapping,
    rows: Rows,
    names: tuple[str, ...],
    positions: Floats | None,
    digests: dict[str, JsonValue],
) -> MeasuredSite:
    scans = _scans(rows, walks=says.walks)
    first = np.array([point[0] for point in scans])
    snapshots = max(map(len, scans))
    heard = {
        variable: _readings(columns, names, scans, snapshots)
        for variable, columns in rows.readings.items()
    }
    status = np.full(len(scans), _NOTHING_HEARD, dtype=np.int8)
    for values in heard.values():
        status[np.isfinite(values).any(axis=(1, 2))] = _DONE
    by_point: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {
        name: numbers[first] for name, (numbers, _) in rows.labels.items()
    }
    if rows.split is not None:
        by_point["split"] = rows.split[first]
    if rows.time_s is not None:
        by_point["time"] = rows.time_s[first]
    meanings: dict[str, JsonValue] = {
        f"{name}_labels": [*meaning] for name, (_, meaning) in rows.labels.items() if meaning
    }
    if min(map(len, scans)) < snapshots:
        meanings["scans"] = "points have different numbers of scans; further snapshots are NaN"
    if says.position.z is None:
        meanings["height"] = "not measured: z is zero"
    spec = SiteSpec(
        title=says.title,
        origin="measured",
        realisations=("measured",),
        points=len(scans),
        access_points=names,
        variables=(*heard, *by_point),
        ap_position_m=() if positions is None else vectors(positions[None]),
        snapshots=snapshots,
        shard_points=_SHARD_POINTS,
        layout="compact",
        config={
            "data_set": "own_csv",
            "content_sha256": digests,
            "mapping": says.model_dump(mode="json"),
        },
        attributes={
            "source": says.source,
            "licence": says.licence,
            "citation": [*says.citation],
            "original_units": _units(says),
            **meanings,
        },
    )

    def block(job: Job) -> xr.Dataset:
        here = job.points
        return xr.Dataset(
            {
                "position": (("point", "xyz"), rows.xyz[first[here]]),
                "status": ("point", status[here]),
                **{name: ("point", values[here]) for name, values in by_point.items()},
                **{
                    name: (("point", "snapshot", "ap"), values[here])
                    for name, values in heard.items()
                },
            }
        )

    return MeasuredSite(says.site, spec, block)


def _readings(
    columns: dict[str, Floats], names: tuple[str, ...], scans: list[list[int]], snapshots: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(point, snapshot, ap), NaN where not heard or where a point has fewer scans."""
    values = np.full((len(scans), snapshots, len(names)), np.nan, dtype=np.float32)
    point = np.repeat(np.arange(len(scans)), [len(rows) for rows in scans])
    snapshot = np.concatenate([np.arange(len(rows)) for rows in scans])
    row = np.concatenate(scans)
    for ap, name in enumerate(names):
        if name in columns:
            values[point, snapshot, ap] = columns[name][row]
    return values


def _units(says: CsvMapping) -> str:
    parts = [f"positions in {says.position.unit}"]
    for name, readings in (("RSS", says.rss), ("RTT", says.rtt)):
        if readings is not None:
            marks = (f"{m!r}" if isinstance(m, str) else f"{m:g}" for m in readings.not_heard)
            none = ", ".join(marks) or "no mark"
            parts.append(f"{name} in {readings.unit}, {none} for not heard")
    return "; ".join(parts)
