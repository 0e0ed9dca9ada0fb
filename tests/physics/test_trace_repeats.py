"""Results depend on the scene and the point, on nothing else."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.physics import rooms
from twin.trace import backend, solver
from twin.trace.engine import TraceSettings, trace
from twin.trace.reuse import ChainMemory

backend.prepare()

import drjit as dr  # noqa: E402

ROOT = Path(__file__).parents[2]
SETTINGS = TraceSettings(max_depth=2, max_paths=60, rays_per_round=100_000, stock_samples=200_000)


def furnished():
    return rooms.room(
        floor="concrete",
        sides="plasterboard",
        ceiling="concrete",
        walls=[rooms.wall("screen", 6.0)],
        furniture=[
            rooms.box("desk", [3.0, 5.0], [1.6, 0.8, 0.75], "plasterboard"),
            rooms.box("cupboard", [8.0, 2.0], [0.5, 1.2, 2.0], "metal"),
        ],
        access_points=[
            rooms.access_point("A", [1.0, 1.0, 2.5]),
            rooms.access_point("B", [9.0, 7.0, 2.5], "dipole"),
        ],
    )


POINTS = np.array([[2.1 + i, 1.6 + (i * 7 % 5), 1.2] for i in range(7)])


def content(dataset) -> str:
    total = hashlib.sha256()
    for name in sorted(dataset.data_vars):
        total.update(np.ascontiguousarray(dataset[name].values).tobytes())
    return total.hexdigest()


@pytest.fixture(scope="module")
def together():
    return trace(furnished(), SETTINGS, POINTS)


def test_a_point_alone_is_the_point_among_others(together):
    for point in range(len(POINTS)):
        alone = trace(furnished(), SETTINGS, POINTS[point : point + 1])
        assert content(alone) == content(together.isel(point=slice(point, point + 1)))


@pytest.mark.parametrize("order", [[6, 5, 4, 3, 2, 1, 0], [2, 5, 0], [4, 4, 1]])
def test_points_may_come_in_any_company_and_order(together, order):
    assert content(trace(furnished(), SETTINGS, POINTS[order])) == content(
        together.isel(point=order)
    )


@pytest.mark.parametrize(
    "limits",
    [
        {"_MOST_RECEIVERS": 3},
        # Some two receivers at once for the chains of two reflections.
        {"_MOST_PAIRS": 300},
        {"_MOST_PATHS": 5},
        {"_MOST_RECEIVERS": 2, "_MOST_PATHS": 3},
    ],
)
def test_batches_do_not_matter(together, monkeypatch, limits):
    for name, value in limits.items():
        monkeypatch.setattr(solver, name, value)
    assert content(trace(furnished(), SETTINGS, POINTS)) == content(together)


def test_neither_does_the_memory_allowed(together):
    little = SETTINGS.model_copy(update={"memory_gib": 0.05})
    assert content(trace(furnished(), little, POINTS)) == content(together)


@pytest.mark.parametrize("chosen", [[0], [1], [1, 0]])
def test_access_points_do_not_matter_to_each_other(together, chosen):
    scene = furnished()
    some = scene.model_copy(
        update={"access_points": tuple(scene.access_points[index] for index in chosen)}
    )
    assert content(trace(some, SETTINGS, POINTS)) == content(together.isel(ap=chosen))


@pytest.fixture
def threads():
    """Sets how many threads trace."""
    before = dr.thread_count()
    yield dr.set_thread_count
    dr.set_thread_count(before)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_number_of_threads_does_not_matter(together, threads, monkeypatch, count):
    monkeypatch.setattr(solver, "_MEMORY", ChainMemory(capacity=4))
    threads(count)
    assert content(trace(furnished(), SETTINGS, POINTS)) == content(together)


@pytest.mark.parametrize("seed", [SETTINGS.seed, 2])
def test_a_search_repeats_and_has_converged_whatever_its_seed(together, monkeypatch, seed):
    monkeypatch.setattr(solver, "_MEMORY", ChainMemory(capacity=4))
    again = trace(furnished(), SETTINGS.model_copy(update={"seed": seed}), POINTS)
    assert content(again) == content(together)


def test_another_process_gives_the_same_bytes(together):
    code = (
        "from tests.physics import test_trace_repeats as again\n"
        "print(again.content(again.trace(again.furnished(), again.SETTINGS, again.POINTS)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.split()[-1] == content(together)


def test_the_search_for_chains_finds_what_sionna_finds(together):
    stock = trace(furnished(), SETTINGS, POINTS, engine="stock")
    missing = []
    for point in range(len(POINTS)):
        for ap in range(2):
            found = together.isel(point=point, ap=ap)
            delays = found["delay"].values
            wanted = stock.isel(point=point, ap=ap)
            for path in range(int(wanted["num_paths"])):
                same = np.abs(delays - float(wanted["delay"][path])) < 1e-13
                gain = found["path_gain"].values
                # Sionna's corners lie a little beside the path: where polarisations nearly cancel,
                # a small part of what they would otherwise carry shows.
                near = 1e-2 * np.abs(gain) + 1e-3 * np.abs(gain).max()
                off = np.abs(gain - wanted["path_gain"].values[path])
                if not (same & (off < near)).any():
                    missing.append((point, ap, path))
    assert missing == []
    assert (together["num_paths"].values >= stock["num_paths"].values).all()


def test_paths_beyond_the_limit_are_left_out_by_power(together):
    few = trace(furnished(), SETTINGS.model_copy(update={"max_paths": 3}), POINTS)
    power = np.abs(together["path_gain"].values.astype(np.complex128)) ** 2
    assert few["path_gain"].shape[-1] == 3
    assert (few["path_gain"].values == together["path_gain"].values[..., :3]).all()
    assert few["power_left_out"].values == pytest.approx(power[..., 3:].sum(axis=-1), rel=1e-5)
    assert (np.diff(power, axis=-1) <= 0).all()
