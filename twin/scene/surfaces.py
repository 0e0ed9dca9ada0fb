"""Sheets of triangles: what a scene is built of, and the few ways to make one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

Vertices = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Surface:
    """A triangle mesh of one material.

    Args:
        name: unique in the scene, see `twin.scene.geometry`.
        material: key into `Scene.materials`.
        vertices: (v, 3) float64 [m].
        faces: (f, 3) int32, indices into `vertices`; counter-clockwise seen from inside a room, or
            from outside a building or a thing.
    """

    name: str
    material: str
    vertices: Vertices
    faces: Faces


def joined(name: str, material: str, parts: Iterable[tuple[Vertices, Faces]]) -> Surface:
    """One surface of several meshes (v, 3), (f, 3); none of them may be empty of faces."""
    parts = list(parts)
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    return Surface(
        name,
        material,
        np.concatenate([vertices for vertices, _ in parts]),
        np.concatenate(
            [faces + start for (_, faces), start in zip(parts, starts, strict=False)]
        ).astype(np.int32),
    )


def at_height(plan: npt.NDArray[np.float64], height: float) -> Vertices:
    """Points (n, 2) of a plan lifted to one height (n, 3)."""
    return np.column_stack([plan, np.full(len(plan), height)])


def polygons(shape: shapely.Geometry) -> list[shapely.Polygon]:
    """The polygons of a shape, slivers and lines left out."""
    # Twice, for a collection that holds several polygons as one.
    parts = shapely.get_parts(shapely.get_parts(shape))
    return [part for part in parts if part.geom_type == "Polygon" and part.area > 1e-6]


def triangulated(polygon: shapely.Polygon) -> tuple[npt.NDArray[np.float64], Faces]:
    """Corners (n, 2) of a polygon with or without holes, and triangles (f, 3), counter-clockwise.

    No corner is added: corners are those of its rings, in their order.
    """
    rings = [polygon.exterior, *polygon.interiors]
    corners = np.concatenate([shapely.get_coordinates(ring)[:-1] for ring in rings])
    index = {(x, y): i for i, (x, y) in reversed(list(enumerate(corners.tolist())))}
    triangles = shapely.get_parts(shapely.constrained_delaunay_triangles(polygon))
    places = shapely.get_coordinates(shapely.orient_polygons(triangles)).reshape(-1, 4, 2)[:, :3]
    faces = np.array([index[x, y] for x, y in places.reshape(-1, 2).tolist()]).reshape(-1, 3)
    # The order shapely returns is not promised; the mesh of a scene is.
    turned = (faces.argmin(axis=1)[:, None] + np.arange(3)) % 3
    faces = np.take_along_axis(faces, turned, axis=1)
    return corners, faces[np.lexsort(faces.T[::-1])].astype(np.int32)


def level(shape: shapely.Geometry, height: float, *, up: bool) -> list[tuple[Vertices, Faces]]:
    """Level sheets over all polygons of a shape, facing up or down."""
    sheets = []
    for polygon in polygons(shape):
        corners, faces = triangulated(polygon)
        turned = faces if up else np.ascontiguousarray(faces[:, ::-1])
        sheets.append((at_height(corners, height), turned))
    return sheets


def curtain(path: npt.NDArray[np.float64], bottom: float, top: float) -> tuple[Vertices, Faces]:
    """Vertical sheet over a polyline (n, 2); normals point to the left of the path."""
    count = len(path)
    vertices = np.concatenate([at_height(path, bottom), at_height(path, top)])
    faces = [
        face
        for i in range(count - 1)
        for face in ([i, i + 1 + count, i + 1], [i, i + count, i + 1 + count])
    ]
    return vertices, np.array(faces, dtype=np.int32)


def pierced(
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
    bottom: float,
    top: float,
    holes: Sequence[tuple[float, float, float, float]],
) -> list[tuple[Vertices, Faces]]:
    """Vertical sheet over a segment with rectangular holes, normals to the left; none where nothing
    of it is left.

    Args:
        start: (2,) of the segment in plan [m].
        end: likewise.
        bottom: of the sheet [m].
        top: likewise.
        holes: from and to along the segment, bottom and top of each [m].
    """
    length = float(np.hypot(*(end - start)))
    sheet = shapely.box(0.0, bottom, length, top)
    for first, last, low, high in holes:
        sheet = sheet.difference(shapely.box(first, low, last, high))
    along = (end - start) / length
    parts = []
    for polygon in polygons(sheet):
        corners, faces = triangulated(polygon)
        plan = start + corners[:, :1] * along
        parts.append((np.column_stack([plan, corners[:, 1]]), np.ascontiguousarray(faces[:, ::-1])))
    return parts


def extruded(
    outline: npt.NDArray[np.float64], bottom: float, top: float, *, floor: bool, lid: bool
) -> list[tuple[Vertices, Faces]]:
    """A prism over a counter-clockwise outline (n, 2), seen from outside."""
    ring = np.vstack([outline, outline[:1]])[::-1]
    parts = [curtain(ring, bottom, top)]
    plan = shapely.Polygon(outline)
    if floor:
        parts += level(plan, bottom, up=False)
    if lid:
        parts += level(plan, top, up=True)
    return parts
