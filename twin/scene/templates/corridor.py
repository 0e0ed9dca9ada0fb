"""Template of a corridor: straight or with a bend, doors on both sides."""

from __future__ import annotations

from collections.abc import Mapping

from twin.errors import Fault, InputError
from twin.scene.templates.common import (
    Draws,
    Made,
    Part,
    Size,
    moved,
    people,
    place,
    quantity,
    rectangle,
    spaced,
    usual_quantities,
    with_materials,
)

SUMMARY = "a corridor with doors on both sides, straight or with a bend"
SIZES = {
    "length_m": Size("m", 8.0, 150.0, (24.0, 45.0), "of the first leg"),
    "width_m": Size("m", 1.5, 8.0, (1.9, 3.0), "of the corridor"),
    "bend_m": Size("m", 0.0, 100.0, (0.0, 20.0), "length of a second leg; none under 4 m"),
    "height_m": Size("m", 2.3, 8.0, (2.5, 3.2), "of the ceiling"),
    "access_points": Size("1", 1, 20, (3, 5), "under the ceiling"),
}
_PITCH_M = 0.6
_DOOR_M = 0.95
_LEAST_BEND_M = 4.0


def make(sizes: Mapping[str, float], draws: Draws) -> Made:
    """A corridor of the sizes given; doors and lockers are drawn."""
    length, width, height = sizes["length_m"], sizes["width_m"], sizes["height_m"]
    bend = sizes["bend_m"] if sizes["bend_m"] >= _LEAST_BEND_M else 0.0
    if bend and length < width + _LEAST_BEND_M:
        expected = f"at least {width + _LEAST_BEND_M:g} m before a bend of this width"
        raise InputError([Fault("size", "length_m", expected, f"{length:g} m")])
    outline = _outline(length, width, bend)
    areas = [rectangle(0.3, 0.3, length - 0.3, width - 0.3)]
    legs = [((0.0, width / 2.0), (length, width / 2.0))]
    if bend:
        areas.append(rectangle(length - width + 0.3, width, length - 0.3, width + bend - 0.3))
        x = length - width / 2.0
        legs.append(((x, width), (x, width + bend)))
    north = length - (width if bend else 0.0)
    doors = _doors(length, north, bend, draws)
    lockers = _lockers(north, width, doors, draws)
    scene = with_materials(
        {
            "title": f"Corridor, {length:g} m x {width:g} m"
            + (f" and a leg of {bend:g} m" if bend else ""),
            "assumptions": [
                "All of it is made up; sizes and places were drawn by a seed.",
                "Walls are brick, floor concrete, ceiling board; doors are closed.",
                "What lies behind doors and walls is left out.",
            ],
            "frequency_ghz": 5.25,
            "bandwidth_mhz": 80,
            "subcarriers": 64,
            "room": {
                "outline_m": outline,
                "height_m": height,
                "wall_material": "brick",
                "floor_material": "concrete",
                "ceiling_material": "ceiling_board",
            },
            "openings": doors,
            "furniture": lockers,
            "access_points": _access_points(
                legs, (length, bend), int(sizes["access_points"]), height
            ),
            "receivers": [
                {
                    "name": f"leg_{i + 1}",
                    "kind": "grid",
                    "area_m": area,
                    "pitch_m": _PITCH_M,
                    "height_m": 1.2,
                    "blocked": "leave_out",
                }
                for i, area in enumerate(areas)
            ],
        },
        "body",
        "metal",
    )
    return Made(
        scene,
        {
            "quantities": [
                *usual_quantities(scene),
                quantity(
                    "door_material",
                    "openings.door_*.material",
                    "set",
                    {"kind": "choice", "values": ["wood", "metal"], "weights": [0.7, 0.3]},
                    "1",
                    "Some doors are fire doors of steel.",
                ),
            ],
            "moves": [
                moved("lockers_moved", "furniture.lockers_*", 0.3, 2.0, "Lockers are put back.")
            ]
            if lockers
            else [],
            "placements": [
                people(4, 0.5, areas[0], "People on their way; they come between the ends.")
            ],
        },
        (
            "Doors on both sides are closed leaves of wood in walls of brick.",
            "Metal lockers stand along the north side of the first leg.",
            "Access points hang under the ceiling, on the middle line.",
        ),
    )


def _outline(length: float, width: float, bend: float) -> list[list[float]]:
    if not bend:
        return rectangle(0.0, 0.0, length, width)
    corners = [
        (0.0, 0.0),
        (length, 0.0),
        (length, width + bend),
        (length - width, width + bend),
        (length - width, width),
        (0.0, width),
    ]
    return [place(*corner) for corner in corners]


def _doors(length: float, north: float, bend: float, draws: Draws) -> list[Part]:
    # Edge 0 is the south side; the north side is the last but one, from east to west.
    made: list[Part] = []
    for edge, side, run in ((0, "south", length), (4 if bend else 2, "north", north)):
        for i, at in enumerate(spaced(0.0, run, 5.0)):
            shift = draws.between(-1.0, 1.0, "door", side, i)
            made.append(_door(f"door_{side}_{i + 1}", edge, at + shift - _DOOR_M / 2.0))
    if bend:
        for i, at in enumerate(spaced(0.0, bend, 5.0)):
            shift = draws.between(-0.8, 0.8, "door", "east", i)
            # Edge 1 is the whole east side: the leg begins where the corridor ends.
            made.append(_door(f"door_east_{i + 1}", 1, at + shift + 0.5))
    return made


def _door(name: str, edge: int, at: float) -> Part:
    return {
        "name": name,
        "edge": edge,
        "at_m": round(at, 2),
        "width_m": _DOOR_M,
        "height_m": 2.05,
        "material": "wood",
    }


def _lockers(north: float, width: float, doors: list[Part], draws: Draws) -> list[Part]:
    """Along the north side, but before no door."""
    taken = [
        north - float(door["at_m"]) - _DOOR_M / 2.0
        for door in doors
        if door["name"].startswith("door_north")
    ]
    made: list[Part] = []
    for i, x in enumerate(spaced(0.5, north - 0.5, 4.0)):
        size = draws.between(0.8, 2.4, "locker_width", i, digits=1)
        free = all(abs(x - door) > (size + _DOOR_M) / 2.0 + 0.1 for door in taken)
        if free and draws.chance(0.6, "locker", i):
            made.append(
                {
                    "name": f"lockers_{i + 1}",
                    "centre_m": place(x, width - 0.28),
                    "size_m": [size, 0.45, 1.8],
                    "material": "metal",
                }
            )
    return made


def _access_points(
    legs: list[tuple[tuple[float, float], tuple[float, float]]],
    lengths: tuple[float, float],
    count: int,
    height: float,
) -> list[Part]:
    total = sum(lengths[: len(legs)])
    made: list[Part] = []
    for i in range(count):
        along = total * (i + 0.5) / count
        leg = 0 if along <= lengths[0] else 1
        if leg:
            along -= lengths[0]
        (x0, y0), (x1, y1) = legs[leg]
        share = along / lengths[leg]
        made.append(
            {
                "name": f"AP{i + 1}",
                "position_m": place(x0 + share * (x1 - x0), y0 + share * (y1 - y0), height - 0.2),
                "power_dbm": 20,
                "pattern": "dipole",
            }
        )
    return made
