import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.trace import (
    ChainRun,
    StockRun,
    Timing,
    largest_batch,
    merged,
    scaling_record,
    speed_record,
    table,
)
from benchmarks.trace_matching import (
    Paths,
    accuracy,
    distinct,
    estimate,
    join,
    loss,
    match,
    union,
    unit_vectors,
    unmatched,
)
from benchmarks.trace_scenes import (
    corridor_declaration,
    office_declaration,
    rotunda_declaration,
    sieve,
)
from twin.scene.check import check

PS = 1e-12


def paths(*links, arrival=None):
    """One transmitter; a link is a list of (gain, delay in s)."""
    most = max((len(link) for link in links), default=0)
    gain = np.zeros((len(links), 1, most), dtype=np.complex128)
    delay = np.full((len(links), 1, most), np.nan)
    for receiver, link in enumerate(links):
        for index, (amplitude, seconds) in enumerate(link):
            gain[receiver, 0, index], delay[receiver, 0, index] = amplitude, seconds
    if arrival is None:
        # Every path arrives from elsewhere.
        azimuth = 0.1 * np.arange(gain.size).reshape(gain.shape)
        arrival = unit_vectors(np.full(gain.shape, np.pi / 2), azimuth)
    return Paths(gain, delay, np.asarray(arrival, dtype=np.float64))


def decibel(power):
    return 10.0 * np.log10(power)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ((1.0, 50e-9), True),
        ((-1j, 50e-9), True),
        ((10 ** (0.4 / 20), 50e-9 + 9 * PS), True),
        ((10 ** (0.6 / 20), 50e-9), False),
        ((10 ** (-0.6 / 20), 50e-9), False),
        ((1.0, 50e-9 + 12 * PS), False),
        ((1.0, 50e-9 - 12 * PS), False),
        ((0.0, 50e-9), False),
    ],
)
def test_same_delay_and_gain_make_a_pair(other, same):
    one, two = match(paths([(1.0, 50e-9)]), paths([other]))
    assert one.tolist() == two.tolist() == [[[same]]]


def test_no_path_has_two_partners():
    reference, found = paths([(1.0, 0.0), (1.0, 3 * PS)]), paths([(1.0, 1 * PS)])
    one, two = match(reference, found)
    assert one.sum() == two.sum() == 1


def test_as_many_pairs_as_can_be():
    # The first of the one is close to both of the other, its second to the first alone.
    one, two = match(paths([(1.0, 0.0), (1.0, 15 * PS)]), paths([(1.0, 8 * PS), (1.0, -5 * PS)]))
    assert one.all()
    assert two.all()


def test_paths_of_other_links_are_no_partners():
    one, two = match(paths([(1.0, 5e-9)], []), paths([], [(1.0, 5e-9)]))
    assert not one.any()
    assert not two.any()


def test_listed_twice_counts_once_and_mirror_images_twice():
    east, west = [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]
    link = [(1.0, 9e-9), (1.0, 9e-9), (1.0, 9e-9), (0.5, 9e-9)]
    seen = distinct(paths(link, arrival=[[[east, west, east, east]]]))
    assert seen.gain[0, 0].tolist() == [1.0, 1.0, 0.0, 0.5]


def test_loss_is_by_number_and_not_by_gain():
    alone = paths([(1.0, 1e-9), (0.5, 2e-9)], [(1.0, 1e-9), (0.5, 2e-9)])
    other_gain = paths([(1.0, 1e-9), (0.9, 2e-9)], [(1.0, 1e-9), (0.5, 2e-9)])
    fewer = paths([(1.0, 1e-9)], [(1.0, 1e-9), (0.5, 2e-9), (0.4, 3e-9)])
    assert loss(alone, other_gain) == 0.0
    # What the second link gained does not make up for what the first has lost.
    assert loss(alone, fewer) == 0.25
    assert loss(paths([]), paths([])) == 0.0


def test_accuracy_of_a_missed_and_an_extra_path():
    # -60 dB is outside the window, -20 dB within.
    reference = paths([(1.0, 10e-9), (0.1, 20e-9), (0.001, 30e-9)])
    found = paths([(1.0, 10e-9), (0.2j, 40e-9), (0.001, 50e-9)])
    result = accuracy(reference, found)
    assert result["path_recall"] == 0.5
    assert (result["paths_reference"], result["paths_missed"], result["paths_extra"]) == (2, 1, 1)
    assert result["paths_other_gain"] == 0
    power = decibel((1.0 + 0.04 + 1e-6) / (1.0 + 0.01 + 1e-6))
    assert result["power_error_db_p99"] == pytest.approx(power, abs=1e-4)
    coherent = decibel(abs(1.001 + 0.2j) ** 2 / 1.101**2)
    assert result["coherent_error_db_p99"] == pytest.approx(abs(coherent), abs=1e-4)


def test_accuracy_of_a_path_with_another_gain():
    result = accuracy(paths([(1.0, 10e-9), (0.5, 20e-9)]), paths([(1.0, 10e-9), (0.4, 20e-9)]))
    assert (result["paths_missed"], result["paths_other_gain"], result["paths_extra"]) == (1, 1, 1)


