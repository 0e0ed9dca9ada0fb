"""Sionna's own path solver: the reference, and the search for diffuse paths."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from twin.errors import TraceError
from twin.trace import backend
from twin.trace.engine import TraceSettings
from twin.trace.paths import DIFFUSE, PathList, joined
from twin.trace.ports import Antenna, finished

backend.prepare()

import mitsuba as mi  # noqa: E402
from sionna import rt  # noqa: E402
from sionna.rt.path_solvers.paths_buffer import PathsBuffer  # noqa: E402
from sionna.rt.path_solvers.sb_candidate_generator import SBCandidateGenerator  # noqa: E402
from sionna.rt.path_solvers.sb_deterministic import (  # noqa: E402
    SBDeterministicCandidateGenerator,
)

# Slots for each transmitter in the hash table that removes duplicate candidates: of n candidates
# about n^2 / slots are lost to collisions, and Sionna's million loses some.
HASH_SLOTS = 8_000_000
# All receivers of a call go into that table.
RECEIVERS_AT_ONCE = 4
# Specular candidates of a transmitter and these receivers.
MAX_CANDIDATES = 200_000


class _CountedCandidates(SBDeterministicCandidateGenerator):
    """Sionna's candidates, which Sionna drops without a word where there is no room for more."""

    def __call__(self, *scene: object, max_num_paths_per_src: int, **search: object) -> PathsBuffer:
        found = super().__call__(*scene, max_num_paths_per_src=max_num_paths_per_src, **search)
        used = int(np.array(found.paths_counter)[0])
        sources = np.array(found.source_indices)[:used]
        most = int(np.bincount(sources).max()) if used else 0
        if most >= max_num_paths_per_src:
            raise TraceError(
                f"Sionna's search: expected under {max_num_paths_per_src} candidate paths of a "
                f"transmitter, found {most} or more; lower max_depth or the number of samples"
            )
        return found


def stock_paths(
    built: rt.Scene,
    transmitters: npt.NDArray[np.float64],
    points: npt.NDArray[np.float64],
    settings: TraceSettings,
    antennas: Sequence[Antenna],
    *,
    diffuse_only: bool = False,
) -> PathList:
    """Paths from transmitters (a, 3) to points (n, 3) [m] by `rt.PathSolver`.

    Args:
        built: the scene; its own radio devices are put back at the end.
        transmitters: (a, 3) [m].
        points: (n, 3) [m].
        settings: what to search for.
        antennas: of the transmitters.
        diffuse_only: search with `settings.diffuse_samples` for diffuse reflections, and keep only
            paths that have one; else search all that `settings` asks for.

    Raises:
        TraceError: Sionna found as many candidates as it has room for, so that some are missing.
    """
    samples = settings.diffuse_samples if diffuse_only else settings.stock_samples
    diffuse = diffuse_only or settings.diffuse
    size = min(RECEIVERS_AT_ONCE, len(points))
    room = MAX_CANDIDATES
    if diffuse:
        room += samples * settings.max_depth * size
    parts = []
    with _devices(built, transmitters, points[:size]):
        for start in range(0, len(points), size):
            batch = points[start : start + size]
            # Receivers are made once and moved; those of the last batch that are not needed stay.
            spare = np.repeat(batch[-1:], size - len(batch), axis=0)
            for receiver, point in zip(
                built.receivers.values(), np.concatenate([batch, spare]), strict=True
            ):
                receiver.position = _point(point)
            solver = rt.PathSolver(deterministic=True)
            solver._candidate_generator = _CountedCandidates()
            solved = solver(
                built,
                max_depth=settings.max_depth,
                max_num_paths_per_src=room,
                samples_per_src=samples,
                synthetic_array=True,
                los=not diffuse_only,
                specular_reflection=True,
                diffuse_reflection=diffuse,
                refraction=settings.refraction,
                diffraction=settings.diffraction and not diffuse_only,
                seed=settings.seed,
            )
            found = _listed(solved)
            found = found.where(found.point < len(batch))
            if diffuse_only:
                found = found.where((found.interactions & DIFFUSE) > 0)
            parts.append(dataclasses.replace(found, point=found.point + start))
    frequency_hz = float(np.ravel(np.array(built.frequency))[0])
    return finished(joined(parts), frequency_hz, antennas)


@contextmanager
def _devices(
    built: rt.Scene, transmitters: npt.NDArray[np.float64], points: npt.NDArray[np.float64]
) -> Iterator[None]:
    """The scene with these devices, dual polarised and isotropic; its own come back after it."""
    own = [*built.transmitters.values(), *built.receivers.values()]
    arrays = built.tx_array, built.rx_array
    slots = SBCandidateGenerator.MIN_SPEC_COUNT_SIZE
    ours = [
        *(rt.Transmitter(f"fingertwin_tx_{i}", _point(x)) for i, x in enumerate(transmitters)),
        *(rt.Receiver(f"fingertwin_rx_{i}", _point(x)) for i, x in enumerate(points)),
    ]
    both = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="VH")
    try:
        # `max_num_paths_per_src` would enlarge this table too, and every other buffer with it.
        SBCandidateGenerator.MIN_SPEC_COUNT_SIZE = HASH_SLOTS
        built.remove([device.name for device in own])
        built.add(ours)
        built.tx_array, built.rx_array = both, both
        yield
    finally:
        SBCandidateGenerator.MIN_SPEC_COUNT_SIZE = slots
        built.remove([device.name for device in ours])
        built.add(own)
        # A scene may have none, and Sionna takes no None.
        if arrays[0] is not None:
            built.tx_array = arrays[0]
        if arrays[1] is not None:
            built.rx_array = arrays[1]


def _point(values: npt.NDArray[np.float64]) -> mi.Point3f:
    return mi.Point3f(*values.tolist())


def _listed(paths: rt.Paths) -> PathList:
    """Sionna's tensors [receiver, (polarisation,) transmitter, (polarisation,) path] as a list."""
    real, imag = (np.array(part, dtype=np.float32) for part in paths.a)
    amplitude = np.moveaxis(real + 1j * imag, (1, 3), (3, 4)).astype(np.complex64)
    place = np.nonzero(np.array(paths.valid))
    kinds = np.bitwise_or.reduce(np.array(paths.interactions), axis=0)

    def angle(values: object) -> npt.NDArray[np.float32]:
        return np.array(values, dtype=np.float32)[place]

    return PathList(
        point=place[0].astype(np.int64),
        access_point=place[1].astype(np.int64),
        gain=np.zeros(len(place[0]), dtype=np.complex64),
        transfer=amplitude[place],
        delay_s=np.array(paths.tau, dtype=np.float64)[place],
        aoa_azimuth=angle(paths.phi_r),
        aoa_zenith=angle(paths.theta_r),
        aod_azimuth=angle(paths.phi_t),
        aod_zenith=angle(paths.theta_t),
        interactions=kinds[place].astype(np.int32),
        seen_once=np.zeros(len(place[0]), dtype=np.bool_),
    )
