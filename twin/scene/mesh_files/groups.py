"""Groups of triangles as a file names them, and the bounds that no file may exceed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from twin.errors import Fault, InputError
from twin.scene.surfaces import Faces, Vertices, triangulated

MAX_BYTES = 64 * 2**20
MAX_TRIANGLES = 2_000_000
MAX_VERTICES = 3_000_000
MAX_GROUPS = 20_000
# Polygons that are not convex are taken one by one.
MAX_CONCAVE = 20_000
# Of a triangle's longest side: one that is thinner has no normal in single precision.
_THIN = 1e-7
_SIMPLER = "Simplify the mesh, or split it into several files"

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MeshGroup:
    """Triangles of one material.

    Args:
        name: of the group in the file, unique; the material's name follows where a group has
            several.
        source_material: name of the material in the file; empty where it has none.
        vertices: (v, 3) float64 [m].
        faces: (f, 3) int32, indices into `vertices`.
    """

    name: str
    source_material: str
    vertices: Vertices
    faces: Faces


@dataclass(frozen=True)
class Polygons:
    """What a reader found in one group: polygons one after another.

    Args:
        name, material: as `MeshGroup`; neither has to be unique.
        vertices: (v, 3) float64, those of other groups among them where a file shares them.
        corners: (c,) indices into `vertices`, polygon by polygon.
        counts: corners of each polygon, at least 3.
    """

    name: str
    material: str
    vertices: Vertices
    corners: Indices
    counts: Indices


def refused(where: str, key: str, expected: str, found: str, cure: str = "") -> InputError:
    """The error of a file that is not read."""
    return InputError([Fault(where, key, expected, found, cure)])


def count_fault(where: str, triangles: int, vertices: int, groups: int) -> InputError | None:
    """What is too much of a file, by the numbers seen so far."""
    for number, most, what in (
        (triangles, MAX_TRIANGLES, "triangles"),
        (vertices, MAX_VERTICES, "vertices"),
        (groups, MAX_GROUPS, "groups"),
    ):
        if number > most:
            return refused(where, "", f"at most {most} {what}", "more", _SIMPLER)
    return None


def as_groups(where: str, parts: Sequence[Polygons]) -> tuple[MeshGroup, ...]:
    """Groups of triangles of a file, in its order: polygons triangulated, spare vertices left out,
    triangles without an area left out.

    Raises:
        InputError: numbers that are not finite, corners that are not there, polygons that cross
            themselves, too much of anything, or no triangle with an area.
    """
    triangles = int(sum((part.counts - 2).sum() for part in parts))
    fault = count_fault(where, triangles, 0, len(parts))
    if fault:
        raise fault
    several = {name for name, count in Counter(part.name for part in parts).items() if count > 1}
    used: set[str] = set()
    groups = []
    for part in parts:
        group = _group(where, part)
        if group is None:
            continue
        name = part.name
        if name in several and part.material:
            name = f"{name} {part.material}"
        name = unique(name, used)
        groups.append(MeshGroup(name, part.material, *group))
    if not groups:
        found = "none" if triangles == 0 else f"{triangles}, all without an area"
        raise refused(where, "", "triangles", found)
    return tuple(groups)


def unique(name: str, used: set[str], joint: str = " ") -> str:
    """The name, with a number behind it where it is in use; notes it as used."""
    number, free = 2, name
    while free in used:
        free = f"{name}{joint}{number}"
        number += 1
    used.add(free)
    return free


def _group(where: str, part: Polygons) -> tuple[Vertices, Faces] | None:
    if len(part.corners) == 0:
        return None
    if part.corners.min() < 0 or part.corners.max() >= len(part.vertices):
        raise refused(
            where,
            f"group {part.name!r}",
            f"corners among the {len(part.vertices)} vertices",
            f"numbers from {part.corners.min() + 1} to {part.corners.max() + 1}",
        )
    spare, corners = np.unique(part.corners, return_inverse=True)
    vertices = part.vertices[spare]
    if not np.isfinite(vertices).all():
        raise refused(where, f"group {part.name!r}", "finite coordinates", "NaN or infinity")
    return cleaned(vertices, _triangles(where, part.name, vertices, corners, part.counts))


def cleaned(vertices: Vertices, faces: npt.NDArray[np.integer]) -> tuple[Vertices, Faces] | None:
    """Triangles that have an area and the vertices they use, read-only; None where none has one."""
    sides = np.diff(vertices[faces[:, [0, 1, 2, 0]]], axis=1)
    longest = (sides**2).sum(axis=2).max(axis=1)
    doubled = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    kept = faces[doubled > _THIN * longest]
    if len(kept) == 0:
        return None
    spare, renumbered = np.unique(kept, return_inverse=True)
    result = vertices[spare], renumbered.reshape(kept.shape).astype(np.int32)
    for values in result:
        values.flags.writeable = False
    return result


def _triangles(
    where: str, name: str, vertices: Vertices, corners: Indices, counts: Indices
) -> Indices:
    """Triangles (f, 3) of polygons, in their order."""
    if (counts == 3).all():
        return corners.reshape(-1, 3)
    starts = np.cumsum(counts) - counts
    concave = 0
    faces, owners = [], []
    for count in np.unique(counts):
        polygons = np.flatnonzero(counts == count)
        rings = corners[starts[polygons][:, None] + np.arange(count)]
        second = np.arange(1, count - 1)
        fans = np.stack([np.zeros_like(second), second, second + 1], axis=1)
        convex = _convex(vertices[rings])
        faces.append(rings[convex][:, fans].reshape(-1, 3))
        owners.append(np.repeat(polygons[convex], count - 2))
        concave += int((~convex).sum())
        if concave > MAX_CONCAVE:
            expected = f"at most {MAX_CONCAVE} polygons that are not convex"
            raise refused(where, "", expected, "more", "Triangulate them where the mesh was made")
        for polygon, ring in zip(polygons[~convex], rings[~convex], strict=True):
            parts = ring[_of_concave(where, name, vertices[ring])]
            faces.append(parts)
            owners.append(np.full(len(parts), polygon))
    order = np.argsort(np.concatenate(owners), kind="stable")
    return np.concatenate(faces)[order]


def _convex(rings: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which polygons (m, n, 3) turn one way at all their corners."""
    if rings.shape[1] == 3:
        return np.ones(len(rings), dtype=np.bool_)
    local = rings - rings[:, :1]
    normal = np.cross(local, np.roll(local, -1, axis=1)).sum(axis=1)
    sides = np.roll(local, -1, axis=1) - local
    turns = np.cross(sides, np.roll(sides, -1, axis=1))
    along = np.einsum("mnk,mk->mn", turns, normal)
    slack = _THIN * (normal**2).sum(axis=1, keepdims=True)
    return np.asarray((along >= -slack).all(axis=1))


def _of_concave(where: str, name: str, ring: npt.NDArray[np.float64]) -> Faces:
    """Triangles (f, 3) of one polygon (n, 3), turning as it does."""
    local = ring - ring[0]
    normal = np.cross(local, np.roll(local, -1, axis=0)).sum(axis=0)
    across = int(np.abs(normal).argmax())
    plan = np.delete(local, across, axis=1)
    polygon = shapely.Polygon(plan)
    if not polygon.is_valid or len(np.unique(plan, axis=0)) < len(plan):
        raise refused(
            where,
            f"group {name!r}",
            "polygons that do not cross or touch themselves",
            f"one of {len(ring)} corners near ({', '.join(f'{v:.4g}' for v in ring[0])})",
            "Triangulate it where the mesh was made",
        )
    _, faces = triangulated(polygon)
    return faces if polygon.exterior.is_ccw else np.ascontiguousarray(faces[:, ::-1])
