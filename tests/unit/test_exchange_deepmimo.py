"""DeepMIMO v4 scenarios: what we write, what its own loader makes of it, what we read back."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.path_sites import ABSENT, FREQUENCY_HZ, SITE, UNHEARD, make_spec, write
from twin.errors import InputError
from twin.seeds import stream
from twin.store.derived import csi_from_paths
from twin.store.exchange import deepmimo_import
from twin.store.exchange.deepmimo_conventions import PATH_MATRICES, to_matrices, to_paths
from twin.store.exchange.deepmimo_export import export_deepmimo
from twin.store.exchange.deepmimo_import import import_deepmimo
from twin.store.reader import open_site

CHECK = Path(__file__).parents[2] / "benchmarks" / "deepmimo_check.py"
PYTHON_VARIABLE = "TWIN_DEEPMIMO_PYTHON"
BANDWIDTH_HZ, SUBCARRIERS = 40e6, 32
ONE = {"realisations": ("one",), "ap_position_m": make_spec().ap_position_m[:1],
       "ap_orientation_rad": make_spec().ap_orientation_rad[:1], "drawn": ()}  # fmt: skip
KEPT_EXACTLY = (
    "position", "status", "delay", "interactions", "num_paths", "los", "toa", "ap_position",
    "ap_orientation", "ap_frequency", "ap_power",
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two realisations; every kind of link."""
    folder = tmp_path_factory.mktemp("store") / "store.zarr"
    write(folder)
    return folder


def nmse_db(found, expected):
    return 10 * np.log10((abs(found - expected) ** 2).sum() / (abs(expected) ** 2).sum())


def matrix(folder, name, tx=0):
    with np.load(folder / f"{name}_t000_tx{tx:03d}_r001.npz", allow_pickle=False) as file:
        return file[name]


# --- What is written


def test_matrices_have_its_names_units_and_padding(store, tmp_path):
    folder = export_deepmimo(store, SITE, tmp_path / "hall")
    site = open_site(store, SITE).load()
    for realisation in range(2):
        for ap in range(2):
            link = site.isel(realisation=realisation, ap=ap)
            found = {
                name: matrix(folder / f"r{realisation:04d}", name, ap)
                for name in (*PATH_MATRICES, "inter_pos", "rx_pos", "tx_pos")
            }
            count = link["num_paths"].to_numpy()
            for name in (
                "power",
                "phase",
                "delay",
                "aoa_az",
                "aoa_el",
                "aod_az",
                "aod_el",
                "inter",
            ):
                assert np.array_equal(np.isfinite(found[name]).sum(axis=1), count)
                assert np.isfinite(found[name][np.arange(6) < count[:, None]]).all()
            total = np.nansum(10 ** (found["power"] / 10), axis=1)
            gain = link["path_gain"].to_numpy()
            assert total == pytest.approx((abs(gain) ** 2).sum(axis=1), rel=1e-5)
            coherent = np.nansum(
                10 ** (found["power"] / 20) * np.exp(1j * np.deg2rad(found["phase"])), axis=1
            )
            assert coherent == pytest.approx(gain.sum(axis=1), rel=1e-5)
            assert np.array_equal(found["rx_pos"], link["position"], equal_nan=True)
            assert np.array_equal(found["tx_pos"], link["ap_position"].to_numpy()[None])
            assert found["inter_pos"].shape == (11, 6, 1, 3)
            assert np.isnan(found["inter_pos"]).all()


def test_the_line_of_sight_comes_first(store, tmp_path):
    folder = export_deepmimo(store, SITE, tmp_path / "hall")
    site = open_site(store, SITE).load()
    inter, power = matrix(folder / "r0000", "inter"), matrix(folder / "r0000", "power")
    los = site["los"].to_numpy()[0, :, 0]
    assert 0 < los.sum() < len(los)
    assert np.array_equal(inter[:, 0] == 0, los == 1)
    # The line of sight of these sites is no link's strongest path; the others fall.
    assert (power[los == 1, 0] <= np.nanmax(power[los == 1], axis=1)).all()
    falls = np.diff(power[:, 1:], axis=1)
    assert (falls[np.isfinite(falls)] <= 0).all()


