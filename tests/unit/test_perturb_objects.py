"""Furniture that is moved and things that are placed: where there is room, and nowhere else."""

from __future__ import annotations

import hashlib
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import yaml

from twin.config import validate
from twin.errors import InputError
from twin.perturb.check import check_table
from twin.perturb.describe import as_text, describe
from twin.perturb.numbers import factors
from twin.perturb.realise import Realisation, realise, realise_at
from twin.perturb.table import PerturbationTable
from twin.scene.check import check
from twin.scene.contents import Furniture
from twin.scene.declaration import Scene, scene_digest
from twin.scene.furnishing import furnished
from twin.scene.motion import person_as_furniture
from twin.scene.obstacles import CLEARANCE_M
from twin.scene.openings import hole_of
from twin.scene.street_shapes import vehicle_surface
from twin.store.spec import drawn_quantities

BOX: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())
FURNITURE = [
    {"name": "desk_1", "centre_m": [1.5, 3.5], "size_m": [1, 0.6, 0.75], "material": "sheet"},
    {"name": "desk_2", "centre_m": [4.5, 1], "size_m": [1, 0.6, 0.75], "material": "sheet"},
    {"name": "shelf", "centre_m": [5.7, 2], "size_m": [0.4, 1, 2], "material": "sheet"},
]
SCENE = validate(BOX | {"furniture": FURNITURE}, Scene, "box")

MOVE: dict[str, Any] = {
    "name": "desks",
    "path": "furniture.desk_*",
    "shift": {"kind": "uniform", "low": 0, "high": 2},
    "turn": {"kind": "uniform", "low": -180, "high": 180},
    "gap_m": 0.1,
}
PEOPLE: dict[str, Any] = {
    "name": "visitors",
    "kind": "person",
    "count": 4,
    "present_probability": 0.5,
    "material": "sheet",
    "area_m": [[0, 0], [6, 0], [6, 4], [0, 4]],
}


def table(
    moves: list[dict[str, Any]] | None = None,
    placements: list[dict[str, Any]] | None = None,
    **more: Any,
) -> PerturbationTable:
    content = {"schema": "fingertwin/perturbation@2", "scene": "box"}
    return validate(
        content | {"moves": moves or [], "placements": placements or []} | more,
        PerturbationTable,
        "table",
    )


def changed(made: PerturbationTable, index: int = 0, severity: float = 1.0) -> Realisation:
    return realise(SCENE, made, seed=1, realisation=index, severity=severity)


def plan(item: Furniture) -> shapely.Polygon:
    return shapely.Polygon(item.footprint())


def assert_clear(made: Realisation, gap: float) -> None:
    """All that stands keeps the gap from everything else, points included."""
    scene = made.scene
    assert scene.room is not None
    outline = shapely.Polygon(scene.room.shifted_outline())
    screen = shapely.LineString(scene.walls[0].path_m)
    for item in scene.furniture:
        assert outline.contains(plan(item))
        assert plan(item).distance(screen) >= gap - 1e-6
        points = shapely.points(made.points()[:, :2])
        if item.top_m > 1.1 - CLEARANCE_M:
            assert shapely.distance(plan(item), points).min() >= CLEARANCE_M
        for ap in scene.access_points:
            if item.top_m > ap.position_m[2] - CLEARANCE_M:
                assert plan(item).distance(shapely.Point(ap.position_m[:2])) >= CLEARANCE_M
    for first, second in combinations(scene.furniture, 2):
        assert plan(first).distance(plan(second)) >= gap - 1e-6


def test_moved_furniture_stands_in_nothings_way() -> None:
    moved = 0
    for index in range(20):
        made = changed(table([MOVE]), index)
        assert_clear(made, 0.1)
        assert check(made.scene, "moved") == []
        moved += sum(float(made.drawn[f"desks_tries[{i}]"]) >= 1 for i in ("desk_1", "desk_2"))
        for before, after in zip(SCENE.furniture, made.scene.furniture, strict=True):
            if after.name == "shelf":
                assert after == before
                continue
            shift = [float(made.drawn[f"desks_{axis}[{after.name}]"]) for axis in "xy"]
            assert np.hypot(*shift) <= 2.0
            assert after.centre_m == pytest.approx(np.add(before.centre_m, shift))
            turn = float(made.drawn[f"desks_turn[{after.name}]"])
            assert after.yaw_deg == pytest.approx(before.yaw_deg + turn)
            assert abs(turn) <= 180.0
    assert moved == 40


