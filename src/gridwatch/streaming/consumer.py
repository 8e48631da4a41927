"""Batches of records for the sink: one member of its consumer group, which commits only what it is told to."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from gridwatch.errors import ConfigError, StreamError
from gridwatch.streaming.dead_letter_marks import MARKS_TOPIC
from gridwatch.streaming.fast_clients import fast_consumer
from gridwatch.streaming.producer import DLQ_SUFFIX

if TYPE_CHECKING:
    from confluent_kafka import KafkaException, Message

    from gridwatch.settings import Settings

__all__ = ["Batch", "Member", "Record", "topics_pattern"]

log = structlog.get_logger(__name__)

Offsets = dict[tuple[str, int], int]
"""Offset by topic and partition."""

_WAIT_S = 0.3
# Long enough for what is on its way to come along, so that a stream at full speed is written in large batches.
_GATHER_S = 0.05
_LOOK_S = 5.0
_ANSWER_BYTES_MAX = 1 << 30
# Dead letters match most patterns for topics; read again as rows they would only go round in circles. Nor are Kafka's
# own topics and gridwatch's marks rows.
_NO_ROWS = re.compile(rf"\A__|{re.escape(DLQ_SUFFIX)}\Z|\A{re.escape(MARKS_TOPIC)}\Z")


class Record(NamedTuple):
    """A record as it came."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]

    @classmethod
    def of(cls, message: Message) -> Record:
        """Return what a message of librdkafka's holds."""
        place = message.topic() or "", message.partition() or 0, message.offset() or 0
        headers: Any = message.headers() or []
        return cls(*place, message.timestamp()[1], message.key(), message.value(), headers)


@dataclass(slots=True)
class Batch:
    """Records by topic, in the order of their partitions.

    Args:
        messages: librdkafka's, each with a value.
        begins: Offset of the first record of each partition.
        ends: Where to go on in each partition once the batch is done. One without a record may be here too: what
            lies before that offset is no record, such as the mark at the end of a transaction.
    """

    messages: dict[str, list[Message]] = field(default_factory=dict)
    begins: Offsets = field(default_factory=dict)
    ends: Offsets = field(default_factory=dict)


def topics_pattern(text: str | None) -> re.Pattern[str] | None:
    """Return a regular expression for names of topics, None for None.

    Raises:
        ConfigError: It is none.
    """
    try:
        return re.compile(text) if text else None
    except re.error as error:
        raise ConfigError(f"The topics' pattern {text!r} is no regular expression: {error}.") from error


