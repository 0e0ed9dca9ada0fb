"""Importer of the collection of MATLAB files: on small files, on the real ones where they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tests.unit.measured_files import record_of, stored
from twin.errors import InputError
from twin.measured import rss_collection
from twin.measured.registry import DataSet
from twin.store.reader import open_site
from twin.store.verify import verify

TRAIN = np.array([[-44.0, 100.0], [100.0, 100.0]])
LABELS = np.array([[12.5, 29.25, 11.1, 3.0, 0.0], [4.5, 16.75, 18.5, 5.0, 0.0]])


def write(path: Path, **changed: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = {
        "trainingMacs": TRAIN,
        "trainingLabels": LABELS,
        "testMacs": TRAIN[:1] - 1,
        "testLabels": LABELS[:1],
    } | changed
    database["testMacs"] = np.where(database["testMacs"] == 99, 100, database["testMacs"])
    savemat(path, {"database": database}, do_compression=True)


def record(folder: Path) -> DataSet:
    counts = {
        f"{site} {name}": count
        for site in rss_collection.SITES
        for name, count in (("reference", 2), ("test", 1), ("access_points", 2))
    }
    return record_of(rss_collection.DATA_SET, folder, **counts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "rss_collection"
    for site in rss_collection.SITES:
        write(folder / f"{site}.mat")
    return folder


def test_values_and_labels(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    digests = stored(rss_collection, folder.parent, record(folder), store)
    assert list(digests) == ["LIB1", "LIB2", "TUT6"]
    dataset = open_site(store, "LIB2").load().isel(realisation=0)
    expected = [[-44, np.nan], [np.nan, np.nan], [-45, np.nan]]
    np.testing.assert_array_equal(dataset["rss"].to_numpy()[:, 0], expected)
    np.testing.assert_array_equal(dataset["position"], [*LABELS[:, :3], LABELS[0, :3]])
    assert dataset["floor"].to_numpy().tolist() == [3, 5, 3]
    assert dataset["split"].to_numpy().tolist() == [1, 1, 2]
    assert dataset["status"].to_numpy().tolist() == [1, 2, 1]
    assert "LIB2" in dataset.attrs["title"]
    assert verify(store) == []


def test_only_the_files_wanted_are_needed(folder: Path) -> None:
    (folder / "TUT6.mat").unlink()
    known = record(folder)
    (site,) = rss_collection.read_sites(folder, ["LIB1"], data_set=known)
    assert site.name == "LIB1"
    with pytest.raises(InputError, match=r"TUT6\.mat: expected the file"):
        next(rss_collection.read_sites(folder, data_set=known))


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"trainingMacs": TRAIN + 0.5}, ["trainingMacs, row 1, column 'AP002'", "100.5"]),
        ({"trainingMacs": TRAIN * np.nan}, ["trainingMacs, row 2, column 'AP001'", "nan"]),
        ({"trainingMacs": TRAIN[:1]}, ["rows of trainingMacs: expected 2, found 1"]),
        ({"trainingMacs": TRAIN[:, :1]}, ["trainingMacs: expected numbers of shape (rows, 2)"]),
        ({"testLabels": LABELS[:1] * 1e4}, ["testLabels, row 1, column 'x'"]),
        ({"testLabels": "none"}, ["testLabels: expected numbers of shape (rows, 5)"]),
    ],
)
def test_bad_values_are_refused(folder: Path, changed: dict[str, object], parts: list[str]) -> None:
    write(folder / "LIB1.mat", **changed)
    with pytest.raises(InputError) as caught:
        next(rss_collection.read_sites(folder, data_set=record(folder)))
    for part in parts:
        assert part in str(caught.value)


def test_foreign_and_damaged_files_are_refused(folder: Path) -> None:
    savemat(folder / "LIB1.mat", {"other": TRAIN})
    savemat(folder / "LIB2.mat", {"database": {"trainingMacs": TRAIN}})
    (folder / "TUT6.mat").write_bytes(b"MATLAB 7.3 or anything else" * 9)
    with pytest.raises(InputError) as caught:
        next(rss_collection.read_sites(folder, data_set=record(folder)))
    message = str(caught.value)
    assert "no such struct" in message
    assert "no trainingLabels, testMacs, testLabels" in message
    assert message.count("a MATLAB struct 'database'") == 3


def test_flipped_byte_is_found(folder: Path) -> None:
    known = record(folder)
    path = folder / "LIB1.mat"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="sha256"):
        next(rss_collection.read_sites(folder, data_set=known))


REAL = Path(os.environ.get("TWIN_DATA_DIR", "")) / "rss_collection"


@pytest.mark.skipif(
    not os.environ.get("TWIN_DATA_DIR") or not REAL.is_dir(),
    reason="needs TWIN_DATA_DIR with rss_collection",
)
def test_real_files_are_whole() -> None:
    sizes = {
        site.name: (site.spec.points, len(site.spec.access_points))
        for site in rss_collection.read_sites(REAL.parent)
    }
    assert sizes == {"LIB1": (3_696, 174), "LIB2": (3_696, 197), "TUT6": (10_385, 652)}
