"""The cells of a map over a place, and which of them are free."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import shapely

from twin.errors import Fault, refuse
from twin.scene.declaration import Scene
from twin.scene.levels import shell_of
from twin.scene.obstacles import CLEARANCE_M, covered, within_shell
from twin.scene.receivers import receiver_points

MOST_CELLS = 1_000_000
_USUAL_HEIGHT_M = 1.5

_Floats = npt.NDArray[np.float64]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cells:
    """Square cells of a map, their centres on multiples of the pitch.

    Args:
        x: (w,) centres [m].
        y: (h,) centres [m].
        z_m: height of the map.
        floor_m: height of the floor or ground below it.
        pitch_m: side of a cell.
        free: (h, w) whether a centre lies in the place and clear of all that stands or hangs
            there.
        storey: that the map is of, where the scene has storeys.
    """

    x: _Floats
    y: _Floats
    z_m: float
    floor_m: float
    pitch_m: float
    free: _Mask
    storey: str = ""

    def points(self) -> _Floats:
        """Centres (n, 3) [m] of the free cells, row by row."""
        row, column = np.nonzero(self.free)
        return np.column_stack([self.x[column], self.y[row], np.full(len(row), self.z_m)])


def map_cells(
    scene: Scene,
    *,
    pitch_m: float | None = None,
    max_cells: int = 10_000,
    height_m: float | None = None,
    storey: str | None = None,
) -> Cells:
    """Cells over a storey of a scene; over the ground, or else around the receivers, outdoors.

    Args:
        scene: one that has passed `twin.scene.check`.
        pitch_m: side of a cell; by default three digits, so large that no more than `max_cells` are
            in the place.
        max_cells: see `pitch_m`.
        height_m: of the map above the floor or ground; by default that of the first receiver area
            there, else 1.5 m.
        storey: which; by default the first.

    Raises:
        InputError: an unknown storey, a height, pitch or number of cells that makes no sense, or no
            cell that is free.
    """
    faults = _faults(scene, pitch_m, max_cells, height_m, storey)
    refuse(faults)
    shell = shell_of(scene, storey)
    floor = 0.0 if shell is None else shell.bottom_m
    areas = [area for area in scene.receivers if shell_of(scene, area.storey) == shell]
    if height_m is None:
        height_m = areas[0].height_m if areas else _USUAL_HEIGHT_M
    place = _place(scene, storey)
    if pitch_m is None:
        pitch_m = _pitch(place, max_cells)
    x, y = _axes(place, pitch_m)
    refuse(
        [Fault("map", "pitch_m", f"at most {MOST_CELLS} cells", f"{len(x) * len(y)}")]
        if len(x) * len(y) > MOST_CELLS
        else []
    )
    name = shell.name if shell is not None and scene.storeys else ""
    cells = Cells(x, y, floor + height_m, floor, pitch_m, _inside(place, x, y), name)
    points = cells.points()
    free = within_shell(scene, storey, points)
    for mask in covered(scene, points).values():
        free &= ~mask
    for ap in scene.access_points:
        free &= np.linalg.norm(points - np.array(ap.position_m), axis=1) >= CLEARANCE_M
    inside = cells.free.copy()
    inside[cells.free] = free
    if not inside.any():
        found = f"{len(points)} cells of {pitch_m:g} m, none free at {height_m:g} m"
        refuse([Fault("map", "pitch_m", "a cell in the place where nothing stands", found)])
    return replace(cells, free=inside)


def _faults(
    scene: Scene,
    pitch_m: float | None,
    max_cells: int,
    height_m: float | None,
    storey: str | None,
) -> list[Fault]:
    faults = []
    if storey is not None and shell_of(scene, storey) is None:
        names = ", ".join(shell.name for shell in scene.shells) or "no storey"
        faults.append(Fault("map", "storey", names, storey))
    if pitch_m is not None and not 0.0 < pitch_m < np.inf:
        faults.append(Fault("map", "pitch_m", "a positive number of metres", f"{pitch_m:g}"))
    if not 1 <= max_cells <= MOST_CELLS:
        faults.append(Fault("map", "max_cells", f"1 to {MOST_CELLS}", str(max_cells)))
    if height_m is not None and not 0.0 <= height_m < np.inf:
        faults.append(Fault("map", "height_m", "zero metres or more", f"{height_m:g}"))
    elif height_m is not None:
        faults += _outside_storey(scene, storey, height_m)
    return faults


def _outside_storey(scene: Scene, storey: str | None, height_m: float) -> list[Fault]:
    """The fault of a height above a floor where nobody can stand; see `within_shell`."""
    shell = shell_of(scene, storey)
    if shell is None:
        return []
    high = shell.height_m - CLEARANCE_M
    if CLEARANCE_M - 1e-9 <= height_m <= high + 1e-9:
        return []
    what = f"storey {shell.name}" if scene.storeys else "room"
    expected = f"{CLEARANCE_M:g} to {high:g} m in a {what} {shell.height_m:g} m high"
    return [Fault("map", "height_m", expected, f"{height_m:g} m")]


def _place(scene: Scene, storey: str | None) -> shapely.Polygon:
    shell = shell_of(scene, storey)
    if shell is not None:
        return shapely.Polygon(shell.shifted_outline())
    if scene.ground is not None:
        return shapely.Polygon(scene.ground.area_m)
    spots = [ap.position_m[:2] for ap in scene.access_points]
    hull = shapely.MultiPoint([*spots, *receiver_points(scene)[:, :2]])
    return shapely.box(*hull.buffer(0.5).bounds)


def _pitch(place: shapely.Polygon, most: int) -> float:
    """The least pitch of three digits that puts no more cells into a place."""
    pitch = float(np.sqrt(place.area / most))
    while True:
        digit = 10.0 ** (np.floor(np.log10(pitch)) - 2.0)
        pitch = float(f"{np.ceil(pitch / digit - 1e-9) * digit:.4g}")
        x, y = _axes(place, pitch)
        if len(x) * len(y) <= most or np.count_nonzero(_inside(place, x, y)) <= most:
            return pitch
        pitch += digit


def _axes(place: shapely.Polygon, pitch: float) -> tuple[_Floats, _Floats]:
    west, south, east, north = place.bounds
    spans = ((west, east), (south, north))
    x, y = (np.arange(np.floor(a / pitch), np.ceil(b / pitch) + 1) * pitch + 0.0 for a, b in spans)
    return x, y


def _inside(place: shapely.Polygon, x: _Floats, y: _Floats) -> _Mask:
    shapely.prepare(place)
    return np.asarray(shapely.contains_xy(place, *np.meshgrid(x, y)))
