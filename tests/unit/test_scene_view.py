"""The page to turn a scene about: whole in itself, with what the scene, its map and paths hold."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from twin.config import validate
from twin.errors import InputError
from twin.scene.declaration import Scene
from twin.scene.geometry import build
from twin.scene.path_lines import PathLines
from twin.scene.receivers import area_points, receiver_points
from twin.scene.view import write_page
from twin.scene.view_layers import Layer, layers

SOUND: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())
LIBRARY = "the library"
NUMBER = 6


@pytest.fixture(autouse=True)
def _without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    # Five megabytes a page, which no test looks into.
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: f"/* {LIBRARY} */")


def box(**changes: Any) -> Scene:
    return validate({**copy.deepcopy(SOUND), **changes}, Scene, "s")


def radio_map() -> xr.Dataset:
    free = np.array([[True, True, False], [True, True, True]])
    rss = np.array(
        [[[-40, -60], [-50, np.nan], [np.nan, np.nan]], [[-45, -44], [np.nan, np.nan], [-70, -41]]]
    )
    return xr.Dataset(
        {
            "rss": (("y", "x", "ap"), rss),
            "toa": (("y", "x", "ap"), np.where(np.isfinite(rss), 1e-8, np.nan)),
            "los": (("y", "x", "ap"), rss > -55),
            "best_ap": (("y", "x"), np.array([[0, 0, -1], [1, -1, 1]], np.int16)),
            "peb": (("y", "x"), np.array([[np.nan] * 3, [0.5, np.nan, np.nan]], np.float32)),
            "free": (("y", "x"), free),
        },
        coords={"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0], "ap": ["AP1", "AP2"]},
        attrs={"pitch_m": 1.0, "height_m": 1.1, "floor_m": 0.0, "storey": ""},
    )


def links() -> PathLines:
    """Two receivers: to the first a straight path and one with a reflection, to the second none
    with any power. The first is one of the box's, the second is not where its number says."""
    nan = [np.nan] * 3
    ap, first, second = [1, 1, 2], [1.5, 1.5, 1.1], [2, 2, 1.1]
    return PathLines(
        points=np.array([first, second], dtype=float),
        numbers=np.array([NUMBER, 3]),
        access_points=("AP1", "AP2"),
        point=np.array([0, 0, 1]),
        access_point=np.array([0, 1, 0]),
        power_db=np.array([-50.0, -71.26, -np.inf]),
        delay_s=np.array([3.8e-9, 2e-8, 5e-9]),
        interactions=np.array([[0, 0], [1, 4], [0, 0]], dtype=np.int8),
        corners=np.array(
            [
                [ap, first, nan, nan],
                [[5, 3, 2], [3, 4, 1.5], [2, 2.5, 1.2], first],
                [ap, second, nan, nan],
            ],
            dtype=float,
        ),
    )


