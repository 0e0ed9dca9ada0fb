"""Path engines on any Sionna scene: chains of mirrors, and Sionna's own solver beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.errors import TraceError
from twin.trace import backend
from twin.trace.chains import Chains, Search
from twin.trace.diffracted import EdgeTracker, edge_images
from twin.trace.edges import EdgeChains, Edges, find_edges
from twin.trace.engine import TraceSettings
from twin.trace.fields import transfer
from twin.trace.memory import in_batches
from twin.trace.mirrors import Mirrors, to_device
from twin.trace.paths import TRANSMISSION, PathList, PathTable, join, joined, tabulate
from twin.trace.ports import Antenna, angles, finished, vertical_isotropic
from twin.trace.reuse import ChainMemory
from twin.trace.specular import Tracker, images
from twin.trace.stock import stock_paths
from twin.units import SPEED_OF_LIGHT_M_PER_S, wavelength_m

backend.prepare()

from sionna import rt  # noqa: E402

# Working memory of a pair of chain and receiver in the arithmetic, and of a path with its fields
# (besides, and for each interaction) [bytes].
_PAIR_BYTES = 24
_PATH_BYTES, _INTERACTION_BYTES = 600, 150
# Of a diffuse path from Sionna's tensors to the table.
_DIFFUSE_BYTES = 400
# More at once is no faster.
_MOST_PAIRS, _MOST_PATHS = 1 << 23, 1 << 18
_MOST_RECEIVERS = 1 << 14
# Of Sionna's search, whose paths are kept in full until they are cut to the strongest.
_STOCK_RECEIVERS = 256

_MEMORY = ChainMemory(capacity=256)


@dataclass(frozen=True)
class Solution:
    """Paths and how they were searched.

    Args:
        table: the paths.
        chains: of each transmitter; none where Sionna searched.
        edge_chains: of each transmitter; none unless diffraction was asked for.
    """

    table: PathTable
    chains: tuple[Chains, ...] = ()
    edge_chains: tuple[EdgeChains, ...] = ()


def solve_chains(
    built: rt.Scene,
    transmitters: npt.NDArray[np.float64],
    points: npt.NDArray[np.float64],
    settings: TraceSettings,
    antennas: Sequence[Antenna] = (),
) -> Solution:
    """Paths from transmitters (a, 3) to points (n, 3) [m] by chains of mirrors.

    Args:
        built: the scene.
        transmitters: (a, 3) [m].
        points: (n, 3) [m].
        settings: what to search for, and how.
        antennas: of the transmitters; isotropic and vertical where none are given.

    Raises:
        TraceError: the memory allowed does not hold a single receiver's candidates.
    """
    mirrors = Mirrors(built)
    edges = find_edges(mirrors) if settings.diffraction else None
    tables, found, bent = [], [], []
    for place, antenna in zip(
        transmitters, antennas or [vertical_isotropic()] * len(transmitters), strict=True
    ):
        known = tracked(mirrors, edges, place, settings)
        found.append(known.chains)
        if known.edge_chains is not None:
            bent.append(known.edge_chains)
        tables.append(_Link(built, place, antenna, known.parts, settings).solve(points))
    return Solution(join(tables, axis=1), tuple(found), tuple(bent))


@dataclass(frozen=True)
class Tracked:
    """The chains of one transmitter, `edge_chains` where edges were asked for, and trackers."""

    chains: Chains
    edge_chains: EdgeChains | None
    parts: list[_Part]


def tracked(
    mirrors: Mirrors,
    edges: Edges | None,
    transmitter: npt.NDArray[np.float64],
    settings: TraceSettings,
) -> Tracked:
    """Chains from a transmitter (3,) [m], searched only if they are not known, and who tracks them.

    Args:
        mirrors: the scene.
        edges: of the scene; none where no path may bend.
        transmitter: (3,) [m].
        settings: what to search for, and how.
    """
    search = Search(
        max_depth=settings.max_depth,
        refraction=settings.refraction,
        rays=settings.rays_per_round,
        undiscovered_share=settings.undiscovered_share,
        max_rounds=settings.max_rounds,
        seed=settings.seed,
    )
    chains = _MEMORY.chains(mirrors, transmitter, search)
    parts = _reflected(mirrors, transmitter, chains, settings)
    if edges is None:
        return Tracked(chains, None, parts)
    over_edges = _MEMORY.edge_chains(mirrors, edges, transmitter, chains, search)
    parts += _diffracted(mirrors, edges, transmitter, chains, over_edges, settings)
    return Tracked(chains, over_edges, parts)


@dataclass(frozen=True)
class _Part:
    """Chains that are tracked together, and which of them (m,) were seen once."""

    tracker: Tracker | EdgeTracker
    seen_once: npt.NDArray[np.bool_]


def _reflected(
    mirrors: Mirrors,
    transmitter: npt.NDArray[np.float64],
    chains: Chains,
    settings: TraceSettings,
) -> list[_Part]:
    return [
        _Part(
            Tracker(mirrors, transmitter, group, settings.max_depth, settings.refraction),
            chains.seen_once[group.chains],
        )
        for group in images(chains, mirrors.planes, transmitter)
    ]


def _diffracted(
    mirrors: Mirrors,
    edges: Edges,
    transmitter: npt.NDArray[np.float64],
    chains: Chains,
    found: EdgeChains,
    settings: TraceSettings,
) -> list[_Part]:
    parts = []
    for members in found.groups(chains):
        group = edge_images(members, found, chains, edges, mirrors.planes, transmitter)
        tracker = EdgeTracker(
            mirrors, edges, transmitter, group, settings.max_depth, settings.refraction
        )
        parts.append(_Part(tracker, found.seen_once[members]))
    return parts


class _Link:
    """One transmitter's paths to receivers, some receivers at a time."""

    def __init__(
        self,
        built: rt.Scene,
        transmitter: npt.NDArray[np.float64],
        antenna: Antenna,
        parts: Sequence[_Part],
        settings: TraceSettings,
    ) -> None:
        self._built, self._parts, self._settings = built, parts, settings
        self._transmitter, self._antenna = transmitter, antenna
        self._frequency_hz = float(np.ravel(np.array(built.frequency))[0])

    def solve(self, points: npt.NDArray[np.float64]) -> PathTable:
        receivers, paths = self._sizes()

        def table(batch: npt.NDArray[np.float64]) -> PathTable:
            found = [found for part in self._parts for found in self._track(part, batch, paths)]
            if self._settings.diffuse:
                found.append(
                    stock_paths(
                        self._built,
                        self._transmitter[None],
                        batch,
                        self._settings,
                        [self._antenna],
                        diffuse_only=True,
                    )
                )
            return tabulate(joined(found), len(batch), 1, self._settings.max_paths)

        return in_batches(table, points, receivers)

    def _sizes(self) -> tuple[int, int]:
        """Receivers and paths at once that the memory allows."""
        budget = self._settings.memory_gib * 2**30
        largest = max(len(part.tracker) for part in self._parts)
        allowed = int(budget / 2 / _PAIR_BYTES)
        each = _PATH_BYTES + _INTERACTION_BYTES * (self._settings.max_depth + 1)
        if allowed < largest:
            raise TraceError(
                f"{largest} chains of interactions need {largest * _PAIR_BYTES * 2 / 2**30:.2f} "
                f"GiB for one receiver, memory_gib allows {self._settings.memory_gib:g}: raise it, "
                "or lower max_depth"
            )
        receivers = min(allowed, max(_MOST_PAIRS, largest)) // largest
        if self._settings.diffuse:
            receivers = min(
                receivers, _with_diffuse(self._settings, self._settings.diffuse_samples)
            )
        return (
            min(receivers, _MOST_RECEIVERS),
            max(min(int(budget / 4 / each), _MOST_PATHS), 1),
        )

    def _track(
        self, part: _Part, points: npt.NDArray[np.float64], paths_at_once: int
    ) -> Iterator[PathList]:
        tracker = part.tracker
        receivers, source = to_device(points), to_device(self._transmitter[None])
        possible = tracker.possible(receivers)
        for start in range(0, len(possible), 4 * paths_at_once):
            some = possible.part(start, 4 * paths_at_once)
            valid = some.where(tracker.valid(some, receivers))
            for first in range(0, len(valid), paths_at_once):
                pairs = valid.part(first, paths_at_once)
                buffer, crossings = tracker.paths(pairs, receivers)
                amplitude = transfer(
                    buffer,
                    source,
                    receivers,
                    wavelength_m(self._frequency_hz),
                    diffraction=tracker.diffracts,
                )
                chain, point = (
                    np.array(index).astype(np.int64) for index in (pairs.chain, pairs.receiver)
                )
                ways = tracker.ways(chain, points[point])
                aoa_azimuth, aoa_zenith = angles(-ways.arriving)
                aod_azimuth, aod_zenith = angles(ways.leaving)
                through = np.where(np.array(crossings) > 0, TRANSMISSION, 0)
                listed = PathList(
                    point=point,
                    access_point=np.zeros_like(point),
                    gain=np.zeros(len(point), dtype=np.complex64),
                    transfer=amplitude,
                    delay_s=ways.length_m / SPEED_OF_LIGHT_M_PER_S,
                    aoa_azimuth=aoa_azimuth,
                    aoa_zenith=aoa_zenith,
                    aod_azimuth=aod_azimuth,
                    aod_zenith=aod_zenith,
                    interactions=(through | tracker.kinds).astype(np.int32),
                    seen_once=part.seen_once[chain],
                )
                yield finished(listed, self._frequency_hz, [self._antenna])


