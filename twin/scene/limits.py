"""What a number in a scene may be: its unit and the range that makes sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema


@dataclass(frozen=True)
class Limits:
    """Unit and inclusive range of one number, carried by its type.

    The model itself does not enforce the range: `twin.scene.check` does, so that a file with
    several faults gets them all in one message.
    """

    unit: str
    low: float
    high: float

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = handler(core_schema)
        return {
            **schema,
            "minimum": self.low,
            "maximum": self.high,
            "description": f"unit: {self.unit}",
        }
