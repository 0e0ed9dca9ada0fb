"""The knob from the declared scene to the table and beyond."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from twin.config import validate
from twin.errors import InputError
from twin.perturb.draw import draw
from twin.perturb.library import load_table
from twin.perturb.numbers import factors
from twin.perturb.realise import realise
from twin.perturb.severity import combine, drawn_at, neutral
from twin.perturb.table import PerturbationTable, Quantity
from twin.scene.declaration import Scene, scene_digest
from twin.scene.library import load_scene

BOX: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())
SCENE = validate(BOX, Scene, "box")
U = (np.arange(4000) + 0.5) / 4000
SEVERITIES = (0.0, 0.2, 0.5, 0.9, 1.0, 1.3, 2.0, 5.0)


def quantity(apply: str, **distribution: Any) -> Quantity:
    content = {
        "name": "q",
        "path": "p",
        "apply": apply,
        "unit": "1",
        "description": "d",
        "distribution": distribution,
    }
    return validate(content, Quantity, "q")


def at(made: Quantity, declared: Any, severity: float) -> list[Any]:
    return [drawn_at(made.distribution, made.apply, declared, float(u), severity) for u in U]


CONTINUOUS = [
    ("add", {"kind": "uniform", "low": -1, "high": 3}, 7.0, lambda v, s: s * v),
    ("add", {"kind": "normal", "mean": 0.5, "std": 2}, 7.0, lambda v, s: s * v),
    ("multiply", {"kind": "loguniform", "low": 0.5, "high": 2}, 7.0, lambda v, s: v**s),
    ("multiply", {"kind": "normal", "mean": 1, "std": 0.3}, 7.0, lambda v, s: 1 + s * (v - 1)),
    ("set", {"kind": "uniform", "low": 1, "high": 3}, 7.0, lambda v, s: 7 + s * (v - 7)),
]


@pytest.mark.parametrize(("apply", "distribution", "declared", "expected"), CONTINUOUS)
def test_deviations_scale(apply: str, distribution: Any, declared: float, expected: Any) -> None:
    made = quantity(apply, **distribution)
    full = np.array(at(made, declared, 1.0))
    for severity in SEVERITIES:
        np.testing.assert_allclose(at(made, declared, severity), expected(full, severity))
    assert set(at(made, declared, 0.0)) == {neutral(apply, declared)}
    assert combine(declared, neutral(apply, declared), apply) == declared


@pytest.mark.parametrize(
    ("distribution", "declared"),
    [
        ({"kind": "bernoulli", "probability": 0.3}, False),
        ({"kind": "bernoulli", "probability": 0.85}, True),
        ({"kind": "bernoulli", "probability": 0.0}, True),
        ({"kind": "choice", "values": ["a", "b", "c", "d"], "weights": [1, 0, 3, 2]}, "c"),
        ({"kind": "choice", "values": ["a", "b"]}, "elsewhere"),
        ({"kind": "choice", "values": [1, 2, 4]}, 2.0),
        ({"kind": "choice", "values": ["a"]}, "a"),
    ],
)
def test_leaving_the_declared_value_gets_likelier(distribution: Any, declared: Any) -> None:
    made = quantity("set", **distribution)
    full = at(made, declared, 1.0)
    leaving = np.mean([value != declared for value in full])
    before = [declared] * len(U)
    for severity in SEVERITIES:
        now = at(made, declared, severity)
        left = np.mean([value != declared for value in now])
        assert left == pytest.approx(min(1.0, severity * leaving), abs=2e-3)
        # Who has left stays away, for the same value.
        assert all(b in (declared, n) for b, n in zip(before, now, strict=True))
        before = now


def test_outcomes_keep_their_proportions_beyond_one() -> None:
    made = quantity("set", kind="choice", values=["a", "b", "c"], weights=[1, 7, 2])
    now = at(made, "b", 2.5)
    shares = [np.mean([value == name for value in now]) for name in "abc"]
    assert shares == pytest.approx([0.25, 0.25, 0.5], abs=2e-3)


def test_number_choices_that_are_added_leave_zero() -> None:
    made = quantity("add", kind="choice", values=[-1, 0, 1])
    assert np.mean([value != 0 for value in at(made, 9.0, 0.5)]) == pytest.approx(1 / 3, abs=2e-3)


@pytest.mark.parametrize("name", ["lecture_theatre", "office_wing"])
def test_severity_zero_is_the_scene_and_one_changes_no_bit(name: str) -> None:
    scene = load_scene(name)
    uncertain = load_table(name, scene)
    for index in range(3):
        still = realise(scene, uncertain, 5, index, severity=0.0)
        assert scene_digest(still.scene) == scene_digest(scene)
        plain = realise(scene, uncertain, 5, index)
        full = realise(scene, uncertain, 5, index, severity=1.0)
        assert (plain.scene, plain.drawn) == (full.scene, full.drawn)
        assert list(still.drawn) == list(plain.drawn)
        assert still.units == plain.units


def test_realisations_at_two_severities_are_pairs() -> None:
    scene = load_scene("office_wing")
    uncertain = load_table("office_wing", scene)
    half, full = (draw(uncertain, scene, 1, 3, severity=s) for s in (0.5, 1.0))
    for name in (f"ap_x[{ap.name}]" for ap in scene.access_points):
        assert half[name] == pytest.approx(float(full[name]) / 2)
    assert half["room_height"] == pytest.approx(float(full["room_height"]) / 2)
    assert half["thickness[wood]"] == pytest.approx(float(full["thickness[wood]"]) ** 0.5)


def table(**changes: Any) -> PerturbationTable:
    made = {
        "name": "power",
        "path": "access_points.*.power_dbm",
        "apply": "add",
        "unit": "dB",
        "distribution": {"kind": "uniform", "low": 30, "high": 35},
        "description": "d",
    }
    content = {
        "schema": "fingertwin/perturbation@2",
        "scene": "box",
        "quantities": [made | changes],
    }
    return validate(content, PerturbationTable, "table")


def test_beyond_one_what_leaves_the_limits_is_refused_with_its_draw() -> None:
    with pytest.raises(InputError) as caught:
        realise(SCENE, table(), seed=0, realisation=1, severity=2.0)
    (first, *_) = caught.value.faults
    assert first.where == "realisation 1 of box, seed 0, severity 2"
    assert first.key == "access_points.AP1.power_dbm"
    assert "Drawn: power[AP1] = 6" in str(first)


@pytest.mark.parametrize("severity", [-0.1, float("nan"), float("inf")])
def test_no_severity_below_zero(severity: float) -> None:
    with pytest.raises(InputError, match="severity: expected a number from zero up"):
        realise(SCENE, table(), seed=0, realisation=0, severity=severity)


def test_one_level_set_for_different_ones_has_no_half() -> None:
    other = [dict(BOX["access_points"][0]), dict(BOX["access_points"][1], power_dbm=10)]
    scene = validate(BOX | {"access_points": other}, Scene, "box")
    shared = {"shared": True, "apply": "set", "unit": "dBm"}
    uncertain = table(distribution={"kind": "uniform", "low": 5, "high": 15}, **shared)
    made = realise(scene, uncertain, seed=0, realisation=0)
    assert len({ap.power_dbm for ap in made.scene.access_points}) == 1
    with pytest.raises(InputError, match=r"quantities\.power\.shared: expected one declared value"):
        realise(scene, uncertain, seed=0, realisation=0, severity=0.5)


def test_factors_are_the_quantities_with_their_elements() -> None:
    found = factors(table(), SCENE)
    assert found == {"power": ("power[AP1]", "power[AP2]")}
