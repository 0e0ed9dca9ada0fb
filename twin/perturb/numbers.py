"""The random numbers behind the draws: uniform, one a draw, each from a stream of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import ndtr, ndtri

from twin.perturb.table import PerturbationTable, Quantity, Varies, correlation_root
from twin.perturb.targets import elements, key, moved_furniture
from twin.scene.declaration import Scene
from twin.scene.fields import Leaf, leaves
from twin.seeds import stream

# What the factor common to a quantity's elements is called; no part of a scene has this name.
COMMON = "*"
_ABOVE_ZERO, _BELOW_ONE = 2.0**-54, math.nextafter(1.0, 0.0)


class Source(Protocol):
    """Where random numbers come from."""

    def uniform(self, name: str, element: str, varies: Varies) -> float | None:
        """Number in [0, 1) of one draw; None where nothing is drawn."""
        ...

    def generator(self, name: str, element: str, varies: Varies) -> np.random.Generator | None:
        """Stream of one thing that is moved or placed; None where nothing is drawn."""
        ...


@dataclass(frozen=True)
class Seeded:
    """Numbers of one realisation of a study.

    Args:
        seed: the study's.
        scene: name of the scene.
        realisation: from 0.
        per_day: realisations that belong to one day.
    """

    seed: int
    scene: str
    realisation: int
    per_day: int = 1

    def uniform(self, name: str, element: str, varies: Varies) -> float:
        """See `Source`."""
        return float(self.generator(name, element, varies).random())

    def generator(self, name: str, element: str, varies: Varies) -> np.random.Generator:
        """See `Source`."""
        when: tuple[str | int, ...] = (self.realisation,)
        if varies == "daily":
            when = ("day", self.realisation // self.per_day)
        elif varies == "never":
            when = ("always",)
        return stream(self.seed, "perturb", self.scene, *when, name, element)


@dataclass(frozen=True)
class Given:
    """Numbers that somebody chose, by `uniform_keys`; what has none is not drawn."""

    scene: str
    numbers: Mapping[str, float]

    def uniform(self, name: str, element: str, varies: Varies) -> float | None:  # noqa: ARG002
        """See `Source`."""
        return self.numbers.get(key(name, element))

    def generator(
        self,
        name: str,
        element: str,
        varies: Varies,  # noqa: ARG002
    ) -> np.random.Generator | None:
        """A stream of which the number is the seed; see `Source`."""
        number = self.numbers.get(key(name, element))
        if number is None:
            return None
        return stream(0, "perturb", self.scene, "given", name, element, int(number * 2**53))


def factors(table: PerturbationTable, scene: Scene) -> dict[str, tuple[str, ...]]:
    """What is uncertain on its own: quantities, moves, placements; the numbers behind each.

    Quantities that are correlated are one factor, named by all of them: their numbers have no
    effect of their own.

    Returns:
        Keys for `twin.perturb.realise.realise_at` by the name of the factor, in table order.
    """
    known = tuple(leaves(scene))
    joined = {
        name: ", ".join(correlation.quantities)
        for correlation in table.correlations
        for name in correlation.quantities
    }
    found: dict[str, tuple[str, ...]] = {}
    for quantity in table.quantities:
        name = joined.get(quantity.name, quantity.name)
        mine = tuple(key(quantity.name, element) for element in elements(quantity, known))
        if quantity.common > 0.0:
            mine += (key(quantity.name, COMMON),)
        found[name] = found.get(name, ()) + mine
    for move in table.moves:
        found[move.name] = tuple(
            key(move.name, element) for element, _ in moved_furniture(move, scene)
        )
    for placement in table.placements:
        found[placement.name] = tuple(
            key(placement.name, str(index)) for index in range(placement.count)
        )
    return found


def uniform_keys(table: PerturbationTable, scene: Scene) -> tuple[str, ...]:
    """Keys of all numbers in [0, 1) that make one realisation."""
    return tuple(name for keys in factors(table, scene).values() for name in keys)


def quantity_numbers(
    table: PerturbationTable, known: Sequence[Leaf], source: Source
) -> dict[str, float | None]:
    """The numbers of all draws of quantities, correlated as declared, keyed as the draws are.

    A draw that is correlated with none is the number of its source to the bit.
    """
    numbers: dict[str, float | None] = {}
    scores: dict[str, float] = {}
    for quantity in table.quantities:
        for element in elements(quantity, known):
            name = key(quantity.name, element)
            numbers[name] = source.uniform(quantity.name, element, quantity.varies)
    for group, root in _groups(table):
        for element in elements(group[0], known):
            scores |= _correlated(group, root, element, source)
    for name, score in scores.items():
        numbers[name] = min(float(ndtr(score)), _BELOW_ONE)
    return numbers


def _groups(
    table: PerturbationTable,
) -> list[tuple[list[Quantity], list[list[float]]]]:
    """Quantities that are drawn together, and the root of their correlation matrix."""
    by_name = {quantity.name: quantity for quantity in table.quantities}
    groups = [
        ([by_name[name] for name in correlation.quantities], correlation_root(correlation.matrix))
        for correlation in table.correlations
    ]
    taken = {name for correlation in table.correlations for name in correlation.quantities}
    alone = [
        ([quantity], [[1.0]])
        for quantity in table.quantities
        if quantity.common > 0.0 and quantity.name not in taken
    ]
    return groups + alone


def _correlated(
    group: Sequence[Quantity], root: Sequence[Sequence[float]], element: str, source: Source
) -> dict[str, float]:
    """Normal scores of one element of a group of quantities; empty where none are drawn."""
    own = _scores(group, element, source)
    if own is None:
        return {}
    mixed = _mixed(root, own)
    rho = group[0].common
    if rho > 0.0:
        common = _scores(group, COMMON, source)
        if common is None:
            return {}
        mixed = [
            math.sqrt(rho) * shared + math.sqrt(1.0 - rho) * score
            for shared, score in zip(_mixed(root, common), mixed, strict=True)
        ]
    names = (key(quantity.name, element) for quantity in group)
    return dict(zip(names, mixed, strict=True))


def _scores(group: Sequence[Quantity], element: str, source: Source) -> list[float] | None:
    scores = []
    for quantity in group:
        number = source.uniform(quantity.name, element, quantity.varies)
        if number is None:
            return None
        scores.append(float(ndtri(min(max(number, _ABOVE_ZERO), _BELOW_ONE))))
    return scores


def _mixed(root: Sequence[Sequence[float]], scores: Sequence[float]) -> list[float]:
    # Term by term: the order of a library's sum would decide the last bit.
    return [sum(weight * score for weight, score in zip(row, scores, strict=True)) for row in root]
