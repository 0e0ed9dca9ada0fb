"""Selecting from published sites."""

from __future__ import annotations

from pathlib import Path

import dask.array
import numpy as np
import pytest
import xarray as xr

from twin.errors import InputError
from twin.store.layout import Job
from twin.store.reader import (
    environments,
    open_environment,
    open_environments,
    open_site,
    site_arrays,
)
from twin.store.spec import SiteSpec
from twin.store.writer import write_site

SITE = "walk"
POINTS = 12
MISSING = 3  # points that the second realisation does not have


def make_spec(**changes: object) -> SiteSpec:
    content = {
        "title": "a walk",
        "origin": "measured",
        "realisations": ("May", "June"),
        "points": POINTS,
        "access_points": ("A", "B", "C"),
        "variables": ("rss", "csi", "time", "split"),
        "snapshots": 4,
        "visits": 2,
        "rx_antennas": 2,
        "subcarriers": 8,
        "subcarrier_spacing_hz": 1e6,
        "time_origin": "2026-05-01T12:00:00Z",
        "shard_points": 5,
        "config": {},
    }
    return SiteSpec(**(content | changes))


def make_block(job: Job) -> xr.Dataset:
    place = np.arange(POINTS)[job.points]
    present = (place < POINTS - MISSING) | (job.realisation == 0)
    draw = np.random.default_rng(job.realisation)
    position = np.column_stack([place, 2 * place, np.zeros_like(place)]).astype(float)
    csi = draw.normal(size=(POINTS, 3, 2, 8)) + 1j * draw.normal(size=(POINTS, 3, 2, 8))
    rss = -50.0 - np.arange(POINTS)[:, None, None] - np.arange(4)[:, None] - np.zeros(3)
    csi, rss = csi[job.points], rss[job.points]
    csi[~present] = np.nan
    return xr.Dataset(
        {
            "position": (("point", "xyz"), np.where(present[:, None], position, np.nan)),
            "status": (("point",), np.where(present, 1, 3).astype(np.int8)),
            "time": (("point",), np.where(present, 60.0 * place, np.nan)),
            "split": (("point",), np.ones(len(place), np.int8)),
            "rss": (("point", "snapshot", "ap"), rss.astype(np.float32)),
            "csi": (("point", "ap", "rx_antenna", "subcarrier"), csi.astype(np.complex64)),
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two realisations; the second lacks the last points."""
    path = tmp_path / "store.zarr"
    spec = make_spec()
    write_site(path, SITE, spec, make_block)
    return path


def test_a_site_is_lazy_until_asked(store: Path) -> None:
    dataset = open_site(store, SITE)
    assert isinstance(dataset["csi"].data, dask.array.Array)
    assert dataset["csi"].dims[-3:] == ("rx_antenna", "ap_antenna", "subcarrier")
    eager = open_site(store, SITE, lazy=False)
    assert not isinstance(eager["csi"].variable._data, dask.array.Array)
    np.testing.assert_array_equal(dataset["csi"].to_numpy(), eager["csi"].to_numpy())


def test_time_is_read_as_time(store: Path) -> None:
    time = open_site(store, SITE)["time"].to_numpy()
    assert time[0, 1] == np.datetime64("2026-05-01T12:01:00")
    assert np.isnat(time[1, -1])


def test_points_that_a_realisation_lacks_are_left_out(store: Path) -> None:
    assert open_environment(store, SITE, 0).sizes["point"] == POINTS
    june = open_environment(store, SITE, "June")
    assert june.sizes["point"] == POINTS - MISSING
    assert np.isfinite(june["position"]).all()
    assert [e.points for e in environments(store, SITE)] == [12, 12, 9, 9]


def test_selection_by_area_access_point_and_snapshot(store: Path) -> None:
    part = open_environment(
        store, SITE, "May", area=(2, 0, 5, 100), access_points=["C", "A"], snapshots=[3, 0]
    )
    assert part["position"].to_numpy()[:, 0].tolist() == [2, 3, 4, 5]
    assert part["ap"].to_numpy().tolist() == ["C", "A"]
    assert part["rss"].shape == (4, 2, 2)
    assert part["rss"].to_numpy()[0, :, 0].tolist() == [-55.0, -52.0]
    whole = make_block(Job(0, 0, POINTS))["csi"].to_numpy()
    np.testing.assert_array_equal(part["csi"].to_numpy()[:, :, :, 0], whole[2:6][:, [2, 0]])


def test_faults_of_a_selection_come_together(store: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_environment(
            store, SITE, "July", area=(1, 0, 0, 1), access_points=["A", "D"], snapshots=[4]
        )
    assert [fault.key for fault in caught.value.faults] == [
        "realisation",
        "access_points",
        "snapshots",
        "area",
    ]
    assert "one of May, June" in str(caught.value)


def test_all_environments_of_a_store(store: Path) -> None:
    found = open_environments(store)
    assert list(found) == [(SITE, 0), (SITE, 1)]
    assert found[SITE, 1].sizes["point"] == POINTS - MISSING
    assert list(open_environments(store, SITE)) == list(found)


def test_arrays_as_they_lie_there(store: Path) -> None:
    arrays = site_arrays(store, SITE)
    assert arrays["csi"].shape == (2, POINTS, 3, 2, 1, 8)
    assert arrays["csi"].read_only
    assert str(arrays["ap"][0]) == "A"


@pytest.mark.parametrize("precision", ["int16", "float16"])
def test_channels_with_fewer_bits_read_as_channels(tmp_path: Path, precision: str) -> None:
    path = tmp_path / "store.zarr"
    spec = make_spec(precision=precision)
    write_site(path, SITE, spec, make_block)
    dataset = open_site(path, SITE)
    given = np.stack([make_block(Job(r, 0, POINTS))["csi"].to_numpy() for r in range(2)])
    found = dataset["csi"].to_numpy()[..., 0, :]
    np.testing.assert_array_equal(np.isnan(found), np.isnan(given))
    error = np.nansum(np.abs(found - given) ** 2, axis=(-2, -1))
    power = np.nansum(np.abs(given) ** 2, axis=(-2, -1))
    stated = dataset["csi_nmse"].to_numpy()
    present = power > 0
    np.testing.assert_allclose(stated[present], (error / np.maximum(power, 1e-30))[present], 1e-2)
    assert np.all(stated[present] < 1e-6)
