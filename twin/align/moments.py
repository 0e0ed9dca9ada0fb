"""Moment matching, one access point at a time.

Receivers report power and range on a scale of their own: an unknown transmit power or antenna gain
shifts every RSS of an access point, the timing chain shifts every RTT. Matching the first moment
(and, with enough unlabelled fingerprints, the second) takes that out before a learner sees the
fingerprint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from twin.align.field import TwinField

Array = npt.NDArray[np.float64]
AlignmentKind = Literal["none", "labels", "unlabelled"]

#: Fingerprints that vary less than this share of what the twin expects do not vary: one value
#: heard again and again has a spread of rounding errors, and no second moment to match.
_SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class Alignment:
    """Affine map of each fingerprint entry onto the twin's scale: ``scale * x + offset``.

    Attributes:
        scale: (d,) factor.
        offset: (d,) shift [the entry's unit].
    """

    scale: Array
    offset: Array

    def apply(self, fingerprints: Array) -> Array:
        """(…, d) fingerprints on the twin's scale; NaN stays NaN."""
        return np.asarray(fingerprints * self.scale + self.offset)


def identity(entries: int) -> Alignment:
    """No alignment."""
    return Alignment(np.ones(entries), np.zeros(entries))


def on_labels(
    heard: Array, expected: Array, field: TwinField, groups: tuple[slice, ...]
) -> Alignment:
    """First moments matched on labelled points, shrunk where labels are few.

    The shift of an entry is the mean of ``expected - heard`` over the k labelled points. With few
    points that mean is mostly one point's fading, so it is pulled towards the shift shared by all
    access points with the weight of a normal prior (empirical Bayes): ``s^2 / (s^2 + r^2 / n)``,
    where s is the twin's `offset_std`, r its `residual_std` and n the number of labelled points
    that heard the access point.

    Args:
        heard: (k, d) real fingerprints at the labelled points; NaN = not heard.
        expected: (k, d) the twin's fingerprints there.
        field: gives the two standard deviations.
        groups: slices of entries that share a unit.
    """
    difference = expected - heard
    valid = np.isfinite(difference)
    count = valid.sum(axis=0)
    total = np.where(valid, difference, 0.0).sum(axis=0)
    own = total / np.maximum(count, 1)
    offset = np.empty_like(own)
    for group in groups:
        shared = total[group].sum() / max(int(count[group].sum()), 1)
        spread = field.offset_std[group] ** 2
        noise = field.residual_std[group] ** 2
        weight = spread * count[group] / np.maximum(spread * count[group] + noise, 1e-12)
        offset[group] = shared + weight * (own[group] - shared)
    return Alignment(np.ones_like(offset), offset)


def on_unlabelled(heard: Array, field: TwinField) -> Alignment:
    """First and second moments matched between unlabelled fingerprints and the whole twin.

    Needs no position, but takes for granted that the unlabelled fingerprints were collected all
    over the area that the twin covers; where they were not, the difference enters the shift.

    Args:
        heard: (n, d) real fingerprints; NaN = not heard.
        field: the twin.
    """
    valid = np.isfinite(heard)
    count = np.maximum(valid.sum(axis=0), 1)
    mean = np.where(valid, heard, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(valid, (heard - mean) ** 2, 0.0).sum(axis=0) / count)
    target_mean = field.mean.mean(axis=0)
    # A single fingerprint varies over the area by the mean field and by its own residual.
    target_spread = np.sqrt(field.mean.var(axis=0) + field.residual_std**2)
    varies = spread > _SMALLEST_SPREAD * target_spread
    scale = np.where(varies, target_spread / np.where(varies, spread, 1.0), 1.0)
    offset = np.where(valid.any(axis=0), target_mean - scale * mean, 0.0)
    return Alignment(scale, offset)


def fit(
    kind: AlignmentKind,
    field: TwinField,
    groups: tuple[slice, ...],
    labelled: tuple[Array, Array],
    unlabelled: Array,
) -> Alignment:
    """Alignment of the asked kind.

    Args:
        kind: "none", "labels" (uses `labelled` only) or "unlabelled" (uses `unlabelled` only).
        field: the twin.
        groups: slices of entries that share a unit.
        labelled: (k, d) fingerprints at labelled points and (k, d) what the twin expects there.
        unlabelled: (n, d) fingerprints without positions.
    """
    if kind == "none":
        return identity(field.mean.shape[1])
    if kind == "labels":
        return on_labels(*labelled, field, groups)
    return on_unlabelled(unlabelled, field)
