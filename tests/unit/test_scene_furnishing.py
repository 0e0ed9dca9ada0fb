"""Clutter: as much as was asked for, in nobody's way, and the same every time."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import yaml

from twin.config import validate
from twin.scene.declaration import Scene
from twin.scene.furnishing import furnished, number_of
from twin.scene.obstacles import covered
from twin.scene.receivers import area_points, paired_points, receiver_points

HOUSE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "house.yaml").read_text())


def house(**changes: Any) -> Scene:
    return validate({**copy.deepcopy(HOUSE), **changes}, Scene, "house")


def seats(scene: Scene) -> dict[str, tuple[float, float]]:
    return {i.name: i.centre_m for i in furnished(scene) if i.name.startswith("seats")}


def with_clutter(**changes: Any) -> Scene:
    return house(clutter=[{**HOUSE["clutter"][0], **changes}])


def test_as_many_as_the_density_says_apart_from_each_other() -> None:
    scene = with_clutter(density_per_m2=0.5, gap_m=0.1)
    assert len(seats(scene)) == 10
    assert number_of(scene.clutter[0]) == 10
    shapes = [shapely.Polygon(item.footprint()) for item in furnished(scene)]
    shapes += [shapely.LineString([[5, 0], [5, 4], [10, 4]])]
    for i, one in enumerate(shapes):
        assert all(one.distance(other) >= 0.1 - 0.05 - 1e-9 for other in shapes[:i])


def test_what_does_not_fit_is_left_out() -> None:
    scene = with_clutter(density_per_m2=4.0)
    assert number_of(scene.clutter[0]) == 80
    assert 0 < len(seats(scene)) < 80


def test_one_seed_one_place_and_another_seed_another() -> None:
    assert seats(house()) == seats(house())
    assert not set(seats(house()).values()) & set(seats(with_clutter(seed=1)).values())


def test_what_has_to_give_way_moves_no_other() -> None:
    before = seats(house())
    away = before["seats_3"]
    furniture = [*HOUSE["furniture"], {"name": "plant", "kind": "pillar", "centre_m": list(away)}]
    after = seats(house(furniture=furniture))
    assert after["seats_3"] != away
    near = {
        name
        for name, place in before.items()
        if name != "seats_3" and np.hypot(*np.subtract(place, away)) > 1.5
    }
    assert near
    assert all(after[name] == before[name] for name in near)


def test_absent_furniture_keeps_its_place_free() -> None:
    furniture = copy.deepcopy(HOUSE["furniture"])
    furniture.append({"name": "plant", "kind": "pillar", "centre_m": [3.0, 2.0]})
    there = seats(house(furniture=furniture))
    furniture[-1]["present"] = False
    assert seats(house(furniture=furniture)) == there


def test_areas_come_in_order_at_the_height_of_their_floor() -> None:
    scene = house()
    points = receiver_points(scene)
    parts = [area_points(scene, area) for area in scene.receivers]
    assert np.array_equal(points, np.concatenate(parts))
    assert [sorted(set(part[:, 2])) for part in parts] == [[1.0], [3.7], [1.2], [1.2]]
    assert len(parts[1]) == 30
    assert parts[2] == pytest.approx(
        np.array([[6 + 0.6 * i, 5.6, 1.2] for i in range(6)]),
    )
    assert parts[3] == pytest.approx(np.array([[1.0, 7.0, 1.2], [3.0, 7.0, 1.2]]))


def test_areas_that_leave_out_what_is_covered_have_nothing_covered() -> None:
    scene = house()
    for area in scene.receivers[:2]:
        assert covered(scene, area_points(scene, area)) == {}
    grid = copy.deepcopy(HOUSE["receivers"])
    grid[0]["blocked"] = "refuse"
    everywhere = area_points(house(receivers=grid), house(receivers=grid).receivers[0])
    assert len(everywhere) == 19 * 15
    assert len(area_points(scene, scene.receivers[0])) < len(everywhere)
    # Its first area refuses now, so clutter would keep clear; what is declared does not.
    found = covered(house(receivers=grid), everywhere)
    assert {"wall 'bend'", "furniture 'guest'", "opening 'ajar'"} <= set(found)


def test_a_doorway_is_free_where_the_door_is_open_and_covered_where_it_is_shut() -> None:
    scene = house()
    through = np.array([[5.0, 1.45, 1.0], [5.0, 1.45, 2.4], [7.45, 4.0, 1.0], [5.0, 3.0, 1.0]])
    found = covered(scene, through)
    assert found["wall 'bend'"].tolist() == [False, True, False, True]
    assert found["opening 'shut'"].tolist() == [False, False, True, False]


def test_random_points_do_not_depend_on_how_many_there_are() -> None:
    receivers = copy.deepcopy(HOUSE["receivers"])
    receivers[1]["count"] = 50
    more = house(receivers=receivers)
    few = house()
    assert np.array_equal(
        area_points(more, more.receivers[1])[:30], area_points(few, few.receivers[1])
    )


def test_pairs_share_places_and_take_the_heights_of_the_change() -> None:
    nominal = house()
    receivers = copy.deepcopy(HOUSE["receivers"])
    receivers[0]["height_m"] = 1.25
    furniture = [*HOUSE["furniture"], {"name": "plant", "kind": "pillar", "centre_m": [8.0, 6.0]}]
    changed = house(receivers=receivers, furniture=furniture)
    pairs, points = paired_points(nominal, changed), receiver_points(nominal)
    assert np.array_equal(pairs[:, :2], points[:, :2])
    first = len(area_points(nominal, nominal.receivers[0]))
    assert set(pairs[:first, 2]) == {1.25}
    assert np.array_equal(pairs[first:], points[first:])
