"""Radio maps: the cells they have, what stands in them, and the bound of the position error."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from matplotlib.image import imread

from twin.config import validate
from twin.errors import InputError
from twin.scene.cells import map_cells
from twin.scene.declaration import Scene
from twin.scene.map_fields import map_fields
from twin.scene.map_picture import map_picture
from twin.trace import radio_map as module
from twin.trace.engine import TraceSettings, trace
from twin.trace.position_bound import noise_dbm, position_error_bound_m, range_variance_m2
from twin.trace.radio_map import radio_map, write_map
from twin.units import SPEED_OF_LIGHT_M_PER_S

SOUND = yaml.safe_load((Path(__file__).parent / "scene_box.yaml").read_text())
SETTINGS = TraceSettings(max_depth=1, rays_per_round=20_000)


def box(**changes):
    return validate({**copy.deepcopy(SOUND), **changes}, Scene, "s")


@pytest.fixture(scope="module")
def mapped():
    return radio_map(box(), SETTINGS, pitch_m=0.5)


def test_cells_hold_what_a_trace_to_their_middles_gives(mapped):
    row, column = np.nonzero(mapped["free"].to_numpy())
    points = np.column_stack(
        [mapped["x"].to_numpy()[column], mapped["y"].to_numpy()[row], np.full(len(row), 1.1)]
    )
    expected = trace(box(), SETTINGS, points)
    for name in ("rss", "toa", "los"):
        assert np.array_equal(
            mapped[name].to_numpy()[row, column], expected[name].to_numpy(), equal_nan=True
        )
    best = mapped["best_ap"].to_numpy()[row, column]
    assert np.array_equal(best, expected["rss"].to_numpy().argmax(axis=1))
    assert {*np.unique(best)} == {0, 1}
    assert mapped.attrs["scene_digest"] == expected.attrs["scene_digest"]
    assert mapped.attrs["backend"] == expected.attrs["backend"]
    assert mapped.attrs["trace_max_depth"] == 1


def test_maps_do_not_depend_on_how_many_cells_are_traced_at_once(mapped, monkeypatch):
    monkeypatch.setattr(module, "_TRACE_BYTES", 200_000)
    assert radio_map(box(), SETTINGS, pitch_m=0.5).identical(mapped)


def test_cells_outside_or_in_something_are_empty(mapped):
    free = mapped["free"]
    inside = (free["x"] > 0) & (free["x"] < 6) & (free["y"] > 0) & (free["y"] < 4)
    # The screen from (3, 1) to (3, 3) is 2 m high; the desk ends below the map at 1.1 m.
    screen = (free["x"] == 3) & (free["y"] >= 1) & (free["y"] <= 3)
    assert free.equals((inside & ~screen).transpose("y", "x"))
    for name in ("rss", "toa", "peb"):
        assert np.isnan(mapped[name].to_numpy()[~free.to_numpy()]).all()
    assert not mapped["los"].to_numpy()[~free.to_numpy()].any()
    assert (mapped["best_ap"].to_numpy()[~free.to_numpy()] == -1).all()


def test_an_access_point_that_is_lost_is_not_the_best():
    aps = [{**SOUND["access_points"][0], "active": False}, SOUND["access_points"][1]]
    found = radio_map(box(access_points=aps), SETTINGS, max_cells=30)
    assert np.isnan(found["rss"].to_numpy()[..., 0]).all()
    free = found["free"].to_numpy()
    assert (found["best_ap"].to_numpy()[free] == 1).all()
    assert np.isnan(found["peb"]).all()


def test_bound_in_the_middle_of_a_square_of_four():
    """J is twice the unit matrix over the variance: its bound is the deviation of one range."""
    aps = np.array([[1.0, 0, 1], [0, 1, 1], [-1, 0, 1], [0, -1, 1]]) * [5.0, 5.0, 1.0]
    middle = np.array([[0.0, 0.0, 1.0]])
    assert position_error_bound_m(middle, aps, np.full((1, 4), 0.09)) == pytest.approx([0.3])
    # Two of them are enough, at right angles, at the price of half the information.
    two = np.array([[0.09, 0.09, np.nan, np.inf]])
    assert position_error_bound_m(middle, aps, two) == pytest.approx([0.3 * np.sqrt(2.0)])
    # Looking up at 45 degrees, half of a range's information is in plan.
    lower = middle - [[0.0, 0.0, 5.0]]
    bound = position_error_bound_m(lower, aps, np.full((1, 4), 0.09))
    assert bound == pytest.approx([0.3 * np.sqrt(2.0)])


def test_there_is_no_bound_from_one_direction():
    aps = np.array([[5.0, 0, 1], [9.0, 0, 1], [-5.0, 0, 1]])
    point = np.array([[0.0, 0.0, 1.0]])
    one = np.array([[0.01, np.nan, np.nan]])
    for variance in (np.full((1, 3), 0.01), one, np.full((1, 3), np.nan)):
        assert np.isnan(position_error_bound_m(point, aps, variance)).all()
    # Straight under an access point its range says nothing about the plan.
    assert np.isnan(position_error_bound_m(aps[:1] - [[0, 0, 1.0]], aps[:1], one[:, :1])).all()


def test_ranges_are_as_good_as_band_and_noise_allow():
    # k T is -174 dBm/Hz at 290 K.
    assert noise_dbm(1.0, 0.0) == pytest.approx(-173.975, abs=1e-3)
    assert noise_dbm(80e6, 7.0) == pytest.approx(-173.975 + 79.031 + 7.0, abs=1e-3)
    band = 80e6
    expected = 12.0 * SPEED_OF_LIGHT_M_PER_S**2 / (8.0 * np.pi**2 * band**2 * 100.0)
    assert range_variance_m2(20.0, band) == pytest.approx(expected)
    assert range_variance_m2(20.0, 2 * band) == pytest.approx(expected / 4.0)
    assert range_variance_m2(30.0, band) == pytest.approx(expected / 10.0)


def test_the_bound_of_a_map_is_that_of_free_space():
    """One reflection at most: the direct path alone makes the bound, by Friis' equation."""
    scene = box(
        walls=[],
        furniture=[],
        access_points=[
            {"name": f"AP{i}", "position_m": [*place, 1.1], "power_dbm": 0, "pattern": "iso"}
            for i, place in enumerate([(1, 2), (5, 2), (3, 0.5), (3, 3.5)])
        ],
    )
    found = radio_map(scene, SETTINGS, pitch_m=1.0, noise_figure_db=5.0)
    x, y = 2.0, 2.0
    ap = np.array([item.position_m for item in scene.access_points])
    distance = np.hypot(x - ap[:, 0], y - ap[:, 1])
    wavelength = SPEED_OF_LIGHT_M_PER_S / 5.25e9
    snr_db = 20.0 * np.log10(wavelength / (4.0 * np.pi * distance)) - noise_dbm(80e6, 5.0)
    expected = position_error_bound_m(
        np.array([[x, y, 1.1]]), ap, range_variance_m2(snr_db, 80e6)[None]
    )
    # A cell that an access point hangs in is no place for a receiver.
    assert not found["free"].sel(x=[1.0, 5.0], y=2.0).any()
    assert float(found["peb"].sel(x=x, y=y)) == pytest.approx(float(expected[0]), rel=1e-3)
    assert found["peb"].attrs["noise_figure_db"] == 5.0


