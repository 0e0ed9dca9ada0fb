"""What differs between two stores, as plain values, as JSON and as text."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

from pydantic import JsonValue

from twin.store.pieces import short

_ENTRIES_SHOWN = 20
_VALUE_CHARACTERS = 60


@dataclass(frozen=True)
class Entry:
    """A key of the settings or attributes with other values on the two sides.

    Args:
        key: path of the key, joined by dots.
        left: value there; None also where there is none.
        right: the same of the other side.
        absent: ``left`` or ``right`` where that side does not have the key at all.
    """

    key: str
    left: JsonValue
    right: JsonValue
    absent: str = ""


@dataclass(frozen=True)
class VariableDifference:
    """How one variable differs, over the cells that are finished on both sides.

    Args:
        name: of the variable; channels are compared as ``csi``, at whatever precision they lie.
        unit: of the differences; empty for labels and flags. Angles a turn apart are equal in
            `largest_absolute` and `rms`.
        of_jobs: what jobs say of their blocks, such as how a search went; no part of the content.
        left_shape: on the left.
        right_shape: on the right; values are compared only where shapes agree.
        cells: compared, those known as equal by digest included.
        differing: cells with other values; NaN equals NaN.
        nan_left: cells that are NaN on the left only.
        nan_right: cells that are NaN on the right only.
        largest_absolute: largest |left - right| over the cells that were read and are NaN on
            neither side; None: there are none. The next three are over the same cells.
        largest_relative: largest |left - right| / max(|left|, |right|).
        rms: root mean square of left - right.
        nmse_db: of complex variables, sum of |left - right|^2 over sum of |left|^2, in dB; None
            where all are equal, or all are zero on the left.
        first: the first cell that differs, with both values.
        blocks: of job size.
        blocks_by_digest: how many of them were not read, because both receipts have one digest.
    """

    name: str
    unit: str
    of_jobs: bool
    left_shape: tuple[int, ...]
    right_shape: tuple[int, ...]
    cells: int = 0
    differing: int = 0
    nan_left: int = 0
    nan_right: int = 0
    largest_absolute: float | None = None
    largest_relative: float | None = None
    rms: float | None = None
    nmse_db: float | None = None
    first: str = ""
    blocks: int = 0
    blocks_by_digest: int = 0

    @property
    def equal(self) -> bool:
        """Whether all cells compared are equal, and none is left."""
        return self.left_shape == self.right_shape and not self.differing


@dataclass(frozen=True)
class SiteDifference:
    """How a site that both stores have differs.

    Args:
        site: name.
        settings: keys of the spec with other values; arrays of numbers (positions and powers of
            access points, drawn values) are compared as variables instead.
        attributes: keys of ``traced`` and of the provenance with other values.
        only_left: variables that the right side does not have.
        only_right: variables that the left side does not have.
        variables: how each common variable differs or not.
        unfinished_left: points that no job has finished on the left; not compared.
        unfinished_right: the same of the right.
    """

    site: str
    settings: tuple[Entry, ...]
    attributes: tuple[Entry, ...]
    only_left: tuple[str, ...]
    only_right: tuple[str, ...]
    variables: tuple[VariableDifference, ...]
    unfinished_left: int
    unfinished_right: int

    @property
    def same_content(self) -> bool:
        """Whether a reader gets the same numbers from both."""
        unfinished = self.unfinished_left or self.unfinished_right
        sides = self.only_left or self.only_right
        return not unfinished and not sides and all(v.equal or v.of_jobs for v in self.variables)

    @property
    def equal(self) -> bool:
        """Whether settings agree, too; how a site was made does not count."""
        return self.same_content and not self.settings


@dataclass(frozen=True)
class StoreDifference:
    """How two stores differ.

    Args:
        left: path or URL.
        right: path or URL.
        only_left: sites that the right store does not have.
        only_right: sites that the left store does not have.
        sites: how those in both differ or not.
    """

    left: str
    right: str
    only_left: tuple[str, ...]
    only_right: tuple[str, ...]
    sites: tuple[SiteDifference, ...]

    @property
    def same_content(self) -> bool:
        """Whether a reader gets the same numbers from both."""
        sides = self.only_left or self.only_right
        return not sides and all(site.same_content for site in self.sites)

    @property
    def equal(self) -> bool:
        """Whether settings agree, too; how a site was made does not count."""
        return self.same_content and all(site.equal for site in self.sites)

    def to_json(self) -> str:
        """Everything as JSON."""
        plain = asdict(self)
        for site, found in zip(self.sites, plain["sites"], strict=True):
            found |= {"same_content": site.same_content, "equal": site.equal}
            for variable, numbers in zip(site.variables, found["variables"], strict=True):
                numbers["equal"] = variable.equal
        plain |= {"same_content": self.same_content, "equal": self.equal}
        return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False)

    def to_text(self) -> str:
        """For a person: the verdict first, then what differs, by site."""
        lines = [f"left:  {self.left}", f"right: {self.right}", "", self._verdict()]
        lines += [f"site {name}: on the left only" for name in self.only_left]
        lines += [f"site {name}: on the right only" for name in self.only_right]
        for site in self.sites:
            lines += ["", *_site_lines(site)]
        return "\n".join(lines)

    def _verdict(self) -> str:
        if self.equal:
            return "Equal: settings and content."
        if self.same_content:
            return "Equal content; settings differ."
        return "The content differs."


def entries(left: JsonValue, right: JsonValue, key: str = "") -> list[Entry]:
    """Keys at which two JSON values differ; lists of one length are compared item by item."""
    if isinstance(left, dict) and isinstance(right, dict):
        found = []
        for name in [*left, *(name for name in right if name not in left)]:
            inner = f"{key}.{name}" if key else name
            if name not in left:
                found.append(Entry(inner, None, right[name], absent="left"))
            elif name not in right:
                found.append(Entry(inner, left[name], None, absent="right"))
            else:
                found += entries(left[name], right[name], inner)
        return found
    if isinstance(left, list) and isinstance(right, list) and _by_item(left, right):
        return entries(_numbered(left), _numbered(right), key)
    return [] if left == right else [Entry(key, left, right)]


def _by_item(left: list[JsonValue], right: list[JsonValue]) -> bool:
    """Whether items at one place belong together: equally many, or records that were added to."""
    records = all(isinstance(item, dict) for item in (*left, *right))
    return len(left) == len(right) or records


def _numbered(items: list[JsonValue]) -> dict[str, JsonValue]:
    return {str(index): item for index, item in enumerate(items)}


def _site_lines(site: SiteDifference) -> list[str]:
    verdict = "content differs"
    if site.same_content:
        verdict = "equal" if site.equal else "equal content, settings differ"
    lines = [f"site {site.site}: {verdict}"]
    for side, count in (("left", site.unfinished_left), ("right", site.unfinished_right)):
        if count:
            lines.append(f"  {count:,} points are not finished on the {side}: not compared")
    for side, names in (("left", site.only_left), ("right", site.only_right)):
        if names:
            lines.append(f"  variables on the {side} only: {', '.join(names)}")
    lines += _entry_lines("settings", site.settings)
    lines += _entry_lines("how it was made", site.attributes)
    lines += _variable_lines(site.variables)
    return lines


def _entry_lines(title: str, found: tuple[Entry, ...]) -> list[str]:
    if not found:
        return []
    lines = [f"  {title} (left | right)"]
    for entry in found[:_ENTRIES_SHOWN]:
        left, right = (
            "(nothing)" if entry.absent == side else short(repr(value), _VALUE_CHARACTERS)
            for side, value in (("left", entry.left), ("right", entry.right))
        )
        lines.append(f"    {entry.key}: {left} | {right}")
    if len(found) > _ENTRIES_SHOWN:
        lines.append(f"    ... and {len(found) - _ENTRIES_SHOWN} more keys")
    return lines


def _variable_lines(variables: tuple[VariableDifference, ...]) -> list[str]:
    odd = [v for v in variables if v.left_shape != v.right_shape and not v.of_jobs]
    cut = [v.name for v in variables if v.left_shape != v.right_shape and v.of_jobs]
    other = [v for v in variables if not v.equal and v.left_shape == v.right_shape]
    same = [v for v in variables if v.equal]
    lines = [f"  {v.name}: shapes {v.left_shape} | {v.right_shape}, not compared" for v in odd]
    if cut:
        lines.append(f"  {', '.join(cut)}: said of blocks that are cut otherwise, not compared")
    if other:
        lines += [f"  {line}" for line in _table(other)]
        lines += [f"  {v.name}: first at {v.first}" for v in other]
        for v in other:
            if v.nan_left or v.nan_right:
                sides = f"{v.nan_left:,} on the left only, {v.nan_right:,} on the right only"
                lines.append(f"  {v.name}: NaN in {sides}")
    if same:
        lines.append(f"  equal: {', '.join(v.name for v in same)}")
    blocks = sum(v.blocks for v in variables)
    unread = sum(v.blocks_by_digest for v in variables)
    if unread:
        lines.append(
            f"  {unread:,} of {blocks:,} blocks were not read: the receipts of both sides have one "
            "digest for them"
        )
    return lines


def _table(variables: list[VariableDifference]) -> list[str]:
    rows = [["variable", "cells", "differ", "largest |l - r|", "rms", "relative", "NMSE"]]
    for v in variables:
        # Of labels and flags only the count means something, of levels no ratio does.
        number = bool(v.unit)
        ratio = number and v.unit not in {"dB", "rad"}
        unit = f" {v.unit}" if v.unit not in {"", "1"} else ""
        share = 100.0 * v.differing / v.cells
        rows.append(
            [
                v.name,
                f"{v.cells:,}",
                "all" if v.differing == v.cells else f"{v.differing:,} ({share:.3g} %)",
                _number(v.largest_absolute, unit) if number else "",
                _number(v.rms, unit) if number else "",
                _number(v.largest_relative, "") if ratio else "",
                "" if v.nmse_db is None else f"{v.nmse_db:.1f} dB",
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _number(value: float | None, unit: str) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.3g}{unit}"
