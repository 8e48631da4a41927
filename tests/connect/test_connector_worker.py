"""The connector on a real Connect worker, writing through a real Web API server."""

from __future__ import annotations

from gridwatch.containers import Store
from tests.connect.sinks import Sinks, envelope, field

FIELDS = [field("ts", "int64", "Timestamp", optional=False), field("v", "double"), field("name", "string")]


def test_a_topic_becomes_a_time_series(sinks: Sinks, store: Store) -> None:
    topic = sinks.topic()
    name = sinks.run(topic)
    rows = [{"ts": 1_000 * place, "v": place / 2, "name": f"n{place}"} for place in range(20)]
    sinks.send(topic, [envelope(FIELDS, row) for row in rows])
    sinks.settle(name, topic)
    assert store.read(topic).column("v").to_pylist() == [row["v"] for row in rows]
