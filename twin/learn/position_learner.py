"""MetaLoc on received powers as a learner: fit on environments, adapt to a place, locate there.

The fingerprint is that of MetaLoc's Fig. 3, so the environments may have other access points, and
other numbers of them, than the place. The labelled points of a place are its reference points and
its support set alike: a labelled fingerprint is never its own neighbour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twin.errors import Fault, InputError, NotFittedError, refuse
from twin.learn.features import fingerprints, point_fingerprints
from twin.learn.learner import Labelled, Location
from twin.learn.losses import MeanSquare
from twin.learn.metalearning import Adaptation
from twin.learn.neighbour_fingerprints import Array, Float32, ReferenceMap
from twin.learn.networks import multilayer_perceptron
from twin.learn.paradigms import Paradigm
from twin.learn.position_tasks import Place, PositionDomain, one_task
from twin.learn.presets import MetaSettings, ParadigmName, PositionShape
from twin.learn.tasks import AnyArray
from twin.seeds import stream
from twin.store.reader import Environment

Indices = npt.NDArray[np.intp]
_FEWEST = 2


class PositionLearner:
    """One of MetaLoc's paradigms, regressing positions from received powers."""

    def __init__(
        self, paradigm: ParadigmName, settings: MetaSettings, shape: PositionShape, seed: int
    ) -> None:
        """An untrained learner.

        Args:
            paradigm: which.
            settings: of meta-training and adaptation.
            shape: of fingerprints, tasks and network.
            seed: of initial weights, reference points and tasks.
        """
        self._shape = shape
        self._seed = seed
        self._paradigm = Paradigm(
            paradigm,
            lambda weights: multilayer_perceptron(3 * shape.neighbours, shape.hidden, seed=weights),
            MeanSquare(),
            settings,
            seed,
        )
        self._adaptation: Adaptation | None = None
        self._place: tuple[ReferenceMap, list[AnyArray], float] | None = None

    def fit(self, environments: Sequence[Environment]) -> None:
        """Learn from historical environments, in any order; those of one site are one domain.

        The reference points of an environment are those of its split, or points drawn at random
        where it has none; tasks are drawn from all other points but the split's test points, which
        are not looked at. Where that leaves none, half of the reference points take their place.

        Raises:
            InputError: no received powers, too few points, an environment twice; see
                `Paradigm.fit`.
        """
        refuse(_faults(environments))
        domains = []
        for site, members in groupby(sorted(environments, key=_key), key=lambda e: e.site):
            places = [self._surveyed(environment) for environment in members]
            shape = self._shape
            domains.append(
                PositionDomain(site, places, shape.neighbours, shape.supports, shape.queries)
            )
        self._paradigm.fit(domains)
        self._adaptation, self._place = self._paradigm.adaptation(), None

    def _surveyed(self, environment: Environment) -> Place:
        """Reference points by their medians, and the scans at the points that tasks are of."""
        references, others = self._parts(environment)
        position = np.asarray(environment.position[:, :2], dtype=np.float64)
        scans = fingerprints(environment, "rss")[others]
        where = np.repeat(position[others], scans.shape[1], axis=0)
        scans = scans.reshape(-1, scans.shape[-1])
        heard = np.isfinite(scans).any(axis=1)
        known = ReferenceMap(
            point_fingerprints(environment, "rss")[references], position[references]
        )
        return Place(known, scans[heard], where[heard])

    def _parts(self, environment: Environment) -> tuple[Indices, Indices]:
        """The reference points, and the points that tasks are drawn from."""
        allowed = np.flatnonzero(~environment.is_test)
        references = np.flatnonzero(environment.is_reference)
        if 0 < len(references) < len(allowed):
            return references, np.setdiff1d(allowed, references)
        count = len(allowed) // 2
        if len(references) == 0:
            count = min(self._shape.references, count)
        generator = stream(self._seed, "reference points", *_key(environment))
        drawn = np.sort(generator.choice(allowed, count, replace=False))
        return drawn, np.setdiff1d(allowed, drawn)

    def adapt(self, labelled: Labelled) -> None:
        """Adapt to a place on its labelled points.

        Raises:
            NotFittedError: `fit` or `load` did not run before.
            InputError: fewer than two labelled points; see `ReferenceMap`.
        """
        if self._adaptation is None:
            raise NotFittedError("adapt: expected a fitted learner; call fit or load first")
        count = len(labelled.position)
        if count < _FEWEST:
            expected = f"at least {_FEWEST}, so that each has another as its neighbour"
            raise InputError([Fault("labelled points", "", expected, str(count))])
        known = ReferenceMap(labelled.fingerprints, labelled.position)
        neighbours = self._shape.neighbours
        inputs = known.inputs(labelled.fingerprints, neighbours, np.arange(count))
        targets = known.to_unit(labelled.position)
        start = self._paradigm.starts[self._paradigm.choose(np.asarray(inputs, np.float64))]
        batch = one_task((inputs, targets), (inputs, targets))
        steps = self._paradigm.settings.adaptation_steps
        # The network has no weights but trained ones.
        weights = [value[0] for value in self._adaptation.parameters(start, batch, steps)]
        answers = _answers(self._adaptation, weights, inputs)
        wrong = np.linalg.norm(answers - targets, axis=1) * known.reach
        self._place = (known, weights, float(np.sqrt(np.mean(wrong**2))))

    def locate(self, fingerprints: Array) -> Location:
        """Locate (n, a) fingerprints [dBm]; NaN = not heard.

        The spread is the root mean square error at the labelled points, the same for all.

        Raises:
            NotFittedError: `adapt` did not run before.
            InputError: fingerprints of other access points than the labelled ones.
        """
        if self._adaptation is None or self._place is None:
            raise NotFittedError(
                "locate: expected a learner adapted to the place; call adapt first"
            )
        known, weights, spread = self._place
        inputs = known.inputs(fingerprints, self._shape.neighbours)
        answers = _answers(self._adaptation, weights, inputs)
        return Location(known.to_metres(answers), np.full(len(inputs), spread))

    def save(self, path: Path) -> None:
        """Write what `fit` learned to one file."""
        if self._adaptation is None:
            raise NotFittedError("save: expected a fitted learner; call fit or load first")
        self._paradigm.save(path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote; see `Paradigm.load`."""
        self._paradigm.load(path)
        self._adaptation, self._place = self._paradigm.adaptation(), None


def _key(environment: Environment) -> tuple[str, int, int]:
    return environment.site, environment.realisation, environment.visit


def _faults(environments: Sequence[Environment]) -> list[Fault]:
    faults = []
    times = Counter(map(_key, environments))
    for environment in environments:
        site, realisation, visit = _key(environment)
        where = f"site {site}, realisation {realisation}, visit {visit}"
        if "rss" not in environment.features:
            faults.append(Fault(where, "features", "rss", "none"))
        allowed = int((~environment.is_test).sum())
        if allowed < 2 * _FEWEST:
            expected = f"at least {2 * _FEWEST} that are no test points"
            faults.append(Fault(where, "points", expected, str(allowed)))
    faults += [
        Fault(f"site {site}, realisation {realisation}, visit {visit}", "", "once", f"{n} times")
        for (site, realisation, visit), n in times.items()
        if n > 1
    ]
    return faults


def _answers(adaptation: Adaptation, weights: Sequence[AnyArray], inputs: Float32) -> AnyArray:
    """(n, 2) answers of adapted weights; an answer does not depend on the others."""
    count = len(inputs)
    if not count:
        return np.zeros((0, 2), np.float32)
    # Few sizes, since every size is compiled once.
    padded = np.zeros((1 << max(count - 1, 0).bit_length(), inputs.shape[1]), np.float32)
    padded[:count] = inputs
    nowhere = np.zeros((len(padded), 2), np.float32)
    batch = one_task((inputs[:1], nowhere[:1]), (padded, nowhere))
    return np.asarray(adaptation.outputs(weights, batch, (0,))[0, 0, :count])
