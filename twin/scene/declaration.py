"""The declaration of a place: what a scene file may say.

Lengths in metres, angles in degrees (counter-clockwise from +x), right-handed coordinates with z up
and the floor at z = 0. Ranges and relations between the parts are checked by `twin.scene.check`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, StringConstraints, model_validator

from twin.config import StrictModel
from twin.scene.limits import Limits

SCHEMA = "fingertwin/scene@1"

# Parts are addressed as `access_points.AP1.position_m`: a name holds no dot, star or bracket.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ -]*$", max_length=60)]
SceneName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Text = Annotated[str, StringConstraints(min_length=1)]

Coordinate = Annotated[float, Limits("m", -10_000.0, 10_000.0)]
Height = Annotated[float, Limits("m", 0.0, 60.0)]
Extent = Annotated[float, Limits("m", 0.005, 100.0)]
Shift = Annotated[float, Limits("m", -5.0, 5.0)]
Yaw = Annotated[float, Limits("deg", -360.0, 360.0)]
Scale = Annotated[float, Limits("1", 0.1, 10.0)]
Point2 = tuple[Coordinate, Coordinate]
Point3 = tuple[Coordinate, Coordinate, Height]
Size3 = tuple[Extent, Extent, Extent]
Polygon = Annotated[tuple[Point2, ...], Field(min_length=3)]
Polyline = Annotated[tuple[Point2, ...], Field(min_length=2)]

Pattern = Literal["iso", "dipole", "hw_dipole", "tr38901"]


class Material(StrictModel):
    """A slab: an ITU-R P.2040 material by name, or explicit constants; scales multiply either.

    `scattering_coefficient` is the share of the reflected field that a rough surface scatters
    (Lambertian); it shows in traces with `diffuse` only, but weakens reflections in all.
    """

    itu: str | None = None
    relative_permittivity: Annotated[float, Limits("1", 1.0, 200.0)] | None = None
    conductivity_s_per_m: Annotated[float, Limits("S/m", 0.0, 1e8)] | None = None
    thickness_m: Annotated[float, Limits("m", 0.0005, 2.0)]
    permittivity_scale: Scale = 1.0
    conductivity_scale: Scale = 1.0
    scattering_coefficient: Annotated[float, Limits("1", 0.0, 1.0)] = 0.0

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        explicit = (self.relative_permittivity is not None) + (
            self.conductivity_s_per_m is not None
        )
        if explicit != (0 if self.itu is not None else 2):
            raise ValueError(
                "either `itu` alone, or both `relative_permittivity` and `conductivity_s_per_m`"
            )
        return self


class Room(StrictModel):
    """The outer shell: a vertical prism over a simple polygon."""

    outline_m: Polygon
    wall_offsets_m: tuple[Shift, ...] = ()
    height_m: Annotated[float, Limits("m", 1.8, 60.0)]
    wall_material: Name
    floor_material: Name
    ceiling_material: Name

    @model_validator(mode="after")
    def _one_offset_per_edge(self) -> Self:
        if not self.wall_offsets_m:
            # Every edge gets its own value, so that a perturbation can address it. (A validator
            # that runs before would turn strict JSON reading into strict Python: no lists.)
            object.__setattr__(self, "wall_offsets_m", (0.0,) * len(self.outline_m))
        if len(self.wall_offsets_m) != len(self.outline_m):
            raise ValueError(
                f"as many `wall_offsets_m` as edges in `outline_m` ({len(self.outline_m)})"
            )
        return self

    def shifted_outline(self) -> npt.NDArray[np.float64]:
        """Outline (n, 2) [m] with every edge shifted outward by its offset.

        Edge i runs from vertex i to vertex i + 1. Shifted neighbours are cut with each other again;
        where they are (nearly) in line the shared vertex moves by the mean of the two offsets.
        """
        corner = np.asarray(self.outline_m, dtype=np.float64)
        offset = np.asarray(self.wall_offsets_m, dtype=np.float64)
        if not offset.any():
            return corner
        following = np.roll(corner, -1, axis=0)
        turning = np.sum(corner[:, 0] * following[:, 1] - following[:, 0] * corner[:, 1])
        along = following - corner
        length = np.linalg.norm(along, axis=1, keepdims=True)
        along = along / np.where(length > 0.0, length, 1.0)
        normal = np.sign(turning) * np.stack([along[:, 1], -along[:, 0]], axis=1)
        moved = np.empty_like(corner)
        for i in range(len(corner)):
            before = i - 1
            sine = along[before, 0] * along[i, 1] - along[before, 1] * along[i, 0]
            if abs(sine) < 0.05:
                moved[i] = corner[i] + normal[i] * (offset[before] + offset[i]) / 2.0
            else:
                sides = np.stack([normal[before], normal[i]])
                moved[i] = corner[i] + np.linalg.solve(sides, offset[[before, i]])
        return moved


class Wall(StrictModel):
    """An inner wall: one vertical sheet a segment; up to the ceiling where no height is given."""

    name: Name
    path_m: Polyline
    bottom_m: Height = 0.0
    height_m: Annotated[float, Limits("m", 0.05, 60.0)] | None = None
    material: Name
    offset_m: Shift = 0.0

    def shifted_path(self) -> npt.NDArray[np.float64]:
        """Path (n, 2) [m], moved as a whole by `offset_m` along the left normal from start to end.

        A closed path (start equals end) takes the left normal of its first segment.
        """
        path = np.asarray(self.path_m, dtype=np.float64)
        along = path[-1] - path[0]
        if not along.any():
            along = path[1] - path[0]
        length = float(np.hypot(*along))
        if self.offset_m == 0.0 or length == 0.0:
            return path
        return path + self.offset_m * np.array([-along[1], along[0]]) / length


class Furniture(StrictModel):
    """A box of thin sheets of one material (hollow); `present: false` leaves it out."""

    name: Name
    centre_m: Point2
    size_m: Size3
    bottom_m: Height = 0.0
    yaw_deg: Yaw = 0.0
    material: Name
    present: bool = True

    @property
    def top_m(self) -> float:
        """Upper side above the floor [m]."""
        return self.bottom_m + self.size_m[2]

    def footprint(self) -> npt.NDArray[np.float64]:
        """Corners (4, 2) [m], counter-clockwise."""
        half = np.array(self.size_m[:2]) / 2.0
        yaw = np.deg2rad(self.yaw_deg)
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) * half
        return np.asarray(np.asarray(self.centre_m) + corners @ turn.T)


class AccessPoint(StrictModel):
    """A transmitter with one vertically polarised antenna."""

    name: Name
    position_m: Point3
    power_dbm: Annotated[float, Limits("dBm", -50.0, 60.0)]
    pattern: Pattern
    yaw_deg: Yaw = 0.0


class Receivers(StrictModel):
    """Where receivers may stand: points of a square grid, anchored at (0, 0), inside an area."""

    area_m: Polygon
    pitch_m: Annotated[float, Limits("m", 0.02, 100.0)]
    height_m: Height


class Scene(StrictModel):
    """A place with its access points and the points where fingerprints are taken."""

    model_config = ConfigDict(title="Fingertwin scene")

    schema_version: Literal["fingertwin/scene@1"] = Field(alias="schema")
    name: SceneName
    title: Text
    source: Text
    assumptions: tuple[Text, ...] = ()
    frequency_ghz: Annotated[float, Limits("GHz", 0.1, 450.0)]
    bandwidth_mhz: Annotated[float, Limits("MHz", 0.001, 20_000.0)]
    subcarriers: Annotated[int, Limits("1", 1, 8192)]
    materials: dict[Name, Material]
    room: Room
    walls: tuple[Wall, ...] = ()
    furniture: tuple[Furniture, ...] = ()
    access_points: Annotated[tuple[AccessPoint, ...], Field(min_length=1)]
    receivers: Receivers

    @property
    def frequency_hz(self) -> float:
        """Carrier frequency [Hz]."""
        return self.frequency_ghz * 1e9

    def plain(self) -> dict[str, object]:
        """The declaration as plain content, as a scene file holds it."""
        return self.model_dump(mode="json", by_alias=True)


def scene_digest(scene: Scene) -> str:
    """SHA-256 (hex) of the declaration as canonical JSON: sorted keys, defaults filled in."""
    text = json.dumps(scene.plain(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
