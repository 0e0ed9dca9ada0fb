"""The order of the rows of an epoch, when only a part of them is in memory.

Units of neighbouring rows are mixed in, in random order, as long as the mix is no larger than a
given depth; every batch is drawn at random from the mix. The order follows from the seed, the
epoch, the depth and the sizes alone: who reads the units, how far ahead and when has no part in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt

from twin.seeds import stream

Indices = npt.NDArray[np.int64]
# Memory for the order itself: arrays of indices and what drawing takes.
BYTES_A_ROW = 40


@dataclass(frozen=True)
class Step:
    """What happens for one batch.

    Args:
        entered: units that have been given places in memory, to be read now.
        mixed: how many units, in the order of their entry, must be there before the batch is taken
            and were not needed before.
        drawn: places that the batch is taken from; after that they are given to other units.
    """

    entered: list[tuple[int, Indices]]
    mixed: int
    drawn: Indices


class Shuffle:
    """Orders of all epochs.

    Attributes:
        places: rows in memory, those that are being read included.
        depth: most rows in the mix.
    """

    def __init__(
        self,
        unit_rows: Indices,
        *,
        places: int,
        depth: int,
        batch_size: int,
        seed: int,
        worker: tuple[int, int],
        drop_remainder: bool,
    ) -> None:
        """Nothing is drawn yet.

        Args:
            unit_rows: (unit,) number of rows; none is zero.
            places: rows in memory, `depth` or more.
            depth: most rows in the mix; a batch and the largest unit at least, or all rows.
            batch_size: rows of a batch.
            seed: of the order.
            worker: index and number of the workers that share the units of each epoch.
            drop_remainder: whether rows that do not fill the last batch are left out.
        """
        self._unit_rows = unit_rows
        self.places = places
        self.depth = depth
        self._batch_size = batch_size
        self._seed = seed
        self._worker = worker
        self._drop_remainder = drop_remainder

    def units(self, epoch: int) -> Indices:
        """The units that this worker reads in an epoch, in order."""
        index, workers = self._worker
        order = stream(self._seed, "feed", epoch, "units").permutation(len(self._unit_rows))
        return order[index::workers]

    def batches(self, epoch: int) -> int:
        """Number of batches that this worker gives in an epoch."""
        rows = int(self._unit_rows[self.units(epoch)].sum())
        whole, rest = divmod(rows, self._batch_size)
        return whole + (rest > 0 and not self._drop_remainder)

    def steps(self, first: int, epochs: int | None) -> Iterator[Step]:
        """The steps of some epochs, one after the other.

        While an epoch runs out, units of the next enter already; its order is the same as if it
        were the first.

        Args:
            first: the first epoch.
            epochs: how many; None: without end.
        """
        if epochs == 0:
            return
        entry = _Entry(self._unit_rows, self.places)
        entry.add(self.units(first))
        for epoch in count(first) if epochs is None else range(first, first + epochs):
            if epochs is None or epoch + 1 < first + epochs:
                entry.add(self.units(epoch + 1))
            yield from self._epoch(epoch, entry)

    def _epoch(self, epoch: int, entry: _Entry) -> Iterator[Step]:
        rows_coming = deque(self._unit_rows[self.units(epoch)].tolist())
        mix = _Mix(self.depth, stream(self._seed, "feed", epoch, "rows"))
        mix.fill(self._mixed_in(rows_coming, 0, entry))
        while mix.rows:
            drawn = mix.take(min(self._batch_size, mix.rows))
            left_out = len(drawn) < self._batch_size and self._drop_remainder
            entered, mixed = entry.since()
            yield Step(entered, mixed, drawn[:0] if left_out else drawn)
            entry.free(drawn)
            for places in self._mixed_in(rows_coming, mix.rows, entry):
                mix.insert(places)

    def _mixed_in(self, rows_coming: deque[int], rows: int, entry: _Entry) -> list[Indices]:
        """Places of the next units of an epoch, as many as the depth of the mix allows."""
        places = []
        while rows_coming and rows + rows_coming[0] <= self.depth:
            rows += rows_coming.popleft()
            places.append(entry.take())
        return places


class _Entry:
    """Gives units places in memory, in order, as soon as there is room."""

    def __init__(self, unit_rows: Indices, places: int) -> None:
        self._unit_rows = unit_rows
        self._free = np.arange(places)
        self._room = places
        self._coming: deque[int] = deque()
        self._waiting: deque[Indices] = deque()
        self._entered: list[tuple[int, Indices]] = []
        self._mixed = 0

    def add(self, units: Indices) -> None:
        """Units that come next."""
        self._coming.extend(units.tolist())
        self._enter()

    def _enter(self) -> None:
        while self._coming and self._unit_rows[self._coming[0]] <= self._room:
            unit = self._coming.popleft()
            rows = int(self._unit_rows[unit])
            self._room -= rows
            places = self._free[self._room : self._room + rows].copy()
            self._waiting.append(places)
            self._entered.append((unit, places))

    def take(self) -> Indices:
        """Places of the next unit that goes into the mix."""
        self._mixed += 1
        return self._waiting.popleft()

    def since(self) -> tuple[list[tuple[int, Indices]], int]:
        """Units that have entered, and how many have gone into the mix, since the last call."""
        since = self._entered, self._mixed
        self._entered, self._mixed = [], 0
        return since

    def free(self, places: Indices) -> None:
        """Give places to those that come next: their rows have been drawn."""
        self._free[self._room : self._room + len(places)] = places
        self._room += len(places)
        self._enter()


class _Mix:
    """The places that hold rows of the epoch, at all times in uniformly random order."""

    def __init__(self, depth: int, draw: np.random.Generator) -> None:
        self._places = np.empty(depth, np.int64)
        self._draw = draw
        self.rows = 0

    def fill(self, units: list[Indices]) -> None:
        """Begin with the rows of some units."""
        places = np.concatenate([*units, self._places[:0]])
        self.rows = len(places)
        self._places[: self.rows] = self._draw.permutation(places)

    def insert(self, places: Indices) -> None:
        """Add rows at random ranks; those that stood there move to the free ranks at the end."""
        rows, new = self.rows, len(places)
        ranks = self._draw.choice(rows + new, new, replace=False)
        inside = ranks < rows
        vacant = np.ones(new, np.bool_)
        vacant[ranks[~inside] - rows] = False
        self._places[rows + np.flatnonzero(vacant)] = self._places[ranks[inside]]
        self._places[ranks] = places
        self.rows += new

    def take(self, rows: int) -> Indices:
        """Draw rows without replacement: the last ones."""
        self.rows -= rows
        return self._places[self.rows : self.rows + rows].copy()