def test_kinds_of_interaction_become_digits(store, tmp_path):
    folder = export_deepmimo(store, SITE, tmp_path / "hall")
    codes = matrix(folder / "r0000", "inter", 1)
    # Bits: reflection 1, diffuse 2, transmission 4, diffraction 8.
    expected = {1: 1, 2: 3, 4: 4, 5: 14, 8: 2, 9: 12, 15: 1234}
    assert set(codes[np.isfinite(codes)].astype(int)) <= set(expected.values())
    bits = open_site(store, SITE)["interactions"].to_numpy()[0, :, 1]
    there = np.isfinite(codes)
    assert np.array_equal(codes[there], [expected[int(bit)] for bit in bits[there]])


def test_parameters_say_what_is_known(store, tmp_path):
    folder = export_deepmimo(store, SITE, tmp_path / "hall")
    params = json.loads((folder / "params.json").read_text(encoding="utf-8"))
    assert params["scene"]["num_scenes"] == 2
    assert params["rt_params"]["frequency"] == FREQUENCY_HZ
    assert params["rt_params"]["num_rays"] == -1
    assert [params["rt_params"][f"max_{name}"] for name in ("reflections", "scattering")] == [1, 1]
    assert params["txrx_sets"]["txrx_set_0"]["num_points"] == 2
    assert params["txrx_sets"]["txrx_set_1"]["num_active_points"] == 10
    assert params["fingertwin"]["access_points"] == ["north", "süd"]
    own = json.loads((folder / "r0001" / "params.json").read_text(encoding="utf-8"))
    assert own["scene"]["num_scenes"] == 1
    assert own["fingertwin"]["realisations"] == ["moved"]
    assert json.loads((folder / "r0001" / "objects.json").read_text()) == []


def test_one_realisation_is_a_static_scenario(tmp_path):
    write(tmp_path / "store.zarr", **ONE)
    folder = export_deepmimo(tmp_path / "store.zarr", SITE, tmp_path / "hall")
    assert not [path for path in folder.iterdir() if path.is_dir()]
    assert json.loads((folder / "params.json").read_text())["scene"]["num_scenes"] == 1


# --- What its own loader makes of it


