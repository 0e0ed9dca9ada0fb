"""Official text traces of the Indoor Location Competition 2.0.

A trace is a text file of tab-separated records: time in milliseconds since 1970, kind, values. Of
the kinds, ``TYPE_WAYPOINT`` (x, y in metres), ``TYPE_WIFI`` (name, BSSID, RSSI, frequency in MHz,
time last seen) and ``TYPE_BEACON`` (UUID, major, minor, power at 1 m, RSSI, distance, address,
time) are read; the WiFi records of one scan share their time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from twin.errors import Fault
from twin.measured.data_set import DataSet, content_sha256
from twin.measured.ilc20_scans import (
    HIGHEST_DBM,
    LOWEST_DBM,
    Floors,
    Ints,
    Scans,
    by_time,
    floor_name,
)
from twin.measured.tables import count_fault, shown

# A record may follow another one without a line end.
_RECORD_START = re.compile(r"(?=\d{13}\tTYPE_)")
_RECORDS = {
    "TYPE_WAYPOINT": "x and y",
    "TYPE_WIFI": "name, BSSID, RSSI from -127 to 0, frequency in MHz and time last seen",
    "TYPE_BEACON": "UUID, major, minor, power, RSSI from -127 to 0, distance, address and time",
}
_BSSID = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")


@dataclass
class _Readings:
    """Readings of a floor, one entry each, and the points that they belong to."""

    trace: list[int] = field(default_factory=list)
    time_ms: list[int] = field(default_factory=list)
    sender: list[int] = field(default_factory=list)
    rssi_dbm: list[int] = field(default_factory=list)
    frequency_mhz: list[int] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def add(self, trace: int, time_ms: int, sender: str, rssi_dbm: int, mhz: int = 0) -> None:
        if not LOWEST_DBM <= rssi_dbm <= HIGHEST_DBM:
            raise ValueError(f"RSSI {rssi_dbm}")
        self.trace.append(trace)
        self.time_ms.append(time_ms)
        self.sender.append(self.numbers.setdefault(sender, len(self.numbers)))
        self.rssi_dbm.append(rssi_dbm)
        self.frequency_mhz.append(mhz)


@dataclass
class _Floor:
    """What the traces of one floor hold; a trace's waypoints are (time in ms, x, y)."""

    traces: list[str] = field(default_factory=list)
    waypoints: list[list[tuple[int, float, float]]] = field(default_factory=list)
    wifi: _Readings = field(default_factory=_Readings)
    beacons: _Readings = field(default_factory=_Readings)


