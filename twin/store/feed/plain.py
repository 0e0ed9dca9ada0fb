"""Reading plain chunks of a store in a folder straight into memory that is there already.

Zarr gives every read fresh memory, which costs more than the reading itself: the system must clear
each page of it. And it reads chunks whole. A plain chunk is a file with the values as they are in
memory, so any of its points can be read where they are wanted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from zarr.codecs import BytesCodec
from zarr.core.metadata import ArrayV3Metadata
from zarr.storage import LocalStore

from twin.store.layout import StoredArray


class PlainFiles:
    """The files of an array whose chunks are plain and hold all of a point."""

    def __init__(self, folder: Path, metadata: ArrayV3Metadata, chunks: tuple[int, ...]) -> None:
        """Use `plain_files`, which checks that the array is such a one."""
        self._folder = folder
        self._metadata = metadata
        self._chunk_points = chunks[1]
        self._inner = (0,) * (len(chunks) - 2)

    def read(self, realisation: int, start: int, out: npt.NDArray[np.generic]) -> None:
        """Fill `out` (point, ...), contiguous, with the points from `start` on.

        Raises:
            OSError: a file is missing, shorter than it should be, or cannot be read.
        """
        rest = out.reshape(-1).view(np.uint8).data
        point_bytes = len(rest) // len(out)
        while rest:
            number, inside = divmod(start, self._chunk_points)
            points = min(self._chunk_points - inside, len(rest) // point_bytes)
            key = self._metadata.encode_chunk_key((realisation, number, *self._inner))
            _fill(self._folder / key, inside * point_bytes, rest[: points * point_bytes])
            rest = rest[points * point_bytes :]
            start += points


def _fill(path: Path, offset: int, memory: memoryview) -> None:
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while memory:
            got = file.readinto(memory)
            if not got:
                raise OSError(f"the file ends {len(memory)} bytes too soon")
            memory = memory[got:]


def plain_files(array: StoredArray) -> PlainFiles | None:
    """The files of an array; None where they are not plain, or not in a folder."""
    store, metadata = array.store, array.metadata
    if not isinstance(store, LocalStore) or not isinstance(metadata, ArrayV3Metadata):
        return None
    whole_points = array.chunks[0] == 1 and array.chunks[2:] == array.shape[2:]
    as_in_memory = (
        np.dtype(array.dtype).kind in "biufc"
        and [type(codec) for codec in metadata.codecs] == [BytesCodec]
        and metadata.codecs[0] in (BytesCodec(endian=sys.byteorder), BytesCodec(endian=None))
    )
    if not whole_points or not as_in_memory:
        return None
    return PlainFiles(store.root / array.path, metadata, array.chunks)
