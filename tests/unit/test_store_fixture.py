"""A store that schema 2 wrote opens in every later version.

The fixture was written once with the values that are made here (`write_fixture`); it is not made
again when the program changes, so that this test fails where an old store no longer opens.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from twin.seeds import stream
from twin.store.layout import Job
from twin.store.reader import environments, open_site
from twin.store.schema import CHANNEL_VARIABLES, SEARCH_VARIABLES, VARIABLES
from twin.store.spec import SiteSpec, drawn_quantities, vectors
from twin.store.validate import validate
from twin.store.verify import digest, verify
from twin.store.writer import write_site

FIXTURE = Path(__file__).parents[1] / "fixtures" / "store_v2.tar.xz"
POINTS, APS, PATHS, SUBCARRIERS, SCANS = 7, 2, 3, 4, 2
DIGEST = "d6762870cf02c06d59e1927c87191be42eaf5848771f1151845857c23a6b3f1f"


def simulated(**changes: object) -> SiteSpec:
    content = {
        "title": "an office",
        "origin": "simulated",
        "realisations": ("nominal", "door open"),
        "points": POINTS,
        "access_points": ("AP1", "AP2"),
        "variables": (*CHANNEL_VARIABLES, *SEARCH_VARIABLES, "rss", "rtt", "split"),
        "ap_position_m": vectors(np.arange(12.0).reshape(2, 2, 3)),
        "ap_orientation_rad": vectors(np.zeros((2, 2, 3))),
        "ap_frequency_hz": (5.2e9, 5.3e9),
        "ap_power_dbm": (20.0, 17.0),
        "snapshots": SCANS,
        "visits": 2,
        "paths": PATHS,
        "rx_antennas": 2,
        "subcarriers": SUBCARRIERS,
        "subcarrier_spacing_hz": 312_500.0,
        "drawn": drawn_quantities([{"door": False}, {"door": True}], {}),
        "shard_points": 4,
        "config": {"seed": 5},
        "attributes": {"licence": "CC-BY-4.0"},
    }
    return SiteSpec(**(content | changes))


def measured() -> SiteSpec:
    return simulated(
        origin="measured",
        layout="compact",
        variables=("rss", "reported_csi", "time", "trajectory", "floor", "split"),
        ap_position_m=(),
        ap_orientation_rad=(),
        drawn=(),
        time_origin="2026-11-25T00:00:00Z",
    )


SITES = {
    "office": simulated(),
    "office_int16": simulated(precision="int16", variables=("csi", "split")),
    "walk": measured(),
}


def block_of(spec: SiteSpec, job: Job) -> xr.Dataset:
    """Values fixed by the variable and the job."""
    rows = job.stop - job.start
    data: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for name in ("position", *spec.variables):
        variable = VARIABLES[name]
        dims = variable.dims[1:] if variable.by_point else variable.dims[2:]
        shape = [rows if dim == "point" else spec.sizes[dim] for dim in dims]
        draw = stream(7, "fixture", name, job.realisation, job.start)
        values = (
            draw.integers(0, 2, shape)
            if np.dtype(variable.dtype).kind == "i"
            else draw.random(shape)
        )
        if name == "time":
            values = np.arange(job.start, job.stop, dtype=float)
        data[name] = (dims, values.astype(variable.dtype))
    if "path_gain" in data:
        dims, gain = data["path_gain"]
        data["path_gain"] = (dims, np.sort(gain.real)[..., ::-1].astype(np.complex64))
        data["num_paths"] = (dims[:2], np.full(gain.shape[:2], PATHS, np.int16))
        data["toa"] = (dims[:2], data["delay"][1].min(axis=-1))
    data["status"] = (("point",), np.ones(rows, np.int8))
    return xr.Dataset(data)


def write_fixture(folder: Path) -> None:
    """What made the fixture."""
    for site, spec in SITES.items():
        write_site(folder / "store_v2.zarr", site, spec, lambda job, s=spec: block_of(s, job))
    versioned = f"icechunk:{folder / 'store_v2_versioned'}"
    write_site(versioned, "office", SITES["office"], lambda job: block_of(SITES["office"], job))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(path, filter="data")
    return path


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fresh")
    write_fixture(path)
    return path


def test_the_store_is_whole_and_has_the_digest_it_had(folder: Path) -> None:
    store = folder / "store_v2.zarr"
    assert verify(store) == []
    assert validate(store) == []
    assert digest(store) == DIGEST


def test_its_values_are_found(folder: Path) -> None:
    for site, spec in SITES.items():
        dataset = open_site(folder / "store_v2.zarr", site)
        assert tuple(dataset["ap"].to_numpy()) == spec.access_points
        for start, stop in ((0, 4), (4, 7)):
            expected = block_of(spec, Job(1, start, stop))
            found = dataset.isel(realisation=1, point=slice(start, stop))
            for name in expected:
                if VARIABLES[str(name)].by_point and name != "time":
                    kept = found[name].to_numpy()
                    if site == "office_int16" and name == "csi":
                        np.testing.assert_allclose(kept, expected[name].to_numpy(), atol=1e-4)
                    else:
                        np.testing.assert_array_equal(kept, expected[name].to_numpy())
    assert len(environments(folder / "store_v2.zarr", "office")) == 4


def test_the_versioned_store_opens_at_its_tag(folder: Path) -> None:
    url = f"icechunk:{folder / 'store_v2_versioned'}"
    plain = open_site(folder / "store_v2.zarr", "office")
    tag = f"office-{plain.attrs['digest'][:12]}"
    found = open_site(f"{url}?tag={tag}", "office")
    assert found.attrs["digest"] == plain.attrs["digest"]
    np.testing.assert_array_equal(found["csi"].to_numpy(), plain["csi"].to_numpy())
    assert verify(url) == []


def test_the_same_values_still_give_the_same_digest(folder: Path, fresh: Path) -> None:
    assert digest(fresh / "store_v2.zarr") == digest(folder / "store_v2.zarr")