def test_a_reference_that_lists_a_path_twice_asks_for_it_once():
    east = [[[[1.0, 0.0, 0.0]] * 2]]
    reference = paths([(1.0, 10e-9), (1.0, 10e-9)], arrival=east[0])
    result = accuracy(reference, paths([(1.0, 10e-9)]))
    assert result["path_recall"] == 1.0
    assert result["power_error_db_p99"] == 0.0
    assert (result["paths_twice_reference"], result["paths_twice_found"]) == (1, 0)
    assert accuracy(paths([(1.0, 10e-9)]), reference)["paths_twice_found"] == 1


def test_accuracy_of_links_that_one_side_has():
    result = accuracy(
        paths([(1.0, 1e-9)], [], [], [(1.0, 1e-9)]), paths([], [(1.0, 1e-9)], [], [(1.0, 1e-9)])
    )
    counts = (result["links"], result["links_only_reference"], result["links_only_found"])
    assert counts == (4, 1, 1)
    assert result["path_recall"] == 0.5
    assert result["paths_extra"] == 1
    assert result["power_error_db_p99"] == 0.0


def test_accuracy_of_nothing():
    result = accuracy(paths([], []), paths([], []))
    assert result["path_recall"] is None
    assert result["power_error_db_p99"] is None
    assert (result["paths_reference"], result["paths_extra"], result["links"]) == (0, 0, 2)


def test_estimate_of_what_was_missed():
    reference = paths([(1.0, 1e-9), (0.1, 2e-9)], [(1.0, 1e-9)], [])
    found = paths([(1.0, 1e-9)], [(1.0, 1e-9)], [(1.0, 1e-9)])
    low = estimate(reference, found, np.array([[0.005], [0.002], [0.0]]))
    assert low["undiscovered_covers_missed"] == 0.5
    assert low["missed_power_db_p99"] == pytest.approx(decibel(0.01 / 1.01), abs=1e-4)
    assert low["undiscovered_power_db_p99"] == pytest.approx(decibel(0.005 / 1.01), abs=1e-4)
    high = estimate(reference, found, np.array([[0.02], [0.0], [0.0]]))
    assert high["undiscovered_covers_missed"] == 1.0
    nothing = estimate(found, found, np.zeros((3, 1)))
    assert (nothing["missed_power_db_p99"], nothing["undiscovered_power_db_p99"]) == (None, None)


def test_parts_of_different_size_join():
    whole = join([paths([(1.0, 1e-9)]), paths([(2.0, 2e-9), (3.0, 3e-9)])])
    assert whole.gain[:, 0].tolist() == [[1.0, 0.0], [2.0, 3.0]]
    assert whole.arrival.shape == (2, 1, 2, 3)
    assert whole.first(1).gain[:, 0].tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("lost", "batch"),
    [
        ({1: 0.0}, 1),
        ({1: 0.0, 2: 0.0, 4: 0.0009, 8: 0.002, 16: 0.0}, 4),
        ({1: 0.0, 2: 0.001, 4: 0.0}, 1),
        ({4: 0.0, 2: 0.0, 1: 0.0}, 4),
    ],
)
def test_largest_batch_before_paths_are_lost(lost, batch):
    assert largest_batch(lost) == batch


STOCK = StockRun(
    timing=Timing(compile_s=2.5, runs_s=(9.0, 10.0, 30.0), peak_gib=0.7, start_gib=0.3),
    receivers=200,
    batch=4,
    paths=paths([(1.0, 1e-9)], [(1.0, 1e-9)]),
    lost={1: 0.0, 2: 0.0, 4: 0.0005, 8: 0.01},
    rates={1: 2.0, 2: 5.0, 4: 20.0, 8: 25.0},
    device="a machine",
)
CHAIN = ChainRun(
    timing=Timing(compile_s=1.5, runs_s=(2.0, 1.0, 4.0), peak_gib=0.9, start_gib=0.3),
    paths=paths([(1.0, 1e-9), (0.5, 2e-9)], [(1.0, 1e-9)]),
    undiscovered=np.zeros((2, 1)),
    chains=321,
    new_share=(1.0, 0.01, 0.00012345),
    paths_per_receiver=7.5,
    left_out=False,
    result_gib=0.1,
    device="a machine",
)
REFERENCE = paths([(1.0, 1e-9), (0.5, 2e-9)], [(1.0, 1e-9)])


def test_record_scales_the_stock_solver_to_the_receivers_of_the_chains():
    record = speed_record("office", 10_000, CHAIN, STOCK, REFERENCE, REFERENCE)
    assert record["seconds_stock_measured"] == 10.0
    assert record["receivers_stock_measured"] == 200
    assert record["seconds_stock"] == 10.0 * 10_000 / 200
    assert record["seconds_chain"] == 2.0
    assert record["speedup"] == 250.0
    small = speed_record("office", 1_000, CHAIN, STOCK, REFERENCE, REFERENCE)
    assert small["speedup"] == 25.0