def test_drawn_values_of_moves_have_units_and_the_same_keys() -> None:
    made = [changed(table([MOVE], [PEOPLE]), index) for index in range(4)]
    expected = [
        *(f"desks_{part}[desk_{i}]" for i in (1, 2) for part in ("x", "y", "turn", "tries")),
        *(
            f"visitors_{part}[{i}]"
            for i in range(4)
            for part in ("present", "x", "y", "turn", "tries")
        ),
    ]
    for each in made:
        assert list(each.drawn) == list(each.units) == expected
    stored = {item.name: item for item in drawn_quantities([m.drawn for m in made], made[0].units)}
    assert stored["desks_x[desk_1]"].unit == "m"
    assert stored["desks_turn[desk_1]"].unit == "deg"
    assert stored["visitors_present[0]"].categories == ("no", "yes")


def test_a_turn_beyond_a_full_one_keeps_its_yaw_in_range() -> None:
    items = [FURNITURE[0] | {"yaw_deg": 350, "centre_m": [4.5, 2.5]}]
    scene = validate(BOX | {"furniture": items}, Scene, "box")
    round_ = MOVE | {"turn": {"kind": "uniform", "low": 100, "high": 180}}
    made = realise(scene, table([round_]), seed=1, realisation=0)
    turn = float(made.drawn["desks_turn[desk_1]"])
    assert 100 <= turn <= 180
    assert made.scene.furniture[0].yaw_deg == pytest.approx(turn - 10)


def test_what_has_no_room_stays_where_it_is() -> None:
    far = MOVE | {"shift": {"kind": "uniform", "low": 50, "high": 60}, "tries": 7}
    made = changed(table([far]))
    assert made.scene.furniture == SCENE.furniture
    assert {made.drawn[f"desks_tries[{i}]"] for i in ("desk_1", "desk_2")} == {7.0}
    assert {made.drawn[f"desks_{a}[desk_1]"] for a in ("x", "y", "turn")} == {0.0}


def test_absent_furniture_is_not_moved_and_in_no_ones_way() -> None:
    gone = {
        "name": "present",
        "path": "furniture.desk_2.present",
        "apply": "set",
        "unit": "1",
        "distribution": {"kind": "bernoulli", "probability": 0},
        "description": "d",
    }
    made = changed(table([MOVE | {"path": "furniture.desk_2"}], quantities=[gone]))
    assert (made.drawn["desks_tries"], made.drawn["desks_x"]) == (0.0, 0.0)
    near = [FURNITURE[0] | {"centre_m": [4.5, 1.9]}, FURNITURE[1]]
    scene = validate(BOX | {"furniture": near}, Scene, "box")
    aside = MOVE | {"path": "furniture.desk_1", "shift": {"kind": "uniform", "low": 0, "high": 0.6}}
    free, taken = (
        [realise(scene, table([aside], quantities=q), 1, i).scene.furniture for i in range(20)]
        for q in ([gone], [])
    )
    assert any(plan(first).distance(plan(second)) < 0.1 for first, second in free)
    assert all(plan(first).distance(plan(second)) >= 0.1 - 1e-6 for first, second in taken)


def test_declared_contact_may_stay() -> None:
    # Nearer to the north wall and to the next desk than the gap.
    items = [
        FURNITURE[0] | {"centre_m": [1.5, 3.68]},
        FURNITURE[0] | {"name": "desk_2", "centre_m": [2.53, 3.68]},
    ]
    scene = validate(BOX | {"furniture": items}, Scene, "box")
    along = MOVE | {
        "path": "furniture.desk_1",
        "shift": {"kind": "uniform", "low": 0, "high": 0.1},
        "turn": None,
        "gap_m": 0.3,
        "tries": 1000,
    }
    for index in range(5):
        made = realise(scene, table([along]), seed=1, realisation=index)
        moved, still = made.scene.furniture
        assert moved.centre_m != scene.furniture[0].centre_m
        # No nearer than it stood.
        assert moved.centre_m[1] <= 3.68 + 1e-6
        assert plan(moved).distance(plan(still)) >= 0.03 - 1e-6


