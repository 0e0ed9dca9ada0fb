"""Colours of drawings, which colour-blind readers tell apart on a light ground."""

from __future__ import annotations

from collections.abc import Iterable

from twin.scene.contents import CATALOGUE
from twin.scene.declaration import Scene

# Okabe and Ito's, without yellow and black: the one too light for lines, the other for labels.
_CATEGORIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5230")

# Weak to strong: viridis without its yellow end, in even steps.
LEVELS = (
    "#440154",
    "#482475",
    "#414487",
    "#355f8d",
    "#2a788e",
    "#21918c",
    "#22a884",
    "#44bf70",
    "#7ad151",
)
EMPTY = "#d9d9d9"


def category_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour (hex) for each name, in their order: seven, then paler ones of them, then again."""
    count = len(_CATEGORIES)
    return {
        name: mixed(_CATEGORIES[i % count], 0.5 * (i // count % 2)) for i, name in enumerate(names)
    }


def material_colours(scene: Scene) -> dict[str, str]:
    """A colour (hex) for each of a scene's materials: the most different ones for what stands.

    Floors, ceilings and ground, which plans leave blank, come last. What is present makes no
    difference, so pictures of realisations can be compared.
    """
    standing = {shell.wall_material for shell in scene.shells}
    standing |= {building.wall_material for building in scene.buildings}
    standing |= {item.of_material for item in scene.furniture}
    standing |= {
        item.material or CATALOGUE[item.kind].material
        for item in scene.clutter
        if item.material or item.kind in CATALOGUE
    }
    for parts in (scene.walls, scene.openings, scene.people, scene.vehicles):
        standing |= {part.material for part in parts}
    for mesh in scene.meshes:
        standing |= {*mesh.materials.values(), mesh.material or ""}
    ranked = sorted(scene.materials, key=lambda name: (name not in standing, name))
    return category_colours(ranked)


def mixed(colour: str, white: float) -> str:
    """A colour (hex) with a share of white in it."""
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(part + (255 - part) * white):02x}" for part in parts)
