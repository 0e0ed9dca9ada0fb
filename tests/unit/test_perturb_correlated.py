"""Draws that belong together: correlations as declared, every distribution as declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from twin.config import validate
from twin.errors import InputError
from twin.perturb.check import check_table
from twin.perturb.draw import draw, draws_of
from twin.perturb.numbers import Seeded, factors, uniform_keys
from twin.perturb.realise import realise, realise_at
from twin.perturb.table import Correlation, PerturbationTable, correlation_root
from twin.scene.declaration import Scene
from twin.scene.fields import leaves

BOX: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())
SCENE = validate(BOX, Scene, "box")
LEAVES = tuple(leaves(SCENE))
DRAWS = 1500


def quantity(name: str, path: str, **changes: Any) -> dict[str, Any]:
    made = {
        "name": name,
        "path": path,
        "apply": "add",
        "unit": "m",
        "distribution": {"kind": "uniform", "low": -0.1, "high": 0.1},
        "description": "d",
    }
    return made | changes


HEIGHT = quantity("height", "room.height_m")
EAR = quantity(
    "ear", "receivers.grid.height_m", distribution={"kind": "normal", "mean": 0, "std": 0.02}
)
AP_X = quantity("ap_x", "access_points.*.position_m.x")
AP_Z = quantity("ap_z", "access_points.*.position_m.z")
SOUTH = quantity("south", "room.wall_offsets_m.0")


def table(*quantities: dict[str, Any], **more: Any) -> PerturbationTable:
    content = {"schema": "fingertwin/perturbation@2", "scene": "box", "quantities": quantities}
    return validate(content | more, PerturbationTable, "table")


def together(matrix: list[list[float]], *names: str) -> dict[str, Any]:
    return {"correlations": [{"quantities": list(names), "matrix": matrix}]}


def samples(made: PerturbationTable) -> dict[str, np.ndarray[Any, Any]]:
    rows = [draws_of(made, LEAVES, Seeded(3, "box", index), 1.0) for index in range(DRAWS)]
    return {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}


def scores(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return stats.norm.ppf((stats.rankdata(values) - 0.5) / len(values))


def correlation(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> float:
    return float(np.corrcoef(scores(first), scores(second))[0, 1])


def test_correlations_and_distributions_are_those_declared() -> None:
    matrix = [[1, 0.7, -0.5], [0.7, 1, 0], [-0.5, 0, 1]]
    made = table(HEIGHT, EAR, SOUTH, **together(matrix, "height", "ear", "south"))
    assert check_table(made, SCENE, "table") == []
    drawn = samples(made)
    assert correlation(drawn["height"], drawn["ear"]) == pytest.approx(0.7, abs=0.08)
    assert correlation(drawn["height"], drawn["south"]) == pytest.approx(-0.5, abs=0.08)
    assert correlation(drawn["ear"], drawn["south"]) == pytest.approx(0.0, abs=0.08)
    uniform = stats.uniform(-0.1, 0.2)
    for name, law in (("height", uniform), ("ear", stats.norm(0, 0.02)), ("south", uniform)):
        assert stats.kstest(drawn[name], law.cdf).pvalue > 1e-3


def test_elements_belong_together_one_by_one() -> None:
    made = table(AP_X, AP_Z, **together([[1, 0.9], [0.9, 1]], "ap_x", "ap_z"))
    drawn = samples(made)
    for ap, other in (("AP1", "AP2"), ("AP2", "AP1")):
        assert correlation(drawn[f"ap_x[{ap}]"], drawn[f"ap_z[{ap}]"]) > 0.85
        assert abs(correlation(drawn[f"ap_x[{ap}]"], drawn[f"ap_z[{other}]"])) < 0.08


def test_one_factor_ties_the_elements_of_a_quantity() -> None:
    drawn = samples(table(AP_X | {"common": 0.6}))
    assert correlation(drawn["ap_x[AP1]"], drawn["ap_x[AP2]"]) == pytest.approx(0.6, abs=0.08)
    for values in drawn.values():
        assert stats.kstest(values, stats.uniform(-0.1, 0.2).cdf).pvalue > 1e-3
    same = samples(table(AP_X | {"common": 1.0}))
    np.testing.assert_array_equal(same["ap_x[AP1]"], same["ap_x[AP2]"])


def test_both_ways_of_belonging_together_hold_at_once() -> None:
    tied = [each | {"common": 0.5} for each in (AP_X, AP_Z)]
    drawn = samples(table(*tied, **together([[1, 0.8], [0.8, 1]], "ap_x", "ap_z")))
    assert correlation(drawn["ap_x[AP1]"], drawn["ap_z[AP1]"]) == pytest.approx(0.8, abs=0.08)
    assert correlation(drawn["ap_x[AP1]"], drawn["ap_x[AP2]"]) == pytest.approx(0.5, abs=0.08)
    assert correlation(drawn["ap_x[AP1]"], drawn["ap_z[AP2]"]) == pytest.approx(0.4, abs=0.08)


def test_a_singular_matrix_ties_for_good() -> None:
    matrix = [[1, 1, -1], [1, 1, -1], [-1, -1, 1]]
    three = [quantity(f"w{i}", f"room.wall_offsets_m.{i}") for i in range(3)]
    made = table(*three, **together(matrix, "w0", "w1", "w2"))
    drawn = draw(made, SCENE, 1, 0)
    assert drawn["w0"] == drawn["w1"] == pytest.approx(-float(drawn["w2"]))


def test_the_first_keeps_its_draw_and_others_are_left_alone() -> None:
    free = draw(table(HEIGHT, SOUTH, AP_X), SCENE, 1, 0)
    tied = draw(
        table(HEIGHT, SOUTH, AP_X, **together([[1, 0.8], [0.8, 1]], "height", "south")),
        SCENE,
        1,
        0,
    )
    assert tied["height"] == pytest.approx(float(free["height"]), abs=1e-12)
    assert tied["south"] != pytest.approx(float(free["south"]), abs=1e-3)
    assert {name: tied[name] for name in ("ap_x[AP1]", "ap_x[AP2]")} == {
        name: free[name] for name in ("ap_x[AP1]", "ap_x[AP2]")
    }


def test_correlated_quantities_are_one_factor() -> None:
    made = table(
        HEIGHT, AP_X | {"common": 0.5}, SOUTH, **together([[1, 0], [0, 1]], "height", "south")
    )
    assert factors(made, SCENE) == {
        "height, south": ("height", "south"),
        "ap_x": ("ap_x[AP1]", "ap_x[AP2]", "ap_x[*]"),
    }
    assert uniform_keys(made, SCENE) == ("height", "south", "ap_x[AP1]", "ap_x[AP2]", "ap_x[*]")
    high = realise_at(SCENE, made, {"ap_x[AP1]": 0.5, "ap_x[AP2]": 0.5, "ap_x[*]": 0.9})
    low = realise_at(SCENE, made, {"ap_x[AP1]": 0.5, "ap_x[AP2]": 0.5, "ap_x[*]": 0.5})
    assert high.drawn["ap_x[AP1]"] == high.drawn["ap_x[AP2]"]
    assert float(high.drawn["ap_x[AP1]"]) > float(low.drawn["ap_x[AP1]"])
    assert low.drawn["ap_x[AP1]"] == pytest.approx(0.0, abs=1e-12)
    assert (high.drawn["height"], high.drawn["south"]) == (0.0, 0.0)


def test_correlated_draws_scale_with_severity() -> None:
    made = table(HEIGHT, SOUTH, **together([[1, 0.8], [0.8, 1]], "height", "south"))
    half, full = (realise(SCENE, made, 2, 0, severity=s).drawn for s in (0.5, 1.0))
    for name in half:
        assert half[name] == pytest.approx(float(full[name]) / 2)


MATRICES = {
    "not square": ([[1, 0.5]], "2 rows with 2 numbers"),
    "not symmetric": ([[1, 0.5], [0.4, 1]], "symmetric"),
    "not of ones": ([[1, 0.5], [0.5, 0.9]], "ones on its diagonal"),
    "beyond one": ([[1, 1.5], [1.5, 1]], "less than or equal to 1"),
}


@pytest.mark.parametrize("what", MATRICES)
def test_what_is_no_correlation_matrix_is_refused(what: str) -> None:
    matrix, message = MATRICES[what]
    with pytest.raises(InputError, match=message):
        table(HEIGHT, SOUTH, **together(matrix, "height", "south"))


def test_correlations_that_cannot_hold_together_are_refused() -> None:
    matrix = [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]
    with pytest.raises(InputError, match="positive semi-definite"):
        table(HEIGHT, SOUTH, AP_X, **together(matrix, "height", "south", "ap_x"))


# Least eigenvalues above -1e-6, yet next to a pair that is all but tied the third is not.
ALL_BUT_TIED = [
    [[1, 0.999999995, 0], [0.999999995, 1, 1e-3], [0, 1e-3, 1]],
    [[1, 0.9999999, 0.9], [0.9999999, 1, 0.8995], [0.9, 0.8995, 1]],
]


@pytest.mark.parametrize("matrix", ALL_BUT_TIED)
def test_correlations_that_a_draw_would_miss_are_refused(matrix: list[list[float]]) -> None:
    with pytest.raises(InputError, match=r"would be missed by \S+; write such a pair as 1"):
        table(HEIGHT, SOUTH, EAR, **together(matrix, "height", "south", "ear"))


SOUND = {
    "all but singular": [[1, 0.999999995, 0.3], [0.999999995, 1, 0.3], [0.3, 0.3, 1]],
    "singular": [[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]],
    "singular but for rounding": [[1, -0.5000002, -0.5], [-0.5000002, 1, -0.5], [-0.5, -0.5, 1]],
    "far from it": [[1, 0.7, -0.5], [0.7, 1, 0], [-0.5, 0, 1]],
}


@pytest.mark.parametrize("what", SOUND)
def test_what_is_mixed_keeps_its_distribution(what: str) -> None:
    made = table(HEIGHT, SOUTH, EAR, **together(SOUND[what], "height", "south", "ear"))
    root = np.array(correlation_root(made.correlations[0].matrix))
    assert (root**2).sum(axis=1) == pytest.approx(1.0, abs=1e-15)
    assert root[0].tolist() == [1.0, 0.0, 0.0]
    np.testing.assert_allclose(root @ root.T, SOUND[what], atol=1e-5)


def test_positive_semi_definite_matrices_are_never_refused() -> None:
    # Of all ranks, with pairs from tied to free.
    random = np.random.default_rng(4)
    for rank in (1, 2, 3, 4):
        for spread in (1.0, 1e-3, 1e-5, 1e-7):
            rows = random.normal(size=(4, rank))
            rows[1:] = rows[0] + spread * rows[1:]
            rows /= np.linalg.norm(rows, axis=1)[:, None]
            matrix = np.clip(rows @ rows.T, -1.0, 1.0)
            matrix = (matrix + matrix.T) / 2
            np.fill_diagonal(matrix, 1.0)
            found = Correlation(quantities=tuple("abcd"), matrix=tuple(map(tuple, matrix.tolist())))
            assert len(found.matrix) == 4


def test_a_quantity_with_itself_is_refused() -> None:
    with pytest.raises(InputError, match="every quantity once"):
        table(HEIGHT, **together([[1, 1], [1, 1]], "height", "height"))


PAIR = [[1.0, 0.5], [0.5, 1.0]]
# what: (quantities, correlations, key, part of the fault)
MISFITS: dict[str, tuple[list[dict[str, Any]], list[Any], str, str]] = {
    "unknown": ([HEIGHT, SOUTH], [["height", "sooth"]], "correlations.0.quantities", "mean south?"),
    "other elements": (
        [HEIGHT, AP_X],
        [["height", "ap_x"]],
        "correlations.0.quantities",
        "height: one draw; ap_x: AP1, AP2",
    ),
    "other periods": (
        [HEIGHT, SOUTH | {"varies": "never"}],
        [["height", "south"]],
        "correlations.0.quantities",
        "height: each, south: never",
    ),
    "other factors": (
        [AP_X | {"common": 0.5}, AP_Z],
        [["ap_x", "ap_z"]],
        "correlations.0.quantities",
        "ap_x: 0.5, ap_z: 0",
    ),
    "in two": (
        [HEIGHT, SOUTH, quantity("east", "room.wall_offsets_m.1")],
        [["height", "south"], ["south", "east"]],
        "correlations.1.quantities",
        "one correlation only",
    ),
    "common to one": ([HEIGHT | {"common": 0.5}], [], "quantities.height.common", "one draw"),
    "common though shared": (
        [AP_X | {"common": 0.5, "shared": True}],
        [],
        "quantities.ap_x.common",
        "one draw",
    ),
}


@pytest.mark.parametrize("what", MISFITS)
def test_misfits_are_refused(what: str) -> None:
    quantities, groups, key, text = MISFITS[what]
    correlations = [{"quantities": names, "matrix": PAIR} for names in groups]
    made = table(*quantities, correlations=correlations)
    (fault,) = check_table(made, SCENE, "table")
    assert fault.key == key
    assert text in str(fault)
