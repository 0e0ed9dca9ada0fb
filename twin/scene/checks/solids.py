"""Devices inside closed meshes, and meshes outside of shells.

A closed mesh that holds access points and receivers is a room; one that holds only the ones or only
the others is a solid that they were put into by mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import shapely

from twin.scene.checks.site import TOUCH_M, Mask, Points, Site, coordinates, mesh_of, which
from twin.scene.findings import Finding
from twin.scene.surfaces import Surface
from twin.scene.triangles import vertical_hits

# Vertices this close are one [m].
_WELD_M = 1e-5


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
    """Meshes that stick out of the shells of a place that has no outdoors."""
    if site.is_open:
        return
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
