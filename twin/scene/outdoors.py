"""Parts of a declaration that make a street: ground, buildings, roads, vehicles, weather."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from twin.config import StrictModel
from twin.scene.limits import Limits
from twin.scene.quantities import (
    Height,
    Length,
    Level,
    Name,
    Polygon,
    Polyline,
    Position,
    Size3,
    Speed,
)

VehicleKind = Literal["car", "van", "bus", "truck"]

# Length, width and height [m] of usual vehicles.
VEHICLE_SIZES: dict[str, tuple[float, float, float]] = {
    "car": (4.5, 1.8, 1.5),
    "van": (5.9, 2.0, 2.4),
    "bus": (12.0, 2.55, 3.2),
    "truck": (9.0, 2.5, 3.6),
}


class Ground(StrictModel):
    """Level ground at z = 0; roads, buildings and storeys on it are cut out of its sheet.

    Args:
        area_m: corners in plan.
        material: by its name in `materials`.
    """

    area_m: Polygon
    material: Name


class Building(StrictModel):
    """A block seen from outside: walls and a roof, open at the bottom it stands on.

    Roofs: ``flat``; ``pyramidal`` over any convex footprint; ``gabled`` over four corners, its
    ridge along the longer sides. `height_m` is that of the eaves above `bottom_m`.

    Args:
        name: of the building.
        footprint_m: corners in plan.
        bottom_m: height it stands at.
        height_m: of the eaves above `bottom_m`.
        roof: its form.
        roof_height_m: from the eaves to the ridge; none for a flat roof.
        wall_material: by its name in `materials`.
        roof_material: by its name in `materials`.
        present: false for a building that is not there.
    """

    name: Name
    footprint_m: Polygon
    bottom_m: Level = 0.0
    height_m: Length
    roof: Literal["flat", "gabled", "pyramidal"] = "flat"
    roof_height_m: Height = 0.0
    wall_material: Name
    roof_material: Name
    present: bool = True

    @model_validator(mode="after")
    def _roof_height(self) -> Self:
        if (self.roof == "flat") != (self.roof_height_m == 0.0):
            raise ValueError("`roof_height_m` above zero for a roof that is not flat, else none")
        if self.roof == "gabled" and len(self.footprint_m) != 4:
            raise ValueError("four corners in `footprint_m` under a gabled roof")
        return self


class Road(StrictModel):
    """A carriageway on the ground along a path; lanes are numbered from the left of the path.

    Args:
        name: of the road, as vehicles name it.
        path_m: points in plan of its middle line.
        width_m: of all its lanes together.
        lanes: how many.
        material: by its name in `materials`.
    """

    name: Name
    path_m: Polyline
    width_m: Annotated[float, Limits("m", 1.0, 100.0)]
    lanes: Annotated[int, Field(ge=1, le=20)] = 2
    material: Name


class Vehicle(StrictModel):
    """A metal body on a lane of a road, at the scene's `time_s`.

    It is `at_m` along the road at time zero and moves by `speed_m_per_s` (negative: against the
    road's path); what leaves one end comes in at the other.

    Args:
        name: of the vehicle.
        kind: gives the usual size.
        road: that it drives on, by name.
        lane: of the road, from 0 at the left of its path.
        at_m: of its middle along the road at time zero.
        speed_m_per_s: along the road's path; negative against it.
        size_m: length, width and height; those of its kind where not given.
        material: by its name in `materials`.
        present: false for a vehicle that is not there.
    """

    name: Name
    kind: VehicleKind = "car"
    road: Name
    lane: Annotated[int, Field(ge=0, le=19)] = 0
    at_m: Position
    speed_m_per_s: Speed = 0.0
    size_m: Size3 | None = None
    material: Name = "metal"
    present: bool = True

    @model_validator(mode="after")
    def _usual_size(self) -> Self:
        if self.size_m is None:
            object.__setattr__(self, "size_m", VEHICLE_SIZES[self.kind])
        return self

    @property
    def extent_m(self) -> tuple[float, float, float]:
        """Length, width and height [m]."""
        if self.size_m is None:
            raise AssertionError("filled in where it is not given")
        return self.size_m


class Weather(StrictModel):
    """What the air does to every path over its length.

    `rain_mm_per_h` attenuates after ITU-R P.838-3. Gases, fog and wet surfaces are left out.

    Args:
        rain_mm_per_h: rate of the rain, everywhere alike; 0 for none.
    """

    rain_mm_per_h: Annotated[float, Limits("mm/h", 0.0, 200.0)] = 0.0
