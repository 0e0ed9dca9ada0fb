"""Chains of mirrors seen by a transmitter, found once for all receivers.

A chain is the sequence of planes that a path is reflected in. Walls crossed on the way do not bend
a path, so they are not part of the chain; which of them a path crosses follows from the receiver.
The empty chain stands for the line of sight, clear or through walls.

Chains are found by shooting rays from the transmitter, in rounds, each with a lattice of directions
turned anew. At every surface a ray is followed both ways, reflected and transmitted, so nothing is
left to the draw of an interaction. A round's rays carry equal shares of the radiated power; the
search ends when the share of rays that followed chains not known before falls under a bound.
Losses in the walls are left out of that share. That overstates the weight of what is missing, and
keeps chains a matter of geometry alone: they stay valid while materials, frequency, antennas and
receivers change.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial.transform import Rotation

from twin.seeds import stream
from twin.trace import backend
from twin.trace.mirrors import NO_PLANE, Mirrors, integers, move_off, to_device, vectors

backend.prepare()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402

# Rays traced at once; depth d follows up to 2^(d-1) times as many, 40 bytes each.
_RAYS_AT_ONCE = 1 << 18
MIN_ROUNDS = 2

_log = logging.getLogger("twin")


@dataclass(frozen=True)
class Search:
    """How chains are searched.

    Args:
        max_depth: interactions at most, reflections and walls crossed together.
        refraction: whether rays go through walls.
        rays: of one round.
        undiscovered_share: the search ends when a round's share of rays on new chains is lower.
        max_rounds: the search ends, with a warning, after as many.
        seed: of the lattices' orientations.
    """

    max_depth: int
    refraction: bool
    rays: int
    undiscovered_share: float
    max_rounds: int
    seed: int


@dataclass(frozen=True)
class Chains:
    """The chains of one transmitter; entry 0 is the empty chain.

    Args:
        parent: (c,) the chain without its last reflection; 0 for the empty chain itself.
        plane: (c,) the plane of the last reflection.
        order: (c,) reflections.
        rays: (c,) rays that followed a chain, over all rounds.
        new_share: (rounds,) share of each round's rays on chains that were new in it.
    """

    parent: npt.NDArray[np.int64]
    plane: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    rays: npt.NDArray[np.int64]
    new_share: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def seen_once(self) -> npt.NDArray[np.bool_]:
        """Chains (c,) that a single ray found: as much as they carry is likely still missing.

        The share of rays on chains seen once estimates the share on chains never seen (Good,
        Biometrika 40, 1953).
        """
        return self.rays == 1

    def of_order(self, order: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Chains (m,) with `order` reflections, and all their prefixes (m, order) from the first
        reflection to the last, as chains."""
        chains = np.nonzero(self.order == order)[0]
        prefixes = np.empty((len(chains), order), dtype=np.int64)
        chain = chains
        for place in range(order - 1, -1, -1):
            prefixes[:, place] = chain
            chain = self.parent[chain]
        return chains, prefixes


@dataclass
class _Tree:
    """Chains as they are found."""

    planes: int
    index: dict[int, int] = field(default_factory=dict)
    parent: list[int] = field(default_factory=lambda: [0])
    plane: list[int] = field(default_factory=lambda: [NO_PLANE])
    order: list[int] = field(default_factory=lambda: [0])
    rays: list[int] = field(default_factory=lambda: [0])

    def count(
        self, chain: npt.NDArray[np.int64], plane: npt.NDArray[np.int64], new: set[int]
    ) -> npt.NDArray[np.int64]:
        """Note rays that are reflected in `plane` after `chain`; the chains they now follow."""
        codes, keys = pd.factorize(chain * self.planes + plane)
        rays = np.bincount(codes, minlength=len(keys))
        found = np.empty(len(keys), dtype=np.int64)
        for i, (key, count) in enumerate(zip(keys.tolist(), rays.tolist(), strict=True)):
            known = self.index.get(key)
            if known is None:
                known = len(self.parent)
                before = key // self.planes
                self.index[key] = known
                self.parent.append(before)
                self.plane.append(key % self.planes)
                self.order.append(self.order[before] + 1)
                self.rays.append(0)
                new.add(known)
            self.rays[known] += count
            found[i] = known
        return found[codes]


