from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from twin.errors import InputError
from twin.learn import metalearning
from twin.learn.losses import CrossEntropy, MeanDistanceWithSpread, MeanSquare, distance
from twin.learn.metalearning import (
    Adaptation,
    DomainGeneralisation,
    InnerLoop,
    MetaTraining,
    adapted,
)
from twin.learn.tasks import TaskBatch

SMALLEST = 1e-6
LARGEST = 10.0
PROBLEM = MeanDistanceWithSpread()


def made_model(*hidden, inputs=2, outputs=3, seed=3):
    """Double precision, smooth, with weights of a good size everywhere."""
    layers = [keras.Input((inputs,), dtype="float64")]
    layers += [keras.layers.Dense(units, activation="tanh", dtype="float64") for units in hidden]
    model = keras.Sequential([*layers, keras.layers.Dense(outputs, dtype="float64")])
    return with_weights(model, seed)


def with_weights(model, seed):
    generator = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(0.5 * generator.normal(size=variable.shape))
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


def batch_of(*tasks):
    return TaskBatch(*(np.stack(parts) for parts in zip(*tasks, strict=True)))


def after_steps(model, task, rate=0.1, steps=1, first_order=True, start=None, largest=LARGEST):
    values = model.get_weights() if start is None else start
    return adapted(
        model,
        PROBLEM,
        InnerLoop(rate, steps, first_order, largest),
        [tf.constant(value) for value in values],
        [],
        tuple(tf.constant(part) for part in task[:3]),
    )[0]


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
        factor = min(1.0, LARGEST / norm)
        weights, bias = weights - rate * factor * by_weights, bias - rate * factor * by_bias
    return weights, bias


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_inner_steps_are_those_computed_by_hand(steps):
    model, task = made_model(), made_task()
    by_hand = linear_steps(*model.get_weights(), task, 0.1, steps)
    for found, expected in zip(after_steps(model, task, steps=steps), by_hand, strict=True):
        assert np.allclose(found, expected, rtol=0, atol=1e-12)
    assert steps == 0 or not np.allclose(by_hand[0], model.get_weights()[0], atol=1e-3)


def test_large_inner_gradients_are_clipped_to_their_global_norm():
    model, task = made_model(), made_task(scale=1e4)
    start = model.get_weights()

    def moved(largest):
        reached = after_steps(model, task, rate=1.0, largest=largest)
        return [found.numpy() - before for found, before in zip(reached, start, strict=True)]

    assert np.isclose(np.sqrt(sum((m**2).sum() for m in moved(LARGEST))), LARGEST)
    by_hand = linear_steps(*start, task, 1.0, 1)
    assert np.allclose(moved(LARGEST)[0], by_hand[0] - start[0])
    assert np.sqrt(sum((m**2).sum() for m in moved(None))) > 100 * LARGEST


def test_padding_of_a_support_set_changes_nothing():
    model, task = made_model(5), made_task()
    padding = np.full((3, 2), 9.0)
    padded = (
        np.concatenate([task[0], padding]),
        np.concatenate([task[1], -padding]),
        np.concatenate([task[2], np.zeros(3)]),
    )
    plain, more = after_steps(model, task, steps=3), after_steps(model, padded, steps=3)
    for one, other in zip(plain, more, strict=True):
        assert np.allclose(one, other, rtol=0, atol=1e-12)


def test_inner_loop_leaves_the_model_alone():
    model = made_model(5)
    before = model.get_weights()
    after_steps(model, made_task(), steps=3)
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
            loss = PROBLEM.query_loss(predicted, position)
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
    inner = InnerLoop(rate, steps, first_order, LARGEST)
    training = MetaTraining(model, PROBLEM, inner, keras.optimizers.SGD(1.0))
    before = model.get_weights()
    loss = training.step(batch_of(*tasks))
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
            predicted_by(model, after_steps(model, t, rate, steps, start=weights), t).numpy()
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
        parameters = after_steps(model, task, 0.2, steps)
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            loss = PROBLEM.query_loss(predicted_by(model, parameters, task), tf.constant(task[4]))
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
        losses = [PROBLEM.query_loss(model(tf.constant(t[3])), tf.constant(t[4])) for t in TASKS]
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
        training = MetaTraining(
            model, PROBLEM, InnerLoop(rate, inner_steps, True, LARGEST), optimizer
        )
        generator = np.random.default_rng(5)
        for _ in range(300):
            training.step(TaskBatch(*mirrored(generator, 16)))
        held_out = zip(*mirrored(np.random.default_rng(99), 40), strict=True)
        wrong[name] = np.mean(
            [
                np.linalg.norm(
                    predicted_by(model, after_steps(model, task, rate, steps), task)[:, :2]
                    - task[4],
                    axis=1,
                ).mean()
                for task in held_out
            ]
        )
    # A mean of both answers is wrong by 0.77 on average.
    assert wrong["maml"] < 0.5
    assert wrong["maml"] < 0.5 * wrong["plain"]


