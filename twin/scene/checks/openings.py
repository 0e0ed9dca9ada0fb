"""Doors and windows: that they fit into their walls, and that their leaves swing free."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import shapely

from twin.scene.checks.site import TOUCH_M, Shell, Site, coordinates
from twin.scene.checks.walls import by_shell, span
from twin.scene.findings import Finding
from twin.scene.openings import Hole, hole_of


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
    """Open leaves that stand in an inner wall."""
    shells = {id(shell): segments for shell, segments in by_shell(site)}
    for key, hole, leaf in leaves(site):
        segments = shells.get(id(_shell(site, hole)))
        if segments is None or hole.opening.state == "closed":
            continue
        line = shapely.LineString(leaf)
        # Without its hinge, which is in its own wall.
        swung = shapely.line_interpolate_point(line, [0.02, line.length])
        free = shapely.LineString(swung)
        crossed = shapely.crosses(shapely.linestrings(segments.lines), free)
        crossed &= (segments.low < hole.top_m - TOUCH_M) & (segments.high > hole.bottom_m + TOUCH_M)
        for name in sorted({segments.names[i] for i in segments.owner[crossed]}):
            yield site.finding(
                "warning",
                f"{key}.swing_deg",
                "a leaf that swings free of walls",
                f"{hole.opening.swing_deg:g} deg, through wall {name!r}",
                "Swing it less far, to the other side, or hinge it at the other side",
                at=(*leaf[1], hole.bottom_m),
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
