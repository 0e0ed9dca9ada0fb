"""Speed and completeness of the chain engine against Sionna's own path solver.

    python -m benchmarks.trace [--scene NAME ...] [--scaling] [--quick] [--json] [--cache FOLDER]

Both trace the same receivers at depth 3 with refraction, isotropic vertical antennas at both ends,
each in a process of its own. The chain engine solves 10,000 receivers, and 1,000, its whole search
for chains included in the time. Sionna's solver runs as it ships, at its default of 10^6 rays, on
200 of these receivers, and the figure is scaled to 10,000: its cost is linear in receivers once the
batch is fixed. The batch is the largest that loses fewer than 0.1 % of the paths that it finds one
receiver at a time. Of its time only the call and the evaluation of amplitudes and delays count. The
first call of each, which compiles kernels into an empty cache, is not in these times but beside
them.

Paths are compared with those of Sionna's deterministic solver at 4 x 10^6 rays, one receiver at a
time. To receivers for which the chain engine has paths that this lacks, all its paths are put to
Sionna's image method and field calculator, less Sionna's rule that a path has no leg under 1 cm.
Those that they hold valid count as well, with the gains that they compute (``paths_confirmed``);
figures against the search alone stand beside, as
``*_search``. With ``--cache`` the result of the search, and no time, is kept in a folder.
``--scaling`` measures the chain engine alone at 20,000 and 200,000 receivers in the office.
``--quick`` is the office in small and
writes nothing; otherwise records go to ``benchmarks/results/trace.json``, where they replace those
of the same scene and receivers, and into a table beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from benchmarks.trace_matching import (
    Paths,
    Powers,
    accuracy,
    estimate,
    join,
    loss,
    union,
    unit_vectors,
    unmatched,
)
from benchmarks.trace_scenes import PLACES, SEED, Place, digest, place, sionna_rt
from twin.atomic import write_text
from twin.scene.receivers import Points
from twin.trace.engine import TraceSettings
from twin.units import SPEED_OF_LIGHT_M_PER_S

if TYPE_CHECKING:
    from sionna import rt

    from twin.trace.solver import Solution

RESULTS = Path(__file__).parent / "results"
DEPTH = 3
STOCK_SAMPLES, REFERENCE_SAMPLES = 1_000_000, 4_000_000
BATCHES = (2, 4, 8, 16, 32, 64)
MOST_LOST = 1e-3
# -200 dB: what numerics leave of a wave behind metal is no path.
FLOOR = 1e-20
# Enough for every path of a link, so that none is missed for want of a place.
MAX_PATHS = 128
SCALING_SCENE, SCALING_RECEIVERS = "office", (20_000, 200_000)
QUICK_SCENE = "office"

_SPEED_COLUMNS = {
    "scene": "scene",
    "receivers": "receivers",
    "seconds_stock": "stock [s]",
    "seconds_chain": "chains [s]",
    "speedup": "speed-up",
    "batch_stock": "stock batch",
    "compile_seconds_stock": "compile stock [s]",
    "compile_seconds_chain": "compile chains [s]",
    "paths_reference": "paths",
    "path_recall": "recall, chains",
    "path_recall_stock": "recall, stock",
    "paths_extra": "extra, chains",
    "paths_confirmed": "valid for Sionna, not found by it",
    "power_error_db_p99": "power error p99, chains [dB]",
    "power_error_db_p99_stock": "stock [dB]",
    "peak_rss_gib": "peak memory [GiB]",
}
_SCALING_COLUMNS = {
    "scene": "scene",
    "receivers": "receivers",
    "seconds_chain": "chains [s]",
    "receivers_per_second": "receivers/s",
    "compile_seconds_chain": "compile [s]",
    "peak_rss_gib": "peak memory [GiB]",
    "start_rss_gib": "before the call [GiB]",
    "memory_gib": "allowed [GiB]",
    "result_gib": "result [GiB]",
}

Record = dict[str, object]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        receivers: of the chain engine, a record each.
        stock: receivers that Sionna's solver is timed on, at least.
        trial: receivers that its batch is chosen on.
        compared: receivers whose paths are compared.
        repeats: times that the chain engine is timed; the median counts.
    """

    receivers: tuple[int, ...]
    stock: int
    trial: int
    compared: int
    repeats: int


