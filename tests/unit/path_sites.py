"""A small site of random paths with everything a site can hold, written through the store."""

from __future__ import annotations

import numpy as np
import xarray as xr

from twin.seeds import stream
from twin.store.schema import CHANNEL_VARIABLES, SEARCH_VARIABLES, VARIABLES
from twin.store.spec import SiteSpec, drawn_quantities, vectors
from twin.store.writer import write_site
from twin.trace import channel
from twin.trace.paths import PathTable
from twin.waves import direction

SITE = "hall"
FREQUENCY_HZ = 5.25e9
SUBCARRIERS = 12
SPACING_HZ = 312_500.0
BANDWIDTH_HZ = SUBCARRIERS * SPACING_HZ
ABSENT, UNHEARD = 4, 2
DETAILS = ("rss", "rtt", "split", "time", "trajectory", "floor")
PATHS_AND_CSI = tuple(name for name in CHANNEL_VARIABLES if name != "power_undiscovered")


def make_spec(**changes):
    """Two realisations of eleven points in blocks of four, two access points."""
    settings = {
        "title": "hall",
        "origin": "simulated",
        "realisations": ("as planned", "moved"),
        "points": 11,
        "access_points": ("north", "süd"),
        "variables": PATHS_AND_CSI,
        "ap_position_m": vectors(
            np.array([[[0, 0, 2.5], [9, 1, 2.0]], [[0, 0.2, 2.5], [9, 1.5, 2.1]]])
        ),
        "ap_orientation_rad": vectors(np.full((2, 2, 3), [0.3, -0.2, 0.5])),
        "ap_frequency_hz": (FREQUENCY_HZ, FREQUENCY_HZ),
        "ap_power_dbm": (17.0, 20.0),
        "snapshots": 3,
        "paths": 6,
        "subcarriers": SUBCARRIERS,
        "subcarrier_spacing_hz": SPACING_HZ,
        "drawn": drawn_quantities(
            [{"height": 1.0, "open": True}, {"height": 1.5, "open": False}], {"height": "m"}
        ),
        "shard_points": 4,
        "config": {"seed": 3},
        "attributes": {"licence": "CC-BY-4.0", "source": "tests"},
    }
    return SiteSpec(**(settings | changes))


def paths_of(spec, realisation):
    """Path table (point, ap, path): a realisation's own, whatever the blocks; strongest first."""
    draw = stream(7, "paths", realisation)
    shape = (spec.points, len(spec.access_points), spec.paths)
    count = draw.integers(1, spec.paths + 1, size=shape[:2])
    count[UNHEARD] = 0
    there = np.arange(spec.paths) < count[..., None]
    parts = draw.normal(size=(*shape, 2)) * 1e-4
    gain = (parts[..., 0] + 1j * parts[..., 1]).astype(np.complex64) * there
    order = np.argsort(-np.abs(gain), axis=-1, kind="stable")

    def angle(low, high):
        return np.where(there, draw.uniform(low, high, shape), np.nan).astype(np.float32)

    # The line of sight is the second strongest path to the first access point.
    kinds = draw.choice([1, 2, 4, 5, 8, 9, 15], size=shape) * there
    kinds[:, 0, 1] = 0
    return PathTable(
        gain=np.take_along_axis(gain, order, axis=-1),
        transfer=np.zeros((*shape, 2, 2), np.complex64),
        delay_s=np.where(there, draw.uniform(1e-8, 4e-7, shape), np.nan),
        aoa_azimuth=angle(-np.pi, np.pi),
        aoa_zenith=angle(0, np.pi),
        aod_azimuth=angle(-np.pi, np.pi),
        aod_zenith=angle(0, np.pi),
        interactions=kinds.astype(np.int32),
        num_paths=count.astype(np.int16),
        power_left_out=np.where(count == spec.paths, 1e-12, 0).astype(np.float32),
        power_undiscovered=np.zeros(shape[:2], np.float32),
    )


def element_response(positions, rotation, azimuth, zenith):
    """Closed form: exp(+j 2 pi k . R r) of elements (m, 3) at directions (...)."""
    turned = np.asarray(positions) @ np.asarray(rotation).T
    return np.exp(2j * np.pi * direction(azimuth, zenith) @ turned.T)


def channels_of(spec, table):
    """CSI (point, ap, rx_antenna, ap_antenna, subcarrier), one factor an antenna."""
    base = channel.csi(table, spec.subcarriers * spec.subcarrier_spacing_hz, spec.subcarriers)
    ports = np.exp(1j * np.arange(spec.rx_antennas * spec.ap_antennas))
    grid = ports.reshape(spec.rx_antennas, spec.ap_antennas)[..., None]
    return (base[:, :, None, None] * grid).astype(np.complex64)


def block_of(spec):
    """The function that gives a job's dataset; point 4 of the second realisation is absent."""
    kept = {"position", "status", *spec.variables}
    values = {}

    def block(job):
        if job.realisation not in values:
            values[job.realisation] = values_of(spec, job.realisation)
        variables = {
            name: (VARIABLES[name].dims[1:], array[job.points])
            for name, array in values[job.realisation].items()
        }
        variables |= {
            name: (VARIABLES[name].dims[2:], np.full(len(spec.access_points), 5, np.int32))
            for name in SEARCH_VARIABLES
        }
        return xr.Dataset({name: array for name, array in variables.items() if name in kept})

    return block


def values_of(spec, realisation):
    """All variables of a realisation's points, by name."""
    table = paths_of(spec, realisation)
    heard = table.num_paths.any(axis=1)
    draw = stream(8, "rest", realisation)
    scans = draw.normal(-60, 8, (spec.points, spec.snapshots, len(spec.access_points)))
    scans[:, 1, 0] = np.nan
    scans[~heard] = np.nan
    values = {
        "position": np.round(draw.uniform(0, 9, (spec.points, 3)), 3),
        "status": np.where(heard, 1, 2).astype(np.int8),
        "split": draw.integers(0, 3, spec.points).astype(np.int8),
        "time": draw.uniform(0, 1e6, spec.points),
        "trajectory": np.arange(spec.points, dtype=np.int32) // 5,
        "floor": np.full(spec.points, -2, np.int16),
        "path_gain": table.gain,
        "delay": table.delay_s,
        "aoa_azimuth": table.aoa_azimuth,
        "aoa_zenith": table.aoa_zenith,
        "aod_azimuth": table.aod_azimuth,
        "aod_zenith": table.aod_zenith,
        "interactions": table.interactions,
        "num_paths": table.num_paths,
        "power_left_out": table.power_left_out,
        "los": channel.los(table).astype(np.int8),
        "toa": channel.toa_s(table),
        "received_power": channel.power_sum_dbm(table, np.zeros(len(spec.access_points))),
        "csi": channels_of(spec, table),
        "rss": scans.astype(np.float32),
        "rtt": np.abs(scans).astype(np.float32),
    }
    if realisation == 1:
        _make_absent(values)
    return values


def _make_absent(values):
    values["status"][ABSENT] = 3
    for name, array in values.items():
        if array.dtype.kind in "fc" and name != "path_gain":
            array[ABSENT] = np.nan
    for name in ("path_gain", "interactions", "num_paths", "los"):
        values[name][ABSENT] = 0


def write(store, **changes):
    """Write the site; its spec and content digest."""
    spec = make_spec(**changes)
    return spec, write_site(store, SITE, spec, block_of(spec), provenance={"engine": "none"})
