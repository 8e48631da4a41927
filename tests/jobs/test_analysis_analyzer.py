"""The analysis of a job, from rows to buckets, records and influencers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwatch.detectors.online.config import AutoConfig
from gridwatch.errors import JobsRequestError
from gridwatch.jobs.analysis import Analyzer, Results
from gridwatch.jobs.config import parse_job

HOUR = 3_600_000
MODEL = AutoConfig(
    deviation=(), mean=(), change=(), ewma=(), forecast=0, shape=(), nearest=0, aligned=(), flat=False,
    season_share=0.0, history_rows=1200, warm_rows=40, tail_rows_max=64,
)  # fmt: skip


def analyzer(*detectors: dict[str, Any], **analysis: Any) -> Analyzer:
    """Return the analyzer of an hourly job."""
    top: dict[str, Any] = {
        name: analysis.pop(name) for name in ("model_plot_config", "analysis_limits") if name in analysis
    }
    body: dict[str, Any] = {
        "analysis_config": {"bucket_span": "1h", "detectors": list(detectors), **analysis},
        "data_description": {"time_field": "t"},
        **top,
    }
    return Analyzer(parse_job(body, job_id="j"), MODEL)


def orders(hours: int = 300, seed: int = 1) -> pd.DataFrame:
    """Return some 20 orders an hour in three shops."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, hours * HOUR, hours * 20))
    return pd.DataFrame(
        {
            "t": times,
            "shop": rng.choice(["a", "b", "c"], len(times)),
            "clerk": rng.choice(["x", "y", "z"], len(times)),
            "price": rng.exponential(10.0, len(times)),
        }
    )


