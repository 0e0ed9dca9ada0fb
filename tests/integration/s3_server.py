"""A server that speaks S3, in a process of its own on this machine."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "some secret"}
_REGION = "us-east-1"


@dataclass(frozen=True)
class Server:
    """Where it listens; keys and region are in the environment."""

    url: str

    def client(self, service: str = "s3"):
        import boto3

        keys = {"aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"]}
        keys["aws_secret_access_key"] = os.environ["AWS_SECRET_ACCESS_KEY"]
        return boto3.client(service, endpoint_url=self.url, region_name=_REGION, **keys)

    def keys(self, bucket: str) -> list[str]:
        """Names of all objects of a bucket."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def check_keys(self, after: str) -> None:
        """Check who asks from a number of requests on; moto only, ``inf`` for never."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        connection.request("POST", "/moto-api/reset-auth", after, {"Content-Type": "text/plain"})
        status = connection.getresponse().status
        connection.close()
        assert status == 200


@contextlib.contextmanager
def served(kind: str, folder: Path) -> Iterator[Server]:
    """A server while the context lasts, and what programs read of it in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in {**KEYS, "AWS_REGION": _REGION}.items():
            patch.setenv(name, value)
        port_file = folder / "port"
        if kind == "moto":
            command = [sys.executable, __file__, str(port_file)]
            address = ""
        else:
            address = f"127.0.0.1:{_free_port()}"
            patch.setenv("MINIO_ROOT_USER", KEYS["AWS_ACCESS_KEY_ID"])
            patch.setenv("MINIO_ROOT_PASSWORD", KEYS["AWS_SECRET_ACCESS_KEY"])
            command = ["minio", "server", str(folder / "data"), "--address", address]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                for _ in range(600):
                    if process.poll() is not None:
                        break
                    if port_file.exists():
                        address = f"127.0.0.1:{port_file.read_text(encoding='utf-8')}"
                    if address and _answers(address):
                        patch.setenv("AWS_ENDPOINT_URL", f"http://{address}")
                        yield Server(f"http://{address}")
                        return
                    time.sleep(0.05)
                text = (folder / "log").read_text(encoding="utf-8")
                raise AssertionError(f"{kind} did not start: {text}")
            finally:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def _serve_moto(port_file: Path) -> None:
    """Serve until killed; the port the system gave goes to a file."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    application = DomainDispatcherApplication(create_backend_app)
    # Moto looks at the condition of a put first and then puts: one request at a time makes that one
    # step, as it is in real object storage.
    one_at_a_time = threading.Lock()

    def answer(environment, start_response):
        with one_at_a_time:
            return application(environment, start_response)

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_request(self, *_: object) -> None:
            """Thousands of lines that nobody reads."""

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Handler)
    new = port_file.with_suffix(".new")
    new.write_text(str(server.server_port), encoding="utf-8")
    new.replace(port_file)
    server.serve_forever()


if __name__ == "__main__":
    _serve_moto(Path(sys.argv[1]))
