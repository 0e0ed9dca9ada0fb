"""Path loss, line of sight and shadow fading by statistics: the pieces, and MetaLoc's five models.

Models (a) to (e) of MetaLoc (IEEE JSAC 41(12), 2023, section IV-A). A piece is a strict model, so a
study may also declare one in YAML. What the paper leaves open, and what was chosen:
docs/statistical-environments.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from twin.config import StrictModel
from twin.errors import Fault, refuse
from twin.units import free_space_path_gain_db

Floats = npt.NDArray[np.float64]

PositiveMetres = Annotated[float, Field(gt=0.0, le=1e6)]
Deviation = Annotated[float, Field(ge=0.0, le=50.0)]


class Exponent(StrictModel):
    """Path-loss exponent that may change with frequency: n (1 + b (f - f0) / f0).

    Source: Haneda et al., ICC Workshops 2016, the CIF model; b = 0 is the CI model.

    Args:
        value: n, at the centre frequency.
        weight: b.
        centre_ghz: f0; without effect where b is 0.
    """

    value: Annotated[float, Field(gt=0.0, le=20.0)]
    weight: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.0
    centre_ghz: Annotated[float, Field(gt=0.0, le=1000.0)] = 1.0

    def at(self, frequency_hz: float) -> float:
        """Exponent on a carrier."""
        return self.value * (1.0 + self.weight * (frequency_hz / 1e9 / self.centre_ghz - 1.0))


class CloseIn(StrictModel):
    """Single slope from free space at 1 m, CI or CIF: 20 lg(4 pi f / c) + 10 n(f) lg d.

    Source: Haneda et al. 2016 (CI and CIF models); the vanilla log-distance model of Bose and Foh
    (ICICS 2007, eq. 1; MetaLoc eq. 1) has the same form.
    """

    kind: Literal["close_in"] = "close_in"
    exponent: Exponent

    def loss_db(self, distance_m: npt.ArrayLike, frequency_hz: float) -> Floats:
        """Median path loss [dB] at distances > 0 [m], in their shape."""
        at_reference = -free_space_path_gain_db(1.0, frequency_hz)
        return at_reference + 10.0 * self.exponent.at(frequency_hz) * np.log10(distance_m)


class AlphaBetaGamma(StrictModel):
    """Single slope fitted freely, ABG: 10 alpha lg d + beta + 10 gamma lg(f / GHz).

    Source: Haneda et al. 2016 (ABG model); the formulas of 3GPP TR 38.901, table 7.4.1-1, for
    indoor places have the same form.

    Args:
        alpha: slope over distance.
        beta_db: intercept.
        gamma: slope over frequency.
    """

    kind: Literal["alpha_beta_gamma"] = "alpha_beta_gamma"
    alpha: Annotated[float, Field(gt=0.0, le=20.0)]
    beta_db: Annotated[float, Field(ge=-100.0, le=200.0)]
    gamma: Annotated[float, Field(ge=-10.0, le=10.0)]

    def loss_db(self, distance_m: npt.ArrayLike, frequency_hz: float) -> Floats:
        """Median path loss [dB] at distances > 0 [m], in their shape."""
        at_reference = self.beta_db + 10.0 * self.gamma * math.log10(frequency_hz / 1e9)
        return np.asarray(at_reference + 10.0 * self.alpha * np.log10(distance_m))


SingleSlope = Annotated[CloseIn | AlphaBetaGamma, Field(discriminator="kind")]


class DualSlope(StrictModel):
    """A single slope up to a breakpoint and another exponent beyond, continuous.

    Source: Haneda et al. 2016, eq. 7 (dual slope ABG: `near` is ABG, the weight of `far` is 0) and
    eq. 8 (dual slope CIF: `near` is CIF).
    """

    kind: Literal["dual_slope"] = "dual_slope"
    near: SingleSlope
    breakpoint_m: PositiveMetres
    far: Exponent

    def loss_db(self, distance_m: npt.ArrayLike, frequency_hz: float) -> Floats:
        """Median path loss [dB] at distances > 0 [m], in their shape."""
        distance = np.asarray(distance_m, dtype=np.float64)
        beyond = np.log10(np.maximum(distance / self.breakpoint_m, 1.0))
        inside = self.near.loss_db(np.minimum(distance, self.breakpoint_m), frequency_hz)
        return inside + 10.0 * self.far.at(frequency_hz) * beyond


class Greatest(StrictModel):
    """The greatest of several losses, as 3GPP TR 38.901, table 7.4.1-1, bounds NLOS by LOS."""

    kind: Literal["greatest"] = "greatest"
    of: Annotated[
        tuple[Annotated[CloseIn | AlphaBetaGamma | DualSlope, Field(discriminator="kind")], ...],
        Field(min_length=1),
    ]

    def loss_db(self, distance_m: npt.ArrayLike, frequency_hz: float) -> Floats:
        """Median path loss [dB] at distances > 0 [m], in their shape."""
        losses = [loss.loss_db(distance_m, frequency_hz) for loss in self.of]
        return np.asarray(np.max(losses, axis=0))


Loss = Annotated[
    CloseIn | AlphaBetaGamma | DualSlope | Greatest,
    Field(discriminator="kind"),
]


class LosProbability(StrictModel):
    """Probability of line of sight: 1, then two exponential falls, over distance in plan.

    exp(-(d - sure) / first) beyond `sure_m`, share x exp(-(d - second) / scale) from
    `second_from_m` on. Source: 3GPP TR 38.901, table 7.4.2-1 (indoor office, mixed and open);
    Haneda et al. 2016, eq. 1.

    Args:
        sure_m: distance up to which there is always line of sight.
        first_scale_m: of the first fall.
        second_from_m: where the second fall starts.
        second_scale_m: of the second fall.
        second_share: probability where the second fall starts.
    """

    sure_m: PositiveMetres
    first_scale_m: PositiveMetres
    second_from_m: PositiveMetres
    second_scale_m: PositiveMetres
    second_share: Annotated[float, Field(ge=0.0, le=1.0)]

    def at(self, distance_m: npt.ArrayLike) -> Floats:
        """Probability at distances in plan [m], in their shape."""
        distance = np.asarray(distance_m, dtype=np.float64)
        first = np.exp(-np.maximum(distance - self.sure_m, 0.0) / self.first_scale_m)
        past = np.maximum(distance - self.second_from_m, 0.0)
        second = self.second_share * np.exp(-past / self.second_scale_m)
        # The published pieces meet within 0.004 only; the join itself is the second's here.
        return np.asarray(np.where(distance < self.second_from_m, first, second))


MIXED_OFFICE = LosProbability(
    sure_m=1.2, first_scale_m=4.7, second_from_m=6.5, second_scale_m=32.6, second_share=0.32
)
OPEN_OFFICE = LosProbability(
    sure_m=5.0, first_scale_m=70.8, second_from_m=49.0, second_scale_m=211.7, second_share=0.54
)


class Condition(StrictModel):
    """Median loss, and the standard deviation [dB] of the log-normal shadow fading around it."""

    loss: Loss
    shadowing_std_db: Deviation


class OneCondition(StrictModel):
    """One law for all links.

    Args:
        condition: the law.
        los: whether that is one of line of sight; null where the law does not tell.
    """

    kind: Literal["one_condition"] = "one_condition"
    condition: Condition
    los: bool | None


class MixedConditions(StrictModel):
    """Links in and out of line of sight, drawn for each pair of access point and point."""

    kind: Literal["mixed"] = "mixed"
    los: Condition
    nlos: Condition
    probability: LosProbability


Model = OneCondition | MixedConditions


def vanilla(exponent: float = 3.0, shadowing_std_db: float = 3.0) -> OneCondition:
    """MetaLoc's model (a): log-distance (Bose and Foh 2007, eq. 1; MetaLoc eq. 1).

    The defaults are a choice: the paper says that the exponent is typically above 2 and the
    deviation between 3 and 20 dB. The antenna gain G is the environment's.
    """
    loss = CloseIn(exponent=Exponent(value=exponent))
    return OneCondition(condition=Condition(loss=loss, shadowing_std_db=shadowing_std_db), los=None)


def mall_nlos() -> OneCondition:
    """MetaLoc's model (b): shopping mall, NLOS, dual slope ABG (Haneda et al. 2016, eq. 7)."""
    loss = DualSlope(
        near=AlphaBetaGamma(alpha=2.9, beta_db=22.17, gamma=2.24),
        breakpoint_m=147.0,
        far=Exponent(value=11.47),
    )
    return OneCondition(condition=Condition(loss=loss, shadowing_std_db=6.36), los=False)


