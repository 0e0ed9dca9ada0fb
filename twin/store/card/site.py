"""What a data card says of one site: variables, coverage, making, perturbation, notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import JsonValue

from twin.store.card.coverage import Coverage, Levels, coverage
from twin.store.card.croissant import described_variables, notes_on, site_summary, texts
from twin.store.card.markdown import bullets, count_text, decibels, part, share_text, table
from twin.store.pieces import SitePieces, short
from twin.store.schema import VARIABLES
from twin.store.spec import RESERVED_ATTRIBUTES

_ROWS_SHOWN = 40
_VALUE_CHARACTERS = 120
_NOTE_CHARACTERS = 400
_YEAR_S = 365.0 * 86400.0
_MISSING = {
    "power_left_out": "power left out by keeping only the strongest paths",
    "power_undiscovered": "power of paths that the search missed, by its own estimate",
}
# Told in sections of their own.
_TOLD = RESERVED_ATTRIBUTES | {"licence", "citation", "source"}


def site_section(site: SitePieces, level: int) -> str:
    """Markdown of a site, with headings of this level; its variables are told by name only.

    Raises:
        StoreError: data cannot be read.
    """
    names = ", ".join(f"`{name}`" for name in described_variables(site.spec))
    sections = {
        "Access points": _access_points(site),
        "What the data covers": _coverage_list(site, coverage(site)),
        "How it was made": _making(site),
        "What was perturbed": _drawn(site),
        "Notes": _notes(site),
    }
    mark = "#" * level
    parts = [f"{mark} {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join([site_summary(site.spec), f"Variables: {names}.", *parts])


def variables_table(sites: list[SitePieces]) -> str:
    """Markdown table of all variables of the sites, in the order of the schema."""
    there = {name for site in sites for name in described_variables(site.spec)}
    rows = []
    for variable in VARIABLES.values():
        if variable.name in there:
            what = "; ".join([variable.long_name, *notes_on(variable)])
            dims = ", ".join(variable.dims)
            unit = variable.unit or "-"
            rows.append([f"`{variable.name}`", dims, variable.dtype, unit, what])
    return table(["variable", "dimensions", "type", "unit", "what it is"], rows)


def _access_points(site: SitePieces) -> str:
    spec = site.spec
    if len(spec.access_points) > _ROWS_SHOWN:
        # Who has so many looks them up in the store.
        return ""
    columns: list[tuple[str, list[str]]] = [("access point", list(spec.access_points))]
    if spec.ap_position_m:
        places = [", ".join(f"{x:.2f}" for x in place) for place in spec.ap_position_m[0]]
        which = f", {spec.realisations[0]}" if len(spec.realisations) > 1 else ""
        columns.append((f"x, y, z [m]{which}", places))
    if spec.ap_frequency_hz:
        columns.append(("carrier [MHz]", [f"{hz / 1e6:.10g}" for hz in spec.ap_frequency_hz]))
    if spec.ap_power_dbm:
        columns.append(("power [dBm]", [f"{dbm:.6g}" for dbm in spec.ap_power_dbm]))
    if len(columns) == 1:
        return ""
    rows = list(zip(*(values for _, values in columns), strict=True))
    return _shown([head for head, _ in columns], rows)


def _coverage_list(site: SitePieces, found: Coverage) -> str:
    total = found.fingerprints + found.absent
    there = count_text(found.fingerprints, "fingerprint")
    lines = [f"{there} in {count_text(len(site.spec.realisations), 'realisation')}"]
    if found.absent:
        lines[0] += f"; {found.absent:,} of {total:,} places are empty (shorter realisations)"
    lines.append(f"points where nothing is heard: {part(found.silent, found.fingerprints)}")
    if any(found.splits.values()):
        uses = ", ".join(f"{count:,} {name}" for name, count in found.splits.items())
        lines.append(f"official split: {uses}")
    if found.fingerprints:
        spans = [
            f"{axis} {low:,.2f} to {high:,.2f}"
            for axis, low, high in zip(
                "xyz", found.lowest_corner, found.highest_corner, strict=True
            )
        ]
        lines.append(f"positions [m]: {', '.join(spans)}")
    lines += _heard_lines(site, found)
    lines += _path_lines(found)
    if found.csi_nmse_worst is not None:
        worst = decibels(found.csi_nmse_worst)
        lines.append(
            f"channels kept as {site.spec.precision}: squared error of a link {worst} at worst"
        )
    if found.seconds is not None:
        lines.append(_time_line(found.seconds, site.spec.time_origin))
    lines += [f"different values of `{name}`: {count:,}" for name, count in found.labels.items()]
    return bullets(lines)


def _time_line(seconds: tuple[float, float], origin: str) -> str:
    start = datetime.fromisoformat(origin)
    if start.timestamp() == 0.0 and seconds[1] < _YEAR_S:
        # Simulated walks count from anywhere.
        return f"time: {seconds[0]:,.1f} s to {seconds[1]:,.1f} s"
    days = [(start + timedelta(seconds=second)).isoformat(timespec="seconds") for second in seconds]
    return f"time: {days[0]} to {days[1]}"


def _heard_lines(site: SitePieces, found: Coverage) -> list[str]:
    lines = []
    if found.heard_range is not None:
        fewest, median, most = found.heard_range
        aps = len(site.spec.access_points)
        lines.append(
            f"access points heard at a point (by `{found.heard_by}`): median {median}, "
            f"{fewest} to {most}, of {aps}"
        )
    if found.never_heard:
        names = short(", ".join(found.never_heard), _VALUE_CHARACTERS)
        lines.append(f"access points heard nowhere: {len(found.never_heard):,} ({names})")
    if found.levels is not None:
        lines.append(_level_line(found.levels))
    return lines


def _level_line(levels: Levels) -> str:
    return (
        f"RSS: {levels.readings:,} readings ({share_text(levels.share_heard)} of all scans of all "
        f"access points), {levels.lowest:.1f} to {levels.highest:.1f} dBm, median "
        f"{levels.median:.1f}, 90 % of them between {levels.low:.1f} and {levels.high:.1f}"
    )


def _path_lines(found: Coverage) -> list[str]:
    lines = []
    if found.links_without_path is not None:
        lines.append(f"links without a path: {part(found.links_without_path, found.links)}")
    if found.paths_median is not None:
        lines.append(f"paths of a link that has some: median {found.paths_median:.0f}")
    for name, (total, worst) in found.power_missing.items():
        shares = f"{share_text(total)} of all, {share_text(worst)} of a link at worst"
        lines.append(f"{_MISSING[name]}: {shares}")
    if found.line_of_sight is not None:
        lines.append(
            f"links in line of sight, where it is known: {share_text(found.line_of_sight)}"
        )
    return lines


def _making(site: SitePieces) -> str:
    records = site.attributes.get("provenance")
    parts = []
    if isinstance(records, list):
        for number, record in enumerate(records, start=1):
            head = "Written by" if number == 1 else "Gone on with by"
            if isinstance(record, dict) and "compacted" in record:
                head = "Rewritten by"
            parts.append(f"{head}:\n\n{_settings(record)}")
    if site.spec.config:
        parts.append(
            "Settings that decide the content (part of the config digest):\n\n"
            f"{_settings(site.spec.config)}"
        )
    traced = site.attributes.get("traced")
    if traced:
        parts.append(
            f"As the solver and the receiver's model said themselves:\n\n{_settings(traced)}"
        )
    return "\n\n".join(parts)


def _settings(content: JsonValue) -> str:
    rows = [[f"`{key}`", short(value, _VALUE_CHARACTERS)] for key, value in _flat(content)]
    return _shown(["what", "value"], rows)


def _shown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, cut where it is long."""
    more = len(rows) - _ROWS_SHOWN
    text = table(head, rows[:_ROWS_SHOWN])
    return f"{text}\n\n... and {more:,} more." if more > 0 else text


