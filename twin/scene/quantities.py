"""The kinds of numbers and names that a scene declares: units and ranges, once for all parts.

Lengths in metres, angles in degrees (counter-clockwise from +x), right-handed axes with z up.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from twin.scene.limits import Limits

# Parts are addressed as `access_points.AP1.position_m`: a name holds no dot, star or bracket.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ -]*$", max_length=60)]
SceneName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Text = Annotated[str, StringConstraints(min_length=1)]

Coordinate = Annotated[float, Limits("m", -10_000.0, 10_000.0)]
Height = Annotated[float, Limits("m", 0.0, 600.0)]
Level = Annotated[float, Limits("m", -100.0, 600.0)]
Extent = Annotated[float, Limits("m", 0.005, 100.0)]
Length = Annotated[float, Limits("m", 0.05, 1_000.0)]
Shift = Annotated[float, Limits("m", -5.0, 5.0)]
Yaw = Annotated[float, Limits("deg", -360.0, 360.0)]
Tilt = Annotated[float, Limits("deg", -180.0, 180.0)]
Scale = Annotated[float, Limits("1", 0.1, 10.0)]
Speed = Annotated[float, Limits("m/s", -60.0, 60.0)]
Position = Annotated[float, Limits("m", 0.0, 20_000.0)]
Frequency = Annotated[float, Limits("GHz", 0.1, 450.0)]
Bandwidth = Annotated[float, Limits("MHz", 0.001, 20_000.0)]
Thickness = Annotated[float, Limits("m", 0.0005, 2.0)]

Point2 = tuple[Coordinate, Coordinate]
Point3 = tuple[Coordinate, Coordinate, Level]
Size3 = tuple[Extent, Extent, Extent]
Polygon = Annotated[tuple[Point2, ...], Field(min_length=3)]
Polyline = Annotated[tuple[Point2, ...], Field(min_length=2)]

Pattern = Literal["iso", "dipole", "hw_dipole", "tr38901"]
Polarisation = Literal["V", "H", "VH", "cross"]
