"""What a user says of a CSV file of measurements: the mapping file, as a strict model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from twin.config import StrictModel
from twin.errors import Fault

FILL_IN = "FILL IN"
LABELS = ("building", "floor", "space", "device", "surveyor")

LengthUnit = Literal["m", "cm", "mm", "ft"]
METRES: dict[str, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048}


class CsvFormat(StrictModel):
    """How the text is laid out; the first row holds the names of the columns.

    Args:
        delimiter: what parts the cells.
        decimal: decimal mark.
        encoding: name of the encoding, as Python knows it.
    """

    delimiter: Literal[",", ";", "\t", "|"] = ","
    decimal: Literal[".", ","] = "."
    encoding: str = "utf-8"

    @model_validator(mode="after")
    def _differ(self) -> CsvFormat:
        if self.delimiter == self.decimal:
            raise ValueError("delimiter and decimal must differ")
        return self


class PositionColumns(StrictModel):
    """Where the receiver stood.

    Args:
        x: column.
        y: column.
        z: column; heights are zero where not given.
        unit: of all of them.
        offset_m: added to the positions after they are in metres, and to those of access points.
        far_apart: whether points that look like two units in one column really lie that far apart.
    """

    x: str
    y: str
    z: str | None = None
    unit: LengthUnit = "m"
    offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    far_apart: bool = False


class Readings(StrictModel):
    """Columns with one reading an access point.

    Args:
        columns: their names; or
        pattern: a pattern for their names, with ``*`` for anything.
        prefix: beginning of a column's name that is not part of the access point's.
        suffix: end of a column's name that is not part of the access point's.
        not_heard: numbers or texts that stand for nothing heard; ``""`` is an empty cell.
    """

    columns: tuple[str, ...] = ()
    pattern: str | None = None
    prefix: str = ""
    suffix: str = ""
    not_heard: tuple[float | str, ...] = ()

    @model_validator(mode="after")
    def _either(self) -> Readings:
        if bool(self.columns) == (self.pattern is not None):
            raise ValueError("either columns or pattern must be given")
        return self


class RssColumns(Readings):
    """Received signal strength.

    Args:
        unit: of all columns.
        zero_is_heard: whether 0 is a reading, and no mark of nothing heard.
    """

    unit: Literal["dBm"]
    zero_is_heard: bool = False


class RttColumns(Readings):
    """Ranges by round-trip time; ``ns`` is the time there and back."""

    unit: Literal["m", "cm", "mm", "ft", "ns"]


class SplitColumn(StrictModel):
    """Which rows are reference and which are test.

    Args:
        column: its name.
        reference: values for reference points.
        test: values for test points.
        none: values for points of neither kind.
    """

    column: str
    reference: tuple[str, ...] = Field(min_length=1)
    test: tuple[str, ...] = ()
    none: tuple[str, ...] = ()


class TimeColumn(StrictModel):
    """When a row was measured.

    Args:
        column: its name.
        format: ``iso8601``, ``unix_s``, ``unix_ms``, or a pattern such as ``%d.%m.%Y %H:%M:%S``.
        utc_offset_h: hours ahead of UTC of times that do not say it themselves.
    """

    column: str
    format: str = Field(default="iso8601", pattern="^(iso8601|unix_s|unix_ms|FILL IN|.*%.*)$")
    utc_offset_h: float = Field(default=0.0, ge=-14, le=14)


class AccessPointPositions(StrictModel):
    """Where the access points stand, in the file or here.

    Args:
        file: a CSV with the columns name, x, y and perhaps z, laid out as the measurements; its
            path is taken from the mapping's folder.
        positions: name -> (x, y) or (x, y, z).
        unit: of all of them.
    """

    file: str | None = None
    positions: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    unit: LengthUnit = "m"

    @model_validator(mode="after")
    def _either(self) -> AccessPointPositions:
        if bool(self.positions) == (self.file is not None):
            raise ValueError("either file or positions must be given")
        wrong = [name for name, xyz in self.positions.items() if len(xyz) not in (2, 3)]
        if wrong:
            raise ValueError(f"two or three numbers a position must be given ({', '.join(wrong)})")
        return self


class CsvMapping(StrictModel):
    """What the columns of a CSV file mean.

    Args:
        site: name of the site in the store.
        title: what the site is, in words.
        source: where the data comes from.
        licence: its terms, if possible as SPDX identifier.
        citation: what to cite.
        csv: layout of the text.
        position: columns of the receiver's position.
        rss: columns of signal strengths.
        rtt: columns of ranges.
        point: column that names the surveyed point; where not given, rows with the same position
            and labels are scans of one point.
        split: column that parts reference from test.
        time: column of the time; each row is a point of its own then.
        trajectory: column that names the walk; each row is a point of its own then.
        building: column, likewise floor, space, device and surveyor.
        access_points: where they stand; all or none.
    """

    site: str = Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]*|FILL IN)$")
    title: str = Field(min_length=1)
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    citation: tuple[str, ...] = ()
    csv: CsvFormat = CsvFormat()
    position: PositionColumns
    rss: RssColumns | None = None
    rtt: RttColumns | None = None
    point: str | None = None
    split: SplitColumn | None = None
    time: TimeColumn | None = None
    trajectory: str | None = None
    building: str | None = None
    floor: str | None = None
    space: str | None = None
    device: str | None = None
    surveyor: str | None = None
    access_points: AccessPointPositions | None = None

    @model_validator(mode="after")
    def _something_heard(self) -> CsvMapping:
        if self.rss is None and self.rtt is None:
            raise ValueError("rss or rtt must be given")
        return self

    @property
    def walks(self) -> bool:
        """Whether each row is a point of its own."""
        return self.time is not None or self.trajectory is not None

    @property
    def single_columns(self) -> dict[str, str]:
        """Columns that are named one by one: key in the mapping -> name of the column."""
        named = {f"position.{axis}": getattr(self.position, axis) for axis in "xyz"}
        named |= {key: getattr(self, key) for key in ("point", "trajectory", *LABELS)}
        named["split.column"] = self.split.column if self.split else None
        named["time.column"] = self.time.column if self.time else None
        return {key: name for key, name in named.items() if name is not None}


def unfilled(mapping: CsvMapping, where: str) -> list[Fault]:
    """The places of a suggested mapping that nobody has filled in yet."""
    cure = f"Replace {FILL_IN!r} in the mapping."

    def search(value: object, key: str) -> list[Fault]:
        if isinstance(value, dict):
            parts = value.items()
        elif isinstance(value, list):
            parts = ((str(index), part) for index, part in enumerate(value))  # type: ignore[assignment]
        else:
            expected = "your own words or a column's name"
            return [Fault(where, key, expected, repr(value), cure)] if value == FILL_IN else []
        return [
            fault
            for name, part in parts
            for fault in search(part, f"{key}.{name}" if key else str(name))
        ]

    return search(mapping.model_dump(mode="json"), "")
