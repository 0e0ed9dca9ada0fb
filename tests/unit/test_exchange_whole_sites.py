"""Whole sites as NPZ and HDF5 files and back."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from tests.unit.path_sites import DETAILS, PATHS_AND_CSI, SITE, make_spec, write
from twin.errors import InputError, StoreError
from twin.store.exchange import whole_sites
from twin.store.exchange.hdf5 import export_hdf5, import_hdf5
from twin.store.exchange.npz import export_npz, import_npz
from twin.store.location import storage
from twin.store.reader import open_site
from twin.store.schema import SEARCH_VARIABLES, VARIABLES
from twin.store.writer import create_site

EVERYTHING = PATHS_AND_CSI + DETAILS + SEARCH_VARIABLES


@dataclass(frozen=True)
class Form:
    """One of the two formats."""

    suffix: str
    export: Any
    restore: Any


FORMS = {"npz": Form(".npz", export_npz, import_npz), "hdf5": Form(".h5", export_hdf5, import_hdf5)}


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store whose site has everything, and its digest."""
    store = tmp_path_factory.mktemp("whole") / "store.zarr"
    return store, write(store, variables=EVERYTHING, rx_antennas=2, ap_antennas=3)[1]


def attributes(store, site):
    return zarr.open_group(store / site, mode="r").attrs.asdict()


def test_a_round_trip_is_exact(whole, form, tmp_path):
    store, digest = whole
    file = tmp_path / f"site{form.suffix}"
    assert form.export(store, SITE, file) == file
    assert form.restore(file, tmp_path / "new.zarr", "copy") == digest
    old, new = open_site(store, SITE).load(), open_site(tmp_path / "new.zarr", "copy").load()
    assert set(old) == set(new)
    for name in set(old.variables) - {"receipt"}:
        assert old[name].dtype == new[name].dtype
        assert old[name].attrs == new[name].attrs
        assert np.array_equal(old[name], new[name], equal_nan=old[name].dtype.kind in "fcM")
    provenance = attributes(tmp_path / "new.zarr", "copy")["provenance"][0]
    assert provenance["imported"]["digest"] == digest
    assert provenance["imported"]["file"] == file.name
    assert provenance["provenance"] == attributes(store, SITE)["provenance"]
    # Nothing but the file is left where it was written.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.zarr", file.name]


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "int16"},
        {"precision": "float16"},
        {"layout": "compact", "shard_points": 256},
        {"variables": ("rss",), "ap_position_m": (), "ap_orientation_rad": (), "drawn": ()},
        {"ap_frequency_hz": (), "ap_power_dbm": (), "visits": 3, "points": 5, "shard_points": 3},
    ],
    ids=str,
)
def test_every_kind_of_site_comes_back(changes, form, tmp_path):
    _, digest = write(tmp_path / "store.zarr", **changes)
    form.export(tmp_path / "store.zarr", SITE, tmp_path / f"a{form.suffix}")
    restored = form.restore(tmp_path / f"a{form.suffix}", f"icechunk:{tmp_path / 'new'}", SITE)
    assert restored == digest


def test_what_the_tracer_said_comes_along(form, tmp_path):
    write(tmp_path / "store.zarr")
    said = {"engine": "mirrors", "trace_max_depth": 3}
    group = zarr.open_group(tmp_path / "store.zarr" / SITE, mode="r+")
    group.update_attributes({"traced": said})
    form.export(tmp_path / "store.zarr", SITE, tmp_path / f"a{form.suffix}")
    form.restore(tmp_path / f"a{form.suffix}", tmp_path / "new.zarr", SITE)
    assert attributes(tmp_path / "new.zarr", SITE)["traced"] == said


