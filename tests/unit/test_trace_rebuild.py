"""A scene that is moved gives what one built anew gives, byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twin.config import load_model, validate
from twin.errors import InputError
from twin.scene.declaration import Scene
from twin.seeds import stream
from twin.trace.engine import TraceSettings, trace
from twin.trace.engines import ChainEngine
from twin.trace.rebuild import LiveScene

SCENE = load_model(Path(__file__).with_name("scene_box.yaml"), Scene)
SETTINGS = TraceSettings(max_depth=2, rays_per_round=5000, max_paths=40)
POINTS = np.array([[2.0, 1.5, 1.1], [4.5, 2.5, 1.1], [5.5, 1.0, 1.1]])


def changed(scene=SCENE, **parts):
    return validate({**scene.plain(), **parts}, Scene, where="changed")


def part(key, index, scene=SCENE, **values):
    content = scene.plain()[key]
    if index is None:
        return changed(scene, **{key: {**content, **values}})
    entries = [dict(entry) for entry in content]
    entries[index] |= values
    return changed(scene, **{key: entries})


def bytes_of(dataset):
    return {name: dataset[name].values.tobytes() for name in dataset.data_vars}


MOVED = {
    "nothing": SCENE,
    "furniture": part("furniture", 0, centre_m=[1.7, 3.1], yaw_deg=30.0),
    "furniture of another size": part("furniture", 0, size_m=[0.4, 1.2, 0.6]),
    "inner wall": part("walls", 0, offset_m=0.21),
    "outer wall": part("room", None, wall_offsets_m=[0.0, 0.1, 0.0, -0.1]),
    "height": part("room", None, height_m=2.7),
    "access point": part("access_points", 0, position_m=[1.2, 1.3, 2.1]),
    "constants": changed(
        materials={
            "concrete": {"itu": "brick", "thickness_m": 0.11, "scattering_coefficient": 0.2},
            "sheet": {"itu": "glass", "thickness_m": 0.01},
        }
    ),
    "carrier": changed(frequency_ghz=2.4),
}
REBUILT = {
    "furniture gone": part("furniture", 0, present=False),
    "furniture renamed": part("furniture", 0, name="table"),
    "furniture on legs": part("furniture", 0, bottom_m=0.3),
    "another material": part("furniture", 0, material="concrete"),
    "a wall with a corner more": part("walls", 0, path_m=[[3, 1], [3.1, 2], [3, 3]]),
}


@pytest.mark.parametrize(
    ("scene", "how"),
    [
        *((scene, "moved") for scene in MOVED.values()),
        *((scene, "rebuilt") for scene in REBUILT.values()),
    ],
    ids=[*MOVED, *REBUILT],
)
def test_a_scene_that_was_another_gives_the_same_bytes(scene, how):
    live = LiveScene()
    assert live.update(SCENE) == "rebuilt"
    engine = ChainEngine(live)
    before = bytes_of(trace(SCENE, SETTINGS, POINTS, engine))
    assert live.update(scene) == how
    # The engine updates it as well, which finds nothing to do.
    assert bytes_of(trace(scene, SETTINGS, POINTS, engine)) == bytes_of(
        trace(scene, SETTINGS, POINTS)
    )
    assert live.update(SCENE) == how
    assert bytes_of(trace(SCENE, SETTINGS, POINTS, engine)) == before


def test_many_moves_with_bends_and_rough_walls_leave_no_trace():
    rough = MOVED["constants"]
    settings = SETTINGS.model_copy(
        update={"diffraction": True, "diffuse": True, "diffuse_samples": 1000}
    )
    draws = stream(1, "moves")
    live = LiveScene()
    for _ in range(2):
        x, y, yaw = draws.uniform([0.8, 2.8, -90.0], [1.6, 3.2, 90.0])
        scene = part("furniture", 0, scene=rough, centre_m=[x, y], yaw_deg=yaw)
        moved = trace(scene, settings, POINTS, ChainEngine(live))
        assert (moved["interactions"].values & 8).any()
        assert (moved["interactions"].values & 2).any()
        assert bytes_of(moved) == bytes_of(trace(scene, settings, POINTS))
    assert live.update(scene) == "moved"


def test_what_is_refused_leaves_it_usable():
    live = LiveScene()
    engine = ChainEngine(live)
    before = bytes_of(trace(SCENE, SETTINGS, POINTS, engine))
    with pytest.raises(InputError, match="brick"):
        trace(changed(MOVED["constants"], frequency_ghz=60.0), SETTINGS, POINTS, engine)
    assert bytes_of(trace(SCENE, SETTINGS, POINTS, engine)) == before
