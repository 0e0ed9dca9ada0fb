"""The experiments of `benchmarks.metaloc` as jobs: one a seed, each with a file of its own.

A file's name changes with the settings, the data's digests, the versions of the packages that
compute, and the experiment's code. So a run that was killed goes on where it stopped, and no number
of other code is taken for one of this.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flows.metaloc.code import code_digest
from flows.metaloc.experiments import experiment_records
from flows.metaloc.results import Record, seed_file
from flows.metaloc.sites import SiteRequest
from flows.metaloc.study import ExperimentName
from twin.atomic import write_text
from twin.config import StrictModel

ROOT = Path(__file__).parent.parent
#: Experiments, and what their records call the study, in the paper's order.
STUDIES: dict[ExperimentName, str] = {
    "convergence": "fig8",
    "reference_points": "fig9",
    "similarity": "fig10",
    "layouts": "fig11",
    "days": "table3",
    "rooms": "rooms",
    "corridors": "corridors",
    "theory": "theory",
}


@dataclass(frozen=True)
class Experiment:
    """An experiment with its settings.

    Attributes:
        name: one of `STUDIES`.
        settings: of it.
        sites: ray-traced sites that it needs.
    """

    name: ExperimentName
    settings: StrictModel
    sites: tuple[SiteRequest, ...] = ()


@dataclass(frozen=True)
class Job:
    """One seed of an experiment.

    Attributes:
        experiment: which.
        seed: of it.
        data: digests of the data it reads.
        store: path of the store, for those that read one.
    """

    experiment: Experiment
    seed: int
    data: tuple[str, ...]
    store: str

    def file(self, folder: Path) -> Path:
        """Where its records are kept."""
        key = {
            "settings": self.experiment.settings.model_dump(mode="json"),
            "data": list(self.data),
            "code": code_digest(f"flows.metaloc.{self.experiment.name}"),
        }
        return seed_file(folder, self.experiment.name, key, self.seed)


def in_turns(jobs: Iterable[Job]) -> list[Job]:
    """Seed 0 of all experiments first, then seed 1: a run that ends early has all figures."""
    return sorted(jobs, key=lambda job: job.seed)


def run(job: Job) -> list[Record]:
    """The records of a seed."""
    asked = job.experiment
    scenes = [request.scene for request in asked.sites]
    return experiment_records(asked.name, asked.settings, scenes, job.seed, job.store)


def run_and_keep(job: Job, folder: Path) -> float:
    """Run a seed and write its file; gives the seconds it took."""
    begun = time.monotonic()
    records = run(job)
    seconds = time.monotonic() - begun
    content = {"seconds": round(seconds, 1), "records": records}
    write_text(job.file(folder), json.dumps(content) + "\n")
    return seconds


def kept(job: Job, folder: Path) -> list[Record] | None:
    """Records of a finished seed; None: it is not finished."""
    path = job.file(folder)
    if not path.is_file():
        return None
    records: list[Record] = json.loads(path.read_text(encoding="utf-8"))["records"]
    return records
