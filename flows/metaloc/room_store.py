"""The store of the leave-one-room-out experiment: three measured rooms and their twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from flows.generation import TwinPlan, plan_twin, trace_job
from flows.study import Room, Study, canonical, demo_file, load_study
from flows.tracing import Said, trace_pending
from twin.errors import Fault, Gathered, refuse
from twin.measured.wifi_rtt_rooms import read_room, read_sites
from twin.store.location import StoreRef
from twin.store.writer import (
    claimed,
    create_site,
    write_site,
)
from twin.trace import backend

#: Each room as its twin's scene and its name in the data set.
ROOMS = (
    Room(scene="lecture_theatre", measured="lecture_theatre"),
    Room(scene="office_wing", measured="office"),
    Room(scene="corridor", measured="corridor"),
)


def real_site(room: Room) -> str:
    """Name of the site that holds a room's measurements."""
    return f"wifi_rtt_{room.measured}"


def rooms_study(realisations: int | None = None) -> Study:
    """The demo's study with all three rooms; `realisations` replaces its number where given."""
    study = load_study(demo_file())
    twin = study.twin
    if realisations is not None:
        twin = type(twin)(**{**twin.model_dump(), "realisations": realisations})
    return study.model_copy(update={"rooms": ROOMS, "twin": twin})


def check_data(data_dir: Path, rooms: Sequence[str]) -> None:
    """Read the files of rooms.

    Raises:
        InputError: every fault of them, once.
    """
    faults: list[Fault] = []
    for room in rooms:
        with Gathered(faults):
            read_room(data_dir, room)
    # One file holds the access points of all rooms.
    refuse(dict.fromkeys(faults))


def ensure_rooms(store: StoreRef, data_dir: Path, study: Study | None = None) -> list[str]:
    """Bring three measured rooms and the realisations of their twins into a store.

    What is there already stays: each realisation is a job of its own, and a run that was killed
    goes on where it stopped. Twins that the demo traced are taken up as they are.

    Args:
        store: path or URL of the store.
        data_dir: folder that holds the data set of the rooms.
        study: how the twins are traced; that of `rooms_study` where not given.

    Returns:
        Content digests of the sites, twins first.

    Raises:
        InputError: data files missing or damaged, scenes with faults, or sites of another study
            under these names; found before anything is traced.
        TraceError, BackendError: the solver.
        StoreError: the storage refuses.
    """
    study = rooms_study() if study is None else study
    check_data(data_dir, [str(room.measured) for room in study.rooms])
    info = backend.prepare()
    versions = {"variant": info.variant, **info.versions}
    plans = [plan_twin(study, room, versions) for room in study.rooms]
    configs = []
    for plan in plans:
        with claimed(store, plan.site):
            configs.append(create_site(store, plan.site, plan.spec, provenance=versions))
    measured = [
        write_site(store, site.name, site.spec, site.block)
        for site in read_sites(data_dir, [real_site(room) for room in study.rooms])
    ]
    traced = []
    for index, (plan, config) in enumerate(zip(plans, configs, strict=True)):
        with claimed(store, plan.site):
            traced.append(_traced(study, index, plan, versions, store, config))
    return [*traced, *measured]


def _traced(
    study: Study,
    room: int,
    plan: TwinPlan,
    versions: dict[str, str],
    store: StoreRef,
    config: str,
) -> str:
    study_json, backend_key = canonical(study), tuple(sorted(versions.items()))

    def begun(realisation: int) -> Callable[[], Said]:
        return partial(
            trace_job, study_json, room, False, backend_key, str(store), realisation, config
        )

    return trace_pending(store, plan, begun)