def _with_diffuse(settings: TraceSettings, samples: int) -> int:
    """Receivers at once whose diffuse paths, one a ray and surface at most, the memory allows."""
    each = _DIFFUSE_BYTES * samples * max(settings.max_depth, 1)
    return max(int(settings.memory_gib * 2**30 / 4 / each), 1)


def solve_stock(
    built: rt.Scene,
    transmitters: npt.NDArray[np.float64],
    points: npt.NDArray[np.float64],
    settings: TraceSettings,
    antennas: Sequence[Antenna] = (),
) -> Solution:
    """Paths from transmitters (a, 3) to points (n, 3) [m] by Sionna's solver, few at a time.

    Args:
        built: the scene.
        transmitters: (a, 3) [m].
        points: (n, 3) [m].
        settings: what to search for, and how.
        antennas: of the transmitters; isotropic and vertical where none are given.

    Raises:
        TraceError: Sionna has no room for all candidates.
    """
    antennas = antennas or [vertical_isotropic()] * len(transmitters)

    def table(batch: npt.NDArray[np.float64]) -> PathTable:
        found = stock_paths(built, transmitters, batch, settings, antennas)
        return tabulate(found, len(batch), len(transmitters), settings.max_paths)

    size = _STOCK_RECEIVERS
    if settings.diffuse:
        size = min(size, _with_diffuse(settings, settings.stock_samples))
    return Solution(in_batches(table, points, size))
