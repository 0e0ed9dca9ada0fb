"""Whether a store means what the schema says: `verify` checks digests, this checks meaning."""

from __future__ import annotations

from collections import Counter

import numpy as np
import zarr
from pydantic import JsonValue

from twin.errors import Fault, InputError, StoreError, refuse
from twin.store.content import AnyArray
from twin.store.layout import (
    METADATA,
    SITE_NAME,
    Job,
    array_of,
    group_in,
    is_laid_out,
    jobs_of,
    site_url,
    store_fault,
)
from twin.store.location import StoreRef, storage
from twin.store.pieces import SitePieces, UnreadableError, named, number_text, short
from twin.store.rules import TOGETHER, Departure, Walks, block_departures, departures
from twin.store.schema import VARIABLES, DimensionName, Variable
from twin.store.spec import SiteSpec
from twin.store.storage import READ_ERRORS, Storage, reported
from twin.store.structure import structure_faults
from twin.store.template import site_attributes, static_values

FAULTS_A_VARIABLE = 20
_BY_STORE = frozenset({"published", "provenance", "digest", "traced"})


def validate(store: StoreRef) -> list[Fault]:
    """Everything in which a store departs from the schema; empty for a store that does not.

    Sites are read whether published or not, of an unpublished one the jobs that are done. Data is
    read a piece of points at a time. Digests are not looked at: see `twin.store.verify`.

    Args:
        store: path or URL of the store.

    Returns:
        Faults with site, variable, realisation and points; of one variable `FAULTS_A_VARIABLE` at
        most, and then how many more there are. A Zarr hierarchy of somebody else, or one of another
        version of the schema, is one fault.

    Raises:
        InputError: nothing there, or something that is no Zarr v3 hierarchy at all.
        StoreError: the storage refuses.
    """
    place = storage(store)
    with reported(place.url):
        fault = store_fault(place)
        if fault is not None:
            refuse([] if _opens(place) else [fault])
            return [fault]
        faults = []
        for name in place.names():
            if name != METADATA:
                faults += _member_faults(place, name)
    return faults


def _opens(place: Storage) -> bool:
    """Whether a Zarr v3 group is there, whoever made it."""
    try:
        zarr.open_group(place.view(), mode="r", zarr_format=3)
    except InputError:
        raise
    except READ_ERRORS:
        return False
    return True


def _member_faults(place: Storage, name: str) -> list[Fault]:
    """Faults of what lies under a name of the store."""
    expected = "sites only"
    if not SITE_NAME.fullmatch(name):
        return [Fault(place.url, name, expected, "another name", "Move it out of the store.")]
    try:
        group = group_in(place, name)
    except StoreError as error:
        return [Fault(place.url, name, expected, short(str(error)))]
    if not is_laid_out(group):
        found = "a group that is no site"
        if set(group.keys()) <= set(VARIABLES):
            found = "a group that was never laid out whole"
        cure = "Run again what was to write it, or delete it."
        return [Fault(place.url, name, expected, found, cure)]
    try:
        site = SitePieces(place, name)
    except StoreError as error:
        return [Fault(site_url(place, name), METADATA, "the metadata of a site", short(str(error)))]
    return _SiteCheck(site).faults()


