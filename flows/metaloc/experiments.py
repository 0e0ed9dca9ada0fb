"""One seed of any of MetaLoc's experiments."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

from flows.metaloc.results import Record
from flows.metaloc.study import MEASURED, TRACED, ExperimentName
from flows.screen import native_notes_held_back
from twin.config import StrictModel
from twin.scene.library import load_scene


def experiment_records(
    name: ExperimentName, settings: StrictModel, scenes: Sequence[str], seed: int, store: str
) -> list[Record]:
    """Run one seed of an experiment; of days, on each of its sites.

    Args:
        name: of the experiment.
        settings: of it.
        scenes: names or files of the scenes of its traced sites, if it has some.
        seed: which.
        store: path or URL of a store that holds what the experiment needs.
    """
    with native_notes_held_back():
        importlib.import_module("twin.learn.metalearning")  # loads TensorFlow, which has notes
        run_seed: Callable[..., list[Record]] = importlib.import_module(
            f"flows.metaloc.{name}"
        ).run_seed
    if name == "days":
        sites = [load_scene(scene).name for scene in scenes]
        return [r for site in sites for r in run_seed(settings, seed, store, site)]
    if name in TRACED | MEASURED:
        return run_seed(settings, seed, store)
    return run_seed(settings, seed)
