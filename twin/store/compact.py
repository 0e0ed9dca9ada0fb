"""Rewriting published sites for keeping and sharing: compressed, in few files."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from pydantic import JsonValue

from twin.errors import Fault, Gathered, StoreError, refuse
from twin.store.block import Block
from twin.store.content import AnyArray, variable_digest
from twin.store.layout import (
    Job,
    attributes_of,
    check_readable,
    group_in,
    occupant_fault,
    open_group,
    site_names,
    site_url,
)
from twin.store.local import LocalStorage
from twin.store.location import StoreRef, storage
from twin.store.packing import Precision, pack
from twin.store.pieces import SitePieces
from twin.store.schema import PACKED_CSI, VARIABLES
from twin.store.spec import SiteSpec
from twin.store.storage import Storage, reported
from twin.store.verify import read_site
from twin.store.writer import (
    claimed,
    create_site,
    note_traced,
    pending_jobs,
    publish,
    write_job,
)

# Of one file before compression: small enough to be fetched at once, large enough to be few.
FILE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Compacted:
    """What became of a site.

    Args:
        site: its name.
        digest: content digest of the new site.
        source_digest: of the old one; the same unless the precision was reduced.
        bytes_before: size of the old site.
        bytes_after: size of the new one.
        files_before: number of files or objects of the old site.
        files_after: of the new one.
        shard_points: points of a block of the new site.
        csi_nmse_mean: mean over the links of the squared error of the channel over its squares;
            None where channels are kept as they were.
        csi_nmse_max: the largest of a link.
    """

    site: str
    digest: str
    source_digest: str
    bytes_before: int
    bytes_after: int
    files_before: int
    files_after: int
    shard_points: int
    csi_nmse_mean: float | None
    csi_nmse_max: float | None

    def to_text(self) -> str:
        """For a person."""
        before = f"{self.bytes_before / 1e6:,.2f} MB in {self.files_before:,} files"
        after = f"{self.bytes_after / 1e6:,.2f} MB in {self.files_after:,} files"
        same = " (unchanged)" if self.digest == self.source_digest else " (another precision)"
        lines = [f"{self.site}: {before} -> {after}", f"  digest {self.digest}{same}"]
        if self.csi_nmse_mean is not None and self.csi_nmse_max is not None:
            mean, worst = _decibels(self.csi_nmse_mean), _decibels(self.csi_nmse_max)
            lines.append(f"  squared error of a link's channel: mean {mean}, at worst {worst}")
        return "\n".join(lines)


def compact(
    source: StoreRef,
    target: StoreRef,
    sites: Collection[str] | None = None,
    *,
    precision: Precision | None = None,
) -> dict[str, Compacted]:
    """Write published sites into another store: layout ``compact``, blocks as large as is sensible.

    A block holds a whole realisation where every file of it then holds at most `FILE_BYTES`; a
    variable with more than that a point still takes one point a file. The content stays what it is
    to the last bit, and so does its digest, which is compared before the new site is published;
    with a reduced precision everything but the channel stays. What jobs said of their blocks (how a
    search went) is joined where blocks are: the largest counts. The old site's provenance is kept,
    with a record of this step after it.

    A run that was killed goes on when started again; one that is done is done again at once.

    Args:
        source: path or URL of a store; not written to.
        target: path or URL of another one; made where there is none.
        sites: names; None: all that are published.
        precision: of the channel, ``int16`` or ``float16``, see `twin.store.packing`; None: as it
            is. Sites without a channel are not touched by it.

    Returns:
        What became of each site, by name.

    Raises:
        InputError: no store of ours at the source; the target is the source or is occupied; a site
            that is not there, not published, or in the target with another spec; no channel that
            could be reduced, or one that already is. All faults in one message.
        StoreError: the source is damaged; another run has a site; the storage refuses. What is
            written stays.
    """
    old, new = storage(source), storage(target)
    with reported(f"{old.url} or {new.url}"):
        check_readable(old)
        chosen = _chosen(old, new, sites, precision)
        _refuse_damage(chosen)
        specs = {site.site: compact_spec(site.spec, precision) for site in chosen}
        with ExitStack() as claims:
            _lay_out(chosen, specs, target, claims)
            return {site.site: _copy(site, specs[site.site], target) for site in chosen}


def compact_spec(spec: SiteSpec, precision: Precision | None = None) -> SiteSpec:
    """The same site in layout ``compact``.

    Args:
        spec: of the site.
        precision: wanted of the channel; None: as it is.
    """
    kept = precision if precision and "csi" in spec.variables else spec.precision
    changed = spec.model_copy(update={"layout": "compact", "precision": kept})
    row_bytes = max(_row_bytes(changed, name) for name in changed.point_variables)
    rows = max(1, FILE_BYTES // row_bytes)
    # A power of two has a divisor near any number of rows that a chunk should have.
    shard_points = spec.points if rows >= spec.points else 1 << (rows.bit_length() - 1)
    return changed.model_copy(update={"shard_points": shard_points})


def _row_bytes(spec: SiteSpec, name: str) -> int:
    variable = VARIABLES[name]
    cells = int(np.prod([spec.sizes[dim] for dim in variable.dims[2:]], dtype=np.int64))
    return cells * np.dtype(variable.dtype).itemsize


def _chosen(
    old: Storage, new: Storage, sites: Collection[str] | None, precision: Precision | None
) -> list[SitePieces]:
    """The sites to be written, all checked."""
    there = site_names(old)
    faults = []
    if _same_place(old, new):
        faults.append(Fault(new.url, "", "another store than the source", "the source itself"))
    else:
        occupied = occupant_fault(new)
        faults += [occupied] if occupied else []
    unknown = sorted(set(sites or ()) - set(there))
    if unknown:
        expected = f"some of {', '.join(there) or 'none'}"
        faults.append(Fault(old.url, "sites", expected, ", ".join(unknown)))
    if precision is not None and precision not in PACKED_CSI:
        faults.append(Fault("precision", "", f"one of {', '.join(PACKED_CSI)}", repr(precision)))
    chosen = []
    for name in there:
        if sites is None or name in sites:
            site = SitePieces(old, name)
            if site.published:
                chosen.append(site)
            elif sites is not None:
                cure = "Finish the run that writes it, or leave the site out."
                faults.append(Fault(site.where, "published", "true", "false", cure))
    if not chosen and not faults:
        faults.append(Fault(old.url, "sites", "a published site", "none"))
    if precision is not None:
        faults += _precision_faults(old, chosen, precision)
    refuse(faults)
    return chosen


def _precision_faults(old: Storage, chosen: list[SitePieces], precision: Precision) -> list[Fault]:
    kept = [site for site in chosen if "csi" in site.spec.variables]
    cure = "Start from the store with the channel as it was."
    faults = [
        Fault(site.where, "precision", f"complex64 or {precision}", site.spec.precision, cure)
        for site in kept
        if site.spec.precision not in {"complex64", precision}
    ]
    if chosen and not kept:
        faults.append(Fault(old.url, "precision", "a site that keeps csi", "none"))
    return faults


def _same_place(old: Storage, new: Storage) -> bool:
    if isinstance(old, LocalStorage) and isinstance(new, LocalStorage):
        return Path(old.path).resolve() == Path(new.path).resolve()
    return old.url == new.url


def _refuse_damage(chosen: list[SitePieces]) -> None:
    """Raise where the data is not what the receipts and the digest say: a copy would hide it."""
    for site in chosen:
        reading = read_site(site.place, site.site)
        recorded = site.attributes.get("digest")
        problems = [str(fault) for fault in reading.faults]
        if not problems and reading.digest != recorded:
            problems = [f"digest: expected {recorded}, found {reading.digest}"]
        if problems:
            raise StoreError("\n".join([f"{site.where}: damaged, not copied:", *problems]))


def _lay_out(
    chosen: list[SitePieces], specs: dict[str, SiteSpec], target: StoreRef, claims: ExitStack
) -> None:
    faults: list[Fault] = []
    for site in chosen:
        record = _record(site, specs[site.site])
        claims.enter_context(claimed(target, site.site))
        with Gathered(faults):
            create_site(target, site.site, specs[site.site], provenance={"compacted": record})
    refuse(faults)


def _record(site: SitePieces, spec: SiteSpec) -> dict[str, JsonValue]:
    """What was done, the same at every start."""
    source = site.spec
    return {
        "from_config_digest": source.digest,
        "from_digest": site.attributes["digest"],
        "from_layout": source.layout,
        "from_precision": source.precision,
        "from_shard_points": source.shard_points,
        "to_precision": spec.precision,
        "to_shard_points": spec.shard_points,
    }


def _copy(site: SitePieces, spec: SiteSpec, target: StoreRef) -> Compacted:
    """Write the jobs that are missing, compare digests, publish."""
    place = storage(target)
    name = site.site
    _carry_over(site, place, target)
    for job in pending_jobs(target, name):
        values = _job_values(site, spec, job)
        # As they are stored: neither checked nor sorted again.
        digests = {key: variable_digest(block) for key, block in values.items()}
        write_job(place, name, spec, job, Block(values, digests))
    source_digest = str(site.attributes["digest"])
    if spec.precision == site.spec.precision:
        found = read_site(place, name)
        if not found.faults and found.digest != source_digest:
            raise StoreError(
                f"{site_url(place, name)}: not published. Expected the source's content, digest "
                f"{source_digest}, found {found.digest}. Was the source written to meanwhile? "
                "Remove the site and run again."
            )
    digest = publish(target, name)
    mean, largest = (
        _errors(SitePieces(place, name)) if spec.precision != "complex64" else (None,) * 2
    )
    bytes_before, files_before = site.place.size(name)
    bytes_after, files_after = place.size(name)
    return Compacted(
        site=name,
        digest=digest,
        source_digest=source_digest,
        bytes_before=bytes_before,
        bytes_after=bytes_after,
        files_before=files_before,
        files_after=files_after,
        shard_points=spec.shard_points,
        csi_nmse_mean=mean,
        csi_nmse_max=largest,
    )


def _carry_over(site: SitePieces, place: Storage, target: StoreRef) -> None:
    """The source's provenance first, and what its tracer said."""
    known = attributes_of(open_group(place, site.site))
    before, now = site.attributes.get("provenance"), known.get("provenance")
    before = before if isinstance(before, list) else []
    now = now if isinstance(now, list) else []
    if now[: len(before)] != before:
        with place.change(f"{site.site}: keep the provenance") as opened:
            records = cast(JsonValue, [*before, *now])
            group_in(place, site.site, opened).update_attributes({"provenance": records})
    traced = site.attributes.get("traced")
    if isinstance(traced, dict) and known.get("traced") != traced:
        note_traced(target, site.site, traced)


