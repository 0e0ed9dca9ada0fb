"""Chains are searched once for a geometry and a transmitter, whatever else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.sionna_meshes import box, scene
from twin.config import load_model, validate
from twin.scene.declaration import Scene
from twin.trace import chains, reuse, solver
from twin.trace.chains import Search
from twin.trace.engine import TraceSettings, trace
from twin.trace.mirrors import Mirrors
from twin.trace.reuse import ChainMemory

SCENE = load_model(Path(__file__).with_name("scene_box.yaml"), Scene)
SETTINGS = TraceSettings(max_depth=2, rays_per_round=5000, max_paths=40)
POINTS = np.array([[2.0, 1.5, 1.1], [4.5, 2.5, 1.1], [5.5, 1.0, 1.1]])
SEARCH = Search(
    max_depth=1, refraction=True, rays=1000, undiscovered_share=0.1, max_rounds=5, seed=1
)
ELSEWHERE = np.array([[4.5, 2.6, 1.1], [5.5, 1.1, 1.1]])
ACCESS_POINTS = 2


@pytest.fixture
def searched(monkeypatch):
    """Transmitters that chains were searched for; what was known before is forgotten."""
    noted = []

    def noting(mirrors, transmitter, search):
        noted.append(tuple(transmitter.tolist()))
        return chains.discover(mirrors, transmitter, search)

    monkeypatch.setattr(reuse, "discover", noting)
    monkeypatch.setattr(solver, "_MEMORY", ChainMemory(capacity=8))
    return noted


def changed(**parts):
    """The scene with some top-level parts replaced."""
    return validate({**SCENE.plain(), **parts}, Scene, where="changed")


def part(name, index=None, **values):
    """One part of the scene, or one entry of it, with other values."""
    content = SCENE.plain()[name]
    if index is None:
        return {name: {**content, **values}}
    entries = [dict(entry) for entry in content]
    entries[index] |= values
    return {name: entries}


def material(**values):
    sheet = SCENE.plain()["materials"]["sheet"]
    return {"materials": {**SCENE.plain()["materials"], "sheet": {**sheet, **values}}}


def content(dataset):
    return {name: dataset[name].values.tobytes() for name in dataset.data_vars}


GEOMETRY_STAYS = {
    "permittivity": material(permittivity_scale=1.3),
    "roughness": material(scattering_coefficient=0.3),
    "thickness": material(thickness_m=0.05),
    "materials swapped": part("room", wall_material="sheet", ceiling_material="concrete"),
    "one material": part("room", ceiling_material="concrete"),
    "frequency": {"frequency_ghz": 2.4},
    "bandwidth": {"bandwidth_mhz": 20.0, "subcarriers": 8},
    "power and pattern": part("access_points", 1, power_dbm=3.0, pattern="iso", yaw_deg=40.0),
    "receivers": part("receivers", 0, height_m=0.8),
    "access points reversed": {"access_points": SCENE.plain()["access_points"][::-1]},
}


@pytest.mark.parametrize("what", GEOMETRY_STAYS)
def test_no_new_search_where_geometry_stays(searched, what):
    trace(SCENE, SETTINGS, POINTS)
    assert len(searched) == ACCESS_POINTS
    other = changed(**GEOMETRY_STAYS[what])
    reused = trace(other, SETTINGS, ELSEWHERE)
    assert len(searched) == ACCESS_POINTS
    solver._MEMORY._kept.clear()
    assert content(trace(other, SETTINGS, ELSEWHERE)) == content(reused)
    assert len(searched) == 2 * ACCESS_POINTS


GEOMETRY_CHANGES = {
    "inner wall": part("walls", 0, offset_m=0.001),
    "outer wall": part("room", wall_offsets_m=[0.0, 0.01, 0.0, 0.0]),
    "height": part("room", height_m=2.6),
    "furniture moved": part("furniture", 0, centre_m=[1.6, 3.0]),
    "furniture turned": part("furniture", 0, yaw_deg=5.0),
    "furniture gone": part("furniture", 0, present=False),
}


@pytest.mark.parametrize("what", GEOMETRY_CHANGES)
def test_a_new_search_where_geometry_changes(searched, what):
    trace(SCENE, SETTINGS, POINTS)
    other = changed(**GEOMETRY_CHANGES[what])
    after = trace(other, SETTINGS, POINTS)
    assert len(searched) == 2 * ACCESS_POINTS
    # And back, without another.
    trace(SCENE, SETTINGS, POINTS)
    assert len(searched) == 2 * ACCESS_POINTS
    solver._MEMORY._kept.clear()
    assert content(trace(other, SETTINGS, POINTS)) == content(after)


def test_only_the_access_point_that_moves_is_searched_for(searched):
    trace(SCENE, SETTINGS, POINTS)
    trace(changed(**part("access_points", 0, position_m=[1.1, 1.0, 2.0])), SETTINGS, POINTS)
    assert searched == [(1.0, 1.0, 2.0), (5.0, 3.0, 2.0), (1.1, 1.0, 2.0)]


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"max_depth": 1}, True),
        ({"refraction": False}, True),
        ({"rays_per_round": 6000}, True),
        ({"undiscovered_share": 0.01}, True),
        ({"max_rounds": 30}, True),
        ({"seed": 2}, True),
        ({"max_paths": 3}, False),
        ({"memory_gib": 1.0}, False),
    ],
)
def test_another_search_is_made_for_other_settings_of_the_search(searched, change, again):
    trace(SCENE, SETTINGS, POINTS)
    trace(SCENE, SETTINGS.model_copy(update=change), POINTS)
    assert len(searched) == ACCESS_POINTS * (2 if again else 1)


@pytest.fixture
def mirrors():
    return Mirrors(scene(room=box([0, 0, 0], [4, 3, 2])))


def place(number):
    return np.array([1.0 + 0.1 * number, 1.0, 1.0])


def test_what_was_not_used_for_longest_is_forgotten_first(searched, mirrors):
    memory = ChainMemory(capacity=2)
    for number in (0, 1, 0, 2, 0, 1):
        memory.chains(mirrors, place(number), SEARCH)
    assert searched == [tuple(place(number).tolist()) for number in (0, 1, 2, 1)]


def test_the_same_chains_are_given_back(searched, mirrors):
    memory = ChainMemory(capacity=1)
    one = memory.chains(mirrors, place(0), SEARCH)
    other_mirrors = Mirrors(scene(room=box([0, 0, 0], [4, 3, 2])))
    assert memory.chains(other_mirrors, place(0), replace(SEARCH)) is one
    assert len(searched) == 1
    assert memory.chains(mirrors, place(1), SEARCH) is not one


def test_a_memory_without_room_searches_every_time(searched, mirrors):
    memory = ChainMemory(capacity=0)
    found = [memory.chains(mirrors, place(0), SEARCH) for _ in range(2)]
    assert len(searched) == 2
    assert found[0].plane.tolist() == found[1].plane.tolist()


def test_a_search_that_failed_is_made_again(monkeypatch, mirrors):
    memory = ChainMemory(capacity=2)

    def fail(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(reuse, "discover", fail)
        with pytest.raises(MemoryError):
            memory.chains(mirrors, place(0), SEARCH)
    assert len(memory.chains(mirrors, place(0), SEARCH)) == 7
