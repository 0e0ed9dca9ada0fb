"""Meshes: single sheets, closed where they must be, facing the right way."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from twin.config import validate
from twin.scene.declaration import Scene
from twin.scene.geometry import Surface, build
from twin.scene.library import load_scene

SOUND: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())


def scene(**room: Any) -> Scene:
    content = copy.deepcopy(SOUND)
    content["room"].update(room)
    return validate(content, Scene, "scene")


def by_name(made: Scene) -> dict[str, Surface]:
    return {surface.name: surface for surface in build(made)}


def normals(surface: Surface) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Normals whose length is twice the area of the triangle; (f, 3)."""
    a, b, c = (surface.vertices[surface.faces[:, i]] for i in range(3))
    return np.cross(b - a, c - a)


def area(surface: Surface) -> float:
    return float(np.linalg.norm(normals(surface), axis=1).sum() / 2.0)


def test_types_and_names_are_the_contract() -> None:
    surfaces = build(scene())
    assert [s.name for s in surfaces] == [
        *("floor", "ceiling", "wall 0", "wall 1", "wall 2", "wall 3"),
        *("inner wall screen", "furniture desk"),
    ]
    for surface in surfaces:
        assert surface.vertices.dtype == np.float64
        assert surface.faces.dtype == np.int32
        assert surface.faces.max() < len(surface.vertices)
        assert surface.material in SOUND["materials"]


@pytest.mark.parametrize(
    "outline",
    [
        [[0, 0], [6, 0], [6, 4], [0, 4]],
        [[0, 4], [6, 4], [6, 0], [0, 0]],
        [[0, 0], [6, 0], [6, 2], [2, 2], [2, 4], [0, 4]],
        [[0, 0], [3, 0], [6, 0], [6, 4], [3, 1], [0, 4]],
    ],
)
def test_floor_and_ceiling_cover_any_simple_outline(outline: list[list[float]]) -> None:
    made = scene(outline_m=outline)
    surfaces = by_name(made)
    x, y = np.array(outline, dtype=float).T
    expected = abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2.0
    for name, up in (("floor", 1.0), ("ceiling", -1.0)):
        assert area(surfaces[name]) == pytest.approx(expected)
        assert len(surfaces[name].faces) == len(outline) - 2
        assert (normals(surfaces[name])[:, 2] * up > 0.0).all()


@pytest.mark.parametrize(
    "outline", [[[0, 0], [6, 0], [6, 4], [0, 4]], [[0, 4], [6, 4], [6, 0], [0, 0]]]
)
def test_shell_faces_inward_and_keeps_edge_numbers(outline: list[list[float]]) -> None:
    surfaces = by_name(scene(outline_m=outline))
    for i in range(4):
        wall = surfaces[f"wall {i}"]
        ends = {tuple(v[:2]) for v in wall.vertices}
        assert ends == {tuple(map(float, outline[i])), tuple(map(float, outline[(i + 1) % 4]))}
        inward = np.array([3.0, 2.0, 1.25]) - wall.vertices.mean(axis=0)
        assert (normals(wall) @ inward > 0.0).all()
        assert len(wall.faces) == 2


def test_shell_is_closed() -> None:
    shell = [s for s in build(scene()) if s.name in ("floor", "ceiling") or s.name[:4] == "wall"]
    total = sum(normals(s).sum(axis=0) for s in shell)
    assert total == pytest.approx(np.zeros(3), abs=1e-9)


def test_wall_offset_moves_the_wall() -> None:
    moved = by_name(scene(wall_offsets_m=[0, 0.5, 0, 0]))["wall 1"]
    assert moved.vertices[:, 0] == pytest.approx([6.5] * 4)


def test_inner_wall_is_one_sheet_up_to_the_ceiling_where_no_height_is_given() -> None:
    content = copy.deepcopy(SOUND)
    content["walls"][0] = {
        "name": "bend",
        "path_m": [[3, 1], [3, 2], [4, 2]],
        "bottom_m": 0.5,
        "material": "sheet",
    }
    wall = by_name(validate(content, Scene, "s"))["inner wall bend"]
    assert len(wall.faces) == 4
    assert area(wall) == pytest.approx(2 * 2.0)
    assert (wall.vertices[:, 2].min(), wall.vertices[:, 2].max()) == (0.5, 2.5)


@pytest.mark.parametrize(
    ("bottom", "height", "sides"), [(0.0, 0.75, 5), (0.5, 0.75, 6), (0.0, 2.5, 4), (0.5, 2.0, 5)]
)
def test_box_leaves_out_faces_on_floor_and_ceiling(
    bottom: float, height: float, sides: int
) -> None:
    content = copy.deepcopy(SOUND)
    content["furniture"][0].update(bottom_m=bottom, size_m=[1, 1, height], yaw_deg=30)
    box = by_name(validate(content, Scene, "s"))["furniture desk"]
    assert len(box.faces) == 2 * sides
    assert area(box) == pytest.approx(4 * height + (sides - 4))
    centre = box.vertices.mean(axis=0)
    outward = box.vertices[box.faces].mean(axis=1) - centre
    assert (np.sum(normals(box) * outward, axis=1) > 0.0).all()


def test_absent_furniture_is_left_out() -> None:
    content = copy.deepcopy(SOUND)
    content["furniture"][0]["present"] = False
    assert "furniture desk" not in by_name(validate(content, Scene, "s"))


@pytest.mark.parametrize("name", ["lecture_theatre", "office_wing"])
def test_library_scenes_stay_small(name: str) -> None:
    # Tracing time grows with the scene; these two are the ones every demo traces.
    assert sum(len(surface.faces) for surface in build(load_scene(name))) < 150
