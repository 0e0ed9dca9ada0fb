"""Writing a site: created at full size, filled a whole block a job, published last.

A killed run leaves files that are each whole or not there, and jobs without a receipt; doing those
again ends in the same content. The same calls write a folder, object storage and a versioned store,
where each of them is one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import numpy as np
import xarray as xr
import zarr
from numpy.dtypes import StringDType
from pydantic import JsonValue
from zarr.abc.store import Store

from twin.errors import Fault, InputError, StoreError, refuse
from twin.store.block import Block, block_of, write_block
from twin.store.layout import (
    METADATA,
    Job,
    attributes_of,
    group_in,
    is_laid_out,
    is_published,
    jobs_of,
    open_group,
    prepare_store,
    read_spec,
    site_name_fault,
    site_url,
)
from twin.store.location import StoreRef, storage
from twin.store.provenance import program
from twin.store.receipts import (
    Receipt,
    read_receipts,
    receipt_for,
    withdraw_receipt,
    write_receipt,
)
from twin.store.spec import SiteSpec
from twin.store.storage import Storage, clear, reported
from twin.store.template import ArrayTemplate, site_attributes, static_values, template
from twin.store.verify import SiteReading, read_site


@contextmanager
def claimed(store: StoreRef, site: str) -> Iterator[None]:
    """Be the only run that lays out, fills and publishes a site while the context lasts.

    Workers that only `write_shard` need no claim of their own.

    Raises:
        InputError: the output cannot be written or is not a store of ours, or the site's name is
            not allowed.
        StoreError: another run has the site.
    """
    place = storage(store)
    with ExitStack() as held:
        with reported(site_url(place, site)):
            _prepare(place, site)
            held.enter_context(place.claim(site))
        yield


def write_site(
    store: StoreRef,
    site: str,
    spec: SiteSpec,
    block: Callable[[Job], xr.Dataset],
    *,
    provenance: Mapping[str, JsonValue] | None = None,
    overwrite: bool = False,
) -> str:
    """Claim a site, lay it out, do its missing jobs one after the other, publish it.

    Args:
        store: path or URL of the store.
        site: name of the site.
        spec: size, layout and everything that decides the content.
        block: gives a job's dataset, see `write_shard`.
        provenance: see `create_site`.
        overwrite: see `create_site`.

    Returns:
        The site's content digest.

    Raises:
        InputError, StoreError: see `claimed`, `create_site`, `write_shard` and `publish`.
    """
    with claimed(store, site):
        digest = create_site(store, site, spec, provenance=provenance, overwrite=overwrite)
        for job in pending_jobs(store, site):
            write_shard(store, site, job.realisation, job.points, block(job), digest)
        return publish(store, site)


def create_site(
    store: StoreRef,
    site: str,
    spec: SiteSpec,
    *,
    provenance: Mapping[str, JsonValue] | None = None,
    overwrite: bool = False,
) -> str:
    """Lay out a site at full size, or take up the one that is there.

    With the same spec as before nothing is lost: finished jobs stay finished. Call it before the
    jobs start, from one process: it also clears away what killed writers left behind.

    Args:
        store: path or URL of the store; created where there is none.
        site: name of the site.
        spec: size, layout and everything that decides the content.
        provenance: command, backend and the like, as read back from what runs; kept in the
            attributes with the versions of this program, and in no digest. A resumed run with
            another one is listed after it.
        overwrite: remove a site of the same name whose spec differs.

    Returns:
        The config digest, to be handed to `write_shard`.

    Raises:
        InputError: the output cannot be written or is not a store of ours, the name is not allowed,
            or the site is there with another spec; every difference is listed.
        StoreError: the storage refuses.
    """
    place = storage(store)
    record = {**program(), **(provenance or {})}
    with reported(site_url(place, site)):
        _prepare(place, site)
        faults = _drift(place, site, spec)
        if faults is not None and not faults:
            _take_up(place, site, record)
            return spec.digest
        if faults and not overwrite:
            raise InputError(faults)
        with place.change(f"{site}: lay out") as opened:
            clear(opened, site, METADATA)
            _build(opened, site, spec, record)
    return spec.digest


def _prepare(place: Storage, site: str) -> None:
    name_fault = site_name_fault(place.url, site)
    refuse([name_fault] if name_fault else [])
    prepare_store(place)


def pending_jobs(store: StoreRef, site: str) -> tuple[Job, ...]:
    """Jobs without a valid receipt, in canonical order.

    Raises:
        InputError: no such store or site.
        StoreError: the site's metadata is damaged.
    """
    place = storage(store)
    with reported(site_url(place, site)):
        group = open_group(place, site)
        spec = read_spec(group, site_url(place, site))
        done = read_receipts(group, spec)
    return tuple(job for job in jobs_of(spec) if job not in done)


def write_shard(
    store: StoreRef,
    site: str,
    realisation: int,
    point_slice: slice,
    dataset: xr.Dataset,
    config_digest: str,
) -> Receipt:
    """Write one job: a whole block of points of one realisation, then its receipt.

    One process may write a given block at a time; other blocks may be written meanwhile.

    Args:
        store: path or URL of the store.
        site: name of the site.
        realisation: index of the realisation.
        point_slice: the block, one of those that `pending_jobs` names.
        dataset: the site's variables without the realisation dimension (those of a block, such as
            how a search went, without the block dimension either). Antenna dimensions of size one
            may be left out; a channel is packed where the site keeps fewer bits, unless its packed
            form is given. Variables of the schema that this site does not keep are left out;
            ``ap_position``, ``ap`` and ``subcarrier`` are compared with the spec. Paths are put in
            canonical order.
        config_digest: what `create_site` returned.

    Raises:
        InputError: no such store or site.
        StoreError: the site is published or has another config digest; the block is not a whole
            one; the dataset lacks a variable or has one with other dimensions, sizes or kind of
            numbers, a name the schema does not know, a number that is not finite where it must be,
            a point still pending, or other access points than the spec; the storage refuses the
            data. The job then counts as not done.
    """
    place = storage(store)
    where = site_url(place, site)
    with reported(where):
        group = open_group(place, site)
        spec = read_spec(group, where)
        if spec.digest != config_digest:
            raise StoreError(
                f"{where}: the job belongs to config {config_digest}, not {spec.digest}"
            )
        if is_published(group):
            raise StoreError(f"{where}: published, and so no longer written to")
        job = _whole_block(spec, realisation, point_slice, where)
        block = block_of(spec, job, dataset, where)
    return write_job(place, site, spec, job, block)


def write_job(place: Storage, site: str, spec: SiteSpec, job: Job, block: Block) -> Receipt:
    """Write what is known to fit, then its receipt, in one change; see `write_shard`.

    Raises:
        StoreError: the storage refuses the data.
    """
    receipt = receipt_for(job.name(spec), spec.digest, block)
    where = f"{site_url(place, site)}, {job.name(spec)}"
    with reported(where), place.change(f"{site}: {job.name(spec)}") as opened:
        group = group_in(place, site, opened)
        withdraw_receipt(group, job, spec)
        write_block(group, opened, site, spec, job, block.values)
        write_receipt(group, job, spec, receipt)
    return receipt


def note_traced(store: StoreRef, site: str, attributes: Mapping[str, JsonValue]) -> None:
    """Keep what the ray tracer and the receiver said of a block: arguments as used, conventions.

    One process at a time, like `create_site`; in no digest.

    Raises:
        InputError: no such store or site.
        StoreError: the storage refuses.
    """
    place = storage(store)
    with reported(site_url(place, site)):
        open_group(place, site)
        with place.change(f"{site}: note what the tracer said") as opened:
            group_in(place, site, opened).update_attributes({"traced": dict(attributes)})


def publish(store: StoreRef, site: str) -> str:
    """Read the whole site back, compare it with its receipts and declare it whole.

    Where the store keeps versions, the state gets the tag ``<site>-<first digits of the digest>``.

    Returns:
        The site's content digest.

    Raises:
        InputError: no such store or site.
        StoreError: jobs are missing, or data differs from its receipt. The receipts of damaged
            blocks are withdrawn, so that the next run does them again; a site that was published
            before no longer is.
    """
    place = storage(store)
    where = site_url(place, site)
    with reported(where):
        reading = read_site(place, site)
        group = open_group(place, site)
        if reading.faults:
            _withdraw(place, site, reading)
            raise StoreError(_not_publishable(reading, where))
        place.clear_orphans(site)
        if group.attrs.get("digest") != reading.digest or not is_published(group):
            with place.change(f"{site}: publish {reading.digest}") as opened:
                group_in(place, site, opened).update_attributes(
                    {"published": True, "digest": reading.digest}
                )
        place.tag(f"{site}-{reading.digest[:12]}")
    return reading.digest


def _withdraw(place: Storage, site: str, reading: SiteReading) -> None:
    group = open_group(place, site)
    if not reading.damaged and not is_published(group):
        return
    with place.change(f"{site}: withdraw what is damaged") as opened:
        group = group_in(place, site, opened)
        if is_published(group):
            group.update_attributes({"published": False})
        spec = read_spec(group, site_url(place, site))
        for job in reading.damaged:
            withdraw_receipt(group, job, spec)


def _not_publishable(reading: SiteReading, where: str) -> str:
    lines = "\n".join(f"  - {fault}" for fault in reading.faults)
    cure = (
        "The same command again does the missing jobs."
        if reading.resumable
        else "Generate the site anew with overwriting allowed."
    )
    return f"{where}: cannot be published:\n{lines}\n{cure}"


def _drift(place: Storage, site: str, spec: SiteSpec) -> list[Fault] | None:
    """Differences between the spec asked for and the one stored; None where no site is stored."""
    where = site_url(place, site)
    cure = "Name another output, or delete this one."
    if METADATA not in place.names(site):
        return None
    try:
        group = group_in(place, site)
        if not is_laid_out(group):
            return None
        stored = read_spec(group, where)
    except StoreError as error:
        return [Fault(where, "", "a site that can be read", str(error), cure)]
    if stored.digest == spec.digest:
        return []
    pairs = _differences("", spec.model_dump(mode="json"), stored.model_dump(mode="json"))
    return [
        Fault(where, key, _short(asked), f"{_short(there)} in the store", cure)
        for key, asked, there in pairs
    ]


_ABSENT = object()


def _differences(key: str, asked: object, there: object) -> list[tuple[str, object, object]]:
    if isinstance(asked, dict) and isinstance(there, dict):
        return [
            item
            for name in sorted({*asked, *there})
            for item in _differences(
                f"{key}.{name}" if key else name,
                asked.get(name, _ABSENT),
                there.get(name, _ABSENT),
            )
        ]
    if isinstance(asked, list) and isinstance(there, list) and len(asked) == len(there):
        return [
            item
            for index, (left, right) in enumerate(zip(asked, there, strict=True))
            for item in _differences(f"{key}.{index}", left, right)
        ]
    return [] if asked == there else [(key, asked, there)]


def _short(value: object) -> str:
    text = "nothing" if value is _ABSENT else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _take_up(place: Storage, site: str, provenance: dict[str, JsonValue]) -> None:
    """Prepare an existing site for the jobs that are missing."""
    place.clear_orphans(site)
    group = group_in(place, site)
    known = attributes_of(group).get("provenance")
    records = list(known) if isinstance(known, list) else []
    if not is_published(group) and provenance not in records:
        with place.change(f"{site}: go on") as opened:
            group_in(place, site, opened).update_attributes({"provenance": [*records, provenance]})


def _build(store: Store, site: str, spec: SiteSpec, provenance: dict[str, JsonValue]) -> None:
    """All arrays first, the attributes of the group last: they say that the layout is whole."""
    group = zarr.create_group(store, path=site, zarr_format=3)
    values = static_values(spec)
    for name, array in template(spec).items():
        created = _create_array(group, array)
        if not array.variable.by_job:
            created[...] = values[name]
    attributes = {**site_attributes(site, spec), "published": False, "provenance": [provenance]}
    group.update_attributes(cast(dict[str, Any], attributes))


def _create_array(group: zarr.Group, array: ArrayTemplate) -> zarr.Array[Any]:
    text = array.variable.dtype == "string"
    return group.create_array(
        array.variable.name,
        shape=array.shape,
        dtype=StringDType() if text else np.dtype(array.variable.dtype),
        chunks=array.chunks,
        shards=array.shards,
        compressors=array.compressor,
        fill_value=array.fill,
        dimension_names=array.variable.dims,
        attributes=dict(array.attrs),
    )


def _whole_block(spec: SiteSpec, realisation: int, point_slice: slice, where: str) -> Job:
    """The job that owns exactly this block."""
    for job in jobs_of(spec):
        if job.realisation == realisation and job.points == point_slice:
            return job
    raise StoreError(
        f"{where}: realisation {realisation}, points {point_slice.start}:{point_slice.stop} is not "
        f"one whole block of {spec.shard_points} points; a block is written by one job, at once"
    )
