"""What differs between two stores is named and measured; what does not is not read twice."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

from tests.unit.whole_store import SITE, spec_of, whole_block, write
from twin.errors import InputError, StoreError
from twin.store import pieces
from twin.store.diff import diff
from twin.store.differences import entries
from twin.store.layout import jobs_of
from twin.store.reader import open_site
from twin.store.writer import create_site, note_traced, write_shard

SMALL = ("csi", "delay", "aoa_azimuth", "rss", "los", "rounds_reflections")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("left") / "store.zarr"
    write(path, variables=SMALL)
    return path


def site_of(found):
    (site,) = found.sites
    return site


def variables(found):
    return {variable.name: variable for variable in site_of(found).variables}


def test_a_store_is_equal_to_itself_without_reading_it(store, monkeypatch):
    monkeypatch.setattr(pieces.SitePieces, "read", None)
    found = diff(store, store)
    assert found.equal
    assert found.same_content
    csi = variables(found)["csi"]
    assert (csi.cells, csi.differing, csi.blocks, csi.blocks_by_digest) == (
        2 * 11 * 2 * 12,
        0,
        6,
        6,
    )
    text = found.to_text()
    assert "Equal: settings and content." in text
    assert "48 of 48 blocks were not read: the receipts of both sides have one digest" in text


def test_reading_everything_gives_the_same_verdict(store):
    found = diff(store, store, read_all=True)
    assert found.equal
    assert variables(found)["csi"].blocks_by_digest == 0
    assert variables(found)["rss"].cells == 2 * 11 * 3 * 2


def test_digests_are_trusted_and_reading_is_not(store, tmp_path):
    other = tmp_path / "other.zarr"
    write(other, variables=SMALL)
    file = other / SITE / "delay" / "c" / "1" / "0" / "0" / "0"
    file.unlink()
    assert diff(store, other).equal
    with pytest.raises(StoreError, match=r"delay: expected data that can be read, found no file"):
        diff(store, other, read_all=True)


def changed(job, dataset):
    if (job.realisation, job.start) == (1, 4):
        dataset["csi"][3, 1, 0, 0, 5] += 0.5
        dataset["rss"][1, 0, 1] += 2.0
        dataset["rss"][1, 2, 1] = np.nan
        dataset["los"][1, 0] = 1 - dataset["los"][1, 0]
        dataset["aoa_azimuth"][1, 0, 0] = -np.pi + 0.01
    return dataset


def test_one_value_is_named_and_measured(tmp_path, store):
    other = tmp_path / "other.zarr"
    write(other, variables=SMALL, change=changed)
    found = diff(store, other)
    assert not found.same_content
    told = variables(found)
    assert {name for name, variable in told.items() if not variable.equal} == {
        "csi",
        "rss",
        "los",
        "aoa_azimuth",
    }
    csi = told["csi"]
    assert (csi.cells, csi.differing, csi.blocks_by_digest) == (528, 1, 5)
    # Of the block's points one is absent.
    read = 3 * 2 * 12
    np.testing.assert_allclose(csi.largest_absolute, 0.5, rtol=1e-6)
    np.testing.assert_allclose(csi.rms, 0.5 / np.sqrt(read), rtol=1e-6)
    assert csi.first.startswith("realisation 1 (moved), point 7, ap süd, subcarrier 5: ")
    given = open_site(store, SITE)["csi"][1, 4:8].to_numpy()
    expected = 10 * np.log10(0.25 / np.nansum(np.abs(given.astype(complex)) ** 2))
    np.testing.assert_allclose(csi.nmse_db, expected, rtol=1e-6)
    rss = told["rss"]
    assert (rss.differing, rss.nan_left, rss.nan_right, rss.unit) == (2, 0, 1, "dB")
    assert rss.largest_absolute == 2.0
    assert told["los"].first == "realisation 1 (moved), point 5, ap north: 1 | 0"
    text = found.to_text()
    assert "The content differs." in text
    assert "rss: NaN in 0 on the left only, 1 on the right only" in text


def test_angles_a_turn_apart_are_one_angle(tmp_path):
    def turned(by):
        def change(_job, dataset):
            dataset["aoa_azimuth"][...] = np.float32(by)
            return dataset

        return change

    for name, by in (("a", np.pi - 0.01), ("b", -np.pi + 0.01)):
        write(tmp_path / name, variables=("aoa_azimuth",), shard_points=11, change=turned(by))
    angle = variables(diff(tmp_path / "a", tmp_path / "b"))["aoa_azimuth"]
    assert angle.differing == angle.cells
    np.testing.assert_allclose(angle.largest_absolute, 0.02, rtol=1e-4)
    np.testing.assert_allclose(angle.rms, 0.02, rtol=1e-4)


def test_cut_into_other_blocks_the_content_is_compared_cell_by_cell(store, tmp_path):
    other = tmp_path / "other.zarr"
    write(other, variables=SMALL, layout="compact", shard_points=7)
    found = diff(store, other)
    site = site_of(found)
    assert (found.same_content, found.equal) == (True, False)
    assert {entry.key: (entry.left, entry.right) for entry in site.settings} == {
        "layout": ("fast", "compact"),
        "shard_points": (4, 7),
    }
    assert variables(found)["csi"].blocks_by_digest == 0
    rounds = variables(found)["rounds_reflections"]
    assert (rounds.left_shape, rounds.right_shape) == ((2, 3, 2), (2, 2, 2))
    text = found.to_text()
    assert "Equal content; settings differ." in text
    assert "rounds_reflections: said of blocks that are cut otherwise, not compared" in text
    assert "    layout: 'fast' | 'compact'" in text


def test_pieces_do_not_change_the_figures(store, tmp_path, monkeypatch):
    other = tmp_path / "other.zarr"
    write(other, variables=SMALL, shard_points=7, change=changed_everywhere)
    whole = diff(store, other)
    monkeypatch.setattr("twin.store.pieces.PIECE_BYTES", 1)
    monkeypatch.setattr("twin.store.template.FAST_CHUNK_BYTES", 1)
    cut = diff(store, other)
    for one, two in zip(site_of(whole).variables, site_of(cut).variables, strict=True):
        assert (one.name, one.cells, one.differing, one.first) == (
            two.name,
            two.cells,
            two.differing,
            two.first,
        )
        if one.differing:
            np.testing.assert_allclose(one.rms, two.rms)
            assert one.largest_relative == two.largest_relative
    assert variables(cut)["csi"].differing > 0


def changed_everywhere(_job, dataset):
    dataset["csi"] = dataset["csi"] * np.complex64(1.01)
    return dataset


@pytest.mark.parametrize("precision", ["int16", "float16"])
def test_reduced_precision_is_measured_on_the_channel(tmp_path, precision):
    left, right = tmp_path / "left", tmp_path / "right"
    write(left, variables=("csi",), shard_points=11)
    write(right, variables=("csi",), shard_points=11, precision=precision)
    found = diff(left, right)
    site = site_of(found)
    assert (site.only_left, site.only_right) == ((), ())
    assert [entry.key for entry in site.settings] == ["precision"]
    csi = variables(found)["csi"]
    given, kept = (open_site(path, SITE)["csi"].to_numpy() for path in (left, right))
    there = ~np.isnan(given)
    error = np.sum(np.abs(kept[there].astype(complex) - given[there]) ** 2)
    expected = 10 * np.log10(error / np.sum(np.abs(given[there].astype(complex)) ** 2))
    np.testing.assert_allclose(csi.nmse_db, expected, rtol=1e-5)
    assert csi.nmse_db < {"int16": -80, "float16": -60}[precision]
    assert diff(right, right).equal


def test_what_only_one_side_has_is_named(store, tmp_path):
    other = tmp_path / "other.zarr"
    write(other, variables=("csi", "delay", "rtt"), paths=5)
    write(other, site="annex", variables=("los",), shard_points=11)
    found = diff(store, other)
    assert (found.only_left, found.only_right) == ((), ("annex",))
    site = site_of(found)
    assert site.only_left == ("aoa_azimuth", "los", "rounds_reflections", "rss")
    assert site.only_right == ("rtt",)
    delay = variables(found)["delay"]
    assert (delay.left_shape, delay.right_shape, delay.cells) == ((2, 11, 2, 6), (2, 11, 2, 5), 0)
    assert not delay.equal
    text = found.to_text()
    assert "site annex: on the right only" in text
    assert "variables on the right only: rtt" in text
    assert "delay: shapes (2, 11, 2, 6) | (2, 11, 2, 5), not compared" in text
    assert diff(other, store).only_left == ("annex",)


def test_settings_and_making_are_compared_by_key(tmp_path):
    left, right = tmp_path / "left", tmp_path / "right"
    same = {"variables": ("los",), "shard_points": 11}
    write(left, **same, config={"seed": 3, "trace": {"depth": 4, "scattering": True}})
    write(
        right,
        **same,
        config={"seed": 3, "trace": {"depth": 5}},
        attributes={"licence": "MIT", "source": "tests"},
        ap_power_dbm=(17.0, 21.0),
    )
    note_traced(left, SITE, {"rays": 10})
    found = diff(left, right)
    site = site_of(found)
    told = {entry.key: (entry.left, entry.right, entry.absent) for entry in site.settings}
    assert told == {
        "config.trace.depth": (4, 5, ""),
        "config.trace.scattering": (True, None, "right"),
        "attributes.licence": ("CC-BY-4.0", "MIT", ""),
    }
    assert [entry.key for entry in site.attributes] == ["traced"]
    assert variables(found)["ap_power"].first == "ap süd: 20 | 21"
    assert "config.trace.scattering: True | (nothing)" in found.to_text()


def test_entries_go_into_lists_of_one_length_and_lists_of_records():
    left = {"a": [1, 2], "b": [{"x": 1}], "c": ["p"]}
    right = {"a": [1, 3], "b": [{"x": 1}, {"x": 2}], "c": ["p", "q"]}
    told = {entry.key: (entry.left, entry.right) for entry in entries(left, right)}
    assert told == {"a.1": (2, 3), "b.1": (None, {"x": 2}), "c": (["p"], ["p", "q"])}


def test_only_what_is_finished_on_both_sides_is_compared(store, tmp_path):
    other = tmp_path / "other.zarr"
    spec = spec_of(variables=SMALL, shard_points=3)
    create_site(other, SITE, spec)
    block, jobs = whole_block(spec), jobs_of(spec)
    # Points 3 to 5 and 9 to 10 of the first realisation.
    for job in (jobs[1], jobs[3]):
        dataset = changed_everywhere(job, block(job))
        write_shard(other, SITE, job.realisation, job.points, dataset, spec.digest)
    for found in (diff(store, other), diff(other, store)):
        site = site_of(found)
        assert sorted((site.unfinished_left, site.unfinished_right)) == [0, 17]
        csi = variables(found)["csi"]
        assert csi.cells == csi.differing == 5 * 2 * 12
        assert csi.first.startswith("realisation 0 (as planned), point 3, ap north, subcarrier 0")
        assert not found.same_content
        assert "17 points are not finished on the" in found.to_text()


def test_versions_of_one_store_are_compared(tmp_path):
    versioned = f"icechunk:{tmp_path}/store"
    same = {"variables": ("csi", "los"), "shard_points": 11}
    write(versioned, **same)
    plain = tmp_path / "plain.zarr"
    digest = write(plain, **same)
    found = diff(f"{versioned}?tag={SITE}-{digest[:12]}", plain)
    assert found.equal
    assert variables(found)["csi"].blocks_by_digest == 2


def test_json_is_the_whole_truth(store, tmp_path):
    other = tmp_path / "other.zarr"
    write(other, variables=SMALL, change=changed)
    found = diff(store, other)
    plain = json.loads(found.to_json())
    assert plain["same_content"] is False
    told = {variable["name"]: variable for variable in plain["sites"][0]["variables"]}
    assert told["csi"]["rms"] == variables(found)["csi"].rms
    assert told["delay"]["equal"] is True
    assert told["delay"]["left_shape"] == [2, 11, 2, 6]


def test_both_places_are_judged_at_once(tmp_path):
    zarr.create_group(tmp_path / "foreign", zarr_format=3)
    with pytest.raises(InputError) as caught:
        diff(tmp_path / "absent", tmp_path / "foreign")
    assert [fault.found for fault in caught.value.faults] == [
        "nothing there",
        "a Zarr group without the attribute 'schema'",
    ]
