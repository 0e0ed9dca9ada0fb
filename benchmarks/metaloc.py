"""MetaLoc's figures and tables on our data, the claims they are to show, and speed.

    python -m benchmarks.metaloc [--json] [--quick] [--only fig8,table3,...] [--seeds 5]
                                 [--data-dir DIR] [--store DIR] [--torch-env DIR] [--work DIR]
                                 [--workers N]

Runs the experiments of `flows.metaloc` with the settings of ``studies/metaloc_*.yaml`` for five
seeds, then `benchmarks.metaloc_speed`. Sites are traced into the store, and real data brought
there, before anything is learned; what is there already stays. Each seed has a file of its own in
``--work``, so that a run that was killed goes on where it stopped (`benchmarks.metaloc_jobs`).
Writes ``benchmarks/results/metaloc.json`` with ``environment``, ``commands``, ``records`` (means of
seeds with 95 % t-intervals) and ``claims`` (`benchmarks.metaloc_claims`), and a page with a table a
figure beside it.

``--only``: experiments, named by their module or by the study of their records (fig8, fig9, fig10,
fig11, table3, rooms, corridors, theory, speed). Results of a part stay in the work folder; the
whole run after it takes up its seeds. ``--quick``: toy settings and sites, one seed, no rival
unless ``--torch-env`` is given, no real data unless ``--data-dir`` or ``TWIN_DATA_DIR`` names
them; its results stay in its own work folder, too.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import metaloc_speed
from benchmarks.metaloc_claims import claims
from benchmarks.metaloc_gather import Results, as_json, as_markdown, results
from benchmarks.metaloc_jobs import (
    STUDIES,
    Experiment,
    Job,
    code_digest,
    in_turns,
    kept,
    run_and_keep,
)
from benchmarks.metaloc_speed import Size, say
from flows.metaloc.data import missing_data
from flows.metaloc.results import Record
from flows.metaloc.sites import SiteRequest, ensure_site, plan_site
from flows.metaloc.study import MEASURED, ExperimentName, load_metaloc_study
from twin.atomic import write_text
from twin.config import data_dir
from twin.errors import Fault, Gathered, TwinError, refuse
from twin.store.content import json_digest
from twin.trace.engine import TraceSettings

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
NAMES = (*STUDIES, "speed")
_PACKAGES = ("tensorflow-cpu", "keras", "numpy", "scipy", "scikit-learn", "sionna-rt", "mitsuba")
_PLACES = ("--data-dir", "--store", "--torch-env", "--work")
# Jobs of one process; a fresh one frees what TensorFlow keeps of compiled graphs.
_TOGETHER = 4
_THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


@dataclass(frozen=True)
class Plan:
    """What a command asks for.

    Attributes:
        names: experiments to run.
        seeds: repetitions.
        quick: toy settings.
        work: folder of finished seeds.
        store: of traced sites and real data.
        data: folder of real data sets; None: there is none.
        torch_env: environment of the rival; None: no rival.
        workers: seeds at once.
        output: folder of the results.
        command: as it was given.
    """

    names: tuple[str, ...]
    seeds: int
    quick: bool
    work: Path
    store: Path
    data: Path | None
    torch_env: Path | None
    workers: int
    output: Path
    command: str


def experiment(name: ExperimentName, quick: bool) -> Experiment:
    """An experiment with the settings of its study, or with toy ones."""
    study = load_metaloc_study(ROOT / "studies" / f"metaloc_{name}.yaml")
    if not quick:
        return Experiment(name, study.settings, study.sites)
    toy = importlib.import_module(f"flows.metaloc.{name}").QUICK
    return Experiment(name, toy, toys(name, study.sites))


def toys(name: str, sites: Sequence[SiteRequest]) -> tuple[SiteRequest, ...]:
    """Sites with as few realisations as toy settings need, single reflections only.

    Of days the first site alone and three days: one is new, and MAML-DG needs two others.
    """
    trace = TraceSettings(max_depth=1, rays_per_round=20_000)
    if name == "layouts":
        return tuple(s.model_copy(update={"realisations": 2, "trace": trace}) for s in sites)
    # Four visits a day, the last day cut short.
    return tuple(s.model_copy(update={"realisations": 9, "trace": trace}) for s in sites[:1])


def prepare(plan: Plan, wanted: Sequence[Experiment]) -> dict[str, tuple[str, ...]]:
    """Bring into the store what experiments need; gives the digests of it by experiment."""
    digests: dict[str, tuple[str, ...]] = {}
    store = str(plan.store)
    for each in wanted:
        if each.sites:
            from twin.trace import backend

            info = backend.prepare()
            versions = {"variant": info.variant, **info.versions}
            found = []
            for site in [plan_site(request, versions) for request in each.sites]:
                say(f"tracing {site.site} into {store}, or taking it from there")
                found.append(ensure_site(store, site, {"command": plan.command, **versions}))
            digests[each.name] = tuple(found)
        elif each.name in MEASURED and plan.data is not None:
            say(f"bringing the data of {each.name} into {store}, or taking them from there")
            digests[each.name] = tuple(_measured(plan, each.name, plan.data))
    return digests


def _measured(plan: Plan, name: str, data: Path) -> list[str]:
    if name == "rooms":
        from flows.metaloc.room_store import ensure_rooms, rooms_study

        return ensure_rooms(str(plan.store), data, rooms_study(2) if plan.quick else None)
    from flows.metaloc.corridors import ensure_corridors

    return list(ensure_corridors(str(plan.store), data))


class Progress:
    """Says what is done, and about how long the rest takes."""

    def __init__(self, jobs: Sequence[Job], workers: int) -> None:
        """Jobs that are still to be done, so many at once."""
        self._left = [job.experiment.name for job in jobs]
        self._total = len(jobs)
        self._workers = workers
        self._seconds: dict[str, list[float]] = {}

    def done(self, job: Job, seconds: float) -> str:
        """One job more."""
        self._seconds.setdefault(job.experiment.name, []).append(seconds)
        self._left.remove(job.experiment.name)
        known = {name: sum(s) / len(s) for name, s in self._seconds.items()}
        rest = sum(known.get(name, 0.0) for name in self._left) / self._workers
        unknown = sorted({name for name in self._left if name not in known})
        more = f", and {', '.join(unknown)}" if unknown else ""
        number = self._total - len(self._left)
        return (
            f"[{number}/{self._total}] {job.experiment.name}, seed {job.seed}: {seconds:.0f} s; "
            f"about {rest / 60:.0f} min left{more}"
        )


def run_jobs(jobs: Sequence[Job], folder: Path, workers: int) -> None:
    """Run what has no file yet, so many jobs at once in processes of their own."""
    left = [job for job in in_turns(jobs) if kept(job, folder) is None]
    say(f"{len(jobs) - len(left)} of {len(jobs)} seeds were finished before")
    progress = Progress(left, workers)
    with single_threads():
        # `max_tasks_per_child` would renew processes, too, and stands still in Python 3.11.
        for start in range(0, len(left), workers * _TOGETHER):
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                some = left[start : start + workers * _TOGETHER]
                started = {pool.submit(run_and_keep, job, folder): job for job in some}
                try:
                    for future in as_completed(started):
                        say(progress.done(started[future], future.result()))
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise


@contextmanager
def single_threads() -> Iterator[None]:
    """One thread for each process that starts within: seeds run side by side instead.

    Sums over threads also differ in their last digits with the number of threads, so results do
    not depend on how many cores there are.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def finished(jobs: Sequence[Job], folder: Path) -> Iterator[Record]:
    """Records of all jobs that have a file."""
    for job in jobs:
        yield from kept(job, folder) or ()


