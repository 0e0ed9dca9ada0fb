"""Tasks of rooms that share neither access points nor size, twins and real rooms alike.

What a learner sees is MetaLoc's fingerprint of nearest reference points (its Fig. 3), so one
network serves all rooms. The reference points of a room are the points of its twin, each with the
mean fingerprint of the twin's realisations: a fingerprint has neighbours before anybody has been
to the room. Receivers have a scale of their own, so the labels of a task first bring all its
fingerprints onto the twin's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from twin.align import moments
from twin.align.field import TwinField
from twin.align.moments import Alignment
from twin.errors import Fault, refuse
from twin.learn.features import Array, Feature, entry_groups, fingerprints, point_fingerprints
from twin.learn.neighbour_fingerprints import Float32, ReferenceMap
from twin.learn.tasks import TaskBatch
from twin.seeds import stream
from twin.store.reader import Environment

Index = npt.NDArray[np.intp]

#: What one unit of a feature counts as [dB]. A room's twins differ from their mean by some 4 dB of
#: RSS and 1 m of RTT, so both weigh alike where they stand together; a range is taken negative
#: since a reference map puts what was not heard at the lowest level.
LEVEL_DB = {"rss": 1.0, "rtt": -4.0}


@dataclass(frozen=True, eq=False)
class Room:
    """What is known of a room before it has a label: its twin.

    Args:
        field: the twin's mean fingerprint at its points.
        feature: what a fingerprint is made of.
        access_points: number of them.
        neighbours: K, nearest reference points that a learner sees.
    """

    field: TwinField
    feature: Feature
    access_points: int
    neighbours: int

    @classmethod
    def of(cls, twin: Sequence[Environment], feature: Feature, neighbours: int) -> Room:
        """The room that these environments are the twin of.

        Raises:
            InputError: fewer than two environments, some that do not share their points and access
                points or lack the feature, or an access point that none of them hears.
        """
        refuse(_faults("twin", twin, feature))
        expected = "two or more realisations, to tell what varies"
        refuse([Fault("twin", twin[0].site, expected, "1")] if len(twin) < 2 else [])
        groups = entry_groups(feature, len(twin[0].ap))
        medians = np.stack([point_fingerprints(each, feature) for each in twin])
        field = TwinField.of(twin[0].position[:, :2], medians, groups)
        return cls(field, feature, len(twin[0].ap), neighbours)

    @property
    def entries(self) -> int:
        """Length d of a fingerprint."""
        return int(self.field.mean.shape[1])

    @cached_property
    def references(self) -> ReferenceMap:
        """The twin's points as reference points, and the learner's coordinates."""
        return ReferenceMap(self._levels(self.field.mean), self.field.position)

    def aligned(self, heard: Array, position: Array) -> Alignment:
        """Brings fingerprints onto the twin's scale (`twin.align.moments`, "labels").

        Args:
            heard: (k, d) fingerprints at the labelled points; NaN = not heard.
            position: (k, 2) of the labelled points [m].
        """
        groups = entry_groups(self.feature, self.access_points)
        expected = self.field.expected(position)
        return moments.on_labels(heard, expected, self.field, groups)

    def inputs(self, values: Array) -> Float32:
        """(n, 3K) what a learner sees of (n, d) aligned fingerprints: `ReferenceMap.inputs`."""
        return self.references.inputs(self._levels(values), self.neighbours)

    def among_neighbours(self, inputs: Float32, *, weighted: bool) -> Array:
        """(n, 2) mean position [m] of the K reference points that (n, 3K) inputs name.

        `weighted` weighs by the inverse of the distance. This is as far as the twin gets without
        any learning.
        """
        distance = inputs[:, : self.neighbours].astype(np.float64)
        where = inputs[:, self.neighbours :].reshape(len(inputs), self.neighbours, 2)
        weight = 1.0 / np.maximum(distance, 1e-6) if weighted else np.ones_like(distance)
        weight /= weight.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("nk,nkc->nc", weight, self.references.to_metres(where)))

    def levels(self, values: Array) -> Array:
        """(…, d) aligned fingerprints [dB] with a level for what was not heard, the twin's weakest.

        Of all units, as `LEVEL_DB` has them.
        """
        levels = self._levels(values)
        return np.where(np.isfinite(levels), levels, self.references.fingerprints.min())

    def _levels(self, values: Array) -> Array:
        factor = [LEVEL_DB[part] for part in self.feature.split("+")]
        return np.asarray(values * np.repeat(factor, self.access_points))


@dataclass(frozen=True)
class TaskShape:
    """Size of tasks.

    Attributes:
        supports: numbers of labelled points that tasks have; the largest sets the padding.
        queries: query fingerprints a task.
        pool: tasks of an environment that are made, once; batches are drawn from them.
    """

    supports: tuple[int, ...]
    queries: int
    pool: int


class RoomTasks:
    """One room as a historical environment (MetaLoc's domain): a twin, or a real room.

    A task has k labelled points of the room with the median over the scans at each, and single
    scans at other points as queries, all aligned by the labels, as a new room will be. Of several
    environments of one room, each access point is taken from one of its own, as in
    `twin.learn.episodes.TwinTasks`. All learners of a seed draw from the same pool of tasks.
    """

    def __init__(
        self,
        name: str,
        room: Room,
        environments: Sequence[Environment],
        shape: TaskShape,
        seed: int,
    ) -> None:
        """Make the pool.

        Args:
            name: of the environment; keys the draws.
            room: its twin.
            environments: realisations of the twin, or the one real room.
            shape: of the tasks.
            seed: of the draws.

        Raises:
            InputError: every fault of the environments, and too few points for a task.
        """
        faults = _faults(name, environments, room.feature)
        if not faults:
            faults = _misfits(name, room, environments[0], shape)
        refuse(faults)
        self.name = name
        generator = stream(seed, "room tasks", name, room.feature)
        self._pool = _tasks(room, environments, shape, generator)

    def sample(self, generator: np.random.Generator, tasks: int) -> TaskBatch:
        """Draw tasks of the pool."""
        chosen = generator.integers(self._pool.tasks, size=tasks)
        return TaskBatch(*(array[chosen] for array in self._pool.arrays()))

    def first(self, tasks: int) -> TaskBatch:
        """The first tasks of the pool, the same for all who ask."""
        return TaskBatch(*(array[:tasks] for array in self._pool.arrays()))

    def fingerprints(self, generator: np.random.Generator, count: int) -> Array:
        """(count, 3K) query fingerprints of the pool, as a learner sees them."""
        inputs = self._pool.query_inputs.reshape(-1, self._pool.query_inputs.shape[-1])
        chosen = generator.choice(len(inputs), size=count, replace=count > len(inputs))
        return inputs[chosen].astype(np.float64)


def _tasks(
    room: Room,
    environments: Sequence[Environment],
    shape: TaskShape,
    generator: np.random.Generator,
) -> TaskBatch:
    position = environments[0].position[:, :2].astype(np.float64)
    unit = room.references.to_unit(position)
    medians = np.stack([point_fingerprints(each, room.feature) for each in environments])
    scans = np.stack([fingerprints(each, room.feature) for each in environments])
    largest, width = max(shape.supports), 3 * room.neighbours
    batch = TaskBatch(
        np.zeros((shape.pool, largest, width), np.float32),
        np.zeros((shape.pool, largest, 2), np.float32),
        np.zeros((shape.pool, largest), np.float32),
        np.empty((shape.pool, shape.queries, width), np.float32),
        np.empty((shape.pool, shape.queries, 2), np.float32),
    )
    entry = np.arange(room.entries)
    parts = room.entries // room.access_points
    for task in range(shape.pool):
        k = int(generator.choice(shape.supports))
        chosen = generator.choice(len(position), size=k + shape.queries, replace=False)
        labelled, asked = chosen[:k], chosen[k:]
        origin = np.tile(generator.integers(len(scans), size=room.access_points), parts)
        snapshot = generator.integers(scans.shape[2], size=shape.queries)
        heard = medians[origin, labelled[:, None], entry]
        single = scans[origin, asked[:, None], snapshot[:, None], entry]
        alignment = room.aligned(heard, position[labelled])
        seen = room.inputs(alignment.apply(np.concatenate([heard, single])))
        batch.support_inputs[task, :k] = seen[:k]
        batch.support_targets[task, :k] = unit[labelled]
        batch.support_weight[task, :k] = 1.0 / k
        batch.query_inputs[task] = seen[k:]
        batch.query_targets[task] = unit[asked]
    return batch


def _faults(name: str, environments: Sequence[Environment], feature: Feature) -> list[Fault]:
    if not environments:
        return [Fault(name, "environments", "at least one", "none")]
    first = environments[0]
    faults = []
    for each in environments:
        where = f"{name}: site {each.site}, realisation {each.realisation}"
        missing = [part for part in feature.split("+") if part not in each.features]
        if missing:
            faults.append(Fault(where, "features", feature, f"no {' and no '.join(missing)}"))
        if each.ap != first.ap:
            faults.append(Fault(where, "ap", str(first.ap), str(each.ap)))
        if not np.array_equal(each.position[:, :2], first.position[:, :2]):
            expected = "the points of the first environment"
            faults.append(Fault(where, "position", expected, "other points"))
    return faults


def _misfits(name: str, room: Room, first: Environment, shape: TaskShape) -> list[Fault]:
    faults = []
    if len(first.ap) != room.access_points:
        expected = f"{room.access_points}, as the room's twin has"
        faults.append(Fault(name, "access points", expected, str(len(first.ap))))
    needed = max(shape.supports) + shape.queries
    if first.points < needed:
        expected = f"at least {needed} (support and query set of one task)"
        faults.append(Fault(name, "points", expected, str(first.points)))
    return faults
