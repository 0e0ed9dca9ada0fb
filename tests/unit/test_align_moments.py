from __future__ import annotations

import numpy as np
import pytest

from twin.align.field import TwinField
from twin.align.moments import Alignment, fit, identity, on_labels, on_unlabelled

RSS_AND_RTT = (slice(0, 2), slice(2, 4))


def field(offset_std=3.0, residual_std=4.0, mean=None, entries=4):
    mean = np.zeros((5, entries)) if mean is None else mean
    entries = mean.shape[1]
    return TwinField(
        np.zeros((len(mean), 2)),
        mean,
        np.full(entries, offset_std),
        np.full(entries, residual_std),
    )


def shifted(shifts, count):
    """Labelled fingerprints that lie below the twin's by `shifts`."""
    expected = np.random.default_rng(1).normal(-60.0, 8.0, size=(count, len(shifts)))
    return expected - np.asarray(shifts), expected


def test_no_alignment_changes_nothing():
    values = np.array([[-50.0, np.nan, 3.0, 4.0]])
    for alignment in (
        identity(4),
        fit("none", field(), RSS_AND_RTT, shifted([9.0] * 4, 3), np.ones((5, 4))),
    ):
        assert np.array_equal(alignment.apply(values), values, equal_nan=True)


def test_apply_is_affine_and_keeps_what_was_not_heard():
    alignment = Alignment(np.array([2.0, 1.0]), np.array([-1.0, 10.0]))
    aligned = alignment.apply(np.array([[[3.0, np.nan], [0.0, 1.0]]]))
    assert np.array_equal(aligned, [[[5.0, np.nan], [-1.0, 11.0]]], equal_nan=True)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shrinkage_is_the_closed_form(count):
    shifts = np.array([2.0, 8.0, -1.0, 5.0])
    alignment = on_labels(*shifted(shifts, count), field(3.0, 4.0), RSS_AND_RTT)
    weight = 9.0 / (9.0 + 16.0 / count)
    shared = np.array([5.0, 5.0, 2.0, 2.0])
    assert np.allclose(alignment.offset, shared + weight * (shifts - shared))
    assert np.array_equal(alignment.scale, np.ones(4))


def test_shrinkage_counts_the_labels_of_each_entry():
    heard, expected = shifted([2.0, 8.0], 3)
    heard[:2, 1] = np.nan
    alignment = on_labels(heard, expected, field(3.0, 4.0, entries=2), (slice(0, 2),))
    shared = (3 * 2.0 + 8.0) / 4
    weights = np.array([9.0 / (9.0 + 16.0 / 3), 9.0 / (9.0 + 16.0)])
    assert np.allclose(alignment.offset, shared + weights * (np.array([2.0, 8.0]) - shared))


def test_many_labels_give_each_entry_its_own_shift():
    shifts = np.array([2.0, 8.0, -1.0, 5.0])
    alignment = on_labels(*shifted(shifts, 100_000), field(), RSS_AND_RTT)
    assert np.allclose(alignment.offset, shifts, atol=1e-3)


@pytest.mark.parametrize(("offset_std", "residual_std"), [(1e-4, 4.0), (0.0, 4.0), (0.0, 0.0)])
def test_labels_that_say_little_give_the_shared_shift(offset_std, residual_std):
    heard = shifted([2.0, 8.0, -1.0, 5.0], 1)
    alignment = on_labels(*heard, field(offset_std, residual_std), RSS_AND_RTT)
    assert np.allclose(alignment.offset, [5.0, 5.0, 2.0, 2.0], atol=1e-6)


def test_entry_without_noise_is_taken_at_its_word():
    alignment = on_labels(*shifted([2.0, 8.0, -1.0, 5.0], 1), field(3.0, 0.0), RSS_AND_RTT)
    assert np.allclose(alignment.offset, [2.0, 8.0, -1.0, 5.0])


def test_entries_that_no_label_heard():
    heard, expected = shifted([2.0, 8.0, -1.0, 5.0], 2)
    heard[:, 1] = np.nan
    heard[:, 2:] = np.nan
    alignment = on_labels(heard, expected, field(), RSS_AND_RTT)
    # One of a heard group takes the group's shift; a group that was not heard stays where it is.
    assert np.allclose(alignment.offset, [2.0, 2.0, 0.0, 0.0])


def test_unlabelled_moments_of_a_made_case():
    # Twin: mean 10, area spread 3, residual 4, so a fingerprint's spread is 5.
    twin = field(residual_std=4.0, mean=np.array([[7.0], [13.0]]))
    heard = np.array([[-2.0], [np.nan], [2.0]])
    alignment = on_unlabelled(heard, twin)
    assert np.allclose(alignment.scale, 2.5)
    assert np.allclose(alignment.offset, 10.0)
    aligned = alignment.apply(heard)
    assert np.isclose(np.nanmean(aligned), 10.0)
    assert np.isclose(np.nanstd(aligned), 5.0)


def test_unlabelled_fingerprints_that_do_not_vary_keep_their_scale():
    twin = field(mean=np.array([[7.0, 7.0, 7.0], [13.0, 13.0, 13.0]]))
    # 0.1 three times has a mean that is not 0.1: a spread of rounding errors.
    heard = np.array([[0.1, np.nan, -5.0], [0.1, np.nan, np.nan], [0.1, np.nan, np.nan]])
    alignment = on_unlabelled(heard, twin)
    assert np.array_equal(alignment.scale, np.ones(3))
    assert np.allclose(alignment.offset, [9.9, 0.0, 15.0])


def test_no_unlabelled_fingerprints_change_nothing():
    alignment = on_unlabelled(np.empty((0, 4)), field())
    assert np.array_equal(alignment.scale, np.ones(4))
    assert np.array_equal(alignment.offset, np.zeros(4))


def test_each_kind_uses_what_it_may_see():
    twin = field(mean=np.array([[7.0] * 4, [13.0] * 4]))
    labelled, unlabelled = shifted([2.0, 8.0, -1.0, 5.0], 2), np.arange(8.0).reshape(2, 4)
    nothing = np.full((2, 4), np.nan)
    by_labels = fit("labels", twin, RSS_AND_RTT, labelled, nothing)
    assert np.array_equal(by_labels.offset, on_labels(*labelled, twin, RSS_AND_RTT).offset)
    unseen = fit("unlabelled", twin, RSS_AND_RTT, (nothing, nothing), unlabelled)
    assert np.array_equal(unseen.scale, on_unlabelled(unlabelled, twin).scale)
