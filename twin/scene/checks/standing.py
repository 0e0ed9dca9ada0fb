"""Things in each other, things in walls, things in the air, and doors that open into them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely

from twin.scene.checks import openings, walls
from twin.scene.checks.site import TOUCH_M, Points, Shell, Site, coordinates
from twin.scene.checks.walls import Segments
from twin.scene.contents import Furniture, Person
from twin.scene.findings import Finding
from twin.scene.motion import person_as_furniture

# Two footprints that share less than this do not overlap [m2].
_OVERLAP_M2 = 1e-3
# A wall has to be in a thing by more than this [m].
_IN_WALL_M = 0.01
# A thing this close to what is below or beside it is held by it [m].
_HELD_M = 0.05
# More of a footprint than this over a hole in the floor, and the thing falls.
_OVER_VOID = 0.5
# A board in the catalogue's shapes [m].
_BOARD_M = 0.02


@dataclass(frozen=True)
class Body:
    """The space in which sheets of a thing are.

    Args:
        owner: index of the thing.
        plan: its footprint.
        low, high: heights in the world [m].
    """

    owner: int
    plan: shapely.Polygon
    low: float
    high: float


@dataclass(frozen=True)
class _Thing:
    key: str
    what: str
    item: Furniture
    shell: Shell | None

    @property
    def floor_m(self) -> float:
        """Height of the floor [m] that it counts from."""
        return 0.0 if self.shell is None else self.shell.bottom_m


class _Things:
    """All furniture, clutter and people that are present and sound, where they are."""

    def __init__(self, site: Site) -> None:
        scene = site.furnished()
        declared = {item.name for item in site.scene.furniture}
        self.things: list[_Thing] = []
        for item in scene.furniture:
            if not item.present:
                continue
            clutter = item.name.rsplit("_", maxsplit=1)[0]
            key = f"furniture.{item.name}" if item.name in declared else f"clutter.{clutter}"
            self._add(site, key, f"furniture {item.name!r}", item)
        for person in scene.people:
            if person.present:
                item = person_as_furniture(person, scene.time_s)
                self._add(site, f"people.{person.name}", f"person {person.name!r}", item)
        self.bodies = [body for i, thing in enumerate(self.things) for body in _bodies(i, thing)]
        self.plans = np.array([body.plan for body in self.bodies], dtype=object)
        self.owner = np.array([body.owner for body in self.bodies], dtype=np.int64)
        self.low = np.array([body.low for body in self.bodies])
        self.high = np.array([body.high for body in self.bodies])

    def _add(self, site: Site, key: str, what: str, item: Furniture) -> None:
        self.things.append(_Thing(key, what, item, site.shell(item.storey)))


def warnings(site: Site) -> Iterator[Finding]:
    """All of it, for things where they are at the scene's time; over voids for whole walks."""
    things = _Things(site)
    if not things.bodies:
        return
    yield from _in_each_other(site, things)
    yield from _in_walls(site, things)
    yield from _floating(site, things)
    yield from _over_voids(site)
    yield from _behind_doors(site, things)


def _bodies(owner: int, thing: _Thing) -> list[Body]:
    item = thing.item
    corners, plan = item.footprint(), _plan(item)
    low, high = thing.floor_m + item.bottom_m, thing.floor_m + item.top_m
    match item.kind:
        # Open below: a chair under a table is where it belongs.
        case "desk" | "table":
            return [Body(owner, plan, high - min(_BOARD_M, high - low), high)]
        case "chair":
            seat = 0.5 * (low + high)
            back = shapely.LineString(corners[2:4]).buffer(_BOARD_M / 2.0, cap_style="flat")
            return [Body(owner, plan, seat, seat + _BOARD_M), Body(owner, back, seat, high)]
    return [Body(owner, plan, low, high)]


