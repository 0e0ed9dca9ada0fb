from __future__ import annotations

import numpy as np
import pytest

from twin.errors import InputError
from twin.learn.csi_images import (
    amplitudes,
    full_scale,
    histograms,
    images,
    intersection,
    levelled,
    nearest_points,
    used_subcarriers,
)


def reported(points=2, snapshots=7, access_points=2, subcarriers=64, seed=0):
    generator = np.random.default_rng(seed)
    shape = (points, snapshots, access_points, 2, 2, subcarriers)
    return generator.normal(size=shape) + 1j * generator.normal(size=shape)


def test_used_subcarriers_are_those_of_the_legacy_format():
    offset = used_subcarriers(64) - 32
    assert offset.tolist() == [*range(-26, 0), *range(1, 27)]
    assert used_subcarriers(52).tolist() == list(range(52))
    with pytest.raises(InputError, match="subcarriers: expected 52 or 64, found 56"):
        used_subcarriers(56)


def test_amplitudes_are_cut_into_bursts_of_the_first_antennas():
    csi = reported()
    csi[1, 4, 1] = np.nan
    found = amplitudes(csi, packets=3)
    assert found.shape == (2, 2, 52, 3, 2)
    assert found.dtype == np.float32
    used = used_subcarriers(64)
    assert np.allclose(found[0, 1, :, 2, 1], np.abs(csi[0, 5, 1, 0, 0, used]))
    assert (found[1, 1, :, 1, 1] == 0.0).all()
    assert (found[1, 1, :, 1, 0] > 0.0).all()


def test_amplitudes_refuse_what_is_no_burst():
    with pytest.raises(InputError, match="at least one burst of 8 packets, found 7"):
        amplitudes(reported(), packets=8)
    with pytest.raises(InputError, match="packets above 0"):
        amplitudes(reported(), packets=0)
    with pytest.raises(InputError, match="reported_csi: expected"):
        amplitudes(reported()[0])


def test_full_scale_leaves_out_what_was_not_heard_and_outliers():
    amplitude = np.ones((1000, 2), np.float32)
    amplitude[:, 1] = 3.0
    amplitude[:500, 1] = 0.0
    amplitude[0, 0] = 1e6
    assert full_scale(amplitude).tolist() == [1.0, 3.0]
    with pytest.raises(InputError, match="access point 1: expected heard at least once"):
        full_scale(amplitude * [1.0, 0.0])


def test_images_fill_the_range_and_clip():
    amplitude = np.array([[0.0, 1.0], [2.0, 5.0], [4.0, 10.0], [9.0, 10.0]], np.float32)
    found = images(amplitude, np.array([4.0, 10.0], np.float32))
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 26], [128, 128], [255, 255], [255, 255]]


def test_levelled_amplitudes_have_the_power_that_was_received():
    amplitude = amplitudes(reported(), packets=3)
    rss = np.random.default_rng(1).uniform(-80.0, -30.0, size=(2, 7, 2))
    rss[0, 2, 0] = np.nan
    found = levelled(amplitude, rss)
    power = (found.astype(np.float64) ** 2).mean(axis=2)
    expected = 10.0 ** (rss[:, :6].reshape(2, 2, 3, 2) / 10.0)
    expected[0, 0, 2, 0] = 0.0
    assert np.allclose(power, expected, rtol=1e-5)
    shape = found[1, 1, :, 0, 1] / amplitude[1, 1, :, 0, 1]
    assert np.allclose(shape, shape[0], rtol=1e-5)
    assert (levelled(np.zeros_like(amplitude), rss) == 0.0).all()
    with pytest.raises(InputError, match=r"rss: expected \(2, 6 or more, 2\)"):
        levelled(amplitude, rss[:, :5])


@pytest.mark.parametrize("bins", [1, 16, 256])
def test_histograms_count_every_pixel_once(bins):
    pictures = np.random.default_rng(0).integers(256, size=(3, 2, 4, 5, 3)).astype(np.uint8)
    found = histograms(pictures, bins)
    edges = np.arange(bins + 1) * 256 / bins
    expected = [np.histogram(p, edges)[0] for p in pictures.reshape(6, -1)]
    assert np.array_equal(found.reshape(6, bins), expected)
    apart = histograms(pictures, bins, per_access_point=True).reshape(3, 2, 3, bins)
    assert np.array_equal(apart.sum(axis=2), found)
    one = np.histogram(pictures[2, 1, ..., 1], edges)[0]
    assert np.array_equal(apart[2, 1, 1], one)


@pytest.mark.parametrize("bins", [0, 257])
def test_histograms_refuse_other_numbers_of_bins(bins):
    with pytest.raises(InputError, match="bins: expected 1 to 256"):
        histograms(np.zeros((1, 2, 2, 1), np.uint8), bins)


def test_intersection_is_equation_2():
    generator = np.random.default_rng(0)
    one, other = generator.integers(50, size=(3, 8)), generator.integers(50, size=(4, 8))
    expected = [[sum(min(a, b) for a, b in zip(x, y, strict=True)) for y in other] for x in one]
    assert np.allclose(intersection(one, other), expected)
    assert np.allclose(np.diag(intersection(one, one)), one.sum(axis=1))


def test_nearest_points_have_the_largest_mean_intersection():
    dark, grey, bright = [9, 0, 0], [0, 9, 0], [0, 0, 9]
    reference = np.array([[dark, dark], [dark, grey], [bright, bright], [grey, dark]])
    found = nearest_points(np.array([dark, bright]), reference, 3)
    # Of points that are equally near, the first comes first.
    assert found.tolist() == [[0, 1, 3], [2, 0, 1]]
    with pytest.raises(InputError, match="1 to 4 reference points, found 5"):
        nearest_points(np.array([dark]), reference, 5)
