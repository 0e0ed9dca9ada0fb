"""What can be wrong with a table's correlations, moves and placements."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

import shapely

from twin.errors import Fault
from twin.perturb.distributions import Spread, reach
from twin.perturb.objects import thing_name
from twin.perturb.table import Move, PerturbationTable, Placement, Quantity
from twin.perturb.targets import elements, moved_furniture
from twin.scene.contents import CATALOGUE
from twin.scene.declaration import Scene
from twin.scene.fields import Leaf
from twin.scene.levels import shell_of

_FARTHEST_M, _MOST_DEG = 1000.0, 360.0


def correlation_faults(
    table: PerturbationTable, known: Sequence[Leaf], where: str
) -> Iterator[Fault]:
    """Faults of correlations and of `common`."""
    for quantity in table.quantities:
        count = len(elements(quantity, known))
        if quantity.common > 0.0 and count == 1:
            yield Fault(
                where,
                f"quantities.{quantity.name}.common",
                "draws of several elements, to be correlated with each other",
                "one draw",
                "Leave `common` out",
            )
    by_name = {quantity.name: quantity for quantity in table.quantities}
    taken: dict[str, int] = {}
    for number, correlation in enumerate(table.correlations):
        place = f"correlations.{number}.quantities"
        missing = [name for name in correlation.quantities if name not in by_name]
        for name in missing:
            yield Fault(where, place, "quantities of this table", name, _meant(name, by_name))
        for name in correlation.quantities:
            other = taken.setdefault(name, number)
            if other != number:
                expected = "a quantity in one correlation only"
                cure = f"Put all of them into one matrix with those of correlation {other}"
                yield Fault(where, place, expected, name, cure)
        if not missing:
            yield from _together(
                [by_name[name] for name in correlation.quantities], known, where, place
            )


def _together(
    group: Sequence[Quantity], known: Sequence[Leaf], where: str, place: str
) -> Iterator[Fault]:
    draws = {quantity.name: elements(quantity, known) for quantity in group}
    if len(set(draws.values())) > 1:
        found = "; ".join(f"{name}: {_listed(drawn)}" for name, drawn in draws.items())
        yield Fault(where, place, "one draw each, or draws for the same elements", found)
    for what, values in (
        ("varies", {quantity.name: quantity.varies for quantity in group}),
        ("common", {quantity.name: f"{quantity.common:g}" for quantity in group}),
    ):
        if len(set(values.values())) > 1:
            found = ", ".join(f"{name}: {value}" for name, value in values.items())
            yield Fault(where, place, f"the same `{what}` for all of them", found)


def _listed(drawn: tuple[str, ...]) -> str:
    return "one draw" if drawn == ("",) else ", ".join(drawn) or "nothing"


def object_faults(table: PerturbationTable, scene: Scene, where: str) -> Iterator[Fault]:
    """Faults of moves and placements."""
    first: dict[str, str] = {}
    for move in table.moves:
        yield from _move(move, scene, where)
        for _, index in moved_furniture(move, scene):
            item = scene.furniture[index].name
            other = first.setdefault(item, move.name)
            if other != move.name:
                expected = f"furniture that {other!r} does not move too"
                yield Fault(where, f"moves.{move.name}.path", expected, item)
                break
    for placement in table.placements:
        yield from _placement(placement, scene, where)


def _move(move: Move, scene: Scene, where: str) -> Iterator[Fault]:
    place = f"moves.{move.name}"
    if not list(moved_furniture(move, scene)):
        names = [f"furniture.{item.name}" for item in scene.furniture]
        expected = "furniture of the scene, as furniture.NAME (* stands for any part of a name)"
        yield Fault(where, f"{place}.path", expected, move.path, _meant(move.path, names))
    yield from _extent(move.shift, _FARTHEST_M, "m", where, f"{place}.shift")
    if move.turn is not None:
        yield from _extent(move.turn, _MOST_DEG, "deg", where, f"{place}.turn")


def _extent(drawn: Spread, most: float, unit: str, where: str, place: str) -> Iterator[Fault]:
    low, high = reach(drawn)
    if max(-low, high) > most:
        found = f"values from {low:g} to {high:g} {unit}"
        yield Fault(where, place, f"draws within {-most:g} to {most:g} {unit}", found)


def _placement(placement: Placement, scene: Scene, where: str) -> Iterator[Fault]:
    place = f"placements.{placement.name}"
    usual = CATALOGUE.get(placement.kind)
    material = placement.material or (usual.material if usual else None)
    if material is None or (usual is None and placement.size_m is None):
        lacking = "size_m" if placement.size_m is None else "material"
        yield Fault(where, f"{place}.{lacking}", f"a value for kind {placement.kind!r}", "nothing")
    if material is not None and material not in scene.materials:
        cure = _meant(material, scene.materials) or f"Give the scene a material {material!r}"
        yield Fault(
            where, f"{place}.material", "any of " + ", ".join(scene.materials), material, cure
        )
    if placement.storey is not None and shell_of(scene, placement.storey) is None:
        names = [shell.name for shell in scene.shells]
        expected = "any of " + ", ".join(names) if names else "no storey: the scene has none"
        cure = _meant(placement.storey, names)
        yield Fault(where, f"{place}.storey", expected, placement.storey, cure)
    area = shapely.Polygon(placement.area_m)
    shell = shell_of(scene, placement.storey)
    if not area.is_valid or area.area == 0.0:
        yield Fault(
            where,
            f"{place}.area_m",
            "a polygon that does not cross itself",
            shapely.is_valid_reason(area),
        )
    elif shell is not None and not shapely.Polygon(shell.shifted_outline()).intersects(area):
        yield Fault(where, f"{place}.area_m", f"an area in {shell.name!r}", "one outside")
    mine = {thing_name(placement, number) for number in range(placement.count)}
    twice = sorted(mine & {item.name for item in scene.furniture})
    if twice:
        expected = "a name that gives its things names of their own"
        yield Fault(where, f"{place}.name", expected, f"furniture {twice[0]!r} is there already")


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else ""
