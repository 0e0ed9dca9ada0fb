"""`twin scene new`: what templates make is sound, seeded, and as large as asked for."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from pydantic import create_model

from twin.config import validate
from twin.errors import InputError
from twin.perturb.distributions import Uniform
from twin.perturb.library import load_table
from twin.perturb.realise import realise
from twin.scene.check import findings
from twin.scene.declaration import Scene
from twin.scene.library import load_scene, name_from_folder
from twin.scene.obstacles import covered
from twin.scene.quantities import SceneName
from twin.scene.receivers import receiver_points
from twin.scene.templates import TEMPLATES, campus, new_scene
from twin.scene.templates.common import Draws, between_points

# Walls between rooms are what offices have, however deep a solver looks.
ANY_DEPTH = 10_000
# Seeds that between them draw every branch of every template (bends, gables, two lanes).
SEEDS = (2, 5)

MAP = """<?xml version="1.0"?>
<osm version="0.6">
<bounds minlat="48.2000" minlon="11.6000" maxlat="48.2018" maxlon="11.6027"/>
{nodes}
<way id="1"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="4"/><nd ref="1"/>
<tag k="building" v="university"/><tag k="height" v="14"/></way>
<way id="2"><nd ref="5"/><nd ref="6"/><nd ref="7"/><nd ref="8"/><nd ref="5"/>
<tag k="building" v="yes"/></way>
<way id="3"><nd ref="9"/><nd ref="10"/><tag k="highway" v="residential"/></way>
</osm>
"""
NODES = (
    (48.2003, 11.6004),
    (48.2003, 11.6010),
    (48.2006, 11.6010),
    (48.2006, 11.6004),
    (48.2011, 11.6012),
    (48.2011, 11.6020),
    (48.2014, 11.6020),
    (48.2014, 11.6012),
    (48.20085, 11.6002),
    (48.20085, 11.6025),
)


def street_map(folder: Path) -> Path:
    """Two houses and a road, as an extract of a map."""
    nodes = "\n".join(
        f'<node id="{number}" lat="{lat}" lon="{lon}"/>'
        for number, (lat, lon) in enumerate(NODES, start=1)
    )
    path = folder / "campus.osm"
    path.write_text(MAP.format(nodes=nodes), encoding="utf-8")
    return path


def files(folder: Path) -> dict[str, bytes]:
    """Content of a folder's files by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_what_a_template_makes_is_sound_and_can_be_perturbed(
    template: str, seed: int, tmp_path: Path
) -> None:
    folder = new_scene(template, tmp_path / "made", seed=seed)
    scene = load_scene(folder)
    found = findings(scene, template, max_depth=ANY_DEPTH)
    assert not [str(item.fault) for item in found if item.level != "note"]
    table = load_table(folder, scene)
    assert realise(scene, table, seed=1, realisation=0).scene != scene
    assert set(files(folder)) == {"scene.yaml", "perturbation.yaml", "README.md"}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_seed_makes_the_same_bytes_again_and_another_seed_does_not(
    template: str, tmp_path: Path
) -> None:
    first, again = (
        files(new_scene(template, tmp_path / place / "made", seed=7)) for place in ("a", "b")
    )
    other = files(new_scene(template, tmp_path / "c" / "made", seed=8))
    assert first == again
    assert first["scene.yaml"] != other["scene.yaml"]


def span(scene: Scene, axis: int) -> float:
    """Extent of a room along an axis [m]."""
    assert scene.room is not None
    values = [point[axis] for point in scene.room.outline_m]
    return max(values) - min(values)


def test_sizes_that_are_given_are_kept(tmp_path: Path) -> None:
    office = load_scene(
        new_scene(
            "office",
            tmp_path / "o",
            name="my_office",
            length_m=21,
            room_depth_m=5,
            corridor_m=2.5,
            height_m=3,
            access_points=7,
        )
    )
    assert office.name == "my_office"
    assert (span(office, 0), span(office, 1)) == pytest.approx((21, 12.5))
    assert office.room is not None
    assert office.room.height_m == 3
    assert len(office.access_points) == 7
    hall = load_scene(new_scene("hall", tmp_path / "h", people=2, length_m=18, width_m=10))
    assert (span(hall, 0), span(hall, 1), len(hall.people)) == (18, 10, 2)
    street = load_scene(new_scene("street", tmp_path / "s", vehicles=9, street_m=22))
    assert len(street.vehicles) == 9
    faces = [y for part in street.buildings for _, y in part.footprint_m]
    assert min(y for y in faces if y > 0) - max(y for y in faces if y <= 0) == 22


