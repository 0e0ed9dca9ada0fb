"""Places that the ray-tracing benchmark runs in: two of Sionna's outdoor scenes, three buildings.

Each has one transmitter and any number of receivers, drawn at random where one can stand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import shapely

from twin.errors import refuse
from twin.scene.check import check
from twin.scene.declaration import Scene
from twin.scene.obstacles import CLEARANCE_M, Mask, Points, covered
from twin.seeds import stream

if TYPE_CHECKING:
    from sionna import rt

SEED = 1
# Receivers are drawn and sifted by the block, so that few of them are the first of many.
_BLOCK = 4096
_OUTDOOR_HZ = 3.5e9
_OUTDOOR_HEIGHT_M = 1.5
_INDOOR_HEIGHT_M = (0.8, 1.8)
_DOOR_WIDTH_M, _DOOR_HEIGHT_M = 0.9, 2.1

Part = dict[str, object]


@dataclass(frozen=True)
class Place:
    """A scene to trace in.

    Args:
        name: as on the command line.
        built: geometry, materials and carrier; isotropic vertical antennas, no devices.
        transmitters: (1, 3) [m].
        receivers: how many and seed -> (n, 3) [m], clear of walls and objects; the first n of more.
    """

    name: str
    built: rt.Scene
    transmitters: Points
    receivers: Callable[[int, int], Points]


def place(name: str) -> Place:
    """One of `PLACES`, built."""
    return PLACES[name]()


def sionna_rt() -> ModuleType:
    """Sionna, on the backend that the chain engine uses; loaded late, since it is large."""
    from twin.trace import backend

    backend.prepare()
    from sionna import rt

    return rt


def digest(built: rt.Scene) -> str:
    """SHA-256 (hex) of all that paths depend on: carrier, triangles, materials."""
    found = hashlib.sha256(np.float64(built.frequency[0]).tobytes())
    for name in sorted(built.objects):
        mesh, material = built.objects[name].mi_mesh, built.objects[name].radio_material
        for values in (
            mesh.vertex_positions_buffer(),
            mesh.faces_buffer(),
            material.relative_permittivity,
            material.conductivity,
            material.thickness,
        ):
            found.update(np.array(values).tobytes())
    return found.hexdigest()


def munich() -> Place:
    """Sionna's model of central Munich; transmitter of its tutorials, on the edge of a roof."""
    return _outdoor("munich", (8.5, 21.0, 27.0), reach_m=120.0)


def simple_street_canyon_with_cars() -> Place:
    """Sionna's street canyon with cars; transmitter on a lamp post beside the street.

    The bottoms of its buildings lie in the floor and are of other materials. Which of the two a ray
    meets is a matter of rounding, and of chance in Sionna's solver, so they are taken away.
    """
    return _outdoor(
        "simple_street_canyon_with_cars", (20.0, 7.0, 5.0), reach_m=100.0, floor="floor"
    )


def office() -> Place:
    """An office floor: ten inner walls with doors, twenty pieces of furniture."""
    return _indoor(office_declaration())


def corridor() -> Place:
    """A corridor with doors of glass and metal between small rooms."""
    return _indoor(corridor_declaration())


def rotunda() -> Place:
    """A hall with twelve sides whose inner walls are neither parallel nor square to each other."""
    return _indoor(rotunda_declaration())


PLACES: dict[str, Callable[[], Place]] = {
    "munich": munich,
    "simple_street_canyon_with_cars": simple_street_canyon_with_cars,
    "office": office,
    "corridor": corridor,
    "rotunda": rotunda,
}


def _outdoor(
    name: str, transmitter: tuple[float, float, float], reach_m: float, floor: str = ""
) -> Place:
    rt = sionna_rt()
    built = rt.load_scene(getattr(rt.scene, name))
    if floor:
        _clear(built, floor)
    built.frequency = _OUTDOOR_HZ
    _isotropic(built)
    box = built.mi_scene.bbox()
    low = np.maximum([box.min.x, box.min.y], np.array(transmitter[:2]) - reach_m)
    high = np.minimum([box.max.x, box.max.y], np.array(transmitter[:2]) + reach_m)

    def draw(rng: np.random.Generator) -> Points:
        plan = rng.uniform(low, high, (_BLOCK, 2))
        return np.column_stack([plan, np.full(_BLOCK, _OUTDOOR_HEIGHT_M)])

    def free(points: Points) -> Mask:
        return ~_hits(built, points, 1.0) & _hits(built, points, -1.0)

    return Place(name, built, np.array([transmitter]), sieve(name, draw, free))


