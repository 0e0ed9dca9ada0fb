from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twin.errors import InputError
from twin.evaluate import metrics
from twin.evaluate.records import Errors, to_json, write_metrics

SNAPSHOTS = 8


def errors_of(
    values: Any, point: Any, method: str = "maml", k: int = 3, room: str = "office"
) -> Errors:
    return Errors(room=room, feature="rss", k=k, method=method, errors_m=values, point=point)


def clustered(
    random: np.random.Generator, draws: int = 12, points: int = 40, mean: float = 10.0
) -> tuple[np.ndarray, np.ndarray]:
    """Errors whose points and draws each share a part; a fix adds little of its own."""
    by_point = random.normal(0, 1.0, (1, points, 1))
    by_draw = random.normal(0, 0.4, (draws, 1, 1))
    own = random.normal(0, 0.5, (draws, points, SNAPSHOTS))
    values = (mean + by_point + by_draw + own).reshape(draws, -1)
    return values, np.repeat(np.arange(points), SNAPSHOTS)


def test_position_error_is_horizontal() -> None:
    true = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    located = np.array([[[3.0, 4.0, 9.0], [1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0], [1.0, 3.0, 1.0]]])
    assert np.array_equal(metrics.position_error(located, true), [[5.0, 0.0], [0.0, 2.0]])
    assert np.array_equal(metrics.position_error(located[0, :, :2], true), [5.0, 0.0])


def test_position_error_lists_every_fault() -> None:
    with pytest.raises(InputError) as caught:
        metrics.position_error(np.full((3, 2), np.nan), np.zeros((2, 2)))
    assert len(caught.value.faults) == 2


def test_statistics_in_closed_form() -> None:
    values = np.arange(1.0, 101.0).reshape(2, 50)
    record = metrics.summarise(errors_of(values, np.arange(50)), seed=1)
    assert record.mean_error_m == pytest.approx(50.5)
    assert record.rmse_m == pytest.approx(np.sqrt(101 * 201 / 6))
    assert (record.median_m, record.p75_m, record.p90_m, record.p95_m) == (50.0, 75.0, 90.0, 95.0)
    assert (record.draws, record.points, record.fixes) == (2, 50, 50)


def test_percentile_and_cdf_agree() -> None:
    values = np.random.default_rng(0).gamma(2.0, 1.0, 333)
    for share in (0.5, 0.75, 0.9, 0.95):
        level = metrics.percentile(values, share)
        below = np.nextafter(level, 0)
        assert metrics.cumulative(values, level) >= share > metrics.cumulative(values, below)


def test_interval_of_equal_errors_is_a_point() -> None:
    record = metrics.summarise(errors_of(np.full((3, 6), 2.5), np.repeat([0, 1, 2], 2)), seed=0)
    for name in ("median", "p75", "p90", "p95", "rmse"):
        low, high = getattr(record, f"{name}_ci_low"), getattr(record, f"{name}_ci_high")
        assert (low, high) == pytest.approx((2.5, 2.5))
    assert (record.ci_low, record.ci_high) == pytest.approx((2.5, 2.5))


def test_interval_of_independent_points_matches_the_normal_one() -> None:
    values = np.random.default_rng(2).normal(10.0, 2.0, (1, 400))
    record = metrics.summarise(errors_of(values, np.arange(400)), seed=0, replicates=4000)
    half = 1.96 * values.std() / np.sqrt(400)
    assert record.ci_low == pytest.approx(values.mean() - half, abs=0.03)
    assert record.ci_high == pytest.approx(values.mean() + half, abs=0.03)
    # Large-sample interval of a median: its standard deviation is sqrt(pi / 2) that of the mean.
    half *= np.sqrt(np.pi / 2)
    assert record.median_ci_high - record.median_ci_low == pytest.approx(2 * half, rel=0.3)


