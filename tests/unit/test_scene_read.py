"""Scene files: what they include, what earlier versions said, and what they may not do."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from twin.errors import InputError
from twin.scene.declaration import SCHEMA, scene_digest
from twin.scene.read import plain_content, read_scene
from twin.scene.receivers import receiver_points

BOX: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_scene(path)
    return str(caught.value)


def test_parts_in_other_files_make_the_same_scene(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.yaml", BOX)
    content = copy.deepcopy(BOX)
    sheet = {"materials": {"sheet": content["materials"].pop("sheet")}}
    inner = {"furniture": content.pop("furniture"), "include": ["parts/more.yaml"]}
    access_points = content["access_points"]
    content["access_points"] = access_points[:1]
    content["include"] = ["parts/inner.yaml", "parts/sheet.yaml"]
    write(tmp_path / "parts" / "sheet.yaml", sheet)
    write(tmp_path / "parts" / "inner.yaml", inner)
    write(tmp_path / "parts" / "more.yaml", {"access_points": access_points[1:]})
    made = read_scene(write(tmp_path / "scene.yaml", content))
    assert scene_digest(made) == scene_digest(read_scene(whole))
    assert made.folder == tmp_path


def test_what_is_given_twice_is_told(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", {"materials": {"sheet": BOX["materials"]["sheet"]}, "title": "B"})
    text = refusal(write(tmp_path / "scene.yaml", {**BOX, "include": ["a.yaml"]}))
    assert "materials.sheet: expected what no other file gives" in text
    assert "title: expected what no other file gives" in text


def test_files_that_include_each_other(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", {"include": ["b.yaml"]})
    write(tmp_path / "b.yaml", {"include": ["a.yaml"]})
    text = refusal(write(tmp_path / "scene.yaml", {**BOX, "include": ["a.yaml"]}))
    assert "scene.yaml -> a.yaml -> b.yaml -> a.yaml" in text


def test_a_hundred_files_at_most(tmp_path: Path) -> None:
    for level in range(8):
        write(tmp_path / f"{level}.yaml", {"include": [f"{level + 1}.yaml"] * 2})
    write(tmp_path / "8.yaml", {})
    text = refusal(write(tmp_path / "scene.yaml", {**BOX, "include": ["0.yaml"]}))
    assert "at most 100 included files" in text


@pytest.mark.parametrize("name", ["../outside.yaml", "link.yaml", "/etc/hostname"])
def test_nothing_outside_the_folder_is_read(tmp_path: Path, name: str) -> None:
    outside = write(tmp_path / "outside.yaml", {"title": "secret"})
    folder = tmp_path / "scene"
    folder.mkdir()
    (folder / "link.yaml").symlink_to(outside)
    text = refusal(write(folder / "scene.yaml", {**BOX, "include": [name]}))
    assert "a file inside the scene's folder" in text
    assert "secret" not in text


def test_names_that_no_file_can_have_are_refused_like_others(tmp_path: Path) -> None:
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    for name in ("a\0b.yaml", "n" * 300, "loop.yaml"):
        text = refusal(write(tmp_path / "scene.yaml", {**BOX, "include": [name]}))
        assert "include: expected" in text
        assert len(text) < 600


@pytest.mark.parametrize("named", ["a.yaml", [1], {"a": "b"}])
def test_an_include_is_a_list_of_names(tmp_path: Path, named: object) -> None:
    text = refusal(write(tmp_path / "scene.yaml", {**BOX, "include": named}))
    assert "include: expected a list of files" in text


def test_an_included_file_holds_parts(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", [1, 2])
    text = refusal(write(tmp_path / "scene.yaml", {**BOX, "include": ["a.yaml", "gone.yaml"]}))
    assert "a file that is there" in text
    text = refusal(write(tmp_path / "scene.yaml", {**BOX, "include": ["a.yaml"]}))
    assert "a map of parts of a scene" in text


def test_version_1_reads_as_the_same_place(tmp_path: Path) -> None:
    old = {**copy.deepcopy(BOX), "schema": "fingertwin/scene@1"}
    (area,) = old["receivers"]
    old["receivers"] = {key: area[key] for key in ("area_m", "pitch_m", "height_m")}
    made = read_scene(write(tmp_path / "old.yaml", old))
    present = read_scene(write(tmp_path / "scene.yaml", BOX))
    assert made.schema_version == SCHEMA
    assert scene_digest(made) == scene_digest(present)
    assert np.array_equal(receiver_points(made), receiver_points(present))


def test_an_unknown_version_is_refused(tmp_path: Path) -> None:
    text = refusal(write(tmp_path / "scene.yaml", {**BOX, "schema": "fingertwin/scene@9"}))
    assert "'fingertwin/scene@2'" in text


def test_content_of_what_is_no_map_is_left_to_the_model(tmp_path: Path) -> None:
    assert plain_content(write(tmp_path / "list.yaml", [1])) == [1]
    assert "input refused" in refusal(tmp_path / "list.yaml")
