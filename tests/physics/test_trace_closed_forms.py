"""Ray tracing against formulas written out here."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import modfresnelm

from tests.physics import rooms
from twin.scene.materials import complex_permittivity, slab
from twin.trace.build import build_scene
from twin.trace.engine import TraceSettings, trace
from twin.trace.solver import solve_chains
from twin.units import SPEED_OF_LIGHT_M_PER_S, free_space_path_gain_db, wavelength_m

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


def tall_room(width_m, depth_m, height_m, material="air", **changes):
    """A box of one material, of any size."""
    outline = [[0.0, 0.0], [width_m, 0.0], [width_m, depth_m], [0.0, depth_m]]
    shell = dict.fromkeys(("wall_material", "floor_material", "ceiling_material"), material)
    return rooms.room(room={"outline_m": outline, "height_m": height_m, **shell}, **changes)


def solve(scene, transmitter, points, **changes):
    """Paths of one isotropic transmitter."""
    traced = solve_chains(
        build_scene(scene), np.array([transmitter]), np.array(points), settings(**changes)
    )
    return traced.table


def link(table, point=0):
    """Indices of one receiver's paths."""
    return [(point, 0, path) for path in range(table.num_paths[point, 0])]


def path_from(table, image, receiver):
    """Index of the one path that comes from an image of the transmitter."""
    away = np.array(image) - receiver
    delay_s = np.linalg.norm(away) / SPEED_OF_LIGHT_M_PER_S
    found = [
        place
        for place in link(table)
        if abs(table.delay_s[place] - delay_s) < 1e-13
        and np.abs(arrival(table, place) - away / np.linalg.norm(away)).max() < 1e-5
    ]
    assert len(found) == 1
    return found[0]


def spherical(azimuth, zenith):
    """Unit vectors of radius, zenith and azimuth (3, 3), as columns."""
    along, across = np.cos(azimuth), np.sin(azimuth)
    return np.array(
        [
            [np.sin(zenith) * along, np.cos(zenith) * along, -across],
            [np.sin(zenith) * across, np.cos(zenith) * across, along],
            [np.cos(zenith), -np.sin(zenith), 0.0],
        ]
    )


def arrival(table, place):
    return spherical(float(table.aoa_azimuth[place]), float(table.aoa_zenith[place]))[:, 0]


def dyad(table, place):
    """Transfer (3, 3) from field vectors to field vectors of the world."""
    here = spherical(float(table.aoa_azimuth[place]), float(table.aoa_zenith[place]))
    there = spherical(float(table.aod_azimuth[place]), float(table.aod_zenith[place]))
    return here[:, 1:] @ table.transfer[place] @ there[:, 1:].T


def transverse(way):
    """Projector (3, 3) on what is across a direction."""
    way = way / np.linalg.norm(way)
    return np.eye(3) - np.outer(way, way)


def mirror_of_metal(normal):
    """Field vector after a perfect conductor: what is tangential changes its sign."""
    return 2.0 * np.outer(normal, normal) - np.eye(3)


