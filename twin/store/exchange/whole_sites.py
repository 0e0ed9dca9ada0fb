"""Sites as single files and back, bit for bit: what NPZ and HDF5 have in common.

A file holds all variables as the store does, and a record in JSON: the site's spec, its provenance
and a digest of every variable, by which the file is checked before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import xarray as xr
from pydantic import JsonValue, ValidationError

from twin.config import StrictModel
from twin.errors import Fault, InputError, refuse
from twin.store.content import AnyArray, StreamDigest
from twin.store.exchange.files import Source, invalid
from twin.store.layout import Job, jobs_of
from twin.store.location import StoreRef
from twin.store.packing import with_csi
from twin.store.schema import SCHEMA_VERSION, VARIABLES, Variable
from twin.store.spec import SiteSpec
from twin.store.template import static_values
from twin.store.writer import (
    claimed,
    create_site,
    note_traced,
    pending_jobs,
    publish,
    write_shard,
)

FORMAT = "fingertwin/site-file@1"
RECORD = "attributes"


class SiteRecord(StrictModel):
    """What a file says of the site in it.

    Args:
        format: `FORMAT`.
        store_schema: schema version of the store it came from.
        site: name of the site there.
        digest: content digest of the site there.
        spec: the site's spec.
        attributes: what else stood at the site: provenance, and what the ray tracer said.
        digests: BLAKE3 of every variable, by name.
    """

    format: str
    store_schema: str
    site: str
    digest: str
    spec: SiteSpec
    attributes: dict[str, JsonValue]
    digests: dict[str, str]


class SiteFile(Protocol):
    """A file with a site in it, opened for reading."""

    @property
    def where(self) -> str:
        """How messages name it."""
        ...

    def record(self) -> str | None:
        """The record's text; None where there is none."""
        ...

    def shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Type name (``string`` for text) and shape of every array, by name."""
        ...

    def read(self, name: str, job: Job | None) -> AnyArray:
        """An array whole, or a job's points of it without the realisation dimension."""
        ...


def exported_variables(source: Source) -> list[str]:
    """Names of all variables that a file of the site holds, in order."""
    return [name for name in sorted(source.arrays) if name != "receipt"]


def site_record(source: Source, digests: dict[str, str]) -> str:
    """The record of an exported site as JSON."""
    record = SiteRecord(
        format=FORMAT,
        store_schema=SCHEMA_VERSION,
        site=source.site,
        digest=str(source.attributes["digest"]),
        spec=source.spec,
        attributes={
            key: source.attributes[key]
            for key in ("provenance", "traced")
            if key in source.attributes
        },
        digests=digests,
    )
    return record.model_dump_json(indent=1)


def digested(
    name: str, shape: tuple[int, ...], blocks: Iterator[AnyArray], digests: dict[str, str]
) -> Iterator[AnyArray]:
    """The blocks of a variable, passed on; its digest is noted behind the last."""
    stream = StreamDigest()
    for block in blocks:
        stream.update(block)
        yield block
    digests[name] = stream.hexdigest(_digest_type(VARIABLES[name]), shape)


def _digest_type(variable: Variable) -> str:
    text = variable.dtype == "string"
    return "string" if text else np.dtype(variable.dtype).newbyteorder("<").str


def import_site(file: SiteFile, store: StoreRef, site: str, *, overwrite: bool) -> str:
    """Check a file from end to end, then write it as a site.

    Returns:
        The site's content digest, the same as where it was exported.

    Raises:
        InputError: not a file of ours, another version, variables that are missing, foreign or of
            another shape or type than the spec says, or content that is not what was exported. All
            faults are named, and nothing is written.
        StoreError: see `twin.store.writer.write_site`.
    """
    record = _read_record(file)
    refuse(_layout_faults(file, record.spec, record))
    refuse(_content_faults(file, record))
    imported: JsonValue = {
        "format": record.format,
        "file": file.where.replace("\\", "/").rpartition("/")[2],
        "site": record.site,
        "digest": record.digest,
    }
    before = record.attributes.get("provenance")
    provenance = {"imported": imported, "provenance": before}
    traced = record.attributes.get("traced")
    with claimed(store, site):
        digest = create_site(store, site, record.spec, provenance=provenance, overwrite=overwrite)
        if isinstance(traced, dict):
            note_traced(store, site, traced)
        for job in pending_jobs(store, site):
            block = _job_dataset(file, record.spec, job)
            write_shard(store, site, job.realisation, job.points, block, digest)
        return publish(store, site)


