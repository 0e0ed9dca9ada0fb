"""The declaration itself: shapes, defaults, digest, names of the library."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import BaseModel

from twin.config import validate
from twin.errors import InputError
from twin.perturb.table import PerturbationTable
from twin.scene.contents import Furniture
from twin.scene.declaration import Scene, scene_digest
from twin.scene.fields import leaves
from twin.scene.interiors import Layer, Room, Wall
from twin.scene.library import library, load_scene, scene_path
from twin.scene.materials import ITU_P2040
from twin.scene.schema import json_schema


def room(**changes: Any) -> Room:
    content = {
        "outline_m": [[0, 0], [4, 0], [4, 3], [0, 3]],
        "height_m": 2.5,
        "wall_material": "m",
        "floor_material": "m",
        "ceiling_material": "m",
    }
    return validate(content | changes, Room, "room")


def test_unshifted_outline_is_the_declared_one() -> None:
    plain = room()
    assert plain.wall_offsets_m == (0.0,) * 4
    assert np.array_equal(plain.shifted_outline(), [[0, 0], [4, 0], [4, 3], [0, 3]])


@pytest.mark.parametrize("clockwise", [False, True])
def test_offsets_move_each_edge_outward(clockwise: bool) -> None:
    outline = [[0, 0], [4, 0], [4, 3], [0, 3]]
    offsets = [0.1, 0.2, 0.3, -0.4]  # south, east, north, west
    if clockwise:  # vertices reversed; then edges run north, east, south, west
        outline, offsets = outline[::-1], [0.3, 0.2, 0.1, -0.4]
    moved = room(outline_m=outline, wall_offsets_m=offsets).shifted_outline()
    assert moved.min(axis=0) == pytest.approx([0.4, -0.1])
    assert moved.max(axis=0) == pytest.approx([4.2, 3.3])


def test_edges_in_line_share_the_mean_offset() -> None:
    outline = [[0, 0], [2, 0], [4, 0], [4, 3], [0, 3]]
    moved = room(outline_m=outline, wall_offsets_m=[0.2, 0.4, 0, 0, 0]).shifted_outline()
    assert moved[1] == pytest.approx([2.0, -0.3])


def test_oblique_edge_moves_along_its_normal() -> None:
    moved = room(outline_m=[[0, 0], [1, 0], [0, 1]], wall_offsets_m=[0, 1, 0]).shifted_outline()
    assert moved == pytest.approx(
        np.array([[0, 0], [1 + np.sqrt(2), 0], [0, 1 + np.sqrt(2)]]), abs=1e-12
    )


def test_one_offset_for_each_edge() -> None:
    with pytest.raises(InputError, match="as many `wall_offsets_m` as edges"):
        room(wall_offsets_m=[0.1, 0.1])


def test_wall_offset_moves_along_the_left_normal() -> None:
    wall = validate(
        {"name": "w", "path_m": [[0, 0], [2, 0]], "material": "m", "offset_m": 0.5}, Wall, "w"
    )
    assert wall.shifted_path() == pytest.approx(np.array([[0, 0.5], [2, 0.5]]))


def test_footprint_turns_with_yaw() -> None:
    content = {"name": "f", "centre_m": [1, 1], "size_m": [2, 1, 1], "material": "m", "yaw_deg": 90}
    corners = validate(content, Furniture, "f").footprint()
    assert corners.min(axis=0) == pytest.approx([0.5, 0.0])
    assert corners.max(axis=0) == pytest.approx([1.5, 2.0])


def test_digest_knows_content_not_spelling(tmp_path: Path) -> None:
    path = scene_path("office_wing")
    content = yaml.safe_load(path.read_text())
    scene = load_scene("office_wing")
    spelt = copy.deepcopy(content)
    spelt["room"]["wall_offsets_m"] = [0, 0, 0, 0]  # a default, written out, as integers
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(spelt))
    assert scene_digest(load_scene(again)) == scene_digest(scene)
    spelt["room"]["height_m"] += 1e-9
    assert scene_digest(validate(spelt, Scene, "s")) != scene_digest(scene)


def test_plain_content_reads_back_as_the_same_scene() -> None:
    scene = load_scene("lecture_theatre")
    assert validate(scene.plain(), Scene, "again").in_folder(scene.folder) == scene


def test_leaves_address_by_name_and_axis() -> None:
    scene = load_scene("office_wing")
    found = {leaf.dotted: leaf for leaf in leaves(scene)}
    height = found["access_points.AP3.position_m.z"]
    assert (height.value, height.keys) == (1.2, ("access_points", 2, "position_m", 2))
    assert height.limits is not None
    assert height.limits.unit == "m"
    assert found["materials.wood.thickness_m"].value == 0.025
    assert found["room.wall_offsets_m.3"].value == 0.0
    assert found["access_points.AP1.pattern"].choices == ("iso", "dipole", "hw_dipole", "tr38901")
    assert "materials.wood.relative_permittivity" not in found


def test_library_holds_the_two_rooms() -> None:
    assert {"lecture_theatre", "office_wing"} <= set(library())
    assert scene_path(scene_path("office_wing").parent) == scene_path("office_wing")


def test_unknown_scene_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"lecture_theatre,.* office_wing,.*found attic"):
        load_scene("attic")


def test_json_schema_carries_units_and_ranges(tmp_path: Path) -> None:
    json_schema(Scene, tmp_path / "scene.json")
    schema = json.loads((tmp_path / "scene.json").read_text())
    height = schema["$defs"]["Room"]["properties"]["height_m"]
    assert (height["minimum"], height["maximum"], height["description"]) == (
        1.8,
        60.0,
        "From floor to ceiling. Unit: m.",
    )
    assert "schema" in schema["required"]
    assert schema["additionalProperties"] is False


def described(schema: dict[str, Any]) -> dict[str, str | None]:
    """Words of all properties of a schema, by class and key."""
    parts = {"": schema, **schema["$defs"]}
    return {
        f"{name}.{key}": content.get("description")
        for name, part in parts.items()
        for key, content in part.get("properties", {}).items()
    }


@pytest.mark.parametrize("model", [Scene, PerturbationTable])
def test_every_key_of_a_schema_is_put_into_words(model: type[BaseModel], tmp_path: Path) -> None:
    json_schema(model, tmp_path / "schema.json")
    schema = json.loads((tmp_path / "schema.json").read_text())
    found = described(schema)
    assert len(found) > 20
    # A unit alone says nothing about the key.
    assert [key for key, words in found.items() if not words or words.startswith("unit: ")] == []
    # The words of the keys are no part of those of their class.
    assert all("Args:" not in part.get("description", "") for part in schema["$defs"].values())
    assert "Args:" not in schema["description"]


def test_words_of_a_schema_are_those_of_the_class_and_of_those_it_extends(tmp_path: Path) -> None:
    json_schema(Scene, tmp_path / "scene.json")
    found = described(json.loads((tmp_path / "scene.json").read_text()))
    assert found["Storey.height_m"] == found["Room.height_m"]
    assert found["Storey.bottom_m"] == "Height of its floor above z = 0. Unit: m."
    assert found["GridArea.pitch_m"] == "From point to point. Unit: m."
    assert found["Material.conductivity_scale"] == "Factor to the conductivity, of every layer."
    assert found[".schema"] == "What kind of file this is, and of which version."


def test_a_schema_lists_the_itu_materials_that_a_model_takes_as_text(tmp_path: Path) -> None:
    json_schema(Scene, tmp_path / "scene.json")
    parts = json.loads((tmp_path / "scene.json").read_text())["$defs"]
    for part in ("Layer", "Material"):
        text, nothing = parts[part]["properties"]["itu"]["anyOf"]
        assert text == {"type": "string", "enum": list(ITU_P2040)}
        assert nothing == {"type": "null"}
    # Whether a material is known is for the check to say, with the band.
    assert Layer(itu="cheese", thickness_m=0.1).itu == "cheese"
