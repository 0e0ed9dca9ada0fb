"""What a site holds: its variables, their dimensions, types and units, and the layout on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from numpy.dtypes import StringDType
from pydantic import Field, JsonValue, model_validator

from twin.config import StrictModel

SCHEMA_VERSION = "fingertwin/store@1"
CONVENTIONS = "CF-1.12"
SPLITS = ("", "reference", "test")
# One chunk is what a reader decodes to get one row: large enough to be cheap, small enough to skip.
CHUNK_BYTES = 2 * 1024 * 1024

DimensionName = Literal[
    "realisation",
    "point",
    "ap",
    "snapshot",
    "path",
    "subcarrier",
    "xyz",
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
    """

    name: str
    dims: tuple[DimensionName, ...]
    dtype: str
    unit: str
    long_name: str
    fill: float | int | str
    attrs: Mapping[str, JsonValue]

    @property
    def by_job(self) -> bool:
        """Written by the jobs, block by block; the rest is written when the site is created."""
        return self.dims[:2] == ("realisation", "point")


def _variable(
    name: str,
    dims: tuple[DimensionName, ...],
    dtype: str,
    unit: str,
    long_name: str,
    fill: float | int | str,
    **attrs: JsonValue,
) -> Variable:
    return Variable(name, dims, dtype, unit, long_name, fill, attrs)


_POINT: tuple[DimensionName, ...] = ("realisation", "point")
_LINK: tuple[DimensionName, ...] = ("realisation", "point", "ap")
_PATH: tuple[DimensionName, ...] = ("realisation", "point", "ap", "path")
_SCAN: tuple[DimensionName, ...] = ("realisation", "point", "snapshot", "ap")
_NAN = float("nan")
_ANGLES = "world frame: azimuth from +x towards +y, zenith from +z"

