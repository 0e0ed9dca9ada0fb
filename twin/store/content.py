"""Digests of content: of what a reader gets, not of the files that hold it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from xxhash import xxh3_128

AnyArray = npt.NDArray[np.generic]

# A piece stays in a core's cache from the first look at it to its digest.
_PIECE_BYTES = 1 << 20
_PIECES_PER_TASK = 4
# From here on the pieces of a block are worth the start of some threads.
_WORTH_THREADS_BYTES = 1 << 23


def canonical_pieces(values: AnyArray) -> Iterator[memoryview | bytes]:
    """C-ordered little-endian bytes; every NaN is the same NaN and minus zero is zero."""
    if values.dtype.kind in "OTU":
        yield _text_bytes(values)
        return
    numbers = _plain_numbers(values)
    step = max(1, _PIECE_BYTES // numbers.dtype.itemsize)
    for start in range(0, numbers.size, step):
        yield _canonical(numbers[start : start + step]).numbers.view(np.uint8).data


def _text_bytes(values: AnyArray) -> bytes:
    """Every text with its length before it."""
    texts = (str(value).encode() for value in values.ravel())
    return b"".join(len(text).to_bytes(8, "little") + text for text in texts)


def _plain_numbers(values: AnyArray) -> AnyArray:
    """All numbers in C order, a complex one as two."""
    flat = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).reshape(-1)
    if flat.dtype.kind == "c":
        return flat.view(np.dtype(f"<f{flat.dtype.itemsize // 2}"))
    return flat


@dataclass(frozen=True, eq=False)
class _Piece:
    """Numbers in canonical spelling, and what is among them."""

    numbers: AnyArray
    nan: bool = False
    infinite: bool = False


def _canonical(numbers: AnyArray) -> _Piece:
    """The same numbers, copied only where one of them has another spelling.

    The common case, all finite and no minus zero, is told by three reductions without an array of
    answers.
    """
    if numbers.dtype.kind != "f" or not numbers.size:
        return _Piece(numbers)
    signed = np.dtype(f"<i{numbers.dtype.itemsize}")
    # The bits of minus zero are those of the smallest integer, which no other number has.
    minus_zero = numbers.view(signed).min() == np.iinfo(signed).min
    nans, infinite, odd = 0, False, False
    if not (np.isfinite(numbers.max()) and np.isfinite(numbers.min())):
        finite = int(np.count_nonzero(np.isfinite(numbers)))
        if finite < numbers.size:
            nan = np.array(np.nan, numbers.dtype).view(signed)
            nans = int(np.count_nonzero(numbers.view(signed) == nan))
        if finite + nans < numbers.size:
            canonical = nans
            nans = int(np.count_nonzero(np.isnan(numbers)))
            infinite, odd = finite + nans < numbers.size, nans > canonical
    if odd or minus_zero:
        numbers = numbers.copy()
        numbers[np.isnan(numbers)] = np.nan
        numbers[numbers == 0] = 0
    return _Piece(numbers, nans > 0, infinite)


def variable_digest(values: AnyArray) -> str:
    """Digest over type, shape and canonical bytes of one variable; see `StreamDigest`."""
    return examine(values).digest


@dataclass(frozen=True)
class Examination:
    """What one look at all numbers of a variable tells.

    Args:
        digest: see `variable_digest`.
        nan: whether some number is NaN.
        infinite: whether some number is infinite.
    """

    digest: str
    nan: bool
    infinite: bool


def examine(values: AnyArray) -> Examination:
    """Digest of a variable, and whether its numbers are finite."""
    stream = StreamDigest()
    stream.update(values)
    digest = stream.hexdigest(_type_name(values), values.shape)
    return Examination(digest, stream.nan, stream.infinite)


def joint_digest(digests: Mapping[str, str]) -> str:
    """One digest for several named ones, independent of their order."""
    return json_digest(dict(digests))


def _type_name(values: AnyArray) -> str:
    return "string" if values.dtype.kind in "OTU" else values.dtype.newbyteorder("<").str


class StreamDigest:
    """Digest of a variable that arrives block by block along its outer dimensions.

    Blocks in canonical order give the digest that does not depend on where they were cut: it is the
    BLAKE3 of the XXH3 digests of all pieces of 1 MiB, the first of which starts at the first block.
    Pieces are digested in parallel. It tells damage and mistakes, but not a forgery.

    Attributes:
        nan: whether some number so far was NaN.
        infinite: whether some number so far was infinite.
    """

    def __init__(self) -> None:
        self.nan = False
        self.infinite = False
        self._pieces = blake3()
        self._rest = bytearray()

    def update(self, block: AnyArray) -> None:
        """Append the next block."""
        if block.dtype.kind in "OTU":
            self._append(_text_bytes(block))
            return
        numbers = _plain_numbers(block)
        size = numbers.dtype.itemsize
        head = (_PIECE_BYTES - len(self._rest)) // size if self._rest else 0
        tail = max(head, numbers.size - (numbers.size - head) % (_PIECE_BYTES // size))
        if head:
            self._append(self._look(numbers[:head]))
        step = _PIECE_BYTES // size
        many = step * _PIECES_PER_TASK
        tasks = [numbers[start : min(start + many, tail)] for start in range(head, tail, many)]
        self._pieces.update(_in_parallel(self._piece_digests, tasks))
        self._append(self._look(numbers[tail:]))

    def _piece_digests(self, numbers: AnyArray) -> bytes:
        step = _PIECE_BYTES // numbers.dtype.itemsize
        pieces = (numbers[start : start + step] for start in range(0, numbers.size, step))
        return b"".join(xxh3_128(self._look(piece)).digest() for piece in pieces)

    def _look(self, numbers: AnyArray) -> memoryview:
        piece = _canonical(numbers)
        self.nan |= piece.nan
        self.infinite |= piece.infinite
        return piece.numbers.view(np.uint8).data

    def _append(self, content: bytes | memoryview) -> None:
        self._rest += content
        while len(self._rest) >= _PIECE_BYTES:
            self._pieces.update(xxh3_128(self._rest[:_PIECE_BYTES]).digest())
            del self._rest[:_PIECE_BYTES]

    def hexdigest(self, dtype: str, shape: tuple[int, ...]) -> str:
        """Digest of all blocks together with the variable's type and full shape."""
        whole = self._pieces.copy()
        whole.update(xxh3_128(self._rest).digest())
        return json_digest([dtype, list(shape), whole.hexdigest()])


def _in_parallel(function: Callable[[AnyArray], bytes], tasks: Sequence[AnyArray]) -> bytes:
    """Results joined in order; by a thread a core where there is much to do."""

    def results(part: Sequence[AnyArray]) -> bytes:
        return b"".join(map(function, part))

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if cores == 1 or sum(task.nbytes for task in tasks) < _WORTH_THREADS_BYTES:
        return results(tasks)
    step = -(-len(tasks) // cores)
    first, *others = (tasks[start : start + step] for start in range(0, len(tasks), step))
    with ThreadPoolExecutor(cores) as pool:
        coming = [pool.submit(results, part) for part in others]
        return b"".join([results(first), *(part.result() for part in coming)])


def canonical_json(content: object) -> str:
    """One spelling for equal content: sorted keys, no spaces, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def json_digest(content: object) -> str:
    """BLAKE3 of `canonical_json`."""
    return blake3(canonical_json(content).encode()).hexdigest()
