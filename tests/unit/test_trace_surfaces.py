from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from twin.trace.surfaces import (
    ANGLE_TOLERANCE_RAD,
    POSITION_TOLERANCE_M,
    Planes,
    find_planes,
)

EAST, NORTH, UP = np.eye(3)


def sheet(origin, along, across, columns=1, rows=1):
    """Triangles (2 x columns x rows, 3, 3) of a rectangle with the sides `along` and `across`."""
    u, v = np.meshgrid(
        np.linspace(0.0, 1.0, columns + 1), np.linspace(0.0, 1.0, rows + 1), indexing="ij"
    )
    point = np.asarray(origin) + u[..., None] * along + v[..., None] * across
    a, b, c, d = point[:-1, :-1], point[1:, :-1], point[1:, 1:], point[:-1, 1:]
    halves = [np.stack(half, axis=2).reshape(-1, 3, 3) for half in ((a, b, c), (a, c, d))]
    return np.concatenate(halves).astype(np.float32)


def soup(*parts):
    return np.concatenate(parts).astype(np.float32)


def found(planes: Planes):
    """Everything but which triangle lies where."""
    arrays = (planes.normal, planes.offset, planes.axes, planes.low, planes.high)
    return [array.tobytes() for array in arrays], planes.digest


def away_and_turned(triangles, planes):
    """Greatest distance (t,) of corners from their plane [m], and angle between normals [rad]."""
    corner = triangles.astype(np.float64)
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    plane = planes.normal[planes.of_triangle]
    height = np.einsum("tvx,tx->tv", corner, plane) - planes.offset[planes.of_triangle, None]
    turned = np.arcsin(np.minimum(np.linalg.norm(np.cross(normal, plane), axis=1), 1.0))
    return np.abs(height).max(axis=1), turned


@pytest.mark.parametrize(("gap_m", "count"), [(0.0, 1), (0.0004, 1), (0.0007, 2), (0.003, 2)])
@pytest.mark.parametrize("turn", [0.0, 0.7])
def test_parallel_walls_are_one_mirror_up_to_half_a_millimetre(gap_m, count, turn):
    turned = Rotation.from_euler("z", turn).apply
    near = sheet(turned([4, 1, 0]), turned(5 * NORTH), 3 * UP)
    far = sheet(turned([4 + gap_m, 2, 1]), turned(3 * NORTH), 2 * UP)
    assert len(find_planes(soup(near, far))) == count


@pytest.mark.parametrize(("angle_rad", "count"), [(1e-4, 1), (1e-3, 2)])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_large_sheets_are_one_mirror_up_to_a_fraction_of_a_milliradian(angle_rad, count, axis):
    # Both have their middle in the origin, so that turned by 1e-4 rad no corner is 0.5 mm off.
    level = sheet([-4, -4, 0], 8 * EAST, 8 * NORTH)
    turned = Rotation.from_euler(axis, angle_rad).apply
    other = sheet(turned([-3, -3, 0]), turned(6 * EAST), turned(6 * NORTH))
    assert len(find_planes(soup(level, other))) == count


def test_a_turn_counts_where_no_corner_is_far_off():
    wall = sheet([0, 0, 0], 8 * EAST, 3 * UP)
    chip = sheet([4, 0, 1], [0.2, 0.0002, 0], 0.2 * UP)
    assert len(find_planes(soup(wall, chip))) == 2


def test_walls_of_several_meshes_in_one_plane_are_one_mirror():
    facade = [sheet([x, 0, 0], 5 * EAST, height * UP, 2, 3) for x, height in ((0, 9), (20, 4))]
    floor = sheet([0, -5, 0], 30 * EAST, 5 * NORTH)
    planes = find_planes(soup(*facade, floor))
    assert len(planes) == 2
    assert len(set(planes.of_triangle[:24])) == 1
    assert len(set(planes.of_triangle[24:])) == 1


