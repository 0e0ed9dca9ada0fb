"""Importer of the WiFi RTT rooms: on small files made here, and on the real ones where they are."""

from __future__ import annotations

import dataclasses
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from twin.errors import InputError
from twin.measured.registry import WIFI_RTT_ROOMS, DataFile, DataSet, content_sha256
from twin.measured.wifi_rtt_files import AP_POSITION_FILE
from twin.measured.wifi_rtt_rooms import import_room, read_sites
from twin.store.reader import environments, open_site
from twin.store.verify import verify

HEADER = (
    "X,Y,AP1 RTT(mm),AP2 RTT(mm),AP3 RTT(mm),AP4 RTT(mm),AP5 RTT(mm),"
    "AP1 RSS(dBm),AP2 RSS(dBm),AP3 RSS(dBm),AP4 RSS(dBm),AP5 RSS(dBm),LOS APs"
)
AP_TEXT = """office
AP X: 1,11,15,20,25
AP Y: 5,-1,6,-1,5

corridor
AP X:2,17,38,48
AP Y:7.5,6.8,9,5"""


def scans(x: float, y: float, los: str, silent: int = 5) -> list[str]:
    """60 rows of one point; the AP of the given number is never heard."""
    rows = []
    for scan in range(60):
        rtt = [1000.0 * ap + scan for ap in range(1, 6)]
        rss = [-50.0 - ap - scan % 3 for ap in range(1, 6)]
        rtt[silent - 1], rss[silent - 1] = 100000.0, -200.0
        rows.append(",".join(map(str, [x, y, *rtt, *rss, los])))
    return rows


def write(path: Path, rows: list[str]) -> None:
    path.write_bytes("\r\n".join([HEADER, *rows]).encode())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder laid out as the data set's."""
    folder = tmp_path / "data" / "wifi_rtt_rooms"
    folder.mkdir(parents=True)
    for room, silent in (("office", 5), ("corridor", 1)):
        train = scans(0.0, 1.0, "1 2", silent) + scans(2.0, 1.0, "", silent)
        write(folder / f"database_{room}_train.csv", train)
        write(folder / f"database_{room}_test.csv", scans(1.0, 0.0, "4", silent))
    (folder / AP_POSITION_FILE).write_text(AP_TEXT, encoding="utf-8")
    return folder.parent


@pytest.fixture
def record(data: Path) -> DataSet:
    """The registry's record, with the digests and counts of the small files."""
    files = []
    for path in sorted((data / "wifi_rtt_rooms").iterdir()):
        points = {"train": 2, "test": 1}.get(path.stem.rpartition("_")[2])
        rows = None if points is None else 60 * points
        files.append(DataFile(path.name, content_sha256(path.read_bytes()), rows, points))
    return dataclasses.replace(WIFI_RTT_ROOMS, files=tuple(files))


def test_values_units_and_split(data: Path, record: DataSet, tmp_path: Path) -> None:
    store = tmp_path / "store.zarr"
    import_room(data, "office", store, data_set=record)
    (environment,) = environments(store, "wifi_rtt_office")
    np.testing.assert_allclose(environment.position, [[0, 0.6, 0], [1.2, 0.6, 0], [0.6, 0, 0]])
    np.testing.assert_allclose(environment.ap_position[1], [6.6, -0.6, 0.0])
    assert environment.split.tolist() == ["reference", "reference", "test"]
    assert environment.ap == ("AP1", "AP2", "AP3", "AP4", "AP5")
    rtt, rss = environment.features["rtt"], environment.features["rss"]
    assert rtt.shape == rss.shape == (3, 60, 5)
    np.testing.assert_allclose(rtt[0, :, 1], 2.0 + np.arange(60) / 1000.0, rtol=1e-6)
    np.testing.assert_allclose(rss[2, :3, 0], [-51.0, -52.0, -53.0])
    assert np.isnan(rtt[:, :, 4]).all()
    assert np.isnan(rss[:, :, 4]).all()
    dataset = open_site(store, "wifi_rtt_office")
    assert dataset["los"].to_numpy()[0].tolist() == [[1, 1, 0, 0, 0], [0] * 5, [0, 0, 0, 1, 0]]
    assert (dataset["status"] == 1).all()
    assert dataset.attrs["licence"] == "MIT"
    assert "not measured" in dataset.attrs["height"]
    assert verify(store) == []


