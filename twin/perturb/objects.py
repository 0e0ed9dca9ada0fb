"""Furniture that stands elsewhere, and things that are there or not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import shapely

from twin.perturb.distributions import level
from twin.perturb.numbers import Source
from twin.perturb.occupied import Occupied, Points
from twin.perturb.table import Move, PerturbationTable, Placement
from twin.perturb.targets import key, moved_furniture
from twin.scene.contents import Furniture
from twin.scene.declaration import Scene
from twin.scene.fields import Value

_MOVED = {"x": "m", "y": "m", "turn": "deg", "tries": "1"}
_PLACED = {"present": "1", **_MOVED}


class ObjectDraw(NamedTuple):
    """One value that is drawn for an object: its key and unit, and the furniture it is about."""

    key: str
    unit: str
    furniture: str


def object_draws(table: PerturbationTable, scene: Scene) -> Iterator[ObjectDraw]:
    """All values that are drawn for moves and placements, in the order of `rearranged`."""
    for move in table.moves:
        for element, index in moved_furniture(move, scene):
            for part, unit in _MOVED.items():
                name = key(f"{move.name}_{part}", element)
                yield ObjectDraw(name, unit, scene.furniture[index].name)
    for placement in table.placements:
        for number in range(placement.count):
            for part, unit in _PLACED.items():
                name = key(f"{placement.name}_{part}", str(number))
                yield ObjectDraw(name, unit, thing_name(placement, number))


def thing_name(placement: Placement, number: int) -> str:
    """What a placed thing is called among the furniture."""
    return f"{placement.name}_{number}"


def rearranged(
    scene: Scene, table: PerturbationTable, points: Points, source: Source, severity: float
) -> tuple[Scene, dict[str, Value]]:
    """A sound scene after the table's moves and placements, and what was drawn.

    One thing after the other, in the order of table and scene, finds its place among those before
    and those that have not moved yet. The numbers of a thing come from its own stream whatever
    else there is; which of them fits depends on what stands around.

    Args:
        scene: with the quantities' draws in it.
        table: its moves and placements.
        points: (n, 3) receiver points [m].
        source: of the random numbers.
        severity: scales distances, angles and the probability of being present.

    Returns:
        The scene, and by name: of a move the shift `_x`, `_y` [m], the `_turn` [deg] and the
        `_tries` it took, all zero where the thing is not there; no shift and all its tries where no
        place was free. Of a placement `_present`, the place `_x`, `_y` [m], the `_turn` [deg] and
        the `_tries`.
    """
    if not table.moves and not table.placements:
        return scene, {}
    occupied = Occupied(scene, points)
    furniture = list(scene.furniture)
    drawn: dict[str, Value] = {}
    for move in table.moves:
        for element, index in moved_furniture(move, scene):
            draws = source.generator(move.name, element, move.varies)
            values = (0.0, 0.0, 0.0, 0.0)
            if draws is not None and furniture[index].present and severity > 0.0:
                furniture[index], values = _moved(move, furniture[index], draws, occupied, severity)
                occupied.put(furniture[index])
            names = (key(f"{move.name}_{part}", element) for part in _MOVED)
            drawn.update(zip(names, values, strict=True))
    for placement in table.placements:
        for thing, found in _placed(placement, occupied, source, severity):
            furniture += [] if thing is None else [thing]
            drawn |= found
    changed = scene.model_copy(update={"furniture": tuple(furniture)})
    return changed.in_folder(scene.folder), drawn


def _moved(
    move: Move, item: Furniture, draws: np.random.Generator, occupied: Occupied, severity: float
) -> tuple[Furniture, tuple[float, float, float, float]]:
    """The thing at the first place drawn that is free; shift [m], turn [deg], places tried."""
    for tries in range(1, move.tries + 1):
        far, way, angle = (float(u) for u in draws.random(3))
        distance = severity * level(move.shift, far)
        turn = 0.0 if move.turn is None else severity * level(move.turn, angle)
        direction = 2.0 * math.pi * way
        x, y = distance * math.cos(direction), distance * math.sin(direction)
        moved = item.model_copy(
            update={
                "centre_m": (item.centre_m[0] + x, item.centre_m[1] + y),
                # Once around is no turn, and a declared yaw has a range.
                "yaw_deg": math.fmod(item.yaw_deg + turn, 360.0),
            }
        )
        if occupied.is_free(moved, move.gap_m, before=item):
            return moved, (x, y, turn, float(tries))
    return item, (0.0, 0.0, 0.0, float(move.tries))


def _placed(
    placement: Placement, occupied: Occupied, source: Source, severity: float
) -> Iterator[tuple[Furniture | None, dict[str, Value]]]:
    """Things of a placement, or None for those that are not there, with what was drawn of each."""
    area = shapely.Polygon(placement.area_m)
    for number in range(placement.count):
        draws = source.generator(placement.name, str(number), placement.varies)
        present = False
        values: tuple[Value, ...] = (False, 0.0, 0.0, 0.0, 0.0)
        thing = None
        if draws is not None:
            wanted = float(draws.random()) < severity * placement.present_probability
            thing, found, tries = _somewhere(placement, number, area, draws, occupied)
            present = wanted and found
            values = (present, *thing.centre_m, thing.yaw_deg, float(tries))
            if found:
                # A place is taken whether or not the thing is there, so that its presence, and
                # with it the severity, moves no other.
                occupied.put(thing)
        named = (key(f"{placement.name}_{part}", str(number)) for part in _PLACED)
        yield thing if present else None, dict(zip(named, values, strict=True))


def _somewhere(
    placement: Placement,
    number: int,
    area: shapely.Polygon,
    draws: np.random.Generator,
    occupied: Occupied,
) -> tuple[Furniture, bool, int]:
    """The thing at the last place tried, whether that is free, and how many were tried."""
    west, south, east, north = area.bounds
    thing = _thing(placement, number, (west, south), 0.0)
    for tries in range(1, placement.tries + 1):
        x, y, turn = (float(u) for u in draws.random(3))
        place = (west + x * (east - west), south + y * (north - south))
        thing = _thing(placement, number, place, 360.0 * turn)
        if area.covers(shapely.Point(place)) and occupied.is_free(thing, placement.gap_m):
            return thing, True, tries
    return thing, False, placement.tries


def _thing(
    placement: Placement, number: int, place: tuple[float, float], yaw_deg: float
) -> Furniture:
    return Furniture(
        name=thing_name(placement, number),
        kind=placement.kind,
        centre_m=place,
        size_m=placement.size_m,
        yaw_deg=yaw_deg,
        material=placement.material,
        storey=placement.storey,
    )
