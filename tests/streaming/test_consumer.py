"""What one member of the consumer group gives, goes back to and commits, on a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from gridwatch.errors import StreamError
from gridwatch.settings import Settings
from gridwatch.streaming import Producer, consumer
from gridwatch.streaming.batch import Batch, Record
from gridwatch.streaming.consumer import Member


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
    """A client of which one call fails."""

    def __init__(self, client: Any, name: str, *, passes: int = 0) -> None:
        self._client = client
        self._name = name
        self._passes = passes

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._name and not self._passing() else getattr(self._client, name)

    def _passing(self) -> bool:
        self._passes -= 1
        return self._passes >= 0

    def _fail(self, *_: Any, **__: Any) -> Any:
        raise KafkaException(KafkaError(KafkaError._STATE))


def test_a_batch_that_cannot_be_gone_back_to_comes_from_what_was_committed(
    member: Member, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = _next(member)
    member.commit({(topic, 0): 6})
    genuine = member._client
    monkeypatch.setattr(member, "_client", _Stubborn(genuine, "seek"))
    member.rewind(batch)
    monkeypatch.setattr(member, "_client", genuine)
    assert _values(_next(member), topic) == [6, 7, 8, 9]


@pytest.mark.parametrize("name", ["__consumer_offsets", "gridwatch.dlq-replays", "A.dlq"])
def test_topics_without_rows_are_read_by_no_pattern(name: str) -> None:
    assert consumer._NO_ROWS.search(name)
    assert not consumer._NO_ROWS.search(f"INTRADAY_{name}_1")


@pytest.mark.parametrize(("call", "passes"), [("consume", 1), ("assignment", 0)])
def test_what_was_read_before_a_poll_failed_is_not_passed_over(
    member: Member, bootstrap: str, topic: str, monkeypatch: pytest.MonkeyPatch, call: str, passes: int
) -> None:
    member.commit(_next(member, rows_max=2).ends)
    genuine = member._client
    monkeypatch.setattr(member, "_client", _Stubborn(genuine, call, passes=passes))
    with pytest.raises(StreamError, match=rf"Cannot read the topics at {bootstrap}: "):
        member.poll(3)
    monkeypatch.setattr(member, "_client", genuine)
    assert _values(_next(member), topic) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_a_client_that_can_do_nothing_any_more_is_replaced(member: Member, topic: str) -> None:
    member.commit(_next(member, rows_max=2).ends)
    useless: Any = _Stubborn(_Stubborn(member._client, "consume"), "unsubscribe")
    member._client = useless
    with pytest.raises(StreamError, match="Cannot read"):
        member.poll(3)
    assert _values(_next(member), topic) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert member._client is not useless


def test_a_commit_that_failed_is_made_later_without_new_records(
    member: Member, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = _next(member).ends
    genuine = member._client
    monkeypatch.setattr(member, "_client", _Stubborn(genuine, "commit"))
    with pytest.raises(StreamError, match="Cannot commit"):
        member.commit(ends)
    monkeypatch.setattr(member, "_client", genuine)
    member.poll(10)
    assert member.commit({}) == ends
    assert member.commit({}) == {}


def test_a_commit_of_partitions_that_went_away_is_dropped(
    member: Member, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = _next(member).ends
    genuine = member._client
    monkeypatch.setattr(member, "_client", _Stubborn(genuine, "commit"))
    with pytest.raises(StreamError, match="Cannot commit"):
        member.commit(ends)
    monkeypatch.setattr(member, "_client", genuine)
    # What another member wrote meanwhile would have to come again.
    genuine.unsubscribe()
    member.poll(10)
    assert member.commit({}) == {}


def test_a_commit_that_is_refused_is_told(member: Member, bootstrap: str, topic: str) -> None:
    _next(member)
    with pytest.raises(StreamError, match=rf"Cannot commit in the topics at {bootstrap}: .*[Uu]nknown"):
        member.commit({(f"{topic}_GONE", 0): 1})


def test_the_end_behind_a_last_record_is_told_once(member: Member, topic: str) -> None:
    seen = [_next(member).ends, *(member.poll(10).ends for _ in range(3))]
    assert [ends for ends in seen if ends][-1] == {(topic, 0): 10}
    assert seen[-1] == {}
