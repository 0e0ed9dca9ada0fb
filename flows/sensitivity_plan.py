"""Designs of sensitivity studies: which scenes are traced to tell what matters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from twin.config import StrictModel
from twin.errors import Fault, InputError
from twin.perturb.library import load_table
from twin.perturb.numbers import factors
from twin.perturb.realise import Realisation, nominal, realise_at
from twin.perturb.table import PerturbationTable
from twin.scene.declaration import Scene, scene_digest
from twin.scene.library import load_scene
from twin.seeds import integer_seed, stream
from twin.store.content import json_digest
from twin.trace.engine import TraceSettings

Design = Literal["oat", "morris", "sobol"]
Array = npt.NDArray[np.float64]

NOMINAL = -1
LEVELS = 8
_BELOW_ONE = float(np.nextafter(1.0, 0.0))
_FORMAT = "fingertwin/sensitivity@1"


class Sweep(StrictModel):
    """A sensitivity study of one scene.

    Attributes:
        scene: name of a library scene, or path of a scene file.
        design: `oat` draws one factor at a time, all others as declared; `morris` walks through
            all of them (elementary effects on eight levels); `sobol` splits the variance
            (Saltelli's design on a scrambled Sobol sequence).
        samples: of `oat`, draws of each factor; of `morris`, trajectories of factors + 1 samples;
            of `sobol`, base samples of factors + 2 samples, a power of two.
        seed: of the design and of the intervals.
        severity: of every realisation; see `twin.perturb.severity`.
        trace: how paths are searched.
        every: every how manieth receiver point is used, from the first.
        threshold_dbm: links with less power are not heard.
    """

    scene: str = Field(min_length=1)
    design: Design = "sobol"
    samples: Annotated[int, Field(ge=2, le=100_000)]
    seed: Annotated[int, Field(ge=0)] = 1
    severity: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    trace: TraceSettings = TraceSettings()
    every: Annotated[int, Field(ge=1, le=10_000)] = 1
    threshold_dbm: Annotated[float, Field(ge=-200.0, le=0.0)] = -95.0

    @model_validator(mode="after")
    def _balanced(self) -> Self:
        # A Sobol sequence is even over the unit cube after a power of two of its points.
        if self.design == "sobol" and self.samples.bit_count() != 1:
            raise ValueError(f"a power of two of `samples` for sobol, found {self.samples}")
        return self


@dataclass(frozen=True, eq=False)
class Plan:
    """A sweep, before anything is traced.

    Attributes:
        sweep: what was asked for.
        scene: as declared.
        table: what is uncertain about it.
        factors: the numbers behind each factor, by its name.
        numbers: of every sample, for `realise_at`.
        problem: the design as SALib describes it; empty for `oat`.
        unit_sample: (samples, numbers) of the design, or no rows for `oat`.
        digest: of everything that decides the result but the program.
    """

    sweep: Sweep
    scene: Scene
    table: PerturbationTable
    factors: dict[str, tuple[str, ...]]
    numbers: tuple[dict[str, float], ...]
    problem: dict[str, Any]
    unit_sample: Array
    digest: str


def plan_sweep(sweep: Sweep) -> Plan:
    """The samples of a sweep.

    Raises:
        InputError: scene or table have faults, nothing is uncertain, or the severity does not suit
            the table.
    """
    scene = load_scene(sweep.scene)
    reference = sweep.scene
    if reference.endswith((".yaml", ".yml")):
        reference = str(Path(reference).parent)
    table = load_table(reference, scene)
    found = factors(table, scene)
    if not found:
        expected = "at least one quantity, move or placement"
        raise InputError([Fault(reference, "quantities", expected, "none")])
    keys = [name for names in found.values() for name in names]
    problem: dict[str, Any] = {}
    unit_sample = np.empty((0, len(keys)))
    if sweep.design == "oat":
        numbers = _one_at_a_time(sweep, scene.name, found)
    else:
        problem = _problem(found, sweep.design)
        unit_sample = _salib_sample(sweep, scene.name, problem)
        clipped = np.clip(unit_sample, 0.0, _BELOW_ONE)
        numbers = tuple(dict(zip(keys, map(float, row), strict=True)) for row in clipped)
    digest = json_digest(
        [
            _FORMAT,
            sweep.model_dump(mode="json", exclude={"scene"}),
            scene_digest(scene),
            table.model_dump(mode="json", by_alias=True),
        ]
    )
    return Plan(sweep, scene, table, found, numbers, problem, unit_sample, digest)


def _one_at_a_time(
    sweep: Sweep, scene: str, found: dict[str, tuple[str, ...]]
) -> tuple[dict[str, float], ...]:
    """Draws of each factor alone, spread evenly over the quantiles of each of its numbers."""
    rows = []
    for factor, names in found.items():
        draws = stream(sweep.seed, "sweep", scene, factor)
        shape = (sweep.samples, len(names))
        order = np.argsort(draws.random(shape), axis=0, kind="stable")
        spread = (order + draws.random(shape)) / sweep.samples
        rows += [
            dict(zip(names, map(float, row), strict=True))
            for row in np.clip(spread, 0.0, _BELOW_ONE)
        ]
    return tuple(rows)


def _problem(found: dict[str, tuple[str, ...]], design: Design) -> dict[str, Any]:
    # Morris steps from level to level: those in the middle of eight equal parts of the quantiles,
    # so that a distribution without bounds is never asked for its ends.
    margin = 0.5 / LEVELS if design == "morris" else 0.0
    keys = [name for names in found.values() for name in names]
    return {
        "num_vars": len(keys),
        "names": keys,
        "bounds": [[margin, 1.0 - margin]] * len(keys),
        "groups": [factor for factor, names in found.items() for _ in names],
    }


def _salib_sample(sweep: Sweep, scene: str, problem: dict[str, Any]) -> Array:
    seed = seed_for(sweep, scene, "design")
    if sweep.design == "morris":
        from SALib.sample import morris

        sample = morris.sample(problem, sweep.samples, num_levels=LEVELS, seed=seed)
    else:
        from SALib.sample import sobol

        sample = sobol.sample(problem, sweep.samples, calc_second_order=False, seed=seed)
    return np.asarray(sample, dtype=np.float64)


def seed_for(sweep: Sweep, scene: str, what: str) -> int:
    """Seed of one use of random numbers in a sweep; never zero, which SALib takes for none."""
    return integer_seed(sweep.seed, "sweep", scene, sweep.design, what) or 1


def realisation_of(plan: Plan, index: int) -> Realisation:
    """The scene of one sample; `NOMINAL` gives the scene as declared.

    Raises:
        InputError: the sample's draws give a place that cannot be.
    """
    if index == NOMINAL:
        return nominal(plan.scene)
    return realise_at(plan.scene, plan.table, plan.numbers[index], plan.sweep.severity)


def check_samples(plan: Plan) -> None:
    """Make every scene of the design, and trace none.

    Raises:
        InputError: of the first scene that cannot be, with the draws behind it. The design would
            not be whole without it.
    """
    for index in range(len(plan.numbers)):
        realisation_of(plan, index)
