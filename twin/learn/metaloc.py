"""MetaLoc: fingerprint localization that learns to adapt (IEEE JSAC 41(12), 2023).

Vanilla MAML (Algorithm 1) on a regression from fingerprint to position with an MLP of four hidden
layers. Departures from the paper: the input is the aligned fingerprint itself, not the distances to
the nearest reference points; the loss is the mean Euclidean distance, in both loops; inner
gradients are clipped. Settings: `twin.learn.presets`.
"""

from __future__ import annotations

from twin.learn.gradient_learner import GradientLearner


class MetaLoc(GradientLearner):
    """MetaLoc with vanilla MAML; see the module."""

    def training_inner_steps(self) -> int:
        """Those of the adaptation (eqs. 6 and 7)."""
        return self.settings.inner_steps