def its_channels(folder, output, *options):
    python = os.environ.get(PYTHON_VARIABLE)
    if not python:
        pytest.skip(f"{PYTHON_VARIABLE} does not name a Python with deepmimo")
    command = [python, str(CHECK), str(folder), str(output),
               "--bandwidth-hz", f"{BANDWIDTH_HZ}", "--subcarriers", f"{SUBCARRIERS}"]  # fmt: skip
    run = subprocess.run(
        [*command, *options], cwd=output.parent, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    with np.load(output, allow_pickle=False) as found:
        return dict(found)


def test_its_loader_and_generator_give_our_channels(store, tmp_path):
    folder = export_deepmimo(store, SITE, tmp_path / "hall")
    yaw, pitch, roll = np.rad2deg(make_spec().ap_orientation_rad[0][0])
    found = its_channels(
        folder, tmp_path / "out.npz", "--bs-shape", "4", "2", "--ue-shape", "2", "1",
        "--bs-rotation", *map(str, (roll, pitch, yaw)),
    )  # fmt: skip
    site = open_site(store, SITE)
    # Its band begins at the carrier: the upper half of one twice as wide. Its arrays count y
    # fastest, from their first element.
    ours = csi_from_paths(
        site,
        bandwidth_hz=2 * BANDWIDTH_HZ,
        subcarriers=2 * SUBCARRIERS,
        rx_positions=[[0, 0, 0], [0, 0.5, 0]],
        ap_positions=[[0, 0.5 * y, 0.5 * z] for z in range(2) for y in range(4)],
    ).to_numpy()[..., SUBCARRIERS:]
    expected = np.nan_to_num(ours)
    assert found["csi"].shape == expected.shape
    assert nmse_db(found["csi"], expected) < -110
    # A link without paths and a point that is absent are both silence there.
    assert not found["csi"][:, UNHEARD].any()
    assert not found["csi"][1, ABSENT].any()
    counts = site["num_paths"].to_numpy()
    assert np.array_equal(found["num_paths"], counts)
    assert np.array_equal(found["los"], np.where(counts, site["los"].to_numpy(), -1))
    assert np.array_equal(found["rx_pos"], site["position"], equal_nan=True)
    assert np.array_equal(found["tx_pos"], site["ap_position"])
    assert "Total number of transmitters: 2" in str(found["summary"])


def test_with_the_band_at_its_lower_edge_the_stored_channel_comes_out(tmp_path):
    write(tmp_path / "store.zarr", **ONE, subcarriers=SUBCARRIERS,
          subcarrier_spacing_hz=BANDWIDTH_HZ / SUBCARRIERS)  # fmt: skip
    folder = export_deepmimo(
        tmp_path / "store.zarr", SITE, tmp_path / "hall", first_subcarrier_hz=-BANDWIDTH_HZ / 2
    )
    found = its_channels(folder, tmp_path / "out.npz")
    stored = open_site(tmp_path / "store.zarr", SITE)["csi"].to_numpy()
    assert nmse_db(found["csi"], stored) < -110


def test_a_snapshot_is_a_scenario_of_its_own(store, tmp_path):
    folder = export_deepmimo(store, SITE, tmp_path / "hall", access_points=["süd"])
    found = its_channels(folder / "r0001", tmp_path / "out.npz")
    ours = csi_from_paths(
        open_site(store, SITE), bandwidth_hz=2 * BANDWIDTH_HZ, subcarriers=2 * SUBCARRIERS, ap="süd"
    )
    expected = np.nan_to_num(ours.to_numpy()[1:, ..., SUBCARRIERS:])
    assert nmse_db(found["csi"], expected) < -110


# --- There and back


@pytest.mark.parametrize("first_subcarrier_hz", [0.0, -20e6])
def test_a_round_trip_keeps_paths_to_the_precision_of_the_format(
    store, tmp_path, first_subcarrier_hz
):
    folder = export_deepmimo(
        store, SITE, tmp_path / "hall", first_subcarrier_hz=first_subcarrier_hz
    )
    digest = import_deepmimo(folder, tmp_path / "new.zarr", "copy", shard_points=4)
    assert import_deepmimo(folder, tmp_path / "new.zarr", "whole") == digest
    old, new = open_site(store, SITE).load(), open_site(tmp_path / "new.zarr", "copy").load()
    for name in KEPT_EXACTLY:
        assert np.array_equal(old[name], new[name], equal_nan=True), name
    assert new["ap"].to_numpy().tolist() == ["north", "süd"]
    assert new["realisation_label"].to_numpy().tolist() == ["as planned", "moved"]
    assert new.attrs["title"] == "hall"
    assert nmse_db(new["path_gain"].to_numpy(), old["path_gain"].to_numpy()) < -120
    for name in ("aoa_azimuth", "aoa_zenith", "aod_azimuth", "aod_zenith"):
        assert np.nanmax(np.abs(old[name] - new[name])) < 5e-7
        assert np.array_equal(np.isnan(old[name]), np.isnan(new[name]))


def test_some_access_points_only(store, tmp_path):
    folder = export_deepmimo(store, SITE, tmp_path / "hall", access_points=["süd"])
    import_deepmimo(folder, tmp_path / "new.zarr", SITE, title="south", attributes={"licence": "x"})
    new = open_site(tmp_path / "new.zarr", SITE)
    old = open_site(store, SITE).sel(ap=["süd"])
    assert np.array_equal(new["delay"], old["delay"], equal_nan=True)
    assert (new.attrs["title"], new.attrs["licence"]) == ("south", "x")


def foreign(folder, *, count=(5, 3), paths=4, version="4.0.5", **changes):
    """A scenario as its converters write one: two sets of receivers, one of two transmitters."""
    folder.mkdir()
    draw = stream(5, "foreign")
    sets = {
        "txrx_set_0": {"name": "users", "id": 0, "is_tx": False, "is_rx": True,
                       "num_points": count[0]},
        "txrx_set_1": {"name": "BS", "id": 1, "is_tx": True, "is_rx": False, "num_points": 2},
        "txrx_set_2": {"name": "more", "id": 2, "is_tx": False, "is_rx": True,
                       "num_points": count[1]},
        "txrx_set_3": {"name": "BS as users", "id": 3, "is_tx": True, "is_rx": True,
                       "num_points": 0},
    }  # fmt: skip
    for one in sets.values():
        one |= {"num_ant": 1, "dual_pol": False}
    params = {"version": version, "rt_params": {"frequency": 28_000_000_000, "num_rays": 7},
              "txrx_sets": sets, "materials": {}, "scene": {"num_scenes": 1}}  # fmt: skip
    arrays = {}
    for tx in range(2):
        for rx_set, points in zip((0, 2), count, strict=True):
            shape = (points, paths)
            there = draw.random(shape) < 0.7
            values = {
                "power": draw.uniform(-120, -60, shape), "phase": draw.uniform(-180, 180, shape),
                "delay": draw.uniform(1e-8, 1e-6, shape), "aoa_az": draw.uniform(-180, 360, shape),
                "aoa_el": draw.uniform(0, 180, shape), "aod_az": draw.uniform(-180, 180, shape),
                "aod_el": draw.uniform(0, 180, shape),
                "inter": draw.choice([0, 1, 11, 131, 4, 2, 1111111111], shape),
            }  # fmt: skip
            for name, array in values.items():
                single = np.where(there, array, np.nan).astype(np.float32)
                arrays[name, tx, rx_set] = np.asfortranarray(single)
            arrays["rx_pos", tx, rx_set] = np.arange(3.0 * points).reshape(points, 3) + rx_set
            arrays["tx_pos", tx, rx_set] = np.array([tx, 2.0, 3.0])
    params |= changes
    (folder / "params.json").write_text(json.dumps(params))
    for (name, tx, rx_set), array in arrays.items():
        np.savez(folder / f"{name}_t001_tx{tx:03d}_r{rx_set:03d}.npz", **{name: array})
    return arrays


def test_a_foreign_scenario_becomes_a_site(tmp_path):
    arrays = foreign(tmp_path / "city")
    import_deepmimo(tmp_path / "city", tmp_path / "new.zarr", "city", shard_points=3)
    site = open_site(tmp_path / "new.zarr", "city").load()
    assert site.sizes["point"] == 8
    assert site["ap"].to_numpy().tolist() == ["t001_tx000", "t001_tx001"]
    assert site["realisation_label"].to_numpy().tolist() == ["city"]
    assert site["ap_frequency"].to_numpy().tolist() == [28e9, 28e9]
    assert site["ap_position"].to_numpy().tolist() == [[[0, 2, 3], [1, 2, 3]]]
    position = np.concatenate([arrays["rx_pos", 0, rx_set] for rx_set in (0, 2)])
    assert np.array_equal(site["position"].to_numpy()[0], position)
    for tx in range(2):
        joined = {
            name: np.concatenate([arrays[name, tx, rx_set] for rx_set in (0, 2)]).astype(float)
            for name in ("power", "phase", "delay", "aoa_az", "inter")
        }
        gain = 10 ** (joined["power"] / 20) * np.exp(1j * np.deg2rad(joined["phase"]))
        found = site.isel(realisation=0, ap=tx)
        assert found["num_paths"].to_numpy().tolist() == np.isfinite(gain).sum(axis=1).tolist()
        # Strongest first, gaps closed.
        order = np.argsort(np.where(np.isnan(gain), np.inf, -joined["power"]), axis=1)
        ordered = np.nan_to_num(np.take_along_axis(gain, order, axis=1))
        assert found["path_gain"].to_numpy() == pytest.approx(ordered, rel=1e-6, abs=1e-12)
        delay = np.take_along_axis(joined["delay"], order, axis=1)
        assert np.array_equal(found["delay"], delay, equal_nan=True)
        azimuth = np.take_along_axis(joined["aoa_az"], order, axis=1)
        turns = (np.rad2deg(found["aoa_azimuth"].to_numpy()) - azimuth) / 360
        assert np.nanmax(np.abs(turns - np.round(turns))) < 1e-6
        assert np.nanmax(np.abs(found["aoa_azimuth"])) <= np.float32(np.pi)
        bits = {0: 0, 1: 1, 11: 1, 131: 3, 4: 4, 2: 8, 1111111168: 1}
        codes = np.nan_to_num(np.take_along_axis(joined["inter"], order, axis=1))
        assert np.array_equal(found["interactions"], [[bits[int(c)] for c in row] for row in codes])


def test_other_content_gives_another_site(tmp_path):
    arrays = foreign(tmp_path / "city")
    import_deepmimo(tmp_path / "city", tmp_path / "new.zarr", "city")
    louder = arrays["power", 1, 2] + np.float32(1)
    np.savez(tmp_path / "city" / "power_t001_tx001_r002.npz", power=louder)
    with pytest.raises(InputError, match=r"config\.content"):
        import_deepmimo(tmp_path / "city", tmp_path / "new.zarr", "city")
    import_deepmimo(tmp_path / "city", tmp_path / "new.zarr", "city", overwrite=True)


def test_every_file_is_read_forwards_once_a_pass(tmp_path, monkeypatch):
    write(tmp_path / "store.zarr", **ONE)
    folder = export_deepmimo(tmp_path / "store.zarr", SITE, tmp_path / "hall")
    snapshots = []
    real = deepmimo_import.Snapshot

    def counting(*args):
        snapshots.append(args)
        return real(*args)

    monkeypatch.setattr(deepmimo_import, "Snapshot", counting)
    import_deepmimo(folder, tmp_path / "new.zarr", SITE, shard_points=2)
    # Headers, check and import.
    assert len(snapshots) == 3


numbers = st.floats(-1.0, 1.0, width=32)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(numbers, numbers, st.floats(0, 1e-5)), min_size=1, max_size=6),
    st.floats(-1e8, 1e8),
)
def test_amplitudes_survive_decibels_and_degrees(links, first_subcarrier_hz):
    real, imaginary, delay = (np.array(part)[None] for part in zip(*links, strict=True))
    gain = (real + 1j * imaginary).astype(np.complex64)
    angle = np.linspace(0.1, 3, gain.size, dtype=np.float32)[None]
    names = ("aoa_azimuth", "aoa_zenith", "aod_azimuth", "aod_zenith")
    paths = {"path_gain": gain, "delay": delay, "interactions": np.full(gain.shape, 5, np.int32),
             **dict.fromkeys(names, angle)}  # fmt: skip
    matrices = to_matrices(paths, first_subcarrier_hz)
    assert (np.abs(matrices["phase"]) <= 180).all()
    found = to_paths(matrices, first_subcarrier_hz)
    # Numbers below the smallest normal one have no relative precision of their own.
    least = np.finfo(np.float32).smallest_normal
    assert np.abs(found["path_gain"] - gain).max() <= 1e-6 * np.abs(gain).max() + least
    assert np.array_equal(found["delay"], delay)
    assert np.array_equal(found["interactions"], paths["interactions"])
    for name in names:
        assert np.abs(found[name] - angle).max() < 5e-7