FULL = Size(receivers=(10_000, 1_000), stock=200, trial=64, compared=100, repeats=3)
QUICK = Size(receivers=(1_000,), stock=16, trial=8, compared=5, repeats=1)


@dataclass(frozen=True)
class Timing:
    """Times and memory of one process.

    Args:
        compile_s: what the very first call took longer than the same call later.
        runs_s: of each run after that.
        peak_gib: most memory the process ever held.
        start_gib: the same before the first call, with everything imported and the scene built.
    """

    compile_s: float
    runs_s: tuple[float, ...]
    peak_gib: float
    start_gib: float

    @property
    def seconds(self) -> float:
        """Median of the runs."""
        return float(np.median(self.runs_s))


@dataclass(frozen=True)
class StockRun:
    """What Sionna's solver took.

    Args:
        timing: of `receivers`.
        receivers: solved in each run, whole batches.
        batch: receivers of one call.
        paths: of the first of them.
        lost: share of paths lost by each batch that was tried.
        rates: receivers a second of each batch that was tried.
        device: what it ran on.
    """

    timing: Timing
    receivers: int
    batch: int
    paths: Paths
    lost: dict[int, float]
    rates: dict[int, float]
    device: str


@dataclass(frozen=True)
class ChainRun:
    """What the chain engine took and found.

    Args:
        timing: of all receivers.
        paths: of the first receivers, those to compare.
        undiscovered: (n, a) of these, power that the engine estimates it did not find.
        chains: found for the transmitter.
        new_share: the share of each round's rays on chains that were new in it.
        paths_per_receiver: mean over all receivers.
        left_out: whether any link has more paths than are kept.
        result_gib: size of the table of all receivers.
        device: what it ran on.
    """

    timing: Timing
    paths: Paths
    undiscovered: Powers
    chains: int
    new_share: tuple[float, ...]
    paths_per_receiver: float
    left_out: bool
    result_gib: float
    device: str


class Stock:
    """Sionna's solver as it ships, on receivers that are made once and then moved."""

    def __init__(
        self,
        where: Place,
        batch: int,
        samples: int = STOCK_SAMPLES,
        deterministic: bool = False,
    ) -> None:
        rt = sionna_rt()
        self._built = where.built
        self._samples = samples
        self._solver = rt.PathSolver(deterministic=deterministic)
        for name in (*self._built.transmitters, *self._built.receivers):
            self._built.remove(name)
        self._built.add(
            [
                rt.Transmitter(name=f"tx_{index}", position=position)
                for index, position in enumerate(where.transmitters.tolist())
            ]
        )
        origin = where.transmitters[0].tolist()
        self._receivers = [rt.Receiver(name=f"rx_{i}", position=origin) for i in range(batch)]
        self._built.add(self._receivers)

    def __call__(self, points: Points) -> tuple[Paths, list[float]]:
        """Paths to points (n, 3) [m], n whole batches, and the seconds of each batch."""
        parts, seconds = [], []
        for batch in points.reshape(-1, len(self._receivers), 3):
            found, taken = self._solve(batch)
            parts.append(found)
            seconds.append(taken)
        return join(parts), seconds

    def _solve(self, points: Points) -> tuple[Paths, float]:
        import drjit as dr
        import mitsuba as mi

        for receiver, point in zip(self._receivers, points.tolist(), strict=True):
            receiver.position = mi.Point3f(*point)
        start = time.perf_counter()
        paths = self._solver(self._built, max_depth=DEPTH, samples_per_src=self._samples)
        dr.eval(paths.a, paths.tau)
        dr.sync_thread()
        seconds = time.perf_counter() - start
        return _untangled(paths, float(self._built.frequency[0])), seconds


