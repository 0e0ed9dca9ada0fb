"""Batches for training: every row once, in an order of their own, in bounded memory."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc

import numpy as np
import pytest

from tests.unit.numbered_sites import ABSENT, SITE, SUBCARRIERS, UNHEARD, identity, write
from twin.errors import InputError, StoreError
from twin.seeds import stream
from twin.store.feed.feed import Feed, to_arrays
from twin.store.feed.mixing import mixing
from twin.store.feed.plain import plain_files
from twin.store.feed.rows import Rows
from twin.store.feed.selection import Selection
from twin.store.feed.shuffle import Shuffle
from twin.store.reader import site_arrays
from twin.store.spec import SiteSpec
from twin.store.writer import create_site

POINTS, BLOCK, BATCH = 300, 40, 16
INPUTS = ("csi", "rss")
#: Too little for all rows of the larger site, and for any of its variables.
SMALL = 36_000
LAYOUTS = (
    {"layout": "fast"},
    {"layout": "compact"},
    {"layout": "fast", "precision": "float16"},
)


def write_large(store, **changes):
    return write(store, points=POINTS, shard_points=BLOCK, **changes)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("feed") / "store.zarr"
    write_large(path)
    return path


def feed_of(store, *, batch_size=BATCH, seed=3, buffer_bytes=SMALL, inputs=INPUTS, **settings):
    fields = ("realisations", "split", "access_points", "snapshots", "heard_only", "targets")
    chosen = {name: settings.pop(name) for name in fields if name in settings}
    selection = Selection(store, SITE, inputs, **chosen)
    return Feed(selection, batch_size=batch_size, seed=seed, buffer_bytes=buffer_bytes, **settings)


def numbers(batches):
    """The rows of some batches, in order."""
    return [x for _, targets in batches for x in targets["position"][:, 0].tolist()]


def all_numbers(points=POINTS):
    every = [identity(realisation, np.arange(points)) for realisation in range(2)]
    return [x for x in np.concatenate(every).tolist() if x != identity(1, ABSENT)]


def feeding_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("twin-feed")]


def check_values(inputs, targets):
    """Every variable of a row belongs to the row."""
    number = targets["position"][:, 0]
    heard = number != identity(1, UNHEARD)
    aps = np.arange(3)
    rss = number[:, None, None] + 0.25 * np.arange(2)[:, None] + 0.0625 * aps
    np.testing.assert_array_equal(inputs["rss"][heard], rss[heard].astype(np.float32))
    assert np.isnan(inputs["rss"][~heard]).all()
    csi = (number[:, None] + 1j * (aps + 1))[..., None] * (np.arange(SUBCARRIERS) + 1)
    csi[~heard] = 0
    assert inputs["csi"].dtype == np.complex64
    assert inputs["csi"].shape == (len(number), 3, 1, 1, SUBCARRIERS)
    error = np.abs(inputs["csi"][:, :, 0, 0] - csi).max()
    assert error <= 1e-3 * np.abs(csi).max()


@pytest.mark.parametrize("changes", LAYOUTS)
@pytest.mark.parametrize("buffer_bytes", [SMALL, 1 << 20])
def test_an_epoch_gives_every_row_once_and_whole(tmp_path, changes, buffer_bytes):
    path = tmp_path / "store.zarr"
    write_large(path, **changes)
    buffer_bytes += 60_000 if changes["layout"] == "compact" else 0
    feed = feed_of(path, buffer_bytes=buffer_bytes)
    batches = list(feed.batches())
    for batch in batches:
        check_values(*batch)
    found = numbers(batches)
    assert sorted(found) == all_numbers()
    assert found != sorted(found)
    assert [len(targets["position"]) for _, targets in batches[:-1]] == [BATCH] * (len(batches) - 1)
    assert len(batches) == feed.batches_in(0) == -(-len(found) // BATCH)


def test_a_versioned_store_feeds_too(tmp_path):
    url = f"icechunk:{tmp_path / 'versions'}"
    write(url, points=60, shard_points=20)
    feed = feed_of(url, buffer_bytes=26_000)
    assert feed.shuffle.depth < feed.rows.count
    batches = list(feed.batches())
    for batch in batches:
        check_values(*batch)
    assert sorted(numbers(batches)) == all_numbers(60)


def test_the_small_buffer_holds_a_part_only(store):
    feed = feed_of(store)
    assert feed.shuffle.depth < feed.shuffle.places < feed.rows.count / 2


@pytest.mark.parametrize("readers", [1, 2, 5])
def test_the_order_has_nothing_to_do_with_readers_and_their_timing(store, monkeypatch, readers):
    expected = numbers(feed_of(store, readers=1).batches())
    read, delays = Rows.read, stream(readers, "delays")
    lock = threading.Lock()

    def slow(self, *args):
        with lock:
            delay = delays.uniform(0, 0.003)
        time.sleep(delay)
        read(self, *args)

    monkeypatch.setattr(Rows, "read", slow)
    assert numbers(feed_of(store, readers=readers).batches()) == expected


def test_every_seed_and_epoch_has_an_order_of_its_own(store):
    orders = [
        numbers(feed_of(store, seed=seed).batches(epoch)) for seed in (0, 1) for epoch in (0, 1, 2)
    ]
    assert len({tuple(order) for order in orders}) == len(orders)
    assert all(sorted(order) == all_numbers() for order in orders)


@pytest.mark.parametrize("buffer_bytes", [SMALL, 1 << 20])
@pytest.mark.parametrize("drop_remainder", [False, True])
def test_epochs_in_a_row_are_the_same_as_one_by_one(store, buffer_bytes, drop_remainder):
    feed = feed_of(store, buffer_bytes=buffer_bytes, drop_remainder=drop_remainder)
    apart = [x for epoch in (2, 3, 4) for x in numbers(feed.batches(epoch))]
    assert numbers(feed.batches(2, 3)) == apart
    assert numbers(feed.batches(2, 0)) == []


def test_dropping_the_remainder_leaves_whole_batches(store):
    feed = feed_of(store, drop_remainder=True)
    sizes = [len(targets["position"]) for _, targets in feed.batches()]
    assert sizes == [BATCH] * (len(all_numbers()) // BATCH)
    assert len(sizes) == feed.batches_in(0)


@pytest.mark.parametrize("buffer_bytes", [SMALL, 1 << 20])
def test_workers_share_an_epoch(store, buffer_bytes):
    feeds = [feed_of(store, worker=(index, 3), buffer_bytes=buffer_bytes) for index in range(3)]
    shares = [[set(numbers(feed.batches(epoch))) for feed in feeds] for epoch in (0, 1)]
    for share in shares:
        assert sorted(x for part in share for x in part) == all_numbers()
    assert shares[0][0] != shares[1][0]
    assert [feed.batches_in(1) for feed in feeds] == [len(list(feed.batches(1))) for feed in feeds]


def test_batches_are_the_consumers_own(store):
    feed = feed_of(store)
    kept = []
    for inputs, targets in feed.batches():
        check_values(inputs, targets)
        kept.append((inputs, targets))
    for inputs, targets in kept:
        check_values(inputs, targets)
    changed = feed.batches()
    for inputs, targets in changed:
        check_values(inputs, targets)
        inputs["csi"][:] = 7
        targets["position"][:] = 7
    # A row of a batch keeps the memory of its batch alive.
    later = feed.batches()
    row = next(later)[0]["csi"][3]
    before = row.copy()
    assert sum(1 for _ in later) == feed.batches_in(0) - 1
    np.testing.assert_array_equal(row, before)


def test_batches_lie_as_tensorflow_wants_them(store):
    inputs, _ = next(feed_of(store).batches())
    assert all(values.ctypes.data % 64 == 0 for values in inputs.values())


def test_selection_of_points(store):
    point = np.arange(POINTS)
    second = identity(1, point)
    present = point != ABSENT
    test_points = point % 5 == 0
    cases = [
        ({"realisations": [1]}, second[present]),
        ({"realisations": [1], "split": "test"}, second[present & test_points]),
        ({"realisations": [1], "split": "reference"}, second[present & ~test_points]),
        ({"realisations": [1], "heard_only": True}, second[present & (point != UNHEARD)]),
    ]
    for settings, expected in cases:
        assert sorted(numbers(feed_of(store, **settings).batches())) == expected.tolist()


@pytest.mark.parametrize("layout", ["fast", "compact"])
def test_selection_within_a_point(tmp_path, layout):
    path = tmp_path / "store.zarr"
    write(path, layout=layout)
    selection = Selection(
        path, SITE, INPUTS, ["position", "floor"], access_points=["C", "A"], snapshots=[1]
    )
    inputs, targets = to_arrays(selection, max_bytes=1 << 20)
    every, _ = to_arrays(Selection(path, SITE, INPUTS), max_bytes=1 << 20)
    np.testing.assert_array_equal(inputs["rss"], every["rss"][:, [1]][:, :, [2, 0]])
    np.testing.assert_array_equal(inputs["csi"], every["csi"][:, [2, 0]])
    np.testing.assert_array_equal(targets["floor"], targets["position"][:, 0] % 1000 // 10)
    feed = Feed(selection, batch_size=4, seed=0, buffer_bytes=20_000)
    for inputs, targets in feed.batches():
        rss = targets["position"][:, :1] + 0.25 + 0.0625 * np.array([2, 0])
        heard = targets["position"][:, 0] != identity(1, UNHEARD)
        np.testing.assert_array_equal(inputs["rss"][heard, 0], rss[heard])


def test_several_sites_with_access_points_in_common(tmp_path):
    path = tmp_path / "store.zarr"
    write(path, "one")
    write(path, "two", access_points=("B", "D", "A"))
    selection = Selection(path, ["one", "two"], "csi", access_points=["A", "B"])
    inputs, targets = to_arrays(selection, max_bytes=1 << 20)
    rows = len(all_numbers(20))
    assert targets["position"][:, 0].tolist() == all_numbers(20) * 2
    assert set(inputs["csi"][:rows, 0].imag.ravel().tolist()) <= {0, 1, 2, 3, 4}
    # In the second site, A is the third access point.
    assert set(inputs["csi"][rows:, 0].imag.ravel().tolist()) <= {0, 3, 6, 9, 12}
    feed = Feed(selection, batch_size=8, seed=0, buffer_bytes=20_000)
    assert sorted(numbers(feed.batches())) == sorted(all_numbers(20) * 2)


def test_arrays_are_in_the_order_of_the_store(store):
    inputs, targets = to_arrays(Selection(store, SITE, INPUTS), max_bytes=1 << 20)
    check_values(inputs, targets)
    assert targets["position"][:, 0].tolist() == all_numbers()


def test_arrays_beyond_the_limit_are_refused_with_their_size(store):
    selection = Selection(store, SITE, INPUTS)
    inputs, targets = to_arrays(selection, max_bytes=1 << 20)
    size = sum(values.nbytes for values in (*inputs.values(), *targets.values()))
    with pytest.raises(InputError, match="max_bytes") as refused:
        to_arrays(selection, max_bytes=size - 1)
    needed = int(refused.value.faults[0].found.split()[0])
    assert size <= needed < 1.5 * size
    to_arrays(selection, max_bytes=needed)


@pytest.mark.parametrize("changes", LAYOUTS)
def test_memory_stays_within_the_buffer_over_a_store_ten_times_as_large(tmp_path, changes):
    path = tmp_path / "store.zarr"
    write(path, points=4_000, shard_points=100, subcarriers=64, gaps=False, **changes)
    selection = Selection(path, SITE, INPUTS)
    packed = 2 if "precision" in changes else 1
    budget = 2 * 4_000 * 3 * 64 * 8 // 10 // packed
    feed = Feed(selection, batch_size=32, seed=1, buffer_bytes=budget)
    assert feed.rows.count * feed.rows.row_bytes > 10 * budget
    tracemalloc.start()
    try:
        for _ in feed.batches(0, 2):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # What Python itself and Zarr need is not counted in the buffer.
    assert budget / 3 < peak < budget + 500_000


def test_the_least_buffer_is_named_and_is_enough(store):
    with pytest.raises(InputError, match="buffer_bytes") as refused:
        feed_of(store, buffer_bytes=1000)
    needed = int(refused.value.faults[0].expected.split()[0])
    assert sorted(numbers(feed_of(store, buffer_bytes=needed).batches())) == all_numbers()
    with pytest.raises(InputError, match=str(needed)):
        feed_of(store, buffer_bytes=needed - 1)


@pytest.mark.parametrize("buffer_bytes", [SMALL, 1 << 20])
def test_abandoned_iterations_leave_no_threads(store, buffer_bytes):
    gc.collect()
    assert not feeding_threads()
    closed = feed_of(store, buffer_bytes=buffer_bytes).batches()
    next(closed)
    closed.close()
    assert not feeding_threads()
    dropped = feed_of(store, buffer_bytes=buffer_bytes).batches(0, None)
    next(dropped)
    del dropped
    gc.collect()
    assert not feeding_threads()


def damaged(tmp_path, damage, **changes):
    path = tmp_path / "store.zarr"
    write_large(path, gaps=False, **changes)
    damage(path / SITE / "csi" / "c" / "1" / "4" / "0" / "0" / "0" / "0")
    return path


def cut(file):
    file.write_bytes(file.read_bytes()[:-5])


@pytest.mark.parametrize("buffer_bytes", [SMALL, 1 << 20])
@pytest.mark.parametrize("layout", ["fast", "compact"])
def test_a_missing_file_is_named(tmp_path, layout, buffer_bytes):
    path = damaged(tmp_path, lambda file: file.unlink(), layout=layout)
    feed = feed_of(path, buffer_bytes=buffer_bytes + 60_000 * (layout == "compact"))
    with pytest.raises(StoreError, match="csi of realisation 1, points") as caught:
        numbers(feed.batches())
    assert "hall" in str(caught.value)
    assert not feeding_threads()


@pytest.mark.parametrize("layout", ["fast", "compact"])
def test_a_file_cut_short_is_named(tmp_path, layout):
    path = damaged(tmp_path, cut, layout=layout)
    feed = feed_of(path, buffer_bytes=SMALL + 60_000 * (layout == "compact"))
    with pytest.raises(StoreError, match="csi of realisation 1, points 160 to"):
        numbers(feed.batches())
    assert not feeding_threads()


def test_an_unfinished_site_is_refused(tmp_path):
    path = tmp_path / "store.zarr"
    spec = SiteSpec(
        title="none", origin="simulated", realisations=("a",), points=4, access_points=("A",),
        variables=("rss",), snapshots=1, config={},
    )  # fmt: skip
    create_site(path, SITE, spec)
    with pytest.raises(StoreError, match="not published"):
        Rows(Selection(path, SITE, "rss"))


def test_everything_wrong_with_the_sizes_is_said_at_once(store):
    with pytest.raises(InputError) as refused:
        Feed(
            Selection(store, SITE, ["csi", "taste"]),
            batch_size=0, seed=-1, buffer_bytes=0, readers=0, worker=(2, 2),
        )  # fmt: skip
    keys = {fault.key for fault in refused.value.faults}
    assert keys == {"batch_size", "seed", "buffer_bytes", "readers", "worker", "variable"}
    with pytest.raises(InputError) as refused:
        feed_of(store, batch_size=1000, drop_remainder=True, worker=(0, 99))
    keys = {fault.key for fault in refused.value.faults}
    assert keys == {"buffer_bytes", "worker", "batch_size"}
    with pytest.raises(InputError, match="epoch"):
        feed_of(store).batches(-1)


def test_everything_wrong_with_the_selection_is_said_at_once(tmp_path):
    path = tmp_path / "store.zarr"
    write(path, variables=("csi", "rss"))
    with pytest.raises(InputError) as refused:
        Rows(
            Selection(
                path, [SITE, "nowhere"], ["csi", "ap_position", "smell"], (),
                realisations=[0, 2], split="train", access_points=["A", "Z"], snapshots=[2],
            )
        )  # fmt: skip
    faults = [(fault.key, fault.found) for fault in refused.value.faults]
    assert ("targets", "none") in faults
    assert ("split", "'train'") in faults
    assert ("variable", "'ap_position'") in faults
    assert ("variable", "'smell'") in faults
    assert ("realisations", "2") in faults
    assert ("access_points", "Z") in faults
    assert ("snapshots", "2") in faults
    assert any(fault.key == "site" or "nowhere" in str(fault) for fault in refused.value.faults)
    with pytest.raises(InputError, match="each once"):
        Rows(Selection(path, SITE, ["rss", "rss"]))
    with pytest.raises(InputError, match="official split"):
        Rows(Selection(path, SITE, "rss", split="test"))


def test_sites_that_disagree_are_refused(tmp_path):
    path = tmp_path / "store.zarr"
    write(path, "one")
    write(path, "two", access_points=("A", "B"), precision="int16")
    with pytest.raises(InputError) as refused:
        Rows(Selection(path, ["one", "two"], INPUTS))
    assert {fault.key for fault in refused.value.faults} == {"csi", "rss"}


def test_a_selection_without_a_row_is_refused(tmp_path):
    path = tmp_path / "store.zarr"
    write(path, points=1, shard_points=1)
    with pytest.raises(InputError, match="at least one, found none"):
        Rows(Selection(path, SITE, "rss", split="reference"))


def test_plain_files_are_read_as_zarr_reads_them(tmp_path):
    write(tmp_path / "fast.zarr", points=50, shard_points=16)
    write(tmp_path / "compact.zarr", points=50, shard_points=16, layout="compact")
    arrays = site_arrays(tmp_path / "fast.zarr", SITE)
    for name in ("csi", "rss", "floor"):
        files = plain_files(arrays[name])
        assert files is not None
        for start, stop in ((0, 50), (5, 7), (10, 40), (48, 50)):
            expected = arrays[name][1, start:stop]
            out = np.empty(expected.shape, expected.dtype)
            files.read(1, start, out)
            np.testing.assert_array_equal(out, expected)
    compact = site_arrays(tmp_path / "compact.zarr", SITE)
    assert plain_files(compact["csi"]) is None
    assert plain_files(arrays["ap"]) is None


def test_mixing_is_that_of_the_batches(store):
    feed = feed_of(store)
    found = mixing(feed, 1, 2)
    positions = [targets["position"] for _, targets in feed.batches(1, 2)]
    whole = np.array([p.mean(axis=0) for p in positions if len(p) == BATCH])
    every = np.concatenate(positions)
    rows, variance = len(every) // 2, every.var(axis=0).sum()
    expected = variance / BATCH * (rows - BATCH) / (rows - 1)
    spread = np.square(whole - every.mean(axis=0)).sum(axis=1).mean()
    assert found.batches == len(whole)
    assert found.spread_of_means == pytest.approx(spread / expected)
    units = 2 * [*[BLOCK] * (POINTS // BLOCK), POINTS % BLOCK]
    units[-1 - POINTS // BLOCK] -= 1  # the absent point
    assert found.same_unit_expected == pytest.approx(
        sum(n * (n - 1) for n in units) / (rows * (rows - 1))
    )


def test_every_row_of_the_mix_is_drawn_as_often():
    rows, unit, depth, batch, epochs = 12, 2, 6, 2, 3000
    shuffle = Shuffle(
        np.full(rows // unit, unit), places=8, depth=depth, batch_size=batch, seed=5,
        worker=(0, 1), drop_remainder=False,
    )  # fmt: skip
    drawn = np.zeros((rows // batch, depth))
    row_at = np.zeros(8, int)
    for epoch in range(epochs):
        order = shuffle.units(epoch)
        mixed, coming = [], [[unit * u, unit * u + 1] for u in order]
        for number, step in enumerate(shuffle.steps(epoch, 1)):
            for index, places in step.entered:
                row_at[places] = [unit * index, unit * index + 1]
            while coming and len(mixed) + unit <= depth:
                mixed += coming.pop(0)
            for row in row_at[step.drawn]:
                drawn[number, mixed.index(row)] += 1
            mixed = [row for row in mixed if row not in row_at[step.drawn]]
    # Whichever rank in the order of entry: two of those in the mix, at random.
    sizes = [depth] * 4 + [4, 2]
    for counts, size in zip(drawn, sizes, strict=True):
        expected = epochs * batch / size
        assert np.abs(counts[:size] - expected).max() < 5 * np.sqrt(expected)
        assert not counts[size:].any()


def test_more_memory_mixes_better(store):
    quality = [
        [mixing(feed_of(store, buffer_bytes=size, seed=seed)) for seed in range(8)]
        for size in (28_000, 45_000, 1 << 20)
    ]
    spread = [np.mean([m.spread_of_means for m in found]) for found in quality]
    same = [np.mean([m.same_unit for m in found]) for found in quality]
    assert spread[0] > spread[1] > 1.5
    assert same[0] > same[1] > 1.5 * quality[0][0].same_unit_expected
    # All rows are in memory: a perfect shuffle.
    assert spread[2] == pytest.approx(1, abs=0.15)
    assert same[2] == pytest.approx(quality[2][0].same_unit_expected, rel=0.05)


def test_mixing_needs_something_to_measure(store):
    for size in (1, 300):
        with pytest.raises(InputError, match="from 2 to 299, half of all rows, found"):
            mixing(feed_of(store, batch_size=size, buffer_bytes=1 << 21))
