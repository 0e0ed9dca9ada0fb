import numpy as np
import pytest

from twin.trace import channel
from twin.trace.paths import PathTable, canonical, join, select

NAN = np.nan


def table(gain, delay, interactions=None):
    gain = np.asarray(gain, dtype=np.complex64)
    delay = np.asarray(delay, dtype=np.float64)
    angle = np.where(np.isnan(delay), np.nan, 0.5).astype(np.float32)
    kinds = np.zeros(gain.shape, np.int32) if interactions is None else interactions
    return PathTable(
        gain=gain,
        delay_s=delay,
        aoa_azimuth=angle,
        aoa_zenith=angle,
        aod_azimuth=angle,
        aod_zenith=angle,
        interactions=np.asarray(kinds, dtype=np.int32),
        num_paths=(gain != 0).sum(axis=-1).astype(np.int16),
        power_left_out=np.zeros(gain.shape[:-1], np.float32),
    )


def test_strongest_first_then_earliest():
    unsorted = table([[[1, 0, 2j, -2]]], [[[3e-9, NAN, 9e-9, 8e-9]]], [[[1, 0, 1, 4]]])
    ordered = canonical(unsorted, 4)
    assert ordered.gain[0, 0].tolist() == [-2, 2j, 1, 0]
    assert ordered.delay_s[0, 0, :3].tolist() == [8e-9, 9e-9, 3e-9]
    assert np.isnan(ordered.delay_s[0, 0, 3])
    assert ordered.interactions[0, 0].tolist() == [4, 1, 1, 0]
    assert ordered.num_paths.tolist() == [[3]]


def test_order_of_the_solver_does_not_matter():
    rng = np.random.default_rng(5)
    gain = rng.choice([0.5, 1.0, 2.0], (3, 2, 8)) * np.exp(1j * rng.uniform(0, 6, (3, 2, 8)))
    delay = rng.uniform(1e-9, 9e-9, (3, 2, 8))
    shuffle = rng.permutation(8)
    one = canonical(table(gain, delay), 8)
    other = canonical(table(gain[..., shuffle], delay[..., shuffle]), 8)
    assert (one.delay_s == other.delay_s).all()


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_cut_or_padded_with_the_rest_of_the_power_kept(limit):
    cut = canonical(table([[[3, 2, 1]]], [[[1e-9, 2e-9, 3e-9]]]), limit)
    assert cut.gain.shape == (1, 1, limit)
    assert cut.num_paths[0, 0] == min(limit, 3)
    assert cut.power_left_out[0, 0] == {1: 5.0, 2: 1.0, 5: 0.0}[limit]
    assert np.isnan(cut.aoa_zenith[0, 0, 3:]).all()


def test_no_paths_at_all():
    empty = canonical(table(np.zeros((2, 3, 0)), np.zeros((2, 3, 0))), 4)
    assert empty.gain.shape == (2, 3, 4)
    assert not empty.num_paths.any()
    assert np.isnan(channel.toa_s(empty)).all()
    assert not channel.los(empty).any()
    response = channel.csi(empty, 80e6, 8)
    assert np.isnan(channel.rss_dbm(response, np.zeros(3))).all()


def test_joined_and_selected():
    parts = [canonical(table([[[1 + k], [5 + k]]], [[[1e-9], [2e-9]]]), 2) for k in range(2)]
    points = join(parts, axis=0)
    assert points.gain[:, 0, 0].tolist() == [1, 2]
    assert select(points, slice(1, 2), [1, 0]).gain[0, :, 0].tolist() == [6, 2]
    assert join(parts, axis=1).gain.shape == (1, 4, 2)


def test_csi_is_the_sum_over_paths_at_every_subcarrier():
    rng = np.random.default_rng(1)
    gain = rng.normal(size=(70, 2, 5)) + 1j * rng.normal(size=(70, 2, 5))
    delay = rng.uniform(0, 300e-9, (70, 2, 5))
    gain[0, 0, 3:], delay[0, 0, 3:] = 0, np.nan
    offsets = channel.subcarrier_offsets_hz(80e6, 10)
    turns = offsets * np.nan_to_num(delay)[..., None]
    expected = (gain[..., None] * np.exp(-2j * np.pi * turns)).sum(axis=2)
    assert channel.csi(table(gain, delay), 80e6, 10) == pytest.approx(expected, abs=1e-5)
    assert offsets.tolist() == [8e6 * k for k in range(-5, 5)]


def test_rss_adds_fields_and_the_power_of_the_access_point():
    # Two equal paths half a turn apart at the carrier cancel in a narrow band.
    pair = table([[[0.01, -0.01], [0.01, 0.01]]], [[[1e-8, 1e-8], [1e-8, 1e-8]]])
    rss = channel.rss_dbm(channel.csi(pair, 1e3, 2), np.array([20.0, 10.0]))
    assert np.isnan(rss[0, 0])
    assert rss[0, 1] == pytest.approx(10.0 - 40.0 + 20 * np.log10(2), abs=1e-4)


def test_first_arrival_and_line_of_sight():
    links = table(
        [[[2, 1, 0], [1, 0, 0]]],
        [[[9e-9, 4e-9, NAN], [7e-9, NAN, NAN]]],
        [[[1, 4, 0], [0, 0, 0]]],
    )
    assert channel.toa_s(links).tolist() == [[4e-9, 7e-9]]
    assert channel.los(links).tolist() == [[False, True]]
