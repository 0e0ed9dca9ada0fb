"""A site whose values say which realisation, point, access point and scan they belong to."""

from __future__ import annotations

import numpy as np
import xarray as xr

from twin.store.spec import SiteSpec
from twin.store.writer import write_site

SITE = "hall"
SUBCARRIERS = 4
ABSENT, UNHEARD = 3, 5


def identity(realisation, point):
    """Number of a row: its position's x coordinate."""
    return 1000.0 * realisation + point


def write(store, site=SITE, *, gaps=True, **changes):
    """Write a site of two realisations of 20 points, three access points and two scans.

    With gaps, the last realisation lacks a point and hears nothing at another.
    """
    settings = {
        "title": "numbers",
        "origin": "simulated",
        "realisations": ("first", "second"),
        "points": 20,
        "access_points": ("A", "B", "C"),
        "variables": ("csi", "rss", "split", "floor"),
        "snapshots": 2,
        "subcarriers": SUBCARRIERS,
        "subcarrier_spacing_hz": 1e6,
        "shard_points": 8,
        "config": {},
    }
    spec = SiteSpec(**(settings | changes))
    last = len(spec.realisations) - 1

    def block(job):
        points = np.arange(job.start, job.stop)
        number = identity(job.realisation, points)
        status = np.ones(len(points), np.int8)
        if gaps and job.realisation == last:
            status[points == ABSENT] = 3
            status[points == UNHEARD] = 2
        absent, silent = status == 3, status >= 2
        aps = np.arange(len(spec.access_points))
        rss = number[:, None, None] + 0.25 * np.arange(2)[:, None] + 0.0625 * aps
        csi = (number[:, None] + 1j * (aps + 1))[..., None] * (np.arange(spec.subcarriers) + 1)
        position = np.stack([number, points % 4, np.ones(len(points))], axis=1)
        position[absent] = np.nan
        rss[silent] = np.nan
        csi[silent] = 0
        csi[absent] = np.nan
        values = {
            "position": (("point", "xyz"), position),
            "status": ("point", status),
            "rss": (("point", "snapshot", "ap"), rss.astype(np.float32)),
            "csi": (("point", "ap", "subcarrier"), csi.astype(np.complex64)),
            "split": ("point", (1 + (points % 5 == 0)).astype(np.int8)),
            "floor": ("point", (points // 10).astype(np.int16)),
        }
        kept = {name: values[name] for name in ("position", "status", *spec.variables)}
        return xr.Dataset(kept, coords={"ap": list(spec.access_points)})

    write_site(store, site, spec, block)
    return spec
