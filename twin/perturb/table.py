"""The table of uncertain quantities that stands beside a scene."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from twin.config import StrictModel
from twin.scene.declaration import SceneName, Text
from twin.scene.fields import Value

SCHEMA = "fingertwin/perturbation@1"

QuantityName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


class Normal(StrictModel):
    """Normal distribution, truncated to [low, high] (mass outside is spread over the inside)."""

    kind: Literal["normal"]
    mean: float
    std: Annotated[float, Field(gt=0.0)]
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.mean <= self.high or self.low == self.high:
            raise ValueError("low <= mean <= high with low < high")
        return self


class Uniform(StrictModel):
    """Uniform between low and high."""

    kind: Literal["uniform"]
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low < high")
        return self


class LogUniform(StrictModel):
    """Uniform in the logarithm between low and high, both above zero."""

    kind: Literal["loguniform"]
    low: Annotated[float, Field(gt=0.0)]
    high: Annotated[float, Field(gt=0.0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low < high")
        return self


class Bernoulli(StrictModel):
    """True with a probability."""

    kind: Literal["bernoulli"]
    probability: Annotated[float, Field(ge=0.0, le=1.0)]


class Choice(StrictModel):
    """One of several values, equally likely unless weighted (weights need not add up to one)."""

    kind: Literal["choice"]
    values: Annotated[tuple[Value, ...], Field(min_length=1)]
    weights: tuple[Annotated[float, Field(ge=0.0)], ...] | None = None

    @model_validator(mode="after")
    def _one_weight_a_value(self) -> Self:
        if self.weights is not None and (
            len(self.weights) != len(self.values) or sum(self.weights) <= 0.0
        ):
            raise ValueError(f"{len(self.values)} weights, not all zero")
        return self


Distribution = Annotated[
    Normal | Uniform | LogUniform | Bernoulli | Choice, Field(discriminator="kind")
]


class Quantity(StrictModel):
    """One uncertain quantity.

    Args:
        name: names the random stream: renaming draws anew, reordering the table does not.
        path: dotted path into the scene; ``*`` stands for any part of one step, and every value
            that matches gets a draw of its own.
        shared: one draw for all values that match, for what they have in common.
        apply: how the draw changes the declared value.
        unit: of the draw; checked against the scene ("1" for factors, truth values and texts).
    """

    name: QuantityName
    path: Text
    shared: bool = False
    apply: Literal["add", "multiply", "set"]
    distribution: Distribution
    unit: Text
    description: Text


class PerturbationTable(StrictModel):
    """All uncertain quantities of one scene."""

    model_config = ConfigDict(title="Fingertwin perturbation table")

    schema_version: Literal["fingertwin/perturbation@1"] = Field(alias="schema")
    scene: SceneName
    quantities: tuple[Quantity, ...]
