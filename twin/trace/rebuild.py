"""A Sionna scene that follows a declaration: moved where only places change, else built anew.

Realisations of one scene mostly differ in where things are. Then the meshes stay as they are but
for their vertices, and what the ray tracer has loaded is told of those.
"""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import numpy.typing as npt

from twin.errors import Fault
from twin.scene.declaration import Scene
from twin.trace import backend
from twin.trace.build import (
    Groups,
    assembled,
    carrier_faults,
    joined_triangles,
    labels,
    object_name,
    shell_triangles,
    surface_groups,
    tune,
)

backend.prepare()

import mitsuba as mi  # noqa: E402
from sionna import rt  # noqa: E402


class LiveScene:
    """A scene as built last. What is traced in it equals what is traced in one that is built anew.

    One thread may use it at a time. A chain's search, a mirror's planes and whatever else was
    derived from the built scene holds until the next `update`.
    """

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._groups: Groups = {}
        self._built: rt.Scene | None = None

    @property
    def built(self) -> rt.Scene:
        """The built scene; `tune` gives it a carrier."""
        if self._built is None:
            raise AssertionError("updated before it is used")
        return self._built

    @property
    def labels(self) -> dict[str, str]:
        """What its objects are in the declaration's words."""
        return labels(self._groups)

    @property
    def shells(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Which triangles of its objects belong to declared rooms."""
        return shell_triangles(self._declared, self._groups)

    def update(self, scene: Scene) -> Literal["moved", "rebuilt"]:
        """Make it the scene declared.

        Returns:
            ``moved`` where surfaces have the same names, materials and triangles as before, so that
            at most vertices had to be written; else ``rebuilt``.

        Raises:
            InputError: as `twin.scene.geometry.build`; the scene stays as it was.
        """
        groups = surface_groups(scene)
        done: Literal["moved", "rebuilt"] = "moved"
        if self._built is not None and _alike(self._groups, groups):
            _move(self._built, self._groups, groups)
        else:
            self._built = assembled(groups)
            done = "rebuilt"
        self._scene, self._groups = scene, groups
        return done

    def carrier_faults(self, frequency_hz: float) -> list[Fault]:
        """What is wrong with a carrier [Hz] for the materials of the scene."""
        return carrier_faults(self._declared, self._groups, frequency_hz)

    def tune(self, frequency_hz: float) -> rt.Scene:
        """The built scene, its carrier and materials set for a frequency [Hz].

        Raises:
            InputError: as `twin.trace.build.tune`.
        """
        tune(self.built, self._declared, self._groups, frequency_hz)
        return self.built

    @property
    def _declared(self) -> Scene:
        if self._scene is None:
            raise AssertionError("updated before it is used")
        return self._scene


def _alike(one: Groups, other: Groups) -> bool:
    """Whether the meshes of two scenes differ in their vertices' places at most."""
    if list(one) != list(other):
        return False
    pairs = [pair for name in one for pair in itertools.zip_longest(one[name], other[name])]
    return all(
        before is not None
        and after is not None
        and before.name == after.name
        and before.vertices.shape == after.vertices.shape
        and np.array_equal(before.faces, after.faces)
        for before, after in pairs
    )


def _move(built: rt.Scene, before: Groups, after: Groups) -> None:
    """Write the vertices of the meshes that changed, and have the ray tracer load them."""
    params = built.mi_scene_params
    changed = False
    for index, name in enumerate(after):
        vertices, _ = joined_triangles(after[name])
        if not np.array_equal(vertices, joined_triangles(before[name])[0]):
            params[f"{object_name(index)}.vertex_positions"] = mi.Float(vertices.ravel())
            changed = True
    if changed:
        # Sionna's table of edges goes by the numbers of vertices, which stay.
        params.update()
        built.scene_geometry_updated()
