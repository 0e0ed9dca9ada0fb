from __future__ import annotations

import numpy as np
import pytest

from twin.align import discrepancy
from twin.align.discrepancy import median_width, mmd, nearest
from twin.errors import InputError


def normal(count, mean=0.0, std=1.0, entries=3, seed=0):
    return np.random.default_rng(seed).normal(mean, std, size=(count, entries))


def kernel(a, b, widths):
    return np.mean([np.exp(-np.sum((a - b) ** 2) / (2 * w**2)) for w in widths])


def by_loops(x, y, widths, unbiased):
    """Equations 3 and 5 of Gretton et al. as they stand."""

    def within(sample):
        values = [
            kernel(a, b, widths)
            for i, a in enumerate(sample)
            for j, b in enumerate(sample)
            if i != j or not unbiased
        ]
        return np.mean(values)

    between = np.mean([kernel(a, b, widths) for a in x for b in y])
    return within(x) + within(y) - 2 * between


def population(mean, std, other_mean, other_std, width, entries):
    """Squared MMD of two isotropic normal laws, in closed form."""

    def expected(difference, variance):
        whole = width**2 + variance
        return ((width**2 / whole) ** 0.5 * np.exp(-(difference**2) / (2 * whole))) ** entries

    return (
        expected(0.0, 2 * std**2)
        + expected(0.0, 2 * other_std**2)
        - 2 * expected(mean - other_mean, std**2 + other_std**2)
    )


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
@pytest.mark.parametrize("widths", [(0.7,), (0.5, 1.0, 4.0)])
def test_equals_the_sums_written_out(estimator, widths):
    x, y = normal(7), normal(5, 0.8, 1.5, seed=1)
    found = mmd(x, y, widths if len(widths) > 1 else widths[0], estimator)
    assert np.isclose(found, by_loops(x, y, widths, estimator == "unbiased"), rtol=1e-12)


def test_blocks_change_nothing(monkeypatch):
    x, y = normal(23), normal(17, 1.0, seed=1)
    whole = mmd(x, y, 1.0)
    monkeypatch.setattr(discrepancy, "_BLOCK", 40)
    assert np.isclose(mmd(x, y, 1.0), whole, rtol=1e-12)


@pytest.mark.parametrize(("mean", "std"), [(0.5, 1.0), (0.0, 2.0), (1.0, 0.5)])
def test_two_normal_laws_are_as_far_apart_as_the_closed_form_says(mean, std):
    found = mmd(normal(3000), normal(3000, mean, std, seed=1), 1.5)
    assert np.isclose(found, population(0.0, 1.0, mean, std, 1.5, 3), rtol=0.1)


def test_equal_laws_are_at_zero_on_average_for_the_unbiased_estimator_only():
    pairs = [(normal(20, seed=2 * i), normal(12, seed=2 * i + 1)) for i in range(400)]
    unbiased = np.array([mmd(x, y, 1.0) for x, y in pairs])
    error = unbiased.std() / np.sqrt(len(pairs))
    assert abs(unbiased.mean()) < 3 * error
    assert unbiased.min() < 0
    biased = np.array([mmd(x, y, 1.0, "biased") for x, y in pairs])
    # Each pair of a point and itself adds 1 - E k to the mean.
    expected = (1 - (1 / 3) ** 1.5) * (1 / 20 + 1 / 12)
    assert biased.min() > 0
    assert np.isclose(biased.mean(), expected, rtol=0.05)


@pytest.mark.parametrize("count", [30, discrepancy._MEDIAN_POINTS])
def test_neither_the_order_of_points_nor_of_samples_matters(count):
    x, y = normal(count), normal(25, 1.0, seed=1)
    mixed = np.random.default_rng(5).permutation(x)
    assert median_width(x, y) == median_width(y, mixed)
    assert np.isclose(mmd(x, y), mmd(y, mixed), rtol=1e-9)


def test_a_move_of_both_samples_changes_nothing_and_a_scale_is_taken_out():
    x, y = normal(30), normal(25, 1.0, seed=1)
    assert np.isclose(mmd(7.0 * x - 60.0, 7.0 * y - 60.0), mmd(x, y), rtol=1e-9)


def test_median_width_is_the_median_over_pairs_of_different_points():
    points = np.array([[0.0], [0.0], [1.0], [3.0]])
    # Distances above zero: 1, 1, 2, 3, 3.
    assert median_width(points) == 2.0
    assert median_width(points[:2], points[2:]) == 2.0


def test_median_width_of_many_points_is_near_that_of_all(monkeypatch):
    points = normal(1500)
    exact = median_width(points)
    monkeypatch.setattr(discrepancy, "_MEDIAN_POINTS", 300)
    assert np.isclose(median_width(points), exact, rtol=0.05)


def test_nearest_takes_the_candidate_of_the_nearest_law_with_one_kernel():
    x = normal(200)
    candidates = {
        "far": normal(200, 2.0, seed=1),
        "same": normal(60, seed=2),
        "wide": normal(300, 0.0, 2.0, seed=3),
    }
    name, found = nearest(x, candidates)
    assert name == "same"
    assert list(found) == list(candidates)
    width = median_width(x, *candidates.values())
    for key, sample in candidates.items():
        assert np.isclose(found[key], mmd(x, sample, width), rtol=1e-12, atol=1e-15)
    # A width of each candidate's own would give other numbers.
    assert not np.isclose(found["far"], mmd(x, candidates["far"]), rtol=1e-3)


def test_nearest_is_not_misled_by_a_small_sample():
    chosen, chosen_biased = 0, 0
    for seed in range(0, 90, 3):
        x, few = normal(100, seed=seed), normal(8, seed=seed + 1)
        shifted = normal(100, 0.5, seed=seed + 2)
        chosen += nearest(x, {"shifted": shifted, "few": few}, 1.0)[0] == "few"
        chosen_biased += mmd(x, few, 1.0, "biased") < mmd(x, shifted, 1.0, "biased")
    assert chosen > 24
    assert chosen_biased < 6


def test_bad_samples_are_refused_with_every_fault():
    hole = normal(5)
    hole[2, 1] = np.nan
    with pytest.raises(InputError) as error:
        nearest(hole, {"flat": np.ones(4), "wide": normal(5, entries=4)})
    keys = [fault.key for fault in error.value.faults]
    assert keys == ["x", "candidate flat", "samples"]


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (lambda: mmd(normal(1), normal(5)), "x"),
        (lambda: mmd(normal(5), np.empty((0, 3)), 1.0, "biased"), "y"),
        (lambda: mmd(normal(5), np.empty((5, 0))), "y"),
        (lambda: mmd(normal(5), normal(5), 0.0), "width"),
        (lambda: mmd(normal(5), normal(5), [1.0, np.inf]), "width"),
        (lambda: mmd(normal(5), normal(5), []), "width"),
        (lambda: mmd(np.ones((3, 2)), np.ones((4, 2))), "samples"),
        (lambda: nearest(normal(5), {}), "candidates"),
        (median_width, "samples"),
    ],
)
def test_refused(call, key):
    with pytest.raises(InputError) as error:
        call()
    assert key in {fault.key for fault in error.value.faults}


def test_one_point_will_do_for_the_biased_estimator():
    assert np.isclose(mmd([[0.0]], [[1.0]], 1.0, "biased"), 2 - 2 * np.exp(-0.5))
