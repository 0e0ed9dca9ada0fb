"""Batches shrink where memory ends, and nothing else changes."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest

from tests.unit.sionna_meshes import box, scene
from twin.errors import TraceError
from twin.trace import backend, memory, solver
from twin.trace.engine import TraceSettings
from twin.trace.memory import in_batches
from twin.trace.paths import PathList, tabulate
from twin.trace.reuse import ChainMemory
from twin.trace.specular import Tracker

backend.prepare()

import drjit as dr  # noqa: E402

POINTS = np.column_stack([np.arange(1.0, 24.0), np.zeros(23), np.zeros(23)])
OUT_OF_MEMORY = [
    MemoryError(),
    RuntimeError("jit_malloc(): out of memory! Could not allocate 6442450944 bytes of memory."),
    RuntimeError("cuMemAlloc: Out Of Memory"),
]


def traced(points):
    """One path a point; its delay tells the point."""
    count = len(points)
    angle = np.zeros(count, dtype=np.float32)
    paths = PathList(
        point=np.arange(count),
        access_point=np.zeros(count, dtype=np.int64),
        gain=np.ones(count, dtype=np.complex64),
        transfer=np.ones((count, 2, 2), dtype=np.complex64),
        delay_s=points[:, 0].copy(),
        aoa_azimuth=angle,
        aoa_zenith=angle,
        aod_azimuth=angle,
        aod_zenith=angle,
        interactions=np.zeros(count, dtype=np.int32),
        seen_once=np.zeros(count, dtype=np.bool_),
    )
    return tabulate(paths, count, 1, 1)


class Machine:
    """Solves up to so many points at once, and notes the batches it was given."""

    def __init__(self, room, error):
        self.room, self.error = room, error
        self.asked, self.done = [], []

    def __call__(self, points):
        self.asked.append(len(points))
        if len(points) > self.room:
            raise self.error
        self.done.extend(points[:, 0].tolist())
        return traced(points)


@pytest.mark.parametrize("size", [1, 4, 23, 1000])
def test_every_point_once_and_in_order(size):
    machine = Machine(10**9, None)
    table = in_batches(machine, POINTS, size)
    assert table.delay_s.ravel().tolist() == POINTS[:, 0].tolist() == machine.done
    assert max(machine.asked) == min(size, len(POINTS))


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["numpy", "drjit", "cuda"])
@pytest.mark.parametrize("room", [1, 2, 5, 22])
@pytest.mark.parametrize("size", [3, 8, 16_384])
def test_batches_are_halved_until_they_fit_and_nothing_is_lost(
    error, room, size, caplog, monkeypatch
):
    # Giving memory back takes its time, and none is held here.
    monkeypatch.setattr(memory, "release", lambda: None)
    machine = Machine(room, error)
    with caplog.at_level(logging.WARNING, logger="twin"):
        table = in_batches(machine, POINTS, size)
    assert table.delay_s.ravel().tolist() == POINTS[:, 0].tolist() == machine.done
    failed = [count for count in machine.asked if count > room]
    assert len(caplog.records) == len(failed)
    # Each failure halves what was tried: no more than the logarithm of the batch.
    assert len(failed) <= np.ceil(np.log2(min(size, len(POINTS))))
    assert all(later <= (count + 1) // 2 for count, later in itertools.pairwise(failed))


def test_the_log_says_how_it_goes_on(caplog):
    with caplog.at_level(logging.WARNING, logger="twin"):
        in_batches(Machine(6, MemoryError()), POINTS, 12)
    assert [r.getMessage() for r in caplog.records] == [
        "out of memory: going on with 6 receivers at a time"
    ]


def test_memory_is_given_back_before_the_next_try(monkeypatch):
    given_back = []
    monkeypatch.setattr(memory, "release", lambda: given_back.append(True))
    in_batches(Machine(3, MemoryError()), POINTS, 20)
    assert len(given_back) == 3


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["numpy", "drjit", "cuda"])
def test_a_machine_too_small_for_one_receiver_is_told_so(error):
    machine = Machine(0, error)
    with pytest.raises(TraceError, match="does not suffice to trace one receiver: lower max_depth"):
        in_batches(machine, POINTS, 8)
    assert machine.asked == [8, 4, 2, 1]


@pytest.mark.parametrize(
    "error", [RuntimeError("compute_surface_interaction(): not implemented"), ValueError("no")]
)
def test_other_errors_pass(error):
    machine = Machine(2, error)
    with pytest.raises(type(error), match=str(error).partition("(")[0]):
        in_batches(machine, POINTS, 8)
    assert machine.asked == [8]


def test_release_leaves_results_alone():
    table = traced(POINTS)
    memory.release()
    assert table.delay_s.ravel().tolist() == POINTS[:, 0].tolist()


ROOM = box([0, 0, 0], [6, 4, 3])
TRANSMITTERS = np.array([[1.0, 1.2, 2.1], [4.5, 3.1, 1.4]])
RECEIVERS = np.random.default_rng(1).uniform(0.5, [5.5, 3.5, 2.5], (9, 3))
SETTINGS = TraceSettings(max_depth=2, refraction=False, rays_per_round=20_000, max_paths=30)


@pytest.fixture(scope="module")
def built():
    return scene(room=ROOM)


@pytest.fixture
def sizes(monkeypatch):
    """Receivers that each transmitter's paths were searched for at once."""
    noted = []

    def noting(solve, points, size):
        noted.append(size)
        return in_batches(solve, points, size)

    monkeypatch.setattr(solver, "in_batches", noting)
    return noted


