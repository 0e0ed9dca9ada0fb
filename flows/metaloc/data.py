"""Where the real data of an experiment are, and what to do where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.metaloc.study import DATA_SETS, ExperimentName
from twin.config import DATA_DIR_VARIABLE
from twin.errors import Fault
from twin.measured.download import cache_folder, is_here


def downloaded(experiment: ExperimentName) -> Path | None:
    """The folder of downloads, where it seems to hold an experiment's data set."""
    folder = cache_folder()
    return folder if is_here(folder, DATA_SETS[experiment]) else None


def missing_data(experiments: Sequence[ExperimentName]) -> Fault:
    """The fault of a command for experiments on real data that were not found."""
    data_sets = [DATA_SETS[name] for name in experiments]
    names = " and ".join(data_set.name for data_set in data_sets)
    expected = f"a folder with {names}, for {' and '.join(experiments)}"
    ways = [
        f"twin data get {data_set.name} "
        + ("says how to get it by hand" if data_set.by_hand else "fetches it")
        for data_set in data_sets
    ]
    cure = f"Name it here or in {DATA_DIR_VARIABLE}; {', '.join(ways)}."
    return Fault("--data-dir", "", expected, "none", cure)
