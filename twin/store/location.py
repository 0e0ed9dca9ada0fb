"""From what a user names to the place where a store lies."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl

from twin.errors import Fault, InputError
from twin.store.local import LocalStorage
from twin.store.objects import ObjectStorage
from twin.store.storage import Storage
from twin.store.versioned import VersionedStorage

StoreRef = str | Path

FORMS = (
    "a folder, s3://bucket/prefix, icechunk:folder or icechunk+s3://bucket/prefix "
    "(those two with ?branch=, ?tag= or ?snapshot= where wanted)"
)
_SCHEME = re.compile(r"([a-z][a-z0-9+]+):(.*)", re.DOTALL)
_BUCKET = re.compile(r"//[^/?#]+(/[^?#]*)?")
_VERSIONS = ("branch", "tag", "snapshot")


def storage(store: StoreRef) -> Storage:
    """The place that a path or URL names; nothing is touched there.

    Args:
        store: a folder (plain Zarr v3); ``s3://bucket/prefix`` (the same in object storage);
            ``icechunk:folder`` or ``icechunk+s3://bucket/prefix`` (a versioned store), both with
            ``?branch=NAME``, ``?tag=NAME`` or ``?snapshot=ID`` for another state than the main
            branch's.

    Raises:
        InputError: it has another form.
    """
    found = LocalStorage(store) if isinstance(store, Path) else _by_url(store)
    if found is None:
        raise InputError([Fault("store", "", FORMS, repr(store))])
    return found


def _by_url(url: str) -> Storage | None:
    match = _SCHEME.fullmatch(url)
    if match is None:
        return LocalStorage(Path(url)) if url else None
    scheme, rest = match.groups()
    place, mark, query = rest.partition("?")
    version = _version(query)
    bucket = _BUCKET.fullmatch(place) is not None
    folder = bool(place) and (not place.startswith("//") or place[2:3] == "/")
    found: Storage | None = None
    if scheme == "file" and place.startswith("///"):
        found = LocalStorage(Path(place.removeprefix("//")))
    elif scheme == "s3" and bucket and not mark:
        found = ObjectStorage(url)
    elif scheme == "icechunk" and folder and version is not None:
        found = VersionedStorage(url, Path(re.sub("^///", "/", place)), version)
    elif scheme == "icechunk+s3" and bucket and version is not None:
        found = VersionedStorage(url, f"s3:{place}", version)
    return found


def _version(query: str) -> dict[str, str] | None:
    """What a query asks for; None where it is not understood."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if not query:
        return {}
    if len(pairs) != 1 or pairs[0][0] not in _VERSIONS or not pairs[0][1]:
        return None
    return dict(pairs)
