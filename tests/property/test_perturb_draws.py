"""Laws of the draws: named streams, independence of order, distributions as declared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from twin.config import validate
from twin.perturb.draw import draw, quantile
from twin.perturb.library import load_table
from twin.perturb.realise import realise
from twin.perturb.table import Distribution, PerturbationTable, Quantity
from twin.scene.declaration import scene_digest
from twin.scene.library import load_scene

SCENE = load_scene("office_wing")
TABLE = load_table("office_wing", SCENE)

units = st.floats(0.0, 1.0, exclude_max=True)


def distribution(**content: Any) -> Distribution:
    quantity = {
        "name": "q",
        "path": "p",
        "apply": "add",
        "unit": "1",
        "description": "d",
        "distribution": content,
    }
    return validate(quantity, Quantity, "q").distribution


def shortened(keep: list[int]) -> PerturbationTable:
    return TABLE.model_copy(update={"quantities": tuple(TABLE.quantities[i] for i in keep)})


@settings(max_examples=15, deadline=None)
@given(
    keep=st.permutations(range(len(TABLE.quantities))).flatmap(
        lambda order: st.integers(1, len(order)).map(lambda count: order[:count])
    ),
    seed=st.integers(0, 2**63),
    realisation=st.integers(0, 10_000),
)
def test_other_quantities_change_no_draw(keep: list[int], seed: int, realisation: int) -> None:
    full = draw(TABLE, SCENE, seed, realisation)
    part = draw(shortened(keep), SCENE, seed, realisation)
    assert part == {name: full[name] for name in part}
    assert len(part) >= len(keep)


def test_another_access_point_changes_no_draw() -> None:
    fewer = SCENE.model_copy(update={"access_points": SCENE.access_points[1:]})
    full, part = (draw(TABLE, scene, 1, 2) for scene in (SCENE, fewer))
    assert set(full) - set(part) == {name for name in full if name.endswith("[AP1]")}
    assert part == {name: full[name] for name in part}


def test_realisations_do_not_depend_on_order() -> None:
    forward = [scene_digest(realise(SCENE, TABLE, 9, i).scene) for i in (0, 1, 2)]
    backward = [scene_digest(realise(SCENE, TABLE, 9, i).scene) for i in (2, 1, 0)]
    assert forward == backward[::-1]
    assert len(set(forward)) == 3


def test_seed_realisation_scene_and_name_each_give_other_draws() -> None:
    base = draw(TABLE, SCENE, 1, 1)
    renamed = TABLE.model_copy(
        update={
            "quantities": tuple(
                q.model_copy(update={"name": f"{q.name}_2"}) for q in TABLE.quantities
            )
        }
    )
    elsewhere = SCENE.model_copy(update={"name": "attic"})
    moved = TABLE.model_copy(update={"scene": "attic"})
    for other in (
        draw(TABLE, SCENE, 2, 1),
        draw(TABLE, SCENE, 1, 2),
        draw(moved, elsewhere, 1, 1),
        {name.replace("_2", "", 1): v for name, v in draw(renamed, SCENE, 1, 1).items()},
    ):
        assert set(other) == set(base)
        numbers = [name for name, value in base.items() if isinstance(value, float)]
        assert all(other[name] != base[name] for name in numbers)


def test_draws_are_pinned() -> None:
    # Stores name their content by seed: a change here makes every published store unrepeatable.
    drawn = draw(TABLE, SCENE, seed=20_240_611, realisation=0)
    assert drawn["ap_x[AP1]"] == pytest.approx(0.021254523011230972, rel=1e-12)
    assert drawn["thickness[wood]"] == pytest.approx(0.945890790377905, rel=1e-12)
    assert drawn["ap_pattern"] == "dipole"


@given(
    # Nearer to one, a step of u is a step of the value.
    u=st.floats(0.0, 1.0 - 1e-9),
    mean=st.floats(-5, 5),
    below=st.floats(0, 10),
    above=st.floats(0.01, 10),
    std=st.floats(0.01, 10),
)
def test_normal_stays_within_and_follows_scipy(
    u: float, mean: float, below: float, above: float, std: float
) -> None:
    low, high = mean - below, mean + above
    value = quantile(distribution(kind="normal", mean=mean, std=std, low=low, high=high), u)
    assert isinstance(value, float)
    assert low <= value <= high
    expected = stats.truncnorm.ppf(u, (low - mean) / std, (high - mean) / std, mean, std)
    assert value == pytest.approx(expected, abs=1e-6 * max(1.0, high - low))


@given(u=units, v=units)
@pytest.mark.parametrize(
    "content",
    [
        {"kind": "uniform", "low": -2, "high": 3},
        {"kind": "loguniform", "low": 0.5, "high": 2},
        {"kind": "normal", "mean": 0, "std": 1, "low": -2, "high": 1},
    ],
)
def test_quantiles_rise_within_bounds(content: dict[str, Any], u: float, v: float) -> None:
    made = distribution(**content)
    first, second = sorted((u, v))
    low, high = quantile(made, first), quantile(made, second)
    assert content["low"] <= float(low) <= float(high) <= content["high"]


def test_quantiles_at_known_places() -> None:
    assert quantile(distribution(kind="uniform", low=-2, high=4), 0.25) == -0.5
    assert quantile(distribution(kind="loguniform", low=0.5, high=2), 0.5) == pytest.approx(1.0)
    coin = distribution(kind="bernoulli", probability=0.3)
    assert [quantile(coin, u) for u in (0.0, 0.29, 0.3, 0.9)] == [True, True, False, False]
    never, always = (distribution(kind="bernoulli", probability=p) for p in (0, 1))
    assert quantile(never, 0.0) is False
    assert quantile(always, 1.0 - 1e-16) is True


@given(u=units)
def test_choice_follows_its_weights(u: float) -> None:
    made = distribution(kind="choice", values=["a", "b", "c", "d"], weights=[1, 0, 3, 0])
    assert quantile(made, u) == ("a" if u < 0.25 else "c")


def test_choice_is_even_without_weights() -> None:
    made = distribution(kind="choice", values=[1, 2, 3, 4])
    values = [quantile(made, float(u)) for u in np.linspace(0.0, 1.0, 400, endpoint=False)]
    assert [values.count(v) for v in (1.0, 2.0, 3.0, 4.0)] == [100] * 4
