"""What the schema forbids is found, named and counted; what it allows is left alone."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr

from tests.unit.whole_store import ABSENT, SITE, VARIABLES, spec_of, whole_block, write
from twin.errors import InputError
from twin.store import pieces
from twin.store.layout import jobs_of
from twin.store.template import template
from twin.store.validate import FAULTS_A_VARIABLE, validate
from twin.store.writer import create_site, write_shard

SILENT = 2
NAN = np.nan


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "store.zarr"
    write(path)
    return path


@pytest.fixture
def store(written, tmp_path):
    """A copy to damage."""
    return shutil.copytree(written, tmp_path / "store.zarr")


def put(store, name, cells, value):
    """Write behind the writer's back."""
    zarr.open_group(store, path=SITE, mode="r+", zarr_format=3)[name][cells] = value


def found(store):
    return [(fault.key, fault.expected, fault.found) for fault in validate(store)]


@pytest.mark.parametrize(
    "changes",
    [
        {"layout": "compact"},
        {"precision": "float16", "layout": "compact", "shard_points": 11},
        {"variables": ("rss", "path_gain"), "shard_points": 11},
        {"rx_antennas": 2, "ap_antennas": 3, "shard_points": 11},
    ],
)
def test_what_the_writer_writes_has_no_faults(tmp_path, changes):
    write(tmp_path / "store.zarr", **changes)
    assert validate(tmp_path / "store.zarr") == []


def test_versioned_store_has_no_faults(tmp_path):
    write(f"icechunk:{tmp_path}/store", shard_points=11)
    assert validate(f"icechunk:{tmp_path}/store") == []


BAD_CELLS = [
    ("position", (0, 5, 1), NAN, "a finite number", "nan at point 5, xyz 1"),
    ("position", (1, ABSENT), 0.0, "NaN at a point that is absent (status 3)", "0 at point 4, xyz"),
    ("csi", (0, 9, 1, 0, 0, 3), complex(np.inf, 0), "a finite number", "inf"),
    ("csi", (1, ABSENT), 1.0, "NaN at a point that is absent (status 3)", "1+0j at point 4"),
    ("rss", (0, 3, 1, 1), np.inf, "a finite number or NaN", "inf at point 3, snapshot 1, ap süd"),
    ("rss", (0, 3, 1, 1), 100.0, "dBm between -200 and 60, or NaN for not heard", "100 at point 3"),
    ("rss", (0, 3, 1, 1), -999.0, "dBm between -200 and 60, or NaN for not heard", "-999"),
    ("rss", (0, SILENT, 0, 1), -50.0, "NaN where nothing is heard (status 2)", "-50 at point 2"),
    ("rtt", (0, 0, 0, 1), 5e7, "metres between -1000 and 1000000, or NaN for not heard", "5e+07"),
    ("received_power", (0, 0, 1), 70.0, "dBm up to 60", "70 at point 0, ap süd"),
    ("los", (1, 0, 0), 7, "one of -1, 0, 1", "7 at point 0, ap north"),
    ("split", (0, 0), 5, "one of 0, 1, 2", "5 at point 0"),
    ("status", (0, 0), 9, "one of 0, 1, 2, 3", "9 at point 0"),
    ("status", (0, 10), 0, "done, no_path or absent in a finished job", "0 at point 10"),
    ("interactions", (0, 0, 0, 0), 16, "a sum of the flags 1, 2, 4, 8", "16 at point 0"),
    ("aoa_zenith", (0, 0, 0, 0), 90.0, "radians between 0 and pi", "90 at point 0"),
    ("aod_azimuth", (0, 0, 0, 0), -180.0, "radians within one turn", "-180 at point 0"),
    ("aod_azimuth", (0, SILENT, 1, 0), 1.0, "NaN beyond the last path", "1 at point 2"),
    ("delay", (0, 0, 0, 0), -1e-9, "zero or more", "-1e-09 at point 0"),
    ("delay", (0, SILENT, 0, 0), 1e-8, "no path where the point has none (status 2)", "a path at"),
    ("delay", (0, SILENT, 1, 3), 1e-8, "NaN only beyond the last path", "1e-08 at point 2, ap süd"),
    ("num_paths", (1, 7, 1), 99, "the number of finite delays of the link", "99 at point 7"),
    ("path_gain", (0, SILENT, 0, 5), 1e-9, "zero beyond the last path", "1e-09+0j at point 2"),
    ("path_gain", (0, 0, 0, 1), 1.0, "paths by falling power, ties by delay", "a stronger, or"),
    ("toa", (0, 0, 0), 1.0, "no later than the first path kept", "1 at point 0, ap north"),
    ("toa", (0, 0, 0), NAN, "no later than the first path kept", "nan at point 0, ap north"),
    ("power_left_out", (0, 0, 0), -1.0, "zero or more", "-1 at point 0"),
    ("power_left_out", (0, 0, 0), NAN, "a finite number", "nan at point 0"),
    ("trajectory", (0, 0), -2, "-1 (none) or the number of a walk", "-2 at point 0"),
    ("time", (0, 6), 41.0, "no earlier than the point before it on the same walk", "41 at point 6"),
    ("new_share_reflections", (1, 0, 1), 1.5, "a share between 0 and 1", "1.5 at ap süd"),
    ("rounds_reflections", (1, 0, 1), -1, "zero or more", "-1 at ap süd"),
]  # fmt: skip


