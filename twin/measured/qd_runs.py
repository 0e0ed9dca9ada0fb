"""Reader of runs of the NIST Q-D channel realisation software.

The software (usnistgov/qd-realization, public domain) writes the corners of every specular path in
full precision (`Visualizer/Mpc.json`) and delay, gain and phase of all rays, specular and diffuse,
in another file (`Ns3/QdFiles/qdOutput.json`). Specular rays are those whose corners are known. Its
angles are in the frames of rotated antennas, and those of its diffuse rays repeat one angle in
place of another, so directions are taken from the corners instead.

A delay is a length over 3e8 m/s. A gain is Friis' formula less a loss at each reflection, and has
no antennas and no polarisation; see `ReflectionModel`.
"""

from __future__ import annotations

import csv
import io
import json
import lzma
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, InputError

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
    """Two nodes at one time step; `paths` may be empty.

    Args:
        transmitter: number of the node.
        receiver: number of the node.
        step: time step.
        ends: (2, 3) [m], transmitter first.
        paths: specular paths.
        diffuse_power: sum of the power gains of the rays that are no specular paths.
    """

    transmitter: int
    receiver: int
    step: int
    ends: Points
    paths: tuple[SpecularPath, ...]
    diffuse_power: float = 0.0


@dataclass(frozen=True)
class Run:
    """All links of a room; a pair of nodes counts once, from the lower number to the higher.

    Args:
        room: name of the room.
        frequency_hz: carrier.
        max_order: most reflections of a path.
        reflection_model: of a loss: ``constant`` (`loss_db` each), ``fresnel`` (mean of the two
            power reflectances of a half-space of `permittivity`, at every reflection anew) or
            ``drawn`` (random numbers that the run does not keep).
        loss_db: of a reflection, where the model is ``constant``.
        permittivity: material -> relative permittivity, where the model is ``fresnel``; the sign of
            the imaginary part is not consistent and has no meaning.
        links: in the order of the file, then by time step.
        diffuse_rays: rays of the run that are no specular paths.
        step_s: time between two steps [s].
    """

    room: str
    frequency_hz: float
    max_order: int
    reflection_model: ReflectionModel
    loss_db: float
    permittivity: Mapping[str, complex]
    links: tuple[Link, ...]
    diffuse_rays: int
    step_s: float = 1.0


def read_runs(source: Path, only: Collection[str] | None = None) -> dict[str, Run]:
    """Runs in ``examples/ROOM/...``, with ``material_libraries/...`` beside it, by room.

    Args:
        source: a tar archive, or a folder such as the software's ``src``.
        only: rooms to read, where they have a run; all where not given.

    Raises:
        InputError: unreadable, a file is missing or damaged, or the corners of a path have no ray.
    """
    files = _Files(str(source), _folder_files(source) if source.is_dir() else _tar_files(source))
    rooms = sorted({name.split("/")[1] for name in files.text if name.startswith("examples/")})
    wanted = rooms if only is None else [room for room in rooms if room in only]
    return {room: _read_run(files, room) for room in wanted if files.is_run(room)}


def _tar_files(archive: Path) -> dict[str, str]:
    try:
        with tarfile.open(archive) as tar:
            return {
                member.name.removeprefix("./"): tar.extractfile(member).read().decode()  # type: ignore[union-attr]
                for member in tar.getmembers()
                if member.isfile()
            }
    except (OSError, tarfile.TarError, lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        cure = "Fetch the file anew."
        fault = Fault(str(archive), "", "a whole, readable tar archive", str(error), cure)
        raise InputError([fault]) from error


def _folder_files(folder: Path) -> dict[str, str]:
    wanted = (
        "examples/*/Input/*.txt",
        "examples/*/Input/*.dat",
        "examples/*/Output/Visualizer/Mpc.json",
        "examples/*/Output/Ns3/QdFiles/qdOutput.json",
        "material_libraries/*.csv",
    )
    paths = [path for pattern in wanted for path in sorted(folder.glob(pattern))]
    try:
        return {
            path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths
        }
    except (OSError, UnicodeDecodeError) as error:
        raise InputError([Fault(str(folder), "", "readable text files", str(error))]) from error


@dataclass(frozen=True)
class _Files:
    source: str
    text: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        if name not in self.text:
            raise InputError([Fault(self.source, name, "a file of this name", "none")])
        return self.text[name]

    def is_run(self, room: str) -> bool:
        """Whether the room has a run: the software comes with rooms that have none."""
        return f"examples/{room}/Output/Ns3/QdFiles/qdOutput.json" in self.text

    def records(self, name: str) -> Iterator[dict[str, Any]]:
        for number, line in enumerate(self[name].splitlines(), start=1):
            if line.strip():
                try:
                    record = json.loads(line)
                except ValueError as error:
                    place = f"{name}, line {number}"
                    raise self.fault(place, "a record in JSON", str(error)) from error
                yield record

    def fault(self, name: str, expected: str, found: str) -> InputError:
        return InputError([Fault(self.source, name, expected, found)])


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
    duration = float(config.get("totalTimeDuration", 1))
    return Run(
        room=room,
        frequency_hz=float(config["carrierFrequency"]),
        max_order=int(config["totalNumberOfReflections"]),
        reflection_model=model,
        loss_db=float(config["reflectionLoss"]) if model == "constant" else 0.0,
        permittivity=permittivity,
        links=links,
        diffuse_rays=rays - sum(len(link.paths) for link in links),
        step_s=duration / float(config.get("numberOfTimeDivisions", 1)),
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
            diffuse = float(np.sum(10.0 ** (rays[unused, 1] / 10.0)))
            links.append(Link(first, second, step, ends, tuple(found), diffuse))
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
