"""Creating, filling, publishing, reading and verifying a site."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from pydantic import JsonValue

from twin.errors import InputError, StoreError
from twin.seeds import stream
from twin.store.layout import Job, jobs_of
from twin.store.provenance import program
from twin.store.reader import environments, open_site
from twin.store.schema import VARIABLES
from twin.store.spec import SiteSpec, drawn_quantities, vectors
from twin.store.summary import info
from twin.store.verify import digest, verify
from twin.store.writer import create_site, pending_jobs, publish, write_shard

SITE = "room"
APS = np.arange(12.0).reshape(2, 2, 3)


def make_spec(shard_points: int = 4, **config: JsonValue) -> SiteSpec:
    return SiteSpec(
        title="room",
        origin="simulated",
        realisations=("first", "second"),
        points=10,
        access_points=("AP1", "AP2"),
        variables=(
            "rss",
            "rtt",
            "csi",
            "los",
            "split",
            "path_gain",
            "power_left_out",
            "rounds_reflections",
        ),
        ap_position_m=vectors(APS),
        snapshots=3,
        paths=2,
        subcarriers=4,
        subcarrier_spacing_hz=1e6,
        drawn=drawn_quantities([{"height": 1.0}, {"height": 1.5}], {"height": "m"}),
        shard_points=shard_points,
        config={"seed": 7, **config},
        attributes={"licence": "none"},
    )


def make_block(spec: SiteSpec, job: Job) -> xr.Dataset:
    """Values that depend on realisation and point alone, so that any cut gives the same site."""
    variables: dict[str, tuple[Sequence[str], np.ndarray]] = {}
    for name in spec.point_variables:
        variable = VARIABLES[name]
        shape = [spec.sizes[dim] for dim in variable.dims[1:]]
        values = stream(1, name, job.realisation).normal(size=shape)
        if name == "status":
            values = np.ones(shape)
        if name == "los":
            values = np.zeros(shape)
        if name == "split":
            values = np.array([1] * 7 + [2] * 3)
        if name == "path_gain":
            values = np.sort(values)[..., ::-1] + 10.0
        if name == "rss":
            values[0, :, 0] = np.nan
            values[1, 0, 0] = np.nan
        variables[name] = (variable.dims[1:], values[job.points].astype(variable.dtype))
    variables["ap_position"] = (("ap", "xyz"), APS[job.realisation])
    variables["rounds_reflections"] = (("ap",), np.array([3, 4], np.int16))
    return xr.Dataset(variables, coords={"ap": list(spec.access_points)})


def fill(store: Path, spec: SiteSpec, jobs: Sequence[Job], site: str = SITE) -> None:
    for job in jobs:
        block = make_block(spec, job)
        write_shard(store, site, job.realisation, job.points, block, spec.digest)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A published store."""
    path = tmp_path / "out" / "store.zarr"
    spec = make_spec()
    create_site(path, SITE, spec, provenance={"engine": "fake"})
    fill(path, spec, pending_jobs(path, SITE))
    publish(path, SITE)
    return path


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """A store with one site and no job done."""
    path = tmp_path / "unfinished.zarr"
    create_site(path, SITE, make_spec())
    return path


def test_round_trip(store: Path) -> None:
    dataset = open_site(store, SITE)
    spec = make_spec()
    for realisation in range(2):
        whole = make_block(spec, Job(realisation, 0, 10))
        for name in spec.point_variables:
            found = dataset[name].isel(realisation=realisation).to_numpy()
            np.testing.assert_array_equal(found, whole[name].to_numpy())
            assert found.dtype == np.dtype(VARIABLES[name].dtype)
    np.testing.assert_array_equal(dataset["ap_position"], APS)
    assert dataset["drawn"].sel(drawn_quantity="height").to_numpy().tolist() == [1.0, 1.5]
    assert dataset["drawn_unit"].to_numpy().tolist() == ["m"]
    assert dataset["subcarrier"].to_numpy().tolist() == [-2e6, -1e6, 0.0, 1e6]
    assert dataset["rtt"].attrs["units"] == "m"
    assert dataset.attrs["Conventions"] == "CF-1.12"
    assert dataset.attrs["provenance"] == [{**program(), "engine": "fake"}]


