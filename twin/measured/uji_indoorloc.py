"""Importer of UJIIndoorLoc: three university buildings, one scan a row.

The data set and its terms: `twin.measured.registry.UJI_INDOORLOC`. The file named validation is the
usual test set, since the competition's own test set was never published with labels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, refuse
from twin.measured.importing import MeasuredSite, check_site_names, data_folder
from twin.measured.registry import UJI_INDOORLOC as DATA_SET
from twin.measured.registry import DataSet
from twin.measured.surveys import NONE_DBM, REFERENCE, TEST, Survey, survey_site
from twin.measured.tables import Column, count_fault, read_table

SITES = ("uji_indoorloc",)

_FILES = (("trainingData.csv", REFERENCE), ("validationData.csv", TEST))
_PLACE = (
    Column("LONGITUDE", -7_800, -7_200),
    Column("LATITUDE", 4_864_600, 4_865_100),
    Column("FLOOR", 0, 4, whole=True),
    Column("BUILDINGID", 0, 2, whole=True),
    Column("SPACEID", 0, 1_000, whole=True),
    Column("RELATIVEPOSITION", 0, 2, whole=True),
    Column("USERID", 0, 100, whole=True),
    Column("PHONEID", 0, 100, whole=True),
    # The years 2010 to 2019.
    Column("TIMESTAMP", 1_262_304_000, 1_577_836_800, whole=True),
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
    tables = [read_table(folder, data_set.file(name), columns, faults) for name, _ in _FILES]
    refuse(faults)
    read = [table for table in tables if table is not None]
    split = np.repeat([split for _, split in _FILES], [len(table.values) for table in read])
    survey = _survey(np.concatenate([table.values for table in read]), split.astype(np.int8))
    refuse(_count_faults(folder, survey, data_set))
    yield survey_site(
        SITES[0],
        data_set,
        {"measured": survey},
        access_points,
        {name: table.sha256 for (name, _), table in zip(_FILES, read, strict=True)},
        attributes={
            "height": "not measured: z is zero; floor numbers the storeys of each building",
            "position_axes": "x is LONGITUDE, y is LATITUDE",
            "space": "-1 in the test points: not given; numbers repeat between floors",
            "surveyor": "0: the test points, whose persons are not told apart",
            "left_out": "RELATIVEPOSITION (1 inside the space, 2 before its door)",
        },
    )


def _survey(values: npt.NDArray[np.float64], split: npt.NDArray[np.int8]) -> Survey:
    rss, place = np.split(values, [-len(_PLACE)], axis=1)
    column = {known.name: place[:, i] for i, known in enumerate(_PLACE)}
    xy = (column["LONGITUDE"], column["LATITUDE"])
    return Survey(
        position=np.stack([*xy, np.zeros(len(place))], axis=1),
        rss=rss,
        split=split,
        labels={
            "time": column["TIMESTAMP"],
            "building": column["BUILDINGID"],
            "floor": column["FLOOR"],
            "space": np.where(split == TEST, -1, column["SPACEID"]),
            "device": column["PHONEID"],
            "surveyor": column["USERID"],
        },
    )


def _count_faults(folder: Path, survey: Survey, data_set: DataSet) -> list[Fault]:
    counts = data_set.counts
    silent = int(survey.silent.sum())
    buildings = len(np.unique(survey.labels["building"]))
    return [
        *count_fault(folder, "rows that hear nothing", counts.get("silent_rows"), silent),
        *count_fault(folder, "buildings", counts.get("buildings"), buildings),
    ]
