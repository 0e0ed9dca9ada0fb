"""Sensitivity sweeps: designs, jobs that do not depend on each other, indices of known answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from flows import sensitivity
from flows.sensitivity import outcomes, rank, report_sweep, run_sweep, sample_job
from flows.sensitivity_plan import NOMINAL, Sweep, plan_sweep
from flows.sensitivity_report import TOO_FEW, Outcome, as_markdown, as_records, as_text, ranked
from twin.config import validate
from twin.errors import InputError
from twin.trace.engine import TraceSettings
from twin.units import SPEED_OF_LIGHT_M_PER_S

BOX = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())


def quantity(name, path, apply, unit, **distribution):
    return {
        "name": name,
        "path": path,
        "apply": apply,
        "unit": unit,
        "distribution": distribution,
        "description": "test",
    }


POWER = quantity("power", "access_points.*.power_dbm", "add", "dB", kind="uniform", low=0, high=2)
POWER["shared"] = True
PLACE = quantity(
    "place", "access_points.*.position_m.x", "add", "m", kind="uniform", low=-0.2, high=0.2
)
WALLS = quantity(
    "walls", "materials.*.thickness_m", "multiply", "1", kind="loguniform", low=0.5, high=2
)
LOST = quantity("lost", "access_points.*.active", "set", "1", kind="bernoulli", probability=0)


@pytest.fixture
def scene(tmp_path):
    """A scene file, with a table of some quantities beside it."""

    def made(*quantities, **more):
        (tmp_path / "scene.yaml").write_text(yaml.safe_dump(BOX))
        content = {
            "schema": "fingertwin/perturbation@2",
            "scene": "box",
            "quantities": list(quantities),
        }
        (tmp_path / "perturbation.yaml").write_text(yaml.safe_dump(content | more))
        return str(tmp_path / "scene.yaml")

    return made


@pytest.fixture
def traced(monkeypatch):
    """Free space in place of the ray tracer; gives the scenes that were traced."""
    seen = []

    def free_space(scene, settings, points):
        assert settings.max_depth == 2
        seen.append(scene)
        ap = np.array([ap.position_m for ap in scene.access_points])
        active = np.array([ap.active for ap in scene.access_points])
        distance = np.linalg.norm(points[:, None] - ap, axis=-1)
        gain = np.where(active, 0.0045 / distance, 0.0).astype(np.complex64)
        return xr.Dataset(
            {
                "path_gain": (("point", "ap", "path"), gain[..., None]),
                "power_left_out": (("point", "ap"), np.zeros(gain.shape)),
                "toa": (
                    ("point", "ap"),
                    np.where(active, distance / SPEED_OF_LIGHT_M_PER_S, np.nan),
                ),
            }
        )

    monkeypatch.setattr(sensitivity, "trace", free_space)
    return seen


def sweep(scene, design="oat", samples=4, **more):
    trace = TraceSettings(max_depth=2)
    return Sweep(scene=scene, design=design, samples=samples, trace=trace, **more)


def by_output(rankings):
    return {ranking.output: ranking for ranking in rankings}


def places(ranking):
    return {place.factor: place for place in ranking.places}


@pytest.mark.parametrize(
    ("design", "samples", "expected"),
    [("oat", 4, 3 * 4), ("morris", 5, 5 * 4), ("sobol", 8, 8 * 5)],
)
def test_designs_have_a_factor_a_quantity(scene, design, samples, expected):
    plan = plan_sweep(sweep(scene(POWER, PLACE, WALLS), design, samples))
    assert plan.factors == {
        "power": ("power",),
        "place": ("place[AP1]", "place[AP2]"),
        "walls": ("walls[concrete]", "walls[sheet]"),
    }
    assert len(plan.numbers) == expected
    assert all(0.0 <= u < 1.0 for row in plan.numbers for u in row.values())
    for row in plan.numbers:
        names = [n for n, keys in plan.factors.items() if set(keys) <= set(row)]
        assert len(names) == (1 if design == "oat" else 3)


def test_alone_a_factor_runs_through_all_its_quantiles(scene):
    plan = plan_sweep(sweep(scene(POWER, PLACE), samples=10))
    for name, rows in (("power", plan.numbers[:10]), ("place[AP2]", plan.numbers[10:])):
        assert sorted(int(10 * row[name]) for row in rows) == list(range(10))


def test_a_design_is_the_same_again_and_another_with_another_seed(scene):
    path = scene(POWER, PLACE)
    for design, samples in (("oat", 4), ("morris", 4), ("sobol", 4)):
        first, again = (plan_sweep(sweep(path, design, samples)) for _ in range(2))
        other = plan_sweep(sweep(path, design, samples, seed=2))
        assert first.numbers == again.numbers != other.numbers
        assert first.digest == again.digest != other.digest


def test_one_at_a_time_gives_the_size_of_every_error(scene, traced, tmp_path):
    louder = POWER | {"distribution": {"kind": "choice", "values": [3.0]}}
    aside = quantity(
        "aside", "access_points.AP1.position_m.y", "add", "m", kind="choice", values=[0.5]
    )
    plan, records = run_sweep(sweep(scene(louder, aside, WALLS), samples=5), tmp_path / "s.jsonl")
    assert len(records) == len(traced) == 3 * 5 + 1
    found = by_output(rank(plan, records))
    rss, range_m = places(found["rss_db"]), places(found["range_m"])
    assert rss["power"].index == pytest.approx(3.0, abs=1e-5)
    assert (rss["power"].low, rss["power"].high) == pytest.approx((3.0, 3.0), abs=1e-5)
    assert rss["walls"].index == range_m["power"].index == 0.0
    assert 0.0 < range_m["aside"].index <= 0.25
    assert found["range_m"].places[0].factor == "aside"
    assert found["rss_db"].places[0].factor == "power"
    assert found["rss_db"].nominal == 0.0
    # All APs alike change no neighbour; one that moved does.
    located = places(found["position_rtt_m"])
    assert located["power"].index == pytest.approx(0.0, abs=1e-9)
    assert located["aside"].index > 0.01


@pytest.mark.usefixtures("traced")
def test_the_nominal_record_is_no_change(scene, tmp_path):
    # In free space, nothing depends on walls.
    _, records = run_sweep(sweep(scene(WALLS), samples=2), tmp_path / "s.jsonl")
    first = records[0]
    assert (first["index"], first["rss_db"], first["range_m"], first["lost"]) == (NOMINAL, 0, 0, 0)
    assert first["position_rss_m"] == records[1]["position_rss_m"] > 0.0


def ranked_by(plan, function):
    """Ranking of an output that is a function of a sample's numbers."""
    values = np.array([function(numbers) for numbers in plan.numbers])
    outcome = Outcome("rss_db", values, 0.0, 0)
    return ranked(
        plan.sweep.design, outcome, tuple(plan.factors), plan.problem, plan.unit_sample, seed=3
    )


