from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.metaloc import room_store, rooms
from flows.metaloc.room_store import ROOMS, ensure_rooms, real_site, rooms_study
from flows.metaloc.rooms import (
    BOTH,
    HELD_OUT,
    NOTHING,
    TWINS,
    Place,
    RoomsSettings,
    outcomes,
    places,
    records_of,
)
from tests.unit.small_places import place as square
from tests.unit.small_places import places as squares
from twin.errors import InputError
from twin.evaluate.protocols import SimToReal, labelled_points
from twin.learn.features import point_fingerprints
from twin.learn.presets import MetaSettings
from twin.learn.room_tasks import Room
from twin.measured.wifi_rtt_rooms import import_room
from twin.store.reader import environments

DATA = os.environ.get("TWIN_DATA_DIR", "")
TINY = RoomsSettings(
    left_out=("office",),
    labels=(1, 3),
    draws=2,
    neighbours=3,
    hidden=(6,),
    queries=5,
    pool=8,
    rates=(0.01, 0.1),
    meta=MetaSettings(
        inner_rate=0.02,
        inner_steps=1,
        adaptation_steps=2,
        first_order=True,
        outer_rate=5e-3,
        outer_steps=2,
        tasks=2,
    ),
)
SPLIT = np.array(["test" if index % 5 == 0 else "reference" for index in range(25)])
LEARNED = {
    ("maml", BOTH, 2),
    ("maml", BOTH, 0),
    ("maml", TWINS, 2),
    ("maml_ts", BOTH, 2),
    ("maml_dg", BOTH, 2),
    ("tl", BOTH, 2),
    ("tl", TWINS, 2),
    ("confi", BOTH, 0),
    ("ri", NOTHING, 2),
}
PLAIN = {"knn", "wknn", "knn_twin", "wknn_twin", "ilcl"}


def made_up():
    """Two rooms, one of them without the last access point of the other."""
    office = Place("office", squares(3), square(8, split=SPLIT, bias_db=9.0))
    corridor = Place("corridor", squares(3, seed=5), square(9, split=SPLIT, seed=5))
    return [
        office,
        replace(
            corridor,
            twin=[without_last(each) for each in corridor.twin],
            real=without_last(corridor.real),
        ),
    ]


def without_last(environment):
    return replace(
        environment,
        ap=environment.ap[:-1],
        features={name: values[..., :-1] for name, values in environment.features.items()},
    )


def elsewhere(environment, points):
    """The same environment with other fingerprints at some points."""
    features = {}
    for name, values in environment.features.items():
        features[name] = values.copy()
        features[name][points] += np.float32(30.0) * np.arange(values.shape[-1], dtype=np.float32)
    return replace(environment, features=features)


@pytest.fixture(scope="module")
def found():
    return outcomes(TINY, 4, made_up())


def test_every_method_locates_every_scan_of_the_test_points(found):
    kinds = {(o.method, o.history, o.steps) for o in found if o.rate is not None}
    assert kinds == LEARNED
    assert {o.method for o in found if o.rate is None} == PLAIN
    assert len(found) == 2 * (len(LEARNED) + len(PLAIN))
    for outcome in found:
        errors = outcome.errors
        assert (errors.room, errors.feature) == ("office", "rss")
        assert errors.errors_m.shape == (2, 5 * 3)
        assert np.array_equal(errors.point, np.repeat(np.flatnonzero(SPLIT == "test"), 3))
        assert 0.0 < errors.errors_m.mean() < 12.0
    assert {o.rate for o in found} - {None} <= set(TINY.rates)
    assert len({(o.errors.method, o.errors.k) for o in found}) == len(found)


def test_one_label_is_all_that_knn_can_answer(found):
    real = made_up()[0].real
    protocol = SimToReal(labels=TINY.labels, draws=TINY.draws, seed=4)
    [knn] = [o.errors for o in found if o.method == "knn" and o.errors.k == 1]
    for draw, order in enumerate(labelled_points(real, protocol)):
        gap = real.position[knn.point, :2] - real.position[order[0], :2]
        assert np.allclose(knn.errors_m[draw], np.linalg.norm(gap, axis=1))


