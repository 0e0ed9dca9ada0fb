"""Access points unlike each other: carriers, bands, arrays, where they look, and lost ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twin.config import load_model, validate
from twin.errors import InputError
from twin.scene.declaration import Scene
from twin.trace import reuse, solver
from twin.trace.antenna import named_ports
from twin.trace.array import MountedArray, planar
from twin.trace.channel import array_csi
from twin.trace.engine import TraceSettings, trace
from twin.trace.engines import ChainEngine
from twin.trace.reuse import ChainMemory
from twin.trace.stations import antenna
from twin.units import db

SCENE = load_model(Path(__file__).with_name("scene_box.yaml"), Scene)
SETTINGS = TraceSettings(max_depth=2, rays_per_round=5000, max_paths=20)
POINTS = np.array([[2.0, 1.5, 1.1], [4.5, 2.5, 1.1], [5.5, 1.0, 1.1]])
EAR = MountedArray(planar(1, 1, named_ports("iso", "V")), np.zeros(3))


def scene(first=None, second=None, **parts):
    """The box with other values of its access points, or other parts."""
    aps = [dict(ap) for ap in SCENE.plain()["access_points"]]
    for ap, values in zip(aps, (first, second), strict=True):
        ap.update(values or {})
    return validate({**SCENE.plain(), "access_points": aps, **parts}, Scene, where="changed")


def only(content, number):
    """A scene without its other access point."""
    return content.model_copy(update={"access_points": content.access_points[number : number + 1]})


def same(one, other):
    assert set(one.data_vars) == set(other.data_vars)
    for name in one.data_vars:
        assert one[name].values.tobytes() == other[name].values.tobytes(), name


# Materials have other constants at either carrier.
MIXED = scene({"frequency_ghz": 28.0, "bandwidth_mhz": 400.0}, {"frequency_ghz": 2.4})


def test_each_carrier_is_traced_as_in_a_scene_of_its_own():
    traced = trace(MIXED, SETTINGS, POINTS)
    assert traced["ap_frequency"].values.tolist() == [28e9, 2.4e9]
    assert "frequency_hz" not in traced.attrs
    for number, (ghz, mhz) in enumerate(((28.0, 400.0), (2.4, 80.0))):
        alone = only(scene(frequency_ghz=ghz, bandwidth_mhz=mhz), number)
        wanted = trace(alone, SETTINGS, POINTS)
        assert wanted.attrs["frequency_hz"] == ghz * 1e9
        found = traced.isel(ap=[number]).drop_vars("subcarrier_offset")
        same(found, wanted)
        offsets = traced["subcarrier_offset"].values[number]
        assert offsets.tolist() == wanted["subcarrier"].values.tolist()


def test_chains_are_searched_once_for_all_carriers(monkeypatch):
    searched = []

    def noting(mirrors, transmitter, search):
        searched.append(transmitter)
        return discover(mirrors, transmitter, search)

    discover = reuse.discover
    monkeypatch.setattr(reuse, "discover", noting)
    monkeypatch.setattr(solver, "_MEMORY", ChainMemory(capacity=8))
    trace(scene(), SETTINGS, POINTS)
    trace(MIXED, SETTINGS, POINTS)
    assert len(searched) == 2


def test_the_order_of_carriers_is_that_of_the_access_points():
    aps = [
        {**SCENE.plain()["access_points"][number % 2], "name": f"A{number}", "frequency_ghz": ghz}
        for number, ghz in enumerate((5.0, 2.4, 5.0, 28.0, 2.4))
    ]
    traced = trace(scene(access_points=aps), SETTINGS, POINTS)
    assert traced["ap"].values.tolist() == [ap["name"] for ap in aps]
    for number in range(len(aps)):
        alone = trace(scene(access_points=[aps[number]]), SETTINGS, POINTS)
        same(traced.isel(ap=[number]), alone)


def test_one_band_has_offsets_and_several_have_numbers():
    assert trace(scene(), SETTINGS, POINTS)["subcarrier"].attrs["units"] == "Hz"
    wide = {"bandwidth_mhz": 160.0}
    shared = trace(scene(wide, wide), SETTINGS, POINTS)
    assert shared.attrs["bandwidth_hz"] == 160e6
    assert np.diff(shared["subcarrier"].values) == pytest.approx(2.5e6)
    mixed = trace(scene(wide), SETTINGS, POINTS)
    assert "bandwidth_hz" not in mixed.attrs
    assert mixed["ap_bandwidth"].values.tolist() == [160e6, 80e6]
    assert mixed["subcarrier"].values.tolist() == list(range(64))
    assert np.diff(mixed["subcarrier_offset"].values) == pytest.approx(
        np.broadcast_to([[2.5e6], [1.25e6]], (2, 63))
    )


def test_materials_unknown_at_any_carrier_are_refused_together():
    bricks = {
        "concrete": {"itu": "brick", "thickness_m": 0.1},
        "sheet": {"layers": [{"itu": "plywood", "thickness_m": 0.01}]},
    }
    wrong = scene({"frequency_ghz": 60.0}, {"frequency_ghz": 50.0}, materials=bricks)
    with pytest.raises(InputError) as error:
        trace(wrong, SETTINGS, POINTS)
    faults = {(fault.key, fault.found) for fault in error.value.faults}
    keys = ("materials.concrete.itu", "materials.sheet.layers.0.itu")
    assert faults == {(key, ghz) for key in keys for ghz in ("60 GHz", "50 GHz")}


ARRAY = {
    "array": {"rows": 2, "columns": 3, "vertical_spacing": 0.7},
    "polarisation": "cross",
    "pattern": "tr38901",
    "yaw_deg": 35.0,
    "pitch_deg": 20.0,
    "roll_deg": -10.0,
}


def test_channels_of_arrays_are_those_of_their_paths():
    traced = trace(scene(second=ARRAY), SETTINGS, POINTS)
    assert traced["csi"].dims == ("point", "ap", "ap_antenna", "subcarrier")
    assert traced["csi"].shape == (3, 2, 12, 64)
    assert traced["ap_ports"].values.tolist() == [1, 12]
    # The first access point has what it has among those of one port, and zeros.
    plain = trace(scene(), SETTINGS, POINTS)
    assert (traced["csi"].values[:, 0, 0] == plain["csi"].values[:, 0]).all()
    assert (traced["rss"].values[:, 0] == plain["rss"].values[:, 0]).all()
    assert not traced["csi"].values[:, 0, 1:].any()
    table = ChainEngine().solve(scene(second=ARRAY), POINTS, SETTINGS).table
    array = planar(2, 3, named_ports("tr38901", "cross"), vertical_spacing=0.7)
    mounted = MountedArray(array, np.deg2rad([35.0, 20.0, -10.0]))
    wanted = array_csi(table, 1, mounted, EAR, 80e6, 64)[:, 0]
    assert traced["csi"].values[:, 1].tobytes() == wanted.tobytes()
    assert traced["ap_orientation"].values[1] == pytest.approx(np.deg2rad([35.0, 20.0, -10.0]))


def test_power_of_an_array_is_the_mean_over_its_ports():
    traced = trace(scene(second=ARRAY), SETTINGS, POINTS)
    channels = traced["csi"].values[:, 1].astype(np.complex128)
    power = (np.abs(channels) ** 2).mean(axis=(1, 2))
    assert traced["rss"].values[:, 1] == pytest.approx(20.0 + db(power), abs=1e-5)
    assert "ports" in traced["rss"].attrs["definition"]


def test_the_gain_of_an_array_is_that_of_its_centre_with_the_first_pattern():
    traced = trace(scene(second=ARRAY), SETTINGS, POINTS)
    centre = trace(scene(second={**ARRAY, "array": {}}), SETTINGS, POINTS)
    assert (traced["path_gain"].values == centre["path_gain"].values).all()
    first = antenna(scene(second=ARRAY), scene(second=ARRAY).access_points[1]).pattern
    assert first == named_ports("tr38901", "cross")[0]


@pytest.mark.parametrize("polarisation", ["H", "VH"])
def test_polarisation_counts(polarisation):
    traced = trace(scene(second={"polarisation": polarisation}), SETTINGS, POINTS)
    vertical = trace(scene(), SETTINGS, POINTS)
    gain, upright = (data["path_gain"].values[:, 1] for data in (traced, vertical))
    if polarisation == "H":
        # What is sent level does not reach an upright antenna in line of sight.
        assert np.abs(gain).max() < 0.3 * np.abs(upright).max()
        assert (
            traced.attrs["polarisation"] == "V, H at the access points, vertical at the receivers"
        )
    else:
        assert traced["ap_ports"].values.tolist() == [1, 2]
        assert (gain == upright).all()


@pytest.mark.parametrize(("pitch", "off_below", "off_above"), [(0, 1, 1), (1, 0, 2), (-1, 2, 0)])
def test_a_positive_pitch_looks_down(pitch, off_below, off_above):
    # Points as far below the access point as above it, under an angle of 16 degrees.
    points = np.array([[5.0, 2.0, 0.1], [5.0, 2.0, 2.3]])
    angle = float(np.rad2deg(np.arctan2(1.1, 4.0)))
    place = {"position_m": [1.0, 2.0, 1.2], "pitch_deg": pitch * angle}
    settings = SETTINGS.model_copy(update={"max_depth": 0})
    gain = [
        trace(scene({**place, "pattern": pattern}, furniture=[], walls=[]), settings, points)[
            "path_gain"
        ].values[:, 0, 0]
        for pattern in ("tr38901", "iso")
    ]
    # 3GPP TR 38.901, table 7.3-1: 8 dBi, falling by 12 (angle / 65 degrees)^2.
    off = angle * np.array([off_below, off_above])
    assert 2 * db(np.abs(gain[0] / gain[1])) == pytest.approx(
        8.0 - 12 * (off / 65.0) ** 2, abs=1e-4
    )


def test_nobody_hears_what_is_lost():
    traced = trace(scene({"active": False}), SETTINGS, POINTS)
    assert traced["ap_active"].values.tolist() == [False, True]
    lost = traced.isel(ap=0)
    assert np.isnan(lost["rss"].values).all()
    assert np.isnan(lost["toa"].values).all()
    assert np.isnan(lost["delay"].values).all()
    assert not lost["los"].values.any()
    assert not lost["num_paths"].values.any()
    assert not lost["csi"].values.any()
    assert lost["chains_reflections"].values == 0
    assert traced["status"].values.tolist() == [1, 1, 1]
    same(traced.isel(ap=[1]), trace(scene(), SETTINGS, POINTS).isel(ap=[1]))


def test_what_is_lost_is_not_searched_for(monkeypatch):
    monkeypatch.setattr(reuse, "discover", None)
    monkeypatch.setattr(solver, "_MEMORY", ChainMemory(capacity=8))
    lost = {"active": False}
    # Not even a carrier that its materials do not know matters.
    traced = trace(scene({**lost, "frequency_ghz": 400.0}, lost), SETTINGS, POINTS)
    assert traced["status"].values.tolist() == [2, 2, 2]
    assert np.isnan(traced["rss"].values).all()
    assert traced["num_paths"].shape == (3, 2)
    assert traced["chains_reflections"].values.tolist() == [0, 0]


def test_a_lost_access_point_still_makes_its_room_one():
    # Receivers in a closed body without a transmitter are refused, where it is no declared room.
    cabin = {"name": "cabin", "centre_m": [3, 2], "size_m": [5.8, 3.8, 2.3], "material": "sheet"}
    outside = scene({"active": False}, {"position_m": [7.0, 2.0, 1.0]}, walls=[], furniture=[cabin])
    assert trace(outside, SETTINGS, POINTS)["num_paths"].values[:, 1].all()
    with pytest.raises(InputError, match="inside it"):
        trace(only(outside, 1), SETTINGS, POINTS)


def test_diffraction_over_lost_access_points_keeps_their_place():
    settings = SETTINGS.model_copy(update={"diffraction": True})
    traced = trace(scene({"active": False}), settings, POINTS)
    assert traced["chains_diffraction"].values[0] == 0
    assert traced["chains_diffraction"].values[1] > 0
