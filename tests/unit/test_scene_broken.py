"""Broken scenes of every kind: each is refused with words that help, in bounded time and memory.

Small changes of a sound scene, then files that are not what they say, then files made to do harm.
"""

from __future__ import annotations

import copy
import hashlib
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from twin.config import validate
from twin.errors import Fault, InputError
from twin.scene.check import check
from twin.scene.declaration import Scene
from twin.scene.library import load_scene

Content = dict[str, Any]
Change = Callable[[Content], object]

SECONDS = 2.0
MEBIBYTES = 96

HOUSE: Content = yaml.safe_load((Path(__file__).parent / "house.yaml").read_text())
BOX: Content = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())


def part(kind: str, number: int = 0, /, **values: object) -> Change:
    """Change one part of a list of the scene."""
    return lambda c: c[kind][number].update(values)


def more(kind: str, /, **values: object) -> Change:
    """Append a part to a list of the scene."""
    return lambda c: c.setdefault(kind, []).append(values)


def again(kind: str) -> Change:
    """Append a copy of the first part."""
    return lambda c: c[kind].append(copy.deepcopy(c[kind][0]))


def shelf(**values: object) -> Change:
    return more("furniture", **{"name": "new", "kind": "shelf", "centre_m": [4, 2.5], **values})


def door(**values: object) -> Change:
    return more(
        "openings", **{"name": "new", "wall": "bend", "at_m": 3, "material": "wood"} | values
    )


def survey(**values: object) -> Change:
    return lambda c: c["receivers"][3].update(values)


def house(**values: object) -> Change:
    plan = [[-18, 10], [-8, 10], [-8, 20], [-18, 20]]
    sound = {"footprint_m": plan, "height_m": 6, "wall_material": "wood", "roof_material": "wood"}
    return more("buildings", **{"name": "new", **sound, **values})


# A letter written twice over is a polygon that turns inwards.
ELL = [[-18, 10], [-8, 10], [-8, 14], [-12, 14], [-12, 20], [-18, 20]]
BOW = [[1, 5], [4, 7], [4, 5], [1, 7]]

