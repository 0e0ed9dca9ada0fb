"""How Prefect runs our jobs: retries, no caches of its own, one at a time on a machine."""

from __future__ import annotations

from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from flows.screen import say
from twin.errors import InputError


def _worth_a_retry(job: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Input that was refused once will be refused again."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, InputError):
        return False
    say(f"  {job.name} failed, trying once more: {error}")
    return True


#: Options of every task.
JOB: dict[str, Any] = {
    "retries": 1,
    "retry_delay_seconds": 1,
    "retry_condition_fn": _worth_a_retry,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}

#: Ray tracing and training use all cores, and two solves at once in one process crash.
ONE_AT_A_TIME: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=1)
