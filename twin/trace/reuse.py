"""Chains kept while the geometry stays."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from twin.trace.chains import Chains, Search, discover
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

    def chains(
        self, mirrors: Mirrors, transmitter: npt.NDArray[np.float64], search: Search
    ) -> Chains:
        """Chains of a transmitter (3,) [m], searched only if they are not known."""
        key = (mirrors.planes.digest, np.asarray(transmitter, dtype="<f8").tobytes(), search)
        known = self._kept.pop(key, None)
        if known is None:
            known = discover(mirrors, transmitter, search)
        self._kept[key] = known
        while len(self._kept) > self.capacity:
            self._kept.popitem(last=False)
        return known
