from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.small_places import AP, grid, place, places
from twin.errors import InputError
from twin.learn.features import point_fingerprints
from twin.learn.room_tasks import LEVEL_DB, Room, RoomTasks, TaskShape
from twin.seeds import stream

SHAPE = TaskShape(supports=(1, 3), queries=6, pool=12)
K = 4


def room(feature="rss", twin=None):
    return Room.of(places() if twin is None else twin, feature, K)


def tasks(shape=SHAPE, environments=None, name="twin square", seed=3, feature="rss"):
    there = places() if environments is None else environments
    return RoomTasks(name, room(feature), there, shape, seed)


def with_features(environment, change):
    return replace(environment, features={n: change(v) for n, v in environment.features.items()})


@pytest.mark.parametrize("feature", ["rss", "rtt", "rss+rtt"])
def test_a_point_of_the_twin_is_its_own_nearest_neighbour(feature):
    here = room(feature)
    seen = here.inputs(here.field.mean)
    assert seen.shape == (25, 3 * K)
    assert np.allclose(seen[:, 0], 0.0, atol=1e-6)
    assert np.allclose(here.references.to_metres(seen[:, K : K + 2]), here.field.position)
    # Weighed by the inverse of no distance it is the point itself, the mean is of all four.
    assert np.allclose(here.among_neighbours(seen, weighted=True), here.field.position, atol=1e-3)
    plain = here.among_neighbours(seen, weighted=False)
    around = here.references.to_metres(seen[:, K:].reshape(25, K, 2)).mean(axis=1)
    assert np.allclose(plain, around)
    assert not np.allclose(plain, here.field.position, atol=1e-3)


def test_one_metre_counts_as_four_decibels():
    assert LEVEL_DB == {"rss": 1.0, "rtt": -4.0}
    one, other = room("rss"), room("rtt")
    moved = one.field.mean[7:8] + 2.0
    assert one.inputs(moved)[0, 0] <= 0.2 + 1e-6
    far = other.inputs(np.full((1, len(AP)), 1e3))[0, 0]
    assert far == pytest.approx(400.0, rel=0.05)


@pytest.mark.parametrize("feature", ["rss", "rtt"])
def test_not_heard_counts_as_the_farthest(feature):
    here = room(feature)
    missing = here.field.mean[:1].copy()
    missing[0, 1] = np.nan
    worst = here.field.mean.min() if feature == "rss" else here.field.mean.max()
    filled = np.where(np.isfinite(missing), missing, worst)
    assert np.array_equal(here.inputs(missing), here.inputs(filled))
    assert np.allclose(here.levels(missing), filled * LEVEL_DB[feature])


def test_room_refuses_what_is_no_twin_with_every_fault():
    first, second, third = places(3)
    other_ap = replace(second, ap=("X1", "X2", "X3"))
    other_points = replace(third, position=third.position + 1.0, features={})
    with pytest.raises(InputError) as refused:
        Room.of([first, other_ap, other_points], "rss+rtt", K)
    assert [fault.key for fault in refused.value.faults] == ["ap", "features", "position"]
    with pytest.raises(InputError, match="at least one"):
        Room.of([], "rss", K)
    with pytest.raises(InputError, match="two or more realisations"):
        Room.of([first], "rss", K)


@pytest.mark.parametrize("feature", ["rss", "rss+rtt"])
def test_shapes_weights_and_padding(feature):
    batch = tasks(feature=feature).sample(stream(1, "tasks"), 20)
    assert [array.shape for array in batch.arrays()] == [
        (20, 3, 3 * K),
        (20, 3, 2),
        (20, 3),
        (20, 6, 3 * K),
        (20, 6, 2),
    ]
    assert {array.dtype for array in batch.arrays()} == {np.dtype(np.float32)}
    sizes = (batch.support_weight > 0).sum(axis=1)
    assert set(sizes.tolist()) == {1, 3}
    for task, size in enumerate(sizes):
        assert np.allclose(batch.support_weight[task, :size], 1.0 / size)
        assert not batch.support_inputs[task, size:].any()


def test_support_and_query_points_of_a_task_differ():
    batch = tasks(TaskShape((3,), 20, 9)).first(9)
    for support, query in zip(batch.support_targets, batch.query_targets, strict=True):
        assert len(np.unique(np.concatenate([support, query]), axis=0)) == 23


