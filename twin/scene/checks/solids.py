"""Devices inside closed meshes.

A closed mesh that holds access points and receivers is a room; one that holds only the ones or only
the others is a solid that they were put into by mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from twin.scene.checks.site import Mask, Points, Site, coordinates, which
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
    for mesh in site.scene.meshes:
        parts = [
            item.vertices[item.faces]
            for item in surfaces
            if item.name.startswith(f"mesh {mesh.name} ") and len(item.faces)
        ]
        if not parts:
            continue
        triangles = np.concatenate(parts)
        if not _closed(triangles):
            continue
        sending, hearing = inside(triangles, masts), inside(triangles, points)
        if sending.any() and not hearing.any():
            for ap, mast in zip(np.array(aps, dtype=object)[sending], masts[sending], strict=True):
                yield site.finding(
                    "error",
                    f"access_points.{ap.name}.position_m",
                    f"a place outside mesh {mesh.name!r}, which holds no receiver",
                    f"{coordinates([mast])}, inside it",
                    "Move the access point or the mesh",
                    at=mast,
                )
        elif hearing.any() and not sending.any():
            yield site.finding(
                "error",
                "receivers",
                f"receivers outside mesh {mesh.name!r}, which holds no access point",
                f"{which(points, hearing)} inside it",
                "Shrink the receiver area, or move the mesh",
                at=points[hearing][0],
            )


def inside(triangles: Points, points: Points) -> Mask:
    """Which of the points (n, 3) are inside a closed surface of triangles (t, 3, 3).

    A line straight up from inside meets it an odd number of times. It is drawn a little off the
    point, so that it meets no edge, which would count for both of its triangles.
    """
    aside = points[:, :2] + np.array([1.234567e-5, 0.765432e-5])
    number, height = vertical_hits(triangles, aside)
    above = height > points[number, 2]
    times = np.bincount(number[above], minlength=len(points))
    return np.asarray(times % 2 == 1)


def _closed(triangles: Points) -> bool:
    """Whether every edge is shared by two triangles."""
    cells = np.rint(triangles.reshape(-1, 3) / _WELD_M).astype(np.int64)
    _, corner = np.unique(cells, axis=0, return_inverse=True)
    corner = corner.reshape(-1, 3)
    sides = np.sort(np.stack([corner, np.roll(corner, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    sides = sides[sides[:, 0] != sides[:, 1]]
    _, uses = np.unique(sides, axis=0, return_counts=True)
    return bool((uses % 2 == 0).all())
