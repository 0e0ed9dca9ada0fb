"""The flow of MetaLoc's studies: trace or import what an experiment needs, run its seeds, report.

Everything is a list of independent, idempotent jobs: one a traced realisation, one a seed of the
experiment. The store and the files of the seeds say what is done, so a run that was killed goes on
where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prefect import flow, task

from flows.jobs import JOB, ONE_AT_A_TIME
from flows.metaloc.code import code_digest
from flows.metaloc.corridors import ensure_corridors
from flows.metaloc.data import downloaded, missing_data
from flows.metaloc.experiments import experiment_records
from flows.metaloc.fitting import data_misfits, site_misfits
from flows.metaloc.results import Record, package_versions, seed_file, seed_records
from flows.metaloc.room_store import ensure_rooms
from flows.metaloc.sites import SitePlan, plan_site, trace_site_job
from flows.metaloc.study import (
    MEASURED,
    ExperimentName,
    MetaLocStudy,
    canonical,
    load_metaloc_study,
)
from flows.request import Request, read_request, scene_faults, sole_run, store_in
from flows.screen import Progress, Stage, ended_by_interrupt, say
from flows.server import connected, start
from flows.tracing import Said, trace_pending
from twin import atomic
from twin.config import data_dir, validate
from twin.errors import Fault, Gathered, refuse
from twin.store.writer import claimed, create_site
from twin.trace import backend

_RECORDS = "records.json"


def read_metaloc_request(
    study_file: Path, given_data: Path | None, out: Path | None, store: str | None = None
) -> Request[MetaLocStudy]:
    """`flows.request.read_request` of one of MetaLoc's studies.

    Raises:
        InputError: every fault of study, scenes, data folder and output.
    """

    def faults_of(study: MetaLocStudy, folder: Path | None) -> list[Fault]:
        return _faults_of(study, folder, str(study_file))

    return read_request(
        load_metaloc_study, _folder_of, faults_of, study_file, given_data, out, store
    )


def _folder_of(study: MetaLocStudy | None, given: Path | None) -> Path | None:
    """The data folder that was named, else the downloads where an experiment needs them."""
    folder = data_dir(given)
    if folder is not None or study is None or study.experiment not in MEASURED:
        return folder
    folder = downloaded(study.experiment)
    refuse([missing_data([study.experiment])] if folder is None else [])
    return folder


def _faults_of(study: MetaLocStudy, folder: Path | None, where: str) -> list[Fault]:
    faults: list[Fault] = []
    plans: dict[int, SitePlan] = {}
    for index, site in enumerate(study.sites):
        of_scene: list[Fault] = []
        with Gathered(of_scene):
            plans[index] = plan_site(site, {})
        faults += scene_faults(of_scene, where, f"sites.{index}.scene")
    return [*faults, *site_misfits(study, plans, where), *data_misfits(study, folder, where)]


def run(request: Request[MetaLocStudy], command: str) -> Path:
    """Run a study with a server of its own that ends with it; gives the report's path.

    Raises:
        InputError: data files with faults, sites of another study in the store.
        TwinError: a job failed for good; what is done stays done.
    """
    out = request.out.resolve()
    home = out / ".prefect"
    with ended_by_interrupt(), sole_run(out), start(home) as server:
        content = json.loads(canonical(request.study))
        folder = None if request.folder is None else str(request.folder)
        with connected(server.wait(), home):
            return Path(metaloc(content, str(out), folder, command, request.store))


@task(name="trace realisation", **JOB)
def trace_realisation(
    request_json: str,
    versions: tuple[tuple[str, str], ...],
    store: str,
    realisation: int,
    config_digest: str,
) -> dict[str, Any]:
    """Trace one realisation into the store; see `flows.metaloc.sites.trace_site_job`."""
    return trace_site_job(request_json, versions, store, realisation, config_digest)


@task(name="bring in measurements", **JOB)
def bring_measurements(experiment: ExperimentName, store: str, folder: str) -> list[str]:
    """Import what an experiment on real data needs; gives the digests of its sites."""
    ensure = ensure_rooms if experiment == "rooms" else ensure_corridors
    return ensure(store, Path(folder))


@task(name="run seed", **JOB)
def run_seed(
    study: dict[str, Any], seed: int, store: str, data: list[str], out: str
) -> list[Record]:
    """Records of one seed of the experiment, kept in a file of its own."""
    asked = validate(study, MetaLocStudy, where="study")
    scenes = [site.scene for site in asked.sites]
    key = {
        "settings": asked.settings.model_dump(mode="json"),
        "sites": scenes,
        "data": data,
        "code": code_digest(f"flows.metaloc.{asked.experiment}"),
    }
    path = seed_file(Path(out) / "seeds", asked.experiment, key, seed)
    return seed_records(
        path,
        lambda: experiment_records(asked.experiment, asked.settings, scenes, seed, store),
    )


@flow(name="metaloc", task_runner=ONE_AT_A_TIME, persist_result=False)
def metaloc(
    study: dict[str, Any],
    out: str,
    data_dir: str | None = None,
    command: str = "",
    store: str | None = None,
) -> str:
    """Trace or import, run the seeds, report.

    Args:
        study: content of a study file.
        out: folder of the results.
        data_dir: folder of real data sets, for the experiments on them.
        command: what the report says made it.
        store: path or URL of the store; a folder in `out` where not given.

    Returns:
        Path of the report.
    """
    asked = validate(study, MetaLocStudy, where="study")
    folder = Path(out)
    place = store_in(folder, store)
    seconds: dict[str, float] = {}
    data: list[str] = []
    environment = package_versions()
    if asked.sites:
        with Stage("Tracing the sites", seconds):
            info = backend.prepare()
            say(f"Ray tracing on {info.variant} ({', '.join(info.devices)}): {info.reason}")
            tracer = {"variant": info.variant, **info.versions}
            environment |= tracer
            plans = [plan_site(site, tracer) for site in asked.sites]
            data = _trace(plans, place, tracer, command)
    elif asked.experiment in MEASURED:
        with Stage("Bringing in the measurements", seconds):
            say(f"Real data: {data_dir}")
            data = bring_measurements.submit(asked.experiment, place, str(data_dir)).result()
    with Stage(f"Running {asked.experiment}", seconds):
        progress = Progress("seeds", asked.seeds)
        futures = [run_seed.submit(study, seed, place, data, out) for seed in range(asked.seeds)]
        records = []
        for future in futures:
            records += future.result()
            progress.advance()
    from flows.metaloc.report import write_report

    atomic.write_text(folder / _RECORDS, json.dumps(records, indent=1) + "\n")
    return str(write_report(records, folder, asked.name, command, environment))


def _trace(
    plans: Sequence[SitePlan], store: str, versions: dict[str, str], command: str
) -> list[str]:
    """Digests of the sites, whole and published."""
    provenance = {"command": command, **versions}
    with ExitStack() as claims:
        for plan in plans:
            claims.enter_context(claimed(store, plan.site))
        # All sites before any job: a store of another study is refused before work starts.
        configs = [create_site(store, p.site, p.spec, provenance=provenance) for p in plans]
        return [
            _trace_site(plan, store, versions, config)
            for plan, config in zip(plans, configs, strict=True)
        ]


def _trace_site(plan: SitePlan, store: str, versions: dict[str, str], config: str) -> str:
    request, backend_key = plan.request.model_dump_json(), tuple(sorted(versions.items()))

    def begun(realisation: int) -> Callable[[], Said]:
        return trace_realisation.submit(request, backend_key, store, realisation, config).result

    return trace_pending(store, plan, begun)
