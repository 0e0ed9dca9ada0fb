"""Importer of the paths that the NIST Q-D tracer found in four furnished rooms at 60 GHz.

They are another tracer's output and not measured; the sites say so. The data set and its terms:
`twin.measured.registry.NIST_ROOMS`. Rooms as geometry are no part of a store and are not imported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from twin.errors import Fault, Gathered, refuse
from twin.measured.importing import MeasuredSite, check_site_names, data_folder
from twin.measured.qd_runs import SPEED_OF_LIGHT_M_PER_S, Link, Run, SpecularPath, read_runs
from twin.measured.registry import NIST_ROOMS, DataSet, content_sha256
from twin.store.layout import Job
from twin.store.spec import SiteSpec, vectors

DATA_SET = NIST_ROOMS
ROOMS = ("ConferenceRoom", "EnterpriseCubicle", "L-Room", "LectureRoom")
SITES = tuple(f"nist_{room}" for room in ROOMS)

_NO_RUN = "Run the software on this room with outputFormat json, or fetch the data set anew."
_REFLECTION = 1
_DONE, _NO_PATH, _ABSENT = 1, 2, 3
_MOVING = ("time", "trajectory")
_VARIABLES = (
    "path_gain",
    "delay",
    "aoa_azimuth",
    "aoa_zenith",
    "aod_azimuth",
    "aod_zenith",
    "interactions",
    "num_paths",
    "power_left_out",
    "los",
    "toa",
)


def read_sites(
    data_dir: Path, only: Collection[str] | None = None, *, data_set: DataSet = DATA_SET
) -> Iterator[MeasuredSite]:
    """One site a room: a realisation a transmitting node, a point a receiving node and time step.

    A pair of nodes counts once, from the lower number to the higher, so later realisations have
    fewer points. A gain has the phase of its reflections and of the carrier's way; angles are those
    of the path's corners. Diffuse rays are left out: their directions are not to be had.

    Args:
        data_dir: folder that holds ``nist_rooms`` or its files: the archive of runs, or the
            software's folder ``src`` with ``examples`` in it.
        only: names of sites; all where not given.
        data_set: record to check the archive against.

    Raises:
        InputError: unknown site; runs missing, damaged or not the known ones. Lists all faults.
    """
    check_site_names(only, SITES)
    wanted = SITES if only is None else only
    folder = data_folder(data_dir, data_set)
    runs, digests = _runs(folder, data_set)
    refuse(
        Fault(str(folder), room, "a run of this room", "none", _NO_RUN)
        for room in ROOMS
        if room not in runs and f"nist_{room}" in wanted
    )
    chosen = [(site, room) for site, room in zip(SITES, ROOMS, strict=True) if site in wanted]
    refuse(
        Fault(str(folder), f"{room}, node {number}", "a transmitter that stands still", "a walk")
        for _, room in chosen
        for number in _moving_transmitters(runs[room])
    )
    for site, room in chosen:
        yield _site(site, runs[room], data_set, digests)


def _runs(folder: Path, data_set: DataSet) -> tuple[dict[str, Run], dict[str, str]]:
    """Runs by room, and the digests of the files that they come from."""
    (file,) = data_set.files
    for name in (file.name, file.name.removesuffix(".xz")):
        path = folder / name
        if path.is_file():
            faults: list[Fault] = []
            digest = content_sha256(path.read_bytes(), text=file.text)
            runs: dict[str, Run] = {}
            with Gathered(faults):
                runs = read_runs(path, ROOMS)
            if name == file.name and file.sha256 is not None and digest != file.sha256:
                cure = "Fetch the official file."
                faults.append(Fault(str(path), "sha256", file.sha256, digest, cure))
            refuse(faults)
            return runs, {name: digest}
    for source in (folder, folder / "src"):
        if (source / "examples").is_dir():
            runs = read_runs(source, ROOMS)
            names = [f"examples/{room}/Output/Ns3/QdFiles/qdOutput.json" for room in runs]
            return runs, {name: content_sha256((source / name).read_bytes()) for name in names}
    expected = f"{file.name} or the folder src/examples"
    cure = "Set TWIN_DATA_DIR to a folder with the data set, or let it be downloaded."
    refuse([Fault(str(folder), "", expected, "neither", cure)])
    raise AssertionError


def _moving_transmitters(run: Run) -> list[int]:
    places: dict[int, npt.NDArray[np.float64]] = {}
    return sorted(
        {
            link.transmitter
            for link in run.links
            if np.any(places.setdefault(link.transmitter, link.ends[0]) != link.ends[0])
        }
    )


def _site(site: str, run: Run, data_set: DataSet, digests: dict[str, str]) -> MeasuredSite:
    transmitters = sorted({link.transmitter for link in run.links})
    by_transmitter = [
        [link for link in run.links if link.transmitter == number] for number in transmitters
    ]
    moves = any(link.step for link in run.links)
    points = max(map(len, by_transmitter))
    spec = SiteSpec(
        title=f"{data_set.title}: {run.room}",
        origin="simulated",
        realisations=tuple(f"node{number}" for number in transmitters),
        points=points,
        access_points=("transmitter",),
        variables=(*_MOVING, *_VARIABLES) if moves else _VARIABLES,
        ap_position_m=vectors([[links[0].ends[0]] for links in by_transmitter]),
        ap_frequency_hz=(run.frequency_hz,),
        paths=max(len(link.paths) for link in run.links),
        shard_points=points,
        layout="compact",
        config={
            "data_set": data_set.name,
            "room": run.room,
            "content_sha256": dict(digests),
            "max_order": run.max_order,
            "reflection_model": run.reflection_model,
        },
        attributes={
            "source": data_set.url,
            "licence": data_set.licence,
            "citation": list(data_set.citation),
            "original_units": data_set.units,
            "traced_by": "NIST Q-D channel realisation software; not measured",
            "speed_of_light_m_per_s": SPEED_OF_LIGHT_M_PER_S,
            "gains": "no antennas and no polarisation; phase: pi a reflection and the carrier's "
            "turns over the delay",
            "reflection_loss": f"{run.reflection_model}"
            + (f", {run.loss_db:g} dB" if run.reflection_model == "constant" else ""),
            "left_out": f"{run.diffuse_rays} diffuse rays of the run: their directions are not to "
            "be had; their power is in power_left_out",
            **({"time": "seconds of the run", "trajectory": "receiving node"} if moves else {}),
        },
    )

    def block(job: Job) -> xr.Dataset:
        links = by_transmitter[job.realisation][job.points]
        return _block(links, job.stop - job.start, spec.paths, run, moves=moves)

    return MeasuredSite(site, spec, block)


def _block(links: list[Link], points: int, paths: int, run: Run, *, moves: bool) -> xr.Dataset:
    position = np.full((points, 3), np.nan)
    status = np.full(points, _ABSENT, dtype=np.int8)
    time = np.full(points, np.nan)
    trajectory = np.full(points, -1, dtype=np.int32)
    shape = (points, 1, paths)
    gain = np.zeros(shape, dtype=np.complex64)
    delay = np.full(shape, np.nan)
    angles = np.full((4, *shape), np.nan, dtype=np.float32)
    interactions = np.zeros(shape, dtype=np.int32)
    num_paths = np.zeros((points, 1), dtype=np.int16)
    left_out = np.zeros((points, 1), dtype=np.float32)
    los = np.full((points, 1), -1, dtype=np.int8)
    toa = np.full((points, 1), np.nan)
    for point, link in enumerate(links):
        position[point] = link.ends[1]
        found = sorted(link.paths, key=lambda path: (-path.gain_db, path.delay_s))
        status[point] = _DONE if found else _NO_PATH
        time[point] = link.step * run.step_s
        trajectory[point] = link.receiver
        count = len(found)
        num_paths[point, 0] = count
        left_out[point, 0] = link.diffuse_power
        los[point, 0] = any(path.order == 0 for path in found)
        if found:
            here = (point, 0, slice(count))
            gain[here] = [_gain(path, run.frequency_hz) for path in found]
            delay[here] = [path.delay_s for path in found]
            interactions[here] = [_REFLECTION if path.order else 0 for path in found]
            angles[(slice(None), *here)] = np.array([_angles(path.corners) for path in found]).T
            toa[point, 0] = min(path.delay_s for path in found)
    link_dims, path_dims = ("point", "ap"), ("point", "ap", "path")
    names = ("aoa_azimuth", "aoa_zenith", "aod_azimuth", "aod_zenith")
    walk = {"time": ("point", time), "trajectory": ("point", trajectory)} if moves else {}
    return xr.Dataset(
        {
            "position": (("point", "xyz"), position),
            "status": ("point", status),
            **walk,
            "path_gain": (path_dims, gain),
            "delay": (path_dims, delay),
            **{name: (path_dims, angle) for name, angle in zip(names, angles, strict=True)},
            "interactions": (path_dims, interactions),
            "num_paths": (link_dims, num_paths),
            "power_left_out": (link_dims, left_out),
            "los": (link_dims, los),
            "toa": (link_dims, toa),
        }
    )


def _gain(path: SpecularPath, frequency_hz: float) -> complex:
    """Complex baseband amplitude: the run keeps the phase of the reflections alone."""
    phase = np.pi * path.order - 2.0 * np.pi * frequency_hz * path.delay_s
    return complex(10.0 ** (path.gain_db / 20.0) * np.exp(1j * phase))


def _angles(corners: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Azimuth and zenith of arrival (towards where the path comes from), then of departure."""
    arrival, departure = corners[-2] - corners[-1], corners[1] - corners[0]
    return (*_azimuth_zenith(arrival), *_azimuth_zenith(departure))


def _azimuth_zenith(direction: npt.NDArray[np.float64]) -> tuple[float, float]:
    x, y, z = direction
    return float(np.arctan2(y, x)), float(np.arctan2(np.hypot(x, y), z))
