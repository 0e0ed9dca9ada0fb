"""A store that keeps its history: an Icechunk repository, in a folder or in object storage.

Commits, history, tags and branches are the engine's. On a local disk two commits at one moment can
lose one of them without an error (measured with releases 1.1 and 2.3), so commits there pass one by
one through a lock of this machine; in object storage the engine needs no help.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import icechunk
import obstore
from icechunk import ConflictError, IcechunkError, RebaseFailedError
from obstore.store import S3Store
from zarr.abc.store import Store

from twin.errors import Fault, InputError, StoreError
from twin.store.local import locked
from twin.store.objects import leased, s3_client
from twin.store.storage import Storage, Version

# The engine warns of what the lock takes care of.
icechunk.set_logs_filter("error")

_MAIN = "main"
_CLAIMS = "claims"
# What the engine has written of a repository before there is one; it then refuses to make one.
_HALF_MADE = re.compile(r"1CECHNKREP0F1RSTCMT0(#\d+)?|(ref\.json|repo)#\d+")


class VersionedStorage(Storage):
    """One state of an Icechunk repository for reading, and the tip of a branch for writing.

    Args:
        url: as given, with ``?branch=``, ``?tag=`` or ``?snapshot=``.
        place: a folder, or ``s3://bucket/prefix``.
        version: at most one of ``branch``, ``tag`` and ``snapshot``.
    """

    def __init__(self, url: str, place: Path | str, version: Mapping[str, str]) -> None:
        super().__init__(url)
        self._place = place
        self._version = dict(version) or {"branch": _MAIN}

    def _storage(self) -> icechunk.Storage:
        if isinstance(self._place, Path):
            return icechunk.local_filesystem_storage(str(self._place.absolute()))
        parts = urlsplit(self._place)
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        return icechunk.s3_storage(
            bucket=parts.netloc,
            prefix=parts.path.strip("/"),
            region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
            endpoint_url=endpoint,
            allow_http=bool(endpoint and endpoint.startswith("http://")),
            force_path_style=endpoint is not None,
            from_env=True,
        )

    def exists(self) -> bool:
        """Whether a repository is there."""
        if isinstance(self._place, Path) and not self._place.is_dir():
            return False
        return icechunk.Repository.exists(self._storage())

    def _repository(self) -> icechunk.Repository:
        # Opening would make a missing folder.
        if not self.exists():
            raise FileNotFoundError(f"no repository at {self._place}")
        return icechunk.Repository.open(self._storage())

    def view(self) -> Store:
        ((kind, name),) = self._version.items()
        chosen: dict[str, Any] = {"snapshot_id" if kind == "snapshot" else kind: name}
        try:
            return self._repository().readonly_session(**chosen).store
        except IcechunkError as error:
            fault = Fault(self.url, kind, "one that the store has", repr(name), _first_line(error))
            raise InputError([fault]) from error

    @contextmanager
    def change(self, message: str) -> Iterator[Store]:
        branch = self._version.get("branch")
        if branch is None:
            cure = "Name a branch (?branch=...), or none for the main one."
            fault = Fault(self.url, "", "a branch to write to", next(iter(self._version)), cure)
            raise InputError([fault])
        repository = self._repository()
        session = repository.writable_session(branch)
        before = session.snapshot_id
        yield session.store
        if session.has_uncommitted_changes:
            mark = {"commit": uuid.uuid4().hex}
            done = functools.partial(_committed, repository, branch, mark, before)
            with self._one_at_a_time(), _unless(done):
                session.commit(message, mark, rebase_with=icechunk.ConflictDetector())

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if not isinstance(self._place, Path):
            yield
            return
        folder = os.open(self._place, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    @contextmanager
    def claim(self, site: str) -> Iterator[None]:
        if isinstance(self._place, Path):
            claims = self._place / _CLAIMS
            claims.mkdir(parents=True, exist_ok=True)
            (claims / site).touch()
            with locked(claims / site, self.url, site):
                yield
        else:
            with leased(f"{self._place.rstrip('/')}.{_CLAIMS}", self.url, site):
                yield

    def prepare(self) -> None:
        if not self.exists():
            self._create()
        branch = self._version.get("branch", _MAIN)
        repository = self._repository()
        if branch not in repository.list_branches():
            tip = repository.lookup_branch(_MAIN)
            with _unless(lambda: branch in repository.list_branches()):
                repository.create_branch(branch, tip)

    def _create(self) -> None:
        if isinstance(self._place, Path):
            self._place.mkdir(parents=True, exist_ok=True)
            with self._one_at_a_time():
                if not self.exists():
                    for path in self._files() if self._half_made() else ():
                        path.unlink()
                    icechunk.Repository.create(self._storage())
        else:
            while not self.exists():
                try:
                    with self.claim(".new"):
                        self._create_in_bucket(s3_client(self._place))
                except StoreError:
                    # Another run is making it, or died of it; then its claim lapses.
                    time.sleep(0.2)

    def _create_in_bucket(self, client: S3Store) -> None:
        if self.exists():
            return
        keys = [entry["path"] for entry in obstore.list(client).collect()]
        if all(_HALF_MADE.fullmatch(key.rpartition("/")[2]) for key in keys):
            obstore.delete(client, keys)
        with _unless(self.exists):
            icechunk.Repository.create(self._storage())

    def _files(self) -> list[Path]:
        return [path for path in cast(Path, self._place).rglob("*") if not path.is_dir()]

    def _half_made(self) -> bool:
        """Whether a run was killed while it made the repository."""
        return all(_HALF_MADE.fullmatch(path.name) for path in self._files())

    def obstacle(self) -> str:
        if not isinstance(self._place, Path):
            return ""
        if self._place.exists() and not self._place.is_dir():
            return "a file"
        if not self._place.is_dir() or self.exists() or self._half_made():
            return ""
        # Looked at again: another run may have made the repository in between.
        return "" if self.exists() else "a folder with other content"

    def tag(self, name: str) -> None:
        repository = self._repository()
        if name not in repository.list_tags():
            tip = repository.lookup_branch(self._version.get("branch", _MAIN))
            with _unless(lambda: name in repository.list_tags()):
                repository.create_tag(name, tip)

    def history(self) -> tuple[Version, ...]:
        repository = self._repository()
        ((kind, name),) = self._version.items()
        chosen: dict[str, Any] = {"snapshot_id" if kind == "snapshot" else kind: name}
        tags: dict[str, list[str]] = {}
        for tag in sorted(repository.list_tags()):
            tags.setdefault(repository.lookup_tag(tag), []).append(tag)
        return tuple(
            Version(
                snapshot=entry.id,
                message=entry.message,
                written=entry.written_at.isoformat(timespec="seconds"),
                tags=tuple(tags.get(entry.id, ())),
            )
            for entry in repository.ancestry(**chosen)
        )

    def names(self, folder: str = "") -> tuple[str, ...]:
        return super().names(folder) if self.exists() else ()


@contextmanager
def _unless(done: Callable[[], bool]) -> Iterator[None]:
    """Let pass an error of something that is done all the same.

    What is sent again because its answer was lost finds what it made itself in its way.
    """
    try:
        yield
    except (IcechunkError, ConflictError, RebaseFailedError):
        if not done():
            raise


def _committed(
    repository: icechunk.Repository, branch: str, mark: Mapping[str, str], before: str
) -> bool:
    """Whether a branch has the commit with a mark, among those after a given snapshot."""
    commits = repository.ancestry(branch=branch)
    return any(
        entry.metadata == mark for entry in itertools.takewhile(lambda e: e.id != before, commits)
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].strip() if text else type(error).__name__
