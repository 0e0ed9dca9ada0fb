"""Where things lie in a store, and the refusal of folders that are not one."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import zarr
from pydantic import JsonValue, ValidationError

from twin.errors import Fault, InputError, StoreError
from twin.store.schema import SCHEMA_VERSION, SiteSpec

_SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
StoredArray = zarr.Array[Any]

_UNPUBLISHED_CURE = "Finish the run that writes it: the same command again does what is missing."


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

    def name(self, spec: SiteSpec) -> str:
        """Short name, unique within the site, such as ``r0003-p0001``."""
        return f"r{self.realisation:04d}-p{self.start // spec.shard_points:04d}"


def jobs_of(spec: SiteSpec) -> tuple[Job, ...]:
    """All jobs of a site in canonical order: by realisation, then by point."""
    return tuple(
        Job(realisation, start, min(start + spec.shard_points, spec.points))
        for realisation in range(len(spec.realisations))
        for start in range(0, spec.points, spec.shard_points)
    )


def site_dir(store_path: Path, site: str) -> Path:
    """Folder of a site's group."""
    return store_path / site


def receipts_dir(store_path: Path, site: str) -> Path:
    """Folder of a site's receipts.

    It lies inside the ``status`` array, where Zarr reads named chunks only: in the group's own
    folder every reader would be warned of an object that is no part of the hierarchy.
    """
    return site_dir(store_path, site) / "status" / "receipts"


def building_dir(store_path: Path, site: str) -> Path:
    """Where a site is put together before it moves in: beside the store, so a move is atomic."""
    return store_path.parent / f".{store_path.name}.{site}.building"


def site_name_fault(store_path: Path, site: str) -> Fault | None:
    """The fault in a site's name, if it has one."""
    if _SITE_NAME.fullmatch(site):
        return None
    expected = "a name of letters, digits, '_' and '-' that starts with a letter or digit"
    return Fault(str(store_path), "site", expected, repr(site))


def store_fault(store_path: Path) -> Fault | None:
    """Why the path cannot be read as one of our stores, or None."""
    where = str(store_path)
    if not store_path.exists():
        return Fault(where, "", "a store", "nothing there")
    if not store_path.is_dir():
        return Fault(where, "", "a store (a folder)", "a file", "Name another output.")
    if _is_vacant(store_path):
        return Fault(where, "", "a store", "an empty folder")
    return _foreign_fault(store_path)


def occupant_fault(store_path: Path) -> Fault | None:
    """Why the path cannot become a store of ours, or go on being one; or None."""
    absent = not store_path.exists() or _is_vacant(store_path)
    return None if absent else store_fault(store_path)


def _foreign_fault(folder: Path) -> Fault | None:
    """Why a folder with something in it is not one of our stores, or None."""
    where = str(folder)
    try:
        attrs = zarr.open_group(folder, mode="r", zarr_format=3).attrs.asdict()
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"a folder that does not open as a Zarr v3 group ({type(error).__name__})"
        return Fault(where, "", "a store of ours", found, "Name another output.")
    version = attrs.get("schema")
    if version is None:
        found = "a Zarr group without the attribute 'schema'"
        return Fault(where, "", "a store of ours", found, "Name another output.")
    if version != SCHEMA_VERSION:
        cure = "Use the version of this program that wrote it, or generate it anew."
        return Fault(where, "schema", repr(SCHEMA_VERSION), repr(version), cure)
    return None


def prepare_store(store_path: Path) -> None:
    """Create the store where there is none yet.

    Raises:
        InputError: the place is taken by something else, or cannot be written.
    """
    occupied = occupant_fault(store_path)
    if occupied is not None:
        raise InputError([occupied])
    absent = not store_path.exists() or _is_vacant(store_path)
    try:
        store_path.mkdir(parents=True, exist_ok=True)
        if absent:
            zarr.create_group(
                store_path, zarr_format=3, attributes={"schema": SCHEMA_VERSION}, overwrite=False
            )
        (store_path / ".writable.partial").touch()
        for orphan in store_path.glob("*.partial"):
            orphan.unlink(missing_ok=True)
    except OSError as error:
        fault = Fault(str(store_path), "", "an output that can be written", str(error))
        raise InputError([fault]) from error


def _is_vacant(folder: Path) -> bool:
    """Nothing there but what a writer killed at once has left."""
    return folder.is_dir() and all(path.suffix == ".partial" for path in folder.iterdir())


def open_group(store_path: Path, site: str, *, write: bool = False) -> zarr.Group:
    """The group of a site.

    Raises:
        InputError: no store of ours there, or no site of that name.
    """
    fault = store_fault(store_path) or site_name_fault(store_path, site)
    if fault is not None:
        raise InputError([fault])
    if not site_dir(store_path, site).is_dir():
        found = ", ".join(site_names(store_path)) or "no site at all"
        raise InputError([Fault(str(store_path), "site", repr(site), found)])
    try:
        return zarr.open_group(
            site_dir(store_path, site), mode="r+" if write else "r", zarr_format=3
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{site_dir(store_path, site)}: the site's metadata cannot be read ({error}). "
            "Generate the site anew with overwriting allowed."
        ) from error


def site_names(store_path: Path) -> tuple[str, ...]:
    """Names of all sites, published or not, sorted."""
    folders = (path for path in store_path.iterdir() if path.is_dir())
    return tuple(sorted(path.name for path in folders if _SITE_NAME.fullmatch(path.name)))


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


def remove_orphans(folder: Path) -> None:
    """Delete what killed writers left behind; call only while nobody writes there."""
    for path in folder.rglob("*.partial"):
        path.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Delete a folder, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)
