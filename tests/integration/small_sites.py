"""Small sites that several tests write.

Nothing here imports Icechunk, whose threads do not survive a fork, before a job is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from twin.seeds import stream
from twin.store.schema import VARIABLES
from twin.store.spec import SiteSpec

if TYPE_CHECKING:
    from twin.store.layout import Job

SITE = "room"


def make_spec(realisations: int = 3, points: int = 8, shard_points: int = 2, **changes) -> SiteSpec:
    settings = {
        "title": "room",
        "origin": "simulated",
        "realisations": tuple(f"draw {index}" for index in range(realisations)),
        "points": points,
        "access_points": ("AP1", "AP2"),
        "variables": ("rss", "csi", "path_gain", "delay", "split", "rounds_reflections"),
        "ap_position_m": (((0.0, 0.0, 2.0), (5.0, 0.0, 2.0)),) * realisations,
        "snapshots": 2,
        "paths": 3,
        "subcarriers": 16,
        "subcarrier_spacing_hz": 1e6,
        "shard_points": shard_points,
        "config": {"seed": 3},
    }
    return SiteSpec(**(settings | changes))


def make_block(spec: SiteSpec, job: Job) -> xr.Dataset:
    """Stands in for a ray tracer: values fixed by realisation and point, none of them zero."""
    seed = int(spec.config["seed"])
    variables = {}
    for name in (*spec.point_variables, *spec.block_variables):
        variable = VARIABLES[name]
        dims = variable.dims[1:] if variable.by_point else variable.dims[2:]
        shape = [spec.sizes[dim] for dim in dims]
        if np.dtype(variable.dtype).kind == "i":
            values = np.ones(shape)
        else:
            values = 1.0 + stream(seed, name, job.realisation).random(shape)
        block = values[job.points] if variable.by_point else values
        variables[name] = (dims, block.astype(variable.dtype))
    return xr.Dataset(variables)


def write_jobs(store: str | Path, spec: SiteSpec, jobs: Iterable[Job], site: str = SITE) -> None:
    from twin.store.writer import write_shard

    for job in jobs:
        write_shard(store, site, job.realisation, job.points, make_block(spec, job), spec.digest)
