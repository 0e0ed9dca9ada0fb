"""How large a scene is once it is built: triangles, extent, points, wavelengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from twin.scene.checks.materials import carriers_ghz
from twin.scene.checks.site import Points, Site
from twin.scene.findings import Finding
from twin.scene.surfaces import Surface
from twin.units import SPEED_OF_LIGHT_M_PER_S

MOST_TRIANGLES = 2_000_000
MANY_TRIANGLES = 200_000
FARTHEST_M = 20_000.0


def errors(site: Site, surfaces: Sequence[Surface]) -> Iterator[Finding]:
    """Too many triangles, too large a place, and names that two surfaces would share."""
    count = _triangles(surfaces)
    if count > MOST_TRIANGLES:
        yield site.finding(
            "error",
            "meshes",
            f"at most {MOST_TRIANGLES} triangles in all",
            f"{count}, most of them of {_largest(surfaces)}",
            "Simplify that mesh, or leave out what waves do not notice",
        )
    extent = _extent(site, surfaces)
    if extent.max() > FARTHEST_M:
        yield site.finding(
            "error",
            "extent",
            f"a place at most {FARTHEST_M / 1e3:g} km across",
            " x ".join(f"{side:.4g}" for side in extent) + " m",
            "Move what lies far off to the rest; lengths are in metres",
        )
    counts = Counter(item.name for item in surfaces)
    for name in sorted(name for name, number in counts.items() if number > 1):
        yield site.finding(
            "error",
            name,
            "parts whose sheets have names of their own",
            f"{counts[name]} sheets called {name!r}",
            "Rename one of the parts behind them",
        )


def warnings(site: Site, surfaces: Sequence[Surface]) -> Iterator[Finding]:
    """Many triangles."""
    count = _triangles(surfaces)
    if MANY_TRIANGLES < count <= MOST_TRIANGLES:
        yield site.finding(
            "warning",
            "meshes",
            f"at most {MANY_TRIANGLES} triangles in all",
            f"{count}, most of them of {_largest(surfaces)}: tracing will be slow",
            "Simplify that mesh, or leave out what waves do not notice",
        )


def notes(site: Site, surfaces: Sequence[Surface], points: Points) -> Iterator[Finding]:
    """The figures.

    Args:
        site: under check.
        surfaces: it is built of.
        points: of all its receivers, (n, 3) [m].
    """
    found = f"{_triangles(surfaces)} in {len(surfaces)} surfaces"
    yield site.finding("note", "triangles", f"at most {MOST_TRIANGLES}", found)
    extent = " x ".join(f"{side:.4g}" for side in _extent(site, surfaces)) + " m"
    yield site.finding("note", "extent", f"at most {FARTHEST_M / 1e3:g} km", extent)
    areas = len(site.scene.receivers)
    found = f"{len(points)} in {areas} area{'' if areas == 1 else 's'}"
    yield site.finding("note", "receivers", "at least one", found)
    carriers = "; ".join(
        f"{carrier:g} GHz, wavelength {SPEED_OF_LIGHT_M_PER_S / carrier / 1e7:.3g} cm"
        for carrier in carriers_ghz(site)
    )
    yield site.finding("note", "carriers", "at least one", carriers)


def _triangles(surfaces: Sequence[Surface]) -> int:
    return sum(len(item.faces) for item in surfaces)


def _largest(surfaces: Sequence[Surface]) -> str:
    return repr(max(surfaces, key=lambda item: len(item.faces)).name)


def _extent(site: Site, surfaces: Sequence[Surface]) -> Points:
    """Sides (3,) [m] of the box around everything, access points included."""
    masts = np.array([ap.position_m for ap in site.scene.access_points])
    parts = [item.vertices for item in surfaces if len(item.vertices)]
    low = np.min([part.min(axis=0) for part in [masts, *parts]], axis=0)
    high = np.max([part.max(axis=0) for part in [masts, *parts]], axis=0)
    return np.asarray(high - low)
