"""Runs with four writers, killed at random moments and started again, end in the same content."""

from __future__ import annotations

import collections
import shutil
import signal
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.killed_runs import Starter, kill
from tests.integration.small_sites import SITE, make_block, make_spec
from twin.errors import InputError, StoreError
from twin.seeds import stream
from twin.store.reader import open_site
from twin.store.verify import verify
from twin.store.writer import pending_jobs, write_site

SPEC = make_spec(2, 8, 2, variables=("csi",), snapshots=0)
# The range of moments follows the machine's speed: seven of eight kills hit a run at work.
LONGER, SHORTER = 1.02, 0.88

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="waits for orphans as Linux does")


def stage(store: str) -> str:
    """How far a run got; readers get the whole site or a refusal."""
    try:
        pending = len(pending_jobs(store, SITE))
    except (InputError, StoreError):
        pending = -1
    try:
        with open_site(store, SITE) as dataset:
            dataset.load()
    except (InputError, StoreError):
        return {-1: "layout", 0: "publish"}.get(pending, "jobs")
    assert pending == 0
    return "published"


def run_here(store: str) -> str:
    return write_site(store, SITE, SPEC, lambda job: make_block(SPEC, job))


@pytest.mark.parametrize(("form", "kills"), [("{}", 100), ("icechunk:{}", 15)])
def test_kill_at_a_random_moment_and_resume(form: str, kills: int, tmp_path: Path) -> None:
    expected = run_here(form.format(tmp_path / "whole"))
    moments = stream(4, "moments of the kill", form)
    longest = 0.5
    hits = rounds = 0
    stages: collections.Counter[str] = collections.Counter()
    with closing(Starter(versioned="icechunk" in form)) as starter:
        while hits < kills:
            rounds += 1
            folder = tmp_path / str(rounds)
            store = form.format(folder)
            group = starter.start(store, SPEC)
            time.sleep(float(moments.uniform(0.0, longest)))
            kill(group)
            hit = starter.end() == [(-signal.SIGKILL, "")]
            longest *= LONGER if hit else SHORTER
            hits += hit
            stages[stage(store)] += 1
            assert run_here(store) == expected
            # To publish, a run has read everything back; this does it once more, now and then.
            assert rounds % 5 or verify(store) == []
            assert list(folder.rglob("*.partial")) == []
            shutil.rmtree(folder)
    sys.stdout.write(f"{kills} kills in {rounds} rounds: {dict(stages)}\n")
    assert rounds < 2 * kills
    assert stages["layout"] >= kills // 20
    assert stages["jobs"] >= kills // 10
