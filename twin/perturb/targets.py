"""Which values of a scene a quantity addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from twin.perturb.table import Quantity
from twin.scene.fields import Leaf


@dataclass(frozen=True)
class Target:
    """One addressed value; `element` holds the steps that ``*`` stood for, joined by dots."""

    element: str
    leaf: Leaf


def targets(quantity: Quantity, leaves: Sequence[Leaf]) -> tuple[Target, ...]:
    """Those of a scene's leaves that are addressed, in order; empty where the path is wrong."""
    steps = quantity.path.split(".")
    patterns = [re.compile(".*".join(map(re.escape, step.split("*")))) for step in steps]
    found = []
    for leaf in leaves:
        if len(leaf.path) != len(steps):
            continue
        if all(p.fullmatch(name) for p, name in zip(patterns, leaf.path, strict=True)):
            wild = [name for step, name in zip(steps, leaf.path, strict=True) if "*" in step]
            found.append(Target(".".join(wild), leaf))
    return tuple(found)


def key(quantity: Quantity, element: str) -> str:
    """Name of one draw: ``quantity[element]``, or ``quantity`` where it is the only one."""
    return f"{quantity.name}[{element}]" if element else quantity.name
