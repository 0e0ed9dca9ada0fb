"""Edges that diffract, and the chains with one diffraction that a transmitter sees.

Such a chain is a chain of reflections up to an edge, the edge, and reflections after it; crossings
follow from the receiver, as everywhere. Up to the edge, the chains of `twin.trace.chains` serve:
points on all edges stand in for receivers. From each point that is reached, rays go out over the
cone that the law of diffraction allows (Keller), and the reflections they meet are the rest. This
is done in rounds with other points and other rays, until few of a round's rays follow chains that
were not known before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.seeds import stream
from twin.trace import backend
from twin.trace.chains import Chains, Search
from twin.trace.mirrors import Mirrors, integers, to_device
from twin.trace.specular import Tracker, images
from twin.trace.tree import ChainTree, follow

backend.prepare()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
from sionna.rt.utils import WedgeGeometry, wedge_geometry  # noqa: E402

# Of rays and points of diffraction from an edge, so that its own faces are not in the way.
CLEARANCE_M = 1e-3
# In one round: points on each edge, and rays from each point.
_POINTS_ON_EDGE = 4
_RAYS_FROM_POINT = 48
_RAYS_AT_ONCE = 1 << 18
_PAIRS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Edges:
    """Edges between two faces that are not in one plane, e of them, in an order of their own.

    Args:
        wedge: Sionna's description; face 0 is one of the two.
        origin: (e, 3) [m], one end.
        along: (e, 3) unit vector to the other end.
        length: (e,) [m].
        normal: (e, 2, 3) outward unit normals of face 0 and face n.
    """

    wedge: WedgeGeometry
    origin: npt.NDArray[np.float64]
    along: npt.NDArray[np.float64]
    length: npt.NDArray[np.float64]
    normal: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.length)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the edges' geometry."""
        parts = (self.origin, self.along, self.length, self.normal)
        return hashlib.sha256(b"".join(part.astype("<f8").tobytes() for part in parts)).hexdigest()

    def off(self, edges: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """Vectors (m, 3) [m] from edges (m,) to where they are clear of their faces."""
        outward = self.normal[edges].sum(axis=1)
        size = np.linalg.norm(outward, axis=1, keepdims=True)
        off: npt.NDArray[np.float64] = CLEARANCE_M * outward / size
        return off


def find_edges(mirrors: Mirrors) -> Edges:
    """The edges of a scene. Rims of single sheets are none: Sionna leaves them out as well."""
    shape, face = mirrors.names()
    if len(shape) == 0:
        nowhere = np.zeros((0, 3))
        return Edges(dr.zeros(WedgeGeometry, 0), nowhere, nowhere, np.zeros(0), np.zeros((0, 2, 3)))
    mesh = dr.reinterpret_array(mi.MeshPtr, integers(np.repeat(shape, 3)))
    side = integers(np.tile(np.arange(3), len(shape)))
    wedge = wedge_geometry(mesh, integers(np.repeat(face, 3)), side)
    number = mi.UInt(dr.reinterpret_array(mi.UInt, wedge.shape))
    first, other = (mirrors.plane_of(number, prim) for prim in (wedge.prim0, wedge.primn))
    # Both faces name the edge: the one of the lower number counts.
    kept = (wedge.prim0 < wedge.primn) & (first != other) & (wedge.length > 0.0)
    dr.eval(wedge, kept)
    wedge = dr.gather(WedgeGeometry, wedge, mi.UInt(dr.compress(kept)))
    origin, along, normal, other_normal = (
        np.array(values).T.astype(np.float64)
        for values in (wedge.o, wedge.e_hat, wedge.n0, wedge.nn)
    )
    length = np.array(wedge.length).astype(np.float64)
    # Meshes may come in any order.
    order = np.lexsort((*other_normal.T, *normal.T, *along.T, *origin.T))
    return Edges(
        wedge=dr.gather(WedgeGeometry, wedge, integers(order)),
        origin=origin[order],
        along=along[order],
        length=length[order],
        normal=np.stack([normal, other_normal], axis=1)[order],
    )


@dataclass(frozen=True)
class EdgeChains:
    """The chains with one diffraction of a transmitter.

    Args:
        before: (c,) chain up to the edge, an index into `Chains`.
        edge: (c,) index into `Edges`.
        parent, plane, order: (c,) as in `Chains`, reflections after the edge only.
        rays: (c,) rays that followed a chain, over all rounds.
        new_share: (rounds,) share of each round's rays on chains that were new in it.
    """

    before: npt.NDArray[np.int64]
    edge: npt.NDArray[np.int64]
    parent: npt.NDArray[np.int64]
    plane: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    rays: npt.NDArray[np.int64]
    new_share: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.edge)

    @property
    def seen_once(self) -> npt.NDArray[np.bool_]:
        """See `twin.trace.chains.Chains`."""
        once: npt.NDArray[np.bool_] = self.rays == 1
        return once

    def groups(self, chains: Chains) -> Iterator[npt.NDArray[np.int64]]:
        """Chains (m,) with equally many reflections, before and after the edge alike."""
        kind = np.stack([chains.order[self.before], self.order], axis=1)
        for pair in np.unique(kind, axis=0):
            yield np.nonzero((kind == pair).all(axis=1))[0]


