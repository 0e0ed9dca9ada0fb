import math
from collections.abc import Callable
from functools import partial
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from flows.metaloc import figures, figures_places
from flows.metaloc.drawing import LAYOUTS, METHODS, STARTS, as_png, look, ordered
from flows.metaloc.paper import PARAMETER_DISTANCE, TABLE_III, WITHIN_5_M
from flows.metaloc.summary import interval, selected, summarised
from tests.unit import metaloc_records as made
from twin.errors import InputError

DRAWN: dict[str, tuple[Callable, Callable]] = {
    "gradient steps": (figures.gradient_steps, made.fig8),
    "parameter distances": (figures.parameter_distances, made.fig8),
    "reference points": (figures.reference_points, made.fig9),
    "equal terms": (partial(figures.reference_points, terms="equal"), made.fig9),
    "similarity": (figures.similarity, made.fig10),
    "similarity ranks": (figures.similarity_ranks, made.fig10),
    "layouts": (figures.layouts, made.fig11),
    "table III": (figures_places.table_iii, made.table3),
    "site distributions": (figures_places.site_distributions, made.table3),
    "training": (figures_places.training, made.table3),
    "adaptation": (figures_places.adaptation, made.table3),
    "rooms": (figures_places.rooms, made.rooms),
    "variants of rooms": (partial(figures_places.rooms, variants=True), made.rooms),
    "corridors": (figures_places.corridors, made.corridors),
    "gradient alignment": (figures_places.gradient_alignment, made.theory),
}


def _aggregated(records):
    """As benchmarks/results/metaloc.json holds them."""
    found = []
    for each in summarised(records):
        names = {"study": each.study, "site": each.site, "method": each.method}
        numbers = {"mean": each.mean, "low": each.low, "high": each.high, "seeds": each.seeds}
        found.append({**names, **each.settings, "metric": each.metric, **numbers})
    return found


def _lines(figure):
    return [
        (line.get_label(), line.get_xdata().tolist(), line.get_ydata().tolist())
        for axes in figure.axes
        for line in axes.get_lines()
    ]


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_the_same_from_seeds_and_from_aggregates(name):
    draw, records = DRAWN[name]
    one, other = draw(records()), draw(_aggregated(records()))
    assert _lines(one) == _lines(other)
    assert any(axes.get_lines() or axes.patches or axes.collections for axes in one.axes)


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_refuses_records_of_another_study(name):
    draw, _ = DRAWN[name]
    stray = [{"study": "else", "method": "maml", "metric": "rmse_m", "seed": 0, "value": 1.0}]
    with pytest.raises(InputError, match=r"expected .*, found none"):
        draw(stray)


def _words(labels):
    """Whether ticks are named by words, not by numbers alone."""
    texts = [label.get_text() for label in labels]
    return bool(texts) and all(any(letter.isalpha() for letter in text) for text in texts)


@pytest.mark.parametrize("name", DRAWN)
def test_axes_say_what_they_show(name):
    draw, records = DRAWN[name]
    shown = [axes for axes in draw(records()).axes if axes.axison]
    assert shown
    for axes in shown:
        beside = axes.get_shared_y_axes().get_siblings(axes)
        assert axes.get_xlabel() or _words(axes.get_xticklabels())
        assert any(other.get_ylabel() for other in beside)


@pytest.mark.parametrize(
    ("name", "quantity"),
    [
        ("gradient steps", "RMSE [m]"),
        ("parameter distances", "distance from start to optimum"),
        ("reference points", "share of fixes"),
        ("similarity ranks", "RMSE after 10 steps [m]"),
        ("table III", "mean error [m]"),
        ("gradient alignment", "mean cosine between environments"),
    ],
)
def test_the_first_axis_names_its_quantity(name, quantity):
    draw, records = DRAWN[name]
    assert draw(records()).axes[0].get_ylabel() == quantity


def test_a_missing_key_is_named():
    chosen = [record for record in made.fig8() if record.get("steps") == 10]
    records = [{k: v for k, v in record.items() if k != "steps"} for record in chosen]
    with pytest.raises(InputError, match="steps: expected in every record of rmse_m"):
        figures.gradient_steps(records)


def test_double_axis_separates_few_and_many_samples():
    figure = figures.gradient_steps(made.fig8())
    below = [axes for axes in figure.axes if "124 samples" in axes.get_xlabel()]
    above = [axes for axes in figure.axes if "more samples" in axes.get_xlabel()]
    assert (len(below), len(above)) == (2, 2)
    assert [len(axes.get_lines()) for axes in below] == [3, 3]
    assert [len(axes.get_lines()) for axes in above] == [4, 4]