def _read_record(file: SiteFile) -> SiteRecord:
    text = file.record()
    cure = "Name a file that was exported by this program."
    if text is None:
        found = f"no entry {RECORD!r}"
        raise InputError([Fault(file.where, "", "a site exported by this program", found, cure)])
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        fault = Fault(file.where, RECORD, "a record in JSON", str(error), cure)
        raise InputError([fault]) from error
    known = content if isinstance(content, dict) else {}
    cure = "Use the version of this program that wrote it, or export the site anew."
    refuse(
        Fault(file.where, f"{RECORD}, {key}", repr(expected), repr(known.get(key)), cure)
        for key, expected in (("format", FORMAT), ("store_schema", SCHEMA_VERSION))
        if known.get(key) != expected
    )
    try:
        return SiteRecord.model_validate_json(text)
    except ValidationError as error:
        raise invalid(f"{file.where}, {RECORD}", error) from error


def _layout_faults(file: SiteFile, spec: SiteSpec, record: SiteRecord) -> list[Fault]:
    planned = {name for name in spec.job_variables if name != "receipt"} | {*static_values(spec)}
    found = file.shapes()
    faults = [
        Fault(file.where, name, "a variable that the spec names", "nothing")
        for name in sorted(planned - set(found))
    ]
    faults += [
        Fault(file.where, name, "variables that the spec names only", "another one")
        for name in sorted(set(found) - planned)
    ]
    for name in sorted(planned & set(found)):
        variable = VARIABLES[name]
        expected = (variable.dtype, tuple(spec.sizes[dim] for dim in variable.dims))
        if found[name] != expected:
            faults.append(Fault(file.where, name, _described(*expected), _described(*found[name])))
    if not faults:
        faults = [
            Fault(file.where, f"{RECORD}.digests.{name}", "a digest", "none")
            for name in sorted(planned - set(record.digests))
        ]
    return faults


def _described(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype} of shape {shape}"


def _content_faults(file: SiteFile, record: SiteRecord) -> list[Fault]:
    digests: dict[str, str] = {}
    for name, (_, shape) in file.shapes().items():
        jobs: Iterator[Job | None] = iter([None])
        if VARIABLES[name].by_point:
            jobs = iter(jobs_of(record.spec))
        blocks = (file.read(name, job) for job in jobs)
        for _ in digested(name, shape, blocks, digests):
            pass
    cure = "The file was changed or damaged since it was exported; export it anew."
    return [
        Fault(file.where, name, f"content with digest {record.digests[name]}", found, cure)
        for name, found in sorted(digests.items())
        if found != record.digests[name]
    ]


def _job_dataset(file: SiteFile, spec: SiteSpec, job: Job) -> xr.Dataset:
    values = {
        name: (VARIABLES[name].dims[1:], file.read(name, job)) for name in spec.point_variables
    }
    for name in spec.block_variables:
        block = file.read(name, None)[job.realisation, job.block(spec)]
        values[name] = (VARIABLES[name].dims[2:], block)
    return with_csi(xr.Dataset(values))


def opened(where: str, error: Exception, kind: str) -> InputError:
    """The refusal of a file that does not open."""
    text = str(error).strip() or type(error).__name__
    return InputError([Fault(where, "", f"{kind}, whole", text, "Fetch or export it anew.")])
