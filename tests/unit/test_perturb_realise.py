"""Draws reach the scene, carry their units, and are refused where they cannot be."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from twin.config import validate
from twin.errors import InputError
from twin.perturb.draw import draw
from twin.perturb.library import load_table
from twin.perturb.numbers import Seeded, uniform_keys
from twin.perturb.realise import NOMINAL, nominal, realise, realise_at
from twin.perturb.table import PerturbationTable
from twin.scene.check import check
from twin.scene.declaration import Scene, scene_digest
from twin.scene.library import load_scene
from twin.scene.receivers import receiver_points

BOX: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())
SCENE = validate(BOX, Scene, "box")


def quantity(name: str, path: str, apply: str, unit: str, **distribution: Any) -> dict[str, Any]:
    return {
        "name": name,
        "path": path,
        "apply": apply,
        "unit": unit,
        "distribution": distribution,
        "description": "test",
    }


def table(*quantities: dict[str, Any]) -> PerturbationTable:
    content = {"schema": "fingertwin/perturbation@2", "scene": "box", "quantities": quantities}
    return validate(content, PerturbationTable, "table")


HEIGHT = quantity(
    "ap_height", "access_points.*.position_m.z", "add", "m", kind="uniform", low=-0.4, high=0.4
)
THICK = quantity(
    "thickness",
    "materials.*.thickness_m",
    "multiply",
    "1",
    kind="loguniform",
    low=0.5,
    high=2,
)
PATTERN = quantity(
    "pattern", "access_points.*.pattern", "set", "1", kind="choice", values=["hw_dipole"]
)
DESK = quantity("desk", "furniture.desk.present", "set", "1", kind="bernoulli", probability=0)
NOISE: dict[str, Any] = {"kind": "normal", "mean": 0, "std": 0.1, "low": -0.2, "high": 0.2}
EAR = quantity("ear", "receivers.grid.height_m", "add", "m", **NOISE)


def test_draws_reach_the_scene() -> None:
    made = realise(SCENE, table(HEIGHT, THICK, PATTERN, DESK, EAR), seed=3, realisation=0)
    assert list(made.drawn) == [
        *("ap_height[AP1]", "ap_height[AP2]", "thickness[concrete]", "thickness[sheet]"),
        *("pattern[AP1]", "pattern[AP2]", "desk", "ear"),
    ]
    assert made.index == 0
    drawn = made.drawn
    for ap, declared in zip(made.scene.access_points, SCENE.access_points, strict=True):
        shift = drawn[f"ap_height[{ap.name}]"]
        assert isinstance(shift, float)
        assert ap.position_m[2] == declared.position_m[2] + shift
        assert ap.position_m[:2] == declared.position_m[:2]
        assert ap.pattern == "hw_dipole"
    factor = drawn["thickness[concrete]"]
    assert isinstance(factor, float)
    assert made.scene.materials["concrete"].thickness_m == 0.2 * factor
    assert made.scene.furniture[0].present is False
    assert drawn["desk"] is False


def test_every_draw_has_its_unit() -> None:
    made = realise(SCENE, table(HEIGHT, THICK, DESK), seed=3, realisation=0)
    assert list(made.units) == list(made.drawn)
    assert made.units["ap_height[AP2]"] == "m"
    assert made.units["thickness[sheet]"] == "1"


def test_shared_draw_is_one_draw() -> None:
    made = realise(SCENE, table(HEIGHT | {"shared": True}), seed=3, realisation=0)
    assert list(made.drawn) == ["ap_height"]
    heights = {ap.position_m[2] for ap in made.scene.access_points}
    assert len(heights) == 1
    assert heights != {2.0}


def test_quantities_on_one_value_add_up() -> None:
    common = HEIGHT | {"name": "common", "shared": True}
    common["distribution"] = {"kind": "uniform", "low": -0.05, "high": 0.05}
    made = realise(SCENE, table(common, HEIGHT), seed=3, realisation=0)
    expected = 2.0 + float(made.drawn["common"]) + float(made.drawn["ap_height[AP1]"])
    assert made.scene.access_points[0].position_m[2] == pytest.approx(expected)


def test_each_part_draws_a_material_of_its_own() -> None:
    scene = load_scene("office_wing")
    uncertain = load_table("office_wing", scene)
    names = [wall.name for wall in scene.walls]
    seen = set()
    for index in range(60):
        made = realise(scene, uncertain, seed=0, realisation=index)
        walls = tuple(wall.material for wall in made.scene.walls)
        assert walls == tuple(made.drawn[f"divider_material[{name}]"] for name in names)
        cabinet = next(i for i in made.scene.furniture if i.name.startswith("cabinet"))
        seen.add((*walls, cabinet.material))
        assert {i.material for i in made.scene.furniture if i is not cabinet} == {"wood"}
    assert len(seen) == 2 ** (len(names) + 1)


def test_nominal_is_the_scene_as_declared() -> None:
    made = nominal(SCENE)
    assert (made.scene, made.index, made.drawn, made.units) == (SCENE, NOMINAL, {}, {})
    assert np.array_equal(made.points(), receiver_points(SCENE))


def test_declared_scene_is_left_alone() -> None:
    before = scene_digest(SCENE)
    made = realise(SCENE, table(HEIGHT, DESK), seed=1, realisation=0)
    assert scene_digest(SCENE) == before != scene_digest(made.scene)


def test_points_keep_their_place_and_take_the_drawn_height() -> None:
    points = receiver_points(SCENE)
    made = realise(SCENE, table(EAR), seed=1, realisation=0)
    moved = made.points()
    assert np.array_equal(moved[:, :2], points[:, :2])
    (area,) = made.scene.receivers
    assert set(moved[:, 2]) == {area.height_m}
    assert area.height_m == 1.1 + float(made.drawn["ear"])


def refusal(*quantities: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        realise(SCENE, table(*quantities), seed=5, realisation=7)
    assert all(fault.where == "realisation 7 of box, seed 5" for fault in caught.value.faults)
    return str(caught.value)


def test_access_point_outside_names_its_draw() -> None:
    outward = {"kind": "uniform", "low": 2, "high": 3}
    message = refusal(
        quantity("ap_x", "access_points.AP2.position_m.x", "add", "m", **outward), HEIGHT
    )
    assert "access_points.AP2.position_m: expected a place inside the room" in message
    assert "Drawn: ap_x = 2." in message
    assert "ap_height[AP2]" in message
    assert "ap_height[AP1]" not in message


def test_wall_that_leaves_an_access_point_outside_is_named() -> None:
    message = refusal(
        quantity("east", "room.wall_offsets_m.1", "add", "m", kind="uniform", low=-2, high=-1.5)
    )
    assert "access_points.AP2.position_m" in message
    assert "Drawn: east = -1." in message


def test_furniture_moved_onto_receivers_is_refused() -> None:
    message = refusal(
        quantity("tall", "furniture.desk.size_m.z", "add", "m", kind="uniform", low=1, high=1.2)
    )
    assert "receivers.grid: expected no receiver in" in message
    assert "furniture 'desk'" in message
    assert "Drawn: tall = 1." in message


def test_receivers_below_the_desk_top_are_refused() -> None:
    lowered = EAR | {"distribution": {"kind": "uniform", "low": -0.7, "high": -0.5}}
    assert "Drawn: ear = -0." in refusal(lowered)


def leaving_out(**changes: Any) -> Scene:
    """The box, with a walker beside its receivers, of which those that are covered are left out."""
    receivers = [BOX["receivers"][0] | {"blocked": "leave_out"}]
    walker = {"name": "guard", "path_m": [[0.5, 0.5], [0.5, 3.5]], "material": "sheet"}
    content = BOX | {"receivers": receivers, "people": [walker]} | changes
    return validate(content, Scene, "box")


def moved_by(name: str, path: str, low: float, high: float, unit: str = "m") -> dict[str, Any]:
    return quantity(name, path, "add", unit, kind="uniform", low=low, high=high)


# what: (draw, what stands in the way, how many and where the first of them is)
LOST = {
    "furniture": (
        moved_by("tall", "furniture.desk.size_m.z", 1, 1.2),
        "covered by furniture 'desk'",
        "6 of 20 (first (1, 2.5, 1.1)",
    ),
    "a wall": (
        moved_by("screen", "walls.screen.offset_m", 0.5, 0.52),
        "covered by wall 'screen'",
        "5 of 20 (first (2.5, 1, 1.1)",
    ),
    "a person": (
        quantity("when", "time_s", "set", "s", kind="choice", values=[2.3]),
        "covered by person 'guard'",
        "1 of 20 (first (1, 1, 1.1)",
    ),
    "a wall of the room": (
        moved_by("north", "room.wall_offsets_m.2", -1.2, -1.1),
        "outside",
        "4 of 20 (first (1, 3, 1.1)",
    ),
}


@pytest.mark.parametrize("what", LOST)
def test_receivers_are_not_left_out_of_a_realisation(what: str) -> None:
    draws, found, which = LOST[what]
    path = [[0.5, 0.5], [1.0, 0.5], [1.0, 3.5]] if what == "a person" else [[0.5, 0.5], [0.5, 3.5]]
    walker = {"name": "guard", "path_m": path, "material": "sheet", "speed_m_per_s": 0.5}
    content = {"people": [walker]}
    if what == "a wall of the room":
        content["access_points"] = [BOX["access_points"][0] | {"position_m": [1, 1.2, 2]}]
        content["walls"] = []
    scene = leaving_out(**content)
    assert check(scene, "box") == []
    with pytest.raises(InputError) as caught:
        realise(scene, table(draws), seed=5, realisation=7)
    (fault,) = caught.value.faults
    assert (fault.where, fault.key) == ("realisation 7 of box, seed 5", "receivers.grid")
    assert found in fault.found
    assert which in fault.found
    assert fault.cure.startswith(f"Drawn: {draws['name']} = ")
    assert "Keep the area clear" in fault.cure


def test_an_area_that_is_lost_as_a_whole_is_told_once() -> None:
    up = moved_by("ear", "receivers.grid.height_m", 1.38, 1.39)
    with pytest.raises(InputError) as caught:
        realise(leaving_out(), table(up), seed=5, realisation=7)
    (fault,) = caught.value.faults
    assert "20 of 20" in fault.found
    assert fault.cure.startswith("Drawn: ear = 1.3")


def test_a_realisation_that_covers_none_keeps_the_points_of_areas_that_leave_out() -> None:
    desk = BOX["furniture"][0] | {"size_m": [1, 1, 1.5]}
    scene = leaving_out(furniture=[desk])
    points = receiver_points(scene)
    assert 0 < len(points) < len(receiver_points(leaving_out()))
    # It uncovers some, which stay left out.
    made = realise(scene, table(DESK), seed=5, realisation=7)
    assert np.array_equal(made.points(), points)
    assert len(receiver_points(made.scene)) > len(points)


def test_clutter_that_takes_the_place_of_what_moved_covers_no_receiver_in_silence() -> None:
    chairs = {
        "name": "boxes",
        "kind": "cabinet",
        "area_m": [[0.9, 0.9], [2.7, 0.9], [2.7, 2.2], [0.9, 2.2]],
        "density_per_m2": 0.8,
        "material": "sheet",
    }
    big = BOX["furniture"][0] | {"centre_m": [1.8, 1.5], "size_m": [1.7, 1.2, 0.7]}
    scene = leaving_out(furniture=[big], clutter=[chairs])
    away = moved_by("away", "furniture.desk.centre_m.x", 2.9, 3.0)
    with pytest.raises(InputError, match=r"receivers\.grid: .* covered by furniture 'boxes_0'"):
        realise(scene, table(away), seed=5, realisation=7)


def test_numbers_of_ones_own_make_a_realisation() -> None:
    made = realise_at(
        SCENE, table(HEIGHT, THICK, DESK), {"ap_height[AP1]": 0.5, "ap_height[AP2]": 0.75}
    )
    assert made.drawn["ap_height[AP1]"] == 0.0
    assert made.drawn["ap_height[AP2]"] == pytest.approx(0.2)
    # Factors without numbers stay as declared.
    assert made.drawn["thickness[concrete]"] == 1.0
    assert made.drawn["desk"] is True
    assert made.scene.materials == SCENE.materials
    assert (made.index, list(made.units)) == (NOMINAL, list(made.drawn))


def test_numbers_of_a_realisation_give_it_again() -> None:
    uncertain = table(HEIGHT, THICK, DESK, EAR)
    made = realise(SCENE, uncertain, seed=4, realisation=6)
    source = Seeded(4, "box", 6)
    numbers = {
        name: source.uniform(name.partition("[")[0], name.partition("[")[2].rstrip("]"), "each")
        for name in uniform_keys(uncertain, SCENE)
    }
    again = realise_at(SCENE, uncertain, numbers)
    assert (again.scene, again.drawn, again.units) == (made.scene, made.drawn, made.units)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"ap_hight[AP1]": 0.5}, r"draws of the table, found ap_hight\[AP1\]. Did you mean ap_h"),
        ({"ap_height[AP1]": 0.5}, r"all draws of 'ap_height', or for none, found none for ap_h"),
        ({"thickness[concrete]": 1.0, "thickness[sheet]": 0.1}, r"a number in \[0, 1\), found 1"),
    ],
)
def test_numbers_that_fit_nothing_are_refused(numbers: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        realise_at(SCENE, table(HEIGHT, THICK), numbers)


def test_choices_of_whole_numbers_stay_whole() -> None:
    room = {"edge": 0, "at_m": 1, "material": "sheet"}
    door = {"name": "door", **room}
    scene = validate(BOX | {"openings": [door]}, Scene, "box")
    moved = quantity("edge", "openings.door.edge", "set", "1", kind="choice", values=[2])
    made = realise(scene, table(moved), seed=0, realisation=0)
    assert made.scene.openings[0].edge == 2


def test_folder_of_meshes_is_kept(tmp_path: Path) -> None:
    made = realise(SCENE.in_folder(tmp_path), table(HEIGHT), seed=0, realisation=0)
    assert made.scene.folder == tmp_path


def test_days_and_campaigns_share_draws() -> None:
    daily = HEIGHT | {"name": "daily", "varies": "daily"}
    never = HEIGHT | {"name": "never", "varies": "never"}
    each = HEIGHT | {"name": "visit"}
    for changed in (daily, never, each):
        changed["distribution"] = {"kind": "uniform", "low": -0.1, "high": 0.1}
    content = table(daily, never, each).model_dump(mode="json", by_alias=True)
    uncertain = validate(content | {"realisations_per_day": 3}, PerturbationTable, "table")
    made = [draw(uncertain, SCENE, 7, index) for index in range(9)]
    for name, distinct in (("daily", 3), ("never", 1), ("visit", 9)):
        values = [drawn[f"{name}[AP1]"] for drawn in made]
        assert len(set(values)) == distinct
        if name == "daily":
            assert values == [value for value in values[::3] for _ in range(3)]


def test_misfit_is_refused_before_any_draw() -> None:
    with pytest.raises(InputError, match=r"perturbation of box: quantities\.ap_height\.unit"):
        draw(table(HEIGHT | {"unit": "cm"}), SCENE, seed=0, realisation=0)


def test_negative_realisation_is_refused() -> None:
    with pytest.raises(ValueError, match="zero or greater"):
        realise(SCENE, table(HEIGHT), seed=0, realisation=NOMINAL)


@pytest.mark.parametrize("name", ["lecture_theatre", "office_wing"])
def test_library_draws_are_sound(name: str) -> None:
    scene = load_scene(name)
    uncertain = load_table(name, scene)
    points = receiver_points(scene)
    digests = set()
    for index in range(25):
        made = realise(scene, uncertain, seed=0, realisation=index)
        assert check(made.scene, "realisation") == []
        assert len(made.points()) == len(points)
        digests.add(scene_digest(made.scene))
    assert len(digests) == 25


@pytest.mark.parametrize("name", ["lecture_theatre", "office_wing"])
@pytest.mark.parametrize("extreme", ["low", "high"])
def test_library_tables_stay_sound_at_their_ends(name: str, extreme: str) -> None:
    # Sampling would need thousands of draws to meet all quantities at one end together.
    scene = load_scene(name)
    content = copy.deepcopy(load_table(name, scene).model_dump(mode="json", by_alias=True))
    for each in content["quantities"]:
        distribution = each["distribution"]
        if "low" in distribution:
            value = distribution[extreme]
            each["distribution"] = {"kind": "choice", "values": [value]}
        elif distribution["kind"] == "bernoulli":
            distribution["probability"] = 1.0
    fixed = validate(content, PerturbationTable, "ends")
    made = realise(scene, fixed, seed=0, realisation=0)
    assert check(made.scene, "ends") == []


def test_library_walls_in_and_everything_else_out_stays_sound() -> None:
    # The hardest corner: walls at their innermost while access points move towards them.
    for name in ("lecture_theatre", "office_wing"):
        scene = load_scene(name)
        content = load_table(name, scene).model_dump(mode="json", by_alias=True)
        for end in ("low", "high"):
            corner = copy.deepcopy(content)
            for each in corner["quantities"]:
                distribution = each["distribution"]
                if "low" in distribution:
                    inward = each["name"].startswith(("wall_", "room_", "receiver_"))
                    value = distribution["low" if inward else end]
                    each["distribution"] = {"kind": "choice", "values": [value]}
            fixed = validate(corner, PerturbationTable, "corner")
            assert check(realise(scene, fixed, 0, 0).scene, "corner") == []
