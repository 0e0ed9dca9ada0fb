"""Reader of Stanford PLY: text, little-endian and big-endian.

The header says how many rows follow. It is believed only as far as the file is long enough for
them, before any memory is taken.
"""

from __future__ import annotations

import io
import struct
from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.scene.mesh_files.groups import (
    MAX_TRIANGLES,
    MAX_VERTICES,
    Indices,
    MeshGroup,
    Polygons,
    as_groups,
    refused,
)

_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
_FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_FACES = ("vertex_indices", "vertex_index")
_MAX_HEADER = 64 * 1024
# A number and the blank or the line's end behind it.
_LEAST_TEXT = 2

Column = npt.NDArray[Any]


@dataclass(frozen=True)
class _Property:
    """A column; `length` is the type of the number before a list, empty for a single value."""

    name: str
    kind: str
    length: str = ""


@dataclass(frozen=True)
class _Element:
    name: str
    rows: int
    properties: list[_Property] = field(default_factory=list)


def read_ply(data: bytes, where: str, name: str) -> tuple[MeshGroup, ...]:
    """The one group of a PLY file, which has no material.

    Args:
        data: the file.
        where: its name, for faults.
        name: of the group.

    Raises:
        InputError: not such a file, shorter than its header says, or as
            `twin.scene.mesh_files.groups.as_groups`.
    """
    order, elements, start = _header(data, where)
    sizes = {element.name: element.rows for element in elements}
    for element, most in (("vertex", MAX_VERTICES), ("face", MAX_TRIANGLES)):
        if element not in sizes:
            raise refused(where, "header", f"an element {element!r}", ", ".join(sizes) or "none")
        if sizes[element] > most:
            raise refused(where, "header", f"at most {most} rows of {element!r}", "more")
    least = sum(element.rows * _least(element, order) for element in elements)
    if least > len(data) - start:
        raise refused(
            where,
            "header",
            f"a file of the size that its header asks for ({least} bytes after it, or more)",
            f"{len(data) - start} bytes",
        )
    body = _Binary(data, start, order, where) if order else _Text(data, start, where)
    columns: dict[str, tuple[Column, Indices]] = {}
    for part in elements:
        for key, found in body.rows(part).items():
            if part.name == "vertex" and key in ("x", "y", "z"):
                columns[key] = found
            elif part.name == "face" and key in _FACES:
                columns["corners"] = found
    if not columns.keys() >= {"x", "y", "z", "corners"}:
        names = ", ".join(p.name for element in elements for p in element.properties)
        raise refused(where, "header", f"x, y, z and a list {_FACES[0]}", names or "no property")
    vertices = np.stack([columns[axis][0] for axis in "xyz"], axis=1).astype(np.float64)
    corners, counts = columns["corners"]
    if len(counts) and counts.min() < 3:
        raise refused(where, "face", "at least three corners each", f"one of {counts.min()}")
    if corners.dtype.kind == "f":
        # Text was read as numbers of any kind.
        whole = np.isfinite(corners) & (np.abs(corners) < 2**40) & (corners == np.floor(corners))
        if not whole.all():
            raise refused(where, "face", "whole numbers of vertices", "others")
    return as_groups(where, [Polygons(name, "", vertices, corners.astype(np.int64), counts)])


def _header(data: bytes, where: str) -> tuple[str, list[_Element], int]:
    end = data.find(b"end_header", 0, _MAX_HEADER)
    stop = data.find(b"\n", end, end + 16) + 1
    if data[:3] != b"ply" or end < 0 or stop == 0:
        raise refused(where, "", "a PLY file with a whole header", "none")
    order: str | None = None
    elements: list[_Element] = []
    for line in data[:end].decode("ascii", "replace").splitlines()[1:]:
        try:
            match line.split():
                case ["format", name, _]:
                    order = _FORMATS[name]
                case ["element", name, rows]:
                    if not rows.isdigit():
                        raise ValueError(rows)
                    elements.append(_Element(name, int(rows)))
                case ["property", "list", length, kind, name]:
                    elements[-1].properties.append(_Property(name, _TYPES[kind], _TYPES[length]))
                case ["property", kind, name]:
                    elements[-1].properties.append(_Property(name, _TYPES[kind]))
                case [] | ["comment" | "obj_info", *_]:
                    pass
                case _:
                    raise ValueError(line)
        except (KeyError, IndexError, ValueError) as error:
            raise refused(where, "header", "lines of the PLY format", line[:80]) from error
    if order is None:
        raise refused(where, "header", "a format, " + " or ".join(_FORMATS), "none")
    twice = len({element.name for element in elements}) < len(elements)
    if twice or any(not element.properties for element in elements if element.rows):
        raise refused(where, "header", "elements named once, each with properties", "others")
    return order, elements, stop


