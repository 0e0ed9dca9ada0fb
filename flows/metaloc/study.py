"""Studies of MetaLoc: one YAML file an experiment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from flows.metaloc.convergence import ConvergenceSettings
from flows.metaloc.corridors import CorridorsSettings
from flows.metaloc.days import DaysSettings
from flows.metaloc.layouts import LayoutsSettings
from flows.metaloc.path_loss import Survey
from flows.metaloc.reference_points import ReferencePointsSettings
from flows.metaloc.rooms import RoomsSettings
from flows.metaloc.rules import broken, distinct
from flows.metaloc.similarity import SimilaritySettings
from flows.metaloc.sites import SiteRequest
from flows.metaloc.theory import TheorySettings
from flows.study import StudyName
from twin.config import StrictModel, read_yaml, validate
from twin.errors import refuse
from twin.learn.baselines.broad_learning import BroadSettings
from twin.learn.image_tasks import TaskShape
from twin.learn.presets import MetaSettings
from twin.measured.registry import CSU_CSI_RSSI, WIFI_RTT_ROOMS, DataSet

SCHEMA = "fingertwin/metaloc@1"
ExperimentName = Literal[
    "convergence",
    "reference_points",
    "similarity",
    "layouts",
    "days",
    "rooms",
    "corridors",
    "theory",
]
EXPERIMENTS: tuple[ExperimentName, ...] = get_args(ExperimentName)
#: Experiments on ray-traced sites that the study lists.
TRACED: frozenset[ExperimentName] = frozenset({"days", "layouts"})
#: Real data sets, by the experiment on them.
DATA_SETS: Mapping[ExperimentName, DataSet] = {"rooms": WIFI_RTT_ROOMS, "corridors": CSU_CSI_RSSI}
#: Experiments on real data sets.
MEASURED: frozenset[ExperimentName] = frozenset(DATA_SETS)

Settings = (
    ConvergenceSettings
    | ReferencePointsSettings
    | SimilaritySettings
    | LayoutsSettings
    | DaysSettings
    | RoomsSettings
    | CorridorsSettings
    | TheorySettings
)


# What a file need not give whole: its entries are laid over the experiment's own defaults.
_PARTLY: tuple[type[StrictModel], ...] = (MetaSettings, Survey, TaskShape, BroadSettings)
_PARTLY_MAPPINGS = ("rates", "share")


class MetaLocStudy(StrictModel):
    """One experiment of MetaLoc, and how often it is repeated.

    Settings that are groups of settings (``meta``, ``survey``, ``shape``, ``broad``, and the
    mappings ``rates`` and ``share``) may be given in part: the rest is as the experiment has it.

    Attributes:
        schema_version: format of the file.
        name: of the study; part of no seed.
        seeds: repetitions; their seeds are 0, 1, ...
        sites: ray-traced sites, for the experiments that have some: `days` runs once on each,
            `layouts` on all together.
        convergence: figure 8.
        reference_points: figure 9.
        similarity: figure 10.
        layouts: figure 11.
        days: table III.
        rooms: the real rooms of the WiFi RTT data set, one left out.
        corridors: the real corridors of the CSU CSI data set, one left out.
        theory: alignment of gradients between environments, and Theorem 1.
    """

    schema_version: Literal["fingertwin/metaloc@1"] = Field(alias="schema")
    name: StudyName
    seeds: int = Field(default=5, ge=1, le=1000)
    sites: tuple[SiteRequest, ...] = ()
    convergence: ConvergenceSettings | None = None
    reference_points: ReferencePointsSettings | None = None
    similarity: SimilaritySettings | None = None
    layouts: LayoutsSettings | None = None
    days: DaysSettings | None = None
    rooms: RoomsSettings | None = None
    corridors: CorridorsSettings | None = None
    theory: TheorySettings | None = None

    @classmethod
    def model_json_schema(cls, *arguments: Any, **options: Any) -> dict[str, Any]:  # noqa: ANN401
        """As of any model; what a file may give in part requires nothing."""
        schema = super().model_json_schema(*arguments, **options)
        for part in _PARTLY:
            schema["$defs"][part.__name__].pop("required", None)
        return schema

    @model_validator(mode="after")
    def _one_experiment(self) -> MetaLocStudy:
        named = [name for name in EXPERIMENTS if getattr(self, name) is not None]
        faults = distinct("sites", [site.scene for site in self.sites])
        if len(named) != 1:
            expected = f"one experiment of {', '.join(EXPERIMENTS)}"
            faults.append(broken("", expected, " and ".join(named)))
        elif (named[0] in TRACED) != bool(self.sites):
            expected = "at least one" if named[0] in TRACED else "none"
            faults.append(broken("sites", f"{expected} for {named[0]}", len(self.sites)))
        refuse(faults)
        return self

    @property
    def experiment(self) -> ExperimentName:
        """Which experiment it is."""
        return next(name for name in EXPERIMENTS if getattr(self, name) is not None)

    @property
    def settings(self) -> Settings:
        """The experiment's settings."""
        found: Settings = getattr(self, self.experiment)
        return found


def load_metaloc_study(path: Path) -> MetaLocStudy:
    """Read a study file; raises `InputError` with every fault."""
    return validate(_completed(read_yaml(path)), MetaLocStudy, where=str(path))


def _completed(content: object) -> object:
    """The content of a file, with what it gives in part laid over the experiment's defaults."""
    if not isinstance(content, dict):
        return content
    whole = dict(content)
    for name in EXPERIMENTS:
        if isinstance(content.get(name), dict):
            whole[name] = _laid_over_defaults(name, content[name])
    return whole


def _laid_over_defaults(name: ExperimentName, given: dict[str, Any]) -> dict[str, Any]:
    settings: type[StrictModel]
    settings, _ = get_args(MetaLocStudy.model_fields[name].annotation)
    whole = dict(given)
    for key, field in settings.model_fields.items():
        own = given.get(key)
        if not isinstance(own, dict):
            continue
        if isinstance(field.default, _PARTLY):
            whole[key] = {**field.default.model_dump(mode="json"), **own}
        elif key in _PARTLY_MAPPINGS:
            whole[key] = {**field.default, **own}
    return whole


def canonical(study: MetaLocStudy) -> str:
    """The study as JSON in one spelling."""
    return json.dumps(study.model_dump(mode="json", by_alias=True), sort_keys=True)
