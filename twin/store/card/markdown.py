"""Small pieces of Markdown, and numbers as people write them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; line breaks and bars in cells do no harm."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def part(number: int, total: int) -> str:
    """So many of so many."""
    return f"{number:,} of {total:,}" + (f" ({share_text(number / total)})" if number else "")


def count_text(number: int, word: str) -> str:
    """So many things, in the singular where it is one."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def share_text(share: float) -> str:
    """A share in per cent."""
    if share == 0.0:
        return "nothing"
    return f"{100.0 * share:.2g} %" if share < 0.1 else f"{100.0 * share:.1f} %"


def decibels(ratio: float) -> str:
    """A ratio of powers in dB."""
    return f"{10.0 * math.log10(ratio):.1f} dB" if ratio > 0.0 else "zero"


def size_text(size: int) -> str:
    """Bytes in a unit that fits."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size / 1e3:.1f} kB"
