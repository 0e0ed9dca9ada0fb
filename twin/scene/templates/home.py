"""Template of a home: living room and kitchen, a hall, bedrooms and a bath."""

from __future__ import annotations

from collections.abc import Mapping

from twin.scene.templates.common import (
    Draws,
    Made,
    Part,
    Size,
    door_states,
    moved,
    people,
    place,
    usual_quantities,
    with_materials,
)
from twin.scene.templates.floor import Cell, Floor, floor_plan

SUMMARY = "a flat: living room, kitchen, hall, bedrooms, bath"
SIZES = {
    "length_m": Size("m", 7.0, 25.0, (9.0, 13.0), "of the flat"),
    "living_depth_m": Size("m", 3.2, 8.0, (4.0, 5.2), "of living room and kitchen"),
    "bedroom_depth_m": Size("m", 3.2, 8.0, (3.2, 4.2), "of bedrooms and bath"),
    "height_m": Size("m", 2.3, 5.0, (2.4, 2.8), "of the storey"),
    "access_points": Size("1", 1, 8, (2, 3), "on shelves and walls"),
}
_PITCH_M = 0.5
_HALL_M = 1.3
# Kind, width, depth and height [m], material, and distance of its middle from the outer wall [m].
_Thing = tuple[str, tuple[float, float, float], str, float]
_LIVING: tuple[_Thing, ...] = (
    ("sofa", (2.0, 0.85, 0.8), "wood", 0.6),
    ("coffee_table", (1.1, 0.6, 0.45), "wood", 1.8),
)
_KITCHEN: tuple[_Thing, ...] = (
    ("counter", (2.0, 0.6, 0.9), "chipboard", 0.45),
    ("dining_table", (1.2, 0.8, 0.74), "wood", 1.8),
)
_BEDROOM: tuple[_Thing, ...] = (("bed", (1.4, 2.0, 0.5), "wood", 1.2),)
_BATH: tuple[_Thing, ...] = (("tub", (1.6, 0.7, 0.6), "metal", 0.5),)


def make(sizes: Mapping[str, float], draws: Draws) -> Made:
    """A flat of the sizes given; doors, widths and places of furniture are drawn."""
    height = sizes["height_m"]
    floor = floor_plan(
        draws,
        length=sizes["length_m"],
        depths=(sizes["living_depth_m"], sizes["bedroom_depth_m"]),
        corridor=_HALL_M,
        pitch=_PITCH_M,
        widths=((4.4, 6.4), (2.6, 4.2)),
    )
    openings: list[Part] = []
    furniture: list[Part] = []
    kinds = _kinds(floor)
    for cell in floor.cells:
        state = "open" if draws.chance(0.6, "door_state", cell.number) else "closed"
        openings += [floor.door(cell, state, "wood"), floor.window(cell, "glass")]
        furniture += _furniture(floor, cell, kinds[cell.number], draws)
    scene = with_materials(
        {
            "title": f"Home, {floor.length:g} m x {floor.width:g} m, {len(floor.cells)} rooms",
            "assumptions": [
                "All of it is made up; sizes and places were drawn by a seed.",
                "Outer walls are plastered brick, inner plasterboard; floor and roof concrete.",
            ],
            "frequency_ghz": 5.25,
            "bandwidth_mhz": 80,
            "subcarriers": 64,
            "room": {
                "outline_m": floor.outline(),
                "height_m": height,
                "wall_material": "plastered_brick",
                "floor_material": "concrete",
                "ceiling_material": "concrete",
            },
            "walls": floor.walls("plasterboard"),
            "openings": openings,
            "furniture": furniture,
            "access_points": _access_points(floor, int(sizes["access_points"]), draws),
            "receivers": [
                {
                    "name": "grid",
                    "kind": "grid",
                    "area_m": floor.inset(0.3),
                    "pitch_m": _PITCH_M,
                    "height_m": 1.1,
                    "blocked": "leave_out",
                }
            ],
        },
        "body",
    )
    named = ", ".join(f"{kinds[cell.number]} ({cell.number})" for cell in floor.cells)
    return Made(
        scene,
        {
            "quantities": [*usual_quantities(scene), door_states(0.6)],
            "moves": [
                moved("tables_moved", "furniture.*_table_*", 0.3, 10.0, "Tables are moved about.")
            ],
            "placements": [people(3, 0.5, floor.inset(0.4), "Who is at home.")],
        },
        (
            f"Rooms by their number: {named}; each has a door to the hall and a window.",
            "Access points stand 1.4 m high, one in the living room, others in rooms far from it.",
        ),
    )


def _kinds(floor: Floor) -> dict[int, str]:
    south = [cell for cell in floor.cells if cell.south_side]
    north = [cell for cell in floor.cells if not cell.south_side]
    widest = max(south, key=lambda cell: (cell.width, -cell.number))
    narrowest = min(north, key=lambda cell: (cell.width, cell.number))
    kinds = {cell.number: "kitchen" for cell in south} | {cell.number: "bedroom" for cell in north}
    return kinds | {widest.number: "living room", narrowest.number: "bath"}


def _furniture(floor: Floor, cell: Cell, kind: str, draws: Draws) -> list[Part]:
    things = {
        "living room": _LIVING,
        "kitchen": _KITCHEN,
        "bedroom": _BEDROOM,
        "bath": _BATH,
    }[kind]
    made: list[Part] = []
    for name, size, material, from_outside in things:
        half = size[0] / 2.0 + 0.15
        x = draws.between(cell.west + half, cell.east - half, name, cell.number)
        made.append(
            {
                "name": f"{name}_{cell.number}",
                "centre_m": place(x, floor.across(cell, from_outside)),
                "size_m": list(size),
                "material": material,
            }
        )
    return made


def _access_points(floor: Floor, count: int, draws: Draws) -> list[Part]:
    kinds = _kinds(floor)
    first = next(cell for cell in floor.cells if kinds[cell.number] == "living room")
    middle = (first.west + first.east) / 2.0
    others = sorted(
        (cell for cell in floor.cells if cell is not first),
        key=lambda cell: (-abs((cell.west + cell.east) / 2.0 - middle), cell.number),
    )
    made: list[Part] = []
    for i in range(count):
        cell = [first, *others][i % len(floor.cells)]
        x = draws.between(cell.west + 0.3, cell.east - 0.3, "ap", i)
        made.append(
            {
                "name": f"AP{i + 1}",
                "position_m": place(x, floor.across(cell, 0.2), 1.4),
                "power_dbm": 20,
                "pattern": "dipole",
            }
        )
    return made
