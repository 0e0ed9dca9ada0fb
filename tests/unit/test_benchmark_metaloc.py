"""Claims follow from numbers by one rule, and runs of the benchmark go on where they stopped."""

from __future__ import annotations

import ast
import json
import math
import os
import sys
from concurrent.futures import Future

import numpy as np
import pytest

from benchmarks import metaloc, metaloc_days_long, metaloc_jobs, metaloc_rival, metaloc_speed
from benchmarks.metaloc_claims import (
    ROOM_NETWORKS,
    claims,
    fig9,
    fig10,
    real,
    speeds,
    table3,
    theory,
)
from benchmarks.metaloc_days_long import more_steps
from benchmarks.metaloc_gather import LARGEST, aggregated, as_json, as_markdown, results, thinned
from benchmarks.metaloc_jobs import Experiment, Job, in_turns
from benchmarks.metaloc_verdicts import (
    Side,
    above,
    alike,
    averages,
    below,
    decided,
    series,
)
from flows.metaloc import code, convergence
from flows.metaloc.code import code_digest
from flows.metaloc.paper import TABLE_III
from flows.metaloc.study import load_metaloc_study
from twin.config import StrictModel
from twin.errors import Fault, InputError

SEEDS = range(5)


def record(study, metric, method, seed, value, site="hall", **settings):
    names = {"study": study, "site": site, "method": method, "seed": seed}
    return {**names, **settings, "metric": metric, "value": value}


def seeded(study, metric, method, mean, spread=0.1, **settings):
    """One value a seed, around a mean."""
    offsets = np.linspace(-spread, spread, len(SEEDS))
    return [
        record(study, metric, method, seed, mean + offset, **settings)
        for seed, offset in zip(SEEDS, offsets, strict=True)
    ]


def verdict(less, more):
    claim = below("s", "c", "p", Side("a", dict(enumerate(less))), Side("b", dict(enumerate(more))))
    return claim["holds"]


def theorem_1(method, label, premise, risk, bound):
    """The claim at the step size in use, from one value a seed of each quantity."""
    values = {"premise_holds": premise, "excess_risk": risk, "first_bound": bound}
    records = [
        record("theory", metric, method, seed, value, rate_choice="used")
        for metric, seeds in values.items()
        for seed, value in enumerate(seeds)
    ]
    claim = f"Theorem 1 bounds the excess risk of {label} at the step size in use"
    return by_text(theory(records))[claim]


def by_text(found):
    return {claim["claim"]: claim for claim in found}


class TestVerdicts:
    def test_the_whole_interval_decides(self):
        assert decided(0.1, 0.2) is True
        assert decided(-0.2, -0.1) is False
        assert decided(-0.1, 0.1) == "not separated"
        assert decided(0.0, 0.2) == "not separated"
        assert decided(None, None) == "not separated"
        assert decided(1.5, 2.5, limit=2.0) == "not separated"

    def test_seeds_are_compared_pair_by_pair(self):
        # Seeds differ by metres, methods by 0.1 m in each of them: unpaired nothing would show.
        hard = [1.0, 3.0, 5.0, 7.0]
        assert verdict(hard, [value + 0.1 + 0.01 * value for value in hard]) is True
        assert verdict([value + 0.1 + 0.01 * value for value in hard], hard) is False

    def test_noise_separates_nothing(self):
        assert verdict([1.0, 2.0, 3.0], [1.2, 1.9, 3.1]) == "not separated"

    def test_one_seed_separates_nothing(self):
        assert verdict([1.0], [9.0]) == "not separated"

    def test_seeds_of_one_side_alone_do_not_count(self):
        claim = below("s", "c", "p", Side("a", {0: 1.0, 1: 1.0}), Side("b", {2: 9.0, 3: 9.0}))
        assert claim["holds"] == "not measured"

    @pytest.mark.parametrize(
        ("less", "more", "holds"),
        [
            ([1.0, 1.0], [math.nan, math.inf], True),
            ([math.nan, math.inf], [1.0, 1.0], False),
            ([1.0, 1.0], [math.nan, 2.0], "not separated"),
            ([math.nan, math.nan], [math.nan, math.nan], "not separated"),
            ([1.0], [math.nan], "not separated"),
        ],
    )
    def test_what_diverged_has_no_interval(self, less, more, holds):
        assert verdict(less, more) == holds

    def test_a_quantity_against_a_limit(self):
        values = {seed: 0.5 + 0.01 * seed for seed in SEEDS}
        found = [above("s", "c", "p", Side("a", values), limit)["holds"] for limit in (0, 0.52, 1)]
        assert found == [True, "not separated", False]

    @pytest.mark.parametrize(
        ("gap", "spread", "holds"),
        [(0.0, 0.001, True), (0.2, 0.001, False), (0.05, 0.02, "not separated")],
    )
    def test_alike_is_shown_and_not_assumed(self, gap, spread, holds):
        one = {seed: gap + spread * (seed - 2) for seed in SEEDS}
        other = dict.fromkeys(SEEDS, 0.0)
        assert alike("s", "c", "p", Side("a", one), Side("b", other), 0.05)["holds"] == holds

    def test_two_values_for_a_seed_are_refused(self):
        records = seeded("fig8", "rmse_m", "maml", 1.0, steps=1)
        records += seeded("fig8", "rmse_m", "maml", 2.0, steps=2)
        assert len(series(records, "fig8", "rmse_m", method="maml", steps=2)) == len(SEEDS)
        with pytest.raises(ValueError, match="two values"):
            series(records, "fig8", "rmse_m", method="maml")

    def test_means_are_over_what_all_methods_have(self):
        records = [record("rooms", "mean_error_m", "maml_dg", 0, 1.0, k=k) for k in (1, 3)]
        records += [record("rooms", "mean_error_m", "knn", 0, 4.0 * k, k=k) for k in (1, 3, 10)]
        found = averages(records, "rooms", "mean_error_m", ("site", "k"))
        assert found == {"maml_dg": {0: 1.0}, "knn": {0: 8.0}}


