from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from twin.errors import BackendError
from twin.trace import backend

ROOT = Path(__file__).parents[2]
TRACE = """
import numpy as np
from twin.doctor import _self_test
row, = _self_test()
assert row.ok, row
"""
TENSORFLOW = """
import tensorflow as tf
assert float(tf.function(lambda x: tf.reduce_sum(x * x), jit_compile=True)(tf.ones(4))) == 4.0
"""

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")


def python(code, **environment):
    clean = {key: value for key, value in os.environ.items() if key != backend.LLVM_VARIABLE}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**clean, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "code", [TENSORFLOW + TRACE, TRACE + TENSORFLOW], ids=["tensorflow-first", "tracing-first"]
)
def test_tensorflow_and_the_tracer_share_a_process(code):
    run = python(code, TWIN_BACKEND="llvm")
    assert run.returncode == 0, run.stderr


@pytest.fixture
def make_library(tmp_path):
    def make(version, name="libLLVM.so"):
        source = tmp_path / "fake.c"
        body = f"void LLVMGetVersion(unsigned *a, unsigned *b, unsigned *c) {{*a = {version};}}"
        source.write_text(body if version else "int nothing;")
        library = tmp_path / name
        subprocess.run([shutil.which("gcc"), "-shared", "-fPIC", source, "-o", library], check=True)
        return library

    return make


@needs_gcc
def test_an_old_llvm_is_refused_before_it_does_harm(make_library):
    library = make_library(15)
    run = python(
        "from twin.trace import backend; backend.prepare()",
        DRJIT_LIBLLVM_PATH=str(library),
        TWIN_BACKEND="llvm",
    )
    assert run.returncode == 1
    message = run.stderr.splitlines()[-1]
    assert message.startswith("twin.errors.BackendError: ")
    assert (
        f"{library} (from DRJIT_LIBLLVM_PATH): expected LLVM 19 or newer, found LLVM 15" in message
    )
    assert "pip install karellen-llvm-core" in message


@needs_gcc
@pytest.mark.parametrize(
    ("version", "name", "major"),
    [(22, "libLLVM-14.so", 22), (None, "libLLVM-15.so.1", 15), (None, "libLLVM.so", 0)],
)
def test_version_is_what_the_library_says_else_what_its_name_says(
    make_library, version, name, major
):
    assert backend.libllvm_major(make_library(version, name)) == major


def test_a_library_that_is_none_is_refused(tmp_path, monkeypatch):
    broken = tmp_path / "libLLVM.so"
    broken.write_text("not a library")
    with pytest.raises(BackendError, match="expected a libLLVM, found"):
        backend.libllvm_major(broken)
    monkeypatch.setenv(backend.LLVM_VARIABLE, str(tmp_path / "gone.so"))
    with pytest.raises(BackendError, match=r"found no file .*gone\.so"):
        backend.find_libllvm()


@needs_gcc
def test_the_environment_wins_over_the_system_and_the_newest_in_it(
    make_library, monkeypatch, tmp_path
):
    monkeypatch.delenv(backend.LLVM_VARIABLE, raising=False)
    environment, system = tmp_path / "env", tmp_path / "system"
    for folder, name in (
        (environment / "lib", "libLLVM.so.9.1"),
        (environment / "lib", "libLLVM.so.20.1"),
        (system, "libLLVM-99.so"),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(make_library(None, name), folder / name)
    monkeypatch.setattr(backend, "_SYSTEM_FOLDERS", (str(system),))
    monkeypatch.setattr(sys, "prefix", str(environment))
    found = backend.find_libllvm()
    assert (found.path.name, found.major, found.origin) == (
        "libLLVM.so.20.1",
        20,
        "the environment",
    )
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "bare"))
    assert backend.find_libllvm().origin == "the system"
    monkeypatch.setattr(backend, "_SYSTEM_FOLDERS", ())
    with pytest.raises(BackendError, match="no libLLVM found"):
        backend.find_libllvm()


@needs_gcc
def test_an_old_llvm_of_the_environment_gives_way_to_a_newer_one_of_the_system(
    make_library, monkeypatch, tmp_path
):
    monkeypatch.delenv(backend.LLVM_VARIABLE, raising=False)
    folders = {"env/lib": "libLLVM.so.15.0", "new": "libLLVM.so.21.1", "old": "libLLVM.so.14.0"}
    for folder, name in folders.items():
        (tmp_path / folder).mkdir(parents=True)
        shutil.move(make_library(None, name), tmp_path / folder / name)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    for system, expected in (("new", (21, "the system")), ("old", (15, "the environment"))):
        monkeypatch.setattr(backend, "_SYSTEM_FOLDERS", (str(tmp_path / system),))
        found = backend.find_libllvm()
        assert (found.major, found.origin) == expected
    # One that the user names is never passed over.
    monkeypatch.setenv(backend.LLVM_VARIABLE, str(tmp_path / "env/lib/libLLVM.so.15.0"))
    monkeypatch.setattr(backend, "_SYSTEM_FOLDERS", (str(tmp_path / "new"),))
    assert backend.find_libllvm().major == 15


@needs_gcc
@pytest.mark.parametrize("wish", ["auto", "cuda"])
def test_an_old_llvm_that_was_named_is_refused_on_a_gpu_too(make_library, monkeypatch, wish):
    monkeypatch.setenv(backend.LLVM_VARIABLE, str(make_library(15)))
    monkeypatch.setenv(backend.BACKEND_VARIABLE, wish)
    monkeypatch.setattr(backend, "cuda_devices", lambda: ("a GPU",))
    monkeypatch.setattr(backend, "_try_cuda", str)
    with pytest.raises(BackendError, match="expected LLVM 19 or newer, found LLVM 15"):
        backend.prepare.__wrapped__()


def test_other_versions_are_refused_all_at_once(monkeypatch):
    monkeypatch.setattr(backend, "PINS", {"numpy": "0.1", "no-such-package": "2.0"})
    with pytest.raises(BackendError) as error:
        backend.check_pins()
    assert "numpy: expected 0.1, found" in str(error.value)
    assert "no-such-package: expected 2.0, found not installed" in str(error.value)


def test_pins_are_those_of_the_project_file():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"{name}=={pin}"' in text for name, pin in backend.PINS.items())


def test_an_unknown_backend_is_refused(monkeypatch):
    monkeypatch.setenv(backend.BACKEND_VARIABLE, "gpu")
    with pytest.raises(BackendError, match="expected auto, llvm or cuda, found gpu"):
        backend.prepare.__wrapped__()


def test_without_a_gpu_cuda_falls_back_with_a_warning(monkeypatch, caplog):
    monkeypatch.setenv(backend.BACKEND_VARIABLE, "cuda")
    monkeypatch.setattr(backend, "cuda_devices", tuple)
    with caplog.at_level(logging.WARNING, logger="twin"):
        info = backend.prepare.__wrapped__()
    assert info.variant == "llvm_ad_mono_polarized"
    assert info.llvm_version >= backend.OLDEST_LLVM
    assert "no CUDA device" in info.reason
    assert "CUDA was asked for" in caplog.text
