"""Is this machine fit: versions, backends, memory, data, and a ray-tracing self-test."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from twin.config import data_dir as find_data_dir
from twin.errors import InputError, TwinError
from twin.scene.declaration import Scene
from twin.units import SPEED_OF_LIGHT_M_PER_S, free_space_path_gain_db

NEEDED_MEMORY_GIB = 4.0
_TENSORFLOW_SECONDS = 120.0
_PACKAGES = (
    "fingertwin",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "prefect",
    "zarr",
    "xarray",
    "numpy",
)
_GAIN_TOLERANCE_DB, _DELAY_TOLERANCE_NS = 0.01, 0.001


@dataclass(frozen=True)
class Row:
    """One finding; `cure` says what to do where it is not `ok`."""

    name: str
    value: str
    ok: bool = True
    cure: str = ""


@dataclass(frozen=True)
class Report:
    """All findings, in the order they are shown."""

    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is missing."""
        return all(row.ok for row in self.rows)


def examine(data_dir: Path | None) -> Report:
    """Look at everything; a part that fails becomes a row with its cure and stops no other part.

    Args:
        data_dir: folder of the real data sets as named on the command line; None where
            TWIN_DATA_DIR may name it.
    """
    return Report(
        (
            *_versions(),
            _processor(),
            _memory(),
            *_guarded("ray tracing", _backend),
            *_guarded("ray-tracing self-test", _self_test),
            tensorflow_row(),
            _data(data_dir),
        )
    )


def render(report: Report) -> str:
    """The report as aligned lines of text, cures below the rows they belong to."""
    width = max(len(row.name) for row in report.rows)
    lines = []
    for row in report.rows:
        lines.append(f"{'ok  ' if row.ok else 'FAIL'}  {row.name:<{width}}  {row.value}")
        if not row.ok and row.cure:
            lines.append(f"{'':{width + 8}}cure: {row.cure}")
    missing = sum(not row.ok for row in report.rows)
    lines.append(f"{missing} of {len(report.rows)} failed" if missing else "everything is in place")
    return "\n".join(lines)


def _guarded(name: str, examination: Callable[[], tuple[Row, ...]]) -> tuple[Row, ...]:
    try:
        return examination()
    except TwinError as error:
        return (Row(name, "does not work", False, str(error)),)
    except Exception as error:  # noqa: BLE001 (a doctor reports whatever is broken)
        return (Row(name, "does not work", False, f"{type(error).__name__}: {error}"),)