def slopes_by_differences(model, objective, small=1e-5):
    """Gradient of a function of the trainable weights."""
    found = []
    start = [v.numpy() for v in model.trainable_variables]
    for index, array in enumerate(start):
        slope = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                changed = [w.copy() for w in start]
                changed[index][place] += sign * small
                ends.append(objective(changed))
            slope[place] = (ends[0] - ends[1]) / (2 * small)
        found.append(slope)
    return found


def outer_loss(model, problem, inner, parameters, batch):
    """Mean query loss of a batch, a task after the other."""
    losses = []
    for parts in zip(*batch.arrays(), strict=True):
        task = tuple(tf.constant(part) for part in parts)
        reached, state = adapted(
            model, problem, inner, [tf.constant(p) for p in parameters], [], task[:3]
        )
        outputs, _ = model.stateless_call(reached, state, task[3])
        losses.append(float(problem.query_loss(outputs, task[4])))
    return np.mean(losses)


def small_cnn(seed=1):
    layers = [
        keras.Input((4, 4, 2), dtype="float64"),
        keras.layers.Conv2D(2, 3, padding="same", activation="tanh", dtype="float64"),
        keras.layers.AveragePooling2D(2, dtype="float64"),
        keras.layers.Flatten(dtype="float64"),
        keras.layers.Dense(3, dtype="float64"),
    ]
    return with_weights(keras.Sequential(layers), seed)


def image_batch(tasks=2, seed=0):
    generator = np.random.default_rng(seed)
    return TaskBatch(
        generator.normal(size=(tasks, 3, 4, 4, 2)),
        np.tile(np.arange(3, dtype=np.int32), (tasks, 1)),
        np.full((tasks, 3), 1.0 / 3.0),
        generator.normal(size=(tasks, 5, 4, 4, 2)),
        generator.integers(3, size=(tasks, 5)).astype(np.int32),
    )


def test_exact_gradient_of_a_convolutional_classifier_is_that_of_finite_differences():
    model, batch, problem = small_cnn(), image_batch(), CrossEntropy()
    inner = InnerLoop(0.3, 2, first_order=False)
    training = MetaTraining(model, problem, inner, keras.optimizers.SGD(1.0))
    loss, found = training.gradient(batch)
    expected = slopes_by_differences(
        model, lambda weights: outer_loss(model, problem, inner, weights, batch)
    )
    assert np.isclose(
        loss, outer_loss(model, problem, inner, [v.numpy() for v in model.variables], batch)
    )
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one, other, rtol=1e-5, atol=1e-8)


def test_exact_gradient_of_domain_generalisation_is_that_of_finite_differences():
    model, problem, virtual, weight = made_model(3, outputs=2), MeanSquare(), 0.1, 0.7
    first, second = batch_of(*TASKS), batch_of(made_task(seed=5), made_task(seed=6))
    inner = InnerLoop(0.05, 1, first_order=False)
    training = DomainGeneralisation(
        model, problem, inner, keras.optimizers.SGD(1.0), virtual, weight
    )
    of_first = MetaTraining(model, problem, inner, keras.optimizers.SGD(1.0))
    start = model.get_weights()

    def objective(weights):
        model.set_weights(weights)
        loss, direction = of_first.gradient(first)
        moved = [w - virtual * d for w, d in zip(weights, direction, strict=True)]
        model.set_weights(start)
        return loss + weight * outer_loss(model, problem, inner, moved, second)

    loss, found = training.gradient_pair(first, second)
    assert np.isclose(loss, objective(start))
    for one, other in zip(found, slopes_by_differences(model, objective), strict=True):
        assert np.allclose(one, other, rtol=1e-4, atol=1e-7)