def _clear(built: rt.Scene, floor: str) -> None:
    """Take away what other objects have in the plane of a level floor."""
    import mitsuba as mi

    rt = sionna_rt()
    level = np.array(built.objects[floor].mi_mesh.vertex_positions_buffer())[2]
    cleared = []
    for name, thing in built.objects.items():
        vertices = np.array(thing.mi_mesh.vertex_positions_buffer()).reshape(-1, 3)
        faces = np.array(thing.mi_mesh.faces_buffer()).reshape(-1, 3)
        kept = faces[(vertices[faces][..., 2] != level).any(axis=1)]
        if name == floor or len(kept) == len(faces):
            continue
        props = mi.Properties()
        props["face_normals"] = True
        mesh = mi.Mesh(name, len(vertices), len(kept), props=props)
        parameters = mi.traverse(mesh)
        parameters["vertex_positions"] = mi.Float(vertices.ravel())
        parameters["faces"] = mi.UInt32(kept.astype(np.uint32).ravel())
        parameters.update()
        material = thing.radio_material
        cleared.append(
            rt.SceneObject(mi_mesh=mesh, name=f"{name}_cleared", radio_material=material)
        )
    built.edit(add=cleared, remove=[item.name.removesuffix("_cleared") for item in cleared])


def _hits(built: rt.Scene, points: Points, upward: float) -> Mask:
    """Whether a vertical ray from each point (n, 3) meets anything; (n,) bool."""
    import mitsuba as mi

    origins = mi.Point3f(*(mi.Float(axis.astype(np.float32)) for axis in points.T))
    return np.array(built.mi_scene.ray_test(mi.Ray3f(origins, mi.Vector3f(0.0, 0.0, upward))))


def _indoor(scene: Scene) -> Place:
    from twin.trace.build import build_scene

    refuse(check(scene, scene.name))
    built = build_scene(scene)
    _isotropic(built)
    (shell,) = scene.shells
    outline = shapely.Polygon(shell.shifted_outline())
    low, high = np.reshape(outline.bounds, (2, 2))

    def draw(rng: np.random.Generator) -> Points:
        plan = rng.uniform(low, high, (_BLOCK, 2))
        return np.column_stack([plan, rng.uniform(*_INDOOR_HEIGHT_M, _BLOCK)])

    def free(points: Points) -> Mask:
        inside = shapely.contains_xy(outline.buffer(-CLEARANCE_M), points[:, :2])
        for standing in covered(scene, points).values():
            inside &= ~standing
        return np.asarray(inside)

    transmitters = np.array([ap.position_m for ap in scene.access_points])
    return Place(scene.name, built, transmitters, sieve(scene.name, draw, free))


def _isotropic(built: rt.Scene) -> None:
    rt = sionna_rt()
    antenna = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
    built.tx_array = built.rx_array = antenna


def sieve(
    name: str, draw: Callable[[np.random.Generator], Points], free: Callable[[Points], Mask]
) -> Callable[[int, int], Points]:
    """`Place.receivers` from blocks of candidates and what sorts out those that cannot stand."""

    def receivers(count: int, seed: int) -> Points:
        rng = stream(seed, "receivers", name)
        kept: list[Points] = []
        while sum(map(len, kept)) < count:
            points = draw(rng)
            kept.append(points[free(points)])
        return np.concatenate(kept)[:count]

    return receivers


