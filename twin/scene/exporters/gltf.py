"""A scene as one GLB file, which most viewers and 3-D programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from twin.atomic import write_bytes
from twin.errors import Fault, InputError
from twin.scene.declaration import Scene
from twin.scene.exporters.provenance import Exported, exported
from twin.scene.importers.material_names import from_words

_COLOURS = {
    "brick": (158, 82, 66),
    "ceiling_board": (226, 226, 214),
    "chipboard": (190, 150, 102),
    "concrete": (150, 150, 150),
    "floorboard": (170, 120, 70),
    "glass": (140, 190, 220),
    "marble": (222, 218, 208),
    "medium_dry_ground": (120, 100, 70),
    "metal": (90, 100, 115),
    "plasterboard": (216, 210, 198),
    "plywood": (198, 164, 116),
    "very_dry_ground": (180, 160, 120),
    "wet_ground": (90, 74, 52),
    "wood": (166, 116, 66),
}
_OPAQUE, _CLEAR = 255, 110
_FROM_Z_UP = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=np.float64)


def export_gltf(scene: Scene, path: Path) -> Path:
    """Write a GLB file: a mesh a surface, materials by name, y up as the format has it.

    The declaration, its digest, and constants of the materials at the scene's carrier are in
    ``asset.extras``. Vertices are in single precision, as the format has it.

    Args:
        scene: one that has passed `twin.scene.check`.
        path: of the file, which ends in ``.glb``.

    Returns:
        The file.

    Raises:
        InputError: the path has another ending, is there already or cannot be written, or as
            `twin.scene.geometry.build`.
    """
    if path.suffix.lower() != ".glb" or path.exists():
        found = "one that is there" if path.exists() else path.name
        raise InputError([Fault(str(path), "", "a new file that ends in .glb", found)])
    content = _glb(exported(scene))
    try:
        write_bytes(path, content)
    except OSError as error:
        fault = Fault(str(path), "", "a place that can be written", str(error))
        raise InputError([fault]) from error
    return path


def _glb(found: Exported) -> bytes:
    import trimesh
    from trimesh.exchange.gltf import export_glb
    from trimesh.visual import TextureVisuals

    materials = {name: _material(found, name) for name in found.materials}
    built = trimesh.Scene()
    for name, surface in found.surfaces:
        mesh = trimesh.Trimesh(
            surface.vertices,
            surface.faces,
            visual=TextureVisuals(material=materials[surface.material]),  # type: ignore[no-untyped-call]
            process=False,
        )
        mesh.apply_transform(_FROM_Z_UP)
        built.add_geometry(mesh, node_name=name, geom_name=name)

    def with_provenance(tree: dict[str, Any]) -> None:
        tree["asset"]["extras"] = found.provenance()

    return bytes(
        export_glb(built, include_normals=False, tree_postprocessor=with_provenance)  # type: ignore[no-untyped-call]
    )


def _material(found: Exported, name: str) -> object:
    from trimesh.visual.material import PBRMaterial

    itu = found.scene.materials[name].itu
    look = itu if itu in _COLOURS else from_words(name)[0]
    opacity = _CLEAR if look == "glass" else _OPAQUE
    return PBRMaterial(  # type: ignore[no-untyped-call]
        name=found.materials[name],
        baseColorFactor=[*_COLOURS[look], opacity],
        alphaMode="BLEND" if opacity < _OPAQUE else "OPAQUE",
        metallicFactor=0.0,
        roughnessFactor=0.9,
        doubleSided=True,
    )
