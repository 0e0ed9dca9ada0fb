"""Buildings and roads of an OpenStreetMap extract, in degrees, after a look at the file itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import ParseError

import numpy as np
import shapely

from twin.errors import Fault, InputError, refuse

MAX_FILE_BYTES = 200 * 1024**2
MAX_NODES = 2_000_000
MAX_BUILDINGS = 10_000
MAX_ROADS = 5_000
_MAX_EXTENT_DEG = 0.05
# Around the buildings, where no bounds are given: some 20 m.
_MARGIN_DEG = 2e-4

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class MapFeature:
    """A building or road: shape in degrees (longitude, latitude) and tags."""

    name: str
    shape: shapely.Geometry
    tags: dict[str, str]


@dataclass(frozen=True)
class StreetMap:
    """What an extract holds within its bounds.

    Args:
        bounds: west, south, east, north [deg].
        buildings: polygons with the tag ``building``, cut nowhere.
        roads: lines with the tag ``highway``, cut at the bounds.
    """

    bounds: Box
    buildings: tuple[MapFeature, ...]
    roads: tuple[MapFeature, ...]


def read_street_map(source: Path, bounds: Box | None) -> StreetMap:
    """Read an extract in OSM XML.

    The file is first scanned without building anything of it, so that entities, numbers beyond
    reason and bounds beside the map are refused; OSMnx then puts its ways and relations together.

    Args:
        source: file.
        bounds: west, south, east, north [deg]; buildings whose middle lies within are taken. All of
            the file where not given.

    Raises:
        InputError: no such file, too large, no OSM XML, or no buildings within the bounds.
    """
    where = str(source)
    faults = [] if bounds is None else bounds_faults(bounds, "bounds")
    faults += _file_faults(source)
    refuse(faults)
    extent = _scanned(source)
    if bounds is not None and not shapely.box(*bounds).intersects(shapely.box(*extent)):
        turned = shapely.box(bounds[1], bounds[0], bounds[3], bounds[2])
        swapped = turned.intersects(shapely.box(*extent))
        cure = "Longitude comes first: are they swapped?" if swapped else ""
        found = " ".join(f"{value:g}" for value in bounds)
        expected = f"bounds that meet the file's {' '.join(f'{value:.5f}' for value in extent)}"
        raise InputError([Fault(where, "bounds", expected, found, cure)])
    features = _features(source)
    buildings = [f for f in features if _is_building(f)]
    roads = [f for f in features if "highway" in f.tags and "Line" in f.shape.geom_type]
    if bounds is not None:
        box = shapely.box(*bounds)
        buildings = [f for f in buildings if box.contains(shapely.point_on_surface(f.shape))]
    if not buildings:
        inside = "" if bounds is None else " within the bounds"
        raise InputError([Fault(where, "", f"at least one building{inside}", "none")])
    taken: Box = (
        shapely.box(*shapely.total_bounds([f.shape for f in buildings])).buffer(_MARGIN_DEG).bounds
        if bounds is None
        else bounds
    )
    refuse(_size_faults(where, taken, len(buildings), len(roads)))
    cut = [
        MapFeature(road.name, part, road.tags)
        for road in roads
        for part in [shapely.intersection(road.shape, shapely.box(*taken))]
        if not part.is_empty
    ]
    return StreetMap(taken, tuple(buildings), tuple(cut))


def bounds_faults(bounds: Box, where: str) -> list[Fault]:
    """What is wrong with west, south, east, north in degrees."""
    west, south, east, north = bounds
    found = " ".join(f"{value:g}" for value in bounds)
    cure = "Longitude comes first: are they swapped?" if max(abs(south), abs(north)) > 90.0 else ""
    sound = -180.0 <= west < east <= 180.0 and -80.0 <= south < north <= 84.0
    if not sound:
        expected = "west < east within -180 to 180 and south < north within -80 to 84 degrees"
        return [Fault(where, "", expected, found, cure)]
    if max(east - west, north - south) > _MAX_EXTENT_DEG:
        expected = f"at most {_MAX_EXTENT_DEG:g} degrees each way"
        return [Fault(where, "", expected, found, "Take a smaller area")]
    return []


def _file_faults(source: Path) -> list[Fault]:
    try:
        size = source.stat().st_size if source.is_file() else None
    except OSError as error:
        return [Fault(str(source), "", "a readable file", str(error))]
    if size is None:
        return [Fault(str(source), "", "an OpenStreetMap extract (.osm)", "no such file")]
    if size > MAX_FILE_BYTES:
        expected = f"a file of at most {MAX_FILE_BYTES / 1024**2:g} MiB"
        cure = "Cut out a part, with osmium extract for instance"
        return [Fault(str(source), "", expected, f"{size / 1024**2:.0f} MiB", cure)]
    return []


def _scanned(source: Path) -> Box:
    """The box around all nodes [deg] of a file that is OSM XML and nothing worse."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    where = str(source)
    root = None
    place: list[tuple[float, float]] = []
    try:
        for event, element in iterparse(str(source), events=("start", "end"), forbid_dtd=True):
            if root is None:
                root = element
                if root.tag != "osm":
                    raise InputError([Fault(where, "", "OSM XML, its root `osm`", root.tag[:40])])
            elif event == "end" and element.tag in ("node", "way", "relation", "bounds"):
                if element.tag == "node" and element.get("lat") is not None:
                    place.append((float(element.get("lon", "nan")), float(element.get("lat"))))
                root.clear()  # What has been seen is not kept.
            if len(place) > MAX_NODES:
                cure = "Cut out a part"
                raise InputError([Fault(where, "", f"at most {MAX_NODES} nodes", "more", cure)])
    except DefusedXmlException as error:
        expected = "XML without a document type, entities or references to other files"
        raise InputError([Fault(where, "", expected, type(error).__name__)]) from error
    except ParseError as error:
        raise InputError([Fault(where, "", "valid XML", str(error)[:120])]) from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError([Fault(where, "", "numbers for lat and lon", str(error)[:120])]) from error
    if not place:
        raise InputError([Fault(where, "", "nodes with lat and lon", "none")])
    points = np.array(place)
    west, south = points.min(axis=0)
    east, north = points.max(axis=0)
    if not (-180.0 <= west <= east <= 180.0 and -90.0 <= south <= north <= 90.0):
        swapped = -180.0 <= south <= north <= 180.0 and -90.0 <= west <= east <= 90.0
        cure = "Are lat and lon swapped?" if swapped else ""
        found = f"lon {west:g} to {east:g}, lat {south:g} to {north:g}"
        expected = "longitude within 180 and latitude within 90 degrees"
        raise InputError([Fault(where, "", expected, found, cure)])
    return float(west), float(south), float(east), float(north)


