"""From a scene declaration to a Sionna scene, in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from twin.scene.declaration import AccessPoint, Scene
from twin.scene.geometry import Surface, build
from twin.scene.materials import slab
from twin.trace import backend

backend.prepare()

import mitsuba as mi  # noqa: E402
from sionna import rt  # noqa: E402

__all__ = ["build_scene", "place_receivers", "place_transmitters", "rt"]


def build_scene(scene: Scene) -> rt.Scene:
    """Geometry, materials, frequency and bandwidth; no radio devices yet.

    Surfaces of one material become one mesh: fewer meshes trace faster, and every realisation is
    built anew, so none has to be moved. Materials are explicit constants at the scene's frequency.
    """
    built = rt.Scene()
    built.frequency = scene.frequency_hz
    built.bandwidth = scene.bandwidth_mhz * 1e6
    surfaces = build(scene)
    names = sorted({surface.material for surface in surfaces})
    objects = []
    for index, name in enumerate(names):
        layer = slab(scene.materials[name], scene.frequency_hz)
        # Sionna keeps materials and objects in one name space and gives some prefixes a meaning.
        material = rt.RadioMaterial(
            name=f"material_{index}",
            thickness=layer.thickness_m,
            relative_permittivity=layer.relative_permittivity,
            conductivity=layer.conductivity_s_per_m,
        )
        mesh = _mesh(f"object_{index}", [s for s in surfaces if s.material == name])
        objects.append(rt.SceneObject(mi_mesh=mesh, radio_material=material))
    built.add(objects)
    built.rx_array = _single_antenna("iso")
    return built


def _mesh(name: str, surfaces: list[Surface]) -> mi.Mesh:
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


def _single_antenna(pattern: str) -> rt.PlanarArray:
    return rt.PlanarArray(num_rows=1, num_cols=1, pattern=pattern, polarization="V")


def place_transmitters(built: rt.Scene, access_points: Sequence[AccessPoint]) -> None:
    """Replace the transmitters; all must have one pattern, since a scene has one transmit array."""
    for name in built.transmitters:
        built.remove(name)
    for index, ap in enumerate(access_points):
        built.add(
            rt.Transmitter(
                name=f"tx_{index}",
                position=mi.Point3f(*ap.position_m),
                orientation=mi.Point3f(float(np.deg2rad(ap.yaw_deg)), 0.0, 0.0),
            )
        )
    built.tx_array = _single_antenna(access_points[0].pattern)


def place_receivers(built: rt.Scene, points: npt.NDArray[np.float64]) -> None:
    """Move the receivers to `points` (n, 3); the first call creates them and fixes n."""
    receivers = list(built.receivers.values())
    if not receivers:
        for index, point in enumerate(points):
            built.add(rt.Receiver(name=f"rx_{index}", position=mi.Point3f(*point.tolist())))
        return
    for receiver, point in zip(receivers, points, strict=True):
        receiver.position = mi.Point3f(*point.tolist())