def test_corridor_has_the_four_aps_with_a_position(
    data: Path, record: DataSet, tmp_path: Path
) -> None:
    store = tmp_path / "store.zarr"
    import_room(data, "corridor", store, "hall", data_set=record)
    (environment,) = environments(store, "hall")
    assert environment.ap == ("AP2", "AP3", "AP4", "AP5")
    np.testing.assert_allclose(environment.ap_position[0, :2], [1.2, 4.5])
    np.testing.assert_allclose(environment.features["rtt"][0, 0], [2.0, 3.0, 4.0, 5.0])


def test_compressed_files_and_other_line_ends_give_the_same(
    data: Path, record: DataSet, tmp_path: Path
) -> None:
    plain = import_room(data, "office", tmp_path / "plain.zarr", data_set=record)
    folder = data / "wifi_rtt_rooms"
    for path in list(folder.glob("*.csv")):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        path.with_name(path.name + ".xz").write_bytes(lzma.compress(content))
        path.unlink()
    (folder / AP_POSITION_FILE).rename(folder / AP_POSITION_FILE.replace("_", " "))
    # The folder of the files themselves is accepted as well.
    assert import_room(folder, "office", tmp_path / "xz.zarr", data_set=record) == plain


def test_import_again_changes_nothing(data: Path, record: DataSet, tmp_path: Path) -> None:
    store = tmp_path / "store.zarr"
    first = import_room(data, "office", store, data_set=record)
    times = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    assert import_room(data, "office", store, data_set=record) == first
    assert {path: path.stat().st_mtime_ns for path in times} == times


def edit(name: str, change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / name
        path.write_bytes("\r\n".join(change(path.read_text(encoding="utf-8").split("\n"))).encode())

    return apply


def replaced(row: int, old: str, new: str) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        assert old in lines[row]
        return [line.replace(old, new) if i == row else line for i, line in enumerate(lines)]

    return change


TRAIN = "database_office_train.csv"
TEST = "database_office_test.csv"


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (lambda folder: (folder / TRAIN).unlink(), [TRAIN, "no such file", "TWIN_DATA_DIR"]),
        (
            edit(TRAIN, lambda lines: lines[:100]),
            ["rows: expected 120, found 99", "X=2, Y=1", "39"],
        ),
        (edit(TRAIN, lambda lines: lines[:61]), ["points: expected 2, found 1"]),
        (edit(TRAIN, replaced(0, "RTT(mm)", "RTT(m)")), ["row 1 (header)"]),
        (edit(TRAIN, lambda _: []), ["row 1 (header)", "an empty file"]),
        (edit(TRAIN, replaced(7, "0.0,1.0", "nan,1.0")), ["row 8, column 'X'", "'nan'"]),
        (edit(TRAIN, replaced(3, "-200.0", "x")), ["row 4, column 'AP5 RSS(dBm)'", "'x'"]),
        (edit(TRAIN, replaced(3, "-200.0", "4.0")), ["row 4, column 'AP5 RSS(dBm)'", "-200 to 0"]),
        (edit(TRAIN, replaced(3, ",1 2", "")), ["row 4: expected 13 cells, found 12"]),
        (edit(TRAIN, replaced(3, ",1 2", ",1 9")), ["row 4, column 'LOS APs'", "'1 9'"]),
        (edit(TRAIN, replaced(3, ",1 2", ",1")), ["row 4, column 'LOS APs'", "as before"]),
        (edit(TRAIN, replaced(3, "-53.0", "-63.0")), ["sha256"]),
        (
            edit(TEST, lambda lines: [line.replace("1.0,0.0,", "2.0,1.0,", 1) for line in lines]),
            ["sha256"],
        ),
        (edit(AP_POSITION_FILE, replaced(1, "11", "eleven")), ["line 2", "numbers and commas"]),
        (edit(AP_POSITION_FILE, replaced(1, ",25", "")), ["office, AP X: expected 5 numbers"]),
        (edit(AP_POSITION_FILE, replaced(0, "office", "attic")), ["office, AP Y", "found 0"]),
        (edit(AP_POSITION_FILE, replaced(1, "11", "12")), ["sha256"]),
        (lambda folder: (folder / TEST).write_bytes(b"\xff\xfe"), [TEST, "readable"]),
    ],
)
def test_bad_file_is_refused_before_anything_is_written(
    data: Path,
    record: DataSet,
    tmp_path: Path,
    damage: Callable[[Path], None],
    parts: list[str],
) -> None:
    damage(data / "wifi_rtt_rooms")
    with pytest.raises(InputError) as caught:
        import_room(data, "office", tmp_path / "store.zarr", data_set=record)
    for part in parts:
        assert part in str(caught.value)
    assert not (tmp_path / "store.zarr").exists()


