"""A run that is killed at any moment and started again ends in the same content."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import twin
from twin.errors import StoreError
from twin.seeds import stream
from twin.store.layout import Job
from twin.store.reader import open_site
from twin.store.schema import VARIABLES
from twin.store.spec import SiteSpec
from twin.store.verify import digest, verify
from twin.store.writer import create_site, pending_jobs, publish, write_shard

SITE = "room"
REALISATIONS = 12
SPEC = SiteSpec(
    title="room",
    origin="simulated",
    realisations=tuple(f"draw {index}" for index in range(REALISATIONS)),
    points=40,
    access_points=("AP1", "AP2"),
    variables=("rss", "csi", "delay", "power_left_out"),
    ap_position_m=(((0.0, 0.0, 2.0), (5.0, 0.0, 2.0)),) * REALISATIONS,
    snapshots=2,
    paths=3,
    subcarriers=16,
    subcarrier_spacing_hz=1e6,
    shard_points=16,
    config={"seed": 3},
)


def trace(job: Job) -> xr.Dataset:
    """Stands in for a ray tracer: values fixed by the job."""
    variables = {}
    for name in SPEC.point_variables:
        variable = VARIABLES[name]
        shape = (job.stop - job.start, *(SPEC.sizes[dim] for dim in variable.dims[2:]))
        values = stream(3, name, job.realisation, job.start).normal(size=shape)
        if name == "status":
            values = np.ones(shape)
        variables[name] = (variable.dims[1:], values.astype(variable.dtype))
    return xr.Dataset(variables)


def run(store: Path) -> None:
    """What a study does: lay out, do what is missing, publish."""
    config_digest = create_site(store, SITE, SPEC)
    for job in pending_jobs(store, SITE):
        sys.stdout.write(f"{job.name(SPEC)}\n")
        sys.stdout.flush()
        write_shard(store, SITE, job.realisation, job.points, trace(job), config_digest)
    publish(store, SITE)


def start(store: Path) -> subprocess.Popen[str]:
    # The same code as here, installed or not.
    paths = {"PYTHONPATH": str(Path(twin.__file__).parents[1])}
    command = [sys.executable, __file__, str(store)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=os.environ | paths
    )


def test_kill_at_any_moment_and_resume(tmp_path: Path) -> None:
    whole = tmp_path / "whole.zarr"
    run(whole)
    expected = digest(whole)

    store = tmp_path / "killed.zarr"
    moments = stream(3, "moments of the kill")
    unfinished = 0
    for _ in range(10):
        process = start(store)
        assert process.stdout is not None
        # From the first job on, so that the time Python takes to start does not count.
        process.stdout.readline()
        time.sleep(float(moments.uniform(0.0, 0.04)))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if pending_jobs(store, SITE):
            unfinished += 1
            with pytest.raises(StoreError, match="jobs are missing"):
                open_site(store, SITE)
    assert unfinished > 0
    run(store)
    assert digest(store) == expected
    assert verify(store) == []
    assert list(store.rglob("*.partial")) == []


class Killed(BaseException):
    """Passes every handler of ordinary errors, as a kill would."""


@pytest.mark.parametrize("part", [0.0, 0.01, 0.05, 0.1, 0.3, 0.6, 0.9, 0.999])
def test_stop_at_any_file_and_resume(
    tmp_path: Path, part: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops the run at a given share of its renames: between them the state does not change."""
    whole, store = tmp_path / "whole.zarr", tmp_path / "stopped.zarr"
    renames, limit = 0, sys.maxsize

    def counted(move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def counting(source: Path, target: Path) -> Path:
            nonlocal renames
            renames += 1
            if renames > limit:
                raise Killed
            return move(source, target)

        return counting

    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    monkeypatch.setattr(Path, "rename", counted(Path.rename))
    run(whole)
    renames, limit = 0, int(part * renames)
    with pytest.raises(Killed):
        run(store)
    monkeypatch.undo()
    run(store)
    assert digest(store) == digest(whole)
    assert list(store.rglob("*.partial")) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [store.name, whole.name]


if __name__ == "__main__":
    run(Path(sys.argv[1]))
