from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from flows.server import ServerHandle, start
from twin.errors import ServerError

ROOT = Path(__file__).parents[2]

FLOW = """
import sys
from pathlib import Path
from flows.server import connected, local_server
with local_server(Path(sys.argv[1])) as api:
    from prefect import flow, task

    @task
    def square(value: int) -> int:
        return value * value

    @flow
    def total(count: int) -> int:
        return sum(future.result() for future in square.map(list(range(count))))

    with connected(api, Path(sys.argv[1])):
        print(total(4))
"""

PARENT = """
import sys, time
from pathlib import Path
from flows.server import start
server = start(Path(sys.argv[1]))
if "wait" in sys.argv:
    server.wait()
print(server.pid, flush=True)
if "exit" not in sys.argv:
    time.sleep(600)
"""


def python(code: str, *arguments: str, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def gone_within(pid: int, seconds: float) -> bool:
    try:
        psutil.Process(pid).wait(seconds)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("when", ["coming up", "wait"])
def test_a_killed_parent_takes_its_server_along(tmp_path, when):
    parent = python(PARENT, str(tmp_path), when)
    try:
        server = int(parent.stdout.readline())
        ports = [c.laddr.port for c in psutil.Process(server).net_connections() if not c.raddr]
        os.kill(parent.pid, signal.SIGKILL)
        assert gone_within(server, 5.0)
        assert len(ports) == 1
        assert refuses(ports[0])
        # The pipes of the parent are free: nothing that inherited them is left.
        assert parent.communicate(timeout=5.0)[0] == ""
    finally:
        parent.kill()
        parent.communicate()


def test_a_parent_that_forgets_to_close_takes_its_server_along(tmp_path):
    parent = python(PARENT, str(tmp_path), "exit")
    output, _ = parent.communicate(timeout=60)
    assert gone_within(int(output), 5.0)


def test_closed_server_is_gone(tmp_path):
    with start(tmp_path) as server:
        pid = server.pid
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)
    server.close()


def test_flow_runs_in_silence_whatever_the_user_has_set(tmp_path):
    hostile = {
        "PREFECT_API_URL": "http://203.0.113.1/api",
        "PREFECT_API_KEY": "key",
        "PREFECT_SERVER_API_AUTH_STRING": "admin:word",
        "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://203.0.113.1/none",
        "HTTP_PROXY": "http://203.0.113.1:3128",
        "http_proxy": "http://203.0.113.1:3128",
        "PYTHONWARNINGS": "error",
    }
    home = tmp_path / "a home with spaces ä"
    run = python(FLOW, str(home), env=hostile)
    output, errors = run.communicate(timeout=200)
    assert run.returncode == 0, errors
    assert output == "14\n"
    assert errors == ""
    assert (home / "server.log").read_text() == ""


def test_server_listens_on_loopback_only(prefect_api):
    port = urlsplit(prefect_api).port
    assert urlsplit(prefect_api).hostname == "127.0.0.1"
    children = psutil.Process().children(recursive=True)
    listening = [c for p in children for c in p.net_connections() if c.status == "LISTEN"]
    assert {(c.laddr.ip, c.laddr.port) for c in listening} == {("127.0.0.1", port)}


@pytest.mark.usefixtures("prefect_api")
def test_tests_share_one_server():
    from prefect import flow, task

    @task
    def double(value: int) -> int:
        return 2 * value

    @flow
    def doubled() -> list[int]:
        return double.map([1, 2, 3]).result()

    assert doubled() == [2, 4, 6]


def test_server_that_ends_early_shows_its_log(tmp_path):
    (tmp_path / "prefect.db").write_text("this is no database " * 100)
    message = r"ended with exit code \d+.*server\.log(?s:.*)database"
    with start(tmp_path) as server, pytest.raises(ServerError, match=message):
        server.wait()


def test_server_that_never_answers_is_an_error(tmp_path):
    mute = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    log = tmp_path / "server.log"
    log.touch()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        handle = ServerHandle(mute, listener.getsockname()[1], log)
        with handle, pytest.raises(ServerError, match=r"no answer within 0\.2 s"):
            handle.wait(timeout_s=0.2)
    assert mute.returncode is not None
