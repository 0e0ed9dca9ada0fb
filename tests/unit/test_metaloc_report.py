import json
import re
from html.parser import HTMLParser

import pytest

from benchmarks import metaloc_docs
from flows.metaloc.report import write_report
from flows.metaloc.sections import SECTIONS
from flows.metaloc.summary import selected
from flows.metaloc.tables import (
    Cut,
    claims_table,
    laid_out,
    markdown,
    significant,
    table_iii,
    tabled,
    theorem_1,
)
from tests.unit import metaloc_records as made
from twin.errors import InputError

CLAIMS = [
    {"claim": "DG < MAML | hall", "paper": "2.07", "ours": "<b>2.0</b>", "holds": True},
    {"claim": "order", "paper": "-", "ours": "-", "holds": "not separated"},
]


class _Page(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def _speed():
    common = {"study": "speed", "site": "", "seeds": 1, "rounds": 5}
    step = {**common, "network": "cnn", "order": "second", "metric": "median_step_s"}
    ratio = {**step, "metric": "times_ours", "method": "torch func"}
    located = {"network": "cnn", "protocol": "environment", "fingerprints": 1000}
    located |= {**common, "metric": "median_location_s", "method": "ours"}
    return [
        {**step, "method": "ours", "mean": 0.1234, "low": 0.12, "high": 0.13},
        {**step, "method": "torch func", "mean": 0.3, "low": 0.29, "high": 0.31},
        {**ratio, "mean": 2.5, "low": 2.4, "high": 2.6},
        {**located, "mean": 0.5, "low": 0.5, "high": 0.5},
    ]


@pytest.fixture(scope="module")
def records():
    studies = (made.corridors, made.theory, _speed)
    return [record for study in studies for record in study()]


@pytest.fixture(scope="module")
def page(records, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "new"
    path = write_report(records, out, "A <study>", "twin run x.yaml", {"tensorflow": "2"}, CLAIMS)
    assert path == out / "report.html"
    return _Page(path.read_text(encoding="utf-8"))


def test_the_page_needs_nothing_beside_it(page):
    assert page.of("script") == page.of("iframe") == []
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.of("img"))
    assert [link["href"] for link in page.of("link")] == ["data:,"]
    assert not [style for style in page.of("style") if style]
    assert page.of("meta")[1]["content"] == "width=device-width, initial-scale=1"


def test_the_page_shows_the_studies_that_have_records(page):
    shown = {section["aria-labelledby"] for section in page.of("section")}
    assert shown == {"claims", "corridors", "theory", "speed", "provenance"}
    figures = [p.name for s in SECTIONS if s.name in shown for p in s.pictures]
    assert [figure["id"] for figure in page.of("figure")] == figures
    assert all(image["alt"] for image in page.of("img"))


def test_the_page_says_where_it_comes_from(page):
    assert "A <study>" in page.text
    assert "twin run x.yaml" in page.text
    assert "tensorflow" in page.text
    assert "<b>2.0</b>" in page.text
    assert "1 to 3 seeds" in page.text


def test_what_cannot_be_shown_is_named(tmp_path):
    partial = [record for record in made.fig10() if record["metric"] == "rmse_m"]
    found = _Page(write_report(partial, tmp_path, "t", "", {}).read_text(encoding="utf-8"))
    assert "fig10-environments: records of fig10: expected squared_mmd" in found.text
    assert "table: records of fig10: expected regret_m" in found.text
    assert len(found.of("table")) == 1


@pytest.mark.parametrize(
    ("records", "said"),
    [([], "at least one"), ([{"study": "figure 8"}], "expected one of fig8.*, found figure 8")],
)
def test_records_that_no_page_can_show_are_refused(records, said, tmp_path):
    with pytest.raises(InputError, match=said):
        write_report(records, tmp_path / "none", "t", "", {})
    assert not (tmp_path / "none").exists()


def test_cells_are_means_with_intervals():
    records = [
        {"study": "s", "method": m, "k": k, "seed": seed, "metric": "m", "value": v + seed}
        for m, k, v in (("ri", 10, 1.0), ("maml", 2, 3.0), ("maml", 10, 2.0))
        for seed in range(2)
    ]
    table = tabled(records, Cut("c", "s", "m", ("k",)))
    assert table.header == ("labels k", "MetaLoc (MAML)", "RI, random start")
    # 0.5 +- 12.706 * 0.7071 / 1.4142
    assert table.rows == (
        ("2", "3.50 (-2.85 to 9.85)", "–"),
        ("10", "2.50 (-3.85 to 8.85)", "1.50 (-4.85 to 7.85)"),
    )


def test_two_quantities_for_one_cell_are_refused():
    found = selected(made.fig8(), "fig8", "rmse_m", steps=10)
    with pytest.raises(InputError, match="one quantity a cell"):
        laid_out(found, "", ("steps",))


def test_what_diverged_is_a_dash():
    common = {"study": "s", "method": "ri", "metric": "m", "k": 1}
    records = [{**common, "seed": 0, "value": float("inf")}, {**common, "seed": 1, "value": 1.0}]
    assert tabled(records, Cut("c", "s", "m", ("k",))).rows == (("1", "–"),)


def test_a_single_round_has_no_interval():
    [row] = tabled(_speed(), Cut("c", "speed", "median_location_s", ("network",))).rows
    assert row == ("cnn", "0.50")


def test_table_iii_has_the_papers_columns():
    table = table_iii(made.table3())
    rows = {row[:2]: row[2:] for row in table.rows}
    assert len(rows) == 2 * len(made.METHODS)
    assert rows["lab", "MetaLoc (MAML-DG)"][5:] == ("3.04", "1.39", "3 x 5", "2500")
    assert rows["hall", "KNN"][5:] == ("2.73", "1.35", "10 x 90", "–")
    assert rows["hall", "WKNN"][5:] == ("–",) * 4
    assert rows["hall", "KNN"][4] == "–"
    [mean] = selected(made.table3(), "table3", "mean_error_m", site="lab", method="tl")
    assert rows["lab", "TL, pre-training"][0].startswith(f"{mean.mean:.2f} (")
    assert [each for each in table.header if each.startswith("paper: ")] == list(table.header[7:])


def test_theorem_1_is_shown_by_medians_of_the_seeds_whose_premise_holds():
    values = {"premise_holds": [1.0, 1.0, 0.0, 1.0], "excess_risk": [0.01, 0.02, 5.0, 0.04]}
    values |= {"first_bound": [10.0, 141_700.0, 9e9, 200.0], "second_bound": [1.0] * 4}
    common = {"study": "theory", "site": "s", "method": "ri", "rate_choice": "used"}
    records = [
        {**common, "metric": metric, "seed": seed, "value": value}
        for metric, found in values.items()
        for seed, value in enumerate(found)
    ]
    [row] = theorem_1(records).rows
    ranges = ("0.0200 (0.0100 to 0.0400)", "200 (10.0 to 142,000)", "1.00 (1.00 to 1.00)")
    assert row == ("used", "RI, random start", "3 of 4", *ranges)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.018416, "0.0184"),
        (141_700.0, "142,000"),
        (0.09996, "0.100"),
        (-2.0, "-2.00"),
        (0.0, "0"),
        (0.06666, "0.0667"),
        (-999.4, "-999"),
        (999.6, "1,000"),
        (-1690.2, "-1,690"),
    ],
)
def test_three_significant_digits_without_an_exponent(value, text):
    assert significant(value) == text


