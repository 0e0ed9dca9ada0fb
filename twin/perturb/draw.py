"""Seeded draws of the uncertain quantities."""

from __future__ import annotations

from collections.abc import Sequence

from twin.errors import refuse
from twin.perturb.check import check_table
from twin.perturb.distributions import quantile
from twin.perturb.numbers import Seeded, Source, quantity_numbers
from twin.perturb.severity import drawn_at, neutral
from twin.perturb.table import PerturbationTable
from twin.perturb.targets import key, targets
from twin.scene.declaration import Scene
from twin.scene.fields import Leaf, Value, leaves

__all__ = ["draw", "draws_of", "quantile"]


def draw(
    table: PerturbationTable, scene: Scene, seed: int, realisation: int, severity: float = 1.0
) -> dict[str, Value]:
    """Draws of one realisation's quantities, keyed ``quantity[element]`` in the table's order.

    Every draw has a stream of its own, named by scene, realisation, quantity and element, and takes
    exactly one random number from it, so that no draw depends on any other that it is not declared
    to be correlated with. Those of moves and placements need the scene: see
    `twin.perturb.realise.realise`.

    Raises:
        InputError: the table does not fit the scene.
    """
    refuse(check_table(table, scene, where=f"perturbation of {scene.name}"))
    source = Seeded(seed, scene.name, realisation, table.realisations_per_day)
    return draws_of(table, tuple(leaves(scene)), source, severity)


def draws_of(
    table: PerturbationTable, known: Sequence[Leaf], source: Source, severity: float
) -> dict[str, Value]:
    """Draws of a sound table's quantities from any source of numbers; `known` are the leaves."""
    numbers = quantity_numbers(table, known, source)
    drawn: dict[str, Value] = {}
    for quantity in table.quantities:
        for target in targets(quantity, known):
            name = key(quantity.name, "" if quantity.shared else target.element)
            if name in drawn:
                continue
            number, declared = numbers[name], target.leaf.value
            if number is None:
                drawn[name] = neutral(quantity.apply, declared)
            else:
                drawn[name] = drawn_at(
                    quantity.distribution, quantity.apply, declared, number, severity
                )
    return drawn
