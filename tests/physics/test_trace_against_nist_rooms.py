"""Our paths against the NIST Q-D ray tracer's, where its runs are at hand; what compares them,
always."""

from __future__ import annotations

import io
import itertools
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks import nist_rooms
from benchmarks.exact_images import Triangles
from benchmarks.nist_rooms import Comparison, Found, compare, match, record, reflection_gain
from benchmarks.qd_reference import Link, Run, SpecularPath, read_obj, read_runs
from twin.errors import InputError
from twin.scene.geometry import Surface
from twin.units import SPEED_OF_LIGHT_M_PER_S, db, free_space_path_gain_db

ROOMS = ("ConferenceRoom", "EnterpriseCubicle", "L-Room", "LectureRoom")
FREQUENCY_HZ = 60e9


@pytest.fixture(scope="module")
def references():
    """Room -> run and surfaces."""
    named = os.environ.get("TWIN_DATA_DIR")
    if not named or not (Path(named) / nist_rooms.FOLDER).is_dir():
        pytest.skip(f"TWIN_DATA_DIR names no folder with {nist_rooms.FOLDER}")
    return {run.room: (run, s) for run, s in nist_rooms.rooms(Path(named) / nist_rooms.FOLDER)}


@pytest.mark.parametrize("room", ROOMS)
def test_every_specular_path_of_the_reference_is_found(references, room):
    run, surfaces = references[room]
    traced = compare(run, surfaces, nist_rooms.trace(run, surfaces))
    figures = record(traced)
    # Between two nodes of the cubicles the reference has paths that go through a partition where
    # it meets the table or a wall that they are reflected in. They need not be found.
    through = {"goes through a surface where that meets the mirror"}
    assert figures["causes_of_missing"].keys() <= through
    assert len(figures["missing"]) <= figures["reference_paths_through_a_surface"]
    assert figures["causes_of_extra"].keys() <= {"within 1 mm of a triangle's edge"}
    assert figures["delay_error_ns_max_at_equal_speed_of_light"] < 1e-3
    assert figures["gains_compared"] == figures["gains_within_1_db"]
    comparable = ["0"] if room == "LectureRoom" else ["0", "1", "2"]
    for order in comparable:
        assert figures["gains_compared"][order] == figures["found_paths"][order] > 0


@pytest.mark.parametrize("room", ROOMS)
def test_brute_force_finds_the_paths_of_the_reference_and_no_others(references, room):
    run, surfaces = references[room]
    triangles = Triangles(surfaces)
    for link in run.links:
        exact = triangles.paths(*link.ends, run.max_order)
        wanted = [p.corners for p in link.paths if not triangles.crosses(p.corners)]
        assert len(exact) == len(wanted)
        # The reference rounds the planes of its triangles to 0.1 mm.
        for corners in wanted:
            same = [p for p in exact if p.shape == corners.shape]
            assert min(np.abs(p - corners).max() for p in same) < 2e-4


@pytest.mark.parametrize("room", ["ConferenceRoom", "EnterpriseCubicle"])
def test_gains_of_the_reference_follow_from_its_permittivities(references, room):
    run, surfaces = references[room]
    comparison = compare(run, surfaces, [nothing()] * len(run.links))
    for path in (path for link in run.links for path in link.paths):
        spread = free_space_path_gain_db(length(path.corners), FREQUENCY_HZ)
        written = reflection_gain(comparison, path).written
        # Its wavelength is that of a light that is 0.006 dB faster.
        assert path.gain_db == pytest.approx(spread + written, abs=0.01)


