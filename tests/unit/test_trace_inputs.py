"""Bad input is refused before tracing, with everything wrong named; scenes in wide use are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
import yaml

from tests.unit.sionna_meshes import box, ground, joined, rt, scene
from twin.config import validate
from twin.errors import InputError
from twin.scene.declaration import Scene
from twin.scene.library import load_scene
from twin.scene.read import read_scene
from twin.scene.receivers import receiver_points
from twin.trace import chains, inputs
from twin.trace.build import build_scene, object_labels, shell_triangles, surface_groups
from twin.trace.engine import TraceSettings, trace
from twin.trace.inputs import (
    candidate_bytes,
    check_inputs,
    frequency_faults,
    memory_faults,
    search_bytes,
)

SETTINGS = TraceSettings(max_depth=2)
SENDER = [[-20.0, -20.0, 9.0]]
RECEIVERS = [[-20.0, 20.0, 1.5], [20.0, -20.0, 1.5]]
CUBE = box([0, 0, 1], [2, 2, 3])


def faults(built, transmitters=SENDER, points=RECEIVERS, settings=SETTINGS, **options):
    """Faults found, as (place, expected, found)."""
    try:
        check_inputs(built, np.array(transmitters), np.array(points), settings, **options)
    except InputError as error:
        return [(fault.key, fault.expected, fault.found) for fault in error.faults]
    return []


def the_fault(built, *devices, **options):
    found = faults(built, *devices, **options)
    assert len(found) == 1, found
    return found[0]


SHIPPED = [
    name
    for name in dir(rt.scene)
    if not name.startswith("_") and str(getattr(rt.scene, name)).endswith(".xml")
]


@pytest.mark.parametrize("name", SHIPPED)
def test_scenes_that_come_with_sionna_are_sound(name):
    # Some have seams of slivers, buildings without floors, walls folded flat or facing inwards.
    built = rt.load_scene(getattr(rt.scene, name))
    top = float(built.mi_scene.bbox().max.z)
    assert faults(built, [[0.3, 0.2, top + 5.0]], [[10.3, 5.2, top + 3.0]]) == []


def test_there_are_scenes_to_be_sound():
    assert {"munich", "etoile", "san_francisco", "simple_street_canyon_with_cars"} <= set(SHIPPED)


@pytest.mark.parametrize("merge_shapes", [True, False])
def test_streets_of_a_city_are_outside_and_its_buildings_are_not(merge_shapes):
    built = rt.load_scene(rt.scene.munich, merge_shapes=merge_shapes)
    roof, street = [[8.5, 21.0, 27.0]], [[45.0, 90.0, 1.5]]
    assert faults(built, roof, street) == []
    # The nave of the Frauenkirche.
    nave = [[-178.0, 62.0, 5.0]]
    key, expected, _ = the_fault(built, roof, street + nave)
    assert key == "points"
    assert "outside object 'Frauenkirche" in expected
    key, expected, _ = the_fault(built, nave, street)
    assert key == "transmitters.0"
    assert "outside object 'Frauenkirche" in expected


@pytest.mark.parametrize("name", ["lecture_theatre", "office_wing"])
def test_scenes_of_the_library_are_sound(name):
    declared = load_scene(name)
    aps = [ap.position_m for ap in declared.access_points]
    assert faults(build_scene(declared), aps, receiver_points(declared)) == []


def test_a_receiver_in_declared_furniture_is_found():
    declared = load_scene(Path(__file__).with_name("scene_box.yaml"))
    built = build_scene(declared)
    aps = [ap.position_m for ap in declared.access_points]
    in_the_desk = [[1.5, 3.0, 0.4]]
    points = np.concatenate([receiver_points(declared), in_the_desk])
    desk = built.objects["object_1"]
    assert desk.radio_material.relative_permittivity.numpy() == 3.0
    _, expected, found = the_fault(built, aps, points, labels={"object_1": "sheet"})
    assert expected == "a place outside object 'sheet'"
    assert (
        found == f"1 of {len(points)} inside it, the first is {len(points) - 1} at (1.5, 3, 0.4) m"
    )


def test_a_scene_without_objects_has_only_devices():
    assert faults(rt.Scene()) == []
    assert the_fault(rt.Scene(), [[0.0, 0.0, 1.0]], [[5.0, 0.0, 1.0], [0.0, 0.0, 1.0005]])[2] == (
        "1 of 2 on it, the first is 1 at (0, 0, 1.0005) m"
    )


# Coordinates


def test_vertices_that_are_not_finite():
    vertices, faces = CUBE
    vertices = vertices.copy()
    vertices[6, 0], vertices[7, 1] = np.nan, np.inf
    used = np.isin(faces, [6, 7]).any(axis=1)
    key, expected, found = the_fault(scene(ground=ground(), cube=(vertices, faces)))
    assert (key, expected) == ("object 'cube'", "finite vertex coordinates")
    assert found.startswith(f"{used.sum()} triangles without, the first is {used.argmax()} at ")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_devices_that_are_not_finite(bad):
    found = faults(scene(ground=ground()), [[0.0, bad, 2.0]], [[1.0, 1.0, 1.0], [bad, 0.0, 1.0]])
    assert [key for key, *_ in found] == ["transmitters", "points"]
    assert "1 of 2 not all finite, the first is 1: (" in found[1][2]


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros((4, 2)), np.ones(3)])
def test_devices_are_rows_of_three(points):
    key, expected, found = the_fault(scene(ground=ground()), SENDER, points)
    assert (key, expected) == ("points", "finite coordinates (n, 3) with n >= 1")
    assert found == f"shape {points.shape}"
    assert the_fault(scene(ground=ground()), points, RECEIVERS)[0] == "transmitters"


# Area


def with_triangle(corners):
    """The cube with one more triangle, number 12, on vertices of its own."""
    return joined(CUBE, (np.array(corners, dtype=float), np.array([[0, 1, 2]])))


@pytest.mark.parametrize(
    "corners",
    [
        pytest.param([[5, 5, 5], [5, 5, 5], [6, 5, 5]], id="two corners in one place"),
        pytest.param([[5, 5, 5]] * 3, id="three corners in one place"),
        pytest.param([[0, 0, 5], [1, 1, 6], [3, 3, 8]], id="on a line"),
        pytest.param([[0.1, 0.3, 5], [0.2, 0.6, 5], [0.7, 2.1, 5]], id="nearly on a line"),
        pytest.param([[4e6, 0, 5], [4e6 + 9, 0.1, 5], [4e6 + 20, 0, 5]], id="far off"),
    ],
)
def test_triangles_without_area(corners):
    key, expected, found = the_fault(scene(ground=ground(), cube=with_triangle(corners)))
    assert key == "object 'cube'"
    assert expected.startswith("triangles with an area")
    assert found.startswith("1 triangle without, the first is 12 at ")


def test_equal_faults_of_an_object_are_one():
    point = (np.ones((1, 3)), np.zeros((37, 3), dtype=int))
    found = the_fault(scene(ground=ground(), dust=joined(CUBE, point)))[2]
    assert found.startswith("37 triangles without, the first is 12 at (1, 1, 1) m")


def test_thin_is_not_flat():
    # A millimetre by ten metres.
    thin = with_triangle([[5, 5, 5], [10, 5, 5.001], [15, 5, 5]])
    assert faults(scene(ground=ground(), cube=thin)) == []


def test_a_sliver_between_neighbours_is_a_seam():
    # The middle corner is 1e-7 off the line through the others: below float32 at 10 m.
    middle = 10.0 + 1e-6
    vertices = np.array(
        [[10, 0, 5], [middle, 5, 5], [10, 10, 5], [0, 5, 5], [20, 0, 5], [20, 10, 5]]
    )
    left, sliver = [0, 2, 3], [0, 1, 2]
    right = [[0, 4, 1], [4, 5, 1], [5, 2, 1]]
    held = (vertices, np.array([left, sliver, *right]))
    assert faults(scene(ground=ground(), roof=held)) == []
    # One that is exactly flat has no normal at all, held or not.
    vertices[1, 0] = 10.0
    assert "first is 1 at" in the_fault(scene(ground=ground(), roof=held))[2]
    loose = (vertices, np.array([left, sliver, right[0]]))
    assert "first is 1 at" in the_fault(scene(ground=ground(), roof=loose))[2]


# Winding


def turned(mesh, *which):
    vertices, faces = mesh
    faces = faces.copy()
    faces[list(which)] = faces[list(which), ::-1]
    return vertices, faces


def test_a_triangle_turned_round_in_a_body():
    key, expected, found = the_fault(scene(ground=ground(), cube=turned(CUBE, 4)))
    assert key == "object 'cube'"
    assert "face the same side" in expected
    # All three of its edges, the first of them (in the order of vertices) towards the bottom.
    assert found.startswith("3 edges where they do not, the first between triangles 0 and 4 at ")


def test_a_body_turned_inside_out_is_sound():
    assert faults(scene(ground=ground(), cube=turned(CUBE, *range(12)))) == []


def house():
    """Walls and a roof, as meshes of their own."""
    walls = box([0, 0, 0], [4, 4, 3], without=["top", "bottom"])
    roof = box([0, 0, 0], [4, 4, 3], without=["bottom", "south", "east", "north", "west"])
    return walls, roof


def test_a_roof_turned_over_its_walls():
    walls, roof = house()
    assert faults(scene(ground=ground(), walls=walls, roof=roof)) == []
    key, _, found = the_fault(scene(ground=ground(), walls=walls, roof=turned(roof, 0, 1)))
    assert key == "objects 'walls', 'roof'"
    assert found.startswith("4 edges")


SHEET = (np.array([[0, 0, 1], [4, 0, 1], [4, 0, 3], [0, 0, 3.0]]), np.array([[0, 1, 2], [0, 2, 3]]))


def test_halves_of_a_flat_sheet_that_face_opposite_ways():
    assert faults(scene(ground=ground(), sheet=SHEET)) == []
    assert the_fault(scene(ground=ground(), sheet=turned(SHEET, 1)))[2].startswith(
        "1 edge where they do not, the first between triangles 0 and 1 at "
    )


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([[4, 0, 1], [4, 4, 1], [4, 4, 3], [4, 0, 3]], id="round a corner"),
        pytest.param([[4, 0, 1], [8, 0, 1], [8, 0, 3], [4, 0, 3]], id="straight on"),
    ],
)
@pytest.mark.parametrize("lying", [False, True])
def test_sheets_of_their_own_may_face_any_way(other, lying):
    # They meet at x = 4, but share no vertex of the mesh.
    for second in ((np.array(other), SHEET[1]), turned((np.array(other), SHEET[1]), 0, 1)):
        vertices, faces = joined(SHEET, second)
        axes = [0, 2, 1] if lying else [0, 1, 2]
        assert faults(scene(ground=ground(), sheets=(vertices[:, axes], faces))) == []


def test_sheets_folded_flat_are_no_neighbours():
    # Two houses share a wall, one lower than the other: two sheets from one edge on the ground.
    low = box([0, 0, 0], [4, 4, 3], without=["bottom"])
    high = box([4, 0, 0], [8, 4, 5], without=["bottom"])
    houses = joined(low, high)
    assert faults(scene(ground=ground(), houses=houses)) == []


# Inside


def test_a_device_in_a_body():
    built = scene(ground=ground(), cube=CUBE)
    within, beside = [[1.0, 1.0, 2.0]], [[1.0, 1.0, 4.0], [1.0, 1.0, 0.5], [3.0, 1.0, 2.0]]
    assert faults(built, SENDER, beside) == []
    assert faults(built, beside, RECEIVERS) == []
    assert the_fault(built, SENDER, RECEIVERS + within) == (
        "points",
        "a place outside object 'cube'",
        "1 of 3 inside it, the first is 2 at (1, 1, 2) m",
    )
    assert the_fault(built, SENDER + within, RECEIVERS, names=["AP1", "AP2"]) == (
        "transmitters.AP2",
        "a place outside object 'cube'",
        "(1, 1, 2) m, inside it",
    )


def test_a_body_with_both_is_a_room():
    room, desk = box([0, 0, 0], [6, 4, 3]), box([2, 1, 0], [3, 2, 0.8], without=["bottom"])
    for shell in (room, turned(room, *range(12))):
        built = scene(room=shell, desk=desk)
        assert faults(built, [[1.0, 3.0, 2.5]], [[5.0, 1.0, 1.2], [9.0, 9.0, 1.2]]) == []
        key, expected, _ = the_fault(built, [[1.0, 3.0, 2.5]], [[5.0, 1.0, 1.2], [2.5, 1.5, 0.4]])
        assert (key, expected) == ("points", "a place outside object 'desk'")


def test_a_device_on_a_wall_shows_a_room_as_well():
    # One fault, not one more for every receiver in the room.
    built = scene(room=box([0, 0, 0], [6, 4, 3]))
    key, expected, _ = the_fault(built, [[6.0, 2.0, 2.0]], [[5.0, 1.0, 1.2], [2.0, 1.0, 1.2]])
    assert (key, expected) == ("transmitters.0", "a place at least 1 mm off object 'room'")


@pytest.mark.parametrize(
    ("low", "without", "inside"),
    [
        pytest.param([0, 0, 0], ["bottom"], True, id="stands on the ground"),
        pytest.param([0, 0, 0.02], ["bottom"], True, id="stands on feet"),
        pytest.param([0, 0, 1], ["bottom"], False, id="hangs open"),
        pytest.param([0, 0, 0], ["top"], False, id="has no top"),
        pytest.param([0, 0, 0], ["bottom", "east"], False, id="has a way in"),
        pytest.param([0, 0, 1], [], True, id="hangs closed"),
    ],
)
def test_a_body_lets_nothing_in(low, without, inside):
    built = scene(ground=ground(), hut=box(low, [4, 4, 3], without))
    assert bool(faults(built, SENDER, [[1.0, 2.0, 2.0], *RECEIVERS])) is inside


def test_ground_need_not_be_declared():
    hut = box([0, 0, 0], [4, 4, 3], ["bottom"])
    assert faults(scene(hut=hut), SENDER, [[1.0, 2.0, 2.0]]) != []
    # Something lies lower, so what the hut stands on is not the ground.
    pit = [[9.0, 9.0, -3.0]]
    assert faults(scene(hut=hut), SENDER, [[1.0, 2.0, 2.0], *pit]) == []
    # It stands on something, even where that is not the lowest, and on feet.
    feet = box([0, 0, 0.05], [4, 4, 3], ["bottom"])
    assert faults(scene(hut=feet, ground=ground()), SENDER, [[1.0, 2.0, 2.0], *pit]) != []


def test_a_body_does_not_stand_on_its_own_shelf():
    # A hood that hangs open, seen from the front; a groove from the right makes a shelf in it.
    front = np.array([[0, 1], [0, 3], [4, 3], [4, 2.2], [2, 2.2], [2, 2.0], [4, 2.0], [4, 1.0]])
    index = {tuple(corner): i for i, corner in enumerate(front.tolist())}
    parts = shapely.get_parts(shapely.constrained_delaunay_triangles(shapely.Polygon(front)))
    cap = np.array(
        [
            [index[corner] for corner in map(tuple, shapely.get_coordinates(part)[:3].tolist())]
            for part in shapely.orient_polygons(parts)
        ]
    )
    i = np.arange(7)
    strip = np.concatenate([np.stack([i, i + 1, i + 9], 1), np.stack([i, i + 9, i + 8], 1)])
    faces = np.concatenate([cap, cap[:, ::-1] + 8, strip])
    vertices = np.concatenate([np.insert(front, 1, y, axis=1) for y in (0.0, 4.0)])
    on_the_shelf = [[3.0, 1.7, 2.6]]
    assert faults(scene(ground=ground(), hood=(vertices, faces)), SENDER, on_the_shelf) == []
    lowered = (vertices - [0.0, 0.0, 1.0], faces)
    built = scene(ground=ground(), hood=lowered)
    assert faults(built, SENDER, [[3.0, 1.7, 1.6]]) != []


def test_a_body_may_span_objects_that_meet_at_round_off():
    # The roof's corners are a tenth of the weld off those of the walls.
    walls = box([0, 0, 0], [4, 4, 3], without=["top", "bottom"])
    vertices, faces = box(
        [0, 0, 0], [4, 4, 3], without=["bottom", "south", "east", "north", "west"]
    )
    roof = (vertices + 1e-5, faces)
    built = scene(ground=ground(), walls=walls, roof=roof)
    assert the_fault(built, SENDER, [[1.0, 2.0, 2.0]])[1] == "a place outside object 'roof'"


def test_a_column_in_the_corner_of_a_room():
    # Both surfaces have all of the room's upright corner edge.
    built = scene(
        room=joined(box([0, 0, 0], [6, 4, 3]), box([0, 0, 0], [1, 1, 3])),
    )
    _, expected, found = the_fault(built, [[5.0, 3.0, 2.0]], [[3.0, 2.0, 1.0], [0.4, 0.6, 1.0]])
    assert expected == "a place outside object 'room'"
    assert "first is 1 at" in found


def test_many_receivers_in_many_bodies_of_one_mesh():
    houses = joined(*(box([4 * i, 0, 0], [4 * i + 2, 2, 3]) for i in range(5)))
    points = [[4 * i + 0.5, y, 1.0] for i in range(6) for y in (0.5, 1.0, 1.5)]
    found = the_fault(scene(ground=ground(), houses=houses), SENDER, points)[2]
    assert found == "15 of 18 inside 5 bodies of it, the first is 0 at (0.5, 0.5, 1) m"


def test_receivers_are_judged_alike_in_any_company(monkeypatch):
    built = scene(ground=ground(), cube=CUBE, hut=box([5, 5, 0], [9, 9, 3], ["bottom"]))
    grid = np.stack(np.meshgrid(np.arange(-1, 11.0), np.arange(-1, 11.0), [1.5, 3.0]), axis=-1)
    together = faults(built, SENDER, grid.reshape(-1, 3))
    assert len(together) > 2
    monkeypatch.setattr(inputs, "_POINTS_AT_ONCE", 7)
    assert faults(built, SENDER, grid.reshape(-1, 3)) == together


# On surfaces and on each other


@pytest.mark.parametrize(
    ("place", "off_m"),
    [
        ([1.0, 0.7, 3.0], 0.0),
        ([1.0, 0.7, 3.0009], 0.0009),
        ([1.0, 0.7, 2.9992], 0.0008),
        ([1.0, 0.7, 3.002], 0.002),
        ([2.0005, 2.0005, 2.0], 0.0005 * 2**0.5),
        ([2.0008, 2.0008, 2.0], 0.0008 * 2**0.5),
        ([2.0005, 2.0005, 3.0005], 0.0005 * 3**0.5),
        ([2.0007, 2.0007, 3.0007], 0.0007 * 3**0.5),
    ],
)
def test_devices_keep_a_millimetre_off_surfaces(place, off_m):
    found = faults(scene(ground=ground(), cube=CUBE), SENDER, [*RECEIVERS, place])
    if off_m < 1e-3:
        (fault,) = found
        assert fault[:2] == ("points", "a place at least 1 mm off object 'cube'")
    else:
        assert found == []


def test_a_receiver_on_a_transmitter():
    key, expected, found = the_fault(
        scene(ground=ground()), [*SENDER, [1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0005], [1.0, 2.0, 3.0011]]
    )
    assert (key, expected) == ("points", "a place at least 1 mm off transmitter '1'")
    assert found == "1 of 2 on it, the first is 0 at (1, 2, 3.0005) m"


# Frequency


def test_frequency_outside_the_range_of_materials():
    # ITU-R P.2040, table 3: brick 1 to 40 GHz, floorboard 50 to 100 GHz, metal 1 to 100 GHz.
    kinds = {"wall": "brick", "cube": "brick", "ground": "metal"}
    built = scene(kinds, ground=ground(), cube=CUBE, wall=SHEET)
    found = frequency_faults(built, 60e9, labels={"wall": "north wall"})
    assert [fault.key for fault in found] == [
        "material 'brick_of_cube' of object 'cube'",
        "material 'brick_of_wall' of object 'north wall'",
    ]
    assert "(1 to 40 GHz or 110 to 330 GHz)" in found[0].expected
    assert found[0].found == "60 GHz"
    assert frequency_faults(built, 28e9) == []


def test_frequency_that_sionna_was_left_with():
    built = scene({"cube": "brick"}, ground=ground(), cube=CUBE)
    with pytest.raises(ValueError, match="not defined"):
        built.frequency = 60e9
    assert the_fault(built)[0] == "material 'brick_of_cube' of object 'cube'"


@pytest.mark.parametrize("frequency_hz", [0.0, -1.0, np.nan, np.inf])
def test_frequency_is_a_positive_number(frequency_hz):
    (fault,) = frequency_faults(scene(ground=ground()), frequency_hz)
    assert fault.expected == "a positive number of Hz"


# Memory


@pytest.mark.parametrize("diffraction", [False, True])
@pytest.mark.parametrize("depth", [0, 1, 4])
def test_memory_of_a_candidate_covers_the_buffers(depth, diffraction):
    from sionna.rt.path_solvers.paths_buffer import PathsBuffer, PathsBufferBase

    def size(value, count):
        if hasattr(value, "DRJIT_STRUCT") or hasattr(value, "__dataclass_fields__"):
            return sum(size(getattr(value, key), count) for key in value.__dataclass_fields__)
        values = np.asarray(value)
        return values.nbytes // count if values.size >= count else 0

    count = 1000
    buffer = PathsBuffer(count, depth, diffraction)
    held = sum(size(value, count) for value in vars(buffer).values() if value is not None)
    copy = sum(size(value, count) for value in vars(PathsBufferBase(count, depth)).values())
    amplitude, delay, doppler = 8, 4, 4
    assert candidate_bytes(depth, diffraction) == held + copy + amplitude + delay + doppler


def test_rays_double_at_every_surface_but_the_last():
    assert search_bytes(0, True, 1000) == search_bytes(1, True, 1000) == 140_000
    assert search_bytes(4, True, 1000) == 8 * 140_000
    assert search_bytes(4, False, 1000) == 140_000
    assert search_bytes(1, True, 10**7) == 140 * chains._RAYS_AT_ONCE


def memory(**changes):
    return memory_faults(TraceSettings(**{"rays_per_round": 200_000, **changes}))


def test_depth_beyond_memory():
    # 200,000 rays of 140 bytes, doubled six times: 1.67 GiB.
    assert memory(max_depth=7) == []
    (fault,) = memory(max_depth=8)
    assert (fault.where, fault.key) == ("trace", "max_depth")
    assert fault.expected == "a depth whose search fits into memory_gib (2): at most 7"
    assert fault.found == "8, which takes up to 3.3 GiB"
    assert memory(max_depth=8, memory_gib=4.0) == []
    assert memory(max_depth=10, refraction=False) == []
    assert memory(max_depth=8, rays_per_round=100_000) == []


def test_paths_may_need_more_than_rays(monkeypatch):
    monkeypatch.setattr(inputs, "MIN_CANDIDATES", 10**8)
    (fault,) = memory(max_depth=0)
    assert fault.expected.endswith("none does")


# Together


def test_all_faults_come_at_once():
    vertices, faces = with_triangle([[5, 5, 5], [5, 5, 5], [6, 5, 5]])
    built = scene({"ground": "brick"}, ground=ground(), cube=turned((vertices, faces), 4))
    with pytest.raises(ValueError, match="not defined"):
        built.frequency = 60e9
    found = faults(
        built,
        [[1.0, 1.0, 2.0], [np.nan, 0.0, 0.0]],
        [[3.0, 3.0, 0.0], *RECEIVERS],
        TraceSettings(max_depth=10, memory_gib=0.5),
    )
    assert [key for key, *_ in found] == [
        "object 'cube'",
        "object 'cube'",
        "transmitters",
        "points",
        "transmitters.0",
        "material 'brick_of_ground' of object 'ground'",
        "max_depth",
    ]


def test_declared_rooms_are_rooms_whoever_is_in_them():
    content = yaml.safe_load((Path(__file__).parent / "house.yaml").read_text())
    # Without the hole in its floor the upper storey is closed, and one access point alone in it.
    del content["storeys"][1]["voids_m"]
    declared = validate(content, Scene, "house")
    aps = np.array([ap.position_m for ap in declared.access_points])
    downstairs = np.array([[1.0, 6.0, 1.0], [7.5, 6.0, 1.0]])
    groups = surface_groups(declared)
    built = build_scene(declared)
    (told,) = faults(built, aps, downstairs)
    assert told[0] == "transmitters.1"
    shells = shell_triangles(declared, groups)
    assert faults(built, aps, downstairs, shells=shells) == []
    # In what is no room nobody is left: the body of the person who walks.
    beside = {"shells": shells, "labels": object_labels(declared)}
    key, expected, _ = the_fault(built, aps, [*downstairs, [6.0, 5.0, 1.0]], **beside)
    assert key == "points"
    assert expected.startswith("a place outside")
    assert "surfaces of body" in expected


def test_a_storey_above_is_heard_through_the_floor():
    declared = read_scene(Path(__file__).parent / "house.yaml")
    downstairs = np.array([[1.0, 6.0, 1.0], [7.5, 6.0, 1.0]])
    heard = trace(declared, TraceSettings(max_depth=1, rays_per_round=5000), downstairs)
    assert (heard.num_paths.sel(ap="AP2").values > 0).any()
    assert not heard.los.sel(ap="AP2").values.any()
