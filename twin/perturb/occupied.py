"""What stands in the way of furniture that is moved and of things that are placed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from twin.scene.contents import Furniture
from twin.scene.declaration import Scene
from twin.scene.furnishing import furnished
from twin.scene.levels import floor_m, shell_of
from twin.scene.meshes import placed_groups
from twin.scene.motion import person_as_furniture
from twin.scene.obstacles import CLEARANCE_M
from twin.scene.standing_shapes import Standing, inner_walls, leaves, street_things

Points = npt.NDArray[np.float64]

# Things that touch are told from things that overlap by taking this off all sides of a footprint.
_TOUCH_M = 1e-3
_ROUNDING_M = 1e-9
# By how much two things may share more than before: m2, of sheets and lines m.
_MORE = 1e-6


class _Blocker(NamedTuple):
    """A shape in plan between two heights [m], and the gap that it asks for itself."""

    name: str
    shape: shapely.Geometry
    bottom: float
    top: float
    gap: float = 0.0


class Occupied:
    """Everything a thing on the floor can run into, but for itself."""

    def __init__(self, scene: Scene, points: Points) -> None:
        """All that is present in a sound scene, and the receiver points (n, 3) [m]."""
        self._scene = scene
        self._points = points
        self._access_points = np.array([ap.position_m for ap in scene.access_points])
        blockers = list(_blockers(scene))
        self._names = [blocker.name for blocker in blockers]
        self._shapes = [blocker.shape for blocker in blockers]
        # Columns: west, south, east, north, bottom, top, gap.
        self._extents = np.array([_extent(blocker) for blocker in blockers]).reshape(-1, 7)

    def put(self, item: Furniture) -> None:
        """A thing, or the new place of one that was there before."""
        blocker = _standing(self._scene, item)
        if blocker.name in self._names:
            index = self._names.index(blocker.name)
            self._shapes[index] = blocker.shape
            self._extents[index] = _extent(blocker)
        else:
            self._names.append(blocker.name)
            self._shapes.append(blocker.shape)
            self._extents = np.vstack([self._extents, _extent(blocker)])

    def is_free(self, item: Furniture, gap_m: float, before: Furniture | None = None) -> bool:
        """Whether a thing can stand where it is said to.

        It keeps `gap_m` from everything that it shares a height with, 5 cm from access points and
        receiver points, and it stays inside its storey. `before`: the same thing where it is
        known to stand; what was nearer to it there may be as near again, and share as much of its
        footprint with it as it did there, such as a chair under a desk.
        """
        shape = shapely.Polygon(item.footprint())
        inner = shape.buffer(-_TOUCH_M, join_style="mitre")
        near = self._near(item, shape, gap_m)
        others = self._of(near)
        wanted = np.maximum(gap_m, self._extents[near, 6])
        distance = shapely.distance(inner, others)
        if before is not None:
            old = shapely.Polygon(before.footprint()).buffer(-_TOUCH_M, join_style="mitre")
            had = shapely.distance(old, others)
            wanted = np.minimum(wanted, had - _TOUCH_M)
            shared = others[(had == 0.0) & (distance == 0.0)]
            if (_shared(inner, shared) > _shared(old, shared) + _MORE).any():
                return False
        if (distance - _TOUCH_M < wanted - _ROUNDING_M).any():
            return False
        if not self._inside(item, shape, before):
            return False
        return not any(
            self._hits(shape, item, points) for points in (self._access_points, self._points)
        )

    def _near(self, item: Furniture, shape: shapely.Polygon, gap_m: float) -> npt.NDArray[np.int64]:
        bottom, top = _heights(self._scene, item)
        west, south, east, north = shape.bounds
        extents = self._extents.T
        reach = np.maximum(gap_m, extents[6]) + _TOUCH_M
        mask = (extents[4] < top - _TOUCH_M) & (extents[5] > bottom + _TOUCH_M)
        mask &= (extents[0] <= east + reach) & (extents[2] >= west - reach)
        mask &= (extents[1] <= north + reach) & (extents[3] >= south - reach)
        itself = _name(item)
        return np.array(
            [index for index in np.flatnonzero(mask) if self._names[index] != itself], np.int64
        )

    def _of(self, near: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        return np.array([self._shapes[index] for index in near], dtype=np.object_)

    def _inside(self, item: Furniture, shape: shapely.Polygon, before: Furniture | None) -> bool:
        shell = shell_of(self._scene, item.storey)
        if shell is None:
            return True
        outline = shapely.Polygon(shell.shifted_outline())
        if before is not None and not outline.contains(shapely.Point(before.centre_m)):
            # Outside the storey as declared, as on a terrace: the walls alone are in its way.
            return True
        inner = shape.buffer(-_TOUCH_M, join_style="mitre")
        return bool(outline.contains(inner))

    def _hits(self, shape: shapely.Polygon, item: Furniture, points: Points) -> bool:
        bottom, top = _heights(self._scene, item)
        west, south, east, north = shape.bounds
        clear = CLEARANCE_M + _ROUNDING_M
        mask = (points[:, 2] > bottom - clear) & (points[:, 2] < top + clear)
        mask &= (points[:, 0] > west - clear) & (points[:, 0] < east + clear)
        mask &= (points[:, 1] > south - clear) & (points[:, 1] < north + clear)
        if not mask.any():
            return False
        plan = shapely.points(points[mask, :2])
        return bool((shapely.distance(shape, plan) < clear).any())


def _shared(shape: shapely.Polygon, others: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """Area [m2] that a shape has in common with each of others, of lines the length [m]."""
    common = shapely.intersection(shape, others)
    flat = shapely.get_dimensions(others) < 2
    return np.asarray(np.where(flat, shapely.length(common), shapely.area(common)))


def _extent(blocker: _Blocker) -> tuple[float, ...]:
    return (*blocker.shape.bounds, blocker.bottom, blocker.top, blocker.gap)


def _name(item: Furniture) -> str:
    return f"furniture {item.name}"


def _heights(scene: Scene, item: Furniture) -> tuple[float, float]:
    floor = floor_m(scene, item.storey)
    return floor + item.bottom_m, floor + item.top_m


def _standing(scene: Scene, item: Furniture, gap: float = 0.0) -> _Blocker:
    return _Blocker(_name(item), shapely.Polygon(item.footprint()), *_heights(scene, item), gap)


def _blockers(scene: Scene) -> Iterator[_Blocker]:
    yield from _walls(scene)
    declared = {item.name for item in scene.furniture}
    # Clutter would give way to what comes nearer than its own gap.
    gaps = max((clutter.gap_m for clutter in scene.clutter if clutter.present), default=0.0)
    for item in furnished(scene):
        yield _standing(scene, item, 0.0 if item.name in declared else gaps)
    for person in scene.people:
        if person.present:
            blocker = _standing(scene, person_as_furniture(person, scene.time_s))
            yield blocker._replace(name=f"person {person.name}")
    for thing in street_things(scene):
        yield _blocker(thing)
    yield from _meshes(scene)


def _walls(scene: Scene) -> Iterator[_Blocker]:
    for shell in scene.shells:
        bottom, top = shell.bottom_m, shell.bottom_m + shell.height_m
        outline = shapely.LinearRing(shell.shifted_outline())
        yield _Blocker(f"walls of {shell.name}", outline, bottom, top)
        for number, void in enumerate(shell.voids_m):
            name = f"void {number} of {shell.name}"
            yield _Blocker(name, shapely.Polygon(void), bottom, top)
    for sheet in (*inner_walls(scene), *leaves(scene)):
        yield _blocker(sheet)


def _blocker(thing: Standing) -> _Blocker:
    return _Blocker(f"{thing.kind} {thing.name}", thing.plan, thing.bottom_m, thing.top_m)


def _meshes(scene: Scene) -> Iterator[_Blocker]:
    """Every triangle by itself: a mesh may be a whole room."""
    for part in scene.meshes:
        if part.present:
            for group in placed_groups(part, scene.folder):
                corners = group.vertices[group.faces]
                low, high = corners[..., 2].min(axis=1), corners[..., 2].max(axis=1)
                plans = shapely.convex_hull(
                    shapely.multipoints(
                        corners[..., :2].reshape(-1, 2), indices=np.repeat(np.arange(len(low)), 3)
                    )
                )
                for plan, bottom, top in zip(plans, low, high, strict=True):
                    yield _Blocker(f"mesh {part.name}", plan, float(bottom), float(top))
