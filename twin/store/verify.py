"""Reading everything back: content digests of sites and stores, and what does not match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from twin.errors import Fault, StoreError, refuse
from twin.store.content import AnyArray, StreamDigest, joint_digest, variable_digest
from twin.store.layout import (
    Job,
    StoredArray,
    array_of,
    attributes_of,
    is_published,
    jobs_of,
    open_group,
    read_spec,
    receipts_dir,
    site_dir,
    site_names,
    store_fault,
    unpublished,
)
from twin.store.receipts import Receipt, read_receipt
from twin.store.schema import (
    SCHEMA_VERSION,
    VARIABLES,
    ArrayTemplate,
    SiteSpec,
    json_digest,
    site_attributes,
    static_values,
    template,
)

# What zarr and its codecs raise on damaged metadata or data.
_READ_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError)


@dataclass(frozen=True)
class SiteReading:
    """Outcome of reading a site whole.

    Args:
        digest: content digest; meaningful only where there are no faults.
        faults: missing jobs and every block, array or file that does not match.
        damaged: jobs that have a receipt which the data does not bear out.
        resumable: doing the missing and damaged jobs again would mend everything.
    """

    digest: str
    faults: tuple[Fault, ...]
    damaged: tuple[Job, ...]
    resumable: bool


def digest(store_path: Path) -> str:
    """Content digest over all published sites, computed from the data.

    It depends on what readers get: not on chunk files, times, versions or the order of jobs.

    Raises:
        InputError: no store of ours there.
        StoreError: data differs from its receipts; or a site is unfinished.
    """
    _refuse_foreign(store_path)
    digests = {}
    for site in site_names(store_path):
        group = open_group(store_path, site)
        where = str(site_dir(store_path, site))
        if not is_published(group):
            spec = read_spec(group, where)
            raise unpublished(where, missing_jobs(store_path, site, spec), len(jobs_of(spec)))
        reading = read_site(store_path, site)
        if reading.faults:
            raise StoreError("\n".join([f"{where}: damaged:", *map(str, reading.faults)]))
        digests[site] = reading.digest
    return json_digest([SCHEMA_VERSION, digests])


def verify(store_path: Path) -> list[Fault]:
    """Everything in the store that is unfinished or damaged; empty for a store that is whole.

    Raises:
        InputError: no store of ours there.
    """
    _refuse_foreign(store_path)
    faults: list[Fault] = []
    for site in site_names(store_path):
        where = str(site_dir(store_path, site))
        try:
            group = open_group(store_path, site)
            reading = read_site(store_path, site)
        except StoreError as error:
            faults.append(Fault(where, "zarr.json", "the site's metadata", str(error)))
            continue
        faults += reading.faults
        recorded = attributes_of(group).get("digest")
        if not reading.faults and is_published(group) and recorded != reading.digest:
            faults.append(Fault(where, "digest", reading.digest, f"{recorded} in the attributes"))
        if not is_published(group):
            faults.append(Fault(where, "published", "true", "false"))
    return faults


def read_site(store_path: Path, site: str) -> SiteReading:
    """Read a site whole and compare it with its spec and its receipts.

    Raises:
        InputError: no such store or site.
        StoreError: the site's own metadata is damaged.
    """
    group = open_group(store_path, site)
    where = str(site_dir(store_path, site))
    spec = read_spec(group, where)
    arrays = {}
    faults = [
        Fault(where, f"attribute {key}", repr(value), repr(attributes_of(group).get(key)))
        for key, value in site_attributes(site, spec).items()
        if attributes_of(group).get(key) != value
    ]
    for name, expected in template(spec).items():
        array, fault = _open_array(group, expected, where)
        if array is not None:
            arrays[name] = array
        if fault is not None:
            faults.append(fault)
    if faults:
        return SiteReading("", tuple(faults), (), resumable=False)
    digests = {}
    for name, planned in static_values(spec).items():
        digests[name], fault = _read_static(arrays[name], planned, where)
        if fault is not None:
            faults.append(fault)
    jobs = _read_jobs(store_path, site, spec, arrays)
    return SiteReading(
        digest=joint_digest(digests | jobs.digests),
        faults=(*faults, *jobs.faults),
        damaged=tuple(jobs.damaged),
        resumable=not faults,
    )


@dataclass(frozen=True)
class _JobsReading:
    digests: dict[str, str]
    faults: list[Fault]
    damaged: list[Job]


def _read_jobs(
    store_path: Path, site: str, spec: SiteSpec, arrays: Mapping[str, StoredArray]
) -> _JobsReading:
    """Everything that jobs wrote, against their receipts."""
    where = str(site_dir(store_path, site))
    streams = {name: StreamDigest() for name in spec.job_variables}
    faults: list[Fault] = []
    damaged = []
    missing = []
    for job in jobs_of(spec):
        receipt = read_receipt(receipts_dir(store_path, site), job.name(spec), spec.digest)
        if receipt is None:
            missing.append(job.name(spec))
            continue
        bad = []
        for name, stream in streams.items():
            block, fault = _read_block(arrays[name], job, receipt, where)
            stream.update(block)
            if fault is not None:
                bad.append(fault)
        if bad:
            damaged.append(job)
            faults += bad
    if missing:
        faults.append(_missing_fault(where, missing, len(jobs_of(spec))))
    digests = {
        name: stream.hexdigest(VARIABLES[name].dtype, arrays[name].shape)
        for name, stream in streams.items()
    }
    return _JobsReading(digests, faults, damaged)


def missing_jobs(store_path: Path, site: str, spec: SiteSpec) -> int:
    """Number of jobs without a valid receipt."""
    folder = receipts_dir(store_path, site)
    receipts = (read_receipt(folder, job.name(spec), spec.digest) for job in jobs_of(spec))
    return sum(receipt is None for receipt in receipts)


def _refuse_foreign(store_path: Path) -> None:
    fault = store_fault(store_path)
    refuse([fault] if fault else [])


def _open_array(
    group: zarr.Group, expected: ArrayTemplate, where: str
) -> tuple[StoredArray | None, Fault | None]:
    """An array of the site, if it is the one that the schema lays down."""
    name = expected.variable.name
    try:
        array = array_of(group, name)
        found = {
            "shape": array.shape,
            "chunks": array.chunks,
            "shards": array.shards,
            "dims": array.metadata.to_dict().get("dimension_names"),
            "attributes": array.attrs.asdict(),
        }
    except _READ_ERRORS as error:
        return None, Fault(where, name, "an array", f"unreadable ({type(error).__name__}: {error})")
    planned = {
        "shape": expected.shape,
        "chunks": expected.chunks,
        "shards": expected.shards,
        "dims": expected.variable.dims,
        "attributes": dict(expected.attrs),
    }
    for key, value in planned.items():
        if found[key] != value:
            return array, Fault(where, f"{name}, {key}", repr(value), repr(found[key]))
    return array, None


def _read_static(array: StoredArray, planned: AnyArray, where: str) -> tuple[str, Fault | None]:
    try:
        found = variable_digest(np.asarray(array[...]))
    except _READ_ERRORS as error:
        text = f"unreadable ({type(error).__name__}: {error})"
        return "", Fault(where, array.basename, "the values of the spec", text)
    if found != variable_digest(planned):
        return "", Fault(where, array.basename, "the values of the spec", "other content")
    return found, None


def _read_block(
    array: StoredArray, job: Job, receipt: Receipt, where: str
) -> tuple[AnyArray, Fault | None]:
    name = array.basename
    key = f"{name}, realisation {job.realisation}, points {job.start}:{job.stop}"
    expected = "the data of the receipt"
    nothing = np.empty(0)
    # A file that is not there would read as fill values.
    file_rows = (array.shards or array.chunks)[1]
    inner = ["0"] * (array.ndim - 2)
    file = Path(where, name, "c", str(job.realisation), str(job.start // file_rows), *inner)
    if not file.is_file():
        return nothing, Fault(where, key, expected, "no file")
    try:
        block = np.asarray(array[job.realisation, job.points])
    except _READ_ERRORS as error:
        return nothing, Fault(where, key, expected, f"unreadable ({type(error).__name__}: {error})")
    if variable_digest(block) != receipt.digests.get(name):
        return nothing, Fault(where, key, expected, "other content")
    return block, None


def _missing_fault(where: str, names: list[str], total: int) -> Fault:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return Fault(where, "jobs", f"{total} receipts", f"{len(names)} missing ({shown})")