def test_plain_xarray_reads_without_a_warning(store: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = xr.open_datatree(store, engine="zarr", consolidated=False)
        assert list(tree.children) == [SITE]
        assert xr.open_zarr(store, group=SITE, consolidated=False)["rss"].shape == (2, 10, 3, 2)
        tree.close()


def test_environments(store: Path) -> None:
    first, second = environments(store, SITE)
    assert (first.site, first.label, second.label, second.realisation) == (
        SITE,
        "first",
        "second",
        1,
    )
    assert first.features["rss"].shape == (10, 3, 2)
    assert first.features["rss"].dtype == np.float32
    assert first.position.dtype == np.float64
    assert first.split.tolist() == ["reference"] * 7 + ["test"] * 3
    assert (first.is_reference.sum(), first.is_test.sum(), first.points) == (7, 3, 10)
    assert first.ap == ("AP1", "AP2")
    np.testing.assert_array_equal(second.ap_position, APS[1])
    assert first.attrs["licence"] == "none"


def test_point_features_are_medians_of_what_was_heard(store: Path) -> None:
    environment = environments(store, SITE)[0]
    median = environment.point_features("rss")
    assert median.dtype == np.float32
    assert np.isnan(median[0, 0])
    expected = np.median(environment.features["rss"][1, 1:, 0])
    np.testing.assert_allclose(median[1, 0], expected)
    np.testing.assert_allclose(median[5], np.median(environment.features["rss"][5], axis=0))
    with pytest.raises(InputError, match="'csi', found rss, rtt"):
        environment.point_features("csi")


def test_unpublished_site_is_refused_with_the_number_of_missing_jobs(unfinished: Path) -> None:
    spec = make_spec()
    fill(unfinished, spec, jobs_of(spec)[:2])
    for read in (open_site, environments):
        with pytest.raises(StoreError, match="4 of 6 jobs are missing"):
            read(unfinished, SITE)
    with pytest.raises(StoreError, match="4 of 6 jobs are missing"):
        digest(unfinished)
    with pytest.raises(StoreError, match="4 missing"):
        publish(unfinished, SITE)
    assert {fault.key for fault in verify(unfinished)} == {"jobs", "published"}


def test_unknown_site_is_refused_naming_those_there(store: Path) -> None:
    with pytest.raises(InputError, match="expected 'hall', found room"):
        open_site(store, "hall")


def test_create_again_keeps_finished_jobs(unfinished: Path) -> None:
    spec = make_spec()
    fill(unfinished, spec, jobs_of(spec)[:2])
    assert create_site(unfinished, SITE, spec, provenance={"engine": "other"}) == spec.digest
    assert pending_jobs(unfinished, SITE) == jobs_of(spec)[2:]
    create_site(unfinished, SITE, spec, provenance={"engine": "other"})
    fill(unfinished, spec, pending_jobs(unfinished, SITE))
    publish(unfinished, SITE)
    records = open_site(unfinished, SITE).attrs["provenance"]
    assert records == [program(), {**program(), "engine": "other"}]


def test_drift_is_refused_with_every_difference(store: Path) -> None:
    other = make_spec(seed=8, engine="new").model_copy(update={"title": "hall"})
    with pytest.raises(InputError) as caught:
        create_site(store, SITE, other)
    assert {fault.key for fault in caught.value.faults} == {"title", "config.seed", "config.engine"}
    assert "expected 8, found 7 in the store" in str(caught.value)
    assert environments(store, SITE)


def test_overwrite_replaces_the_site(store: Path) -> None:
    other = make_spec(seed=8)
    create_site(store, SITE, other, overwrite=True)
    assert len(pending_jobs(store, SITE)) == 6
    assert [path.name for path in store.parent.iterdir()] == [store.name]


def test_overwrite_replaces_an_unreadable_site(store: Path) -> None:
    (store / SITE / "zarr.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="a site that can be read"):
        create_site(store, SITE, make_spec())
    create_site(store, SITE, make_spec(), overwrite=True)
    assert len(pending_jobs(store, SITE)) == 6


@pytest.mark.parametrize("site", ["", "a/b", "..", ".hidden", "a b"])
def test_site_name_is_refused(tmp_path: Path, site: str) -> None:
    with pytest.raises(InputError, match="a name of letters"):
        create_site(tmp_path / "store.zarr", site, make_spec())
    assert not list(tmp_path.iterdir())


def test_foreign_places_are_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "letter.txt").write_text("mine", encoding="utf-8")
    foreign = tmp_path / "foreign.zarr"
    zarr.create_group(foreign, zarr_format=3)
    newer = tmp_path / "newer.zarr"
    zarr.create_group(newer, zarr_format=3, attributes={"schema": "fingertwin/store@99"})
    for path, found in (
        (file, "a file"),
        (folder, "does not open as a Zarr v3 group"),
        (foreign, "without the attribute 'schema'"),
        (newer, "expected 'fingertwin/store@2', found 'fingertwin/store@99'"),
    ):
        before = sorted(path.rglob("*"))
        with pytest.raises(InputError, match=found):
            create_site(path, SITE, make_spec())
        for read in (verify, digest, info):
            with pytest.raises(InputError, match=found):
                read(path)
        assert sorted(path.rglob("*")) == before


def test_unwritable_output_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match="an output that can be written"):
        create_site(file / "store.zarr", SITE, make_spec())


