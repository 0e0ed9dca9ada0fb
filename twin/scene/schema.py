"""JSON schemas of the files people write, for editors that complete and check while one types."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel


def json_schema(model: type[BaseModel], path: Path) -> None:
    """Write the JSON schema (draft 2020-12) of a declaration, with units and ranges.

    Args:
        model: such as `twin.scene.declaration.Scene` or `twin.perturb.table.PerturbationTable`.
        path: file to write; its folder must exist.
    """
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(by_alias=True),
    }
    path.write_text(json.dumps(schema, indent=2, sort_keys=True) + "\n", encoding="utf-8")
