"""What an evaluation hands on: all errors, their summary, and comparisons of two methods."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from twin import atomic
from twin.errors import Fault, refuse
from twin.learn.features import Feature


@dataclass(frozen=True, eq=False)
class Errors:
    """Position errors of one method in one setting.

    Args:
        room: the place.
        feature: what the fingerprints hold.
        k: number of labelled real points the method was given; 0 means none.
        method: the method's name, the same in every setting.
        errors_m: (draws, fixes) horizontal position errors [m], one row for each draw of the
            labelled points. Methods to be compared hold the same draws and fixes in the same order.
        point: (fixes,) test point of each fix; fixes of one point depend on each other.
        seconds: wall time of all draws together [s], where it was taken.

    Raises:
        InputError: empty, not finite, negative, or of shapes that do not fit; lists every fault.
    """

    room: str
    feature: Feature
    k: int
    method: str
    errors_m: npt.NDArray[np.float64]
    point: npt.NDArray[np.int64]
    seconds: float | None = None

    def __post_init__(self) -> None:
        errors_m = np.array(self.errors_m, dtype=np.float64)
        point = np.array(self.point)
        refuse(self._faults(errors_m, point))
        point = point.astype(np.int64)
        errors_m.flags.writeable = False
        point.flags.writeable = False
        object.__setattr__(self, "errors_m", errors_m)
        object.__setattr__(self, "point", point)

    def _faults(
        self, errors_m: npt.NDArray[np.float64], point: npt.NDArray[np.generic]
    ) -> list[Fault]:
        where = (
            f"errors of {self.method or '?'} in {self.room or '?'}, {self.feature}, k = {self.k}"
        )
        faults = [
            Fault(where, key, "a name", "nothing")
            for key, name in (("room", self.room), ("method", self.method))
            if not name
        ]
        if self.feature not in get_args(Feature):
            faults.append(Fault(where, "feature", " | ".join(get_args(Feature)), self.feature))
        if self.k < 0:
            faults.append(Fault(where, "k", "zero or more labels", str(self.k)))
        if errors_m.ndim != 2 or errors_m.size == 0:
            faults.append(
                Fault(where, "errors_m", "(draws, fixes), neither empty", str(errors_m.shape))
            )
        else:
            if point.shape != errors_m.shape[1:]:
                faults.append(
                    Fault(where, "point", f"shape {errors_m.shape[1:]}", str(point.shape))
                )
            bad = int(np.count_nonzero(~np.isfinite(errors_m)))
            if bad:
                faults.append(Fault(where, "errors_m", "finite errors", f"{bad} that are not"))
            elif errors_m.min() < 0:
                faults.append(
                    Fault(where, "errors_m", "errors of zero or more", str(errors_m.min()))
                )
        if not np.issubdtype(point.dtype, np.integer):
            faults.append(Fault(where, "point", "whole numbers", str(point.dtype)))
        return faults


@dataclass(frozen=True)
class Record:
    """Summary of one `Errors`; every `*_ci_low` and `*_ci_high` bounds a 95 % interval [m]."""

    room: str
    feature: Feature
    k: int
    method: str
    mean_error_m: float
    ci_low: float
    ci_high: float
    draws: int
    points: int
    fixes: int
    median_m: float
    median_ci_low: float
    median_ci_high: float
    rmse_m: float
    rmse_ci_low: float
    rmse_ci_high: float
    p75_m: float
    p75_ci_low: float
    p75_ci_high: float
    p90_m: float
    p90_ci_low: float
    p90_ci_high: float
    p95_m: float
    p95_ci_low: float
    p95_ci_high: float
    seconds: float | None = None


@dataclass(frozen=True)
class Difference:
    """Mean error of `method` minus that of `reference` on the same draws and points [m].

    Negative means that `method` is better; the interval holds 95 %.
    """

    room: str
    feature: Feature
    k: int
    method: str
    reference: str
    mean_difference_m: float
    ci_low: float
    ci_high: float

    @property
    def clear(self) -> Literal["better", "worse", ""]:
        """Which way the difference goes where its interval leaves zero out, else nothing."""
        if self.ci_high < 0:
            return "better"
        return "worse" if self.ci_low > 0 else ""


def to_json(records: Iterable[Record]) -> str:
    """The records as a JSON list, one record a line; a time that was not taken is null."""
    lines = (json.dumps(asdict(record), allow_nan=False) for record in records)
    body = ",\n ".join(lines)
    return f"[\n {body}\n]\n" if body else "[]\n"


def write_metrics(path: Path, records: Iterable[Record]) -> None:
    """Write `to_json` to a file that is either whole or not there.

    Raises:
        OSError: the folder cannot be written.
    """
    atomic.write_text(path, to_json(records))
