from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from twin.learn.metalearning import (
    LARGEST_GRADIENT,
    MetaTraining,
    adapted_parameters,
    distance,
    query_loss,
)

SMALLEST = 1e-6


def made_model(*hidden, inputs=2, seed=3):
    """Double precision, smooth, with weights of a good size everywhere."""
    layers = [keras.Input((inputs,), dtype="float64")]
    layers += [keras.layers.Dense(units, activation="tanh", dtype="float64") for units in hidden]
    model = keras.Sequential([*layers, keras.layers.Dense(3, dtype="float64")])
    generator = np.random.default_rng(seed)
    model.set_weights([0.5 * generator.normal(size=w.shape) for w in model.get_weights()])
    return model


def made_task(support=4, queries=6, seed=0, scale=1.0):
    generator = np.random.default_rng(seed)
    return (
        scale * generator.normal(size=(support, 2)),
        generator.normal(size=(support, 2)),
        np.full(support, 1.0 / support),
        generator.normal(size=(queries, 2)),
        generator.normal(size=(queries, 2)),
    )


def adapted(model, task, rate=0.1, steps=1, first_order=True, start=None):
    values = model.get_weights() if start is None else start
    return adapted_parameters(
        model,
        [tf.constant(value) for value in values],
        *(tf.constant(part) for part in task[:3]),
        rate,
        steps,
        first_order,
    )


def linear_steps(weights, bias, task, rate, steps):
    """Equations 6 and 14 on a linear model, by hand."""
    inputs, position, weight = task[:3]
    for _ in range(steps):
        wrong = (inputs @ weights + bias)[:, :2] - position
        far = np.sqrt((wrong**2).sum(axis=1) + SMALLEST)
        slope = np.zeros((len(inputs), 3))
        slope[:, :2] = (weight / far)[:, None] * wrong
        by_weights, by_bias = inputs.T @ slope, slope.sum(axis=0)
        norm = np.sqrt((by_weights**2).sum() + (by_bias**2).sum() + SMALLEST)
        factor = min(1.0, LARGEST_GRADIENT / norm)
        weights, bias = weights - rate * factor * by_weights, bias - rate * factor * by_bias
    return weights, bias


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_inner_steps_are_those_computed_by_hand(steps):
    model, task = made_model(), made_task()
    by_hand = linear_steps(*model.get_weights(), task, 0.1, steps)
    for found, expected in zip(adapted(model, task, steps=steps), by_hand, strict=True):
        assert np.allclose(found, expected, rtol=0, atol=1e-12)
    assert steps == 0 or not np.allclose(by_hand[0], model.get_weights()[0], atol=1e-3)


def test_large_inner_gradients_are_clipped_to_their_global_norm():
    model, task = made_model(), made_task(scale=1e4)
    moved = [
        found.numpy() - start
        for found, start in zip(adapted(model, task, rate=1.0), model.get_weights(), strict=True)
    ]
    assert np.isclose(np.sqrt(sum((m**2).sum() for m in moved)), LARGEST_GRADIENT)
    by_hand = linear_steps(*model.get_weights(), task, 1.0, 1)
    assert np.allclose(moved[0], by_hand[0] - model.get_weights()[0])


def test_padding_of_a_support_set_changes_nothing():
    model, task = made_model(5), made_task()
    padding = np.full((3, 2), 9.0)
    padded = (
        np.concatenate([task[0], padding]),
        np.concatenate([task[1], -padding]),
        np.concatenate([task[2], np.zeros(3)]),
    )
    plain, more = adapted(model, task, steps=3), adapted(model, padded, steps=3)
    for one, other in zip(plain, more, strict=True):
        assert np.allclose(one, other, rtol=0, atol=1e-12)


