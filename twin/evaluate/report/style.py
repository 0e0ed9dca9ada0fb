"""One look for every figure: the line of each method, the colours of access points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from matplotlib.typing import RcKeyType

# Colours that stay apart under the common colour blindnesses: Okabe and Ito for methods,
# Tol's "muted" for access points, so that the two are not taken for each other.
_METHOD_COLOURS = ("#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#8C6D31", "#7A7A7A")
_HERO_COLOUR = "#0072B2"
_REFERENCE_COLOUR = "#D55E00"
_METHOD_MARKERS = ("^", "D", "v", "P", "X", "<", ">", "*")
_METHOD_DASHES = ("--", "-.", ":")
AP_COLOURS = (
    "#332288",
    "#CC6677",
    "#117733",
    "#DDAA33",
    "#44AA99",
    "#882255",
    "#88CCEE",
    "#999933",
)
AP_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

INK = "#222222"
FAINT = "#c9ccd1"

FIGURE_SETTINGS: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "axes.edgecolor": "#8a8f98",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e6ea",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    # Text as text: a third of the size of outlines.
    "svg.fonttype": "none",
    "svg.hashsalt": "fingertwin",
}


@dataclass(frozen=True)
class Line:
    """How one method is drawn."""

    colour: str
    marker: str
    dash: str
    width: float


def method_lines(names: Iterable[str], hero: str, reference: str) -> dict[str, Line]:
    """A line for each method; those of hero and reference do not depend on who else is there."""
    lines = {}
    others = 0
    for name in names:
        if name == hero:
            lines[name] = Line(_HERO_COLOUR, "o", "-", 2.6)
        elif name == reference:
            lines[name] = Line(_REFERENCE_COLOUR, "s", "-", 2.2)
        else:
            lines[name] = Line(
                _METHOD_COLOURS[others % len(_METHOD_COLOURS)],
                _METHOD_MARKERS[others % len(_METHOD_MARKERS)],
                _METHOD_DASHES[others % len(_METHOD_DASHES)],
                1.4,
            )
            others += 1
    return lines
