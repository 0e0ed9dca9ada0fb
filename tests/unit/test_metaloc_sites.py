"""Environments of MetaLoc's experiments at toy size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from flows.metaloc import sites
from flows.metaloc.sites import (
    Levels,
    Packets,
    SiteRequest,
    days_of,
    ensure_site,
    plan_site,
    trace_site_job,
)
from twin.config import validate
from twin.errors import InputError, StoreError
from twin.perturb.library import load_table
from twin.scene.library import load_scene
from twin.sense.packets import sense_packets
from twin.store.reader import open_site
from twin.store.writer import create_site, pending_jobs
from twin.trace.engine import TraceSettings, trace

SCENE = """
schema: fingertwin/scene@2
name: toy
title: Toy room
source: made up
frequency_ghz: 5.2
bandwidth_mhz: 20
subcarriers: 8
materials:
  concrete: {itu: concrete, thickness_m: 0.2}
room:
  outline_m: [[0, 0], [8, 0], [8, 5], [0, 5]]
  height_m: 3
  wall_material: concrete
  floor_material: concrete
  ceiling_material: concrete
access_points:
  - {name: AP1, position_m: [0.5, 0.5, 2.0], power_dbm: 10, pattern: iso}
  - {name: AP2, position_m: [7.5, 4.5, 2.0], power_dbm: 10, pattern: iso}
receivers:
  - {name: spots, kind: points, points_m: [[2, 2], [4, 3], [6, 2]], height_m: 1.2}
"""
TABLE = """
schema: fingertwin/perturbation@2
scene: toy
realisations_per_day: 2
quantities:
  - name: room_height
    path: room.height_m
    varies: daily
    apply: add
    distribution: {kind: uniform, low: -0.2, high: 0.2}
    unit: m
    description: made up
  - name: power
    path: access_points.*.power_dbm
    apply: add
    distribution: {kind: uniform, low: -3, high: 3}
    unit: dB
    description: made up