def _flat(content: JsonValue, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(content, Mapping) and content:
        for name, value in content.items():
            yield from _flat(value, f"{key}.{name}" if key else name)
    elif isinstance(content, list) and any(isinstance(item, dict | list) for item in content):
        for index, value in enumerate(content):
            yield from _flat(value, f"{key}.{index}")
    elif isinstance(content, list):
        yield key, ", ".join(map(_plain, content)) or "none"
    else:
        yield key, _plain(content)


def _plain(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    return "none" if value in (None, {}) else str(value)


def _drawn(site: SitePieces) -> str:
    rows = []
    for quantity in site.spec.drawn:
        if quantity.categories:
            counts = [quantity.values.count(float(i)) for i in range(len(quantity.categories))]
            pairs = zip(quantity.categories, counts, strict=True)
            drawn = ", ".join(f"{name} ({count}x)" for name, count in pairs)
            rows.append([f"`{quantity.name}`", "-", drawn])
        else:
            low, high = min(quantity.values), max(quantity.values)
            rows.append([f"`{quantity.name}`", quantity.unit, f"{low:.6g} to {high:.6g}"])
    if not rows:
        return ""
    intro = "Drawn anew for each realisation; every value is in `drawn`."
    return f"{intro}\n\n{_shown(['quantity', 'unit', 'drawn'], rows)}"


def _notes(site: SitePieces) -> str:
    """What else the site's attributes say; what is large stays there."""
    lines = []
    for name, value in site.attributes.items():
        if name in _TOLD:
            continue
        if isinstance(value, str | int | float):
            lines.append(f"{_words(name)}: {_plain(value)}")
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            lines.append(f"{_words(name)}: {short('; '.join(texts(value)), _NOTE_CHARACTERS)}")
        else:
            lines.append(f"{_words(name)}: in full in the attribute `{name}`")
    source = site.attributes.get("source")
    if source:
        lines.insert(0, f"source: {', '.join(texts(source))}")
    return bullets(lines)


def _words(name: str) -> str:
    return name.replace("_", " ")
