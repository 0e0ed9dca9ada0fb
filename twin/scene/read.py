"""A scene file, and the files it includes, as a declaration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twin.config import read_yaml, validate
from twin.errors import Fault, InputError, refuse
from twin.scene.declaration import Scene
from twin.scene.migrate import migrated

INCLUDE = "include"
_MAX_INCLUDED = 100
_SHOWN = 80


def read_scene(path: Path, check: Callable[[Scene, str], list[Fault]] | None = None) -> Scene:
    """A scene from its YAML file, of any schema version known.

    Args:
        path: the file.
        check: finds what the declaration alone cannot say, as `twin.scene.check.check` does; gets
            the scene and the file's name.

    Raises:
        InputError: as `plain_content`, not what a scene declares, or what `check` finds; lists
            every fault.
    """

    def in_its_folder(scene: Scene, where: str) -> list[Fault]:
        return check(scene.in_folder(path.parent), where) if check is not None else []

    scene = validate(migrated(plain_content(path)), Scene, str(path), in_its_folder)
    return scene.in_folder(path.parent)


def plain_content(path: Path) -> object:
    """Content of a scene file with what it includes put in.

    ``include: [walls.yaml, furniture.yaml]`` names files of the scene's folder, each a map of parts
    such as ``walls`` or ``materials``. Lists are joined in the order of the files, after those of
    the including file; maps are united. What is given twice is a fault, never overwritten.

    Raises:
        InputError: a file is missing, is no YAML, lies outside the folder, includes itself by any
            way, or gives what another gives.
    """
    root = path.resolve().parent
    return _content(path, root, (path.resolve(),), [0])


def _content(path: Path, root: Path, chain: tuple[Path, ...], count: list[int]) -> object:
    content = read_yaml(path)
    if not isinstance(content, dict) or INCLUDE not in content:
        return content
    named = content[INCLUDE]
    if not isinstance(named, list) or not all(isinstance(item, str) for item in named):
        expected = "a list of files in the scene's folder"
        raise InputError([Fault(str(path), INCLUDE, expected, str(named)[:80])])
    merged: dict[str, Any] = {key: value for key, value in content.items() if key != INCLUDE}
    faults: list[Fault] = []
    for item in named:
        count[0] += 1
        if count[0] > _MAX_INCLUDED:
            expected = f"at most {_MAX_INCLUDED} included files"
            raise InputError([Fault(str(path), INCLUDE, expected, "more")])
        file = inside(root, item, str(path), INCLUDE)
        if file in chain:
            way = " -> ".join(step.name for step in (*chain, file))
            raise InputError(
                [Fault(str(path), INCLUDE, "files that do not include each other", way)]
            )
        part = _content(file, root, (*chain, file), count)
        if not isinstance(part, dict):
            faults.append(Fault(str(file), "", "a map of parts of a scene", type(part).__name__))
            continue
        faults += _merge(merged, part, str(file))
    refuse(faults)
    return merged


def _merge(merged: dict[str, Any], part: dict[str, Any], where: str) -> list[Fault]:
    faults = []
    for key, value in part.items():
        known = merged.get(key)
        if key not in merged:
            merged[key] = value
        elif isinstance(known, list) and isinstance(value, list):
            merged[key] = [*known, *value]
        elif isinstance(known, dict) and isinstance(value, dict):
            twice = sorted(set(known) & set(value))
            faults += [
                Fault(where, f"{key}.{name}", "what no other file gives", "given twice")
                for name in twice
            ]
            merged[key] = {**known, **value}
        else:
            faults.append(Fault(where, key, "what no other file gives", "given twice"))
    return faults


def inside(folder: Path, name: str, where: str, key: str) -> Path:
    """The file of that name in a folder, links followed.

    Raises:
        InputError: it lies outside the folder, or is not there.
    """
    cure = "Name it relative to the scene's folder, and keep it in there"
    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
    try:
        file = (folder / name).resolve()
        within = not Path(name).is_absolute() and file.is_relative_to(folder.resolve())
        there = within and file.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        # Names too long, with a zero byte in them, or links that lead in a circle.
        fault = Fault(where, key, "the name of a file", f"{shown!r} ({error})"[:200], cure)
        raise InputError([fault]) from error
    if not within:
        raise InputError([Fault(where, key, "a file inside the scene's folder", shown, cure)])
    if not there:
        raise InputError([Fault(where, key, "a file that is there", shown, cure)])
    return file