def _untangled(paths: rt.Paths, frequency_hz: float) -> Paths:
    """Sionna's tensors [receiver, (1,) transmitter, (1,) path] with the phase of the carrier."""
    real, imag = (np.array(part, dtype=np.float64)[:, 0, :, 0, :] for part in paths.a)
    delay = np.array(paths.tau, dtype=np.float64)
    valid = np.array(paths.valid) & (real**2 + imag**2 > FLOOR)
    gain = (real + 1j * imag) * np.exp(-2j * np.pi * frequency_hz * delay)
    arrival = unit_vectors(np.array(paths.theta_r), np.array(paths.phi_r))
    return Paths(np.where(valid, gain, 0.0), delay, arrival)


def largest_batch(lost: dict[int, float]) -> int:
    """The last of growing batches before the first that loses too much.

    Args:
        lost: batch to the share of paths that it loses.
    """
    best = 1
    for batch in sorted(lost):
        if lost[batch] >= MOST_LOST:
            break
        best = batch
    return best


def time_stock(name: str, size: Size) -> StockRun:
    """Choose a batch for Sionna's solver and time it; in a process of its own."""
    where = place(name)
    points = where.receivers(max(size.receivers), SEED)
    trial = points[: size.trial]
    start = _peak_gib()
    one = Stock(where, 1)
    _, (first,) = one(points[:1])
    alone, later = one(trial)
    lost, rates = {1: 0.0}, {1: len(trial) / sum(later)}
    for batch in BATCHES:
        if batch <= len(trial):
            found, seconds = Stock(where, batch)(trial)
            lost[batch], rates[batch] = loss(alone, found), len(trial) / sum(seconds)
    batch = largest_batch(lost)
    receivers = batch * -(-size.stock // batch)
    stock = Stock(where, batch)
    # A batch of another size may still compile something.
    stock(points[:batch])
    # Many batches of one run even out what repeats would.
    found, seconds = stock(points[:receivers])
    timing = Timing(_surplus(first, later), (sum(seconds),), _peak_gib(), start)
    paths = found.first(size.compared)
    return StockRun(timing, receivers, batch, paths, lost, rates, _device())


def find_reference(name: str, receivers: int, cache: Path | None) -> Paths:
    """Paths of the first receivers by Sionna's deterministic solver, one receiver at a time."""
    where = place(name)
    points = where.receivers(receivers, SEED)
    file = None if cache is None else cache / f"{name}-{_key(where, points)}.npz"
    if file is not None and file.is_file():
        with np.load(file) as kept:
            return Paths(kept["gain"], kept["delay_s"], kept["arrival"])
    found, _ = Stock(where, 1, REFERENCE_SAMPLES, deterministic=True)(points)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, **vars(found))
    return found


def ask_again(name: str, compared: int, receivers: list[int], reference: Paths) -> Paths:
    """The reference with those paths of ours to some receivers that Sionna holds valid.

    Sionna's image method and field calculator judge and compute what our search found: whether a
    path exists, apart from whether Sionna's search comes upon it.
    """
    where = place(name)
    points = where.receivers(compared, SEED)[receivers]
    return union(reference, np.array(receivers), _judged(where, points))


