"""Tasks of classification over reference points on CSI images (MetaLoc, sections III and V-B)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from twin.config import StrictModel
from twin.errors import Fault, refuse
from twin.learn.csi_images import LEVELS, Images, Indices
from twin.learn.tasks import AnyArray, Array, TaskBatch

#: What a class is: one of the domain's points, the same in all tasks and all domains that share
#: their points; or the place of a point among its task's points, for domains that do not.
Labels = Literal["points", "task"]


class TaskShape(StrictModel):
    """Size of an N-way task; the defaults are MetaLoc's (section V-B).

    Attributes:
        ways: points N.
        supports: labelled images of each point.
        queries: further images of each point that are asked.
    """

    ways: int = Field(default=10, ge=1)
    supports: int = Field(default=3, ge=1)
    queries: int = Field(default=5, ge=1)


PAPER_SHAPE = TaskShape()


class ImageDomain:
    """One historical environment (a day, a corridor): images of its reference points.

    Attributes:
        name: of the environment.
        images: (p, b, subcarrier, packet, ap) 8-bit.
        position: (p, 2) [m].
    """

    def __init__(
        self,
        name: str,
        images: Images,
        position: Array,
        shape: TaskShape = PAPER_SHAPE,
        labels: Labels = "points",
        first_class: int = 0,
    ) -> None:
        """Check that tasks can be drawn.

        Args:
            name: of the environment.
            images: see the attributes.
            position: see the attributes.
            shape: size of the tasks.
            labels: what a class is.
            first_class: class of the first point, for domains that are learned together and do not
                share their points.

        Raises:
            InputError: sizes that do not fit, fewer points or images than a task needs.
        """
        refuse(_faults(name, images, position, shape))
        self.name = name
        self.images = images
        self.position = position
        self.shape = shape
        self.labels = labels
        self.first_class = first_class

    def sample(self, generator: np.random.Generator, tasks: int) -> TaskBatch:
        """Draw N-way tasks: random points, and of each some images to learn and others to ask.

        Returns:
            Inputs (T, N * images, …) uint8, targets (T, N * images) int32 classes, point by point.
        """
        points, pictures = self.images.shape[:2]
        shape = self.shape
        each = shape.supports + shape.queries
        chosen = np.stack(
            [generator.choice(points, shape.ways, replace=False) for _ in range(tasks)]
        )
        order = generator.permuted(
            np.broadcast_to(np.arange(pictures), (tasks, shape.ways, pictures)), axis=-1
        )[..., :each]
        taken = self.images[chosen[..., None], order]
        classes = chosen if self.labels == "points" else np.tile(np.arange(shape.ways), (tasks, 1))
        classes = classes + self.first_class
        support, query = np.split(taken, [shape.supports], axis=2)
        return TaskBatch(
            _flat(support),
            np.repeat(classes, shape.supports, axis=1).astype(np.int32),
            _even_weight(tasks, shape.ways * shape.supports),
            _flat(query),
            np.repeat(classes, shape.queries, axis=1).astype(np.int32),
        )

    def fingerprints(self, generator: np.random.Generator, count: int) -> Array:
        """`profiles` of images drawn at random, with replacement."""
        points, pictures = self.images.shape[:2]
        point = generator.integers(points, size=count)
        return profiles(self.images[point, generator.integers(pictures, size=count)])


def profiles(images: Images) -> Array:
    """Mean amplitude of each subcarrier and access point, (n, 52 * ap), full scale being 1.

    Environments are compared by these and not by histograms: moved things shift which subcarriers
    fade, which a pooled histogram does not see, while the mean over a burst takes out the noise of
    packets, which is no property of the environment.

    Args:
        images: (n, subcarrier, packet, ap).
    """
    mean = images.mean(axis=2, dtype=np.float64) / (LEVELS - 1)
    return np.asarray(mean.reshape(len(images), -1))


def tasks_of_new_environment(
    asked: Images,
    support_images: Images,
    nearest: Indices,
    supports: int,
    generator: np.random.Generator,
    labels: Labels = "points",
) -> TaskBatch:
    """Tasks of a new environment: one image to be located each (MetaLoc, section IV-B).

    Args:
        asked: (t, subcarrier, packet, ap) images to locate; none of `support_images`.
        support_images: (p, b, subcarrier, packet, ap) labelled images of the new environment.
        nearest: (t, K) reference points that look most like each asked image; see
            `twin.learn.csi_images.nearest_points`.
        supports: labelled images of each of the K points.
        generator: chooses them.
        labels: as the learner was trained with.

    Returns:
        t tasks of K * `supports` labelled images and one query, whose target is not known and
        stands as 0.

    Raises:
        InputError: fewer labelled images of a point than wanted, or numbers that do not fit.
    """
    points, pictures = support_images.shape[:2]
    faults = []
    if not 1 <= supports <= pictures:
        found = f"{supports} of {pictures}"
        faults.append(Fault("test tasks", "supports", "1 or more of each point's images", found))
    if nearest.ndim != 2 or len(nearest) != len(asked):
        expected = f"({len(asked)}, K), a row for each asked image"
        faults.append(Fault("test tasks", "nearest", expected, f"shape {nearest.shape}"))
    elif nearest.size and not 0 <= nearest.min() <= nearest.max() < points:
        expected = f"indices below {points}"
        faults.append(Fault("test tasks", "nearest", expected, f"up to {nearest.max()}"))
    refuse(faults)
    tasks, ways = nearest.shape
    order = generator.permuted(
        np.broadcast_to(np.arange(pictures), (tasks, ways, pictures)), axis=-1
    )[..., :supports]
    classes = nearest if labels == "points" else np.tile(np.arange(ways), (tasks, 1))
    return TaskBatch(
        _flat(support_images[nearest[..., None], order]),
        np.repeat(classes, supports, axis=1).astype(np.int32),
        _even_weight(tasks, ways * supports),
        asked[:, None],
        np.zeros((tasks, 1), np.int32),
    )


def centroid(logits: npt.ArrayLike, position: npt.ArrayLike, top: int = 5) -> Array:
    """Centroid of the most probable classes, weighted by probability (MetaLoc, Fig. 4).

    Args:
        logits: (…, n).
        position: (n, 2) of the classes [m], or (…, n, 2) where each answer has its own.
        top: classes taken.

    Returns:
        (…, 2) [m]; NaN where a logit is not finite.

    Raises:
        InputError: fewer than one class to be taken.
    """
    values = np.asarray(logits, np.float64)
    with np.errstate(invalid="ignore"):  # infinity less itself
        weights = np.exp(values - values.max(axis=-1, keepdims=True))
    return weighted_centroid(weights, position, top)


def weighted_centroid(weight: npt.ArrayLike, position: npt.ArrayLike, top: int = 5) -> Array:
    """Centroid of the classes with the `top` largest weights.

    Args:
        weight: (…, n), zero or more; all zero counts as all equal.
        position: (n, 2) or (…, n, 2) [m].
        top: classes taken, of equal weights the first; all, where there are fewer.

    Returns:
        (…, 2) [m]; NaN where a weight is not finite.

    Raises:
        InputError: fewer than one class to be taken.
    """
    refuse([Fault("centroid", "top", "1 or more", str(top))] if top < 1 else [])
    weights = np.asarray(weight, np.float64)
    total = weights.sum(axis=-1, keepdims=True)
    weights = np.where(np.isfinite(total), np.where(total > 0.0, weights, 1.0), np.nan)
    places = np.broadcast_to(np.asarray(position, np.float64), (*weights.shape, 2))
    best = np.argsort(-weights, axis=-1, kind="stable")[..., :top]
    share = np.take_along_axis(weights, best, axis=-1)
    share /= share.sum(axis=-1, keepdims=True)
    return np.asarray((share[..., None] * np.take_along_axis(places, best[..., None], -2)).sum(-2))


def _flat(images: AnyArray) -> AnyArray:
    tasks, ways, each = images.shape[:3]
    return images.reshape(tasks, ways * each, *images.shape[3:])


def _even_weight(tasks: int, images: int) -> npt.NDArray[np.float32]:
    return np.full((tasks, images), 1.0 / images, np.float32)


def _faults(name: str, images: Images, position: Array, shape: TaskShape) -> list[Fault]:
    where = f"environment {name}"
    if images.ndim != 5 or images.dtype != np.uint8:
        expected = "(point, image, subcarrier, packet, ap) uint8"
        return [Fault(where, "images", expected, f"{images.shape} {images.dtype}")]
    faults = []
    points, pictures = images.shape[:2]
    if position.shape != (points, 2):
        faults.append(Fault(where, "position", f"({points}, 2)", str(position.shape)))
    if points < shape.ways:
        faults.append(Fault(where, "points", f"at least {shape.ways} (ways)", str(points)))
    each = shape.supports + shape.queries
    if pictures < each:
        expected = f"at least {each} (support and query set)"
        faults.append(Fault(where, "images of a point", expected, str(pictures)))
    return faults
