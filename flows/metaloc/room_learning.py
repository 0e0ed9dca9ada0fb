"""Networks that learn from rooms and their twins, adapted to the rooms left out of the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from flows.metaloc.new_room import NewRoom
from flows.metaloc.rooms import BOTH, NOTHING, OWN_TWIN, TWINS, Outcome, Place, RoomsSettings
from twin.align.discrepancy import nearest
from twin.evaluate.protocols import SimToReal
from twin.evaluate.records import Errors
from twin.learn.features import Feature
from twin.learn.losses import MeanDistance
from twin.learn.networks import multilayer_perceptron
from twin.learn.paradigms import Paradigm
from twin.learn.presets import ParadigmName
from twin.learn.room_tasks import Room, RoomTasks, TaskShape
from twin.learn.step_sizes import StepSizes, distances, least_wrong
from twin.learn.tasks import AnyArray, Array
from twin.seeds import stream
from twin.store.reader import Environment

#: Fingerprints of an environment that are compared with another's.
_COMPARED = 256
#: Tasks of each other room that a step size is chosen on.
_TRIALS = 64


class Experiment:
    """The experiment on fingerprints of one kind."""

    def __init__(
        self,
        settings: RoomsSettings,
        seed: int,
        rooms: Sequence[Place],
        feature: Feature,
        protocol: SimToReal,
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._feature = feature
        shape = TaskShape(settings.labels, settings.queries, settings.pool)
        self._reach: dict[str, float] = {}
        self._twins: dict[str, RoomTasks] = {}
        self._reals: dict[str, RoomTasks] = {}
        self._new: dict[str, NewRoom] = {}
        for place in rooms:
            room = Room.of(place.twin, feature, settings.neighbours)
            reference = [_reference_points(place.real)]
            self._reach[place.name] = room.references.reach
            name = f"twin {place.name}"
            self._twins[place.name] = RoomTasks(name, room, place.twin, shape, seed)
            name = f"real {place.name}"
            self._reals[place.name] = RoomTasks(name, room, reference, shape, seed)
            if place.name in settings.left_out:
                self._new[place.name] = NewRoom(room, place.real, protocol)
        self._sizes = StepSizes(
            self._paradigm("ri").model, MeanDistance(), settings.meta.largest_gradient
        )

    def outcomes(self) -> Iterator[Outcome]:
        """Room by room."""
        twins = list(self._twins.values())
        random = self._starts("ri", twins)[""]
        maml_twins = self._starts("maml", twins)[""]
        tl_twins = self._starts("tl", twins)[""]
        # A start of its own for every environment is the same whichever room is new.
        single = self._starts("maml_ts", [*twins, *self._others()])
        errs = {
            kind: self._trials(start)
            for kind, start in (("meta", maml_twins), ("tl", tl_twins), ("ri", random))
        }
        steps = self._settings.meta.adaptation_steps
        for name, new in self._new.items():
            history = [*twins, *(self._reals[other] for other in self._reals if other != name)]
            maml = self._starts("maml", history)[""]
            tl = self._starts("tl", history)[""]
            domains = self._starts("maml_dg", history)[""]
            rate = {kind: self._best(name, trials) for kind, trials in errs.items()}
            for method, known, start, kind, taken in (
                ("maml", BOTH, maml, "meta", steps),
                ("maml_dg", BOTH, domains, "meta", steps),
                ("tl", BOTH, tl, "tl", steps),
                ("ri", NOTHING, random, "ri", steps),
                ("maml", BOTH, maml, "meta", 0),
                ("confi", BOTH, tl, "tl", 0),
                ("maml", TWINS, maml_twins, "meta", steps),
                ("tl", TWINS, tl_twins, "tl", steps),
            ):
                outputs = self._outputs(new, start, rate[kind], taken)
                found = new.errors(outputs)
                yield from self._by_k(name, method, known, found, taken, rate[kind])
            outputs = self._nearest(new, single, history, rate["meta"])
            yield from self._by_k(name, "maml_ts", BOTH, new.errors(outputs), steps, rate["meta"])
            for method, found in new.baselines(self._seed).items():
                knows = NOTHING if method in ("knn", "wknn") else OWN_TWIN
                yield from self._by_k(name, method, knows, found)

    def _others(self) -> list[RoomTasks]:
        """Real rooms that are history to at least one new one."""
        return [
            source for name, source in self._reals.items() if any(name != new for new in self._new)
        ]

    def _trials(self, start: Sequence[AnyArray]) -> dict[str, Array]:
        """Of each real room, the mean error [m] after the adaptation with each step size."""
        found = {}
        for source in self._others():
            batch = source.first(_TRIALS)
            steps = (self._settings.meta.adaptation_steps,)
            wrong = [
                distances(
                    self._sizes.adaptation(rate).outputs(start, batch, steps)[0],
                    batch.query_targets,
                ).mean()
                for rate in self._settings.rates
            ]
            room = source.name.removeprefix("real ")
            metres = np.array(wrong) * self._reach[room]
            found[room] = np.nan_to_num(metres, nan=np.inf, posinf=np.inf)
        return found

    def _best(self, new: str, trials: Mapping[str, Array]) -> float:
        """The step size with the least mean error in the rooms other than the new one."""
        wrong = np.mean([errors for room, errors in trials.items() if room != new], axis=0)
        return least_wrong(self._settings.rates, wrong)

    def _outputs(
        self, new: NewRoom, start: Sequence[AnyArray], rate: float, steps: int
    ) -> AnyArray:
        answers: AnyArray = self._sizes.adaptation(rate).outputs(start, new.tasks, (steps,))
        return np.asarray(answers[0])

    def _nearest(
        self,
        new: NewRoom,
        starts: Mapping[str, Sequence[AnyArray]],
        history: Sequence[RoomTasks],
        rate: float,
    ) -> AnyArray:
        """Outputs of MAML-TS: a task starts where the scans at its labelled points are nearest."""
        near = {
            source.name: source.fingerprints(stream(self._seed, "compared", source.name), _COMPARED)
            for source in history
        }
        chosen = [nearest(inputs, near)[0] for inputs in new.labelled_inputs(_COMPARED)]
        steps = self._settings.meta.adaptation_steps
        answers = {
            name: self._outputs(new, starts[name], rate, steps) for name in sorted(set(chosen))
        }
        return np.stack([answers[name][task] for task, name in enumerate(chosen)])

    def _paradigm(self, name: ParadigmName) -> Paradigm:
        width, hidden = 3 * self._settings.neighbours, self._settings.hidden
        return Paradigm(
            name,
            lambda seed: multilayer_perceptron(width, hidden, 2, seed),
            MeanDistance(),
            self._settings.meta,
            self._seed,
        )

    def _starts(
        self, name: ParadigmName, sources: Sequence[RoomTasks]
    ) -> dict[str, list[AnyArray]]:
        paradigm = self._paradigm(name)
        paradigm.fit(sources)
        return paradigm.starts

    def _by_k(
        self,
        room: str,
        method: str,
        history: str,
        found: Array,
        steps: int | None = None,
        rate: float | None = None,
    ) -> Iterator[Outcome]:
        named = f"{method}, {steps} steps, {history}" if rate is not None else method
        for k, errors_m in zip(self._settings.labels, found, strict=True):
            errors = Errors(room, self._feature, k, named, errors_m, self._new[room].point)
            yield Outcome(method, history, errors, steps, rate)


def _reference_points(real: Environment) -> Environment:
    keep = real.is_reference
    return replace(
        real,
        position=real.position[keep],
        features={name: values[keep] for name, values in real.features.items()},
        split=real.split[keep],
    )
