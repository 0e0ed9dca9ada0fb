"""What receivers see of the access points of a scene: channels, powers, and who sent what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.scene.declaration import Scene
from twin.scene.layers import equivalent_slab
from twin.scene.materials import layer_slabs, material_faults
from twin.trace import channel
from twin.trace.antenna import named_ports
from twin.trace.array import MountedArray, planar
from twin.trace.paths import PathTable, select
from twin.trace.stations import carriers, mounted_array, orientation_rad
from twin.waves import subcarrier_offsets_hz

Responses = npt.NDArray[np.complex64]
Variable = tuple[tuple[str, ...], npt.NDArray[np.generic], dict[str, str]]

_PHASE = "sum of path gain times exp(-j 2 pi f delay)"


@dataclass(frozen=True)
class Observed:
    """Parts of a labelled data set.

    Args:
        variables: by name.
        subcarrier: coordinate.
        attrs: of the data set.
    """

    variables: dict[str, Variable]
    subcarrier: Variable
    attrs: dict[str, str | float]


def observed(scene: Scene, table: PathTable) -> Observed:
    """Channels, powers and what belongs to them, of all access points of a traced scene.

    `csi` is (point, ap, subcarrier) where every access point has one port; else (point, ap,
    ap_antenna, subcarrier) with as many antennas as the largest array has ports, zero beyond the
    `ap_ports` of an access point. Ports are numbered as `twin.trace.array.AntennaArray` does.

    `rss` is transmit power times the mean of |CSI|^2 over ports and subcarriers: an array's power
    is split evenly over its ports, whose signals do not interfere.
    """
    aps = scene.access_points
    ports = np.array([ap.ports for ap in aps], dtype=np.int32)
    carried = [scene.carrier_hz(ap) for ap in aps]
    bands = [scene.band_hz(ap) for ap in aps]
    power_dbm = np.array([ap.power_dbm for ap in aps])
    variables: dict[str, Variable] = {
        "ap_frequency": (
            ("ap",),
            np.array(carried),
            {"units": "Hz", "long_name": "carrier frequency"},
        ),
        "ap_bandwidth": (("ap",), np.array(bands), {"units": "Hz"}),
        "ap_orientation": (
            ("ap", "angle"),
            np.stack([orientation_rad(ap) for ap in aps]),
            {"units": "rad", "long_name": "yaw, pitch, roll; a positive pitch looks down"},
        ),
        "ap_active": (("ap",), np.array([ap.active for ap in aps]), {"units": "1"}),
    }
    responses = _responses(scene, table, bands, ports)
    meaning = {"units": "1", "phase": _PHASE}
    if isinstance(responses, np.ndarray):
        variables["csi"] = (("point", "ap", "subcarrier"), responses, meaning)
        rss = channel.rss_dbm(responses, power_dbm)
    else:
        over = ("point", "ap", "ap_antenna", "subcarrier")
        variables["csi"] = (over, _padded(responses), {**meaning, "ports": "pattern by element"})
        variables["ap_ports"] = (("ap",), ports, {"units": "1", "long_name": "antenna ports"})
        # Of every port and subcarrier alike.
        rss = np.concatenate(
            [
                channel.rss_dbm(response.reshape(len(response), 1, -1), power_dbm[[number]])
                for number, response in enumerate(responses)
            ],
            axis=1,
        )
    variables["rss"] = (("point", "ap"), rss, {"units": "dBm", "definition": _definition(ports)})
    attrs: dict[str, str | float] = {
        "polarisation": _polarisation(scene),
        "receiver_pattern": "iso",
        "rain_mm_per_h": scene.weather.rain_mm_per_h,
    }
    if scene.weather.rain_mm_per_h > 0.0:
        attrs["rain_model"] = "ITU-R P.838-3 over the length of every path"
    stand_ins = _stand_ins(scene)
    if stand_ins:
        attrs["layers"] = stand_ins
    # What differs between access points is no attribute of the data set.
    if len(set(carried)) == 1:
        attrs["frequency_hz"] = carried[0]
    if len(set(bands)) == 1:
        offsets = subcarrier_offsets_hz(bands[0], scene.subcarriers)
        subcarrier: Variable = (
            ("subcarrier",),
            offsets,
            {"units": "Hz", "long_name": "offset from the carrier"},
        )
        attrs["bandwidth_hz"] = bands[0]
    else:
        subcarrier = (("subcarrier",), np.arange(scene.subcarriers), {"units": "1"})
        variables["subcarrier_offset"] = (
            ("ap", "subcarrier"),
            np.stack([subcarrier_offsets_hz(band, scene.subcarriers) for band in bands]),
            {"units": "Hz", "long_name": "offset from the access point's carrier"},
        )
    return Observed(variables, subcarrier, attrs)


def _responses(
    scene: Scene, table: PathTable, bands: list[float], ports: npt.NDArray[np.int32]
) -> Responses | list[Responses]:
    """Channels (n, a, k) where all access points have one port, else of each (n, q, k)."""
    count = scene.subcarriers
    if (ports == 1).all() and len(set(bands)) == 1:
        return channel.csi(table, bands[0], count)
    # The receiver of every point.
    ear = MountedArray(planar(1, 1, named_ports("iso", "V")), np.zeros(3))
    found = []
    for number, ap in enumerate(scene.access_points):
        if ports[number] == 1:
            # As it is among access points that have one port each.
            alone = select(table, access_points=slice(number, number + 1))
            found.append(channel.csi(alone, bands[number], count))
        else:
            array = mounted_array(ap)
            found.append(channel.array_csi(table, number, array, ear, bands[number], count)[:, 0])
    return np.concatenate(found, axis=1) if (ports == 1).all() else found


def _padded(responses: list[Responses]) -> Responses:
    """Responses (n, q, k) of each access point as one (n, a, most, k), zero beyond their ports."""
    points, _, subcarriers = responses[0].shape
    most = max(response.shape[1] for response in responses)
    whole = np.zeros((points, len(responses), most, subcarriers), dtype=np.complex64)
    for number, response in enumerate(responses):
        whole[:, number, : response.shape[1]] = response
    return whole


def _stand_ins(scene: Scene) -> str:
    """How far the slabs that stand in for layers are off, on every carrier."""
    found = []
    for name, material in scene.materials.items():
        for carrier in carriers(scene):
            frequency_hz = carrier.frequency_hz
            # One that is not used may have no constants on a carrier.
            if len(material.layers) < 2 or material_faults(material, frequency_hz, "scene", name):
                continue
            near = equivalent_slab(layer_slabs(material, frequency_hz), frequency_hz)
            found.append(
                f"{name} at {frequency_hz / 1e9:g} GHz is a slab whose transmission is within "
                f"{near.worst_transmission_db:.1f} dB of its layers', reflection within "
                f"{near.worst_reflection_db:.1f} dB, up to 75 degrees"
            )
    return "; ".join(found)


def _definition(ports: npt.NDArray[np.int32]) -> str:
    over = "the subcarriers" if (ports == 1).all() else "ports and subcarriers"
    return (
        f"wideband coherent: transmit power times the mean of |CSI|^2 over {over}; "
        "NaN without a path"
    )


def _polarisation(scene: Scene) -> str:
    kinds = [ap.polarisation for ap in scene.access_points]
    if set(kinds) == {"V"}:
        return "vertical at both ends"
    return f"{', '.join(kinds)} at the access points, vertical at the receivers"
