from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.small_places import place
from twin.errors import InputError
from twin.evaluate.protocols import SimToReal, labelled_points, sim_to_real
from twin.learn.baselines.neighbours import Neighbours
from twin.learn.learner import Location

PROTOCOL = SimToReal(labels=(1, 3, 6), draws=4, seed=1)
SPLIT = np.array((["reference"] * 3 + ["test", ""]) * 5)
SNAPSHOTS = 3


def room(**changes):
    return replace(place(split=SPLIT), **changes)


class Fake:
    """Keeps what it was given; answers with the true place, `off` metres wrong."""

    def __init__(self, real, off=0.0):
        scans = real.features["rss"].astype(np.float64)
        self.truth = {
            scan.tobytes(): point[:2]
            for point, of_point in zip(real.position, scans, strict=True)
            for scan in of_point
        }
        self.off = off
        self.given = []
        self.asked = []

    def adapt(self, labelled):
        self.given.append(labelled)

    def locate(self, fingerprints):
        self.asked.append(fingerprints)
        position = np.array([self.truth[f.tobytes()] for f in fingerprints])
        return Location(position + np.array([0.0, self.off]), np.ones(len(position)))


def evaluate(methods, real, protocol=PROTOCOL, feature="rss"):
    return sim_to_real(methods, real, feature, "hall", protocol)


def test_results_of_a_perfect_and_a_wrong_method():
    real = room()
    results = evaluate({"perfect": [Fake(real)], "wrong": [Fake(real, off=2.5)]}, real)
    assert [(r.method, r.k) for r in results] == [
        (method, k) for method in ("perfect", "wrong") for k in (1, 3, 6)
    ]
    fixes = int(real.is_test.sum()) * SNAPSHOTS
    for result in results:
        assert (result.room, result.feature) == ("hall", "rss")
        assert result.errors_m.shape == (4, fixes)
        assert np.allclose(result.errors_m, 0.0 if result.method == "perfect" else 2.5)
        assert result.point.tolist() == np.repeat(np.flatnonzero(real.is_test), 3).tolist()
        assert result.seconds is not None
        assert result.seconds >= 0


def test_labelled_points_are_nested_the_same_for_all_and_never_test_points():
    real = room()
    fakes = {"one": Fake(real), "other": Fake(real)}
    evaluate({name: [fake] for name, fake in fakes.items()}, real)
    by_k = [
        [[tuple(p) for p in given.position] for given in fakes["one"].given[4 * i : 4 * i + 4]]
        for i in range(3)
    ]
    tested = {tuple(p) for p in real.position[~real.is_reference, :2]}
    for few, more, most in zip(*by_k, strict=True):
        assert (len(few), len(more), len(most)) == (1, 3, 6)
        assert few == more[:1]
        assert more == most[:3]
        assert len(set(most)) == 6
        assert not tested & set(most)
    assert len({tuple(draw) for draw in by_k[2]}) == 4
    for one, other in zip(fakes["one"].given, fakes["other"].given, strict=True):
        assert np.array_equal(one.position, other.position)
        assert np.array_equal(one.fingerprints, other.fingerprints)


def test_what_a_method_may_see():
    real = room()
    fake = Fake(real)
    evaluate({"one": [fake]}, real)
    scans = real.features["rss"]
    index = {tuple(p): i for i, p in enumerate(real.position[:, :2])}
    for given in fake.given:
        chosen = [index[tuple(p)] for p in given.position]
        # Labels are medians of the point; unlabelled ones are scans of reference points only.
        assert np.allclose(given.fingerprints, np.median(scans[chosen], axis=1))
        assert np.array_equal(given.unlabelled, scans[real.is_reference].reshape(-1, 3))
    assert all(np.array_equal(a, scans[real.is_test].reshape(-1, 3)) for a in fake.asked)


def test_draws_are_keyed_by_name():
    real = room()

    def order(place, **changes):
        return labelled_points(place, SimToReal(**{**PROTOCOL.model_dump(), **changes}))

    base = order(real)
    assert all(sorted(draw) == np.flatnonzero(real.is_reference).tolist() for draw in base)
    # More draws or other numbers of labels change none that were there.
    more = order(real, draws=7, labels=(2,))
    assert all(np.array_equal(a, b) for a, b in zip(base, more[:4], strict=True))
    for other in (order(real, seed=2), order(replace(real, site="office"))):
        assert not all(np.array_equal(a, b) for a, b in zip(base, other, strict=True))


def test_learners_take_turns():
    real = room()
    first, second = Fake(real), Fake(real, off=1.0)
    results = evaluate({"one": [first, second]}, real)
    for result in results:
        assert np.allclose(result.errors_m, np.array([[0.0], [1.0], [0.0], [1.0]]))
    assert len(first.given) == len(second.given) == 2 * len(PROTOCOL.labels)


def test_a_fix_that_heard_nothing_is_left_out():
    real = room()
    test = np.flatnonzero(real.is_test)
    real.features["rss"][test[0], 1] = np.nan
    real.features["rss"][test[1]] = np.nan
    real.features["rss"][test[2], :, 0] = np.nan
    fake = Fake(real)
    for result in evaluate({"one": [fake]}, real):
        counts = [int((result.point == point).sum()) for point in test]
        assert counts == [2, 0, 3, 3, 3]
        assert np.allclose(result.errors_m, 0.0)
    assert all(np.isfinite(asked).any(axis=1).all() for asked in fake.asked)


def test_a_real_method_through_the_protocol():
    real = room()
    methods = {"knn": [Neighbours("rss+rtt", 3, 3, "uniform")]}
    few, _, many = evaluate(methods, real, feature="rss+rtt")
    assert many.errors_m.mean() < few.errors_m.mean()


def test_all_faults_are_named_before_any_work():
    real = room(
        features={"rss": place().features["rss"]}, split=np.array(["reference", *[""] * 24])
    )
    fake = Fake(real)
    with pytest.raises(InputError) as caught:
        evaluate({"idle": [fake], "nobody": []}, real, feature="rss+rtt")
    assert [(f.where, f.key, f.found) for f in caught.value.faults] == [
        ("site square", "split", "1"),
        ("site square", "split", "0"),
        ("site square", "features", "rss"),
        ("method nobody", "learners", "none"),
    ]
    assert not fake.given


def test_a_place_where_nothing_was_heard_is_refused():
    real = room()
    real.features["rss"][real.is_test] = np.nan
    with pytest.raises(InputError, match="expected an access point heard at a test point"):
        evaluate({"one": [Fake(real)]}, real)


@pytest.mark.parametrize("change", [{"labels": (0, 1)}, {"labels": (-1,)}, {"draws": 0}])
def test_protocols_without_sense_are_refused(change):
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        SimToReal(**{**PROTOCOL.model_dump(), **change})
