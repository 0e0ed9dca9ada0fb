"""What every export shares: a published site read block by block, and targets that are whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import numpy as np
from pydantic import JsonValue, ValidationError

from twin.errors import Fault, InputError, StoreError, refuse
from twin.store.content import AnyArray
from twin.store.layout import StoredArray, jobs_of, site_url
from twin.store.location import StoreRef, storage
from twin.store.reader import open_site, site_arrays
from twin.store.schema import VARIABLES
from twin.store.spec import SiteSpec


@dataclass(frozen=True, eq=False)
class Source:
    """A published site to be exported.

    Args:
        where: how messages name it.
        site: its name.
        spec: its spec.
        arrays: all its stored arrays, by name.
        attributes: of its group.
    """

    where: str
    site: str
    spec: SiteSpec
    arrays: Mapping[str, StoredArray]
    attributes: Mapping[str, JsonValue]

    def blocks(self, name: str) -> Iterator[AnyArray]:
        """A variable in canonical order: a job at a time where jobs write points, else whole."""
        array = self.arrays[name]
        if VARIABLES[name].by_point:
            for job in jobs_of(self.spec):
                yield np.asarray(array[job.realisation, job.points])
        else:
            yield np.asarray(array[...])


def read_source(store: StoreRef, site: str) -> Source:
    """Open a published site for export.

    Raises:
        InputError: no store of ours there, or no such site.
        StoreError: the site is not whole.
    """
    with open_site(store, site, lazy=False) as dataset:
        attributes = {str(key): value for key, value in dataset.attrs.items()}
    return Source(
        where=site_url(storage(store), site),
        site=site,
        spec=SiteSpec.model_validate_json(str(attributes["spec"])),
        arrays=site_arrays(store, site),
        attributes=attributes,
    )


def target_faults(target: Path, suffix: str = "") -> list[Fault]:
    """Why an export may not be written there; its name has to end in `suffix`."""
    if suffix and target.suffix != suffix:
        return [Fault(str(target), "", f"a name that ends in {suffix}", target.name)]
    if target.exists() or target.is_symlink():
        cure = "Name another target, or delete this one."
        return [Fault(str(target), "", "a place where nothing is", "something is there", cure)]
    if not target.parent.is_dir():
        return [Fault(str(target), "", "a folder to write into", f"no folder {target.parent}")]
    return []


def missing_faults(source: Source, names: Collection[str], cure: str) -> list[Fault]:
    """Variables that an export needs and the site does not have."""
    known = ", ".join(sorted(source.arrays))
    return [
        Fault(source.where, name, "a site with this variable", f"only {known}", cure)
        for name in names
        if name not in source.arrays
    ]


def invalid(where: str, error: ValidationError, cure: str = "") -> InputError:
    """The refusal of a record that does not fit its model; all faults are named."""
    return InputError(
        Fault(
            where,
            ".".join(map(str, detail["loc"])),
            detail["msg"],
            shorten(repr(detail["input"]), 80, placeholder="..."),
            cure,
        )
        for detail in error.errors()
    )


@contextmanager
def whole_target(target: Path) -> Iterator[Path]:
    """A place beside the target for a file or folder, moved there when all is written.

    Whatever goes wrong, the target is either whole or not there.

    Raises:
        InputError: something is at the target.
        StoreError: the disk refuses.
    """
    refuse(target_faults(target))
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        refuse(target_faults(target))
        part.rename(target)
    except OSError as error:
        raise StoreError(
            f"{target}: cannot be written ({error}). Make room, or name another target."
        ) from error
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
