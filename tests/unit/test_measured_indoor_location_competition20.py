"""Importer of the Indoor Location Competition 2.0: on small files made here, and the real ones."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from twin.errors import InputError
from twin.measured.data_set import DataSet, content_sha256
from twin.measured.importing import import_data_set
from twin.measured.indoor_location_competition20 import DATA_SET, FLOORS, SITES, read_sites
from twin.store.layout import Job, jobs_of
from twin.store.reader import environments, open_site
from twin.store.verify import verify

MS = 1_574_572_520_000
A, B, C = "0a:00:00:00:00:01", "0a:00:00:00:00:02", "0a:00:00:00:00:03"
UUID = "FDA50693-A4E2-4FB1-AFCF-C6EB07647825"


def wifi(t: int, bssid: str, rssi: int, mhz: int = 2412, ssid: str = "mall") -> str:
    return f"{MS + t}\tTYPE_WIFI\t{ssid}\t{bssid}\t{rssi}\t{mhz}\t{MS + t - 300}"


def beacon(t: int, minor: int, rssi: int) -> str:
    fields = [UUID, "10073", str(minor), "-65", str(rssi), "5.5", "6B:11:4C:D1:29:F2", str(MS + t)]
    return "\t".join([str(MS + t), "TYPE_BEACON", *fields])


def waypoint(t: int, x: float, y: float) -> str:
    return f"{MS + t}\tTYPE_WAYPOINT\t{x}\t{y}"


# The first trace of site1/B1: a scan before the first waypoint, one half way between two, one of
# them with a BSSID heard twice; a name with a tab; two records on one line.
WALK = [
    "#\tstartTime:1574572522274",
    wifi(0, A, -40),
    waypoint(1000, 10.0, 20.0),
    f"{MS + 1100}\tTYPE_ACCELEROMETER\t-1.6\t0.0\t17.9\t2",
    wifi(2000, B, -70, 5180, "a\tname"),
    wifi(2000, A, -62) + wifi(2000, A, -55, 2417),
    beacon(2000, 61418, -82),
    beacon(2000, 7, -90),
    beacon(2500, 7, -91),
    waypoint(3000, 14.0, 28.0),
]
OTHER = [waypoint(0, 5.0, 5.0), wifi(100, C, -50, 5745), beacon(100, 9, -77)]


def traces() -> dict[str, dict[str, list[str]]]:
    """Floor -> trace -> lines."""
    walks = {floor: {f"trace-{floor}": OTHER} for floor in FLOORS}
    walks["site1_B1"] = {"trace-1": WALK, "trace-2": OTHER}
    return walks


COUNTS = {
    "floors": 14, "traces": 15, "scans": 16, "readings": 18, "access_points": 3, "waypoints": 16,
    "beacon_readings": 17,
}  # fmt: skip
RECORD = dataclasses.replace(DATA_SET, counts=COUNTS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Traces in the official layout."""
    for floor, files in traces().items():
        place = tmp_path / "data" / floor.replace("_", "/") / "path_data_files"
        place.mkdir(parents=True)
        for name, lines in files.items():
            (place / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def reduced(folder: Path, **changes: object) -> DataSet:
    """The same content as reduced archives; gives the record that knows them."""
    # Floor, trace, time, x, y, and what was heard.
    scans = [(0, 0, 0, 10.0, 20.0, {0: [-40]}), (0, 0, 2000, 12.0, 24.0, {0: [-62, -55], 1: [-70]})]
    scans += [(f, f + 1, 100, 5.0, 5.0, {2: [-50]}) for f in range(14)]
    readings = [(ap, v) for *_, heard in scans for ap, values in heard.items() for v in values]
    counts = [sum(map(len, heard.values())) for *_, heard in scans]
    ibeacons = [(0, 0, 2000, 12.0, 24.0, 0, -82), (0, 0, 2000, 12.0, 24.0, 1, -90),
                (0, 0, 2500, 13.0, 26.0, 1, -91)]  # fmt: skip
    ibeacons += [(f, f + 1, 100, 5.0, 5.0, 2, -77) for f in range(14)]
    wp = [(0, 0), (0, 0), *((f, f + 1) for f in range(14))]
    arrays = {
        "ilc20_wifi_scans.npz": {
            "floor_names": np.array([floor.replace("_", "/") for floor in FLOORS]),
            "trace_ids": np.array(["trace-1", "trace-2", *(f"trace-{f}" for f in FLOORS[1:])]),
            "scan_floor": np.array([s[0] for s in scans], np.int8),
            "scan_trace": np.array([s[1] for s in scans], np.int16),
            "scan_t_ms": np.array([MS + s[2] for s in scans], np.int64),
            "scan_xy": np.array([s[3:5] for s in scans], np.float32),
            "indptr": np.concatenate([[0], np.cumsum(counts)]),
            "ap_id": np.array([r[0] for r in readings], np.int32),
            "rssi": np.array([r[1] for r in readings], np.int8),
            "ap_freq_mhz": np.array([2412, 5180, 5745], np.int16),
            "wp_floor": np.array([w[0] for w in wp], np.int8),
            "wp_trace": np.array([w[1] for w in wp], np.int16),
        },
        "ilc20_ibeacon.npz": {
            "floor": np.array([b[0] for b in ibeacons], np.int8),
            "trace": np.array([b[1] for b in ibeacons], np.int16),
            "t_ms": np.array([MS + b[2] for b in ibeacons], np.int64),
            "xy": np.array([b[3:5] for b in ibeacons], np.float32),
            "beacon_id": np.array([b[5] for b in ibeacons], np.int32),
            "rssi": np.array([b[6] for b in ibeacons], np.int8),
        },
    }
    files = []
    for file in DATA_SET.files:
        if file.name in arrays:
            content = arrays[file.name]
            content |= {name: value for name, value in changes.items() if name in content}
            np.savez_compressed(folder / file.name, **content)
            digest = content_sha256((folder / file.name).read_bytes(), text=False)
            files.append(dataclasses.replace(file, sha256=digest))
    return dataclasses.replace(RECORD, files=tuple(files))


def test_scans_positions_and_times(folder):
    (site,) = read_sites(folder, ["ilc20_site1_B1"], data_set=RECORD)
    assert site.spec.access_points == (A, B, C)
    # A was heard twice at 2412 MHz and once at 2417.
    assert site.spec.ap_frequency_hz == (2.412e9, 5.18e9, 5.745e9)
    assert site.spec.attributes["trajectories"] == ["trace-1", "trace-2"]
    assert site.spec.attributes["repeated_readings"] == 1
    block = site.block(Job(0, 0, 3))
    np.testing.assert_allclose(block["position"], [[10, 20, 0], [12, 24, 0], [5, 5, 0]])
    np.testing.assert_allclose(block["time"], (MS + np.array([0, 2000, 100])) / 1000)
    assert block["trajectory"].to_numpy().tolist() == [0, 0, 1]
    rss = block["rss"].to_numpy()[:, 0]
    none = np.nan
    np.testing.assert_array_equal(rss, [[-40, none, none], [-55, -70, none], [none, none, -50]])
    np.testing.assert_array_equal(site.block(Job(0, 1, 3))["rss"][:, 0], rss[1:])


def test_beacons_of_a_time_are_one_point(folder):
    (site,) = read_sites(folder, ["ilc20_site1_B1_ibeacon"], data_set=RECORD)
    assert site.spec.access_points == (f"{UUID}_10073_61418", f"{UUID}_10073_7", f"{UUID}_10073_9")
    assert site.spec.ap_frequency_hz == ()
    block = site.block(Job(0, 0, 3))
    np.testing.assert_allclose(block["position"][:, :2], [[12, 24], [13, 26], [5, 5]])
    none = np.nan
    expected = [[-82, -90, none], [none, -91, none], [none, none, -77]]
    np.testing.assert_array_equal(block["rss"][:, 0], expected)


def test_reduced_files_give_the_same_as_the_traces(folder, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    record = reduced(small)
    pairs = list(
        zip(read_sites(folder, data_set=record), read_sites(small, data_set=record), strict=True)
    )
    assert [site.name for site, _ in pairs] == list(SITES)
    assert len(SITES) == 28
    for one, other in pairs:
        assert one.block(Job(0, 0, one.spec.points)).identical(
            other.block(Job(0, 0, one.spec.points))
        )
        assert one.spec.ap_frequency_hz == other.spec.ap_frequency_hz
        assert one.spec.attributes["trajectories"] == other.spec.attributes["trajectories"]
    assert pairs[0][1].spec.access_points == ("bssid0000", "bssid0001", "bssid0002")


def test_a_store_of_it(tmp_path, monkeypatch):
    record = reduced(tmp_path)
    monkeypatch.setattr(read_sites, "__kwdefaults__", {"data_set": record})
    store = tmp_path / "store.zarr"
    wanted = ["ilc20_site1_B1", "ilc20_site2_F8_ibeacon"]
    name = "indoor_location_competition20"
    assert sorted(import_data_set(name, tmp_path, store, wanted)) == wanted
    (environment,) = environments(store, wanted[0])
    assert environment.features["rss"].shape == (3, 1, 3)
    data = open_site(store, wanted[0])
    assert data.attrs["licence"] == "MIT"
    assert np.isnan(data["ap_position"]).all()
    assert verify(store) == []


def replaced(old: str, new: str) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return apply


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda path: path.unlink(), "traces: expected 15, found 14"),
        (replaced("\t-40\t", "\t40\t"), r"trace-1\.txt: line 2: expected TYPE_WIFI with name"),
        (replaced("\t-40\t", "\tweak\t"), "line 2: expected TYPE_WIFI"),
        (replaced(A, "0a:00"), "line 2: expected TYPE_WIFI"),
        (replaced("20.0", "north"), "line 3: expected TYPE_WAYPOINT with x and y"),
        (replaced("20.0", "nan"), "line 3: expected TYPE_WAYPOINT"),
        (replaced("\t20.0", ""), "line 3: expected TYPE_WAYPOINT"),
        (replaced("\t5.5\t", "\t"), "line 7: expected TYPE_BEACON"),
        (replaced(wifi(0, A, -40) + "\n", ""), "scans: expected 16, found 15"),
        (replaced(waypoint(3000, 14.0, 28.0), ""), "waypoints: expected 16, found 15"),
        (lambda path: path.write_text("#\tstart\n", encoding="utf-8"), "WAYPOINT: expected at"),
        (lambda path: path.write_bytes(path.read_bytes()[:80]), "line 2: expected TYPE_WIFI"),
    ],
)  # fmt: skip
def test_damaged_traces_are_refused(folder, damage, part):
    damage(folder / "data" / "site1" / "B1" / "path_data_files" / "trace-1.txt")
    with pytest.raises(InputError, match=part):
        next(read_sites(folder, data_set=RECORD))


