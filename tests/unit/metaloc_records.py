"""Made-up records of MetaLoc's experiments, with the keys that the experiments give."""

from __future__ import annotations

from typing import Any

from twin.seeds import stream

Record = dict[str, Any]
NETWORKS = ("maml", "maml_ts", "maml_dg", "tl", "ri")
METHODS = (*NETWORKS, "confi", "ilcl", "knn", "wknn")
SEEDS = 3


def _seeded(study: str, mean: float, metric: str, **settings: Any) -> list[Record]:
    """A record a seed around a mean."""
    key = sorted(settings.items())
    noise = stream(0, study, metric, str(key)).normal(0.0, 0.05, SEEDS)
    return [
        {
            "study": study,
            **settings,
            "seed": seed,
            "metric": metric,
            "value": mean * (1 + noise[seed]),
        }
        for seed in range(SEEDS)
    ]


def fig8() -> list[Record]:
    site: Record = {"site": "vanilla_test", "preset": "small"}
    records = []
    for method, start in (("maml", 3.0), ("tl", 3.5), ("ri", 10.0)):
        for choice in ("same",) if method == "maml" else ("same", "best"):
            for steps in (0, 1, 10, 50):
                mean = start / (1 + 0.02 * steps)
                key = {"method": method, "samples": 124, "rate": 0.02, "rate_choice": choice}
                records += _seeded("fig8", mean, "rmse_m", steps=steps, **key, **site)
        for optimum in ("support", "query"):
            for choice in ("same", "best") if method == "tl" else ("same",):
                key = {"method": method, "samples": 124, "rate_choice": choice, "optimum": optimum}
                records += _seeded("fig8", start / 4, "parameter_distance", **key, **site)
    for samples in (800, 1600, 4000, 8000):
        for choice in ("same", "best"):
            for steps in (0, 10, 100, 300):
                mean = 2.5 + 8.0 / (1 + 0.00001 * samples * steps)
                key = {"method": "ri", "samples": samples, "rate_choice": choice}
                records += _seeded("fig8", mean, "rmse_m", steps=steps, **key, **site)
    return records


def fig9() -> list[Record]:
    records = []
    for place, method in enumerate((*NETWORKS, "knn", "wknn")):
        steps = {"steps": 10} if method in NETWORKS else {}
        for references in (10, 20, 30, 40, 54):
            for labels in ("references", "all"):
                for tuning in ("fixed", "chosen"):
                    for level in (1.0, 2.0, 5.0, 8.0):
                        mean = min(0.95, level / (4.0 + place + 40.0 / references))
                        key = {"method": method, "labels": labels, "tuning": tuning, **steps}
                        records += _seeded(
                            "fig9",
                            mean,
                            "share_within",
                            site="vanilla_test",
                            references=references,
                            level_m=level,
                            **key,
                        )
    return records


def fig10() -> list[Record]:
    records = []
    tasks = (("mall_mixed", "paper"), ("mall_nlos_5_db", "paper"), ("office_single", "ours"))
    for place, (task, source) in enumerate(tasks):
        for number, method in enumerate(("theta_1", "theta_2", "theta_3", "theta_total", "ri")):
            for steps in (0, 10, 100):
                mean = 1.0 + place + number / (1 + steps)
                key = {"method": method, "task_source": source, "steps": steps}
                records += _seeded("fig10", mean, "rmse_m", site=task, **key)
        for number, environment in enumerate(("one", "two", "three")):
            for features in ("inputs", "levels"):
                key = {"method": "mmd", "environment": environment, "features": features}
                records += _seeded(
                    "fig10",
                    0.1 * (1 + number + place),
                    "squared_mmd",
                    site=task,
                    task_source=source,
                    **key,
                )
    for features in ("inputs", "levels"):
        key = {"method": "mmd", "steps": 10, "features": features}
        for scope, site, value in (
            ("pooled", "all", 0.7),
            ("within", "all", 0.6),
            ("pooled", "paper", 0.5),
        ):
            records += _seeded("fig10", value, "rank_correlation", site=site, scope=scope, **key)
        for method, value in (("maml_ts", 0.2), ("random_choice", 0.5)):
            regret = {**key, "method": method}
            records += _seeded("fig10", value, "regret_m", site="all", **regret)
    return records


