"""In a box the chains can be counted, and the images of its walls make a lattice."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from tests.unit.sionna_meshes import box, joined, scene
from twin.trace.chains import Search, discover
from twin.trace.mirrors import Mirrors, to_device
from twin.trace.specular import Tracker, images

SIZE = np.array([10.0, 8.0, 3.0])
ROOM = box([0, 0, 0], SIZE)
PARTITION = (
    np.array([[6.0, 0, 0], [6, 8, 0], [6, 8, 3], [6, 0, 3]]),
    np.array([[0, 1, 2], [0, 2, 3]]),
)
TRANSMITTER = np.array([2.1, 3.3, 1.9])
SEARCH = Search(
    max_depth=2, refraction=False, rays=20_000, undiscovered_share=1e-3, max_rounds=40, seed=1
)


@pytest.fixture(scope="module")
def room():
    return Mirrors(scene(room=ROOM))


@pytest.fixture(scope="module")
def two_rooms():
    return Mirrors(scene(room=ROOM, partition=PARTITION))


def name(planes, plane):
    """A wall by its axis and place, such as x=6."""
    axis = int(np.abs(planes.normal[plane]).argmax())
    place = planes.offset[plane] / planes.normal[plane, axis]
    return f"{'xyz'[axis]}={round(place)}"


def words(chains, planes, order):
    """The chains of one order, as tuples of walls."""
    _, prefixes = chains.of_order(order)
    return [tuple(name(planes, q) for q in chains.plane[row]) for row in prefixes]


def in_a_box(order):
    """Sequences of walls in which those of one axis take turns."""
    chains = set()
    for axes in itertools.product(range(3), repeat=order):
        for first in itertools.product((0, 1), repeat=3):
            seen = list(first)
            chain = []
            for axis in axes:
                chain.append(f"{'xyz'[axis]}={seen[axis] * round(SIZE[axis])}")
                seen[axis] = 1 - seen[axis]
            chains.add(tuple(chain))
    return chains


def has_a_ray(chain):
    """Whether some ray meets the walls in this order.

    It meets a wall of one axis when it has gone so far along it, whatever it does along others:
    with the time for a metre along each axis unknown, that all meetings are in order, and no other
    before the last, is a linear programme.
    """
    times = []
    for axis, size in enumerate(SIZE):
        mine = [wall for wall in chain if wall[0] == "xyz"[axis]]
        if mine:
            to_first = abs(float(mine[0][2:]) - TRANSMITTER[axis])
            times.append((axis, to_first + size * np.arange(len(mine) + 1)))
    meeting = {axis: iter(at) for axis, at in times}
    rows = [np.eye(3)["xyz".index(wall[0])] * next(meeting["xyz".index(wall[0])]) for wall in chain]
    later = [np.eye(3)[axis] * at[-1] for axis, at in times]
    order = [
        *(one - other for one, other in itertools.pairwise(rows)),
        *(rows[-1] - other for other in later),
    ]
    return linprog(np.zeros(3), np.array(order), -np.ones(len(order))).success


def test_all_chains_of_a_box_and_each_once(room):
    search = replace(SEARCH, max_depth=3, rays=200_000)
    chains = discover(room, TRANSMITTER, search)
    for order in (1, 2, 3):
        found = words(chains, room.planes, order)
        assert len(found) == len(set(found))
        assert set(found) == {chain for chain in in_a_box(order) if has_a_ray(chain)}
    assert np.bincount(chains.order)[:3].tolist() == [1, 6, 6 * 5]


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_no_chain_is_longer_than_the_depth(room, depth):
    chains = discover(room, TRANSMITTER, replace(SEARCH, max_depth=depth))
    assert chains.order.max() == depth
    assert len(chains) == [1, 7, 37][depth]
    assert (len(chains.new_share) == 0) == (depth == 0)


def test_chains_grow_from_their_parents(room):
    chains = discover(room, TRANSMITTER, SEARCH)
    assert chains.parent[0] == chains.order[0] == 0
    later = np.arange(1, len(chains))
    assert (chains.parent[later] < later).all()
    assert (chains.order[later] == chains.order[chains.parent[later]] + 1).all()
    assert (chains.plane[later] != chains.plane[chains.parent[later]]).all()
    # Whoever follows a chain has followed its beginning.
    assert (chains.rays[chains.parent[8:]] >= chains.rays[8:]).all()
    _, prefixes = chains.of_order(2)
    assert (chains.parent[prefixes[:, 1]] == prefixes[:, 0]).all()
    assert (chains.order[prefixes] == [1, 2]).all()


def test_rays_count_as_often_as_they_are_reflected(room):
    chains = discover(room, TRANSMITTER, SEARCH)
    # Nothing leaves a closed room, so in each round each ray is reflected twice.
    rays = SEARCH.rays * len(chains.new_share)
    for order in (1, 2):
        assert chains.rays[chains.order == order].sum() == pytest.approx(rays, rel=1e-3)


@pytest.mark.parametrize(
    ("refraction", "depth", "first", "second"),
    [
        (False, 2, 6, 30),
        # Without crossing the partition there is no way to the far wall.
        (True, 1, 6, 0),
        # Through the partition and back from x = 10.
        (True, 2, 7, 30),
        # Five walls and then x = 10, or x = 10 and then one of five: of the partition's far side
        # and of the four that both rooms share.
        (True, 3, 7, 40),
    ],
)
def test_a_partition_opens_chains_only_to_those_who_may_cross_it(
    two_rooms, refraction, depth, first, second
):
    search = replace(SEARCH, refraction=refraction, max_depth=depth, rays=100_000)
    chains = discover(two_rooms, TRANSMITTER, search)
    found = [words(chains, two_rooms.planes, order) for order in (1, 2)]
    assert [len(words) for words in found] == [first, second]
    assert [len(set(words)) for words in found] == [first, second]
    assert (("x=10",) in found[0]) == (refraction and depth > 1)
    assert (("x=10", "x=6") in found[1]) == (depth == 3)
    assert ("x=0", "y=0") in found[1] or depth == 1


def test_a_crossing_is_no_part_of_a_chain(two_rooms):
    one = discover(two_rooms, TRANSMITTER, replace(SEARCH, refraction=True, max_depth=2))
    assert ("x=6", "x=10") not in words(one, two_rooms.planes, 2)


def test_what_lies_behind_is_not_found():
    cupboard = box([4, 2.5, 0], [5, 5.5, 3])
    hidden = Mirrors(scene(room=ROOM, cupboard=cupboard))
    # Looking past the cupboard's corners from here, one sees the walls beside, not the one behind.
    chains = discover(hidden, np.array([2.0, 4.0, 1.5]), replace(SEARCH, max_depth=1))
    walls = {wall for (wall,) in words(chains, hidden.planes, 1)}
    assert walls == {"x=0", "y=0", "y=8", "z=0", "z=3", "x=4"}


def test_open_space_has_the_empty_chain_only():
    field = Mirrors(scene(plate=box([0, 0, -1], [1, 1, 0], without=("bottom", "south", "east"))))
    chains = discover(field, np.array([0.5, 0.5, 2.0]), SEARCH)
    assert set(words(chains, field.planes, 1)) == {("z=0",)}
    away = discover(field, np.array([0.5, 0.5, 900.0]), replace(SEARCH, rays=1000))
    assert len(away) == 1
    assert away.new_share == (0.0, 0.0)


def test_the_search_ends_by_its_bound(two_rooms, caplog):
    search = replace(SEARCH, refraction=True, max_depth=4, rays=1000)
    bounds = (0.01, 0.002)
    with caplog.at_level(logging.WARNING, logger="twin"):
        coarse, fine = (
            discover(two_rooms, TRANSMITTER, replace(search, undiscovered_share=bound))
            for bound in bounds
        )
    assert not caplog.records
    for bound, chains in zip(bounds, (coarse, fine), strict=True):
        first, *before, last = chains.new_share
        assert first == 1.0
        assert last < bound
        assert all(share >= bound for share in before)
        assert len(chains.new_share) < search.max_rounds
    rounds = len(coarse.new_share)
    assert len(fine.new_share) > rounds
    assert fine.new_share[:rounds] == coarse.new_share
    assert (fine.plane[: len(coarse)] == coarse.plane).all()
    assert len(fine) > len(coarse)


def test_a_search_that_does_not_converge_says_so(two_rooms, caplog):
    search = replace(SEARCH, max_depth=4, refraction=True, rays=1000, max_rounds=2)
    with caplog.at_level(logging.WARNING, logger="twin"):
        chains = discover(two_rooms, TRANSMITTER, search)
    assert len(chains.new_share) == 2
    assert chains.new_share[-1] >= search.undiscovered_share
    [record] = caplog.records
    message = record.getMessage()
    assert "expected a round with under 0.001" in message
    assert f"found {chains.new_share[-1]:.2g} after 2 rounds" in message
    assert "raise max_rounds" in message


def test_the_last_share_is_that_of_rays_on_chains_new_in_the_last_round(two_rooms):
    search = replace(SEARCH, max_depth=3, rays=1000, undiscovered_share=1e-9, max_rounds=3)
    two = discover(two_rooms, TRANSMITTER, replace(search, max_rounds=2))
    three = discover(two_rooms, TRANSMITTER, search)
    assert len(three) > len(two)
    assert (three.plane[: len(two)] == two.plane).all()
    new = three.rays[len(two) :].sum()
    share = new / (three.rays.sum() - two.rays.sum())
    assert three.new_share == (*two.new_share, share)
    assert 0.0 < share < 0.1


def test_rays_are_shot_in_parts_of_any_size(two_rooms, monkeypatch):
    whole = discover(two_rooms, TRANSMITTER, replace(SEARCH, refraction=True))
    monkeypatch.setattr("twin.trace.chains._RAYS_AT_ONCE", 3000)
    parts = discover(two_rooms, TRANSMITTER, replace(SEARCH, refraction=True))
    one, other = (
        {
            (order, word): rays
            for order in range(3)
            for word, rays in zip(
                words(chains, two_rooms.planes, order),
                chains.rays[chains.order == order],
                strict=True,
            )
        }
        for chains in (whole, parts)
    )
    assert one == other
    assert whole.new_share == parts.new_share


def arrays(chains):
    return [a.tobytes() for a in (chains.parent, chains.plane, chains.order, chains.rays)]


def test_a_seed_repeats_and_another_finds_the_same_chains_by_other_rays(two_rooms):
    search = replace(SEARCH, refraction=True, max_depth=3, rays=100_000)
    one, again = (discover(two_rooms, TRANSMITTER, search) for _ in range(2))
    other = discover(two_rooms, TRANSMITTER, replace(search, seed=2))
    assert arrays(one) == arrays(again)
    assert one.new_share == again.new_share
    assert arrays(one) != arrays(other)
    for order in range(4):
        assert set(words(one, two_rooms.planes, order)) == set(
            words(other, two_rooms.planes, order)
        )


def test_chains_are_a_matter_of_geometry_alone():
    search = replace(SEARCH, refraction=True)
    built = [
        scene(room=ROOM, partition=PARTITION),
        scene({"room": "metal", "partition": "glass"}, room=ROOM, partition=PARTITION),
        scene(partition=PARTITION, room=ROOM),
        scene(all=joined(PARTITION, ROOM)),
    ]
    built[0].frequency = 60e9
    built[1].frequency = 2.4e9
    found = [arrays(discover(Mirrors(one), TRANSMITTER, search)) for one in built]
    assert found[1:] == found[:-1]


def test_each_receiver_in_a_box_hears_one_order_of_two_adjacent_walls(room):
    """All images that walls can make are heard: 1, 6 and 18 (Allen and Berkley, 1979)."""
    chains = discover(room, TRANSMITTER, SEARCH)
    receivers = np.random.default_rng(4).uniform(0.3, SIZE - 0.3, (40, 3))
    heard = {}
    for group in images(chains, room.planes, TRANSMITTER):
        tracker = Tracker(room, TRANSMITTER, group, max_depth=2, refraction=False)
        points = to_device(receivers)
        pairs = tracker.possible(points)
        valid = pairs.where(tracker.valid(pairs, points))
        found = zip(np.array(valid.chain), np.array(valid.receiver), strict=True)
        heard[group.order] = {
            (tuple(name(room.planes, q) for q in group.planes[chain]), int(receiver))
            for chain, receiver in found
        }
    assert [len(heard[order]) for order in range(3)] == [40, 6 * 40, 18 * 40]
    assert heard[2] == {
        (chain, number)
        for number, receiver in enumerate(receivers)
        for chain in in_a_box(2)
        if first_met(chain, receiver)
    }


def first_met(chain, receiver):
    """Whether the straight way through the mirrored rooms meets the two walls in this order."""
    axes = ["xyz".index(wall[0]) for wall in chain]
    places = [float(wall[2:]) for wall in chain]
    if axes[0] == axes[1]:
        return True
    share = []
    for axis, place in zip(axes, places, strict=True):
        # The receiver mirrored in the wall, as seen straight on from the transmitter.
        mirrored = 2.0 * place - receiver[axis]
        share.append((place - TRANSMITTER[axis]) / (mirrored - TRANSMITTER[axis]))
    return share[0] < share[1]