def test_the_twin_alone_is_better_than_one_label(found):
    mean = {o.method: o.errors.errors_m.mean() for o in found if o.errors.k == 1}
    assert mean["knn_twin"] < mean["knn"]


def test_nothing_but_the_labels_of_the_new_room_and_no_test_point_is_learned(found):
    office, corridor = made_up()
    protocol = SimToReal(labels=TINY.labels, draws=TINY.draws, seed=4)
    labelled = {i for order in labelled_points(office.real, protocol) for i in order[:3]}
    never = [i for i in np.flatnonzero(SPLIT == "reference") if i not in labelled]
    assert never
    changed = [
        replace(office, real=elsewhere(office.real, never)),
        replace(corridor, real=elsewhere(corridor.real, np.flatnonzero(SPLIT == "test"))),
    ]
    for before, after in zip(found, outcomes(TINY, 4, changed), strict=True):
        assert np.allclose(before.errors.errors_m, after.errors.errors_m, atol=1e-3), before.method


@pytest.fixture
def untrained(monkeypatch):
    """Experiments whose networks stay as they begin, which saves the time of compiling."""
    from flows.metaloc.room_learning import Experiment

    def starts(self, name, sources):
        weights = self._paradigm(name).starts[""]
        return {source.name: weights for source in sources} | {"": weights}

    monkeypatch.setattr(Experiment, "_starts", starts)
    return Experiment


def test_step_size_is_the_best_of_the_other_rooms(monkeypatch, untrained):
    settings = TINY.model_copy(update={"left_out": ("office", "corridor")})
    monkeypatch.setattr(
        untrained,
        "_trials",
        lambda *_: {"office": np.array([9.0, 0.1]), "corridor": np.array([1.0, 2.0])},
    )
    rates = {(o.errors.room, o.rate) for o in outcomes(settings, 1, made_up()) if o.rate}
    assert rates == {("office", 0.01), ("corridor", 0.1)}


@pytest.mark.usefixtures("untrained")
def test_similarity_is_asked_of_historical_environments_only(monkeypatch):
    from flows.metaloc import room_learning

    asked = []

    def recorded(fingerprints, candidates):
        asked.append((len(fingerprints), tuple(candidates)))
        return "twin corridor", {}

    monkeypatch.setattr(room_learning, "nearest", recorded)
    outcomes(TINY, 4, made_up())
    # All three scans of 1 and of 3 labelled points, in each of two draws.
    history = ("twin office", "twin corridor", "real corridor")
    assert asked == [(3, history), (9, history)] * 2


def test_records_say_what_a_number_is_of(found):
    [outcome] = [o for o in found if o.method == "maml_dg" and o.errors.k == 3]
    mean, median = records_of(outcome, TINY, 4)
    assert mean == {
        "study": "rooms",
        "site": "office",
        "method": "maml_dg",
        "seed": 4,
        "reality": "measured",
        "feature": "rss",
        "k": 3,
        "history": BOTH,
        "steps": 2,
        "rate": outcome.rate,
        "metric": "mean_error_m",
        "value": outcome.errors.errors_m.mean(),
    }
    assert median["value"] == np.median(outcome.errors.errors_m)
    [plain] = [o for o in found if o.method == "knn" and o.errors.k == 3]
    assert not {"steps", "rate"} & set(records_of(plain, TINY, 4)[0])


