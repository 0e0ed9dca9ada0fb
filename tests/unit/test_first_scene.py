"""The scene that the documentation writes is the one its figures are about."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from twin.perturb.library import load_table
from twin.perturb.realise import realise
from twin.scene.check import findings
from twin.scene.library import load_scene
from twin.scene.receivers import receiver_points

PAGE = (Path(__file__).parents[2] / "docs" / "first-scene.md").read_text(encoding="utf-8")


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """The folder that the page has its reader write."""
    scene, table = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    folder = tmp_path / "office"
    folder.mkdir()
    (folder / "scene.yaml").write_text(scene, encoding="utf-8")
    (folder / "perturbation.yaml").write_text(table, encoding="utf-8")
    return folder


def test_the_first_table_fits_the_first_scene(office: Path) -> None:
    scene = load_scene(office)
    table = load_table(office, scene)
    assert [item.name for item in table.quantities] == [
        "permittivity_concrete",
        "permittivity_plasterboard",
        "door",
        "ap_power",
    ]
    made = [realise(scene, table, seed=1, realisation=number) for number in range(6)]
    doors = {opening.state for item in made for opening in item.scene.openings}
    assert doors == {"open", "closed"}
    assert all(item.scene.materials != scene.materials for item in made)
    assert all(item.scene.access_points != scene.access_points for item in made)


def test_the_first_scene_is_what_its_page_says(office: Path) -> None:
    scene = load_scene(office)
    assert len(scene.openings) == 2
    assert len(scene.access_points) == 3
    assert scene.furniture
    assert f"all {len(receiver_points(scene))} receivers" in PAGE
    told = findings(scene, "office")
    assert [finding.level for finding in told].count("error") == 0
    assert [finding.level for finding in told].count("warning") == 0
    (few,) = [finding for finding in told if finding.fault.found.startswith("1% ")]
    assert few.level == "note"
    assert "no errors, no warnings; a note: 1 % of the receivers" in PAGE
