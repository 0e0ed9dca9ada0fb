"""Where inner walls run once the shell around them has moved."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from twin.scene.declaration import Scene
from twin.scene.interiors import Storey, Wall
from twin.scene.levels import ceiling_m, floor_m, shell_of

_TOUCH_M = 1e-3
# Sine of the angle below which a wall runs along an edge and meets it nowhere.
_ALONG = 0.05

Path = npt.NDArray[np.float64]


def wall_path(scene: Scene, wall: Wall) -> Path:
    """Path (n, 2) [m] of an inner wall, moved by its own offset.

    An end that the declaration puts on an edge of the outline stays on that edge when its offset
    moves it: the wall grows or shrinks, and leaves no gap beside the shell.
    """
    path = wall.shifted_path()
    shell = shell_of(scene, wall.storey)
    if shell is None or not any(shell.wall_offsets_m):
        return path
    moved = path.copy()
    moved[0] = _end(shell, path[0], path[1])
    moved[-1] = _end(shell, path[-1], path[-2])
    return moved


def wall_span(scene: Scene, wall: Wall) -> tuple[float, float]:
    """Bottom and top of an inner wall in the world [m].

    Infinite where no height is given and there is no ceiling, which the check refuses.
    """
    bottom = floor_m(scene, wall.storey) + wall.bottom_m
    if wall.height_m is not None:
        return bottom, bottom + wall.height_m
    ceiling = ceiling_m(scene, wall.storey)
    return bottom, np.inf if ceiling is None else ceiling


def _end(shell: Storey, end: Path, before: Path) -> Path:
    """One end (2,) of a wall whose last segment comes from `before` (2,)."""
    along = end - before
    length = float(np.hypot(*along))
    if length == 0.0:
        return end
    along = along / length
    declared, shifted = np.asarray(shell.outline_m, dtype=np.float64), shell.shifted_outline()
    for i in range(len(declared)):
        following = (i + 1) % len(declared)
        if _distance(end, declared[i], declared[following]) > _TOUCH_M:
            continue
        edge = shifted[following] - shifted[i]
        edge = edge / np.hypot(*edge)
        sine = along[0] * edge[1] - along[1] * edge[0]
        if abs(sine) < _ALONG:
            continue
        offset = shifted[i] - end
        reach = (offset[0] * edge[1] - offset[1] * edge[0]) / sine
        return np.asarray(end + reach * along)
    return end


def _distance(place: Path, start: Path, end: Path) -> float:
    """Of a place (2,) from a segment [m]."""
    along = end - start
    share = float(np.clip((place - start) @ along / (along @ along), 0.0, 1.0))
    return float(np.hypot(*(place - start - share * along)))