def test_reading_a_place_without_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a store, found nothing there"):
        verify(tmp_path / "absent.zarr")
    with pytest.raises(InputError, match="nothing there"):
        verify(tmp_path)


@pytest.mark.parametrize(
    "points", [slice(0, 3), slice(2, 6), slice(4, 10), slice(8, 12), slice(0, 4, 2)]
)
def test_only_whole_blocks_are_written(unfinished: Path, points: slice) -> None:
    spec = make_spec()
    with pytest.raises(StoreError, match="not one whole block of 4 points"):
        write_shard(unfinished, SITE, 0, points, make_block(spec, Job(0, 0, 4)), spec.digest)
    with pytest.raises(StoreError, match="not one whole block"):
        write_shard(unfinished, SITE, 2, slice(0, 4), make_block(spec, Job(0, 0, 4)), spec.digest)


def test_block_is_refused_with_all_problems(unfinished: Path) -> None:
    spec = make_spec()
    block = make_block(spec, Job(0, 0, 4))
    block["status"] = block["status"].where(block["point"] != 1, 0).astype(np.int8)
    block["rss"] = block["rss"].isel(snapshot=0)
    block["los"] = block["los"].astype(np.float64)
    block["temperature"] = block["status"]
    block["position"] = block["position"] * np.nan
    block = block.drop_vars("csi").assign_coords(ap=["AP2", "AP1"], subcarrier=np.arange(4.0))
    block["ap_position"] = block["ap_position"] + 1e-3
    with pytest.raises(StoreError) as caught:
        write_shard(unfinished, SITE, 0, slice(0, 4), block, spec.digest)
    message = str(caught.value)
    for part in (
        "r0000-p0000: refused",
        "status: a finished job leaves",
        "rss: expected {'point': 4, 'snapshot': 3, 'ap': 2}, found {'point': 4, 'ap': 2}",
        "los: expected int8, found float64",
        "temperature: not a variable of the schema",
        "position: expected a finite number, found nan at point 0, xyz 0 of the block (12 in all)",
        "csi: missing",
        "ap: expected ('AP1', 'AP2'), found ('AP2', 'AP1')",
        "subcarrier: not the offsets of the spec",
        "ap_position: not where the spec has them",
    ):
        assert part in message
    assert len(pending_jobs(unfinished, SITE)) == 6


