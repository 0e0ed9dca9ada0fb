"""Download from a server on this machine: whole or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from twin.errors import DownloadError
from twin.measured.download import fetch
from twin.measured.registry import DataFile, DataSet, content_sha256

TABLE = b"X,Y\r\n1,2\r\n"
NOTES = b"AP X: 1,2\n"


class Server:
    """Serves the given bodies by path; `cut` bodies end early though announced at full length."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.requests: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                body = server.bodies.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if self.path in server.cut else body)

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


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
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
        doi="10.0/rooms",
        api_url=f"{server.url}/record",
        licence="MIT",
        citation=(),
        units="",
        files=(
            DataFile("table.csv", content_sha256(TABLE), 1, 1),
            DataFile("notes.txt", content_sha256(NOTES)),
        ),
    )


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"data-1.0/{name}", content)
    return buffer.getvalue()


def test_files_are_recognised_by_content(server: Server, data_set: DataSet, tmp_path: Path) -> None:
    server.offer("v1.zip", archive(other_name=TABLE.replace(b"\r\n", b"\n"), b=NOTES, c=b"junk"))
    assert fetch(data_set, tmp_path) == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rooms"]
    names = sorted(path.name for path in (tmp_path / "rooms").iterdir())
    assert names == ["notes.txt", "table.csv"]


def test_cached_copy_needs_no_network(server: Server, data_set: DataSet, tmp_path: Path) -> None:
    server.offer("v1.zip", archive(a=TABLE, b=NOTES))
    fetch(data_set, tmp_path)
    count = len(server.requests)
    fetch(data_set, tmp_path)
    assert len(server.requests) == count


def test_damaged_copy_is_fetched_anew(server: Server, data_set: DataSet, tmp_path: Path) -> None:
    server.offer("v1.zip", archive(a=TABLE, b=NOTES))
    fetch(data_set, tmp_path)
    (tmp_path / "rooms" / "table.csv").write_bytes(TABLE[:-3])
    fetch(data_set, tmp_path)
    assert (tmp_path / "rooms" / "table.csv").read_bytes() == TABLE


@pytest.mark.parametrize("path", ["/v1.zip", "/record"])
def test_truncated_download_is_never_taken_for_whole(
    server: Server, data_set: DataSet, tmp_path: Path, path: str
) -> None:
    server.offer("v1.zip", archive(a=TABLE, b=NOTES))
    server.cut.add(path)
    with pytest.raises(DownloadError, match="set TWIN_DATA_DIR"):
        fetch(data_set, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_wrong_checksum_is_refused(server: Server, data_set: DataSet, tmp_path: Path) -> None:
    server.offer("v1.zip", archive(a=TABLE, b=NOTES), checksum="md5:" + "0" * 32)
    with pytest.raises(DownloadError, match="hash"):
        fetch(data_set, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_archive_without_the_files_is_refused(
    server: Server, data_set: DataSet, tmp_path: Path
) -> None:
    server.offer("v1.zip", archive(a=TABLE[:-1], b=NOTES))
    with pytest.raises(DownloadError, match=r"does not hold the expected table\.csv"):
        fetch(data_set, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_broken_zip_is_refused(server: Server, data_set: DataSet, tmp_path: Path) -> None:
    body = bytearray(archive(a=TABLE * 100, b=NOTES))
    body[60] ^= 0xFF
    server.offer("v1.zip", bytes(body))
    with pytest.raises(DownloadError, match="cannot be fetched"):
        fetch(data_set, tmp_path)


@pytest.mark.parametrize("record", [b"{}", b"<html>", b'{"files": [1]}'])
def test_strange_record_is_refused(
    server: Server, data_set: DataSet, tmp_path: Path, record: bytes
) -> None:
    server.bodies["/record"] = record
    with pytest.raises(DownloadError, match="not as expected"):
        fetch(data_set, tmp_path)


def test_no_network_says_what_to_do(data_set: DataSet, tmp_path: Path) -> None:
    nowhere = dataclasses.replace(data_set, api_url="http://127.0.0.1:9/record")
    with pytest.raises(DownloadError, match=r"https://doi.org/10.0/rooms.*TWIN_DATA_DIR"):
        fetch(nowhere, tmp_path)
