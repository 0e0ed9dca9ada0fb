"""All things that stand in a scene: those declared one by one, and those of its clutter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.contents import CATALOGUE, Clutter, Furniture
from twin.scene.declaration import Scene
from twin.scene.levels import floor_m, shell_of
from twin.scene.openings import hole_of
from twin.scene.point_plans import declared_points
from twin.scene.radio import RandomArea
from twin.scene.wall_paths import wall_path
from twin.seeds import stream

# Places tried for one thing before it counts as one that does not fit.
TRIES = 200
_FIRST_TRIES = 8
_FROM_POINTS_M = 0.1
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
    return declared + _placed(scene)


def number_of(clutter: Clutter) -> int:
    """How many things a clutter should have."""
    return round(clutter.density_per_m2 * float(shapely.Polygon(clutter.area_m).area))


def _placed(scene: Scene) -> tuple[Furniture, ...]:
    things: list[Furniture] = []
    for clutter in scene.clutter:
        if not clutter.present:
            continue
        taken = shapely.STRtree([*_taken(scene, clutter), *map(_plan, things)])
        standing = shapely.STRtree(_receivers(scene, clutter))
        area = shapely.Polygon(clutter.area_m)
        shapely.prepare(area)
        placed: list[shapely.Polygon] = []
        for number in range(number_of(clutter)):
            thing = _place(scene, clutter, number, area, (taken, standing), placed)
            if thing is not None:
                things.append(thing)
                placed.append(_plan(thing))
    return tuple(things)


def _plan(thing: Furniture) -> shapely.Polygon:
    return shapely.Polygon(thing.footprint())


def _place(
    scene: Scene,
    clutter: Clutter,
    number: int,
    area: shapely.Polygon,
    fixed: tuple[shapely.STRtree, shapely.STRtree],
    placed: list[shapely.Polygon],
) -> Furniture | None:
    """The first of its places that is free; all of a block are judged at once."""
    draws = stream(clutter.seed, "clutter", scene.name, clutter.name, number)
    west, south, east, north = area.bounds
    thing = Furniture(
        name=f"{clutter.name}_{number}",
        kind=clutter.kind,
        centre_m=(0.0, 0.0),
        size_m=clutter.size_m,
        material=clutter.material,
        storey=clutter.storey,
    )
    corners = thing.footprint()
    for tries in (_FIRST_TRIES, TRIES - _FIRST_TRIES):
        x, y, turn = draws.uniform((west, south, 0.0), (east, north, 1.0), (tries, 3)).T
        yaw = 90.0 * np.floor(4.0 * turn) if clutter.kind in _SQUARE else 360.0 * turn
        cosine, sine = np.cos(np.deg2rad(yaw)), np.sin(np.deg2rad(yaw))
        rotation = np.stack([cosine, sine, -sine, cosine], axis=1).reshape(-1, 2, 2)
        shapes = shapely.polygons(corners @ rotation + np.stack([x, y], axis=1)[:, None])
        free = shapely.contains(area, shapes)
        taken, standing = fixed
        for tree, distance in ((taken, clutter.gap_m), (standing, clutter.gap_m + _FROM_POINTS_M)):
            free[tree.query(shapes, predicate="dwithin", distance=distance)[0]] = False
        if placed and free.any():
            here = shapely.STRtree(shapes)
            free[here.query(placed, predicate="dwithin", distance=clutter.gap_m)[1]] = False
        if free.any():
            first = int(np.argmax(free))
            return thing.model_copy(
                update={
                    "centre_m": (float(x[first]), float(y[first])),
                    "yaw_deg": float(yaw[first]),
                }
            )
    return None


def _taken(scene: Scene, clutter: Clutter) -> list[shapely.Geometry]:
    """What a clutter's things keep clear of, besides each other."""

    def beside(storey: str | None) -> bool:
        return _shell_name(scene, storey) == _shell_name(scene, clutter.storey)

    outlines = [
        shapely.Polygon(shell.shifted_outline()).exterior.buffer(_FROM_WALLS_M)
        for shell in scene.shells
    ]
    # Absent furniture keeps its place, so that its presence moves nothing.
    solid = [shapely.Polygon(item.footprint()) for item in scene.furniture if beside(item.storey)]
    walls = [
        shapely.LineString(wall_path(scene, wall)).buffer(_FROM_WALLS_M)
        for wall in scene.walls
        if beside(wall.storey)
    ]
    # One that hangs well above is in nothing's way, wherever a perturbation moves it.
    top = floor_m(scene, clutter.storey) + _height_m(clutter) + _FROM_ACCESS_POINTS_M
    posts = [
        shapely.Point(ap.position_m[:2]).buffer(_FROM_ACCESS_POINTS_M)
        for ap in scene.access_points
        if ap.position_m[2] < top
    ]
    holes = (hole_of(scene, opening) for opening in scene.openings)
    passages = [
        shapely.LineString(np.stack(hole.sides)).buffer(_PASSAGE_M)
        for hole in holes
        if hole is not None and hole.opening.kind == "door"
    ]
    buildings = [shapely.Polygon(building.footprint_m) for building in scene.buildings]
    return [*outlines, *solid, *walls, *posts, *passages, *buildings]


def _receivers(scene: Scene, clutter: Clutter) -> npt.NDArray[np.object_]:
    """Declared points that may not be covered, those near the clutter's area."""
    west, south, east, north = shapely.Polygon(clutter.area_m).bounds
    reach = clutter.gap_m + _FROM_POINTS_M
    near = [np.zeros((0, 2))]
    for area in scene.receivers:
        if isinstance(area, RandomArea) or area.blocked != "refuse":
            continue
        if _shell_name(scene, area.storey) == _shell_name(scene, clutter.storey):
            near.append(declared_points(area))
    x, y = np.concatenate(near).T
    inside = (x > west - reach) & (x < east + reach) & (y > south - reach) & (y < north + reach)
    return np.asarray(shapely.points(x[inside], y[inside]))


def _height_m(clutter: Clutter) -> float:
    size = CATALOGUE[clutter.kind].size_m if clutter.size_m is None else clutter.size_m
    return size[2]


def _shell_name(scene: Scene, storey: str | None) -> str | None:
    shell = shell_of(scene, storey)
    return None if shell is None else shell.name
