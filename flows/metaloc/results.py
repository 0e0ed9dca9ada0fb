"""Results of single seeds as files: what says which seeds of an experiment are done."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from twin import atomic
from twin.store.content import json_digest

Record = dict[str, Any]
# Of the packages that compute.
_PACKAGES = ("fingertwin", "tensorflow-cpu", "keras", "numpy", "scipy", "scikit-learn")


def seed_file(folder: Path, experiment: str, key: Mapping[str, Any], seed: int) -> Path:
    """Where the records of a seed are kept; the name changes with all that they depend on.

    Args:
        folder: of the results.
        experiment: its name.
        key: settings, digests of the data and of the code, as JSON holds them.
        seed: which.
    """
    digest = json_digest({"key": dict(key), "versions": package_versions()})[:12]
    return folder / f"{experiment}-{digest}-seed{seed}.json"


def package_versions() -> dict[str, str]:
    """Versions of the packages that the records of a seed come from."""
    return {package: version(package) for package in _PACKAGES}


def seed_records(path: Path, run: Callable[[], list[Record]]) -> list[Record]:
    """The records of a seed: from its file, or run now and kept there."""
    if path.exists():
        found: list[Record] = json.loads(path.read_text())
        return found
    records = run()
    atomic.write_text(path, json.dumps(records, indent=1) + "\n")
    return records
