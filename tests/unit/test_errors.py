from __future__ import annotations

import copy
import pickle

import pytest

from twin import errors
from twin.errors import Fault, Gathered, InputError, StoreError, TwinError, refuse

FAULTS = (
    Fault("scene.yaml", "access_points.AP1.position_m", "a place in the room", "[99, 0, 2]"),
    Fault("--out", "", "a writable folder", "/proc", cure="Name another one"),
)


def test_fault_names_place_expectation_finding_and_cure():
    assert str(FAULTS[0]) == (
        "scene.yaml: access_points.AP1.position_m: expected a place in the room, found [99, 0, 2]"
    )
    assert str(FAULTS[1]) == "--out: expected a writable folder, found /proc. Name another one"


def test_input_error_lists_every_fault():
    error = InputError(FAULTS)
    assert str(error).splitlines() == [
        "input refused, 2 faults:",
        f"  - {FAULTS[0]}",
        f"  - {FAULTS[1]}",
    ]
    assert str(InputError(FAULTS[:1])).startswith("input refused, 1 fault:\n")


@pytest.mark.parametrize("send", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301 (our own bytes)
def test_input_error_survives_the_way_to_another_process(send):
    error = send(InputError(FAULTS))
    assert error.faults == FAULTS
    assert str(error) == str(InputError(FAULTS))


def test_refuse_raises_only_where_there_are_faults():
    refuse(iter(()))
    with pytest.raises(InputError) as caught:
        refuse(iter(FAULTS))
    assert caught.value.faults == FAULTS


def test_exit_codes():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    tree = {kind for kind in kinds if issubclass(kind, TwinError)}
    assert {kind for kind in tree if kind.exit_code == 2} == {InputError}
    assert {kind.exit_code for kind in tree - {InputError}} == {1}


def test_faults_are_gathered_and_other_errors_pass():
    first, second = Fault("a", "", "x", "y"), Fault("b", "", "x", "y")
    faults = [first]
    with Gathered(faults):
        raise InputError([second])
    assert faults == [first, second]
    with pytest.raises(StoreError), Gathered(faults):
        raise StoreError("damaged")
    assert faults == [first, second]
