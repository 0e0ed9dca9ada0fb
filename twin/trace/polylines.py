"""Corner points of paths, for drawings.

A trace keeps no corners: at a million links they would outweigh all else. Here the chains that the
trace found, which are still known, are walked once more to a few points, and each path of the trace
is given the corners of the walk that leaves, arrives and takes time as it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from twin.errors import Fault, TraceError, refuse
from twin.scene.declaration import Scene
from twin.scene.path_lines import PathLines
from twin.trace.engine import TraceSettings, trace
from twin.trace.paths import TRANSMISSION
from twin.units import SPEED_OF_LIGHT_M_PER_S, db
from twin.waves import direction

if TYPE_CHECKING:
    from twin.scene.radio import AccessPoint
    from twin.trace.diffracted import EdgeTracker
    from twin.trace.edges import Edges
    from twin.trace.mirrors import Mirrors
    from twin.trace.specular import Tracker
    from twin.trace.surfaces import Planes

MOST_POINTS = 2000
# Of a walk from the path it is taken for: its delay in metres plus its directions in radians.
# Angles are stored in single precision; neighbouring walks differ by far more.
_TOLERANCE = 1e-5
_MOST_PAIRS = 1 << 22

_Floats = npt.NDArray[np.float64]


def path_lines(
    scene: Scene,
    settings: TraceSettings,
    points: npt.ArrayLike,
    numbers: npt.ArrayLike | None = None,
) -> PathLines:
    """Trace a scene to a few points (n, 3) [m] and give the corners of every path.

    A line is as long as light goes in `delay_s`, but for 1e-6 m where it bends twice in the corner
    of two surfaces. Where it crosses a surface, its corner has the precision of the ray tracer's
    single floats; a millimetre beside an edge that it bends around.

    Args:
        scene: one that has passed `twin.scene.check`.
        settings: how paths are searched.
        points: (n, 3) [m].
        numbers: (n,) of the points among `twin.scene.receivers.receiver_points`; from 0 on where
            they are not given.

    Raises:
        InputError: more than `MOST_POINTS` points, other than one number a point, or diffuse paths
            are asked for, whose corners are not kept; and what `twin.trace.engine.trace` refuses.
        TraceError: the engine could not give a complete result.
    """
    places = np.asarray(points, dtype=np.float64)
    called = np.arange(len(places)) if numbers is None else np.asarray(numbers, dtype=np.int64)
    faults = []
    if called.shape != (len(places),):
        faults.append(
            Fault("paths", "numbers", f"{len(places)} numbers, one a point", str(called.shape))
        )
    if len(places) > MOST_POINTS:
        faults.append(Fault("paths", "points", f"at most {MOST_POINTS} points", str(len(places))))
    if settings.diffuse:
        faults.append(
            Fault("paths", "diffuse", "false: the corners of diffuse paths are not kept", "true")
        )
    refuse(faults)
    data = trace(scene, settings, places)
    walks = _walks(scene, settings, places)
    return _matched(data, walks, places, called, settings.max_depth)


class _Walks:
    """Walks from one access point, sorted by their point; w of them, k corners at most.

    Args:
        first: (n + 1,) where the walks to each point begin.
        delay_m: (w,).
        ends: (w, 6) unit vectors of propagation, leaving and arriving.
        kinds: (w, k) interactions from the access point on, 0 past the last.
        corners: (w, k, 3) [m].
    """

    def __init__(self, parts: list[tuple[npt.NDArray[np.generic], ...]], count: int) -> None:
        point, self.delay_m, self.ends, self.kinds, self.corners = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        order = np.argsort(point, kind="stable")
        self.first = np.searchsorted(point[order], np.arange(count + 1))
        self.delay_m, self.ends = self.delay_m[order], self.ends[order]
        self.kinds, self.corners = self.kinds[order], self.corners[order]
        self._bits = np.bitwise_or.reduce(self.kinds, axis=1, initial=0)

    def like(self, point: int, delay_s: float, ends: _Floats, bits: int) -> int | None:
        """The walk to a point that is a path with this delay, ends (6,) and interactions."""
        mine = slice(self.first[point], self.first[point + 1])
        off = np.abs(self.delay_m[mine] - delay_s * SPEED_OF_LIGHT_M_PER_S)
        off += np.linalg.norm(self.ends[mine] - ends, axis=1)
        off[self._bits[mine] != bits] = np.inf
        best = int(np.argmin(off)) if len(off) else 0
        return mine.start + best if len(off) and off[best] < _TOLERANCE else None


def _walks(scene: Scene, settings: TraceSettings, points: _Floats) -> list[_Walks | None]:
    """Walks from each active access point of a scene to points (n, 3)."""
    from twin.trace.build import assembled, surface_groups
    from twin.trace.edges import find_edges
    from twin.trace.mirrors import Mirrors

    # Which triangles there are, not of what, says where paths bend.
    mirrors = Mirrors(assembled(surface_groups(scene)))
    edges = find_edges(mirrors) if settings.diffraction else None
    return [
        _walks_from(ap, mirrors, edges, settings, points) if ap.active else None
        for ap in scene.access_points
    ]


def _walks_from(
    ap: AccessPoint,
    mirrors: Mirrors,
    edges: Edges | None,
    settings: TraceSettings,
    points: _Floats,
) -> _Walks:
    from twin.trace.solver import tracked

    place = np.array(ap.position_m)
    parts = [
        walk
        for part in tracked(mirrors, edges, place, settings).parts
        for walk in _tracked_to(part.tracker, mirrors, place, points, settings.max_depth)
    ]
    depth = settings.max_depth
    nowhere = (
        np.zeros(0, dtype=np.int64),
        np.zeros(0),
        np.zeros((0, 6)),
        np.zeros((0, depth), dtype=np.int8),
        np.zeros((0, depth, 3)),
    )
    return _Walks([nowhere, *parts], len(points))


def _tracked_to(
    tracker: Tracker | EdgeTracker,
    mirrors: Mirrors,
    transmitter: _Floats,
    points: _Floats,
    depth: int,
) -> Iterator[tuple[npt.NDArray[np.generic], ...]]:
    """Point, length, ends, kinds and corners of the walks that get through; see `_Walks`."""
    from twin.trace.mirrors import to_device

    size = max(_MOST_PAIRS // len(tracker), 1)
    for start in range(0, len(points), size):
        batch = points[start : start + size]
        receivers = to_device(batch)
        possible = tracker.possible(receivers)
        valid = possible.where(tracker.valid(possible, receivers))
        if len(valid) == 0:
            continue
        buffer, _ = tracker.paths(valid, receivers)
        chain, point = (np.array(index).astype(np.int64) for index in (valid.chain, valid.receiver))
        ways = tracker.ways(chain, batch[point])
        kinds = np.array(buffer.interaction_types).astype(np.int8)
        met = np.stack(
            [np.array(axis) for axis in (buffer.vertices_x, buffer.vertices_y, buffer.vertices_z)],
            axis=-1,
        )
        bends = _bends(tracker, mirrors.planes, chain, batch[point])
        ends = np.broadcast_to(transmitter, batch[point].shape), batch[point]
        # Sionna keeps one place for interactions even where none are allowed.
        yield (
            point + start,
            ways.length_m,
            np.concatenate([ways.leaving, ways.arriving], axis=1),
            kinds[:, :depth],
            _corners(kinds[:, :depth], met[:, :depth].astype(np.float64), bends, *ends),
        )


def _bends(
    tracker: Tracker | EdgeTracker, planes: Planes, chain: npt.NDArray[np.int64], points: _Floats
) -> _Floats:
    """Where paths over chains (m,) to points (m, 3) [m] change their direction, (m, b, 3) [m].

    In double precision, from the access point on; rays only know these to that of single floats.
    """
    from twin.trace.specular import Tracker

    if isinstance(tracker, Tracker):
        straight = tracker.group
        back = _reflections(planes, straight.planes[chain], straight.images[chain], points)
    else:
        group = tracker.group
        origin, along = group.origin[chain], group.along[chain]
        share = _share(group.source_after[chain], points, origin[:, -1], along[:, -1])
        edge = origin + share[:, None, None] * along
        back = _reflections(planes, group.planes_after[chain], edge[:, 1:], points)
        back.append(edge[:, 0])
        back += _reflections(
            planes, group.planes_before[chain], group.images_before[chain], edge[:, 0]
        )
    return np.stack(back[::-1], axis=1) if back else np.zeros((len(points), 0, 3))


def _reflections(
    planes: Planes, index: npt.NDArray[np.int64], images: _Floats, point: _Floats
) -> list[_Floats]:
    """Points (m, 3) of reflection on the way back from points (m, 3) to a source's images.

    Args:
        planes: of the scene.
        index: (m, r), from the first reflection to the last.
        images: (m, r, 3) [m], of the source after each.
        point: (m, 3) [m], where the ways back begin.
    """
    found = []
    for place in range(index.shape[1] - 1, -1, -1):
        normal, image = planes.normal[index[:, place]], images[:, place]
        offset = planes.offset[index[:, place]]
        here, there = (np.sum(end * normal, axis=1) - offset for end in (point, image))
        point = point + (here / (here - there))[:, None] * (image - point)
        found.append(point)
    return found


def _share(source: _Floats, target: _Floats, origin: _Floats, along: _Floats) -> _Floats:
    """How far along edges (m, 3) the shortest ways from sources to targets bend, (m,) [m]."""
    at, off = [], []
    for end in (source - origin, target - origin):
        at.append(np.sum(end * along, axis=1))
        off.append(np.linalg.norm(end - at[-1][:, None] * along, axis=1))
    return np.asarray((at[0] * off[1] + at[1] * off[0]) / (off[0] + off[1]))


def _corners(
    kinds: npt.NDArray[np.int8], met: _Floats, bends: _Floats, start: _Floats, end: _Floats
) -> _Floats:
    """Corners (m, k, 3) [m] of paths: bends as they are, crossings on the straight between them.

    Args:
        kinds: (m, k) of interactions, 0 past the last.
        met: (m, k, 3) [m], where rays met surfaces; undefined past the last.
        bends: (m, b, 3) [m], see `_bends`.
        start: (m, 3) [m], access point.
        end: (m, 3) [m], receiver.
    """
    stations = np.concatenate([start[:, None], bends, end[:, None]], axis=1)
    bend = (kinds != 0) & (kinds != TRANSMISSION)
    leg = np.minimum(np.cumsum(bend, axis=1) - bend, bends.shape[1])
    row = np.arange(len(kinds))[:, None]
    near, far = stations[row, leg], stations[row, leg + 1]
    straight = far - near
    share = np.sum((met - near) * straight, axis=2) / np.maximum(np.sum(straight**2, axis=2), 1e-30)
    # Two surfaces that meet are crossed in one place, and rounding may swap them.
    place = np.maximum.accumulate(np.where(bend, leg, leg + np.clip(share, 0.0, 1.0)), axis=1)
    crossing = near + (place - leg)[..., None] * straight
    corners: _Floats = np.where(bend[..., None], far, crossing)
    return corners


def _matched(
    data: xr.Dataset,
    walks: list[_Walks | None],
    points: _Floats,
    numbers: npt.NDArray[np.int64],
    depth: int,
) -> PathLines:
    """The paths of a trace with the corners of the walks they are."""
    number = data["num_paths"].to_numpy()
    link_point, link_ap, path = np.nonzero(
        np.arange(data.sizes["path"]) < number[:, :, None].astype(np.int64)
    )
    chosen = (link_point, link_ap, path)
    delay = data["delay"].to_numpy()[chosen]
    bits = data["interactions"].to_numpy()[chosen]
    leaving, arriving = (
        direction(*(data[f"{end}_{angle}"].to_numpy()[chosen] for angle in ("azimuth", "zenith")))
        for end in ("aod", "aoa")
    )
    ends = np.concatenate([leaving, -arriving], axis=1)
    interactions = np.zeros((len(path), depth), dtype=np.int8)
    corners = np.full((len(path), depth + 2, 3), np.nan)
    corners[:, 0] = data["ap_position"].to_numpy()[link_ap]
    for row, (i, j) in enumerate(zip(link_point, link_ap, strict=True)):
        found = walks[j]
        walk = None if found is None else found.like(int(i), delay[row], ends[row], bits[row])
        if found is None or walk is None:
            raise TraceError(
                f"path {path[row]} from {data['ap'].to_numpy()[j]} to point {i}: expected a walk "
                "that leaves, arrives and takes time as it does, found none"
            )
        many = int(np.count_nonzero(found.kinds[walk]))
        interactions[row] = found.kinds[walk]
        corners[row, 1 : many + 1] = found.corners[walk, :many]
        corners[row, many + 1] = points[i]
    return PathLines(
        points=points,
        numbers=numbers,
        access_points=tuple(str(name) for name in data["ap"].to_numpy()),
        point=link_point,
        access_point=link_ap,
        power_db=db(np.abs(data["path_gain"].to_numpy()[chosen]).astype(np.float64) ** 2),
        delay_s=delay,
        interactions=interactions,
        corners=corners,
    )
