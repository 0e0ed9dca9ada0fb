from __future__ import annotations

import numpy as np
import pytest

from twin.errors import InputError
from twin.learn.image_tasks import (
    ImageDomain,
    TaskShape,
    centroid,
    profiles,
    tasks_of_new_environment,
    weighted_centroid,
)

POINTS, PICTURES = 12, 9
SHAPE = TaskShape(ways=4, supports=3, queries=5)


def numbered(points=POINTS, pictures=PICTURES):
    """Images whose pixels say which point and which of its images they are."""
    number = np.arange(points * pictures, dtype=np.uint8).reshape(points, pictures)
    return np.broadcast_to(number[..., None, None, None], (*number.shape, 4, 3, 2)).copy()


def domain(labels="points", first_class=0, **changes):
    arguments = {"images": numbered(), "position": np.zeros((POINTS, 2)), "shape": SHAPE}
    return ImageDomain("day 1", **(arguments | changes), labels=labels, first_class=first_class)


def point_of(images):
    return images[..., 0, 0, 0] // PICTURES


def test_tasks_hold_different_images_of_the_same_points():
    batch = domain().sample(np.random.default_rng(0), 6)
    assert batch.support_inputs.shape == (6, 12, 4, 3, 2)
    assert batch.query_inputs.shape == (6, 20, 4, 3, 2)
    assert batch.support_inputs.dtype == np.uint8
    assert np.array_equal(point_of(batch.support_inputs), batch.support_targets)
    assert np.array_equal(point_of(batch.query_inputs), batch.query_targets)
    assert np.allclose(batch.support_weight, 1 / 12)
    for task in range(6):
        both = [batch.support_inputs[task], batch.query_inputs[task]]
        shown = np.concatenate([part[:, 0, 0, 0] for part in both])
        assert len(set(shown.tolist())) == len(shown)
        points, counts = np.unique(batch.support_targets[task], return_counts=True)
        assert counts.tolist() == [3] * 4
        assert np.array_equal(points, np.unique(batch.query_targets[task]))
    assert len({tuple(row) for row in batch.support_targets.tolist()}) > 1


def test_classes_may_be_places_within_the_task_or_start_elsewhere():
    within = domain("task").sample(np.random.default_rng(0), 2)
    assert within.support_targets.tolist() == [np.repeat(range(4), 3).tolist()] * 2
    assert within.query_targets.tolist() == [np.repeat(range(4), 5).tolist()] * 2
    shifted = domain(first_class=100).sample(np.random.default_rng(0), 2)
    plain = domain().sample(np.random.default_rng(0), 2)
    assert np.array_equal(shifted.support_targets, plain.support_targets + 100)
    assert np.array_equal(shifted.support_inputs, within.support_inputs)


def test_every_image_and_point_is_drawn():
    source, generator = domain(), np.random.default_rng(0)
    batch = source.sample(generator, 200)
    assert set(batch.support_inputs[..., 0, 0, 0].ravel().tolist()) == set(range(108))


def test_domains_that_give_no_tasks_are_refused():
    with pytest.raises(InputError) as refused:
        domain(images=numbered(3, 7), position=np.zeros((4, 2)))
    message = str(refused.value)
    assert "position: expected (3, 2), found (4, 2)" in message
    assert "points: expected at least 4 (ways), found 3" in message
    assert "images of a point: expected at least 8 (support and query set), found 7" in message
    with pytest.raises(InputError, match="uint8"):
        domain(images=numbered().astype(float))


def test_profiles_are_mean_amplitudes():
    images = np.zeros((2, 4, 3, 2), np.uint8)
    images[1, 2, :, 1] = [0, 51, 102]
    found = profiles(images)
    assert found.shape == (2, 8)
    assert found[1, 5] == pytest.approx(0.2)
    assert np.count_nonzero(found) == 1


def test_fingerprints_are_profiles_of_its_images():
    source = domain()
    known = profiles(source.images.reshape(-1, 4, 3, 2))
    found = source.fingerprints(np.random.default_rng(0), 3000)
    assert found.shape == (3000, 8)
    assert {tuple(row) for row in found.tolist()} == {tuple(row) for row in known.tolist()}


def test_tasks_of_a_new_environment_learn_the_nearest_points():
    asked = numbered()[:2, 0]
    nearest = np.array([[3, 0, 7], [1, 2, 11]])
    support = numbered()[:, 1:]
    batch = tasks_of_new_environment(asked, support, nearest, 2, np.random.default_rng(0))
    assert batch.support_targets.tolist() == np.repeat(nearest, 2, axis=1).tolist()
    assert np.array_equal(point_of(batch.support_inputs), batch.support_targets)
    assert np.array_equal(batch.query_inputs, asked[:, None])
    for shown in batch.support_inputs[..., 0, 0, 0]:
        assert len(set(shown.tolist())) == 6
    within = tasks_of_new_environment(
        asked, support, nearest, 2, np.random.default_rng(0), labels="task"
    )
    assert within.support_targets.tolist() == [[0, 0, 1, 1, 2, 2]] * 2
    assert np.array_equal(within.support_inputs, batch.support_inputs)


@pytest.mark.parametrize(
    ("nearest", "supports", "message"),
    [
        (np.array([[0]]), 2, r"nearest: expected \(2, K\)"),
        (np.array([[0], [12]]), 2, "nearest: expected indices below 12, found up to 12"),
        (np.array([[0], [1]]), 10, "supports: expected .* found 10 of 9"),
    ],
)
def test_tasks_of_a_new_environment_refuse_what_does_not_fit(nearest, supports, message):
    with pytest.raises(InputError, match=message):
        tasks_of_new_environment(
            numbered()[:2, 0], numbered(), nearest, supports, np.random.default_rng(0)
        )


def test_centroid_weighs_the_most_probable_classes():
    position = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 8.0], [100.0, 100.0]])
    logits = np.log([[0.5, 0.25, 0.25, 1e-9]]) + 7.0
    assert np.allclose(centroid(logits, position, 3), [[1.0, 2.0]])
    assert np.allclose(centroid(logits, position, 1), [[0.0, 0.0]])
    assert np.allclose(centroid([1e4, 0.0, 0.0, 0.0], position, 9), [0.0, 0.0])
    own = np.stack([position, position + 1.0])
    found = centroid(np.repeat(logits, 2, axis=0), own, 3)
    assert np.allclose(found, [[1.0, 2.0], [2.0, 3.0]])


@pytest.mark.parametrize("logits", [[np.nan, 0.0, 0.0], [np.inf, 0.0, 0.0], [np.nan] * 3])
def test_a_network_that_diverged_is_nowhere(logits):
    position = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 8.0]])
    found = centroid([logits, [50.0, 0.0, 0.0]], position, 2)
    assert np.isnan(found[0]).all()
    assert np.allclose(found[1], [0.0, 0.0])


def test_no_class_makes_no_centroid():
    with pytest.raises(InputError, match="top"):
        centroid([[1.0, 2.0]], np.zeros((2, 2)), 0)


def test_no_weight_at_all_is_an_even_one():
    position = np.array([[0.0, 0.0], [2.0, 6.0]])
    assert np.allclose(weighted_centroid([[0.0, 0.0], [0.0, 3.0]], position), [[1, 3], [2, 6]])
