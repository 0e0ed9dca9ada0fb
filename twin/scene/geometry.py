"""From the declaration to triangles.

Every wall is one sheet: its thickness lives in the material, so a pair of parallel faces would
count it twice. Furniture is hollow, of such sheets: right for metal, which nothing passes, and for
desks and benches of boards. A face that would lie on the floor or the ceiling is left out, because
two sheets in one plane have no defined order along a ray; for the same reason a floor replaces the
ceiling below it, and ground and roads are cut out under what stands on them.
"""

from __future__ import annotations

import numpy as np
import shapely

from twin.scene.declaration import Scene
from twin.scene.furnishing import furnished
from twin.scene.furniture_shapes import sheets
from twin.scene.interiors import Storey, Wall
from twin.scene.levels import ceiling_m, floor_m
from twin.scene.meshes import mesh_material, placed_groups
from twin.scene.motion import person_as_furniture
from twin.scene.openings import Hole, holes_of_shell, holes_of_wall, present_holes
from twin.scene.street_shapes import outdoors
from twin.scene.surfaces import Faces, Surface, Vertices, curtain, joined, level, pierced
from twin.scene.wall_paths import wall_path, wall_span

__all__ = ["Surface", "build", "shell_surfaces"]

_TOUCH_M = 1e-3


def build(scene: Scene) -> tuple[Surface, ...]:
    """All surfaces of a scene that has passed `twin.scene.check`; what is not present is left out.

    Names: ``floor``, ``ceiling`` and ``wall 0`` (edge 0 of the outline) of a single room, with the
    storey's name before them where there are storeys; ``inner wall NAME``, ``opening NAME`` (the
    leaf), ``furniture NAME``, ``person NAME``, ``ground``, ``road NAME``, ``building NAME walls``,
    ``building NAME roof``, ``vehicle NAME``, ``mesh NAME GROUP``. People and vehicles are where
    they are at the scene's time.

    Raises:
        InputError: the file of a mesh is missing, is not the one declared, or cannot be read.
    """
    surfaces: list[Surface] = []
    for shell in scene.shells:
        surfaces += _shell(scene, shell)
    for wall in scene.walls:
        if wall.present:
            surfaces += _inner_wall(scene, wall)
    surfaces += _leaves(scene)
    for item in furnished(scene):
        parts = sheets(item, floor_m(scene, item.storey), ceiling_m(scene, item.storey))
        surfaces.append(joined(f"furniture {item.name}", item.of_material, parts))
    for person in scene.people:
        if person.present:
            item = person_as_furniture(person, scene.time_s)
            parts = sheets(item, floor_m(scene, item.storey), ceiling_m(scene, item.storey))
            surfaces.append(joined(f"person {person.name}", person.material, parts))
    surfaces += outdoors(scene)
    for part in scene.meshes:
        if part.present:
            surfaces += [
                Surface(
                    f"mesh {part.name} {group.name}",
                    mesh_material(part, group) or "",
                    group.vertices,
                    group.faces,
                )
                for group in placed_groups(part, scene.folder)
            ]
    return tuple(surfaces)


def shell_surfaces(scene: Scene) -> frozenset[str]:
    """Names of the floors, ceilings and outer walls of a scene's rooms."""
    return frozenset(
        _prefix(scene, shell) + part
        for shell in scene.shells
        for part in ("floor", "ceiling", *(f"wall {i}" for i in range(len(shell.outline_m))))
    )


def _prefix(scene: Scene, shell: Storey) -> str:
    return f"{shell.name} " if scene.room is None else ""


def _shell(scene: Scene, shell: Storey) -> list[Surface]:
    prefix = _prefix(scene, shell)
    edges = shell.shifted_outline()
    clockwise = not shapely.LinearRing(edges).is_ccw
    outline = np.ascontiguousarray(edges[::-1]) if clockwise else edges
    bottom, top = shell.bottom_m, shell.bottom_m + shell.height_m
    plan = shapely.Polygon(outline)
    floor = plan
    for void in shell.voids_m:
        floor = floor.difference(shapely.Polygon(void))
    above = [
        shapely.Polygon(other.shifted_outline())
        for other in scene.shells
        if abs(other.bottom_m - top) <= _TOUCH_M
    ]
    ceiling = plan.difference(shapely.union_all(above)) if above else plan
    surfaces = []
    for name, material, shape, height, up in (
        ("floor", shell.floor_material, floor, bottom, True),
        ("ceiling", shell.ceiling_material, ceiling, top, False),
    ):
        parts = level(shape, height, up=up)
        if parts:
            surfaces.append(joined(prefix + name, material, parts))
    holes = holes_of_shell(scene, shell)
    for i in range(len(edges)):
        # Edge i of the declaration keeps its number, whichever way round it was written.
        edge = np.stack([edges[i], edges[(i + 1) % len(edges)]])
        mine = [hole for hole in holes if hole.opening.edge == i]
        walls = _segment(edge, bottom, top, mine, turned=clockwise)
        if walls:
            surfaces.append(joined(f"{prefix}wall {i}", shell.wall_material, walls))
    return surfaces


def _segment(
    edge: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    bottom: float,
    top: float,
    holes: list[Hole],
    *,
    turned: bool,
) -> list[tuple[Vertices, Faces]]:
    """Sheet over an edge (2, 2); normals to its left, to its right where `turned`."""
    if not holes:
        return [curtain(edge[::-1] if turned else edge, bottom, top)]
    length = float(np.hypot(*(edge[1] - edge[0])))
    start, end = (edge[1], edge[0]) if turned else (edge[0], edge[1])
    cut = [
        (
            length - hole.last_m if turned else hole.first_m,
            length - hole.first_m if turned else hole.last_m,
            hole.bottom_m,
            hole.top_m,
        )
        for hole in holes
    ]
    return pierced(start, end, bottom, top, cut)


def _inner_wall(scene: Scene, wall: Wall) -> list[Surface]:
    bottom, top = wall_span(scene, wall)
    holes = holes_of_wall(scene, wall)
    path = wall_path(scene, wall)
    name = f"inner wall {wall.name}"
    if not holes:
        vertices, faces = curtain(path, bottom, top)
        return [Surface(name, wall.material, vertices, faces)]
    parts: list[tuple[Vertices, Faces]] = []
    for i in range(len(path) - 1):
        mine = [hole for hole in holes if hole.opening.segment == i]
        parts += _segment(path[i : i + 2], bottom, top, mine, turned=False)
    return [joined(name, wall.material, parts)] if parts else []


def _leaves(scene: Scene) -> list[Surface]:
    surfaces = []
    for hole in present_holes(scene):
        leaf = hole.leaf
        if leaf is not None:
            vertices, faces = curtain(np.stack(leaf), hole.bottom_m, hole.top_m)
            name = f"opening {hole.opening.name}"
            surfaces.append(Surface(name, hole.opening.material, vertices, faces))
    return surfaces
