"""Files that learners are saved to: NumPy archives with a head that says what they hold."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from twin import atomic
from twin.errors import Fault, InputError, refuse

_HEAD = "head"


def write_archive(
    path: Path, head: Mapping[str, JsonValue], arrays: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Write head and arrays to one ``.npz`` file, which appears whole or not at all."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{_HEAD: np.array(json.dumps(head))}, **arrays)
    atomic.write_bytes(path, buffer.getvalue())


def read_archive(path: Path, head: Mapping[str, JsonValue]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a file that has exactly this head.

    Raises:
        InputError: not a file of `write_archive`, or one with another head; lists every difference.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        found = dict(json.loads(str(arrays.pop(_HEAD))))
    # A lone array is no context manager (TypeError); an empty file ends early (EOFError).
    except (
        OSError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(
            [Fault(str(path), "", "a learner saved by Fingertwin", str(error))]
        ) from error
    refuse(
        Fault(str(path), key, str(value), str(found.get(key, "nothing")))
        for key, value in head.items()
        if key not in found or found[key] != value
    )
    return arrays
