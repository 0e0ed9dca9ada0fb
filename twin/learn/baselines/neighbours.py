"""k nearest neighbours in signal space, on real labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import JsonValue
from sklearn.neighbors import KNeighborsRegressor

from twin.errors import Fault, InputError, NotFittedError
from twin.learn.archive import read_archive, write_archive
from twin.learn.features import Array, Feature, entry_groups
from twin.learn.learner import Labelled, Location
from twin.store.reader import Environment

FORMAT = "fingertwin/neighbours@1"


class Neighbours:
    """KNN (Bahl and Padmanabhan's RADAR) and WKNN; the twin is not used.

    Entries of different units are divided by their spread over the labelled points before
    distances are taken; an access point that was not heard counts as the weakest (RSS) or
    farthest (RTT) one heard at the labelled points.
    """

    def __init__(
        self,
        feature: Feature,
        access_points: int,
        most_neighbours: int,
        weights: Literal["uniform", "distance"],
    ) -> None:
        """`most_neighbours` bounds K, which is the square root of the number of labels, rounded."""
        self._groups = entry_groups(feature, access_points)
        self._feature = feature
        self._access_points = access_points
        self._most_neighbours = most_neighbours
        self._weights = weights
        self._labelled: tuple[Array, Array] | None = None

    def fit(self, environments: Sequence[Environment]) -> None:
        """Nothing: these baselines know real labels only."""

    def adapt(self, labelled: Labelled) -> None:
        """Take the labelled points as the fingerprint database.

        Raises:
            InputError: no labelled point.
        """
        if len(labelled.position) == 0:
            raise InputError([Fault("labelled points", "", "at least 1", "0")])
        self._labelled = (labelled.fingerprints, labelled.position)

    def locate(self, fingerprints: Array) -> Location:
        """Locate (n, d) fingerprints; the spread is that of the neighbours around their mean.

        Raises:
            NotFittedError: `adapt` did not run before.
        """
        if self._labelled is None:
            raise NotFittedError("locate: expected labelled points; call adapt first")
        known, position = self._labelled
        known_filled, asked_filled = self._comparable(known, fingerprints)
        k = max(1, min(self._most_neighbours, round(len(position) ** 0.5)))
        model = KNeighborsRegressor(n_neighbors=k, weights=self._weights).fit(
            known_filled, position
        )
        located = np.asarray(model.predict(asked_filled), dtype=np.float64)
        nearest = model.kneighbors(asked_filled, return_distance=False)
        around = np.linalg.norm(position[nearest] - located[:, None, :], axis=-1)
        return Location(located, np.asarray(around.mean(axis=1)))

    def _comparable(self, known: Array, asked: Array) -> tuple[Array, Array]:
        known, asked = known.copy(), asked.copy()
        for part, group in zip(self._feature.split("+"), self._groups, strict=True):
            heard = known[:, group][np.isfinite(known[:, group])]
            edge = 0.0
            if heard.size:
                edge = float(heard.min() if part == "rss" else heard.max())
            spread = float(heard.std()) if heard.size > 1 else 0.0
            for values in (known, asked):
                block = np.where(np.isfinite(values[:, group]), values[:, group], edge)
                values[:, group] = block / (spread if spread > 0 else 1.0)
        return known, asked

    def save(self, path: Path) -> None:
        """Write the fingerprint database to one ``.npz`` file."""
        if self._labelled is None:
            raise NotFittedError("save: expected labelled points; call adapt first")
        fingerprints, position = self._labelled
        write_archive(path, self._head(), {"fingerprints": fingerprints, "position": position})

    def load(self, path: Path) -> None:
        """Read what `save` wrote; raises `InputError` for any other file or other settings."""
        arrays = read_archive(path, self._head())
        self._labelled = (arrays["fingerprints"], arrays["position"])

    def _head(self) -> dict[str, JsonValue]:
        return {
            "format": FORMAT,
            "feature": self._feature,
            "access_points": self._access_points,
            "most_neighbours": self._most_neighbours,
            "weights": self._weights,
        }