def _job_values(site: SitePieces, spec: SiteSpec, job: Job) -> dict[str, AnyArray]:
    """A block of the new site, as it is to be stored."""
    values = {
        name: site.read(name, job.realisation, job.points) for name in site.spec.point_variables
    }
    if spec.precision not in {"complex64", site.spec.precision}:
        values |= pack(values.pop("csi"), spec.precision)
    return values | {name: _joined(site, name, job) for name in site.spec.block_variables}


def _joined(site: SitePieces, name: str, job: Job) -> AnyArray:
    """What the source's jobs of these points said of their blocks: the largest."""
    step, points = site.spec.shard_points, site.spec.points
    blocks = [
        site.read_block(name, Job(job.realisation, start, min(start + step, points)))
        for start in range(job.start // step * step, job.stop, step)
    ]
    return np.asarray(np.max(np.stack(blocks), axis=0))


def _errors(site: SitePieces) -> tuple[float | None, float | None]:
    """Mean and largest squared error of a link's channel."""
    total, count, largest = 0.0, 0, 0.0
    for job in site.receipts:
        found = site.read("csi_nmse", job.realisation, job.points).astype(np.float64)
        links = found[np.isfinite(found)]
        total += float(links.sum())
        count += links.size
        largest = max(largest, float(links.max(initial=0.0)))
    return (total / count, largest) if count else (None, None)


def _decibels(share: float) -> str:
    return f"{10.0 * np.log10(share):.1f} dB" if share > 0 else "none"
