"""From a scene declaration to a Sionna scene, in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twin.scene.declaration import Scene
from twin.scene.geometry import Surface, build
from twin.scene.materials import slab
from twin.trace import backend

backend.prepare()

import mitsuba as mi  # noqa: E402
from sionna import rt  # noqa: E402


def build_scene(scene: Scene) -> rt.Scene:
    """Geometry, materials, frequency and bandwidth; no radio devices yet.

    Surfaces of one material become one mesh: fewer meshes trace faster, and every realisation is
    built anew, so none has to be moved. Materials are explicit constants at the scene's frequency.
    """
    built = rt.Scene()
    built.frequency = scene.frequency_hz
    built.bandwidth = scene.bandwidth_mhz * 1e6
    surfaces = build(scene)
    objects = []
    for index, name in enumerate(_materials(surfaces)):
        layer = slab(scene.materials[name], scene.frequency_hz)
        # Sionna keeps materials and objects in one name space and gives some prefixes a meaning.
        material = rt.RadioMaterial(
            name=f"material_{index}",
            thickness=layer.thickness_m,
            relative_permittivity=layer.relative_permittivity,
            conductivity=layer.conductivity_s_per_m,
            scattering_coefficient=scene.materials[name].scattering_coefficient,
        )
        mesh = surface_mesh(_object_name(index), [s for s in surfaces if s.material == name])
        objects.append(rt.SceneObject(mi_mesh=mesh, radio_material=material))
    built.add(objects)
    return built


def object_labels(scene: Scene) -> dict[str, str]:
    """What the objects of `build_scene` are in the declaration's words."""
    surfaces = build(scene)
    return {
        _object_name(index): f"surfaces of {name} ("
        + ", ".join(surface.name for surface in surfaces if surface.material == name)
        + ")"
        for index, name in enumerate(_materials(surfaces))
    }


def _materials(surfaces: Sequence[Surface]) -> list[str]:
    return sorted({surface.material for surface in surfaces})


def _object_name(index: int) -> str:
    return f"object_{index}"


def surface_mesh(name: str, surfaces: list[Surface]) -> mi.Mesh:
    """The triangles of surfaces as one mesh."""
    starts = np.cumsum([0, *(len(surface.vertices) for surface in surfaces)])
    vertices = np.concatenate([surface.vertices for surface in surfaces])
    faces = np.concatenate(
        [surface.faces + start for surface, start in zip(surfaces, starts, strict=False)]
    )
    props = mi.Properties()
    props.set_id(name)
    props["face_normals"] = True
    mesh = mi.Mesh(name=name, vertex_count=len(vertices), face_count=len(faces), props=props)
    params = mi.traverse(mesh)
    params["vertex_positions"] = mi.Float(vertices.astype(np.float32).ravel())
    params["faces"] = mi.UInt32(faces.astype(np.uint32).ravel())
    params.update()
    return mesh
