"""Feeding a training loop from a store, against memory, tensorstore and xbatcher.

Batches of 256 channels (32 antennas, 32 subcarriers, complex64; 2 MiB a batch) with positions. Ours
are shuffled by chunk and buffer; tensorstore and xbatcher draw each batch from all rows at random,
from the same files, and tensorstore also from files made for it, one row a chunk. How far ours are
from such draws stands beside. Receivers lie along a grid, row by row, which is hard to mix.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from benchmarks.store_bulk import SEED, SITE, block_of, csi_arrays, spec_of
from benchmarks.store_records import Record, in_turn, record, rounded, timed
from twin.seeds import stream
from twin.store.feed.feed import Feed, to_arrays
from twin.store.feed.mixing import mixing
from twin.store.feed.selection import Selection
from twin.store.reader import open_site
from twin.store.writer import write_site

if TYPE_CHECKING:
    import keras

BATCH = 256
BUFFER_BYTES = 128 << 20
_LEAST_RATE = 500.0
_LEAST_OF_MEMORY = 0.9
_LEAST_OF_RIVALS = 10.0
_RIVAL_BATCHES = 12
_EPOCHS = 5


def written(folder: Path, points: int) -> Path:
    """A store of channels, in jobs of 5,000 points."""
    store = folder / "feed.zarr"
    arrays = csi_arrays(points)
    block = block_of(arrays)
    spec = spec_of(arrays, shard_points=min(points, 5000))
    write_site(store, SITE, spec, lambda job: block.isel(point=job.points))
    return store


def feed_of(store: Path, buffer_bytes: int = BUFFER_BYTES) -> Feed:
    """The feed that is measured."""
    selection = Selection(store, SITE, "csi")
    return Feed(selection, batch_size=BATCH, seed=SEED, buffer_bytes=buffer_bytes)


def rates(folder: Path, points: int, rounds: int) -> Iterator[Record]:
    """Batches a second, ours and rivals'."""
    store = written(folder, points)
    from twin.learn.dataset import as_dataset

    feed = feed_of(store)
    dataset = as_dataset(feed)
    batches = _EPOCHS * feed.batches_in(0)
    seconds = in_turn(
        {
            "arrays": lambda: _seconds_per_batch(feed.batches(0, _EPOCHS), batches),
            "tf.data": lambda: _seconds_per_batch(_again(dataset, _EPOCHS), batches),
            "tensorstore": lambda: _tensorstore(store / SITE / "csi", points),
            "xbatcher": lambda: _xbatcher(store, points),
        },
        rounds,
    )
    rate = {name: 1 / value for name, value in seconds.items()}
    for name in ("arrays", "tf.data"):
        yield record(
            f"feed of channels: {name}, batches of {BATCH}",
            rate[name],
            _LEAST_RATE,
            "the goal",
            "batches/s",
            f">= {_LEAST_RATE:g} batches/s",
            rate[name] >= _LEAST_RATE,
        )
    for name in ("tensorstore", "xbatcher"):
        ratio = rate["tf.data"] / rate[name]
        yield record(
            "feed of channels: tf.data",
            rate["tf.data"],
            rate[name],
            f"{name}, random batches of the same files",
            "batches/s",
            f"ratio >= {_LEAST_OF_RIVALS:g}",
            ratio >= _LEAST_OF_RIVALS,
        )
    single = _one_row_a_chunk(folder, store, points)
    own = in_turn({"tensorstore": lambda: _tensorstore(single, points)}, rounds)
    yield record(
        "feed of channels: tf.data",
        rate["tf.data"],
        1 / own["tensorstore"],
        "tensorstore, random batches of files made for it (one row a chunk)",
        "batches/s",
    )
    for buffer_bytes in (64 << 20, 128 << 20, 256 << 20):
        shuffled = mixing(feed_of(store, buffer_bytes), 0, 10)
        yield record(
            f"shuffle with a buffer of {buffer_bytes >> 20} MiB: variance of batch means",
            shuffled.spread_of_means,
            1.0,
            "independent draws",
            "",
            window_share=rounded(shuffled.window_share),
            pairs_of_one_chunk=rounded(shuffled.same_unit),
            pairs_of_one_chunk_expected=rounded(shuffled.same_unit_expected),
        )


def _again(dataset: Iterable[object], epochs: int) -> Iterator[object]:
    for _ in range(epochs):
        yield from dataset


def _seconds_per_batch(batches: Iterable[object], count: int) -> float:
    start = time.perf_counter()
    seen = sum(1 for _ in batches)
    if seen != count:
        raise AssertionError(f"expected {count} batches, found {seen}")
    return (time.perf_counter() - start) / seen


def _drawn(points: int, count: int) -> Iterator[np.ndarray[Any, Any]]:
    draw = stream(SEED, "batches")
    for _ in range(count):
        yield np.sort(draw.choice(points, BATCH, replace=False))


