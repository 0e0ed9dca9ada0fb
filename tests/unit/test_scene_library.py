"""Every scene of the library: sound, perturbable, and what its README says in figures."""

from __future__ import annotations

import csv
import lzma
import math
import os
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from twin.perturb.library import load_table
from twin.perturb.realise import realise
from twin.scene.check import findings
from twin.scene.checks.sight import sheets_between
from twin.scene.declaration import Scene, scene_digest
from twin.scene.geometry import build
from twin.scene.library import library, load_scene, scene_path
from twin.scene.radio import GridArea
from twin.scene.receivers import area_points, receiver_points

Counts = npt.NDArray[np.int64]

OFFICES = tuple(f"wi_s{number}" for number in range(1, 7))
STREETS = ("street_o1", "street_o1b", "street_mo1", "street_o1_rain", "street_o2")
AUTHORED = ("corridor", "hall", "lab", *OFFICES, *STREETS)
# Walls between rooms are what offices have, however deep a solver looks.
ANY_DEPTH = 10_000


def crossed(scene: Scene, points: npt.NDArray[np.float64], without: str = "") -> Counts:
    """Sheets between each access point and each point (a, n), some surfaces left out."""
    masts = np.array([ap.position_m for ap in scene.access_points])
    surfaces = [item for item in build(scene) if not (without and without in item.name)]
    chosen, counts = sheets_between(surfaces, masts, points)
    assert len(chosen) == len(points)
    return counts


def readme(name: str) -> str:
    """The README of a scene, its lines joined."""
    text = (scene_path(name).parent / "README.md").read_text(encoding="utf-8")
    return " ".join(text.split())


def figure(name: str, pattern: str) -> tuple[float, ...]:
    """Numbers that the README of a scene states, by the words around them."""
    found = re.search(pattern, readme(name))
    assert found is not None, f"{name}: nothing like {pattern!r} in its README"
    return tuple(float(group.replace(",", "")) for group in found.groups())


def test_the_library_holds_what_it_promises() -> None:
    assert set(AUTHORED) | {"lecture_theatre", "office_wing"} <= set(library())


@pytest.mark.parametrize("name", library())
def test_a_scene_is_sound_and_as_its_words_say(name: str) -> None:
    scene = load_scene(name)
    assert scene.name == name
    assert scene.assumptions
    assert load_table(name, scene).quantities
    assert readme(name).startswith("# ")
    found = findings(scene, name, max_depth=ANY_DEPTH)
    assert not [str(item.fault) for item in found if item.level == "error"]
    if name in AUTHORED:
        assert not [str(item.fault) for item in found if item.level == "warning"]
        assert "![Plan](plan.png)" in readme(name)
    points = receiver_points(scene)
    assert 0 < len(points) <= 5_000
    carriers = sorted({ap.frequency_ghz or scene.frequency_ghz for ap in scene.access_points})
    assert listed(name)[-3:] == [
        str(len(scene.access_points)),
        str(len(points)),
        ", ".join(f"{carrier:g}" for carrier in carriers),
    ]


def listed(name: str) -> list[str]:
    """Cells of a scene's row in the table of the docs."""
    text = (Path(__file__).parents[2] / "docs" / "scene-library.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{name}` \|.*$", text, re.MULTILINE)
    assert row is not None
    return [cell.strip() for cell in row.group().strip("|").split("|")]


def test_a_realisation_keeps_the_receivers() -> None:
    scene = load_scene("hall")
    drawn = realise(scene, load_table("hall", scene), seed=3, realisation=0)
    assert scene_digest(drawn.scene) != scene_digest(scene)
    assert np.array_equal(drawn.points()[:, :2], receiver_points(scene)[:, :2])


def test_points_of_the_corridor_are_those_of_the_survey() -> None:
    scene = load_scene("corridor")
    points = receiver_points(scene)
    assert len(points) == 114
    assert (crossed(scene, points) == 1).all()
    folder = os.environ.get("TWIN_DATA_DIR")
    if not folder:
        pytest.skip("TWIN_DATA_DIR is not set")
    told: dict[tuple[float, float], str] = {}
    for split in ("train", "test"):
        path = Path(folder) / "wifi_rtt_rooms" / f"database_corridor_{split}.csv.xz"
        if not path.is_file():
            pytest.skip(f"{path.name} is not there")
        with lzma.open(path, "rt") as lines:
            told |= {
                (float(row["X"]), float(row["Y"])): row["LOS APs"] for row in csv.DictReader(lines)
            }
    assert not any(told.values())
    surveyed = 0.6 * np.array(sorted(told))
    assert np.allclose(points[np.lexsort(points[:, :2].T[::-1]), :2], surveyed)


def test_hall_and_lab_have_the_points_that_metaloc_states() -> None:
    for name, spacings in (("hall", {0.6}), ("lab", {0.6, 1.2})):
        scene = load_scene(name)
        points = receiver_points(scene)
        assert len(points) == 90
        assert len(scene.access_points) == 3
        assert (scene.bandwidth_mhz, scene.subcarriers) == (20, 52)
        for axis in (0, 1):
            steps = np.diff(np.unique(points[:, axis].round(6)))
            assert set(steps.round(6)) <= spacings
        assert load_table(name, scene).realisations_per_day == 4


