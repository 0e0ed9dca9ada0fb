"""Scene files of earlier schema versions, brought to the present one while they are read."""

from __future__ import annotations

from typing import Any

from twin.scene.declaration import SCHEMA

# What the one area of a scene of version 1 is called since areas have names.
ONLY_AREA = "grid"


def migrated(content: object) -> object:
    """Content of a scene file as schema ``fingertwin/scene@2``; what is no version 1 stays as is.

    Version 1 knew one receiver area, a grid without a name, and nothing that version 2 has dropped:
    the same place and points come out.
    """
    if not isinstance(content, dict) or content.get("schema") != "fingertwin/scene@1":
        return content
    changed: dict[str, Any] = {**content, "schema": SCHEMA}
    area = content.get("receivers")
    if isinstance(area, dict):
        changed["receivers"] = [{"name": ONLY_AREA, "kind": "grid", **area}]
    return changed
