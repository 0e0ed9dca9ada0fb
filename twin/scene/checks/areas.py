"""Receiver areas: that they have a shape, and neither no points nor too many of them."""

from __future__ import annotations

from collections.abc import Iterator

import shapely

from twin.scene.checks.site import AREA_M2, TOUCH_M, Site
from twin.scene.declaration import Scene
from twin.scene.findings import Finding
from twin.scene.radio import GridArea, RandomArea, ReceiverArea, Trajectory
from twin.scene.receivers import area_points, standing

MOST_POINTS = 1_000_000
# Random places tried before any are kept, and the least share of them that has to be free.
_TRIED = 4096
_FREE = 1e-3


def shape(site: Site, key: str, area: ReceiverArea) -> Iterator[Finding]:
    """What keeps an area from having points, found before any is made."""
    if isinstance(area, GridArea | RandomArea):
        problem = site.ring(f"{key}.area_m", area.area_m)
        if problem is not None:
            yield problem
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


def full(site: Site, scene: Scene, key: str, area: ReceiverArea) -> Iterator[Finding]:
    """An area of random points in which next to no place is free, which it takes long to try."""
    if not isinstance(area, RandomArea) or area.blocked == "refuse":
        return
    tried = area.model_copy(update={"blocked": "refuse", "count": _TRIED})
    points = area_points(scene, tried)
    free = standing(scene, area, points)
    if free.mean() < _FREE:
        yield site.finding(
            "error",
            key,
            f"an area in which at least one place in {1 / _FREE:g} is free",
            f"{int(free.sum())} of {len(points)} that were tried",
            "Move the area or what stands in it, or change height_m "
            f"({area.height_m:g} m above the floor)",
            at=points[0],
        )


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


def too_many_in_all(site: Site) -> Iterator[Finding]:
    """More points than a scene may have, area by area within bounds."""
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
