"""Writing a site: created at full size, filled a whole shard a job, published last.

A killed run leaves files that are each whole (they are put in place by renaming) and jobs without a
receipt; doing those again ends in the same content.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr
import zarr
from numpy.dtypes import StringDType
from pydantic import JsonValue
from zarr.codecs import BloscCodec

from twin.errors import Fault, InputError, StoreError, refuse
from twin.store.content import AnyArray
from twin.store.layout import (
    Job,
    array_of,
    attributes_of,
    building_dir,
    is_published,
    jobs_of,
    open_group,
    prepare_store,
    read_spec,
    receipts_dir,
    remove_orphans,
    remove_tree,
    site_dir,
    site_name_fault,
)
from twin.store.receipts import (
    Receipt,
    read_receipt,
    receipt_for,
    withdraw_receipt,
    write_receipt,
)
from twin.store.schema import (
    VARIABLES,
    ArrayTemplate,
    SiteSpec,
    site_attributes,
    static_values,
    template,
)
from twin.store.verify import SiteReading, read_site


def create_site(
    store_path: Path,
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
        store_path: folder of the store; created where there is none.
        site: name of the site.
        spec: size, layout and everything that decides the content.
        provenance: versions, backend and the like, as read back from the running program; kept in
            the attributes and in no digest. A resumed run with another one is listed after it.
        overwrite: remove a site of the same name whose spec differs.

    Returns:
        The config digest, to be handed to `write_shard`.

    Raises:
        InputError: the output cannot be written or is not a store of ours, the name is not allowed,
            or the site is there with another spec; every difference is listed.
    """
    name_fault = site_name_fault(store_path, site)
    refuse([name_fault] if name_fault else [])
    prepare_store(store_path)
    remove_tree(building_dir(store_path, site))
    record = dict(provenance or {})
    if site_dir(store_path, site).exists():
        faults = _drift(store_path, site, spec)
        if not faults:
            _take_up(store_path, site, record)
            return spec.digest
        if not overwrite:
            raise InputError(faults)
    building = building_dir(store_path, site)
    _build(building / "new", site, spec, record)
    if site_dir(store_path, site).exists():
        site_dir(store_path, site).rename(building / "old")
    (building / "new").rename(site_dir(store_path, site))
    remove_tree(building)
    return spec.digest


def pending_jobs(store_path: Path, site: str) -> tuple[Job, ...]:
    """Jobs without a valid receipt, in canonical order.

    Raises:
        InputError: no such store or site.
        StoreError: the site's metadata is damaged.
    """
    spec = read_spec(open_group(store_path, site), str(site_dir(store_path, site)))
    folder, digest = receipts_dir(store_path, site), spec.digest
    return tuple(
        job for job in jobs_of(spec) if read_receipt(folder, job.name(spec), digest) is None
    )


def write_shard(
    store_path: Path,
    site: str,
    realisation: int,
    point_slice: slice,
    dataset: xr.Dataset,
    config_digest: str,
) -> Receipt:
    """Write one job: a whole block of points of one realisation, then its receipt.

    One process may write a given block at a time; other blocks may be written meanwhile.

    Args:
        store_path: folder of the store.
        site: name of the site.
        realisation: index of the realisation.
        point_slice: the block, one of those that `pending_jobs` names.
        dataset: the site's variables without the realisation dimension. Variables of the schema
            that this site does not keep are left out; ``ap_position`` and ``ap`` are compared with
            the spec.
        config_digest: what `create_site` returned.

    Raises:
        InputError: no such store or site.
        StoreError: the site is published or has another config digest; the block is not a whole
            one; the dataset lacks a variable or has one with other dimensions, sizes or kind of
            numbers, a name the schema does not know, a point still pending, or other access points
            than the spec; the disk refuses the data.
    """
    group = open_group(store_path, site, write=True)
    where = str(site_dir(store_path, site))
    spec = read_spec(group, where)
    if spec.digest != config_digest:
        raise StoreError(f"{where}: the job belongs to config {config_digest}, not {spec.digest}")
    if is_published(group):
        raise StoreError(f"{where}: published, and so no longer written to")
    job = _whole_block(spec, realisation, point_slice, where)
    values = _block_values(spec, job, dataset, where)
    folder = receipts_dir(store_path, site)
    receipt = receipt_for(job.name(spec), config_digest, values)
    try:
        withdraw_receipt(folder, receipt.job)
        for name, block in values.items():
            array = array_of(group, name)
            # Blocks of fill values too: a missing file then always means an unfinished job.
            array.with_config({"write_empty_chunks": True})[realisation, point_slice] = block
        write_receipt(folder, receipt)
    except OSError as error:
        raise StoreError(f"{where}, {receipt.job}: cannot be written ({error})") from error
    return receipt


