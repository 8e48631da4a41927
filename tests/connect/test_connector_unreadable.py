"""Records that the converter cannot read, and dead letters that do not arrive."""

from __future__ import annotations

from typing import Any

from tests.connect.sinks import Sinks, field, wait_for
from tests.connect.sinks import envelope as enveloped

FIELDS = [field("ts", "int64", "Timestamp", optional=False), field("v", "double")]
STRICT = {"value.converter": "org.gridwatch.connect.json.StrictJsonConverter"}


def options(**more: Any) -> dict[str, Any]:
    return STRICT | {"value.converter.unreadable": "sink"} | more


def test_records_that_cannot_be_read_are_dead_letters_with_the_reason(sinks: Sinks) -> None:
    topic = sinks.topic()
    name = sinks.run(topic, **options())
    bad = enveloped(FIELDS, {"ts": 2, "v": "much"})
    sinks.send(
        topic, [enveloped(FIELDS, {"ts": 1, "v": 1.0}), b"nonsense", bad, enveloped(FIELDS, {"ts": 3, "v": 2.0})]
    )
    sinks.settle(name, topic)
    letters = wait_for(lambda: sinks.letters(topic), "letters", until=lambda found: len(found) >= 2)
    assert [(letter.offset, letter.value) for letter in letters] == [(1, b"nonsense"), (2, bad)]
    assert letters[0].reason.startswith("not JSON (")
    assert letters[1].reason == "field 'v' is text \"much\", but its schema says float64"


def test_a_dead_letter_that_does_not_arrive_stops_the_task_rather_than_being_lost(sinks: Sinks) -> None:
    topic = sinks.topic()
    # What GridDB is to have may be larger than what the topic of dead letters takes.
    sinks.make_topic(f"{topic}.dlq", max__message__bytes=2_000)
    name = sinks.run(topic, **options())
    sinks.send(topic, [enveloped(FIELDS, {"ts": 1, "v": 1.0}), b"n" * 20_000])
    trace = sinks.failure(name)
    assert f"The dead letter of record {topic}-0-1 is not taken: org.apache.kafka.common.errors.RecordTooLarge" in trace
    assert sinks.committed(name, topic).get(0, 0) <= 1
