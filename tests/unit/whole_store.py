"""A store with one site that holds nearly everything, and that no rule of the schema forbids."""

from __future__ import annotations

import numpy as np

from tests.unit.path_sites import ABSENT, DETAILS, PATHS_AND_CSI, SITE, block_of, make_spec
from twin.store.schema import SEARCH_VARIABLES
from twin.store.writer import write_site

__all__ = ["ABSENT", "SITE", "VARIABLES", "spec_of", "whole_block", "write"]

VARIABLES = (*PATHS_AND_CSI, *DETAILS, *SEARCH_VARIABLES)


def spec_of(**changes):
    """Two realisations of eleven points in blocks of four, two access points, 6 paths, 3 scans."""
    return make_spec(**({"variables": VARIABLES} | changes))


def whole_block(spec):
    """The function that gives a job's dataset: walks in order of time, a search that converged."""
    inner = block_of(spec)

    def block(job):
        dataset = inner(job)
        if "time" in dataset:
            seconds = 10.0 * np.arange(job.start, job.stop)
            dataset["time"] = ("point", np.where(dataset["status"] == 3, np.nan, seconds))
        if "rounds_reflections" in dataset:
            number = job.realisation + job.start
            dataset["rounds_reflections"] = ("ap", np.array([number, 1], np.int16))
        if "new_share_reflections" in dataset:
            dataset["new_share_reflections"] = ("ap", np.array([0.25, 0.0], np.float32))
        return dataset

    return block


def write(store, site=SITE, change=None, **changes):
    """Write the site; `change` alters the dataset of a job. The content digest."""
    spec = spec_of(**changes)
    inner = whole_block(spec)

    def block(job):
        dataset = inner(job)
        return dataset if change is None else change(job, dataset.copy(deep=True))

    return write_site(store, site, spec, block, provenance={"engine": "none"})
