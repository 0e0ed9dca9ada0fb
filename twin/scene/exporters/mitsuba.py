"""A scene as an XML file of Mitsuba with Sionna's radio materials, and a PLY file a surface.

`sionna.rt.load_scene(folder / "scene.xml", merge_shapes=False)` gives an object for every surface.
Vertices are written in double precision, so that nothing is lost; Mitsuba reads them as single.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from twin.errors import Fault, InputError, refuse
from twin.scene.declaration import Scene
from twin.scene.exporters.provenance import Exported, exported
from twin.scene.importers.scene_folder import folder_faults
from twin.scene.surfaces import Surface

SCENE_FILE, PROVENANCE_FILE, MESHES = "scene.xml", "scene.json", "meshes"


def export_mitsuba(scene: Scene, folder: Path) -> Path:
    """Write ``scene.xml``, its meshes and ``scene.json``, which holds the declaration, its digest
    and what the names stand for.

    Materials are constants at the scene's carrier, and stay those at any other: a scene for another
    carrier is exported anew. Access points and receivers are in ``scene.json`` only.

    Args:
        scene: one that has passed `twin.scene.check`.
        folder: not there yet, or empty.

    Returns:
        The XML file.

    Raises:
        InputError: the folder holds something or cannot be written, or as
            `twin.scene.geometry.build`.
    """
    refuse(folder_faults(folder))
    found = exported(scene)
    provenance = json.dumps(found.provenance(), indent=1, allow_nan=False) + "\n"
    files = {f"{MESHES}/{name}.ply": ply_bytes(surface) for name, surface in found.surfaces}
    _write(folder, {**files, PROVENANCE_FILE: provenance.encode(), SCENE_FILE: _xml(found)})
    return folder / SCENE_FILE


def ply_bytes(surface: Surface) -> bytes:
    """A surface as a little-endian PLY file in double precision."""
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(surface.vertices)}\n"
        "property double x\nproperty double y\nproperty double z\n"
        f"element face {len(surface.faces)}\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    faces = np.empty(len(surface.faces), dtype=[("count", "u1"), ("corners", "<i4", (3,))])
    faces["count"], faces["corners"] = 3, surface.faces
    return header.encode("ascii") + surface.vertices.astype("<f8").tobytes() + faces.tobytes()


def _xml(found: Exported) -> bytes:
    root = ET.Element("scene", version="2.1.0")
    digest = found.provenance()["scene_digest"]
    root.append(ET.Comment(f" fingertwin scene {digest}, see {PROVENANCE_FILE} "))
    for name, constants in found.constants().items():
        bsdf = ET.SubElement(root, "bsdf", type="radio-material", id=f"mat-{name}")
        for key, value in constants.items():
            ET.SubElement(bsdf, "float", name=key, value=repr(value))
    for name, surface in found.surfaces:
        shape = ET.SubElement(root, "shape", type="ply", id=f"mesh-{name}")
        ET.SubElement(shape, "string", name="filename", value=f"{MESHES}/{name}.ply")
        ET.SubElement(shape, "boolean", name="face_normals", value="true")
        material = f"mat-{found.materials[surface.material]}"
        ET.SubElement(shape, "ref", id=material, name="bsdf")
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """The folder with these files, or no folder."""
    folder = folder.resolve()
    part: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        part.chmod(0o755)  # Temporary folders are closed to others; this one stays.
        (part / MESHES).mkdir()
        for name, content in files.items():
            (part / name).write_bytes(content)
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    except OSError as error:
        fault = Fault(str(folder), "", "a place that can be written", str(error))
        raise InputError([fault]) from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