def crate(folder):
    """The box with a crate of 2 m x 2 m x 1.5 m as a mesh, closed all around."""
    corners = [(x, y, z) for x in (3.5, 5.5) for y in (1.5, 3.5) for z in (0.2, 1.7)]
    sides = ["1 2 4 3", "5 7 8 6", "1 5 6 2", "3 4 8 7", "1 3 7 5", "2 6 8 4"]
    lines = [*(f"v {x} {y} {z}" for x, y, z in corners), *(f"f {side}" for side in sides)]
    (folder / "crate.obj").write_text("\n".join(lines) + "\n")
    digest = hashlib.sha256((folder / "crate.obj").read_bytes()).hexdigest()
    mesh = {"name": "crate", "file": "crate.obj", "sha256": digest, "material": "sheet"}
    aps = [SOUND["access_points"][0], {**SOUND["access_points"][1], "position_m": [5.8, 3.8, 2]}]
    return box(meshes=[mesh], access_points=aps).in_folder(folder)


def test_cells_in_solids_of_meshes_are_empty(tmp_path):
    found = radio_map(crate(tmp_path), SETTINGS, pitch_m=0.5)
    free = found["free"]
    hidden = free.sel(x=slice(3.5, 5.5), y=slice(1.5, 3.5))
    assert hidden.size == 25
    assert not hidden.any()
    # Above it there is room again.
    above = radio_map(crate(tmp_path), SETTINGS, pitch_m=0.5, height_m=2.2)
    assert above["free"].sel(x=slice(3.5, 5.5), y=slice(1.5, 3.5)).all()


