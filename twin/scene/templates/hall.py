"""Template of a hall: an open room with pillars and people who walk."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from twin.scene.templates.common import (
    Draws,
    Made,
    Part,
    Size,
    between_points,
    place,
    quantity,
    rectangle,
    spaced,
    too_many,
    uniform,
    usual_quantities,
    with_materials,
)

SUMMARY = "an open room with pillars, people who walk, and a glass front"
SIZES = {
    "length_m": Size("m", 6.0, 100.0, (14.0, 32.0), "from west to east"),
    "width_m": Size("m", 6.0, 60.0, (9.0, 18.0), "from south to north"),
    "height_m": Size("m", 2.6, 20.0, (3.6, 6.5), "of the ceiling"),
    "people": Size("1", 0, 60, (3, 8), "who walk"),
    "access_points": Size("1", 1, 16, (3, 4), "on the walls"),
}
_PITCH_M = 0.8
_PILLAR_M = 0.5
_LAP_S = 120.0


def make(sizes: Mapping[str, float], draws: Draws) -> Made:
    """A hall of the sizes given; walks and the front are drawn."""
    length, width, height = sizes["length_m"], sizes["width_m"], sizes["height_m"]
    xs = [between_points(x, _PITCH_M) for x in spaced(0.0, length, 6.0)]
    ys = [between_points(y, _PITCH_M) for y in spaced(0.0, width, 5.0)]
    pillars = [
        {
            "name": f"pillar_{i + 1}_{j + 1}",
            "kind": "pillar",
            "centre_m": place(x, y),
            "size_m": [_PILLAR_M, _PILLAR_M, height],
            "material": "concrete",
        }
        for i, x in enumerate(xs)
        for j, y in enumerate(ys)
    ]
    front = draws.between(0.4, 0.8, "front")
    scene = with_materials(
        {
            "title": f"Hall, {length:g} m x {width:g} m, {height:g} m high",
            "assumptions": [
                "All of it is made up; sizes and places were drawn by a seed.",
                "Walls, floor and pillars are concrete, the ceiling board, the front glass.",
                "People are prisms of muscle-like tissue and walk straight lines to and fro.",
            ],
            "frequency_ghz": 5.25,
            "bandwidth_mhz": 80,
            "subcarriers": 64,
            "room": {
                "outline_m": rectangle(0.0, 0.0, length, width),
                "height_m": height,
                "wall_material": "concrete",
                "floor_material": "concrete",
                "ceiling_material": "ceiling_board",
            },
            "openings": [
                {
                    "name": "front",
                    "kind": "window",
                    "edge": 0,
                    "at_m": round(length * (1.0 - front) / 2.0, 2),
                    "width_m": round(length * front, 2),
                    "bottom_m": 0.1,
                    "height_m": round(min(3.0, height - 0.5), 2),
                    "material": "glass",
                }
            ],
            "furniture": pillars,
            "people": _people(int(sizes["people"]), length, width, ys, draws),
            "access_points": _access_points(int(sizes["access_points"]), length, width, height),
            "receivers": [
                {
                    "name": "grid",
                    "kind": "grid",
                    "area_m": rectangle(0.4, 0.4, length - 0.4, width - 0.4),
                    "pitch_m": _PITCH_M,
                    "height_m": 1.2,
                    "blocked": "leave_out",
                }
            ],
        }
    )
    quantities = usual_quantities(scene)
    if scene["people"]:
        quantities += [
            quantity(
                "moment",
                "time_s",
                "set",
                uniform(0.0, _LAP_S),
                "s",
                "When: where everybody is on their way.",
            ),
            quantity(
                "people_present",
                "people.*.present",
                "set",
                {"kind": "bernoulli", "probability": 0.7},
                "1",
                "Who is there.",
            ),
        ]
    return Made(
        scene,
        {"quantities": quantities},
        (
            f"{len(pillars)} pillars of {_PILLAR_M:g} m reach the ceiling.",
            "People walk midway between grid lines, each on one of their own; they pass no point.",
            "Access points are on the walls, 0.5 m under the ceiling.",
        ),
    )


def _people(
    count: int, length: float, width: float, pillar_rows: list[float], draws: Draws
) -> list[Part]:
    # A line each, so that nobody walks through another or a pillar.
    rows = int((width - 1.0) / _PITCH_M)
    lines = [between_points(0.5 + _PITCH_M * (i + 0.5), _PITCH_M) for i in range(rows)]
    free = [y for y in lines if all(abs(y - row) > _PILLAR_M for row in pillar_rows)]
    if count > len(free):
        raise too_many("people", len(free), count, f"the lines that a width of {width:g} m has")
    made: list[Part] = []
    for i in range(count):
        y = free[i * len(free) // count]
        made.append(
            {
                "name": f"person_{i + 1}",
                "path_m": [[0.6, y], [round(length - 0.6, 2), y]],
                "start_m": draws.between(0.6, length - 0.6, "walk_from", i),
                "speed_m_per_s": draws.between(0.6, 1.5, "walk_speed", i),
                "material": "body",
            }
        )
    return made


def _access_points(count: int, length: float, width: float, height: float) -> list[Part]:
    # Along the four walls in turn: one in every corner for four.
    inset = 0.3
    east, north = length - inset, width - inset
    round_trip = [(inset, inset), (east, inset), (east, north), (inset, north), (inset, inset)]
    sides = [abs(x1 - x0) + abs(y1 - y0) for (x0, y0), (x1, y1) in pairwise(round_trip)]
    made: list[Part] = []
    for i in range(count):
        along = sum(sides) * i / count
        side = 0
        while side < 3 and along > sides[side]:
            along -= sides[side]
            side += 1
        (x0, y0), (x1, y1) = round_trip[side], round_trip[side + 1]
        share = along / sides[side]
        made.append(
            {
                "name": f"AP{i + 1}",
                "position_m": place(x0 + share * (x1 - x0), y0 + share * (y1 - y0), height - 0.5),
                "power_dbm": 20,
                "pattern": "dipole",
            }
        )
    return made