def test_a_floor_that_is_missing_is_told(folder):
    (path,) = (folder / "data" / "site2" / "F8" / "path_data_files").iterdir()
    path.unlink()
    with pytest.raises(InputError) as caught:
        next(read_sites(folder, ["ilc20_site1_B1"], data_set=RECORD))
    assert "floors: expected 14, found 13" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"ap_id": np.full(18, 3, np.int32)}, r"ap_id\[0\]: expected a number from 0 to 2"),
        ({"rssi": np.full(18, 1, np.int8)}, r"rssi\[0\]: expected a number from -127 to 0"),
        ({"scan_xy": np.full((16, 2), np.nan, np.float32)}, "scan_xy.*a finite number"),
        ({"scan_xy": np.zeros((16, 3), np.float32)}, r"scan_xy: expected \(16, 2\)"),
        ({"indptr": np.arange(17)}, "indptr: expected 17 rising bounds from 0 to 18"),
        ({"indptr": np.zeros(0, np.int64)}, "indptr: expected 17 rising bounds"),
        ({"scan_floor": np.ones(16, np.int8)}, "only traces with waypoints on the floor"),
        ({"wp_floor": np.zeros(15, np.int8)}, r"wp_trace: expected \(15,\)"),
        ({"scan_t_ms": np.zeros(16)}, "scan_t_ms: expected whole numbers"),
        ({"trace_ids": np.array(["a"] * 20)}, "traces: expected 15, found 20"),
        ({"beacon_id": np.full(17, -1, np.int32)}, r"beacon_id\[0\]"),
        ({"floor": np.zeros(17, np.int8)}, "ibeacon.*only traces with waypoints on the floor"),
    ],
)
def test_bad_arrays_are_refused(tmp_path, changes, part):
    record = reduced(tmp_path, **changes)
    with pytest.raises(InputError, match=part):
        next(read_sites(tmp_path, data_set=record))