class TestClaims:
    def test_nothing_is_claimed_without_records(self):
        found = claims([])
        assert len(found) > 50
        assert {claim["holds"] for claim in found} == {"not measured"}
        assert len({(claim["study"], claim["claim"]) for claim in found}) == len(found)

    def test_shares_within_five_metres(self):
        shares = {
            ("maml", "all", "fixed"): 0.9,
            ("wknn", "references", "fixed"): 0.7,
            ("knn", "references", "fixed"): 0.5,
            ("maml", "all", "chosen"): 0.9,
            ("knn", "all", "chosen"): 0.95,
        }
        records = []
        for (method, labels, tuning), share in shares.items():
            steps = {"steps": 10} if method == "maml" else {}
            settings = {"labels": labels, "tuning": tuning, "references": 10, "level_m": 5.0}
            records += seeded("fig9", "share_within", method, share, 0.01, **settings, **steps)
        found = by_text(fig9(records))
        terms = "on the paper's terms"
        start = "P(error < 5 m) at R = 10:"
        assert found[f"{start} MetaLoc (MAML) above WKNN, {terms}"]["holds"] is True
        assert found[f"{start} WKNN above KNN, {terms}"]["holds"] is True
        assert found[f"{start} WKNN above KNN, {terms}"]["paper"] == "0.51 against 0.65"
        assert found[f"{start} MetaLoc above KNN, both knowing all labels"]["holds"] is False

    @pytest.mark.parametrize(
        ("correlation", "holds"), [(0.6, True), (-0.6, False), (0.02, "not separated")]
    )
    def test_rank_correlation(self, correlation, holds):
        settings = {"scope": "pooled", "features": "inputs", "steps": 10}
        other = {"site": "paper", **settings}
        records = seeded("fig10", "rank_correlation", "mmd", 0.9, **other)
        settings["site"] = "all"
        records += seeded("fig10", "rank_correlation", "mmd", correlation, **settings)
        records += seeded("fig10", "rmse_m", "theta_1", 2.0, steps=10)
        found = by_text(fig10(records))
        text = "MMD of inputs ranks all pairs of tasks and environments as the adapted error does"
        assert found[text]["holds"] == holds

    def test_table_iii_in_the_paper_s_order(self):
        records = [
            each
            for site, rows in TABLE_III.items()
            for method, row in rows.items()
            for each in seeded("table3", "mean_error_m", method, row.mean_m, 0.4, site=site)
        ]
        found = by_text(table3(records))
        whole = found["hall: the order of all methods is that of Table III"]
        assert whole["holds"] is True
        assert whole["ours"].startswith("of 28 pairs 28 so, 0 the other way")
        assert whole["paper"].startswith("maml_dg < maml_ts < maml < tl")
        assert found["lab: TL, pre-training errs less than RI, random start"]["holds"] is True

    def test_neighbours_that_are_told_as_much(self):
        records = seeded("table3", "mean_error_m", "maml_dg", 2.0)
        records += seeded("table3", "mean_error_m", "knn", 1.0)
        records += seeded("table3", "equal_budget_error_m", "knn", 3.0)
        found = by_text(table3(records))
        start = "hall: MetaLoc (MAML-DG) errs less than KNN"
        assert found[start]["holds"] is False
        assert found[f"{start} with MetaLoc's labels and historical images"]["holds"] is True

    def test_table_iii_with_two_methods_the_other_way_round(self):
        means = {method: row.mean_m for method, row in TABLE_III["hall"].items()}
        means["knn"] = means["maml_dg"] - 0.5
        records = [
            each
            for method, mean in means.items()
            for each in seeded("table3", "mean_error_m", method, mean)
        ]
        found = by_text(table3(records))
        assert found["hall: MetaLoc (MAML-DG) errs less than KNN"]["holds"] is False
        whole = found["hall: the order of all methods is that of Table III"]
        assert whole["holds"] is False
        assert "5 the other way" in whole["ours"]
        assert found["lab: MetaLoc (MAML-DG) errs less than KNN"]["holds"] == "not measured"

    @staticmethod
    def trained(curves, folds=SEEDS):
        """Both claims of the hall, on training curves of every fold at 0, 100, ... meta-steps."""
        records = [
            record("table3", "training_error_m", method, seed, error, meta_steps=100 * index)
            for seed in folds
            for method, curve in curves.items()
            for index, error in enumerate(np.add(curve, 0.01 * seed))
        ]
        found = by_text(table3(records))
        end = "than MAML to the error that both reach"
        return [
            found[f"hall: MAML-DG needs fewer {unit} {end}"] for unit in ("meta-steps", "tasks")
        ]

    @pytest.mark.parametrize(
        ("curves", "holds"),
        [
            ({"maml_dg": [5.0, 2.0, 1.0, 1.0], "maml": [5.0, 4.0, 3.0, 2.0]}, (True, True)),
            ({"maml": [5.0, 2.0, 1.0, 1.0], "maml_dg": [5.0, 4.0, 3.0, 2.0]}, (False, False)),
            # Half the steps, of twice the tasks each; no fold differs, so the interval is a point.
            ({"maml_dg": [5.0, 2.0, 2.0], "maml": [5.0, 3.0, 2.0]}, (True, "not separated")),
        ],
    )
    def test_training_to_the_error_that_both_reach(self, curves, holds):
        found = self.trained(curves)
        assert tuple(claim["holds"] for claim in found) == holds
        assert all(c["ours"].startswith("training helps both in 5 of 5 folds; ") for c in found)

    def test_tasks_are_counted_in_batches_of_one_environment(self):
        steps, tasks = self.trained({"maml_dg": [5.0, 2.0], "maml": [5.0, 4.0, 3.0, 2.0]})
        assert "(MAML-DG) 100 meta-steps against MetaLoc (MAML) 300 meta-steps" in steps["ours"]
        assert "(MAML-DG) 200 batches of tasks against MetaLoc (MAML) 300 " in tasks["ours"]

    def test_the_untrained_start_is_no_error_that_was_reached(self):
        # The error rises in training and never comes below that of the start.
        for curves in (
            {"maml_dg": [1.0, 2.0, 1.0], "maml": [1.0, 0.5, 0.4]},
            {"maml_dg": [1.0, 0.5, 0.4], "maml": [1.0, 2.0, 1.5]},
            {"maml_dg": [1.0], "maml": [1.0]},
        ):
            for claim in self.trained(curves):
                assert claim["holds"] == "not measured"
                assert claim["ours"] == "training helps both in 0 of 5 folds"

    def test_folds_that_training_does_not_help_are_left_out(self):
        def fold(seed, maml):
            curves = {"maml_dg": [5.0, 2.0, 2.0], "maml": maml}
            return [
                record("table3", "training_error_m", method, seed, error, meta_steps=100 * index)
                for method, curve in curves.items()
                for index, error in enumerate(curve)
            ]

        records = [*fold(0, [5.0, 4.0, 2.0]), *fold(1, [5.0, 4.0, 2.0]), *fold(2, [5.0, 6.0, 7.0])]
        claim = by_text(table3(records))[
            "hall: MAML-DG needs fewer meta-steps than MAML to the error that both reach"
        ]
        assert claim["ours"].startswith("training helps both in 2 of 3 folds; ")
        assert "100 meta-steps against MetaLoc (MAML) 200 meta-steps" in claim["ours"]

    @pytest.mark.parametrize(
        ("premise", "risk", "holds", "said"),
        [
            ([1, 1, 1], [0.1, 0.2, 0.3], True, "premise holds in 3 of 3 seeds, the bound in 3 of"),
            # Where the premise fails, the bound is none.
            ([1, 1, 0], [0.1, 0.2, 9e9], True, "premise holds in 2 of 3 seeds, the bound in 2 of"),
            ([1, 1, 1], [0.1, 0.2, 9e9], False, "the bound in 2 of these"),
            ([1, 1, 1], [0.1, 0.2, math.nan], "not separated", "the bound in 2 of these"),
            ([0, 0, 0], [0.1, 0.2, 0.3], "not measured", "premise holds in 0 of 3 seeds"),
        ],
    )
    def test_theorem_1_is_decided_by_counting_seeds(self, premise, risk, holds, said):
        # A t-interval of these differences contains zero.
        bounds = [1.0, 10.0, 142_000.0]
        claim = theorem_1("ri", "RI, random start", premise, risk, bounds)
        assert claim["holds"] == holds
        assert said in claim["ours"]

    def test_a_bound_is_shown_by_median_and_range(self):
        bounds = [1.0, 142_049.0, 12.34]
        claim = theorem_1("maml", "MetaLoc (MAML)", [1.0] * 3, [0.01] * 3, bounds)
        assert claim["ours"].endswith("first bound 12.3 (1.00 to 142,000)")

    def test_real_places(self):
        records = []
        for k in (1, 10):
            settings = {"k": k, "feature": "rss"}
            records += seeded("rooms", "mean_error_m", "maml_dg", 2.0 / k, 0.01, **settings)
            records += seeded("rooms", "mean_error_m", "tl", 3.0 / k, 0.01, **settings)
            records += seeded("rooms", "mean_error_m", "knn", 1.0 / k, 0.01, **settings)
        found = by_text(real(records))
        start = "real rooms, RSS: MetaLoc (MAML-DG) errs less than"
        end = "mean over places and k"
        assert found[f"{start} TL, pre-training, {end}"]["holds"] is True
        assert found[f"{start} KNN, {end}"]["holds"] is False
        assert found[f"{start} WKNN, {end}"]["holds"] == "not measured"

    def test_every_network_is_held_against_the_twin_that_is_looked_up(self):
        settings = {"k": 1, "feature": "rss"}
        records = seeded("rooms", "mean_error_m", "knn_twin", 2.0, 0.01, **settings)
        for place, network in enumerate(ROOM_NETWORKS):
            mean = 1.5 if place % 2 else 2.5
            records += seeded("rooms", "mean_error_m", network, mean, 0.01, **settings)
        found = by_text(real(records))
        end = "errs less than KNN on the aligned twin, mean over places and k"
        verdicts = [c["holds"] for text, c in found.items() if text.endswith(end)]
        assert verdicts == [bool(place % 2) for place in range(len(ROOM_NETWORKS))]
        text = f"real rooms, RSS: MetaLoc (MAML), twins only {end}"
        assert found[text]["holds"] is True

    def test_corridors_say_what_the_other_corridors_teach(self):
        records = [
            each
            for method, mean in {"maml": 2.0, "maml_ts": 3.0, "tl": 4.0, "ri": 3.0}.items()
            for each in seeded("corridors", "mean_error_m", method, mean, k=5)
        ]
        found = by_text(real(records))
        end = "errs less than RI, random start, mean over places and k"
        verdicts = [
            found[f"real corridors: {label} {end}"]["holds"]
            for label in ("MetaLoc (MAML)", "MetaLoc (MAML-TS)", "TL, pre-training")
        ]
        assert verdicts == [True, "not separated", False]

    def test_speed_is_held_against_the_fastest_rival(self):
        seconds = {
            "ours": [0.2] * 7,
            "torch vmap": [0.6] * 7,
            "torch func": [0.42] * 7,
            "torch autograd": [0.3, 0.3, 0.31, 0.3, 0.3, 0.3, 0.3],
        }
        records = [
            *metaloc_speed.step_records(("cnn", "second"), seconds),
            *metaloc_speed.step_records(("cnn", "first"), {**seconds, "torch func": [0.1] * 7}),
        ]
        found = by_text(speeds(records))
        start = "A second-order meta-step of the CNN is at least twice as fast as with"
        assert found[f"{start} torch.func with vmap over tasks"]["holds"] is True
        assert found[f"{start} the fastest torch.func we could write"]["holds"] is True
        slow = found[f"{start} the fastest PyTorch we could write"]
        assert slow["holds"] is False
        assert slow["ours"] == "1.50 (1.50 to 1.55) times as fast as torch autograd"

    @pytest.mark.parametrize(
        ("seconds", "fingerprints", "holds"),
        [
            ([0.5] * 7, 1000, True),
            ([40.0], 1000, False),
            ([0.9, 0.9, 1.1, 0.9, 1.1, 1.1], 1000, "not separated"),
            ([0.5] * 7, 8, "not measured"),
        ],
    )
    def test_a_second_for_a_thousand_fingerprints(self, seconds, fingerprints, holds):
        settings = {"network": "mlp", "protocol": metaloc_speed.FINGERPRINT}
        entry = metaloc_speed.record(
            "ours", "median_location_s", seconds, fingerprints=fingerprints, **settings
        )
        found = by_text(speeds([entry]))
        text = "MLP: 1,000 located in less than 1 s, an adaptation for each fingerprint"
        assert found[text]["holds"] == holds