# What, change of the house, key, words of what was expected, words of what was found.
BROKEN: dict[str, tuple[Change, str, str, str]] = {
    # Numbers and keys.
    "not a number": (
        part("access_points", power_dbm=float("nan")),
        "access_points.AP1.power_dbm",
        "finite",
        "NaN",
    ),
    "infinite": (
        part("furniture", centre_m=[float("inf"), 1]),
        "furniture.desk.centre_m.0",
        "finite",
        "Infinity",
    ),
    "a height of a kilometre": (
        part("storeys", height_m=1000),
        "storeys.ground.height_m",
        "1.8 to 60 m",
        "1000",
    ),
    "a place in another country": (
        part("furniture", centre_m=[4e6, 5e6]),
        "furniture.desk.centre_m.x",
        "-10000 to 10000 m",
        "4e+06",
    ),
    "a wall a light year long": (
        part("walls", path_m=[[5, 0], [5, 9.5e15]]),
        "walls.bend.path_m.1.y",
        "10000 m",
        "9.5e+15",
    ),
    "a number beyond all floats": (
        part("walls", path_m=[[5, 0], [5, 10**400]]),
        "walls.bend.path_m.1.1",
        "",
        "",
    ),
    "unknown key": (part("walls", thickness=1), "walls.bend.thickness", "misspelt", "1"),
    "unknown kind": (part("furniture", kind="sofa"), "furniture.desk.kind", "'shelf'", "sofa"),
    "schema of the future": (
        lambda c: c.update(schema="fingertwin/scene@3"),
        "schema",
        "fingertwin/scene@2",
        "scene@3",
    ),
    "room and storeys": (
        lambda c: c.update(room=BOX["room"]),
        "",
        "either `room` or `storeys`",
        "",
    ),
    "no receivers": (lambda c: c.update(receivers=[]), "receivers", "at least 1", "[]"),
    "band wider than the carrier of one": (
        part("access_points", 1, frequency_ghz=2.4, bandwidth_mhz=5000),
        "access_points.AP2.bandwidth_mhz",
        "less than the carrier (2400 MHz)",
        "5000 MHz",
    ),
    # Names and references.
    "wall twice": (again("walls"), "walls", "a name of its own", "'bend' 2 times"),
    "storey twice": (again("storeys"), "storeys", "a name of its own", "'ground' 2 times"),
    "receivers twice": (again("receivers"), "receivers", "of its own", "'downstairs' 2 times"),
    "the name of a thing of clutter": (
        shelf(name="seats_3"),
        "furniture.seats_3.name",
        "no name that a thing of clutter 'seats' has",
        "seats_3",
    ),
    "a storey that is not there": (
        part("furniture", storey="attic"),
        "furniture.desk.storey",
        "one of the scene's storeys (ground, upper)",
        "attic",
    ),
    "a door in no wall": (
        door(wall="bent"),
        "openings.new.wall",
        "one of the scene's inner walls (bend)",
        "bent",
    ),
    "a door in no segment": (door(segment=2), "openings.new.segment", "0 to 1", "2"),
    "a door in no edge": (
        door(wall=None, edge=4, storey="upper"),
        "openings.new.edge",
        "an edge of the outline of 'upper', 0 to 3",
        "4",
    ),
    "a road that is not there": (
        part("vehicles", road="lane"),
        "vehicles.car.road",
        "one of the scene's roads (main)",
        "lane",
    ),
    "a lane that is not there": (
        part("vehicles", lane=2),
        "vehicles.car.lane",
        "0 (left) to 1",
        "2",
    ),
    "body not declared": (
        lambda c: c["materials"].pop("body"),
        "furniture.guest.material",
        "one of the scene's materials",
        "body, here and 1 more times",
    ),
    # Materials.
    "two sources of a material": (
        lambda c: c["materials"]["wood"].update(layers=[{"itu": "wood", "thickness_m": 0.1}]),
        "materials.wood",
        "`layers` alone",
        "",
    ),
    "a band of one carrier only": (
        part("access_points", 1, frequency_ghz=140, bandwidth_mhz=400),
        "materials.concrete.itu",
        "1 to 100 GHz",
        "140 GHz (of access_points.AP2.frequency_ghz)",
    ),
    "a layer out of its band": (
        lambda c: c["materials"].update(
            floor={
                "layers": [
                    {"itu": "concrete", "thickness_m": 0.2},
                    {"itu": "floorboard", "thickness_m": 0.02},
                ]
            }
        ),
        "materials.floor.layers.1.itu",
        "50 to 100 GHz",
        "5.25 GHz",
    ),
    "less dense than nothing": (
        lambda c: c["materials"]["asphalt"].update(permittivity_scale=0.15),
        "materials.asphalt",
        "at least 1",
        "0.75",
    ),
    # Shells.
    "an outline that crosses itself": (
        part("storeys", 1, outline_m=[[0, 0], [6, 8], [6, 0], [0, 8]]),
        "storeys.upper.outline_m",
        "does not cross",
        "Self-intersection at (3, 4)",
    ),
    "an outline without area": (
        part("storeys", 1, outline_m=[[0, 0], [6, 0], [3, 0]]),
        "storeys.upper.outline_m",
        "has an area",
        "",
    ),
    "offsets that swallow a storey": (
        part("storeys", 1, wall_offsets_m=[-4.5, 0, -4.5, 0]),
        "storeys.upper.wall_offsets_m",
        "keep every edge",
        "no edge 1",
    ),
    "a void outside": (
        part("storeys", 1, voids_m=[[[1, 1], [9, 1], [9, 3]]]),
        "storeys.upper.voids_m.0",
        "inside storeys.upper.outline_m",
        "(9, 1)",
    ),
    "voids in each other": (
        part("storeys", 1, voids_m=[[[1, 1], [3, 1], [3, 3]], [[1, 1], [3, 1], [3, 2]]]),
        "storeys.upper.voids_m.1",
        "apart",
        "in common with void 0",
    ),
    "storeys in each other": (
        part("storeys", 1, bottom_m=2),
        "storeys.upper",
        "above or below storeys.ground",
        "48 m2 of plan in common from 2 to 2.7 m",
    ),
    # Walls and openings.
    "a wall outside": (
        part("walls", path_m=[[5, 0], [5, 9]]),
        "walls.bend.path_m",
        "inside storeys.ground.outline_m",
        "1 m lie outside",
    ),
    "a wall without length": (
        part("walls", path_m=[[5, 0], [5, 4], [5, 4], [10, 4]]),
        "walls.bend.path_m",
        "segments with a length",
        "0 m, segment 1",
    ),
    "a wall through the ceiling": (
        part("walls", height_m=3),
        "walls.bend",
        "not above storeys.ground.height_m (2.7 m)",
        "3 m",
    ),
    "a wall outdoors without height": (
        lambda c: (
            c.update({k: [] for k in ("storeys", "openings", "furniture", "clutter", "people")}),
            c["walls"][0].pop("storey"),
        ),
        "walls.bend.height_m",
        "no ceiling",
        "none",
    ),
    "a door wider than its wall": (
        door(at_m=0, width_m=5),
        "openings.new.at_m",
        "segment 0 of wall 'bend', 4 m long",
        "0 to 5 m",
    ),
    "a door past the end": (door(at_m=3.5), "openings.new.at_m", "4 m long", "3.5 to 4.4 m"),
    "a door above the ceiling": (
        door(height_m=2.8),
        "openings.new.height_m",
        "within the height of wall 'bend', 0 to 2.7 m",
        "0 to 2.8 m",
    ),
    "doors over each other": (
        door(at_m=1.5),
        "openings.new",
        "do not lie over each other",
        "0.4 m in common with opening 'ajar'",
    ),
    "a leaf in the plane of its wall": (
        part("openings", swing_deg=180, at_m=2),
        "openings.ajar",
        "in a defined order",
        "'opening ajar' and 'inner wall bend', of wood and plasterboard, are in one plane",
    ),
    # Contents.
    "a shelf through the wall": (
        shelf(centre_m=[10, 2]),
        "furniture.new.centre_m",
        "wholly inside",
        "(10.45, 1.825)",
    ),
    "a shelf through the ceiling": (shelf(bottom_m=1), "furniture.new", "not above", "3 m"),
    "a shelf in the plane of a wall": (
        shelf(centre_m=[4, 7.825], material="metal"),
        "furniture.new",
        "in a defined order",
        "'furniture new' and 'ground wall 2', of metal and concrete, are in one plane",
    ),
    "a box of no size": (shelf(kind="box"), "furniture.new", "`size_m` for kind 'box'", ""),
    "clutter of boxes of no size": (
        part("clutter", kind="box", material="wood"),
        "clutter.seats.size_m",
        "kind 'box' has no usual one",
        "none",
    ),
    "clutter without end": (
        part("clutter", area_m=[[-9000, -9000], [9000, -9000], [9000, 9000]], density_per_m2=4),
        "clutter.seats.density_per_m2",
        "at most 1000 things",
        "648000000",
    ),
    "clutter outside": (
        part("clutter", area_m=[[0, 0], [12, 0], [12, 4]]),
        "clutter.seats.area_m",
        "inside storeys.ground.outline_m",
        "outside",
    ),
    "somebody who walks out": (
        part("people", path_m=[[6, 5], [12, 5]]),
        "people.walker.path_m",
        "inside storeys.ground.outline_m",
        "2 m lie outside",
    ),
    "somebody who walks nowhere": (
        part("people", path_m=[[6, 5], [6, 5]]),
        "people.walker.path_m",
        "with a length",
        "0 m",
    ),
    "a giant": (part("people", size_m=[0.5, 0.5, 3]), "people.walker", "not above", "3 m"),
    # Outdoors.
    "ground that crosses itself": (
        lambda c: c["ground"].update(area_m=[[-20, -20], [30, 30], [30, -20], [-20, 30]]),
        "ground.area_m",
        "does not cross",
        "Self-intersection",
    ),
    "a house that crosses itself": (
        house(footprint_m=[[-18, 10], [-8, 20], [-8, 10], [-18, 20]]),
        "buildings.new.footprint_m",
        "does not cross",
        "Self-intersection",
    ),
    "a roof that nobody can build": (
        house(footprint_m=ELL, roof="pyramidal", roof_height_m=2),
        "buildings.new.roof",
        "a convex footprint",
        "turns inwards",
    ),
    "gables over five corners": (
        house(footprint_m=ELL[:5], roof="gabled", roof_height_m=2),
        "buildings.new",
        "four corners",
        "",
    ),
    "a roof of no height": (
        house(roof="gabled"),
        "buildings.new",
        "`roof_height_m` above zero",
        "",
    ),
    "a road without length": (
        part("roads", path_m=[[0, -8], [0, -8]]),
        "roads.main.path_m",
        "with a length",
        "0 m",
    ),
    "a bus longer than its road": (
        part("roads", path_m=[[0, -8], [10, -8]]),
        "vehicles.bus.size_m",
        "not longer than its road ('main', 10 m)",
        "12 m",
    ),
    "a cellar that is level with the ground": (
        more(
            "storeys",
            name="cellar",
            bottom_m=-2.5,
            height_m=2.5,
            outline_m=[[-18, 10], [-8, 10], [-8, 20], [-18, 20]],
            wall_material="wood",
            floor_material="wood",
            ceiling_material="wood",
        ),
        "ground",
        "in a defined order",
        "'ground' and 'cellar ceiling', of asphalt and wood, are in one plane and share 100 m2",
    ),
    # Access points.
    "an access point in the earth": (
        part("access_points", position_m=[12, 20, -1]),
        "access_points.AP1.position_m",
        "outdoors and 0.05 m clear of its walls and the ground",
        "-1",
    ),
    "an access point in an outer wall": (
        part("access_points", position_m=[10.02, 4, 1]),
        "access_points.AP1.position_m",
        "clear of its walls",
        "(10.02, 4, 1)",
    ),
    "an access point in a floor": (
        part("access_points", position_m=[3, 4, 2.72]),
        "access_points.AP1.position_m",
        "clear of",
        "2.72",
    ),
    "an access point in an inner wall": (
        part("access_points", position_m=[5.01, 3, 1]),
        "access_points.AP1.position_m",
        "clear of wall 'bend'",
        "5.01",
    ),
    "an access point in a house": (
        part("access_points", position_m=[20, 5, 3]),
        "access_points.AP1.position_m",
        "clear of building 'barn'",
        "(20, 5, 3)",
    ),
    "an access point in a cupboard": (
        part("access_points", position_m=[4, 7, 4]),
        "access_points.AP1.position_m",
        "clear of furniture 'chest'",
        "(4, 7, 4)",
    ),
    "an access point in a bus": (
        part("access_points", position_m=[10, -9.75, 2]),
        "access_points.AP1.position_m",
        "clear of vehicle 'bus'",
        "",
    ),
    # Receivers.
    "receivers outside": (
        survey(points_m=[[1, 7], [40, 7]], storey="upper"),
        "receivers.survey",
        "inside storey 'upper'",
        "1 of 2 (first (40, 7, 3.9) m) outside",
    ),
    "receivers in a house": (
        survey(points_m=[[1, 7], [20, 5]]),
        "receivers.survey",
        "within 0.05 m of, what stands there",
        "covered by building 'barn'",
    ),
    "receivers in somebody": (
        survey(points_m=[[6, 5]]),
        "receivers.survey",
        "what stands there",
        "covered by person 'walker'",
    ),
    "a receiver on an access point": (
        survey(points_m=[[3, 3.5]], height_m=2.5),
        "receivers.survey",
        "away from access points",
        "(3, 3.5, 2.5)",
    ),
    "a million and more receivers": (
        part("receivers", pitch_m=0.02, area_m=[[0, 0], [90, 0], [90, 90], [0, 90]]),
        "receivers.downstairs.pitch_m",
        "at most 1000000 points",
        "about 2e+07 points",
    ),
    "too many receivers in all": (
        lambda c: (
            [part("receivers", n, pitch_m=0.01)(c) for n in ()]
            or part("receivers", 1, count=999_999)(c)
        ),
        "receivers",
        "at most 1000000 points in all areas",
        "most of them in receivers.upstairs",
    ),
    "a walk of a million steps": (
        part("receivers", 2, interval_s=0.001, path_m=[[0, 20], [1300, 20]]),
        "receivers.stroll.interval_s",
        "at most 1000000 points",
        "0.001 s",
    ),
    "a walk on the spot": (
        part("receivers", 2, path_m=[[6, 6], [6, 6]]),
        "receivers.stroll.path_m",
        "with a length",
        "0 m",
    ),
    "a grid between its points": (
        part("receivers", area_m=[[0.6, 0.6], [0.9, 0.6], [0.9, 0.9]]),
        "receivers.downstairs",
        "at least one grid point",
        "none",
    ),
    "a receiver area that crosses itself": (
        part("receivers", area_m=BOW),
        "receivers.downstairs.area_m",
        "does not cross",
        "Self-intersection",
    ),
    "random receivers where nobody can stand": (
        part("receivers", 1, height_m=2.69),
        "receivers.upstairs",
        "at least one place in 1000 is free",
        "0 of 4096 that were tried",
    ),
    "random receivers in a sliver": (
        part("receivers", 1, area_m=[[0.5, 0.5], [5.5, 7.5], [5.5, 7.501]]),
        "receivers.upstairs.area_m",
        "at least 1 % of the box around it",
        "",
    ),
}


