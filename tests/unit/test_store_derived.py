"""Channels derived from stored paths."""

from __future__ import annotations

import dask
import numpy as np
import pytest

from tests.unit.path_sites import (
    ABSENT,
    BANDWIDTH_HZ,
    SITE,
    SUBCARRIERS,
    UNHEARD,
    element_response,
    make_spec,
    paths_of,
    write,
)
from twin.errors import InputError
from twin.store import derived
from twin.store.derived import csi_from_paths
from twin.store.reader import open_site
from twin.waves import rotation_matrix

AP_ARRAY = np.array([[0.0, -0.5, 0.0], [0.0, 0.0, 0.25], [0.1, 0.5, -0.25]])
RX_ARRAY = np.array([[0.25, 0.0, 0.0], [-0.25, 0.0, 0.3]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "store.zarr"
    write(store)
    return open_site(store, SITE)


@pytest.fixture(autouse=True)
def one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def closed_form(site, bandwidth_hz, subcarriers, rx=((0, 0, 0),), ap=((0, 0, 0),), rotation=None):
    """The sum over paths, term by term, in double precision."""
    values = {
        name: site[name].to_numpy()
        for name in derived._needed({"rx_positions": RX_ARRAY, "ap_positions": AP_ARRAY})
    }
    there = np.isfinite(values["delay"])
    values = {name: np.where(there, array, 0) for name, array in values.items()}
    offsets = (np.arange(subcarriers) - subcarriers // 2) * bandwidth_hz / subcarriers
    turn = np.eye(3) if rotation is None else rotation
    arrival = element_response(
        rx, np.eye(3), *(values[f"aoa_{name}"].astype(float) for name in ("azimuth", "zenith"))
    )
    departure = element_response(
        ap, turn, *(values[f"aod_{name}"].astype(float) for name in ("azimuth", "zenith"))
    )
    phase = np.exp(-2j * np.pi * values["delay"][..., None] * offsets)
    return np.einsum(
        "tnap,tnapr,tnapq,tnapk->tnarqk",
        values["path_gain"].astype(complex), arrival, departure, phase,
    )  # fmt: skip


def nmse(found, expected):
    there = np.isfinite(found)
    return (np.abs(found - expected)[there] ** 2).sum() / (np.abs(expected)[there] ** 2).sum()


def test_the_stored_channel_comes_back_to_its_precision(site):
    found = csi_from_paths(site, bandwidth_hz=BANDWIDTH_HZ, subcarriers=SUBCARRIERS)
    assert found.dims == site["csi"].dims
    assert found.dtype == np.complex64
    stored = site["csi"].to_numpy()
    there = np.isfinite(stored)
    assert np.array_equal(np.isfinite(found.to_numpy()), there)
    assert nmse(found.to_numpy(), stored) < 1e-13
    assert found["subcarrier"].to_numpy() == pytest.approx(site["subcarrier"].to_numpy())
    assert found["ap"].to_numpy().tolist() == site["ap"].to_numpy().tolist()


@pytest.mark.parametrize(("bandwidth_hz", "subcarriers"), [(1e6, 1), (160e6, 7), (400e6, 64)])
def test_another_band(site, bandwidth_hz, subcarriers):
    found = csi_from_paths(site, bandwidth_hz=bandwidth_hz, subcarriers=subcarriers)
    assert nmse(found.to_numpy(), closed_form(site, bandwidth_hz, subcarriers)) < 1e-13
    offsets = (np.arange(subcarriers) - subcarriers // 2) * bandwidth_hz / subcarriers
    assert found["subcarrier"].to_numpy() == pytest.approx(offsets)
    assert found["subcarrier"].attrs["units"] == "Hz"


def test_arrays_at_both_ends(site):
    found = csi_from_paths(
        site, bandwidth_hz=80e6, subcarriers=5, rx_positions=RX_ARRAY, ap_positions=AP_ARRAY
    )
    assert found.sizes["rx_antenna"] == 2
    assert found.sizes["ap_antenna"] == 3
    rotation = rotation_matrix(make_spec().ap_orientation_rad[0][0])
    expected = closed_form(site, 80e6, 5, RX_ARRAY, AP_ARRAY, rotation)
    assert nmse(found.to_numpy(), expected) < 1e-13
    assert found.attrs["ap_array_axes"] == "turned by ap_orientation"


def test_without_an_orientation_the_axes_are_those_of_the_world(site):
    bare = site.drop_vars("ap_orientation")
    found = csi_from_paths(bare, bandwidth_hz=80e6, subcarriers=5, ap_positions=AP_ARRAY)
    assert nmse(found.to_numpy(), closed_form(site, 80e6, 5, ap=AP_ARRAY)) < 1e-13
    assert found.attrs["ap_array_axes"] == "those of the world"


def test_a_plane_wave_from_broadside_is_in_phase(site):
    front = site.isel(path=[0]).load()
    front["aod_azimuth"][:], front["aod_zenith"][:] = 0.0, np.pi / 2
    row = [[0, y, 0] for y in (-1.0, -0.5, 0.0)]
    along = [[x, 0, 0] for x in (0.0, 0.25, 0.5)]
    bare = front.drop_vars("ap_orientation")
    settings = {"bandwidth_hz": 1e6, "subcarriers": 1}
    across = csi_from_paths(bare, **settings, ap_positions=row).isel(point=0, rx_antenna=0)
    assert across.to_numpy() == pytest.approx(
        np.broadcast_to(across.isel(ap_antenna=[0]), across.shape), rel=1e-5
    )
    ahead = csi_from_paths(bare, **settings, ap_positions=along).isel(point=0, rx_antenna=0)
    # A quarter of a wavelength towards the receiver is a quarter of a turn earlier.
    turns = (ahead / ahead.isel(ap_antenna=0)).to_numpy()[0, 0, :, 0]
    assert turns == pytest.approx([1, 1j, -1], abs=1e-5)


def test_links_without_paths_are_zero_and_absent_points_nan(site):
    found = csi_from_paths(site, bandwidth_hz=80e6, subcarriers=4, rx_positions=RX_ARRAY).to_numpy()
    assert not found[:, UNHEARD].any()
    assert np.isnan(found[1, ABSENT]).all()
    assert np.isfinite(found[0]).all()


@pytest.mark.parametrize(
    "chunks", [{"point": 1}, {"point": 3, "ap": 1, "path": 2}, {"realisation": 2, "point": -1}]
)
def test_chunks_do_not_show(site, chunks, monkeypatch):
    settings = {"bandwidth_hz": 80e6, "subcarriers": 9, "rx_positions": RX_ARRAY,
                "ap_positions": AP_ARRAY}  # fmt: skip
    expected = csi_from_paths(site, **settings).to_numpy()
    monkeypatch.setattr(derived, "_PIECE_BYTES", 5000)
    monkeypatch.setattr(derived, "_BLOCK_BYTES", 3000)
    found = csi_from_paths(site.chunk(chunks), **settings)
    assert np.array_equal(found.to_numpy(), expected, equal_nan=True)
    alone = csi_from_paths(site.isel(realisation=1, point=[6]), **settings)
    assert alone.dims == found.dims[1:]
    assert np.array_equal(alone.to_numpy(), expected[1, 6:7])
    in_memory = csi_from_paths(site.load(), **settings)
    assert np.array_equal(in_memory.to_numpy(), expected, equal_nan=True)


def test_nothing_is_computed_before_it_is_asked_for(site, monkeypatch):
    computed = []
    real = derived._response

    def counting(*values, **settings):
        computed.append(values[0].shape)
        return real(*values, **settings)

    monkeypatch.setattr(derived, "_response", counting)
    monkeypatch.setattr(derived, "_BLOCK_BYTES", 1)

    def refuse_to_compute(*_args, **_kwargs):
        raise AssertionError("computed too early")

    with dask.config.set(scheduler=refuse_to_compute):
        lazy = csi_from_paths(site.drop_vars("ap_orientation"), bandwidth_hz=80e6, subcarriers=4,
                              ap_positions=AP_ARRAY)  # fmt: skip
    assert not computed
    lazy.isel(realisation=0, point=slice(2, 5)).load()
    # A block of one point each: those asked for and no other.
    assert [shape[:2] for shape in computed] == [(1, 1)] * 3


def test_blocks_of_the_result_are_bounded(site, monkeypatch):
    monkeypatch.setattr(derived, "_BLOCK_BYTES", 10_000)
    lazy = csi_from_paths(site, bandwidth_hz=80e6, subcarriers=64, ap_positions=AP_ARRAY)
    largest = np.prod([max(sizes) for sizes in lazy.chunks]) * 8
    assert largest <= 10_000


def test_some_access_points_only(site):
    settings = {"bandwidth_hz": 80e6, "subcarriers": 4, "ap_positions": AP_ARRAY}
    both = csi_from_paths(site, **settings)
    for names in ("süd", ["süd"], ["süd", "north"]):
        found = csi_from_paths(site, **settings, ap=names)
        order = [names] if isinstance(names, str) else names
        assert found["ap"].to_numpy().tolist() == order
        assert np.array_equal(found.to_numpy(), both.sel(ap=order).to_numpy(), equal_nan=True)


def test_an_array_of_unknown_orientation_is_refused(site):
    orientation = site["ap_orientation"].load().copy()
    orientation[0, 1] = np.nan
    turned = site.assign(ap_orientation=orientation)
    settings = {"bandwidth_hz": 80e6, "subcarriers": 4}
    with pytest.raises(InputError, match="süd: ap_orientation"):
        csi_from_paths(turned, **settings, ap_positions=AP_ARRAY)
    # One element has no orientation to know, and the other access point's is known.
    csi_from_paths(turned, **settings)
    csi_from_paths(turned, **settings, ap_positions=AP_ARRAY, ap="north")


def test_all_faults_at_once(site):
    bare = site.drop_vars(["delay", "aoa_zenith"])
    with pytest.raises(InputError) as refusal:
        csi_from_paths(
            bare, bandwidth_hz=-1.0, subcarriers=0, rx_positions=[[0, 1]],
            ap_positions=[[0, 0, np.inf]], ap=["nord"],
        )  # fmt: skip
    assert [fault.key for fault in refusal.value.faults] == [
        "bandwidth_hz", "subcarriers", "rx_positions", "ap_positions", "delay", "aoa_zenith", "ap",
    ]  # fmt: skip


def test_no_access_point_at_all_is_refused(site):
    with pytest.raises(InputError, match="at least one access point"):
        csi_from_paths(site, bandwidth_hz=1e6, subcarriers=1, ap=[])


def test_angles_are_needed_for_arrays_only(site):
    bare = site.drop_vars(["aoa_azimuth", "aoa_zenith", "aod_azimuth", "aod_zenith"])
    settings = {"bandwidth_hz": 80e6, "subcarriers": 4}
    expected = csi_from_paths(site, **settings).to_numpy()
    assert np.array_equal(csi_from_paths(bare, **settings).to_numpy(), expected, equal_nan=True)
    with pytest.raises(InputError, match="aod_azimuth"):
        csi_from_paths(bare, **settings, ap_positions=AP_ARRAY)


def test_the_site_of_the_tests_has_links_of_every_length():
    counts = paths_of(make_spec(), 0).num_paths
    assert counts.min() == 0
    assert counts.max() == make_spec().paths
