"""Comparing two stores: settings by key, data a piece of points at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from twin.errors import Fault, Gathered, refuse
from twin.store.content import AnyArray
from twin.store.differences import (
    Entry,
    SiteDifference,
    StoreDifference,
    VariableDifference,
    entries,
)
from twin.store.layout import Job, check_readable, site_names
from twin.store.location import StoreRef, storage
from twin.store.packing import unpack
from twin.store.pieces import SitePieces, named, number_text
from twin.store.schema import PACKED_CSI, VARIABLES, Variable
from twin.store.spec import SiteSpec
from twin.store.storage import Storage, reported
from twin.store.template import static_values

# Told by the variables that are made from them.
_AS_VARIABLES = ("ap_position_m", "ap_orientation_rad", "ap_frequency_hz", "ap_power_dbm")

# Beside the channel where it is kept with fewer bits; no loss where the other side has none.
_OF_PACKING = {"csi_scale", "csi_nmse"}


def diff(left: StoreRef, right: StoreRef, *, read_all: bool = False) -> StoreDifference:
    """What differs between two stores, of whatever kind each is, and by how much.

    Blocks for which both receipts have the same digest count as equal without being read, where
    both sides cut a site into the same blocks: what a disk did to the data later is for
    `twin.store.verify` to find. Of a site that is not published, only what is finished on both
    sides is compared. Data is read a piece of points at a time.

    Args:
        left: path or URL of a store.
        right: path or URL of another one.
        read_all: read and compare every block, whatever the receipts say.

    Raises:
        InputError: no store of ours at one of the places; both are named where both are wrong.
        StoreError: a site's metadata or data cannot be read.
    """
    places = storage(left), storage(right)
    faults: list[Fault] = []
    for place in places:
        with Gathered(faults):
            check_readable(place)
    refuse(faults)
    with reported(f"{places[0].url} or {places[1].url}"):
        names = [site_names(place) for place in places]
        common = [name for name in names[0] if name in names[1]]
        sites = [_site_difference(places, name, read_all=read_all) for name in common]
    return StoreDifference(
        left=places[0].url,
        right=places[1].url,
        only_left=tuple(name for name in names[0] if name not in common),
        only_right=tuple(name for name in names[1] if name not in common),
        sites=tuple(sites),
    )


def _site_difference(
    places: tuple[Storage, Storage], site: str, *, read_all: bool
) -> SiteDifference:
    left, right = (SitePieces(place, site) for place in places)
    names = _variable_names(left.spec), _variable_names(right.spec)
    done = finished_points(left), finished_points(right)
    return SiteDifference(
        site=site,
        settings=tuple(_settings(left.spec, right.spec)),
        attributes=tuple(entries(_making(left), _making(right))),
        only_left=tuple(sorted(names[0] - names[1] - _OF_PACKING)),
        only_right=tuple(sorted(names[1] - names[0] - _OF_PACKING)),
        variables=tuple(
            _Comparison(left, right, VARIABLES[name], read_all=read_all).result()
            for name in sorted(names[0] & names[1])
        ),
        unfinished_left=int(np.count_nonzero(~done[0])),
        unfinished_right=int(np.count_nonzero(~done[1])),
    )


def _variable_names(spec: SiteSpec) -> set[str]:
    """What is compared: the content, channels under one name; text is compared as settings."""
    static = {name for name, values in static_values(spec).items() if values.dtype.kind in "fiu"}
    stored = {*spec.point_variables, *spec.block_variables}
    packed = {names[0] for names in PACKED_CSI.values()}
    return {"csi" if name in packed else name for name in stored | static}


def _settings(left: SiteSpec, right: SiteSpec) -> list[Entry]:
    plain = []
    for spec in (left, right):
        content = cast(
            dict[str, JsonValue], spec.model_dump(mode="json", exclude=set(_AS_VARIABLES))
        )
        content["drawn"] = {
            quantity.name: {"unit": quantity.unit, "categories": list(quantity.categories)}
            for quantity in spec.drawn
        }
        plain.append(content)
    return entries(plain[0], plain[1])


def _making(site: SitePieces) -> dict[str, JsonValue]:
    return {name: site.attributes.get(name) for name in ("provenance", "traced")}


@dataclass
class _Sums:
    """Running figures over the cells compared."""

    cells: int = 0
    differing: int = 0
    nan_left: int = 0
    nan_right: int = 0
    both: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    squares: float = 0.0
    power: float = 0.0
    first: str = ""


class _Comparison:
    """One variable of a site on both sides."""

    def __init__(
        self, left: SitePieces, right: SitePieces, variable: Variable, *, read_all: bool
    ) -> None:
        self._left = left
        self._right = right
        self._variable = variable
        self._read_all = read_all
        self._sums = _Sums()
        self._blocks = 0
        self._unread = 0

    def result(self) -> VariableDifference:
        variable = self._variable
        shapes = [
            tuple(site.spec.sizes[dim] for dim in variable.dims)
            for site in (self._left, self._right)
        ]
        if shapes[0] == shapes[1]:
            if variable.by_job:
                self._compare_jobs()
            else:
                one, other = (s.read_whole(variable.name) for s in (self._left, self._right))
                self._compare(one, other, None)
        sums = self._sums
        return VariableDifference(
            name=variable.name,
            unit=_difference_unit(variable),
            of_jobs=variable.by_block,
            left_shape=shapes[0],
            right_shape=shapes[1],
            cells=sums.cells,
            differing=sums.differing,
            nan_left=sums.nan_left,
            nan_right=sums.nan_right,
            largest_absolute=sums.absolute if sums.both else None,
            largest_relative=sums.relative if sums.both else None,
            rms=float(np.sqrt(sums.squares / sums.both)) if sums.both else None,
            nmse_db=self._nmse_db(),
            first=sums.first,
            blocks=self._blocks,
            blocks_by_digest=self._unread,
        )

    def _nmse_db(self) -> float | None:
        sums = self._sums
        if not self._variable.dtype.startswith("complex") or not sums.squares or not sums.power:
            return None
        return float(10.0 * np.log10(sums.squares / sums.power))

    def _compare_jobs(self) -> None:
        left, right = self._left, self._right
        same_blocks = left.spec.shard_points == right.spec.shard_points
        if self._variable.by_block and not same_blocks:
            return
        right_done = finished_points(right)
        for job in left.receipts:
            done = right_done[job.realisation, job.points]
            if not done.any():
                continue
            self._blocks += 1
            if same_blocks and not self._read_all and self._one_digest(job):
                self._unread += 1
                self._sums.cells += self._cells_of(job)
            elif self._variable.by_block:
                one, other = (site.read_block(self._variable.name, job) for site in (left, right))
                index = np.array([job.block(left.spec)])
                self._compare(one[None], other[None], (job.realisation, index))
            else:
                self._compare_points(job, np.flatnonzero(done) + job.start)

    def _one_digest(self, job: Job) -> bool:
        """Whether the receipts of both sides have equal digests for all that the values are in."""
        names = stored_names(self._left.spec, self._variable.name)
        if names != stored_names(self._right.spec, self._variable.name):
            return False
        digests = [
            [site.receipts[job].digests.get(name) for name in names]
            for site in (self._left, self._right)
        ]
        return digests[0] == digests[1] and None not in digests[0]

    def _cells_of(self, job: Job) -> int:
        sizes = [self._left.spec.sizes[dim] for dim in self._variable.dims[2:]]
        points = job.stop - job.start if self._variable.by_point else 1
        return points * int(np.prod(sizes, dtype=np.int64))

    def _compare_points(self, job: Job, done: npt.NDArray[np.intp]) -> None:
        """The points of a job that are done on both sides."""
        name = self._variable.name
        for points in self._left.cut(job, stored_names(self._left.spec, name)):
            rows = done[(points.start <= done) & (done < points.stop)]
            # Between two runs of points lies what one side never wrote.
            for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
                if len(run):
                    span = slice(int(run[0]), int(run[-1]) + 1)
                    one, other = (
                        read_values(site, name, job.realisation, span)
                        for site in (self._left, self._right)
                    )
                    self._compare(one, other, (job.realisation, run))

    def _compare(
        self, left: AnyArray, right: AnyArray, place: tuple[int, npt.NDArray[np.intp]] | None
    ) -> None:
        """Add the figures of one piece.

        Args:
            left: values, (row, ...).
            right: the same of the other side.
            place: realisation, and index of each row; None: the variable as a whole.
        """
        one: Any = left
        other: Any = right
        sums = self._sums
        missing = np.isnan(one), np.isnan(other)
        # Infinite numbers, which no writer lets in, count as different and in no figure.
        both = np.isfinite(one) & np.isfinite(other)
        differs = (one != other) & ~(missing[0] & missing[1])
        a = one[both].astype(np.complex128 if one.dtype.kind == "c" else np.float64)
        sums.cells += one.size
        sums.both += a.size
        sums.power += float(np.sum(np.square(np.abs(a))))
        if not differs.any():
            return
        sums.differing += int(np.count_nonzero(differs))
        sums.nan_left += int(np.count_nonzero(missing[0] & ~missing[1]))
        sums.nan_right += int(np.count_nonzero(missing[1] & ~missing[0]))
        if not sums.first:
            cell = tuple(int(index) for index in np.argwhere(differs)[0])
            index = cell if place is None else (place[0], int(place[1][cell[0]]), *cell[1:])
            where = named(self._left.spec, self._variable.dims, index)
            sums.first = f"{where}: {number_text(one[cell])} | {number_text(other[cell])}"
        b = other[both].astype(a.dtype)
        error = np.abs(a - b)
        if self._variable.unit == "rad":
            # Angles a turn apart are the same angle.
            error = np.minimum(error % (2.0 * np.pi), -error % (2.0 * np.pi))
        larger = np.maximum(np.abs(a), np.abs(b))
        sums.squares += float(np.sum(np.square(error)))
        sums.absolute = max(sums.absolute, float(error.max(initial=0.0)))
        relative = error / np.where(larger > 0, larger, 1.0)
        sums.relative = max(sums.relative, float(relative.max(initial=0.0)))


def _difference_unit(variable: Variable) -> str:
    """Unit of a difference of two values."""
    return "s" if variable.name == "time" else variable.unit.replace("dBm", "dB")


def finished_points(site: SitePieces) -> npt.NDArray[np.bool_]:
    """(realisation, point) whether a job has written it."""
    done = np.zeros((len(site.spec.realisations), site.spec.points), np.bool_)
    for job in site.receipts:
        done[job.realisation, job.points] = True
    return done


def stored_names(spec: SiteSpec, name: str) -> tuple[str, ...]:
    """The variables that a channel or another variable lies in."""
    if name == "csi" and spec.precision != "complex64":
        return PACKED_CSI[spec.precision][:2]
    return (name,)


def read_values(site: SitePieces, name: str, realisation: int, points: slice) -> AnyArray:
    """Values of a variable; channels as complex numbers at whatever precision they lie."""
    names = stored_names(site.spec, name)
    values = {stored: site.read(stored, realisation, points) for stored in names}
    return values[name] if names == (name,) else unpack(values)
