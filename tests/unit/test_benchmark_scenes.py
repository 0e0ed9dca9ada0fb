"""What the benchmark of building and moving compares is alike, and its records say what it was."""

from __future__ import annotations

import pytest

from benchmarks import scenes
from benchmarks.scenes import Rival, case, moved, same_geometry
from twin.scene.exporters.mitsuba import export_mitsuba
from twin.scene.geometry import build


@pytest.fixture(scope="module")
def office():
    return case("office_wing").scene


def test_moves_are_small_and_of_things_that_stay_what_they_are(office):
    surfaces, others = build(office), build(moved(office, 1))
    changed = [
        one.name
        for one, other in zip(surfaces, others, strict=True)
        if (one.vertices != other.vertices).any()
    ]
    assert changed == [f"furniture {item.name}" for item in office.furniture]
    for one, other in zip(surfaces, others, strict=True):
        assert (one.faces == other.faces).all()
        assert abs(one.vertices - other.vertices).max() < 0.03
    assert moved(office, 1) == moved(office, 1) != moved(office, 2)


def test_sionna_s_scene_is_moved_as_ours_is(office, tmp_path):
    rival = Rival(export_mitsuba(office, tmp_path / "office"), office)
    same_geometry(rival, office)
    changed = moved(office, 3)
    with pytest.raises(AssertionError, match="differs"):
        same_geometry(rival, changed)
    rival.move(rival.shifts(changed))
    same_geometry(rival, changed)
    again = moved(office, 4)
    rival.move_together(rival.shifts(again))
    same_geometry(rival, again)


def test_records_say_how_many_times_quicker(office, monkeypatch, tmp_path):
    names = ["build", "load", "load apart", "move", "position", "together"]
    names += ["chains", "paths", "paths in ours", "chains in theirs"]
    seconds = dict.fromkeys(names, 2.0) | {"build": 0.5, "load": 1.0, "move": 0.1, "paths": 20.0}
    monkeypatch.setattr(scenes, "_seconds", lambda *_: dict(seconds))
    where = case("office_wing")
    file = export_mitsuba(office, tmp_path / "office")
    found = {
        (entry["case"].removeprefix("office_wing: "), entry["rival_name"]): entry
        for entry in scenes._compared("office_wing", where, file, (1, 1))
    }
    assert found["build", "load_scene"]["ratio"] == 2.0
    assert found["move 6", "ours, built anew"]["ratio"] == 5.0
    total = found["move 6 and trace", "SceneObject.position, PathSolver"]
    assert (total["ours"], total["rival"], total["ratio"]) == (2.1, 22.0, 10.5)
    assert total["moved"] == 6
    assert 0 < total["receivers"] <= 20
