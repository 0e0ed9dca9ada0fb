"""Tables of version 1 are read as before, and nothing that they draw has changed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from twin.errors import InputError
from twin.perturb.draw import draw
from twin.perturb.library import load_table
from twin.perturb.migrate import migrated, table_of
from twin.perturb.realise import realise
from twin.scene.library import load_scene
from twin.scene.read import read_scene
from twin.store.content import json_digest

# SHA-256 of the draws that schema 1 gave, over canonical JSON: (scene, seed, realisation).
DIGESTS = {
    ("lecture_theatre", 0, 0): "678236a5453dcb33761cc3127bc1b17d59a72dab4b17c1d188e11d01e05acac5",
    ("lecture_theatre", 7, 100): "e76b2354b9a88cd2fcf7520ee500d6fc6f8f120c4cf3c6dbe2711bae1d574a7a",
    ("office_wing", 0, 0): "3686339c08408e454c2ded6e6b25f34df70f08bfe8d136507b3232eb093b7cb2",
    ("office_wing", 1, 2): "74eda92e8bac3684ad287df8fef0662d0533cacc1eb8ccc72a64c3d64c248626",
    (
        "office_wing",
        1099511627776,
        9,
    ): "75a6e0bbe672405fd85759a79c98309d2bff638199a37faa5da08a7f8dc7b8bb",
}

HEIGHT: dict[str, Any] = {
    "name": "ear",
    "path": "receivers.height_m",
    "apply": "add",
    "distribution": {"kind": "normal", "mean": 0, "std": 0.1, "low": -0.2, "high": 0.2},
    "unit": "m",
    "description": "not given",
}
OLD = {"schema": "fingertwin/perturbation@1", "scene": "box", "quantities": [HEIGHT]}


@pytest.mark.parametrize(("name", "seed", "realisation"), DIGESTS)
def test_draws_are_those_of_version_1_to_the_bit(name: str, seed: int, realisation: int) -> None:
    scene = load_scene(name)
    drawn = draw(load_table(name, scene), scene, seed, realisation)
    assert json_digest(drawn) == DIGESTS[name, seed, realisation]


@pytest.mark.parametrize("name", ["lecture_theatre", "office_wing"])
def test_a_table_of_version_1_becomes_that_of_the_library(name: str) -> None:
    scene = load_scene(name)
    new = load_table(name, scene).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    old = copy.deepcopy(new) | {"schema": "fingertwin/perturbation@1", "scene": name}
    for quantity in old["quantities"]:
        quantity["path"] = quantity["path"].replace("receivers.grid.", "receivers.")
    assert old != new
    assert table_of(old, "old") == load_table(name, scene)


def test_the_only_area_has_its_name() -> None:
    scene = read_scene(Path(__file__).parent / "scene_box.yaml")
    made = table_of(OLD, "old")
    assert made.quantities[0].path == "receivers.grid.height_m"
    changed = realise(scene, made, seed=1, realisation=0)
    assert changed.scene.receivers[0].height_m == 1.1 + float(changed.drawn["ear"])


@pytest.mark.parametrize("path", ["*.height_m", "receiv*.height_m", "r*.h*"])
def test_stars_across_the_receivers_are_refused(path: str) -> None:
    content = {**OLD, "quantities": [HEIGHT | {"path": path}]}
    with pytest.raises(InputError, match=r"quantities\.0\.path.*receivers\.grid\.height_m"):
        migrated(content, "old")


@pytest.mark.parametrize("path", ["*.wall_height_m", "room.height_m", "walls.*.height_m"])
def test_other_paths_stay(path: str) -> None:
    content = {**OLD, "quantities": [HEIGHT | {"path": path}]}
    assert table_of(content, "old").quantities[0].path == path


@pytest.mark.parametrize(
    "content",
    [
        {**OLD, "quantities": 3},
        {**OLD, "quantities": [3]},
        {**OLD, "quantities": [{"path": ["a"]}]},
        {"schema": "fingertwin/perturbation@3", "scene": "box"},
        ["schema"],
        None,
    ],
)
def test_what_is_no_table_is_refused(content: Any) -> None:
    with pytest.raises(InputError, match="old"):
        table_of(content, "old")


def test_a_file_of_version_1_is_read(tmp_path: Path) -> None:
    scene = read_scene(Path(__file__).parent / "scene_box.yaml")
    (tmp_path / "perturbation.yaml").write_text(yaml.safe_dump(OLD))
    assert load_table(tmp_path, scene) == table_of(OLD, "old")