def _judged(where: Place, points: Points) -> Paths:
    import mitsuba as mi
    from sionna.rt.path_solvers import image_method

    from twin.trace.chains import Search, discover
    from twin.trace.fields import transfer
    from twin.trace.mirrors import Mirrors, to_device
    from twin.trace.specular import Tracker, images

    asked = settings(MAX_PATHS, 0)
    mirrors, (transmitter,) = Mirrors(where.built), where.transmitters
    search = Search(
        max_depth=DEPTH,
        refraction=True,
        rays=asked.rays_per_round,
        undiscovered_share=asked.undiscovered_share,
        max_rounds=asked.max_rounds,
        seed=asked.seed,
    )
    chains = discover(mirrors, transmitter, search)
    # Sionna drops paths with a leg under 1 cm, as through the very corner of a building.
    image_method.MIN_SEGMENT_LENGTH = 0.0
    source, receivers = to_device(transmitter[None]), to_device(points)
    frequency_hz = float(where.built.frequency[0])
    found: list[list[tuple[complex, float, tuple[float, ...]]]] = [[] for _ in points]
    for group in images(chains, mirrors.planes, transmitter):
        tracker = Tracker(mirrors, transmitter, group, DEPTH, True)
        pairs = tracker.possible(receivers)
        pairs = pairs.where(tracker.valid(pairs, receivers)) if len(pairs) else pairs
        if not len(pairs):
            continue
        buffer, _ = tracker.paths(pairs, receivers)
        if group.order or buffer.max_depth:
            buffer.valid = mi.Bool(np.zeros(len(pairs), dtype=np.bool_))
            buffer = image_method.ImageMethod()(
                where.built.mi_scene,
                buffer,
                diffraction=False,
                diffraction_lit_region=True,
                src_positions=source,
                tgt_positions=receivers,
            )
        accepted = np.array(buffer.valid)
        amplitude = transfer(buffer, source, receivers, float(where.built.wavelength[0]))[:, 0, 0]
        chain, point = np.array(pairs.chain), np.array(pairs.receiver)
        ways = tracker.ways(chain.astype(np.int64), points[point])
        delay = ways.length_m / SPEED_OF_LIGHT_M_PER_S
        gain = amplitude * np.exp(-2j * np.pi * frequency_hz * delay)
        for index in np.nonzero(accepted & (np.abs(amplitude) ** 2 > FLOOR))[0]:
            arrival = tuple(-ways.arriving[index])
            found[point[index]].append((complex(gain[index]), float(delay[index]), arrival))
    most = max(len(link) for link in found)
    gain, delay_s = (
        np.zeros((len(points), 1, most), np.complex128),
        np.zeros((len(points), 1, most)),
    )
    arrival = np.zeros((len(points), 1, most, 3))
    for receiver, link in enumerate(found):
        for index, (amplitude_of, seconds, towards) in enumerate(link):
            gain[receiver, 0, index], delay_s[receiver, 0, index] = amplitude_of, seconds
            arrival[receiver, 0, index] = towards
    return Paths(gain, delay_s, arrival)


def _key(where: Place, points: Points) -> str:
    from twin.trace import backend

    parts = (digest(where.built), DEPTH, REFERENCE_SAMPLES, FLOOR, backend.PINS)
    whole = hashlib.sha256(repr(parts).encode())
    whole.update(where.transmitters.tobytes() + points.tobytes())
    return whole.hexdigest()[:16]


def time_chains(name: str, receivers: int, compared: int, repeats: int, max_paths: int) -> ChainRun:
    """Time the chain engine; in a process of its own."""
    from twin.trace.paths import select
    from twin.trace.solver import solve_chains

    where = place(name)
    points = where.receivers(receivers, SEED)
    start = _peak_gib()

    def solve(seed: int) -> tuple[Solution, float]:
        # Found chains are kept for the next call; another seed makes it a search of its own.
        search = settings(max_paths, seed)
        begin = time.perf_counter()
        result = solve_chains(where.built, where.transmitters, points, search)
        return result, time.perf_counter() - begin

    solution, first = solve(0)
    runs = []
    for seed in range(1, repeats + 1):
        # Two results at once would count as the engine's memory.
        del solution
        solution, seconds = solve(seed)
        runs.append(seconds)
    timing = Timing(_surplus(first, runs), tuple(runs), _peak_gib(), start)
    found, (chains,) = solution.table, solution.chains
    compare = select(found, slice(compared))
    return ChainRun(
        timing,
        Paths(
            compare.gain.astype(np.complex128),
            compare.delay_s,
            unit_vectors(compare.aoa_zenith, compare.aoa_azimuth),
        ),
        compare.power_undiscovered.astype(np.float64),
        len(chains),
        chains.new_share,
        float(found.num_paths.sum() / receivers),
        bool(found.power_left_out.any()),
        sum(getattr(found, field.name).nbytes for field in fields(found)) / 2**30,
        _device(),
    )


def _surplus(first: float, later: list[float]) -> float:
    # A machine that slows down meanwhile would make it negative.
    return max(first - float(np.median(later)), 0.0)


