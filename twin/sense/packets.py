"""A receiver that reports channel state information (CSI) packet by packet, as a phone may do.

What happens to a packet, in order: the channel as traced, at the transmit power; what moves
meanwhile; thermal noise; automatic gain; an unknown phase and start of the symbol; conversion to
integers.
Sources of the sizes: docs/csi-packets.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from twin.config import StrictModel
from twin.errors import Fault, refuse
from twin.seeds import stream
from twin.sense.residual_motion import (
    Complexes,
    Floats,
    complex_normal,
    delay_profile,
    scattered,
    tap_responses,
)
from twin.units import db, power_ratio
from twin.waves import subcarrier_offsets_hz

BOLTZMANN_J_PER_K = 1.380649e-23
REFERENCE_TEMPERATURE_K = 290.0

_CSI_DIMS = ("point", "ap", "rx_antenna", "ap_antenna", "subcarrier")
_NOT_HEARD = complex(np.nan, np.nan)


class PacketModel(StrictModel):
    """Effects of a receiver of CSI; the defaults are of the size of commodity Wi-Fi at 20 MHz.

    Args:
        noise_figure_db: of the receiver, over thermal noise at 290 K.
        motion_ratio_db: power of the channel that stands still over that of what moves during a
            burst; their sum has the traced power.
        coherence_time_s: after which the correlation of what moves falls to 1/e.
        packet_interval_s: from one packet of a burst to the next.
        motion_delay_spread_s: root mean square of the delays of what moves.
        agc_target_dbfs: level that the gain aims at: mean power of the CSI's complex numbers over
            the square of the greatest real part that can be reported.
        agc_step_db: gains are multiples of this; 0: any gain.
        agc_jitter_std_db: of the error of the level that the gain is set by, packet by packet.
        random_phase: whether every packet has a phase of its own, uniform over a turn (carrier
            offset, start of the oscillators).
        timing_std_s: of the error of a symbol's start, packet by packet: a phase that is linear
            over the subcarriers.
        csi_bits: of each real and imaginary part, with its sign; greater ones are clipped. None:
            reported as they are, where the greatest would be 1.
        rss_jitter_std_db: of the received level, packet by packet.
        rss_step_db: RSS is reported in multiples of this; 0 reports it as it is.
        detection_threshold_dbm: packets with less power than this are not heard.
    """

    noise_figure_db: Annotated[float, Field(ge=0.0, le=50.0)] = 7.0
    motion_ratio_db: Annotated[float, Field(ge=-50.0, le=200.0)] = 15.0
    coherence_time_s: Annotated[float, Field(gt=0.0, le=1e6)] = 0.08
    packet_interval_s: Annotated[float, Field(ge=0.0, le=1e6)] = 0.01
    motion_delay_spread_s: Annotated[float, Field(ge=0.0, le=1e-6)] = 30e-9
    agc_target_dbfs: Annotated[float, Field(ge=-60.0, le=20.0)] = -12.0
    agc_step_db: Annotated[float, Field(ge=0.0, le=40.0)] = 2.0
    agc_jitter_std_db: Annotated[float, Field(ge=0.0, le=20.0)] = 0.5
    random_phase: bool = True
    timing_std_s: Annotated[float, Field(ge=0.0, le=1e-5)] = 50e-9
    csi_bits: Annotated[int, Field(ge=2, le=16)] | None = 10
    rss_jitter_std_db: Annotated[float, Field(ge=0.0, le=50.0)] = 0.5
    rss_step_db: Annotated[float, Field(ge=0.0, le=10.0)] = 1.0
    detection_threshold_dbm: Annotated[float, Field(ge=-200.0, le=0.0)] = -92.0


def thermal_noise_dbm(bandwidth_hz: float, noise_figure_db: float) -> float:
    """Power of a receiver's noise [dBm]: k T B at 290 K (Johnson; Nyquist, 1928) and its figure."""
    watt = BOLTZMANN_J_PER_K * REFERENCE_TEMPERATURE_K * bandwidth_hz
    return float(db(watt * 1e3)) + noise_figure_db


