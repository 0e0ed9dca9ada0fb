"""Twins of all kinds of scenes in a store: arrays, carriers, lost access points, moves, rain."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from flows.generation import plan_twin, trace_job
from flows.study import Study
from twin.config import validate
from twin.errors import InputError
from twin.store.reader import open_site
from twin.store.writer import create_site, note_traced, publish

HOUSE = yaml.safe_load((Path(__file__).parents[1] / "unit" / "house.yaml").read_text())
BACKEND = (("backend", "test"),)
REALISATIONS = 4


def quantity(name: str, path: str, apply: str, distribution: dict, unit: str) -> dict:
    return {
        "name": name,
        "path": path,
        "apply": apply,
        "distribution": distribution,
        "unit": unit,
        "description": "for a test",
    }


@pytest.fixture
def study(tmp_path):
    """A study of the house, with changes to the scene and rows of its table."""

    def write(quantities: list[dict], **changes) -> Study:
        scene = {**copy.deepcopy(HOUSE), "subcarriers": 8, **changes}
        for area in scene["receivers"]:
            if area["kind"] == "grid":
                area["pitch_m"] = 2.0
        folder = tmp_path / "house"
        folder.mkdir()
        (folder / "scene.yaml").write_text(yaml.safe_dump(scene))
        table = {
            "schema": "fingertwin/perturbation@2",
            "scene": "house",
            "quantities": quantities,
            "placements": [
                {
                    "name": "visitors",
                    "kind": "person",
                    "count": 2,
                    "present_probability": 0.5,
                    "area_m": [[6, 5], [9.5, 5], [9.5, 7], [6, 7]],
                }
            ],
        }
        (folder / "perturbation.yaml").write_text(yaml.safe_dump(table))
        content = {
            "schema": "fingertwin/study@1",
            "name": "small",
            "seed": 1,
            "rooms": [{"scene": str(folder / "scene.yaml")}],
            "twin": {"realisations": REALISATIONS, "visits": 1, "snapshots": 1},
            "trace": {"max_depth": 1, "rays_per_round": 2000, "max_rounds": 2, "max_paths": 4},
            "protocol": {"labels": [1], "draws": 1, "seed": 1},
            "features": ["rss"],
            "learner_seeds": 1,
        }
        return validate(content, Study, "study")

    return write


def generated(study: Study, store: Path, order) -> str:
    """Digest of the twin's site, its jobs done in an order."""
    plan = plan_twin(study, study.rooms[0], dict(BACKEND))
    create_site(str(store), plan.site, plan.spec)
    said = {}
    text = json.dumps(study.model_dump(mode="json", by_alias=True))
    for index in order:
        said = trace_job(text, 0, False, BACKEND, str(store), index, plan.spec.digest)
    note_traced(str(store), plan.site, said)
    return publish(str(store), plan.site)


ARRAYS = [
    {
        "name": "AP1",
        "position_m": [3, 3.5, 2.5],
        "power_dbm": 20,
        "pattern": "tr38901",
        "polarisation": "VH",
        "array": {"rows": 1, "columns": 2},
        "yaw_deg": 30,
        "pitch_deg": 10,
    },
    {
        "name": "AP2",
        "position_m": [3, 4, 5.2],
        "power_dbm": 20,
        "pattern": "iso",
        "frequency_ghz": 2.44,
    },
]


def test_a_twin_with_all_that_a_scene_can_say(study, tmp_path):
    made = study(
        [
            quantity(
                "lost",
                "access_points.*.active",
                "set",
                {"kind": "bernoulli", "probability": 0.5},
                "1",
            ),
            quantity(
                "door",
                "openings.ajar.state",
                "set",
                {"kind": "choice", "values": ["open", "closed"]},
                "1",
            ),
            quantity("time", "time_s", "set", {"kind": "uniform", "low": 0, "high": 5}, "s"),
            quantity(
                "rain",
                "weather.rain_mm_per_h",
                "set",
                {"kind": "uniform", "low": 0, "high": 60},
                "mm/h",
            ),
            quantity(
                "look",
                "access_points.AP1.yaw_deg",
                "add",
                {"kind": "uniform", "low": -20, "high": 20},
                "deg",
            ),
        ],
        access_points=ARRAYS,
    )
    forward = generated(made, tmp_path / "forward.zarr", range(REALISATIONS))
    backward = generated(made, tmp_path / "backward.zarr", reversed(range(REALISATIONS)))
    assert forward == backward
    site = open_site(str(tmp_path / "forward.zarr"), "house")
    assert site.csi.sizes["ap_antenna"] == 4
    assert site.ap_frequency.values.tolist() == [5.25e9, 2.44e9]
    yaw = np.rad2deg(site.ap_orientation.values[:, 0, 0])
    drawn = dict(zip(site.drawn_quantity.values.tolist(), site.drawn.values.T, strict=True))
    assert yaw == pytest.approx(30.0 + drawn["look"])
    active = np.stack([drawn["lost[AP1]"], drawn["lost[AP2]"]], axis=1).astype(bool)
    assert active.any()
    assert not active.all()
    heard = site.num_paths.values > 0
    assert not heard[~np.broadcast_to(active[:, None], heard.shape)].any()
    assert heard[:, :, 0][active[:, 0]].any()
    # One antenna fills one port; the others stay empty.
    second = site.csi.values[:, :, 1].reshape(REALISATIONS, site.sizes["point"], 4, -1)
    assert not second[:, :, 1:].any()
    assert {"visitors_present[0]", "visitors_x[1]", "rain", "time", "door"} <= set(drawn)


def test_carriers_and_bandwidths_are_those_of_a_site(study):
    made = study(
        [
            quantity(
                "carrier",
                "access_points.AP2.frequency_ghz",
                "add",
                {"kind": "uniform", "low": 0, "high": 0.1},
                "GHz",
            )
        ],
        access_points=ARRAYS,
    )
    with pytest.raises(InputError, match="carriers that are the same in all realisations"):
        plan_twin(made, made.rooms[0], {})


def test_a_site_has_one_bandwidth(study):
    made = study([], access_points=[{**ARRAYS[0], "bandwidth_mhz": 20}, ARRAYS[1]])
    with pytest.raises(InputError, match="one bandwidth for all access points"):
        plan_twin(made, made.rooms[0], {})
