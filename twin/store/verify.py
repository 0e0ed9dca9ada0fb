"""Reading everything back: content digests of sites and stores, and what does not match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import zarr

from twin.errors import Fault, StoreError
from twin.store.content import AnyArray, StreamDigest, joint_digest, json_digest, variable_digest
from twin.store.layout import (
    Job,
    StoredArray,
    attributes_of,
    check_readable,
    is_published,
    jobs_of,
    open_group,
    read_spec,
    site_names,
    site_url,
    unpublished,
)
from twin.store.location import StoreRef, storage
from twin.store.receipts import Receipt, read_receipts
from twin.store.schema import SCHEMA_VERSION, VARIABLES
from twin.store.spec import SiteSpec
from twin.store.storage import READ_ERRORS, Storage, reported, run
from twin.store.structure import open_arrays, structure_faults
from twin.store.template import static_values


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


def digest(store: StoreRef) -> str:
    """Content digest over all published sites, computed from the data.

    It depends on what readers get: not on chunk files, layout, times, versions or the order of
    jobs.

    Raises:
        InputError: no store of ours there.
        StoreError: data differs from its receipts; or a site is unfinished.
    """
    place = storage(store)
    check_readable(place)
    digests = {}
    for site in site_names(place):
        group = open_group(place, site)
        where = site_url(place, site)
        if not is_published(group):
            raise not_published(place, site, group)
        reading = read_site(place, site)
        if reading.faults:
            raise StoreError("\n".join([f"{where}: damaged:", *map(str, reading.faults)]))
        digests[site] = reading.digest
    return json_digest([SCHEMA_VERSION, digests])


def verify(store: StoreRef) -> list[Fault]:
    """Everything in the store that is unfinished or damaged; empty for a store that is whole.

    Raises:
        InputError: no store of ours there.
    """
    place = storage(store)
    check_readable(place)
    faults: list[Fault] = []
    for site in site_names(place):
        where = site_url(place, site)
        try:
            group = open_group(place, site)
            reading = read_site(place, site)
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


def read_site(place: Storage, site: str) -> SiteReading:
    """Read a site whole and compare it with its spec and its receipts.

    Raises:
        InputError: no such store or site.
        StoreError: the site's own metadata is damaged, or the storage refuses.
    """
    where = site_url(place, site)
    with reported(where):
        group = open_group(place, site)
        spec = read_spec(group, where)
        faults = structure_faults(group, site, spec, where)
        if faults:
            return SiteReading("", tuple(faults), (), resumable=False)
        arrays = open_arrays(place, group, [*spec.job_variables, *static_values(spec)])
        digests = {}
        for name, planned in static_values(spec).items():
            digests[name], fault = _read_static(arrays[name], planned, where)
            faults += [fault] if fault is not None else []
        jobs = _read_jobs(place, group, site, spec, arrays)
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
    place: Storage,
    group: zarr.Group,
    site: str,
    spec: SiteSpec,
    arrays: Mapping[str, StoredArray],
) -> _JobsReading:
    """Everything that jobs wrote, against their receipts."""
    where = site_url(place, site)
    streams = {name: StreamDigest() for name in spec.point_variables}
    receipts = read_receipts(group, spec)
    faults: list[Fault] = []
    damaged = []
    missing = []
    for job in jobs_of(spec):
        if job not in receipts:
            missing.append(job.name(spec))
            continue
        bad = []
        for name in (*spec.point_variables, *spec.block_variables):
            block, fault = _read_block(arrays[name], job, spec, receipts[job], where)
            if name in streams:
                streams[name].update(block)
            bad += [fault] if fault is not None else []
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


def not_published(place: Storage, site: str, group: zarr.Group) -> StoreError:
    """The refusal of an unfinished site; says how many jobs are missing."""
    where = site_url(place, site)
    spec = read_spec(group, where)
    total = len(jobs_of(spec))
    return unpublished(where, total - len(read_receipts(group, spec)), total)


def _read_static(array: StoredArray, planned: AnyArray, where: str) -> tuple[str, Fault | None]:
    try:
        found = variable_digest(np.asarray(array[...]))
    except READ_ERRORS as error:
        text = f"unreadable ({type(error).__name__}: {error})"
        return "", Fault(where, array.basename, "the values of the spec", text)
    if found != variable_digest(planned):
        return "", Fault(where, array.basename, "the values of the spec", "other content")
    return found, None


def _read_block(
    array: StoredArray, job: Job, spec: SiteSpec, receipt: Receipt, where: str
) -> tuple[AnyArray, Fault | None]:
    """A job's values of one variable, and what is wrong with them."""
    name = array.basename
    key = f"{name}, realisation {job.realisation}, points {job.start}:{job.stop}"
    expected = "the data of the receipt"
    nothing = np.empty(0)
    if VARIABLES[name].by_point:
        files = (array.shards or array.chunks)[1]
        numbers = range(job.start // files, (job.stop - 1) // files + 1)
        place: tuple[int, int | slice] = (job.realisation, job.points)
    else:
        numbers = range(job.block(spec), job.block(spec) + 1)
        place = (job.realisation, job.block(spec))
    inner = "/0" * (array.ndim - 2)
    keys = [f"{array.path}/c/{job.realisation}/{number}{inner}" for number in numbers]
    # A file that is not there would read as fill values.
    lost = [file for file in keys if not run(lambda file=file: array.store.exists(file))]  # type: ignore[misc]
    if lost:
        return nothing, Fault(where, key, expected, f"no file {lost[0]}")
    try:
        block = np.asarray(array[place])
    except READ_ERRORS as error:
        return nothing, Fault(where, key, expected, f"unreadable ({type(error).__name__}: {error})")
    if variable_digest(block) != receipt.digests.get(name):
        return nothing, Fault(where, key, expected, "other content")
    return block, None


def _missing_fault(where: str, names: list[str], total: int) -> Fault:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return Fault(where, "jobs", f"{total} receipts", f"{len(names)} missing ({shown})")
