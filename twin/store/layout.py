"""Jobs and sites of a store, and the refusal of places that are not one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

import zarr
from pydantic import JsonValue, ValidationError
from zarr.abc.store import Store
from zarr.errors import ContainsGroupError

from twin.errors import Fault, InputError, StoreError, refuse
from twin.store.schema import SCHEMA_VERSION
from twin.store.spec import SiteSpec
from twin.store.storage import READ_ERRORS, STORAGE_ERRORS, Storage, reported

SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
METADATA = "zarr.json"
StoredArray = zarr.Array[Any]

_UNPUBLISHED_CURE = "Finish the run that writes it: the same command again does what is missing."
_OLD_VERSIONS = ("fingertwin/store@1",)


@dataclass(frozen=True, order=True)
class Job:
    """One unit of work: a whole block of points of one realisation."""

    realisation: int
    start: int
    stop: int

    @property
    def points(self) -> slice:
        """The block along the point dimension."""
        return slice(self.start, self.stop)

    def block(self, spec: SiteSpec) -> int:
        """Index of the block among those of its realisation."""
        return self.start // spec.shard_points

    def name(self, spec: SiteSpec) -> str:
        """Short name, unique within the site, such as ``r0003-p0001``."""
        return f"r{self.realisation:04d}-p{self.block(spec):04d}"


def jobs_of(spec: SiteSpec) -> tuple[Job, ...]:
    """All jobs of a site in canonical order: by realisation, then by point."""
    return tuple(
        Job(realisation, start, min(start + spec.shard_points, spec.points))
        for realisation in range(len(spec.realisations))
        for start in range(0, spec.points, spec.shard_points)
    )


def site_name_fault(url: str, site: str) -> Fault | None:
    """The fault in a site's name, if it has one."""
    if SITE_NAME.fullmatch(site):
        return None
    expected = "a name of letters, digits, '_' and '-' that starts with a letter or digit"
    return Fault(url, "site", expected, repr(site))


def store_fault(place: Storage) -> Fault | None:
    """Why the place cannot be read as one of our stores, or None."""
    obstacle = place.obstacle()
    if obstacle:
        return Fault(place.url, "", "a store", obstacle, "Name another one.")
    if not place.names():
        return Fault(place.url, "", "a store", "nothing there")
    return _foreign_fault(place)


def occupant_fault(place: Storage) -> Fault | None:
    """Why the place cannot become a store of ours, or go on being one; or None."""
    vacant = not place.obstacle() and not place.names()
    return None if vacant else store_fault(place)


def _foreign_fault(place: Storage) -> Fault | None:
    """Why a place with something in it is not one of our stores, or None."""
    cure = "Name another output."
    try:
        attrs = zarr.open_group(place.view(), mode="r", zarr_format=3).attrs.asdict()
    except READ_ERRORS as error:
        found = f"something that does not open as a Zarr v3 group ({type(error).__name__})"
        if {"refs", "snapshots"} <= set(place.names()):
            found, cure = "an Icechunk repository", f"Name it as icechunk:{place.url}"
        return Fault(place.url, "", "a store of ours", found, cure)
    version = attrs.get("schema")
    if version is None:
        found = "a Zarr group without the attribute 'schema'"
        return Fault(place.url, "", "a store of ours", found, cure)
    if version in _OLD_VERSIONS:
        cure = f"Bring it up to date: twin store migrate {place.url} NEW"
    elif version != SCHEMA_VERSION:
        cure = "Use the version of this program that wrote it, or generate it anew."
    else:
        return None
    return Fault(place.url, "schema", repr(SCHEMA_VERSION), repr(version), cure)


def prepare_store(place: Storage) -> None:
    """Create the store where there is none yet.

    Raises:
        InputError: the place is taken by something else, or cannot be written.
    """
    fault = occupant_fault(place)
    refuse([fault] if fault else [])
    try:
        with reported(place.url):
            place.prepare()
            if METADATA not in place.names():
                _create_root(place)
    except StoreError as error:
        fault = Fault(place.url, "", "an output that can be written", str(error.__cause__))
        raise InputError([fault]) from error