def read_traces(
    folder: Path, wanted: Collection[str] | None, data_set: DataSet, faults: list[Fault]
) -> tuple[Floors, Floors]:
    """WiFi scans and iBeacon readings of the floors wanted.

    The number of floors and of traces is checked in any case, all other counts where all floors
    are wanted.

    Args:
        folder: that holds ``<site>/<floor>/path_data_files/*.txt``.
        wanted: names of floors, such as ``site1_B1``; all where not given.
        data_set: record to check the files against.
        faults: gets what is wrong.
    """
    paths: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/*/path_data_files/*.txt")):
        place = path.parent.parent.relative_to(folder).as_posix()
        paths.setdefault(floor_name(place), []).append(path)
    counts = data_set.counts
    faults += count_fault(folder, "floors", counts["floors"], len(paths))
    faults += count_fault(folder, "traces", counts["traces"], sum(map(len, paths.values())))
    wifi, beacons = Floors({}, {}), Floors({}, {})
    floors = []
    for name, files in paths.items():
        if wanted is not None and name not in wanted:
            continue
        floor = _Floor()
        digests = []
        own: list[Fault] = []
        for path in files:
            text = path.read_bytes()
            digests.append(content_sha256(text))
            # Names of networks may be in any encoding; they are not kept.
            _read_trace(path, text.decode("utf-8", errors="replace"), floor, own)
        faults += shown(own, files[0].parent)
        digest = content_sha256("\n".join(digests).encode())
        for all_floors, readings in ((wifi, floor.wifi), (beacons, floor.beacons)):
            if not own:
                all_floors.scans[name] = _scans(floor, readings)
            all_floors.digests[f"{name}/path_data_files"] = digest
        floors.append(floor)
    if wanted is None and not faults:
        found = {
            "scans": sum(len(scans.trace) for scans in wifi.scans.values()),
            "readings": sum(len(scans.sender) for scans in wifi.scans.values()),
            "access_points": len({name for s in wifi.scans.values() for name in s.senders}),
            "waypoints": sum(len(points) for floor in floors for points in floor.waypoints),
            "beacon_readings": sum(len(scans.sender) for scans in beacons.scans.values()),
        }
        for key, number in found.items():
            faults += count_fault(folder, key, counts[key], number)
    return wifi, beacons


def _read_trace(path: Path, text: str, floor: _Floor, faults: list[Fault]) -> None:
    number = len(floor.traces)
    floor.traces.append(path.stem)
    waypoints: list[tuple[int, float, float]] = []
    for line, content in enumerate(text.split("\n"), start=1):
        if "\tTYPE_W" not in content and "\tTYPE_B" not in content:
            continue
        for record in _RECORD_START.split(content.rstrip("\r")):
            time, _, rest = record.partition("\t")
            kind, *values = rest.split("\t")
            if kind in _RECORDS:
                try:
                    _take(kind, int(time), values, number, floor, waypoints)
                except ValueError:
                    expected = f"{kind} with {_RECORDS[kind]}"
                    faults.append(Fault(str(path), f"line {line}", expected, repr(record)))
    if not waypoints:
        cure = "The file is cut short or not the official one; fetch it anew."
        faults.append(Fault(str(path), "TYPE_WAYPOINT", "at least one record", "none", cure))
    floor.waypoints.append(sorted(waypoints))


def _take(
    kind: str,
    time_ms: int,
    values: list[str],
    trace: int,
    floor: _Floor,
    waypoints: list[tuple[int, float, float]],
) -> None:
    """Put one record where it belongs; a ValueError where it is not as it should be."""
    if kind == "TYPE_WAYPOINT":
        x, y = map(float, values)
        if not (abs(x) < 1e4 and abs(y) < 1e4):
            raise ValueError("position")
        waypoints.append((time_ms, x, y))
    elif kind == "TYPE_WIFI":
        # A name may hold a tab.
        *_, bssid, rssi, frequency, _ = values if len(values) > 4 else []
        if not _BSSID.fullmatch(bssid):
            raise ValueError("BSSID")
        floor.wifi.add(trace, time_ms, bssid.lower(), int(rssi), int(frequency))
    else:
        uuid, major, minor, _, rssi, _, _, _ = values
        floor.beacons.add(trace, time_ms, f"{uuid}_{major}_{minor}", int(rssi))


def _scans(floor: _Floor, readings: _Readings) -> Scans:
    trace, time_ms = np.array(readings.trace, np.int64), np.array(readings.time_ms, np.int64)
    xy = np.empty((len(trace), 2))
    for number, waypoints in enumerate(floor.waypoints):
        here = trace == number
        t, x, y = np.array(waypoints).T
        # Before the first waypoint and after the last, the position is the waypoint's.
        xy[here] = np.column_stack([np.interp(time_ms[here], t, axis) for axis in (x, y)])
    names = sorted(readings.numbers)
    rank = np.empty(len(names), np.int64)
    rank[[readings.numbers[name] for name in names]] = np.arange(len(names))
    sender = rank[np.array(readings.sender, np.int64)]
    return by_time(
        tuple(floor.traces),
        trace,
        time_ms,
        xy,
        sender,
        np.array(readings.rssi_dbm, np.int64),
        tuple(names),
        _frequencies(sender, readings.frequency_mhz, len(names)),
    )


def _frequencies(sender: Ints, mhz: list[int], senders: int) -> tuple[float, ...]:
    """The frequency that most readings of each sender have [Hz]; none where none is known."""
    if not any(mhz):
        return ()
    counts: list[Counter[int]] = [Counter() for _ in range(senders)]
    for number, frequency in zip(sender.tolist(), mhz, strict=True):
        counts[number][frequency] += 1
    return tuple(1e6 * min(count, key=lambda f: (-count[f], f)) for count in counts)
