"""Everything that fixes a site: its size, layout and what decides its content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue, model_validator

from twin.config import StrictModel
from twin.store.content import json_digest
from twin.store.schema import (
    ALWAYS,
    PACKED_CSI,
    SCHEMA_VERSION,
    VARIABLES,
    DimensionName,
)

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
        realisations: one label a realisation (or a campaign or month of a real data set).
        points: number of receiver points; where realisations differ, of the largest.
        access_points: names of the APs.
        variables: the variables written by jobs, beside ``position`` and ``status``; ``csi`` is the
            channel at whatever `precision`.
        ap_position_m: (realisation, ap, 3), metres, see `vectors`; empty where not known.
        ap_orientation_rad: (realisation, ap, 3), yaw, pitch, roll; empty: none is kept.
        ap_frequency_hz: (ap,) carrier frequencies; empty: none are kept.
        ap_power_dbm: (ap,) transmit powers; empty: none are kept.
        snapshots: scans a point, over all visits; needed by what a receiver reports.
        visits: receivers that went through each realisation, one after the other along the
            snapshots; the scans of a visit share the device's biases and the clutter.
        paths: paths kept a link; needed by the path variables.
        rx_antennas: antenna ports of a receiver.
        ap_antennas: antenna ports of an AP.
        subcarriers: number of subcarriers, centred on the carrier; needed by channels.
        subcarrier_spacing_hz: their spacing.
        drawn: the perturbed quantities, see `drawn_quantities`.
        time_origin: what ``time`` counts its seconds from, ISO 8601 with zone; for simulated walks
            any.
        shard_points: points a job writes; the last block of a realisation may be smaller.
        layout: ``fast``: plain chunks, for writing in bulk and feeding training; ``compact``:
            compressed, few files, for keeping and sharing. No layout changes the content.
        precision: of the channel: ``complex64``, or scaled ``int16`` or ``float16``.
        config: whatever else decides the content (seeds, settings, digests of inputs), as JSON.
        attributes: group attributes for the reader (licence, citation, assumptions).
    """

    title: str
    origin: Literal["simulated", "measured"]
    realisations: tuple[Name, ...] = Field(min_length=1)
    points: int = Field(ge=1)
    access_points: tuple[Name, ...] = Field(min_length=1)
    variables: tuple[str, ...]
    ap_position_m: tuple[tuple[Vector, ...], ...] = ()
    ap_orientation_rad: tuple[tuple[Vector, ...], ...] = ()
    ap_frequency_hz: tuple[float, ...] = ()
    ap_power_dbm: tuple[float, ...] = ()
    snapshots: int = Field(default=0, ge=0)
    visits: int = Field(default=1, ge=1)
    paths: int = Field(default=0, ge=0)
    rx_antennas: int = Field(default=1, ge=1)
    ap_antennas: int = Field(default=1, ge=1)
    subcarriers: int = Field(default=0, ge=0)
    subcarrier_spacing_hz: float = Field(default=0.0, ge=0.0)
    drawn: tuple[DrawnQuantity, ...] = ()
    time_origin: str = Field(
        default="1970-01-01T00:00:00Z", pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
    )
    shard_points: int = Field(default=256, ge=1)
    layout: Literal["fast", "compact"] = "fast"
    precision: Literal["complex64", "int16", "float16"] = "complex64"
    config: dict[str, JsonValue]
    attributes: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agree(self) -> SiteSpec:
        problems = [*self._variable_problems(), *self._size_problems()]
        for field, names in (
            ("variables", self.variables),
            ("realisations", self.realisations),
            ("access_points", self.access_points),
            ("drawn", tuple(quantity.name for quantity in self.drawn)),
        ):
            if len(set(names)) != len(names):
                problems.append(f"{field} names something twice")
        if self.snapshots % self.visits:
            problems.append(f"snapshots must be a multiple of visits, {self.visits}")
        if self.precision != "complex64" and "csi" not in self.variables:
            problems.append(f"precision {self.precision} needs the variable csi")
        taken = sorted(set(self.attributes) & RESERVED_ATTRIBUTES)
        if taken:
            problems.append(f"attributes may not use the names {', '.join(taken)}")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _variable_problems(self) -> list[str]:
        problems = []
        packed = {name for names in PACKED_CSI.values() for name in names}
        for name in self.variables:
            variable = VARIABLES.get(name)
            if variable is None or not variable.by_job or name in {*ALWAYS, *packed}:
                problems.append(f"{name!r} is not a variable that a site may choose")
            else:
                empty = [dim for dim in variable.dims if self.sizes[dim] == 0]
                problems += [f"{name} needs a {dim} dimension greater than zero" for dim in empty]
        return problems

    def _size_problems(self) -> list[str]:
        count, aps = len(self.realisations), len(self.access_points)
        problems = [
            f"{field} must be empty or have the shape ({count}, {aps}, 3)"
            for field in ("ap_position_m", "ap_orientation_rad")
            if getattr(self, field) and [len(row) for row in getattr(self, field)] != [aps] * count
        ]
        problems += [
            f"{field} must be empty or have {aps} values"
            for field in ("ap_frequency_hz", "ap_power_dbm")
            if len(getattr(self, field)) not in (0, aps)
        ]
        problems += [
            f"drawn {quantity.name} must have {count} values"
            for quantity in self.drawn
            if len(quantity.values) != count
        ]
        return problems

    @property
    def sizes(self) -> dict[DimensionName, int]:
        """Length of each dimension; zero where the site has none."""
        return {
            "realisation": len(self.realisations),
            "point": self.points,
            "block": -(-self.points // self.shard_points),
            "ap": len(self.access_points),
            "snapshot": self.snapshots,
            "path": self.paths,
            "rx_antenna": self.rx_antennas,
            "ap_antenna": self.ap_antennas,
            "subcarrier": self.subcarriers,
            "part": 2,
            "xyz": 3,
            "angle": 3,
            "drawn_quantity": len(self.drawn),
        }

    @property
    def block_points(self) -> int:
        """Points of one whole block: never more than the site has."""
        return min(self.shard_points, self.points)

    @property
    def job_variables(self) -> tuple[str, ...]:
        """Names of the variables that jobs write as they are stored, sorted."""
        names = {*ALWAYS, *self.variables}
        if self.precision != "complex64":
            names = (names - {"csi"}) | {*PACKED_CSI[self.precision]}
        return tuple(sorted(names))

    @property
    def point_variables(self) -> tuple[str, ...]:
        """Those of `job_variables` that belong to points: the content."""
        return tuple(name for name in self.job_variables if VARIABLES[name].by_point)

    @property
    def block_variables(self) -> tuple[str, ...]:
        """Those of `job_variables` that belong to jobs, but for the receipt."""
        return tuple(
            name for name in self.job_variables if VARIABLES[name].by_block and name != "receipt"
        )

    @property
    def digest(self) -> str:
        """Digest over the spec and the schema version: the site's config digest."""
        return json_digest([SCHEMA_VERSION, self.model_dump(mode="json")])


# Set by the store itself.
RESERVED_ATTRIBUTES = frozenset(
    {"Conventions", "schema", "site", "title", "origin", "spec", "config_digest", "published",
     "digest", "provenance", "coordinates", "traced"}
)  # fmt: skip


def vectors(values: npt.ArrayLike) -> tuple[tuple[Vector, ...], ...]:
    """Positions or orientations (realisation, ap, 3) as a spec holds them."""
    return tuple(
        tuple((float(x), float(y), float(z)) for x, y, z in realisation)
        for realisation in np.asarray(values, dtype=np.float64)
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
