"""What has to be true in the end: each container holds its records' last rows, each bad record is one dead letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gridwatch.containers import Store
from gridwatch.settings import Settings
from gridwatch.streaming.clients import connect
from tests.faults.records import NUMBER_HEADER, Row, Source

__all__ = ["Arrived", "arrived", "check_letters", "check_rows", "letters"]

_SHOWN_MAX = 5
_EMPTY_POLLS_MAX = 60

Place = tuple[str, int, int]
"""Topic, partition and offset."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What the topics hold, as sinks have to make rows and dead letters of it.

    Args:
        rows: By topic and row key (epoch ms), the last good record's row.
        bad: Where the bad records are, and their numbers.
        records: How many there are, those that a producer sent twice included.
    """

    rows: dict[str, dict[int, Row]]
    bad: dict[Place, int]
    records: int


def consume(bootstrap: str, topics: list[str]) -> Iterator[Any]:
    """Give all records that are in the topics now, in the order of each partition."""
    from kafka import KafkaConsumer, TopicPartition

    settings = Settings(_env_file=None)
    consumer = connect(KafkaConsumer, settings, bootstrap, enable_auto_commit=False, allow_auto_create_topics=False)
    try:
        parts = [TopicPartition(topic, part) for topic in topics for part in consumer.partitions_for_topic(topic) or ()]
        if not parts:
            return
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        ends = consumer.end_offsets(parts)
        empty = 0
        while any(consumer.position(part) < ends[part] for part in parts):
            batch = consumer.poll(timeout_ms=500)
            empty = 0 if batch else empty + 1
            assert empty < _EMPTY_POLLS_MAX, f"topics {topics} cannot be read to their ends"
            for part, records in batch.items():
                yield from (record for record in records if record.offset < ends[part])
    finally:
        consumer.close(autocommit=False)


def arrived(bootstrap: str, topics: tuple[str, ...], source: Source) -> Arrived:
    """Read the topics; check that all records of the source are there, as they were sent."""
    rows: dict[str, dict[int, Row]] = {topic: {} for topic in topics}
    bad: dict[Place, int] = {}
    seen: Counter[int] = Counter()
    for found in consume(bootstrap, list(topics)):
        number = _number(found)
        record = source[number]
        assert (found.topic, found.key, found.value) == (record.topic, record.key, record.value), record
        seen[number] += 1
        if record.row is None:
            bad[found.topic, found.partition, found.offset] = number
        else:
            rows[found.topic][record.row[0]] = record.row
    missing = [number for number in range(len(source)) if number not in seen]
    assert not missing, f"{len(missing)} records never came to Kafka, the first are {missing[:_SHOWN_MAX]}"
    return Arrived(rows, bad, seen.total())


def check_rows(store: Store, container: str, expected: dict[int, Row]) -> None:
    """Compare a container with the rows that it has to hold, value by value."""
    table = store.read(container)
    columns = [table.column("ts").cast("int64"), *(table.column(name) for name in ("number", "price", "note"))]
    found: list[Row] = list(zip(*(column.to_pylist() for column in columns), strict=True))
    by_key = {row[0]: row for row in found}
    assert len(by_key) == len(found), f"{container} holds {len(found) - len(by_key)} row keys twice"
    lost = [row for key, row in expected.items() if key not in by_key]
    surplus = [row for key, row in by_key.items() if key not in expected]
    wrong = [(by_key[key], row) for key, row in expected.items() if by_key.get(key, row) != row]
    assert not [*lost, *surplus, *wrong], (
        f"{container}: of {len(expected)} rows {len(lost)} are lost {lost[:_SHOWN_MAX]}, {len(wrong)} are not the "
        f"last of their key (found, expected) {wrong[:_SHOWN_MAX]}; {len(surplus)} are no record's "
        f"{surplus[:_SHOWN_MAX]}"
    )


def letters(bootstrap: str, topics: list[str]) -> Counter[Place]:
    """Return where the dead letters of the topics come from, and how often each is there."""
    return Counter(_origin(found) for found in consume(bootstrap, topics))


def check_letters(found: Counter[Place], bad: dict[Place, int], source: Source) -> int:
    """Compare dead letters with the bad records; return how many are there again because a sink died after them."""
    lost = {place: source[number].value[-80:] for place, number in bad.items() if place not in found}
    surplus = [place for place in found if place not in bad]
    assert not [*lost, *surplus], (
        f"of {len(bad)} bad records {len(lost)} are no dead letters {list(lost.items())[:_SHOWN_MAX]}; "
        f"{len(surplus)} dead letters are no bad records {surplus[:_SHOWN_MAX]}"
    )
    return found.total() - len(found)


def _number(record: Any) -> int:
    return int(dict(record.headers)[NUMBER_HEADER])


def _origin(letter: Any) -> Place:
    """Return the place that a dead letter tells it comes from: the Python sink's headers, or Kafka Connect's."""
    headers = {name: value.decode() for name, value in letter.headers}
    prefix = "gridwatch." if "gridwatch.topic" in headers else "__connect.errors."
    return headers[f"{prefix}topic"], int(headers[f"{prefix}partition"]), int(headers[f"{prefix}offset"])
