from __future__ import annotations

import numpy as np
import pytest

from tests.unit.sionna_meshes import box, ground, joined, scene
from twin.trace import backend
from twin.trace.mirrors import Mirrors, integers, move_off, to_device, vectors

backend.prepare()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402

HUT, SHED = box([0, 0, 0], [4, 3, 2]), box([4, 5, 0], [7, 6, 2])


@pytest.fixture(scope="module")
def mirrors():
    return Mirrors(scene(hut=HUT, field=ground(), shed=SHED))


def test_planes_span_meshes(mirrors):
    # Ground, hut's and shed's floors; both roofs; hut's east and shed's west side; six more.
    assert len(mirrors.planes) == 3 + 6
    assert len(mirrors.planes.of_triangle) == 12 + 2 + 12


def test_meshes_may_come_in_any_order_and_any_number(mirrors):
    others = [
        scene(shed=SHED, hut=HUT, field=ground()),
        scene(buildings=joined(SHED, HUT), field=ground()),
    ]
    for other in others:
        planes = Mirrors(other).planes
        assert planes.digest == mirrors.planes.digest
        assert planes.normal.tobytes() == mirrors.planes.normal.tobytes()


def test_a_ray_meets_the_plane_in_its_way(mirrors):
    rng = np.random.default_rng(3)
    start = rng.uniform([0.2, 0.2, 0.2], [3.8, 2.8, 1.8], (500, 3))
    way = rng.normal(size=(500, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    hit = mirrors.first_hit(mi.Ray3f(to_device(start), vectors(way)))
    assert np.array(hit.found).all()
    # Out of a box, the nearest side is the first one met.
    with np.errstate(divide="ignore"):
        distance = np.where(way > 0, [4, 3, 2] - start, -start) / way
    side = distance.argmin(axis=1)
    assert np.array(hit.distance) == pytest.approx(distance.min(axis=1), abs=1e-5)
    plane = np.array(hit.plane)
    assert np.abs(mirrors.planes.normal[plane]) == pytest.approx(np.eye(3)[side], abs=1e-6)
    point = np.array(hit.point).T
    height = np.sum(mirrors.planes.normal[plane] * point, axis=1) - mirrors.planes.offset[plane]
    assert np.abs(height).max() < 1e-5
    named = mirrors.plane_of(hit.shape, hit.primitive)
    assert (np.array(named) == plane).all()


def test_rays_that_meet_nothing_and_idle_rays_find_nothing(mirrors):
    start = to_device(np.array([[0.0, 0.0, 9.0], [0.0, 0.0, 9.0], [0.0, 0.0, 9.0]]))
    way = vectors(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [0.0, 0.0, -1.0]]))
    hit = mirrors.first_hit(mi.Ray3f(start, way), mi.Bool([True, True, False]))
    assert np.array(hit.found).tolist() == [False, True, False]


def test_triangles_are_named_as_hits_name_them(mirrors):
    shape, primitive = mirrors.names()
    assert sorted(np.unique(shape, return_counts=True)[1]) == [2, 12, 12]
    planes = np.array(mirrors.plane_of(integers(shape), integers(primitive)))
    assert (planes == mirrors.planes.of_triangle).all()


def test_the_box_around_a_plane_holds_its_triangles_and_little_more(mirrors):
    # The plane x = 4: the hut's east side (y from 0 to 3) and the shed's west (y from 5 to 6).
    plane = int(mirrors.planes.of_triangle[_on(mirrors, 4.0)][0])
    inside = [(0.0, 0.0), (1.5, 1.0), (3.0, 2.0), (5.5, 1.0), (6.0, 2.0)]
    outside = [(-30.0, 1.0), (30.0, 1.0), (3.0, 30.0)]
    points = np.array([(4.0, y, z) for y, z in inside + outside])
    index = dr.full(mi.UInt, plane, len(points))
    found = mirrors.inside_box(index, to_device(points), mi.Bool(True))
    assert np.array(found).tolist() == [True] * len(inside) + [False] * len(outside)


def _on(mirrors, x):
    planes = mirrors.planes
    across = np.abs(planes.normal @ [1.0, 0.0, 0.0]) > 0.999
    there = np.abs(np.abs(planes.offset) - x) < 1e-4
    return np.isin(planes.of_triangle, np.nonzero(across & there)[0])


@pytest.mark.parametrize("distance", [1.0, 100.0, 10_000.0])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_rays_start_clear_of_their_surface_on_the_side_they_go_to(distance, side):
    point = to_device(np.array([[distance, 2.0, 1.0]]))
    normal = vectors(np.array([[1.0, 0.0, 0.0]]))
    moved = np.array(move_off(point, normal, vectors(np.array([[0.1 * side, 3.0, 0.0]]))))[:, 0]
    away = (moved[0] - np.float32(distance)) * side
    assert np.spacing(np.float32(distance)) < away < 1e-4 * (1.0 + distance)
    assert moved[1:].tolist() == [2.0, 1.0]


def test_a_mesh_that_is_there_twice_makes_no_more_mirrors():
    twice = Mirrors(scene(one=HUT, other=HUT))
    assert len(twice.planes) == 6
    assert np.unique(twice.planes.of_triangle, return_counts=True)[1].tolist() == [4] * 6