def speed(plan: Plan) -> tuple[list[Record], dict[str, Any]]:
    """Records of speed and what was said of the machine: from their file, or measured now."""
    size = metaloc_speed.QUICK if plan.quick else Size()
    code = [code_digest(f"twin.learn.{name}") for name in ("metalearning", "networks")]
    key = {"size": asdict(size), "rival": plan.torch_env is not None, "code": code}
    path = plan.work / f"speed-{json_digest(key)[:12]}.json"
    if not path.is_file():
        found, about = metaloc_speed.measure(plan.torch_env, size)
        write_text(path, json.dumps({"about": about, "records": found}) + "\n")
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["records"], content["about"]


def measure(plan: Plan) -> Results:
    """Run what is asked for, and gather it."""
    everything = [experiment(name, plan.quick) for name in STUDIES if name in plan.names]
    digests = prepare(plan, everything)
    jobs = [
        Job(each, seed, digests.get(each.name, ()), str(plan.store))
        for each in everything
        for seed in range(plan.seeds)
        if each.name not in MEASURED or each.name in digests
    ]
    run_jobs(jobs, plan.work / "seeds", plan.workers)
    fast, about = speed(plan) if "speed" in plan.names else ([], {})
    records = list(finished(jobs, plan.work / "seeds"))
    return results(records, fast, claims(records, fast), environment(about), [plan.command])


