"""A store's fingerprints as a `tf.data.Dataset`."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import tensorflow as tf

from twin.errors import Fault, StoreError, refuse
from twin.store.feed.feed import Batch, Feed
from twin.store.feed.selection import AnyArray

# A part of an element: a tensor, or tensors by the name of the variable.
Part = Any


def as_dataset(
    feed: Feed, *, first_epoch: int = 0, split_complex: bool = True, prefetch: int = 2
) -> tf.data.Dataset:
    """Batches of a feed for Keras and TensorFlow.

    Each iteration over the dataset is an epoch with an order of its own, `first_epoch` and onwards;
    a dataset made anew from the same feed gives the same orders again. While an epoch runs out,
    the next is read ahead; the memory is held until the dataset is dropped. ``repeat`` is left to
    the user.

    Args:
        feed: which fingerprints, the batch size, the seed and the memory.
        first_epoch: epoch of the first iteration.
        split_complex: complex variables as float32 with a last dimension of two, real and
            imaginary part; otherwise as complex64.
        prefetch: batches made ahead; with the one in use they are part of the feed's memory.

    Returns:
        Elements (inputs, targets): a tensor where the selection has one variable, else tensors by
        variable name; (batch, *dimensions of the variable behind the point), as stored.

    Raises:
        InputError: a number out of range; all in one message.

    Where the store cannot be read, the iteration raises an error of TensorFlow's that quotes the
    `StoreError`.
    """
    refuse(
        Fault("dataset", key, f"{least} to {most}", str(value))
        for key, value, least, most in (
            ("first_epoch", first_epoch, 0, 2**31),
            ("prefetch", prefetch, 0, 2),
        )
        if not least <= value <= most
    )
    batch_size = feed.batch_size if feed.drop_remainder else None
    shapes = feed.rows.shapes
    signature = {
        name: _spec((batch_size, *shape), dtype, split_complex)
        for name, (shape, dtype) in shapes.items()
    }
    selection = feed.selection
    inputs = _part({name: signature[name] for name in selection.input_names})
    targets = _part({name: signature[name] for name in selection.target_names})
    epochs = _Epochs(feed, first_epoch, split_complex)
    # TensorFlow never lets go of a generator function, and so must not own what is read ahead.
    borrowed = weakref.ref(epochs)
    dataset = tf.data.Dataset.from_generator(
        lambda: _elements(borrowed()), output_signature=(inputs, targets)
    )
    if feed.workers == 1:
        # Several workers' shares differ from epoch to epoch.
        batches = feed.batches_in(first_epoch)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    if prefetch:
        dataset = dataset.prefetch(prefetch)
    # Nothing here can be tuned, and ending the tuner takes longer than some epochs.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.with_options(options)
    weakref.finalize(dataset, epochs.close)
    return dataset


class _Epochs:
    """Gives the elements of one epoch at a time, of the next epoch each time."""

    def __init__(self, feed: Feed, first_epoch: int, split_complex: bool) -> None:
        self._feed = feed
        self._next = first_epoch
        self._split_complex = split_complex
        # The iterator that stands at the beginning of an epoch, with what it has read ahead.
        self._waiting: tuple[int, Generator[Batch]] | None = None
        self._closed = False
        self._lock = threading.Lock()

    def elements(self) -> Generator[tuple[Part, Part]]:
        """The elements of the next epoch."""
        with self._lock:
            epoch = self._next
            self._next += 1
        waiting = self._exchange(None)
        if waiting is not None and waiting[0] == epoch:
            batches = waiting[1]
        else:
            _close(waiting)
            batches = self._feed.batches(epoch, epochs=None)
        whole = False
        try:
            for inputs, targets in islice(batches, self._feed.batches_in(epoch)):
                yield self._part(inputs), self._part(targets)
            whole = True
        finally:
            _close(self._exchange((epoch + 1, batches)) if whole else (epoch, batches))

    def close(self) -> None:
        """Let go of what is read ahead, now and later."""
        self._closed = True
        _close(self._exchange(None))

    def _exchange(
        self, waiting: tuple[int, Generator[Batch]] | None
    ) -> tuple[int, Generator[Batch]] | None:
        """Put an iterator by for later; what is not or no longer to be kept."""
        with self._lock:
            if self._closed and waiting is not None:
                return waiting
            before, self._waiting = self._waiting, waiting
            return before

    def _part(self, values: Mapping[str, AnyArray]) -> Part:
        if self._split_complex:
            return _part({name: _split(value) for name, value in values.items()})
        return _part(values)


def _elements(epochs: _Epochs | None) -> Generator[tuple[Part, Part]]:
    if epochs is None:
        raise StoreError("expected a dataset that is still there, found that it has been dropped")
    return epochs.elements()


def _close(waiting: tuple[int, Generator[Batch]] | None) -> None:
    if waiting is not None:
        waiting[1].close()


def _part(values: Mapping[str, Any]) -> Part:
    """One value as it is, several by name."""
    return next(iter(values.values())) if len(values) == 1 else dict(values)


def _split(values: AnyArray) -> AnyArray:
    """Complex numbers as real and imaginary part along a last dimension, without copying."""
    if values.dtype.kind != "c":
        return values
    real = values.real.dtype
    return values.view(real).reshape(*values.shape, 2)


def _spec(
    shape: tuple[int | None, ...], dtype: np.dtype[np.generic], split_complex: bool
) -> tf.TensorSpec:
    if split_complex and dtype.kind == "c":
        return tf.TensorSpec((*shape, 2), tf.float32)
    return tf.TensorSpec(shape, tf.as_dtype(dtype))
