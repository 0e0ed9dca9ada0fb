"""What an access point of a declaration is to a tracer: carrier, band, antenna, array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.errors import Fault
from twin.scene import rain_band
from twin.scene.declaration import Scene
from twin.scene.radio import AccessPoint
from twin.trace.antenna import named_ports
from twin.trace.array import MountedArray, planar
from twin.trace.ports import Antenna
from twin.trace.rain import Rain
from twin.waves import rotation_matrix


@dataclass(frozen=True)
class Carrier:
    """Access points that send on one carrier.

    Args:
        frequency_hz: of the carrier.
        members: their numbers among the scene's access points, rising.
    """

    frequency_hz: float
    members: tuple[int, ...]


def carriers(scene: Scene) -> tuple[Carrier, ...]:
    """The access points that are active, by carrier, in the order in which carriers first occur."""
    members: dict[float, list[int]] = {}
    for number, ap in enumerate(scene.access_points):
        if ap.active:
            members.setdefault(scene.carrier_hz(ap), []).append(number)
    return tuple(Carrier(frequency, tuple(found)) for frequency, found in members.items())


def orientation_rad(ap: AccessPoint) -> npt.NDArray[np.float64]:
    """Yaw, pitch and roll (3,), see `twin.waves.rotation_matrix`; a positive pitch looks down."""
    return np.asarray(np.deg2rad([ap.yaw_deg, ap.pitch_deg, ap.roll_deg]))


def mounted_array(ap: AccessPoint) -> MountedArray:
    """All ports of an access point as it hangs; `twin.trace.array.AntennaArray` numbers them."""
    grid = ap.array
    array = planar(
        grid.rows,
        grid.columns,
        named_ports(ap.pattern, ap.polarisation),
        grid.vertical_spacing,
        grid.horizontal_spacing,
    )
    return MountedArray(array, orientation_rad(ap))


def antenna(scene: Scene, ap: AccessPoint) -> Antenna:
    """The antenna in the middle of an access point's array, and the rain that it sends into.

    Its pattern is that of the array's first port; those of the others tell what can be heard.

    Raises:
        InputError: it rains, and nobody knows what that does to the carrier; see `rain_faults`.
    """
    rate = scene.weather.rain_mm_per_h
    first, *others = named_ports(ap.pattern, ap.polarisation)
    return Antenna(
        first,
        rotation_matrix(orientation_rad(ap)),
        Rain(scene.carrier_hz(ap), rate) if rate > 0.0 else None,
        tuple(others),
    )


def rain_faults(scene: Scene, where: str) -> list[Fault]:
    """Carriers of active access points outside what ITU-R P.838-3 covers, if it rains."""
    if scene.weather.rain_mm_per_h == 0.0:
        return []
    return [
        fault
        for ap in scene.access_points
        if ap.active
        for fault in rain_band.rain_faults(
            scene.carrier_hz(ap), where, f"access_points.{ap.name}.frequency_ghz"
        )
    ]
