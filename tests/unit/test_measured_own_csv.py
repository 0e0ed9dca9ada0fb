"""Import of a user's own CSV: values, every refusal with its place and cure, the suggestion."""

from __future__ import annotations

import lzma
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml

from twin.errors import InputError
from twin.measured.own_csv import import_csv, read_csv_site, suggest_mapping
from twin.store.layout import Job
from twin.store.reader import environments, open_site

ROWS = [
    "id,X,Y,RSS_a,RSS_b,set,phone",
    "p1,0.5,1.0,-40,-70.5,train,red",
    "p1,0.5,1.0,-42,100,train,red",
    "p2,2.5,1.0,-55,-60,train,red",
    "p3,2.5,3.0,100,100,check,blue",
]
MAPPING = {
    "site": "my_office",
    "title": "My office",
    "source": "own measurement, May 2026",
    "licence": "CC-BY-4.0",
    "position": {"x": "X", "y": "Y"},
    "rss": {"pattern": "RSS_*", "prefix": "RSS_", "unit": "dBm", "not_heard": [100]},
    "point": "id",
    "split": {"column": "set", "reference": ["train"], "test": ["check"]},
    "device": "phone",
}


def changed(base: Mapping[str, object], **changes: object) -> dict[str, object]:
    """The mapping with some keys changed; None takes a key out."""
    return {key: value for key, value in {**base, **changes}.items() if value is not None}


@pytest.fixture
def write(tmp_path: Path):
    """Writes rows and a mapping; gives their paths."""

    def files(rows=ROWS, mapping=MAPPING, encoding="utf-8") -> tuple[Path, Path]:
        table, says = tmp_path / "mine.csv", tmp_path / "map.yaml"
        table.write_bytes("\n".join(rows).encode(encoding))
        says.write_text(yaml.safe_dump(dict(mapping)), encoding="utf-8")
        return table, says

    return files


def test_rows_of_a_point_become_its_scans(write, tmp_path):
    store = tmp_path / "store.zarr"
    digests = import_csv(*write(), store)
    assert list(digests) == ["my_office"]
    (environment,) = environments(store, "my_office")
    np.testing.assert_allclose(environment.position[:, :2], [[0.5, 1.0], [2.5, 1.0], [2.5, 3.0]])
    assert environment.ap == ("a", "b")
    assert environment.split.tolist() == ["reference", "reference", "test"]
    rss = environment.features["rss"]
    np.testing.assert_array_equal(rss[0], np.float32([[-40, -70.5], [-42, np.nan]]))
    np.testing.assert_array_equal(rss[1], np.float32([[-55, -60], [np.nan, np.nan]]))
    dataset = open_site(store, "my_office")
    assert dataset["status"].to_numpy().tolist() == [[1, 1, 2]]
    assert dataset["device"].to_numpy().tolist() == [[1, 1, 0]]
    assert dataset.attrs["device_labels"] == ["blue", "red"]
    assert dataset.attrs["licence"] == "CC-BY-4.0"
    assert "different numbers of scans" in dataset.attrs["scans"]
    assert np.isnan(dataset["ap_position"]).all()
    assert import_csv(*write(), store) == digests


def test_without_a_point_column_rows_of_one_place_and_device_are_scans(write):
    rows = [*ROWS, "p9,2.5,1.0,-50,-50,train,blue"]
    spec = read_csv_site(*write(rows, changed(MAPPING, point=None))).spec
    assert (spec.points, spec.snapshots) == (4, 2)


