"""Importers of surveys in tables: UJIIndoorLoc, Tampere 2017, UTSIndoorLoc; on small files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.unit.measured_files import edit, record_of, stored, trusting, write_rows
from twin.errors import InputError
from twin.measured import tampere_2017, uji_indoorloc, uts_indoorloc
from twin.measured.registry import DataSet
from twin.store.reader import environments, open_site
from twin.store.verify import verify

PLACE = "LONGITUDE LATITUDE FLOOR BUILDINGID SPACEID RELATIVEPOSITION USERID PHONEID TIMESTAMP"


@pytest.fixture
def uji(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "uji_indoorloc"
    header = ["WAP001", "WAP002", *PLACE.split()]
    train = [
        [-97, 100, -7541.25, 4864920.5, 2, 1, 106, 2, 2, 23, 1371713733],
        [100, 100, -7300.5, 4864850.25, 4, 0, 7, 1, 11, 13, 1369909710],
        [0, -104, -7400, 4864900, 0, 2, 30, 1, 18, 14, 1369909711],
    ]
    test = [[100, -60, -7515.5, 4864889.5, 1, 1, 0, 0, 0, 6, 1380872703]]
    write_rows(folder / "trainingData.csv", [header, *train])
    write_rows(folder / "validationData.csv", [header, *test])
    return folder


@pytest.fixture
def uji_record(uji: Path) -> DataSet:
    return record_of(uji_indoorloc.DATA_SET, uji, access_points=2, buildings=3, silent_rows=1)


def test_uji_values_labels_and_split(uji: Path, uji_record: DataSet, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert list(stored(uji_indoorloc, uji.parent, uji_record, store)) == ["uji_indoorloc"]
    dataset = open_site(store, "uji_indoorloc").load().isel(realisation=0)
    expected = [[-97, np.nan], [np.nan, np.nan], [0, -104], [np.nan, -60]]
    np.testing.assert_array_equal(dataset["rss"].to_numpy()[:, 0], expected)
    np.testing.assert_array_equal(dataset["position"][0], [-7541.25, 4864920.5, 0.0])
    assert dataset["split"].to_numpy().tolist() == [1, 1, 1, 2]
    assert dataset["status"].to_numpy().tolist() == [1, 2, 1, 1]
    assert dataset["floor"].to_numpy().tolist() == [2, 4, 0, 1]
    assert dataset["building"].to_numpy().tolist() == [1, 0, 2, 1]
    assert dataset["space"].to_numpy().tolist() == [106, 7, 30, -1]
    assert dataset["surveyor"].to_numpy().tolist() == [2, 11, 18, 0]
    assert dataset["device"].to_numpy().tolist() == [23, 13, 14, 6]
    assert str(dataset["time"].to_numpy()[0])[:19] == "2013-06-20T07:35:33"
    assert dataset["ap"].to_numpy().tolist() == ["WAP001", "WAP002"]
    assert "z is zero" in dataset.attrs["height"]
    assert dataset.attrs["licence"] == "CC-BY-4.0"
    assert np.isnan(dataset["ap_position"]).all()
    (environment,) = environments(store, "uji_indoorloc")
    assert environment.is_test.tolist() == [False, False, False, True]
    assert verify(store) == []


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda text: text.replace("-97", "-97.5,1", 1), ["row 2: expected 11 cells"]),
        (lambda text: text.replace("-97", "-130", 1), ["row 2, column 'WAP001'", "'-130'"]),
        (lambda text: text.replace("-7541.25", '"-7541,25"', 1), ["decimal mark as a point"]),
        (lambda text: text.replace("LONGITUDE", "LON", 1), ["'LONGITUDE' as column 3"]),
        (lambda text: text.rpartition("0,-104")[0], ["rows: expected 3, found 2", "cut short"]),
        (lambda text: text.replace("-97", "-96", 1), ["sha256", "Fetch the official file"]),
    ],
)
def test_damaged_uji_is_refused(
    uji: Path, uji_record: DataSet, change: Callable[[str], str], parts: list[str]
) -> None:
    edit(uji / "trainingData.csv", change)
    (uji / "validationData.csv").unlink()
    with pytest.raises(InputError) as caught:
        next(uji_indoorloc.read_sites(uji, data_set=uji_record))
    for part in [*parts, "validationData.csv: expected the file"]:
        assert part in str(caught.value)


def test_uji_counts_are_checked(uji: Path) -> None:
    other = record_of(uji_indoorloc.DATA_SET, uji, access_points=2, buildings=2, silent_rows=0)
    with pytest.raises(InputError) as caught:
        next(uji_indoorloc.read_sites(uji, data_set=other))
    assert "rows that hear nothing: expected 0, found 1" in str(caught.value)
    assert "buildings: expected 2, found 3" in str(caught.value)


def test_unknown_site_is_refused(uji: Path) -> None:
    with pytest.raises(InputError, match="one of uji_indoorloc, found 'attic'"):
        next(uji_indoorloc.read_sites(uji, ["attic"]))


@pytest.fixture
def tampere(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "tampere_2017"
    parts = {
        "Training": ([[-80, 100], [100, -71]], [[141.67, 47.594, 7.4], [130.53, 30.592, 3.7]]),
        "Test": ([[-90, -91]], [[137.24, -19.731, 0]]),
    }
    for part, (rss, xyz) in parts.items():
        write_rows(folder / f"{part}_rss_21Aug17.csv", rss)
        write_rows(folder / f"{part}_coordinates_21Aug17.csv", xyz)
    dates = {"Training": ["2017-08-19 15:52:25", "2017-08-21 15:09:19"]}
    for part, rows in {**dates, "Test": ["2017-08-18 11:59:23"]}.items():
        write_rows(folder / f"{part}_date_21Aug17.csv", [[row] for row in rows])
    write_rows(folder / "Training_device_21Aug17.csv", [["samsung A"], ["asus Nexus 7"]])
    write_rows(folder / "Test_device_21Aug17.csv", [["samsung A"]])
    return folder


@pytest.fixture
def tampere_record(tampere: Path) -> DataSet:
    return record_of(tampere_2017.DATA_SET, tampere, access_points=2, floors=3, devices=2)


def test_tampere_values_and_labels(tampere: Path, tampere_record: DataSet, tmp_path: Path) -> None:
    store = tmp_path / "store"
    stored(tampere_2017, tampere.parent, tampere_record, store)
    dataset = open_site(store, "tampere_2017").load().isel(realisation=0)
    np.testing.assert_array_equal(
        dataset["rss"].to_numpy()[:, 0], [[-80, np.nan], [np.nan, -71], [-90, -91]]
    )
    np.testing.assert_array_equal(dataset["position"][2], [137.24, -19.731, 0.0])
    assert dataset["split"].to_numpy().tolist() == [1, 1, 2]
    assert dataset["floor"].to_numpy().tolist() == [2, 1, 0]
    assert dataset["device"].to_numpy().tolist() == [1, 0, 1]
    assert dataset.attrs["devices"] == ["asus Nexus 7", "samsung A"]
    assert str(dataset["time"].to_numpy()[2])[:19] == "2017-08-18T11:59:23"
    assert verify(store) == []


def test_rebuilt_test_signals_are_found_under_their_name(
    tampere: Path, tampere_record: DataSet
) -> None:
    (tampere / "Test_rss_21Aug17.csv").rename(tampere / "Test_rss_21Aug17.from_TUT3_mat.csv")
    (site,) = tampere_2017.read_sites(tampere, data_set=tampere_record)
    assert site.spec.points == 3


@pytest.mark.parametrize(
    ("name", "change", "part"),
    [
        ("Training_date_21Aug17.csv", lambda text: text.replace("-19 ", "/19 "), "row 1"),
        ("Training_rss_21Aug17.csv", lambda text: text.replace("-71", "x"), "'AP002'"),
        ("Training_coordinates_21Aug17.csv", lambda t: t.replace("47.594", "4759.4"), "'y'"),
        ("Training_coordinates_21Aug17.csv", lambda t: t.replace("3.7\n", "3.6\n"), "3.7 m"),
        ("Training_coordinates_21Aug17.csv", lambda t: t.replace("3.7\n", "7.4\n"), "floors"),
        ("Test_device_21Aug17.csv", lambda text: text + "more\n", "rows: expected 1, found 2"),
        ("Test_device_21Aug17.csv", lambda text: text.replace("A", "B"), "models of devices"),
    ],
)
def test_damaged_tampere_is_refused(
    tampere: Path, tampere_record: DataSet, name: str, change: Callable[[str], str], part: str
) -> None:
    edit(tampere / name, change)
    with pytest.raises(InputError) as caught:
        next(tampere_2017.read_sites(tampere, data_set=trusting(tampere_record, tampere)))
    assert part in str(caught.value)
    # The digest alone would have refused it, too.
    with pytest.raises(InputError):
        next(tampere_2017.read_sites(tampere, data_set=tampere_record))


@pytest.fixture
def uts(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "uts_indoorloc"
    header = ["WAP001", "WAP002", "Pos_x", "Pos_y", "Floor_ID", "Building_ID", "User_ID"]
    write_rows(folder / "UTS_training.csv", [header, [-70, 100, 31.5, 20.25, 11, 0, "a"]])
    write_rows(folder / "UTS_test.csv", [header, [100, -55, 1.5, 23.25, 0, 0, "b"]])
    return folder


def test_uts_layout(uts: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    record = record_of(uts_indoorloc.DATA_SET, uts, access_points=2)
    stored(uts_indoorloc, uts.parent, record, store)
    dataset = open_site(store, "uts_indoorloc").load().isel(realisation=0)
    np.testing.assert_array_equal(dataset["rss"].to_numpy()[:, 0], [[-70, np.nan], [np.nan, -55]])
    np.testing.assert_array_equal(dataset["position"], [[31.5, 20.25, 0], [1.5, 23.25, 0]])
    assert dataset["floor"].to_numpy().tolist() == [11, 0]
    assert dataset["split"].to_numpy().tolist() == [1, 2]
    assert "no licence" in dataset.attrs["note"]


def test_uts_is_known_by_its_counts(uts: Path) -> None:
    with pytest.raises(InputError) as caught:
        next(uts_indoorloc.read_sites(uts))
    assert "row 1 (header): expected 593 names" in str(caught.value)
    header = [*(f"WAP{i:03d}" for i in range(1, 590)), "Pos_x", "Pos_y", "Floor_ID", "Building_ID"]
    for name in ("UTS_training.csv", "UTS_test.csv"):
        write_rows(uts / name, [header, [*[100] * 589, 1, 2, 3, 0]])
    with pytest.raises(InputError) as caught:
        next(uts_indoorloc.read_sites(uts))
    assert "rows: expected 9108, found 1" in str(caught.value)
    assert "rows: expected 388, found 1" in str(caught.value)


DATA = Path(os.environ.get("TWIN_DATA_DIR", ""))


@pytest.mark.skipif(
    not os.environ.get("TWIN_DATA_DIR") or not (DATA / "tampere_2017").is_dir(),
    reason="needs TWIN_DATA_DIR with tampere_2017",
)
def test_real_tampere_is_whole() -> None:
    (site,) = tampere_2017.read_sites(DATA)
    assert site.spec.points == 697 + 3_951
    assert len(site.spec.access_points) == 992
    assert len(site.spec.attributes["devices"]) == 21
