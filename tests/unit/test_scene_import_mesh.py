"""Scenes from meshes of others: materials, free places, transforms, and what is refused."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import trimesh
import yaml

from twin.errors import InputError
from twin.scene.geometry import build
from twin.scene.importers.buried import without_buried
from twin.scene.importers.material_names import USUAL_THICKNESS_M, guessed
from twin.scene.importers.mesh_file import import_mesh
from twin.scene.importers.mesh_scene import Radio, scene_name
from twin.scene.importers.mitsuba import import_mitsuba
from twin.scene.importers.standing import CLEAR_M, standing
from twin.scene.library import load_scene
from twin.scene.materials import ITU_P2040, slab
from twin.scene.mesh_files.groups import MeshGroup
from twin.scene.receivers import receiver_points
from twin.scene.triangles import corners_of, near_triangles, vertical_hits
from twin.trace.builtin import builtin_origin, builtin_scene_file, builtin_scenes

ROOM_M = (6.0, 4.0, 2.6)
RADIO_60 = Radio(frequency_ghz=60.0, bandwidth_mhz=1760.0)
NIST = {
    "nist_conference_room": "ConferenceRoom",
    "nist_enterprise_cubicle": "EnterpriseCubicle",
    "nist_l_room": "L-Room",
    "nist_lecture_room": "LectureRoom",
}


def box(low, high):
    """Vertices and faces of a closed box."""
    mesh = trimesh.creation.box(bounds=[low, high])
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def obj(parts):
    """An OBJ file of (group, material, vertices, faces)."""
    lines, start = [], 1
    for group, material, vertices, faces in parts:
        lines += [f"g {group}"] + ([f"usemtl {material}"] if material else [])
        lines += ["v " + " ".join(map(str, v)) for v in vertices]
        lines += ["f " + " ".join(map(str, f + start)) for f in faces]
        start += len(vertices)
    return "\n".join([*lines, ""])


def room_file(folder, scale=1.0, y_up=False, name="room.obj"):
    """A closed room with a table that stands in its floor."""
    shell, table = box((0, 0, 0), ROOM_M), box((2.4, 1.4, 0.0), (3.6, 2.6, 0.8))
    level = np.isclose(shell[0][shell[1]][..., 2], 0.0).all(axis=1)
    parts = [
        ("floor", "Concrete floor", shell[0], shell[1][level]),
        ("walls", "Drywall-painted", shell[0], shell[1][~level]),
        ("table", "xyz", *table),
    ]
    turn = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]) if y_up else np.eye(3)
    parts = [(g, m, v @ turn / scale, f) for g, m, v, f in parts]
    (folder / name).write_text(obj(parts))
    return folder / name


def surfaces(scene):
    return {surface.name: surface for surface in build(scene)}


def corners(scene):
    return corners_of((surface.vertices, surface.faces) for surface in build(scene))


def distances(points, triangles):
    """Distances by another way: the nearest of many points of every triangle."""
    step = np.linspace(0.0, 1.0, 25)
    u, v = (part.ravel() for part in np.meshgrid(step, step))
    u, v = u[u + v <= 1.0], v[u + v <= 1.0]
    a, b, c = np.moveaxis(triangles, 1, 0)
    dots = a[:, None] + u[:, None] * (b - a)[:, None] + v[:, None] * (c - a)[:, None]
    return np.linalg.norm(points[:, None] - dots.reshape(1, -1, 3), axis=2).min(axis=1)


# --- meshes


def test_a_room_becomes_a_scene(tmp_path):
    source = room_file(tmp_path)
    folder = import_mesh(source, tmp_path / "my room", name="my_room")
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "meshes", "scene.yaml"]
    scene = load_scene(folder)
    assert scene.name == "my_room"
    assert {name: m.itu for name, m in scene.materials.items()} == {
        "Concrete floor": "concrete",
        "Drywall-painted": "plasterboard",
        "xyz": "plasterboard",
    }
    assert any("'xyz' assumed: plasterboard" in note for note in scene.assumptions)
    assert "name says nothing" in " ".join(scene.assumptions)
    readme = (folder / "README.md").read_text()
    assert hashlib.sha256(source.read_bytes()).hexdigest() in readme
    assert all(note in readme for note in scene.assumptions)


def test_what_stands_in_the_floor_has_no_second_sheet_there(tmp_path):
    scene = load_scene(import_mesh(room_file(tmp_path), tmp_path / "to"))
    assert len(surfaces(scene)["mesh imported table"].faces) == 10
    assert len(surfaces(scene)["mesh imported floor"].faces) == 2
    assert any(note.startswith("2 triangles that lie in the plane") for note in scene.assumptions)


@pytest.mark.parametrize("change", [{}, {"scale": 0.001}, {"y_up": True}])
def test_lengths_and_axes_of_the_source(tmp_path, change):
    scene = load_scene(import_mesh(room_file(tmp_path, **change), tmp_path / "to", **change))
    vertices = np.concatenate([surface.vertices for surface in build(scene)])
    assert np.allclose(vertices.min(axis=0), 0.0, atol=1e-6)
    assert np.allclose(vertices.max(axis=0), ROOM_M, atol=1e-6)


def test_gltf_is_taken_to_have_its_y_upwards(tmp_path):
    turn = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    mesh = trimesh.Trimesh(*box((0, 0, 0), ROOM_M), process=False).apply_transform(turn)
    (tmp_path / "room.glb").write_bytes(trimesh.Scene({"room": mesh}).export(file_type="glb"))
    scene = load_scene(import_mesh(tmp_path / "room.glb", tmp_path / "to"))
    vertices = np.concatenate([surface.vertices for surface in build(scene)])
    assert np.allclose(vertices.max(axis=0), ROOM_M, atol=1e-6)


def test_access_point_and_receivers_stand_free_between_floor_and_ceiling(tmp_path):
    scene = load_scene(import_mesh(room_file(tmp_path), tmp_path / "to"))
    points = np.vstack([receiver_points(scene), [ap.position_m for ap in scene.access_points]])
    assert len(points) > 20
    assert (points > 0.0).all()
    assert (points < ROOM_M).all()
    # The points of a triangle that are looked at are up to 0.15 m apart.
    assert distances(points, corners(scene)).min() > CLEAR_M - 0.02


def test_free_places_outdoors_are_under_the_sky():
    ground = np.array(
        [[[-50, -50, 0], [50, -50, 0], [50, 50, 0]], [[-50, -50, 0], [50, 50, 0], [-50, 50, 0]]]
    )
    blocks = [box((-30, -40, 0), (-6, 40, 15)), box((6, -40, 0), (30, 40, 15))]
    triangles = np.concatenate([ground.astype(float), *(v[f] for v, f in blocks)])
    found = standing(triangles, "here")
    west, south, east, north = found.area
    assert not found.indoors
    # In the street between two blocks, not behind them.
    assert -6 + CLEAR_M <= west <= east <= 6 - CLEAR_M
    assert (south, north, found.height_m) == (-50.0, 50.0, 1.5) or north - south > 60
    assert abs(found.access_point[0]) < 6


def test_places_below_zero_are_lifted(tmp_path):
    vertices, faces = box((0, 0, -20), (6, 4, -17.4))
    (tmp_path / "deep.obj").write_text(obj([("room", "brick", vertices, faces)]))
    scene = load_scene(import_mesh(tmp_path / "deep.obj", tmp_path / "to"))
    assert any(note.startswith("Lifted by 20.3 m") for note in scene.assumptions)
    assert (receiver_points(scene)[:, 2] == 1.5).all()


def test_far_coordinates_come_to_the_origin(tmp_path):
    vertices, faces = box((500_000, 5_400_000, 0), (500_006, 5_400_004, 2.6))
    (tmp_path / "far.obj").write_text(obj([("room", "brick", vertices, faces)]))
    scene = load_scene(import_mesh(tmp_path / "far.obj", tmp_path / "to"))
    assert "Moved by (-500003, -5.4e+06, -0) m, to the origin." in scene.assumptions
    assert np.abs(corners(scene)).max() <= 3.0


def test_a_mesh_without_room_for_anything_is_refused(tmp_path):
    vertices, faces = box((0.05, 0.05, 0), (0.2, 0.2, 0.2))
    (tmp_path / "cube.obj").write_text(obj([("cube", "wood", vertices, faces)]))
    with pytest.raises(InputError, match="Is the mesh in metres"):
        import_mesh(tmp_path / "cube.obj", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_millimetres_taken_for_metres_are_refused(tmp_path):
    source = room_file(tmp_path, scale=0.001)
    with pytest.raises(InputError, match="Is the file in millimetres"):
        import_mesh(source, tmp_path / "to")


def test_nothing_is_overwritten(tmp_path):
    source = room_file(tmp_path)
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine.txt").write_text("kept")
    for make in (import_mesh, import_mitsuba):
        with pytest.raises(InputError, match="one that holds mine"):
            make(source, tmp_path / "to")
    assert [p.name for p in (tmp_path / "to").iterdir()] == ["mine.txt"]


def test_the_same_again(tmp_path):
    source = room_file(tmp_path)
    one, other = (import_mesh(source, tmp_path / name, name="x") for name in ("a", "b"))
    for name in ("scene.yaml", "README.md", "meshes/imported.obj"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_distances_from_triangles_and_what_is_above():
    rng = np.random.default_rng(5)
    triangles, points = rng.normal(size=(40, 3, 3)), rng.normal(size=(200, 3)) * 1.5
    exact = distances(points, triangles)
    for limit in (0.05, 0.3):
        near = near_triangles(triangles, points, limit)
        assert near[exact < limit].all()
        assert not near[exact > limit + 0.15].any()
    sheet = np.array([[[0, 0, 0], [4, 0, 0], [0, 4, 4]]], dtype=float)
    number, height = vertical_hits(sheet, np.array([[1.0, 1.0], [3.0, 3.0], [0.5, 2.0]]))
    assert number.tolist() == [0, 2]
    assert np.allclose(height, [1.0, 2.0])


# --- names of materials


@pytest.mark.parametrize(
    ("name", "itu"),
    [
        ("Mat_CONCRETE_old.001", "concrete"),
        ("red brick", "brick"),
        ("DryWall", "plasterboard"),
        ("gypsum_board", "plasterboard"),
        ("GlassDoor003", "glass"),
        ("WoodDoor", "wood"),
        ("Door", "wood"),
        ("Window", "glass"),
        ("steel_frame", "metal"),
        ("chipboard", "chipboard"),
        ("Ceiling tiles acoustic", "ceiling_board"),
        ("Ceiling", "ceiling_board"),
        ("TopWall", "plasterboard"),
        ("Carpet", "plasterboard"),
        ("car", "metal"),
        ("Textile", "plasterboard"),
        ("Tiles", "concrete"),
        ("Chairs", "wood"),
        ("", "plasterboard"),
        ("материал", "plasterboard"),
    ],
)
def test_materials_by_their_names(name, itu):
    found = guessed([name], 5.25)
    (material,) = found.materials.values()
    assert material == {"itu": itu, "thickness_m": USUAL_THICKNESS_M[itu]}
    assert len(found.assumptions) == 1


def test_every_usual_thickness_has_a_material():
    assert set(USUAL_THICKNESS_M) == set(ITU_P2040) - {"vacuum"}


def test_names_that_become_equal_stay_two():
    found = guessed(["a.b", "a/b", "a.b"], 5.25)
    assert found.names == {"a.b": "a_b", "a/b": "a_b_2"}


@pytest.mark.parametrize("frequency", [0.9, 5.25, 28.0, 60.0])
def test_guessed_materials_have_data_at_the_carrier(tmp_path, frequency):
    names = [
        name
        for name in ITU_P2040
        if name != "vacuum" and (frequency >= 1.0 or name in ("wood", "glass"))
    ]
    parts = [
        (n, n, v, f) for n, (v, f) in zip(names, [box((0, 0, 0), ROOM_M)] * len(names), strict=True)
    ]
    (tmp_path / "all.obj").write_text(obj(parts))
    radio = Radio(frequency_ghz=frequency, bandwidth_mhz=20.0)
    scene = load_scene(import_mesh(tmp_path / "all.obj", tmp_path / "to", radio=radio))
    for material in scene.materials.values():
        slab(material, frequency * 1e9)
    if frequency == 60.0:
        assert any("brick has no data at 60 GHz" in note for note in scene.assumptions)


@pytest.mark.parametrize(
    ("text", "name"),
    [("My Room 2", "my_room_2"), ("3rd floor", "scene_3rd_floor"), ("--", "scene")],
)
def test_names_of_scenes(text, name):
    assert scene_name(text) == name


# --- Mitsuba and Sionna

MATERIALS = """
<bsdf type="itu-radio-material" id="mat-hull"><string name="type" value="brick"/>
  <float name="thickness" value="0.3"/><float name="scattering_coefficient" value="0.2"/></bsdf>
