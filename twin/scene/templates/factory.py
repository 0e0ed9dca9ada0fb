"""Template of a factory hall: machines at random places, rows of metal racks, steel all round."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor

import shapely

from twin.config import validate
from twin.scene.declaration import SCHEMA, Scene
from twin.scene.furnishing import furnished, number_of
from twin.scene.templates.common import (
    Draws,
    Made,
    Part,
    Size,
    people,
    place,
    quantity,
    rectangle,
    spaced,
    too_many,
    usual_quantities,
    with_materials,
)

SUMMARY = "a high hall of steel with machines and rows of metal racks"
SIZES = {
    "length_m": Size("m", 24.0, 200.0, (40.0, 72.0), "from west to east"),
    "width_m": Size("m", 18.0, 100.0, (24.0, 40.0), "from south to north"),
    "height_m": Size("m", 5.0, 30.0, (12.0, 12.0), "of the roof"),
    "machines_per_100m2": Size("per 100 m2", 0.0, 6.0, (1.0, 3.0), "density of machines"),
    "access_points": Size("1", 1, 30, (6, 8), "on columns and beams"),
}
_PITCH_M = 2.0
_EDGE_M = 1.0
_RACK_M = (2.7, 1.1)
_AISLE_M = 2.9
# How far an access point may be off its place, and what it keeps above a rack even then.
_MOUNT_M, _OVER_RACK_M = 0.2, 0.1


def make(sizes: Mapping[str, float], draws: Draws) -> Made:
    """A factory hall of the sizes given; racks and the seed of the machines are drawn."""
    length, width, height = sizes["length_m"], sizes["width_m"], sizes["height_m"]
    # Racks in the west, machines in the east.
    split = round(length * draws.between(0.3, 0.45, "split"), 1)
    mounts = min(7.0, height - 1.0)
    racks = _racks(split, width, mounts, draws)
    columns = [
        {
            "name": f"column_{i + 1}_{side}",
            "kind": "pillar",
            "centre_m": place(x, y),
            "size_m": [0.3, 0.3, height],
            "material": "metal",
        }
        for i, x in enumerate(spaced(split, length, 8.0))
        for side, y in (("south", 0.5), ("north", width - 0.5))
    ]
    gate = draws.between(4.0, 5.0, "gate")
    scene = with_materials(
        {
            "title": f"Factory hall, {length:g} m x {width:g} m, {height:g} m high",
            "assumptions": [
                "All of it is made up; sizes and places were drawn by a seed.",
                "Walls and roof are steel, the floor concrete; machines are hollow steel boxes.",
                "Racks are shelves of steel with a closed back, as loaded ones are nearly.",
            ],
            "frequency_ghz": 3.7,
            "bandwidth_mhz": 100,
            "subcarriers": 64,
            "room": {
                "outline_m": rectangle(0.0, 0.0, length, width),
                "height_m": height,
                "wall_material": "metal",
                "floor_material": "concrete",
                "ceiling_material": "metal",
            },
            "openings": [
                {
                    "name": "gate",
                    "edge": 1,
                    "at_m": round((width - gate) / 2.0, 2),
                    "width_m": gate,
                    "height_m": round(min(4.5, height - 0.4), 2),
                    "material": "metal",
                    "state": "open" if draws.chance(0.3, "gate_state") else "closed",
                    "swing_deg": 0.0,
                }
            ],
            "furniture": [*racks, *columns],
            "access_points": _access_points(int(sizes["access_points"]), (length, width), mounts),
            "receivers": [
                {
                    "name": "grid",
                    "kind": "grid",
                    "area_m": rectangle(_EDGE_M, _EDGE_M, length - _EDGE_M, width - _EDGE_M),
                    "pitch_m": _PITCH_M,
                    "height_m": 1.5,
                    "blocked": "leave_out",
                }
            ],
        },
        "body",
    )
    ground = rectangle(split + 1.5, 2.0, length - 3.0, width - 2.0)
    scene["furniture"] += _machines(scene, ground, sizes["machines_per_100m2"], draws)
    return Made(
        scene,
        {
            "quantities": [
                *usual_quantities(scene, mount_m=_MOUNT_M),
                quantity(
                    "gate",
                    "openings.gate.state",
                    "set",
                    {"kind": "choice", "values": ["open", "closed"], "weights": [0.3, 0.7]},
                    "1",
                    "The gate slides open for lorries.",
                ),
            ],
            "placements": [
                people(
                    6,
                    0.6,
                    rectangle(_EDGE_M, _EDGE_M, length - _EDGE_M, width - _EDGE_M),
                    "Who works there.",
                ),
                {
                    "name": "pallets",
                    "kind": "box",
                    "count": 8,
                    "present_probability": 0.5,
                    "area_m": rectangle(_EDGE_M, _EDGE_M, length - _EDGE_M, width - _EDGE_M),
                    "size_m": [1.2, 0.8, 1.3],
                    "material": "metal",
                    "description": "Crates left in the aisles.",
                },
            ],
        },
        (
            f"{len(racks)} racks in rows stand in the west, up to x = {split:g} m.",
            "Machines stand in the east at random places, a metre or more apart.",
            "A gate in the east wall slides open.",
            "Access points hang in two rows, a quarter of the width from the sides.",
        ),
    )


def _machines(
    scene: Part, area: list[list[float]], density_per_100m2: float, draws: Draws
) -> list[Part]:
    """Machines at places of a clutter, declared one by one.

    A clutter keeps clear of access points, so that its things would step aside for an access point
    that is drawn a little off its place, and onto a receiver; what is declared stays.
    """
    clutter = {
        "name": "machine",
        "kind": "machine",
        "area_m": area,
        "density_per_m2": round(density_per_100m2 / 100.0, 4),
        "material": "metal",
        "gap_m": 1.0,
        "seed": draws.whole(0, 2**31 - 1, "machines"),
    }
    trial = {**scene, "schema": SCHEMA, "name": "factory", "source": "a trial"}
    placed = validate({**trial, "clutter": [clutter]}, Scene, "template 'factory'")
    asked = number_of(placed.clutter[0])
    machines = [item for item in furnished(placed) if item.kind == "machine"]
    if len(machines) < asked:
        there = {item.name for item in machines}
        # A thing's place depends on those before it alone: these all fit.
        fitting = next(i for i in range(asked) if f"machine_{i}" not in there)
        square_m = float(shapely.Polygon(placed.clutter[0].area_m).area)
        most = floor(1e4 * (fitting + 0.4) / square_m) / 1e2
        why = f"only {len(machines)} of {asked} machines find a place"
        raise too_many("machines_per_100m2", most, density_per_100m2, why)
    return [
        {
            "name": f"machine_{number}",
            "kind": "machine",
            "centre_m": place(*item.centre_m),
            "yaw_deg": item.yaw_deg,
            "material": "metal",
        }
        for number, item in enumerate(machines, start=1)
    ]


def _racks(split: float, width: float, mounts: float, draws: Draws) -> list[Part]:
    """Rows of racks west of `split`, all below access points at the height `mounts` [m]."""
    length, depth = _RACK_M
    most = floor(10.0 * (mounts - _MOUNT_M - _OVER_RACK_M) + 1e-9) / 10.0
    high = min(most, draws.between(4.5, 7.0, "rack_height", digits=1))
    rows = int((width - 2.0 * _AISLE_M) / (depth + _AISLE_M))
    columns = int((split - 3.0) / (length + 0.05))
    made: list[Part] = []
    for row in range(rows):
        y = _AISLE_M + depth / 2.0 + row * (depth + _AISLE_M)
        # A row is as long as its goods need.
        filled = draws.whole(max(1, columns // 2), max(1, columns), "row", row)
        made += [
            {
                "name": f"rack_{row + 1}_{column + 1}",
                "kind": "shelf",
                "centre_m": place(2.0 + (length + 0.05) * (column + 0.5), y),
                "size_m": [length, depth, high],
                "material": "metal",
            }
            for column in range(filled)
        ]
    return made


def _access_points(count: int, size: tuple[float, float], height: float) -> list[Part]:
    length, width = size
    made: list[Part] = []
    for i in range(count):
        y = width * (0.25 if i % 2 == 0 else 0.75)
        made.append(
            {
                "name": f"AP{i + 1}",
                "position_m": place(length * (i + 0.5) / count, y, height),
                "power_dbm": 24,
                "pattern": "dipole",
            }
        )
    return made
