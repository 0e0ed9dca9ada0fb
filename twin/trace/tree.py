"""Chains of mirrors as rays find them, and the rays that do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from twin.trace import backend
from twin.trace.mirrors import NO_PLANE, Mirrors, integers, move_off, vectors

backend.prepare()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402

_Vector = TypeVar("_Vector", mi.Point3f, mi.Vector3f)


@dataclass
class ChainTree:
    """Chains, each but a root one reflection longer than its parent.

    Args:
        planes: number of planes of the scene.
    """

    planes: int
    parent: list[int] = field(default_factory=list, init=False)
    plane: list[int] = field(default_factory=list, init=False)
    order: list[int] = field(default_factory=list, init=False)
    rays: list[int] = field(default_factory=list, init=False)
    _index: dict[int, int] = field(default_factory=dict, init=False)

    def root(self) -> int:
        """A new chain without reflections."""
        self.parent.append(len(self.parent))
        self.plane.append(NO_PLANE)
        self.order.append(0)
        self.rays.append(0)
        return self.parent[-1]

    def count(
        self, chain: npt.NDArray[np.int64], plane: npt.NDArray[np.int64], new: set[int]
    ) -> npt.NDArray[np.int64]:
        """Note rays that are reflected in `plane` after `chain`; the chains they now follow."""
        codes, keys = pd.factorize(chain * self.planes + plane)
        rays = np.bincount(codes, minlength=len(keys))
        found = np.empty(len(keys), dtype=np.int64)
        for i, (key, count) in enumerate(zip(keys.tolist(), rays.tolist(), strict=True)):
            known = self._index.get(key)
            if known is None:
                known = len(self.parent)
                before = key // self.planes
                self._index[key] = known
                self.parent.append(before)
                self.plane.append(key % self.planes)
                self.order.append(self.order[before] + 1)
                self.rays.append(0)
                new.add(known)
            self.rays[known] += count
            found[i] = known
        return found[codes]


def follow(
    mirrors: Mirrors,
    origin: mi.Point3f,
    directions: npt.NDArray[np.floating],
    chain: npt.NDArray[np.int64],
    max_depth: int,
    refraction: bool,
    tree: ChainTree,
    new: set[int],
) -> None:
    """Follow rays both ways through every surface they meet, and note the chains in `tree`.

    Args:
        mirrors: the scene.
        origin: of each ray, or of all [m].
        directions: (n, 3) unit vectors.
        chain: (n,) the chains that the rays follow so far.
        max_depth: interactions at most.
        refraction: whether rays go through surfaces as well.
        tree: the chains; receives what the rays find.
        new: receives the chains that were not known before.
    """
    direction = vectors(directions)
    for depth in range(1, max_depth + 1):
        hit = mirrors.first_hit(mi.Ray3f(origin, direction))
        dr.eval(hit.found, hit.plane, hit.point)
        # A ray that meets the mirror it has just left slipped through its grain.
        last = integers(np.array(tree.plane, dtype=np.uint32)[chain])
        kept = mi.UInt(dr.compress(hit.found & (hit.plane != last)))
        if dr.width(kept) == 0:
            return
        plane = dr.gather(mi.UInt, hit.plane, kept)
        chain = chain[np.array(kept)]
        reflected = tree.count(chain, np.array(plane).astype(np.int64), new)
        if depth == max_depth:
            return
        normal, _ = mirrors.plane(plane)
        point = dr.gather(mi.Point3f, hit.point, kept)
        onward = dr.gather(mi.Vector3f, direction, kept)
        back = onward - 2.0 * dr.dot(onward, normal) * normal
        origin, direction = move_off(point, normal, back), back
        if refraction:
            origin = _both(origin, move_off(point, normal, onward))
            direction = _both(back, onward)
            chain = np.concatenate([reflected, chain])
        else:
            chain = reflected
        dr.eval(origin, direction)


def _both(first: _Vector, second: _Vector) -> _Vector:
    return type(first)(*[dr.concat([getattr(first, c), getattr(second, c)]) for c in "xyz"])
