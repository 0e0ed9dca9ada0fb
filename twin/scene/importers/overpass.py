"""Fetching an OpenStreetMap extract from an Overpass server: only where somebody asks for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import requests

from twin.atomic import write_bytes
from twin.errors import DownloadError, Fault, InputError, refuse
from twin.scene.importers.street_file import MAX_FILE_BYTES, Box, bounds_faults

ENDPOINT = "https://overpass-api.de/api/interpreter"
_TIMEOUT_S = 60
_USER_AGENT = "fingertwin (scene import)"
_BLOCK_BYTES = 1 << 16


def fetch_street_map(bounds: Box, to: Path, cache: Path, *, endpoint: str = ENDPOINT) -> Path:
    """Write the buildings and streets within bounds to a file that `import_street_map` reads.

    One request, in OSM XML, its answer kept in the cache under the SHA-256 of what was asked: who
    asks again gets the same map, without a network. Remove the file there for a newer one.

    Args:
        bounds: west, south, east, north [deg].
        to: file to be written (.osm).
        cache: folder of answers.
        endpoint: address of the server's interpreter.

    Returns:
        The file.

    Raises:
        InputError: the bounds are none, the file is there with something else in it, or it or the
            cache cannot be written.
        DownloadError: no network, or the server does not answer with a map.
    """
    refuse(bounds_faults(bounds, "bounds"))
    query = _query(bounds)
    key = hashlib.sha256(f"{endpoint}\n{query}".encode()).hexdigest()
    kept = cache / f"{key}.osm"
    if not kept.is_file():
        _put(kept, _asked(endpoint, query))
    content = kept.read_bytes()
    if to.exists() and not (to.is_file() and to.read_bytes() == content):
        expected = "a file that is not there yet, or holds this very map"
        raise InputError([Fault(str(to), "", expected, "something else", "Choose another name")])
    _put(to, content)
    return to


def _query(bounds: Box) -> str:
    west, south, east, north = bounds
    box = f"({south:.7f},{west:.7f},{north:.7f},{east:.7f})"
    wanted = "".join(f"{kind}{box};" for kind in ('way["building"]', 'relation["building"]'))
    return f'[out:xml][timeout:{_TIMEOUT_S}];({wanted}way["highway"]{box};);(._;>;);out body;'


def _asked(endpoint: str, query: str) -> bytes:
    parts: list[bytes] = []
    try:
        with requests.post(
            endpoint,
            data={"data": query},
            headers={"User-Agent": _USER_AGENT},
            timeout=_TIMEOUT_S,
            stream=True,
        ) as answer:
            if not answer.ok:
                raise _failure(endpoint, f"it answers {answer.status_code} {answer.reason}")
            for block in answer.iter_content(_BLOCK_BYTES):
                parts.append(block)
                if len(parts) * _BLOCK_BYTES > MAX_FILE_BYTES + _BLOCK_BYTES:
                    raise _failure(endpoint, "its answer is too large")
    except requests.RequestException as error:
        raise _failure(endpoint, str(error)) from error
    content = b"".join(parts)
    # A server that gave up half-way says so in a remark, with all signs of success.
    if b"<osm" not in content[:1000] or not content.rstrip().endswith(b"</osm>"):
        raise _failure(endpoint, "its answer is no map")
    if b"<remark>" in content:
        remark = content.split(b"<remark>", 1)[1].split(b"</remark>", 1)[0]
        raise _failure(endpoint, remark.decode(errors="replace").strip()[:200])
    return content


def _failure(endpoint: str, reason: str) -> DownloadError:
    return DownloadError(
        f"no street map from {endpoint}: {reason}. Try again later, ask for a smaller area, or "
        "export the area as an .osm file at https://www.openstreetmap.org/export and import that"
    )


def _put(path: Path, content: bytes) -> None:
    try:
        write_bytes(path, content)
    except OSError as error:
        raise InputError(
            [Fault(str(path), "", "a file that can be written", str(error))]
        ) from error