def rounds():
    """The cases in few rounds, no variable twice in one, so that a store is checked for many."""
    found = []
    for case in BAD_CELLS:
        free = (group for group in found if case[0] not in {name for name, *_ in group})
        group = next(free, None)
        if group is None:
            found.append([case])
        else:
            group.append(case)
    return found


@pytest.mark.parametrize("cases", rounds())
def test_values_that_cannot_be_are_named(store, cases):
    for name, cells, value, *_ in cases:
        put(store, name, cells, value)
    faults = validate(store)
    assert {fault.where for fault in faults} == {f"{store}/{SITE}"}
    for name, cells, _, expected, text in cases:
        realisation, start = cells[0], cells[1] // 4 * 4
        key = f"{name}, realisation {realisation}, points {start}:{min(start + 4, 11)}"
        if name.endswith("reflections"):
            key = f"{name}, realisation {realisation}, points 0:4"
        matching = [
            fault.found for fault in faults if (fault.key, fault.expected) == (key, expected)
        ]
        assert len(matching) == 1, name
        assert text in matching[0]


def test_time_is_followed_from_one_block_to_the_next(store):
    # Points 5 to 9 are one walk; block 2 starts with its point 8.
    put(store, "time", (0, 8), 65.0)
    ((key, _, text),) = found(store)
    assert key == "time, realisation 0, points 8:11"
    assert text == "65 at point 8"


def test_walks_may_start_over_and_stand_still(store):
    put(store, "time", (0, slice(5, 10)), [0.0, 0.0, NAN, 0.0, 3.0])
    assert found(store) == []


def test_labels_and_ranges_that_are_odd_but_possible_are_left_alone(store):
    put(store, "floor", (0, 0), -3)
    put(store, "rtt", (0, 0, 0, 1), -4.0)
    put(store, "rss", (0, 0, 0, 1), 20.0)
    put(store, "split", (1, ABSENT), 1)
    put(store, "path_gain", (1, ABSENT), complex(NAN, NAN))
    assert found(store) == []


@pytest.mark.parametrize(("precision", "name"), [("int16", "csi_nmse"), ("float16", "csi_scale")])
def test_packed_channels_are_checked(tmp_path, precision, name):
    store = tmp_path / "store.zarr"
    write(store, precision=precision, variables=("csi",), shard_points=11)
    put(store, name, (0, 0, 0), -0.5)
    put(store, name, (0, 9, 0), NAN)
    assert {(expected, text) for _, expected, text in found(store)} == {
        ("zero or more", "-0.5 at point 0, ap north"),
        ("a finite number", "nan at point 9, ap north"),
    }


def test_all_faults_are_told_at_once_and_counted(store):
    put(store, "rss", (slice(None), slice(0, 3)), 99.0)
    put(store, "los", (0, 1), 4)
    put(store, "position", (0, 0, 2), NAN)
    told = {key.partition(",")[0]: text for key, _, text in found(store)}
    assert set(told) == {"rss", "los", "position"}
    assert told["los"] == "4 at point 1, ap north (and 1 more cells of these points)"


