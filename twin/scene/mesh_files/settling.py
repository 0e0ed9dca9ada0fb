"""Triangles that a tracer takes: neighbours face one way, and none is as thin as a line.

Which side of a sheet is its front means nothing to a reflection or a transmission, but a tracer
tells edges by it. Files turn their triangles as they come; here the neighbours of a triangle are
turned to face the same side as it does, through all groups of a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.scene.mesh_files.groups import Indices, MeshGroup, cleaned
from twin.scene.surfaces import Faces, Vertices

Mask = npt.NDArray[np.bool_]

# Vertices this close are one; a power of two, so that round coordinates lie inside a cell and not
# between two.
_WELD_M = 2.0**-13
# Units in the last place of single precision, which is all that a tracer keeps.
_FLAT_ULPS = 2.0


def settled(groups: Sequence[MeshGroup], scale: float = 1.0) -> tuple[MeshGroup, ...]:
    """Groups of one file with triangles turned to face one way wherever that can be, and without
    those whose corners are on one line in single precision.

    One that is not exactly flat stays where neighbours hold all its sides, since it fills the seam
    between them. Settled groups stay as they are when they are settled again.

    Args:
        groups: of a file.
        scale: makes metres of the file's lengths.
    """
    starts = np.cumsum([0, *(len(group.vertices) for group in groups)])
    places = np.concatenate([group.vertices for group in groups]) * scale
    parts = [group.faces.astype(np.int64) + s for group, s in zip(groups, starts, strict=False)]
    faces = np.concatenate(parts)
    number = {name: i for i, name in enumerate({group.source_material for group in groups})}
    material = np.repeat(
        [number[group.source_material] for group in groups], [len(part) for part in parts]
    )
    welded = _welded(places)[faces]
    kept = _without_lines(places[faces], welded)
    turned = np.zeros(len(faces), dtype=np.bool_)
    turned[kept] = _turned(welded[kept], material[kept])
    if kept.all() and not turned.any():
        return tuple(groups)
    result = []
    last = 0
    for group, part in zip(groups, parts, strict=True):
        some = slice(last, last + len(part))
        last += len(part)
        own = _turn(group.faces, turned[some])[kept[some]]
        found = cleaned(group.vertices, own) if len(own) else None
        if found is not None:
            result.append(MeshGroup(group.name, group.source_material, *found))
    return tuple(result)


def _turn(faces: Faces, turned: Mask) -> Faces:
    return np.where(turned[:, None], faces[:, [0, 2, 1]], faces)


def _welded(places: Vertices) -> Indices:
    """Numbers (v,) of the places (v, 3) [m]; those that are next to each other share one."""
    size = max(_WELD_M, float(np.abs(places).max(initial=0.0)) * 2.0**-30)
    cells = np.rint(places / size).astype(np.int64)
    # Two coordinates at a time into one number: sorting rows takes ten times as long.
    _, plan = np.unique((cells[:, 0] << 32) + cells[:, 1], return_inverse=True)
    _, same = np.unique((plan << 32) + cells[:, 2], return_inverse=True)
    return np.asarray(same, dtype=np.int64)


@dataclass(frozen=True)
class _Sides:
    """Sides of triangles, m of them; triangles smaller than a weld have none.

    Args:
        owner: (m,) the triangle of a side.
        start: (m,) the place it starts from.
        edge: (m,) number of its edge; sides on one edge share it.
    """

    owner: Indices
    start: Indices
    edge: Indices

    @classmethod
    def of(cls, welded: Indices, chosen: Mask) -> _Sides:
        """Sides of the chosen (t,) of the triangles (t, 3)."""
        ends = np.roll(welded, -1, axis=1)
        whole = np.flatnonzero(chosen & (welded != ends).all(axis=1))
        start, end = welded[whole].ravel(), ends[whole].ravel()
        key = np.minimum(start, end) * (int(welded.max(initial=0)) + 1) + np.maximum(start, end)
        _, edge = np.unique(key, return_inverse=True)
        return cls(np.repeat(whole, 3), start, np.asarray(edge, dtype=np.int64))


def _without_lines(corners: npt.NDArray[np.float64], welded: Indices) -> Mask:
    """Triangles (t,) that are no lines, or fill a seam."""
    sides = np.roll(corners, -1, axis=1) - corners
    longest = np.linalg.norm(sides, axis=2).max(axis=1)
    doubled = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    step = np.finfo(np.float32).eps * np.abs(corners).max(axis=(1, 2))
    flat = doubled <= _FLAT_ULPS * step * longest
    kept = np.ones(len(corners), dtype=np.bool_)
    # Without one that goes, others may have nothing that holds them.
    while (flat & kept).any():
        found = _Sides.of(welded, kept)
        shared = np.bincount(found.edge)[found.edge] > 1
        held = np.bincount(found.owner, weights=shared, minlength=len(kept)) == 3
        lost = kept & flat & ~held
        if not lost.any():
            break
        kept &= ~lost
    return kept


def _turned(welded: Indices, material: Indices) -> Mask:
    """Triangles (t,) to turn, so that neighbours face one way.

    Neighbours are two triangles that are the only ones at an edge, of all or of one material. Of
    triangles that hang together the first stays as it is; where they cannot all face one way, none
    is turned.
    """
    turned = np.zeros(len(welded), dtype=np.bool_)
    sides = _Sides.of(welded, np.ones(len(welded), dtype=np.bool_))
    alike = sides.edge * (int(material.max(initial=0)) + 1) + material[sides.owner]
    pairs = np.concatenate([_twos(sides.edge), _twos(alike)], axis=1)
    one, other = sides.owner[pairs]
    against = sides.start[pairs[0]] == sides.start[pairs[1]]
    if not against.any():
        return turned
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # Every triangle twice, as it is and turned: what hangs together there faces one way.
    count = len(welded)
    first = np.concatenate([one, one + count])
    second = np.concatenate([other + count * against, other + count * ~against])
    graph = coo_array((np.ones(len(first), dtype=np.bool_), (first, second)), (2 * count,) * 2)
    label = connected_components(graph, directed=False)[1]
    plain = coo_array((np.ones(len(one), dtype=np.bool_), (one, other)), (count, count))
    part = connected_components(plain, directed=False)[1]
    _, leader = np.unique(part, return_index=True)
    can = label[:count] != label[count:]
    return np.asarray(can & (label[:count] != label[leader[part]]))


def _twos(keys: Indices) -> Indices:
    """Positions (2, k) of the keys that occur exactly twice."""
    order = np.argsort(keys, kind="stable")
    _, first, count = np.unique(keys[order], return_index=True, return_counts=True)
    first = first[count == 2]
    return np.stack([order[first], order[first + 1]])
