from __future__ import annotations

import keras
import numpy as np
import pytest

from twin.errors import InputError
from twin.learn.loss_surface import LossSurface, descend, largest_curvature, minimum
from twin.learn.losses import CrossEntropy, MeanSquare
from twin.learn.theory import Theorem1, gradient_alignment, parameter_distance, theorem_1


def network(*hidden, inputs=2, outputs=2, activation="tanh"):
    layers = [keras.Input((inputs,), dtype="float64")]
    layers += [keras.layers.Dense(n, activation=activation, dtype="float64") for n in hidden]
    return keras.Sequential([*layers, keras.layers.Dense(outputs, dtype="float64")])


def parameters_of(model, seed=3):
    generator = np.random.default_rng(seed)
    return [0.7 * generator.normal(size=w.shape) for w in model.get_weights()]


def sample(count=9, seed=0, noise=0.3):
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(count, 2)) * [1.0, 0.5] + 0.2
    targets = inputs @ [[1.0, -0.5], [0.3, 2.0]] + noise * generator.normal(size=(count, 2))
    return inputs, targets


def with_one(inputs):
    return np.column_stack([inputs, np.ones(len(inputs))])


def test_distance_is_that_of_all_parameters_as_one_vector():
    first = [np.zeros((2, 2), np.float32), np.zeros(1, np.float32)]
    second = [np.array([[1.0, 2.0], [0.0, 2.0]]), np.array([4.0])]
    assert parameter_distance(first, second) == 5.0
    assert parameter_distance(second, second) == 0.0
    with pytest.raises(InputError, match="shapes"):
        parameter_distance(first, second[:1])
    with pytest.raises(InputError, match="shapes"):
        parameter_distance(first, [np.zeros((4, 1)), np.zeros(1)])


def test_alignment_is_the_cosine_between_environments():
    gradients = [
        [np.array([1.0, 0.0]), np.array([[0.0]])],
        [np.array([3.0, 0.0]), np.array([[3.0]])],
        [np.array([-2.0, 0.0]), np.array([[0.0]])],
    ]
    half = np.sqrt(0.5)
    expected = [[1.0, half, -1.0], [half, 1.0, -half], [-1.0, -half, 1.0]]
    assert np.allclose(gradient_alignment(gradients), expected)


@pytest.mark.parametrize(
    ("gradients", "key"),
    [
        ([[np.ones(2)]], "environments"),
        ([[np.ones(2)], [np.ones(3)]], "parameters"),
        ([[np.ones(2)], [np.zeros(2)]], "environment 1"),
        ([[np.array([np.nan, 1.0])], [np.ones(2)]], "environment 0"),
    ],
)
def test_gradients_without_a_direction_or_a_partner_are_refused(gradients, key):
    with pytest.raises(InputError) as error:
        gradient_alignment(gradients)
    assert [fault.key for fault in error.value.faults] == [key]


def test_linear_model_has_the_curvature_and_gradients_of_its_closed_form():
    model, (inputs, targets) = network(), sample()
    weight = np.arange(9.0) / 36.0
    loss = LossSurface(model, MeanSquare()).on(inputs, targets, weight)
    parameters = parameters_of(model)
    augmented = with_one(inputs)
    wrong = augmented @ np.vstack(parameters) - targets
    assert np.isclose(loss.value(parameters), (weight * (wrong**2).sum(axis=1)).sum())
    found, gradient = loss.gradient(parameters)
    assert np.isclose(found, loss.value(parameters))
    expected = 2 * augmented.T @ (weight[:, None] * wrong)
    assert np.allclose(np.vstack(gradient), expected)

    hessian = 2 * augmented.T @ (weight[:, None] * augmented)
    curvature = largest_curvature(
        loss, parameters, np.random.default_rng(0), iterations=300, tolerance=1e-10
    )
    assert curvature.converged
    assert np.isclose(curvature.value, np.linalg.eigvalsh(hessian)[-1], rtol=1e-6)

    # The first member has no weight: padding.
    norms = 2 * np.linalg.norm(augmented, axis=1) * np.linalg.norm(wrong, axis=1)
    assert loss.size == 8
    assert np.isclose(loss.largest_member_gradient(parameters), norms[1:].max())
    heavy = LossSurface(model, MeanSquare()).on(inputs[:1], targets[:1])
    assert np.isclose(heavy.largest_member_gradient(parameters), norms[0])


