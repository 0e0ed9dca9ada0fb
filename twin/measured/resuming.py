"""A downloader for pooch that goes on where an earlier attempt was cut off."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

# What is lost where a connection breaks: small.
_CHUNK_BYTES = 16 * 1024
_BUSY = frozenset({429, 500, 502, 503, 504})
# Bytes so far, and in all where the server says so.
Progress = Callable[[int, int | None], None]


class _CutShortError(OSError):
    """The connection ended before the file did."""


@dataclass(frozen=True)
class ResumingDownloader:
    """Downloads a file over HTTP, in several attempts where it must; used by `pooch.retrieve`.

    What has arrived is kept beside `part` and taken up by the next attempt, also of a later run, as
    long as the server names the same version of the file (``ETag`` or ``Last-Modified``) and serves
    ranges (RFC 9110, section 14); otherwise it starts again. A file that ends early is never
    handed over.

    Args:
        part: where to keep what has arrived.
        attempts: how often to try.
        pause_s: wait before the second attempt; doubled for each further one.
        timeout_s: for a connection, and for silence in it.
        progress: told of the bytes that have arrived.
    """

    part: Path
    attempts: int = 5
    pause_s: float = 1.0
    timeout_s: float = 60.0
    progress: Progress | None = None

    def __call__(
        self, url: str, output_file: str, _pooch: object, check_only: bool = False
    ) -> bool:
        """Download `url` to `output_file`.

        Raises:
            OSError: no connection, an answer that is an error, or a file cut short at each attempt.
        """
        if check_only:
            return requests.head(url, timeout=self.timeout_s, allow_redirects=True).ok
        for attempt in range(1, self.attempts + 1):
            before = self._arrived()
            try:
                self._attempt(url)
                break
            except (requests.RequestException, _CutShortError) as error:
                # Without a network there is no use in waiting.
                hopeful = _is_busy(error) or self._arrived() != before
                if attempt == self.attempts or not hopeful:
                    raise
            time.sleep(self.pause_s * 2 ** (attempt - 1))
        shutil.move(self.part, output_file)
        self._note.unlink(missing_ok=True)
        return True

    def _arrived(self) -> tuple[int, int]:
        """What tells whether anything has arrived since."""
        if not self.part.exists():
            return 0, 0
        state = self.part.stat()
        return state.st_size, state.st_mtime_ns

    @property
    def _note(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")

    def _attempt(self, url: str) -> None:
        version = self._known_version(url)
        start = self.part.stat().st_size if version and self.part.exists() else 0
        # What is compressed on its way has other offsets than the file.
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": version}
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout_s) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()
                raise _CutShortError(f"{url}: nothing after {start} bytes; starting again")
            answer.raise_for_status()
            total = _total(answer)
            goes_on = answer.status_code == requests.codes.partial_content
            if goes_on and _first_byte(answer) != start:
                self.part.unlink()
                raise _CutShortError(f"{url}: not the range that was asked for; starting again")
            if not goes_on:
                # Before the note, so that no part ever stands beside the version of another.
                self.part.unlink(missing_ok=True)
            self._keep_version(url, answer)
            self._receive(answer, total, start if goes_on else 0)
        size = self.part.stat().st_size
        if total is not None and size != total:
            raise _CutShortError(f"{url}: cut short, {size} of {total} bytes")

    def _receive(self, answer: requests.Response, total: int | None, start: int) -> None:
        with self.part.open("ab" if start else "wb") as file:
            for chunk in answer.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                if self.progress is not None:
                    self.progress(file.tell(), total)

    def _known_version(self, url: str) -> str:
        """Version of the file that the part belongs to; empty where there is none to trust."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        same = isinstance(note, dict) and note.get("url") == url
        return str(note.get("version", "")) if same else ""

    def _keep_version(self, url: str, answer: requests.Response) -> None:
        self.part.parent.mkdir(parents=True, exist_ok=True)
        tag = answer.headers.get("ETag", "")
        # A weak tag does not promise equal bytes.
        version = (
            tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
        )
        self._note.write_text(json.dumps({"url": url, "version": version}), encoding="utf-8")


def _is_busy(error: Exception) -> bool:
    answer = error.response if isinstance(error, requests.HTTPError) else None
    return answer is not None and answer.status_code in _BUSY


def _total(answer: requests.Response) -> int | None:
    """Length of the whole file, where the server says so."""
    if answer.status_code == requests.codes.partial_content:
        match = re.fullmatch(r"bytes \d+-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        return int(match[1]) if match else None
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _first_byte(answer: requests.Response) -> int | None:
    match = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(match[1]) if match else None