class TestGather:
    def test_aggregates_have_intervals(self):
        found = aggregated(seeded("fig8", "rmse_m", "maml", 2.0, steps=10))
        assert len(found) == 1
        (only,) = found
        assert (only["mean"], only["seeds"], only["steps"]) == (2.0, 5, 10)
        # 2.776445 (t, four degrees of freedom) times the deviation of the mean, six digits kept.
        assert (only["low"], only["high"]) == (1.90184, 2.09816)

    def test_a_number_is_the_same_in_a_table_and_in_a_claim(self):
        # With four digits this mean was 2.335, and 2.33 in a table beside 2.34 in a claim.
        mean = 2.33496
        records = seeded("table3", "mean_error_m", "confi", mean)
        records += seeded("table3", "mean_error_m", "maml_dg", 2.0)
        page = as_markdown(results(records, [], claims(records), {}, []))
        assert "ConFi 2.33 m" in page
        assert "2.33 (2.24 to 2.43)" in page

    def test_skewed_quantities_have_medians_and_ranges(self):
        records = [
            *(record("theory", "first_bound", "ri", s, v) for s, v in enumerate([1.0, 9e5, 3.0])),
            *(record("theory", "gradient_cosine", "ri", s, 0.1) for s in range(3)),
        ]
        bound, cosine = aggregated(records)
        assert (bound["median"], bound["least"], bound["most"]) == (3.0, 1.0, 9e5)
        assert "median" not in cosine

    def test_shares_of_seeds_have_no_interval(self):
        records = [record("theory", "premise_holds", "ri", s, float(s < 4)) for s in SEEDS]
        (only,) = aggregated(records)
        assert (only["mean"], only["low"], only["high"], only["seeds"]) == (0.8, None, None, 5)

    def test_a_seed_whose_premise_fails_is_not_in_the_bounds(self):
        records = []
        for seed, (holds, bound) in enumerate([(1.0, 2.0), (1.0, 4.0), (0.0, 9e9)]):
            for choice in ("used", "premise"):
                common = {"rate_choice": choice}
                premise = holds if choice == "used" else 1.0
                records.append(record("theory", "premise_holds", "ri", seed, premise, **common))
                records.append(record("theory", "first_bound", "ri", seed, bound, **common))
        found = results(records, [], [], {}, [])["records"]
        seeds = {(r["metric"], r["rate_choice"]): (r["seeds"], r["mean"]) for r in found}
        assert seeds["first_bound", "used"] == (2, 3.0)
        assert seeds["first_bound", "premise"] == (3, 3e9)
        assert seeds["premise_holds", "used"] == (3, 0.666667)

    def test_chosen_step_sizes_stay_in_the_results(self):
        common = {"feature": "rss", "history": "twins and rooms"}
        records = [
            record("rooms", "mean_error_m", "maml", seed, 2.0, k=k, rate=rate, steps=10, **common)
            for seed, rate in enumerate([0.0005, 0.00005, 0.0005])
            for k in (1, 3)
        ]
        # Neither what is not adapted nor what learned twins alone chooses anything of its own.
        twins = {"feature": "rss", "history": "twins"}
        records += [
            record("rooms", "mean_error_m", "confi", 0, 2.0, k=1, rate=0.2, steps=0, **common),
            record("rooms", "mean_error_m", "maml", 0, 2.0, k=1, rate=0.2, steps=10, **twins),
        ]
        found = [r for r in results(records, [], [], {}, [])["records"] if "step_size" in r]
        shares = {r["step_size"]: round(r["mean"] * r["seeds"]) for r in found}
        assert shares == {0.00005: 1, 0.0005: 2}
        assert {(r["metric"], r["method"], r["seeds"]) for r in found} == {("is_chosen", "maml", 3)}
        page = as_markdown({"environment": {}, "commands": [], "claims": [], "records": found})
        assert "| hall | rss | 0.00005 | 1 of 3 |" in page
        assert "| hall | rss | 0.0005 | 2 of 3 |" in page

    def test_values_that_are_not_finite_become_null(self):
        records = [record("fig8", "rmse_m", "ri", seed, math.inf) for seed in SEEDS]
        assert json.loads(as_json(results(records, [], [], {}, [])))["records"][0]["mean"] is None

    def test_curves_are_thinned_alike_for_all_methods(self):
        records = [
            record("fig9", "share_within", method, 0, 0.5, level_m=0.5 * step)
            for method in ("maml", "knn")
            for step in range(1, 61)
        ]
        found = thinned(records, 8)
        levels = {m: {r["level_m"] for r in found if r["method"] == m} for m in ("maml", "knn")}
        assert levels["maml"] == levels["knn"]
        assert {0.5, 1.0, 2.0, 5.0, 10.0, 30.0} <= levels["maml"]
        assert len(levels["maml"]) <= 12
        assert thinned(found, 60) == found

    def test_results_stay_small(self):
        records = [
            record(
                "fig9", "share_within", f"m{m}", 0, 0.123456, level_m=0.1 * n, labels="references"
            )
            for m in range(40)
            for n in range(200)
        ]
        assert len(as_json({"records": aggregated(records)}).encode()) > LARGEST
        assert len(as_json(results(records, [], [], {}, [])).encode()) < LARGEST

    def test_the_page_has_claims_and_tables(self):
        records = seeded("table3", "mean_error_m", "knn", 2.0)
        records += seeded("table3", "std_error_m", "knn", 1.0)
        fast = [metaloc_speed.record("ours", "median_step_s", [0.5], network="cnn", order="first")]
        found = results(records, fast, claims(records), {"cores": 2}, ["a command"])
        page = as_markdown(json.loads(as_json(found)))
        assert "`a command`" in page
        assert "cores 2" in page
        assert "2.00 (1.90 to 2.10)" in page
        assert "0.5000" in page
        assert "not measured" in page