def test_variables_the_site_does_not_keep_are_left_out(unfinished: Path) -> None:
    spec = make_spec()
    block = make_block(spec, Job(0, 0, 4))
    block["toa"] = (("point", "ap"), np.zeros((4, 2)))
    receipt = write_shard(unfinished, SITE, 0, slice(0, 4), block, spec.digest)
    assert set(receipt.digests) == {*spec.job_variables} - {"receipt"}


def test_jobs_of_another_config_and_of_published_sites_are_refused(store: Path) -> None:
    spec = make_spec()
    block = make_block(spec, Job(0, 0, 4))
    with pytest.raises(StoreError, match="belongs to config"):
        write_shard(store, SITE, 0, slice(0, 4), block, make_spec(seed=8).digest)
    with pytest.raises(StoreError, match="published"):
        write_shard(store, SITE, 0, slice(0, 4), block, spec.digest)


def test_receipt_tells_of_the_block(unfinished: Path) -> None:
    spec = make_spec()
    block = make_block(spec, Job(0, 0, 4))
    block["status"][2] = 2
    block["power_left_out"][:] = 0.25
    block["power_left_out"][3, 1] = 0.5
    receipt = write_shard(unfinished, SITE, 0, slice(0, 4), block, spec.digest)
    assert (receipt.points, receipt.points_without_path) == (4, 1)
    assert receipt.power_left_out_max == 0.5
    stored = zarr.open_array(unfinished, path=f"{SITE}/receipt", mode="r")[0, 0]
    assert json.loads(str(stored)) == receipt.model_dump(mode="json")


@pytest.mark.parametrize("damage", ["half", "other config", "other digest", "not text"])
def test_damaged_receipt_counts_as_pending(unfinished: Path, damage: str) -> None:
    spec = make_spec()
    fill(unfinished, spec, jobs_of(spec))
    path = unfinished / SITE / "receipt" / "c" / "1" / "2"
    receipts = zarr.open_array(unfinished, path=f"{SITE}/receipt", mode="r+")
    content = json.loads(str(receipts[1, 2]))
    if damage == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "not text":
        path.write_bytes(b"\xff\xfe\x00")
    else:
        key = "config_digest" if damage == "other config" else "digest"
        receipts[1, 2] = json.dumps(content | {key: "0" * 64})
    assert pending_jobs(unfinished, SITE) == (Job(1, 8, 10),)


def test_blocks_of_fill_values_are_files(unfinished: Path) -> None:
    spec = make_spec()
    block = make_block(spec, Job(0, 0, 4))
    block["rss"][:] = np.nan
    write_shard(unfinished, SITE, 0, slice(0, 4), block, spec.digest)
    assert (unfinished / SITE / "rss" / "c" / "0" / "0" / "0" / "0").is_file()


