"""Scenes by name: the library that ships with the package, and files of one's own."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from twin.errors import Fault, InputError
from twin.scene.check import check
from twin.scene.declaration import Scene
from twin.scene.read import read_scene

SCENE_FILE = "scene.yaml"
#: What the fault of a scene that is not there names as its place.
NOT_FOUND = "scene"
_LONGEST_NAME = 60


def library() -> tuple[str, ...]:
    """Names of the library's scenes, sorted."""
    folder = _folder()
    return tuple(sorted(p.name for p in folder.iterdir() if (p / SCENE_FILE).is_file()))


def scene_path(path_or_name: str | Path) -> Path:
    """File of a scene: a YAML file, a folder that holds ``scene.yaml``, or a name of the library.

    Raises:
        InputError: none of the three.
    """
    text = str(path_or_name)
    named = _folder() / text / SCENE_FILE
    if text in library():
        return named
    path = Path(path_or_name)
    if path.is_dir():
        path = path / SCENE_FILE
    if path.is_file():
        return path
    raise InputError(
        [
            Fault(
                NOT_FOUND,
                "",
                "a scene file or one of the library's scenes (" + ", ".join(library()) + ")",
                text,
            )
        ]
    )


def name_from_folder(folder: Path) -> str:
    """A valid scene name, as near to the folder's own name as can be.

    Lower case; what is no letter (a to z), digit or ``_`` becomes ``_``, and a name that would
    begin with none of the letters gets ``scene_`` in front.
    """
    text = re.sub(r"[^a-z0-9_]", "_", folder.resolve().name.lower())
    named = text if re.match(r"[a-z]", text) else f"scene_{text.lstrip('_')}"
    return named[:_LONGEST_NAME].rstrip("_") or "scene"


def load_scene(path_or_name: str | Path) -> Scene:
    """Read and check a scene; see `scene_path`.

    Raises:
        InputError: not found, not readable, or not sound; lists every fault.
    """
    return read_scene(scene_path(path_or_name), check)


def _folder() -> Path:
    return Path(str(files("scenes")))
