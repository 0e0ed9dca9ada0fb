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
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from twin.seeds import stream
from twin.trace.mirrors import Mirrors, to_device
from twin.trace.tree import ChainTree, follow

# Rays traced at once; depth d follows up to 2^(d-1) times as many (`twin.trace.inputs`).
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

    def ends(self, new_share: Sequence[float], what: str) -> bool:
        """Whether the search ends after rounds with these shares of rays on new chains.

        A search that ends without having converged says so in the log.
        """
        if len(new_share) >= MIN_ROUNDS and new_share[-1] < self.undiscovered_share:
            return True
        if len(new_share) < self.max_rounds:
            return False
        _log.warning(
            "chains of %s: expected a round with under %g of its rays on new chains, found %.2g "
            "after %d rounds; raise max_rounds, rays_per_round or undiscovered_share, or lower "
            "max_depth",
            what,
            self.undiscovered_share,
            new_share[-1],
            len(new_share),
        )
        return True


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
        once: npt.NDArray[np.bool_] = self.rays == 1
        return once

    def of_order(self, order: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Chains (m,) with `order` reflections, and all their prefixes (m, order).

        Prefixes are chains too, from the first reflection to the last.
        """
        chains = np.nonzero(self.order == order)[0]
        prefixes = np.empty((len(chains), order), dtype=np.int64)
        chain = chains
        for place in range(order - 1, -1, -1):
            prefixes[:, place] = chain
            chain = self.parent[chain]
        return chains, prefixes


def discover(mirrors: Mirrors, transmitter: npt.NDArray[np.float64], search: Search) -> Chains:
    """Chains of a transmitter at (3,) [m]; a search that did not converge says so in the log."""
    tree = ChainTree(max(len(mirrors.planes), 1))
    tree.root()
    shares: list[float] = []
    while search.max_depth > 0 and len(mirrors.planes):
        shares.append(_round(mirrors, transmitter, search, len(shares), tree))
        if search.ends(shares, "reflections"):
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
    tree: ChainTree,
) -> float:
    """Shoot one lattice; the share of rays on chains that were new in this round."""
    directions = _lattice(search.rays, search.seed, number)
    before = np.array(tree.rays, dtype=np.int64)
    new: set[int] = set()
    for start in range(0, search.rays, _RAYS_AT_ONCE):
        part = directions[:, start : start + _RAYS_AT_ONCE]
        chain = np.zeros(part.shape[1], dtype=np.int64)
        # One origin for all rays.
        origin = to_device(transmitter[None])
        follow(mirrors, origin, part.T, chain, search.max_depth, search.refraction, tree, new)
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
