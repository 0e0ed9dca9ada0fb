from dataclasses import fields, replace

import numpy as np
import pytest

from twin.trace import channel
from twin.trace.paths import PathList, PathTable, join, joined, no_paths, select, tabulate
from twin.waves import subcarrier_offsets_hz

ANGLES = ("aoa_azimuth", "aoa_zenith", "aod_azimuth", "aod_zenith")


def listed(gain, delay_s, point=0, access_point=0, **changes):
    """Paths of one link unless told otherwise; every angle and coefficient tells its path apart."""
    gain = np.asarray(gain, dtype=np.complex64)
    count = len(gain)
    number = np.arange(1, count + 1)
    paths = PathList(
        point=np.broadcast_to(np.int64(point), count).copy(),
        access_point=np.broadcast_to(np.int64(access_point), count).copy(),
        gain=gain,
        transfer=(number[:, None, None] * np.array([[1, 2], [3, 4j]])).astype(np.complex64),
        delay_s=np.asarray(delay_s, dtype=np.float64),
        aoa_azimuth=(0.1 * number).astype(np.float32),
        aoa_zenith=(0.2 * number).astype(np.float32),
        aod_azimuth=(0.3 * number).astype(np.float32),
        aod_zenith=(0.4 * number).astype(np.float32),
        interactions=number.astype(np.int32),
        seen_once=np.zeros(count, dtype=np.bool_),
    )
    return replace(paths, **changes)


def scattered(count=400, points=5, access_points=3, seed=1):
    """Paths of random links, many of them equally strong and equally long."""
    rng = np.random.default_rng(seed)
    return listed(
        rng.choice([0.25, 0.5, 1.0], count) * rng.choice([1, -1, 1j, -1j], count),
        rng.choice([1e-8, 2e-8, 3e-8], count),
        point=rng.integers(points, size=count),
        access_point=rng.integers(access_points, size=count),
        seen_once=rng.random(count) < 0.3,
    )


def table(gain, delay_s, interactions=None):
    """A table of paths as they are given, in any order."""
    gain = np.asarray(gain, dtype=np.complex64)
    delay_s = np.asarray(delay_s, dtype=np.float64)
    angle = np.where(np.isnan(delay_s), np.nan, 0.5).astype(np.float32)
    kinds = np.zeros(gain.shape) if interactions is None else interactions
    return PathTable(
        gain=gain,
        transfer=np.zeros((*gain.shape, 2, 2), dtype=np.complex64),
        delay_s=delay_s,
        **dict.fromkeys(ANGLES, angle),
        interactions=np.asarray(kinds, dtype=np.int32),
        num_paths=np.isfinite(delay_s).sum(axis=-1).astype(np.int16),
        power_left_out=np.zeros(gain.shape[:-1], dtype=np.float32),
        power_undiscovered=np.zeros(gain.shape[:-1], dtype=np.float32),
    )


def content(paths):
    return {field.name: getattr(paths, field.name).tobytes() for field in fields(paths)}


def test_strongest_first_then_earliest():
    paths = listed([1, 2j, -2, 1.5], [3e-9, 9e-9, 8e-9, 1e-9])
    ordered = tabulate(paths, 1, 1, 5)
    assert ordered.gain[0, 0].tolist() == [-2, 2j, 1.5, 1, 0]
    assert ordered.delay_s[0, 0, :4].tolist() == [8e-9, 9e-9, 1e-9, 3e-9]
    assert ordered.interactions[0, 0].tolist() == [3, 2, 4, 1, 0]
    for index, name in enumerate(ANGLES, start=1):
        expected = 0.1 * index * np.array([3, 2, 4, 1])
        assert getattr(ordered, name)[0, 0, :4] == pytest.approx(expected)
    assert ordered.transfer[0, 0, :, 1, 1].tolist() == [12j, 8j, 16j, 4j, 0]
    assert ordered.transfer[0, 0, 1].tolist() == [[2, 4], [6, 8j]]
    assert ordered.num_paths.tolist() == [[4]]


