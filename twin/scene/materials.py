"""Electrical constants of building materials, homogeneous or in layers.

Source: Recommendation ITU-R P.2040-3, table 3: real part of the relative permittivity
``a f^b`` and conductivity ``c f^d`` [S/m] with f in GHz, inside the band the fit was made for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.errors import Fault, refuse
from twin.scene.interiors import Layer, Material
from twin.scene.layers import Slab, equivalent_slab
from twin.units import VACUUM_PERMITTIVITY_F_PER_M


@dataclass(frozen=True)
class Fit:
    """One row of the table: a band [GHz] and its four coefficients."""

    low_ghz: float
    high_ghz: float
    a: float
    b: float
    c: float
    d: float


ITU_P2040: dict[str, tuple[Fit, ...]] = {
    "vacuum": (Fit(0.001, 100.0, 1.0, 0.0, 0.0, 0.0),),
    "concrete": (Fit(1.0, 100.0, 5.24, 0.0, 0.0462, 0.7822),),
    "brick": (Fit(1.0, 40.0, 3.91, 0.0, 0.0238, 0.16),),
    "plasterboard": (Fit(1.0, 100.0, 2.73, 0.0, 0.0085, 0.9395),),
    "wood": (Fit(0.001, 100.0, 1.99, 0.0, 0.0047, 1.0718),),
    "glass": (
        Fit(0.1, 100.0, 6.31, 0.0, 0.0036, 1.3394),
        Fit(220.0, 450.0, 5.79, 0.0, 0.0004, 1.658),
    ),
    "ceiling_board": (
        Fit(1.0, 100.0, 1.48, 0.0, 0.0011, 1.0750),
        Fit(220.0, 450.0, 1.52, 0.0, 0.0029, 1.029),
    ),
    "chipboard": (Fit(1.0, 100.0, 2.58, 0.0, 0.0217, 0.7800),),
    "plywood": (Fit(1.0, 40.0, 2.71, 0.0, 0.33, 0.0),),
    "marble": (Fit(1.0, 60.0, 7.074, 0.0, 0.0055, 0.9262),),
    "floorboard": (Fit(50.0, 100.0, 3.66, 0.0, 0.0044, 1.3515),),
    "metal": (Fit(1.0, 100.0, 1.0, 0.0, 1e7, 0.0),),
    "very_dry_ground": (Fit(1.0, 10.0, 3.0, 0.0, 0.00015, 2.52),),
    "medium_dry_ground": (Fit(1.0, 10.0, 15.0, -0.1, 0.035, 1.63),),
    "wet_ground": (Fit(1.0, 10.0, 30.0, -0.4, 0.15, 1.30),),
}


def slab(material: Material, frequency_hz: float) -> Slab:
    """Constants of a material at one frequency, scales applied.

    Of layers, those of the slab that comes closest: `twin.scene.layers.equivalent_slab` says how
    close.

    Raises:
        InputError: names not in the table, or frequency outside their bands.
    """
    return equivalent_slab(layer_slabs(material, frequency_hz), frequency_hz).slab


def layer_slabs(material: Material, frequency_hz: float) -> tuple[Slab, ...]:
    """Constants of every layer at one frequency, scales applied; one for a homogeneous material.

    Raises:
        InputError: as `slab`; lists every layer.
    """
    refuse(_band_faults(material, frequency_hz, "material", ""))
    return tuple(_constants(part, material, frequency_hz) for part in _parts(material))


def material_faults(material: Material, frequency_hz: float, where: str, key: str) -> list[Fault]:
    """What is wrong with a material, at `key` of `where`, for a carrier; of every layer."""
    faults = _band_faults(material, frequency_hz, where, f"{key}.")
    if faults:
        return faults
    return [
        Fault(
            where,
            f"{key}.layers.{index}" if material.layers else key,
            "a relative permittivity, scale applied, of at least 1",
            f"{layer.relative_permittivity:.4g}",
        )
        for index, layer in enumerate(layer_slabs(material, frequency_hz))
        if layer.relative_permittivity < 1.0
    ]


def _parts(material: Material) -> tuple[Material | Layer, ...]:
    return material.layers or (material,)


def _band_faults(material: Material, frequency_hz: float, where: str, prefix: str) -> list[Fault]:
    found = (
        itu_fault(
            part.itu,
            frequency_hz,
            where,
            prefix + (f"layers.{index}.itu" if material.layers else "itu"),
        )
        for index, part in enumerate(_parts(material))
        if part.itu is not None
    )
    return [fault for fault in found if fault is not None]


def _constants(part: Material | Layer, material: Material, frequency_hz: float) -> Slab:
    permittivity, conductivity = part.relative_permittivity, part.conductivity_s_per_m
    if part.itu is not None:
        ghz = frequency_hz / 1e9
        fit = next(row for row in ITU_P2040[part.itu] if row.low_ghz <= ghz <= row.high_ghz)
        permittivity, conductivity = fit.a * ghz**fit.b, fit.c * ghz**fit.d
    if permittivity is None or conductivity is None or part.thickness_m is None:
        raise AssertionError("the declaration holds a name or both constants, and a thickness")
    return Slab(
        permittivity * material.permittivity_scale,
        conductivity * material.conductivity_scale,
        part.thickness_m,
    )


def complex_permittivity(material: Material, frequency_hz: float) -> complex:
    """Relative permittivity ``eps' - j sigma / (2 pi f eps0)`` (time convention exp(+j w t)).

    Raises:
        InputError: as `slab`.
    """
    constants = slab(material, frequency_hz)
    loss = constants.conductivity_s_per_m / (
        2.0 * np.pi * frequency_hz * VACUUM_PERMITTIVITY_F_PER_M
    )
    return complex(constants.relative_permittivity, -loss)


def itu_fault(name: str, frequency_hz: float, where: str, key: str) -> Fault | None:
    """What is wrong with asking for this material at this frequency, or None."""
    rows = ITU_P2040.get(name)
    if rows is None:
        return Fault(where, key, "one of " + ", ".join(sorted(ITU_P2040)), name)
    ghz = frequency_hz / 1e9
    if any(row.low_ghz <= ghz <= row.high_ghz for row in rows):
        return None
    bands = " or ".join(f"{row.low_ghz:g} to {row.high_ghz:g} GHz" for row in rows)
    return Fault(
        where,
        key,
        f"a carrier inside the band of ITU-R P.2040 {name!r} ({bands})",
        f"{ghz:g} GHz",
        "Give relative_permittivity and conductivity_s_per_m instead of the name",
    )