class _SiteCheck:
    """Collects the faults of one site."""

    def __init__(self, site: SitePieces) -> None:
        self._site = site
        self._spec: SiteSpec = site.spec
        self._found: dict[str, list[Fault]] = {}
        self._more: Counter[str] = Counter()

    def faults(self) -> list[Fault]:
        site, spec = self._site, self._spec
        structure = structure_faults(site.group, site.site, spec, site.where)
        faults = [*structure, *self._attribute_faults()]
        # Values cannot be judged where they have another type or shape.
        odd = {
            fault.key.partition(",")[0]
            for fault in structure
            if fault.key.partition(", ")[2] in {"", "dtype", "shape"}
        }
        self._check_static(odd)
        if not odd & {"receipt", "status"}:
            faults += self._receipt_faults()
            self._check_jobs(odd)
        for name in filter(self._found.__contains__, VARIABLES):
            faults += self._found[name]
            if self._more[name]:
                found = f"{self._more[name]:,} more"
                faults.append(Fault(site.where, name, "no further fault", found))
        return faults

    def _attribute_faults(self) -> list[Fault]:
        """Faults of the attributes that do not follow from the spec."""
        site = self._site
        attributes = site.attributes
        planned = site_attributes(site.site, self._spec)
        problems: list[tuple[str, str, JsonValue]] = [
            (key, "no attribute beside those of the schema and the spec", attributes[key])
            for key in sorted(set(attributes) - set(planned) - _BY_STORE)
        ]
        if not isinstance(attributes.get("published"), bool):
            problems.append(("published", "true or false", attributes.get("published")))
        records = attributes.get("provenance")
        if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
            problems.append(("provenance", "a list of records", records))
        if not isinstance(attributes.get("traced", {}), dict):
            problems.append(("traced", "names and values", attributes["traced"]))
        if site.published and not isinstance(attributes.get("digest"), str):
            problems.append(("digest", "that of the content", attributes.get("digest")))
        return [
            Fault(site.where, f"attribute {key}", expected, short(repr(found)))
            for key, expected, found in problems
        ]

    def _receipt_faults(self) -> list[Fault]:
        site, spec = self._site, self._spec
        missing = [job for job in jobs_of(spec) if job not in site.receipts]
        faults = []
        if missing and site.published:
            shown = ", ".join(job.name(spec) for job in missing[:5])
            found = (
                f"{len(missing)} jobs without a valid one ({shown}{', ...' * (len(missing) > 5)})"
            )
            faults.append(
                Fault(site.where, "receipt", "one of each job of a published site", found)
            )
        for job in missing:
            try:
                text = str(
                    np.asarray(array_of(site.group, "receipt")[job.realisation, job.block(spec)])
                )
            except READ_ERRORS as error:
                text = f"{type(error).__name__}: {error}"
            if text:
                expected = "a receipt for this site, or nothing"
                self._add("receipt", self._key("receipt", job, job.points), expected, short(text))
        return faults

    def _check_static(self, odd: set[str]) -> None:
        """What no job writes is what the spec says."""
        for name, planned in static_values(self._spec).items():
            if name in odd:
                continue
            try:
                found = self._site.read_whole(name)
            except UnreadableError as error:
                self._add(name, name, "values that can be read", error.found)
                continue
            wrong = found != planned
            if planned.dtype.kind == "f":
                wrong &= ~(np.isnan(found) & np.isnan(planned))
            if wrong.any():
                first = tuple(int(index) for index in np.argwhere(wrong)[0])
                cell = named(self._spec, VARIABLES[name].dims, first)
                text = f"{number_text(found[first])} ({int(wrong.sum())} cells)"
                key = f"{name}, {cell}" if cell else name
                self._add(name, key, f"{number_text(planned[first])} as in the spec", text)

    def _check_jobs(self, odd: set[str]) -> None:
        spec = self._spec
        names = [name for name in spec.point_variables if name not in odd]
        sets = [[name for name in together if name in names] for together in TOGETHER]
        joined = {name for together in sets for name in together}
        sets += [[name] for name in names if name not in joined]
        walks = [Walks() for _ in spec.realisations]
        for job in self._site.receipts:
            for name in spec.block_variables:
                if name not in odd:
                    self._check_block(job, VARIABLES[name])
            try:
                status = self._site.read("status", job.realisation, job.points)
            except UnreadableError as error:
                self._add_unreadable(job, job.points, error)
                continue
            for together in filter(None, sets):
                for points in self._site.cut(job, together):
                    here = status[points.start - job.start : points.stop - job.start]
                    self._check_points(job, points, together, here, walks[job.realisation])

    def _check_points(
        self, job: Job, points: slice, names: list[str], status: AnyArray, walks: Walks
    ) -> None:
        values: dict[str, AnyArray] = {}
        for name in names:
            try:
                values[name] = self._site.read(name, job.realisation, points)
            except UnreadableError as error:
                self._add_unreadable(job, points, error)
        if len(values) < len(names):
            return
        found = list(departures(values, status))
        if {"time", "trajectory"} <= set(names):
            found.append(walks.departures(values["time"], values["trajectory"]))
        for departure in found:
            self._add_departure(job, points, departure, values[departure.name])

    def _check_block(self, job: Job, variable: Variable) -> None:
        try:
            block = self._site.read_block(variable.name, job)
        except UnreadableError as error:
            self._add_unreadable(job, job.points, error)
            return
        for departure in block_departures(variable, block):
            self._add_departure(job, job.points, departure, block)

    def _add_departure(
        self, job: Job, points: slice, departure: Departure, values: AnyArray
    ) -> None:
        count = int(np.count_nonzero(departure.cells))
        if not count:
            return
        variable = VARIABLES[departure.name]
        first = tuple(int(index) for index in np.argwhere(departure.cells)[0])
        dims: tuple[DimensionName, ...] = (
            variable.dims[1:] if variable.by_point else variable.dims[2:]
        )
        place = list(first)
        if variable.by_point:
            place[0] += points.start
        found = departure.found or number_text(values[first])
        text = f"{found} at {named(self._spec, dims[: len(place)], place)}"
        if count > 1:
            text += f" (and {count - 1:,} more cells of these points)"
        key = self._key(departure.name, job, points)
        self._add(departure.name, key, departure.expected, text)

    def _add_unreadable(self, job: Job, points: slice, error: UnreadableError) -> None:
        key = self._key(error.variable, job, points)
        self._add(error.variable, key, "data of a finished job", error.found)

    def _key(self, name: str, job: Job, points: slice) -> str:
        return f"{name}, realisation {job.realisation}, points {points.start}:{points.stop}"

    def _add(self, name: str, key: str, expected: str, found: str) -> None:
        """Keep a fault of a variable, once, as far as so many are kept."""
        fault = Fault(self._site.where, key, expected, found)
        kept = self._found.setdefault(name, [])
        if fault in kept:
            return
        if len(kept) < FAULTS_A_VARIABLE:
            kept.append(fault)
        else:
            self._more[name] += 1
