"""What a person at the terminal sees of a run."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console

_EVERY_SECONDS = 5.0
_MINUTE_SECONDS = 60.0

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """One line on the screen, at once."""
    console.print(line, markup=False)


class Progress:
    """Lines with count, rate and estimate for work in equal pieces."""

    def __init__(self, what: str, pieces: int, units_a_piece: int, unit: str) -> None:
        self._what, self._pieces = what, pieces
        self._units, self._unit = units_a_piece, unit
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
        rate = self._done * self._units / seconds
        tail = f"in {duration(seconds)}"
        if not last:
            left = (self._pieces - self._done) * seconds / self._done
            tail = f"{duration(left)} left"
        say(f"  {self._what}: {self._done}/{self._pieces}, {rate:,.3g} {self._unit}/s, {tail}")


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
