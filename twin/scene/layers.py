"""Walls of several layers, and the one homogeneous slab that stands in for them.

A plane wave on a stack of layers between air and air: reflection and transmission by the matrix
method of stratified media (Born and Wolf, Principles of Optics, section 1.6), in its recursive
form, which does not overflow in metal. One layer gives the slab formulas of Recommendation
ITU-R P.2040. Tracers know one slab a surface, so a stack is traced as the slab that comes closest;
how close is part of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from twin.units import SPEED_OF_LIGHT_M_PER_S, VACUUM_PERMITTIVITY_F_PER_M, db

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

# Of incidence; beyond it every wall is a mirror.
ANGLES_DEG = np.arange(0.0, 76.0, 5.0)
# What lies below these powers is nothing: a resonance of the reflection is as deep as one likes,
# and so is the transmission of metal.
TRANSMISSION_FLOOR, REFLECTION_FLOOR = 1e-8, 1e-2
# Of the slab sought: permittivity, conductivity [S/m], and the least thickness [m].
_PERMITTIVITY = (1.0, 200.0)
_CONDUCTIVITY = (1e-6, 1e8)
_THINNEST_M = 5e-4
_GRID = (10, 12, 40)
# Transmission counts once, and so does reflection, from both sides together.
_WEIGHT = np.sqrt([0.5, 0.5, 0.5, 0.5, 1.0, 1.0])[:, None]
_STARTS = 12
_MOST_STEPS = 60
_CACHED = 1024


@dataclass(frozen=True)
class Slab:
    """What a tracer needs of a material: nothing by name, scales already applied."""

    relative_permittivity: float
    conductivity_s_per_m: float
    thickness_m: float


@dataclass(frozen=True)
class Equivalent:
    """A homogeneous slab for a stack, and how far off it is at worst.

    Args:
        slab: of the least squared error in dB.
        worst_transmission_db, worst_reflection_db: largest error of the power at any angle of
            `ANGLES_DEG`, of either polarisation and, for reflection, from either side. Powers are
            compared with `TRANSMISSION_FLOOR` and `REFLECTION_FLOOR` added. Phases are not.
    """

    slab: Slab
    worst_transmission_db: float
    worst_reflection_db: float


def equivalent_slab(slabs: Sequence[Slab], frequency_hz: float) -> Equivalent:
    """The slab whose reflection and transmission come closest to those of a stack of layers.

    By bounded least squares from several starts, always the same. A single layer is itself.

    Args:
        slabs: layers from one side to the other, at least one.
        frequency_hz: of the carrier.
    """
    if len(slabs) == 1:
        return Equivalent(slabs[0], 0.0, 0.0)
    return _equivalent(tuple(slabs), frequency_hz)


def stack_response(
    slabs: Sequence[Slab], frequency_hz: float, angle_rad: Floats
) -> tuple[Complexes, Complexes]:
    """Reflection and transmission (2, n) [1] of a stack, field by field: TE, then TM.

    Of TE the electric field is compared, of TM the magnetic one. The phase is that from the front
    of the stack to its back, along its normal.

    Args:
        slabs: layers, the first one is hit first.
        frequency_hz: of the wave.
        angle_rad: (n,) of incidence, from the normal.
    """
    constants = np.array(
        [
            (slab.relative_permittivity, slab.conductivity_s_per_m, slab.thickness_m)
            for slab in slabs
        ]
    )
    return _response(constants.T, frequency_hz, angle_rad)


def _response(
    constants: Floats, frequency_hz: float, angle_rad: Floats
) -> tuple[Complexes, Complexes]:
    """As `stack_response`, (..., 2, n), of constants (3, ..., l): permittivity, loss, thickness."""
    permittivity, conductivity, thickness = constants[..., None, None]
    loss = conductivity / (2.0 * np.pi * frequency_hz * VACUUM_PERMITTIVITY_F_PER_M)
    medium = permittivity - 1j * loss
    across = np.sqrt(medium - np.sin(angle_rad) ** 2)
    turn = np.exp(-2j * np.pi * frequency_hz / SPEED_OF_LIGHT_M_PER_S * thickness * across)
    # Axes: ..., layer, polarisation, angle.
    wave = np.concatenate([across, across / medium], axis=-2)
    air = np.broadcast_to(np.cos(angle_rad), wave[..., 0, :, :].shape)
    layers = wave.shape[-3]
    reflected, through = np.zeros_like(air, dtype=np.complex128), np.ones_like(air, np.complex128)
    for place in range(layers, -1, -1):
        before = wave[..., place - 1, :, :] if place > 0 else air
        behind = wave[..., place, :, :] if place < layers else air
        there = turn[..., place, :, :] if place < layers else np.ones_like(air, np.complex128)
        single = (before - behind) / (before + behind)
        echo = reflected * there**2
        rest = 1.0 + single * echo
        through = (1.0 + single) * through * there / rest
        reflected = (single + echo) / rest
    return reflected, through


def _levels(
    constants: Floats, frequency_hz: float, angle_rad: Floats, reverse: bool = False
) -> tuple[Floats, Floats]:
    """Reflected and transmitted power (..., 2, n) [dB], floors added."""
    reflected, through = _response(
        constants[..., ::-1] if reverse else constants, frequency_hz, angle_rad
    )
    return (
        db(np.abs(reflected) ** 2 + REFLECTION_FLOOR),
        db(np.abs(through) ** 2 + TRANSMISSION_FLOOR),
    )


@lru_cache(maxsize=_CACHED)
def _equivalent(slabs: tuple[Slab, ...], frequency_hz: float) -> Equivalent:
    # Checks of scenes without layers need none of SciPy's optimisers, which take long to load.
    from scipy.optimize import least_squares

    angle = np.deg2rad(ANGLES_DEG)
    stack = np.array(
        [
            (slab.relative_permittivity, slab.conductivity_s_per_m, slab.thickness_m)
            for slab in slabs
        ]
    ).T
    front, through = _levels(stack, frequency_hz, angle)
    back, _ = _levels(stack, frequency_hz, angle, reverse=True)

    def errors(unknown: Floats) -> Floats:
        """Errors (..., 6, n) [dB] of slabs by the logarithms (3, ...) of their constants."""
        reflected, transmitted = _levels(np.exp(unknown)[..., None], frequency_hz, angle)
        return np.concatenate([reflected - front, reflected - back, transmitted - through], axis=-2)

    def weighted(unknown: Floats) -> Floats:
        return (errors(unknown) * _WEIGHT).ravel()

    low, high = _bounds(stack)
    grid = np.stack(
        np.meshgrid(
            *(
                np.linspace(first, last, count + 2)[1:-1]
                for first, last, count in zip(low, high, _GRID, strict=True)
            ),
            indexing="ij",
        )
    ).reshape(3, -1)
    cost = np.sum((errors(grid) * _WEIGHT) ** 2, axis=(-2, -1))
    starts = [_mean(stack), *grid[:, np.argsort(cost, kind="stable")[:_STARTS]].T]
    fits = [
        least_squares(
            weighted,
            np.clip(start, low, high),
            bounds=(low, high),
            max_nfev=_MOST_STEPS,
        )
        for start in starts
    ]
    best = min(fits, key=lambda fit: float(fit.cost)).x
    worst = np.abs(errors(best)).max(axis=-1)
    permittivity, conductivity, thickness = (float(value) for value in np.exp(best))
    return Equivalent(
        Slab(permittivity, conductivity, thickness),
        worst_transmission_db=float(worst[4:].max()),
        worst_reflection_db=float(worst[:4].max()),
    )


def _bounds(stack: Floats) -> tuple[Floats, Floats]:
    permittivity, _, thickness = stack
    # As long for the wave as the stack is, twice: a slab of air has to be that thick.
    thickest = 2.0 * float(np.sum(np.sqrt(permittivity) * thickness))
    ranges = (_PERMITTIVITY, _CONDUCTIVITY, (_THINNEST_M, max(thickest, 2.0 * _THINNEST_M)))
    low, high = np.log(np.array(ranges)).T
    return low, high


def _mean(stack: Floats) -> Floats:
    """Logarithms (3,) of the constants of a slab as thick as the stack, averaged over it."""
    _, _, thickness = stack
    total = float(thickness.sum())
    permittivity, conductivity = stack[:2] @ thickness / total
    return np.log([permittivity, max(conductivity, _CONDUCTIVITY[0]), total])
