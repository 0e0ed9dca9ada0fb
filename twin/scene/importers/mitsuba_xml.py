"""What an XML file of Mitsuba or Sionna says of shapes and materials, as far as radio needs it.

Files come from strangers: entities are refused, nothing outside the file's folder is read, and
nothing of the file is run. Lights, cameras and looks are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, InputError, refuse
from twin.scene.mesh_files.groups import MAX_TRIANGLES, MeshGroup, refused
from twin.scene.meshes import read_mesh
from twin.scene.read import inside

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MAX_BYTES = 32 * 2**20
_MAX_SHAPES = 20_000
_FILES = ("ply", "obj")
_SHAPES = (*_FILES, "cube", "rectangle")
_RADIO = ("itu-radio-material", "radio-material")
# Of Sionna's materials that name none.
DEFAULT_THICKNESS_M = 0.1

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RadioBsdf:
    """A material of the file.

    Args:
        name: its identifier, without the prefix ``mat-``.
        itu: its name in ITU-R P.2040, where it goes by that.
        constants: relative permittivity and conductivity [S/m], where it goes by those.
        thickness_m: None where the file says nothing about radio at all.
        scattering_coefficient: as Sionna's.
    """

    name: str
    itu: str | None
    constants: tuple[float, float] | None
    thickness_m: float | None
    scattering_coefficient: float


@dataclass(frozen=True)
class Shape:
    """Groups of triangles of one shape, in the world, and its material's number in the file."""

    groups: tuple[MeshGroup, ...]
    material: int | None


def read_scene_xml(file: Path) -> tuple[tuple[Shape, ...], tuple[RadioBsdf, ...]]:
    """Shapes and materials of an XML scene, in its order.

    Shapes are ``ply``, ``obj``, ``cube`` and ``rectangle`` with their transforms; their groups have
    the shape's identifier without the prefix ``mesh-`` for a name.

    Raises:
        InputError: not such a file, entities in it, shapes of other kinds, files outside its
            folder; lists every fault.
    """
    root = _root(file)
    defaults = {f"${node.get('name')}": node.get("value", "") for node in root.iter("default")}
    for node in root.iter():
        for key, value in node.attrib.items():
            if value.startswith("$") and value in defaults:
                node.attrib[key] = defaults[value]
    reader = _Reader(file, root)
    return reader.read()


def _root(file: Path) -> Element:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        if not file.is_file():
            raise refused(str(file), "", "an XML file", "no such file")
        size = file.stat().st_size
        if size > _MAX_BYTES:
            raise refused(str(file), "", f"at most {_MAX_BYTES // 2**20} MiB", f"{size} bytes")
        root: Element = fromstring(file.read_bytes(), forbid_dtd=True)
    except OSError as error:
        raise refused(str(file), "", "a readable XML file", str(error)) from error
    except DefusedXmlException as error:
        cure = "Write out what entities stand for"
        raise refused(str(file), "", "XML without entities", type(error).__name__, cure) from error
    except (ParseError, ValueError, LookupError) as error:
        raise refused(str(file), "", "an XML file", " ".join(str(error).split())) from error
    if root.tag != "scene":
        raise refused(str(file), "", "a scene of Mitsuba or Sionna", f"<{root.tag[:40]}>")
    return root


