"""What a store needs of the place it lies in, and what every place says when it refuses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

from icechunk import IcechunkError
from obstore.exceptions import BaseError as ObjectStoreError
from obstore.exceptions import PermissionDeniedError, UnauthenticatedError
from zarr.abc.store import Store
from zarr.core.sync import sync

from twin.errors import StoreError

# What storage, zarr and its codecs raise on damaged metadata or data.
READ_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    ObjectStoreError,
    IcechunkError,
)
STORAGE_ERRORS = (OSError, ObjectStoreError, IcechunkError)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Version:
    """One entry of a versioned store's history.

    Args:
        snapshot: identifier of the state.
        message: what was done.
        written: time, ISO 8601 in UTC.
        tags: names given to the state.
    """

    snapshot: str
    message: str
    written: str
    tags: tuple[str, ...]


class Storage(ABC):
    """A place that holds one store.

    Attributes:
        url: how users name the place.
    """

    #: Whether `zarrs` can read what lies there; it decodes chunks in parallel, outside Python.
    fast_reading = False

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def view(self) -> Store:
        """The store as it is now, for reading."""

    @abstractmethod
    def change(self, message: str) -> AbstractContextManager[Store]:
        """The store for writing; where the place keeps versions, one commit at the end.

        Args:
            message: what the change does, for the history.
        """

    @abstractmethod
    def claim(self, site: str) -> AbstractContextManager[None]:
        """Keep every other run from the site while the context lasts.

        Raises:
            StoreError: another run has it.
        """

    @abstractmethod
    def prepare(self) -> None:
        """Make the place where there is none; what lies there stays."""

    def obstacle(self) -> str:
        """What stands where a store would be and cannot be one; empty where nothing does."""
        return ""

    def clear_orphans(self, folder: str) -> None:  # noqa: B027 (most places have none)
        """Remove what killed writers left behind in a folder; only while nobody writes there."""

    def tag(self, name: str) -> None:  # noqa: B027 (only versioned places have tags)
        """Give the present state a name for good, where the place keeps versions."""

    def history(self) -> tuple[Version, ...]:
        """The states of a versioned store, the newest first; empty elsewhere."""
        return ()

    def names(self, folder: str = "") -> tuple[str, ...]:
        """Names directly under a folder of the store, sorted; empty where there is nothing."""
        store = self.view()

        async def collect() -> list[str]:
            return [name.rstrip("/").rpartition("/")[2] async for name in store.list_dir(folder)]

        return tuple(sorted(run(collect)))

    def size(self, folder: str) -> tuple[int, int]:
        """Bytes and number of the objects under a folder."""
        store = self.view()

        async def total() -> tuple[int, int]:
            sizes = [await store.getsize(key) async for key in store.list_prefix(f"{folder}/")]
            return sum(sizes), len(sizes)

        return run(total)


def run(coroutine: Callable[[], Awaitable[Result]]) -> Result:
    """Result of a coroutine on zarr's event loop."""
    return cast(Result, sync(coroutine()))  # type: ignore[arg-type]


def clear(store: Store, folder: str, first: str) -> None:
    """Remove everything in a folder of a store, one name before all others."""

    async def remove() -> None:
        if await store.exists(f"{folder}/{first}"):
            await store.delete(f"{folder}/{first}")
        names = {name.rstrip("/").rpartition("/")[2] async for name in store.list_dir(folder)}
        for name in sorted(names):
            key = f"{folder}/{name}"
            # A killed writer leaves files among the folders.
            await (store.delete(key) if await store.exists(key) else store.delete_dir(key))

    run(remove)


@contextmanager
def reported(where: str) -> Iterator[None]:
    """Turn what the storage refuses into an error of ours that says where, and what to do."""
    try:
        yield
    except STORAGE_ERRORS as error:
        raise StoreError(f"{where}: {refusal(error)}") from error


def refusal(error: BaseException) -> str:
    """What a storage's error means for the user."""
    denied = isinstance(error, PermissionError | PermissionDeniedError | UnauthenticatedError)
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if denied:
        cure = "Give this user the right to write there, or name another place."
    elif isinstance(error, OSError):
        cure = "Make room, or name another place; the same command then goes on."
    else:
        cure = "What is written stays; the same command goes on once the storage answers."
    return f"cannot be written or read ({text}). {cure}"
