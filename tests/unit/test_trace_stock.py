"""Sionna's own solver, as the reference and for diffuse paths."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.sionna_meshes import box, rt, scene
from twin.errors import TraceError
from twin.trace import stock
from twin.trace.engine import TraceSettings
from twin.trace.paths import DIFFUSE, REFLECTION
from twin.trace.ports import vertical_isotropic
from twin.trace.solver import solve_chains, solve_stock
from twin.trace.stock import stock_paths

SETTINGS = TraceSettings(
    max_depth=2, rays_per_round=20_000, stock_samples=2000, diffuse_samples=2000, max_paths=900
)
DIFFUSELY = SETTINGS.model_copy(update={"diffuse": True})
TRANSMITTERS = np.array([[1.0, 1.2, 2.1], [4.5, 3.1, 1.4]])
RECEIVERS = np.random.default_rng(1).uniform([0.5, 0.5, 1.2], [5.5, 3.5, 2.5], (6, 3))
ANTENNAS = [vertical_isotropic()] * 2


def furnished(scattering_coefficient=0.0):
    built = scene(room=box([0, 0, 0], [6, 4, 3]), desk=box([2, 1, 0.1], [3.5, 2, 0.8]))
    for item in built.objects.values():
        item.radio_material.scattering_coefficient = scattering_coefficient
    return built


@pytest.fixture(scope="module")
def rough():
    return furnished(0.5)


def rows(table, chosen):
    """Of each link, the strengths, delays, directions and kinds of the paths chosen, in order."""
    names = ("gain", "delay_s", "aoa_azimuth", "aoa_zenith", "aod_azimuth", "interactions")
    return [
        [getattr(table, name)[link][chosen[link]].tolist() for name in names]
        for link in np.ndindex(table.num_paths.shape)
    ]


def power(table, chosen):
    strength = np.abs(table.gain.astype(np.complex128)) ** 2
    return (strength * chosen).sum(axis=-1)


def is_diffuse(table):
    return (table.interactions & DIFFUSE) > 0


def is_specular(table):
    return np.isfinite(table.delay_s) & ~is_diffuse(table)


def test_the_reference_agrees_with_chains_where_it_finds_all():
    built = furnished()
    many = SETTINGS.model_copy(update={"stock_samples": 20_000})
    found = solve_chains(built, TRANSMITTERS, RECEIVERS, SETTINGS).table
    wanted = solve_stock(built, TRANSMITTERS, RECEIVERS, many).table
    assert found.num_paths.tolist() == wanted.num_paths.tolist()
    for link in np.ndindex(found.num_paths.shape):
        difference = np.abs(found.delay_s[link][:, None] - wanted.delay_s[link]) * 1e9
        apart = np.abs(found.transfer[link][:, None] - wanted.transfer[link]).max(axis=(-1, -2))
        level = np.abs(wanted.transfer[link]).max(axis=(-1, -2))
        same = (difference < 1e-4) & (apart < 5e-3 * level)
        count = found.num_paths[link]
        assert (same[:count, :count].sum(axis=0) == 1).all()


def test_more_candidates_than_there_is_room_for_are_an_error(monkeypatch):
    built = furnished()
    room = 5
    monkeypatch.setattr(stock, "MAX_CANDIDATES", room)
    with pytest.raises(TraceError, match="expected under 5 candidate paths of a transmitter"):
        stock_paths(built, TRANSMITTERS, RECEIVERS, SETTINGS, ANTENNAS)


def test_just_enough_room_loses_nothing(monkeypatch):
    built = furnished()
    whole = stock_paths(built, TRANSMITTERS[:1], RECEIVERS[:4], SETTINGS, ANTENNAS[:1])
    counted = []

    class Noting(stock._CountedCandidates):
        def __call__(self, *scene, **search):
            found = super().__call__(*scene, **search)
            counted.append(int(np.array(found.paths_counter)[0]))
            return found

    monkeypatch.setattr(stock, "_CountedCandidates", Noting)
    stock_paths(built, TRANSMITTERS[:1], RECEIVERS[:4], SETTINGS, ANTENNAS[:1])
    [candidates] = counted
    monkeypatch.setattr(stock, "MAX_CANDIDATES", candidates + 1)
    again = stock_paths(built, TRANSMITTERS[:1], RECEIVERS[:4], SETTINGS, ANTENNAS[:1])
    assert sorted(again.delay_s) == sorted(whole.delay_s)
    monkeypatch.setattr(stock, "MAX_CANDIDATES", candidates)
    with pytest.raises(TraceError, match=f"found {candidates} or more"):
        stock_paths(built, TRANSMITTERS[:1], RECEIVERS[:4], SETTINGS, ANTENNAS[:1])


@pytest.mark.parametrize("fails", [False, True])
def test_the_scene_gets_its_devices_and_arrays_back(monkeypatch, fails):
    built = furnished()
    devices = [
        rt.Transmitter("mast", [1.0, 1.0, 2.0], power_dbm=3.0),
        rt.Transmitter("another", [2.0, 1.0, 2.0]),
        rt.Receiver("phone", [3.0, 3.0, 1.0], orientation=[0.1, 0.2, 0.3]),
    ]
    built.add(devices)
    built.tx_array = rt.PlanarArray(num_rows=2, num_cols=1, pattern="dipole", polarization="V")
    built.rx_array = rt.PlanarArray(num_rows=1, num_cols=3, pattern="iso", polarization="cross")
    arrays = built.tx_array, built.rx_array
    slots = stock.SBCandidateGenerator.MIN_SPEC_COUNT_SIZE
    if fails:
        monkeypatch.setattr(stock, "MAX_CANDIDATES", 2)
        with pytest.raises(TraceError):
            stock_paths(built, TRANSMITTERS, RECEIVERS, SETTINGS, ANTENNAS)
    else:
        found = stock_paths(built, TRANSMITTERS, RECEIVERS, SETTINGS, ANTENNAS)
        assert set(found.access_point) == {0, 1}
        assert set(found.point) == set(range(6))
    assert list(built.transmitters) == ["mast", "another"]
    assert list(built.receivers) == ["phone"]
    kept = [*built.transmitters.values(), *built.receivers.values()]
    assert all(one is other for one, other in zip(kept, devices, strict=True))
    assert built.tx_array is arrays[0]
    assert built.rx_array is arrays[1]
    assert slots == stock.SBCandidateGenerator.MIN_SPEC_COUNT_SIZE


def test_a_scene_without_devices_has_none_after_it():
    built = furnished()
    stock_paths(built, TRANSMITTERS, RECEIVERS, SETTINGS, ANTENNAS)
    assert not built.transmitters
    assert not built.receivers


def test_diffuse_paths_come_on_top_of_the_same_others(rough):
    without = solve_chains(rough, TRANSMITTERS, RECEIVERS, SETTINGS).table
    diffusely = solve_chains(rough, TRANSMITTERS, RECEIVERS, DIFFUSELY).table
    assert not is_diffuse(without).any()
    assert (is_diffuse(diffusely).sum(axis=-1) > 100).all()
    assert rows(diffusely, is_specular(diffusely)) == rows(without, is_specular(without))
    assert (
        diffusely.num_paths.tolist()
        == (without.num_paths + is_diffuse(diffusely).sum(axis=-1)).tolist()
    )
    assert not diffusely.power_left_out.any()


def test_smooth_walls_scatter_nothing():
    table = solve_chains(furnished(), TRANSMITTERS, RECEIVERS[:2], DIFFUSELY).table
    assert not is_diffuse(table).any()


def test_what_is_scattered_is_lost_to_reflections(rough):
    # Of the field, sqrt(1 - S^2) is left: Degli-Esposti et al., IEEE Transactions on Antennas and
    # Propagation 55, 2007.
    settings = SETTINGS.model_copy(update={"max_depth": 1, "refraction": False})
    smooth, weak = (
        solve_chains(built, TRANSMITTERS, RECEIVERS, settings).table
        for built in (furnished(), rough)
    )
    for link in np.ndindex(smooth.num_paths.shape):
        count = smooth.num_paths[link]
        assert weak.num_paths[link] == count
        by_delay, weak_by_delay = (np.argsort(t.delay_s[link])[:count] for t in (smooth, weak))
        ratio = np.abs(weak.gain[link][weak_by_delay] / smooth.gain[link][by_delay])
        reflected = smooth.interactions[link][by_delay] == REFLECTION
        expected = np.where(reflected, np.sqrt(1 - 0.5**2), 1.0)
        assert ratio == pytest.approx(expected, rel=1e-4)


def test_diffuse_paths_carry_what_they_carry_by_sionna_alone(rough):
    for place in TRANSMITTERS[:, None]:
        ours = solve_chains(rough, place, RECEIVERS, DIFFUSELY).table
        alone = solve_stock(rough, place, RECEIVERS, DIFFUSELY).table
        assert is_diffuse(ours).sum(axis=-1).tolist() == is_diffuse(alone).sum(axis=-1).tolist()
        assert power(ours, is_diffuse(ours)) == pytest.approx(
            power(alone, is_diffuse(alone)), rel=1e-4
        )
        total = power(alone, np.isfinite(alone.delay_s))
        assert power(ours, np.isfinite(ours.delay_s)) == pytest.approx(total, rel=2e-2)


def test_a_receiver_hears_the_same_diffuse_paths_alone_and_among_others(rough):
    def heard(points, number):
        found = stock_paths(
            rough, TRANSMITTERS[:1], points, DIFFUSELY, ANTENNAS[:1], diffuse_only=True
        )
        found = found.where(found.point == number)
        order = np.lexsort((found.aod_azimuth, found.delay_s))
        return [a[order].tobytes() for a in (found.gain, found.delay_s, found.aoa_azimuth)]

    alone = heard(RECEIVERS[4:5], 0)
    assert alone == heard(RECEIVERS, 4) == heard(RECEIVERS[4:], 0) == heard(RECEIVERS[::-1], 1)


@pytest.mark.parametrize("depth", [0, 1])
def test_diffuse_search_of_any_depth(rough, depth):
    settings = DIFFUSELY.model_copy(update={"max_depth": depth})
    table = solve_chains(rough, TRANSMITTERS, RECEIVERS[:1], settings).table
    assert is_diffuse(table).any() == (depth > 0)
    assert (table.num_paths >= 1).all()
