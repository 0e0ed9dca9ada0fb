"""Where receivers stand, and that they stand where the real ones stood."""

from __future__ import annotations

import copy
import lzma
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from twin.config import validate
from twin.scene.declaration import Scene
from twin.scene.library import load_scene
from twin.scene.obstacles import inside_furniture, inside_wall
from twin.scene.receivers import receiver_points

SOUND: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())


def scene(**receivers: Any) -> Scene:
    content = copy.deepcopy(SOUND)
    content["receivers"][0].update(receivers)
    return validate(content, Scene, "scene")


def test_row_major_and_inside() -> None:
    points = receiver_points(scene(height_m=2.2))
    assert points.dtype == np.float64
    expected = [(x / 2, y / 2, 2.2) for x in range(2, 6) for y in range(2, 7)]
    assert points == pytest.approx(np.array(expected))


def test_oblique_area_keeps_its_edge() -> None:
    made = scene(area_m=[[1, 1], [2, 1], [1, 2]], height_m=2.2)
    found = {(x, y) for x, y, _ in receiver_points(made)}
    assert found == {(1.0, 1.0), (1.0, 1.5), (1.0, 2.0), (1.5, 1.0), (1.5, 1.5), (2.0, 1.0)}


def test_grid_is_anchored_at_the_origin_whatever_the_area() -> None:
    made = scene(area_m=[[0.77, 0.81], [5, 0.81], [5, 3], [0.77, 3]], pitch_m=0.6, height_m=2.2)
    points = receiver_points(made)
    assert points[0, :2] == pytest.approx([1.2, 1.2])
    assert points[:, :2] / 0.6 == pytest.approx(np.round(points[:, :2] / 0.6))


def test_a_point_just_above_a_desk_is_too_close() -> None:
    made = scene()
    points = receiver_points(made)
    (desk,), (screen,) = made.furniture, made.walls
    for height, covered in ((0.5, 6), (0.79, 6), (0.81, 0)):
        points[:, 2] = height
        # Desk x 1 to 2, y 2.5 to 3.5: 3 x 2 points.
        assert inside_furniture(made, desk, points).sum() == covered
    points[:, 0] += 0.5  # the column at 2.5 now stands in the screen x = 3, y 1 to 3
    for height, covered in ((0.5, 5), (2.04, 5), (2.06, 0)):
        points[:, 2] = height
        assert inside_wall(made, screen, points).sum() == covered


def test_receivers_under_things_are_not_dropped() -> None:
    # That is a fault to tell (`twin.scene.check`), not to hide.
    assert len(receiver_points(scene(height_m=0.5))) == len(receiver_points(scene(height_m=2.2)))


ROOMS = [("lecture_theatre", "lecture_theatre"), ("office_wing", "office")]


def survey(room: str) -> set[tuple[int, int]]:
    """Grid indices of a real room's points."""
    folder = os.environ.get("TWIN_DATA_DIR")
    if not folder:
        pytest.skip("TWIN_DATA_DIR is not set")
    found = set()
    for split in ("train", "test"):
        path = Path(folder) / "wifi_rtt_rooms" / f"database_{room}_{split}.csv.xz"
        if not path.is_file():
            pytest.skip(f"{path.name} is not there")
        with lzma.open(path, "rt") as lines:
            next(lines)
            for line in lines:
                x, y, *_ = line.split(",")
                found.add((int(float(x)), int(float(y))))
    return found


@pytest.mark.parametrize(("name", "room"), ROOMS)
def test_every_surveyed_point_is_a_receiver(name: str, room: str) -> None:
    points = receiver_points(load_scene(name))
    indices = {(int(i), int(j)) for i, j in np.round(points[:, :2] / 0.6)}
    assert survey(room) <= indices


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("lecture_theatre", [3, 10, 18.8, 3, 19], [9, 9, 9, 21, 21]),
        ("office_wing", [1, 11, 15, 20, 25], [5, -1, 6, -1, 5]),
    ],
)
def test_access_points_stand_where_the_data_set_says(
    name: str, x: list[float], y: list[float]
) -> None:
    made = load_scene(name)
    position = np.array([ap.position_m[:2] for ap in made.access_points])
    assert position == pytest.approx(0.6 * np.column_stack([x, y]))
    assert [ap.name for ap in made.access_points] == ["AP1", "AP2", "AP3", "AP4", "AP5"]
