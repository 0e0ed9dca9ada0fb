"""Chains kept while the geometry stays."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from twin.trace.chains import Chains, Search, discover
from twin.trace.edges import EdgeChains, Edges, discover_edges
from twin.trace.mirrors import Mirrors

_Key = tuple[str, bytes, Search]


@dataclass
class ChainMemory:
    """The chains of the transmitters traced last.

    Chains depend on the triangles, the transmitter's place and the search, on nothing else. So
    they serve other receivers, antennas, frequencies and materials, and a changed triangle
    forgets them.

    Args:
        capacity: searches kept.
    """

    capacity: int
    _kept: OrderedDict[_Key, Chains] = field(default_factory=OrderedDict, init=False)
    _over_edges: OrderedDict[_Key, EdgeChains] = field(default_factory=OrderedDict, init=False)

    def chains(
        self, mirrors: Mirrors, transmitter: npt.NDArray[np.float64], search: Search
    ) -> Chains:
        """Chains of a transmitter (3,) [m], searched only if they are not known."""
        return _recall(
            self._kept,
            self.capacity,
            _key(mirrors, transmitter, search),
            lambda: discover(mirrors, transmitter, search),
        )

    def edge_chains(
        self,
        mirrors: Mirrors,
        edges: Edges,
        transmitter: npt.NDArray[np.float64],
        chains: Chains,
        search: Search,
    ) -> EdgeChains:
        """Chains with one diffraction, likewise; `chains` are those of `chains()`."""
        return _recall(
            self._over_edges,
            self.capacity,
            _key(mirrors, transmitter, search, edges.digest),
            lambda: discover_edges(mirrors, edges, transmitter, chains, search),
        )


def _key(
    mirrors: Mirrors, transmitter: npt.NDArray[np.float64], search: Search, edges: str = ""
) -> _Key:
    place = np.asarray(transmitter, dtype="<f8").tobytes()
    return mirrors.planes.digest + edges, place, search


_Found = TypeVar("_Found")


def _recall(
    kept: OrderedDict[_Key, _Found], capacity: int, key: _Key, search: Callable[[], _Found]
) -> _Found:
    known = kept.pop(key, None)
    if known is None:
        known = search()
    kept[key] = known
    while len(kept) > capacity:
        kept.popitem(last=False)
    return known
