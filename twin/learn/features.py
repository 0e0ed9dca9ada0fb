"""From stored fingerprints to the numbers a learner sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from twin.store.reader import Environment

Array = npt.NDArray[np.float64]
Feature = Literal["rss", "rtt", "rss+rtt"]


def entry_groups(feature: Feature, access_points: int) -> tuple[slice, ...]:
    """Slices of a fingerprint's entries that share a unit, one a part of the feature."""
    parts = feature.split("+")
    return tuple(slice(i * access_points, (i + 1) * access_points) for i in range(len(parts)))


def fingerprints(environment: Environment, feature: Feature) -> Array:
    """Every snapshot's fingerprint.

    Returns:
        (p, s, d) with d = access points x parts of the feature [dBm for RSS, m for RTT]; NaN =
        not heard.
    """
    parts = [environment.features[part] for part in feature.split("+")]
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts], axis=-1)


def point_fingerprints(environment: Environment, feature: Feature) -> Array:
    """(p, d) median over a point's snapshots that heard the access point; NaN where none did."""
    parts = [environment.point_features(part) for part in feature.split("+")]
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts], axis=-1)


@dataclass(frozen=True)
class Scaler:
    """Standardises fingerprints and positions; what was not heard becomes zero and is flagged.

    Attributes:
        centre: (d,) subtracted from each entry.
        spread: (d,) each entry is divided by.
        origin: (2,) centre of the area [m].
        reach: half of the longer side of the area [m].
    """

    centre: Array
    spread: Array
    origin: Array
    reach: float

    @classmethod
    def of(cls, position: Array, mean: Array, groups: Sequence[slice]) -> Scaler:
        """Scaler of a twin: (p, 2) positions [m] and (p, d) mean fingerprints."""
        spread = np.empty(mean.shape[1])
        for group in groups:
            # One spread for all access points of a unit: their differences carry position.
            spread[group] = max(float(mean[:, group].std(axis=0).mean()), 1e-6)
        low, high = position.min(axis=0), position.max(axis=0)
        reach = max(float((high - low).max()) / 2.0, 1e-6)
        return cls(mean.mean(axis=0), spread, (low + high) / 2.0, reach)

    @property
    def inputs(self) -> int:
        """Length of a learner's input: value and heard flag of each entry."""
        return 2 * len(self.centre)

    def encode(self, values: Array) -> npt.NDArray[np.float32]:
        """(…, d) fingerprints to (…, 2 d) inputs."""
        heard = np.isfinite(values)
        standard = np.where(heard, (np.where(heard, values, 0.0) - self.centre) / self.spread, 0.0)
        return np.concatenate([standard, heard], axis=-1).astype(np.float32)

    def to_unit(self, position: Array) -> npt.NDArray[np.float32]:
        """(…, 2) metres to the learner's coordinates."""
        return ((position - self.origin) / self.reach).astype(np.float32)

    def to_metres(self, position: npt.NDArray[np.float32]) -> Array:
        """(…, 2) the learner's coordinates to metres."""
        return np.asarray(position, dtype=np.float64) * self.reach + self.origin