def office_single_slope() -> MixedConditions:
    """MetaLoc's model (c): office, LOS and NLOS, single slope (3GPP TR 38.901, InH-Office)."""
    los = AlphaBetaGamma(alpha=1.73, beta_db=32.4, gamma=2.0)
    nlos = AlphaBetaGamma(alpha=3.83, beta_db=17.3, gamma=2.49)
    return MixedConditions(
        los=Condition(loss=los, shadowing_std_db=3.0),
        nlos=Condition(loss=Greatest(of=(los, nlos)), shadowing_std_db=8.03),
        probability=MIXED_OFFICE,
    )


def office_frequency_dependent() -> MixedConditions:
    """MetaLoc's model (d): office, CI in LOS, CIF in NLOS (Haneda et al. 2016, eqs. 2 and 5)."""
    nlos = CloseIn(exponent=Exponent(value=3.19, weight=0.06, centre_ghz=24.2))
    return MixedConditions(
        los=Condition(loss=CloseIn(exponent=Exponent(value=1.73)), shadowing_std_db=3.02),
        nlos=Condition(loss=nlos, shadowing_std_db=8.29),
        probability=MIXED_OFFICE,
    )


def mall_mixed() -> MixedConditions:
    """MetaLoc's model (e): mall, CI in LOS, dual slope CIF in NLOS (Haneda et al., eqs. 2, 8)."""
    nlos = DualSlope(
        near=CloseIn(exponent=Exponent(value=2.43, weight=-0.01, centre_ghz=39.5)),
        breakpoint_m=110.0,
        far=Exponent(value=8.36, weight=0.39, centre_ghz=39.5),
    )
    return MixedConditions(
        los=Condition(loss=CloseIn(exponent=Exponent(value=1.73)), shadowing_std_db=2.01),
        nlos=Condition(loss=nlos, shadowing_std_db=6.26),
        probability=MIXED_OFFICE,
    )


