"""Historical environments whose tasks are regressions of position (MetaLoc, section V-A)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, refuse
from twin.learn.neighbour_fingerprints import Array, Float32, ReferenceMap
from twin.learn.tasks import TaskBatch


@dataclass(frozen=True, eq=False)
class Place:
    """A place that was surveyed: its reference points and further labelled fingerprints.

    Args:
        references: what fingerprints are compared with.
        fingerprints: (p, a) levels [dBm]; NaN = not heard.
        position: (p, 2) where they were taken [m].

    Raises:
        InputError: numbers of fingerprints and positions, or of access points, that do not fit.
    """

    references: ReferenceMap
    fingerprints: Array
    position: Array

    def __post_init__(self) -> None:
        levels, position = np.shape(self.fingerprints), np.shape(self.position)
        access_points = self.references.fingerprints.shape[1]
        faults = []
        if len(levels) != 2 or levels[1] != access_points:
            expected = f"(p, {access_points}), the access points of the reference points"
            faults.append(Fault("place", "fingerprints", expected, str(levels)))
        if position != (levels[0] if levels else 0, 2):
            faults.append(
                Fault("place", "position", "(p, 2), as many as fingerprints", str(position))
            )
        elif not np.isfinite(self.position).all():
            faults.append(Fault("place", "position", "finite coordinates", "others"))
        refuse(faults)

    def inputs(self, neighbours: int) -> Float32:
        """(p, 3K) what a learner sees of the fingerprints: `ReferenceMap.inputs`."""
        return self.references.inputs(self.fingerprints, neighbours)

    def targets(self) -> Float32:
        """(p, 2) positions in the learner's coordinates."""
        return self.references.to_unit(self.position)


def one_task(
    support: tuple[Float32, Float32], query: tuple[Float32, Float32], size: int | None = None
) -> TaskBatch:
    """A batch of one task from (S, i) and (Q, i) inputs, each with (…, 2) targets.

    Args:
        support: the labelled fingerprints.
        query: the others.
        size: number to which the support set is padded; None: it is not.

    Raises:
        InputError: an empty set, inputs and targets that differ in number, or a support set that
            is larger than `size`.
    """
    faults = [
        Fault("task", name, "as many targets as inputs, 1 or more", f"{len(x)} and {len(y)}")
        for name, (x, y) in (("support", support), ("query", query))
        if len(x) != len(y) or len(x) == 0
    ]
    labels = len(support[0])
    padding = 0 if size is None else size - labels
    if padding < 0:
        faults.append(Fault("task", "support", f"at most {size}", str(labels)))
    refuse(faults)
    weight = np.full(labels, 1.0 / labels, np.float32)
    inputs, targets, weight = (
        np.concatenate([part, np.zeros((padding, *part.shape[1:]), part.dtype)])
        for part in (*support, weight)
    )
    return TaskBatch(inputs[None], targets[None], weight[None], query[0][None], query[1][None])


class PositionDomain:
    """One historical environment (MetaLoc's domain): places of one law of propagation.

    A task is one of the places: some of its labelled fingerprints are the support set, others the
    query set. For comparisons between environments a fingerprint is what the learner sees of it:
    levels of different access points have nothing to compare, and an environment is as similar as
    the inputs of the network are.

    Attributes:
        name: of the environment.
        neighbours: K of the fingerprints, which have 3K entries.
    """

    def __init__(
        self,
        name: str,
        places: Sequence[Place],
        neighbours: int,
        supports: Sequence[int],
        queries: int,
    ) -> None:
        """Prepare the inputs of all places.

        Args:
            name: of the environment.
            places: one or more.
            neighbours: K of the fingerprints.
            supports: numbers of labelled fingerprints that tasks may have; padded to the largest.
            queries: query fingerprints a task.

        Raises:
            InputError: with every fault found.
        """
        where = f"position domain {name}"
        sizes = sorted(supports)
        faults = []
        if not places:
            faults.append(Fault(where, "places", "1 or more", "none"))
        if not sizes or sizes[0] < 1:
            faults.append(Fault(where, "supports", "numbers of 1 or more", str(list(supports))))
        if queries < 1:
            faults.append(Fault(where, "queries", "1 or more", str(queries)))
        if neighbours < 1:
            faults.append(Fault(where, "neighbours", "1 or more", str(neighbours)))
        if not faults:
            needed = sizes[-1] + queries
            expected = f"{needed} or more fingerprints (support and query set of one task)"
            faults += [
                Fault(where, f"places.{index}", expected, str(len(place.position)))
                for index, place in enumerate(places)
                if len(place.position) < needed
            ]
        refuse(faults)
        self.name = name
        self.neighbours = neighbours
        self._supports = tuple(supports)
        self._queries = queries
        self._pools = [(place.inputs(neighbours), place.targets()) for place in places]

    def sample(self, generator: np.random.Generator, tasks: int) -> TaskBatch:
        """Draw tasks: a place, a number of labels, and two sets without a fingerprint in common."""
        largest = max(self._supports)
        width = self._pools[0][0].shape[1]
        batch = TaskBatch(
            np.zeros((tasks, largest, width), np.float32),
            np.zeros((tasks, largest, 2), np.float32),
            np.zeros((tasks, largest), np.float32),
            np.empty((tasks, self._queries, width), np.float32),
            np.empty((tasks, self._queries, 2), np.float32),
        )
        for task in range(tasks):
            inputs, targets = self._pools[int(generator.integers(len(self._pools)))]
            labels = int(generator.choice(self._supports))
            chosen = generator.choice(len(inputs), size=labels + self._queries, replace=False)
            labelled, asked = chosen[:labels], chosen[labels:]
            batch.support_inputs[task, :labels] = inputs[labelled]
            batch.support_targets[task, :labels] = targets[labelled]
            batch.support_weight[task, :labels] = 1.0 / labels
            batch.query_inputs[task] = inputs[asked]
            batch.query_targets[task] = targets[asked]
        return batch

    def fingerprints(self, generator: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
        """(count, 3K) inputs, drawn over all places; again and again where there are too few."""
        everything = np.concatenate([inputs for inputs, _ in self._pools])
        chosen = generator.choice(len(everything), size=count, replace=count > len(everything))
        return np.asarray(everything[chosen], dtype=np.float64)