def _versions() -> tuple[Row, ...]:
    rows = [Row("python", f"{platform.python_version()} ({sys.executable})")]
    for name in _PACKAGES:
        try:
            rows.append(Row(name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(rows)


def _processor() -> Row:
    gpus = _cuda_devices()
    gpu = ", ".join(gpus) if gpus else "no CUDA device"
    return Row("processor", f"{os.cpu_count()} cores ({platform.machine()}); {gpu}")


def _cuda_devices() -> tuple[str, ...]:
    from twin.trace import backend

    return backend.cuda_devices()


def _memory() -> Row:
    memory = psutil.virtual_memory()
    free, total = memory.available / 2**30, memory.total / 2**30
    return Row(
        "memory",
        f"{free:.1f} of {total:.1f} GiB free",
        free >= NEEDED_MEMORY_GIB,
        f"tracing and training together need about {NEEDED_MEMORY_GIB:.0f} GiB: close something",
    )


def _backend() -> tuple[Row, ...]:
    from twin.trace import backend

    info = backend.describe()
    rows = [Row(name, version) for name, version in info.versions.items()]
    rows.append(Row("ray tracing", f"{info.variant} on {', '.join(info.devices)}"))
    rows.append(Row("chosen because", info.reason))
    if info.llvm_path:
        rows.append(Row("libLLVM", f"{info.llvm_version} at {info.llvm_path}"))
    return tuple(rows)


def _self_test() -> tuple[Row, ...]:
    """Line of sight in an empty room against the free-space formula."""
    from twin.trace.engine import TraceSettings, trace

    scene = _empty_room()
    started = time.perf_counter()
    points = np.array([[1.0, 1.5, 1.2], [8.0, 2.0, 1.0], [5.0, 9.0, 1.5]])
    settings = TraceSettings(max_depth=1, rays_per_round=10_000)
    traced = trace(scene, settings, points).isel(ap=0)
    seconds = time.perf_counter() - started
    direct = (traced["num_paths"].values[:, None] > np.arange(settings.max_paths)) & (
        traced["interactions"].values == 0
    )
    if not (direct.sum(axis=1) == 1).all():
        found = ", ".join(str(count) for count in direct.sum(axis=1))
        return (
            Row(
                "ray-tracing self-test",
                f"expected one line-of-sight path a point, found {found}",
                False,
                "install the pinned versions again: pip install --force-reinstall fingertwin",
            ),
        )
    distance = np.linalg.norm(points - traced["ap_position"].values, axis=1)
    gain = traced["path_gain"].values[direct].astype(np.complex128)
    gain_error = np.abs(
        20.0 * np.log10(np.abs(gain)) - free_space_path_gain_db(distance, scene.frequency_hz)
    ).max()
    late = traced["delay"].values[direct] - distance / SPEED_OF_LIGHT_M_PER_S
    delay_error = np.abs(late).max() * 1e9
    return (
        Row(
            "ray-tracing self-test",
            f"free space to {gain_error:.1e} dB and {delay_error:.1e} ns in {seconds:.1f} s",
            bool(gain_error < _GAIN_TOLERANCE_DB and delay_error < _DELAY_TOLERANCE_NS),
            f"expected {_GAIN_TOLERANCE_DB} dB and {_DELAY_TOLERANCE_NS} ns: install the pinned "
            "versions again (pip install --force-reinstall fingertwin) or set TWIN_BACKEND=llvm",
        ),
    )


def _empty_room() -> Scene:
    from twin.config import validate

    return validate(
        {
            "schema": "fingertwin/scene@2",
            "name": "self_test",
            "title": "Empty room",
            "source": "made up for the self-test",
            "frequency_ghz": 5.25,
            "bandwidth_mhz": 80.0,
            "subcarriers": 16,
            "materials": {"concrete": {"itu": "concrete", "thickness_m": 0.2}},
            "room": {
                "outline_m": [[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]],
                "height_m": 3.0,
                "wall_material": "concrete",
                "floor_material": "concrete",
                "ceiling_material": "concrete",
            },
            "access_points": [
                {"name": "AP1", "position_m": [2.0, 3.0, 2.5], "power_dbm": 0.0, "pattern": "iso"}
            ],
            "receivers": [
                {
                    "name": "grid",
                    "kind": "grid",
                    "area_m": [[1.0, 1.0], [9.0, 1.0], [9.0, 9.0]],
                    "pitch_m": 1.0,
                    "height_m": 1.2,
                }
            ],
        },
        Scene,
        where="self-test",
    )


def tensorflow_row(timeout_s: float = _TENSORFLOW_SECONDS) -> Row:
    """Devices of TensorFlow, listed by a process of its own (the import is slow and can crash)."""
    devices = "[d.device_type for d in tf.config.list_physical_devices()]"
    code = f"import tensorflow as tf; print(*{devices})"
    cure = "install it again: pip install --force-reinstall tensorflow-cpu"
    try:
        process = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    except subprocess.TimeoutExpired:
        return Row("tensorflow devices", f"no answer in {timeout_s:.0f} s", False, cure)
    if process.returncode != 0:
        last = (process.stderr.strip().splitlines() or ["no message"])[-1]
        return Row("tensorflow devices", f"exit {process.returncode}: {last}", False, cure)
    return Row("tensorflow devices", " ".join(process.stdout.split()))


def _data(given: Path | None) -> Row:
    name = "data folder"
    try:
        data_dir = find_data_dir(given)
    except InputError as error:
        fault = error.faults[0]
        cure = f"create it, or name another one with {fault.where}"
        return Row(name, f"{fault.found} is not there ({fault.where})", False, cure)
    if data_dir is None:
        return Row(name, "none named (--data-dir or TWIN_DATA_DIR); data sets are downloaded")
    if not os.access(data_dir, os.R_OK | os.X_OK):
        cure = "name a readable folder with --data-dir or TWIN_DATA_DIR"
        return Row(name, f"{data_dir} is not readable", False, cure)
    sets = sorted(path.name for path in data_dir.iterdir() if path.is_dir())
    return Row(name, f"{data_dir}: " + (", ".join(sets) if sets else "empty"))
