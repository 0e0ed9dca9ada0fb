from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.distance import cdist

from flows.metaloc.path_loss import (
    VANILLA_TEST,
    VANILLA_TRAINING,
    PathLossLaw,
    Survey,
    grid,
    survey_domain,
    survey_place,
)
from twin.seeds import stream
from twin.trace.path_loss import MODELS, vanilla

SURVEY = Survey(places=2, references=(10, 54), pool=60)


@pytest.mark.parametrize("count", [1, 2, 7, 10, 20, 30, 40, 54])
@pytest.mark.parametrize("room", [(24.0, 24.0), (12.0, 5.0), (3.0, 60.0)])
def test_grid_is_spread_over_the_room(count, room):
    points = grid(count, room)
    assert points.shape == (count, 2)
    assert (points > 0.0).all()
    assert (points < room).all()
    assert np.allclose(points.mean(axis=0), np.array(room) / 2.0, rtol=0.15)
    if count > 1:
        apart = cdist(points, points) + np.diag(np.full(count, np.inf))
        # A square lattice of this density has sqrt(area / count) between neighbours.
        assert apart.min() > 0.45 * min(np.sqrt(np.prod(room) / count), *room)


def test_rows_differ_by_one_point_at_most():
    for count in range(1, 60):
        sizes = np.unique(grid(count, (24.0, 24.0))[:, 1], return_counts=True)[1]
        assert np.ptp(sizes) <= 1


def test_shapes_and_references():
    places = [survey_place(VANILLA_TEST, SURVEY, 1, index) for index in range(3)]
    assert [len(p.references.position) for p in places] == [10, 54, 10]
    assert places[0].fingerprints.shape == (60, 24)
    assert np.array_equal(places[0].references.position, grid(10, (24.0, 24.0)))
    assert places[0].references.reach == 12.0
    assert np.abs(places[0].targets()).max() <= 1.0


def test_levels_follow_the_law():
    law = PathLossLaw(name="quiet", exponent=3.0, nlos_std_db=0.0, power_dbm=7.0, gain_db=1.5)
    survey = Survey(places=1, references=(10,), pool=500, access_points=1)
    there = survey_place(law, survey, 1, 0)
    lost = 7.0 + 1.5 - there.fingerprints[:, 0]
    # Free space at 1 m on 2.44 GHz: 40.2 dB; ten times as far costs 30 dB more.
    apart = 10.0 ** ((lost - 40.19) / 30.0)
    height = survey.access_point_height_m - survey.device_height_m
    # Circles around three points meet in the access point; all others must agree with it.
    plan = np.sqrt(np.maximum(apart**2 - height**2, 0.0))
    rows = 2.0 * (there.position[1:] - there.position[0])
    right = plan[0] ** 2 - plan[1:] ** 2 + (there.position[1:] ** 2).sum(1)
    right -= (there.position[0] ** 2).sum()
    site = np.linalg.lstsq(rows, right, rcond=None)[0]
    found = np.hypot(*(there.position - site).T)
    # Nearer than 1 m is as at 1 m; the rest is the rounding of the constant.
    assert np.allclose(found, plan, atol=0.05)


def test_deviation_is_that_of_the_law():
    survey = Survey(places=1, references=(10,), pool=300)
    quiet, loud = (
        survey_place(
            PathLossLaw(name="a", exponent=3.0, nlos_std_db=std), survey, 1, 0
        ).fingerprints
        for std in (0.0, 5.0)
    )
    assert np.std(loud - quiet) == pytest.approx(5.0, rel=0.05)


def test_power_and_gain_drop_out_of_the_inputs():
    louder = VANILLA_TEST.model_copy(update={"power_dbm": 3.0, "gain_db": 9.0})
    one, other = (survey_place(law, SURVEY, 1, 0) for law in (VANILLA_TEST, louder))
    assert not np.allclose(one.fingerprints, other.fingerprints)
    assert np.allclose(one.inputs(5), other.inputs(5), atol=1e-5)


def test_draws_belong_to_seed_law_and_place():
    first = survey_place(VANILLA_TEST, SURVEY, 1, 0)
    assert np.array_equal(first.fingerprints, survey_place(VANILLA_TEST, SURVEY, 1, 0).fingerprints)
    renamed = VANILLA_TEST.model_copy(update={"name": "other"})
    others = [
        survey_place(VANILLA_TEST, SURVEY, 2, 0),
        survey_place(VANILLA_TEST, SURVEY, 1, 2),
        survey_place(renamed, SURVEY, 1, 0),
    ]
    for other in others:
        assert not np.isclose(first.position, other.position).any()
    # A larger survey of the same place has the same fingerprints first.
    larger = SURVEY.model_copy(update={"pool": 90, "references": (54,)})
    again = survey_place(VANILLA_TEST, larger, 1, 0)
    assert np.array_equal(again.fingerprints[:60], first.fingerprints)


def test_every_model_makes_a_place():
    for name, model in MODELS.items():
        law = PathLossLaw(name="x", model=name)
        assert law.law() == model
        assert np.isfinite(survey_place(law, SURVEY, 1, 0).fingerprints).all()


def test_changes_of_a_model_arrive():
    assert PathLossLaw(name="a", exponent=2.5, nlos_std_db=7.0).law() == vanilla(2.5, 7.0)
    mixed = PathLossLaw(name="e", model="mall_mixed", los_std_db=3.0, nlos_std_db=1.0).law()
    assert mixed.los.shadowing_std_db == 3.0
    assert mixed.nlos.shadowing_std_db == 1.0


def test_changes_that_a_model_does_not_have_are_refused():
    with pytest.raises(ValidationError, match="exponent: expected none: only the vanilla model"):
        PathLossLaw(name="b", model="mall_nlos", exponent=3.0)
    for model in ("vanilla", "mall_nlos"):
        with pytest.raises(ValidationError, match=f"los_std_db: expected none: {model} has nlos"):
            PathLossLaw(name="b", model=model, los_std_db=3.0)


@pytest.mark.parametrize(
    "wrong", [{"model": "vanila"}, {"room_m": (0.0, 5.0)}, {"exponent": 0.0}, {"nlos_std": 3.0}]
)
def test_laws_are_strict(wrong):
    with pytest.raises(ValidationError):
        PathLossLaw(name="a", **wrong)


def test_the_vanilla_tasks_differ_in_what_the_paper_varies():
    laws = (*VANILLA_TRAINING, VANILLA_TEST)
    assert len(VANILLA_TRAINING) == 4
    for key in ("name", "exponent", "nlos_std_db", "power_dbm", "gain_db"):
        assert len({getattr(law, key) for law in laws}) == 5
    assert all(law.exponent > 2.0 and 3.0 <= law.nlos_std_db <= 20.0 for law in laws)


def test_domain_holds_all_places():
    domain = survey_domain(VANILLA_TEST, SURVEY, 1, 5, (30,), 20)
    assert domain.name == "vanilla_test"
    assert domain.neighbours == 5
    batch = domain.sample(stream(1, "tasks"), 6)
    assert batch.query_inputs.shape == (6, 20, 15)
    pools = [
        {row.tobytes() for row in survey_place(VANILLA_TEST, SURVEY, 1, index).inputs(5)}
        for index in range(2)
    ]
    owners = [
        [i for i, pool in enumerate(pools) if {row.tobytes() for row in inputs} <= pool]
        for inputs in batch.query_inputs
    ]
    assert {owner for (owner,) in owners} == {0, 1}