def tucked(depth: float) -> Scene:
    """A chair that reaches under a desk, whose edge is y = 2, as deep as it is said."""
    items = [
        FURNITURE[0] | {"name": "top", "centre_m": [4.5, 2.3]},
        FURNITURE[0]
        | {"name": "chair", "centre_m": [4.5, 1.75 + depth], "size_m": [0.5, 0.5, 0.7]},
    ]
    return validate(BOX | {"furniture": items}, Scene, "box")


@pytest.mark.parametrize("depth", [0.05, 0.3])
def test_what_overlaps_as_declared_goes_no_deeper(depth: float) -> None:
    scene = tucked(depth)
    desk, chair = map(plan, scene.furniture)
    had = desk.intersection(chair).area
    assert had == pytest.approx(0.5 * depth)
    about = MOVE | {
        "path": "furniture.chair",
        "shift": {"kind": "uniform", "low": 0, "high": 0.25},
        "turn": {"kind": "uniform", "low": -30, "high": 30},
    }
    shares = []
    for index in range(25):
        made = realise(scene, table([about]), seed=1, realisation=index)
        assert float(made.drawn["desks_tries"]) < 100
        shares.append(desk.intersection(plan(made.scene.furniture[1])).area)
    # A millimetre around the chair does not count.
    assert max(shares) <= had + 0.001 * 2.0
    assert len({round(share, 6) for share in shares}) > 15
    assert min(shares) < 0.9 * had


def test_what_stands_in_a_wall_goes_no_deeper() -> None:
    # The screen is x = 3, y 1 to 3, and the desk reaches over its end by 10 cm.
    items = [FURNITURE[0] | {"name": "desk_1", "centre_m": [3.0, 3.2], "size_m": [1, 0.6, 0.75]}]
    scene = validate(BOX | {"furniture": items}, Scene, "box")
    wall = shapely.LineString(scene.walls[0].path_m)
    about = MOVE | {"shift": {"kind": "uniform", "low": 0, "high": 0.5}, "turn": None}
    lengths = []
    for index in range(20):
        made = realise(scene, table([about]), seed=1, realisation=index)
        lengths.append(wall.intersection(plan(made.scene.furniture[0])).length)
    assert 0.0 < max(lengths) <= 0.1 + 2e-3
    assert len(set(lengths)) > 5


def test_a_thing_moves_by_its_own_stream_alone() -> None:
    alone = changed(table([MOVE | {"path": "furniture.desk_2"}]))
    both = changed(table([MOVE]))
    other = table([MOVE, MOVE | {"name": "shelves", "path": "furniture.shelf", "turn": None}])
    assert both.drawn["desks_x[desk_2]"] == changed(other).drawn["desks_x[desk_2]"]
    assert alone.drawn["desks_x"] != both.drawn["desks_x[desk_2]"]  # Named by element.


def test_people_stand_in_free_places_or_are_not_there() -> None:
    counts = []
    for index in range(16):
        made = changed(table([MOVE], [PEOPLE]), index)
        assert_clear(made, 0.1)
        assert check(made.scene, "placed") == []
        people = [item for item in made.scene.furniture if item.kind == "person"]
        present = [i for i in range(4) if made.drawn[f"visitors_present[{i}]"]]
        assert [item.name for item in people] == [f"visitors_{i}" for i in present]
        for item, number in zip(people, present, strict=True):
            assert item.centre_m == (
                made.drawn[f"visitors_x[{number}]"],
                made.drawn[f"visitors_y[{number}]"],
            )
        counts.append(len(people))
    assert 1.5 < np.mean(counts) < 2.5


def test_nobody_is_placed_where_there_is_no_room() -> None:
    crowded = PEOPLE | {
        "present_probability": 1,
        "count": 30,
        "tries": 40,
        "area_m": [[3.2, 0.2], [5, 0.2], [5, 1.5], [3.2, 1.5]],
    }
    made = changed(table([], [crowded]))
    assert_clear(made, 0.1)
    present = [made.drawn[f"visitors_present[{i}]"] for i in range(30)]
    assert 0 < sum(bool(p) for p in present) < 30
    left_out = present.index(False)
    assert made.drawn[f"visitors_tries[{left_out}]"] == 40.0


