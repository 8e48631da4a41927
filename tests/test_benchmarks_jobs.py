"""The comparison of jobs for real, small; speeds are not tested."""

from __future__ import annotations

import re

import pytest

import benchmarks.jobs


def test_jobs_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.jobs, "alone", lambda work, *arguments: work(*arguments))
    monkeypatch.setattr(benchmarks.jobs, "ROWS", 20_000)
    monkeypatch.setattr(benchmarks.jobs, "GROWTH", (2,))
    monkeypatch.setattr(benchmarks.jobs, "POSTED", (2,))
    monkeypatch.setattr(benchmarks.jobs, "POSTS", 5)
    beside, raw, aggregated, _, few_raw, few_aggregated, growth, posts = benchmarks.jobs.run()
    assert beside.baseline_seconds is None
    for job in (raw, aggregated, few_raw, few_aggregated):
        assert re.search(r"the odd value has score (7[5-9]|[89]\d|100)$", job.note)
        assert all(f" {part} " in job.note for part in ("SQL", "frame", "reduction", "models", "results", "state"))
    # The same records from either feed.
    assert re.findall(r"[\d,]+ records", raw.note) == re.findall(r"[\d,]+ records", aggregated.note)
    assert growth.amount == 2 * benchmarks.jobs.GROWTH_BUCKETS
    assert re.search(r"[\d.]+ kB a partition \(stored [\d.]+; Elasticsearch estimates 48\)", growth.note)
    assert posts.amount == 5
    assert posts.baseline_seconds is not None
