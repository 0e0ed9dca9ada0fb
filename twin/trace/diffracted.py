"""Paths with one diffraction, from chains: pruned by arithmetic, decided by rays.

As `twin.trace.specular`, with an edge on the way. Seen through the mirrors after it, the edge is a
mirrored edge and the transmitter a mirrored transmitter. The point of diffraction divides the edge
so that both make the same angle with it (Keller's law, and the shortest way over the edge); from
its images the points of reflection after it follow, and from the point itself those before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.trace import backend
from twin.trace.chains import Chains
from twin.trace.edges import EdgeChains, Edges
from twin.trace.mirrors import Mirrors, height, integers, to_device, vectors
from twin.trace.paths import DIFFRACTION, REFLECTION
from twin.trace.specular import Pairs, Ways, mirrored_back
from twin.trace.surfaces import Planes
from twin.trace.walk import Edge, End, Mirror, Station, Step, as_buffer, walk

backend.prepare()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
from sionna.rt.path_solvers.paths_buffer import PathsBuffer  # noqa: E402
from sionna.rt.utils import WedgeGeometry  # noqa: E402


@dataclass(frozen=True)
class EdgeImages:
    """Chains with one diffraction, equally many reflections before (b) and after (a) the edge.

    Args:
        chains: (m,) index into `EdgeChains`.
        edge: (m,) index into `Edges`.
        planes_before, images_before: (m, b), (m, b, 3): as in `twin.trace.specular.Images`.
        source: (m, 3) [m], the transmitter's image that the edge sees.
        planes_after: (m, a).
        origin, along: (m, a + 1, 3): one end of the edge and its direction, as it is and after each
            reflection.
        source_after: (m, 3) [m], image of `source` in all planes after the edge.
        flipped: (m,) whether the face that the source lights is the edge's face n.
    """

    chains: npt.NDArray[np.int64]
    edge: npt.NDArray[np.int64]
    planes_before: npt.NDArray[np.int64]
    images_before: npt.NDArray[np.float64]
    source: npt.NDArray[np.float64]
    planes_after: npt.NDArray[np.int64]
    origin: npt.NDArray[np.float64]
    along: npt.NDArray[np.float64]
    source_after: npt.NDArray[np.float64]
    flipped: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.chains)


def edge_images(
    members: npt.NDArray[np.int64],
    found: EdgeChains,
    chains: Chains,
    edges: Edges,
    planes: Planes,
    transmitter: npt.NDArray[np.float64],
) -> EdgeImages:
    """Images in the chains `members` (m,), one of `EdgeChains.groups`."""
    before = _planes(found.before[members], chains.parent, chains.plane, chains.order)
    after = _planes(members, found.parent, found.plane, found.order)
    image = np.tile(transmitter, (len(members), 1))
    images = []
    for plane in before.T:
        image = planes.mirror(image, plane)
        images.append(image)
    edge = found.edge[members]
    source = image
    origin, tip = [edges.origin[edge]], edges.origin[edge] + edges.along[edge]
    along = [edges.along[edge]]
    for plane in after.T:
        image, tip = planes.mirror(image, plane), planes.mirror(tip, plane)
        origin.append(planes.mirror(origin[-1], plane))
        along.append(tip - origin[-1])
    lit = np.sum((source - edges.origin[edge]) * edges.normal[edge, 0], axis=1) > 0.0
    return EdgeImages(
        chains=members,
        edge=edge,
        planes_before=before,
        images_before=np.stack([np.zeros((len(members), 3)), *images], axis=1)[:, 1:],
        source=source,
        planes_after=after,
        origin=np.stack(origin, axis=1),
        along=np.stack(along, axis=1),
        source_after=image,
        flipped=~lit,
    )


def _planes(
    chain: npt.NDArray[np.int64],
    parent: npt.NDArray[np.int64],
    plane: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Planes (m, k) from the first reflection to the last of chains (m,) with k reflections."""
    columns: list[npt.NDArray[np.int64]] = []
    for _ in range(int(order[chain[0]])):
        columns.insert(0, plane[chain])
        chain = parent[chain]
    return np.stack(columns, axis=1) if columns else np.zeros((len(chain), 0), dtype=np.int64)