def _tensorstore(array: Path, points: int) -> float:
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(array)}}
    opened = tensorstore.open(spec, read=True).result()
    start = time.perf_counter()
    for rows in _drawn(points, _RIVAL_BATCHES):
        opened[0, rows].read().result()
    return (time.perf_counter() - start) / _RIVAL_BATCHES


def _xbatcher(store: Path, points: int) -> float:
    import xbatcher

    dataset = open_site(store, SITE, lazy=False)[["csi"]].isel(realisation=0)
    order = stream(SEED, "order").permutation(points)
    sizes = {dim: size for dim, size in dataset.sizes.items() if dim in dataset["csi"].dims}
    generator = xbatcher.BatchGenerator(
        dataset.isel(point=order).drop_vars(list(dataset.coords)),
        input_dims=sizes | {"point": BATCH},
        preload_batch=False,
    )
    start = time.perf_counter()
    seen = 0
    for batch in islice(generator, _RIVAL_BATCHES):
        batch["csi"].to_numpy()
        seen += 1
    return (time.perf_counter() - start) / seen


def _one_row_a_chunk(folder: Path, store: Path, points: int) -> Path:
    """The same channels as tensorstore reads them best."""
    csi = open_site(store, SITE, lazy=False)["csi"].to_numpy()
    path = folder / "single.zarr"
    array = zarr.create_array(
        store=path, shape=csi.shape, dtype="c8", chunks=(1, 1, *csi.shape[2:]),
        shards=(1, 1000, *csi.shape[2:]), compressors=None, fill_value=complex("nan"),
    )  # fmt: skip
    for start in range(0, points, 1000):
        array[:, start : start + 1000] = csi[:, start : start + 1000]
    return path


def steps(folder: Path, points: int, rounds: int) -> Iterator[Record]:
    """Training steps a second, fed from the store and from memory."""
    import tensorflow as tf

    from twin.learn.dataset import as_dataset

    store = written(folder, points)
    dataset = as_dataset(feed_of(store))
    inputs, targets = to_arrays(Selection(store, SITE, "csi"), max_bytes=1 << 30)
    csi = inputs["csi"]
    real = csi.view(np.float32).reshape(*csi.shape, 2)
    memory = (
        tf.data.Dataset.from_tensor_slices((real, targets["position"]))
        .shuffle(points, seed=SEED)
        .batch(BATCH)
        .prefetch(2)
    )
    for name, make, epochs in (("small MLP", _mlp, 3), ("small transformer", _transformer, 1)):
        model = make(real.shape[1:])
        for fed in (dataset, memory):
            model.fit(fed.take(5), verbose=0)
        count = epochs * -(-points // BATCH)

        seconds = in_turn(
            {
                kind: lambda m=model, f=fed, e=epochs: timed(lambda: m.fit(f, epochs=e, verbose=0))
                for kind, fed in (("ours", dataset), ("memory", memory))
            },
            rounds,
        )
        ours, rival = count / seconds["ours"], count / seconds["memory"]
        yield record(
            f"training steps of a {name}",
            ours,
            rival,
            "tf.data from memory, shuffled",
            "steps/s",
            f"ratio >= {_LEAST_OF_MEMORY:g}",
            ours / rival >= _LEAST_OF_MEMORY,
        )


def _mlp(shape: tuple[int, ...]) -> keras.Model:
    import keras

    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(128, activation="relu"),
            layers.Dense(3),
        ]
    )
    model.compile("adam", "mse")
    return model


def _transformer(shape: tuple[int, ...]) -> keras.Model:
    """Two layers over 32 antennas as tokens."""
    import keras

    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    inputs = keras.Input(shape)
    x = layers.Dense(64)(layers.Reshape((32, 64))(inputs))
    for _ in range(2):
        normal = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 16)(normal, normal)
        normal = layers.LayerNormalization()(x)
        x = x + layers.Dense(64)(layers.Dense(128, activation="relu")(normal))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
    model.compile("adam", "mse")
    return model


def memory(folder: Path, buffer_mib: int) -> Iterator[Record]:
    """Peak memory of an epoch over a store ten times the budget, in a process of its own."""
    points = 10 * buffer_mib * (1 << 20) // 8192
    store = written(folder, points)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        grown, batches = pool.submit(_peak, str(store), buffer_mib << 20).result()
    budget = buffer_mib * 1.048576
    yield record(
        f"peak memory of an epoch over a store of {points * 8192 / 1e6:.0f} MB",
        grown / 1e6,
        budget,
        f"the budget of {buffer_mib} MiB",
        "MB",
        "<= 1.25 times the budget",
        grown / 1e6 <= 1.25 * budget,
        batches=batches,
    )


def _peak(store: str, buffer_bytes: int) -> tuple[int, int]:
    """Growth of the peak of resident memory [bytes] over an epoch, and its batches."""
    feed = feed_of(Path(store), buffer_bytes)
    # Forgets the peak so far; that of `getrusage` would be the parent's.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _peak_so_far()
    batches = sum(1 for _ in feed.batches())
    return _peak_so_far() - before, batches


def _peak_so_far() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
