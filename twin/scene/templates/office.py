"""Template of an office: rooms with desks on both sides of a corridor."""

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
from twin.scene.templates.floor import DOOR_M, Cell, Floor, floor_plan

SUMMARY = "rooms with desks on both sides of a corridor"
SIZES = {
    "length_m": Size("m", 8.0, 100.0, (18.0, 30.0), "of the floor"),
    "room_depth_m": Size("m", 3.5, 10.0, (4.6, 6.0), "from window to corridor"),
    "corridor_m": Size("m", 1.3, 6.0, (1.8, 2.6), "width of the corridor"),
    "height_m": Size("m", 2.4, 6.0, (2.7, 3.2), "of the storey"),
    "access_points": Size("1", 1, 30, (3, 5), "on the ceiling"),
}
_PITCH_M = 0.8
_DESK_SLOT_M = 1.9


def make(sizes: Mapping[str, float], draws: Draws) -> Made:
    """An office of the sizes given; doors, widths and furniture are drawn."""
    depth, height = sizes["room_depth_m"], sizes["height_m"]
    floor = floor_plan(
        draws,
        length=sizes["length_m"],
        depths=(depth, depth),
        corridor=sizes["corridor_m"],
        pitch=_PITCH_M,
        widths=((3.0, 5.4), (3.0, 5.4)),
    )
    openings: list[Part] = []
    furniture: list[Part] = []
    for cell in floor.cells:
        state = "open" if draws.chance(0.5, "door_state", cell.number) else "closed"
        openings += [floor.door(cell, state, "wood"), floor.window(cell, "glass")]
        furniture += _furniture(floor, cell, draws)
    scene = with_materials(
        {
            "title": f"Office, {floor.length:g} m x {floor.width:g} m, {len(floor.cells)} rooms",
            "assumptions": [
                "All of it is made up; sizes and places were drawn by a seed.",
                "Walls are plasterboard, floor concrete, ceiling board; windows count as one pane.",
            ],
            "frequency_ghz": 5.25,
            "bandwidth_mhz": 80,
            "subcarriers": 64,
            "room": {
                "outline_m": floor.outline(),
                "height_m": height,
                "wall_material": "plasterboard",
                "floor_material": "concrete",
                "ceiling_material": "ceiling_board",
            },
            "walls": floor.walls("plasterboard"),
            "openings": openings,
            "furniture": furniture,
            "access_points": _access_points(floor, int(sizes["access_points"]), height, draws),
            "receivers": [
                {
                    "name": "grid",
                    "kind": "grid",
                    "area_m": floor.inset(0.3),
                    "pitch_m": _PITCH_M,
                    "height_m": 1.2,
                    "blocked": "leave_out",
                }
            ],
        },
        "body",
    )
    return Made(
        scene,
        {
            "quantities": [*usual_quantities(scene), door_states(0.5)],
            "moves": [
                moved("chairs_moved", "furniture.chair_*", 0.4, 90.0, "Chairs are pushed about."),
                moved("desks_moved", "furniture.desk_*", 0.15, 3.0, "Desks are shifted a little."),
            ],
            "placements": [
                people(len(floor.cells), 0.4, floor.inset(0.4), "Somebody who stands about.")
            ],
        },
        (
            f"{len(floor.cells)} rooms have a door to the corridor, open or closed, and a window.",
            "Desks with a chair stand along the windows, a metal cabinet by the corridor.",
            "Access points hang from the ceiling, by turns over the corridor and in a room.",
        ),
    )


def _furniture(floor: Floor, cell: Cell, draws: Draws) -> list[Part]:
    made: list[Part] = []
    for i in range(int((cell.width - 0.5) / _DESK_SLOT_M)):
        x = cell.west + 0.25 + _DESK_SLOT_M * (i + 0.5)
        shift = draws.between(-0.08, 0.08, "desk", cell.number, i)
        turned = 0.0 if cell.south_side else 180.0
        name = f"{cell.number}_{i + 1}"
        made += [
            {
                "name": f"desk_{name}",
                "kind": "desk",
                "centre_m": place(x + shift, floor.across(cell, 0.55)),
                "material": "wood",
            },
            {
                "name": f"chair_{name}",
                "kind": "chair",
                "centre_m": place(x + shift, floor.across(cell, 1.35)),
                "yaw_deg": turned,
                "material": "wood",
            },
        ]
    # By the corridor, at the end of the room that the door is not at.
    west_free = cell.door - cell.west
    east_free = cell.east - cell.door - DOOR_M
    if max(west_free, east_free) > 1.3 and draws.chance(0.7, "cabinet", cell.number):
        x = cell.west + 0.65 if west_free >= east_free else cell.east - 0.65
        made.append(
            {
                "name": f"cabinet_{cell.number}",
                "kind": "cabinet",
                "centre_m": place(x, floor.across(cell, floor.depth(cell) - 0.35)),
                "material": "metal",
            }
        )
    return made


def _access_points(floor: Floor, count: int, height: float, draws: Draws) -> list[Part]:
    low, high = floor.corridor_walls()
    made: list[Part] = []
    for i in range(count):
        x = floor.length * (i + 0.5) / count + draws.between(-0.5, 0.5, "ap", i)
        x = min(max(x, 0.4), floor.length - 0.4)
        y = (low + high) / 2.0
        if i % 2:
            rooms = [cell for cell in floor.cells if cell.south_side == (i % 4 == 1)]
            room = min(rooms, key=lambda cell: abs((cell.west + cell.east) / 2.0 - x))
            x = min(max(x, room.west + 0.4), room.east - 0.4)
            y = floor.across(room, floor.depth(room) / 2.0)
        made.append(
            {
                "name": f"AP{i + 1}",
                "position_m": place(x, y, height - 0.2),
                "power_dbm": 20,
                "pattern": "dipole",
            }
        )
    return made
