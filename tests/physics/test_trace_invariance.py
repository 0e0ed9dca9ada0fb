"""Results that must not change: ends swapped, or the whole scene moved and turned."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.physics import rooms
from tests.physics.image_method import Sheets, dyad, match
from twin.scene.geometry import build
from twin.trace import build as scene_builder
from twin.trace.engine import TraceSettings
from twin.trace.solver import solve_chains
from twin.units import SPEED_OF_LIGHT_M_PER_S

SETTINGS = TraceSettings(max_depth=3, max_paths=300)
DYNAMIC_RANGE_DB = 40.0
TRANSMITTER = np.array([1.03, 1.17, 2.5])
RECEIVERS = np.array([[2.0, 6.5, 1.2], [8.1, 5.5, 1.2], [5.3, 3.4, 1.1], [9.2, 1.6, 0.9]])
# Directions are kept in single precision.
ANGLE_RAD = 1e-6


def furnished(**changes):
    """Walls to cross, metal to mirror, oblique sides, and a panel with its sides 4 cm apart."""
    desk = rooms.box("desk", [3.0, 5.0], [1.6, 0.8, 0.75], "plasterboard")
    panel = rooms.box("panel", [4.0, 2.0], [1.0, 0.04, 1.1], "plasterboard")
    return rooms.room(
        floor="concrete",
        sides="plasterboard",
        ceiling="concrete",
        walls=[rooms.wall("screen", 6.0)],
        furniture=[
            {**desk, "yaw_deg": 17.0},
            {**panel, "bottom_m": 0.7},
            rooms.box("cupboard", [8.0, 2.0], [0.5, 1.2, 2.0], "metal"),
        ],
        **changes,
    )


def level_db(one, other):
    return abs(20 * np.log10(np.linalg.norm(one) / np.linalg.norm(other)))


def solve_moved(monkeypatch, scene, turn, shift):
    """Paths in the scene, every vertex and device turned and then shifted."""
    surfaces = [
        dataclasses.replace(surface, vertices=surface.vertices @ turn.T + shift)
        for surface in build(scene)
    ]
    monkeypatch.setattr(scene_builder, "build", lambda _scene: surfaces)
    built = scene_builder.build_scene(scene)
    places = np.concatenate([TRANSMITTER[None], RECEIVERS]) @ turn.T + shift
    return solve_chains(built, places[:1], places[1:], SETTINGS).table


def turned_back(table, turn):
    """A table's directions as they were before the scene was turned."""
    angles = {}
    for end in ("aoa", "aod"):
        azimuth, zenith = (
            getattr(table, f"{end}_{name}").astype(float) for name in ("azimuth", "zenith")
        )
        way = np.stack(
            [np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth), np.cos(zenith)],
            axis=-1,
        )
        x, y, z = np.moveaxis(way @ turn, -1, 0)
        angles[f"{end}_azimuth"] = np.arctan2(y, x)
        angles[f"{end}_zenith"] = np.arctan2(np.hypot(x, y), z)
    return dataclasses.replace(table, **angles)


@pytest.fixture(scope="module")
def sheets():
    return Sheets(furnished())


@pytest.fixture(scope="module")
def forward():
    built = scene_builder.build_scene(furnished())
    return solve_chains(built, TRANSMITTER[None], RECEIVERS, SETTINGS).table


def test_ends_may_be_swapped(forward, sheets):
    built = scene_builder.build_scene(furnished())
    backward = solve_chains(built, RECEIVERS, TRANSMITTER[None], SETTINGS).table
    compared = 0
    for point, receiver in enumerate(RECEIVERS):
        link = sheets.paths(TRANSMITTER, receiver, 3)
        there = match(forward, point, 0, link, delay_s=1e-14, angle_rad=1e-5)
        turned = [dataclasses.replace(path, corners=path.corners[::-1]) for path in link]
        back = match(backward, 0, point, turned, delay_s=1e-14, angle_rad=1e-5)
        assert there.left == back.left == []
        loud = sheets.loud(link, DYNAMIC_RANGE_DB)
        for (path, one), (_, other) in zip(there.pairs, back.pairs, strict=True):
            if path not in loud:
                continue
            first, second = (point, 0, one), (0, point, other)
            assert abs(forward.delay_s[first] - backward.delay_s[second]) < 1e-18
            for departing, arriving in (("aod", "aoa"), ("aoa", "aod")):
                for name in ("azimuth", "zenith"):
                    sent = getattr(forward, f"{departing}_{name}")[first]
                    received = getattr(backward, f"{arriving}_{name}")[second]
                    assert abs(np.angle(np.exp(1j * (sent - received)))) < ANGLE_RAD
            transposed = backward.transfer[second].T
            error = np.abs(forward.transfer[first] - transposed).max() / path.strength
            # The walk starts at the other end, so vertices are rounded otherwise.
            assert error < 2e-3
            assert forward.interactions[first] == backward.interactions[second]
            compared += 1
    assert compared > 100


TURNS = {
    "as it was": np.eye(3),
    "about the vertical": Rotation.from_euler("z", 33.7, degrees=True).as_matrix(),
    "about all axes": Rotation.from_euler("zyx", [33.7, 21.3, -47.1], degrees=True).as_matrix(),
}


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
@pytest.mark.parametrize("shift", [[0.0, 0.0, 0.0], [700.0, -1200.0, 30.0]], ids=["here", "far"])
def test_the_scene_may_be_turned_and_moved(monkeypatch, forward, sheets, turn, shift):
    moved = solve_moved(monkeypatch, furnished(), turn, np.array(shift))
    again = turned_back(moved, turn)
    farthest = np.abs(shift).max() + 15.0
    # Single precision rounds vertices by up to half a unit in the last place along each axis. To
    # first order a path grows by twice the shift of each mirror where it is met (Fermat); on the
    # second triangle of a rectangle that is up to three times the shift of the first's vertices.
    rounding_m = np.sqrt(3) * 0.5 * float(np.spacing(np.float32(farthest)))
    longer_s = 3 * 2 * 3 * rounding_m / SPEED_OF_LIGHT_M_PER_S
    # A sheet 4 cm wide is turned by rounding, and with it what it mirrors.
    turned_rad = 3 * 2 * 2 * rounding_m / 0.04 + ANGLE_RAD
    # Rays start off the surfaces they left, by single precision's grain of their coordinates:
    # nearer to an edge a path may come and go.
    margin_m = max(1e-3, 1e-5 * farthest)
    compared = 0
    for point, receiver in enumerate(RECEIVERS):
        link = sheets.paths(TRANSMITTER, receiver, 3, margin_m=margin_m)
        before = match(forward, point, 0, link, delay_s=1e-12, angle_rad=1e-4)
        after = match(again, point, 0, link, delay_s=longer_s + 1e-12, angle_rad=turned_rad)
        loud = sheets.loud(link, DYNAMIC_RANGE_DB)
        for (path, one), (_, other) in zip(before.pairs, after.pairs, strict=True):
            if path not in loud:
                continue
            first, second = (point, 0, one), (point, 0, other)
            assert one is not None
            assert other is not None
            assert abs(forward.delay_s[first] - moved.delay_s[second]) < longer_s
            assert forward.interactions[first] == moved.interactions[second]
            stayed, went = dyad(forward, *first), turn.T @ dyad(moved, *second) @ turn
            assert level_db(stayed, went) < 0.05
            # Polarisation too: equal but for a phase.
            likeness = abs(np.vdot(stayed, went))
            assert likeness > 0.999 * np.linalg.norm(stayed) * np.linalg.norm(went)
            compared += 1
    assert compared > 100
