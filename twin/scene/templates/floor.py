"""Rooms on both sides of a corridor: the shell that offices and homes have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from twin.scene.templates.common import Draws, Part, between_points, rectangle

DOOR_M = 0.9
_DOOR_MARGIN_M = 0.4


@dataclass(frozen=True)
class Cell:
    """One room: its number, its west and east wall, and its side of the corridor."""

    number: int
    west: float
    east: float
    south_side: bool
    door: float

    @property
    def width(self) -> float:
        """From west to east [m]."""
        return self.east - self.west


@dataclass(frozen=True)
class Floor:
    """A rectangular floor: rooms south and north of a corridor from west to east.

    Args:
        length: from west to east [m].
        south: depth of the rooms on the south side [m]; `north` of those on the other.
        corridor: width of the corridor [m].
        cells: all rooms.
        base: y of the south side [m], so that no receiver comes to stand in a doorway.
    """

    length: float
    south: float
    corridor: float
    north: float
    cells: tuple[Cell, ...]
    base: float

    @property
    def width(self) -> float:
        """From south to north [m]."""
        return round(self.south + self.corridor + self.north, 2)

    def corridor_walls(self) -> tuple[float, float]:
        """Where the walls between the corridor and the rooms are: their y [m]."""
        low = self.base + self.south
        return round(low, 2), round(low + self.corridor, 2)

    def across(self, cell: Cell, from_outside: float) -> float:
        """Of a place inside a room by its distance from the outer wall: its y [m]."""
        inside = from_outside if cell.south_side else self.width - from_outside
        return round(self.base + inside, 2)

    def depth(self, cell: Cell) -> float:
        """Of a room, from the outer wall to the corridor [m]."""
        return self.south if cell.south_side else self.north

    def west_walls(self, south_side: bool) -> list[float]:
        """Where the walls between the rooms of one side are: their x [m]."""
        return [cell.west for cell in self.cells if cell.south_side == south_side and cell.west > 0]

    def outline(self) -> list[list[float]]:
        """Corners of the shell; edge 0 is the south side, edge 2 the north side."""
        return self.inset(0.0)

    def inset(self, margin: float) -> list[list[float]]:
        """Corners of what is a margin away from the outer walls."""
        return rectangle(
            margin, self.base + margin, self.length - margin, self.base + self.width - margin
        )

    def walls(self, material: str) -> list[Part]:
        """Inner walls: two along the corridor, and one between each two rooms."""
        low, high = self.corridor_walls()
        made: list[Part] = [
            {
                "name": name,
                "path_m": [[0.0, y], [self.length, y]],
                "material": material,
            }
            for name, y in (("corridor_south", low), ("corridor_north", high))
        ]
        for side, south_side in (("south", True), ("north", False)):
            y = [self.base, low] if south_side else [high, round(self.base + self.width, 2)]
            made += [
                {
                    "name": f"partition_{side}_{i + 1}",
                    "path_m": [[x, y[0]], [x, y[1]]],
                    "material": material,
                }
                for i, x in enumerate(self.west_walls(south_side))
            ]
        return made

    def door(self, cell: Cell, state: str, material: str) -> Part:
        """The door of a room, which opens into it."""
        return {
            "name": f"door_{cell.number}",
            "wall": "corridor_south" if cell.south_side else "corridor_north",
            "at_m": cell.door,
            "width_m": DOOR_M,
            "height_m": 2.05,
            "material": material,
            "state": state,
            "swing_deg": -90.0 if cell.south_side else 90.0,
        }

    def window(self, cell: Cell, material: str) -> Part:
        """A window in the outer wall of a room."""
        margin = min(0.6, 0.2 * cell.width)
        width = round(cell.width - 2.0 * margin, 2)
        start = cell.west + margin
        # Edge 2 runs from east to west.
        at = start if cell.south_side else self.length - start - width
        return {
            "name": f"window_{cell.number}",
            "kind": "window",
            "edge": 0 if cell.south_side else 2,
            "at_m": round(at, 2),
            "width_m": width,
            "bottom_m": 0.9,
            "height_m": 1.3,
            "material": material,
        }


def floor_plan(
    draws: Draws,
    *,
    length: float,
    depths: tuple[float, float],
    corridor: float,
    pitch: float,
    widths: Sequence[tuple[float, float]],
) -> Floor:
    """A floor with rooms of drawn widths.

    Args:
        draws: where widths and doors come from.
        length: of the floor [m].
        depths: of the rooms on the south side and on the north side [m].
        corridor: width of the corridor [m].
        pitch: of the receivers [m].
        widths: usual least and greatest width of rooms on the south side, then on the north [m].
    """
    cells: list[Cell] = []
    for south_side, (low, high) in zip((True, False), widths, strict=True):
        side = "south" if south_side else "north"
        ends = draws.cuts(length, low, high, "rooms", side)
        for i, (west, east) in enumerate(pairwise(ends)):
            first = west + _DOOR_MARGIN_M
            last = east - _DOOR_MARGIN_M - DOOR_M
            wanted = draws.between(first, max(first, last), "door", side, i)
            door = between_points(wanted, pitch)
            if door > last:
                door = round(door - pitch, 2)
            if door < west + 0.1:
                door = round(door + pitch, 2)
            cells.append(Cell(len(cells) + 1, west, east, south_side, door))
    south, north = depths
    return Floor(
        length, south, corridor, north, tuple(cells), _base((south, south + corridor), pitch)
    )


def _base(walls: tuple[float, float], pitch: float) -> float:
    """Where the south side lies for walls with doors to be farthest from the grid's lines [m]."""
    bases = [round(0.05 * i, 2) for i in range(int(pitch / 0.05))]

    def nearest(base: float) -> float:
        return min(abs((base + y) / pitch - round((base + y) / pitch)) for y in walls)

    return max(bases, key=nearest)
