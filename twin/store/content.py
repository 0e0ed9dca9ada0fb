"""Digests of content: of what a reader gets, not of the files that hold it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from blake3 import blake3

AnyArray = npt.NDArray[np.generic]

# A piece stays in a core's cache from the first look at it to its digest.
_PIECE_BYTES = 1 << 18
_PIECES_PER_TASK = 16
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
    """The same numbers, copied only where one of them has another spelling."""
    if numbers.dtype.kind != "f":
        return _Piece(numbers)
    unsigned = np.dtype(f"<u{numbers.dtype.itemsize}")
    bits = numbers.view(unsigned)
    finite = int(np.count_nonzero(np.isfinite(numbers)))
    nans, infinite, odd = 0, False, False
    if finite < numbers.size:
        # All canonical, or counted one by one.
        nans = int(np.count_nonzero(bits == np.array(np.nan, numbers.dtype).view(unsigned)))
        if finite + nans < numbers.size:
            canonical = nans
            nans = int(np.count_nonzero(np.isnan(numbers)))
            infinite, odd = finite + nans < numbers.size, nans > canonical
    minus_zero = unsigned.type(1 << (8 * unsigned.itemsize - 1))
    if odd or (bits == minus_zero).any():
        numbers = numbers.copy()
        numbers[np.isnan(numbers)] = np.nan
        numbers[numbers == 0] = 0
    return _Piece(numbers, nans > 0, infinite)


def variable_digest(values: AnyArray) -> str:
    """BLAKE3 over type, shape and canonical bytes of one variable."""
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
    digest of the digests of all pieces of 256 KiB, the first of which starts at the first block.
    Pieces are digested in parallel.

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
        for digests in _in_parallel(self._piece_digests, tasks):
            self._pieces.update(digests)
        self._append(self._look(numbers[tail:]))

    def _piece_digests(self, numbers: AnyArray) -> bytes:
        step = _PIECE_BYTES // numbers.dtype.itemsize
        pieces = (numbers[start : start + step] for start in range(0, numbers.size, step))
        return b"".join(blake3(self._look(piece)).digest() for piece in pieces)

    def _look(self, numbers: AnyArray) -> memoryview:
        piece = _canonical(numbers)
        self.nan |= piece.nan
        self.infinite |= piece.infinite
        return piece.numbers.view(np.uint8).data

    def _append(self, content: bytes | memoryview) -> None:
        self._rest += content
        while len(self._rest) >= _PIECE_BYTES:
            self._pieces.update(blake3(self._rest[:_PIECE_BYTES]).digest())
            del self._rest[:_PIECE_BYTES]

    def hexdigest(self, dtype: str, shape: tuple[int, ...]) -> str:
        """Digest of all blocks together with the variable's type and full shape."""
        whole = self._pieces.copy()
        whole.update(blake3(self._rest).digest())
        return json_digest([dtype, list(shape), whole.hexdigest()])


def _in_parallel(
    function: Callable[[AnyArray], bytes], tasks: Sequence[AnyArray]
) -> Iterator[bytes]:
    """Results in order; by threads where there is much to do."""
    if sum(task.nbytes for task in tasks) < _WORTH_THREADS_BYTES:
        yield from map(function, tasks)
    else:
        with ThreadPoolExecutor() as pool:
            yield from pool.map(function, tasks)


def canonical_json(content: object) -> str:
    """One spelling for equal content: sorted keys, no spaces, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def json_digest(content: object) -> str:
    """BLAKE3 of `canonical_json`."""
    return blake3(canonical_json(content).encode()).hexdigest()
