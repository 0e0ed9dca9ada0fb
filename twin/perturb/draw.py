"""Seeded draws of the uncertain quantities."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr, ndtri

from twin.errors import refuse
from twin.perturb.check import check_table
from twin.perturb.table import (
    Bernoulli,
    Choice,
    Distribution,
    LogUniform,
    Normal,
    PerturbationTable,
)
from twin.perturb.targets import key, targets
from twin.scene.declaration import Scene
from twin.scene.fields import Value, leaves
from twin.seeds import stream


def draw(table: PerturbationTable, scene: Scene, seed: int, realisation: int) -> dict[str, Value]:
    """Draws of one realisation, keyed ``quantity[element]`` in the order of the table.

    Every draw has a stream of its own, named by scene, realisation, quantity and element, and takes
    exactly one random number from it, so that no draw depends on any other.

    Raises:
        InputError: the table does not fit the scene.
    """
    refuse(check_table(table, scene, where=f"perturbation of {scene.name}"))
    known = tuple(leaves(scene))
    drawn: dict[str, Value] = {}
    for quantity in table.quantities:
        elements = [""] if quantity.shared else [t.element for t in targets(quantity, known)]
        for element in elements:
            number = stream(
                seed, "perturb", scene.name, realisation, quantity.name, element
            ).random()
            drawn[key(quantity, element)] = quantile(quantity.distribution, float(number))
    return drawn


def quantile(distribution: Distribution, u: float) -> Value:
    """Value of a distribution at u in [0, 1): uniform u gives draws of that distribution."""
    if isinstance(distribution, Bernoulli):
        return u < distribution.probability
    if isinstance(distribution, Choice):
        weights = distribution.weights or (1.0,) * len(distribution.values)
        steps = np.cumsum(weights)
        chosen = int(np.searchsorted(steps, u * steps[-1], side="right"))
        return distribution.values[chosen]
    low, high = distribution.low, distribution.high
    if isinstance(distribution, Normal):
        mean, std = distribution.mean, distribution.std
        below, above = float(ndtr((low - mean) / std)), float(ndtr((high - mean) / std))
        value = mean + std * float(ndtri(below + u * (above - below)))
    elif isinstance(distribution, LogUniform):
        value = low * math.exp(u * math.log(high / low))
    else:
        value = low + u * (high - low)
    return min(max(value, low), high)