<bsdf type="radio-material" id="mat-own"><float name="relative_permittivity" value="3.5"/>
  <float name="conductivity" value="0.02"/><float name="thickness" value="0.05"/></bsdf>
<bsdf type="twosided" id="mat-itu_concrete"><bsdf type="diffuse"/></bsdf>
<bsdf type="diffuse" id="mat-Old oak wood"/>
"""
ROOM = f"""<shape type="cube" id="mesh-hull"><transform name="to_world">
  <scale x="{ROOM_M[0] / 2}" y="{ROOM_M[1] / 2}" z="{ROOM_M[2] / 2}"/>
  <translate x="{ROOM_M[0] / 2}" y="{ROOM_M[1] / 2}" z="{ROOM_M[2] / 2}"/></transform>
  <ref id="mat-hull" name="bsdf"/></shape>"""


def xml(folder, body, head=""):
    (folder / "scene.xml").write_text(f'{head}<scene version="2.1.0">{body}</scene>')
    return folder / "scene.xml"


def imported(folder, body, **more):
    source = xml(folder, body)
    return load_scene(import_mitsuba(source, folder / "to", **more))


def test_materials_of_all_kinds(tmp_path):
    body = MATERIALS + ROOM
    for number, material in enumerate(("own", "itu_concrete", "Old oak wood")):
        body += f"""<shape type="rectangle" id="mesh-screen {number}">
          <transform name="to_world"><scale value="0.2"/><rotate x="1" angle="90"/>
          <translate x="{1 + number}" y="0.1" z="1"/></transform>
          <ref id="mat-{material}" name="bsdf"/></shape>"""
    scene = imported(tmp_path, body)
    found = {key: value.model_dump(exclude_defaults=True) for key, value in scene.materials.items()}
    assert found == {
        "hull": {"itu": "brick", "thickness_m": 0.3, "scattering_coefficient": 0.2},
        "own": {"relative_permittivity": 3.5, "conductivity_s_per_m": 0.02, "thickness_m": 0.05},
        "itu_concrete": {"itu": "concrete", "thickness_m": 0.1},
        "Old oak wood": {"itu": "wood", "thickness_m": 0.025},
    }
    assert len([note for note in scene.assumptions if note.startswith("Material")]) == 1
    assert surfaces(scene)["mesh imported screen 0"].material == "own"


def test_materials_that_the_carrier_has_no_data_of(tmp_path):
    scene = imported(tmp_path, MATERIALS + ROOM, radio=RADIO_60)
    assert scene.materials["hull"].itu == "concrete"
    assert scene.materials["hull"].thickness_m == 0.3
    assert any("brick has no data at 60 GHz" in note for note in scene.assumptions)


def test_materials_that_only_sionna_knows(tmp_path):
    body = MATERIALS.replace('value="brick"', 'value="asphalt_concrete"') + ROOM
    scene = imported(tmp_path, body)
    assert scene.materials["hull"].itu == "concrete"
    assert any("'asphalt_concrete' is not in the table" in note for note in scene.assumptions)


def test_transforms_in_their_order(tmp_path):
    triangle = [[0, 0, 0], [1, 0, 0], [0, 1, 0.5]]
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "t.obj").write_text(obj([("t", "", triangle, np.array([[0, 1, 2]]))]))
    steps = """<scale value="2, 1, 1"/><rotate value="0 0 1" angle="$turn"/>
      <matrix value="1 0 0 0.5  0 1 0 0  0 0 2 0  0 0 0 1"/><translate x="1" z="1"/>"""
    body = f"""<default name="turn" value="90"/>{MATERIALS}{ROOM}
      <shape type="obj" id="thing"><string name="filename" value="parts/t.obj"/>
      <transform name="to_world">{steps}</transform><ref id="mat-own"/></shape>"""
    scene = imported(tmp_path, body)
    found = surfaces(scene)["mesh imported thing"].vertices
    # Twice as long, turned by a right angle, moved by half a metre and twice as high, moved again.
    expected = [[-y + 0.5 + 1, 2 * x, 2 * z + 1] for x, y, z in triangle]
    assert np.allclose(found, expected, atol=1e-6)


def test_a_cube_is_closed_and_of_two_metres(tmp_path):
    scene = imported(tmp_path, MATERIALS + ROOM)
    hull = surfaces(scene)["mesh imported hull"]
    mesh = trimesh.Trimesh(hull.vertices, hull.faces)
    assert mesh.is_watertight
    assert np.allclose(mesh.bounds, [(0, 0, 0), ROOM_M])


def test_shapes_of_one_name_or_none(tmp_path):
    bare = ROOM.replace('id="mesh-hull"', "")
    scene = imported(tmp_path, MATERIALS + ROOM + ROOM + bare)
    assert [s.name for s in build(scene)] == [
        "mesh imported hull",
        "mesh imported hull_2",
        "mesh imported shape 2",
    ]


def test_sheets_in_the_ground_are_left_out():
    ground = np.array([[0, 0, 0], [40, 0, 0], [40, 40, 0], [0, 40, 0]], dtype=float)
    square = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
    road = MeshGroup("road", "m", ground * (0.5, 1, 1) + np.array([40, 0, 0]), square)
    block = MeshGroup("block", "m", *box((5, 5, 0), (15, 15, 8)))
    lid = MeshGroup("lid", "m", ground + np.array([0, 0, 8]), square)
    patch = MeshGroup("patch", "m", ground * 0.5, square)
    floor = MeshGroup("ground", "m", ground, square)
    left, count = without_buried([road, block, lid, patch, floor])
    # A road beside the ground stays; a patch on it goes, and so does the bottom of the block.
    assert [(group.name, len(group.faces)) for group in left] == [
        ("road", 2),
        ("block", 10),
        ("lid", 2),
        ("ground", 2),
    ]
    assert count == 4
    assert without_buried([block]) == ([block], 0)


BOMB = """<!DOCTYPE scene [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>"""
FILE = '<shape type="{}" id="mesh-x"><string name="filename" value="{}"/></shape>'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "at least one shape, found none"),
        ("<shape", "an XML file"),
        ("<include filename='other.xml'/>" + ROOM, "a scene in one file"),
        ('<shape type="sphere" id="ball"/>', "one of ply, obj, cube, rectangle, found sphere"),
        (FILE.format("ply", "../out.ply"), "inside the scene's folder"),
        (FILE.format("ply", "/etc/passwd"), "inside the scene's folder"),
        (FILE.format("ply", "none.ply"), "a file that is there"),
        (FILE.format("obj", "scene.xml"), "a mesh, .obj"),
        (ROOM, "a material of the file, found mat-hull"),
        (MATERIALS + ROOM.replace("scale", "shear"), "translate, rotate, scale or matrix"),
        (MATERIALS + ROOM.replace('x="3.0"', 'x="wide"'), "translate, rotate, scale or matrix"),
        (MATERIALS + ROOM.replace('x="3.0"', 'x="nan"'), "translate, rotate, scale or matrix"),
        (MATERIALS.replace('"0.3"', '"thick"') + ROOM, "bsdf mat-hull.thickness"),
        (MATERIALS.replace('"0.3"', '"-1"') + ROOM, "a thickness above zero"),
        (MATERIALS.replace('<string name="type" value="brick"/>', "") + ROOM, "named type"),
    ],
)
def test_broken_xml_gets_a_reason(tmp_path, body, words):
    with pytest.raises(InputError) as caught:
        imported(tmp_path, body)
    assert words in str(caught.value)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    "head", [BOMB, '<!DOCTYPE scene [<!ENTITY a SYSTEM "file:///etc/passwd">]>', "<!DOCTYPE scene>"]
)
def test_entities_are_refused(tmp_path, head):
    with pytest.raises(InputError, match="XML without entities"):
        import_mitsuba(xml(tmp_path, MATERIALS + ROOM, head), tmp_path / "to")


def test_all_faults_of_an_xml_at_once(tmp_path):
    body = '<shape type="disk" id="a"/><shape type="sphere" id="b"/>'
    with pytest.raises(InputError) as caught:
        imported(tmp_path, body)
    assert len(caught.value.faults) == 2


def test_another_xml_and_no_file(tmp_path):
    (tmp_path / "a.xml").write_text("<html/>")
    with pytest.raises(InputError, match="a scene of Mitsuba or Sionna, found <html>"):
        import_mitsuba(tmp_path / "a.xml", tmp_path / "to")
    with pytest.raises(InputError, match="no such file"):
        import_mitsuba(tmp_path / "b.xml", tmp_path / "to")


# --- Sionna's own scenes


def test_builtin_scenes_by_name():
    assert {"box", "munich", "simple_street_canyon_with_cars"} <= set(builtin_scenes())
    assert builtin_scene_file("munich").name == "munich.xml"
    assert "OpenStreetMap" in builtin_origin("munich")
    for name in ("nowhere", "../box", "munich/munich"):
        with pytest.raises(InputError, match=r"one of Sionna's scenes.*munich"):
            builtin_scene_file(name)


def test_a_builtin_scene_with_buildings_in_its_ground(tmp_path):
    name = "simple_street_canyon_with_cars"
    folder = import_mitsuba(builtin_scene_file(name), tmp_path / "to", origin=builtin_origin(name))
    scene = load_scene(folder)
    assert "Apache-2.0" in scene.source
    assert any(note.startswith("12 triangles") for note in scene.assumptions)
    # In the street, which is 20 m wide, and under the sky.
    points = receiver_points(scene)
    assert np.abs(points[:, 1]).max() < 10.0
    assert np.isclose(points[:, 2], 1.5, atol=0.05).all()
    assert distances(points, corners(scene)).min() > 0.25


# --- the library's rooms after NIST


@pytest.mark.parametrize("name", sorted(NIST))
def test_library_rooms_are_the_sources_triangles(name):
    named = os.environ.get("TWIN_DATA_DIR")
    file = Path(named or "") / "nist_rooms" / "obj" / f"{NIST[name]}.obj"
    if not named or not file.is_file():
        pytest.skip("TWIN_DATA_DIR names no folder with nist_rooms")
    from twin.scene.meshes import read_mesh

    source = corners_of((group.vertices, group.faces) for group in read_mesh(file))
    ours = corners(load_scene(name))

    def sets(triangles):
        # Some are turned, none is moved.
        return {frozenset(map(tuple, t)) for t in (np.round(triangles, 5) + 0.0).tolist()}

    assert sets(ours) <= sets(source)
    content = yaml.safe_load(
        (Path(__file__).parents[2] / "scenes" / name / "scene.yaml").read_text()
    )
    left_out = [n for n in content["assumptions"] if "lie in the plane of the floor" in n]
    assert len(source) - len(ours) == (int(left_out[0].split()[0]) if left_out else 0)


@pytest.mark.parametrize("name", sorted(NIST))
def test_library_rooms_name_their_source(name):
    folder = Path(__file__).parents[2] / "scenes" / name
    readme = (folder / "README.md").read_text()
    assert "National Institute of Standards" in readme
    assert "keep intact this" in readme
    assert "This is a modified work." in readme
    assert sum(file.stat().st_size for file in folder.rglob("*.*") if file.suffix != ".png") < 1e5
