"""Sheets that lie in one plane and over each other, so that no ray meets them in a defined order.

Two sheets at the very same place are met in the order that rounding gives them: which of them
reflects, and whether both or one are counted on the way through, differs from machine to machine.
That is an error where they are of different materials. Of one material the choice makes no
difference, but the count does: a warning. Walls of two storeys are an error of any material, as one
outline with an inner wall says what is meant. A warning too is a common wall of two buildings,
which only rays see that have come through another wall already, and so are sheets so close that a
tracer which steps off a surface before it goes on may step over the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.checks.site import Points, Site, coordinates, mesh_of
from twin.scene.findings import Finding
from twin.scene.surfaces import Surface

Indices = npt.NDArray[np.int64]

# Sheets that share less than this touch along an edge [m2].
_OVERLAP_M2 = 1e-3
# Storeys whose plans share less than this lie beside each other [m2].
_OVERLAP_PLAN_M2 = 0.01
# Apart by no more than single precision can tell: units in the last place of the coordinates.
_SAME_ULPS = 4.0
# Apart by less than this they are told of as all but one [m].
CLOSE_M = 2e-3
# Sine of the angle below which two sheets are parallel: 2 mm over 2 m.
_PARALLEL = 1e-3
# More triangles than these are only those of meshes, whose own making is not judged here.
MOST_TRIANGLES = 50_000


def coincident(site: Site, surfaces: Sequence[Surface]) -> Iterator[Finding]:
    """Errors, then warnings; one for each pair of surfaces that overlaps in a plane.

    Meshes are left out where the scene has more than 50,000 triangles.
    """
    if sum(len(surface.faces) for surface in surfaces) > MOST_TRIANGLES:
        surfaces = [item for item in surfaces if not item.name.startswith("mesh ")]
    # Parts of one mesh file are as their author made them.
    bodies = [_body(item.name, mesh_of(item.name, site.scene)) for item in surfaces]
    corners = [item.vertices[item.faces] for item in surfaces if len(item.faces)]
    if not corners:
        return
    triangles = np.concatenate(corners)
    owner = np.repeat(np.arange(len(surfaces)), [len(item.faces) for item in surfaces])
    storeys = [_storey(item.name, site) for item in surfaces]
    same = _SAME_ULPS * float(np.finfo(np.float32).eps) * float(np.abs(triangles).max())

    def both_of(i: int, j: int) -> bool:
        return storeys[i] is not None and storeys[j] is not None and storeys[i] != storeys[j]

    told = [
        (
            0 if both_of(i, j) and gap <= same else _severity(surfaces[i], surfaces[j], gap, same),
            i,
            j,
            area,
            place,
            gap,
        )
        for (i, j), (area, place, gap) in _overlaps(triangles, owner).items()
        if bodies[i] != bodies[j]
        and not (both_of(i, j) and _in_each_other(site, storeys[i], storeys[j]))
    ]
    for level, i, j, area, place, gap in sorted(told, key=lambda item: item[0]):
        one, other = surfaces[i], surfaces[j]
        apart = "in one plane" if gap < 1e-5 else f"{gap * 1e3:.2g} mm apart"
        materials = (
            f"both of {one.material}"
            if one.material == other.material
            else f"of {other.material} and {one.material}"
        )
        yield site.finding(
            "error" if level == 0 else "warning",
            f"storeys.{storeys[j]}"
            if both_of(i, j)
            else _key(other.name, mesh_of(other.name, site.scene)),
            "sheets that a ray meets in a defined order",
            f"{other.name!r} and {one.name!r}, {materials}, are {apart} and share {area:.3g} m2 "
            f"at {coordinates([place])}",
            _one_outline(storeys[i], storeys[j]) if both_of(i, j) else _cure(one.name, other.name),
            at=place,
        )


def _one_outline(one: str | None, other: str | None) -> str:
    return (
        f"Draw one outline around {one!r} and {other!r}, with an inner wall between the rooms; or "
        "leave 1 cm between them, and both walls count"
    )


def _cure(one: str, other: str) -> str:
    """What to do about two surfaces in one plane, by what is easiest to move of them."""
    pair = (other, one)
    for start, cure in (
        ("opening ", "Swing the leaf of {} to another angle, at least 5 deg off"),
        ("vehicle ", "Move {} at least 1 cm along its road"),
        ("person ", "Move {} at least 1 cm off"),
        ("furniture ", "Move {} at least 1 cm off"),
        ("mesh ", "Move {} at least 1 cm off, or take the faces in common out of its file"),
        ("inner wall ", "Let {} end where it meets the other, or move it at least 1 cm off"),
        ("building ", "Leave 1 cm between them, or draw one footprint around {} and the other"),
    ):
        mine = next((name for name in pair if name.startswith(start)), None)
        if mine is not None:
            return cure.format(repr(mine))
    return "Leave at least 1 cm between them, or let only one of them be there"


def _severity(one: Surface, other: Surface, gap: float, same: float) -> int:
    party = all(item.name.startswith("building ") for item in (one, other))
    return 0 if gap <= same and one.material != other.material and not party else 1


def _storey(surface: str, site: Site) -> str | None:
    """Name of the storey that a surface, ``STOREY wall 0``, is an outer wall of."""
    name, _, edge = surface.rpartition(" wall ")
    storeys = {storey.name for storey in site.scene.storeys}
    return name if name in storeys and edge.isdecimal() else None


def _in_each_other(site: Site, one: str | None, other: str | None) -> bool:
    """Whether two storeys share plan and height, which is an error of its own."""
    shells = [site.shell(name) for name in (one, other)]
    plans = [shell.declared for shell in shells if shell is not None]
    return len(plans) == 2 and bool(plans[0].intersection(plans[1]).area > _OVERLAP_PLAN_M2)


def _overlaps(
    triangles: Points, owner: Indices
) -> dict[tuple[int, int], tuple[float, Points, float]]:
    """Shared area [m2], its middle and the distance [m], for pairs of owners that share some."""
    first, second = _candidates(triangles, owner)
    found: dict[tuple[int, int], tuple[float, Points, float]] = {}
    if not len(first):
        return found
    normal = _normals(triangles[first])
    # Seen along the axis that they face most; the other two are the plan.
    axis = np.abs(normal).argmax(axis=1)
    kept = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    flat = [
        np.take_along_axis(triangles[index], kept[:, None, :], axis=2) for index in (first, second)
    ]
    shapes = [shapely.polygons(np.concatenate([item, item[:, :1]], axis=1)) for item in flat]
    shared = shapely.intersection(*shapes)
    slant = np.take_along_axis(np.abs(normal), axis[:, None], axis=1)[:, 0]
    area = shapely.area(shared) / slant
    distance = np.abs(np.sum((triangles[second] - triangles[first][:, :1]) * normal[:, None], -1))
    for k in np.flatnonzero(area > 0.0):
        i, j = sorted((int(owner[first[k]]), int(owner[second[k]])))
        centre = shapely.get_coordinates(shapely.centroid(shared[k]))[0]
        place = _lifted(centre, kept[k], int(axis[k]), normal[k], triangles[first[k], 0])
        total, mean, gap = found.get((i, j), (0.0, place, np.inf))
        share = float(area[k]) / (total + float(area[k]))
        found[i, j] = (
            total + float(area[k]),
            mean + share * (place - mean),
            min(gap, float(distance[k].max())),
        )
    return {pair: item for pair, item in found.items() if item[0] > _OVERLAP_M2}


def _candidates(triangles: Points, owner: Indices) -> tuple[Indices, Indices]:
    """Pairs of triangles of different owners that lie in one plane and have boxes in common."""
    low, high = triangles.min(axis=1) - CLOSE_M, triangles.max(axis=1) + CLOSE_M
    # The tree asks only for the extent of what it holds, which a diagonal has as well.
    plan = shapely.linestrings(np.stack([low[:, :2], high[:, :2]], axis=1))
    first, second = shapely.STRtree(plan).query(plan)
    keep = owner[first] < owner[second]
    first, second = first[keep], second[keep]
    keep = (low[first, 2] <= high[second, 2]) & (low[second, 2] <= high[first, 2])
    first, second = first[keep], second[keep]
    normal = _normals(triangles)
    keep = np.linalg.norm(np.cross(normal[first], normal[second]), axis=1) < _PARALLEL
    # One without an area has no direction.
    keep &= normal[first].any(axis=1) & normal[second].any(axis=1)
    first, second = first[keep], second[keep]
    # Of the smaller in the plane of the larger.
    size = np.linalg.norm(high - low, axis=1)
    larger = np.where(size[first] >= size[second], first, second)
    smaller = np.where(size[first] >= size[second], second, first)
    off = np.sum((triangles[smaller] - triangles[larger][:, :1]) * normal[larger][:, None], -1)
    keep = np.abs(off).max(axis=1) < CLOSE_M
    return larger[keep], smaller[keep]


def _normals(triangles: Points) -> Points:
    sides = np.diff(triangles, axis=1)
    normal = np.cross(sides[:, 0], sides[:, 1])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return np.asarray(normal / np.where(length > 0.0, length, 1.0))


def _lifted(centre: Points, kept: Indices, axis: int, normal: Points, corner: Points) -> Points:
    """The point of a triangle's plane over a point of its plan."""
    place = np.empty(3)
    place[kept] = centre
    place[axis] = corner[axis]
    place[axis] -= np.dot(normal[kept], place[kept] - corner[kept]) / normal[axis]
    return place


def _body(name: str, mesh: str | None) -> str:
    """What a surface belongs to, so that the parts of one thing are not held against each other."""
    if mesh is not None:
        return f"mesh {mesh}"
    return name.rsplit(" ", 1)[0] if name.startswith("building ") else name


def _key(name: str, mesh: str | None) -> str:
    """Place in the declaration of what a surface was built from."""
    if mesh is not None:
        return f"meshes.{mesh}"
    for start, kind in (
        ("inner wall ", "walls"),
        ("opening ", "openings"),
        ("furniture ", "furniture"),
        ("person ", "people"),
        ("vehicle ", "vehicles"),
        ("road ", "roads"),
    ):
        if name.startswith(start):
            return f"{kind}.{name.removeprefix(start)}"
    if name.startswith("building "):
        return f"buildings.{name.removeprefix('building ').rsplit(' ', 1)[0]}"
    return name