def difference(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def slab_matrices(permittivity, thickness_m, cosine):
    """Transmission of a slab, (TE, TM), from its characteristic matrix.

    Born and Wolf, Principles of Optics, section 1.6: unlike the sum over echoes in ITU-R P.2040,
    from the continuity of the tangential fields at both faces.
    """
    root = np.sqrt(permittivity - (1 - cosine**2))
    phase = 2 * np.pi * thickness_m / WAVELENGTH_M * root
    transmitted = []
    for inside, outside in ((root, cosine), (root / permittivity, cosine)):
        cos, sin = np.cos(phase), 1j * np.sin(phase)
        transmitted.append(2 / (2 * cos + sin * (inside / outside + outside / inside)))
    return transmitted


@pytest.mark.parametrize("distance", [0.06, 0.7, 5.0, 33.0, 90.0])
def test_free_space_from_centimetres_to_a_hall(distance):
    scene = tall_room(200.0, 200.0, 60.0)
    rng = np.random.default_rng(7)
    azimuth, height = rng.uniform(-np.pi, np.pi, 12), rng.uniform(-0.3, 0.3, 12)
    across = np.sqrt(1.0 - height**2)
    ways = np.column_stack([across * np.cos(azimuth), across * np.sin(azimuth), height])
    transmitter = np.array([100.0, 100.0, 30.0])
    table = solve(scene, transmitter, transmitter + distance * ways)
    straight = (slice(None), 0, 0)
    assert np.abs(table.delay_s[straight] * SPEED_OF_LIGHT_M_PER_S - distance).max() < 1e-12
    level = np.full(12, free_space_path_gain_db(distance, rooms.FREQUENCY_HZ))
    assert 20 * np.log10(np.abs(table.gain[straight])) == pytest.approx(level, abs=1e-3)
    # The wave keeps its field vector; seen from the receiver, azimuth runs the other way round.
    # Sionna rounds the frequency to single precision: 3e-8 of up to 10,000 rad.
    expected = wave(distance) * np.diag([1.0, -1.0])
    assert difference(table.transfer[straight], np.tile(expected, (12, 1, 1))) < 5e-4


AXES = [*np.eye(3), *-np.eye(3)]


@pytest.mark.parametrize("way", AXES)
def test_angles_and_transfer_agree_along_the_axes(way):
    # At a pole azimuth means nothing, but transfer must mean the azimuth that the table gives.
    transmitter = np.array([5.0, 4.0, 1.5])
    table = solve(rooms.room(), transmitter, [transmitter + way])
    place = (0, 0, 0)
    assert arrival(table, place) == pytest.approx(-way, abs=1e-6)
    assert difference(dyad(table, place), wave(1.0) * transverse(way)) < 1e-5
    for azimuth in (table.aoa_azimuth, table.aod_azimuth):
        assert -np.float32(np.pi) < azimuth[place] <= np.float32(np.pi)


def test_one_reflection_keeps_and_turns_polarisation_as_fresnel_says():
    scene = rooms.room(floor="earth", sides="earth")
    transmitter, receiver = np.array([2.0, 3.0, 2.0]), np.array([7.0, 3.0, 1.2])
    table = solve(scene, transmitter, [receiver])
    permittivity = complex_permittivity(scene.materials["earth"], rooms.FREQUENCY_HZ)
    # From the floor: upright fields lie in the plane of incidence.
    length = np.hypot(5.0, 3.2)
    te, tm = fresnel(permittivity, 3.2 / length)
    found = table.transfer[path_from(table, [2.0, 3.0, -2.0], receiver)]
    assert difference(found, wave(length) * np.diag([tm, -te])) < 1e-4
    # From a wall, both ends at one height: upright fields lie across the plane of incidence.
    receiver = np.array([7.0, 5.0, 2.0])
    table = solve(scene, transmitter, [receiver])
    length = np.hypot(5.0, 8.0)
    te, tm = fresnel(permittivity, 8.0 / length)
    found = table.transfer[path_from(table, [2.0, -3.0, 2.0], receiver)]
    assert difference(found, wave(length) * np.diag([te, -tm])) < 1e-4


def test_two_reflections_in_a_corner_of_metal():
    corner = {"name": "corner", "path_m": [[7.0, 1.0], [1.0, 1.0], [1.0, 7.0]], "material": "metal"}
    scene = rooms.room(walls=[corner])
    transmitter, receiver = np.array([3.0, 2.3, 1.0]), np.array([2.1, 4.2, 2.2])
    table = solve(scene, transmitter, [receiver], max_depth=2)
    image = np.array([-1.0, -0.3, 1.0])
    turn = mirror_of_metal(np.array([1.0, 0, 0])) @ mirror_of_metal(np.array([0, 1.0, 0]))
    place = path_from(table, image, receiver)
    leaving = (receiver - image) * [-1.0, -1.0, 1.0]
    expected = wave(np.linalg.norm(receiver - image)) * turn @ transverse(leaving)
    # What metal swallows: 2 / sqrt(|permittivity|) at each reflection, about 3e-4.
    assert difference(dyad(table, place), expected) < 2e-3
    assert table.interactions[place] == 1
    # Line of sight, a reflection in each wall, and one in both.
    assert len(link(table)) == 4


def test_reflections_to_and_fro_between_walls_of_metal():
    scene = rooms.room(walls=[rooms.wall("west", 3.0, "metal"), rooms.wall("east", 6.0, "metal")])
    transmitter, receiver = np.array([3.7, 2.0, 1.1]), np.array([5.2, 4.5, 2.0])
    table = solve(scene, transmitter, [receiver], max_depth=3)
    assert len(link(table)) == 7
    turn = mirror_of_metal(np.array([1.0, 0.0, 0.0]))
    for order in range(4):
        for first in (3.0, 6.0):
            x, walls = transmitter[0], [first, 9.0 - first, first][:order]
            for wall in walls:
                x = 2.0 * wall - x
            away = np.array([x, 2.0, 1.1]) - receiver
            place = path_from(table, [x, 2.0, 1.1], receiver)
            leaving = -away * [(-1.0) ** order, 1.0, 1.0]
            expected = wave(np.linalg.norm(away)) * np.linalg.matrix_power(turn, order)
            assert difference(dyad(table, place), expected @ transverse(leaving)) < 3e-3


def test_all_reflections_in_a_box_of_metal_up_to_the_third_order():
    size = np.array([7.0, 5.0, 3.0])
    scene = tall_room(*size, "metal")
    transmitter, receiver = np.array([1.6, 3.4, 2.0]), np.array([5.2, 1.1, 0.8])
    table = solve(
        scene, transmitter, [receiver], max_depth=3, max_paths=100, undiscovered_share=1e-6
    )
    # The lattice of images: an octahedron of 1 + 6 + 18 + 38.
    cells = np.array(
        [
            (i, j, k)
            for i in range(-3, 4)
            for j in range(-3, 4)
            for k in range(-3, 4)
            if abs(i) + abs(j) + abs(k) <= 3
        ]
    )
    assert len(cells) == 63 == len(link(table))
    images = np.where(cells % 2, -transmitter, transmitter) + 2 * size * ((cells + 1) // 2)
    conductor = complex_permittivity(scene.materials["metal"], rooms.FREQUENCY_HZ)
    for cell, image in zip(cells, images, strict=True):
        place = path_from(table, image, receiver)
        distance = np.linalg.norm(image - receiver)
        cosine = np.abs(image - receiver) / distance
        # Vertical fields change their sign at walls, horizontal ones at floor and ceiling.
        signs = np.diag([(-1.0) ** (cell[0] + cell[1]), -((-1.0) ** cell[2])])
        _, tm = fresnel(conductor, cosine)
        loss_db = -20 * np.log10(np.abs(tm)) @ np.abs(cell)
        level_db = 20 * np.log10(np.abs(table.gain[place]) / np.abs(wave(distance)))
        assert -loss_db - 0.01 < level_db < 0.01
        swallowed = np.abs(1 - tm) @ np.abs(cell)
        assert difference(table.transfer[place], wave(distance) * signs) < swallowed + 1e-4


@pytest.mark.parametrize("material", ["plasterboard", "concrete"])
@pytest.mark.parametrize("angle_deg", [0.0, 20.0, 45.0, 60.0, 75.0])
def test_transmission_of_a_slab(material, angle_deg):
    scene = rooms.room(walls=[rooms.wall("screen", 5.0, material)])
    transmitter = np.array([4.4, 1.5, 1.3])
    receiver = transmitter + 1.2 * np.array([1.0, np.tan(np.deg2rad(angle_deg)), 0.0])
    table = solve(scene, transmitter, [receiver])
    permittivity = complex_permittivity(scene.materials[material], rooms.FREQUENCY_HZ)
    thickness_m = slab(scene.materials[material], rooms.FREQUENCY_HZ).thickness_m
    cosine = np.cos(np.deg2rad(angle_deg))
    te, tm = slab_matrices(permittivity, thickness_m, cosine)
    expected = wave(1.2 / cosine) * np.diag([te, -tm])
    through = [place for place in link(table) if table.interactions[place] == 4]
    assert len(through) == 1
    assert difference(table.transfer[through[0]], expected) < 1e-3


def test_transmission_askew_mixes_polarisations():
    scene = rooms.room(walls=[rooms.wall("screen", 5.0)])
    transmitter, receiver = np.array([4.0, 2.0, 0.4]), np.array([6.0, 4.5, 2.6])
    table = solve(scene, transmitter, [receiver])
    way = (receiver - transmitter) / np.linalg.norm(receiver - transmitter)
    across = np.cross(way, [1.0, 0.0, 0.0])
    across /= np.linalg.norm(across)
    level = np.cross(way, across)
    permittivity = complex_permittivity(scene.materials["plasterboard"], rooms.FREQUENCY_HZ)
    te, tm = slab_matrices(permittivity, 0.03, way[0])
    expected = te * np.outer(across, across) + tm * np.outer(level, level)
    expected = wave(np.linalg.norm(receiver - transmitter)) * expected
    found = dyad(table, (0, 0, 0))
    assert np.abs(te - tm) > 0.1
    assert difference(found, expected) < 1e-3


@pytest.mark.parametrize("gap_m", [2.0, 0.3, 0.02])
def test_two_walls_crossed(gap_m):
    screens = [rooms.wall("first", 5.0), rooms.wall("second", 5.0 + gap_m, "concrete")]
    scene = rooms.room(walls=screens)
    transmitter, receiver = np.array([3.0, 1.5, 1.3]), np.array([8.0, 5.5, 1.3])
    table = solve(scene, transmitter, [receiver], max_depth=2)
    distance = np.hypot(5.0, 4.0)
    expected = wave(distance) * np.diag([1.0, -1.0]).astype(complex)
    for name in ("plasterboard", "concrete"):
        permittivity = complex_permittivity(scene.materials[name], rooms.FREQUENCY_HZ)
        thickness_m = slab(scene.materials[name], rooms.FREQUENCY_HZ).thickness_m
        expected = expected * slab_matrices(permittivity, thickness_m, 5.0 / distance)
    straight = path_from(table, transmitter, receiver)
    assert table.interactions[straight] == 4
    assert difference(table.transfer[straight], expected) < 1e-3


def test_a_reflection_and_a_wall_crossed_in_one_path():
    scene = rooms.room(floor="earth", walls=[rooms.wall("screen", 5.0)])
    # The floor is met behind the wall, then before it.
    for x in (4.0, 1.5):
        transmitter, receiver = np.array([x, 3.0, 1.6]), np.array([x + 4.0, 3.0, 1.1])
        table = solve(scene, transmitter, [receiver], max_depth=2)
        length = np.hypot(4.0, 2.7)
        earth, board = (
            complex_permittivity(scene.materials[name], rooms.FREQUENCY_HZ)
            for name in ("earth", "plasterboard")
        )
        reflected = fresnel(earth, 2.7 / length)
        through = slab_matrices(board, 0.03, 4.0 / length)
        place = path_from(table, transmitter * [1.0, 1.0, -1.0], receiver)
        te, tm = np.multiply(reflected, through)
        assert table.interactions[place] == 5
        assert difference(table.transfer[place], wave(length) * np.diag([tm, -te])) < 1e-3


def test_delays_are_those_of_the_images_to_a_tenth_of_a_picosecond():
    # An oblique wall, so that no coordinate is round.
    outline = [[0.0, 0.0], [9.31, 0.57], [8.13, 6.77], [0.41, 7.09]]
    shell = dict.fromkeys(("wall_material", "floor_material", "ceiling_material"), "concrete")
    scene = rooms.room(room={"outline_m": outline, "height_m": 2.87, **shell})
    transmitter, receiver = np.array([2.17, 3.33, 2.21]), np.array([6.05, 2.71, 1.13])
    table = solve(scene, transmitter, [receiver], max_depth=2, max_paths=100)
    corners = np.array(outline)
    along = np.roll(corners, -1, axis=0) - corners
    normals = np.column_stack([along[:, 1], -along[:, 0], np.zeros(4)])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    planes = [
        (normal, normal[:2] @ corner) for normal, corner in zip(normals, corners, strict=True)
    ]
    planes += [(np.array([0.0, 0.0, 1.0]), height) for height in (0.0, 2.87)]

    def mirrored(point, plane):
        normal, offset = plane
        return point - 2 * (normal @ point - offset) * normal

    images = [transmitter, *(mirrored(transmitter, plane) for plane in planes)]
    images += [
        mirrored(mirrored(transmitter, planes[i]), planes[j])
        for i in range(6)
        for j in range(6)
        if i != j
    ]
    delays = np.array([np.linalg.norm(image - receiver) for image in images])
    delays /= SPEED_OF_LIGHT_M_PER_S
    late = np.abs(table.delay_s[0, 0, : len(link(table)), None] - delays)
    assert late.min(axis=1).max() < 1e-13
    # In a convex room every single mirror shows an image.
    assert (late[:, :7].min(axis=0) < 1e-13).all()


def transition(x):
    """Kouyoumjian and Pathak, Proc. IEEE 62 (1974), equation 27."""
    root = np.sqrt(x)
    return 2j * root * np.exp(1j * x) * modfresnelm(root)[0]


def soft_diffraction(n, wavenumber, reach, out, into):
    """Coefficient of a perfectly conducting wedge of exterior angle n pi for fields along the edge,
    at right angles to it; the same, equation 25. Angles from the face that is lit."""

    def term(sign, angle):
        turns = np.round((angle + sign * np.pi) / (2 * np.pi * n))
        distance = 2 * np.cos((2 * np.pi * n * turns - angle) / 2) ** 2
        cotangent = 1 / np.tan((np.pi + sign * angle) / (2 * n))
        return cotangent * transition(wavenumber * reach * distance)

    total = sum(term(s, out - into) for s in (1, -1)) - sum(term(s, out + into) for s in (1, -1))
    return -np.exp(-0.25j * np.pi) / (2 * n * np.sqrt(2 * np.pi * wavenumber)) * total


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("y_m", [4.2, 4.5, 5.0, 5.2])
def test_diffraction_at_a_corner_is_that_of_the_uniform_theory(y_m, depth):
    block = rooms.box("block", [5.0, 3.0], [2.0, 2.0, 2.8], "metal")
    scene = rooms.room(furniture=[block])
    # In the shadow of the edge at (4, 4), from which the transmitter stands at (-2, -1).
    traced = trace(scene, settings(diffraction=True, max_depth=depth), np.array([[7.0, y_m, 2.0]]))
    bent = np.nonzero(traced["interactions"].values[0, 0] == 8)[0]
    before, after = np.hypot(2.0, 1.0), np.hypot(3.0, y_m - 4.0)
    length = traced["delay"].values[0, 0, bent] * SPEED_OF_LIGHT_M_PER_S
    index = bent[np.argmin(np.abs(length - before - after))]
    wavenumber = 2 * np.pi / WAVELENGTH_M
    coefficient = soft_diffraction(
        1.5,
        wavenumber,
        before * after / (before + after),
        np.pi + np.arctan2(3.0, y_m - 4.0),
        np.arctan2(2.0, 1.0),
    )
    expected = (
        WAVELENGTH_M
        / (4 * np.pi)
        * coefficient
        / np.sqrt(before * after * (before + after))
        * np.exp(-1j * wavenumber * (before + after))
    )
    # Sionna's coefficient, which is for lossy wedges, is 3 to 8 % larger here.
    assert field(traced)[0, index] == pytest.approx(expected, rel=0.1)
