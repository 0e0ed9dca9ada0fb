"""Reader of glTF 2.0 in one file: GLB, or JSON whose buffers stand in it as base64.

Only triangles, the tree of nodes and the names of materials are read. Buffers in other files are
refused: the digest of a scene covers the one file that it names.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.errors import InputError
from twin.scene.mesh_files.groups import MeshGroup, Polygons, as_groups, count_fault, refused
from twin.scene.surfaces import Vertices

_MAX_JSON = 16 * 2**20
_MAX_NODES = 100_000
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942
_FLOAT = 5126
_INDICES = {5121: "<u1", 5123: "<u2", 5125: "<u4"}
_TRIANGLES, _STRIP, _FAN = 4, 5, 6
# Extensions that leave triangles as they are.
_OF_LOOKS = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "KHR_lights_")
_ONE_FILE = "Export it as one uncompressed GLB file"


def read_gltf(data: bytes, where: str) -> tuple[MeshGroup, ...]:
    """Groups of a glTF file: the triangles of each pair of a node and a material.

    A group has the name of its node, else of the node's mesh. Transforms of nodes are applied; axes
    stay those of the file.

    Raises:
        InputError: not such a file, other than one whole file, compressed, or as
            `twin.scene.mesh_files.groups.as_groups`.
    """
    try:
        document, buffers = _opened(data, where)
        file = _File(document, buffers, where)
        return as_groups(where, file.parts())
    except InputError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        found = f"{type(error).__name__}: {error}"[:120]
        raise refused(where, "", "a sound glTF 2.0 file", found) from error


def _opened(data: bytes, where: str) -> tuple[dict[str, Any], list[bytes]]:
    text, binary = data, b""
    if data[:4] == b"glTF":
        chunks: dict[int, bytes] = {}
        at = 12
        while at + 8 <= len(data) and len(chunks) < 2:
            size, kind = struct.unpack_from("<II", data, at)
            if at + 8 + size > len(data):
                raise refused(where, "", "chunks inside the file", "one that ends behind it")
            chunks.setdefault(kind, data[at + 8 : at + 8 + size])
            at += 8 + size
        text, binary = chunks.get(_JSON_CHUNK, b""), chunks.get(_BINARY_CHUNK, b"")
    if len(text) > _MAX_JSON:
        raise refused(where, "", f"at most {_MAX_JSON} bytes of JSON", str(len(text)), _ONE_FILE)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refused(where, "", "a glTF 2.0 file", str(error)[:80]) from error
    if not isinstance(document, dict) or str(document["asset"]["version"]).split(".")[0] != "2":
        raise refused(where, "asset.version", "2.0", str(document)[:80])
    strange = [
        name
        for name in document.get("extensionsRequired", [])
        if not str(name).startswith(_OF_LOOKS)
    ]
    if strange:
        found = ", ".join(map(str, strange))[:80]
        raise refused(where, "extensionsRequired", "none that triangles need", found, _ONE_FILE)
    buffers = []
    for i, buffer in enumerate(document.get("buffers", [])):
        uri = buffer.get("uri")
        if uri is None and i == 0:
            buffers.append(binary)
            continue
        head, _, packed = str(uri).partition("base64,")
        if not head.startswith("data:") or not packed:
            raise refused(
                where, f"buffers.{i}.uri", "a buffer inside the file", str(uri)[:80], _ONE_FILE
            )
        try:
            buffers.append(base64.b64decode(packed, validate=True))
        except binascii.Error as error:
            raise refused(where, f"buffers.{i}.uri", "base64", str(error)) from error
    return document, buffers


class _File:
    def __init__(self, document: dict[str, Any], buffers: list[bytes], where: str) -> None:
        self._document, self._buffers, self._where = document, buffers, where
        self._nodes = document.get("nodes", [])

    def parts(self) -> list[Polygons]:
        """Polygons of every pair of a node and a material."""
        found: dict[tuple[str, str], list[tuple[Vertices, npt.NDArray[np.int64]]]] = {}
        triangles = vertices = 0
        for node, matrix in self._placed():
            if "mesh" not in node:
                continue
            mesh = self._document["meshes"][node["mesh"]]
            name = str(node.get("name") or mesh.get("name") or f"mesh {node['mesh']}")
            for primitive in mesh["primitives"]:
                if primitive.get("mode", _TRIANGLES) < _TRIANGLES:
                    continue  # Points and lines.
                points, faces = self._primitive(primitive)
                triangles, vertices = triangles + len(faces), vertices + len(points)
                fault = count_fault(self._where, triangles, vertices, len(found))
                if fault:
                    raise fault
                place = points @ matrix[:3, :3].T + matrix[:3, 3]
                found.setdefault((name, self._material(primitive)), []).append((place, faces))
        return [_joined(name, material, meshes) for (name, material), meshes in found.items()]

    def _placed(self) -> list[tuple[dict[str, Any], npt.NDArray[np.float64]]]:
        """Nodes of the scene in the order of a walk through its tree, with their transforms."""
        if len(self._nodes) > _MAX_NODES:
            raise refused(self._where, "nodes", f"at most {_MAX_NODES}", str(len(self._nodes)))
        scenes = self._document.get("scenes", [])
        if scenes:
            roots = scenes[self._document.get("scene", 0)].get("nodes", [])
        else:
            children = {child for node in self._nodes for child in node.get("children", [])}
            roots = [i for i in range(len(self._nodes)) if i not in children]
        placed = []
        waiting = [(root, np.eye(4)) for root in reversed(roots)]
        seen: set[int] = set()
        while waiting:
            index, parent = waiting.pop()
            if index in seen:
                raise refused(
                    self._where, f"nodes.{index}", "a tree of nodes", "a second way to it"
                )
            seen.add(index)
            node = self._nodes[index]
            matrix = parent @ _transform(node)
            placed.append((node, matrix))
            waiting += [(child, matrix) for child in reversed(node.get("children", []))]
        return placed

    def _primitive(self, primitive: dict[str, Any]) -> tuple[Vertices, npt.NDArray[np.int64]]:
        """Vertices (v, 3) and triangles (f, 3)."""
        points = self._values(primitive["attributes"]["POSITION"], {_FLOAT: "<f4"}, "VEC3")
        vertices = points.astype(np.float64)
        if "indices" in primitive:
            order = self._values(primitive["indices"], _INDICES, "SCALAR").ravel().astype(np.int64)
        else:
            order = np.arange(len(vertices))
        mode = primitive.get("mode", _TRIANGLES)
        if mode == _TRIANGLES:
            return vertices, order[: len(order) // 3 * 3].reshape(-1, 3)
        if mode == _STRIP:
            faces = np.stack([order[:-2], order[1:-1], order[2:]], axis=1)
            faces[1::2] = faces[1::2, ::-1]
            return vertices, faces
        if mode == _FAN:
            faces = np.stack([order[1:-1], order[2:]], axis=1)
            return vertices, np.column_stack([np.full(len(faces), order[0]), faces])
        raise refused(self._where, "mode", "triangles, a strip or a fan", str(mode))

    def _values(self, index: int, kinds: dict[int, str], shape: str) -> npt.NDArray[np.generic]:
        """Values (n, 1 or 3) of an accessor, a view into its buffer."""
        accessor = self._document["accessors"][index]
        key = f"accessors.{index}"
        kind, count = accessor["componentType"], accessor["count"]
        if kind not in kinds or accessor["type"] != shape or "sparse" in accessor:
            expected = f"{shape} of type {' or '.join(map(str, kinds))}, not sparse"
            raise refused(
                self._where, key, expected, f"{accessor['type']} of type {kind}", _ONE_FILE
            )
        view = self._document["bufferViews"][accessor["bufferView"]]
        buffer = self._buffers[view["buffer"]]
        dtype = np.dtype(kinds[kind])
        width = 3 if shape == "VEC3" else 1
        stride = view.get("byteStride", width * dtype.itemsize)
        inner, start = accessor.get("byteOffset", 0), view.get("byteOffset", 0)
        numbers = (count, stride, inner, start, view["byteLength"])
        if not all(type(number) is int and number >= 0 for number in numbers) or count == 0:
            raise refused(self._where, key, "counts and offsets of at least zero", str(numbers))
        needed = inner + (count - 1) * stride + width * dtype.itemsize
        if needed > view["byteLength"] or start + needed > len(buffer) or stride == 0:
            found = f"{needed} bytes of {min(view['byteLength'], len(buffer))}"
            raise refused(self._where, key, "values inside its buffer", found)
        return np.ndarray((count, width), dtype, buffer, start + inner, (stride, dtype.itemsize))

    def _material(self, primitive: dict[str, Any]) -> str:
        if "material" not in primitive:
            return ""
        number = primitive["material"]
        return str(self._document["materials"][number].get("name") or f"material {number}")


def _joined(
    name: str, material: str, meshes: list[tuple[Vertices, npt.NDArray[np.int64]]]
) -> Polygons:
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in meshes)])
    faces = np.concatenate(
        [faces + start for (_, faces), start in zip(meshes, starts, strict=False)]
    )
    vertices = np.concatenate([vertices for vertices, _ in meshes])
    return Polygons(name, material, vertices, faces.ravel(), np.full(len(faces), 3))


def _transform(node: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Matrix (4, 4) of a node: given column by column, or as translation, rotation and scale."""
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    x, y, z, w = np.array(node.get("rotation", (0.0, 0.0, 0.0, 1.0)), dtype=np.float64)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(node.get("scale", (1.0, 1.0, 1.0)), dtype=np.float64)
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix
