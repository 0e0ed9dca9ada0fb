"""What MetaLoc's paper claims and what our own goals are, against our records: which of it holds.

Pure functions of records of single seeds. Nothing is typed in but what the paper printed; whether a
claim holds follows from the numbers by the rule of `benchmarks.metaloc_verdicts`. Speed is measured
in rounds, not seeds; there the interval is that of a median (`benchmarks.metaloc_speed`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, pairwise

from benchmarks.metaloc_speed import ENVIRONMENT, FINGERPRINT
from benchmarks.metaloc_verdicts import (
    NOT_MEASURED,
    NOT_SEPARATED,
    Claim,
    Holds,
    Side,
    above,
    alike,
    averages,
    below,
    bounded,
    decided,
    differences,
    matching,
    number,
    series,
    spread,
    stated,
)
from flows.metaloc.drawing import look
from flows.metaloc.figures_places import by_variant
from flows.metaloc.paper import PARAMETER_DISTANCE, TABLE_III, WITHIN_5_M
from flows.metaloc.summary import Records, Value

BASELINES = ("tl", "ri", "confi", "ilcl", "knn", "wknn")
#: Networks of the real rooms; each is held against looking up the aligned twin.
ROOM_NETWORKS = (
    "maml",
    "maml_dg",
    "maml_ts",
    "tl",
    "ri",
    "confi",
    "maml_unadapted",
    "maml_twins_only",
    "tl_twins_only",
)
#: Gradient steps of MetaLoc's adaptation.
STEPS = 10
#: Shares that differ by less count as nearly the same.
NEARLY = 0.05


def claims(records: Records, speed: Records = ()) -> list[Claim]:
    """All claims, in the paper's order.

    Args:
        records: of single seeds, with ``seed`` and ``value``.
        speed: records of `benchmarks.metaloc_speed`.
    """
    own = by_variant(records)
    parts = (fig8, fig9, fig10, fig11, table3, real, theory)
    return [*(claim for part in parts for claim in part(own)), *speeds(speed)]


def fig8(records: Records) -> Iterator[Claim]:
    """Fig. 8 and section V-A.1, rivals at their own step sizes."""
    study, metric = "fig8", "rmse_m"
    own = [record for record in records if record.get("preset") == "small"]
    steps = _largest(own, study, metric, "steps", STEPS, method="maml")
    few = _largest(own, study, metric, "samples", method="maml")
    ours = Side(
        f"MetaLoc, {few} samples, {steps} steps",
        series(own, study, metric, method="maml", steps=steps),
    )
    for method in ("ri", "tl"):
        only = {"method": method, "samples": few, "steps": steps, "rate_choice": "best"}
        side = Side(_label(method), series(own, study, metric, **only))
        claim = f"MetaLoc errs less than {side.name} after {STEPS} steps on the same labels"
        yield below(study, claim, "yes (Fig. 8)" if method == "ri" else "–", ours, side)
    curves = {}
    for samples in (800, 1600, 4000, 8000):
        only = {"method": "ri", "samples": samples, "rate_choice": "best"}
        last = _largest(own, study, metric, "steps", **only)
        values = series(own, study, metric, steps=last, **only)
        curves[samples] = Side(f"RI, {samples} samples, {last} steps", values)
        claim = f"MetaLoc with few labels errs less than RI with {samples:,}"
        printed = "slightly less (Fig. 8)" if samples == 8000 else "yes (Fig. 8)"
        yield below(study, claim, printed, ours, curves[samples])
    claim = "RI errs less with 8,000 labels than with 800"
    yield below(study, claim, "yes (Fig. 8)", curves[8000], curves[800])
    readings = (
        ("support", "the end of its steps on the support set"),
        ("query", "the best on the queries along them"),
    )
    for optimum, words in readings:
        moved = [
            Side(
                _label(method),
                series(
                    own,
                    study,
                    "parameter_distance",
                    method=method,
                    optimum=optimum,
                    rate_choice="same",
                ),
            )
            for method in PARAMETER_DISTANCE
        ]
        claim = f"MetaLoc starts nearer to theta_T*, {words}, than a random start (a lower bound)"
        printed = " against ".join(f"{value:g}" for value in PARAMETER_DISTANCE.values())
        yield below(study, claim, printed, *moved, unit="")


def fig9(records: Records) -> Iterator[Claim]:
    """Fig. 9: P(error < 5 m) with few and with many reference points."""
    study, share = "fig9", "P(error < 5 m)"

    def side(method: str, references: int, labels: str, tuning: str) -> Side:
        only: dict[str, Value] = {"references": references, "labels": labels, "tuning": tuning}
        if method == "maml":
            only["steps"] = STEPS
        found = series(records, study, "share_within", method=method, level_m=5.0, **only)
        return Side(_label(method), found)

    def paper(method: str, references: int) -> Side:
        labels = "all" if method == "maml" else "references"
        return side(method, references, labels, "fixed")

    for more, less in (("maml", "wknn"), ("wknn", "knn"), ("maml", "knn")):
        claim = f"{share} at R = 10: {_label(more)} above {_label(less)}, on the paper's terms"
        printed = f"{WITHIN_5_M[less]:.2f} against {WITHIN_5_M[more]:.2f}"
        yield below(study, claim, printed, paper(less, 10), paper(more, 10), "")
    for less in ("wknn", "knn"):
        for labels, words in (("references", "the reference points"), ("all", "all labels")):
            claim = f"{share} at R = 10: MetaLoc above {_label(less)}, both knowing {words}"
            sides = (side(method, 10, labels, "chosen") for method in (less, "maml"))
            yield below(study, claim, "not compared", *sides, unit="")
    for other in ("wknn", "knn"):
        ours, theirs = ([paper(m, r) for r in (54, 10)] for m in ("maml", other))
        claim = f"{share} at R = 54: MetaLoc within {NEARLY:g} of {_label(other)}"
        yield alike(study, claim, "nearly the same", ours[0], theirs[0], NEARLY)
        claim = f"MetaLoc's lead over {_label(other)} grows from R = 54 to R = 10"
        leads = (
            Side(f"lead at R = {references}", differences(a.values, b.values))
            for references, a, b in zip((54, 10), ours, theirs, strict=True)
        )
        yield below(study, claim, "yes (Fig. 9)", *leads, unit="")


def fig10(records: Records) -> Iterator[Claim]:
    """Fig. 10: does the discrepancy rank environments as the adapted error does?"""
    study = "fig10"
    steps = _largest(records, study, "rmse_m", "steps", STEPS)
    rankings = (
        ("paper", "pooled", "all pairs of the paper's tasks and environments"),
        ("all", "pooled", "all pairs of tasks and environments"),
        ("all", "within", "the environments of each task"),
    )
    for site, scope, ranked in rankings:
        for features in ("inputs", "levels"):
            only = {"site": site, "scope": scope, "features": features, "steps": steps}
            side = Side("rank correlation", series(records, study, "rank_correlation", **only))
            claim = f"MMD of {features} ranks {ranked} as the adapted error does"
            yield above(study, claim, "–" if scope == "within" else "yes (Fig. 10)", side, 0.0)
    rivals = (("random_choice", "a choice by chance"), ("theta_total", "one start for all"))
    for rival, words in rivals:
        sides = (
            Side(name, series(records, study, "regret_m", method=m, features="inputs", steps=steps))
            for m, name in (("maml_ts", "MAML-TS"), (rival, words))
        )
        yield below(study, f"MAML-TS's choice costs less than {words}", "yes (III-C)", *sides)
    for task in ("mall_mixed", "mall_nlos_5_db"):
        own, *others = (
            Side(name, series(records, study, "rmse_m", site=task, method=name, steps=steps))
            for name in ("theta_1", "theta_2", "theta_total")
        )
        for other in others:
            claim = f"{task}: the start that learned malls errs less than {other.name}"
            yield below(study, claim, "yes (Fig. 10)", own, other)


def fig11(records: Records) -> Iterator[Claim]:
    """Fig. 11: path-loss laws learned before the layouts."""
    study, metric = "fig11", "rmse_m"
    names = {
        "wi_plm": "with path-loss laws",
        "wi": "layouts alone",
        "wi_long": "layouts alone, as many steps",
    }
    for site in ("wi_s3", "wi_s4"):
        for wanted in (STEPS, 50):
            steps = _largest(records, study, metric, "steps", wanted)
            only = {"method": "maml", "site": site, "steps": steps}
            sides = {
                start: Side(words, series(records, study, metric, start=start, **only))
                for start, words in names.items()
            }
            for start, printed in (("wi", "yes (Fig. 11)"), ("wi_long", "not compared")):
                claim = f"{site}, {wanted} steps: laws learned before help against {names[start]}"
                yield below(study, claim, printed, sides["wi_plm"], sides[start])


def table3(records: Records) -> Iterator[Claim]:
    """Table III's orderings, and how soon MAML-DG and MAML have learned."""
    study = "table3"
    for site, printed in TABLE_III.items():
        order = sorted(printed, key=lambda method, rows=printed: rows[method].mean_m)
        sides = {
            m: Side(_label(m), series(records, study, "mean_error_m", site=site, method=m))
            for m in order
        }
        found = {}
        for less, more in combinations(order, 2):
            claim = f"{site}: {_label(less)} errs less than {_label(more)}"
            words = f"{printed[less].mean_m:.2f} against {printed[more].mean_m:.2f} m"
            found[less, more] = below(study, claim, words, sides[less], sides[more])
        yield _whole_order(site, order, [claim["holds"] for claim in found.values()])
        shown = {*pairwise(order), *(("maml_dg", method) for method in BASELINES)}
        yield from (claim for pair, claim in found.items() if pair in shown)
        for method in ("knn", "wknn", "ilcl"):
            values = series(records, study, "equal_budget_error_m", site=site, method=method)
            side = Side(f"{_label(method)} with MetaLoc's labels and historical images", values)
            claim = f"{site}: {_label('maml_dg')} errs less than {side.name}"
            yield below(study, claim, "not compared", sides["maml_dg"], side)
        yield from _training(records, site)


