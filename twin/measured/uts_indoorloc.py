"""Importer of UTSIndoorLoc: one university building of 16 floors, one scan a row.

The data set and its terms: `twin.measured.registry.UTS_INDOORLOC`. No copy of the files was at hand
when this was written: it follows their published layout (columns WAP001 to WAP589, Pos_x, Pos_y,
Floor_ID and Building_ID) and published counts, and has been tested on small files of that layout
only. Further columns after these are read over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from twin.errors import Fault, refuse
from twin.measured.importing import MeasuredSite, check_site_names, data_folder
from twin.measured.registry import UTS_INDOORLOC as DATA_SET
from twin.measured.registry import DataSet
from twin.measured.surveys import NONE_DBM, REFERENCE, TEST, Survey, survey_site
from twin.measured.tables import Column, read_table

SITES = ("uts_indoorloc",)

_FILES = (("UTS_training.csv", REFERENCE), ("UTS_test.csv", TEST))
_PLACE = (
    Column("Pos_x", -1_000, 1_000),
    Column("Pos_y", -1_000, 1_000),
    Column("Floor_ID", -10, 30, whole=True),
    Column("Building_ID", 0, 100, whole=True),
)


def read_sites(
    data_dir: Path, only: Collection[str] | None = None, *, data_set: DataSet = DATA_SET
) -> Iterator[MeasuredSite]:
    """The one site; see `twin.measured.importing.Importer`.

    Reference points first, in file order. The files give no height: z is zero.
    """
    check_site_names(only, SITES)
    folder = data_folder(data_dir, data_set)
    access_points = tuple(f"WAP{i:03d}" for i in range(1, data_set.counts["access_points"] + 1))
    columns = [*(Column(ap, -120, 0, NONE_DBM) for ap in access_points), *_PLACE]
    faults: list[Fault] = []
    tables = [
        read_table(folder, data_set.file(name), columns, faults, more=True) for name, _ in _FILES
    ]
    refuse(faults)
    read = [table for table in tables if table is not None]
    values = np.concatenate([table.values for table in read])
    split = np.repeat([split for _, split in _FILES], [len(table.values) for table in read])
    rss, place = np.split(values, [-len(_PLACE)], axis=1)
    yield survey_site(
        SITES[0],
        data_set,
        {
            "measured": Survey(
                position=np.pad(place[:, :2], ((0, 0), (0, 1))),
                rss=rss,
                split=split.astype(np.int8),
                labels={"floor": place[:, 2], "building": place[:, 3]},
            )
        },
        access_points,
        {name: table.sha256 for (name, _), table in zip(_FILES, read, strict=True)},
        attributes={"height": "not measured: z is zero; floor is the label in Floor_ID"},
    )
