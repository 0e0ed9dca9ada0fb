"""Importer of the CSUIndoorLoc measurements of CSI and RSSI in the corridors of a university.

The data set and its terms: `twin.measured.registry.CSU_CSI_RSSI`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from twin.errors import Fault, refuse
from twin.measured.data_set import DataFile
from twin.measured.importing import MeasuredSite, check_site_names, data_folder
from twin.measured.nexmon import (
    SUBCARRIER_SPACING_HZ,
    SUBCARRIERS_20_MHZ,
    channel_frequency_hz,
    complex_csi,
    read_capture,
)
from twin.measured.npz import Expected, range_fault, read_npz
from twin.measured.registry import CSU_CSI_RSSI, DataSet
from twin.measured.tables import count_fault, read_content
from twin.store.layout import Job
from twin.store.schema import SPLITS
from twin.store.spec import SiteSpec

DATA_SET = CSU_CSI_RSSI
SITES = tuple(f"csu_csi_path{number}" for number in range(1, 6))
LOCATIONS_FILE = "locations/locations.csv"

_PARTS = {"reference": "ref", "test": "test"}
_LOCATIONS_HEADER = ["part", "label", "path", "x", "y"]
_LARGEST_M = 1000.0
_ARRAYS = {
    "csi": Expected("i", ("points", "packets", SUBCARRIERS_20_MHZ, 2)),
    "label": Expected("U", ("points",)),
    "xy": Expected("f", ("points", 2)),
    "path": Expected("i", ("points",)),
    "rssi": Expected("f", ("points",)),
    "channel": Expected("i", ("points",)),
    "ap": Expected("i", ("points",)),
}


@dataclass(frozen=True, eq=False)
class _Part:
    """Captures of one part.

    Args:
        label: (point,) room and place before it, such as ``204_1``.
        xy: (point, 2) [m].
        path: (point,) number of the corridor.
        ap: (point, packet) name of the access point.
        channel: (point, packet)
        rssi: (point, packet) [dBm].
        csi: (point, packet, subcarrier), by rising offset.
        digests: of its files.
    """

    label: npt.NDArray[np.str_]
    xy: npt.NDArray[np.float64]
    path: npt.NDArray[np.int64]
    ap: npt.NDArray[np.str_]
    channel: npt.NDArray[np.int64]
    rssi: npt.NDArray[np.float32]
    csi: npt.NDArray[np.complex64]
    digests: dict[str, str]


def read_sites(
    data_dir: Path, only: Collection[str] | None = None, *, data_set: DataSet = DATA_SET
) -> Iterator[MeasuredSite]:
    """One site a path, reference points first, then test points; packets are snapshots.

    A test point has fewer packets than a reference point: its further snapshots are NaN. An access
    point is a BSSID; each point hears one.

    The reduced files of `data_set` are read, or the official captures ``data/ref/ref_*.pcap`` and
    ``data/test/test_*.pcap``, of which the first packets are taken, as many as `data_set` counts.
    The layout of the official spreadsheets of locations is not documented: with the captures, their
    content must stand in ``locations/locations.csv`` with the columns part (ref or test), label,
    path, x and y (metres).

    Args:
        data_dir: folder that holds ``csu_csi_rssi`` or its files.
        only: names of sites; all where not given.
        data_set: record to check the files against.

    Raises:
        InputError: unknown site; a file missing, damaged or not as published. Lists all faults.
    """
    check_site_names(only, SITES)
    reference, test, official = _read_parts(data_dir, data_set)
    for number, site in enumerate(SITES, start=1):
        if only is None or site in only:
            here = [_of_path(part, number) for part in (reference, test)]
            yield _site(site, number, here[0], here[1], data_set, official=official)


def reference_points(data_dir: Path, *, data_set: DataSet = DATA_SET) -> dict[str, int]:
    """Number of the reference points of each site; arguments and errors as `read_sites`."""
    reference, _, _ = _read_parts(data_dir, data_set)
    return {
        site: int(np.count_nonzero(reference.path == number))
        for number, site in enumerate(SITES, start=1)
    }


def _read_parts(data_dir: Path, data_set: DataSet) -> tuple[_Part, _Part, bool]:
    """Reference and test points, checked, and whether they are of the official captures."""
    folder = data_folder(data_dir, data_set)
    faults: list[Fault] = []
    official = (folder / "data").is_dir()
    parts = [
        _read_captures(folder, part, data_set, faults)
        if official
        else _read_reduced(folder, file, part, data_set, faults)
        for part, file in zip(_PARTS, data_set.files, strict=True)
    ]
    for part, name in zip(parts, _PARTS, strict=True):
        if part is not None:
            faults += _part_faults(folder, name, part, data_set)
    refuse(faults)
    reference, test = (part for part in parts if part is not None)
    return reference, test, official


def _read_reduced(
    folder: Path, file: DataFile, part: str, data_set: DataSet, faults: list[Fault]
) -> _Part | None:
    read = read_npz(folder, file, _ARRAYS, faults)
    if read is None:
        return None
    content, arrays = read
    packets = arrays["csi"].shape[1]
    faults += count_fault(
        content.path, "packets a point", data_set.counts[f"{part}_packets"], packets
    )

    def at_every_packet(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return np.repeat(values[:, None], packets, axis=1)

    return _Part(
        label=arrays["label"],
        xy=arrays["xy"],
        path=arrays["path"].astype(np.int64),
        ap=at_every_packet(np.array([f"bssid{number}" for number in arrays["ap"]])).astype(np.str_),
        channel=at_every_packet(arrays["channel"]).astype(np.int64),
        rssi=at_every_packet(arrays["rssi"]).astype(np.float32),
        csi=complex_csi(arrays["csi"]),
        digests={file.name: content.sha256},
    )


def _read_captures(folder: Path, part: str, data_set: DataSet, faults: list[Fault]) -> _Part | None:
    short = _PARTS[part]
    before = len(faults)
    locations, digest = _read_locations(folder, short, faults)
    packets = data_set.counts[f"{part}_packets"]
    captures = []
    for label in locations:
        found = sorted((folder / "data" / short).glob(f"{short}_{label}_*.pcap"))
        if len(found) != 1:
            where = str(folder / "data" / short / f"{short}_{label}_*.pcap")
            cure = "Fetch the data set anew." if not found else "Leave one capture a point."
            faults.append(Fault(where, "", "one file", str(len(found)), cure))
            continue
        capture = read_capture(found[0], faults, packets)
        if capture is not None:
            faults += count_fault(found[0], "packets with CSI", packets, len(capture.csi))
            captures.append(capture)
    if len(faults) > before:
        return None
    return _Part(
        label=np.array(list(locations)),
        xy=np.array([xy for _, xy in locations.values()]).reshape(-1, 2),
        path=np.array([path for path, _ in locations.values()], dtype=np.int64),
        ap=np.array([capture.source for capture in captures]),
        channel=np.array([capture.channel for capture in captures]),
        rssi=np.array([capture.rssi_dbm for capture in captures], dtype=np.float32),
        csi=np.array([capture.csi for capture in captures]),
        digests={LOCATIONS_FILE: digest},
    )


def _read_locations(
    folder: Path, part: str, faults: list[Fault]
) -> tuple[dict[str, tuple[int, tuple[float, float]]], str]:
    """Path and position by label, of one part; and the file's digest."""
    if not (folder / LOCATIONS_FILE).is_file():
        expected = f"a table with the columns {', '.join(_LOCATIONS_HEADER)}"
        cure = "Save what the spreadsheets beside it say of each capture as this file (metres)."
        faults.append(Fault(str(folder / LOCATIONS_FILE), "", expected, "no such file", cure))
        return {}, ""
    content = read_content(folder / "locations", DataFile("locations.csv"), faults)
    if content is None:
        return {}, ""
    where = str(content.path)
    header, *rows = list(csv.reader(io.StringIO(content.data.decode()))) or [[]]
    if header != _LOCATIONS_HEADER:
        expected = ",".join(_LOCATIONS_HEADER)
        faults.append(Fault(where, "row 1 (header)", expected, ",".join(header)))
        return {}, ""
    locations: dict[str, tuple[int, tuple[float, float]]] = {}
    for line, row in enumerate(rows, start=2):
        try:
            named, label, path, x, y = row
            place = (int(path), (float(x), float(y)))
        except ValueError:
            expected = "part, label, a whole number and two numbers"
            faults.append(Fault(where, f"row {line}", expected, ",".join(row)))
            continue
        if named not in _PARTS.values():
            faults.append(Fault(where, f"row {line}, column 'part'", "ref or test", repr(named)))
        elif named == part and label in locations:
            key = f"row {line}, column 'label'"
            faults.append(Fault(where, key, "a label once a part", repr(label)))
        elif named == part:
            locations[label] = place
    return locations, content.sha256