def test_entries_without_a_path_are_nan_or_zero():
    padded = tabulate(listed([1], [1e-9]), 1, 1, 3)
    assert np.isfinite(padded.delay_s[0, 0]).tolist() == [True, False, False]
    for name in ANGLES:
        assert np.isfinite(getattr(padded, name)[0, 0]).tolist() == [True, False, False]
    assert not padded.gain[0, 0, 1:].any()
    assert not padded.transfer[0, 0, 1:].any()
    assert not padded.interactions[0, 0, 1:].any()


@pytest.mark.parametrize("name", ["delay_s", *ANGLES, "interactions"])
def test_equally_strong_paths_are_told_apart_by_one_thing_after_another(name):
    paths = listed([0.5] * 3, [1e-9] * 3)
    same = {key: np.full_like(getattr(paths, key), 1) for key in (*ANGLES, "interactions")}
    paths = replace(paths, **same)
    paths = replace(paths, **{name: np.array([3, 1, 2]).astype(getattr(paths, name).dtype)})
    assert getattr(tabulate(paths, 1, 1, 3), name)[0, 0].tolist() == [1, 2, 3]


def test_a_tie_in_one_link_leaves_the_others_in_order():
    strengths = [[4, 3, 2], [1, 1, 5], [2, 7, 3]]
    paths = joined(
        [listed(gain, [3e-9, 2e-9, 1e-9], point=point) for point, gain in enumerate(strengths)]
    )
    ordered = tabulate(paths, 3, 1, 3)
    assert ordered.gain[:, 0].real.tolist() == [[4, 3, 2], [5, 1, 1], [7, 3, 2]]
    assert ordered.delay_s[1, 0].tolist() == [1e-9, 2e-9, 3e-9]


def test_the_order_of_the_search_does_not_matter():
    paths = scattered()
    order = np.random.default_rng(5).permutation(len(paths))
    shuffled = PathList(**{f.name: getattr(paths, f.name)[order] for f in fields(PathList)})
    assert content(tabulate(paths, 5, 3, 20)) == content(tabulate(shuffled, 5, 3, 20))


def test_every_path_goes_to_its_link():
    paths = scattered()
    tabled = tabulate(paths, 5, 3, 60)
    for point in range(5):
        for access_point in range(3):
            mine = paths.where((paths.point == point) & (paths.access_point == access_point))
            count = tabled.num_paths[point, access_point]
            assert count == len(mine) > 0
            found = tabled.interactions[point, access_point, :count]
            assert sorted(found) == sorted(mine.interactions)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_cut_or_padded_with_the_rest_of_the_power_kept(limit):
    cut = tabulate(listed([3, 2j, 1], [1e-9, 2e-9, 3e-9]), 1, 1, limit)
    assert cut.gain.shape == (1, 1, limit)
    assert cut.num_paths[0, 0] == min(limit, 3)
    assert cut.power_left_out[0, 0] == {1: 5.0, 2: 1.0, 5: 0.0}[limit]


def test_a_cut_table_is_the_head_of_the_whole_one():
    paths = scattered()
    few, many = tabulate(paths, 5, 3, 4), tabulate(paths, 5, 3, 60)
    assert few.gain.tobytes() == many.gain[..., :4].tobytes()
    assert few.delay_s.tobytes() == many.delay_s[..., :4].tobytes()
    rest = (np.abs(many.gain[..., 4:].astype(np.complex128)) ** 2).sum(axis=-1)
    assert few.power_left_out == pytest.approx(rest)
    assert few.power_undiscovered.tobytes() == many.power_undiscovered.tobytes()


def test_what_was_seen_once_estimates_what_was_not_seen_whether_it_is_cut_or_not():
    once = np.array([True, False, True, True])
    paths = listed([4, 3, 2, 1], [1e-9] * 4, point=[0, 0, 0, 1], seen_once=once)
    undiscovered = tabulate(paths, 2, 1, 2).power_undiscovered
    assert undiscovered[:, 0].tolist() == [16 + 4, 1]


def test_a_path_that_the_pattern_silences_is_still_a_path():
    tabled = tabulate(listed([0, 1], [1e-9, 2e-9]), 1, 1, 2)
    assert tabled.num_paths[0, 0] == 2
    assert tabled.delay_s[0, 0].tolist() == [2e-9, 1e-9]