def test_severity_scales_moves_and_counts_in_pairs() -> None:
    uncertain = table([MOVE | {"shift": {"kind": "uniform", "low": 0, "high": 0.2}}], [PEOPLE])
    nominal = changed(uncertain, 3, severity=0.0)
    assert scene_digest(nominal.scene) == scene_digest(SCENE)
    assert set(nominal.drawn) == set(changed(uncertain, 3).drawn)
    half, full = changed(uncertain, 3, severity=0.5), changed(uncertain, 3)
    assert half.drawn["desks_tries[desk_2]"] == full.drawn["desks_tries[desk_2]"] == 1.0
    for part in ("x", "y", "turn"):
        expected = float(full.drawn[f"desks_{part}[desk_2]"]) / 2
        assert half.drawn[f"desks_{part}[desk_2]"] == pytest.approx(expected)
    counts = []
    before = {f"visitors_present[{i}]": False for i in range(4)}
    for severity in (0.25, 0.5, 1.0, 2.0):
        made = [changed(table([], [PEOPLE]), index, severity) for index in range(12)]
        now = {key: made[0].drawn[key] for key in before}
        assert all(now[key] for key in before if before[key])
        before = now
        counts.append(
            np.mean([bool(m.drawn[f"visitors_present[{i}]"]) for m in made for i in range(4)])
        )
    assert counts == sorted(counts)
    assert counts[-1] == 1.0
    assert counts[0] == pytest.approx(0.125, abs=0.1)


def test_things_that_stay_over_days() -> None:
    daily = [MOVE | {"varies": "daily"}]
    people = [PEOPLE | {"varies": "never"}]
    made = [changed(table(daily, people, realisations_per_day=2), index) for index in range(4)]
    places = [each.drawn["desks_x[desk_1]"] for each in made]
    assert places[0] == places[1] != places[2] == places[3]
    assert len({each.drawn["visitors_x[0]"] for each in made}) == 1


def test_moves_and_placements_are_factors_with_seeds() -> None:
    uncertain = table([MOVE], [PEOPLE])
    found = factors(uncertain, SCENE)
    assert found == {
        "desks": ("desks[desk_1]", "desks[desk_2]"),
        "visitors": tuple(f"visitors[{i}]" for i in range(4)),
    }
    still = realise_at(SCENE, uncertain, {})
    assert scene_digest(still.scene) == scene_digest(SCENE)
    assert list(still.drawn) == list(changed(uncertain).drawn)
    first = realise_at(SCENE, uncertain, {"desks[desk_1]": 0.25, "desks[desk_2]": 0.5})
    again = realise_at(SCENE, uncertain, {"desks[desk_1]": 0.25, "desks[desk_2]": 0.5})
    other = realise_at(SCENE, uncertain, {"desks[desk_1]": 0.75, "desks[desk_2]": 0.5})
    assert first.scene == again.scene
    assert first.drawn["desks_x[desk_1]"] != other.drawn["desks_x[desk_1]"] != 0.0


def test_walkers_and_vehicles_follow_the_time() -> None:
    walker = {"name": "guard", "path_m": [[3.5, 3.5], [5, 3.5]], "material": "sheet"}
    scene = validate(BOX | {"people": [walker]}, Scene, "box")
    time = {
        "name": "time",
        "path": "time_s",
        "apply": "set",
        "unit": "s",
        "distribution": {"kind": "uniform", "low": 0, "high": 60},
        "description": "d",
    }
    uncertain = table([], [PEOPLE | {"present_probability": 1}], quantities=[time])
    places = set()
    for index in range(6):
        made = realise(scene, uncertain, 1, index)
        assert made.scene.time_s == made.drawn["time"]
        guard = person_as_furniture(made.scene.people[0], made.scene.time_s)
        places.add(guard.centre_m)
        for item in made.scene.furniture:
            if item.kind == "person":
                assert plan(item).distance(plan(guard)) >= 0.1 - 1e-6
    assert len(places) == 6


CROWD = PEOPLE | {"count": 12, "present_probability": 1, "tries": 60}


