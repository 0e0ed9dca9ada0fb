"""`twin store` on small stores: what it prints, its exit codes, and what it refuses."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.unit.path_sites import SITE, write
from twin.cli.store import store_app
from twin.errors import InputError, StoreError


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(store_app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("store") / "store.zarr"
    write(path)
    return path


def test_a_whole_store_is_told_of(store: Path) -> None:
    text = run("info", store)
    assert f"{SITE}: hall" in text
    assert "simulated, published: 6 of 6 jobs done" in text
    assert json.loads(run("info", store, "--json"))["sites"][0]["jobs_done"] == 6
    assert run("validate", store) == "Sound: as the schema lays down.\n"
    assert run("verify", store) == "Whole: every block is as its receipt says.\n"
    assert len(run("digest", store).strip()) == 64


def test_damage_is_an_error(store: Path, tmp_path: Path) -> None:
    write(tmp_path / "store.zarr")
    chunk = tmp_path / "store.zarr" / SITE / "toa" / "c" / "0" / "0" / "0"
    content = bytearray(chunk.read_bytes())
    content[3] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(StoreError, match="the store is not whole"):
        run("verify", tmp_path / "store.zarr")
    text = run("diff", store, tmp_path / "store.zarr", code=0)
    assert "receipts" in text
    with pytest.raises(InputError, match="expected a store, found nothing there"):
        run("validate", tmp_path / "none")


def test_two_stores_that_differ(store: Path, tmp_path: Path) -> None:
    assert "equal" in run("diff", store, store)
    write(tmp_path / "other.zarr", config={"seed": 4}, points=10)
    assert "points" in run("diff", store, tmp_path / "other.zarr", code=1)
    assert json.loads(run("diff", store, tmp_path / "other.zarr", "--json", code=1))


def test_a_store_is_kept_and_described(store: Path, tmp_path: Path) -> None:
    digest = run("digest", store)
    run("compact", store, tmp_path / "small.zarr")
    assert run("digest", tmp_path / "small.zarr") == digest
    text = run("compact", store, tmp_path / "smaller.zarr", "--site", SITE, "--precision", "int16")
    assert "another precision" in text
    run("card", store, "--to", tmp_path / "card", "--name", "Halls", "--version", "1.0.0")
    assert json.loads((tmp_path / "card" / "croissant.json").read_text())["name"] == "Halls"


def test_history_is_that_of_a_versioned_store(store: Path, tmp_path: Path) -> None:
    url = f"icechunk:{tmp_path / 'versioned'}"
    write(url)
    lines = run("history", url).splitlines()
    assert f"{SITE}: publish" in lines[0]
    assert f"[{SITE}-" in lines[0]
    assert len(lines) == 10  # repository, store, layout, six jobs, publication
    with pytest.raises(InputError, match="a versioned store"):
        run("history", store)


def test_an_old_store_is_migrated(tmp_path: Path) -> None:
    with tarfile.open(Path(__file__).parents[1] / "fixtures" / "store_v1.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    assert run("migrate", tmp_path / "store_v1.zarr", tmp_path / "new.zarr").startswith("room: ")


@pytest.mark.parametrize(
    ("form", "name"), [("npz", "a.npz"), ("hdf5", "a.h5"), ("csv", "a.csv"), ("deepmimo", "a")]
)
def test_a_site_goes_out_and_comes_in(store: Path, tmp_path: Path, form: str, name: str) -> None:
    details = tmp_path / "details.zarr"
    if form == "csv":
        write(details, variables=("rss", "split"))
        store = details
    run("export", store, SITE, tmp_path / name, "--format", form)
    shown = run("import", tmp_path / name, tmp_path / "new.zarr", SITE, "--format", form)
    assert shown.startswith(f"{SITE}: ")
