"""Baselines with MetaLoc's network and adaptation that start elsewhere (MetaLoc, IV-C)."""

from __future__ import annotations

from twin.learn.gradient_learner import GradientLearner


class PlainPretraining(GradientLearner):
    """TL: the network trained on the same tasks with no inner loop, then adapted the same way."""

    def training_inner_steps(self) -> int:
        """None that training looks through: it minimises the query loss as it stands."""
        return 0


class RandomStart(GradientLearner):
    """RI: random initial weights, adapted the same way; the twin gives alignment and scale only."""

    def training_inner_steps(self) -> None:
        """No training."""
        return
