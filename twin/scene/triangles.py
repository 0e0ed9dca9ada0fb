"""Where points lie among triangles: how near, and what is above and below them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.surfaces import Faces, Vertices

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Pairs of a point and a triangle worked on at once.
_BLOCK = 500_000


def corners_of(meshes: Iterable[tuple[Vertices, Faces]]) -> Points:
    """Corners (t, 3, 3) [m] of the triangles of meshes, one after another."""
    parts = [vertices[faces] for vertices, faces in meshes]
    return np.concatenate(parts) if parts else np.zeros((0, 3, 3))


def near_triangles(triangles: Points, points: Points, distance_m: float) -> Mask:
    """Which of the points (n, 3) lie less than a distance from any of the triangles (t, 3, 3)."""
    near = np.zeros(len(points), dtype=np.bool_)
    low, high = triangles.min(axis=1) - distance_m, triangles.max(axis=1) + distance_m
    tree = shapely.STRtree(shapely.points(points[:, :2]))
    boxes = shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])
    triangle, point = tree.query(boxes)
    level = (points[point, 2] > low[triangle, 2]) & (points[point, 2] < high[triangle, 2])
    triangle, point = triangle[level], point[level]
    for start in range(0, len(point), _BLOCK):
        some = slice(start, start + _BLOCK)
        distance = _distances(triangles[triangle[some]], points[point[some]])
        near[point[some][distance < distance_m]] = True
    return near


def vertical_hits(triangles: Points, plan: Points) -> tuple[npt.NDArray[np.int64], Points]:
    """Where vertical lines through points (n, 2) meet triangles (t, 3, 3).

    Returns:
        Number of the point (h,) and height (h,) [m] of each meeting; vertical triangles have none.
    """
    low, high = triangles.min(axis=1), triangles.max(axis=1)
    tree = shapely.STRtree(shapely.points(plan))
    triangle, point = tree.query(shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]))
    numbers, heights = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    for start in range(0, len(point), _BLOCK):
        some = slice(start, start + _BLOCK)
        a, b, c = np.moveaxis(triangles[triangle[some]], 1, 0)
        to_b, to_c, to_point = b - a, c - a, plan[point[some]] - a[:, :2]
        area = _cross(to_b, to_c)
        flat = np.abs(area) > 0.0
        area = np.where(flat, area, 1.0)
        along_b = _cross(to_point, to_c) / area
        along_c = _cross(to_b, to_point) / area
        met = flat & (along_b >= 0.0) & (along_c >= 0.0) & (along_b + along_c <= 1.0)
        height = a[:, 2] + along_b * to_b[:, 2] + along_c * to_c[:, 2]
        numbers.append(point[some][met])
        heights.append(height[met])
    return np.concatenate(numbers), np.concatenate(heights)


def _cross(first: Points, second: Points) -> Points:
    return np.asarray(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])


def _distances(triangles: Points, points: Points) -> Points:
    """Distance (n,) of each point (n, 3) from its own triangle (n, 3, 3)."""
    sides = np.roll(triangles, -1, axis=1) - triangles
    normal = np.cross(sides[:, 0], sides[:, 1])
    length = np.linalg.norm(normal, axis=1)
    normal = normal / np.where(length > 0.0, length, 1.0)[:, None]
    to_point = points[:, None] - triangles
    # Over the triangle's inside its plane is nearest, else one of its sides.
    turns = np.einsum("nik,nk->ni", np.cross(sides, to_point), normal)
    over = (turns >= 0.0).all(axis=1) & (length > 0.0)
    from_plane = np.abs(np.einsum("nk,nk->n", to_point[:, 0], normal))
    squared = (sides**2).sum(axis=2)
    share = (to_point * sides).sum(axis=2) / np.where(squared > 0.0, squared, 1.0)
    nearest = to_point - np.clip(share, 0.0, 1.0)[:, :, None] * sides
    from_sides = np.linalg.norm(nearest, axis=2).min(axis=1)
    return np.asarray(np.where(over, from_plane, from_sides))
