"""Corners of paths: lines that are as long as their delays, and bend where surfaces are."""

from __future__ import annotations

import numpy as np
import pytest

from twin.config import validate
from twin.errors import InputError
from twin.scene.declaration import Scene
from twin.trace import polylines
from twin.trace.engine import TraceSettings, trace
from twin.trace.polylines import path_lines
from twin.units import SPEED_OF_LIGHT_M_PER_S, db

REFLECTION, TRANSMISSION, DIFFRACTION = 1, 4, 8
POINTS = np.array([[1.5, 1.0, 1.1], [5.0, 1.0, 1.3], [4.2, 2.7, 0.9]])


def room(**changes):
    """A room of 6 m x 4 m x 2.5 m, a low screen across its middle and a crate beside it."""
    ap = {"power_dbm": 20, "pattern": "iso"}
    grid = {"name": "grid", "kind": "grid", "area_m": [[1, 1], [2, 1], [2, 2]], "height_m": 1}
    content = {
        "schema": "fingertwin/scene@2",
        "name": "room",
        "title": "A room",
        "source": "made up",
        "frequency_ghz": 5.25,
        "bandwidth_mhz": 80,
        "subcarriers": 8,
        "materials": {
            "concrete": {"itu": "concrete", "thickness_m": 0.2},
            "wood": {"itu": "wood", "thickness_m": 0.02},
        },
        "room": {
            "outline_m": [[0, 0], [6, 0], [6, 4], [0, 4]],
            "height_m": 2.5,
            "wall_material": "concrete",
            "floor_material": "concrete",
            "ceiling_material": "concrete",
        },
        "walls": [
            {"name": "screen", "path_m": [[3, 0.5], [3, 3.5]], "height_m": 1.8, "material": "wood"}
        ],
        "furniture": [
            {
                "name": "crate",
                "centre_m": [3.9, 1.6],
                "size_m": [0.6, 0.6, 1.5],
                "material": "wood",
            }
        ],
        "access_points": [
            {"name": "one", "position_m": [1, 3, 2], **ap},
            {"name": "two", "position_m": [5.5, 3.4, 1.2], **ap, "power_dbm": 10},
        ],
        "receivers": [{**grid, "pitch_m": 0.5}],
        **changes,
    }
    return validate(content, Scene, "room")


SETTINGS = TraceSettings(max_depth=2, rays_per_round=20_000, diffraction=True, max_paths=300)


@pytest.fixture(scope="module")
def traced():
    return trace(room(), SETTINGS, POINTS)


@pytest.fixture(scope="module")
def lines():
    return path_lines(room(), SETTINGS, POINTS)


def last(lines):
    return np.count_nonzero(lines.interactions, axis=1)


def test_every_path_of_the_trace_has_a_line(traced, lines):
    number = traced["num_paths"].to_numpy()
    assert len(lines) == number.sum()
    ends = np.column_stack([lines.point, lines.access_point])
    for i in range(3):
        for j in range(2):
            mine = (ends == [i, j]).all(axis=1)
            many = number[i, j]
            assert mine.sum() == many
            assert lines.delay_s[mine] == pytest.approx(traced["delay"].to_numpy()[i, j, :many])
            level = db(np.abs(traced["path_gain"].to_numpy()[i, j, :many]) ** 2)
            assert lines.power_db[mine] == pytest.approx(level, abs=1e-4)
            bits = np.bitwise_or.reduce(lines.interactions[mine], axis=1)
            assert (bits == traced["interactions"].to_numpy()[i, j, :many]).all()
    kinds = {*np.unique(lines.interactions).tolist()}
    assert kinds == {0, REFLECTION, TRANSMISSION, DIFFRACTION}


def test_lines_are_as_long_as_light_goes(lines):
    expected = lines.delay_s * SPEED_OF_LIGHT_M_PER_S
    assert np.abs(lines.length_m() - expected).max() < 1e-8


def test_lines_lead_from_the_access_point_to_the_point(lines):
    places = np.array([ap.position_m for ap in room().access_points])
    assert (lines.corners[:, 0] == places[lines.access_point]).all()
    row = np.arange(len(lines))
    assert (lines.corners[row, last(lines) + 1] == POINTS[lines.point]).all()
    beyond = np.arange(lines.corners.shape[1]) > last(lines)[:, None] + 1
    assert np.isnan(lines.corners[beyond]).all()
    assert np.isfinite(lines.corners[~beyond]).all()


def test_corners_lie_on_surfaces_and_reflect_or_go_straight(lines):
    """Each corner is on a surface, all of them square to an axis; a reflection mirrors about it."""
    planes = ([0.0, 3.0, 3.6, 4.2, 6.0], [0.0, 1.3, 1.9, 4.0], [0.0, 1.5, 2.5])
    seen = dict.fromkeys((REFLECTION, TRANSMISSION, DIFFRACTION), 0)
    for row, many in enumerate(last(lines)):
        path = lines.corners[row, : many + 2]
        legs = np.diff(path, axis=0)
        legs /= np.linalg.norm(legs, axis=1, keepdims=True)
        for k, kind in enumerate(lines.interactions[row, :many].tolist()):
            off = np.array([np.abs(path[k + 1, axis] - planes[axis]).min() for axis in range(3)])
            seen[kind] += 1
            if kind == DIFFRACTION:
                # On an edge of the crate.
                assert np.sort(off)[1] < 1e-5
                continue
            # Rays pass an edge at a little distance, and cross what is next to it there.
            bent = DIFFRACTION in lines.interactions[row]
            assert off.min() < (1e-3 if bent and kind == TRANSMISSION else 1e-5)
            sign = np.where(np.arange(3) == off.argmin(), -1.0, 1.0)
            turned = legs[k] * (sign if kind == REFLECTION else 1.0)
            assert np.abs(turned - legs[k + 1]).max() < 1e-5
    assert min(seen.values()) > 5


def test_an_access_point_that_is_lost_has_no_lines(monkeypatch):
    scene = room()
    aps = (scene.access_points[0].model_copy(update={"active": False}), scene.access_points[1])
    scene = scene.model_copy(update={"access_points": aps})
    searched = []
    known = polylines._walks_from
    monkeypatch.setattr(
        polylines, "_walks_from", lambda ap, *rest: (searched.append(ap.name), known(ap, *rest))[1]
    )
    settings = TraceSettings(max_depth=1, rays_per_round=20_000)
    found = path_lines(scene, settings, POINTS[:1])
    assert {*found.access_point.tolist()} == {1}
    assert found.access_points == ("one", "two")
    assert searched == ["two"]


def test_depth_zero_gives_straight_lines():
    found = path_lines(room(walls=[], furniture=[]), TraceSettings(max_depth=0), POINTS)
    assert len(found) == 6
    assert found.corners.shape == (6, 2, 3)
    assert found.interactions.shape == (6, 0)


def test_what_has_no_lines_is_refused_before_any_work():
    many = np.zeros((polylines.MOST_POINTS + 1, 3))
    with pytest.raises(InputError, match=r"2 faults") as caught:
        path_lines(room(), TraceSettings(diffuse=True), many)
    assert [fault.key for fault in caught.value.faults] == ["points", "diffuse"]
