"""What can be wrong with a perturbation table, all of it at once and before any draw."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from twin.errors import Fault
from twin.perturb.check_objects import correlation_faults, object_faults
from twin.perturb.distributions import Bernoulli, Choice, reach
from twin.perturb.objects import object_draws
from twin.perturb.severity import combine
from twin.perturb.table import PerturbationTable, Quantity
from twin.perturb.targets import targets
from twin.scene.declaration import Scene
from twin.scene.fields import Leaf, leaves

# What tells a scene from another, and the shape of what a store holds of it.
_FIXED = ("schema", "name", "title", "source", "assumptions", "subcarriers")
# Files are what their digest says; ports are a dimension of every channel.
_FIXED_LAST = ("name", "kind", "file", "sha256", "rows", "columns", "polarisation")


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
    faults += _names(table, scene, where)
    for quantity in table.quantities:
        faults += _quantity(quantity, known, where)
    faults += _clashes(table, known, where)
    faults += correlation_faults(table, known, where)
    faults += object_faults(table, scene, where)
    return faults


def severity_faults(
    table: PerturbationTable, scene: Scene, severity: float, where: str
) -> list[Fault]:
    """What keeps a sound table from being drawn at a severity; empty where nothing does."""
    if not 0.0 <= severity < float("inf"):
        return [Fault(where, "severity", "a number from zero up", f"{severity:g}")]
    if severity == 1.0:
        return []
    known = tuple(leaves(scene))
    faults = []
    for quantity in table.quantities:
        declared = {target.leaf.value for target in targets(quantity, known)}
        if quantity.shared and quantity.apply == "set" and len(declared) > 1:
            faults.append(
                Fault(
                    where,
                    f"quantities.{quantity.name}.shared",
                    "one declared value, from which a severity other than 1 can count",
                    f"{len(declared)} values under {quantity.path}",
                    "Add or multiply, or give each a draw of its own, or use severity 1",
                )
            )
    return faults


def _names(table: PerturbationTable, scene: Scene, where: str) -> Iterator[Fault]:
    """Names that stand twice, and values drawn for objects that a quantity is called like."""
    lists = {
        "quantities": [quantity.name for quantity in table.quantities],
        "moves": [move.name for move in table.moves],
        "placements": [placement.name for placement in table.placements],
    }
    seen: dict[str, str] = {}
    for kind, names in lists.items():
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Fault(where, kind, "a name of its own for each", f"{name!r} more than once")
        for name in dict.fromkeys(names):
            if name in seen:
                expected = f"a name that no other of the {seen[name]} has"
                yield Fault(where, f"{kind}.{name}", expected, repr(name))
            seen.setdefault(name, kind)
    objects = {draw.key.partition("[")[0] for draw in object_draws(table, scene)}
    for name in sorted(objects & set(seen)):
        yield Fault(
            where,
            f"{seen[name]}.{name}",
            "a name that no value drawn for a move or a placement has",
            repr(name),
        )


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
    if _is_fixed(leaf):
        return Fault(
            where, f"{place}.path", "a value that may differ between realisations", leaf.dotted
        )
    drawn = quantity.distribution
    whole = isinstance(leaf.value, int)
    if isinstance(leaf.value, bool):
        fits, wanted = isinstance(drawn, Bernoulli), "bernoulli (a truth value)"
    elif isinstance(leaf.value, str):
        fits = isinstance(drawn, Choice) and all(isinstance(v, str) for v in drawn.values)
        wanted = "a choice of texts"
    elif whole:
        fits = isinstance(drawn, Choice) and all(
            isinstance(v, float) and v.is_integer() for v in drawn.values
        )
        wanted = "a choice of whole numbers"
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


def _is_fixed(leaf: Leaf) -> bool:
    # The points of a scene are those of all its realisations, but for their height.
    receivers = leaf.path[0] == "receivers" and leaf.path[-1] != "height_m"
    furniture = leaf.path[0] == "furniture" and leaf.path[-1] == "kind"
    if leaf.path[0] in _FIXED or receivers:
        return True
    return leaf.path[-1] in _FIXED_LAST and not furniture


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
        extremes = list(reach(drawn))
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
