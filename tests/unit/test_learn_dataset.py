"""A store's fingerprints as a tf.data.Dataset."""

from __future__ import annotations

import gc
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.unit.numbered_sites import SITE, SUBCARRIERS, write
from twin.errors import InputError
from twin.learn.dataset import as_dataset
from twin.store.feed.feed import Feed
from twin.store.feed.selection import Selection

BATCH = 16
SMALL = 36_000


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset") / "store.zarr"
    write(path, points=300, shard_points=40)
    return path


def feed_of(store, inputs="csi", targets="position", **settings):
    chosen = {"batch_size": BATCH, "seed": 3, "buffer_bytes": SMALL} | settings
    return Feed(Selection(store, SITE, inputs, targets), **chosen)


def positions(iteration):
    return np.concatenate([targets.numpy() for _, targets in iteration])


def expected_positions(store, epoch, **settings):
    batches = feed_of(store, **settings).batches(epoch)
    return np.concatenate([targets["position"] for _, targets in batches])


def feeding_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("twin-feed")]


def test_shapes_are_known_beforehand(store):
    inputs, targets = as_dataset(feed_of(store)).element_spec
    assert inputs == tf.TensorSpec((None, 3, 1, 1, SUBCARRIERS, 2), tf.float32)
    assert targets == tf.TensorSpec((None, 3), tf.float64)
    whole = as_dataset(feed_of(store, drop_remainder=True), split_complex=False)
    assert whole.element_spec[0] == tf.TensorSpec((BATCH, 3, 1, 1, SUBCARRIERS), tf.complex64)
    several = as_dataset(feed_of(store, ["csi", "rss"], ["position", "floor"]))
    inputs, targets = several.element_spec
    assert inputs["rss"] == tf.TensorSpec((None, 2, 3), tf.float32)
    assert targets["floor"] == tf.TensorSpec((None,), tf.int16)
    inputs, targets = next(iter(several))
    assert {*inputs} == {"csi", "rss"}
    assert targets["floor"].shape == (BATCH,)


@pytest.mark.parametrize("buffer_bytes", [SMALL, 1 << 20])
def test_each_iteration_is_the_next_epoch(store, buffer_bytes):
    dataset = as_dataset(feed_of(store, buffer_bytes=buffer_bytes), first_epoch=1)
    for epoch in (1, 2, 3):
        found = positions(dataset)
        expected = expected_positions(store, epoch, buffer_bytes=buffer_bytes)
        np.testing.assert_array_equal(found, expected)


def test_repeating_is_going_on_with_the_next_epoch(store):
    dataset = as_dataset(feed_of(store)).repeat(2)
    expected = [expected_positions(store, epoch) for epoch in (0, 1)]
    np.testing.assert_array_equal(positions(dataset), np.concatenate(expected))


def test_real_and_imaginary_parts(store):
    feed = feed_of(store)
    complex_numbers = next(iter(as_dataset(feed, split_complex=False)))[0].numpy()
    parts = next(iter(as_dataset(feed)))[0].numpy()
    np.testing.assert_array_equal(parts[..., 0] + 1j * parts[..., 1], complex_numbers)
    np.testing.assert_array_equal(complex_numbers, next(feed.batches())[0]["csi"])


def test_tensors_share_the_memory_of_the_batches(store):
    dataset = as_dataset(feed_of(store), prefetch=0)
    kept = [(inputs, targets.numpy()[:, 0]) for inputs, targets in dataset]
    for inputs, number in kept:
        # Zero where nothing was heard.
        real = inputs.numpy()[:, 0, 0, 0, 0, 0]
        np.testing.assert_array_equal(real[real > 0], number[real > 0])


def test_the_number_of_batches_is_known(store):
    assert len(as_dataset(feed_of(store))) == feed_of(store).batches_in(0)
    shared = as_dataset(feed_of(store, worker=(0, 2)))
    assert shared.cardinality() == tf.data.UNKNOWN_CARDINALITY
    assert len(list(shared)) == feed_of(store, worker=(0, 2)).batches_in(0)


def test_an_iteration_left_early_is_an_epoch_too(store):
    dataset = as_dataset(feed_of(store))
    for _ in dataset.take(2):
        pass
    iterator = iter(dataset)
    next(iterator)
    del iterator
    np.testing.assert_array_equal(positions(dataset), expected_positions(store, 2))


def test_two_iterations_at_once_do_not_disturb_each_other(store):
    dataset = as_dataset(feed_of(store))
    pairs = list(tf.data.Dataset.zip(dataset, dataset))
    found = [np.concatenate([pair[part][1].numpy() for pair in pairs]) for part in (0, 1)]
    expected = [expected_positions(store, epoch) for epoch in (0, 1)]
    for whole in expected:
        assert any(np.array_equal(rows, whole) for rows in found)
    np.testing.assert_array_equal(positions(dataset), expected_positions(store, 2))


def test_nothing_is_left_of_a_dataset_that_is_dropped(store):
    gc.collect()
    before = len(feeding_threads())
    dataset = as_dataset(feed_of(store))
    positions(dataset)
    for _ in dataset.take(1):
        pass
    assert len(feeding_threads()) == before
    positions(dataset)
    del dataset
    gc.collect()
    assert len(feeding_threads()) == before


def test_a_damaged_store_stops_the_iteration(tmp_path):
    path = tmp_path / "store.zarr"
    write(path, points=300, shard_points=40, gaps=False)
    (path / SITE / "csi" / "c" / "1" / "4" / "0" / "0" / "0" / "0").unlink()
    with pytest.raises(tf.errors.OpError, match=r"StoreError.*csi of realisation 1, points 160"):
        for _ in as_dataset(feed_of(path)):
            pass
    assert not feeding_threads()


def test_keras_trains_on_it(store):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("adam", "mse")
    history = model.fit(as_dataset(feed_of(store)), epochs=2, verbose=0, shuffle=False)
    assert len(history.history["loss"]) == 2
    assert np.isfinite(history.history["loss"]).all()


def test_numbers_out_of_range_are_refused(store):
    with pytest.raises(InputError) as refused:
        as_dataset(feed_of(store), first_epoch=-1, prefetch=3)
    assert {fault.key for fault in refused.value.faults} == {"first_epoch", "prefetch"}
