"""From mapped buildings to blocks of which no two walls lie in one plane."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely

from twin.errors import Fault, refuse
from twin.scene.importers.plan_features import polygons_of
from twin.scene.importers.street_file import MapFeature
from twin.scene.importers.street_options import MATERIAL_TAGS, StreetOptions

Numbers = npt.NDArray[np.float64]
Roof = Literal["flat", "gabled", "pyramidal"]

_GRID_M = 0.01
_TALLEST_M, _MOST_LEVELS = 600.0, 150
_LEAST_EAVES_M = 2.0
_LENGTH = re.compile(r"^\s*(\d+(?:[.,]\d+)?)\s*(m|metres?|meters?|ft|')?\s*(?:(\d+)\s*\")?\s*$")
_FOOT_M, _INCH_M = 0.3048, 0.0254


@dataclass(frozen=True)
class Block:
    """A building to be: its footprint [m], height of the eaves [m], roof and walls."""

    name: str
    footprint: shapely.Polygon
    height_m: float
    roof: Roof
    roof_height_m: float
    wall_material: str

    @property
    def top_m(self) -> float:
        """Highest point above the ground [m]."""
        return self.height_m + self.roof_height_m


def blocks(
    features: Sequence[MapFeature],
    project: Callable[[Numbers], Numbers],
    options: StreetOptions,
    where: str,
) -> tuple[list[Block], Counter[str]]:
    """Blocks of a map's buildings, and how often something was done to them, by name.

    What a taller building covers is cut out of a lower one, so that nothing stands in anything
    else. Buildings around a courtyard are cut in two. Footprints that touch share their edges
    exactly (`shapely.coverage_clean`) before each is drawn in by `StreetOptions.inset_m`.

    Raises:
        InputError: a height that no building has; lists every one.
    """
    counts: Counter[str] = Counter()
    faults: list[Fault] = []
    drawn: list[Block] = []
    for feature in features:
        known = _block(feature, options, where, counts, faults)
        shape = shapely.transform(feature.shape, project)
        # OSMnx has repaired it: one closed way makes one polygon, unless it crosses itself.
        counts["crossed"] += feature.name.startswith("way") and len(shapely.get_parts(shape)) > 1
        parts = polygons_of(shapely.set_precision(shape, _GRID_M))
        drawn += [replace(known, footprint=part) for part in parts]
    refuse(faults)
    drawn = _uncovered(drawn, counts)
    whole = [replace(block, footprint=part) for block in drawn for part in _opened(block, counts)]
    return _numbered(_apart(whole, options, counts), counts), counts


def _block(
    feature: MapFeature,
    options: StreetOptions,
    where: str,
    counts: Counter[str],
    faults: list[Fault],
) -> Block:
    """A building's height, roof and walls as its tags tell; the footprint is still to come."""
    tags = feature.tags
    total = _length(tags, "height", feature.name, where, counts, faults)
    levels = _levels(tags, feature.name, where, counts, faults)
    if total is None:
        counts["by levels" if levels else "no height"] += 1
        total = levels * options.level_height_m if levels else options.default_height_m
    rise = _length(tags, "roof:height", feature.name, where, counts, faults) or 0.0
    named = tags.get("roof:shape", "flat")
    roof: Roof = "flat"
    if named in ("gabled", "pyramidal") and 0.0 < rise <= total - _LEAST_EAVES_M:
        roof = "gabled" if named == "gabled" else "pyramidal"
    counts["roofs"] += named != "flat" and roof == "flat"
    tag = tags.get("building:material")
    material = MATERIAL_TAGS.get(tag or "", options.wall_material)
    if not options.has(material):
        material = options.wall_material
    counts["materials"] += tag is not None and MATERIAL_TAGS.get(tag) != material
    counts["no material"] += tag is None
    eaves = total if roof == "flat" else total - rise
    return Block(
        feature.name,
        shapely.Polygon(),
        round(eaves, 2),
        roof,
        0.0 if roof == "flat" else round(rise, 2),
        material,
    )


def _length(
    tags: dict[str, str],
    key: str,
    name: str,
    where: str,
    counts: Counter[str],
    faults: list[Fault],
) -> float | None:
    """A length [m]: 12, 12.5 m, 40 ft, or feet and inches; None where there is none to be read."""
    text = tags.get(key)
    if text is None:
        return None
    match = _LENGTH.match(text)
    value = float(match[1].replace(",", ".")) if match else None
    if match is None or value is None:
        # A minus sign, or a number with an exponent, is readable all the same, and absurd.
        try:
            value = float(text)
        except ValueError:
            counts["unreadable"] += 1
            return None
    elif match[2] in ("ft", "'"):
        value = value * _FOOT_M + float(match[3] or 0.0) * _INCH_M
    if key == "height" and value == 0.0:
        counts["unreadable"] += 1
        return None
    lowest = 0.0 if key == "roof:height" else 0.5
    if not lowest <= value <= _TALLEST_M:
        cure = "Correct it in the map's file; heights are in metres"
        expected = f"{lowest:g} to {_TALLEST_M:g} m"
        faults.append(Fault(where, f"{name}.{key}", expected, text[:40], cure))
        return None
    return value


