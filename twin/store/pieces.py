"""A site read a piece of points at a time, so that memory stays bounded; and places named."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import zarr
from pydantic import JsonValue

from twin.errors import Fault, StoreError, refuse
from twin.store.content import AnyArray
from twin.store.layout import (
    Job,
    StoredArray,
    attributes_of,
    check_readable,
    is_published,
    open_group,
    read_spec,
    site_names,
    site_url,
)
from twin.store.receipts import Receipt, read_receipts
from twin.store.schema import DimensionName, Variable
from twin.store.spec import SiteSpec
from twin.store.storage import READ_ERRORS, Storage, run
from twin.store.structure import open_arrays
from twin.store.template import ArrayTemplate, template

# Of the variables that are read together; what is computed of them takes a few times as much.
PIECE_BYTES = 32 * 1024 * 1024
_TEXT_LIMIT = 300


class UnreadableError(StoreError):
    """Values of a finished job that are not there or cannot be decoded.

    Attributes:
        variable: its name.
        found: what was met instead of values.
    """

    def __init__(self, where: str, variable: str, found: str) -> None:
        self.variable = variable
        self.found = short(found)
        super().__init__(
            f"{where}: {variable}: expected data that can be read, found {self.found}. "
            "Look with `twin store verify` at what else is damaged."
        )


class SitePieces:
    """A site, published or not, opened for reading a piece of points at a time.

    Args:
        place: where the store lies.
        site: name of the site.

    Attributes:
        where: how messages name the site.
        spec: what it was created from.
        attributes: of its group.

    Raises:
        InputError: no store of ours there, or no such site.
        StoreError: the site's metadata is damaged.
    """

    def __init__(self, place: Storage, site: str) -> None:
        self.place = place
        self.site = site
        self.where = site_url(place, site)
        self.group: zarr.Group = open_group(place, site)
        self.spec: SiteSpec = read_spec(self.group, self.where)
        self.attributes: dict[str, JsonValue] = attributes_of(self.group)
        self._arrays: dict[str, StoredArray] = {}
        self._there: set[str] = set()

    @cached_property
    def receipts(self) -> dict[Job, Receipt]:
        """Of the jobs that are done."""
        try:
            return read_receipts(self.group, self.spec)
        except READ_ERRORS as error:
            raise self._unreadable("receipt", error) from error

    @cached_property
    def _template(self) -> dict[str, ArrayTemplate]:
        return template(self.spec)

    def cut(self, job: Job, names: Collection[str]) -> Iterator[slice]:
        """Pieces of a job's points, small enough for the named variables; see `cut`."""
        return cut(self._template, job.start, job.stop, names)

    @property
    def published(self) -> bool:
        """Whether the site says that it is whole."""
        return is_published(self.group)

    def read(self, name: str, realisation: int, points: slice) -> AnyArray:
        """Values of a variable of the points, (point, ...).

        Raises:
            UnreadableError: they cannot be read.
        """
        array = self._array(name)
        rows = (array.shards or array.chunks)[1]
        numbers = range(points.start // rows, (points.stop - 1) // rows + 1)
        self._require_files(array, name, realisation, numbers)
        try:
            return np.asarray(array[realisation, points])
        except READ_ERRORS as error:
            raise self._unreadable(name, error) from error

    def read_block(self, name: str, job: Job) -> AnyArray:
        """Values of a variable that has one entry a job.

        Raises:
            UnreadableError: they cannot be read.
        """
        array, number = self._array(name), job.block(self.spec)
        self._require_files(array, name, job.realisation, range(number, number + 1))
        try:
            return np.asarray(array[job.realisation, number])
        except READ_ERRORS as error:
            raise self._unreadable(name, error) from error

    def read_whole(self, name: str) -> AnyArray:
        """All values of a variable; for small ones that no job writes.

        Raises:
            UnreadableError: they cannot be read.
        """
        array = self._array(name)
        try:
            return np.asarray(array[...])
        except READ_ERRORS as error:
            raise self._unreadable(name, error) from error

    def _array(self, name: str) -> StoredArray:
        if name not in self._arrays:
            try:
                self._arrays |= open_arrays(self.place, self.group, [name])
            except READ_ERRORS as error:
                raise self._unreadable(name, error) from error
        return self._arrays[name]

    def _require_files(
        self, array: StoredArray, name: str, realisation: int, numbers: range
    ) -> None:
        """Refuse to read where a file is not there: it would read as fill values."""
        inner = "/0" * (array.ndim - 2)
        for number in numbers:
            file = f"{array.path}/c/{realisation}/{number}{inner}"
            if file in self._there:
                continue
            if not run(lambda file=file: array.store.exists(file)):  # type: ignore[misc]
                raise UnreadableError(self.where, name, f"no file {file}")
            self._there.add(file)

    def _unreadable(self, name: str, error: BaseException) -> UnreadableError:
        return UnreadableError(self.where, name, f"{type(error).__name__}: {error}")


def published_sites(place: Storage) -> list[SitePieces]:
    """All published sites of a store, by name.

    Raises:
        InputError: no store of ours there, or no published site in it.
        StoreError: a site's metadata is damaged.
    """
    check_readable(place)
    sites = [SitePieces(place, name) for name in site_names(place)]
    published = [site for site in sites if site.published]
    if not published:
        found = ", ".join(f"{site.site} (unfinished)" for site in sites) or "no site at all"
        cure = "Finish the run that writes it: the same command again does what is missing."
        refuse([Fault(place.url, "", "a published site", found, cure)])
    return published


def cut(
    arrays: Mapping[str, ArrayTemplate], start: int, stop: int, names: Collection[str]
) -> Iterator[slice]:
    """Slices of points of which the named variables together fit `PIECE_BYTES`; one at least.

    Cuts lie between chunks of the variable with the smallest ones, so that it is decoded once.

    Args:
        arrays: how the site lies on disk.
        start: first point.
        stop: end of the points.
        names: of variables that belong to points.
    """
    chosen = [arrays[name] for name in names]
    row_bytes = sum(
        int(np.prod(array.shape[2:], dtype=np.int64)) * _itemsize(array.variable)
        for array in chosen
    )
    chunk = min((array.chunks[1] for array in chosen), default=1)
    rows = max(1, PIECE_BYTES // max(1, row_bytes))
    rows = max(chunk, rows // chunk * chunk)
    for first in range(start, stop, rows):
        yield slice(first, min(stop, first + rows))


def _itemsize(variable: Variable) -> int:
    return np.dtype(variable.dtype).itemsize


def named(spec: SiteSpec, dims: Sequence[DimensionName], index: Sequence[int]) -> str:
    """A cell in words, such as ``realisation 0 (first), point 5, ap AP1``."""
    words = []
    for dim, number in zip(dims, index, strict=True):
        if dim == "ap":
            words.append(f"ap {spec.access_points[number]}")
        elif dim == "realisation":
            label = spec.realisations[number]
            plain = f"realisation {number}"
            words.append(plain if label == plain else f"{plain} ({label})")
        elif spec.sizes[dim] > 1 or dim == "point":
            words.append(f"{dim} {number}")
    return ", ".join(words)


def number_text(value: object) -> str:
    """A value of a cell in words."""
    if isinstance(value, np.complexfloating | np.floating):
        return f"{value:.6g}"
    return str(value)


def short(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Text on one line, cut where it is long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."
