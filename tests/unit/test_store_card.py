"""A data card and a Croissant record: true to the data, readable by people and loaders."""

from __future__ import annotations

import json
import re

import mlcroissant
import numpy as np
import pytest
import xarray as xr

from tests.unit.whole_store import ABSENT, SITE, VARIABLES, spec_of, write
from twin.errors import InputError, StoreError
from twin.store.card.card import CARD_FILE, CROISSANT_FILE, data_card, write_card
from twin.store.card.coverage import coverage
from twin.store.card.croissant import Publication, croissant
from twin.store.location import storage
from twin.store.pieces import SitePieces
from twin.store.reader import open_site
from twin.store.writer import create_site, note_traced

PUBLICATION = Publication(
    name="Hall", version="1.2.0", date="2026-11-21", url="https://example.org/hall"
)
CITATION = ["A. Author (2026). A hall."]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "hall.zarr"
    notes = {
        "licence": "CC-BY-4.0",
        "citation": CITATION,
        "source": "https://example.org/plan",
        "assumptions": ["walls of | concrete", "nobody there"],
        "scene": {"walls": [1, 2]},
    }
    config = {"seed": 3, "backend": {"device": "cpu"}, "trace": {"depth": 4, "scattering": True}}
    write(path, attributes=notes, config=config, time_origin="2026-05-01T12:00:00Z")
    note_traced(path, SITE, {"bandwidth_hz": 3.75e6})
    return path


def loaded(record):
    """Errors and warnings of the standard's own loader."""
    issues = mlcroissant.Dataset(jsonld=record).metadata.ctx.issues
    return issues.errors, {re.sub(r".*Property \"(\S+)\".*", r"\1", w) for w in issues.warnings}


# The loader's RDF library warns of itself.
loads = pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib", "ignore:.*ConjunctiveGraph")


@loads
def test_the_loader_misses_only_what_a_store_cannot_know(store):
    errors, warnings = loaded(croissant(store))
    assert errors == set()
    # When and as which version a store is published is for its publisher to say.
    assert warnings == {"https://schema.org/datePublished", "https://schema.org/version"}


@loads
def test_the_loader_has_nothing_to_say_of_a_published_store(store):
    assert loaded(croissant(store, PUBLICATION)) == (set(), set())


@loads
def test_a_store_without_terms_says_so_by_leaving_them_out(tmp_path):
    write(tmp_path / "store.zarr", variables=("rss",), shard_points=11, attributes={})
    record = croissant(tmp_path / "store.zarr")
    assert not {"license", "citeAs", "isBasedOn"} & set(record)
    errors, warnings = loaded(record)
    assert errors == set()
    assert {"https://schema.org/license", "http://mlcommons.org/croissant/citeAs"} < warnings
    given = croissant(tmp_path / "store.zarr", Publication(licence="MIT"))
    assert given["license"] == "https://spdx.org/licenses/MIT"
    assert "not stated; ask" in data_card(tmp_path / "store.zarr")