def test_units_offset_and_ranges(write, tmp_path):
    rows = [
        "x [cm];y [cm];h [cm];A rtt;B rtt;A rss",
        "100;200;150;10,0;66,7;-40,5",
        "300;200;150;20,0;none;-50",
        "500;200;150;30,0;none;",
    ]
    mapping = changed(
        MAPPING,
        csv={"delimiter": ";", "decimal": ","},
        position={"x": "x [cm]", "y": "y [cm]", "z": "h [cm]", "unit": "cm",
                  "offset_m": [10.0, 0.0, 0.0]},
        rss={"columns": ["A rss"], "suffix": " rss", "unit": "dBm", "not_heard": [""]},
        rtt={"pattern": "*rtt", "suffix": " rtt", "unit": "ns", "not_heard": ["none"]},
        point=None, split=None, device=None,
        access_points={"positions": {"A": [0, 0, 2.5], "B": [400, 100]}, "unit": "cm"},
    )  # fmt: skip
    store = tmp_path / "store.zarr"
    import_csv(*write(rows, mapping), store)
    (environment,) = environments(store, "my_office")
    np.testing.assert_allclose(environment.position[0], [11.0, 2.0, 1.5])
    np.testing.assert_allclose(environment.ap_position, [[10, 0, 0.025], [14, 1, 0]])
    light = 0.299792458
    rtt = environment.features["rtt"][:, 0]
    np.testing.assert_allclose(rtt[:, 0], np.array([10, 20, 30]) * light / 2, rtol=1e-6)
    np.testing.assert_allclose(rtt[0, 1], 66.7 * light / 2, rtol=1e-6)
    rss = environment.features["rss"][:, 0]
    np.testing.assert_array_equal(rss[:, 0], np.float32([-40.5, -50, np.nan]))
    assert np.isnan(rss[:, 1]).all()


def test_positions_of_access_points_from_a_file(write, tmp_path):
    (tmp_path / "aps.csv").write_text("name,x,y,z\na,1,2,3\nb,4,5,6\n", encoding="utf-8")
    site = read_csv_site(*write(mapping=changed(MAPPING, access_points={"file": "aps.csv"})))
    assert site.spec.ap_position_m == (((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),)
    assert set(site.spec.config["content_sha256"]) == {"mine.csv", "aps.csv"}


@pytest.mark.parametrize(
    ("form", "cells", "seconds"),
    [
        ("iso8601", ("2026-05-01T12:00:00", "2026-05-01T10:00:30Z"), (1777629600, 1777629630)),
        ("%d.%m.%Y %H:%M", ("01.05.2026 12:00", "01.05.2026 12:01"), (1777629600, 1777629660)),
        ("unix_ms", ("1777629600500", "1777629600000"), (1777629600.5, 1777629600)),
    ],
)
def test_each_row_with_a_time_is_a_point(write, tmp_path, form, cells, seconds):
    rows = ["X,Y,RSS_a,when", f"1,1,-40,{cells[0]}", f"1,1,-41,{cells[1]}"]
    mapping = changed(MAPPING, point=None, split=None, device=None)
    mapping["time"] = {"column": "when", "format": form, "utc_offset_h": 2}
    import_csv(*write(rows, mapping), tmp_path / "store.zarr")
    dataset = open_site(tmp_path / "store.zarr", "my_office")
    assert dataset.sizes["snapshot"] == 1
    times = dataset["time"].to_numpy()[0]
    expected = np.array(seconds, dtype="float64")
    if times.dtype.kind == "M":
        times = (times - np.datetime64("1970-01-01")) / np.timedelta64(1, "s")
    np.testing.assert_allclose(times, expected)


def test_walks_are_in_order_of_time(write, tmp_path):
    rows = ["X,Y,RSS_a,when,walk", "1,1,-40,1700000009,w2", "2,1,-41,1700000002,w1",
            "3,1,-42,1700000001,w1", "4,1,-43,1700000008,w2"]  # fmt: skip
    mapping = changed(MAPPING, point=None, split=None, device=None, trajectory="walk")
    mapping["time"] = {"column": "when", "format": "unix_s"}
    import_csv(*write(rows, mapping), tmp_path / "store.zarr")
    dataset = open_site(tmp_path / "store.zarr", "my_office")
    assert dataset["position"].to_numpy()[0, :, 0].tolist() == [4, 1, 3, 2]
    assert dataset["trajectory"].to_numpy()[0].tolist() == [1, 1, 0, 0]
    assert dataset.attrs["trajectory_labels"] == ["w1", "w2"]


def replaced(row: int, old: str, new: str) -> list[str]:
    assert old in ROWS[row]
    return [line.replace(old, new) if i == row else line for i, line in enumerate(ROWS)]


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (replaced(1, "-40", "57"), ["row 2, column 'RSS_a'", "dBm from -127 to below 0", "'57'",
                                    "rss.not_heard"]),
        (replaced(1, "-40", "0"), ["row 2, column 'RSS_a'", "'0'", "rss.not_heard",
                                  "rss.zero_is_heard"]),
        ([ROWS[0], *(f"p{i},{i},1,{60 + i},-70,train,red" for i in range(5))],
         ["row 2, column 'RSS_a'", "5 such cells", "looks like percent", "convert"]),
        (replaced(1, "-70.5", '"-70,5"'), ["row 2, column 'RSS_b'", "'-70,5'", "csv.decimal"]),
        (replaced(1, "-70.5", '"-1,070.5"'), ["row 2, column 'RSS_b'", "thousands"]),
        (replaced(1, "-70.5", "-70,5"), ["row 2: expected 7 cells", "found 8", "decimal marks"]),
        (replaced(1, ",red", ""), ["row 2: expected 7 cells", "found 6"]),
        ([row.replace(",", ";") for row in ROWS], ["row 1 (header)", "';' it would have 7",
                                                   "Set csv.delimiter to ';'"]),
        (replaced(0, "RSS_b", "RSS_a"), ["column 4: expected one column a name", "2 times"]),
        (replaced(0, "X", "XX"), ["the column 'X'", "Did you mean 'XX'?"]),
        (replaced(2, "0.5", ""), ["row 3, column 'X'", "an empty cell", "delete the row"]),
        (replaced(2, "-42", ""), ["row 3, column 'RSS_a'", "an empty cell", 'list "" under']),
        (replaced(2, "red", ""), ["row 3, column 'phone'", "an empty cell"]),
        (replaced(2, "-42", "weak"), ["row 3, column 'RSS_a'", "'weak'"]),
        (replaced(2, "-42", "nan"), ["row 3, column 'RSS_a'", "'nan'"]),
        (replaced(2, "-42", "-4_2"), ["row 3, column 'RSS_a'", "'-4_2'"]),
        (replaced(2, "-42", "inf"), ["row 3, column 'RSS_a'", "'inf'"]),
        (replaced(2, "0.5", "1e9"), ["row 3, column 'X'", "from -1e+07 to 1e+07"]),
        (replaced(2, "1.0", "1.5"), ["row 3, column 'id'", "position of row 2", "1 such points"]),
        (replaced(4, "check", "later"), ["row 5, column 'set'", "'later'", "split.test"]),
        ([ROWS[0], "p1,0.5,1.0,good,bad,train,red"], ["'good'", "'bad'"]),
        (ROWS[:1], ["rows: expected at least one"]),
        ([], ["row 1 (header)", "nothing"]),
        ([*ROWS, 'p4,"1,1,-1,-1,train,red'], ["line 6", "quotation mark"]),
    ],
)  # fmt: skip
def test_bad_cells_are_refused_with_place_and_cure(write, tmp_path, rows, parts):
    with pytest.raises(InputError) as caught:
        import_csv(*write(rows), tmp_path / "store.zarr")
    for part in parts:
        assert part in str(caught.value)
    assert not (tmp_path / "store.zarr").exists()


