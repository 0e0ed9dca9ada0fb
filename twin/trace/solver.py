"""Path engines on Sionna's `PathSolver`: its own search, and that of `twin.trace.chains`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from twin.scene.declaration import Scene
from twin.trace import backend
from twin.trace.build import build_scene, place_receivers, place_transmitters, rt
from twin.trace.chains import ChainCandidates, set_hash_slots
from twin.trace.engine import TraceSettings
from twin.trace.paths import PathTable, canonical, join, select

# Slots for each transmitter in the hash table that removes duplicate candidates: of n candidates
# about n^2 / slots are lost to collisions, and Sionna's million loses some.
HASH_SLOTS = 8_000_000
# For each transmitter; candidates in Sionna's own search are pairs of chain and receiver.
MAX_CHAINS = 50_000
# Sionna's own search puts all receivers of a call into that table.
STOCK_RECEIVERS_PER_BATCH = 4
# -200 dB, below the noise of any receiver: what numerics leave of a wave behind metal is no path.
FLOOR = 1e-20


class ChainEngine:
    """Sionna's image method and fields on chains found once for all receivers."""

    name = "chains"

    def provenance(self) -> dict[str, str]:
        """See `twin.trace.engine.PathEngine`."""
        return _provenance()

    def solve(
        self, scene: Scene, points: npt.NDArray[np.float64], settings: TraceSettings
    ) -> PathTable:
        """See `twin.trace.engine.PathEngine`."""

        def solver() -> rt.PathSolver:
            made = rt.PathSolver(deterministic=True)
            made._candidate_generator = ChainCandidates(MAX_CHAINS)
            return made

        return _solve(solver, scene, points, settings, settings.receivers_per_batch)


class StockEngine:
    """Sionna's solver as it is, few receivers at a time; slow, to check others against."""

    name = "stock"

    def provenance(self) -> dict[str, str]:
        """See `twin.trace.engine.PathEngine`."""
        return _provenance()

    def solve(
        self, scene: Scene, points: npt.NDArray[np.float64], settings: TraceSettings
    ) -> PathTable:
        """See `twin.trace.engine.PathEngine`."""
        size = min(settings.receivers_per_batch, STOCK_RECEIVERS_PER_BATCH)
        return _solve(lambda: rt.PathSolver(deterministic=True), scene, points, settings, size)


def _provenance() -> dict[str, str]:
    info = backend.describe()
    return {
        "backend": info.variant,
        "llvm_version": str(info.llvm_version),
        **{f"version_{name}": version for name, version in info.versions.items()},
        "solver": "sionna.rt.PathSolver(deterministic=True): line of sight, specular reflection, "
        "no diffuse reflection, synthetic arrays",
        "hash_slots": str(HASH_SLOTS),
        "path_floor_db": f"{10.0 * np.log10(FLOOR):.0f}",
    }


def _solve(
    new_solver: Callable[[], rt.PathSolver],
    scene: Scene,
    points: npt.NDArray[np.float64],
    settings: TraceSettings,
    receivers_per_batch: int,
) -> PathTable:
    set_hash_slots(HASH_SLOTS)
    built = build_scene(scene)
    size = min(receivers_per_batch, len(points))
    # A scene has one transmit array, so access points are solved by pattern.
    groups: dict[str, list[int]] = {}
    for index, ap in enumerate(scene.access_points):
        groups.setdefault(ap.pattern, []).append(index)
    by_group = []
    for members in groups.values():
        place_transmitters(built, [scene.access_points[i] for i in members])
        solver = new_solver()
        tables = []
        for start in range(0, len(points), size):
            batch = points[start : start + size]
            # Receivers are created once and moved; those of the last batch that are not needed
            # stay.
            spare = np.repeat(batch[-1:], size - len(batch), axis=0)
            place_receivers(built, np.concatenate([batch, spare]))
            paths = solver(
                built,
                max_depth=settings.max_depth,
                max_num_paths_per_src=MAX_CHAINS * STOCK_RECEIVERS_PER_BATCH,
                samples_per_src=settings.samples_per_src,
                synthetic_array=True,
                los=True,
                specular_reflection=True,
                diffuse_reflection=False,
                refraction=settings.refraction,
                diffraction=settings.diffraction,
                seed=settings.seed,
            )
            found = select(_extract(paths, scene.frequency_hz), slice(len(batch)))
            tables.append(canonical(found, settings.max_paths))
        by_group.append(join(tables, axis=0))
    order = np.argsort([i for members in groups.values() for i in members])
    return select(join(by_group, axis=1), access_points=order.tolist())


def _extract(paths: rt.Paths, frequency_hz: float) -> PathTable:
    """Sionna's tensors [receiver, (1,) transmitter, (1,) path] as a table in the solver's order."""
    real, imag = (np.array(part, dtype=np.float64)[:, 0, :, 0, :] for part in paths.a)
    valid = np.array(paths.valid) & (real**2 + imag**2 > FLOOR)
    # Sionna's amplitudes lack the phase of the carrier.
    turns = frequency_hz * np.array(paths.tau, dtype=np.float64)
    gain = ((real + 1j * imag) * np.exp(-2j * np.pi * turns)).astype(np.complex64)

    def padded(values: object) -> npt.NDArray[np.float32]:
        return np.where(valid, np.array(values, dtype=np.float32), np.float32(np.nan))

    kinds = np.bitwise_or.reduce(np.array(paths.interactions), axis=0)
    return PathTable(
        gain=np.where(valid, gain, np.complex64(0.0)),
        delay_s=padded(paths.tau).astype(np.float64),
        aoa_azimuth=padded(paths.phi_r),
        aoa_zenith=padded(paths.theta_r),
        aod_azimuth=padded(paths.phi_t),
        aod_zenith=padded(paths.theta_t),
        interactions=np.where(valid, kinds, 0).astype(np.int32),
        num_paths=valid.sum(axis=-1).astype(np.int16),
        power_left_out=np.zeros(valid.shape[:-1], dtype=np.float32),
    )
