"""Carriers whose attenuation by rain is known: the range of Recommendation ITU-R P.838-3."""

from __future__ import annotations

from twin.errors import Fault

LOWEST_HZ, HIGHEST_HZ = 1e9, 1000e9


def rain_faults(frequency_hz: float, where: str, key: str) -> list[Fault]:
    """What is wrong with rain on a carrier [Hz], at `key` of `where`."""
    if LOWEST_HZ <= frequency_hz <= HIGHEST_HZ:
        return []
    expected = f"a carrier of {LOWEST_HZ / 1e9:g} to {HIGHEST_HZ / 1e9:g} GHz, the range of ITU-R "
    return [
        Fault(
            where,
            key,
            expected + "P.838-3, where it rains",
            f"{frequency_hz / 1e9:g} GHz",
            "Set weather.rain_mm_per_h: 0, or change the carrier",
        )
    ]
