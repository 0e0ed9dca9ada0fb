"""The memory of a feed: what it is used for, and how batches give theirs back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.store.feed.rows import Rows
from twin.store.feed.selection import AnyArray, Indices
from twin.store.feed.shuffle import BYTES_A_ROW

#: Batches that the consumer and what lies between may hold at a time within the memory given.
BATCHES_OUT = 4
_MOST_READS = 8
# TensorFlow takes arrays on such a boundary without copying them.
_ALIGNMENT = 64


@dataclass(frozen=True)
class Shares:
    """What the memory is used for.

    Args:
        held: variables of which all rows are kept in memory.
        places: rows in memory of the other variables, those that are being read included.
        depth: most rows that a batch is drawn from.
        reads: most units that are read at a time.
    """

    held: tuple[str, ...]
    places: int
    depth: int
    reads: int


class Lender:
    """Lends aligned memory to batches and takes it back when the batch is gone.

    Fresh memory costs as much as the copying: the system must clear every page of it.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._spare: dict[str, list[npt.NDArray[np.uint8]]] = {}

    def rows(self, name: str, source: AnyArray, places: Indices) -> AnyArray:
        """Some rows of a variable's array, a batch at most, in memory of the caller's own."""
        spare = self._spare.setdefault(name, [])
        row_bytes = source.dtype.itemsize * int(np.prod(source.shape[1:], dtype=np.int64))
        if spare:
            memory = spare.pop()
        else:
            memory = np.empty(row_bytes * self._batch_size + _ALIGNMENT, np.uint8)
        offset = -memory.ctypes.data % _ALIGNMENT
        flat = memory[offset : offset + row_bytes * len(places)].view(source.dtype)
        lent = flat.reshape(len(places), *source.shape[1:])
        out: AnyArray = np.asarray(_Loan(lent, memory, spare))
        # Any other mode would gather in memory of its own first.
        np.take(source, places, axis=0, out=out, mode="clip")
        return out


class _Loan:
    """Base of the arrays that share lent memory: goes when the last of them goes."""

    def __init__(
        self,
        lent: AnyArray,
        memory: npt.NDArray[np.uint8],
        spare: list[npt.NDArray[np.uint8]],
    ) -> None:
        self.__array_interface__ = lent.__array_interface__
        self._memory = memory
        self._spare = spare

    def __del__(self) -> None:
        if len(self._spare) < BATCHES_OUT:
            self._spare.append(self._memory)


def bytes_out(rows: Rows) -> int:
    """Bytes of one row of a batch: as stored, and unpacked where that differs."""
    unpacked = rows.shapes.keys() - rows.columns.keys()
    extra = sum(
        int(np.prod(rows.shapes[name][0], dtype=np.int64)) * rows.shapes[name][1].itemsize
        for name in unpacked
    )
    return rows.row_bytes + extra


def _least_rows(rows: Rows, batch_size: int) -> int:
    return min(rows.count, batch_size + max(unit.rows for unit in rows.units))


def least_bytes(rows: Rows, batch_size: int) -> int:
    """Least memory for a feed: rows for a batch, one unit being read, batches on their way."""
    reading = rows.reading_bytes(rows.columns)
    places = _least_rows(rows, batch_size) * (rows.row_bytes + BYTES_A_ROW)
    return BATCHES_OUT * batch_size * bytes_out(rows) + reading + places


def shares(rows: Rows, batch_size: int, buffer_bytes: int) -> Shares:
    """Divide the memory; the number of readers has no part in it."""
    columns = sorted(rows.columns, key=lambda name: (rows.columns[name].row_bytes, name))
    batches = BATCHES_OUT * batch_size * bytes_out(rows)
    all_rows = rows.count * (rows.row_bytes + BYTES_A_ROW)
    if batches + rows.reading_bytes(columns) + all_rows <= buffer_bytes:
        return Shares(tuple(columns), rows.count, rows.count, 1)
    spare = buffer_bytes - least_bytes(rows, batch_size)
    # Small variables whole: their chunks hold far more rows than a unit has.
    held: list[str] = []
    held_bytes = 0
    for name in columns[:-1]:
        size = rows.count * rows.columns[name].row_bytes
        if held_bytes + size > spare // 4:
            break
        held.append(name)
        held_bytes += size
    streamed = columns[len(held) :]
    reading = rows.reading_bytes(streamed)
    reads = 1 + min(_MOST_READS - 1, spare // 4 // reading)
    row_bytes = BYTES_A_ROW + sum(rows.columns[name].row_bytes for name in streamed)
    least = _least_rows(rows, batch_size)
    more = (spare - held_bytes - (reads - 1) * reading) // row_bytes
    # A quarter is read ahead.
    places, depth = least + more, least + more * 3 // 4
    return Shares(tuple(held), min(rows.count, places), min(rows.count, depth), reads)
