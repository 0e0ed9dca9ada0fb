"""Importer of the NIST tracer's paths: on a small run made here, and on the real ones."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from twin.errors import InputError
from twin.measured.data_set import content_sha256
from twin.measured.importing import import_data_set
from twin.measured.nist_rooms import DATA_SET, ROOMS, SITES, read_sites
from twin.store.layout import Job
from twin.store.reader import open_site
from twin.store.writer import write_site

NODES = {0: [0.0, 0.0, 3.0], 1: [3.0, 4.0, 3.0], 2: [0.0, 2.0, 1.0]}
SPEED = 3e8
FREQUENCY_HZ = 60e9
CEILING_M = 5.0


def corners(first: int, second: int) -> np.ndarray:
    """The path over the ceiling, from the first node to the second."""
    a, b = np.array(NODES[first]), np.array(NODES[second])
    up_a, up_b = CEILING_M - a[2], CEILING_M - b[2]
    mirror = a + (b - a) * up_a / (up_a + up_b)
    mirror[2] = CEILING_M
    return np.array([a, mirror, b])


def length(path: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def run_files(room: str) -> dict[str, str]:
    """Three nodes: a straight path, one over the ceiling a diffuse ray each; none from 1 to 2."""
    folder = f"examples/{room}"
    files = {
        f"{folder}/Input/paraCfgCurrent.txt": "ParameterName\tParameterValue\n"
        "carrierFrequency\t60e9\ntotalNumberOfReflections\t2\nswitchDiffuseComponent\t0\n"
        "reflectionLoss\t10\ntotalTimeDuration\t4\nnumberOfTimeDivisions\t2\n",
    }
    rays, mpc = [], []
    for first, second in ((0, 1), (0, 2), (1, 2)):
        straight = np.array([NODES[first], NODES[second]])
        over = corners(first, second)
        none = second == 2 and first == 1
        delays = [length(straight) / SPEED, length(over) / SPEED, 9e-8]
        record = {"Delay": delays, "Gain": [-80.0, -70.0, -100.0], "Phase": [0.0, np.pi, 1.0]}
        rays.append(
            {"TX": first, "RX": second, **{k: [[] if none else v] for k, v in record.items()}}
        )
        row = [None] * 6 if none else straight.ravel().tolist()
        mpc.append({"TX": first, "RX": second, "Rorder": 0, "MPC": [row]})
        rows = [[None] * 9] if none else [over[::-1].ravel().tolist()]
        mpc.append({"TX": first, "RX": second, "Rorder": 1, "MPC": [rows]})
    files[f"{folder}/Output/Ns3/QdFiles/qdOutput.json"] = "\n".join(map(json.dumps, rays))
    files[f"{folder}/Output/Visualizer/Mpc.json"] = "\n".join(map(json.dumps, mpc))
    for node, place in NODES.items():
        files[f"{folder}/Input/NodePosition{node}.dat"] = ",".join(map(str, place))
    return files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Runs of all rooms in the software's folders, and one of another room that is damaged."""
    other = tmp_path / "nist_rooms" / "src" / "examples" / "CityBlock" / "Output/Ns3/QdFiles"
    other.mkdir(parents=True)
    (other / "qdOutput.json").write_text("[", encoding="utf-8")
    for room in ROOMS:
        for name, text in run_files(room).items():
            path = tmp_path / "nist_rooms" / "src" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return tmp_path


def archive(folder: Path):
    """Packs the runs into the archive; gives the record that knows it."""
    (file,) = DATA_SET.files
    source, packed = folder / "nist_rooms" / "src", io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                tar.add(path, path.relative_to(source).as_posix())
                path.unlink()
    (folder / "nist_rooms" / file.name).write_bytes(packed.getvalue())
    known = dataclasses.replace(file, sha256=content_sha256(packed.getvalue(), text=False))
    return folder / "nist_rooms" / file.name, dataclasses.replace(DATA_SET, files=(known,))


def test_paths_angles_and_absent_points(folder, tmp_path):
    store = tmp_path / "store.zarr"
    digests = import_data_set("nist_rooms", folder, store, ["nist_LectureRoom"])
    assert list(digests) == ["nist_LectureRoom"]
    site = open_site(store, "nist_LectureRoom")
    assert site["realisation_label"].to_numpy().tolist() == ["node0", "node1"]
    assert site["status"].to_numpy().tolist() == [[1, 1], [2, 3]]
    np.testing.assert_allclose(site["ap_position"].to_numpy()[:, 0], [NODES[0], NODES[1]])
    np.testing.assert_allclose(site["position"].to_numpy()[0], [NODES[1], NODES[2]])
    assert site["num_paths"].to_numpy()[..., 0].tolist() == [[2, 2], [0, 0]]
    assert site["los"].to_numpy()[..., 0].tolist() == [[1, 1], [0, -1]]
    link = site.isel(realisation=0, point=0, ap=0)
    # The path over the ceiling is the stronger one here.
    over = length(corners(0, 1)) / SPEED
    np.testing.assert_allclose(link["delay"], [over, 5.0 / SPEED])
    assert link["interactions"].to_numpy().tolist() == [1, 0]
    gain = link["path_gain"].to_numpy()
    turns = np.exp(-2j * np.pi * FREQUENCY_HZ * np.array([over, 5.0 / SPEED]))
    np.testing.assert_allclose(gain, np.array([-(10**-3.5), 1e-4]) * turns, rtol=1e-5)
    np.testing.assert_allclose(link["power_left_out"], 1e-10, rtol=1e-6)
    azimuth = np.arctan2(4.0, 3.0)
    np.testing.assert_allclose(link["aod_azimuth"], [azimuth, azimuth], rtol=1e-6)
    np.testing.assert_allclose(link["aoa_azimuth"], [azimuth - np.pi] * 2, rtol=1e-6)
    # From horizontal by arctan(2 m up over 2.5 m), for both ends: upwards is a small zenith angle.
    zenith = np.pi / 2 - np.arctan2(2.0, 2.5)
    np.testing.assert_allclose(link["aod_zenith"], [zenith, np.pi / 2], rtol=1e-6)
    np.testing.assert_allclose(link["aoa_zenith"], [zenith, np.pi / 2], rtol=1e-6)
    np.testing.assert_allclose(link["toa"], 5.0 / SPEED)
    assert site.attrs["origin"] == "simulated"
    assert "2 diffuse rays" in site.attrs["left_out"]