def _whole_order(site: str, order: list[str], holds: list[Holds]) -> Claim:
    so, reversed_, open_ = (holds.count(each) for each in (True, False, NOT_SEPARATED))
    whole: Holds = NOT_SEPARATED
    if NOT_MEASURED in holds:
        whole = NOT_MEASURED
    elif reversed_ or so == len(holds):
        whole = not reversed_
    claim = f"{site}: the order of all methods is that of Table III"
    words = f"of {len(holds)} pairs {so} so, {reversed_} the other way, {open_} not separated"
    return stated("table3", claim, " < ".join(order), words, whole)


def _training(records: Records, site: str) -> Iterator[Claim]:
    """How much training MAML-DG and MAML take to the error that both reach.

    That error is the larger of their least errors while they are trained. A fold in which training
    does not lessen the error of one of them says nothing of how fast it does, and is left out.
    """
    methods = ("maml_dg", "maml")
    curves: dict[str, dict[int, dict[int, float]]] = {method: {} for method in methods}
    only = {"site": site, "method": methods}
    for record in matching(records, "table3", "training_error_m", only):
        curve = curves[record["method"]].setdefault(record["seed"], {})
        curve[record["meta_steps"]] = number(record)
    first: dict[str, dict[int, float]] = {method: {} for method in methods}
    folds = set(curves["maml"]) & set(curves["maml_dg"])
    for seed in folds:
        trained = {
            method: {step: error for step, error in curves[method][seed].items() if step > 0}
            for method in methods
        }
        least = {m: min(curve.values(), default=math.inf) for m, curve in trained.items()}
        if any(least[method] >= curves[method][seed][0] for method in methods):
            continue
        for method, curve in trained.items():
            first[method][seed] = min(
                step for step, error in curve.items() if error <= max(least.values())
            )
    # A meta-step of MAML-DG takes a batch of tasks of each of two environments.
    for counted, unit, batches, printed in (
        ("meta-steps", " meta-steps", 1, "2,500 against 7,500"),
        ("tasks", " batches of tasks", 2, "not compared"),
    ):
        claim = f"{site}: MAML-DG needs fewer {counted} than MAML to the error that both reach"
        sides = (
            Side(_label("maml_dg"), {seed: batches * n for seed, n in first["maml_dg"].items()}),
            Side(_label("maml"), first["maml"]),
        )
        found = below("table3", claim, printed, *sides, unit=unit)
        helped = f"training helps both in {len(first['maml'])} of {len(folds)} folds"
        ours = "; ".join(text for text in (helped if folds else "", found["ours"]) if text)
        yield {**found, "ours": ours}


