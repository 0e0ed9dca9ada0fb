"""NumPy's .npz archives written and read a piece at a time.

`numpy.load` and `numpy.savez` hold whole arrays; the format itself (a zip of .npy files) does not
ask for that. No pickles, neither written nor read.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, InputError
from twin.store.content import AnyArray

# What a damaged archive or array raises.
READ_ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
_SUFFIX = ".npy"
# Equal content gives equal files.
_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Header:
    """What a .npy file says of its array."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    fortran_order: bool


class NpzWriter:
    """An archive to which arrays are added one after the other.

    Args:
        file: the archive, opened for writing.
        compress: deflate the arrays.
    """

    def __init__(self, file: zipfile.ZipFile, *, compress: bool) -> None:
        self._file = file
        self._method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED

    def write(
        self, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...], blocks: Iterable[AnyArray]
    ) -> None:
        """Add an array that comes in blocks, in C order.

        Raises:
            ValueError: the blocks do not fill the shape.
        """
        with self.opened(name, dtype, shape) as append:
            for block in blocks:
                append.write(block)

    @contextmanager
    def opened(
        self, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]
    ) -> Iterator[ArrayWriter]:
        """An array of the archive, open for its blocks; one at a time; errors as `write`."""
        info = zipfile.ZipInfo(name + _SUFFIX, _TIME)
        info.compress_type = self._method
        info.external_attr = 0o644 << 16
        with self._file.open(info, "w", force_zip64=True) as stream:
            writer = ArrayWriter(stream, np.dtype(dtype), shape)
            yield writer
            writer.finish(name)


class ArrayWriter:
    """One array of an archive, in writing."""

    def __init__(
        self, stream: IO[bytes], dtype: np.dtype[np.generic], shape: tuple[int, ...]
    ) -> None:
        self._stream = stream
        self._dtype = dtype.newbyteorder("<")
        self._left = int(np.prod(shape, dtype=np.int64))
        descr = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)

    def write(self, block: AnyArray) -> None:
        """Append a block."""
        plain = np.ascontiguousarray(block, dtype=self._dtype)
        self._left -= plain.size
        self._stream.write(plain.reshape(-1).view(np.uint8).data)

    def finish(self, name: str) -> None:
        """Check that nothing is missing."""
        if self._left:
            raise ValueError(f"{name}: {self._left} numbers fewer than its shape says")


class NpzReader:
    """An archive opened for reading; every array is read forwards, in any order of arrays.

    Args:
        path: the archive.

    Raises:
        InputError: not a zip archive, or an array that cannot be read without running code.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._streams: dict[str, tuple[IO[bytes], int]] = {}
        self._whole: dict[str, AnyArray] = {}
        try:
            self._file = zipfile.ZipFile(path)
            self.headers = {
                name.removesuffix(_SUFFIX): self._header(name)
                for name in self._file.namelist()
                if name.endswith(_SUFFIX)
            }
        except READ_ERRORS as error:
            raise self._damaged(error) from error

    def close(self) -> None:
        """Let go of the file."""
        for stream, _ in self._streams.values():
            stream.close()
        self._file.close()

    def whole(self, name: str) -> AnyArray:
        """A whole array."""
        header = self.headers[name]
        flat = self.read(name, 0, int(np.prod(header.shape, dtype=np.int64)))
        return flat.reshape(header.shape)

    def read(self, name: str, start: int, count: int) -> AnyArray:
        """`count` numbers of an array from number `start` on, in C order, (count,).

        Raises:
            InputError: the archive ends too early or does not bear out its checksum.
        """
        header = self.headers[name]
        try:
            if header.fortran_order:
                return self._from_fortran(name)[start : start + count]
            return self._from_stream(name, header, start, count)
        except READ_ERRORS as error:
            raise self._damaged(error) from error

    def _from_stream(self, name: str, header: Header, start: int, count: int) -> AnyArray:
        stream, position = self._streams.get(name, (None, 0))
        if stream is None or position > start:
            if stream is not None:
                stream.close()
            stream, position = self._file.open(name + _SUFFIX), 0
            self._streams[name] = stream, 0
            _read_header(stream)
        size = header.dtype.itemsize
        stream.seek((start - position) * size, 1)
        values = np.empty(count, dtype=header.dtype)
        room = values.view(np.uint8).data if count and size else memoryview(b"")
        filled = 0
        while filled < len(room):
            content = stream.read(min(1 << 20, len(room) - filled))
            if not content:
                raise EOFError(f"{name} ends after {filled} bytes of {len(room)}")
            room[filled : filled + len(content)] = content
            filled += len(content)
        # The checksum is looked at behind the last byte.
        if start + count == int(np.prod(header.shape, dtype=np.int64)) and stream.read(1):
            raise ValueError(f"{name} has more bytes than its shape says")
        self._streams[name] = stream, start + count
        return values

    def _from_fortran(self, name: str) -> AnyArray:
        # Its rows lie scattered: only the whole array can be read.
        if name not in self._whole:
            with self._file.open(name + _SUFFIX) as stream:
                self._whole[name] = np.lib.format.read_array(stream, allow_pickle=False).reshape(-1)
        return self._whole[name]

    def _header(self, name: str) -> Header:
        with self._file.open(name) as stream:
            header = _read_header(stream)
        if header.dtype.hasobject:
            raise ValueError(f"{name} holds Python objects, which are not read")
        return header

    def _damaged(self, error: Exception) -> InputError:
        text = str(error).strip() or type(error).__name__
        cure = "Fetch or export it anew."
        return InputError([Fault(str(self._path), "", "an .npz archive, whole", text, cure)])


def _read_header(stream: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"a .npy of version {version}")
    shape, fortran_order, dtype = read(stream)
    # One axis lies the same way in both orders.
    return Header(dtype, tuple(shape), bool(fortran_order) and len(shape) > 1)