def office_declaration() -> Scene:
    """20 x 15 x 3 m; a corridor along the middle, three rooms on either side of it."""
    south, north = 6.5, 8.5
    walls = [
        *_with_door("south_1", (0.0, south), (7.0, south), 2.5, "plasterboard"),
        *_with_door("south_2", (7.0, south), (13.0, south), 1.2, "plasterboard"),
        *_with_door("south_3", (13.0, south), (20.0, south), 5.0, "plasterboard"),
        *_with_door("north_1", (0.0, north), (6.0, north), 4.6, "plasterboard"),
        *_with_door("north_2", (6.0, north), (14.0, north), 2.0, "glass"),
        *_with_door("north_3", (14.0, north), (20.0, north), 0.9, "plasterboard"),
        *_with_door("south_west", (7.0, 0.0), (7.0, south), 4.9, "concrete"),
        *_with_door("south_east", (13.0, 0.0), (13.0, south), 0.7, "plasterboard"),
        *_with_door("north_west", (6.0, north), (6.0, 15.0), 5.0, "concrete"),
        *_with_door("north_east", (14.0, north), (14.0, 15.0), 1.1, "plasterboard"),
    ]
    rng = stream(SEED, "office furniture")
    desks = [(2.0, 1.4), (2.0, 4.2), (5.0, 2.8), (9.0, 1.6), (11.0, 4.6)]
    desks += [(15.2, 1.8), (18.0, 3.6), (2.2, 12.8), (10.0, 12.0), (17.4, 12.6)]
    furniture = []
    for index, centre in enumerate(desks):
        shift, yaw = rng.uniform(-0.3, 0.3, 2), float(rng.choice([0.0, 90.0, rng.uniform(0, 180)]))
        furniture += _desk(f"desk_{index}", np.array(centre) + shift, yaw)
    stores = [
        ("metal", (0.5, 6.1), 0.0),
        ("metal", (12.4, 0.4), 0.0),
        ("metal", (19.5, 0.9), 90.0),
        ("metal", (6.5, 14.0), 90.0),
        ("metal", (15.0, 14.5), 0.0),
        ("wood", (7.65, 0.4), 0.0),
        ("wood", (16.5, 6.1), 0.0),
        ("wood", (0.5, 10.4), 90.0),
        ("wood", (12.0, 14.5), 0.0),
        ("wood", (19.4, 10.6), 90.0),
    ]
    for index, (material, centre, yaw) in enumerate(stores):
        size = (0.9, 0.45, 1.9) if material == "metal" else (1.2, 0.4, 1.6)
        item = _box(f"store_{index}", np.array(centre), size, material, yaw_deg=yaw)
        furniture.append(item)
    return _declared(
        "office",
        office.__doc__,
        outline=[(0.0, 0.0), (20.0, 0.0), (20.0, 15.0), (0.0, 15.0)],
        height_m=3.0,
        transmitter=(9.8, 4.1, 2.7),
        walls=walls,
        furniture=furniture,
    )


def corridor_declaration() -> Scene:
    """40 x 2.4 m and 2.8 m high, between rooms 5 m deep."""
    south, north, depth = 5.0, 7.4, 12.4
    leaves = ("metal", "glass", None)
    walls: list[Part] = []
    for side, y, far, width in (("south", south, 0.0, 5.0), ("north", north, depth, 4.0)):
        rooms = round(40.0 / width)
        for index in range(rooms):
            west, east = index * width, (index + 1) * width
            walls += _with_door(
                f"{side}_{index}",
                (west, y),
                (east, y),
                0.6 + 0.3 * (index % 5),
                "brick",
                leaf=leaves[index % 3],
            )
            if index:
                walls.append(
                    _wall(f"{side}_partition_{index}", (west, y), (west, far), "plasterboard")
                )
    walls += _with_door("fire_door", (22.0, south), (22.0, north), 0.75, "glass", leaf="glass")
    return _declared(
        "corridor",
        corridor.__doc__,
        outline=[(0.0, 0.0), (40.0, 0.0), (40.0, depth), (0.0, depth)],
        height_m=2.8,
        transmitter=(13.3, 6.1, 2.6),
        walls=walls,
        furniture=[
            _box("locker_1", np.array([6.9, 5.35]), (1.2, 0.5, 1.8), "metal"),
            _box("locker_2", np.array([30.6, 7.05]), (1.6, 0.5, 1.8), "metal"),
            _box("bench", np.array([17.6, 7.1]), (1.5, 0.4, 0.45), "wood"),
        ],
    )


def rotunda_declaration() -> Scene:
    """14 m in radius and 5 m high; no wall lies along an axis."""
    outer = _ring(12, 14.0, 7.0)
    inner = _ring(6, 7.0, 20.0)
    walls: list[Part] = []
    for index in (0, 1, 3, 4):
        material = "glass" if index % 2 else "plasterboard"
        start, end = inner[index], inner[(index + 1) % 6]
        walls += _with_door(f"ring_{index}", start, end, 2.2 + 0.7 * index, material)
    for index, (near, far) in enumerate(((0, 0), (1, 3), (2, 5), (4, 8), (5, 10))):
        # Ends at a corner of the hall, which is nowhere square to the ring.
        walls += _with_door(f"spoke_{index}", inner[near], outer[far], 2.0, "brick")
    return _declared(
        "rotunda",
        rotunda.__doc__,
        outline=outer,
        height_m=5.0,
        transmitter=(1.7, -2.3, 4.3),
        walls=walls,
        furniture=[
            _box("kiosk", np.array([-2.2, 1.6]), (2.4, 1.8, 2.5), "metal", yaw_deg=33.0),
            _box("counter", np.array([9.6, 4.4]), (3.0, 0.8, 1.1), "wood", yaw_deg=-21.0),
            _box("shelf", np.array([-8.9, -5.4]), (2.0, 0.5, 2.0), "wood", yaw_deg=71.0),
        ],
    )