class Settings(StrictModel):
    value: int = 1


def job(seed, value=1, name="convergence", data=()):
    return Job(Experiment(name, Settings(value=value)), seed, data, "store")


class TestJobs:
    def test_a_file_changes_with_all_it_depends_on(self, tmp_path):
        jobs = [job(0), job(1), job(0, value=2), job(0, data=("a",)), job(0, name="similarity")]
        assert len({each.file(tmp_path) for each in jobs}) == len(jobs)
        assert job(0).file(tmp_path) == job(0).file(tmp_path)

    def test_first_seeds_of_all_experiments_come_first(self):
        jobs = [job(seed, name=name) for name in ("convergence", "similarity") for seed in (0, 1)]
        found = [(each.experiment.name, each.seed) for each in in_turns(jobs)]
        assert found == [
            ("convergence", 0),
            ("similarity", 0),
            ("convergence", 1),
            ("similarity", 1),
        ]

    def test_digest_is_of_what_computes(self, tmp_path, monkeypatch):
        monkeypatch.setattr(code, "_ROOT", tmp_path)
        folder = tmp_path / "flows" / "metaloc"
        folder.mkdir(parents=True)

        def digest(own, other):
            (folder / "own.py").write_text(own)
            (folder / "other.py").write_text(other)
            code_digest.cache_clear()
            return code_digest("flows.metaloc.own")

        own = "def f():\n    '''Text.'''\n    from flows.metaloc import other\n    return other.x\n"
        first = digest(own, "x = 1\n")
        assert digest(own.replace("Text", "Words"), "x = 1  # a comment\n") == first
        assert digest(own, "x = 2\n") != first
        assert digest(own.replace("other.x", "1 + other.x"), "x = 1\n") != first
        code_digest.cache_clear()

    def test_a_killed_run_goes_on(self, tmp_path, monkeypatch):
        done, threads = [], []

        class Here:
            """Runs at once and in this process."""

            def __init__(self, *_, **__):
                pass

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def submit(self, function, *arguments):
                future = Future()
                future.set_result(function(*arguments))
                return future

        def run(each):
            if each.seed == stop:
                raise KeyboardInterrupt
            threads.append(os.environ["TF_NUM_INTRAOP_THREADS"])
            done.append(each.seed)
            return [record("fig8", "rmse_m", "maml", each.seed, 1.0)]

        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        monkeypatch.setattr(metaloc, "ProcessPoolExecutor", Here)
        monkeypatch.setattr(metaloc_jobs, "run", run)
        jobs = [job(seed) for seed in range(3)]
        stop = 1
        with pytest.raises(KeyboardInterrupt):
            metaloc.run_jobs(jobs, tmp_path, 2)
        assert [each["seed"] for each in metaloc.finished(jobs, tmp_path)] == [0]
        stop = None
        metaloc.run_jobs(jobs, tmp_path, 2)
        assert done == [0, 1, 2]
        assert [each["seed"] for each in metaloc.finished(jobs, tmp_path)] == [0, 1, 2]
        assert threads == ["1", "1", "1"]
        assert os.environ["OMP_NUM_THREADS"] == "7"

    def test_progress_tells_what_it_cannot_know(self):
        jobs = [job(0), job(1), job(0, name="days")]
        progress = metaloc.Progress(jobs, workers=2)
        first = progress.done(jobs[0], 600.0)
        assert first.startswith("[1/3] convergence, seed 0: 600 s; about 5 min left")
        assert first.endswith("and days")
        assert progress.done(jobs[2], 60.0).endswith("about 5 min left")

    def test_an_experiment_runs_with_its_settings(self, monkeypatch):
        monkeypatch.setattr(convergence, "run_seed", lambda settings, seed: [settings, seed])
        assert metaloc_jobs.run(job(3, value=7)) == [Settings(value=7), 3]


