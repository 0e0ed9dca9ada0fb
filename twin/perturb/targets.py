"""Which values and which furniture of a scene a table addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from twin.perturb.table import Move, Quantity
from twin.scene.declaration import Scene
from twin.scene.fields import Leaf


@dataclass(frozen=True)
class Target:
    """One addressed value; `element` holds the steps that ``*`` stood for, joined by dots."""

    element: str
    leaf: Leaf


def targets(quantity: Quantity, leaves: Sequence[Leaf]) -> tuple[Target, ...]:
    """Those of a scene's leaves that are addressed, in order; empty where the path is wrong."""
    addressed = _addressed(quantity.path, tuple(leaf.path for leaf in leaves))
    return tuple(Target(element, leaves[index]) for element, index in addressed)


# A draw asks several times for the same; all realisations of a scene have the same leaves.
@lru_cache(maxsize=256)
def _addressed(pattern: str, paths: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, int], ...]:
    matched = ((_matched(pattern, path), index) for index, path in enumerate(paths))
    return tuple((element, index) for element, index in matched if element is not None)


def elements(quantity: Quantity, leaves: Sequence[Leaf]) -> tuple[str, ...]:
    """The elements that a quantity has a draw for each; one without a name where it has one."""
    if quantity.shared:
        return ("",)
    return tuple(target.element for target in targets(quantity, leaves))


def moved_furniture(move: Move, scene: Scene) -> Iterator[tuple[str, int]]:
    """Element and index of the declared furniture that a move addresses, in order."""
    for index, item in enumerate(scene.furniture):
        element = _matched(move.path, ("furniture", item.name))
        if element is not None:
            yield element, index


def key(name: str, element: str) -> str:
    """Name of one draw: ``quantity[element]``, or ``quantity`` where it is the only one."""
    return f"{name}[{element}]" if element else name


def _matched(pattern: str, path: Sequence[str]) -> str | None:
    """What ``*`` stood for where a path matches, else None."""
    steps = pattern.split(".")
    if len(steps) != len(path):
        return None
    for step, name in zip(steps, path, strict=True):
        if step != name and not ("*" in step and _fits(step, name)):
            return None
    return ".".join(name for step, name in zip(steps, path, strict=True) if "*" in step)


def _fits(step: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, step.split("*"))), name) is not None
