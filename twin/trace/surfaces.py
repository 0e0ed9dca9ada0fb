"""Planes of a triangle soup: which triangles reflect into the same image, in pure NumPy.

A wall is many triangles, often in several meshes, but one mirror. Two triangles are coplanar here
when the smaller one's vertices lie within `POSITION_TOLERANCE_M` of the larger one's plane, and
the normals differ by less than `ANGLE_TOLERANCE_RAD`. Both tolerances grow by what float32
coordinates cannot resolve: a triangle 0.1 m high, a kilometre from the origin, has a normal known
to no better than a milliradian.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

POSITION_TOLERANCE_M = 5e-4
ANGLE_TOLERANCE_RAD = 2e-4
# Units in the last place of the largest coordinate that a vertex may be off.
_VERTEX_ULPS = 4.0
# The sign of a normal is made positive along a direction that no wall is likely to contain.
_UPPER = np.array([0.4517, 0.6143, 0.6469])
_NEARLY_LEVEL = 0.01


@dataclass(frozen=True)
class Planes:
    """The q planes of t triangles, in an order that depends only on the set of triangles.

    Args:
        normal: (q, 3) unit normals; of the largest triangle on the plane.
        offset: (q,) [m], normal . x on the plane.
        axes: (q, 2, 3) unit vectors that span the plane.
        low, high: (q, 2) [m], least and greatest axes . x over the plane's triangles.
        of_triangle: (t,) uint32, the plane of each triangle.
        digest: SHA-256 (hex) of the set of triangles, whatever order they come in.
    """

    normal: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    axes: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    of_triangle: npt.NDArray[np.uint32]
    digest: str

    def __len__(self) -> int:
        return len(self.offset)

    def mirror(
        self, points: npt.NDArray[np.float64], planes: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.float64]:
        """Images (m, 3) of points (m, 3) in the planes (m,)."""
        normal = self.normal[planes]
        height = np.sum(points * normal, axis=1) - self.offset[planes]
        mirrored: npt.NDArray[np.float64] = points - 2.0 * height[:, None] * normal
        return mirrored


def find_planes(triangles: npt.NDArray[np.float32]) -> Planes:
    """Group triangles (t, 3, 3) [m] into planes; none where there are no triangles.

    Triangles without area may share any plane; no ray meets them.
    """
    # A zero has one sign.
    triangles = triangles + np.float32(0.0)
    order = np.lexsort(triangles.reshape(len(triangles), 9).T)
    sorted_triangles = np.ascontiguousarray(triangles[order])
    digest = hashlib.sha256(sorted_triangles.astype("<f4").tobytes()).hexdigest()
    corner = sorted_triangles.astype(np.float64)
    of_sorted, largest, normal = _group(corner)
    offset = np.sum(normal * corner[largest, 0], axis=1)
    axes = _axes(normal, corner[largest])
    low, high = _extent(corner, of_sorted, axes)
    of_triangle = np.empty(len(triangles), dtype=np.uint32)
    of_triangle[order] = of_sorted
    return Planes(normal, offset, axes, low, high, of_triangle, digest)


def _group(
    corner: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Plane of each triangle, largest triangle of each plane, and its normal."""
    if len(corner) == 0:
        none = np.zeros(0, dtype=np.int64)
        return none, none, np.zeros((0, 3))
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    normal = np.cross(first, second)
    double_area = np.linalg.norm(normal, axis=1)
    normal /= np.where(double_area > 0.0, double_area, 1.0)[:, None]
    normal *= np.where(normal @ _UPPER < 0.0, -1.0, 1.0)[:, None]

    centre = corner.mean(axis=(0, 1))
    reach = float(np.abs(corner - centre).max())
    resolution = _VERTEX_ULPS * float(np.spacing(np.float32(np.abs(corner).max())))
    near = POSITION_TOLERANCE_M + resolution
    longest = np.sqrt(
        np.max([np.sum(e**2, axis=1) for e in (first, second, second - first)], axis=0)
    )
    height = double_area / np.where(longest > 0.0, longest, 1.0)
    angle = ANGLE_TOLERANCE_RAD + 2.0 * resolution / np.maximum(height, resolution)

    neighbours = _near_pairs(normal, np.sum(normal * (corner[:, 0] - centre), axis=1), reach, near)
    label = connected_components(neighbours, directed=False)[1]

    def within(
        members: npt.NDArray[np.int64], chief: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        off = corner[members] - corner[chief, :1]
        away = np.abs(np.einsum("tvx,tx->tv", off, normal[chief])).max(axis=1)
        turned = np.linalg.norm(np.cross(normal[members], normal[chief]), axis=1)
        one: npt.NDArray[np.bool_] = (members == chief) | (
            (away <= near) & (turned <= angle[members])
        )
        return one

    everyone = np.arange(len(corner))
    by_area = np.lexsort((everyone, -double_area, label))
    starts = np.searchsorted(label[by_area], np.arange(label.max() + 1))
    chief = by_area[starts][label]
    # Chains of nearly coplanar triangles (a curved roof) fall apart into planes, each within the
    # tolerance of its own largest triangle.
    for broken in np.unique(label[~within(everyone, chief)]):
        rest = by_area[starts[broken] :]
        rest = rest[label[rest] == broken]
        while len(rest):
            chief[rest] = rest[0]
            rest = rest[~within(rest, chief[rest])]
    largest, plane = np.unique(chief, return_inverse=True)
    return plane.ravel(), largest, normal[largest]


def _near_pairs(
    normal: npt.NDArray[np.float64],
    height: npt.NDArray[np.float64],
    reach: float,
    near: float,
) -> coo_matrix:
    """Graph of the triangles that may be coplanar, and some more."""
    count = len(normal)
    # A turn of the normal moves a point by up to `reach` times the angle.
    scale = max(reach, 1.0)
    radius = near + scale * 2.0 * ANGLE_TOLERANCE_RAD
    feature = np.column_stack([normal * scale, height])
    # Equal triangles would be paired with each other one by one: keep one of each cell.
    cell = np.round(feature / (near / 8.0)).astype(np.int64)
    _, kept, of_cell = np.unique(cell, axis=0, return_index=True, return_inverse=True)
    of_cell = of_cell.ravel()
    sample = feature[kept]
    # A plane that nearly contains the reference direction may have got either sign.
    level = np.nonzero(np.abs(normal[kept] @ _UPPER) < _NEARLY_LEVEL)[0]
    tree = cKDTree(np.concatenate([sample, -sample[level]]))
    pairs = tree.query_pairs(radius, output_type="ndarray")
    place = np.concatenate([np.arange(len(sample)), level])
    pairs = place[pairs]
    rows = np.concatenate([kept[pairs[:, 0]], np.arange(count)])
    columns = np.concatenate([kept[pairs[:, 1]], kept[of_cell]])
    return coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(count, count))


def _axes(
    normal: npt.NDArray[np.float64], corner: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    # Along the second longest side, so that the box around a rectangle is the rectangle: the
    # longest side of its halves is its diagonal.
    sides = np.roll(corner, -1, axis=1) - corner
    middle = np.linalg.norm(sides, axis=2).argsort(axis=1, kind="stable")[:, 1]
    second = np.take_along_axis(sides, middle[:, None, None], axis=1)[:, 0]
    across = np.cross(normal, second)
    size = np.linalg.norm(across, axis=1, keepdims=True)
    # A triangle without area has no normal; any axes do.
    across = np.where(size > 0.0, across / np.where(size > 0.0, size, 1.0), [1.0, 0.0, 0.0])
    return np.stack([np.cross(across, normal), across], axis=1)


def _extent(
    corner: npt.NDArray[np.float64],
    plane: npt.NDArray[np.int64],
    axes: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    along = np.einsum("tvx,tax->tav", corner, axes[plane])
    low, high = np.full((2, len(axes), 2), np.inf)
    np.minimum.at(low, plane, along.min(axis=2))
    high = -high
    np.maximum.at(high, plane, along.max(axis=2))
    return low, high