def refusal(read: Callable[[], object]) -> list[Fault]:
    """The faults that a scene is refused for, in time."""
    began = time.process_time()
    with pytest.raises(InputError) as caught:
        read()
    assert time.process_time() - began < SECONDS
    # For people to read, however much there is to say.
    assert len(str(caught.value)) < 20_000
    return list(caught.value.faults)


def bounded_refusal(path: Path) -> list[Fault]:
    """The faults that a scene file is refused for, in time and memory."""
    tracemalloc.start()
    try:
        faults = refusal(lambda: load_scene(path))
        assert tracemalloc.get_traced_memory()[1] < MEBIBYTES * 2**20
    finally:
        tracemalloc.stop()
    return faults


def matching(faults: list[Fault], key: str, expected: str, found: str) -> list[Fault]:
    return [f for f in faults if f.key == key and expected in f.expected and found in f.found]


def write(folder: Path, content: object) -> Path:
    path = folder / "scene.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_what_is_broken_here_was_sound(tmp_path: Path) -> None:
    assert load_scene(write(tmp_path, HOUSE)).name == "house"
    # As many as were promised, and no two alike.
    assert len(BROKEN) + len(FILES) + len(MESHES) >= 40


@pytest.mark.parametrize("what", BROKEN)
def test_broken_scene(what: str) -> None:
    change, key, expected, found = BROKEN[what]
    content = copy.deepcopy(HOUSE)
    change(content)
    faults = refusal(lambda: validate(content, Scene, "scene.yaml", check))
    assert matching(faults, key, expected, found), [str(f) for f in faults]


