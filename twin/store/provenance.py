"""Which program wrote a store."""

from __future__ import annotations

import platform
from importlib.metadata import version

from pydantic import JsonValue

_PACKAGES = ("fingertwin", "numpy", "zarr", "xarray")


def program() -> dict[str, JsonValue]:
    """Versions of the program and of what decides the bytes that it writes."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