def test_an_empty_box_has_the_paths_of_its_image_lattice():
    size, start, end = np.array([5.0, 4.0, 3.0]), np.array([1.0, 1.3, 2.2]), np.array([4.1, 2.4, 1])
    found = Triangles(box(size)).paths(start, end, 2)
    distances = []
    for cell in itertools.product(range(-2, 3), repeat=3):
        # Images of an axis: 2 i size + x and 2 i size - x; cell n is reached by |n| reflections.
        if np.abs(cell).sum() <= 2:
            image = [
                n * s + (x if n % 2 == 0 else s - x)
                for n, s, x in zip(cell, size, start, strict=True)
            ]
            distances.append(np.linalg.norm(np.array(image) - end))
    assert len(distances) == 25
    assert np.sort([length(corners) for corners in found]) == pytest.approx(np.sort(distances))


def test_a_path_through_the_foot_of_a_screen_is_none():
    floor = square("floor", (0, 0, 0), (4, 0, 0), (0, 4, 0))
    screen = square("screen", (2, 0, 0), (0, 4, 0), (0, 0, 1))
    start, end = np.array([1.0, 1.0, 1.0]), np.array([3.0, 2.0, 1.0])
    foot = np.array([start, [2.0, 1.5, 0.0], end])
    assert [len(p) for p in Triangles((floor,)).paths(start, end, 1)] == [2, 3]
    both = Triangles((floor, screen))
    assert both.crosses(foot)
    assert not Triangles((floor,)).crosses(foot)
    assert [len(p) for p in both.paths(start, end, 1)] == []


def test_a_path_is_matched_once_and_only_within_the_tolerances():
    corners = np.array([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [6.0, 0.0, 0.0]])
    other = corners * [1.0, -1.0, 1.0]
    wanted = tuple(SpecularPath(c, 10.0 / SPEED_OF_LIGHT_M_PER_S, -90.0) for c in (corners, other))
    assert match(wanted, ours(other, corners, corners)) in ([(0, 1), (1, 0)], [(0, 2), (1, 0)])
    assert match(wanted, ours(corners)) == [(0, 0)]
    late = ours(corners, other)
    late.delay_s[0] += 1.1e-9
    assert match(wanted, late) == [(1, 1)]
    turned = corners.copy()
    turned[1, 2] = 5.0 * np.tan(np.deg2rad(0.6))
    assert match(wanted[:1], ours(turned)) == []
    assert match((), ours(corners)) == match(wanted, nothing()) == []


def test_reflection_gains_of_two_walls_on_one_line():
    # A ray that bounces between two parallel walls keeps its two polarisations apart, so they
    # multiply on their own; both angles of incidence are the same.
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [3.0, -1.0, 0.0], [4.0, 0.0, 0.0]])
    near = square("wall", (0, 1, -1), (2, 0, 0), (0, 0, 2))
    far = square("glass", (2, -1, -1), (2, 0, 0), (0, 0, 2))
    constants = {"wall": 4.0 - 0.2j, "glass": 5.0 - 0.3j}
    reflectance = []
    for permittivity in constants.values():
        root = np.sqrt(permittivity - 0.5)
        te = (np.sqrt(0.5) - root) / (np.sqrt(0.5) + root)
        # At 45 degrees the coefficient of one polarisation is the other one's square.
        reflectance.append(np.abs([te, te**2]) ** 2)
    gain = reflection_gain(comparison_of(corners, (near, far), constants), path_of(corners))
    first, second = reflectance
    assert gain.polarised == pytest.approx(db(np.mean(first * second)), abs=1e-9)
    assert gain.mixed == pytest.approx(db(np.mean(first) * np.mean(second)), abs=1e-9)
    assert gain.written == pytest.approx(gain.mixed, abs=1e-9)


