"""Digests follow content and nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from twin.store.content import StreamDigest, canonical_pieces, variable_digest
from twin.store.layout import jobs_of
from twin.store.spec import SiteSpec

shapes = hnp.array_shapes(min_dims=2, max_dims=3, max_side=5)
floats = hnp.arrays(np.float32, shapes, elements=st.floats(width=32, allow_nan=True))
complexes = hnp.arrays(np.complex64, shapes, elements=st.complex_numbers(width=64))


@given(floats)
def test_order_in_memory_and_byte_order_do_not_count(values: np.ndarray) -> None:
    expected = variable_digest(values)
    assert variable_digest(np.asfortranarray(values)) == expected
    assert variable_digest(values.astype(">f4")) == expected


@given(floats)
def test_sign_of_zero_and_of_nan_do_not_count(values: np.ndarray) -> None:
    marked = values.copy()
    marked[values == 0] = -0.0
    marked[np.isnan(values)] = np.array(0xFFC00001, dtype=np.uint32).view(np.float32)
    assert variable_digest(marked) == variable_digest(values)


@given(complexes, st.data())
def test_any_other_change_counts(values: np.ndarray, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, values.size - 1))
    changed = values.copy()
    old = changed.flat[place]
    new = np.complex64(3 + 4j) if old != np.complex64(3 + 4j) else np.complex64(5)
    changed.flat[place] = new
    assert variable_digest(changed) != variable_digest(values)


@given(floats)
def test_shape_counts(values: np.ndarray) -> None:
    assert variable_digest(values[np.newaxis]) != variable_digest(values)


@given(floats, st.data())
def test_blocks_give_the_digest_of_the_whole(values: np.ndarray, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(values)))
    whole, parts = StreamDigest(), StreamDigest()
    whole.update(values)
    parts.update(values[:cut])
    parts.update(values[cut:])
    assert parts.hexdigest("f4", values.shape) == whole.hexdigest("f4", values.shape)


@given(st.lists(st.text(max_size=4), min_size=2, max_size=4, unique=True))
def test_text_is_told_apart(words: list[str]) -> None:
    joined = ["".join(words), *[""] * (len(words) - 1)]
    first = np.array(words, dtype=object)
    second = np.array(joined, dtype=object)
    assert (list(canonical_pieces(first)) == list(canonical_pieces(second))) == (words == joined)


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 50))
def test_jobs_cover_every_point_once(realisations: int, points: int, shard_points: int) -> None:
    spec = SiteSpec(
        title="",
        origin="simulated",
        realisations=tuple(str(index) for index in range(realisations)),
        points=points,
        access_points=("AP1",),
        variables=(),
        ap_position_m=(((0.0, 0.0, 0.0),),) * realisations,
        shard_points=shard_points,
        config={},
    )
    jobs = jobs_of(spec)
    seen = [(job.realisation, point) for job in jobs for point in range(job.start, job.stop)]
    assert seen == [(r, p) for r in range(realisations) for p in range(points)]
    assert len({job.name(spec) for job in jobs}) == len(jobs)
