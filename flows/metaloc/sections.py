"""What pages show of MetaLoc's experiments: figures and tables of each, in the paper's order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from flows.metaloc import figures, figures_places, tables
from flows.metaloc.drawing import LAYOUTS, STARTS
from flows.metaloc.figures_places import by_variant
from flows.metaloc.summary import Records, matching
from flows.metaloc.tables import Cut, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure of a section.

    Attributes:
        name: of its file, without the ending.
        caption: what it shows and how to read it.
        draw: raises `InputError` where the records lack what it needs.
    """

    name: str
    caption: str
    draw: Callable[[Records], Figure]


@dataclass(frozen=True)
class Section:
    """One experiment.

    Attributes:
        name: key of its table in the documentation.
        title: heading.
        study: of its records.
        pictures: its figures.
        tables: of the records; raise as the figures do.
    """

    name: str
    title: str
    study: str
    pictures: tuple[Picture, ...]
    tables: tuple[Callable[[Records], Table], ...]


TERMS_WORDS = {
    "paper": "as the paper compares: neighbours know the reference points, networks further labels",
    "equal": "all know all labels, each with the best K or step size",
    "references": "all know the reference points alone, each with the best K or step size",
}
_BAND = "Mean over seeds; bands and whiskers: 95 % t-intervals."


def _cut(
    caption: str,
    study: str,
    metric: str,
    rows: tuple[str, ...],
    columns: str = "method",
    digits: int = 2,
    **only: object,
) -> Callable[[Records], Table]:
    cut = Cut(caption, study, metric, rows, columns, only, digits)
    return lambda records: tables.tabled(by_variant(records), cut)


def _within_5_m(terms: str) -> Callable[[Records], Table]:
    caption = f"Share of errors within 5 m; {TERMS_WORDS[terms]}"

    def made(records: Records) -> Table:
        found = matching(figures.within(records, terms), level_m=5.0)
        return tables.laid_out(found, caption, ("references",))

    return made


