"""Storeys, openings, furniture of the catalogue, streets: their sheets, one by one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from twin.config import validate
from twin.errors import InputError
from twin.scene.check import check
from twin.scene.declaration import Scene
from twin.scene.geometry import Surface, build
from twin.scene.motion import along_path, person_as_furniture, vehicle_place

HOUSE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "house.yaml").read_text())


def house(**changes: Any) -> Scene:
    return validate({**copy.deepcopy(HOUSE), **changes}, Scene, "house")


def sheets(scene: Scene) -> dict[str, Surface]:
    return {surface.name: surface for surface in build(scene)}


def normals(surface: Surface) -> np.ndarray[Any, np.dtype[np.float64]]:
    a, b, c = (surface.vertices[surface.faces[:, i]] for i in range(3))
    return np.cross(b - a, c - a)


def area(surface: Surface) -> float:
    return float(np.linalg.norm(normals(surface), axis=1).sum() / 2.0)


def rim(*surfaces: Surface) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Directed edges that no other triangle runs along the other way."""
    edges = set()
    for surface in surfaces:
        corners = np.round(surface.vertices[surface.faces], 9)
        for triangle in corners:
            for i in range(3):
                edges.add((tuple(triangle[i]), tuple(triangle[(i + 1) % 3])))
    return [edge for edge in edges if edge[::-1] not in edges]


def test_the_house_is_sound() -> None:
    assert check(house(), "house") == []


def test_names_are_those_of_the_declaration() -> None:
    names = list(sheets(house()))
    assert len(set(names)) == len(names)
    assert {
        "ground floor",
        "upper ceiling",
        "ground wall 3",
        "inner wall bend",
        "opening ajar",
    } <= {*names}
    assert {"furniture seats_0", "person walker", "ground", "road main", "vehicle car"} <= {*names}
    assert {"building barn walls", "building barn roof"} <= {*names}


def test_one_sheet_between_two_storeys() -> None:
    found = sheets(house())
    # 10 x 8 m below, 6 x 8 m above: the ceiling is where no floor is.
    assert area(found["ground ceiling"]) == pytest.approx(4 * 8)
    assert area(found["upper floor"]) == pytest.approx(6 * 8 - 1 * 2)
    assert area(found["upper ceiling"]) == pytest.approx(6 * 8)
    assert (normals(found["ground ceiling"])[:, 2] < 0).all()
    assert (normals(found["upper floor"])[:, 2] > 0).all()


def test_a_gap_between_storeys_keeps_both_sheets() -> None:
    storeys = copy.deepcopy(HOUSE["storeys"])
    storeys[1]["bottom_m"] = 3.0
    assert area(sheets(house(storeys=storeys))["ground ceiling"]) == pytest.approx(80)


def test_openings_are_holes_of_their_size() -> None:
    found = sheets(house())
    assert area(found["inner wall bend"]) == pytest.approx(9 * 2.7 - 2 * 0.9 * 2.1)
    assert area(found["ground wall 1"]) == pytest.approx(8 * 2.7 - 1.5 * 1.2)
    assert area(found["opening window"]) == pytest.approx(1.5 * 1.2)
    assert found["opening window"].vertices[:, 0] == pytest.approx(10.0)


@pytest.mark.parametrize("turned", [False, True])
def test_a_shell_with_a_window_keeps_facing_inward(turned: bool) -> None:
    storeys = copy.deepcopy(HOUSE["storeys"])
    openings = copy.deepcopy(HOUSE["openings"])
    if turned:
        storeys[0]["outline_m"].reverse()  # edge 1 is then 10, 8 to 10, 0 seen from north
        openings[2]["edge"] = 1
        storeys[0]["outline_m"] = [[0, 8], [10, 8], [10, 0], [0, 0]]
    found = sheets(house(storeys=storeys, openings=openings))
    wall = found["ground wall 1"]
    assert (normals(wall)[:, 0] < 0).all()
    y = found["opening window"].vertices[:, 1]
    expected = (8 - 3.5, 8 - 2.0) if turned else (2.0, 3.5)
    assert (y.min(), y.max()) == pytest.approx(expected)
    hole = shapely_hole(wall)
    assert hole == pytest.approx((*expected, 0.9, 2.1))


def shapely_hole(wall: Surface) -> tuple[float, float, float, float]:
    """Corners of the inner rim of a wall at x = 10: from and to in y, bottom and top."""
    ends = np.array([end for edge in rim(wall) for end in edge])[:, 1:]
    inner = ends[(ends[:, 1] > 0.1) & (ends[:, 1] < 2.6)]
    (y0, z0), (y1, z1) = inner.min(axis=0), inner.max(axis=0)
    return y0, y1, z0, z1