def test_record_says_what_was_asked_for():
    record = speed_record("office", 10_000, CHAIN, STOCK, REFERENCE, REFERENCE)
    expected = {
        "scene": "office",
        "receivers": 10_000,
        "transmitters": 1,
        "depth": 3,
        "refraction": True,
        "path_recall": 1.0,
        "path_recall_stock": 0.66667,
        "power_error_db_p99": 0.0,
        "power_error_db_p99_stock": round(decibel(1.25), 4),
        "peak_rss_gib": 0.9,
        "peak_rss_gib_stock": 0.7,
        "start_rss_gib": 0.3,
        "compile_seconds_stock": 2.5,
        "compile_seconds_chain": 1.5,
        "batch_stock": 4,
        "batch_stock_lost": {"1": 0.0, "2": 0.0, "4": 0.0005, "8": 0.01},
        "rounds": 3,
        "new_share": 0.000123,
        "chains": 321,
        "receivers_compared": 2,
    }
    assert {key: record[key] for key in expected} == expected
    json.dumps(record, allow_nan=False)


def test_scaling_record_has_a_rate():
    record = scaling_record(20_000, CHAIN)
    assert record["receivers_per_second"] == 10_000
    assert record["peak_rss_gib"] == 0.9
    assert record["memory_gib"] > 0.0


def test_new_records_replace_those_of_their_scene_and_size():
    office = speed_record("office", 1_000, CHAIN, STOCK, REFERENCE, REFERENCE)
    munich = speed_record("munich", 1_000, CHAIN, STOCK, REFERENCE, REFERENCE)
    large = speed_record("office", 10_000, CHAIN, STOCK, REFERENCE, REFERENCE)
    faster = replace(CHAIN, timing=replace(CHAIN.timing, runs_s=(0.5,)))
    again = speed_record("office", 1_000, faster, STOCK, REFERENCE, REFERENCE)
    assert merged([large, office], [again, munich]) == [munich, again, large]


def test_table_has_a_row_a_record():
    speed = speed_record("office", 10_000, CHAIN, STOCK, REFERENCE, REFERENCE)
    text = table([speed, scaling_record(20_000, CHAIN)])
    rows = [line for line in text.splitlines() if line.startswith("| office")]
    assert rows[0].startswith("| office | 10000 | 500.0 | 2.0 | 250.0 | 4 |")
    assert rows[1].startswith("| office | 20000 | 2.0 | 10000 |")
    assert len(rows) == 2
    assert "The chain engine alone" not in table([speed])


@pytest.mark.parametrize(
    "declaration", [office_declaration, corridor_declaration, rotunda_declaration]
)
def test_declared_places_are_sound(declaration):
    scene = declaration()
    assert check(scene, scene.name) == []
    assert declaration() == scene


def test_office_is_as_large_as_it_says():
    scene = office_declaration()
    # A wall with a door is three sheets, a desk three boxes.
    assert len({wall.name.rsplit("_", 1)[0] for wall in scene.walls}) == 10
    desks = {item.name.rsplit("_", 1)[0] for item in scene.furniture if "desk" in item.name}
    stores = {item.name for item in scene.furniture if "store" in item.name}
    assert (len(desks), len(stores)) == (10, 10)


def test_no_wall_of_the_rotunda_lies_along_an_axis():
    scene = rotunda_declaration()
    lines = [wall.path_m for wall in scene.walls]
    ring = scene.room.outline_m
    lines += list(zip(ring, ring[1:] + ring[:1], strict=True))
    steps = np.array([np.subtract(end, start) for start, end in lines])
    sines = np.abs(steps).min(axis=1) / np.linalg.norm(steps, axis=1)
    assert sines.min() > np.sin(np.deg2rad(2.0))


def test_few_receivers_are_the_first_of_many():
    receivers = sieve(
        "place", lambda rng: rng.uniform(-1.0, 1.0, (50, 3)), lambda points: points[:, 0] > 0.0
    )
    many = receivers(120, 1)
    assert many.shape == (120, 3)
    assert (many[:, 0] > 0.0).all()
    assert (receivers(7, 1) == many[:7]).all()
    assert (receivers(120, 2) != many).any()


def test_disputed_receivers_are_those_with_paths_the_reference_lacks():
    reference = paths([(1.0, 10e-9)], [(1.0, 10e-9)])
    found = paths([(1.0, 10e-9)], [(1.0, 10e-9), (0.5, 20e-9)])
    assert unmatched(reference, found).tolist() == [1]
    # Beyond the window nobody asks.
    weak = paths([(1.0, 10e-9)], [(1.0, 10e-9), (0.005, 20e-9)])
    assert unmatched(reference, weak).tolist() == []


def test_union_adds_what_the_reference_lacks_and_nothing_twice():
    reference = paths([(1.0, 10e-9)], [(1.0, 10e-9)])
    more = paths([(1.0, 10e-9), (0.5, 20e-9)])
    both = union(reference, np.array([1]), more)
    assert both.there.sum(axis=2).tolist() == [[1], [2]]
    again = union(both, np.array([1]), more)
    assert again.there.sum(axis=2).tolist() == [[1], [2]]
