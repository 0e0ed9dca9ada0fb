"""Does Table III of MetaLoc change with ten times the outer steps?

    python -m benchmarks.metaloc_days_long [--json] [--seeds N] [--store DIR] [--work DIR]
                                           [--workers N]

Runs ``studies/metaloc_days.yaml`` and ``studies/metaloc_days_long.yaml``, which differ in the
number of outer steps (and in how often the training curve is taken), on the same folds: the same
days held out, tasks of the same streams, the same initial weights. Writes
``benchmarks/results/metaloc_days_long.json`` and ``.md``: errors of the long run, whether more
steps help, by trained method and site, and the orders of Table III again.

Finished seeds are shared with `benchmarks.metaloc` where the folders are the same; without them it
takes two to three hours on two cores.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.metaloc import (
    RESULTS,
    ROOT,
    Plan,
    environment,
    finished,
    prepare,
    run_jobs,
    told,
)
from benchmarks.metaloc_claims import table3
from benchmarks.metaloc_gather import as_json, as_markdown, results
from benchmarks.metaloc_jobs import Experiment, Job
from benchmarks.metaloc_speed import say
from benchmarks.metaloc_verdicts import Claim, Side, below, series
from flows.metaloc.drawing import METHODS
from flows.metaloc.paper import TABLE_III
from flows.metaloc.study import load_metaloc_study
from flows.metaloc.summary import Records
from twin.atomic import write_text

TRAINED = ("maml", "maml_ts", "maml_dg", "tl", "confi")
_STUDY = "table3"
_NAME = "metaloc_days_long"


def more_steps(few: Records, many: Records) -> Iterator[Claim]:
    """For each site and trained method: do more outer steps lessen the error?"""
    for site in TABLE_III:
        for method in TRAINED:
            label = METHODS[method].label
            only = {"site": site, "method": method}
            short, long = (
                Side(name, series(records, _STUDY, "mean_error_m", **only))
                for name, records in (("short run", few), ("long run", many))
            )
            claim = f"{site}: {label} errs less after ten times the outer steps"
            yield below(_STUDY, claim, "not compared", long, short)


def read_plan(words: list[str] | None = None) -> tuple[Plan, bool]:
    """What the command line asks for, and whether it wants JSON."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{_NAME}",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print results as JSON, not a page")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--store", type=Path, help="a folder in the work folder without it")
    parser.add_argument("--work", type=Path, default=Path("out/metaloc"), help="finished seeds")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="seeds at once")
    given = parser.parse_args(words)
    for option in ("seeds", "workers"):
        if getattr(given, option) < 1:
            parser.error(f"--{option}: expected 1 or more, found {getattr(given, option)}")
    plan = Plan(
        names=("days",),
        seeds=given.seeds,
        quick=False,
        work=given.work,
        store=given.store or given.work / "store.zarr",
        data=None,
        torch_env=None,
        workers=given.workers,
        output=RESULTS,
        command=f"python -m benchmarks.{_NAME} --seeds {given.seeds}",
    )
    return plan, given.json


def main() -> None:
    """Run, write the results, print them."""
    plan, wants_json = read_plan()
    studies = [load_metaloc_study(ROOT / f"studies/{n}.yaml") for n in ("metaloc_days", _NAME)]
    experiments = [Experiment("days", study.settings, study.sites) for study in studies]
    digests = prepare(plan, experiments[:1])["days"]
    few, many = (
        [Job(each, seed, digests, str(plan.store)) for seed in range(plan.seeds)]
        for each in experiments
    )
    run_jobs([*few, *many], plan.work / "seeds", plan.workers)
    short, long = (list(finished(jobs, plan.work / "seeds")) for jobs in (few, many))
    claims = [*more_steps(short, long), *table3(long)]
    found = results(long, (), claims, environment({}), [plan.command])
    write_text(plan.output / f"{_NAME}.json", as_json(found))
    write_text(plan.output / f"{_NAME}.md", as_markdown(found, f"benchmarks.{_NAME}"))
    say(f"results are in {plan.output}")
    print(as_json(found) if wants_json else as_markdown(found, f"benchmarks.{_NAME}"), end="")


if __name__ == "__main__":
    told(main)
