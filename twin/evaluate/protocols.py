"""Who is given what: the sim-to-real protocol.

Learners come fitted on a twin. A real place offers reference points, of which k are labelled, and
test points that nobody has seen. Every method is given the same k points in the same draw; the
labelled points of a draw are nested, so that a curve over k follows one growing survey.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from twin.config import StrictModel
from twin.errors import Fault, refuse
from twin.evaluate.metrics import position_error
from twin.evaluate.records import Errors
from twin.learn.features import Feature, fingerprints, point_fingerprints
from twin.learn.learner import Labelled, Learner
from twin.seeds import stream
from twin.store.reader import Environment


class SimToReal(StrictModel):
    """Settings of the protocol.

    Attributes:
        labels: numbers of labelled points k.
        draws: draws of the labelled points; draw i uses the i-th learner of a method, modulo their
            number, so that intervals cover the learner's own seed too.
        seed: of the draws.
    """

    labels: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    draws: int = Field(ge=1)
    seed: int = Field(ge=0)


def check_reality(real: Environment, feature: Feature, protocol: SimToReal) -> list[Fault]:
    """What keeps an environment from standing for reality in this protocol."""
    where = f"site {real.site}"
    references, tests = int(real.is_reference.sum()), int(real.is_test.sum())
    faults = []
    if references < max(protocol.labels):
        faults.append(
            Fault(
                where, "split", f"at least {max(protocol.labels)} reference points", str(references)
            )
        )
    if tests < 2:
        faults.append(Fault(where, "split", "at least 2 test points", str(tests)))
    parts = feature.split("+")
    missing = [part for part in parts if part not in real.features]
    faults += [Fault(where, "features", part, ", ".join(real.features)) for part in missing]
    if tests and not missing:
        scans = fingerprints(real, feature)[real.is_test]
        if not np.isfinite(scans).any():
            faults.append(Fault(where, feature, "an access point heard at a test point", "none"))
    return faults


def labelled_points(real: Environment, protocol: SimToReal) -> list[npt.NDArray[np.intp]]:
    """Per draw, the reference points in the order in which they are labelled."""
    reference = np.flatnonzero(real.is_reference)
    return [
        stream(protocol.seed, "labelled points", real.site, draw).permutation(reference)
        for draw in range(protocol.draws)
    ]


def sim_to_real(
    methods: Mapping[str, Sequence[Learner]],
    real: Environment,
    feature: Feature,
    room: str,
    protocol: SimToReal,
) -> list[Errors]:
    """Adapt every method to every draw and locate every snapshot at the test points.

    Args:
        methods: fitted learners by method, one or more seeds each.
        real: the real place, with its split.
        feature: what the learners were fitted on.
        room: name of the room in the records.
        protocol: see `SimToReal`.

    Returns:
        One `Errors` a method and k; a fix is one snapshot at a test point, where at least one
        access point was heard.

    Raises:
        InputError: too few reference or test points, a feature that the place does not have or
            has nowhere at the test points, or a method without a learner; lists every fault.
    """
    faults = check_reality(real, feature, protocol)
    faults += [
        Fault(f"method {name}", "learners", "at least one", "none")
        for name, learners in methods.items()
        if not learners
    ]
    refuse(faults)
    medians = point_fingerprints(real, feature)
    scans = fingerprints(real, feature)
    position = np.asarray(real.position[:, :2], dtype=np.float64)
    unlabelled = scans[real.is_reference].reshape(-1, scans.shape[-1])
    test = np.flatnonzero(real.is_test)
    asked = scans[test].reshape(-1, scans.shape[-1])
    point = np.repeat(test, scans.shape[1])
    heard = np.isfinite(asked).any(axis=1)
    asked, point = asked[heard], point[heard]
    order = labelled_points(real, protocol)

    results = []
    for name, learners in methods.items():
        for k in protocol.labels:
            began = time.perf_counter()
            errors = np.empty((protocol.draws, len(point)))
            for draw, reference in enumerate(order):
                chosen = reference[:k]
                learner = learners[draw % len(learners)]
                learner.adapt(Labelled(medians[chosen], position[chosen], unlabelled))
                errors[draw] = position_error(learner.locate(asked).position, position[point])
            seconds = time.perf_counter() - began
            results.append(Errors(room, feature, k, name, errors, point, seconds))
    return results