"""
TRACE = TraceSettings(max_depth=1, rays_per_round=2000, max_rounds=2, max_paths=6)
BACKEND = {"variant": "test"}
WHO = {"command": "test"}


@pytest.fixture
def scene(tmp_path):
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "scene.yaml").write_text(SCENE)
    (folder / "perturbation.yaml").write_text(TABLE)
    return str(folder / "scene.yaml")


@pytest.fixture
def traces(monkeypatch):
    """The scenes that were traced."""
    seen = []

    def counted(scene, *arguments, **named):
        seen.append(scene)
        return trace(scene, *arguments, **named)

    monkeypatch.setattr(sites, "trace", counted)
    return seen


def packets(scene, **changes):
    report = Packets(bursts=2, packets=3)
    return SiteRequest(
        **{"scene": scene, "realisations": 3, "trace": TRACE, "report": report, **changes}
    )


def test_a_site_of_packets_is_what_receivers_report(scene, tmp_path):
    store = str(tmp_path / "days.zarr")
    request = packets(scene)
    plan = plan_site(request, BACKEND)
    digest = ensure_site(store, plan, WHO)
    assert digest != plan.spec.digest
    assert ensure_site(store, plan, WHO) == digest
    site = open_site(store, "toy", lazy=False)
    assert site["reported_csi"].dims == (
        "realisation", "point", "snapshot", "ap", "rx_antenna", "ap_antenna", "subcarrier",
    )  # fmt: skip
    assert site["reported_csi"].shape == (3, 3, 6, 2, 1, 1, 8)
    assert set(site["visit"].values) == {0}
    assert (site.attrs["bursts"], site.attrs["packets_per_burst"]) == (2, 3)
    assert site.attrs["day"] == [0, 0, 1]
    drawn = plan.realisations[1]
    data = trace(drawn.scene, TRACE, drawn.points())
    heard = sense_packets(data, request.report.model, 1, "toy", 1, 2, 3)
    assert np.array_equal(site["reported_csi"][1], heard["reported_csi"], equal_nan=True)
    assert np.array_equal(site["rss"][1], heard["rss"], equal_nan=True)
    assert np.array_equal(site["received_power"][1], data["rss"])
    assert site["los"].values.all()
    # Daily: the same for realisations 0 and 1, another for 2.
    heights = site["drawn"].sel(drawn_quantity="room_height").values
    assert heights[0] == heights[1] != heights[2]
    assert "packets_realisation" not in site.attrs["traced"]
    assert site.attrs["traced"]["packets_noise_figure_db"] == 7.0


def test_a_site_of_levels_has_no_channel(scene, tmp_path):
    store = str(tmp_path / "layouts.zarr")
    request = packets(scene, realisations=1, report=Levels(visits=2, snapshots=3))
    ensure_site(store, plan_site(request, BACKEND), WHO)
    site = open_site(store, "toy", lazy=False)
    assert site["rss"].shape == (1, 3, 6, 2)
    assert site["visit"].values.tolist() == [0, 0, 0, 1, 1, 1]
    assert np.isfinite(site["received_power"]).all()
    assert not {"reported_csi", "csi", "rtt"} & set(site.variables)


def test_a_killed_run_goes_on_with_what_is_missing(scene, tmp_path, traces):
    plan = plan_site(packets(scene), BACKEND)
    straight, killed = str(tmp_path / "straight.zarr"), str(tmp_path / "killed.zarr")
    ensure_site(straight, plan, WHO)
    digest = create_site(killed, "toy", plan.spec)
    backend = tuple(BACKEND.items())
    # In another process, which knows the request only; last realisation first, and once more.
    for _ in range(2):
        trace_site_job(plan.request.model_dump_json(), backend, killed, 2, digest)
    assert [job.realisation for job in pending_jobs(killed, "toy")] == [0, 1]
    traces.clear()
    ensure_site(killed, plan, WHO)
    assert traces == [plan.realisations[0].scene, plan.realisations[1].scene]
    ensure_site(killed, plan, WHO)
    assert len(traces) == 2
    first, second = (open_site(store, "toy").attrs["digest"] for store in (straight, killed))
    assert first == second


def test_another_request_is_another_site(scene, tmp_path):
    request = packets(scene, realisations=1)
    plan = plan_site(request, BACKEND)
    others = [
        packets(scene, realisations=1, seed=2),
        packets(scene, realisations=1, report=Packets(bursts=1, packets=3)),
        packets(scene, realisations=1, report=Levels()),
    ]
    digests = {plan_site(other, BACKEND).spec.digest for other in (request, *others)}
    assert len(digests) == 4
    assert plan_site(request, {"variant": "other"}).spec.digest not in digests
    store = str(tmp_path / "days.zarr")
    digest = create_site(store, "toy", plan.spec)
    with pytest.raises(InputError, match=r"config\.request\.seed"):
        ensure_site(store, plan_site(others[0], BACKEND), WHO)
    with pytest.raises(StoreError, match="changed after the site was laid out"):
        trace_site_job(others[0].model_dump_json(), tuple(BACKEND.items()), store, 0, digest)
    assert len(pending_jobs(store, "toy")) == 1


def test_where_the_scene_lies_is_no_part_of_a_site(scene, tmp_path):
    there = plan_site(packets(scene), BACKEND)
    (tmp_path / "toy").rename(tmp_path / "moved")
    moved = plan_site(packets(str(tmp_path / "moved" / "scene.yaml")), BACKEND)
    assert moved.spec.digest == there.spec.digest


def test_days_follow_the_table(scene):
    table = load_table(Path(scene).parent, load_scene(scene))
    assert days_of(table, 5).tolist() == [0, 0, 1, 1, 2]
    for name in ("hall", "lab"):
        days = days_of(load_table(name, load_scene(name)), 20)
        assert np.bincount(days).tolist() == [4] * 5


def test_requests_can_be_written_down_and_faults_are_told():
    text = yaml.safe_load("{scene: hall, realisations: 2, report: {kind: packets, bursts: 3}}")
    assert validate(text, SiteRequest, "study") == SiteRequest(
        scene="hall", realisations=2, report=Packets(bursts=3)
    )
    request = SiteRequest(scene="hall", realisations=2, report=Levels(visits=2))
    again = validate(json.loads(request.model_dump_json()), SiteRequest, "study")
    assert again == request
    with pytest.raises(InputError) as error:
        validate(
            {"scene": "", "realisations": 0, "report": {"kind": "levels", "bursts": 3}},
            SiteRequest,
            "study",
        )
    assert len(error.value.faults) == 3
    with pytest.raises(InputError, match="one of the library's scenes"):
        plan_site(SiteRequest(scene="nowhere", realisations=1), BACKEND)
