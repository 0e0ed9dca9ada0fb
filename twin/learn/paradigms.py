"""MetaLoc's paradigms and its two baselines with the same network (IEEE JSAC 41(12), 2023).

- ``maml``: centralised; tasks of all historical environments in every outer step (Algorithm 1).
- ``maml_ts``: one initialisation an environment; the one whose fingerprints are nearest to the new
  environment's, by maximum mean discrepancy, is taken there (Algorithm 2).
- ``maml_dg``: every outer step takes tasks of two environments (Algorithm 3).
- ``tl``: ordinary pre-training on the support and query sets of the tasks that ``maml`` sees.
- ``ri``: the random initial weights.

All start from the same weights for one seed; ``maml`` and ``tl`` see the same tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from twin.align.discrepancy import nearest
from twin.errors import Fault, InputError, NotFittedError, refuse
from twin.learn.archive import read_archive, write_archive
from twin.learn.losses import Problem
from twin.learn.metalearning import Adaptation, DomainGeneralisation, InnerLoop, MetaTraining
from twin.learn.presets import MetaSettings, ParadigmName
from twin.learn.tasks import AnyArray, Array, TaskBatch, TaskSource, as_queries, concatenated
from twin.seeds import integer_seed, stream

PARADIGMS: tuple[ParadigmName, ...] = get_args(ParadigmName)
Observer = Callable[[int, "Paradigm"], None]

FORMAT = "fingertwin/paradigm@1"
#: Fingerprints of an environment that MAML-TS keeps, to tell how near a new one is.
KEPT_FINGERPRINTS = 256
_ALL = ""


class Paradigm:
    """One way to find the initialisation that adapts to a new environment."""

    def __init__(
        self,
        name: ParadigmName,
        make_model: Callable[[int], keras.Model],
        problem: Problem,
        settings: MetaSettings,
        seed: int,
    ) -> None:
        """An untrained paradigm.

        Args:
            name: which.
            make_model: a network from a seed of its weights.
            problem: form of the problem.
            settings: see `MetaSettings`.
            seed: of initial weights and tasks.

        Raises:
            InputError: no paradigm has this name.
        """
        expected = f"one of {', '.join(PARADIGMS)}"
        refuse([Fault("paradigm", "name", expected, name)] if name not in PARADIGMS else [])
        self.name = name
        self.settings = settings
        self.problem = problem
        self._seed = seed
        self._make = make_model
        self._models = {_ALL: self._fresh()}
        self._fingerprints: dict[str, Array] = {}

    def _fresh(self) -> keras.Model:
        return self._make(integer_seed(self._seed, "initial weights"))

    @property
    def model(self) -> keras.Model:
        """A network of the paradigm; which weights it has is for `starts` to say."""
        return next(iter(self._models.values()))

    @property
    def starts(self) -> dict[str, list[AnyArray]]:
        """Weights to adapt from: by environment for ``maml_ts``, else one, under ``""``."""
        return {name: model.get_weights() for name, model in self._models.items()}

    def fit(
        self,
        sources: Sequence[TaskSource],
        observe: Observer | None = None,
        every: int = 0,
    ) -> None:
        """Meta-train on historical environments, from the initial weights.

        Args:
            sources: the environments.
            observe: called with the number of outer steps taken and this paradigm.
            every: outer steps between two calls; the first is before any step.

        Raises:
            InputError: no environment, two of one name, fewer than two for ``maml_dg``.
        """
        refuse(self._faults(sources))
        own = self.name == "maml_ts"
        self._models = {
            name: self._fresh() for name in ([s.name for s in sources] if own else [_ALL])
        }
        self._fingerprints = {}
        if own:
            self._fingerprints = {
                source.name: source.fingerprints(
                    stream(self._seed, "kept fingerprints", source.name), KEPT_FINGERPRINTS
                )
                for source in sources
            }
        steps = 0 if self.name == "ri" else self.settings.outer_steps
        advance = self._advances(sources)
        for step in range(steps + 1):
            if observe is not None and every > 0 and step % every == 0:
                observe(step, self)
            if step < steps:
                advance()

    def _advances(self, sources: Sequence[TaskSource]) -> Callable[[], None]:
        """One outer step on all initialisations."""
        inner = self._inner(0 if self.name == "tl" else self.settings.inner_steps)
        tasks = self.settings.tasks
        if self.name == "maml_ts":
            # Built on the first model; the others have the same architecture.
            together = MetaTraining(self.model, self.problem, inner, self._optimizer())
            optimizers = {name: self._optimizer() for name in self._models}
            streams = {s.name: stream(self._seed, "tasks", s.name) for s in sources}

            def every_environment() -> None:
                for source in sources:
                    batch = source.sample(streams[source.name], tasks)
                    name = source.name
                    together.step_on(self._models[name], optimizers[name], batch)

            return every_environment
        generator = stream(self._seed, "tasks")
        if self.name == "maml_dg":
            settings = self.settings
            virtual = settings.virtual_rate
            pairs = DomainGeneralisation(
                self.model,
                self.problem,
                inner,
                self._optimizer(),
                settings.outer_rate if virtual is None else virtual,
                settings.domain_weight,
            )

            def two_environments() -> None:
                one, other = generator.choice(len(sources), size=2, replace=False)
                pairs.step_pair(
                    sources[one].sample(generator, tasks), sources[other].sample(generator, tasks)
                )

            return two_environments
        training = MetaTraining(self.model, self.problem, inner, self._optimizer())

        def all_environments() -> None:
            batch = self._mixed(sources, generator)
            training.step(as_queries(batch) if self.name == "tl" else batch)

        return all_environments

    def _mixed(self, sources: Sequence[TaskSource], generator: np.random.Generator) -> TaskBatch:
        """A batch whose tasks are each of an environment drawn at random."""
        counts = np.bincount(
            generator.integers(len(sources), size=self.settings.tasks), minlength=len(sources)
        )
        return concatenated(
            [s.sample(generator, int(n)) for s, n in zip(sources, counts, strict=True) if n]
        )

    def _optimizer(self) -> keras.optimizers.Optimizer:
        settings = self.settings
        rate: Any = settings.outer_rate
        if settings.outer_decay == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, max(settings.outer_steps, 1))
        return keras.optimizers.Adam(rate, global_clipnorm=10.0)

    def _inner(self, steps: int) -> InnerLoop:
        settings = self.settings
        return InnerLoop(
            settings.inner_rate, steps, settings.first_order, settings.largest_gradient
        )

    def adaptation(self) -> Adaptation:
        """Adapts with `settings.inner_rate`; how many steps, its caller says."""
        return Adaptation(self.model, self.problem, self._inner(self.settings.adaptation_steps))

    def choose(self, fingerprints: npt.NDArray[np.float64]) -> str:
        """Which of `starts` suits a new environment, from (n, d) fingerprints of it.

        They must be made as the sources' `fingerprints` are. Without a choice: the only one.

        Raises:
            NotFittedError: ``maml_ts`` without `fit` or `load`.
        """
        if self.name != "maml_ts":
            return _ALL
        if not self._fingerprints:
            raise NotFittedError(
                "choose: expected initialisations of environments; call fit or load first"
            )
        return nearest(fingerprints, self._fingerprints)[0]

    def save(self, path: Path) -> None:
        """Write all initialisations, and the fingerprints they are chosen by, to one file."""
        arrays: dict[str, AnyArray] = {"names": np.array(list(self._models))}
        for index, (name, model) in enumerate(self._models.items()):
            for place, weights in enumerate(model.get_weights()):
                arrays[f"start_{index:03d}_{place:03d}"] = weights
            if name in self._fingerprints:
                arrays[f"fingerprints_{index:03d}"] = self._fingerprints[name]
        write_archive(path, self._head(), arrays)

    def load(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            InputError: not such a file, or of another paradigm, other settings or another network.
        """
        arrays = read_archive(path, self._head())
        names = [str(name) for name in arrays["names"]]
        models, fingerprints = {}, {}
        for index, name in enumerate(names):
            found = [arrays[key] for key in sorted(arrays) if key.startswith(f"start_{index:03d}_")]
            model = self._fresh()
            expected = [tuple(weights.shape) for weights in model.get_weights()]
            shapes = [weights.shape for weights in found]
            if shapes != expected:
                raise InputError([Fault(str(path), "weights", str(expected), str(shapes))])
            model.set_weights(found)
            models[name] = model
            if f"fingerprints_{index:03d}" in arrays:
                fingerprints[name] = arrays[f"fingerprints_{index:03d}"]
        self._models, self._fingerprints = models, fingerprints

    def _head(self) -> dict[str, JsonValue]:
        return {
            "format": FORMAT,
            "paradigm": self.name,
            "problem": type(self.problem).__name__,
            "settings": self.settings.model_dump(mode="json"),
        }

    def _faults(self, sources: Sequence[TaskSource]) -> list[Fault]:
        names = [source.name for source in sources]
        least = 2 if self.name == "maml_dg" else 1
        faults = []
        if len(names) < least:
            faults.append(
                Fault(f"{self.name}", "environments", f"at least {least}", str(len(names)))
            )
        if len(set(names)) < len(names):
            faults.append(Fault(f"{self.name}", "environments", "names that differ", str(names)))
        return faults