def test_many_faults_of_one_variable_are_cut_short(tmp_path):
    store = tmp_path / "store.zarr"
    write(store, shard_points=1, variables=("rss",))
    put(store, "rss", (Ellipsis,), 99.0)
    told = found(store)
    # Each of 22 blocks is out of range, and in three of them nothing may be heard at all.
    assert len(told) == FAULTS_A_VARIABLE + 1
    assert told[-1] == ("rss", "no further fault", "5 more")


def test_pieces_do_not_change_what_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("twin.store.template.FAST_CHUNK_BYTES", 1)
    store = tmp_path / "store.zarr"
    write(store, variables=("time", "trajectory", "delay", "num_paths"))
    put(store, "time", (0, 7), 45.0)
    put(store, "num_paths", (1, 6, 1), 9)
    whole = found(store)
    sizes = set()
    read = pieces.SitePieces.read

    def watched(self, name, realisation, points):
        sizes.add((name, points.stop - points.start))
        return read(self, name, realisation, points)

    monkeypatch.setattr(pieces.SitePieces, "read", watched)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1)
    cut = found(store)
    assert {size for name, size in sizes if name != "status"} == {1}
    assert [(expected, text) for _, expected, text in cut] == [
        (expected, text) for _, expected, text in whole
    ]
    assert [key for key, *_ in cut] == [
        "time, realisation 0, points 7:8",
        "num_paths, realisation 1, points 6:7",
    ]


