"""What all flows that trace a site do: the pending realisations, and a job's plan once more."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import _lru_cache_wrapper
from typing import Protocol, TypeVar

from pydantic import JsonValue

from flows.screen import Progress, say
from twin.errors import StoreError
from twin.store.location import StoreRef
from twin.store.spec import SiteSpec
from twin.store.writer import note_traced, pending_jobs, publish

Said = dict[str, JsonValue]


class _Plan(Protocol):
    @property
    def site(self) -> str: ...
    @property
    def spec(self) -> SiteSpec: ...


Plan = TypeVar("Plan", bound=_Plan)


def trace_pending(store: StoreRef, plan: _Plan, start: Callable[[int], Callable[[], Said]]) -> str:
    """Trace what a site lacks, and publish it.

    Args:
        store: path or URL of a store with the site laid out.
        plan: of the site.
        start: begins the job of a realisation; what it gives ends with the job, and gives what
            tracer and receiver say of the block. All jobs are begun before the first is waited for.

    Returns:
        Digest of the site's content.

    Raises:
        TwinError: a job failed; what is done stays done.
    """
    jobs = pending_jobs(store, plan.site)
    realisations = len(plan.spec.realisations)
    done = realisations - len(jobs)
    if done:
        say(f"  {plan.site}: {done} of {realisations} realisations are there already")
    progress = Progress(plan.site, len(jobs), plan.spec.points)
    for index, ended in enumerate([start(job.realisation) for job in jobs]):
        said = ended()
        if index == 0:
            note_traced(store, plan.site, said)
        progress.advance()
    return publish(store, plan.site)


def laid_out(known: _lru_cache_wrapper[Plan], config_digest: str, *arguments: Hashable) -> Plan:
    """The plan that a site was laid out for.

    Args:
        known: makes plans, and remembers them; scenes and tables are files, so what it remembers
            may be of older ones.
        config_digest: of the site's spec, as `create_site` gave it.
        arguments: of `known`.

    Raises:
        StoreError: the plan is another now.
    """
    plan = known(*arguments)
    if plan.spec.digest != config_digest:
        known.cache_clear()
        plan = known(*arguments)
    if plan.spec.digest != config_digest:
        raise StoreError(
            f"{plan.site}: scene, perturbation table or study changed after the site was laid out; "
            "expected them unchanged during a run. Start again with another store."
        )
    return plan
