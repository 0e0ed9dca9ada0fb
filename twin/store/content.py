"""Digests of content: of what a reader gets, not of the files that hold it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from twin.store.schema import json_digest

AnyArray = npt.NDArray[np.generic]


def canonical_bytes(values: AnyArray) -> bytes:
    """C-ordered little-endian bytes; every NaN is the same NaN and minus zero is zero."""
    if values.dtype.kind in "OTU":
        return b"".join(
            len(text).to_bytes(8, "little") + text
            for text in (str(value).encode() for value in values.ravel())
        )
    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    if values.dtype.kind == "c":
        values = values.view(np.dtype(f"<f{values.dtype.itemsize // 2}"))
    if values.dtype.kind == "f":
        numbers = values.astype(values.dtype, copy=True)
        numbers[np.isnan(numbers)] = np.nan
        numbers[numbers == 0] = 0
        return numbers.tobytes()
    return values.tobytes()


def variable_digest(values: AnyArray) -> str:
    """SHA-256 over type, shape and canonical bytes of one variable."""
    head = f"{_type_name(values)}{values.shape}".encode()
    return hashlib.sha256(head + canonical_bytes(values)).hexdigest()


def joint_digest(digests: Mapping[str, str]) -> str:
    """One digest for several named ones, independent of their order."""
    return json_digest(dict(digests))


def _type_name(values: AnyArray) -> str:
    return "string" if values.dtype.kind in "OTU" else values.dtype.newbyteorder("<").str


class StreamDigest:
    """Digest of a variable that arrives block by block along its outer dimensions.

    Blocks in canonical order give the digest that does not depend on where they were cut.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, block: AnyArray) -> None:
        """Append the next block."""
        self._hash.update(canonical_bytes(block))

    def hexdigest(self, dtype: str, shape: tuple[int, ...]) -> str:
        """Digest of all blocks together with the variable's type and full shape."""
        return json_digest([dtype, list(shape), self._hash.hexdigest()])
