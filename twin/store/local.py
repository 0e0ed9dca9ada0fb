"""A store in a folder of this machine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import zarr.storage
from zarr.abc.store import Store

from twin.errors import StoreError
from twin.store.storage import Storage

# What zarr's local store adds to the name of a file until it is whole.
_PARTIAL = ".partial"
_ORPHANS = f"*{_PARTIAL}"


class LocalStore(zarr.storage.LocalStore):
    """A folder as zarr reads it, without what killed writers left, which zarr would warn of.

    The name is zarr's own, because `zarrs` goes by it.
    """

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        async for name in super().list_dir(prefix):
            if not name.endswith(_PARTIAL):
                yield name


class LocalStorage(Storage):
    """Plain Zarr in a folder; files are put in place by renaming, so each is whole or not there."""

    fast_reading = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path

    def view(self) -> Store:
        return LocalStore(self.path, read_only=True)

    @contextmanager
    def change(self, message: str) -> Iterator[Store]:  # noqa: ARG002 (nothing keeps a history)
        yield zarr.storage.LocalStore(self.path)

    @contextmanager
    def claim(self, site: str) -> Iterator[None]:
        folder = self.path / site
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, self.url, site):
            yield

    def prepare(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / ".writable.partial").touch()
        (self.path / ".writable.partial").unlink(missing_ok=True)

    def obstacle(self) -> str:
        return "a file" if self.path.exists() and not self.path.is_dir() else ""

    def clear_orphans(self, folder: str) -> None:
        for path in (*self.path.glob(_ORPHANS), *(self.path / folder).rglob(_ORPHANS)):
            path.unlink(missing_ok=True)

    def names(self, folder: str = "") -> tuple[str, ...]:
        place = self.path / folder
        if not place.is_dir():
            return ()
        return tuple(sorted(p.name for p in place.iterdir() if not p.match(_ORPHANS)))


@contextmanager
def locked(place: Path, url: str, site: str) -> Iterator[None]:
    """Hold a folder or file; the kernel lets go of it however this process ends.

    Raises:
        StoreError: another run holds it.
    """
    handle = os.open(place, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise taken(url, site) from error
        yield
    finally:
        os.close(handle)


def taken(url: str, site: str, by: str = "another run") -> StoreError:
    """The refusal of a site that somebody else writes to."""
    return StoreError(
        f"{url}, {site}: expected a site that no other run writes to, found {by} at work. "
        "Wait for it to end, or name another store."
    )