def discover(mirrors: Mirrors, transmitter: npt.NDArray[np.float64], search: Search) -> Chains:
    """Chains of a transmitter at (3,) [m]; a search that did not converge says so in the log."""
    tree = _Tree(max(len(mirrors.planes), 1))
    shares: list[float] = []
    while search.max_depth > 0 and len(mirrors.planes):
        shares.append(_round(mirrors, transmitter, search, len(shares), tree))
        if len(shares) >= MIN_ROUNDS and shares[-1] < search.undiscovered_share:
            break
        if len(shares) >= search.max_rounds:
            _log.warning(
                "chains of reflections: expected a round with under %g of its rays on new chains, "
                "found %.2g after %d rounds of %d rays; raise max_rounds, rays_per_round or "
                "undiscovered_share, or lower max_depth",
                search.undiscovered_share,
                shares[-1],
                len(shares),
                search.rays,
            )
            break
    return Chains(
        parent=np.array(tree.parent, dtype=np.int64),
        plane=np.array(tree.plane, dtype=np.int64),
        order=np.array(tree.order, dtype=np.int64),
        rays=np.array(tree.rays, dtype=np.int64),
        new_share=tuple(shares),
    )


def _round(
    mirrors: Mirrors,
    transmitter: npt.NDArray[np.float64],
    search: Search,
    number: int,
    tree: _Tree,
) -> float:
    """Shoot one lattice; the share of rays on chains that were new in this round."""
    directions = _lattice(search.rays, search.seed, number)
    before = np.array(tree.rays, dtype=np.int64)
    new: set[int] = set()
    for start in range(0, search.rays, _RAYS_AT_ONCE):
        part = directions[:, start : start + _RAYS_AT_ONCE]
        _follow(mirrors, transmitter, part, search, tree, new)
    rays = np.array(tree.rays, dtype=np.int64)
    total = int(rays.sum() - before.sum())
    return int(rays[sorted(new)].sum()) / total if total else 0.0


def _lattice(count: int, seed: int, number: int) -> npt.NDArray[np.float32]:
    """Unit vectors (3, count) of a Fibonacci lattice on the sphere, in a random orientation."""
    place = np.arange(count) + 0.5
    height = 1.0 - 2.0 * place / count
    turn = np.pi * (1.0 + np.sqrt(5.0)) * place
    radius = np.sqrt(1.0 - height**2)
    lattice = np.stack([radius * np.cos(turn), radius * np.sin(turn), height])
    rotation = Rotation.random(random_state=stream(seed, "chains", "round", number))
    return np.asarray(rotation.as_matrix() @ lattice, dtype=np.float32)


def _follow(
    mirrors: Mirrors,
    transmitter: npt.NDArray[np.float64],
    directions: npt.NDArray[np.float32],
    search: Search,
    tree: _Tree,
    new: set[int],
) -> None:
    """Follow rays both ways through every surface they meet, and note the chains."""
    count = directions.shape[1]
    origin = to_device(transmitter[None])
    direction = vectors(directions.T)
    chain = np.zeros(count, dtype=np.int64)
    for depth in range(1, search.max_depth + 1):
        hit = mirrors.first_hit(mi.Ray3f(origin, direction))
        dr.eval(hit.found, hit.plane, hit.point)
        # A ray that meets the mirror it has just left slipped through its grain.
        last = integers(np.array(tree.plane, dtype=np.uint32)[chain])
        kept = dr.compress(hit.found & (hit.plane != last))
        if dr.width(kept) == 0:
            return
        plane = dr.gather(mi.UInt, hit.plane, kept)
        chain = chain[np.array(kept)]
        reflected = tree.count(chain, np.array(plane).astype(np.int64), new)
        if depth == search.max_depth:
            return
        normal, _ = mirrors.plane(plane)
        point = dr.gather(mi.Point3f, hit.point, kept)
        onward = dr.gather(mi.Vector3f, direction, kept)
        back = onward - 2.0 * dr.dot(onward, normal) * normal
        origin, direction = move_off(point, normal, back), back
        if search.refraction:
            origin = _both(origin, move_off(point, normal, onward))
            direction = _both(back, onward)
            chain = np.concatenate([reflected, chain])
        else:
            chain = reflected
        dr.eval(origin, direction)


def _both(first: mi.Vector3f, second: mi.Vector3f) -> mi.Vector3f:
    return type(first)(*[dr.concat([getattr(first, c), getattr(second, c)]) for c in "xyz"])
