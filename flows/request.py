"""What a command that runs a study is given, checked before any work, and its folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from twin.errors import Fault, Gathered, InputError, refuse
from twin.scene.library import NOT_FOUND
from twin.store.layout import occupant_fault
from twin.store.location import storage

_STORE = "store.zarr"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


S = TypeVar("S", bound=_Named)


@dataclass(frozen=True)
class Request(Generic[S]):
    """What a command asks for, found sound.

    Attributes:
        study: what to do.
        folder: folder of real data sets, where one was named.
        out: folder of the results.
        store: path or URL of the store.
    """

    study: S
    folder: Path | None
    out: Path
    store: str


def read_request(
    load: Callable[[Path], S],
    folder_of: Callable[[S | None, Path | None], Path | None],
    faults_of: Callable[[S, Path | None], Sequence[Fault]],
    study_file: Path,
    given_data: Path | None,
    out: Path | None,
    store: str | None,
) -> Request[S]:
    """Read what a command names and check it whole; writes nothing.

    Args:
        load: reads a study's file.
        folder_of: the data folder of a study, or of one that could not be read, from the one given.
        faults_of: further faults of a study that could be read, with the data folder or none.
        study_file: YAML file of a study.
        given_data: data folder from the command line.
        out: folder of the results; ``out/`` and the study's name where not given.
        store: path or URL of the store; a folder in `out` where not given.

    Raises:
        InputError: every fault of study, data folder and output.
    """
    faults: list[Fault] = []
    study = folder = None
    with Gathered(faults):
        study = load(study_file)
    with Gathered(faults):
        folder = folder_of(study, given_data)
    if out is None and study is not None:
        out = Path("out") / study.name
    if out is not None:
        store = store_in(out, store)
        faults += output_faults(out, store)
    if study is not None:
        faults += faults_of(study, folder)
    if study is None or out is None or store is None or faults:
        raise InputError(faults)
    return Request(study, folder, out, store)


def scene_faults(faults: Sequence[Fault], where: str, key: str) -> list[Fault]:
    """Faults of reading a scene; that there is none of that name stands where it is named."""
    return [
        replace(fault, where=where, key=key) if fault.where == NOT_FOUND else fault
        for fault in faults
    ]


def store_in(out: Path, store: str | None) -> str:
    """Where the store of a run is: as named, else in its folder."""
    return store if store is not None else str(out.resolve() / _STORE)


def output_faults(out: Path, store: str) -> list[Fault]:
    """What keeps results from being written there; makes nothing."""
    expected = "a folder that can be written"
    there = out.absolute()
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    problem = ""
    if not there.is_dir():
        problem = f"{there} is not a folder"
    elif not os.access(there, os.W_OK | os.X_OK):
        problem = f"{there}: permission denied"
    if problem:
        return [Fault("--out", "", expected, f"{out} ({problem})")]
    faults: list[Fault] = []
    with Gathered(faults):
        fault = occupant_fault(storage(store))
        faults += [fault] if fault else []
    return faults


@contextmanager
def sole_run(out: Path) -> Iterator[None]:
    """Keep other runs out of the folder; the kernel lets go of it however this process ends.

    Raises:
        InputError: another run is using the folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            cure = "Wait for it, or name another folder."
            refuse([Fault("--out", "", "a folder that no other run is using", str(out), cure)])
        yield