def real(records: Records) -> Iterator[Claim]:
    """Measured places: MAML-DG, which the paper found best, against every baseline.

    Also what learning is worth: in rooms, every network against looking up the aligned twin, and in
    corridors every trained one against a random start.
    """
    yield from _places(records, "rooms", [("maml_dg", rival) for rival in BASELINES])
    yield from _places(records, "rooms", [(network, "knn_twin") for network in ROOM_NETWORKS])
    yield from _places(records, "corridors", [("maml_dg", rival) for rival in BASELINES])
    trained = ("maml", "maml_ts", "tl")
    yield from _places(records, "corridors", [(network, "ri") for network in trained])


def _places(records: Records, study: str, pairs: list[tuple[str, str]]) -> Iterator[Claim]:
    """Which of two methods errs less in the mean over places and k; of rooms, by feature."""
    methods = tuple(dict.fromkeys(method for pair in pairs for method in pair))
    features = dict.fromkeys(r.get("feature") for r in records if r.get("study") == study)
    for feature in features or (None,):
        only = {"feature": feature, "method": methods}
        means = averages(records, study, "mean_error_m", ("site", "k"), **only)
        where = f"real {study}" + (f", {feature.upper()}" if feature else "")
        for pair in pairs:
            less, more = (Side(_label(method), means.get(method, {})) for method in pair)
            claim = f"{where}: {less.name} errs less than {more.name}, mean over places and k"
            yield below(study, claim, "–", less, more)