def sense_packets(
    dataset: xr.Dataset,
    model: PacketModel,
    seed: int,
    scene_name: str,
    realisation: int,
    bursts: int,
    packets: int,
) -> xr.Dataset:
    """What a receiver of CSI reports of a traced data set (`twin.trace.engine.trace`).

    Draws belong to scene, realisation, quantity, access point and the place of the receiver:
    whichever other points and access points are in the data set, and in which order, changes no bit
    of a link. Two receivers at one place report the same. Further bursts change no earlier one.

    Args:
        dataset: as traced; `csi` (n, a, subcarrier), with antennas of both ends where there are
            several; `rss` [dBm], the level that goes with it; `toa`, from which what moves arrives.
        model: sizes of the effects.
        seed: the study's seed.
        scene_name: key of the streams.
        realisation: key of the streams.
        bursts: stretches of time between which everything that moves has moved on.
        packets: of each burst.

    Returns:
        Data set with reported_csi (point, bursts x packets, ap, rx_antenna, ap_antenna, subcarrier)
        complex64, in steps of the converter, zero at ports that an access point lacks; rss (point,
        bursts x packets, ap) float32 [dBm], before the gain; both NaN where a packet is not heard.
        Bursts come one after the other. position, ap_position and los as traced.

    Raises:
        InputError: the data set lacks something or a number is less than 1; lists every fault.
    """
    traced = _read(dataset, bursts, packets)
    points, aps = traced.level_dbm.shape
    snapshots = bursts * packets
    rss = np.full((points, snapshots, aps), np.nan, np.float32)
    reported = np.full(
        (points, snapshots, aps, *traced.response.shape[2:]), _NOT_HEARD, np.complex64
    )
    for ap in range(aps):
        receiver = _Receiver(model, traced, ap)
        for point, static in traced.links(ap):
            draws = _Draws(seed, scene_name, realisation, traced.names[ap], traced.position[point])
            level, csi = receiver.hear(
                static, traced.toa_s[point, ap], draws, bursts=bursts, packets=packets
            )
            heard = np.isfinite(level)
            rss[point, :, ap] = level
            reported[point, heard, ap] = 0.0
            reported[point, heard, ap, :, : traced.ports[ap]] = csi[heard]
    said = {
        "seed": seed,
        "realisation": realisation,
        "bursts": bursts,
        "packets_per_burst": packets,
        **model.model_dump(),
    }
    return _labelled(dataset, rss, reported, said)


def _labelled(
    dataset: xr.Dataset,
    rss: npt.NDArray[np.float32],
    reported: npt.NDArray[np.complex64],
    said: Mapping[str, float | None],
) -> xr.Dataset:
    kept = [name for name in ("position", "ap_position", "los") if name in dataset]
    known = [name for name in ("ap", "subcarrier") if name in dataset.coords]
    result = dataset[kept].assign_coords({name: dataset[name] for name in known})
    result["rss"] = (("point", "snapshot", "ap"), rss, {"units": "dBm"})
    result["reported_csi"] = (
        ("point", "snapshot", *_CSI_DIMS[1:]),
        reported,
        {"units": "1", "long_name": "in steps of the converter"},
    )
    result.attrs = {
        **dataset.attrs,
        **{
            f"packets_{key}": int(value) if isinstance(value, bool) else value
            for key, value in said.items()
            if value is not None
        },
    }
    return result


@dataclass(frozen=True, eq=False)
class _Traced:
    """What is used of a traced data set of n points and a access points.

    Attributes:
        response: (n, a, r, q, k) channels.
        level_dbm: (n, a) received power; NaN without a path.
        toa_s: (n, a) delay of the first path.
        position: (n, 3) [m].
        names: (a,).
        ports: (a,) ports of each access point, of the q there is room for.
        bandwidths_hz: (a,).
    """

    response: npt.NDArray[np.complex64]
    level_dbm: npt.NDArray[np.float32]
    toa_s: Floats
    position: Floats
    names: list[str]
    ports: list[int]
    bandwidths_hz: list[float]

    def links(self, ap: int) -> Iterator[tuple[int, Complexes]]:
        """Points with a path from an access point, and their channels (r, q, k) [sqrt(mW)]."""
        for point in np.flatnonzero(np.isfinite(self.level_dbm[:, ap])):
            gain = self.response[point, ap, :, : self.ports[ap]].astype(np.complex128)
            mean = float(_power(gain).mean())
            if mean > 0.0:
                level = float(power_ratio(self.level_dbm[point, ap]))
                yield int(point), gain * np.sqrt(level / mean)


def _read(dataset: xr.Dataset, bursts: int, packets: int) -> _Traced:
    where = "sense_packets"
    faults = [
        Fault(where, key, "1 or more", str(number))
        for key, number in (("bursts", bursts), ("packets", packets))
        if number < 1
    ]
    faults += [
        Fault(where, name, "a variable of the traced data set", "nothing")
        for name in ("csi", "rss", "toa", "position", "ap")
        if name not in dataset
    ]
    if "ap_bandwidth" not in dataset and "bandwidth_hz" not in dataset.attrs:
        faults.append(Fault(where, "bandwidth_hz", "ap_bandwidth or this attribute", "neither"))
    dims = dataset["csi"].dims if "csi" in dataset else _CSI_DIMS
    if not {"point", "ap", "subcarrier"} <= set(dims) <= set(_CSI_DIMS):
        expected = "point, ap and subcarrier, with rx_antenna and ap_antenna or without"
        faults.append(Fault(where, "csi", expected, ", ".join(map(str, dims))))
    refuse(faults)
    csi = dataset["csi"]
    for dim in _CSI_DIMS:
        if dim not in csi.dims:
            csi = csi.expand_dims(dim)
    aps = dataset.sizes["ap"]
    if "ap_bandwidth" in dataset:
        bandwidths = [float(value) for value in dataset["ap_bandwidth"].values]
    else:
        bandwidths = [float(dataset.attrs["bandwidth_hz"])] * aps
    ports = [csi.sizes["ap_antenna"]] * aps
    if "ap_ports" in dataset:
        ports = [int(value) for value in dataset["ap_ports"].values]
    return _Traced(
        response=csi.transpose(*_CSI_DIMS).to_numpy(),
        level_dbm=dataset["rss"].transpose("point", "ap").to_numpy(),
        toa_s=dataset["toa"].transpose("point", "ap").to_numpy(),
        position=dataset["position"].transpose("point", "xyz").to_numpy(),
        names=[str(name) for name in dataset["ap"].values],
        ports=ports,
        bandwidths_hz=bandwidths,
    )


