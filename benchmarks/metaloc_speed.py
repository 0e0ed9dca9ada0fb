"""Speed of MetaLoc's steps: against PyTorch, and of locating a thousand fingerprints.

    python -m benchmarks.metaloc_speed [--torch-env DIR] [--quick]

A meta-step is an update of the outer optimiser from four tasks with five inner steps, with exact
or first-order gradients: of the CNN of section V-B (10 ways, 3 support and 5 query images) or of
the MLP of section V-A (124 labels, 30 queries). Both sides have the same weights and tasks. The
rival (``benchmarks/metaloc_torch/step.py``, which names its variants) runs in an environment of its
own, made in ``--torch-env`` where there is none. Before anything is timed, losses and outer
gradients have to agree to a thousandth. Then all take turns, a step each, after two rounds that
compile and count for nothing. Both processes are confined to the same two cores and two threads.
Ours runs an operation on one thread and two operations at a time, which suits tasks that stand side
by side; the rival's variants with "threads" share its tasks out likewise, its others use both
threads in every operation. Seconds are medians over the rounds, ratios medians of the rounds'
ratios; the bounds are those of a 95 % interval of the median, from order statistics.

Location is timed with the adaptation before it (ten steps): from images, or levels, to positions in
metres. "for the environment": one adaptation to all labels of a new environment (90 points of three
images, or 124 fingerprints), then all fingerprints. "for each fingerprint": as MetaLoc's section
IV-B has it, to the ten points that look most like it (of levels: all 124 labels again). There an
operation uses both threads.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.metaloc_rival import (
    TORCH,
    VARIANTS,
    Rival,
    difference,
    rival,
    rival_python,
    write_exchange,
)
from benchmarks.metaloc_speed_tasks import ADAPTATION_STEPS, ImagePlace, LevelPlace, training
from benchmarks.store_records import timed

if TYPE_CHECKING:
    from twin.learn.metalearning import MetaTraining
    from twin.learn.tasks import TaskBatch

Record = dict[str, Any]
# A network, and the order of the outer gradient.
Pair = tuple[str, str]
STUDY, THREADS = "speed", 2
NETWORKS = ("cnn", "mlp")
ENVIRONMENT, FINGERPRINT = "for the environment", "for each fingerprint"
ALIKE = 1e-3
_UNCOUNTED = 2
# Threads that wait for work go to sleep within it.
_PAUSE_S = 0.1
# Tasks of one call where each fingerprint is a task: more need memory, and are no quicker.
_TOGETHER = 100


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: of meta-steps, and of adaptations to an environment.
        fingerprints: located after one adaptation.
        each: located after an adaptation of their own.
        orders: of the outer gradients.
    """

    rounds: int = 11
    fingerprints: int = 1000
    each: int = 1000
    orders: tuple[str, ...] = ("second", "first")


QUICK = Size(rounds=3, fingerprints=200, each=8, orders=("second",))


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Median and the bounds of its 95 % interval, for which no law of the values is needed.

    Fewer than six values cannot give 95 %; the bounds are their smallest and largest then.
    """
    ordered = sorted(values)
    count, rank = len(ordered), 0
    # The median is outside the bounds of rank k with probability 2 P(Binomial(n, 1/2) <= k - 1).
    outside = 0.5**count
    while outside + math.comb(count, rank + 1) * 0.5**count <= 0.025:
        rank += 1
        outside += math.comb(count, rank) * 0.5**count
    return float(np.median(ordered)), ordered[rank], ordered[count - 1 - rank]


def record(method: str, metric: str, values: Sequence[float], **settings: str | int) -> Record:
    """The median of some rounds, with its interval, as an aggregated record."""
    middle, low, high = (float(f"{value:.4g}") for value in interval(values))
    common = {"study": STUDY, "site": "", "method": method, **settings, "rounds": len(values)}
    return {**common, "metric": metric, "mean": middle, "low": low, "high": high, "seeds": 1}


def step_records(pair: Pair, seconds: Mapping[str, Sequence[float]]) -> Iterator[Record]:
    """Seconds of every side, and how many times as long as ours each other took."""
    common = dict(zip(("network", "order"), pair, strict=True))
    for method, values in seconds.items():
        yield record(method, "median_step_s", values, **common)
    for method, values in seconds.items():
        if method != "ours":
            ratios = [theirs / own for theirs, own in zip(values, seconds["ours"], strict=True)]
            yield record(method, "times_ours", ratios, **common)


def steps(python: Path | None, size: Size) -> Iterator[Record]:
    """Records of all meta-steps; no rival without an interpreter for it.

    Raises:
        AssertionError: the sides compute different things.
    """
    made = {
        (network, order): training(network, order) for network in NETWORKS for order in size.orders
    }
    if python is None:
        for pair, (side, batch) in made.items():
            yield from step_records(pair, _in_turn(pair, side, batch, None, size.rounds))
        return
    with tempfile.TemporaryDirectory(prefix="metaloc-speed-") as name:
        exchange = Path(name) / "exchange.npz"
        write_exchange(exchange, {network: made[network, "second"] for network in NETWORKS})
        with rival(python, exchange, THREADS) as other:
            say(f"rival: PyTorch {other.about['torch']}")
            # The rival's weights move with its steps, so all is compared before any step.
            for pair, (side, batch) in made.items():
                _agree(pair, side, batch, other, Path(name) / "answer.npz")
            for pair, (side, batch) in made.items():
                yield from step_records(pair, _in_turn(pair, side, batch, other, size.rounds))


def _agree(pair: Pair, side: MetaTraining, batch: TaskBatch, other: Rival, file: Path) -> None:
    ours = side.gradient(batch)
    for variant in VARIANTS:
        other.ask("check", *pair, variant, file)
        gap = difference(ours, file)
        if not gap <= ALIKE:
            raise AssertionError(
                f"{' '.join(pair)} order, {variant}: loss or outer gradient differs from ours by "
                f"{gap:.2g}, which makes times no comparison"
            )


def _in_turn(
    pair: Pair, side: MetaTraining, batch: TaskBatch, other: Rival | None, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each round of every side."""
    seconds: dict[str, list[float]] = {"ours": []}
    if other is not None:
        seconds |= {f"torch {variant}": [] for variant in VARIANTS}
    for index in range(rounds + _UNCOUNTED):
        for method, values in seconds.items():
            time.sleep(_PAUSE_S)
            if other is None or method == "ours":
                taken = timed(lambda: side.step(batch))
            else:
                taken = other.ask("time", *pair, method.removeprefix("torch "))["seconds"]
            if index >= _UNCOUNTED:
                values.append(taken)
    found = (f"{method} {np.median(values):.3g} s" for method, values in seconds.items())
    say(f"{' '.join(pair)} order: {', '.join(found)}")
    return seconds


