"""How MetaLoc's figures look: one line a method everywhere, bands and bars with intervals."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np

from flows.metaloc.summary import Records, Summary, Value
from twin.errors import Fault, refuse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
#: Width [in] of a figure of several panels, and of a single one.
WIDE, NARROW = 8.4, 5.4
DPI = 150
#: Of a picture; bands and text edges need no more.
_COLOURS = 192
_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class Look:
    """How a method is shown.

    Attributes:
        label: its name in figures and tables.
        colour: one that stays apart from the others' under the common colour blindnesses.
        marker: of matplotlib.
        dash: solid for MetaLoc, dashed for other networks, dotted for what is no network.
        width: of the line [pt].
        hollow: markers without a filling, for variants of a method.
    """

    label: str
    colour: str
    marker: str
    dash: str = "-"
    width: float = 1.5
    hollow: bool = False


# Okabe and Ito's colours, with a brown and a grey for the eighth and ninth method.
_BLUE, _RED, _GREEN, _ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
_PINK, _SKY, _BROWN, _GREY, _BLACK = "#CC79A7", "#56B4E9", "#8C6D31", "#7A7A7A", "#222222"

METHODS: dict[str, Look] = {
    "maml": Look("MetaLoc (MAML)", _BLUE, "o", width=2.2),
    "maml_dg": Look("MetaLoc (MAML-DG)", _RED, "s", width=2.2),
    "maml_ts": Look("MetaLoc (MAML-TS)", _GREEN, "^", width=2.2),
    "tl": Look("TL, pre-training", _ORANGE, "D", "--"),
    "ri": Look("RI, random start", _GREY, "v", "--"),
    "confi": Look("ConFi", _SKY, "P", "--"),
    "ilcl": Look("ILCL", _BLACK, "X", ":"),
    "knn": Look("KNN", _PINK, "<", ":"),
    "wknn": Look("WKNN", _BROWN, ">", ":"),
}
#: What any method should beat.
CENTRE = Look("always the middle", "#a8a8a8", "", ":", 1.2)
#: Names of Fig. 10's initialisations; the environments have the same colours.
STARTS: dict[str, Look] = {
    "theta_1": Look("θ₁ (environment one)", _BLUE, "o"),
    "theta_2": Look("θ₂ (environment two)", _RED, "s"),
    "theta_3": Look("θ₃ (environment three)", _GREEN, "^"),
    "theta_total": Look("θ total (all)", _BLACK, "D", width=2.2),
}
#: Fig. 11's, by the key `start` of the records.
LAYOUTS: dict[str, Look] = {
    "wi_plm": Look("layouts and path-loss laws", _BLUE, "o", width=2.2),
    "wi": Look("layouts only", _RED, "s", ":", 2.2),
    "wi_long": Look("layouts only, as many steps", _GREEN, "^", "--"),
    "plm": Look("path-loss laws only", _PINK, "P", "-."),
}
#: Endings of names, with the words and the dash of the variant.
_VARIANTS = {
    "_twins_only": (", twins only", "-."),
    "_unadapted": (", not adapted", ":"),
    "_twin": (" on the twin", "-."),
}


def look(method: str, extra: Mapping[str, Look] | None = None) -> Look:
    """How a method is shown; a variant has the colour of its method.

    Raises:
        InputError: a method that has no line.
    """
    known = {**METHODS, "centre": CENTRE, **(extra or {})}
    if method in known:
        return known[method]
    for ending, (said, dash) in _VARIANTS.items():
        base = known.get(method.removesuffix(ending))
        if method.endswith(ending) and base is not None:
            return replace(base, label=base.label + said, dash=dash, width=1.2, hollow=True)
    expected = f"one of {', '.join(known)}, or a variant {', '.join(_VARIANTS)}"
    refuse([Fault("figures of MetaLoc", "method", expected, method)])
    raise AssertionError  # refused above


def ordered(methods: Sequence[str]) -> list[str]:
    """Methods in the order of `METHODS`, variants and others behind."""
    rank = {name: place for place, name in enumerate([*METHODS, *STARTS])}
    return sorted(dict.fromkeys(methods), key=lambda name: rank.get(name, len(rank)))


def styled(
    draw: Callable[Concatenate[Records, P], Figure],
) -> Callable[Concatenate[Records, P], Figure]:
    """The house's fonts and colours around a function that draws."""

    @wraps(draw)
    def drawn(records: Records, /, *args: P.args, **kwargs: P.kwargs) -> Figure:
        with _settings():
            return draw(records, *args, **kwargs)

    return drawn


