"""From the declaration to triangles.

Every wall is one sheet: its thickness lives in the material, so a pair of parallel faces would
count it twice. Furniture is a hollow box of such sheets: right for metal, which nothing passes, and
for desks and benches of boards. A face that would lie on the floor or the ceiling is left out,
because two sheets in one plane have no defined order along a ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.declaration import Furniture, Scene, Wall

_TOUCH_M = 1e-3


@dataclass(frozen=True)
class Surface:
    """A triangle mesh of one material.

    Args:
        name: unique in the scene: ``floor``, ``ceiling``, ``wall 0`` (edge 0 of the outline),
            ``inner wall NAME``, ``furniture NAME``.
        material: key into `Scene.materials`.
        vertices: (v, 3) float64 [m].
        faces: (f, 3) int32, indices into `vertices`; counter-clockwise seen from inside the room.
    """

    name: str
    material: str
    vertices: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int32]


def build(scene: Scene) -> tuple[Surface, ...]:
    """All surfaces of a scene that has passed `twin.scene.check`."""
    room = scene.room
    edges = room.shifted_outline()
    clockwise = not shapely.LinearRing(edges).is_ccw
    outline = np.ascontiguousarray(edges[::-1]) if clockwise else edges
    triangles = _triangulate(outline)
    surfaces = [
        Surface("floor", room.floor_material, _at_height(outline, 0.0), triangles),
        Surface(
            "ceiling",
            room.ceiling_material,
            _at_height(outline, room.height_m),
            np.ascontiguousarray(triangles[:, ::-1]),
        ),
    ]
    for i in range(len(edges)):
        # Edge i of the declaration keeps its number, whichever way round it was written.
        edge = np.stack([edges[i], edges[(i + 1) % len(edges)]])
        vertices, faces = _curtain(edge[::-1] if clockwise else edge, 0.0, room.height_m)
        surfaces.append(Surface(f"wall {i}", room.wall_material, vertices, faces))
    surfaces.extend(_inner_wall(wall, room.height_m) for wall in scene.walls)
    surfaces.extend(_box(item, room.height_m) for item in scene.furniture if item.present)
    return tuple(surfaces)


def _at_height(plan: npt.NDArray[np.float64], height: float) -> npt.NDArray[np.float64]:
    return np.column_stack([plan, np.full(len(plan), height)])


def _triangulate(outline: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Triangles (f, 3) of a simple polygon, counter-clockwise, on its own vertices."""
    index = {(float(x), float(y)): i for i, (x, y) in enumerate(outline)}
    parts = shapely.constrained_delaunay_triangles(shapely.Polygon(outline))
    faces = []
    for triangle in shapely.get_parts(parts):
        corners = shapely.get_coordinates(shapely.orient_polygons(triangle))[:3]
        faces.append([index[float(x), float(y)] for x, y in corners])
    # The order shapely returns is not promised; the mesh of a scene is.
    return np.array(sorted(_smallest_first(face) for face in faces), dtype=np.int32)


def _smallest_first(face: list[int]) -> list[int]:
    start = face.index(min(face))
    return face[start:] + face[:start]


def _curtain(
    path: npt.NDArray[np.float64], bottom: float, top: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """Vertical sheet over a polyline (n, 2); normals point to the left of the path."""
    count = len(path)
    vertices = np.concatenate([_at_height(path, bottom), _at_height(path, top)])
    faces = [
        face
        for i in range(count - 1)
        for face in ([i, i + 1 + count, i + 1], [i, i + count, i + 1 + count])
    ]
    return vertices, np.array(faces, dtype=np.int32)


def _inner_wall(wall: Wall, room_height: float) -> Surface:
    top = room_height if wall.height_m is None else wall.bottom_m + wall.height_m
    vertices, faces = _curtain(wall.shifted_path(), wall.bottom_m, top)
    return Surface(f"inner wall {wall.name}", wall.material, vertices, faces)


def _box(item: Furniture, room_height: float) -> Surface:
    plan = item.footprint()
    vertices = np.concatenate([_at_height(plan, item.bottom_m), _at_height(plan, item.top_m)])
    faces = [
        face
        for i in range(4)
        for face in ([i, (i + 1) % 4, (i + 1) % 4 + 4], [i, (i + 1) % 4 + 4, i + 4])
    ]
    if item.bottom_m > _TOUCH_M:
        faces += [[0, 2, 1], [0, 3, 2]]
    if item.top_m < room_height - _TOUCH_M:
        faces += [[4, 5, 6], [4, 6, 7]]
    return Surface(
        f"furniture {item.name}", item.material, vertices, np.array(faces, dtype=np.int32)
    )