def theory(records: Records) -> Iterator[Claim]:
    """Theorem 1, and what MAML-DG's second term is for (eq. 22).

    The bound differs by orders of magnitude from seed to seed, so that a mean says little of it.
    """
    study, metric = "theory", "gradient_cosine"
    last = _largest(records, study, metric, "meta_steps")
    sides = (
        Side(_label(m), series(records, study, metric, method=m, meta_steps=last))
        for m in ("maml", "maml_dg")
    )
    claim = "The environments' gradients are more alike after MAML-DG than after MAML"
    yield below(study, claim, "yes (eq. 22)", *sides, unit="")
    rates = (("premise", "a step size that the theorem allows"), ("used", "the step size in use"))
    for choice, words in rates:
        for method in ("maml", "maml_dg", "ri"):
            only = {"method": method, "rate_choice": choice}
            premise, risk, bound = (
                Side(name.replace("_", " "), series(records, study, name, **only))
                for name in ("premise_holds", "excess_risk", "first_bound")
            )
            claim = f"Theorem 1 bounds the excess risk of {_label(method)} at {words}"
            yield bounded(study, claim, "yes", premise.values, risk, bound)


def speeds(records: Records) -> Iterator[Claim]:
    """Speed, against our goals: twice as fast, and one second for 1,000 fingerprints."""
    study, step = "speed", {"network": "cnn", "order": "second"}
    ratios = {r["method"]: r for r in matching(records, study, "times_ours", step)}
    rivals = {
        "torch.func with vmap over tasks": ("torch vmap",),
        "the fastest torch.func we could write": tuple(m for m in ratios if "autograd" not in m),
        "the fastest PyTorch we could write": tuple(ratios),
    }
    for words, methods in rivals.items():
        claim = f"A second-order meta-step of the CNN is at least twice as fast as with {words}"
        among = [ratios[method] for method in methods if method in ratios]
        if not among:
            yield stated(study, claim, "2 (goal)", "", NOT_MEASURED)
            continue
        best = min(among, key=lambda record: record["mean"])
        ours = f"{_median(best)} times as fast as {best['method']}"
        yield stated(study, claim, "2 (goal)", ours, decided(best["low"], best["high"], 2.0))
    for network in ("cnn", "mlp"):
        for protocol in (ENVIRONMENT, FINGERPRINT):
            claim = f"{network.upper()}: 1,000 located in less than 1 s, an adaptation {protocol}"
            only = {"network": network, "protocol": protocol, "fingerprints": 1000}
            found = next(matching(records, study, "median_location_s", only), None)
            if found is None:
                yield stated(study, claim, "1 s (goal)", "", NOT_MEASURED)
                continue
            holds = decided(-found["high"], -found["low"], -1.0)
            yield stated(study, claim, "1 s (goal)", f"{_median(found)} s", holds)


def _median(record: dict[str, Value]) -> str:
    if record["low"] == record["high"]:
        return f"{record['mean']:.3g}"
    return spread((record["mean"], record["low"], record["high"]))


def _largest(
    records: Records,
    study: str,
    metric: str,
    key: str,
    most: float = math.inf,
    **only: Value,
) -> int:
    """The largest value of a key, up to a limit; -1: there is none."""
    values = (record.get(key) for record in matching(records, study, metric, only))
    return max((value for value in values if value is not None and value <= most), default=-1)


def _label(method: str) -> str:
    return "KNN on the aligned twin" if method == "knn_twin" else look(method).label
