"""Candidate paths for Sionna's solver: chains found once and offered to every receiver.

Sionna searches candidates for each receiver anew: every ray tests at every bounce which receivers
it sees, and one hash table shared by all receivers of a call removes duplicates, losing some paths
to collisions. But the sequence of surfaces (a chain) of a specular path does not depend on the
receiver, only its validity does. So chains are searched here without receivers, with as many rays
as it takes, and each pair of chain and receiver goes to Sionna's image method, which decides. No
receiver can take a path from another, and results do not depend on which receivers are solved
together.

The inside of sionna-rt is used (`twin.trace.backend.PINS`).
"""

from __future__ import annotations

import numpy as np

from twin.errors import TraceError
from twin.trace import backend

backend.prepare()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
from sionna.rt.constants import InteractionType  # noqa: E402
from sionna.rt.path_solvers.paths_buffer import PathsBuffer  # noqa: E402
from sionna.rt.path_solvers.sb_candidate_generator import SBCandidateGenerator  # noqa: E402
from sionna.rt.path_solvers.sb_deterministic import (  # noqa: E402
    SBDeterministicCandidateGenerator,
)
from sionna.rt.utils import WedgeGeometry  # noqa: E402

_REFLECTION, _TRANSMISSION = InteractionType.SPECULAR, InteractionType.REFRACTION

# Entries of a buffer with one value for each interaction, and their types.
_PER_INTERACTION = {
    "_interaction_types": mi.UInt,
    "_shapes": mi.UInt,
    "_primitives": mi.UInt,
    "_vertices_x": mi.Float,
    "_vertices_y": mi.Float,
    "_vertices_z": mi.Float,
    "_probs": mi.Float,
}


def set_hash_slots(slots: int) -> None:
    """Size, for each transmitter, of the hash table that removes duplicate candidates.

    Sionna ties it to `max_num_paths_per_src` as well, which would blow up every other buffer with
    it.
    """
    SBCandidateGenerator.MIN_SPEC_COUNT_SIZE = slots


class _NoObstacles:
    """A Mitsuba scene whose every point sees every receiver."""

    def __init__(self, scene: mi.Scene) -> None:
        self.ray_intersect = scene.ray_intersect

    def ray_test(self, ray: mi.Ray3f, active: mi.Bool) -> mi.Bool:
        return mi.Bool(active & (ray.maxt < 0.0))


class ChainCandidates(SBDeterministicCandidateGenerator):
    """Takes the place of a `PathSolver`'s candidate generator; one for one set of transmitters.

    Args:
        max_chains: chains of one transmitter at most.
    """

    def __init__(self, max_chains: int) -> None:
        super().__init__()
        self._max_chains = max_chains
        self._chains: PathsBuffer | None = None

    def __call__(
        self,
        mi_scene: mi.Scene,
        src_positions: mi.Point3f,
        tgt_positions: mi.Point3f,
        *,
        max_depth: int,
        diffraction: bool,
        **search: object,
    ) -> PathsBuffer:
        """Candidates of every source and target, in the form `PathSolver` expects.

        Raises:
            TraceError: more chains than `max_chains`.
        """
        if self._chains is None:
            self._chains = self._discover(
                mi_scene,
                src_positions,
                max_depth=max_depth,
                diffraction=diffraction,
                **{**search, "los": False, "max_num_paths_per_src": self._max_chains},
            )
        chains, sources, targets = (
            self._chains,
            dr.width(src_positions),
            dr.width(tgt_positions),
        )
        pairs = chains.buffer_size * targets
        paths = PathsBuffer(sources * targets + pairs, max_depth, diffraction)
        self._los(mi_scene, src_positions, tgt_positions, paths, dr.zeros(mi.UInt, sources))
        if pairs:
            _cross(chains, targets, paths, max_depth, diffraction)
        return paths

    def _discover(
        self, mi_scene: mi.Scene, src_positions: mi.Point3f, **search: object
    ) -> PathsBuffer:
        # One receiver that everything sees: each chain is then kept once.
        anywhere = mi.Point3f(0.0, 0.0, 0.0)
        chains = super().__call__(_NoObstacles(mi_scene), src_positions, anywhere, **search)
        chains.schedule()
        dr.eval()
        chains.shrink()
        if chains.buffer_size:
            most = int(np.bincount(np.array(chains.source_indices)).max())
            if most >= self._max_chains:
                raise TraceError(
                    f"an access point has {most} chains of interactions or more, the limit is "
                    f"{self._max_chains}: lower max_depth or simplify the scene"
                )
        return chains

    def _sample_radio_material(
        self,
        si: mi.SurfaceInteraction3f,
        ray_origin: mi.Point3f,
        k_world: mi.Vector3f,
        sample1: mi.Float,
        sample2: mi.Point2f,
        sample2_diffraction: mi.Point2f,
        loc_en_inter: mi.UInt,
        *rest: object,
    ) -> tuple[mi.BSDFSample3f, mi.Normal3f, WedgeGeometry]:
        # Sionna reflects and transmits as often as power does, and so rarely finds reflections of
        # weak reflectors. A fair coin (`sample2` is for diffuse reflection, which is off) finds
        # both; the field of a specular path does not depend on how likely it was found.
        both = _REFLECTION | _TRANSMISSION
        other = dr.select(sample2.x < 0.5, mi.UInt(_TRANSMISSION), mi.UInt(_REFLECTION))
        chosen = dr.select((loc_en_inter & both) == both, loc_en_inter & ~other, loc_en_inter)
        sampled: tuple[mi.BSDFSample3f, mi.Normal3f, WedgeGeometry] = (
            super()._sample_radio_material(
                si, ray_origin, k_world, sample1, sample2, sample2_diffraction, chosen, *rest
            )
        )
        return sampled


def _cross(
    chains: PathsBuffer, targets: int, paths: PathsBuffer, max_depth: int, diffraction: bool
) -> None:
    """Append every pair of chain and target to `paths`."""
    count = chains.buffer_size
    # Through NumPy: numbers that change from scene to scene would be compiled into the kernels.
    chain = mi.UInt(np.repeat(np.arange(count, dtype=np.uint32), targets))
    target = mi.UInt(np.tile(np.arange(targets, dtype=np.uint32), count))
    place = dr.arange(mi.UInt, count * targets) + paths.paths_counter
    dr.scatter(paths._src_indices, dr.gather(mi.UInt, chains._src_indices, chain), place)
    dr.scatter(paths._tgt_indices, target, place)
    for name, kind in _PER_INTERACTION.items():
        source, sink = getattr(chains, name).array, getattr(paths, name).array
        for depth in range(max_depth):
            value: mi.Float | mi.UInt = dr.gather(kind, source, chain * max_depth + depth)
            dr.scatter(sink, value, place * max_depth + depth)
    if diffraction:
        wedges = dr.gather(WedgeGeometry, chains._diffracting_wedges, chain)
        dr.scatter(paths._diffracting_wedges, wedges, place)
    paths.advance_paths_counter(dr.opaque(mi.UInt, count * targets))
