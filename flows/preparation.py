"""Everything that is checked before a run starts, in one pass, with nothing written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows import generation
from flows.generation import TwinPlan
from flows.reality import Reality
from flows.request import Request, output_faults, read_request, scene_faults, store_in
from flows.study import Room, Study, load_study
from twin.config import data_dir
from twin.errors import Fault, Gathered, refuse
from twin.learn.presets import SMALL
from twin.measured.wifi_rtt_rooms import read_room
from twin.store.schema import SPLITS
from twin.store.spec import SiteSpec
from twin.trace import backend

_LEAST_TEST_POINTS = 2


@dataclass(frozen=True, eq=False)
class Prepared:
    """A run whose input was found sound.

    Attributes:
        study: what to do.
        reality: what stands for reality.
        out: folder of the results.
        store: path or URL of the store.
        twins: the plan of each room's twin.
        held_out: the plan of each room's stand-in for reality; empty where reality is measured.
        backend: the ray tracer's backend.
        replace: whether sites that were made for another study give way.
    """

    study: Study
    reality: Reality
    out: Path
    store: str
    twins: tuple[TwinPlan, ...]
    held_out: tuple[TwinPlan, ...]
    backend: backend.BackendInfo
    replace: bool = False

    @property
    def versions(self) -> dict[str, str]:
        """What a resumed run must share with the run that it goes on with."""
        return {"variant": self.backend.variant, **self.backend.versions}


@dataclass(frozen=True, eq=False)
class _Plans:
    twins: tuple[TwinPlan, ...]
    held_out: tuple[TwinPlan, ...]
    faults: tuple[Fault, ...]


def read_study_request(
    study_file: Path, given_data: Path | None, out: Path | None, store: str | None = None
) -> Request[Study]:
    """`flows.request.read_request` of a study of rooms; needs no ray tracer.

    Raises:
        InputError: every fault of study, scenes, perturbation tables, data files and output.
    """

    def faults_of(study: Study, folder: Path | None) -> tuple[Fault, ...]:
        return _plan(study, folder, {}).faults

    def folder_of(_: Study | None, given: Path | None) -> Path | None:
        return data_dir(given)

    return read_request(load_study, folder_of, faults_of, study_file, given_data, out, store)


def prepare(study: Study, reality: Reality, out: Path, store: str | None = None) -> Prepared:
    """Plan all sites of a run.

    Raises:
        InputError: scenes, perturbation tables, data files or the output folder have faults; all in
            one message.
        BackendError: no usable ray tracer.
    """
    info = backend.prepare()
    plans = _plan(study, reality.folder, {"variant": info.variant, **info.versions})
    out = out.resolve()
    store = store_in(out, store)
    refuse([*output_faults(out, store), *plans.faults])
    return Prepared(study, reality, out, store, plans.twins, plans.held_out, info)


def _plan(study: Study, folder: Path | None, versions: Mapping[str, str]) -> _Plans:
    """Sites and faults of a study; reality is simulated where there is no data folder."""
    twins: list[TwinPlan] = []
    held_out: list[TwinPlan] = []
    faults: list[Fault] = []
    for index, room in enumerate(study.rooms):
        key = f"rooms.{index}"
        twin = real = split = None
        of_scene: list[Fault] = []
        with Gathered(of_scene):
            twin = generation.plan_twin(study, room, versions)
            twins.append(twin)
        faults += scene_faults(of_scene, "study", f"{key}.scene")
        with Gathered(faults):
            if folder is not None and room.measured is not None:
                real, data = read_room(folder, room.measured)
                split = data["split"].to_numpy()
            elif twin is not None:
                held_out.append(generation.plan_held_out(study, room, versions))
                real, split = held_out[-1].spec, held_out[-1].split
        if twin is not None:
            faults += _twin_faults(twin, key)
        if split is not None:
            faults += _split_faults(study, split, key)
        if twin is not None and real is not None:
            faults += _access_point_faults(room, twin.spec, real, key)
    if folder is not None and len({room.measured is None for room in study.rooms}) > 1:
        expected = "measured rooms only, or simulated rooms only"
        faults.append(Fault("study", "rooms", expected, "both"))
    sites = Counter(twin.site for twin in twins)
    faults += [
        Fault("study", "rooms", "scenes with names of their own", f"{count} named {name}")
        for name, count in sites.items()
        if count > 1
    ]
    return _Plans(tuple(twins), tuple(held_out), tuple(faults))


def _twin_faults(twin: TwinPlan, key: str) -> list[Fault]:
    least = max(SMALL.supports) + SMALL.queries
    if len(twin.points) >= least:
        return []
    expected = f"a scene with at least {least} receiver points, as many as a task of a learner"
    found = f"{len(twin.points)} in {twin.site}"
    return [Fault("study", f"{key}.scene", expected, found, "Make the receivers' pitch_m smaller.")]


def _split_faults(study: Study, split: npt.NDArray[np.int8], key: str) -> list[Fault]:
    references = int(np.count_nonzero(split == SPLITS.index("reference")))
    tests = int(np.count_nonzero(split == SPLITS.index("test")))
    faults = []
    if max(study.protocol.labels) > references:
        expected = f"at most {references}, the reference points of {key}"
        found = str(max(study.protocol.labels))
        faults.append(Fault("study", "protocol.labels", expected, found))
    made_for = max(SMALL.supports)
    if max(study.protocol.labels) > made_for:
        expected = f"at most {made_for}, the labels that the learners were made for"
        found = str(max(study.protocol.labels))
        faults.append(Fault("study", "protocol.labels", expected, found))
    if tests < _LEAST_TEST_POINTS:
        expected = f"at least {_LEAST_TEST_POINTS} test points"
        faults.append(Fault("study", key, expected, str(tests)))
    return faults


def _access_point_faults(room: Room, twin: SiteSpec, real: SiteSpec, key: str) -> list[Fault]:
    if twin.access_points == real.access_points:
        return []
    expected = f"the access points of {room.measured}: {', '.join(real.access_points)}"
    return [Fault("study", f"{key}.scene", expected, ", ".join(twin.access_points))]