def test_a_size_that_is_given_changes_no_other_draw(tmp_path: Path) -> None:
    free = load_scene(new_scene("corridor", tmp_path / "a", seed=3))
    held = load_scene(new_scene("corridor", tmp_path / "b", seed=3, access_points=9))
    assert len(held.access_points) == 9
    assert free.room == held.room
    assert free.openings == held.openings


@pytest.mark.parametrize("template", ["office", "home", "factory"])
def test_no_door_ever_swings_over_a_receiver(template: str, tmp_path: Path) -> None:
    scene = load_scene(new_scene(template, tmp_path / "made", seed=5))
    points = receiver_points(scene)
    assert scene.openings
    for state in ("open", "closed"):
        turned = scene.model_copy(
            update={
                "openings": tuple(
                    item.model_copy(update={"state": state})
                    for item in scene.openings
                    if item.kind == "door"
                )
            }
        )
        assert not [name for name in covered(turned, points) if name.startswith("opening")]


@pytest.mark.parametrize("template", ["hall", "street"])
def test_who_moves_never_comes_over_a_receiver(template: str, tmp_path: Path) -> None:
    scene = load_scene(new_scene(template, tmp_path / "made", seed=2))
    points = receiver_points(scene)
    assert scene.people or scene.vehicles
    for time_s in np.linspace(0.0, 60.0, 13):
        later = scene.model_copy(update={"time_s": float(time_s)})
        assert not covered(later, points)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InputError) as refused:
        new_scene(
            "office",
            tmp_path / "full",
            seed=-1,
            source=Path("map.osm"),
            length_m=1e6,
            access_points=2.5,
            height_m=math.nan,
            rooms=3,
        )
    told = str(refused.value)
    for words in ("seed", "no map", "length_m", "whole number", "height_m", "rooms", "notes.txt"):
        assert words in told
    assert files(tmp_path / "full") == {"notes.txt": b"mine"}


@pytest.mark.parametrize(
    ("template", "sizes", "words"),
    [
        ("hall", {"width_m": 9, "people": 40}, "people: expected at most"),
        ("street", {"length_m": 60, "vehicles": 60}, "vehicles: expected at most"),
        ("corridor", {"length_m": 9, "width_m": 8, "bend_m": 10}, "length_m: expected at least"),
        (
            "factory",
            {"machines_per_100m2": 6, "width_m": 40, "length_m": 60},
            "machines_per_100m2: .* at most",
        ),
    ],
)
def test_more_than_there_is_room_for_is_refused(
    template: str, sizes: dict[str, float], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        new_scene(template, tmp_path / "made", seed=2, **sizes)
    assert not (tmp_path / "made").exists()


def test_the_density_that_a_factory_names_is_the_greatest_that_fits(tmp_path: Path) -> None:
    sizes = {"width_m": 18.0, "length_m": 40.0}
    with pytest.raises(InputError) as refused:
        new_scene("factory", tmp_path / "full", seed=2, machines_per_100m2=6, **sizes)
    (fault,) = refused.value.faults
    said = re.match(r"at most ([0-9.]+): only (\d+) of (\d+) machines find a place", fault.expected)
    assert said is not None
    most, placed, asked = float(said[1]), int(said[2]), int(said[3])
    assert placed < asked
    fitting = load_scene(
        new_scene("factory", tmp_path / "a", seed=2, machines_per_100m2=most, **sizes)
    )
    machines = [item for item in fitting.furniture if item.kind == "machine"]
    assert 0 < len(machines) <= placed
    # One more is too many.
    more = most * (len(machines) + 1) / len(machines)
    with pytest.raises(InputError, match="find a place"):
        new_scene("factory", tmp_path / "b", seed=2, machines_per_100m2=more, **sizes)


@pytest.mark.parametrize(
    ("seed", "sizes"), [(2, {}), (5, {}), (7, {}), (10, {}), (3, {"height_m": 5.23})]
)
def test_no_realisation_of_a_factory_is_refused(
    seed: int, sizes: dict[str, float], tmp_path: Path
) -> None:
    folder = new_scene("factory", tmp_path / "made", seed=seed, **sizes)
    scene = load_scene(folder)
    table = load_table(folder, scene)
    off = next(item.distribution for item in table.quantities if item.name == "ap_z")
    assert isinstance(off, Uniform)
    lowest = min(ap.position_m[2] for ap in scene.access_points) + off.low
    assert max(item.top_m for item in scene.furniture if item.kind == "shelf") < lowest
    # `realise` refuses what a scene cannot be.
    for realisation in range(4):
        made = realise(scene, table, seed=1, realisation=realisation).scene
        assert made.access_points != scene.access_points


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my_office", "my_office"),
        ("My-Office 2", "my_office_2"),
        ("3rd floor", "scene_3rd_floor"),
        ("_x", "scene_x"),
        ("Büro", "b_ro"),
        ("日本", "scene"),
        ("x" * 80, "x" * 60),
    ],
)
def test_folders_give_scenes_valid_names(folder: str, name: str, tmp_path: Path) -> None:
    assert name_from_folder(tmp_path / folder) == name
    assert validate({"name": name}, create_model("Named", name=(SceneName, ...)), "s")


