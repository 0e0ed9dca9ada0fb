"""Importer of Tampere 2017: fingerprints crowdsourced on five floors of one building.

The data set and its terms: `twin.measured.registry.TAMPERE_2017`. Four files a part, the n-th line
of each belonging to the n-th fingerprint: RSS, coordinates, date and device.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, refuse
from twin.measured.importing import MeasuredSite, check_site_names, data_folder
from twin.measured.registry import TAMPERE_2017 as DATA_SET
from twin.measured.registry import DataSet
from twin.measured.surveys import NONE_DBM, REFERENCE, TEST, Survey, survey_site
from twin.measured.tables import Column, count_fault, read_lines, read_table, shown

SITES = ("tampere_2017",)

_PARTS = (("Training", REFERENCE), ("Test", TEST))
# All heights are whole multiples of it, also in the benchmark software that comes with the data.
_STOREY_M = 3.7
_COORDINATES = (
    Column("x", -100, 400),
    Column("y", -100, 400),
    Column("z", 0, 5 * _STOREY_M),
)


def read_sites(
    data_dir: Path, only: Collection[str] | None = None, *, data_set: DataSet = DATA_SET
) -> Iterator[MeasuredSite]:
    """The one site; see `twin.measured.importing.Importer`.

    Reference points first, in file order.
    """
    check_site_names(only, SITES)
    folder = data_folder(data_dir, data_set)
    access_points = tuple(f"AP{i:03d}" for i in range(1, data_set.counts["access_points"] + 1))
    heard = [Column(ap, -120, 0, NONE_DBM) for ap in access_points]
    faults: list[Fault] = []
    digests: dict[str, str] = {}
    rss, xyz, split = [], [], []
    dates: list[float] = []
    devices: list[str] = []
    for part, index in _PARTS:
        names = [f"{part}_{kind}_21Aug17.csv" for kind in ("rss", "coordinates", "date", "device")]
        files = [data_set.file(name) for name in names]
        signals = read_table(folder, files[0], heard, faults, header=False)
        places = read_table(folder, files[1], _COORDINATES, faults, header=False)
        times = read_lines(folder, files[2], faults)
        makes = read_lines(folder, files[3], faults)
        if signals is None or places is None or times is None or makes is None:
            continue
        rss.append(signals.values)
        xyz.append(places.values)
        split.append(np.full(len(signals.values), index, dtype=np.int8))
        dates += _seconds(times[0].path, times[1], faults)
        devices += makes[1]
        read = (signals.sha256, places.sha256, times[0].sha256, makes[0].sha256)
        digests |= dict(zip(names, read, strict=True))
    refuse(faults)
    position = np.concatenate(xyz)
    floor = np.round(position[:, 2] / _STOREY_M)
    models, device = np.unique(devices, return_inverse=True)
    refuse(_count_faults(folder, position, floor, len(models), data_set))
    yield survey_site(
        SITES[0],
        data_set,
        {
            "measured": Survey(
                position=position,
                rss=np.concatenate(rss),
                split=np.concatenate(split),
                labels={"time": np.array(dates), "floor": floor, "device": device},
            )
        },
        access_points,
        digests,
        attributes={
            "floor": f"counted from z, {_STOREY_M} m a storey; the source gives heights only",
            "time": "the source names no time zone: its clock is read as UTC",
            "devices": [str(model) for model in models],
        },
    )


def _seconds(path: Path, lines: list[str], faults: list[Fault]) -> list[float]:
    """Seconds since 1970 of each line."""
    own: list[Fault] = []
    seconds = []
    for row, line in enumerate(lines, start=1):
        try:
            moment = datetime.strptime(line, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            own.append(Fault(str(path), f"row {row}", "a date as 2017-03-21 16:10:05", repr(line)))
            continue
        seconds.append(moment.timestamp())
    faults += shown(own, path)
    return seconds


def _count_faults(
    folder: Path,
    position: npt.NDArray[np.float64],
    floor: npt.NDArray[np.float64],
    models: int,
    data_set: DataSet,
) -> list[Fault]:
    counts = data_set.counts
    faults = [
        *count_fault(folder, "floors", counts.get("floors"), len(np.unique(floor))),
        *count_fault(folder, "models of devices", counts.get("devices"), models),
    ]
    off = np.flatnonzero(np.abs(position[:, 2] - floor * _STOREY_M) > 1e-6)
    if len(off):
        expected = f"a whole multiple of {_STOREY_M} m"
        found = f"{position[off[0], 2]:g} at point {off[0] + 1}"
        faults.append(Fault(str(folder), "z", expected, found))
    return faults
