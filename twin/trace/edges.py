"""Chains with one diffraction at an edge, found by Sionna's search and pruned like the others.

Where a ray passes close to an edge follows from sampling, so these chains come from Sionna's own
candidate search: without receivers, in rounds with other seeds and shifted lattices, and with a
fair coin between reflection and transmission. Crossings are part of these chains, because Sionna's
image method, which decides here, wants them named. A pair of chain and receiver is kept where the
point of diffraction lies on the edge and every point of reflection in the box around its plane's
triangles.

The inside of sionna-rt is used (`twin.trace.backend.PINS`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.seeds import integer_seed, stream
from twin.trace import backend
from twin.trace.chains import MIN_ROUNDS, Search
from twin.trace.mirrors import Mirrors, floats, integers, to_device, vectors

backend.prepare()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
from sionna import rt  # noqa: E402
from sionna.rt.constants import InteractionType  # noqa: E402
from sionna.rt.path_solvers import sb_deterministic  # noqa: E402
from sionna.rt.path_solvers.image_method import ImageMethod  # noqa: E402
from sionna.rt.path_solvers.paths_buffer import PathsBuffer  # noqa: E402
from sionna.rt.utils import WedgeGeometry  # noqa: E402

_NONE, _REFLECTION, _TRANSMISSION, _DIFFRACTION = (
    InteractionType.NONE,
    InteractionType.SPECULAR,
    InteractionType.REFRACTION,
    InteractionType.DIFFRACTION,
)


class _NoObstacles:
    """A Mitsuba scene whose every point sees the receiver."""

    def __init__(self, scene: mi.Scene) -> None:
        self.ray_intersect = scene.ray_intersect

    def ray_test(self, ray: mi.Ray3f, active: mi.Bool) -> mi.Bool:
        return mi.Bool(active & (ray.maxt < 0.0))


class _Candidates(sb_deterministic.SBDeterministicCandidateGenerator):
    """Sionna's search, with a fair coin between reflection and transmission."""

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
        # Sionna draws by power, and so rarely finds reflections of weak reflectors. `sample2` is
        # for diffuse reflection, which is off.
        both = _REFLECTION | _TRANSMISSION
        other = dr.select(sample2.x < 0.5, mi.UInt(_TRANSMISSION), mi.UInt(_REFLECTION))
        chosen = dr.select((loc_en_inter & both) == both, loc_en_inter & ~other, loc_en_inter)
        sampled: tuple[mi.BSDFSample3f, mi.Normal3f, WedgeGeometry] = (
            super()._sample_radio_material(
                si, ray_origin, k_world, sample1, sample2, sample2_diffraction, chosen, *rest
            )
        )
        return sampled
