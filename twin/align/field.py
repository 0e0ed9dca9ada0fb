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
            ValueError: fewer than two realisations, or an entry heard nowhere in the twin.
        """
        if fingerprints.shape[0] < 2:
            raise ValueError(
                f"a twin field needs at least 2 realisations, found {fingerprints.shape[0]}"
            )
        overall = _mean_heard(fingerprints, (0, 1))
        if np.isnan(overall).any():
            missing = np.flatnonzero(np.isnan(overall))
            raise ValueError(
                f"fingerprint entries {missing.tolist()} are heard nowhere in the twin"
            )
        mean = _mean_heard(fingerprints, (0,))
        mean = np.where(np.isnan(mean), overall, mean)
        deviation = fingerprints - mean
        shift = _mean_heard(deviation, (1,))
        own = shift.copy()
        for group in groups:
            own[:, group] -= _mean_heard(shift[:, group], (1,))[:, None]
        residual = deviation - shift[:, None, :]
        return cls(
            np.asarray(position, dtype=np.float64),
            mean,
            np.sqrt(_mean_heard(own**2, (0,))),
            np.sqrt(_mean_heard(residual**2, (0, 1))),
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


def _mean_heard(values: Array, axes: tuple[int, ...]) -> Array:
    # NumPy's nanmean warns where nothing was heard; here that is an access point out of reach.
    heard = np.isfinite(values)
    count = heard.sum(axis=axes)
    total = np.where(heard, values, 0.0).sum(axis=axes)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
