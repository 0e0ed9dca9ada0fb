"""Realisations in which nobody sends have the same variables as all others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from flows import generation
from flows.study import Study, canonical
from twin.config import load_model, validate
from twin.scene.declaration import Scene
from twin.store.reader import open_site
from twin.store.writer import create_site, publish
from twin.trace.engine import TraceSettings, trace

BOX = Path(__file__).with_name("scene_box.yaml")
SCENE = load_model(BOX, Scene)
SETTINGS = TraceSettings(max_depth=1, rays_per_round=1000, stock_samples=1000, max_paths=4)
POINTS = np.array([[2.0, 1.5, 1.1], [4.5, 2.5, 1.1]])


def one(active, **changes):
    ap = {**SCENE.plain()["access_points"][0], "active": active, **changes}
    return validate({**SCENE.plain(), "access_points": [ap]}, Scene, where="one")


def shape(dataset):
    return {
        name: (variable.dims, variable.shape, variable.dtype)
        for name, variable in dataset.variables.items()
    }


@pytest.mark.parametrize("changes", [{}, {"polarisation": "VH"}])
@pytest.mark.parametrize(
    ("engine", "diffraction", "searches"),
    [
        ("chains", False, {"reflections"}),
        ("chains", True, {"reflections", "diffraction"}),
        ("stock", True, set()),
    ],
)
def test_variables_do_not_depend_on_who_is_active(engine, diffraction, searches, changes):
    settings = SETTINGS.model_copy(update={"diffraction": diffraction})
    heard, lost = (trace(one(a, **changes), settings, POINTS, engine) for a in (True, False))
    assert shape(lost) == shape(heard)
    told = {name for name in lost.data_vars if name.startswith(("chains", "rounds", "new_share"))}
    assert told == {f"{of}_{what}" for of in ("chains", "rounds", "new_share") for what in searches}
    assert all((lost[name].values == 0).all() for name in told)
    assert all((heard[f"chains_{what}"].values > 0).all() for what in searches)


STUDY = {
    "schema": "fingertwin/study@1",
    "name": "lost",
    "twin": {"realisations": 4, "visits": 1, "snapshots": 1},
    "trace": SETTINGS.model_dump(),
    "protocol": {"labels": [1, 3], "draws": 2, "seed": 1},
    "features": ["rss"],
    "learner_seeds": 1,
}


def test_a_twin_whose_access_point_comes_and_goes_is_published(tmp_path):
    scene = yaml.safe_load(BOX.read_text())
    scene["access_points"] = scene["access_points"][:1]
    (tmp_path / "scene.yaml").write_text(yaml.safe_dump(scene))
    lost = {
        "name": "ap_active",
        "path": "access_points.*.active",
        "apply": "set",
        "distribution": {"kind": "bernoulli", "probability": 0.5},
        "unit": "1",
        "description": "made up",
    }
    table = {"schema": "fingertwin/perturbation@2", "scene": "box", "quantities": [lost]}
    (tmp_path / "perturbation.yaml").write_text(yaml.safe_dump(table))
    rooms = [{"scene": str(tmp_path / "scene.yaml")}]
    # One seed in eight leaves it on, or off, throughout.
    for seed in range(10):
        study = validate({**STUDY, "rooms": rooms, "seed": seed}, Study, where="study")
        plan = generation.plan_twin(study, study.rooms[0], {})
        active = [drawn.scene.access_points[0].active for drawn in plan.realisations]
        if len(set(active)) == 2:
            break
    assert set(active) == {True, False}
    store = str(tmp_path / "store.zarr")
    create_site(store, plan.site, plan.spec)
    for number in range(4):
        generation.trace_job(canonical(study), 0, False, (), store, number, plan.spec.digest)
    publish(store, plan.site)
    with open_site(store, plan.site) as site:
        heard = site["num_paths"].values
        chains = site["chains_reflections"].values
    assert [bool(block.any()) for block in heard] == active
    assert [bool(block.any()) for block in chains] == active
