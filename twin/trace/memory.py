"""Work in batches that fit the memory."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from twin.errors import TraceError
from twin.trace import backend
from twin.trace.paths import PathTable, join

backend.prepare()

import drjit as dr  # noqa: E402

_log = logging.getLogger("twin")


def in_batches(
    solve: Callable[[npt.NDArray[np.float64]], PathTable],
    points: npt.NDArray[np.float64],
    size: int,
) -> PathTable:
    """Solve points (n, 3), `size` at a time; fewer from where memory ran out.

    Raises:
        TraceError: memory does not suffice for a single point.
    """
    tables = []
    start = 0
    while start < len(points):
        try:
            tables.append(solve(points[start : start + size]))
            start += size
            continue
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            if size == 1:
                raise TraceError(
                    "the memory of this machine does not suffice to trace one receiver: lower "
                    f"max_depth or memory_gib ({' '.join(str(error).split())[:200]})"
                ) from error
        # Here the error, and with it the arrays of the failed batch, is gone.
        size = (min(size, len(points) - start) + 1) // 2
        _log.warning("out of memory: going on with %d receivers at a time", size)
        release()
    return join(tables, axis=0)


def release() -> None:
    """Give back memory that Dr.Jit keeps for reuse."""
    gc.collect()
    dr.flush_malloc_cache()


def _out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "jit_malloc" in text