def test_equal_sites_give_equal_npz_files(whole, tmp_path):
    export_npz(whole[0], SITE, tmp_path / "a.npz")
    export_npz(whole[0], SITE, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_numpy_opens_the_npz(whole, tmp_path):
    stored = open_site(whole[0], SITE)
    with np.load(export_npz(whole[0], SITE, tmp_path / "a.npz"), allow_pickle=False) as arrays:
        assert np.array_equal(arrays["csi"], stored["csi"], equal_nan=True)
        assert arrays["csi"].dtype == np.complex64
        assert arrays["ap"].tolist() == ["north", "süd"]
        record = json.loads(str(arrays["attributes"]))
    assert record["spec"]["title"] == "hall"
    assert set(record["digests"]) == set(stored.variables) - {"receipt"}


def test_h5py_finds_types_units_and_scales(whole, tmp_path):
    stored = open_site(whole[0], SITE)
    with h5py.File(export_hdf5(whole[0], SITE, tmp_path / "a.h5"), "r") as file:
        csi = file["csi"]
        assert csi.dtype == np.complex64
        assert np.array_equal(csi[...], stored["csi"], equal_nan=True)
        assert [dim.label for dim in csi.dims] == list(VARIABLES["csi"].dims)
        assert csi.dims[2][0].asstr()[...].tolist() == ["north", "süd"]
        assert csi.dims[5][0][...].tolist() == stored["subcarrier"].to_numpy().tolist()
        assert csi.dims[0][0].asstr()[...].tolist() == ["as planned", "moved"]
        assert file["position"].attrs["units"] == "m"
        assert file["interactions"].attrs["flag_masks"].tolist() == [1, 2, 4, 8]
        assert file.attrs["licence"] == "CC-BY-4.0"


def test_memory_is_bounded_by_a_block(form, tmp_path):
    _, digest = write(
        tmp_path / "store.zarr",
        points=2880,
        shard_points=64,
        subcarriers=256,
        realisations=("one",),
        variables=("csi",),
        ap_position_m=(),
        ap_orientation_rad=(),
        drawn=(),
    )
    size = open_site(tmp_path / "store.zarr", SITE)["csi"].nbytes
    file = tmp_path / f"a{form.suffix}"
    tracemalloc.start()
    form.export(tmp_path / "store.zarr", SITE, file)
    assert form.restore(file, tmp_path / "new.zarr", SITE) == digest
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 2


def test_a_taken_target_is_left_alone(whole, form, tmp_path):
    file = tmp_path / f"a{form.suffix}"
    file.write_text("mine")
    with pytest.raises(InputError, match="something is there"):
        form.export(whole[0], SITE, file)
    assert file.read_text() == "mine"


@pytest.mark.parametrize(("name", "message"), [("a.zip", "a name that ends in"), ("no/a", "name")])
def test_targets_that_cannot_be_are_refused(whole, form, tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        form.export(whole[0], SITE, tmp_path / name)
    with pytest.raises(InputError, match="a folder to write into"):
        form.export(whole[0], SITE, tmp_path / "no" / f"a{form.suffix}")
    assert not list(tmp_path.iterdir())


def test_unknown_and_unfinished_sites_are_refused(whole, form, tmp_path):
    with pytest.raises(InputError, match="cellar"):
        form.export(whole[0], "cellar", tmp_path / f"a{form.suffix}")
    create_site(tmp_path / "store.zarr", SITE, make_spec())
    with pytest.raises(StoreError, match="jobs are missing"):
        form.export(tmp_path / "store.zarr", SITE, tmp_path / f"a{form.suffix}")
    assert [path.name for path in tmp_path.iterdir()] == ["store.zarr"]


def test_a_failure_on_the_way_leaves_nothing(whole, form, tmp_path, monkeypatch):
    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"twin.store.exchange.{form.export.__module__.rpartition('.')[2]}"
                        ".site_record", fail)  # fmt: skip
    with pytest.raises(StoreError, match="No space left"):
        form.export(whole[0], SITE, tmp_path / f"a{form.suffix}")
    assert not list(tmp_path.iterdir())


def damaged(form, tmp_path, whole, change):
    """A file whose arrays `change` has been at, with the record as it was."""
    file = tmp_path / f"a{form.suffix}"
    form.export(whole[0], SITE, file)
    if form.suffix == ".npz":
        with np.load(file) as arrays:
            content = dict(arrays)
        change(content)
        np.savez(file, **content)
    else:
        with h5py.File(file, "r+") as opened:
            content = {name: item[...] for name, item in opened.items() if item.dtype.kind != "O"}
            before = dict(content)
            change(content)
            for name in before.keys() - content.keys():
                del opened[name]
            for name, array in content.items():
                if name not in before or array is not before[name]:
                    if name in opened:
                        del opened[name]
                    opened[name] = array
    return file


def refused(form, file, tmp_path):
    with pytest.raises(InputError) as refusal:
        form.restore(file, tmp_path / "new.zarr", SITE)
    assert not (tmp_path / "new.zarr").exists()
    return refusal.value.faults


def test_arrays_that_do_not_fit_the_spec_are_all_named(whole, form, tmp_path):
    def change(arrays):
        del arrays["delay"]
        arrays["rss"] = arrays["rss"][:, :-1].copy()
        arrays["los"] = arrays["los"].astype(np.int16)
        arrays["colour"] = np.zeros(3)

    faults = refused(form, damaged(form, tmp_path, whole, change), tmp_path)
    assert [fault.key for fault in faults] == ["delay", "colour", "los", "rss"]
    assert faults[3].found == "float32 of shape (2, 10, 3, 2)"


def test_changed_content_is_named(whole, form, tmp_path):
    def change(arrays):
        arrays["csi"] = arrays["csi"] + np.float32(1e-6)
        position = arrays["ap_position"].copy()
        position[0, 0, 0] += 1
        arrays["ap_position"] = position

    faults = refused(form, damaged(form, tmp_path, whole, change), tmp_path)
    assert [fault.key for fault in faults] == ["ap_position", "csi"]
    assert "export it anew" in str(faults[0])


def test_a_flipped_byte_is_found(whole, form, tmp_path):
    file = form.export(whole[0], SITE, tmp_path / f"a{form.suffix}")
    stored = open_site(whole[0], SITE)["csi"].to_numpy()[0, 0].tobytes()
    content = bytearray(file.read_bytes())
    content[content.index(stored) + 5] ^= 4
    file.write_bytes(content)
    faults = refused(form, file, tmp_path)
    assert "csi" in str(faults[0])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused(whole, form, tmp_path, share):
    file = form.export(whole[0], SITE, tmp_path / f"a{form.suffix}")
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    faults = refused(form, file, tmp_path)
    assert "whole" in faults[0].expected


def test_foreign_files_are_refused(form, tmp_path):
    file = tmp_path / f"a{form.suffix}"
    if form.suffix == ".npz":
        np.savez(file, csi=np.zeros(3))
    else:
        with h5py.File(file, "w") as opened:
            opened["csi"] = np.zeros(3)
    assert "exported by this program" in str(refused(form, file, tmp_path)[0])
    file.unlink()
    assert "whole" in refused(form, file, tmp_path)[0].expected


def test_python_objects_are_not_read(tmp_path):
    np.savez(tmp_path / "a.npz", attributes=np.array([{}], dtype=object))
    assert "Python objects" in str(refused(FORMS["npz"], tmp_path / "a.npz", tmp_path)[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "a record in JSON"),
        ("[]", "format: expected 'fingertwin/site-file@1', found None"),
        ('{"format": "fingertwin/site-file@9"}', "found 'fingertwin/site-file@9'"),
        (
            '{"format": "fingertwin/site-file@1", "store_schema": "fingertwin/store@2"}',
            "Field required",
        ),
    ],
)
def test_records_of_another_kind_are_refused(form, tmp_path, text, message):
    file = tmp_path / f"a{form.suffix}"
    if form.suffix == ".npz":
        np.savez(file, attributes=np.array(text))
    else:
        with h5py.File(file, "w") as opened:
            opened["attributes"] = text
    assert message in "\n".join(map(str, refused(form, file, tmp_path)))


def test_another_spec_under_the_name_is_overwritten_only_when_asked(whole, form, tmp_path):
    file = form.export(whole[0], SITE, tmp_path / f"a{form.suffix}")
    write(tmp_path / "store.zarr")
    with pytest.raises(InputError, match="in the store"):
        form.restore(file, tmp_path / "store.zarr", SITE)
    assert form.restore(file, tmp_path / "store.zarr", SITE, overwrite=True) == whole[1]


def test_an_import_that_was_cut_short_goes_on(whole, form, tmp_path, monkeypatch):
    file = form.export(whole[0], SITE, tmp_path / f"a{form.suffix}")
    done = []
    real = whole_sites.write_shard

    def stop_after_two(*args):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(args[2:4])
        return real(*args)

    with monkeypatch.context() as patched:
        patched.setattr(whole_sites, "write_shard", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            form.restore(file, tmp_path / "new.zarr", SITE)
    again = []
    monkeypatch.setattr(
        whole_sites, "write_shard", lambda *args: again.append(args[2:4]) or real(*args)
    )
    assert form.restore(file, tmp_path / "new.zarr", SITE) == whole[1]
    assert len(again) == 4
    assert not [job for job in again if job in done]


def test_a_truncated_member_of_a_whole_archive_is_found(whole, tmp_path):
    file = export_npz(whole[0], SITE, tmp_path / "a.npz")
    with zipfile.ZipFile(file) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["delay.npy"] = members["delay.npy"][:-8]
    members["toa.npy"] += b"more"
    with zipfile.ZipFile(file, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    assert "delay ends after" in str(refused(FORMS["npz"], file, tmp_path)[0])
    assert storage(tmp_path / "new.zarr").names() == ()
