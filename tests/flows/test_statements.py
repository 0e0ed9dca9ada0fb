from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from flows.methods import HERO, METHODS, REFERENCE
from flows.statements import declared, receiver_facts
from twin.perturb.table import Quantity
from twin.sense.receiver import SenseModel


def test_every_error_of_the_receiver_is_told_apart() -> None:
    facts = receiver_facts(SenseModel(shadowing_std_db=4.5))
    assert len(facts) == len(SenseModel.model_fields)
    assert facts["shadowing by clutter, std [dB]"] == 4.5


@pytest.mark.parametrize(
    ("apply", "distribution", "words"),
    [
        (
            "add",
            {"kind": "normal", "mean": 0, "std": 0.1, "low": -0.15, "high": 0.15},
            "plus normal, mean 0, std 0.1, not below \u22120.15, not above 0.15",
        ),
        ("add", {"kind": "uniform", "low": -0.3, "high": 0.5}, "plus \u22120.3 to 0.5, uniform"),
        (
            "multiply",
            {"kind": "loguniform", "low": 0.5, "high": 2},
            "times 0.5 to 2, log-uniform",
        ),
        (
            "set",
            {"kind": "bernoulli", "probability": 0.85},
            "yes with probability 0.85",
        ),
        (
            "set",
            {"kind": "choice", "values": ["iso", "dipole"], "weights": [1, 2]},
            "set to one of iso, dipole weighted 1 : 2",
        ),
    ],
)
def test_distribution_in_words(apply: str, distribution: dict[str, Any], words: str) -> None:
    quantity = TypeAdapter(Quantity).validate_python(
        {
            "name": "some",
            "path": "a.b",
            "apply": apply,
            "distribution": distribution,
            "unit": "1",
            "description": "Why.",
        },
        strict=False,
    )
    assert declared(quantity) == words


def test_methods_have_names_of_their_own() -> None:
    assert len({method.name for method in METHODS}) == len(METHODS)
    assert len({method.label for method in METHODS}) == len(METHODS)
    assert {HERO, REFERENCE} <= {method.name for method in METHODS}
