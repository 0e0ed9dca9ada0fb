"""Importer of the long-term measurements in a library: 25 months, the same places each month.

The data set and its terms: `twin.measured.registry.UJI_LIBRARY_LONGTERM`. Read from the official
files (see `twin.measured.longterm_files`) or from one archive with all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from twin.errors import Fault, InputError, refuse
from twin.measured.importing import MeasuredSite, check_site_names, data_folder
from twin.measured.longterm_files import Rows, read_archive, read_official
from twin.measured.registry import UJI_LIBRARY_LONGTERM as DATA_SET
from twin.measured.registry import DataSet
from twin.measured.surveys import REFERENCE, TEST, Survey, survey_site
from twin.measured.tables import count_fault, shown

SITES = ("uji_library_longterm",)

_DEVICES = ("Samsung Galaxy S3", "Samsung Galaxy A5 (2017)")
# From the read-me beside the files: in the last month, further sets with another phone.
_SECOND_DEVICE = {"month": 25, "reference": 2, "test": 6}


def read_sites(
    data_dir: Path, only: Collection[str] | None = None, *, data_set: DataSet = DATA_SET
) -> Iterator[MeasuredSite]:
    """The one site, with a realisation a month; see `twin.measured.importing.Importer`.

    In each month the reference points come first, then the test points, both by set and in file
    order. Months with fewer points than the largest are filled up with absent ones (status 3), so a
    point is not the same place in all months. Rows without a floor are left out.
    """
    check_site_names(only, SITES)
    folder = data_folder(data_dir, data_set)
    faults: list[Fault] = []
    official = (folder / "db").is_dir()
    rows = (read_official if official else read_archive)(folder, data_set, faults)
    if rows is None:
        raise InputError(shown(faults, folder))
    refuse(_count_faults(folder, rows, data_set))
    kept = rows.take(rows.floor != 0)
    surveys = {
        f"month_{month:02d}": _survey(kept.take(kept.month == month))
        for month in np.unique(kept.month)
    }
    access_points = tuple(f"WAP{i:03d}" for i in range(1, data_set.counts["access_points"] + 1))
    resolution = "1 ms" if official else "4 ms: the archive keeps it as one float64"
    yield survey_site(
        SITES[0],
        data_set,
        surveys,
        access_points,
        rows.content_sha256,
        attributes={
            "height": "not measured: z is zero; floor is the label of the floor, 3 or 5",
            "time": f"the source names no time zone: its clock is read as UTC; to {resolution}",
            "devices": list(_DEVICES),
            "left_out": f"{int((rows.floor == 0).sum())} rows without a floor; numbers of the sets",
        },
    )


def _survey(rows: Rows) -> Survey:
    """One month."""
    last = rows.month == _SECOND_DEVICE["month"]
    first_set = np.where(rows.is_test, _SECOND_DEVICE["test"], _SECOND_DEVICE["reference"])
    return Survey(
        position=np.pad(rows.xy, ((0, 0), (0, 1))),
        rss=rows.rss,
        split=np.where(rows.is_test, TEST, REFERENCE).astype(np.int8),
        labels={
            "time": rows.seconds,
            "floor": rows.floor,
            "device": last & (rows.set_number >= first_set),
        },
    )


def _count_faults(folder: Path, rows: Rows, data_set: DataSet) -> list[Fault]:
    counts = data_set.counts
    test = int(rows.is_test.sum())
    months = len(np.unique(rows.month))
    without = int((rows.floor == 0).sum())
    return [
        *count_fault(folder, "months", counts["months"], months),
        *count_fault(folder, "reference rows", counts["reference"], len(rows.month) - test),
        *count_fault(folder, "test rows", counts["test"], test),
        *count_fault(folder, "rows without a floor", counts["without_floor"], without),
    ]
