"""The main flow: two rooms, their twins, learners, and how wrong they are in the real rooms.

Everything is a list of independent, idempotent jobs: one a traced realisation, one a fitted
learner, one a room and feature evaluated. The store and the model files say what is done, so a
run that was killed goes on where it stopped. Prefect places the jobs; ray tracing and training
take all cores of a machine, so here one job runs at a time.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prefect import flow, task

from flows import generation, learning
from flows.generation import TwinPlan
from flows.jobs import JOB, ONE_AT_A_TIME
from flows.preparation import Prepared, prepare
from flows.reality import Reality, reality_in
from flows.reporting import RoomResult, write_outputs
from flows.request import sole_run
from flows.screen import Progress, Stage, ended_by_interrupt, say
from flows.server import connected, start
from flows.study import Study, canonical
from flows.tracing import Said, trace_pending
from twin.config import validate
from twin.evaluate.records import Errors
from twin.learn.features import Feature
from twin.learn.presets import TRAINED
from twin.measured.wifi_rtt_rooms import import_room
from twin.store.reader import environments
from twin.store.writer import claimed, create_site


@task(name="trace realisation", **JOB)
def trace_realisation(
    study_json: str,
    room: int,
    held_out: bool,
    versions: tuple[tuple[str, str], ...],
    store: str,
    realisation: int,
    config_digest: str,
) -> dict[str, Any]:
    """Trace one realisation into the store; see `flows.generation.trace_job`."""
    return generation.trace_job(
        study_json, room, held_out, versions, store, realisation, config_digest
    )


@task(name="import measurements", **JOB)
def import_measurements(data_dir: str, room: str, store: str) -> str:
    """Import one measured room into the store; gives the site's content digest."""
    return import_room(Path(data_dir), room, store)


@task(name="fit learner", **JOB)
def fit_learner(training: learning.Training, store: str, models: str) -> str:
    """Fit one learner; gives the file it was saved to."""
    return str(learning.train(training, store, Path(models)))


@task(name="evaluate", **JOB)
def evaluate_feature(
    fitted: list[tuple[learning.Training, str]],
    store: str,
    real_site: str,
    room: str,
    feature: Feature,
    study_json: str,
) -> list[Errors]:
    """Errors of all methods of one room and feature."""
    real = environments(store, real_site)[0]
    protocol = generation.validate_study(study_json).protocol
    paths = {training: Path(path) for training, path in fitted}
    return learning.evaluate(paths, real, room, feature, protocol)


def run(
    study: Study,
    reality: Reality,
    out: Path,
    command: str,
    store: str | None = None,
    *,
    replace: bool = False,
) -> Path:
    """Run a study with a server of its own that ends with it; gives the report's path.

    Raises:
        InputError: see `prepare`.
        TwinError: a job failed for good; what is done stays done.
    """
    home = out / ".prefect"
    with ended_by_interrupt(), sole_run(out), start(home) as server:
        # While the server comes up. The flow prepares again: it may run elsewhere.
        info = prepare(study, reality, out, store).backend
        say(f"Ray tracing on {info.variant} ({', '.join(info.devices)}): {info.reason}")
        folder = None if reality.folder is None else str(reality.folder)
        with connected(server.wait(), home):
            content = json.loads(canonical(study))
            return Path(sim_to_real(content, str(out), folder, command, store, replace))


@flow(name="sim-to-real", task_runner=ONE_AT_A_TIME, persist_result=False)
def sim_to_real(
    study: dict[str, Any],
    out: str,
    data_dir: str | None = None,
    command: str = "",
    store: str | None = None,
    replace: bool = False,
) -> str:
    """Generate, publish, import, fit, evaluate, report.

    Args:
        study: content of a study file.
        out: folder of the results.
        data_dir: folder of real data sets; None: reality is simulated.
        command: what the report says made it.
        store: path or URL of the store; a folder in `out` where not given.
        replace: sites that were made for another study give way; a versioned store keeps them in
            its history.

    Returns:
        Path of the report.
    """
    reality = reality_in(None if data_dir is None else Path(data_dir))
    prepared = prepare(validate(study, Study, where="study"), reality, Path(out), store)
    prepared = dataclasses.replace(prepared, replace=replace)
    seconds: dict[str, float] = {}
    place = prepared.store
    with Stage("Tracing the twins", seconds):
        digests = _generate(prepared, prepared.twins, place, command, held_out=False)
    with Stage("Bringing in reality", seconds):
        real_sites = _bring_reality(prepared, place, command)
    with Stage("Fitting the learners", seconds):
        fitted = _fit(prepared, place, digests)
    with Stage("Locating in the real rooms", seconds):
        errors = _evaluate(prepared, place, real_sites, fitted)
    say("Writing the report")
    results = [
        RoomResult(plan, real_site, tuple(errors[index]))
        for index, (plan, real_site) in enumerate(zip(prepared.twins, real_sites, strict=True))
    ]
    return str(write_outputs(prepared, results, place, seconds, command))


