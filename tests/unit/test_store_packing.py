"""Channels with fewer bits: how far off they are, and the links that have nothing to tell."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.errors import InputError
from twin.seeds import stream
from twin.store import packing
from twin.store.packing import pack, unpack, with_csi
from twin.store.schema import PACKED_CSI, VARIABLES

PRECISIONS = tuple(PACKED_CSI)


def channels(*shape, seed=1):
    """Links of independent Gaussian numbers, of very different strengths."""
    draw = stream(seed, "csi")
    parts = draw.normal(size=(*shape, 2))
    level = 10.0 ** draw.uniform(-9.0, 0.0, size=(*shape[:-3], 1, 1, 1))
    return ((parts[..., 0] + 1j * parts[..., 1]) * level).astype(np.complex64)


def nmse(found, given):
    """Of each link, in float64."""
    error = np.abs(found.astype(np.complex128) - given) ** 2
    power = np.abs(given.astype(np.complex128)) ** 2
    return error.sum(axis=(-3, -2, -1)) / power.sum(axis=(-3, -2, -1))


@pytest.mark.parametrize(("precision", "low_db", "high_db"), [("int16", -95, -85),
                                                              ("float16", -75, -71)])  # fmt: skip
def test_random_channels_lose_as_little_as_promised(precision, low_db, high_db):
    given_csi = channels(40, 2, 1, 4, 64)
    packed = pack(given_csi, precision)
    level_db = 10 * np.log10(packed["csi_nmse"])
    assert low_db < level_db.min()
    assert level_db.max() < high_db
    assert packed["csi_nmse"] == pytest.approx(nmse(unpack(packed), given_csi), rel=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_packed_variables_are_those_of_the_schema(precision):
    packed = pack(channels(3, 2, 1, 4, 8), precision)
    assert tuple(packed) == PACKED_CSI[precision]
    for name, values in packed.items():
        assert values.dtype == VARIABLES[name].dtype
    assert packed[PACKED_CSI[precision][0]].shape == (3, 2, 1, 4, 8, 2)
    assert packed["csi_scale"].shape == packed["csi_nmse"].shape == (3, 2)


numbers = st.floats(-1e3, 1e3, width=32)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=3), min_size=1, max_size=4),
    st.sampled_from(PRECISIONS),
)
def test_no_number_is_further_off_than_its_step(rows, precision):
    parts = np.array(rows, dtype=np.float32)
    given_csi = (parts[..., 0] + 1j * parts[..., 1]).astype(np.complex64)[:, None, None, :]
    packed = pack(given_csi, precision)
    found = unpack(packed)
    scale = np.abs(parts).max(axis=(1, 2))
    assert packed["csi_scale"].tolist() == scale.tolist()
    error = np.abs(np.stack([found.real, found.imag], axis=-1)[:, 0, 0] - parts.astype(np.float64))
    # Half a step, and the rounding of float32 on the way.
    step = scale[:, None, None] / 32767 if precision == "int16" else (
        np.abs(parts) * 2.0**-10 + scale[:, None, None] * 2.0**-24
    )  # fmt: skip
    assert (error <= step / 2 + scale[:, None, None] * 2.0**-22).all()
    power = np.square(parts.astype(np.float64)).sum(axis=(1, 2))
    expected = np.square(error).sum(axis=(1, 2)) / np.where(power > 0, power, 1)
    assert packed["csi_nmse"] == pytest.approx(expected, rel=1e-5, abs=1e-30)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(PRECISIONS))
def test_what_is_unpacked_packs_to_the_same_numbers(seed, precision):
    packed = pack(channels(5, 2, 2, 3, seed=seed), precision)
    again = pack(unpack(packed), precision)
    assert np.array_equal(again["csi_scale"], packed["csi_scale"])
    assert np.array_equal(again[PACKED_CSI[precision][0]], packed[PACKED_CSI[precision][0]])
    assert not again["csi_nmse"].any()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("weakest", [1e-30, 1e-44])
def test_links_of_zeros_of_nothing_and_of_next_to_nothing(precision, weakest):
    given_csi = channels(4, 1, 1, 8)
    given_csi[0] = 0
    given_csi[1] = np.nan
    given_csi[2] = np.float32(weakest)
    packed = pack(given_csi, precision)
    found = unpack(packed)
    assert not found[0].any()
    assert (packed["csi_scale"][0], packed["csi_nmse"][0]) == (0, 0)
    assert np.isnan(found[1].real).all()
    assert np.isnan(found[1].imag).all()
    assert np.isnan([packed["csi_scale"][1], packed["csi_nmse"][1]]).all()
    assert np.array_equal(found[2].real, given_csi[2].real)
    assert packed["csi_nmse"][3] < 1e-6


def test_pieces_do_not_show(monkeypatch):
    given_csi = channels(7, 3, 1, 2, 5)
    whole = pack(given_csi, "int16")
    monkeypatch.setattr(packing, "_PIECE_NUMBERS", 25)
    pieces = pack(given_csi, "int16")
    assert all(np.array_equal(whole[name], pieces[name]) for name in whole)


def test_memory_for_copies_is_bounded(monkeypatch):
    given_csi = np.ones((4000, 1, 4, 256), dtype=np.complex64)
    monkeypatch.setattr(packing, "_PIECE_NUMBERS", 1 << 16)
    tracemalloc.start()
    packed = pack(given_csi, "int16")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    results = sum(values.nbytes for values in packed.values())
    assert peak - results < 0.2 * given_csi.nbytes


def test_every_broken_link_is_named():
    given_csi = channels(3, 2, 1, 1, 4)
    given_csi[0, 1, 0, 0, 2] = np.nan
    given_csi[2, 0, 0, 0, 0] = np.inf
    with pytest.raises(InputError) as refusal:
        pack(given_csi, "float16")
    assert [fault.key for fault in refusal.value.faults] == ["csi, link (0, 1)", "csi, link (2, 0)"]


def test_of_many_broken_links_the_rest_is_counted():
    given_csi = channels(9, 1, 1, 4)
    given_csi[..., 0] = np.inf
    with pytest.raises(InputError, match="4 more links"):
        pack(given_csi, "int16")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pack(channels(2, 1, 1, 4), "int8"), "precision"),
        (lambda: pack(np.zeros((2, 2)), "int16"), "axes"),
        (lambda: unpack({"csi_scale": np.ones(2, np.float32)}), "one of csi_int16, csi_float16"),
        (lambda: unpack({"csi_int16": np.zeros((2, 1, 1, 4, 2), np.int16)}), "csi_scale"),
        (
            lambda: unpack({"csi_int16": np.zeros((2, 1, 1, 4), np.int16),
                            "csi_scale": np.ones(2, np.float32)}),
            "shapes",
        ),
        (
            lambda: unpack({"csi_int16": np.zeros((2, 1, 1, 4, 2), np.int16),
                            "csi_scale": np.ones(3, np.float32)}),
            "shapes",
        ),
    ],
)  # fmt: skip
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def packed_dataset(precision, given_csi):
    packed = pack(given_csi, precision)
    return xr.Dataset(
        {name: (VARIABLES[name].dims, values) for name, values in packed.items()},
        coords={"part": ["real", "imaginary"], "ap": ["one", "two"]},
    )


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("chunks", [None, {"point": 3}, {"point": 2, "subcarrier": 3}])
def test_a_dataset_is_decoded_when_asked_for(precision, chunks, monkeypatch):
    given_csi = channels(2, 7, 2, 1, 3, 8)
    dataset = packed_dataset(precision, given_csi)
    expected = unpack(pack(given_csi, precision))
    decoded = []
    real = packing._unpack
    monkeypatch.setattr(packing, "_unpack", lambda *args: decoded.append(1) or real(*args))
    lazy = with_csi(dataset if chunks is None else dataset.chunk(chunks))
    assert lazy["csi"].dims == VARIABLES["csi"].dims
    assert lazy["csi"].dtype == np.complex64
    assert lazy["csi"].attrs["units"] == "1"
    assert not decoded
    assert np.array_equal(lazy["csi"].to_numpy(), expected)
    assert decoded
    assert set(lazy) - set(dataset) == {"csi"}


def test_a_dataset_without_packed_channel_stays_as_it_is():
    bare = xr.Dataset({"rss": ("point", np.zeros(3))})
    assert with_csi(bare) is bare
    given_csi = channels(1, 3, 2, 1, 1, 4)
    both = packed_dataset("int16", given_csi).assign(csi=(VARIABLES["csi"].dims, given_csi))
    assert with_csi(both) is both
