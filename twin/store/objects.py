"""A store in S3-compatible object storage."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError
from obstore.store import S3Store
from zarr.abc.store import Store
from zarr.storage import ObjectStore

from twin.errors import StoreError
from twin.store.local import taken
from twin.store.storage import STORAGE_ERRORS, Storage

# A request that fails for a moment (5xx, a dropped connection) is sent again: ten times at most.
_RETRIES: Any = {
    "max_retries": 10,
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=15),
        "base": 2,
    },
    "retry_timeout": timedelta(minutes=3),
}
# Obstore says either of an object that is not there.
_GONE = (NotFoundError, FileNotFoundError)
_RENEWED_EVERY_S = 15.0
_LAPSES_AFTER_S = 90.0


def s3_client(url: str) -> S3Store:
    """Client of a bucket and prefix; endpoint, region and keys from the ``AWS_`` variables."""
    options: Any = {}
    if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        options["client_options"] = {"allow_http": True}
    return S3Store.from_url(url, retry_config=_RETRIES, **options)


class ObjectStorage(Storage):
    """Plain Zarr under a prefix of a bucket; an object is whole or not there."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._claims = f"{url.rstrip('/')}.claims"

    def view(self) -> Store:
        return ObjectStore(s3_client(self.url), read_only=True)

    @contextmanager
    def change(self, message: str) -> Iterator[Store]:  # noqa: ARG002 (nothing keeps a history)
        yield ObjectStore(s3_client(self.url))

    @contextmanager
    def claim(self, site: str) -> Iterator[None]:
        with leased(self._claims, self.url, site):
            yield

    def prepare(self) -> None:
        """Nothing to make: a prefix is there as soon as an object is."""


@contextmanager
def leased(claims_url: str, url: str, site: str) -> Iterator[None]:
    """Hold a claim object, renewed while the context lasts; one that has lapsed is taken over.

    Object storage has no locks that die with their holder, so a claim counts for a minute and a
    half after its last renewal. Creation and takeover are conditional puts: one of two wins.

    Raises:
        StoreError: another run holds it.
    """
    client = s3_client(claims_url)
    claim = _Claim(client, site, url)
    claim.acquire()
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(_RENEWED_EVERY_S):
            claim.renew()

    keeper = threading.Thread(target=renew, daemon=True, name=f"claim of {site}")
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        claim.release()
    if claim.lost:
        raise StoreError(
            f"{url}, {site}: the claim lapsed, since it could not be renewed in time, and another "
            "run took it over. Look with `twin store verify` at what is there, and run again."
        )


class _Claim:
    def __init__(self, client: S3Store, site: str, url: str) -> None:
        self._client = client
        self._key = f"{site}.json"
        self._site = site
        self._url = url
        self._holder = f"{socket.gethostname()}, process {os.getpid()}"
        self._token = uuid.uuid4().hex
        self._tag: str | None = None
        self.lost = False

    def acquire(self) -> None:
        try:
            self._put("create")
        except AlreadyExistsError:
            self._take_over()

    def _take_over(self) -> None:
        try:
            found = obstore.get(self._client, self._key)
            tag, content = found.meta["e_tag"], json.loads(bytes(found.bytes()))
        except _GONE as error:
            # Let go of in this very moment: whoever asks next gets it.
            raise taken(self._url, self._site) from error
        if content["token"] == self._token:
            # Our own: it was sent twice, because the first answer was lost.
            self._tag = tag
            return
        since = time.time() - float(content["renewed"])
        if since < _LAPSES_AFTER_S:
            raise taken(self._url, self._site, f"a run ({content['holder']})")
        try:
            self._put({"e_tag": tag})
        except (PreconditionError, AlreadyExistsError) as error:
            if not self._still_held():
                raise taken(self._url, self._site) from error

    def renew(self) -> None:
        # What fails for now is tried again in time.
        with suppress(*STORAGE_ERRORS):
            try:
                self._put({"e_tag": self._tag})
            except (PreconditionError, *_GONE):
                self.lost = not self._still_held()

    def _still_held(self) -> bool:
        """Whether the claim that is there is ours, whatever was answered to a renewal of it."""
        try:
            found = obstore.get(self._client, self._key)
        except _GONE:
            return False
        if json.loads(bytes(found.bytes()))["token"] != self._token:
            return False
        self._tag = found.meta["e_tag"]
        return True

    def release(self) -> None:
        # What cannot be let go of lapses by itself.
        with suppress(*STORAGE_ERRORS):
            self.lost = not self._still_held()
            if not self.lost:
                obstore.delete(self._client, self._key)

    def _put(self, mode: str | dict[str, str | None]) -> None:
        content = {"holder": self._holder, "token": self._token, "renewed": time.time()}
        condition: Any = mode
        result = obstore.put(self._client, self._key, json.dumps(content).encode(), mode=condition)
        self._tag = result["e_tag"]
