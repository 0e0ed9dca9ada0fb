"""A receiver that reports RSS and round-trip ranges, as a Wi-Fi telephone does.

RSS follows the usual chain: transmit power and channel, an offset of the device, log-normal
shadowing by clutter that the scene leaves out (exponential correlation over distance: Gudmundson,
Electronics Letters 27(23), 1991), jitter, quantisation, detection. Ranges come from the leading
edge of the band-limited impulse response, with errors of clock and calibration.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from twin.config import StrictModel
from twin.seeds import stream
from twin.sense.leading_edge import leading_edge_s
from twin.units import SPEED_OF_LIGHT_M_PER_S

Floats = npt.NDArray[np.float64]
Deviation = Annotated[float, Field(ge=0.0, le=50.0)]

_FIELD_WAVES = 1024


class SenseModel(StrictModel):
    """Errors of a receiver; the defaults are of the size seen in Wi-Fi measurements indoors.

    Args:
        rss_offset_std_db: of one offset for each access point.
        shadowing_std_db: of the slow fading that the scene does not explain.
        shadowing_decorrelation_m: distance at which its correlation falls to 1/e.
        rss_jitter_std_db: from snapshot to snapshot.
        rss_step_db: RSS is reported in multiples of this; 0 reports it as it is.
        detection_threshold_dbm: weaker signals are not heard.
        edge_fraction: share of the impulse response's peak at which the first arrival is detected.
        rtt_bias_mean_m, rtt_bias_std_m: of one bias for each access point.
        rtt_scale_std: of one relative error of range for each access point.
        rtt_point_std_m: of an error for each point and access point, the same in all snapshots.
        rtt_noise_std_m: from snapshot to snapshot.
        rtt_outlier_probability: share of points and access points where a late arrival is taken for
            the first.
        rtt_outlier_mean_m: mean excess there (exponential).
    """

    rss_offset_std_db: Deviation = 2.0
    shadowing_std_db: Deviation = 3.0
    shadowing_decorrelation_m: Annotated[float, Field(ge=0.05, le=1000.0)] = 2.0
    rss_jitter_std_db: Deviation = 1.0
    rss_step_db: Annotated[float, Field(ge=0.0, le=10.0)] = 1.0
    detection_threshold_dbm: Annotated[float, Field(ge=-200.0, le=0.0)] = -95.0
    edge_fraction: Annotated[float, Field(ge=0.05, le=0.95)] = 0.25
    rtt_bias_mean_m: Annotated[float, Field(ge=-50.0, le=50.0)] = 0.0
    rtt_bias_std_m: Deviation = 0.5
    rtt_scale_std: Annotated[float, Field(ge=0.0, le=0.5)] = 0.01
    rtt_point_std_m: Deviation = 0.4
    rtt_noise_std_m: Deviation = 0.25
    rtt_outlier_probability: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    rtt_outlier_mean_m: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0


def sense(
    dataset: xr.Dataset,
    model: SenseModel,
    seed: int,
    scene_name: str,
    realisation: int,
    visits: int,
    snapshots: int,
) -> xr.Dataset:
    """What receivers report of a traced data set (`twin.trace.engine.trace`), all points at once.

    A visit is one device on one day: its biases and the clutter around it stay the same over all
    points and snapshots. Every access point has streams of its own, keyed by scene, realisation,
    visit, quantity and its name.

    Args:
        dataset: as traced.
        model: sizes of the errors.
        seed: the study's seed.
        scene_name: key of the streams.
        realisation: key of the streams.
        visits: receivers sent through the place, one after the other.
        snapshots: scans a point and visit.

    Returns:
        Data set with rss (point, visits x snapshots, ap) float32 [dBm], NaN where not heard; rtt
        likewise [m], one-way, where the data set has paths; position, ap_position and los as
        traced. Visits come one after the other along the snapshot axis.
    """
    if min(visits, snapshots) < 1:
        raise ValueError(f"expected 1 or more, found visits {visits}, snapshots {snapshots}")
    position = dataset["position"].values
    names = [str(name) for name in dataset["ap"].values]
    edge_s = _edges_s(dataset, model) if "path_gain" in dataset else None
    shape = (len(position), visits * snapshots, len(names))
    rss, rtt = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for visit, (index, name) in product(range(visits), enumerate(names)):
        draws = _Draws(seed, scene_name, realisation, visit, name)
        level = _rss_dbm(dataset["rss"].values[:, index], position, model, draws, snapshots)
        scans = slice(visit * snapshots, (visit + 1) * snapshots)
        rss[:, scans, index] = level
        if edge_s is None:
            continue
        metres = edge_s[:, index] * SPEED_OF_LIGHT_M_PER_S
        rtt[:, scans, index] = np.where(
            np.isnan(level), np.nan, _range_m(metres, model, draws, snapshots)
        )
    kept = [name for name in ("position", "ap_position", "los") if name in dataset]
    reported = dataset[kept].copy()
    reported["rss"] = (("point", "snapshot", "ap"), rss, {"units": "dBm"})
    if edge_s is not None:
        reported["rtt"] = (("point", "snapshot", "ap"), rtt, {"units": "m"})
    reported.attrs = {
        **dataset.attrs,
        "sense_seed": seed,
        "sense_realisation": realisation,
        "sense_visits": visits,
        **{f"sense_{key}": value for key, value in model.model_dump().items()},
    }
    return reported


def _edges_s(dataset: xr.Dataset, model: SenseModel) -> Floats:
    """Detected first arrivals (n, a) [s]."""
    return np.stack(
        [
            leading_edge_s(
                dataset["path_gain"].values[:, index],
                dataset["delay"].values[:, index],
                bandwidth_hz,
                model.edge_fraction,
            )
            for index, bandwidth_hz in enumerate(_bandwidths_hz(dataset))
        ],
        axis=1,
    )


def _bandwidths_hz(dataset: xr.Dataset) -> list[float]:
    """Of the access points; data sets of other tracers may say one for all."""
    if "ap_bandwidth" in dataset:
        return [float(value) for value in dataset["ap_bandwidth"].values]
    return [float(dataset.attrs["bandwidth_hz"])] * dataset.sizes["ap"]


class _Draws:
    """Named random streams of one access point during one visit to one realisation."""

    def __init__(self, seed: int, scene: str, realisation: int, visit: int, ap: str) -> None:
        self._key = (seed, scene, realisation, visit, ap)

    def __call__(self, quantity: str) -> np.random.Generator:
        seed, scene, realisation, visit, ap = self._key
        return stream(seed, "sense", scene, realisation, visit, quantity, ap)


def _rss_dbm(
    traced_dbm: npt.NDArray[np.float32],
    position: Floats,
    model: SenseModel,
    draws: _Draws,
    snapshots: int,
) -> Floats:
    """RSS (n, s) [dBm] of one access point."""
    slow = (
        traced_dbm.astype(np.float64)
        + model.rss_offset_std_db * draws("rss offset").standard_normal()
        + model.shadowing_std_db
        * shadowing(position, model.shadowing_decorrelation_m, draws("shadowing"))
    )
    jitter = draws("rss jitter").standard_normal((len(position), snapshots))
    level = slow[:, None] + model.rss_jitter_std_db * jitter
    level = np.where(level < model.detection_threshold_dbm, np.nan, level)
    if model.rss_step_db > 0.0:
        level = np.round(level / model.rss_step_db) * model.rss_step_db
    return level


def shadowing(position: Floats, decorrelation_m: float, generator: np.random.Generator) -> Floats:
    """Gaussian field (n,) with mean 0, variance 1 and correlation exp(-distance / decorrelation).

    A sum of plane waves, drawn from the field's spectrum: for an exponential correlation a
    multivariate Cauchy distribution (Rahimi and Recht, NIPS 2007, give the general recipe). The
    field is a function of position alone: which points are asked for, and in which order, does not
    change it.
    """
    wave = generator.standard_normal((_FIELD_WAVES, 3))
    radius = np.abs(generator.standard_normal((_FIELD_WAVES, 1)))
    phase = generator.uniform(0.0, 2.0 * np.pi, _FIELD_WAVES)
    number = wave / radius / decorrelation_m
    return np.asarray(np.sqrt(2.0 / _FIELD_WAVES) * np.cos(position @ number.T + phase).sum(axis=1))


def _range_m(metres: Floats, model: SenseModel, draws: _Draws, snapshots: int) -> Floats:
    """Reported ranges (n, s) [m] of one access point from detected ones (n,)."""
    count = len(metres)
    bias = model.rtt_bias_mean_m + model.rtt_bias_std_m * draws("rtt bias").standard_normal()
    scale = 1.0 + model.rtt_scale_std * draws("rtt scale").standard_normal()
    late = draws("rtt outlier")
    outlier = (late.uniform(size=count) < model.rtt_outlier_probability) * (
        model.rtt_outlier_mean_m * late.standard_exponential(count)
    )
    fixed = model.rtt_point_std_m * draws("rtt point").standard_normal(count)
    noise = model.rtt_noise_std_m * draws("rtt noise").standard_normal((count, snapshots))
    return np.asarray((scale * metres + bias + outlier + fixed)[:, None] + noise)
