"""Ray tracing against formulas written out here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from twin.scene.materials import complex_permittivity, slab
from twin.trace.engine import TraceSettings, trace
from twin.units import SPEED_OF_LIGHT_M_PER_S, free_space_path_gain_db, wavelength_m

_spec = importlib.util.spec_from_file_location("rooms", Path(__file__).with_name("rooms.py"))
rooms = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rooms)

WAVELENGTH_M = wavelength_m(rooms.FREQUENCY_HZ)
# One number of rays for all tests: it is compiled into the kernels.
RAYS = 20_000


def settings(**changes) -> TraceSettings:
    return TraceSettings(**{"rays_per_round": RAYS, "max_depth": 1, **changes})


def wave(distance_m):
    """Field of an isotropic source, as the ratio of amplitudes between isotropic antennas."""
    turns = np.asarray(distance_m) / WAVELENGTH_M
    return WAVELENGTH_M / (4 * np.pi * np.asarray(distance_m)) * np.exp(-2j * np.pi * turns)


def fresnel(permittivity, cosine):
    """Reflection of a half-space, (TE, TM); ITU-R P.2040, equations 37."""
    root = np.sqrt(permittivity - (1 - cosine**2))
    return (
        (cosine - root) / (cosine + root),
        (permittivity * cosine - root) / (permittivity * cosine + root),
    )


def slab_transmission_te(permittivity, thickness_m, cosine):
    """Transmission of a slab for TE; ITU-R P.2040, equations 43 and 44."""
    reflection, _ = fresnel(permittivity, cosine)
    q = 2 * np.pi * thickness_m / WAVELENGTH_M * np.sqrt(permittivity - (1 - cosine**2))
    return (1 - reflection**2) * np.exp(-1j * q) / (1 - reflection**2 * np.exp(-2j * q))


def field(dataset, ap=0):
    return dataset["path_gain"].isel(ap=ap).values.astype(np.complex128)


def test_free_space_gain_delay_phase_and_angles():
    scene = rooms.room()
    points = np.array([[3.0, 3.0, 1.0], [9.0, 7.0, 2.5], [2.0, 7.5, 0.4]])
    traced = trace(scene, settings(), points)
    offset = points - np.array(scene.access_points[0].position_m)
    distance = np.linalg.norm(offset, axis=1)
    assert (traced["num_paths"].values[:, 0] == 1).all()
    gain = field(traced)[:, 0]
    level = 20 * np.log10(np.abs(gain))
    assert level == pytest.approx(free_space_path_gain_db(distance, rooms.FREQUENCY_HZ), abs=1e-4)
    assert np.abs(gain / wave(distance) - 1) == pytest.approx(0.0, abs=2e-3)
    delay = traced["delay"].values[:, 0, 0]
    assert delay * 1e9 == pytest.approx(distance / SPEED_OF_LIGHT_M_PER_S * 1e9, abs=1e-4)
    assert traced["toa"].values[:, 0] == pytest.approx(delay)
    azimuth = np.arctan2(offset[:, 1], offset[:, 0])
    zenith = np.arccos(offset[:, 2] / distance)
    assert traced["aod_azimuth"].values[:, 0, 0] == pytest.approx(azimuth, abs=1e-4)
    assert traced["aod_zenith"].values[:, 0, 0] == pytest.approx(zenith, abs=1e-4)
    assert traced["aoa_zenith"].values[:, 0, 0] == pytest.approx(np.pi - zenith, abs=1e-4)
    back = traced["aoa_azimuth"].values[:, 0, 0] - np.arctan2(-offset[:, 1], -offset[:, 0])
    assert np.cos(back) == pytest.approx(1.0, abs=1e-6)


def test_two_ray_ground():
    scene = rooms.room(floor="earth")
    points = np.array([[x, 3.0, 1.2] for x in (3.0, 4.5, 6.0, 7.7, 9.5)])
    traced = trace(scene, settings(), points)
    x, _, height = scene.access_points[0].position_m
    across = points[:, 0] - x
    direct = np.hypot(across, height - 1.2)
    bounced = np.hypot(across, height + 1.2)
    cosine = (height + 1.2) / bounced
    permittivity = complex_permittivity(scene.materials["earth"], rooms.FREQUENCY_HZ)
    _, reflection = fresnel(permittivity, cosine)
    expected = wave(direct) + reflection * wave(bounced)
    assert np.abs(field(traced).sum(axis=1) / expected - 1) == pytest.approx(0.0, abs=5e-3)
    # Both paths within 80 MHz make RSS the power of the sum over the band, not of the carrier.
    offsets = traced["subcarrier"].values
    delays = np.stack([direct, bounced]) / SPEED_OF_LIGHT_M_PER_S
    parts = np.stack([wave(direct), reflection * wave(bounced)])
    turns = offsets * delays[..., None]
    response = (parts[..., None] * np.exp(-2j * np.pi * turns)).sum(axis=0)
    rss = 10 * np.log10((np.abs(response) ** 2).mean(axis=1))
    assert traced["rss"].values[:, 0] == pytest.approx(rss, abs=0.05)
    assert np.abs(traced["csi"].values[:, 0] - response).max() < 5e-3 * np.abs(response).max()


@pytest.mark.parametrize("y", [3.0, 6.5])
def test_transmission_through_one_wall(y):
    scene = rooms.room(walls=[rooms.wall("screen", 5.0)])
    point = np.array([[8.0, y, 2.0]])
    traced = trace(scene, settings(), point)
    distance = np.hypot(6.0, y - 3.0)
    layer = slab(scene.materials["plasterboard"], rooms.FREQUENCY_HZ)
    permittivity = complex_permittivity(scene.materials["plasterboard"], rooms.FREQUENCY_HZ)
    # The field stands upright, along the wall: TE, whatever the angle in the horizontal plane.
    through = slab_transmission_te(permittivity, layer.thickness_m, 6.0 / distance)
    assert traced["interactions"].values[0, 0, 0] == 4
    assert not traced["los"].values[0, 0]
    assert np.abs(field(traced)[0, 0] / (through * wave(distance)) - 1) < 3e-3


def test_reflections_arrive_when_their_images_say():
    scene = rooms.room(floor="concrete", sides="concrete", ceiling="concrete")
    point = np.array([7.0, 5.5, 1.2])
    traced = trace(scene, settings(), point[None])
    x, y, z = scene.access_points[0].position_m
    images = [(x, y, z), (-x, y, z), (20 - x, y, z), (x, -y, z), (x, 16 - y, z)]
    images += [(x, y, -z), (x, y, 6 - z)]
    expected = np.sort(np.linalg.norm(np.array(images) - point, axis=1))
    found = np.sort(traced["delay"].values[0, 0, :7]) * SPEED_OF_LIGHT_M_PER_S
    assert traced["num_paths"].values[0, 0] == 7
    assert found == pytest.approx(expected, abs=1e-4)


def test_line_of_sight_ends_behind_an_obstacle():
    cupboard = rooms.box("cupboard", [5.0, 3.0], [0.5, 1.0, 2.8], "metal")
    scene = rooms.room(furniture=[cupboard])
    points = np.array([[7.0, 3.0, 1.2], [7.0, 6.0, 1.2]])
    traced = trace(scene, settings(max_depth=2), points)
    assert traced["los"].values[:, 0].tolist() == [False, True]
    assert traced["status"].values.tolist() == [2, 1]
    assert np.isnan(traced["rss"].values[0, 0])
    assert np.isnan(traced["toa"].values[0, 0])


def test_each_wall_crossed_costs_one_of_the_depth():
    scene = rooms.room(walls=[rooms.wall("first", 4.0), rooms.wall("second", 6.0)])
    point = np.array([[8.0, 4.0, 1.2]])
    paths = [
        int(trace(scene, settings(max_depth=depth), point)["num_paths"].values[0, 0])
        for depth in (1, 2)
    ]
    assert paths == [0, 1]


def test_without_refraction_a_wall_is_dark():
    scene = rooms.room(walls=[rooms.wall("screen", 5.0)])
    point = np.array([[8.0, 4.0, 1.2]])
    assert trace(scene, settings(refraction=False), point)["status"].values.tolist() == [2]


def test_diffraction_reaches_behind_a_corner():
    block = rooms.box("block", [5.0, 3.0], [2.0, 2.0, 2.8], "metal")
    scene = rooms.room(furniture=[block])
    point = np.array([[7.0, 4.5, 2.0]])
    traced = trace(scene, settings(diffraction=True), point)
    # Around the vertical edge at (4, 4), in the horizontal plane of both ends.
    around = np.hypot(2.0, 1.0) + np.hypot(3.0, 0.5)
    assert trace(scene, settings(), point)["status"].values.tolist() == [2]
    assert traced["interactions"].values[0, 0, 0] == 8
    assert traced["toa"].values[0, 0] * SPEED_OF_LIGHT_M_PER_S == pytest.approx(around, abs=1e-4)
    assert np.abs(field(traced)[0, 0]) < np.abs(wave(around))


def test_a_short_dipole_sends_nothing_upwards_and_three_halves_sideways():
    scene = rooms.room(
        access_points=[
            rooms.access_point("A", [2.0, 3.0, 2.0]),
            rooms.access_point("B", [2.0, 3.0, 2.0], pattern="dipole"),
        ]
    )
    points = np.array([[8.0, 3.0, 2.0], [2.0, 3.0, 1.0]])
    traced = trace(scene, settings(), points)
    ratio = np.abs(field(traced, 1)[0, 0]) ** 2 / np.abs(field(traced, 0)[0, 0]) ** 2
    assert ratio == pytest.approx(1.5, rel=1e-4)
    assert np.abs(field(traced, 1)[1, 0]) < 1e-5 * np.abs(field(traced, 0)[1, 0])


def test_access_points_keep_their_order_and_power_whatever_their_patterns():
    aps = [
        rooms.access_point("A", [2.0, 3.0, 2.0], "dipole", 10.0),
        rooms.access_point("B", [8.0, 3.0, 2.0], "iso", 13.0),
        rooms.access_point("C", [5.0, 7.0, 2.0], "dipole", 16.0),
    ]
    point = np.array([[4.0, 3.0, 2.0]])
    traced = trace(rooms.room(access_points=aps), settings(), point)
    distance = np.linalg.norm(np.array([ap["position_m"] for ap in aps]) - point, axis=1)
    assert traced["ap"].values.tolist() == ["A", "B", "C"]
    gain = np.array([10 * np.log10(1.5), 0.0, 10 * np.log10(1.5)])
    expected = np.array([10.0, 13.0, 16.0]) + gain
    expected += free_space_path_gain_db(distance, rooms.FREQUENCY_HZ)
    assert traced["rss"].values[0] == pytest.approx(expected, abs=1e-3)
