"""Sheets that lie in the floor or ground they stand on.

Of two sheets in one plane a ray may meet either first, by rounding; so one of them has to go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely

from twin.scene.mesh_files.groups import MeshGroup, cleaned

_SAME_PLANE_M = 1e-4
# Shares: of a triangle that is over the ground to be left out, of the plan a ground has to cover.
_OVER, _GROUND = 0.5, 0.5


def without_buried(groups: Sequence[MeshGroup]) -> tuple[list[MeshGroup], int]:
    """Groups without the triangles that lie in the plane of a level ground and over it.

    The ground, or floor, is the lowest of the groups that are level and cover half of the plan of
    all; of several at one height the largest.

    Returns:
        What is left, and how many triangles were left out.
    """
    corners = np.concatenate([group.vertices for group in groups])
    plan = float(np.prod((corners.max(axis=0) - corners.min(axis=0))[:2]))
    sheets = {
        i: _plan(group, group.faces)
        for i, group in enumerate(groups)
        if np.ptp(group.vertices[:, 2]) <= _SAME_PLANE_M
    }
    areas = {i: float(shapely.area(sheet).sum()) for i, sheet in sheets.items()}
    wide = [i for i in sheets if areas[i] >= _GROUND * plan]
    if not wide:
        return list(groups), 0
    ground = min(wide, key=lambda i: (round(float(groups[i].vertices[0, 2]), 3), -areas[i], i))
    level = float(groups[ground].vertices[0, 2])
    covered = shapely.union_all(sheets[ground])
    shapely.prepare(covered)
    left: list[MeshGroup] = []
    count = 0
    for i, group in enumerate(groups):
        heights = group.vertices[group.faces][..., 2]
        flat = np.flatnonzero((np.abs(heights - level) <= _SAME_PLANE_M).all(axis=1))
        if i == ground or len(flat) == 0:
            left.append(group)
            continue
        triangles = _plan(group, group.faces[flat])
        over = shapely.area(shapely.intersection(triangles, covered))
        buried = flat[over > _OVER * shapely.area(triangles)]
        count += len(buried)
        rest = cleaned(group.vertices, np.delete(group.faces, buried, axis=0))
        if rest is not None:
            left.append(MeshGroup(group.name, group.source_material, *rest))
    return left, count


def _plan(group: MeshGroup, faces: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> Any:  # noqa: ANN401 (shapely has no types)
    return shapely.polygons(group.vertices[faces][..., :2])
