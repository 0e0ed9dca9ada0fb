"""Importer of the WiFi scans and iBeacon readings of the Indoor Location Competition 2.0.

The data set and its terms: `twin.measured.registry.INDOOR_LOCATION_COMPETITION20`. Inertial and
magnetic data and the floor maps are no part of a store and are not imported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from twin.errors import Fault, refuse
from twin.measured.ilc20_scans import (
    Floors,
    Scans,
    read_reduced_beacons,
    read_reduced_wifi,
)
from twin.measured.ilc20_traces import read_traces
from twin.measured.importing import MeasuredSite, check_site_names, data_folder
from twin.measured.registry import INDOOR_LOCATION_COMPETITION20, DataSet
from twin.store.layout import Job
from twin.store.spec import SiteSpec

DATA_SET = INDOOR_LOCATION_COMPETITION20
FLOORS = (
    *(f"site1_{floor}" for floor in ("B1", "F1", "F2", "F3", "F4")),
    *(f"site2_{floor}" for floor in ("B1", "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8")),
)
_WIFI = {floor: f"ilc20_{floor}" for floor in FLOORS}
_BEACONS = {floor: f"ilc20_{floor}_ibeacon" for floor in FLOORS}
SITES = (*_WIFI.values(), *_BEACONS.values())

_DONE, _NOTHING_HEARD = 1, 2
# A job's readings are laid out densely: some tens of megabytes for the floor with most BSSIDs.
_SHARD_POINTS = 4096


def read_sites(
    data_dir: Path, only: Collection[str] | None = None, *, data_set: DataSet = DATA_SET
) -> Iterator[MeasuredSite]:
    """A site of WiFi scans and one of iBeacon readings a floor; a point for each time of a trace.

    Positions are interpolated in time between the waypoints of a trace. Of readings of one sender
    at one time, the strongest is kept.

    Args:
        data_dir: folder that holds ``indoor_location_competition20`` or its files: official
            traces ``data/<site>/<floor>/path_data_files/*.txt``, or the reduced archives.
        only: names of sites; all where not given.
        data_set: record to check the files against.

    Raises:
        InputError: unknown site; a file missing, damaged or not as published. Lists all faults.
    """
    check_site_names(only, SITES)
    folder = data_folder(data_dir, data_set)
    wanted = {
        names[floor]: floor
        for names in (_WIFI, _BEACONS)
        for floor in FLOORS
        if only is None or names[floor] in only
    }
    faults: list[Fault] = []
    if (folder / "data").is_dir():
        floors = None if only is None else set(wanted.values())
        wifi, beacons = read_traces(folder / "data", floors, data_set, faults)
    else:
        wifi, beacons = _read_reduced(
            folder, data_set, faults, beacons=not set(wanted) <= set(_WIFI.values())
        )
    for site, floor in wanted.items():
        known = (beacons if site == _BEACONS[floor] else wifi).scans
        if not faults and (floor not in known or not len(known[floor].sender)):
            faults.append(Fault(str(folder), floor, "readings", "none", "Fetch the data set anew."))
    refuse(faults)
    for site, floor in wanted.items():
        kind = "iBeacon" if site == _BEACONS[floor] else "WiFi"
        source = beacons if kind == "iBeacon" else wifi
        yield _site(site, floor, kind, source, data_set)


def _read_reduced(
    folder: Path, data_set: DataSet, faults: list[Fault], *, beacons: bool
) -> tuple[Floors, Floors]:
    none = Floors({}, {})
    wifi = read_reduced_wifi(folder, data_set, faults)
    if wifi is None or not beacons:
        return wifi or none, none
    return wifi, read_reduced_beacons(folder, wifi, data_set, faults) or none


def _site(site: str, floor: str, kind: str, source: Floors, data_set: DataSet) -> MeasuredSite:
    scans = source.scans[floor]
    digests = {
        name: digest for name, digest in source.digests.items() if "/" not in name or floor in name
    }
    spec = SiteSpec(
        title=f"{data_set.title}: {floor.replace('_', ' ')}, {kind}",
        origin="measured",
        realisations=("measured",),
        points=len(scans.trace),
        access_points=scans.senders,
        variables=("rss", "time", "trajectory"),
        ap_frequency_hz=scans.frequency_hz,
        snapshots=1,
        shard_points=_SHARD_POINTS,
        layout="compact",
        config={
            "data_set": data_set.name,
            "floor": floor,
            "kind": kind,
            "content_sha256": dict(digests),
        },
        attributes={
            "source": data_set.url,
            "licence": data_set.licence,
            "citation": list(data_set.citation),
            "original_units": data_set.units,
            "height": "not measured: z is zero",
            "access_points": "where they stand is not known",
            "readings": len(scans.sender),
            "repeated_readings": _repeated(scans),
            "repeated_readings_meaning": "of one sender at one time; the strongest is kept",
            "trajectories": list(scans.traces),
        },
    )
    return MeasuredSite(site, spec, lambda job: _block(scans, job))


def _repeated(scans: Scans) -> int:
    """Readings of a sender beyond its first one at the same time."""
    point = np.repeat(np.arange(len(scans.trace)), np.diff(scans.bounds))
    return len(point) - len(np.unique(point * len(scans.senders) + scans.sender))


def _block(scans: Scans, job: Job) -> xr.Dataset:
    first, last = scans.bounds[job.start], scans.bounds[job.stop]
    counts = np.diff(scans.bounds[job.start : job.stop + 1])
    rss = np.full((len(counts), len(scans.senders)), np.nan, dtype=np.float32)
    place = (np.repeat(np.arange(len(counts)), counts), scans.sender[first:last])
    np.fmax.at(rss, place, scans.rssi_dbm[first:last].astype(np.float32))
    return xr.Dataset(
        {
            "position": (("point", "xyz"), np.pad(scans.xy[job.points], ((0, 0), (0, 1)))),
            "status": ("point", np.where(counts, _DONE, _NOTHING_HEARD).astype(np.int8)),
            "time": ("point", scans.time_s[job.points]),
            "trajectory": ("point", scans.trace[job.points].astype(np.int32)),
            "rss": (("point", "snapshot", "ap"), rss[:, None]),
        }
    )
