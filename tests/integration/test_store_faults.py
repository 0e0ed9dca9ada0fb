"""Full disks, places without the right to write, and damaged files."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import twin
from tests.integration.small_sites import SITE, make_block, make_spec, write_jobs
from twin.errors import TwinError
from twin.seeds import stream
from twin.store.layout import jobs_of
from twin.store.reader import open_site
from twin.store.template import template
from twin.store.verify import verify
from twin.store.writer import create_site, pending_jobs, publish, write_site

FORMS = ("{}", "icechunk:{}")
# A channel's file is larger than any other.
LARGE = make_spec(2, 8, 2, variables=("rss", "csi"), subcarriers=512)
DISK_BYTES = 4_000_000


def run_here(store, spec=LARGE, block=make_block) -> str:
    return write_site(store, SITE, spec, lambda job: block(spec, job))


def in_a_namespace(*command: str) -> list[str]:
    """A command that runs as the root of its own, with a small disk of its own at its folder."""
    script = f'mount -t tmpfs -o size={DISK_BYTES} none "$1" && shift && exec "$@"'
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *command]


@pytest.fixture(scope="module")
def disks(tmp_path_factory) -> None:
    """Skips where this user may not mount anything, not even in a namespace of its own."""
    folder = tmp_path_factory.mktemp("disk")
    probe = None
    if shutil.which("unshare"):
        probe = subprocess.run(
            in_a_namespace(str(folder), "true"), check=False, capture_output=True
        )
    if probe is None or probe.returncode:
        pytest.skip("no user namespaces here")


def tell(script: str, *arguments: str, mount: Path | None = None) -> list[dict[str, str]]:
    """What one of the scripts below reports from a process of its own."""
    command = [sys.executable, __file__, script, *arguments]
    environment = os.environ | {"PYTHONPATH": str(Path(twin.__file__).parents[1])}
    if mount is not None:
        command = in_a_namespace(str(mount), *command)
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    found: list[dict[str, str]] = json.loads(output)
    return found


def attempt(action) -> str:
    """Kind and text of the refusal; empty for none."""
    try:
        action()
    except TwinError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def without_room(form: str, folder: str, shut, opened) -> dict[str, str]:
    """A run without room, what readers see of it, and the same run with room."""
    store = form.format(f"{folder}/store")
    shut()
    refusal = attempt(lambda: run_here(store))
    reading = attempt(lambda: open_site(store, SITE))
    opened()
    done = 0
    if not attempt(lambda: pending_jobs(store, SITE)):
        done = len(jobs_of(LARGE)) - len(pending_jobs(store, SITE))
    again = run_here(store)
    faults = [str(fault) for fault in verify(store)]
    left = [path.name for path in Path(folder).rglob("*.partial")]
    shutil.rmtree(f"{folder}/store")
    found = {"refusal": refusal, "reading": reading, "done": done, "again": again}
    return {**found, "faults": faults, "left": left}


def fill_disk(folder: str) -> list[dict[str, str]]:
    """At several amounts of free space, from none to nearly enough."""
    ballast = Path(folder) / "ballast"

    def fill(free: int) -> None:
        disk = os.statvfs(folder)
        ballast.write_bytes(bytes(max(0, disk.f_bavail * disk.f_frsize - free)))

    return [
        without_room(form, folder, lambda free=free: fill(free), ballast.unlink)
        for form in FORMS
        for free in (0, 8_000, 40_000, 250_000)
    ]


def limit_files(folder: str) -> list[dict[str, str]]:
    """Files may not grow beyond a limit: too small for the layout, then for a channel."""

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    return [
        without_room(form, folder, lambda size=size: limit(size), lambda: limit(-1))
        for form in FORMS
        for size in (200, 10_000)
    ]


@pytest.mark.parametrize("script", ["fill_disk", "limit_files"])
def test_no_room(script: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if script == "fill_disk":
        request.getfixturevalue("disks")
    expected = run_here(tmp_path / "whole.zarr")
    folder = tmp_path / "disk"
    folder.mkdir()
    text = {"fill_disk": "No space left on device", "limit_files": "File too large"}[script]
    tales = tell(script, str(folder), mount=folder if script == "fill_disk" else None)
    for tale in tales:
        assert text in tale["refusal"]
        assert tale["reading"]
        assert tale["again"] == expected
        assert tale["faults"] == tale["left"] == []
    begun = [tale for tale in tales if tale["refusal"].startswith("StoreError")]
    assert len(begun) >= 2
    assert all("Make room" in tale["refusal"] for tale in begun)
    if script == "fill_disk":
        assert any(tale["done"] > 0 for tale in begun)


def read_only_disk(folder: str) -> list[dict[str, str]]:
    """Reads from and writes to a disk that is mounted again for reading only."""
    tales = []
    for number, form in enumerate(FORMS):
        whole, half, none = (form.format(f"{folder}/{number}{name}") for name in "abc")
        run_here(whole)
        create_site(half, SITE, LARGE)
        write_jobs(half, LARGE, jobs_of(LARGE)[:1])
        tales.append({"whole": whole, "half": half, "none": none})
    subprocess.run([str(shutil.which("mount")), "-o", "remount,ro", folder], check=True)
    return [read_only(**tale) for tale in tales]


def read_only(whole: str, half: str, none: str) -> dict[str, str]:
    job = jobs_of(LARGE)[1]
    return {
        "reading": attempt(lambda: open_site(whole, SITE).load()),
        "faults": [str(fault) for fault in verify(whole)],
        "creating": attempt(lambda: run_here(none)),
        "going on": attempt(lambda: run_here(half)),
        "a job": attempt(lambda: write_jobs(half, LARGE, [job])),
        "publishing": attempt(lambda: publish(half, SITE)),
        "reading half": attempt(lambda: open_site(half, SITE)),
    }


def assert_read_only(tale: dict[str, str]) -> None:
    assert tale["reading"] == ""
    assert tale["faults"] == []
    for key in ("creating", "going on", "a job"):
        assert "Read-only file system" in tale[key] or "Permission denied" in tale[key], key
    assert "Give this user the right" in tale["a job"]
    assert "7 missing" in tale["publishing"]
    assert "7 of 8 jobs are missing" in tale["reading half"]


def test_read_only_disk(tmp_path: Path, disks: None) -> None:  # noqa: ARG001 (skips)
    for tale in tell("read_only_disk", str(tmp_path), mount=tmp_path):
        assert_read_only(tale)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("form", FORMS)
def test_folders_of_somebody_else(form: str, tmp_path: Path) -> None:
    whole, half, none = (form.format(tmp_path / name) for name in "abc")
    run_here(whole)
    create_site(half, SITE, LARGE)
    write_jobs(half, LARGE, jobs_of(LARGE)[:1])
    folders = [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert_read_only(read_only(whole, half, none))
    finally:
        for folder in folders:
            folder.chmod(0o755)


LAYOUTS = {
    "fast": {},
    "compact": {"layout": "compact", "precision": "int16"},
}
DAMAGED = ("rss", "csi", "path_gain", "delay", "los", "split", "rounds_reflections", "time")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_flipped_bit_or_a_cut_is_found_and_named(layout: str, tmp_path: Path) -> None:
    """In one file of every variable, at a random place."""
    spec = make_spec(2, 8, 4, variables=DAMAGED, **LAYOUTS[layout])
    run_here(tmp_path, spec)
    draws = stream(5, "damage", layout)
    found = 0
    for name, array in template(spec).items():
        # Text begins with a count, for which memory is taken before anything is compared.
        first = 4 if array.variable.dtype == "string" else 0
        files = [path for path in (tmp_path / SITE / name / "c").rglob("*") if path.is_file()]
        if name == "visit":
            # Nothing but fill values, which only jobs put into files.
            assert files == []
            continue
        file = sorted(files)[int(draws.integers(len(files)))]
        key = place_of(file.relative_to(tmp_path / SITE).parts, spec)
        content = file.read_bytes()
        for damage in (flipped, cut):
            file.write_bytes(damage(content, first, draws))
            faults = verify(tmp_path)
            if not faults:
                # What unpacks the values may have bytes that decide nothing.
                assert layout == "compact"
                assert damage is flipped
                continue
            found += 1
            (fault,) = faults
            assert f"{fault.key} {fault.found}".startswith(key)
        file.write_bytes(content)
    assert verify(tmp_path) == []
    assert found > 1.7 * len(template(spec))


def test_what_killed_writers_left_is_no_damage(tmp_path: Path) -> None:
    run_here(tmp_path)
    left = [tmp_path / "zarr.1.partial", tmp_path / SITE / "zarr.2.partial"]
    left.append(tmp_path / SITE / "rss" / "c" / "0" / "1" / "0" / "0.3.partial")
    for path in left:
        path.write_bytes(b"half")
    assert verify(tmp_path) == []
    open_site(tmp_path, SITE).load()
    run_here(tmp_path)
    assert not any(path.exists() for path in left)


def flipped(content: bytes, first: int, draws: np.random.Generator) -> bytes:
    changed = bytearray(content)
    changed[int(draws.integers(first, len(content)))] ^= 1 << int(draws.integers(8))
    return bytes(changed)


def cut(content: bytes, first: int, draws: np.random.Generator) -> bytes:
    return content[: int(draws.integers(first, len(content)))]


def place_of(parts: tuple[str, ...], spec) -> str:
    """How verify names the variable and block of a chunk's file."""
    name, _, *numbers = parts
    if name not in spec.job_variables:
        return name
    realisation, block = map(int, numbers[:2])
    if name == "receipt":
        return f"jobs 1 missing (r{realisation:04d}-p{block:04d})"
    start = block * spec.shard_points
    return f"{name}, realisation {realisation}, points {start}:{start + spec.shard_points} "


if __name__ == "__main__":
    scripts = {action.__name__: action for action in (fill_disk, limit_files, read_only_disk)}
    json.dump(scripts[sys.argv[1]](*sys.argv[2:]), sys.stdout)
