"""Antenna field patterns and their orientation, in pure NumPy.

A field pattern C(theta, phi) = (C_theta, C_phi) is an amplitude [1]: |C_theta|^2 + |C_phi|^2 is the
linear gain relative to an isotropic antenna. Zenith theta is measured from +z, azimuth phi from +x
towards +y, both in the antenna's own frame.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from twin.errors import Fault, InputError, refuse
from twin.waves import Complexes, Floats, dot, local_direction, turned


class AntennaPattern(Protocol):
    """Field pattern of one port of an antenna."""

    def field(self, zenith: Floats, azimuth: Floats) -> tuple[Complexes, Complexes]:
        """(C_theta, C_phi) [1] in the antenna's frame; angles [rad] and both results in one shape.

        Angles are finite; zenith lies in [0, pi], azimuth in [-pi, pi].
        """
        ...


def _iso(zenith: Floats, _azimuth: Floats) -> Floats:
    return np.ones_like(zenith)


def _dipole(zenith: Floats, _azimuth: Floats) -> Floats:
    """Short dipole; Balanis, Antenna Theory, equation 4-26a."""
    return np.asarray(np.sqrt(1.5) * np.abs(np.sin(zenith)))


def _hw_dipole(zenith: Floats, _azimuth: Floats) -> Floats:
    """Half-wave dipole of directivity 1.643; Balanis, Antenna Theory, equation 4-84."""
    sine = np.sin(zenith)
    # Both numerator and sine vanish on the axis, the numerator as the square of the sine.
    on_axis = np.abs(sine) < 1e-9
    shape = np.cos(np.pi / 2 * np.cos(zenith)) / np.where(on_axis, 1.0, sine)
    return np.asarray(np.sqrt(1.643) * np.where(on_axis, 0.0, np.abs(shape)))


def _tr38901(zenith: Floats, azimuth: Floats) -> Floats:
    """Element of a base station, boresight +x; 3GPP TR 38.901, table 7.3-1."""
    beamwidth = np.deg2rad(65.0)
    front_to_back_db = 30.0
    peak_dbi = 8.0
    vertical = np.minimum(12.0 * ((zenith - np.pi / 2) / beamwidth) ** 2, front_to_back_db)
    horizontal = np.minimum(12.0 * (azimuth / beamwidth) ** 2, front_to_back_db)
    level_db = peak_dbi - np.minimum(vertical + horizontal, front_to_back_db)
    return np.asarray(10.0 ** (level_db / 20.0))


_AMPLITUDES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "iso": _iso,
    "dipole": _dipole,
    "hw_dipole": _hw_dipole,
    "tr38901": _tr38901,
}
# Slant angles of the ports [rad].
_SLANTS = {
    "V": (0.0,),
    "H": (np.pi / 2,),
    "VH": (0.0, np.pi / 2),
    "cross": (-np.pi / 4, np.pi / 4),
}


@dataclass(frozen=True)
class SlantedPattern:
    """A vertical pattern turned by a slant angle: 3GPP TR 38.901, polarisation model 2.

    Args:
        name: ``iso``, ``dipole``, ``hw_dipole`` or ``tr38901``.
        slant_rad: 0 is vertical, pi / 2 horizontal.
    """

    name: str
    slant_rad: float

    def field(self, zenith: Floats, azimuth: Floats) -> tuple[Complexes, Complexes]:
        """See `AntennaPattern`; equations 7.3-4 and 7.3-5."""
        amplitude = _AMPLITUDES[self.name](zenith, azimuth).astype(np.complex128)
        return np.cos(self.slant_rad) * amplitude, np.sin(self.slant_rad) * amplitude


def named_ports(pattern: str, polarisation: str) -> tuple[AntennaPattern, ...]:
    """The ports of an antenna, one for each direction of polarisation.

    Args:
        pattern: ``iso``, ``dipole``, ``hw_dipole`` or ``tr38901``.
        polarisation: ``V`` or ``H``, one port; ``VH`` or ``cross`` (-45 and +45 degrees), two.

    Raises:
        InputError: an unknown name; both are named if both are.
    """
    refuse(
        Fault("antenna", key, f"one of {', '.join(known)}", repr(name))
        for key, name, known in (
            ("pattern", pattern, _AMPLITUDES),
            ("polarisation", polarisation, _SLANTS),
        )
        if name not in known
    )
    return tuple(SlantedPattern(pattern, slant) for slant in _SLANTS[polarisation])


@dataclass(frozen=True, eq=False)
class MeasuredPattern:
    """A pattern on an even grid, interpolated bilinearly in complex amplitude.

    Args:
        field_theta, field_phi: (t, p) complex128 [1]; zenith in t even steps from 0 to pi, azimuth
            in p even steps from `first_azimuth_rad` around the full circle.
        first_azimuth_rad: azimuth of the first column [rad].
    """

    field_theta: Complexes
    field_phi: Complexes
    first_azimuth_rad: float

    def field(self, zenith: Floats, azimuth: Floats) -> tuple[Complexes, Complexes]:
        """See `AntennaPattern`.

        A pole is one row of the grid: there the file gives for each azimuth the components along
        that azimuth's own unit vectors.
        """
        rows, columns = self.field_theta.shape
        row = zenith / np.pi * (rows - 1)
        upper = np.clip(np.floor(row).astype(np.intp), 0, rows - 2)
        down = row - upper
        column = (azimuth - self.first_azimuth_rad) / (2 * np.pi) * columns
        whole = np.floor(column)
        along = column - whole
        left = whole.astype(np.intp) % columns
        right = (left + 1) % columns

        def interpolated(grid: Complexes) -> Complexes:
            top = grid[upper, left] * (1 - along) + grid[upper, right] * along
            bottom = grid[upper + 1, left] * (1 - along) + grid[upper + 1, right] * along
            return np.asarray(top * (1 - down) + bottom * down)

        return interpolated(self.field_theta), interpolated(self.field_phi)


_HEADER = [
    "theta_deg",
    "phi_deg",
    "gain_theta_dbi",
    "phase_theta_deg",
    "gain_phi_dbi",
    "phase_phi_deg",
]
_RANGES = {
    "theta_deg": (0.0, 180.0),
    "phi_deg": (-180.0, 360.0),
    "gain_theta_dbi": (-1000.0, 100.0),
    "gain_phi_dbi": (-1000.0, 100.0),
}
# Files round their angles.
_ANGLE_TOLERANCE_DEG = 0.01
_FAULTS_SHOWN = 20


def measured_pattern(path: Path) -> MeasuredPattern:
    """Read a measured pattern from a CSV file.

    The header is ``theta_deg,phi_deg,gain_theta_dbi,phase_theta_deg,gain_phi_dbi,phase_phi_deg``.
    Rows, in any order, fill a grid: zenith in even steps from 0 to 180, azimuth in even steps
    around the circle, every direction once (of 0 and 360 only one). Gains are those of the two
    components of the field relative to an isotropic antenna, phases those of exp(+j 2 pi f t)
    along the unit vectors of zenith and azimuth.

    Raises:
        InputError: no such file, another header, cells that are no finite number, angles out of
            range, directions given twice or missing. Lists up to 20 faults with their lines.
    """
    faults: list[Fault] = []
    cells, lines = _read(path, faults)
    grid = None if faults else _gridded(path, cells, lines, faults)
    hidden = len(faults) - _FAULTS_SHOWN
    if hidden > 0:
        faults = [
            *faults[:_FAULTS_SHOWN],
            Fault(str(path), "", "no further fault", f"{hidden} more"),
        ]
    if grid is None:
        raise InputError(faults)
    _, azimuth_deg, *components = np.moveaxis(grid, -1, 0)
    return MeasuredPattern(
        _field(*components[:2]), _field(*components[2:]), float(np.deg2rad(azimuth_deg[0, 0]))
    )


def _field(gain_dbi: Floats, phase_deg: Floats) -> Complexes:
    return np.asarray(10.0 ** (gain_dbi / 20.0) * np.exp(1j * np.deg2rad(phase_deg)))


def _read(path: Path, faults: list[Fault]) -> tuple[Floats, list[int]]:
    """Rows (m, 6) of the file and their lines; complete only where no fault was found."""
    rows: list[list[float]] = []
    lines: list[int] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if header != _HEADER:
                found = ",".join(header) or "an empty line or file"
                faults.append(Fault(str(path), "line 1 (header)", ",".join(_HEADER), found))
                return np.empty((0, 6)), lines
            for row in reader:
                rows.append(_numbers(path, reader.line_num, row, faults))
                lines.append(reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        faults.append(Fault(str(path), "", "a readable CSV file in UTF-8", str(error)))
    if not rows and not faults:
        faults.append(Fault(str(path), "", "a row for every direction", "no rows"))
    return np.array(rows if not faults else np.empty((0, 6))), lines


def _numbers(path: Path, line: int, row: list[str], faults: list[Fault]) -> list[float]:
    if len(row) != len(_HEADER):
        faults.append(Fault(str(path), f"line {line}", f"{len(_HEADER)} cells", f"{len(row)}"))
        return []
    numbers = []
    for name, cell in zip(_HEADER, row, strict=True):
        low, high = _RANGES.get(name, (-math.inf, math.inf))
        try:
            number = float(cell)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or not low <= number <= high:
            within = f" from {low:g} to {high:g}" if name in _RANGES else ""
            expected = f"a finite number{within}"
            silent = "Where there is no field, give a gain of -200."
            cure = silent if name.startswith("gain") else ""
            faults.append(Fault(str(path), f"line {line}, {name}", expected, repr(cell), cure))
        numbers.append(number)
    return numbers


def _gridded(path: Path, cells: Floats, lines: list[int], faults: list[Fault]) -> Floats | None:
    """Rows as a grid (t, p, 6), both angles rising; None where the grid has a fault."""
    # Rounding must not make two angles of one.
    zeniths, row = np.unique(np.round(cells[:, 0], 6), return_inverse=True)
    azimuths, column = np.unique(np.round(cells[:, 1] % 360.0, 6) % 360.0, return_inverse=True)
    even_zeniths = np.linspace(0.0, 180.0, max(len(zeniths), 2))
    even_azimuths = azimuths[0] + np.arange(len(azimuths)) * (360.0 / len(azimuths))
    uneven = _uneven(path, "theta_deg, from 0 to 180", zeniths, even_zeniths)
    uneven += _uneven(path, "phi_deg, around the circle", azimuths, even_azimuths)
    faults += uneven
    line_of: dict[tuple[int, int], int] = {}
    for line, cell in zip(lines, zip(row.tolist(), column.tolist(), strict=True), strict=True):
        if cell in line_of:
            found = f"the direction of line {line_of[cell]} again"
            cure = "Azimuths 360 degrees apart are one direction."
            faults.append(Fault(str(path), f"line {line}", "every direction once", found, cure))
        line_of.setdefault(cell, line)
    if not uneven:
        # Of an uneven grid nobody can say which directions it lacks.
        faults += [
            Fault(str(path), f"theta_deg {zenith:g}, phi_deg {azimuth:g}", "a row", "none")
            for i, zenith in enumerate(zeniths)
            for j, azimuth in enumerate(azimuths)
            if (i, j) not in line_of
        ]
    if faults:
        return None
    return cells[np.lexsort((column, row))].reshape(len(zeniths), len(azimuths), 6)


def _uneven(path: Path, key: str, found: Floats, even: Floats) -> list[Fault]:
    if len(found) == len(even) and np.abs(found - even).max() < _ANGLE_TOLERANCE_DEG:
        return []
    text = f"{len(found)} angles from {found[0]:g} to {found[-1]:g}"
    if len(found) > 1:
        widest = int(np.argmax(np.diff(found)))
        text += f", the widest step from {found[widest]:g} to {found[widest + 1]:g}"
    return [Fault(str(path), key, "even steps", text)]


def world_field(
    pattern: AntennaPattern, rotation: Floats, azimuth: Floats, zenith: Floats
) -> Complexes:
    """Field (..., 2) [1] of a rotated antenna along the world's unit vectors of zenith and azimuth.

    3GPP TR 38.901, equations 7.1-7, 7.1-8, 7.1-11 and 7.1-15.

    Args:
        pattern: of the antenna, in its own frame.
        rotation: (..., 3, 3), see `twin.waves.rotation_matrix`; broadcast against the angles.
        azimuth: (...) of the directions in the world [rad].
        zenith: (...) of the directions in the world [rad].
    """
    local = local_direction(rotation, azimuth, zenith)
    x, y, z = np.moveaxis(local, -1, 0)
    local_zenith = np.arctan2(np.hypot(x, y), z)
    local_azimuth = np.arctan2(y, x)
    along_zenith, along_azimuth = pattern.field(local_zenith, local_azimuth)
    # Both frames see the same transverse plane, turned by an angle.
    theta = turned(rotation, _zenith_unit(local_azimuth, local_zenith))
    cosine = dot(_zenith_unit(azimuth, zenith), theta)
    sine = dot(_azimuth_unit(azimuth), theta)
    return np.stack(
        [
            cosine * along_zenith - sine * along_azimuth,
            sine * along_zenith + cosine * along_azimuth,
        ],
        axis=-1,
    )


def port_gain(
    transfer: Complexes, transmit_field: Complexes, receive_field: Complexes
) -> Complexes:
    """Amplitude (...) [1] between two ports: C_rx^T transfer C_tx.

    The receiver's field is not conjugated: by reciprocity a port receives with the pattern with
    which it transmits, so that two like circularly polarised antennas that face each other hear
    each other.

    Args:
        transfer: (..., 2, 2), see `twin.trace.paths.PathTable`.
        transmit_field: (..., 2) in the world, see `world_field`.
        receive_field: (..., 2) in the world, see `world_field`.
    """
    # Written out: the order of a sum over so short an axis may depend on the other axes.
    at_zenith, at_azimuth = (
        transfer[..., i, 0] * transmit_field[..., 0] + transfer[..., i, 1] * transmit_field[..., 1]
        for i in range(2)
    )
    return np.asarray(receive_field[..., 0] * at_zenith + receive_field[..., 1] * at_azimuth)


def _zenith_unit(azimuth: Floats, zenith: Floats) -> Floats:
    up = np.cos(zenith)
    return np.stack([up * np.cos(azimuth), up * np.sin(azimuth), -np.sin(zenith)], axis=-1)


def _azimuth_unit(azimuth: Floats) -> Floats:
    return np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros_like(azimuth)], axis=-1)
