from __future__ import annotations

import numpy as np
import pytest

from twin.errors import InputError
from twin.learn.features import Scaler, entry_groups, fingerprints, point_fingerprints
from twin.store.reader import Environment

NAN = np.nan


def environment(**features):
    points, _, access_points = next(iter(features.values())).shape
    return Environment(
        site="hall",
        realisation=0,
        visit=0,
        label="0",
        position=np.zeros((points, 3)),
        features={name: values.astype(np.float32) for name, values in features.items()},
        split=np.full(points, "reference"),
        ap=tuple(f"AP{i}" for i in range(access_points)),
        ap_position=np.zeros((access_points, 3)),
        attrs={},
    )


RSS = np.array([[[-40.0, -50.0], [-44.0, NAN], [-90.0, NAN]], [[NAN, -70.0]] * 3])
RTT = np.array([[[1.0, 2.0], [1.0, 2.0], [4.0, 2.0]], [[NAN, NAN], [3.0, NAN], [5.0, 6.0]]])


def test_a_point_is_the_median_of_the_snapshots_that_heard():
    place = environment(rss=RSS, rtt=RTT)
    assert np.array_equal(
        point_fingerprints(place, "rss"), [[-44.0, -50.0], [NAN, -70.0]], equal_nan=True
    )
    assert np.array_equal(
        point_fingerprints(place, "rss+rtt"),
        [[-44.0, -50.0, 1.0, 2.0], [NAN, -70.0, 4.0, 6.0]],
        equal_nan=True,
    )


def test_parts_stand_side_by_side():
    place = environment(rss=RSS, rtt=RTT)
    both = fingerprints(place, "rss+rtt")
    rss, rtt = entry_groups("rss+rtt", 2)
    assert both.dtype == np.float64
    assert np.array_equal(both[..., rss], RSS, equal_nan=True)
    assert np.array_equal(both[..., rtt], RTT, equal_nan=True)
    assert np.array_equal(fingerprints(place, "rtt"), RTT, equal_nan=True)
    assert entry_groups("rtt", 2) == (slice(0, 2),)


def test_missing_feature_is_named():
    with pytest.raises(InputError, match="site hall: feature: expected 'rtt', found rss"):
        point_fingerprints(environment(rss=RSS), "rtt")


def scaler():
    position = np.array([[0.0, 10.0], [4.0, 10.0], [4.0, 20.0]])
    mean = np.array([[-40.0, -60.0, 1.0, 3.0], [-44.0, -50.0, 3.0, 3.0], [-42.0, -70.0, 5.0, 3.0]])
    return Scaler.of(position, mean, entry_groups("rss+rtt", 2)), position, mean


def test_scaler_standardises_by_unit():
    fitted, _, mean = scaler()
    assert np.allclose(fitted.centre, [-42.0, -60.0, 3.0, 3.0])
    rss, rtt = mean[:, :2].std(axis=0).mean(), mean[:, 2:].std(axis=0).mean()
    assert np.allclose(fitted.spread, [rss, rss, rtt, rtt])
    encoded = fitted.encode(mean)
    assert encoded.shape == (3, fitted.inputs) == (3, 8)
    assert encoded.dtype == np.float32
    assert np.allclose(encoded[0], [2 / rss, 0, -2 / rtt, 0, 1, 1, 1, 1])


def test_unheard_is_zero_with_a_flag():
    fitted, _, _ = scaler()
    encoded = fitted.encode(np.array([[-42.0, NAN, NAN, 3.0], [NAN] * 4]))
    assert np.array_equal(encoded, [[0, 0, 0, 0, 1, 0, 0, 1], [0] * 8])


def test_positions_go_to_the_unit_square_and_back():
    fitted, position, _ = scaler()
    unit = fitted.to_unit(position)
    # The longer side spans -1 to 1, the other keeps its proportion.
    assert np.allclose(unit, [[-0.4, -1.0], [0.4, -1.0], [0.4, 1.0]])
    assert np.allclose(fitted.to_metres(unit), position, atol=1e-5)


def test_scaler_of_a_twin_that_does_not_vary_is_finite():
    fitted = Scaler.of(np.zeros((3, 2)), np.zeros((3, 2)), (slice(0, 2),))
    assert np.isfinite(fitted.encode(np.zeros((3, 2)))).all()
    assert np.isfinite(fitted.to_unit(np.zeros((3, 2)))).all()
