from __future__ import annotations

import numpy as np
import pytest

from twin.errors import InputError
from twin.learn.baselines import confi
from twin.learn.baselines.image_neighbours import located, point_distances
from twin.learn.networks import csi_cnn

POSITION = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [9.0, 9.0]])


def test_distance_to_a_point_is_that_to_its_nearest_image():
    generator = np.random.default_rng(0)
    asked = generator.integers(256, size=(3, 4, 5, 2)).astype(np.uint8)
    known = generator.integers(256, size=(6, 4, 5, 2)).astype(np.uint8)
    point = np.array([0, 3, 0, 1, 3, 3])
    found = point_distances(asked, known, point, 4)
    for row, image in enumerate(asked.astype(float)):
        each = np.sqrt(((known - image) ** 2).sum(axis=(1, 2, 3)))
        for place in (0, 1, 3):
            assert found[row, place] == pytest.approx(each[point == place].min())
    assert np.isinf(found[:, 2]).all()


def test_distances_of_equal_images_are_zero():
    images = np.full((2, 3, 3, 1), 255, np.uint8)
    assert point_distances(images, images, np.array([0, 1]), 2).tolist() == [[0, 0], [0, 0]]


def test_neighbours_count_alike_or_by_their_distance():
    distance = np.array([[1.0, 2.0, np.inf, 3.0], [8.0, 0.0, 8.0, 9.0]])
    assert np.allclose(located(distance, POSITION, 2, "uniform"), [[1, 0], [1, 0]])
    weighted = located(distance, POSITION, 2, "distance")
    assert np.allclose(weighted, [[2 / 3, 0], [2, 0]], atol=1e-6)


def test_neighbours_refuse_what_does_not_fit():
    distance = np.array([[1.0, 2.0, np.inf, np.inf]])
    with pytest.raises(InputError, match="nearest: expected 1 to 2 reference points, found 3"):
        located(distance, POSITION, 3, "uniform")
    images = np.zeros((2, 3, 3, 1), np.uint8)
    with pytest.raises(InputError) as refused:
        point_distances(images, images[:, :2], np.array([0, 4]), 4)
    assert "known: expected images (3, 3, 1)" in str(refused.value)
    assert "point: expected (2,) below 4" in str(refused.value)


def test_confi_learns_the_points_that_it_was_shown():
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 4)
    shades = np.array([20, 120, 220])[labels]
    images = shades[:, None, None, None] + generator.integers(-15, 15, size=(12, 8, 8, 1))
    images = images.astype(np.uint8)
    network = csi_cnn((8, 8, 1), 3, filters=4)
    losses = confi.train(network, images, labels, steps=40, rate=0.02, seed=0, batch=5)
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    assert (confi.logits(network, images).argmax(axis=1) == labels).mean() > 0.9
    with pytest.raises(InputError, match="samples: expected 1 or more, a label each"):
        confi.train(network, images, labels[:3], steps=1, rate=0.02, seed=0)