def _levels(
    tags: dict[str, str], name: str, where: str, counts: Counter[str], faults: list[Fault]
) -> float | None:
    text = tags.get("building:levels")
    if text is None:
        return None
    try:
        levels = float(text.replace(",", "."))
    except ValueError:
        counts["unreadable"] += 1
        return None
    if not 0.0 <= levels <= _MOST_LEVELS:
        expected = f"0 to {_MOST_LEVELS} levels"
        faults.append(Fault(where, f"{name}.building:levels", expected, text[:40]))
        return None
    return levels or None


def _uncovered(drawn: list[Block], counts: Counter[str]) -> list[Block]:
    """Blocks without what a taller one covers; of equals, the first keeps it."""
    order = sorted(range(len(drawn)), key=lambda i: (-drawn[i].top_m, i))
    rank = {number: place for place, number in enumerate(order)}
    plans = np.array([block.footprint for block in drawn], dtype=object)
    tree = shapely.STRtree(plans)
    left = []
    for i, block in enumerate(drawn):
        above = [j for j in tree.query(plans[i], predicate="intersects") if rank[j] < rank[i]]
        rest = shapely.difference(
            block.footprint, shapely.union_all(plans[above]), grid_size=_GRID_M
        )
        counts["overlapping"] += block.footprint.area - rest.area > 1.0
        left += [replace(block, footprint=part) for part in polygons_of(rest)]
    return left


def _opened(block: Block, counts: Counter[str]) -> list[shapely.Polygon]:
    """A footprint in parts without holes: cut across the middle of each hole."""
    counts["holes"] += len(block.footprint.interiors)
    whole, todo = [], [block.footprint]
    while todo:
        part = todo.pop(0)
        if not part.interiors:
            whole.append(part)
            continue
        hole = max((shapely.Polygon(ring) for ring in part.interiors), key=lambda p: p.area)
        middle = hole.representative_point().x
        west, south, east, north = part.bounds
        for side in (
            shapely.box(west - 1.0, south - 1.0, middle, north + 1.0),
            shapely.box(middle, south - 1.0, east + 1.0, north + 1.0),
        ):
            todo += polygons_of(shapely.intersection(part, side, grid_size=_GRID_M))
    return whole


def _apart(whole: list[Block], options: StreetOptions, counts: Counter[str]) -> list[Block]:
    """Blocks with fewer corners, those that touch another drawn in."""
    if not whole:
        return []
    clean = shapely.coverage_clean(
        [block.footprint for block in whole],
        snapping_distance=options.snap_m,
        merge_strategy="max_area",
    )
    simple = shapely.coverage_simplify(clean, options.simplify_m)
    tree = shapely.STRtree(simple)
    apart = []
    for i, (block, shape) in enumerate(zip(whole, simple, strict=True)):
        near = tree.query(shape, predicate="dwithin", distance=options.inset_m)
        touching = bool((near != i).any())
        counts["touching"] += touching
        inset = options.inset_m if touching else 0.0
        drawn_in = shape.buffer(-inset, join_style="mitre", mitre_limit=2.0) if inset else shape
        for part in polygons_of(drawn_in):
            if part.area < options.least_building_m2:
                counts["small"] += 1
                continue
            ring = np.round(shapely.get_coordinates(part.exterior), 2)
            apart += [
                _roofed(replace(block, footprint=left), counts)
                for left in polygons_of(shapely.Polygon(ring))
                if left.area >= options.least_building_m2
            ]
    return apart


def _roofed(block: Block, counts: Counter[str]) -> Block:
    """The block, under a flat roof of the same top where its corners allow no other."""
    plan = block.footprint
    convex = plan.convex_hull.area - plan.area < 1e-6 * plan.area
    corners = len(plan.exterior.coords) - 1
    if block.roof == "flat" or (convex and (block.roof == "pyramidal" or corners == 4)):
        return block
    counts["roofs"] += 1
    return replace(block, height_m=block.top_m, roof="flat", roof_height_m=0.0)


def _numbered(apart: list[Block], counts: Counter[str]) -> list[Block]:
    """Blocks with names of their own."""
    parts = Counter(block.name for block in apart)
    seen: Counter[str] = Counter()
    named = []
    for block in apart:
        seen[block.name] += 1
        several = parts[block.name] > 1
        name = f"{block.name}_{seen[block.name]}" if several else block.name
        named.append(replace(block, name=name))
    counts["blocks"] = len(named)
    return named
