"""Figures and tables of docs/metaloc.md from the results of ``benchmarks.metaloc``.

    python -m benchmarks.metaloc_docs

Reads ``benchmarks/results/metaloc.json`` (``records`` and ``claims``), writes the pictures into
``docs/images/metaloc`` and fills what lies between the markers of the page, ``<!-- results: NAME
-->`` and ``<!-- end of results -->``; NAME is ``claims`` or that of a section of
`flows.metaloc.sections`. No number of the page is typed by hand. What the records do not allow is
named on the page with the reason, and pictures of earlier results are removed.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.metaloc.drawing import as_png
from flows.metaloc.sections import SECTIONS, Section
from flows.metaloc.summary import Record, Records
from flows.metaloc.tables import claims_table, markdown
from twin import atomic
from twin.errors import Fault, InputError, refuse

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "metaloc.json"
PAGE = ROOT / "docs" / "metaloc.md"
IMAGES = ROOT / "docs" / "images" / "metaloc"
#: Longer tables are folded.
_MOST_ROWS = 14
_BLOCK = re.compile(
    r"(<!-- results: (?P<name>[a-z-]+) -->\n).*?(<!-- end of results -->)", flags=re.DOTALL
)


def filled(text: str, blocks: Mapping[str, str]) -> str:
    """The page with other content between its markers.

    Raises:
        InputError: a block without markers, markers twice, or markers without a block.
    """
    names = [match["name"] for match in _BLOCK.finditer(text)]
    refuse(
        Fault("page", f"results: {name}", "its markers once", f"{names.count(name)} times")
        for name in dict.fromkeys([*blocks, *names])
        if names.count(name) != 1 or name not in blocks
    )
    return _BLOCK.sub(
        lambda match: f"{match[1]}\n{blocks[match['name']].strip()}\n\n{match[3]}", text
    )


def blocks(
    records: Records, claims: list[Record], images: Path, linked: str
) -> tuple[dict[str, str], dict[Path, bytes]]:
    """What the page's markers are to hold, and the pictures.

    Args:
        records: aggregated, or of single seeds.
        claims: see `flows.metaloc.tables.claims_table`.
        images: folder of the pictures.
        linked: the same folder as the page names it.

    Returns:
        Markdown by name, and content by path.
    """
    pictures: dict[Path, bytes] = {}
    found = {"claims": markdown(claims_table(claims)) if claims else _none("claims")}
    for section in SECTIONS:
        own = [record for record in records if record["study"] == section.study]
        found[section.name] = (
            _section(section, own, images, linked, pictures) if own else _none(section.study)
        )
    return found, pictures


def _section(
    section: Section, records: Records, images: Path, linked: str, pictures: dict[Path, bytes]
) -> str:
    parts, missing = [], []
    for picture in section.pictures:
        try:
            pictures[images / f"{picture.name}.png"] = as_png(picture.draw(records))
        except InputError as error:
            missing.append(f"- {picture.name}: {error.faults[0]}")
            continue
        parts.append(f"![{picture.caption}]({linked}/{picture.name}.png)\n\n*{picture.caption}*")
    for make in section.tables:
        try:
            table = make(records)
        except InputError as error:
            missing.append(f"- table: {error.faults[0]}")
            continue
        text = markdown(table)
        if len(table.rows) > _MOST_ROWS:
            summary = f"{table.caption} ({len(table.rows)} rows)"
            text = f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"
        parts.append(text)
    if missing:
        parts.append("Not shown, for want of records:\n\n" + "\n".join(missing))
    return "\n\n".join(parts)


def _none(name: str) -> str:
    return f"No results of {name} yet."


def write(results: Mapping[str, Any], page: Path, images: Path) -> list[Path]:
    """Fill the page and write its pictures; gives their paths.

    Raises:
        InputError: see `filled`; nothing is written.
    """
    linked = images.relative_to(page.parent).as_posix()
    found, pictures = blocks(results["records"], results.get("claims", []), images, linked)
    text = filled(page.read_text(encoding="utf-8"), found)
    for path, content in pictures.items():
        atomic.write_bytes(path, content)
    for old in set(images.glob("*.png")) - set(pictures):
        old.unlink()
    atomic.write_text(page, text)
    return sorted(pictures)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--images", type=Path, default=IMAGES)
    arguments = parser.parse_args()
    results = json.loads(arguments.results.read_text(encoding="utf-8"))
    for path in write(results, arguments.page, arguments.images):
        print(path)


if __name__ == "__main__":
    main()
