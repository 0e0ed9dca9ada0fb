"""Reading the rows of a selection: a chunk's worth at a time, or all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
import zarr.buffer.cpu
from zarr.core.buffer import NDArrayLike

from twin.errors import Fault, InputError, StoreError
from twin.store.feed.selection import (
    AnyArray,
    Column,
    Indices,
    Selection,
    Source,
    open_sources,
    packed_names,
)
from twin.store.packing import unpack
from twin.store.storage import READ_ERRORS

Places = slice | Indices
Values = dict[str, AnyArray]


@dataclass(frozen=True, slots=True)
class Unit:
    """Neighbouring points of one realisation that are read together.

    Args:
        source: index of the site.
        realisation: index within the site.
        start: first point.
        stop: behind the last point.
        first: number of its first row within the selection.
        rows: how many of its points are rows.
    """

    source: int
    realisation: int
    start: int
    stop: int
    first: int
    rows: int

    @property
    def points(self) -> int:
        """Points read, rows or not."""
        return self.stop - self.start


class Rows:
    """The rows of a selection, numbered in the order of the store.

    Attributes:
        units: what is read at once: the points of a chunk of the variable with the largest rows, or
            of a part of it where parts can be read.
        count: number of rows.
        columns: the stored variables that are read, by name, as the first site has them.
    """

    def __init__(self, selection: Selection) -> None:
        """Count the rows; errors as `open_sources`, and InputError where there is no row."""
        self._selection = selection
        self._sources = open_sources(selection)
        self.columns: Mapping[str, Column] = self._sources[0].columns
        self.units = tuple(_units(self._sources))
        self.count = sum(unit.rows for unit in self.units)
        if not self.count:
            found = "none that status, split and heard_only leave"
            raise InputError([Fault("selection", "rows", "at least one", found)])

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of all stored variables, as wanted."""
        return sum(column.row_bytes for column in self.columns.values())

    @property
    def shapes(self) -> dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]:
        """Shape of one row and type of each wanted variable."""
        found = {name: (column.shape, column.dtype) for name, column in self.columns.items()}
        packed = packed_names(found)
        if packed and "csi" in self._selection.names:
            found["csi"] = found[packed[0]][0][:-1], np.dtype(np.complex64)
        return {name: found[name] for name in self._selection.names}

    def scratch_bytes(self, names: Iterable[str]) -> int:
        """Memory that `read` needs beside the places, for any unit."""
        return max(
            (u.points * self._column(u, n).stored_bytes for n in names for u in self._kinds()),
            default=0,
        )

    def reading_bytes(self, names: Iterable[str]) -> int:
        """Most memory that reading a unit takes beside the places, variable after variable."""
        return max((self._reading_bytes(u, n) for n in names for u in self._kinds()), default=0)

    def _reading_bytes(self, unit: Unit, name: str) -> int:
        return self._column(unit, name).reading_bytes(unit.points, unit.rows == unit.points)

    def _kinds(self) -> list[Unit]:
        """A unit of each site, size and way of reading."""
        kinds = {(u.source, u.points, u.rows == u.points): u for u in self.units}
        return list(kinds.values())

    def read(
        self,
        unit: Unit,
        name: str,
        out: AnyArray,
        places: Places,
        scratch: npt.NDArray[np.uint8],
    ) -> None:
        """Read the unit's rows into places along the first axis of `out`.

        Args:
            unit: which points.
            name: stored variable.
            out: (place, *row shape).
            places: one a row.
            scratch: `scratch_bytes` of memory that is free.

        Raises:
            StoreError: the store cannot be read there, or nobody has written it.
        """
        column, kept = self._column(unit, name), self._kept(unit)
        flat = scratch[: unit.points * column.stored_bytes].view(column.dtype)
        block: AnyArray = flat.reshape(unit.points, *column.stored_shape)
        self._read_into(block, unit, name)
        if column.picks:
            block = block[np.ix_(np.flatnonzero(kept), *column.picks)]
        elif unit.rows < unit.points:
            block = block[kept]
        out[places] = block
        self._check_written(unit, name, out, places)

    def _read_into(self, block: AnyArray, unit: Unit, name: str) -> None:
        column = self._column(unit, name)
        try:
            if column.files is not None:
                column.files.read(unit.realisation, unit.start, block)
            else:
                where = slice(unit.realisation, unit.realisation + 1), slice(unit.start, unit.stop)
                target = zarr.buffer.cpu.NDBuffer(cast(NDArrayLike, block[np.newaxis]))
                column.array.get_basic_selection(where, out=target)
        except READ_ERRORS as error:
            raise self._damaged(unit, name, f"unreadable ({error})") from error

    def _check_written(self, unit: Unit, name: str, out: AnyArray, places: Places) -> None:
        column = self._column(unit, name)
        # Zarr gives the fill value for a file that is not there; one value a row tells.
        if column.never_empty and np.isnan(out[(places, *(0,) * len(column.shape))]).any():
            raise self._damaged(unit, name, "never written, or a file is missing")

    def _damaged(self, unit: Unit, name: str, found: str) -> StoreError:
        where = self._sources[unit.source].where
        return StoreError(
            f"{where}, {name} of realisation {unit.realisation}, points {unit.start} to "
            f"{unit.stop - 1}: expected values, found them {found}. Verify the site."
        )

    def load(self, name: str, spare_bytes: int) -> AnyArray:
        """A stored variable of all rows, (row, *row shape), in the order of the store.

        Args:
            name: of the variable.
            spare_bytes: memory that reading may take beside the result; one unit is always read.

        Raises:
            StoreError: the store cannot be read.
        """
        column = self.columns[name]
        loaded: AnyArray = np.empty((self.count, *column.shape), column.dtype)
        for span in self._spans(name, spare_bytes):
            places = slice(span.first, span.first + span.rows)
            stored = self._column(span, name)
            if span.rows == span.points and not stored.picks:
                self._read_into(loaded[places], span, name)
                self._check_written(span, name, loaded, places)
            else:
                scratch = np.empty(span.points * stored.stored_bytes, np.uint8)
                self.read(span, name, loaded, places, scratch)
        return loaded

    def wanted(self, stored: Mapping[str, AnyArray]) -> tuple[Values, Values]:
        """Inputs and targets, by name, from the stored variables of some rows."""
        values = dict(stored)
        packed = packed_names(stored)
        if packed and "csi" in self._selection.names:
            values["csi"] = unpack({name: stored[name] for name in packed})
        inputs, targets = self._selection.input_names, self._selection.target_names
        return {name: values[name] for name in inputs}, {name: values[name] for name in targets}

    def _spans(self, name: str, spare_bytes: int) -> Iterator[Unit]:
        """Units, joined as far as the memory allows."""
        span: Unit | None = None
        for unit in self.units:
            joined = None if span is None else _joined(span, unit)
            if joined is not None and self._reading_bytes(joined, name) <= spare_bytes:
                span = joined
                continue
            if span is not None:
                yield span
            span = unit
        if span is not None:
            yield span

    def _column(self, unit: Unit, name: str) -> Column:
        return self._sources[unit.source].columns[name]

    def _kept(self, unit: Unit) -> npt.NDArray[np.bool_]:
        kept = self._sources[unit.source].kept[unit.realisation]
        return np.asarray(kept[unit.start : unit.stop])


def _units(sources: Iterable[Source]) -> Iterator[Unit]:
    first = 0
    for index, source in enumerate(sources):
        step = source.unit_points
        for realisation, kept in source.kept.items():
            for start in range(0, len(kept), step):
                stop = min(start + step, len(kept))
                rows = int(np.count_nonzero(kept[start:stop]))
                if rows:
                    yield Unit(index, realisation, start, stop, first, rows)
                first += rows


def _joined(before: Unit, after: Unit) -> Unit | None:
    """Two units as one; None where they do not touch."""
    same = (before.source, before.realisation) == (after.source, after.realisation)
    if not same or before.stop != after.start:
        return None
    return replace(before, stop=after.stop, rows=before.rows + after.rows)
