"""MetaLoc: fingerprint localization that learns to adapt (IEEE JSAC 41(12), 2023).

Vanilla MAML (Algorithm 1) on a regression from fingerprint to position with an MLP of four hidden
layers. Departures from the paper: the input is the aligned fingerprint itself, not the distances to
the nearest reference points; the loss is the mean Euclidean distance, in both loops; inner
gradients are clipped.
"""

from __future__ import annotations

from twin.learn.features import Feature
from twin.learn.gradient_learner import GradientLearner, GradientSettings, Progress

#: Section V-A of the paper: step sizes, one inner step, about 100 support and 30 query samples a
#: task, four training tasks. Layer widths are our choice (the paper gives none), and so is the
#: number of outer steps, which is that of Table III.
PAPER = GradientSettings(
    hidden=(64, 64, 64, 64),
    inner_rate=1e-4,
    inner_steps=1,
    first_order=True,
    outer_rate=1e-3,
    outer_steps=7500,
    tasks=4,
    supports=(100,),
    queries=30,
    alignment="labels",
)

#: Trains in seconds on two cores; tasks have as many labels as a place may give. First-order
#: gradients did better here than exact ones on the same number of steps.
SMALL = GradientSettings(
    hidden=(64, 64, 64, 64),
    inner_rate=0.1,
    inner_steps=5,
    first_order=True,
    outer_rate=2e-3,
    outer_steps=2000,
    tasks=16,
    supports=(1, 2, 3, 4, 5, 7, 10, 14, 20),
    queries=48,
    alignment="labels",
)


def small(outer_steps: int | None) -> GradientSettings:
    """`SMALL`, with another number of outer steps where one is given."""
    if outer_steps is None:
        return SMALL
    return GradientSettings(**{**SMALL.model_dump(), "outer_steps": outer_steps})


class MetaLoc(GradientLearner):
    """MetaLoc with vanilla MAML; see the module."""

    def __init__(
        self,
        settings: GradientSettings,
        feature: Feature,
        access_points: int,
        seed: int,
        progress: Progress | None = None,
    ) -> None:
        """See `GradientLearner`; training looks through the inner steps of the adaptation."""
        self.training_inner_steps = settings.inner_steps
        super().__init__(settings, feature, access_points, seed, progress)
