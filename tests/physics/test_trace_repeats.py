"""Results depend on the scene and the point, on nothing else."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from twin.trace.engine import TraceSettings, trace

_spec = importlib.util.spec_from_file_location("rooms", Path(__file__).with_name("rooms.py"))
rooms = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rooms)

ROOT = Path(__file__).parents[2]
SETTINGS = TraceSettings(max_depth=2, max_paths=60)


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


POINTS = np.array([[2.0 + i, 1.5 + (i * 7 % 5), 1.2] for i in range(7)])


def content(dataset) -> str:
    total = hashlib.sha256()
    for name in sorted(dataset.data_vars):
        total.update(np.ascontiguousarray(dataset[name].values).tobytes())
    return total.hexdigest()


@pytest.fixture(scope="module")
def together():
    return trace(furnished(), SETTINGS, POINTS)


def test_a_point_alone_is_the_point_among_others(together):
    alone = trace(furnished(), SETTINGS, POINTS[3:4])
    assert content(alone) == content(together.isel(point=slice(3, 4)))


def test_batches_do_not_matter(together):
    changed = SETTINGS.model_copy(update={"receivers_per_batch": 3})
    assert content(trace(furnished(), changed, POINTS)) == content(together)


def test_another_process_gives_the_same_bytes(together):
    code = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('again', sys.argv[1])\n"
        "again = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(again)\n"
        "print(again.content(again.trace(again.furnished(), again.SETTINGS, again.POINTS)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, __file__],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
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
                gain = found["path_gain"].values[same]
                if not np.isclose(np.abs(gain), abs(wanted["path_gain"].values[path])).any():
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