def _ellipse(corners: Points) -> shapely.Polygon:
    centre, turn = corners.mean(axis=0), np.linspace(0.0, 2.0 * np.pi, 17)[:-1, None]
    across, along = (corners[1] - corners[0]) / 2.0, (corners[3] - corners[0]) / 2.0
    return shapely.Polygon(centre + np.cos(turn) * across + np.sin(turn) * along)


def _in_each_other(site: Site, things: _Things) -> Iterator[Finding]:
    first, second = shapely.STRtree(things.plans).query(things.plans, predicate="intersects")
    one, other = things.owner[first], things.owner[second]
    upward = np.minimum(things.high[first], things.high[second]) - np.maximum(
        things.low[first], things.low[second]
    )
    keep = (one < other) & (upward > TOUCH_M)
    first, second = first[keep], second[keep]
    shared = shapely.intersection(things.plans[first], things.plans[second])
    told: set[tuple[int, int]] = set()
    for i, j, shape in zip(first, second, shared, strict=True):
        pair = int(things.owner[i]), int(things.owner[j])
        if shape.area <= _OVERLAP_M2 or pair in told:
            continue
        told.add(pair)
        thing, obstacle = things.things[pair[1]], things.things[pair[0]]
        yield site.finding(
            "warning",
            thing.key,
            "things apart from each other",
            f"{thing.what} overlaps {obstacle.what}, {shape.area:.3g} m2 in plan",
            "Move the one or the other, or make one thing of both",
            at=(*_centre(shape), max(things.low[i], things.low[j])),
        )


def _in_walls(site: Site, things: _Things) -> Iterator[Finding]:
    for shell, segments in walls.by_shell(site):
        lines = shapely.linestrings(segments.lines)
        body, line = shapely.STRtree(lines).query(things.plans, predicate="intersects")
        upward = np.minimum(things.high[body], segments.high[line]) - np.maximum(
            things.low[body], segments.low[line]
        )
        body, line = body[upward > TOUCH_M], line[upward > TOUCH_M]
        inner = shapely.buffer(things.plans[body], -TOUCH_M)
        inside = shapely.intersection(inner, lines[line])
        told: set[tuple[int, int]] = set()
        for b, s, part in zip(body, line, inside, strict=True):
            pair = int(things.owner[b]), int(segments.owner[s])
            thing = things.things[pair[0]]
            if part.length <= _IN_WALL_M or pair in told or thing.shell is not shell:
                continue
            told.add(pair)
            yield _in_wall(site, thing, f"inner wall {segments.names[pair[1]]!r}", part)
    for shell in site.shells:
        rim = shell.built.exterior
        for body in things.bodies:
            thing = things.things[body.owner]
            if thing.shell is not shell:
                continue
            part = body.plan.buffer(-TOUCH_M).intersection(rim)
            if part.length > _IN_WALL_M:
                yield _in_wall(site, thing, f"the outline of {shell.storey.name!r}", part)


def _in_wall(site: Site, thing: _Thing, what: str, part: shapely.Geometry) -> Finding:
    place = shapely.get_coordinates(part)[0]
    return site.finding(
        "warning",
        thing.key,
        "things clear of walls",
        f"{thing.what} has {what} in it, {part.length:.3g} m from {coordinates([place])}",
        "Move it at least 1 cm off the wall",
        at=place,
    )


