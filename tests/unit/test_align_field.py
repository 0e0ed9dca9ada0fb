from __future__ import annotations

import numpy as np
import pytest

from twin.align.field import TwinField

ONE_GROUP = (slice(0, 2),)


def line(count):
    return np.column_stack([np.arange(count, dtype=float), np.zeros(count)])


def test_mean_and_stds_of_a_made_case():
    # Realisations +-: all entries shift by 1 together, entry 0 by 2 more than entry 1, and point 0
    # strays by 3 against point 1 in entry 0.
    mean = np.array([[-40.0, -50.0], [-60.0, -70.0]])
    shift = np.array([1.0 + 1.0, 1.0 - 1.0])
    stray = np.array([[3.0, 0.0], [-3.0, 0.0]])
    field = TwinField.of(line(2), np.stack([mean + shift + stray, mean - shift - stray]), ONE_GROUP)
    assert np.allclose(field.mean, mean)
    assert np.allclose(field.offset_std, [1.0, 1.0])
    assert np.allclose(field.residual_std, [3.0, 0.0])


def test_stds_recover_known_ones_by_simulation():
    generator = np.random.default_rng(3)
    realisations, points, entries = 2000, 30, 6
    own, shared, residual = 3.0, 5.0, 2.0
    values = (
        -60.0
        + shared * generator.normal(size=(realisations, 1, 1))
        + own * generator.normal(size=(realisations, 1, entries))
        + residual * generator.normal(size=(realisations, points, entries))
    )
    field = TwinField.of(line(points), values, (slice(0, entries),))
    # The mean over the points still holds their noise; the mean over the group takes a sixth away.
    expected = np.sqrt((own**2 + residual**2 / points) * (1 - 1 / entries))
    assert np.allclose(field.offset_std, expected, rtol=0.06)
    assert np.allclose(field.residual_std, residual * np.sqrt(1 - 1 / points), rtol=0.02)


def test_groups_do_not_share_a_shift():
    generator = np.random.default_rng(4)
    base = np.zeros((50, 4, 4))
    base[:, :, 2:] += 7.0 * generator.normal(size=(50, 1, 1))
    split = TwinField.of(line(4), base, (slice(0, 2), slice(2, 4)))
    assert np.allclose(split.offset_std, 0.0)
    together = TwinField.of(line(4), base, (slice(0, 4),))
    assert together.offset_std.min() > 2.0


def test_unheard_entries_do_not_count():
    values = np.zeros((2, 2, 2))
    values[0] = [[-40.0, -50.0], [np.nan, -70.0]]
    values[1] = [[-42.0, -50.0], [np.nan, np.nan]]
    field = TwinField.of(line(2), values, ONE_GROUP)
    # Heard at no realisation of a point: the entry's mean elsewhere stands in.
    assert np.allclose(field.mean, [[-41.0, -50.0], [-41.0, -70.0]])
    assert np.isfinite(field.offset_std).all()
    assert np.allclose(field.residual_std, 0.0)


def test_access_point_out_of_reach_in_one_realisation():
    generator = np.random.default_rng(5)
    values = generator.normal(size=(4, 9, 2))
    values[2, :, 0] = np.nan
    field = TwinField.of(line(9), values, ONE_GROUP)
    assert np.isfinite([*field.offset_std, *field.residual_std]).all()
    assert np.allclose(field.mean[:, 0], values[[0, 1, 3], :, 0].mean(axis=0))


def test_too_little_to_make_a_field_of():
    with pytest.raises(ValueError, match="at least 2 realisations, found 1"):
        TwinField.of(line(2), np.zeros((1, 2, 2)), ONE_GROUP)
    values = np.zeros((2, 2, 2))
    values[:, :, 1] = np.nan
    with pytest.raises(ValueError, match=r"entries \[1\] are heard nowhere"):
        TwinField.of(line(2), values, ONE_GROUP)


def test_expected_between_points():
    mean = np.array([[0.0, 10.0], [2.0, 10.0], [50.0, 10.0]])
    position = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1e9]])
    field = TwinField(position, mean, np.ones(2), np.ones(2))
    halfway = field.expected(np.array([[0.5, 0.0]]))
    assert np.allclose(halfway, [[1.0, 10.0]], atol=1e-6)
    # On a point its own mean wins: the neighbours are a thousand times farther.
    assert np.allclose(field.expected(position), mean, atol=0.01)


def test_expected_weighs_by_inverse_distance():
    position = np.array([[0.0, 0.0], [4.0, 0.0]])
    field = TwinField(position, np.array([[0.0], [8.0]]), np.ones(1), np.ones(1))
    near, far = 1 / 1.001, 1 / 3.001
    assert np.allclose(field.expected(np.array([[1.0, 0.0]])), 8.0 * far / (near + far))
