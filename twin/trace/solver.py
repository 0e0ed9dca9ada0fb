"""Path engines on any Sionna scene: chains of mirrors, and Sionna's own solver beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.errors import TraceError
from twin.trace import backend
from twin.trace.chains import Chains, Search
from twin.trace.engine import TraceSettings
from twin.trace.fields import transfer
from twin.trace.memory import in_batches
from twin.trace.mirrors import Mirrors, to_device
from twin.trace.paths import REFLECTION, TRANSMISSION, PathList, PathTable, join, joined, tabulate
from twin.trace.ports import Antenna, angles, finished, vertical_isotropic
from twin.trace.reuse import ChainMemory
from twin.trace.specular import Images, Tracker, images
from twin.trace.stock import stock_paths
from twin.units import SPEED_OF_LIGHT_M_PER_S, wavelength_m

backend.prepare()

from sionna import rt  # noqa: E402

# Working memory of a pair of chain and receiver in the arithmetic, and of a path with its fields
# (besides, and for each interaction) [bytes].
_PAIR_BYTES = 24
_PATH_BYTES, _INTERACTION_BYTES = 600, 150
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
    """

    table: PathTable
    chains: tuple[Chains, ...] = ()


def solve_chains(
    built: rt.Scene,
    transmitters: npt.NDArray[np.float64],
    points: npt.NDArray[np.float64],
    settings: TraceSettings,
    antennas: Sequence[Antenna] = (),
) -> Solution:
    """Paths from transmitters (a, 3) to points (n, 3) [m] by chains of mirrors.

    Args:
        antennas: of the transmitters; isotropic and vertical where none are given.

    Raises:
        TraceError: the memory allowed does not hold a single receiver's candidates.
    """
    mirrors = Mirrors(built)
    antennas = antennas or [vertical_isotropic()] * len(transmitters)
    tables, found = [], []
    for place, antenna in zip(transmitters, antennas, strict=True):
        search = Search(
            max_depth=settings.max_depth,
            refraction=settings.refraction,
            rays=settings.rays_per_round,
            undiscovered_share=settings.undiscovered_share,
            max_rounds=settings.max_rounds,
            seed=settings.seed,
        )
        chains = _MEMORY.chains(mirrors, place, search)
        link = _Link(built, mirrors, place, antenna, chains, settings)
        tables.append(link.solve(points))
        found.append(chains)
    return Solution(join(tables, axis=1), tuple(found))


class _Link:
    """One transmitter's paths to receivers, some receivers at a time."""

    def __init__(
        self,
        built: rt.Scene,
        mirrors: Mirrors,
        transmitter: npt.NDArray[np.float64],
        antenna: Antenna,
        chains: Chains,
        settings: TraceSettings,
    ) -> None:
        self._built, self._mirrors, self._settings = built, mirrors, settings
        self._transmitter, self._antenna, self._chains = transmitter, antenna, chains
        self._frequency_hz = float(np.ravel(np.array(built.frequency))[0])
        self._groups = images(chains, mirrors.planes, transmitter)

    def solve(self, points: npt.NDArray[np.float64]) -> PathTable:
        receivers, paths = self._sizes()
        trackers = [
            Tracker(
                self._mirrors,
                self._transmitter,
                group,
                self._settings.max_depth,
                self._settings.refraction,
            )
            for group in self._groups
        ]

        def table(batch: npt.NDArray[np.float64]) -> PathTable:
            found = [
                part
                for group, tracker in zip(self._groups, trackers, strict=True)
                for part in self._of_order(group, tracker, batch, paths)
            ]
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
        largest = max(len(group) for group in self._groups)
        pairs = min(int(budget / 2 / _PAIR_BYTES), _MOST_PAIRS)
        each = _PATH_BYTES + _INTERACTION_BYTES * (self._settings.max_depth + 1)
        if pairs < largest:
            raise TraceError(
                f"{largest} chains of reflections need {largest * _PAIR_BYTES * 2 / 2**30:.2f} GiB "
                f"for one receiver, memory_gib allows {self._settings.memory_gib:g}: raise it, or "
                "lower max_depth"
            )
        return (
            min(pairs // largest, _MOST_RECEIVERS),
            max(min(int(budget / 4 / each), _MOST_PATHS), 1),
        )

    def _of_order(
        self,
        group: Images,
        tracker: Tracker,
        points: npt.NDArray[np.float64],
        paths_at_once: int,
    ) -> Iterator[PathList]:
        receivers = to_device(points)
        source = to_device(self._transmitter[None])
        possible = tracker.possible(receivers)
        for start in range(0, len(possible), 4 * paths_at_once):
            some = possible.part(start, 4 * paths_at_once)
            valid = some.where(tracker.valid(some, receivers))
            for first in range(0, len(valid), paths_at_once):
                pairs = valid.part(first, paths_at_once)
                buffer, crossings = tracker.paths(pairs, receivers)
                amplitude = transfer(
                    buffer, source, receivers, wavelength_m(self._frequency_hz)
                )
                yield self._listed(
                    group,
                    np.array(pairs.chain).astype(np.int64),
                    np.array(pairs.receiver).astype(np.int64),
                    points,
                    np.array(crossings).astype(np.int64),
                    amplitude,
                )

    def _listed(
        self,
        group: Images,
        chain: npt.NDArray[np.int64],
        point: npt.NDArray[np.int64],
        points: npt.NDArray[np.float64],
        crossings: npt.NDArray[np.int64],
        amplitude: npt.NDArray[np.complex64],
    ) -> PathList:
        """Delays and directions from the images, in double precision."""
        order = group.order
        seen_from = group.images[chain, -1] if order else self._transmitter[None]
        way = points[point] - seen_from
        length = np.linalg.norm(way, axis=1)
        arriving = way / length[:, None]
        leaving = arriving
        for place in range(order - 1, -1, -1):
            normal = self._mirrors.planes.normal[group.planes[chain, place]]
            leaving = leaving - 2.0 * np.sum(leaving * normal, axis=1)[:, None] * normal
        kinds = np.where(crossings > 0, TRANSMISSION, 0) | (REFLECTION if order else 0)
        aoa_azimuth, aoa_zenith = angles(-arriving)
        aod_azimuth, aod_zenith = angles(leaving)
        listed = PathList(
            point=point,
            access_point=np.zeros_like(point),
            gain=np.zeros(len(point), dtype=np.complex64),
            transfer=amplitude,
            delay_s=length / SPEED_OF_LIGHT_M_PER_S,
            aoa_azimuth=aoa_azimuth,
            aoa_zenith=aoa_zenith,
            aod_azimuth=aod_azimuth,
            aod_zenith=aod_zenith,
            interactions=kinds.astype(np.int32),
            seen_once=self._chains.seen_once[group.chains[chain]],
        )
        return finished(listed, self._frequency_hz, [self._antenna])


def solve_stock(
    built: rt.Scene,
    transmitters: npt.NDArray[np.float64],
    points: npt.NDArray[np.float64],
    settings: TraceSettings,
    antennas: Sequence[Antenna] = (),
) -> Solution:
    """Paths from transmitters (a, 3) to points (n, 3) [m] by Sionna's solver, few at a time.

    Args:
        antennas: see `solve_chains`.

    Raises:
        TraceError: Sionna has no room for all candidates.
    """
    antennas = antennas or [vertical_isotropic()] * len(transmitters)

    def table(batch: npt.NDArray[np.float64]) -> PathTable:
        found = stock_paths(built, transmitters, batch, settings, antennas)
        return tabulate(found, len(batch), len(transmitters), settings.max_paths)

    return Solution(in_batches(table, points, _STOCK_RECEIVERS))
