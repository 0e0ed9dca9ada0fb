"""k nearest neighbours on images: reference points by the distance of their images."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, refuse
from twin.learn.tasks import Array

Weighing = Literal["uniform", "distance"]
_SMALLEST = 1e-9


def point_distances(
    asked: npt.NDArray[Any], known: npt.NDArray[Any], point: npt.NDArray[np.intp], points: int
) -> Array:
    """Euclidean distance of each asked image to each reference point: to its nearest image.

    The nearest and not the mean, so that one fresh image of a point counts although many old ones
    lie beside it.

    Args:
        asked: (t, …) images or other features.
        known: (n, …) likewise, of reference points.
        point: (n,) the point of each.
        points: p.

    Returns:
        (t, p); infinite where a point has no image.

    Raises:
        InputError: images of another size, or a point out of range.
    """
    faults = []
    if asked.shape[1:] != known.shape[1:]:
        faults.append(
            Fault("neighbours", "known", f"images {asked.shape[1:]}", str(known.shape[1:]))
        )
    if point.shape != (len(known),) or (
        len(point) and not 0 <= point.min() <= point.max() < points
    ):
        expected = f"({len(known)},) below {points}"
        faults.append(Fault("neighbours", "point", expected, f"shape {point.shape}"))
    refuse(faults)
    each = _distances(asked.reshape(len(asked), -1), known.reshape(len(known), -1))
    nearest = np.full((points, len(asked)), np.inf)
    np.minimum.at(nearest, point, each.T)
    return nearest.T


def _distances(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> Array:
    # By a matrix product, which is many times faster than differences for thousands of pixels;
    # float64 holds sums of squares of 8-bit pixels exactly.
    first, second = one.astype(np.float64), other.astype(np.float64)
    square = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2.0 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def located(distance: Array, position: Array, nearest: int, weighing: Weighing) -> Array:
    """Mean position of the K nearest reference points.

    Args:
        distance: (t, p) see `point_distances`.
        position: (p, 2) [m].
        nearest: K (5 in MetaLoc, section IV-C).
        weighing: "uniform" (KNN), or by the inverse of the distance (WKNN).

    Returns:
        (t, 2) [m].

    Raises:
        InputError: fewer than K points with an image.
    """
    fewest = int(np.isfinite(distance).sum(axis=1).min(initial=distance.shape[1]))
    refuse(
        [Fault("neighbours", "nearest", f"1 to {fewest} reference points", str(nearest))]
        if not 1 <= nearest <= fewest
        else []
    )
    best = np.argsort(distance, axis=1, kind="stable")[:, :nearest]
    chosen = np.take_along_axis(distance, best, axis=1)
    weight = np.ones_like(chosen)
    if weighing == "distance":
        weight = 1.0 / np.maximum(chosen, _SMALLEST)
    weight /= weight.sum(axis=1, keepdims=True)
    return np.asarray((weight[..., None] * position[best]).sum(axis=1))
