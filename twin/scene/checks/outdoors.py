"""Ground, buildings, roads and vehicles."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely

from twin.scene.checks.site import TOUCH_M, Points, Site, coordinates
from twin.scene.findings import Finding
from twin.scene.motion import path_length_m
from twin.scene.outdoors import Building, Road, Vehicle
from twin.scene.street_shapes import carriageway, footprint, vehicle_surface

# Buildings that share less than this stand beside each other [m2].
_OVERLAP_M2 = 1.0
_MOST_ROOF_M = 100.0


def errors(site: Site) -> Iterator[Finding]:
    """Shapes that cannot be built; their parts are spoilt, and what drives on them is too."""
    scene = site.scene
    site.ground_is_sound = "ground" not in site.absurd
    if scene.ground is not None and site.ground_is_sound:
        problem = site.ring("ground.area_m", scene.ground.area_m)
        if problem is not None:
            site.ground_is_sound = False
            yield problem
    for key, building in list(site.sound("buildings", scene.buildings)):
        problems = list(_building(site, key, building))
        yield from problems
        if problems:
            site.spoil("buildings", building.name)
    for key, road in list(site.sound("roads", scene.roads)):
        problems = list(_road(site, key, road))
        yield from problems
        if problems:
            site.spoil("roads", road.name)
    roads = {road.name: road for _, road in site.sound("roads", scene.roads)}
    for key, vehicle in list(site.sound("vehicles", scene.vehicles)):
        if vehicle.road not in roads:
            site.spoil("vehicles", vehicle.name)
            continue
        problems = list(_vehicle(site, key, vehicle, roads[vehicle.road]))
        yield from problems
        if problems:
            site.spoil("vehicles", vehicle.name)


def warnings(site: Site) -> Iterator[Finding]:
    """What overlaps, stands in the air, or is off the ground it should stand on; rain indoors."""
    buildings = [b for _, b in site.sound("buildings", site.scene.buildings) if b.present]
    plans = np.array([footprint(b) for b in buildings], dtype=object)
    yield from _in_each_other(site, buildings, plans)
    yield from _around_shells(site, buildings, plans)
    yield from _off_ground(site, buildings, plans)
    yield from _floating(site, buildings, plans)
    yield from _on_roads(site, buildings, plans)
    yield from _vehicles(site, buildings, plans)
    yield from _rain(site)


def _rain(site: Site) -> Iterator[Finding]:
    """A note where it rains and every receiver is in a shell."""
    rate, points = site.scene.weather.rain_mm_per_h, site.receivers()
    if not (rate > 0.0 and site.shells and len(points)):
        return
    plan = shapely.points(points[:, :2])
    dry = np.zeros(len(points), dtype=np.bool_)
    for shell in site.shells:
        level = (points[:, 2] >= shell.bottom_m) & (points[:, 2] <= shell.top_m)
        dry |= level & shapely.intersects(shell.built, plan)
    if dry.all():
        yield site.finding(
            "note",
            "weather.rain_mm_per_h",
            "rain where somebody is outdoors",
            f"{rate:g} mm/h attenuates every path over its whole length, and every receiver is "
            "in a shell",
        )


def _building(site: Site, key: str, building: Building) -> Iterator[Finding]:
    problem = site.ring(f"{key}.footprint_m", building.footprint_m)
    if problem is not None:
        yield problem
        return
    if building.roof == "flat":
        return
    plan = footprint(building)
    at = (*building.footprint_m[0], building.bottom_m + building.height_m)
    if plan.convex_hull.area - plan.area > 1e-6 * plan.area:
        yield site.finding(
            "error",
            f"{key}.roof",
            f"a convex footprint under a {building.roof} roof",
            f"one with {len(building.footprint_m)} corners that turns inwards",
            "Make the roof flat, or declare the building as several convex ones",
            at=at,
        )
    if building.roof_height_m > _MOST_ROOF_M:
        yield site.finding(
            "error",
            f"{key}.roof_height_m",
            f"at most {_MOST_ROOF_M:g} m from eaves to ridge",
            f"{building.roof_height_m:g} m",
            "It counts from the eaves, not from the ground",
            at=at,
        )


def _road(site: Site, key: str, road: Road) -> Iterator[Finding]:
    path = np.asarray(road.path_m)
    steps = np.hypot(*np.diff(path, axis=0).T)
    if (steps < TOUCH_M).any():
        short = int(np.argmin(steps))
        yield site.finding(
            "error",
            f"{key}.path_m",
            "segments with a length",
            f"one of {steps.min():g} m, segment {short}",
            "Remove one of its two points",
            at=path[short],
        )


def _vehicle(site: Site, key: str, vehicle: Vehicle, road: Road) -> Iterator[Finding]:
    length = path_length_m(road.path_m)
    if vehicle.extent_m[0] > length:
        yield site.finding(
            "error",
            f"{key}.size_m",
            f"a vehicle not longer than its road ({road.name!r}, {length:g} m)",
            f"{vehicle.extent_m[0]:g} m",
            "Lengthen the road, or take a shorter vehicle",
            at=road.path_m[0],
        )
        return
    half = vehicle.extent_m[0] / 2.0
    if not half - TOUCH_M <= vehicle.at_m <= length - half + TOUCH_M:
        yield site.finding(
            "error",
            f"{key}.at_m",
            f"a vehicle that is whole on its road: {half:g} to {length - half:g} m along it",
            f"{vehicle.at_m:g} m",
            "at_m is where its middle is at time zero",
            at=road.path_m[0],
        )


def _in_each_other(site: Site, buildings: list[Building], plans: Points) -> Iterator[Finding]:
    if not buildings:
        return
    first, second = shapely.STRtree(plans).query(plans, predicate="intersects")
    first, second = first[first < second], second[first < second]
    shared = shapely.intersection(plans[first], plans[second])
    for i, j, shape in zip(first, second, shared, strict=True):
        one, other = buildings[i], buildings[j]
        low = max(one.bottom_m, other.bottom_m)
        high = min(one.bottom_m + one.height_m, other.bottom_m + other.height_m)
        if shape.area > _OVERLAP_M2 and high - low > TOUCH_M:
            yield site.finding(
                "warning",
                f"buildings.{other.name}.footprint_m",
                "buildings beside or above each other",
                f"{shape.area:.3g} m2 in common with building {one.name!r}: rays through it "
                "cross walls that are not there",
                "Draw one footprint around both, or pull them apart",
                at=(*_centre(shape), low),
            )


def _around_shells(site: Site, buildings: list[Building], plans: Points) -> Iterator[Finding]:
    for building, plan in zip(buildings, plans, strict=True):
        for shell in site.shells:
            high = min(building.bottom_m + building.height_m, shell.top_m)
            upward = high - max(building.bottom_m, shell.bottom_m)
            shared = plan.intersection(shell.built)
            if upward > TOUCH_M and shared.area > _OVERLAP_M2:
                yield site.finding(
                    "warning",
                    f"buildings.{building.name}.footprint_m",
                    "a building either as a block or as storeys seen from inside",
                    f"{shared.area:.3g} m2 in common with {shell.key}: its walls count twice",
                    "Remove the block where there are storeys",
                    at=(*_centre(shared), shell.bottom_m),
                )


def _off_ground(site: Site, buildings: list[Building], plans: Points) -> Iterator[Finding]:
    ground = site.scene.ground
    if ground is None or not site.ground_is_sound:
        return
    area = shapely.Polygon(ground.area_m).buffer(TOUCH_M)
    shapely.prepare(area)
    for building, plan in zip(buildings, plans, strict=True):
        if abs(building.bottom_m) <= TOUCH_M and not area.covers(plan):
            beyond = plan.difference(area)
            yield site.finding(
                "warning",
                f"buildings.{building.name}.footprint_m",
                "a building on the ground",
                f"{beyond.area:.3g} of {plan.area:.3g} m2 beyond ground.area_m",
                "Widen ground.area_m, or leave the building out",
                at=_centre(beyond),
            )
    for key, road in site.sound("roads", site.scene.roads):
        beyond = shapely.LineString(road.path_m).difference(area)
        if beyond.length > TOUCH_M:
            yield site.finding(
                "warning",
                f"{key}.path_m",
                "a road on the ground",
                f"{beyond.length:.3g} m of it beyond ground.area_m, where it is left out",
                "Widen ground.area_m, or end the road at its edge",
                at=shapely.get_coordinates(beyond)[0],
            )


def _floating(site: Site, buildings: list[Building], plans: Points) -> Iterator[Finding]:
    for i, building in enumerate(buildings):
        if building.bottom_m <= TOUCH_M:
            continue
        held = [
            plan
            for other, plan in zip(buildings, plans, strict=True)
            if other is not building
            and abs(other.bottom_m + other.height_m - building.bottom_m) <= 0.5
        ]
        held += [s.built for s in site.shells if abs(s.top_m - building.bottom_m) <= 0.5]
        if not shapely.intersects(np.array(held, dtype=object), plans[i]).any():
            yield site.finding(
                "warning",
                f"buildings.{building.name}.bottom_m",
                "a building that stands on the ground or on another",
                f"{building.bottom_m:g} m, with nothing under it, and open below",
                "Set bottom_m to 0, or declare what carries it",
                at=(*_centre(plans[i]), building.bottom_m),
            )


def _on_roads(site: Site, buildings: list[Building], plans: Points) -> Iterator[Finding]:
    for key, road in site.sound("roads", site.scene.roads):
        lane = carriageway(road)
        for building, plan in zip(buildings, plans, strict=True):
            if building.bottom_m > 2.0 or not lane.intersects(plan):
                continue
            shared = lane.intersection(plan)
            if shared.area > _OVERLAP_M2:
                yield site.finding(
                    "warning",
                    f"{key}.path_m",
                    "a road beside buildings",
                    f"{shared.area:.3g} m2 of it under building {building.name!r}",
                    "Move the road, make it narrower, or raise the building's bottom_m",
                    at=_centre(shared),
                )


def _vehicles(site: Site, buildings: list[Building], plans: Points) -> Iterator[Finding]:
    roads = {road.name: road for road in site.scene.roads}
    shapes: list[tuple[str, Vehicle, shapely.Polygon]] = []
    for key, vehicle in site.sound("vehicles", site.scene.vehicles):
        road = roads[vehicle.road]
        lane = road.width_m / road.lanes
        if vehicle.extent_m[1] > lane:
            yield site.finding(
                "warning",
                f"{key}.size_m",
                "a vehicle that fits into its lane",
                f"{vehicle.extent_m[1]:g} m wide in a lane of {lane:.3g} m",
                f"Widen roads.{road.name}, or give it fewer lanes",
            )
        if vehicle.present:
            body = vehicle_surface(vehicle, road, site.scene.time_s).vertices[:, :2]
            shapes.append((key, vehicle, shapely.MultiPoint(body).convex_hull))
    if not shapes:
        return
    bodies = np.array([shape for _, _, shape in shapes], dtype=object)
    first, second = shapely.STRtree(bodies).query(bodies, predicate="intersects")
    for i, j in zip(first, second, strict=True):
        shared = bodies[i].intersection(bodies[j])
        if i < j and shared.area > TOUCH_M:
            yield _in_way(site, shapes[j][0], f"vehicle {shapes[i][1].name!r}", shared)
    for building, plan in zip(buildings, plans, strict=True):
        if building.bottom_m > 2.0:
            continue
        for i in np.flatnonzero(shapely.intersects(bodies, plan)):
            shared = bodies[i].intersection(plan)
            if shared.area > TOUCH_M:
                yield _in_way(site, shapes[i][0], f"building {building.name!r}", shared)


def _in_way(site: Site, key: str, what: str, shared: shapely.Geometry) -> Finding:
    return site.finding(
        "warning",
        f"{key}.at_m",
        "a vehicle with its place to itself",
        f"{what} at {coordinates([_centre(shared)])}, at time_s {site.scene.time_s:g}",
        "Change at_m, the lane or the speed",
        at=_centre(shared),
    )


def _centre(shape: shapely.Geometry) -> tuple[float, float]:
    point = shape.representative_point()
    return float(point.x), float(point.y)