def note_traced(store_path: Path, site: str, attributes: Mapping[str, JsonValue]) -> None:
    """Keep what the ray tracer and the receiver said of a block: arguments as used, conventions.

    One process at a time, like `create_site`; in no digest.

    Raises:
        InputError: no such store or site.
    """
    open_group(store_path, site, write=True).update_attributes({"traced": dict(attributes)})


def publish(store_path: Path, site: str) -> str:
    """Read the whole site back, compare it with its receipts and declare it whole.

    Returns:
        The site's content digest.

    Raises:
        InputError: no such store or site.
        StoreError: jobs are missing, or data differs from its receipt. The receipts of damaged
            blocks are withdrawn, so that the next run does them again; a site that was published
            before no longer is.
    """
    group = open_group(store_path, site, write=True)
    where = str(site_dir(store_path, site))
    reading = read_site(store_path, site)
    if reading.faults:
        spec = read_spec(group, where)
        if is_published(group):
            group.update_attributes({"published": False})
        for job in reading.damaged:
            withdraw_receipt(receipts_dir(store_path, site), job.name(spec))
        raise StoreError(_not_publishable(reading, where))
    remove_orphans(site_dir(store_path, site))
    if group.attrs.get("digest") != reading.digest or not is_published(group):
        group.update_attributes({"published": True, "digest": reading.digest})
    return reading.digest


def _not_publishable(reading: SiteReading, where: str) -> str:
    lines = "\n".join(f"  - {fault}" for fault in reading.faults)
    cure = (
        "The same command again does the missing jobs."
        if reading.resumable
        else "Delete that folder and generate the site anew."
    )
    return f"{where}: cannot be published:\n{lines}\n{cure}"


def _drift(store_path: Path, site: str, spec: SiteSpec) -> list[Fault]:
    """Differences between the spec asked for and the one stored."""
    where = str(site_dir(store_path, site))
    cure = "Name another output, or delete this one."
    try:
        stored = read_spec(open_group(store_path, site), where)
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


def _take_up(store_path: Path, site: str, provenance: dict[str, JsonValue]) -> None:
    """Prepare an existing site for the jobs that are missing."""
    remove_orphans(site_dir(store_path, site))
    group = open_group(store_path, site, write=True)
    known = attributes_of(group).get("provenance")
    records = list(known) if isinstance(known, list) else []
    if not is_published(group) and provenance not in records:
        group.update_attributes({"provenance": [*records, provenance]})


def _build(folder: Path, site: str, spec: SiteSpec, provenance: dict[str, JsonValue]) -> None:
    arrays = template(spec)
    attributes = {**site_attributes(site, spec), "published": False, "provenance": [provenance]}
    group = zarr.create_group(folder, zarr_format=3, attributes=cast(dict[str, Any], attributes))
    values = static_values(spec)
    for name, array in arrays.items():
        created = _create_array(group, array)
        if not array.variable.by_job:
            created[...] = values[name]


def _create_array(group: zarr.Group, array: ArrayTemplate) -> zarr.Array[Any]:
    variable = array.variable
    text = variable.dtype == "string"
    return group.create_array(
        variable.name,
        shape=array.shape,
        dtype=StringDType() if text else np.dtype(variable.dtype),
        chunks=array.chunks,
        shards=array.shards,
        compressors=None if text else _compressor(np.dtype(variable.dtype)),
        fill_value=_fill(variable.fill, variable.dtype),
        dimension_names=variable.dims,
        attributes=dict(array.attrs),
    )


