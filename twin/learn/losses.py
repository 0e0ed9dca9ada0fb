"""Forms of the localization problem: what a network's outputs are measured by."""

from __future__ import annotations

from typing import Any, Protocol

import tensorflow as tf

Tensor = Any
_SMALLEST = 1e-6


class Problem(Protocol):
    """A form of the problem. The two losses of a form may differ; both are means."""

    def support_loss(self, outputs: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        """Scalar loss of (K, o) outputs on a support set with (K,) weights that sum to one."""

    def query_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Scalar loss of (Q, o) outputs on a query set."""


def distance(predicted: Tensor, position: Tensor) -> Tensor:
    """(…, n) Euclidean distance between (…, n, 2+) predictions (first two columns) and positions.

    The small constant keeps the gradient finite where a prediction is exact.
    """
    return tf.sqrt(tf.reduce_sum((predicted[..., :2] - position) ** 2, axis=-1) + _SMALLEST)


class MeanSquare:
    """Regression: mean squared Euclidean distance (MetaLoc, III-B, step 1)."""

    def support_loss(self, outputs: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        """Outputs and targets (K, o)."""
        return tf.reduce_sum(tf.reduce_sum((outputs - targets) ** 2, axis=-1) * weight)

    def query_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Outputs and targets (Q, o)."""
        return tf.reduce_mean(tf.reduce_sum((outputs - targets) ** 2, axis=-1))


class MeanDistance:
    """Regression: mean Euclidean distance, which one bad fix does not rule."""

    def support_loss(self, outputs: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        """Outputs (K, 2), targets (K, 2)."""
        return tf.reduce_sum(distance(outputs, targets) * weight)

    def query_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Outputs (Q, 2), targets (Q, 2)."""
        return tf.reduce_mean(distance(outputs, targets))


class MeanDistanceWithSpread:
    """Regression whose third output learns the logarithm of the expected distance."""

    def support_loss(self, outputs: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        """Outputs (K, 3), targets (K, 2); the third output takes no part."""
        return tf.reduce_sum(distance(outputs, targets) * weight)

    def query_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Outputs (Q, 3), targets (Q, 2).

        For a fixed distance d the added term ``d exp(-s) + s`` is smallest at ``s = log d``; d is
        held constant in it, so the positions are fitted to the distance alone.
        """
        wrong = distance(outputs, targets)
        log_spread = outputs[..., 2]
        calibration = tf.stop_gradient(wrong) * tf.exp(-log_spread) + log_spread
        return tf.reduce_mean(wrong) + 0.1 * tf.reduce_mean(calibration)


class CrossEntropy:
    """Classification over reference points (MetaLoc, III-B, step 1)."""

    def support_loss(self, outputs: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        """Outputs (K, classes) logits, targets (K,) classes."""
        return tf.reduce_sum(_cross_entropy(outputs, targets) * weight)

    def query_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Outputs (Q, classes) logits, targets (Q,) classes."""
        return tf.reduce_mean(_cross_entropy(outputs, targets))


def _cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=logits)
