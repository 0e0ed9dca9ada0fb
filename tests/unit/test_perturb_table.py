"""Bad tables are refused with every fault named, before any draw."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from twin.config import validate
from twin.errors import InputError
from twin.perturb.check import check_table
from twin.perturb.library import load_table
from twin.perturb.migrate import table_of
from twin.perturb.realise import realise
from twin.perturb.table import PerturbationTable
from twin.perturb.targets import targets
from twin.scene.declaration import Scene
from twin.scene.fields import leaves
from twin.scene.library import library, load_scene

BOX: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())
SCENE = validate(BOX, Scene, "box")

HEIGHT: dict[str, Any] = {
    "name": "ap_height",
    "path": "access_points.*.position_m.z",
    "apply": "add",
    "distribution": {"kind": "uniform", "low": -0.4, "high": 0.4},
    "unit": "m",
    "description": "not given",
}


def content(*quantities: dict[str, Any]) -> dict[str, Any]:
    return {"schema": "fingertwin/perturbation@2", "scene": "box", "quantities": list(quantities)}


def table(*quantities: dict[str, Any]) -> PerturbationTable:
    return validate(content(*quantities), PerturbationTable, "table")


def addressed(path: str) -> list[tuple[str, str]]:
    quantity = table(HEIGHT | {"path": path}).quantities[0]
    return [
        (target.element, target.leaf.dotted) for target in targets(quantity, tuple(leaves(SCENE)))
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("room.height_m", [("", "room.height_m")]),
        ("access_points.AP2.position_m.x", [("", "access_points.AP2.position_m.x")]),
        (
            "access_points.*.power_dbm",
            [("AP1", "access_points.AP1.power_dbm"), ("AP2", "access_points.AP2.power_dbm")],
        ),
        ("materials.con*.thickness_m", [("concrete", "materials.concrete.thickness_m")]),
        (
            "access_points.AP1.position_m.*",
            [(axis, f"access_points.AP1.position_m.{axis}") for axis in "xyz"],
        ),
        ("walls.*.path_m.1.*", [(f"screen.{a}", f"walls.screen.path_m.1.{a}") for a in "xy"]),
        ("room.wall_offsets_m.*", [(str(i), f"room.wall_offsets_m.{i}") for i in range(4)]),
        ("furniture.d?sk.present", []),
        ("access_points.*", []),
    ],
)
def test_paths_and_wildcards(path: str, expected: list[tuple[str, str]]) -> None:
    assert addressed(path) == expected


BERNOULLI = {"kind": "bernoulli", "probability": 0.5}
POWER = {"path": "access_points.*.power_dbm"}
THICK = {"path": "materials.*.thickness_m", "apply": "multiply", "unit": "1"}

# what: (changes to HEIGHT, end of the key, part of expected, part of found or cure)
MISFITS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "unknown place": (
        {"path": "access_points.*.hight"},
        ".path",
        "a path to a value",
        "access_points.*.hight",
    ),
    "unknown element": (
        {"path": "access_points.AP9.power_dbm"},
        ".path",
        "a path",
        "Did you mean access_points.AP2.power_dbm?",
    ),
    "stops too early": ({"path": "room"}, ".path", "a path", "single value, such as room."),
    "left out in the scene": (
        {"path": "materials.concrete.relative_permittivity"},
        ".path",
        "that the scene gives",
        "relative_permittivity",
    ),
    "wrong unit": ({"unit": "cm"}, ".unit", "'m' (access_points.AP1.position_m.z)", "'cm'"),
    "factor with a unit": (THICK | {"unit": "m"}, ".unit", "'1' (a factor)", "'m'"),
    "dBm added to dBm": (POWER | {"unit": "dBm"}, ".unit", "'dB' (added to", "'dBm'"),
    "dB for a level": (POWER | {"apply": "set", "unit": "dB"}, ".unit", "'dBm'", "'dB'"),
    "factor for a level": (
        POWER | {"apply": "multiply", "unit": "1"},
        ".apply",
        "add or set",
        "multiply",
    ),
    "draws leave the range": (
        {"distribution": {"kind": "uniform", "low": -1000, "high": 40}},
        ".distribution",
        "within -100 to 600 m",
        "-998",
    ),
    "factor leaves the range": (
        THICK | {"distribution": {"kind": "loguniform", "low": 0.001, "high": 1}},
        ".distribution",
        "materials.concrete.thickness_m",
        "0.0002",
    ),
    "coin for a number": ({"distribution": BERNOULLI}, ".distribution", "numbers", "bernoulli"),
    "number for a coin": (
        {"path": "furniture.desk.present", "apply": "set", "unit": "1"},
        ".distribution",
        "bernoulli",
        "uniform",
    ),
    "added coin": (
        {"path": "furniture.*.present", "distribution": BERNOULLI, "unit": "1"},
        ".apply",
        "set",
        "add",
    ),
    "unknown pattern": (
        {
            "path": "access_points.*.pattern",
            "apply": "set",
            "unit": "1",
            "distribution": {"kind": "choice", "values": ["iso", "horn"]},
        },
        ".distribution.values",
        "hw_dipole",
        "horn",
    ),
    "unknown material": (
        {
            "path": "walls.*.material",
            "apply": "set",
            "unit": "1",
            "distribution": {"kind": "choice", "values": ["concrete", "paper"]},
        },
        ".distribution.values",
        "concrete, sheet",
        "paper",
    ),
    "texts for a number": (
        {"distribution": {"kind": "choice", "values": ["high", "low"]}},
        ".distribution",
        "numbers",
        "choice",
    ),
    "receiver grid": ({"path": "receivers.grid.pitch_m"}, ".path", "differ between", "pitch_m"),
    "area of receivers": ({"path": "receivers.grid.area_m.0.x"}, ".path", "differ between", "area"),
    "ports": (
        {"path": "access_points.*.array.rows"},
        ".path",
        "differ between",
        "access_points.AP1.array.rows",
    ),
    "reaches too far": (
        {"distribution": {"kind": "normal", "mean": 0, "std": 160}},
        ".distribution",
        "within -100 to 600 m",
        "642",
    ),
    "name": (
        {
            "path": "access_points.AP1.name",
            "apply": "set",
            "unit": "1",
            "distribution": {"kind": "choice", "values": ["a", "b"]},
        },
        ".path",
        "differ between",
        "AP1.name",
    ),
}


@pytest.mark.parametrize("what", MISFITS)
def test_misfit_is_refused(what: str) -> None:
    changes, key, expected, found = MISFITS[what]
    faults = check_table(table(HEIGHT | changes), SCENE, "table.yaml")
    assert len(faults) == 1
    (fault,) = faults
    assert fault.where == "table.yaml"
    assert fault.key == f"quantities.ap_height{key}"
    assert expected in fault.expected
    assert found in f"{fault.found} {fault.cure}"


# what: (distribution, part of the message)
MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown kind": ({"kind": "gauss", "mean": 0, "std": 1}, "'normal'"),
    "no kind": ({"low": 0, "high": 1}, "kind"),
    "upside down": ({"kind": "uniform", "low": 1, "high": 0}, "low < high"),
    "no spread": ({"kind": "normal", "mean": 0, "std": 0, "low": -1, "high": 1}, "greater than 0"),
    "mean outside": (
        {"kind": "normal", "mean": 2, "std": 1, "low": -1, "high": 1},
        "low <= mean <= high",
    ),
    "mean below": ({"kind": "normal", "mean": 0, "std": 1, "low": 1}, "low <= mean <= high"),
    "shut": ({"kind": "normal", "mean": 0, "std": 1, "low": 0, "high": 0}, "low < high"),
    "logarithm of zero": ({"kind": "loguniform", "low": 0, "high": 1}, "greater than 0"),
    "likelier than certain": ({"kind": "bernoulli", "probability": 1.2}, "less than or equal"),
    "nothing to choose": ({"kind": "choice", "values": []}, "at least 1"),
    "a weight missing": ({"kind": "choice", "values": [1, 2], "weights": [1]}, "2 weights"),
    "no weight": ({"kind": "choice", "values": [1, 2], "weights": [0, 0]}, "not all zero"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_distribution_is_refused(what: str) -> None:
    distribution, message = MALFORMED[what]
    with pytest.raises(InputError) as caught:
        table(HEIGHT | {"distribution": distribution})
    assert message in str(caught.value)
    assert "table: quantities.ap_height.distribution" in str(caught.value)


def test_all_faults_come_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        yaml.safe_dump(
            content(
                HEIGHT | {"unit": "cm"},
                HEIGHT | {"name": "typo", "path": "rooms.height_m"},
                HEIGHT,
            )
            | {"scene": "attic"}
        )
    )
    with pytest.raises(InputError) as caught:
        load_table(path, SCENE)
    assert [fault.where for fault in caught.value.faults] == [str(path)] * 4
    assert [fault.key for fault in caught.value.faults] == [
        "scene",
        "quantities",
        "quantities.ap_height.unit",
        "quantities.typo.path",
    ]
    assert "Did you mean room.height_m?" in str(caught.value)


@pytest.mark.parametrize(("first", "second", "faults"), [
    ("add", "add", 0),
    ("multiply", "multiply", 0),
    ("add", "multiply", 1),
    ("set", "set", 1),
])  # fmt: skip
def test_two_quantities_on_one_value_must_commute(first: str, second: str, faults: int) -> None:
    def quantity(name: str, apply: str) -> dict[str, Any]:
        changes: dict[str, Any] = {"name": name, "path": "room.height_m", "apply": apply}
        spread = {"add": (0.1, 0.2), "multiply": (1.0, 1.1), "set": (2.4, 2.6)}[apply]
        low, high = spread
        changes["distribution"] = {"kind": "uniform", "low": low, "high": high}
        return HEIGHT | changes | {"unit": "1" if apply == "multiply" else "m"}

    made = table(quantity("one", first), quantity("two", second))
    found = check_table(made, SCENE, "table")
    assert [fault.key for fault in found] == ["quantities.two.path"] * faults


def test_library_tables_fit_their_scenes() -> None:
    for name in library():
        assert load_table(name, load_scene(name)).scene == name


def test_decibels_are_added_to_a_level_and_dbm_replace_it() -> None:
    for apply, unit in (("add", "dB"), ("set", "dBm")):
        made = table(HEIGHT | POWER | {"apply": apply, "unit": unit})
        assert check_table(made, SCENE, "table") == []


def test_an_unknown_key_hides_no_other_fault(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    wrong = copy.deepcopy(HEIGHT) | {"unit": "cm"}
    wrong["distribution"]["sigma"] = 1
    path.write_text(yaml.safe_dump(content(wrong)))
    with pytest.raises(InputError) as caught:
        load_table(path, SCENE)
    assert [fault.key for fault in caught.value.faults] == [
        "quantities.ap_height.distribution.sigma",
        "quantities.ap_height.unit",
    ]


def test_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"perturbation\.yaml: expected a perturbation table .* found nothing there",
    ):
        load_table(tmp_path, SCENE)


def test_unknown_key_is_refused() -> None:
    wrong = copy.deepcopy(HEIGHT) | {"sigma": 1}
    with pytest.raises(InputError, match=r"quantities\.ap_height\.sigma: expected no such key"):
        table(wrong)


def test_the_documented_table_is_sound() -> None:
    page = (Path(__file__).parents[2] / "docs" / "perturbation.md").read_text(encoding="utf-8")
    block = page.partition("```yaml\n")[2].partition("```")[0]
    scene = load_scene("office_wing")
    made = table_of(yaml.safe_load(block), "page", lambda t, where: check_table(t, scene, where))
    assert (made.moves, made.placements, made.correlations) != ((), (), ())
    assert realise(scene, made, seed=1, realisation=0).drawn["desks_tries[desks_1]"] != 0.0
