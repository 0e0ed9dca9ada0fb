"""The plan view: a readable picture that shows what it should."""

from __future__ import annotations

import copy
import re
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
from twin.scene.palette import material_colours
from twin.scene.panels import panels
from twin.scene.plan_shapes import outlines, section, strokes

SOUND: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())
DOOR = {
    "name": "door",
    "wall": "screen",
    "at_m": 0.5,
    "width_m": 1.0,
    "height_m": 1.9,
    "material": "sheet",
    "state": "open",
}


def box(**changes: Any) -> Scene:
    return validate({**copy.deepcopy(SOUND), **changes}, Scene, "s")


def tower() -> Scene:
    """The box twice, one on the other."""
    content = copy.deepcopy(SOUND)
    room = content.pop("room")
    content["storeys"] = [
        {"name": "low", "bottom_m": 0, **room},
        {"name": "high", "bottom_m": 2.5, **room},
    ]
    content["furniture"].append({"name": "upper", "kind": "desk", "centre_m": [4, 3]})
    content["furniture"][-1]["storey"] = "high"
    content["access_points"][1]["position_m"][2] = 4.5
    content["receivers"].append({**content["receivers"][0], "name": "up", "storey": "high"})
    return validate(content, Scene, "s")


def street() -> Scene:
    content = copy.deepcopy(SOUND)
    for key in ("room", "walls", "furniture"):
        del content[key]
    content["ground"] = {"area_m": [[-20, -20], [20, -20], [20, 20], [-20, 20]]}
    content["ground"]["material"] = "concrete"
    content["materials"]["metal"] = {"itu": "metal", "thickness_m": 0.002}
    content["buildings"] = [
        {
            "name": "house",
            "footprint_m": [[-15, 6], [15, 6], [15, 15], [-15, 15]],
            "height_m": 9,
            "wall_material": "concrete",
            "roof_material": "sheet",
        }
    ]
    content["roads"] = [
        {"name": "road", "path_m": [[-20, 0], [20, 0]], "width_m": 8, "material": "sheet"}
    ]
    content["vehicles"] = [{"name": "bus", "kind": "bus", "road": "road", "at_m": 10}]
    return validate(content, Scene, "s")


def drawn(scene: Scene, path: Path, **options: Any) -> np.ndarray[Any, Any]:
    plan(scene, path, **options)
    return imread(path)


def texts(path: Path) -> list[str]:
    """What an SVG says: matplotlib draws letters as shapes, and keeps the words in comments."""
    return [found.strip() for found in re.findall(r"<!--(.*?)-->", path.read_text(), re.DOTALL)]


@pytest.mark.parametrize("name", ["lecture_theatre", "office_wing"])
def test_plan_is_a_picture_of_useful_size(name: str, tmp_path: Path) -> None:
    picture = drawn(load_scene(name), tmp_path / "plan.png")
    assert min(picture.shape[:2]) > 400
    # Not a blank page, and not one flooded with colour.
    ink = float((picture[..., :3] < 0.99).any(axis=2).mean())
    assert 0.02 < ink < 0.8


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"furniture": [{**SOUND["furniture"][0], "present": False}]}),
        ({"openings": [DOOR]}, {"openings": [{**DOOR, "state": "closed"}]}),
        ({}, {"openings": [DOOR]}),
        ({}, {"access_points": [*SOUND["access_points"][:1]]}),
        (
            {"access_points": [{**SOUND["access_points"][0], "active": False}]},
            {"access_points": [SOUND["access_points"][0]]},
        ),
        (
            {"access_points": [{**SOUND["access_points"][0], "array": {"columns": 4}}]},
            {"access_points": [SOUND["access_points"][0]]},
        ),
    ],
)
def test_plan_shows_what_changed(
    before: dict[str, Any], after: dict[str, Any], tmp_path: Path
) -> None:
    one, other = (drawn(box(**change), tmp_path / "plan.png") for change in (before, after))
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_the_same_scene_gives_the_same_bytes(tmp_path: Path) -> None:
    for suffix in (".png", ".svg"):
        one, other = tmp_path / f"one{suffix}", tmp_path / f"other{suffix}"
        plan(box(openings=[DOOR]), one)
        plan(box(openings=[DOOR]), other)
        assert one.read_bytes() == other.read_bytes()


def test_an_svg_says_what_is_there(tmp_path: Path) -> None:
    plan(box(openings=[DOOR]), tmp_path / "plan.svg")
    said = texts(tmp_path / "plan.svg")
    for text in (
        "A box",
        "5.25 GHz, 80 MHz, room height 2.5 m",
        "outer wall, concrete",
        "inner wall, sheet",
        "open door, sheet",
        "low furniture, sheet",
        "grid: 20 receivers, 1.1 m high",
        "access point, 2.00 m high",
        "AP1",
        "1 m",
    ):
        assert text in said


