"""Edges of a floor plan: those between areas, and drawn lines; joined to sheets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.importers.plan_features import Line

GRID_M = 1e-3

Style = Literal["front", "partition", "drawn"]
Numbers = npt.NDArray[np.float64]
Segment = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Sheet:
    """A wall: its path (n, 2) [m], and what it divides.

    Args:
        style: ``front`` towards open floor, ``partition`` between units, ``drawn`` from a line.
    """

    path: Numbers
    style: Style
    material: str | None
    height_m: float | None


@dataclass(frozen=True)
class Edge:
    """A straight piece of a wall, and the unit (by number) whose front it is."""

    ends: Segment
    style: Style
    material: str | None
    height_m: float | None
    unit: int | None = None

    @property
    def make(self) -> tuple[str, str, float]:
        """What has to agree in one sheet."""
        return self.style, self.material or "", self.height_m or math.inf


def segments(shapes: Iterable[shapely.Geometry]) -> list[Segment]:
    """Segments of rings and paths, the smaller end first, to a millimetre."""
    found = []
    for shape in shapes:
        for ring in shapely.get_parts(shapely.get_rings(shape) if shape.area else [shape]):
            points = [(float(x), float(y)) for x, y in np.round(shapely.get_coordinates(ring), 3)]
            found += [(a, b) if a < b else (b, a) for a, b in pairwise(points) if a != b]
    return found


def with_lines(
    edges: Sequence[Edge], lines: Sequence[Line], outline: shapely.Polygon, snap: float
) -> tuple[list[Edge], int]:
    """Edges of units and drawn lines, cut where they meet; what coincides is one.

    Args:
        edges: of the units.
        lines: as drawn.
        outline: of the floor; what lies outside or along it is dropped.
        snap: corners closer to something than this are moved onto it [m].

    Returns:
        All edges, and how many lines are left in them.
    """
    if not lines:
        return list(edges), 0
    given = [shapely.LineString(edge.ends) for edge in edges]
    fixed = [*(shapely.LineString(ends) for ends in segments([outline])), *given]
    drawn = [line.path for line in lines]
    for _ in range(2):  # The second time, to where the first has moved the other lines.
        drawn = _pulled(drawn, fixed, snap)
    noded = shapely.union_all([*given, *drawn], grid_size=GRID_M)
    of_edges, of_lines = shapely.STRtree(given), shapely.STRtree(drawn)
    result = []
    kept: set[int] = set()
    for ends in segments(shapely.get_parts(noded)):
        places = shapely.points([ends[0], np.mean(ends, axis=0), ends[1]])
        near = of_edges.query_nearest(places[1], max_distance=2.0 * GRID_M) if given else []
        if len(near):
            result.append(replace(edges[int(min(near))], ends=ends))
            continue
        along = (shapely.distance(outline.exterior, places) <= snap / 2.0).all()
        if along or not outline.contains(places[1]):
            continue
        number = int(min(of_lines.query_nearest(places[1])))
        kept.add(number)
        result.append(Edge(ends, "drawn", lines[number].material, lines[number].height_m))
    return result, len(kept)


def _pulled(
    drawn: Sequence[shapely.LineString], fixed: Sequence[shapely.LineString], snap: float
) -> list[shapely.LineString]:
    """Lines whose corners lie on what they nearly touch: what is fixed, or an earlier line."""
    pieces = [segments([path]) for path in drawn]
    targets = [*fixed, *(shapely.LineString(ends) for part in pieces for ends in part)]
    owner = np.concatenate(
        [np.full(len(fixed), -1), np.repeat(np.arange(len(drawn)), [len(part) for part in pieces])]
    )
    tree = shapely.STRtree(targets)
    pulled = []
    for number, path in enumerate(drawn):
        corners = []
        for corner in shapely.points(shapely.get_coordinates(path)):
            near = tree.query(corner, predicate="dwithin", distance=snap)
            near = near[owner[near] < number]
            corners.append(_onto(corner, targets[int(min(near))], snap) if len(near) else corner)
        pulled.append(shapely.LineString(corners))
    return pulled


def _onto(corner: shapely.Point, target: shapely.LineString, snap: float) -> shapely.Point:
    """The target's end nearest to a corner, or else the nearest place on it."""
    ends = shapely.points(shapely.get_coordinates(target))
    away = shapely.distance(ends, corner)
    if away.min() <= snap:
        return ends[int(np.argmin(away))]
    return target.interpolate(target.project(corner))


def joined(
    edges: Sequence[Edge],
) -> tuple[tuple[Sheet, ...], dict[Segment, tuple[int, int]]]:
    """Edges of one make joined to paths, and where each segment went."""
    made: dict[tuple[str, str, float], list[Edge]] = {}
    for edge in edges:
        made.setdefault(edge.make, []).append(edge)
    sheets: list[Sheet] = []
    places = {}
    for make in sorted(made):
        first = made[make][0]
        joined = shapely.line_merge(
            shapely.MultiLineString([edge.ends for edge in sorted(made[make], key=_ends)])
        )
        paths = [np.round(shapely.get_coordinates(p), 3) for p in shapely.get_parts(joined)]
        for path in sorted((_from_smaller_end(path) for path in paths), key=lambda p: p.tolist()):
            for i, ends in enumerate(segments([shapely.LineString(path)])):
                places[ends] = (len(sheets), i)
            sheets.append(Sheet(path, first.style, first.material, first.height_m))
    return tuple(sheets), places


def _ends(edge: Edge) -> Segment:
    return edge.ends


def _from_smaller_end(path: Numbers) -> Numbers:
    if path[0].tolist() == path[-1].tolist():
        start = min(range(len(path) - 1), key=lambda i: path[i].tolist())
        ring = np.roll(path[:-1], -start, axis=0)
        if ring[-1].tolist() < ring[1].tolist():
            ring = np.roll(ring[::-1], 1, axis=0)
        return np.concatenate([ring, ring[:1]])
    return path if path[0].tolist() < path[-1].tolist() else path[::-1]
