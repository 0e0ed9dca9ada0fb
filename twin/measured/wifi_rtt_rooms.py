"""Importer of the WiFi RTT and RSS measurements in a lecture theatre, an office and a corridor.

The data set and its terms: `twin.measured.registry.WIFI_RTT_ROOMS`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from twin.errors import Fault, InputError, refuse
from twin.measured.importing import MeasuredSite, check_site_names, data_folder
from twin.measured.registry import WIFI_RTT_ROOMS as DATA_SET
from twin.measured.registry import DataSet
from twin.measured.surveys import (
    DONE,
    IMPORTER_VERSION,
    REFERENCE,
    SILENT,
    TEST,
    source_attributes,
)
from twin.measured.wifi_rtt_files import (
    AP_POSITION_FILE,
    NO_RSS_DBM,
    NO_RTT_MM,
    ROOMS,
    SCANS,
    Points,
    heard_where_none_is,
    read_ap_positions,
    read_points,
    shared_points,
)
from twin.store.layout import Job
from twin.store.spec import SiteSpec, vectors
from twin.store.writer import write_site

GRID_M = 0.6
SITES = tuple(f"wifi_rtt_{room}" for room in ROOMS)


def read_sites(
    data_dir: Path, only: Collection[str] | None = None, *, data_set: DataSet = DATA_SET
) -> Iterator[MeasuredSite]:
    """A site a room; see `twin.measured.importing.Importer`.

    All rooms wanted are checked before the first site is given.
    """
    check_site_names(only, SITES)
    faults: list[Fault] = []
    sites = []
    for room, name in zip(ROOMS, SITES, strict=True):
        if only is not None and name not in only:
            continue
        try:
            sites.append(_site(name, *read_room(data_dir, room, data_set=data_set)))
        except InputError as error:
            faults += [fault for fault in error.faults if fault not in faults]
    refuse(faults)
    yield from sites


def _site(name: str, spec: SiteSpec, dataset: xr.Dataset) -> MeasuredSite:
    def block(job: Job) -> xr.Dataset:
        return dataset.isel(point=job.points)

    return MeasuredSite(name, spec, block)


def import_room(
    data_dir: Path,
    room: str,
    store: str | Path,
    site: str | None = None,
    *,
    data_set: DataSet = DATA_SET,
) -> str:
    """Import one room into a store and publish it; nothing is written before all files are checked.

    Args:
        data_dir: folder that holds ``wifi_rtt_rooms`` or its files, plain or xz-compressed.
        room: ``lecture_theatre``, ``office`` or ``corridor``.
        store: where to write.
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
    made = _site(site or f"wifi_rtt_{room}", spec, dataset)
    return write_site(store, made.name, made.spec, made.block)


def read_room(
    data_dir: Path, room: str, *, data_set: DataSet = DATA_SET
) -> tuple[SiteSpec, xr.Dataset]:
    """Read and check one room: its spec and all its points; errors as `import_room`.

    One realisation, reference points first, both in file order. Positions are metres from the
    origin of the room's grid; heights are not part of the data and stand as zero.
    """
    if room not in ROOMS:
        raise InputError([Fault("room", "", f"one of {', '.join(ROOMS)}", repr(room))])
    folder = data_folder(data_dir, data_set)
    faults: list[Fault] = []
    files = [data_set.file(f"database_{room}_{part}.csv") for part in ("train", "test")]
    reference, test = (read_points(folder, file, faults) for file in files)
    ap_xy = read_ap_positions(folder, data_set.file(AP_POSITION_FILE), room, faults)
    if reference is not None and test is not None:
        faults += shared_points(reference, test, folder / files[1].name)
        for points, file in zip((reference, test), files, strict=True):
            faults += heard_where_none_is(points, room, folder / file.name)
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
        variables=("rss", "rtt", "los", "split"),
        ap_position_m=vectors([np.hstack([ap_xy * GRID_M, height])]),
        snapshots=SCANS,
        shard_points=references + tests,
        layout="compact",
        config={
            "data_set": data_set.name,
            "importer_version": IMPORTER_VERSION,
            "room": room,
            "content_sha256": {name: data_set.file(name).sha256 for name in names},
        },
        attributes={
            **source_attributes(data_set),
            "height": "not measured: z is zero for receivers and access points",
        },
    )


def _dataset(room: str, reference: Points, test: Points) -> xr.Dataset:
    both = (reference, test)
    columns = [int(name.removeprefix("AP")) - 1 for name in ROOMS[room]]
    xy = np.concatenate([points.xy for points in both]) * GRID_M
    rtt_mm = np.concatenate([points.rtt_mm for points in both])[:, :, columns]
    rss_dbm = np.concatenate([points.rss_dbm for points in both])[:, :, columns]
    rtt_m = np.where(rtt_mm == NO_RTT_MM, np.nan, rtt_mm / 1000.0)
    rss = np.where(rss_dbm == NO_RSS_DBM, np.nan, rss_dbm)
    heard = np.isfinite(rss).any(axis=(1, 2)) | np.isfinite(rtt_m).any(axis=(1, 2))
    scan = ("point", "snapshot", "ap")
    los = np.concatenate([points.los for points in both])[:, columns]
    split = np.repeat([REFERENCE, TEST], [len(points.xy) for points in both])
    return xr.Dataset(
        {
            "position": (("point", "xyz"), np.pad(xy, ((0, 0), (0, 1)))),
            "rss": (scan, rss.astype(np.float32)),
            "rtt": (scan, rtt_m.astype(np.float32)),
            "los": (("point", "ap"), los.astype(np.int8)),
            "split": ("point", split.astype(np.int8)),
            "status": ("point", np.where(heard, DONE, SILENT).astype(np.int8)),
        }
    )
