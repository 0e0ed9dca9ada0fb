"""From surveys of signal strength, one fingerprint a row, to a site of the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import JsonValue

from twin.measured.data_set import DataSet
from twin.measured.importing import MeasuredSite
from twin.store.layout import Job
from twin.store.schema import SPLITS, VARIABLES
from twin.store.spec import SiteSpec

REFERENCE, TEST = SPLITS.index("reference"), SPLITS.index("test")
DONE, SILENT, ABSENT = 1, 2, 3
# Some thousand fingerprints a file: few files, and none too large to be held.
SHARD_POINTS = 4096
# Part of what decides a site's content: raised when an importer makes something else of the files.
IMPORTER_VERSION = 1
# What nearly all published surveys write for an AP that was not heard.
NONE_DBM = 100.0


@dataclass(frozen=True, eq=False)
class Survey:
    """Fingerprints of one campaign, in the order in which the site keeps them.

    Args:
        position: (point, 3) metres.
        rss: (point, ap) dBm as in the source, of any type.
        split: (point,) index into `SPLITS`.
        labels: further variables of the schema by name, (point,) each: floor, device, time, ...
        none_dbm: value in `rss` of an AP that was not heard.
    """

    position: npt.NDArray[np.float64]
    rss: npt.NDArray[np.float64] | npt.NDArray[np.int8]
    split: npt.NDArray[np.int8]
    labels: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    none_dbm: float = NONE_DBM

    @property
    def silent(self) -> npt.NDArray[np.bool_]:
        """(point,) whether no AP was heard."""
        return np.asarray(np.all(self.rss == self.none_dbm, axis=1))


def survey_site(
    name: str,
    data_set: DataSet,
    surveys: Mapping[str, Survey],
    access_points: tuple[str, ...],
    content_sha256: Mapping[str, str],
    *,
    title: str = "",
    attributes: Mapping[str, JsonValue] | None = None,
) -> MeasuredSite:
    """A site with one realisation a survey.

    Args:
        name: of the site.
        data_set: where it comes from.
        surveys: by name of the realisation; all with the same labels. Shorter ones are filled up
            with points that are absent (status 3).
        access_points: names of the APs; their positions are not known.
        content_sha256: digests of the files read, by name.
        title: of the site; that of the data set where empty.
        attributes: for the reader, beside source, licence, citation and units.
    """
    points = max(len(survey.rss) for survey in surveys.values())
    labels = tuple(next(iter(surveys.values())).labels)
    spec = SiteSpec(
        title=title or data_set.title,
        origin="measured",
        realisations=tuple(surveys),
        points=points,
        access_points=access_points,
        variables=("rss", "split", *labels),
        snapshots=1,
        shard_points=min(points, SHARD_POINTS),
        layout="compact",
        config={
            "data_set": data_set.name,
            "importer_version": IMPORTER_VERSION,
            "content_sha256": dict(content_sha256),
        },
        attributes={
            **source_attributes(data_set),
            "ap_positions": "not published",
            **(attributes or {}),
        },
    )
    ordered = list(surveys.values())

    def block(job: Job) -> xr.Dataset:
        return _block(ordered[job.realisation], job)

    return MeasuredSite(name, spec, block)


def source_attributes(data_set: DataSet) -> dict[str, JsonValue]:
    """Group attributes that say where a site comes from and on what terms."""
    note: dict[str, JsonValue] = {"note": data_set.note} if data_set.note else {}
    return {
        "source": data_set.url,
        "licence": data_set.licence,
        "citation": list(data_set.citation),
        "original_units": data_set.units,
        **note,
    }


def _block(survey: Survey, job: Job) -> xr.Dataset:
    size = job.stop - job.start
    here = slice(job.start, min(job.stop, len(survey.rss)))
    given = survey.rss[here]
    rss = np.where(given == survey.none_dbm, np.nan, given).astype(np.float32)
    silent = np.isnan(rss).all(axis=1)
    status = _filled(np.where(silent, SILENT, DONE).astype(np.int8), size, ABSENT)
    variables: dict[str, tuple[tuple[str, ...], npt.NDArray[np.generic]]] = {
        "position": (("point", "xyz"), _filled(survey.position[here], size, np.nan)),
        "status": (("point",), status),
        "split": (("point",), _filled(survey.split[here], size, 0)),
        "rss": (("point", "snapshot", "ap"), _filled(rss, size, np.nan)[:, None, :]),
    }
    for name, values in survey.labels.items():
        variable = VARIABLES[name]
        typed = values[here].astype(variable.dtype)
        variables[name] = (("point",), _filled(typed, size, variable.fill))
    return xr.Dataset(variables)


def _filled(
    values: npt.NDArray[np.generic], size: int, fill: float | str
) -> npt.NDArray[np.generic]:
    """Values followed by the filling, `size` in all."""
    absent = np.full((size - len(values), *values.shape[1:]), fill, dtype=values.dtype)
    return np.concatenate([values, absent]) if len(absent) else values
