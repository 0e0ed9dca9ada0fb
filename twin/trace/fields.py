"""Polarimetric fields of paths found, by Sionna's field calculator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from twin.trace import backend

backend.prepare()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
from sionna.rt.path_solvers.field_calculator import FieldCalculator  # noqa: E402
from sionna.rt.path_solvers.paths_buffer import PathsBuffer  # noqa: E402

if TYPE_CHECKING:
    # Mitsuba's stubs leave it out.
    from drjit.auto.ad import Complex2f
else:
    Complex2f = mi.Complex2f


def _along_theta(theta: mi.Float, _phi: mi.Float) -> tuple[Complex2f, Complex2f]:
    return _constant(theta, 1.0), _constant(theta, 0.0)


def _along_phi(theta: mi.Float, _phi: mi.Float) -> tuple[Complex2f, Complex2f]:
    return _constant(theta, 0.0), _constant(theta, 1.0)


def _constant(like: mi.Float, value: float) -> Complex2f:
    return Complex2f(dr.full(mi.Float, value, dr.width(like)), 0.0)


# Isotropic and polarised along the unit vectors of the world frame's spherical coordinates.
_POLARISATIONS = [_along_theta, _along_phi]


def transfer(
    paths: PathsBuffer,
    transmitter: mi.Point3f,
    receivers: mi.Point3f,
    wavelength_m: float,
    diffraction: bool = False,
) -> npt.NDArray[np.complex64]:
    """Amplitudes (m, 2, 2) of m paths: receiver's (theta, phi) by transmitter's (theta, phi).

    Of isotropic antennas, without the phase of the carrier.
    """
    count = paths.buffer_size
    if count == 0:
        return np.zeros((0, 2, 2), dtype=np.complex64)
    solved = FieldCalculator()(
        dr.opaque(mi.Float, wavelength_m),
        paths,
        1,
        diffraction,
        transmitter,
        receivers,
        dr.zeros(mi.Point3f, dr.width(transmitter)),
        dr.zeros(mi.Point3f, dr.width(receivers)),
        _POLARISATIONS,
        _POLARISATIONS,
    )
    dr.eval(solved.a)
    parts = [
        np.array(part, dtype=np.float32)
        for row in solved.a
        for entry in row
        for part in (entry.real, entry.imag)
    ]
    amplitude = np.stack(parts, axis=-1).view(np.complex64)
    return amplitude.reshape(count, 2, 2)