def test_intervals_of_statistics_hold_them() -> None:
    values, point = clustered(np.random.default_rng(3))
    record = metrics.summarise(errors_of(values, point), seed=0)
    assert record.ci_low < record.mean_error_m < record.ci_high
    for name in ("median", "p75", "p90", "p95", "rmse"):
        low, high = getattr(record, f"{name}_ci_low"), getattr(record, f"{name}_ci_high")
        assert low <= getattr(record, f"{name}_m") <= high
        assert low < high


@pytest.mark.parametrize("block", [2**24, 1])
def test_percentiles_of_replicates_match_resampled_copies(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """A replicate's percentile equals that of the fixes written out as often as they weigh."""
    monkeypatch.setattr(metrics, "_BLOCK", block)
    random = np.random.default_rng(8)
    values, point = random.gamma(2.0, 1.0, (3, 20)), np.repeat(np.arange(10), 2)
    resampling = metrics._Resampling.of(errors_of(values, point), seed=4, replicates=1000)
    shares = tuple(metrics.PERCENTILES.values())
    found = resampling.quantiles(values, shares)
    means = resampling.mean(values)
    for replicate in range(25):
        copies = np.outer(
            resampling.draw_weights[replicate], resampling.point_weights[replicate][point]
        ).astype(int)
        written_out = np.repeat(values.ravel(), copies.ravel())
        assert means[replicate] == pytest.approx(written_out.mean())
        assert list(found[replicate]) == [
            metrics.percentile(written_out, share) for share in shares
        ]


def test_interval_covers_the_truth_where_one_over_fixes_fails() -> None:
    random = np.random.default_rng(5)
    covered, naive_covered, trials = 0, 0, 250
    for trial in range(trials):
        values, point = clustered(random)
        record = metrics.summarise(errors_of(values, point), seed=trial, replicates=1000)
        covered += record.ci_low <= 10.0 <= record.ci_high
        half = 1.96 * values.std() / np.sqrt(values.size)
        naive_covered += abs(values.mean() - 10.0) <= half
    assert 0.90 <= covered / trials <= 0.99
    assert naive_covered / trials < 0.5


def test_paired_interval_covers_the_true_difference_and_is_the_narrower() -> None:
    random = np.random.default_rng(6)
    covered, trials = 0, 250
    for trial in range(trials):
        values, point = clustered(random)
        gain = random.normal(0.3, 0.3, 40)[point] + random.normal(0, 0.3, values.shape)
        better = errors_of(values - gain, point)
        difference = metrics.paired_difference(better, errors_of(values, point, "knn"), trial, 1000)
        covered += difference.ci_low <= -0.3 <= difference.ci_high
    assert 0.90 <= covered / trials <= 0.99
    alone = metrics.summarise(better, seed=0)
    assert difference.ci_high - difference.ci_low < 0.6 * (alone.ci_high - alone.ci_low)


def test_differences_to_the_reference_in_the_same_setting_only() -> None:
    values, point = clustered(np.random.default_rng(7))
    found = metrics.differences_to(
        "knn",
        [
            errors_of(values, point, "knn"),
            errors_of(values - 1.0, point, "maml"),
            errors_of(values + 1.0, point, "random"),
            errors_of(values, point, "maml", k=0),
        ],
        seed=0,
    )
    assert [(d.method, d.k, d.clear) for d in found] == [
        ("maml", 3, "better"),
        ("random", 3, "worse"),
    ]
    assert found[0].mean_difference_m == pytest.approx(-1.0)
    assert (found[0].ci_low, found[0].ci_high) == pytest.approx((-1.0, -1.0))


def test_no_clear_difference_of_a_method_to_its_like() -> None:
    values, point = clustered(np.random.default_rng(7))
    noise = np.random.default_rng(1).normal(0, 0.2, values.shape)
    difference = metrics.paired_difference(
        errors_of(values + noise, point), errors_of(values, point), 0
    )
    assert difference.clear == ""


def test_same_seed_same_interval_and_order_of_fixes_is_no_matter() -> None:
    values, point = clustered(np.random.default_rng(9))
    order = np.random.default_rng(0).permutation(point.size)
    one = metrics.summarise(errors_of(values, point), seed=3)
    assert one == metrics.summarise(errors_of(values, point), seed=3)
    other = metrics.summarise(errors_of(values[:, order], point[order]), seed=3)
    assert (other.ci_low, other.ci_high) == pytest.approx((one.ci_low, one.ci_high))
    assert metrics.summarise(errors_of(values, point), seed=4).ci_low != one.ci_low


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"errors_m": np.ones(4)}, "errors_m"),
        ({"errors_m": np.ones((0, 4))}, "errors_m"),
        ({"errors_m": np.array([[1.0, np.nan, 1.0, 1.0]])}, "errors_m"),
        ({"errors_m": np.array([[1.0, -1.0, 1.0, 1.0]])}, "errors_m"),
        ({"point": np.arange(3)}, "point"),
        ({"point": np.arange(4.0)}, "point"),
        ({"k": -1}, "k"),
        ({"feature": "csi"}, "feature"),
        ({"room": ""}, "room"),
        ({"method": ""}, "method"),
    ],
)
def test_degenerate_errors_are_refused(changed: dict[str, Any], key: str) -> None:
    given: dict[str, Any] = {
        "room": "office",
        "feature": "rss",
        "k": 3,
        "method": "knn",
        "errors_m": np.ones((2, 4)),
        "point": np.arange(4),
    }
    Errors(**given)
    with pytest.raises(InputError) as caught:
        Errors(**(given | changed))
    assert [fault.key for fault in caught.value.faults] == [key]


