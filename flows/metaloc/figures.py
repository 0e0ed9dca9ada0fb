"""MetaLoc's figures 8 to 11, from records: levels of path-loss laws and of ray-traced layouts.

Every function takes the records of any experiments, of single seeds or aggregated (see
`flows.metaloc.summary`), and draws the mean over seeds with its 95 % t-interval. It raises
`InputError` where the records lack what the figure needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flows.metaloc.drawing import (
    LAYOUTS,
    METHODS,
    STARTS,
    Look,
    bars,
    canvas,
    curve,
    legend,
    logarithmic_with_zero,
    look,
    ordered,
    printed,
    styled,
    ticks,
    words,
)
from flows.metaloc.paper import PARAMETER_DISTANCE, WITHIN_5_M
from flows.metaloc.summary import Records, Summary, matching, selected, values_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Greys of the random start, by rank of its number of labelled samples.
_GREYS = ("#b5b5b5", "#989898", "#7a7a7a", "#5c5c5c", "#3d3d3d")
_DASHES = (":", "-.", "--", "-", "-")


@styled
def gradient_steps(records: Records, preset: str = "small") -> Figure:
    """Fig. 8: RMSE [m] against gradient steps in the new environment.

    The lower axis counts the steps of methods with MetaLoc's few labels, the upper one those of a
    random start with more. Left: every method at its own step size; right: all at MetaLoc's. The
    error axis ends at twice the largest error before any step, so that what diverges hides nothing.
    """
    found = matching(
        selected(records, "fig8", "rmse_m", ("samples", "steps", "rate_choice")),
        preset=(preset, None),
    )
    few = min(
        values_of(selected(records, "fig8", "rmse_m", ("samples",), method="maml"), "samples")
    )
    panels = []
    for choice, title in (("best", "own step size"), ("same", "MetaLoc's step size")):
        own = [s for s in found if s.get("rate_choice") == choice or s.method == "maml"]
        if any(s.method != "maml" for s in own):
            panels.append((own, title))
    if not panels:
        panels = [(found, "gradient steps")]
    figure, grid = canvas(1, len(panels), 3.4, sharey=True)
    uppers = []
    for axes, (own, title) in zip(grid[0], panels, strict=True):
        for method in ordered([s.method for s in own]):
            rows = matching(own, method=method, samples=few)
            if rows:
                curve(axes, rows, "steps", look(method), f"{look(method).label}, {few} samples")
        axes.set_xlabel(f"gradient steps, {few} samples")
        axes.locator_params(axis="x", integer=True)
        more = [s for s in own if s.get("samples") != few]
        if more:
            uppers.append(_more_samples(axes, more))
        axes.set_title(title, loc="left")
    before = [s.mean for s in found if s.get("steps") == 0 and np.isfinite(s.mean)]
    largest = max(s.mean for s in found if np.isfinite(s.mean))
    grid[0, 0].set_ylim(0, 1.05 * min(largest, 2 * max(before, default=largest)))
    grid[0, 0].set_ylabel("RMSE [m]")
    legend(figure, *grid[0], *uppers)
    return figure


def _more_samples(axes: Axes, summaries: Sequence[Summary]) -> Axes:
    """The random start with more samples, on an axis of its own at the top."""
    upper = axes.twiny()
    counts = values_of(summaries, "samples")
    for rank, samples in enumerate(counts):
        place = min(rank, len(_GREYS) - 1)
        for method in ordered([s.method for s in summaries]):
            rows = matching(summaries, samples=samples, method=method)
            shown = Look("", _GREYS[place], "v", _DASHES[place], 1.2)
            if rows:
                curve(upper, rows, "steps", shown, f"{look(method).label}, {samples} samples")
    upper.spines["top"].set_visible(True)
    upper.grid(visible=False)
    upper.set_xlabel("gradient steps, more samples", color=_GREYS[3])
    upper.tick_params(axis="x", colors=_GREYS[3])
    upper.locator_params(axis="x", integer=True)
    return upper


@styled
def parameter_distances(records: Records) -> Figure:
    """Section V-A.1: ||theta* - theta_T*|| by initialisation, beside the paper's values.

    A panel for each reading of theta_T* in the records: least loss on the support set, or on the
    query set; all at MetaLoc's step size. The paper's network is of another size, so its values are
    a ratio to look at.
    """
    found = selected(records, "fig8", "parameter_distance", preset="small", rate_choice="same")
    readings = values_of(found, "optimum")
    methods = ordered([s.method for s in found])
    figure, grid = canvas(1, len(readings), 2.6, sharey=True)
    for axes, reading in zip(grid[0], readings, strict=True):
        rows = [matching(found, optimum=reading, method=method)[0] for method in methods]
        bars(axes, rows, [look(method) for method in methods], range(len(methods)), 0.6)
        theirs = [m for m in methods if m in PARAMETER_DISTANCE]
        printed(axes, [methods.index(m) for m in theirs], [PARAMETER_DISTANCE[m] for m in theirs])
        axes.set_xticks(range(len(methods)), [m.upper() for m in methods])
        axes.set_ylim(bottom=0)
        axes.set_title(f"least loss on the {reading} set" if reading else "", loc="left")
    legend(figure, *grid[0])
    grid[0, 0].set_ylabel("distance from start to optimum")
    return figure


#: What Fig. 9 compares: labels that neighbours and networks know, how K and step sizes are set.
TERMS = {
    "paper": ("references", "all", "fixed"),
    "equal": ("all", "all", "chosen"),
    "references": ("references", "references", "chosen"),
}


@styled
def reference_points(records: Records, terms: str = "paper") -> Figure:
    """Fig. 9: distribution of the error by number of reference points R, and P(error < 5 m).

    Args:
        records: of any experiments.
        terms: ``paper``: the neighbours know the reference points only, the networks some labels
            more, with K and step size as given; ``equal``: both know all, each with its best;
            ``references``: both know the reference points only, each with its best.
    """
    found = within(records, terms)
    counts = values_of(found, "references")
    columns = 3
    figure, grid = canvas(-(-(len(counts) + 1) // columns), columns, 2.5)
    panels = grid.ravel()
    for axes, count in zip(panels, counts, strict=False):
        distributions(axes, matching(found, references=count))
        axes.set_title(f"R = {count}", loc="left")
    for axes in panels[len(counts) + 1 :]:
        axes.set_axis_off()
    last = panels[len(counts)]
    for method in ordered([s.method for s in found]):
        near = matching(found, method=method, level_m=5.0)
        if near:
            curve(last, near, "references", look(method))
    words = "within 5 m"
    if terms == "paper":
        words += " (dashes: paper)"
        for method, share in WITHIN_5_M.items():
            printed(last, [10], [share], METHODS[method].colour, "_paper")
    last.set(xlabel="reference points R", ylabel="P(error < 5 m)", ylim=(0, 1.03))
    last.set_title(words, loc="left")
    legend(figure, *panels[: len(counts)])
    return figure


def within(records: Records, terms: str) -> list[Summary]:
    """Shares of errors up to a level on the given terms, see `reference_points`.

    A method that was run with several numbers of gradient steps is taken with the fewest, which is
    that of all others.
    """
    of_neighbours, of_networks, tuning = TERMS[terms]
    found = matching(
        selected(records, "fig9", "share_within", ("references", "level_m", "labels", "tuning")),
        tuning=tuning,
    )
    kept = []
    for method in dict.fromkeys(s.method for s in found):
        labels = of_neighbours if method in {"knn", "wknn"} else of_networks
        own = matching(found, method=method, labels=labels)
        steps = [s.get("steps") for s in own if s.get("steps") is not None]
        kept += matching(own, steps=min(steps)) if steps else own
    return kept


def distributions(axes: Axes, summaries: Sequence[Summary]) -> None:
    """Share of errors below each level, a line a method."""
    for method in ordered([s.method for s in summaries]):
        curve(axes, matching(summaries, method=method), "level_m", look(method), markers=False)
    axes.set(xlabel="error [m]", ylabel="share of fixes", ylim=(0, 1.03))
    axes.set_xlim(0, max(float(s.get("level_m")) for s in summaries))


@styled
def similarity(records: Records, features: str = "inputs") -> Figure:
    """Fig. 10: RMSE [m] against gradient steps by initialisation, over the MMD, a test task each.

    The tasks are the paper's where the records say which those are.
    """
    starts = ("ri", *STARTS)
    errors = selected(records, "fig10", "rmse_m", ("steps",), method=starts)
    near = selected(records, "fig10", "squared_mmd", ("environment",), features=(features, None))
    tasks = values_of(matching(errors, task_source="paper") or errors, "site")
    figure, grid = canvas(2, len(tasks), 2.6, sharey="row")
    environments = values_of(near, "environment")
    for column, task in enumerate(tasks):
        axes, below = grid[:, column]
        for name in [*STARTS, "ri"]:
            rows = matching(errors, site=task, method=name)
            if rows:
                curve(axes, rows, "steps", look(name, STARTS))
        logarithmic_with_zero(axes, ticks(errors))
        axes.set(xlabel="gradient steps")
        axes.set_title(words(task), loc="left")
        rows = matching(near, site=task)
        names = [f"theta_{1 + environments.index(s.get('environment'))}" for s in rows]
        bars(below, rows, [look(name, STARTS) for name in names], range(len(rows)), 0.65)
        below.set_xticks(range(len(rows)), [str(s.get("environment")) for s in rows])
        below.set_xlabel("environment")
    grid[0, 0].set_ylabel("RMSE [m]")
    grid[1, 0].set_ylabel("squared MMD")
    legend(figure, *grid[0])
    return figure


@styled
def similarity_ranks(records: Records, steps: int = 10) -> Figure:
    """Adapted error [m] against the squared MMD: a point a test task and environment.

    Left of the fingerprints as the network sees them, right of the levels. In the titles:
    Spearman's rank correlation over all points, mean over seeds.
    """
    errors = selected(records, "fig10", "rmse_m", ("steps",), steps=steps, method=tuple(STARTS))
    near = selected(records, "fig10", "squared_mmd", ("environment", "features"))
    scope = {"scope": "pooled", "steps": steps, "site": "all"}
    rank = selected(records, "fig10", "rank_correlation", ("features",), **scope)
    kinds = values_of(near, "features")
    environments = values_of(near, "environment")
    figure, grid = canvas(1, len(kinds), 3.2, sharey=True)
    for axes, kind in zip(grid[0], kinds, strict=True):
        for index, environment in enumerate(environments):
            name = f"theta_{index + 1}"
            own = {s.site: s.mean for s in matching(errors, method=name)}
            there = matching(near, features=kind, environment=environment, site=tuple(own))
            shown = look(name, STARTS)
            axes.scatter(
                [s.mean for s in there],
                [own[s.site] for s in there],
                color=shown.colour,
                marker=shown.marker,
                label=shown.label,
            )
        ours = matching(rank, features=kind)
        axes.set_xlabel("squared MMD to the environment")
        axes.set_title(f"{kind}, ρ = {ours[0].mean:.2f}" if ours else str(kind), loc="left")
    grid[0, 0].set_ylabel(f"RMSE after {steps} steps [m]")
    legend(figure, *grid[0])
    return figure


@styled
def layouts(records: Records) -> Figure:
    """Fig. 11: RMSE [m] against gradient steps in new layouts, by what was learned before.

    Pre-training and a random start are drawn at their own step sizes.
    """
    found = selected(records, "fig11", "rmse_m", ("steps", "start"), method=("maml", "tl", "ri"))
    sites = values_of(found, "site")
    figure, grid = canvas(1, len(sites), 3.2, sharey=True)
    for axes, site in zip(grid[0], sites, strict=True):
        for start, shown in LAYOUTS.items():
            rows = matching(found, site=site, method="maml", start=start)
            if rows:
                curve(axes, rows, "steps", shown)
        for method in ("tl", "ri"):
            rows = matching(found, site=site, method=method, rate_choice="best")
            if rows:
                curve(axes, rows, "steps", look(method))
        logarithmic_with_zero(axes, ticks(found))
        axes.set(xlabel="gradient steps")
        axes.set_title(words(site), loc="left")
    grid[0, 0].set_ylabel("RMSE [m]")
    grid[0, 0].set_ylim(bottom=0)
    legend(figure, *grid[0])
    return figure
