"""The part that all learners adapted by gradient steps share."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import keras
import numpy as np
import tensorflow as tf
from pydantic import Field

from twin.align import moments
from twin.align.field import TwinField
from twin.config import StrictModel
from twin.errors import Fault, InputError, NotFittedError
from twin.learn.episodes import TwinTasks
from twin.learn.features import Array, Feature, Scaler, entry_groups
from twin.learn.learner import Labelled, Location
from twin.learn.metalearning import MetaTraining, Tensor, adapted_parameters
from twin.seeds import integer_seed, stream
from twin.store.reader import Environment

FORMAT = "fingertwin/learner@1"
Progress = Callable[[int, int, float], None]


class GradientSettings(StrictModel):
    """Settings of a learner that adapts by gradient steps.

    Attributes:
        hidden: units of each hidden layer.
        inner_rate: step size alpha of the adaptation.
        inner_steps: gradient steps on a support set, in training and in adaptation alike.
        first_order: drop second derivatives in the outer gradient (MetaLoc eqs. 11-13).
        outer_rate: largest step size beta of the outer optimiser (Adam, cosine decay to zero).
        outer_steps: outer updates.
        tasks: tasks an outer update M.
        supports: numbers of labelled points that tasks have.
        queries: query fingerprints a task.
        alignment: how fingerprints are brought onto the twin's scale.
    """

    hidden: tuple[int, ...] = Field(min_length=1)
    inner_rate: float = Field(gt=0)
    inner_steps: int = Field(ge=1)
    first_order: bool
    outer_rate: float = Field(gt=0)
    outer_steps: int = Field(ge=0)
    tasks: int = Field(ge=1)
    supports: tuple[int, ...] = Field(min_length=1)
    queries: int = Field(ge=1)
    alignment: Literal["none", "labels", "unlabelled"]


def multilayer_perceptron(inputs: int, hidden: Sequence[int], seed: int) -> keras.Model:
    """ReLU layers of the given widths; outputs x, y and the logarithm of the expected distance.

    Input shape: (n, inputs). Output shape: (n, 3).
    """
    layers: list[Any] = [keras.Input((inputs,))]
    for index, units in enumerate(hidden):
        initial = keras.initializers.HeNormal(seed=integer_seed(seed, "hidden", index))
        layers.append(keras.layers.Dense(units, activation="relu", kernel_initializer=initial))
    initial = keras.initializers.RandomNormal(stddev=0.01, seed=integer_seed(seed, "output"))
    layers.append(keras.layers.Dense(3, kernel_initializer=initial))
    return keras.Sequential(layers)


class GradientLearner:
    """A multilayer perceptron on aligned fingerprints, adapted by gradient steps.

    Subclasses decide how the starting point of the adaptation is found.
    """

    #: Inner steps that training looks through; None: no training at all.
    training_inner_steps: int | None

    def __init__(
        self,
        settings: GradientSettings,
        feature: Feature,
        access_points: int,
        seed: int,
        progress: Progress | None = None,
    ) -> None:
        """An untrained learner.

        Args:
            settings: see `GradientSettings`.
            feature: what a fingerprint is made of.
            access_points: number of access points.
            seed: of initial weights and tasks.
            progress: called with (step, steps, query loss) now and then.
        """
        self.settings = settings
        self.feature = feature
        self._seed = seed
        self._progress = progress
        self._groups = entry_groups(feature, access_points)
        entries = access_points * len(self._groups)
        self._model = multilayer_perceptron(2 * entries, settings.hidden, seed)
        self._field: TwinField | None = None
        self._scaler: Scaler | None = None
        self._alignment_kind: moments.AlignmentKind = settings.alignment
        self._alignment = moments.identity(entries)
        self._adapted: list[Any] | None = None
        self._adapt = tf.function(self._adapt_step)
        self._forward = tf.function(self._forward_step)

    def fit(self, environments: Sequence[Environment]) -> None:
        """Learn from the environments of one twin (same points, same access points).

        Raises:
            InputError: see `TwinTasks`.
        """
        source = TwinTasks(environments, self.feature, self.settings.alignment)
        self._field, self._scaler = source.field, source.scaler
        self._adapted = None
        if self.training_inner_steps is None:
            return
        settings = self.settings
        schedule = keras.optimizers.schedules.CosineDecay(
            settings.outer_rate, max(settings.outer_steps, 1)
        )
        training = MetaTraining(
            self._model,
            keras.optimizers.Adam(schedule, global_clipnorm=10.0),
            settings.inner_rate,
            self.training_inner_steps,
            settings.first_order,
        )
        # All learners of a seed see the same tasks in the same order: that is the equal budget.
        generator = stream(self._seed, "tasks", self.feature)
        for step in range(settings.outer_steps):
            batch = source.sample(generator, settings.tasks, settings.supports, settings.queries)
            loss = training.step(*batch.arrays())
            if self._progress and (step % 100 == 99 or step + 1 == settings.outer_steps):
                self._progress(step + 1, settings.outer_steps, loss)

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
            self._alignment_kind,
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

    def realigned(self, kind: moments.AlignmentKind) -> Self:
        """The same fitted learner that aligns in another way when it adapts; not adapted yet."""
        other = copy.copy(self)
        other._alignment_kind = kind
        other._adapted = None
        return other

    def save(self, path: Path) -> None:
        """Write weights, twin field and settings to one ``.npz`` file."""
        field, scaler = self._fitted()
        head = {
            "format": FORMAT,
            "learner": type(self).__name__,
            "feature": self.feature,
            "settings": self.settings.model_dump(mode="json"),
        }
        arrays = {f"weight_{i:02d}": w for i, w in enumerate(self._model.get_weights())}
        buffer = io.BytesIO()
        np.savez(
            buffer,
            allow_pickle=False,
            head=np.array(json.dumps(head)),
            position=field.position,
            mean=field.mean,
            offset_std=field.offset_std,
            residual_std=field.residual_std,
            centre=scaler.centre,
            spread=scaler.spread,
            origin=scaler.origin,
            reach=np.array(scaler.reach),
            **arrays,
        )
        path.write_bytes(buffer.getvalue())

    def load(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            InputError: not such a file, or of a learner with another feature or other settings.
        """
        try:
            with np.load(path, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            head = json.loads(str(arrays["head"]))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(
                [Fault(str(path), "", "a learner saved by Fingertwin", str(error))]
            ) from error
        mine = {
            "format": FORMAT,
            "learner": type(self).__name__,
            "feature": self.feature,
            "settings": self.settings.model_dump(mode="json"),
        }
        faults = [
            Fault(str(path), key, str(value), str(head.get(key)))
            for key, value in mine.items()
            if head.get(key) != value
        ]
        if faults:
            raise InputError(faults)
        self._field = TwinField(
            arrays["position"], arrays["mean"], arrays["offset_std"], arrays["residual_std"]
        )
        self._scaler = Scaler(
            arrays["centre"], arrays["spread"], arrays["origin"], float(arrays["reach"])
        )
        self._model.set_weights(
            [arrays[name] for name in sorted(arrays) if name.startswith("weight_")]
        )
        self._adapted = None

    def _fitted(self) -> tuple[TwinField, Scaler]:
        if self._field is None or self._scaler is None:
            raise NotFittedError(
                f"{type(self).__name__}: expected a fitted learner; call fit or load first"
            )
        return self._field, self._scaler

    def _adapt_step(self, inputs: Tensor, position: Tensor, weight: Tensor) -> list[Tensor]:
        start = [tf.convert_to_tensor(v) for v in self._model.trainable_variables]
        return adapted_parameters(
            self._model,
            start,
            inputs,
            position,
            weight,
            self.settings.inner_rate,
            self.settings.inner_steps,
            first_order=True,
        )

    def _forward_step(self, parameters: list[Tensor], inputs: Tensor) -> Tensor:
        predicted, _ = self._model.stateless_call(
            parameters, self._model.non_trainable_variables, inputs
        )
        return predicted