SECTIONS = (
    Section(
        "convergence",
        "Fig. 8: how fast a new environment is learned",
        "fig8",
        (
            Picture(
                "fig8-gradient-steps",
                "RMSE on the queries against gradient steps. Lower axis: MetaLoc and its "
                f"rivals with few labels; upper axis, greys: a random start with more. {_BAND}",
                figures.gradient_steps,
            ),
            Picture(
                "fig8-parameter-distance",
                "Distance from the initialisation to the parameters of the least error that "
                f"gradient steps of MetaLoc's size reach. {_BAND} Dashes: printed in the paper, "
                "for a network of another size.",
                figures.parameter_distances,
            ),
        ),
        (
            _cut(
                "RMSE [m] by number of labelled samples and gradient steps",
                "fig8",
                "rmse_m",
                ("preset", "rate_choice", "samples", "steps"),
                steps=(0, 10, 50, 300),
            ),
            _cut(
                "Distance from start to optimum, the least loss on the set named",
                "fig8",
                "parameter_distance",
                ("optimum", "rate_choice"),
            ),
        ),
    ),
    Section(
        "reference-points",
        "Fig. 9: fewer reference points",
        "fig9",
        (
            Picture(
                "fig9-paper-terms",
                "Distribution of errors as the paper compares: neighbours know the R reference "
                f"points, networks adapt on further labels. {_BAND}",
                figures.reference_points,
            ),
            Picture(
                "fig9-equal-terms",
                "The same where every method knows all labels and has the K, or the step size, "
                f"that is best in places of the historical environments. {_BAND}",
                partial(figures.reference_points, terms="equal"),
            ),
        ),
        tuple(map(_within_5_m, TERMS_WORDS)),
    ),
    Section(
        "similarity",
        "Fig. 10: does MMD tell which environment helps?",
        "fig10",
        (
            Picture(
                "fig10-environments",
                "Above: RMSE against gradient steps from initialisations of single "
                "environments and of all, for the paper's three test tasks. Below: squared MMD "
                f"between their fingerprints and each environment's. {_BAND}",
                figures.similarity,
            ),
            Picture(
                "fig10-ranks",
                "RMSE after ten gradient steps against the squared MMD, all test tasks, means over "
                "seeds; ρ: Spearman's rank correlation over all points.",
                figures.similarity_ranks,
            ),
        ),
        (
            _cut(
                "RMSE [m] after ten gradient steps",
                "fig10",
                "rmse_m",
                ("task_source", "site"),
                steps=10,
                method=(*STARTS, "ri"),
            ),
            _cut(
                "Rank correlation of squared MMD and RMSE after ten steps, over all test tasks and "
                "over the paper's",
                "fig10",
                "rank_correlation",
                ("site", "features"),
                "scope",
                steps=10,
            ),
            _cut(
                "Error above that of the best single environment [m], after ten steps",
                "fig10",
                "regret_m",
                ("features",),
                steps=10,
            ),
        ),
    ),
    Section(
        "layouts",
        "Fig. 11: other layouts, with and without path-loss laws before",
        "fig11",
        (
            Picture(
                "fig11-layouts",
                "RMSE against gradient steps in two layouts that no training saw, by what was "
                f"learned before. {_BAND}",
                figures.layouts,
            ),
        ),
        (
            _cut(
                "RMSE of MetaLoc [m] by what was learned before",
                "fig11",
                "rmse_m",
                ("site", "steps"),
                "start",
                method="maml",
                start=tuple(LAYOUTS),
            ),
            _cut(
                "RMSE of the rivals with networks [m]",
                "fig11",
                "rmse_m",
                ("site", "rate_choice", "steps"),
                method=("tl", "ri"),
                steps=(0, 10, 50, 500),
            ),
            _cut(
                "RMSE of the neighbours [m]",
                "fig11",
                "rmse_m",
                ("site", "knows"),
                method=("knn", "wknn"),
            ),
        ),
    ),
    Section(
        "days",
        "Table III and Figs. 12 to 14: a new day in the hall and the lab",
        "table3",
        (
            Picture(
                "table3-errors",
                f"Mean error. {_BAND} Dashes: the paper's values, measured in other rooms.",
                figures_places.table_iii,
            ),
            Picture(
                "fig12-distributions",
                f"Distribution of errors. {_BAND}",
                figures_places.site_distributions,
            ),
            Picture(
                "fig13-training",
                f"Error in the new environment while the initialisation is trained. {_BAND}",
                figures_places.training,
            ),
            Picture(
                "fig14-adaptation",
                f"Error while a method adapts to the new environment. {_BAND}",
                figures_places.adaptation,
            ),
        ),
        (
            tables.table_iii,
            _cut(
                "Mean distance of the nearest points in histograms to the truth [m], by what a "
                "histogram is taken of",
                "table3",
                "nearest_distance_m",
                ("site",),
                "histogram",
            ),
            _cut(
                "Error of the answer that is always the middle [m]",
                "table3",
                "centre_error_m",
                ("site",),
            ),
        ),
    ),
    Section(
        "rooms",
        "Real rooms, one left out",
        "rooms",
        (
            Picture(
                "rooms",
                f"Mean error in the room left out against labelled points in it. {_BAND}",
                figures_places.rooms,
            ),
            Picture(
                "rooms-variants",
                "What adaptation and the other real rooms are worth: hollow markers without "
                f"them, or with the twin's points as reference points. {_BAND}",
                partial(figures_places.rooms, variants=True),
            ),
        ),
        (
            _cut("Mean error [m]", "rooms", "mean_error_m", ("site", "feature", "k")),
            tables.step_sizes,
        ),
    ),
    Section(
        "corridors",
        "Real channel state information: corridors, one left out",
        "corridors",
        (
            Picture(
                "corridors",
                "Mean error in the corridor left out against labelled points in it, and that of "
                f"the answer that is always the middle of its reference points. {_BAND}",
                figures_places.corridors,
            ),
        ),
        (
            _cut("Mean error [m]", "corridors", "mean_error_m", ("site", "k")),
            _cut(
                "Error of the answer that is always the middle of the reference points [m]",
                "corridors",
                "centre_error_m",
                ("site", "k"),
            ),
        ),
    ),
    Section(
        "theory",
        "Theory made visible",
        "theory",
        (
            Picture(
                "theory-alignment",
                "Cosine between the outer gradients of different environments, and the adapted "
                f"error in a new one, while the initialisation is trained. {_BAND}",
                figures_places.gradient_alignment,
            ),
        ),
        (
            tables.theorem_1,
            _cut(
                "Distance from start to optimum",
                "theory",
                "parameter_distance",
                (),
                rate_choice="premise",
            ),
        ),
    ),
    Section(
        "speed",
        "Speed",
        "speed",
        (),
        (
            _cut(
                "Seconds of a meta-step; medians over rounds, intervals of the median",
                "speed",
                "median_step_s",
                ("network", "order"),
                digits=4,
            ),
            _cut(
                "How many times as long as ours; medians of the ratios of rounds",
                "speed",
                "times_ours",
                ("network", "order"),
            ),
            _cut(
                "Seconds of adaptation and location together",
                "speed",
                "median_location_s",
                ("network", "protocol", "fingerprints"),
                digits=3,
            ),
        ),
    ),
)
