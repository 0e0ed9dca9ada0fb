"""From the units of a floor plan, as drawn, to walls that are one sheet each.

Drawn units overlap, leave gaps of some centimetres, come twice, or share edges with corners of
their own. `shapely.coverage_clean` makes one coverage of them, in which neighbours share exactly
the same edges; a wall is then an edge with different areas on its two sides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely

from twin.scene.importers.plan_edges import (
    GRID_M,
    Edge,
    Numbers,
    Segment,
    Sheet,
    Style,
    joined,
    segments,
    with_lines,
)
from twin.scene.importers.plan_features import Area, Plan, polygons_of

_FRAME_M = 5.0
# As many rectangles of one size, within so much, are taken for parking bays.
_BAYS, _BAY_M = 50, 0.5


@dataclass(frozen=True)
class Tolerances:
    """What counts as the same place [m].

    Args:
        snap_m: corners and edges closer than this become one; gaps narrower than this are closed.
        simplify_m: root of the area of a triangle that a corner may be worth and yet be left out.
        least_area_m2: smaller units are left out.
    """

    snap_m: float = 0.15
    simplify_m: float = 0.15
    least_area_m2: float = 1.0


@dataclass(frozen=True)
class Door:
    """Where a unit's longest front can be opened: sheet, segment, and the segment's length [m]."""

    unit: str
    sheet: int
    segment: int
    length_m: float


@dataclass(frozen=True)
class Divided:
    """A floor divided into units and open floor.

    Args:
        outline: of the floor (n, 2) [m], not closed.
        sheets: inner walls.
        doors: one for each unit that has a front.
        walkable: open floor without the areas that nobody walks on, such as voids.
        counts: how often something was done, by name.
    """

    outline: Numbers
    sheets: tuple[Sheet, ...]
    doors: tuple[Door, ...]
    walkable: shapely.Geometry
    counts: dict[str, int]


def divided(plan: Plan, tolerances: Tolerances) -> Divided:
    """Walls, doors and open floor of a plan; see the module."""
    outline = shapely.set_precision(plan.outline, GRID_M)
    units, counts = _units(plan, outline, tolerances)
    outline, units = _coverage(outline, units, tolerances)
    closed = [unit for unit in units if not unit.is_open]
    edges = _edges(outline, units)
    edges, counts["lines"] = with_lines(edges, plan.lines, outline, tolerances.snap_m)
    sheets, places = joined(edges)
    doors = _doors(edges, places, units)
    open_floor = outline.difference(shapely.union_all([unit.polygon for unit in units]))
    counts |= {"units": len(closed), "open": len(units) - len(closed)}
    ring = shapely.get_coordinates(shapely.simplify(outline, GRID_M).exterior)[:-1]
    return Divided(ring, sheets, doors, open_floor, counts)


def _units(
    plan: Plan, outline: shapely.Polygon, tolerances: Tolerances
) -> tuple[list[Area], dict[str, int]]:
    counts = {"twice": 0, "small": 0, "outside": 0, "bays": 0}
    holes = [Area(hole, "hole", ("hole",)) for hole in plan.holes]
    units: list[Area] = []
    known: set[bytes] = set()
    for area in [*plan.areas, *holes]:
        shape = shapely.set_precision(area.polygon, GRID_M)
        print_of = shapely.to_wkb(shapely.normalize(shape))
        if print_of in known:
            counts["twice"] += 1
            continue
        known.add(print_of)
        parts = polygons_of(shapely.intersection(shape, outline, grid_size=GRID_M))
        if not parts:
            counts["outside"] += 1
            continue
        large = [part for part in parts if part.area >= tolerances.least_area_m2]
        counts["small"] += not large
        units += [replace(area, polygon=part) for part in large]
    bays = _bays(units)
    counts["bays"] = len(bays)
    opened = [replace(unit, is_open=True) if i in bays else unit for i, unit in enumerate(units)]
    return opened, counts


def _bays(units: Sequence[Area]) -> set[int]:
    """Rectangles of which there are many of one size."""
    sides: dict[tuple[int, int], list[int]] = {}
    for i, unit in enumerate(units):
        box = shapely.oriented_envelope(unit.polygon)
        if box.geom_type == "Polygon" and unit.polygon.area > 0.97 * box.area:
            corners = shapely.get_coordinates(box)[:3]
            short, long = np.sort(np.linalg.norm(np.diff(corners, axis=0), axis=1)) / _BAY_M
            sides.setdefault((round(short), round(long)), []).append(i)
    return {i for members in sides.values() if len(members) >= _BAYS for i in members}


def _coverage(
    outline: shapely.Polygon, units: list[Area], tolerances: Tolerances
) -> tuple[shapely.Polygon, list[Area]]:
    """Outline and units that share their edges exactly."""
    # What lies around the floor is an area of the coverage, so that gaps to it are closed too.
    around = shapely.Polygon(outline.buffer(_FRAME_M, join_style="mitre").exterior)
    frame = around.difference(outline)
    snapped = shapely.coverage_clean(
        [frame, *(unit.polygon for unit in units)],
        snapping_distance=tolerances.snap_m,
        gap_width=tolerances.snap_m,
        merge_strategy="min_area",
    )
    # Walkways narrower than the tolerance that end blind are no gaps to the function above; being
    # areas of the coverage, they keep the corners of their neighbours where those are simplified.
    floor = _inside(snapped[0])
    walkways = polygons_of(floor.difference(shapely.coverage_union_all(snapped[1:])))
    simple = shapely.coverage_simplify(
        [snapped[0], *snapped[1:], *walkways], tolerances.simplify_m, simplify_boundary=True
    )
    cleaned = [
        replace(unit, polygon=part)
        for unit, shape in zip(units, simple[1 : len(units) + 1], strict=True)
        for part in polygons_of(shape)
    ]
    return _inside(simple[0]), cleaned


def _inside(frame: shapely.Geometry) -> shapely.Polygon:
    """What a frame goes around."""
    rings = [ring for part in polygons_of(frame) for ring in part.interiors]
    return max((shapely.Polygon(ring) for ring in rings), key=lambda inside: inside.area)


def _edges(outline: shapely.Polygon, units: Sequence[Area]) -> list[Edge]:
    """Edges between different areas; those of the outline are the room's own walls."""
    owners: dict[Segment, list[int]] = {}
    for number, unit in enumerate(units):
        for ends in segments([unit.polygon]):
            owners.setdefault(ends, []).append(number)
    boundary = set(segments([outline]))
    edges = []
    for ends, numbers in owners.items():
        walled = [number for number in numbers if not units[number].is_open]
        if ends in boundary or not walled:
            continue
        style: Style = "partition" if len(walled) > 1 else "front"
        given = [units[number] for number in walled]
        heights = [unit.height_m for unit in given]
        edges.append(
            Edge(
                ends,
                style,
                next((unit.material for unit in given if unit.material), None),
                None if None in heights else max(h for h in heights if h is not None),
                walled[0] if style == "front" else None,
            )
        )
    return edges


def _doors(
    edges: Sequence[Edge],
    places: Mapping[Segment, tuple[int, int]],
    units: Sequence[Area],
) -> tuple[Door, ...]:
    longest: dict[int, tuple[float, Edge]] = {}
    for edge in edges:
        if edge.unit is None or "hole" in units[edge.unit].categories:
            continue
        length = math.dist(*edge.ends)
        if edge.unit not in longest or length > longest[edge.unit][0] + GRID_M:
            longest[edge.unit] = (length, edge)
    return tuple(
        Door(units[unit].name, *places[edge.ends], length)
        for unit, (length, edge) in sorted(longest.items())
    )
