"""Scans of the Indoor Location Competition 2.0, and their reduced files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.errors import Fault
from twin.measured.data_set import DataSet
from twin.measured.npz import Expected, range_fault, read_npz
from twin.measured.tables import count_fault

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LOWEST_DBM, HIGHEST_DBM = -127.0, 0.0
_LARGEST_M = 10_000.0
_WIFI_ARRAYS = {
    "floor_names": Expected("U", ("floors",)),
    "trace_ids": Expected("U", ("traces",)),
    "scan_floor": Expected("i", ("scans",)),
    "scan_trace": Expected("i", ("scans",)),
    "scan_t_ms": Expected("i", ("scans",)),
    "scan_xy": Expected("f", ("scans", 2)),
    "indptr": Expected("i", ("bounds",)),
    "ap_id": Expected("i", ("readings",)),
    "rssi": Expected("i", ("readings",)),
    "ap_freq_mhz": Expected("i", ("access points",)),
    "wp_floor": Expected("i", ("waypoints",)),
    "wp_trace": Expected("i", ("waypoints",)),
}
_BEACON_ARRAYS = {
    "floor": Expected("i", ("readings",)),
    "trace": Expected("i", ("readings",)),
    "t_ms": Expected("i", ("readings",)),
    "xy": Expected("f", ("readings", 2)),
    "beacon_id": Expected("i", ("readings",)),
    "rssi": Expected("i", ("readings",)),
}


@dataclass(frozen=True, eq=False)
class Scans:
    """What was heard on one floor, a point for each time of each trace.

    Args:
        traces: names of the floor's traces.
        trace: (point,) index among `traces`.
        time_s: (point,) seconds since 1970.
        xy: (point, 2) [m], interpolated in time between the trace's waypoints.
        bounds: (point + 1,) where the readings of each point begin and end.
        sender: (reading,) index among `senders`.
        rssi_dbm: (reading,)
        senders: access points or beacons heard on the floor.
        frequency_hz: (sender,) carrier; empty where none is known.
    """

    traces: tuple[str, ...]
    trace: Ints
    time_s: Floats
    xy: Floats
    bounds: Ints
    sender: Ints
    rssi_dbm: Ints
    senders: tuple[str, ...]
    frequency_hz: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Floors:
    """Scans by floor.

    Args:
        scans: by name of the floor, such as ``site1_B1``.
        digests: of what they were read from.
        traces: numbers of each floor's traces in the reduced files.
    """

    scans: dict[str, Scans]
    digests: dict[str, str]
    traces: dict[str, Ints] = field(default_factory=dict)


def read_reduced_wifi(folder: Path, data_set: DataSet, faults: list[Fault]) -> Floors | None:
    """WiFi scans of all floors; BSSIDs are numbered in this file."""
    file = data_set.file("ilc20_wifi_scans.npz")
    read = read_npz(folder, file, _WIFI_ARRAYS, faults)
    if read is None:
        return None
    content, a = read
    where, bounds = str(content.path), a["indptr"].astype(np.int64)
    own = [
        *_count_faults(content.path, a, data_set),
        *range_fault(where, "scan_floor", a["scan_floor"], 0, len(a["floor_names"]) - 1),
        *range_fault(where, "scan_trace", a["scan_trace"], 0, len(a["trace_ids"]) - 1),
        *range_fault(where, "ap_id", a["ap_id"], 0, len(a["ap_freq_mhz"]) - 1),
        *range_fault(where, "rssi", a["rssi"], LOWEST_DBM, HIGHEST_DBM),
        *range_fault(where, "scan_xy", a["scan_xy"], -_LARGEST_M, _LARGEST_M),
        *range_fault(where, "ap_freq_mhz", a["ap_freq_mhz"], 2400, 7200),
    ]
    ends = [0, len(a["scan_floor"]) + 1, len(a["ap_id"])]
    if [*bounds[:1], len(bounds), *bounds[-1:]] != ends or (np.diff(bounds) < 0).any():
        expected = f"{ends[1]} rising bounds from 0 to {ends[2]}"
        own.append(Fault(where, "indptr", expected, f"{len(bounds)} bounds to {bounds[-1:]}"))
    faults += own
    if own:
        return None
    point = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    names = np.array([f"bssid{number:04d}" for number in range(len(a["ap_freq_mhz"]))])
    scans, traces_of = {}, {}
    for number, floor in enumerate(a["floor_names"]):
        here = a["scan_floor"] == number
        reading = here[point]
        traces = np.unique(a["wp_trace"][a["wp_floor"] == number]).astype(np.int64)
        if not np.isin(a["scan_trace"][here], traces).all():
            expected = "only traces with waypoints on the floor"
            faults.append(Fault(where, f"scan_trace on {floor}", expected, "others"))
            return None
        traces_of[floor_name(floor)] = traces
        used, sender = np.unique(a["ap_id"][reading], return_inverse=True)
        scans[floor_name(floor)] = Scans(
            traces=tuple(map(str, a["trace_ids"][traces])),
            trace=np.searchsorted(traces, a["scan_trace"][here]),
            time_s=a["scan_t_ms"][here] / 1000.0,
            xy=a["scan_xy"][here].astype(np.float64),
            bounds=np.concatenate([[0], np.cumsum(np.diff(bounds)[here])]),
            sender=sender,
            rssi_dbm=a["rssi"][reading].astype(np.int64),
            senders=tuple(map(str, names[used])),
            frequency_hz=tuple(1e6 * a["ap_freq_mhz"][used].astype(np.float64)),
        )
    return Floors(scans, {file.name: content.sha256}, traces_of)


def floor_name(folder: str) -> str:
    """Name of a floor by its folder, such as ``site1/B1``."""
    return str(folder).replace("/", "_")


def _count_faults(path: Path, a: dict[str, npt.NDArray[Any]], data_set: DataSet) -> list[Fault]:
    lengths = {
        "floors": "floor_names",
        "traces": "trace_ids",
        "scans": "scan_floor",
        "readings": "ap_id",
        "access_points": "ap_freq_mhz",
        "waypoints": "wp_floor",
    }
    return [
        fault
        for key, name in lengths.items()
        for fault in count_fault(path, key, data_set.counts[key], len(a[name]))
    ]


def read_reduced_beacons(
    folder: Path, wifi: Floors, data_set: DataSet, faults: list[Fault]
) -> Floors | None:
    """Readings of iBeacons on all floors; beacons are numbered in this file.

    Args:
        folder: that holds the files.
        wifi: from the other archive, which knows the floors and traces.
        data_set: record to check the file against.
        faults: gets what is wrong.
    """
    file = data_set.file("ilc20_ibeacon.npz")
    read = read_npz(folder, file, _BEACON_ARRAYS, faults)
    if read is None:
        return None
    content, a = read
    where = str(content.path)
    own = [
        *count_fault(content.path, "readings", data_set.counts["beacon_readings"], len(a["rssi"])),
        *range_fault(where, "floor", a["floor"], 0, len(wifi.scans) - 1),
        *range_fault(where, "trace", a["trace"], 0, data_set.counts["traces"] - 1),
        *range_fault(where, "beacon_id", a["beacon_id"], 0, np.iinfo(np.int32).max),
        *range_fault(where, "rssi", a["rssi"], LOWEST_DBM, HIGHEST_DBM),
        *range_fault(where, "xy", a["xy"], -_LARGEST_M, _LARGEST_M),
    ]
    faults += own
    if own:
        return None
    scans = {}
    for number, (floor, heard) in enumerate(wifi.scans.items()):
        here = a["floor"] == number
        traces = wifi.traces[floor]
        if not np.isin(a["trace"][here], traces).all():
            expected = "only traces with waypoints on the floor"
            faults.append(Fault(where, f"trace on {floor}", expected, "others"))
            return None
        used, sender = np.unique(a["beacon_id"][here], return_inverse=True)
        scans[floor] = by_time(
            heard.traces,
            np.searchsorted(traces, a["trace"][here]),
            a["t_ms"][here].astype(np.int64),
            a["xy"][here].astype(np.float64),
            sender,
            a["rssi"][here].astype(np.int64),
            tuple(f"beacon{beacon:03d}" for beacon in used),
        )
    return Floors(scans, {file.name: content.sha256})


def by_time(
    traces: tuple[str, ...],
    trace: Ints,
    time_ms: Ints,
    xy: Floats,
    sender: Ints,
    rssi_dbm: Ints,
    senders: tuple[str, ...],
    frequency_hz: tuple[float, ...] = (),
) -> Scans:
    """Scans from single readings: those of one trace and time are one point."""
    order = np.lexsort((sender, time_ms, trace))
    trace, time_ms = trace[order], time_ms[order]
    new = np.flatnonzero(np.diff(trace, prepend=-1) | np.diff(time_ms, prepend=-1))
    return Scans(
        traces=traces,
        trace=trace[new],
        time_s=time_ms[new] / 1000.0,
        xy=xy[order][new],
        bounds=np.append(new, len(trace)),
        sender=sender[order],
        rssi_dbm=rssi_dbm[order],
        senders=senders,
        frequency_hz=frequency_hz,
    )
