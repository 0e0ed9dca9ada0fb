"""Reader of runs of the NIST Q-D channel realisation software, and of the rooms they were made in.

The software (usnistgov/qd-realization, public domain) writes the corners of every specular path in
full precision (`Visualizer/Mpc.json`) and delay, gain and phase of all rays, specular and diffuse,
in another file (`Ns3/QdFiles/qdOutput.json`). Specular rays are those whose corners are known. Its
angles are in the frames of rotated antennas, so directions are taken from the corners instead.

A delay is a length over 3e8 m/s. A gain is Friis' formula less a loss at each reflection, and has
no antennas and no polarisation; see `ReflectionModel`.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, InputError, refuse
from twin.scene.geometry import Surface

SPEED_OF_LIGHT_M_PER_S = 3e8
# Delays are written with nine digits.
_SAME_DELAY_S = 1e-14

Points = npt.NDArray[np.float64]
ReflectionModel = Literal["constant", "fresnel", "drawn"]


@dataclass(frozen=True)
class SpecularPath:
    """A path from node to node.

    Args:
        corners: (order + 2, 3) [m], transmitter first.
        delay_s: absolute.
        gain_db: path gain without antennas.
    """

    corners: Points
    delay_s: float
    gain_db: float

    @property
    def order(self) -> int:
        """Number of reflections."""
        return len(self.corners) - 2


@dataclass(frozen=True)
class Link:
    """Two nodes at one time step; `paths` may be empty."""

    transmitter: int
    receiver: int
    step: int
    ends: Points
    paths: tuple[SpecularPath, ...]


@dataclass(frozen=True)
class Run:
    """All links of a room; a pair of nodes counts once, from the lower number to the higher.

    Args:
        reflection_model: of a loss: ``constant`` (`loss_db` each), ``fresnel`` (mean of the two
            power reflectances of a half-space of `permittivity`, at every reflection anew) or
            ``drawn`` (random numbers that the run does not keep).
        permittivity: material -> relative permittivity, where the model is ``fresnel``; the sign of
            the imaginary part is not consistent and has no meaning.
        diffuse_rays: rays of the run that are no specular paths.
    """

    room: str
    frequency_hz: float
    max_order: int
    reflection_model: ReflectionModel
    loss_db: float
    permittivity: Mapping[str, complex]
    links: tuple[Link, ...]
    diffuse_rays: int


def read_runs(archive: Path) -> dict[str, Run]:
    """Every run in a tar archive of `examples/ROOM/...` and `material_libraries/...`.

    Raises:
        InputError: a file is missing, or the corners of a path have no ray.
    """
    with tarfile.open(archive) as tar:
        files = {
            member.name.removeprefix("./"): tar.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in tar.getmembers()
            if member.isfile()
        }
    rooms = sorted({name.split("/")[1] for name in files if name.startswith("examples/")})
    return {room: _read_run(_Files(str(archive), files), room) for room in rooms}


def read_obj(path: Path) -> tuple[Surface, ...]:
    """Groups (``g``) of a Wavefront OBJ file of triangles, with their materials (``usemtl``).

    Raises:
        InputError: a face is no triangle, or has no group or material.
    """
    vertices: list[list[float]] = []
    groups: dict[tuple[str, str], list[list[int]]] = {}
    group = material = ""
    faults = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        key, *words = line.split() or ["#"]
        if key == "v":
            vertices.append([float(word) for word in words[:3]])
        elif key == "g":
            group = " ".join(words)
        elif key == "usemtl":
            material = " ".join(words)
        elif key == "f":
            if len(words) != 3 or not group or not material:
                expected = "three corners in a group with a material"
                faults.append(Fault(str(path), f"line {number}", expected, line))
            corners = [int(word.split("/")[0]) - 1 for word in words]
            groups.setdefault((group, material), []).append(corners)
    refuse(faults)
    corners_m = np.array(vertices)
    surfaces = []
    for (name, of), faces in groups.items():
        used, renumbered = np.unique(np.array(faces), return_inverse=True)
        shape = (len(faces), 3)
        surfaces.append(
            Surface(name, of, corners_m[used], renumbered.reshape(shape).astype(np.int32))
        )
    return tuple(surfaces)


@dataclass(frozen=True)
class _Files:
    archive: str
    text: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        if name not in self.text:
            raise InputError([Fault(self.archive, name, "a file of this name", "none")])
        return self.text[name]

    def records(self, name: str) -> Iterator[dict[str, Any]]:
        return (json.loads(line) for line in self[name].splitlines() if line.strip())

    def fault(self, name: str, expected: str, found: str) -> InputError:
        return InputError([Fault(self.archive, name, expected, found)])


def _read_run(files: _Files, room: str) -> Run:
    folder = f"examples/{room}"
    name = f"{folder}/Input/paraCfgCurrent.txt"
    rows = csv.reader(io.StringIO(files[name]), delimiter="\t")
    config = {row[0]: row[1] for row in rows if len(row) > 1}
    missing = {"carrierFrequency", "totalNumberOfReflections"} - config.keys()
    if missing:
        raise files.fault(name, "a line for each of " + ", ".join(sorted(missing)), "none")
    permittivity: dict[str, complex] = {}
    model: ReflectionModel = "drawn"
    if config.get("switchDiffuseComponent") == "0" and "reflectionLoss" in config:
        model = "constant"
    elif config.get("switchQDModel") == "tgayMeasurements":
        model = "fresnel"
        library = csv.DictReader(io.StringIO(files[config["materialLibraryPath"]]))
        permittivity = {r["Reflector"]: complex(r["RelativePermittivity"]) for r in library}
    links, rays = _links(files, folder)
    return Run(
        room=room,
        frequency_hz=float(config["carrierFrequency"]),
        max_order=int(config["totalNumberOfReflections"]),
        reflection_model=model,
        loss_db=float(config["reflectionLoss"]) if model == "constant" else 0.0,
        permittivity=permittivity,
        links=links,
        diffuse_rays=rays - sum(len(link.paths) for link in links),
    )


def _links(files: _Files, folder: str) -> tuple[tuple[Link, ...], int]:
    """Links of a run, and the number of their rays of any kind."""
    corners = _corners(files, f"{folder}/Output/Visualizer/Mpc.json")
    name = f"{folder}/Output/Ns3/QdFiles/qdOutput.json"
    links, total = [], 0
    for record in files.records(name):
        first, second = record["TX"], record["RX"]
        if first > second:
            continue
        steps = len(record["Delay"])
        track = [
            _track(files, f"{folder}/Input/NodePosition{node}.dat") for node in (first, second)
        ]
        for step in range(steps):
            # One ray alone is not written as a list.
            rays = np.column_stack([np.ravel(record[k][step]) for k in ("Delay", "Gain", "Phase")])
            total += len(rays)
            found, unused = [], np.ones(len(rays), dtype=bool)
            for path in corners.get((first, second, step), []):
                length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
                same = np.abs(rays[:, 0] - length / SPEED_OF_LIGHT_M_PER_S) < _SAME_DELAY_S
                same &= np.abs(rays[:, 2] - np.pi * (len(path) - 2)) < 1e-5
                if not (same & unused).any():
                    place = f"{name} TX {first} RX {second} step {step}"
                    expected = f"a ray for the path over {path[1:-1].round(3).tolist()}"
                    raise files.fault(place, expected, f"{len(rays)} others")
                ray = int(np.argmax(same & unused))
                unused[ray] = False
                found.append(SpecularPath(path, float(rays[ray, 0]), float(rays[ray, 1])))
            ends = np.stack([positions[min(step, len(positions) - 1)] for positions in track])
            links.append(Link(first, second, step, ends, tuple(found)))
    return tuple(links), total


def _corners(files: _Files, name: str) -> dict[tuple[int, int, int], list[Points]]:
    """(transmitter, receiver, step) -> corners (order + 2, 3) of its paths."""
    found: dict[tuple[int, int, int], list[Points]] = {}
    for record in files.records(name):
        for step, rows in enumerate(record["MPC"]):
            paths = found.setdefault((record["TX"], record["RX"], step), [])
            # Line of sight is one row, without a list around it; absent paths are rows of null.
            for row in [rows] if record["Rorder"] == 0 else rows:
                if not row or row[0] is None:
                    continue
                path = np.array(row, dtype=np.float64).reshape(-1, 3)
                # Reflected paths are written from the receiver.
                paths.append(path[::-1] if record["Rorder"] else path)
    return found


def _track(files: _Files, name: str) -> Points:
    """Positions of a node (steps, 3) [m]."""
    return np.loadtxt(io.StringIO(files[name]), delimiter=",", ndmin=2)
