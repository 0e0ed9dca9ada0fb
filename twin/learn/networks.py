"""Networks that learners adapt: plain Keras models, seeded, of any floating-point type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from twin.learn.csi_images import LEVELS
from twin.seeds import integer_seed

Tensor = Any
#: What those name who hand networks on without using Keras.
Network = keras.Model
CONVOLUTIONS = 5
# Images fill a quarter of the range or so: this brings their spread near one.
_REACH = 2.0


@keras.saving.register_keras_serializable(package="fingertwin")
class ChannelBias(keras.layers.Layer):
    """One trainable number a channel, added to it."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weight, (channels,), zero at first."""
        self.bias = self.add_weight(
            shape=(input_shape[-1],), initializer="zeros", trainable=True, name="bias"
        )

    def call(self, inputs: Tensor) -> Tensor:
        return inputs + self.bias


def csi_cnn(
    shape: tuple[int, int, int],
    classes: int,
    filters: int = 10,
    seed: int = 0,
    dtype: str = "float32",
) -> keras.Model:
    """Five convolutions with pooling and one dense layer, for CSI images (MetaLoc, section V-B).

    Pixels of 0 to 255 become -2 to 2. Each convolution is 3 x 3, keeps the size and is followed
    by 2 x 2 max pooling that keeps incomplete windows: 52 x 50 ends as 2 x 2, so the dense layer
    sees 4 * `filters` features. Bias and ReLU come after the pooling; both are monotone, so the
    function is that of the usual order, on a quarter of the elements.

    Args:
        shape: (subcarrier, packet, ap) of an image.
        classes: outputs, logits.
        filters: of each convolution.
        seed: of the initial weights.
        dtype: of weights and outputs.
    """
    layers: list[Any] = [
        keras.Input(shape, dtype=dtype),
        keras.layers.Rescaling(2.0 * _REACH / (LEVELS - 1), offset=-_REACH, dtype=dtype),
    ]
    for index in range(CONVOLUTIONS):
        initial = keras.initializers.HeNormal(seed=integer_seed(seed, "convolution", index))
        layers += [
            keras.layers.Conv2D(
                filters,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer=initial,
                dtype=dtype,
            ),
            keras.layers.MaxPooling2D(2, padding="same", dtype=dtype),
            ChannelBias(dtype=dtype),
            keras.layers.ReLU(dtype=dtype),
        ]
    initial = keras.initializers.GlorotNormal(seed=integer_seed(seed, "output"))
    layers += [
        keras.layers.Flatten(dtype=dtype),
        keras.layers.Dense(classes, kernel_initializer=initial, dtype=dtype),
    ]
    return keras.Sequential(layers)


def multilayer_perceptron(
    inputs: int,
    hidden: Sequence[int] = (64, 64, 64, 64),
    outputs: int = 2,
    seed: int = 0,
    dtype: str = "float32",
) -> keras.Model:
    """ReLU layers of the given widths and a linear output, for regression (MetaLoc, section V-A).

    Args:
        inputs: entries of a fingerprint.
        hidden: widths; the paper has four hidden layers and does not say how wide.
        outputs: 2 coordinates; learners that also state a spread take 3.
        seed: of the initial weights; the output layer starts near zero.
        dtype: of weights and outputs.
    """
    layers: list[Any] = [keras.Input((inputs,), dtype=dtype)]
    for index, units in enumerate(hidden):
        initial = keras.initializers.HeNormal(seed=integer_seed(seed, "hidden", index))
        layers.append(
            keras.layers.Dense(units, activation="relu", kernel_initializer=initial, dtype=dtype)
        )
    initial = keras.initializers.RandomNormal(stddev=0.01, seed=integer_seed(seed, "output"))
    layers.append(keras.layers.Dense(outputs, kernel_initializer=initial, dtype=dtype))
    return keras.Sequential(layers)
