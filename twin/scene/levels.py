"""Which shell a part belongs to, how high its floor lies, and how far the place reaches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from twin.scene.declaration import Scene
from twin.scene.interiors import Storey


def shell_of(scene: Scene, storey: str | None) -> Storey | None:
    """The storey of that name, the first where none is named; None where there is no such."""
    shells = scene.shells
    if storey is None:
        return shells[0] if shells else None
    return next((shell for shell in shells if shell.name == storey), None)


def floor_m(scene: Scene, storey: str | None) -> float:
    """Height of the floor [m] that a part stands on; the ground's, zero, where it has no shell."""
    shell = shell_of(scene, storey)
    return 0.0 if shell is None else shell.bottom_m


def ceiling_m(scene: Scene, storey: str | None) -> float | None:
    """Height of the ceiling above a part [m]; None under the open sky."""
    shell = shell_of(scene, storey)
    return None if shell is None else shell.bottom_m + shell.height_m


def outline_m(scene: Scene) -> npt.NDArray[np.float64]:
    """Corners (n, 2) [m] of what a picture of the whole place shows.

    The first shell, else the ground, else the box around access points and buildings.
    """
    if scene.shells:
        return scene.shells[0].shifted_outline()
    if scene.ground is not None:
        return np.asarray(scene.ground.area_m, dtype=np.float64)
    places = [ap.position_m[:2] for ap in scene.access_points]
    places += [corner for building in scene.buildings for corner in building.footprint_m]
    (west, south), (east, north) = np.min(places, axis=0), np.max(places, axis=0)
    return np.array([[west, south], [east, south], [east, north], [west, north]])