def crowd(scene: Scene, index: int = 0) -> list[shapely.Polygon]:
    made = realise(scene, table([], [CROWD]), seed=1, realisation=index)
    people = [plan(item) for item in made.scene.furniture if item.name.startswith("visitors_")]
    assert len(people) > 3
    return people


def test_nobody_stands_in_a_door_leaf_or_in_clutter() -> None:
    door = {
        "name": "door",
        "edge": 1,
        "at_m": 1,
        "width_m": 1.5,
        "material": "sheet",
        "state": "open",
        "hinge": "start",
        "swing_deg": 90,
    }
    chairs = {
        "name": "chairs",
        "kind": "chair",
        "area_m": [[3.2, 0.2], [5.8, 0.2], [5.8, 3.8], [3.2, 3.8]],
        "density_per_m2": 0.5,
        "material": "sheet",
        "gap_m": 0.3,
    }
    scene = validate(BOX | {"openings": [door], "clutter": [chairs]}, Scene, "box")
    hole = hole_of(scene, scene.openings[0])
    assert hole is not None
    assert hole.leaf is not None
    leaf = shapely.LineString(np.stack(hole.leaf))
    before = {item.name: item for item in furnished(scene)}
    for person in crowd(scene):
        assert person.distance(leaf) >= 0.1 - 1e-6
        for name, item in before.items():
            assert person.distance(plan(item)) >= (0.3 if "chairs" in name else 0.1) - 1e-6
    # So clutter gives way to nobody.
    after = {item.name: item for item in furnished(realise(scene, table([], [CROWD]), 1, 0).scene)}
    assert {name: after[name] for name in before} == before


def test_nobody_stands_in_a_mesh(tmp_path: Path) -> None:
    corners = [(x, y, z) for x in (3.5, 5.0) for y in (0.5, 3.0) for z in (0.05, 1.5)]
    quads = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
    text = "".join(f"v {x} {y} {z}\n" for x, y, z in corners)
    text += "".join(f"f {a} {b} {c}\nf {a} {c} {d}\n" for a, b, c, d in quads)
    (tmp_path / "block.obj").write_text(text)
    block = {
        "name": "block",
        "file": "block.obj",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "material": "sheet",
    }
    changes = {"meshes": [block], "access_points": BOX["access_points"][:1]}
    scene = validate(BOX | changes, Scene, "box").in_folder(tmp_path)
    body = shapely.box(3.5, 0.5, 5.0, 3.0)
    for person in crowd(scene):
        assert person.distance(body) >= 0.1 - 1e-6


def test_nobody_stands_in_buildings_or_vehicles() -> None:
    street = {key: value for key, value in BOX.items() if key not in ("room", "walls", "furniture")}
    street |= {
        "ground": {"area_m": [[-5, -5], [20, -5], [20, 15], [-5, 15]], "material": "concrete"},
        "buildings": [
            {
                "name": "shop",
                "footprint_m": [[3.5, 2.5], [6, 2.5], [6, 6], [3.5, 6]],
                "height_m": 4,
                "wall_material": "concrete",
                "roof_material": "concrete",
            }
        ],
        "roads": [
            {"name": "lane", "path_m": [[-4, 0.3], [19, 0.3]], "width_m": 3, "material": "concrete"}
        ],
        "vehicles": [{"name": "car", "road": "lane", "at_m": 9, "material": "sheet"}],
        "access_points": [BOX["access_points"][0] | {"position_m": [1, 5, 3]}],
    }
    scene = validate(street, Scene, "street")
    car = vehicle_surface(scene.vehicles[0], scene.roads[0], 0.0).vertices
    shapes = [
        shapely.Polygon(scene.buildings[0].footprint_m),
        shapely.MultiPoint(car[:, :2]).convex_hull,
    ]
    people = crowd(scene)
    assert all(person.distance(shape) >= 0.1 - 1e-6 for person in people for shape in shapes)