def test_a_scene_is_named_after_its_folder(tmp_path: Path) -> None:
    made = new_scene("hall", tmp_path / "My Hall", people=0)
    scene = load_scene(made)
    assert scene.name == "my_hall"
    assert load_table(made, scene).scene == "my_hall"


@pytest.mark.parametrize("template", [*TEMPLATES, campus.NAME])
def test_the_docs_list_every_size(template: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "scene-templates.md").read_text(encoding="utf-8")
    sizes = campus.SIZES if template == campus.NAME else TEMPLATES[template].sizes
    for key, size in sizes.items():
        row = f"| `{template}` | `{key}` | {size.words} | {size.low:g} to {size.high:g} |"
        assert row in text


def test_an_unknown_template_and_a_campus_without_a_map_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of campus, corridor, factory"):
        new_scene("castle", tmp_path / "made")
    with pytest.raises(InputError, match="OpenStreetMap"):
        new_scene("campus", tmp_path / "made")
    with pytest.raises(InputError, match="name: expected lower-case letters, digits and _"):
        new_scene("hall", tmp_path / "made", name="No Name")
    assert not (tmp_path / "made").exists()


def test_a_campus_takes_its_houses_from_the_map(tmp_path: Path) -> None:
    source = street_map(tmp_path)
    made, again = (
        new_scene("campus", tmp_path / place / "campus", source=source, seed=2, vehicles=5)
        for place in ("a", "b")
    )
    assert files(made) == files(again)
    scene = load_scene(made)
    assert sorted(part.height_m for part in scene.buildings) == [9, 14]
    assert len(scene.vehicles) == 5
    assert not [i for i in findings(scene, "campus", max_depth=ANY_DEPTH) if i.level == "error"]
    assert realise(scene, load_table(made, scene), seed=1, realisation=0).scene != scene
    other = new_scene("campus", tmp_path / "c" / "campus", source=source, seed=3, vehicles=5)
    assert load_scene(other).vehicles != scene.vehicles


def test_cuts_fill_a_length_with_pieces_of_the_usual_size() -> None:
    ends = Draws(1, "test").cuts(40.0, 3.0, 5.0, "rooms")
    assert (ends[0], ends[-1], len(ends)) == (0.0, 40.0, 11)
    widths = np.diff(ends)
    assert widths.min() > 2.5
    assert widths.max() < 6.0


def test_a_place_between_points_is_half_a_pitch_from_both() -> None:
    assert between_points(2.01, 0.8) == pytest.approx(2.0)
    assert between_points(2.3, 0.8) == pytest.approx(2.0)
    assert between_points(2.5, 0.8) == pytest.approx(2.8)
