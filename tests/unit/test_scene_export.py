"""Exports: what other programs get, what they were built from, and that nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
import yaml
from defusedxml.ElementTree import parse

from twin.config import validate
from twin.errors import InputError
from twin.scene.declaration import Scene, scene_digest
from twin.scene.exporters.gltf import export_gltf
from twin.scene.exporters.mitsuba import export_mitsuba, ply_bytes
from twin.scene.exporters.provenance import exported
from twin.scene.geometry import build
from twin.scene.importers.mesh_file import import_mesh
from twin.scene.importers.mitsuba import import_mitsuba
from twin.scene.library import load_scene
from twin.scene.materials import slab
from twin.scene.mesh_files.groups import MeshGroup
from twin.scene.mesh_files.obj_writer import obj_text
from twin.scene.mesh_files.ply import read_ply

SOUND = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())


def scene(**change):
    return validate({**SOUND, **change}, Scene, "scene")


def furnished():
    """A room with everything that builds surfaces of its own indoors."""
    return scene(
        openings=[
            {"name": "door", "edge": 0, "at_m": 1.0, "material": "sheet"},
            {"name": "hatch", "wall": "screen", "at_m": 0.5, "height_m": 1.5, "material": "sheet"},
        ],
        furniture=[
            *SOUND["furniture"],
            {
                "name": "table",
                "kind": "table",
                "centre_m": [4.5, 1.2],
                "yaw_deg": 17.0,
                "material": "sheet",
            },
            {"name": "shelf 1", "kind": "shelf", "centre_m": [5.2, 3.7], "material": "concrete"},
        ],
        materials={
            **SOUND["materials"],
            "concrete": {"itu": "concrete", "thickness_m": 0.2, "scattering_coefficient": 0.3},
        },
    )


def street():
    """Blocks beside a road, cut out of the ground."""
    square = [[-40, -40], [40, -40], [40, 40], [-40, 40]]
    block = {"height_m": 9.3, "wall_material": "concrete", "roof_material": "sheet"}
    outdoors = {key: SOUND[key] for key in SOUND if key not in ("room", "walls", "furniture")}
    return validate(
        {
            **outdoors,
            "ground": {"area_m": square, "material": "concrete"},
            "roads": [
                {"name": "road", "path_m": [[-40, 0], [40, 0]], "width_m": 7, "material": "sheet"}
            ],
            "buildings": [
                {"name": "a", "footprint_m": [[-30, 6], [20.7, 6], [20, 30], [-30, 30]], **block},
                {"name": "b", "footprint_m": [[-30, -30], [20, -30], [20, -6], [-30, -6]], **block},
            ],
        },
        Scene,
        "scene",
    )


def mesh_scene(folder):
    """A scene of an imported mesh, whose vertices are no round numbers."""
    rng = np.random.default_rng(2)
    box = trimesh.creation.box(bounds=[(0, 0, 0), (7, 5, 2.7)])
    ball = trimesh.creation.icosphere(1, 0.4).apply_translation((3, 2, 0.5))
    vertices = np.asarray(ball.vertices) + rng.normal(size=ball.vertices.shape) * 1e-3
    groups = [
        MeshGroup("room", "brick_wall", np.asarray(box.vertices), np.asarray(box.faces)),
        MeshGroup("ball", "itu_glass", vertices, np.asarray(ball.faces)),
        MeshGroup("Ball", "nothing known", vertices + 1.0, np.asarray(ball.faces)),
    ]
    (folder / "m.obj").write_text(obj_text(groups, 9))
    return load_scene(import_mesh(folder / "m.obj", folder / "mesh"))


def made(kind, folder):
    return {"furnished": furnished, "street": street}.get(kind, lambda: mesh_scene(folder))()


def moved(one, other):
    """How far corners of triangles (f,) lie apart [m]; a triangle may be turned."""
    corners, same = one.vertices[one.faces], other.vertices[other.faces]
    ways = [np.abs(corners - same[:, way]).max(axis=(1, 2)) for way in ([0, 1, 2], [0, 2, 1])]
    return np.minimum(*ways)


KINDS = ("furnished", "street", "mesh")


@pytest.mark.parametrize("kind", KINDS)
def test_import_of_an_export_is_the_same_at_every_turn(tmp_path, kind):
    first = made(kind, tmp_path)
    digests, scenes = [], [first]
    for turn in range(3):
        file = export_mitsuba(scenes[-1], tmp_path / f"out {turn}")
        scenes.append(load_scene(import_mitsuba(file, tmp_path / f"in {turn}", name="again")))
        digests.append(scene_digest(scenes[-1]))
    assert len(set(digests)) == 1
    # And it is the geometry that was exported, sheet by sheet.
    for one, other in zip(build(first), build(scenes[-1]), strict=True):
        assert moved(one, other).max() < 6e-7, one.name
        constants = [
            slab(of.materials[surface.material], of.frequency_hz)
            for of, surface in ((first, one), (scenes[-1], other))
        ]
        assert constants[0] == constants[1]


@pytest.mark.parametrize("kind", KINDS)
def test_gltf_round_trip_is_the_same_at_every_turn(tmp_path, kind):
    scenes, digests = [made(kind, tmp_path)], []
    for turn in range(3):
        file = export_gltf(scenes[-1], tmp_path / f"out{turn}" / "scene.glb")
        scenes.append(load_scene(import_mesh(file, tmp_path / f"in {turn}", name="again")))
        digests.append(scene_digest(scenes[-1]))
    assert len(set(digests)) == 1
    total = [sum(len(surface.faces) for surface in build(one)) for one in scenes]
    assert len(set(total)) == 1


def test_the_same_bytes_anywhere(tmp_path):
    export_mitsuba(furnished(), tmp_path / "a")
    export_mitsuba(furnished(), tmp_path / "deeper" / "b")
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 2 + len(build(furnished()))
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (
            tmp_path / "deeper" / "b" / file
        ).read_bytes()
    one, other = (export_gltf(furnished(), tmp_path / n / "s.glb") for n in ("c", "d"))
    assert one.read_bytes() == other.read_bytes()


def test_a_surface_as_ply():
    surface = build(furnished())[0]
    (group,) = read_ply(ply_bytes(surface), "a.ply", "a")
    assert np.array_equal(group.vertices[group.faces], surface.vertices[surface.faces])
    loaded = trimesh.load(
        trimesh.util.wrap_as_stream(ply_bytes(surface)), file_type="ply", process=False
    )
    assert np.array_equal(np.asarray(loaded.faces), surface.faces)


def test_provenance_holds_the_declaration(tmp_path):
    one = furnished()
    file = export_mitsuba(one, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "scene.json").read_text())
    assert content["scene_digest"] == scene_digest(one)
    assert scene_digest(validate(content["scene"], Scene, "scene.json")) == scene_digest(one)
    assert content["surfaces"]["furniture_shelf_1"] == {
        "name": "furniture shelf 1",
        "material": "concrete",
    }
    assert scene_digest(one) in file.read_text()
    glb = export_gltf(one, tmp_path / "scene.glb").read_bytes()
    size = int.from_bytes(glb[12:16], "little")
    extras = json.loads(glb[20 : 20 + size])["asset"]["extras"]
    assert extras == content


def test_glb_for_other_programs(tmp_path):
    one = furnished()
    loaded = trimesh.load_scene(export_gltf(one, tmp_path / "scene.glb"))
    named = exported(one)
    assert set(loaded.geometry) == {name for name, _ in named.surfaces}
    # z up becomes y up: (x, y, z) is (x, z, -y).
    (low, high) = loaded.bounds
    assert np.allclose(low, (0, 0, -4), atol=1e-6)
    assert np.allclose(high, (6, 2.5, 0), atol=1e-6)
    looks = {name: mesh.visual.material for name, mesh in loaded.geometry.items()}
    assert looks["floor"].name == "concrete_slab"
    assert looks["floor"].doubleSided


def test_names_are_unique_in_one_name_space_and_no_name_of_p2040():
    one = scene(
        furniture=[
            {"name": name, "kind": "box", "centre_m": [x, 3], "size_m": [0.3] * 3, "material": m}
            for x, name, m in (
                (0.5, "a b", "sheet"),
                (1.0, "a_b", "itu_glass"),
                (1.5, "A_b", "furniture x"),
                (2.0, "x_slab", "sheet"),
            )
        ],
        materials={
            **SOUND["materials"],
            "itu_glass": {"itu": "glass", "thickness_m": 0.01},
            "furniture x": {"itu": "wood", "thickness_m": 0.01},
        },
    )
    named = exported(one)
    assert named.materials == {
        "concrete": "concrete_slab",
        "furniture x": "furniture_x_slab",
        "itu_glass": "p2040_glass_slab",
        "sheet": "sheet_slab",
    }
    names = [name for name, _ in named.surfaces]
    assert names[-4:] == [
        "furniture_a_b",
        "furniture_a_b_2",
        "furniture_A_b_3",
        "furniture_x_slab_2",
    ]
    everything = [name.lower() for name in (*names, *named.materials.values())]
    assert len(set(everything)) == len(everything)


def test_constants_are_those_of_a_trace_at_the_carrier(tmp_path):
    one = scene(
        materials={
            "concrete": {
                "itu": "concrete",
                "thickness_m": 0.2,
                "permittivity_scale": 1.2,
                "conductivity_scale": 0.5,
            },
            "sheet": {
                "layers": [
                    {"itu": "plasterboard", "thickness_m": 0.0125},
                    {"itu": "glass", "thickness_m": 0.004},
                ]
            },
        }
    )
    root = parse(export_mitsuba(one, tmp_path / "out")).getroot()
    for name in ("concrete", "sheet"):
        bsdf = root.find(f"bsdf[@id='mat-{name}_slab']")
        assert bsdf.get("type") == "radio-material"
        found = {node.get("name"): float(node.get("value")) for node in bsdf}
        layer = slab(one.materials[name], one.frequency_hz)
        assert found == {
            "relative_permittivity": layer.relative_permittivity,
            "conductivity": layer.conductivity_s_per_m,
            "thickness": layer.thickness_m,
            "scattering_coefficient": 0.0,
        }


LOADS = """
import json, sys
import numpy as np
from twin.trace import backend
backend.prepare()
from sionna import rt
built = rt.load_scene(sys.argv[1], merge_shapes=False)
built.frequency = float(sys.argv[2])
number = lambda value: float(np.array(value).ravel()[0])
print(json.dumps({name: {
    "corners": np.array(one.mi_mesh.vertex_positions_buffer()).reshape(-1, 3)[
        np.array(one.mi_mesh.faces_buffer()).reshape(-1, 3)].tolist(),
    "material": one.radio_material.name,
    "constants": {
        "relative_permittivity": number(one.radio_material.relative_permittivity),
        "conductivity": number(one.radio_material.conductivity),
        "thickness": number(one.radio_material.thickness),
        "scattering_coefficient": number(one.radio_material.scattering_coefficient),
    },
} for name, one in built.objects.items()}))
"""


def test_sionna_loads_it(tmp_path):
    one = furnished()
    file = export_mitsuba(one, tmp_path / "out")
    # In a process of its own: scenes that are loaded stay in memory.
    ran = subprocess.run(
        [sys.executable, "-c", LOADS, str(file), str(one.frequency_hz)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(ran.stdout)
    named = exported(one)
    assert set(found) == {name for name, _ in named.surfaces}
    for name, surface in named.surfaces:
        corners = surface.vertices[surface.faces]
        assert np.allclose(found[name]["corners"], corners, rtol=0.0, atol=1e-6)
        material = named.materials[surface.material]
        assert found[name]["material"] == material
        assert found[name]["constants"] == pytest.approx(named.constants()[material], rel=1e-6)


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    (tmp_path / "scene.glb").write_bytes(b"kept")
    with pytest.raises(InputError, match="one that holds mine"):
        export_mitsuba(furnished(), tmp_path / "full")
    with pytest.raises(InputError, match="one that is there"):
        export_gltf(furnished(), tmp_path / "scene.glb")
    with pytest.raises(InputError, match=r"ends in \.glb"):
        export_gltf(furnished(), tmp_path / "scene.obj")
    assert (tmp_path / "scene.glb").read_bytes() == b"kept"
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled_and_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    assert export_mitsuba(furnished(), tmp_path / "empty").is_file()
    (tmp_path / "file").write_text("")
    for export, place in (
        (export_mitsuba, tmp_path / "file" / "out"),
        (export_gltf, tmp_path / "file" / "out.glb"),
    ):
        with pytest.raises(InputError, match="a place that can be written"):
            export(furnished(), place)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file"]