def test_each_storey_has_a_panel_with_what_is_on_it(tmp_path: Path) -> None:
    shown = panels(tower())
    assert [panel.shell.name for panel in shown if panel.shell] == ["low", "high"]
    assert [[ap.name for ap in panel.access_points] for panel in shown] == [["AP1"], ["AP2"]]
    assert [[area.name for area in panel.areas] for panel in shown] == [["grid"], ["up"]]
    assert [panel.height_m for panel in shown] == pytest.approx([1.1, 3.6])
    things = [[shape.what for shape in outlines(tower(), panel)] for panel in shown]
    assert things == [["low furniture"], ["low desk"]]
    both = drawn(tower(), tmp_path / "both.png")
    one = drawn(tower(), tmp_path / "one.png", storey="high")
    assert both.shape[1] > one.shape[1]
    plan(tower(), tmp_path / "high.svg", storey="high")
    said = texts(tmp_path / "high.svg")
    assert "AP2" in said
    assert "AP1" not in said


def test_a_street_shows_buildings_roads_and_vehicles(tmp_path: Path) -> None:
    (panel,) = panels(street())
    assert panel.outdoors
    whats = [(shape.what, shape.material) for shape in outlines(street(), panel)]
    assert whats == [("building", "concrete"), ("bus", "metal")]
    plan(street(), tmp_path / "street.svg")
    said = texts(tmp_path / "street.svg")
    assert {"ground, concrete", "road, sheet", "building, concrete", "bus, metal"} <= {*said}
    assert "house" in said


def test_a_wall_stops_at_its_door_and_the_leaf_swings() -> None:
    scene = box(openings=[DOOR])
    (panel,) = panels(scene)
    found = list(strokes(scene, panel))
    runs = [stroke.path for stroke in found if stroke.what == "inner wall"]
    # The screen runs from (3, 1) to (3, 3), its door from 0.5 m to 1.5 m along it.
    assert sorted(float(np.hypot(*(run[1] - run[0]))) for run in runs) == pytest.approx([0.5, 0.5])
    (leaf,) = [stroke.path for stroke in found if stroke.what == "open door"]
    assert leaf == pytest.approx(np.array([[3.0, 1.5], [2.0, 1.5]]))
    (swing,) = [stroke.path for stroke in found if stroke.what == ""]
    assert np.hypot(*(swing - [3.0, 1.5]).T) == pytest.approx(np.ones(len(swing)))
    assert swing[[0, -1]] == pytest.approx(np.array([[3.0, 2.5], [2.0, 1.5]]))


def test_meshes_are_cut_at_a_height() -> None:
    # A triangle that stands, one above the cut, one with a corner in it.
    corners = np.array(
        [
            [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 2.0]],
            [[0.0, 1.0, 3.0], [1.0, 1.0, 3.0], [0.0, 2.0, 4.0]],
            [[5.0, 0.0, 1.0], [5.0, 2.0, 0.0], [5.0, -2.0, 0.0]],
        ]
    )
    lines = section(corners, 1.0)
    assert lines[0] == pytest.approx(np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert lines[1] == pytest.approx(np.array([[5.0, 0.0], [5.0, 0.0]]))
    assert len(lines) == 2
    assert section(corners, 9.0).shape == (0, 2, 2)


def test_crowded_names_are_thinned_out(tmp_path: Path) -> None:
    crowd = [
        {**SOUND["access_points"][0], "name": f"NODE{i}", "position_m": [1 + 0.01 * i, 1, 2]}
        for i in range(8)
    ]
    far = {**SOUND["access_points"][0], "name": "FAR", "position_m": [5, 3, 2]}
    plan(box(access_points=[*crowd, far]), tmp_path / "plan.svg")
    said = texts(tmp_path / "plan.svg")
    assert sum(text.startswith("NODE") for text in said) == 1
    assert "FAR" in said


def test_what_stands_gets_the_colours_told_apart_best() -> None:
    scene = box(
        materials={**SOUND["materials"], "above": {"itu": "wood", "thickness_m": 0.02}},
        room={**SOUND["room"], "ceiling_material": "above"},
    )
    colours = material_colours(scene)
    assert list(colours) == ["concrete", "sheet", "above"]
    assert len({*colours.values()}) == 3


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("nowhere/plan.png", {}, r"plan\.png: expected a file that can be written"),
        ("plan.pdf", {}, r"plan\.pdf: expected a name that ends in \.png or \.svg"),
        ("plan.png", {"storey": "attic"}, r"plan: storey: expected low, high, found attic"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    name: str, options: dict[str, str], text: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=text):
        plan(tower(), tmp_path / name, **options)
    assert not list(tmp_path.iterdir())
