"""NumPy archives whose arrays have known types and shapes."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.errors import Fault
from twin.measured.data_set import DataFile
from twin.measured.tables import Content, digest_faults, read_content

Arrays = dict[str, npt.NDArray[Any]]

_CURE = "Fetch the file anew."
_KINDS = {"i": "whole numbers", "f": "floating-point numbers", "U": "text"}


@dataclass(frozen=True)
class Expected:
    """What an array must be.

    Args:
        kind: NumPy's letter: ``i`` (signed whole numbers), ``f`` or ``U``.
        shape: a number, or a name that stands for the same length in all arrays.
    """

    kind: str
    shape: tuple[int | str, ...]


def read_npz(
    folder: Path, file: DataFile, expected: Mapping[str, Expected], faults: list[Fault]
) -> tuple[Content, Arrays] | None:
    """The arrays of an archive, checked for type, shape, finite numbers and the file's digest.

    Args:
        folder: that holds the file.
        file: its name and digest.
        expected: the arrays to read, by name.
        faults: gets what is wrong.

    Returns:
        The content and its arrays; None where they cannot be used. A wrong digest alone is a fault,
        but leaves them to further checks, which say more about what is wrong.
    """
    content = read_content(folder, file, faults)
    if content is None:
        return None
    where = str(content.path)
    try:
        with np.load(io.BytesIO(content.data), allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            found = {name: archive[name] for name in expected if name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        faults.append(Fault(where, "", "a whole NumPy archive (.npz)", str(error), _CURE))
        return None
    own = _array_faults(where, expected, found)
    faults += own or digest_faults(content, file)
    return None if own else (content, found)


def _array_faults(where: str, expected: Mapping[str, Expected], found: Arrays) -> list[Fault]:
    faults = []
    sizes: dict[str, int] = {}
    for name, rule in expected.items():
        if name not in found:
            faults.append(Fault(where, name, "an array of this name", "none", _CURE))
            continue
        array = found[name]
        if array.dtype.kind != rule.kind:
            faults.append(Fault(where, name, _KINDS[rule.kind], str(array.dtype), _CURE))
        shape = tuple(
            sizes.setdefault(size, length) if isinstance(size, str) else size
            for size, length in zip(rule.shape, array.shape, strict=False)
        )
        if array.ndim != len(rule.shape) or array.shape != shape:
            wanted = str(shape) if array.ndim == len(rule.shape) else f"{len(rule.shape)} axes"
            faults.append(Fault(where, name, wanted, f"the shape {array.shape}", _CURE))
        elif array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = np.unravel_index(int(np.argmin(np.isfinite(array))), array.shape)
            place = f"{name}{[int(index) for index in bad]}"
            faults.append(Fault(where, place, "a finite number", str(array[bad]), _CURE))
    return faults


def range_fault(
    where: str, name: str, values: npt.NDArray[Any], low: float, high: float
) -> list[Fault]:
    """The first value outside a range, if there is one."""
    bad = np.flatnonzero((values < low) | (values > high))
    if not bad.size:
        return []
    place = [int(index) for index in np.unravel_index(int(bad[0]), values.shape)]
    found = f"{values.flat[bad[0]]} ({bad.size} in all)"
    return [Fault(where, f"{name}{place}", f"a number from {low:g} to {high:g}", found, _CURE)]
