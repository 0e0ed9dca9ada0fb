"""The scene of one draw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.config import validate
from twin.errors import Fault, refuse
from twin.perturb.check import combine
from twin.perturb.draw import draw
from twin.perturb.table import PerturbationTable
from twin.perturb.targets import key, targets
from twin.scene.check import check
from twin.scene.declaration import Scene
from twin.scene.fields import Value, leaves

NOMINAL = -1


@dataclass(frozen=True)
class Realisation:
    """A scene with one draw of every uncertain quantity.

    Args:
        scene: the changed declaration, checked.
        index: number of the realisation, from 0; `NOMINAL` for the scene as declared.
        drawn: the draws, keyed ``quantity[element]``.
        units: unit of each draw, same keys.
    """

    scene: Scene
    index: int
    drawn: dict[str, Value] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)

    def points(self, nominal_points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Receiver points (n, 3) [m]: x and y of the scene as declared, height of this one."""
        height = np.full(len(nominal_points), self.scene.receivers.height_m)
        return np.column_stack([nominal_points[:, :2], height])


def nominal(scene: Scene) -> Realisation:
    """The scene as declared."""
    return Realisation(scene, NOMINAL)


def realise(scene: Scene, table: PerturbationTable, seed: int, realisation: int) -> Realisation:
    """One perturbed realisation of a sound scene, the same in any order and on any machine.

    Args:
        scene: as declared.
        table: its uncertain quantities.
        seed: the study's seed.
        realisation: from 0; every one is perturbed.

    Raises:
        InputError: the table does not fit the scene, or the draw gives a place that cannot be (an
            access point outside the room, a receiver inside furniture); names the draws behind it.
            Nothing is drawn again: that would bend the declared distributions in silence.
    """
    if realisation < 0:
        raise ValueError(f"realisation: expected zero or greater, found {realisation}")
    drawn = draw(table, scene, seed, realisation)
    known = tuple(leaves(scene))
    content: Any = scene.plain()
    units: dict[str, str] = {}
    reached: dict[str, list[str]] = {}
    for quantity in table.quantities:
        for target in targets(quantity, known):
            name = key(quantity, "" if quantity.shared else target.element)
            units[name] = quantity.unit
            reached.setdefault(name, []).append(target.leaf.dotted)
            holder = content
            for step in target.leaf.keys[:-1]:
                holder = holder[step]
            last = target.leaf.keys[-1]
            holder[last] = combine(holder[last], drawn[name], quantity.apply)
    where = f"realisation {realisation} of {scene.name}, seed {seed}"
    changed = Realisation(validate(content, Scene, where), realisation, drawn, units)
    refuse(_with_draws(fault, changed, reached) for fault in check(changed.scene, where))
    return changed


def _with_draws(fault: Fault, changed: Realisation, reached: dict[str, list[str]]) -> Fault:
    """The fault, with the draws that moved what it speaks of."""
    text = f"{fault.expected} {fault.found}"

    def concerns(path: str) -> bool:
        steps = path.split(".")
        mine = f"{path}.".startswith(f"{fault.key}.") or fault.key.startswith(f"{path}.")
        # Another part may have moved into the way: the obstacle it names, or the shell of the room.
        obstacle = len(steps) > 1 and f"{steps[1]!r}" in text
        return mine or obstacle or steps[0] == "room"

    behind = [
        f"{name} = {value:.4g} {changed.units[name]}"
        if isinstance(value, float)
        else f"{name} = {value}"
        for name, value in changed.drawn.items()
        if any(concerns(path) for path in reached[name])
    ]
    cure = "Drawn: " + ", ".join(behind) if behind else fault.cure
    return Fault(fault.where, fault.key, fault.expected, fault.found, cure)
