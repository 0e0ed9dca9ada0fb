"""What a user may name as a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from twin.errors import InputError
from twin.store.local import LocalStorage
from twin.store.location import storage
from twin.store.objects import ObjectStorage
from twin.store.versioned import VersionedStorage


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        (Path("out/store.zarr"), LocalStorage),
        ("out/store.zarr", LocalStorage),
        ("out/a:b.zarr", LocalStorage),
        ("/data/store.zarr", LocalStorage),
        ("file:///data/store.zarr", LocalStorage),
        ("s3://bucket/study/store.zarr", ObjectStorage),
        ("icechunk:out/store", VersionedStorage),
        ("icechunk:/data/store?tag=room-12", VersionedStorage),
        ("icechunk:///data/store", VersionedStorage),
        ("icechunk+s3://bucket/store?branch=dev", VersionedStorage),
        ("icechunk+s3://bucket/store?snapshot=ABC", VersionedStorage),
    ],
)
def test_places(named: str | Path, kind: type) -> None:
    place = storage(named)
    assert type(place) is kind
    assert place.url == str(named) or named == "file:///data/store.zarr"


def test_a_file_url_is_the_folder() -> None:
    assert storage("file:///data/store.zarr").url == "/data/store.zarr"


@pytest.mark.parametrize(
    "named",
    [
        "",
        "s3:bucket/store",
        "s3://",
        "s3://bucket/store?branch=dev",
        "gs://bucket/store",
        "https://example.org/store.zarr",
        "icechunk:",
        "icechunk://host/store",
        "icechunk:out/store?branch=",
        "icechunk:out/store?commit=1",
        "icechunk:out/store?branch=a&tag=b",
    ],
)
def test_other_forms_are_refused_with_those_there_are(named: str) -> None:
    with pytest.raises(InputError, match=r"icechunk:folder or icechunk\+s3://bucket/prefix"):
        storage(named)
