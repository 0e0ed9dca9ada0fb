from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from flows.metaloc.corridors import (
    QUICK,
    CorridorsSettings,
    ensure_corridors,
    read_corridors,
    run_seed,
)
from twin.errors import InputError
from twin.measured.csu_csi_rssi import SITES
from twin.store.schema import SPLITS
from twin.store.spec import SiteSpec
from twin.store.writer import write_site

REFERENCES, TESTS, SNAPSHOTS = 7, 3, {"reference": 200, "test": 100}
SETTINGS = QUICK.model_copy(update={"paradigms": (), "labels": (5, 7), "filters": 2})


def written(store):
    """Corridors with a level that falls along them; half of the points hear another BSSID."""
    points = REFERENCES + TESTS
    for number, site in enumerate(SITES):
        spec = SiteSpec(
            title=site,
            origin="measured",
            realisations=("measured",),
            points=points,
            access_points=("one", "other"),
            variables=("split", "rss", "reported_csi"),
            snapshots=max(SNAPSHOTS.values()),
            subcarriers=64,
            subcarrier_spacing_hz=312.5e3,
            shard_points=points,
            layout="compact",
            config={},
        )

        def block(_job, number=number, points=points):
            generator = np.random.default_rng(number)
            along = np.r_[np.arange(REFERENCES), 1.25, 3.25, 5.25]
            csi = np.full((points, 200, 2, 64), complex(np.nan, np.nan), np.complex64)
            rss = np.full((points, 200, 2), np.nan, np.float32)
            for point in range(points):
                part = "reference" if point < REFERENCES else "test"
                heard, ap = SNAPSHOTS[part], point % 2
                csi[point, :heard, ap] = 500.0 * (1.0 + 0.02 * generator.normal(size=(heard, 64)))
                rss[point, :heard, ap] = -40.0 - 4.0 * along[point]
            split = [SPLITS.index("reference")] * REFERENCES + [SPLITS.index("test")] * TESTS
            position = np.stack([4.0 * along, 0.0 * along, 0.0 * along], axis=1)
            return xr.Dataset(
                {
                    "position": (("point", "xyz"), position),
                    "status": ("point", np.ones(points, np.int8)),
                    "split": ("point", np.array(split, np.int8)),
                    "rss": (("point", "snapshot", "ap"), rss),
                    "reported_csi": (("point", "snapshot", "ap", "subcarrier"), csi),
                }
            )

        write_site(store, site, spec, block)
    return str(store)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return written(tmp_path_factory.mktemp("corridors") / "corridors.zarr")


def value(records, **keys):
    found = [r["value"] for r in records if all(r.get(k) == v for k, v in keys.items())]
    assert len(found) == 1, keys
    return found[0]


def test_corridors_are_read_part_by_part_into_one_channel(store):
    corridors = read_corridors(store, "rss")
    assert [c.name for c in corridors] == list(SITES)
    one = corridors[2]
    assert one.reference.shape == (REFERENCES, 4, 52, 50, 1)
    assert one.test.shape == (TESTS, 2, 52, 50, 1)
    assert one.truth[:, 0].tolist() == [5.0, 13.0, 21.0]
    level = 10.0 * np.log10((one.reference**2).mean(axis=(1, 2, 3, 4)))
    assert np.allclose(level, -40.0 - 4.0 * np.arange(REFERENCES), atol=0.01)
    reported = read_corridors(store, "reported")[2]
    assert np.allclose(np.median(reported.reference, axis=(1, 2, 3, 4)), 500.0, rtol=0.02)


def test_neighbours_find_the_level_along_the_corridor(store):
    settings = SETTINGS.model_copy(update={"labels": (7,), "confi_steps": 1})
    records = run_seed(settings, 0, store)
    keys = {"site": SITES[1], "metric": "mean_error_m"}
    assert value(records, method="knn", k=7, **keys) < 3.0
    assert value(records, method="wknn", k=7, **keys) < 3.0
    assert value(records, method="centre", metric="centre_error_m", k=7) == pytest.approx(17 / 3)
    for method in ("ilcl", "confi"):
        assert 0.0 < value(records, method=method, k=7, **keys) < 24.0
    assert {(r["study"], r["site"], r["seed"]) for r in records} == {("corridors", SITES[1], 0)}
    assert records == run_seed(settings, 0, store)


def test_paradigms_answer_with_the_places_of_the_task(store):
    settings = SETTINGS.model_copy(update={"paradigms": ("maml", "tl", "ri"), "labels": (7,)})
    records = run_seed(settings, 0, store)
    found = {m: value(records, method=m, metric="mean_error_m", k=7) for m in ("maml", "tl", "ri")}
    # Centroids of the five points that look most like the image.
    assert all(0.0 < error < 12.0 for error in found.values())
    assert len(set(found.values())) == 3


def test_more_labels_than_points_are_refused(store):
    settings = SETTINGS.model_copy(update={"labels": (8,)})
    with pytest.raises(InputError, match=r"labels: expected at most 7, found \(8,\)"):
        run_seed(settings, 0, store)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": (4, 10)}, "labels: expected 5 or more each"),
        ({"left_out": ("csu_csi_path9",)}, "left_out: expected some of"),
        ({"left_out": ()}, "left_out: expected some of"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        CorridorsSettings(**changes)


REAL = Path(os.environ.get("TWIN_DATA_DIR", ""))


@pytest.mark.skipif(
    not os.environ.get("TWIN_DATA_DIR") or not (REAL / "csu_csi_rssi").is_dir(),
    reason="needs TWIN_DATA_DIR with csu_csi_rssi",
)
def test_real_corridors_hold_a_level_and_little_else(tmp_path):
    store = tmp_path / "csu.zarr"
    digests = ensure_corridors(store, REAL)
    assert ensure_corridors(store, REAL) == digests
    assert [len(c.position) for c in read_corridors(store, "rss")] == [52, 30, 26, 30, 42]
    settings = CorridorsSettings(
        paradigms=(), left_out=(SITES[2],), labels=(20,), confi_steps=1, broad=QUICK.broad
    )
    errors = {
        level: run_seed(settings.model_copy(update={"level": level}), 0, store)
        for level in ("rss", "reported")
    }
    keys = {"method": "knn", "metric": "mean_error_m"}
    assert value(errors["rss"], **keys) < 3.0
    assert value(errors["reported"], **keys) > 4.0
