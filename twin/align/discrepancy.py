"""Maximum mean discrepancy: how far apart two samples' laws are, with a Gaussian kernel.

Estimators of Gretton et al., A kernel two-sample test, JMLR 13 (2012) 723-773, section 2.2; MetaLoc
(IEEE JSAC 41(12), 2023, eq. 16 and Algorithm 2) chooses a historical environment by it. The kernel
is ``exp(-|x - y|^2 / (2 w^2))``; for several widths w, the mean of their kernels, so that it stays
at most one.

All entries of a sample count alike, so they should share a unit or be scaled before; what was not
heard has to be given a level before, too, since no distance is defined without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist, pdist

from twin.errors import Fault, InputError, refuse

Array = npt.NDArray[np.float64]
Estimator = Literal["unbiased", "biased"]

#: Distances held at once; 16 MiB.
_BLOCK = 2**21
#: Points whose distances the median heuristic takes; 2 million pairs.
_MEDIAN_POINTS = 2000


def median_width(*samples: npt.ArrayLike) -> float:
    """Median heuristic: the median distance between different points of the pooled samples.

    Pairs at distance zero (values heard again and again) do not count. Samples are pooled as they
    are, so a larger one weighs more. Of more than 2,000 points, 2,000 are taken evenly from the
    lexicographically sorted pool, so that neither the order of points nor of samples matters.

    Args:
        samples: arrays (n_i, d) in one unit.

    Returns:
        Kernel width w in the samples' unit.

    Raises:
        InputError: arrays that are not finite and (n, d) with one d; no two different points.
    """
    pooled = np.concatenate(_checked({f"sample {i}": s for i, s in enumerate(samples)}, 1))
    if len(pooled) > _MEDIAN_POINTS:
        kept = np.linspace(0, len(pooled) - 1, _MEDIAN_POINTS).round().astype(np.intp)
        pooled = pooled[np.lexsort(pooled.T[::-1])][kept]
    distance = pdist(pooled)
    distance = distance[distance > 0.0]
    if len(distance) == 0:
        cure = "Give a kernel width."
        refuse([Fault("median_width", "samples", "two different points", "one value only", cure)])
    return float(np.median(distance))


def mmd(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    width: float | Sequence[float] | None = None,
    estimator: Estimator = "unbiased",
) -> float:
    """Squared maximum mean discrepancy between the laws of two samples.

    The unbiased estimator (Gretton et al., eq. 3) is zero in expectation for equal laws and so may
    be negative; the biased one (eq. 5) never is, but grows as samples get smaller. Memory is
    bounded whatever the sizes.

    Args:
        x: (n, d) sample of the first law.
        y: (m, d) sample of the second.
        width: of the kernel, in the samples' unit, or several; None: `median_width` of both
            samples. Values with different widths cannot be compared: see `nearest`.
        estimator: "unbiased" needs two points of each sample.

    Returns:
        Squared MMD, between -1 and 2, without unit.

    Raises:
        InputError: arrays that are not finite and (n, d) with one d, too few points, a width that
            is not above zero.
    """
    first, second = _checked({"x": x, "y": y}, 2 if estimator == "unbiased" else 1)
    widths = _widths(width, first, second)
    within = _within(first, widths, estimator) + _within(second, widths, estimator)
    return within - 2.0 * _sum(first, second, widths) / (len(first) * len(second))


def nearest(
    x: npt.ArrayLike,
    candidates: Mapping[str, npt.ArrayLike],
    width: float | Sequence[float] | None = None,
) -> tuple[str, dict[str, float]]:
    """The candidate whose law is nearest to a sample's, by the unbiased squared MMD.

    One kernel serves all candidates, else the values could not be compared. The estimator is the
    unbiased one, so that a candidate with few points is not put at a disadvantage.

    Args:
        x: (n, d) sample, such as fingerprints of a new environment.
        candidates: (m_i, d) sample of each candidate by name; of equals, the first is taken.
        width: of the kernel, or several; None: `median_width` of `x` and all candidates.

    Returns:
        Name of the nearest, and the squared MMD of every candidate in the order given.

    Raises:
        InputError: no candidate; see `mmd`.
    """
    if not candidates:
        raise InputError([Fault("nearest", "candidates", "at least one", "none")])
    named = {f"candidate {name}": sample for name, sample in candidates.items()}
    sample, *others = _checked({"x": x} | named, 2)
    widths = _widths(width, sample, *others)
    own = _within(sample, widths, "unbiased")
    found = {
        name: own
        + _within(other, widths, "unbiased")
        - 2.0 * _sum(sample, other, widths) / (len(sample) * len(other))
        for name, other in zip(candidates, others, strict=True)
    }
    return min(found, key=found.__getitem__), found


def _within(sample: Array, widths: Array, estimator: Estimator) -> float:
    """Mean kernel between points of one sample, with or without the pairs of a point and itself."""
    total, count = _sum(sample, sample, widths), len(sample)
    return total / count**2 if estimator == "biased" else (total - count) / (count * (count - 1))


def _sum(x: Array, y: Array, widths: Array) -> float:
    """Sum of the kernel over all pairs."""
    rows = max(1, _BLOCK // len(y))
    total = 0.0
    for start in range(0, len(x), rows):
        square = cdist(x[start : start + rows], y, "sqeuclidean")
        total += sum(float(np.exp(square / (-2.0 * w**2)).sum()) for w in widths)
    return total / len(widths)


def _widths(width: float | Sequence[float] | None, *samples: Array) -> Array:
    widths = np.atleast_1d(np.asarray(median_width(*samples) if width is None else width, float))
    if widths.ndim != 1 or len(widths) == 0 or not bool((np.isfinite(widths) & (widths > 0)).all()):
        refuse([Fault("kernel", "width", "one or more finite numbers above 0", str(width))])
    return widths


def _checked(samples: Mapping[str, npt.ArrayLike], fewest: int) -> list[Array]:
    arrays = {name: np.asarray(sample, dtype=np.float64) for name, sample in samples.items()}
    faults = []
    entries = {array.shape[1] for array in arrays.values() if array.ndim == 2}
    expected = f"(n, d) with n >= {fewest} and d >= 1"
    for name, array in arrays.items():
        if array.ndim != 2 or len(array) < fewest or array.shape[1] == 0:
            faults.append(Fault("discrepancy", name, expected, f"shape {array.shape}"))
        elif not bool(np.isfinite(array).all()):
            bad = int((~np.isfinite(array)).sum())
            cure = "Give what was not heard a level."
            faults.append(Fault("discrepancy", name, "finite values", f"{bad} others", cure))
    if len(entries) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        faults.append(Fault("discrepancy", "samples", "one number of entries d", shapes))
    if not arrays:
        faults.append(Fault("discrepancy", "samples", "at least one", "none"))
    refuse(faults)
    return list(arrays.values())
