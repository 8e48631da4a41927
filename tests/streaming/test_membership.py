"""A member that will get nothing any more is replaced; one that waits for its turn is left alone."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from confluent_kafka import Consumer
from structlog.testing import capture_logs

from gridwatch.errors import MissingServiceError, StreamError
from gridwatch.settings import Settings
from gridwatch.streaming import Producer, consumer
from gridwatch.streaming.consumer import Member
from gridwatch.streaming.fast_clients import fast_config, fast_consumer
from gridwatch.streaming.membership import Watch, close_in_time, is_listed


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class _Cluster:
    """What the cluster says of a member, and how often it was asked."""

    def __init__(self, answer: bool | None) -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self) -> bool | None:
        self.asked += 1
        return self.answer


def _lost_at(watch: Watch, clock: _Clock, seconds: int) -> int | None:
    """Look once a second, for so many; return after how many the member was lost."""
    for second in range(1, seconds + 1):
        clock.now += 1
        if watch.lost():
            return second
    return None


@pytest.mark.parametrize(
    ("answer", "lost_at", "asked"),
    [
        pytest.param(False, 40, 2, id="twice unknown to its group"),
        pytest.param(True, None, 3, id="waits for its turn"),
        pytest.param(None, None, 3, id="the cluster is away"),
    ],
)
def test_silence_is_looked_into(answer: bool | None, lost_at: int | None, asked: int) -> None:
    clock, cluster = _Clock(), _Cluster(answer)
    watch = Watch(cluster, patience_s=30, again_s=10, clock=clock)
    assert (_lost_at(watch, clock, 100), cluster.asked) == (lost_at, asked)


def test_what_comes_after_a_no_ends_the_suspicion() -> None:
    clock, cluster = _Clock(), _Cluster(False)
    watch = Watch(cluster, patience_s=30, again_s=10, clock=clock)
    assert _lost_at(watch, clock, 35) is None
    watch.sound()
    assert _lost_at(watch, clock, 100) == 40


@pytest.fixture
def topics(settings: Settings, bootstrap: str, topic: str) -> list[str]:
    """A topic of one partition with one record."""
    _send(settings, bootstrap, topic, b"0")
    return [topic]


@pytest.fixture
def members() -> Iterator[ExitStack]:
    with ExitStack() as members:
        yield members


def _send(settings: Settings, bootstrap: str, topic: str, value: bytes) -> None:
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic], partitions=1)
        producer.repeat(topic, value, key=b"k", headers=[])


def _member(members: ExitStack, *args: Any) -> Member:
    member = Member(*args)
    members.callback(member.close)
    member._watch = Watch(member._is_listed, patience_s=0.5, again_s=0.5)
    return member


def _values(member: Member) -> list[bytes | None]:
    """Return the first values that come, committed; fails when none do in two minutes."""
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        batch = member.poll(10)
        if batch.messages:
            member.commit(batch.ends)
            return [message.value() for [*messages] in batch.messages.values() for message in messages]
    raise AssertionError("nothing came")


def test_a_consumer_that_stopped_for_ever_is_replaced(
    members: ExitStack, settings: Settings, bootstrap: str, topics: list[str]
) -> None:
    member = _member(members, settings, bootstrap, topics)
    assert _values(member) == [b"0"]
    # What librdkafka makes of this by itself: nothing, without an error.
    member._client.unsubscribe()
    _send(settings, bootstrap, topics[0], b"1")
    with capture_logs() as logs:
        assert _values(member) == [b"1"]
    [entry] = [entry for entry in logs if entry["event"] == "sink_rejoins"]
    assert entry["reason"] == "nothing comes, and the group does not list this member"
    assert entry["group"] == settings.kafka.group_id


def test_a_member_without_partitions_is_left_alone(
    members: ExitStack, settings: Settings, bootstrap: str, topics: list[str]
) -> None:
    first, spare = (_member(members, settings, bootstrap, topics) for _ in range(2))
    clients = [first._client, spare._client]
    done = 0
    # Both are members, one of them has the partition, and both have been looked into again and again.
    ends = time.monotonic() + 120
    while done <= 5 and time.monotonic() < ends:
        first.poll(10)
        spare.poll(10)
        listed = [is_listed(settings, bootstrap, topics, client.memberid()) for client in clients]
        shared = sorted(len(client.assignment()) for client in clients) == [0, 1]
        done += listed == [True, True] and shared
    assert done > 5
    assert [first._client, spare._client] == clients


def test_topics_that_are_not_there_yet_are_waited_for(
    members: ExitStack, settings: Settings, bootstrap: str, topic: str
) -> None:
    member = _member(members, settings, bootstrap, [topic])
    client = member._client
    for _ in range(10):
        member.poll(10)
    assert member._client is client
    assert is_listed(settings, bootstrap, [topic], "anyone") is True


def test_a_group_that_is_gone_lists_nobody(settings: Settings, bootstrap: str, topics: list[str]) -> None:
    assert is_listed(settings, bootstrap, topics, "anyone") is False
    quick = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"request_timeout_s": 0.5})})
    assert is_listed(quick, "127.0.0.1:1", topics, "anyone") is None, "who does not answer says neither"


def test_a_fatal_error_is_the_end_of_the_consumer_but_not_of_the_member(
    members: ExitStack, settings: Settings, bootstrap: str, topics: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two members of one name: Kafka fences the first, and librdkafka calls that fatal.
    with monkeypatch.context() as patch:
        patch.setattr(consumer, "fast_consumer", functools.partial(fast_consumer, group_instance_id="one"))
        member = _member(members, settings, bootstrap, topics)
    # On a busy machine, that the group does not list it would be found sooner than that it was fenced.
    member._watch = Watch(member._is_listed, patience_s=3600, again_s=3600)
    assert _values(member) == [b"0"]
    # A member that has a name keeps its partitions until its session is over, whether it has left or not.
    own = {"group.id": settings.kafka.group_id, "group.instance.id": "one", "session.timeout.ms": 6000}
    other = Consumer(fast_config(settings, bootstrap) | own)
    other.subscribe(topics)
    with capture_logs() as logs:
        ends = time.monotonic() + 120
        while not any(entry["event"] == "sink_rejoins" for entry in logs) and time.monotonic() < ends:
            other.poll(0.1)
            member.poll(10)
        other.close()
        _send(settings, bootstrap, topics[0], b"1")
        assert _values(member) == [b"1"]
    reasons = [entry["reason"] for entry in logs if entry["event"] == "sink_rejoins"]
    assert "fenced" in reasons[0]


def test_no_new_consumer_can_be_had_while_the_cluster_is_away(
    members: ExitStack, settings: Settings, bootstrap: str, topics: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    member = _member(members, settings, bootstrap, topics)

    def nobody(*_: Any, **__: Any) -> Any:
        raise MissingServiceError("Kafka at k:1 does not answer.", bootstrap="k:1")

    member._broken = "whatever"
    with monkeypatch.context() as patch:
        patch.setattr(consumer, "fast_consumer", nobody)
        with pytest.raises(StreamError, match=r"Cannot join group 'group-\w+' anew: Kafka at k:1 does not answer\."):
            member.poll(10)
    assert _values(member) == [b"0"]


def test_a_consumer_that_does_not_close_is_left_behind() -> None:
    release = threading.Event()

    class Stuck:
        def close(self) -> None:
            release.wait()

    begin = time.monotonic()
    with capture_logs() as logs:
        assert not close_in_time(Stuck(), timeout_s=0.05)
    release.set()
    assert time.monotonic() - begin < 60
    assert [(entry["event"], entry["seconds"]) for entry in logs] == [("sink_close_hangs", 0.05)]


def test_a_consumer_that_is_closed_already_is_closed() -> None:
    class Closed:
        def close(self) -> None:
            raise RuntimeError("Consumer closed")

    assert close_in_time(Closed())
