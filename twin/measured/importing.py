"""From a folder of real data to the sites of a store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import xarray as xr

from twin.errors import Fault, InputError, refuse
from twin.measured.registry import DataSet
from twin.store.layout import Job
from twin.store.spec import SiteSpec

# Module by data set; imported only when it is needed.
IMPORTERS: dict[str, str] = {
    name: f"twin.measured.{name}"
    for name in (
        "csu_csi_rssi",
        "indoor_location_competition20",
        "nist_rooms",
        "rss_collection",
        "tampere_2017",
        "uji_indoorloc",
        "uji_library_longterm",
        "uts_indoorloc",
        "wifi_rtt_rooms",
    )
}


@dataclass(frozen=True, eq=False)
class MeasuredSite:
    """A site read from a data set, ready to be written.

    Args:
        name: of the site in the store.
        spec: what the site is.
        block: dataset of one job, as `twin.store.writer.write_site` takes it.
    """

    name: str
    spec: SiteSpec
    block: Callable[[Job], xr.Dataset]


class Importer(Protocol):
    """What every importer module offers."""

    DATA_SET: DataSet
    SITES: tuple[str, ...]

    def read_sites(
        self, data_dir: Path, only: Collection[str] | None = None, *, data_set: DataSet = ...
    ) -> Iterator[MeasuredSite]:
        """Check and read the sites, all of them or those named.

        Args:
            data_dir: folder that holds a folder named after the data set, or its files.
            only: names of sites; all where not given.
            data_set: record to check the files against.

        Raises:
            InputError: a file is missing, damaged or not as published; lists every fault.
        """


def importer(name: str) -> Importer:
    """The importer of a data set.

    Raises:
        InputError: no such data set.
    """
    if name not in IMPORTERS:
        raise InputError([Fault("data set", "", f"one of {', '.join(IMPORTERS)}", repr(name))])
    return cast(Importer, import_module(IMPORTERS[name]))


def import_data_set(
    name: str,
    data_dir: Path,
    store: str | Path,
    sites: Collection[str] | None = None,
    *,
    overwrite: bool = False,
) -> dict[str, str]:
    """Import a data set into a store; nothing is written before its files are checked.

    Args:
        name: of the data set.
        data_dir: folder that holds a folder named after the data set, or its files.
        store: where to write.
        sites: names of the sites wanted; all where not given.
        overwrite: replace sites that are in the store with another content.

    Returns:
        Content digest of each site.

    Raises:
        InputError: unknown name; a file missing, damaged or not as published; an output that
            cannot be used. Lists every fault.
        StoreError: a site is in the store, unreadable or damaged.
    """
    from twin.store.writer import write_site

    module = importer(name)
    check_site_names(sites, module.SITES)
    return {
        site.name: write_site(store, site.name, site.spec, site.block, overwrite=overwrite)
        for site in module.read_sites(data_dir, sites)
    }


def check_site_names(only: Collection[str] | None, known: Collection[str]) -> None:
    """Refuse names that are none of the known sites."""
    refuse(
        Fault("site", "", f"one of {', '.join(known)}", repr(name))
        for name in sorted(set(only or ()) - set(known))
    )


def data_folder(data_dir: Path, data_set: DataSet) -> Path:
    """The folder that holds a data set's files: a subfolder named after it, or the folder given."""
    folder = data_dir / data_set.name
    return folder if folder.is_dir() else data_dir