def _declared(
    name: str,
    title: str | None,
    outline: list[tuple[float, float]],
    height_m: float,
    transmitter: tuple[float, float, float],
    walls: list[Part],
    furniture: list[Part],
) -> Scene:
    thickness_m = {
        "concrete": 0.2,
        "brick": 0.12,
        "plasterboard": 0.1,
        "ceiling_board": 0.02,
        "glass": 0.01,
        "wood": 0.02,
        "metal": 0.002,
    }
    x, y, _ = transmitter
    beside = [(x - 0.1, y - 0.1), (x + 0.1, y - 0.1), (x + 0.1, y + 0.1), (x - 0.1, y + 0.1)]
    return Scene.model_validate(
        {
            "schema": "fingertwin/scene@2",
            "name": name,
            "title": title,
            "source": "made up for the benchmark",
            "frequency_ghz": 5.25,
            "bandwidth_mhz": 80.0,
            "subcarriers": 64,
            "materials": {
                material: {"itu": material, "thickness_m": thickness}
                for material, thickness in thickness_m.items()
            },
            "room": {
                "outline_m": tuple(outline),
                "height_m": height_m,
                "wall_material": "concrete",
                "floor_material": "concrete",
                "ceiling_material": "ceiling_board",
            },
            "walls": tuple(walls),
            "furniture": tuple(furniture),
            "access_points": (
                {"name": "AP", "position_m": transmitter, "power_dbm": 20.0, "pattern": "iso"},
            ),
            # A declaration has a grid; the benchmark draws its receivers at random instead.
            "receivers": (
                {
                    "name": "grid",
                    "kind": "grid",
                    "area_m": tuple(beside),
                    "pitch_m": 0.1,
                    "height_m": 1.5,
                },
            ),
        }
    )


def _wall(
    name: str,
    start: tuple[float, float],
    end: tuple[float, float],
    material: str,
    **extent: float,
) -> Part:
    return {"name": name, "path_m": (start, end), "material": material, **extent}


def _with_door(
    name: str,
    start: tuple[float, float],
    end: tuple[float, float],
    distance_m: float,
    material: str,
    leaf: str | None = None,
) -> list[Part]:
    """A wall with a doorway that begins at a distance from its start; open where there is no leaf.

    The leaf lies in the plane of the wall.
    """
    first, last = np.array(start), np.array(end)
    along = (last - first) / np.linalg.norm(last - first)
    left = tuple((first + distance_m * along).tolist())
    right = tuple((first + (distance_m + _DOOR_WIDTH_M) * along).tolist())
    parts = [
        _wall(f"{name}_before", start, left, material),
        _wall(f"{name}_behind", right, end, material),
        {**_wall(f"{name}_lintel", left, right, material), "bottom_m": _DOOR_HEIGHT_M},
    ]
    if leaf is not None:
        parts.append({**_wall(f"{name}_leaf", left, right, leaf), "height_m": _DOOR_HEIGHT_M})
    return parts


def _box(
    name: str,
    centre: Points,
    size: tuple[float, float, float],
    material: str,
    bottom_m: float = 0.0,
    yaw_deg: float = 0.0,
) -> Part:
    return {
        "name": name,
        "centre_m": tuple(centre.tolist()),
        "size_m": size,
        "bottom_m": bottom_m,
        "yaw_deg": yaw_deg,
        "material": material,
    }


def _desk(name: str, centre: Points, yaw_deg: float) -> list[Part]:
    """A table top on two side panels, which end just below it: no two sheets in one plane."""
    yaw = np.deg2rad(yaw_deg)
    reach = 0.75 * np.array([np.cos(yaw), np.sin(yaw)])
    panel = (0.03, 0.7, 0.71)
    return [
        _box(f"{name}_top", centre, (1.6, 0.8, 0.03), "wood", 0.72, yaw_deg),
        _box(f"{name}_left", centre - reach, panel, "wood", 0.0, yaw_deg),
        _box(f"{name}_right", centre + reach, panel, "wood", 0.0, yaw_deg),
    ]


def _ring(sides: int, radius_m: float, turn_deg: float) -> list[tuple[float, float]]:
    """Corners of a regular polygon around the origin, counter-clockwise."""
    angle = np.deg2rad(turn_deg) + 2.0 * np.pi * np.arange(sides) / sides
    return [(float(x), float(y)) for x, y in radius_m * np.stack([np.cos(angle), np.sin(angle)], 1)]
