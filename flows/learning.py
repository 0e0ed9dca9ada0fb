"""From a store to fitted learners and their errors in the real place."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from flows.screen import native_notes_held_back
from twin.evaluate.protocols import SimToReal, sim_to_real
from twin.evaluate.records import Errors
from twin.learn.baselines.neighbours import Neighbours
from twin.learn.features import Feature
from twin.learn.learner import Learner
from twin.learn.presets import Trained, small
from twin.seeds import integer_seed
from twin.store.reader import Environment, environments

if TYPE_CHECKING:
    from twin.learn.gradient_learner import GradientLearner

#: Methods that are another's fitted learner, adapted in another way.
VARIANTS: dict[Trained, dict[str, dict[str, object]]] = {
    "metaloc": {
        "metaloc_unaligned": {"alignment": "none"},
        "metaloc_unlabelled": {"alignment": "unlabelled"},
    },
    "pretraining": {"pretraining_unadapted": {"inner_steps": 0}},
    "random_start": {},
}
_MOST_NEIGHBOURS = 3


@dataclass(frozen=True)
class Training:
    """One learner to be fitted.

    Attributes:
        site: the twin's site in the store.
        site_digest: of the site's content.
        feature: what fingerprints are made of.
        method: which learner.
        study_seed: the study's seed.
        seed: number of the learner among those of its method.
        outer_steps: outer updates; None: the preset's.
    """

    site: str
    site_digest: str
    feature: Feature
    method: Trained
    study_seed: int
    seed: int
    outer_steps: int | None

    def file_name(self) -> str:
        """Name that changes with everything the fit depends on."""
        settings = small(self.method, self.outer_steps).model_dump_json()
        versions = [version(package) for package in ("fingertwin", "tensorflow-cpu", "keras")]
        key = json.dumps([*vars(self).values(), settings, *versions])
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        return f"{self.site}-{self.feature}-{self.method}-{self.seed}-{digest}.npz"


def load() -> None:
    """Load TensorFlow, which takes seconds and talks, before any job asks for it."""
    with native_notes_held_back():
        importlib.import_module("twin.learn.gradient_learner")


def make_learner(
    method: Trained, feature: Feature, access_points: int, seed: int, outer_steps: int | None
) -> GradientLearner:
    """An unfitted learner; the import of TensorFlow waits until here."""
    from twin.learn.baselines.gradient import PlainPretraining, RandomStart
    from twin.learn.metaloc import MetaLoc

    kinds = {"metaloc": MetaLoc, "pretraining": PlainPretraining, "random_start": RandomStart}
    return kinds[method](small(method, outer_steps), feature, access_points, seed)


def train(training: Training, store: str, models: Path) -> Path:
    """Fit a learner, unless it was fitted before on the same content with the same settings."""
    path = models / training.file_name()
    if path.exists():
        return path
    twin = environments(store, training.site)
    # One stream a seed for every method: all see the same tasks.
    seed = integer_seed(
        training.study_seed, "learner", training.site, training.feature, training.seed
    )
    learner = make_learner(
        training.method, training.feature, len(twin[0].ap), seed, training.outer_steps
    )
    learner.fit(twin)
    learner.save(path)
    return path


def evaluate(
    fitted: Mapping[Training, Path],
    real: Environment,
    room: str,
    feature: Feature,
    protocol: SimToReal,
) -> list[Errors]:
    """Errors of all methods of one room and feature in the real place."""
    methods: dict[str, list[Learner]] = {}
    access_points = len(real.ap)
    for training, path in fitted.items():
        learner = make_learner(
            training.method, feature, access_points, training.seed, training.outer_steps
        )
        learner.load(path)
        methods.setdefault(training.method, []).append(learner)
        for name, changes in VARIANTS[training.method].items():
            methods.setdefault(name, []).append(learner.adapting_with(**changes))
    methods["knn"] = [Neighbours(feature, access_points, _MOST_NEIGHBOURS, "uniform")]
    methods["wknn"] = [Neighbours(feature, access_points, _MOST_NEIGHBOURS, "distance")]
    return sim_to_real(methods, real, feature, room, protocol)
