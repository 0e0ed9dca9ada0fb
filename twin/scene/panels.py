"""What a plan shows together: one panel a storey, and one for what lies outdoors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from twin.errors import Fault, refuse
from twin.scene.declaration import Scene
from twin.scene.interiors import Storey
from twin.scene.levels import shell_of
from twin.scene.radio import AccessPoint, ReceiverArea
from twin.scene.receivers import receiver_points

_USUAL_HEIGHT_M = 1.5
_NEAR_M = 1.0


@dataclass(frozen=True)
class Panel:
    """One level of a place.

    Args:
        title: of the panel; empty where it is the only one.
        shell: the storey shown; none outdoors.
        outdoors: whether ground, roads, buildings and vehicles are shown.
        access_points: those on this level.
        areas: those on this level.
        height_m: of receivers in the world, where meshes are cut.
        low, high: (2,) corners [m] of all that is shown.
    """

    title: str
    shell: Storey | None
    outdoors: bool
    access_points: tuple[AccessPoint, ...]
    areas: tuple[ReceiverArea, ...]
    height_m: float
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]

    def shows(self, scene: Scene, storey: str | None) -> bool:
        """Whether a part that names a storey, or none, is on this level."""
        return shell_of(scene, storey) == self.shell


def panels(scene: Scene, storey: str | None = None) -> tuple[Panel, ...]:
    """The panels of a scene: the storey asked for, else all; outdoors goes with the first.

    Raises:
        InputError: no storey of that name.
    """
    if storey is not None and shell_of(scene, storey) is None:
        names = ", ".join(shell.name for shell in scene.shells) or "none: the scene has no storeys"
        refuse([Fault("plan", "storey", names, storey)])
    shells: list[Storey | None] = [*scene.shells] or [None]
    outside = scene.ground is not None or bool(scene.buildings or scene.roads) or not scene.shells
    by_shell = _by_shell(scene, shells)
    return tuple(
        _panel(scene, shell, outside and shell == shells[0], by_shell[i], len(shells) > 1)
        for i, shell in enumerate(shells)
        if storey is None or shell == shell_of(scene, storey)
    )


def _by_shell(scene: Scene, shells: list[Storey | None]) -> list[tuple[AccessPoint, ...]]:
    """Access points of each level: of the storey they hang in or by, else of the first."""
    found: list[list[AccessPoint]] = [[] for _ in shells]
    for ap in scene.access_points:
        spot, height = shapely.Point(ap.position_m[:2]), ap.position_m[2]
        inside = [
            i
            for i, shell in enumerate(shells)
            if shell is not None
            and shell.bottom_m <= height <= shell.bottom_m + shell.height_m
            and shapely.Polygon(shell.shifted_outline()).distance(spot) <= _NEAR_M
        ]
        found[inside[0] if inside else 0].append(ap)
    return [tuple(aps) for aps in found]


def _panel(
    scene: Scene,
    shell: Storey | None,
    outdoors: bool,
    access_points: tuple[AccessPoint, ...],
    several: bool,
) -> Panel:
    areas = tuple(area for area in scene.receivers if shell_of(scene, area.storey) == shell)
    floor = 0.0 if shell is None else shell.bottom_m
    height = floor + (areas[0].height_m if areas else _USUAL_HEIGHT_M)
    places = [np.array([ap.position_m[:2] for ap in access_points]).reshape(-1, 2)]
    if shell is not None:
        places.append(shell.shifted_outline())
    if outdoors:
        places += _outside(scene)
    title = ""
    if several and shell is not None:
        title = f"{shell.name}: floor at {shell.bottom_m:.3g} m, {shell.height_m:.3g} m high"
    spots = np.concatenate(places)
    low, high = spots.min(axis=0), spots.max(axis=0)
    return Panel(title, shell, outdoors, access_points, areas, height, low, high)


def _outside(scene: Scene) -> list[npt.NDArray[np.float64]]:
    places = [np.asarray(building.footprint_m) for building in scene.buildings]
    places += [np.asarray(road.path_m) for road in scene.roads]
    if scene.ground is not None:
        places.append(np.asarray(scene.ground.area_m))
    if not scene.shells:
        places.append(receiver_points(scene)[:, :2])
        places += [surface[:, :2] for surface in _mesh_vertices(scene)]
    return places


def _mesh_vertices(scene: Scene) -> list[npt.NDArray[np.float64]]:
    """Vertices (v, 3) [m] of the meshes that are present."""
    if not scene.meshes:
        return []
    from twin.scene.meshes import placed_groups

    return [
        group.vertices
        for part in scene.meshes
        if part.present
        for group in placed_groups(part, scene.folder)
    ]
