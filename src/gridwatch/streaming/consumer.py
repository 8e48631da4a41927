"""Batches of records for the sink: one member of its consumer group, which commits only what it is told to."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.errors import ConfigError, MissingServiceError, StreamError
from gridwatch.streaming.batch import Batch, Offsets
from gridwatch.streaming.dead_letter_marks import MARKS_TOPIC
from gridwatch.streaming.fast_clients import fast_consumer
from gridwatch.streaming.membership import SESSION_S, Watch, close_in_time, is_listed
from gridwatch.streaming.pace import POLL_INTERVAL_S
from gridwatch.streaming.producer import DLQ_SUFFIX

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, KafkaException, Message

    from gridwatch.settings import Settings

__all__ = ["BYTES_MAX", "Member", "topics_pattern"]

log = structlog.get_logger(__name__)

_WAIT_S = 0.3
# Long enough for what is on its way to come along, so that a stream at full speed is written in large batches.
_GATHER_S = 0.05
_LOOK_S = 5.0
_ANSWER_BYTES_MAX = 1 << 30
# These count bytes as they travel, and JSON that repeats its schema travels at a twentieth of its size. A record that
# is larger comes all the same.
_FETCH_BYTES_MAX = 2 << 20
_PARTITION_BYTES_MAX = 1 << 20
_AHEAD_BYTES_MAX = 32 << 20
_SLICE_MAX = 1_000
# Dead letters match most patterns for topics; read again as rows they would only go round in circles. Nor are Kafka's
# own topics and gridwatch's marks rows.
_NO_ROWS = re.compile(rf"\A__|{re.escape(DLQ_SUFFIX)}\Z|\A{re.escape(MARKS_TOPIC)}\Z")

BYTES_MAX = 32 << 20
"""Bytes of values after which a batch gets no more."""


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
        self._settings = settings
        self._pattern = pattern
        self._bootstrap = bootstrap
        self._topics = sorted(topics)
        self._looked = 0.0
        self._uncommitted: Offsets = {}
        self._broken: str | None = None
        self._watch = Watch(self._is_listed)
        self._lives = 0
        self._client = self._connect()
        if self._topics:
            self._subscribe()

    def _connect(self) -> Any:
        def told(error: KafkaError) -> None:
            if error.fatal():
                self._broken = error.str()

        return fast_consumer(
            self._settings,
            self._bootstrap,
            error_cb=told,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            enable_partition_eof=True,
            max_partition_fetch_bytes=_PARTITION_BYTES_MAX,
            fetch_max_bytes=_FETCH_BYTES_MAX,
            fetch_wait_max_ms=200,
            # librdkafka's default of 100 MB would leave it stuck before a larger record.
            receive_message_max_bytes=_ANSWER_BYTES_MAX,
            # What is fetched ahead: at most some seconds of work, and these bytes and one answer.
            queued_min_messages=50_000,
            queued_max_messages_kbytes=_AHEAD_BYTES_MAX >> 10,
            fetch_queue_backoff_ms=20,
            # A killed member holds its partitions until this is over.
            session_timeout_ms=int(SESSION_S * 1000),
            heartbeat_interval_ms=1500,
            max_poll_interval_ms=int(POLL_INTERVAL_S * 1000),
            topic_metadata_refresh_interval_ms=5000,
        )

    def poll(self, rows_max: int, bytes_max: int = BYTES_MAX) -> Batch:
        """Return what comes within some tenths of a second; often nothing.

        A consumer that cannot go on, or that its group does not know any more, is replaced by a new one.

        Args:
            rows_max: Most records.
            bytes_max: Bytes of values after which no more are taken. The last record may go beyond; so may a few that
                are much larger than those before.

        Raises:
            StreamError: Kafka answers an error, or does not answer when a new consumer is needed.
        """
        from confluent_kafka import KafkaException

        self._replace_if_lost()
        self._look()
        try:
            messages = self._gather(rows_max, bytes_max)
            # A rebalance in between may have given away some of them.
            ours = {(part.topic, part.partition) for part in self._client.assignment()}
        except KafkaException as error:
            # Whatever was taken out of librdkafka's queue by then would be passed over by the next commit.
            self._begin_anew()
            raise self._failed("read", error) from error
        return self._sorted(messages, ours)

    def _gather(self, rows_max: int, bytes_max: int) -> list[Message]:
        messages: list[Message] = self._client.consume(1, _WAIT_S)
        size = _bytes(messages)
        while messages and len(messages) < rows_max and size < bytes_max:
            # As many as would fill it if they are like those before, of which there were only a few at first.
            fit = 1 + (bytes_max - size) * len(messages) // max(1, size)
            wanted = min(fit, len(messages), _SLICE_MAX, rows_max - len(messages))
            more = self._client.consume(wanted, _GATHER_S)
            messages += more
            size += _bytes(more)
            if len(more) < wanted:
                break
        return messages

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
        """Leave the group, which is given up after some seconds."""
        close_in_time(self._client)

    def _is_listed(self) -> bool | None:
        if not self._topics:
            return True
        return is_listed(self._settings, self._bootstrap, self._topics, self._client.memberid())

    def _replace_if_lost(self) -> None:
        """Make a new consumer if this one will not give anything any more.

        Raises:
            StreamError: Kafka does not answer; the next call tries again.
        """
        group = self._settings.kafka.group_id
        if self._broken is None and self._watch.lost():
            self._broken = "nothing comes, and the group does not list this member"
        if self._broken is None:
            return
        try:
            client = self._connect()
        except MissingServiceError as error:
            raise StreamError(f"Cannot join group {group!r} anew: {error}") from error
        log.warning("sink_rejoins", reason=self._broken, group=group)
        old, self._client = self._client, client
        self._lives += 1
        self._uncommitted = {}
        # Its partitions are free once it is closed, or once a session is over without a heartbeat.
        close_in_time(old)
        # Not before: the old one may have told once more that it cannot go on.
        self._broken = None
        self._subscribe()
        self._watch.sound()

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
        from confluent_kafka import KafkaException

        try:
            self._client.unsubscribe()
            self._subscribe()
        except KafkaException as error:
            # After a fatal error nothing works any more.
            self._broken = error.args[0].str()

    def _subscribe(self) -> None:
        life = self._lives

        def told(_: Any, parts: list[Any]) -> None:
            if life != self._lives:
                # It was replaced, and is being closed.
                return
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
        if messages and ours:
            self._watch.sound()
        for message in messages:
            error = message.error()
            place: Any = message.topic(), message.partition()
            if error is not None:
                if error.fatal() or error.code() == KafkaError._FATAL:
                    self._broken = error.str()
                elif error.code() != KafkaError._PARTITION_EOF:
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


def _bytes(messages: list[Message]) -> int:
    return sum(map(len, messages))
