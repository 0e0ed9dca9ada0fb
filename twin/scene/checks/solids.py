"""Devices inside closed meshes, meshes outside of shells, and meshes whose walls count twice.

A closed mesh that holds access points and receivers is a room; one that holds only the ones or only
the others is a solid that they were put into by mistake. A wall drawn as a body with a thickness is
two sheets to a ray, while the material has a thickness already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.checks.sight import sheets_between
from twin.scene.checks.site import TOUCH_M, Mask, Points, Site, coordinates, mesh_of, which
from twin.scene.findings import Finding
from twin.scene.surfaces import Surface
from twin.scene.triangles import vertical_hits

Indices = npt.NDArray[np.int64]

# Vertices this close are one [m].
_WELD_M = 1e-5
# Two parallel sheets between these distances are the sides of one wall or slab [m].
_THINNEST_M, _THICKEST_M = 1e-3, 0.5
# Of walls and slabs, and not of furniture, are those that share this [m2].
_SHARED_M2 = 2.0
# So many of the ways to receivers through them are more than a detail.
_MANY = 0.05
# What bounds the time: triangles of a mesh, points held against triangles in one go and in all.
_MOST_TRIANGLES = 50_000
_BLOCK, _MOST_PAIRS = 40, 2_000_000


def errors(site: Site, surfaces: Sequence[Surface], points: Points) -> Iterator[Finding]:
    """Access points or receivers in a mesh that the other ones are outside of.

    Args:
        site: under check.
        surfaces: it is built of.
        points: of all its receivers, (n, 3) [m].
    """
    aps = [ap for _, ap in site.sound("access_points", site.scene.access_points)]
    masts = np.array([ap.position_m for ap in aps], dtype=np.float64).reshape(-1, 3)
    devices = np.concatenate([masts, points])
    for mesh in site.scene.meshes:
        parts = [s for s in surfaces if mesh_of(s.name, site.scene) == mesh.name and len(s.faces)]
        if not parts:
            continue
        triangles = np.concatenate([part.vertices[part.faces] for part in parts])
        sending, hearing = np.split(inside(triangles, devices), [len(masts)])
        # What is closed is asked last: that takes longest.
        if sending.any() == hearing.any() or not _closed(parts):
            continue
        if sending.any():
            for ap, mast in zip(np.array(aps, dtype=object)[sending], masts[sending], strict=True):
                yield site.finding(
                    "error",
                    f"access_points.{ap.name}.position_m",
                    f"a place outside mesh {mesh.name!r}, which holds no receiver",
                    f"{coordinates([mast])}, inside it",
                    "Move the access point or the mesh",
                    at=mast,
                )
        else:
            yield site.finding(
                "error",
                "receivers",
                f"receivers outside mesh {mesh.name!r}, which holds no access point",
                f"{which(points, hearing)} inside it",
                "Shrink the receiver area, or move the mesh",
                at=points[hearing][0],
            )


def warnings(site: Site, surfaces: Sequence[Surface]) -> Iterator[Finding]:
    """Meshes that stick out of the shells of a place that has no outdoors; walls as bodies."""
    if not site.is_open:
        yield from _sticking_out(site, surfaces)
    for mesh in site.scene.meshes:
        yield from _doubled(site, mesh.name, surfaces, site.receivers())


def _sticking_out(site: Site, surfaces: Sequence[Surface]) -> Iterator[Finding]:
    for mesh in site.scene.meshes:
        corners = [s.vertices for s in surfaces if mesh_of(s.name, site.scene) == mesh.name]
        if not corners:
            continue
        vertices = np.concatenate(corners)
        out = np.ones(len(vertices), dtype=np.bool_)
        for shell in site.shells:
            plan = shapely.dwithin(shell.declared, shapely.points(vertices[:, :2]), TOUCH_M)
            level = vertices[:, 2] >= shell.bottom_m - TOUCH_M
            out &= ~(plan & level & (vertices[:, 2] <= shell.top_m + TOUCH_M))
        if out.any():
            yield site.finding(
                "warning",
                f"meshes.{mesh.name}.position_m",
                "a mesh inside the room or storeys",
                f"{which(vertices, out)} of its vertices outside",
                "Change position_m, yaw_deg, scale or y_up",
                at=vertices[out][0],
            )


def _doubled(
    site: Site, mesh: str, surfaces: Sequence[Surface], points: Points
) -> Iterator[Finding]:
    """Sheets of one material with another of it close behind; nothing passes metal anyway."""
    parts = [s for s in surfaces if mesh_of(s.name, site.scene) == mesh and len(s.faces)]
    if not 0 < sum(len(part.faces) for part in parts) < _MOST_TRIANGLES:
        return
    fronts: dict[str, Points] = {}
    gaps: dict[str, float] = {}
    for material in sorted({part.material for part in parts}):
        if site.scene.materials[material].itu == "metal":
            continue
        mine = [part.vertices[part.faces] for part in parts if part.material == material]
        triangles = np.concatenate(mine)
        number, gap = doubles(triangles)
        if _areas(triangles[number]).sum() >= _SHARED_M2:
            fronts[material] = triangles[number]
            gaps[material] = float(gap.max())
    if not fronts:
        return
    triangles = np.concatenate(list(fronts.values()))
    share = _share_behind(site, triangles, points)
    largest = int(_areas(triangles).argmax())
    listed = ", ".join(
        f"{_areas(front).sum():.3g} m2 of {material} (up to {gaps[material]:.3g} m apart)"
        for material, front in fronts.items()
    )
    yield site.finding(
        "warning" if share >= _MANY else "note",
        f"meshes.{mesh}",
        "one sheet for each wall and slab, whose thickness is that of the material",
        f"two parallel sheets of one material: {listed}; each such wall counts twice, and "
        f"{share:.0%} of the straight ways to receivers lead through one",
        "Keep one sheet of each wall in the file; leave it so where there are two, as of "
        "cupboards and double panes",
        at=triangles[largest].mean(axis=0),
    )


def _share_behind(site: Site, triangles: Points, points: Points) -> float:
    """Share of the straight ways from access points to receivers that meet one of triangles."""
    masts = [ap.position_m for ap in site.scene.access_points if ap.active]
    if not masts or not len(points):
        return 0.0
    corners = triangles.reshape(-1, 3)
    faces = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
    front = Surface("doubled", "", corners, faces)
    _, counts = sheets_between([front], np.array(masts), points)
    return float((counts > 0).mean())


def doubles(triangles: Points) -> tuple[Indices, Points]:
    """Triangles with a parallel one 1 mm to 0.5 m behind their middle.

    Args:
        triangles: (t, 3, 3) [m].

    Returns:
        Numbers (k,) of the triangles in front, each of them once, and the distance (k,) [m] of the
        nearest behind it.
    """
    normal, area = _normals(triangles)
    # Either side of a sheet is its front: normals that differ by a sign are the same.
    rounded = np.round(normal, 3) + 0.0
    first = (rounded != 0.0).argmax(axis=1)
    rounded *= np.sign(np.take_along_axis(rounded, first[:, None], axis=1))
    planes, group = np.unique(rounded, axis=0, return_inverse=True)
    group = group.ravel()
    kept = np.flatnonzero((area > 0.0) & (np.bincount(group)[group] > 1))
    if not len(kept):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    group, corners = group[kept], triangles[kept]
    normal = planes[group] / np.linalg.norm(planes[group], axis=1, keepdims=True)
    depth = np.einsum("kj,kij->ki", normal, corners).mean(axis=1)
    # Seen along the axis that they face most, and side by side: a group of directions a strip.
    axis = np.abs(normal).argmax(axis=1)
    sides = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    flat = np.take_along_axis(corners, sides[:, None, :], axis=2)
    flat -= flat.min(axis=(0, 1))
    flat[..., 0] += (group * (flat[..., 0].max() + 1.0))[:, None]
    tree = shapely.STRtree(shapely.polygons(flat))
    middles = shapely.points(flat.mean(axis=1))
    behind = np.full(len(kept), np.inf)
    pairs = 0
    for start in range(0, len(kept), _BLOCK):
        point, triangle = tree.query(middles[start : start + _BLOCK], predicate="intersects")
        gap = depth[triangle] - depth[start + point]
        close = (gap > _THINNEST_M) & (gap < _THICKEST_M)
        np.minimum.at(behind, start + point[close], gap[close])
        pairs += len(point)
        if pairs > _MOST_PAIRS:
            break
    found = np.isfinite(behind)
    return kept[found], behind[found]


def _normals(triangles: Points) -> tuple[Points, Points]:
    """Unit normals (t, 3), zero of triangles without an area, and areas (t,) [m2]."""
    sides = np.diff(triangles, axis=1)
    normal = np.cross(sides[:, 0], sides[:, 1])
    length = np.linalg.norm(normal, axis=1)
    return normal / np.where(length > 0.0, length, 1.0)[:, None], length / 2.0


def _areas(triangles: Points) -> Points:
    return _normals(triangles)[1]


def inside(triangles: Points, points: Points) -> Mask:
    """Which of the points (n, 3) are inside a closed surface of triangles (t, 3, 3).

    A line straight up from inside meets it an odd number of times. It is drawn a little off the
    point, so that it meets no edge, which would count for both of its triangles.
    """
    if len(points) == 0:
        return np.zeros(0, dtype=np.bool_)
    triangles = triangles[triangles[..., 2].max(axis=1) > points[:, 2].min()]
    aside = points[:, :2] + np.array([1.234567e-5, 0.765432e-5])
    number, height = vertical_hits(triangles, aside)
    above = height > points[number, 2]
    times = np.bincount(number[above], minlength=len(points))
    return np.asarray(times % 2 == 1)


def _closed(parts: Sequence[Surface]) -> bool:
    """Whether every edge is shared by an even number of triangles."""
    vertices = np.concatenate([part.vertices for part in parts])
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = np.concatenate(
        [part.faces + start for part, start in zip(parts, starts, strict=False)]
    ).astype(np.int64)
    cells = np.rint((vertices - vertices.min(axis=0)) / _WELD_M).astype(np.int64)
    # Two coordinates at a time into one number: sorting rows takes ten times as long.
    _, plan = np.unique((cells[:, 0] << 32) + cells[:, 1], return_inverse=True)
    _, welded = np.unique((plan << 32) + cells[:, 2], return_inverse=True)
    corner = welded[faces]
    following = np.roll(corner, -1, axis=1)
    edges = np.minimum(corner, following) * len(vertices) + np.maximum(corner, following)
    edges = np.sort(edges[corner != following])
    return len(edges) % 2 == 0 and bool((edges[0::2] == edges[1::2]).all())
