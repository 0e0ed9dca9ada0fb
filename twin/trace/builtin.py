"""Sionna's own scenes, by name: where their files are. Sionna itself is not loaded for that."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from twin.errors import Fault, InputError

# Those of cities were made from OpenStreetMap, whose terms ask to be named.
CITIES = ("etoile", "florence", "munich", "san_francisco")


def builtin_scenes() -> tuple[str, ...]:
    """Names of the scenes that come with Sionna, sorted.

    Raises:
        InputError: Sionna is not installed.
    """
    return tuple(sorted(file.stem for file in _folder().glob("*/*.xml")))


def builtin_scene_file(name: str) -> Path:
    """The XML file of one of `builtin_scenes`.

    Raises:
        InputError: no scene of that name, or Sionna is not installed.
    """
    names = builtin_scenes()
    if name not in names:
        expected = "one of Sionna's scenes (" + ", ".join(names) + ")"
        raise InputError([Fault("scene", "", expected, name[:80])])
    return _folder() / name / f"{name}.xml"


def builtin_origin(name: str) -> str:
    """Where one of `builtin_scenes` comes from, in words, for a scene made of it."""
    origin = f"Sionna's scene {name} (sionna-rt, Apache-2.0 licence)."
    if name in CITIES:
        origin += " Its buildings come from OpenStreetMap (openstreetmap.org/copyright, ODbL)."
    return origin


def _folder() -> Path:
    spec = find_spec("sionna")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(place) / "rt" / "scenes"
        if folder.is_dir():
            return folder
    raise InputError([Fault("scene", "", "an installed sionna-rt", "none")])
