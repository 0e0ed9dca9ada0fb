"""The fingerprint store against what people use instead: `np.save`, HDF5, tensorstore, xbatcher.

    python -m benchmarks.store [--part NAME ...] [--quick] [--json]

Parts: ``bulk`` (writing and reading whole), ``layouts`` (chunks, shards, codecs), ``feed`` (batches
for training), ``steps`` (training steps of small models), ``memory`` (peak of a feed),
``precision`` (channels with fewer bits), ``compaction`` (bytes), ``deepmimo`` (its own loader on
our export). How each measures stands in `benchmarks.store_bulk`, `benchmarks.store_feed` and
`benchmarks.store_exchange`. Rivals take turns with ours, round by round, in one process a part; a
figure is the median of its rounds. ``--quick`` is small and writes nothing; otherwise records go to
``benchmarks/results/store.json``, where they replace those of the same part, and into a table
beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks import store_bulk, store_exchange, store_feed
from benchmarks.store_records import Record, as_json, table
from twin.atomic import write_text

RESULTS = Path(__file__).parent / "results"

_LAYOUT_COLUMNS = (
    "layout",
    "write [MB/s]",
    "read, zarr [MB/s]",
    "read, zarrs [MB/s]",
    "random batches/s",
    "files",
    "compression",
)

Part = Callable[[Path, bool], Iterator[Record]]


def _bulk(folder: Path, quick: bool) -> Iterator[Record]:
    return store_bulk.bulk(folder, 2000 if quick else 20_000, 3 if quick else 9)


def _layouts(folder: Path, quick: bool) -> Iterator[Record]:
    return store_bulk.layouts(folder, 2000 if quick else 20_000, 1 if quick else 3)


def _feed(folder: Path, quick: bool) -> Iterator[Record]:
    return store_feed.rates(folder, 2000 if quick else 20_000, 2 if quick else 5)


def _steps(folder: Path, quick: bool) -> Iterator[Record]:
    return store_feed.steps(folder, 2000 if quick else 20_000, 2 if quick else 5)


def _memory(folder: Path, quick: bool) -> Iterator[Record]:
    return store_feed.memory(folder, 16 if quick else 128)


def _precision(folder: Path, quick: bool) -> Iterator[Record]:  # noqa: ARG001 (needs no files)
    return store_exchange.precision(2000 if quick else 20_000)


def _compaction(folder: Path, quick: bool) -> Iterator[Record]:
    return store_exchange.compaction(folder, 2000 if quick else 20_000)


def _deepmimo(folder: Path, quick: bool) -> Iterator[Record]:
    return store_exchange.deepmimo(folder, 200 if quick else 2000)


PARTS: dict[str, Part] = {
    "bulk": _bulk,
    "layouts": _layouts,
    "feed": _feed,
    "steps": _steps,
    "memory": _memory,
    "precision": _precision,
    "compaction": _compaction,
    "deepmimo": _deepmimo,
}


def _measured(name: str, quick: bool) -> list[Record]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory(prefix="store-benchmark-") as folder:
        return [{"part": name, **entry} for entry in PARTS[name](Path(folder), quick)]


def apart(name: str, quick: bool) -> list[Record]:
    """Records of a part, measured in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, name, quick).result()


def write(new: list[Record]) -> None:
    """Put records among those of the results folder."""
    file = RESULTS / "store.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    fresh = {entry["part"] for entry in new}
    records = [entry for entry in known if entry["part"] not in fresh] + new
    records.sort(key=lambda entry: list(PARTS).index(entry["part"]))
    write_text(file, as_json(records))
    write_text(RESULTS / "store.md", _page(records))


def _page(records: list[Record]) -> str:
    layouts = [entry for entry in records if entry["part"] == "layouts"]
    others = [entry for entry in records if entry["part"] != "layouts"]
    lines = [
        "Made by `python -m benchmarks.store`, whose text says how it measures; rivals take turns",
        "with ours in one run. Rates are medians; a ratio above one is better than the rival, but",
        "for squared errors, seconds, bytes and memory. Two CPU cores, no fsync anywhere.",
        "",
        table(others),
        "Layouts of channels, by zarr alone (random batches: 256 rows, sorted, by zarr):",
        "",
        f"| {' | '.join(_LAYOUT_COLUMNS)} |",
        "|---" * len(_LAYOUT_COLUMNS) + "|",
    ]
    for entry in layouts:
        name = entry["case"].removeprefix("layout of channels: ")
        lines.append(
            f"| {name} | {entry['write_mb_per_s']:,} | {entry['rival']:,g} | {entry['ours']:,g} "
            f"| {entry['random_batches_per_s']} | {entry['files']} | {entry['compression']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the benchmark and write the records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", nargs="+", choices=PARTS, help="all without it")
    parser.add_argument("--quick", action="store_true", help="small; writes no results")
    parser.add_argument("--json", action="store_true", help="print records, not a table")
    arguments = parser.parse_args()
    records: list[Record] = []
    for name in arguments.part or PARTS:
        print(time.strftime("%H:%M:%S"), name, file=sys.stderr, flush=True)
        records += apart(name, arguments.quick)
        if not arguments.quick:
            write(records)
    print(as_json(records) if arguments.json else table(records), end="")


if __name__ == "__main__":
    main()