def test_decimal_commas_and_points_in_one_file(write):
    rows = [row.replace(",", ";").replace("-70.5", "-70,5") for row in ROWS]
    with pytest.raises(InputError) as caught:
        read_csv_site(*write(rows, changed(MAPPING, csv={"delimiter": ";"})))
    assert "row 2, column 'RSS_b'" in str(caught.value)
    with pytest.raises(InputError) as caught:
        read_csv_site(*write(rows, changed(MAPPING, csv={"delimiter": ";", "decimal": ","})))
    assert "row 2, column 'X': expected a number in m" in str(caught.value)
    assert "'0.5' (4 such cells). Write all decimal marks alike" in str(caught.value)


def test_zero_may_be_a_reading(write):
    rss = {**MAPPING["rss"], "zero_is_heard": True}
    site = read_csv_site(*write(replaced(1, "-40", "0"), changed(MAPPING, rss=rss)))
    assert site.block(Job(0, 0, 3))["rss"][0, 0, 0] == 0.0


def positions(*xy: tuple[float, float]) -> list[str]:
    return ["X,Y,RSS_a", *(f"{x},{y},-50" for x, y in xy)]


ROOM = [(1.0, 2.0), (3.0, 2.5), (5.0, 7.0), (8.0, 4.0)]


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        (positions(*ROOM, *((1000 * x, 1000 * y) for x, y in ROOM)), "row 6, column 'Y'"),
        (positions(*((1000 * x, y) for x, y in ROOM)), "lengths of 7000 m and 5 m"),
    ],
)
def test_two_units_of_length_are_refused(write, rows, part):
    mapping = changed(MAPPING, point=None, split=None, device=None)
    with pytest.raises(InputError, match=r"position\.far_apart") as caught:
        read_csv_site(*write(rows, mapping))
    assert part in str(caught.value)
    mapping["position"] = {"x": "X", "y": "Y", "far_apart": True}
    assert read_csv_site(*write(rows, mapping)).spec.points == len(rows) - 1


