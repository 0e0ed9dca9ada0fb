"""What the pictures of a radio map show: its quantities as fields with names, units and scales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from twin.scene.palette import LEVELS, category_colours
from twin.units import SPEED_OF_LIGHT_M_PER_S

# Access points that get a field of their own.
_MOST_FIELDS = 6
_LEVELS_DB = 80.0

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Field:
    """One quantity over the cells of a map.

    Args:
        key: short name.
        title: of a picture.
        unit: of the values; empty where they are numbers of `names`, or counts.
        values: (h, w), NaN where there is none.
        low, high: ends of the scale.
        logarithmic: whether the scale is.
        names: of the values 0, 1 and so on, where they are no quantity.
        colours: one (hex) for each of the names.
    """

    key: str
    title: str
    unit: str
    values: _Floats
    low: float
    high: float
    logarithmic: bool = False
    names: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()


def map_fields(radio_map: xr.Dataset) -> tuple[Field, ...]:
    """Best RSS, RSS of each of up to six access points, distance of the first arrival, access
    points in line of sight, the best one of several, and the position error bound.

    Args:
        radio_map: as of `twin.trace.radio_map`.
    """
    free = radio_map["free"].to_numpy()
    rss = radio_map["rss"].to_numpy().astype(np.float64)
    names = tuple(str(name) for name in radio_map["ap"].to_numpy())
    heard = np.isfinite(rss)
    best = np.where(heard, rss, -np.inf).max(axis=2)
    best = np.where(np.isfinite(best), best, np.nan)
    arrival = np.where(np.isfinite(radio_map["toa"]), radio_map["toa"], np.inf).min(axis=2)
    distance = np.where(np.isfinite(arrival), arrival * SPEED_OF_LIGHT_M_PER_S, np.nan)
    sight = np.where(free, radio_map["los"].to_numpy().sum(axis=2), np.nan)
    winner = radio_map["best_ap"].to_numpy().astype(np.float64)
    bound = radio_map["peb"].to_numpy().astype(np.float64)
    fields = [Field("best_rss", "RSS of the strongest", "dBm", best, *_levels(best))]
    if 1 < len(names) <= _MOST_FIELDS:
        # One scale for all, so that they can be compared.
        low, high = _levels(rss)
        fields += [
            Field(f"rss_{i}", f"RSS of {name}", "dBm", rss[:, :, i], low, high)
            for i, name in enumerate(names)
        ]
    seen = int(np.nanmax(sight, initial=0.0)) + 1
    few = seen <= len(LEVELS)
    steps = np.linspace(0, len(LEVELS) - 1, seen).round().astype(int)
    fields += [
        Field("first_path", "First arrival, as distance", "m", distance, *_span(distance, 0, 100)),
        Field(
            "in_sight",
            "Access points in line of sight",
            "",
            sight,
            0.0,
            max(seen - 1.0, 1.0),
            names=tuple(str(count) for count in range(seen)) if few else (),
            colours=tuple(LEVELS[step] for step in steps) if few else (),
        ),
    ]
    if len(names) > 1:
        fields.append(
            Field(
                "best_ap",
                "Strongest access point",
                "",
                np.where(winner < 0, np.nan, winner),
                0.0,
                len(names) - 1.0,
                names=names,
                colours=tuple(category_colours(names).values()),
            )
        )
    peb = Field("peb", "Position error bound", "m", bound, *_span(bound, 1.0, 99.0), True)
    return (*fields, peb)


def _levels(values: _Floats) -> tuple[float, float]:
    """Ends of a scale of levels [dBm], which leaves out what no receiver would hear beside."""
    low, high = _span(values, 1.0, 99.5)
    return max(low, high - _LEVELS_DB), high


def _span(values: _Floats, low: float, high: float) -> tuple[float, float]:
    """Percentiles of what is finite, apart from each other."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    first, last = (float(value) for value in np.percentile(known, (low, high)))
    return first, last if last > first else first + max(abs(first), 1.0) * 1e-3
