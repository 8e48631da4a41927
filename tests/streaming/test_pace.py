"""Batches that take too long get smaller, and larger again; what is large in bytes makes small batches as well."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from gridwatch.containers import Store
from gridwatch.containers.catalog import series_info
from gridwatch.settings import Settings
from gridwatch.streaming import Producer, Sink
from gridwatch.streaming.consumer import Member
from gridwatch.streaming.pace import Pace


@pytest.mark.parametrize(
    ("rows", "seconds", "then"),
    [
        pytest.param(1000, 100, 1000, id="in time"),
        pytest.param(1000, 151, 500, id="a little too slow"),
        pytest.param(1000, 1500, 100, id="much too slow"),
        pytest.param(400, 151, 200, id="what there was, and not what there might have been"),
        pytest.param(1, 1500, 1, id="no less than one"),
    ],
)
def test_a_slow_batch_makes_the_next_one_smaller(rows: int, seconds: float, then: int) -> None:
    bound = Pace(1000, interval_s=300)
    bound.took(rows, seconds)
    assert bound.rows == then


def test_fast_batches_grow_again_to_what_was_wanted() -> None:
    bound = Pace(1000, interval_s=300)
    bound.took(1000, 1500)
    seen = []
    for _ in range(6):
        bound.took(50, 1)
        bound.took(bound.rows, 10)
        seen.append(bound.rows)
    assert seen == [200, 400, 800, 1000, 1000, 1000]
    bound.took(1000, 100)
    assert bound.rows == 1000


class _Slow:
    """A store that takes a while for each row."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.sizes: list[int] = []

    def put_many(self, rows: Mapping[str, pa.Table]) -> int:
        count = self._store.put_many(rows)
        self.sizes.append(count)
        time.sleep(0.01 * count)
        return count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_sink_takes_less_at_a_time_from_a_slow_store(
    settings: Settings, bootstrap: str, store: Store, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_container(series_info(topic))
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic], partitions=1)
        for number in range(200):
            producer.repeat(topic, json.dumps({"ts": number, "close": 1.0}).encode(), key=b"k", headers=[])
    monkeypatch.setattr("gridwatch.streaming.sink.Pace", lambda rows: Pace(rows, interval_s=0.5))
    slow = _Slow(store)
    sink = Sink(settings, bootstrap, slow, [topic], rows_max=100)
    sink.run_until(lambda: sink.rows == 200)
    # The first of them takes a second, and a quarter is slow.
    assert slow.sizes[0] == 100
    assert max(slow.sizes[1:]) <= 50
    assert store.read(topic).num_rows == 200


def test_a_batch_is_bounded_in_bytes(settings: Settings, bootstrap: str, topic: str) -> None:
    values = [b"%d" % number + bytes(100_000 if number >= 50 else 10) for number in range(100)]
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic], partitions=1)
        for value in values:
            producer.repeat(topic, value, key=b"k", headers=[])
    member = Member(settings, bootstrap, [topic])
    came: list[bytes] = []
    batches: list[list[bytes]] = []
    ends = time.monotonic() + 120
    try:
        while len(came) < len(values) and time.monotonic() < ends:
            batch = member.poll(10_000, 500_000)
            messages = [message.value() or b"" for messages in batch.messages.values() for message in messages]
            came += messages
            batches.append(messages)
    finally:
        member.close()
    assert came == values, "in their order, and none left out"
    # Where it is known how large they are, one more than fits at most.
    assert max(sum(map(len, batch)) for batch in batches if batch and len(batch[0]) > 100_000) <= 600_010
    assert max(sum(map(len, batch)) for batch in batches) >= 500_000