def test_errors_cannot_be_changed_afterwards() -> None:
    values = np.ones((1, 4))
    errors = errors_of(values, np.arange(4))
    values[0, 0] = 7.0
    assert errors.errors_m[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        errors.errors_m[0, 0] = 7.0


def test_too_few_points_or_replicates_are_refused_together() -> None:
    with pytest.raises(InputError) as caught:
        metrics.summarise(errors_of(np.ones((3, 4)), np.zeros(4, int)), seed=0, replicates=10)
    assert {fault.key for fault in caught.value.faults} == {"point", "replicates"}


def test_unlike_pairs_are_refused() -> None:
    one = errors_of(np.ones((2, 4)), np.arange(4))
    with pytest.raises(InputError, match="errors_m"):
        metrics.paired_difference(one, errors_of(np.ones((1, 4)), np.arange(4)), seed=0)
    with pytest.raises(InputError, match="another order"):
        metrics.paired_difference(one, errors_of(np.ones((2, 4)), np.arange(4)[::-1]), seed=0)
    with pytest.raises(InputError) as caught:
        metrics.paired_difference(
            one, errors_of(np.ones((2, 4)), np.arange(4), "knn", 5, "hall"), seed=0
        )
    assert {fault.key for fault in caught.value.faults} == {"room", "k"}


def test_metrics_file_is_a_list_of_records(tmp_path: Path) -> None:
    values, point = clustered(np.random.default_rng(0))
    record = metrics.summarise(errors_of(values, point), seed=0)
    path = tmp_path / "new" / "metrics.json"
    write_metrics(path, [record, record])
    read = json.loads(path.read_text(encoding="utf-8"))
    assert len(read) == 2
    required = {"room", "feature", "k", "method", "mean_error_m", "ci_low", "ci_high", "draws"}
    assert required <= set(read[0])
    assert read[0]["mean_error_m"] == record.mean_error_m
    assert read[0]["seconds"] is None
    assert json.loads(to_json([])) == []
    assert [p.name for p in path.parent.iterdir()] == ["metrics.json"]


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    values, point = clustered(np.random.default_rng(0))
    record = metrics.summarise(errors_of(values, point), seed=0)
    write_metrics(path, [record])
    before = path.read_text(encoding="utf-8")
    broken = type(record)(**{**record.__dict__, "mean_error_m": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_metrics(path, [broken])
    assert path.read_text(encoding="utf-8") == before
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]
