"""What was replayed: marks in a topic of their own, so that no dead letter is sent twice.

A mark is written in the same Kafka transaction as the records that it is about: either both are there or none is,
whatever dies in between. It names the dead-letter topic by Kafka's id as well, for one that is deleted and made anew
counts its offsets from 0 again.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.streaming.clients import admin
from gridwatch.streaming.dead_letters import Place

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["MARKS_TOPIC", "Replayed", "ensure_marks_topic", "mark", "read_marks"]

log = structlog.get_logger(__name__)

MARKS_TOPIC = "gridwatch.dlq-replays"
"""Name of the topic; one partition, kept for ever: a mark is some hundred bytes for some hundred letters."""


class Replayed:
    """A set of places, kept as ranges of offsets.

    >>> replayed = Replayed()
    >>> replayed.add("a.dlq", 0, 3, 5)
    >>> replayed.add("a.dlq", 0, 6, 6)
    >>> Place("a.dlq", 0, 6) in replayed, Place("a.dlq", 0, 7) in replayed
    (True, False)
    """

    def __init__(self) -> None:
        self._ranges: dict[tuple[str, int], list[tuple[int, int]]] = {}

    def add(self, topic: str, partition: int, first: int, last: int) -> None:
        """Add the offsets from `first` to `last`, both included."""
        ranges = self._ranges.setdefault((topic, partition), [])
        begin = bisect_right(ranges, (first,))
        # The range before may touch this one, and so may any number behind it.
        if begin and ranges[begin - 1][1] >= first - 1:
            begin -= 1
        end = begin
        while end < len(ranges) and ranges[end][0] <= last + 1:
            first, last = min(first, ranges[end][0]), max(last, ranges[end][1])
            end += 1
        ranges[begin:end] = [(first, last)]

    def __contains__(self, place: object) -> bool:
        if not isinstance(place, Place):
            return False
        ranges = self._ranges.get((place.topic, place.partition), [])
        at = bisect_right(ranges, (place.offset, float("inf"))) - 1
        return at >= 0 and ranges[at][1] >= place.offset

    def ranges(self) -> dict[tuple[str, int], list[tuple[int, int]]]:
        """Return the ranges of each topic and partition, both ends included, in order."""
        return {key: list(ranges) for key, ranges in self._ranges.items()}


def mark(places: Iterable[Place], ids: dict[str, str]) -> list[bytes]:
    """Return the marks of some places, one a topic.

    Args:
        places: Letters that are replayed.
        ids: Kafka's id of each dead-letter topic.
    """
    done = Replayed()
    for place in places:
        done.add(place.topic, place.partition, place.offset, place.offset)
    by_topic: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for (topic, partition), ranges in done.ranges().items():
        by_topic.setdefault(topic, {})[str(partition)] = ranges
    return [
        json.dumps({"topic": topic, "id": ids.get(topic, ""), "offsets": offsets}).encode()
        for topic, offsets in by_topic.items()
    ]


def read_marks(settings: Settings, bootstrap: str) -> Replayed:
    """Return what was replayed of the dead-letter topics that are there now.

    Raises:
        MissingServiceError: Kafka does not answer.
        StreamError: It stops answering before the end.
    """
    from gridwatch.streaming.dead_letter_reader import read_topics

    replayed = Replayed()
    ids: dict[str, str] | None = None
    for record in read_topics(settings, bootstrap, [MARKS_TOPIC]):
        ids = topic_ids(settings, bootstrap) if ids is None else ids
        try:
            document = json.loads(record.value)
            topic = document["topic"]
            if document["id"] == ids.get(topic):
                for partition, ranges in document["offsets"].items():
                    for first, last in ranges:
                        replayed.add(topic, int(partition), int(first), int(last))
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            # Somebody else's record in this topic must not make all letters unreadable.
            log.warning("dlq_mark_unreadable", topic=MARKS_TOPIC, offset=record.offset, error=str(error))
    return replayed


def topic_ids(settings: Settings, bootstrap: str) -> dict[str, str]:
    """Return Kafka's id of every topic."""
    with admin(settings, bootstrap) as client:
        return {topic["name"]: str(topic.get("topic_id", "")) for topic in client.describe_topics()}


def ensure_marks_topic(settings: Settings, bootstrap: str) -> None:
    """Make the topic of the marks when it is not there.

    Raises:
        MissingServiceError: Kafka does not answer.
        StreamError: It refuses the topic.
    """
    from kafka.errors import TopicAlreadyExistsError

    wanted: dict[str, Any] = {
        "num_partitions": 1,
        "replication_factor": settings.kafka.replication_factor,
        "configs": {"retention.ms": "-1"},
    }
    with admin(settings, bootstrap) as client:
        if MARKS_TOPIC in client.list_topics():
            return
        try:
            client.create_topics({MARKS_TOPIC: wanted})
        except TopicAlreadyExistsError:
            log.debug("topic_made_by_another", topic=MARKS_TOPIC)
        client.wait_for_topics([MARKS_TOPIC], timeout_ms=int(settings.kafka.request_timeout_s * 1000))
