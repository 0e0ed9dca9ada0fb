"""Writing and reading whole sites, against `np.save`/`np.load` and HDF5, and the layouts beside.

Each rival handles the same arrays in files of its own in the same folder; nobody calls fsync. Ours
is `write_shard` of one job into a site that is laid out: all checks, canonical order, digests,
files and the receipt; and reading the variables of an opened site. Laying out, publishing (which
reads everything back and digests it) and opening stand beside, without a goal.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, ZstdCodec

from benchmarks.store_records import Record, at_least, in_turn, record, timed
from twin.seeds import stream
from twin.store.reader import open_site
from twin.store.schema import VARIABLES
from twin.store.spec import SiteSpec
from twin.store.writer import create_site, publish, write_shard

Arrays = dict[str, npt.NDArray[np.generic]]

SEED = 20260
SITE = "site"
_LEAST = 0.5


def csi_arrays(points: int) -> Arrays:
    """Channels as a ray tracer makes them: 12 paths a point, 32 antennas, 32 subcarriers."""
    draw = stream(SEED, "csi")
    csi = np.zeros((points, 1, 1, 32, 32), np.complex64)
    antenna, subcarrier = np.arange(32)[:, None], np.arange(32)[None]
    for part in np.array_split(np.arange(points), max(1, points // 500)):
        for _ in range(12):
            size = (len(part), 1, 1)
            gain = draw.normal(size=size) + 1j * draw.normal(size=size)
            angle, delay = draw.uniform(-1, 1, size), draw.uniform(0, 1, size)
            csi[part, 0, 0] += gain * np.exp(1j * np.pi * (angle * antenna - delay * subcarrier))
    return {"csi": csi}


def cir_arrays(points: int, aps: int = 8, paths: int = 25, key: str = "") -> Arrays:
    """Paths of eight access points: on average half of the places are taken."""
    draw = stream(SEED, "cir", key)
    shape = (points, aps, paths)
    count = draw.integers(0, paths + 1, shape[:2])
    there = np.arange(paths) < count[..., None]
    power = np.sort(draw.exponential(1e-8, shape))[..., ::-1]
    phase = np.exp(2j * np.pi * draw.random(shape))
    angles = {
        name: np.where(there, draw.uniform(low, np.pi, shape), np.nan).astype(np.float32)
        for name, low in (
            ("aoa_azimuth", -np.pi),
            ("aoa_zenith", 0.0),
            ("aod_azimuth", -np.pi),
            ("aod_zenith", 0.0),
        )
    }
    return {
        "path_gain": np.where(there, np.sqrt(power) * phase, 0).astype(np.complex64),
        "delay": np.where(there, draw.uniform(1e-9, 1e-6, shape), np.nan),
        **angles,
        "interactions": np.where(there, draw.integers(0, 16, shape), 0).astype(np.int32),
        "num_paths": count.astype(np.int16),
    }


def rss_arrays(points: int, scans: int = 64, aps: int = 32) -> Arrays:
    """Reports in whole decibels of 32 access points, a third of them not heard."""
    draw = stream(SEED, "rss")
    level = np.round(draw.normal(-70, 12, (points, scans, aps))).astype(np.float32)
    return {"rss": np.where(draw.random(level.shape) < 1 / 3, np.nan, level).astype(np.float32)}


KINDS = {"CSI": csi_arrays, "CIR": cir_arrays, "RSS": rss_arrays}


def spec_of(
    arrays: Arrays, *, shard_points: int | None = None, realisations: int = 1, **fields: object
) -> SiteSpec:
    """Spec of a site that holds the arrays once a realisation."""
    sizes: dict[str, int] = {}
    for name, values in arrays.items():
        sizes |= dict(zip(VARIABLES[name].dims[1:], values.shape, strict=True))
    points = sizes["point"]
    return SiteSpec(
        title="benchmark",
        origin="simulated",
        realisations=tuple(f"draw {index}" for index in range(realisations)),
        points=points,
        access_points=tuple(f"AP{index}" for index in range(sizes["ap"])),
        variables=tuple(arrays),
        snapshots=sizes.get("snapshot", 0),
        paths=sizes.get("path", 0),
        ap_antennas=sizes.get("ap_antenna", 1),
        subcarriers=sizes.get("subcarrier", 0),
        subcarrier_spacing_hz=1e6 if "subcarrier" in sizes else 0.0,
        shard_points=shard_points or points,
        config={"seed": SEED},
        **fields,
    )


def block_of(arrays: Arrays) -> xr.Dataset:
    """The arrays as a job's dataset, with positions along a grid."""
    points = len(next(iter(arrays.values())))
    side = int(np.ceil(np.sqrt(points)))
    place = np.arange(points)
    position = np.column_stack([place % side, place // side, np.ones(points)]).astype(np.float64)
    data = {name: (VARIABLES[name].dims[1:], values) for name, values in arrays.items()}
    data["position"] = (("point", "xyz"), position)
    data["status"] = (("point",), np.ones(points, np.int8))
    return xr.Dataset(data)


def megabytes(arrays: Arrays) -> float:
    """Size in memory."""
    return sum(values.nbytes for values in arrays.values()) / 1e6


def bulk(folder: Path, points: int, rounds: int) -> Iterator[Record]:
    """Bulk writing and full reading of the three kinds."""
    for kind, make in KINDS.items():
        arrays = make(points)
        size = megabytes(arrays)
        beside: dict[str, list[float]] = {"lay out": [], "publish": [], "open": []}
        written = in_turn(
            {
                "ours": lambda a=arrays, b=beside: _write_ours(folder, a, b),
                "np.save": lambda a=arrays: _write_npy(folder, a),
                "HDF5": lambda a=arrays: _write_hdf5(folder, a),
            },
            rounds,
        )
        read = in_turn(
            {
                "ours": lambda a=arrays, b=beside: _read_ours(folder, a, b),
                "np.load": lambda a=arrays: timed(
                    lambda: [np.load(folder / f"{name}.npy") for name in a]
                ),
                "HDF5": lambda a=arrays: _read_hdf5(folder, a),
            },
            rounds,
        )
        what = f"{kind}, {size:.0f} MB"
        for rival, goal in (("np.save", _LEAST), ("HDF5", None)):
            yield _rate(f"{what}: bulk write", size, written["ours"], written[rival], rival, goal)
        for rival, goal in (("np.load", _LEAST), ("HDF5", None)):
            yield _rate(f"{what}: full read", size, read["ours"], read[rival], rival, goal)
        for name, seconds in beside.items():
            yield record(f"{what}: {name}", float(np.median(seconds)), None, "", "s")


def _rate(
    case: str, size: float, ours: float, rival: float, rival_name: str, goal: float | None
) -> Record:
    if goal is None:
        return record(case, size / ours, size / rival, rival_name, "MB/s")
    return at_least(case, size / ours, size / rival, rival_name, "MB/s", goal)


def _write_ours(folder: Path, arrays: Arrays, beside: dict[str, list[float]]) -> float:
    store = folder / "ours.zarr"
    shutil.rmtree(store, ignore_errors=True)
    spec, block = spec_of(arrays), block_of(arrays)
    points = slice(0, spec.points)
    beside["lay out"].append(timed(lambda: create_site(store, SITE, spec)))
    seconds = timed(lambda: write_shard(store, SITE, 0, points, block, spec.digest))
    beside["publish"].append(timed(lambda: publish(store, SITE)))
    return seconds


def _read_ours(folder: Path, arrays: Arrays, beside: dict[str, list[float]]) -> float:
    opened: list[xr.Dataset] = []
    beside["open"].append(
        timed(lambda: opened.append(open_site(folder / "ours.zarr", SITE, lazy=False)))
    )
    return timed(lambda: [opened[0][name].to_numpy() for name in arrays])


def _write_npy(folder: Path, arrays: Arrays) -> float:
    return timed(lambda: [np.save(folder / f"{name}.npy", a) for name, a in arrays.items()])


def _write_hdf5(folder: Path, arrays: Arrays) -> float:
    def write() -> None:
        with h5py.File(folder / "rival.h5", "w") as file:
            for name, values in arrays.items():
                file.create_dataset(name, data=values)

    return timed(write)


def _read_hdf5(folder: Path, arrays: Arrays) -> float:
    def read() -> None:
        with h5py.File(folder / "rival.h5", "r") as file:
            for name in arrays:
                file[name][...]

    return timed(read)


def layouts(folder: Path, points: int, rounds: int) -> Iterator[Record]:
    """Chunks, shards and codecs for channels: writing, reading whole, and a random batch.

    By zarr alone, without what the store adds; reading also with the `zarrs` pipeline. Small chunks
    beside large ones show what a random batch of 256 rows costs in each.
    """
    csi = csi_arrays(points)["csi"][None]
    blosc = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=4)
    lz4 = BloscCodec(cname="lz4", clevel=1, shuffle="shuffle", typesize=4)
    block = min(points, 5000)
    cases = [
        ("plain, 8 MiB chunks (layout fast)", 1000, None, None),
        ("plain, 4 MiB chunks", 500, None, None),
        ("plain, 2 MiB chunks", 250, None, None),
        ("plain, 80 KiB chunks", 10, None, None),
        ("plain, 2 MiB chunks in shards of 5,000 rows", 250, block, None),
        ("zstd, 2 MiB chunks", 250, None, ZstdCodec(level=1)),
        ("blosc lz4 shuffle, 2 MiB chunks", 250, None, lz4),
        ("blosc zstd bitshuffle, 2 MiB chunks", 250, None, blosc),
        ("blosc zstd bitshuffle, 1 MiB chunks in shards (layout compact)", 125, block, blosc),
    ]
    rows = stream(SEED, "rows").choice(points, 256, replace=False)
    for name, chunk, shard, codec in cases:
        store = folder / "layout.zarr"
        tail = csi.shape[2:]

        def write(
            store: Path = store,
            chunks: tuple[int, ...] = (1, chunk, *tail),
            shards: tuple[int, ...] | None = None if shard is None else (1, shard, *tail),
            codec: object = codec,
        ) -> float:
            shutil.rmtree(store, ignore_errors=True)
            array = zarr.create_array(
                store=store, shape=csi.shape, dtype="c8", chunks=chunks, shards=shards,
                compressors=codec, fill_value=complex("nan"),
            ).with_config({"write_empty_chunks": True})  # fmt: skip
            return timed(lambda: array.__setitem__(..., csi))

        def read(pipeline: str, store: Path = store) -> float:
            with zarr.config.set({"codec_pipeline.path": pipeline}):
                array = zarr.open_array(store, mode="r")
                return timed(lambda: array[...])

        def batch(store: Path = store) -> float:
            array = zarr.open_array(store, mode="r")
            return timed(lambda: array.oindex[0, np.sort(rows)])

        python = "zarr.core.codec_pipeline.BatchedCodecPipeline"
        seconds = in_turn(
            {
                "write": write,
                "zarr": lambda read=read, p=python: read(p),
                "zarrs": lambda read=read: read("zarrs.ZarrsCodecPipeline"),
                "batch": batch,
            },
            rounds,
        )
        size = csi.nbytes / 1e6
        files = [path for path in store.rglob("*") if path.is_file()]
        yield record(
            f"layout of channels: {name}",
            size / seconds["zarrs"],
            size / seconds["zarr"],
            "zarr's own pipeline, read",
            "MB/s",
            write_mb_per_s=round(size / seconds["write"]),
            random_batches_per_s=round(1 / seconds["batch"], 1),
            files=len(files),
            compression=round(size * 1e6 / sum(path.stat().st_size for path in files), 2),
        )
