"""A floor plan in metres: outline, holes, units, drawn walls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from twin.errors import Fault, Gathered, InputError, refuse
from twin.scene.importers.plan_file import Feature, read_features, read_floor_size
from twin.scene.importers.plan_frame import projected, stretched

_SHOWN = 5


@dataclass(frozen=True)
class Area:
    """A unit of the plan: its polygon [m], and what the file says of it."""

    polygon: shapely.Polygon
    name: str = ""
    categories: tuple[str, ...] = ()
    material: str | None = None
    height_m: float | None = None
    is_open: bool = False


@dataclass(frozen=True)
class Line:
    """A wall drawn as a line [m]."""

    path: shapely.LineString
    material: str | None = None
    height_m: float | None = None


@dataclass(frozen=True)
class Plan:
    """What a file holds.

    Args:
        outline: largest part of the floor, without its holes [m].
        holes: of that part.
        areas: units, as drawn: they may overlap, leave gaps, or stick out.
        lines: walls drawn as lines.
        notes: what was done to the file's shapes, in sentences.
    """

    outline: shapely.Polygon
    holes: tuple[shapely.Polygon, ...]
    areas: tuple[Area, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def read_plan(source: Path, *, floor_info: Path | None, crs: str) -> Plan:
    """Read a plan.

    The outline is the feature with the property ``outline: true`` or ``category: "floor"``, or else
    the one polygon that covers nearly all others. Further properties of a feature, all of them
    optional: ``name``, ``category`` (text or a list), ``height`` [m] and ``material`` (a name of
    ITU-R P.2040) of its walls, ``open: true`` for an area without any.

    Args:
        source: GeoJSON file.
        floor_info: JSON file with ``map_info`` of ``width`` and ``height`` [m]: longitude and
            latitude are then stretched, each linearly, so that the outline's bounding box becomes
            (0, 0) to (width, height), which is how the Indoor Location Competition 2.0 counts.
        crs: ``none`` for metres, or any name that pyproj knows; degrees are projected to the UTM
            zone they lie in. Without `floor_info` the outline's lower left corner becomes the
            origin.

    Raises:
        InputError: a file is missing, too large or not what it should be; lists every fault.
    """
    faults: list[Fault] = []
    features: list[Feature] = []
    size: tuple[float, float] | None = None
    with Gathered(faults):
        features = read_features(source)
    if floor_info is not None:
        with Gathered(faults):
            size = read_floor_size(floor_info)
    refuse(faults)
    where = str(source)
    number = _outline_number(features, where)
    box = features[number].shape.bounds
    shift, note = projected(box, crs, where) if size is None else stretched(box, size, where)
    shapes = list(shapely.transform(np.array([f.shape for f in features], dtype=object), shift))
    if not np.isfinite(shapely.get_coordinates(shapes)).all():
        expected = "coordinates that can be projected together"
        raise InputError([Fault(where, "features", expected, "some that cannot")])
    outline, holes, notes = _largest_part(shapes[number], where)
    areas: list[Area] = []
    lines: list[Line] = []
    repaired = 0
    for i, (feature, shape) in enumerate(zip(features, shapes, strict=True)):
        if feature.is_line:
            parts = shapely.get_parts(shape)
            lines += [Line(part, feature.material, feature.height_m) for part in parts]
        elif i != number:
            repaired += not shape.is_valid
            areas += [
                Area(
                    part,
                    feature.name,
                    feature.categories,
                    feature.material,
                    feature.height_m,
                    feature.is_open,
                )
                for part in polygons_of(shape)
            ]
    if repaired:
        notes.append(f"{repaired} polygons that cross themselves were repaired (make_valid).")
    return Plan(outline, holes, tuple(areas), tuple(lines), (note, *notes))


def polygons_of(shape: shapely.Geometry) -> list[shapely.Polygon]:
    """The polygons of a shape, repaired where it crosses itself; lines and points are dropped."""
    whole = shape if shape.is_valid else shapely.make_valid(shape)
    parts = shapely.get_parts(whole)
    if any(part.geom_type == "MultiPolygon" for part in parts):
        parts = shapely.get_parts(parts)
    return [part for part in parts if part.geom_type == "Polygon" and part.area > 0.0]


def _outline_number(features: Sequence[Feature], where: str) -> int:
    marked = [i for i, feature in enumerate(features) if feature.is_outline and not feature.is_line]
    if len(marked) == 1:
        return marked[0]
    cure = "Give the outline's feature the property `outline: true`, and no other"
    if marked:
        found = f"{len(marked)} (features {', '.join(map(str, marked[:_SHOWN]))})"
        raise InputError([Fault(where, "features", "one outline of the floor", found, cure)])
    boxes = [(shapely.box(*f.shape.bounds), i) for i, f in enumerate(features) if not f.is_line]
    whole = shapely.box(*shapely.total_bounds([feature.shape for feature in features]))
    covering = [i for box, i in boxes if box.area >= 0.9 * whole.area]
    if len(covering) == 1:
        return covering[0]
    found = f"none marked, and {len(covering)} polygons that cover the plan"
    raise InputError([Fault(where, "features", "one outline of the floor", found, cure)])


def _largest_part(
    shape: shapely.Geometry, where: str
) -> tuple[shapely.Polygon, tuple[shapely.Polygon, ...], list[str]]:
    notes = []
    if not shape.is_valid:
        notes.append("The outline touches or crosses itself and was repaired (make_valid).")
    parts = sorted(polygons_of(shape), key=lambda part: -part.area)
    if not parts:
        raise InputError([Fault(where, "features", "an outline with an area", "none")])
    if len(parts) > 1:
        lost = sum(part.area for part in parts[1:])
        notes.append(
            f"Of the outline's {len(parts)} parts only the largest is in the scene "
            f"({parts[0].area:.0f} m2); {lost:.0f} m2 and what stands there are left out."
        )
    largest = parts[0]
    holes = tuple(shapely.Polygon(ring) for ring in largest.interiors)
    if holes:
        notes.append(f"The outline's {len(holes)} holes became inner walls around nothing.")
    return shapely.Polygon(largest.exterior), holes, notes
