"""Settings of the learners; light to import, so that a study can be checked without TensorFlow."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from twin.config import StrictModel

Trained = Literal["metaloc", "pretraining", "random_start"]
TRAINED: tuple[Trained, ...] = get_args(Trained)

Count = Annotated[int, Field(ge=1)]


class GradientSettings(StrictModel):
    """Settings of a learner that adapts by gradient steps.

    Attributes:
        hidden: units of each hidden layer.
        inner_rate: step size alpha of the adaptation.
        inner_steps: gradient steps on a support set, in training and in adaptation alike; 0: the
            labels are used for alignment alone.
        first_order: drop second derivatives in the outer gradient (MetaLoc eqs. 11-13).
        outer_rate: largest step size beta of the outer optimiser (Adam, cosine decay to zero).
        outer_steps: outer updates.
        tasks: tasks an outer update M.
        supports: numbers of labelled points that tasks have.
        queries: query fingerprints a task.
        alignment: how fingerprints are brought onto the twin's scale.
    """

    hidden: tuple[Count, ...] = Field(min_length=1)
    inner_rate: float = Field(gt=0)
    inner_steps: int = Field(ge=0)
    first_order: bool
    outer_rate: float = Field(gt=0)
    outer_steps: int = Field(ge=0)
    tasks: int = Field(ge=1)
    supports: tuple[Count, ...] = Field(min_length=1)
    queries: int = Field(ge=1)
    alignment: Literal["none", "labels", "unlabelled"]


#: MetaLoc, section V-A: step sizes, one inner step, about 100 support and 30 query samples a task,
#: four training tasks. Layer widths are our choice (the paper gives none), and so is the number of
#: outer steps, which is that of Table III.
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

#: Trains in seconds on two cores; tasks have as many labels as a place may give.
SMALL = GradientSettings(
    hidden=(64, 64, 64, 64),
    inner_rate=0.025,
    inner_steps=5,
    first_order=True,
    outer_rate=2e-3,
    outer_steps=2000,
    tasks=16,
    supports=(1, 2, 3, 4, 5, 7, 10, 14, 20),
    queries=48,
    alignment="labels",
)

#: The step size that suits one starting point ruins another, so each method has its own, by one
#: rule: the largest that costs at most 5 % against the method's best on held-out realisations of
#: the twins (``benchmarks.learner_settings``). On twins, small steps are always best, since a
#: twin holds no surprise for a learner that was trained on it; steps are there for what a twin
#: does not know.
INNER_RATES: dict[Trained, float] = {
    "metaloc": 0.025,
    "pretraining": 0.001,
    "random_start": 0.0125,
}


def small(method: Trained, outer_steps: int | None = None) -> GradientSettings:
    """`SMALL` with the method's inner rate; `outer_steps` replaces the preset's where given."""
    changes: dict[str, float] = {"inner_rate": INNER_RATES[method]}
    if outer_steps is not None:
        changes["outer_steps"] = outer_steps
    return GradientSettings(**{**SMALL.model_dump(), **changes})