def environment(about: dict[str, Any]) -> dict[str, Any]:
    """Versions and the machine."""
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        **{f"speed: {key.replace('_', ' ')}": value for key, value in about.items()},
    }


def read_plan(words: Sequence[str]) -> tuple[Plan, bool]:
    """What the command line asks for, and whether it wants JSON.

    Raises:
        InputError: no such experiment, or real data that are not there.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.metaloc",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print results as JSON, not a page")
    parser.add_argument("--quick", action="store_true", help="toy settings; results stay apart")
    parser.add_argument("--only", default="", help="experiments, by commas")
    parser.add_argument("--seeds", type=int, help="5, and 1 of quick runs")
    parser.add_argument("--data-dir", type=Path, help="folder of real data sets")
    parser.add_argument("--store", type=Path, help="a folder in the work folder without it")
    parser.add_argument("--torch-env", type=Path, help="made where there is none")
    parser.add_argument("--work", type=Path, help="folder of finished seeds")
    parser.add_argument("--workers", type=int, help="seeds at once; as many as cores without it")
    given = parser.parse_args(words)
    wanted = [word for word in given.only.split(",") if word]
    modules = {**{study: name for name, study in STUDIES.items()}, **{name: name for name in NAMES}}
    faults = [
        Fault("--only", "", f"some of {', '.join(modules)}", word)
        for word in wanted
        if word not in modules
    ]
    names = tuple(modules[word] for word in wanted if word in modules) if wanted else NAMES
    seeds = given.seeds if given.seeds is not None else (1 if given.quick else 5)
    faults += [
        Fault(option, "", "1 or more", str(count))
        for option, count in (("--seeds", seeds), ("--workers", given.workers))
        if count is not None and count < 1
    ]
    real = [name for name in STUDIES if name in MEASURED and name in names]
    data = None
    before = len(faults)
    with Gathered(faults):
        data = data_dir(given.data_dir)
    if data is None and real and not given.quick and len(faults) == before:
        faults.append(missing_data(real))
    refuse(faults)
    work = given.work or Path("out/metaloc_quick" if given.quick else "out/metaloc")
    whole = not (given.quick or wanted)
    plan = Plan(
        names=names,
        seeds=seeds,
        quick=given.quick,
        work=work,
        store=given.store or work / "store.zarr",
        data=data,
        torch_env=given.torch_env or (None if given.quick else work / "torch-env"),
        workers=given.workers or os.cpu_count() or 1,
        output=RESULTS if whole else work,
        command=" ".join(["python -m benchmarks.metaloc", *_without_places(words)]),
    )
    return plan, given.json


def _without_places(words: Sequence[str]) -> list[str]:
    """A command line with ``DIR`` for every folder: results are read on other machines."""
    shown: list[str] = []
    for word in words:
        option, equals, _ = word.partition("=")
        if option in _PLACES and equals:
            shown += [option, "DIR"]
        else:
            shown.append("DIR" if shown and shown[-1] in _PLACES else word)
    return shown


def told(program: Callable[[], None]) -> None:
    """Run a program; an error of ours is a message and an exit code, not a traceback."""
    try:
        program()
    except TwinError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def main() -> None:
    """Run, write the results, print them."""
    plan, wants_json = read_plan(sys.argv[1:])
    found = measure(plan)
    write_text(plan.output / "metaloc.json", as_json(found))
    write_text(plan.output / "metaloc.md", as_markdown(found))
    say(f"results are in {plan.output}")
    print(as_json(found) if wants_json else as_markdown(found), end="")


if __name__ == "__main__":
    told(main)