def test_the_reference_exchanges_angles_of_incidence():
    # Off a wall at 30 degrees and off one across it at 60.
    slope = np.sqrt(3.0)
    corners = np.array([[0.0, 1.0, 0], [1.0, 1 + slope, 0], [2.0, 1.0, 0], [1.0, 1 - slope, 0]])
    top = square("wall", (0, 1 + slope, -1), (2, 0, 0), (0, 0, 2))
    side = square("glass", (2, 0, -1), (0, 2, 0), (0, 0, 2))
    constants = {"wall": 4.0 - 0.2j, "glass": 5.0 - 0.3j}

    def reflectance(permittivity, cosine):
        root = np.sqrt(permittivity - (1 - cosine**2))
        te = (cosine - root) / (cosine + root)
        tm = (permittivity * cosine - root) / (permittivity * cosine + root)
        return (abs(te) ** 2 + abs(tm) ** 2) / 2

    comparison = comparison_of(corners, (top, side), constants)
    gain = reflection_gain(comparison, path_of(corners))
    # Incidence is counted from the normal: 30 degrees on the wall, 60 on the glass.
    at_30, at_60 = (
        {name: reflectance(constants[name], cosine) for name in constants}
        for cosine in (slope / 2, 0.5)
    )
    right, wrong = at_30["wall"] * at_60["glass"], at_60["wall"] * at_30["glass"]
    assert gain.mixed == pytest.approx(db(right), abs=1e-9)
    assert gain.written == pytest.approx(db(wrong), abs=1e-9)
    assert abs(gain.mixed - gain.written) > 0.1


def test_what_differs_is_listed_with_its_cause():
    floor = square("floor", (0, 0, 0), (4, 0, 0), (0, 4, 0))
    corners = np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 0.0], [3.0, 3.0, 1.0]])
    sight = corners[[0, 2]]
    ghost = np.array([corners[0], [2.0, 2.0, 3.0], corners[2]])
    comparison = comparison_of(corners, (floor,), {"floor": 4.0 - 0.2j}, found=ours(sight, ghost))
    figures = record(comparison)
    assert figures["reference_paths"] == {"0": 0, "1": 1, "2": 0}
    assert figures["found_paths"] == {"0": 0, "1": 0, "2": 0}
    # Two triangles make the floor, and the reflection lies on the line between them.
    assert figures["causes_of_missing"] == {"reflected within 10 mm of a triangle's edge": 1}
    causes = {"a true path that the reference leaves out": 1, "unexplained": 1}
    assert figures["causes_of_extra"] == causes
    assert "unexplained" in nist_rooms.table([figures])
    assert json.loads(nist_rooms.as_json([figures])) == [figures]


def test_a_run_is_read_from_its_files(tmp_path):
    run = read_runs(archive(tmp_path))["Hall"]
    assert (run.frequency_hz, run.max_order, run.reflection_model) == (6e10, 1, "fresnel")
    assert run.permittivity == {"Wall": 4 + 0.2j}
    assert [(link.transmitter, link.receiver, link.step) for link in run.links] == [
        (0, 1, 0),
        (0, 1, 1),
    ]
    first, second = run.links
    assert [path.order for path in first.paths] == [0, 1]
    assert first.paths[1].corners.tolist() == [[0, 0, 0], [3, 4, 0], [6, 0, 0]]
    assert (first.paths[1].gain_db, run.diffuse_rays) == (-97.0, 1)
    # One ray alone is no list in the file; the first node stands still and has one position.
    assert [path.gain_db for path in second.paths] == [-90.0]
    assert second.ends.tolist() == [[0, 0, 0], [9, 0, 0]]


def test_a_path_without_a_ray_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"TX 0 RX 1 step 0: expected a ray .*\[3.0, 4.0, 0.0\]"):
        read_runs(archive(tmp_path, delays=[2e-8, 3.4e-8, 4e-8]))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"lib\.csv: expected a file of this name"):
        read_runs(archive(tmp_path, leave_out="lib.csv"))


def test_obj_groups_become_surfaces(tmp_path):
    path = tmp_path / "room.obj"
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\n"
    path.write_text(
        f"# two\n{corners}g A\nusemtl wood\nf 1 2 3\ng B\nusemtl glass\nf 1/1 2/2 4/3\n"
    )
    first, second = read_obj(path)
    assert (first.name, first.material, second.name, second.material) == (
        "A",
        "wood",
        "B",
        "glass",
    )
    assert second.vertices[second.faces[0]].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 1]]
    path.write_text(f"{corners}g A\nusemtl wood\nf 1 2 3 4\n")
    with pytest.raises(InputError, match="line 7: expected three corners"):
        read_obj(path)


