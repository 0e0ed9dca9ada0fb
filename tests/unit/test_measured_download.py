"""Download from a server on this machine: whole or not at all, and resumed where it was cut off."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from twin.errors import DownloadError, Fault, InputError
from twin.measured import download
from twin.measured.download import fetch, is_here, is_whole
from twin.measured.registry import Archive, DataFile, DataSet, content_sha256

TABLE = b"X,Y\r\n1,2\r\n"
NOTES = b"AP X: 1,2\n"
# What is kept of a broken download is a multiple of it.
CHUNK = 16 * 1024
# Cannot be compressed, so that an archive of it has something to cut.
NOISE = np.random.default_rng(0).bytes(400_000)


class Server:
    """Serves the given bodies by path.

    `cuts` lists, by path, after how many bytes each answer in turn breaks off though announced at
    full length. With `ranges` a part of a body can be asked for, with `tags` its version is named.
    """

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.cuts: dict[str, list[int]] = {}
        self.busy: dict[str, int] = {}
        self.ranges = True
        self.tags = True
        self.requests: list[tuple[str, str | None]] = []
        self.sent = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                server.requests.append((self.path, asked))
                body = server.bodies.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                if server.busy.get(self.path, 0) > 0:
                    server.busy[self.path] -= 1
                    self.send_error(503)
                    return
                tag = f'"{hashlib.sha256(body).hexdigest()[:8]}"'
                start = 0
                if asked and server.ranges and self.headers.get("If-Range") == tag:
                    start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
                if start >= len(body) > 0:
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                if server.tags:
                    self.send_header("ETag", tag)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                cuts = server.cuts.get(self.path)
                part = body[start : start + cuts.pop(0)] if cuts else body[start:]
                server.sent += len(part)
                self.wfile.write(part)

            def log_message(self, *_: object) -> None:
                """Keeps the test's output quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def offer(self, name: str, body: bytes, checksum: str | None = None) -> None:
        """Publish a record with one file."""
        self.bodies[f"/{name}"] = body
        listed = checksum or f"md5:{hashlib.md5(body, usedforsecurity=False).hexdigest()}"
        entry = {"key": name, "checksum": listed, "links": {"self": f"{self.url}/{name}"}}
        self.bodies["/record"] = json.dumps({"files": [entry]}).encode()

    def asked(self, path: str) -> list[str | None]:
        """Ranges asked for of a path, in order; None for all of it."""
        return [asked for requested, asked in self.requests if requested == path]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_PAUSE_S", 0.0)
    running = Server()
    thread = threading.Thread(target=running.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.http.shutdown()
    thread.join()
    running.http.server_close()


@pytest.fixture
def data_set(server: Server) -> DataSet:
    return DataSet(
        name="rooms",
        title="Rooms",
        url="https://doi.org/10.0/rooms",
        api_urls=(f"{server.url}/record",),
        licence="MIT",
        citation=(),
        units="",
        files=(
            DataFile("table.csv", content_sha256(TABLE), 1, 1),
            DataFile("notes.txt", content_sha256(NOTES)),
        ),
    )


@pytest.fixture
def direct(server: Server, data_set: DataSet) -> DataSet:
    """A data set behind a direct address, its content known by name and pattern only."""
    return dataclasses.replace(
        data_set,
        api_urls=(),
        archives=(Archive(f"{server.url}/head.zip"),),
        files=(DataFile("table.csv"), DataFile("small.npz", "0" * 64, kept=True)),
        patterns=("db/*/*.csv",),
    )


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"data-1.0/{name}", content)
    return buffer.getvalue()


WHOLE = {"other_name": TABLE.replace(b"\r\n", b"\n"), "b": NOTES, "c": NOISE}


def test_files_are_recognised_by_content(server: Server, data_set: DataSet, tmp_path: Path) -> None:
    server.offer("v1.zip", archive(WHOLE))
    assert not is_here(tmp_path, data_set)
    assert fetch(data_set, tmp_path) == tmp_path
    assert is_whole(tmp_path / "rooms", data_set)
    assert is_here(tmp_path, data_set)
    names = sorted(path.name for path in (tmp_path / "rooms").iterdir())
    assert names == ["notes.txt", "table.csv"]
    assert list((tmp_path / ".partial").iterdir()) == []


def test_archive_inside_an_archive(server: Server, data_set: DataSet, tmp_path: Path) -> None:
    server.offer("v1.zip", archive({"inner.zip": archive({"a": TABLE}), "b": NOTES}))
    fetch(data_set, tmp_path)
    assert is_whole(tmp_path / "rooms", data_set)


def test_cached_copy_needs_no_network(server: Server, data_set: DataSet, tmp_path: Path) -> None:
    server.offer("v1.zip", archive(WHOLE))
    fetch(data_set, tmp_path)
    count = len(server.requests)
    fetch(data_set, tmp_path)
    assert len(server.requests) == count


