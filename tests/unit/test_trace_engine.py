from pathlib import Path

import numpy as np
import pytest

from twin.config import load_model, validate
from twin.errors import InputError
from twin.scene.declaration import Scene, scene_digest
from twin.trace.engine import TraceSettings, trace
from twin.trace.paths import no_paths, tabulate
from twin.trace.solver import Solution

SCENE = load_model(Path(__file__).with_name("scene_box.yaml"), Scene)
FAST = TraceSettings(max_depth=1, rays_per_round=2000, max_paths=6)


@pytest.mark.parametrize(
    "points",
    [np.zeros((0, 3)), np.zeros((4, 2)), np.zeros(3), np.array([[1.0, np.nan, 1.0]])],
)
def test_points_must_be_coordinates(points):
    with pytest.raises(InputError, match=r"finite coordinates \(n, 3\)"):
        trace(SCENE, FAST, points)


def test_engines_are_known_by_name():
    with pytest.raises(InputError, match="expected chains or stock, found magic"):
        trace(SCENE, FAST, np.ones((1, 3)), engine="magic")


def test_settings_refuse_what_makes_no_sense():
    with pytest.raises(InputError) as error:
        validate({"max_depth": -1, "rays_per_round": 5, "rays": 3}, TraceSettings, "study.yaml")
    assert {fault.key for fault in error.value.faults} == {"max_depth", "rays_per_round", "rays"}


def test_data_set_is_labelled_and_says_how_it_was_made():
    points = np.array([[2.0, 1.5, 1.1], [4.5, 2.5, 1.1], [5.5, 1.0, 1.1]])
    traced = trace(SCENE, FAST, points)
    assert dict(traced.sizes) == {
        "point": 3,
        "ap": 2,
        "path": 6,
        "subcarrier": 64,
        "xyz": 3,
        "angle": 3,
    }
    assert {name: str(traced[name].dtype) for name in traced.data_vars} == {
        "position": "float64",
        "ap_position": "float64",
        "ap_frequency": "float64",
        "ap_bandwidth": "float64",
        "ap_orientation": "float64",
        "ap_active": "bool",
        "path_gain": "complex64",
        "delay": "float64",
        "aoa_azimuth": "float32",
        "aoa_zenith": "float32",
        "aod_azimuth": "float32",
        "aod_zenith": "float32",
        "interactions": "int32",
        "num_paths": "int16",
        "power_left_out": "float32",
        "power_undiscovered": "float32",
        "rss": "float32",
        "toa": "float64",
        "csi": "complex64",
        "los": "bool",
        "status": "int8",
        "chains_reflections": "int32",
        "rounds_reflections": "int16",
        "new_share_reflections": "float32",
    }
    assert all("units" in traced[name].attrs for name in traced.data_vars)
    assert traced["ap"].values.tolist() == ["AP1", "AP2"]
    assert traced.attrs["scene_digest"] == scene_digest(SCENE)
    assert traced.attrs["version_sionna-rt"] == "2.2.0"
    assert traced.attrs["trace_rays_per_round"] == 2000
    assert traced.attrs["engine"] == "chains"
    assert traced.attrs["frequency_hz"] == 5.25e9
    assert traced.attrs["bandwidth_hz"] == 80e6
    assert traced.attrs["rain_mm_per_h"] == 0.0
    assert not {"rain_model", "layers"} & set(traced.attrs)


def test_an_engine_may_be_given_as_such():
    class Nothing:
        name = "nothing"

        def solve(self, scene, points, settings):
            table = tabulate(no_paths(), len(points), len(scene.access_points), settings.max_paths)
            return Solution(table)

        def provenance(self):
            return {"solver": "none"}

    traced = trace(SCENE, FAST, np.ones((1, 3)), engine=Nothing())
    assert (traced.attrs["engine"], traced.attrs["solver"]) == ("nothing", "none")
    assert traced["status"].values.tolist() == [2]
    assert np.isnan(traced["rss"].values).all()
