"""Settings of the learners; light to import, so that a study can be checked without TensorFlow."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from twin.config import StrictModel

ParadigmName = Literal["maml", "maml_ts", "maml_dg", "tl", "ri"]
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


class MetaSettings(StrictModel):
    """Settings of MetaLoc's paradigms; see `twin.learn.paradigms`.

    Attributes:
        inner_rate: step size alpha.
        inner_steps: gradient steps on a support set in meta-training.
        adaptation_steps: gradient steps in a new environment.
        first_order: drop second derivatives in outer gradients (eqs. 11-13).
        outer_rate: step size beta (Adam).
        outer_decay: of beta over the outer steps: none, or a cosine to zero.
        outer_steps: outer updates; MAML-TS makes as many in every environment.
        tasks: tasks an outer update M; MAML-DG takes as many of each of its two environments.
        virtual_rate: beta of theta' in MAML-DG (eq. 19), where the outer optimiser is Adam and its
            step size says nothing of the gradient's; nothing: `outer_rate`, as in the paper.
        domain_weight: w of MAML-DG.
        largest_gradient: inner gradients are clipped to this global norm; nothing: they are not.
    """

    inner_rate: float = Field(ge=0)
    inner_steps: int = Field(ge=1)
    adaptation_steps: int = Field(ge=0)
    first_order: bool
    outer_rate: float = Field(gt=0)
    outer_decay: Literal["none", "cosine"] = "none"
    outer_steps: int = Field(ge=0)
    tasks: int = Field(ge=1)
    virtual_rate: float | None = Field(default=None, ge=0)
    domain_weight: float = Field(default=1.0, ge=0)
    largest_gradient: float | None = Field(default=None, gt=0)


class PositionShape(StrictModel):
    """Sizes of MetaLoc's problem on received powers; see `twin.learn.position_learner`.

    Attributes:
        neighbours: K of the fingerprint (5 in the paper).
        hidden: units of each hidden layer.
        references: reference points of a historical environment without a split of its own.
        supports: numbers of labelled fingerprints that tasks have.
        queries: query fingerprints a task.
    """

    neighbours: int = Field(default=5, ge=1)
    hidden: tuple[Count, ...] = Field(default=(64, 64, 64, 64), min_length=1)
    references: int = Field(default=54, ge=2)
    supports: tuple[Count, ...] = Field(default=(10, 30, 100), min_length=1)
    queries: int = Field(default=30, ge=1)


#: MetaLoc, sections V-A and III-B: step sizes, one inner step, first order. Outer steps are those
#: of Table III, tasks a step the four training tasks of Fig. 8; w is not given and is 1 here.
RSS_PAPER = MetaSettings(
    inner_rate=1e-4,
    inner_steps=1,
    adaptation_steps=10,
    first_order=True,
    outer_rate=1e-3,
    outer_steps=7500,
    tasks=4,
)

#: MetaLoc, section V-B; 4 tasks an outer step and 10 steps of adaptation after the authors'
#: published settings.
CSI_PAPER = MetaSettings(
    inner_rate=0.01,
    inner_steps=5,
    adaptation_steps=10,
    first_order=True,
    outer_rate=1e-3,
    outer_steps=7500,
    tasks=4,
)

#: Trains in seconds on two cores: larger steps, on scaled coordinates. With an inner rate of 0.02
#: some starts are good only after the first step (11 to 15 m before it), and plain pre-training
#: swings.
RSS_SMALL = MetaSettings(
    inner_rate=0.01,
    inner_steps=5,
    adaptation_steps=10,
    first_order=True,
    outer_rate=2e-3,
    outer_decay="cosine",
    outer_steps=1500,
    tasks=4,
    largest_gradient=10.0,
)

#: Trains in minutes on two cores. With the paper's inner rate 300 steps learn no more than which
#: points a task has; without clipping one run in four of this one diverged.
CSI_SMALL = MetaSettings(
    inner_rate=0.1,
    inner_steps=5,
    adaptation_steps=10,
    first_order=True,
    outer_rate=3e-3,
    outer_decay="cosine",
    outer_steps=160,
    tasks=4,
    largest_gradient=5.0,
)
