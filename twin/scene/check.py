"""What can be wrong with a scene, all of it at once and before any work.

`check` finds what makes a scene unusable and is asked before every trace. `findings` adds what is
likely not meant, and the figures an author wants to see.
"""

from __future__ import annotations

from collections.abc import Iterator

import shapely

from twin.errors import Fault
from twin.scene.checks import (
    contents,
    materials,
    names,
    openings,
    outdoors,
    radio,
    ranges,
    sheets,
    shells,
    sight,
    size,
    solids,
    standing,
    walls,
    weather,
)
from twin.scene.checks.site import Site
from twin.scene.declaration import Scene
from twin.scene.findings import LEVELS, Finding
from twin.scene.geometry import build
from twin.scene.surfaces import Surface

# Interactions that solvers follow where nobody says otherwise.
MAX_DEPTH = 3


def check(scene: Scene, where: str) -> list[Fault]:
    """All errors of a declaration; empty where it is sound.

    Args:
        scene: the declaration.
        where: what the faults name as their place, such as the file.
    """
    site = Site(scene, where)
    found, surfaces = _errors(site)
    del surfaces
    return [item.fault for item in found if item.level == "error"]


def findings(scene: Scene, where: str, *, max_depth: int = MAX_DEPTH) -> tuple[Finding, ...]:
    """Errors, warnings and notes on a scene, in this order.

    A part with an error gets no warnings for what follows from it; lines of sight and figures are
    given for scenes without errors only.

    Args:
        scene: the declaration.
        where: what the findings name as their place, such as the file.
        max_depth: interactions of the solver that partitions are held against.
    """
    site = Site(scene, where)
    found, surfaces = _errors(site)
    sound = not any(item.level == "error" for item in found)
    if site.shells_are_sound:
        found += [*_warnings(site), *walls.rooms(site)]
    if sound:
        points = site.receivers()
        found += [
            *solids.warnings(site, surfaces),
            *size.warnings(site, surfaces),
            *sight.warnings(site, surfaces, points, max_depth),
            *materials.layers(site),
            *size.notes(site, surfaces, points),
        ]
    return tuple(item for level in LEVELS for item in found if item.level == level)


def _errors(site: Site) -> tuple[list[Finding], tuple[Surface, ...]]:
    """Findings of all checks that find errors, and what can be built of the scene."""
    found: list[Finding] = []
    # In this order: each leaves out what the ones before have found to be spoilt.
    for errors in (
        ranges.errors,
        names.errors,
        materials.errors,
        weather.errors,
        shells.errors,
        walls.errors,
        openings.errors,
        contents.errors,
        outdoors.errors,
        radio.errors,
    ):
        found += errors(site)
    if not site.shells_are_sound:
        return found, ()
    try:
        surfaces = build(site.furnished())
    except (shapely.errors.GEOSException, KeyError) as error:
        # Corners all but in one place can be more than cutting and triangulating stands.
        expected = "shapes that can be cut out of each other and triangulated"
        cure = "Keep corners and edges that do not meet at least 1 mm apart"
        found.append(site.finding("error", "", expected, str(error), cure))
        return found, ()
    found += size.errors(site, surfaces)
    found += sheets.coincident(site, surfaces)
    if site.scene.meshes and not any(item.level == "error" for item in found):
        found += solids.errors(site, surfaces, site.receivers())
    return found, surfaces


def _warnings(site: Site) -> Iterator[Finding]:
    yield from shells.warnings(site)
    yield from walls.warnings(site)
    yield from openings.warnings(site)
    yield from contents.warnings(site)
    yield from standing.warnings(site)
    yield from outdoors.warnings(site)
    yield from radio.warnings(site)