def settings(max_paths: int, seed: int) -> TraceSettings:
    """Of the chain engine: as a user gets it, but for these."""
    return TraceSettings(max_depth=DEPTH, refraction=True, max_paths=max_paths, seed=seed)


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _device() -> str:
    from twin.trace import backend

    info = backend.describe()
    return f"{', '.join(info.devices)}; {os.cpu_count()} CPU cores; {info.variant}"


def apart(task: Callable[..., Result], *arguments: object) -> Result:
    """Result of a call in a fresh process with an empty kernel cache."""
    with (
        tempfile.TemporaryDirectory() as kernels,
        ProcessPoolExecutor(1, get_context("spawn"), _cache_kernels, (kernels,)) as process,
    ):
        return process.submit(task, *arguments).result()


def _cache_kernels(folder: str) -> None:
    # Read when Dr.Jit is imported.
    os.environ["DRJIT_CACHE_DIR"] = folder


def speed_record(
    name: str,
    receivers: int,
    chain: ChainRun,
    stock: StockRun,
    reference: Paths,
    confirmed: Paths,
) -> Record:
    """Both engines in one scene, and how well the chain engine's paths agree with the reference."""
    seconds_stock = stock.timing.seconds * receivers / stock.receivers
    of_stock, of_search = accuracy(reference, stock.paths), accuracy(reference, chain.paths)
    return {
        **_common(name, receivers, chain),
        "seconds_stock": round(seconds_stock, 2),
        "speedup": round(seconds_stock / chain.timing.seconds, 1),
        **accuracy(confirmed, chain.paths),
        **estimate(confirmed, chain.paths, chain.undiscovered),
        "paths_confirmed": int(confirmed.there.sum() - reference.there.sum()),
        "path_recall_search": of_search["path_recall"],
        "paths_extra_search": of_search["paths_extra"],
        "power_error_db_p99_search": of_search["power_error_db_p99"],
        "receivers_compared": len(reference.gain),
        "samples_reference": REFERENCE_SAMPLES,
        "seconds_stock_measured": round(stock.timing.seconds, 3),
        "seconds_stock_runs": [round(run, 3) for run in stock.timing.runs_s],
        "receivers_stock_measured": stock.receivers,
        "samples_stock": STOCK_SAMPLES,
        "path_recall_stock": of_stock["path_recall"],
        "paths_extra_stock": of_stock["paths_extra"],
        "power_error_db_p99_stock": of_stock["power_error_db_p99"],
        "coherent_error_db_p99_stock": of_stock["coherent_error_db_p99"],
        "batch_stock": stock.batch,
        "batch_stock_lost": {str(size): round(lost, 5) for size, lost in stock.lost.items()},
        "batch_stock_rates": {str(size): round(rate, 2) for size, rate in stock.rates.items()},
        "compile_seconds_stock": round(stock.timing.compile_s, 2),
        "peak_rss_gib_stock": round(stock.timing.peak_gib, 2),
    }


def scaling_record(receivers: int, chain: ChainRun) -> Record:
    """The chain engine alone on many receivers."""
    return {
        **_common(SCALING_SCENE, receivers, chain),
        "receivers_per_second": round(receivers / chain.timing.seconds),
    }


def _common(name: str, receivers: int, chain: ChainRun) -> Record:
    return {
        "scene": name,
        "receivers": receivers,
        "transmitters": 1,
        "depth": DEPTH,
        "refraction": True,
        "chains": chain.chains,
        "rounds": len(chain.new_share),
        "new_share": float(f"{chain.new_share[-1]:.3g}"),
        "undiscovered_share": TraceSettings().undiscovered_share,
        "seconds_chain": round(chain.timing.seconds, 3),
        "seconds_chain_runs": [round(run, 3) for run in chain.timing.runs_s],
        "compile_seconds_chain": round(chain.timing.compile_s, 2),
        "peak_rss_gib": round(chain.timing.peak_gib, 2),
        "start_rss_gib": round(chain.timing.start_gib, 2),
        "result_gib": round(chain.result_gib, 3),
        "memory_gib": TraceSettings().memory_gib,
        "paths_per_receiver": round(chain.paths_per_receiver, 2),
        "paths_left_out": chain.left_out,
        "device": chain.device,
    }