def test_what_cannot_be_is_refused_at_once_with_every_fault():
    office, corridor = made_up()
    few = np.array(["reference"] * 2 + ["test"] * 23)
    with pytest.raises(InputError) as refused:
        outcomes(
            TINY.model_copy(update={"left_out": ("lecture_theatre",)}),
            1,
            [office, replace(corridor, name="office", real=replace(corridor.real, split=few))],
        )
    text = str(refused.value)
    assert "at least 3 reference points" in text
    assert "two or more with names of their own" in text
    assert "['lecture_theatre'], too" in text
    with pytest.raises(InputError, match="two or more"):
        outcomes(TINY, 1, [office])


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_held_out_realisations_are_in_no_twin(monkeypatch, seed):
    def stored(store, site):
        assert store == "store"
        made = squares(5)
        return [replace(each, site=site, visit=visit) for each in made for visit in (0, 1)]

    monkeypatch.setattr(rooms, "environments", stored)
    settings = TINY.model_copy(update={"reality": "held_out"})
    there = places(settings, seed, "store")
    assert [each.name for each in there] == ["lecture_theatre", "office", "corridor"]
    for each in there:
        assert {e.realisation for e in each.twin} == {0, 1}
        assert (each.real.realisation, each.real.visit) == (5 - HELD_OUT + seed % HELD_OUT, 0)
        assert each.real.is_test.sum() == 6
        assert each.real.is_reference.sum() == 19


def test_too_few_realisations_to_hold_some_out_are_refused(monkeypatch):
    few = squares(HELD_OUT + 1)
    monkeypatch.setattr(
        rooms, "environments", lambda _, site: [replace(each, site=site) for each in few]
    )
    settings = TINY.model_copy(update={"reality": "held_out"})
    with pytest.raises(InputError, match="at least 5 realisations, 3 of them to be held out"):
        places(settings, 0, "store")


def test_measured_rooms_come_from_the_sites_of_the_data_set(monkeypatch):
    asked = []

    def stored(_, site):
        asked.append(site)
        return squares(2)

    monkeypatch.setattr(rooms, "environments", stored)
    there = places(TINY, 0, "store")
    assert all(len(each.twin) == 2 for each in there)
    twins = ["lecture_theatre", "office_wing", "corridor"]
    assert sorted(asked) == sorted([*twins, *(real_site(room) for room in ROOMS)])


def test_data_are_checked_before_anything_is_traced(monkeypatch, tmp_path):
    def started():
        raise AssertionError("the ray tracer was started")

    monkeypatch.setattr(room_store.backend, "prepare", started)
    with pytest.raises(InputError):
        ensure_rooms(tmp_path / "store.zarr", tmp_path)
    assert not (tmp_path / "store.zarr").exists()


def test_the_study_of_the_rooms_is_the_demos():
    study = rooms_study()
    assert study.rooms == ROOMS
    assert (study.twin.realisations, study.twin.visits, study.twin.snapshots) == (12, 10, 4)
    assert rooms_study(3).twin.realisations == 3
    assert rooms_study(3).sense == study.sense


@pytest.mark.skipif(
    not DATA or not (Path(DATA) / "wifi_rtt_rooms").is_dir(),
    reason="needs TWIN_DATA_DIR with wifi_rtt_rooms",
)
def test_every_scan_at_the_official_test_points_of_a_real_room_is_a_fix(tmp_path):
    from flows.metaloc.new_room import NewRoom

    import_room(Path(DATA), "corridor", tmp_path / "store.zarr")
    [real] = environments(tmp_path / "store.zarr", "wifi_rtt_corridor")
    # Its own medians with a shift of their own stand for the realisations of a twin.
    medians = point_fingerprints(real, "rss")
    filled = np.where(np.isfinite(medians), medians, np.nanmin(medians)).astype(np.float32)
    twin = [
        replace(real, realisation=i, features={"rss": filled[:, None] + np.float32(i)})
        for i in range(2)
    ]
    new = NewRoom(Room.of(twin, "rss", 5), real, SimToReal(labels=(10,), draws=2, seed=1))
    assert set(new.point.tolist()) == set(np.flatnonzero(real.is_test).tolist())
    assert len(set(new.point.tolist())) == 29
    heard = np.isfinite(real.features["rss"][real.is_test]).any(axis=-1).sum()
    assert new.tasks.query_inputs.shape == (2, heard, 15)
    errors = new.baselines(1)
    # The room's own fingerprints are a better database than ten points of it.
    assert errors["knn_twin"].mean() < errors["knn"].mean()
