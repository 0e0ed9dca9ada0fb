"""Template of a street canyon: buildings on both sides, a road with traffic, lamp posts."""

from __future__ import annotations

from collections.abc import Mapping

from twin.scene.templates.common import (
    Draws,
    Made,
    Part,
    Size,
    place,
    quantity,
    rectangle,
    too_many,
    uniform,
    usual_quantities,
    with_materials,
)

SUMMARY = "a street between buildings, with traffic and base stations on lamp posts"
SIZES = {
    "length_m": Size("m", 40.0, 1000.0, (140.0, 240.0), "of the street"),
    "street_m": Size("m", 12.0, 80.0, (18.0, 28.0), "from house to house"),
    "vehicles": Size("1", 0, 60, (6, 14), "on the road"),
    "access_points": Size("1", 1, 20, (2, 4), "base stations on lamp posts"),
}
_KERB_M = 0.8
_POST_M = 6.0
_MARGIN_M = 20.0
_LANE_M = 3.25
# Traffic keeps to the right; lanes count from the left of the road's path. Vehicles of a lane are
# of one kind and speed: they keep their distances for ever.
_LANES = (("bus", -9.0), ("car", -12.0), ("car", 12.0), ("van", 10.0))
_TWO_LANES = (("car", -12.0), ("van", 10.0))
_GAP_M = 2.0
_LENGTHS_M = {"car": 4.5, "van": 5.9, "bus": 12.0}


def make(sizes: Mapping[str, float], draws: Draws) -> Made:
    """A street of the sizes given; houses, gaps and traffic are drawn."""
    length, street = sizes["length_m"], sizes["street_m"]
    lanes = 4 if street >= 20.0 else 2
    kinds = _LANES if lanes == 4 else _TWO_LANES
    road = round(lanes * _LANE_M, 2)
    pavement = round((street - road) / 2.0, 2)
    buildings = [
        part for side in ("south", "north") for part in _buildings(side, length, street, draws)
    ]
    middle = street / 2.0
    scene = with_materials(
        {
            "title": f"Street canyon, {length:g} m long, {street:g} m from house to house",
            "assumptions": [
                "All of it is made up; sizes and places were drawn by a seed.",
                "Houses, road and pavement have the constants of concrete; houses are closed.",
                "Vehicles are closed bodies of metal and keep their lane.",
            ],
            "frequency_ghz": 3.5,
            "bandwidth_mhz": 40,
            "subcarriers": 64,
            "ground": {
                "area_m": rectangle(
                    -_MARGIN_M, -2.0 * _MARGIN_M, length + _MARGIN_M, street + 2.0 * _MARGIN_M
                ),
                "material": "paving",
            },
            "roads": [
                {
                    "name": "road",
                    "path_m": [
                        place(-_MARGIN_M + 1.0, middle),
                        place(length + _MARGIN_M - 1.0, middle),
                    ],
                    "width_m": road,
                    "lanes": lanes,
                    "material": "road_surface",
                }
            ],
            "buildings": buildings,
            "furniture": _posts(int(sizes["access_points"]), length, road, street),
            "vehicles": _vehicles(int(sizes["vehicles"]), kinds, length, draws),
            "access_points": _access_points(int(sizes["access_points"]), length, road, street),
            "receivers": [
                {
                    "name": f"pavement_{side}",
                    "kind": "grid",
                    "area_m": rectangle(1.0, south, length - 1.0, south + pavement - 2.0 * _KERB_M),
                    "pitch_m": 1.0,
                    "height_m": 1.5,
                    "blocked": "leave_out",
                }
                for side, south in (
                    ("south", _KERB_M),
                    ("north", street - pavement + _KERB_M),
                )
            ],
        }
    )
    quantities = usual_quantities(scene, mount_m=0.2)
    if scene["vehicles"]:
        quantities += [
            quantity(
                "moment",
                "time_s",
                "set",
                uniform(0.0, 120.0),
                "s",
                "When: where the traffic is.",
            ),
            quantity(
                "vehicles_present",
                "vehicles.*.present",
                "set",
                {"kind": "bernoulli", "probability": 0.8},
                "1",
                "Which vehicles are out.",
            ),
        ]
    return Made(
        scene,
        {"quantities": quantities},
        (
            f"{len(buildings)} buildings stand half a metre apart, or with a lane between them.",
            f"The road has {lanes} lanes; vehicles of a lane are of one kind and speed.",
            f"Base stations stand 0.3 m above lamp posts of {_POST_M:g} m, on alternate sides.",
        ),
    )


def _buildings(side: str, length: float, street: float, draws: Draws) -> list[Part]:
    made: list[Part] = []
    x, i = 0.0, 0
    while x < length - 6.0:
        width = min(draws.between(14.0, 36.0, side, "width", i, digits=1), length - x)
        depth = draws.between(10.0, 18.0, side, "depth", i, digits=1)
        height = draws.between(9.0, 28.0, side, "height", i, digits=1)
        gabled = draws.chance(0.4, side, "gabled", i)
        south = -depth if side == "south" else street
        part: Part = {
            "name": f"house_{side}_{i + 1}",
            "footprint_m": rectangle(x, south, x + width, south + depth),
            "height_m": height,
        }
        if gabled:
            part |= {"roof": "gabled", "roof_height_m": draws.between(2.0, 5.0, side, "roof", i)}
        made.append(part | {"wall_material": "concrete", "roof_material": "concrete"})
        lane = draws.chance(0.2, side, "lane", i)
        x = round(x + width + (draws.between(6.0, 10.0, side, "gap", i) if lane else 0.5), 2)
        i += 1
    return made


def _posts(count: int, length: float, road: float, street: float) -> list[Part]:
    return [
        {
            "name": f"post_{i + 1}",
            "kind": "pillar",
            "centre_m": place(*_post(i, count, length, road, street)),
            "size_m": [0.16, 0.16, _POST_M],
            "material": "metal",
        }
        for i in range(count)
    ]


def _post(i: int, count: int, length: float, road: float, street: float) -> tuple[float, float]:
    across = road / 2.0 + 0.5
    return length * (i + 0.5) / count, street / 2.0 + (across if i % 2 else -across)


def _access_points(count: int, length: float, road: float, street: float) -> list[Part]:
    made: list[Part] = []
    for i in range(count):
        x, y = _post(i, count, length, road, street)
        made.append(
            {
                "name": f"BS{i + 1}",
                "position_m": place(x, y, _POST_M + 0.3),
                "power_dbm": 30,
                "pattern": "dipole",
            }
        )
    return made


def _vehicles(
    count: int, kinds: tuple[tuple[str, float], ...], length: float, draws: Draws
) -> list[Part]:
    fits = [int(length / (_LENGTHS_M[kind] + _GAP_M)) for kind, _ in kinds]
    most = min(len(kinds) * least for least in fits)
    if count > most:
        raise too_many("vehicles", most, count, f"what {len(kinds)} lanes of this length hold")
    made: list[Part] = []
    for lane, (kind, speed) in enumerate(kinds):
        mine = len(range(lane, count, len(kinds)))
        slot = length / max(mine, 1)
        for i in range(mine):
            at = _LENGTHS_M[kind] / 2.0 + slot * i
            at += draws.between(0.0, slot - _LENGTHS_M[kind] - _GAP_M, "vehicle", lane, i)
            made.append(
                {
                    "name": f"{kind}_{lane + 1}_{i + 1}",
                    "kind": kind,
                    "road": "road",
                    "lane": lane,
                    "at_m": round(at, 2),
                    "speed_m_per_s": speed,
                    "material": "metal",
                }
            )
    return made
