"""A scene from a floor plan in GeoJSON, with nothing to do by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from twin.errors import Fault, refuse
from twin.scene.declaration import SCHEMA
from twin.scene.importers.placing import Numbers, fitting_grid, grid, spread
from twin.scene.importers.plan_features import Plan, read_plan
from twin.scene.importers.plan_frame import WGS84
from twin.scene.importers.plan_geometry import Divided, divided
from twin.scene.importers.plan_options import (
    AP_BELOW_CEILING_M,
    AREA_PER_AP_M2,
    MOST_APS,
    RECEIVER_HEIGHT_M,
    WALL_CLEARANCE_M,
    PlanOptions,
    assumptions,
)
from twin.scene.importers.scene_folder import folder_faults, readme, write_scene_folder
from twin.scene.materials import itu_fault

# Usual thickness [m] of a sheet of a material.
THICKNESS_M = {
    "brick": 0.12,
    "ceiling_board": 0.02,
    "chipboard": 0.03,
    "concrete": 0.2,
    "floorboard": 0.02,
    "glass": 0.012,
    "marble": 0.03,
    "metal": 0.002,
    "plasterboard": 0.1,
    "plywood": 0.02,
    "wood": 0.04,
}

_AP_CLEARANCE_M = 1.0
_AP_PITCH_M = 1.0
_JAMB_M = 0.2
_LEAST_DOOR_M = 0.7
_DEFAULTS = PlanOptions()


def import_floor_plan(
    source: Path,
    to: Path,
    *,
    name: str,
    title: str | None = None,
    credit: str | None = None,
    floor_info: Path | None = None,
    crs: str = WGS84,
    options: PlanOptions = _DEFAULTS,
) -> Path:
    """Write a scene's folder from a floor plan; see `read_plan` for what the file may say.

    The largest part of the outline becomes the room; edges of its units become inner walls, each
    one sheet however often it was drawn. Receivers stand on a grid on the open floor, access points
    are spread over it.

    Args:
        source: GeoJSON file.
        to: the folder; not there yet, or empty.
        name: of the scene.
        title: of the scene; made from its name where not given.
        credit: where the plan is from and on which terms; the file's name where not given.
        floor_info: the floor's size in metres; see `read_plan`.
        crs: the file's coordinates; see `read_plan`.
        options: what the plan does not say.

    Returns:
        The folder.

    Raises:
        InputError: a file or an option is not what it should be, the folder is not empty, or no
            scene that `twin.scene.check` accepts comes of it; lists every fault.
    """
    refuse([*folder_faults(to), *options.faults()])
    plan = read_plan(source, floor_info=floor_info, crs=crs)
    marked = [
        replace(
            area,
            is_open=area.is_open
            or not {area.name, *area.categories}.isdisjoint(options.open_names),
        )
        for area in plan.areas
    ]
    plan = replace(plan, areas=tuple(marked))
    refuse(_material_faults(plan, options, str(source)))
    floor = divided(plan, options.tolerances)
    aps, receivers, pitch = _places(floor, options)
    refuse(_place_faults(aps, receivers, str(source)))
    title = title or f"{name.replace('_', ' ').capitalize()}, imported from a floor plan"
    credit = credit or f"Floor plan {source.name} (GeoJSON)."
    openings = _openings(floor, options)
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "name": name,
        "title": title,
        "source": credit,
        "assumptions": assumptions(plan, floor, options, len(openings), len(aps), pitch),
        "frequency_ghz": options.frequency_ghz,
        "bandwidth_mhz": options.bandwidth_mhz,
        "subcarriers": 64,
        "materials": {
            material: {"itu": material, "thickness_m": THICKNESS_M[material]}
            for material in sorted(_materials(plan, options))
        },
        "room": {
            "outline_m": _plain(floor.outline),
            "height_m": options.height_m,
            "wall_material": options.outline_material,
            "floor_material": options.outline_material,
            "ceiling_material": options.outline_material,
        },
        "walls": _walls(floor, options),
        "openings": openings,
        "access_points": [
            {
                "name": f"AP{i + 1}",
                "position_m": [*point, round(options.height_m - AP_BELOW_CEILING_M, 3)],
                "power_dbm": 20,
                "pattern": "dipole",
            }
            for i, point in enumerate(_plain(aps))
        ],
        "receivers": [
            {
                "name": "open_floor",
                "kind": "points",
                "height_m": RECEIVER_HEIGHT_M,
                "blocked": "leave_out",
                "points_m": _plain(receivers),
            }
        ],
    }
    return write_scene_folder(to, content, readme(content, "floor plans"))


def _materials(plan: Plan, options: PlanOptions) -> set[str]:
    given = {area.material for area in plan.areas} | {line.material for line in plan.lines}
    return {material for material in given if material} | {
        options.outline_material,
        options.partition_material,
        options.front_material,
    }


def _material_faults(plan: Plan, options: PlanOptions, where: str) -> list[Fault]:
    faults = []
    for name in sorted(_materials(plan, options)):
        if name not in THICKNESS_M:
            expected = "one of " + ", ".join(sorted(THICKNESS_M))
            faults.append(Fault(where, "material", expected, name[:80]))
            continue
        fault = itu_fault(name, options.frequency_ghz * 1e9, where, "material")
        if fault:
            faults.append(fault)
    return faults


def _places(floor: Divided, options: PlanOptions) -> tuple[Numbers, Numbers, float]:
    """Access points (a, 2) and receivers (r, 2) on the open floor, and the pitch [m]."""
    walls = shapely.MultiLineString(
        [sheet.path for sheet in floor.sheets]
        + [np.concatenate([floor.outline, floor.outline[:1]])]
    )
    drawn = [s.path for s in floor.sheets if s.style == "drawn"]
    clear = floor.walkable.buffer(-WALL_CLEARANCE_M)
    if drawn:
        clear = clear.difference(shapely.MultiLineString(drawn).buffer(WALL_CLEARANCE_M))
    receivers, pitch = fitting_grid(clear, options.most_receivers)
    candidates = grid(clear.buffer(WALL_CLEARANCE_M - _AP_CLEARANCE_M), _AP_PITCH_M)
    if not len(candidates):
        candidates = receivers
    wanted = options.access_points or min(
        MOST_APS, max(1, round(floor.walkable.area / AREA_PER_AP_M2))
    )
    return spread(candidates, wanted, walls), receivers, pitch


def _place_faults(aps: Numbers, receivers: Numbers, where: str) -> list[Fault]:
    if len(aps) and len(receivers):
        return []
    expected = f"open floor more than {2 * WALL_CLEARANCE_M:g} m wide between the units"
    cure = "Mark areas without walls by `open: true`, or name them in `open_names`"
    return [Fault(where, "features", expected, "none", cure)]


def _walls(floor: Divided, options: PlanOptions) -> list[dict[str, Any]]:
    usual = {"front": options.front_material, "drawn": options.partition_material}
    walls = []
    for name, sheet in zip(_sheet_names(floor), floor.sheets, strict=True):
        wall: dict[str, Any] = {"name": name, "path_m": _plain(sheet.path)}
        if sheet.height_m is not None and sheet.height_m < options.height_m:
            wall["height_m"] = sheet.height_m
        wall["material"] = sheet.material or usual.get(sheet.style, options.partition_material)
        walls.append(wall)
    return walls


def _sheet_names(floor: Divided) -> list[str]:
    count: dict[str, int] = {}
    names = []
    for sheet in floor.sheets:
        count[sheet.style] = count.get(sheet.style, 0) + 1
        names.append(f"{sheet.style}_{count[sheet.style]}")
    return names


def _openings(floor: Divided, options: PlanOptions) -> list[dict[str, Any]]:
    if options.door_width_m == 0.0:
        return []
    names = _sheet_names(floor)
    openings: list[dict[str, Any]] = []
    for door in floor.doors:
        sheet = floor.sheets[door.sheet]
        width = round(min(options.door_width_m, door.length_m - 2.0 * _JAMB_M), 2)
        low = sheet.height_m is not None and sheet.height_m < options.door_height_m
        if width < min(_LEAST_DOOR_M, options.door_width_m) or low:
            continue
        openings.append(
            {
                "name": f"door_{len(openings) + 1}",
                "wall": names[door.sheet],
                "segment": door.segment,
                "at_m": round((door.length_m - width) / 2.0, 3),
                "width_m": width,
                "height_m": options.door_height_m,
                "material": options.front_material,
                "state": "open",
                "swing_deg": 0,
            }
        )
    return openings


def _plain(points: Numbers) -> list[list[float]]:
    return [[round(float(x), 3), round(float(y), 3)] for x, y in points]
