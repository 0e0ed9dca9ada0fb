"""Where doors and windows lie, and where their leaves are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.scene.declaration import Scene
from twin.scene.interiors import Opening, Storey, Wall
from twin.scene.levels import floor_m, shell_of
from twin.scene.wall_paths import wall_path

Place = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Hole:
    """An opening where it lies.

    Args:
        opening: as declared.
        start, end: (2,) of the segment or edge it is in [m].
        first_m, last_m: from and to along that segment.
        bottom_m, top_m: heights in the world.
    """

    opening: Opening
    start: Place
    end: Place
    first_m: float
    last_m: float
    bottom_m: float
    top_m: float

    @property
    def along(self) -> Place:
        """Unit vector (2,) of the segment."""
        way = self.end - self.start
        return np.asarray(way / np.hypot(*way))

    @property
    def sides(self) -> tuple[Place, Place]:
        """Both sides (2,) of the hole in plan, the near one first."""
        return (
            np.asarray(self.start + self.first_m * self.along),
            np.asarray(self.start + self.last_m * self.along),
        )

    @property
    def leaf(self) -> tuple[Place, Place] | None:
        """The leaf in plan; None where it slid away.

        A closed one runs along with its wall, whose neighbour it then is, and so faces as it does;
        an open one from its hinge to its free side.
        """
        near, far = self.sides
        if self.opening.state == "closed":
            return near, far
        hinge, free = (near, far) if self.opening.hinge == "start" else (far, near)
        if self.opening.swing_deg == 0.0:
            return None
        # Counter-clockwise about the near side leads to the left, about the far side to the right.
        sense = 1.0 if self.opening.hinge == "start" else -1.0
        angle = sense * np.deg2rad(self.opening.swing_deg)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return hinge, np.asarray(hinge + turn @ (free - hinge))


def segment_of(scene: Scene, opening: Opening) -> tuple[Place, Place, float] | None:
    """Start and end (2,) [m] of the segment or edge an opening is in, and where its `at_m` counts
    from along it; None where there is none.

    An opening keeps its place in the wall when offsets make the wall longer or shorter.
    """
    if opening.wall is not None:
        wall = next((wall for wall in scene.walls if wall.name == opening.wall), None)
        if wall is None or opening.segment >= len(wall.path_m) - 1:
            return None
        path = wall_path(scene, wall)
        start, end = path[opening.segment], path[opening.segment + 1]
        return start, end, _along(start, end, wall.shifted_path()[opening.segment])
    shell = shell_of(scene, opening.storey)
    if shell is None or opening.edge is None or opening.edge >= len(shell.outline_m):
        return None
    outline = shell.shifted_outline()
    start, end = outline[opening.edge], outline[(opening.edge + 1) % len(outline)]
    return start, end, _along(start, end, np.asarray(shell.outline_m[opening.edge]))


def _along(start: Place, end: Place, place: Place) -> float:
    """How far along a segment a place lies [m]; exactly zero at its start."""
    way = end - start
    length = float(np.hypot(*way))
    return float((place - start) @ way) / length if length > 0.0 else 0.0


def hole_of(scene: Scene, opening: Opening) -> Hole | None:
    """Where an opening lies; None where its wall, segment or edge is not there or has no length."""
    segment = segment_of(scene, opening)
    if segment is None or not (segment[1] - segment[0]).any():
        return None
    bottom = opening.bottom_m + floor_m(scene, _storey(scene, opening))
    start, end, origin = segment
    return Hole(
        opening,
        start,
        end,
        origin + opening.at_m,
        origin + opening.at_m + opening.width_m,
        bottom,
        bottom + opening.height_m,
    )


def _storey(scene: Scene, opening: Opening) -> str | None:
    if opening.wall is None:
        return opening.storey
    return next((wall.storey for wall in scene.walls if wall.name == opening.wall), None)


def holes_of_wall(scene: Scene, wall: Wall) -> list[Hole]:
    """The openings of an inner wall, where they lie."""
    return _holes(scene, [item for item in scene.openings if item.wall == wall.name])


def holes_of_shell(scene: Scene, shell: Storey) -> list[Hole]:
    """The openings of a shell's edges, where they lie."""
    mine = [
        item
        for item in scene.openings
        if item.edge is not None and shell_of(scene, item.storey) == shell
    ]
    return _holes(scene, mine)


def present_holes(scene: Scene) -> list[Hole]:
    """All openings whose wall is there, where they lie."""
    missing = {wall.name for wall in scene.walls if not wall.present}
    return _holes(scene, [item for item in scene.openings if item.wall not in missing])


def _holes(scene: Scene, openings: list[Opening]) -> list[Hole]:
    holes = (hole_of(scene, opening) for opening in openings)
    return [hole for hole in holes if hole is not None]
