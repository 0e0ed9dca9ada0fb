"""The one writer of scene folders: checked first, then there as a whole or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from twin.config import validate
from twin.errors import Fault, InputError, refuse
from twin.scene.check import check
from twin.scene.declaration import Scene

SCENE_FILE = "scene.yaml"
README_FILE = "README.md"
_WIDTH = 100
_NO_FILES: Mapping[str, bytes] = {}


def write_scene_folder(
    to: Path, content: Mapping[str, Any], readme: str, files: Mapping[str, bytes] = _NO_FILES
) -> Path:
    """Write a scene's folder: ``scene.yaml``, ``README.md`` and the files of its meshes.

    The folder is made beside its place, checked there as `twin.scene.library.load_scene` would, and
    only then moved to it.

    Args:
        to: the folder; not there yet, or empty.
        content: the declaration as plain content, in the order in which it is to be read.
        readme: text in Markdown.
        files: further files by their path inside the folder, with forward slashes.

    Returns:
        The folder.

    Raises:
        InputError: the folder holds something or cannot be written, a path leaves it, or the
            content is no sound scene; lists every fault.
    """
    refuse([*folder_faults(to), *_path_faults(to, files)])
    where = str(to / SCENE_FILE)
    scene = validate(dict(content), Scene, where)
    to = to.resolve()
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{to.name}.", suffix=".part", dir=to.parent))
    except OSError as error:
        raise _unwritable(to, error) from error
    try:
        part.chmod(0o755)  # Temporary folders are closed to others; this one stays.
        _fill(part, {**files, README_FILE: readme.encode(), SCENE_FILE: _text(content).encode()})
        refuse(check(scene.in_folder(part), where))
        _move(part, to)
    except OSError as error:
        raise _unwritable(to, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return to


def folder_faults(to: Path) -> list[Fault]:
    """Why a scene cannot be written to a folder, as far as its place tells; empty where it can."""
    expected, cure = "a folder that is not there yet, or empty", "Choose another, or remove it"
    try:
        if not to.exists() and not to.is_symlink():
            return []
        if not to.is_dir():
            return [Fault(str(to), "", expected, "something that is no folder", cure)]
        held = sorted(entry.name for entry in to.iterdir())
    except OSError as error:
        return [Fault(str(to), "", expected, str(error))]
    return [Fault(str(to), "", expected, f"one that holds {held[0]}", cure)] if held else []


def readme(content: Mapping[str, Any], importer: str) -> str:
    """README of an imported scene: title, source, what is in it, assumptions.

    Args:
        content: the declaration as plain content.
        importer: what it imports, such as ``floor plans``.
    """
    counted = [
        f"{len(content[key])} {key.replace('_', ' ')}"
        for key in ("buildings", "roads", "walls", "openings", "meshes", "access_points")
        if content.get(key)
    ]
    listed = "\n".join(f"- {text}" for text in content.get("assumptions", ()))
    return f"""# {content["title"]}

{content["source"]}

Written by the importer of {importer}; nothing was changed by hand. In it: {", ".join(counted)}.

## Assumptions

{listed}
"""


def _path_faults(to: Path, files: Mapping[str, bytes]) -> list[Fault]:
    expected = "a path inside the scene's folder, other than its scene and README"
    faults = []
    for name in files:
        path = PurePosixPath(name)
        outside = path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts
        if outside or str(path) in (SCENE_FILE, README_FILE):
            faults.append(Fault(str(to), "files", expected, repr(name)))
    return faults


def _unwritable(to: Path, error: OSError) -> InputError:
    return InputError([Fault(str(to), "", "a place that can be written", str(error))])


def _fill(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _move(part: Path, to: Path) -> None:
    if not to.exists():
        part.rename(to)
        return
    # A folder that is there stays the same one, as somebody may stand in it; until the scene's own
    # file comes, last, it is not taken for a scene.
    for entry in sorted(part.iterdir(), key=lambda entry: (entry.name == SCENE_FILE, entry.name)):
        entry.rename(to / entry.name)


class _OneLineMap(dict[str, Any]):
    """A mapping written in braces."""


class _OneLineList(list[Any]):
    """A list written in brackets."""


class _Dumper(yaml.SafeDumper):
    """A part of the scene a line; no anchors, and text that reads as a number in quotes."""

    def ignore_aliases(self, _data: object) -> bool:
        """Equal parts are written out."""
        return True


# As `twin.config` reads it, YAML 1.2 knows numbers that PyYAML takes for text.
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
_Dumper.add_representer(
    _OneLineMap,
    lambda dumper, data: dumper.represent_mapping(
        "tag:yaml.org,2002:map", data.items(), flow_style=True
    ),
)
_Dumper.add_representer(
    _OneLineList,
    lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True),
)


def _text(content: Mapping[str, Any]) -> str:
    laid_out = {key: _block(value) for key, value in content.items()}
    return str(
        yaml.dump(
            laid_out,
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=False,
            width=_WIDTH,
        )
    )


def _block(value: object) -> object:
    """A key's value: a line each for the parts of a list and for the entries of a mapping."""
    if isinstance(value, Mapping):
        return {key: _line(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        if all(isinstance(part, Mapping | str) for part in value):
            return [_line(part) for part in value]
        return _line(value)
    return value


def _line(value: object) -> object:
    if isinstance(value, Mapping):
        return _OneLineMap({key: _line(entry) for key, entry in value.items()})
    if isinstance(value, list | tuple):
        return _OneLineList([_line(part) for part in value])
    return value
