"""The path engines for scenes as declared: each builds, checks and traces one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from twin.scene.declaration import AccessPoint, Scene
from twin.trace import backend
from twin.trace.antenna import named_ports
from twin.trace.build import build_scene, object_labels
from twin.trace.engine import TraceSettings
from twin.trace.inputs import check_inputs
from twin.trace.ports import NUMERICAL_FLOOR, Antenna
from twin.trace.solver import Solution, solve_chains, solve_stock
from twin.trace.stock import HASH_SLOTS
from twin.waves import rotation_matrix


class _Engine:
    # Both solvers take the same: scene, transmitters, points, settings and antennas.
    _solve: ClassVar[Callable[..., Solution]]

    def solve(
        self, scene: Scene, points: npt.NDArray[np.float64], settings: TraceSettings
    ) -> Solution:
        """See `twin.trace.engine.PathEngine`."""
        built = build_scene(scene)
        transmitters = np.array([ap.position_m for ap in scene.access_points], dtype=np.float64)
        check_inputs(
            built,
            transmitters,
            points,
            settings,
            names=[ap.name for ap in scene.access_points],
            labels=object_labels(scene),
        )
        antennas = [_antenna(ap) for ap in scene.access_points]
        return self._solve(built, transmitters, points, settings, antennas)


class ChainEngine(_Engine):
    """Chains of mirrors found once for all receivers (`twin.trace.chains`)."""

    name = "chains"

    _solve = staticmethod(solve_chains)

    def provenance(self) -> dict[str, str]:
        """See `twin.trace.engine.PathEngine`."""
        return {
            **_backend(),
            "solver": "chains of mirrors from the access point, image method, walls crossed as "
            "they come; fields by sionna.rt's FieldCalculator",
        }


class StockEngine(_Engine):
    """Sionna's solver as it is, few receivers at a time; slow, to check others against."""

    name = "stock"

    _solve = staticmethod(solve_stock)

    def provenance(self) -> dict[str, str]:
        """See `twin.trace.engine.PathEngine`."""
        return {
            **_backend(),
            "solver": "sionna.rt.PathSolver(deterministic=True), synthetic arrays",
            "hash_slots": str(HASH_SLOTS),
        }


def _antenna(ap: AccessPoint) -> Antenna:
    yaw = np.array([np.deg2rad(ap.yaw_deg), 0.0, 0.0])
    return Antenna(named_ports(ap.pattern, "V")[0], rotation_matrix(yaw))


def _backend() -> dict[str, str]:
    info = backend.describe()
    return {
        "backend": info.variant,
        "llvm_version": str(info.llvm_version),
        **{f"version_{name}": version for name, version in info.versions.items()},
        "path_floor_db": f"{20.0 * np.log10(NUMERICAL_FLOOR):.0f} below free space",
    }