class TestMoreSteps:
    def test_short_and_long_run_are_paired_by_fold(self):
        few = seeded("table3", "mean_error_m", "maml", 2.0, spread=0.5)
        many = seeded("table3", "mean_error_m", "maml", 1.8, spread=0.5)
        found = by_text(more_steps(few, many))
        claim = found["hall: MetaLoc (MAML) errs less after ten times the outer steps"]
        gain = "difference 0.200 (0.200 to 0.200)"
        assert claim["ours"] == f"long run 1.80 m against short run 2.00 m; {gain}"
        assert claim["holds"] is True
        assert by_text(more_steps(many, few))[claim["claim"]]["holds"] is False

    def test_a_run_that_is_missing_is_said(self):
        few = seeded("table3", "mean_error_m", "tl", 2.0)
        found = list(more_steps(few, []))
        assert len(found) == len(TABLE_III) * 5
        assert {claim["holds"] for claim in found} == {"not measured"}

    def test_only_the_outer_steps_differ(self):
        short, long = (
            load_metaloc_study(metaloc.ROOT / f"studies/{name}.yaml")
            for name in ("metaloc_days", "metaloc_days_long")
        )
        meta = short.settings.meta.model_copy(update={"outer_steps": 1600})
        assert long.settings == short.settings.model_copy(update={"meta": meta, "every": 200})
        assert long.sites == short.sites

    @pytest.mark.parametrize("words", [["--seeds", "0"], ["--workers", "-1"]])
    def test_no_run_without_seeds_or_workers(self, words, capsys):
        with pytest.raises(SystemExit):
            metaloc_days_long.read_plan(words)
        assert "expected 1 or more" in capsys.readouterr().err