def test_the_record_tells_of_every_variable(store):
    record = croissant(store, PUBLICATION)
    assert record["name"] == "Hall"
    assert record["license"] == "https://spdx.org/licenses/CC-BY-4.0"
    assert record["citeAs"] == CITATION[0]
    assert record["identifier"] == f"blake3:{open_site(store, SITE).attrs['digest']}"
    assert record["distribution"][0]["includes"] == f"hall.zarr/{SITE}/**"
    (fields,) = (record_set["field"] for record_set in record["recordSet"])
    told = {field["name"]: field for field in fields}
    with open_site(store, SITE) as dataset:
        assert set(told) == set(dataset.variables) - {"receipt"}
    assert {"position", "status", *VARIABLES} < set(told)
    assert told["rss"]["dataType"] == "cr:Float32"
    assert told["csi"]["dataType"] == "cr:Float32"
    assert "complex64 (realisation 2, point 11, ap 2" in told["csi"]["description"]
    assert told["ap"]["dataType"] == "sc:Text"
    assert "0 none, 1 reference, 2 test" in told["split"]["description"]
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_coverage_is_counted_from_the_data(store):
    found = coverage(SitePieces(storage(store), SITE))
    with open_site(store, SITE, lazy=False) as opened:
        data = opened.load()
    there = data["status"].to_numpy() != 3
    assert (found.fingerprints, found.absent, found.silent) == (21, 1, 2)
    split = data["split"].to_numpy()[there]
    assert found.splits == {"reference": (split == 1).sum(), "test": (split == 2).sum()}
    position = data["position"].to_numpy()
    assert found.lowest_corner == tuple(np.nanmin(position, axis=(0, 1)))
    assert found.highest_corner == tuple(np.nanmax(position, axis=(0, 1)))
    rss = data["rss"].to_numpy()[there]
    heard = (~np.isnan(rss)).any(axis=1).sum(axis=1)
    assert found.heard_by == "rss"
    assert found.heard == tuple(np.bincount(heard, minlength=3))
    assert found.heard_range == (0, np.median(heard), 2)
    readings = rss[~np.isnan(rss)]
    assert found.levels.readings == readings.size
    assert found.levels.share_heard == readings.size / rss.size
    assert (found.levels.lowest, found.levels.highest) == (readings.min(), readings.max())
    shares = (found.levels.low, found.levels.median, found.levels.high)
    expected = np.quantile(readings, [0.05, 0.5, 0.95], method="inverted_cdf")
    np.testing.assert_allclose(shares, expected, atol=0.051)
    paths = data["num_paths"].to_numpy()[there]
    assert (found.links_without_path, found.links) == ((paths == 0).sum(), 42)
    expected = np.quantile(paths[paths > 0], 0.5, method="inverted_cdf")
    assert found.paths_median == expected
    kept = (np.abs(data["path_gain"].to_numpy()[there].astype(complex)) ** 2).sum(axis=-1)
    missing = data["power_left_out"].to_numpy()[there].astype(float)
    total, worst = found.power_missing["power_left_out"]
    np.testing.assert_allclose(total, missing.sum() / (missing.sum() + kept.sum()))
    share = missing / np.where(kept + missing > 0, kept + missing, 1)
    np.testing.assert_allclose(worst, share.max())
    los = data["los"].to_numpy()[there]
    assert found.line_of_sight == (los == 1).sum() / (los >= 0).sum()
    assert found.labels == {"trajectory": 3, "floor": 1}
    assert found.seconds == (0.0, 100.0)
    assert (found.csi_nmse_worst, found.never_heard) == (None, ())


def test_pieces_do_not_change_the_counts(tmp_path, monkeypatch):
    monkeypatch.setattr("twin.store.template.FAST_CHUNK_BYTES", 1)
    write(tmp_path / "store.zarr", precision="int16")
    site = SitePieces(storage(tmp_path / "store.zarr"), SITE)
    whole = coverage(site)
    monkeypatch.setattr("twin.store.pieces.PIECE_BYTES", 1)
    cut = coverage(site)
    assert cut.power_missing.keys() == whole.power_missing.keys()
    for name, shares in whole.power_missing.items():
        np.testing.assert_allclose(cut.power_missing[name], shares, rtol=1e-12)
    plain = {"power_missing": {}}
    assert vars(cut) | plain == vars(whole) | plain
    assert 0 < whole.csi_nmse_worst < 1e-6


def test_access_points_that_nothing_hears_are_named(tmp_path):
    def deaf(_job, dataset):
        dataset["rss"][..., 1] = np.nan
        return dataset

    write(tmp_path / "store.zarr", variables=("rss",), shard_points=11, change=deaf)
    assert "- access points heard nowhere: 1 (süd)" in data_card(tmp_path / "store.zarr")


def test_the_card_tells_what_a_user_asks(store):
    card = data_card(store, PUBLICATION)
    digest = open_site(store, SITE).attrs["digest"]
    for text in (
        "# Hall\n\nSimulated radio fingerprints for localization: ",
        "This is version 1.2.0, published 2026-11-21, to be had at <https://example.org/hall>.",
        "Simulated: 2 realisations of 11 points, 2 access points, 3 scans a point, ",
        "12 subcarriers 312.5 kHz apart (3.75 MHz), up to 6 paths a link.",
        "| north | 0.00, 0.00, 2.50 | 5250 | 17 |",
        "- 21 fingerprints in 2 realisations; 1 of 22 places are empty",
        "- points where nothing is heard: 2 of 21 (9.5 %)",
        "- time: 2026-05-01T12:00:00+00:00 to 2026-05-01T12:01:40+00:00",
        "| `engine` | none |",
        "| `trace.scattering` | yes |",
        "| `bandwidth_hz` | 3750000 |",
        "| `height` | m | 1 to 1.5 |",
        "| `open` | - | no (1x), yes (1x) |",
        "- assumptions: walls of | concrete; nobody there",
        "- scene: in full in the attribute `scene`",
        "- source: https://example.org/plan",
        "| `rss` | realisation, point, snapshot, ap | float32 | dBm | received signal strength",
        "## Licence\n\n- CC-BY-4.0\n\n## Citation\n\n- A. Author (2026). A hall.",
        f"| `{SITE}` | `{digest}` |",
    ):
        assert text in card
    assert str(store) not in card
    assert str(store.parent) not in json.dumps(croissant(store))


