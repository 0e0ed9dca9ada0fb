"""A proxy that lets a share of all requests fail, the way object storage and networks do."""

from __future__ import annotations

import collections
import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from twin.seeds import stream

_FAULTS = ("500", "503", "dropped", "answer dropped")
_HOP = {"connection", "keep-alive", "transfer-encoding"}


class FlakyProxy(ThreadingHTTPServer):
    """Hands requests on to a server, but for those whose turn it is to fail.

    Attributes:
        failures: how many failed, by kind.
        requests: how many came.
        share: of requests that fail, from 0 to 1; which of them is drawn.
        next_fault: pattern of method and address, and kind of a fault that comes for sure, once.
    """

    daemon_threads = True

    def __init__(self, target: str, share: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.failures: collections.Counter[str] = collections.Counter()
        self.requests = 0
        self.share = share
        self.next_fault: tuple[str, str] | None = None
        self._draws = stream(seed, "flaky proxy")
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fault(self, method: str, path: str) -> str:
        """The fault of the next request; empty for none."""
        with self._lock:
            self.requests += 1
            if self.next_fault and re.search(self.next_fault[0], f"{method} {path}"):
                kind, self.next_fault = self.next_fault[1], None
                self.failures[kind] += 1
                return kind
            if self._draws.random() >= self.share:
                return ""
            kind = _FAULTS[int(self._draws.integers(len(_FAULTS)))]
            self.failures[kind] += 1
        return kind

    def handle_error(self, request, client_address) -> None:
        """Clients that hang up are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FlakyProxy

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection(self.server.target, timeout=30)

    def finish(self) -> None:
        super().finish()
        self._upstream.close()

    def _pass_on(self) -> None:
        body = self._body()
        fault = self.server.fault(self.command, self.path)
        if fault == "dropped":
            self.close_connection = True
            return
        if fault in _ERRORS:
            self._answer(int(fault), {}, _ERRORS[fault].encode())
            return
        self._upstream.request(self.command, self.path, body, dict(self.headers))
        response = self._upstream.getresponse()
        content = response.read()
        if fault == "answer dropped":
            self.close_connection = True
            return
        headers = {k: v for k, v in response.getheaders() if k.lower() not in _HOP}
        self._answer(response.status, headers, content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        del self.headers["transfer-encoding"]
        return b"".join(parts)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        length = headers.pop("Content-Length", None) or str(len(content))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


_ERRORS = {
    "500": "<Error><Code>InternalError</Code><Message>Try again.</Message></Error>",
    "403": "<Error><Code>ExpiredToken</Code><Message>Your keys have expired.</Message></Error>",
    "503": "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>",
}


@contextmanager
def flaky(target: str, share: float, seed: int) -> Iterator[FlakyProxy]:
    """Serve while the context lasts."""
    with FlakyProxy(target, share, seed) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
