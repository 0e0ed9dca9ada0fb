"""Maps of what a receiver would get all over a place."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from twin.errors import Fault, InputError, refuse
from twin.scene.cells import Cells, map_cells
from twin.scene.declaration import Scene
from twin.trace.engine import TraceSettings, trace
from twin.trace.position_bound import noise_dbm, position_error_bound_m, range_variance_m2
from twin.units import db

# Of common WLAN receivers.
NOISE_FIGURE_DB = 7.0
# Of the paths and channels at once, and of one path and one subcarrier of a port.
_TRACE_BYTES = 500_000_000
_PATH_BYTES, _SUBCARRIER_BYTES = 80, 16

_Floats = npt.NDArray[np.float64]


def radio_map(
    scene: Scene,
    settings: TraceSettings,
    *,
    pitch_m: float | None = None,
    max_cells: int = 10_000,
    height_m: float | None = None,
    storey: str | None = None,
    noise_figure_db: float = NOISE_FIGURE_DB,
) -> xr.Dataset:
    """Trace a scene to the middle of every free cell of a map.

    The error bound is that of round-trip ranges to the access points in line of sight, from the
    power of that path alone (`twin.trace.position_bound`). Reflections that the band does not
    resolve make real ranges worse; packets longer than one sample make them better.

    Args:
        scene: one that has passed `twin.scene.check`.
        settings: how paths are searched.
        pitch_m: see `twin.scene.cells.map_cells`.
        max_cells: likewise.
        height_m: likewise.
        storey: likewise.
        noise_figure_db: of the receivers.

    Returns:
        Over y, x and ap: ``rss`` [dBm], ``toa`` [s], ``los``, ``best_ap`` (index of the access
        point heard best, -1 for none), ``peb`` [m], and ``free``, whether a cell was traced; cells
        that were not are NaN, false and -1. Attributes are those of the trace and of the map; its
        `storey` is empty where the scene has none, its `height_m` counts from z = 0 as `floor_m`.

    Raises:
        InputError: what `map_cells` and `twin.trace.engine.trace` refuse.
        TraceError: the engine could not give a complete result.
    """
    cells = map_cells(scene, pitch_m=pitch_m, max_cells=max_cells, height_m=height_m, storey=storey)
    if scene.meshes:
        cells = _outside_solids(scene, cells)
    points = cells.points()
    seen = _traced(scene, settings, points)
    heard = np.isfinite(seen.rss)
    best = np.where(heard, seen.rss, -np.inf).argmax(axis=1)
    bound = _bound(scene, seen, points, noise_figure_db)

    def placed(values: npt.NDArray[np.generic], empty: object) -> npt.NDArray[np.generic]:
        field = np.full((*cells.free.shape, *values.shape[1:]), empty, dtype=values.dtype)
        field[cells.free] = values
        return field

    plane, link = ("y", "x"), ("y", "x", "ap")
    return xr.Dataset(
        {
            "rss": (link, placed(seen.rss, np.nan), seen.meanings["rss"]),
            "toa": (link, placed(seen.toa, np.nan), seen.meanings["toa"]),
            "los": (link, placed(seen.los, False), seen.meanings["los"]),
            "best_ap": (
                plane,
                placed(np.where(heard.any(axis=1), best, -1).astype(np.int16), -1),
                {"units": "1", "long_name": "index of the access point heard best, -1 for none"},
            ),
            "peb": (
                plane,
                placed(bound, np.nan),
                {
                    "units": "m",
                    "long_name": "Cramer-Rao bound of the position error in plan",
                    "definition": "round-trip ranges to access points in line of sight, from "
                    "their first path; NaN for fewer than two or directions that are one",
                    "noise_figure_db": noise_figure_db,
                },
            ),
            "free": (plane, cells.free, {"units": "1", "long_name": "whether the cell was traced"}),
            "ap_position": (("ap", "xyz"), _places(scene), {"units": "m"}),
        },
        coords={
            "y": (("y",), cells.y, {"units": "m"}),
            "x": (("x",), cells.x, {"units": "m"}),
            "ap": [ap.name for ap in scene.access_points],
        },
        attrs={
            **seen.attrs,
            "storey": cells.storey,
            "pitch_m": cells.pitch_m,
            "height_m": cells.z_m,
            "floor_m": cells.floor_m,
        },
    )


def _outside_solids(scene: Scene, cells: Cells) -> Cells:
    """The cells that a tracer takes, where meshes may be solids."""
    # Sionna takes seconds to load.
    from twin.trace.free_places import free_places

    free = cells.free.copy()
    free[cells.free] = free_places(scene, cells.points())
    if not free.any():
        refuse([Fault("map", "height_m", "a cell outside all solids", f"none at {cells.z_m:g} m")])
    return replace(cells, free=free)


@dataclass(frozen=True)
class _Seen:
    """What a map keeps of a trace: n points, a access points.

    Args:
        rss: (n, a) [dBm].
        toa: (n, a) [s].
        los: (n, a).
        first_db: (n, a), power gain of the first path, that of the line of sight if there is one.
        meanings: attributes of the first three.
        attrs: of the trace.
    """

    rss: npt.NDArray[np.float32]
    toa: _Floats
    los: npt.NDArray[np.bool_]
    first_db: _Floats
    meanings: dict[str, dict[str, str]]
    attrs: dict[str, object]


def _traced(scene: Scene, settings: TraceSettings, points: _Floats) -> _Seen:
    """Trace to points (n, 3) [m], so many at a time as their paths and channels leave room for."""
    ports = max(ap.ports for ap in scene.access_points)
    each = len(scene.access_points) * (
        _PATH_BYTES * settings.max_paths + _SUBCARRIER_BYTES * ports * scene.subcarriers
    )
    size = max(1, _TRACE_BYTES // each)
    parts = [
        _seen(trace(scene, settings, points[start : start + size]))
        for start in range(0, len(points), size)
    ]
    return _Seen(
        rss=np.concatenate([part.rss for part in parts]),
        toa=np.concatenate([part.toa for part in parts]),
        los=np.concatenate([part.los for part in parts]),
        first_db=np.concatenate([part.first_db for part in parts]),
        meanings=parts[0].meanings,
        attrs=parts[0].attrs,
    )


def _seen(data: xr.Dataset) -> _Seen:
    first = np.nan_to_num(data["delay"].to_numpy(), nan=np.inf).argmin(axis=2)
    gain = np.take_along_axis(data["path_gain"].to_numpy(), first[:, :, None], axis=2)[:, :, 0]
    return _Seen(
        rss=data["rss"].to_numpy(),
        toa=data["toa"].to_numpy(),
        los=data["los"].to_numpy(),
        first_db=db(np.abs(gain).astype(np.float64) ** 2),
        meanings={name: dict(data[name].attrs) for name in ("rss", "toa", "los")},
        attrs=dict(data.attrs),
    )


def _places(scene: Scene) -> _Floats:
    return np.array([ap.position_m for ap in scene.access_points], dtype=np.float64)


def _bound(
    scene: Scene, seen: _Seen, points: _Floats, noise_figure_db: float
) -> npt.NDArray[np.float32]:
    """Bound of the position error (n,) [m] at the points of a trace."""
    bandwidth_hz = np.array([scene.band_hz(ap) for ap in scene.access_points])
    power_dbm = np.array([ap.power_dbm for ap in scene.access_points])
    snr_db = power_dbm + seen.first_db - noise_dbm(bandwidth_hz, noise_figure_db)
    usable = seen.los & np.isfinite(snr_db)
    variance = range_variance_m2(np.where(usable, snr_db, 0.0), bandwidth_hz)
    variance = np.where(usable, variance, np.nan)
    return position_error_bound_m(points, _places(scene), variance).astype(np.float32)


def write_map(radio_map: xr.Dataset, path: Path) -> None:
    """Write a map as a Zarr group (format 3) of its own, over an older one.

    Raises:
        InputError: something else is there, or the folder cannot be written.
    """
    if path.exists() and not (path / "zarr.json").is_file():
        refuse([Fault(str(path), "", "a Zarr group, or nothing yet", "something else")])
    # A text of fixed length has no agreed form in Zarr's third format.
    names = radio_map["ap"].astype(np.dtypes.StringDType())
    try:
        if path.exists():
            shutil.rmtree(path)
        radio_map.assign_coords(ap=names).to_zarr(
            path, mode="w-", zarr_format=3, consolidated=False
        )
    except OSError as error:
        fault = Fault(str(path), "", "a folder that can be written", str(error))
        raise InputError([fault]) from error
