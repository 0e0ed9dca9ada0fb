"""The whole road at toy size: in one go, killed on the way, and with a job that fails."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.learning import VARIANTS
from flows.screen import INTERRUPTED
from twin.cli import main as cli
from twin.errors import TraceError
from twin.learn.presets import TRAINED

SCENE = """
schema: fingertwin/scene@2
name: toy
title: Toy room
source: made up
frequency_ghz: 5.25
bandwidth_mhz: 80
subcarriers: 8
materials:
  concrete: {itu: concrete, thickness_m: 0.2}
room:
  outline_m: [[0, 0], [8, 0], [8, 5], [0, 5]]
  height_m: 3
  wall_material: concrete
  floor_material: concrete
  ceiling_material: concrete
access_points:
  - {name: AP1, position_m: [0.5, 0.5, 2.0], power_dbm: 10, pattern: iso}
  - {name: AP2, position_m: [7.5, 4.5, 2.0], power_dbm: 10, pattern: iso}
  - {name: AP3, position_m: [0.5, 4.5, 2.0], power_dbm: 10, pattern: iso}
receivers:
  - name: grid
    kind: grid
    area_m: [[1, 1], [7, 1], [7, 4], [1, 4]]
    pitch_m: 0.4
    height_m: 1.2
"""
TABLE = """
schema: fingertwin/perturbation@1
scene: toy
quantities:
  - name: room_height
    path: room.height_m
    apply: add
    distribution: {kind: uniform, low: -0.2, high: 0.2}
    unit: m
    description: made up
"""
REALISATIONS = 4
STUDY = """
schema: fingertwin/study@1
name: toy
seed: 1
rooms:
  - {{scene: {scene}}}
twin: {{realisations: 4, visits: 1, snapshots: 2}}
trace: {{max_depth: 2, max_paths: 8, seed: 1}}
protocol: {{labels: [1, 3], draws: 2, seed: 1}}
features: [rss]
learner_seeds: 1
learner: {{outer_steps: 20}}
"""
REQUIRED = {"room", "feature", "k", "method", "mean_error_m", "ci_low", "ci_high", "draws"}
METHODS = {*TRAINED, *(name for changes in VARIANTS.values() for name in changes), "knn", "wknn"}
RECEIPTS = Path("store.zarr") / "toy" / "receipt" / "c"
# The file of an empty receipt is smaller.
LEAST_RECEIPT_BYTES = 100


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    (folder / "scene.yaml").write_text(SCENE)
    (folder / "perturbation.yaml").write_text(TABLE)
    path = folder / "study.yaml"
    path.write_text(STUDY.format(scene=folder / "scene.yaml"))
    return path


def started(*arguments) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("TWIN_DATA_DIR", "COLUMNS")}
    return subprocess.Popen(
        [sys.executable, "-m", "twin.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=Path(cli.__file__).parents[1],
    )


def finished(*arguments) -> tuple[str, str]:
    """Standard output and standard error of a command that has to succeed."""
    with started(*arguments) as process:
        out, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    return out, error


def ended_midway(study: Path, out: Path, receipts: int, how: signal.Signals) -> tuple[int, str]:
    """Send a signal to a run, and to nothing else, once so many realisations are traced."""
    with started("run", study, "--out", out, "--offline") as process:
        try:
            deadline = time.monotonic() + 120
            while len(receipts_of(out)) < receipts:
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert servers(out)
            os.kill(process.pid, how)
            error = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert all_gone(out, seconds=6)
    return process.returncode, error


def servers(out: Path) -> list[psutil.Process]:
    """Server processes of runs into a folder; each works in a folder of its own there."""
    found = []
    for process in psutil.process_iter():
        try:
            if "flows.server" in process.cmdline() and Path(process.cwd()).parent == out:
                found.append(process)
        except psutil.Error:
            continue
    return found


def all_gone(out: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while servers(out):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def store_digest(out: Path) -> str:
    return finished("store", "digest", out / "store.zarr")[0].strip()


def receipts_of(out: Path) -> dict[str, int]:
    whole = [path for path in (out / RECEIPTS).glob("*/*") if path.suffix != ".partial"]
    files = {str(path.relative_to(out)): path.stat() for path in whole}
    return {
        name: found.st_mtime_ns
        for name, found in files.items()
        if found.st_size > LEAST_RECEIPT_BYTES
    }


def results_of(out: Path) -> list[dict]:
    """Content of metrics.json but for the times it took."""
    records = json.loads((out / "metrics.json").read_text())
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


@pytest.fixture(scope="module")
def first_run(study, tmp_path_factory):
    """A run in one go: folder, standard output, standard error."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, *finished("run", study, "--out", out, "--offline")


