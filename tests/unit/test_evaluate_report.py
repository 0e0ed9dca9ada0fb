from __future__ import annotations

import base64
import dataclasses
import io
import itertools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from twin.errors import InputError
from twin.evaluate import metrics
from twin.evaluate.records import Errors, Feature
from twin.evaluate.report import figures, tables
from twin.evaluate.report.content import (
    DataSource,
    Method,
    Pairing,
    Perturbed,
    ReportContent,
    RoomContent,
    SignalMap,
)
from twin.evaluate.report.page import write_report
from twin.evaluate.report.style import method_lines

VOID = {"meta", "link", "img", "br", "hr", "input"}
MEANS = {"maml": 1.0, "knn": 3.0, "wknn": 2.9, "maml+none": 1.4}


class Page(HTMLParser):
    """Checks nesting while it collects text, tags and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "body" in self.open and data.strip():
            self.texts.append(" ".join(data.split()))

    def attributes(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.tags if name == tag)


def errors(
    room: str, features: tuple[Feature, ...], methods: tuple[str, ...]
) -> tuple[Errors, ...]:
    found: list[Errors] = []
    for feature in features:
        for k in (0, 3, 20):
            for method in methods:
                if k == 0 and method.endswith("knn"):
                    continue
                random = np.random.default_rng(len(found))
                values = MEANS[method] * random.gamma(8.0, 1 / 8.0, (1 if k == 0 else 3, 12))
                found.append(Errors(room, feature, k, method, values, np.arange(12), seconds=0.5))
    return tuple(found)


def png() -> bytes:
    stream = io.BytesIO()
    Figure(figsize=(1, 0.5)).savefig(stream, format="png", dpi=40)
    return stream.getvalue()


def room_content(
    name: str = "office",
    features: tuple[Feature, ...] = ("rss", "rtt"),
    methods: tuple[str, ...] = tuple(MEANS),
    **changes: Any,
) -> RoomContent:
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(0.3, 8, 0.6), np.arange(0.3, 4, 0.6)), axis=-1).reshape(
        -1, 2
    )
    simulated = random.normal(-50.0, 8.0, (len(grid), 2))
    measured = simulated - np.array([20.0, 5.0]) + random.normal(0.0, 2.0, simulated.shape)
    measured[3, 0] = np.nan
    own = errors(name, features, methods)
    content = RoomContent(
        name=name,
        title=f"The {name}",
        records=tuple(metrics.summarise(each, seed=0, replicates=1000) for each in own),
        errors=own,
        differences=metrics.differences_to("knn", own, seed=0, replicates=1000),
        outline_m=np.array([[0.0, 0.0], [8.0, 0.0], [8.0, 4.0], [0.0, 4.0]]),
        plan_png=png(),
        plan_caption="Walls & doors",
        maps=(
            SignalMap(
                "AP1",
                np.array([1.0, 1.0, 2.0]),
                grid,
                simulated[:, 0],
                grid,
                measured[:, 0],
                np.arange(len(grid)) % 4 == 0,
            ),
        ),
        pairings=(Pairing("rss", ("AP1", "AP2"), simulated, measured),),
        assumptions=("Walls stand <0.5 m> beyond the grid",),
        solver={"max_depth": 3, "refraction": True},
        maps_note="Shifted for the eye alone.",
        given="A plan of the office",
        perturbed=(
            Perturbed("ap_height", "m", "normal", (-0.1, 0.25), ("AP1", "AP2"), "Not measured."),
            Perturbed("cupboard", "", "bernoulli 0.5", (True, False, True)),
            Perturbed("never drawn", "", "", ()),
        ),
    )
    return dataclasses.replace(content, **changes)


def report_content(*rooms: RoomContent, **changes: Any) -> ReportContent:
    content = ReportContent(
        banner="Real measurements: WiFi of one room",
        real=True,
        title="How wrong?",
        introduction="One question.",
        rooms=rooms or (room_content(),),
        methods=(
            Method("maml", "MAML, aligned", "Trained on the twin."),
            Method("knn", "KNN", "Real labels only."),
        ),
        hero="maml",
        alignment_methods=("maml", "maml+none"),
        notes={"What was known": ("No measured <RSS>.",)},
        provenance={"Versions": {"python": "3.11"}, "Timings [s]": {"trace": 12.5}},
        command="twin demo --seed 1",
        sources=(DataSource("Set", "https://doi.org/10.0/x", "MIT", "Someone, 2024"),),
    )
    return dataclasses.replace(content, **changes)


def page_of(tmp_path: Path, content: ReportContent) -> tuple[Page, str]:
    path = tmp_path / "out" / "report.html"
    write_report(path, content)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    text = path.read_text(encoding="utf-8")
    return Page(text), text


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, str]:
    return page_of(tmp_path_factory.mktemp("report"), report_content())


def test_banner_is_the_first_text(full: tuple[Page, str], tmp_path: Path) -> None:
    assert full[0].texts[0] == "Real measurements: WiFi of one room"
    banner = "SIMULATED REALITY: no real data were used"
    bare = room_content(features=("rss",), methods=("maml",), maps=(), pairings=())
    page, text = page_of(tmp_path, report_content(bare, banner=banner, real=False))
    assert page.texts[0] == banner
    assert 'class="banner simulated"' in text
    assert "(simulated reality)</title>" in text


def test_nothing_is_fetched(full: tuple[Page, str]) -> None:
    page, text = full
    assert not list(page.attributes("script"))
    assert not list(page.attributes("iframe"))
    for tag, attributes in page.tags:
        for key in ("src", "srcset", "poster", "data", "background"):
            assert (attributes.get(key) or "data:").startswith("data:"), (tag, key)
        if tag == "link":
            assert attributes["href"] == "data:,"
    assert "url(" not in text
    assert "@import" not in text
    for encoded in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text):
        svg = base64.b64decode(encoded).decode()
        assert not re.findall(r"href=\"(?!#)|url\((?!#)|<script|@import", svg)


def test_page_is_accessible(full: tuple[Page, str]) -> None:
    page, _ = full
    assert next(page.attributes("html"))["lang"] == "en"
    assert all(len(image["alt"] or "") > 20 for image in page.attributes("img"))
    assert all(image["width"] and image["height"] for image in page.attributes("img"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    identities = [a["id"] for _, a in page.tags if "id" in a]
    assert len(identities) == len(set(identities))
    links = [a["href"] or "" for a in page.attributes("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= set(identities)
    assert len(list(page.attributes("caption"))) == len(list(page.attributes("table")))


def test_every_record_appears(full: tuple[Page, str]) -> None:
    page, text = full
    body = text[text.index("Every record") :]
    rows = [
        re.sub(r"<[^>]+>|\s+", " ", row) for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]
    labels = {"maml": "MAML, aligned", "knn": "KNN"}
    for record in room_content().records:
        label = labels.get(record.method, record.method)
        values = (record.mean_error_m, record.median_m, record.rmse_m, record.p95_m, record.ci_low)
        assert any(
            f" {label} " in row
            and f" {record.feature.upper()} " in row
            and all(f"{value:.2f}" in row for value in values)
            for row in rows
        ), record
    for words in (
        "twin demo --seed 1",
        "max_depth",
        "−0.100 to 0.250",
        "no 1×, yes 2×",
        "Someone, 2024",
    ):
        assert any(words in found for found in page.texts), words


def test_what_numbers_rest_on_is_told(full: tuple[Page, str]) -> None:
    page, _ = full
    for words in (
        "What was known",
        "No measured <RSS>.",
        "A plan of the office",
        "Walls stand <0.5 m> beyond the grid",
        "AP1, AP2",
        "Not measured.",
    ):
        assert words in page.texts
    assert any(text.endswith("Shifted for the eye alone.") for text in page.texts)
    assert any("no label at all stands apart" in text for text in page.texts)


def test_words_of_others_are_escaped(full: tuple[Page, str]) -> None:
    page, text = full
    assert "Walls stand <0.5 m> beyond the grid" in page.texts
    assert "<0.5 m>" not in text


def test_same_content_makes_the_same_file(full: tuple[Page, str], tmp_path: Path) -> None:
    assert page_of(tmp_path, report_content())[1] == full[1]


def test_verdict_says_what_the_records_say() -> None:
    room = room_content(features=("rss",))
    (verdict,) = tables.verdicts(room.records, room.differences, 3, "maml", "knn", "KNN")
    at = {(r.method, r.k): r for r in room.records}
    hero, knn = at["maml", 3], at["knn", 3]
    assert verdict.feature == "RSS"
    assert (
        f"with 3 labels the adapted twin is wrong by {hero.mean_error_m:.2f} m" in verdict.sentence
    )
    assert f"({hero.ci_low:.2f}–{hero.ci_high:.2f} m), KNN on the same labels" in verdict.sentence
    assert verdict.sentence.endswith(
        f"{knn.mean_error_m - hero.mean_error_m:.2f} m less, a clear difference."
    )
    (other,) = tables.verdicts(room.records, _turned(room), 3, "maml", "knn", "KNN")
    assert other.sentence.endswith("m more, a clear difference.")
    assert (verdict.clear, other.clear) == ("better", "worse")
    even = [dataclasses.replace(d, ci_low=-1.0, ci_high=1.0) for d in room.differences]
    assert tables.verdicts(room.records, even, 3, "maml", "knn", "KNN")[0].sentence.endswith(
        "close to call."
    )
    assert verdict.beyond == "Clearly better than KNN with 20 labels."
    assert other.beyond == "Clearly worse than KNN with 20 labels."
    grown = [
        dataclasses.replace(d, k=k, ci_low=-1.0, ci_high=high)
        for d in room.differences
        if (d.k, d.method) == (20, "maml")
        for k, high in ((1, -0.1), (5, -0.1), (10, 0.1), (20, 0.1))
    ]
    (mixed,) = tables.verdicts(room.records, grown, 3, "maml", "knn", "KNN")
    assert (
        mixed.beyond
        == "Clearly better than KNN with 1 and 5; too close to call with 10 and 20 labels."
    )
    (bare,) = tables.verdicts(room.records, (), 0, "maml", "knn", "KNN")
    assert bare.sentence.startswith("with no label the adapted twin")
    assert "KNN" not in bare.sentence
    assert tables.verdicts(room.records, (), 3, "unknown", "knn", "KNN") == ()


def _turned(room: RoomContent) -> list[Any]:
    return [
        dataclasses.replace(
            each,
            mean_difference_m=-each.mean_difference_m,
            ci_low=-each.ci_high,
            ci_high=-each.ci_low,
        )
        for each in room.differences
    ]


def test_facts_have_one_spelling() -> None:
    shown = [tables.plain(value) for value in (True, -95, -0.25, 200000, "llvm-ad")]
    assert shown == ["yes", "\u221295", "\u22120.25", "200000", "llvm-ad"]


def test_table_tells_the_best_and_the_clear() -> None:
    room = room_content(features=("rss",))
    (table,) = tables.tables(room.records, room.differences, tuple(MEANS))
    rows = dict(table.rows)
    assert [k for k, _ in table.rows] == [0, 3, 20]
    assert rows[0][1] is None
    at_3 = dict(zip(table.methods, rows[3], strict=True))
    assert [name for name, cell in at_3.items() if cell and cell.best] == ["maml"]
    assert {name: cell.clear for name, cell in at_3.items() if cell} == {
        d.method: d.clear for d in room.differences if d.k == 3
    } | {"knn": ""}
    assert at_3["maml"] is not None
    assert at_3["maml"].clear == "better"


def test_fit_recovers_offset_and_residual() -> None:
    random = np.random.default_rng(0)
    simulated = random.normal(-60.0, 8.0, (4000, 2))
    measured = simulated + np.array([-20.0, 7.0]) + random.normal(0.0, 2.0, simulated.shape)
    measured[::5, 1] = np.nan
    first, second, overall = figures.fits(Pairing("rss", ("AP1", "AP2"), simulated, measured))
    assert (first.points, second.points, overall.points) == (4000, 3200, 7200)
    assert first.offset == pytest.approx(-20.0, abs=0.15)
    assert second.offset == pytest.approx(7.0, abs=0.15)
    for fit in (first, second, overall):
        assert fit.residual_std == pytest.approx(2.0, rel=0.05)
        assert fit.correlation == pytest.approx(8.0 / np.hypot(8.0, 2.0), abs=0.01)
    assert np.isnan(overall.offset)


def test_colours_of_hero_and_reference_never_change() -> None:
    alone = method_lines(["maml", "knn"], "maml", "knn")
    among = method_lines(["a", "knn", "b", *"cdefghij", "maml"], "maml", "knn")
    assert {name: among[name] for name in alone} == alone
    looks = [(line.colour, line.marker, line.dash) for line in among.values()]
    assert len(set(looks)) == len(looks)


def test_missing_pieces_are_no_fault(tmp_path: Path) -> None:
    grid = np.array([[0.5, 0.5], [1.5, 0.5]])
    silent = np.full((2, 1), np.nan)
    corner, nothing = np.zeros(2), np.empty(0)
    rooms = (
        room_content(
            "deaf",
            features=("rtt",),
            methods=("maml",),
            maps=(
                SignalMap("AP9", corner, grid, silent[:, 0], grid, silent[:, 0], np.ones(2, bool)),
                SignalMap(
                    "AP8", corner, grid[:1], np.array([-40.0]), grid[:0], nothing, nothing > 0
                ),
            ),
            pairings=(
                Pairing("rtt", ("AP9",), silent, silent),
                Pairing("rss", ("AP9",), np.full((2, 1), -50.0), np.array([[-60.0], [-70.0]])),
            ),
            outline_m=np.empty((0, 2)),
            plan_png=None,
        ),
        RoomContent("empty", "The empty one", ()),
    )
    page, _ = page_of(
        tmp_path,
        report_content(
            *rooms, methods=(), provenance={}, command="", sources=(), alignment_methods=()
        ),
    )
    assert "No result in this room." in page.texts
    alts = [image["alt"] or "" for image in page.attributes("img")]
    assert any("AP9" in alt and "not heard anywhere" in alt for alt in alts)
    assert any("no point where both are known" in alt for alt in alts)


def test_report_stays_small(full: tuple[Page, str]) -> None:
    _, text = full
    images = [len(uri) for uri in re.findall(r"data:image/[^\"]+", text)]
    # Two rooms, three features, seven counts of labels and ten maps: about 70 images, 4 MB at most.
    assert max(images) < 120_000
    assert sum(images) / len(images) < 55_000


def test_bad_content_is_refused_whole(tmp_path: Path) -> None:
    room = room_content(features=("rss",), methods=("maml",))
    crooked = dataclasses.replace(room.pairings[0], measured=np.zeros((3, 2)))
    short = dataclasses.replace(room.maps[0], twin_dbm=np.zeros(3))
    path = tmp_path / "report.html"
    with pytest.raises(InputError) as caught:
        write_report(
            path,
            report_content(
                dataclasses.replace(room, plan_png=b"GIF89a", pairings=(crooked,), maps=(short,)),
                dataclasses.replace(room, name="hall"),
                dataclasses.replace(room, name="hall"),
            ),
        )
    keys = {fault.key for fault in caught.value.faults}
    assert keys == {
        "rooms",
        "plan_png",
        "pairings.rss",
        "maps.AP1.twin",
        "records, errors, differences",
    }
    with pytest.raises(InputError, match="at least one room"):
        write_report(path, dataclasses.replace(report_content(room), rooms=()))
    assert not path.exists()
