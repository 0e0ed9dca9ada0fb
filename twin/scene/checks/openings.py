"""Doors and windows: that they fit into their walls, and that their leaves swing free."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import shapely

from twin.scene.checks.site import TOUCH_M, Points, Shell, Site, coordinates
from twin.scene.checks.walls import Segments, by_shell, span
from twin.scene.findings import Finding
from twin.scene.openings import Hole, hole_of

# From its hinge to where a leaf is clear of its own wall [m].
_HINGE_M = 0.02
# Walls may end at the bars of closed windows wider than this [m].
_BAND_M = 3.0


def errors(site: Site) -> Iterator[Finding]:
    """Openings that stick out of their wall or lie over each other; the former are spoilt."""
    scene = site.scene
    lost = {wall.name for wall in scene.walls} - {
        w.name for _, w in site.sound("walls", scene.walls)
    }
    holes: list[tuple[str, Hole]] = []
    for key, item in list(site.sound("openings", scene.openings)):
        if item.wall in lost:
            site.spoil("openings", item.name)
            continue
        hole = hole_of(scene, item)
        if hole is None:
            raise AssertionError("what names no wall with a length is spoilt by now")
        problems = [*_along(site, key, hole), *_upward(site, key, hole)]
        yield from problems
        if problems:
            site.spoil("openings", item.name)
        else:
            holes.append((key, hole))
    yield from _over_each_other(site, holes)


def warnings(site: Site) -> Iterator[Finding]:
    """Walls that end in an opening; open leaves that stand in a wall or in each other."""
    shells = {id(shell): segments for shell, segments in by_shell(site)}
    missing = {wall.name for wall in site.scene.walls if not wall.present}
    for key, item in site.sound("openings", site.scene.openings):
        hole = None if item.wall in missing else hole_of(site.scene, item)
        segments = None if hole is None else shells.get(id(_shell(site, hole)))
        band = item.kind == "window" and item.state == "closed" and item.width_m > _BAND_M
        if hole is not None and segments is not None and not band:
            yield from _walls_in(site, key, hole, segments)
    swung: list[tuple[str, Hole, shapely.LineString]] = []
    for key, hole, leaf in leaves(site):
        if hole.opening.state == "closed":
            continue
        shell = _shell(site, hole)
        line = shapely.LineString(leaf)
        # Without its hinge, which is in its own wall, and without what only touches.
        ends = shapely.line_interpolate_point(line, [_HINGE_M, line.length - TOUCH_M])
        free = shapely.LineString(ends)
        for what in _walls_through(hole, free, shell, shells.get(id(shell))):
            yield _not_free(site, key, hole, leaf[1], "walls", what)
        swung.append((key, hole, free))
    yield from _leaves_crossing(site, swung)


def _walls_in(site: Site, key: str, hole: Hole, segments: Segments) -> Iterator[Finding]:
    """Other walls that end in an opening, or run through it; each is told once."""
    middle = 0.5 * (hole.first_m + hole.last_m)
    half = 0.5 * hole.opening.width_m - 2.0 * TOUCH_M
    inner = hole.start + np.outer([middle - half, middle + half], hole.along)
    span_line = shapely.LineString(inner)
    lines = shapely.linestrings(segments.lines)
    own = np.array([name == hole.opening.wall for name in segments.names])[segments.owner]
    own &= segments.number == hole.opening.segment
    met = ~own & (shapely.distance(lines, span_line) <= TOUCH_M)
    met &= (segments.low < hole.top_m - TOUCH_M) & (segments.high > hole.bottom_m + TOUCH_M)
    told: set[int] = set()
    for i in np.flatnonzero(met):
        owner = int(segments.owner[i])
        if owner in told:
            continue
        told.add(owner)
        ends = shapely.get_coordinates(shapely.shortest_line(span_line, lines[i]))
        along = float((ends[0] - hole.start) @ hole.along)
        name = segments.names[owner]
        yield site.finding(
            "warning",
            key,
            "an opening that no other wall ends in or passes through",
            f"wall {name!r} does, at {coordinates([ends[0]])}, {along - hole.first_m:.3g} m into "
            f"its {hole.opening.width_m:g} m",
            f"Move the opening along its wall, or wall {name!r} beyond its side at "
            f"{coordinates([hole.sides[int(along > middle)]])}",
            at=(*ends[0], hole.bottom_m),
        )


def _walls_through(
    hole: Hole, free: shapely.LineString, shell: Shell | None, segments: Segments | None
) -> list[str]:
    """Walls, in words, that a leaf stands in."""
    found: list[str] = []
    if segments is not None:
        crossed = shapely.crosses(shapely.linestrings(segments.lines), free)
        crossed &= (segments.low < hole.top_m - TOUCH_M) & (segments.high > hole.bottom_m + TOUCH_M)
        found += [
            f"wall {name!r}"
            for name in sorted({segments.names[i] for i in segments.owner[crossed]})
        ]
    if shell is not None and shapely.crosses(shell.built.exterior, free):
        found.append(f"the outline of {shell.storey.name!r}")
    return found


def _leaves_crossing(
    site: Site, swung: list[tuple[str, Hole, shapely.LineString]]
) -> Iterator[Finding]:
    if not swung:
        return
    lines = np.array([line for _, _, line in swung], dtype=object)
    first, second = shapely.STRtree(lines).query(lines, predicate="crosses")
    for i, j in zip(first, second, strict=True):
        (_, one, line), (key, other, _) = swung[i], swung[j]
        shared = min(one.top_m, other.top_m) - max(one.bottom_m, other.bottom_m)
        if i < j and shared > TOUCH_M:
            place = shapely.get_coordinates(shapely.intersection(line, lines[j]))[0]
            what = f"the leaf of opening {one.opening.name!r}"
            yield _not_free(site, key, other, place, "other leaves", what)


def _not_free(site: Site, key: str, hole: Hole, place: Points, of: str, what: str) -> Finding:
    return site.finding(
        "warning",
        f"{key}.swing_deg",
        f"a leaf that swings free of {of}",
        f"{hole.opening.swing_deg:g} deg, through {what}",
        "Swing it less far, to the other side, or hinge it at the other side",
        at=(*place, hole.bottom_m),
    )


def leaves(
    site: Site,
) -> Iterator[tuple[str, Hole, np.ndarray[tuple[int, int], np.dtype[np.float64]]]]:
    """Leaves (2, 2) in plan of the openings whose walls are there."""
    missing = {wall.name for wall in site.scene.walls if not wall.present}
    for key, item in site.sound("openings", site.scene.openings):
        hole = None if item.wall in missing else hole_of(site.scene, item)
        if hole is not None and hole.leaf is not None:
            yield key, hole, np.stack(hole.leaf)


def _shell(site: Site, hole: Hole) -> Shell | None:
    item = hole.opening
    if item.wall is None:
        return site.shell(item.storey)
    return site.shell(next(w.storey for w in site.scene.walls if w.name == item.wall))


def _along(site: Site, key: str, hole: Hole) -> Iterator[Finding]:
    length = float(np.hypot(*(hole.end - hole.start)))
    if hole.last_m <= length + TOUCH_M:
        return
    item = hole.opening
    place = (
        f"segment {item.segment} of wall {item.wall!r}"
        if item.wall is not None
        else f"edge {item.edge}"
    )
    cure = (
        f"Set at_m to at most {length - item.width_m:.4g}"
        if item.width_m <= length
        else f"Make it at most {length:.4g} m wide, or put it elsewhere"
    )
    yield site.finding(
        "error",
        f"{key}.at_m",
        f"a place where at_m and width_m fit into {place}, {length:.4g} m long",
        f"{hole.first_m:g} to {hole.last_m:g} m",
        cure,
        at=(*hole.sides[0], hole.bottom_m),
    )


def _upward(site: Site, key: str, hole: Hole) -> Iterator[Finding]:
    item, shell = hole.opening, _shell(site, hole)
    if item.wall is not None:
        wall = next(w for w in site.scene.walls if w.name == item.wall)
        low, high = span(wall, shell)
        what = f"wall {item.wall!r}"
    elif shell is not None:
        low, high, what = shell.bottom_m, shell.top_m, f"the shell {shell.storey.name!r}"
    else:
        return
    if hole.bottom_m >= low - TOUCH_M and hole.top_m <= high + TOUCH_M:
        return
    floor = 0.0 if shell is None else shell.bottom_m
    yield site.finding(
        "error",
        f"{key}.height_m",
        f"an opening within the height of {what}, {low - floor:g} to {high - floor:g} m "
        "above the floor",
        f"{hole.bottom_m - floor:g} to {hole.top_m - floor:g} m",
        "Change its bottom_m or height_m",
        at=(*hole.sides[0], hole.bottom_m),
    )


def _over_each_other(site: Site, holes: list[tuple[str, Hole]]) -> Iterator[Finding]:
    by_segment: dict[tuple[float, ...], list[tuple[str, Hole]]] = {}
    for key, hole in holes:
        place = (*map(float, hole.start), *map(float, hole.end))
        by_segment.setdefault(place, []).append((key, hole))
    for group in by_segment.values():
        for (_, one), (key, other) in combinations(group, 2):
            along = min(one.last_m, other.last_m) - max(one.first_m, other.first_m)
            upward = min(one.top_m, other.top_m) - max(one.bottom_m, other.bottom_m)
            if along > TOUCH_M and upward > TOUCH_M:
                yield site.finding(
                    "error",
                    key,
                    "openings that do not lie over each other",
                    f"{along:.3g} m in common with opening {one.opening.name!r}, "
                    f"from {coordinates([other.sides[0]])}",
                    f"Set at_m to {one.last_m:.4g} or more",
                    at=(*other.sides[0], other.bottom_m),
                )
