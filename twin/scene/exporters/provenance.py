"""What an exported scene was built from, and names for its parts in other programs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from twin.scene.declaration import Scene, scene_digest
from twin.scene.geometry import build
from twin.scene.materials import slab
from twin.scene.mesh_files.groups import unique
from twin.scene.surfaces import Surface

FORMAT = "fingertwin/export@1"
# Sionna takes names that ITU-R P.2040 has for a demand of its own constants.
_MATERIAL_END = "_slab"


@dataclass(frozen=True)
class Exported:
    """A built scene with names that suit other programs: letters, digits, dash and underscore.

    Materials and surfaces share one name space there, so no two of them have the same name. An
    import of an export keeps these names, and the next export gives them again.

    Args:
        scene: the declaration.
        surfaces: its surfaces with their names.
        materials: name of each of its materials that a surface has.
    """

    scene: Scene
    surfaces: tuple[tuple[str, Surface], ...]
    materials: dict[str, str]

    def constants(self) -> dict[str, dict[str, float]]:
        """Constants of each material at the scene's carrier, by its exported name; scales applied.

        Layers are the homogeneous slab that comes closest, as in a trace.
        """
        found = {}
        for name, exported in self.materials.items():
            material = self.scene.materials[name]
            layer = slab(material, self.scene.frequency_hz)
            found[exported] = {
                "relative_permittivity": float(layer.relative_permittivity),
                "conductivity": float(layer.conductivity_s_per_m),
                "thickness": float(layer.thickness_m),
                "scattering_coefficient": float(material.scattering_coefficient),
            }
        return found

    def provenance(self) -> dict[str, Any]:
        """The declaration with its digest, and what exported names stand for; plain content."""
        return {
            "format": FORMAT,
            "program": f"fingertwin {_version()}",
            "scene_digest": scene_digest(self.scene),
            "frequency_hz": self.scene.frequency_hz,
            "materials": {exported: name for name, exported in self.materials.items()},
            "surfaces": {
                name: {"name": surface.name, "material": surface.material}
                for name, surface in self.surfaces
            },
            "constants": self.constants(),
            "scene": self.scene.plain(),
        }


def exported(scene: Scene) -> Exported:
    """A scene that has passed `twin.scene.check`, built and named.

    Raises:
        InputError: as `twin.scene.geometry.build`.
    """
    surfaces = build(scene)
    used: set[str] = set()
    materials = {}
    for material in sorted({surface.material for surface in surfaces}):
        name = re.sub(r"^itu[_-]", "p2040_", _plain(material).removesuffix(_MATERIAL_END))
        materials[material] = _own(name + _MATERIAL_END, used)
    named = tuple((_own(_plain(_told(scene, surface)), used), surface) for surface in surfaces)
    return Exported(scene, named, materials)


def _told(scene: Scene, surface: Surface) -> str:
    """Name of a surface; of a mesh's group, the name in its file."""
    for part in scene.meshes:
        prefix = f"mesh {part.name} "
        if surface.name.startswith(prefix):
            return surface.name.removeprefix(prefix)
    return surface.name


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("-")[:50].strip("-") or "unnamed"


def _own(name: str, used: set[str]) -> str:
    """The name, numbered where another has it in whatever letters: files may be called by it."""
    folded = unique(name.lower(), used, "_")
    return name + folded[len(name) :]


def _version() -> str:
    try:
        return version("fingertwin")
    except PackageNotFoundError:
        return "of unknown version"
