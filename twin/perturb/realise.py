"""The scene of one draw."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.config import validate
from twin.errors import Fault, refuse
from twin.perturb.check import check_table, severity_faults
from twin.perturb.draw import draws_of
from twin.perturb.numbers import Given, Seeded, Source, factors
from twin.perturb.objects import object_draws, rearranged
from twin.perturb.severity import combine, neutral
from twin.perturb.table import PerturbationTable
from twin.perturb.targets import key, targets
from twin.scene.check import check
from twin.scene.declaration import Scene
from twin.scene.fields import Value, leaves
from twin.scene.receivers import paired_points

NOMINAL = -1


@dataclass(frozen=True)
class Realisation:
    """A scene with one draw of all that is uncertain.

    Args:
        nominal: the scene as declared.
        scene: the changed declaration, checked.
        index: number of the realisation, from 0; `NOMINAL` for the scene as declared and for
            numbers that somebody chose.
        severity: at which it was drawn.
        drawn: what was drawn, keyed ``quantity[element]``; see
            `twin.perturb.objects.rearranged` for moves and placements.
        units: unit of each, same keys.
    """

    nominal: Scene
    scene: Scene
    index: int
    severity: float = 1.0
    drawn: dict[str, Value] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)

    def points(self) -> npt.NDArray[np.float64]:
        """Receiver points (n, 3) [m]: x and y of the scene as declared, heights of this one."""
        return paired_points(self.nominal, self.scene)


def nominal(scene: Scene) -> Realisation:
    """The scene as declared."""
    return Realisation(scene, scene, NOMINAL, severity=0.0)


def realise(
    scene: Scene,
    table: PerturbationTable,
    seed: int,
    realisation: int,
    severity: float = 1.0,
) -> Realisation:
    """One perturbed realisation of a sound scene, the same in any order and on any machine.

    Args:
        scene: as declared.
        table: what is uncertain about it.
        seed: the study's seed.
        realisation: from 0; every one is perturbed.
        severity: 0 gives exactly the scene as declared, 1 what the table says; more is allowed, see
            `twin.perturb.severity`.

    Raises:
        InputError: the table does not fit the scene, or the draw gives a place that cannot be (an
            access point outside the room, a receiver inside furniture) or, beyond severity 1, a
            value out of range; names the draws behind it. Nothing is drawn again: that would bend
            the declared distributions in silence.
    """
    if realisation < 0:
        raise ValueError(f"realisation: expected zero or greater, found {realisation}")
    where = f"perturbation of {scene.name}"
    refuse(check_table(table, scene, where) or severity_faults(table, scene, severity, where))
    source = Seeded(seed, scene.name, realisation, table.realisations_per_day)
    place = f"realisation {realisation} of {scene.name}, seed {seed}"
    if severity != 1.0:
        place += f", severity {severity:g}"
    return _realised(scene, table, source, realisation, severity, place)


def realise_at(
    scene: Scene, table: PerturbationTable, numbers: Mapping[str, float], severity: float = 1.0
) -> Realisation:
    """The realisation of chosen numbers, as a design of experiments gives them.

    Args:
        scene: as declared.
        table: what is uncertain about it.
        numbers: in [0, 1), by `twin.perturb.numbers.uniform_keys`: the quantile of every draw (of
            correlated draws: before they are mixed), the seed of every move and placement. A factor
            (`twin.perturb.numbers.factors`) that has none stays as declared.
        severity: see `realise`.

    Raises:
        InputError: as `realise`; a number that belongs to nothing, lies outside [0, 1), or is
            missing while others of its factor are there.
    """
    where = f"perturbation of {scene.name}"
    refuse(check_table(table, scene, where) or severity_faults(table, scene, severity, where))
    refuse(_number_faults(table, scene, numbers, where))
    source = Given(scene.name, dict(numbers))
    return _realised(scene, table, source, NOMINAL, severity, f"chosen draws of {scene.name}")


def _number_faults(
    table: PerturbationTable, scene: Scene, numbers: Mapping[str, float], where: str
) -> list[Fault]:
    found = factors(table, scene)
    known = [name for keys in found.values() for name in keys]
    faults = []
    for name, number in numbers.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            cure = f"Did you mean {close[0]}?" if close else ""
            faults.append(Fault(where, "numbers", "draws of the table", name, cure))
        elif not 0.0 <= number < 1.0:
            faults.append(Fault(where, f"numbers.{name}", "a number in [0, 1)", f"{number:g}"))
    for factor, keys in found.items():
        lacking = [name for name in keys if name not in numbers]
        if 0 < len(lacking) < len(keys):
            expected = f"numbers for all draws of {factor!r}, or for none"
            faults.append(Fault(where, "numbers", expected, f"none for {', '.join(lacking)}"))
    return faults


def _realised(
    scene: Scene,
    table: PerturbationTable,
    source: Source,
    index: int,
    severity: float,
    where: str,
) -> Realisation:
    known = tuple(leaves(scene))
    drawn = draws_of(table, known, source, severity)
    content: Any = scene.plain()
    units: dict[str, str] = {}
    reached: dict[str, list[str]] = {}
    for quantity in table.quantities:
        for target in targets(quantity, known):
            name = key(quantity.name, "" if quantity.shared else target.element)
            units[name] = quantity.unit
            reached.setdefault(name, []).append(target.leaf.dotted)
            if drawn[name] == neutral(quantity.apply, target.leaf.value):
                continue
            holder = content
            for step in target.leaf.keys[:-1]:
                holder = holder[step]
            last = target.leaf.keys[-1]
            holder[last] = combine(holder[last], drawn[name], quantity.apply)
    changed = validate(content, Scene, where).in_folder(scene.folder)
    made = Realisation(scene, changed, index, severity, drawn, units)
    refuse(_with_draws(fault, made, reached) for fault in check(changed, where))
    if not table.moves and not table.placements:
        return made
    changed, objects = rearranged(changed, table, made.points(), source, severity)
    for draw in object_draws(table, scene):
        units[draw.key] = draw.unit
        reached[draw.key] = [f"furniture.{draw.furniture}"]
    made = Realisation(scene, changed, index, severity, drawn | objects, units)
    refuse(_with_draws(fault, made, reached) for fault in check(changed, where))
    return made


def _with_draws(fault: Fault, changed: Realisation, reached: dict[str, list[str]]) -> Fault:
    """The fault, with the draws that moved what it speaks of."""
    text = f"{fault.expected} {fault.found}"

    def concerns(path: str) -> bool:
        steps = path.split(".")
        mine = f"{path}.".startswith(f"{fault.key}.") or fault.key.startswith(f"{path}.")
        # Another part may have moved into the way: the obstacle it names, or the shell of the room.
        obstacle = len(steps) > 1 and f"{steps[1]!r}" in text
        return mine or obstacle or steps[0] in ("room", "storeys")

    behind = [
        f"{name} = {value:.4g} {changed.units[name]}"
        if isinstance(value, float)
        else f"{name} = {value}"
        for name, value in changed.drawn.items()
        if any(concerns(path) for path in reached[name])
    ]
    cure = "Drawn: " + ", ".join(behind) if behind else fault.cure
    return Fault(fault.where, fault.key, fault.expected, fault.found, cure)
