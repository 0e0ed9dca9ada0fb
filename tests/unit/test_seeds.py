from __future__ import annotations

from enum import StrEnum

import numpy as np
import pytest

from twin.seeds import integer_seed, seed_sequence, stream


class Name(StrEnum):
    HALL = "hall"


def words(seed, *key):
    return tuple(int(word) for word in seed_sequence(seed, *key).generate_state(4))


def test_stream_is_pinned():
    # Stored results rest on these numbers: a change here changes every study.
    assert stream(7, "perturb", "hall", 3).integers(0, 1_000_000, 4).tolist() == [
        702435,
        802579,
        800237,
        407742,
    ]
    assert integer_seed(7, "trace") == 812505298


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, "a"), (2, "a")),
        ((1, "a"), (1, "b")),
        ((1, "a", "b"), (1, "b", "a")),
        ((1, "ab", "c"), (1, "a", "bc")),
        ((1, "a", 1), (1, "a", "1")),
        ((1, 11, 1), (1, 1, 11)),
        ((1, "1:a"), (1, "1", "a")),
        ((1,), (1, "")),
        ((1, "a"), (1 + 2**32, "a")),
    ],
)
def test_streams_differ_by_seed_and_name(one, other):
    assert words(*one) != words(*other)


def test_equal_names_of_other_types_give_the_same_stream():
    assert words(1, "hall", 3) == words(1, Name.HALL, np.int64(3))
    assert words(1, "hall") == words(1, np.str_("hall"))


def test_drawing_from_one_stream_leaves_the_others_alone():
    alone = stream(5, "b").normal(size=3)
    stream(5, "a").normal(size=1000)
    assert np.array_equal(stream(5, "b").normal(size=3), alone)


def test_neighbouring_streams_are_not_correlated():
    draws = np.array([stream(0, "ap", index).normal(size=2000) for index in range(8)])
    off_diagonal = np.corrcoef(draws) - np.eye(8)
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(2000)


def test_integer_seed_fits_31_bits():
    seeds = {integer_seed(0, index) for index in range(200)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_negative_seed_is_refused():
    with pytest.raises(ValueError, match="zero or greater, found -1"):
        stream(-1, "a")


@pytest.mark.parametrize("part", [1.5, None, ("a",)])
def test_key_of_another_kind_is_refused(part):
    with pytest.raises(TypeError):
        stream(1, part)
