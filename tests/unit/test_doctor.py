import sys

import pytest

from twin import doctor
from twin.cli import main as cli
from twin.errors import BackendError
from twin.trace import backend


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(doctor, "tensorflow_row", lambda: doctor.Row("tensorflow devices", "CPU"))


def row(report, name):
    return next(found for found in report.rows if found.name == name)


@pytest.mark.usefixtures("quick")
def test_a_fit_machine(tmp_path):
    (tmp_path / "wifi_rtt_rooms").mkdir()
    report = doctor.examine(tmp_path)
    assert report.ok, doctor.render(report)
    assert row(report, "data folder").value.endswith("wifi_rtt_rooms")
    assert row(report, "ray tracing").value.startswith(backend.describe().variant)
    assert row(report, "sionna-rt").value == "2.2.0"
    assert "free space to" in row(report, "ray-tracing self-test").value
    assert doctor.render(report).splitlines()[-1] == "everything is in place"


@pytest.mark.usefixtures("quick")
def test_what_is_missing_is_named_with_its_cure(tmp_path, monkeypatch):
    def broken():
        raise BackendError("no libLLVM found. Install LLVM 19")

    monkeypatch.setattr(backend, "describe", broken)
    report = doctor.examine(tmp_path / "nowhere")
    assert not report.ok
    assert row(report, "ray tracing").cure == "no libLLVM found. Install LLVM 19"
    assert not row(report, "data folder").ok
    assert row(report, "data folder").value == f"{tmp_path / 'nowhere'} is not there (--data-dir)"
    assert row(report, "data folder").cure
    text = doctor.render(report)
    assert "FAIL  ray tracing" in text
    assert "cure: no libLLVM found. Install LLVM 19" in text
    assert text.splitlines()[-1].endswith(f"of {len(report.rows)} failed")


def test_a_data_folder_of_the_environment_that_is_missing_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setenv("TWIN_DATA_DIR", str(tmp_path / "nowhere"))
    found = doctor._data(None)
    assert (found.ok, found.value) == (
        False,
        f"{tmp_path / 'nowhere'} is not there (TWIN_DATA_DIR)",
    )
    monkeypatch.delenv("TWIN_DATA_DIR")
    assert doctor._data(None).ok


def test_a_missing_data_folder_ends_the_command_with_one(tmp_path, monkeypatch, capsys):
    for part in ("_backend", "_self_test"):
        monkeypatch.setattr(doctor, part, tuple)
    monkeypatch.setattr(doctor, "tensorflow_row", lambda: doctor.Row("tensorflow devices", "CPU"))
    monkeypatch.setattr(sys, "argv", ["twin", "doctor", "--data-dir", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    assert "FAIL  data folder" in capsys.readouterr().out


def test_too_little_memory_is_a_fault(monkeypatch):
    monkeypatch.setattr(doctor, "NEEDED_MEMORY_GIB", 1e6)
    assert not doctor._memory().ok


def test_a_wrong_field_fails_the_self_test(monkeypatch):
    monkeypatch.setattr(doctor, "free_space_path_gain_db", lambda distance, _: 0.0 * distance)
    (result,) = doctor._self_test()
    assert not result.ok
    assert result.cure


def test_tensorflow_that_is_broken_or_hangs(monkeypatch, tmp_path):
    fake = tmp_path / "tensorflow.py"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    fake.write_text("raise ImportError('half installed')")
    result = doctor.tensorflow_row()
    assert not result.ok
    assert "ImportError: half installed" in result.value
    fake.write_text("import time; time.sleep(60)")
    assert doctor.tensorflow_row(timeout_s=1.0).value == "no answer in 1 s"
    fake.write_text(
        "class config:\n"
        "    def list_physical_devices():\n"
        "        import types\n"
        "        return [types.SimpleNamespace(device_type=t) for t in ('CPU', 'GPU')]\n"
    )
    assert doctor.tensorflow_row().value == "CPU GPU"
