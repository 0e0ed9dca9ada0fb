"""What a store needs of the place it lies in, and what every place says when it refuses."""

from __future__ import annotations

import errno
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

from icechunk import ConflictError, IcechunkError, RebaseFailedError
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
    MemoryError,
    ObjectStoreError,
    IcechunkError,
)
STORAGE_ERRORS = (OSError, ObjectStoreError, IcechunkError, ConflictError, RebaseFailedError)

Result = TypeVar("Result")

# How S3 answers, as obstore and as Icechunk hand it on; how Icechunk lists causes, the last of them
# the first; how both name the errors of an operating system.
_ANSWER = re.compile(
    r"<Code>(\w+)</Code>\s*<Message>([^<]*)|code: \"(\w+)\", message: \"([^\"]*)\""
)
_CAUSE = re.compile(r"^ *[|`]-> ((?:.|\n(?! *[|`]->))*)", re.MULTILINE)
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_DENIED = (PermissionError, PermissionDeniedError, UnauthenticatedError)
_NO_RIGHT = ("AccessDenied", "AllAccessDisabled", "AccountProblem")
# Without keys, both ask a service that only machines of the cloud have.
_NO_KEYS = re.compile(r"169\.254\.169\.254|IMDS")
_WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    text = _reason(error)
    code = text.partition(":")[0]
    number = error.errno if isinstance(error, OSError) else None
    found = _OS_ERROR.search(text)
    number = int(found[1]) if found else number
    if code in _WRONG_KEYS or _NO_KEYS.search(text):
        cure = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that the storage knows."
    elif code in _NO_RIGHT or number in _REFUSED or isinstance(error, _DENIED):
        cure = "Give this user the right to write there, or name another place."
    elif code == "NoSuchBucket":
        cure = "Make the bucket, or name another one."
    elif isinstance(error, ConflictError | RebaseFailedError):
        cure = "Another run changed the same data; run the same command again when it has ended."
    elif number in _FULL:
        cure = "Make room, or name another place; the same command then goes on."
    else:
        cure = "What is written stays; the same command goes on once the storage answers."
    return f"cannot be written or read ({text}). {cure}"


def _reason(error: BaseException) -> str:
    """The innermost cause in an error's text, on one line."""
    text = re.split(r"Debug source:|context:\n", str(error))[0]
    answer = _ANSWER.search(str(error))
    if answer:
        return ": ".join(part.strip().rstrip(".") for part in answer.groups() if part is not None)
    causes = _CAUSE.findall(str(error))
    words = " ".join((causes[-1] if causes else text.strip(" |\n")).split())
    return words.removeprefix("x ") or type(error).__name__
