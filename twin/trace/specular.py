"""Paths of reflections and transmissions from chains: pruned by arithmetic, decided by rays.

For a chain the transmitter is mirrored through its planes once. From a receiver, the line to the
last image meets the last plane in the reflection point, from there the line to the image before it
meets the plane before, and so on: the image method. A pair of chain and receiver is kept only
where each of these points lies in the box around the triangles of its plane and between its ends;
that takes no rays. Rays then walk the kept pairs from the receiver to the transmitter
(`twin.trace.walk`). A surface in the way is crossed, which costs an interaction, and a mirror has
to be met where the line leads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.trace import backend
from twin.trace.chains import Chains
from twin.trace.mirrors import Mirrors, height, integers, to_device
from twin.trace.paths import REFLECTION
from twin.trace.surfaces import Planes
from twin.trace.walk import End, Mirror, Step, as_buffer, walk

backend.prepare()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
from sionna.rt.path_solvers.paths_buffer import PathsBuffer  # noqa: E402


@dataclass(frozen=True)
class Images:
    """All chains of one order, with the transmitter's images in them.

    Args:
        chains: (m,) index into `Chains`.
        planes: (m, order), from the first reflection to the last.
        images: (m, order, 3) [m], image after each reflection.
    """

    chains: npt.NDArray[np.int64]
    planes: npt.NDArray[np.int64]
    images: npt.NDArray[np.float64]

    @property
    def order(self) -> int:
        """Reflections."""
        return int(self.planes.shape[1])

    def __len__(self) -> int:
        return len(self.chains)


def images(chains: Chains, planes: Planes, transmitter: npt.NDArray[np.float64]) -> list[Images]:
    """Images of a transmitter (3,) [m] in its chains, one entry for each order from zero."""
    image = np.tile(transmitter, (len(chains), 1))
    groups = []
    for order in range(int(chains.order.max()) + 1):
        members, prefixes = chains.of_order(order)
        if order:
            image[members] = planes.mirror(image[chains.parent[members]], chains.plane[members])
        groups.append(Images(members, chains.plane[prefixes], image[prefixes]))
    return groups


@dataclass(frozen=True)
class Ways:
    """Paths as lines, in double precision.

    Args:
        length_m: (m,).
        leaving, arriving: (m, 3) unit vectors of propagation at the transmitter and the receiver.
    """

    length_m: npt.NDArray[np.float64]
    leaving: npt.NDArray[np.float64]
    arriving: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """Pairs of a chain (index into an `Images`) and a receiver, on the tracing device."""

    chain: mi.UInt
    receiver: mi.UInt

    @classmethod
    def every(cls, chains: int, receivers: int) -> Pairs:
        """Each chain with each receiver."""
        number = dr.opaque(mi.UInt, receivers)
        place = dr.arange(mi.UInt, chains * receivers)
        chain = place // number
        return cls(chain, place - chain * number)

    def __len__(self) -> int:
        return int(dr.width(self.chain))

    def part(self, start: int, size: int) -> Pairs:
        """Up to `size` pairs from `start`."""
        place = dr.arange(mi.UInt, min(size, len(self) - start)) + dr.opaque(mi.UInt, start)
        return self._at(place)

    def where(self, mask: mi.Bool) -> Pairs:
        """Those pairs for which `mask` is set."""
        return self._at(mi.UInt(dr.compress(mask)))

    def _at(self, place: mi.UInt) -> Pairs:
        return Pairs(
            dr.gather(mi.UInt, self.chain, place), dr.gather(mi.UInt, self.receiver, place)
        )


class Tracker:
    """Finds the paths of one order of chains, and tells their lengths and directions.

    Args:
        mirrors: the scene.
        transmitter: (3,) [m].
        group: the chains.
        max_depth: interactions at most.
        refraction: whether surfaces may be crossed.
    """

    def __init__(
        self,
        mirrors: Mirrors,
        transmitter: npt.NDArray[np.float64],
        group: Images,
        max_depth: int,
        refraction: bool,
    ) -> None:
        self._mirrors = mirrors
        self._from = transmitter[None]
        self._transmitter = to_device(self._from)
        self.group = group
        self._order = group.order
        self._count = len(group)
        self._crossings = max_depth - group.order if refraction else 0
        self._max_depth = max_depth
        self._planes = [integers(group.planes[:, i]) for i in range(group.order)]
        self._images = [to_device(group.images[:, i]) for i in range(group.order)]

    diffracts = False

    @property
    def kinds(self) -> int:
        """Interactions of all paths, crossings left out; see `twin.trace.paths.PathTable`."""
        return REFLECTION if self._order else 0

    def __len__(self) -> int:
        return self._count

    def possible(self, receivers: mi.Point3f) -> Pairs:
        """Pairs of a chain and one of the receivers that arithmetic does not rule out."""
        pairs = Pairs.every(self._count, dr.width(receivers))
        for reflections in range(1, self._order + 1):
            inside = self._inside(pairs, receivers, reflections)
            dr.eval(inside)
            pairs = pairs.where(inside)
            if len(pairs) == 0:
                break
        return pairs

    def _inside(self, pairs: Pairs, receivers: mi.Point3f, reflections: int) -> mi.Bool:
        """Whether the last so many reflection points lie on their planes' triangles, roughly."""
        point = dr.gather(mi.Point3f, receivers, pairs.receiver)
        inside = mi.Bool(True)
        for place in range(self._order - 1, self._order - 1 - reflections, -1):
            plane = dr.gather(mi.UInt, self._planes[place], pairs.chain)
            image = dr.gather(mi.Point3f, self._images[place], pairs.chain)
            normal, offset = self._mirrors.plane(plane)
            here, there = height(point, normal, offset), height(image, normal, offset)
            inside &= here * there < 0.0
            point = point + here / (here - there) * (image - point)  # type: ignore[operator]
            inside &= self._mirrors.inside_box(plane, point, inside)
        return inside

    def valid(self, pairs: Pairs, receivers: mi.Point3f) -> mi.Bool:
        """Whether rays get through; every pair on its own."""
        arrived, _ = self._walk(pairs, receivers)
        dr.eval(arrived)
        return arrived

    def paths(self, pairs: Pairs, receivers: mi.Point3f) -> tuple[PathsBuffer, mi.UInt]:
        """Paths of valid pairs in Sionna's form, and how many surfaces each crosses.

        The transmitter is source 0, receivers are targets as numbered in `receivers`.
        """
        arrived, steps = self._walk(pairs, receivers)
        start = dr.gather(mi.Point3f, receivers, pairs.receiver)
        return as_buffer(arrived, steps, start, pairs.receiver, self._max_depth)

    def _walk(self, pairs: Pairs, receivers: mi.Point3f) -> tuple[mi.Bool, list[Step]]:
        stations = [
            Mirror(
                dr.gather(mi.Point3f, self._images[place], pairs.chain),
                dr.gather(mi.UInt, self._planes[place], pairs.chain),
            )
            for place in range(self._order - 1, -1, -1)
        ]
        start = dr.gather(mi.Point3f, receivers, pairs.receiver)
        return walk(self._mirrors, start, [*stations, End(self._transmitter)], self._crossings)

    def ways(self, chain: npt.NDArray[np.int64], points: npt.NDArray[np.float64]) -> Ways:
        """Paths over chains (m,) of the group to points (m, 3) [m]."""
        group, normals = self.group, self._mirrors.planes.normal
        seen_from = group.images[chain, -1] if group.order else self._from
        way = points - seen_from
        length = np.linalg.norm(way, axis=1)
        arriving = way / length[:, None]
        return Ways(length, mirrored_back(arriving, normals[group.planes[chain]]), arriving)


def mirrored_back(
    directions: npt.NDArray[np.float64], normals: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Directions (m, 3) before reflections with normals (m, k, 3), from the first to the last."""
    for place in range(normals.shape[1] - 1, -1, -1):
        normal = normals[:, place]
        directions = directions - 2.0 * np.sum(directions * normal, axis=1)[:, None] * normal
    return directions
