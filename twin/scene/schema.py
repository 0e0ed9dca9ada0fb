"""JSON schemas of the files people write, for editors that complete and check while one types.

What a key means is said once, in the ``Args:`` or ``Attributes:`` block of its class; the schema
takes it from there.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

_ARGS = re.compile(r"\n*^(?:Args|Attributes):\n(?P<block>(?:^(?: +.*)?\n?)*)", re.MULTILINE)
# One entry: names, a colon, and all up to the next line that is not indented deeper.
_ENTRY = re.compile(
    r"^    (?P<names>\w+(?:, \w+)*): +(?P<words>.*(?:\n(?: {5,}.*)?)*)", re.MULTILINE
)
_UNIT = "unit: "


def json_schema(model: type[BaseModel], path: Path) -> None:
    """Write the JSON schema (draft 2020-12) of a declaration, with words, units and ranges.

    Args:
        model: such as `twin.scene.declaration.Scene` or `twin.perturb.table.PerturbationTable`.
        path: file to write; its folder must exist.
    """
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(by_alias=True, schema_generator=_Described),
    }
    path.write_text(json.dumps(schema, indent=2, sort_keys=True) + "\n", encoding="utf-8")


class _Described(GenerateJsonSchema):
    """Gives every property the words of its class."""

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        """A class: its summary without the keys, and each key with its own words."""
        made = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        if "description" in made:
            made["description"] = _ARGS.sub("", made["description"]).strip()
        words = _words(model)
        for name, field in model.model_fields.items():
            part = made.get("properties", {}).get(field.alias or name)
            if part is not None and name in words:
                part["description"] = _with_unit(words[name], _units(part))
        return made


def _words(model: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a class and of those it extends say about its keys."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        # Its own only: a class without words of its own has none to add.
        text = inspect.cleandoc(vars(base).get("__doc__") or "")
        for block in _ARGS.finditer(text):
            for entry in _ENTRY.finditer(block["block"]):
                words = " ".join(entry["words"].split()).replace("``", "`")
                for name in entry["names"].split(", "):
                    found[name] = words[:1].upper() + words[1:]
    return found


def _units(part: object) -> set[str]:
    """Units of all numbers in a property, those of what it refers to left out."""
    if isinstance(part, list):
        return {unit for item in part for unit in _units(item)}
    if not isinstance(part, dict):
        return set()
    found = {unit for key, item in part.items() if key != "default" for unit in _units(item)}
    text = part.get("description")
    if isinstance(text, str) and text.startswith(_UNIT):
        found.add(text.removeprefix(_UNIT))
    return found


def _with_unit(words: str, units: set[str]) -> str:
    # A factor, a share or a count is a number without a unit.
    named = sorted(units - {"1"})
    return f"{words.rstrip('.')}. Unit: {', '.join(named)}." if named else words