def table(records: list[Record]) -> str:
    """The records as Markdown."""
    speed = [record for record in records if "speedup" in record]
    scaling = [record for record in records if "receivers_per_second" in record]
    lines = [
        "Made by `python -m benchmarks.trace`, whose text says how it measures. One transmitter,",
        f"depth {DEPTH}, refraction. Seconds of the stock solver are scaled from fewer receivers;",
        "recall, extra and errors are against the stock solver at",
        f"{REFERENCE_SAMPLES / 1e6:g} million rays, one receiver at a time.",
        "",
    ]
    if speed:
        lines += [*_columns(speed, _SPEED_COLUMNS), ""]
    if scaling:
        lines += ["The chain engine alone:", "", *_columns(scaling, _SCALING_COLUMNS), ""]
    devices = dict.fromkeys(str(record["device"]) for record in records)
    return "\n".join([*lines, *(f"Measured on {device}." for device in devices)]) + "\n"


def _columns(records: list[Record], headings: dict[str, str]) -> list[str]:
    return [
        f"| {' | '.join(headings.values())} |",
        "|---" * len(headings) + "|",
        *(f"| {' | '.join(str(record[key]) for key in headings)} |" for record in records),
    ]


def merged(known: list[Record], new: list[Record]) -> list[Record]:
    """Records in order of scene and receivers; a new one replaces that of its scene and size."""
    by_key = {(record["scene"], record["receivers"]): record for record in [*known, *new]}
    order = list(PLACES)
    return sorted(by_key.values(), key=lambda r: (order.index(str(r["scene"])), r["receivers"]))


def measure(names: list[str], size: Size, cache: Path | None) -> Iterator[Record]:
    """Records of both engines, scene by scene."""
    for name in names:
        _say(f"{name}: Sionna's solver")
        stock = apart(time_stock, name, size)
        _say(f"{name}: reference")
        reference = confirmed = apart(find_reference, name, size.compared, cache)
        asked = False
        for receivers in size.receivers:
            _say(f"{name}: chains, {receivers} receivers")
            chain = apart(time_chains, name, receivers, size.compared, size.repeats, MAX_PATHS)
            disputed = unmatched(confirmed, chain.paths).tolist()
            if disputed and not asked:
                _say(f"{name}: {len(disputed)} receivers disputed")
                confirmed = apart(ask_again, name, size.compared, disputed, reference)
                asked = True
            yield speed_record(name, receivers, chain, stock, reference, confirmed)


def measure_scaling() -> Iterator[Record]:
    """Records of the chain engine alone."""
    for receivers in SCALING_RECEIVERS:
        _say(f"{SCALING_SCENE}: chains, {receivers} receivers")
        max_paths = TraceSettings().max_paths
        chain = apart(time_chains, SCALING_SCENE, receivers, 0, FULL.repeats, max_paths)
        yield scaling_record(receivers, chain)


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def main() -> None:
    """Run the benchmark and write the records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scene", nargs="+", choices=PLACES, help="all without it")
    parser.add_argument("--scaling", action="store_true", help="this instead of the scenes")
    parser.add_argument("--quick", action="store_true", help="small; writes no results")
    parser.add_argument("--json", action="store_true", help="print records, not a table")
    parser.add_argument("--cache", type=Path, help="folder that keeps the reference paths")
    arguments = parser.parse_args()
    if arguments.scaling:
        found = measure_scaling()
    elif arguments.quick:
        found = measure(arguments.scene or [QUICK_SCENE], QUICK, arguments.cache)
    else:
        found = measure(arguments.scene or list(PLACES), FULL, arguments.cache)
    records = []
    for record in found:
        records.append(record)
        if not arguments.quick:
            write(records)
    print(_json(records) if arguments.json else table(records), end="")


def write(new: list[Record]) -> None:
    """Put records among those of the results folder."""
    file = RESULTS / "trace.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    records = merged(known, new)
    write_text(file, _json(records))
    write_text(RESULTS / "trace.md", table(records))


def _json(records: list[Record]) -> str:
    lines = ",\n".join(json.dumps(record, allow_nan=False) for record in records)
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    main()