@pytest.mark.parametrize("memory_gib", [0.05, 0.5, 2.0, 64.0])
def test_batches_follow_the_memory_allowed(built, sizes, monkeypatch, memory_gib):
    monkeypatch.setattr(solver, "_PAIR_BYTES", 24 * 2**10)
    monkeypatch.setattr(solver, "_MOST_RECEIVERS", 10**6)
    settings = SETTINGS.model_copy(update={"memory_gib": memory_gib})
    solution = solver.solve_chains(built, TRANSMITTERS, RECEIVERS, settings)
    largest = max(np.bincount(chains.order).max() for chains in solution.chains)
    assert largest == 30
    allowed = memory_gib * 2**30 / (24 * 2**10) / largest
    assert len(sizes) == len(TRANSMITTERS)
    assert all(allowed / 4 < size <= allowed for size in sizes)


def test_there_is_an_end_to_batches_whatever_the_memory(built, sizes):
    settings = SETTINGS.model_copy(update={"memory_gib": 1024.0})
    solver.solve_chains(built, TRANSMITTERS, RECEIVERS, settings)
    assert set(sizes) == {solver._MOST_RECEIVERS}


def test_a_memory_too_small_for_one_receiver_names_the_cure(built):
    settings = SETTINGS.model_copy(update={"memory_gib": 1e-6})
    with pytest.raises(TraceError) as error:
        solver.solve_chains(built, TRANSMITTERS, RECEIVERS, settings)
    message = str(error.value)
    assert "30 chains" in message
    assert "memory_gib allows 1e-06: raise it, or lower max_depth" in message


def content(table):
    return {name: getattr(table, name).tobytes() for name in table.__dataclass_fields__}


def test_a_trace_that_runs_out_of_memory_gives_the_same_in_the_end(built, monkeypatch):
    whole = solver.solve_chains(built, TRANSMITTERS, RECEIVERS, SETTINGS).table
    valid = Tracker.valid

    def limited(tracker, pairs, receivers):
        # Only once some paths of the batch are there.
        if tracker.group.order == 2 and dr.width(receivers) > 2:
            raise RuntimeError("jit_malloc(): out of memory")
        return valid(tracker, pairs, receivers)

    monkeypatch.setattr(Tracker, "valid", limited)
    monkeypatch.setattr(solver, "_MEMORY", ChainMemory(capacity=4))
    assert content(solver.solve_chains(built, TRANSMITTERS, RECEIVERS, SETTINGS).table) == content(
        whole
    )
