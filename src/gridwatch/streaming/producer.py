"""Frames to Kafka: idempotent, acknowledged by all replicas, compressed; what is not delivered is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import structlog

from gridwatch.errors import StreamError
from gridwatch.settings import RECORD_BYTES_MAX
from gridwatch.streaming.clients import admin
from gridwatch.streaming.envelope import encode
from gridwatch.streaming.fast_clients import fast_producer

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from confluent_kafka import KafkaError, Message

    from gridwatch.containers import ContainerInfo
    from gridwatch.settings import Settings

__all__ = ["DLQ_SUFFIX", "LETTER_BYTES_MORE", "Producer", "RecordTooLargeError", "dlq_topic", "ensure_topics"]

log = structlog.get_logger(__name__)

DLQ_SUFFIX = ".dlq"
_DAY_MS = 24 * 3600 * 1000
DLQ_RETENTION_MS = 30 * _DAY_MS
"""Dead letters stay longer than rows: somebody has to look at them first."""

LETTER_BYTES_MORE = 128 << 10
"""What a dead letter may be larger than its record, for the reason and the place."""

_TELL_ROWS = 10_000
_BATCH_BYTES = 512 << 10
# Measured: half the time of the default, a sixth more bytes.
_GZIP_LEVEL = 3
# The topic's own limit decides, and counts compressed bytes.
_RECORD_BYTES_MAX = 256 << 20
_LINGER_MS = 20


def dlq_topic(topic: str) -> str:
    """Return the topic of the records of `topic` that could not be read."""
    return f"{topic}{DLQ_SUFFIX}"


def ensure_topics(settings: Settings, bootstrap: str, names: Iterable[str], *, partitions: int = 1) -> list[str]:
    """Make the topics and their dead-letter topics that are not there yet; return the names of those made.

    Args:
        settings: Login and replication factor.
        bootstrap: `host:port,...` of the cluster.
        names: Topic names; `.dlq` topics come by themselves.
        partitions: Of a new topic; rows of one key stay in order in any number.

    Raises:
        MissingServiceError: Kafka does not answer.
        StreamError: It refuses a topic; names it.
    """
    from kafka.errors import TopicAlreadyExistsError

    replication = settings.kafka.replication_factor
    largest = settings.kafka.record_bytes_max
    wanted: dict[str, dict[str, Any]] = {}
    for name in names:
        wanted[name] = {"num_partitions": partitions, "replication_factor": replication}
        dead = {"retention.ms": str(DLQ_RETENTION_MS)}
        if largest != RECORD_BYTES_MAX:
            wanted[name]["configs"] = {"max.message.bytes": str(largest)}
            dead["max.message.bytes"] = str(largest + LETTER_BYTES_MORE)
        wanted[dlq_topic(name)] = {"num_partitions": 1, "replication_factor": replication, "configs": dead}
    with admin(settings, bootstrap) as client:
        there = set(client.list_topics())
        made = [name for name in wanted if name not in there]
        for name in made:
            try:
                client.create_topics({name: wanted[name]})
            except TopicAlreadyExistsError:
                log.debug("topic_made_by_another", topic=name)
        if made:
            client.wait_for_topics(made, timeout_ms=int(settings.kafka.request_timeout_s * 1000))
            log.info("topics_made", topics=made)
    return made


class RecordTooLargeError(StreamError):
    """A record is larger than its topic takes."""


class Producer:
    """Sends frames as Connect JSON records. One instance serves one thread; use it as a context manager.

    Args:
        settings: Login and time limits.
        bootstrap: `host:port,...` of the cluster.

    Raises:
        MissingServiceError: Kafka does not answer.
    """

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        limit_ms = int(settings.kafka.request_timeout_s * 1000)
        self._client = fast_producer(
            settings,
            bootstrap,
            enable_idempotence=True,
            compression_codec="gzip",
            compression_level=_GZIP_LEVEL,
            # Java's way to spread keys, and kafka-python's: rows of one key stay in their partition.
            partitioner="murmur2_random",
            batch_size=_BATCH_BYTES,
            linger_ms=_LINGER_MS,
            message_max_bytes=_RECORD_BYTES_MAX,
            delivery_timeout_ms=2 * limit_ms,
            topic_metadata_propagation_max_ms=limit_ms,
            allow_auto_create_topics=False,
        )
        self._failed: list[tuple[str, KafkaError]] = []

    def ensure_topics(self, names: Iterable[str], *, partitions: int = 1) -> list[str]:
        """Make the topics and their dead-letter topics that are not there yet; see `ensure_topics` of this module."""
        return ensure_topics(self._settings, self._bootstrap, names, partitions=partitions)

    def send(
        self,
        topic: str,
        frame: pd.DataFrame | pa.Table,
        info: ContainerInfo,
        *,
        ingested_ms: int,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> int:
        """Send the rows of a frame in order; return their number once the cluster has acknowledged all of them.

        Args:
            topic: Made beforehand.
            frame: Rows of the container, columns by name.
            info: Schema of the rows.
            ingested_ms: The records' own timestamp, epoch ms: the time of ingestion, so that the topic's retention
                counts from now and not from the time of an old bar.
            progress: Told the rows acknowledged, and their number.

        Raises:
            ValueRefusedError: A value that no container takes; nothing is sent.
            StreamError: A row was not delivered; names the topic and the first reason. Sending again is safe.
        """
        keys, values = encode(frame, info)
        total = len(values)
        for done, (key, value) in enumerate(zip(keys, values, strict=True)):
            self._send(topic, value, key, timestamp=ingested_ms)
            if progress and done and done % _TELL_ROWS == 0:
                self._client.poll(0)
                progress(max(0, done - len(self._client)), total)
        self.flush()
        if progress:
            progress(total, total)
        log.info("rows_sent", topic=topic, rows=total)
        return total

    def dead_letter(
        self,
        topic: str,
        value: bytes | None,
        reason: str,
        *,
        key: bytes | None = None,
        headers: Mapping[str, str | bytes] | None = None,
    ) -> None:
        """Send something that cannot become a row to the topic's dead letters; `flush` tells whether it arrived.

        Args:
            topic: The topic it was for, without `.dlq`.
            value: As it came.
            reason: Why it cannot become a row.
            key: Its key, if it had one.
            headers: More to tell, such as where it comes from.
        """
        pairs = {**(headers or {}), "gridwatch.reason": reason, "gridwatch.topic": topic}
        encoded = [(name, text.encode() if isinstance(text, str) else text) for name, text in pairs.items()]
        # Kafka takes no record without key and value; the retention counts from now, whatever the record's own time.
        self._send(dlq_topic(topic), value, b"" if key is None and value is None else key, headers=encoded)

    def repeat(self, topic: str, value: bytes | None, *, key: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        """Send a record as it stands; `flush` tells whether it arrived."""
        self._send(topic, value, b"" if key is None and value is None else key, headers=headers)

    def flush(self) -> None:
        """Wait until everything sent is acknowledged.

        Raises:
            StreamError: Something was not; names topic, number and first reason.
        """
        left = self._client.flush(2 * self._settings.kafka.request_timeout_s)
        failed, self._failed = self._failed, []
        if failed:
            topic, error = failed[0]
            raise self._undelivered(len(failed) + left, topic, error)
        if left:
            self._client.purge()
            raise self._undelivered(left, "", None)

    def close(self) -> None:
        """Flush what is left and close; does nothing the second time."""
        try:
            self.flush()
        finally:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            # What failed is already on its way up; a second error would hide it.
            self._client.purge()
            self._client.close()

    def _send(self, topic: str, value: bytes | None, key: bytes | None, **rest: Any) -> None:
        from confluent_kafka import KafkaException

        while True:
            try:
                self._client.produce(topic, value, key, on_delivery=self._delivered, **rest)
            except BufferError:
                # Full. Something leaves it within the delivery's time limit, sent or given up.
                self._client.poll(0.1)
            except KafkaException as error:
                raise self._undelivered(1, topic, error.args[0]) from error
            else:
                return

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append((message.topic() or "", error))

    def _undelivered(self, count: int, topic: str, error: KafkaError | None) -> StreamError:
        from confluent_kafka import KafkaError

        large = error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE
        reason = "no answer in time" if error is None else error.str()
        return (RecordTooLargeError if large else StreamError)(
            f"{count} records for topic {topic!r} were not delivered to Kafka at {self._bootstrap}: {reason}. "
            + (
                "The topic's max.message.bytes is the limit."
                if large
                else "Send them again; rows that did arrive are only written once more."
            ),
            topic=topic,
        )
