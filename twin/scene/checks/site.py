"""What every check gets to see: the scene, what of it is known to be spoilt, its sound shells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import shapely

from twin.errors import Fault
from twin.scene.declaration import Scene
from twin.scene.findings import Finding, Level
from twin.scene.interiors import Storey
from twin.scene.obstacles import settled

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Closer than this, two things touch.
TOUCH_M = 1e-3
# Least area [m2] of a polygon that has one.
AREA_M2 = 1e-3
_SHOWN = 3

# Parts that have a name, by the key of their list.
KINDS = (
    "storeys",
    "walls",
    "openings",
    "furniture",
    "clutter",
    "people",
    "vehicles",
    "meshes",
    "buildings",
    "roads",
    "access_points",
    "receivers",
)


class Named(Protocol):
    """A part of a scene with a name of its own."""

    @property
    def name(self) -> str:
        """Name, unique among parts of its kind."""
        ...


Part = TypeVar("Part", bound=Named)


@dataclass(frozen=True)
class Shell:
    """A shell whose outline is sound.

    Args:
        storey: as declared.
        key: its place in the declaration, ``room`` or ``storeys.NAME``.
        declared: outline as declared. Parts are held against it and not against the shifted one:
            where outer walls are uncertain, one that comes closer cuts off what then sticks out.
        within: the same and a millimetre around it, prepared to be asked what it covers.
        built: outline with every edge shifted by its offset.
    """

    storey: Storey
    key: str
    declared: shapely.Polygon
    within: shapely.Polygon
    built: shapely.Polygon

    @property
    def bottom_m(self) -> float:
        """Height of the floor [m]."""
        return self.storey.bottom_m

    @property
    def top_m(self) -> float:
        """Height of the ceiling [m]."""
        return self.storey.bottom_m + self.storey.height_m


class Site:
    """A scene under check. Checks run in order: each may spoil parts for those that follow.

    Args:
        scene: the declaration.
        where: what the findings name as their place, such as the file.

    Attributes:
        spoilt: kind and name of parts with a fault that leaves them without a place or a shape;
            they get no second finding for where that puts them.
        shells: the sound shells.
        shells_are_sound: whether all of them are.
        ground_is_sound: whether the ground has a shape, or there is none.
        absurd: ``ground`` and shells by name, of a size that nothing can be told of.
        points: receivers (n, 3) [m] of every sound area, by its name, once they are known.
    """

    def __init__(self, scene: Scene, where: str) -> None:
        self.scene = scene
        self.where = where
        self.spoilt: set[tuple[str, str]] = set()
        self.shells: list[Shell] = []
        self.shells_are_sound = False
        self.ground_is_sound = True
        self.absurd: set[str] = set()
        self.points: dict[str, Points] = {}
        self._furnished: tuple[frozenset[tuple[str, str]], Scene] | None = None

    def finding(
        self,
        level: Level,
        key: str,
        expected: str,
        found: str,
        cure: str = "",
        *,
        at: Iterable[float] | None = None,
    ) -> Finding:
        """A finding at a key of this scene, and a place (x, y) or (x, y, z) [m] if there is one."""
        # Rounded to what anybody can look up, and -0 to 0.
        place = None if at is None else tuple(round(float(v), 6) + 0.0 for v in at)
        return Finding(level, Fault(self.where, key, expected, found, cure), place)

    def spoil(self, kind: str, name: str) -> None:
        """Leave a part out of all checks to come."""
        self.spoilt.add((kind, name))

    def sound(self, kind: str, parts: Iterable[Part]) -> Iterator[tuple[str, Part]]:
        """The parts of a kind that are not spoilt, each with its key."""
        for part in parts:
            if (kind, part.name) not in self.spoilt:
                yield f"{kind}.{part.name}", part

    def shell(self, storey: str | None) -> Shell | None:
        """The sound shell of that name, the first where none is named."""
        if storey is None:
            return self.shells[0] if self.shells else None
        return next((shell for shell in self.shells if shell.storey.name == storey), None)

    @property
    def is_open(self) -> bool:
        """Whether there is an outdoors, where devices and things need no shell around them."""
        scene = self.scene
        return not scene.shells or bool(scene.ground or scene.buildings or scene.roads)

    def ring(
        self,
        key: str,
        corners: object,
        cure: str = "List its corners in order around it, each of them once",
    ) -> Finding | None:
        """What is wrong with corners (n, 2) that a polygon should have, or None."""
        problem = ring_problem(corners)
        if problem is None:
            return None
        reason, at = problem
        expected = "a polygon that does not cross or touch itself and has an area"
        return self.finding("error", key, expected, reason, cure, at=at)

    def reduced(self) -> Scene:
        """The scene without its spoilt parts."""
        if not self.spoilt and self.ground_is_sound:
            return self.scene
        kept: dict[str, object] = {
            kind: tuple(part for _, part in self.sound(kind, getattr(self.scene, kind)))
            for kind in KINDS
            if kind != "storeys"
        }
        # A storey stays, because others stand in it; its voids may be what is wrong with it. Of
        # several with one name the first stays.
        storeys: dict[str, Storey] = {}
        for shell in self.scene.storeys:
            storeys.setdefault(shell.name, shell)
        kept["storeys"] = tuple(
            shell.model_copy(update={"voids_m": ()})
            if ("storeys", shell.name) in self.spoilt
            else shell
            for shell in storeys.values()
        )
        if not self.ground_is_sound:
            kept["ground"] = None
        return self.scene.model_copy(update=kept)

    def furnished(self) -> Scene:
        """The reduced scene with the things of its clutter among its furniture.

        It can be built where all shells are sound. Clutter is placed once and not at every look.
        """
        spoilt = frozenset(self.spoilt)
        if self._furnished is None or self._furnished[0] != spoilt:
            self._furnished = spoilt, settled(self.reduced())
        return self._furnished[1]

    def receivers(self) -> Points:
        """Points (n, 3) [m] of all sound areas, as `twin.scene.receivers.receiver_points`."""
        return np.concatenate([np.zeros((0, 3)), *self.points.values()])


def mesh_of(surface: str, scene: Scene) -> str | None:
    """Name of the mesh that a surface, ``mesh NAME GROUP``, is of; None for other surfaces."""
    names = [part.name for part in scene.meshes if surface.startswith(f"mesh {part.name} ")]
    # A name may begin as another does.
    return max(names, key=len, default=None)


def ring_problem(corners: object) -> tuple[str, tuple[float, ...] | None] | None:
    """Why corners (n, 2) are no polygon that crosses and touches itself nowhere, and where."""
    polygon = shapely.Polygon(np.asarray(corners, dtype=np.float64))
    if polygon.is_valid:
        return None if polygon.area > AREA_M2 else (f"area {polygon.area:g} m2", None)
    reason = str(shapely.is_valid_reason(polygon))
    place = re.search(r"\[(\S+) (\S+)\]", reason)
    text = reason.split("[", maxsplit=1)[0]
    if place is None:
        return text, None
    at = (float(place[1]), float(place[2]))
    return f"{text} at {coordinates([at])}", at


def coordinates(points: npt.ArrayLike) -> str:
    """Points (n, 2) or (n, 3) in words, to the millimetre."""
    rounded = np.round(np.asarray(points, dtype=np.float64), 3) + 0.0
    return " ".join("(" + ", ".join(f"{v:.8g}" for v in point) + ")" for point in rounded) + " m"


def which(points: Points, mask: Mask) -> str:
    """How many of points (n, 3), and the first of them."""
    return f"{int(mask.sum())} of {len(points)} (first {coordinates(points[mask][:_SHOWN])})"
