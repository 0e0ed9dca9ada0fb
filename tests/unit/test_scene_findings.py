"""What a check says beyond refusing: each warning with its place and cure, and nothing on a sound
scene.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from twin.config import validate
from twin.errors import Fault
from twin.scene import receivers
from twin.scene.check import check, findings
from twin.scene.checks import sight, solids
from twin.scene.checks.sheets import CLOSE_M
from twin.scene.declaration import Scene
from twin.scene.findings import Finding, findings_json, render
from twin.scene.geometry import build
from twin.scene.library import load_scene
from twin.scene.read import read_scene
from twin.scene.surfaces import Surface

Content = dict[str, Any]
Change = Callable[[Content], object]

FLAT: Content = yaml.safe_load(
    """
    schema: fingertwin/scene@2
    name: flat
    title: A flat
    source: made up
    frequency_ghz: 5.25
    bandwidth_mhz: 80
    subcarriers: 64
    materials:
      concrete: {itu: concrete, thickness_m: 0.2}
      board: {itu: plasterboard, thickness_m: 0.1}
      wood: {itu: wood, thickness_m: 0.03}
      metal: {itu: metal, thickness_m: 0.002}
      body: {relative_permittivity: 49, conductivity_s_per_m: 4, thickness_m: 0.1}
    room:
      outline_m: [[0, 0], [10, 0], [10, 8], [0, 8]]
      height_m: 2.6
      wall_material: concrete
      floor_material: concrete
      ceiling_material: concrete
    walls:
      - {name: middle, path_m: [[5, 0], [5, 8]], material: board}
      - {name: side, path_m: [[5, 4], [10, 4]], material: board}
    openings:
      - {name: door, wall: middle, at_m: 1, material: wood}
    furniture:
      - {name: desk, kind: desk, centre_m: [2, 6]}
      - {name: rack, kind: cabinet, centre_m: [8, 6]}
    people:
      - {name: walker, path_m: [[6, 1], [9, 1]]}
    access_points:
      - {name: AP1, position_m: [1, 1, 2.3], power_dbm: 20, pattern: iso}
    receivers:
      - name: grid
        kind: grid
        area_m: [[0.5, 0.5], [4.5, 0.5], [4.5, 3.5], [0.5, 3.5]]
        pitch_m: 0.5
        height_m: 1.2
    """
)

STREET: Content = {
    **{key: FLAT[key] for key in ("schema", "title", "source", "materials", "subcarriers")},
    "name": "street",
    "frequency_ghz": 28,
    "bandwidth_mhz": 100,
    "ground": {"area_m": [[0, 0], [200, 0], [200, 100], [0, 100]], "material": "concrete"},
    "buildings": [
        {
            "name": name,
            "footprint_m": [[x, 60], [x + 30, 60], [x + 30, 90], [x, 90]],
            "height_m": 12,
            "wall_material": "concrete",
            "roof_material": "board",
        }
        for name, x in (("left", 20), ("right", 80))
    ],
    "roads": [
        {"name": "main", "path_m": [[0, 30], [200, 30]], "width_m": 7, "material": "board"},
    ],
    "vehicles": [
        {"name": "car", "road": "main", "lane": 0, "at_m": 50},
        {"name": "bus", "kind": "bus", "road": "main", "lane": 1, "at_m": 90},
    ],
    "access_points": [
        {"name": "BS", "position_m": [60, 50, 6], "power_dbm": 30, "pattern": "iso"},
    ],
    "receivers": [
        {
            "name": "walk",
            "kind": "trajectory",
            "path_m": [[10, 40], [190, 40]],
            "interval_s": 5,
            "height_m": 1.5,
        },
    ],
}


def made(base: Content, *changes: Change) -> Scene:
    content = copy.deepcopy(base)
    for change in changes:
        change(content)
    return validate(content, Scene, "scene.yaml")


def put(kind: str, /, **values: object) -> Change:
    """Append a part to a list of the scene."""
    return lambda c: c.setdefault(kind, []).append(values)


def put_wall(name: str, /, *path: tuple[float, float], **values: object) -> Change:
    return put("walls", name=name, path_m=[list(p) for p in path], material="board", **values)


def alter(kind: str, number: int, **values: object) -> Change:
    return lambda c: c[kind][number].update(values)


def told(scene: Scene, level: str) -> list[Finding]:
    return [item for item in findings(scene, "scene.yaml") if item.level == level]


def house(name: str, x: float, y: float, **values: object) -> Change:
    plan = [[x, y], [x + 20, y], [x + 20, y + 20], [x, y + 20]]
    shape = {"footprint_m": plan, "height_m": 9, "wall_material": "concrete"}
    return put("buildings", name=name, roof_material="board", **{**shape, **values})


@pytest.mark.parametrize("base", [FLAT, STREET], ids=["flat", "street"])
def test_a_sound_scene_gets_notes_only(base: Content) -> None:
    scene = made(base)
    assert check(scene, "scene.yaml") == []
    found = findings(scene, "scene.yaml")
    assert {item.level for item in found} == {"note"}
    assert {item.fault.key for item in found} >= {"triangles", "extent", "receivers", "carriers"}


@pytest.mark.parametrize("name", ["office_wing", "lecture_theatre"])
def test_the_first_scenes_of_the_library_get_no_warning(name: str) -> None:
    assert [i for i in findings(load_scene(name), name) if i.level != "note"] == []


def test_notes_give_the_figures() -> None:
    notes = {i.fault.key: i.fault.found for i in findings(made(FLAT), "scene.yaml")}
    surfaces = build(made(FLAT))
    count = sum(len(surface.faces) for surface in surfaces)
    assert notes["triangles"] == f"{count} in {len(surfaces)} surfaces"
    assert notes["extent"] == "10 x 8 x 2.6 m"
    assert notes["receivers"] == "63 in 1 area"
    assert notes["carriers"] == "5.25 GHz, wavelength 5.71 cm"
    assert notes["room"].startswith("3 rooms closed")


# What, base, changes, key, part of the reason, place, part of the cure.
WARNED: dict[str, tuple[Content, list[Change], str, str, tuple[float, ...] | None, str]] = {
    "walls that cross": (
        FLAT,
        [put_wall("cross", (7, 3), (7, 6))],
        "walls.side.path_m",
        "crosses wall 'cross' at (7, 4) m",
        (7, 4),
        "Split both walls",
    ),
    "a wall that overshoots": (
        FLAT,
        [put_wall("long", (1, 5), (5.1, 5))],
        "walls.middle.path_m",
        "0.1 m before the end of 'long'",
        (5, 5),
        "End 'long' there",
    ),
    "a gap to a wall": (
        FLAT,
        [put_wall("short", (0, 5), (4.9, 5))],
        "walls.short.path_m",
        "a gap of 0.1 m between its end (4.9, 5) m and wall 'middle'",
        (4.9, 5),
        "Move the end to [5, 5]",
    ),
    "a gap to the outline": (
        FLAT,
        [put_wall("short", (0.02, 5), (3, 5))],
        "walls.short.path_m",
        "a gap of 0.02 m between its end (0.02, 5) m and the outline",
        (0.02, 5),
        "Move the end to [0, 5]",
    ),
    "a gap to an outline that was shifted": (
        FLAT,
        [lambda c: c["room"].update(wall_offsets_m=[0, 0, 0.05, 0])],
        "walls.middle.path_m",
        "a gap of 0.05 m between its end (5, 8) m and the outline",
        (5, 8),
        "Move the end to [5, 8.05]",
    ),
    "a wall all but up to the ceiling": (
        FLAT,
        [alter("walls", 1, height_m=2.55)],
        "walls.side.height_m",
        "a gap of 0.05 m below the ceiling",
        (5, 4, 2.55),
        "Leave height_m out",
    ),
    "a leaf in a wall": (
        FLAT,
        [
            put_wall("near", (4, 0.9), (5, 0.9)),
            alter("openings", 0, state="open", swing_deg=120, at_m=1.2, hinge="start"),
        ],
        "openings.door.swing_deg",
        "120 deg, through wall 'near'",
        None,
        "Swing it less far",
    ),
    "a leaf in a cupboard": (
        FLAT,
        [
            put("furniture", name="cup", kind="cabinet", centre_m=[4.4, 1.0], yaw_deg=90),
            alter("openings", 0, state="open", swing_deg=90),
            lambda c: c["receivers"][0].update(area_m=[[0.5, 0.5], [3, 0.5], [3, 3]]),
        ],
        "openings.door.swing_deg",
        "90 deg, into furniture 'cup'",
        (4.1, 1, 0),
        "move the thing",
    ),
    "things in each other": (
        FLAT,
        [put("furniture", name="box", centre_m=[8.3, 6], size_m=[1, 1, 1], material="wood")],
        "furniture.box",
        "furniture 'box' overlaps furniture 'rack', 0.292 m2 in plan",
        None,
        "make one thing of both",
    ),
    "somebody in a cupboard": (
        FLAT,
        [put("people", name="lost", path_m=[[8, 6], [9, 6]])],
        "people.lost",
        "person 'lost' overlaps furniture 'rack'",
        None,
        "Move the one or the other",
    ),
    "a thing in an inner wall": (
        FLAT,
        [put("furniture", name="box", centre_m=[5.2, 6], size_m=[1, 1, 1], material="wood")],
        "furniture.box",
        "furniture 'box' has inner wall 'middle' in it, 0.998 m",
        None,
        "at least 1 cm off",
    ),
    "a thing in a shifted outer wall": (
        FLAT,
        [
            put("furniture", name="box", centre_m=[0.6, 6], size_m=[1, 1, 1], material="wood"),
            lambda c: c["room"].update(wall_offsets_m=[0, 0, 0, -0.3]),
        ],
        "furniture.box",
        "has the outline of 'room' in it",
        None,
        "off the wall",
    ),
    "a thing in the air": (
        FLAT,
        [
            put(
                "furniture",
                name="box",
                centre_m=[2, 2],
                size_m=[0.3, 0.3, 0.3],
                bottom_m=1.8,
                material="wood",
            )
        ],
        "furniture.box.bottom_m",
        "1.8 m above the floor, with nothing within 5 cm",
        (2, 2, 1.8),
        "Set bottom_m to 0",
    ),
    "clutter without places": (
        FLAT,
        [
            put(
                "clutter",
                name="stock",
                kind="chair",
                area_m=[[6, 5], [9.5, 5], [9.5, 7.5], [6, 7.5]],
                density_per_m2=1.6,
                gap_m=0.4,
                seed=3,
            )
        ],
        "clutter.stock.density_per_m2",
        "of 14, which are left out",
        None,
        "Lower density_per_m2",
    ),
    "most receivers left out": (
        FLAT,
        [
            put(
                "furniture",
                name="hall",
                centre_m=[2.4, 2],
                size_m=[4.4, 3.4, 1.5],
                material="wood",
            ),
            alter("receivers", 0, blocked="leave_out", area_m=[[0, 0.5], [4.5, 0.5], [4.5, 4]]),
        ],
        "receivers.grid",
        "left out",
        None,
        "Shrink the area",
    ),
    "an access point behind walls": (
        FLAT,
        [
            *[put_wall(f"w{x}", (x, 0), (x, 8)) for x in (6, 7, 8)],
            put("access_points", name="AP2", position_m=[9, 2, 2], power_dbm=20, pattern="iso"),
            lambda c: c.update(people=[]),
        ],
        "access_points.AP2.position_m",
        "none within max_depth 3: 100% of 63 receivers behind more",
        (9, 2, 2),
        "Trace with max_depth",
    ),
    "nobody sends": (
        FLAT,
        [alter("access_points", 0, active=False)],
        "access_points",
        "no receiver hears anything",
        None,
        "active: true",
    ),
    "sheets of one material in one plane": (
        FLAT,
        [
            put("furniture", name="a", kind="cabinet", centre_m=[7, 7], yaw_deg=0),
            put("furniture", name="b", kind="cabinet", centre_m=[7.9, 7], yaw_deg=0),
        ],
        "furniture.b",
        "both of metal, are in one plane and share 0.855 m2",
        (7.45, 7, 0.95),
        "at least 1 cm",
    ),
    "sheets a hair apart": (
        FLAT,
        [put("furniture", name="a", kind="cabinet", centre_m=[0.4505, 7], yaw_deg=0)],
        "furniture.a",
        "of metal and concrete, are 0.5 mm apart",
        (0.0005, 7, 0.95),
        "at least 1 cm",
    ),
    "layers that no slab can stand for": (
        FLAT,
        [
            lambda c: c["materials"].update(
                twin={
                    "layers": [
                        {"itu": "glass", "thickness_m": 0.006},
                        {"itu": "vacuum", "thickness_m": 0.07},
                        {"itu": "concrete", "thickness_m": 0.3},
                        {"itu": "vacuum", "thickness_m": 0.04},
                        {"itu": "glass", "thickness_m": 0.012},
                    ]
                }
            )
        ],
        "materials.twin.layers",
        "5 layers traced as one slab at 5.25 GHz, transmission up to",
        None,
        "Expect that error",
    ),
    "houses in each other": (
        STREET,
        [house("third", 40, 70)],
        "buildings.third.footprint_m",
        "in common with building 'left'",
        None,
        "one footprint around both",
    ),
    "a party wall": (
        STREET,
        [house("third", 50, 60, wall_material="board")],
        "buildings.third",
        "are in one plane and share 180 m2",
        (50, 70, 4.5),
        "draw one footprint",
    ),
    "a house in the air": (
        STREET,
        [house("third", 150, 60, bottom_m=5)],
        "buildings.third.bottom_m",
        "nothing under it",
        (160, 70, 5),
        "Set bottom_m to 0",
    ),
    "a house beyond the ground": (
        STREET,
        [house("third", 190, 60)],
        "buildings.third.footprint_m",
        "200 of 400 m2 beyond ground.area_m",
        None,
        "Widen ground.area_m",
    ),
    "a road beyond the ground": (
        STREET,
        [alter("roads", 0, path_m=[[0, 30], [250, 30]])],
        "roads.main.path_m",
        "50 m of it beyond",
        None,
        "end the road",
    ),
    "a house on a road": (
        STREET,
        [house("third", 150, 15)],
        "roads.main.path_m",
        "140 m2 of it under building 'third'",
        None,
        "Move the road",
    ),
    "a lane too narrow": (
        STREET,
        [alter("roads", 0, width_m=4)],
        "vehicles.bus.size_m",
        "2.55 m wide in a lane of 2 m",
        None,
        "Widen roads.main",
    ),
    "two vehicles at one place": (
        STREET,
        [put("vehicles", name="van", kind="van", road="main", lane=0, at_m=52)],
        "vehicles.van.at_m",
        "vehicle 'car' at",
        None,
        "Change at_m",
    ),
    "a vehicle in a house": (
        STREET,
        [house("third", 40, 14)],
        "vehicles.car.at_m",
        "building 'third'",
        None,
        "Change at_m",
    ),
}


@pytest.mark.parametrize("what", WARNED)
def test_what_is_likely_not_meant_is_told(what: str) -> None:
    base, changes, key, reason, place, cure = WARNED[what]
    scene = made(base, *changes)
    assert told(scene, "error") == []
    found = told(scene, "warning")
    mine = [i for i in found if i.fault.key == key and reason in i.fault.found]
    assert mine, [(i.fault.key, i.fault.found) for i in found]
    assert cure in mine[0].fault.cure
    assert all(item.fault.cure for item in found)
    if place is not None:
        assert mine[0].at_m == pytest.approx(place, abs=1e-3)


MEANT: dict[str, list[Change]] = {
    "a wall that ends on another": [put_wall("tee", (0, 5), (5, 5))],
    "a screen away from walls": [put_wall("screen", (1, 5), (3, 5), height_m=1.5)],
    "a closed path": [put_wall("core", (6, 5), (7, 5), (7, 5.4), (6, 5.4), (6, 5))],
    "a low wall under a high one": [
        put_wall("low", (1, 5), (3, 5), height_m=1),
        put_wall("high", (2, 4.5), (2, 5.4), bottom_m=1.2),
    ],
    "a chair under a desk": [
        put("furniture", name="chair", kind="chair", centre_m=[2, 5.4], yaw_deg=180)
    ],
    "a lamp that hangs": [
        put(
            "furniture",
            name="lamp",
            centre_m=[2, 2],
            size_m=[1, 0.2, 0.1],
            bottom_m=2.5,
            material="metal",
        )
    ],
    "a cupboard on a wall": [
        put(
            "furniture",
            name="cup",
            centre_m=[4.8, 6],
            size_m=[0.36, 1, 0.7],
            bottom_m=1.4,
            material="wood",
        )
    ],
    "a screen on a desk": [
        put(
            "furniture",
            name="screen",
            centre_m=[2, 6],
            size_m=[0.5, 0.05, 0.4],
            bottom_m=0.76,
            material="metal",
        )
    ],
    "an open door": [
        alter("openings", 0, state="open", swing_deg=-90),
        lambda c: c.update(people=[]),
    ],
    "a few receivers left out": [
        alter("receivers", 0, blocked="leave_out"),
        put("furniture", name="box", centre_m=[2, 2], size_m=[1, 1, 1.5], material="wood"),
    ],
    "what is not there": [
        put(
            "furniture",
            name="box",
            centre_m=[8.2, 6],
            size_m=[1, 1, 1],
            material="wood",
            present=False,
        ),
        put_wall("gone", (7, 3), (7, 6), present=False),
    ],
}


@pytest.mark.parametrize("what", MEANT)
def test_what_is_meant_is_not_told(what: str) -> None:
    scene = made(FLAT, *MEANT[what])
    assert [i for i in findings(scene, "scene.yaml") if i.level != "note"] == []


def test_a_ceiling_and_a_floor_above_it_that_are_two_sheets() -> None:
    def storeys(c: Content) -> None:
        room = c.pop("room")
        c["storeys"] = [
            {**room, "name": "low", "bottom_m": 0},
            {
                **room,
                "name": "high",
                "bottom_m": 2.8,
                "voids_m": [[[1, 1], [3, 1], [3, 3], [1, 3]]],
            },
        ]

    (warning,) = told(made(FLAT, storeys), "warning")
    assert warning.fault.key == "storeys.high.bottom_m"
    assert warning.fault.found.startswith("0.2 m between the ceiling of 'low' and this floor")
    assert "2.6" in warning.fault.cure
    stacked = made(FLAT, storeys, lambda c: c["storeys"][1].update(bottom_m=2.6))
    assert told(stacked, "warning") == []
    apart = made(FLAT, storeys, lambda c: c["storeys"][1].update(bottom_m=20))
    (warning,) = told(apart, "warning")
    assert warning.fault.key == "storeys.high.voids_m.0"
    assert "rays leave the scene" in warning.fault.found


def test_sheets_of_two_materials_in_one_plane_are_an_error() -> None:
    flush = put("furniture", name="box", kind="cabinet", centre_m=[0.45, 7])
    (error,) = told(made(FLAT, flush), "error")
    assert error.fault.key == "furniture.box"
    assert "'furniture box' and 'wall 3', of metal and concrete, are in one plane" in (
        error.fault.found
    )
    assert error.at_m == pytest.approx((0.0, 7.0, 0.95))
    off = put("furniture", name="box", kind="cabinet", centre_m=[0.451 + CLOSE_M, 7])
    assert told(made(FLAT, off), "error") == told(made(FLAT, off), "warning") == []


@pytest.mark.parametrize("yaw", [0.0, 17.0, 90.0, 233.0])
def test_shared_planes_are_found_in_any_direction(yaw: float) -> None:
    turn = np.deg2rad(yaw)
    along = np.array([np.cos(turn), np.sin(turn)])
    across = np.array([-np.sin(turn), np.cos(turn)])
    middle = np.array([2.5, 5.5])

    def placed(offset: float) -> Scene:
        centre = middle + across * (0.25 + offset)
        ends = [(middle + along * s).tolist() for s in (-1.0, 1.0)]
        return made(
            FLAT,
            put_wall("slant", *ends, height_m=2),
            lambda c: c.update(
                furniture=[
                    {
                        "name": "box",
                        "centre_m": centre.tolist(),
                        "size_m": [1, 0.5, 1],
                        "yaw_deg": yaw,
                        "material": "wood",
                    }
                ]
            ),
        )

    (error,) = told(placed(0.0), "error")
    assert error.fault.found.endswith("m")
    assert "share 1 m2" in error.fault.found
    assert error.at_m is not None
    assert abs((np.array(error.at_m[:2]) - middle) @ across) < 1e-6
    assert told(placed(0.01), "error") == []


def test_random_receivers_that_found_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "_MAX_BLOCKS", 1)
    area = {
        "name": "spot",
        "kind": "random",
        "count": 4000,
        "area_m": [[0.5, 0.5], [3, 0.5], [3, 3]],
        "height_m": 1.0,
        "blocked": "leave_out",
    }
    scene = made(FLAT, lambda c: c.update(receivers=[area]))
    kept = len(receivers.receiver_points(scene))
    (warning,) = told(scene, "warning")
    assert 1500 < kept < 2500
    assert warning.fault.key == "receivers.spot"
    assert warning.fault.found.startswith(f"{4000 - kept} of 4000 left out")


@pytest.mark.parametrize("name", ["house.yaml", "scene_box.yaml"])
def test_the_points_counted_are_those_that_are_traced(name: str) -> None:
    scene = read_scene(Path(__file__).parent / name)
    (note,) = [i for i in findings(scene, name) if i.fault.key == "receivers"]
    count = len(receivers.receiver_points(scene))
    assert note.fault.found.startswith(f"{count} in ")


def test_warnings_are_told_beside_errors_of_other_parts() -> None:
    scene = made(
        FLAT,
        put_wall("short", (0.02, 5), (3, 5)),
        alter("access_points", 0, position_m=[20, 1, 2]),
        put("furniture", name="broken", kind="desk", centre_m=[2, 6], yaw_deg=9000),
    )
    keys = [(i.level, i.fault.key) for i in findings(scene, "scene.yaml")]
    assert keys[:2] == [
        ("error", "furniture.broken.yaw_deg"),
        ("error", "access_points.AP1.position_m"),
    ]
    assert ("warning", "walls.short.path_m") in keys
    # Figures of a scene that cannot be used mislead.
    assert not any(key == "triangles" for _, key in keys)


def test_depth_is_held_against_the_solvers() -> None:
    scene = made(
        FLAT,
        put("access_points", name="AP2", position_m=[9, 2, 2], power_dbm=20, pattern="iso"),
        lambda c: c.update(people=[]),
    )

    def hidden(depth: int) -> list[Finding]:
        return [i for i in findings(scene, "s", max_depth=depth) if "max_depth" in i.fault.cure]

    assert hidden(1) == []
    (warning,) = hidden(0)
    assert warning.fault.found.startswith("none within max_depth 0: 100% of 63 receivers")
    assert "Trace with max_depth 1 " in warning.fault.cure


def test_sheets_between_equal_a_count_one_by_one() -> None:
    random = np.random.default_rng(8)
    corners = random.uniform(0.0, 10.0, (60, 1, 3)) + random.normal(0.0, 2.0, (60, 3, 3))
    soup = Surface("soup", "wood", corners.reshape(-1, 3), np.arange(180).reshape(60, 3))
    masts = random.uniform(0.0, 10.0, (4, 3))
    points = random.uniform(0.0, 10.0, (150, 3))
    # Straight up, and beside each other to the last digit.
    points[0] = masts[0] + [0.0, 0.0, 5.0]
    points[1] = points[2]
    chosen, counts = sight.sheets_between([soup], masts, points)
    assert list(chosen) == list(range(150))
    expected = np.zeros((4, 150), dtype=int)
    for a, mast in enumerate(masts):
        for triangle in corners:
            system = np.stack(
                [
                    np.broadcast_to(triangle[1] - triangle[0], points.shape),
                    np.broadcast_to(triangle[2] - triangle[0], points.shape),
                    mast - points,
                ],
                axis=2,
            )
            u, v, t = np.linalg.solve(system, (mast - triangle[0])[None, :, None])[..., 0].T
            expected[a] += (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0) & (t < 1)
    assert expected.max() > 5
    np.testing.assert_array_equal(counts, expected)


def test_both_triangles_of_a_wall_count_once() -> None:
    scene = made(FLAT, lambda c: c.update(people=[], openings=[]))
    # Through the diagonal of the one wall between them.
    _, counts = sight.sheets_between(
        build(scene), np.array([[4.0, 4.0, 1.3]]), np.array([[6.0, 4.0 + 1e-9, 1.3], [6, 3, 1]])
    )
    assert counts[0, 1] == 1


def test_many_receivers_are_looked_at_evenly() -> None:
    scene = made(
        FLAT,
        put("access_points", name="AP2", position_m=[9, 2, 2], power_dbm=20, pattern="iso"),
        lambda c: c["receivers"][0].update(pitch_m=0.05),
    )
    count = len(receivers.receiver_points(scene))
    assert count > 4000
    warnings = [i for i in findings(scene, "s", max_depth=0) if i.level == "warning"]
    (warning,) = [i for i in warnings if i.fault.key.startswith("access_points.AP2")]
    assert f"of 2000 receivers (spread evenly over {count})" in warning.fault.found


def test_inside_of_a_closed_surface() -> None:
    low, high = np.zeros(3), np.array([2.0, 3.0, 1.0])
    corner = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (high - low)
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = np.array([t for q in quads for t in (q[:3], [q[0], q[2], q[3]])])
    points = np.random.default_rng(3).uniform(-1.0, 4.0, (500, 3))
    expected = ((points > low) & (points < high)).all(axis=1)
    assert 5 < expected.sum() < 100
    np.testing.assert_array_equal(solids.inside(corner[faces], points), expected)


def test_findings_as_json_and_as_text() -> None:
    fault = Fault("scene.yaml", "walls.a", "one thing", "another", "Do this")
    found = [
        Finding("note", Fault("scene.yaml", "extent", "", "1 m")),
        Finding("error", fault, (1.0, 2.5)),
        *[Finding("warning", Fault("scene.yaml", f"people.{i}", "x", "y", "z")) for i in range(11)],
    ]
    content = findings_json(found)
    assert content[1] == {
        "level": "error",
        "where": "scene.yaml",
        "key": "walls.a",
        "expected": "one thing",
        "found": "another",
        "cure": "Do this",
        "at_m": [1.0, 2.5],
    }
    assert content[0]["at_m"] is None
    text = render(found)
    lines = text.splitlines()
    assert lines[0] == "error    walls.a at (1, 2.5) m"
    assert lines[3].split(maxsplit=1) == ["cure", "Do this"]
    assert "warning  people: 3 more of the kind that expected x (--json lists them all)" in lines
    assert lines[-1] == "1 error, 11 warnings, 1 note"
    assert render([]) == "0 errors, 0 warnings, 0 notes"


def test_the_command_needs_no_heavy_library() -> None:
    program = (
        "import sys, twin.scene.check, twin.scene.library\n"
        "heavy = {'matplotlib', 'pandas', 'plotly', 'sionna', 'scipy.optimize', 'trimesh'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_receivers_that_no_access_point_reaches() -> None:
    scene = made(
        FLAT,
        put("access_points", name="AP2", position_m=[9, 2, 2], power_dbm=20, pattern="iso"),
        lambda c: c.update(people=[]),
        put("receivers", name="spot", kind="points", points_m=[[8, 5]], height_m=1.0),
    )
    lost = [i for i in findings(scene, "s", max_depth=0) if i.fault.key == "receivers"]
    (warning,) = [i for i in lost if i.level == "warning"]
    assert warning.fault.found == "2% of 64 receivers without one"
    assert warning.at_m == (8.0, 5.0, 1.0)
    assert "Add an access point near (8, 5, 1) m, whose nearest is behind 1" in warning.fault.cure
