"""From mapped streets to carriageways beside the buildings."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.importers.street_file import MapFeature

Numbers = npt.NDArray[np.float64]

# Lanes in both directions together, and width of one [m], after the class of a street.
CLASSES: dict[str, tuple[int, float]] = {
    "motorway": (2, 3.75),
    "trunk": (2, 3.5),
    "primary": (2, 3.5),
    "secondary": (2, 3.25),
    "tertiary": (2, 3.25),
    "unclassified": (2, 3.0),
    "residential": (2, 2.75),
    "living_street": (1, 4.0),
    "service": (1, 3.5),
    "pedestrian": (1, 5.0),
}
_NARROWEST_M, _WIDEST_M = 2.0, 60.0
_BESIDE_M = 0.1
_SIMPLIFY_M = 0.2
_SHORTEST_M = 2.0
# A road keeps its width where at least so much of it stays.
_MOST_OF_IT = 0.7
_NUMBER = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*m?\s*$")


@dataclass(frozen=True)
class Carriageway:
    """A road to be: its middle line [m], width [m] and lanes."""

    name: str
    path: shapely.LineString
    width_m: float
    lanes: int


def carriageways(
    features: Sequence[MapFeature],
    project: Callable[[Numbers], Numbers],
    buildings: shapely.Geometry,
    counts: Counter[str],
) -> list[Carriageway]:
    """Roads of a map that lie on the ground, none of them under a building.

    Args:
        features: lines with the tag ``highway``.
        project: from degrees to metres.
        buildings: all footprints [m].
        counts: gets how often something was done, by name.
    """
    made = []
    shapely.prepare(buildings)
    for feature in features:
        kind = feature.tags.get("highway", "").removesuffix("_link")
        if kind not in CLASSES:
            counts["other ways"] += 1
            continue
        if _off_ground(feature.tags):
            counts["off ground"] += 1
            continue
        lanes, width = _size(feature.tags, kind)
        line = shapely.transform(feature.shape, project).simplify(_SIMPLIFY_M)
        free = _beside(line, width, buildings)
        counts["roads cut"] += bool(line.intersects(buildings))
        parts = [part for part in _lines(free) if part.length >= _SHORTEST_M]
        for i, part in enumerate(parts):
            room = 2.0 * (shapely.distance(part, buildings) - _BESIDE_M)
            counts["narrowed"] += room < width
            made.append(
                Carriageway(
                    feature.name if len(parts) == 1 else f"{feature.name}_{i + 1}",
                    shapely.LineString(np.round(shapely.get_coordinates(part), 2)),
                    round(math.floor(100.0 * min(width, room) + 1e-6) / 100.0, 2),
                    lanes,
                )
            )
    counts["roads"] = len(made)
    return made


def _beside(
    line: shapely.LineString, width: float, buildings: shapely.Geometry
) -> shapely.Geometry:
    """A line without what lies too near to buildings for its width, or else for the narrowest."""
    near = buildings.intersection(line.buffer(width))
    clear = line.difference(near.buffer(width / 2.0 + _BESIDE_M))
    if clear.length >= _MOST_OF_IT * line.difference(near).length:
        return clear
    return line.difference(near.buffer(_NARROWEST_M / 2.0 + 2.0 * _BESIDE_M))


def _off_ground(tags: dict[str, str]) -> bool:
    """On a bridge, in a tunnel, or an area rather than a line."""
    return (
        tags.get("bridge", "no") != "no"
        or tags.get("tunnel", "no") != "no"
        or tags.get("area") == "yes"
    )


def _size(tags: dict[str, str], kind: str) -> tuple[int, float]:
    usual, lane = CLASSES[kind]
    if tags.get("oneway") == "yes" and kind not in ("motorway", "trunk"):
        usual = 1
    match = _NUMBER.match(tags.get("lanes", ""))
    lanes = min(max(round(float(match[1])), 1), 20) if match else usual
    match = _NUMBER.match(tags.get("width", ""))
    width = float(match[1]) if match else lanes * lane
    return lanes, min(max(width, _NARROWEST_M), _WIDEST_M)


def _lines(shape: shapely.Geometry) -> list[shapely.LineString]:
    return [part for part in shapely.get_parts(shape) if part.geom_type == "LineString"]
