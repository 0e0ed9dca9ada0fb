"""Importer of three databases of a collection of MATLAB files: LIB1, LIB2 and TUT6.

The data set and its terms: `twin.measured.registry.RSS_COLLECTION`. Each file holds one struct
``database`` with readings (``trainingMacs``, ``testMacs``) and labels (x, y, altitude, floor,
building).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from twin.errors import Fault, refuse
from twin.measured.importing import MeasuredSite, check_site_names, data_folder
from twin.measured.registry import RSS_COLLECTION as DATA_SET
from twin.measured.registry import DataSet
from twin.measured.surveys import NONE_DBM, REFERENCE, TEST, Survey, survey_site
from twin.measured.tables import Column, array_faults, count_fault, digest_faults, read_content

SITES = ("LIB1", "LIB2", "TUT6")

_PARTS = (("training", "reference", REFERENCE), ("test", "test", TEST))
_LABELS = (
    Column("x", -1_000, 1_000),
    Column("y", -1_000, 1_000),
    Column("altitude", -100, 1_000),
    Column("floor", 0, 100, whole=True),
    Column("building", 0, 100, whole=True),
)


def read_sites(
    data_dir: Path, only: Collection[str] | None = None, *, data_set: DataSet = DATA_SET
) -> Iterator[MeasuredSite]:
    """A site a file; see `twin.measured.importing.Importer`.

    All files wanted are checked before the first site is given; reference points first, in the
    order of the file.
    """
    check_site_names(only, SITES)
    folder = data_folder(data_dir, data_set)
    wanted = [site for site in SITES if only is None or site in only]
    faults: list[Fault] = []
    sites = [_read(folder, site, data_set, faults) for site in wanted]
    refuse(faults)
    yield from (site for site in sites if site is not None)


def _read(folder: Path, site: str, data_set: DataSet, faults: list[Fault]) -> MeasuredSite | None:
    file = data_set.file(f"{site}.mat")
    content = read_content(folder, file, faults)
    if content is None:
        return None
    # A damaged MAT-file fails in many ways: the digest speaks first.
    own = digest_faults(content, file)
    database = {} if own else _database(content.path, content.data, own)
    access_points = tuple(
        f"AP{i:03d}" for i in range(1, data_set.counts[f"{site} access_points"] + 1)
    )
    heard = [Column(ap, -120, 0, NONE_DBM) for ap in access_points]
    for field, part, _ in _PARTS if not own else ():
        rss, labels = database[f"{field}Macs"], database[f"{field}Labels"]
        own += array_faults(content.path, f"{field}Macs", rss, heard)
        own += array_faults(content.path, f"{field}Labels", labels, _LABELS)
        for name, values in ((f"{field}Macs", rss), (f"{field}Labels", labels)):
            rows = data_set.counts[f"{site} {part}"]
            own += count_fault(content.path, f"rows of {name}", rows, len(values))
    faults += own
    if own:
        return None
    rss = np.concatenate([database[f"{field}Macs"] for field, _, _ in _PARTS])
    labels = np.concatenate([database[f"{field}Labels"] for field, _, _ in _PARTS])
    sizes = [len(database[f"{field}Macs"]) for field, _, _ in _PARTS]
    split = np.repeat([index for _, _, index in _PARTS], sizes).astype(np.int8)
    survey = Survey(
        position=labels[:, :3].astype(np.float64),
        rss=rss,
        split=split,
        labels={"floor": labels[:, 3], "building": labels[:, 4]},
    )
    return survey_site(
        site,
        data_set,
        {"measured": survey},
        access_points,
        {file.name: content.sha256},
        title=f"{data_set.title}: {site}",
        attributes={"height": "z is the altitude that the source gives for each floor"},
    )


def _database(
    path: Path, content: bytes, faults: list[Fault]
) -> dict[str, npt.NDArray[np.float64]]:
    """The four arrays of the struct."""
    names = [f"{field}{kind}" for field, _, _ in _PARTS for kind in ("Macs", "Labels")]
    expected = f"a MATLAB struct 'database' with {', '.join(names)}"
    found = ""
    try:
        # The stubs know paths only.
        struct = loadmat(cast(Any, io.BytesIO(content)), variable_names=["database"])
        database = struct["database"]
        missing = [name for name in names if name not in (database.dtype.names or ())]
        if not missing:
            return {name: np.asarray(database[name][0, 0]) for name in names}
        found = f"no {', '.join(missing)}"
    except KeyError:
        found = "no such struct"
    except (ValueError, TypeError, NotImplementedError, OSError, zlib.error, MatReadError) as error:
        found = str(error)
    faults.append(Fault(str(path), "", expected, found, "Fetch the official file."))
    return {}