def _least(element: _Element, order: str) -> int:
    """Bytes that a row has at least."""
    if not order:
        return _LEAST_TEXT * len(element.properties)
    return sum(np.dtype(p.length or p.kind).itemsize for p in element.properties)


class _Binary:
    def __init__(self, data: bytes, start: int, order: str, where: str) -> None:
        self._data, self._at, self._order, self._where = data, start, order, where

    def rows(self, element: _Element) -> dict[str, tuple[Column, Indices]]:
        """Values of each property, those of lists one after another, and lengths of its lists."""
        found = self._alike(element)
        return self._one_by_one(element) if found is None else found

    def _alike(self, element: _Element) -> dict[str, tuple[Column, Indices]] | None:
        """As `rows` where every row has lists of the same lengths as the first; else None."""
        fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
        at, lengths = self._at, []
        for i, p in enumerate(element.properties):
            if p.length:
                size = np.dtype(p.length).itemsize
                if element.rows == 0 or at + size > len(self._data):
                    return None
                length = int(np.frombuffer(self._data, self._order + p.length, 1, at)[0])
                if not 0 <= length <= len(self._data):
                    return None
                lengths.append((i, length))
                fields.append((f"n{i}", self._order + p.length))
                fields.append((f"v{i}", self._order + p.kind, (length,)))
                at += size + length * np.dtype(p.kind).itemsize
            else:
                fields.append((f"v{i}", self._order + p.kind))
                at += np.dtype(p.kind).itemsize
        if self._at + element.rows * (at - self._at) > len(self._data):
            return None
        table = np.frombuffer(self._data, np.dtype(fields), element.rows, self._at)
        if any((table[f"n{i}"] != length).any() for i, length in lengths):
            return None
        self._at += table.nbytes
        return {
            p.name: (
                table[f"v{i}"].ravel(),
                np.full(element.rows, dict(lengths).get(i, 1), dtype=np.int64),
            )
            for i, p in enumerate(element.properties)
        }

    def _one_by_one(self, element: _Element) -> dict[str, tuple[Column, Indices]]:
        values: list[list[bytes]] = [[] for _ in element.properties]
        lengths = [array("q") for _ in element.properties]
        sizes = [np.dtype(p.kind).itemsize for p in element.properties]
        heads = [
            struct.Struct((self._order or "<") + np.dtype(p.length).char) if p.length else None
            for p in element.properties
        ]
        at = self._at
        for row in range(element.rows):
            for i, head in enumerate(heads):
                count = 1
                if head is not None and at + head.size <= len(self._data):
                    count = int(head.unpack_from(self._data, at)[0])
                    at += head.size
                stop = at + count * sizes[i]
                if count < 0 or stop > len(self._data):
                    raise refused(
                        self._where,
                        f"{element.name} {row}",
                        "rows inside the file",
                        "one that goes on behind its end",
                    )
                values[i].append(self._data[at:stop])
                lengths[i].append(count)
                at = stop
        self._at = at
        return {
            p.name: (
                np.frombuffer(b"".join(values[i]), self._order + p.kind),
                np.frombuffer(lengths[i], dtype=np.int64),
            )
            for i, p in enumerate(element.properties)
        }


class _Text:
    def __init__(self, data: bytes, start: int, where: str) -> None:
        self._lines = (line for line in io.BytesIO(data[start:]) if line.strip())
        self._where = where

    def rows(self, element: _Element) -> dict[str, tuple[Column, Indices]]:
        """As `_Binary.rows`."""
        values = [array("d") for _ in element.properties]
        lengths = [array("q") for _ in element.properties]
        for row in range(element.rows):
            words = next(self._lines, b"").split()
            try:
                at = 0
                for i, p in enumerate(element.properties):
                    count = 1
                    if p.length:
                        count, at = int(words[at]), at + 1
                    if not 0 <= count <= len(words) - at:
                        raise ValueError("too few numbers")
                    values[i].extend(map(float, words[at : at + count]))
                    lengths[i].append(count)
                    at += count
            except (ValueError, IndexError) as error:
                names = " ".join(p.name for p in element.properties)
                found = b" ".join(words).decode("ascii", "replace")[:80] or "nothing"
                place = f"{element.name} {row}"
                raise refused(self._where, place, f"a line of {names}", found) from error
        return {
            p.name: (
                np.frombuffer(values[i], dtype=np.float64),
                np.frombuffer(lengths[i], dtype=np.int64),
            )
            for i, p in enumerate(element.properties)
        }
