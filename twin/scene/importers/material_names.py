"""Materials of a scene guessed from the names that somebody else gave them.

Names say what a thing is made of (``Concrete_old``), what it is (``Door``), or nothing. Every guess
is written down as an assumption.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from twin.scene.materials import itu_fault
from twin.scene.mesh_files.groups import unique

DEFAULT_ITU = "plasterboard"
# Usual thickness [m] of a sheet of each material, where a file does not say.
USUAL_THICKNESS_M = {
    "concrete": 0.2,
    "brick": 0.12,
    "plasterboard": 0.1,
    "wood": 0.025,
    "glass": 0.008,
    "ceiling_board": 0.02,
    "chipboard": 0.02,
    "plywood": 0.02,
    "marble": 0.02,
    "floorboard": 0.02,
    "metal": 0.002,
    "very_dry_ground": 0.5,
    "medium_dry_ground": 0.5,
    "wet_ground": 0.5,
}
# First what says the material, then what only says the thing; the first that occurs is taken.
_MATERIALS = {
    "plasterboard": ("plasterboard", "drywall", "gypsum", "plaster", "stucco"),
    "brick": ("brick", "masonry", "clinker"),
    "chipboard": ("chipboard", "particleboard", "mdf", "laminate"),
    "plywood": ("plywood",),
    "floorboard": ("floorboard", "parquet"),
    "ceiling_board": ("ceiling_board", "ceilingboard", "ceiling board", "acoustic"),
    "glass": ("glass", "glazing", "vitre"),
    "marble": ("marble", "granite"),
    "metal": ("metal", "steel", "alumin", "iron", "copper", "chrome"),
    "concrete": ("concrete", "cement", "asphalt", "stone", "tile"),
    "wood": ("wood", "timber", "oak", "pine"),
    "very_dry_ground": ("very_dry_ground",),
    "medium_dry_ground": ("medium_dry_ground",),
    "wet_ground": ("wet_ground",),
}
_THINGS = {
    "glass": ("window", "pane"),
    "metal": ("radiator", "locker", "rack", "machine", "elevator", "lift", "vehicle", "car"),
    "ceiling_board": ("ceiling",),
    "concrete": ("floor", "ground", "terrain", "road", "street", "pavement", "roof", "pillar"),
    "wood": ("door", "table", "desk", "chair", "shelf", "cupboard", "bench", "furniture"),
    "chipboard": ("cubicle", "partition", "divider"),
    "plasterboard": ("wall",),
}
_SHORT = 4
# What stands in where a material has no data at the carrier, the first that has some.
_INSTEAD = {
    "brick": ("concrete",),
    "plywood": ("chipboard", "wood"),
    "floorboard": ("wood",),
    "marble": ("concrete",),
    "very_dry_ground": ("concrete",),
    "medium_dry_ground": ("concrete",),
    "wet_ground": ("concrete",),
}


@dataclass(frozen=True)
class Guessed:
    """Materials for a scene.

    Args:
        materials: content of the scene's ``materials``.
        names: the scene's name for each name of the file.
        assumptions: what was guessed, a sentence a material.
    """

    materials: dict[str, dict[str, Any]]
    names: dict[str, str]
    assumptions: tuple[str, ...]


def guessed(names: Iterable[str], frequency_ghz: float) -> Guessed:
    """A material for every name, in their order; the name of a scene's material each.

    Args:
        names: as in the file; an empty one stands for what has no material.
        frequency_ghz: the scene's carrier.
    """
    used: set[str] = set()
    materials: dict[str, dict[str, Any]] = {}
    named: dict[str, str] = {}
    notes = []
    for name in names:
        if name in named:
            continue
        named[name] = unique(part_name(name or "unnamed"), used, "_")
        material, how = from_words(name)
        shown = repr(name) if name else "what has no material"
        fitting, thickness = fitting_itu(material, frequency_ghz), USUAL_THICKNESS_M[material]
        materials[named[name]] = {"itu": fitting, "thickness_m": thickness}
        note = f"Material of {shown} assumed: {fitting}, {thickness:g} m thick; {how}."
        if fitting != material:
            note = note[:-1] + f", and {material} has no data at {frequency_ghz:g} GHz."
        notes.append(note)
    return Guessed(materials, named, tuple(notes))


def from_words(name: str) -> tuple[str, str]:
    """Material of ITU-R P.2040 that a name speaks of, and how it does."""
    for words, how in (
        (_MATERIALS, "its name says so, the thickness is a usual one"),
        (_THINGS, "guessed from what its name says it is"),
    ):
        found = _first(words, name)
        if found:
            return found, how
    return DEFAULT_ITU, "its name says nothing"


def fitting_itu(material: str, frequency_ghz: float) -> str:
    """The material where it has data at the carrier, else what stands in for it.

    Where nothing has, the material itself: the check of the scene then says so.
    """
    for candidate in (material, *_INSTEAD.get(material, ())):
        if itu_fault(candidate, frequency_ghz * 1e9, "", "") is None:
            return candidate
    return material


def part_name(name: str) -> str:
    """The name in letters that parts of a scene may have."""
    plain = re.sub(r"[^A-Za-z0-9_ -]+", "_", " ".join(name.split())).strip(" -")[:50].strip(" -")
    return plain or "unnamed"


def _first(known: Mapping[str, tuple[str, ...]], name: str) -> str:
    text = name.lower()
    # `GlassDoor_003` holds glass and door; short words count as whole ones only: no car in carpet.
    whole = {part.lower().removesuffix("s") for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    for itu, words in known.items():
        if any(word in whole if len(word) <= _SHORT else word in text for word in words):
            return itu
    return ""