def test_all_faults_come_at_once(data: Path, record: DataSet, tmp_path: Path) -> None:
    folder = data / "wifi_rtt_rooms"
    edit(TRAIN, lambda lines: [lines[0], *("a" + line for line in lines[1:])])(folder)
    (folder / TEST).unlink()
    edit(AP_POSITION_FILE, replaced(1, "11", "eleven"))(folder)
    with pytest.raises(InputError) as caught:
        import_room(data, "office", tmp_path / "store.zarr", data_set=record)
    message = str(caught.value)
    assert "row 21, column 'X'" in message
    assert "row 22, column 'X'" not in message
    assert "found 100 more" in message
    assert f"{TEST}: expected the file" in message
    assert "eleven" in message


def test_truncated_xz_is_refused(data: Path, record: DataSet, tmp_path: Path) -> None:
    path = data / "wifi_rtt_rooms" / TRAIN
    compressed = lzma.compress(path.read_bytes())
    path.unlink()
    path.with_name(TRAIN + ".xz").write_bytes(compressed[: len(compressed) // 2])
    with pytest.raises(InputError, match="a whole, readable file"):
        import_room(data, "office", tmp_path / "store.zarr", data_set=record)


def test_point_in_both_files_is_refused(data: Path, record: DataSet, tmp_path: Path) -> None:
    path = data / "wifi_rtt_rooms" / TEST
    write(path, scans(2.0, 1.0, ""))
    trusted = dataclasses.replace(record.file(TEST), sha256=content_sha256(path.read_bytes()))
    files = tuple(trusted if file.name == TEST else file for file in record.files)
    with pytest.raises(InputError, match="X=2, Y=1: expected no reference point"):
        import_room(
            data,
            "office",
            tmp_path / "store.zarr",
            data_set=dataclasses.replace(record, files=files),
        )


def test_sites_are_the_rooms(data: Path, record: DataSet) -> None:
    wanted = ["wifi_rtt_corridor", "wifi_rtt_office"]
    sites = {site.name: site for site in read_sites(data, wanted, data_set=record)}
    assert sorted(sites) == wanted
    assert sites["wifi_rtt_corridor"].spec.access_points == ("AP2", "AP3", "AP4", "AP5")
    with pytest.raises(InputError, match=r"one of wifi_rtt_lecture_theatre, .* found 'attic'"):
        next(read_sites(data, ["attic"], data_set=record))


def test_a_file_of_all_rooms_is_missed_once(data: Path, record: DataSet) -> None:
    (data / "wifi_rtt_rooms" / AP_POSITION_FILE).unlink()
    with pytest.raises(InputError) as caught:
        next(read_sites(data, ["wifi_rtt_corridor", "wifi_rtt_office"], data_set=record))
    assert str(caught.value).count("no such file") == 1


def test_unknown_room_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of lecture_theatre, office, corridor, found 'attic'"):
        import_room(data, "attic", tmp_path / "store.zarr")


REAL = Path(os.environ.get("TWIN_DATA_DIR", "")) / "wifi_rtt_rooms"


@pytest.mark.skipif(
    not os.environ.get("TWIN_DATA_DIR") or not REAL.is_dir(),
    reason="needs TWIN_DATA_DIR with wifi_rtt_rooms",
)
@pytest.mark.parametrize(
    ("room", "reference", "test", "aps"),
    [("lecture_theatre", 88, 32, 5), ("office", 81, 27, 5), ("corridor", 85, 29, 4)],
)
def test_real_rooms(room: str, reference: int, test: int, aps: int, tmp_path: Path) -> None:
    import_room(REAL.parent, room, tmp_path / "store.zarr")
    (environment,) = environments(tmp_path / "store.zarr", f"wifi_rtt_{room}")
    assert (environment.is_reference.sum(), environment.is_test.sum()) == (reference, test)
    assert environment.features["rss"].shape == (reference + test, 60, aps)
    heard = np.isfinite(environment.features["rss"])
    np.testing.assert_array_equal(heard, np.isfinite(environment.features["rtt"]))
    # Ranges grow with distance: tells a wrong unit, axis or order of the access points.
    distance = np.linalg.norm(environment.position[:, None] - environment.ap_position, axis=-1)
    ranges = environment.point_features("rtt")
    for ap in range(aps):
        known = np.isfinite(ranges[:, ap])
        assert np.corrcoef(distance[known, ap], ranges[known, ap])[0, 1] > 0.9
        slope = np.polyfit(distance[known, ap], ranges[known, ap], 1)[0]
        assert 0.8 < slope < 1.3