@pytest.mark.parametrize("limit", [1, 100, 10_000_000])
def test_cut_covers_all_points_in_pieces_that_fit(monkeypatch, limit):
    monkeypatch.setattr(pieces, "PIECE_BYTES", limit)
    spec = spec_of(points=1000, shard_points=64, subcarriers=100_000)
    arrays = template(spec)
    parts = list(pieces.cut(arrays, 64, 128, ["csi", "status"]))
    assert [part.start for part in parts] == [64, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == 128
    # A row of csi has 1.6 MB; a chunk is read whole, whatever the limit.
    chunk = arrays["csi"].chunks[1]
    wanted = max(chunk, limit // 1_600_001 // chunk * chunk)
    assert max(part.stop - part.start for part in parts) == wanted


def test_unfinished_site_is_judged_by_what_is_done(tmp_path):
    store = tmp_path / "store.zarr"
    spec = spec_of()
    create_site(store, SITE, spec)
    assert validate(store) == []
    block, jobs = whole_block(spec), jobs_of(spec)
    for job in jobs[:2]:
        write_shard(store, SITE, job.realisation, job.points, block(job), spec.digest)
    assert validate(store) == []
    put(store, "los", (0, 5, 1), 3)
    put(store, "los", (1, 5, 1), 3)
    assert [key for key, *_ in found(store)] == ["los, realisation 0, points 4:8"]


def test_places_that_are_no_store_are_refused(tmp_path):
    with pytest.raises(InputError, match="nothing there"):
        validate(tmp_path)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="does not open as a Zarr v3 group"):
        validate(tmp_path)
    with pytest.raises(InputError, match="found a file"):
        validate(tmp_path / "letter.txt")


def test_foreign_zarr_and_unknown_version_are_faults(tmp_path):
    zarr.create_group(tmp_path / "foreign", zarr_format=3)
    (fault,) = validate(tmp_path / "foreign")
    assert fault.found == "a Zarr group without the attribute 'schema'"
    newer = {"schema": "fingertwin/store@99"}
    zarr.create_group(tmp_path / "newer", zarr_format=3, attributes=newer)
    (fault,) = validate(tmp_path / "newer")
    assert (fault.key, fault.found) == ("schema", "'fingertwin/store@99'")


def test_strangers_in_the_store_are_named(store):
    root = zarr.open_group(store, mode="r+")
    root.create_group("notes").create_array("mine", shape=(2,), dtype="int8")
    root.create_array("loose", shape=(2,), dtype="int8")
    zarr.create_group(store, path="half")
    (store / "README.md").write_text("read me")
    (store / SITE / "zarr.json").touch()
    told = {fault.key: fault.found for fault in validate(store)}
    assert told.keys() == {"README.md", "half", "loose", "notes"}
    assert told["notes"] == "a group that is no site"
    assert told["half"] == "a group that was never laid out whole"
    assert "metadata cannot be read" in told["loose"]


def test_damaged_metadata_is_named_and_other_sites_are_still_read(store):
    write(store, site="annex", variables=("los",))
    path = store / SITE / "zarr.json"
    path.write_text(path.read_text().replace('\\"points\\":11', '\\"points\\":12'))
    put_los = zarr.open_group(store, path="annex", mode="r+")["los"]
    put_los[0, 0, 0] = 9
    first, second = validate(store)
    assert first.key.startswith("los") or second.key.startswith("los")
    damaged = second if first.key.startswith("los") else first
    assert damaged.where == f"{store}/{SITE}"
    assert "digest recorded beside it" in damaged.found


def test_attributes_that_do_not_fit_are_named(store):
    changes = {
        "licence": "none",
        "colour": "red",
        "published": "yes",
        "provenance": {"engine": "none"},
        "traced": ["this"],
    }
    zarr.open_group(store, path=SITE, mode="r+").update_attributes(changes)
    assert {fault.key for fault in validate(store)} == {f"attribute {key}" for key in changes}


def test_published_site_needs_a_digest(store):
    zarr.open_group(store, path=SITE, mode="r+").update_attributes({"digest": 7})
    assert found(store) == [("attribute digest", "that of the content", "7")]


def test_arrays_that_do_not_fit_are_named_and_the_others_still_read(store):
    group = zarr.open_group(store, path=SITE, mode="r+")
    group.create_array("rss", shape=(2, 11, 3), dtype="float64", chunks=(1, 4, 3), overwrite=True)
    group["toa"].update_attributes({"units": "ns"})
    group.create_array("mine", shape=(2,), dtype="int8")
    shutil.rmtree(store / SITE / "rtt")
    put(store, "los", (0, 0, 0), 9)
    put(store, "toa", (0, 0, 0), -1.0)
    keys = [fault.key for fault in validate(store)]
    assert {"rss, dtype", "rss, shape", "toa, attributes", "mine", "rtt"} < set(keys)
    assert "los, realisation 0, points 0:4" in keys
    assert "toa, realisation 0, points 0:4" in keys


def test_values_that_no_job_writes_are_compared_with_the_spec(store):
    put(store, "ap_position", (1, 0, 2), 3.0)
    put(store, "drawn", (0, 0), NAN)
    put(store, "ap", (1,), "south")
    told = {fault.key: (fault.expected, fault.found) for fault in validate(store)}
    assert told == {
        "ap_position, realisation 1 (moved), ap north, xyz 2": (
            "2.5 as in the spec",
            "3 (1 cells)",
        ),
        "drawn, realisation 0 (as planned), drawn_quantity 0": (
            "1 as in the spec",
            "nan (1 cells)",
        ),
        "ap, ap süd": ("süd as in the spec", "south (1 cells)"),
    }


def test_receipts_are_counted_and_read(store):
    receipts = zarr.open_group(store, path=SITE, mode="r+")["receipt"]
    receipts[0, 1] = ""
    receipts[1, 2] = json.dumps({"job": "mine"})
    first, second = validate(store)
    assert first.key == "receipt"
    assert first.found == "2 jobs without a valid one (r0000-p0001, r0001-p0002)"
    assert second.key == "receipt, realisation 1, points 8:11"
    assert second.found == '{"job": "mine"}'


def test_lost_and_broken_files_are_named_once(tmp_path):
    store = tmp_path / "store.zarr"
    write(store, layout="compact", variables=("rss", "delay"))
    (store / SITE / "delay" / "c" / "0" / "1" / "0" / "0").unlink()
    (store / SITE / "rss" / "c" / "1" / "0" / "0" / "0").write_bytes(b"not a chunk")
    (store / SITE / "status" / "c" / "1" / "2").unlink()
    told = found(store)
    assert [key for key, *_ in told] == [
        "status, realisation 1, points 8:11",
        "delay, realisation 0, points 4:8",
        "rss, realisation 1, points 0:4",
    ]
    assert told[1][2] == "no file hall/delay/c/0/1/0/0"
    assert told[2][2].startswith(("RuntimeError", "ValueError"))


def test_every_variable_of_the_site_is_read(store, monkeypatch):
    names = set()
    read = pieces.SitePieces.read

    def watched(self, name, realisation, points):
        names.add(name)
        return read(self, name, realisation, points)

    monkeypatch.setattr(pieces.SitePieces, "read", watched)
    validate(store)
    searched = {name for name in VARIABLES if name.endswith("reflections")}
    assert names == {"position", "status", *VARIABLES} - searched
