"""All things that stand in a scene: those declared one by one, and those of its clutter."""

from __future__ import annotations

import numpy as np
import shapely

from twin.scene.contents import Clutter, Furniture
from twin.scene.declaration import Scene
from twin.scene.openings import hole_of
from twin.scene.point_plans import declared_points
from twin.scene.radio import RandomArea
from twin.scene.surfaces import polygons
from twin.seeds import stream

# Places tried for one thing before it counts as one that does not fit.
TRIES = 200
_FROM_WALLS_M = 0.05
_FROM_ACCESS_POINTS_M = 0.3
_PASSAGE_M = 0.6
# Kinds that stand at right angles to the axes of the plan.
_SQUARE = frozenset({"desk", "table", "shelf", "cabinet", "machine", "pillar"})


def furnished(scene: Scene) -> tuple[Furniture, ...]:
    """Declared furniture and clutter that is present; clutter is named ``<clutter>_<number>``.

    A thing of the clutter has a random stream of its own, named by scene, clutter, its `seed` and
    the thing's number, so one that has to give way moves no other.
    """
    declared = tuple(item for item in scene.furniture if item.present)
    if not scene.clutter:
        return declared
    placed, _ = _placed(scene)
    return declared + placed


def unplaced(scene: Scene) -> dict[str, int]:
    """How many things of each clutter found no place; only clutter that lacks some."""
    return _placed(scene)[1] if scene.clutter else {}


def number_of(clutter: Clutter) -> int:
    """How many things a clutter should have."""
    return round(clutter.density_per_m2 * float(shapely.Polygon(clutter.area_m).area))


def _placed(scene: Scene) -> tuple[tuple[Furniture, ...], dict[str, int]]:
    things: list[Furniture] = []
    missing: dict[str, int] = {}
    for clutter in scene.clutter:
        if not clutter.present:
            continue
        taken = [*_taken(scene, clutter), *(shapely.Polygon(t.footprint()) for t in things)]
        area = shapely.Polygon(clutter.area_m)
        for number in range(number_of(clutter)):
            thing = _place(scene, clutter, number, area, taken)
            if thing is None:
                missing[clutter.name] = missing.get(clutter.name, 0) + 1
            else:
                things.append(thing)
                taken.append(shapely.Polygon(thing.footprint()))
    return tuple(things), missing


def _place(
    scene: Scene,
    clutter: Clutter,
    number: int,
    area: shapely.Polygon,
    taken: list[shapely.Geometry],
) -> Furniture | None:
    draws = stream(clutter.seed, "clutter", scene.name, clutter.name, number)
    west, south, east, north = area.bounds
    blocked = shapely.STRtree(taken)
    for _ in range(TRIES):
        x, y, turn = draws.uniform((west, south, 0.0), (east, north, 1.0))
        yaw = 90.0 * int(4.0 * turn) if clutter.kind in _SQUARE else 360.0 * turn
        thing = Furniture(
            name=f"{clutter.name}_{number}",
            kind=clutter.kind,
            centre_m=(float(x), float(y)),
            size_m=clutter.size_m,
            yaw_deg=float(yaw),
            material=clutter.material,
            storey=clutter.storey,
        )
        shape = shapely.Polygon(thing.footprint())
        near = blocked.query(shape, predicate="dwithin", distance=clutter.gap_m)
        if not len(near) and area.contains(shape):
            return thing
    return None


def _taken(scene: Scene, clutter: Clutter) -> list[shapely.Geometry]:
    """What a clutter's things keep clear of, besides each other."""
    storey = clutter.storey
    outlines = [
        shapely.Polygon(shell.shifted_outline()).exterior.buffer(_FROM_WALLS_M)
        for shell in scene.shells
    ]
    # Absent furniture keeps its place, so that its presence moves nothing.
    solid = [shapely.Polygon(item.footprint()) for item in scene.furniture if item.storey == storey]
    walls = [
        shapely.LineString(wall.shifted_path()).buffer(_FROM_WALLS_M)
        for wall in scene.walls
        if wall.storey == storey
    ]
    posts = [
        shapely.Point(ap.position_m[:2]).buffer(_FROM_ACCESS_POINTS_M) for ap in scene.access_points
    ]
    holes = (hole_of(scene, opening) for opening in scene.openings)
    passages = [
        shapely.LineString(np.stack(hole.sides)).buffer(_PASSAGE_M)
        for hole in holes
        if hole is not None and hole.opening.kind == "door"
    ]
    buildings = [shapely.Polygon(building.footprint_m) for building in scene.buildings]
    points = [
        shapely.MultiPoint(declared_points(area)).buffer(0.1)
        for area in scene.receivers
        if area.blocked == "refuse" and area.storey == storey
        if not isinstance(area, RandomArea)
    ]
    taken = [*outlines, *solid, *walls, *posts, *passages, *buildings]
    for shape in points:
        taken += polygons(shape)
    return taken