class _Reader:
    def __init__(self, file: Path, root: Element) -> None:
        self._file, self._where, self._root = file, str(file), root
        self._faults: list[Fault] = []
        self._bsdfs: list[RadioBsdf] = []
        self._numbers: dict[str, int] = {}
        self._triangles = 0

    def read(self) -> tuple[tuple[Shape, ...], tuple[RadioBsdf, ...]]:
        for node in self._root.findall("bsdf"):
            self._add(node)
        nodes = self._root.findall("shape")
        strange = [node.tag for node in self._root if node.tag in ("include", "path", "alias")]
        self._faults += [
            self._fault(tag, "a scene in one file", tag) for tag in sorted(set(strange))
        ]
        if not nodes:
            self._faults.append(self._fault("shape", "at least one shape", "none"))
        if len(nodes) > _MAX_SHAPES:
            found = str(len(nodes))
            self._faults.append(self._fault("shape", f"at most {_MAX_SHAPES} shapes", found))
        refuse(self._faults)
        shapes = []
        for number, node in enumerate(nodes):
            try:
                shapes.append(self._shape(node, number))
            except InputError as error:
                self._faults += error.faults
        refuse(self._faults)
        return tuple(shapes), tuple(self._bsdfs)

    def _fault(self, key: str, expected: str, found: str) -> Fault:
        return Fault(self._where, key, expected, found)

    def _add(self, node: Element) -> int:
        """Number of a material, after it was read."""
        identifier = node.get("id") or node.get("name") or f"material {len(self._bsdfs)}"
        name = identifier.removeprefix("mat-")
        kind = node.get("type", "")
        itu: str | None = None
        constants: tuple[float, float] | None = None
        thickness: float | None = None
        scattering = 0.0
        key = f"bsdf {identifier}"
        named_itu = name.startswith(("itu_", "itu-"))
        if kind in _RADIO or named_itu:
            thickness = self._float(node, "thickness", DEFAULT_THICKNESS_M, key)
            scattering = self._float(node, "scattering_coefficient", 0.0, key)
        if kind == "radio-material" and not named_itu:
            constants = (
                self._float(node, "relative_permittivity", 1.0, key),
                self._float(node, "conductivity", 0.0, key),
            )
        elif thickness is not None:
            itu = self._text(node, "type") or (name[4:] if named_itu else "")
            # Copies of a material in Blender are numbered.
            itu = itu.split(".")[0].replace("-", "_")
            if not itu:
                self._faults.append(self._fault(key, "a string named type", "none"))
        self._bsdfs.append(RadioBsdf(name, itu, constants, thickness, scattering))
        self._numbers.setdefault(identifier, len(self._bsdfs) - 1)
        return len(self._bsdfs) - 1

    def _text(self, node: Element, name: str) -> str:
        for child in node.findall("string"):
            if child.get("name") == name:
                return child.get("value", "")
        return ""

    def _float(self, node: Element, name: str, default: float, key: str) -> float:
        for child in node.findall("float"):
            if child.get("name") == name:
                values = _numbers(child.get("value", ""))
                if len(values) == 1:
                    return values[0]
                fault = self._fault(f"{key}.{name}", "a number", child.get("value", "")[:40])
                self._faults.append(fault)
        return default

    def _shape(self, node: Element, number: int) -> Shape:
        identifier = node.get("id") or node.get("name") or f"shape {number}"
        key = f"shape {identifier}"
        kind = node.get("type", "")
        if kind not in _SHAPES:
            raise refused(self._where, key, "one of " + ", ".join(_SHAPES), kind or "none")
        groups = self._groups(node, kind, key)
        self._triangles += sum(len(group.faces) for group in groups)
        if self._triangles > MAX_TRIANGLES:
            refuse([*self._faults, self._fault(key, f"at most {MAX_TRIANGLES} triangles", "more")])
        matrix = self._matrix(node, key)
        name = identifier.removeprefix("mesh-")
        placed = []
        for group in groups:
            vertices = group.vertices
            if matrix is not None:
                vertices = vertices @ matrix[:3, :3].T + matrix[:3, 3]
            own = name if len(groups) == 1 else f"{name} {group.name}"
            placed.append(MeshGroup(own, "", vertices, group.faces))
        return Shape(tuple(placed), self._material(node, key))

    def _groups(self, node: Element, kind: str, key: str) -> tuple[MeshGroup, ...]:
        if kind in _FILES:
            named = self._text(node, "filename")
            return read_mesh(inside(self._file.parent, named, self._where, f"{key}.filename"))
        square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], dtype=np.float64)
        faces = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
        if kind == "rectangle":
            return (MeshGroup("rectangle", "", square, faces),)
        # Of a cube: each side a square of its own, moved out along its normal.
        top = square + np.array([0.0, 0.0, 1.0])
        sides = [np.roll(top, axis, axis=1) * sign for axis in range(3) for sign in (-1.0, 1.0)]
        corners = np.arange(0, 24, 4, dtype=np.int32)[:, None, None]
        return (MeshGroup("cube", "", np.concatenate(sides), (faces + corners).reshape(-1, 3)),)

    def _material(self, node: Element, key: str) -> int | None:
        """Number of a shape's material: one of its own, or one that it refers to."""
        own = node.find("bsdf")
        if own is not None:
            return self._add(own)
        for child in node.findall("ref"):
            identifier = child.get("id", "")
            if identifier in self._numbers:
                return self._numbers[identifier]
            if child.get("name") in (None, "bsdf"):
                raise refused(self._where, f"{key}.bsdf", "a material of the file", identifier)
        return None

    def _matrix(self, node: Element, key: str) -> Matrix | None:
        """Matrix (4, 4) of a shape's ``to_world``: its steps one after another."""
        found: Matrix | None = None
        for transform in node.findall("transform"):
            if transform.get("name") != "to_world":
                continue
            found = np.eye(4)
            for step in transform:
                matrix = _step(step)
                if matrix is None or not np.isfinite(matrix).all():
                    expected = "translate, rotate, scale or matrix with its numbers"
                    text = " ".join([step.tag, *(f"{k}={v}" for k, v in step.attrib.items())])
                    raise refused(self._where, f"{key}.to_world", expected, text[:80])
                found = matrix @ found
        return found


def _step(node: Element) -> Matrix | None:
    """Matrix (4, 4) of one step of a transform; None where it is not one of those known."""
    numbers = _numbers(node.get("value", ""))
    if node.tag == "matrix":
        # The last row of a matrix says nothing; one of nine numbers has none.
        size = {16: 4, 9: 3}.get(len(numbers))
        if size is None:
            return None
        given = np.array(numbers).reshape(size, size)
        return _affine(given[:3, :3], given[:3, 3] if size == 4 else np.zeros(3))
    if "value" not in node.attrib:
        parts = [_numbers(node.get(axis, "1" if node.tag == "scale" else "0")) for axis in "xyz"]
        numbers = [part[0] for part in parts if len(part) == 1]
    elif len(numbers) == 1 and node.tag == "scale":
        numbers = numbers * 3
    vector = np.array(numbers)
    if len(vector) != 3:
        return None
    steps = {"translate": (np.eye(3), vector), "scale": (np.diag(vector), np.zeros(3))}
    if node.tag == "rotate":
        angle = _numbers(node.get("angle", "0"))
        if len(angle) == 1 and vector.any():
            steps["rotate"] = _about(vector / np.linalg.norm(vector), angle[0]), np.zeros(3)
    return _affine(*steps[node.tag]) if node.tag in steps else None


def _about(axis: Matrix, angle_deg: float) -> Matrix:
    """Rotation (3, 3) about a unit vector, by Rodrigues' formula."""
    x, y, z = axis
    turn = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rad = math.radians(angle_deg)
    return np.asarray(np.eye(3) + math.sin(rad) * turn + (1.0 - math.cos(rad)) * turn @ turn)


def _affine(linear: Matrix, shift: Matrix) -> Matrix:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, shift
    return matrix


def _numbers(text: str) -> list[float]:
    """Numbers of an attribute, with blanks or commas between them; none where one is not."""
    return list(_finite(text.replace(",", " ").split()))


def _finite(words: list[str]) -> Iterator[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        return
    if all(map(math.isfinite, values)):
        yield from values
