from __future__ import annotations

import zipfile

import numpy as np
import pytest

from tests.unit.small_places import AP, place, places
from twin.errors import InputError, NotFittedError
from twin.learn.baselines.gradient import PlainPretraining, RandomStart
from twin.learn.episodes import TwinTasks
from twin.learn.features import fingerprints, point_fingerprints
from twin.learn.learner import Labelled
from twin.learn.metaloc import MetaLoc
from twin.learn.presets import PAPER, SMALL, GradientSettings, small

TINY = GradientSettings(
    hidden=(8,),
    inner_rate=0.05,
    inner_steps=1,
    first_order=True,
    outer_rate=5e-3,
    outer_steps=3,
    tasks=2,
    supports=(1, 4),
    queries=10,
    alignment="labels",
)
LEARNERS = (MetaLoc, PlainPretraining, RandomStart)


def with_(**changes):
    return GradientSettings(**{**TINY.model_dump(), **changes})


def weights(learner):
    return [np.asarray(w) for w in learner._model.get_weights()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def labelled(k=3, feature="rss", realisation=50):
    real = place(realisation)
    chosen = np.random.default_rng(2).permutation(real.points)[:k]
    scans = fingerprints(real, feature)
    return Labelled(
        point_fingerprints(real, feature)[chosen],
        real.position[chosen, :2],
        scans.reshape(-1, scans.shape[-1]),
    )


def asked(realisation=50, feature="rss"):
    return point_fingerprints(place(realisation), feature)


@pytest.fixture(scope="module")
def fitted():
    learner = MetaLoc(TINY, "rss", len(AP), seed=1)
    learner.fit(places())
    return learner


@pytest.fixture(scope="module")
def saved(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "learner.npz"
    fitted.save(path)
    return path


def test_presets_are_valid_and_steps_can_be_told():
    assert small("metaloc") == SMALL
    assert small("metaloc", 7) == GradientSettings(**{**SMALL.model_dump(), "outer_steps": 7})
    assert small("pretraining").inner_rate != SMALL.inner_rate
    assert (PAPER.inner_steps, PAPER.inner_rate, PAPER.outer_rate) == (1, 1e-4, 1e-3)


@pytest.mark.parametrize("change", [{"supports": (0, 3)}, {"hidden": (0,)}, {"supports": ()}])
def test_settings_without_sense_are_refused(change):
    with pytest.raises(ValueError, match=r"greater than or equal to 1|at least 1"):
        with_(**change)


@pytest.mark.parametrize("kind", LEARNERS)
def test_same_seed_same_weights_other_seed_others(kind):
    one, again, other = (kind(TINY, "rss", len(AP), seed) for seed in (1, 1, 2))
    start = weights(one)
    for learner in (one, again, other):
        learner.fit(places())
    assert same(weights(one), weights(again))
    assert not same(weights(one), weights(other))
    # Random starts are left where they are; the others learn.
    assert same(start, weights(one)) == (kind is RandomStart)


def test_fitting_again_starts_over(fitted):
    learner = PlainPretraining(TINY, "rss", len(AP), seed=1)
    learner.fit(places(seed=8))
    learner.fit(places())
    once = PlainPretraining(TINY, "rss", len(AP), seed=1)
    once.fit(places())
    assert same(weights(learner), weights(once))
    assert not same(weights(learner), weights(fitted))


def test_all_methods_of_a_seed_see_the_same_tasks(monkeypatch):
    drawn = []
    sample = TwinTasks.sample

    def watched(self, *arguments):
        batch = sample(self, *arguments)
        drawn[-1].append(batch)
        return batch

    monkeypatch.setattr(TwinTasks, "sample", watched)
    starts = []
    for kind in (MetaLoc, PlainPretraining):
        drawn.append([])
        learner = kind(TINY, "rss", len(AP), seed=4)
        starts.append(weights(learner))
        learner.fit(places())
    assert same(*starts)
    assert [len(batches) for batches in drawn] == [TINY.outer_steps] * 2
    for one, other in zip(*drawn, strict=True):
        assert same(one.arrays(), other.arrays())
    first, second = drawn[0][:2]
    assert not same(first.arrays(), second.arrays())


@pytest.mark.parametrize("alignment", ["none", "labels", "unlabelled"])
def test_answers_are_finite_whatever_was_not_heard(alignment):
    feature = "rss+rtt"
    learner = RandomStart(with_(alignment=alignment), feature, len(AP), 1)
    learner.fit(places())
    given = labelled(4, feature)
    given.fingerprints[0] = np.nan
    given.fingerprints[1:, 0] = np.nan
    given.unlabelled[:, 0] = np.nan
    learner.adapt(given)
    fingerprint = asked(feature=feature)
    fingerprint[0] = np.nan
    fingerprint[1:9, 1] = np.nan
    location = learner.locate(fingerprint)
    assert location.position.shape == (25, 2)
    assert np.isfinite(location.position).all()
    assert location.spread.shape == (25,)
    assert (np.isfinite(location.spread) & (location.spread > 0)).all()


def test_a_learner_learns_where_fingerprints_come_from():
    settings = with_(hidden=(32,), outer_steps=150, tasks=8, inner_steps=2, outer_rate=2e-2)
    start = RandomStart(settings, "rtt", len(AP), 1)
    learner = MetaLoc(settings, "rtt", len(AP), 1)
    wrong = []
    for one in (start, learner):
        one.fit(places(8))
        one.adapt(labelled(4, "rtt"))
        answer = one.locate(asked(feature="rtt"))
        off = np.linalg.norm(answer.position - place().position[:, :2], axis=1)
        wrong.append(off.mean())
    assert wrong[1] < 1.0
    assert wrong[1] < 0.5 * wrong[0]
    # The expected error has the right size too.
    assert wrong[1] / 3 < answer.spread.mean() < wrong[1] * 3


def test_adapting_replaces_the_adaptation_before(fitted):
    fitted.adapt(labelled(4))
    first = fitted.locate(asked())
    fitted.adapt(labelled(2, realisation=51))
    second = fitted.locate(asked())
    fitted.adapt(labelled(4))
    third = fitted.locate(asked())
    assert np.array_equal(first.position, third.position)
    assert np.array_equal(first.spread, third.spread)
    assert not np.allclose(first.position, second.position)


def test_adaptation_goes_towards_the_labels():
    learner = RandomStart(with_(inner_steps=12, inner_rate=0.2), "rss", len(AP), 1)
    learner.fit(places())
    given = labelled(4)
    learner.adapt(given)
    off = np.linalg.norm(learner.locate(given.fingerprints).position - given.position, axis=1)
    centre = np.linalg.norm(given.position - 4.0, axis=1)
    assert off.mean() < 0.5 * centre.mean()


@pytest.mark.parametrize("k", [0, 5])
def test_numbers_of_labels_that_no_task_had_are_refused(fitted, k):
    with pytest.raises(InputError, match=f"labelled points: expected 1 to 4, found {k}"):
        fitted.adapt(labelled(k))


def test_order_of_use(tmp_path):
    learner = MetaLoc(TINY, "rss", len(AP), 1)
    for early in (
        lambda: learner.adapt(labelled()),
        lambda: learner.locate(asked()),
        lambda: learner.save(tmp_path / "learner.npz"),
    ):
        with pytest.raises(NotFittedError, match="MetaLoc: expected a fitted learner"):
            early()
    random = RandomStart(TINY, "rss", len(AP), 1)
    random.fit(places())
    with pytest.raises(NotFittedError, match="call adapt first"):
        random.locate(asked())


def test_a_failed_fit_leaves_no_fitted_learner():
    learner = MetaLoc(with_(queries=30), "rss", len(AP), 1)
    with pytest.raises(InputError, match="expected at least 34"):
        learner.fit(places())
    with pytest.raises(NotFittedError):
        learner.adapt(labelled())


def test_other_access_points_than_the_learner_was_made_for():
    with pytest.raises(InputError, match="twin environments: access points: expected 5, found 3"):
        RandomStart(TINY, "rss+rtt", 5, 1).fit(places())


def test_realigned_learners_do_not_disturb_each_other(fitted):
    fitted.adapt(labelled(4))
    before, weights_before = fitted.locate(asked()), weights(fitted)
    other = fitted.adapting_with(alignment="none")
    with pytest.raises(NotFittedError):
        other.locate(asked())
    other.adapt(labelled(4))
    apart = other.locate(asked())
    assert not np.allclose(before.position, apart.position)
    assert np.array_equal(fitted.locate(asked()).position, before.position)
    fitted.adapt(labelled(2))
    assert np.array_equal(other.locate(asked()).position, apart.position)
    other.fit(places(seed=9))
    assert same(weights(fitted), weights_before)
    fitted.adapt(labelled(4))
    assert np.array_equal(fitted.locate(asked()).position, before.position)
    back = fitted.adapting_with(alignment="labels")
    back.adapt(labelled(4))
    assert np.array_equal(back.locate(asked()).position, before.position)


def test_realigned_learner_outlives_a_new_fit_of_the_original():
    learner = PlainPretraining(TINY, "rss", len(AP), 1)
    learner.fit(places())
    other = learner.adapting_with(alignment="none")
    other.adapt(labelled(4))
    expected = other.locate(asked()).position
    learner.fit(places(seed=9))
    other.adapt(labelled(4))
    assert np.array_equal(other.locate(asked()).position, expected)
    # Another number of fingerprints is compiled anew.
    assert np.allclose(other.locate(asked()[:7]).position, expected[:7], atol=1e-4)


def test_round_trip_through_a_file(fitted, saved):
    loaded = MetaLoc(TINY, "rss", len(AP), seed=9)
    loaded.load(saved)
    assert same(weights(loaded), weights(fitted))
    with pytest.raises(NotFittedError, match="call adapt first"):
        loaded.locate(asked())
    for learner in (loaded, fitted):
        learner.adapt(labelled(4))
    one, other = fitted.locate(asked()), loaded.locate(asked())
    assert np.array_equal(one.position, other.position)
    assert np.array_equal(one.spread, other.spread)


def test_loading_after_use_takes_effect(fitted, saved):
    learner = MetaLoc(TINY, "rss", len(AP), seed=9)
    learner.fit(places(seed=8))
    learner.adapt(labelled(4))
    learner.locate(asked())
    learner.load(saved)
    learner.adapt(labelled(4))
    fitted.adapt(labelled(4))
    assert np.array_equal(learner.locate(asked()).position, fitted.locate(asked()).position)


def test_same_learner_same_bytes(fitted, saved, tmp_path):
    fitted.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_file_of_another_learner_is_refused_with_all_differences(saved):
    learner = PlainPretraining(with_(inner_rate=0.5), "rss+rtt", len(AP), 1)
    with pytest.raises(InputError) as caught:
        learner.load(saved)
    faults = {fault.key: fault for fault in caught.value.faults}
    assert set(faults) == {"learner", "feature", "settings"}
    assert {fault.where for fault in faults.values()} == {str(saved)}
    assert (faults["learner"].expected, faults["learner"].found) == ("PlainPretraining", "MetaLoc")
    assert (faults["feature"].expected, faults["feature"].found) == ("rss+rtt", "rss")
    assert "'inner_rate': 0.5" in faults["settings"].expected
    assert "'inner_rate': 0.05" in faults["settings"].found


def test_file_of_other_access_points_is_refused(saved):
    learner = MetaLoc(TINY, "rss", 5, 1)
    with pytest.raises(InputError, match="access points: expected 5, found 3") as caught:
        learner.load(saved)
    assert caught.value.faults[0].where == str(saved)


def write_nothing(path, _):
    path.write_bytes(b"")


def write_text(path, _):
    path.write_text("weights")


def write_array(path, _):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def write_half(path, whole):
    path.write_bytes(whole[: len(whole) // 2])


def write_flipped(path, whole):
    # Within the numbers of the first weight: behind the name and the 128 bytes of NumPy's header.
    inside = whole.index(b"weight_00.npy") + 200
    path.write_bytes(whole[:inside] + bytes([whole[inside] ^ 255]) + whole[inside + 1 :])


def write_archive_of_others(path, _):
    with path.open("wb") as file:
        np.savez(file, weight=np.zeros(3))


def write_head_of_others(path, _):
    with path.open("wb") as file:
        np.savez(file, head=np.array("[1, 2]"))


def write_zip(path, _):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("head", "{}")


@pytest.mark.parametrize(
    "write",
    [
        write_nothing,
        write_text,
        write_array,
        write_half,
        write_flipped,
        write_archive_of_others,
        write_head_of_others,
        write_zip,
    ],
)
def test_foreign_or_damaged_file_is_refused(write, saved, tmp_path):
    path = tmp_path / "other.npz"
    write(path, saved.read_bytes())
    with pytest.raises(InputError, match="expected a learner saved by Fingertwin") as caught:
        MetaLoc(TINY, "rss", len(AP), 1).load(path)
    assert caught.value.faults[0].where == str(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        MetaLoc(TINY, "rss", len(AP), 1).load(tmp_path / "none.npz")