def test_total_indices_are_shares_of_the_variance(scene):
    plan = plan_sweep(sweep(scene(POWER, PLACE, WALLS), "sobol", 512))
    # Variances 16, 2 and 0 twelfths.
    ranking = ranked_by(plan, lambda u: 4 * u["power"] + u["place[AP1]"] - u["place[AP2]"])
    assert [place.factor for place in ranking.places] == ["power", "place", "walls"]
    for place, expected in zip(ranking.places, (16 / 18, 2 / 18, 0.0), strict=True):
        assert place.index == pytest.approx(expected, abs=0.03)
        assert place.low <= expected <= place.high
    assert ranking.mean == pytest.approx(2.0, abs=0.02)
    assert ranking.spread == pytest.approx((18 / 12) ** 0.5, abs=0.02)


def test_total_indices_count_what_factors_do_together(scene):
    plan = plan_sweep(sweep(scene(POWER, PLACE, WALLS), "sobol", 512))
    product = ranked_by(plan, lambda u: (u["power"] - 0.5) * (u["place[AP1]"] - 0.5))
    indices = {place.factor: place.index for place in product.places}
    assert indices == pytest.approx({"power": 1.0, "place": 1.0, "walls": 0.0}, abs=0.1)


@pytest.mark.parametrize(("design", "samples"), [("morris", 5), ("sobol", 8), ("oat", 5)])
def test_an_output_that_never_changes_has_indices_of_zero(scene, design, samples):
    plan = plan_sweep(sweep(scene(POWER, WALLS), design, samples))
    ranking = ranked_by(plan, lambda _: 0.0)
    assert {(p.index, p.low, p.high) for p in ranking.places} == {(0.0, 0.0, 0.0)}


@pytest.mark.usefixtures("traced")
def test_elementary_effects_of_a_linear_output(scene, tmp_path):
    plan, records = run_sweep(sweep(scene(POWER, WALLS), "morris", 5), tmp_path / "s.jsonl")
    rss = places(by_output(rank(plan, records))["rss_db"])
    # Levels span seven eighths of the 2 dB.
    assert rss["power"].index == pytest.approx(1.75, abs=1e-4)
    assert rss["power"].high - rss["power"].low == pytest.approx(0.0, abs=1e-3)
    assert rss["walls"].index == 0.0


