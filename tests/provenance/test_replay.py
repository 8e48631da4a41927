"""Replay: every anomaly of the demo is computed again to the last bit, and what has changed shows."""

from __future__ import annotations

from typing import Any

from gridwatch.provenance import replay, subjects

NOW_MS = 1_761_000_000_000
Demo = Any


def test_every_anomaly_of_the_demo_is_bit_equal(demo: Demo) -> None:
    wanted = subjects(demo.store)
    done = replay(demo.store, demo.settings, wanted, now_ms=NOW_MS)
    assert [one.id for one in done] == [one.id for one in wanted]
    assert {one.verdict for one in done} == {"bit-equal"}, [one.differing for one in done]
    assert len(done) == demo.report.anomalies > 0
