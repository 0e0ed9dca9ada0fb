"""Tables of earlier schema versions, brought to the present one while they are read."""

from __future__ import annotations

import re
from collections.abc import Callable

from twin.config import validate
from twin.errors import Fault, refuse
from twin.perturb.table import SCHEMA, PerturbationTable
from twin.scene.migrate import ONLY_AREA

_FIRST = "fingertwin/perturbation@1"
_RECEIVERS = "receivers"


def table_of(
    content: object,
    where: str,
    check: Callable[[PerturbationTable, str], list[Fault]] | None = None,
) -> PerturbationTable:
    """A table from its plain content, of any schema version known.

    Args:
        content: as from YAML or JSON.
        where: what faults name as their place.
        check: finds what the table alone cannot say, as `twin.perturb.check.check_table` does.

    Raises:
        InputError: not what a table says; lists every fault.
    """
    return validate(migrated(content, where), PerturbationTable, where, check)


def migrated(content: object, where: str) -> object:
    """Content of a table as schema ``fingertwin/perturbation@2``; what is no version 1 stays as is.

    Scenes of version 1 had one receiver area, which has a name since: ``receivers.height_m`` is
    now ``receivers.grid.height_m``. All draws stay what they were.

    Raises:
        InputError: a path reaches the receivers by a ``*`` in its first step, together with other
            parts: there is no such path now.
    """
    if not isinstance(content, dict) or content.get("schema") != _FIRST:
        return content
    quantities = content.get("quantities")
    if not isinstance(quantities, list):
        return {**content, "schema": SCHEMA}
    refuse(
        Fault(
            where,
            f"quantities.{number}.path",
            "the receivers by their name",
            quantity["path"],
            f"Give the receivers a quantity of their own: {_RECEIVERS}.{ONLY_AREA}.height_m",
        )
        for number, quantity in enumerate(quantities)
        if _reaches_by_star(_path(quantity))
    )
    return {**content, "schema": SCHEMA, "quantities": [_renamed(each) for each in quantities]}


def _path(quantity: object) -> list[str]:
    path = quantity.get("path") if isinstance(quantity, dict) else None
    return path.split(".") if isinstance(path, str) else []


def _reaches_by_star(steps: list[str]) -> bool:
    return (
        len(steps) == 2
        and "*" in steps[0]
        and _matches(steps[0], _RECEIVERS)
        and _matches(steps[1], "height_m")
    )


def _matches(step: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, step.split("*"))), name) is not None


def _renamed(quantity: object) -> object:
    steps = _path(quantity)
    if not isinstance(quantity, dict) or len(steps) < 2 or steps[0] != _RECEIVERS:
        return quantity
    return {**quantity, "path": ".".join([_RECEIVERS, ONLY_AREA, *steps[1:]])}