def test_markdown_is_one_line_a_row():
    lines = markdown(claims_table(CLAIMS)).splitlines()
    assert lines[2] == "| DG < MAML \\| hall | 2.07 | <b>2.0</b> | yes |"
    assert lines[3].endswith("| not separated |")


def test_every_figure_and_section_has_a_name_of_its_own():
    names = [picture.name for section in SECTIONS for picture in section.pictures]
    assert len(set(names)) == len(names)
    assert len({section.name for section in SECTIONS}) == len(SECTIONS)


def _page(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    text = metaloc_docs.PAGE.read_text(encoding="utf-8")
    (docs / "metaloc.md").write_text(text, encoding="utf-8")
    return docs / "metaloc.md", docs / "images" / "metaloc"


def test_the_documentation_is_filled_from_results(records, tmp_path):
    page, images = _page(tmp_path)
    images.mkdir(parents=True)
    (images / "old.png").write_bytes(b"")
    results = json.loads(json.dumps({"records": records, "claims": CLAIMS}))
    written = metaloc_docs.write(results, page, images)
    text = page.read_text(encoding="utf-8")
    linked = re.findall(r"\]\((images/metaloc/[^)]*)\)", text)
    assert sorted(page.parent / each for each in linked) == written
    assert sorted(images.iterdir()) == written
    assert "| cnn | second | 0.1234 (0.1200 to 0.1300) | 0.3000 (0.2900 to 0.3100) |" in text
    assert "No results of fig8 yet." in text
    metaloc_docs.write(results, page, images)
    assert page.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "results: claims: expected its markers once, found 0 times"),
        ("<!-- results: claims -->\n<!-- end of results -->\n" * 2, "found 2 times"),
        ("<!-- results: other -->\n<!-- end of results -->\n", "results: other"),
    ],
)
def test_a_page_with_other_markers_is_left_alone(text, said):
    with pytest.raises(InputError, match=said):
        metaloc_docs.filled(text, {"claims": "x"})


@pytest.mark.parametrize(
    ("study", "records"),
    [
        ("fig8", made.fig8),
        ("fig9", made.fig9),
        ("fig10", made.fig10),
        ("fig11", made.fig11),
        ("table3", made.table3),
        ("rooms", made.rooms),
        ("corridors", made.corridors),
        ("theory", made.theory),
        ("speed", _speed),
    ],
)
def test_every_table_of_an_experiment_can_be_made(study, records):
    [section] = [section for section in SECTIONS if section.study == study]
    found = [make(records()) for make in section.tables]
    assert found
    assert all(
        table.rows and len(row) == len(table.header) for table in found for row in table.rows
    )
    assert all(len(set(table.header)) == len(table.header) for table in found)
