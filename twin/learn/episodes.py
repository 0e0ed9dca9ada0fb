"""Episodes: localization tasks drawn from a twin's environments.

A task is one environment, k labelled points of it (the support set) and further fingerprints of
the same environment (the query set), prepared exactly as a real place will be: medians over the
snapshots at the labelled points, single snapshots as queries, alignment fitted on what the task
may see.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from twin.align import moments
from twin.align.field import TwinField
from twin.errors import Fault, InputError, refuse
from twin.learn.features import (
    Array,
    Feature,
    Scaler,
    entry_groups,
    fingerprints,
    point_fingerprints,
)
from twin.learn.tasks import TaskBatch
from twin.store.reader import Environment


class TwinTasks:
    """The twin's environments as one source of tasks.

    The environments of a site share their points, so a task may take each access point from an
    environment of its own: with E environments and A access points that gives E^A combinations of
    access-point states (position, pattern, bias, clutter around it) instead of E, and keeps a
    learner from remembering single environments.

    Attributes:
        position: (p, 2) points [m].
        field: the twin's mean fingerprint and its uncertainty.
        scaler: fitted on `field`.
        groups: slices of entries that share a unit.
    """

    def __init__(
        self,
        environments: Sequence[Environment],
        feature: Feature,
        alignment: moments.AlignmentKind,
    ) -> None:
        """Gather the environments of one site.

        Raises:
            InputError: fewer than two environments, environments with different points, access
                points or numbers of snapshots, or an access point heard in none of them.
        """
        refuse(_faults(environments, feature))
        first = environments[0]
        self.position: Array = first.position[:, :2].astype(np.float64)
        self.groups = entry_groups(feature, len(first.ap))
        self._access_points = len(first.ap)
        self._alignment = alignment
        self._medians = np.stack([point_fingerprints(e, feature) for e in environments])
        self._snapshots = np.stack([fingerprints(e, feature) for e in environments])
        self.field = TwinField.of(self.position, self._medians, self.groups)
        self.scaler = Scaler.of(self.position, self.field.mean, self.groups)

    def sample(
        self,
        generator: np.random.Generator,
        tasks: int,
        supports: Sequence[int],
        queries: int,
    ) -> TaskBatch:
        """Draw a batch of tasks.

        Args:
            generator: source of randomness.
            tasks: T.
            supports: numbers of labelled points to choose from; the largest sets the padding.
            queries: Q, query fingerprints a task.

        Raises:
            InputError: fewer points than the largest task takes.
        """
        largest = max(supports)
        if largest + queries > len(self.position):
            expected = f"at least {largest + queries} (support and query set of one task)"
            raise InputError(
                [Fault("twin environments", "points", expected, str(len(self.position)))]
            )
        inputs = self.scaler.inputs
        batch = TaskBatch(
            np.zeros((tasks, largest, inputs), np.float32),
            np.zeros((tasks, largest, 2), np.float32),
            np.zeros((tasks, largest), np.float32),
            np.empty((tasks, queries, inputs), np.float32),
            np.empty((tasks, queries, 2), np.float32),
        )
        for task in range(tasks):
            k = int(generator.choice(supports))
            chosen = generator.choice(len(self.position), size=k + queries, replace=False)
            labelled, asked = chosen[:k], chosen[k:]
            heard, single = self._hear(generator, labelled, asked)
            aligned = moments.fit(
                self._alignment, self.field, self.groups, (heard, self.field.mean[labelled]), single
            )
            batch.support_inputs[task, :k] = self.scaler.encode(aligned.apply(heard))
            batch.support_targets[task, :k] = self.scaler.to_unit(self.position[labelled])
            batch.support_weight[task, :k] = 1.0 / k
            batch.query_inputs[task] = self.scaler.encode(aligned.apply(single))
            batch.query_targets[task] = self.scaler.to_unit(self.position[asked])
        return batch

    def _hear(
        self,
        generator: np.random.Generator,
        labelled: npt.NDArray[np.intp],
        asked: npt.NDArray[np.intp],
    ) -> tuple[Array, Array]:
        """(k, d) medians at the labelled points and (q, d) single snapshots at the asked ones."""
        count, _, snapshots, entries = self._snapshots.shape
        source = np.tile(
            generator.integers(count, size=self._access_points), entries // self._access_points
        )
        entry = np.arange(entries)
        snapshot = generator.integers(snapshots, size=len(asked))
        return (
            self._medians[source[None, :], labelled[:, None], entry[None, :]],
            self._snapshots[source[None, :], asked[:, None], snapshot[:, None], entry[None, :]],
        )


def _faults(environments: Sequence[Environment], feature: Feature) -> list[Fault]:
    if len(environments) < 2:
        return [Fault("twin environments", "", "at least 2", str(len(environments)))]
    first = environments[0]
    faults = []
    for environment in environments:
        where = f"site {environment.site}, realisation {environment.realisation}"
        missing = [part for part in feature.split("+") if part not in environment.features]
        if missing:
            faults.append(Fault(where, "features", feature, f"no {' and no '.join(missing)}"))
        if environment.ap != first.ap:
            faults.append(Fault(where, "ap", str(first.ap), str(environment.ap)))
        if not np.array_equal(environment.position[:, :2], first.position[:, :2]):
            faults.append(
                Fault(where, "position", "the points of the first environment", "other points")
            )
    if not faults:
        faults = _snapshot_faults(environments, feature)
    return faults


def _snapshot_faults(environments: Sequence[Environment], feature: Feature) -> list[Fault]:
    first = environments[0]
    faults = []
    for part in feature.split("+"):
        expected = first.features[part].shape[1]
        faults += [
            Fault(
                f"site {e.site}, realisation {e.realisation}",
                f"snapshots of {part}",
                str(expected),
                str(e.features[part].shape[1]),
            )
            for e in environments
            if e.features[part].shape[1] != expected
        ]
        heard = np.any(
            [np.isfinite(e.features[part]).any(axis=(0, 1)) for e in environments], axis=0
        )
        faults += [
            Fault(f"site {first.site}", f"{part} of {name}", "heard at least once", "never heard")
            for name, ever in zip(first.ap, heard, strict=True)
            if not ever
        ]
    return faults
