"""MetaLoc's figures 12 to 14 and Table III on ray-traced sites, and those on measured places.

As in `flows.metaloc.figures`: records of single seeds or aggregated, means over seeds with 95 %
t-intervals, `InputError` where a figure's records are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.metaloc.drawing import (
    bars,
    canvas,
    curve,
    legend,
    look,
    ordered,
    printed,
    styled,
    words,
)
from flows.metaloc.figures import distributions
from flows.metaloc.paper import TABLE_III
from flows.metaloc.summary import Record, Records, Summary, matching, selected, values_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What the second figure of the rooms compares with the methods they are variants of.
VARIANTS = (
    "maml",
    "maml_twins_only",
    "maml_unadapted",
    "tl",
    "tl_twins_only",
    "knn",
    "knn_twin",
    "wknn_twin",
)


@styled
def table_iii(records: Records) -> Figure:
    """Table III: mean error [m] by method, beside the paper's values, a site a panel."""
    found = selected(records, "table3", "mean_error_m")
    sites = values_of(found, "site")
    figure, grid = canvas(1, len(sites), 3.2, sharey=True)
    for axes, site in zip(grid[0], sites, strict=True):
        methods = ordered([s.method for s in matching(found, site=site)])
        rows = [matching(found, site=site, method=method)[0] for method in methods]
        bars(axes, rows, [look(method) for method in methods], range(len(methods)), 0.7)
        paper = TABLE_III.get(site, {})
        theirs = [method for method in methods if method in paper]
        printed(axes, [methods.index(m) for m in theirs], [paper[m].mean_m for m in theirs])
        axes.set_xticks(range(len(methods)), [_short(method) for method in methods], rotation=45)
        axes.set_title(words(site), loc="left")
        axes.grid(visible=False, axis="x")
    grid[0, 0].set_ylabel("mean error [m]")
    legend(figure, *grid[0])
    return figure


@styled
def site_distributions(records: Records) -> Figure:
    """Fig. 12: distribution of the error by method, a site a panel."""
    found = selected(records, "table3", "share_within", ("level_m",))
    sites = values_of(found, "site")
    figure, grid = canvas(1, len(sites), 3.2, sharey=True)
    for axes, site in zip(grid[0], sites, strict=True):
        distributions(axes, matching(found, site=site))
        axes.set_title(words(site), loc="left")
    legend(figure, *grid[0])
    return figure


@styled
def training(records: Records) -> Figure:
    """Fig. 13: error [m] in the new environment against meta-steps, a site a panel."""
    return _against(
        selected(records, "table3", "training_error_m", ("meta_steps",)), "meta_steps", "meta-steps"
    )


@styled
def adaptation(records: Records) -> Figure:
    """Fig. 14: error [m] against gradient steps in the new environment, a site a panel."""
    return _against(
        selected(records, "table3", "adaptation_error_m", ("steps",)), "steps", "gradient steps"
    )


def _against(found: Sequence[Summary], key: str, label: str) -> Figure:
    sites = values_of(found, "site")
    figure, grid = canvas(1, len(sites), 3.0)
    for axes, site in zip(grid[0], sites, strict=True):
        own = matching(found, site=site)
        for method in ordered([s.method for s in own]):
            curve(axes, matching(own, method=method), key, look(method))
        axes.set(xlabel=label, ylabel="mean error [m]")
        axes.set_title(words(site), loc="left")
    legend(figure, *grid[0])
    return figure


def by_variant(records: Records) -> list[Record]:
    """Records of the rooms, with the history and the lack of adaptation in the method's name.

    ``maml`` that learned twins alone becomes ``maml_twins_only``, without a gradient step
    ``maml_unadapted``. ConFi takes no step by its nature.
    """
    found: list[Record] = []
    for record in records:
        if record.get("study") != "rooms":
            found.append(record)
            continue
        method = record["method"]
        if record.get("history") == "twins":
            method += "_twins_only"
        if record.get("steps") == 0 and method != "confi":
            method += "_unadapted"
        kept = {key: value for key, value in record.items() if key not in {"history", "steps"}}
        found.append({**kept, "method": method})
    return found


@styled
def rooms(records: Records, variants: bool = False) -> Figure:
    """Error [m] in the room left out against labelled points k: a column a room, a row a feature.

    Args:
        records: of any experiments.
        variants: MetaLoc and its rival beside what they are without adaptation and without real
            rooms in their history; else all methods.
    """
    found = selected(by_variant(records), "rooms", "mean_error_m", ("k", "feature"))
    methods = ordered([s.method for s in found])
    shown = [m for m in methods if (m in VARIANTS if variants else not _is_variant(m))]
    sites, features = values_of(found, "site"), values_of(found, "feature")
    figure, grid = canvas(len(features), len(sites), 2.8, sharey="row")
    for feature, panels in zip(features, grid, strict=True):
        for axes, site in zip(panels, sites, strict=True):
            own = matching(found, site=site, feature=feature, method=tuple(shown))
            _labels_panel(axes, own, values_of(found, "k"))
            axes.set_title(f"{words(site)}, {feature.upper()}", loc="left")
            axes.set_xlabel("labelled points k")
        panels[0].set_ylabel("mean error [m]")
    legend(figure, *grid.ravel())
    return figure


@styled
def corridors(records: Records) -> Figure:
    """Error [m] in the corridor left out against labelled points, a panel a corridor."""
    found = selected(records, "corridors", "mean_error_m", ("k",))
    middle = selected(records, "corridors", "centre_error_m", ("k",))
    sites = values_of(found, "site")
    columns = min(len(sites), 3)
    figure, grid = canvas(-(-len(sites) // columns), columns, 2.6, sharey=True)
    panels = grid.ravel()
    for axes, site in zip(panels, sites, strict=False):
        _labels_panel(axes, matching([*found, *middle], site=site), values_of(found, "k"))
        axes.set(xlabel="labelled points k", ylabel="mean error [m]")
        axes.set_title(words(site), loc="left")
    for axes in panels[len(sites) :]:
        axes.set_axis_off()
    legend(figure, *panels)
    return figure


def _is_variant(method: str) -> bool:
    return method.endswith(("_twins_only", "_unadapted", "_twin"))


def _labels_panel(axes: Axes, own: Sequence[Summary], counts: Sequence[int]) -> None:
    for method in ordered([s.method for s in own]):
        curve(axes, matching(own, method=method), "k", look(method))
    axes.set_xscale("log")
    axes.set_xticks(list(counts), [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)


@styled
def gradient_alignment(records: Records) -> Figure:
    """Theory: cosine between environments' outer gradients, and adapted error, by meta-steps."""
    cosine = selected(records, "theory", "gradient_cosine", ("meta_steps",))
    errors = selected(records, "theory", "rmse_m", ("meta_steps", "steps"))
    adapted = max(s.get("steps") for s in errors if s.get("steps") <= 10)
    figure, grid = canvas(1, 2, 2.8)
    for axes, rows, label in (
        (grid[0, 0], cosine, "mean cosine between environments"),
        (grid[0, 1], matching(errors, steps=adapted), f"RMSE after {adapted} steps [m]"),
    ):
        for method in ordered([s.method for s in rows]):
            curve(axes, matching(rows, method=method), "meta_steps", look(method))
        axes.set(xlabel="meta-steps", ylabel=label)
    legend(figure, *grid[0])
    return figure


def _short(method: str) -> str:
    return method.upper().replace("_", "-")
