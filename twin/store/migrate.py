"""Bringing stores of older schema versions up to date.

A migration reads the old store, checks it against its own receipts and writes a new one beside it;
the old store is not touched.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
import zarr
from pydantic import JsonValue
from zarr.core.buffer import default_buffer_prototype

from twin.config import validate
from twin.errors import Fault, InputError, StoreError, refuse
from twin.store.content import AnyArray, canonical_pieces
from twin.store.layout import SITE_NAME, Job, array_of, attributes_of, occupant_fault, site_url
from twin.store.location import StoreRef, storage
from twin.store.schema import VARIABLES
from twin.store.spec import SiteSpec
from twin.store.storage import READ_ERRORS, Storage, run
from twin.store.writer import write_site

OLD_SCHEMA = "fingertwin/store@1"


def migrate(source: StoreRef, target: StoreRef) -> dict[str, str]:
    """Write a store of schema 1 anew in the present schema.

    The content stays: `split` becomes a variable of the points, `csi` gets its antenna dimensions,
    and the paths of a link their canonical order. The provenance of the old site, its digests and
    version are kept in the record of the new one. A migration that was killed goes on when started
    again.

    Args:
        source: path or URL of the old store.
        target: path or URL of the new one.

    Returns:
        Content digests of the new sites, by name.

    Raises:
        InputError: `source` is no store of schema 1, or a site of it is not published; `target`
            cannot be written, or holds something else; all in one message.
        StoreError: data of the old store differs from its receipts; the sites before stay.
    """
    old, new = storage(source), storage(target)
    sites = _old_sites(old)
    occupied = occupant_fault(new)
    refuse([*_faults(old, sites), *([occupied] if occupied else [])])
    return {site: _migrate_site(old, site, group, target) for site, group in sites.items()}


def _old_sites(place: Storage) -> dict[str, zarr.Group]:
    expected = f"a store of schema {OLD_SCHEMA!r}"
    try:
        root = zarr.open_group(place.view(), mode="r", zarr_format=3)
        found = root.attrs.get("schema")
        if found == OLD_SCHEMA:
            names = [name for name in place.names() if SITE_NAME.fullmatch(name)]
            return {
                name: zarr.open_group(place.view(), path=name, mode="r", zarr_format=3)
                for name in names
            }
    except READ_ERRORS as error:
        raise InputError([Fault(place.url, "", expected, f"nothing readable ({error})")]) from error
    raise InputError([Fault(place.url, "schema", expected, repr(found))])


def _faults(place: Storage, sites: Mapping[str, zarr.Group]) -> list[Fault]:
    cure = "Finish it with the version of this program that began it."
    return [
        Fault(site_url(place, site), "published", "true", "false", cure)
        for site, group in sites.items()
        if group.attrs.get("published") is not True
    ]


def _migrate_site(place: Storage, site: str, group: zarr.Group, target: StoreRef) -> str:
    where = site_url(place, site)
    attributes = attributes_of(group)
    spec = _new_spec(json.loads(str(attributes["spec"])), where)
    record: dict[str, JsonValue] = {
        "migrated_from": {
            key: attributes.get(key) for key in ("schema", "config_digest", "digest", "provenance")
        }
    }

    def block(job: Job) -> xr.Dataset:
        return _old_block(place, site, group, spec, job)

    return write_site(target, site, spec, block, provenance=record)


def _new_spec(old: dict[str, Any], where: str) -> SiteSpec:
    content = {key: value for key, value in old.items() if key != "split"}
    content["variables"] = [*old["variables"], "split"]
    return validate(content, SiteSpec, where)


def _old_block(
    place: Storage, site: str, group: zarr.Group, spec: SiteSpec, job: Job
) -> xr.Dataset:
    """A job's values in the new form, checked against its receipt."""
    key = f"{site}/status/receipts/{job.name(spec)}.json"
    buffer = run(lambda: place.view().get(key, default_buffer_prototype()))
    digests = json.loads(buffer.to_bytes())["digests"] if buffer is not None else {}
    variables = {}
    for name in ("position", "status", *spec.variables):
        if name == "split":
            values = np.asarray(array_of(group, name)[job.points])
        else:
            values = np.asarray(array_of(group, name)[job.realisation, job.points])
            if _old_digest(values) != digests.get(name):
                raise StoreError(
                    f"{site_url(place, site)}: {name}, {job.name(spec)}: expected the data of its "
                    "receipt, found other content. Generate the site anew."
                )
        dims = [dim for dim in VARIABLES[name].dims[1:] if not dim.endswith("_antenna")]
        variables[name] = (dims, values)
    return xr.Dataset(variables)


def _old_digest(values: AnyArray) -> str:
    """Digest of a variable as schema 1 defined it."""
    head = f"{values.dtype.newbyteorder('<').str}{values.shape}".encode()
    digest = hashlib.sha256(head)
    for piece in canonical_pieces(values):
        digest.update(piece)
    return digest.hexdigest()
