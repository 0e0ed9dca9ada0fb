"""Whether a site's arrays are those that the schema lays down, and how they are opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import zarr

from twin.errors import Fault
from twin.store.layout import StoredArray, array_of, attributes_of
from twin.store.spec import SiteSpec
from twin.store.storage import READ_ERRORS, Storage
from twin.store.template import ArrayTemplate, site_attributes, template

_FAST_PIPELINE = "zarrs.ZarrsCodecPipeline"


@contextmanager
def fast_codecs(place: Storage) -> Iterator[None]:
    """Arrays opened in this context are decoded by `zarrs`, where it can read the place."""
    if place.fast_reading:
        with zarr.config.set({"codec_pipeline.path": _FAST_PIPELINE}):
            yield
    else:
        yield


def open_arrays(place: Storage, group: zarr.Group, names: Iterable[str]) -> dict[str, StoredArray]:
    """Arrays of a site for reading, by name; numbers by the fast codecs where they can be."""
    arrays = {}
    for name in names:
        array = array_of(group, name)
        if array.dtype.kind in "biufc":
            with fast_codecs(place):
                array = array_of(group, name)
        arrays[name] = array
    return arrays


def structure_faults(group: zarr.Group, site: str, spec: SiteSpec, where: str) -> list[Fault]:
    """Attributes and arrays of a site that are not those of its spec; reads no data."""
    attributes = attributes_of(group)
    faults = [
        Fault(where, f"attribute {key}", repr(value), repr(attributes.get(key)))
        for key, value in site_attributes(site, spec).items()
        if attributes.get(key) != value
    ]
    expected = template(spec)
    for array in expected.values():
        faults += _array_faults(group, array, where)
    strangers = sorted(set(group.keys()) - set(expected))
    faults += [
        Fault(where, name, "arrays of the schema and the spec only", "another one")
        for name in strangers
    ]
    return faults


def _array_faults(group: zarr.Group, expected: ArrayTemplate, where: str) -> list[Fault]:
    name = expected.variable.name
    try:
        array = array_of(group, name)
        found = {
            "dtype": "string" if array.dtype.kind in "OTU" else str(array.dtype),
            "shape": array.shape,
            "chunks": array.chunks,
            "shards": array.shards,
            "dims": array.metadata.to_dict().get("dimension_names"),
            "attributes": array.attrs.asdict(),
        }
    except READ_ERRORS as error:
        return [Fault(where, name, "an array", f"unreadable ({type(error).__name__}: {error})")]
    planned = {
        "dtype": expected.variable.dtype,
        "shape": expected.shape,
        "chunks": expected.chunks,
        "shards": expected.shards,
        "dims": expected.variable.dims,
        "attributes": dict(expected.attrs),
    }
    return [
        Fault(where, f"{name}, {key}", repr(value), repr(found[key]))
        for key, value in planned.items()
        if found[key] != value
    ]
