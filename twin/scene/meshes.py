"""Meshes from files of a scene's folder: read once, bounded, and put where the scene says.

A file has to be the one whose digest the scene declares, and is never looked for outside the
scene's folder.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from twin.errors import Fault, Gathered, InputError, refuse
from twin.scene.contents import MeshPart
from twin.scene.mesh_files.gltf import read_gltf
from twin.scene.mesh_files.groups import MAX_BYTES, MeshGroup, refused
from twin.scene.mesh_files.obj import read_obj
from twin.scene.mesh_files.ply import read_ply
from twin.scene.mesh_files.settling import settled
from twin.scene.read import inside
from twin.scene.surfaces import Vertices

__all__ = ["FORMATS", "MeshGroup", "mesh_faults", "mesh_material", "placed_groups", "read_mesh"]

FORMATS = (".obj", ".ply", ".gltf", ".glb")
# Files in memory, of at most `MAX_BYTES` each.
_CACHED = 4
_FARTHEST_M, _SMALLEST_M = 20_000.0, 0.01
_SHOWN = 5
_ARCHIVES = {
    b"PK\x03\x04": "a ZIP archive",
    b"PK\x05\x06": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"Rar!": "a RAR archive",
}


def placed_groups(part: MeshPart, folder: Path | None) -> tuple[MeshGroup, ...]:
    """Groups of a mesh in the scene's coordinates, in the order of the file; triangles are turned
    to face one way and lines are left out, see `twin.scene.mesh_files.settling`.

    Args:
        part: the mesh as declared.
        folder: of the scene.

    Raises:
        InputError: no folder; file missing, outside it, too large, unreadable, or not the one whose
            digest the scene declares.
    """
    groups = _loaded(part, folder, f"mesh {part.name}", "file")
    placed = []
    for group in groups:
        vertices = _placed(part, group.vertices)
        if vertices is not group.vertices:
            vertices.flags.writeable = False
        placed.append(MeshGroup(group.name, group.source_material, vertices, group.faces))
    return tuple(placed)


def mesh_material(part: MeshPart, group: MeshGroup) -> str | None:
    """The scene's material of a group: by its material in the file, else by its name, else the
    part's; None where none of them says.
    """
    for name in (group.source_material, group.name):
        if name in part.materials:
            return part.materials[name]
    return part.material


def mesh_faults(part: MeshPart, folder: Path | None, where: str, key: str) -> list[Fault]:
    """All that is wrong with a mesh, in bounded time and memory; empty where it is sound.

    Args:
        part: the mesh as declared.
        folder: of the scene.
        where: file of the scene.
        key: of the mesh in it, such as ``meshes.hall``.
    """
    faults: list[Fault] = []
    groups: tuple[MeshGroup, ...] = ()
    with Gathered(faults):
        groups = _loaded(part, folder, where, f"{key}.file")
    if not groups:
        return faults
    named = {name for group in groups for name in (group.source_material, group.name)}
    listed = _listed(sorted(named - {""}))
    faults += [
        Fault(where, f"{key}.materials.{name}", f"a material or group of the file ({listed})", name)
        for name in part.materials
        if name not in named
    ]
    bare = [group.name for group in groups if mesh_material(part, group) is None]
    if bare:
        cure = "Give `material` for all the rest"
        expected = "a material for every group"
        faults.append(Fault(where, f"{key}.materials", expected, f"none for {_listed(bare)}", cure))
    corners = np.concatenate(
        [(group.vertices.min(axis=0), group.vertices.max(axis=0)) for group in groups]
    )
    extent = float((corners.max(axis=0) - corners.min(axis=0)).max()) * part.scale
    if not _SMALLEST_M <= extent <= _FARTHEST_M:
        cure = "Is the file in mm or inches? `scale` multiplies its lengths"
        expected = f"an extent of {_SMALLEST_M:g} to {_FARTHEST_M:g} m"
        faults.append(Fault(where, f"{key}.scale", expected, f"{extent:g} m", cure))
    else:
        farthest = float(np.abs(_placed(part, corners)).max())
        if farthest > _FARTHEST_M:
            expected = f"a mesh within {_FARTHEST_M:g} m of the origin"
            cure = "`position_m` moves it"
            faults.append(Fault(where, f"{key}.position_m", expected, f"{farthest:g} m away", cure))
    return faults


def read_mesh(file: Path) -> tuple[MeshGroup, ...]:
    """Groups of any mesh file as they are in it, in its own lengths and axes.

    Raises:
        InputError: missing, too large or unreadable.
    """
    return _read(_content(file), file)


def _loaded(part: MeshPart, folder: Path | None, where: str, key: str) -> tuple[MeshGroup, ...]:
    if folder is None:
        expected = "a scene with a folder, that its meshes are in"
        raise refused(where, key, expected, "a scene without one")
    file = inside(folder, part.file, where, key)
    try:
        status = file.stat()
    except OSError as error:
        raise refused(where, key, "a readable file", str(error)[:120]) from error
    try:
        return _cached(file, status.st_size, status.st_mtime_ns, part.sha256, part.scale)
    except InputError as error:
        refuse(
            Fault(where, key, fault.expected, _found(fault), fault.cure) for fault in error.faults
        )
        raise


def _found(fault: Fault) -> str:
    return f"{fault.found} ({fault.key})" if fault.key else fault.found


@lru_cache(maxsize=_CACHED)
def _cached(
    file: Path, _size: int, _changed: int, sha256: str, scale: float
) -> tuple[MeshGroup, ...]:
    data = _content(file)
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        cure = f"If this is the file you mean, write sha256: {digest}"
        raise refused(file.name, "", f"the file of SHA-256 {sha256}", f"one of {digest}", cure)
    groups = settled(_read(data, file), scale)
    if not groups:
        raise refused(file.name, "", "triangles with an area", "none but lines")
    return groups


def _content(file: Path) -> bytes:
    if file.suffix.lower() not in FORMATS:
        raise refused(str(file), "", "a mesh, " + ", ".join(FORMATS), file.suffix or file.name)
    try:
        # Anything else, such as a pipe, would keep a reader waiting.
        if not file.is_file():
            raise refused(str(file), "", "a file", "something else, or nothing")
        size = file.stat().st_size
        data = b""
        if size <= MAX_BYTES:
            with file.open("rb") as opened:
                data = opened.read(size + 1)
    except OSError as error:
        raise refused(str(file), "", "a readable file", str(error)) from error
    if max(size, len(data)) > MAX_BYTES:
        cure = "Simplify the mesh, or split it into several files"
        found = f"{max(size, len(data)) / 2**20:.0f} MiB"
        raise refused(str(file), "", f"at most {MAX_BYTES // 2**20} MiB", found, cure)
    for start, what in _ARCHIVES.items():
        if data.startswith(start):
            raise refused(str(file), "", "a mesh as it is", what, "Unpack it first")
    return data


def _read(data: bytes, file: Path) -> tuple[MeshGroup, ...]:
    suffix = file.suffix.lower()
    if suffix == ".obj":
        return read_obj(data, str(file))
    if suffix == ".ply":
        return read_ply(data, str(file), file.stem)
    return read_gltf(data, str(file))


def _placed(part: MeshPart, vertices: Vertices) -> Vertices:
    placed = vertices
    if part.y_up:
        placed = placed[:, [0, 2, 1]] * (1.0, -1.0, 1.0)
    if part.scale != 1.0:
        placed = placed * part.scale
    if part.yaw_deg != 0.0:
        yaw = np.deg2rad(part.yaw_deg)
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        placed = np.column_stack([placed[:, :2] @ turn.T, placed[:, 2]])
    if any(part.position_m):
        placed = placed + np.array(part.position_m)
    return placed


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more
