"""The report on MetaLoc's experiments: one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.metaloc.drawing import as_png
from flows.metaloc.sections import SECTIONS, Section
from flows.metaloc.summary import Record, Records, summarised
from flows.metaloc.tables import Table, claims_table
from twin import atomic
from twin.errors import Fault, InputError, refuse
from twin.evaluate.report.figures import Image, png

REPORT = "report.html"


@dataclass(frozen=True)
class _Shown:
    """A section as the template shows it.

    Attributes:
        name, title: of the section.
        images: image, caption and name of each figure.
        tables: those that could be made.
        missing: why the others could not.
    """

    name: str
    title: str
    images: tuple[tuple[Image, str, str], ...]
    tables: tuple[Table, ...]
    missing: tuple[str, ...]


def write_report(
    records: Records,
    out: Path,
    title: str,
    command: str,
    environment: Mapping[str, str],
    claims: Sequence[Record] = (),
) -> Path:
    """Write ``report.html`` with the figures and tables that the records allow.

    What they do not allow is named on the page with the reason.

    Args:
        records: of single seeds or aggregated, see `flows.metaloc.summary`.
        out: folder, made where it is missing.
        title: of the page.
        command: that made the records; empty: not shown.
        environment: versions and the like, to be shown.
        claims: ``claim``, ``paper``, ``ours``, ``holds`` each, for a table at the top.

    Returns:
        Path of the page.

    Raises:
        InputError: no record, records that are none, or a study that no section shows.
        OSError: the folder cannot be written.
    """
    import jinja2

    refuse(_faults(records))
    studies = {record["study"] for record in records}
    page = (
        jinja2.Environment(
            loader=jinja2.PackageLoader("flows.metaloc", "."),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        .get_template("report.html.j2")
        .render(
            title=title,
            command=command,
            environment=environment,
            seeds=_seeds(records),
            claims=claims_table(claims) if claims else None,
            sections=[_shown(s, records) for s in SECTIONS if s.study in studies],
        )
    )
    atomic.write_text(out / REPORT, page)
    return out / REPORT


def _shown(section: Section, records: Records) -> _Shown:
    images, found, missing = [], [], []
    for picture in section.pictures:
        try:
            content = as_png(picture.draw(records))
            images.append((png(content, picture.caption), picture.caption, picture.name))
        except InputError as error:
            missing.append(f"{picture.name}: {error.faults[0]}")
    for make in section.tables:
        try:
            found.append(make(records))
        except InputError as error:
            missing.append(f"table: {error.faults[0]}")
    return _Shown(section.name, section.title, tuple(images), tuple(found), tuple(missing))


def _seeds(records: Records) -> str:
    """How many seeds the numbers rest on, in words."""
    counts = sorted({each.seeds for each in summarised(records)})
    least, most = counts[0], counts[-1]
    number = str(least) if least == most else f"{least} to {most}"
    return f"{number} seed{'' if most == 1 else 's'}"


def _faults(records: Records) -> list[Fault]:
    if not records:
        return [Fault("report", "records", "at least one", "none")]
    known = [section.study for section in SECTIONS]
    strays = sorted({str(record.get("study")) for record in records} - set(known))
    return [Fault("report", "study", f"one of {', '.join(known)}", stray) for stray in strays]