def test_digest_depends_on_content_alone(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.zarr"
    spec = make_spec(shard_points=3, machine="elsewhere")
    create_site(other, SITE, spec)
    fill(other, spec, pending_jobs(other, SITE)[::-1])
    publish(other, SITE)
    assert digest(other) == digest(store)


def test_digest_sees_one_changed_value(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.zarr"
    spec = make_spec()
    create_site(other, SITE, spec)
    fill(other, spec, pending_jobs(other, SITE)[1:])
    block = make_block(spec, Job(0, 0, 4))
    block["rtt"][0, 0, 0] += 1e-3
    write_shard(other, SITE, 0, slice(0, 4), block, spec.digest)
    publish(other, SITE)
    assert digest(other) != digest(store)


def test_whole_store_verifies(store: Path) -> None:
    assert verify(store) == []
    assert publish(store, SITE) == publish(store, SITE)


def test_flipped_byte_is_named_and_done_again(store: Path) -> None:
    before = digest(store)
    file = store / SITE / "rss" / "c" / "1" / "1" / "0" / "0"
    content = bytearray(file.read_bytes())
    content[-1] ^= 0x40
    file.write_bytes(content)
    (fault,) = verify(store)
    assert fault.where == str(store / SITE)
    assert fault.key == "rss, realisation 1, points 4:8"
    with pytest.raises(StoreError, match="rss, realisation 1"):
        digest(store)
    with pytest.raises(StoreError, match="same command again does the missing jobs"):
        publish(store, SITE)
    with pytest.raises(StoreError, match="1 of 6 jobs are missing"):
        open_site(store, SITE)
    spec = make_spec()
    assert pending_jobs(store, SITE) == (Job(1, 4, 8),)
    fill(store, spec, pending_jobs(store, SITE))
    publish(store, SITE)
    assert digest(store) == before


def test_lost_file_is_named_even_where_it_held_fill_values(unfinished: Path) -> None:
    spec = make_spec()
    for job in jobs_of(spec):
        block = make_block(spec, job)
        block["rtt"][:] = np.nan
        write_shard(unfinished, SITE, job.realisation, job.points, block, spec.digest)
    publish(unfinished, SITE)
    (unfinished / SITE / "rtt" / "c" / "0" / "2" / "0" / "0").unlink()
    (fault,) = verify(unfinished)
    assert (fault.key, fault.found) == (
        "rtt, realisation 0, points 8:10",
        "no file room/rtt/c/0/2/0/0",
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "key"),
    [
        ("zarr.json", '"none"', '"free"', "attribute licence"),
        ("rss/zarr.json", '"dBm"', '"dBW"', "rss, attributes"),
        ("drawn/c/0/0", None, None, "drawn"),
        ("ap/c/0", "AP1", "AP7", "ap"),
    ],
)
def test_damage_outside_the_jobs_is_named(
    store: Path, file: str, old: str | None, new: str | None, key: str
) -> None:
    path = store / SITE / file
    content = path.read_bytes()
    if old is None or new is None:
        content = content[:-1] + bytes([content[-1] ^ 0x40])
    else:
        assert old.encode() in content
        content = content.replace(old.encode(), new.encode())
    path.write_bytes(content)
    (fault,) = verify(store)
    assert fault.key == key
    with pytest.raises(StoreError, match="Generate the site anew"):
        publish(store, SITE)


def test_lost_metadata_is_named(store: Path) -> None:
    (store / SITE / "zarr.json").unlink()
    (fault,) = verify(store)
    assert "metadata cannot be read" in fault.found
    with pytest.raises(StoreError, match="metadata cannot be read"):
        digest(store)


def test_damaged_spec_is_named(store: Path) -> None:
    path = store / SITE / "zarr.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('\\"points\\":10', '\\"points\\":11'), encoding="utf-8")
    (fault,) = verify(store)
    assert "digest recorded beside it" in fault.found or "damaged" in fault.found


def test_sites_stand_side_by_side(store: Path) -> None:
    alone = digest(store)
    spec = make_spec()
    create_site(store, "hall", spec)
    fill(store, spec, pending_jobs(store, "hall"), site="hall")
    publish(store, "hall")
    assert digest(store) != alone
    summary = info(store)
    assert isinstance(summary["sites"], list)
    names = [site["site"] for site in summary["sites"] if isinstance(site, dict)]
    assert names == ["hall", SITE]


def test_info_of_an_unfinished_site(unfinished: Path) -> None:
    spec = make_spec()
    fill(unfinished, spec, jobs_of(spec)[:4])
    summary = info(unfinished)
    json.dumps(summary)
    assert isinstance(summary["sites"], list)
    (site,) = summary["sites"]
    assert isinstance(site, dict)
    assert (site["jobs"], site["jobs_done"], site["published"]) == (6, 4, False)
    assert site["sizes"] == {name: size for name, size in spec.sizes.items() if size}


def test_full_disk_is_a_store_error(unfinished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_write(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("twin.store.writer.write_receipt", refuse_write)
    spec = make_spec()
    with pytest.raises(StoreError, match="No space left"):
        write_shard(unfinished, SITE, 0, slice(0, 4), make_block(spec, Job(0, 0, 4)), spec.digest)
    assert len(pending_jobs(unfinished, SITE)) == 6
