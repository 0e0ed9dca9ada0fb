from __future__ import annotations

import numpy as np
import pytest

from flows.metaloc.layouts import (
    ACCESS_POINTS,
    LAWS,
    LayoutsSettings,
    initialisations,
    place_of,
    run_on,
    task_of,
)
from flows.metaloc.path_loss import PathLossLaw, Survey
from twin.errors import InputError
from twin.learn.presets import MetaSettings
from twin.store.reader import Environment

META = MetaSettings(
    inner_rate=0.02,
    inner_steps=1,
    adaptation_steps=2,
    first_order=True,
    outer_rate=5e-3,
    outer_steps=3,
    tasks=2,
)
TINY = LayoutsSettings(
    meta=META,
    hidden=(6,),
    neighbours=2,
    training=("north", "south"),
    new=("east",),
    references=8,
    labels=6,
    queries=4,
    repeats=2,
    laws=(PathLossLaw(name="law", room_m=(10, 10)),),
    survey=Survey(places=1, references=(8,), pool=20, access_points=4),
    steps=(0, 2),
    rates=(0.01, 0.1),
    chosen_at=2,
)


def environment(site, realisation, points=30):
    generator = np.random.default_rng([len(site), realisation])
    position = np.column_stack([generator.uniform(0, [10, 6], (points, 2)), np.ones(points)])
    ap_position = np.array([[1.0, 1, 2], [9, 1, 2], [9, 5, 2], [1, 5, 2]])
    far = np.linalg.norm(position[:, None] - ap_position, axis=-1)
    rss = -40 - 25 * np.log10(far)[:, None] + generator.normal(0, 3, (points, 3, 4))
    rss[0, :, 2] = np.nan
    return Environment(
        site=site,
        realisation=realisation,
        visit=0,
        label=f"realisation {realisation}",
        position=position,
        features={"rss": rss.astype(np.float32)},
        split=np.full(points, ""),
        ap=("a", "b", "c", "d"),
        ap_position=ap_position,
        attrs={},
    )


SITES = {
    name: [environment(name, i, points) for i in range(3)]
    for name, points in (("north", 30), ("south", 26), ("east", 30))
}


def selected(records, **wanted):
    return [r for r in records if all(r.get(key) == value for key, value in wanted.items())]


@pytest.fixture(scope="module")
def records():
    return run_on(TINY, 5, SITES)


def test_laws_are_one_of_each_of_the_papers_models():
    models = [law.model for law in LAWS]
    assert len(set(models)) == len(models) == 5
    assert LayoutsSettings().survey.access_points == ACCESS_POINTS == 20
    assert LayoutsSettings().training == ("wi_s1", "wi_s2", "wi_s5", "wi_s6")
    assert LayoutsSettings().new == ("wi_s3", "wi_s4")


def test_every_method_has_its_error_at_every_step(records):
    found = {
        (r["method"], r["start"], r["rate_choice"], r["steps"]) for r in records if "start" in r
    }
    same = [("maml", start) for start in ("plm", "wi", "wi_plm", "wi_long")]
    expected = {(*kind, "same", steps) for kind in same for steps in (0, 2)}
    for name in ("tl", "ri"):
        expected |= {(name, name, choice, s) for choice in ("same", "best") for s in (0, 2)}
    assert found == expected
    neighbours = {(r["method"], r["knows"]) for r in records if "knows" in r}
    assert neighbours == {
        (method, known)
        for method in ("knn", "wknn")
        for known in ("references", "references+labels")
    }
    assert all(0.0 < r["value"] < 20.0 for r in records)
    assert {(r["study"], r["site"], r["seed"]) for r in records} == {("fig11", "east", 5)}
    assert {r["rate"] for r in selected(records, rate_choice="best")} <= set(TINY.rates)


def test_starts_differ_in_what_they_have_learned_only(monkeypatch):
    from twin.learn.paradigms import Paradigm

    fits = []
    fit = Paradigm.fit

    def watched(self, sources, *args):
        before = self.starts[""]
        fit(self, sources, *args)
        names = [source.name for source in sources]
        fits.append((names, self.settings.outer_steps, before, self.starts[""]))

    monkeypatch.setattr(Paradigm, "fit", watched)
    starts = initialisations(TINY, 5, SITES)
    runs = dict(zip(starts, fits, strict=True))
    random = starts["ri"].starts[""]
    learned = {name: (names, steps) for name, (names, steps, _, _) in runs.items()}
    layouts = ["north", "south"]
    assert learned == {
        "plm": (["law"], 3),
        "wi": (layouts, 3),
        "wi_plm": (layouts, 3),
        "wi_long": (layouts, 6),
        "tl": (layouts, 3),
        "ri": (layouts, 3),
    }
    for name, (_, _, before, after) in runs.items():
        begun = runs["plm"][3] if name == "wi_plm" else random
        assert all(np.array_equal(a, b) for a, b in zip(before, begun, strict=True))
        moved = not np.allclose(before[0], after[0], atol=1e-5)
        assert moved == (name != "ri")


def test_a_realisation_is_surveyed_at_random_points_with_single_scans_elsewhere():
    whole = SITES["east"][0]
    place = place_of(TINY, whole, 5)
    everything = np.concatenate([place.references.position, place.position])
    assert np.array_equal(
        everything[np.lexsort(everything.T)],
        whole.position[np.lexsort(whole.position[:, :2].T), :2],
    )
    assert len(place.references.position) == 8
    where = np.argmax((whole.position[:, :2] == place.references.position[3]).all(axis=1))
    median = whole.point_features("rss")[where]
    assert np.array_equal(place.references.fingerprints[3], median, equal_nan=True)
    scans = [
        whole.features["rss"][(whole.position[:, :2] == at).all(axis=1)][0] for at in place.position
    ]
    same = [
        (scan == level).all(axis=-1) | np.isnan(level).any()
        for scan, level in zip(scans, place.fingerprints, strict=True)
    ]
    assert all(one.any() for one in same)
    assert not np.array_equal(place_of(TINY, whole, 6).position, place.position)
    task = task_of(TINY, place)
    assert task.support_inputs.shape == (1, 6, 6)
    assert task.query_inputs.shape == (1, 16, 6)
    assert np.array_equal(task_of(TINY, place, 5).query_inputs, task.query_inputs[:, :5])


def test_neighbours_of_a_place_by_hand(records):
    labels, squares = TINY.labels, []
    for whole in SITES["east"][:2]:
        place = place_of(TINY, whole, 5)
        known = np.concatenate([place.references.fingerprints, place.fingerprints[:labels]])
        weakest = np.nanmin(known)
        known = np.where(np.isnan(known), weakest, known)
        where = np.concatenate([place.references.position, place.position[:labels]])
        asked = np.where(np.isnan(place.fingerprints), weakest, place.fingerprints)[labels:]
        for level, truth in zip(asked, place.position[labels:], strict=True):
            nearest = np.argsort(np.linalg.norm(known - level, axis=1))[:2]
            squares.append(((where[nearest].mean(axis=0) - truth) ** 2).sum())
    (found,) = selected(records, method="knn", knows="references+labels")
    assert np.isclose(found["value"], np.sqrt(np.mean(squares)), rtol=1e-6)


def test_missing_and_small_sites_are_refused_with_every_fault():
    with pytest.raises(InputError) as error:
        run_on(
            TINY,
            5,
            {"north": SITES["north"][:1], "east": [environment("east", 0, points=14)]},
        )
    assert [(f.where, f.key) for f in error.value.faults] == [
        ("site east, realisation 0", "points"),
        ("site north", "realisations"),
        ("site south", "realisations"),
    ]
