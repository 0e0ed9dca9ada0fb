"""What can be wrong with a perturbation table, all of it at once and before any draw."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from twin.errors import Fault
from twin.perturb.table import Bernoulli, Choice, PerturbationTable, Quantity
from twin.perturb.targets import targets
from twin.scene.declaration import Scene
from twin.scene.fields import Leaf, Value, leaves

# What tells a scene from another, and the grid that all realisations share.
_FIXED = ("schema", "name", "title", "source", "assumptions", "subcarriers")
_GRID = (("receivers", "area_m"), ("receivers", "pitch_m"))


def check_table(table: PerturbationTable, scene: Scene, where: str) -> list[Fault]:
    """All faults of a table against its (sound) scene; empty where it is sound.

    Args:
        table: the table.
        scene: the scene it names.
        where: what the faults name as their place, such as the file.
    """
    known = tuple(leaves(scene))
    faults = []
    if table.scene != scene.name:
        faults.append(Fault(where, "scene", scene.name, table.scene))
    names = [quantity.name for quantity in table.quantities]
    faults += [
        Fault(where, "quantities", "a name of its own for each", f"{name!r} more than once")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    for quantity in table.quantities:
        faults += _quantity(quantity, known, where)
    faults += _clashes(table, known, where)
    return faults


def _quantity(quantity: Quantity, known: Sequence[Leaf], where: str) -> Iterator[Fault]:
    place = f"quantities.{quantity.name}"
    found = targets(quantity, known)
    if not found:
        yield _lost(quantity, known, where)
        return
    for leaf in (target.leaf for target in found):
        fault = _kind(quantity, leaf, known, where, place) or _unit(quantity, leaf, where, place)
        if fault is None:
            fault = _range(quantity, leaf, where, place)
        if fault is not None:
            # One is enough: the values under one path are alike.
            yield fault
            return


def _lost(quantity: Quantity, known: Sequence[Leaf], where: str) -> Fault:
    paths = [leaf.dotted for leaf in known]
    inside = [path for path in paths if path.startswith(f"{quantity.path}.")]
    if inside:
        cure = f"It must lead to a single value, such as {inside[0]}"
    else:
        close = difflib.get_close_matches(quantity.path, paths, n=1, cutoff=0.6)
        cure = f"Did you mean {close[0]}?" if close else ""
    return Fault(
        where,
        f"quantities.{quantity.name}.path",
        "a path to a value that the scene gives",
        quantity.path,
        cure,
    )


def _kind(
    quantity: Quantity, leaf: Leaf, known: Sequence[Leaf], where: str, place: str
) -> Fault | None:
    if leaf.path[0] in _FIXED or leaf.path[-1] == "name" or leaf.path[:2] in _GRID:
        return Fault(
            where, f"{place}.path", "a value that may differ between realisations", leaf.dotted
        )
    drawn = quantity.distribution
    if isinstance(leaf.value, bool):
        fits, wanted = isinstance(drawn, Bernoulli), "bernoulli (a truth value)"
    elif isinstance(leaf.value, str):
        fits = isinstance(drawn, Choice) and all(isinstance(v, str) for v in drawn.values)
        wanted = "a choice of texts"
    else:
        fits = not isinstance(drawn, Bernoulli) and not (
            isinstance(drawn, Choice) and any(isinstance(v, bool | str) for v in drawn.values)
        )
        wanted = "a distribution of numbers"
    if not fits:
        return Fault(where, f"{place}.distribution", f"{wanted} for {leaf.dotted}", drawn.kind)
    if isinstance(leaf.value, bool | str) and quantity.apply != "set":
        return Fault(where, f"{place}.apply", f"set, for {leaf.dotted}", quantity.apply)
    choices = _materials(known) if leaf.path[-1].endswith("material") else leaf.choices
    if choices and isinstance(drawn, Choice):
        strange = [value for value in drawn.values if value not in choices]
        if strange:
            return Fault(
                where,
                f"{place}.distribution.values",
                "any of " + ", ".join(choices),
                ", ".join(str(value) for value in strange),
            )
    return None


def _materials(known: Sequence[Leaf]) -> tuple[str, ...]:
    """Names of the scene's materials."""
    return tuple(dict.fromkeys(leaf.path[1] for leaf in known if leaf.path[0] == "materials"))


def _unit(quantity: Quantity, leaf: Leaf, where: str, place: str) -> Fault | None:
    unit, reason = leaf.limits.unit if leaf.limits else "1", leaf.dotted
    if unit == "dBm" and quantity.apply == "multiply":
        return Fault(
            where,
            f"{place}.apply",
            f"add or set, for the level {leaf.dotted}",
            "multiply",
            "A factor of the power is a number of dB to add",
        )
    if unit == "dBm" and quantity.apply == "add":
        unit, reason = "dB", f"added to the level {leaf.dotted}"
    elif quantity.apply == "multiply":
        unit, reason = "1", "a factor"
    if quantity.unit == unit:
        return None
    return Fault(where, f"{place}.unit", f"{unit!r} ({reason})", repr(quantity.unit))


def _range(quantity: Quantity, leaf: Leaf, where: str, place: str) -> Fault | None:
    drawn = quantity.distribution
    if leaf.limits is None or isinstance(drawn, Bernoulli) or isinstance(leaf.value, bool | str):
        return None
    if isinstance(drawn, Choice):
        extremes = [float(value) for value in drawn.values]
    else:
        extremes = [drawn.low, drawn.high]
    reached = [float(combine(leaf.value, value, quantity.apply)) for value in extremes]
    limits = leaf.limits
    if limits.low <= min(reached) and max(reached) <= limits.high:
        return None
    return Fault(
        where,
        f"{place}.distribution",
        f"draws that leave {leaf.dotted} within {limits.low:g} to {limits.high:g} {limits.unit}",
        f"values from {min(reached):g} to {max(reached):g} {limits.unit}",
    )


def _clashes(table: PerturbationTable, known: Sequence[Leaf], where: str) -> Iterator[Fault]:
    first: dict[str, Quantity] = {}
    told: set[tuple[str, str]] = set()
    for quantity in table.quantities:
        for target in targets(quantity, known):
            other = first.setdefault(target.leaf.dotted, quantity)
            pair = (other.name, quantity.name)
            if other is quantity or pair in told:
                continue
            if other.apply != quantity.apply or quantity.apply == "set":
                told.add(pair)
                yield Fault(
                    where,
                    f"quantities.{quantity.name}.path",
                    f"a value that {other.name!r} does not change too, or both to add, or both to "
                    "multiply",
                    f"{target.leaf.dotted}: {other.apply}, then {quantity.apply}",
                )


def combine(declared: Value, drawn: Value, apply: str) -> Value:
    """Value of a realisation from the declared one and the draw."""
    if apply == "set" or isinstance(declared, str) or isinstance(drawn, str):
        return drawn
    return declared + drawn if apply == "add" else declared * drawn