@pytest.mark.usefixtures("traced")
def test_jobs_do_not_depend_on_their_order(scene):
    made = sweep(scene(POWER, PLACE), "sobol", 4)
    plan, text = plan_sweep(made), made.model_dump_json()
    indices = [NOMINAL, *range(len(plan.numbers))]
    forward = [sample_job(text, index, plan.digest) for index in indices]
    sensitivity._known_plan.cache_clear()
    sensitivity._declared.cache_clear()
    backward = [sample_job(text, index, plan.digest) for index in indices[::-1]]
    assert forward == backward[::-1]


@pytest.mark.usefixtures("traced")
def test_points_are_shared_and_thinned(scene, monkeypatch):
    ear = quantity("ear", "receivers.grid.height_m", "add", "m", kind="choice", values=[0.1])
    made = sweep(scene(ear), samples=2, every=4)
    asked = []
    free_space = sensitivity.trace

    def watched(scene, settings, points):
        asked.append(points)
        return free_space(scene, settings, points)

    monkeypatch.setattr(sensitivity, "trace", watched)
    sample_job(made.model_dump_json(), 0, plan_sweep(made).digest)
    declared, drawn = asked
    assert len(declared) == 5
    np.testing.assert_array_equal(declared[:, :2], drawn[:, :2])
    np.testing.assert_allclose(drawn[:, 2], declared[:, 2] + 0.1)


def test_a_killed_sweep_goes_on_and_ends_alike(scene, traced, tmp_path):
    made = sweep(scene(POWER, PLACE), samples=3)
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    told = []
    _, expected = run_sweep(made, whole, lambda done, total: told.append((done, total)))
    assert told == [(done, 7) for done in range(1, 8)]
    lines = whole.read_bytes().splitlines(keepends=True)
    broken.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    before = len(traced)
    _, records = run_sweep(made, broken)
    assert records == expected
    # Four samples, and the declared scene at most once more.
    assert len(traced) - before <= 5
    assert broken.read_bytes() == whole.read_bytes()
    before = len(traced)
    assert run_sweep(made, whole)[1] == expected
    assert len(traced) == before


@pytest.mark.usefixtures("traced")
def test_samples_of_another_sweep_are_refused(scene, tmp_path):
    path = scene(POWER)
    run_sweep(sweep(path, samples=2), tmp_path / "s.jsonl")
    with pytest.raises(InputError, match="expected samples of this sweep"):
        run_sweep(sweep(path, samples=3), tmp_path / "s.jsonl")
    digest = plan_sweep(sweep(path, samples=2)).digest
    with pytest.raises(InputError, match="unchanged during a sweep"):
        sample_job(sweep(path, samples=3).model_dump_json(), 0, digest)


def test_a_scene_that_cannot_be_is_refused_before_any_tracing(scene, traced, tmp_path):
    out = quantity(
        "out", "access_points.AP1.position_m.x", "add", "m", kind="uniform", low=-2, high=0
    )
    with pytest.raises(InputError, match="Drawn: out = -1"):
        run_sweep(sweep(scene(out), samples=8), tmp_path / "s.jsonl")
    assert traced == []


@pytest.mark.usefixtures("traced")
def test_outputs_that_some_sample_lacks_are_not_ranked(scene, tmp_path):
    plan, records = run_sweep(sweep(scene(LOST, POWER)), tmp_path / "s.jsonl")
    assert [record["lost"] for record in records[1:5]] == [1.0] * 4
    assert {record["rss_db"] for record in records[1:5]} == {None}
    assert [outcome.silent for outcome in outcomes(plan, records)] == [4, 4, 0, 0]
    assert set(by_output(rank(plan, records))) == {"position_rtt_m", "position_rss_m"}
    with pytest.raises(ValueError, match="records of all jobs"):
        rank(plan, records[:-1])


@pytest.mark.usefixtures("traced")
def test_weak_links_are_not_heard(scene):
    # 20 dBm at 1 to 4.5 m in free space: -26 to -40 dBm.
    quieter = quantity(
        "power", "access_points.*.power_dbm", "add", "dB", kind="choice", values=[-3]
    )
    made = sweep(scene(quieter), samples=2, threshold_dbm=-34.0)
    record = sample_job(made.model_dump_json(), 0, plan_sweep(made).digest)
    assert 0.0 < record["lost"] < 1.0
    assert record["rss_db"] == pytest.approx(3.0, abs=1e-5)


