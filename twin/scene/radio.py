"""Parts of a declaration that send and receive: access points and receiver areas."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from twin.config import StrictModel
from twin.scene.limits import Limits
from twin.scene.quantities import (
    Bandwidth,
    Frequency,
    Height,
    Name,
    Pattern,
    Point2,
    Point3,
    Polarisation,
    Polygon,
    Polyline,
    Tilt,
    Yaw,
)

Spacing = Annotated[float, Limits("wavelengths", 0.05, 20.0)]
Blocked = Literal["refuse", "leave_out"]


class Array(StrictModel):
    """A planar array in the y-z plane of its own frame, which looks along +x; spacings in
    wavelengths of the access point's carrier. A row of n is ``rows: 1, columns: n``.

    Args:
        rows: elements one above the other.
        columns: elements side by side.
        vertical_spacing: between rows.
        horizontal_spacing: between columns.
    """

    rows: Annotated[int, Field(ge=1, le=256)] = 1
    columns: Annotated[int, Field(ge=1, le=256)] = 1
    vertical_spacing: Spacing = 0.5
    horizontal_spacing: Spacing = 0.5


class AccessPoint(StrictModel):
    """A transmitter (or base station): one antenna or an array, where it points, its power.

    Yaw turns counter-clockwise from +x, pitch then tilts the look downwards, roll turns about it.
    `power_dbm` is that of the whole array. `frequency_ghz` and `bandwidth_mhz` are the scene's
    where they are not given. One that is not `active` is lost: nobody hears it.

    Args:
        name: of the access point, as stores, tables and pictures show it.
        position_m: x, y and z in the frame of the whole scene, whatever the storey.
        power_dbm: of the whole array.
        pattern: of one element; `iso` and the dipoles look to all sides, `tr38901` to one.
        polarisation: vertical, horizontal, both, or both slanted by 45 degrees.
        array: its elements; a single antenna where not given.
        yaw_deg: where it looks, counter-clockwise from +x.
        pitch_deg: how far the look is tilted downwards.
        roll_deg: how far it is turned about its look.
        frequency_ghz: its carrier; the scene's where not given.
        bandwidth_mhz: its bandwidth; the scene's where not given.
        active: false for one that is lost.
    """

    name: Name
    position_m: Point3
    power_dbm: Annotated[float, Limits("dBm", -50.0, 60.0)]
    pattern: Pattern
    polarisation: Polarisation = "V"
    array: Array = Array()
    yaw_deg: Yaw = 0.0
    pitch_deg: Tilt = 0.0
    roll_deg: Tilt = 0.0
    frequency_ghz: Frequency | None = None
    bandwidth_mhz: Bandwidth | None = None
    active: bool = True

    @property
    def ports(self) -> int:
        """Antenna ports: elements times polarisations."""
        return (
            self.array.rows
            * self.array.columns
            * (2 if self.polarisation in ("VH", "cross") else 1)
        )


class _Area(StrictModel):
    """What all receiver areas have.

    `height_m` counts from the floor of the storey, the first where none is named; from the ground
    outdoors. `blocked` says what becomes of points where something stands as declared.

    Args:
        name: of the area.
        height_m: above the floor of the storey, or above the ground.
        storey: by name; the first where none is named.
        blocked: what becomes of points where something stands: the scene is refused, or they are
            left out.
        kind: how the points lie.
    """

    name: Name
    height_m: Height
    storey: Name | None = None
    blocked: Blocked = "refuse"


class GridArea(_Area):
    """Points of a square grid, anchored at (0, 0), inside a polygon.

    Args:
        area_m: corners of the polygon in plan.
        pitch_m: from point to point.
    """

    kind: Literal["grid"]
    area_m: Polygon
    pitch_m: Annotated[float, Limits("m", 0.02, 100.0)]


class RandomArea(_Area):
    """Points at random inside a polygon, from a stream named by scene, area and `seed`.

    Args:
        area_m: corners of the polygon in plan.
        count: how many.
        seed: of the places; another seed, other places.
    """

    kind: Literal["random"]
    area_m: Polygon
    count: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Trajectory(_Area):
    """Points along a path, one every `interval_s` of a walk from its start.

    Args:
        path_m: points in plan that the walk leads along.
        speed_m_per_s: of the walk.
        interval_s: from one point to the next.
    """

    kind: Literal["trajectory"]
    path_m: Polyline
    speed_m_per_s: Annotated[float, Limits("m/s", 0.01, 60.0)] = 1.2
    interval_s: Annotated[float, Limits("s", 0.001, 3600.0)]


class ListedPoints(_Area):
    """Points one by one, as those of a survey.

    Args:
        points_m: x and y of each.
    """

    kind: Literal["points"]
    points_m: Annotated[tuple[Point2, ...], Field(min_length=1)]


ReceiverArea = Annotated[
    GridArea | RandomArea | Trajectory | ListedPoints, Field(discriminator="kind")
]