def test_a_moving_node_is_a_walk(folder):
    name = folder / "nist_rooms" / "src" / "examples" / "L-Room"
    rays_path = name / "Output/Ns3/QdFiles/qdOutput.json"
    mpc_path = name / "Output/Visualizer/Mpc.json"
    rays = [json.loads(line) for line in rays_path.read_text(encoding="utf-8").splitlines()[:1]]
    mpc = [json.loads(line) for line in mpc_path.read_text(encoding="utf-8").splitlines()[:2]]
    for record in rays:
        for key in ("Delay", "Gain", "Phase"):
            record[key] *= 2
    for record in mpc:
        record["MPC"] *= 2
    rays_path.write_text("\n".join(map(json.dumps, rays)), encoding="utf-8")
    mpc_path.write_text("\n".join(map(json.dumps, mpc)), encoding="utf-8")
    (site,) = read_sites(folder, ["nist_L-Room"])
    assert (site.spec.realisations, site.spec.points) == (("node0",), 2)
    block = site.block(Job(0, 0, 2))
    assert block["time"].to_numpy().tolist() == [0.0, 2.0]
    assert block["trajectory"].to_numpy().tolist() == [1, 1]
    (name / "Input/NodePosition0.dat").write_text("0,0,3\n0,0.1,3\n", encoding="utf-8")
    with pytest.raises(InputError, match="node 0: expected a transmitter that stands still"):
        list(read_sites(folder, ["nist_L-Room"]))


def test_the_archive_gives_the_same_content(folder):
    sites = list(read_sites(folder))
    path, record = archive(folder)
    packed = list(read_sites(folder, data_set=record))
    assert [site.name for site in packed] == list(SITES)
    for one, other in zip(sites, packed, strict=True):
        first = one.block(Job(0, 0, one.spec.points))
        assert first.identical(other.block(Job(0, 0, one.spec.points)))
    with pytest.raises(InputError, match="sha256"):
        list(read_sites(folder))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="a whole, readable tar archive"):
        list(read_sites(folder, data_set=record))


@pytest.mark.parametrize(
    ("name", "old", "new", "part"),
    [
        ("Output/Ns3/QdFiles/qdOutput.json", "e-08", "e-07", "a ray for the path over"),
        ("Output/Ns3/QdFiles/qdOutput.json", '{"TX"', '"TX"', "line 1: expected a record in JSON"),
        ("Input/paraCfgCurrent.txt", "carrier", "barrier", "a line for each of carrierFrequency"),
        ("Input/NodePosition1.dat", None, None, "NodePosition1.dat: expected a file"),
        ("Output/Ns3/QdFiles/qdOutput.json", None, None, "LectureRoom: expected a run"),
    ],
)
def test_damaged_runs_are_refused(folder, name, old, new, part):
    path = folder / "nist_rooms" / "src" / "examples" / "LectureRoom" / name
    if old is None:
        path.unlink()
    else:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=part):
        next(read_sites(folder))


def test_wrong_name_or_folder(tmp_path):
    with pytest.raises(InputError, match="one of nist_ConferenceRoom"):
        next(read_sites(tmp_path, ["nist_Attic"]))
    with pytest.raises(InputError, match="TWIN_DATA_DIR"):
        next(read_sites(tmp_path))


REAL = Path(os.environ.get("TWIN_DATA_DIR", ""))


@pytest.mark.skipif(
    not os.environ.get("TWIN_DATA_DIR") or not (REAL / "nist_rooms").is_dir(),
    reason="needs TWIN_DATA_DIR with nist_rooms",
)
def test_real_rooms(tmp_path):
    store = tmp_path / "store.zarr"
    found = {}
    for site in read_sites(REAL):
        write_site(store, site.name, site.spec, site.block)
        data = open_site(store, site.name)
        found[site.name] = (
            len(site.spec.realisations),
            site.spec.points,
            int(data["num_paths"].sum()),
        )
        # Straight paths are as long as the nodes are apart.
        straight = (data["interactions"] == 0) & (data["path_gain"] != 0)
        apart = np.linalg.norm(data["position"] - data["ap_position"].isel(ap=0), axis=-1)
        late = data["delay"].where(straight).min("path").isel(ap=0).to_numpy() * SPEED - apart
        seen = data["los"].isel(ap=0).to_numpy() == 1
        assert np.abs(late[seen]).max() < 1e-5
        assert np.isnan(late[~seen]).all()
    assert found == {
        "nist_ConferenceRoom": (2, 2, 71),
        "nist_EnterpriseCubicle": (3, 3, 34),
        "nist_L-Room": (1, 200, 2455),
        "nist_LectureRoom": (1, 1, 6),
    }