def test_damaged_copy_is_fetched_anew(server: Server, data_set: DataSet, tmp_path: Path) -> None:
    server.offer("v1.zip", archive(WHOLE))
    fetch(data_set, tmp_path)
    (tmp_path / "rooms" / "table.csv").write_bytes(TABLE[:-3])
    assert not is_whole(tmp_path / "rooms", data_set)
    fetch(data_set, tmp_path)
    assert is_whole(tmp_path / "rooms", data_set)


def test_direct_address_by_name_and_pattern(
    server: Server, direct: DataSet, tmp_path: Path
) -> None:
    server.bodies["/head.zip"] = archive(
        {"table.csv": TABLE, "db/01/a.csv": b"1", "deep/db/02/b.csv": b"2", "db/c.csv": b"3"}
    )
    fetch(direct, tmp_path)
    files = sorted(p.relative_to(tmp_path / "rooms").as_posix() for p in tmp_path.rglob("*.csv"))
    assert files == ["db/01/a.csv", "db/02/b.csv", "table.csv"]
    assert is_here(tmp_path, direct)


def test_paths_that_lead_out_are_not_followed(
    server: Server, direct: DataSet, tmp_path: Path
) -> None:
    server.bodies["/head.zip"] = archive({"table.csv": TABLE, "db/../x.csv": b"1"})
    with pytest.raises(DownloadError, match=r"expected db/\*/\*\.csv"):
        fetch(direct, tmp_path / "cache")
    assert list(tmp_path.rglob("x.csv")) == []


def test_content_that_is_not_as_published_is_not_put_in_place(
    server: Server, direct: DataSet, tmp_path: Path
) -> None:
    server.bodies["/head.zip"] = archive({"table.csv": TABLE, "db/01/a.csv": b"1"})

    def check(folder: Path) -> None:
        raise InputError([Fault(str(folder / "table.csv"), "rows", "9108", "1")])

    with pytest.raises(DownloadError, match="rows: expected 9108, found 1"):
        fetch(direct, tmp_path, check=check)
    assert not (tmp_path / "rooms").exists()
    assert list((tmp_path / ".partial").iterdir()) == []


@pytest.mark.parametrize("path", ["/v1.zip", "/record"])
def test_truncated_download_is_never_taken_for_whole(
    server: Server, data_set: DataSet, tmp_path: Path, path: str
) -> None:
    server.ranges = False
    server.offer("v1.zip", archive(WHOLE))
    server.cuts[path] = [30] * 10
    with pytest.raises(DownloadError, match="set TWIN_DATA_DIR"):
        fetch(data_set, tmp_path)
    assert len(server.asked(path)) == 5
    assert not (tmp_path / "rooms").exists()


def test_broken_connection_goes_on_where_it_was(
    server: Server, data_set: DataSet, tmp_path: Path
) -> None:
    server.offer("v1.zip", archive(WHOLE))
    server.cuts["/v1.zip"] = [6 * CHUNK, 3 * CHUNK]
    arrived: list[int] = []
    fetch(data_set, tmp_path, progress=lambda so_far, _: arrived.append(so_far))
    assert server.asked("/v1.zip") == [None, f"bytes={6 * CHUNK}-", f"bytes={9 * CHUNK}-"]
    size = len(server.bodies["/v1.zip"])
    assert server.sent == size + len(server.bodies["/record"])
    assert arrived[-1] == size
    assert is_whole(tmp_path / "rooms", data_set)


def test_next_run_takes_up_what_has_arrived(
    server: Server, data_set: DataSet, tmp_path: Path
) -> None:
    server.offer("v1.zip", archive(WHOLE))
    server.cuts["/v1.zip"] = [3 * CHUNK] * 5
    with pytest.raises(DownloadError):
        fetch(data_set, tmp_path)
    assert not (tmp_path / "rooms").exists()
    fetch(data_set, tmp_path)
    assert server.asked("/v1.zip")[-1] == f"bytes={15 * CHUNK}-"
    assert is_whole(tmp_path / "rooms", data_set)


def make_other(server: Server) -> None:
    server.offer("v1.zip", archive({**WHOLE, "c": NOISE[::-1]}))


def forget_ranges(server: Server) -> None:
    server.ranges = False


def forget_tags(server: Server) -> None:
    server.tags = False


@pytest.mark.parametrize("change", [make_other, forget_ranges])
def test_starts_again_where_going_on_would_mix_files(
    server: Server, data_set: DataSet, tmp_path: Path, change: Callable[[Server], None]
) -> None:
    server.offer("v1.zip", archive(WHOLE))
    server.cuts["/v1.zip"] = [50_000] * 5
    with pytest.raises(DownloadError):
        fetch(data_set, tmp_path)
    change(server)
    before = server.sent
    fetch(data_set, tmp_path)
    whole = len(server.bodies["/v1.zip"]) + len(server.bodies["/record"])
    assert server.sent - before == whole
    assert is_whole(tmp_path / "rooms", data_set)


