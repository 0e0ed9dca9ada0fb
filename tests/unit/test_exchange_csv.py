"""Signal strengths as CSV and back; every other layout is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.path_sites import ABSENT, DETAILS, SITE, write
from twin.errors import InputError
from twin.store.exchange.csv import export_csv, import_csv
from twin.store.exchange.csv_table import read_table
from twin.store.reader import environments, open_site

HEADER = "realisation,point,visit,snapshot,x [m],y [m],z [m],split,A [dBm],B [dBm]"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "store.zarr"
    write(folder, variables=DETAILS, visits=3)
    return folder


def table(tmp_path, *rows, header=HEADER):
    file = tmp_path / "table.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def test_a_round_trip_is_exact(store, tmp_path):
    file = export_csv(store, SITE, tmp_path / "rss.csv")
    import_csv(file, tmp_path / "new.zarr", "copy", origin="simulated", shard_points=5)
    old, new = open_site(store, SITE).load(), open_site(tmp_path / "new.zarr", "copy").load()
    for name in ("rss", "position", "split", "status", "trajectory", "floor", "visit"):
        assert old[name].dtype == new[name].dtype
        # Which point a realisation does not have is kept; what stands there is not.
        there = old["status"].to_numpy() != 3
        one, other = old[name].to_numpy(), new[name].to_numpy()
        if name != "visit":
            one, other = one[there], other[there]
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f"), name
    assert np.array_equal(old["status"], new["status"])
    assert new["time"].attrs == old["time"].attrs
    moment = old["time"].to_numpy()[there]
    assert np.array_equal(new["time"].to_numpy()[there], moment)
    assert new["ap"].to_numpy().tolist() == ["north", "süd"]
    assert np.isnan(new["ap_position"]).all()
    for before, after in zip(
        environments(store, SITE), environments(tmp_path / "new.zarr", "copy"), strict=True
    ):
        assert before.label == after.label
        assert np.array_equal(before.features["rss"], after.features["rss"], equal_nan=True)


def test_a_second_export_is_the_same_file(store, tmp_path):
    first = export_csv(store, SITE, tmp_path / "a.csv")
    import_csv(first, tmp_path / "new.zarr", SITE)
    second = export_csv(tmp_path / "new.zarr", SITE, tmp_path / "b.csv")
    assert first.read_bytes() == second.read_bytes()


def test_pandas_reads_a_row_a_scan(store, tmp_path):
    frame = pd.read_csv(export_csv(store, SITE, tmp_path / "rss.csv"))
    assert list(frame.columns) == [
        "realisation", "point", "visit", "snapshot", "x [m]", "y [m]", "z [m]", "split",
        "time [s since 1970-01-01T00:00:00Z]", "trajectory", "floor", "north [dBm]", "süd [dBm]",
    ]  # fmt: skip
    stored = open_site(store, SITE)
    # One point of the second realisation is absent.
    assert len(frame) == (11 + 10) * 3
    moved = frame[frame["realisation"] == "moved"]
    assert ABSENT not in set(moved["point"])
    rss = frame[frame["realisation"] == "as planned"][["north [dBm]", "süd [dBm]"]].to_numpy()
    assert np.array_equal(rss.reshape(11, 3, 2).astype(np.float32), stored["rss"].to_numpy()[0],
                          equal_nan=True)  # fmt: skip
    assert rss[1::3, 0].tolist() != rss[1::3, 0].tolist()


def test_a_site_without_details_has_none_in_the_table(tmp_path):
    write(tmp_path / "store.zarr", variables=("rss",))
    file = export_csv(tmp_path / "store.zarr", SITE, tmp_path / "rss.csv")
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.reader(opened))
    assert rows[0][8:] == ["north [dBm]", "süd [dBm]"]
    assert {row[7] for row in rows[1:]} == {""}


def test_names_with_commas_and_quotes_survive(tmp_path):
    names = ('a, "b"', "c\td")
    write(tmp_path / "store.zarr", variables=("rss",), access_points=names)
    file = export_csv(tmp_path / "store.zarr", SITE, tmp_path / "rss.csv")
    assert read_table(file).access_points == names


strengths = st.one_of(st.just(np.nan), st.floats(-200, 50, width=32))


@settings(max_examples=60, deadline=None)
@given(st.lists(strengths, min_size=1, max_size=5), st.floats(-1e7, 1e7))
def test_numbers_in_their_shortest_form_come_back_exactly(tmp_path_factory, values, x):
    rss = np.array(values, dtype=np.float32)
    names = ",".join(f"ap{i} [dBm]" for i in range(len(values)))
    cells = ",".join("" if np.isnan(value) else str(value) for value in rss)
    file = table(
        tmp_path_factory.mktemp("n"),
        f"one,0,0,0,{x!r},0.0,0.0,,{cells}",
        header=HEADER.replace("A [dBm],B [dBm]", names),
    )
    found = read_table(file)
    assert np.array_equal(found.rss[0, 0, 0], rss, equal_nan=True)
    assert found.position[0, 0, 0] == x


def test_points_that_hear_nothing_and_points_that_are_absent(tmp_path):
    file = table(tmp_path, "one,0,0,0,1,2,3,reference,,", "one,1,0,0,1,2,3,test,-60,",
                 "two,1,0,0,1,2,3,,-50,-70")  # fmt: skip
    import_csv(file, tmp_path / "new.zarr", "site")
    site = open_site(tmp_path / "new.zarr", "site").load()
    assert site["status"].to_numpy().tolist() == [[2, 1], [3, 1]]
    assert site["split"].to_numpy().tolist() == [[1, 2], [0, 0]]
    assert site["realisation_label"].to_numpy().tolist() == ["one", "two"]
    assert np.isnan(site["position"].to_numpy()[1, 0]).all()
    assert site.attrs["origin"] == "measured"


def refused(file, tmp_path):
    with pytest.raises(InputError) as refusal:
        import_csv(Path(file), tmp_path / "new.zarr", "site")
    assert not (tmp_path / "new.zarr").exists()
    return [str(fault).removeprefix(f"{file}: ") for fault in refusal.value.faults]


GOOD = "one,0,0,0,1,2,3,,-60,-70"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (HEADER.replace(",", ";"), "Write decimal points, and commas between cells only."),
        ("x,y,AP1", "twin data import csv"),
        ("", "an empty line or file"),
        (HEADER.replace("x [m]", "x [cm]"), "x [cm]"),
        (HEADER.replace("B [dBm]", "B [%]"), "All signal strengths of a table have one unit."),
        (HEADER.replace("B [dBm]", "B"), "found 'B'"),
        (HEADER.replace("B [dBm]", " [dBm]"), "an access point's name and [dBm]"),
        (HEADER.replace("B [dBm]", "A [dBm]"), "'A [dBm]' twice"),
        (HEADER.removesuffix(",A [dBm],B [dBm]"), "a column NAME [dBm] an access point"),
        (HEADER.replace("A [dBm]", "time [s since yesterday],A [dBm]"), "yesterday"),
    ],
)
def test_headers_of_another_layout_are_refused(tmp_path, header, expected):
    faults = refused(table(tmp_path, GOOD, header=header), tmp_path)
    assert len(faults) == 1
    assert faults[0].startswith("line 1 (header)")
    assert expected in faults[0]


@pytest.mark.parametrize(
    ("row", "place", "expected"),
    [
        ('one,0,0,0,"1,5",2,3,,-60,-70', "x [m]", "Write decimal points"),
        ("one,0,0,0,1,5,2,3,,-60,-70", "line 2", "expected 10 cells, found 11"),
        ('one,0,0,0,1,2,3,,"-60,5",-70', "A", "Write decimal points"),
        ("one,0,0,0,1,2,3,,100,-70", "A", "Leave the cell empty"),
        ("one,0,0,0,1,2,3,,-60,-1000", "B", "a number from -200 to 50 [dBm]"),
        ("one,0,0,0,1,2,3,,-60,nan", "B", "found 'nan'"),
        ("one,0,0,0,1,2,3,,-60 dBm,-70", "A", "found '-60 dBm'"),
        ("one,0,0,0,inf,2,3,,-60,-70", "x [m]", "a finite number"),
        ("one,0,0,0,1e999,2,3,,-60,-70", "x [m]", "a finite number"),
        ("one,0,0,0,1,,3,,-60,-70", "y [m]", "found ''"),
        ("one,-1,0,0,1,2,3,,-60,-70", "point", "a whole number from 0"),
        ("one,1.5,0,0,1,2,3,,-60,-70", "point", "found '1.5'"),
        ("one,0,0,99999999999,1,2,3,,-60,-70", "snapshot", "a whole number"),
        (",0,0,0,1,2,3,,-60,-70", "realisation", "an empty cell"),
        ("one,0,0,0,1,2,3,training,-60,-70", "split", "reference, test, found 'training'"),
    ],
)
def test_cells_that_are_wrong_are_named(tmp_path, row, place, expected):
    faults = refused(table(tmp_path, row), tmp_path)
    assert len(faults) == 1
    assert faults[0].startswith(f"line 2, {place}" if place != "line 2" else place)
    assert expected in faults[0]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([GOOD, GOOD], "line 3: expected every scan once, found the scan of line 2 again"),
        ([GOOD, "one,0,0,1,1,2,4,,-60,-70"], "as in line 2, found others"),
        ([GOOD, "one,0,0,1,1,2,3,test,-60,-70"], "as in line 2, found others"),
        ([GOOD, "one,1,0,1,1,2,3,,-60,-70", "one,1,0,0,1,2,3,,-60,-70"],
         "realisation 'one', point 0: expected a row for each of the snapshots 0 to 1"),
        ([GOOD, "one,2,0,0,1,2,3,,-60,-70"], "found no point 1"),
        ([GOOD, "one,0,1,1,1,2,3,,,", "one,0,1,2,1,2,3,,,"], "as many snapshots in each of 2"),
        ([GOOD, "one,0,1,2,1,2,3,,,", "one,0,0,1,1,2,3,,,", "one,0,0,3,1,2,3,,,"],
         "line 5, visit: expected 1, found 0"),
        ([], "a row a scan, found no rows"),
    ],
)  # fmt: skip
def test_scans_that_do_not_agree_are_refused(tmp_path, rows, expected):
    assert expected in "\n".join(refused(table(tmp_path, *rows), tmp_path))


@pytest.mark.parametrize("row", ["one,2000000000,0,0,1,2,3,,,", "one,0,0,2000000000,1,2,3,,,"])
def test_a_huge_number_does_not_exhaust_memory(tmp_path, row):
    faults = refused(table(tmp_path, GOOD, row), tmp_path)
    assert len(faults) == 21
    assert faults[-1].endswith("found more of them")


def test_all_faults_are_listed_up_to_a_limit(tmp_path):
    faults = refused(table(tmp_path, *["one,0,0,0,a,b,c,,d,e"] * 3), tmp_path)
    assert len(faults) == 15
    faults = refused(table(tmp_path, *["one,0,0,0,a,b,c,,d,e"] * 9), tmp_path)
    assert len(faults) == 21


def test_labels_out_of_range_and_half_a_column_are_refused(tmp_path):
    header = HEADER.replace("A [dBm]", "floor,A [dBm]")
    row = "one,0,0,0,1,2,3,,{},-60,-70"
    assert "32767" in refused(table(tmp_path, row.format(40000), header=header), tmp_path)[0]
    behind = HEADER + ",floor"
    assert "found 'floor'" in refused(table(tmp_path, GOOD + ",1", header=behind), tmp_path)[0]


def test_files_that_cannot_be_read_are_refused(tmp_path):
    assert "a readable CSV file in UTF-8" in refused(tmp_path / "none.csv", tmp_path)[0]
    file = tmp_path / "latin.csv"
    file.write_bytes((HEADER.replace("A [dBm]", "s\xfcd [dBm]") + "\n").encode("latin-1"))
    assert "utf-8" in refused(file, tmp_path)[0]


def test_exports_that_cannot_be_are_refused_at_once(tmp_path):
    write(tmp_path / "store.zarr", variables=("csi",))
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(InputError) as refusal:
        export_csv(tmp_path / "store.zarr", SITE, tmp_path / "a.csv")
    assert [fault.key for fault in refusal.value.faults] == ["", "rss"]
    assert (tmp_path / "a.csv").read_text() == "mine"