# what: (moves, placements, end of the key, part of the fault)
MISFITS: dict[str, tuple[list[Any], list[Any], str, str]] = {
    "no such thing": (
        [MOVE | {"path": "furniture.dask_1"}],
        [],
        "moves.desks.path",
        "furniture.desk_1?",
    ),
    "no thing": (
        [MOVE | {"path": "walls.screen"}],
        [],
        "moves.desks.path",
        "furniture of the scene",
    ),
    "moved twice": (
        [MOVE, MOVE | {"name": "more", "path": "furniture.*_1"}],
        [],
        "moves.more.path",
        "'desks' does not move too, found desk_1",
    ),
    "too far": (
        [MOVE | {"shift": {"kind": "uniform", "low": 0, "high": 2000}}],
        [],
        "moves.desks.shift",
        "-1000 to 1000 m",
    ),
    "round and round": (
        [MOVE | {"turn": {"kind": "normal", "mean": 0, "std": 100}}],
        [],
        "moves.desks.turn",
        "-360 to 360 deg",
    ),
    "no material": ([], [PEOPLE | {"material": "shet"}], "placements.visitors.material", "sheet?"),
    "the catalogue's material": (
        [],
        [PEOPLE | {"material": None}],
        "placements.visitors.material",
        "Give the scene a material 'body'",
    ),
    "box without size": ([], [PEOPLE | {"kind": "box"}], "placements.visitors.size_m", "'box'"),
    "no storey": ([], [PEOPLE | {"storey": "attic"}], "placements.visitors.storey", "any of room"),
    "area outside": (
        [],
        [PEOPLE | {"area_m": [[7, 0], [8, 0], [8, 1]]}],
        "placements.visitors.area_m",
        "'room'",
    ),
    "area that crosses itself": (
        [],
        [PEOPLE | {"area_m": [[1, 1], [2, 2], [2, 1], [1, 2]]}],
        "placements.visitors.area_m",
        "Self-intersection",
    ),
    "names of things": (
        [],
        [PEOPLE | {"name": "desk"}],
        "placements.desk.name",
        "furniture 'desk_1' is there already",
    ),
    "one name for two": ([MOVE], [PEOPLE | {"name": "desks"}], "placements.desks", "'desks'"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_misfit_is_refused(what: str) -> None:
    moves, placements, key, text = MISFITS[what]
    (fault,) = check_table(table(moves, placements), SCENE, "table")
    assert fault.key == key
    assert text in str(fault)


def test_a_quantity_called_like_a_value_of_a_move_is_refused() -> None:
    clash = {
        "name": "desks_x",
        "path": "room.height_m",
        "apply": "add",
        "unit": "m",
        "distribution": {"kind": "uniform", "low": 0, "high": 0.1},
        "description": "d",
    }
    (fault,) = check_table(table([MOVE], quantities=[clash]), SCENE, "table")
    assert fault.key == "quantities.desks_x"


@pytest.mark.parametrize(
    "wrong",
    [{"count": 0}, {"count": 1001}, {"present_probability": 1.1}, {"gap_m": -1}, {"tries": 0}],
)
def test_absurd_placements_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"placements\.visitors\."):
        table([], [PEOPLE | wrong])


def test_draws_are_described_with_units_and_what_became_of_them() -> None:
    taller = {
        "name": "ceiling",
        "path": "room.height_m",
        "apply": "add",
        "unit": "m",
        "distribution": {"kind": "uniform", "low": 0, "high": 0.1},
        "description": "not given",
    }
    uncertain = table([MOVE], [PEOPLE], quantities=[taller])
    made = changed(uncertain)
    rows = describe(made, uncertain)
    assert [row["draw"] for row in rows] == list(made.drawn)
    assert {row["draw"]: row["value"] for row in rows} == made.drawn
    assert made.scene.room is not None
    assert rows[0] == {
        "draw": "ceiling",
        "value": made.drawn["ceiling"],
        "unit": "m",
        "apply": "add",
        "path": "room.height_m",
        "declared": 2.5,
        "realised": made.scene.room.height_m,
        "description": "not given",
    }
    assert (rows[1]["path"], rows[1]["apply"]) == ("furniture.desk_1", "move")
    assert (rows[-1]["path"], rows[-1]["apply"]) == ("furniture.visitors_3", "place")
    lines = as_text(rows).splitlines()
    assert len(lines) == len(rows) + 1
    assert lines[1].split()[:3] == ["ceiling", f"{made.drawn['ceiling']:.4g}", "m"]
