"""The part that all learners adapted by gradient steps share."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from pydantic import JsonValue

from twin.align import moments
from twin.align.field import TwinField
from twin.errors import Fault, InputError, NotFittedError
from twin.learn.archive import read_archive, write_archive
from twin.learn.episodes import TwinTasks
from twin.learn.features import Array, Feature, Scaler, entry_groups
from twin.learn.learner import Labelled, Location
from twin.learn.losses import MeanDistanceWithSpread
from twin.learn.metalearning import InnerLoop, MetaTraining, Tensor, adapted, forward
from twin.learn.networks import multilayer_perceptron
from twin.learn.presets import GradientSettings
from twin.seeds import stream
from twin.store.reader import Environment

FORMAT = "fingertwin/learner@1"
#: Inner gradients are clipped to this global norm: fingerprints far off the twin's scale (a place
#: that is not aligned) would otherwise throw the parameters out of any useful range in a few
#: steps.
LARGEST_GRADIENT = 10.0
_PROBLEM = MeanDistanceWithSpread()
_ADAPTATION = frozenset({"alignment", "inner_rate", "inner_steps"})


class GradientLearner:
    """A multilayer perceptron on aligned fingerprints, adapted by gradient steps.

    Subclasses decide how the starting point of the adaptation is found.
    """

    def __init__(
        self,
        settings: GradientSettings,
        feature: Feature,
        access_points: int,
        seed: int,
    ) -> None:
        """An untrained learner.

        Args:
            settings: see `GradientSettings`.
            feature: what a fingerprint is made of.
            access_points: number of access points.
            seed: of initial weights and tasks.
        """
        self.settings = settings
        self.feature = feature
        self._seed = seed
        self._groups = entry_groups(feature, access_points)
        self._entries = access_points * len(self._groups)
        self._start_over()
        self._alignment = moments.identity(self._entries)

    def _start_over(self) -> None:
        # A model of its own: the one so far may be shared with a copy that adapts in another way.
        # Coordinates, and the logarithm of the expected distance.
        self._model = multilayer_perceptron(
            2 * self._entries, self.settings.hidden, outputs=3, seed=self._seed
        )
        self._field: TwinField | None = None
        self._scaler: Scaler | None = None
        self._adapted: list[Any] | None = None
        self._compile()

    def _compile(self) -> None:
        # For this model and these settings, not for this learner, which may be copied.
        self._adapt = tf.function(partial(_adapt_step, self._model, self.settings))
        self._forward = tf.function(partial(_forward_step, self._model))

    def training_inner_steps(self) -> int | None:
        """Inner steps that training looks through; None: no training at all."""
        raise NotImplementedError

    def fit(self, environments: Sequence[Environment]) -> None:
        """Learn from the environments of one twin (same points, same access points).

        What was learned or loaded before is forgotten.

        Raises:
            InputError: see `TwinTasks`; other access points than the learner was made for.
        """
        source = TwinTasks(environments, self.feature, self.settings.alignment)
        self._refuse_other_entries("twin environments", len(source.field.offset_std))
        self._start_over()
        inner_steps = self.training_inner_steps()
        if inner_steps is not None:
            self._train(source, inner_steps)
        self._field, self._scaler = source.field, source.scaler

    def _train(self, source: TwinTasks, inner_steps: int) -> None:
        settings = self.settings
        schedule = keras.optimizers.schedules.CosineDecay(
            settings.outer_rate, max(settings.outer_steps, 1)
        )
        training = MetaTraining(
            self._model,
            _PROBLEM,
            InnerLoop(settings.inner_rate, inner_steps, settings.first_order, LARGEST_GRADIENT),
            keras.optimizers.Adam(schedule, global_clipnorm=10.0),
        )
        # All learners of a seed see the same tasks in the same order: that is the equal budget.
        generator = stream(self._seed, "tasks", self.feature)
        for _ in range(settings.outer_steps):
            batch = source.sample(generator, settings.tasks, settings.supports, settings.queries)
            training.step(batch)

    def adapt(self, labelled: Labelled) -> None:
        """Align to a place and take the adaptation's gradient steps on its labelled points.

        Raises:
            NotFittedError: `fit` or `load` did not run before.
            InputError: no labelled point, or more than the largest of `settings.supports`.
        """
        field, scaler = self._fitted()
        k, largest = len(labelled.position), max(self.settings.supports)
        if not 1 <= k <= largest:
            raise InputError([Fault("labelled points", "", f"1 to {largest}", str(k))])
        self._alignment = moments.fit(
            self.settings.alignment,
            field,
            self._groups,
            (labelled.fingerprints, field.expected(labelled.position)),
            labelled.unlabelled,
        )
        inputs = np.zeros((largest, scaler.inputs), np.float32)
        position = np.zeros((largest, 2), np.float32)
        weight = np.zeros(largest, np.float32)
        inputs[:k] = scaler.encode(self._alignment.apply(labelled.fingerprints))
        position[:k] = scaler.to_unit(labelled.position)
        weight[:k] = 1.0 / k
        self._adapted = self._adapt(inputs, position, weight)

    def locate(self, fingerprints: Array) -> Location:
        """Locate (n, d) fingerprints; NaN = not heard.

        Raises:
            NotFittedError: `adapt` did not run before.
        """
        _, scaler = self._fitted()
        if self._adapted is None:
            raise NotFittedError(
                "locate: expected a learner adapted to the place; call adapt first"
            )
        inputs = scaler.encode(self._alignment.apply(fingerprints))
        predicted = self._forward(self._adapted, inputs).numpy()
        return Location(
            scaler.to_metres(predicted[:, :2]),
            np.exp(predicted[:, 2].astype(np.float64)) * scaler.reach,
        )

    def adapting_with(self, **changes: object) -> Self:
        """The same fitted learner that adapts in another way; not adapted yet.

        Both share the fitted weights; neither's later `fit`, `load` or `adapt` reaches the other.

        Args:
            changes: of `alignment`, `inner_rate` or `inner_steps`, as in `GradientSettings`.

        Raises:
            ValueError: a setting that the adaptation does not have, or a value out of range.
        """
        if set(changes) - _ADAPTATION:
            raise ValueError(f"expected some of {sorted(_ADAPTATION)}, found {sorted(changes)}")
        other = copy.copy(self)
        other.settings = GradientSettings(**{**self.settings.model_dump(), **changes})
        other._compile()
        other._adapted = None
        return other

    def save(self, path: Path) -> None:
        """Write weights, twin field and settings to one ``.npz`` file."""
        field, scaler = self._fitted()
        weights = {f"weight_{i:02d}": w for i, w in enumerate(self._model.get_weights())}
        arrays = {
            "position": field.position,
            "mean": field.mean,
            "offset_std": field.offset_std,
            "residual_std": field.residual_std,
            "centre": scaler.centre,
            "spread": scaler.spread,
            "origin": scaler.origin,
            "reach": np.array(scaler.reach),
        }
        write_archive(path, self._head(), arrays | weights)

    def load(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            InputError: not such a file, or of a learner with another feature, other settings or
                other access points.
        """
        arrays = read_archive(path, self._head())
        self._refuse_other_entries(str(path), len(arrays["offset_std"]))
        self._start_over()
        self._field = TwinField(
            arrays["position"], arrays["mean"], arrays["offset_std"], arrays["residual_std"]
        )
        self._scaler = Scaler(
            arrays["centre"], arrays["spread"], arrays["origin"], float(arrays["reach"])
        )
        self._model.set_weights(
            [arrays[name] for name in sorted(arrays) if name.startswith("weight_")]
        )

    def _head(self) -> dict[str, JsonValue]:
        return {
            "format": FORMAT,
            "learner": type(self).__name__,
            "feature": self.feature,
            "settings": self.settings.model_dump(mode="json"),
        }

    def _refuse_other_entries(self, where: str, found: int) -> None:
        if found != self._entries:
            parts = len(self._groups)
            expected = str(self._entries // parts)
            raise InputError([Fault(where, "access points", expected, str(found // parts))])

    def _fitted(self) -> tuple[TwinField, Scaler]:
        if self._field is None or self._scaler is None:
            raise NotFittedError(
                f"{type(self).__name__}: expected a fitted learner; call fit or load first"
            )
        return self._field, self._scaler


def _adapt_step(
    model: keras.Model,
    settings: GradientSettings,
    inputs: Tensor,
    position: Tensor,
    weight: Tensor,
) -> list[Tensor]:
    start = [tf.convert_to_tensor(variable) for variable in model.trainable_variables]
    inner = InnerLoop(settings.inner_rate, settings.inner_steps, True, LARGEST_GRADIENT)
    return adapted(model, _PROBLEM, inner, start, [], (inputs, position, weight))[0]


def _forward_step(model: keras.Model, parameters: list[Tensor], inputs: Tensor) -> Tensor:
    return forward(model, parameters, [], inputs, training=False)[0]
