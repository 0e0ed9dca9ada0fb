"""Localization tasks, as sources give them and learners take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, refuse

Array = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
#: Fingerprints (float32, or uint8 for images), positions (float32) or classes (int32).
AnyArray = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class TaskBatch:
    """T tasks, padded to the largest support set.

    Attributes:
        support_inputs: (T, K, …) fingerprints of the labelled points.
        support_targets: (T, K, 2) positions in the learner's coordinates, or (T, K) classes.
        support_weight: (T, K) sums to one over a task; 0 on the padding.
        query_inputs: (T, Q, …).
        query_targets: (T, Q, 2) or (T, Q).
    """

    support_inputs: AnyArray
    support_targets: AnyArray
    support_weight: Float32
    query_inputs: AnyArray
    query_targets: AnyArray

    def arrays(self) -> tuple[AnyArray, AnyArray, Float32, AnyArray, AnyArray]:
        """The five arrays in the order of the attributes."""
        return (
            self.support_inputs,
            self.support_targets,
            self.support_weight,
            self.query_inputs,
            self.query_targets,
        )

    @property
    def tasks(self) -> int:
        """T."""
        return len(self.support_weight)


class TaskSource(Protocol):
    """One historical environment (MetaLoc's domain): a distribution of tasks."""

    name: str

    def sample(self, generator: np.random.Generator, tasks: int) -> TaskBatch:
        """Draw tasks; all batches of all sources of a learner have the same shapes."""

    def fingerprints(self, generator: np.random.Generator, count: int) -> Array:
        """(count, d) features of fingerprints of the environment, to be compared with another's."""


def concatenated(batches: Sequence[TaskBatch]) -> TaskBatch:
    """Tasks of several batches, one after the other.

    Raises:
        InputError: no batch, or batches whose tasks differ in size.
    """
    expected = "at least one"
    refuse([Fault("task batches", "", expected, "none")] if not batches else [])
    names = [field.name for field in fields(TaskBatch)]
    refuse(
        Fault(
            "task batches",
            name,
            f"tasks of one size {getattr(batches[0], name).shape[1:]}",
            str(getattr(batch, name).shape[1:]),
        )
        for batch in batches
        for name in names
        if getattr(batch, name).shape[1:] != getattr(batches[0], name).shape[1:]
    )
    return TaskBatch(*(np.concatenate([getattr(b, name) for b in batches]) for name in names))


def as_queries(batch: TaskBatch) -> TaskBatch:
    """The same tasks with the support set among the queries, for training without an inner loop.

    Padding is replaced by the task's labelled fingerprints, again and again, and the support set
    has even weights then.
    """
    padding = batch.support_weight == 0.0
    # Padding comes last.
    rows = np.arange(padding.shape[1]) % (~padding).sum(axis=1)[:, None]
    task = np.arange(batch.tasks)[:, None]
    inputs, targets = batch.support_inputs[task, rows], batch.support_targets[task, rows]
    return TaskBatch(
        inputs,
        targets,
        np.full(padding.shape, 1.0 / padding.shape[1], np.float32),
        np.concatenate([inputs, batch.query_inputs], axis=1),
        np.concatenate([targets, batch.query_targets], axis=1),
    )
