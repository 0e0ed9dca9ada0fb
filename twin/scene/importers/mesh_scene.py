"""A scene folder of groups of triangles: what the importers of meshes share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twin.errors import Fault, InputError, refuse
from twin.scene.declaration import SCHEMA
from twin.scene.importers.buried import without_buried
from twin.scene.importers.material_names import part_name
from twin.scene.importers.scene_folder import folder_faults, write_scene_folder
from twin.scene.importers.standing import CLEAR_M, Standing, standing
from twin.scene.mesh_files.groups import MAX_BYTES, MeshGroup, cleaned, unique
from twin.scene.mesh_files.obj_writer import obj_text
from twin.scene.mesh_files.settling import settled
from twin.scene.triangles import corners_of

MESH_FILE = "meshes/imported.obj"
PART = "imported"
# Of vertices [m] as they are written: the same again after any number of exports and imports.
DIGITS = 6
_REACH_M, _HIGHEST_M = 9_000.0, 600.0
_MARGIN_M = 0.1


@dataclass(frozen=True)
class Radio:
    """What a mesh does not say: the carrier and what is sent.

    Args:
        frequency_ghz: carrier.
        bandwidth_mhz: of the channel.
        subcarriers: of CSI.
        power_dbm: of the access point.
    """

    frequency_ghz: float = 5.25
    bandwidth_mhz: float = 80.0
    subcarriers: int = 64
    power_dbm: float = 20.0


def mesh_scene(
    to: Path,
    groups: Sequence[MeshGroup],
    materials: Mapping[str, Mapping[str, Any]],
    *,
    source: Path,
    name: str | None,
    radio: Radio,
    origin: str,
    assumptions: Sequence[str],
) -> Path:
    """Write a scene of one mesh, an access point and a grid of receivers.

    Args:
        to: the folder; not there yet, or empty.
        groups: in metres, z up; `source_material` names one of `materials`.
        materials: content of the scene's ``materials``.
        source: the file that was read, for the README.
        name: of the scene; that of the folder where None.
        radio: the carrier and what is sent.
        origin: where the groups come from, in words.
        assumptions: what was guessed so far.

    Returns:
        The folder.

    Raises:
        InputError: the folder holds something, there is no room for an access point, or as
            `twin.scene.check`.
    """
    refuse(folder_faults(to))
    notes = list(assumptions)
    groups, buried = without_buried(_writable(groups, notes, str(source)))
    if buried:
        notes.append(
            f"{buried} triangles that lie in the plane of the level floor or ground under them are "
            "left out."
        )
    groups, places = _standing(groups, str(source))
    if min(places.height_m, places.access_point[2]) < 0.0:
        lift = np.array([0.0, 0.0, round(1.5 - places.height_m, DIGITS)])
        notes.append(f"Lifted by {lift[2]:g} m, so that receivers stand above z = 0.")
        groups = _writable([_moved(group, lift) for group in groups], [], str(source))
        groups, places = _standing(groups, str(source))
    mesh = obj_text(groups, DIGITS).encode()
    if len(mesh) > MAX_BYTES:
        expected = f"a scene whose mesh is at most {MAX_BYTES // 2**20} MiB as OBJ"
        found = f"{len(mesh) / 2**20:.0f} MiB"
        cure = "Simplify the mesh, or import it in parts"
        raise InputError([Fault(str(source), "", expected, found, cure)])
    title = (name or scene_name(to.name)).replace("_", " ")
    content = {
        "schema": SCHEMA,
        "name": name or scene_name(to.name),
        "title": f"{title}, imported from {source.name}",
        "source": origin,
        "assumptions": [*notes, *_stands(places)],
        "frequency_ghz": radio.frequency_ghz,
        "bandwidth_mhz": radio.bandwidth_mhz,
        "subcarriers": radio.subcarriers,
        "materials": {key: dict(value) for key, value in materials.items()},
        "meshes": [
            {
                "name": PART,
                "file": MESH_FILE,
                "sha256": hashlib.sha256(mesh).hexdigest(),
                "materials": {
                    material: material
                    for material in dict.fromkeys(group.source_material for group in groups)
                },
            }
        ],
        **_devices(places, radio),
    }
    return write_scene_folder(to, content, _readme(content, source), {MESH_FILE: mesh})


def scene_name(text: str) -> str:
    """A text as the name of a scene."""
    plain = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")[:50]
    return plain if re.match(r"[a-z]", plain) else f"scene_{plain}".rstrip("_")


def sha256_of(file: Path) -> str:
    """SHA-256 (hex) of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _writable(groups: Sequence[MeshGroup], notes: list[str], where: str) -> list[MeshGroup]:
    """Groups as they can be written: names of a scene's parts, each its own; vertices rounded and
    within reach of the origin; no triangle that rounding took the area of.
    """
    corners = np.concatenate(
        [(group.vertices.min(axis=0), group.vertices.max(axis=0)) for group in groups]
    )
    height = float(np.ptp(corners[:, 2]))
    if height > _HIGHEST_M:
        expected = f"a mesh at most {_HIGHEST_M:g} m high"
        cure = "Is the file in millimetres? Give a scale"
        raise InputError([Fault(where, "", expected, f"{height:g} m", cure)])
    if np.abs(corners).max() > _REACH_M:
        middle = np.round((corners.min(axis=0) + corners.max(axis=0)) / 2.0, 0)
        middle[2] = np.round(corners[:, 2].min(), 0) if np.abs(corners[:, 2]).max() > 500.0 else 0.0
        shift = ", ".join(f"{-value:g}" for value in middle)
        notes.append(f"Moved by ({shift}) m, to the origin.")
        groups = [_moved(group, -middle) for group in groups]
    used: set[str] = set()
    kept = []
    for group in groups:
        found = cleaned(np.round(group.vertices, DIGITS) + 0.0, group.faces)
        if found is not None:
            name = unique(part_name(group.name), used, "_")
            kept.append(MeshGroup(name, group.source_material, *found))
    if not kept:
        raise InputError([Fault(where, "", "triangles with an area in metres", "none")])
    return kept


