"""How large a scene is once it is built: triangles, extent, points, wavelengths, channels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from twin.scene.checks.materials import carriers_ghz, unused
from twin.scene.checks.site import Points, Site, mesh_of
from twin.scene.findings import Finding
from twin.scene.surfaces import Surface
from twin.units import SPEED_OF_LIGHT_M_PER_S

MOST_TRIANGLES = 2_000_000
MANY_TRIANGLES = 200_000
FARTHEST_M = 20_000.0
# A mesh smaller than the one is no thing, than the other no place to trace in [m].
_SMALLEST_M, _SMALLEST_PLACE_M = 0.05, 0.5
# Channels of one realisation, complex64, beyond which they are likely not meant [bytes].
_MOST_BYTES = 4 * 2**30
_CHANNEL_BYTES = 8


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
    """Many triangles; meshes of an unlikely size."""
    count = _triangles(surfaces)
    if MANY_TRIANGLES < count <= MOST_TRIANGLES:
        yield site.finding(
            "warning",
            "meshes",
            f"at most {MANY_TRIANGLES} triangles in all",
            f"{count}, most of them of {_largest(surfaces)}: tracing will be slow",
            "Simplify that mesh, or leave out what waves do not notice",
        )
    yield from _small_meshes(site, surfaces)


def notes(site: Site, surfaces: Sequence[Surface], points: Points) -> Iterator[Finding]:
    """The figures, and a warning where one realisation's channels are more than 4 GiB.

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
    yield _channels(site, len(points))
    yield from unused(site)


def _channels(site: Site, points: int) -> Finding:
    scene = site.scene
    ports = sum(ap.ports for ap in scene.access_points if ap.active)
    size = points * ports * scene.subcarriers * _CHANNEL_BYTES
    large = size > _MOST_BYTES
    return site.finding(
        "warning" if large else "note",
        "channels",
        f"at most {_MOST_BYTES // 2**30} GiB for one realisation",
        f"{_bytes(size)} a realisation: {points} points x {ports} ports x {scene.subcarriers} "
        f"subcarriers x {_CHANNEL_BYTES} bytes",
        "Take fewer points, ports (array, polarisation) or subcarriers" if large else "",
    )


def _small_meshes(site: Site, surfaces: Sequence[Surface]) -> Iterator[Finding]:
    meshes: dict[str, list[Points]] = {}
    for item in surfaces:
        mesh = mesh_of(item.name, site.scene)
        if mesh is not None and len(item.vertices):
            meshes.setdefault(mesh, []).append(item.vertices)
    place = len(meshes) == 1 and all(item.name.startswith("mesh ") for item in surfaces)
    what, least = ("place", _SMALLEST_PLACE_M) if place else ("mesh", _SMALLEST_M)
    for mesh, parts in meshes.items():
        vertices = np.concatenate(parts)
        sides = vertices.max(axis=0) - vertices.min(axis=0)
        if sides.max() < least:
            yield site.finding(
                "warning",
                f"meshes.{mesh}.scale",
                f"a {what} of {least:g} m or more in some direction",
                " x ".join(f"{side:.3g}" for side in sides) + " m",
                "Lengths are in metres: is `scale` meant for a file in cm or mm, and this in "
                "metres already?",
                at=vertices.mean(axis=0),
            )


def _bytes(size: int) -> str:
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 2**power:
            return f"{size / 2**power:.3g} {unit}"
    return f"{size} bytes"


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