def _part_faults(folder: Path, name: str, part: _Part, data_set: DataSet) -> list[Fault]:
    where = f"{folder}, {name} points"
    faults = count_fault(Path(where), "points", data_set.counts[name], len(part.label))
    wanted = list(range(1, data_set.counts["paths"] + 1))
    found = np.unique(part.path).tolist()
    if found != wanted:
        faults.append(Fault(where, "path", f"points on each of {wanted}", f"{found}"))
    faults += range_fault(where, "xy", part.xy, -_LARGEST_M, _LARGEST_M)
    faults += range_fault(where, "rssi", part.rssi, -128.0, 0.0)
    for ap in np.unique(part.ap):
        for number in np.unique(part.path):
            used = np.unique(part.channel[(part.ap == ap) & (part.path == number)[:, None]])
            if len(used) > 1:
                expected = "one channel an access point"
                faults.append(Fault(where, f"channel of {ap}", expected, f"{used.tolist()}"))
    return faults


def _of_path(part: _Part, number: int) -> _Part:
    here = part.path == number
    return _Part(
        label=part.label[here],
        xy=part.xy[here],
        path=part.path[here],
        ap=part.ap[here],
        channel=part.channel[here],
        rssi=part.rssi[here],
        csi=part.csi[here],
        digests=part.digests,
    )


