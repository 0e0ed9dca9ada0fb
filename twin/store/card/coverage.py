"""What the data of a site covers, counted from the data a piece of points at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.store.content import AnyArray
from twin.store.pieces import SitePieces
from twin.store.rules import ABSENT, SILENT
from twin.store.schema import SPLITS
from twin.store.spec import SiteSpec

# Levels are counted in steps of a tenth of a decibel.
_LOWEST_DBM, _HIGHEST_DBM, _STEP_DB = -250.0, 100.0, 0.1
_HEARD_BY = ("rss", "rtt", "num_paths")


@dataclass(frozen=True)
class Levels:
    """Received signal strength over all readings [dBm]; quantiles to a tenth of a decibel.

    Args:
        readings: number of them.
        share_heard: readings among all scans of all access points at points that are there.
        lowest: weakest.
        low: exceeded by 95 % of the readings.
        median: of the readings.
        high: exceeded by 5 %.
        highest: strongest.
    """

    readings: int
    share_heard: float
    lowest: float
    low: float
    median: float
    high: float
    highest: float


@dataclass(frozen=True)
class Coverage:
    """Figures of one site over all its realisations.

    Args:
        fingerprints: points that are there, over all realisations.
        absent: points that a realisation does not have.
        silent: fingerprints in which nothing is heard.
        splits: fingerprints by use in the official split; empty where the site has none.
        lowest_corner: smallest x, y and z [m].
        highest_corner: largest x, y and z [m].
        heard_by: the variable that says whether an access point is heard; empty: none does.
        heard: (number of access points + 1,) fingerprints by how many of them are heard, in any
            scan.
        never_heard: names of access points that no fingerprint hears.
        levels: of ``rss``; None where the site has none, or nothing is heard.
        links_without_path: of all links at points that are there; None where no paths are kept.
        links: all links at points that are there.
        paths_median: median number of paths of the links that have one.
        power_missing: by variable (``power_left_out``, ``power_undiscovered``) the power that is
            not in the paths kept, over that and theirs: summed over the links, and of the worst
            link; empty where the site does not keep the paths.
        csi_nmse_worst: largest squared error of a link's channel, where it is kept with fewer bits.
        line_of_sight: share of the links of which it is known that are in line of sight.
        seconds: earliest and latest time, from the site's origin of time.
        labels: number of different labels by variable (floor, device, ...).
    """

    fingerprints: int
    absent: int
    silent: int
    splits: dict[str, int]
    lowest_corner: tuple[float, ...]
    highest_corner: tuple[float, ...]
    heard_by: str
    heard: tuple[int, ...]
    never_heard: tuple[str, ...]
    levels: Levels | None
    links_without_path: int | None
    links: int
    paths_median: float | None
    power_missing: dict[str, tuple[float, float]]
    csi_nmse_worst: float | None
    line_of_sight: float | None
    seconds: tuple[float, float] | None
    labels: dict[str, int]

    @property
    def heard_range(self) -> tuple[int, int, int] | None:
        """Fewest, median and most access points heard in a fingerprint."""
        counts = np.array(self.heard)
        if not counts.sum():
            return None
        there = np.flatnonzero(counts)
        return int(there[0]), int(_median(counts)), int(there[-1])


_MISSING = ("power_left_out", "power_undiscovered")
_LABELS = ("trajectory", "building", "floor", "space", "device", "surveyor")
_READ = (
    "position", "split", "time", "rss", "rtt", "num_paths", "path_gain", *_MISSING, "los",
    "csi_nmse", *_LABELS,
)  # fmt: skip


def coverage(site: SitePieces) -> Coverage:
    """Count what the finished jobs of a site hold.

    Raises:
        StoreError: data cannot be read.
    """
    counts = _Counts(site.spec)
    names = [name for name in _READ if name in site.spec.point_variables]
    for job in site.receipts:
        for points in site.cut(job, names):
            status = site.read("status", job.realisation, points)
            there = status != ABSENT
            counts.absent += int(np.count_nonzero(~there))
            counts.silent += int(np.count_nonzero(status == SILENT))
            counts.add({name: site.read(name, job.realisation, points)[there] for name in names})
    return counts.result()


class _Counts:
    """Running figures."""

    def __init__(self, spec: SiteSpec) -> None:
        self._spec = spec
        aps = len(spec.access_points)
        names = spec.point_variables
        self.absent = 0
        self.silent = 0
        self._fingerprints = 0
        self._splits = np.zeros(len(SPLITS), np.int64)
        self._lowest = np.full(3, np.inf)
        self._highest = np.full(3, -np.inf)
        self._heard_by = next((name for name in _HEARD_BY if name in names), "")
        self._heard = np.zeros(aps + 1, np.int64)
        self._ever_heard = np.zeros(aps, np.bool_)
        self._levels = np.zeros(round((_HIGHEST_DBM - _LOWEST_DBM) / _STEP_DB), np.int64)
        self._level_range = [np.inf, -np.inf]
        self._readings = 0
        self._scans = 0
        self._paths = np.zeros(spec.paths + 1, np.int64)
        self._kept = 0.0
        self._missing = {name: [0.0, 0.0] for name in _MISSING if name in names}
        self._nmse_worst = 0.0
        self._sight = np.zeros(2, np.int64)
        self._seconds = [np.inf, -np.inf]
        self._labels: dict[str, set[int]] = {name: set() for name in _LABELS if name in names}

    def add(self, values: dict[str, AnyArray]) -> None:
        """Count points that are there."""
        position = values["position"].astype(np.float64)
        self._fingerprints += len(position)
        if not len(position):
            return
        self._lowest = np.minimum(self._lowest, position.min(axis=0))
        self._highest = np.maximum(self._highest, position.max(axis=0))
        if "split" in values:
            self._splits += np.bincount(values["split"], minlength=len(SPLITS))
        for name, seen in self._labels.items():
            seen.update(np.unique(values[name]).tolist())
        if "time" in values:
            self._widen(self._seconds, values["time"].astype(np.float64))
        if self._heard_by:
            self._add_heard(values[self._heard_by])
        if "rss" in values:
            self._add_levels(values["rss"].astype(np.float64))
        if "num_paths" in values:
            self._paths += np.bincount(values["num_paths"].ravel(), minlength=self._spec.paths + 1)
        if "path_gain" in values:
            self._add_power(values)
        if "csi_nmse" in values:
            self._nmse_worst = max(self._nmse_worst, float(np.max(values["csi_nmse"], initial=0.0)))
        if "los" in values:
            sight: Any = values["los"]
            self._sight += np.bincount(sight[sight >= 0], minlength=2)

    def _add_heard(self, values: AnyArray) -> None:
        numbers: Any = values
        # Of scans, one that hears it is enough.
        links = self._heard_by == "num_paths"
        heard = numbers > 0 if links else ~np.isnan(numbers).all(axis=1)
        self._ever_heard |= heard.any(axis=0)
        self._heard += np.bincount(heard.sum(axis=1), minlength=len(self._heard))

    def _add_levels(self, rss: npt.NDArray[np.float64]) -> None:
        heard = rss[~np.isnan(rss)]
        self._scans += rss.size
        self._readings += heard.size
        self._widen(self._level_range, heard)
        bins = np.rint((heard - _LOWEST_DBM) / _STEP_DB).astype(np.int64)
        self._levels += np.bincount(
            bins.clip(0, len(self._levels) - 1), minlength=len(self._levels)
        )

    def _add_power(self, values: dict[str, AnyArray]) -> None:
        kept = np.square(np.abs(values["path_gain"].astype(np.complex128))).sum(axis=-1)
        self._kept += float(kept.sum())
        for name, figures in self._missing.items():
            missing = values[name].astype(np.float64)
            whole = kept + missing
            share = missing / np.where(whole > 0, whole, 1.0)
            figures[0] += float(missing.sum())
            figures[1] = max(figures[1], float(share.max(initial=0.0)))

    @staticmethod
    def _widen(limits: list[float], values: npt.NDArray[np.float64]) -> None:
        known = values[~np.isnan(values)]
        if known.size:
            limits[0] = min(limits[0], float(known.min()))
            limits[1] = max(limits[1], float(known.max()))

    def result(self) -> Coverage:
        names = self._spec.point_variables
        aps = self._spec.access_points
        paths = "num_paths" in names
        sight = int(self._sight.sum())
        some = self._paths.copy()
        some[0] = 0
        never = tuple(ap for ap, ever in zip(aps, self._ever_heard, strict=True) if not ever)
        return Coverage(
            fingerprints=self._fingerprints,
            absent=self.absent,
            silent=self.silent,
            splits=(
                {name: int(n) for name, n in zip(SPLITS, self._splits, strict=True) if name}
                if "split" in names
                else {}
            ),
            lowest_corner=tuple(self._lowest.tolist()),
            highest_corner=tuple(self._highest.tolist()),
            heard_by=self._heard_by,
            heard=tuple(self._heard.tolist()),
            never_heard=never if self._heard_by else (),
            levels=self._level_figures(),
            links_without_path=int(self._paths[0]) if paths else None,
            links=self._fingerprints * len(aps),
            paths_median=_median(some) if paths and some.any() else None,
            power_missing={
                name: (total / (self._kept + total), worst)
                for name, (total, worst) in self._missing.items()
                if self._kept
            },
            csi_nmse_worst=self._nmse_worst if "csi_nmse" in names else None,
            line_of_sight=float(self._sight[1] / sight) if sight else None,
            seconds=(
                (self._seconds[0], self._seconds[1]) if np.isfinite(self._seconds[0]) else None
            ),
            labels={name: len(seen - {-1}) for name, seen in self._labels.items()},
        )

    def _level_figures(self) -> Levels | None:
        if not self._readings:
            return None

        def quantile(share: float) -> float:
            bin_index = np.searchsorted(np.cumsum(self._levels), share * self._readings)
            return float(_LOWEST_DBM + bin_index * _STEP_DB)

        return Levels(
            readings=self._readings,
            share_heard=self._readings / self._scans,
            lowest=self._level_range[0],
            low=quantile(0.05),
            median=quantile(0.5),
            high=quantile(0.95),
            highest=self._level_range[1],
        )


def _median(counts: npt.NDArray[np.int64]) -> float:
    """Lower median of values that occur so often."""
    return float(np.searchsorted(np.cumsum(counts), counts.sum() / 2.0))
