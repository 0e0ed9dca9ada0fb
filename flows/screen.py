"""What a person at the terminal sees of a run."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from rich.console import Console

_EVERY_SECONDS = 5.0
_MINUTE_SECONDS = 60.0

INTERRUPTED = "interrupted; the same command goes on from here"
INTERRUPTED_EXIT_CODE = 130

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """One line on the screen, at once."""
    console.print(line, markup=False)


class Progress:
    """Lines with count, rate and estimate for work in equal pieces."""

    def __init__(self, what: str, pieces: int, points_a_piece: int | None = None) -> None:
        """Nothing done yet.

        Args:
            what: name of the work.
            pieces: number of pieces.
            points_a_piece: receiver points of a piece; the rate is then one of points.
        """
        self._what, self._pieces, self._points = what, pieces, points_a_piece
        self._done = 0
        self._began = self._said = time.monotonic()

    def advance(self) -> None:
        """Count one piece; says a line now and then, and always at the end."""
        self._done += 1
        now = time.monotonic()
        last = self._done == self._pieces
        if not last and now - self._said < _EVERY_SECONDS:
            return
        self._said = now
        seconds = max(now - self._began, 1e-9)
        if self._points is None:
            rate = f"{seconds / self._done:.1f} s each"
        else:
            rate = f"{self._done * self._points / seconds:,.0f} points/s"
        tail = f"in {duration(seconds)}"
        if not last:
            left = (self._pieces - self._done) * seconds / self._done
            tail = f"{duration(left)} left"
        say(f"  {self._what}: {self._done}/{self._pieces}, {rate}, {tail}")


def duration(seconds: float) -> str:
    """Seconds in words of the right size."""
    if seconds < _MINUTE_SECONDS:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE_SECONDS:.1f} min"


class Stage:
    """Says when a stage begins and how long it took; keeps the time."""

    def __init__(self, name: str, seconds: dict[str, float]) -> None:
        self._name, self._seconds = name, seconds
        self._began = 0.0

    def __enter__(self) -> Self:
        say(self._name)
        self._began = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._seconds[self._name] = round(time.monotonic() - self._began, 1)


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """Ctrl-C inside ends the process at once, with a message and exit code 130.

    Whatever is written is whole at any time, so there is nothing to wait for, least of all a job
    that holds on to the processor for minutes. Where somebody else answers to the signal, or
    ignores it, that stays.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_signal: int, _frame: FrameType | None) -> None:
    os.write(2, f"twin: {INTERRUPTED}\n".encode())
    os._exit(INTERRUPTED_EXIT_CODE)


@contextmanager
def native_notes_held_back() -> Iterator[None]:
    """Keep what libraries write past Python to the standard error inside; shown only on an error.

    For the import of TensorFlow, whose first notes no setting turns off.
    """
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(screen, notes.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)
