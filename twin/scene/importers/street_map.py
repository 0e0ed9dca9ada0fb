"""A scene from an OpenStreetMap extract, with nothing to do by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from twin.errors import Fault, refuse
from twin.scene.declaration import SCHEMA
from twin.scene.importers.placing import fitting_grid, spread
from twin.scene.importers.plan_frame import utm_zone
from twin.scene.importers.scene_folder import folder_faults, readme, write_scene_folder
from twin.scene.importers.street_file import Box, read_street_map
from twin.scene.importers.street_footprints import Block, blocks
from twin.scene.importers.street_options import (
    LAMP_HEIGHT_M,
    MAST_HEIGHT_M,
    RECEIVER_HEIGHT_M,
    THICKNESS_M,
    StreetOptions,
    assumptions,
)
from twin.scene.importers.street_roads import Carriageway, carriageways

Numbers = npt.NDArray[np.float64]

LICENCE = (
    "Map data from OpenStreetMap (https://www.openstreetmap.org/copyright), "
    "© OpenStreetMap contributors, Open Database License 1.0."
)
_MARGIN_M = 10.0
_CLEARANCE_M = 0.5
_BESIDE_ROAD_M = 1.0
_LAMP_PITCH_M = 10.0
_LOWEST_ROOF_M = 6.0
_DEFAULTS = StreetOptions()


def import_street_map(
    source: Path,
    to: Path,
    *,
    name: str,
    bounds: Box | None = None,
    title: str | None = None,
    options: StreetOptions = _DEFAULTS,
) -> Path:
    """Write a scene's folder from an OpenStreetMap extract.

    Buildings become blocks, streets on the ground carriageways, all on level ground. Base stations
    and receivers are not in a map; see `StreetOptions` for where they are put.

    Args:
        source: file in OSM XML (.osm).
        to: the folder; not there yet, or empty.
        name: of the scene.
        bounds: west, south, east, north [deg]; the whole file where not given.
        title: of the scene; made from its name where not given.
        options: what the map does not say.

    Returns:
        The folder.

    Raises:
        InputError: the file or an option is not what it should be, there are no buildings, the
            folder is not empty, or no scene that `twin.scene.check` accepts comes of it; lists
            every fault.
    """
    refuse([*folder_faults(to), *options.faults()])
    mapped = read_street_map(source, bounds)
    project, frame = _projection(mapped.bounds)
    built, counts = blocks(mapped.buildings, project, options, str(source))
    refuse(_no_blocks(built, options, str(source)))
    plans = shapely.union_all([block.footprint for block in built])
    ground = shapely.box(*_ground(mapped.bounds, project, plans))
    roads = carriageways(mapped.roads, project, plans, counts)
    stations = _stations(built, roads, plans, ground, options)
    refuse(_no_stations(stations, options, str(source)))
    outside = ground.buffer(-_CLEARANCE_M).difference(plans.buffer(_CLEARANCE_M))
    points, pitch = fitting_grid(outside, options.most_receivers)
    west, south, east, north = ground.bounds
    materials = sorted(
        {block.wall_material for block in built}
        | {options.roof_material, options.road_material, options.ground_material}
    )
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "name": name,
        "title": title or f"{name.replace('_', ' ').capitalize()}, imported from a street map",
        "source": f"{LICENCE} File {source.name}. {frame}",
        "assumptions": assumptions(options, counts, _kinds(stations), pitch),
        "frequency_ghz": options.frequency_ghz,
        "bandwidth_mhz": options.bandwidth_mhz,
        "subcarriers": 64,
        "materials": {
            material: {"itu": material, "thickness_m": THICKNESS_M[material]}
            for material in materials
        },
        "ground": {
            "area_m": [[west, south], [east, south], [east, north], [west, north]],
            "material": options.ground_material,
        },
        "buildings": [_building(block, options) for block in built],
        "roads": [
            {
                "name": road.name,
                "path_m": _plain(shapely.get_coordinates(road.path)),
                "width_m": road.width_m,
                "lanes": road.lanes,
                "material": options.road_material,
            }
            for road in roads
        ],
        "access_points": stations,
        "receivers": [
            {
                "name": "outdoors",
                "kind": "grid",
                "area_m": [
                    [west + 1.0, south + 1.0],
                    [east - 1.0, south + 1.0],
                    [east - 1.0, north - 1.0],
                    [west + 1.0, north - 1.0],
                ],
                "pitch_m": pitch,
                "height_m": RECEIVER_HEIGHT_M,
                "blocked": "leave_out",
            }
        ],
    }
    refuse(_no_receivers(points, str(source)))
    return write_scene_folder(to, content, readme(content, "street maps"))


def _projection(bounds: Box) -> tuple[Callable[[Numbers], Numbers], str]:
    """From degrees to metres from the middle of the bounds, and a sentence that says how."""
    import pyproj

    centre = ((bounds[0] + bounds[2]) / 2.0, (bounds[1] + bounds[3]) / 2.0)
    zone = utm_zone(*centre)
    transformer = pyproj.Transformer.from_crs("EPSG:4326", zone, always_xy=True)
    middle = transformer.transform(*centre)
    origin = np.round(middle)

    def project(points: Numbers) -> Numbers:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1])) - origin

    return project, f"Coordinates are those of {zone} less ({origin[0]:.0f}, {origin[1]:.0f}) m."


def _ground(bounds: Box, project: Callable[[Numbers], Numbers], plans: shapely.Geometry) -> Box:
    """A rectangle in whole metres around the bounds and all buildings [m]."""
    corners = project(np.array([[x, y] for x in bounds[::2] for y in bounds[1::2]]))
    both = np.concatenate([corners, np.array(plans.bounds).reshape(2, 2)])
    low = np.floor(both.min(axis=0) - _MARGIN_M)
    high = np.ceil(both.max(axis=0) + _MARGIN_M)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _stations(
    built: Sequence[Block],
    roads: Sequence[Carriageway],
    plans: shapely.Geometry,
    ground: shapely.Polygon,
    options: StreetOptions,
) -> list[dict[str, Any]]:
    """Base stations on flat roofs, the most central first, and on lamp posts."""
    roofs = [block for block in built if block.roof == "flat" and block.height_m >= _LOWEST_ROOF_M]
    edges, tops = [], []
    for block in roofs:
        corners = shapely.get_coordinates(block.footprint.buffer(-_CLEARANCE_M, join_style="mitre"))
        edges.append(corners)
        tops.append(np.full(len(corners), block.height_m))
    edge = np.concatenate([np.empty((0, 2)), *edges])
    top = np.concatenate([np.empty(0), *tops])
    area = ground.area
    wanted = options.roof_stations
    wanted = min(6, max(1, round(area / 90_000.0))) if wanted is None else wanted
    stations = []
    for i, (x, y) in enumerate(spread(edge, wanted, ground.exterior)):
        height = float(top[int(np.argmin(np.hypot(*(edge - [x, y]).T)))]) + MAST_HEIGHT_M
        stations.append(_station(f"roof_{i + 1}", x, y, height, 40))
    wanted = options.street_stations
    wanted = min(12, max(1, round(area / 40_000.0))) if wanted is None else wanted
    lamps = _lamps(roads, plans, ground)
    for i, (x, y) in enumerate(spread(lamps, wanted, ground.exterior)):
        stations.append(_station(f"street_{i + 1}", x, y, LAMP_HEIGHT_M, 30))
    return stations


def _station(name: str, x: float, y: float, height: float, power: float) -> dict[str, Any]:
    return {
        "name": name,
        "position_m": [round(float(x), 2), round(float(y), 2), round(height, 2)],
        "power_dbm": power,
        "pattern": "dipole",
    }


def _lamps(
    roads: Sequence[Carriageway], plans: shapely.Geometry, ground: shapely.Polygon
) -> Numbers:
    """Places (n, 2) [m] beside the roads, clear of buildings and of all carriageways."""
    lanes = shapely.union_all(
        [road.path.buffer(road.width_m / 2.0, cap_style="flat") for road in roads]
    )
    free = ground.buffer(-_CLEARANCE_M).difference(
        shapely.union_all([plans.buffer(_CLEARANCE_M), lanes.buffer(_CLEARANCE_M)])
    )
    places = [np.empty((0, 2))]
    for road in roads:
        for side in (-1.0, 1.0):
            kerb = road.path.offset_curve(side * (road.width_m / 2.0 + _BESIDE_ROAD_M))
            along = np.arange(_LAMP_PITCH_M / 2.0, kerb.length, _LAMP_PITCH_M)
            places.append(shapely.get_coordinates(shapely.line_interpolate_point(kerb, along)))
    candidates = np.concatenate(places)
    return np.asarray(candidates[shapely.contains_xy(free, candidates[:, 0], candidates[:, 1])])


def _building(block: Block, options: StreetOptions) -> dict[str, Any]:
    ring = shapely.get_coordinates(shapely.orient_polygons(block.footprint).exterior)[:-1]
    building: dict[str, Any] = {
        "name": block.name,
        "footprint_m": _plain(ring),
        "height_m": block.height_m,
    }
    if block.roof != "flat":
        building |= {"roof": block.roof, "roof_height_m": block.roof_height_m}
    return building | {
        "wall_material": block.wall_material,
        "roof_material": options.roof_material,
    }


def _kinds(stations: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(str(station["name"]).split("_")[0] for station in stations)


def _no_blocks(built: Sequence[Block], options: StreetOptions, where: str) -> list[Fault]:
    if built:
        return []
    expected = f"at least one building of {options.least_building_m2:g} m2"
    return [Fault(where, "", expected, "none")]


def _no_stations(
    stations: Sequence[dict[str, Any]], options: StreetOptions, where: str
) -> list[Fault]:
    if stations:
        return []
    expected = "a flat roof or a road for at least one base station"
    found = f"none ({options.roof_stations} on roofs, {options.street_stations} on roads wanted)"
    return [Fault(where, "", expected, found)]


def _no_receivers(points: Numbers, where: str) -> list[Fault]:
    return [] if len(points) else [Fault(where, "", "open ground between the buildings", "none")]


def _plain(points: Numbers) -> list[list[float]]:
    # Added to, -0.0 reads 0.0.
    return [[round(float(x), 2) + 0.0, round(float(y), 2) + 0.0] for x, y in points]