def test_dtypes_are_those_that_are_stored():
    tabled = tabulate(scattered(), 5, 3, 2)
    assert {f.name: str(getattr(tabled, f.name).dtype) for f in fields(PathTable)} == {
        "gain": "complex64",
        "transfer": "complex64",
        "delay_s": "float64",
        **dict.fromkeys(ANGLES, "float32"),
        "interactions": "int32",
        "num_paths": "int16",
        "power_left_out": "float32",
        "power_undiscovered": "float32",
    }


def test_no_paths_at_all():
    empty = tabulate(no_paths(), 2, 3, 4)
    assert empty.gain.shape == (2, 3, 4)
    assert empty.transfer.shape == (2, 3, 4, 2, 2)
    assert not empty.num_paths.any()
    assert not empty.power_left_out.any()
    assert np.isnan(channel.toa_s(empty)).all()
    assert not channel.los(empty).any()
    response = channel.csi(empty, 80e6, 8)
    assert np.isnan(channel.rss_dbm(response, np.zeros(3))).all()


def test_lists_are_joined_as_they_come():
    parts = [listed([1, 2], [1e-9, 2e-9]), no_paths(), listed([3], [3e-9], point=4)]
    whole = joined(parts)
    assert whole.gain.tolist() == [1, 2, 3]
    assert whole.point.tolist() == [0, 0, 4]
    assert whole.transfer.shape == (3, 2, 2)
    dtypes = {f.name: getattr(whole, f.name).dtype for f in fields(PathList)}
    assert dtypes == {f.name: getattr(parts[0], f.name).dtype for f in fields(PathList)}
    assert len(joined([])) == 0


def test_tables_joined_and_selected():
    paths = scattered()
    whole = tabulate(paths, 5, 3, 4)

    def part(points, access_points):
        mine = paths.where(
            np.isin(paths.point, points) & np.isin(paths.access_point, access_points)
        )
        mine = replace(
            mine,
            point=np.searchsorted(points, mine.point),
            access_point=np.searchsorted(access_points, mine.access_point),
        )
        return tabulate(mine, len(points), len(access_points), 4)

    everywhere, every = [0, 1, 2, 3, 4], [0, 1, 2]
    by_points = join([part([0, 1], every), part([2, 3, 4], every)], axis=0)
    by_access_points = join([part(everywhere, [0]), part(everywhere, [1, 2])], axis=1)
    assert content(by_points) == content(whole) == content(by_access_points)
    assert content(select(whole, slice(2, 5), [1])) == content(part([2, 3, 4], [1]))
    assert content(select(whole)) == content(whole)
    swapped = select(whole, access_points=[2, 0])
    assert content(select(swapped, access_points=[1, 0])) == content(part(everywhere, [0, 2]))


def test_csi_is_the_sum_over_paths_at_every_subcarrier():
    rng = np.random.default_rng(1)
    gain = rng.normal(size=(70, 2, 5)) + 1j * rng.normal(size=(70, 2, 5))
    delay = rng.uniform(0, 300e-9, (70, 2, 5))
    gain[0, 0, 3:], delay[0, 0, 3:] = 0, np.nan
    offsets = subcarrier_offsets_hz(80e6, 10)
    turns = offsets * np.nan_to_num(delay)[..., None]
    expected = (gain[..., None] * np.exp(-2j * np.pi * turns)).sum(axis=2)
    assert channel.csi(table(gain, delay), 80e6, 10) == pytest.approx(expected, abs=1e-5)
    assert offsets.tolist() == [8e6 * k for k in range(-5, 5)]


def test_first_arrival_and_line_of_sight():
    links = table(
        [[[2, 1, 0], [1, 0, 0]]],
        [[[9e-9, 4e-9, np.nan], [7e-9, np.nan, np.nan]]],
        [[[1, 4, 0], [0, 0, 0]]],
    )
    assert channel.toa_s(links).tolist() == [[4e-9, 7e-9]]
    assert channel.los(links).tolist() == [[False, True]]
