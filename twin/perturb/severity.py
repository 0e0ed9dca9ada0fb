"""One knob from the scene as declared (0) to its table (1) and beyond.

The random number stays the same at every severity, so that realisations at different severities
are pairs. What a draw does grows with the severity s:

- `add`: the deviation v becomes s v.
- `multiply`: the factor v becomes v to the power of s; 1 + s (v - 1) where the distribution
  has no lower bound above zero, which a power would need.
- `set` of numbers: the declared value d becomes d + s (v - d).
- A choice and a truth value leave what changes nothing (`set`: the declared value) with s times the
  probability, at most one. What leaves at some severity leaves at every greater one, for the same
  value.
"""

from __future__ import annotations

from twin.perturb.distributions import (
    Bernoulli,
    Choice,
    Distribution,
    level,
    outcomes,
    quantile,
)
from twin.scene.fields import Value


def neutral(apply: str, declared: Value) -> Value:
    """The draw that changes nothing."""
    return {"add": 0.0, "multiply": 1.0}.get(apply, declared)


def combine(declared: Value, drawn: Value, apply: str) -> Value:
    """Value of a realisation from the declared one and the draw; whole numbers stay whole."""
    if apply == "set" or isinstance(declared, str) or isinstance(drawn, str):
        value = drawn
    else:
        value = declared + drawn if apply == "add" else declared * drawn
    whole = isinstance(declared, int) and not isinstance(declared, bool)
    return int(value) if whole and float(value).is_integer() else value


def drawn_at(
    distribution: Distribution, apply: str, declared: Value, u: float, severity: float
) -> Value:
    """Draw of a distribution at u in [0, 1) and a severity from 0 up.

    At severity 1 it is `quantile(distribution, u)` to the bit, at 0 exactly `neutral`.
    """
    still = neutral(apply, declared)
    if severity == 1.0:
        return quantile(distribution, u)
    if severity == 0.0:
        return still
    if isinstance(distribution, Bernoulli | Choice):
        return _leaving(outcomes(distribution), still, u, severity)
    value = level(distribution, u)
    if apply == "multiply" and distribution.low is not None and distribution.low > 0.0:
        return float(value**severity)
    return float(still) + severity * (value - float(still))


def _leaving(
    cells: tuple[tuple[Value, float], ...], still: Value, u: float, severity: float
) -> Value:
    """Outcome at u when the probability of every outcome but `still` grows with the severity.

    The unit interval is cut into one cell an outcome. Up to severity 1 the first part of each cell
    leaves; beyond, all of it, and the cell of `still` gives of its own: it is cut like the whole.
    """
    value, along = _cell(cells, u)
    if value != still:
        return value if severity > 1.0 or along < severity else still
    others = tuple((other, share) for other, share in cells if other != still and share > 0.0)
    leaving = sum(share for _, share in others)
    if severity <= 1.0 or leaving == 0.0:
        return still
    given = (severity - 1.0) * leaving / (1.0 - leaving)
    other, within = _cell(tuple((v, share / leaving) for v, share in others), along)
    return other if within < given else still


def _cell(cells: tuple[tuple[Value, float], ...], u: float) -> tuple[Value, float]:
    """The cell that holds u, and where in it (0 to 1)."""
    start = 0.0
    last = None
    for value, share in cells:
        if share > 0.0:
            last = value, min((u - start) / share, 1.0)
            if u < start + share:
                return last
        start += share
    if last is None:
        raise AssertionError("a distribution has an outcome")
    return last