@pytest.mark.parametrize(
    ("hinge", "swing", "free"),
    [
        # The wall runs north along x = 5; the hole from y = 1 to 1.9.
        ("start", 90.0, (4.1, 1.0)),
        ("start", -90.0, (5.9, 1.0)),
        ("end", 90.0, (4.1, 1.9)),
        ("end", -90.0, (5.9, 1.9)),
        ("start", 180.0, (5.0, 0.1)),
    ],
)
def test_a_door_swings_about_its_hinge(hinge: str, swing: float, free: tuple[float, float]) -> None:
    openings = copy.deepcopy(HOUSE["openings"])
    openings[0].update(hinge=hinge, swing_deg=swing)
    leaf = sheets(house(openings=openings))["opening ajar"]
    assert area(leaf) == pytest.approx(0.9 * 2.1)
    hinge_at = (5.0, 1.0) if hinge == "start" else (5.0, 1.9)
    ends = sorted({tuple(place) for place in np.round(leaf.vertices[:, :2], 9).tolist()})
    assert np.array(ends) == pytest.approx(np.array(sorted([hinge_at, free])))


@pytest.mark.parametrize("hinge", ["start", "end"])
def test_a_closed_door_faces_as_its_wall_does(hinge: str) -> None:
    openings = copy.deepcopy(HOUSE["openings"])
    openings[1]["hinge"] = hinge
    found = sheets(house(openings=openings))
    leaf, wall = normals(found["opening shut"]), normals(found["inner wall bend"])
    along_x = np.abs(wall[:, 1]) > 1e-9
    assert set(np.sign(leaf[:, 1])) == set(np.sign(wall[along_x, 1]))


def test_a_sliding_door_is_gone_when_open_and_all_is_gone_with_its_wall() -> None:
    openings = copy.deepcopy(HOUSE["openings"])
    openings[0]["swing_deg"] = 0.0
    assert "opening ajar" not in sheets(house(openings=openings))
    walls = copy.deepcopy(HOUSE["walls"])
    walls[0]["present"] = False
    found = sheets(house(walls=walls))
    assert not {"inner wall bend", "opening ajar", "opening shut"} & set(found)
    assert "opening window" in found


def test_catalogue_furniture_stays_in_its_box() -> None:
    kinds = ("desk", "table", "chair", "shelf", "cabinet", "machine", "pillar", "person")
    items = [
        {"name": kind, "kind": kind, "centre_m": [-5.0 + 3 * i, 20.0], "yaw_deg": 30.0 * i}
        for i, kind in enumerate(kinds)
    ]
    scene = house(furniture=items, clutter=[])
    found = sheets(scene)
    for item in scene.furniture:
        surface = found[f"furniture {item.name}"]
        yaw = np.deg2rad(item.yaw_deg)
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        local = (surface.vertices[:, :2] - item.centre_m) @ turn
        width, depth, height = item.extent_m
        assert (np.abs(local) <= np.array([width, depth]) / 2.0 + 1e-9).all()
        assert surface.vertices[:, 2].max() == pytest.approx(height)
        assert surface.vertices[:, 2].min() >= 0.0
        assert (np.linalg.norm(normals(surface), axis=1) > 1e-6).all()


def test_a_box_has_to_say_its_size_and_material() -> None:
    with pytest.raises(InputError, match="`size_m` for kind 'box'"):
        house(furniture=[{"name": "crate", "centre_m": [1, 1], "material": "wood"}])
    with pytest.raises(InputError, match="`material` for kind 'box'"):
        house(furniture=[{"name": "crate", "centre_m": [1, 1], "size_m": [1, 1, 1]}])


def test_ground_is_cut_out_under_all_that_stands_on_it() -> None:
    found = sheets(house())
    barn, tower, home, road = 80.0, 10 * 6 + 30.0, 80.0, 50 * 7.0
    assert area(found["road main"]) == pytest.approx(road)
    assert area(found["ground"]) == pytest.approx(50 * 50 - barn - tower - home - road)
    for name in ("ground", "road main"):
        assert (normals(found[name])[:, 2] > 0).all()


@pytest.mark.parametrize("turned", [False, True])
def test_buildings_are_closed_but_for_their_bottom_and_face_outward(turned: bool) -> None:
    buildings = copy.deepcopy(HOUSE["buildings"])
    if turned:
        for building in buildings:
            building["footprint_m"].reverse()
    found = sheets(house(buildings=buildings))
    for name in ("barn", "tower"):
        walls, roof = found[f"building {name} walls"], found[f"building {name} roof"]
        assert all(a[2] == b[2] == 0.0 for a, b in rim(walls, roof))
        inside = np.append(roof.vertices[:, :2].mean(axis=0), 3.0)
        for surface in (walls, roof):
            away = surface.vertices[surface.faces].mean(axis=1) - inside
            assert (np.einsum("ij,ij->i", normals(surface), away) > 0).all()
        assert roof.vertices[:, 2].max() == 8.0


def test_an_absent_building_leaves_no_hole() -> None:
    buildings = copy.deepcopy(HOUSE["buildings"])
    whole = area(sheets(house(buildings=buildings[1:]))["ground"])
    buildings[0]["present"] = False
    assert area(sheets(house(buildings=buildings))["ground"]) == pytest.approx(whole)