def test_curvature_of_a_network_is_the_largest_eigenvalue_of_its_whole_hessian():
    model, (inputs, targets) = network(4), sample()
    loss = LossSurface(model, MeanSquare()).on(inputs, targets)
    parameters = parameters_of(model)
    count, small = sum(p.size for p in parameters), 1e-6

    def slope(flat):
        parts = np.split(flat, np.cumsum([p.size for p in parameters])[:-1])
        shaped = [part.reshape(p.shape) for part, p in zip(parts, parameters, strict=True)]
        return np.concatenate([g.ravel() for g in loss.gradient(shaped)[1]])

    flat = np.concatenate([p.ravel() for p in parameters])
    steps = small * np.eye(count)
    hessian = np.stack([(slope(flat + s) - slope(flat - s)) / (2 * small) for s in steps])
    largest = np.abs(np.linalg.eigvalsh((hessian + hessian.T) / 2)).max()
    found = largest_curvature(loss, parameters, np.random.default_rng(1), 500, 1e-9)
    assert np.isclose(found.value, largest, rtol=1e-5)
    few = largest_curvature(loss, parameters, np.random.default_rng(1), 2, 1e-9)
    assert not few.converged
    assert few.iterations == 2
    assert few.value < found.value

    direction = parameters_of(model, seed=8)
    product = np.concatenate([p.ravel() for p in loss.hessian_product(parameters, direction)])
    expected = hessian @ np.concatenate([d.ravel() for d in direction])
    assert np.allclose(product, expected, rtol=1e-5, atol=1e-6)


def test_descent_takes_plain_gradient_steps():
    model, (inputs, targets) = network(), sample()
    loss = LossSurface(model, MeanSquare()).on(inputs, targets)
    start = parameters_of(model)
    path = descend(loss, start, 0.1, 3)
    augmented, theta = with_one(inputs), np.vstack(start)
    for reached in path:
        assert np.allclose(np.vstack(reached), theta)
        theta = theta - 0.1 * 2 / 9 * augmented.T @ (augmented @ theta - targets)
    assert len(path) == 4


def test_minimum_of_a_linear_model_is_least_squares():
    model, (inputs, targets) = network(), sample()
    found = minimum(LossSurface(model, MeanSquare()).on(inputs, targets), parameters_of(model))
    expected = np.linalg.lstsq(with_one(inputs), targets, rcond=None)[0]
    assert np.allclose(np.vstack(found), expected, atol=1e-4)


def test_bounds_are_the_formulas_of_the_theorem():
    found = Theorem1(0.1, 3, 5, 2.0, 4.0, -0.2, 0.5, 0.1)
    stability = 2 * 2.0**2 * (1.8**3 - 1) / (5 * 4.0)
    assert np.isclose(found.stability, stability)
    assert np.isclose(found.first_bound, stability - 0.2)
    assert np.isclose(found.second_bound, stability + 0.25 / 0.2)
    assert found.premise_holds
    assert not Theorem1(0.26, 3, 5, 2.0, 4.0, 0.0, 0.5, 0.1).premise_holds
    flat = Theorem1(0.1, 3, 5, 2.0, 0.0, 0.0, 0.5, 0.1)
    assert np.isclose(flat.stability, 2 * 4.0 * 0.6 / 5)
    assert np.isclose(Theorem1(0.1, 3, 5, 2.0, 1e-9, 0.0, 0.5, 0.1).stability, flat.stability)
    assert Theorem1(1.0, 9999, 5, 2.0, 4.0, 0.0, 0.5, 0.1).stability == np.inf


