"""A scene from an XML file of Mitsuba or Sionna, such as Sionna's own scenes.

Every shape stays a group of its own, so that names survive.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twin.errors import Fault, refuse
from twin.scene.importers.material_names import (
    USUAL_THICKNESS_M,
    fitting_itu,
    from_words,
    part_name,
)
from twin.scene.importers.mesh_scene import Radio, mesh_scene
from twin.scene.importers.mitsuba_xml import RadioBsdf, read_scene_xml
from twin.scene.importers.scene_folder import folder_faults
from twin.scene.materials import ITU_P2040
from twin.scene.mesh_files.groups import MeshGroup, unique

_USUAL = Radio()


def import_mitsuba(
    source: Path,
    to: Path,
    *,
    name: str | None = None,
    radio: Radio = _USUAL,
    origin: str | None = None,
) -> Path:
    """Write a scene folder of an XML scene: one OBJ with a group a shape, its materials, an access
    point and receivers where there is room.

    Materials: ``itu-radio-material`` and Sionna's older names ``itu_concrete`` by their name in
    ITU-R P.2040, ``radio-material`` by its constants, all others by what their names say
    (`twin.scene.importers.material_names`).

    Args:
        source: the file; its shapes' files are beside it or below.
        to: the folder; not there yet, or empty.
        name: of the scene; that of the folder where None.
        radio: the carrier and what is sent.
        origin: where the scene comes from, in words; the file's name where None.

    Returns:
        The folder.

    Raises:
        InputError: as `twin.scene.importers.mitsuba_xml.read_scene_xml`, the folder holds
            something, a material that the scene cannot have, or nothing can stand in it.
    """
    refuse(folder_faults(to))
    shapes, bsdfs = read_scene_xml(source)
    used: set[str] = set()
    content: dict[str, dict[str, Any]] = {}
    named: dict[int | None, str] = {}
    notes: list[str] = []
    faults: list[Fault] = []
    groups = []
    for shape in shapes:
        if shape.material not in named:
            bsdf = bsdfs[shape.material] if shape.material is not None else _NONE
            named[shape.material] = unique(part_name(bsdf.name or "unnamed"), used, "_")
            material, said = _material(bsdf, radio.frequency_ghz, faults, str(source))
            content[named[shape.material]] = material
            notes += said
        groups += [
            MeshGroup(group.name, named[shape.material], group.vertices, group.faces)
            for group in shape.groups
        ]
    refuse(faults)
    return mesh_scene(
        to,
        groups,
        content,
        source=source,
        name=name,
        radio=radio,
        origin=origin or f"Imported from the Mitsuba scene {source.name}.",
        assumptions=notes,
    )


_NONE = RadioBsdf("", None, None, None, 0.0)


def _material(
    bsdf: RadioBsdf, frequency_ghz: float, faults: list[Fault], where: str
) -> tuple[dict[str, Any], list[str]]:
    """Content of a scene's material, and what was guessed of it."""
    notes: list[str] = []
    content: dict[str, Any]
    shown = repr(bsdf.name) if bsdf.name else "what has no material"
    if bsdf.constants is not None:
        content = {
            "relative_permittivity": bsdf.constants[0],
            "conductivity_s_per_m": bsdf.constants[1],
        }
    else:
        itu, how = (bsdf.itu, "") if bsdf.itu is not None else from_words(bsdf.name)
        if itu not in ITU_P2040:
            # Sionna knows more materials than the table here.
            itu, how = from_words(itu)
            how = f"{bsdf.itu!r} is not in the table; {how}"
        fitting = fitting_itu(itu, frequency_ghz)
        if fitting != itu:
            how = f"{how}; " if how else ""
            how += f"{itu} has no data at {frequency_ghz:g} GHz"
        if how:
            notes.append(f"Material of {shown} assumed: {fitting}; {how}.")
        content = {"itu": fitting}
        if bsdf.thickness_m is None:
            content["thickness_m"] = USUAL_THICKNESS_M[itu]
    if bsdf.thickness_m is not None:
        content["thickness_m"] = bsdf.thickness_m
        if not bsdf.thickness_m > 0.0:
            key = f"bsdf {bsdf.name}.thickness"
            faults.append(Fault(where, key, "a thickness above zero", f"{bsdf.thickness_m:g} m"))
    if bsdf.scattering_coefficient:
        content["scattering_coefficient"] = bsdf.scattering_coefficient
    return content, notes
