"""A job's values: checked against the spec, put in canonical order, written chunk by chunk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from zarr.abc.store import Store
from zarr.core.buffer import cpu

from twin.errors import StoreError
from twin.store.content import AnyArray, Examination, examine
from twin.store.layout import Job, array_of
from twin.store.packing import pack
from twin.store.schema import PACKED_CSI, PATH_VARIABLES, VARIABLES, DimensionName, Variable
from twin.store.spec import SiteSpec
from twin.store.storage import run
from twin.store.template import ArrayTemplate, static_values, template

_ANTENNAS: tuple[DimensionName, ...] = ("rx_antenna", "ap_antenna")
_PIECE_BYTES = 1 << 18
_STATUS_ABSENT = 3
_WRITES_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class Block:
    """What a job writes, known to fit.

    Args:
        values: arrays as they are stored, by name, without the realisation dimension.
        digests: of the arrays, by name.
    """

    values: dict[str, AnyArray]
    digests: dict[str, str]


def block_of(spec: SiteSpec, job: Job, dataset: xr.Dataset, where: str) -> Block:
    """A job's dataset in the stored types and canonical order, every number looked at.

    Raises:
        StoreError: the dataset does not fit; all problems in one message.
    """
    problems = [
        f"{name}: not a variable of the schema"
        for name in sorted(str(name) for name in dataset.variables)
        if name not in VARIABLES and name not in dataset.dims
    ]
    problems += _static_problems(spec, job, dataset)
    values: dict[str, AnyArray] = {}
    wanted = {"position", "status", *spec.variables}
    packed = {*PACKED_CSI.get(spec.precision, ())}
    if packed and packed <= {str(name) for name in dataset.variables}:
        # From a file or another store: as it is, with the error that it was packed with.
        wanted = (wanted - {"csi"}) | packed
    for name in sorted(wanted):
        problem = _take(VARIABLES[name], spec, job, dataset, values)
        if problem:
            problems.append(f"{name}: {problem}")
    if spec.precision != "complex64" and "csi" in values:
        values |= pack(values.pop("csi").astype(np.complex64, copy=False), spec.precision)
    values = in_canonical_order(values)
    status = values.get("status")
    digests = {}
    for name, block in values.items():
        seen = examine(block)
        digests[name] = seen.digest
        if status is not None:
            present = np.asarray(status != _STATUS_ABSENT)
            problem = value_problem(VARIABLES[name], block, present, seen)
            problems += [f"{name}: {problem}"] if problem else []
    if status is not None and not np.isin(status, (1, 2, 3)).all():
        problems.append(
            "status: a finished job leaves every point 1 (done), 2 (no path) or 3 (absent)"
        )
    if problems:
        lines = "\n".join(f"  - {text}" for text in problems)
        raise StoreError(f"{where}, {job.name(spec)}: refused:\n{lines}")
    return Block(values, digests)


def _take(
    variable: Variable,
    spec: SiteSpec,
    job: Job,
    dataset: xr.Dataset,
    values: dict[str, AnyArray],
) -> str:
    """Put one variable of the dataset among the values, or say why that cannot be."""
    if variable.name not in dataset:
        return "missing"
    array = dataset[variable.name]
    dims = variable.dims[1:] if variable.by_point else variable.dims[2:]
    sizes = {dim: spec.sizes[dim] for dim in dims}
    if variable.by_point:
        sizes["point"] = job.stop - job.start
    single = [dim for dim in _ANTENNAS if sizes.get(dim) == 1 and dim not in array.dims]
    found = {str(dim): size for dim, size in array.sizes.items()}
    if found | dict.fromkeys(map(str, single), 1) != dict(sizes):
        return f"expected {sizes}, found {found}"
    block = array.expand_dims(single).transpose(*dims).to_numpy()
    dtype = np.dtype(variable.dtype)
    if not np.can_cast(block.dtype, dtype, casting="same_kind"):
        return f"expected {dtype}, found {block.dtype}"
    with np.errstate(over="ignore"):
        values[variable.name] = block.astype(dtype, copy=False)
    return ""


def value_problem(
    variable: Variable, block: AnyArray, present: npt.NDArray[np.bool_], seen: Examination
) -> str:
    """What is wrong with the numbers of one variable: the first place, and how many there are.

    Args:
        variable: row of the schema.
        block: its values, without the realisation dimension.
        present: (point,) whether the realisation has the point.
        seen: the block's examination.
    """
    flags = variable.attrs.get("flag_values")
    wrong: npt.NDArray[np.bool_]
    if isinstance(flags, list):
        wrong = np.isin(block, np.array(flags), invert=True)
        expected = f"one of {', '.join(map(str, flags))}"
    elif seen.infinite or (seen.nan and not variable.nan):
        wrong = np.isinf(block) if variable.nan else ~np.isfinite(block)
        expected = "a finite number" + (" or NaN" if variable.nan else "")
        if variable.by_point:
            wrong[~present] = False
    else:
        return ""
    if not wrong.any():
        return ""
    place = tuple(int(index) for index in np.argwhere(wrong)[0])
    dims = variable.dims[1:] if variable.by_point else variable.dims[2:]
    named = ", ".join(f"{dim} {index}" for dim, index in zip(dims, place, strict=True))
    count = int(np.count_nonzero(wrong))
    return f"expected {expected}, found {block[place]} at {named} of the block ({count} in all)"


def _static_problems(spec: SiteSpec, job: Job, dataset: xr.Dataset) -> list[str]:
    problems = []
    if "ap" in dataset.coords:
        names = tuple(str(name) for name in dataset["ap"].to_numpy())
        if names != spec.access_points:
            problems.append(f"ap: expected {spec.access_points}, found {names}")
    if "subcarrier" in dataset.coords and spec.subcarriers:
        offsets = dataset["subcarrier"].to_numpy()
        if not _close(offsets, static_values(spec)["subcarrier"]):
            problems.append("subcarrier: not the offsets of the spec")
    if "ap_position" in dataset:
        planned = static_values(spec)["ap_position"][job.realisation]
        if not _close(dataset["ap_position"].to_numpy(), planned):
            problems.append("ap_position: not where the spec has them in this realisation")
    return problems


def _close(given: AnyArray, planned: AnyArray) -> bool:
    """Equal but for rounding on the way (a spacing divided and multiplied again)."""
    return given.shape == planned.shape and np.allclose(
        given, planned, rtol=1e-9, atol=1e-9, equal_nan=True
    )


def in_canonical_order(values: dict[str, AnyArray]) -> dict[str, AnyArray]:
    """Paths of every link by falling power (in single precision), ties by delay and amplitude."""
    gain = values.get("path_gain")
    if gain is None:
        return values
    paths = gain.shape[-1]
    links = gain.reshape(-1, paths)
    delay = values.get("delay", np.zeros(gain.shape)).reshape(-1, paths)
    rows = np.arange(len(links))
    step = max(1, _PIECE_BYTES // (8 * paths))
    pieces = [rows[start : start + step] for start in range(0, len(rows), step)]

    def unsorted(piece: AnyArray) -> bool:
        part = slice(piece[0], piece[-1] + 1)
        return not _sorted(links[part], delay[part])

    with ThreadPoolExecutor() as pool:
        if not any(pool.map(unsorted, pieces)):
            return values
    order = np.lexsort(
        (gain.imag, gain.real, np.nan_to_num(delay, nan=np.inf).reshape(gain.shape), -_power(gain)),
        axis=-1,
    )
    return values | {
        name: np.take_along_axis(values[name], order, axis=-1)
        for name in PATH_VARIABLES
        if name in values
    }


def _power(gain: AnyArray) -> npt.NDArray[np.float32]:
    single = gain.astype(np.complex64, copy=False)
    return np.asarray(single.real * single.real + single.imag * single.imag)


def _sorted(gain: AnyArray, delay: AnyArray) -> bool:
    """Whether the paths (link, path) stand in canonical order."""
    paths = gain.shape[1]
    power = _power(gain)
    # Neighbours in memory, which is quick, less the last path of a link and the first of the next.
    flat = power.ravel()
    before, after = flat[:-1], flat[1:]
    rising, tied = before < after, (before == after) & (after > 0)
    rising[paths - 1 :: paths] = False
    tied[paths - 1 :: paths] = False
    if rising.any():
        return False
    links = np.unique(np.flatnonzero(tied) // paths)
    keys = (
        gain.imag[links],
        gain.real[links],
        np.nan_to_num(delay[links], nan=np.inf),
        -power[links],
    )
    order = np.lexsort(keys, axis=-1)
    return bool((order == np.arange(paths)).all())


def write_block(
    group: zarr.Group,
    store: Store,
    site: str,
    spec: SiteSpec,
    job: Job,
    values: Mapping[str, AnyArray],
) -> None:
    """Write a job's values, whole chunks only; blocks of fill values too.

    A missing file then always means an unfinished job. Where a chunk's bytes in memory are those
    of its file, they go to the storage as they are, without a copy.
    """
    arrays = template(spec)
    plain: list[tuple[str, AnyArray]] = []
    for name, block in values.items():
        array = arrays[name]
        if array.variable.by_block:
            place: tuple[int, int | slice] = (job.realisation, job.block(spec))
        else:
            place = (job.realisation, job.points)
            if array.plain:
                plain += [
                    (f"{site}/{name}/{key}", chunk)
                    for key, chunk in plain_chunks(array, job, block)
                ]
                continue
        stored = array_of(group, name).with_config({"write_empty_chunks": True})
        stored[place] = block
    run(lambda: _set_all(store, plain))


def plain_chunks(array: ArrayTemplate, job: Job, block: AnyArray) -> Iterator[tuple[str, AnyArray]]:
    """Keys and contents of the chunks of a block; the last may overhang the end of the array."""
    rows = array.chunks[1]
    inner = "/0" * (len(array.chunks) - 2)
    little = block.astype(block.dtype.newbyteorder("<"), order="C", copy=False)
    for start in range(0, len(little), rows):
        chunk = little[start : start + rows]
        if len(chunk) < rows:
            padding = np.full((rows - len(chunk), *chunk.shape[1:]), array.fill, chunk.dtype)
            chunk = np.concatenate([chunk, padding])
        yield f"c/{job.realisation}/{(job.start + start) // rows}{inner}", chunk


async def _set_all(store: Store, chunks: list[tuple[str, AnyArray]]) -> None:
    free = asyncio.Semaphore(_WRITES_AT_ONCE)

    async def put(key: str, chunk: AnyArray) -> None:
        async with free:
            await store.set(key, cpu.Buffer.from_array_like(chunk.reshape(-1).view(np.uint8)))

    results = await asyncio.gather(*(put(*chunk) for chunk in chunks), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
