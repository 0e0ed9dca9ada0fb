"""Parts of a declaration that make a building from inside: materials, shells, walls, openings."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from twin.config import StrictModel
from twin.scene.limits import Limits
from twin.scene.quantities import (
    Height,
    Level,
    Name,
    Polygon,
    Polyline,
    Scale,
    Shift,
    Thickness,
)


def _itu_names(schema: dict[str, Any]) -> None:
    """Lists the names for editors; which of them fit a carrier is for the check to say."""
    # Materials are made of what is declared here.
    from twin.scene.materials import ITU_P2040

    schema["enum"] = list(ITU_P2040)


ItuName = Annotated[str, Field(json_schema_extra=_itu_names)]
Permittivity = Annotated[float, Limits("1", 1.0, 200.0)]
Conductivity = Annotated[float, Limits("S/m", 0.0, 1e8)]


class Layer(StrictModel):
    """One homogeneous layer: an ITU-R P.2040 material by name, or explicit constants.

    Args:
        itu: a material of ITU-R P.2040-3, table 3, whose constants are taken at the carrier.
        relative_permittivity: real part, instead of `itu`; together with the conductivity.
        conductivity_s_per_m: instead of `itu`; together with the permittivity.
        thickness_m: of the layer.
    """

    itu: ItuName | None = None
    relative_permittivity: Permittivity | None = None
    conductivity_s_per_m: Conductivity | None = None
    thickness_m: Thickness

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


class Material(StrictModel):
    """What a sheet is made of: one homogeneous slab, or `layers` from one side to the other.

    Scales multiply the constants, of every layer where there are layers.
    `scattering_coefficient` is the share of the reflected field that a rough surface scatters
    (Lambertian); it shows in traces with `diffuse` only, but weakens reflections in all.

    Args:
        itu: a material of ITU-R P.2040-3, table 3, whose constants are taken at the carrier.
        relative_permittivity: real part, instead of `itu`; together with the conductivity.
        conductivity_s_per_m: instead of `itu`; together with the permittivity.
        thickness_m: of the slab.
        layers: from one side to the other, instead of constants and thickness.
        permittivity_scale: factor to the relative permittivity, of every layer.
        conductivity_scale: factor to the conductivity, of every layer.
        scattering_coefficient: share of the reflected field that the surface scatters; 0 is smooth.
    """

    itu: ItuName | None = None
    relative_permittivity: Permittivity | None = None
    conductivity_s_per_m: Conductivity | None = None
    thickness_m: Thickness | None = None
    layers: tuple[Layer, ...] = ()
    permittivity_scale: Scale = 1.0
    conductivity_scale: Scale = 1.0
    scattering_coefficient: Annotated[float, Limits("1", 0.0, 1.0)] = 0.0

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        homogeneous = (
            self.itu,
            self.relative_permittivity,
            self.conductivity_s_per_m,
            self.thickness_m,
        )
        if self.layers:
            if any(value is not None for value in homogeneous):
                raise ValueError("`layers` alone, each with its own constants and thickness")
            return self
        explicit = (self.relative_permittivity is not None) + (
            self.conductivity_s_per_m is not None
        )
        if explicit != (0 if self.itu is not None else 2):
            raise ValueError(
                "either `itu` alone, or both `relative_permittivity` and `conductivity_s_per_m`, "
                "or `layers`"
            )
        if self.thickness_m is None:
            raise ValueError("`thickness_m`, in metres")
        return self


class Room(StrictModel):
    """A shell: a vertical prism over a simple polygon, its floor at z = 0.

    Args:
        outline_m: corners in plan; edge i runs from corner i to corner i + 1, the last one back to
            the first.
        wall_offsets_m: shift of each edge, outward; one number an edge, zero where not given.
        height_m: from floor to ceiling.
        wall_material: of the outer walls, by its name in `materials`.
        floor_material: of the floor, by its name in `materials`.
        ceiling_material: of the ceiling, by its name in `materials`.
    """

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


class Storey(Room):
    """One floor of a building of several: a shell whose floor lies at `bottom_m`.

    Where another storey stands on it, its ceiling is left out: the floor above is the one sheet
    between them. `voids_m` are holes in the floor, as for stairs and atriums; what no storey below
    is under a void of is open.

    Args:
        name: of the storey, as walls, furniture and receivers name it.
        bottom_m: height of its floor above z = 0.
        voids_m: holes in its floor, corners in plan of each.
    """

    name: Name
    bottom_m: Level
    voids_m: tuple[Polygon, ...] = ()


class Wall(StrictModel):
    """An inner wall: one vertical sheet a segment; up to the ceiling where no height is given.

    `bottom_m` counts from the floor of its storey, the first where none is named.

    Args:
        name: of the wall, as openings and perturbations name it.
        path_m: points in plan, one segment from each to the next.
        bottom_m: lower rim above the floor of its storey.
        height_m: from its lower to its upper rim; up to the ceiling where none is given.
        material: by its name in `materials`.
        offset_m: shift of the whole wall, to the left seen from its start to its end.
        present: false for a wall that is not there.
        storey: by name; the first where none is named.
    """

    name: Name
    path_m: Polyline
    bottom_m: Height = 0.0
    height_m: Annotated[float, Limits("m", 0.05, 60.0)] | None = None
    material: Name
    offset_m: Shift = 0.0
    present: bool = True
    storey: Name | None = None

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


class Opening(StrictModel):
    """A door or window: a rectangular hole in an inner wall or in an edge of a shell, and its leaf.

    `closed` puts the leaf (of `material`) into the plane of the wall. `open` swings it about its
    hinge by `swing_deg`: positive to the left of the wall seen from its start to its end, negative
    to the right; 0 is a leaf that slides away, or none. An opening counts its heights from the
    floor of the wall's storey.

    Args:
        name: of the opening.
        kind: for names and pictures; material and state say what paths meet.
        wall: an inner wall by name, with the number of its `segment`; or an `edge`.
        segment: of the inner wall, from 0.
        edge: an edge of the shell's outline by its number from 0, instead of `wall`; edge i runs
            from corner i to corner i + 1.
        storey: of the edge, by name; the first where none is named.
        at_m: from the start of the segment or edge to the near side of the hole.
        width_m: of the hole, along the wall.
        bottom_m: lower rim above the floor.
        height_m: from the lower to the upper rim.
        material: of the leaf, by its name in `materials`.
        state: whether the leaf fills the hole or is swung about its hinge.
        swing_deg: how far an open leaf is swung, positive to the left of the wall seen from its
            start to its end; 0 for one that slides away.
        hinge: side of the hole the leaf turns about.
    """

    name: Name
    kind: Literal["door", "window"] = "door"
    wall: Name | None = None
    segment: Annotated[int, Field(ge=0, le=10_000)] = 0
    edge: Annotated[int, Field(ge=0, le=10_000)] | None = None
    storey: Name | None = None
    at_m: Annotated[float, Limits("m", 0.0, 1_000.0)]
    width_m: Annotated[float, Limits("m", 0.1, 100.0)] = 0.9
    bottom_m: Height = 0.0
    height_m: Annotated[float, Limits("m", 0.1, 60.0)] = 2.1
    material: Name
    state: Literal["open", "closed"] = "closed"
    swing_deg: Annotated[float, Limits("deg", -180.0, 180.0)] = 90.0
    hinge: Literal["start", "end"] = "start"

    @model_validator(mode="after")
    def _in_one_wall(self) -> Self:
        if (self.wall is None) == (self.edge is None):
            raise ValueError("either `wall` (with `segment`) or `edge`")
        if self.wall is not None and self.storey is not None:
            raise ValueError("no `storey` beside `wall`: the wall has one")
        return self
