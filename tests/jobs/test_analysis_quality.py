"""What the models of buckets find, what they forget, and what memory they take."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from gridwatch.jobs.analysis import Analyzer, Results
from gridwatch.jobs.analysis.evened import as_given, evened
from gridwatch.jobs.analysis.models import BUCKETS, Models
from gridwatch.jobs.analysis.scoring import RECORD_P, score_of
from gridwatch.jobs.config import JobConfig, parse_job

HOUR = 3_600_000
START = 1_708_128_000_000


def _partitioned(limit: str = "1gb", window: str = "10h") -> JobConfig:
    return parse_job(
        {
            "analysis_config": {
                "bucket_span": "1h",
                "detectors": [{"function": "sum", "field_name": "v", "partition_field_name": "p"}],
                "model_prune_window": window,
            },
            "analysis_limits": {"model_memory_limit": limit},
        },
        job_id="job",
    )


def _rows_of(buckets: int, partitions: int, gone: int) -> pd.DataFrame:
    """Return a row a bucket and partition; half of the partitions have none from bucket `gone` on."""
    rng = np.random.default_rng(5)
    bucket, partition = (one.ravel() for one in np.meshgrid(np.arange(buckets), np.arange(partitions), indexing="ij"))
    keep = (bucket < gone) | (partition % 2 == 0)
    frame = {"time": START + bucket * HOUR, "p": [f"p{one}" for one in partition], "v": rng.normal(10, 1, len(bucket))}
    return pd.DataFrame({name: np.asarray(column)[keep] for name, column in frame.items()})


def test_series_without_rows_are_forgotten_at_the_same_time_however_the_rows_come() -> None:
    rows = _rows_of(80, 300, gone=60)
    whole = Analyzer(_partitioned(), BUCKETS)
    expected = whole.push(rows)
    assert (len(whole.detectors[0].series), whole.counts.pruned_series_count) == (150, 150)
    pieces = Analyzer(_partitioned(), BUCKETS)
    found = Results()
    for start in range(0, len(rows), 3777):
        found.extend(pieces.push(rows.iloc[start : start + 3777]))
        pieces = Analyzer.load(_partitioned(), BUCKETS, pieces.save())
    assert found == expected
    assert pieces.detectors[0].series.keys == whole.detectors[0].series.keys
    assert pieces.nbytes == whole.nbytes
    # What is left goes on as if the others had never been.
    alone = Analyzer(_partitioned(), BUCKETS)
    even = rows[rows["p"].str[1:].astype(int) % 2 == 0]
    ours = [one for one in expected.records if int(one.partition[0][1][1:]) % 2 == 0]
    assert alone.push(even).records == ours


def test_models_take_no_more_than_the_limit_and_new_series_are_refused() -> None:
    limit = 2 << 20
    one = Analyzer(_partitioned("2mb"), BUCKETS)
    one.push(_rows_of(30, 200, gone=30))
    assert 0.95 * limit < one.nbytes <= limit
    assert one.full
    assert one.counts.bucket_allocation_failures_count > 0
    later = _rows_of(70, 200, gone=0)
    one.push(later[later["time"] >= START + 30 * HOUR])
    # The odd ones have been forgotten since, and even ones have come into their place.
    assert {int(key[0][1:]) % 2 for key in one.detectors[0].series.keys} == {0}
    assert one.full


@pytest.mark.parametrize("kind", ["flat", "daily", "sums"])
@pytest.mark.parametrize("span_ms", [HOUR // 4, HOUR])
def test_each_burst_is_critical_and_ordinary_buckets_are_records_as_often_as_they_should(
    kind: str, span_ms: int
) -> None:
    rng = np.random.default_rng(7)
    day, series = 24 * HOUR // span_ms, 8
    buckets = 2000
    level = 1.0 + (0.0 if kind == "flat" else 0.8) * np.sin(2 * np.pi * np.arange(buckets) / day)
    values = rng.poisson(40.0 * level + 2.0, (series, buckets)).astype(np.float64)
    if kind == "sums":
        values = rng.gamma(4.0 * values + 1e-9, 10.0)
    times = START + np.arange(buckets) * span_ms
    ordinary = Models(BUCKETS).update(times, values)
    assert 0.004 < np.mean(10.0 ** -ordinary.surprise[:, 400:] <= RECORD_P) < 0.02
    at = np.array([800, 1100, 1400, 1700, 1999])
    bursts = values.copy()
    bursts[:, at] = 9.0 * np.maximum(values[:, at], values.mean())
    judged = Models(BUCKETS).update(times, bursts)
    scores = score_of(10.0**-judged.surprise)
    assert np.mean(scores[:, at] >= 75.0) > 0.9
    after = np.setdiff1d(np.arange(400, buckets), at)
    assert np.mean(scores[:, after] >= 75.0) < 0.001


def test_a_new_level_is_learnt_soon() -> None:
    rng = np.random.default_rng(8)
    values = rng.poisson(30.0, (4, 1500)).astype(np.float64)
    values[:, 1000:] += 100.0
    scores = score_of(10.0 ** -Models(BUCKETS).update(START + np.arange(1500) * HOUR, values).surprise)
    assert (scores[:, 1000] >= 75.0).all()
    assert (scores[:, 1030:] < 75.0).all()


@pytest.mark.parametrize("gaps", ["some", "most", "nights", "weekends"])
def test_a_gap_leaves_the_time_of_day_where_it_is(gaps: str) -> None:
    rng = np.random.default_rng(9)
    buckets, series = 24 * 60, 6
    hour = np.arange(buckets) % 24
    level = 100.0 + 60.0 * np.sin(2.0 * np.pi * hour / 24.0)
    values = level + rng.normal(0.0, 5.0, (series, buckets))
    chance, days = rng.random(values.shape), np.arange(buckets) // 24
    missing = {"some": chance < 0.3, "most": chance < 0.7, "nights": hour < 9, "weekends": days % 7 >= 5}[gaps]
    values[np.broadcast_to(missing, values.shape)] = np.nan
    # What is usual at another hour.
    odd = np.flatnonzero(hour == 19)[[50]]
    values[:, odd] = 120.0
    times = START + np.arange(buckets) * HOUR
    filling = Models(BUCKETS, slots=24)
    judged = filling.update(times, values)
    there = np.isfinite(values)
    assert np.isnan(judged.surprise[~there]).all()
    assert (judged.driver[~there] == -1).all()
    ordinary = there.copy()
    ordinary[:, :500] = False
    ordinary[:, odd] = False
    assert np.mean(10.0 ** -judged.surprise[ordinary] <= RECORD_P) < 0.025
    assert np.mean(np.abs(judged.expected - values)[ordinary]) < 8.0
    least = 0.5 if gaps == "most" else 0.8
    assert np.mean(score_of(10.0 ** -judged.surprise[:, odd][there[:, odd]]) >= 25.0) > least
    pieces = Models(BUCKETS, slots=24)
    edges = [0, 1, 30, 31, 32, 33, 145, 700, buckets]
    for a, b in pairwise(edges):
        looked = pieces.preview(times[a:b], values[:, a:b], np.arange(series)) if a else None
        found = pieces.update(times[a:b], values[:, a:b])
        np.testing.assert_array_equal(found.surprise, judged.surprise[:, a:b])
        if looked is not None and b - a < 64:
            # With its gap filled as it will be.
            np.testing.assert_array_equal(looked.expected[there[:, a:b]], found.expected[there[:, a:b]])


def test_series_with_gaps_go_on_from_what_was_stored() -> None:
    rows = _rows_of(60, 20, gone=40)
    rows = rows[np.random.default_rng(1).random(len(rows)) > 0.3]
    job = parse_job(
        {
            "analysis_config": {
                "bucket_span": "1h",
                "detectors": [{"function": "mean", "field_name": "v", "partition_field_name": "p"}],
                "model_prune_window": "10h",
            }
        },
        job_id="job",
    )
    whole = Analyzer(job, BUCKETS)
    expected = whole.push(rows)
    one, found = Analyzer(job, BUCKETS), Results()
    for start in range(0, len(rows), 97):
        found.extend(one.push(rows.iloc[start : start + 97]))
        one = Analyzer.load(job, BUCKETS, one.save())
    assert found == expected
    assert whole.counts.pruned_series_count == 10


def test_time_goes_on_for_a_job_whose_series_are_all_forgotten() -> None:
    rows = _rows_of(20, 6, gone=20)
    found = Results()
    one = Analyzer(_partitioned(), BUCKETS)
    found.extend(one.push(rows))
    found.extend(one.advance(START + 400 * HOUR))
    assert (len(one.detectors[0].series), one.counts.pruned_series_count) == (0, 6)
    # With nothing left to judge, a bucket is nothing but a bucket: in stretches, and one by one after a restart.
    for end in (401, 402, 410):
        one = Analyzer.load(_partitioned(), BUCKETS, one.save())
        found.extend(one.advance(START + end * HOUR))
    assert [(bucket.timestamp - START) // HOUR for bucket in found.buckets] == list(range(410))
    assert not any(bucket.score or bucket.series for bucket in found.buckets[300:])
    assert not one.interim().records
    fresh = one.push(rows.assign(time=rows["time"] + 415 * HOUR))
    assert (len(one.detectors[0].series), one.counts.out_of_order_timestamp_count) == (6, 0)
    assert sum(bucket.event_count for bucket in fresh.buckets) == len(rows) - 6


def test_bursts_of_counts_that_are_nearly_always_0_are_found_and_what_is_ordinary_is_not() -> None:
    rng = np.random.default_rng(10)
    times = START + np.arange(2000) * HOUR
    counts = rng.poisson(0.1, (20, 2000)).astype(np.float64)
    at = np.array([800, 1100, 1400, 1700, 1999])
    bursts = counts.copy()
    bursts[:, at] = 9.0
    scores = [
        score_of(10.0 ** -Models(BUCKETS).update(times, evened("count", times, one)).surprise)
        for one in (counts, bursts)
    ]
    assert np.mean(scores[1][:, at] >= 75.0) > 0.7
    assert np.mean(scores[0][:, 400:] >= 75.0) < 8e-4
    assert np.mean(scores[0][:, 400:] >= 25.0) < 2e-3


def test_the_first_sums_of_many_zeros_do_not_hide_what_comes_later() -> None:
    rng = np.random.default_rng(12)
    times = START + np.arange(2000) * HOUR
    orders = rng.poisson(0.1, (20, 2000))
    sums = np.where(orders > 0, rng.gamma(4.0 * orders + 1e-9, 10.0), 0.0)
    at = np.array([800, 1100, 1400, 1700, 1999])
    bursts = sums.copy()
    bursts[:, at] = 360.0
    pieces = Models(BUCKETS, zeros_span_ms=HOUR)
    edges = [0, 1, 60, 61, 300, 2000]
    found = np.hstack([pieces.update(times[a:b], bursts[:, a:b]).surprise for a, b in pairwise(edges)])
    whole = Models(BUCKETS, zeros_span_ms=HOUR).update(times, bursts)
    np.testing.assert_array_equal(whole.surprise, found)
    scores = score_of(10.0**-found)
    assert np.isfinite(scores).all()
    assert scores[:, at].mean() > 40.0
    ordinary = Models(BUCKETS, zeros_span_ms=HOUR).update(times, sums).surprise[:, 400:]
    assert np.mean(score_of(10.0**-ordinary) >= 75.0) < 3e-4


def test_counts_come_back_as_they_were() -> None:
    times = START + np.arange(400) * HOUR
    counts = np.tile(np.array([3.0, 7.0, 0.0, 12.0] * 6), (2, 17))[:, :400]
    judged = as_given("count", Models(BUCKETS).update(times, evened("count", times, counts)))
    assert np.max(np.abs(judged.expected - counts)[:, 200:]) < 1.0
    assert (judged.lower <= judged.expected).all()
    assert (judged.lower >= 0.0).all()


@pytest.mark.parametrize("deviations", [6.0, 8.0])
def test_faults_that_are_not_critical_do_not_hide_the_next(deviations: float) -> None:
    rng = np.random.default_rng(11)
    values = 100.0 + 20.0 * np.sin(2.0 * np.pi * np.arange(2000) / 24.0) + rng.normal(0.0, 5.0, (20, 2000))
    at = np.arange(600, 2000, 150)
    values[:, at] += 5.0 * deviations
    scores = score_of(10.0 ** -Models(BUCKETS).update(START + np.arange(2000) * HOUR, values).surprise)
    first, last = scores[:, at[:3]].mean(), scores[:, at[-3:]].mean()
    assert (first > 55.0, last > 0.35 * first) == (True, True), (first, last)
