"""Meshes from files: what is read, where it is put, and what is refused before it takes memory."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import resource
import struct
import time
import zipfile

import numpy as np
import pytest
import trimesh

from twin.errors import InputError
from twin.scene.contents import MeshPart
from twin.scene.mesh_files import groups
from twin.scene.mesh_files.groups import MeshGroup
from twin.scene.mesh_files.obj import read_obj
from twin.scene.mesh_files.obj_writer import obj_text
from twin.scene.mesh_files.settling import settled
from twin.scene.meshes import mesh_faults, mesh_material, placed_groups, read_mesh

TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float64)
SIDES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], dtype=np.int32)
OBJ = """# a house
v 0 0 0
v 4 0 0
v 4 3 0
v 0 3 0
v 0 0 2.5
v 4 0 2.5
g slab
usemtl Concrete_1
f 1 2 3 4
g wall
usemtl drywall
f 1/1/1 2/2/1 6//1
f -6 -1 -2
"""
BIG_ENDIAN, LITTLE_ENDIAN, TEXT = "binary_big_endian", "binary_little_endian", "ascii"


def write(folder, name, content):
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    return folder / name


def part(folder, name, content=None, **more):
    """A mesh as a scene declares it, of a file of its folder."""
    file = folder / name if content is None else write(folder, name, content)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return MeshPart(name="thing", file=name, sha256=digest, **more)


def triangles(found):
    return np.concatenate([group.vertices[group.faces] for group in found])


def area(found):
    corners = triangles(found)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(across, axis=1).sum() / 2.0)


def ply(kind, vertices, polygons, extra=False):
    """A PLY file, with elements and properties beside those that count where `extra`."""
    colour = ["property uchar red"] if extra else []
    header = [
        "ply",
        f"format {kind} 1.0",
        "comment made by a test",
        *(["element camera 1", "property list uchar float view"] if extra else []),
        f"element vertex {len(vertices)}",
        *colour,
        *(f"property float {axis}" for axis in "xyz"),
        f"element face {len(polygons)}",
        "property list uchar int vertex_indices",
        *(["property list uchar float texcoord"] if extra else []),
        "end_header\n",
    ]
    head = "\n".join(header).encode()
    if kind == TEXT:
        rows = ["2 7.5 8"] if extra else []
        rows += [" ".join(map(str, [*([9] if extra else []), *v])) for v in vertices]
        tail = " 1 0.5" if extra else ""
        rows += [" ".join(map(str, [len(p), *p])) + tail for p in polygons]
        return head + "\n".join([*rows, ""]).encode()
    sign = "<" if kind == LITTLE_ENDIAN else ">"
    body = struct.pack(f"{sign}Bff", 2, 7.5, 8.0) if extra else b""
    for v in vertices:
        body += (b"\x09" if extra else b"") + struct.pack(f"{sign}fff", *v)
    for p in polygons:
        body += struct.pack(f"{sign}B{len(p)}i", len(p), *p)
        body += struct.pack(f"{sign}Bf", 1, 0.5) if extra else b""
    return head + body


def gltf(document):
    return json.dumps({"asset": {"version": "2.0"}, **document})


def buffered(points, order, **change):
    """A glTF document of one triangle mesh."""
    data = np.asarray(points, "<f4").tobytes() + np.asarray(order, "<u2").tobytes()
    size = 12 * len(points)
    document = {
        "buffers": [
            {
                "byteLength": len(data),
                "uri": "data:application/octet-stream;base64," + base64.b64encode(data).decode(),
            }
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": size},
            {"buffer": 0, "byteOffset": size, "byteLength": len(data) - size},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(points), "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": len(order), "type": "SCALAR"},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "nodes": [{"mesh": 0, "name": "one"}],
        "scenes": [{"nodes": [0]}],
    }
    for path, value in change.items():
        place = document
        *way, last = path.split("__")
        for step in way:
            place = place[int(step) if isinstance(place, list) else step]
        place[int(last) if isinstance(place, list) else last] = value
    return document


# --- what is read


def test_obj_keeps_groups_and_material_names_without_a_material_file(tmp_path):
    slab, wall = read_mesh(write(tmp_path, "house.obj", "mtllib missing.mtl\n" + OBJ))
    assert (slab.name, slab.source_material) == ("slab", "Concrete_1")
    assert (wall.name, wall.source_material) == ("wall", "drywall")
    assert slab.vertices.dtype == np.float64
    assert slab.faces.dtype == np.int32
    assert area([slab]) == pytest.approx(12.0)
    # Corners counted from the end, and vertices of other groups left out.
    assert len(wall.vertices) == 4
    assert area([wall]) == pytest.approx(10.0)


def test_obj_group_of_two_materials_is_two_groups_and_lines_may_go_on(tmp_path):
    text = "v 0 0 0\nv 1 0 0\nv 0 1 0\no box\nusemtl a\nf 1 2 \\\n3\nusemtl b\nf 3 2 1\nusemtl a\n"
    found = read_mesh(write(tmp_path, "two.obj", text + "f 1 2 3\n"))
    assert [(g.name, g.source_material, len(g.faces)) for g in found] == [
        ("box a", "a", 2),
        ("box b", "b", 1),
    ]


def test_names_of_groups_are_unique(tmp_path):
    text = (
        "v 0 0 0\nv 1 0 0\nv 0 1 0\ng box\nusemtl a\nf 1 2 3\nusemtl b\nf 1 2 3\ng box a\nf 1 2 3\n"
    )
    names = [group.name for group in read_mesh(write(tmp_path, "names.obj", text))]
    assert names == ["box a", "box b", "box a 2"]


def test_polygons_that_are_not_convex_keep_their_area_and_side(tmp_path):
    # An L in a slanted plane, once either way round.
    outline = np.array([[0, 0], [3, 0], [3, 1], [1, 1], [1, 2], [0, 2]], dtype=float)
    lifted = np.column_stack([outline, 0.5 * outline[:, 0]])
    text = "".join(f"v {x} {y} {z}\n" for x, y, z in lifted) + "g up\nf 1 2 3 4 5 6\ng down\n"
    up, down = read_mesh(write(tmp_path, "l.obj", text + "f 6 5 4 3 2 1\n"))
    for group, side in ((up, 1.0), (down, -1.0)):
        assert area([group]) == pytest.approx(4.0 * np.sqrt(1.25))
        corners = triangles([group])
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert (np.sign(across[:, 2]) == side).all()


def test_polygons_stay_in_their_order(tmp_path):
    text = "".join(f"v {i} {i * i} 0\n" for i in range(12))
    polygons = [(1, 2, 3, 4), (5, 6, 7), (8, 9, 10, 11), (2, 5, 9)]
    text += "".join("f " + " ".join(map(str, p)) + "\n" for p in polygons)
    (group,) = read_mesh(write(tmp_path, "order.obj", text))
    first = group.vertices[group.faces[:, 0]][:, 0] + 1
    assert first.tolist() == [1, 1, 5, 8, 8, 2]


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("kind", [TEXT, LITTLE_ENDIAN, BIG_ENDIAN])
@pytest.mark.parametrize("mixed", [False, True])
def test_ply_of_all_kinds(tmp_path, kind, extra, mixed):
    vertices = [[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [0, 0, 1.5]]
    polygons = [[0, 1, 2, 3], [0, 1, 4]] if mixed else [[0, 1, 2], [0, 1, 4]]
    file = write(tmp_path, "a.ply", ply(kind, vertices, polygons, extra))
    (group,) = read_mesh(file)
    assert (group.name, group.source_material) == ("a", "")
    assert area([group]) == pytest.approx((4.0 if mixed else 2.0) + 1.5)


@pytest.mark.parametrize("suffix", ["glb", "gltf"])
def test_gltf_agrees_with_trimesh(tmp_path, suffix):
    built = trimesh.Scene()
    turn = trimesh.transformations.rotation_matrix(0.3, (1, 2, 3), (4, 5, 6))
    material = trimesh.visual.material.PBRMaterial(name="Glass pane")
    box = trimesh.creation.box((1, 2, 3))
    box.visual = trimesh.visual.TextureVisuals(material=material)
    built.add_geometry(box, node_name="first", geom_name="box", transform=turn)
    built.add_geometry(
        trimesh.creation.icosphere(1), node_name="ball", geom_name="ball", parent_node_name="first"
    )
    data = built.export(file_type=suffix)
    if suffix == "gltf":
        document = json.loads(data["model.gltf"])
        for buffer in document["buffers"]:
            packed = base64.b64encode(data[buffer["uri"]]).decode()
            buffer["uri"] = "data:application/octet-stream;base64," + packed
        data = json.dumps(document).encode()
    found = read_mesh(write(tmp_path, f"a.{suffix}", data))
    assert [(g.name, g.source_material) for g in found] == [("first", "Glass pane"), ("ball", "")]
    expected = np.concatenate([mesh.vertices[mesh.faces] for mesh in built.dump()])
    assert np.allclose(triangles(found), expected, atol=1e-6)


def test_gltf_nodes_with_parts_of_a_transform(tmp_path):
    turned = {"translation": [1, 2, 3], "rotation": [0, 0, 0.5**0.5, 0.5**0.5], "scale": [2, 1, 1]}
    document = buffered([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [0, 1, 2], nodes__0=turned | {"mesh": 0})
    (group,) = read_mesh(write(tmp_path, "a.gltf", gltf(document)))
    assert np.allclose(group.vertices, [[1, 2, 3], [1, 4, 3], [0, 2, 3]])


@pytest.mark.parametrize(("mode", "count"), [(4, 1), (5, 2), (6, 2), (1, 0)])
def test_gltf_modes(tmp_path, mode, count):
    points = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    more = buffered(points, [0, 1, 2])
    document = buffered(points, [0, 1, 3, 2] if mode == 5 else [0, 1, 2, 3])
    document["meshes"][0]["primitives"][0]["mode"] = mode
    if count == 0:
        with pytest.raises(InputError, match="expected triangles, found none"):
            read_mesh(write(tmp_path, "a.gltf", gltf(document)))
        return
    document = more if mode == 4 else document
    (group,) = read_mesh(write(tmp_path, "a.gltf", gltf(document)))
    assert len(group.faces) == count
    assert area([group]) == pytest.approx(0.5 * count)
    corners = triangles([group])
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (across[:, 2] > 0.0).all()


def test_triangles_without_an_area_are_left_out(tmp_path):
    text = "v 0 0 0\nv 1 0 0\nv 2 0 0\nv 0 1 0\nf 1 2 3\nf 1 2 4\nf 1 1 4\n"
    (group,) = read_mesh(write(tmp_path, "thin.obj", text))
    assert len(group.faces) == 1
    assert len(group.vertices) == 3


def test_what_is_written_is_read_as_the_same(tmp_path):
    rng = np.random.default_rng(3)
    made = [
        MeshGroup(f"part {i}", f"material_{i}", np.round(rng.normal(size=(4, 3)) * 50, 6), SIDES)
        for i in range(3)
    ]
    again = read_mesh(write(tmp_path, "w.obj", obj_text(made, 6)))
    for one, other in zip(made, again, strict=True):
        assert (one.name, one.source_material) == (other.name, other.source_material)
        assert np.array_equal(one.vertices, other.vertices)
        assert np.array_equal(one.faces, other.faces)


# --- what a tracer takes


def sheet(*faces, vertices=None, material="m", name="s"):
    places = TETRAHEDRON if vertices is None else np.array(vertices, dtype=np.float64)
    return MeshGroup(name, material, places, np.array(faces, dtype=np.int32))


def clashes(made):
    """Edges that two triangles run along in one direction; vertices by their places."""
    corners = np.round(triangles(made), 6)
    runs = [
        (tuple(one), tuple(two))
        for triangle in corners.tolist()
        for one, two in zip(triangle, [*triangle[1:], triangle[0]], strict=True)
    ]
    return len(runs) - len(set(runs))


def test_neighbours_are_turned_to_face_one_way_through_all_groups():
    one, other = SIDES.copy()[:2], SIDES.copy()[2:]
    other[0] = other[0][::-1]
    made = [sheet(*one, name="a"), sheet(*other, material="n", name="b")]
    assert clashes(made) == 3
    done = settled(made)
    assert clashes(done) == 0
    # The first stays as it is, and so does what is settled.
    assert np.array_equal(done[0].faces, one)
    assert [group.name for group in done] == ["a", "b"]
    again = settled(done)
    assert all(a is b for a, b in zip(done, again, strict=True))


def test_turned_at_random_and_back():
    ball = trimesh.creation.icosphere(2)
    rng = np.random.default_rng(0)
    faces = np.asarray(ball.faces).copy()
    some = rng.random(len(faces)) < 0.5
    faces[some] = faces[some][:, ::-1]
    (done,) = settled([sheet(*faces, vertices=ball.vertices)])
    mesh = trimesh.Trimesh(done.vertices, done.faces, process=False)
    assert mesh.is_winding_consistent
    assert mesh.is_watertight


def test_a_strip_with_one_side_is_left_as_it_is():
    angle = np.linspace(0.0, 2.0 * np.pi, 9)[:-1]
    rim = [
        [
            (3 + w * np.cos(a / 2)) * np.cos(a),
            (3 + w * np.cos(a / 2)) * np.sin(a),
            w * np.sin(a / 2),
        ]
        for a in angle
        for w in (-1.0, 1.0)
    ]
    # The last pair meets the first one the other way round.
    nodes = [*range(16), 1, 0]
    faces = [
        face
        for i in range(0, 16, 2)
        for face in (
            (nodes[i], nodes[i + 1], nodes[i + 2]),
            (nodes[i + 2], nodes[i + 1], nodes[i + 3]),
        )
    ]
    strip = sheet(*faces, vertices=rim)
    (done,) = settled([strip])
    assert np.array_equal(done.faces, strip.faces)


def test_lines_of_single_precision_go_unless_they_fill_a_seam():
    # At 100 m a micrometre is nothing: a sliver beside a square, and one between two halves.
    square = [
        [100, 0, 0],
        [101, 0, 0],
        [101, 1, 0],
        [100, 1, 0],
        [100.5, -1e-6, 0],
        [100.5, 0.5, 0],
    ]
    beside = sheet([0, 1, 2], [0, 2, 3], [0, 4, 1], vertices=square)
    (done,) = settled([beside])
    assert len(done.faces) == 2
    near = [[100, 0, 0], [101, 1, 0], [100.5, 0.5 + 1e-6, 0], [100, 1, 0], [101, 0, 0]]
    between = sheet([0, 1, 2], [1, 0, 4], [0, 2, 3], [2, 1, 3], vertices=near)
    (done,) = settled([between])
    assert len(done.faces) == 4
    # The same in millimetres.
    small = MeshGroup("s", "m", beside.vertices * 1000.0, beside.faces)
    assert len(settled([small], 0.001)[0].faces) == 2


def test_the_mesh_of_a_scene_is_settled_and_the_file_is_not(tmp_path):
    text = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3\nf 1 4 3\n"
    one = part(tmp_path, "a.obj", text, material="x")
    assert clashes(placed_groups(one, tmp_path)) == 0
    assert clashes(read_mesh(tmp_path / "a.obj")) == 1


# --- where it is put


def test_placed_as_declared(tmp_path):
    one = part(
        tmp_path,
        "a.obj",
        OBJ,
        material="x",
        scale=0.5,
        yaw_deg=90.0,
        position_m=(10.0, 20.0, 1.0),
        y_up=True,
    )
    slab, _ = placed_groups(one, tmp_path)
    # y up: (x, y, z) is (x, -z, y); then halved, turned and moved.
    expected = [(10.0, 20.0 + 0.5 * x, 1.0 + 0.5 * y) for x, y in ((0, 0), (4, 0), (4, 3), (0, 3))]
    assert np.allclose(slab.vertices, expected)


def test_as_it_is_where_nothing_is_declared(tmp_path):
    one = part(tmp_path, "a.obj", OBJ, material="x")
    for placed, read in zip(
        placed_groups(one, tmp_path), read_mesh(tmp_path / "a.obj"), strict=True
    ):
        assert np.array_equal(placed.vertices, read.vertices)
        assert np.array_equal(np.sort(placed.faces, axis=1), np.sort(read.faces, axis=1))
        with pytest.raises(ValueError, match="read-only"):
            placed.vertices[0] = 1.0


def test_material_by_its_name_then_by_group_then_for_all(tmp_path):
    one = part(tmp_path, "a.obj", OBJ, materials={"drywall": "board", "slab": "slab"}, material="m")
    slab, wall = placed_groups(one, tmp_path)
    assert (mesh_material(one, slab), mesh_material(one, wall)) == ("slab", "board")
    bare = MeshPart(name="a", file="a.obj", sha256=one.sha256, materials={"slab": "slab"})
    assert mesh_material(bare, wall) is None
    assert mesh_material(bare.model_copy(update={"material": "m"}), wall) == "m"


def test_a_file_that_changes_is_read_again(tmp_path):
    one = part(tmp_path, "a.obj", OBJ, material="x")
    placed_groups(one, tmp_path)
    write(tmp_path, "a.obj", OBJ + "f 1 2 5\n")
    with pytest.raises(InputError) as caught:
        placed_groups(one, tmp_path)
    digest = hashlib.sha256((tmp_path / "a.obj").read_bytes()).hexdigest()
    assert f"write sha256: {digest}" in str(caught.value)


# --- what is refused


def faults(one, folder):
    return mesh_faults(one, folder, "scene.yaml", "meshes.thing")


def only(found):
    (fault,) = found
    assert fault.where == "scene.yaml"
    assert fault.key.startswith("meshes.thing")
    return str(fault)


def test_sound_meshes_have_no_faults(tmp_path):
    assert faults(part(tmp_path, "a.obj", OBJ, material="x"), tmp_path) == []


@pytest.mark.parametrize("name", ["../a.obj", "/etc/hostname.obj", "sub/../../a.obj", "link.obj"])
def test_files_outside_the_folder_are_refused(tmp_path, name):
    folder = tmp_path / "scene"
    (folder / "sub").mkdir(parents=True)
    write(tmp_path, "a.obj", OBJ)
    (folder / "link.obj").symlink_to(tmp_path / "a.obj")
    one = MeshPart(name="thing", file=name, sha256="0" * 64)
    assert "inside the scene's folder" in only(faults(one, folder))
    with pytest.raises(InputError, match="inside the scene's folder"):
        placed_groups(one, folder)


@pytest.mark.parametrize("name", ["none.obj", "a\0b.obj", "x" * 190 + ".obj", "dir.obj"])
def test_files_that_are_none_are_refused(tmp_path, name):
    (tmp_path / "dir.obj").mkdir()
    assert "file" in only(faults(MeshPart(name="thing", file=name, sha256="0" * 64), tmp_path))


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.obj")
    one = MeshPart(name="thing", file="pipe.obj", sha256="0" * 64)
    assert "a file that is there" in only(faults(one, tmp_path))
    with pytest.raises(InputError, match="something else"):
        read_mesh(tmp_path / "pipe.obj")


def test_a_scene_without_a_folder_has_no_meshes(tmp_path):
    one = part(tmp_path, "a.obj", OBJ, material="x")
    assert "a scene with a folder" in only(faults(one, None))


def test_materials_that_are_missing_or_misspelt(tmp_path):
    one = part(tmp_path, "a.obj", OBJ, materials={"Drywall": "board", "slab": "slab"})
    found = [str(fault) for fault in faults(one, tmp_path)]
    assert len(found) == 2
    assert "materials.Drywall" in found[0]
    assert "Concrete_1, drywall, slab, wall" in found[0]
    assert "none for wall" in found[1]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"scale": 10_000.0}, "Is the file in mm or inches"),
        ({"scale": 0.001}, "Is the file in mm or inches"),
        ({"position_m": (30_000.0, 0.0, 0.0)}, "position_m"),
    ],
)
def test_lengths_that_are_no_metres(tmp_path, more, words):
    one = part(tmp_path, "a.obj", OBJ, material="x", **more)
    assert words in only(faults(one, tmp_path))


BROKEN = {
    "nan.obj": ("v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "finite coordinates"),
    "far.obj": ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "corners among the 3 vertices"),
    "before.obj": ("v 0 0 0\nf -1 -2 -3\n", "from 1 or from -1"),
    "zero.obj": ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "from 1 or from -1"),
    "edge.obj": ("v 0 0 0\nv 1 0 0\nf 1 2\n", "three corners"),
    "word.obj": ("v 0 0 zero\n", "three numbers after `v`"),
    "flat.obj": ("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "1, all without an area"),
    "empty.obj": ("", "expected triangles, found none"),
    "bow.obj": ("v 0 0 0\nv 2 2 0\nv 2 0 0\nv 0 2 0\nv 1 3 0\nf 1 2 3 4 5\n", "cross or touch"),
    "binary.obj": (b"\0\1\2" * 99, "which is text"),
    "line.obj": (b"f" + b" 1" * 2**20, "lines of at most 1048576 bytes"),
    "image.png": (b"\x89PNG", "a mesh, .obj, .ply, .gltf, .glb"),
    "gzip.obj": (b"\x1f\x8b\x08" + b"\0" * 50, "Unpack it first"),
    "head.ply": (b"ply\nformat ascii 1.0\n", "a whole header"),
    "kind.ply": (ply("ebcdic", TETRAHEDRON, SIDES.tolist()), "lines of the PLY format"),
    "short.ply": (ply(LITTLE_ENDIAN, TETRAHEDRON, SIDES.tolist())[:-60], "a file of the size"),
    "cut.ply": (ply(LITTLE_ENDIAN, TETRAHEDRON, [[0, 1, 2], [0, 1, 2, 3]])[:-8], "rows inside"),
    "cut2.ply": (ply(TEXT, TETRAHEDRON, [[0, 1, 2], [0, 1, 2, 3]])[:-5], "a line of"),
    "half.ply": (ply(TEXT, TETRAHEDRON, [[0, 1, 0.5]]), "whole numbers"),
    "two.ply": (ply(TEXT, TETRAHEDRON, [[0, 1]]), "at least three corners"),
    "points.ply": (
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n",
        "an element 'face'",
    ),
    "bare.ply": (
        ply(TEXT, TETRAHEDRON, []).replace(b"float z", b"float w"),
        "x, y, z and a list",
    ),
    "text.gltf": ("not json", "a glTF 2.0 file"),
    "deep.gltf": ("[" * 100_000, "a glTF 2.0 file"),
    "old.gltf": ('{"asset": {"version": "1.0"}}', "2.0"),
    "list.gltf": ("[1, 2]", "asset.version"),
    "head.glb": (b"glTF" + b"\xff" * 40, "chunks inside the file"),
    "draco.gltf": (
        gltf({"extensionsRequired": ["KHR_draco_mesh_compression"]}),
        "uncompressed GLB",
    ),
}
POINTS = [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
BROKEN |= {
    f"{name}.gltf": (gltf(buffered(POINTS, [0, 1, 2], **change)), words)
    for name, change, words in (
        ("count", {"accessors__0__count": 10**15}, "values inside its buffer"),
        ("huge", {"accessors__0__count": 10**30}, "values inside its buffer"),
        ("none", {"accessors__0__count": 0}, "counts and offsets"),
        ("minus", {"bufferViews__0__byteOffset": -4}, "counts and offsets"),
        ("half", {"accessors__0__count": 1.5}, "counts and offsets"),
        ("stride", {"bufferViews__0__byteStride": 10**9}, "values inside its buffer"),
        ("url", {"buffers__0__uri": "https://example.org/a.bin"}, "a buffer inside the file"),
        ("file", {"buffers__0__uri": "../../secret.bin"}, "a buffer inside the file"),
        ("base64", {"buffers__0__uri": "data:;base64,?!"}, "base64"),
        ("type", {"accessors__0__componentType": 5123}, "VEC3 of type 5126"),
        ("sparse", {"accessors__0__sparse": {}}, "not sparse"),
        ("index", {"nodes__0__mesh": 7}, "a sound glTF 2.0 file"),
        ("words", {"nodes__0__mesh": "x"}, "a sound glTF 2.0 file"),
        ("cycle", {"nodes__0": {"mesh": 0, "children": [0]}}, "a tree of nodes"),
        ("mode", {"meshes__0__primitives__0__mode": 9}, "triangles, a strip or a fan"),
        ("matrix", {"nodes__0": {"mesh": 0, "matrix": [1, 2]}}, "a sound glTF 2.0 file"),
    )
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_files_get_a_reason(tmp_path, name):
    content, words = BROKEN[name]
    one = part(tmp_path, name, content, material="x")
    found = only(faults(one, tmp_path))
    assert words in found
    with pytest.raises(InputError):
        placed_groups(one, tmp_path)


def test_faults_of_an_obj_name_their_lines(tmp_path):
    one = part(tmp_path, "a.obj", "v 0 0 x\n" + "f 1 2\n" * 40)
    found = [str(fault) for fault in faults(one, tmp_path)]
    assert len(found) == 5
    assert "(line 1)" in found[0]
    assert "(line 2)" in found[1]


def bounded(one, folder):
    """Faults of a mesh that takes neither time nor memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    found = only(faults(one, folder))
    assert time.monotonic() - start < 2.0
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert taken < 100 * 1024, f"{taken} KiB"
    return found


