"""A realisation's draws as a table that people read."""

from __future__ import annotations

from collections.abc import Sequence

from twin.perturb.objects import object_draws
from twin.perturb.realise import Realisation
from twin.perturb.table import PerturbationTable
from twin.perturb.targets import key, targets
from twin.scene.fields import Value, leaves

COLUMNS = ("draw", "value", "unit", "apply", "path", "declared", "realised")

Row = dict[str, Value | None]


def describe(realisation: Realisation, table: PerturbationTable) -> list[Row]:
    """What was drawn and what became of it: one row a value of the scene that a draw is about.

    Args:
        realisation: of the table's scene.
        table: that it was drawn from.

    Returns:
        Rows of `draw` (its key), `value`, `unit`, `apply` (of moves and placements: move, place),
        `path`, `declared` and `realised`, the scene's value before and after all draws, and
        `description`. Draws of moves and placements have no value of the scene of their own.
    """
    before = {leaf.dotted: leaf.value for leaf in leaves(realisation.nominal)}
    after = {leaf.dotted: leaf.value for leaf in leaves(realisation.scene)}
    known = tuple(leaves(realisation.nominal))
    rows: list[Row] = []
    for quantity in table.quantities:
        for target in targets(quantity, known):
            name = key(quantity.name, "" if quantity.shared else target.element)
            path = target.leaf.dotted
            rows.append(
                {
                    "draw": name,
                    "value": realisation.drawn[name],
                    "unit": quantity.unit,
                    "apply": quantity.apply,
                    "path": path,
                    "declared": before[path],
                    "realised": after[path],
                    "description": quantity.description,
                }
            )
    moved = {move.name: move.description for move in table.moves}
    placed = {placement.name: placement.description for placement in table.placements}
    for draw in object_draws(table, realisation.nominal):
        owner = draw.key.partition("[")[0].rpartition("_")[0]
        rows.append(
            {
                "draw": draw.key,
                "value": realisation.drawn[draw.key],
                "unit": draw.unit,
                "apply": "move" if owner in moved else "place",
                "path": f"furniture.{draw.furniture}",
                "declared": None,
                "realised": None,
                "description": (moved | placed)[owner],
            }
        )
    return rows


def as_text(rows: Sequence[Row]) -> str:
    """Rows of `describe` as columns of text, without the descriptions."""
    lines = [COLUMNS, *(tuple(_cell(row[column]) for column in COLUMNS) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, int | float) else value
