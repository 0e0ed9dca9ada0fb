"""Runs with several writer processes that can be killed at any moment, started in milliseconds.

A process that has imported what takes long, and has touched no store, forks each run: a coordinator
and its writers, one process group.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import SimpleNamespace

import dask.array
import obstore
import pandas as pd
import zarr.storage
import zarrs

from tests.integration.small_sites import SITE, make_block, write_jobs
from twin.errors import TwinError
from twin.store.spec import SiteSpec

WRITERS = 4
_IMPORTED = (dask.array, obstore, pd, zarr.storage, zarrs)
_BECOME_REAPER = 36  # PR_SET_CHILD_SUBREAPER


class Starter:
    """The process that forks runs; its methods are called in the process of the tests.

    Args:
        versioned: whether runs may write versioned stores. Icechunk has threads from its import on
            (since release 2), and they do not survive a fork: each process then imports it itself.
    """

    def __init__(self, *, versioned: bool = True) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, versioned), daemon=True)
        self._process.start()
        theirs.close()

    def start(self, store: str, spec: SiteSpec) -> int:
        """Start a run; gives its process group as soon as all its processes are there."""
        self._connection.send((store, spec))
        group: int = self._connection.recv()
        return group

    def end(self) -> list[tuple[int, str]]:
        """Wait until every process of the runs started is gone.

        Returns:
            Of each run the coordinator's exit code, minus the number of a signal, and the text of
            its refusal.
        """
        self._connection.send(None)
        outcomes: list[tuple[int, str]] = self._connection.recv()
        return outcomes

    def close(self) -> None:
        self._connection.close()
        self._process.join(10)
        self._process.kill()


def _serve(connection: Connection, versioned: bool) -> None:
    if not versioned:
        importlib.import_module("twin.store.writer")
    # Writers whose coordinator is gone become this process's own, so that it can wait for them.
    ctypes.CDLL(None).prctl(_BECOME_REAPER, 1)
    runs: dict[int, Connection] = {}
    while True:
        try:
            order = connection.recv()
        except EOFError:
            return
        if order is None:
            connection.send(_outcomes(runs))
            runs = {}
            continue
        store, spec = order
        # What is imported on first use would else be imported by every run.
        make_block(spec, SimpleNamespace(realisation=0, points=slice(0, 1)))
        gc.freeze()
        there, here = multiprocessing.Pipe(duplex=False)
        run = _fork(lambda store=store, spec=spec, here=here: _coordinate(store, spec, here))
        here.close()
        there.recv()
        runs[run] = there
        connection.send(run)


def _outcomes(runs: dict[int, Connection]) -> list[tuple[int, str]]:
    codes = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            child, status = os.wait()
            codes[child] = os.waitstatus_to_exitcode(status)
    outcomes = []
    for run, there in runs.items():
        text = ""
        with contextlib.suppress(EOFError):
            text = there.recv()
        there.close()
        outcomes.append((codes[run], text))
    return outcomes


def _fork(work: Callable[[], int]) -> int:
    """Process number of a child that does the work, which gives its exit code, and nothing else."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(code)


def _coordinate(store: str, spec: SiteSpec, starter: Connection) -> int:
    """What a run does: claim, lay out, let the writers do what is missing, publish."""
    os.setpgid(0, 0)
    # Forked before a store is touched: threads do not survive a fork.
    pipes = [multiprocessing.Pipe(duplex=False) for _ in range(WRITERS)]
    writers = [
        _fork(lambda number=number: _write(store, spec, number, pipes)) for number in range(WRITERS)
    ]
    from twin.store.writer import claimed, create_site, pending_jobs, publish

    starter.send(True)
    try:
        with claimed(store, SITE):
            create_site(store, SITE, spec)
            pending = pending_jobs(store, SITE)
            for number, (_, orders) in enumerate(pipes):
                orders.send(pending[number::WRITERS])
            for writer in writers:
                _, status = os.waitpid(writer, 0)
                if status:
                    raise ChildProcessError(f"a writer ended with {status}")
            publish(store, SITE)
    except TwinError as error:
        starter.send(str(error))
        return error.exit_code
    return 0


def _write(store: str, spec: SiteSpec, number: int, pipes) -> int:
    for _, orders in pipes:
        orders.close()
    # A coordinator that is refused ends without an order.
    with contextlib.suppress(EOFError):
        write_jobs(store, spec, pipes[number][0].recv())
    return 0


def kill(group: int) -> None:
    """Kill all processes of a run at once; no error where they have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
