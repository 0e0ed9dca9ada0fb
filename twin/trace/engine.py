"""From a scene and receiver points to a labelled data set, through an exchangeable path engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from twin.config import StrictModel
from twin.errors import Fault, InputError, refuse
from twin.scene.declaration import Scene, scene_digest
from twin.trace import channel
from twin.trace.observed import observed

if TYPE_CHECKING:
    from twin.trace.chains import Chains
    from twin.trace.edges import EdgeChains
    from twin.trace.solver import Solution

STATUS_DONE, STATUS_NO_PATH = 1, 2


class TraceSettings(StrictModel):
    """How paths are searched.

    Args:
        max_depth: interactions of a path at most; every wall crossed costs one.
        refraction: whether paths go through walls.
        diffraction: whether paths bend around edges (first order).
        diffuse: whether rough surfaces scatter; by Sionna's own search.
        rays_per_round: rays each access point shoots in a round of the search for reflections.
        undiscovered_share: the search ends when fewer of a round's rays follow reflections that
            were not known before.
        max_rounds: rounds at most; a search that ends so is logged, and its last share stored.
        stock_samples: rays each access point shoots where the engine is `stock`.
        diffuse_samples: rays each access point shoots in Sionna's search for diffuse paths.
        max_paths: paths kept for each link, the strongest.
        seed: of the rays' directions and interactions.
        memory_gib: what tracing may use besides its result; sets how many receivers are traced at
            once, which changes no result.
    """

    max_depth: Annotated[int, Field(ge=0, le=10)] = 3
    refraction: bool = True
    diffraction: bool = False
    diffuse: bool = False
    rays_per_round: Annotated[int, Field(ge=1000, le=10_000_000)] = 250_000
    undiscovered_share: Annotated[float, Field(gt=0.0, le=0.1)] = 1e-3
    max_rounds: Annotated[int, Field(ge=2, le=1000)] = 40
    stock_samples: Annotated[int, Field(ge=100, le=10_000_000)] = 1_000_000
    diffuse_samples: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    max_paths: Annotated[int, Field(ge=1, le=1000)] = 32
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    memory_gib: Annotated[float, Field(ge=0.05, le=1024.0)] = 2.0


class PathEngine(Protocol):
    """A ray tracer."""

    name: str

    def solve(
        self, scene: Scene, points: npt.NDArray[np.float64], settings: TraceSettings
    ) -> Solution:
        """Paths from every access point to every point (n, 3) [m], in the order of both.

        Raises:
            InputError: what no ray should be traced for; see `twin.trace.inputs`.
            TraceError: the result would not be complete.
        """
        ...

    def provenance(self) -> dict[str, str]:
        """Backend, versions and the solver arguments that `TraceSettings` does not hold."""
        ...


def trace(
    scene: Scene,
    settings: TraceSettings,
    points: npt.NDArray[np.float64],
    engine: str | PathEngine = "chains",
) -> xr.Dataset:
    """Trace a scene as declared (one realisation) to receiver points (n, 3) [m].

    Receivers have one vertical, isotropic antenna. What access points have shows in `twin.trace.
    observed`: of an array, `path_gain` is that of its centre with the pattern of its first port.

    Args:
        scene: the declaration, having passed `twin.scene.check`.
        settings: what to search for, and how.
        points: receivers (n, 3) [m].
        engine: ``chains`` or ``stock``, or an engine; one with a `twin.trace.rebuild.LiveScene`
            does not build every realisation anew.

    Returns:
        Data set over point, ap, path, subcarrier, xyz and angle, and over ap_antenna where access
        points have several ports; every variable says its unit. Complex amplitudes are ratios of
        received to transmitted amplitude; delays are absolute. Nobody hears an access point that
        is not active.

    Raises:
        InputError: `points` is not a non-empty, finite (n, 3) array, the engine is unknown,
            materials have no constants on a carrier, or rain no known effect; and what
            `twin.trace.inputs` refuses.
        BackendError: no usable ray-tracing backend.
        TraceError: the engine could not give a complete result.
    """
    points = np.asarray(points, dtype=np.float64)
    finite = bool(np.isfinite(points).all())
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0 or not finite:
        found = f"shape {points.shape}" + ("" if finite else ", not all finite")
        refuse([Fault("trace", "points", "finite coordinates (n, 3) with n >= 1", found)])
    solver = _engine(engine) if isinstance(engine, str) else engine
    solution = solver.solve(scene, points, settings)
    return _label(scene, settings, points, solution, solver)


def _engine(name: str) -> PathEngine:
    # Sionna takes seconds to load, and the settings above are needed without it.
    from twin.trace.engines import ChainEngine, StockEngine

    engines: dict[str, type[ChainEngine] | type[StockEngine]] = {
        "chains": ChainEngine,
        "stock": StockEngine,
    }
    if name not in engines:
        raise InputError([Fault("trace", "engine", "chains or stock", name)])
    return engines[name]()


def _label(
    scene: Scene,
    settings: TraceSettings,
    points: npt.NDArray[np.float64],
    solution: Solution,
    solver: PathEngine,
) -> xr.Dataset:
    table = solution.table
    seen = observed(scene, table)
    link, path = ("point", "ap"), ("point", "ap", "path")
    heard = (table.num_paths > 0).any(axis=1)
    angle = "world frame, azimuth from +x towards +y, zenith from +z"
    data = xr.Dataset(
        {
            "position": (("point", "xyz"), points, {"units": "m"}),
            "ap_position": (
                ("ap", "xyz"),
                np.array([ap.position_m for ap in scene.access_points], dtype=np.float64),
                {"units": "m"},
            ),
            "path_gain": (
                path,
                table.gain,
                {
                    "units": "1",
                    "long_name": "complex amplitude with antenna patterns and carrier phase",
                    "order": "falling power, then delay; zero where there is no path",
                },
            ),
            "delay": (path, table.delay_s, {"units": "s", "long_name": "absolute delay"}),
            "aoa_azimuth": (path, table.aoa_azimuth, {"units": "rad", "frame": angle}),
            "aoa_zenith": (path, table.aoa_zenith, {"units": "rad", "frame": angle}),
            "aod_azimuth": (path, table.aod_azimuth, {"units": "rad", "frame": angle}),
            "aod_zenith": (path, table.aod_zenith, {"units": "rad", "frame": angle}),
            "interactions": (
                path,
                table.interactions,
                {
                    "units": "1",
                    "bits": "1 reflection, 2 diffuse reflection, 4 transmission, 8 diffraction; "
                    "0 line of sight or no path",
                },
            ),
            "num_paths": (link, table.num_paths, {"units": "1"}),
            "power_left_out": (
                link,
                table.power_left_out,
                {"units": "1", "long_name": "sum of |path gain|^2 beyond the paths kept"},
            ),
            "power_undiscovered": (
                link,
                table.power_undiscovered,
                {
                    "units": "1",
                    "long_name": "estimated sum of |path gain|^2 of paths the search missed",
                },
            ),
            **seen.variables,
            "toa": (
                link,
                channel.toa_s(table),
                {"units": "s", "definition": "delay of the first path, NaN without a path"},
            ),
            "los": (link, channel.los(table), {"units": "1"}),
            "status": (
                ("point",),
                np.where(heard, STATUS_DONE, STATUS_NO_PATH).astype(np.int8),
                {"units": "1", "values": "1 done, 2 done and no path from any access point"},
            ),
        },
        coords={
            "ap": [ap.name for ap in scene.access_points],
            "subcarrier": seen.subcarrier,
        },
    )
    if solution.chains:
        data = data.assign(_search(solution.chains, "reflections"))
    if solution.edge_chains:
        data = data.assign(_search(solution.edge_chains, "diffraction"))
    data.attrs = {
        "engine": solver.name,
        **solver.provenance(),
        **{f"trace_{key}": _plain(value) for key, value in settings.model_dump().items()},
        "scene": scene.name,
        "scene_digest": scene_digest(scene),
        **seen.attrs,
        "phase_convention": "exp(-j 2 pi f delay)",
    }
    return data


def _search(
    found: Sequence[Chains] | Sequence[EdgeChains], what: str
) -> dict[str, tuple[tuple[str], npt.NDArray[np.generic], dict[str, str]]]:
    """How the search of each access point for chains with `what` went."""
    last = [chains.new_share[-1] if chains.new_share else 0.0 for chains in found]
    rounds = [len(chains.new_share) for chains in found]
    return {
        f"chains_{what}": (("ap",), np.array([len(c) for c in found], np.int32), {"units": "1"}),
        f"rounds_{what}": (("ap",), np.array(rounds, np.int16), {"units": "1"}),
        f"new_share_{what}": (
            ("ap",),
            np.array(last, np.float32),
            {
                "units": "1",
                "long_name": "share of the last round's rays on chains not known before",
            },
        ),
    }


def _plain(value: object) -> object:
    return int(value) if isinstance(value, bool) else value
