"""Every scene of the library loads, traces at toy size and gives finite values of its shape."""

from __future__ import annotations

import numpy as np
import pytest

from twin.perturb.library import load_table
from twin.perturb.realise import realise
from twin.scene.library import library, load_scene
from twin.trace.engine import TraceSettings, trace

TOY = TraceSettings(max_depth=1, rays_per_round=20_000, max_rounds=3, max_paths=8)
RECEIVERS = 12


@pytest.mark.parametrize("name", library())
def test_a_scene_and_a_realisation_of_it_trace(name: str) -> None:
    declared = load_scene(name)
    drawn = realise(declared, load_table(name, declared), seed=1, realisation=0)
    points = drawn.points()
    chosen = points[:: -(-len(points) // RECEIVERS)]
    traced = trace(drawn.scene, TOY, chosen)
    aps, ports = declared.access_points, max(ap.ports for ap in declared.access_points)
    shape = {"point": len(chosen), "ap": len(aps), "subcarrier": declared.subcarriers}
    if ports > 1:
        shape["ap_antenna"] = ports
    assert {dim: traced.csi.sizes[dim] for dim in traced.csi.dims} == shape
    assert traced.path_gain.shape == (len(chosen), len(aps), TOY.max_paths)
    heard = traced.num_paths.values > 0
    # At one interaction a path, some see nobody: that is flagged, and never a zero that looks real.
    assert heard.any()
    assert np.isfinite(traced.csi.values).all()
    assert np.array_equal(np.isfinite(traced.rss.values), heard)
    assert np.array_equal(np.isfinite(traced.toa.values), heard)
    sent = np.array([ap.power_dbm for ap in drawn.scene.access_points])
    gain_allowance_db = 10.0
    assert (traced.rss.values < sent + gain_allowance_db)[heard].all()
    sounding = (np.abs(traced.csi.values) > 0.0).reshape((*heard.shape, -1)).any(axis=-1)
    assert np.array_equal(sounding, heard)
