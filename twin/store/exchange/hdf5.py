"""A site as one HDF5 file with dimension scales and CF attributes, and a record in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import h5py
import numpy as np
from pydantic import JsonValue

from twin.errors import Fault, InputError, refuse
from twin.store.content import AnyArray
from twin.store.exchange.files import Source, read_source, target_faults, whole_target
from twin.store.exchange.whole_sites import (
    RECORD,
    digested,
    exported_variables,
    import_site,
    opened,
    site_record,
)
from twin.store.layout import Job, jobs_of
from twin.store.location import StoreRef
from twin.store.schema import VARIABLES

_SUFFIX = ".h5"
# Longer attributes do not fit into an object's header; they stand in the record.
_LONGEST_ATTRIBUTE = 8000
# What labels a dimension beside the variable of its own name.
_SCALES = {"realisation": "realisation_label", "snapshot": "visit"}


def export_hdf5(store: StoreRef, site: str, target: Path) -> Path:
    """Write a published site as one HDF5 file.

    Every variable of the store is a dataset under its name with its CF attributes, its dimensions
    are labelled, and those with coordinates have them attached as dimension scales. Complex numbers
    are HDF5 compounds of ``r`` and ``i``, as h5py, netCDF tools and MATLAB read them. The dataset
    ``attributes`` is JSON text with the site's spec, provenance and digests. A site of the layout
    ``compact`` is compressed. Memory holds one block of points at a time.

    Args:
        store: path or URL of the store.
        site: name of the site.
        target: the file, ending in .h5; there must be nothing yet.

    Returns:
        The target.

    Raises:
        InputError: something is at the target or it has no folder; no such store or site.
        StoreError: the site is not whole; the disk refuses.
    """
    refuse(target_faults(target, _SUFFIX))
    source = read_source(store, site)
    digests: dict[str, str] = {}
    with whole_target(target) as part, h5py.File(part, "w") as file:
        for name in exported_variables(source):
            _write(file, source, name, digests)
        _attach_scales(file, source)
        _set_attributes(file, source.attributes)
        file.create_dataset(RECORD, data=site_record(source, digests), dtype=h5py.string_dtype())
    return target


def import_hdf5(source: Path, store: StoreRef, site: str, *, overwrite: bool = False) -> str:
    """Write a site from a file of `export_hdf5`, bit for bit.

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
    try:
        file = h5py.File(source, "r")
    except OSError as error:
        raise opened(str(source), error, "an HDF5 file") from error
    with file:
        return import_site(_Hdf5Site(source, file), store, site, overwrite=overwrite)


def _write(file: h5py.File, source: Source, name: str, digests: dict[str, str]) -> None:
    array, variable = source.arrays[name], VARIABLES[name]
    blocks = digested(name, array.shape, source.blocks(name), digests)
    if variable.dtype == "string":
        text = [str(value) for block in blocks for value in block]
        dataset = file.create_dataset(name, data=text, dtype=h5py.string_dtype())
    else:
        chunks = tuple(min(pair) for pair in zip(array.chunks, array.shape, strict=True))
        compact = source.spec.layout == "compact" and variable.by_point
        dataset = file.create_dataset(
            name,
            array.shape,
            np.dtype(variable.dtype),
            chunks=chunks if variable.by_point else None,
            compression="gzip" if compact else None,
            compression_opts=1 if compact else None,
            shuffle=compact,
        )
        places = [(job.realisation, job.points) for job in jobs_of(source.spec)]
        for place, block in zip(places if variable.by_point else [...], blocks, strict=True):
            dataset[place] = block
    _set_attributes(dataset, cast(dict[str, JsonValue], array.attrs.asdict()))


def _attach_scales(file: h5py.File, source: Source) -> None:
    scales: dict[str, h5py.Dataset] = {}
    for dim in {dim for name in exported_variables(source) for dim in VARIABLES[name].dims}:
        name = _SCALES.get(dim, dim)
        if name in file and VARIABLES[name].dims == (dim,):
            scales[dim] = file[name]
            scales[dim].make_scale(dim)
    for name in exported_variables(source):
        for index, dim in enumerate(VARIABLES[name].dims):
            file[name].dims[index].label = dim
            if dim in scales and scales[dim] != file[name]:
                file[name].dims[index].attach_scale(scales[dim])


def _set_attributes(target: h5py.HLObject, attributes: Mapping[str, JsonValue]) -> None:
    for key, value in attributes.items():
        plain = isinstance(value, str | int | float | bool) or (
            isinstance(value, list) and all(isinstance(item, int | float) for item in value)
        )
        content = value if plain else json.dumps(value, ensure_ascii=False)
        if len(str(content)) <= _LONGEST_ATTRIBUTE:
            target.attrs[key] = content


class _Hdf5Site:
    """See `twin.store.exchange.whole_sites.SiteFile`."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.where = str(path)
        self._file = file

    def record(self) -> str | None:
        dataset = self._file.get(RECORD)
        if not isinstance(dataset, h5py.Dataset) or h5py.check_string_dtype(dataset.dtype) is None:
            return None
        return str(dataset.asstr()[()]) if dataset.shape == () else None

    def shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {
            name: self._shape(item) if isinstance(item, h5py.Dataset) else ("a group", ())
            for name, item in self._file.items()
            if name != RECORD
        }

    def _shape(self, dataset: h5py.Dataset) -> tuple[str, tuple[int, ...]]:
        text = h5py.check_string_dtype(dataset.dtype) is not None
        return "string" if text else dataset.dtype.name, dataset.shape

    def read(self, name: str, job: Job | None) -> AnyArray:
        dataset = self._file[name]
        view = dataset.asstr() if h5py.check_string_dtype(dataset.dtype) is not None else dataset
        try:
            values = view[...] if job is None else view[job.realisation, job.points]
        except OSError as error:
            fault = Fault(self.where, name, "data that can be read", str(error))
            raise InputError([fault]) from error
        return np.asarray(values)
