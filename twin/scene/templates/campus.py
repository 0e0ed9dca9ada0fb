"""Template of a campus: houses and roads of a map, base stations and parked vehicles of our own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import shapely

from twin.config import validate
from twin.scene.declaration import Scene
from twin.scene.importers.scene_folder import README_FILE, SCENE_FILE, write_scene_folder
from twin.scene.importers.street_map import import_street_map
from twin.scene.importers.street_options import StreetOptions
from twin.scene.motion import path_length_m, vehicle_place
from twin.scene.outdoors import Vehicle
from twin.scene.read import plain_content
from twin.scene.street_shapes import footprint
from twin.scene.templates.common import MATERIALS, Draws, Part, Size, quantity, usual_quantities
from twin.scene.templates.writing import TABLE_FILE, table_text, uncertain

NAME = "campus"
SUMMARY = "houses and roads of an OpenStreetMap extract, with parked vehicles"
SIZES = {
    "default_height_m": Size("m", 2.0, 300.0, (9.0, 9.0), "of houses that the map gives none for"),
    "vehicles": Size("1", 0, 200, (4, 12), "parked on the roads"),
}
_TRIES = 50
_APART_M = 1.0


def new_campus(
    source: Path, to: Path, *, name: str, seed: int, sizes: Mapping[str, float], draws: Draws
) -> Path:
    """Write a campus from a map; see `twin.scene.templates.new.new_scene`.

    Raises:
        InputError: as `twin.scene.importers.street_map.import_street_map`.
    """
    options = StreetOptions(default_height_m=sizes["default_height_m"])
    with TemporaryDirectory() as folder:
        made = import_street_map(source, Path(folder) / NAME, name=name, options=options)
        content: Any = plain_content(made / SCENE_FILE)
        readme = (made / README_FILE).read_text(encoding="utf-8")
    vehicles = _parked(validate(content, Scene, str(to)), int(sizes["vehicles"]), draws)
    table: dict[str, list[Part]] = {"quantities": usual_quantities(content, mount_m=0.2)}
    added: list[str] = []
    if vehicles:
        added = [f"{len(vehicles)} parked vehicles of metal are not of the map but of seed {seed}."]
        content["materials"].setdefault("metal", MATERIALS["metal"])
        content["vehicles"] = vehicles
        content["assumptions"] += added
        table["quantities"].append(
            quantity(
                "vehicles_present",
                "vehicles.*.present",
                "set",
                {"kind": "bernoulli", "probability": 0.7},
                "1",
                "Which places are taken.",
            )
        )
    lines = [readme.rstrip("\n"), *(f"- {line}" for line in added), "", *uncertain(table)]
    return write_scene_folder(to, content, "\n".join(lines), {TABLE_FILE: table_text(name, table)})


def _parked(scene: Scene, count: int, draws: Draws) -> list[Part]:
    """Vehicles at random places of the roads that nothing else takes, as many as find one."""
    taken = [footprint(building) for building in scene.buildings]
    taken += [shapely.Point(ap.position_m[:2]).buffer(_APART_M) for ap in scene.access_points]
    made: list[Part] = []
    for number in range(count if scene.roads else 0):
        for attempt in range(_TRIES):
            part = _candidate(scene, number, attempt, draws)
            plan = None if part is None else _plan(scene, part)
            if part is None or plan is None or any(plan.intersects(other) for other in taken):
                continue
            made.append(part)
            taken.append(plan.buffer(_APART_M))
            break
    return made


def _candidate(scene: Scene, number: int, attempt: int, draws: Draws) -> Part | None:
    key = ("vehicle", number, attempt)
    road = scene.roads[draws.whole(0, len(scene.roads) - 1, *key, "road")]
    kind = "van" if draws.chance(0.2, "vehicle", number, "van") else "car"
    length = path_length_m(road.path_m)
    if length < 10.0:
        return None
    return {
        "name": f"{kind}_{number + 1}",
        "kind": kind,
        "road": road.name,
        "lane": draws.whole(0, road.lanes - 1, *key, "lane"),
        "at_m": draws.between(4.0, length - 4.0, *key, "at"),
        "material": "metal",
    }


def _plan(scene: Scene, part: Part) -> shapely.Geometry:
    vehicle = Vehicle.model_validate(part)
    road = next(road for road in scene.roads if road.name == vehicle.road)
    centre, heading = vehicle_place(vehicle, road, 0.0)
    length, width, _ = vehicle.extent_m
    along = np.array([np.cos(heading), np.sin(heading)]) * length / 2.0
    across = np.array([-np.sin(heading), np.cos(heading)]) * width / 2.0
    corners = [centre + a * along + b * across for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return shapely.Polygon(np.stack(corners))
