"""How an uncertain value is spread."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.special import ndtr, ndtri

from twin.config import StrictModel
from twin.scene.fields import Value

# One in sixteen thousand draws of a normal distribution without bounds lies farther out.
_REACH = 4.0
_ABOVE_ZERO, _BELOW_ONE = 2.0**-54, math.nextafter(1.0, 0.0)


class Normal(StrictModel):
    """Normal distribution; truncated where `low` or `high` is given.

    The mass outside is spread over the inside.

    Args:
        kind: of the distribution.
        mean: before it is cut off, in the unit of the quantity.
        std: standard deviation before it is cut off, in the unit of the quantity.
        low: least value; none where not given.
        high: greatest value; none where not given.
    """

    kind: Literal["normal"]
    mean: float
    std: Annotated[float, Field(gt=0.0)]
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if not low <= self.mean <= high or low == high:
            raise ValueError("low <= mean <= high with low < high")
        return self


class Uniform(StrictModel):
    """Uniform between low and high.

    Args:
        kind: of the distribution.
        low: least value, in the unit of the quantity.
        high: greatest value, in the unit of the quantity.
    """

    kind: Literal["uniform"]
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low < high")
        return self


class LogUniform(StrictModel):
    """Uniform in the logarithm between low and high, both above zero.

    Args:
        kind: of the distribution.
        low: least value, in the unit of the quantity.
        high: greatest value, in the unit of the quantity.
    """

    kind: Literal["loguniform"]
    low: Annotated[float, Field(gt=0.0)]
    high: Annotated[float, Field(gt=0.0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low < high")
        return self


class Bernoulli(StrictModel):
    """True with a probability.

    Args:
        kind: of the distribution.
        probability: of true.
    """

    kind: Literal["bernoulli"]
    probability: Annotated[float, Field(ge=0.0, le=1.0)]


class Choice(StrictModel):
    """One of several values, equally likely unless weighted (weights need not add up to one).

    Args:
        kind: of the distribution.
        values: that may be drawn.
        weights: one for each value.
    """

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
# Those of a length or an angle.
Spread = Annotated[Normal | Uniform | LogUniform, Field(discriminator="kind")]


def quantile(distribution: Distribution, u: float) -> Value:
    """Value of a distribution at u in [0, 1): uniform u gives draws of that distribution."""
    if isinstance(distribution, Bernoulli):
        return u < distribution.probability
    if isinstance(distribution, Choice):
        steps = np.cumsum(_weights(distribution))
        chosen = int(np.searchsorted(steps, u * steps[-1], side="right"))
        return distribution.values[chosen]
    return level(distribution, u)


def level(distribution: Spread, u: float) -> float:
    """Number of a continuous distribution at u in [0, 1)."""
    if isinstance(distribution, Normal):
        low = -math.inf if distribution.low is None else distribution.low
        high = math.inf if distribution.high is None else distribution.high
        mean, std = distribution.mean, distribution.std
        below, above = float(ndtr((low - mean) / std)), float(ndtr((high - mean) / std))
        share = below + u * (above - below)
        # Without a bound this end of the unit interval would lie at infinity.
        share = max(share, _ABOVE_ZERO) if distribution.low is None else share
        share = min(share, _BELOW_ONE) if distribution.high is None else share
        value = mean + std * float(ndtri(share))
        return min(max(value, low), high)
    low, high = distribution.low, distribution.high
    if isinstance(distribution, LogUniform):
        value = low * math.exp(u * math.log(high / low))
    else:
        value = low + u * (high - low)
    return min(max(value, low), high)


def reach(distribution: Spread) -> tuple[float, float]:
    """Least and greatest draw; of a side without a bound, four standard deviations out."""
    if not isinstance(distribution, Normal):
        return distribution.low, distribution.high
    low, high = distribution.low, distribution.high
    away = _REACH * distribution.std
    return (
        distribution.mean - away if low is None else low,
        distribution.mean + away if high is None else high,
    )


def outcomes(distribution: Bernoulli | Choice) -> tuple[tuple[Value, float], ...]:
    """Every outcome and its probability, in the order that `quantile` runs through them."""
    if isinstance(distribution, Bernoulli):
        chance = distribution.probability
        return ((True, chance), (False, 1.0 - chance))
    weights = _weights(distribution)
    total = sum(weights)
    shares = (weight / total for weight in weights)
    return tuple(zip(distribution.values, shares, strict=True))


def _weights(distribution: Choice) -> tuple[float, ...]:
    return distribution.weights or (1.0,) * len(distribution.values)