def test_many_faults_come_in_one_message() -> None:
    content = copy.deepcopy(HOUSE)
    chosen = (
        "a height of a kilometre",
        "a storey that is not there",
        "a lane that is not there",
        "a band of one carrier only",
        "a void outside",
        "a wall without length",
        "somebody who walks nowhere",
        "a roof that nobody can build",
        "an access point in a house",
        "a walk on the spot",
    )
    for what in chosen:
        BROKEN[what][0](content)
    faults = refusal(lambda: validate(content, Scene, "scene.yaml", check))
    for what in chosen:
        assert matching(faults, *BROKEN[what][1:]), (what, [str(f) for f in faults])


def _text(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text, encoding="utf-8")


def _bytes(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content)


def _laughs(path: Path) -> None:
    """Ten to the ninth laughs, by aliases."""
    lines = ['a0: &a0 ["lol"]']
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    path.write_text("\n".join(lines))


def _long(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(200 * 2**20)


def _including(*names: str) -> Callable[[Path], None]:
    def prepare(path: Path) -> None:
        path.write_text(yaml.safe_dump({**BOX, "include": list(names)}))
        (path.parent / "a.yaml").write_text("include: [b.yaml]\n")
        (path.parent / "b.yaml").write_text("include: [scene.yaml]\n")
        (path.parent / "twice.yaml").write_text("title: Another\n")
        (path.parent / "list.yaml").write_text("- 1\n")

    return prepare


# What, how to make the file, words of the message.
FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty file": (_bytes(b""), ""),
    "only a comment": (_text("# nothing\n"), ""),
    "a list": (_text("- 1\n- 2\n"), ""),
    "half a YAML file": (_text("materials: {concrete: {itu: concr"), "valid YAML"),
    "a tab for a space": (_text("room:\n\theight_m: 3\n"), "valid YAML"),
    "binary garbage": (_bytes(bytes(range(256)) * 64), "UTF-8"),
    "not UTF-8": (_bytes("name: Büro".encode("latin-1")), "UTF-8"),
    "an object of Python": (_text("name: !!python/object/apply:os.getcwd []\n"), "valid YAML"),
    "a key twice": (_text("name: a\nname: b\n"), "'name' stands twice"),
    "laughs by the billion": (_laughs, "aliases written out"),
    "an alias in itself": (_text("a: &a [*a]\n"), "recursion"),
    "deep nesting": (_text("[" * 100_000), "nesting"),
    "deep maps": (_text("{a: " * 5_000 + "}" * 5_000), "nesting"),
    "a scene of 200 MiB": (_long, "at most 16 MiB"),
    "an include that comes back": (_including("a.yaml"), "scene.yaml -> a.yaml -> b.yaml -> scene"),
    "an include of itself": (_including("scene.yaml"), "do not include each other"),
    "an include of what is outside": (_including("../x.yaml"), "inside the scene's folder"),
    "an include by its full path": (_including("/etc/passwd"), "inside the scene's folder"),
    "an include of nothing": (_including("c.yaml"), "a file that is there"),
    "an include that gives what is given": (_including("twice.yaml"), "given twice"),
    "an include that is a list": (_including("list.yaml"), "a map of parts"),
}


