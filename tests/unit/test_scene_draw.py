"""The plan view: a readable PNG that shows what it should."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.image import imread

from twin.config import validate
from twin.errors import InputError
from twin.scene.declaration import Scene
from twin.scene.draw import plan
from twin.scene.library import load_scene

SOUND: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())


@pytest.mark.parametrize("name", ["lecture_theatre", "office_wing"])
def test_plan_is_a_picture_of_useful_size(name: str, tmp_path: Path) -> None:
    plan(load_scene(name), tmp_path / "plan.png")
    picture = imread(tmp_path / "plan.png")
    assert min(picture.shape[:2]) > 400
    # Not a blank page, and not one flooded with colour.
    ink = float((picture[..., :3] < 0.99).any(axis=2).mean())
    assert 0.02 < ink < 0.8


def test_plan_shows_what_changed(tmp_path: Path) -> None:
    content = copy.deepcopy(SOUND)
    plan(validate(content, Scene, "s"), tmp_path / "with.png")
    content["furniture"][0]["present"] = False
    plan(validate(content, Scene, "s"), tmp_path / "without.png")
    with_desk, without = (imread(tmp_path / f"{name}.png") for name in ("with", "without"))
    assert with_desk.shape != without.shape or not np.array_equal(with_desk, without)


def test_unwritable_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "plan.png"
    with pytest.raises(InputError, match=r"plan\.png: expected a file that can be written"):
        plan(load_scene("office_wing"), path)
