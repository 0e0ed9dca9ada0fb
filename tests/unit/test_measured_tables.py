"""Reading tables: every fault with file, row and column, and what to do."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest

from twin.errors import Fault
from twin.measured.data_set import DataFile, content_sha256
from twin.measured.tables import (
    Column,
    array_faults,
    digest_faults,
    read_arrays,
    read_content,
    read_lines,
    read_table,
    shown,
)

COLUMNS = (Column("rss", -120, 0, 100), Column("x", -10, 10), Column("floor", 0, 4, whole=True))
GOOD = "rss,x,floor\n-50,1.5,2\n100,-3e0,0\n"


def table(folder: Path, text: str, **options: object) -> tuple[np.ndarray | None, str]:
    """The numbers, and the faults as text."""
    (folder / "t.csv").write_text(text, encoding="utf-8", newline="")
    faults: list[Fault] = []
    read = read_table(folder, DataFile("t.csv"), COLUMNS, faults, **options)
    assert (read is None) == bool(faults)
    return (None if read is None else read.values), "\n".join(map(str, faults))


def test_numbers_in_file_order(tmp_path: Path) -> None:
    values, faults = table(tmp_path, GOOD)
    assert faults == ""
    np.testing.assert_array_equal(values, [[-50, 1.5, 2], [100, -3, 0]])


def test_quoted_numbers_and_other_line_ends_are_the_same(tmp_path: Path) -> None:
    values, _ = table(tmp_path, GOOD.replace("1.5", '"1.5"').replace("\n", "\r\n"))
    np.testing.assert_array_equal(values, [[-50, 1.5, 2], [100, -3, 0]])


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("1.5", '"1,5"', ["row 2, column 'x'", "'1,5'", "decimal mark as a point"]),
        ("1.5", "1,5", ["row 2: expected 3 cells", "found 4", "decimal mark as a point"]),
        ("-50,1.5,2", "-50;1,5;2", ["row 2: expected 3 cells", "parted by ';'"]),
        ("-50,1.5,2", "-50\t1.5\t2", ["row 2: expected 3 cells", "parted by a tab"]),
        ("-50,1.5,2", "-50,1.5", ["row 2: expected 3 cells", "found 2", "cut short"]),
        ("-50,1.5,2\n", "-50,1.5,2\n\n", ["row 3: expected 3 cells", "found 0"]),
        ("1.5", "nan", ["row 2, column 'x': expected a number from -10 to 10", "'nan'"]),
        ("1.5", "inf", ["row 2, column 'x'", "'inf'"]),
        ("1.5", "", ["row 2, column 'x'", "''"]),
        ("1.5", "1_0", ["row 2, column 'x'", "'1_0'"]),
        ("1.5", "11", ["row 2, column 'x'", "'11'"]),
        ("-50", "1", ["row 2, column 'rss': expected a number from -120 to 0, or 100 for none"]),
        (",2\n", ",2.5\n", ["row 2, column 'floor': expected a whole number", "'2.5'"]),
        ("rss,x", "rss,y", ["row 1 (header): expected 'x' as column 2, found 'y'"]),
        ("rss,x,", "rss;x;", ["row 1 (header): expected 3 names", "parted by ';'"]),
        ("-50,1.5,2\n100,-3e0,0\n", "", ["rows: expected at least one"]),
        (GOOD, "", ["row 1 (header)"]),
    ],
)
def test_each_fault_has_a_place_and_a_cure(
    tmp_path: Path, old: str, new: str, parts: list[str]
) -> None:
    values, faults = table(tmp_path, GOOD.replace(old, new, 1))
    assert values is None
    for part in [str(tmp_path / "t.csv"), *parts]:
        assert part in faults


def test_twenty_faults_are_shown(tmp_path: Path) -> None:
    _, faults = table(tmp_path, "rss,x,floor\n" + "-50,x,9\n" * 15)
    assert "row 11, column 'floor'" in faults
    assert "row 12" not in faults
    assert "no further fault, found 10 more" in faults


def test_table_without_header(tmp_path: Path) -> None:
    values, _ = table(tmp_path, GOOD.partition("\n")[2], header=False)
    assert values.shape == (2, 3)
    _, faults = table(tmp_path, "-50,1,0\n-50,1,x\n", header=False)
    assert "row 2, column 'floor'" in faults


def test_further_columns_are_read_over_where_they_may_be(tmp_path: Path) -> None:
    more = "rss,x,floor,note\n-50,1.5,2,lift\n100,-3,0,\n"
    values, _ = table(tmp_path, more, more=True)
    np.testing.assert_array_equal(values, [[-50, 1.5, 2], [100, -3, 0]])
    assert "expected 3 names" in table(tmp_path, more)[1]
    assert "row 3: expected 4 cells" in table(tmp_path, more.replace("0,\n", "0\n"), more=True)[1]
    assert "row 1 (header)" in table(tmp_path, "rss,x\n1,2\n", more=True)[1]


def test_count_then_digest(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(GOOD, encoding="utf-8")
    faults: list[Fault] = []
    known = DataFile("t.csv", content_sha256(GOOD.encode()), 2)
    assert read_table(tmp_path, known, COLUMNS, faults) is not None
    assert read_table(tmp_path, DataFile("t.csv", "0" * 64, 3), COLUMNS, faults) is None
    assert [fault.key for fault in faults] == ["rows"]
    assert read_table(tmp_path, DataFile("t.csv", "0" * 64, 2), COLUMNS, faults) is None
    assert [fault.key for fault in faults] == ["rows", "sha256"]


def test_compressed_file_by_another_name(tmp_path: Path) -> None:
    crlf = GOOD.replace("\n", "\r\n").encode()
    (tmp_path / "other name.csv.xz").write_bytes(lzma.compress(crlf))
    file = DataFile("t.csv", content_sha256(GOOD.encode()), 2, other_names=("other_name.csv",))
    faults: list[Fault] = []
    read = read_table(tmp_path, file, COLUMNS, faults)
    assert faults == []
    assert read is not None
    assert read.sha256 == file.sha256


def test_truncated_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv.xz").write_bytes(lzma.compress(GOOD.encode() * 99)[:-40])
    (tmp_path / "u.csv").write_bytes(b"\xff\xfe")
    faults: list[Fault] = []
    for name in ("t.csv", "u.csv", "v.csv"):
        assert read_table(tmp_path, DataFile(name), COLUMNS, faults) is None
    assert [fault.found for fault in faults][2] == "no such file"
    assert "TWIN_DATA_DIR" in faults[2].cure
    assert all("a whole, readable file" in str(fault) for fault in faults[:2])


def test_bytes_of_a_binary_file_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "b.bin").write_bytes(b"1\r\n2")
    faults: list[Fault] = []
    content = read_content(tmp_path, DataFile("b.bin", text=False), faults)
    assert content is not None
    assert content.data == b"1\r\n2"
    assert digest_faults(content, DataFile("b.bin", content_sha256(b"1\n2"), text=False)) != []


def test_lines(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a\nb\n", encoding="utf-8")
    faults: list[Fault] = []
    read = read_lines(tmp_path, DataFile("d.csv", None, 2), faults)
    assert read is not None
    assert read[1] == ["a", "b"]
    assert read_lines(tmp_path, DataFile("d.csv", None, 3), faults) is None
    assert "rows: expected 3, found 2" in str(faults[0])


def test_cells_of_arrays_have_places(tmp_path: Path) -> None:
    where = tmp_path / "a.npz"
    good = np.array([[-50.0, 1.5, 2.0], [100.0, -3.0, 0.0]])
    assert array_faults(where, "crd", good, COLUMNS) == []
    bad = good.copy()
    bad[1, 1] = np.nan
    (fault,) = array_faults(where, "crd", bad, COLUMNS)
    assert fault.key == "crd, row 2, column 'x'"
    for strange in (good[:, :2], good[0], good.astype(str), good.astype(complex)):
        (fault,) = array_faults(where, "crd", strange, COLUMNS)
        assert "shape (rows, 3)" in fault.expected


def test_archives_of_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    np.savez(tmp_path / "p.npz", x=np.array([{}], dtype=object))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-30])
    faults: list[Fault] = []
    read = read_arrays(tmp_path, DataFile("a.npz", text=False), faults)
    assert read is not None
    assert read[1]["x"].tolist() == [0, 1, 2]
    for name in ("p.npz", "cut.npz"):
        assert read_arrays(tmp_path, DataFile(name, text=False), faults) is None
    assert len(faults) == 2
    assert all("a whole NumPy archive" in str(fault) for fault in faults)
    assert read_arrays(tmp_path, DataFile("a.npz", "0" * 64, text=False), faults) is None
    assert faults[2].key == "sha256"


def test_few_faults_are_all_shown(tmp_path: Path) -> None:
    faults = [Fault("f", str(i), "a", "b") for i in range(20)]
    assert shown(faults, tmp_path) == faults
