"""Perturbation tables and words about them, as templates write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from twin.scene.templates.common import Part

TABLE_FILE = "perturbation.yaml"
_SCHEMA = "fingertwin/perturbation@2"


def table_text(name: str, table: Mapping[str, Sequence[Part]]) -> bytes:
    """A perturbation table as YAML: a block for each row, in the order given."""
    lines = [f"# What is uncertain about {name}.", f"schema: {_SCHEMA}", f"scene: {name}"]
    for key, rows in table.items():
        if rows:
            lines += [f"{key}:", *(_row(row) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def uncertain(table: Mapping[str, Sequence[Part]]) -> list[str]:
    """Lines of a README: what the table holds, in words."""
    rows = [row for part in table.values() for row in part]
    return [
        f"What is uncertain (`{TABLE_FILE}`):",
        "",
        *(f"- `{row['name']}`: {row['description']}" for row in rows),
        "",
    ]


def _row(row: Part) -> str:
    lines = [f"{key}: {_inline(value)}" for key, value in row.items()]
    return "  - " + "\n    ".join(lines)


def _inline(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
    return str(text).removesuffix("\n").removesuffix("\n...")