def _compressor(dtype: np.dtype[np.generic]) -> BloscCodec:
    # Bits of equal weight side by side; a complex number is two floats.
    size = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    return BloscCodec(
        cname="zstd", clevel=1, shuffle="bitshuffle" if size > 1 else "noshuffle", typesize=size
    )


def _fill(fill: float | int | str, dtype: str) -> float | int | str | complex:
    if dtype.startswith("complex"):
        return complex(fill, fill) if isinstance(fill, float) else complex(fill)
    return fill


def _whole_block(spec: SiteSpec, realisation: int, point_slice: slice, where: str) -> Job:
    """The job that owns exactly this block."""
    for job in jobs_of(spec):
        if job.realisation == realisation and job.points == point_slice:
            return job
    raise StoreError(
        f"{where}: realisation {realisation}, points {point_slice.start}:{point_slice.stop} is not "
        f"one whole block of {spec.shard_points} points; a block is written by one job, at once"
    )


def _block_values(spec: SiteSpec, job: Job, dataset: xr.Dataset, where: str) -> dict[str, AnyArray]:
    """The job's arrays in the stored types, after checks; all problems in one error."""
    place = f"{where}, {job.name(spec)}"
    problems = [
        f"{name}: not a variable of the schema"
        for name in sorted(str(name) for name in dataset.variables)
        if name not in VARIABLES and name not in dataset.dims
    ]
    problems += _static_problems(spec, job, dataset)
    values: dict[str, AnyArray] = {}
    for name in spec.job_variables:
        variable = VARIABLES[name]
        if name not in dataset:
            problems.append(f"{name}: missing")
            continue
        dims = variable.dims[1:]
        sizes = {dim: spec.sizes[dim] for dim in dims} | {"point": job.stop - job.start}
        found = dict(dataset[name].sizes)
        if set(found) != set(dims) or any(found[dim] != sizes[dim] for dim in dims):
            problems.append(f"{name}: expected {sizes}, found {found}")
            continue
        block = dataset[name].transpose(*dims).to_numpy()
        dtype = np.dtype(variable.dtype)
        if not np.can_cast(block.dtype, dtype, casting="same_kind"):
            problems.append(f"{name}: expected {dtype}, found {block.dtype}")
            continue
        values[name] = block.astype(dtype)
    if "position" in values and not np.isfinite(values["position"]).all():
        problems.append("position: not a finite number")
    if "status" in values and not np.isin(values["status"], (1, 2)).all():
        problems.append("status: a finished job leaves every point 1 (done) or 2 (no path)")
    if problems:
        raise StoreError("\n".join([f"{place}: refused:", *(f"  - {text}" for text in problems)]))
    return values


def _static_problems(spec: SiteSpec, job: Job, dataset: xr.Dataset) -> list[str]:
    problems = []
    if "ap" in dataset.coords:
        names = tuple(str(name) for name in dataset["ap"].to_numpy())
        if names != spec.access_points:
            problems.append(f"ap: expected {spec.access_points}, found {names}")
    if "subcarrier" in dataset.coords and "csi" in spec.variables:
        offsets = dataset["subcarrier"].to_numpy()
        if not _close(offsets, static_values(spec)["subcarrier"]):
            problems.append("subcarrier: not the offsets of the spec")
    if "ap_position" in dataset:
        planned = np.array(spec.ap_position_m[job.realisation])
        given = dataset["ap_position"].to_numpy()
        if not _close(given, planned):
            problems.append("ap_position: not where the spec has them in this realisation")
    return problems


def _close(given: AnyArray, planned: AnyArray) -> bool:
    """Equal but for rounding on the way (a spacing divided and multiplied again)."""
    return given.shape == planned.shape and np.allclose(given, planned, rtol=1e-9, atol=1e-9)