def test_first_order_domain_generalisation_adds_the_gradient_at_the_virtual_step():
    model, problem, virtual, weight = made_model(3, outputs=2), MeanSquare(), 0.1, 0.7
    first, second = batch_of(*TASKS), batch_of(made_task(seed=5), made_task(seed=6))
    inner = InnerLoop(0.05, 2, first_order=True)
    single = MetaTraining(model, problem, inner, keras.optimizers.SGD(1.0))
    start = model.get_weights()
    one, direction = single.gradient(first)
    model.set_weights([w - virtual * d for w, d in zip(start, direction, strict=True)])
    other, slope = single.gradient(second)
    model.set_weights(start)
    pair = DomainGeneralisation(model, problem, inner, keras.optimizers.SGD(1.0), virtual, weight)
    loss = pair.step_pair(first, second)
    assert np.isclose(loss, one + weight * other)
    for before, after, d, s in zip(start, model.get_weights(), direction, slope, strict=True):
        assert np.allclose(after, before - d - weight * s)


@pytest.mark.parametrize("form", ["dense", "convolutional"])
def test_first_and_second_order_agree_where_the_inner_rate_is_zero(form):
    if form == "dense":
        model, batch, problem = made_model(4, outputs=2), batch_of(*TASKS), MeanSquare()
    else:
        model, batch, problem = small_cnn(), image_batch(), CrossEntropy()

    def gradients(rate):
        return [
            MetaTraining(
                model, problem, InnerLoop(rate, 3, first_order), keras.optimizers.SGD(1.0)
            ).gradient(batch)[1]
            for first_order in (True, False)
        ]

    for one, other in zip(*gradients(0.0), strict=True):
        assert np.allclose(one, other, rtol=0, atol=1e-12)
    assert max(np.abs(a - b).max() for a, b in zip(*gradients(0.1), strict=True)) > 1e-3


def test_a_linear_model_is_led_to_its_closed_form():
    """One inner step on squared error: the outer loss is quadratic in the weights.

    With A = X'X/K, b = X'y/K of a support set, theta' = (I - 2 a A) theta + 2 a b; the outer loss
    is the mean of |Z theta' - v|^2, least where its normal equations hold.
    """
    generator, rate = np.random.default_rng(4), 0.05
    model = keras.Sequential(
        [
            keras.Input((3,), dtype="float64"),
            keras.layers.Dense(2, use_bias=False, dtype="float64"),
        ]
    )
    tasks = []
    for _ in range(5):
        x, z = generator.normal(size=(6, 3)), generator.normal(size=(8, 3))
        law = generator.normal(size=(3, 2))
        tasks.append((x, x @ law, np.full(6, 1 / 6), z, z @ law))
    left, right = [], []
    for x, y, _, z, v in tasks:
        shrink = np.eye(3) - 2 * rate * x.T @ x / 6
        left.append(z @ shrink)
        right.append(v - z @ (2 * rate * x.T @ y / 6))
    expected = np.linalg.lstsq(np.concatenate(left), np.concatenate(right), rcond=None)[0]
    training = MetaTraining(
        model, MeanSquare(), InnerLoop(rate, 1, first_order=False), keras.optimizers.SGD(0.2)
    )
    for _ in range(400):
        training.step(batch_of(*tasks))
    assert np.allclose(model.get_weights()[0], expected, atol=1e-6)
    assert not np.allclose(expected, np.mean([t[1][0] for t in tasks]), atol=1e-2)


@pytest.mark.parametrize("limit", [0, 8], ids=["mapped", "side by side"])
def test_convolutions_give_the_same_however_tasks_are_laid_out(limit, monkeypatch):
    model, batch, problem = small_cnn(), image_batch(tasks=3), CrossEntropy()
    monkeypatch.setattr(metalearning, "_SIDE_BY_SIDE", limit)
    inner = InnerLoop(0.2, 2, first_order=False)
    together = MetaTraining(model, problem, inner, keras.optimizers.SGD(1.0)).gradient(batch)[1]
    alone = [
        MetaTraining(model, problem, inner, keras.optimizers.SGD(1.0)).gradient(
            TaskBatch(*(part[task : task + 1] for part in batch.arrays()))
        )[1]
        for task in range(3)
    ]
    for found, *single in zip(together, *alone, strict=True):
        assert np.allclose(found, np.mean(single, axis=0), atol=1e-12)


def test_adaptation_gives_answers_at_every_number_of_steps_asked_for():
    model, batch = made_model(4), batch_of(*TASKS)
    adaptation = Adaptation(model, PROBLEM, InnerLoop(0.1, 0, True, LARGEST))
    start = [w + 0.1 for w in model.get_weights()]
    outputs = adaptation.outputs(start, batch, at=(0, 1, 4))
    assert outputs.shape == (3, 2, 6, 3)
    for (place, steps), (index, task) in itertools.product(enumerate((0, 1, 4)), enumerate(TASKS)):
        parameters = after_steps(model, task, steps=steps, start=start)
        assert np.allclose(outputs[place, index], predicted_by(model, parameters, task))
    reached = adaptation.parameters(start, batch, 4)
    expected = after_steps(model, TASKS[1], steps=4, start=start)
    assert all(np.allclose(r[1], e) for r, e in zip(reached, expected, strict=True))