@pytest.mark.parametrize(
    "places",
    [
        [*ROOM, *((x + 5000, y + 9000) for x, y in ROOM)],
        [(x + 4.8e6, y - 7.5e3) for x, y in ROOM],
        [(0.5 * i, 0.0) for i in range(400)],
        [(0.0, 0.0), (0.01, 0.0), (30.0, 4.0)],
        [(1.0, 1.0)],
    ],
)
def test_sites_of_one_unit_are_not_taken_for_two(write, places):
    mapping = changed(MAPPING, point=None, split=None, device=None)
    assert read_csv_site(*write(positions(*places), mapping)).spec.points == len(places)


def test_unit_in_a_column_name_must_agree(write):
    rows = [ROWS[0].replace("X", "X (mm)"), *ROWS[1:]]
    mapping = changed(MAPPING, position={"x": "X (mm)", "y": "Y"})
    with pytest.raises(InputError, match=r"column 'X \(mm\)': expected a column in m"):
        read_csv_site(*write(rows, mapping))


def test_encoding_is_told(write):
    rows = [row.replace("red", "röd") for row in ROWS]
    with pytest.raises(InputError, match=r"row 2, byte \d+: expected text in utf-8.*csv\.encoding"):
        read_csv_site(*write(rows, encoding="cp1252"))
    for encoding in ("cp1252", "utf-16"):
        site = read_csv_site(*write(rows, changed(MAPPING, csv={"encoding": encoding}), encoding))
        assert site.spec.attributes["device_labels"] == ["blue", "röd"]
    with pytest.raises(InputError, match="zero bytes"):
        read_csv_site(*write(ROWS, encoding="utf-16-le"))
    with pytest.raises(InputError, match="a known encoding"):
        read_csv_site(*write(mapping=changed(MAPPING, csv={"encoding": "latin-99"})))
    assert read_csv_site(*write(encoding="utf-8-sig")).spec.points == 3


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"rss": None}, ["rss or rtt must be given"]),
        ({"rss": {"unit": "percent", "pattern": "RSS_*"}}, ["rss.unit", "'dBm'"]),
        ({"rss": {"unit": "dBm"}}, ["either columns or pattern"]),
        ({"rss": {"unit": "dBm", "pattern": "WAP*"}}, ["rss.pattern", "none that fits 'WAP*'"]),
        ({"rss": {"unit": "dBm", "columns": ["X", "RSS_a"]}}, ["stands for nothing else", "'X'"]),
        ({"rss": {"unit": "dBm", "columns": ["RSS_a"], "prefix": "RSS_a"}}, ["rss.prefix"]),
        ({"site": "my office"}, ["site"]),
        ({"title": "FILL IN"}, ["title", "your own words"]),
        ({"csv": {"delimiter": ",", "decimal": ","}}, ["must differ"]),
        ({"position": {"x": "X", "y": "X"}}, ["position.y", "'X', as position.x"]),
        ({"colour": "X"}, ["colour", "misspelt"]),
        ({"time": {"column": "set", "format": "iso8601"}, "split": None},
         ["row 2, column 'set'", "a time as iso8601", "4 such cells", "time.format"]),
        ({"time": {"column": "X", "format": "unix_s"}}, ["between 1980 and 2100", "'0.5'"]),
        ({"access_points": {"positions": {"a": [1, 2]}}}, ["none for b", "leave out"]),
        ({"access_points": {"positions": {key: [1, 2] for key in "abc"}}}, ["map.yaml: c"]),
        ({"access_points": {"positions": {"a": [1], "b": [1, 2]}}}, ["two or three numbers"]),
        ({"access_points": {"file": "no.csv"}}, ["no.csv", "a readable file"]),
    ],
)  # fmt: skip
def test_bad_mapping_is_refused(write, changes, parts):
    with pytest.raises(InputError) as caught:
        read_csv_site(*write(mapping=changed(MAPPING, **changes)))
    for part in parts:
        assert part in str(caught.value)


