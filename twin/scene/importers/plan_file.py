"""Features of a GeoJSON file (RFC 7946), checked, in the file's own coordinates."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely

from twin.errors import Fault, Gathered, InputError, refuse

MAX_FILE_BYTES = 64 * 1024**2
MAX_FEATURES = 20_000
MAX_CORNERS = 200_000
MIN_EXTENT_M, MAX_EXTENT_M = 2.0, 5_000.0
_KINDS = ("Polygon", "MultiPolygon", "LineString", "MultiLineString")
_SHOWN = 20


@dataclass(frozen=True)
class Feature:
    """One feature: its shape, and what its properties say."""

    shape: shapely.Geometry
    is_line: bool
    is_outline: bool
    name: str
    categories: tuple[str, ...]
    material: str | None
    height_m: float | None
    is_open: bool


def read_features(path: Path) -> list[Feature]:
    """All features of a file.

    Raises:
        InputError: as `read_json`; no collection of features, too many, or a feature that is not
            as it should be.
    """
    where = str(path)
    content = read_json(path)
    listed = content.get("features") if isinstance(content, dict) else None
    if (
        not isinstance(content, dict)
        or not isinstance(listed, list)
        or content.get("type") != "FeatureCollection"
        or not listed
    ):
        expected = "a GeoJSON FeatureCollection with features"
        raise InputError([Fault(where, "", expected, str(content)[:60])])
    if len(listed) > MAX_FEATURES:
        expected = f"at most {MAX_FEATURES} features"
        raise InputError([Fault(where, "features", expected, str(len(listed)))])
    faults: list[Fault] = []
    features = []
    for i, item in enumerate(listed):
        with Gathered(faults):
            features.append(_feature(item, where, f"features.{i}"))
    if len(faults) > _SHOWN:
        more = Fault(where, "features", "no faults", f"{len(faults) - _SHOWN} more")
        faults = [*faults[:_SHOWN], more]
    refuse(faults)
    corners = sum(int(shapely.get_num_coordinates(feature.shape)) for feature in features)
    if corners > MAX_CORNERS:
        expected = f"at most {MAX_CORNERS} corners in all"
        raise InputError([Fault(where, "features", expected, str(corners))])
    return features


def read_floor_size(path: Path) -> tuple[float, float]:
    """Width and height [m] of a floor, from ``map_info`` of a JSON file.

    Raises:
        InputError: as `read_json`, or no such numbers.
    """
    content = read_json(path)
    info = content.get("map_info") if isinstance(content, dict) else None
    found = [info.get(key) if isinstance(info, dict) else None for key in ("width", "height")]
    faults = []
    size = []
    for key, value in zip(("width", "height"), found, strict=True):
        number = _number(value)
        if number is None or not MIN_EXTENT_M <= number <= MAX_EXTENT_M:
            expected = f"{MIN_EXTENT_M:g} to {MAX_EXTENT_M:g} m"
            faults.append(Fault(str(path), f"map_info.{key}", expected, str(value)[:80]))
        else:
            size.append(number)
    refuse(faults)
    return size[0], size[1]


def read_json(path: Path) -> object:
    """Content of a JSON file.

    Raises:
        InputError: as `read_bounded`, or no JSON.
    """
    content = read_bounded(path, MAX_FILE_BYTES)
    try:
        parsed: object = json.loads(content.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError([Fault(str(path), "", "valid JSON", str(error)[:200])]) from error
    return parsed


def read_bounded(path: Path, most: int) -> bytes:
    """Content of a file of at most so many bytes.

    Raises:
        InputError: not there, not readable, or larger.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InputError([Fault(str(path), "", "a readable file", str(error))]) from error
    if len(content) > most:
        expected = f"a file of at most {most / 1024**2:g} MiB"
        raise InputError([Fault(str(path), "", expected, "a larger one", "Cut out a part")])
    return content


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _number(value: object) -> float | None:
    """A finite number as such; whole numbers beyond what a float holds are none."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e300:
        return None
    return float(value) if math.isfinite(value) else None


def _feature(item: object, where: str, key: str) -> Feature:
    geometry = item.get("geometry") if isinstance(item, dict) else None
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if not isinstance(item, dict) or not isinstance(geometry, dict) or kind not in _KINDS:
        expected = "a geometry of type " + ", ".join(_KINDS)
        raise InputError([Fault(where, f"{key}.geometry", expected, str(kind)[:80])])
    given = item.get("properties")
    properties: dict[str, Any] = given if isinstance(given, dict) else {}
    faults: list[Fault] = []
    height, material = _number(properties.get("height")), properties.get("material")
    if properties.get("height") is not None and not (height and 0.05 <= height <= 60.0):
        found = str(properties["height"])[:80]
        faults.append(Fault(where, f"{key}.properties.height", "0.05 to 60 m", found))
    if material is not None and not isinstance(material, str):
        found = str(material)[:80]
        faults.append(Fault(where, f"{key}.properties.material", "a material's name", found))
    shape = None
    with Gathered(faults):
        shape = _shape(kind, geometry.get("coordinates"), where, f"{key}.geometry.coordinates")
    refuse(faults)
    category = properties.get("category")
    listed = category if isinstance(category, list) else [category]
    return Feature(
        shape,
        is_line="Line" in kind,
        is_outline=properties.get("outline") is True or category == "floor",
        name=str(properties.get("name") or ""),
        categories=tuple(str(part) for part in listed if part is not None),
        material=material,
        height_m=height,
        is_open=properties.get("open") is True,
    )


def _shape(kind: str, coordinates: object, where: str, key: str) -> shapely.Geometry:
    try:
        if kind == "LineString":
            return shapely.LineString(_points(coordinates))
        if kind == "MultiLineString":
            return shapely.MultiLineString([_points(part) for part in _list(coordinates)])
        rings = [coordinates] if kind == "Polygon" else _list(coordinates)
        parts = []
        for part in rings:
            shell, *holes = [_points(ring) for ring in _list(part)]
            parts.append(shapely.Polygon(shell, holes))
        if not parts:
            raise ValueError("no ring")
        return parts[0] if kind == "Polygon" else shapely.MultiPolygon(parts)
    except (ValueError, shapely.errors.ShapelyError) as error:
        expected = f"coordinates of a {kind}: finite numbers, rings of at least three corners"
        raise InputError([Fault(where, key, expected, str(error)[:120])]) from error


def _points(listed: object) -> list[tuple[float, float]]:
    points = []
    for point in _list(listed):
        numbers = [_number(value) for value in _list(point)[:2]]
        if len(numbers) < 2 or numbers[0] is None or numbers[1] is None:
            raise ValueError(f"{str(point)[:60]} is no position")
        points.append((numbers[0], numbers[1]))
    return points


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{str(value)[:60]} is no list")
    return value