class EdgeTracker:
    """Finds the paths of one group of chains with a diffraction.

    As `twin.trace.specular.Tracker`, which describes what both can do.
    """

    def __init__(
        self,
        mirrors: Mirrors,
        edges: Edges,
        transmitter: npt.NDArray[np.float64],
        group: EdgeImages,
        max_depth: int,
        refraction: bool,
    ) -> None:
        self._mirrors, self._edges = mirrors, edges
        self._transmitter = to_device(transmitter[None])
        self.group = group
        self._count = len(group)
        self._before, self._after = group.planes_before.shape[1], group.planes_after.shape[1]
        self._max_depth = max_depth
        self._crossings = max_depth - 1 - self._before - self._after if refraction else 0
        self._planes_before = [integers(plane) for plane in group.planes_before.T]
        self._images_before = [to_device(group.images_before[:, i]) for i in range(self._before)]
        self._planes_after = [integers(plane) for plane in group.planes_after.T]
        self._origin = [to_device(group.origin[:, i]) for i in range(self._after + 1)]
        self._along = [vectors(group.along[:, i]) for i in range(self._after + 1)]
        self._source_after = to_device(group.source_after)
        self._edge = integers(group.edge)
        self._flipped = mi.Bool(group.flipped)
        self._off = vectors(edges.off(group.edge))

    diffracts = True

    @property
    def kinds(self) -> int:
        """See `twin.trace.specular.Tracker.kinds`."""
        return DIFFRACTION | (REFLECTION if self._before + self._after else 0)

    def __len__(self) -> int:
        return self._count

    def possible(self, receivers: mi.Point3f) -> Pairs:
        """See `twin.trace.specular.Tracker.possible`."""
        pairs = Pairs.every(self._count, dr.width(receivers))
        inside = self._inside(pairs, receivers)
        dr.eval(inside)
        return pairs.where(inside)

    def _inside(self, pairs: Pairs, receivers: mi.Point3f) -> mi.Bool:
        point = dr.gather(mi.Point3f, receivers, pairs.receiver)
        share = self._share(pairs, point)
        wedge = self._wedges(pairs)
        inside: mi.Bool = (share > 0.0) & (share < wedge.length)
        for index in range(self._after - 1, -1, -1):
            target = self._image(pairs, index + 1, share)
            point, meets = self._meet(self._planes_after[index], pairs, point, target)
            inside &= meets
        bend = self._image(pairs, 0, share)
        outward = point - bend
        inside &= (dr.dot(outward, wedge.n0) > 0.0) | (dr.dot(outward, wedge.nn) > 0.0)
        point = bend
        for index in range(self._before - 1, -1, -1):
            target = dr.gather(mi.Point3f, self._images_before[index], pairs.chain)
            point, meets = self._meet(self._planes_before[index], pairs, point, target)
            inside &= meets
        return inside

    def _meet(
        self, planes: mi.UInt, pairs: Pairs, point: mi.Point3f, target: mi.Point3f
    ) -> tuple[mi.Point3f, mi.Bool]:
        """Where the line to an image meets the plane, and whether that may be a reflection."""
        plane = dr.gather(mi.UInt, planes, pairs.chain)
        normal, offset = self._mirrors.plane(plane)
        here, there = height(point, normal, offset), height(target, normal, offset)
        met = point + here / (here - there) * (target - point)  # type: ignore[operator]
        return met, (here * there < 0.0) & self._mirrors.inside_box(plane, met, mi.Bool(True))

    def _share(self, pairs: Pairs, point: mi.Point3f) -> mi.Float:
        """Length along the edge [m] of the point of diffraction."""
        origin = dr.gather(mi.Point3f, self._origin[-1], pairs.chain)
        along = dr.gather(mi.Vector3f, self._along[-1], pairs.chain)
        source = mi.Vector3f(dr.gather(mi.Point3f, self._source_after, pairs.chain) - origin)
        target = mi.Vector3f(point - origin)
        source_at, target_at = dr.dot(source, along), dr.dot(target, along)
        source_off = dr.norm(source - source_at * along)
        target_off = dr.norm(target - target_at * along)
        share = (source_at * target_off + target_at * source_off) / (source_off + target_off)
        return mi.Float(share)

    def _image(self, pairs: Pairs, reflections: int, share: mi.Float) -> mi.Point3f:
        """The point of diffraction after so many reflections."""
        origin = dr.gather(mi.Point3f, self._origin[reflections], pairs.chain)
        along = dr.gather(mi.Vector3f, self._along[reflections], pairs.chain)
        image: mi.Point3f = origin + share * along  # type: ignore[operator]
        return image

    def _wedges(self, pairs: Pairs) -> WedgeGeometry:
        edge = dr.gather(mi.UInt, self._edge, pairs.chain)
        wedge = dr.gather(WedgeGeometry, self._edges.wedge, edge)
        # Sionna's fields want the face that the source lights to be face 0.
        wedge.swap_faces(dr.gather(mi.Bool, self._flipped, pairs.chain))
        return wedge

    def valid(self, pairs: Pairs, receivers: mi.Point3f) -> mi.Bool:
        """See `twin.trace.specular.Tracker.valid`."""
        arrived, _ = self._walk(pairs, receivers, self._wedges(pairs))
        dr.eval(arrived)
        return arrived

    def paths(self, pairs: Pairs, receivers: mi.Point3f) -> tuple[PathsBuffer, mi.UInt]:
        """See `twin.trace.specular.Tracker.paths`."""
        wedges = self._wedges(pairs)
        dr.eval(wedges)
        arrived, steps = self._walk(pairs, receivers, wedges)
        start = dr.gather(mi.Point3f, receivers, pairs.receiver)
        return as_buffer(arrived, steps, start, pairs.receiver, self._max_depth, wedges)

    def _walk(
        self, pairs: Pairs, receivers: mi.Point3f, wedges: WedgeGeometry
    ) -> tuple[mi.Bool, list[Step]]:
        start = dr.gather(mi.Point3f, receivers, pairs.receiver)
        share = self._share(pairs, start)
        stations: list[Station] = [
            Mirror(
                self._image(pairs, index + 1, share),
                dr.gather(mi.UInt, self._planes_after[index], pairs.chain),
            )
            for index in range(self._after - 1, -1, -1)
        ]
        off = dr.gather(mi.Vector3f, self._off, pairs.chain)
        stations.append(Edge(self._image(pairs, 0, share), off, wedges))
        stations.extend(
            Mirror(
                dr.gather(mi.Point3f, self._images_before[index], pairs.chain),
                dr.gather(mi.UInt, self._planes_before[index], pairs.chain),
            )
            for index in range(self._before - 1, -1, -1)
        )
        return walk(self._mirrors, start, [*stations, End(self._transmitter)], self._crossings)

    def ways(self, chain: npt.NDArray[np.int64], points: npt.NDArray[np.float64]) -> Ways:
        """See `twin.trace.specular.Tracker.ways`."""
        group, normals = self.group, self._mirrors.planes.normal
        origin, along = group.origin[chain, -1], group.along[chain, -1]
        source, target = group.source_after[chain] - origin, points - origin
        source_at, target_at = (np.sum(x * along, axis=1) for x in (source, target))
        source_off = np.linalg.norm(source - source_at[:, None] * along, axis=1)
        target_off = np.linalg.norm(target - target_at[:, None] * along, axis=1)
        share = (source_at * target_off + target_at * source_off) / (source_off + target_off)
        bend = group.origin[chain, 0] + share[:, None] * group.along[chain, 0]
        first, second = bend - group.source[chain], target - share[:, None] * along
        lengths = [np.linalg.norm(part, axis=1) for part in (first, second)]
        leaving = mirrored_back(first / lengths[0][:, None], normals[group.planes_before[chain]])
        return Ways(lengths[0] + lengths[1], leaving, second / lengths[1][:, None])
