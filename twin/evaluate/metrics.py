"""How wrong a localizer is, and how sure one can be of it.

Intervals come from a bootstrap of two crossed levels (Owen, "The pigeonhole bootstrap", Annals of
Applied Statistics 1(2), 2007): test points and draws of the labelled points are resampled with
replacement, each on its own, and a fix weighs as often as its point times as often as its draw. All
fixes of a point move together, so many snapshots of one place do not pass for many places.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, InputError, refuse
from twin.evaluate.records import Difference, Errors, Record
from twin.seeds import stream

REPLICATES = 2000
CONFIDENCE = 0.95
PERCENTILES = {"median": 0.50, "p75": 0.75, "p90": 0.90, "p95": 0.95}

# Percentiles of a replicate are read off this many equally likely levels of the pooled errors;
# 200 holds all of PERCENTILES exactly.
_LEVELS = 200
# Most weights held at a time (128 MiB).
_BLOCK = 2**24

Float64 = npt.NDArray[np.float64]


def position_error(located_m: npt.ArrayLike, true_m: npt.ArrayLike) -> Float64:
    """Horizontal distance between answer and truth.

    Args:
        located_m: (..., fixes, 2 or 3) answered positions [m]; a height is not looked at.
        true_m: (fixes, 2 or 3) true positions [m].

    Returns:
        (..., fixes) errors [m].

    Raises:
        InputError: shapes that do not fit, or values that are not finite.
    """
    located = np.asarray(located_m, dtype=np.float64)
    true = np.asarray(true_m, dtype=np.float64)
    faults = []
    if true.ndim != 2 or true.shape[-1] not in (2, 3):
        faults.append(Fault("position error", "true_m", "(fixes, 2 or 3)", str(true.shape)))
    elif located.ndim < 2 or located.shape[-1] not in (2, 3) or located.shape[-2] != len(true):
        expected = f"(..., {len(true)}, 2 or 3)"
        faults.append(Fault("position error", "located_m", expected, str(located.shape)))
    for key, value in (("located_m", located), ("true_m", true)):
        bad = int(np.count_nonzero(~np.isfinite(value)))
        if bad:
            faults.append(Fault("position error", key, "finite coordinates", f"{bad} that are not"))
    refuse(faults)
    gap = located[..., :2] - true[:, :2]
    return np.asarray(np.hypot(gap[..., 0], gap[..., 1]))


def percentile(errors_m: npt.ArrayLike, share: float) -> float:
    """Smallest error [m] that at least this share (0 to 1) of the fixes do not exceed."""
    return float(np.quantile(np.asarray(errors_m, dtype=np.float64), share, method="inverted_cdf"))


def rmse(errors_m: npt.ArrayLike) -> float:
    """Root of the mean squared error [m]."""
    return float(np.sqrt(np.mean(np.square(np.asarray(errors_m, dtype=np.float64)))))


def cumulative(errors_m: npt.ArrayLike, levels_m: npt.ArrayLike) -> Float64:
    """Empirical CDF: share of the fixes whose error is at most each level [m].

    An error that is no number, as of an adaptation that diverged, is above every level.
    """
    ordered = np.sort(np.asarray(errors_m, dtype=np.float64), axis=None)
    return np.asarray(np.searchsorted(ordered, np.asarray(levels_m), side="right") / ordered.size)


def summarise(errors: Errors, seed: int, replicates: int = REPLICATES) -> Record:
    """Statistics of one setting with their intervals.

    Args:
        errors: the errors of one method.
        seed: the study's seed; methods of one room and k share their resampling.
        replicates: number of bootstrap replicates, 1000 or more.

    Raises:
        InputError: fewer than two test points, or too few replicates.
    """
    resampling = _Resampling.of(errors, seed, replicates)
    pooled = errors.errors_m
    mean_low, mean_high = _interval(resampling.mean(pooled))
    rmse_low, rmse_high = _interval(np.sqrt(resampling.mean(np.square(pooled))))
    bounds = _interval(resampling.quantiles(pooled, tuple(PERCENTILES.values())))
    spread: dict[str, float] = {}
    for index, (name, share) in enumerate(PERCENTILES.items()):
        spread[f"{name}_m"] = percentile(pooled, share)
        spread[f"{name}_ci_low"] = float(bounds[0][index])
        spread[f"{name}_ci_high"] = float(bounds[1][index])
    return Record(
        room=errors.room,
        feature=errors.feature,
        k=errors.k,
        method=errors.method,
        mean_error_m=float(np.mean(pooled)),
        ci_low=float(mean_low),
        ci_high=float(mean_high),
        draws=pooled.shape[0],
        points=resampling.point_weights.shape[1],
        fixes=pooled.shape[1],
        rmse_m=rmse(pooled),
        rmse_ci_low=float(rmse_low),
        rmse_ci_high=float(rmse_high),
        seconds=errors.seconds,
        **spread,
    )


def paired_difference(a: Errors, b: Errors, seed: int, replicates: int = REPLICATES) -> Difference:
    """Mean error of `a` minus that of `b`, resampled together.

    Raises:
        InputError: not the same room, feature, k, draws and fixes, or too few points or replicates.
    """
    where = f"difference of {a.method} and {b.method}"
    faults = [
        Fault(where, key, f"{one!r}, as {a.method} has", repr(other))
        for key, one, other in (
            ("room", a.room, b.room),
            ("feature", a.feature, b.feature),
            ("k", a.k, b.k),
            ("errors_m", a.errors_m.shape, b.errors_m.shape),
        )
        if one != other
    ]
    if a.point.shape == b.point.shape and not np.array_equal(a.point, b.point):
        faults.append(
            Fault(where, "point", f"the fixes of {a.method}", "others, or in another order")
        )
    refuse(faults)
    gap = a.errors_m - b.errors_m
    low, high = _interval(_Resampling.of(a, seed, replicates).mean(gap))
    return Difference(
        room=a.room,
        feature=a.feature,
        k=a.k,
        method=a.method,
        reference=b.method,
        mean_difference_m=float(np.mean(gap)),
        ci_low=float(low),
        ci_high=float(high),
    )


def differences_to(
    reference: str, all_errors: Iterable[Errors], seed: int, replicates: int = REPLICATES
) -> tuple[Difference, ...]:
    """`paired_difference` of every method to one, wherever that one has the same setting.

    Raises:
        InputError: see `paired_difference`.
    """
    listed = tuple(all_errors)
    of_reference = {(e.room, e.feature, e.k): e for e in listed if e.method == reference}
    return tuple(
        paired_difference(errors, of_reference[setting], seed, replicates)
        for errors in listed
        if errors.method != reference
        and (setting := (errors.room, errors.feature, errors.k)) in of_reference
    )


def _interval(replicates: Float64) -> tuple[Float64, Float64]:
    """Percentile interval along the first axis."""
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(replicates, (tail, 1.0 - tail), axis=0)
    return low, high


@dataclass(frozen=True, eq=False)
class _Resampling:
    """How often each draw (replicates, draws) and test point (replicates, points) was taken."""

    draw_weights: Float64
    point_weights: Float64
    point_index: npt.NDArray[np.intp]

    @classmethod
    def of(cls, errors: Errors, seed: int, replicates: int) -> _Resampling:
        points, index = np.unique(errors.point, return_inverse=True)
        faults = []
        where = f"interval of {errors.method} in {errors.room}, {errors.feature}, k = {errors.k}"
        if points.size < 2:
            faults.append(Fault(where, "point", "two or more test points", str(points.size)))
        if replicates < 1000:
            faults.append(Fault(where, "replicates", "1000 or more", str(replicates)))
        if faults:
            raise InputError(faults)
        # Neither stream is named after the method or feature: what is compared is resampled alike.
        return cls(
            _multiplicities(
                errors.errors_m.shape[0], replicates, seed, "draws", errors.room, errors.k
            ),
            _multiplicities(points.size, replicates, seed, "points", errors.room),
            index,
        )

    def mean(self, values: Float64) -> Float64:
        """Weighted mean of (draws, fixes) values in each replicate: (replicates,)."""
        points = self.point_weights.shape[1]
        sums = np.stack([np.bincount(self.point_index, row, minlength=points) for row in values])
        fixes = np.bincount(self.point_index, minlength=points).astype(np.float64)
        weighed = np.sum((self.draw_weights @ sums) * self.point_weights, axis=1)
        return np.asarray(weighed / (values.shape[0] * (self.point_weights @ fixes)))

    def quantiles(self, values: Float64, shares: Sequence[float]) -> Float64:
        """Weighted percentiles of (draws, fixes) values in each replicate: (replicates, shares)."""
        ordered = np.sort(values, axis=None)
        rank = np.ceil(np.arange(1, _LEVELS + 1) * (ordered.size / _LEVELS) - 1e-9).astype(np.intp)
        levels = np.unique(ordered[rank - 1])
        replicates, points = self.point_weights.shape
        mass = np.zeros((replicates, levels.size))
        # As many draws in one matrix product as fit a bounded block of weights.
        together = max(1, _BLOCK // (replicates * points))
        for start in range(0, len(values), together):
            draws = slice(start, start + together)
            some = values[draws]
            owner = np.arange(len(some))[:, np.newaxis] * points + self.point_index
            cell = owner * levels.size + np.searchsorted(levels, some)
            counts = np.bincount(cell.ravel(), minlength=len(some) * points * levels.size)
            weights = self.draw_weights[:, draws, np.newaxis] * self.point_weights[:, np.newaxis]
            mass += weights.reshape(replicates, -1) @ counts.reshape(-1, levels.size).astype(
                np.float64
            )
        share_below = np.cumsum(mass, axis=1)
        share_below /= share_below[:, -1:]
        return np.stack(
            [levels[np.sum(share_below < share - 1e-12, axis=1)] for share in shares], axis=1
        )


def _multiplicities(count: int, replicates: int, seed: int, *name: str | int) -> Float64:
    random = stream(seed, "evaluate", "bootstrap", *name)
    return random.multinomial(count, np.full(count, 1.0 / count), size=replicates).astype(
        np.float64
    )
