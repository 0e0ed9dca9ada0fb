"""Antenna arrays: where the elements are and what each of their ports radiates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, refuse
from twin.trace.antenna import AntennaPattern
from twin.waves import Floats


@dataclass(frozen=True, eq=False)
class AntennaArray:
    """Like elements at several positions, in the array's own frame.

    Port q = pattern x m + element: first all elements with the first pattern, then all with the
    second, as Sionna numbers them.

    Args:
        positions: (m, 3) [wavelengths] from the array's centre.
        patterns: of the ports of every element, one or two; see
            `twin.trace.antenna.named_ports` and `twin.trace.antenna.measured_pattern`.

    Raises:
        InputError: positions are not finite (m, 3) with m >= 1, or there are no patterns.
    """

    positions: Floats
    patterns: tuple[AntennaPattern, ...]

    def __post_init__(self) -> None:
        faults = []
        shape = np.shape(self.positions)
        finite = bool(np.isfinite(self.positions).all())
        if len(shape) != 2 or shape[0] < 1 or shape[1] != 3 or not finite:
            found = f"shape {shape}" + ("" if finite else ", not all finite")
            faults.append(Fault("array", "positions", "finite coordinates (m, 3), m >= 1", found))
        if len(self.patterns) not in (1, 2):
            faults.append(Fault("array", "patterns", "one or two", f"{len(self.patterns)}"))
        refuse(faults)

    @property
    def ports(self) -> int:
        """Number of ports of all elements."""
        return len(self.patterns) * len(self.positions)


@dataclass(frozen=True, eq=False)
class MountedArray:
    """An array as it is turned in the world.

    Args:
        array: in its own frame.
        orientation_rad: yaw, pitch and roll, (3,) or one for every receiver point (n, 3); see
            `twin.waves.rotation_matrix`.
    """

    array: AntennaArray
    orientation_rad: npt.ArrayLike


def planar(
    rows: int,
    columns: int,
    patterns: tuple[AntennaPattern, ...],
    vertical_spacing: float = 0.5,
    horizontal_spacing: float = 0.5,
) -> AntennaArray:
    """A regular array in the y-z plane that looks along +x, spacings in wavelengths.

    Elements are numbered down the columns, from the highest z and the lowest y, as those of
    `sionna.rt.PlanarArray`.

    Raises:
        InputError: fewer than one row or column, a spacing that is no positive number, no patterns.
    """
    faults = [
        Fault("array", key, "at least 1", f"{count}")
        for key, count in (("rows", rows), ("columns", columns))
        if count < 1
    ]
    faults += [
        Fault("array", key, "a positive number of wavelengths", f"{spacing}")
        for key, spacing in (
            ("vertical_spacing", vertical_spacing),
            ("horizontal_spacing", horizontal_spacing),
        )
        if not 0.0 < spacing < np.inf
    ]
    refuse(faults)
    y = (np.arange(columns) - (columns - 1) / 2) * horizontal_spacing
    z = ((rows - 1) / 2 - np.arange(rows)) * vertical_spacing
    across, up = np.meshgrid(y, z, indexing="ij")
    positions = np.column_stack([np.zeros(rows * columns), across.ravel(), up.ravel()])
    return AntennaArray(positions, patterns)


def linear(
    elements: int, patterns: tuple[AntennaPattern, ...], spacing: float = 0.5
) -> AntennaArray:
    """A horizontal row along +y, spacing in wavelengths; errors as `planar`."""
    return planar(1, elements, patterns, horizontal_spacing=spacing)
