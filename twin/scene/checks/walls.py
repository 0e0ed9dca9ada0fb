"""Inner walls: paths, heights, crossings, gaps, and the rooms that they close."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely

from twin.scene.checks.site import TOUCH_M, Mask, Points, Shell, Site, coordinates
from twin.scene.declaration import Scene
from twin.scene.findings import Finding
from twin.scene.interiors import Wall
from twin.scene.wall_paths import wall_path

# A wall that ends this close to another, but not on it, was likely meant to end on it [m].
GAP_M = 0.30
# So was a wall whose top is this close under the ceiling [m].
_UNDER_CEILING_M = 0.10
# Pieces of a wall closer than this [m], at an angle of less than this sine, lie in one plane.
_ONE_PLANE_M, _PARALLEL = 2e-3, 1e-3


@dataclass(frozen=True)
class Segments:
    """Straight pieces of the walls of one storey that are present, s of them.

    Args:
        lines: (s, 2, 2) [m], start and end in plan.
        owner: (s,) int, index into `names`.
        number: (s,) int, of the segment in its wall.
        low, high: (s,) [m], heights in the world.
        names: of the walls.
        paths: of the walls, each (n, 2) [m].
    """

    lines: Points
    owner: np.ndarray[tuple[int], np.dtype[np.int64]]
    number: np.ndarray[tuple[int], np.dtype[np.int64]]
    low: Points
    high: Points
    names: tuple[str, ...]
    paths: tuple[Points, ...]


def errors(site: Site) -> Iterator[Finding]:
    """Walls without length or height, outside their shell, or through its ceiling."""
    for key, wall in list(site.sound("walls", site.scene.walls)):
        shell = site.shell(wall.storey)
        path = wall_path(site.scene, wall)
        steps = np.hypot(*np.diff(path, axis=0).T)
        if (steps < TOUCH_M).any():
            site.spoil("walls", wall.name)
            short = int(np.argmin(steps))
            yield site.finding(
                "error",
                f"{key}.path_m",
                "segments with a length",
                f"one of {steps.min():g} m, segment {short}",
                "Remove one of its two points",
                at=path[short],
            )
            continue
        # As declared: where an edge of the outline is shifted outward, an end on it goes along.
        declared = wall.shifted_path()
        if shell is not None and not shell.within.covers(shapely.LineString(declared)):
            yield _outside(site, key, declared, shell)
        yield from _heights(site, key, wall, shell)


def warnings(site: Site) -> Iterator[Finding]:
    """Walls that cross each other or themselves, run back along themselves, all but meet, or all
    but reach the ceiling.
    """
    for shell, segments in by_shell(site):
        yield from _back_along(site, segments)
        yield from _crossings(site, segments)
        yield from _gaps(site, segments, shell)
        yield from _closing(site, shell)


def rooms(site: Site) -> Iterator[Finding]:
    """How many rooms the walls that reach the ceiling close, a storey."""
    for shell in site.shells:
        walls = [
            shapely.LineString(wall_path(site.scene, wall))
            for _, wall in site.sound("walls", site.scene.walls)
            if wall.present and site.shell(wall.storey) is shell and _divides(wall, shell)
        ]
        if not walls:
            continue
        # On a grid, so that an end on a wall to within a millimetre meets it.
        lines = shapely.union_all([shell.built.exterior, *walls], grid_size=TOUCH_M)
        closed, cuts, dangles, _ = shapely.polygonize_full([lines])
        count, free = len(closed.geoms), len(dangles.geoms) + len(cuts.geoms)
        closed_by = "closed by the outline and walls from floor to ceiling"
        stay = f"; {free} pieces of such walls bound none" if free else ""
        yield site.finding(
            "note",
            shell.key,
            "rooms that are closed",
            f"{count} room{'' if count == 1 else 's'} {closed_by}{stay}",
        )


def by_shell(site: Site) -> Iterator[tuple[Shell | None, Segments]]:
    """The present, sound walls of each shell, and of the open air."""
    shells: list[Shell | None] = [*site.shells, *([] if site.scene.shells else [None])]
    for shell in shells:
        walls = [
            wall
            for _, wall in site.sound("walls", site.scene.walls)
            if wall.present and site.shell(wall.storey) is shell
        ]
        if walls:
            yield shell, _segments(site.scene, walls, shell)


def span(wall: Wall, shell: Shell | None) -> tuple[float, float]:
    """Bottom and top of a wall in the world [m]."""
    floor = 0.0 if shell is None else shell.bottom_m
    bottom = floor + wall.bottom_m
    if wall.height_m is not None:
        return bottom, bottom + wall.height_m
    return bottom, np.inf if shell is None else shell.top_m


def _segments(scene: Scene, walls: list[Wall], shell: Shell | None) -> Segments:
    paths = tuple(wall_path(scene, wall) for wall in walls)
    counts = [len(path) - 1 for path in paths]
    low, high = np.array([span(wall, shell) for wall in walls]).T
    owner = np.repeat(np.arange(len(walls)), counts)
    return Segments(
        np.concatenate([np.stack([path[:-1], path[1:]], axis=1) for path in paths]),
        owner,
        np.concatenate([np.arange(count) for count in counts]),
        low[owner],
        high[owner],
        tuple(wall.name for wall in walls),
        paths,
    )


def _outside(site: Site, key: str, path: Points, shell: Shell) -> Finding:
    beyond = shapely.LineString(path).difference(shell.declared)
    return site.finding(
        "error",
        f"{key}.path_m",
        f"a path inside {shell.key}.outline_m",
        f"{coordinates(path)}, of which {beyond.length:.3g} m lie outside",
        "Move the points that lie outside, or widen the outline",
        at=shapely.get_coordinates(beyond)[0],
    )


def _heights(site: Site, key: str, wall: Wall, shell: Shell | None) -> Iterator[Finding]:
    if shell is None:
        if wall.height_m is None:
            site.spoil("walls", wall.name)
            yield site.finding(
                "error",
                f"{key}.height_m",
                "a height, as there is no ceiling that the wall could reach",
                "none",
                "Give height_m",
                at=wall.path_m[0],
            )
        return
    low, top = span(wall, shell)
    if top > shell.top_m + TOUCH_M:
        yield through_ceiling(site, key, top - shell.bottom_m, shell, wall.path_m[0])
    elif wall.height_m is None and low >= shell.top_m - TOUCH_M:
        site.spoil("walls", wall.name)
        yield through_ceiling(site, key, wall.bottom_m, shell, wall.path_m[0])


def through_ceiling(
    site: Site, key: str, top: float, shell: Shell, at: tuple[float, float]
) -> Finding:
    """The finding for a part whose upper edge, `top` [m] above its floor, is too high."""
    return site.finding(
        "error",
        key,
        f"an upper edge not above {shell.key}.height_m ({shell.storey.height_m:g} m)",
        f"{top:g} m",
        "Lower the part, or raise the ceiling",
        at=(*at, shell.bottom_m + top),
    )


def _divides(wall: Wall, shell: Shell) -> bool:
    low, high = span(wall, shell)
    return low <= shell.bottom_m + TOUCH_M and high >= shell.top_m - TOUCH_M


def _crossings(site: Site, segments: Segments) -> Iterator[Finding]:
    """Pairs of walls that cross away from the ends of both, and walls that cross themselves; each
    pair is told once.
    """
    lines = shapely.linestrings(segments.lines)
    first, second = shapely.STRtree(lines).query(lines, predicate="crosses")
    level = _level(segments, first, second)
    keep = (first < second) & level
    first, second = first[keep], second[keep]
    places = shapely.get_coordinates(shapely.intersection(lines[first], lines[second]))
    told: dict[tuple[str, str], int] = {}
    for i, j, place in zip(first, second, places, strict=True):
        names = segments.names[segments.owner[i]], segments.names[segments.owner[j]]
        away = [_from_ends(segments.paths[segments.owner[k]], place) for k in (i, j)]
        if min(away) <= TOUCH_M:
            continue
        told[names] = told.get(names, 0) + 1
        if told[names] > 1:
            continue
        if names[0] == names[1]:
            yield site.finding(
                "warning",
                f"walls.{names[0]}.path_m",
                "a wall that does not cross itself",
                f"its segments {segments.number[i]} and {segments.number[j]} cross at "
                f"{coordinates([place])}",
                "List its points in order along it; split it there where it does cross",
                at=place,
            )
            continue
        nearer = int(np.argmin(away))
        stub = f", {away[nearer]:.3g} m before the end of {names[nearer]!r}"
        yield site.finding(
            "warning",
            f"walls.{names[0]}.path_m",
            "walls that meet at their ends, and cross nowhere else",
            f"it crosses wall {names[1]!r} at {coordinates([place])}"
            + (stub if away[nearer] < GAP_M else ""),
            f"End {names[nearer]!r} there"
            if away[nearer] < GAP_M
            else "Split both walls there; leave it so where they do cross",
            at=place,
        )


def _back_along(site: Site, segments: Segments) -> Iterator[Finding]:
    """Walls of which two segments lie on each other; each wall is told once."""
    lines = shapely.linestrings(segments.lines)
    first, second = shapely.STRtree(lines).query(lines, predicate="dwithin", distance=_ONE_PLANE_M)
    keep = (first < second) & (segments.owner[first] == segments.owner[second])
    first, second = first[keep], second[keep]
    along = np.diff(segments.lines, axis=1)[:, 0]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    one, other = along[first], along[second]
    # From the start of the first: both ends of the second along it, and how far off they are.
    ends = segments.lines[second] - segments.lines[first, :1]
    way = np.einsum("kij,kj->ki", ends, one)
    off = np.abs(ends[..., 0] * one[:, 1:] - ends[..., 1] * one[:, :1])
    length = np.linalg.norm(np.diff(segments.lines, axis=1)[:, 0], axis=1)[first]
    low, high = np.maximum(way.min(axis=1), 0.0), np.minimum(way.max(axis=1), length)
    parallel = np.abs(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) < _PARALLEL
    twice = parallel & (off.min(axis=1) < _ONE_PLANE_M) & (high - low > TOUCH_M)
    told: set[int] = set()
    for k in np.flatnonzero(twice):
        owner = int(segments.owner[first[k]])
        if owner in told:
            continue
        told.add(owner)
        place = segments.lines[first[k], 0] + (low[k] + high[k]) / 2.0 * one[k]
        yield site.finding(
            "warning",
            f"walls.{segments.names[owner]}.path_m",
            "a wall that does not run back along itself",
            f"its segments {segments.number[first[k]]} and {segments.number[second[k]]} lie on "
            f"each other over {high[k] - low[k]:.3g} m: two sheets in one plane",
            "Leave out the points that lead back, and start another wall where it branches",
            at=place,
        )


def _level(
    segments: Segments,
    first: np.ndarray[tuple[int], np.dtype[np.int64]],
    second: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> Mask:
    """Which pairs of segments have a height in common."""
    low = np.maximum(segments.low[first], segments.low[second])
    high = np.minimum(segments.high[first], segments.high[second])
    return np.asarray(high - low > TOUCH_M)


def _from_ends(path: Points, place: Points) -> float:
    return float(min(np.hypot(*(path[0] - place)), np.hypot(*(path[-1] - place))))


def _gaps(site: Site, segments: Segments, shell: Shell | None) -> Iterator[Finding]:
    """Ends of walls that all but meet another wall or the outline."""
    ends, owner = _free_ends(segments)
    if not len(ends):
        return
    points = shapely.points(ends)
    distance = np.full(len(ends), np.inf)
    nearest = np.full(len(ends), -1)
    lines = shapely.linestrings(segments.lines)
    point, line = shapely.STRtree(lines).query(points, predicate="dwithin", distance=GAP_M)
    where = np.array([_first_segment(segments, i) for i in range(len(segments.names))])
    low, high = segments.low[where][owner], segments.high[where][owner]
    shared = np.minimum(high[point], segments.high[line]) - np.maximum(
        low[point], segments.low[line]
    )
    keep = (segments.owner[line] != owner[point]) & (shared > TOUCH_M)
    point, line = point[keep], line[keep]
    away = shapely.distance(points[point], lines[line])
    for p, s, d in zip(point, line, away, strict=True):
        if d < distance[p]:
            distance[p], nearest[p] = d, s
    if shell is not None:
        rim = shapely.distance(points, shell.built.exterior)
        nearest[rim < distance] = -1
        distance = np.minimum(distance, rim)
    for p in np.flatnonzero((distance > TOUCH_M) & (distance < GAP_M)):
        other = "the outline"
        shape = None if shell is None else shell.built.exterior
        if nearest[p] >= 0:
            other = f"wall {segments.names[segments.owner[nearest[p]]]!r}"
            shape = lines[nearest[p]]
        goal = shapely.get_coordinates(shapely.shortest_line(points[p], shape))[-1]
        yield site.finding(
            "warning",
            f"walls.{segments.names[owner[p]]}.path_m",
            "walls that end on what they all but meet",
            f"a gap of {distance[p]:.3g} m between its end {coordinates([ends[p]])} and {other}",
            f"Move the end to {_exact(goal)}, if no gap is meant",
            at=ends[p],
        )


def _free_ends(segments: Segments) -> tuple[Points, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Ends (e, 2) of walls, and whose (e,); none of walls that end where they began."""
    ends, owner = [], []
    for i, path in enumerate(segments.paths):
        if np.hypot(*(path[0] - path[-1])) > TOUCH_M:
            ends += [path[0], path[-1]]
            owner += [i, i]
    return np.array(ends).reshape(-1, 2), np.array(owner, dtype=np.int64)


def _first_segment(segments: Segments, wall: int) -> int:
    return int(np.searchsorted(segments.owner, wall))


def _exact(place: Points) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in place) + "]"


def _closing(site: Site, shell: Shell | None) -> Iterator[Finding]:
    """Walls that stop just short of the ceiling."""
    if shell is None:
        return
    for key, wall in site.sound("walls", site.scene.walls):
        if not wall.present or site.shell(wall.storey) is not shell:
            continue
        gap = shell.top_m - span(wall, shell)[1]
        if TOUCH_M < gap < _UNDER_CEILING_M:
            yield site.finding(
                "warning",
                f"{key}.height_m",
                "a wall that reaches the ceiling, or stays well below it",
                f"a gap of {gap:.3g} m below the ceiling, through which rays pass",
                "Leave height_m out, and the wall reaches the ceiling",
                at=(*wall.path_m[0], shell.top_m - gap),
            )