def _standing(groups: Sequence[MeshGroup], where: str) -> tuple[list[MeshGroup], Standing]:
    """Groups as a tracer takes them, and what can stand among them."""
    groups = settled(groups)
    if not groups:
        raise InputError([Fault(where, "", "triangles with an area in metres", "none")])
    corners = corners_of((group.vertices, group.faces) for group in groups)
    return list(groups), standing(corners, where)


def _moved(group: MeshGroup, by: np.ndarray[tuple[int], np.dtype[np.float64]]) -> MeshGroup:
    return MeshGroup(group.name, group.source_material, group.vertices + by, group.faces)


def _stands(places: Standing) -> list[str]:
    where = "between floor and ceiling" if places.indoors else "under the open sky"
    stand = (
        f"Access point and receivers stand where the import found room, {where} and {CLEAR_M:g} m "
        "clear of everything; the source has none."
    )
    return [
        stand,
        "Carrier, bandwidth, transmit power and the isotropic antenna are assumed.",
    ]


def _devices(places: Standing, radio: Radio) -> dict[str, Any]:
    west, south, east, north = places.area
    # The points stay the same ones: the next of the grid are further out.
    out = min(_MARGIN_M, places.pitch_m / 4.0)
    west, south, east, north = (
        round(value, 3) for value in (west - out, south - out, east + out, north + out)
    )
    return {
        "access_points": [
            {
                "name": "AP1",
                "position_m": list(places.access_point),
                "power_dbm": radio.power_dbm,
                "pattern": "iso",
            }
        ],
        "receivers": [
            {
                "name": "grid",
                "kind": "grid",
                "area_m": [[west, south], [east, south], [east, north], [west, north]],
                "pitch_m": places.pitch_m,
                "height_m": places.height_m,
            }
        ],
    }


def _readme(content: Mapping[str, Any], source: Path) -> str:
    notes = "\n".join(f"- {note}" for note in content["assumptions"])
    return (
        f"# {content['title']}\n\n"
        f"{content['source']}\n\n"
        f"- **Source file**: `{source.name}`, SHA-256 `{sha256_of(source)}`.\n"
        f"- **Geometry**: `{MESH_FILE}`, written by the import; its terms are the source's.\n"
        "\n## Assumed\n\n"
        f"{notes}\n"
    )