@contextmanager
def _settings() -> Iterator[None]:
    import matplotlib as mpl

    from twin.evaluate.report.style import FIGURE_SETTINGS

    with mpl.rc_context(FIGURE_SETTINGS):
        yield


def canvas(rows: int, columns: int, panel_in: float = 3.0, **shared: Value) -> tuple[Figure, Any]:
    """A figure without a screen, and its (rows, columns) axes; legends go below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = NARROW if columns == 1 else WIDE
    figure = Figure(figsize=(width, rows * panel_in + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def curve(
    axes: Axes,
    summaries: Sequence[Summary],
    key: str,
    shown: Look,
    label: str = "",
    markers: bool = True,
) -> None:
    """Mean over seeds against a numeric key, with the band of its interval."""
    points = sorted(summaries, key=lambda each: float(each.get(key)))
    x = [float(each.get(key)) for each in points]
    axes.plot(
        x,
        [each.mean for each in points],
        color=shown.colour,
        linestyle=shown.dash,
        linewidth=shown.width,
        marker=shown.marker if markers else None,
        markersize=5,
        markerfacecolor="white" if shown.hollow else shown.colour,
        label=label or shown.label,
    )
    low = [np.nan if each.low is None else each.low for each in points]
    high = [np.nan if each.high is None else each.high for each in points]
    if len(points) > 1:
        axes.fill_between(x, low, high, color=shown.colour, alpha=0.14, linewidth=0)
    else:
        axes.vlines(x, low, high, color=shown.colour, linewidth=shown.width)


def bars(
    axes: Axes,
    summaries: Sequence[Summary],
    looks: Sequence[Look],
    at: Sequence[float],
    width: float,
) -> None:
    """Upright bars of means, with intervals as whiskers."""
    for each, shown, x in zip(summaries, looks, at, strict=True):
        axes.bar(x, each.mean, width, color=shown.colour, alpha=0.85)
        if each.low is not None and each.high is not None:
            axes.vlines(x, each.low, each.high, color="#222222", linewidth=1.4)


def printed(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    colour: str = "black",
    label: str = "paper",
) -> None:
    """Values that the paper printed, as dashes that stand out on bars of any colour."""
    from matplotlib.patheffects import Normal, Stroke

    axes.plot(
        x,
        y,
        color=colour,
        label=label,
        marker="_",
        markersize=16,
        markeredgewidth=2.2,
        linestyle="none",
        path_effects=[Stroke(linewidth=4.4, foreground="white"), Normal()],
    )


def legend(figure: Figure, *axes: Axes, columns: int = 3) -> None:
    """One legend below all panels, each name once."""
    known: dict[str, Any] = {}
    for one in axes:
        for handle, name in zip(*one.get_legend_handles_labels(), strict=True):
            known.setdefault(name, handle)
    figure.legend(
        list(known.values()),
        list(known),
        loc="outside lower center",
        ncols=min(columns, max(len(known), 1)),
        handlelength=2.6,
        columnspacing=1.2,
    )


def logarithmic_with_zero(axes: Axes, marked: Sequence[int]) -> None:
    """Steps on a logarithmic axis where 0 has a place of its own."""
    axes.set_xscale("symlog", linthresh=1.0, linscale=0.5)
    axes.set_xticks(list(marked), [str(tick) for tick in marked])
    axes.minorticks_off()


def ticks(summaries: Sequence[Summary]) -> list[int]:
    """Numbers of gradient steps to mark on an axis."""
    last = max(each.get("steps") for each in summaries)
    return [tick for tick in _TICKS if tick <= last]


def words(name: str) -> str:
    """A name of a site as people write it."""
    return name.replace("_", " ")


def as_png(figure: Figure) -> bytes:
    """The figure as a PNG that is the same for the same content, of a third of the usual size."""
    from PIL import Image

    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(_COLOURS).save(content, format="PNG", optimize=True)
    return content.getvalue()