def test_winding_does_not_matter():
    wall = sheet([0, 2, 0], 5 * EAST, 3 * UP, 3, 3)
    beside = sheet([7, 2, 0], 5 * EAST, 3 * UP, 3, 3)[:, ::-1]
    assert len(find_planes(soup(wall, beside))) == 1
    # Along this direction the choice between a normal and its opposite is a matter of rounding.
    lean = np.cross([0.4517, 0.6143, 0.6469], UP)
    lean /= np.linalg.norm(lean)
    along = np.cross(lean, UP)
    slanted = sheet([3, 1, 0], 5 * along, 3 * UP, 20, 20)
    mixed = np.where(np.arange(len(slanted))[:, None, None] % 2, slanted, slanted[:, ::-1])
    assert len(find_planes(mixed)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_triangles_gives_the_same_planes(seed):
    rng = np.random.default_rng(seed)
    turned = Rotation.random(random_state=seed).apply
    parts = [
        sheet(turned([x, y, 0]), turned(4 * EAST), turned(3 * UP), 4, 4)
        for x, y in ((0, 0), (6, 0), (0, 2), (9, 2.0003))
    ]
    parts.append(sheet(turned([0, 0, 0]), turned(9 * EAST), turned(4 * NORTH), 5, 5))
    triangles = soup(*parts)
    order = rng.permutation(len(triangles))
    one, other = find_planes(triangles), find_planes(triangles[order])
    assert len(one) == 3
    assert found(one) == found(other)
    assert (one.of_triangle[order] == other.of_triangle).all()


def test_a_moved_triangle_changes_the_digest():
    wall = sheet([0, 2, 0], 5 * EAST, 3 * UP, 3, 3)
    moved = wall.copy()
    moved[4, 1, 2] = np.nextafter(moved[4, 1, 2], np.float32(9))
    assert find_planes(wall).digest != find_planes(moved).digest
    assert find_planes(wall).digest != find_planes(wall[1:]).digest


@pytest.mark.parametrize("seed", range(10))
def test_an_oblique_wall_a_kilometre_away_is_one_mirror(seed):
    turned = Rotation.random(random_state=seed).apply
    # Triangles 0.7 m high; float32 resolves 0.06 mm here.
    wall = sheet([800, 600, 20], turned(12 * EAST), turned(5 * UP), 7, 7)
    planes = find_planes(wall)
    assert len(planes) == 1
    away, turned_by = away_and_turned(wall, planes)
    assert away.max() < 2 * POSITION_TOLERANCE_M
    assert turned_by.max() < 2 * ANGLE_TOLERANCE_RAD


def test_a_few_small_triangles_a_kilometre_away_belong_to_their_wall():
    turned = Rotation.from_euler("xyz", [0.3, 0.2, 0.7]).apply
    rng = np.random.default_rng(2)
    along, across = turned(12 * EAST), turned(5 * UP)
    wall = sheet([800, 600, 20], along, across)
    corner = np.array([800, 600, 20]) + rng.random((40, 1)) * along + rng.random((40, 1)) * across
    tiles = [sheet(place, 0.025 * along, 0.06 * across) for place in corner]
    assert len(find_planes(soup(wall, *tiles))) == 1


@pytest.mark.parametrize("facets", [12, 90, 720])
def test_a_vault_does_not_collapse(facets):
    # Facets of a half cylinder of 10 m: for 720, neighbours differ by 4 mrad and 0.1 mm of sag.
    angle = np.linspace(0.0, np.pi, facets + 1)
    ridge = 10.0 * np.column_stack([np.cos(angle), np.zeros_like(angle), np.sin(angle)])
    parts = [sheet(a, 20 * NORTH, b - a) for a, b in itertools.pairwise(ridge)]
    planes = find_planes(soup(*parts))
    assert len(planes) == facets
    assert (planes.of_triangle[::2] == planes.of_triangle[1::2]).all()


def test_a_gentle_bend_falls_into_planes_within_the_tolerance():
    # 0.05 mrad from facet to facet: every one is coplanar with the next, the last not with the
    # first.
    angle = 5e-5 * np.arange(201)
    ridge = 100.0 * np.column_stack([np.sin(angle), np.zeros_like(angle), np.cos(angle) - 1.0])
    parts = [sheet(a, 0.5 * NORTH, b - a) for a, b in itertools.pairwise(ridge)]
    bend = soup(*parts)
    planes = find_planes(bend)
    away, _ = away_and_turned(bend, planes)
    # One plane spans 0.2 to 0.4 mrad of the 10.
    assert 20 <= len(planes) <= 60
    assert away.max() <= POSITION_TOLERANCE_M + 1e-5


def test_triangles_without_area_do_no_harm():
    wall = sheet([0, 2, 0], 5 * EAST, 3 * UP, 2, 2)
    point = np.ones((1, 3, 3), dtype=np.float32)
    needle = np.array([[[0, 2, 0], [1, 2, 1], [2, 2, 2]]], dtype=np.float32)
    alone, among = find_planes(wall), find_planes(soup(point, wall, needle))
    assert len(alone) == 1
    mirror = among.of_triangle[1:-1]
    assert len(set(mirror)) == 1
    assert mirror[0] not in among.of_triangle[[0, -1]]
    for name in ("normal", "offset", "axes", "low", "high"):
        assert (getattr(among, name)[mirror[0]] == getattr(alone, name)[0]).all()
        assert np.isfinite(getattr(among, name)).all()
    assert len(find_planes(point)) == 1


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_extents_are_those_of_all_triangles_on_the_plane(turn):
    turned = Rotation.from_euler("z", turn).apply
    wall = sheet(turned([2, 3, 0]), turned(6 * EAST), 3 * UP, 3, 2)
    annex = sheet(turned([10, 3, 1]), turned(2 * EAST), 4 * UP)
    planes = find_planes(soup(wall, annex))
    assert len(planes) == 1
    axes = planes.axes[0]
    assert axes @ axes.T == pytest.approx(np.eye(2), abs=1e-12)
    assert axes @ planes.normal[0] == pytest.approx(0.0, abs=1e-12)
    corner = soup(wall, annex).reshape(-1, 3).astype(np.float64)
    assert (corner @ axes.T).min(axis=0) == pytest.approx(planes.low[0], abs=1e-12)
    assert (corner @ axes.T).max(axis=0) == pytest.approx(planes.high[0], abs=1e-12)


def test_images_lie_opposite():
    planes = find_planes(soup(sheet([0, 2, 0], 5 * EAST, 3 * UP), sheet([0, 0, 0], EAST, NORTH)))
    wall, floor = planes.of_triangle[[0, 2]]
    points = np.array([[1.0, 0.5, 1.2], [4.0, 3.0, -2.0]])
    assert planes.mirror(points, np.array([wall, wall])) == pytest.approx(
        points * [1, -1, 1] + [0, 4, 0]
    )
    assert planes.mirror(points, np.array([floor, wall])) == pytest.approx(
        np.array([[1.0, 0.5, -1.2], [4.0, 1.0, -2.0]])
    )


def random_soup(seed):
    """Triangles of many sizes; most on a few planes, some a little off them, some anywhere."""
    rng = np.random.default_rng(seed)
    count, planes = 2000, 12
    normal = Rotation.random(planes, random_state=seed).as_matrix()
    offset = rng.uniform(-8.0, 8.0, planes)
    # Some planes are nearly parallel.
    normal[1], offset[1] = normal[0], offset[0] + 0.01
    normal[2] = normal[0] @ Rotation.from_euler("x", 2e-3).as_matrix()
    of = rng.integers(planes, size=count)
    size = 10.0 ** rng.uniform(-0.7, 0.7, count)
    flat = rng.uniform(-8.0, 8.0, (count, 1, 2)) + size[:, None, None] * rng.normal(
        size=(count, 3, 2)
    )
    height = offset[of, None] + rng.choice([0.0, 1e-4, 4e-4, 7e-4, 2e-3], (count, 1))
    height = np.broadcast_to(height, (count, 3)).copy()
    anywhere = rng.random(count) < 0.1
    height[anywhere] += rng.normal(size=(anywhere.sum(), 3))
    local = np.concatenate([flat, height[..., None]], axis=2)
    triangles = np.einsum("tvx,txy->tvy", local, normal[of]).astype(np.float32)
    corner = triangles.astype(np.float64)
    sides = corner[:, 1:] - corner[:, :1]
    area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    # Of fine needles float32 leaves no normal to speak of.
    return triangles[area > 0.02 * (sides**2).sum(axis=2).max(axis=1)]


@pytest.mark.parametrize("seed", range(3))
def test_random_triangles_against_comparing_all_with_all(seed):
    triangles = random_soup(seed)
    planes = find_planes(triangles)
    away, turned = away_and_turned(triangles, planes)
    # float32 leaves some 0.01 mm here, and of a normal 0.1 mrad for triangles of a decimetre.
    assert away.max() < POSITION_TOLERANCE_M + 2e-5
    assert turned.max() < ANGLE_TOLERANCE_RAD + 5e-4
    # No plane could have been left out: its largest triangle is clear of all larger ones.
    corner = triangles.astype(np.float64)
    double_area = np.linalg.norm(
        np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1
    )
    largest = np.array(
        [
            members[double_area[members].argmax()]
            for members in (np.nonzero(planes.of_triangle == q)[0] for q in range(len(planes)))
        ]
    )
    heights = np.einsum("tvx,qx->tqv", corner[largest], planes.normal) - planes.offset[:, None]
    sine = np.linalg.norm(np.cross(planes.normal[:, None], planes.normal[None]), axis=2)
    fits = (np.abs(heights).max(axis=2) < POSITION_TOLERANCE_M) & (sine < ANGLE_TOLERANCE_RAD)
    larger = double_area[largest][None] > double_area[largest][:, None]
    assert not (fits & larger).any()
    # The normal is that of the largest triangle.
    side = corner[largest, 1:] - corner[largest, :1]
    across = np.cross(side[:, 0], side[:, 1])
    assert np.linalg.norm(np.cross(across, planes.normal), axis=1) == pytest.approx(0, abs=1e-9)