def _generate(
    prepared: Prepared, plans: Sequence[TwinPlan], store: str, command: str, *, held_out: bool
) -> list[str]:
    provenance = {"command": command, **prepared.versions}
    with ExitStack() as claims:
        for plan in plans:
            claims.enter_context(claimed(store, plan.site))
        # All sites before any job: a store of another study is refused before work starts.
        config_digests = [
            create_site(
                store,
                plan.site,
                plan.spec,
                provenance=provenance,
                overwrite=prepared.replace,
            )
            for plan in plans
        ]
        return [
            _trace_site(prepared, room, plan, store, digest, held_out=held_out)
            for room, (plan, digest) in enumerate(zip(plans, config_digests, strict=True))
        ]


def _trace_site(
    prepared: Prepared,
    room: int,
    plan: TwinPlan,
    store: str,
    config_digest: str,
    *,
    held_out: bool,
) -> str:
    study_json = canonical(prepared.study)
    versions = tuple(sorted(prepared.versions.items()))

    def begun(realisation: int) -> Callable[[], Said]:
        return trace_realisation.submit(
            study_json, room, held_out, versions, store, realisation, config_digest
        ).result

    return trace_pending(store, plan, begun)


def _bring_reality(prepared: Prepared, store: str, command: str) -> list[str]:
    if not prepared.reality.measured:
        _generate(prepared, prepared.held_out, store, command, held_out=True)
        return [plan.site for plan in prepared.held_out]
    sites = []
    for room in prepared.study.rooms:
        import_measurements.submit(str(prepared.reality.folder), str(room.measured), store).result()
        sites.append(f"wifi_rtt_{room.measured}")
    return sites


def _fit(
    prepared: Prepared, store: str, digests: Sequence[str]
) -> dict[tuple[int, Feature], list[tuple[learning.Training, str]]]:
    study = prepared.study
    steps = study.learner.outer_steps if study.learner else None
    models = prepared.out / "models"
    wanted = [
        (room, learning.Training(plan.site, digest, feature, method, study.seed, seed, steps))
        for room, (plan, digest) in enumerate(zip(prepared.twins, digests, strict=True))
        for feature in study.features
        for method in TRAINED
        for seed in range(study.learner_seeds)
    ]
    learning.load()
    progress = Progress("learners", len(wanted))
    futures = [fit_learner.submit(training, store, str(models)) for _, training in wanted]
    fitted: dict[tuple[int, Feature], list[tuple[learning.Training, str]]] = {}
    for (room, training), future in zip(wanted, futures, strict=True):
        fitted.setdefault((room, training.feature), []).append((training, future.result()))
        progress.advance()
    return fitted


def _evaluate(
    prepared: Prepared,
    store: str,
    real_sites: Sequence[str],
    fitted: dict[tuple[int, Feature], list[tuple[learning.Training, str]]],
) -> dict[int, list[Errors]]:
    study_json = canonical(prepared.study)
    futures = [
        (
            room,
            evaluate_feature.submit(
                learners,
                store,
                real_sites[room],
                prepared.twins[room].site,
                feature,
                study_json,
            ),
        )
        for (room, feature), learners in fitted.items()
    ]
    progress = Progress("rooms and features", len(futures))
    errors: dict[int, list[Errors]] = {}
    for room, future in futures:
        errors.setdefault(room, []).extend(future.result())
        progress.advance()
    return errors
