"""A DeepMIMO v4 scenario as a site."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import xarray as xr
from pydantic import JsonValue, ValidationError

from twin.errors import Fault, Gathered, InputError, refuse
from twin.store.content import StreamDigest, json_digest
from twin.store.exchange.deepmimo_conventions import to_paths
from twin.store.exchange.deepmimo_files import Floats, Snapshot, value_faults
from twin.store.exchange.deepmimo_scenario import Scenario, read_scenario
from twin.store.exchange.files import invalid
from twin.store.layout import Job
from twin.store.location import StoreRef
from twin.store.schema import PATH_VARIABLES, VARIABLES
from twin.store.spec import SiteSpec, vectors
from twin.store.writer import write_site

_IMPORTER = "deepmimo@1"
_VARIABLES = (*PATH_VARIABLES, "num_paths", "los", "toa")
_FAULTS_SHOWN = 20


def import_deepmimo(
    source: Path,
    store: StoreRef,
    site: str,
    *,
    title: str = "",
    attributes: Mapping[str, JsonValue] | None = None,
    shard_points: int = 256,
    overwrite: bool = False,
) -> str:
    """Write a site from a DeepMIMO v4 scenario.

    Every transmitter is an access point; the sets that only receive are the points, one set behind
    the other; every snapshot of a dynamic scenario is a realisation. Kept are the paths, with the
    number of them, line of sight and time of arrival of each link; the rest follows from the paths
    (`twin.store.derived`). Amplitudes are the scenario's, between isotropic antennas unless it was
    exported from a site. A scenario that was exported from a site comes back with its names and
    orientations, delays and positions as they were, and all else to the float32 precision of the
    format.

    The files are read twice, the first time to check them; memory holds one block of points at a
    time, unless a matrix lies in Fortran's order.

    Args:
        source: folder of the scenario, with its ``params.json``.
        store: path or URL of the store; created where there is none.
        site: name of the site.
        title: what the site is, in words; the scenario's name where empty.
        attributes: for the reader, such as licence and citation.
        shard_points: points a job writes.
        overwrite: remove a site of the same name whose spec differs.

    Returns:
        The site's content digest.

    Raises:
        InputError: no scenario there, another version, arrays of several antennas, files that are
            missing, damaged or of shapes that disagree, numbers out of range. All faults are named,
            and nothing is written.
        StoreError: see `twin.store.writer.write_site`.
    """
    scenario = read_scenario(source)
    positions, paths = _survey(scenario)
    bare = _spec(scenario, positions, paths, title, attributes or {}, shard_points, "")
    content = _check(scenario, bare)
    spec = _spec(scenario, positions, paths, title, attributes or {}, shard_points, content)
    own, tracing = scenario.params.fingertwin, scenario.params.rt_params
    provenance: dict[str, JsonValue] = {
        "imported": {
            "format": f"DeepMIMO {scenario.params.version}",
            "file": scenario.folder.name,
            "ray_tracer": f"{tracing.raytracer_name} {tracing.raytracer_version}",
            "digest": None if own is None else own.digest,
        },
        "provenance": None if own is None else own.provenance,
    }
    with _Blocks(scenario, spec.paths) as blocks:
        return write_site(
            store, site, spec, blocks.dataset, provenance=provenance, overwrite=overwrite
        )


def _survey(scenario: Scenario) -> tuple[Floats, int]:
    """Positions (snapshot, transmitter, 3) and the largest number of paths, from all headers."""
    positions, paths = [], 1
    faults: list[Fault] = []
    for index in range(len(scenario.snapshots)):
        with Gathered(faults), Snapshot(scenario, index) as snapshot:
            positions.append(snapshot.transmitter_positions())
            paths = max(paths, snapshot.paths)
    refuse(_shortened(faults))
    found = np.array(positions)
    if not np.isfinite(found).all():
        fault = Fault(str(scenario.folder), "tx_pos", "known positions [m]", "NaN or infinite")
        raise InputError([fault])
    return found, paths


def _spec(
    scenario: Scenario,
    positions: Floats,
    paths: int,
    title: str,
    attributes: Mapping[str, JsonValue],
    shard_points: int,
    content: str,
) -> SiteSpec:
    own, count = scenario.params.fingertwin, len(scenario.transmitters)
    names = [f"t{number:03d}_tx{index:03d}" for number, index in scenario.transmitters]
    labels = [path.name for path in scenario.snapshots]
    orientation = own.ap_orientation_rad if own else []
    try:
        return SiteSpec(
            title=title or (own.title if own else f"DeepMIMO scenario {scenario.folder.name}"),
            origin="simulated",
            realisations=tuple(own.realisations if own else labels),
            points=scenario.points,
            access_points=tuple(own.access_points if own else names),
            variables=_VARIABLES,
            ap_position_m=vectors(positions),
            ap_orientation_rad=vectors(orientation) if orientation else (),
            ap_frequency_hz=(scenario.params.rt_params.frequency,) * count,
            ap_power_dbm=tuple(own.ap_power_dbm) if own else (),
            paths=paths,
            shard_points=shard_points,
            config={"importer": _IMPORTER, "content": content},
            attributes={
                "source": f"DeepMIMO scenario {scenario.folder.name}",
                "interactions_kept": "kinds of every path, neither their number nor their order",
                **attributes,
            },
        )
    except ValidationError as error:
        raise invalid(str(scenario.folder), error) from error


def _check(scenario: Scenario, spec: SiteSpec) -> str:
    """Read everything once; the digest of what will be written."""
    digests = {name: StreamDigest() for name in ("position", *_VARIABLES)}
    faults: list[Fault] = []
    with _Blocks(scenario, spec.paths) as blocks:
        for realisation in range(len(spec.realisations)):
            for start in range(0, spec.points, spec.shard_points):
                stop = min(start + spec.shard_points, spec.points)
                job = Job(realisation, start, stop)
                faults += blocks.faults(job)
                if not faults:
                    dataset = blocks.dataset(job)
                    for name, stream in digests.items():
                        stream.update(dataset[name].to_numpy())
    refuse(_shortened(faults))
    return json_digest(
        {name: stream.hexdigest(VARIABLES[name].dtype, ()) for name, stream in digests.items()}
    )


def _shortened(faults: list[Fault]) -> list[Fault]:
    hidden = len(faults) - _FAULTS_SHOWN
    if hidden <= 0:
        return faults
    where = faults[-1].where
    return [*faults[:_FAULTS_SHOWN], Fault(where, "", "no further fault", f"{hidden} more")]


class _Blocks:
    """The jobs of a scenario, with the files of one snapshot open at a time."""

    def __init__(self, scenario: Scenario, paths: int) -> None:
        self._scenario = scenario
        self._paths = paths
        self._stack = ExitStack()
        self._opened: tuple[int, Snapshot] | None = None
        self._block: tuple[Job, list[dict[str, Floats]]] | None = None

    def __enter__(self) -> _Blocks:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def _snapshot(self, index: int) -> Snapshot:
        if self._opened is None or self._opened[0] != index:
            self._stack.close()
            self._opened = index, self._stack.enter_context(Snapshot(self._scenario, index))
        return self._opened[1]

    def _matrices(self, job: Job) -> list[dict[str, Floats]]:
        """The matrices and ``rx_pos`` of every transmitter; the last job's are kept."""
        if self._block is None or self._block[0] != job:
            snapshot = self._snapshot(job.realisation)
            self._block = (
                job,
                [
                    snapshot.matrices(tx, job.start, job.stop, self._paths)
                    for tx in range(len(self._scenario.transmitters))
                ],
            )
        return self._block[1]

    def faults(self, job: Job) -> list[Fault]:
        """What is wrong with the numbers of a job."""
        snapshot = self._snapshot(job.realisation)
        place = f"receivers {job.start} to {job.stop - 1}"
        block = self._matrices(job)
        position = block[0]["rx_pos"]
        absent = np.asarray(np.isnan(position).any(axis=1))
        faults = []
        for tx, matrices in enumerate(block):
            where = {name: f"{snapshot.where(name, tx)}, {place}" for name in matrices}
            faults += value_faults(matrices, where)
            if not np.array_equal(position, matrices["rx_pos"], equal_nan=True):
                expected = "the positions that the first transmitter's file has"
                faults.append(Fault(where["rx_pos"], "rx_pos", expected, "others"))
            if np.isinf(position).any() or not np.isnan(matrices["power"][absent]).all():
                expected = "a position [m], or NaN for a receiver without paths"
                faults.append(Fault(where["rx_pos"], "rx_pos", expected, "something else"))
        return faults

    def dataset(self, job: Job) -> xr.Dataset:
        """A job's variables."""
        own = self._scenario.params.fingertwin
        first_subcarrier_hz = own.first_subcarrier_hz if own else 0.0
        block = self._matrices(job)
        links = [to_paths(matrices, first_subcarrier_hz) for matrices in block]
        values = {name: np.stack([link[name] for link in links], axis=1) for name in PATH_VARIABLES}
        there = np.isfinite(values["delay"])
        arrival = np.where(there, values["delay"], np.inf).min(axis=-1)
        position = block[0]["rx_pos"]
        absent = np.asarray(np.isnan(position).any(axis=1))
        straight = there & (values["interactions"] == 0)
        values |= {
            "position": np.where(absent[:, None], np.nan, position),
            "status": np.where(absent, 3, np.where(there.any(axis=(1, 2)), 1, 2)).astype(np.int8),
            "num_paths": there.sum(axis=-1).astype(np.int16),
            "los": straight.any(axis=-1).astype(np.int8),
            "toa": np.where(np.isfinite(arrival), arrival, np.nan),
        }
        return xr.Dataset(
            {name: (VARIABLES[name].dims[1:], array) for name, array in values.items()}
        )