def _features(source: Path) -> list[MapFeature]:
    from osmnx import features_from_xml
    from osmnx._errors import InsufficientResponseError

    try:
        table = features_from_xml(source, tags={"building": True, "highway": True})
    except InsufficientResponseError:
        return []
    except (KeyError, IndexError, ValueError, TypeError) as error:
        expected = "OSM XML whose ways and relations have their members"
        raise InputError([Fault(str(source), "", expected, f"{error!r}"[:120])]) from error
    features = []
    columns = [column for column in table.columns if column != "geometry"]
    for (element, number), row in table.iterrows():
        tags = {column: str(row[column]) for column in columns if isinstance(row[column], str)}
        features.append(MapFeature(f"{element}_{number}", row["geometry"], tags))
    return features


def _is_building(feature: MapFeature) -> bool:
    """Something with walls above the ground."""
    return (
        "Polygon" in feature.shape.geom_type
        and feature.tags.get("building", "no") not in ("no", "roof", "carport")
        and feature.tags.get("location") != "underground"
    )


def _size_faults(where: str, box: Box, buildings: int, roads: int) -> list[Fault]:
    faults = []
    if max(box[2] - box[0], box[3] - box[1]) > _MAX_EXTENT_DEG:
        expected = f"a map of at most {_MAX_EXTENT_DEG:g} degrees each way"
        found = f"{box[2] - box[0]:g} x {box[3] - box[1]:g} degrees"
        faults.append(Fault(where, "", expected, found, "Give bounds"))
    for count, most, what in (
        (buildings, MAX_BUILDINGS, "buildings"),
        (roads, MAX_ROADS, "roads"),
    ):
        if count > most:
            faults.append(Fault(where, "", f"at most {most} {what}", f"{count}", "Give bounds"))
    return faults
