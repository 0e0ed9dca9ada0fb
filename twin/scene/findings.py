"""What a check of a scene finds: how bad, where, why, and the cure; for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from twin.errors import Fault

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")

# Findings of one kind that are written out; the rest of them are counted.
_WRITTEN_OUT: dict[Level, int] = {"error": 8, "warning": 8, "note": 3}


@dataclass(frozen=True)
class Finding:
    """One thing that a check has to say about a scene.

    Args:
        level: ``error``: such a scene is refused. ``warning``: it can be traced, but what comes out
            is likely not what its author meant. ``note``: a figure to know.
        fault: place in the declaration, what was expected there, what was found, and the cure.
        at_m: place in the world, (x, y) or (x, y, z) [m], where it has one.
    """

    level: Level
    fault: Fault
    at_m: tuple[float, ...] | None = None


def findings_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings as plain content: level, where, key, expected, found, cure, at_m (or None)."""
    return [
        {
            "level": finding.level,
            "where": finding.fault.where,
            "key": finding.fault.key,
            "expected": finding.fault.expected,
            "found": finding.fault.found,
            "cure": finding.fault.cure,
            "at_m": None if finding.at_m is None else list(finding.at_m),
        }
        for finding in findings
    ]


def render(findings: Sequence[Finding]) -> str:
    """Findings as text for people: errors first, then warnings, notes, and a line that counts.

    Many of one kind are cut short to the first eight of them, notes to three, and it says so.
    """
    lines: list[str] = []
    for level in LEVELS:
        chosen = [finding for finding in findings if finding.level == level]
        kinds: dict[tuple[str, str], int] = {}
        for finding in chosen:
            kind = _kind(finding)
            kinds[kind] = kinds.get(kind, 0) + 1
            if kinds[kind] <= _WRITTEN_OUT[level]:
                lines += [_note(finding)] if level == "note" else _written(finding)
        lines += [
            f"{level:<8} {part}: {count - _WRITTEN_OUT[level]} more of the kind that expected "
            f"{expected} (--json lists them all)"
            for (part, expected), count in kinds.items()
            if count > _WRITTEN_OUT[level]
        ]
    return "\n".join([*lines, summary(findings)])


def summary(findings: Sequence[Finding]) -> str:
    """How many findings there are of each level, in words."""
    return ", ".join(
        _count(sum(finding.level == level for finding in findings), level) for level in LEVELS
    )


def _kind(finding: Finding) -> tuple[str, str]:
    return finding.fault.key.split(".")[0], finding.fault.expected


def _written(finding: Finding) -> list[str]:
    fault = finding.fault
    at = "" if finding.at_m is None else f" at {_place(finding.at_m)}"
    lines = [
        f"{finding.level:<8} {fault.key or fault.where}{at}",
        f"         expected {fault.expected}",
        f"         found    {fault.found}",
    ]
    return [*lines, f"         cure     {fault.cure}"] if fault.cure else lines


def _note(finding: Finding) -> str:
    fault = finding.fault
    text = f"note     {fault.key}: {fault.found}"
    return f"{text}. {fault.cure}" if fault.cure else text


def _place(at: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in at) + ") m"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
