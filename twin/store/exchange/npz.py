"""A site as one NumPy archive: an array a variable, no pickles, and a record in JSON."""

from __future__ import annotations

import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np

from twin.errors import refuse
from twin.store.content import AnyArray
from twin.store.exchange.files import read_source, target_faults, whole_target
from twin.store.exchange.npz_stream import NpzReader, NpzWriter
from twin.store.exchange.whole_sites import (
    RECORD,
    digested,
    exported_variables,
    import_site,
    site_record,
)
from twin.store.layout import Job
from twin.store.location import StoreRef
from twin.store.schema import VARIABLES


def export_npz(store: StoreRef, site: str, target: Path) -> Path:
    """Write a published site as one .npz file.

    ``numpy.load`` opens it: each variable of the store under its name, text as fixed-width text,
    and ``attributes``, JSON text with the site's spec, provenance and digests. A site of the
    layout ``compact`` is compressed. Memory holds one block of points at a time.

    Args:
        store: path or URL of the store.
        site: name of the site.
        target: the file, ending in .npz; there must be nothing yet.

    Returns:
        The target.

    Raises:
        InputError: something is at the target or it has no folder; no such store or site.
        StoreError: the site is not whole; the disk refuses.
    """
    refuse(target_faults(target, ".npz"))
    source = read_source(store, site)
    digests: dict[str, str] = {}
    with whole_target(target) as part, zipfile.ZipFile(part, "w") as file:
        archive = NpzWriter(file, compress=source.spec.layout == "compact")
        for name in exported_variables(source):
            shape = source.arrays[name].shape
            blocks = digested(name, shape, source.blocks(name), digests)
            if VARIABLES[name].dtype == "string":
                text = np.array([str(value) for block in blocks for value in block])
                archive.write(name, text.dtype, text.shape, [text])
            else:
                archive.write(name, source.arrays[name].dtype, shape, blocks)
        record = np.array(site_record(source, digests))
        archive.write(RECORD, record.dtype, (), [record])
    return target


def import_npz(source: Path, store: StoreRef, site: str, *, overwrite: bool = False) -> str:
    """Write a site from a file of `export_npz`, bit for bit.

    The file is read twice, the first time to check it; memory holds one block of points at a time.

    Args:
        source: the file.
        store: path or URL of the store; created where there is none.
        site: name of the site; need not be the one it was exported from.
        overwrite: remove a site of the same name whose spec differs.

    Returns:
        The site's content digest, the same as where it was exported.

    Raises:
        InputError, StoreError: see `twin.store.exchange.whole_sites.import_site`.
    """
    with closing(NpzReader(source)) as reader:
        return import_site(_NpzSite(source, reader), store, site, overwrite=overwrite)


class _NpzSite:
    """See `twin.store.exchange.whole_sites.SiteFile`."""

    def __init__(self, path: Path, reader: NpzReader) -> None:
        self.where = str(path)
        self._reader = reader

    def record(self) -> str | None:
        header = self._reader.headers.get(RECORD)
        if header is None or header.shape or header.dtype.kind != "U":
            return None
        return str(self._reader.whole(RECORD))

    def shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {
            name: ("string" if header.dtype.kind == "U" else header.dtype.name, header.shape)
            for name, header in self._reader.headers.items()
            if name != RECORD
        }

    def read(self, name: str, job: Job | None) -> AnyArray:
        if job is None:
            return self._reader.whole(name)
        _, points, *rest = self._reader.headers[name].shape
        row = int(np.prod(rest, dtype=np.int64))
        start = (job.realisation * points + job.start) * row
        block = self._reader.read(name, start, (job.stop - job.start) * row)
        return block.reshape(job.stop - job.start, *rest)
