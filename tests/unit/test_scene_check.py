"""Bad scenes are refused with every fault named: file, key, expected, found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from twin.errors import InputError
from twin.scene.library import load_scene

Content = dict[str, Any]

SOUND: Content = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())


def write(folder: Path, content: Content) -> Path:
    path = folder / "scene.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def refused(folder: Path, content: Content) -> list[tuple[str, str, str, str]]:
    """Faults of a file as (file name, key, expected, found)."""
    with pytest.raises(InputError) as caught:
        load_scene(write(folder, content))
    assert caught.value.exit_code == 2
    return [(Path(f.where).name, f.key, f.expected, f.found) for f in caught.value.faults]


def test_the_sound_scene_is_accepted(tmp_path: Path) -> None:
    assert load_scene(write(tmp_path, SOUND)).name == "box"


def _room(key: str, value: object) -> Callable[[Content], None]:
    return lambda c: c["room"].update({key: value})


def _ap(**values: object) -> Callable[[Content], None]:
    return lambda c: c["access_points"][0].update(values)


def _desk(**values: object) -> Callable[[Content], None]:
    return lambda c: c["furniture"][0].update(values)


def _wall(**values: object) -> Callable[[Content], None]:
    return lambda c: c["walls"][0].update(values)


def _receivers(**values: object) -> Callable[[Content], None]:
    return lambda c: c["receivers"][0].update(values)


def _concrete(**values: object) -> Callable[[Content], None]:
    return lambda c: c["materials"]["concrete"].update(values)


BAD: dict[str, tuple[Callable[[Content], None], str, str, str]] = {
    # what: (change, key, part of expected, part of found)
    "misspelt key": (lambda c: c.update(acces_points=[]), "acces_points", "misspelt", "[]"),
    "missing key": (lambda c: c.pop("frequency_ghz"), "frequency_ghz", "required", "nothing"),
    "text for a number": (_room("height_m", "2.5 m"), "room.height_m", "number", "2.5 m"),
    "wrong schema": (
        lambda c: c.update(schema="fingertwin/scene@9"),
        "schema",
        "fingertwin/scene@2",
        "@9",
    ),
    "no access point": (lambda c: c.update(access_points=[]), "access_points", "at least 1", "[]"),
    "unknown pattern": (_ap(pattern="horn"), "access_points.AP1.pattern", "hw_dipole", "horn"),
    "name with a dot": (_ap(name="AP.1"), "access_points.0.name", "letters", "AP.1"),
    "two sources": (
        _concrete(relative_permittivity=3),
        "materials.concrete",
        "either `itu` alone",
        "concrete",
    ),
    "half a source": (
        lambda c: c["materials"]["sheet"].pop("conductivity_s_per_m"),
        "materials.sheet",
        "both",
        "0.02",
    ),
    "height in cm": (_room("height_m", 250), "room.height_m", "1.8 to 60 m", "250"),
    "negative pitch": (_receivers(pitch_m=-0.5), "receivers.grid.pitch_m", "0.02 to 100 m", "-0.5"),
    "carrier in MHz": (
        lambda c: c.update(frequency_ghz=5250),
        "frequency_ghz",
        "0.1 to 450 GHz",
        "5250",
    ),
    "bandwidth above carrier": (
        lambda c: c.update(bandwidth_mhz=8000),
        "bandwidth_mhz",
        "less than the carrier",
        "8000 MHz",
    ),
    "no subcarrier": (lambda c: c.update(subcarriers=0), "subcarriers", "1 to 8192", "0"),
    "power in mW": (_ap(power_dbm=100), "access_points.AP1.power_dbm", "-50 to 60 dBm", "100"),
    "unknown ITU name": (_concrete(itu="beton"), "materials.concrete.itu", "concrete", "beton"),
    "outside the ITU band": (
        _concrete(itu="floorboard"),
        "materials.concrete.itu",
        "50 to 100 GHz",
        "5.25 GHz",
    ),
    "permittivity below vacuum": (
        lambda c: c["materials"]["sheet"].update(permittivity_scale=0.2),
        "materials.sheet",
        "at least 1",
        "0.6",
    ),
    "material not declared": (
        _wall(material="wood"),
        "walls.screen.material",
        "concrete, sheet",
        "wood",
    ),
    "same name twice": (_ap(name="AP2"), "access_points", "of its own", "'AP2' 2 times"),
    "crossing outline": (
        _room("outline_m", [[0, 0], [6, 4], [6, 0], [0, 4]]),
        "room.outline_m",
        "does not cross",
        "Self-intersection",
    ),
    "flat outline": (
        _room("outline_m", [[0, 0], [6, 0], [3, 0]]),
        "room.outline_m",
        "has an area",
        "",
    ),
    "outline that is closed twice": (
        _room("outline_m", [[0, 0], [6, 0], [6, 4], [0, 4], [0, 0]]),
        "room.outline_m",
        "corners in different places",
        "the last corner repeats the first, (0, 0) m",
    ),
    "corner twice": (
        _room("outline_m", [[0, 0], [6, 0], [6, 0], [6, 4], [0, 4]]),
        "room.outline_m",
        "corners in different places",
        "corner 2 repeats 1, (6, 0) m",
    ),
    "offsets turn the room inside out": (
        _room("wall_offsets_m", [0, -3.5, 0, -3.5]),
        "room.wall_offsets_m",
        "keep",
        "",
    ),
    "inner wall outside": (
        _wall(path_m=[[3, 1], [3, 9]]),
        "walls.screen.path_m",
        "inside room.outline_m",
        "(3, 9)",
    ),
    "inner wall without length": (
        _wall(path_m=[[3, 1], [3, 1]]),
        "walls.screen.path_m",
        "with a length",
        "0 m",
    ),
    "inner wall through the ceiling": (
        _wall(height_m=3),
        "walls.screen",
        "room.height_m (2.5 m)",
        "3 m",
    ),
    "box without height": (
        _desk(size_m=[1, 1, 0]),
        "furniture.desk.size_m.z",
        "0.005 to 100 m",
        "0",
    ),
    "box through the wall": (_desk(centre_m=[0.3, 3]), "furniture.desk.centre_m", "wholly", "-0.2"),
    "box through the ceiling": (_desk(bottom_m=2), "furniture.desk", "not above", "2.75 m"),
    "access point outside": (
        _ap(position_m=[7, 1, 2]),
        "access_points.AP1.position_m",
        "inside the room",
        "(7, 1, 2)",
    ),
    "access point above the ceiling": (
        _ap(position_m=[1, 1, 2.6]),
        "access_points.AP1.position_m",
        "(0 to 2.5 m)",
        "2.6",
    ),
    "access point in furniture": (
        _ap(position_m=[1.5, 3, 0.5]),
        "access_points.AP1.position_m",
        "furniture 'desk'",
        "0.5",
    ),
    "access point in a wall": (
        _ap(position_m=[3.02, 2, 1.5]),
        "access_points.AP1.position_m",
        "wall 'screen'",
        "3.02",
    ),
    "receivers outside": (
        _receivers(area_m=[[1, 1], [8, 1], [8, 3]]),
        "receivers.grid",
        "inside the room",
        "outside",
    ),
    "receivers above the ceiling": (
        _receivers(height_m=3),
        "receivers.grid",
        "floor and ceiling",
        "outside",
    ),
    "receivers swallowed": (
        _receivers(area_m=[[1, 2.6], [2, 2.6], [2, 3.4], [1, 3.4]], height_m=0.5),
        "receivers.grid",
        "no receiver in, or within 0.05 m of, what stands there",
        "3 of 3 (first (1, 3, 0.5) (1.5, 3, 0.5) (2, 3, 0.5) m) covered by furniture 'desk'",
    ),
    "receivers in an inner wall": (
        _receivers(area_m=[[1, 1], [5, 1], [5, 3], [1, 3]]),
        "receivers.grid",
        "what stands there",
        "5 of 45 (first (3, 1, 1.1) (3, 1.5, 1.1) (3, 2, 1.1) m) covered by wall 'screen'",
    ),
    "no receiver": (
        _receivers(area_m=[[1.1, 1.1], [1.4, 1.1], [1.4, 1.4]]),
        "receivers.grid",
        "at least one grid point",
        "none",
    ),
    "too many receivers": (
        lambda c: (
            _room("outline_m", [[0, 0], [90, 0], [90, 90], [0, 90]])(c),
            _receivers(pitch_m=0.02, area_m=[[1, 1], [80, 1], [80, 80]])(c),
        ),
        "receivers.grid.pitch_m",
        "at most 1000000 points",
        "0.02 m",
    ),
    "crossing receiver area": (
        _receivers(area_m=[[1, 1], [5, 3], [5, 1], [1, 3]]),
        "receivers.grid.area_m",
        "does not cross",
        "Self-intersection",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_scene_is_refused(what: str, tmp_path: Path) -> None:
    change, key, expected, found = BAD[what]
    content = copy.deepcopy(SOUND)
    change(content)
    faults = refused(tmp_path, content)
    matching = [f for f in faults if f[1] == key and expected in f[2] and found in f[3]]
    assert matching, faults
    assert all(name == "scene.yaml" for name, *_ in faults)


def test_an_outline_that_is_closed_twice_is_cured_by_leaving_out_a_corner(tmp_path: Path) -> None:
    content = copy.deepcopy(SOUND)
    content["room"].pop("wall_offsets_m", None)
    content["room"]["outline_m"].append(content["room"]["outline_m"][0])
    with pytest.raises(InputError) as caught:
        load_scene(write(tmp_path, content))
    assert [f.cure for f in caught.value.faults] == [
        "Leave out the repeated last corner: an outline closes by itself"
    ]
    content["room"]["outline_m"].pop()
    load_scene(write(tmp_path, content))


def test_rings_other_than_outlines_may_repeat_their_first_corner(tmp_path: Path) -> None:
    content = copy.deepcopy(SOUND)
    area = content["receivers"][0]["area_m"]
    content["receivers"][0]["area_m"] = [*area, area[0]]
    ring = [[4, 1], [4.4, 1], [4.4, 1.4], [4, 1]]
    core = {"name": "core", "path_m": ring, "height_m": 0.5, "material": "sheet"}
    content["walls"].append(core)
    plan = [[20, 20], [30, 20], [30, 30], [20, 30], [20, 20]]
    house = {"name": "house", "footprint_m": plan, "height_m": 5}
    content["buildings"] = [{**house, "wall_material": "concrete", "roof_material": "sheet"}]
    scene = load_scene(write(tmp_path, content))
    assert len(scene.walls) == len(SOUND["walls"]) + 1


def test_all_faults_come_in_one_message(tmp_path: Path) -> None:
    content = copy.deepcopy(SOUND)
    for what in (
        "height in cm",
        "unknown ITU name",
        "material not declared",
        "access point outside",
        "box without height",
    ):
        BAD[what][0](content)
    keys = {key for _, key, _, _ in refused(tmp_path, content)}
    assert keys == {
        "room.height_m",
        "materials.concrete.itu",
        "walls.screen.material",
        "access_points.AP1.position_m",
        "furniture.desk.size_m.z",
    }


def test_unknown_keys_hide_no_other_fault(tmp_path: Path) -> None:
    content = copy.deepcopy(SOUND)
    content["comment"] = "mine"
    content["access_points"][0] |= {"hight_m": 2, "position_m": [99, 1, 2]}
    content["materials"]["concrete"]["thickness_m"] = 30
    content["materials"]["sheet"]["colour"] = "red"
    assert [key for _, key, _, _ in refused(tmp_path, content)] == [
        "materials.sheet.colour",
        "access_points.AP1.hight_m",
        "comment",
        "materials.concrete.thickness_m",
        "access_points.AP1.position_m",
    ]


def test_covered_receivers_are_refused_with_a_cure(tmp_path: Path) -> None:
    content = copy.deepcopy(SOUND)
    content["receivers"][0]["height_m"] = 0.5
    with pytest.raises(InputError) as caught:
        load_scene(write(tmp_path, content))
    (fault,) = caught.value.faults
    assert fault.found.startswith("6 of 20 (first ")
    assert fault.cure == "Shrink the area, move what stands there, or set blocked: leave_out"
    content["furniture"][0]["present"] = False
    load_scene(write(tmp_path, content))


def test_message_reads_as_one_line_a_fault(tmp_path: Path) -> None:
    content = copy.deepcopy(SOUND)
    content["room"]["height_m"] = 250
    path = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        load_scene(path)
    title, line = str(caught.value).splitlines()
    assert title == "input refused, 1 fault:"
    assert line == (
        f"  - {path}: room.height_m: expected 1.8 to 60 m, found 250. "
        "Lengths are in metres, is this one in cm or mm?"
    )


def test_key_written_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, SOUND)
    path.write_text(path.read_text() + "subcarriers: 32\n")
    with pytest.raises(InputError, match="'subcarriers' stands twice"):
        load_scene(path)


def test_absent_furniture_is_in_nobodys_way(tmp_path: Path) -> None:
    content = copy.deepcopy(SOUND)
    BAD["access point in furniture"][0](content)
    content["furniture"][0]["present"] = False
    assert load_scene(write(tmp_path, content)).furniture[0].present is False