def test_inner_loop_leaves_the_model_alone():
    model = made_model(5)
    before = model.get_weights()
    adapted(model, made_task(), steps=3)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_distance_is_finite_with_its_gradient_where_the_answer_is_exact():
    predicted = tf.constant([[1.0, 2.0, 0.0], [4.0, 6.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        far = distance(predicted, tf.constant([[1.0, 2.0], [1.0, 2.0]]))
    assert np.allclose(far, [0.001, 5.0])
    assert np.isfinite(tape.gradient(far, predicted)).all()


def test_query_loss_teaches_the_third_output_the_expected_distance():
    position = tf.zeros((3, 2), tf.float64)
    base = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])

    def slopes(log_spread):
        predicted = tf.constant(np.column_stack([base, np.full(3, log_spread)]))
        with tf.GradientTape() as tape:
            tape.watch(predicted)
            loss = query_loss(predicted, position)
        return float(loss), tape.gradient(loss, predicted).numpy()

    loss, slope = slopes(0.5)
    assert np.isclose(loss, 2.0 + 0.1 * (2.0 * np.exp(-0.5) + 0.5))
    # The positions are pulled by the mean distance alone, whatever the third output says.
    assert np.allclose(slope[:, :2], base / np.array([[1.0], [2.0], [3.0]]) / 3, atol=1e-6)
    assert np.allclose(slopes(-2.0)[1][:, :2], slope[:, :2])
    # One number for all three is best at the logarithm of the mean distance.
    assert np.isclose(slopes(np.log(2.0))[1][:, 2].sum(), 0.0, atol=1e-6)


def outer_gradient(model, tasks, steps, first_order, rate=0.2):
    """What one outer step of plain gradient descent with step size 1 takes away."""
    training = MetaTraining(model, keras.optimizers.SGD(1.0), rate, steps, first_order)
    before = model.get_weights()
    loss = training.step(*(np.stack(parts) for parts in zip(*tasks, strict=True)))
    after = model.get_weights()
    model.set_weights(before)
    return loss, [a - b for a, b in zip(before, after, strict=True)]


def predicted_by(model, parameters, task):
    return model.stateless_call(parameters, [], tf.constant(task[3]))[0]


TASKS = [made_task(seed=seed) for seed in (1, 2)]


def test_exact_outer_gradient_is_that_of_finite_differences():
    model = made_model(3)
    start, steps, rate, small = model.get_weights(), 2, 0.2, 1e-5

    def answers(weights):
        return [
            predicted_by(model, adapted(model, t, rate, steps, start=weights), t).numpy()
            for t in TASKS
        ]

    def distances(predicted):
        return [
            np.sqrt(((p[:, :2] - t[4]) ** 2).sum(axis=1) + SMALLEST)
            for p, t in zip(predicted, TASKS, strict=True)
        ]

    # The added term holds the distance constant.
    held = distances(answers(start))

    def objective(weights):
        predicted = answers(weights)
        losses = [
            far.mean() + 0.1 * np.mean(fixed * np.exp(-p[:, 2]) + p[:, 2])
            for far, fixed, p in zip(distances(predicted), held, predicted, strict=True)
        ]
        return np.mean(losses)

    loss, found = outer_gradient(model, TASKS, steps, first_order=False)
    assert np.isclose(loss, objective(start))
    for index, array in enumerate(start):
        for place in np.ndindex(array.shape):
            up, down = ([w.copy() for w in start] for _ in range(2))
            up[index][place] += small
            down[index][place] -= small
            slope = (objective(up) - objective(down)) / (2 * small)
            assert np.isclose(found[index][place], slope, rtol=1e-4, atol=1e-6)


def test_first_order_outer_gradient_is_taken_at_the_adapted_parameters():
    model, steps = made_model(4), 2
    expected = [np.zeros_like(w) for w in model.get_weights()]
    for task in TASKS:
        parameters = adapted(model, task, 0.2, steps)
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            loss = query_loss(predicted_by(model, parameters, task), tf.constant(task[4]))
        slopes = tape.gradient(loss, parameters)
        expected = [e + s.numpy() / len(TASKS) for e, s in zip(expected, slopes, strict=True)]
    first, found = outer_gradient(model, TASKS, steps, first_order=True)
    exact, other = outer_gradient(model, TASKS, steps, first_order=False)
    assert np.isclose(first, exact)
    assert all(np.allclose(a, b, atol=1e-9) for a, b in zip(found, expected, strict=True))
    assert max(np.abs(a - b).max() for a, b in zip(found, other, strict=True)) > 1e-2


def test_no_inner_steps_is_ordinary_training_on_the_query_sets():
    model = made_model(4)
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        losses = [query_loss(model(tf.constant(t[3])), tf.constant(t[4])) for t in TASKS]
        loss = tf.reduce_mean(losses)
    expected = tape.gradient(loss, variables)
    _, found = outer_gradient(model, TASKS, 0, first_order=True)
    assert all(np.allclose(a, b, atol=1e-9) for a, b in zip(found, expected, strict=True))


def mirrored(generator, tasks, support=6, queries=12):
    """Positions are the inputs, or the inputs mirrored: which of the two, only labels tell."""
    inputs = generator.uniform(-1, 1, size=(tasks, support + queries, 2))
    position = inputs * generator.choice([-1.0, 1.0], size=(tasks, 1, 1))
    weight = np.full((tasks, support), 1.0 / support)
    parts = (
        inputs[:, :support],
        position[:, :support],
        weight,
        inputs[:, support:],
        position[:, support:],
    )
    return tuple(part.astype(np.float64) for part in parts)


def test_learning_to_adapt_beats_plain_training_where_labels_decide():
    rate, steps = 0.3, 3
    wrong = {}
    for name, inner_steps in (("maml", steps), ("plain", 0)):
        model = made_model(16, 16)
        optimizer = keras.optimizers.Adam(1e-2)
        training = MetaTraining(model, optimizer, rate, inner_steps, first_order=True)
        generator = np.random.default_rng(5)
        for _ in range(300):
            training.step(*mirrored(generator, 16))
        held_out = zip(*mirrored(np.random.default_rng(99), 40), strict=True)
        wrong[name] = np.mean(
            [
                np.linalg.norm(
                    predicted_by(model, adapted(model, task, rate, steps), task)[:, :2] - task[4],
                    axis=1,
                ).mean()
                for task in held_out
            ]
        )
    # A mean of both answers is wrong by 0.77 on average.
    assert wrong["maml"] < 0.5
    assert wrong["maml"] < 0.5 * wrong["plain"]