class _Draws:
    """Named random streams of one link."""

    def __init__(self, seed: int, scene: str, realisation: int, ap: str, position: Floats) -> None:
        # Minus zero is the same place as zero.
        place = " ".join(float(value + 0.0).hex() for value in position)
        self._key = (seed, scene, realisation, ap, place)

    def __call__(self, quantity: str) -> np.random.Generator:
        seed, scene, realisation, ap, place = self._key
        return stream(seed, "packets", scene, realisation, quantity, ap, place)


class _Receiver:
    """The chain of effects for the packets of one access point."""

    def __init__(self, model: PacketModel, traced: _Traced, ap: int) -> None:
        self._model = model
        bandwidth = traced.bandwidths_hz[ap]
        self._offset_hz = subcarrier_offsets_hz(bandwidth, traced.response.shape[-1])
        # Power is counted over the whole band, and so is noise: both are means over subcarriers.
        self._noise_mw = float(power_ratio(thermal_noise_dbm(bandwidth, model.noise_figure_db)))
        taps = delay_profile(model.motion_delay_spread_s, bandwidth)
        self._taps = tap_responses(*taps, self._offset_hz)
        self._correlation = float(np.exp(-model.packet_interval_s / model.coherence_time_s))

    def hear(
        self, static: Complexes, toa_s: float, draws: _Draws, *, bursts: int, packets: int
    ) -> tuple[Floats, Complexes]:
        """Levels (s,) [dBm], NaN where not heard, and CSI (s, r, q, k) of all packets of a link."""
        model = self._model
        size = (bursts, packets)
        wave = self._moved(static.reshape(-1, static.shape[-1]), toa_s, draws, size)
        strong = _mean_power_dbm(wave) >= model.detection_threshold_dbm
        wave += np.sqrt(self._noise_mw) * complex_normal(draws("noise"), wave.shape)
        level = _mean_power_dbm(wave)
        wave *= self._gain(level, draws) * self._turn(draws, size)
        rss = level + model.rss_jitter_std_db * draws("rss jitter").standard_normal(size)
        if model.rss_step_db > 0.0:
            rss = np.round(rss / model.rss_step_db) * model.rss_step_db
        heard = np.where(strong, rss, np.nan).reshape(-1)
        return heard, self._converted(wave).reshape(-1, *static.shape)

    def _moved(
        self, static: Complexes, toa_s: float, draws: _Draws, size: tuple[int, int]
    ) -> Complexes:
        """Channels (bursts, packets, ports, k) with what moves, of static ones (ports, k)."""
        ratio = float(power_ratio(self._model.motion_ratio_db))
        moving = scattered(draws("motion"), *size, len(static), self._taps, self._correlation)
        moving *= np.exp(-2j * np.pi * self._offset_hz * toa_s)
        moving *= np.sqrt(_power(static).mean() / (1.0 + ratio))
        moving += np.sqrt(ratio / (1.0 + ratio)) * static
        return moving

    def _gain(self, level_dbm: Floats, draws: _Draws) -> Floats:
        """Amplitude gains (bursts, packets, 1, 1) for levels (bursts, packets)."""
        model = self._model
        error = model.agc_jitter_std_db * draws("agc").standard_normal(level_dbm.shape)
        gain_db = model.agc_target_dbfs - level_dbm - error
        if model.agc_step_db > 0.0:
            gain_db = np.round(gain_db / model.agc_step_db) * model.agc_step_db
        return np.asarray(np.sqrt(power_ratio(gain_db))[..., None, None])

    def _turn(self, draws: _Draws, size: tuple[int, int]) -> Complexes:
        """Phase factors (bursts, packets, 1, k)."""
        timing_s = self._model.timing_std_s * draws("timing").standard_normal(size)
        turns = -timing_s[..., None, None] * self._offset_hz
        if self._model.random_phase:
            turns = turns + draws("phase").random(size)[..., None, None]
        return np.asarray(np.exp(2j * np.pi * turns))

    def _converted(self, wave: Complexes) -> Complexes:
        if self._model.csi_bits is None:
            return wave
        greatest = 2 ** (self._model.csi_bits - 1) - 1
        parts = np.rint(wave.view(np.float64) * greatest)
        return np.asarray(np.clip(parts, -greatest, greatest).view(np.complex128))


def _power(wave: Complexes) -> Floats:
    return np.asarray(wave.real**2 + wave.imag**2)


def _mean_power_dbm(wave: Complexes) -> Floats:
    """Mean power [dBm] over ports and subcarriers, the last two dimensions [sqrt(mW)]."""
    return db(_power(wave).mean(axis=(-2, -1)))