def test_sharp_bends_of_a_road_grow_no_spikes() -> None:
    roads = [{**HOUSE["roads"][0], "path_m": [[-20, -15], [20, -15], [-20, -13]]}]
    road = sheets(house(roads=roads, vehicles=[]))["road main"]
    assert road.vertices[:, 0].max() < 20 + 1.6 * 3.5


def test_inner_walls_follow_the_shell_and_doors_keep_their_place() -> None:
    still = sheets(house())
    storeys = copy.deepcopy(HOUSE["storeys"])
    # The first edge, y = 0, out by 0.4 m; the second, x = 10, in by 0.3 m.
    storeys[0]["wall_offsets_m"] = [0.4, -0.3, 0.0, 0.0]
    storeys[0]["outline_m"] = HOUSE["storeys"][0]["outline_m"]
    moved = sheets(house(storeys=storeys))
    plan = moved["inner wall bend"].vertices[:, :2]
    assert plan.min(axis=0) == pytest.approx([5.0, -0.4])
    assert plan.max(axis=0) == pytest.approx([9.7, 4.0])
    for name in ("opening ajar", "opening shut"):
        assert moved[name].vertices == pytest.approx(still[name].vertices)
    window = moved["opening window"].vertices
    assert window[:, 0] == pytest.approx(9.7)
    assert window[:, 1:] == pytest.approx(still["opening window"].vertices[:, 1:])


def test_a_wall_that_stops_short_of_the_shell_stays_where_it_is() -> None:
    storeys = copy.deepcopy(HOUSE["storeys"])
    storeys[0]["wall_offsets_m"] = [0.4, 0.4, 0.4, 0.4]
    walls = [{**HOUSE["walls"][0], "path_m": [[5, 1], [5, 3.8]]}]
    wall = sheets(house(storeys=storeys, walls=walls, openings=[]))["inner wall bend"]
    assert (wall.vertices[:, 1].min(), wall.vertices[:, 1].max()) == (1.0, 3.8)


def test_a_vehicle_that_stands_is_where_it_was_put() -> None:
    (road,) = house().roads
    for at in (2.25, 25.0, 47.75):
        vehicles = [{"name": "car", "road": "main", "at_m": at}]
        scene = house(vehicles=vehicles)
        assert check(scene, "house") == []
        assert vehicle_place(scene.vehicles[0], road, 7.0)[0][0] == pytest.approx(at - 20.0)


@pytest.mark.parametrize("at", [0.0, 2.0, 48.0, 200.0])
def test_a_vehicle_beyond_its_road_is_refused(at: float) -> None:
    (fault,) = check(house(vehicles=[{"name": "car", "road": "main", "at_m": at}]), "house")
    assert fault.key == "vehicles.car.at_m"
    assert "2.25 to 47.75 m" in fault.expected


def test_vehicles_are_closed_and_keep_their_size() -> None:
    found = sheets(house())
    for name, (length, width, height) in (("car", (4.5, 1.8, 1.5)), ("bus", (12.0, 2.55, 3.2))):
        body = found[f"vehicle {name}"]
        assert rim(body) == []
        assert np.ptp(body.vertices, axis=0) == pytest.approx([length, width, height - 0.25])
        a, b, c = (body.vertices[body.faces[:, i]] for i in range(3))
        assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() > 0  # encloses a positive volume


def test_vehicles_keep_to_their_lane_and_come_in_again() -> None:
    scene = house()
    car, bus, (road,) = scene.vehicles[0], scene.vehicles[1], scene.roads
    place, heading = vehicle_place(car, road, 0.0)
    assert (place, heading) == (pytest.approx([-10.0, -8.0 + 1.75]), 0.0)
    place, heading = vehicle_place(bus, road, 1.0)
    assert (place, heading) == (pytest.approx([2.0, -8.0 - 1.75]), pytest.approx(np.pi))
    for time in np.linspace(0.0, 60.0, 61):
        x = vehicle_place(car, road, float(time))[0][0]
        assert -20.0 + 2.25 <= x <= 30.0 - 2.25


def test_people_walk_to_and_fro() -> None:
    (walker,) = house().people
    x = [person_as_furniture(walker, t).centre_m[0] for t in (0.0, 1.5, 3.0, 4.5, 6.0, 7.5)]
    assert x == pytest.approx([6.0, 7.5, 9.0, 7.5, 6.0, 7.5])


def test_a_path_with_a_corner_and_a_step_of_no_length() -> None:
    path = [[0, 0], [2, 0], [2, 0], [2, 2]]
    place, heading = along_path(path, 3.0)
    assert (place, heading) == (pytest.approx([2.0, 1.0]), pytest.approx(np.pi / 2))
    place, heading = along_path(path, 2.0)
    assert place == pytest.approx([2.0, 0.0])
    assert along_path(path, 99.0)[0] == pytest.approx([2.0, 2.0])
