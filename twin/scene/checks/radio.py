"""Access points and receivers: that they are where waves are, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from twin.scene.checks import areas
from twin.scene.checks.places import outside_of
from twin.scene.checks.site import Mask, Points, Site, coordinates, which
from twin.scene.declaration import Scene
from twin.scene.findings import Finding
from twin.scene.obstacles import CLEARANCE_M, covered
from twin.scene.point_plans import declared_points
from twin.scene.radio import RandomArea, ReceiverArea
from twin.scene.receivers import area_floor_m, area_points, in_place, is_outdoors

# An author who lets receivers be left out expects that of some, not of most.
_MOST_KEPT = 0.5
# A receiver this close to an access point has no far field to be in [m].
_FROM_ACCESS_POINT_M = 1e-3


@dataclass(frozen=True)
class _Area:
    """A receiver area and its points as declared, before any is left out (n, 3)."""

    key: str
    area: ReceiverArea
    points: Points


def errors(site: Site) -> Iterator[Finding]:
    """Devices outside, in or on something; areas without points, or with too many.

    Fills `site.points`; areas without a shape are spoilt.
    """
    for key, area in list(site.sound("receivers", site.scene.receivers)):
        problems = list(areas.shape(site, key, area))
        yield from problems
        if problems:
            site.spoil("receivers", area.name)
    in_all = list(areas.too_many_in_all(site))
    yield from in_all
    if in_all or not site.shells_are_sound:
        # Nobody knows what is inside of a shell without a shape.
        return
    scene = site.furnished()
    known: list[_Area] = []
    for key, area in list(site.sound("receivers", scene.receivers)):
        if is_outdoors(site.scene, area) != is_outdoors(scene, area):
            # All that there is outdoors is spoilt.
            site.spoil("receivers", area.name)
            continue
        crowded = list(areas.full(site, scene, key, area))
        yield from crowded
        if crowded:
            site.spoil("receivers", area.name)
        else:
            known.append(_Area(key, area, _declared(scene, area)))
    aps = list(site.sound("access_points", scene.access_points))
    masts = np.array([ap.position_m for _, ap in aps], dtype=np.float64).reshape(-1, 3)
    # Once for all devices: what covers anything is dear to find.
    everything = np.concatenate([masts, *(part.points for part in known)])
    obstacles = covered(scene, everything) if len(everything) else {}
    outside, why = outside_of(site, masts)
    for i, (key, _) in enumerate(aps):
        mine = [name for name, mask in obstacles.items() if mask[i]]
        yield from _access_point(
            site, f"{key}.position_m", masts[i], why if outside[i] else "", mine
        )
    start = len(masts)
    for part in known:
        end = start + len(part.points)
        in_way = {name: mask[start:end] for name, mask in obstacles.items()}
        yield from _receivers(site, scene, part, in_way, masts)
        start = end


def warnings(site: Site) -> Iterator[Finding]:
    """Nobody sends; receivers that are left out: a note where they are less than half of them."""
    if not any(ap.active for ap in site.scene.access_points):
        yield site.finding(
            "warning",
            "access_points",
            "at least one that is active",
            "none: no receiver hears anything",
            "Set active: true on those that should send",
        )
    for key, area in site.sound("receivers", site.scene.receivers):
        if area.blocked == "refuse" or area.name not in site.points:
            continue
        kept = len(site.points[area.name])
        if isinstance(area, RandomArea):
            # Drawn until there are enough of them: that there are fewer is not meant.
            declared, likely_meant = area.count, False
        else:
            declared = len(declared_points(area))
            likely_meant = kept >= _MOST_KEPT * declared
        if kept < declared:
            yield site.finding(
                "note" if likely_meant else "warning",
                key,
                "receivers that all have a free place",
                f"{declared - kept} of {declared} left out (blocked: leave_out)",
                ""
                if likely_meant
                else "Shrink the area, move what stands there, or check its height_m and storey",
            )


def _declared(scene: Scene, area: ReceiverArea) -> Points:
    if isinstance(area, RandomArea):
        # Those that something covers are part of it only where they are to be refused.
        return area_points(scene, area)
    plan = declared_points(area)
    return np.column_stack([plan, np.full(len(plan), area_floor_m(scene, area) + area.height_m)])


def _access_point(
    site: Site, key: str, place: Points, outside: str, obstacles: Sequence[str]
) -> Iterator[Finding]:
    if outside:
        yield site.finding(
            "error",
            key,
            outside,
            coordinates([place]),
            "Move it; position_m is in the scene's coordinates, its height from z = 0",
            at=place,
        )
    for obstacle in obstacles:
        yield site.finding(
            "error",
            key,
            f"a place at least {CLEARANCE_M:g} m clear of {obstacle}",
            coordinates([place]),
            "Move the access point, or what stands there",
            at=place,
        )


def _receivers(
    site: Site, scene: Scene, part: _Area, obstacles: dict[str, Mask], masts: Points
) -> Iterator[Finding]:
    key, area, points = part.key, part.area, part.points
    if len(points) == 0:
        yield _none(site, key, area)
        return
    leaves_out = area.blocked == "leave_out"
    outdoors = is_outdoors(scene, area)
    storey = area.storey
    if leaves_out and storey is None and not outdoors:
        # Those elsewhere would be left out without a word, see `twin.scene.receivers.standing`.
        storey = scene.shells[0].name
    outside, why = outside_of(site, points, storey, outdoors=outdoors)
    free = np.ones(len(points), dtype=np.bool_)
    if leaves_out:
        outside = ~in_place(scene, area, points)
        free = ~outside
        for mask in obstacles.values():
            free &= ~mask
    site.points[area.name] = points[free]
    if outside.any() and (outside.all() or not leaves_out):
        yield site.finding(
            "error",
            key,
            f"receivers in {why}",
            f"{which(points, outside)} outside",
            _cure_outside(scene, area),
            at=points[outside][0],
        )
    in_way = {name: mask for name, mask in obstacles.items() if mask.any()}
    blocked = np.logical_or.reduce([*in_way.values(), np.zeros(len(points), dtype=np.bool_)])
    if blocked.any() and (not leaves_out or (blocked | outside).all()):
        yield site.finding(
            "error",
            key,
            f"no receiver in, or within {CLEARANCE_M:g} m of, what stands there",
            f"{which(points, blocked)} covered by {_some(list(in_way))}",
            "Shrink the area, move what stands there, or set blocked: leave_out",
            at=points[blocked][0],
        )
    if len(masts) and free.any():
        kept = points[free]
        apart = np.array([np.linalg.norm(kept - mast, axis=1).min() for mast in masts])
        if apart.min() < _FROM_ACCESS_POINT_M:
            mast = masts[int(np.argmin(apart))]
            yield site.finding(
                "error",
                key,
                "receivers away from access points",
                f"one at {coordinates([mast])}, where an access point is",
                "Change height_m, or move the one or the other",
                at=mast,
            )


def _cure_outside(scene: Scene, area: ReceiverArea) -> str:
    below = "ground" if is_outdoors(scene, area) else "floor"
    named = "name its storey, " if area.storey is None and len(scene.shells) > 1 else ""
    return (
        f"Shrink or move the area, {named}or change height_m "
        f"({area.height_m:g} m above the {below})"
    )


def _none(site: Site, key: str, area: ReceiverArea) -> Finding:
    cures = {
        "grid": "Points are multiples of pitch_m; widen area_m or lower pitch_m",
        "random": "Widen area_m, or move what stands in it",
    }
    return site.finding(
        "error",
        key,
        "at least one grid point inside area_m" if area.kind == "grid" else "at least one point",
        "none",
        cures.get(area.kind, "Give it points"),
    )


def _some(names: list[str]) -> str:
    if len(names) <= 4:
        return ", ".join(names)
    return ", ".join(names[:4]) + f" and {len(names) - 4} more"