@pytest.mark.parametrize("most", [7, 100, 5000])
def test_cells_are_as_many_as_asked_for_at_most(most):
    cells = map_cells(box(walls=[], furniture=[]), max_cells=most)
    assert 0.8 * most - 4 <= cells.free.sum() <= most
    # On multiples of the pitch, which has three digits.
    assert cells.x == pytest.approx(np.round(cells.x / cells.pitch_m) * cells.pitch_m)
    assert float(f"{cells.pitch_m:.3g}") == cells.pitch_m
    assert (cells.z_m, cells.floor_m) == (1.1, 0.0)


def test_cells_of_a_storey_count_from_its_floor():
    content = copy.deepcopy(SOUND)
    room = content.pop("room")
    content["storeys"] = [
        {"name": "low", "bottom_m": 0, **room},
        {"name": "high", "bottom_m": 2.5, **room, "outline_m": [[0, 0], [3, 0], [3, 4], [0, 4]]},
    ]
    scene = validate(content, Scene, "s")
    cells = map_cells(scene, pitch_m=0.5, storey="high", height_m=0.7)
    assert (cells.z_m, cells.floor_m) == (pytest.approx(3.2), 2.5)
    assert cells.points()[:, 0].max() == 2.5
    # Its furniture is one floor down.
    assert map_cells(scene, pitch_m=0.5, height_m=0.7).free.sum() < 2 * cells.free.sum() + 7
    assert cells.free.sum() == 5 * 7
    assert (cells.storey, map_cells(scene, pitch_m=0.5).storey) == ("high", "low")
    assert map_cells(box(), pitch_m=0.5).storey == ""


def test_outdoors_a_map_covers_the_ground_but_for_houses():
    content = copy.deepcopy(SOUND)
    for key in ("room", "walls", "furniture"):
        del content[key]
    content["ground"] = {
        "area_m": [[-10, -10], [10, -10], [10, 10], [-10, 10]],
        "material": "concrete",
    }
    house = {"name": "house", "footprint_m": [[2.5, 4.5], [7.5, 4.5], [7.5, 7.5], [2.5, 7.5]]}
    content["buildings"] = [
        {**house, "height_m": 5, "wall_material": "concrete", "roof_material": "sheet"}
    ]
    cells = map_cells(validate(content, Scene, "s"), pitch_m=1.0)
    assert cells.free.sum() == 19 * 19 - 5 * 3
    del content["ground"]
    # Without ground, what the access points and receivers lie in.
    around = map_cells(validate(content, Scene, "s"), pitch_m=1.0).points()
    assert around[:, :2].min(axis=0).tolist() == [1.0, 1.0]
    assert around[:, :2].max(axis=0).tolist() == [5.0, 3.0]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"storey": "attic"}, "storey"),
        ({"pitch_m": 0.0}, "pitch_m"),
        ({"pitch_m": float("nan")}, "pitch_m"),
        ({"pitch_m": 1e-3}, "pitch_m"),
        ({"max_cells": 0}, "max_cells"),
        ({"height_m": -1.0}, "height_m"),
        ({"height_m": float("inf")}, "height_m"),
        # Above the ceiling, or so close below it, nothing is free.
        ({"height_m": 9.0}, "height_m"),
        ({"height_m": 2.46}, "height_m"),
        ({"height_m": 0.0}, "height_m"),
        ({"pitch_m": 50.0}, "pitch_m"),
    ],
)
def test_cells_that_make_no_sense_are_refused(options, key):
    with pytest.raises(InputError) as caught:
        map_cells(box(), **options)
    assert [fault.key for fault in caught.value.faults] == [key]


