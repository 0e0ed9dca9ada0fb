from __future__ import annotations

import keras
import numpy as np
import pytest

from twin.learn.networks import CONVOLUTIONS, csi_cnn, multilayer_perceptron


def usual_order(shape, classes, filters):
    """Bias and ReLU before the pooling."""
    layers = [keras.Input(shape, dtype="float64")]
    layers.append(keras.layers.Rescaling(4.0 / 255.0, offset=-2.0, dtype="float64"))
    for _ in range(CONVOLUTIONS):
        layers.append(
            keras.layers.Conv2D(filters, 3, padding="same", activation="relu", dtype="float64")
        )
        layers.append(keras.layers.MaxPooling2D(2, padding="same", dtype="float64"))
    layers += [keras.layers.Flatten(dtype="float64")]
    layers += [keras.layers.Dense(classes, dtype="float64")]
    return keras.Sequential(layers)


def pictures(count=3, shape=(52, 50, 3)):
    return np.random.default_rng(0).integers(256, size=(count, *shape)).astype(np.uint8)


def test_pooling_before_the_bias_is_the_same_function():
    network = csi_cnn((52, 50, 3), 7, filters=4, seed=1, dtype="float64")
    generator = np.random.default_rng(0)
    weights = [0.3 * generator.normal(size=w.shape) for w in network.get_weights()]
    network.set_weights(weights)
    other = usual_order((52, 50, 3), 7, 4)
    other.set_weights(weights)
    inputs = pictures().astype(np.float64)
    assert np.allclose(network(inputs), other(inputs), rtol=0, atol=1e-12)
    assert np.ptp(network(inputs)) > 0.1


def test_cnn_has_the_size_that_it_says():
    network = csi_cnn((52, 50, 3), 90)
    assert [w.shape for w in network.get_weights()[-2:]] == [(40, 90), (90,)]
    found = network(pictures(2).astype(np.float32))
    assert found.shape == (2, 90)
    assert found.dtype == "float32"
    assert network.count_params() == 270 + 4 * 900 + 5 * 10 + 41 * 90


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: csi_cnn((52, 50, 1), 5, seed=seed),
        lambda seed: multilayer_perceptron(6, (8, 8), seed=seed),
    ],
)
def test_initial_weights_follow_the_seed(make):
    one, same, other = (make(seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    kernels = [(a, b) for a, b in zip(one, other, strict=True) if a.ndim > 1]
    assert not any(np.array_equal(a, b) for a, b in kernels)
    equal_shape = [a for a, _ in kernels if a.shape == kernels[1][0].shape]
    assert len({a.tobytes() for a in equal_shape}) == len(equal_shape)


def test_perceptron_has_the_outputs_asked_for():
    network = multilayer_perceptron(15, dtype="float64")
    assert len(network.layers) == 5
    found = network(np.ones((4, 15)))
    assert found.shape == (4, 2)
    assert found.dtype == "float64"
    assert multilayer_perceptron(15, (4,), outputs=3).output_shape == (None, 3)
