"""What can be wrong with a scene, all of it at once and before any work."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely

from twin.errors import Fault
from twin.scene.declaration import AccessPoint, Scene
from twin.scene.fields import Leaf, leaves
from twin.scene.materials import itu_fault, slab
from twin.scene.receivers import (
    CLEARANCE_M,
    Mask,
    Points,
    inside_furniture,
    inside_wall,
    receiver_points,
)

_TOUCH_M = 1e-3
_MAX_GRID_POINTS = 1_000_000
_SHOWN = 3


def check(scene: Scene, where: str) -> list[Fault]:
    """All faults of a declaration; empty where it is sound.

    Args:
        scene: the declaration.
        where: what the faults name as their place, such as the file.
    """
    out_of_range = {leaf.path: leaf for leaf in leaves(scene) if not _in_range(leaf)}
    faults = [_range_fault(leaf, where) for leaf in out_of_range.values()]
    if scene.bandwidth_mhz >= 1e3 * scene.frequency_ghz:
        faults.append(
            Fault(
                where,
                "bandwidth_mhz",
                f"less than the carrier ({scene.frequency_ghz * 1e3:g} MHz)",
                f"{scene.bandwidth_mhz:g} MHz",
            )
        )
    faults += _materials(scene, where)
    faults += _names(scene, where)
    outline_faults = _outline(scene, where)
    area_faults = _polygon(scene.receivers.area_m, where, "receivers.area_m", "a polygon")
    faults += outline_faults + area_faults
    if outline_faults:
        return faults
    # A part with a number out of range gets no second fault for where that number puts it.
    spoilt = {path[:2] for path in out_of_range}
    faults += _inner_walls(scene, where, spoilt)
    faults += _furniture(scene, where, spoilt)
    faults += _access_points(scene, where, spoilt)
    if not area_faults and not any(path[0] == "receivers" for path in spoilt):
        faults += _receivers(scene, where)
    return faults


def _in_range(leaf: Leaf) -> bool:
    if leaf.limits is None or not isinstance(leaf.value, int | float):
        return True
    return leaf.limits.low <= leaf.value <= leaf.limits.high


def _range_fault(leaf: Leaf, where: str) -> Fault:
    limits = leaf.limits
    if limits is None:
        raise AssertionError("only numbers with limits are out of range")
    unit = "" if limits.unit == "1" else f" {limits.unit}"
    # Not an error in itself, but the likeliest one.
    too_large = limits.unit == "m" and float(leaf.value) > limits.high
    return Fault(
        where,
        leaf.dotted,
        f"{limits.low:g} to {limits.high:g}{unit}",
        f"{leaf.value:g}" if isinstance(leaf.value, float) else str(leaf.value),
        "Lengths are in metres, is this one in cm or mm?" if too_large else "",
    )


def _materials(scene: Scene, where: str) -> Iterator[Fault]:
    for name, material in scene.materials.items():
        key = f"materials.{name}"
        if material.itu is not None:
            fault = itu_fault(material.itu, scene.frequency_hz, where, f"{key}.itu")
            if fault:
                yield fault
                continue
        permittivity = slab(material, scene.frequency_hz).relative_permittivity
        if permittivity < 1.0:
            yield Fault(
                where,
                key,
                "a relative permittivity, scale applied, of at least 1",
                f"{permittivity:.4g}",
            )
    room = scene.room
    used = {
        "room.wall_material": room.wall_material,
        "room.floor_material": room.floor_material,
        "room.ceiling_material": room.ceiling_material,
    }
    used |= {f"walls.{wall.name}.material": wall.material for wall in scene.walls}
    used |= {f"furniture.{item.name}.material": item.material for item in scene.furniture}
    for key, name in used.items():
        if name not in scene.materials:
            listed = ", ".join(sorted(scene.materials)) or "none"
            yield Fault(where, key, f"one of the scene's materials ({listed})", name)


def _names(scene: Scene, where: str) -> Iterator[Fault]:
    for key in ("walls", "furniture", "access_points"):
        names = [part.name for part in getattr(scene, key)]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Fault(
                where, key, "a name of its own for each", f"{name!r} {names.count(name)} times"
            )


def _outline(scene: Scene, where: str) -> list[Fault]:
    declared = np.asarray(scene.room.outline_m, dtype=np.float64)
    faults = _polygon(declared, where, "room.outline_m", "a polygon")
    if faults:
        return faults
    shifted = scene.room.shifted_outline()
    edges, moved = (np.roll(ring, -1, axis=0) - ring for ring in (declared, shifted))
    if (np.sum(edges * moved, axis=1) <= 0.0).any():
        # Two walls passed through each other; what is left may still be a polygon.
        return [
            Fault(
                where,
                "room.wall_offsets_m",
                "offsets that keep every edge of the outline",
                ", ".join(f"{offset:g}" for offset in scene.room.wall_offsets_m) + " m",
            )
        ]
    return _polygon(shifted, where, "room.wall_offsets_m", "offsets that keep the outline one")


def _polygon(corners: object, where: str, key: str, what: str) -> list[Fault]:
    ring = np.asarray(corners, dtype=np.float64)
    polygon = shapely.Polygon(ring)
    expected = f"{what} that does not cross or touch itself and has an area"
    if polygon.is_valid and polygon.area > _TOUCH_M:
        return []
    reason = (
        shapely.is_valid_reason(polygon) if not polygon.is_valid else f"area {polygon.area:g} m2"
    )
    return [Fault(where, key, expected, reason)]


def _inner_walls(scene: Scene, where: str, spoilt: set[tuple[str, ...]]) -> Iterator[Fault]:
    # Against the declared outline, not the shifted one: where the outer walls are uncertain, one
    # that comes closer simply cuts off what then sticks out.
    outline = shapely.Polygon(scene.room.outline_m).buffer(_TOUCH_M)
    for wall in scene.walls:
        key = f"walls.{wall.name}"
        if ("walls", wall.name) in spoilt:
            continue
        path = wall.shifted_path()
        steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
        if (steps < _TOUCH_M).any():
            yield Fault(
                where, f"{key}.path_m", "segments with a length", f"one of {steps.min():g} m"
            )
        elif not outline.covers(shapely.LineString(path)):
            yield Fault(where, f"{key}.path_m", "a path inside room.outline_m", _coordinates(path))
        if wall.height_m is not None:
            yield from _under_ceiling(scene, wall.bottom_m + wall.height_m, where, key)
        elif wall.bottom_m >= scene.room.height_m:
            yield from _under_ceiling(scene, wall.bottom_m, where, key)


def _furniture(scene: Scene, where: str, spoilt: set[tuple[str, ...]]) -> Iterator[Fault]:
    outline = shapely.Polygon(scene.room.outline_m).buffer(_TOUCH_M)
    for item in scene.furniture:
        key = f"furniture.{item.name}"
        if ("furniture", item.name) in spoilt:
            continue
        if not outline.covers(shapely.Polygon(item.footprint())):
            yield Fault(
                where,
                f"{key}.centre_m",
                "a box that stands wholly inside room.outline_m",
                f"corners {_coordinates(item.footprint())}",
            )
        yield from _under_ceiling(scene, item.top_m, where, key)


def _under_ceiling(scene: Scene, top: float, where: str, key: str) -> Iterator[Fault]:
    if top > scene.room.height_m + _TOUCH_M:
        yield Fault(
            where,
            key,
            f"an upper edge not above room.height_m ({scene.room.height_m:g} m)",
            f"{top:g} m",
        )


def _access_points(scene: Scene, where: str, spoilt: set[tuple[str, ...]]) -> Iterator[Fault]:
    for ap in scene.access_points:
        if ("access_points", ap.name) not in spoilt:
            yield from _access_point(scene, ap, where)


def _access_point(scene: Scene, ap: AccessPoint, where: str) -> Iterator[Fault]:
    key = f"access_points.{ap.name}.position_m"
    point = np.array([ap.position_m])
    if not _inside_room(scene, point)[0]:
        yield Fault(
            where,
            key,
            f"a place inside the room, {CLEARANCE_M:g} m clear of its walls, floor and ceiling "
            f"(height {scene.room.height_m:g} m)",
            _coordinates(point),
        )
    for obstacle in _obstacles(scene, point):
        yield Fault(
            where,
            key,
            f"a place at least {CLEARANCE_M:g} m clear of {obstacle}",
            _coordinates(point),
        )


def _receivers(scene: Scene, where: str) -> Iterator[Fault]:
    west, south, east, north = shapely.Polygon(scene.receivers.area_m).bounds
    steps = (east - west) * (north - south) / scene.receivers.pitch_m**2
    if steps > _MAX_GRID_POINTS:
        yield Fault(
            where,
            "receivers.pitch_m",
            f"a pitch that gives at most {_MAX_GRID_POINTS} points",
            f"{scene.receivers.pitch_m:g} m, about {steps:.2g} points",
        )
        return
    points = receiver_points(scene)
    if len(points) == 0:
        yield Fault(
            where,
            "receivers",
            "at least one grid point inside receivers.area_m",
            "none",
            "Points are multiples of pitch_m",
        )
    outside = ~_inside_room(scene, points)
    if outside.any():
        yield Fault(
            where,
            "receivers",
            f"receivers inside the room, {CLEARANCE_M:g} m clear of its walls, floor and ceiling",
            f"{_which(points, outside)} outside",
        )
    obstacles = _obstacles(scene, points)
    if obstacles:
        covered = np.logical_or.reduce(list(obstacles.values()))
        yield Fault(
            where,
            "receivers",
            f"no receiver in, or within {CLEARANCE_M:g} m of, furniture or inner walls",
            f"{_which(points, covered)} covered by {', '.join(obstacles)}",
            "Shrink receivers.area_m, or move what stands there",
        )


def _inside_room(scene: Scene, points: Points) -> Mask:
    outline = shapely.Polygon(scene.room.shifted_outline())
    plan = shapely.points(points[:, :2])
    clear = shapely.distance(outline.exterior, plan) >= CLEARANCE_M - 1e-9
    low, high = CLEARANCE_M - 1e-9, scene.room.height_m - CLEARANCE_M + 1e-9
    level = (points[:, 2] >= low) & (points[:, 2] <= high)
    return np.asarray(shapely.contains(outline, plan) & clear & level)


def _obstacles(scene: Scene, points: Points) -> dict[str, Mask]:
    """What covers at least one of the points (n, 3), and which (n,) it covers, by name."""
    height = scene.room.height_m
    hit = {f"furniture {i.name!r}": inside_furniture(i, points) for i in scene.furniture}
    hit |= {f"wall {w.name!r}": inside_wall(w, height, points) for w in scene.walls}
    return {name: mask for name, mask in hit.items() if mask.any()}


def _which(points: Points, mask: Mask) -> str:
    first = _coordinates(points[mask][:_SHOWN])
    return f"{int(mask.sum())} of {len(points)} (first {first})"


def _coordinates(points: Points) -> str:
    return " ".join("(" + ", ".join(f"{v:.3g}" for v in point) + ")" for point in points) + " m"