def locations(size: Size) -> Iterator[Record]:
    """Records of adaptation and location."""
    metric = "median_location_s"
    for network, place in (("cnn", ImagePlace()), ("mlp", LevelPlace())):
        common = {"network": network, "adaptation_steps": ADAPTATION_STEPS}
        asked = place.asked(size.fingerprints)
        place.once(asked)
        taken = [timed(lambda p=place, a=asked: p.once(a)) for _ in range(size.rounds)]
        of_place = {"protocol": ENVIRONMENT, "fingerprints": size.fingerprints}
        yield record("ours", metric, taken, **common, **of_place, labels=place.labels)
        say(f"{network}, an adaptation {ENVIRONMENT}: {np.median(taken):.3g} s")
        together = min(_TOGETHER, size.each)
        blocks = [place.asked(together) for _ in range(size.each // together)]
        place.each(blocks[0])
        taken = [timed(lambda p=place, b=blocks: [p.each(asked) for asked in b])]
        of_each = {"protocol": FINGERPRINT, "fingerprints": len(blocks) * together}
        yield record("ours", metric, taken, **common, **of_each)
        say(f"{network}, an adaptation {FINGERPRINT}: {taken[0]:.3g} s")


def _confine(threads_an_operation: int) -> None:
    """Keep this process on the cores that the rival has, too, before it computes anything."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads_an_operation)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)


def _steps(python: Path | None, size: Size) -> list[Record]:
    _confine(1)
    return list(steps(python, size))


def _locations(size: Size) -> list[Record]:
    _confine(THREADS)
    return list(locations(size))


def measure(torch_env: Path | None, size: Size) -> tuple[list[Record], dict[str, Any]]:
    """All records of speed, measured in processes of their own, and how busy the machine was.

    Args:
        torch_env: folder of the rival's environment, made where there is none; None: no rival.
        size: how much is measured.

    Raises:
        RuntimeError: the rival's environment is another, or its process ended.
        AssertionError: the sides compute different things.
    """
    python = None if torch_env is None else rival_python(torch_env)
    before = os.getloadavg()[0]
    found: list[Record] = []
    for work in (partial(_steps, python, size), partial(_locations, size)):
        # The threads of a process are settled by its first operation.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found += pool.submit(work).result()
    about = {"load_before": round(before, 2), "load_after": round(os.getloadavg()[0], 2)}
    return found, {"torch": None if python is None else TORCH, "threads": THREADS, **about}


def table(records: Sequence[Record]) -> str:
    """All measurements as Markdown."""
    ratio = {
        (r["network"], r["order"], r["method"]): r for r in records if r["metric"] == "times_ours"
    }
    lines = ["| meta-step | method | seconds | times ours |", "|---|---|---:|---:|"]
    for entry in (r for r in records if r["metric"] == "median_step_s"):
        key = entry["network"], entry["order"], entry["method"]
        times = _spread(ratio[key]) if key in ratio else ""
        lines.append(f"| {key[0]}, {key[1]} order | {key[2]} | {_spread(entry)} | {times} |")
    lines += ["", "| network | an adaptation | fingerprints | seconds |", "|---|---|---:|---:|"]
    lines += [
        f"| {r['network']} | {r['protocol']} | {r['fingerprints']:,} | {_spread(r)} |"
        for r in records
        if r["metric"] == "median_location_s"
    ]
    return "\n".join(lines) + "\n"


def _spread(entry: Record) -> str:
    if entry["rounds"] == 1:
        return f"{entry['mean']:.3g}"
    return f"{entry['mean']:.3g} ({entry['low']:.3g} to {entry['high']:.3g})"


def say(words: str) -> None:
    """Tell how far it is."""
    print(time.strftime("%H:%M:%S"), words, file=sys.stderr, flush=True)


def main() -> None:
    """Measure and print; `benchmarks.metaloc` writes results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch-env", type=Path, help="no rival without it")
    parser.add_argument("--quick", action="store_true", help="few rounds")
    arguments = parser.parse_args()
    found, about = measure(arguments.torch_env, QUICK if arguments.quick else Size())
    print(table(found), end="")
    print(", ".join(f"{key} {value}" for key, value in about.items()))


if __name__ == "__main__":
    main()
