"""A scene's surfaces as the layers of a three-dimensional view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.scene.declaration import Scene
from twin.scene.geometry import Surface, build
from twin.scene.receivers import receiver_points

# Parts in the order of the legend, how dense they are drawn, and which are not seen at first.
PARTS = {
    "floor": 1.0,
    "upper floors": 0.35,
    "ceiling": 0.35,
    "walls": 0.3,
    "doors and windows": 0.5,
    "furniture": 0.9,
    "people": 0.9,
    "buildings": 0.8,
    "vehicles": 0.9,
    "mesh": 0.45,
}
HIDDEN = frozenset({"ceiling"})
# More edges would only make a blot.
_MOST_EDGES = 40_000
_SHARP = 0.94

_Floats = npt.NDArray[np.float64]
_Faces = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """What one material makes up of one part of a scene.

    Args:
        part: key of `PARTS`.
        material: key into the scene's materials.
        vertices: (v, 3) [m].
        faces: (f, 3), indices into `vertices`.
    """

    part: str
    material: str
    vertices: _Floats
    faces: _Faces

    def outlines(self) -> _Floats:
        """Rims and sharp edges as pairs of points (e, 2, 3) [m]; none where they are too many."""
        corner, index = np.unique(np.round(self.vertices, 4), axis=0, return_inverse=True)
        faces = index.ravel()[self.faces]
        one, other = (corner[faces[:, i]] - corner[faces[:, 0]] for i in (1, 2))
        normal = np.cross(one, other)
        length = np.linalg.norm(normal, axis=1)
        faces, normal = faces[length > 0.0], normal[length > 0.0] / length[length > 0.0, None]
        ends = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        owner = np.repeat(np.arange(len(faces)), 3)
        edges, first, of_end, count = np.unique(
            ends, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        turn = np.abs(np.sum(normal[owner] * normal[owner[first[of_end.ravel()]]], axis=1))
        bent = np.zeros(len(edges), dtype=np.bool_)
        np.logical_or.at(bent, of_end.ravel(), turn < _SHARP)
        shown = edges[bent | (count == 1)]
        return corner[shown] if len(shown) <= _MOST_EDGES else np.zeros((0, 2, 3))


def layers(scene: Scene) -> tuple[Layer, ...]:
    """All surfaces that are present, by part and material, in the order of `PARTS`.

    Level triangles of a mesh above all access points and receivers count as a ceiling.

    Raises:
        InputError: the file of a mesh is missing, is not the one declared, or cannot be read.
    """
    groups: dict[tuple[str, str], list[tuple[_Floats, _Faces]]] = {}
    for surface in build(scene):
        for part, faces in _parts(scene, surface):
            key = (part, surface.material)
            groups.setdefault(key, []).append((surface.vertices, faces))
    order = list(PARTS)
    return tuple(
        _merged(*key, groups[key]) for key in sorted(groups, key=lambda k: (order.index(k[0]), k))
    )


def _parts(scene: Scene, surface: Surface) -> Iterator[tuple[str, _Faces]]:
    faces = surface.faces.astype(np.int64)
    if not surface.name.startswith("mesh "):
        yield _part(scene, surface.name), faces
        return
    corners = surface.vertices[faces]
    devices = np.concatenate(
        [receiver_points(scene)[:, 2], [ap.position_m[2] for ap in scene.access_points]]
    )
    level = np.ptp(corners[:, :, 2], axis=1) < 1e-3
    over = level & (corners[:, :, 2].min(axis=1) > devices.max())
    for part, chosen in (("ceiling", over), ("mesh", ~over)):
        if chosen.any():
            yield part, faces[chosen]


def _part(scene: Scene, name: str) -> str:
    kinds = {
        "inner wall ": "walls",
        "opening ": "doors and windows",
        "furniture ": "furniture",
        "person ": "people",
        "vehicle ": "vehicles",
        "building ": "buildings",
        "road ": "floor",
        "ground": "floor",
    }
    # Names of storeys come first in those of their surfaces, and may be any word.
    shells = [f"{shell.name} " for shell in scene.storeys] or [""]
    for shell in shells:
        if name == f"{shell}ceiling":
            return "ceiling"
        if name == f"{shell}floor":
            lowest = min(item.bottom_m for item in scene.shells)
            own = next(item for item in scene.shells if shell in ("", f"{item.name} "))
            return "floor" if own.bottom_m == lowest else "upper floors"
        if name.startswith(f"{shell}wall "):
            return "walls"
    return next(part for start, part in kinds.items() if name.startswith(start))


def _merged(part: str, material: str, meshes: list[tuple[_Floats, _Faces]]) -> Layer:
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in meshes)])
    return Layer(
        part,
        material,
        np.concatenate([vertices for vertices, _ in meshes]),
        np.concatenate([faces + start for (_, faces), start in zip(meshes, starts, strict=False)]),
    )