class Member:
    """One member of the settings' consumer group. One instance serves one thread.

    Args:
        settings: Login, group and time limits.
        bootstrap: `host:port,...` of the cluster.
        topics: Topics to read, or
        pattern: for the whole of their names; new topics are found within seconds.

    Raises:
        MissingServiceError: Kafka does not answer.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap: str,
        topics: Collection[str] = (),
        *,
        pattern: re.Pattern[str] | None = None,
    ) -> None:
        self._pattern = pattern
        self._bootstrap = bootstrap
        self._topics = sorted(topics)
        self._looked = 0.0
        self._uncommitted: Offsets = {}
        self._client = fast_consumer(
            settings,
            bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            enable_partition_eof=True,
            max_partition_fetch_bytes=8 << 20,
            fetch_wait_max_ms=200,
            # librdkafka's default of 100 MB would leave it stuck before a larger record.
            receive_message_max_bytes=_ANSWER_BYTES_MAX,
            # What is fetched ahead: at most some seconds of work, and 32 MiB or one record.
            queued_min_messages=50_000,
            queued_max_messages_kbytes=32 << 10,
            fetch_queue_backoff_ms=20,
            # A killed member holds its partitions until this is over.
            session_timeout_ms=6000,
            heartbeat_interval_ms=1500,
            topic_metadata_refresh_interval_ms=5000,
        )
        if self._topics:
            self._subscribe()

    def poll(self, rows_max: int) -> Batch:
        """Return what comes within some tenths of a second, at most `rows_max` records; often nothing.

        Raises:
            StreamError: Kafka answers an error.
        """
        from confluent_kafka import KafkaException

        self._look()
        try:
            messages = self._client.consume(1, _WAIT_S)
            if messages and rows_max > 1:
                messages += self._client.consume(rows_max - 1, _GATHER_S)
            # A rebalance in between may have given away some of them.
            ours = {(part.topic, part.partition) for part in self._client.assignment()}
        except KafkaException as error:
            # Whatever was taken out of librdkafka's queue by then would be passed over by the next commit.
            self._begin_anew()
            raise self._failed("read", error) from error
        return self._sorted(messages, ours)

    def rewind(self, batch: Batch) -> None:
        """Read a batch again at the next poll; nothing of it was committed."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            ours = {(part.topic, part.partition) for part in self._client.assignment()}
            for (topic, partition), offset in batch.begins.items():
                if (topic, partition) in ours:
                    self._client.seek(TopicPartition(topic, partition, offset))
        except KafkaException as error:
            log.warning("sink_rewind_failed", error=str(self._failed("go back in", error)))
            self._begin_anew()

    def commit(self, offsets: Offsets) -> Offsets:
        """Commit where to go on in each partition, and what could not be committed before; return all that was.

        Raises:
            StreamError: The partitions went to another member, or the cluster is away. What is still of this member
                at the next call is committed then.
        """
        from confluent_kafka import KafkaException, TopicPartition

        wanted = self._uncommitted | offsets
        if not wanted:
            return {}
        self._uncommitted = wanted
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in wanted.items()]
        try:
            committed = self._client.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            raise self._failed("commit in", error) from error
        refused = next((place.error for place in committed if place.error is not None), None)
        if refused is not None:
            raise self._failed("commit in", KafkaException(refused))
        self._uncommitted = {}
        return wanted

    def close(self) -> None:
        """Leave the group."""
        self._client.close()

    def _look(self) -> None:
        """Subscribe to the topics that match the pattern now."""
        from confluent_kafka import KafkaException

        if self._pattern is None or time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked = time.monotonic()
        try:
            found = self._client.list_topics(timeout=_LOOK_S).topics
        except KafkaException as error:
            raise self._failed("find", error) from error
        topics = sorted(name for name in found if self._pattern.fullmatch(name) and not _NO_ROWS.search(name))
        if topics != self._topics:
            self._topics = topics
            self._subscribe()

    def _begin_anew(self) -> None:
        """Join the group anew, which begins at what was committed."""
        self._client.unsubscribe()
        self._subscribe()

    def _subscribe(self) -> None:
        def told(_: Any, parts: list[Any]) -> None:
            # What comes is read from what was committed, and what goes may be written anew by another member.
            for part in parts:
                self._uncommitted.pop((part.topic, part.partition), None)
            log.debug("sink_partitions", partitions=[f"{part.topic}/{part.partition}" for part in parts])

        if self._topics:
            # With these, librdkafka leaves partitions as they are while a batch is being written.
            self._client.subscribe(self._topics, on_assign=told, on_revoke=told)
        else:
            self._client.unsubscribe()

    def _sorted(self, messages: list[Message], ours: set[tuple[str, int]]) -> Batch:
        from confluent_kafka import KafkaError

        batch = Batch()
        for message in messages:
            error = message.error()
            place: Any = message.topic(), message.partition()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    log.warning("sink_poll_failed", error=error.str(), topic=place[0])
                elif place in ours:
                    batch.ends[place] = message.offset() or 0
            elif place in ours:
                offset: Any = message.offset()
                batch.begins.setdefault(place, offset)
                batch.ends[place] = offset + 1
                batch.messages.setdefault(place[0], []).append(message)
        return batch

    def _failed(self, what: str, error: KafkaException) -> StreamError:
        return StreamError(f"Cannot {what} the topics at {self._bootstrap}: {error.args[0].str()}.")