def run(one: Analyzer, frame: pd.DataFrame, cuts: list[int] | None = None, *, stored: bool = False) -> Results:
    """Return what comes of the rows, pushed in pieces, and of all buckets that they end."""
    results = Results()
    edges = [0, *sorted(cuts or []), len(frame)]
    for start, end in pairwise(edges):
        results.extend(one.push(frame.iloc[start:end]))
        if stored:
            one = Analyzer.load(one.job, one.model, one.save())
    results.extend(one.advance((int(frame["t"].max()) // HOUR + 1) * HOUR))
    return results


SUM = {"function": "high_sum", "field_name": "price", "partition_field_name": "shop"}
COUNT = {"function": "count", "partition_field_name": "shop"}


def test_a_spike_is_a_record_of_its_partition_with_who_is_to_blame() -> None:
    frame = orders()
    odd = (frame["t"] // HOUR == 250) & (frame["shop"] == "b") & (frame["clerk"] == "y")
    frame.loc[odd, "price"] *= 40
    results = run(analyzer(SUM, COUNT, influencers=["clerk", "shop"]), frame)
    worst = max(results.records, key=lambda record: record.score)
    assert (worst.timestamp, worst.partition, worst.function) == (250 * HOUR, (("shop", "b"),), "high_sum")
    assert worst.actual > 3 * worst.typical
    assert worst.score > 50.0
    assert [(one.field_name, one.values) for one in worst.influencers] == [("clerk", ("y",)), ("shop", ("b",))]
    bucket = results.buckets[250]
    assert bucket.score == max(one.score for one in results.buckets)
    assert dict(bucket.influencers).keys() == {"clerk", "shop"}
    blamed = {(one.field_name, one.value) for one in results.influencers if one.timestamp == 250 * HOUR}
    assert {("clerk", "y"), ("shop", "b")} <= blamed


@settings(max_examples=6, deadline=None)
@given(cuts=st.lists(st.integers(0, 2000), max_size=6), stored=st.booleans())
def test_however_the_rows_are_cut_and_the_state_is_stored_the_results_are_the_same(
    cuts: list[int], stored: bool
) -> None:
    frame = orders(100)
    detectors = (SUM, COUNT, {"function": "metric", "field_name": "price", "by_field_name": "clerk"})
    whole = run(analyzer(*detectors, influencers=["clerk"]), frame)
    cut = run(analyzer(*detectors, influencers=["clerk"]), frame, cuts, stored=stored)
    assert whole.records
    assert (cut.records, cut.buckets, cut.influencers) == (whole.records, whole.buckets, whole.influencers)


def test_event_counts_are_those_of_the_rows() -> None:
    frame = orders(50)
    frame = frame[frame["t"] // HOUR != 30]
    results = run(one := analyzer(COUNT), frame)
    plain = frame.groupby(frame["t"] // HOUR).size().reindex(range(50), fill_value=0)
    assert [bucket.event_count for bucket in results.buckets] == plain.tolist()
    assert [bucket.timestamp for bucket in results.buckets] == [hour * HOUR for hour in range(50)]
    assert (one.counts.bucket_count, one.counts.empty_bucket_count) == (50, 1)


@pytest.mark.parametrize(
    ("function", "told"),
    [("count", True), ("sum", True), ("non_zero_count", False), ("non_null_sum", False), ("mean", False)],
)
def test_what_an_empty_bucket_means_depends_on_the_function(function: str, told: bool) -> None:
    frame = orders(200)
    frame = frame[frame["t"] // HOUR != 180]
    field = {} if function.endswith("count") else {"field_name": "price"}
    results = run(analyzer({"function": function, **field}), frame)
    assert any(record.timestamp == 180 * HOUR and record.actual == 0.0 for record in results.records) is told
    assert results.buckets[180].series == int(told)


@pytest.mark.parametrize(("side", "told"), [("", {150, 170}), ("high_", {150}), ("low_", {170})])
def test_the_side_decides_what_is_odd(side: str, told: set[int]) -> None:
    frame = orders(200)
    more = pd.concat([frame[frame["t"] // HOUR == 150]] * 9)
    frame = pd.concat([frame[frame["t"] // HOUR != 170], more]).sort_values("t")
    results = run(analyzer({"function": f"{side}count"}), frame)
    found = {record.timestamp // HOUR for record in results.records}
    assert found & {150, 170} == told


def test_rows_that_come_too_late_are_counted_and_left_out() -> None:
    frame = orders(20)
    one = analyzer(COUNT, latency="1h")
    one.push(frame[frame["t"] >= 10 * HOUR])
    # The last row lies in hour 19: 18 and 19 are open, thanks to the latency.
    one.push(frame[frame["t"] < 10 * HOUR])
    late = frame[(frame["t"] // HOUR == 18)].head(2)
    before = one.counts.processed_record_count
    one.push(late)
    assert one.counts.out_of_order_timestamp_count == int((frame["t"] < 10 * HOUR).sum())
    assert one.counts.processed_record_count == before + 2


def test_a_missing_partition_is_a_series_and_a_missing_by_value_is_one_only_when_asked_for() -> None:
    frame = orders(5)
    frame.loc[frame.index % 2 == 0, "shop"] = None
    one = analyzer(
        {"function": "count", "partition_field_name": "shop"},
        {"function": "count", "by_field_name": "shop"},
        {"function": "high_count", "by_field_name": "shop", "use_null": True},
    )
    run(one, frame)
    assert [("",) in detector.series.keys for detector in one.detectors] == [True, False, True]
    assert one.counts.missing_field_count == int(frame["shop"].isna().sum())


def test_summaries_give_the_records_that_their_rows_give() -> None:
    frame = orders()
    frame.loc[frame["t"] // HOUR == 250, "price"] *= 5
    minutes = frame["t"] // 600_000 * 600_000
    summed = frame.groupby([minutes, "shop"]).agg(n=("price", "size"), price=("price", "sum")).reset_index()
    detectors = (SUM, COUNT)
    raw = run(analyzer(*detectors), frame)
    summary = run(analyzer(*detectors, summary_count_field_name="n"), summed)
    assert [bucket.event_count for bucket in raw.buckets] == [bucket.event_count for bucket in summary.buckets]
    assert len(raw.records) == len(summary.records) > 0
    for one, other in zip(raw.records, summary.records, strict=True):
        assert (one.timestamp, one.partition, one.function) == (other.timestamp, other.partition, other.function)
        assert one.score == pytest.approx(other.score, abs=1e-6)


def test_interim_results_tell_too_much_but_not_yet_too_little() -> None:
    frame = orders(200)
    one = analyzer({"function": "count"}, SUM)
    one.push(frame)
    last = frame[frame["t"] // HOUR == 199]
    assert not [record for record in one.interim().records if record.function == "count"]
    one.push(pd.concat([last] * 20))
    found = one.interim()
    assert {record.function for record in found.records} == {"count", "high_sum"}
    assert all(record.is_interim for record in found.records)
    assert all(bucket.is_interim for bucket in found.buckets)
    assert one.counts.bucket_count == 199


def test_the_band_is_kept_for_the_series_that_were_asked_for() -> None:
    results = run(analyzer(COUNT, model_plot_config={"enabled": True, "terms": "b"}), orders(50))
    assert {plot.partition for plot in results.model_plot} == {(("shop", "b"),)}
    assert all(plot.lower <= plot.median <= plot.upper for plot in results.model_plot)
    assert not run(analyzer(COUNT), orders(50)).model_plot


def test_no_more_series_than_memory_has_room_for() -> None:
    frame = orders(5)
    frame["shop"] = frame.index.astype(str)
    one = analyzer(COUNT, analysis_limits={"model_memory_limit": "1mb"})
    run(one, frame)
    assert 0 < len(one.detectors[0].series) == one.detectors[0].series_max < len(frame)
    assert one.counts.bucket_allocation_failures_count == len(frame) - one.detectors[0].series_max


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({}, "lacks analysis.json, models.npz"),
        ({"analysis.json": b"{", "models.npz": b""}, "damaged"),
        ({"analysis.json": b'{"format": 99}', "models.npz": b""}, "format 99, this version reads 2"),
    ],
)
def test_a_state_that_cannot_be_read_is_told(parts: dict[str, bytes], says: str) -> None:
    one = analyzer(COUNT)
    with pytest.raises(JobsRequestError, match=says):
        Analyzer.load(one.job, one.model, parts)


def test_the_state_of_another_job_is_refused() -> None:
    one, other = analyzer(COUNT), analyzer(COUNT, SUM)
    run(one, orders(5))
    with pytest.raises(JobsRequestError, match="1 detectors, the job 2"):
        Analyzer.load(other.job, other.model, one.save())
    damaged = {**one.save(), "models.npz": one.save()["models.npz"][:-200]}
    with pytest.raises(JobsRequestError, match="damaged"):
        Analyzer.load(one.job, one.model, damaged)
