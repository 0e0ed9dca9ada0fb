"""Perturbation tables by the name of their scene, and files of one's own."""

from __future__ import annotations

from pathlib import Path

from twin.config import read_yaml
from twin.errors import Fault, InputError
from twin.perturb.check import check_table
from twin.perturb.migrate import table_of
from twin.perturb.table import PerturbationTable
from twin.scene.declaration import Scene
from twin.scene.library import library, scene_path

TABLE_FILE = "perturbation.yaml"


def load_table(path_or_name: str | Path, scene: Scene) -> PerturbationTable:
    """Read a table and check it against its scene.

    Args:
        path_or_name: a library scene's name, a folder that holds ``perturbation.yaml``, or the
            YAML file of a table.
        scene: the scene as declared.

    Raises:
        InputError: not found, not readable, or not fitting the scene; lists every fault.
    """
    path = Path(path_or_name)
    if str(path_or_name) in library():
        path = scene_path(path_or_name).parent / TABLE_FILE
    elif path.is_dir():
        path = path / TABLE_FILE
    if not path.exists():
        fault = Fault(
            str(path),
            "",
            f"a perturbation table ({TABLE_FILE}) beside the scene",
            "nothing there",
            "docs/perturbation.md says what it holds, docs/first-scene.md has a small one",
        )
        raise InputError([fault])
    content = read_yaml(path)
    return table_of(content, str(path), lambda table, where: check_table(table, scene, where))
