"""From amplitudes between polarisations to the gains of paths between antennas."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.trace.antenna import AntennaPattern, named_ports, port_gain, world_field
from twin.trace.paths import PathList
from twin.trace.rain import Rain
from twin.units import SPEED_OF_LIGHT_M_PER_S, wavelength_m

# Of the amplitude that free space would leave: what single precision makes of a wave that a metal
# sheet lets through, or that a sheet of air reflects, is no path. Nor is, of the wave that arrives,
# what is left for an antenna across its polarisation.
NUMERICAL_FLOOR = 1e-6


@dataclass(frozen=True)
class Antenna:
    """An antenna and the air that it radiates into.

    Args:
        pattern: of its port; of the first one where it has several.
        rotation: (3, 3) from its own frame to the world's.
        rain: what attenuates its paths over their length, if anything does.
        others: patterns of its further ports. A path is one where any port is heard over it.
    """

    pattern: AntennaPattern
    rotation: npt.NDArray[np.float64]
    rain: Rain | None = None
    others: tuple[AntennaPattern, ...] = ()


def vertical_isotropic() -> Antenna:
    """The antenna of every receiver."""
    return Antenna(named_ports("iso", "V")[0], np.eye(3))


def finished(paths: PathList, frequency_hz: float, antennas: Sequence[Antenna]) -> PathList:
    """Paths with the carrier's phase, the rain's loss and the gain between antennas.

    What is numerics is left out: by what free space would leave of the wave, however hard it rains;
    and by how strong the wave arrives, for a receiver across its polarisation. The latter is held
    against the wave and not against free space, so that walls and nulls of patterns may weaken a
    path as far as they do.

    Args:
        paths: as traced: transfer without the carrier's phase, gain not yet known.
        frequency_hz: of the carrier.
        antennas: of the access points; the receiver's is vertical and isotropic.
    """
    free_space = wavelength_m(frequency_hz) / (4.0 * np.pi * paths.delay_s * SPEED_OF_LIGHT_M_PER_S)
    strongest = np.abs(paths.transfer).max(axis=(1, 2), initial=0.0)
    paths = paths.where(strongest > NUMERICAL_FLOOR * free_space)
    carrier = np.exp(-2j * np.pi * frequency_hz * paths.delay_s)
    transfer = (paths.transfer * carrier[:, None, None]).astype(np.complex64)
    receivers = np.array([[1.0, 0.0], [0.0, 1.0]])
    gain = np.zeros(len(paths), dtype=np.complex64)
    heard = np.zeros(len(paths), dtype=np.bool_)
    for index, antenna in enumerate(antennas):
        mine = paths.access_point == index
        if antenna.rain is not None:
            zenith = paths.aod_zenith[mine].astype(np.float64)
            # Columns are the polarisations at the access point.
            transfer[mine] *= antenna.rain.amplitude(zenith, paths.delay_s[mine])[:, None, :]
        angles_rad = (
            paths.aod_azimuth[mine].astype(np.float64),
            paths.aod_zenith[mine].astype(np.float64),
        )
        fields = [
            world_field(pattern, antenna.rotation, *angles_rad)
            for pattern in (antenna.pattern, *antenna.others)
        ]
        # Of the ports (axis 0), what an upright antenna hears and what one across it would.
        upright, across = (
            np.stack([port_gain(transfer[mine], field, receiver) for field in fields])
            for receiver in receivers
        )
        gain[mine] = upright[0]
        loudest, lost = (np.abs(part).max(axis=0) for part in (upright, across))
        # Both are nothing in a null of the pattern, which is not the polarisation's doing.
        heard[mine] = loudest >= NUMERICAL_FLOOR * lost
    return dataclasses.replace(paths, transfer=transfer, gain=gain).where(heard)


def angles(
    direction: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Azimuth and zenith (m,) [rad] of unit vectors (m, 3)."""
    # A zero with a sign would turn the azimuth by half a turn or more.
    x, y, z = direction.T + 0.0
    return np.arctan2(y, x).astype(np.float32), np.arctan2(np.hypot(x, y), z).astype(np.float32)
