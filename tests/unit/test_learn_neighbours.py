from __future__ import annotations

import numpy as np
import pytest

from twin.errors import InputError, NotFittedError
from twin.learn.baselines.neighbours import Neighbours
from twin.learn.learner import Labelled

NAN = np.nan


def adapted(known, position, *, feature="rss", most=3, weights="uniform"):
    known = np.array(known, dtype=float)
    learner = Neighbours(feature, known.shape[1] // len(feature.split("+")), most, weights)
    learner.adapt(Labelled(known, np.array(position, dtype=float), np.empty((0, known.shape[1]))))
    return learner


LINE = [[-40.0], [-50.0], [-60.0], [-70.0]]
PLACES = [[0.0, 0.0], [2.0, 0.0], [4.0, 4.0], [9.0, 9.0]]


def test_mean_of_the_two_nearest():
    # 4 labels: K = 2. -54 dBm is nearest to -50 and -60.
    location = adapted(LINE, PLACES).locate(np.array([[-54.0]]))
    assert np.allclose(location.position, [[3.0, 2.0]])
    assert np.allclose(location.spread, [np.hypot(1.0, 2.0)])


def test_neighbours_weigh_by_inverse_distance():
    location = adapted(LINE, PLACES, weights="distance").locate(np.array([[-54.0], [-60.0]]))
    # 4 and 6 dB away: weights 0.6 and 0.4. Heard exactly: that point alone.
    assert np.allclose(location.position, [[2.8, 1.6], [4.0, 4.0]])
    off = [np.hypot(0.8, 1.6), np.hypot(1.2, 2.4)]
    assert np.isclose(location.spread[0], np.mean(off))


@pytest.mark.parametrize(
    ("labels", "most", "neighbours"),
    [(1, 3, 1), (2, 3, 1), (3, 3, 2), (6, 3, 2), (7, 3, 3), (30, 3, 3), (30, 9, 5), (30, 1, 1)],
)
def test_number_of_neighbours(labels, most, neighbours):
    known = -40.0 - np.arange(labels)[:, None]
    position = np.column_stack([np.arange(labels), np.zeros(labels)])
    # The strongest fingerprint of all: its K neighbours are the first K points.
    location = adapted(known, position, most=most).locate(np.array([[-30.0]]))
    assert np.allclose(location.position, [[(neighbours - 1) / 2, 0.0]])


def test_units_weigh_alike():
    # RSS spreads over 40 dB and RTT over 4 m about the same labels; in raw units RSS alone decides.
    known = [[-40.0, 1.0], [-80.0, 5.0]]
    learner = adapted(known, [[0.0, 0.0], [8.0, 0.0]], feature="rss+rtt", most=1)
    # 15 dB (0.75 spreads) nearer to the first, 2.4 m (1.2 spreads) nearer to the second.
    location = learner.locate(np.array([[-52.5, 4.2]]))
    assert np.allclose(location.position, [[8.0, 0.0]])
    closer = learner.locate(np.array([[-42.5, 3.4]]))
    assert np.allclose(closer.position, [[0.0, 0.0]])


@pytest.mark.parametrize(
    ("feature", "known", "nearest"),
    [
        # Not heard counts as the weakest ...
        ("rss", [[-40.0, -45.0], [-40.0, -90.0]], 1),
        # ... and as the farthest one of the labelled points.
        ("rtt", [[3.0, 2.0], [3.0, 20.0]], 1),
    ],
)
def test_what_was_not_heard_is_far_away(feature, known, nearest):
    learner = adapted(known, [[0.0, 0.0], [8.0, 0.0]], feature=feature, most=1)
    location = learner.locate(np.array([[known[0][0], NAN]]))
    assert np.allclose(location.position, [[8.0 * nearest, 0.0]])


def test_answers_are_finite_where_nothing_was_heard():
    known = [[NAN, NAN, NAN, NAN], [-50.0, -60.0, NAN, NAN]]
    for weights in ("uniform", "distance"):
        learner = adapted(known, [[0.0, 0.0], [8.0, 0.0]], feature="rss+rtt", weights=weights)
        location = learner.locate(np.array([[NAN] * 4, [-50.0, NAN, 3.0, NAN]]))
        assert np.isfinite(location.position).all()
        assert np.isfinite(location.spread).all()


def test_arguments_are_left_alone():
    known, fingerprint = np.array([[-40.0], [NAN]]), np.array([[NAN]])
    learner = adapted(known, PLACES[:2])
    learner.locate(fingerprint)
    assert np.isnan(fingerprint[0, 0])
    assert np.isnan(known[1, 0])


def test_order_of_use(tmp_path):
    learner = Neighbours("rss", 1, 3, "uniform")
    learner.fit([])
    with pytest.raises(NotFittedError, match="call adapt first"):
        learner.locate(np.zeros((1, 1)))
    with pytest.raises(NotFittedError, match="call adapt first"):
        learner.save(tmp_path / "database.npz")
    with pytest.raises(InputError, match="labelled points: expected at least 1, found 0"):
        adapted(np.empty((0, 1)), np.empty((0, 2)))


def test_round_trip_through_a_file(tmp_path):
    path = tmp_path / "database.npz"
    learner = adapted([*LINE[:3], [NAN]], PLACES)
    learner.save(path)
    loaded = Neighbours("rss", 1, 3, "uniform")
    loaded.load(path)
    asked = np.array([[-54.0], [NAN], [-71.0]])
    assert np.array_equal(loaded.locate(asked).position, learner.locate(asked).position)


def test_other_database_is_refused(tmp_path):
    path = tmp_path / "database.npz"
    adapted(LINE, PLACES).save(path)
    with pytest.raises(InputError) as caught:
        Neighbours("rtt", 2, 5, "distance").load(path)
    assert [(f.where, f.key, f.expected, f.found) for f in caught.value.faults] == [
        (str(path), "feature", "rtt", "rss"),
        (str(path), "access_points", "2", "1"),
        (str(path), "most_neighbours", "5", "3"),
        (str(path), "weights", "distance", "uniform"),
    ]
    path.write_text("rows")
    with pytest.raises(InputError, match="expected a learner saved by Fingertwin"):
        Neighbours("rss", 1, 3, "uniform").load(path)
