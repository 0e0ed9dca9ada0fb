"""What every learner and every baseline offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from twin.store.reader import Environment

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """Labelled points of a real place, and unlabelled fingerprints of it.

    Attributes:
        fingerprints: (k, d) median over each point's snapshots; NaN = not heard.
        position: (k, 2) [m].
        unlabelled: (n, d) fingerprints whose positions are not used.
    """

    fingerprints: Array
    position: Array
    unlabelled: Array


@dataclass(frozen=True)
class Location:
    """Where the fingerprints were taken.

    Attributes:
        position: (n, 2) [m].
        spread: (n,) distance that the learner expects to be wrong by [m].
    """

    position: Array
    spread: Array


class Learner(Protocol):
    """Learns from a twin, adapts to a place, locates fingerprints."""

    def fit(self, environments: Sequence[Environment]) -> None:
        """Learn from the environments of a twin."""

    def adapt(self, labelled: Labelled) -> None:
        """Adapt to a place from a few labelled points; replaces any earlier adaptation."""

    def locate(self, fingerprints: Array) -> Location:
        """Locate (n, d) fingerprints; NaN = not heard."""

    def save(self, path: Path) -> None:
        """Write what `fit` learned to one file."""

    def load(self, path: Path) -> None:
        """Read what `save` wrote; raises `InputError` for any other file."""