def test_the_pool_is_named_by_seed_and_environment():
    one, again = tasks().first(12), tasks().first(12)
    assert all(np.array_equal(a, b) for a, b in zip(one.arrays(), again.arrays(), strict=True))
    for other in (tasks(seed=4), tasks(name="real square")):
        assert not np.array_equal(one.query_targets, other.first(12).query_targets)


def test_a_receivers_own_scale_is_taken_out():
    shifted = [with_features(each, lambda values: values - np.float32(21.0)) for each in places()]
    heard, moved = tasks().first(12), tasks(environments=shifted).first(12)
    assert np.allclose(heard.support_inputs, moved.support_inputs, atol=1e-4)
    # Equally near reference points may change places by rounding; the distances may not.
    near, far = heard.query_inputs[..., :K], moved.query_inputs[..., :K]
    assert np.allclose(near, far, atol=1e-4)


def test_each_access_point_comes_from_an_environment_of_its_own(monkeypatch):
    made = []
    for index, each in enumerate(places()):
        point = np.arange(each.points)[:, None, None]
        value = 100.0 * index + point + 0.1 * np.arange(-1, 2)[:, None] + np.zeros(len(AP))
        made.append(with_features(each, lambda _, value=value: value.astype(np.float32)))
    seen = []
    aligned = Room.aligned

    def recorded(self, heard, position):
        seen.append((heard, position))
        return aligned(self, heard, position)

    monkeypatch.setattr(Room, "aligned", recorded)
    tasks(TaskShape((3,), 6, 30), made)
    mixed = 0
    for heard, position in seen:
        point = np.rint(position[:, 0] / 2 * 5 + position[:, 1] / 2)
        origin = (heard - point[:, None]) / 100.0
        # Medians, so no tenths; one environment for all points of an access point.
        assert np.allclose(origin, np.rint(origin), atol=1e-3)
        assert (np.rint(origin) == np.rint(origin[0])).all()
        mixed += len(set(np.rint(origin[0]).tolist())) > 1
    assert mixed > 10


def test_a_real_room_needs_no_point_of_the_twin():
    real = place(9, split=np.full(25, "reference"))
    real = replace(real, position=real.position + np.array([0.3, -0.2, 0.0]))
    batch = RoomTasks("real square", room(), [real], SHAPE, 1).first(12)
    unit = room().references.to_unit(real.position[:, :2])
    gap = np.linalg.norm(batch.query_targets[:, :, None] - unit, axis=-1).min(axis=-1)
    assert gap.max() < 1e-6


def test_compared_fingerprints_are_queries_of_the_pool():
    source = tasks()
    pool = source.first(12).query_inputs.reshape(-1, 3 * K)
    few = source.fingerprints(stream(1, "few"), 10)
    assert few.shape == (10, 3 * K)
    assert few.dtype == np.float64
    assert len(np.unique(few, axis=0)) == len(np.unique(few.astype(np.float32), axis=0))
    assert all((pool == row.astype(np.float32)).all(axis=1).any() for row in few)
    assert len(source.fingerprints(stream(1, "many"), 1000)) == 1000


def test_refuses_what_does_not_fit_the_room_with_every_fault():
    few = replace(
        place(),
        position=grid()[:5],
        ap=AP[:2],
        features={n: v[:5, :, :2] for n, v in place().features.items()},
        split=np.full(5, ""),
    )
    with pytest.raises(InputError) as refused:
        RoomTasks("real square", room(), [few], SHAPE, 1)
    assert [fault.key for fault in refused.value.faults] == ["access points", "points"]
    assert "at least 9" in str(refused.value)
    with pytest.raises(InputError, match="no rtt"):
        RoomTasks("real", room("rtt"), [replace(place(), features={})], SHAPE, 1)


def test_alignment_is_that_of_the_labelled_points():
    here = room()
    real = with_features(place(5), lambda values: values - np.float32(20.0))
    medians = point_fingerprints(real, "rss")
    chosen = [2, 11, 17]
    alignment = here.aligned(medians[chosen], real.position[chosen, :2])
    left = alignment.apply(medians) - here.field.mean
    assert abs(left.mean()) < 1.5
    assert np.allclose(alignment.offset, 20.0, atol=8.0)
