"""A Sionna scene seen as mirrors: rays against its triangles, answers in planes.

The inside of sionna-rt is used (`twin.trace.backend.PINS`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from twin.trace import backend
from twin.trace.surfaces import Planes, find_planes

backend.prepare()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
from sionna import rt  # noqa: E402
from sionna.rt.constants import EPSILON_FLOAT  # noqa: E402

# A plane that no ray can hit: what a path without a next reflection waits for.
NO_PLANE = 0xFFFFFFFF
_ALIGNMENT = 64

_Vector = TypeVar("_Vector", mi.Point3f, mi.Vector3f, mi.Vector2f)


@dataclass(frozen=True)
class Hit:
    """Where rays meet the scene first; entries of rays that meet nothing are undefined.

    Args:
        found: whether a ray meets anything.
        distance: [m].
        point, normal: of the triangle met.
        shape, primitive: as Sionna's buffers name a triangle.
        plane: index into `Planes`.
    """

    found: mi.Bool
    distance: mi.Float
    point: mi.Point3f
    normal: mi.Vector3f
    shape: mi.UInt
    primitive: mi.UInt
    plane: mi.UInt


class Mirrors:
    """The triangles of a Sionna scene and the planes they lie on, on the tracing device.

    Args:
        built: the scene. Its geometry must not change while this is in use.
    """

    def __init__(self, built: rt.Scene) -> None:
        self._scene = built.mi_scene
        triangles, first, shape, primitive = _triangles(built)
        self._shape_of_triangle, self._primitive_of_triangle = shape, primitive
        self.planes: Planes = find_planes(triangles)
        self._first_of_shape = integers(first)
        self._plane_of_triangle = integers(_readable(self.planes.of_triangle))
        self._normal = _vectors(mi.Vector3f, _readable(self.planes.normal))
        self._offset = floats(_readable(self.planes.offset))
        self._axis_u = _vectors(mi.Vector3f, _readable(self.planes.axes[:, 0]))
        self._axis_v = _vectors(mi.Vector3f, _readable(self.planes.axes[:, 1]))
        # Half a millimetre more than float32 may be off: rays decide, this only spares them.
        slack = 1e-3 + 1e-5 * float(np.abs(triangles).max(initial=0.0))
        self._low = _vectors(mi.Vector2f, _readable(self.planes.low - slack))
        self._high = _vectors(mi.Vector2f, _readable(self.planes.high + slack))

    def first_hit(self, ray: mi.Ray3f, active: mi.Bool | bool = True) -> Hit:
        """Nearest triangle on each active ray."""
        # Followed together ("coherent"), rays that meet a rim between two triangles would get one
        # or the other depending on their neighbours, and results on the batch.
        met = self._scene.ray_intersect(
            ray, ray_flags=mi.RayFlags.Minimal, coherent=False, active=active
        )
        found = met.is_valid() & active
        shape = mi.UInt(dr.reinterpret_array(mi.UInt, met.shape))
        triangle = dr.gather(mi.UInt, self._first_of_shape, shape, found) + met.prim_index
        plane = dr.gather(mi.UInt, self._plane_of_triangle, triangle, found)
        return Hit(found, met.t, met.p, mi.Vector3f(met.n), shape, met.prim_index, plane)

    def names(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Shape (t,) and primitive (t,) of all triangles, as Sionna's buffers name them."""
        return self._shape_of_triangle, self._primitive_of_triangle

    def plane_of(self, shape: mi.UInt, primitive: mi.UInt) -> mi.UInt:
        """The planes of triangles, as Sionna's buffers name them."""
        triangle = dr.gather(mi.UInt, self._first_of_shape, shape) + primitive
        return dr.gather(mi.UInt, self._plane_of_triangle, triangle)

    def plane(self, index: mi.UInt, active: mi.Bool | bool = True) -> tuple[mi.Vector3f, mi.Float]:
        """Normal and offset of planes."""
        return (
            dr.gather(mi.Vector3f, self._normal, index, active),
            dr.gather(mi.Float, self._offset, index, active),
        )

    def inside_box(self, index: mi.UInt, point: mi.Point3f, active: mi.Bool) -> mi.Bool:
        """Whether a point on a plane lies in the box around the plane's triangles."""
        place = mi.Vector3f(point)
        u = dr.dot(dr.gather(mi.Vector3f, self._axis_u, index, active), place)
        v = dr.dot(dr.gather(mi.Vector3f, self._axis_v, index, active), place)
        low = dr.gather(mi.Vector2f, self._low, index, active)
        high = dr.gather(mi.Vector2f, self._high, index, active)
        return mi.Bool((u >= low.x) & (u <= high.x) & (v >= low.y) & (v <= high.y))