def fig11() -> list[Record]:
    records = []
    for site in ("wi_s3", "wi_s4"):
        for start in ("plm", "wi", "wi_plm", "wi_long"):
            for steps in (0, 10, 50, 500):
                key = {"method": "maml", "start": start, "rate_choice": "same", "steps": steps}
                records += _seeded("fig11", 2.0 + 1 / (1 + steps), "rmse_m", site=site, **key)
        for method in ("tl", "ri"):
            for steps in (0, 10, 50, 500):
                key = {"method": method, "start": method, "rate_choice": "best", "steps": steps}
                records += _seeded("fig11", 3.0 + 1 / (1 + steps), "rmse_m", site=site, **key)
        for method in ("knn", "wknn"):
            key = {"method": method, "knows": "references"}
            records += _seeded("fig11", 3.3, "rmse_m", site=site, **key)
    return records


def rooms() -> list[Record]:
    records = []
    for room in ("office", "corridor"):
        for k in (1, 3, 10):
            for method in (*METHODS, "knn_twin", "wknn_twin"):
                history = "twins and rooms" if method in (*NETWORKS, "confi") else "nothing"
                key = {"method": method, "k": k, "feature": "rss", "history": history}
                if history != "nothing":
                    key |= {"steps": 0 if method == "confi" else 10, "rate": 0.0005}
                records += _seeded("rooms", 3.0 / k**0.3, "mean_error_m", site=room, **key)
            for method, history, steps in (("maml", "twins", 10), ("maml", "twins and rooms", 0)):
                key = {"method": method, "k": k, "feature": "rss", "history": history}
                records += _seeded("rooms", 3.2, "mean_error_m", site=room, steps=steps, **key)
    return records


def theory() -> list[Record]:
    records = []
    for method in ("maml", "maml_dg"):
        for meta_steps in (0, 100, 600):
            key = {"method": method, "meta_steps": meta_steps}
            records += _seeded("theory", 0.3, "gradient_cosine", site="all", **key)
            for steps in (0, 10):
                records += _seeded("theory", 2.0, "rmse_m", site="mall", steps=steps, **key)
        for choice in ("used", "premise"):
            for metric in (
                "parameter_distance",
                "excess_risk",
                "first_bound",
                "second_bound",
            ):
                key = {"method": method, "rate_choice": choice, "rate": 0.01}
                records += _seeded("theory", 1.0, metric, site="mall", steps=10, **key)
            holds = _seeded("theory", 1.0, "premise_holds", site="mall", steps=10, **key)
            records += [{**record, "value": 1.0} for record in holds]
    return records


def table3() -> list[Record]:
    records = []
    for site in ("hall", "lab"):
        key = {"site": site, "method": "centre"}
        records += _seeded("table3", 3.0, "centre_error_m", **key)
        for histogram in ("image", "access point"):
            key = {"site": site, "method": "histogram", "histogram": histogram}
            records += _seeded("table3", 2.0, "nearest_distance_m", **key)
        for place, method in enumerate(METHODS):
            mean = 2.0 + 0.1 * place
            records += _seeded("table3", mean, "mean_error_m", site=site, method=method)
            records += _seeded("table3", 90.0, "labelled_images", site=site, method=method)
            records += _seeded("table3", 1.2, "std_error_m", site=site, method=method)
            for level in (1.0, 2.0, 5.0):
                share = min(0.9, level / 2 / mean)
                key = {"method": method, "level_m": level}
                records += _seeded("table3", share, "share_within", site=site, **key)
        for method in NETWORKS:
            for steps in (0, 5, 10):
                key = {"method": method, "steps": steps}
                records += _seeded("table3", 3 - steps / 20, "adaptation_error_m", site=site, **key)
        for method in ("maml", "maml_ts", "maml_dg"):
            for steps in (0, 100, 600):
                key = {"method": method, "meta_steps": steps}
                records += _seeded("table3", 3 - steps / 900, "training_error_m", site=site, **key)
    return records


def corridors() -> list[Record]:
    records = []
    for site in ("corridor_1", "corridor_2", "corridor_3", "corridor_4"):
        for k in (5, 10, 20):
            for method in METHODS:
                key = {"site": site, "method": method, "k": k}
                records += _seeded("corridors", 5 / k**0.2, "mean_error_m", **key)
            key = {"site": site, "method": "centre", "k": k}
            records += _seeded("corridors", 9.0, "centre_error_m", **key)
    return records
