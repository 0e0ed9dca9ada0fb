"""Batches of fingerprints for training, drawn at random from a store of any size.

Chunks, or parts of them, are read in random order into memory, and batches are drawn at random from
the rows that are there. `twin.store.feed.mixing` says how far that is from a shuffle of all rows.

With PyTorch, whose tensors then share the arrays' memory::

    feed = Feed(Selection("store.zarr", "office", "csi"), batch_size=256, seed=1)
    for epoch in range(20):
        for inputs, targets in feed.batches(epoch):
            loss = step(torch.from_numpy(inputs["csi"]), torch.from_numpy(targets["position"]))
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, Gathered, refuse
from twin.store.feed.memory import Lender, bytes_out, least_bytes, shares
from twin.store.feed.rows import Rows, Unit, Values
from twin.store.feed.selection import Indices, Selection
from twin.store.feed.shuffle import Shuffle

Batch = tuple[Values, Values]
Memory = dict[str, npt.NDArray[np.uint8]]

DEFAULT_BUFFER_BYTES = 256 * 1024 * 1024


class Feed:
    """Batches of the rows of a selection, in an order that follows from the seed and the epoch.

    The order also depends on the sizes (selection, batch, memory), never on the number of readers
    or on their timing. What fits into memory as a whole is read once and shuffled as a whole. One
    iteration at a time keeps to the memory given.

    Attributes:
        selection: what is fed.
        rows: the same, opened.
        batch_size: rows of a batch.
        shuffle: the order.
        drop_remainder: whether all batches are full.
        workers: that share each epoch.
    """

    def __init__(
        self,
        selection: Selection,
        *,
        batch_size: int,
        seed: int,
        buffer_bytes: int = DEFAULT_BUFFER_BYTES,
        readers: int = 2,
        worker: tuple[int, int] = (0, 1),
        drop_remainder: bool = False,
    ) -> None:
        """Check everything and find the rows; no fingerprint is read yet.

        Args:
            selection: which points, and what of them.
            batch_size: rows of a batch.
            seed: of the order; zero or greater.
            buffer_bytes: memory for everything in this module: window, reading, and four batches
                on their way; one byte a point for the selection itself comes on top.
            readers: threads that read ahead.
            worker: (index, number) of data-parallel workers. Each epoch's chunks are dealt to the
                workers, so that every row is in one worker's batches once; the workers may then
                differ by some batches, see `batches_in`.
            drop_remainder: leave out the rows that do not fill the last batch.

        Raises:
            InputError: as `open_sources`; sizes out of range; too little memory, with the least
                that would do; all in one message.
            StoreError: a site is not whole.
        """
        self.selection = selection
        faults = _size_faults(batch_size, seed, buffer_bytes, readers, worker)
        sizes_right = not faults
        with Gathered(faults):
            self.rows = Rows(selection)
            if sizes_right:
                faults += _row_faults(self.rows, batch_size, buffer_bytes, worker, drop_remainder)
        refuse(faults)
        self.batch_size = batch_size
        self.drop_remainder = drop_remainder
        self.workers = worker[1]
        self._readers = readers
        self._buffer_bytes = buffer_bytes
        self._shares = shares(self.rows, batch_size, buffer_bytes)
        self._held: Values = {}
        self._holding = threading.Lock()
        unit_rows = np.array([unit.rows for unit in self.rows.units])
        self.shuffle = Shuffle(
            unit_rows,
            places=self._shares.places,
            depth=self._shares.depth,
            batch_size=batch_size,
            seed=seed,
            worker=worker,
            drop_remainder=drop_remainder,
        )

    def batches_in(self, epoch: int) -> int:
        """Number of batches of this worker in an epoch."""
        return self.shuffle.batches(epoch)

    def batches(self, epoch: int = 0, epochs: int | None = 1) -> Generator[Batch]:
        """The batches of an epoch, or of several without a pause in between.

        Args:
            epoch: the first epoch, from zero; each has an order of its own.
            epochs: how many; None: without end.

        Returns:
            Batches: inputs and targets, each by variable name (row, *dimensions of the variable
            behind the point), in the units of the schema. The arrays are the consumer's to keep
            and to change. Closing or dropping the iterator ends its threads.

        Raises:
            InputError: a negative number; raised by the call.
            StoreError: the store cannot be read, or a file is missing; raised by the iterator.
        """
        faults = [
            Fault("feed", key, "zero or greater", str(value))
            for key, value in (("epoch", epoch), ("epochs", epochs))
            if value is not None and value < 0
        ]
        refuse(faults)
        return self._batches(epoch, epochs)

    def _batches(self, first: int, epochs: int | None) -> Generator[Batch]:
        held = self._load_held()
        columns = self.rows.columns
        places = self._shares.places
        window: Values = {
            name: np.empty((places, *column.shape), column.dtype)
            for name, column in columns.items()
            if name not in held
        }
        row_at = np.empty(places, np.int64)
        lender = Lender(self.batch_size)
        with _Readers(self.rows, window, min(self._readers, self._shares.reads)) as readers:
            for step in self.shuffle.steps(first, epochs):
                for index, entered in step.entered:
                    unit = self.rows.units[index]
                    row_at[entered] = np.arange(unit.first, unit.first + unit.rows)
                    readers.start(unit, entered)
                readers.wait(step.mixed)
                rows = row_at[step.drawn]
                if len(rows):
                    # In one expression: a name would keep the batch until the next is there.
                    yield self.rows.wanted(
                        {
                            name: lender.rows(name, held[name], rows)
                            if name in held
                            else lender.rows(name, window[name], step.drawn)
                            for name in columns
                        }
                    )

    def _load_held(self) -> Values:
        with self._holding:
            sizes = {name: self.rows.columns[name].row_bytes for name in self._shares.held}
            spare = self._buffer_bytes - self.rows.count * sum(sizes.values())
            for name in sizes.keys() - self._held.keys():
                self._held[name] = self.rows.load(name, spare)
            return self._held


class _Readers:
    """Threads that read units to their places in the window."""

    def __init__(self, rows: Rows, window: Values, number: int) -> None:
        self._rows = rows
        self._window = window
        self._scratch_bytes = rows.scratch_bytes(window)
        self._scratch = threading.local()
        self._pool = ThreadPoolExecutor(number, thread_name_prefix="twin-feed")
        self._started: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self, unit: Unit, places: Indices) -> None:
        """Have a unit read; nothing is to be read where all variables are held."""
        if self._window:
            self._started.append(self._pool.submit(self._read, unit, places))

    def wait(self, units: int) -> None:
        """Until so many more of the units are there, in the order in which they were started."""
        for _ in range(units if self._window else 0):
            self._started.popleft().result()

    def _read(self, unit: Unit, places: Indices) -> None:
        if not hasattr(self._scratch, "memory"):
            self._scratch.memory = np.empty(self._scratch_bytes, np.uint8)
        for name, values in self._window.items():
            self._rows.read(unit, name, values, places, self._scratch.memory)


def to_arrays(selection: Selection, *, max_bytes: int) -> Batch:
    """All rows of a selection at once, in the order of the store: by site, realisation and point.

    Args:
        selection: which points, and what of them.
        max_bytes: memory that may be used.

    Returns:
        Inputs and targets, each by variable name, (row, *dimensions behind the point).

    Raises:
        InputError: as `open_sources`; more than `max_bytes`, with the size.
        StoreError: a site is not whole or cannot be read.
    """
    rows = Rows(selection)
    # A packed channel and its unpacked form are both in memory for a while.
    result = rows.count * bytes_out(rows)
    needed = result + rows.reading_bytes(rows.columns)
    if needed > max_bytes:
        cure = "Select less, allow more, or use batches (Feed)."
        found = f"{needed} for {rows.count} rows"
        refuse([Fault("selection", "max_bytes", f"{max_bytes} bytes at most", found, cure)])
    stored = {name: rows.load(name, max_bytes - result) for name in rows.columns}
    return rows.wanted(stored)


def _size_faults(
    batch_size: int, seed: int, buffer_bytes: int, readers: int, worker: tuple[int, int]
) -> list[Fault]:
    faults = [
        Fault("feed", key, f"{least} or greater", str(value))
        for key, value, least in (
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
            ("buffer_bytes", buffer_bytes, 1),
            ("readers", readers, 1),
        )
        if value < least
    ]
    if not 0 <= worker[0] < worker[1]:
        faults.append(
            Fault("feed", "worker", "(index, number) with 0 <= index < number", str(worker))
        )
    return faults


def _row_faults(
    rows: Rows,
    batch_size: int,
    buffer_bytes: int,
    worker: tuple[int, int],
    drop_remainder: bool,
) -> list[Fault]:
    faults = []
    needed = least_bytes(rows, batch_size)
    if buffer_bytes < needed:
        cure = "Give more memory, or take smaller batches."
        faults.append(Fault("feed", "buffer_bytes", f"{needed} or more", str(buffer_bytes), cure))
    if len(rows.units) < worker[1]:
        expected = f"at most {len(rows.units)} workers, one a chunk of the selection"
        faults.append(Fault("feed", "worker", expected, str(worker[1])))
    if drop_remainder and rows.count < batch_size * worker[1]:
        expected = f"at most {rows.count // worker[1]}, the rows of a worker, with drop_remainder"
        faults.append(Fault("feed", "batch_size", expected, str(batch_size)))
    return faults
