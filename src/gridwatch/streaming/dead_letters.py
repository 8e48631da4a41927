"""Records that could not become rows: list them with their reasons, and send them again once the cause is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.errors import StreamError
from gridwatch.streaming.clients import admin, connect
from gridwatch.streaming.producer import Producer, dlq_topic

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["DeadLetter", "read_dead_letters", "replay_dead_letters", "write_dead_letters"]

log = structlog.get_logger(__name__)

_PREFIX = "gridwatch."
_POLL_MS = 500
_EMPTY_POLLS_MAX = 20
_CUT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not become a row.

    Args:
        topic: Where it came in.
        partition: Its partition there; -1 when it never got there (a source's rejected line).
        offset: Its offset there, or that in the dead-letter topic when it never got there.
        timestamp_ms: Its own timestamp, epoch ms.
        reason: Why it is no row.
        key: As it came.
        value: As it came; None for a tombstone.
        headers: As they came.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    reason: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def write_dead_letters(letters: Producer, rejected: Sequence[tuple[Any, str]]) -> None:
    """Send records with their reasons to the dead letters; return once they have arrived.

    A record that is too large for Kafka with its reason must not hold up its partition for ever: of such a one the
    beginning is sent.

    Args:
        letters: Sends them.
        rejected: Each consumed record, and why it is no row.

    Raises:
        StreamError: One was not delivered.
    """
    try:
        for record, reason in rejected:
            _write(letters, record, reason)
        letters.flush()
    except StreamError as error:
        if not _too_large(error):
            raise
        # What is there twice now is told apart by partition and offset.
        for record, reason in rejected:
            _write_or_cut(letters, record, reason)


def read_dead_letters(
    settings: Settings, bootstrap: str, topic: str, *, letters_max: int = 100_000
) -> Iterator[DeadLetter]:
    """Give the dead letters of a topic that are there now, oldest first; none when nothing was ever rejected.

    A sink that dies between writing a dead letter and committing its offset writes it again; such a repetition is left
    out here, by partition and offset.

    Args:
        settings: Login and time limits.
        bootstrap: `host:port,...` of the cluster.
        topic: The topic the records were for, without `.dlq`.
        letters_max: Most letters to give.

    Raises:
        MissingServiceError: Kafka does not answer.
    """
    from kafka import KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError

    name = dlq_topic(topic)
    with admin(settings, bootstrap) as client:
        parts = [
            TopicPartition(name, part["partition_index"])
            for found in client.describe_topics([name])
            for part in found["partitions"]
        ]
    if not parts:
        return
    consumer = connect(KafkaConsumer, settings, bootstrap, enable_auto_commit=False, isolation_level="read_committed")
    seen: set[tuple[int, int]] = set()
    try:
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        ends = consumer.end_offsets(parts)
        empty = 0
        while any(consumer.position(part) < ends[part] for part in parts):
            batch = consumer.poll(timeout_ms=_POLL_MS)
            empty = 0 if batch else empty + 1
            if empty > _EMPTY_POLLS_MAX:
                raise StreamError(f"Topic {name!r} stopped giving records before its end; ask again.", topic=name)
            for record in (record for records in batch.values() for record in records):
                letter = _letter(topic, record)
                place = (letter.partition, letter.offset)
                if place not in seen and len(seen) < letters_max:
                    seen.add(place)
                    yield letter
            if len(seen) >= letters_max:
                return
    except KafkaError as error:
        raise StreamError(f"Cannot read topic {name!r} at {bootstrap}: {error}.", topic=name) from error
    finally:
        consumer.close(autocommit=False)


def replay_dead_letters(settings: Settings, bootstrap: str, topic: str) -> int:
    """Send a topic's dead letters to the topic again, as they came, and delete them from the dead letters.

    Those that still are no rows come back with a new reason. A crash in between sends some again, which is harmless.

    Returns:
        How many were sent.

    Raises:
        MissingServiceError: Kafka does not answer.
        StreamError: One was not delivered; nothing is deleted then.
    """
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec

    name = dlq_topic(topic)
    with admin(settings, bootstrap) as client:
        parts = [
            TopicPartition(name, part["partition_index"])
            for found in client.describe_topics([name])
            for part in found["partitions"]
        ]
        # Letters that come in from now on are not read below for certain, so they must not be deleted.
        found = client.list_partition_offsets(dict.fromkeys(parts, OffsetSpec.LATEST)) if parts else {}
        count = 0
        with Producer(settings, bootstrap) as producer:
            for letter in read_dead_letters(settings, bootstrap, topic):
                producer.repeat(topic, letter.value, key=letter.key, headers=list(letter.headers))
                count += 1
            producer.flush()
        if count:
            client.delete_records({part: info.offset for part, info in found.items()})
    log.info("dead_letters_replayed", topic=topic, records=count)
    return count


def _too_large(error: StreamError) -> bool:
    from kafka.errors import MessageSizeTooLargeError

    return isinstance(error.__cause__, MessageSizeTooLargeError)


def _write_or_cut(letters: Producer, record: Any, reason: str) -> None:
    """Send one dead letter, of a record that is too large for Kafka only its beginning."""
    try:
        _write(letters, record, reason)
        letters.flush()
    except StreamError as error:
        if not _too_large(error):
            raise
        _write(letters, record, reason, cut=True)
        letters.flush()


def _write(letters: Producer, record: Any, reason: str, *, cut: bool = False) -> None:
    headers = dict(record.headers or ()) | {
        "gridwatch.partition": str(record.partition),
        "gridwatch.offset": str(record.offset),
        "gridwatch.timestamp": str(record.timestamp),
    }
    value, key = record.value, record.key
    if cut:
        size = len(value or b"")
        reason = f"{reason}; only the first {_CUT_BYTES} of its {size} bytes are here, the whole is at its own place"
        value, key = (value or b"")[:_CUT_BYTES], (key or b"")[:_CUT_BYTES]
        headers = {name: text for name, text in headers.items() if name.startswith("gridwatch.")}
    letters.dead_letter(record.topic, value, reason, key=key, headers=headers)


def _letter(topic: str, record: Any) -> DeadLetter:
    headers = [(name, value or b"") for name, value in record.headers or ()]
    ours = {
        name.removeprefix(_PREFIX): value.decode(errors="replace")
        for name, value in headers
        if name.startswith(_PREFIX)
    }
    return DeadLetter(
        topic=ours.get("topic", topic),
        partition=_number(ours.get("partition"), -1),
        offset=_number(ours.get("offset"), record.offset),
        timestamp_ms=_number(ours.get("timestamp"), record.timestamp),
        reason=ours.get("reason", ""),
        key=record.key,
        value=record.value,
        headers=tuple((name, value) for name, value in headers if not name.startswith(_PREFIX)),
    )


def _number(text: str | None, otherwise: int) -> int:
    """Return a header's number; headers may come from anybody."""
    try:
        return int(text or "")
    except ValueError:
        return otherwise
