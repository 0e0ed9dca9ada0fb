"""The experiments of `benchmarks.metaloc` as jobs: one a seed, each with a file of its own.

A file's name changes with the settings, the data's digests, the versions of the packages that
compute, and the experiment's code. So a run that was killed goes on where it stopped, and no number
of other code is taken for one of this.
"""

from __future__ import annotations

import ast
import importlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from flows.metaloc.results import Record, seed_file
from flows.metaloc.sites import SiteRequest
from twin.atomic import write_text
from twin.config import StrictModel
from twin.store.content import json_digest

ROOT = Path(__file__).parent.parent
#: Experiments, and what their records call the study, in the paper's order.
STUDIES = {
    "convergence": "fig8",
    "reference_points": "fig9",
    "similarity": "fig10",
    "layouts": "fig11",
    "days": "table3",
    "rooms": "rooms",
    "corridors": "corridors",
    "theory": "theory",
}
#: Those that read a store.
STORED = ("layouts", "days", "rooms", "corridors")
# What decides an experiment's numbers; scenes and the ray tracer do by the digests of the data.
_OWN = ("flows.metaloc", "twin.align", "twin.evaluate", "twin.learn", "twin.seeds", "twin.trace")
_APART = ("flows.metaloc.sites", "flows.metaloc.room_store", "flows.metaloc.drawing")


@dataclass(frozen=True)
class Experiment:
    """An experiment with its settings.

    Attributes:
        name: one of `STUDIES`.
        settings: of it.
        sites: ray-traced sites that it needs.
    """

    name: str
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
    runner = importlib.import_module(f"flows.metaloc.{job.experiment.name}").run_seed
    settings, seed = job.experiment.settings, job.seed
    if job.experiment.name == "days":
        scenes = [request.scene for request in job.experiment.sites]
        return [r for scene in scenes for r in runner(settings, seed, job.store, scene)]
    found: list[Record] = (
        runner(settings, seed, job.store)
        if job.experiment.name in STORED
        else runner(settings, seed)
    )
    return found


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


@lru_cache
def code_digest(module: str) -> str:
    """Digest of a module and of all it imports of `_OWN`, comments and docstrings apart."""
    found: dict[str, str] = {}
    wanted = [module]
    while wanted:
        name = wanted.pop()
        path = _source(name)
        if name in found or path is None:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        wanted += _imported(tree)
        found[name] = ast.dump(_without_docstrings(tree))
    return json_digest(found)[:12]


def _source(name: str) -> Path | None:
    """The file of a module or package that counts; None: it does not, or there is none."""
    if not name.startswith(_OWN) or name in _APART:
        return None
    base = ROOT / name.replace(".", "/")
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def _imported(tree: ast.AST) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        elif isinstance(node, ast.Import):
            names += [each.name for each in node.names]
    return names


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body: Sequence[Any] = getattr(node, "body", ())
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body:
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = [*body[1:]]
    return tree