def test_screen(first_run):
    out, output, error = first_run
    lines = error.splitlines()
    assert lines[0].startswith("SIMULATED REALITY: ")
    assert lines[1].startswith("Ray tracing on ")
    text = "\n".join(lines)
    assert f"toy: {REALISATIONS}/{REALISATIONS}, " in text
    assert not re.search("absl|oneDNN|Traceback|WARN|ERROR|E0000", text)
    assert output.splitlines() == [
        f"Report: {out / 'report.html'}",
        f"Metrics: {out / 'metrics.json'}",
    ]


def test_metrics(first_run):
    records = results_of(first_run[0])
    assert all(set(record) >= REQUIRED for record in records)
    cells = {(r["room"], r["feature"], r["k"], r["method"], r["draws"]) for r in records}
    assert cells == {("toy", "rss", k, method, 2) for k in (1, 3) for method in METHODS}
    assert len(records) == len(cells)
    assert all(0 < r["ci_low"] <= r["mean_error_m"] <= r["ci_high"] < 10 for r in records)


def test_report(first_run):
    page = (first_run[0] / "report.html").read_text()
    body = re.sub(r"(?s)<(script|style)\b.*?</\1>", "", page.partition("<body")[2])
    text = re.sub(r"<[^>]*>", "\n", body.partition(">")[2])
    assert next(line for line in text.splitlines() if line.strip()).startswith("SIMULATED REALITY")
    # Nothing is loaded from anywhere: links are for people.
    assert not re.search(r"""<(script|img|iframe|source)[^>]*\ssrc=["'](?!data:)""", body)
    assert not re.search(r"<link\b[^>]*stylesheet|@import|url\((?!['\"]?data:)", page)


def test_the_same_command_again_does_no_job_again(study, first_run):
    out = first_run[0]
    before, digest, results = receipts_of(out), store_digest(out), results_of(out)
    models = {path.name: path.stat().st_mtime_ns for path in (out / "models").iterdir()}
    assert len(before) == REALISATIONS
    assert len(models) == len(TRAINED)
    _, error = finished("run", study, "--out", out, "--offline")
    assert f"toy: {REALISATIONS} of {REALISATIONS} realisations are there already" in error
    assert receipts_of(out) == before
    assert {path.name: path.stat().st_mtime_ns for path in (out / "models").iterdir()} == models
    assert store_digest(out) == digest
    assert results_of(out) == results


def test_a_run_that_is_killed_and_interrupted_goes_on(study, first_run, tmp_path):
    out = tmp_path / "out"
    code, _ = ended_midway(study, out, 1, signal.SIGKILL)
    assert code == -signal.SIGKILL
    killed = receipts_of(out)
    assert 1 <= len(killed) < REALISATIONS
    code, error = ended_midway(study, out, len(killed) + 1, signal.SIGINT)
    assert code == 130
    assert f"{len(killed)} of {REALISATIONS} realisations are there already" in error
    assert error.splitlines()[-1] == f"twin: {INTERRUPTED}"
    assert "Traceback" not in error
    interrupted = receipts_of(out)
    assert len(interrupted) > len(killed)
    _, error = finished("run", study, "--out", out, "--offline")
    assert f"{len(interrupted)} of {REALISATIONS} realisations are there already" in error
    assert receipts_of(out).items() >= interrupted.items() >= killed.items()
    assert store_digest(out) == store_digest(first_run[0])
    assert results_of(out) == results_of(first_run[0])


def test_a_job_that_fails_is_a_message(study, tmp_path, monkeypatch, capfd):
    def lost(*_, **__):
        raise TraceError("the solver lost paths")

    monkeypatch.setattr("flows.generation.trace", lost)
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["twin", "run", str(study), "--out", str(out), "--offline"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == TraceError.exit_code
    lines = capfd.readouterr().err.splitlines()
    assert lines[-1] == "twin: the solver lost paths"
    assert lines.count("  trace realisation failed, trying once more: the solver lost paths") >= 1
    assert not any("Traceback" in line or "ERROR" in line for line in lines)
    assert servers(out) == []
    assert receipts_of(out) == {}