def test_a_diverged_method_does_not_flatten_the_others():
    records = [
        {**r, "value": 1e9} if r["method"] == "tl" and r.get("steps") == 50 else r
        for r in made.fig8()
    ]
    top = figures.gradient_steps(records).axes[0].get_ylim()[1]
    before = selected(records, "fig8", "rmse_m", steps=0)
    assert top == pytest.approx(2.1 * max(each.mean for each in before))


def test_the_paper_stands_beside_ours():
    hall = figures_places.table_iii(made.table3()).axes[0]
    [marks] = [line for line in hall.get_lines() if line.get_label() == "paper"]
    methods = ordered([m for m in made.METHODS if m != "wknn"])
    assert marks.get_ydata().tolist() == [TABLE_III["hall"][m].mean_m for m in methods]
    for axes in figures.parameter_distances(made.fig8()).axes:
        [marks] = axes.get_lines()
        assert marks.get_ydata().tolist() == [PARAMETER_DISTANCE["maml"], PARAMETER_DISTANCE["ri"]]
    shares = figures.reference_points(made.fig9()).axes[-1].get_lines()
    printed = [line.get_ydata()[0] for line in shares if line.get_label() == "_paper"]
    assert printed == list(WITHIN_5_M.values())


def test_terms_of_figure_9_decide_what_is_compared():
    for terms, (neighbours, networks, tuning) in figures.TERMS.items():
        found = figures.within(made.fig9(), terms)
        assert {each.get("tuning") for each in found} == {tuning}
        assert {e.get("labels") for e in found if e.method == "knn"} == {neighbours}
        assert {e.get("labels") for e in found if e.method == "maml"} == {networks}


def test_more_gradient_steps_of_one_method_do_not_enter_figure_9():
    more = [{**r, "steps": 300, "value": 1.0} for r in made.fig9() if r["method"] == "ri"]
    found = figures.within([*made.fig9(), *more], "equal")
    assert {each.get("steps") for each in found if each.method == "ri"} == {10}


def test_rank_correlation_is_in_the_title():
    titles = [axes.get_title("left") for axes in figures.similarity_ranks(made.fig10()).axes]
    means = {
        e.get("features"): e.mean
        for e in selected(made.fig10(), "fig10", "rank_correlation", scope="pooled", site="all")
    }
    assert titles == [f"{features}, ρ = {mean:.2f}" for features, mean in means.items()]


def test_variants_of_rooms_have_names_of_their_own():
    named = figures_places.by_variant(made.rooms())
    assert {"maml", "maml_twins_only", "maml_unadapted", "confi"} <= {r["method"] for r in named}
    assert all(record["method"] != "confi_unadapted" for record in named)
    base = {m.label for m in METHODS.values()}
    shown = {line.get_label() for line in figures_places.rooms(made.rooms()).axes[0].get_lines()}
    assert shown == base


def test_every_method_has_a_colour_of_its_own():
    for looks in (METHODS, STARTS, LAYOUTS):
        colours = [np.array(to_rgb(each.colour)) for each in looks.values()]
        assert min(np.linalg.norm(a - b) for a, b in combinations(colours, 2)) > 0.2
        assert len({each.marker for each in looks.values()}) == len(looks)


def test_a_variant_has_its_methods_colour_and_another_line():
    assert look("maml_twins_only").colour == look("maml").colour
    assert look("maml_twins_only").dash != look("maml").dash
    assert look("maml_unadapted").label == "MetaLoc (MAML), not adapted"


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match=r"method: expected one of maml.*, found svm"):
        look("svm")


def test_a_picture_is_the_same_for_the_same_records():
    pictures = [as_png(figures.parameter_distances(made.fig8())) for _ in range(2)]
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"\x89PNG")


def test_interval_is_that_of_students_t():
    mean, low, high = interval([1.0, 2.0, 3.0])
    half = 4.302653 / math.sqrt(3)  # the 0.975 quantile of two degrees of freedom, from a table
    assert mean == 2.0
    assert (low, high) == pytest.approx((2 - half, 2 + half), rel=1e-5)
    assert interval([5.0]) == (5.0, None, None)
    assert math.isnan(interval([1.0, math.inf])[0])


def test_what_a_run_finds_out_splits_no_seeds():
    common = {"study": "fig8", "method": "tl", "metric": "rmse_m", "rate_choice": "best"}
    records = [{**common, "seed": s, "rate": r, "value": 1.0} for s, r in ((0, 0.1), (1, 0.02))]
    [found] = summarised(records)
    assert (found.seeds, found.get("rate")) == (2, None)


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([{"study": "fig8", "method": "ri", "metric": "rmse_m", "value": 1.0}], "seed and value"),
        ([{"study": "fig8", "metric": "rmse_m", "seed": 0, "value": 1.0}], "method"),
        ([{"study": "a", "method": "b", "metric": "c", "seed": 0, "value": 1.0}] * 2, "seeds"),
    ],
)
def test_records_that_are_none_are_refused(records, said):
    with pytest.raises(InputError, match=said):
        summarised(records)