def _floating(site: Site, things: _Things) -> Iterator[Finding]:
    """Things off the floor, or over a hole in it, that nothing holds."""
    segments = {id(shell): part for shell, part in walls.by_shell(site)}
    voids = {id(shell): _voids(shell) for shell in site.shells}
    walkers = {f"people.{person.name}" for person in site.scene.people if _walks(person)}
    for i, thing in enumerate(things.things):
        item, shell = thing.item, thing.shell
        plan = _plan(item)
        off_floor = item.bottom_m > TOUCH_M
        hole = 0.0
        if not off_floor and shell is not None and thing.key not in walkers:
            hole = plan.intersection(voids[id(shell)]).area / plan.area
        if not off_floor and hole <= _OVER_VOID:
            continue
        if _is_held(things, i, plan, segments.get(id(shell))):
            continue
        low = thing.floor_m + item.bottom_m
        if off_floor:
            yield site.finding(
                "warning",
                f"{thing.key}.bottom_m",
                "a thing that stands on, hangs from or is fixed to something",
                f"{item.bottom_m:g} m above the floor, with nothing within {_HELD_M * 100:g} cm "
                "of it",
                "Set bottom_m to 0, or move it to a wall, the ceiling or onto another thing",
                at=(*_centre(plan), low),
            )
        else:
            yield site.finding(
                "warning",
                thing.key,
                "a thing that stands on, hangs from or is fixed to something",
                f"{thing.what} in the air: {hole:.0%} of it over a void of {_name(shell)}",
                "Move it off the void, or to the storey below",
                at=(*_centre(plan), low),
            )


def _is_held(things: _Things, number: int, plan: shapely.Polygon, near: Segments | None) -> bool:
    """Whether the ceiling, a thing below, the outline or a wall holds a thing."""
    thing = things.things[number]
    item, shell = thing.item, thing.shell
    low, high = thing.floor_m + item.bottom_m, thing.floor_m + item.top_m
    if shell is not None and high >= shell.top_m - _HELD_M:
        return True
    carried = (np.abs(things.high - low) <= _HELD_M) & (things.owner != number)
    if shapely.intersects(things.plans[carried], plan).any():
        return True
    if shell is not None and shell.built.exterior.distance(plan) <= _HELD_M:
        return True
    if near is None:
        return False
    lines = shapely.linestrings(near.lines[(near.low < high) & (near.high > low)])
    return bool((shapely.distance(lines, plan) <= _HELD_M).any())


def _walks(person: Person) -> bool:
    return person.speed_m_per_s != 0.0


def _over_voids(site: Site) -> Iterator[Finding]:
    """Walks that lead over a hole in the floor, at whatever time."""
    for key, person in site.sound("people", site.scene.people):
        shell = site.shell(person.storey)
        if not person.present or shell is None or not _walks(person):
            continue
        over = shapely.LineString(person.path_m).intersection(_voids(shell))
        if over.length > _IN_WALL_M:
            place = shapely.get_coordinates(over)[0]
            yield site.finding(
                "warning",
                f"{key}.path_m",
                "a walk on the floor",
                f"{over.length:.3g} m of it in the air, over a void of {_name(shell)} from "
                f"{coordinates([place])}",
                "Lead the path around the void",
                at=(*place, shell.bottom_m),
            )


def _voids(shell: Shell) -> shapely.Geometry:
    holes = [shapely.Polygon(void) for void in shell.storey.voids_m]
    return shapely.union_all([hole for hole in holes if hole.is_valid])


def _name(shell: Shell | None) -> str:
    return "the floor" if shell is None else repr(shell.storey.name)


def _plan(item: Furniture) -> shapely.Polygon:
    corners = item.footprint()
    return _ellipse(corners) if item.kind == "person" else shapely.Polygon(corners)


def _behind_doors(site: Site, things: _Things) -> Iterator[Finding]:
    for key, hole, leaf in openings.leaves(site):
        if hole.opening.state == "closed":
            continue
        line = shapely.LineString(leaf)
        level = (things.low < hole.top_m - TOUCH_M) & (things.high > hole.bottom_m + TOUCH_M)
        hit = level & shapely.intersects(things.plans, line)
        for owner in sorted({int(i) for i in things.owner[hit]}):
            yield site.finding(
                "warning",
                f"{key}.swing_deg",
                "a leaf that swings free of things",
                f"{hole.opening.swing_deg:g} deg, into {things.things[owner].what}",
                "Swing it less far or to the other side, or move the thing",
                at=(*leaf[1], hole.bottom_m),
            )


def _centre(shape: shapely.Geometry) -> tuple[float, float]:
    point = shape.representative_point()
    return float(point.x), float(point.y)