class _Parts(HTMLParser):
    """Tags with their attributes, and the text of scripts by their type."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and data.strip():
            self.scripts.append((self.tags[-1][1].get("type") or "", data))


def parts_of(path: Path) -> _Parts:
    parts = _Parts()
    parts.feed(path.read_text(encoding="utf-8"))
    return parts


def content_of(path: Path) -> dict[str, Any]:
    (content,) = [text for kind, text in parts_of(path).scripts if kind == "application/json"]
    found: dict[str, Any] = json.loads(content)
    return found


@pytest.fixture
def page(tmp_path: Path) -> Path:
    write_page(box(), tmp_path / "box.html", radio_map=radio_map(), links=links())
    return tmp_path / "box.html"


def test_a_page_needs_no_network(page: Path) -> None:
    parts = parts_of(page)
    for tag, attributes in parts.tags:
        assert tag not in {"link", "iframe", "img", "object", "embed"}
        assert not {"src", "href", "data"} & {*attributes}
    assert re.findall(r"https?://|@import|url\(", page.read_text(encoding="utf-8")) == []
    scripts = [text for kind, text in parts.scripts if not kind]
    assert [LIBRARY in text for text in scripts] == [True, False]
    assert page.read_text(encoding="utf-8").count("<!DOCTYPE html>") == 1


def test_every_element_that_the_script_asks_for_is_there(page: Path) -> None:
    parts = parts_of(page)
    asked = {*re.findall(r'(?:byId|getElementById)\("([^"]+)"\)', parts.scripts[-1][1])}
    assert len(asked) > 10
    assert asked <= {attributes.get("id") for _, attributes in parts.tags}


def test_layers_hold_all_triangles_by_part_and_material(page: Path) -> None:
    found = content_of(page)["layers"]
    named = [(layer["part"], layer["material"], layer["visible"]) for layer in found]
    assert named == [
        ("floor", "concrete", True),
        ("ceiling", "sheet", False),
        ("walls", "concrete", True),
        ("walls", "sheet", True),
        ("furniture", "sheet", True),
    ]
    triangles = sum(len(surface.faces) for surface in build(box()))
    assert sum(len(layer["faces"][0]) for layer in found) == triangles
    for layer in found:
        count = len(layer["vertices"][0])
        assert all(0 <= index < count for corner in layer["faces"] for index in corner)
        assert {len(axis) for axis in layer["lines"]} == {len(layer["lines"][0])}
        assert layer["lines"][0][2::3] == [None] * (len(layer["lines"][0]) // 3)


def test_outlines_are_rims_and_edges_but_no_diagonals() -> None:
    by_part = {layer.part: layer for layer in layers(box())}
    # A rectangle of two triangles has four rims, a desk without a bottom twelve edges.
    assert len(by_part["floor"].outlines()) == 4
    assert len(by_part["furniture"].outlines()) == 12
    bent = Layer(
        "mesh",
        "sheet",
        np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        np.array([[0, 1, 2], [0, 1, 3], [1, 1, 1]]),
    )
    assert len(bent.outlines()) == 5


def test_access_points_and_receivers_are_named_and_placed(page: Path) -> None:
    content = content_of(page)
    assert [ap["name"] for ap in content["access_points"]] == ["AP1", "AP2"]
    assert content["access_points"][1]["place"] == [5, 3, 2]
    assert "dipole" in content["access_points"][1]["text"]
    assert content["receivers"]["total"] == 20
    assert len(content["receivers"]["places"][0]) == 20
    assert content["receivers"]["linked"] == [[1.5, 2.0], [1.5, 2.0], [1.1, 1.1]]


def test_many_receivers_are_thinned_out(tmp_path: Path) -> None:
    many = [{**SOUND["receivers"][0], "pitch_m": 0.02}]
    write_page(box(receivers=many), tmp_path / "many.html")
    receivers = content_of(tmp_path / "many.html")["receivers"]
    assert receivers["total"] > 7000
    assert 1500 < len(receivers["places"][0]) <= 3000


def test_the_map_has_a_value_for_each_free_cell(page: Path) -> None:
    found = content_of(page)["map"]
    # Counted in rows of three.
    assert found["cells"] == [0, 1, 3, 4, 5]
    fields = {field["key"]: field for field in found["fields"]}
    assert [*fields] == ["best_rss", "rss_0", "rss_1", "first_path", "in_sight", "best_ap", "peb"]
    assert fields["best_rss"]["values"] == [-40, -50, -44, None, -41]
    assert fields["rss_1"]["values"] == [-60, None, -44, None, -41]
    assert fields["best_ap"]["values"] == [0, 0, 1, None, 1]
    assert fields["best_ap"]["names"] == ["AP1", "AP2"]
    assert fields["in_sight"]["values"] == [1, 1, 2, 0, 1]
    assert fields["peb"]["values"] == [None, None, 0.5, None, None]
    assert fields["first_path"]["values"][0] == pytest.approx(2.998, abs=0.01)


def test_paths_come_with_corners_power_delay_and_kinds(page: Path) -> None:
    first, second = content_of(page)["links"]["paths"]
    # The access points send with 20 dBm.
    assert first[0] == {
        "ap": 0,
        "dbm": -30.0,
        "ns": 3.8,
        "m": 1.14,
        "kinds": [],
        "corners": [[1, 1, 2], [1.5, 1.5, 1.1]],
    }
    assert (first[1]["dbm"], first[1]["kinds"]) == (-51.3, [1, 4])
    assert first[1]["corners"] == [[5, 3, 2], [3, 4, 1.5], [2, 2.5, 1.2], [1.5, 1.5, 1.1]]
    # What an antenna's null takes all power of is no path to draw.
    assert second == []


def test_receivers_with_paths_go_by_their_number_in_the_scene(page: Path) -> None:
    found = content_of(page)["links"]
    assert found["numbers"] == [NUMBER, 3]
    assert receiver_points(box())[NUMBER].tolist() == [1.5, 1.5, 1.1]
    # The second is none of the scene's, whatever its number.
    assert found["areas"] == ["grid", ""]


def test_areas_of_receivers_are_told_apart(tmp_path: Path) -> None:
    grid = SOUND["receivers"][0]
    walk = {"name": "walk", "kind": "points", "points_m": [[4.5, 3.5], [5, 3.5]], "height_m": 1.5}
    scene = box(receivers=[grid, walk])
    points = receiver_points(scene)
    assert len(points) == len(area_points(scene, scene.receivers[0])) + 2
    chosen = np.array([0, 19, 20, 21])
    shown = replace(links(), points=points[chosen], numbers=chosen)
    write_page(scene, tmp_path / "two.html", links=shown)
    found = content_of(tmp_path / "two.html")["links"]
    assert found["areas"] == ["grid", "grid", "walk", "walk"]
    assert [len(paths) for paths in found["paths"]] == [2, 0, 0, 0]


def test_a_page_names_the_storey_of_its_map(tmp_path: Path) -> None:
    upper = radio_map().assign_attrs(storey="high", floor_m=2.5, height_m=3.6)
    write_page(box(), tmp_path / "box.html", radio_map=upper)
    found = content_of(tmp_path / "box.html")["map"]
    assert (found["storey"], found["floor"], found["height"]) == ("high", 2.5, 3.6)


def test_a_page_without_map_and_paths_has_neither(tmp_path: Path) -> None:
    write_page(box(), tmp_path / "bare.html")
    content = content_of(tmp_path / "bare.html")
    assert content["map"] is None
    assert content["links"] is None
    assert content["receivers"]["linked"] == []


def test_words_of_a_scene_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    title = "</script><script>alert('A & B')</script>"
    thing = {**SOUND["furniture"][0], "material": "sheet"}
    write_page(box(title=title, furniture=[thing]), tmp_path / "evil.html")
    parts = parts_of(tmp_path / "evil.html")
    assert len([tag for tag, _ in parts.tags if tag == "script"]) == 3
    assert title not in (tmp_path / "evil.html").read_text(encoding="utf-8")


def test_upper_floors_let_one_look_through() -> None:
    content = copy.deepcopy(SOUND)
    room = content.pop("room")
    content["storeys"] = [
        {"name": "wall", "bottom_m": 0, **room},
        {"name": "floor", "bottom_m": 2.5, **room},
    ]
    # Storeys may be named as parts are.
    found = {layer.part: layer for layer in layers(validate(content, Scene, "s"))}
    assert [*found] == ["floor", "upper floors", "ceiling", "walls", "furniture"]
    assert np.unique(found["upper floors"].vertices[:, 2]).tolist() == [2.5]
    assert np.unique(found["ceiling"].vertices[:, 2]).tolist() == [5.0]


def test_a_page_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"page\.html: expected a file that can be written"):
        write_page(box(), tmp_path / "file" / "page.html")
