"""Names used twice, and names of parts that are not there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from twin.scene.checks.site import KINDS, Site
from twin.scene.findings import Finding

_IN_STOREYS = ("walls", "openings", "furniture", "clutter", "people", "receivers")


def errors(site: Site) -> Iterator[Finding]:
    """Duplicates and references into nothing; parts that refer into nothing are spoilt."""
    yield from _duplicates(site)
    yield from _clutter(site)
    yield from _storeys(site)
    yield from _openings(site)
    yield from _vehicles(site)


def _duplicates(site: Site) -> Iterator[Finding]:
    for kind in KINDS:
        counts = Counter(part.name for part in getattr(site.scene, kind))
        for name in sorted(name for name, count in counts.items() if count > 1):
            # Which of them is meant nobody knows.
            site.spoil(kind, name)
            yield site.finding(
                "error",
                kind,
                "a name of its own for each",
                f"{name!r} {counts[name]} times",
                "Rename all but one of them",
            )


def _clutter(site: Site) -> Iterator[Finding]:
    """Things of the clutter are called NAME_0, NAME_1 and so on."""
    clutter = {item.name for item in site.scene.clutter}
    for key, item in list(site.sound("furniture", site.scene.furniture)):
        numbered = re.fullmatch(r"(.+)_\d+", item.name)
        if numbered and numbered[1] in clutter:
            site.spoil("furniture", item.name)
            yield site.finding(
                "error",
                f"{key}.name",
                f"no name that a thing of clutter {numbered[1]!r} has (its name and a number)",
                item.name,
                "Rename the one or the other",
            )


def _storeys(site: Site) -> Iterator[Finding]:
    known = [shell.name for shell in site.scene.shells]
    listed = ", ".join(known) or "none: there is neither a room nor a storey"
    cure = "Correct the name, or leave it out for the first storey" if known else "Leave it out"
    for kind in _IN_STOREYS:
        for key, part in list(site.sound(kind, getattr(site.scene, kind))):
            if part.storey is not None and part.storey not in known:
                site.spoil(kind, part.name)
                yield site.finding(
                    "error",
                    f"{key}.storey",
                    f"one of the scene's storeys ({listed})",
                    part.storey,
                    cure,
                )


def _openings(site: Site) -> Iterator[Finding]:
    scene = site.scene
    walls = {wall.name: wall for wall in scene.walls}
    shells = {shell.name: shell for shell in scene.shells}
    for key, item in list(site.sound("openings", scene.openings)):
        problem: tuple[str, str, object] | None = None
        if item.wall is not None:
            wall = walls.get(item.wall)
            if wall is None:
                listed = ", ".join(walls) or "none"
                problem = ("wall", f"one of the scene's inner walls ({listed})", item.wall)
            elif item.segment >= len(wall.path_m) - 1:
                last = len(wall.path_m) - 2
                problem = ("segment", f"a segment of wall {item.wall!r}, 0 to {last}", item.segment)
        elif not shells:
            problem = ("edge", "a room or storey whose edge it is in", "neither")
        else:
            shell = shells[item.storey] if item.storey is not None else scene.shells[0]
            if item.edge is not None and item.edge >= len(shell.outline_m):
                last = len(shell.outline_m) - 1
                expected = f"an edge of the outline of {shell.name!r}, 0 to {last}"
                problem = ("edge", expected, item.edge)
        if problem is not None:
            field, expected, found = problem
            site.spoil("openings", item.name)
            cure = (
                "Correct the name, or declare the wall"
                if field == "wall"
                else "Correct the number; it counts from 0 at the start of the path or outline"
            )
            yield site.finding("error", f"{key}.{field}", expected, str(found), cure)


def _vehicles(site: Site) -> Iterator[Finding]:
    roads = {road.name: road for road in site.scene.roads}
    for key, item in list(site.sound("vehicles", site.scene.vehicles)):
        road = roads.get(item.road)
        if road is None:
            site.spoil("vehicles", item.name)
            listed = ", ".join(roads) or "none"
            yield site.finding(
                "error",
                f"{key}.road",
                f"one of the scene's roads ({listed})",
                item.road,
                "Correct the name, or declare the road",
            )
        elif item.lane >= road.lanes:
            site.spoil("vehicles", item.name)
            yield site.finding(
                "error",
                f"{key}.lane",
                f"a lane of road {item.road!r}, 0 (left) to {road.lanes - 1}",
                str(item.lane),
                f"Correct it, or give roads.{item.road} more lanes",
            )