def test_all_faults_come_at_once(write):
    rows = list(ROWS)
    rows[1] = "p1,north,1.0,-40,70,train,red"
    rows[3] = "p2,2.5,1.0,weak,-60,maybe,red"
    with pytest.raises(InputError) as caught:
        read_csv_site(*write(rows, changed(MAPPING, access_points={"positions": {"a": [0, 0]}})))
    message = str(caught.value)
    for part in ("'north'", "'70'", "'weak'", "'maybe'", "none for b"):
        assert part in message


def fill_in(text: str) -> str:
    return text.replace("site: FILL IN", "site: mine").replace("FILL IN", "told")


def test_suggested_mapping_works_once_filled_in(write):
    table, says = write()
    text = suggest_mapping(table)
    says.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="FILL IN"):
        read_csv_site(table, says)
    guess = yaml.safe_load(text)
    assert guess["rss"]["pattern"] == "RSS_*"
    assert guess["rss"]["prefix"] == "RSS_"
    assert guess["rss"]["not_heard"] == [100]
    assert guess["split"] == {"column": "set", "reference": ["train", "check"], "test": []}
    assert guess["device"] == "phone"
    says.write_text(fill_in(text), encoding="utf-8")
    assert read_csv_site(table, says).spec.access_points == ("a", "b")


def test_suggestion_for_another_layout(tmp_path):
    table = tmp_path / "other.csv"
    rows = ["Pos X (mm);Pos Y (mm);aa:bb;cc:dd;Timestamp;Café", "1000;2000;-40,5;;2026-05-01;x",
            "3000;2000;;-50;2026-05-02;y"]  # fmt: skip
    table.write_bytes("\n".join(rows).encode("cp1252"))
    guess = yaml.safe_load(suggest_mapping(table))
    assert guess["csv"] == {"delimiter": ";", "decimal": ",", "encoding": "cp1252"}
    assert guess["position"] == {"x": "Pos X (mm)", "y": "Pos Y (mm)", "unit": "mm"}
    assert guess["rss"] == {"columns": ["aa:bb", "cc:dd"], "unit": "dBm", "not_heard": [""]}
    assert guess["time"]["format"] == "iso8601"
    says = tmp_path / "map.yaml"
    says.write_text(fill_in(suggest_mapping(table)), encoding="utf-8")
    assert read_csv_site(table, says).spec.points == 2


def test_suggestion_without_readings_or_positions(tmp_path):
    table = tmp_path / "other.csv"
    table.write_text("a,b\nx,y\n", encoding="utf-8")
    guess = yaml.safe_load(suggest_mapping(table))
    assert guess["position"]["x"] == "FILL IN"
    assert guess["rss"]["columns"] == ["FILL IN"]
    table.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="row 1"):
        suggest_mapping(table)
    with pytest.raises(InputError, match="a readable file"):
        suggest_mapping(tmp_path / "none.csv")


REAL = Path(os.environ.get("TWIN_DATA_DIR", "")) / "uji_indoorloc" / "validationData.csv.xz"


@pytest.mark.skipif(
    not os.environ.get("TWIN_DATA_DIR") or not REAL.is_file(),
    reason="needs TWIN_DATA_DIR with uji_indoorloc",
)
def test_a_real_survey_by_its_suggestion(tmp_path):
    table, says = tmp_path / "validationData.csv", tmp_path / "map.yaml"
    table.write_bytes(lzma.decompress(REAL.read_bytes()))
    says.write_text(fill_in(suggest_mapping(table)), encoding="utf-8")
    import_csv(table, says, tmp_path / "store.zarr")
    dataset = open_site(tmp_path / "store.zarr", "mine")
    assert (dataset.sizes["point"], dataset.sizes["ap"]) == (1111, 520)
    cells = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()[1:]]
    heard = sum(cell != "100" for row in cells for cell in row[:520])
    assert int(np.isfinite(dataset["rss"]).sum()) == heard
    assert sorted(set(dataset["floor"].to_numpy()[0].tolist())) == [0, 1, 2, 3, 4]
