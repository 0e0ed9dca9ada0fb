"""A Prefect server of our own that lives exactly as long as the process that started it.

The server Prefect starts by itself outlives a killed parent and holds on to its pipes. This one
reads a pipe whose other end only the parent holds: the end of that pipe, which the kernel brings
about however the parent dies, ends the server at once. The database is SQLite, the port is a free
one on the loopback interface.

Coming up takes seconds, more with an empty `home`, so `start` returns at once and
`ServerHandle.wait` blocks:

    with start(home) as server:
        ...                        # other work
        with connected(server.wait(), home):
            some_flow()
"""

from __future__ import annotations

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from twin.errors import ServerError

_HOST = "127.0.0.1"
_STARTUP_TIMEOUT_S = 180.0
_EXIT_TIMEOUT_S = 5.0
_LOG_TAIL_LINES = 20

_SERVER_ENVIRONMENT = {
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_UI_ENABLED": "false",
    # One run has no use for block types, automations and the history of events.
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
}


class ServerHandle:
    """A server that was started; leaving the ``with`` block (or `close`) ends it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self._process = process
        self._port = port
        self._log = log

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def wait(self, timeout_s: float = _STARTUP_TIMEOUT_S) -> str:
        """Block until the server answers; gives the address of its API.

        Raises:
            ServerError: it ended or did not answer in time; shows the end of its log.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            code = self._process.poll()
            if code is not None:
                raise ServerError(self._failure(f"ended with exit code {code}"))
            if _healthy(self._port):
                return f"http://{_HOST}:{self._port}/api"
            if time.monotonic() > deadline:
                raise ServerError(self._failure(f"gave no answer within {timeout_s:g} s"))
            time.sleep(0.05)

    def close(self) -> None:
        """End the server and wait until it is gone; closing twice does no harm."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _failure(self, what: str) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join(f"    {line}" for line in lines[-_LOG_TAIL_LINES:]) or "    (empty)"
        return f"the flow server {what}; the end of {self._log}:\n{tail}"


def start(home: Path) -> ServerHandle:
    """Start a server and return at once.

    Args:
        home: folder for its database, settings and log; made when it is not there.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    # Bound here and handed over, so that nobody can take the port in between.
    with socket.create_server((_HOST, 0)) as listener, log.open("wb") as output:
        port: int = listener.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(listener.fileno()), _parent_death_signal()],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Prefect reads settings from files in the working directory; `home` has none.
            cwd=home,
            env=_environment(home),
            pass_fds=[listener.fileno()],
            # Ctrl-C goes to the flow, which ends the server when it is done with it.
            start_new_session=True,
        )
    return ServerHandle(process, port, log)


@contextmanager
def connected(api_url: str, home: Path) -> Iterator[None]:
    """Run flows inside against the server at `api_url`, whatever the user's profile says."""
    from prefect import settings
    from prefect.events.worker import EventsWorker

    home = home.resolve()
    with settings.temporary_settings(
        updates={
            settings.PREFECT_API_URL: api_url,
            settings.PREFECT_LOGGING_TO_API_ENABLED: False,
            settings.PREFECT_LOCAL_STORAGE_PATH: home / "storage",
        },
        restore_defaults={settings.PREFECT_API_KEY, settings.PREFECT_API_AUTH_STRING},
    ):
        try:
            yield
        finally:
            # States of tasks travel as events; sent after the server has gone, they fail loudly.
            EventsWorker.drain_all()


@contextmanager
def local_server(home: Path) -> Iterator[str]:
    """A running server for the length of the block; gives the address of its API.

    Raises:
        ServerError: it did not come up.
    """
    with start(home) as server:
        yield server.wait()


def _environment(home: Path) -> dict[str, str]:
    # Neither the user's Prefect nor a caller's wish to see warnings as errors is this server's.
    unwanted = ("PREFECT_", "PYTHONWARNINGS")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    package_root = str(Path(__file__).resolve().parents[1])
    path = [package_root, *filter(None, [inherited.get("PYTHONPATH")])]
    return {
        **inherited,
        **_SERVER_ENVIRONMENT,
        "PREFECT_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(path),
    }


def _parent_death_signal() -> str:
    # Linux ties this signal to the thread that started the process: it must be the main one.
    main = threading.current_thread() is threading.main_thread()
    return str(int(signal.SIGKILL)) if main and sys.platform == "linux" else "0"


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _exit_at_end_of_input() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(0)


def _serve(listener: int, death_signal: int) -> None:
    threading.Thread(target=_exit_at_end_of_input, daemon=True).start()
    if death_signal:
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, death_signal)
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=True, final=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=listener)])


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
