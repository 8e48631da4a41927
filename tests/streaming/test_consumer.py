"""What one member of the consumer group gives, goes back to and commits, on a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from gridwatch.errors import StreamError
from gridwatch.settings import Settings
from gridwatch.streaming import Producer
from gridwatch.streaming.consumer import Batch, Member, Record


@pytest.fixture
def member(settings: Settings, bootstrap: str, topic: str) -> Iterator[Member]:
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic])
        for number in range(10):
            producer.repeat(topic, str(number).encode(), key=b"k", headers=[("trace", b"7")])
    member = Member(settings, bootstrap, [topic])
    yield member
    member.close()


def _next(member: Member, rows_max: int = 100) -> Batch:
    """Return the first batch with records; there are ten polls to a rebalance, and a minute is enough for all."""
    return next(batch for batch in (member.poll(rows_max) for _ in range(200)) if batch.messages)


def _values(batch: Batch, topic: str) -> list[int]:
    return [int(message.value() or b"") for message in batch.messages[topic]]


def test_a_batch_is_bounded_and_comes_again_until_it_is_committed(
    member: Member, settings: Settings, bootstrap: str, topic: str
) -> None:
    batch = _next(member, rows_max=4)
    assert (_values(batch, topic), batch.begins, batch.ends) == ([0, 1, 2, 3], {(topic, 0): 0}, {(topic, 0): 4})
    record = Record.of(batch.messages[topic][3])
    assert (record.topic, record.partition, record.offset, record.key) == (topic, 0, 3, b"k")
    assert (record.value, record.headers) == (b"3", [("trace", b"7")])
    member.rewind(batch)
    assert _values(_next(member, rows_max=3), topic) == [0, 1, 2]
    member.commit({(topic, 0): 3})
    member.close()
    again = Member(settings, bootstrap, [topic])
    assert _values(_next(again), topic) == [3, 4, 5, 6, 7, 8, 9]
    again.close()


class _Stubborn:
    """A client that cannot seek."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def seek(self, part: Any) -> None:
        raise KafkaException(KafkaError(KafkaError._STATE))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_a_batch_that_cannot_be_gone_back_to_comes_from_what_was_committed(
    member: Member, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = _next(member)
    member.commit({(topic, 0): 6})
    genuine = member._client
    monkeypatch.setattr(member, "_client", _Stubborn(genuine))
    member.rewind(batch)
    monkeypatch.setattr(member, "_client", genuine)
    assert _values(_next(member), topic) == [6, 7, 8, 9]


def test_a_commit_that_is_refused_is_told(member: Member, bootstrap: str, topic: str) -> None:
    _next(member)
    with pytest.raises(StreamError, match=rf"Cannot commit in the topics at {bootstrap}: .*[Uu]nknown"):
        member.commit({(f"{topic}_GONE", 0): 1})


def test_the_end_behind_a_last_record_is_told_once(member: Member, topic: str) -> None:
    seen = [_next(member).ends, *(member.poll(10).ends for _ in range(3))]
    assert [ends for ends in seen if ends][-1] == {(topic, 0): 10}
    assert seen[-1] == {}
