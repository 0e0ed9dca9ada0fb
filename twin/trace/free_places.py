"""Which of many places a tracer would refuse as receivers, before it does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from twin.scene.declaration import Scene
from twin.trace import inputs
from twin.trace.build import assembled, shell_triangles, surface_groups


def free_places(scene: Scene, points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of points (n, 3) [m] touch no surface and lie in no solid; (n,).

    The judgement is that of `twin.trace.inputs.check_inputs`: a body that holds points and an
    access point is a room, as is a declared one; another that holds points only is a solid.
    """
    places = np.array([ap.position_m for ap in scene.access_points], dtype=np.float64)
    groups = surface_groups(scene)
    mesh = inputs.read_mesh(assembled(groups))
    surfaces = inputs.Bodies(mesh)
    touching, inside = inputs.surroundings(surfaces, np.concatenate([places, points]))
    rooms = inside[1, inside[0] < len(places)]
    rooms = np.concatenate([rooms, surfaces.body[touching[1, touching[0] < len(places)]]])
    shells = surfaces.bodies_of(inputs.of_shells(mesh, shell_triangles(scene, groups)))
    rooms = np.concatenate([rooms, shells])
    solid = inside[0, ~np.isin(inside[1], rooms)]
    free = np.ones(len(places) + len(points), dtype=np.bool_)
    free[touching[0]] = False
    free[solid] = False
    return free[len(places) :]
