"""Specular paths among few triangles by brute force: every order of mirrors, in float64 NumPy.

Slow and simple, to explain what other tracers find. Surfaces are opaque mirrors on both sides.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from twin.scene.geometry import Surface

Points = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# A leg is blocked by what it meets farther than this from both its ends.
_CONTACT_M = 1e-6
_SAME_M = 1e-6


class Triangles:
    """t triangles of surfaces.

    Args:
        surfaces: their meshes.

    Attributes:
        surface: (t,) index of each triangle's surface.
    """

    def __init__(self, surfaces: tuple[Surface, ...]) -> None:
        corner = np.concatenate([s.vertices[s.faces] for s in surfaces])
        self.surface = np.repeat(np.arange(len(surfaces)), [len(s.faces) for s in surfaces])
        side = np.roll(corner, -2, axis=1) - np.roll(corner, -1, axis=1)
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        self._normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
        self._offset = np.sum(self._normal * corner[:, 0], axis=1)
        # Side i lies opposite corner i; its inward direction is in the plane of the triangle.
        inward = np.cross(self._normal[:, None], side)
        self._inward = inward / np.linalg.norm(inward, axis=2, keepdims=True)
        self._side_offset = np.sum(self._inward * np.roll(corner, -1, axis=1), axis=2)

    def heights(self, point: Points) -> Points:
        """Distances (t,) [m] of a point (3,) from the triangles' planes, with a sign."""
        return np.asarray(self._normal @ point - self._offset)

    def depth_inside(self, points: Points, triangles: Indices) -> Points:
        """Distance (m,) [m] of points (m, 3) in the planes of triangles (m,) from the nearest side.

        Negative outside.
        """
        along = np.einsum("mx,msx->ms", points, self._inward[triangles])
        return np.asarray((along - self._side_offset[triangles]).min(axis=1))

    def touching(self, point: Points, within_m: float) -> Indices:
        """Triangles that a point (3,) lies on, nearest plane first."""
        height = np.abs(self.heights(point))
        near = np.nonzero(height <= within_m)[0]
        on = self.depth_inside(np.broadcast_to(point, (len(near), 3)), near) >= -within_m
        return near[on][np.argsort(height[near[on]], kind="stable")]

    def edge_distance(self, point: Points, within_m: float) -> float:
        """Distance [m] of a point (3,) from the nearest side of a triangle that it lies on."""
        on = self.touching(point, within_m)
        depth = self.depth_inside(np.broadcast_to(point, (len(on), 3)), on)
        return float(np.abs(depth).min(initial=np.inf))

    def normals(self, triangles: Indices) -> Points:
        """Unit normals (m, 3)."""
        return np.asarray(self._normal[triangles])

    def blocked(self, start: Points, end: Points, slack_m: float = 0.0) -> bool:
        """Whether a triangle, cut back by some slack, stands between two points (3,)."""
        length = float(np.linalg.norm(end - start))
        near, far = self.heights(start), self.heights(end)
        across = np.nonzero(near * far < 0.0)[0]
        share = near[across] / (near[across] - far[across])
        between = (share * length > _CONTACT_M) & ((1.0 - share) * length > _CONTACT_M)
        points = start + share[between, None] * (end - start)
        return bool((self.depth_inside(points, across[between]) >= slack_m).any())

    def crosses(self, corners: Points) -> bool:
        """Whether a path (order + 2, 3) goes through a triangle at the very point of a reflection.

        As where a screen stands on the table that mirrors, between the ends.
        """
        for before, here, after in zip(corners[:-2], corners[1:-1], corners[2:], strict=True):
            on = self.touching(here, _CONTACT_M)
            heights = self.heights(before)[on], self.heights(after)[on]
            clear = np.minimum(*np.abs(heights)) > _CONTACT_M
            if (clear & (heights[0] * heights[1] < 0.0)).any():
                return True
        return False

    def paths(
        self, start: Points, end: Points, max_order: int, slack_m: float = 0.0
    ) -> list[Points]:
        """Corners (order + 2, 3) of every path from point to point, none of them twice.

        Args:
            start: (3,) [m].
            end: (3,) [m].
            max_order: reflections at most, no more than 2.
            slack_m: how far outside its triangle a reflection may lie, and how far inside a
                triangle's edge a leg may go through it.
        """
        found: list[Points] = []
        for corners in self._candidates(start, end, max_order, slack_m):
            again = any(
                len(known) == len(corners) and np.abs(known - corners).max() < _SAME_M
                for known in found
            )
            through = any(self.blocked(*leg, slack_m) for leg in pairwise(corners))
            if not (again or through or (slack_m == 0.0 and self.crosses(corners))):
                found.append(corners)
        return found

    def _candidates(
        self, start: Points, end: Points, max_order: int, slack_m: float
    ) -> list[Points]:
        found = [np.stack([start, end])]
        before, after = self.heights(start), self.heights(end)
        images = start - 2.0 * before[:, None] * self._normal
        if max_order >= 1:
            mirror = np.nonzero(before * after > 0.0)[0]
            point = self._reflection(images[mirror], end, mirror)
            inside = self.depth_inside(point, mirror) >= -slack_m
            found += [np.stack([start, p, end]) for p in point[inside]]
        if max_order >= 2:
            # Height of the image in each first mirror over each second one.
            image_height = images @ self._normal.T - self._offset
            first, second = np.nonzero((before[:, None] != 0.0) & (image_height * after > 0.0))
            image = (
                images[first] - 2.0 * image_height[first, second][:, None] * (self._normal[second])
            )
            last = self._reflection(image, end, second)
            inside = self.depth_inside(last, second) >= -slack_m
            first, last = first[inside], last[inside]
            same_side = (np.sum(self._normal[first] * last, axis=1) - self._offset[first]) * before[
                first
            ] > 0.0
            first, last = first[same_side], last[same_side]
            point = self._reflection(images[first], last, first)
            inside = self.depth_inside(point, first) >= -slack_m
            found += [
                np.stack([start, p, q, end])
                for p, q in zip(point[inside], last[inside], strict=True)
            ]
        return found

    def _reflection(self, image: Points, end: Points, mirror: Indices) -> Points:
        """Where the lines from images (m, 3) to end points, (3,) or (m, 3), cross mirrors (m,)."""
        normal, offset = self._normal[mirror], self._offset[mirror]
        behind = np.sum(image * normal, axis=1) - offset
        before = np.sum(end * normal, axis=1) - offset
        return np.asarray(image + (behind / (behind - before))[:, None] * (end - image))
