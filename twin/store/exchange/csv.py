"""Received signal strengths as one plain table, and the same table back.

A row a scan: which realisation, point, visit and snapshot, where and what for, then a column an
access point. Units stand in the header; an empty cell of an access point is one that was not heard.
Tables of other layouts are for `twin.measured`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from blake3 import blake3
from pydantic import JsonValue, ValidationError

from twin.errors import refuse
from twin.store.content import AnyArray
from twin.store.exchange.csv_table import LABELS, PLACE, UNIT, Table, read_table
from twin.store.exchange.files import (
    Source,
    invalid,
    missing_faults,
    read_source,
    target_faults,
    whole_target,
)
from twin.store.layout import Job, jobs_of
from twin.store.location import StoreRef
from twin.store.schema import SPLITS, VARIABLES
from twin.store.spec import SiteSpec
from twin.store.writer import write_site

_IMPORTER = "rss-csv@1"
_ABSENT = 3
_SUFFIX = ".csv"
_EPOCH = "1970-01-01T00:00:00Z"


def export_csv(store: StoreRef, site: str, target: Path) -> Path:
    """Write the signal strengths of a published site as a CSV file in UTF-8.

    Columns: realisation, point, visit, snapshot, x, y and z [m], split; time and labels where the
    site has them; then ``NAME [dBm]`` for every access point. Numbers are written so that reading
    them gives the stored ones exactly. Points that are absent from a realisation have no rows.
    Not kept: where the access points are, and everything else that a site can hold. Memory holds
    one block of points at a time.

    Args:
        store: path or URL of the store.
        site: name of the site; it must keep ``rss``.
        target: the file, ending in .csv; there must be nothing yet.

    Returns:
        The target.

    Raises:
        InputError: something is at the target or it has no folder; no such store or site; a site
            without signal strengths. All faults are named.
        StoreError: the site is not whole; the disk refuses.
    """
    faults = target_faults(target, _SUFFIX)
    source = read_source(store, site)
    faults += missing_faults(source, ["rss"], "Export another format.")
    refuse(faults)
    with whole_target(target) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_header(source))
        for job in jobs_of(source.spec):
            writer.writerows(_rows(source, job))
    return target


def import_csv(
    source: Path,
    store: StoreRef,
    site: str,
    *,
    title: str = "",
    origin: Literal["measured", "simulated"] = "measured",
    attributes: Mapping[str, JsonValue] | None = None,
    shard_points: int = 256,
    overwrite: bool = False,
) -> str:
    """Write a site from a table of `export_csv`; any other layout is refused.

    Args:
        source: the file; it is held in memory.
        store: path or URL of the store; created where there is none.
        site: name of the site.
        title: what the site is, in words; the file's name where empty.
        origin: whether the numbers were measured or simulated, which the table does not say.
        attributes: for the reader, such as licence and citation.
        shard_points: points a job writes.
        overwrite: remove a site of the same name whose spec differs.

    Returns:
        The site's content digest.

    Raises:
        InputError: see `twin.store.exchange.csv_table.read_table`; nothing is written then.
        StoreError: see `twin.store.writer.write_site`.
    """
    table = read_table(source)
    try:
        spec = SiteSpec(
            title=title or source.name,
            origin=origin,
            realisations=table.realisations,
            points=table.present.shape[1],
            access_points=table.access_points,
            variables=("rss", "split", *(["time"] if table.time_origin else []), *table.labels),
            snapshots=table.rss.shape[2],
            visits=table.visits,
            shard_points=shard_points,
            layout="compact",
            config={"importer": _IMPORTER, "content": blake3(source.read_bytes()).hexdigest()},
            attributes={"source": source.name, **(attributes or {})},
            time_origin=table.time_origin or _EPOCH,
        )
    except ValidationError as error:
        raise invalid(str(source), error) from error
    provenance: dict[str, JsonValue] = {"imported": {"format": "CSV", "file": source.name}}
    return write_site(
        store,
        site,
        spec,
        lambda job: _dataset(table, job),
        provenance=provenance,
        overwrite=overwrite,
    )


def _header(source: Source) -> list[str]:
    spec = source.spec
    time = [f"time [s since {spec.time_origin}]"] if "time" in source.arrays else []
    names = (name + UNIT for name in spec.access_points)
    return [*PLACE, *time, *(name for name in LABELS if name in source.arrays), *names]


def _rows(source: Source, job: Job) -> Iterator[list[str]]:
    """The rows of a job's points, every number in its shortest exact form."""
    spec, arrays = source.spec, source.arrays

    def block(name: str) -> AnyArray:
        return np.asarray(arrays[name][job.realisation, job.points])

    label, status, position, rss = (
        spec.realisations[job.realisation],
        block("status"),
        block("position"),
        block("rss"),
    )
    split = block("split") if "split" in arrays else np.zeros(len(status), np.int8)
    time = [block("time")] if "time" in arrays else []
    labels = [block(name) for name in LABELS if name in arrays]
    scans_of_visit = spec.snapshots // spec.visits
    for row in np.flatnonzero(status != _ABSENT):
        about = [
            *(repr(float(value)) for value in position[row]),
            SPLITS[int(split[row])],
            *("" if np.isnan(values[row]) else repr(float(values[row])) for values in time),
            *(str(int(values[row])) for values in labels),
        ]
        for snapshot in range(spec.snapshots):
            strengths = ["" if np.isnan(value) else str(value) for value in rss[row, snapshot]]
            place = [label, str(job.start + row), str(snapshot // scans_of_visit), str(snapshot)]
            yield [*place, *about, *strengths]


def _dataset(table: Table, job: Job) -> xr.Dataset:
    part = (job.realisation, job.points)
    present = table.present[part]
    heard = np.isfinite(table.rss[part]).any(axis=(1, 2))
    values: dict[str, AnyArray] = {
        "position": table.position[part],
        "status": np.where(present, np.where(heard, 1, 2), _ABSENT).astype(np.int8),
        "split": table.split[part],
        "rss": table.rss[part],
        **{
            name: labels[part].astype(VARIABLES[name].dtype)
            for name, labels in table.labels.items()
        },
    }
    if table.time_origin:
        values["time"] = table.time[part]
    return xr.Dataset({name: (VARIABLES[name].dims[1:], array) for name, array in values.items()})
