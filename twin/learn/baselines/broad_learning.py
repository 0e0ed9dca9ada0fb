"""Broad learning system with incremental nodes, the classifier of the baseline ILCL.

After Chen and Liu, Broad Learning System, IEEE TNNLS 29(1), 2018: linear feature nodes of the
input, tanh enhancement nodes of the feature nodes, and an output layer that is the ridge solution
on both. Their incremental step widens the network by a block update of the pseudo-inverse, without
a new solution from the start. Here it is an update of the inverse of ``A'A + ridge I`` by its Schur
complement: times A' that is the pseudo-inverse of A under a ridge, so what is updated is the same,
for any ridge exactly, and new samples can enter in the same way.

What MetaLoc leaves open is chosen here: weights of the feature nodes are random and not refined by
a sparse autoencoder, and all sizes.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from twin.config import StrictModel
from twin.errors import Fault, NotFittedError, refuse
from twin.learn.tasks import Array
from twin.seeds import stream


class BroadSettings(StrictModel):
    """Sizes of the system.

    Attributes:
        feature_nodes: linear nodes.
        enhancement_nodes: tanh nodes at the start.
        step_nodes: tanh nodes that one incremental step adds.
        steps: incremental steps (10 in MetaLoc, section IV-C).
        shrink: spread of what enters the tanh.
        ridge: of the output layer, a sample; inputs are standardised.
    """

    feature_nodes: int = Field(default=200, ge=1)
    enhancement_nodes: int = Field(default=200, ge=1)
    step_nodes: int = Field(default=40, ge=1)
    steps: int = Field(default=10, ge=0)
    shrink: float = Field(default=0.8, gt=0)
    ridge: float = Field(default=1e-2, gt=0)


class BroadLearning:
    """A classifier by broad learning."""

    def __init__(self, classes: int, settings: BroadSettings, seed: int) -> None:
        """An unfitted system.

        Args:
            classes: outputs.
            settings: sizes.
            seed: of the random nodes.
        """
        self._classes = classes
        self._settings = settings
        self._seed = seed
        self._inverse: Array | None = None

    def fit(self, inputs: npt.NDArray[Any], labels: npt.NDArray[Any]) -> None:
        """Solve with the nodes of the start, then widen step by step.

        Args:
            inputs: (n, …) images.
            labels: (n,) classes.

        Raises:
            InputError: no sample, numbers that do not fit, or a class out of range.
        """
        flat = self._checked(inputs, labels)
        self._mean = flat.mean(axis=0)
        self._spread = max(float(flat.std(axis=0).mean()), np.finfo(np.float64).tiny)
        settings = self._settings
        generator = stream(self._seed, "broad learning", "features")
        weights = generator.normal(size=(flat.shape[1], settings.feature_nodes))
        self._weights = weights / np.sqrt(flat.shape[1])
        self._enhancing: list[tuple[Array, Array]] = []
        self._ridge = settings.ridge * len(flat)
        features = self._features(flat)
        self._nodes = np.concatenate(
            [features, self._enhanced(features, settings.enhancement_nodes)], axis=1
        )
        gram = self._nodes.T @ self._nodes
        self._inverse = np.linalg.inv(gram + self._ridge * np.eye(len(gram)))
        self._targets = np.eye(self._classes)[labels]
        for _ in range(settings.steps):
            self._widen(features)
        self._correlation = self._nodes.T @ self._targets
        # Not needed any more, and as large as the data.
        del self._nodes, self._targets

    def _features(self, flat: Array) -> Array:
        return np.asarray(((flat - self._mean) / self._spread) @ self._weights)

    def _enhanced(self, features: Array, count: int) -> Array:
        """New enhancement nodes, which are kept, of (n, f) features."""
        generator = stream(self._seed, "broad learning", "enhancement", len(self._enhancing))
        shape = (features.shape[1] + 1, count)
        # Orthonormal where they can be, as in the original.
        across, _ = np.linalg.qr(generator.normal(size=(max(shape), min(shape))))
        weights = across if shape[0] >= shape[1] else across.T
        reach = self._settings.shrink / max(
            float(np.abs(_with_one(features) @ weights).max()), 1e-12
        )
        self._enhancing.append((weights, np.array(reach)))
        return np.asarray(np.tanh(_with_one(features) @ weights * reach))

    def _widen(self, features: Array) -> None:
        """One incremental step: more enhancement nodes, the inverse updated by blocks."""
        old, inverse = self._nodes, self._fitted()
        new = self._enhanced(features, self._settings.step_nodes)
        known = inverse @ (old.T @ new)
        # From residuals: the difference of two products would lose digits with every step.
        rest = new - old @ known
        complement = rest.T @ rest + self._ridge * (np.eye(new.shape[1]) + known.T @ known)
        block = np.linalg.inv(complement)
        corner = -known @ block
        self._inverse = np.block([[inverse - corner @ known.T, corner], [corner.T, block]])
        self._nodes = np.concatenate([old, new], axis=1)

    def nodes(self, inputs: npt.NDArray[Any]) -> Array:
        """(n, nodes) feature and enhancement nodes of (n, …) images."""
        self._fitted()
        features = self._features(_flat(inputs))
        bright = [np.tanh(_with_one(features) @ w * reach) for w, reach in self._enhancing]
        return np.concatenate([features, *bright], axis=1)

    def scores(self, inputs: npt.NDArray[Any]) -> Array:
        """(n, classes) outputs for (n, …) images; near 1 for the class, near 0 elsewhere.

        Raises:
            NotFittedError: `fit` did not run before.
        """
        return np.asarray(self.nodes(inputs) @ (self._fitted() @ self._correlation))

    def with_samples(self, inputs: npt.NDArray[Any], labels: npt.NDArray[Any]) -> BroadLearning:
        """A system that has learned these samples, too, with the same nodes and the same ridge.

        The ridge is that of the samples it was fitted on, however many are added.

        Args:
            inputs: (n, …) images.
            labels: (n,) classes.

        Raises:
            InputError: see `fit`.
            NotFittedError: `fit` did not run before.
        """
        self._checked(inputs, labels)
        rows, inverse = self.nodes(inputs), self._fitted()
        other = copy.copy(self)
        moved = inverse @ rows.T
        inside = np.linalg.inv(np.eye(len(rows)) + rows @ moved)
        other._inverse = inverse - moved @ inside @ moved.T
        other._correlation = self._correlation + rows.T @ np.eye(self._classes)[labels]
        return other

    def _checked(self, inputs: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Array:
        faults = []
        if len(inputs) == 0 or labels.shape != (len(inputs),):
            found = f"{len(inputs)} images, labels {labels.shape}"
            faults.append(Fault("broad learning", "samples", "1 or more, a label each", found))
        elif not 0 <= labels.min() <= labels.max() < self._classes:
            found = f"{labels.min()} to {labels.max()}"
            faults.append(Fault("broad learning", "labels", f"0 to {self._classes - 1}", found))
        refuse(faults)
        return _flat(inputs)

    def _fitted(self) -> Array:
        if self._inverse is None:
            raise NotFittedError("broad learning: expected a fitted system; call fit first")
        return self._inverse


def _flat(inputs: npt.NDArray[Any]) -> Array:
    return inputs.reshape(len(inputs), -1).astype(np.float64)


def _with_one(features: Array) -> Array:
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)