class TestCommandLine:
    def test_experiments_by_either_name(self, monkeypatch):
        monkeypatch.delenv("TWIN_DATA_DIR", raising=False)
        plan, wants_json = metaloc.read_plan(["--only", "fig8,days,speed", "--json"])
        assert plan.names == ("convergence", "days", "speed")
        assert plan.seeds == 5
        assert wants_json

    def test_parts_and_quick_runs_leave_the_results_alone(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TWIN_DATA_DIR", str(tmp_path))
        whole, _ = metaloc.read_plan([])
        part, _ = metaloc.read_plan(["--only", "fig8"])
        quick, _ = metaloc.read_plan(["--quick"])
        assert whole.output == metaloc.RESULTS
        assert part.output == part.work == whole.work
        assert quick.output == quick.work != whole.work
        assert whole.torch_env is not None
        assert quick.torch_env is None

    def test_the_command_in_the_results_names_no_folder_of_this_machine(self, tmp_path):
        words = ["--json", "--data-dir", str(tmp_path), f"--work={tmp_path}", "--seeds", "2"]
        plan, _ = metaloc.read_plan(words)
        expected = "python -m benchmarks.metaloc --json --data-dir DIR --work DIR --seeds 2"
        assert plan.command == expected
        assert plan.data == plan.work == tmp_path

    def test_all_faults_at_once_and_before_any_work(self, monkeypatch):
        monkeypatch.delenv("TWIN_DATA_DIR", raising=False)
        with pytest.raises(InputError) as refused:
            metaloc.read_plan(["--only", "fig8,fig99,wall", "--seeds", "0", "--workers", "-1"])
        assert [fault.found for fault in refused.value.faults] == ["fig99", "wall", "0", "-1"]
        with pytest.raises(InputError) as refused:
            metaloc.read_plan([])
        (fault,) = refused.value.faults
        assert fault.expected.endswith("wifi_rtt_rooms and csu_csi_rssi, for rooms and corridors")
        assert "twin data get wifi_rtt_rooms" in fault.cure
        assert "twin data get csu_csi_rssi" in fault.cure
        # Data are missing of what is asked for alone.
        with pytest.raises(InputError) as refused:
            metaloc.read_plan(["--only", "fig99"])
        assert [fault.found for fault in refused.value.faults] == ["fig99"]

    def test_a_folder_that_is_not_there_is_not_told_twice(self, tmp_path):
        missing = str(tmp_path / "none")
        with pytest.raises(InputError) as refused:
            metaloc.read_plan(["--data-dir", missing, "--seeds", "0"])
        assert [fault.found for fault in refused.value.faults] == ["0", missing]

    @pytest.mark.parametrize("program", [metaloc, metaloc_days_long])
    def test_a_refusal_is_a_message_and_an_exit_code(self, program, monkeypatch, capsys):
        def refuse(*_):
            raise InputError([Fault("--seeds", "", "1 or more", "0")])

        monkeypatch.setattr(program, "read_plan", refuse)
        with pytest.raises(SystemExit) as ended:
            metaloc.told(program.main)
        assert ended.value.code == InputError.exit_code
        assert capsys.readouterr().err.endswith("  - --seeds: expected 1 or more, found 0\n")


class TestSpeed:
    @pytest.mark.parametrize(("count", "rank"), [(6, 0), (9, 1), (11, 1), (20, 5), (3, 0)])
    def test_interval_of_a_median(self, count, rank):
        # Ranks (from 1: 1, 2, 2, 6) as in tables of the sign test at 95 %.
        values = list(np.random.default_rng(0).permutation(count).astype(float))
        middle, low, high = metaloc_speed.interval(values)
        assert middle == (count - 1) / 2
        assert (low, high) == (rank, count - 1 - rank)

    def test_ratios_are_of_the_same_round(self):
        seconds = {"ours": [1.0, 2.0, 4.0], "torch vmap": [3.0, 6.0, 12.0]}
        ratio = [
            each
            for each in metaloc_speed.step_records(("mlp", "first"), seconds)
            if each["metric"] == "times_ours"
        ]
        assert [(r["method"], r["mean"], r["low"], r["high"]) for r in ratio] == [
            ("torch vmap", 3.0, 3.0, 3.0)
        ]

    def test_a_difference_anywhere_counts(self, tmp_path):
        file = tmp_path / "answer.npz"
        slopes = [np.ones((2, 2), np.float32), np.full(3, 10.0, np.float32)]
        np.savez(file, loss=2.0, **{"slope 0": slopes[0], "slope 1": slopes[1]})
        assert metaloc_rival.difference((2.0, slopes), file) == 0.0
        assert metaloc_rival.difference((2.2, slopes), file) == pytest.approx(0.2 / 2.2)
        other = [slopes[0], slopes[1] * np.array([1, 1, 1.1], np.float32)]
        assert metaloc_rival.difference((2.0, other), file) > 0.05

    def test_another_environment_is_refused(self, tmp_path):
        folder = tmp_path / "env"
        (folder / "bin").mkdir(parents=True)
        with pytest.raises(RuntimeError, match="found none"):
            metaloc_rival.rival_python(folder)
        python = folder / "bin" / "python"
        python.write_text("#!/bin/sh\necho 1.0.0+cpu\n")
        python.chmod(0o755)
        with pytest.raises(RuntimeError, match=r"expected .* 2\.13\.0, found 1\.0\.0"):
            metaloc_rival.rival_python(folder)
        python.write_text("#!/bin/sh\necho 2.13.0+cpu\n")
        assert metaloc_rival.rival_python(folder) == python

    def test_the_rival_gets_what_our_network_sees(self, tmp_path):
        from benchmarks.metaloc_speed_tasks import training

        sides = {network: training(network, "second") for network in ("cnn", "mlp")}
        metaloc_rival.write_exchange(tmp_path / "x.npz", sides)
        with np.load(tmp_path / "x.npz") as given:
            side, batch = sides["cnn"]
            seen = side.model.layers[0](batch.query_inputs[1].astype(np.float32))
            np.testing.assert_array_equal(given["cnn query inputs"][1], seen)
            np.testing.assert_array_equal(given["cnn support targets"], batch.support_targets)
            kernels = [given[f"cnn weight {2 * i}"].shape for i in range(5)]
            assert kernels == [(3, 3, 3, 10), *4 * [(3, 3, 10, 10)]]
            assert given["mlp weight 0"].shape == (15, 64)
            assert "mlp weight 10" not in given

    def test_both_sides_know_the_same_variants(self):
        # The rival's file cannot be imported here: it needs PyTorch.
        tree = ast.parse((metaloc_rival.FOLDER / "step.py").read_text())
        theirs = next(
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and node.targets[0].id == "VARIANTS"
        )
        assert theirs == metaloc_rival.VARIANTS
        wanted = (metaloc_rival.FOLDER / "requirements.txt").read_text()
        assert f"torch=={metaloc_rival.TORCH}" in wanted

    def test_a_dead_rival_is_told(self, tmp_path):
        with (
            pytest.raises(RuntimeError, match="ended"),
            metaloc_rival.rival(sys.executable, tmp_path / "no.npz", 1),
        ):
            pass
