"""A study: one YAML file that says what is traced, learned and evaluated."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from twin.config import StrictModel, load_model
from twin.errors import Fault, refuse
from twin.evaluate.protocols import SimToReal
from twin.learn.features import Feature
from twin.sense.receiver import SenseModel
from twin.trace.engine import TraceSettings

#: A folder of the results may be named so.
StudyName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$", max_length=100)
]


class Room(StrictModel):
    """A scene and the real room it is the twin of.

    Attributes:
        scene: name of a library scene, or path of a scene file.
        measured: room of the WiFi RTT data set; nothing: a held-out realisation stands in for
            reality.
    """

    scene: str = Field(min_length=1)
    measured: Literal["lecture_theatre", "office", "corridor"] | None = None


class Twin(StrictModel):
    """How much of the twin is generated.

    Attributes:
        realisations: perturbed realisations, each ray-traced.
        visits: receivers sent through each realisation, each with its own device biases and
            clutter.
        snapshots: scans a point and visit.
    """

    realisations: int = Field(ge=2, le=100_000)
    visits: int = Field(ge=1, le=1000)
    snapshots: int = Field(ge=1, le=1000)


class LearnerBudget(StrictModel):
    """Departures from the learner's `small` preset.

    Attributes:
        outer_steps: outer updates of MetaLoc and of plain pre-training.
    """

    outer_steps: int = Field(ge=1)


class Study(StrictModel):
    """Everything that decides a run's result, beside the data.

    Attributes:
        schema_version: format of the file.
        name: of the study; part of no seed.
        seed: the study's seed.
        rooms: rooms, in the order of the report.
        twin: size of the twin.
        trace: how paths are searched.
        sense: the receiver.
        protocol: labels, draws.
        features: what fingerprints are made of; each is a study of its own.
        learner_seeds: seeds of each trained method.
        learner: departures from the learner's preset.
    """

    schema_version: Literal["fingertwin/study@1"] = Field(alias="schema")
    name: StudyName
    seed: int = Field(ge=0)
    rooms: tuple[Room, ...] = Field(min_length=1)
    twin: Twin
    trace: TraceSettings
    sense: SenseModel = SenseModel()
    protocol: SimToReal
    features: tuple[Feature, ...] = Field(min_length=1)
    learner_seeds: int = Field(ge=1, le=100)
    learner: LearnerBudget | None = None

    @model_validator(mode="after")
    def _distinct(self) -> Study:
        refuse(
            Fault("study", key, "each value once", ", ".join(map(str, values)))
            for key, values in (
                ("rooms", [room.scene for room in self.rooms]),
                ("features", list(self.features)),
                ("protocol.labels", list(self.protocol.labels)),
            )
            if len(set(values)) != len(values)
        )
        return self


def load_study(path: Path) -> Study:
    """Read a study file; raises `InputError` with every fault."""
    return load_model(path, Study)


def demo_file() -> Path:
    """The study file behind ``twin demo``."""
    return Path(str(files("studies").joinpath("demo.yaml")))


def canonical(study: Study) -> str:
    """The study as JSON in one spelling, for digests and provenance."""
    return json.dumps(study.model_dump(mode="json", by_alias=True), sort_keys=True)
