"""How a site lies on disk: shapes, chunks, shards, codecs and attributes of every array.

Measured in `benchmarks.store`: plain chunks of some megabytes are written and read at the speed of
memory, and a training loop that draws whole chunks in random order is fed from them. Compression
costs a factor of three or more in speed and saves little of a channel, half of the paths, and far
more where most cells are empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.dtypes import StringDType
from pydantic import JsonValue
from zarr.codecs import BloscCodec

from twin.store.schema import CONVENTIONS, SCHEMA_VERSION, VARIABLES, Variable
from twin.store.spec import SiteSpec

# One chunk is what a reader decodes to get one row: large enough to be cheap, small enough to skip.
FAST_CHUNK_BYTES = 8 * 1024 * 1024
COMPACT_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ArrayTemplate:
    """How one variable lies on disk.

    Args:
        variable: its row of the schema.
        shape: at full size.
        chunks: what is encoded at once.
        shards: what is a file; None where each chunk is a file of its own.
        compressed: whether chunks are compressed.
        attrs: attributes of the array.
    """

    variable: Variable
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    compressed: bool
    attrs: Mapping[str, JsonValue]

    @property
    def plain(self) -> bool:
        """Whether a chunk's bytes in memory are the bytes of its file."""
        return self.shards is None and not self.compressed and self.variable.dtype != "string"

    @property
    def compressor(self) -> BloscCodec | None:
        """Codec of the chunks: bits of equal weight together; a complex number is two floats."""
        if not self.compressed:
            return None
        dtype = np.dtype(self.variable.dtype)
        size = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
        return BloscCodec(
            cname="zstd", clevel=1, shuffle="bitshuffle" if size > 1 else "noshuffle", typesize=size
        )

    @property
    def fill(self) -> float | int | str | complex:
        """Value of a cell that nobody has written."""
        fill = self.variable.fill
        if self.variable.dtype.startswith("complex"):
            return complex(fill, fill) if isinstance(fill, float) else complex(fill)
        return fill


def template(spec: SiteSpec) -> dict[str, ArrayTemplate]:
    """The arrays of a site, by name, at full size.

    A file holds points of one job only, so that two jobs never write the same file.
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
    if variable.name == "time":
        attrs |= {"units": f"seconds since {spec.time_origin}", "calendar": "proleptic_gregorian"}
    if variable.by_block:
        return ArrayTemplate(variable, shape, (1, 1, *shape[2:]), None, False, attrs)
    if not variable.by_point:
        return ArrayTemplate(variable, shape, shape, None, False, attrs)
    compact = spec.layout == "compact"
    row_bytes = int(np.prod(shape[2:], dtype=np.int64)) * np.dtype(variable.dtype).itemsize
    limit = (COMPACT_CHUNK_BYTES if compact else FAST_CHUNK_BYTES) // row_bytes
    rows = min(spec.block_points, max(1, limit))
    if spec.points > spec.shard_points:
        rows = _divisor_near(spec.block_points, rows)
    # The only block of a realisation may overhang the end: no other job writes there.
    chunks = (1, rows, *shape[2:])
    block = (1, -(-spec.block_points // rows) * rows, *shape[2:])
    shards = block if compact and block != chunks else None
    return ArrayTemplate(variable, shape, chunks, shards, compact, attrs)


def _divisor_near(number: int, wanted: int) -> int:
    """Divisor of `number` nearest to `wanted` as a ratio: a block must hold whole chunks."""
    divisors = (divisor for divisor in range(1, number + 1) if number % divisor == 0)
    return min(divisors, key=lambda divisor: max(divisor / wanted, wanted / divisor))


def static_values(spec: SiteSpec) -> dict[str, npt.NDArray[np.generic]]:
    """Values of the variables that no job writes, by name."""
    text = StringDType()
    count, aps = len(spec.realisations), len(spec.access_points)
    unknown = np.full((count, aps, 3), np.nan)
    values: dict[str, npt.NDArray[np.generic]] = {
        "ap": np.array(spec.access_points, dtype=text),
        "xyz": np.array(["x", "y", "z"], dtype=text),
        "realisation_label": np.array(spec.realisations, dtype=text),
        "ap_position": np.array(spec.ap_position_m) if spec.ap_position_m else unknown,
    }
    if spec.ap_orientation_rad:
        values["ap_orientation"] = np.array(spec.ap_orientation_rad)
        values["angle"] = np.array(["yaw", "pitch", "roll"], dtype=text)
    if spec.ap_frequency_hz:
        values["ap_frequency"] = np.array(spec.ap_frequency_hz)
    if spec.ap_power_dbm:
        values["ap_power"] = np.array(spec.ap_power_dbm)
    if spec.snapshots:
        visits = np.arange(spec.visits, dtype=np.int32)
        values["visit"] = np.repeat(visits, spec.snapshots // spec.visits)
    if spec.subcarriers:
        offsets = np.arange(spec.subcarriers) - spec.subcarriers // 2
        values["subcarrier"] = offsets * spec.subcarrier_spacing_hz
    if spec.precision != "complex64":
        values["part"] = np.array(["real", "imaginary"], dtype=text)
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
