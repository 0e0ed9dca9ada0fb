"""Importer of the long-term library: official files and the archive of all of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.unit.measured_files import edit, record_of, stored, write_rows
from twin.errors import InputError
from twin.measured import uji_library_longterm as importer
from twin.measured.registry import DataSet
from twin.store.reader import environments, open_environment, open_site
from twin.store.verify import verify

COUNTS = {"access_points": 2, "reference": 5, "test": 3, "months": 2, "without_floor": 1}
# Month, kind, set: readings, coordinates and times of its rows.
SETS: dict[tuple[int, str, int], list[tuple[list[int], list[object], str]]] = {
    (1, "trn", 1): [
        ([-60, 100], [12.5, 29.25, 3], "20160602155217232"),
        ([-61, 100], [12.5, 29.25, 3], "20160602155218000"),
    ],
    (1, "trn", 2): [
        ([100, 100], [4.5, 16.75, 5], "20160727123260000"),
        ([-64, -65], [4.5, 16.75, 0], "20160602155219000"),
    ],
    (1, "tst", 1): [([-66, 100], [5.5, 17.75, 5], "20160603000000000")],
    (25, "trn", 2): [([-67, 100], [12.5, 29.25, 3], "20180622235959999")],
    (25, "tst", 5): [([-68, 100], [5.5, 17.75, 3], "20180623000000001")],
    (25, "tst", 6): [([100, -69], [5.5, 17.75, 3], "20180623000000002")],
}


def number(month: int, kind: str, set_number: int, row: int) -> int:
    return month * 10**8 + set_number * 10**6 + (1 if kind == "trn" else 2) * 10**5 + 101 + row


@pytest.fixture
def official(tmp_path: Path) -> Path:
    folder = tmp_path / "official" / "uji_library_longterm"
    for (month, kind, set_number), rows in SETS.items():
        place = folder / "db" / f"{month:02d}"
        stem = f"{kind}{set_number:02d}"
        write_rows(place / f"{stem}rss.csv", [rss for rss, _, _ in rows])
        write_rows(place / f"{stem}crd.csv", [crd for _, crd, _ in rows])
        write_rows(place / f"{stem}tms.csv", [[time] for _, _, time in rows])
        ids = [[f"{number(month, kind, set_number, i):010d}"] for i in range(len(rows))]
        write_rows(place / f"{stem}ids.csv", ids)
    return folder


def arrays() -> dict[str, np.ndarray]:
    # In another order than the store's: the importer sorts.
    keys = [(key, i) for key, rows in reversed(SETS.items()) for i in range(len(rows))]
    rows = [SETS[key][i] for key, i in keys]
    return {
        "rss": np.array([rss for rss, _, _ in rows], dtype=np.int8),
        "crd": np.array([crd for _, crd, _ in rows], dtype=np.float32),
        "tms": np.array([[float(time)] for _, _, time in rows]),
        "ids": np.array([[float(number(*key, i))] for key, i in keys]),
        "month": np.array([key[0] for key, _ in keys], dtype=np.int8),
        "is_test": np.array([key[1] == "tst" for key, _ in keys], dtype=np.int8),
        "setnum": np.array([key[2] for key, _ in keys], dtype=np.int16),
    }


def save(folder: Path, **changed: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = {name: value for name, value in (arrays() | changed).items() if value is not None}
    np.savez(folder / "uji_lib_longterm_v2.npz", **content)
    return folder


@pytest.fixture
def reduced(tmp_path: Path) -> Path:
    return save(tmp_path / "reduced" / "uji_library_longterm")


def record(folder: Path, **counts: int) -> DataSet:
    return record_of(importer.DATA_SET, folder, **{**COUNTS, **counts})


@pytest.mark.parametrize("layout", ["official", "reduced"])
def test_months_are_realisations(
    layout: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(layout)
    store = tmp_path / "store"
    stored(importer, folder.parent, record(folder), store)
    dataset = open_site(store, "uji_library_longterm").load()
    assert dataset["realisation_label"].to_numpy().tolist() == ["month_01", "month_25"]
    assert dataset["status"].to_numpy().tolist() == [[1, 1, 2, 1], [1, 1, 1, 3]]
    assert dataset["split"].to_numpy().tolist() == [[1, 1, 1, 2], [1, 2, 2, 0]]
    assert dataset["floor"].to_numpy().tolist() == [[3, 3, 5, 5], [3, 3, 3, -1]]
    assert dataset["device"].to_numpy().tolist() == [[0, 0, 0, 0], [1, 0, 1, -1]]
    rss = dataset["rss"].to_numpy()[:, :, 0, 0]
    np.testing.assert_array_equal(rss, [[-60, -61, np.nan, -66], [-67, -68, np.nan, np.nan]])
    assert np.isnan(dataset["position"].to_numpy()[1, 3]).all()
    np.testing.assert_array_equal(dataset["position"][0, 3], [5.5, 17.75, 0])
    # Second 60, as four stamps of the source have it, is the next minute.
    first = open_environment(store, "uji_library_longterm", "month_01")
    assert str(first["time"].to_numpy()[2])[:19] == "2016-07-27T12:33:00"
    assert [environment.points for environment in environments(store, "uji_library_longterm")] == [
        4,
        3,
    ]
    assert dataset.attrs["left_out"].startswith("1 row")
    assert verify(store) == []


def test_both_layouts_hold_the_same_but_for_the_last_digits_of_times(
    official: Path, reduced: Path, tmp_path: Path
) -> None:
    sites = []
    for folder in (official, reduced):
        store = tmp_path / f"{folder.parent.name}.zarr"
        stored(importer, folder.parent, record(folder), store)
        sites.append(open_site(store, "uji_library_longterm").load())
    first, second = (site.drop_vars(["time", "receipt"]) for site in sites)
    for name in first.data_vars:
        np.testing.assert_array_equal(first[name].to_numpy(), second[name].to_numpy(), name)
    apart = np.abs((sites[0]["time"] - sites[1]["time"]) / np.timedelta64(1, "ms"))
    assert float(apart.max()) < 2.1
    assert "1 ms" in sites[0].attrs["time"]
    assert "4 ms" in sites[1].attrs["time"]


SET = "db/01/trn01"


@pytest.mark.parametrize(
    ("name", "change", "parts"),
    [
        (f"{SET}rss.csv", lambda t: t.replace("-61", "-61.5"), ["row 2, column 'WAP001'"]),
        (f"{SET}rss.csv", lambda t: t.replace("-61,", "-61;"), ["row 2", "parted by ';'"]),
        (f"{SET}rss.csv", lambda t: t.partition("\n")[0] + "\n", ["trn01crd.csv: rows"]),
        (f"{SET}crd.csv", lambda t: t.replace("29.25,3", "29.25,4"), ["floor of row 1", "3 or 5"]),
        (f"{SET}tms.csv", lambda t: t.replace("20160602", "20161302"), ["time of row 1"]),
        (f"{SET}tms.csv", lambda t: t.replace("20160602", "2016-6-2"), ["row 1", "'2016-6-2"]),
        (f"{SET}ids.csv", lambda t: t.replace("0101", "0201"), ["number of row 1", "mixed up"]),
    ],
)
def test_damaged_official_files_are_refused(
    official: Path, name: str, change: Callable[[str], str], parts: list[str]
) -> None:
    edit(official / name, change)
    with pytest.raises(InputError) as caught:
        next(importer.read_sites(official, data_set=record(official)))
    for part in [str(official / "db" / "01"), *parts]:
        assert part in str(caught.value)


def test_missing_sets_months_and_files_are_found(official: Path, tmp_path: Path) -> None:
    known = record(official)
    (official / f"{SET}ids.csv").unlink()
    with pytest.raises(InputError, match=r"trn01ids\.csv: expected the file"):
        next(importer.read_sites(official, data_set=known))
    for path in (official / "db" / "01").glob("trn01*"):
        path.unlink()
    with pytest.raises(InputError, match="reference rows: expected 5, found 3"):
        next(importer.read_sites(official, data_set=known))
    for path in (official / "db" / "25").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="months: expected 2, found 1"):
        next(importer.read_sites(official, data_set=known))
    (tmp_path / "bare" / "db").mkdir(parents=True)
    with pytest.raises(InputError, match="folders 01 to 25"):
        next(importer.read_sites(tmp_path / "bare", data_set=known))
    (tmp_path / "bare" / "db" / "notes").mkdir()
    with pytest.raises(InputError, match="a month of two digits, found notes"):
        next(importer.read_sites(tmp_path / "bare", data_set=known))


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"tms": None}, ["no tms"]),
        ({"rss": arrays()["rss"][:, :1]}, ["rss: expected numbers of shape (rows, 2)"]),
        ({"rss": arrays()["rss"] + 1}, ["rss, row 1, column 'WAP001'", "101"]),
        ({"crd": arrays()["crd"] * np.nan}, ["crd, row 1, column 'x'", "nan"]),
        ({"month": arrays()["month"][:-1]}, ["month: expected 8 numbers", "(7,)"]),
        ({"tms": arrays()["tms"] * 10}, ["time of row 1"]),
        ({"setnum": arrays()["setnum"] + 1}, ["number of row 1", "mixed up"]),
    ],
)
def test_damaged_archive_is_refused(
    tmp_path: Path, changed: dict[str, object], parts: list[str]
) -> None:
    folder = save(tmp_path, **changed)
    with pytest.raises(InputError) as caught:
        next(importer.read_sites(folder, data_set=record(folder)))
    for part in parts:
        assert part in str(caught.value)


def test_other_archive_and_no_archive_are_refused(reduced: Path, tmp_path: Path) -> None:
    known = record(reduced)
    save(reduced, rss=np.minimum(arrays()["rss"], -1))
    with pytest.raises(InputError, match="sha256"):
        next(importer.read_sites(reduced, data_set=known))
    with pytest.raises(InputError, match=r"uji_lib_longterm_v2\.npz: expected the file"):
        next(importer.read_sites(tmp_path, data_set=known))


REAL = Path(os.environ.get("TWIN_DATA_DIR", "")) / "uji_library_longterm"


@pytest.mark.skipif(
    not os.environ.get("TWIN_DATA_DIR") or not REAL.is_dir(),
    reason="needs TWIN_DATA_DIR with uji_library_longterm",
)
def test_real_library_is_whole() -> None:
    (site,) = importer.read_sites(REAL.parent)
    assert len(site.spec.realisations) == 25
    assert site.spec.points == 8_640 - 6 + 3_120
    assert len(site.spec.access_points) == 620
