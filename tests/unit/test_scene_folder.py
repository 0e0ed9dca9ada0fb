"""The writer of scene folders: whole or not at all, and nothing that would not load."""

from __future__ import annotations

import copy

import pytest

from twin.errors import InputError
from twin.scene.importers import scene_folder
from twin.scene.importers.scene_folder import readme, write_scene_folder
from twin.scene.read import read_scene

CONTENT = {
    "schema": "fingertwin/scene@2",
    "name": "box",
    "title": "A box: 5 m x 4 m",
    "source": "Nothing; yes, 1e5 of it.",
    "assumptions": ["All of it - every wall.", "1e3", "no"],
    "frequency_ghz": 5.25,
    "bandwidth_mhz": 80.0,
    "subcarriers": 8,
    "materials": {"1e2": {"itu": "concrete", "thickness_m": 0.2}},
    "room": {
        "outline_m": [[0.0, 0.0], [5.0, 0.0], [5.0, 4.0], [0.0, 4.0]],
        "height_m": 2.5,
        "wall_material": "1e2",
        "floor_material": "1e2",
        "ceiling_material": "1e2",
    },
    "access_points": [
        {"name": "AP1", "position_m": [1.0, 1.0, 2.0], "power_dbm": 20, "pattern": "iso"}
    ],
    "receivers": [
        {"name": "spot", "kind": "points", "height_m": 1.2, "points_m": [[2.0, 2.0], [3.0, 2.0]]}
    ],
}


def content(**changed):
    return copy.deepcopy(CONTENT) | changed


def left_over(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_what_is_written_reads_back_as_it_was(tmp_path):
    folder = write_scene_folder(
        tmp_path / "made" / "box", content(), "# Box\n", {"meshes/a.txt": b"a", "b.txt": b"b"}
    )
    assert folder == tmp_path / "made" / "box"
    scene = read_scene(folder / "scene.yaml")
    # Text that YAML could take for a number or a truth value is text still.
    assert scene.assumptions == ("All of it - every wall.", "1e3", "no")
    assert list(scene.materials) == ["1e2"]
    assert scene.access_points[0].position_m == (1.0, 1.0, 2.0)
    assert (folder / "README.md").read_text() == "# Box\n"
    assert (folder / "meshes" / "a.txt").read_bytes() == b"a"
    assert left_over(tmp_path / "made") == ["box"]


def test_a_part_is_a_line(tmp_path):
    folder = write_scene_folder(tmp_path / "box", content(), "")
    lines = (folder / "scene.yaml").read_text().splitlines()
    assert "- {name: AP1, position_m: [1.0, 1.0, 2.0], power_dbm: 20, pattern: iso}" in lines
    assert "  outline_m: [[0.0, 0.0], [5.0, 0.0], [5.0, 4.0], [0.0, 4.0]]" in lines


def test_an_empty_folder_is_filled_and_stays_the_same_one(tmp_path):
    folder = tmp_path / "box"
    folder.mkdir()
    before = folder.stat().st_ino
    write_scene_folder(folder, content(), "")
    assert folder.stat().st_ino == before
    assert left_over(folder) == ["README.md", "scene.yaml"]
    assert left_over(tmp_path) == ["box"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(
        InputError, match=r"not there yet, or empty, found one that holds note\.txt"
    ):
        write_scene_folder(tmp_path, content(), "")
    assert left_over(tmp_path) == ["note.txt"]
    with pytest.raises(InputError, match="something that is no folder"):
        write_scene_folder(tmp_path / "note.txt", content(), "")


def test_a_scene_that_would_not_load_is_not_written(tmp_path):
    no_model = content(bandwidth_mhz="wide", colour="red")
    with pytest.raises(InputError) as refused:
        write_scene_folder(tmp_path / "box", no_model, "")
    assert {fault.key for fault in refused.value.faults} == {"bandwidth_mhz", "colour"}
    outside = content()
    outside["access_points"][0]["position_m"] = [9.0, 9.0, 2.0]
    with pytest.raises(InputError, match=r"scene\.yaml: access_points\.AP1\.position_m"):
        write_scene_folder(tmp_path / "box", outside, "")
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "a\\b", "", "scene.yaml", "README.md"]
)
def test_no_file_leaves_the_folder_or_takes_the_scenes_place(tmp_path, name):
    with pytest.raises(InputError, match="a path inside the scene's folder"):
        write_scene_folder(tmp_path / "box", content(), "", {name: b""})
    assert left_over(tmp_path) == []


def test_a_disk_that_gives_up_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scene_folder, "_fill", full)
    with pytest.raises(InputError, match=r"a place that can be written, found .*No space left"):
        write_scene_folder(tmp_path / "box", content(), "")
    assert left_over(tmp_path) == []


def test_a_readme_counts_what_is_there():
    text = readme(content(), "boxes")
    assert text.startswith("# A box: 5 m x 4 m\n")
    assert "importer of boxes" in text
    assert "In it: 1 access points." in text
    assert "- All of it - every wall.\n" in text
