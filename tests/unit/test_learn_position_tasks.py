from __future__ import annotations

import numpy as np
import pytest

from twin.errors import InputError
from twin.learn.neighbour_fingerprints import ReferenceMap
from twin.learn.position_tasks import Place, PositionDomain, one_task
from twin.learn.tasks import concatenated
from twin.seeds import stream

NEIGHBOURS = 3


def place(seed=0, pool=40, access_points=4, side=10.0):
    generator = np.random.default_rng(seed)
    reference = generator.uniform(0.0, side, (6, 2))
    area = (0.0, 0.0, side, side)
    levels = generator.uniform(-90.0, -40.0, (6 + pool, access_points))
    position = generator.uniform(0.0, side, (pool, 2))
    return Place(ReferenceMap(levels[:6], reference, area), levels[6:], position)


def domain(places=None, supports=(5,), queries=7):
    return PositionDomain("lab", [place()] if places is None else places, 3, supports, queries)


def rows(inputs):
    return {row.tobytes() for row in inputs}


def test_shapes_and_types():
    batch = domain().sample(stream(1, "tasks"), 4)
    shapes = [array.shape for array in batch.arrays()]
    assert shapes == [(4, 5, 9), (4, 5, 2), (4, 5), (4, 7, 9), (4, 7, 2)]
    assert {array.dtype for array in batch.arrays()} == {np.dtype(np.float32)}
    assert np.allclose(batch.support_weight, 0.2)


def test_sets_have_nothing_in_common_and_inputs_belong_to_targets():
    there = place()
    batch = domain([there], supports=(20,), queries=20).sample(stream(1, "tasks"), 8)
    known = {x.tobytes(): y for x, y in zip(there.inputs(NEIGHBOURS), there.targets(), strict=True)}
    assert len(known) == 40
    for task in range(8):
        support, query = rows(batch.support_inputs[task]), rows(batch.query_inputs[task])
        assert len(support) == len(query) == 20
        assert not support & query
        for inputs, targets in zip(
            batch.query_inputs[task], batch.query_targets[task], strict=True
        ):
            assert np.array_equal(known[inputs.tobytes()], targets)


def test_a_task_is_one_place():
    places = [place(seed) for seed in range(3)]
    pools = [rows(there.inputs(NEIGHBOURS)) for there in places]
    batch = domain(places).sample(stream(1, "tasks"), 20)
    owners = []
    for task in range(20):
        seen = rows(batch.support_inputs[task]) | rows(batch.query_inputs[task])
        owners.append([index for index, pool in enumerate(pools) if seen <= pool])
    assert all(len(owner) == 1 for owner in owners)
    assert len({owner[0] for owner in owners}) == 3


def test_sizes_vary_and_padding_weighs_nothing():
    batch = domain(supports=(1, 4, 9)).sample(stream(1, "tasks"), 30)
    sizes = (batch.support_weight > 0).sum(axis=1)
    assert set(sizes.tolist()) == {1, 4, 9}
    assert np.allclose(batch.support_weight.sum(axis=1), 1.0)
    for task, size in enumerate(sizes):
        assert not batch.support_inputs[task, size:].any()
        assert not batch.support_targets[task, size:].any()


def test_draws_depend_on_the_generator_alone():
    one, other = (domain().sample(stream(1, "tasks"), 3) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one.arrays(), other.arrays(), strict=True))
    changed = domain().sample(stream(2, "tasks"), 3)
    assert not np.array_equal(one.query_inputs, changed.query_inputs)


def test_places_of_other_access_points_and_sizes_make_one_domain():
    batch = domain([place(0), place(1, access_points=9, side=80.0)]).sample(stream(1, "t"), 10)
    assert np.abs(batch.query_targets).max() <= 1.0
    assert concatenated([batch, domain().sample(stream(2, "t"), 1)]).tasks == 11


def test_fingerprints_are_inputs_of_all_places():
    places = [place(seed) for seed in range(2)]
    pool = rows(np.concatenate([there.inputs(NEIGHBOURS) for there in places]))
    drawn = domain(places).fingerprints(stream(1, "f"), 80)
    assert drawn.dtype == np.float64
    assert rows(drawn.astype(np.float32)) == pool
    assert domain(places).fingerprints(stream(1, "f"), 200).shape == (200, 9)


def test_one_task_is_as_given_and_padded():
    there = place()
    inputs, targets = there.inputs(NEIGHBOURS), there.targets()
    parts = (inputs[:4], targets[:4]), (inputs[4:], targets[4:])
    plain, padded = one_task(*parts), one_task(*parts, size=6)
    assert np.array_equal(plain.support_inputs[0], inputs[:4])
    assert np.array_equal(plain.query_targets[0], targets[4:])
    assert np.allclose(plain.support_weight, 0.25)
    assert padded.support_inputs.shape == (1, 6, 9)
    assert padded.support_weight[0].tolist() == [0.25] * 4 + [0.0] * 2
    assert {array.dtype for array in padded.arrays()} == {np.dtype(np.float32)}


def test_tasks_that_are_none():
    inputs, targets = place().inputs(NEIGHBOURS), place().targets()
    both = (inputs, targets)
    with pytest.raises(InputError, match="2 faults"):
        one_task((inputs[:0], targets[:0]), (inputs, targets[:3]))
    with pytest.raises(InputError, match="at most 39"):
        one_task(both, both, size=39)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"places": []}, "places"),
        ({"supports": ()}, "supports"),
        ({"supports": (0, 3)}, "supports"),
        ({"queries": 0}, "queries"),
        ({"places": [place(), place(pool=11)]}, "places.1"),
    ],
)
def test_domains_that_are_none(changed, key):
    with pytest.raises(InputError) as refused:
        domain(**changed)
    assert [fault.key for fault in refused.value.faults] == [key]


def test_places_that_are_none():
    there = place()
    with pytest.raises(InputError, match="access points of the reference points"):
        Place(there.references, there.fingerprints[:, :2], there.position)
    with pytest.raises(InputError, match="as many as fingerprints"):
        Place(there.references, there.fingerprints, there.position[:3])
    with pytest.raises(InputError, match="finite coordinates"):
        Place(there.references, there.fingerprints, there.position + np.nan)
