"""What `benchmarks.metaloc_speed` times: meta-steps, and new environments to locate in.

Sizes are those of MetaLoc's sections V-A (levels) and V-B (images). Contents are random: what an
image shows costs no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from twin.seeds import stream

if TYPE_CHECKING:
    import keras

    from twin.learn.losses import Problem
    from twin.learn.metalearning import Adaptation, MetaTraining
    from twin.learn.tasks import Array, TaskBatch

SEED = 1
TASKS, INNER_STEPS, RATE, OUTER_RATE = 4, 5, 0.01, 1e-3
IMAGE, POINTS, WAYS, SUPPORTS, QUERIES = (52, 50, 3), 90, 10, 3, 5
NEIGHBOURS, LABELS, ASKED, REFERENCES, ACCESS_POINTS = 5, 124, 30, 54, 24
ADAPTATION_STEPS = 10
_SIDE_M = 24.0

Images = npt.NDArray[np.uint8]


def cnn_tasks() -> TaskBatch:
    """Four 10-way tasks of images."""
    from twin.learn.tasks import TaskBatch

    draws = stream(SEED, "speed", "images")
    supports, queries = WAYS * SUPPORTS, WAYS * QUERIES
    chosen = np.stack([draws.choice(POINTS, WAYS, replace=False) for _ in range(TASKS)])
    classes = chosen.astype(np.int32)
    return TaskBatch(
        draws.integers(0, 256, (TASKS, supports, *IMAGE), np.uint8),
        np.repeat(classes, SUPPORTS, axis=1),
        np.full((TASKS, supports), 1.0 / supports, np.float32),
        draws.integers(0, 256, (TASKS, queries, *IMAGE), np.uint8),
        np.repeat(classes, QUERIES, axis=1),
    )


def mlp_tasks() -> TaskBatch:
    """Four tasks of fingerprints of the nearest reference points."""
    from twin.learn.tasks import TaskBatch

    draws = stream(SEED, "speed", "fingerprints")
    sizes = ((LABELS, 3 * NEIGHBOURS), (LABELS, 2), (ASKED, 3 * NEIGHBOURS), (ASKED, 2))
    support, at, query, asked = (
        draws.normal(size=(TASKS, *size)).astype(np.float32) for size in sizes
    )
    return TaskBatch(support, at, np.full((TASKS, LABELS), 1 / LABELS, np.float32), query, asked)


def training(network: str, order: str) -> tuple[MetaTraining, TaskBatch]:
    """Our side of a meta-step: what makes it, and its tasks.

    Args:
        network: "cnn" or "mlp".
        order: of the outer gradient, "first" or "second".
    """
    import keras

    from twin.learn.losses import CrossEntropy, MeanSquare
    from twin.learn.metalearning import InnerLoop, MetaTraining
    from twin.learn.networks import csi_cnn, multilayer_perceptron

    inner = InnerLoop(RATE, INNER_STEPS, first_order=order == "first")
    optimizer = keras.optimizers.Adam(OUTER_RATE)
    if network == "cnn":
        model = csi_cnn(IMAGE, POINTS, seed=SEED)
        return MetaTraining(model, CrossEntropy(), inner, optimizer), cnn_tasks()
    model = multilayer_perceptron(3 * NEIGHBOURS, seed=SEED)
    return MetaTraining(model, MeanSquare(), inner, optimizer), mlp_tasks()


class ImagePlace:
    """A new environment of 90 points with three labelled images each.

    Attributes:
        labels: of the whole environment.
    """

    def __init__(self) -> None:
        """Draw images and prepare the network."""
        from twin.learn.losses import CrossEntropy
        from twin.learn.networks import csi_cnn

        self._draws = stream(SEED, "speed", "environment", "images")
        self._labelled = self._draws.integers(0, 256, (POINTS, SUPPORTS, *IMAGE), np.uint8)
        self._position = self._draws.uniform(0.0, _SIDE_M, (POINTS, 2))
        self._model = csi_cnn(IMAGE, POINTS, seed=SEED)
        self._adaptation = _adaptation(self._model, CrossEntropy())
        self.labels = POINTS * SUPPORTS

    def asked(self, count: int) -> Images:
        """(count, …) images."""
        return self._draws.integers(0, 256, (count, *IMAGE), np.uint8)

    def once(self, asked: Images) -> Array:
        """Positions (n, 2) [m] after one adaptation to all labels."""
        from twin.learn.image_tasks import centroid
        from twin.learn.tasks import TaskBatch

        classes = np.repeat(np.arange(POINTS, dtype=np.int32), SUPPORTS)[None]
        batch = TaskBatch(
            self._labelled.reshape(1, -1, *IMAGE),
            classes,
            np.full(classes.shape, 1.0 / classes.size, np.float32),
            asked[None],
            np.zeros((1, len(asked)), np.int32),
        )
        logits = self._adaptation.outputs(self._model.get_weights(), batch, [ADAPTATION_STEPS])
        return centroid(logits[0, 0], self._position)

    def each(self, asked: Images) -> Array:
        """Positions (n, 2) [m] after an adaptation each, to the ten points that look alike."""
        from twin.learn.csi_images import histograms, nearest_points
        from twin.learn.image_tasks import centroid, tasks_of_new_environment

        near = nearest_points(histograms(asked), histograms(self._labelled), WAYS)
        draws = stream(SEED, "speed", "supports")
        batch = tasks_of_new_environment(asked, self._labelled, near, SUPPORTS, draws)
        logits = self._adaptation.outputs(self._model.get_weights(), batch, [ADAPTATION_STEPS])
        return centroid(logits[0, :, 0], self._position)


class LevelPlace:
    """A new environment of levels: 54 reference points and 124 labelled fingerprints.

    Attributes:
        labels: of the whole environment.
    """

    def __init__(self) -> None:
        """Draw levels and prepare the network."""
        from twin.learn.losses import MeanSquare
        from twin.learn.neighbour_fingerprints import ReferenceMap
        from twin.learn.networks import multilayer_perceptron

        self._draws = stream(SEED, "speed", "environment", "levels")
        position = self._draws.uniform(0.0, _SIDE_M, (REFERENCES, 2))
        self._map = ReferenceMap(self.asked(REFERENCES), position, (0.0, 0.0, _SIDE_M, _SIDE_M))
        self._labelled = self.asked(LABELS)
        self._targets = self._map.to_unit(self._draws.uniform(0.0, _SIDE_M, (LABELS, 2)))
        self._model = multilayer_perceptron(3 * NEIGHBOURS, seed=SEED)
        self._adaptation = _adaptation(self._model, MeanSquare())
        self.labels = LABELS

    def asked(self, count: int) -> Array:
        """(count, a) levels [dBm]."""
        return self._draws.uniform(-90.0, -40.0, (count, ACCESS_POINTS))

    def once(self, asked: Array) -> Array:
        """Positions (n, 2) [m] after one adaptation to all labels."""
        return self._located(asked, tasks=1)[0]

    def each(self, asked: Array) -> Array:
        """Positions (n, 2) [m] after an adaptation each, to all labels again."""
        return self._located(asked, tasks=len(asked))[:, 0]

    def _located(self, asked: Array, tasks: int) -> Array:
        from twin.learn.tasks import TaskBatch

        support, queries = (self._map.inputs(x, NEIGHBOURS) for x in (self._labelled, asked))
        batch = TaskBatch(
            np.tile(support, (tasks, 1, 1)),
            np.tile(self._targets, (tasks, 1, 1)),
            np.full((tasks, LABELS), 1.0 / LABELS, np.float32),
            queries.reshape(tasks, -1, queries.shape[1]),
            np.zeros((tasks, len(asked) // tasks, 2), np.float32),
        )
        outputs = self._adaptation.outputs(self._model.get_weights(), batch, [ADAPTATION_STEPS])
        return self._map.to_metres(outputs[0])


def _adaptation(model: keras.Model, problem: Problem) -> Adaptation:
    from twin.learn.metalearning import Adaptation, InnerLoop

    return Adaptation(model, problem, InnerLoop(RATE, ADAPTATION_STEPS, first_order=True))
