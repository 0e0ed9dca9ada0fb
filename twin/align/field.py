"""What the twin expects to be heard at every place, and how sure it is of that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Array = npt.NDArray[np.float64]

_NEIGHBOURS = 4


@dataclass(frozen=True)
class TwinField:
    """Mean fingerprint of the twin's realisations at each point, with its uncertainty.

    Attributes:
        position: (p, 2) points of the twin [m].
        mean: (p, d) mean over realisations of each fingerprint entry [dBm for RSS, m for RTT].
        offset_std: (d,) standard deviation, over realisations, of an entry's mean shift against
            `mean` after the shift that all entries share is taken out: how far one access point's
            bias may stray from the others'.
        residual_std: (d,) standard deviation of what is left at a point after that shift.
    """

    position: Array
    mean: Array
    offset_std: Array
    residual_std: Array

    @classmethod
    def of(cls, position: Array, fingerprints: Array, groups: tuple[slice, ...]) -> TwinField:
        """Field of several realisations over the same points.

        Args:
            position: (p, 2) points [m].
            fingerprints: (r, p, d) one fingerprint a realisation and point; NaN = not heard.
            groups: slices of the d entries that share a unit (all RSS, all RTT).

        Raises:
            ValueError: fewer than two realisations, or an entry never heard at some point.
        """
        if fingerprints.shape[0] < 2:
            raise ValueError(
                f"a twin field needs at least 2 realisations, found {fingerprints.shape[0]}"
            )
        heard = np.isfinite(fingerprints)
        if not heard.any(axis=(0, 1)).all():
            missing = np.flatnonzero(~heard.any(axis=(0, 1)))
            raise ValueError(
                f"fingerprint entries {missing.tolist()} are heard nowhere in the twin"
            )
        count = heard.sum(axis=0)
        total = np.where(heard, fingerprints, 0.0).sum(axis=0)
        overall = np.nanmean(fingerprints, axis=(0, 1))
        mean = np.where(count > 0, total / np.maximum(count, 1), overall)
        deviation = fingerprints - mean
        shift = np.nanmean(deviation, axis=1)
        own = shift.copy()
        for group in groups:
            own[:, group] -= shift[:, group].mean(axis=1, keepdims=True)
        residual = deviation - shift[:, None, :]
        return cls(
            np.asarray(position, dtype=np.float64),
            mean,
            np.sqrt(np.mean(own**2, axis=0)),
            np.sqrt(np.nanmean(residual**2, axis=(0, 1))),
        )

    def expected(self, position: Array) -> Array:
        """(n, d) fingerprint expected at (n, 2) positions: inverse-distance mean of 4 points."""
        count = min(_NEIGHBOURS, len(self.position))
        distance, index = cKDTree(self.position).query(position, k=count)
        distance = np.reshape(distance, (len(position), count))
        index = np.reshape(index, (len(position), count))
        weight = 1.0 / (distance + 1e-3)
        weight /= weight.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("nk,nkd->nd", weight, self.mean[index]))
