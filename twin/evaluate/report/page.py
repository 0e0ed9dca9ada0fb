"""The report: one HTML file that needs nothing beside it, neither network nor folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np

from twin import atomic
from twin.errors import Fault, refuse
from twin.evaluate.report import figures, tables
from twin.evaluate.report.content import Method, ReportContent, RoomContent
from twin.evaluate.report.figures import Fit, Image
from twin.evaluate.report.style import Line, method_lines

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class _Pair:
    """Scatter of one feature with the numbers behind it."""

    name: str
    unit: str
    image: Image
    fits: tuple[Fit, ...]


@dataclass(frozen=True)
class _Room:
    """One room as the template shows it."""

    content: RoomContent
    verdicts: tuple[tables.Verdict, ...]
    plan: Image | None
    unlabelled: bool
    curves: tuple[Image, ...]
    cdfs: tuple[Image, ...]
    more_cdfs: tuple[Image, ...]
    alignments: tuple[Image, ...]
    tables: tuple[tables.Table, ...]
    pairs: tuple[_Pair, ...]
    maps: tuple[Image, ...]


def write_report(path: Path, content: ReportContent) -> None:
    """Write the report as a self-contained HTML file.

    Raises:
        InputError: no room, a room twice, or parts whose shapes do not fit; every fault.
        OSError: the folder cannot be written.
    """
    refuse(_faults(content))
    methods = _methods(content)
    names = tuple(method.name for method in methods)
    lines = method_lines(names, content.hero, content.reference)
    labels = {method.name: method.label for method in methods}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("twin.evaluate.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        metres=tables.metres,
        number=tables.number,
        plain=tables.plain,
        drawn=tables.drawn,
    )
    page = environment.get_template("report.html.j2").render(
        content=content,
        methods=methods,
        lines=lines,
        labels=labels,
        rooms=[_room(room, content, labels, lines) for room in content.rooms],
        feature_names=figures.NAMES,
        interval=tables.interval,
    )
    atomic.write_text(path, page)


def _room(
    room: RoomContent, content: ReportContent, labels: dict[str, str], lines: dict[str, Line]
) -> _Room:
    aside = set(content.alignment_methods) - {content.hero}
    main = {name: line for name, line in lines.items() if name not in aside}
    apart = {name: line for name, line in lines.items() if name in content.alignment_methods}

    def curves(which: dict[str, Line]) -> tuple[Image, ...]:
        found = []
        for feature in tables.FEATURES:
            own = [r for r in room.records if r.feature == feature and r.method in which]
            if own:
                found.append(figures.curves(own, labels, which, figures.NAMES[feature]))
        return tuple(found)

    def cdfs(counts: Sequence[int]) -> tuple[Image, ...]:
        found = []
        for k in counts:
            for feature in tables.FEATURES:
                own = [
                    e for e in room.errors if (e.feature, e.k) == (feature, k) and e.method in main
                ]
                if own:
                    title = f"{figures.NAMES[feature]}, k = {k}"
                    found.append(figures.cdfs(own, labels, main, title))
        return tuple(found)

    return _Room(
        content=room,
        verdicts=tables.verdicts(
            room.records,
            room.differences,
            content.headline_k,
            content.hero,
            content.reference,
            labels[content.reference],
        ),
        plan=None if room.plan_png is None else figures.png(room.plan_png, _plan_alt(room)),
        unlabelled=any(record.k == 0 for record in room.records),
        curves=curves(main),
        cdfs=cdfs([content.headline_k]),
        more_cdfs=cdfs(sorted({error.k for error in room.errors} - {content.headline_k})),
        alignments=curves(apart),
        tables=tables.tables(room.records, room.differences, tuple(lines)),
        pairs=tuple(
            _Pair(
                figures.NAMES[pairing.feature],
                figures.GAP_UNITS[pairing.feature],
                figures.scatter(pairing, figures.NAMES[pairing.feature]),
                figures.fits(pairing),
            )
            for pairing in room.pairings
        ),
        maps=tuple(figures.signal_map(each, room.outline_m, room.title) for each in room.maps),
    )


def _plan_alt(room: RoomContent) -> str:
    return f"Plan view of {room.title}. {room.plan_caption}".strip()


def _methods(content: ReportContent) -> tuple[Method, ...]:
    """The methods told of, then those that only the records know."""
    told = {method.name for method in content.methods}
    seen = [record.method for room in content.rooms for record in room.records]
    untold = dict.fromkeys([content.hero, content.reference, *seen])
    return (*content.methods, *(Method(name, name, "") for name in untold if name not in told))


def _faults(content: ReportContent) -> list[Fault]:
    faults = []
    names = [room.name for room in content.rooms]
    if not names:
        faults.append(Fault("report", "rooms", "at least one room", "none"))
    if len(set(names)) < len(names):
        faults.append(Fault("report", "rooms", "each room once", ", ".join(names)))
    for room in content.rooms:
        where = f"report on {room.name}"
        if room.plan_png is not None and not room.plan_png.startswith(_PNG_SIGNATURE):
            faults.append(Fault(where, "plan_png", "PNG bytes", repr(room.plan_png[:8])))
        strays = {each.room for each in room.records}
        strays |= {each.room for each in room.errors}
        strays |= {each.room for each in room.differences}
        if strays - {room.name}:
            found = ", ".join(sorted(strays - {room.name}))
            faults.append(Fault(where, "records, errors, differences", "those of the room", found))
        for pairing in room.pairings:
            key = f"pairings.{pairing.feature}"
            expected = (len(pairing.simulated), len(pairing.access_points))
            if pairing.feature not in figures.UNITS:
                faults.append(Fault(where, key, "rss or rtt", pairing.feature))
            shapes = {np.shape(pairing.simulated), np.shape(pairing.measured)} - {expected}
            faults.extend(Fault(where, key, f"shape {expected}", str(shape)) for shape in shapes)
        for each in room.maps:
            for side, positions, values in (
                ("twin", each.twin_m, each.twin_dbm),
                ("real", each.real_m, each.real_dbm),
                ("real_test", each.real_m, each.real_test),
            ):
                if np.shape(values) != (len(positions),):
                    key = f"maps.{each.access_point}.{side}"
                    faults.append(
                        Fault(where, key, f"shape ({len(positions)},)", str(np.shape(values)))
                    )
    return faults