def test_maps_come_back_from_zarr_as_they_were(mapped, tmp_path):
    write_map(mapped, tmp_path / "map.zarr")
    write_map(mapped, tmp_path / "map.zarr")
    found = xr.open_zarr(tmp_path / "map.zarr", consolidated=False).load()
    assert found["ap"].to_numpy().tolist() == ["AP1", "AP2"]
    xr.testing.assert_equal(found.drop_vars("ap"), mapped.drop_vars("ap"))
    assert found.attrs == mapped.attrs


def test_a_map_never_replaces_what_is_no_map(mapped, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(InputError, match=r"mine: expected a Zarr group, or nothing yet"):
        write_map(mapped, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="a folder that can be written"):
        write_map(mapped, tmp_path / "file" / "map.zarr")


def test_fields_of_a_map(mapped):
    fields = {field.key: field for field in map_fields(mapped)}
    assert list(fields) == [
        "best_rss",
        "rss_0",
        "rss_1",
        "first_path",
        "in_sight",
        "best_ap",
        "peb",
    ]
    rss = mapped["rss"].to_numpy()
    free = mapped["free"].to_numpy()
    assert fields["best_rss"].values[free] == pytest.approx(rss[free].max(axis=1))
    assert fields["in_sight"].names == ("0", "1", "2")
    assert fields["in_sight"].values[free] == pytest.approx(mapped["los"].to_numpy()[free].sum(1))
    arrival = mapped["toa"].to_numpy()[free].min(axis=1) * SPEED_OF_LIGHT_M_PER_S
    assert fields["first_path"].values[free] == pytest.approx(arrival)
    assert fields["best_ap"].names == ("AP1", "AP2")
    for field in fields.values():
        assert np.isnan(field.values[~free]).all()
        assert field.low < field.high


def test_a_map_and_its_picture_name_the_storey(tmp_path):
    content = copy.deepcopy(SOUND)
    room = content.pop("room")
    content["storeys"] = [
        {"name": "low", "bottom_m": 0, **room},
        {"name": "high", "bottom_m": 2.5, **room},
    ]
    scene = validate(content, Scene, "s")
    for named, shown, words in (
        (None, "low", "storey low, 1.1 m above its floor, "),
        ("high", "high", "storey high, 1.5 m above its floor, "),
    ):
        found = radio_map(scene, TraceSettings(max_depth=0), max_cells=30, storey=named)
        assert found.attrs["storey"] == shown
        map_picture(scene, found, tmp_path / "map.svg")
        assert words in (tmp_path / "map.svg").read_text()


def test_picture_shows_the_map(mapped, tmp_path):
    map_picture(box(), mapped, tmp_path / "map.png")
    picture = imread(tmp_path / "map.png")
    assert min(picture.shape[:2]) > 500
    ink = float((picture[..., :3] < 0.99).any(axis=2).mean())
    assert 0.1 < ink < 0.9
    changed = mapped.assign(rss=mapped["rss"].where(mapped["x"] < 3.0, -90.0))
    map_picture(box(), changed, tmp_path / "other.png")
    assert not np.array_equal(picture, imread(tmp_path / "other.png"))
    map_picture(box(), mapped, tmp_path / "map.svg")
    assert "RSS of AP2" in (tmp_path / "map.svg").read_text()
    with pytest.raises(InputError, match=r"a name that ends in \.png or \.svg"):
        map_picture(box(), mapped, tmp_path / "map.jpg")
