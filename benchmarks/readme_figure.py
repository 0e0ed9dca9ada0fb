"""The picture and the table of a demo's result: error against the number of labelled points.

python -m benchmarks.readme_figure out/demo/metrics.json docs/images/demo-report.png

The table is printed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from flows.methods import HERO, METHODS, REFERENCE
from twin.evaluate.records import Record
from twin.evaluate.report.figures import NAMES, draw_curves
from twin.evaluate.report.style import FIGURE_SETTINGS, method_lines

FEATURES = ("rss", "rtt")
SHOWN = (HERO, "pretraining", REFERENCE, "wknn")
TABLE_LABELS = (3, 5, 20)
TABLE_COLUMNS = {
    HERO: "MetaLoc",
    "pretraining": "plain pre-training",
    "pretraining_unadapted": "pre-training, aligned only",
    "wknn": "WKNN",
    REFERENCE: "KNN",
}
WITH_INTERVAL = (HERO, REFERENCE)
SIZE_IN, DPI = (8.0, 5.6), 150


def draw(records: Sequence[Record], path: Path) -> None:
    """Write a PNG with a row of panels for each room and a column for RSS and RTT."""
    rooms = tuple(dict.fromkeys(record.room for record in records))
    labels = {method.name: method.label for method in METHODS}
    # Colours as in the report, which gives them in the order of all methods.
    every = method_lines(labels, HERO, REFERENCE)
    lines = {name: every[name] for name in SHOWN}
    with mpl.rc_context(FIGURE_SETTINGS):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        panels = figure.subplots(len(rooms), len(FEATURES), sharey="row", squeeze=False)
        for room, row in zip(rooms, panels, strict=True):
            for feature, axes in zip(FEATURES, row, strict=True):
                own = [r for r in records if (r.room, r.feature) == (room, feature) and _shown(r)]
                title = f"{room.replace('_', ' ').capitalize()}, {NAMES[feature]}"
                draw_curves(axes, own, labels, lines, title)
                axes.label_outer()
            # The axes of a row are shared, and the first panel alone would set their end.
            inside = [r.ci_high for r in records if r.room == room and _shown(r)]
            row[0].set_ylim(0.0, 1.03 * max(inside))
        handles, found = panels[0, 0].get_legend_handles_labels()
        known = dict(zip(found, handles, strict=True))
        names = [labels[name] for name in SHOWN]
        figure.legend(
            [known[name] for name in names],
            names,
            loc="outside lower center",
            ncols=len(SHOWN),
            handlelength=2.6,
            title="Bands: 95 % intervals over test points and draws of the labelled points",
            title_fontsize=9,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DPI, metadata={"Software": None})


def _shown(record: Record) -> bool:
    return record.method in SHOWN and record.feature in FEATURES


def table(records: Sequence[Record]) -> str:
    """Mean errors [m] as Markdown, a row for each room, feature and number of labels."""
    found = {(r.room, r.feature, r.k, r.method): r for r in records}
    places = dict.fromkeys((record.room, record.feature) for record in records)
    lines = [
        f"| room, feature | k | {' | '.join(TABLE_COLUMNS.values())} |",
        "|---" * (2 + len(TABLE_COLUMNS)) + "|",
    ]
    for room, feature in places:
        for k in TABLE_LABELS:
            cells = [
                _cell(found[room, feature, k, method], method in WITH_INTERVAL)
                for method in TABLE_COLUMNS
            ]
            name = f"{room.replace('_', ' ')}, {feature.upper()}"
            lines.append(f"| {name} | {k} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(record: Record, interval: bool) -> str:
    mean = f"{record.mean_error_m:.2f}"
    return f"{mean} ({record.ci_low:.2f} to {record.ci_high:.2f})" if interval else mean


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("metrics", type=Path, help="metrics.json of a run")
    parser.add_argument("picture", type=Path, help="PNG to write")
    arguments = parser.parse_args()
    content = json.loads(arguments.metrics.read_text(encoding="utf-8"))
    records = [Record(**record) for record in content]
    draw(records, arguments.picture)
    print(table(records))


if __name__ == "__main__":
    main()