def _create_root(place: Storage) -> None:
    try:
        with place.change("create the store") as store:
            zarr.create_group(store, zarr_format=3, attributes={"schema": SCHEMA_VERSION})
    except (*STORAGE_ERRORS, ContainsGroupError):
        # Another run that started at the same moment was faster.
        if METADATA not in place.names():
            raise


def check_readable(place: Storage) -> None:
    """Refuse a place that is not one of our stores.

    Raises:
        InputError: nothing there, a foreign place, or another version of the schema.
    """
    with reported(place.url):
        fault = store_fault(place)
    refuse([fault] if fault else [])


def open_group(place: Storage, site: str, store: Store | None = None) -> zarr.Group:
    """The group of a site.

    Args:
        place: where the store lies.
        site: name of the site.
        store: a store opened for a change; the present state, read only, where not given.

    Raises:
        InputError: no store of ours there, or no site of that name.
        StoreError: the site's metadata cannot be read.
    """
    check_readable(place)
    name_fault = site_name_fault(place.url, site)
    refuse([name_fault] if name_fault else [])
    if not place.names(site):
        found = ", ".join(site_names(place)) or "no site at all"
        raise InputError([Fault(place.url, "site", repr(site), found)])
    return group_in(place, site, store)


def group_in(place: Storage, site: str, store: Store | None = None) -> zarr.Group:
    """The group of a site that is known to be there; see `open_group`."""
    read_only = store is None
    try:
        return zarr.open_group(
            place.view() if store is None else store,
            path=site,
            mode="r" if read_only else "r+",
            zarr_format=3,
        )
    except READ_ERRORS as error:
        raise StoreError(
            f"{site_url(place, site)}: the site's metadata cannot be read ({error}). "
            "Generate the site anew with overwriting allowed."
        ) from error


def site_url(place: Storage, site: str) -> str:
    """How messages name a site."""
    return f"{place.url}/{site}" if "?" not in place.url else f"{place.url}, {site}"


def site_names(place: Storage) -> tuple[str, ...]:
    """Names of all sites, published or not, sorted; one that was never laid out whole is none."""
    return tuple(
        name
        for name in place.names()
        if SITE_NAME.fullmatch(name) and place.names(name) and _laid_out(place, name)
    )


def _laid_out(place: Storage, site: str) -> bool:
    try:
        return is_laid_out(group_in(place, site))
    except StoreError:
        return True


def is_laid_out(group: zarr.Group) -> bool:
    """Whether all arrays of a site were made: its attributes are written after them."""
    return "config_digest" in group.attrs


def read_spec(group: zarr.Group, where: str) -> SiteSpec:
    """The spec that a site was created from.

    Raises:
        StoreError: it is missing or damaged (it no longer has the recorded digest).
    """
    attrs = group.attrs.asdict()
    if attrs.get("schema") != SCHEMA_VERSION:
        found = attrs.get("schema")
        raise StoreError(
            f"{where}: expected a site with schema {SCHEMA_VERSION!r}, found {found!r}"
        )
    try:
        spec = SiteSpec.model_validate_json(str(attrs["spec"]))
    except (KeyError, ValidationError) as error:
        raise StoreError(f"{where}: the site's spec is missing or damaged. {error}") from error
    if spec.digest != attrs.get("config_digest"):
        raise StoreError(f"{where}: the site's spec does not have the digest recorded beside it")
    return spec


def attributes_of(group: zarr.Group) -> dict[str, JsonValue]:
    """Attributes of a group as plain JSON values."""
    return cast(dict[str, JsonValue], group.attrs.asdict())


def array_of(group: zarr.Group, name: str) -> StoredArray:
    """An array of a group.

    Raises:
        KeyError: it is not there; other errors of Zarr where its metadata is damaged.
    """
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise KeyError(name)
    return array


def is_published(group: zarr.Group) -> bool:
    """Whether a site's attributes say that it is whole."""
    return attributes_of(group).get("published") is True


def unpublished(where: str, missing: int, total: int) -> StoreError:
    """The refusal to read an unfinished site."""
    return StoreError(
        f"{where}: not published, {missing} of {total} jobs are missing. {_UNPUBLISHED_CURE}"
    )
