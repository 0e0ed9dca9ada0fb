"""Stores of older versions: what was written once opens in all later versions."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import zarr

from twin.errors import InputError, StoreError
from twin.store.migrate import migrate
from twin.store.reader import environments, open_site
from twin.store.verify import digest, verify

FIXTURES = Path(__file__).parents[1] / "fixtures"
SITE = "room"


def unpacked(name: str, folder: Path) -> Path:
    with tarfile.open(FIXTURES / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / f"{name}.zarr"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store as version 1 wrote it: two realisations of ten points, in blocks of four."""
    return unpacked("store_v1", tmp_path)


def test_an_old_store_is_brought_up_to_date(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.zarr"
    digests = migrate(old, new)
    assert list(digests) == [SITE]
    assert verify(new) == []
    dataset = open_site(new, SITE)
    group = zarr.open_group(old, path=SITE, mode="r")
    for name in ("position", "rss", "rtt", "los", "status", "ap_position", "drawn"):
        np.testing.assert_array_equal(dataset[name].to_numpy(), np.asarray(group[name][...]))
    np.testing.assert_array_equal(dataset["csi"].to_numpy()[..., 0, 0, :], group["csi"][...])
    power = np.abs(dataset["path_gain"].to_numpy())
    np.testing.assert_allclose(
        power, np.sort(np.abs(np.asarray(group["path_gain"][...])))[..., ::-1]
    )
    first = environments(new, SITE)[0]
    assert first.split.tolist() == ["reference"] * 7 + ["test"] * 3
    (record,) = dataset.attrs["provenance"]
    assert record["migrated_from"]["schema"] == "fingertwin/store@1"
    assert record["migrated_from"]["provenance"] == [{"engine": "fake"}]
    assert record["migrated_from"]["digest"] == group.attrs["digest"]


def test_a_migration_is_repeated_without_change(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.zarr"
    migrate(old, new)
    before = digest(new)
    migrate(old, new)
    assert digest(new) == before


def test_readers_of_an_old_store_are_told_of_the_migration(old: Path) -> None:
    with pytest.raises(InputError, match=r"found 'fingertwin/store@1'.*twin store migrate"):
        open_site(old, SITE)


def test_damage_in_an_old_store_is_named(old: Path, tmp_path: Path) -> None:
    array = zarr.open_array(old, path=f"{SITE}/rss", mode="r+")
    array[1, 5, 0, 0] = -1.0
    with pytest.raises(StoreError, match=r"rss, r0001-p0001: expected the data of its receipt"):
        migrate(old, tmp_path / "new.zarr")


def test_what_cannot_be_migrated_is_refused(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.zarr"
    migrate(old, new)
    with pytest.raises(InputError, match=r"schema 'fingertwin/store@1', found"):
        migrate(new, tmp_path / "newer.zarr")
    with pytest.raises(InputError, match="nothing readable"):
        migrate(tmp_path / "absent", tmp_path / "newer.zarr")
    path = old / SITE / "zarr.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["attributes"]["published"] = False
    path.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "taken").touch()
    with pytest.raises(InputError) as caught:
        migrate(old, tmp_path / "taken")
    assert {fault.key for fault in caught.value.faults} == {"published", ""}
    assert not (tmp_path / "newer.zarr").exists()