def move_off(point: mi.Point3f, normal: mi.Vector3f, towards: mi.Vector3f) -> mi.Point3f:
    """Points moved off their surface to the side a direction leads to, past float32's grain."""
    reach = (1.0 + dr.max(dr.abs(point), axis=0)) * EPSILON_FLOAT
    off = dr.mulsign(reach, dr.dot(normal, towards))  # type: ignore[no-untyped-call]
    moved: mi.Point3f = point + off * normal
    return moved


def height(point: mi.Point3f, normal: mi.Vector3f, offset: mi.Float) -> mi.Float:
    """Distance [m] of points from planes, positive on the side that the normal points to."""
    return mi.Float(dr.dot(normal, mi.Vector3f(point))) - offset


def to_device(points: npt.NDArray[np.floating]) -> mi.Point3f:
    """Points (n, 3) on the tracing device."""
    return _vectors(mi.Point3f, points)


def vectors(values: npt.NDArray[np.floating]) -> mi.Vector3f:
    """Vectors (n, 3) on the tracing device."""
    return _vectors(mi.Vector3f, values)


def _vectors(kind: type[_Vector], values: npt.NDArray[np.floating]) -> _Vector:
    # Given a whole array, Dr.Jit would write its length into every kernel that reads it.
    return kind(*[floats(column) for column in values.T])


def floats(values: npt.NDArray[np.floating]) -> mi.Float:
    """Numbers (n,) on the tracing device."""
    return mi.Float(_aligned(values, np.float32))


def integers(values: npt.NDArray[np.integer]) -> mi.UInt:
    """Whole numbers (n,), zero or greater, on the tracing device."""
    return mi.UInt(_aligned(values, np.uint32))


def _readable(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values (n, ...) themselves; of free space, which has none, one that no ray asks for.

    Dr.Jit reads from no empty array, even where nothing is asked for.
    """
    return values if len(values) else np.zeros((1, *values.shape[1:]), dtype=values.dtype)


def _aligned(values: npt.NDArray[Any], kind: type) -> npt.NDArray[Any]:
    """A copy that starts where Dr.Jit's own arrays do.

    Dr.Jit reads NumPy's memory in place, and compiles a kernel anew for one that starts elsewhere.
    """
    size = values.size * np.dtype(kind).itemsize
    memory = np.empty(size + _ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copy: npt.NDArray[Any] = memory[start : start + size].view(kind)
    copy[:] = values
    return copy


def _triangles(
    built: rt.Scene,
) -> tuple[
    npt.NDArray[np.float32],
    npt.NDArray[np.uint32],
    npt.NDArray[np.uint32],
    npt.NDArray[np.uint32],
]:
    """The triangles of a scene, t of them.

    Returns:
        Corners (t, 3, 3) [m], the index of the first triangle of each shape number, and shape
        number (t,) and primitive (t,) of each triangle.
    """
    corners = [np.zeros((0, 3, 3), dtype=np.float32)]
    numbers: list[int] = []
    counts: list[int] = []
    for shape in built.mi_scene.shapes():
        vertices = np.array(shape.vertex_position(dr.arange(mi.UInt, shape.vertex_count()))).T
        faces = np.array(shape.face_indices(dr.arange(mi.UInt, shape.face_count()))).T
        corners.append(vertices.astype(np.float32)[faces])
        numbers.append(int(mi.UInt(dr.reinterpret_array(mi.UInt, mi.ShapePtr(shape)))[0]))
        counts.append(len(faces))
    starts = np.cumsum([0, *counts])[:-1]
    first = np.zeros(max(numbers, default=0) + 1, dtype=np.uint32)
    first[numbers] = starts
    return (
        np.concatenate(corners),
        first,
        np.repeat(np.array(numbers, dtype=np.uint32), counts),
        (np.arange(sum(counts)) - np.repeat(starts, counts)).astype(np.uint32),
    )