def test_damaged_archives_are_refused(tmp_path):
    record = reduced(tmp_path)
    with pytest.raises(InputError, match="sha256"):
        next(read_sites(tmp_path, data_set=RECORD))
    beacons = tmp_path / "ilc20_ibeacon.npz"
    beacons.write_bytes(beacons.read_bytes()[:-50])
    # Not needed for WiFi alone.
    assert len(list(read_sites(tmp_path, ["ilc20_site1_B1"], data_set=record))) == 1
    with pytest.raises(InputError, match="a whole NumPy archive"):
        next(read_sites(tmp_path, data_set=record))
    (tmp_path / "ilc20_wifi_scans.npz").unlink()
    with pytest.raises(InputError, match="no such file"):
        next(read_sites(tmp_path, ["ilc20_site1_B1"], data_set=record))
    with pytest.raises(InputError, match="one of ilc20_site1_B1"):
        next(read_sites(tmp_path, ["ilc20_site3_B1"], data_set=record))


REAL = Path(os.environ.get("TWIN_DATA_DIR", ""))


@pytest.mark.skipif(
    not os.environ.get("TWIN_DATA_DIR") or not (REAL / DATA_SET.name).is_dir(),
    reason="needs TWIN_DATA_DIR with indoor_location_competition20",
)
def test_real_floors():
    points = readings = beacon_readings = traces = 0
    for site in read_sites(REAL):
        total = site.spec.attributes["readings"]
        if site.name.endswith("ibeacon"):
            beacon_readings += total
        else:
            points += site.spec.points
            readings += total
            traces += len(site.spec.attributes["trajectories"])
        if not site.name.startswith(("ilc20_site2_F3", "ilc20_site2_F8")):
            continue  # Laying out every floor densely takes long.
        heard = 0
        for job in jobs_of(site.spec):
            block = site.block(job)
            heard += int(np.isfinite(block["rss"].to_numpy()).sum())
            assert (block["status"].to_numpy() == 1).all()
            span = np.ptp(block["position"].to_numpy(), axis=0)
            assert 10 < span[0] < 500
            assert span[2] == 0
            # November and December 2019.
            days = block["time"].to_numpy() / 86_400
            assert 18_200 < days.min() <= days.max() < 18_250
        assert heard == total - site.spec.attributes["repeated_readings"]
    assert (points, readings, beacon_readings, traces) == (15_251, 3_873_277, 89_842, 988)