@pytest.mark.parametrize("what", FILES)
def test_broken_file(what: str, tmp_path: Path) -> None:
    prepare, words = FILES[what]
    path = tmp_path / "scene.yaml"
    prepare(path)
    faults = bounded_refusal(path)
    assert words in "\n".join(map(str, faults))
    assert all(fault.where.startswith(str(tmp_path)) for fault in faults)


TRIANGLE = b"v 1 1 0.2\nv 2 1 0.2\nv 1 2 0.4\nf 1 2 3\n"
PLY = """ply
format binary_little_endian 1.0
element vertex {}
property float x
property float y
property float z
element face {}
property list uchar int vertex_indices
end_header
"""


def _mesh(content: bytes, name: str = "m.obj", **values: object) -> Callable[[Path], Content]:
    def prepare(folder: Path) -> Content:
        (folder / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return {"name": "m", "file": name, "sha256": digest, "material": "sheet", **values}

    return prepare


def _sparse(folder: Path) -> Content:
    with (folder / "m.obj").open("wb") as file:
        file.truncate(200 * 2**20)
    return {"name": "m", "file": "m.obj", "sha256": "0" * 64, "material": "sheet"}


def _zip(folder: Path) -> Content:
    with zipfile.ZipFile(folder / "m.obj", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m.obj", b"v 0 0 0\n" * 2**22)
    content = (folder / "m.obj").read_bytes()
    assert len(content) < 2**20
    return _mesh(content)(folder)


def _outside(folder: Path) -> Content:
    (folder.parent / "m.obj").write_bytes(TRIANGLE)
    return {**_mesh(TRIANGLE)(folder), "file": "../m.obj"}


def _link(folder: Path) -> Content:
    (folder.parent / "far.obj").write_bytes(TRIANGLE)
    (folder / "link.obj").symlink_to(folder.parent / "far.obj")
    return {**_mesh(TRIANGLE)(folder), "file": "link.obj"}


def _absent(folder: Path) -> Content:
    return {**_mesh(TRIANGLE)(folder), "file": "n.obj"}


# What, how to make the mesh, words of the message.
MESHES: dict[str, tuple[Callable[[Path], Content], str]] = {
    "a mesh of 200 MiB": (_sparse, "at most 64 MiB"),
    "an archive for a mesh": (_zip, "a ZIP archive"),
    "a mesh outside the folder": (_outside, "inside the scene's folder"),
    "a mesh behind a link": (_link, "inside the scene's folder"),
    "a mesh by its full path": (
        lambda folder: {**_mesh(TRIANGLE)(folder), "file": str(folder / "m.obj")},
        "inside the scene's folder",
    ),
    "no mesh": (_absent, "a file that is there"),
    "another mesh than declared": (_mesh(TRIANGLE, sha256="0" * 64), "write sha256: "),
    "a mesh of another format": (_mesh(TRIANGLE, "m.stl"), ".obj, .ply, .gltf, .glb"),
    "an empty mesh": (_mesh(b""), "meshes.m"),
    "a mesh of garbage": (_mesh(bytes(range(256)) * 64), "meshes.m"),
    "a mesh without triangles": (_mesh(b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"), "triangles"),
    "a mesh that is flat on a line": (
        _mesh(b"v 1 1 1\nv 2 1 1\nv 3 1 1\nf 1 2 3\n"),
        "all without an area",
    ),
    "a mesh with corners that are not there": (
        _mesh(b"v 1 1 1\nv 2 1 1\nv 1 2 1\nf 1 2 9\n"),
        "corners",
    ),
    "a mesh with a corner nowhere": (
        _mesh(b"v 1 1 nan\nv 2 1 1\nv 1 2 1\nf 1 2 3\n"),
        "meshes.m",
    ),
    "a header of four billion vertices": (
        _mesh(PLY.format(4_000_000_000, 1).encode(), "m.ply"),
        "vert",
    ),
    "a header of four billion faces": (
        _mesh(PLY.format(3, 4_000_000_000).encode() + bytes(36), "m.ply"),
        "face",
    ),
    "a mesh in micrometres": (
        _mesh(TRIANGLE.replace(b"2 1", b"200000 1")),
        "`scale` multiplies its lengths",
    ),
    "a mesh in another city": (
        _mesh(TRIANGLE.replace(b"v ", b"v 4"), position_m=[9000, 9000, 0], scale=400),
        "`position_m` moves it",
    ),
    "a mesh without material": (_mesh(TRIANGLE, material=None), "Give `material`"),
    "a mesh of a material not declared": (_mesh(TRIANGLE, material="gold"), "(concrete, sheet)"),
}


@pytest.mark.parametrize("what", MESHES)
def test_broken_mesh(what: str, tmp_path: Path) -> None:
    prepare, words = MESHES[what]
    folder = tmp_path / "scene"
    folder.mkdir()
    content = copy.deepcopy(BOX)
    content["meshes"] = [prepare(folder)]
    faults = bounded_refusal(write(folder, content))
    assert words in "\n".join(map(str, faults))
    assert any(fault.key.startswith("meshes.m") for fault in faults)
    # What lies elsewhere is not read, let alone shown.
    assert "v 1 1 0.2" not in str(faults)


def test_devices_in_a_closed_mesh(tmp_path: Path) -> None:
    corners = [(x, y, z) for x in (0.5, 1.4) for y in (0.5, 1.4) for z in (1.5, 2.4)]
    quads = ["1 2 4 3", "5 7 8 6", "1 5 6 2", "3 4 8 7", "1 3 7 5", "2 6 8 4"]
    obj = "\n".join([f"v {x} {y} {z}" for x, y, z in corners] + [f"f {quad}" for quad in quads])
    content = copy.deepcopy(BOX)
    content["meshes"] = [_mesh(obj.encode())(tmp_path)]
    faults = bounded_refusal(write(tmp_path, content))
    (fault,) = matching(faults, "access_points.AP1.position_m", "outside mesh 'm'", "(1, 1, 2)")
    assert "no receiver" in fault.expected
    content["access_points"][0]["position_m"] = [1.45, 1.45, 1.3]
    assert load_scene(write(tmp_path, content))
    # With receivers beside it in there, it is a room.
    content["access_points"][0]["position_m"] = [1, 1, 2]
    content["receivers"][0] |= {"area_m": [[0.9, 0.9], [1.1, 0.9], [1.1, 1.1]], "height_m": 1.7}
    assert load_scene(write(tmp_path, content))
