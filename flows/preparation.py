"""Everything that is checked before a run starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from flows import generation
from flows.generation import TwinPlan
from flows.reality import Reality
from flows.study import Study
from twin.errors import Fault, InputError, refuse
from twin.measured.wifi_rtt_rooms import read_room
from twin.trace import backend


@dataclass(frozen=True, eq=False)
class Prepared:
    """A run whose input was found sound.

    Attributes:
        study: what to do.
        reality: what stands for reality.
        out: folder of the results.
        twins: the plan of each room's twin.
        held_out: the plan of each room's stand-in for reality; empty where reality is measured.
        backend: the ray tracer's backend.
    """

    study: Study
    reality: Reality
    out: Path
    twins: tuple[TwinPlan, ...]
    held_out: tuple[TwinPlan, ...]
    backend: backend.BackendInfo

    @property
    def versions(self) -> dict[str, str]:
        """What a resumed run must share with the run that it goes on with."""
        return {"variant": self.backend.variant, **self.backend.versions}


def prepare(study: Study, reality: Reality, out: Path) -> Prepared:
    """Check everything that can be checked before work starts.

    Raises:
        InputError: scenes, perturbation tables, data files or the output folder have faults; all in
            one message.
        BackendError: no usable ray tracer.
    """
    info = backend.prepare()
    versions = {"variant": info.variant, **info.versions}
    faults = output_faults(out)
    twins: list[TwinPlan] = []
    held_out: list[TwinPlan] = []
    for room in study.rooms:
        try:
            twins.append(generation.plan_twin(study, room, versions))
            if not reality.measured or room.measured is None:
                held_out.append(generation.plan_held_out(study, room, versions))
        except InputError as error:
            faults += error.faults
        try:
            if reality.folder is not None and room.measured is not None:
                read_room(reality.folder, room.measured)
        except InputError as error:
            faults += error.faults
    if reality.measured and held_out:
        faults.append(
            Fault("study", "rooms", "measured rooms only, or simulated rooms only", "both")
        )
    refuse(faults)
    return Prepared(study, reality, out.resolve(), tuple(twins), tuple(held_out), info)


def output_faults(out: Path) -> list[Fault]:
    """What keeps results from being written there; makes the folder."""
    where, expected = "--out", "a folder that can be written"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return [Fault(where, "", expected, f"{out}: {error.strerror or error}")]
    if not os.access(out, os.W_OK | os.X_OK):
        return [Fault(where, "", expected, f"{out}: permission denied")]
    return []