def test_correlated_quantities_moves_and_placements_are_factors(scene, traced, tmp_path):
    desk = {
        "name": "desks",
        "path": "furniture.desk",
        "shift": {"kind": "uniform", "low": 0, "high": 0.5},
    }
    guests = {
        "name": "guests",
        "kind": "person",
        "material": "sheet",
        "count": 2,
        "area_m": [[3.5, 0.5], [5.5, 0.5], [5.5, 3.5], [3.5, 3.5]],
    }
    lift = PLACE | {"name": "lift", "path": "access_points.*.position_m.z"}
    tied = [{"quantities": ["place", "lift"], "matrix": [[1, 0.5], [0.5, 1]]}]
    path = scene(PLACE, lift, moves=[desk], placements=[guests], correlations=tied)
    plan, records = run_sweep(sweep(path, "sobol", 4), tmp_path / "s.jsonl")
    assert list(plan.factors) == ["place, lift", "desks", "guests"]
    assert len({len(made.furniture) for made in traced}) == 2
    rankings = rank(plan, records)
    assert by_output(rankings)["range_m"].places[0].factor == "place, lift"


@pytest.mark.usefixtures("traced")
def test_reports_say_what_was_found(scene, tmp_path):
    made = sweep(scene(POWER, PLACE), "sobol", 8)
    text = report_sweep(made, tmp_path / "out")
    rankings = rank(*run_sweep(made, tmp_path / "out" / "samples.jsonl"))
    flat = json.loads((tmp_path / "out" / "sensitivity.json").read_text())
    assert flat == as_records(rankings)
    assert {record["output"] for record in flat} == set(by_output(rankings))
    first = next(r for r in flat if r["output"] == "rss_db" and r["rank"] == 1)
    assert first["factor"] == "power"
    assert first["low"] <= first["index"] <= first["high"]
    assert "| 1 | power |" in (tmp_path / "out" / "sensitivity.md").read_text()
    assert text == as_text(rankings)
    assert "1  power" in text
    assert TOO_FEW not in text


@pytest.mark.usefixtures("traced")
def test_reports_keep_silent_factors_off_the_list(scene, tmp_path):
    # In free space, walls do nothing.
    text = report_sweep(sweep(scene(POWER, WALLS), samples=5), tmp_path / "out")
    page = (tmp_path / "out" / "sensitivity.md").read_text()
    assert "  1  power" in text
    assert "others (1): no effect seen" in text
    assert "all (2): no effect seen" in text
    assert "walls" not in text
    assert "| walls |" not in page
    assert "others (1): no effect seen." in page
    # The records hold all of them.
    flat = json.loads((tmp_path / "out" / "sensitivity.json").read_text())
    assert {record["factor"] for record in flat} == {"power", "walls"}


@pytest.mark.parametrize(
    ("design", "few", "enough"), [("oat", 4, 5), ("morris", 4, 5), ("sobol", 4, 8)]
)
def test_few_samples_give_no_interval(scene, design, few, enough):
    for samples, known in ((few, False), (enough, True)):
        plan = plan_sweep(sweep(scene(POWER, WALLS), design, samples))
        ranking = ranked_by(plan, lambda u: u.get("power", 0.0))
        bounds = {type(bound) for place in ranking.places for bound in (place.low, place.high)}
        assert bounds == ({float} if known else {type(None)})
        assert (TOO_FEW in as_text([ranking])) is not known
        assert (TOO_FEW in as_markdown([ranking])) is not known


@pytest.mark.usefixtures("traced")
def test_reports_say_what_could_not_be_ranked(scene, tmp_path):
    text = report_sweep(sweep(scene(LOST, POWER), samples=2), tmp_path / "out")
    assert "RSS (power sum): mean change [dB]: not ranked, 2 samples have none." in text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"design": "sobol", "samples": 12}, "a power of two"),
        ({"samples": 1}, "samples"),
        ({"severity": -1}, "severity"),
        ({"design": "random"}, "design"),
        ({"every": 0}, "every"),
    ],
)
def test_absurd_sweeps_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        validate({"scene": "office_wing", "samples": 4} | wrong, Sweep, "sweep")


def test_a_table_of_nothing_is_refused(scene):
    with pytest.raises(InputError, match="at least one quantity"):
        plan_sweep(sweep(scene()))


def test_the_ray_tracer_answers(scene):
    trace = TraceSettings(max_depth=1, rays_per_round=2000, max_rounds=2)
    made = Sweep(scene=scene(POWER, WALLS), design="oat", samples=2, trace=trace, every=6)
    plan, text = plan_sweep(made), made.model_dump_json()
    still, louder, other = (sample_job(text, index, plan.digest) for index in (NOMINAL, 0, 2))
    assert (still["rss_db"], still["range_m"]) == (0.0, 0.0)
    assert louder["rss_db"] == pytest.approx(2.0 * plan.numbers[0]["power"], abs=1e-4)
    assert louder["range_m"] == other["range_m"] == 0.0
    assert 0.0 < other["rss_db"] < 3.0
