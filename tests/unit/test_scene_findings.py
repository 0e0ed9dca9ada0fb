"""What a check says beyond refusing: each warning with its place and cure, and nothing on a sound
scene.
"""

from __future__ import annotations

import copy
import hashlib
import subprocess
import sys
import time
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


GLASS = {"bottom_m": 1, "height_m": 1, "material": "wood"}


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
        [
            put_wall("short", (1, 5), (1, 7.98)),
            lambda c: c["room"].update(wall_offsets_m=[0, 0, 0.05, 0]),
        ],
        "walls.short.path_m",
        "a gap of 0.07 m between its end (1, 7.98) m and the outline",
        (1, 7.98),
        "Move the end to [1, 8.05]",
    ),
    "a wall that crosses itself": (
        FLAT,
        [put_wall("bow", (6, 5), (7, 7), (7, 5), (6, 7), height_m=2)],
        "walls.bow.path_m",
        "its segments 0 and 2 cross at (6.5, 6) m",
        (6.5, 6),
        "in order along it",
    ),
    "a wall that runs back along itself": (
        FLAT,
        [put_wall("back", (0, 4.7), (3, 5.1), (1.5, 4.9), (1.5, 5.4))],
        "walls.back.path_m",
        "its segments 0 and 1 lie on each other over 1.51 m",
        (2.25, 5),
        "Leave out the points that lead back",
    ),
    "a wall that ends in a door": (
        FLAT,
        [put_wall("tee", (4.7, 1.6), (5, 1.6))],
        "openings.door",
        "wall 'tee' does, at (5, 1.6) m, 0.6 m into its 0.9 m",
        (5, 1.6, 0),
        "beyond its side at (5, 1.9) m",
    ),
    "a wall through a window": (
        FLAT,
        [
            put("openings", name="pane", kind="window", edge=0, at_m=4.4, width_m=1.5, **GLASS),
        ],
        "openings.pane",
        "wall 'middle' does, at (5, 0) m, 0.6 m into its 1.5 m",
        (5, 0, 1),
        "beyond its side at (4.4, 0) m",
    ),
    "a leaf through the outline": (
        FLAT,
        [
            alter("openings", 0, state="open", swing_deg=-150, at_m=0.5),
            lambda c: c.update(people=[]),
        ],
        "openings.door.swing_deg",
        "-150 deg, through the outline of 'room'",
        None,
        "hinge it at the other side",
    ),
    "a leaf through another": (
        FLAT,
        [
            alter("openings", 0, state="open", hinge="end", swing_deg=90),
            put("openings", name="next", wall="middle", at_m=1.95, material="wood", state="open"),
            alter("openings", 1, swing_deg=120),
        ],
        "openings.next.swing_deg",
        "120 deg, through the leaf of opening 'door'",
        (4.9134, 1.9, 0),
        "Swing it less far",
    ),
    "lengths in centimetres": (
        FLAT,
        [lambda c: c["room"].update(outline_m=[[0, 0], [1000, 0], [1000, 800], [0, 800]])],
        "room.outline_m",
        "1000 x 800 m",
        (0, 0),
        "in cm or mm?",
    ),
    "a thing of no size": (
        FLAT,
        [put("furniture", name="dot", centre_m=[2, 2], size_m=[0.04] * 3, material="wood")],
        "furniture.dot.size_m",
        "0.04 x 0.04 x 0.04 m",
        (2, 2),
        "Lengths are in metres",
    ),
    "channels beyond memory": (
        FLAT,
        [
            alter("access_points", 0, array={"rows": 256, "columns": 256}, polarisation="VH"),
            lambda c: c.update(subcarriers=128),
        ],
        "channels",
        "7.88 GiB a realisation: 63 points x 131072 ports x 128 subcarriers x 8 bytes",
        None,
        "fewer points, ports (array, polarisation) or subcarriers",
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
    "a table in the air": (
        FLAT,
        [put("furniture", name="shelf", kind="table", centre_m=[2, 2.5], bottom_m=1.3)],
        "furniture.shelf.bottom_m",
        "1.3 m above the floor, with nothing within 5 cm",
        (2, 2.5, 1.3),
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
        "access_points",
        "1 of 2 with more, of 63 receivers: AP2 with all behind more than 3 sheets",
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
    "walls that end beside a door": [
        put_wall("near", (4.6, 1), (5, 1)),
        put_wall("far", (4.6, 1.9), (5, 1.9)),
    ],
    "a counter under a window": [
        put_wall("counter", (8, 0), (8, 1), height_m=0.9),
        put("openings", name="pane", kind="window", edge=0, at_m=7.5, width_m=1, **GLASS),
        lambda c: c.update(people=[]),
    ],
    "a wall that ends at a bar of a long window": [
        put("openings", name="pane", kind="window", edge=0, at_m=1, width_m=8, **GLASS),
    ],
    "a table on a platform": [
        put("furniture", name="stage", centre_m=[2, 2], size_m=[2, 2, 0.3], material="wood"),
        put("furniture", name="lectern", kind="table", centre_m=[2, 2], bottom_m=0.3),
        lambda c: c["receivers"][0].update(blocked="leave_out"),
    ],
    "a wall that ends on a shifted edge": [
        lambda c: c["room"].update(wall_offsets_m=[0, 0, 0.05, 0])
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
    assert "of 63 receivers: AP2 with all behind more than 0 sheets" in warning.fault.found
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
    (warning,) = [i for i in warnings if i.fault.key == "access_points"]
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
        *[Finding("note", Fault("scene.yaml", f"walls.{i}", "x", "y")) for i in range(5)],
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
    assert "note     walls: 2 more of the kind that expected x (--json lists them all)" in lines
    assert lines[-1] == "1 error, 11 warnings, 6 notes"
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
    # Of so few, a note.
    (note,) = [i for i in lost if "without one" in i.fault.found]
    assert note.level == "note"
    assert note.fault.found.startswith("2% of 64 receivers without one")
    assert note.at_m == (8.0, 5.0, 1.0)
    assert "Add an access point near (8, 5, 1) m, whose nearest is behind 1" in note.fault.cure


LEFT_OUT = {
    "grid": {"kind": "grid", "area_m": [[7.7, 5.9], [8.3, 5.9], [8.3, 6.1]], "pitch_m": 0.1},
    "random": {"kind": "random", "area_m": [[7.7, 5.9], [8.3, 5.9], [8.3, 6.1]], "count": 9},
    "trajectory": {"kind": "trajectory", "path_m": [[7.8, 6], [8.2, 6]], "interval_s": 0.1},
    "points": {"kind": "points", "points_m": [[7.9, 6], [8.1, 6]]},
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_an_area_of_which_no_point_is_left_is_an_error(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "_MAX_BLOCKS", 1)
    spot = {"name": "spot", "height_m": 1.0, "blocked": "leave_out", **LEFT_OUT[kind]}
    scene = made(FLAT, put("receivers", **spot))
    (fault,) = check(scene, "scene.yaml")
    assert fault.key == "receivers.spot"
    assert len(receivers.area_points(scene, scene.receivers[1])) == 0


OUTSIDE: Change = put(
    "receivers",
    name="yard",
    kind="grid",
    area_m=[[-6, 1], [-1, 1], [-1, 7], [-6, 7]],
    pitch_m=1,
    height_m=1.5,
)
GROUND: Content = {"area_m": [[-20, -20], [30, -20], [30, 30], [-20, 30]], "material": "concrete"}


@pytest.mark.parametrize("blocked", ["refuse", "leave_out"])
def test_an_area_outdoors_is_sound_whatever_becomes_of_covered_points(blocked: str) -> None:
    scene = made(
        FLAT,
        OUTSIDE,
        alter("receivers", 1, blocked=blocked),
        lambda c: c.update(ground=GROUND),
    )
    assert check(scene, "scene.yaml") == []
    (note,) = [i for i in findings(scene, "scene.yaml") if i.fault.key == "receivers"]
    assert note.fault.found == f"{63 + 42} in 2 areas"
    # Nobody stands on the ground beside a flat that has no outdoors.
    (fault,) = check(made(FLAT, OUTSIDE, alter("receivers", 1, blocked=blocked)), "scene.yaml")
    assert fault.key == "receivers.yard"
    assert "inside the room" in fault.expected


def test_an_area_outdoors_is_held_against_walls_and_ground() -> None:
    low = made(
        FLAT, OUTSIDE, alter("receivers", 1, height_m=0.03), lambda c: c.update(ground=GROUND)
    )
    (fault,) = check(low, "scene.yaml")
    assert fault.expected.startswith("receivers in a place outdoors")
    assert "above the ground" in fault.cure
    # The same place, where all that is outdoors is spoilt, is not to be told of.
    crossed = {**GROUND, "area_m": [[-20, -20], [30, 30], [30, -20], [-20, 30]]}
    spoilt = made(FLAT, OUTSIDE, lambda c: c.update(ground=crossed))
    assert [fault.key for fault in check(spoilt, "scene.yaml")] == ["ground.area_m"]


def test_points_of_another_storey_are_not_left_out_in_silence() -> None:
    def two(content: Content) -> None:
        room = content.pop("room")
        lower = {"name": "left", "bottom_m": 0, **room}
        beside = {**lower, "name": "right", "outline_m": [[11, 0], [20, 0], [20, 8], [11, 8]]}
        content["storeys"] = [lower, beside]

    area = {"name": "east", "kind": "grid", "area_m": [[12, 2], [18, 2], [18, 6], [12, 6]]}
    area |= {"pitch_m": 1, "height_m": 1.2, "blocked": "leave_out"}
    (fault,) = check(made(FLAT, two, put("receivers", **area)), "scene.yaml")
    assert fault.key == "receivers.east"
    assert "inside storey 'left'" in fault.expected
    assert "name its storey" in fault.cure
    assert check(made(FLAT, two, put("receivers", **area, storey="right")), "scene.yaml") == []


def test_access_points_behind_walls_are_told_in_one_warning() -> None:
    def masts(c: Content) -> None:
        c.update(people=[])
        for i in range(5):
            c["access_points"].append(
                {**c["access_points"][0], "name": f"B{i}", "position_m": [9, 2 + 0.3 * i, 2]}
            )

    told = [
        i for i in findings(made(FLAT, masts), "s", max_depth=0) if "max_depth" in i.fault.expected
    ]
    warning, *notes = told
    assert warning.level == "warning"
    assert warning.fault.found.startswith("5 of 6 with more, of 63 receivers: B0 with all behind")
    assert warning.fault.found.endswith("; and 2 more")
    # What the warning does not spell out is in the notes.
    assert {i.level for i in notes} == {"note"}
    assert [i.fault.key for i in notes] == [f"access_points.B{i}.position_m" for i in (3, 4)]


def test_an_access_point_that_misses_few_receivers_gets_a_note() -> None:
    scene = made(
        FLAT,
        put("receivers", name="spot", kind="points", points_m=[[8, 5]], height_m=1.0),
        lambda c: c.update(people=[]),
    )
    told = [i for i in findings(scene, "s", max_depth=0) if "max_depth" in i.fault.expected]
    (note,) = told
    assert (note.level, note.fault.key) == ("note", "access_points.AP1.position_m")
    assert note.fault.found.startswith("2% behind more than 0 sheets, the deepest behind")
    assert note.fault.found.endswith("at (8, 5, 1) m, of 64 receivers")


def test_structural_warnings_come_before_those_on_depth() -> None:
    scene = made(
        FLAT,
        put_wall("cross", (7, 3), (7, 6)),
        put("access_points", name="AP2", position_m=[9, 2, 2], power_dbm=20, pattern="iso"),
        lambda c: c.update(people=[]),
    )
    warnings = [i for i in findings(scene, "s", max_depth=0) if i.level == "warning"]
    assert [i.fault.key for i in warnings] == ["walls.side.path_m", "access_points"]


def test_storeys_side_by_side_are_refused_with_a_cure_that_works() -> None:
    def beside(gap: float) -> Change:
        def change(c: Content) -> None:
            room = c.pop("room")
            c.update(walls=[], openings=[], furniture=[], people=[])
            left = {**room, "name": "left", "bottom_m": 0}
            plan = [[10 + gap, 0], [16, 0], [16, 6], [10 + gap, 6]]
            c["storeys"] = [left, {**room, "name": "right", "bottom_m": 0, "outline_m": plan}]

        return change

    (error,) = told(made(FLAT, beside(0.0)), "error")
    assert error.fault.key == "storeys.right"
    assert "'right wall 3' and 'left wall 1', both of concrete, are in one plane" in (
        error.fault.found
    )
    assert error.at_m == pytest.approx((10, 3, 1.3))
    assert "one outline around 'left' and 'right', with an inner wall" in error.fault.cure
    assert "leave 1 cm between them" in error.fault.cure
    apart = findings(made(FLAT, beside(0.01)), "s")
    assert {i.level for i in apart} == {"note"}

    def one_outline(c: Content) -> None:
        c.update(walls=[], openings=[], furniture=[], people=[])
        c["room"]["outline_m"] = [[0, 0], [16, 0], [16, 6], [10, 6], [10, 8], [0, 8]]
        c["walls"] = [{"name": "between", "path_m": [[10, 0], [10, 6]], "material": "concrete"}]

    assert {i.level for i in findings(made(FLAT, one_outline), "s")} == {"note"}


def gallery(*changes: Change) -> Scene:
    """The flat with a storey on it that has a hole of 2 x 2 m in its floor."""

    def change(c: Content) -> None:
        room = c.pop("room")
        hole = [[[6, 5], [8, 5], [8, 7], [6, 7]]]
        c.update(furniture=[], people=[])
        c["storeys"] = [
            {**room, "name": "low", "bottom_m": 0},
            {**room, "name": "high", "bottom_m": 2.6, "voids_m": hole},
        ]

    return made(FLAT, change, *changes)


def test_things_and_walks_over_a_void_are_in_the_air() -> None:
    def warned(*changes: Change) -> list[tuple[str, str]]:
        return [(i.fault.key, i.fault.found) for i in told(gallery(*changes), "warning")]

    def desk(x: float, storey: str = "high", **values: object) -> Change:
        return put("furniture", name="desk", kind="desk", centre_m=[x, 6], storey=storey, **values)

    def person(speed: float, *path: tuple[float, float]) -> Change:
        points = [list(p) for p in path]
        return put("people", name="p", path_m=points, speed_m_per_s=speed, storey="high")

    assert warned() == []
    ((key, found),) = warned(desk(7))
    assert key == "furniture.desk"
    assert found == "furniture 'desk' in the air: 100% of it over a void of 'high'"
    assert warned(desk(7, "low")) == []
    # On the rim, more than half of it on the floor.
    assert warned(desk(5.9)) == []
    assert len(warned(desk(6.1))) == 1
    # A pillar from below is what it stands on.
    below = put("furniture", name="post", kind="pillar", centre_m=[7, 6], storey="low")
    assert warned(below, lambda c: c["furniture"][0].update(size_m=[0.5, 0.5, 2.59]), desk(7)) == []
    ((key, found),) = warned(person(0.0, (7, 6), (7, 6.5)))
    assert (key, found[:23]) == ("people.p", "person 'p' in the air: ")
    ((key, found),) = warned(person(1.0, (5, 6), (9, 6)))
    assert key == "people.p.path_m"
    assert found == "2 m of it in the air, over a void of 'high' from (6, 6) m"
    assert warned(person(1.0, (5, 4.5), (9, 4.5))) == []


def test_notes_on_rain_indoors_and_idle_materials() -> None:
    def notes(*changes: Change) -> dict[str, str]:
        return {i.fault.key: i.fault.found for i in told(made(FLAT, *changes), "note")}

    assert not {"weather.rain_mm_per_h", "materials"} & set(notes())
    rain = notes(lambda c: c.update(weather={"rain_mm_per_h": 20}))
    assert rain["weather.rain_mm_per_h"].startswith("20 mm/h attenuates every path")
    gold = notes(lambda c: c["materials"].update(gold={"itu": "metal", "thickness_m": 0.01}))
    assert gold["materials"] == "nothing is of gold, unless a perturbation says so"
    outside = {
        "ground": {"area_m": [[-50, -50], [50, -50], [50, 50], [-50, 50]], "material": "concrete"},
        "weather": {"rain_mm_per_h": 20},
    }
    spot = {"name": "out", "kind": "points", "points_m": [[-5, -5]], "height_m": 1.5}
    mixed = made(FLAT, lambda c: c.update(outside), lambda c: c["receivers"].append(spot))
    assert "weather.rain_mm_per_h" not in {i.fault.key for i in findings(mixed, "s")}


def test_channels_of_a_realisation_are_counted() -> None:
    scene = made(
        FLAT,
        alter("access_points", 0, array={"rows": 2, "columns": 4}, polarisation="VH"),
        put("access_points", name="B", position_m=[2, 1, 2], power_dbm=20, pattern="iso"),
        lambda c: c["access_points"].append(
            {**c["access_points"][1], "name": "C", "active": False}
        ),
    )
    (note,) = [i for i in told(scene, "note") if i.fault.key == "channels"]
    assert note.fault.found == (
        f"{63 * 17 * 64 * 8 / 2**10:.3g} KiB a realisation: 63 points x 17 ports x 64 subcarriers "
        "x 8 bytes"
    )


def write_box(folder: Path, low: tuple[float, ...], high: tuple[float, ...], name: str) -> Content:
    """A closed box as OBJ in a folder, and the mesh that declares it."""
    corners = [[(low, high)[b][i] for i, b in enumerate(bits)] for bits in np.ndindex(2, 2, 2)]
    quads = [[1, 2, 4, 3], [5, 7, 8, 6], [1, 5, 6, 2], [3, 4, 8, 7], [1, 3, 7, 5], [2, 6, 8, 4]]
    lines = ["v " + " ".join(map(str, corner)) for corner in corners]
    lines += [f"f {a} {b} {c}\nf {a} {c} {d}" for a, b, c, d in quads]
    data = ("\n".join(lines) + "\n").encode()
    (folder / f"{name}.obj").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return {"name": name, "file": f"{name}.obj", "sha256": digest, "material": "board"}


def test_a_wall_of_a_mesh_that_is_a_closed_box_counts_twice(tmp_path: Path) -> None:
    wall = write_box(tmp_path, (2.0, 0.2, 0.01), (2.2, 3.9, 2.5), "wall")
    change = [lambda c: c.update(meshes=[wall]), alter("receivers", 0, blocked="leave_out")]
    scene = made(FLAT, *change).in_folder(tmp_path)
    (warning,) = told(scene, "warning")
    assert warning.fault.key == "meshes.wall"
    assert "9.21 m2 of board (up to 0.2 m apart)" in warning.fault.found
    assert "Keep one sheet of each wall" in warning.fault.cure
    # Far from all ways to receivers it is a figure to know.
    aside = made(FLAT, *change, lambda c: c["meshes"][0].update(position_m=[5.5, 0.1, 0]))
    aside = aside.model_copy(update={"people": (), "walls": aside.walls[:1]}).in_folder(tmp_path)
    assert told(aside, "warning") == []
    assert [i.fault.key for i in told(aside, "note") if "one sheet" in i.fault.expected]
    metal = made(FLAT, *change, lambda c: c["meshes"][0].update(material="metal"))
    assert told(metal.in_folder(tmp_path), "warning") == []
    thick = write_box(tmp_path, (2.0, 0.2, 0.01), (2.6, 3.9, 2.5), "wall")
    body = made(FLAT, *change, lambda c: c.update(meshes=[thick])).in_folder(tmp_path)
    assert told(body, "warning") == []


def test_parallel_sheets_are_found_in_any_direction() -> None:
    random = np.random.default_rng(4)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    square = np.array([[[0, 0, 0], [2, 0, 0], [2, 2, 0]], [[0, 0, 0], [2, 2, 0], [0, 2, 0]]], float)
    gaps = [0.0005, 0.2, 0.2, 0.7]
    sheets = [square + np.array([10.0 * i, 0, 0]) for i in range(4)]
    sheets += [square + np.array([10.0 * i, 0, gap]) for i, gap in enumerate(gaps)]
    # One behind the other, but not over each other.
    sheets[6] = sheets[6] + np.array([2.5, 0, 0])
    number, gap = solids.doubles(np.concatenate(sheets) @ turn.T)
    behind = {int(n) // 2 % 4 for n in number}
    assert behind == {1}
    assert len(number) == 2
    np.testing.assert_allclose(gap, 0.2, atol=1e-9)


@pytest.mark.parametrize("alone", [False, True])
def test_a_mesh_of_no_size(alone: bool, tmp_path: Path) -> None:
    side = 0.4 if alone else 0.03
    tiny = write_box(tmp_path, (0.0, 0.0, 0.0), (side, side, side), "tiny")
    tiny["position_m"] = [2.2, 2.2, 2.2]

    def change(c: Content) -> None:
        c.update(meshes=[tiny])
        if alone:
            for key in ("room", "walls", "openings", "furniture", "people"):
                del c[key]

    (warning,) = told(made(FLAT, change).in_folder(tmp_path), "warning")
    assert warning.fault.key == "meshes.tiny.scale"
    assert warning.fault.found == f"{side:g} x {side:g} x {side:g} m"
    assert "in cm or mm" in warning.fault.cure


def test_the_check_of_a_scene_of_two_hundred_parts_is_quick() -> None:
    def many(c: Content) -> None:
        c["room"]["outline_m"] = [[0, 0], [80, 0], [80, 40], [0, 40]]
        c.update(walls=[], openings=[])
        for i in range(40):
            x = 1.5 + 1.9 * i
            wall = {"name": f"w{i}", "path_m": [[x, 10], [x, 16]], "material": "board"}
            door = {"name": f"d{i}", "wall": f"w{i}", "at_m": 1, "material": "wood"}
            c["walls"].append(wall)
            c["openings"].append({**door, "state": "open" if i % 2 else "closed"})
            for k in range(3):
                c["furniture"].append(
                    {"name": f"f{i}_{k}", "kind": "chair", "centre_m": [x, 20 + 5 * k]}
                )

    scene = made(FLAT, many)
    start = time.perf_counter()
    found = findings(scene, "s")
    assert time.perf_counter() - start < 2.0
    assert [i for i in found if i.level == "error"] == []
