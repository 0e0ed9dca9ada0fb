"""Nothing but access points and receivers: waves go straight, and nothing breaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twin.config import load_model, validate
from twin.scene.check import check
from twin.scene.declaration import Scene
from twin.trace.engine import TraceSettings, trace
from twin.trace.engines import ChainEngine
from twin.trace.rebuild import LiveScene
from twin.trace.surfaces import find_planes
from twin.units import SPEED_OF_LIGHT_M_PER_S, free_space_path_gain_db

BOX = load_model(Path(__file__).with_name("scene_box.yaml"), Scene)
FREE = validate(
    {
        **{key: part for key, part in BOX.plain().items() if key != "room"},
        "walls": [],
        "furniture": [],
    },
    Scene,
    where="free",
)
SETTINGS = TraceSettings(max_depth=2, rays_per_round=2000, stock_samples=2000, max_paths=4)
POINTS = np.array([[2.0, 1.5, 1.1], [-4.5, 2.5, 1.1], [5.5, 100.0, 31.1]])


def test_it_is_a_sound_scene():
    assert check(FREE, "free") == []


@pytest.mark.parametrize(
    ("engine", "changes"),
    [
        ("chains", {}),
        ("chains", {"max_depth": 0}),
        ("chains", {"diffraction": True}),
        ("chains", {"diffuse": True, "refraction": False, "diffuse_samples": 1000}),
        ("stock", {"diffraction": True}),
    ],
)
def test_levels_and_times_are_those_of_free_space(engine, changes):
    traced = trace(FREE, SETTINGS.model_copy(update=changes), POINTS, engine)
    away = np.linalg.norm(POINTS - FREE.access_points[0].position_m, axis=1)
    friis = 20.0 + free_space_path_gain_db(away, 5.25e9)
    assert traced["rss"].values[:, 0] == pytest.approx(friis, abs=1e-3)
    assert traced["toa"].values[:, 0] == pytest.approx(away / SPEED_OF_LIGHT_M_PER_S, rel=1e-6)
    assert (traced["num_paths"].values == 1).all()
    assert traced["los"].values.all()
    assert ("chains_diffraction" in traced) == (engine == "chains" and "diffraction" in changes)


@pytest.mark.parametrize("diffraction", [False, True])
def test_things_may_go_and_come_back(diffraction):
    settings = SETTINGS.model_copy(update={"diffraction": diffraction})
    points = POINTS[:1]
    live = LiveScene()
    for scene in (FREE, BOX, FREE, FREE, BOX):
        kept = trace(scene, settings, points, ChainEngine(live))
        anew = trace(scene, settings, points)
        assert set(kept.data_vars) == set(anew.data_vars)
        for name in anew.data_vars:
            assert kept[name].values.tobytes() == anew[name].values.tobytes(), name


def test_no_triangles_have_no_planes():
    planes = find_planes(np.zeros((0, 3, 3), dtype=np.float32))
    assert len(planes) == 0
    assert planes.of_triangle.shape == (0,)
    assert planes.low.shape == planes.high.shape == (0, 2)
    assert planes.axes.shape == (0, 2, 3)
