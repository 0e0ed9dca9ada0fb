from __future__ import annotations

import keras
import numpy as np
import pytest

from twin.errors import InputError, NotFittedError
from twin.learn.losses import MeanSquare
from twin.learn.paradigms import PARADIGMS, Paradigm
from twin.learn.presets import RSS_SMALL, MetaSettings
from twin.learn.tasks import TaskBatch, as_queries, concatenated

SETTINGS = MetaSettings(
    **{
        **RSS_SMALL.model_dump(),
        "outer_steps": 100,
        "outer_rate": 0.02,
        "inner_rate": 0.3,
        "inner_steps": 2,
    }
)
SIZES = (6, 8)


class Turned:
    """Positions are the inputs turned by an angle; an environment is a range of angles.

    What environments are told apart by has an offset.
    """

    def __init__(self, name, low, high, offset=0.0, padded=False):
        self.name = name
        self._range = (low, high)
        self._offset = offset
        self._padded = padded
        self.drawn = 0

    def sample(self, generator, tasks):
        self.drawn += tasks
        support, queries = SIZES
        angle = generator.uniform(*self._range, size=tasks)
        turn = np.stack(
            [np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1
        ).reshape(tasks, 2, 2)
        inputs = generator.uniform(-1, 1, size=(tasks, support + queries, 2))
        targets = np.einsum("tij,tkj->tki", turn, inputs)
        weight = np.full((tasks, support), 1.0 / support)
        if self._padded:
            weight[:, -1] = 0.0
            weight *= support / (support - 1)
        parts = (inputs[:, :support], targets[:, :support], weight)
        batch = TaskBatch(*parts, inputs[:, support:], targets[:, support:])
        return TaskBatch(*(part.astype(np.float32) for part in batch.arrays()))

    def fingerprints(self, generator, count):
        return generator.uniform(-1, 1, size=(count, 2)) + self._offset


def made_model(seed):
    initial = keras.initializers.GlorotUniform(seed=seed)
    layers = [
        keras.Input((2,)),
        keras.layers.Dense(16, activation="tanh", kernel_initializer=initial),
        keras.layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 1)),
    ]
    return keras.Sequential(layers)


def made(name, seed=1, **changes):
    settings = MetaSettings(**{**SETTINGS.model_dump(), **changes})
    return Paradigm(name, made_model, MeanSquare(), settings, seed)


SOURCES = (Turned("left", 0.5, 1.0), Turned("right", -1.0, -0.5, offset=2.0))


def wrong(paradigm, source, seed=99):
    batch = source.sample(np.random.default_rng(seed), 24)
    start = paradigm.starts[paradigm.choose(source.fingerprints(np.random.default_rng(seed), 100))]
    outputs = paradigm.adaptation().outputs(start, batch, at=(5,))[0]
    return float(np.sqrt(((outputs - batch.query_targets) ** 2).sum(-1).mean()))


def same(one, other):
    return one.keys() == other.keys() and all(
        np.array_equal(a, b) for name in one for a, b in zip(one[name], other[name], strict=True)
    )


def test_every_paradigm_starts_from_the_same_weights_and_only_ri_keeps_them():
    starts = {}
    for name in PARADIGMS:
        paradigm = made(name, outer_steps=3)
        initial = paradigm.starts
        starts[name] = initial[""]
        paradigm.fit(SOURCES)
        moved = [not same({"": s}, initial) for s in paradigm.starts.values()]
        assert moved == [name != "ri"] * len(moved)
    for name in PARADIGMS:
        assert same({"": starts[name]}, {"": starts["ri"]})


@pytest.mark.parametrize("name", ["maml", "maml_ts", "maml_dg"])
def test_meta_learning_adapts_better_than_a_random_start(name):
    paradigm, random = made(name), made("ri")
    paradigm.fit(SOURCES)
    random.fit(SOURCES)
    for source in SOURCES:
        assert wrong(paradigm, source) < 0.7 * wrong(random, source)


def test_the_same_seed_gives_the_same_initialisations_and_another_others():
    found = []
    for seed in (1, 1, 2):
        paradigm = made("maml_dg", seed=seed, outer_steps=4)
        paradigm.fit(SOURCES)
        found.append(paradigm.starts)
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_fit_again_forgets_what_was_learned():
    paradigm = made("maml", outer_steps=4)
    paradigm.fit(SOURCES)
    first = paradigm.starts
    paradigm.fit(SOURCES)
    assert same(first, paradigm.starts)