def test_without_a_version_nothing_is_taken_up(
    server: Server, data_set: DataSet, tmp_path: Path
) -> None:
    forget_tags(server)
    server.offer("v1.zip", archive(WHOLE))
    server.cuts["/v1.zip"] = [50_000]
    fetch(data_set, tmp_path)
    assert server.asked("/v1.zip") == [None, None]


def test_part_longer_than_the_file_is_dropped(
    server: Server, data_set: DataSet, tmp_path: Path
) -> None:
    server.offer("v1.zip", archive(WHOLE))
    server.cuts["/v1.zip"] = [50_000] * 5
    with pytest.raises(DownloadError):
        fetch(data_set, tmp_path)
    (part,) = (tmp_path / ".partial" / "rooms").glob("*.part")
    part.write_bytes(bytes(len(server.bodies["/v1.zip"])))
    fetch(data_set, tmp_path)
    assert is_whole(tmp_path / "rooms", data_set)


def test_spoilt_part_is_found_and_thrown_away(
    server: Server, data_set: DataSet, tmp_path: Path
) -> None:
    server.offer("v1.zip", archive(WHOLE))
    server.cuts["/v1.zip"] = [50_000] * 5
    with pytest.raises(DownloadError):
        fetch(data_set, tmp_path)
    (part,) = (tmp_path / ".partial" / "rooms").glob("*.part")
    part.write_bytes(bytes(50_000))
    with pytest.raises(DownloadError, match="hash"):
        fetch(data_set, tmp_path)
    assert not (tmp_path / "rooms").exists()
    fetch(data_set, tmp_path)
    assert is_whole(tmp_path / "rooms", data_set)


def test_busy_server_is_asked_again(server: Server, data_set: DataSet, tmp_path: Path) -> None:
    server.offer("v1.zip", archive(WHOLE))
    server.busy["/v1.zip"] = 2
    fetch(data_set, tmp_path)
    assert len(server.asked("/v1.zip")) == 3


def test_missing_file_is_not_asked_for_again(
    server: Server, data_set: DataSet, tmp_path: Path
) -> None:
    server.offer("v1.zip", archive(WHOLE))
    del server.bodies["/v1.zip"]
    with pytest.raises(DownloadError, match="404"):
        fetch(data_set, tmp_path)
    assert len(server.asked("/v1.zip")) == 1


def test_wrong_checksum_is_refused(server: Server, data_set: DataSet, tmp_path: Path) -> None:
    server.offer("v1.zip", archive(WHOLE), checksum="md5:" + "0" * 32)
    with pytest.raises(DownloadError, match="hash"):
        fetch(data_set, tmp_path)
    assert not (tmp_path / "rooms").exists()


def test_archive_without_the_files_is_refused(
    server: Server, data_set: DataSet, tmp_path: Path
) -> None:
    server.offer("v1.zip", archive({"a": TABLE[:-1], "b": NOTES}))
    with pytest.raises(DownloadError, match=r"does not hold the expected table\.csv"):
        fetch(data_set, tmp_path)
    assert not (tmp_path / "rooms").exists()
    server.offer("v1.zip", archive(WHOLE))
    fetch(data_set, tmp_path)
    assert is_whole(tmp_path / "rooms", data_set)


def test_broken_zip_is_refused(server: Server, data_set: DataSet, tmp_path: Path) -> None:
    body = bytearray(archive({"a": TABLE * 100, "b": NOTES}))
    body[60] ^= 0xFF
    server.offer("v1.zip", bytes(body))
    with pytest.raises(DownloadError, match="cannot be fetched"):
        fetch(data_set, tmp_path)
    assert not (tmp_path / "rooms").exists()


@pytest.mark.parametrize("record", [b"{}", b"<html>", b'{"files": [1]}'])
def test_strange_record_is_refused(
    server: Server, data_set: DataSet, tmp_path: Path, record: bytes
) -> None:
    server.bodies["/record"] = record
    with pytest.raises(DownloadError, match="not as expected"):
        fetch(data_set, tmp_path)


def test_no_network_says_what_to_do(data_set: DataSet, tmp_path: Path) -> None:
    nowhere = dataclasses.replace(data_set, api_urls=("http://127.0.0.1:9/record",))
    with pytest.raises(DownloadError, match=r"https://doi.org/10.0/rooms.*TWIN_DATA_DIR"):
        fetch(nowhere, tmp_path)


def test_copy_in_a_data_folder_is_known_by_its_names(data_set: DataSet, tmp_path: Path) -> None:
    (tmp_path / "rooms").mkdir()
    (tmp_path / "rooms" / "table.csv.xz").touch()
    assert not is_here(tmp_path, data_set)
    (tmp_path / "rooms" / "notes.txt").touch()
    assert is_here(tmp_path, data_set)
    reduced = dataclasses.replace(data_set, files=(DataFile("all.npz", kept=True),))
    assert not is_here(tmp_path, reduced)
    (tmp_path / "rooms" / "all.npz").touch()
    assert is_here(tmp_path, reduced)
