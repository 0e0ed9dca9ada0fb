"""The path engines for scenes as declared: each builds, checks and traces one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from twin.errors import refuse
from twin.scene.declaration import Scene
from twin.trace import backend
from twin.trace.chains import Chains
from twin.trace.edges import EdgeChains
from twin.trace.engine import TraceSettings
from twin.trace.inputs import check_inputs
from twin.trace.paths import join, no_paths, select, tabulate
from twin.trace.ports import NUMERICAL_FLOOR
from twin.trace.rebuild import LiveScene
from twin.trace.solver import Solution, solve_chains, solve_stock
from twin.trace.stations import antenna, carriers, rain_faults
from twin.trace.stock import HASH_SLOTS

_NOTHING = np.zeros(0, dtype=np.int64)
# Of an access point that nobody searched for.
_NO_CHAINS = Chains(_NOTHING, _NOTHING, _NOTHING, _NOTHING, ())
_NO_EDGE_CHAINS = EdgeChains(_NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, ())


class _Engine:
    """What both engines do.

    Args:
        live: a scene that is built already, for callers that trace many realisations; every scene
            is built anew where none is given.
    """

    # Both solvers take the same: scene, transmitters, points, settings and antennas.
    _solve: ClassVar[Callable[..., Solution]]
    # Whether there are chains to tell of, even where no access point is active.
    _finds_chains: ClassVar[bool]

    def __init__(self, live: LiveScene | None = None) -> None:
        self._live = live

    def solve(
        self, scene: Scene, points: npt.NDArray[np.float64], settings: TraceSettings
    ) -> Solution:
        """See `twin.trace.engine.PathEngine`.

        Access points on one carrier are traced together, with the materials' constants there.
        """
        refuse(rain_faults(scene, "scene"))
        place = LiveScene() if self._live is None else self._live
        place.update(scene)
        groups = carriers(scene)
        refuse(fault for group in groups for fault in place.carrier_faults(group.frequency_hz))
        transmitters = np.array([ap.position_m for ap in scene.access_points], dtype=np.float64)
        # Where an access point that is lost hangs tells rooms from solids all the same.
        check_inputs(
            place.built,
            transmitters,
            points,
            settings,
            names=[ap.name for ap in scene.access_points],
            labels=place.labels,
            shells=place.shells,
        )
        parts = []
        for group in groups:
            members = list(group.members)
            antennas = [antenna(scene, scene.access_points[member]) for member in members]
            built = place.tune(group.frequency_hz)
            solved = self._solve(built, transmitters[members], points, settings, antennas)
            parts.append((members, solved))
        return _joined(parts, len(transmitters), len(points), settings, self._finds_chains)


def _joined(
    parts: list[tuple[list[int], Solution]],
    aps: int,
    points: int,
    settings: TraceSettings,
    finds_chains: bool,
) -> Solution:
    """Solutions of some access points each as that of all `aps`, those without one left empty.

    Which search is told of does not depend on who is active: all realisations of a scene give the
    same variables.
    """
    order = [member for members, _ in parts for member in members]
    if len(parts) == 1 and order == list(range(aps)):
        return parts[0][1]
    lost = sorted(set(range(aps)) - set(order))
    empty = tabulate(no_paths(), points, len(lost), settings.max_paths)
    table = join([*(solved.table for _, solved in parts), empty], axis=1)
    place = np.argsort([*order, *lost]).tolist()
    chains = {
        member: found
        for members, solved in parts
        for member, found in zip(members, solved.chains, strict=bool(solved.chains))
    }
    bent = {
        member: found
        for members, solved in parts
        for member, found in zip(members, solved.edge_chains, strict=bool(solved.edge_chains))
    }
    return Solution(
        select(table, access_points=place),
        tuple(chains.get(ap, _NO_CHAINS) for ap in range(aps)) if finds_chains else (),
        tuple(bent.get(ap, _NO_EDGE_CHAINS) for ap in range(aps))
        if finds_chains and settings.diffraction
        else (),
    )


class ChainEngine(_Engine):
    """Chains of mirrors found once for all receivers (`twin.trace.chains`)."""

    name = "chains"

    _solve = staticmethod(solve_chains)
    _finds_chains = True

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
    _finds_chains = False

    def provenance(self) -> dict[str, str]:
        """See `twin.trace.engine.PathEngine`."""
        return {
            **_backend(),
            "solver": "sionna.rt.PathSolver(deterministic=True), synthetic arrays",
            "hash_slots": str(HASH_SLOTS),
        }


def _backend() -> dict[str, str]:
    info = backend.describe()
    return {
        "backend": info.variant,
        "llvm_version": str(info.llvm_version),
        **{f"version_{name}": version for name, version in info.versions.items()},
        "path_floor_db": f"{20.0 * np.log10(NUMERICAL_FLOOR):.0f} below free space",
    }