def test_task_similarity_keeps_one_start_an_environment_and_takes_the_nearest():
    paradigm = made("maml_ts", outer_steps=2)
    with pytest.raises(NotFittedError, match="choose"):
        paradigm.choose(np.zeros((3, 2)))
    paradigm.fit(SOURCES)
    assert sorted(paradigm.starts) == ["left", "right"]
    generator = np.random.default_rng(0)
    for source in SOURCES:
        assert paradigm.choose(source.fingerprints(generator, 50)) == source.name


def test_an_environment_of_its_own_does_not_depend_on_the_others():
    both, alone = made("maml_ts", outer_steps=4), made("maml_ts", outer_steps=4)
    both.fit(SOURCES)
    alone.fit(SOURCES[:1])
    assert same({"left": both.starts["left"]}, alone.starts)


def test_domain_generalisation_draws_as_many_tasks_of_two_environments_in_every_step():
    sources = [Turned(name, 0.0, 1.0) for name in ("one", "two", "three")]
    paradigm = made("maml_dg", outer_steps=20, tasks=3)
    paradigm.fit(sources)
    assert sum(source.drawn for source in sources) == 20 * 2 * 3
    assert all(source.drawn > 0 for source in sources)


def test_observer_sees_the_beginning_and_every_so_many_steps():
    seen = []
    paradigm = made("maml", outer_steps=6)
    paradigm.fit(SOURCES, observe=lambda step, now: seen.append((step, now.starts)), every=3)
    assert [step for step, _ in seen] == [0, 3, 6]
    assert same(seen[-1][1], paradigm.starts)
    assert not same(seen[0][1], seen[1][1])


@pytest.mark.parametrize("name", ["maml", "maml_ts"])
def test_saved_and_loaded_it_is_the_same(name, tmp_path):
    paradigm, other = made(name, outer_steps=2), made(name, outer_steps=2)
    paradigm.fit(SOURCES)
    paradigm.save(tmp_path / "start.npz")
    other.load(tmp_path / "start.npz")
    assert same(paradigm.starts, other.starts)
    asked = SOURCES[1].fingerprints(np.random.default_rng(0), 50)
    assert paradigm.choose(asked) == other.choose(asked)
    with pytest.raises(InputError, match="settings"):
        made(name, outer_steps=3).load(tmp_path / "start.npz")
    with pytest.raises(InputError, match="paradigm"):
        made("tl", outer_steps=2).load(tmp_path / "start.npz")


def test_a_file_of_another_network_is_refused(tmp_path):
    paradigm = made("maml", outer_steps=1)
    paradigm.save(tmp_path / "start.npz")

    def wider(_seed):
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])

    other = Paradigm("maml", wider, MeanSquare(), paradigm.settings, 1)
    with pytest.raises(InputError, match="weights"):
        other.load(tmp_path / "start.npz")


@pytest.mark.parametrize(
    ("name", "sources", "message"),
    [
        ("maml", [], "at least 1"),
        ("maml_dg", SOURCES[:1], "at least 2"),
        ("tl", [SOURCES[0], SOURCES[0]], "names that differ"),
    ],
)
def test_environments_that_do_not_serve_are_refused(name, sources, message):
    with pytest.raises(InputError, match=message):
        made(name).fit(sources)


def test_a_name_of_no_paradigm_is_refused():
    with pytest.raises(InputError, match=r"maml_dg.*maml-dg"):
        made("maml-dg")


def test_pretraining_sees_supports_and_queries_and_no_padding():
    batch = Turned("padded", 0.0, 1.0, padded=True).sample(np.random.default_rng(0), 3)
    whole = as_queries(batch)
    support, queries = SIZES
    assert whole.query_inputs.shape == (3, support + queries, 2)
    assert np.array_equal(whole.query_inputs[:, support:], batch.query_inputs)
    assert np.array_equal(whole.query_inputs[:, : support - 1], batch.support_inputs[:, :-1])
    assert np.array_equal(whole.query_targets[:, support - 1], batch.support_targets[:, 0])
    assert np.array_equal(whole.support_inputs, whole.query_inputs[:, :support])
    assert np.allclose(whole.support_weight, 1 / support)


def test_batches_of_other_sizes_are_not_put_together():
    source = SOURCES[0]
    one, other = (source.sample(np.random.default_rng(0), n) for n in (2, 3))
    assert concatenated([one, other]).tasks == 5
    short = TaskBatch(*one.arrays()[:3], one.query_inputs[:, :4], one.query_targets[:, :4])
    with pytest.raises(InputError, match="query_inputs"):
        concatenated([one, short])
    with pytest.raises(InputError, match="at least one"):
        concatenated([])