def archive(folder, delays=(2e-8, 10.0 / 3e8, 4e-8), leave_out="") -> Path:
    """Two nodes, one of which walks; a line of sight, a reflection and a diffuse ray."""

    def rays(first, second):
        return {"TX": first, "RX": second} | {
            "Delay": [list(delays), 3e-8],
            "Gain": [[-94.0, -97.0, -120.0], -90.0],
            "Phase": [[0.0, np.pi, np.pi], 0.0],
        }

    corners = [6, 0, 0, 3, 4, 0, 0, 0, 0]
    sight = {"TX": 0, "RX": 1, "Rorder": 0, "MPC": [[0, 0, 0, 6, 0, 0], [0, 0, 0, 9, 0, 0]]}
    bounce = {"TX": 0, "RX": 1, "Rorder": 1, "MPC": [[corners], [[None] * 9]]}
    config = {
        "switchDiffuseComponent": "1",
        "switchQDModel": "tgayMeasurements",
        "totalNumberOfReflections": "1",
        "carrierFrequency": "60e9",
        "materialLibraryPath": "lib.csv",
    }
    files = {
        "examples/Hall/Input/paraCfgCurrent.txt": "\n".join(map("\t".join, config.items())),
        "examples/Hall/Input/NodePosition0.dat": "0,0,0",
        "examples/Hall/Input/NodePosition1.dat": "6,0,0\n9,0,0\n",
        "examples/Hall/Output/Visualizer/Mpc.json": lines(sight, bounce),
        "examples/Hall/Output/Ns3/QdFiles/qdOutput.json": lines(rays(0, 1), rays(1, 0)),
        "lib.csv": "Reflector,Material,RelativePermittivity\nWall,Concrete,4+0.2j\n",
    }
    path = folder / "reference.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        for name, text in files.items():
            if name != leave_out:
                member = tarfile.TarInfo(f"./{name}")
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
    return path


def lines(*records) -> str:
    return "".join(json.dumps(r) + "\n" for r in records)


def square(name, corner, first, second) -> Surface:
    corner, first, second = (np.array(v, dtype=float) for v in (corner, first, second))
    vertices = np.stack([corner, corner + first, corner + first + second, corner + second])
    return Surface(name, name, vertices, np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32))


def box(size) -> tuple[Surface, ...]:
    x, y, z = np.diag(size)
    sides = [(y, z, x), (z, x, y), (x, y, z)]
    return tuple(
        square(f"side {i}", offset, first, second)
        for i, (first, second, across) in enumerate(sides)
        for offset in (np.zeros(3), across)
    )


def length(corners) -> float:
    return float(np.linalg.norm(np.diff(corners, axis=0), axis=1).sum())


def path_of(corners) -> SpecularPath:
    return SpecularPath(corners, length(corners) / 3e8, -90.0)


def ours(*paths) -> Found:
    def unit(vectors):
        return np.array([v / np.linalg.norm(v) for v in vectors])

    return Found(
        delay_s=np.array([length(c) for c in paths]) / SPEED_OF_LIGHT_M_PER_S,
        departure=unit([c[1] - c[0] for c in paths]),
        arrival=unit([c[-2] - c[-1] for c in paths]),
        power_db=np.full(len(paths), -90.0),
    )


def nothing() -> Found:
    return Found(np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))


def comparison_of(corners, surfaces, constants, found=None) -> Comparison:
    link = Link(0, 1, 0, corners[[0, -1]], (path_of(corners),))
    run = Run("Hall", FREQUENCY_HZ, 2, "fresnel", 0.0, constants, (link,), 0)
    return compare(run, surfaces, [nothing() if found is None else found])