def test_200_mb_are_not_read(tmp_path):
    with (tmp_path / "large.ply").open("wb") as file:
        file.truncate(200 * 10**6)
    one = MeshPart(name="thing", file="large.ply", sha256="0" * 64)
    assert "at most 64 MiB" in bounded(one, tmp_path)


@pytest.mark.parametrize("element", ["vertex", "face", "other"])
def test_ply_headers_are_believed_as_far_as_the_file_goes(tmp_path, element):
    data = ply(LITTLE_ENDIAN, TETRAHEDRON, SIDES.tolist())
    if element == "other":
        data = data.replace(
            b"element vertex", b"element other 4000000000\nproperty double a\nelement vertex"
        )
    else:
        data = data.replace(
            b"element %b 4" % element.encode(), b"element %b 4000000000" % element.encode()
        )
    one = part(tmp_path, "claims.ply", data, material="x")
    assert "header" in bounded(one, tmp_path)


def test_a_list_in_a_ply_is_believed_as_far_as_the_file_goes(tmp_path):
    data = ply(LITTLE_ENDIAN, TETRAHEDRON, SIDES.tolist())
    data = data.replace(b"list uchar int", b"list uint int")
    one = part(tmp_path, "list.ply", data, material="x")
    assert "rows inside the file" in bounded(one, tmp_path)


def test_a_zip_bomb_under_another_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.obj", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.obj", b"\0" * 20_000_000)
    one = part(tmp_path, "bomb.obj", material="x")
    assert "Unpack it first" in bounded(one, tmp_path)


def test_too_many_triangles_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr(groups, "MAX_TRIANGLES", 1000)
    monkeypatch.setattr(groups, "as_groups", None)
    with pytest.raises(InputError, match="at most 1000 triangles"):
        read_obj(b"v 0 0 0\nf " + b"1 " * 2000, "fan.obj")
    with pytest.raises(InputError, match="at most 1000 triangles"):
        read_obj(b"v 0 0 0\n" + b"f 1 1 1\n" * 2000, "many.obj")


def test_too_many_groups_are_refused(monkeypatch):
    monkeypatch.setattr(groups, "MAX_GROUPS", 100)
    lines = itertools.chain.from_iterable((f"g {i}", "f 1 1 1") for i in range(101))
    with pytest.raises(InputError, match="at most 100 groups"):
        read_obj("\n".join(["v 0 0 0", *lines]).encode(), "groups.obj")
