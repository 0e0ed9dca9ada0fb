"""The scene that the documentation writes is the one its figures are about."""

from __future__ import annotations

import re
from pathlib import Path

from twin.scene.check import findings
from twin.scene.library import load_scene
from twin.scene.receivers import receiver_points

PAGE = (Path(__file__).parents[2] / "docs" / "first-scene.md").read_text(encoding="utf-8")


def test_the_first_scene_is_what_its_page_says(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    path = tmp_path / "office" / "scene.yaml"
    path.parent.mkdir()
    path.write_text(block, encoding="utf-8")
    scene = load_scene(path.parent)
    assert len(scene.openings) == 2
    assert len(scene.access_points) == 3
    assert scene.furniture
    assert f"all {len(receiver_points(scene))} receivers" in PAGE
    told = findings(scene, "office")
    assert [finding.level for finding in told].count("error") == 0
    (warning,) = [finding.fault for finding in told if finding.level == "warning"]
    assert warning.found.startswith("1% of ")
    assert "one warning: 1 % of the receivers" in PAGE
