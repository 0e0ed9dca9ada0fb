"""From a scene declaration to a Sionna scene, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, refuse
from twin.scene.declaration import Scene
from twin.scene.geometry import Surface, build, shell_surfaces
from twin.scene.materials import material_faults, slab
from twin.trace import backend

backend.prepare()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
from sionna import rt  # noqa: E402

# Surfaces by their material, in the order of the objects that they become.
Groups = Mapping[str, Sequence[Surface]]


def build_scene(scene: Scene) -> rt.Scene:
    """Geometry, materials, frequency and bandwidth; no radio devices yet.

    Surfaces of one material become one mesh: fewer meshes trace faster. Materials are explicit
    constants at the scene's frequency.

    Raises:
        InputError: materials without constants at the scene's frequency; names all.
    """
    groups = surface_groups(scene)
    built = assembled(groups)
    tune(built, scene, groups, scene.frequency_hz)
    return built


def surface_groups(scene: Scene) -> Groups:
    """The surfaces of a scene by their material, materials in alphabetical order."""
    surfaces = build(scene)
    names = sorted({surface.material for surface in surfaces})
    return {name: [s for s in surfaces if s.material == name] for name in names}


def assembled(groups: Groups) -> rt.Scene:
    """One object for each group, of a material that `tune` has yet to give its constants."""
    built = rt.Scene()
    # Sionna keeps materials and objects in one name space and gives some prefixes a meaning.
    built.add(
        [
            rt.SceneObject(
                mi_mesh=surface_mesh(object_name(index), surfaces),
                radio_material=rt.RadioMaterial(name=_material_name(index)),
            )
            for index, surfaces in enumerate(groups.values())
        ]
    )
    return built


def tune(built: rt.Scene, scene: Scene, groups: Groups, frequency_hz: float) -> None:
    """Set the carrier [Hz] and the constants that the materials have there.

    Args:
        built: as `assembled` from the groups.
        scene: whose materials they are.
        groups: surfaces by their material.
        frequency_hz: of the carrier.

    Raises:
        InputError: materials without constants at this frequency; names all, changes nothing.
    """
    refuse(carrier_faults(scene, groups, frequency_hz))
    for index, name in enumerate(groups):
        declared = scene.materials[name]
        layer = slab(declared, frequency_hz)
        material = built.get(_material_name(index))
        material.thickness = _number(layer.thickness_m)
        material.relative_permittivity = _number(layer.relative_permittivity)
        material.conductivity = _number(layer.conductivity_s_per_m)
        material.scattering_coefficient = _number(declared.scattering_coefficient)
    built.frequency = frequency_hz
    built.bandwidth = scene.bandwidth_mhz * 1e6


def _number(value: float) -> mi.Float:
    """A number that Dr.Jit does not write into its kernels, so that another needs no new ones."""
    return dr.opaque(mi.Float, value)


def carrier_faults(scene: Scene, groups: Groups, frequency_hz: float) -> list[Fault]:
    """What is wrong with a carrier [Hz] for the materials of surfaces."""
    return [
        fault
        for name in groups
        for fault in material_faults(
            scene.materials[name], frequency_hz, "scene", f"materials.{name}"
        )
    ]


def object_labels(scene: Scene) -> dict[str, str]:
    """What the objects of `build_scene` are in the declaration's words."""
    return labels(surface_groups(scene))


def labels(groups: Groups) -> dict[str, str]:
    """What the objects of `assembled` are in the declaration's words."""
    return {
        object_name(index): f"surfaces of {name} ("
        + ", ".join(surface.name for surface in surfaces)
        + ")"
        for index, (name, surfaces) in enumerate(groups.items())
    }


def shell_triangles(scene: Scene, groups: Groups) -> dict[str, npt.NDArray[np.bool_]]:
    """Which triangles of each object of `assembled` belong to the scene's shells; (f,) each."""
    names = shell_surfaces(scene)
    return {
        object_name(index): np.concatenate(
            [np.full(len(surface.faces), surface.name in names) for surface in surfaces]
        )
        for index, surfaces in enumerate(groups.values())
    }


def object_name(index: int) -> str:
    """Name of the object of a group, by the group's number."""
    return f"object_{index}"


def _material_name(index: int) -> str:
    return f"material_{index}"


def surface_mesh(name: str, surfaces: Sequence[Surface]) -> mi.Mesh:
    """The triangles of surfaces as one mesh."""
    vertices, faces = joined_triangles(surfaces)
    props = mi.Properties()
    props.set_id(name)
    props["face_normals"] = True
    mesh = mi.Mesh(name=name, vertex_count=len(vertices), face_count=len(faces), props=props)
    params = mi.traverse(mesh)
    params["vertex_positions"] = mi.Float(vertices.ravel())
    params["faces"] = mi.UInt32(faces.ravel())
    params.update()
    return mesh


def joined_triangles(
    surfaces: Sequence[Surface],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]:
    """Vertices (v, 3) [m] and faces (f, 3) of surfaces, one after the other, as a mesh has them."""
    starts = np.cumsum([0, *(len(surface.vertices) for surface in surfaces)])
    vertices = np.concatenate([surface.vertices for surface in surfaces])
    faces = np.concatenate(
        [surface.faces + start for surface, start in zip(surfaces, starts, strict=False)]
    )
    return vertices.astype(np.float32), faces.astype(np.uint32)