def test_the_hall_is_in_sight_but_for_people() -> None:
    scene = load_scene("hall")
    assert not crossed(scene, receiver_points(scene), without="person").any()


def test_the_lab_hides_as_many_links_as_it_says() -> None:
    scene = load_scene("lab")
    hidden = (crossed(scene, receiver_points(scene)) > 0).sum()
    assert (hidden,) == figure("lab", r"Of the 270 links to the three routers, (\d+) have")


@pytest.mark.parametrize("name", OFFICES)
def test_an_office_has_the_access_points_and_figures_it_states(name: str) -> None:
    scene = load_scene(name)
    points = receiver_points(scene)
    assert len(scene.access_points) == 20
    assert scene.frequency_ghz == 2.44
    assert (len(points),) == figure(name, r"\*\*Points\*\*: (\d+) on a grid of 1 m")
    assert (crossed(scene, points).max(),) == figure(name, r"\*\*Sheets\*\*: up to (\d+) between")


def test_the_street_has_the_published_distances() -> None:
    places = {
        ap.name: ap.position_m
        for name in ("street_o1", "street_mo1")
        for ap in load_scene(name).access_points
    }
    along = {name: place[0] for name, place in places.items()}
    assert along["BS5"] - along["BS3"] == along["BS3"] - along["BS2"] == 100
    assert along["BS8"] - along["BS5"] == 62
    assert along["BS9"] - along["BS8"] == 100
    assert places["BS3"][1] - places["BS2"][1] == 52
    assert {place[2] for place in places.values()} == {6}
    scene = load_scene("street_o1")
    lengths = {road.name: math.dist(*road.path_m) for road in scene.roads}
    assert lengths == {"main_street": 600, "cross_street": 440}
    assert {road.width_m for road in scene.roads} == {40}
    assert {ap.array.columns for ap in scene.access_points} == {32}


@pytest.mark.parametrize("name", ["street_o1", "street_o1_rain"])
def test_all_users_of_the_open_street_are_in_sight(name: str) -> None:
    scene = load_scene(name)
    points = receiver_points(scene)
    assert len(points) == 1620
    assert not crossed(scene, points).any()


def test_the_grid_for_a_study_has_the_number_of_points_stated() -> None:
    scene = load_scene("street_o1")
    area = scene.receivers[0]
    assert isinstance(area, GridArea)
    fine = area.model_copy(update={"pitch_m": 0.4})
    assert (len(area_points(scene, fine)),) == figure("street_o1", r"which gives ([\d,]+)")


def test_the_blocker_hides_the_share_it_states() -> None:
    scene = load_scene("street_o1b")
    points = receiver_points(scene)
    hidden = crossed(scene, points) > 0
    stated = r"takes ([\d,]+) of the ([\d,]+) users \(([\d.]+) %\)"
    assert (hidden.sum(), len(points), round(100 * hidden.mean(), 1)) == figure(
        "street_o1b", stated
    )
    assert not crossed(scene, points, without="blocker").any()
    assert np.array_equal(points, receiver_points(load_scene("street_o1")))


def test_both_reflectors_are_in_sight_of_the_base_station() -> None:
    scene = load_scene("street_o1b")
    for wall in scene.walls:
        if wall.name.startswith("reflector"):
            ends = np.array([(*point, 4.0) for point in wall.path_m])
            assert not crossed(scene, ends, without=wall.name).any()


def test_every_cell_of_the_five_is_as_stated() -> None:
    scene = load_scene("street_mo1")
    assert len(scene.receivers) == len(scene.access_points) == 5
    assert len({ap.yaw_deg for ap in scene.access_points}) == 5
    for area, ap in zip(scene.receivers, scene.access_points, strict=True):
        points = area_points(scene, area)
        row = rf"`{area.name}` \| {ap.name} at [^|]*\| [^|]*\| ([-\d]+) deg \| (\d+) \|"
        assert (ap.yaw_deg, len(points)) == figure("street_mo1", row)
        own = scene.model_copy(update={"access_points": (ap,)})
        assert not crossed(own, points).any()


def test_the_street_in_rain_is_drawn_from_dry_to_a_cloudburst() -> None:
    scene = load_scene("street_o1_rain")
    assert (scene.frequency_ghz, scene.bandwidth_mhz) == (60, 1600)
    assert scene.weather.rain_mm_per_h == 0
    table = load_table("street_o1_rain", scene)
    drawn = [
        realise(scene, table, seed=1, realisation=number).scene.weather.rain_mm_per_h
        for number in range(8)
    ]
    assert 0 <= min(drawn) < 50 < max(drawn) <= 100


def test_traffic_hides_what_it_states_and_moves() -> None:
    scene = load_scene("street_o2")
    points = receiver_points(scene)
    hidden = crossed(scene, points) > 0
    assert (hidden.sum(),) == figure("street_o2", r"declared moment (\d+) of the points lack")
    assert not crossed(scene, points, without="truck").any()
    later = crossed(scene.model_copy(update={"time_s": 40.0}), points) > 0
    assert (later != hidden).any()
    table = load_table("street_o2", scene)
    assert [row.path for row in table.quantities if row.varies == "each"] == ["time_s"]
