from __future__ import annotations

import numpy as np
import pytest

from twin.errors import InputError, NotFittedError
from twin.learn.learner import Labelled
from twin.learn.position_learner import PositionLearner
from twin.learn.presets import RSS_SMALL, MetaSettings, PositionShape
from twin.store.reader import Environment

SETTINGS = MetaSettings(
    **{**RSS_SMALL.model_dump(), "outer_steps": 60, "inner_steps": 2, "tasks": 4}
)
SHAPE = PositionShape(neighbours=3, hidden=(16, 16), references=16, supports=(8,), queries=8)


def made_environment(
    site="house", realisation=0, access_points=4, points=80, seed=0, split=None, visit=0
):
    """Levels fall with distance from access points in the corners and elsewhere."""
    generator = np.random.default_rng(seed)
    position = np.column_stack([generator.uniform(0, 10, (points, 2)), np.full(points, 1.0)])
    ap_position = np.column_stack(
        [generator.uniform(0, 10, (access_points, 2)), np.full(access_points, 2.0)]
    )
    far = np.linalg.norm(position[:, None] - ap_position, axis=-1)
    level = -40 - 25 * np.log10(far)[:, None] + generator.normal(size=(points, 2, access_points))
    return Environment(
        site=site,
        realisation=realisation,
        visit=visit,
        label=str(realisation),
        position=position,
        features={"rss": level.astype(np.float32)},
        split=np.full(points, "") if split is None else split,
        ap=tuple(f"AP{i}" for i in range(access_points)),
        ap_position=ap_position,
        attrs={},
    )


HISTORY = [
    made_environment("house", 0, seed=1),
    made_environment("house", 1, seed=2),
    made_environment("works", 0, access_points=7, seed=3),
]


def made(paradigm="maml", seed=1):
    return PositionLearner(paradigm, SETTINGS, SHAPE, seed)


def labelled_of(environment, count):
    return Labelled(
        environment.point_features("rss")[:count].astype(np.float64),
        environment.position[:count, :2],
        np.zeros((0, len(environment.ap))),
    )


@pytest.fixture(scope="module")
def fitted():
    learner = made("maml_ts")
    learner.fit(HISTORY)
    return learner


def wrong(learner, place, count=20):
    learner.adapt(labelled_of(place, count))
    found = learner.locate(place.point_features("rss")[count:].astype(np.float64))
    assert found.position.shape == (place.points - count, 2)
    assert (found.spread > 0).all()
    return np.linalg.norm(found.position - place.position[count:, :2], axis=1).mean()


def test_a_place_with_other_access_points_is_located(fitted):
    place = made_environment("new", access_points=6, seed=9)
    random = made("ri")
    random.fit(HISTORY)
    at_centre = np.linalg.norm(place.position[:, :2] - 5.0, axis=1).mean()
    assert wrong(fitted, place) < 0.7 * at_centre
    assert wrong(fitted, place) < wrong(random, place)


def test_adapting_again_forgets_the_place_before(fitted):
    place, other = (made_environment("new", access_points=n, seed=9 + n) for n in (5, 6))
    first = wrong(fitted, place)
    wrong(fitted, other)
    assert wrong(fitted, place) == first


def test_what_was_saved_locates_alike(fitted, tmp_path):
    place = made_environment("new", access_points=6, seed=9)
    fitted.save(tmp_path / "learner.npz")
    other = made("maml_ts")
    other.load(tmp_path / "learner.npz")
    assert wrong(fitted, place) == wrong(other, place)


def test_answers_do_not_depend_on_what_else_is_asked(fitted):
    place = made_environment("new", access_points=6, seed=9)
    fitted.adapt(labelled_of(place, 20))
    asked = place.point_features("rss")[20:].astype(np.float64)
    whole = fitted.locate(asked).position
    assert np.allclose(whole[3:4], fitted.locate(asked[3:4]).position, atol=1e-4)
    nothing = fitted.locate(asked[:0])
    assert (nothing.position.shape, nothing.spread.shape) == ((0, 2), (0,))


def _points(place):
    return {tuple(point) for point in place.position}


def test_reference_points_of_a_split_are_used_and_its_test_points_are_not():
    split = np.array(["reference"] * 20 + ["test"] * 30 + [""] * 30)
    environment = made_environment(split=split)
    place = made("ri")._surveyed(environment)
    where = environment.position[:, :2]
    assert np.array_equal(place.references.position, where[:20])
    assert _points(place) == {tuple(point) for point in where[50:]}
    assert len(place.position) == 30 * 2


def test_reference_points_are_taken_apart_where_a_split_has_no_others():
    split = np.array(["reference"] * 21 + ["test"] * 59)
    environment = made_environment(split=split)
    place = made("ri")._surveyed(environment)
    known = {tuple(point) for point in place.references.position}
    assert (len(known), len(_points(place))) == (10, 11)
    assert known | _points(place) == {tuple(point) for point in environment.position[:21, :2]}


def test_points_are_drawn_anew_for_every_visit():
    first, again, other = (
        made("ri")._surveyed(made_environment(visit=visit)).references.position
        for visit in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("paradigm", ["maml_dg", "maml_ts"])
def test_the_order_of_environments_changes_nothing(paradigm):
    history = [*HISTORY, made_environment("house", 0, seed=4, visit=1)]
    settings = SETTINGS.model_copy(update={"outer_steps": 3})
    place = made_environment("new", access_points=6, seed=9)
    found = []
    for environments in (history, history[::-1]):
        learner = PositionLearner(paradigm, settings, SHAPE, 1)
        learner.fit(environments)
        found.append(wrong(learner, place))
    assert found[0] == found[1]


def test_nothing_is_compiled_anew_for_another_place_or_question(fitted):
    place, other = (made_environment("new", access_points=n, seed=9 + n) for n in (5, 6))
    wrong(fitted, place)
    compiled = [fitted._adaptation._advance, fitted._adaptation._answer]
    before = [each.experimental_get_tracing_count() for each in compiled]
    wrong(fitted, other)
    fitted.locate(other.point_features("rss")[:50].astype(np.float64))
    assert [each.experimental_get_tracing_count() for each in compiled] == before


def test_it_wants_to_be_fitted_and_adapted_in_order(tmp_path):
    learner, place = made(), made_environment()
    with pytest.raises(NotFittedError, match="adapt"):
        learner.adapt(labelled_of(place, 5))
    with pytest.raises(NotFittedError, match="save"):
        learner.save(tmp_path / "learner.npz")
    with pytest.raises(NotFittedError, match="locate"):
        learner.locate(np.zeros((1, 4)))


def test_one_labelled_point_is_refused(fitted):
    with pytest.raises(InputError, match="at least 2"):
        fitted.adapt(labelled_of(made_environment(), 1))


def test_an_environment_twice_or_of_test_points_alone_is_refused():
    tested = made_environment("hall", split=np.full(80, "test"))
    with pytest.raises(InputError) as refused:
        made().fit([*HISTORY, HISTORY[1], tested])
    assert "realisation 1, visit 0" in str(refused.value)
    assert "2 times" in str(refused.value)
    assert "no test points" in str(refused.value)


def test_environments_without_received_powers_are_refused():
    environment = made_environment()
    environment.features["rtt"] = environment.features.pop("rss")
    with pytest.raises(InputError, match="rss"):
        made().fit([environment])
