"""Rooms and storeys: outlines, offsets, voids, and how storeys stand to each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import shapely

from twin.scene.checks.site import TOUCH_M, Shell, Site, coordinates, ring_problem
from twin.scene.findings import Finding
from twin.scene.interiors import Storey

_CURE = "List the corners in order around the outline, each of them once"
# Two storeys whose plans share less than this do not overlap [m2].
_OVERLAP_M2 = 0.01
# A ceiling and a floor above it this close were meant as one sheet [m].
_MEANT_AS_ONE_M = 0.5
# Rooms longer than this, or shorter, are likely not in metres.
_LONGEST_M, _SHORTEST_M = 300.0, 1.0
_IN_STOREYS = ("walls", "openings", "furniture", "clutter", "people", "receivers")


def errors(site: Site) -> Iterator[Finding]:
    """Shells without a shape, voids outside them, storeys in each other.

    Fills `site.shells`; parts that stand in a shell without a shape are spoilt.
    """
    scene = site.scene
    broken: set[str] = set()
    for shell in scene.shells:
        if shell.name in site.absurd:
            broken.add(shell.name)
            continue
        key = "room" if scene.room is not None else f"storeys.{shell.name}"
        found = list(_outline(site, shell, key))
        yield from found
        if found:
            broken.add(shell.name)
            site.spoil("storeys", shell.name)
            continue
        declared = shapely.Polygon(shell.outline_m)
        within = declared.buffer(TOUCH_M)
        shapely.prepare(within)
        sound = Shell(shell, key, declared, within, shapely.Polygon(shell.shifted_outline()))
        site.shells.append(sound)
        voids = list(_voids(site, sound))
        yield from voids
        if voids:
            site.spoil("storeys", shell.name)
    site.shells_are_sound = not broken
    if broken:
        first = scene.shells[0].name
        for kind in _IN_STOREYS:
            for _, part in site.sound(kind, getattr(scene, kind)):
                if (part.storey or first) in broken:
                    site.spoil(kind, part.name)
    yield from _in_each_other(site)


def warnings(site: Site) -> Iterator[Finding]:
    """Rooms of an unlikely size; slabs that were meant as one sheet and are two; voids over
    nothing.
    """
    for shell in site.shells:
        yield from _size(site, shell)
    for below in site.shells:
        for above in site.shells:
            gap = above.bottom_m - below.top_m
            if not TOUCH_M < gap < _MEANT_AS_ONE_M:
                continue
            shared = above.built.intersection(below.built)
            if shared.area > _OVERLAP_M2:
                yield site.finding(
                    "warning",
                    f"{above.key}.bottom_m",
                    "a floor on the ceiling below it, as one sheet",
                    f"{gap:.3g} m between the ceiling of {below.storey.name!r} and this floor: "
                    "a ray through the slab crosses two sheets",
                    f"Set bottom_m to {below.top_m:g}, unless there is a void as deep as that",
                    at=(*_centre(shared), above.bottom_m),
                )
    for shell in site.shells:
        under = [
            other.built
            for other in site.shells
            if other is not shell and abs(other.top_m - shell.bottom_m) <= _MEANT_AS_ONE_M
        ]
        for i, void in enumerate(shell.storey.voids_m):
            hole = shapely.Polygon(void)
            if not hole.is_valid:
                continue
            open_to_nothing = hole.difference(shapely.union_all(under)) if under else hole
            if open_to_nothing.area > _OVERLAP_M2:
                yield site.finding(
                    "warning",
                    f"{shell.key}.voids_m.{i}",
                    "a void over another storey",
                    f"{open_to_nothing.area:.3g} m2 of it over none: rays leave the scene there",
                    "Shrink or move the void, or declare the storey below it",
                    at=(*_centre(open_to_nothing), shell.bottom_m),
                )


def _size(site: Site, shell: Shell) -> Iterator[Finding]:
    west, south, east, north = shell.declared.bounds
    sides = (east - west, north - south)
    if max(sides) > _LONGEST_M or min(sides) < _SHORTEST_M:
        yield site.finding(
            "warning",
            f"{shell.key}.outline_m",
            f"a room of {_SHORTEST_M:g} to {_LONGEST_M:g} m a side",
            f"{sides[0]:g} x {sides[1]:g} m",
            "Lengths are in metres, is this one in cm or mm? Leave it so where it is not",
            at=(west, south),
        )


def _repeated(site: Site, shell: Storey, key: str) -> Finding | None:
    """The first corner that is where the one before it is, the last being before the first."""
    corners = np.asarray(shell.outline_m, dtype=np.float64)
    steps = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
    if steps.min() >= TOUCH_M:
        return None
    before = int(np.flatnonzero(steps < TOUCH_M)[-1])
    closing = before == len(corners) - 1
    extra = before if closing else before + 1
    words = "the last corner repeats the first" if closing else f"corner {extra} repeats {before}"
    which = "the repeated last corner: an outline closes by itself" if closing else "one of the two"
    return site.finding(
        "error",
        f"{key}.outline_m",
        "corners in different places",
        f"{words}, {coordinates([corners[extra]])}",
        f"Leave out {which}" + ("; and its wall_offsets_m" if any(shell.wall_offsets_m) else ""),
        at=corners[extra],
    )


def _outline(site: Site, shell: Storey, key: str) -> Iterator[Finding]:
    repeated = _repeated(site, shell, key)
    if repeated is not None:
        yield repeated
        return
    unsound = site.ring(f"{key}.outline_m", shell.outline_m, _CURE)
    if unsound is not None:
        yield unsound
        return
    declared = np.asarray(shell.outline_m, dtype=np.float64)
    shifted = shell.shifted_outline()
    edges, moved = (np.roll(ring, -1, axis=0) - ring for ring in (declared, shifted))
    lost = np.sum(edges * moved, axis=1) <= 0.0
    offsets = ", ".join(f"{offset:g}" for offset in shell.wall_offsets_m) + " m"
    cure = "Make the offsets smaller; positive ones move an edge outward"
    if lost.any():
        # Two walls passed through each other; what is left may still be a polygon.
        first = int(np.flatnonzero(lost)[0])
        yield site.finding(
            "error",
            f"{key}.wall_offsets_m",
            "offsets that keep every edge of the outline",
            f"{offsets}, which leave no edge {first}",
            cure,
            at=declared[first],
        )
        return
    problem = ring_problem(shifted)
    if problem is not None:
        reason, at = problem
        expected = "offsets that keep the outline one that does not cross or touch itself"
        found = f"{offsets}: {reason}"
        yield site.finding("error", f"{key}.wall_offsets_m", expected, found, cure, at=at)


def _voids(site: Site, shell: Shell) -> Iterator[Finding]:
    holes: list[tuple[int, shapely.Polygon]] = []
    for i, void in enumerate(shell.storey.voids_m):
        key = f"{shell.key}.voids_m.{i}"
        problem = site.ring(key, void, _CURE)
        if problem is not None:
            yield problem
            continue
        hole = shapely.Polygon(void)
        if not shell.within.covers(hole):
            outside = hole.difference(shell.declared)
            yield site.finding(
                "error",
                key,
                f"a void inside {shell.key}.outline_m",
                f"corners {coordinates(void)}",
                "Shrink or move it",
                at=_centre(outside),
            )
        holes.append((i, hole))
    for (i, first), (j, second) in combinations(holes, 2):
        shared = first.intersection(second)
        if shared.area > _OVERLAP_M2:
            yield site.finding(
                "error",
                f"{shell.key}.voids_m.{j}",
                "voids apart from each other",
                f"{shared.area:.3g} m2 in common with void {i}",
                "Make one void of both",
                at=_centre(shared),
            )


def _in_each_other(site: Site) -> Iterator[Finding]:
    sound = [shell for shell in site.shells if ("storeys", shell.storey.name) not in site.spoilt]
    for one, other in combinations(sound, 2):
        low, high = max(one.bottom_m, other.bottom_m), min(one.top_m, other.top_m)
        if high - low <= TOUCH_M:
            continue
        shared = one.declared.intersection(other.declared)
        if shared.area > _OVERLAP_M2:
            yield site.finding(
                "error",
                other.key,
                f"storeys apart from each other: this one above or below {one.key}",
                f"{shared.area:.3g} m2 of plan in common from {low:g} to {high:g} m",
                f"Set bottom_m to {one.top_m:g} to stand it on {one.storey.name!r}; rooms side by "
                "side are one outline with inner walls",
                at=(*_centre(shared), low),
            )


def _centre(shape: shapely.Geometry) -> tuple[float, float]:
    point = shape.representative_point()
    return float(point.x), float(point.y)
