"""Reader of Wavefront OBJ: vertices, polygons, their groups and the names of their materials.

Names of materials count without the MTL file that would describe them, which is not read: what it
says is about looks.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterable

import numpy as np

from twin.errors import Fault, InputError
from twin.scene.mesh_files.groups import MeshGroup, Polygons, as_groups, count_fault, refused

_SHOWN = 5
_CHECK_EVERY = 10_000
_MAX_LINE, _MAX_LINES = 2**20, 10_000_000


def read_obj(data: bytes, where: str) -> tuple[MeshGroup, ...]:
    """Groups of an OBJ file, one for each pair of a group (``g`` or ``o``, the last that was
    named) and a material (``usemtl``), in the order of their first polygons.

    Args:
        data: the file.
        where: its name, for faults.

    Raises:
        InputError: not such a file, or as `twin.scene.mesh_files.groups.as_groups`.
    """
    if b"\0" in data:
        raise refused(where, "", "an OBJ file, which is text", "binary data")
    reader = _Reader(where)
    reader.read(data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" "))
    vertices = np.frombuffer(reader.vertices, dtype=np.float64).reshape(-1, 3)
    parts = [
        Polygons(group, material, vertices, _whole(corners), _whole(counts))
        for (group, material), (corners, counts) in reader.parts.items()
    ]
    return as_groups(where, parts)


def _whole(values: array[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.frombuffer(values, dtype=np.int64)


class _Reader:
    def __init__(self, where: str) -> None:
        self._where = where
        self.vertices = array("d")
        self.parts: dict[tuple[str, str], tuple[array[int], array[int]]] = {}
        self._count = 0
        self._triangles = 0

    def read(self, data: bytes) -> None:
        group, material = "", ""
        faults: list[Fault] = []
        for number, line in enumerate(io.BytesIO(data), start=1):
            if len(line) > _MAX_LINE or number > _MAX_LINES:
                expected = f"at most {_MAX_LINES} lines of at most {_MAX_LINE} bytes"
                raise refused(self._where, f"line {number}", expected, f"{len(line)} bytes")
            key, *words = line.split() or (b"#",)
            try:
                if key == b"v":
                    self._vertex(words)
                elif key == b"f":
                    self._face(group, material, words)
                elif key in (b"g", b"o"):
                    group = _text(words)
                elif key == b"usemtl":
                    material = _text(words)
            except ValueError as error:
                if isinstance(error, InputError):
                    raise
                found = line.decode("utf-8", "replace").strip()[:80]
                faults.append(Fault(self._where, f"line {number}", str(error), found))
                if len(faults) == _SHOWN:
                    break
            if number % _CHECK_EVERY == 0:
                self._bound()
        if faults:
            raise InputError(faults)
        self._bound()

    def _vertex(self, words: list[bytes]) -> None:
        try:
            x, y, z = map(float, words[:3])
        except ValueError as error:
            raise ValueError("three numbers after `v`") from error
        self.vertices.extend((x, y, z))
        self._count += 1

    def _face(self, group: str, material: str, words: list[bytes]) -> None:
        if len(words) < 3:
            raise ValueError("at least three corners after `f`")
        if (group, material) not in self.parts:
            self.parts[group, material] = (array("q"), array("q"))
        corners, counts = self.parts[group, material]
        corners.extend(self._corners(words))
        counts.append(len(words))
        self._triangles += len(words) - 2

    def _corners(self, words: Iterable[bytes]) -> list[int]:
        try:
            numbers = [int(word.partition(b"/")[0]) for word in words]
        except ValueError as error:
            raise ValueError("numbers of vertices after `f`") from error
        # Negative numbers count from the last vertex so far; what is out of range shows later.
        places = [n - 1 if n > 0 else self._count + n for n in numbers]
        if any(n == 0 or place < 0 or n >= 2**40 for n, place in zip(numbers, places, strict=True)):
            raise ValueError("numbers of vertices, from 1 or from -1, after `f`")
        return places

    def _bound(self) -> None:
        fault = count_fault(self._where, self._triangles, self._count, len(self.parts))
        if fault:
            raise fault


def _text(words: list[bytes]) -> str:
    return b" ".join(words).decode("utf-8", "replace")