# --- Refusals


def faults_of(call):
    with pytest.raises(InputError) as refusal:
        call()
    return [str(fault) for fault in refusal.value.faults]


def test_exports_that_cannot_be_are_refused_at_once(tmp_path):
    write(tmp_path / "store.zarr", **ONE, variables=("csi",), ap_frequency_hz=(1e9, 2e9))
    (tmp_path / "Hall").write_text("mine")
    faults = faults_of(
        lambda: export_deepmimo(
            tmp_path / "store.zarr", SITE, tmp_path / "Hall", first_subcarrier_hz=np.inf
        )
    )
    text = "\n".join(faults)
    for expected in ("something is there", "small letters", "path_gain", "interactions",
                     "found 1e+09, 2e+09", "a finite number of hertz"):  # fmt: skip
        assert expected in text
    faults = faults_of(
        lambda: export_deepmimo(tmp_path / "store.zarr", SITE, tmp_path / "a", access_points=["x"])
    )
    assert "one of north, süd, found 'x'" in "\n".join(faults)
    assert (tmp_path / "Hall").read_text() == "mine"


def test_an_unknown_carrier_is_refused(tmp_path):
    write(tmp_path / "store.zarr", **ONE, ap_frequency_hz=())
    faults = faults_of(lambda: export_deepmimo(tmp_path / "store.zarr", SITE, tmp_path / "a"))
    assert [fault.partition(": ")[2] for fault in faults] == [
        "ap_frequency: expected one carrier [Hz], found none"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["store.zarr"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"version": "3.2"}, ["version: expected 4.x, found '3.2'"]),
        ({"rt_params": {}, "scene": {}}, ["rt_params.frequency", "scene.num_scenes"]),
        ({"rt_params": {"frequency": -1}}, ["a carrier [Hz]"]),
        ({"scene": {"num_scenes": 3}}, ["3 folders of scenes, found 0 folders"]),
        ({"txrx_sets": {}}, ["a transmitter", "a set of receivers"]),
        (
            {"txrx_sets": {"txrx_set_0": {"name": "BS", "id": 1, "is_tx": True, "is_rx": False,
                                          "num_points": 1, "num_ant": 4}}},
            ["one antenna a point, found num_ant 4", "a set of receivers"],
        ),
        (
            {"fingertwin": {"format": "fingertwin/deepmimo@9", "title": "", "digest": "",
                            "realisations": [], "access_points": [], "ap_orientation_rad": [],
                            "ap_power_dbm": [], "first_subcarrier_hz": 0.0}},
            ["'fingertwin/deepmimo@9'"],
        ),
        (
            {"fingertwin": {"format": "fingertwin/deepmimo@1", "title": "", "digest": "",
                            "realisations": [], "access_points": ["a"],
                            "ap_orientation_rad": [[]], "ap_power_dbm": [1.0],
                            "first_subcarrier_hz": 0.0}},
            ["realisations", "access_points", "ap_power_dbm", "ap_orientation_rad"],
        ),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_imported_are_refused(tmp_path, changes, expected):
    foreign(tmp_path / "city", **changes)
    faults = faults_of(lambda: import_deepmimo(tmp_path / "city", tmp_path / "new.zarr", "city"))
    assert len(faults) == len(expected)
    for part, fault in zip(expected, faults, strict=True):
        assert part in fault
    assert not (tmp_path / "new.zarr").exists()


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_folder_without_parameters_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "params.json").write_text(content)
    assert len(faults_of(lambda: import_deepmimo(tmp_path, tmp_path / "new.zarr", "city"))) == 1


