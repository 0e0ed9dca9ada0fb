"""The figures, each as an image that stands inside the page together with its words."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from twin.evaluate.metrics import cumulative
from twin.evaluate.records import Errors, Record
from twin.evaluate.report.content import Array, Pairing, SignalMap
from twin.evaluate.report.style import AP_COLOURS, AP_MARKERS, FAINT, FIGURE_SETTINGS, INK, Line

UNITS = {"rss": "dBm", "rtt": "m"}
GAP_UNITS = {"rss": "dB", "rtt": "m"}
NAMES = {"rss": "RSS", "rtt": "RTT", "rss+rtt": "RSS and RTT"}

# Wide enough for a column of the page, and at the width of a phone still with letters one can read.
_WIDTH_IN = 4.2
_MAP_DPI = 190


@dataclass(frozen=True)
class Image:
    """An image as a data URI, what it shows in words, and its natural size [px]."""

    uri: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Fit:
    """How the simulated values of an access point follow the measured ones; NaN if undefined."""

    access_point: str
    points: int
    offset: float
    correlation: float
    residual_std: float


def png(content: bytes, alt: str) -> Image:
    """A PNG made elsewhere."""
    width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
    return Image(
        "data:image/png;base64," + base64.b64encode(content).decode("ascii"), alt, width, height
    )


def curves(
    records: Sequence[Record], labels: Mapping[str, str], lines: Mapping[str, Line], title: str
) -> Image:
    """Mean error against the number of labelled points, a line and a band for each method."""
    with mpl.rc_context(FIGURE_SETTINGS):
        shown = [name for name in lines if any(record.method == name for record in records)]
        figure, axes = _canvas(shown)
        draw_curves(axes, records, labels, lines, title)
        words = []
        for name in shown:
            own = sorted((r for r in records if r.method == name), key=lambda record: record.k)
            words.append(
                f"{labels[name]} " + ", ".join(f"{r.mean_error_m:.2f} at {r.k}" for r in own)
            )
        _legend(figure, axes, shown, labels)
        return _svg(
            figure, f"{title}: mean error in metres by number of labels. {'; '.join(words)}."
        )


def draw_curves(
    axes: Axes,
    records: Sequence[Record],
    labels: Mapping[str, str],
    lines: Mapping[str, Line],
    title: str,
) -> None:
    """The lines and bands of `curves` in axes of the caller, without a legend."""
    counts = sorted({record.k for record in records})
    shown = [name for name in lines if any(record.method == name for record in records)]
    bare = [name for name in shown if any((r.method, r.k) == (name, 0) for r in records)]
    # The hero is drawn last, over all others.
    for name in sorted(shown, key=lambda name: lines[name].width):
        # Side by side where there is no label, so that none hides another.
        aside = 0.14 * (bare.index(name) - (len(bare) - 1) / 2) if name in bare else 0.0
        own = sorted((r for r in records if r.method == name), key=lambda record: record.k)
        for part in ([r for r in own if r.k == 0], [r for r in own if r.k > 0]):
            if part:
                _curve(axes, part, lines[name], labels[name], aside)
    axes.set_xticks([_label_axis(k) for k in counts], [str(k) for k in counts])
    axes.set_xlabel("labelled real points")
    axes.set_ylabel("mean position error [m]")
    axes.set_ylim(bottom=0)
    axes.set_title(title, loc="left")


def cdfs(
    errors: Sequence[Errors], labels: Mapping[str, str], lines: Mapping[str, Line], title: str
) -> Image:
    """Share of fixes within each error, a line per method."""
    with mpl.rc_context(FIGURE_SETTINGS):
        shown = [name for name in lines if any(error.method == name for error in errors)]
        figure, axes = _canvas(shown)
        ends = [float(np.quantile(error.errors_m, 0.98)) for error in errors]
        levels = np.linspace(0.0, max([*ends, 0.1]), 161)
        for name in sorted(shown, key=lambda name: lines[name].width):
            line = lines[name]
            pooled = np.concatenate([e.errors_m.ravel() for e in errors if e.method == name])
            axes.plot(
                levels,
                100.0 * cumulative(pooled, levels),
                color=line.colour,
                linestyle=line.dash,
                linewidth=line.width,
                marker=line.marker,
                markevery=(10, 40),
                markersize=5,
                label=labels[name],
            )
        axes.set_xlim(0, levels[-1])
        axes.set_ylim(0, 101.5)
        axes.set_xlabel("position error [m]")
        axes.set_ylabel("fixes within that error [%]")
        axes.set_title(title, loc="left")
        _legend(figure, axes, shown, labels)
        halves = "; ".join(
            f"{labels[error.method]} {np.median(error.errors_m):.2f}" for error in errors
        )
        return _svg(figure, f"{title}: distribution of the error. Medians in metres: {halves}.")


def signal_map(content: SignalMap, outline_m: Array, room: str) -> Image:
    """RSS in the twin and in reality on one colour scale; access point and test points marked."""
    with mpl.rc_context(FIGURE_SETTINGS):
        heard = np.concatenate([content.twin_dbm.ravel(), content.real_dbm.ravel()])
        heard = heard[np.isfinite(heard)]
        low, high = np.quantile(heard, (0.01, 0.99)) if heard.size else (-90.0, -30.0)
        scale = Normalize(float(low), float(high) if high > low else float(low) + 1.0)
        corners = np.concatenate(
            [
                part[:, :2]
                for part in (
                    content.twin_m,
                    content.real_m,
                    outline_m,
                    content.access_point_m[np.newaxis],
                )
                if len(part)
            ]
        )
        (left, bottom), (right, top) = corners.min(axis=0) - 0.5, corners.max(axis=0) + 0.5
        aspect = (right - left) / (top - bottom)
        stacked = aspect > 1.7
        panel_in = _WIDTH_IN / aspect if stacked else _WIDTH_IN / 2 / aspect
        figure = Figure(
            figsize=(_WIDTH_IN, (2 if stacked else 1) * (panel_in + 0.35) + 1.0),
            layout="constrained",
        )
        rows, columns = (2, 1) if stacked else (1, 2)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True)
        none = np.zeros(len(content.twin_m), dtype=np.bool_)
        _map_panel(panels[0], content, content.twin_m, content.twin_dbm, none, outline_m, scale)
        _map_panel(
            panels[1],
            content,
            content.real_m,
            content.real_dbm,
            content.real_test,
            outline_m,
            scale,
        )
        panels[0].set_title("twin", loc="left")
        panels[1].set_title("reality", loc="left")
        for axes in panels:
            axes.set(xlim=(left, right), ylim=(bottom, top))
        panels[-1].set_xlabel("x [m]")
        panels[0].set_ylabel("y [m]")
        if stacked:
            panels[1].set_ylabel("y [m]")
        else:
            panels[0].set_xlabel("x [m]")
        colours = mpl.cm.ScalarMappable(scale, "viridis")
        bar = figure.colorbar(
            colours, ax=list(panels), location="bottom", shrink=0.8, aspect=32, extend="both"
        )
        bar.set_label("RSS [dBm]")
        figure.suptitle(content.access_point, x=0.02, ha="left", fontweight="bold", fontsize=10.5)
        alt = (
            f"Maps of the RSS of {content.access_point} in {room}: "
            f"twin {_range(content.twin_dbm)}, reality {_range(content.real_dbm)}."
        )
        return _png(figure, alt)


def fits(pairing: Pairing) -> tuple[Fit, ...]:
    """Offset, correlation and residual of each access point, and of all within access points.

    What tells access points apart is left out of the last; it would pass for agreement.
    """
    simulated, measured = _without_offset(pairing)
    found = []
    for index, name in enumerate(pairing.access_points):
        gap = pairing.measured[:, index] - pairing.simulated[:, index]
        offset = float(np.mean(gap[np.isfinite(gap)])) if np.isfinite(gap).any() else float("nan")
        found.append(_fit(name, simulated[:, index], measured[:, index], offset))
    if len(found) > 1:
        known = np.isfinite(simulated) & np.isfinite(measured)
        centre = np.where(known, measured, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        found.append(
            _fit("all", (simulated - centre).ravel(), (measured - centre).ravel(), float("nan"))
        )
    return tuple(found)


def scatter(pairing: Pairing, title: str) -> Image:
    """Simulated against measured values, offsets taken out, an access point a colour and marker."""
    unit, gap_unit = UNITS[pairing.feature], GAP_UNITS[pairing.feature]
    simulated, measured = _without_offset(pairing)
    overall = fits(pairing)[-1]
    with mpl.rc_context(FIGURE_SETTINGS):
        figure, axes = _canvas(pairing.access_points)
        drawn = []
        for index, name in enumerate(pairing.access_points):
            both = np.isfinite(simulated[:, index]) & np.isfinite(measured[:, index])
            if not both.any():
                continue
            drawn.append(name)
            axes.scatter(
                measured[both, index],
                simulated[both, index],
                s=16,
                alpha=0.75,
                linewidths=0,
                color=AP_COLOURS[index % len(AP_COLOURS)],
                marker=AP_MARKERS[index % len(AP_MARKERS)],
                label=name,
            )
        if drawn:
            ends = np.array([*axes.get_xlim(), *axes.get_ylim()])
            low, high = ends.min(), ends.max()
            axes.plot([low, high], [low, high], color=INK, linewidth=1, linestyle="--", zorder=0)
            axes.set(xlim=(low, high), ylim=(low, high))
            words = (
                f"r = {overall.correlation:.2f}, residual std {overall.residual_std:.1f} {gap_unit}"
            )
        else:
            words = "no point where both are known"
        axes.set_box_aspect(1)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.text(
            0.03,
            0.97,
            words,
            transform=axes.transAxes,
            va="top",
            fontsize=9.5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2},
        )
        axes.set_xlabel(f"measured {NAMES[pairing.feature]} [{unit}]")
        axes.set_ylabel(f"simulated, offset removed [{unit}]")
        axes.set_title(title, loc="left")
        _legend(figure, axes, drawn, {name: name for name in drawn}, columns=5)
        return _svg(
            figure, f"{title}: simulated against measured, {overall.points} pairs; {words}."
        )


def _curve(axes: Axes, records: Sequence[Record], line: Line, label: str, aside: float) -> None:
    x = [_label_axis(record.k) + (0.0 if record.k else aside) for record in records]
    low, high = [r.ci_low for r in records], [r.ci_high for r in records]
    mean = [record.mean_error_m for record in records]
    strong = line.width > 2
    axes.plot(
        x,
        mean,
        color=line.colour,
        linestyle=line.dash,
        linewidth=line.width,
        marker=line.marker,
        markersize=6.5 if strong else 5,
        label=label,
    )
    if len(records) > 1:
        axes.fill_between(
            x, low, high, color=line.colour, alpha=0.22 if strong else 0.09, linewidth=0
        )
    else:
        axes.vlines(x, low, high, color=line.colour, alpha=0.6, linewidth=line.width)


def _label_axis(k: int) -> float:
    """Logarithmic, with a place of its own for no label at all."""
    return float(np.log2(k)) if k > 0 else -1.2


def _canvas(entries: Sequence[str]) -> tuple[Figure, Axes]:
    legend_in = 0.19 * ((len(entries) + 1) // 2)
    figure = Figure(figsize=(_WIDTH_IN, 3.3 + legend_in), layout="constrained")
    return figure, figure.subplots()


def _legend(
    figure: Figure, axes: Axes, order: Sequence[str], labels: Mapping[str, str], columns: int = 2
) -> None:
    handles, found = axes.get_legend_handles_labels()
    known = dict(zip(found, handles, strict=True))
    if order:
        figure.legend(
            [known[labels[name]] for name in order],
            [labels[name] for name in order],
            loc="outside lower left",
            ncols=columns,
            handlelength=2.6 if columns == 2 else 1.0,
            columnspacing=1.2,
            handletextpad=0.6,
            borderaxespad=0.1,
        )


def _map_panel(
    axes: Axes,
    content: SignalMap,
    position_m: Array,
    rss_dbm: Array,
    test: np.typing.NDArray[np.bool_],
    outline_m: Array,
    scale: Normalize,
) -> None:
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    if len(outline_m):
        closed = np.concatenate([outline_m, outline_m[:1]])
        axes.plot(closed[:, 0], closed[:, 1], color="#6b7078", linewidth=1.2)
    heard = np.isfinite(rss_dbm)
    side = _pitch(position_m)
    corners = position_m[:, :2] - side / 2
    tiles = PatchCollection(
        [Rectangle((x, y), side, side) for x, y in corners[heard]],
        cmap="viridis",
        antialiased=False,
    )
    tiles.set_norm(scale)
    tiles.set_array(rss_dbm[heard])
    axes.add_collection(tiles)
    silent = [Rectangle((x, y), side, side) for x, y in corners[~heard]]
    axes.add_collection(
        PatchCollection(silent, facecolor="none", edgecolor=FAINT, hatch="////", linewidth=0.4)
    )
    if not heard.any():
        axes.text(
            0.5,
            0.5,
            "not heard anywhere",
            transform=axes.transAxes,
            ha="center",
            fontsize=9,
            backgroundcolor="white",
        )
    axes.plot(
        *position_m[test, :2].T,
        "o",
        markersize=3.6,
        markerfacecolor="white",
        markeredgecolor="black",
        markeredgewidth=0.8,
    )
    axes.plot(
        *content.access_point_m[:2, np.newaxis],
        marker="*",
        markersize=13,
        markerfacecolor="#ff3b30",
        markeredgecolor="white",
        markeredgewidth=1.0,
        clip_on=False,
        zorder=5,
    )


def _pitch(position_m: Array) -> float:
    """Side of the squares that stand for points: their usual distance, 0.6 m for a lone one."""
    points = np.unique(np.round(position_m[:, :2], 3), axis=0)
    if len(points) < 2:
        return 0.6
    some = points[:: max(1, len(points) // 200)]
    gap = np.hypot(*(some[:, np.newaxis] - points[np.newaxis]).T)
    nearest = np.min(np.where(gap > 0, gap, np.inf), axis=0)
    return float(np.median(nearest))


def _without_offset(pairing: Pairing) -> tuple[Array, Array]:
    """Simulated values shifted to the measured mean of their access point; the measured ones."""
    gap = pairing.measured - pairing.simulated
    known = np.isfinite(gap)
    count = np.maximum(known.sum(axis=0), 1)
    offset = np.where(known, gap, 0.0).sum(axis=0) / count
    return pairing.simulated + offset, pairing.measured


def _fit(name: str, simulated: Array, measured: Array, offset: float) -> Fit:
    both = np.isfinite(simulated) & np.isfinite(measured)
    one, other = simulated[both], measured[both]
    correlation = residual = float("nan")
    if one.size > 2:
        residual = float(np.std(other - one, ddof=1))
        if np.std(one) > 0 and np.std(other) > 0:
            correlation = float(np.corrcoef(one, other)[0, 1])
    return Fit(name, int(one.size), offset, correlation, residual)


def _range(rss_dbm: Array) -> str:
    heard = rss_dbm[np.isfinite(rss_dbm)]
    if not heard.size:
        return "not heard anywhere"
    return f"{heard.min():.0f} to {heard.max():.0f} dBm, {heard.size} of {rss_dbm.size} points"


def _svg(figure: Figure, alt: str) -> Image:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    # A hundredth of a point is more than a screen shows; the other digits are half of the file.
    text = re.sub(r'(?<=\sd=")[^"]+', _rounded, text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, 'Segoe UI', Roboto, sans-serif")
    encoded = base64.b64encode(re.sub(r"\n\s*", "\n", text).encode()).decode("ascii")
    return Image("data:image/svg+xml;base64," + encoded, alt, *_pixels(figure))


def _rounded(match: re.Match[str]) -> str:
    return re.sub(r"(\.\d\d)\d+", r"\1", match.group())


def _png(figure: Figure, alt: str) -> Image:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_MAP_DPI, metadata={"Software": None})
    encoded = base64.b64encode(stream.getvalue()).decode("ascii")
    return Image("data:image/png;base64," + encoded, alt, *_pixels(figure))


def _pixels(figure: Figure) -> tuple[int, int]:
    width, height = figure.get_size_inches() * 96
    return round(width), round(height)
