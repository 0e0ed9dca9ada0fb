"""A real room that learners are new in, as every method is given it: draws of k labelled points."""

from __future__ import annotations

import numpy as np

from twin.evaluate.metrics import position_error
from twin.evaluate.protocols import SimToReal, labelled_points
from twin.learn.baselines.broad_learning import BroadLearning, BroadSettings
from twin.learn.baselines.neighbours import Neighbours
from twin.learn.features import Array, fingerprints, point_fingerprints
from twin.learn.learner import Labelled
from twin.learn.room_tasks import Room
from twin.learn.tasks import AnyArray, TaskBatch
from twin.store.reader import Environment

#: Bound of KNN's K, which is the square root of k, rounded.
MOST_NEIGHBOURS = 3
#: Broad learning sized for fingerprints of a handful of numbers.
BROAD = BroadSettings(feature_nodes=20, enhancement_nodes=100, step_nodes=10, steps=10)


class NewRoom:
    """The tasks of a room: one for each k and draw, all with the same queries.

    Labelled points are medians over their scans; every scan at a test point in which at least one
    access point was heard is a query.

    Attributes:
        tasks: for learners, all k of the first draw, then of the second, and so on; not batched by
            k, so that one call adapts to all.
        point: (Q,) test point of each query.
    """

    def __init__(self, room: Room, real: Environment, protocol: SimToReal) -> None:
        """A room with a twin and an official split; see `twin.evaluate.protocols.check_reality`."""
        self._room = room
        self._medians = point_fingerprints(real, room.feature)
        self._scans = fingerprints(real, room.feature)
        self._position = real.position[:, :2].astype(np.float64)
        test = np.flatnonzero(real.is_test)
        asked = self._scans[test].reshape(-1, room.entries)
        heard = np.isfinite(asked).any(axis=1)
        self._asked = asked[heard]
        self.point = np.repeat(test, self._scans.shape[1])[heard]
        self._shape = (protocol.draws, len(protocol.labels))
        self._labelled = [
            order[:k] for order in labelled_points(real, protocol) for k in protocol.labels
        ]
        self._alignments = [
            room.aligned(self._medians[chosen], self._position[chosen]) for chosen in self._labelled
        ]
        self.tasks = self._batch(max(protocol.labels))

    def _batch(self, largest: int) -> TaskBatch:
        room, count, queries = self._room, len(self._labelled), len(self._asked)
        width = 3 * room.neighbours
        batch = TaskBatch(
            np.zeros((count, largest, width), np.float32),
            np.zeros((count, largest, 2), np.float32),
            np.zeros((count, largest), np.float32),
            np.empty((count, queries, width), np.float32),
            np.empty((count, queries, 2), np.float32),
        )
        batch.query_targets[:] = room.references.to_unit(self._position[self.point])
        for task, (chosen, alignment) in enumerate(
            zip(self._labelled, self._alignments, strict=True)
        ):
            k = len(chosen)
            batch.support_inputs[task, :k] = room.inputs(alignment.apply(self._medians[chosen]))
            batch.support_targets[task, :k] = room.references.to_unit(self._position[chosen])
            batch.support_weight[task, :k] = 1.0 / k
            batch.query_inputs[task] = room.inputs(alignment.apply(self._asked))
        return batch

    def errors(self, outputs: AnyArray) -> Array:
        """(k, draw, Q) errors [m] of a learner's (T, Q, 2) outputs for `tasks`."""
        return self._errors(self._room.references.to_metres(outputs))

    def _errors(self, located: Array) -> Array:
        wrong = position_error(located, self._position[self.point])
        return wrong.reshape(*self._shape, -1).swapaxes(0, 1)

    def labelled_inputs(self, most: int) -> list[Array]:
        """Of each task, what a learner sees of at most `most` scans at its labelled points."""
        found = []
        for chosen, alignment in zip(self._labelled, self._alignments, strict=True):
            scans = self._scans[chosen].reshape(-1, self._room.entries)
            kept = np.linspace(0, len(scans) - 1, min(len(scans), most)).round().astype(np.intp)
            found.append(self._room.inputs(alignment.apply(scans[kept])).astype(np.float64))
        return found

    def baselines(self, seed: int) -> dict[str, Array]:
        """(k, draw, Q) errors [m] of the methods that learn nothing of other rooms.

        ``knn`` and ``wknn`` know the labelled points alone. ``ilcl`` is broad learning over them as
        classes from all their scans, which are brought onto the twin's scale. ``knn_twin`` and
        ``wknn_twin`` take the points of the twin as reference points, with fingerprints aligned by
        the labels.

        Args:
            seed: of broad learning's nodes.
        """
        room = self._room
        of_room = (room.feature, room.access_points, MOST_NEIGHBOURS)
        surveyed = {
            "knn": Neighbours(*of_room, "uniform"),
            "wknn": Neighbours(*of_room, "distance"),
        }
        located: dict[str, list[Array]] = {}
        for task, chosen in enumerate(self._labelled):
            labelled = Labelled(self._medians[chosen], self._position[chosen], self._asked[:0])
            for name, method in surveyed.items():
                method.adapt(labelled)
                located.setdefault(name, []).append(method.locate(self._asked).position)
            seen = self.tasks.query_inputs[task]
            for name, weighted in (("knn_twin", False), ("wknn_twin", True)):
                there = room.among_neighbours(seen, weighted=weighted)
                located.setdefault(name, []).append(there)
            located.setdefault("ilcl", []).append(self._broad(task, seed))
        return {name: self._errors(np.stack(there)) for name, there in located.items()}

    def _broad(self, task: int, seed: int) -> Array:
        """(Q, 2) mean of the labelled points, weighed by their scores."""
        chosen, alignment = self._labelled[task], self._alignments[task]
        scans = self._room.levels(alignment.apply(self._scans[chosen]))
        learner = BroadLearning(len(chosen), BROAD, seed)
        learner.fit(
            scans.reshape(-1, self._room.entries), np.repeat(np.arange(len(chosen)), scans.shape[1])
        )
        scores = learner.scores(self._room.levels(alignment.apply(self._asked)))
        weight = np.maximum(scores, 1e-6)
        return np.asarray(weight / weight.sum(axis=1, keepdims=True) @ self._position[chosen])
