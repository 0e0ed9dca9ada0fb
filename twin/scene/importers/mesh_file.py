"""A scene from one mesh file: OBJ, PLY, glTF or GLB."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from twin.errors import refuse
from twin.scene.importers.material_names import guessed
from twin.scene.importers.mesh_scene import Radio, mesh_scene
from twin.scene.importers.scene_folder import folder_faults
from twin.scene.mesh_files.groups import MeshGroup
from twin.scene.meshes import read_mesh

_USUAL = Radio()
_UPWARDS = (".gltf", ".glb")


def import_mesh(
    source: Path,
    to: Path,
    *,
    name: str | None = None,
    radio: Radio = _USUAL,
    scale: float = 1.0,
    y_up: bool | None = None,
) -> Path:
    """Write a scene folder of a mesh file: geometry as one OBJ, materials guessed from their names
    (`twin.scene.importers.material_names`), an access point and receivers where there is room.

    Args:
        source: the file.
        to: the folder; not there yet, or empty.
        name: of the scene; that of the folder where None.
        radio: the carrier and what is sent.
        scale: multiplies the file's lengths: 0.001 for millimetres.
        y_up: whether the file's y points up; where None, as usual for glTF and for nothing else.

    Returns:
        The folder.

    Raises:
        InputError: file missing, unreadable or too large, the folder holds something, or nothing
            can stand in the mesh.
    """
    refuse(folder_faults(to))
    groups = read_mesh(source)
    found = guessed((group.source_material for group in groups), radio.frequency_ghz)
    upwards = source.suffix.lower() in _UPWARDS if y_up is None else y_up
    turn = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]] if upwards else np.eye(3))
    placed = [
        MeshGroup(
            group.name,
            found.names[group.source_material],
            group.vertices @ (turn * scale),
            group.faces,
        )
        for group in groups
    ]
    return mesh_scene(
        to,
        placed,
        found.materials,
        source=source,
        name=name,
        radio=radio,
        origin=f"Imported from the mesh file {source.name}.",
        assumptions=found.assumptions,
    )
