"""What a site can hold: every variable, its dimensions, type, unit and convention.

The conventions of the house stand here, once; the arrays' attributes are made from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

SCHEMA_VERSION = "fingertwin/store@2"
CONVENTIONS = "CF-1.12"
SPLITS = ("", "reference", "test")

DimensionName = Literal[
    "realisation",
    "point",
    "block",
    "ap",
    "snapshot",
    "path",
    "rx_antenna",
    "ap_antenna",
    "subcarrier",
    "part",
    "xyz",
    "angle",
    "drawn_quantity",
]


@dataclass(frozen=True)
class Variable:
    """One row of the schema.

    Args:
        name: variable name in the site's group.
        dims: dimension names, outermost first.
        dtype: NumPy type name, or ``string``.
        unit: UDUNITS-style unit; empty for text and flags.
        long_name: what the numbers are.
        fill: value of a cell that no job has written yet.
        attrs: further CF attributes.
        nan: whether a finished cell may be NaN, which then means that there is nothing to tell.
    """

    name: str
    dims: tuple[DimensionName, ...]
    dtype: str
    unit: str
    long_name: str
    fill: float | int | str
    attrs: Mapping[str, JsonValue]
    nan: bool

    @property
    def by_point(self) -> bool:
        """Written by jobs, a block of points at a time."""
        return self.dims[:2] == ("realisation", "point")

    @property
    def by_block(self) -> bool:
        """Written by jobs, one entry a job."""
        return self.dims[:2] == ("realisation", "block")

    @property
    def by_job(self) -> bool:
        """Written by the jobs; the rest is written when the site is created."""
        return self.by_point or self.by_block


def _variable(
    name: str,
    dims: tuple[DimensionName, ...],
    dtype: str,
    unit: str,
    long_name: str,
    fill: float | int | str,
    *,
    nan: bool = False,
    **attrs: JsonValue,
) -> Variable:
    return Variable(name, dims, dtype, unit, long_name, fill, attrs, nan)


_POINT: tuple[DimensionName, ...] = ("realisation", "point")
_BLOCK: tuple[DimensionName, ...] = ("realisation", "block")
_LINK: tuple[DimensionName, ...] = ("realisation", "point", "ap")
_PATH: tuple[DimensionName, ...] = (*_LINK, "path")
_SCAN: tuple[DimensionName, ...] = (*_POINT, "snapshot", "ap")
_CHANNEL: tuple[DimensionName, ...] = ("rx_antenna", "ap_antenna", "subcarrier")
_NAN = float("nan")
_ANGLES = "world frame: azimuth from +x towards +y, zenith from +z"
_PACKED = "csi = csi_scale x (part 0 + j part 1){factor}; csi_nmse says how far that is off"
_RESPONSE = "sum of path_gain times exp(-j 2 pi f delay), f the offset in subcarrier"

_TABLE = (
    _variable("position", (*_POINT, "xyz"), "float64", "m", "receiver position", _NAN,
              comment="NaN where a realisation has no such point (status 3)"),
    _variable("status", _POINT, "int8", "", "state of the point", 0,
              flag_values=[0, 1, 2, 3], flag_meanings="pending done no_path absent",
              comment="no_path: nothing is heard there; absent: no such point in this realisation"),
    _variable("split", _POINT, "int8", "", "use of the point in the official split", 0,
              flag_values=[0, 1, 2], flag_meanings="none reference test"),
    _variable("time", _POINT, "float64", "", "time of the fingerprint", _NAN, nan=True),
    _variable("trajectory", _POINT, "int32", "", "walk that the point belongs to", -1,
              comment="points of a walk in order of time; -1: none"),
    _variable("building", _POINT, "int16", "", "label of the building", -1),
    _variable("floor", _POINT, "int16", "", "label of the floor", -1,
              comment="as the source numbers them"),
    _variable("space", _POINT, "int32", "", "label of the room or other space", -1),
    _variable("device", _POINT, "int32", "", "label of the receiving device", -1),
    _variable("surveyor", _POINT, "int32", "", "label of the person who measured", -1),
    _variable("path_gain", _PATH, "complex64", "1",
              "complex baseband amplitude of a path, antenna patterns included", 0.0,
              comment="between the centres of the arrays; sorted by falling power, ties by delay; "
              "zero beyond num_paths"),
    _variable("delay", _PATH, "float64", "s", "absolute delay of a path", _NAN, nan=True,
              comment="NaN beyond num_paths"),
    _variable("aoa_azimuth", _PATH, "float32", "rad", "azimuth of arrival", _NAN, nan=True,
              comment=_ANGLES),
    _variable("aoa_zenith", _PATH, "float32", "rad", "zenith angle of arrival", _NAN, nan=True,
              comment=_ANGLES),
    _variable("aod_azimuth", _PATH, "float32", "rad", "azimuth of departure", _NAN, nan=True,
              comment=_ANGLES),
    _variable("aod_zenith", _PATH, "float32", "rad", "zenith angle of departure", _NAN, nan=True,
              comment=_ANGLES),
    _variable("interactions", _PATH, "int32", "", "kinds of interaction along a path", 0,
              flag_masks=[1, 2, 4, 8],
              flag_meanings="reflection diffuse_reflection transmission diffraction",
              comment="zero is the line of sight"),
    _variable("num_paths", _LINK, "int16", "1", "paths kept", 0),
    _variable("power_left_out", _LINK, "float32", "1", "power gain of the paths not kept", _NAN),
    _variable("power_undiscovered", _LINK, "float32", "1",
              "estimated power gain of paths that the search missed", _NAN),
    _variable("los", _LINK, "int8", "", "line of sight to the access point", -1,
              flag_values=[-1, 0, 1], flag_meanings="unknown obstructed line_of_sight"),
    _variable("toa", _LINK, "float64", "s", "time of arrival of the first path", _NAN, nan=True,
              comment="absolute: distance over speed where the first path is straight"),
    _variable("received_power", _LINK, "float32", "dBm",
              "power before the receiver, coherent mean over the subcarriers", _NAN, nan=True,
              comment="NaN without a path"),
    _variable("csi", (*_LINK, *_CHANNEL), "complex64", "1", "channel frequency response", _NAN,
              comment=_RESPONSE),
    _variable("csi_int16", (*_LINK, *_CHANNEL, "part"), "int16", "1",
              "channel frequency response, scaled to 16-bit integers", 0,
              comment=_PACKED.format(factor=" / 32767")),
    _variable("csi_float16", (*_LINK, *_CHANNEL, "part"), "float16", "1",
              "channel frequency response, scaled to half precision", 0.0,
              comment=_PACKED.format(factor="")),
    _variable("csi_scale", _LINK, "float32", "1", "largest real or imaginary part of a link", _NAN),
    _variable("csi_nmse", _LINK, "float32", "1",
              "normalised squared error of the scaled frequency response", _NAN,
              comment="sum of |stored - given|^2 over sum of |given|^2; zero where both are zero"),
    _variable("rss", _SCAN, "float32", "dBm", "received signal strength as reported", _NAN,
              nan=True, comment="NaN: not heard"),
    _variable("rtt", _SCAN, "float32", "m", "round-trip-time range as reported", _NAN, nan=True,
              comment="NaN: not heard"),
    _variable("reported_csi", (*_SCAN, *_CHANNEL), "complex64", "1",
              "channel frequency response as reported", _NAN, nan=True,
              comment="in the receiver's own units, phase and timing; NaN: not heard"),
    _variable("receipt", _BLOCK, "string", "", "what the job that wrote the block says of it", "",
              comment="JSON; empty while the job is not done"),
    _variable("chains_reflections", (*_BLOCK, "ap"), "int32", "1", "chains of mirrors found", -1),
    _variable("rounds_reflections", (*_BLOCK, "ap"), "int16", "1",
              "rounds of the search for chains of mirrors", -1),
    _variable("new_share_reflections", (*_BLOCK, "ap"), "float32", "1",
              "share of the last round's rays on chains not known before", _NAN),
    _variable("chains_diffraction", (*_BLOCK, "ap"), "int32", "1", "chains with an edge found", -1),
    _variable("rounds_diffraction", (*_BLOCK, "ap"), "int16", "1",
              "rounds of the search for chains with an edge", -1),
    _variable("new_share_diffraction", (*_BLOCK, "ap"), "float32", "1",
              "share of the last round's rays on chains with an edge not known before", _NAN),
    _variable("ap_position", ("realisation", "ap", "xyz"), "float64", "m",
              "access point position", _NAN, nan=True, comment="NaN: not known"),
    _variable("ap_orientation", ("realisation", "ap", "angle"), "float64", "rad",
              "orientation of the access point's array", _NAN, nan=True,
              comment="turned about z by yaw, then y by pitch, then x by roll; the array looks "
              "along +x"),
    _variable("ap_frequency", ("ap",), "float64", "Hz", "carrier frequency", _NAN, nan=True),
    _variable("ap_power", ("ap",), "float64", "dBm", "transmit power", _NAN, nan=True),
    _variable("drawn", ("realisation", "drawn_quantity"), "float64", "",
              "values drawn for the perturbed quantities", _NAN, nan=True,
              comment="units in drawn_unit; a named value is stored as its index in categories"),
    _variable("visit", ("snapshot",), "int32", "", "visit that the scan belongs to", 0,
              comment="the scans of a visit share the receiver's biases and the clutter"),
    _variable("ap", ("ap",), "string", "", "access point", ""),
    _variable("xyz", ("xyz",), "string", "", "axis", ""),
    _variable("angle", ("angle",), "string", "", "angle of an orientation", ""),
    _variable("part", ("part",), "string", "", "part of a complex number", ""),
    _variable("realisation_label", ("realisation",), "string", "", "name of the realisation", ""),
    _variable("drawn_quantity", ("drawn_quantity",), "string", "", "perturbed quantity", ""),
    _variable("drawn_unit", ("drawn_quantity",), "string", "", "unit of the quantity", ""),
    _variable("subcarrier", ("subcarrier",), "float64", "Hz", "offset from the carrier", _NAN),
)  # fmt: skip

VARIABLES: Mapping[str, Variable] = {variable.name: variable for variable in _TABLE}
ALWAYS = ("position", "status", "receipt")
CHANNEL_VARIABLES = (
    "path_gain",
    "delay",
    "aoa_azimuth",
    "aoa_zenith",
    "aod_azimuth",
    "aod_zenith",
    "interactions",
    "num_paths",
    "power_left_out",
    "power_undiscovered",
    "los",
    "toa",
    "received_power",
    "csi",
)
SEARCH_VARIABLES = ("chains_reflections", "rounds_reflections", "new_share_reflections")
FINGERPRINT_VARIABLES = ("rss", "rtt")
PATH_VARIABLES = tuple(variable.name for variable in _TABLE if variable.dims == _PATH)
# What stands for the channel where a site keeps it with fewer bits.
PACKED_CSI: Mapping[str, tuple[str, ...]] = {
    "int16": ("csi_int16", "csi_scale", "csi_nmse"),
    "float16": ("csi_float16", "csi_scale", "csi_nmse"),
}
