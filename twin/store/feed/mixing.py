"""How far the batches of a feed are from draws among all rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, refuse
from twin.store.feed.feed import Feed
from twin.store.feed.rows import Rows

_READING_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Mixing:
    """The shuffle of some epochs against one that draws every batch from all rows.

    Args:
        batches: whole batches looked at.
        window_share: rows that a batch is drawn from, over all rows.
        same_unit: share of the pairs of rows in a batch that come from the same unit (chunk).
        same_unit_expected: that share if all rows were shuffled.
        spread_of_means: variance of the batches' mean position over what it is expected to be if
            all rows were shuffled: 1 is a perfect shuffle, more means that batches differ by where
            they lie. With n batches of a perfect shuffle, it scatters by about sqrt(1 / n).
    """

    batches: int
    window_share: float
    same_unit: float
    same_unit_expected: float
    spread_of_means: float


def mixing(feed: Feed, epoch: int = 0, epochs: int = 1) -> Mixing:
    """Measure the order of some epochs, for this worker; reads the positions only.

    Args:
        feed: whose order.
        epoch: the first epoch.
        epochs: how many; more of them tell more exactly.

    Raises:
        InputError: batches of one row or of more than half of all, or all positions the same.
        StoreError: the store cannot be read.
    """
    rows = Rows(replace(feed.selection, inputs="position", targets="position"))
    position = np.asarray(rows.load("position", _READING_BYTES), np.float64)
    unit_rows = np.array([unit.rows for unit in feed.rows.units])
    unit_of = np.repeat(np.arange(len(unit_rows)), unit_rows)
    row_at = np.empty(feed.shuffle.places, np.int64)
    size, count, centre = feed.batch_size, len(position), position.mean(axis=0)
    variance = float(np.square(position - centre).sum(axis=1).mean())
    _refuse_unmeasurable(size, count, variance)
    means, same = [], []
    for step in feed.shuffle.steps(epoch, epochs):
        for index, places in step.entered:
            first = feed.rows.units[index].first
            row_at[places] = np.arange(first, first + len(places))
        drawn = row_at[step.drawn]
        if len(drawn) == size:
            means.append(position[drawn].mean(axis=0))
            of_unit = np.unique(unit_of[drawn], return_counts=True)[1]
            same.append(_pairs(of_unit) / _pairs(np.array([size])))
    found = float(np.square(np.array(means) - centre).sum(axis=1).mean())
    # Of draws without replacement from all rows.
    expected = variance / size * (count - size) / (count - 1)
    return Mixing(
        batches=len(means),
        window_share=feed.shuffle.depth / count,
        same_unit=float(np.mean(same)),
        same_unit_expected=_pairs(unit_rows) / _pairs(np.array([count])),
        spread_of_means=found / expected,
    )


def _pairs(counts: npt.NDArray[np.int64]) -> float:
    """Pairs of rows within groups of these sizes."""
    return float((counts * (counts - 1)).sum())


def _refuse_unmeasurable(size: int, count: int, variance: float) -> None:
    faults = []
    if not 2 <= size <= count // 2:
        expected = f"from 2 to {count // 2}, half of all rows"
        faults.append(Fault("mixing", "batch_size", expected, str(size)))
    if not variance:
        faults.append(Fault("mixing", "position", "positions that differ", "all the same"))
    refuse(faults)