def test_theorem_holds_for_linear_least_squares():
    model, (inputs, targets) = network(), sample(400, seed=4)
    surface = LossSurface(model, MeanSquare())
    law = surface.on(inputs, targets)
    optimum = list(np.split(np.linalg.lstsq(with_one(inputs), targets, rcond=None)[0], [2]))
    optimum[1] = optimum[1][0]
    start = [value + 0.3 for value in optimum]
    generator = np.random.default_rng(2)
    found = []
    for _ in range(12):
        # With replacement, so that the 400 are the law itself.
        chosen = generator.integers(400, size=8)
        support = surface.on(inputs[chosen], targets[chosen])
        found.append(theorem_1(support, law, start, optimum, 0.02, 6, generator, around=2))
    means = {
        name: np.mean([getattr(one, name) for one in found])
        for name in ("excess_risk", "first_bound", "second_bound")
    }
    assert all(one.premise_holds for one in found)
    assert 0 < means["excess_risk"] <= means["first_bound"] <= means["second_bound"]
    one = found[0]
    assert np.isclose(one.distance, 0.3 * np.sqrt(6))
    assert (one.steps, one.rate, one.support) == (6, 0.02, 8)


def test_theorem_looks_along_the_path_and_around_the_start():
    model, (inputs, targets) = network(), sample(8)
    loss = LossSurface(model, MeanSquare()).on(inputs, targets)
    start = parameters_of(model)
    optimum = minimum(loss, start)
    alone = theorem_1(loss, loss, start, optimum, 0.05, 4, np.random.default_rng(0), around=0)
    along = [loss.largest_member_gradient(p) for p in descend(loss, start, 0.05, 4)]
    assert np.isclose(alone.lipschitz, max(along))
    around = theorem_1(loss, loss, start, optimum, 0.05, 4, np.random.default_rng(0), around=9)
    assert around.lipschitz > alone.lipschitz
    assert around.excess_risk == alone.excess_risk == alone.training_gap


def test_images_and_classes_will_do():
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(2, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ]
    model = keras.Sequential(layers)
    images = np.random.default_rng(0).integers(0, 255, (9, 8, 8, 1), dtype=np.uint8)
    surface = LossSurface(model, CrossEntropy())
    loss = surface.on(images, np.arange(9, dtype=np.int32) % 3)
    parameters = [0.01 * value for value in parameters_of(model)]
    one = surface.on(images[4:5], np.array([1], np.int32))
    norm = np.sqrt(sum((g**2).sum() for g in one.gradient(parameters)[1]))
    assert loss.largest_member_gradient(parameters) >= norm * (1 - 1e-5)
    assert np.isclose(one.largest_member_gradient(parameters), norm, rtol=1e-5)
    assert largest_curvature(loss, parameters, np.random.default_rng(0), 5).value > 0


@pytest.mark.parametrize(
    ("inputs", "targets", "weight", "key"),
    [
        (np.empty((0, 2)), np.empty((0, 2)), None, "inputs, targets, weight"),
        (np.ones((3, 2)), np.ones((4, 2)), None, "inputs, targets, weight"),
        (np.ones((3, 2)), np.ones((3, 2)), np.ones(3), "weight"),
        (np.ones((3, 2)), np.ones((3, 2)), np.array([1.5, -0.5, 0.0]), "weight"),
    ],
)
def test_samples_that_do_not_fit_are_refused(inputs, targets, weight, key):
    with pytest.raises(InputError) as error:
        LossSurface(network(), MeanSquare()).on(inputs, targets, weight)
    assert [fault.key for fault in error.value.faults] == [key]


def test_models_with_statistics_and_foreign_parameters_are_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
    with pytest.raises(InputError, match="no state beside its parameters"):
        LossSurface(model, MeanSquare()).on(*sample())
    loss = LossSurface(network(), MeanSquare()).on(*sample())
    with pytest.raises(InputError, match="parameters"):
        loss.value([np.zeros((2, 2))])


@pytest.mark.parametrize(("rate", "steps", "key"), [(0.0, 1, "rate"), (0.1, 0, "steps")])
def test_steps_that_lead_nowhere_are_refused(rate, steps, key):
    model = network()
    loss = LossSurface(model, MeanSquare()).on(*sample())
    start = parameters_of(model)
    with pytest.raises(InputError) as error:
        theorem_1(loss, loss, start, start, rate, steps, np.random.default_rng(0))
    assert [fault.key for fault in error.value.faults] == [key]
