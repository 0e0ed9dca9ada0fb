"""twin data: list, get and import, on a small data set of a server on this machine."""

from __future__ import annotations

import dataclasses
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from tests.unit.measured_files import edit, record_of, write_rows
from twin.cli.data import data_app
from twin.errors import DownloadError, InputError
from twin.measured import importing, own_csv, uts_indoorloc
from twin.measured.registry import DATA_SETS, Archive
from twin.store.reader import open_site

HEADER = ["WAP001", "WAP002", "Pos_x", "Pos_y", "Floor_ID", "Building_ID"]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keeps the test's output quiet."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of a small data set, also offered as an archive under its name."""
    folder = tmp_path / "offered" / "uts_indoorloc"
    write_rows(folder / "UTS_training.csv", [HEADER, [-70, 100, 31.5, 20.25, 11, 0]])
    write_rows(folder / "UTS_test.csv", [HEADER, [100, -55, 1.5, 23.25, 0, 0]])
    with zipfile.ZipFile(folder.parent / "head.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"UTSIndoorLoc-master/{path.name}")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TWIN_DATA_DIR", raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder.parent))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    record = record_of(uts_indoorloc.DATA_SET, folder, access_points=2)
    # As for the real one, only the counts tell whether a copy is whole.
    files = tuple(dataclasses.replace(file, sha256=None) for file in record.files)
    url = f"http://127.0.0.1:{server.server_port}/head.zip"
    record = dataclasses.replace(record, name="small", files=files, archives=(Archive(url),))
    module = ModuleType("small_importer")
    module.DATA_SET = record
    module.SITES = uts_indoorloc.SITES
    module.read_sites = partial(uts_indoorloc.read_sites, data_set=record)
    monkeypatch.setitem(sys.modules, "small_importer", module)
    monkeypatch.setitem(importing.IMPORTERS, "small", "small_importer")
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: object) -> str:
    return CliRunner().invoke(data_app, list(map(str, arguments)), catch_exceptions=False).stdout


def refused(*arguments: object, error: type[Exception] = InputError) -> str:
    with pytest.raises(error) as caught:
        run(*arguments)
    return str(caught.value)


@pytest.mark.usefixtures("served")
def test_list_names_every_data_set() -> None:
    shown = run("list")
    assert [line for line in shown.splitlines() if not line.startswith(" ")] == [
        *sorted(DATA_SETS),
        "small",
    ]
    for data_set in DATA_SETS.values():
        assert data_set.title in shown
        assert f"licence: {data_set.licence}; source: {data_set.url}" in shown
    assert "sites: LIB1, LIB2, TUT6" in shown
    assert shown.count("here: no") == len(DATA_SETS) + 1


def test_list_says_what_is_here(served: Path) -> None:
    shown = run("list", "--data-dir", served)
    assert f"here: {served}" in shown.partition("small\n")[2]


@pytest.mark.usefixtures("served")
def test_get_downloads_once() -> None:
    first = run("get", "small")
    assert "small is here now" in first
    assert "Song, X." in first
    assert "small is here already" in run("get", "small")


def test_get_refuses_what_is_not_as_published(served: Path) -> None:
    edit(served / "UTS_test.csv", lambda text: text.replace("-55", "-55.0;"))
    with zipfile.ZipFile(served.parent / "head.zip", "w") as archive:
        for path in sorted(served.iterdir()):
            archive.write(path, path.name)
    message = refused("get", "small", error=DownloadError)
    assert "row 2, column 'WAP002'" in message
    assert "'-55.0;'" in message
    assert "here: no" in run("list").partition("small\n")[2]


@pytest.mark.usefixtures("served")
def test_import_after_get(tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert "twin data get small" in refused("import", "small", "--to", store)
    run("get", "small")
    name, _, digest = run("import", "small", "--to", store).strip().partition(": ")
    assert (name, len(digest)) == ("uts_indoorloc", 64)
    assert open_site(store, name).sizes["point"] == 2


def test_import_from_a_named_folder(served: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run("import", "small", "--to", store, "--data-dir", served, "--site", "uts_indoorloc")
    assert open_site(store, "uts_indoorloc").attrs["origin"] == "measured"
    (served / "UTS_test.csv").unlink()
    other = tmp_path / "other"
    message = refused("import", "small", "--to", other, "--data-dir", served)
    assert "UTS_test.csv: expected the file" in message
    assert not other.exists()


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["import", "attic", "--to", "s"], ["one of csu_csi_rssi", "'attic'"]),
        (["get", "attic"], ["one of csu_csi_rssi", "'attic'"]),
        (["import", "small"], ["--to: expected a store"]),
        (["import", "small", "f.csv", "--to", "s"], ["FILE: expected nothing: only 'csv'"]),
        (["import", "small", "--map", "m", "--to", "s"], ["--map: expected nothing"]),
        (["import", "small", "--to", "s", "--data-dir", "nowhere"], ["--data-dir: expected an"]),
        (["import", "csv", "--to", "s"], ["FILE: expected a table", "--map: expected a YAML"]),
        (
            ["import", "csv", "f.csv", "--map", "m", "--to", "s", "--site", "a"],
            ["--site: expected nothing"],
        ),
    ],
)
def test_bad_arguments_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    parts: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    message = refused(*arguments)
    for part in parts:
        assert part in message
    assert not (tmp_path / "s").exists()


def test_unknown_site_is_refused_before_reading(served: Path, tmp_path: Path) -> None:
    message = refused(
        "import", "small", "--to", tmp_path / "s", "--data-dir", served, "--site", "attic"
    )
    assert "one of uts_indoorloc, found 'attic'" in message


def test_own_table_goes_to_its_importer(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def import_csv(file: Path, mapping: Path, store: str) -> dict[str, str]:
        given.append((file, mapping, store))
        return {"office": "0" * 64}

    monkeypatch.setattr(own_csv, "import_csv", import_csv)
    shown = run("import", "csv", "my.csv", "--map", "map.yaml", "--to", "s3://bucket/store")
    assert shown == f"office: {'0' * 64}\n"
    assert given == [(Path("my.csv"), Path("map.yaml"), "s3://bucket/store")]


def test_a_table_without_a_map_gets_a_first_guess_of_one(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("x;y;RSS_A\n1,5;2;-40\n3;4;-60\n", encoding="utf-8")
    guess = tmp_path / "mine.map.yaml"
    message = refused("import", "csv", table, "--to", tmp_path / "store")
    assert f"A first guess was written to {guess}" in message
    text = guess.read_text(encoding="utf-8")
    assert 'decimal: ","' in text
    guess.write_text(text.replace("FILL IN", "mine"), encoding="utf-8")
    message = refused("import", "csv", table, "--to", tmp_path / "store")
    assert f"A map lies in {guess}" in message
    shown = run("import", "csv", table, "--map", guess, "--to", tmp_path / "store")
    assert shown.startswith("mine: ")