def _site(
    site: str, number: int, reference: _Part, test: _Part, data_set: DataSet, *, official: bool
) -> MeasuredSite:
    both = (reference, test)
    names = tuple(str(name) for name in np.unique(np.concatenate([p.ap.ravel() for p in both])))
    channel = {
        name: next(int(part.channel[part.ap == name][0]) for part in both if name in part.ap)
        for name in names
    }
    spaces = sorted({_room(label) for part in both for label in part.label})
    points = len(reference.label) + len(test.label)
    heard = [sorted({str(ap) for ap in part.ap.flat}) for part in both]
    spec = SiteSpec(
        title=f"{data_set.title}: path {number}",
        origin="measured",
        realisations=("measured",),
        points=points,
        access_points=names,
        variables=("split", "space", "rss", "reported_csi"),
        ap_frequency_hz=tuple(channel_frequency_hz(channel[name]) for name in names),
        snapshots=max(part.csi.shape[1] for part in both),
        subcarriers=SUBCARRIERS_20_MHZ,
        subcarrier_spacing_hz=SUBCARRIER_SPACING_HZ,
        shard_points=points,
        layout="compact",
        config={
            "data_set": data_set.name,
            "path": number,
            "content_sha256": {**reference.digests, **test.digests},
        },
        attributes={
            "source": data_set.url,
            "licence": data_set.licence,
            "citation": list(data_set.citation),
            "original_units": data_set.units,
            "height": "not measured: z is zero",
            "access_points": "BSSIDs; where they stand is not known",
            "access_points_of_reference": [*heard[0]],
            "access_points_of_test": [*heard[1]],
            "packets": f"{reference.csi.shape[1]} a reference point, {test.csi.shape[1]} a test "
            "point; further snapshots are NaN",
            "rss": "as reported with each packet"
            if official
            else "one value a point, repeated at every packet",
            "csi": "guard and null subcarriers hold arbitrary values; imaginary part first in the "
            "files, so that later paths have later delays",
            "spaces": [*spaces],
            **({"mismatch": data_set.note} if heard[0] != heard[1] and data_set.note else {}),
        },
    )

    def block(job: Job) -> xr.Dataset:
        rows = [_rows(part, names, spec.snapshots) for part in both]
        rss, csi = (np.concatenate(arrays)[job.points] for arrays in zip(*rows, strict=True))
        labels = np.concatenate([part.label for part in both])[job.points]
        xy = np.concatenate([part.xy for part in both])[job.points]
        split = np.repeat(
            [SPLITS.index("reference"), SPLITS.index("test")], [len(p.label) for p in both]
        )
        return xr.Dataset(
            {
                "position": (("point", "xyz"), np.pad(xy, ((0, 0), (0, 1)))),
                "status": ("point", np.ones(len(xy), dtype=np.int8)),
                "split": ("point", split[job.points].astype(np.int8)),
                "space": ("point", [spaces.index(_room(label)) for label in labels]),
                "rss": (("point", "snapshot", "ap"), rss),
                "reported_csi": (("point", "snapshot", "ap", "subcarrier"), csi),
            }
        )

    return MeasuredSite(site, spec, block)


def _room(label: str) -> str:
    return str(label).rpartition("_")[0]


def _rows(
    part: _Part, names: tuple[str, ...], snapshots: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.complex64]]:
    """RSS (point, snapshot, ap) and CSI (point, snapshot, ap, subcarrier), NaN where not heard."""
    points, packets, subcarriers = part.csi.shape
    rss = np.full((points, snapshots, len(names)), np.nan, dtype=np.float32)
    csi = np.full((*rss.shape, subcarriers), complex(np.nan, np.nan), dtype=np.complex64)
    for ap, name in enumerate(names):
        heard = part.ap == name
        rss[:, :packets, ap][heard] = part.rssi[heard]
        csi[:, :packets, ap][heard] = part.csi[heard]
    return rss, csi
