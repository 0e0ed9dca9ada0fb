"""The scene of one draw."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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
from twin.scene.checks.site import which
from twin.scene.declaration import Scene
from twin.scene.fields import Value, leaves
from twin.scene.obstacles import CLEARANCE_M, covered, settled
from twin.scene.radio import ReceiverArea
from twin.scene.receivers import in_place, paired_areas, paired_points

NOMINAL = -1
# Obstacles that a fault calls by name.
_NAMED = 4
_Pairs = list[tuple[ReceiverArea, npt.NDArray[np.float64]]]


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
            access point outside the room, furniture or a person on one of the receivers of the
            scene as declared) or, beyond severity 1, a value out of range; names the draws behind
            it. Nothing is drawn again: that would bend the declared distributions in silence.
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
    pairs = list(paired_areas(scene, changed))
    refuse(_faults(made, pairs, reached, where))
    if not table.moves and not table.placements:
        return made
    points = np.concatenate([part for _, part in pairs])
    changed, objects = rearranged(changed, table, points, source, severity)
    for draw in object_draws(table, scene):
        units[draw.key] = draw.unit
        reached[draw.key] = [f"furniture.{draw.furniture}"]
    made = Realisation(scene, changed, index, severity, drawn | objects, units)
    refuse(_faults(made, pairs, reached, where))
    return made


def _faults(
    made: Realisation, pairs: _Pairs, reached: dict[str, list[str]], where: str
) -> Iterator[Fault]:
    """What cannot be about a realisation, with the draws behind it."""
    told = set()
    for fault in check(made.scene, where):
        told.add(fault.key)
        drawn = _behind(fault, made, reached)
        yield replace(fault, cure=drawn or fault.cure)
    for fault in _lost_points(made, pairs, where):
        if fault.key in told:
            # None of the area's points is left.
            continue
        drawn = _behind(fault, made, reached)
        yield replace(fault, cure=f"{drawn}. {fault.cure}" if drawn else fault.cure)


def _lost_points(made: Realisation, pairs: _Pairs, where: str) -> Iterator[Fault]:
    """Receivers of areas that leave points out, where nobody can stand in the changed scene.

    A check of that scene sees none of them: there they would be left out, but points are those of
    the scene as declared. Of other areas it sees all.
    """
    judged = [(area, points) for area, points in pairs if area.blocked == "leave_out"]
    if not judged:
        return
    scene = settled(made.scene)
    # Once for all areas: what covers anything is dear to find.
    obstacles = covered(scene, np.concatenate([points for _, points in judged]))
    start = 0
    for area, points in judged:
        end = start + len(points)
        in_way = {name: mask[start:end] for name, mask in obstacles.items()}
        start = end
        outside = ~in_place(scene, area, points)
        if outside.any():
            yield Fault(
                where,
                f"receivers.{area.name}",
                "the receivers of the scene as declared where they can be, "
                f"{CLEARANCE_M:g} m clear of walls, floors, ceilings and ground",
                f"{which(points, outside)} outside",
                "Keep the area clear of where walls, ceilings and heights may come, or draw less",
            )
        names = [name for name, mask in in_way.items() if mask.any()]
        if names:
            blocked = np.logical_or.reduce(list(in_way.values()))
            rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield Fault(
                where,
                f"receivers.{area.name}",
                f"nothing in, or within {CLEARANCE_M:g} m of, a receiver of the scene as declared",
                f"{which(points, blocked)} covered by {', '.join(names[:_NAMED])}{rest}",
                "Keep the area clear of where these may come to stand, or draw less",
            )


def _behind(fault: Fault, changed: Realisation, reached: dict[str, list[str]]) -> str:
    """The draws that moved what a fault speaks of, in words; empty where there are none."""
    text = f"{fault.expected} {fault.found}"

    def concerns(path: str) -> bool:
        steps = path.split(".")
        mine = f"{path}.".startswith(f"{fault.key}.") or fault.key.startswith(f"{path}.")
        # Another part may have moved into the way: the obstacle it names, or the shell of the room.
        obstacle = len(steps) > 1 and f"{steps[1]!r}" in text
        walked = steps[0] == "time_s" and ("person '" in text or "vehicle '" in text)
        scattered = steps[0] == "clutter" and f"furniture '{steps[1]}_" in text
        return mine or obstacle or walked or scattered or steps[0] in ("room", "storeys")

    behind = [
        f"{name} = {value:.4g} {changed.units[name]}"
        if isinstance(value, float)
        else f"{name} = {value}"
        for name, value in changed.drawn.items()
        if any(concerns(path) for path in reached[name])
    ]
    return "Drawn: " + ", ".join(behind) if behind else ""