_TABLE = (
    _variable("position", (*_POINT, "xyz"), "float64", "m", "receiver position", _NAN),
    _variable("status", _POINT, "int8", "", "state of the point", 0,
              flag_values=[0, 1, 2], flag_meanings="pending done no_path"),
    _variable("path_gain", _PATH, "complex64", "1",
              "complex baseband amplitude of a path, antenna patterns included", 0.0,
              comment="sorted by falling power, ties by delay; zero beyond num_paths"),
    _variable("delay", _PATH, "float64", "s", "absolute delay of a path", _NAN,
              comment="NaN beyond num_paths"),
    _variable("aoa_azimuth", _PATH, "float32", "rad", "azimuth of arrival", _NAN,
              comment=_ANGLES),
    _variable("aoa_zenith", _PATH, "float32", "rad", "zenith angle of arrival", _NAN,
              comment=_ANGLES),
    _variable("aod_azimuth", _PATH, "float32", "rad", "azimuth of departure", _NAN,
              comment=_ANGLES),
    _variable("aod_zenith", _PATH, "float32", "rad", "zenith angle of departure", _NAN,
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
    _variable("toa", _LINK, "float64", "s", "time of arrival of the first path", _NAN),
    _variable("received_power", _LINK, "float32", "dBm",
              "power before the receiver, coherent mean over the subcarriers", _NAN,
              comment="NaN without a path"),
    _variable("csi", (*_LINK, "subcarrier"), "complex64", "1", "channel frequency response", _NAN,
              comment="sum of path_gain times exp(-j 2 pi f delay), f the offset in subcarrier"),
    _variable("rss", _SCAN, "float32", "dBm", "received signal strength as reported", _NAN,
              comment="NaN: not heard"),
    _variable("rtt", _SCAN, "float32", "m", "round-trip-time range as reported", _NAN,
              comment="NaN: not heard"),
    _variable("ap_position", ("realisation", "ap", "xyz"), "float64", "m",
              "access point position", _NAN),
    _variable("split", ("point",), "int8", "", "use of the point in the official split", 0,
              flag_values=[0, 1, 2], flag_meanings="none reference test"),
    _variable("drawn", ("realisation", "drawn_quantity"), "float64", "",
              "values drawn for the perturbed quantities", _NAN,
              comment="units in drawn_unit; a named value is stored as its index in categories"),
    _variable("visit", ("snapshot",), "int32", "", "visit that the scan belongs to", 0,
              comment="the scans of a visit share the receiver's biases and the clutter"),
    _variable("ap", ("ap",), "string", "", "access point", ""),
    _variable("xyz", ("xyz",), "string", "", "axis", ""),
    _variable("realisation_label", ("realisation",), "string", "", "name of the realisation", ""),
    _variable("drawn_quantity", ("drawn_quantity",), "string", "", "perturbed quantity", ""),
    _variable("drawn_unit", ("drawn_quantity",), "string", "", "unit of the quantity", ""),
    _variable("subcarrier", ("subcarrier",), "float64", "Hz", "offset from the carrier", _NAN),
)  # fmt: skip

VARIABLES: Mapping[str, Variable] = {variable.name: variable for variable in _TABLE}
ALWAYS = ("position", "status")
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
FINGERPRINT_VARIABLES = ("rss", "rtt")


Name = Annotated[str, Field(min_length=1)]
Vector = tuple[float, float, float]


class DrawnQuantity(StrictModel):
    """One perturbed quantity over all realisations.

    Args:
        name: ``quantity[element]``.
        unit: unit of the values; ``1`` for indices and yes/no.
        values: one number a realisation; an index into `categories` where that is not empty.
        categories: names behind the indices.
    """

    name: Name
    unit: str
    values: tuple[float, ...]
    categories: tuple[str, ...] = ()


class SiteSpec(StrictModel):
    """Everything that fixes a site's size, layout and content; its digest tells two sites apart.

    Args:
        title: what the site is, in words.
        origin: ``simulated`` or ``measured``.
        realisations: one label a realisation (or a campaign of a real data set).
        points: number of receiver points.
        access_points: names of the APs.
        variables: the variables written by jobs, beside ``position`` and ``status``.
        ap_position_m: (realisation, ap, 3), metres; see `ap_positions`.
        snapshots: scans a point, over all visits; needed by ``rss`` and ``rtt``.
        visits: receivers that went through each realisation, one after the other along the
            snapshots; the scans of a visit share the device's biases and the clutter.
        paths: paths kept a link; needed by the path variables.
        subcarriers: number of subcarriers, centred on the carrier; needed by ``csi``.
        subcarrier_spacing_hz: their spacing.
        drawn: the perturbed quantities, see `drawn_quantities`.
        split: (point,) 0 none, 1 reference, 2 test; empty where there is no official split.
        shard_points: points a job writes; the last block of a realisation may be smaller.
        config: whatever else decides the content (seeds, settings, digests of inputs), as JSON.
        attributes: group attributes for the reader (licence, citation, assumptions).
    """

    title: str
    origin: Literal["simulated", "measured"]
    realisations: tuple[Name, ...] = Field(min_length=1)
    points: int = Field(ge=1)
    access_points: tuple[Name, ...] = Field(min_length=1)
    variables: tuple[str, ...]
    ap_position_m: tuple[tuple[Vector, ...], ...]
    snapshots: int = Field(default=0, ge=0)
    visits: int = Field(default=1, ge=1)
    paths: int = Field(default=0, ge=0)
    subcarriers: int = Field(default=0, ge=0)
    subcarrier_spacing_hz: float = Field(default=0.0, ge=0.0)
    drawn: tuple[DrawnQuantity, ...] = ()
    split: tuple[Annotated[int, Field(ge=0, le=2)], ...] = ()
    shard_points: int = Field(default=256, ge=1)
    config: dict[str, JsonValue]
    attributes: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agree(self) -> SiteSpec:
        problems = []
        for name in self.variables:
            variable = VARIABLES.get(name)
            if variable is None or not variable.by_job or name in ALWAYS:
                problems.append(f"{name!r} is not a variable that a site may choose")
            else:
                empty = [dim for dim in variable.dims if self.sizes[dim] == 0]
                problems += [f"{name} needs a {dim} dimension greater than zero" for dim in empty]
        for field, names in (
            ("variables", self.variables),
            ("realisations", self.realisations),
            ("access_points", self.access_points),
            ("drawn", tuple(quantity.name for quantity in self.drawn)),
        ):
            if len(set(names)) != len(names):
                problems.append(f"{field} names something twice")
        count, aps = len(self.realisations), len(self.access_points)
        if [len(row) for row in self.ap_position_m] != [aps] * count:
            problems.append(f"ap_position_m must have the shape ({count}, {aps}, 3)")
        problems += [
            f"drawn {quantity.name} must have {count} values"
            for quantity in self.drawn
            if len(quantity.values) != count
        ]
        if self.snapshots % self.visits:
            problems.append(f"snapshots must be a multiple of visits, {self.visits}")
        if self.split and len(self.split) != self.points:
            problems.append(f"split must be empty or have {self.points} entries")
        taken = sorted(set(self.attributes) & RESERVED_ATTRIBUTES)
        if taken:
            problems.append(f"attributes may not use the names {', '.join(taken)}")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def sizes(self) -> dict[DimensionName, int]:
        """Length of each dimension; zero where the site has none."""
        return {
            "realisation": len(self.realisations),
            "point": self.points,
            "ap": len(self.access_points),
            "snapshot": self.snapshots,
            "path": self.paths,
            "subcarrier": self.subcarriers,
            "xyz": 3,
            "drawn_quantity": len(self.drawn),
        }

    @property
    def block_points(self) -> int:
        """Points of one whole block: never more than the site has."""
        return min(self.shard_points, self.points)

    @property
    def job_variables(self) -> tuple[str, ...]:
        """Names of the variables that jobs write, sorted."""
        return tuple(sorted({*ALWAYS, *self.variables}))

    @property
    def digest(self) -> str:
        """SHA-256 over the spec and the schema version: the site's config digest."""
        return json_digest([SCHEMA_VERSION, self.model_dump(mode="json")])


# Set by the store itself.
RESERVED_ATTRIBUTES = frozenset(
    {"Conventions", "schema", "site", "title", "origin", "spec", "config_digest", "published",
     "digest", "provenance", "coordinates", "traced"}
)  # fmt: skip


@dataclass(frozen=True)
class ArrayTemplate:
    """How one variable lies on disk; `shards` is None where each chunk is a file of its own."""

    variable: Variable
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    attrs: Mapping[str, JsonValue]


def template(spec: SiteSpec) -> dict[str, ArrayTemplate]:
    """The arrays of a site, by name, at full size.

    A file (shard, or chunk where that is the whole block) holds one realisation and one block of
    points, so that two jobs never write the same file.
    """
    return {
        name: _array_template(VARIABLES[name], spec)
        for name in sorted([*spec.job_variables, *static_values(spec)])
    }


def _array_template(variable: Variable, spec: SiteSpec) -> ArrayTemplate:
    shape = tuple(spec.sizes[dim] for dim in variable.dims)
    attrs: dict[str, JsonValue] = {"long_name": variable.long_name}
    if variable.unit:
        attrs["units"] = variable.unit
    attrs |= variable.attrs
    if variable.name == "drawn":
        attrs["categories"] = {q.name: list(q.categories) for q in spec.drawn if q.categories}
    if not variable.by_job:
        return ArrayTemplate(variable, shape, shape, None, attrs)
    row_bytes = int(np.prod(shape[2:], dtype=np.int64)) * np.dtype(variable.dtype).itemsize
    rows = min(spec.block_points, max(1, CHUNK_BYTES // row_bytes))
    if spec.points > spec.shard_points:
        rows = _divisor_below(spec.block_points, rows)
        file_rows = spec.block_points
    else:
        # The only block of a realisation may overhang the end: no other job writes there.
        file_rows = -(-spec.block_points // rows) * rows
    chunks, file = (1, rows, *shape[2:]), (1, file_rows, *shape[2:])
    return ArrayTemplate(variable, shape, chunks, None if chunks == file else file, attrs)


def _divisor_below(number: int, limit: int) -> int:
    """Largest divisor of `number` that is at most `limit`: a shard must hold whole chunks."""
    return max(divisor for divisor in range(1, limit + 1) if number % divisor == 0)


def static_values(spec: SiteSpec) -> dict[str, npt.NDArray[np.generic]]:
    """Values of the variables that no job writes, by name."""
    text = StringDType()
    values: dict[str, npt.NDArray[np.generic]] = {
        "ap": np.array(spec.access_points, dtype=text),
        "xyz": np.array(["x", "y", "z"], dtype=text),
        "realisation_label": np.array(spec.realisations, dtype=text),
        "ap_position": np.array(spec.ap_position_m, dtype=np.float64),
        "split": np.array(spec.split or [0] * spec.points, dtype=np.int8),
    }
    if spec.snapshots:
        visits = np.arange(spec.visits, dtype=np.int32)
        values["visit"] = np.repeat(visits, spec.snapshots // spec.visits)
    if "csi" in spec.variables:
        offsets = np.arange(spec.subcarriers) - spec.subcarriers // 2
        values["subcarrier"] = offsets * spec.subcarrier_spacing_hz
    if spec.drawn:
        values["drawn"] = np.array([q.values for q in spec.drawn], dtype=np.float64).T
        values["drawn_quantity"] = np.array([q.name for q in spec.drawn], dtype=text)
        values["drawn_unit"] = np.array([q.unit for q in spec.drawn], dtype=text)
    return values


def site_attributes(site: str, spec: SiteSpec) -> dict[str, JsonValue]:
    """Attributes of a site's group that follow from its spec."""
    coordinates = [
        "realisation_label",
        *(["drawn_unit"] if spec.drawn else []),
        *(["visit"] if spec.snapshots else []),
    ]
    return {
        **spec.attributes,
        "Conventions": CONVENTIONS,
        "schema": SCHEMA_VERSION,
        "site": site,
        "title": spec.title,
        "origin": spec.origin,
        "spec": spec.model_dump_json(),
        "config_digest": spec.digest,
        "coordinates": " ".join(coordinates),
    }


def ap_positions(positions_m: npt.ArrayLike) -> tuple[tuple[Vector, ...], ...]:
    """AP positions (realisation, ap, 3) of all realisations as a spec holds them."""
    return tuple(
        tuple((float(x), float(y), float(z)) for x, y, z in realisation)
        for realisation in np.asarray(positions_m, dtype=np.float64)
    )


def drawn_quantities(
    draws: Sequence[Mapping[str, float | bool | str]], units: Mapping[str, str]
) -> tuple[DrawnQuantity, ...]:
    """Draws of all realisations as numbers.

    Args:
        draws: one map a realisation, ``quantity[element]`` to its value; all have the same keys.
        units: unit by ``quantity[element]`` or by ``quantity``; ``1`` where none is given.

    Returns:
        Quantities in name order. Text becomes the index among the sorted values that occur, yes/no
        becomes 1/0.
    """
    quantities = []
    for name in sorted({name for draw in draws for name in draw}):
        values = [draw[name] for draw in draws]
        text = [value for value in values if isinstance(value, str)]
        categories = tuple(sorted(set(text)))
        numbers = tuple(
            float(categories.index(value) if isinstance(value, str) else value) for value in values
        )
        unit = units.get(name, units.get(name.partition("[")[0], "1"))
        if any(isinstance(value, bool) for value in values):
            categories = ("no", "yes")
        quantities.append(
            DrawnQuantity(
                name=name, unit="1" if categories else unit, values=numbers, categories=categories
            )
        )
    return tuple(quantities)


def canonical_json(content: object) -> str:
    """One spelling for equal content: sorted keys, no spaces, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def json_digest(content: object) -> str:
    """SHA-256 of `canonical_json`."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
