"""Sites rewritten for keeping and sharing: the same content in fewer files and bytes."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr

from tests.unit.whole_store import SITE, spec_of, write
from twin.errors import InputError, StoreError
from twin.store import compact as module
from twin.store.compact import FILE_BYTES, compact, compact_spec
from twin.store.diff import diff
from twin.store.location import storage
from twin.store.provenance import program
from twin.store.reader import open_site
from twin.store.template import template
from twin.store.validate import validate
from twin.store.verify import digest, verify
from twin.store.writer import create_site, note_traced, pending_jobs


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "store.zarr"
    write(path)
    note_traced(path, SITE, {"rays": 10})
    return path


@pytest.fixture(scope="module")
def channels(tmp_path_factory):
    """A store with little beside the channel."""
    path = tmp_path_factory.mktemp("channels") / "store.zarr"
    write(path, variables=("csi", "rss"))
    return path


@pytest.fixture(scope="module")
def small(store, tmp_path_factory):
    """The store compacted, and what became of its site."""
    target = tmp_path_factory.mktemp("target") / "small.zarr"
    (done,) = compact(store, target).values()
    return target, done


def names_of(error):
    return [(fault.key, fault.found) for fault in error.value.faults]


def test_content_stays_and_files_become_few(store, small):
    target, done = small
    assert done.digest == done.source_digest == open_site(store, SITE).attrs["digest"]
    assert digest(target) == digest(store)
    assert (verify(target), validate(target)) == ([], [])
    found = diff(store, target, read_all=True)
    assert found.same_content
    assert {entry.key for entry in found.sites[0].settings} == {"layout", "shard_points"}
    assert done.shard_points == 11
    assert (done.bytes_before, done.files_before) == storage(store).size(SITE)
    assert (done.bytes_after, done.files_after) == storage(target).size(SITE)
    assert done.files_after < done.files_before / 1.8
    assert (done.csi_nmse_mean, done.csi_nmse_max) == (None, None)
    assert done.to_text().startswith(f"{SITE}: ")
    assert "(unchanged)" in done.to_text()


def test_how_it_was_made_is_kept(store, small):
    attrs = open_site(small[0], SITE).attrs
    source = open_site(store, SITE).attrs
    assert attrs["traced"] == {"rays": 10}
    first, second = attrs["provenance"]
    assert [first] == source["provenance"]
    assert program().items() <= second.items()
    assert second["compacted"]["from_digest"] == source["digest"]
    assert second["compacted"]["from_config_digest"] == source["config_digest"]
    assert second["compacted"]["to_shard_points"] == 11


def test_done_again_it_is_done_at_once(store, small, monkeypatch):
    target, first = small
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    monkeypatch.setattr(module, "write_job", None)
    assert compact(store, target) == {SITE: first}
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before


def test_a_killed_run_goes_on(channels, tmp_path, monkeypatch):
    target = tmp_path / "small.zarr"
    write_one = module.write_job
    jobs = []

    def killed(place, site, spec, job, block):
        if jobs:
            raise KeyboardInterrupt
        jobs.append(job)
        write_one(place, site, spec, job, block)

    monkeypatch.setattr(module, "write_job", killed)
    with pytest.raises(KeyboardInterrupt):
        compact(channels, target)
    assert len(pending_jobs(target, SITE)) == 1
    monkeypatch.undo()
    (done,) = compact(channels, target).values()
    assert done.digest == done.source_digest
    assert len(open_site(target, SITE).attrs["provenance"]) == 2


@pytest.mark.parametrize("precision", ["int16", "float16"])
def test_reduced_precision_is_measured(channels, tmp_path, precision):
    target = tmp_path / "small.zarr"
    (done,) = compact(channels, target, precision=precision).values()
    assert done.digest != done.source_digest
    assert (verify(target), validate(target)) == ([], [])
    found = {v.name: v for v in diff(channels, target).sites[0].variables}
    assert {name for name, v in found.items() if not v.equal and not v.of_jobs} == {"csi"}
    given, kept = (open_site(path, SITE)["csi"].to_numpy() for path in (channels, target))
    error = np.sum(np.abs(kept.astype(complex) - given) ** 2, axis=(3, 4, 5))
    power = np.sum(np.abs(given.astype(complex)) ** 2, axis=(3, 4, 5))
    share = np.where(power == 0, 0, error / np.where(power == 0, 1, power))
    np.testing.assert_allclose(done.csi_nmse_mean, np.nanmean(share), rtol=1e-5)
    np.testing.assert_allclose(done.csi_nmse_max, np.nanmax(share), rtol=1e-5)
    assert "another precision" in done.to_text()
    assert "at worst -" in done.to_text()


def test_packed_channels_are_copied_as_they_are(tmp_path):
    source, target = tmp_path / "packed.zarr", tmp_path / "small.zarr"
    write(source, precision="int16", variables=("csi", "rss"))
    for precision in (None, "int16"):
        (done,) = compact(source, target, precision=precision).values()
        assert done.digest == done.source_digest
        assert done.csi_nmse_max > 0
    with pytest.raises(InputError, match="expected complex64 or float16, found int16"):
        compact(source, tmp_path / "other.zarr", precision="float16")
    assert not (tmp_path / "other.zarr").exists()


def test_what_jobs_said_of_their_blocks_is_joined_by_the_largest(tmp_path, monkeypatch):
    store = tmp_path / "store.zarr"
    write(store, variables=("csi", "rounds_reflections"))
    compact(store, tmp_path / "one.zarr")
    rounds = open_site(tmp_path / "one.zarr", SITE)["rounds_reflections"].to_numpy()
    # The rounds of a source block are its realisation plus its first point.
    assert rounds.tolist() == [[[8, 1]], [[9, 1]]]
    monkeypatch.setattr(module, "FILE_BYTES", 2 * 2 * 12 * 8)
    (done,) = compact(store, tmp_path / "two.zarr").values()
    assert done.shard_points == 2
    found = open_site(tmp_path / "two.zarr", SITE)["rounds_reflections"].to_numpy()
    assert found[0, :, 0].tolist() == [0, 0, 4, 4, 8, 8]


def test_blocks_are_as_large_as_files_may_be():
    spec = spec_of(points=20_000, shard_points=256, subcarriers=512, rx_antennas=4)
    large = compact_spec(spec)
    assert large.layout == "compact"
    assert large.shard_points == 2048
    row_bytes = 2 * 4 * 512 * 8
    assert 2048 * row_bytes <= FILE_BYTES < 4096 * row_bytes
    assert all(
        array.shards is None or np.prod(array.shards) * 8 <= FILE_BYTES
        for array in template(large).values()
    )
    assert compact_spec(spec, "int16").shard_points == 4096
    assert compact_spec(spec.model_copy(update={"points": 1999})).shard_points == 1999
    assert compact_spec(spec_of(subcarriers=10_000_000)).shard_points == 1
    assert compact_spec(spec_of(variables=("rss",)), "int16").precision == "complex64"


def test_chosen_sites_go_into_a_versioned_store(tmp_path):
    source = tmp_path / "source.zarr"
    write(source, variables=("csi",), shard_points=11)
    write(source, site="annex", variables=("los",), shard_points=11)
    target = f"icechunk:{tmp_path}/small"
    done = compact(source, target, ["annex"])
    assert list(done) == ["annex"]
    assert verify(target) == []
    assert set(compact(source, target, precision="float16")) == {"annex", SITE}
    assert diff(source, target).sites[0].same_content


def test_all_that_cannot_be_is_refused_at_once(channels, tmp_path):
    source = shutil.copytree(channels, tmp_path / "source.zarr")
    create_site(source, "begun", spec_of(variables=("rss",)))
    with pytest.raises(InputError) as caught:
        compact(source, source, ["begun", "cellar"], precision="int8")
    assert names_of(caught) == [
        ("", "the source itself"),
        ("sites", "cellar"),
        ("", "'int8'"),
        ("published", "false"),
    ]
    assert list(compact(source, tmp_path / "small.zarr")) == [SITE]


def test_targets_and_stores_without_what_is_wanted_are_refused(channels, tmp_path):
    foreign = tmp_path / "foreign"
    zarr.create_group(foreign, zarr_format=3)
    with pytest.raises(InputError, match="without the attribute 'schema'"):
        compact(channels, foreign)
    with pytest.raises(InputError, match="nothing there"):
        compact(tmp_path / "absent", tmp_path / "small.zarr")
    source = tmp_path / "source.zarr"
    create_site(source, SITE, spec_of(variables=("rss",)))
    with pytest.raises(InputError, match="expected a published site, found none"):
        compact(source, tmp_path / "small.zarr")
    write(source, site="annex", variables=("los",), shard_points=11)
    with pytest.raises(InputError, match="expected a site that keeps csi, found none"):
        compact(source, tmp_path / "small.zarr", precision="int16")
    assert not (tmp_path / "small.zarr").exists()


def test_another_site_of_that_name_is_left_alone(channels, tmp_path):
    target = tmp_path / "small.zarr"
    write(target, variables=("rss",), shard_points=11)
    before = digest(target)
    with pytest.raises(InputError, match="variables"):
        compact(channels, target)
    assert digest(target) == before


def test_damaged_source_is_not_copied(channels, tmp_path):
    source = shutil.copytree(channels, tmp_path / "source.zarr")
    (source / SITE / "rss" / "c" / "0" / "1" / "0" / "0").unlink()
    with pytest.raises(StoreError, match=r"damaged, not copied:\n.*rss, realisation 0, points 4:8"):
        compact(source, tmp_path / "small.zarr")
    assert not (tmp_path / "small.zarr").exists()
    whole = shutil.copytree(channels, tmp_path / "whole.zarr")
    zarr.open_group(whole, path=SITE, mode="r+").update_attributes({"digest": "0" * 64})
    with pytest.raises(StoreError, match=f"digest: expected {'0' * 64}"):
        compact(whole, tmp_path / "small.zarr")


def test_other_content_is_never_published(store, tmp_path, monkeypatch):
    values_of = module._job_values

    def altered(site, spec, job):
        values = values_of(site, spec, job)
        values["toa"] = values["toa"] * 1.5
        return values

    monkeypatch.setattr(module, "_job_values", altered)
    target = tmp_path / "small.zarr"
    with pytest.raises(StoreError, match="Expected the source's content, digest"):
        compact(store, target)
    with pytest.raises(StoreError, match="not published"):
        open_site(target, SITE)
