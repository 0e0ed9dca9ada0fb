"""Furniture, clutter, people and meshes: that they stand where such things can stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import shapely

from twin.scene.checks.site import TOUCH_M, Shell, Site, coordinates
from twin.scene.checks.walls import through_ceiling
from twin.scene.contents import CATALOGUE, Clutter, Furniture, Person
from twin.scene.findings import Finding
from twin.scene.furnishing import number_of

# Things of one clutter, and the share of its area that they may fill: each may be tried at 200
# places, and takes longer the fuller it gets.
_MOST_THINGS = 1_000
_FULLEST = 0.5
# No wave of the bands in use takes notice of a thing smaller than this [m].
_SMALLEST_M = 0.05


def errors(site: Site) -> Iterator[Finding]:
    """Things outside their shell or through its ceiling, clutter without end, unusable meshes."""
    for key, item in list(site.sound("furniture", site.scene.furniture)):
        shell = site.shell(item.storey)
        if shell is not None:
            yield from _furniture(site, key, item, shell)
    for key, clutter in list(site.sound("clutter", site.scene.clutter)):
        problems = list(_clutter(site, key, clutter))
        yield from problems
        if problems:
            site.spoil("clutter", clutter.name)
    for key, person in list(site.sound("people", site.scene.people)):
        yield from _person(site, key, person)
    if site.scene.meshes:
        from twin.scene.meshes import mesh_faults
    for key, mesh in list(site.sound("meshes", site.scene.meshes)):
        faults = mesh_faults(mesh, site.scene.folder, site.where, key)
        if faults:
            site.spoil("meshes", mesh.name)
        for fault in faults:
            yield Finding("error", fault)


def warnings(site: Site) -> Iterator[Finding]:
    """Things too small for any; clutter that found no place for all of its things."""
    for key, item in site.sound("furniture", site.scene.furniture):
        if max(item.extent_m) < _SMALLEST_M:
            yield site.finding(
                "warning",
                f"{key}.size_m",
                f"a thing of {_SMALLEST_M:g} m or more in some direction",
                " x ".join(f"{side:g}" for side in item.extent_m) + " m",
                "Lengths are in metres, check the unit; leave out what is as small as that",
                at=item.centre_m,
            )
    declared = {item.name for item in site.scene.furniture}
    placed = Counter(
        item.name.rsplit("_", maxsplit=1)[0]
        for item in site.furnished().furniture
        if item.name not in declared
    )
    for key, clutter in site.sound("clutter", site.scene.clutter):
        missing = number_of(clutter) - placed[clutter.name]
        if clutter.present and missing:
            yield site.finding(
                "warning",
                f"{key}.density_per_m2",
                "an area with places for all things of the clutter",
                f"none for {missing} of {number_of(clutter)}, which are left out",
                "Lower density_per_m2 or gap_m, or widen area_m",
                at=_middle(shapely.Polygon(clutter.area_m)),
            )


def _furniture(site: Site, key: str, item: Furniture, shell: Shell) -> Iterator[Finding]:
    corners = item.footprint()
    if not shell.within.covers(shapely.Polygon(corners)):
        yield site.finding(
            "error",
            f"{key}.centre_m",
            f"a box that stands wholly inside {shell.key}.outline_m",
            f"corners {coordinates(corners)}",
            "Move it, turn it, or make it smaller",
            at=item.centre_m,
        )
    if shell.bottom_m + item.top_m > shell.top_m + TOUCH_M:
        yield through_ceiling(site, key, item.top_m, shell, item.centre_m)


def _clutter(site: Site, key: str, clutter: Clutter) -> Iterator[Finding]:
    problem = site.ring(f"{key}.area_m", clutter.area_m)
    if problem is not None:
        yield problem
        return
    if clutter.kind not in CATALOGUE:
        for field in ("size_m", "material"):
            if getattr(clutter, field) is None:
                yield site.finding(
                    "error",
                    f"{key}.{field}",
                    f"a value, as kind {clutter.kind!r} has no usual one",
                    "none",
                    f"Give {field}, or a kind of the catalogue: {', '.join(CATALOGUE)}",
                )
    area = shapely.Polygon(clutter.area_m)
    usual = CATALOGUE.get(clutter.kind)
    size = clutter.size_m or (usual.size_m if usual else (0.0, 0.0, 0.0))
    number = number_of(clutter)
    most = min(_MOST_THINGS, _FULLEST * area.area / max(size[0] * size[1], 1e-6))
    if number > most:
        yield site.finding(
            "error",
            f"{key}.density_per_m2",
            f"at most {int(most)} things of {size[0]:g} x {size[1]:g} m in {area.area:.4g} m2",
            f"{number}, {clutter.density_per_m2:g} a square metre",
            f"Lower it to at most {int(most) / area.area:.3g}",
            at=_middle(area),
        )
    shell = site.shell(clutter.storey)
    if shell is None:
        return
    if not shell.within.covers(area):
        beyond = area.difference(shell.declared)
        yield site.finding(
            "error",
            f"{key}.area_m",
            f"an area inside {shell.key}.outline_m",
            f"{beyond.area:.3g} m2 of it outside",
            "Move the corners that lie outside",
            at=_middle(beyond),
        )
    if size[2] > shell.storey.height_m + TOUCH_M:
        yield through_ceiling(site, key, size[2], shell, clutter.area_m[0])


def _person(site: Site, key: str, person: Person) -> Iterator[Finding]:
    path = shapely.LineString(person.path_m)
    if path.length < TOUCH_M:
        site.spoil("people", person.name)
        yield site.finding(
            "error",
            f"{key}.path_m",
            "a path with a length",
            f"{path.length:g} m",
            "Let its points be apart, and set speed_m_per_s to 0 for somebody who stands",
            at=person.path_m[0],
        )
        return
    shell = site.shell(person.storey)
    if shell is None:
        return
    if not shell.within.covers(path):
        beyond = path.difference(shell.declared)
        yield site.finding(
            "error",
            f"{key}.path_m",
            f"a path inside {shell.key}.outline_m",
            f"{coordinates(person.path_m)}, of which {beyond.length:.3g} m lie outside",
            "Move the points that lie outside",
            at=shapely.get_coordinates(beyond)[0],
        )
    if person.size_m[2] > shell.storey.height_m + TOUCH_M:
        yield through_ceiling(site, key, person.size_m[2], shell, person.path_m[0])


def _middle(shape: shapely.Geometry) -> tuple[float, float]:
    point = shape.representative_point()
    return float(point.x), float(point.y)