@pytest.mark.parametrize("at", [(), (2, 1), (1, 1), (-1,)])
def test_adaptation_refuses_numbers_of_steps_that_do_not_rise(at):
    model = made_model(4)
    adaptation = Adaptation(model, PROBLEM, InnerLoop(0.1, 0, True))
    with pytest.raises(InputError, match="rising"):
        adaptation.outputs(model.get_weights(), batch_of(*TASKS), at)


def normalised_model():
    layers = [
        keras.Input((2,), dtype="float64"),
        keras.layers.BatchNormalization(momentum=0.5, dtype="float64"),
        keras.layers.Dense(2, dtype="float64"),
    ]
    return with_weights(keras.Sequential(layers), 7)


def test_statistics_of_batch_normalisation_follow_the_support_set():
    model, rate = normalised_model(), 0.1
    task = made_task(support=8, seed=3, scale=3.0)
    problem = MeanSquare()
    adaptation = Adaptation(model, problem, InnerLoop(rate, 0, True))
    before = model.get_weights()
    two = adaptation.outputs(before, batch_of(task), at=(2,))[0, 0]
    # The support set's own mean and variance, twice with momentum 0.5 from 0 and 1.
    mean, variance = 0.75 * task[0].mean(axis=0), 0.25 + 0.75 * task[0].var(axis=0)
    gamma, beta, kernel, bias = [p[0] for p in adaptation.parameters(before, batch_of(task), 2)]
    epsilon = model.layers[0].epsilon
    expected = (gamma * (task[3] - mean) / np.sqrt(variance + epsilon) + beta) @ kernel + bias
    assert np.allclose(two, expected)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_answers_do_not_depend_on_the_other_queries():
    model = normalised_model()
    task = made_task(support=8, queries=6)
    adaptation = Adaptation(model, MeanSquare(), InnerLoop(0.1, 0, True))
    some = (*task[:3], task[3][2:4], task[4][2:4])
    together = adaptation.outputs(model.get_weights(), batch_of(task), at=(3,))[0, 0]
    alone = adaptation.outputs(model.get_weights(), batch_of(some), at=(3,))[0, 0]
    assert np.allclose(together[2:4], alone)


def test_an_outer_step_moves_statistics_to_the_mean_over_tasks():
    model, tasks = normalised_model(), [made_task(support=8, seed=s, scale=2.0) for s in (1, 2)]
    MetaTraining(model, MeanSquare(), InnerLoop(0.1, 1, True), keras.optimizers.SGD(0.1)).step(
        batch_of(*tasks)
    )
    mean, variance = (v.numpy() for v in model.non_trainable_variables)
    assert np.allclose(mean, 0.5 * np.mean([t[0].mean(axis=0) for t in tasks], axis=0))
    expected = 0.5 + 0.5 * np.mean([t[0].var(axis=0) for t in tasks], axis=0)
    assert np.allclose(variance, expected)


def test_padded_tasks_are_refused_where_they_would_enter_statistics():
    task = made_task()
    weight = np.array([0.5, 0.5, 0.0, 0.0])
    batch = batch_of((task[0], task[1], weight, task[3], task[4]))
    inner = InnerLoop(0.1, 1, True)
    training = MetaTraining(normalised_model(), MeanSquare(), inner, keras.optimizers.SGD(1.0))
    with pytest.raises(InputError, match=r"without padding.*1 padded"):
        training.step(batch)


def test_random_layers_train_and_answer_without_noise():
    layers = [
        keras.Input((2,), dtype="float64"),
        keras.layers.Dense(8, activation="tanh", dtype="float64"),
        keras.layers.Dropout(0.5, seed=1, dtype="float64"),
        keras.layers.Dense(2, dtype="float64"),
    ]
    model = with_weights(keras.Sequential(layers), 2)
    inner = InnerLoop(0.1, 2, True)
    training = MetaTraining(model, MeanSquare(), inner, keras.optimizers.SGD(0.01))
    assert np.isfinite([training.step(batch_of(*TASKS)) for _ in range(3)]).all()
    adaptation = Adaptation(model, MeanSquare(), inner)
    start = model.get_weights()
    one, two = (adaptation.outputs(start, batch_of(*TASKS), at=(0,)) for _ in range(2))
    assert np.array_equal(one, two)