def discover_edges(
    mirrors: Mirrors,
    edges: Edges,
    transmitter: npt.NDArray[np.float64],
    chains: Chains,
    search: Search,
) -> EdgeChains:
    """Chains with one diffraction of a transmitter (3,) [m] whose other chains are known."""
    tree = ChainTree(len(mirrors.planes))
    roots: dict[tuple[int, int], int] = {}
    shares: list[float] = []
    while search.max_depth > 0 and len(edges):
        before = sum(tree.rays)
        new: set[int] = set()
        _round(mirrors, edges, transmitter, chains, search, len(shares), tree, roots, new)
        total = sum(tree.rays) - before
        shares.append(sum(tree.rays[chain] for chain in new) / total if total else 0.0)
        if search.ends(shares, "diffraction"):
            break
    root_of = {node: root for root, node in roots.items()}
    start: list[tuple[int, int]] = []
    for node, parent in enumerate(tree.parent):
        start.append(root_of[node] if node in root_of else start[parent])
    ends = np.array(start, dtype=np.int64).reshape(-1, 2)
    return EdgeChains(
        before=ends[:, 0],
        edge=ends[:, 1],
        parent=np.array(tree.parent, dtype=np.int64),
        plane=np.array(tree.plane, dtype=np.int64),
        order=np.array(tree.order, dtype=np.int64),
        rays=np.array(tree.rays, dtype=np.int64),
        new_share=tuple(shares),
    )


def _round(
    mirrors: Mirrors,
    edges: Edges,
    transmitter: npt.NDArray[np.float64],
    chains: Chains,
    search: Search,
    number: int,
    tree: ChainTree,
    roots: dict[tuple[int, int], int],
    new: set[int],
) -> None:
    """Reach for points on all edges, and send rays on from those that are reached."""
    rng = stream(search.seed, "edges", "round", number)
    edge = np.repeat(np.arange(len(edges)), _POINTS_ON_EDGE)
    place = np.tile(np.arange(_POINTS_ON_EDGE), len(edges)) + rng.random(len(edge))
    along = (place / _POINTS_ON_EDGE * edges.length[edge])[:, None] * edges.along[edge]
    points = edges.origin[edge] + along + edges.off(edge)
    for group in images(chains, mirrors.planes, transmitter)[: search.max_depth]:
        tracker = Tracker(mirrors, transmitter, group, search.max_depth - 1, search.refraction)
        size = max(_PAIRS_AT_ONCE // len(group), 1)
        for first in range(0, len(points), size):
            batch = to_device(points[first : first + size])
            pairs = tracker.possible(batch)
            pairs = pairs.where(tracker.valid(pairs, batch)) if len(pairs) else pairs
            if len(pairs) == 0:
                continue
            chain, point = np.array(pairs.chain), first + np.array(pairs.receiver)
            source = group.images[chain, -1] if group.order else transmitter[None]
            incident = points[point] - source
            incident /= np.linalg.norm(incident, axis=1, keepdims=True)
            # A face has to be lit.
            lit = (np.einsum("mx,mfx->mf", incident, edges.normal[edge[point]]) < 0.0).any(axis=1)
            chain, point, incident = chain[lit], point[lit], incident[lit]
            leg = _note_legs(group.chains[chain], edge[point], tree, roots, new)
            depth = search.max_depth - 1 - group.order
            if depth and len(leg):
                _send_on(
                    mirrors,
                    edges,
                    edge[point],
                    points[point],
                    incident,
                    leg,
                    depth,
                    search,
                    tree,
                    new,
                    rng,
                )


def _note_legs(
    chain: npt.NDArray[np.int64],
    edge: npt.NDArray[np.int64],
    tree: ChainTree,
    roots: dict[tuple[int, int], int],
    new: set[int],
) -> npt.NDArray[np.int64]:
    """The roots (m,) of ways to an edge, each counted as a ray."""
    leg = np.empty(len(chain), dtype=np.int64)
    for i, key in enumerate(zip(chain.tolist(), edge.tolist(), strict=True)):
        if key not in roots:
            roots[key] = tree.root()
            new.add(roots[key])
        leg[i] = roots[key]
        tree.rays[roots[key]] += 1
    return leg


def _send_on(
    mirrors: Mirrors,
    edges: Edges,
    edge: npt.NDArray[np.int64],
    point: npt.NDArray[np.float64],
    incident: npt.NDArray[np.float64],
    leg: npt.NDArray[np.int64],
    max_depth: int,
    search: Search,
    tree: ChainTree,
    new: set[int],
    rng: np.random.Generator,
) -> None:
    """Follow rays over the cones of diffraction at points (m, 3) reached from `incident` (m, 3)."""
    along = edges.along[edge]
    cosine = np.sum(incident * along, axis=1, keepdims=True)
    across = incident - cosine * along
    sine = np.linalg.norm(across, axis=1, keepdims=True)
    one = across / np.where(sine > 0.0, sine, 1.0)
    other = np.cross(along, one)
    turn = np.arange(_RAYS_FROM_POINT) + rng.random((len(edge), 1))
    turn = 2.0 * np.pi / _RAYS_FROM_POINT * turn[..., None]
    direction = cosine[:, None] * along[:, None] + sine[:, None] * (
        np.cos(turn) * one[:, None] + np.sin(turn) * other[:, None]
    )
    outside = (np.einsum("mrx,mfx->mrf", direction, edges.normal[edge]) > 0.0).any(axis=2)
    place, ray = np.nonzero(outside)
    for start in range(0, len(place), _RAYS_AT_ONCE):
        some = place[start : start + _RAYS_AT_ONCE]
        follow(
            mirrors,
            to_device(point[some]),
            direction[some, ray[start : start + _RAYS_AT_ONCE]],
            leg[some],
            max_depth,
            search.refraction,
            tree,
            new,
        )
