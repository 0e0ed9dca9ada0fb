"""The one tree of errors.

Every error a user can meet descends from `TwinError` and carries the exit code of the command line:
2 where the input was refused before any work, 1 for everything that failed later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType


class TwinError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


@dataclass(frozen=True)
class Fault:
    """One thing wrong with the input.

    Args:
        where: file, store or command-line option that holds the fault.
        key: place inside it, such as ``access_points.AP1.position_m``.
        expected: what would have been right.
        found: what stands there.
        cure: what to do, where `expected` does not say it already.
    """

    where: str
    key: str
    expected: str
    found: str
    cure: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: {self.key}" if self.key else self.where
        text = f"{place}: expected {self.expected}, found {self.found}"
        return f"{text}. {self.cure}" if self.cure else text


class InputError(TwinError, ValueError):
    """Input refused before any work started; holds every fault found, not only the first."""

    exit_code = 2

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        count = f"{len(self.faults)} fault" + ("" if len(self.faults) == 1 else "s")
        super().__init__(
            "\n".join([f"input refused, {count}:", *(f"  - {f}" for f in self.faults)])
        )

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Fault, ...]]]:
        # Exceptions are copied and sent between processes by `args`, which here is the message.
        return type(self), (self.faults,)


class BackendError(TwinError, RuntimeError):
    """No usable ray-tracing backend, or one that is known to do harm."""


class TraceError(TwinError, RuntimeError):
    """The solver could not give a complete result."""


class StoreError(TwinError, RuntimeError):
    """A store is unfinished, damaged or not ours."""


class DownloadError(TwinError, RuntimeError):
    """A data set could not be fetched whole."""


class ServerError(TwinError, RuntimeError):
    """The server that runs the flows did not come up."""


class NotFittedError(TwinError, RuntimeError):
    """A learner or an alignment was used before it was fitted or adapted."""


def refuse(faults: Iterable[Fault]) -> None:
    """Raise `InputError` when there is at least one fault."""
    found = tuple(faults)
    if found:
        raise InputError(found)


class Gathered:
    """Moves the faults of an `InputError` raised inside into a list, so that the search goes on."""

    def __init__(self, faults: list[Fault]) -> None:
        self._faults = faults

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, InputError):
            return False
        self._faults += error.faults
        return True
