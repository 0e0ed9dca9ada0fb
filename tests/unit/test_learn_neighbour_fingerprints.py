from __future__ import annotations

import numpy as np
import pytest

from twin.errors import InputError
from twin.learn.neighbour_fingerprints import DECIBELS_A_UNIT, ReferenceMap

POSITION = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 4.0], [10.0, 4.0]])
LEVELS = np.array([[-40.0, -60.0], [-60.0, -40.0], [-50.0, -70.0], [-70.0, -50.0]])


def place(**changed):
    return ReferenceMap(**{"fingerprints": LEVELS, "position": POSITION} | changed)


def test_distances_are_root_mean_square_and_rise():
    distance, index = place().nearest([[-43.0, -64.0]], 4)
    expected = np.linalg.norm(LEVELS - [-43.0, -64.0], axis=1) / np.sqrt(2.0)
    assert index.tolist() == [np.argsort(expected).tolist()]
    assert np.allclose(distance, [np.sort(expected)])


def test_more_access_points_of_the_same_kind_change_no_distance():
    few = place().nearest([[-43.0, -64.0]], 2)[0]
    twice = ReferenceMap(np.tile(LEVELS, 2), POSITION)
    assert np.allclose(twice.nearest([[-43.0, -64.0] * 2], 2)[0], few)


def test_equal_distances_go_by_index():
    twins = np.vstack([LEVELS[1], LEVELS[0], LEVELS[1], LEVELS[0]])
    distance, index = place(fingerprints=twins).nearest([LEVELS[0]], 4)
    assert index.tolist() == [[1, 3, 0, 2]]
    assert distance[0, 0] == distance[0, 1] == 0.0


def test_what_was_not_heard_is_the_weakest_that_the_references_heard():
    levels = LEVELS.copy()
    levels[1, 0] = np.nan
    filled = LEVELS.copy()
    filled[1, 0] = -70.0
    asked = [[np.nan, -45.0], [-45.0, np.nan]]
    seen = place(fingerprints=levels).nearest(asked, 4)
    expected = place(fingerprints=filled).nearest([[-70.0, -45.0], [-45.0, -70.0]], 4)
    assert np.array_equal(seen[0], expected[0])
    assert np.array_equal(seen[1], expected[1])


def test_a_fingerprint_does_not_depend_on_what_is_asked_with_it():
    asked = np.array([[-43.0, -64.0], [-200.0, -200.0]])
    assert np.array_equal(place().inputs(asked, 3)[:1], place().inputs(asked[:1], 3))
    assert place().inputs(asked[:0], 3).shape == (0, 9)


def test_missing_neighbours_repeat_the_farthest():
    distance, index = place().nearest([[-43.0, -64.0]], 6)
    assert index[0, 3:].tolist() == [index[0, 3]] * 3
    assert distance[0, 3:].tolist() == [distance[0, 3]] * 3


def test_own_reference_point_is_left_out():
    distance, index = place().nearest(LEVELS, 4, own=[0, 1, 2, -1])
    for row in range(3):
        assert row not in index[row]
        assert index[row, 3] == index[row, 2]
    # Who has no point of its own has them all.
    assert sorted(index[3]) == [0, 1, 2, 3]
    assert distance[3, 0] == 0.0
    assert np.isfinite(distance).all()


def test_inputs_are_scaled_distances_then_coordinates():
    levels, position = LEVELS, POSITION
    seen = place().inputs([levels[3]], 2)
    assert seen.shape == (1, 6)
    assert seen.dtype == np.float32
    distance, index = place().nearest([levels[3]], 2)
    assert np.allclose(seen[0, :2], distance[0] / DECIBELS_A_UNIT)
    assert np.allclose(seen[0, 2:].reshape(2, 2), (position[index[0]] - [5.0, 2.0]) / 5.0)


def test_places_that_differ_in_size_and_powers_look_alike():
    large = ReferenceMap(LEVELS + 7.0, 3.0 * POSITION + [100.0, -20.0])
    assert np.allclose(large.inputs([[-36.0, -57.0]], 3), place().inputs([[-43.0, -64.0]], 3))


def test_coordinates_keep_shapes_and_come_back():
    there = place()
    unit = there.to_unit(POSITION)
    assert np.allclose(unit, [[-1.0, -0.4], [1.0, -0.4], [-1.0, 0.4], [1.0, 0.4]])
    assert np.allclose(there.to_metres(unit), POSITION, atol=1e-6)
    wider = place(area_m=(0.0, -3.0, 20.0, 7.0))
    assert wider.reach == 10.0
    assert np.allclose(wider.to_unit([[10.0, 2.0], [20.0, 7.0]]), [[0.0, 0.0], [1.0, 0.5]])


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"fingerprints": LEVELS[0]}, "fingerprints"),
        ({"fingerprints": np.full((4, 2), np.nan)}, "fingerprints"),
        ({"fingerprints": np.where(LEVELS == -40.0, -np.inf, LEVELS)}, "fingerprints"),
        ({"position": POSITION[:3]}, "position"),
        ({"position": np.where(POSITION == 4.0, np.nan, POSITION)}, "position"),
        ({"fingerprints": LEVELS[:1], "position": POSITION[:1]}, "area_m"),
        ({"area_m": (0.0, 0.0, -1.0, 4.0)}, "area_m"),
        ({"area_m": (0.0, 0.0, np.inf, 4.0)}, "area_m"),
    ],
)
def test_maps_that_are_none(changed, key):
    with pytest.raises(InputError) as refused:
        place(**changed)
    assert [fault.key for fault in refused.value.faults] == [key]


def test_all_faults_of_a_map_at_once():
    with pytest.raises(InputError, match="2 faults"):
        ReferenceMap(np.full((4, 2), np.nan), POSITION[:2])


def test_one_reference_point_with_an_area():
    one = ReferenceMap(LEVELS[:1], POSITION[:1], (0.0, 0.0, 10.0, 4.0))
    assert one.nearest([[-43.0, -64.0]], 3)[1].tolist() == [[0, 0, 0]]
    with pytest.raises(InputError, match="2 or more to leave one out"):
        one.nearest(LEVELS[:1], 1, own=[0])


@pytest.mark.parametrize(
    ("asked", "neighbours", "own"),
    [
        ([[-40.0, -50.0, -60.0]], 2, None),
        ([-40.0, -50.0], 2, None),
        ([[-40.0, np.inf]], 2, None),
        ([[-40.0, -50.0]], 0, None),
        ([[-40.0, -50.0]], 2, [4]),
        ([[-40.0, -50.0]], 2, [-2]),
        ([[-40.0, -50.0]], 2, [0, 1]),
        ([[-40.0, -50.0]], 2, [0.0]),
    ],
)
def test_questions_that_are_none(asked, neighbours, own):
    with pytest.raises(InputError):
        place().nearest(asked, neighbours, own)