def code_of(card):
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)


@pytest.mark.parametrize("kind", ["plain", "versioned"])
def test_the_code_in_the_card_opens_the_store(tmp_path, monkeypatch, kind):
    store = tmp_path / "hall.zarr" if kind == "plain" else f"icechunk:{tmp_path}/hall"
    write(store, variables=("rss", "csi"), shard_points=11, precision="int16")
    monkeypatch.chdir(tmp_path)
    plain, unpacking, ours = code_of(data_card(store))
    names = {}
    exec(plain, names)  # noqa: S102 (what the card tells users to run)
    assert names["site"].sizes["realisation"] == 2
    exec(unpacking, names)  # noqa: S102
    by_hand = names["csi"].transpose("point", "ap", "rx_antenna", "ap_antenna", "subcarrier")
    exec(ours, names)  # noqa: S102
    xr.testing.assert_allclose(by_hand.drop_vars("part", errors="ignore"), names["one"]["csi"])
    assert names["one"].sizes["point"] == 11


def test_several_sites_share_one_card(tmp_path):
    path = tmp_path / "store.zarr"
    for site, origin in (("corridor", "measured"), ("office", "simulated")):
        write(
            path,
            site=site,
            title=f"Rooms: {site}",
            origin=origin,
            variables=("rss",) if site == "office" else ("rss", "los"),
            attributes={"licence": "MIT"},
            shard_points=11,
        )
    create_site(path, "begun", spec_of())
    card = data_card(path)
    assert card.startswith(
        "# Rooms\n\nMeasured and simulated radio fingerprints for localization of 2"
    )
    assert "| [office](#office) | Rooms: office | simulated | 2 | 11 | 2 |" in card
    assert card.count("### What the data covers") == 2
    assert card.count("| `rss` |") == 1
    assert "- MIT\n" in card
    assert "begun" not in card
    record = croissant(path)
    assert record["name"] == "Rooms"
    assert [found["@id"] for found in record["recordSet"]] == ["corridor", "office"]
    assert len(record["identifier"]) == 2


@loads
def test_both_files_are_written_beside_the_store(store, tmp_path):
    card, record = write_card(store, tmp_path / "out", PUBLICATION)
    assert (card.name, record.name) == (CARD_FILE, CROISSANT_FILE)
    assert card.read_text(encoding="utf-8") == data_card(store, PUBLICATION)
    assert json.loads(record.read_text(encoding="utf-8")) == croissant(store, PUBLICATION)
    assert loaded(str(record)) == (set(), set())
    before = record.read_bytes()
    write_card(store, tmp_path / "out", PUBLICATION)
    assert record.read_bytes() == before


def test_nothing_is_written_into_the_store(store, tmp_path):
    for folder in (store, store / SITE, store / "docs"):
        with pytest.raises(InputError, match="a folder outside the store"):
            write_card(store, folder)
    assert not (store / "docs").exists()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match="a folder that can be written"):
        write_card(store, file / "out")


def test_stores_without_a_published_site_have_no_card(tmp_path):
    path = tmp_path / "store.zarr"
    with pytest.raises(InputError, match="nothing there"):
        data_card(path)
    create_site(path, SITE, spec_of())
    for make in (data_card, croissant):
        with pytest.raises(InputError, match=r"a published site, found hall \(unfinished\)"):
            make(path)


def test_damaged_data_is_no_ground_for_figures(tmp_path):
    path = tmp_path / "store.zarr"
    write(path, variables=("rss",), shard_points=11)
    (path / SITE / "rss" / "c" / "0" / "0" / "0" / "0").unlink()
    with pytest.raises(StoreError, match="rss: expected data that can be read, found no file"):
        data_card(path)


def test_absent_points_are_in_no_figure(store):
    with open_site(store, SITE, lazy=False) as dataset:
        assert int(dataset["status"][1, ABSENT]) == 3
    found = coverage(SitePieces(storage(store), SITE))
    assert sum(found.heard) == found.fingerprints == 21
