"""Antennas across each other's polarisation: nothing where nothing arrives, else Fresnel."""

from __future__ import annotations

import numpy as np
import pytest

from tests.physics import rooms
from twin.config import validate
from twin.scene.declaration import Scene
from twin.scene.materials import complex_permittivity
from twin.trace.engine import TraceSettings, trace
from twin.trace.engines import ChainEngine
from twin.units import free_space_path_gain_db, wavelength_m

# One number of rays for all tests: it is compiled into the kernels.
SETTINGS = TraceSettings(rays_per_round=20_000, max_depth=1)
PLACE = np.array([2.0, 3.0, 2.0])
POINTS = np.array([[7.0, 3.0, 2.0], [6.3, -4.1, 0.7], [-11.0, 14.0, 5.5]])
EARTH = rooms.room().materials["earth"]


def outdoors(ground=None, polarisation="H", **antenna):
    """An access point under the sky, and the ground where it is of some material."""
    content = rooms.room(
        access_points=[
            rooms.access_point("AP1", PLACE.tolist(), polarisation=polarisation, **antenna)
        ]
    ).plain()
    del content["room"]
    if ground is not None:
        corners = [[-30.0, -30.0], [30.0, -30.0], [30.0, 30.0], [-30.0, 30.0]]
        content["ground"] = {"area_m": corners, "material": ground}
    return validate(content, Scene, where="outdoors")


@pytest.mark.parametrize("engine", ["chains", "stock"])
@pytest.mark.parametrize("ground", [None, "metal", "earth"])
def test_level_waves_are_no_path_to_an_upright_antenna(ground, engine):
    # Ground reflects a level wave as a level wave: across the plane of incidence, TE.
    settings = SETTINGS.model_copy(update={"stock_samples": 20_000})
    traced = trace(outdoors(ground, yaw_deg=13.0), settings, POINTS, engine)
    assert not traced["num_paths"].values.any()
    assert not traced["los"].values.any()
    assert not traced["csi"].values.any()
    assert not traced["path_gain"].values.any()
    for name in ("rss", "toa", "delay", "aoa_zenith"):
        assert np.isnan(traced[name].values).all(), name
    assert traced["status"].values.tolist() == [2, 2, 2]
    # The waves are there: an upright antenna sends over each of the same paths.
    upright = trace(outdoors(ground, "V"), settings, POINTS, engine)
    assert (upright["num_paths"].values == (1 if ground is None else 2)).all()


@pytest.mark.parametrize("polarisation", ["VH", "cross"])
def test_a_path_that_any_port_is_heard_over_counts(polarisation):
    traced = trace(outdoors("earth", polarisation), SETTINGS, POINTS)
    upright = trace(outdoors("earth", "V"), SETTINGS, POINTS)
    for name in ("num_paths", "toa", "los"):
        assert traced[name].values.tobytes() == upright[name].values.tobytes(), name
    # Half the power is level and lost, whichever way it is split.
    assert traced["rss"].values - upright["rss"].values == pytest.approx(
        -10 * np.log10(2), abs=1e-3
    )


def test_the_first_port_may_be_the_one_that_is_not_heard():
    # Rolled on its side, and the receiver straight ahead: the vertical port lies level.
    ahead = POINTS[:1]
    alone = trace(outdoors(None, "V", roll_deg=90.0), SETTINGS, ahead)
    assert alone["num_paths"].values.tolist() == [[0]]
    both = trace(outdoors(None, "VH", roll_deg=90.0), SETTINGS, ahead)
    assert both["num_paths"].values.tolist() == [[1]]
    assert both["los"].values.all()
    free = free_space_path_gain_db(5.0, rooms.FREQUENCY_HZ)
    assert both["rss"].values[0, 0] == pytest.approx(free - 10 * np.log10(2), abs=1e-3)


def test_what_a_wall_turns_upright_is_heard():
    """A wave that meets a wall askew has parts along and across the plane of incidence."""
    aps = [rooms.access_point("AP1", PLACE.tolist(), polarisation="H")]
    scene = rooms.room(sides="earth", access_points=aps)
    receiver = np.array([7.0, 4.0, 0.6])
    table = ChainEngine().solve(scene, receiver[None], SETTINGS).table
    # The wall at y = 0, from which the image stands at y = -3.
    arriving = receiver - PLACE * [1.0, -1.0, 1.0]
    length = np.linalg.norm(arriving)
    arriving = arriving / length
    leaving = arriving * [1.0, -1.0, 1.0]
    cosine = arriving[1]
    across = np.cross(leaving, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    permittivity = complex_permittivity(EARTH, rooms.FREQUENCY_HZ)
    # ITU-R P.2040, equations 37.
    root = np.sqrt(permittivity - (1 - cosine**2))
    te = (cosine - root) / (cosine + root)
    tm = (permittivity * cosine - root) / (permittivity * cosine + root)
    level = np.array([-leaving[1], leaving[0], 0.0]) / np.hypot(leaving[0], leaving[1])
    sent = (across @ level, np.cross(leaving, across) @ level)
    wave = te * sent[0] * across + tm * sent[1] * np.cross(arriving, across)
    upright = np.array([0.0, 0.0, 1.0]) - arriving[2] * arriving
    upright /= np.linalg.norm(upright)
    expected = wavelength_m(rooms.FREQUENCY_HZ) / (4 * np.pi * length) * np.abs(wave @ upright)
    delays = table.delay_s[0, 0] * 299_792_458.0
    path = int(np.nanargmin(np.abs(delays - length)))
    assert delays[path] == pytest.approx(length, abs=1e-6)
    assert np.abs(table.gain[0, 0, path]) == pytest.approx(expected, rel=1e-3)
    # The line of sight is not heard; walls are.
    assert (table.interactions[0, 0, : table.num_paths[0, 0]] == 1).all()
