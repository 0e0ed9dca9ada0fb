"""Access points and receivers: that they are where waves are, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from twin.scene.checks.site import (
    AREA_M2,
    TOUCH_M,
    Mask,
    Points,
    Shell,
    Site,
    coordinates,
    ring_problem,
    which,
)
from twin.scene.declaration import Scene
from twin.scene.findings import Finding
from twin.scene.levels import floor_m
from twin.scene.obstacles import covered, within_shell
from twin.scene.point_plans import declared_points
from twin.scene.radio import GridArea, RandomArea, ReceiverArea, Trajectory
from twin.scene.receivers import CLEARANCE_M, area_points

MOST_POINTS = 1_000_000
# An author who lets receivers be left out expects that of some, not of most.
_MOST_KEPT = 0.5
# A receiver this close to an access point has no far field to be in [m].
_FROM_ACCESS_POINT_M = 1e-3
_SLACK_M = 1e-9


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
        problems = list(_shape(site, key, area))
        yield from problems
        if problems:
            site.spoil("receivers", area.name)
    in_all = list(_too_many_in_all(site))
    yield from in_all
    if in_all or not site.shells_are_sound:
        # Nobody knows what is inside of a shell without a shape.
        return
    scene = site.furnished()
    areas = [
        _Area(key, area, _declared(scene, area))
        for key, area in site.sound("receivers", scene.receivers)
    ]
    aps = list(site.sound("access_points", scene.access_points))
    masts = np.array([ap.position_m for _, ap in aps], dtype=np.float64).reshape(-1, 3)
    # Once for all devices: what covers anything is dear to find.
    everything = np.concatenate([masts, *(part.points for part in areas)])
    obstacles = covered(scene, everything) if len(everything) else {}
    outside, why = _outside(site, masts)
    for i, (key, _) in enumerate(aps):
        mine = [name for name, mask in obstacles.items() if mask[i]]
        yield from _access_point(
            site, f"{key}.position_m", masts[i], why if outside[i] else "", mine
        )
    start = len(masts)
    for part in areas:
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


def _shape(site: Site, key: str, area: ReceiverArea) -> Iterator[Finding]:
    """What keeps an area from having points, found before any is made."""
    if isinstance(area, GridArea | RandomArea):
        problem = ring_problem(area.area_m)
        if problem is not None:
            reason, at = problem
            yield site.finding(
                "error",
                f"{key}.area_m",
                "a polygon that does not cross or touch itself and has an area",
                reason,
                "List its corners in order around it, each of them once",
                at=at,
            )
            return
    if isinstance(area, GridArea):
        if _about(area) > MOST_POINTS:
            yield _too_many(site, f"{key}.pitch_m", f"{area.pitch_m:g} m", _about(area))
    elif isinstance(area, RandomArea):
        polygon = shapely.Polygon(area.area_m)
        west, south, east, north = polygon.bounds
        # Places are drawn in the box around the polygon until enough of them lie inside.
        share = polygon.area / max((east - west) * (north - south), AREA_M2)
        if share < 0.01:
            yield site.finding(
                "error",
                f"{key}.area_m",
                "an area that fills at least 1 % of the box around it",
                f"{share:.2g} of it",
                "Declare several areas, one for each part of it",
                at=(west, south),
            )
    elif isinstance(area, Trajectory):
        length = shapely.LineString(area.path_m).length
        if length < TOUCH_M:
            yield site.finding(
                "error",
                f"{key}.path_m",
                "a path with a length",
                f"{length:g} m",
                "Let its points be apart, or list a single place with kind: points",
                at=area.path_m[0],
            )
        if _about(area) > MOST_POINTS:
            yield _too_many(site, f"{key}.interval_s", f"{area.interval_s:g} s", _about(area))


def _about(area: ReceiverArea) -> float:
    """How many points an area is going to have, those left out of its box included."""
    if isinstance(area, GridArea):
        west, south, east, north = shapely.Polygon(area.area_m).bounds
        return float((east - west) * (north - south) / area.pitch_m**2)
    if isinstance(area, RandomArea):
        return area.count
    if isinstance(area, Trajectory):
        length = shapely.LineString(area.path_m).length
        return float(length / (area.speed_m_per_s * area.interval_s))
    return len(area.points_m)


def _too_many_in_all(site: Site) -> Iterator[Finding]:
    counts = {key: _about(area) for key, area in site.sound("receivers", site.scene.receivers)}
    if len(counts) > 1 and sum(counts.values()) > MOST_POINTS:
        largest = max(counts, key=lambda key: counts[key])
        yield site.finding(
            "error",
            "receivers",
            f"at most {MOST_POINTS} points in all areas",
            f"about {sum(counts.values()):.2g}, most of them in {largest}",
            "Make its pitch or interval larger, or put areas into scenes of their own",
        )


def _too_many(site: Site, key: str, found: str, count: float) -> Finding:
    return site.finding(
        "error",
        key,
        f"at most {MOST_POINTS} points",
        f"{found}, about {count:.2g} points",
        "Make it larger, or the area smaller",
    )


def _declared(scene: Scene, area: ReceiverArea) -> Points:
    if isinstance(area, RandomArea):
        # Those that something covers are part of it only where they are to be refused.
        return area_points(scene, area)
    plan = declared_points(area)
    return np.column_stack([plan, np.full(len(plan), floor_m(scene, area.storey) + area.height_m)])


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
    outside, why = _outside(site, points, area.storey)
    leaves_out = area.blocked == "leave_out"
    free = np.ones(len(points), dtype=np.bool_)
    if leaves_out:
        free = within_shell(scene, area.storey, points)
        for mask in obstacles.values():
            free &= ~mask
    site.points[area.name] = points[free]
    if outside.any() and (outside.all() or not leaves_out):
        yield site.finding(
            "error",
            key,
            f"receivers in {why}",
            f"{which(points, outside)} outside",
            f"Shrink or move the area, or change height_m ({area.height_m:g} m above the floor)",
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


def _outside(site: Site, points: Points, storey: str | None = None) -> tuple[Mask, str]:
    """Which of the points (n, 3) are where no device can be, and where they should be instead.

    With a storey they have to be in it; without, in any shell or, where there is one, outdoors.
    """
    clear = f"{CLEARANCE_M:g} m clear of"
    shell = site.shell(storey)
    if storey is not None and shell is not None:
        return ~_inside(site, shell, points), _of_shell(shell, clear)
    inside = np.zeros(len(points), dtype=np.bool_)
    for each in site.shells:
        inside |= _inside(site, each, points)
    if not site.is_open:
        if len(site.shells) == 1:
            return ~inside, _of_shell(site.shells[0], clear)
        return ~inside, f"a place inside a storey, {clear} its walls, floor and ceiling"
    free = ~_on_shell(site, points)
    why = f"a place inside a shell, or outdoors and {clear} its walls"
    if site.scene.ground is not None:
        free &= points[:, 2] >= CLEARANCE_M - _SLACK_M
        why += " and the ground"
    return ~inside & ~free, why if site.shells else f"a place {clear} the ground (z = 0)"


def _of_shell(shell: Shell, clear: str) -> str:
    what = "the room" if shell.key == "room" else f"storey {shell.storey.name!r}"
    return (
        f"a place inside {what}, {clear} its walls, floor and ceiling "
        f"({shell.bottom_m:g} to {shell.top_m:g} m)"
    )


def _inside(site: Site, shell: Shell, points: Points) -> Mask:
    """Which of the points (n, 3) are inside a shell and clear of it; open air under voids is."""
    plan = shapely.points(points[:, :2])
    reach = CLEARANCE_M - _SLACK_M
    mask = shapely.contains(shell.built, plan)
    mask &= shapely.distance(shell.built.exterior, plan) >= reach
    mask &= (points[:, 2] >= shell.bottom_m) & (points[:, 2] <= shell.top_m)
    low = points[:, 2] < shell.bottom_m + reach
    high = points[:, 2] > shell.top_m - reach
    if low.any():
        mask[low] &= _in_void(shell, plan[low])
    if high.any():
        above = [other for other in site.shells if abs(other.bottom_m - shell.top_m) <= TOUCH_M]
        open_up = np.zeros(int(high.sum()), dtype=np.bool_)
        for other in above:
            open_up |= _in_void(other, plan[high])
        mask[high] &= open_up
    return np.asarray(mask)


def _in_void(shell: Shell, plan: Points) -> Mask:
    mask = np.zeros(len(plan), dtype=np.bool_)
    for void in shell.storey.voids_m:
        hole = shapely.Polygon(void)
        if hole.is_valid:
            mask |= shapely.contains(hole, plan) & (
                shapely.distance(hole.exterior, plan) >= CLEARANCE_M
            )
    return mask


def _on_shell(site: Site, points: Points) -> Mask:
    """Which of the points (n, 3) lie in a shell or within 5 cm of one."""
    plan = shapely.points(points[:, :2])
    mask = np.zeros(len(points), dtype=np.bool_)
    for shell in site.shells:
        near = shapely.distance(shell.built, plan) < CLEARANCE_M
        level = points[:, 2] > shell.bottom_m - CLEARANCE_M
        mask |= near & level & (points[:, 2] < shell.top_m + CLEARANCE_M)
    return mask


def _some(names: list[str]) -> str:
    if len(names) <= 4:
        return ", ".join(names)
    return ", ".join(names[:4]) + f" and {len(names) - 4} more"
