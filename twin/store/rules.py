"""What the values of finished jobs must be, beyond their types: the schema's meaning, as checks.

A rule names a value only where nothing a receiver or a ray tracer could say is excluded by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.store.content import AnyArray
from twin.store.schema import PATH_VARIABLES, VARIABLES, Variable

PENDING, DONE, SILENT, ABSENT = 0, 1, 2, 3

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Range:
    """Lowest and highest value that makes sense, both included, and what that means."""

    low: float
    high: float
    words: str


_INF = float("inf")
_NO_LESS_THAN_ZERO = Range(0.0, _INF, "zero or more")
# Radians as float32: one turn either way, and half a turn rounded up.
_AZIMUTH = Range(-6.2831855, 6.2831855, "radians within one turn")
_ZENITH = Range(0.0, 3.1415927410125732, "radians between 0 and pi")
_SHARE = Range(0.0, 1.0, "a share between 0 and 1")

# The level of thermal noise in 1 Hz at 1 K is -199 dBm, a kilowatt is 60 dBm: numbers beyond are
# codes for "not heard", or in another unit.
RANGES: Mapping[str, Range] = {
    "rss": Range(-200.0, 60.0, "dBm between -200 and 60, or NaN for not heard"),
    "received_power": Range(-_INF, 60.0, "dBm up to 60"),
    # Ranges may come out negative near an AP; a thousand kilometres is no cell.
    "rtt": Range(-1e3, 1e6, "metres between -1000 and 1000000, or NaN for not heard"),
    "delay": _NO_LESS_THAN_ZERO,
    "toa": _NO_LESS_THAN_ZERO,
    "power_left_out": _NO_LESS_THAN_ZERO,
    "power_undiscovered": _NO_LESS_THAN_ZERO,
    "csi_scale": _NO_LESS_THAN_ZERO,
    "csi_nmse": _NO_LESS_THAN_ZERO,
    "aoa_azimuth": _AZIMUTH,
    "aod_azimuth": _AZIMUTH,
    "aoa_zenith": _ZENITH,
    "aod_zenith": _ZENITH,
    "trajectory": Range(-1, _INF, "-1 (none) or the number of a walk"),
    "num_paths": _NO_LESS_THAN_ZERO,
    "chains_reflections": _NO_LESS_THAN_ZERO,
    "rounds_reflections": _NO_LESS_THAN_ZERO,
    "new_share_reflections": _SHARE,
    "chains_diffraction": _NO_LESS_THAN_ZERO,
    "rounds_diffraction": _NO_LESS_THAN_ZERO,
    "new_share_diffraction": _SHARE,
}
# What a point that is not there may also have as zero: sums over no paths.
_ZERO_WHERE_ABSENT = frozenset({"path_gain", "power_left_out", "power_undiscovered", "csi_float16"})
_SILENT_WHERE_NO_PATH = ("rss", "rtt", "reported_csi")
# Variables whose rules need one another, read together.
TOGETHER = (
    (*PATH_VARIABLES, "num_paths", "toa"),
    ("time", "trajectory"),
)


@dataclass(frozen=True)
class Departure:
    """Cells of one variable that break one rule.

    Args:
        name: of the variable.
        cells: mask over its leading dimensions within the piece, starting with the point's.
        expected: what would have been right.
        found: by what the first cell is told; empty: its value.
    """

    name: str
    cells: Mask
    expected: str
    found: str = ""


def departures(values: Mapping[str, AnyArray], status: AnyArray) -> Iterator[Departure]:
    """Rules broken by values of a piece of points.

    Args:
        values: by variable, (point, ...); those of `TOGETHER` as far as the site has them.
        status: (point,).
    """
    for name, block in values.items():
        yield from _alone(VARIABLES[name], block, status)
    if "path_gain" in values:
        yield from _order(values)
    if "delay" in values:
        yield from _path_count(values, status)
    if {"toa", "delay"} <= set(values):
        yield from _first_arrival(values)


def block_departures(variable: Variable, block: AnyArray) -> Iterator[Departure]:
    """Rules broken by what a job said of its whole block."""
    yield from _not_finite(variable, block, np.zeros(block.shape, np.bool_))
    yield from _out_of_range(variable, block)


def _alone(variable: Variable, block: AnyArray, status: AnyArray) -> Iterator[Departure]:
    absent = _spread(status == ABSENT, block)
    if variable.name == "status":
        yield Departure("status", status == PENDING, "done, no_path or absent in a finished job")
    yield from _not_finite(variable, block, absent)
    yield from _out_of_range(variable, block)
    flags = variable.attrs.get("flag_values")
    if isinstance(flags, list):
        expected = f"one of {', '.join(map(str, flags))}"
        yield Departure(variable.name, np.isin(block, np.array(flags), invert=True), expected)
    masks = variable.attrs.get("flag_masks")
    if isinstance(masks, list):
        known = np.bitwise_or.reduce(np.array(masks, dtype=block.dtype))
        wrong = (block & ~known) != 0
        yield Departure(variable.name, wrong, f"a sum of the flags {', '.join(map(str, masks))}")
    if block.dtype.kind in "fc":
        filled = ~np.isnan(block)
        expected = "NaN at a point that is absent (status 3)"
        if variable.name in _ZERO_WHERE_ABSENT:
            filled &= block != 0
            expected = f"zero or {expected}"
        yield Departure(variable.name, filled & absent, expected)
    if variable.name in _SILENT_WHERE_NO_PATH:
        heard = ~np.isnan(block) & _spread(status == SILENT, block)
        yield Departure(variable.name, heard, "NaN where nothing is heard (status 2)")


def _not_finite(variable: Variable, block: AnyArray, absent: Mask) -> Iterator[Departure]:
    if block.dtype.kind not in "fc":
        return
    if variable.nan:
        yield Departure(variable.name, np.isinf(block), "a finite number or NaN")
    else:
        yield Departure(variable.name, ~np.isfinite(block) & ~absent, "a finite number")


def _out_of_range(variable: Variable, block: AnyArray) -> Iterator[Departure]:
    limits = RANGES.get(variable.name)
    if limits is None:
        return
    numbers: Any = block
    # An infinite number is told of by another rule; NaN compares as neither.
    wrong = np.isfinite(numbers) & ((numbers < limits.low) | (numbers > limits.high))
    yield Departure(variable.name, wrong, limits.words)


def _order(values: Mapping[str, AnyArray]) -> Iterator[Departure]:
    """Paths fall in power, as single precision has it; of two alike the earlier comes first."""
    gain = values["path_gain"]
    power = gain.real**2 + gain.imag**2
    wrong = np.zeros(power.shape, np.bool_)
    wrong[..., 1:] = power[..., 1:] > power[..., :-1]
    expected = "paths by falling power"
    if "delay" in values:
        delay = values["delay"].astype(np.float64)
        # Of paths too weak for a number, none comes first.
        ties = (power[..., 1:] == power[..., :-1]) & (power[..., 1:] > 0)
        wrong[..., 1:] |= ties & (delay[..., 1:] < delay[..., :-1])
        expected += ", ties by delay"
    yield Departure("path_gain", wrong, expected, "a stronger, or an earlier, path")


def _path_count(values: Mapping[str, AnyArray], status: AnyArray) -> Iterator[Departure]:
    """Finite delays are the paths: the first `num_paths`, with nothing beyond."""
    there = np.isfinite(values["delay"])
    gap = np.zeros(there.shape, np.bool_)
    gap[..., 1:] = there[..., 1:] & ~there[..., :-1]
    yield Departure("delay", gap, "NaN only beyond the last path")
    if "num_paths" in values:
        wrong = values["num_paths"] != there.sum(axis=-1)
        yield Departure("num_paths", wrong, "the number of finite delays of the link")
    for name in PATH_VARIABLES:
        if name in {"delay", "interactions"} or name not in values:
            continue
        block = values[name]
        beyond = ~there & ~np.isnan(block)
        if name == "path_gain":
            yield Departure(name, beyond & (block != 0), "zero beyond the last path")
        else:
            yield Departure(name, beyond, "NaN beyond the last path")
    heard = there.any(axis=-1) & _spread(status == SILENT, there[..., 0])
    yield Departure("delay", heard, "no path where the point has none (status 2)", "a path")


def _first_arrival(values: Mapping[str, AnyArray]) -> Iterator[Departure]:
    delay = values["delay"]
    first = np.where(np.isnan(delay), np.inf, delay).min(axis=-1, initial=np.inf)
    # Of a link without paths nothing can be said; rounding is no departure.
    late = np.isfinite(first) & ~(values["toa"] <= first * (1.0 + 1e-9))
    yield Departure("toa", late, "no later than the first path kept")


class Walks:
    """The time along each walk of a realisation, from one piece of points to the next."""

    def __init__(self) -> None:
        self._last: dict[int, float] = {}

    def departures(self, time: AnyArray, trajectory: AnyArray) -> Departure:
        """Points of this piece that are earlier than the point before them on their walk."""
        seconds = time.astype(np.float64)
        walks = trajectory.astype(np.int64)
        wrong = np.zeros(seconds.shape, np.bool_)
        known = (walks >= 0) & np.isfinite(seconds)
        for walk in np.unique(walks[known]).tolist():
            here = np.flatnonzero(known & (walks == walk))
            before = np.concatenate([[self._last.get(walk, -np.inf)], seconds[here[:-1]]])
            wrong[here] = seconds[here] < before
            self._last[walk] = float(seconds[here[-1]])
        return Departure("time", wrong, "no earlier than the point before it on the same walk")


def _spread(points: AnyArray, block: AnyArray) -> Mask:
    """A mask over points, over all axes of a block."""
    mask = np.asarray(points, dtype=np.bool_)
    return np.broadcast_to(mask.reshape(mask.shape + (1,) * (block.ndim - 1)), block.shape)