MODELS: Mapping[str, Model] = {
    "vanilla": vanilla(),
    "mall_nlos": mall_nlos(),
    "office_single_slope": office_single_slope(),
    "office_frequency_dependent": office_frequency_dependent(),
    "mall_mixed": mall_mixed(),
}


def with_shadowing(
    model: Model, *, los_db: float | None = None, nlos_db: float | None = None
) -> Model:
    """A model with other deviations of its shadow fading, its draws kept (scaled).

    Args:
        model: one of mixed conditions has both; one of a single condition takes `los_db` where
            that is line of sight, else `nlos_db`.
        los_db: of links in line of sight; None: as it is.
        nlos_db: of all other links; None: as it is.

    Raises:
        InputError: a deviation outside 0 to 50 dB, or of a condition that the model does not have.
    """
    given = {"los": los_db, "nlos": nlos_db}
    if isinstance(model, MixedConditions):
        fields = {"los": "los", "nlos": "nlos"}
    else:
        fields = {"los" if model.los else "nlos": "condition"}
    faults, changed = [], {}
    for key, deviation in given.items():
        if deviation is None:
            continue
        if key not in fields:
            faults.append(Fault("with_shadowing", f"{key}_db", "none", f"{deviation:g}"))
        elif not 0.0 <= deviation <= 50.0:
            faults.append(Fault("with_shadowing", f"{key}_db", "0 to 50 dB", f"{deviation:g}"))
        else:
            condition = getattr(model, fields[key])
            changed[fields[key]] = condition.model_copy(update={"shadowing_std_db": deviation})
    refuse(faults)
    return model.model_copy(update=changed)
