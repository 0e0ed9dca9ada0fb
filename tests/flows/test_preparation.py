"""What stands for reality, and studies whose parts do not fit each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from flows import preparation
from flows.generation import plan_held_out
from flows.reality import SIMULATED, find_reality
from flows.study import Study, demo_file
from twin.config import validate
from twin.errors import DownloadError, InputError
from twin.scene.library import scene_path


def study(*rooms: dict) -> Study:
    content = {
        "schema": "fingertwin/study@1",
        "name": "small",
        "seed": 1,
        "rooms": list(rooms),
        "twin": {"realisations": 2, "visits": 1, "snapshots": 1},
        "trace": {},
        "protocol": {"labels": [1, 3], "draws": 2, "seed": 1},
        "features": ["rss"],
        "learner_seeds": 1,
    }
    return validate(content, Study, where="study")


MEASURED = {"scene": "office_wing", "measured": "office"}
SIMULATED_ROOM = {"scene": "lecture_theatre"}


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """Calls of a download that works, or fails where `fetched.error` is set."""

    class Download:
        error = ""
        calls = 0

        def __call__(self, _):
            self.calls += 1
            if self.error:
                raise DownloadError(self.error)
            return tmp_path

    download = Download()
    monkeypatch.setattr("flows.reality.fetch", download)
    return download


def test_a_folder_that_is_named_is_reality(fetched, tmp_path, capsys):
    reality = find_reality(study(MEASURED), tmp_path, offline=False)
    assert reality.folder == tmp_path
    assert fetched.calls == 0
    assert capsys.readouterr().err.startswith("REAL MEASUREMENTS: ")


def test_without_a_folder_the_data_are_downloaded(fetched, tmp_path, capsys):
    assert find_reality(study(MEASURED), None, offline=False).folder == tmp_path
    assert fetched.calls == 1
    assert capsys.readouterr().err.startswith("REAL MEASUREMENTS: ")


def test_a_failed_download_leaves_a_simulation_and_its_banner_comes_first(fetched, capsys):
    fetched.error = "no network"
    assert not find_reality(study(MEASURED), None, offline=False).measured
    assert capsys.readouterr().err.splitlines() == [SIMULATED, "  no network"]


def test_offline_downloads_nothing(fetched, capsys):
    assert not find_reality(study(MEASURED), None, offline=True).measured
    assert fetched.calls == 0
    assert capsys.readouterr().err.splitlines() == [SIMULATED]


def test_a_study_of_simulated_rooms_needs_no_data(fetched, tmp_path):
    for folder in (tmp_path, None):
        assert not find_reality(study(SIMULATED_ROOM), folder, offline=False).measured
    assert fetched.calls == 0


def measured_as(monkeypatch, split=None, **changes):
    """Every measured room is the held-out office, with changes."""
    plan = plan_held_out(study(MEASURED), study(MEASURED).rooms[0], {})
    changed = plan.spec.model_copy(update=changes)
    data = xr.Dataset({"split": ("point", plan.split if split is None else np.array(split))})
    monkeypatch.setattr(preparation, "read_room", lambda *_: (changed, data))


def test_measured_and_simulated_rooms_do_not_mix(monkeypatch, tmp_path):
    measured_as(monkeypatch)
    faults = preparation._plan(study(MEASURED, SIMULATED_ROOM), tmp_path, {}).faults
    assert [fault.key for fault in faults] == ["rooms"]
    assert preparation._plan(study(MEASURED, SIMULATED_ROOM), None, {}).faults == ()


def test_a_scene_has_the_access_points_of_its_room(monkeypatch, tmp_path):
    measured_as(monkeypatch, access_points=("A", "B", "C", "D", "E"))
    (fault,) = preparation._plan(study(MEASURED), tmp_path, {}).faults
    assert fault.key == "rooms.0.scene"
    assert "A, B, C, D, E" in fault.expected
    assert fault.found == "AP1, AP2, AP3, AP4, AP5"


def test_a_room_has_points_enough_for_labels_and_tests(monkeypatch, tmp_path):
    measured_as(monkeypatch, split=(1, 1, 2))
    faults = preparation._plan(study(MEASURED), tmp_path, {}).faults
    assert [(fault.key, fault.found) for fault in faults] == [
        ("protocol.labels", "3"),
        ("rooms.0", "1"),
    ]


def test_scenes_of_one_name_are_refused(tmp_path):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for name in ("scene.yaml", "perturbation.yaml"):
        (copy / name).write_text((scene_path("office_wing").parent / name).read_text())
    faults = preparation._plan(study(MEASURED, {"scene": str(copy)}), None, {}).faults
    assert [(fault.key, fault.found) for fault in faults] == [("rooms", "2 named office_wing")]


def test_results_go_where_the_study_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("TWIN_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    request = preparation.read_study_request(demo_file(), None, None)
    assert (request.out, request.folder) == (Path("out/demo"), None)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_prepared_from_faults(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--out: expected a folder"):
        preparation.read_study_request(demo_file(), tmp_path / "none", tmp_path / "file")