def test_files_that_are_missing_damaged_or_misshapen_are_all_named(tmp_path):
    arrays = foreign(tmp_path / "city")
    folder = tmp_path / "city"
    (folder / "delay_t001_tx000_r000.npz").unlink()
    (folder / "phase_t001_tx001_r002.npz").write_bytes(b"PK no archive")
    np.savez(folder / "inter_t001_tx001_r002.npz", other=np.zeros(3))
    faults = faults_of(lambda: import_deepmimo(folder, tmp_path / "new.zarr", "city"))
    assert len(faults) == 3
    assert "delay_t001_tx000_r000.npz: expected a matrix as .npz, found nothing there" in faults[0]
    assert "phase_t001_tx001_r002.npz: expected an .npz archive, whole" in faults[1]
    assert "numbers under 'inter', found other" in faults[2]
    foreign(tmp_path / "town")
    short = arrays["aoa_el", 0, 0][:, :-1]
    np.savez(tmp_path / "town" / "aoa_el_t001_tx000_r000.npz", aoa_el=short)
    np.savez(tmp_path / "town" / "tx_pos_t001_tx001_r002.npz", tx_pos=np.zeros((2, 3)))
    faults = faults_of(lambda: import_deepmimo(tmp_path / "town", tmp_path / "new.zarr", "town"))
    assert "shape: expected (5, 4), found (5, 3)" in faults[0]
    assert not (tmp_path / "new.zarr").exists()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("power", np.inf, "less than infinite [dB], found inf at path 1 (1 in a block)"),
        ("phase", np.nan, "a phase [degree], found nan"),
        ("delay", -1e-9, "a delay [s], not negative"),
        ("aoa_az", 1000.0, "an azimuth [degree], found 1000.0"),
        ("aod_el", -30.0, "a zenith angle from 0 to 180 [degree], found -30.0"),
        ("inter", 15.0, "digits from 0 to 4, found 15.0"),
        ("inter", np.nan, "digits from 0 to 4, found nan"),
    ],
)
def test_numbers_out_of_range_are_named_with_their_place(tmp_path, name, value, expected):
    arrays = foreign(tmp_path / "city")
    for key in PATH_MATRICES:
        good = arrays[key, 0, 0].copy()
        # A path where before there may have been none.
        good[3, 1] = value if key == name else 1.0
        np.savez(tmp_path / "city" / f"{key}_t001_tx000_r000.npz", **{key: good})
    faults = faults_of(lambda: import_deepmimo(tmp_path / "city", tmp_path / "new.zarr", "city"))
    assert len(faults) == 1
    assert expected in faults[0]
    assert f"{name}_t001_tx000_r000.npz" in faults[0]
    assert not (tmp_path / "new.zarr").exists()


def test_receivers_that_move_between_transmitters_are_refused(tmp_path):
    arrays = foreign(tmp_path / "city")
    moved = arrays["rx_pos", 1, 2] + 1
    np.savez(tmp_path / "city" / "rx_pos_t001_tx001_r002.npz", rx_pos=moved)
    unknown = np.full((5, 3), np.nan)
    for tx in range(2):
        np.savez(tmp_path / "city" / f"rx_pos_t001_tx{tx:03d}_r000.npz", rx_pos=unknown)
    faults = faults_of(lambda: import_deepmimo(tmp_path / "city", tmp_path / "new.zarr", "city"))
    assert "the positions that the first transmitter's file has" in "\n".join(faults)
    assert "NaN for a receiver without paths" in "\n".join(faults)
