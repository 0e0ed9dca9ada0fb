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
from twin.scene import furnishing
from twin.scene.declaration import Scene
from twin.scene.library import load_scene
from twin.scene.obstacles import covered, inside_furniture, inside_wall, settled
from twin.scene.receivers import (
    area_points,
    in_place,
    is_outdoors,
    paired_points,
    receiver_points,
    standing,
)

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
    for height, under in ((0.5, 6), (0.79, 6), (0.81, 0)):
        points[:, 2] = height
        # Desk x 1 to 2, y 2.5 to 3.5: 3 x 2 points.
        assert inside_furniture(made, desk, points).sum() == under
    points[:, 0] += 0.5  # the column at 2.5 now stands in the screen x = 3, y 1 to 3
    for height, behind in ((0.5, 5), (2.04, 5), (2.06, 0)):
        points[:, 2] = height
        assert inside_wall(made, screen, points).sum() == behind


def test_receivers_under_things_are_not_dropped() -> None:
    # That is a fault to tell (`twin.scene.check`), not to hide.
    assert len(receiver_points(scene(height_m=0.5))) == len(receiver_points(scene(height_m=2.2)))


HOUSE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "house.yaml").read_text())
YARD: dict[str, Any] = {
    "name": "yard",
    "kind": "grid",
    "area_m": [[-6, -5], [-1, -5], [-1, 5], [-6, 5]],
    "pitch_m": 1,
    "height_m": 1.5,
    "blocked": "leave_out",
}
UPSTAIRS_FIRST = {"storeys": [HOUSE["storeys"][1], HOUSE["storeys"][0]]}


def yard(area: dict[str, Any], **changes: Any) -> Scene:
    return validate(copy.deepcopy(HOUSE) | changes | {"receivers": [area]}, Scene, "house")


@pytest.mark.parametrize("changes", [{}, UPSTAIRS_FIRST], ids=["ground first", "upper first"])
def test_an_area_beside_the_house_counts_from_the_ground_and_keeps_its_points(
    changes: dict[str, Any],
) -> None:
    made = yard(YARD, **changes)
    points = receiver_points(made)
    assert len(points) == 6 * 11
    assert set(points[:, 2]) == {1.5}
    assert np.array_equal(paired_points(made, made), points)


OUTDOORS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "beside": (YARD, {}, True),
    "along the wall": (YARD | {"area_m": [[-6, 0], [0, 0], [0, 5], [-6, 5]]}, {}, True),
    "with a storey": (YARD | {"storey": "ground"}, {}, False),
    "reaching in": (YARD | {"area_m": [[-6, 0], [1, 0], [1, 5], [-6, 5]]}, {}, False),
    "around": (YARD | {"area_m": [[-6, -6], [12, -6], [12, 12], [-6, 12]]}, {}, False),
    "a walk past": (
        {key: YARD[key] for key in ("name", "height_m")}
        | {"kind": "trajectory", "path_m": [[-2, -2], [12, -2]], "interval_s": 1},
        {},
        True,
    ),
    "points about it": (
        {key: YARD[key] for key in ("name", "height_m")}
        | {"kind": "points", "points_m": [[-2, 4], [12, 4]]},
        {},
        True,
    ),
    "no outdoors": (
        YARD,
        {"ground": None, "buildings": [], "roads": [], "vehicles": []},
        False,
    ),
}


@pytest.mark.parametrize("what", OUTDOORS)
def test_which_areas_lie_outdoors(what: str) -> None:
    area, changes, expected = OUTDOORS[what]
    made = yard(area, **changes)
    assert is_outdoors(made, made.receivers[0]) is expected


def test_drawn_walls_put_no_area_elsewhere_but_may_reach_its_points() -> None:
    made = yard(YARD)
    content = copy.deepcopy(HOUSE)
    content["storeys"][0]["wall_offsets_m"] = [0, 0, 0, 2.5]
    wider = yard(YARD, storeys=content["storeys"])
    points = receiver_points(made)
    assert np.array_equal(paired_points(made, wider), points)
    inside = (points[:, 0] > -2.6) & (points[:, 1] > -0.05)
    assert 0 < inside.sum() < len(points)
    assert np.array_equal(in_place(wider, wider.receivers[0], points), ~inside)


def test_outdoors_points_keep_clear_of_the_ground() -> None:
    low = yard(YARD | {"height_m": 0.04})
    assert len(receiver_points(low)) == 0


CROWDED = {
    "clutter": [HOUSE["clutter"][0] | {"density_per_m2": 0.6}],
    "furniture": [*HOUSE["furniture"], {"name": "gone", "kind": "table", "centre_m": [8, 6]}],
}
SPOTS: dict[str, Any] = {
    "name": "spots",
    "kind": "random",
    "area_m": [[0.2, 0.2], [4.8, 0.2], [4.8, 3.8], [0.2, 3.8]],
    "count": 9000,
    "height_m": 0.5,
    "blocked": "leave_out",
}


def test_clutter_is_placed_once_for_all_points(monkeypatch: pytest.MonkeyPatch) -> None:
    made = yard(SPOTS, **CROWDED)
    assert made.clutter
    place, calls = furnishing._placed, []

    def counted(scene: Scene) -> Any:
        calls.append(scene.name)
        return place(scene)

    monkeypatch.setattr(furnishing, "_placed", counted)
    points = receiver_points(made)
    assert len(points) == 9000
    assert len(calls) == 1
    # Block by block of all places, what stands there is asked of the scene itself.
    everywhere = made.receivers[0].model_copy(update={"blocked": "refuse", "count": 40_000})
    places = area_points(made, everywhere)
    assert np.array_equal(places[standing(made, made.receivers[0], places)][:9000], points)
    assert (~standing(made, made.receivers[0], places)).sum() > 1000


def test_a_wall_covers_what_it_grew_to_with_the_outline() -> None:
    content = copy.deepcopy(SOUND)
    content["room"]["wall_offsets_m"] = [0, 0, 0.4, 0]
    content["walls"][0]["path_m"] = [[3, 1], [3, 4]]
    made = validate(content, Scene, "box")
    points = np.array([[3.0, 3.9, 1.0], [3.0, 4.2, 1.0], [3.2, 4.2, 1.0]])
    assert inside_wall(made, made.walls[0], points).tolist() == [True, True, False]


def test_a_settled_scene_is_the_same_place(tmp_path: Path) -> None:
    content = copy.deepcopy(CROWDED)
    content["furniture"][0] = content["furniture"][0] | {"present": False}
    made = yard(SPOTS, **content).in_folder(tmp_path)
    still = settled(made)
    assert still.folder == tmp_path
    assert still.clutter == ()
    assert furnishing.furnished(still) == furnishing.furnished(made)
    assert settled(still) is still
    points = area_points(made, made.receivers[0].model_copy(update={"blocked": "refuse"}))
    expected, found = covered(made, points), covered(still, points)
    assert list(found) == list(expected)
    assert all(np.array_equal(found[name], mask) for name, mask in expected.items())


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
